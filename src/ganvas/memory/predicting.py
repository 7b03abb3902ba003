"""The peak of a training run in bytes, foretold by playing two rounds on symbols: tensors with shapes and without numbers.

The real Engine plays the real System on fake tensors (`torch._subclasses.FakeTensorMode`), so that nothing is left out by hand:
double backward, averages, copies for roll-backs, temporaries. Every storage is written down with its birth, its death and what
it was for. What fake tensors do not show, the working space of convolutions, is in `workspace`. Not for time.
"""

from __future__ import annotations

import contextlib
import itertools
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..batches import lay_out
from ..engine import Engine
from ..game import Phase, Turn
from ..networks.frozen import Frozen
from .board import Case, build_board, play, seat
from .heap import Heap
from .workspace import NONE, Space, spaces

# What the heap of `heap` does not show: small pieces between the large ones, and code that is compiled for each shape. From the
# configurations of `benchmarks/memory_grid.py --calibrate`, which are not those of its grid; rounded up (docs/memory.md).
ALLOCATOR_STEADY, ALLOCATOR_SHARE = 16 * 2**20, 0.10

PARTS = ("parameters", "frozen", "averages", "buffers", "optimiser", "roll-back", "gradients", "activations", "temporary")


@dataclass
class Storage:
    """One piece of memory and what it was for."""

    size: int
    part: str = "temporary"


Event = tuple[str, Any]
"""("born", piece), ("died", piece), or ("space", sizes): blocks of working space that are taken and given back at once;
("hold", sizes) and ("drop", None): blocks that stay while a result is made."""


class Ledger:
    """Everything that happens to memory, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._living: dict[int, Storage] = {}
        self._watches: dict[int, Any] = {}

    def note(self, tensor: Tensor, part: str | None = None) -> Storage:
        """Write down a tensor's storage; a part, where given, replaces what was thought of it."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        piece = self._living.get(key)
        if piece is None:
            piece = self._living[key] = Storage(storage.nbytes())
            self.events.append(("born", piece))
            self._watches[key] = weakref.finalize(storage, self._bury, key)
        if part is not None:
            piece.part = part
        return piece

    def _bury(self, key: int) -> None:
        self.events.append(("died", self._living.pop(key)))
        self._watches.pop(key, None)

    def result(self, tensor: Tensor, space: Space) -> None:
        """Write down the result of an operation that needs working space."""
        if space.before:
            self.events.append(("space", space.before))
        if space.beside:
            self.events.append(("hold", space.beside))
        self.note(tensor)
        if space.beside:
            self.events.append(("drop", None))

    def living(self, part: str) -> int:
        """Bytes of a part at this moment."""
        return sum(piece.size for piece in self._living.values() if piece.part == part)

    def close(self) -> None:
        """Stop watching."""
        for watch in self._watches.values():
            watch.detach()

    def peak(self) -> dict[str, int]:
        """The bytes of each part at the worst moment, working space included."""
        live, best, held, where, extra = 0, -1, 0, 0, 0
        for number, (kind, what) in enumerate(self.events):
            space = held
            if kind == "born":
                live += what.size
            elif kind == "died":
                live -= what.size
            elif kind == "space":
                space = sum(what)
            else:
                held = space = sum(what or ())
            if live + space > best:
                best, where, extra = live + space, number, space
        parts = dict.fromkeys((*PARTS, "workspace"), 0)
        for kind, what in self.events[: where + 1]:
            if kind in ("born", "died"):
                parts[what.part] += what.size if kind == "born" else -what.size
        parts["workspace"] = extra
        return parts

    def resident(self) -> int:
        """The most that a process holds: its heap with the holes in it, and what lies outside the heap."""
        heap, most = Heap(), 0
        places: dict[int, int] = {}
        held: list[int] = []
        for kind, what in self.events:
            if kind == "born":
                places[id(what)] = heap.take(what.size)
            elif kind == "died":
                heap.give(places.pop(id(what)))
            elif kind == "drop":
                for place in held:
                    heap.give(place)
                held = []
            else:
                taken = [heap.take(size) for size in what]
                most = max(most, heap.resident)
                if kind == "hold":
                    held = taken
                else:
                    for place in taken:
                        heap.give(place)
            most = max(most, heap.resident)
        return most


class _Watch(TorchDispatchMode):
    """Writes down what operations return and the working space they are known to take."""

    def __init__(self, ledger: Ledger, device: torch.device) -> None:
        super().__init__()
        self.ledger = ledger
        self.device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            # A game that reads a number out of a tensor gets what its buffers begin with; that all is finite is taken as given.
            return {torch.bool: True}.get(args[0].dtype, 0.0 if args[0].is_floating_point() else 0)
        result = func(*args, **(kwargs or {}))
        leaves = [leaf for leaf in tree_leaves(result) if leaf is None or isinstance(leaf, Tensor)]
        for leaf, space in itertools.zip_longest(leaves, spaces(func, args, self.device, result), fillvalue=NONE):
            if isinstance(leaf, Tensor):
                self.ledger.result(leaf, space)
        return result


class _Noted(Engine):
    """An Engine whose copies for roll-backs are known as such."""

    ledger: Ledger

    def _remember(self) -> None:
        super()._remember()
        assert self._memory is not None
        for tensor in self._memory["tensors"].values():
            self.ledger.note(tensor, "roll-back")


