"""What is compared with what: a run, a folder or an array becomes samples; real data becomes a training and a held-out part.

Both sides leave here in one form (`Sets`): images of one size, one number of channels and one number format, or points.
Not for measuring, and not for training data that is larger than memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, GanvasError

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..run.load import Run

SAMPLES = 1000  # drawn from a run when no number is given


@dataclass(frozen=True)
class Part:
    """Records of one kind. values: images (N, H, W, C) uint8 or uint16, or points (N, D) float32. labels: (N,) int64, an
    index into the classes of the real data, or None. groups: (N,) int64; equal numbers belong together."""

    values: np.ndarray
    labels: np.ndarray | None
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: np.ndarray) -> Part:
        """The records at these places."""
        return Part(self.values[index], None if self.labels is None else self.labels[index], self.groups[index])


@dataclass
class Sets:
    """The sides of an evaluation.

    generated, train, heldout: the parts. kind: `image` or `points`. classes: of the real data. names: what each side is, as
    the user named it. untrained: samples of the same system with fresh weights (runs only). split: how the held-out part
    came about: `given`, `run` (kept out when the run trained), `declared` (by the data) or `now` (for this evaluation).
    extractors: names of extractors the generator was trained with, which must not judge it. notes: for the reader.
    """

    generated: Part
    train: Part
    heldout: Part
    kind: str
    classes: tuple[str, ...]
    names: dict[str, str]
    split: str
    untrained: np.ndarray | None = None
    extractors: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    asked: bool = False  # labels of the samples are what the generator was asked for
    phantom: str = ""  # the name of the phantom that the real data is, if it is one

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        return int(self.train.values.shape[1]), int(self.train.values.shape[2])


def open_sets(
    fake: Any,
    real: Any = None,
    heldout: Any = None,
    *,
    count: int | None = None,
    size: Any = None,
    seed: int = 0,
    which: str = "last",
    device: str = "cpu",
    system: Any = None,
    progress: bool = True,
) -> Sets:
    """Open both sides. fake: a run, or what `ganvas.open_data` takes; real: likewise (default for a run: its own data).

    heldout: real records the generator never saw; without it the run's own held-out part, or that of the real data
    (`groups.csv`, else a fifth of the groups is split off now). count: samples to draw from a run, or at most to take.
    size: the resolution both sides are brought to (default: the samples' own). which, device, system: as for `ganvas.load`.

    Raises GanvasError or DataError when sides do not fit together.
    """
    from ..data.phantoms import is_phantom
    from ..run.settings import FILE

    notes: list[str] = []
    run = None
    if isinstance(fake, str | Path) and (Path(fake) / FILE).is_file():
        from ..run.load import Run

        run = Run(fake, which=which, device=device, system=system)
    if real is None and run is None:
        raise GanvasError("--real is missing: name the real data the samples are compared with")
    if count is not None and count < 10:
        raise GanvasError(f"-n {count} is too few to judge: 10 or more")
    if run is not None:
        dataset = _data_of(run, real, size, progress)
        fakes, untrained, asked = _draw(run, dataset, count or SAMPLES, seed)
        part = _part(fakes[0], run.spec, dataset.spec, labels=fakes[1])
        extractors = run.system.extractors
        bare = None if untrained is None else _part(untrained, run.spec, dataset.spec).values
    else:
        # Another seed than that of the real side: one phantom on both sides must not give the same records.
        made = _open(fake, "the samples", size=size, heldout=0.0, seed=seed + 1_000_003, progress=progress)
        dataset = _real_for(made, real, heldout is not None, seed, progress, notes)
        chosen = np.arange(len(made)) if count is None or count >= len(made) else _random(len(made), count, seed)
        labels = _labels_like(made, dataset)
        part = _part(made.values[chosen], made.spec, dataset.spec, labels=None if labels is None else labels[chosen])
        bare, extractors, asked = None, (), labels is not None
        notes += made.notes
        if _same_place(fake, real):
            notes.append("samples and real data are the same: this measures nothing but the metrics themselves")
    train, held, split = _parts(dataset, heldout, run, seed, progress)
    names = {"fake": _name(fake), "real": _name(real) if real is not None else dataset.source}
    if heldout is not None:
        names["heldout"] = _name(heldout)
    if split == "now":
        notes.append(
            f"no held-out data was named: {len(held)} of {len(held) + len(train)} real records were set apart now; if the "
            "generator was trained on them too, the audit cannot see copies of them"
        )
    source = str(dataset.source)
    phantom = source if is_phantom(source) and not Path(source).exists() else ""
    sets = Sets(
        part, train, held, dataset.spec.kind, dataset.spec.classes, names, split, bare, extractors, notes, asked, phantom
    )
    return _alike(sets)


def _alike(sets: Sets) -> Sets:
    """16 bits on every side when one side has them."""
    sides = [part.values for part in (sets.generated, sets.train, sets.heldout)]
    if len({values.dtype for values in sides}) > 1:
        wide = [values if values.dtype == np.uint16 else values.astype(np.uint16) * 257 for values in sides]
        sets.generated, sets.train, sets.heldout = (
            replace(part, values=v) for part, v in zip((sets.generated, sets.train, sets.heldout), wide, strict=True)
        )
    return sets


def _open(source: Any, what: str, **settings: Any) -> Dataset:
    from ..data.dataset import open_data

    try:
        return open_data(source, **settings)
    except DataError as error:
        raise DataError(f"{what}: {error}" if isinstance(source, np.ndarray) else str(error)) from error


def _data_of(run: Run, real: Any, size: Any, progress: bool) -> Dataset:
    from ..run.opening import open_run_data

    settings = run.record.settings
    if size is not None:
        raise GanvasError("--size does not go with a run: its samples are judged at the size it was trained at")
    if real is None and settings.data == "array":
        raise GanvasError(f"{run.record.path} was trained on an array in memory: name the real data with --real")
    dataset: Dataset = open_run_data(settings, source=real, progress=progress)
    theirs, ours = dataset.spec, run.spec
    if theirs.kind != ours.kind or theirs.shape != ours.shape:
        raise GanvasError(f"{run.record.path} makes {_shape(ours)}, {dataset.source} holds {_shape(theirs)}: name its own data")
    return dataset


def _real_for(made: Dataset, real: Any, all_train: bool, seed: int, progress: bool, notes: list[str]) -> Dataset:
    share = 0.0 if all_train else 0.2
    if made.spec.kind == "points":
        dataset = _open(real, "the real data", heldout=share, seed=seed, progress=progress)
        if dataset.spec.shape != made.spec.shape:
            raise GanvasError(f"the samples are {_shape(made.spec)}, the real data {_shape(dataset.spec)}: they do not compare")
        return dataset
    height, width, channels = made.values.shape[1:]
    common: dict[str, Any] = {"size": (height, width), "heldout": share, "seed": seed, "progress": progress}
    dataset = _open(real, "the real data", **common)
    if dataset.spec.kind != "image":
        raise GanvasError(f"the samples are images, the real data {_shape(dataset.spec)}: they do not compare")
    theirs = dataset.values.shape[3]
    if theirs != channels:
        if {theirs, channels} - {1, 3}:
            raise GanvasError(f"the samples have {channels} channels, the real data {theirs}: bring them to one number first")
        dataset = _open(real, "the real data", channels=channels, **common)
        notes.append(f"the real data was turned from {theirs} to {channels} channels, as the samples have")
    return dataset


def _parts(
    dataset: Dataset, heldout: Any, run: Run | None, seed: int, progress: bool
) -> tuple[Part, Part, str]:  # fmt: skip
    """(training part, held-out part, how the split came about)."""
    everything = _part(np.asarray(dataset.values), dataset.spec, dataset.spec, labels=dataset.labels, groups=dataset.groups)
    if heldout is None:
        kept, rest = dataset.heldout_indices(), dataset.train_indices()
        if not len(kept) or not len(rest):
            raise GanvasError(
                f"{dataset.source} has no held-out part to compare with: name one with --heldout, or train with --heldout 0.2"
            )
        known = run is not None and dataset.fingerprint == run.record.data["fingerprint"]
        how = "run" if known else "declared" if dataset.declared_split else "now"
        return everything.take(rest), everything.take(kept), how
    settings: dict[str, Any] = {"heldout": 0.0, "seed": seed, "progress": progress}
    if dataset.spec.kind == "image":
        settings |= {"size": dataset.values.shape[1:3], "channels": int(dataset.values.shape[3])}
        if dataset.values.shape[3] not in (1, 3):
            settings["channels"] = None
    other = _open(heldout, "the held-out data", **settings)
    if other.spec.shape != dataset.spec.shape:
        raise GanvasError(
            f"the held-out data is {_shape(other.spec)}, the real data {_shape(dataset.spec)}: they do not compare"
        )
    held = _part(
        np.asarray(other.values),
        other.spec,
        dataset.spec,
        labels=_labels_like(other, dataset),
        groups=other.groups + 1_000_000_000,
    )
    return everything.take(dataset.train_indices()), held, "given"


def _draw(
    run: Run, dataset: Dataset, count: int, seed: int
) -> tuple[tuple[np.ndarray, np.ndarray | None], np.ndarray | None, bool]:  # fmt: skip
    """((samples in file units, their labels), as many of the untrained system, whether labels were asked for)."""
    import torch

    from ..batches import decode
    from ..inference.sampling import draw_samples
    from ..run.load import build_system

    labels = None
    if getattr(run.system, "classes", 0) and dataset.labels is not None:
        # The classes in the proportions of the training data, as the reference has them.
        pool = dataset.labels[dataset.train_indices()]
        labels = np.random.default_rng([seed, 0xE7A1]).choice(pool, count)
    given = None if labels is None else torch.from_numpy(labels)

    def drawn(system: Any) -> np.ndarray:
        return np.concatenate([decode(x, run.spec) for x in draw_samples(system, count, seed=seed, labels=given)])

    samples = drawn(run.system)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.record.settings.seed)
        fresh = build_system(run.record).eval()
    return (samples, labels), drawn(fresh), labels is not None


def _part(
    values: np.ndarray, spec: Any, common: Any, *, labels: np.ndarray | None = None, groups: np.ndarray | None = None
) -> Part:
    """Values of `spec` in the common form: 8 bits where both are plain 8-bit images, else 16 bits over the common range."""
    n = len(values)
    places = np.arange(n) if groups is None else np.asarray(groups)
    if common.kind == "points":
        return Part(np.asarray(values, np.float32), labels, places)
    eight = all(s.depth == 8 and s.low == 0 and s.high == 255 for s in (spec, common))
    if eight and values.dtype == np.uint8:
        return Part(np.ascontiguousarray(values), labels, places)
    # Files of like depth share the real data's range (a window, a volume's own); others are stretched from theirs.
    low, high = (common.low, common.high) if spec.depth == common.depth else (spec.low, spec.high)
    unit = (values.astype(np.float64) - low) / max(high - low, 1e-12)
    return Part(np.round(np.clip(unit, 0, 1) * 65535).astype(np.uint16), labels, places)


def _labels_like(other: Dataset, dataset: Dataset) -> np.ndarray | None:
    """Labels of `other` as indices into the classes of `dataset`; None when a class is unknown there."""
    if other.labels is None or dataset.labels is None:
        return None
    index = {name: i for i, name in enumerate(dataset.spec.classes)}
    if any(name not in index for name in other.spec.classes):
        return None
    return np.array([index[name] for name in other.spec.classes], np.int64)[other.labels]


def _random(count: int, wanted: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng([seed, 0x5E7]).choice(count, wanted, replace=False))


def _same_place(a: Any, b: Any) -> bool:
    if not isinstance(a, str | Path) or not isinstance(b, str | Path):
        return False
    return Path(a).expanduser().resolve() == Path(b).expanduser().resolve()


def _name(source: Any) -> str:
    return f"array {source.shape}" if isinstance(source, np.ndarray) else str(getattr(source, "source", source))


def _shape(spec: Any) -> str:
    if spec.kind == "points":
        return f"points of {spec.dimensions} numbers"
    return f"images of {spec.height}x{spec.width} pixels and {spec.channels} channel{'s' if spec.channels > 1 else ''}"
