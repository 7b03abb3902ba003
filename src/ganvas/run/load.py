"""Opening a run that was trained: its settings, its system with weights, its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..config import build_config, knobs
from ..errors import GanvasError, did_you_mean
from ..kinds import spec_from_dict
from ..registry import Card, find, load_system
from . import checkpoint
from .settings import FILE, Settings, build_settings, read_yaml


@dataclass
class RunRecord:
    """What `config.yaml` of a run says. Reading it imports no torch.

    attempt: how often the run was started again because of an alarm; each attempt has a seed of its own, and the split of
    the data stays that of the first.
    """

    path: Path
    card: Card
    settings: Settings
    config: dict[str, Any]
    fields: dict[str, Any]
    data: dict[str, Any]
    attempt: int = 0

    @property
    def spec(self) -> Any:
        """Of the main field: what the system makes."""
        return next(iter(self.fields.values()))

    @property
    def seed(self) -> int:
        """Of weights, order and noise in this attempt."""
        return (self.settings.seed + 104_729 * self.attempt) % 2**31


def read_run(path: Path | str) -> RunRecord:
    """The settings of a run folder. Raises GanvasError when it is not one."""
    path = Path(path)
    if not path.exists():
        raise GanvasError(f"{path}: no such run folder")
    if not (path / FILE).is_file():
        raise GanvasError(f"{path}: not a run folder (it has no {FILE}); runs are made by  ganvas train")
    values = read_yaml(path / FILE)
    try:
        card = _card(path, str(values["system"]), values.get("system_file"))
        fields = {str(name): spec_from_dict(spec) for name, spec in values["fields"].items()}
        settings = build_settings(values["run"], where=str(path / FILE))
        place = values["data"].get("place")
        # Named relative to another working folder: the place is the same, and a wrong one would not have its fingerprint.
        if place and str(place) != place_of(settings.data) and Path(str(place)).exists():
            settings = replace(settings, data=str(place))
        attempt = int(values.get("attempt", 0))
        return RunRecord(path, card, settings, dict(values["config"]), fields, dict(values["data"]), attempt)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GanvasError(f"{path / FILE}: incomplete or changed by hand ({error})") from error


def place_of(data: str) -> str | None:
    """Where data lies that a user named, absolute; None for phantoms and for what is not there."""
    path = Path(data).expanduser()
    try:
        return str(path.absolute()) if path.exists() else None
    except OSError:
        return None


def _card(path: Path, name: str, file: Any) -> Card:
    """The card of a run's system. A run made with a system file needs that file named again: code is never taken from a run."""
    if name.endswith(".py"):
        raise GanvasError(f"{path / FILE}: 'system: {name}' is a file; a run names a system, the user names its file")
    try:
        return find(name)
    except GanvasError:
        if file is None:
            raise
        raise GanvasError(
            f"{path} was trained with the system file {file}, which is not part of ganvas: name it again, with  --system PATH  "
            f"(ganvas sample) or as SYSTEM (ganvas train PATH --resume {path})"
        ) from None


def given_spec(card: Card, fields: Mapping[str, Any]) -> Any:
    """What a system is built from: the spec of its records, or, where these have several fields, the spec of each by name."""
    return dict(fields) if card.fields else next(iter(fields.values()))


def build_system(record: RunRecord, changes: Mapping[str, Any] | None = None) -> Any:
    """The run's system with fresh weights, on the CPU. changes: settings that a trained run takes (`knob(later=True)`).

    Raises GanvasError for a change of any other setting.
    """
    _, _, system_class = load_system(str(record.card.path) if not record.card.module else record.card.name)
    config_class = system_class.Config
    config = build_config(config_class, record.config, where=str(record.path / FILE))
    if changes:
        changed = vars(build_config(config_class, dict(changes), where="--set"))  # says what is wrong with names and values
        later = [k.name for k in knobs(config_class) if k.later]
        for name in (key.replace("-", "_") for key in changes):
            if name not in later:
                which = f"may be changed now: {', '.join(later)}" if later else "nothing of it can be changed now"
                raise GanvasError(f"--set {name}: it was fixed when {record.path} was trained; {which}")
            config = replace(config, **{name: changed[name]})
    return system_class(given_spec(record.card, record.fields), config)


def put_weights(system: Any, weights: dict[str, Any], where: Path) -> None:
    """Load weights into a system. Raises GanvasError naming the first tensor that does not fit."""
    own = system.state_dict()
    for name in own.keys() | weights.keys():
        if name not in own or name not in weights or own[name].shape != weights[name].shape:
            raise GanvasError(f"{where}: its weights do not fit this system (first difference: '{name}')")
    system.load_state_dict(weights)