@dataclass
class Prediction:
    """Bytes. peak: of the process, without its base. live: the tensors of the worst moment, by part (`PARTS`, `workspace`).

    heap: what the process holds for them, holes included; `peak` is a little more (`ALLOCATOR_SHARE`). turns: (phase, player,
    objective, bytes kept for backward). calls: one call of each network that a player owns (`counting.Call`). sizes: of each
    part at its own worst: parameters, gradients of the largest player, activations of the largest turn, optimiser states ...
    """

    peak: int
    live: dict[str, int]
    heap: int
    turns: list[tuple[str, str, str, int]]
    calls: dict[str, Any]
    sizes: dict[str, int]


def predict(case: Case) -> Prediction:
    """Play two rounds of every phase on symbols. Takes seconds and little memory, whatever the size.

    Raises GanvasError for what cannot be built; NotImplementedError when the game cannot be played without numbers.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    from .counting import Calls

    system = build_board(case, "meta")
    if case.channels_last:
        lay_out(system, True)
    if case.precision == "64":
        system.double()
    mode = FakeTensorMode()
    ledger = Ledger()
    sizes = _imagine(system, mode, ledger, torch.device(case.device))
    calls = Calls(system)
    turns: dict[tuple[str, str, str], int] = {}
    with mode, _Watch(ledger, torch.device(case.device)), calls:

        def wrap(phase: Phase, turn: Turn) -> Any:
            return _counted(turn.objective, (phase.name, turn.player, turn.name), turns, ledger)

        kind = type("_Seated", (_Noted,), {"ledger": ledger})
        engine = seat(case, system, wrap, kind)
        for seated in engine.seats.values():
            seated.optimiser.register_step_pre_hook(_mark_gradients(ledger))
        play(engine)
        for seated in engine.seats.values():
            for state in seated.optimiser.state.values():
                for value in state.values():
                    if isinstance(value, Tensor):
                        ledger.note(value, "optimiser")
    parts = ledger.peak()
    live = sum(parts.values())
    heap = max(live, ledger.resident()) if case.device.startswith("cpu") else live
    total = ALLOCATOR_STEADY + round((1 + ALLOCATOR_SHARE) * heap) if case.device.startswith("cpu") else live
    sizes |= {part: ledger.living(part) for part in ("optimiser", "roll-back")}
    ledger.close()
    sizes["gradients"] = max(sum(p.numel() * p.element_size() for p in s.owned) for s in engine.seats.values())
    sizes["activations"] = max(turns.values(), default=0)
    found = [(*key, size) for key, size in turns.items()]
    return Prediction(total, parts, heap, found, calls.found(), sizes)


def _imagine(system: Any, mode: Any, ledger: Ledger, device: torch.device) -> dict[str, int]:
    """Replace every tensor of the system by a fake one on `device`; returns the bytes of each part."""
    made: dict[int, Tensor] = {}
    owned = {f"{network}." for player in system.players() for network in player.networks}
    averaged = {f"{average.target}." for average in system.averages()}
    sizes = dict.fromkeys(("parameters", "frozen", "averages", "buffers"), 0)

    def fake(tensor: Tensor, part: str) -> Tensor:
        if id(tensor) not in made:
            plain = tensor.detach().to("meta")
            copy = mode.fake_tensor_converter.from_meta_and_device(mode, plain, device)
            sizes[part] += copy.untyped_storage().nbytes()
            ledger.note(copy, part)
            made[id(tensor)] = (
                nn.Parameter(copy, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else copy
            )
        return made[id(tensor)]

    originals: list[Tensor] = []  # kept: an id must not be given twice
    frozen = [("frozen", m) for held in system.modules() if isinstance(held, Frozen) for m in held.network.modules()]
    for name, module in [*system.named_modules(), *frozen]:
        dotted = f"{name}."
        if dotted.startswith(tuple(averaged)):
            own = "averages"
        else:
            own = "parameters" if dotted.startswith(tuple(owned)) else "frozen"
        for table, part in ((module._parameters, own), (module._buffers, own if own == "averages" else "buffers")):
            for key, tensor in table.items():
                if tensor is not None:
                    originals.append(tensor)
                    table[key] = fake(tensor, part)
        for key, value in list(vars(module).items()):  # constants that are no buffers
            if isinstance(value, Tensor):
                originals.append(value)
                setattr(module, key, fake(value, "buffers"))
    # Layout and number format are settled by now; fake parameters cannot be moved once more.
    system.to = lambda *arguments, **named: system
    return sizes


def _counted(objective: Any, key: tuple[str, str, str], turns: dict[tuple[str, str, str], int], ledger: Ledger) -> Any:
    """The objective, noting how much lies ready for backward when it returns (graphs of earlier turns that go on included)."""

    def pack(tensor: Tensor) -> Tensor:
        piece = ledger.note(tensor)
        if piece.part == "temporary":
            piece.part = "activations"
        return tensor.detach()  # the graph knows where it came from; to hand on its history would tie the graph to itself

    def played(batch: Any, clock: Any, shared: Any) -> Any:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            terms = objective(batch, clock, shared)
        turns[key] = max(turns.get(key, 0), ledger.living("activations"))
        return terms

    played.__name__ = key[2]
    return played


def _mark_gradients(ledger: Ledger) -> Any:
    def mark(optimiser: Any, *rest: Any) -> None:
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    ledger.note(parameter.grad, "gradients")

    return mark


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of torch about fake tensors, which are not the user's business."""
    import logging
    import warnings

    logger = logging.getLogger("torch._subclasses.fake_tensor")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
