"""A system on a board of its own: the smallest records of the kinds that its card names, small settings, an Engine.

The records are those of the kinds' own `example` and `blank`; their classes are `first`, `second` and `third`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import build_config, knobs
from ..data.dataset import Dataset, Field
from ..errors import GanvasError
from ..kinds import Kind, kind_of
from ..kinds.facets import Whole, WritesLike
from ..registry import Card, find, load_system, read_card
from ..specs import REAL

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch, Noise
    from ..engine import Engine
    from ..game import System

CLASSES = ("first", "second", "third")
NAMED = {"first": "first", "second": "second", "normal": "first", "target": "third", "style": "third"}
"""Settings that name classes of the data."""
SMALL = {
    "width": 4, "latent_size": 3, "layers": 1, "batch_size": 8, "critic_turns": 2, "search_steps": 3,
    "pool_size": 4, "blocks": 1, "generated_size": 8,
}  # fmt: skip
"""Settings of usual names that cost time, made small; others are given by hand."""
RECORDS, BATCH = 24, 8


@dataclass
class Subject:
    """A system that is checked: its card, module and class. settings: given by hand, in place of what `SMALL` says.
    device: where it plays."""

    card: Card
    module: Any
    system_class: Any
    settings: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"


def subject_of(system: Any, settings: Mapping[str, Any] | None = None, device: str = "cpu") -> Subject:
    """system: a name, a path FILE.py, or a class of `System`, whose file has the card. Raises GanvasError in one line."""
    if not isinstance(system, type):
        card, module, found = load_system(str(system))
        return Subject(card, module, found, dict(settings or {}), device)
    try:
        path = Path(inspect.getfile(system))
    except (OSError, TypeError) as error:
        raise GanvasError(f"{system.__name__}: was not read from a file: give the path of one") from error
    module = sys.modules[system.__module__]
    known = module.__name__.startswith("ganvas.systems.")
    card = find(path.stem) if known else read_card(path, module=system.__module__)
    return Subject(card, module, system, dict(settings or {}), device)


@dataclass
class Case:
    """A subject on records whose main field is of one kind. kind: its name."""

    subject: Subject
    kind: str

    @property
    def card(self) -> Card:
        return self.subject.card

    @property
    def file(self) -> str:
        """Its file's name, for messages."""
        return self.card.path.name

    def given(self, size: Any = None, channels: int | None = None) -> Any:
        """What the system is built from, a spec or one a field. size, channels: of the main field, where not the smallest."""
        main = kind_of(self.kind)
        small = small_of(main)
        size, channels = small[0] if size is None else size, small[1] if channels is None else channels
        spec = main.example(size, channels, CLASSES)
        if not self.card.fields:
            return spec
        fields = {name: kind_of(self.kind if name == next(iter(self.card.fields)) else able[0])
                  for name, able in self.card.fields.items()}  # fmt: skip
        found = {}
        for place, (name, kind) in enumerate(fields.items()):
            own, many = small_of(kind)
            # What lies side by side in space is of one size.
            alike = spread_of(kind) == spread_of(main) > 0
            found[name] = spec if place == 0 else kind.example(size if alike else own, channels if kind is main else many)
        return found

    def config(self, small: bool = True) -> Any:
        """Defaults, with every size that costs time made small unless not wanted. Raises GanvasError for an odd setting."""
        config_class = self.subject.system_class.Config
        usual = NAMED | (SMALL if small else {})
        values = {knob.name: usual[knob.name] for knob in knobs(config_class) if knob.name in usual}
        given = {key.replace("-", "_"): value for key, value in self.subject.settings.items()} if small else {}
        return build_config(config_class, values | given)

    def system(self, given: Any = None) -> System:
        """The system with fresh weights, small."""
        made: System = self.subject.system_class(self.given() if given is None else given, self.config())
        return made

    def board(self, seed: int = 0) -> Engine:
        """The system, small, and an Engine with streams of tiny data."""
        import torch

        from ..data.streams import open_stream
        from ..engine import Engine
        from ..parallel import Processes, pick_device

        torch.manual_seed(seed)
        device = pick_device(self.subject.device)
        system = self.system().to(device)
        data = tiny_data(system.spec)
        streams = {name: open_stream(data, feed, BATCH, seed=seed) for name, feed in system.feeds().items()}
        return Engine(system, streams, processes=Processes(device), seed=seed, check_every=2)


def small_of(kind: Kind) -> tuple[Any, int]:
    """(size, channels) of the smallest records of a kind that networks suit."""
    return kind.says.small or (kind.says.example_size, kind.says.example_channels)


def spread_of(kind: Kind) -> int:
    """How many axes of its tensors lie side by side in space."""
    return kind.spread if isinstance(kind, WritesLike) else 0


def tiny_data(given: Any) -> Dataset:
    """A data set of a few random records. given: what the system is built from, a spec or one for each field."""
    specs = given if isinstance(given, dict) else {REAL: given}
    rng = np.random.default_rng(0)
    fields = {name: Field(spec, kind_of(spec.kind).blank(spec, RECORDS, rng)) for name, spec in specs.items()}
    main = main_spec(given)
    labelled = bool(main.classes) and not isinstance(kind_of(main.kind), Whole)
    labels = np.arange(RECORDS) % len(CLASSES) if labelled else None
    return Dataset(fields, labels, np.arange(RECORDS) // 2, np.zeros(RECORDS, bool), "tiny", "tiny")


def tiny_batch(system: Any, noise: Noise) -> Batch:
    """Eight records in the form that the system asks for."""
    from ..data.streams import open_stream

    made: Batch = open_stream(tiny_data(system.spec), system.feeds()["data"], BATCH).example(BATCH, noise)
    return made


def main_spec(given: Any) -> Any:
    """Of what the system makes."""
    return next(iter(given.values())) if isinstance(given, dict) else given


def everything(engine: Engine) -> dict[str, Tensor]:
    """A copy of all that a checkpoint keeps, by name: weights and buffers, states of the optimisers, the noise."""
    import torch

    found = {name: tensor.clone() for name, tensor in engine.system.state_dict().items()}
    for player, facts in engine.state()["players"].items():
        for parameter, values in facts["optimiser"].items():
            found |= {f"{player}/{parameter}/{key}": torch.as_tensor(value).clone() for key, value in values.items()}
    found["noise"] = engine.noise.generator.get_state()
    return found