class Run:
    """A trained run. `ganvas.load("runs/cxr").sample(64)` -> (64, H, W, C) array in file units."""

    def __init__(
        self,
        path: Path | str,
        *,
        which: str = "last",
        device: str = "cpu",
        system: str | Path | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        from ..parallel import pick_device

        if system is not None:
            find(str(system))
        self.record = read_run(path)
        loaded = checkpoint.load(self.record.path, which)
        if loaded is None:
            raise GanvasError(f"{path} has no checkpoint yet: go on with  ganvas train --resume {path}")
        weights, _, self.manifest = loaded
        self.system = build_system(self.record, config)
        if any(t.is_floating_point() and t.dtype.itemsize == 8 for t in weights.values()):
            self.system.double()
        put_weights(self.system, weights, self.record.path)
        self.system.to(pick_device(device)).eval()
        self.spec = self.record.spec

    def sample(
        self,
        count: int,
        *,
        seed: int = 0,
        label: str | int | None = None,
        depth: int | None = None,
        moves: Mapping[str, float] | None = None,
    ) -> Any:
        """`count` new records in file units: images (N, H, W, C) in uint8/uint16/float32, points (N, D) float32.

        label: a class name or index, for systems that take one; without it they make the classes in turn (`labels_for`).
        depth: 8, 16 or 32 bits, the data's own by default.
        moves: by how many standard deviations latents are moved along directions with names, such as {"brightness": 2}
        (`ganvas.inference.directions`). Raises GanvasError for a label or a direction the run does not know.
        """
        import numpy as np
        import torch

        from ..capabilities import names_of
        from ..inference.directions import directions_of, move_along
        from ..inference.sampling import draw_samples
        from ..kinds import decode

        if "sample" not in names_of(self.system):
            raise GanvasError(
                f"{self.record.path}: {self.record.card.name} makes nothing from noise alone: give it images, with  "
                f"ganvas apply {self.record.path} FILE ..."
            )
        chosen = self.labels_for(count, label)
        labels = None if chosen is None else torch.from_numpy(chosen)
        move = move_along(directions_of(self), moves) if moves else None
        drawn = draw_samples(self.system, count, seed=seed, labels=labels, move=move)
        pieces = [decode(x, self.spec, depth) for x in drawn]
        return np.concatenate(pieces)

    def assemble(self, count: int = 1, *, seed: int = 0) -> Any:
        """`count` things of many records in file units (count, records, ...): graphs of as many edges as were learnt from.

        Raises GanvasError for a system that makes records one by one.
        """
        import torch

        from ..capabilities import Assembles
        from ..kinds import decode

        if not isinstance(self.system, Assembles):
            raise GanvasError(f"{self.record.path}: {self.record.card.name} makes records one by one: draw them with sample()")
        with torch.no_grad():
            made = self.system.assemble(count, self._noise(seed), int(self.record.data["train"]))
        return decode(made, self.spec)

    def link_scores(self, pairs: Any, *, seed: int = 0) -> Any:
        """How likely pairs of nodes (K, 2) are to be joined, (K,) float; the larger the likelier. For graphs.

        Raises GanvasError for a system that does not score links.
        """
        import torch

        from ..capabilities import ScoresLinks
        from ..kinds import encode

        if not isinstance(self.system, ScoresLinks):
            raise GanvasError(f"{self.record.path}: {self.record.card.name} does not score links")
        noise = self._noise(seed)
        with torch.no_grad():
            return self.system.link_scores(encode(pairs, self.spec, noise.generator.device), noise).cpu().numpy()

    def labels_for(self, count: int, label: str | int | None = None) -> Any:
        """Which classes `sample` asks for: (count,) int64 indices into `spec.classes`, or None for a system without labels.

        label: one for all; without it the classes come in turn, so that each is there as often as any other. Raises GanvasError
        for a class the run does not know.
        """
        import numpy as np

        if label is not None:
            return np.full(count, self.class_index(label), np.int64)
        if not self.spec.classes or getattr(self.system, "classes", 0) == 0:
            return None
        return np.arange(count, dtype=np.int64) % len(self.spec.classes)

    def _noise(self, seed: int) -> Any:
        import torch

        from ..batches import Noise

        parameter = next(self.system.parameters())
        return Noise(torch.Generator(device=parameter.device).manual_seed(seed), dtype=parameter.dtype)

    def class_index(self, label: str | int) -> int:
        """The index of a class given by name or number. Raises GanvasError when the run has no such class."""
        classes = self.spec.classes
        if not classes:
            raise GanvasError(f"{self.record.path}: its data had no labels, so --label means nothing here")
        if self.system.classes == 0:
            raise GanvasError(f"'{self.record.card.name}' does not take labels: use cgan for samples of one class")
        if str(label) in classes:
            return classes.index(str(label))
        if str(label).lstrip("-").isdigit():
            if 0 <= int(label) < len(classes):
                return int(label)
            raise GanvasError(f"--label {label} is out of range: classes are 0 to {len(classes) - 1}")
        raise GanvasError(f"unknown label '{label}'{did_you_mean(str(label), list(classes))}; classes: {', '.join(classes)}")
