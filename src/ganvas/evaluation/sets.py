"""What is compared with what: a run, a folder or an array becomes samples; real data becomes a training and a held-out part.

Both sides leave here in one form (`Sets`): what is looked at (`facets.Seen`) in one size, number of channels and number format,
of any other kind features, with the records that they are of.
Not for measuring, and not for training data that is larger than memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, GanvasError
from ..kinds import describe, kind_of
from ..kinds.facets import Measured, Paired, Seen, Whole
from ..uses import ALL, Judged, build_options, uses_of
from ..uses.judging import random_rows

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..metrics.measure import Measure
    from ..run.load import Run

SAMPLES = 1000  # drawn from a run when no number is given


@dataclass(frozen=True)
class Part:
    """Records of one kind. values: pictures (N, H, W, C) uint8 or uint16, of other kinds features (N, D) float32. labels: (N,)
    int64, an index into the classes of the real data, or None. groups: (N,) int64; equal numbers belong together. records:
    those that values are features of, and their spec; None where values are the records."""

    values: np.ndarray
    labels: np.ndarray | None
    groups: np.ndarray
    records: tuple[np.ndarray, Any] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: np.ndarray) -> Part:
        """The records at these places."""
        records = None if self.records is None else (self.records[0][index], self.records[1])
        return Part(self.values[index], None if self.labels is None else self.labels[index], self.groups[index], records)


@dataclass
class Sets:
    """The sides of an evaluation.

    generated, train, heldout: the parts. kind: its name. classes: of the real data. names: what each side is, as
    the user named it. untrained: samples of the same system with fresh weights (runs only). split: how the held-out part
    came about: `given`, `run` (kept out when the run trained), `declared` (by the data) or `now` (for this evaluation).
    extractors: names of extractors the generator was trained with, which must not judge it. notes: for the reader. checkpoint:
    of a run, which weights drew the samples (`which`, `round`, `samples`). beside: what is had of the same records without the
    run, by name; words: what that is. families: of numbers that say something of the samples (`uses.ALL`).
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
    originals: np.ndarray | None = None  # (N, ...) records that the samples stand for, where these are restored or translated
    measures: dict[str, Measure] = field(default_factory=dict)  # what was measured on the way
    checkpoint: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, Part] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    families: tuple[str, ...] = ALL

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
    to: str | None = None,
    kind: str | None = None,
    progress: bool = True,
) -> Sets:
    """Open both sides. fake: a run, or what `ganvas.open_data` takes; real: likewise (default for a run: its own data).

    heldout: real records the generator never saw; without it the run's own held-out part, or that of the real data
    (`groups.csv`, else a fifth of the groups is split off now). count: samples to draw from a run, or at most to take.
    size: the resolution both sides are brought to (default: the samples' own). which, device, system: as for `ganvas.load`.
    kind: what both sides are, where their files leave it open (`series` in CSV). to: for a run that translates, the class it
    translates to (default: the last of its domains). Such a run is judged by translated held-out records, one that restores
    by held-out records which are degraded and restored.

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
    originals: np.ndarray | None = None
    measures: dict[str, Measure] = {}
    beside: dict[str, Part] = {}
    words: dict[str, str] = {}
    families: tuple[str, ...] = ALL
    if to is not None and run is None:
        raise GanvasError("--to is for a run that translates")
    if run is not None:
        dataset = _data_of(run, real, size, progress)
        made, measures = _make(run, dataset, count or SAMPLES, seed, to)
        dataset, asked, extractors = made.dataset, made.labels is not None, run.system.extractors
        part = _part(made.values, run.spec, dataset.spec, labels=made.labels)
        bare = _part(made.untrained, run.spec, dataset.spec).values
        beside = {name: _part(one.values, run.spec, dataset.spec) for name, one in made.beside.items()}
        words, families = {name: one.words for name, one in made.beside.items()}, made.families
        own = kind_of(dataset.spec.kind)
        if made.originals is not None and isinstance(own, Paired):
            originals = own.common(made.originals, run.spec, dataset.spec) if isinstance(own, Seen) else made.originals
        notes += made.notes
    else:
        # Another seed than that of the real side: one phantom on both sides must not give the same records.
        wanted = () if kind is None else (kind,)
        named = _open(fake, "the samples", size=size, heldout=0.0, seed=seed + 1_000_003, progress=progress, kinds=wanted)
        if kind is not None and named.spec.kind != kind:
            raise GanvasError(f"{_name(fake)} holds {describe(named.spec)}, not {kind_of(kind).says.noun}")
        dataset = _real_for(named, real, heldout is not None, seed, progress, notes)
        chosen = np.arange(len(named)) if count is None or count >= len(named) else random_rows(len(named), count, seed)
        labels = _labels_like(named, dataset)
        part = _part(named.values[chosen], named.spec, dataset.spec, labels=None if labels is None else labels[chosen])
        bare, extractors, asked = None, (), labels is not None
        notes += named.notes
        if _same_place(fake, real):
            notes.append("samples and real data are the same: this measures nothing but the metrics themselves")
    train, held, split = _parts(dataset, heldout, run, seed, progress)
    own = kind_of(dataset.spec.kind)
    if isinstance(own, Measured) and part.records is not None and train.records is not None and held.records is not None:
        measures = {**measures, **own.measures(part.records, train.records, held.records, seed)}
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
        generated=part,
        train=train,
        heldout=held,
        kind=dataset.spec.kind,
        classes=dataset.spec.classes,
        names=names,
        split=split,
        untrained=bare,
        extractors=extractors,
        notes=notes,
        asked=asked,
        phantom=phantom,
        originals=originals,
        measures=measures,
        checkpoint={} if run is None else {"which": which, **{key: run.manifest.get(key) for key in ("round", "samples")}},
        beside=beside,
        words=words,
        families=families,
    )
    return _alike(sets)


def _alike(sets: Sets) -> Sets:
    """16 bits on every side when one side has them."""
    sides = [sets.generated, sets.train, sets.heldout, *sets.beside.values()]
    if len({part.values.dtype for part in sides}) > 1:
        wide = [
            part if part.values.dtype == np.uint16 else replace(part, values=part.values.astype(np.uint16) * 257)
            for part in sides
        ]
        sets.generated, sets.train, sets.heldout = wide[:3]
        sets.beside = dict(zip(sets.beside, wide[3:], strict=True))
        if sets.originals is not None and sets.originals.dtype != np.uint16:
            sets.originals = sets.originals.astype(np.uint16) * 257
    return sets


def _open(source: Any, what: str, **settings: Any) -> Dataset:
    from ..data.dataset import open_data

    try:
        return open_data(source, **settings)
    except DataError as error:
        raise DataError(f"{what}: {error}" if isinstance(source, np.ndarray) else str(error)) from error


def _data_of(run: Run, real: Any, size: Any, progress: bool) -> Dataset:
    from ..run.opening import data_of

    if size is not None:
        raise GanvasError("--size does not go with a run: its samples are judged at the size it was trained at")
    if real is None and run.record.settings.data == "array":
        raise GanvasError(f"{run.record.path} was trained on an array in memory: name the real data with --real")
    dataset: Dataset = data_of(run.record, source=real, progress=progress)
    theirs, ours = dataset.spec, run.spec
    if theirs.kind != ours.kind or theirs.shape != ours.shape:
        raise GanvasError(
            f"{run.record.path} makes {describe(ours)}, {dataset.source} holds {describe(theirs)}: name its own data"
        )
    return dataset


def _real_for(made: Dataset, real: Any, all_train: bool, seed: int, progress: bool, notes: list[str]) -> Dataset:
    share = 0.0 if all_train else 0.2
    kind = kind_of(made.spec.kind)
    if not isinstance(kind, Seen):
        length = None if isinstance(kind, Whole) else made.values.shape[1]
        same = {"size": length, "rate": getattr(made.spec, "rate", None), "kinds": (kind.name,)}
        dataset = _open(real, "the real data", heldout=share, seed=seed, progress=progress, **same)
        if dataset.spec.kind != kind.name or dataset.spec.shape != made.spec.shape:
            raise _differ(made.spec, dataset.spec)
        return dataset
    height, width, channels = made.values.shape[1:]
    common: dict[str, Any] = {"size": (height, width), "heldout": share, "seed": seed, "progress": progress}
    dataset = _open(real, "the real data", **common)
    if dataset.spec.kind != kind.name:
        raise _differ(made.spec, dataset.spec)
    theirs = dataset.values.shape[3]
    if theirs != channels:
        if {theirs, channels} - {1, 3}:
            raise GanvasError(f"the samples have {channels} channels, the real data {theirs}: bring them to one number first")
        dataset = _open(real, "the real data", channels=channels, **common)
        notes.append(f"the real data was turned from {theirs} to {channels} channels, as the samples have")
    return dataset


def _differ(made: Any, real: Any) -> GanvasError:
    return GanvasError(f"the samples are {describe(made)}, the real data {describe(real)}: they do not compare")


def _parts(
    dataset: Dataset, heldout: Any, run: Run | None, seed: int, progress: bool
) -> tuple[Part, Part, str]:  # fmt: skip
    """(training part, held-out part, how the split came about)."""
    everything = _part(np.asarray(dataset.values), dataset.spec, dataset.spec, labels=dataset.labels, groups=dataset.groups)
    own = kind_of(dataset.spec.kind)
    if heldout is not None and isinstance(own, Whole):
        raise GanvasError(
            f"--heldout does not go with {kind_of(dataset.spec.kind).says.noun}: a part of the real one is held out"
        )
    if heldout is None:
        kept, rest = dataset.heldout_indices(), dataset.train_indices()
        if not len(kept) or not len(rest):
            raise GanvasError(
                f"{dataset.source} has no held-out part to compare with: name one with --heldout, or train with --heldout 0.2"
            )
        known = run is not None and dataset.fingerprint == run.record.data["fingerprint"]
        how = "run" if known else "declared" if dataset.declared_split else "now"
        if isinstance(own, Whole):  # what is held out is described within what was learnt from
            train = _part(np.asarray(dataset.values[rest]), dataset.spec, dataset.spec)
            unseen = np.asarray(dataset.values[kept])
            beside = own.vectors_beside(unseen, np.asarray(dataset.values[rest]), dataset.spec)
            return train, replace(everything.take(kept), values=beside), how
        return everything.take(rest), everything.take(kept), how
    settings: dict[str, Any] = {"heldout": 0.0, "seed": seed, "progress": progress}
    if isinstance(own, Seen):
        settings |= own.alike(dataset.values)
    else:
        settings |= {"size": dataset.values.shape[1], "kinds": (own.name,), "rate": getattr(dataset.spec, "rate", None)}
    other = _open(heldout, "the held-out data", **settings)
    if other.spec.shape != dataset.spec.shape:
        raise GanvasError(
            f"the held-out data is {describe(other.spec)}, the real data {describe(dataset.spec)}: they do not compare"
        )
    held = _part(
        np.asarray(other.values),
        other.spec,
        dataset.spec,
        labels=_labels_like(other, dataset),
        groups=other.groups + 1_000_000_000,
    )
    return everything.take(dataset.train_indices()), held, "given"


def _make(run: Run, dataset: Dataset, count: int, seed: int, to: str | None) -> tuple[Judged, dict[str, Measure]]:
    """Let the run, and the same system with fresh weights, do what it is for; and what is measured on the way."""
    import torch

    from ..run.load import build_system

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.record.settings.seed)
        parameter = next(run.system.parameters())
        fresh = build_system(run.record).eval().to(parameter.device, parameter.dtype)
    able = uses_of(run.system)
    better = {verb for use in able for verb in use.replaces}
    # What takes records says more of a run than what it draws.
    judging = sorted((use for use in able if use.judge is not None and use.verb not in better), key=lambda use: not use.takes)
    if not judging or judging[0].judge is None:
        words = " and ".join(use.verb for use in able)
        raise GanvasError(f"{run.record.path}: there is no judging yet of systems that only {words or 'train'}")
    options = build_options(judging[0], {"to": to}, able)
    work = run.work(seed)
    measures: dict[str, Measure] = {}
    for use in able:
        if use.measure is not None:
            measures |= use.measure(work, dataset, count)
    work.renew()
    return judging[0].judge(work, fresh, dataset, count, options), measures


def _part(
    values: np.ndarray, spec: Any, common: Any, *, labels: np.ndarray | None = None, groups: np.ndarray | None = None
) -> Part:
    """Values of `spec` in the form of both sides: pictures as such (`facets.Seen`), features of anything else, on the scale of
    the real side."""
    from ..data.learning import as_learnt

    n = len(values)
    places = np.arange(n) if groups is None else np.asarray(groups)
    kind = kind_of(common.kind)
    if isinstance(kind, Seen):
        return Part(kind.common(values, spec, common), labels, places)
    spec = as_learnt(spec, common)
    return Part(kind.vectors(np.asarray(values), spec), labels, places, (np.asarray(values), spec))


def _labels_like(other: Dataset, dataset: Dataset) -> np.ndarray | None:
    """Labels of `other` as indices into the classes of `dataset`; None when a class is unknown there."""
    if other.labels is None or dataset.labels is None:
        return None
    index = {name: i for i, name in enumerate(dataset.spec.classes)}
    if any(name not in index for name in other.spec.classes):
        return None
    return np.array([index[name] for name in other.spec.classes], np.int64)[other.labels]


def _same_place(a: Any, b: Any) -> bool:
    if not isinstance(a, str | Path) or not isinstance(b, str | Path):
        return False
    return Path(a).expanduser().resolve() == Path(b).expanduser().resolve()


def _name(source: Any) -> str:
    return f"array {source.shape}" if isinstance(source, np.ndarray) else str(getattr(source, "source", source))
