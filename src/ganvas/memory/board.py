"""What is to be weighed: a system on a kind of data, under the settings a run would have, and a short game of it.

The same few rounds are played on symbols (`predicting`) and on real numbers (`measuring`). Not for training: its data is blank.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from ..batches import Batch, Noise
from ..config import build_config
from ..engine import Engine
from ..errors import GanvasError
from ..game import Feed, Phase, Turn
from ..kinds import encode, kind_of, spec_from_dict
from ..parallel import Processes
from ..presets import Situation
from ..registry import load_system
from ..run.budget import parse_budget
from ..run.load import given_spec
from ..run.resolving import RECORDS, check_sharing, check_size, choose_preset, resolve_numbers, suit_layout
from ..run.settings import build_settings, parse_size
from ..shapes import shapes_only
from ..specs import REAL, Spec, spec_to_dict

TIMES = 2  # repetitions of a turn that are played: further ones need no more memory


@dataclass(frozen=True)
class Case:
    """One configuration. system: a name or file. config: every setting of the system. fields: specs of the data.

    precision, channels_last, micro_batches, recompute_activations, device, threads: as of `ganvas train`, settled. notes: what
    was assumed.
    """

    system: str
    config: dict[str, Any]
    fields: dict[str, Any]
    precision: str = "32"
    channels_last: bool = False
    micro_batches: int = 1
    recompute_activations: bool = False
    device: str = "cpu"
    threads: int | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        specs = {name: spec_to_dict(spec) for name, spec in self.fields.items()}
        return {**dataclasses.asdict(self), "fields": specs, "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Case:
        """The inverse of `to_dict`."""
        fields = {name: spec_from_dict(spec) for name, spec in values["fields"].items()}
        return cls(**{**values, "fields": fields, "notes": tuple(values["notes"])})

    @property
    def spec(self) -> Any:
        """Of the main field."""
        return next(iter(self.fields.values()))

    @property
    def batch(self) -> int:
        """Records in a batch."""
        return int(self.config["batch_size"])

    def changed(self, *, micro_batches: int | None = None, recompute: bool = False, **config: Any) -> Case:
        """The same with other settings of the system, another number of micro-batches, or activations computed again."""
        micro = self.micro_batches if micro_batches is None else micro_batches
        again = self.recompute_activations or recompute
        return dataclasses.replace(self, config={**self.config, **config}, micro_batches=micro, recompute_activations=again)


def make_spec(kind: str, size: Any = None, channels: int | None = None, classes: int = 0) -> Spec:
    """A spec of that kind without data.

    size: pixels of a side or (height, width); samples of a sound; steps of a series; voxels of a side; symbols of a sequence;
    nodes of a graph. channels: of an image or sound, quantities of a series, symbols of an alphabet, dimensions of points.
    Raises GanvasError for two sides of what has one.
    """
    own = kind_of(kind)
    side = own.says.example_size if size is None else size
    many = own.says.example_channels if channels is None else channels
    if isinstance(side, tuple) and len(own.example(8, many).shape) != 3:
        usual = own.says.example_size
        raise GanvasError(f"--size {side[0]}x{side[1]} is for images; {kind} data has one number, as in --size {usual}")
    return own.example(side, many, tuple(f"class {i}" for i in range(classes)))


def describe(
    system: str,
    *,
    data: str | None = None,
    size: str | None = None,
    channels: int | None = None,
    classes: int | None = None,
    preset: str = "auto",
    config: Mapping[str, Any] | None = None,
    batch: int | None = None,
    budget: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
    channels_last: str = "auto",
    micro_batches: int = 1,
    recompute_activations: bool = False,
) -> Case:
    """The configuration that `ganvas train` would choose for these options: preset, precision and layout are settled as there.

    data: a path or phantom the spec is read from; without it, `make_spec`. batch: another name for the setting batch_size.
    Raises GanvasError in one line for what cannot be built.
    """
    from ..parallel import pick_device

    card, module, system_class = load_system(system)
    settings = build_settings(
        {"data": data or "", "size": size, "channels": channels, "preset": preset, "device": device, "threads": threads,
         "precision": precision, "channels_last": channels_last, "micro_batches": micro_batches,
         "recompute_activations": recompute_activations}
    )  # fmt: skip
    overrides: dict[str, Any] = dict(config or {})
    if batch is not None:
        overrides["batch_size"] = batch
    choice = choose_preset(module, preset, overrides, system_class.Config)
    if data is not None:
        check_size(settings, card, module, system_class, overrides)
    fields, records, notes = _fields_of(card, settings, data, parse_size(size), channels, classes)
    spec = next(iter(fields.values()))
    place = pick_device(device)
    settings, speed = resolve_numbers(settings, system_class, spec, callable(choice))
    if callable(choice):
        limit = parse_budget(budget)
        told = "" if limit.seconds or limit.shown else " and an hour (see --budget)"
        notes.append(f"preset 'auto' as for {records:,} records{told}")
        choice = choice(Situation(given_spec(card, fields), records, limit.seconds, speed, place.type, limit.shown))
    values = {**choice, **{key.replace("-", "_"): value for key, value in overrides.items()}}
    built = build_config(system_class.Config, values, where=f"system {card.name}")
    check_sharing(settings, built)
    chosen = {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(built).items()}
    case = Case(
        card.name if card.module else str(card.path), chosen, fields, settings.precision, settings.channels_last == "on",
        settings.micro_batches, settings.recompute_activations, str(place), settings.threads,
    )  # fmt: skip
    case, more = _with_classes(case, classes)
    if case.channels_last and channels_last == "auto":
        settings = suit_layout(settings, channels_last, build_board(case, "meta"))
        case = dataclasses.replace(case, channels_last=settings.channels_last == "on")
    return dataclasses.replace(case, notes=(*notes, *more))


def _fields_of(
    card: Any, settings: Any, data: str | None, size: Any, channels: int | None, classes: int | None
) -> tuple[dict[str, Any], int, list[str]]:
    """(specs by field, number of records, notes)."""
    if data is None:
        if size is None:
            size = parse_size(card.options.get("size"))
        for name, number in (("--size", size), ("--channels", channels), ("--classes", classes)):
            if isinstance(number, int) and number < (0 if name == "--classes" else 1):
                raise GanvasError(f"{name} {number} is too small: the least is {0 if name == '--classes' else 1}")
        wanted = card.fields or {REAL: card.data}
        # Only the main field is described by --channels and --classes; size is that of every field which has one.
        fields = {
            name: make_spec(kinds[0], size, channels if place == 0 else None, (classes or 0) if place == 0 else 0)
            for place, (name, kinds) in enumerate(wanted.items())
        }
        return fields, RECORDS, []
    from ..run.opening import check_kind, open_run_data, with_options

    dataset = open_run_data(with_options(settings, card), card=card)
    check_kind(card, data, dataset.spec.kind)
    return {name: part.spec for name, part in dataset.fields.items()}, len(dataset.train_indices()), []


def _with_classes(case: Case, classes: int | None) -> tuple[Case, list[str]]:
    """The case, with two classes where the system cannot be built without any and nobody said how many."""
    try:
        build_board(case, "meta")
        return case, []
    except GanvasError:
        if classes is not None or case.spec.classes:
            raise
        main = next(iter(case.fields))
        spec = dataclasses.replace(case.spec, classes=("class 0", "class 1"))
        other = dataclasses.replace(case, fields={**case.fields, main: spec})
        try:
            build_board(other, "meta")
        except GanvasError:
            other = case
        if other is case:
            raise
        return other, ["two classes are assumed (see --classes)"]


def build_board(case: Case, device: str) -> Any:
    """The system with fresh weights, on that device; on `meta` it has shapes and no numbers. Raises GanvasError."""
    card, _, system_class = load_system(case.system)
    config = build_config(system_class.Config, case.config)
    with shapes_only() if device == "meta" else torch.device("cpu"):
        return system_class(given_spec(card, case.fields), config)


class Blank:
    """The stream `data`: batches of zeros, of the shapes a run would deal."""

    def __init__(self, case: Case, feed: Feed) -> None:
        self.fields, self.feed = case.fields, feed
        self.own = case.batch
        self.configure()

    def configure(self, **overrides: Any) -> None:
        self.batch_size = int(overrides.get("batch_size", self.own))
        self.size = overrides.get("size")
        self.length = overrides.get("length", self.feed.options.get("length"))

    def draw(self, noise: Noise) -> Batch:
        device, count = noise.generator.device, self.batch_size
        main = next(iter(self.fields.values()))
        labels = torch.zeros(count, dtype=torch.int64, device=device) if main.classes and len(self.feed.of) < 2 else None
        names = self.feed.fields or (dict.fromkeys(self.feed.of, next(iter(self.fields))) or {n: n for n in self.fields})
        fields = {name: self._blank(self.fields[own], count, device) for name, own in names.items()}
        told = {name: torch.zeros(count, dtype=torch.int64, device=device) for name in self.feed.told}
        return Batch(noise, fields | told, labels)

    def _blank(self, spec: Any, count: int, device: Any) -> torch.Tensor:
        with _disable_current_modes():  # symbols have no numbers to turn into records
            one = encode(kind_of(spec.kind).blank(spec, 1), spec)
        shape = tuple(one.shape[1:])
        if self.length is not None:
            shape = (int(self.length),)
        elif self.size and len(shape) == 3:
            shape = (shape[0], *self.size)
        return torch.zeros(count, *shape, dtype=one.dtype, device=device)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        return None


Wrap = Callable[[Phase, Turn], Any]


def seat(case: Case, system: Any, wrap: Wrap = lambda phase, turn: turn.objective, engine_class: type = Engine) -> Engine:
    """An Engine on the system whose every phase lasts two rounds, with all turns due in both.

    Lazy turns (R1 every 16 rounds) are played in each round: one day they fall together with everything else. wrap: makes the
    objective that is played of a turn.
    """

    def short(phase: Phase) -> Phase:
        turns = tuple(
            dataclasses.replace(
                turn,
                objective=wrap(phase, turn),
                every=1,
                times=turn.times if callable(turn.times) else min(TIMES, turn.times),
            )
            for turn in phase.turns
        )
        return Phase(phase.name, turns, rounds=2, loader=phase.loader)

    phases = tuple(short(phase) for phase in system.phases())
    system.phases = lambda: phases
    streams = {name: Blank(case, feed) for name, feed in system.feeds().items()}
    return engine_class(
        system,
        streams,
        processes=Processes(torch.device(case.device)),
        precision=case.precision,
        micro_batches=case.micro_batches,
        check_every=32,
        channels_last=case.channels_last,
        recompute=case.recompute_activations,
        seed=0,
    )


def play(engine: Engine) -> None:
    """Two rounds of every phase. After the first all optimiser states exist, and are copied for roll-backs as in a run."""
    while not engine.over:
        engine.play_round()
        if not engine.over:
            engine.settle()
