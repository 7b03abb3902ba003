"""What is compared with what: a run, a folder or an array becomes samples; real data becomes a training and a held-out part.

Both sides leave here in one form (`Sets`): what is looked at (`facets.Seen`) in one size, number of channels and number format,
of any other kind features, with the records that they are of. Both go by one spec, that of the real side (`facets.Aligned`):
by scales of their own, samples in other units would look alike. Where the sides differ in what no number shows, a note says so.
Not for measuring, and not for training data that is larger than memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..data.aligning import aligned
from ..data.finding import claimed, existing
from ..data.shard_values import in_memory
from ..errors import DataError, GanvasError
from ..kinds import describe, kind_of
from ..kinds.facets import Measured, Seen, Whole
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
    those that values are features of, and their spec; None where values are the records. names: what the user may call each
    by, its file where it has one."""

    values: np.ndarray
    labels: np.ndarray | None
    groups: np.ndarray
    records: tuple[np.ndarray, Any] | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: np.ndarray) -> Part:
        """The records at these places."""
        records = None if self.records is None else (self.records[0][index], self.records[1])
        labels = None if self.labels is None else self.labels[index]
        names = tuple(self.names[k] for k in index) if self.names else ()
        return Part(self.values[index], labels, self.groups[index], records, names)

    def name(self, index: int) -> str:
        """What the user may call a record by."""
        return self.names[index] if self.names else f"sample {index + 1}"


@dataclass
class Sets:
    """The sides of an evaluation.

    generated, train, heldout: the parts. kind: its name. classes: of the real data. names: what each side is, as
    the user named it. untrained: samples of the same system with fresh weights (runs only). split: how the held-out part
    came about: `given`, `run` (kept out when the run trained), `declared` (by the data), `now` (for this evaluation) or
    `none` (one whole record, all of which was learnt from, is both parts).
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
    originals: Part | None = None  # what the samples stand for, where these are restored or made of other fields
    measures: dict[str, Measure] = field(default_factory=dict)  # what was measured on the way
    checkpoint: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, Part] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    families: tuple[str, ...] = ALL

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        return int(self.train.values.shape[1]), int(self.train.values.shape[2])

    def thinned(self, most: int, seed: int) -> Sets:
        """At most so many records of each side, drawn at random, and nothing beside them; one whole graph stays as it is."""
        if isinstance(kind_of(self.kind), Whole):
            return replace(self, untrained=None, beside={}, words={}, notes=[])
        rows = [random_rows(len(part), min(most, len(part)), seed) for part in (self.generated, self.train, self.heldout)]
        made, train, held = (part.take(own) for part, own in zip((self.generated, self.train, self.heldout), rows, strict=True))
        originals = None if self.originals is None else self.originals.take(rows[0])
        return replace(
            self, generated=made, train=train, heldout=held, originals=originals, untrained=None, beside={}, words={}, notes=[]
        )


def open_sets(
    fake: Any,
    real: Any = None,
    heldout: Any = None,
    *,
    count: int | None = None,
    size: Any = None,
    seed: int = 0,
    which: str | None = None,
    device: str = "cpu",
    system: Any = None,
    to: str | None = None,
    kind: str | None = None,
    progress: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> Sets:
    """Open both sides. fake: a run, or what `ganvas.open_data` takes; real: likewise (default for a run: its own data).

    heldout: real records the generator never saw; without it the run's own held-out part, or that of the real data
    (`groups.csv`, else a fifth of the groups is split off now). count: samples to draw from a run, or at most to take.
    size: the resolution both sides are brought to (default: the samples' own). which, device, system: as for `ganvas.load`.
    kind: what both sides are, where their files leave it open (`series` in CSV). to: for a run that translates, the class it
    translates to (default: the last of its domains). Such a run is judged by translated held-out records, one that restores
    by held-out records which are degraded and restored. say: told what is being done.

    Raises GanvasError or DataError when sides do not fit together.
    """
    from ..data.phantoms import is_phantom
    from ..run.opening import EARLIER
    from ..run.settings import FILE

    notes: list[str] = []
    run = None
    trained = isinstance(fake, str | Path) and (Path(fake) / FILE).is_file()
    for given in (None if trained else fake, real, heldout):  # before anything is told or made
        if isinstance(given, str | Path):
            existing(given)
    if trained:
        from ..run.load import Run

        run = Run(fake, which=which, device=device, system=system)
        notes += run.notes
    if real is None and run is None:
        raise GanvasError("--real is missing: name the real data the samples are compared with")
    if count is not None and count < 10:
        raise GanvasError(f"-n {count} is too few to judge: 10 or more")
    originals: Part | None = None
    measures: dict[str, Measure] = {}
    beside: dict[str, Part] = {}
    words: dict[str, str] = {}
    families: tuple[str, ...] = ALL
    if to is not None and run is None:
        raise GanvasError("--to is for a run that translates")
    if run is not None:
        place = run.record.settings.data if real is None else _name(real)
        if real is None and place != "array":
            existing(place)
        say(f"opening {place}")
        dataset = _data_of(run, real, size, progress)
        notes += [note for note in dataset.notes if note == EARLIER]
        say(f"{fake}: making records to judge, and as many with fresh weights")
        made, measures = _make(run, dataset, count or SAMPLES, seed, to)
        dataset, asked, extractors = made.dataset, made.labels is not None, run.system.extractors
        part, shared = _part(made.values, run.spec, dataset.spec, notes, labels=made.labels)
        bare = _part(made.untrained, run.spec, dataset.spec, []).part.values
        beside = {name: _part(one.values, run.spec, dataset.spec, []).part for name, one in made.beside.items()}
        words, families = {name: one.words for name, one in made.beside.items()}, made.families
        if made.originals is not None:
            originals = _part(made.originals, run.spec, dataset.spec, []).part
        notes += made.notes
    else:
        say(f"opening {_name(fake)} and {_name(real)}")
        named, dataset = _both(fake, real, size, kind, heldout is not None, seed, progress, notes)
        chosen = np.arange(len(named)) if count is None or count >= len(named) else random_rows(len(named), count, seed)
        labels = _labels_like(named, dataset)
        asked_for = None if labels is None else labels[chosen]
        part, shared = _part(named.values[chosen], named.spec, dataset.spec, notes, labels=asked_for)
        called = named.names()
        part = replace(part, names=tuple(called[k] for k in chosen))
        bare, extractors, asked = None, (), labels is not None
        notes += named.notes
        notes += [f"real data: {note}" for note in dataset.notes]
        if _same_place(fake, real):
            notes.append("samples and real data are the same: this measures nothing but the metrics themselves")
    if part.records is not None and part.records[0].shape[1:] != dataset.values.shape[1:]:
        raise _differ(part.records[1], dataset.spec)
    dataset, told = in_memory(dataset, seed)
    notes += told
    train, held, split = _parts(dataset, heldout, run, seed, progress, shared, notes)
    own = kind_of(dataset.spec.kind)
    if isinstance(own, Measured) and part.records is not None and train.records is not None and held.records is not None:
        say(f"measures of {own.says.noun}")
        unseen = (held.records[0][:0], held.records[1]) if split == "none" else held.records
        measures = {**measures, **own.measures(part.records, train.records, unseen, seed)}
    names = {"fake": _name(fake), "real": _name(real) if real is not None else dataset.source}
    if heldout is not None:
        names["heldout"] = _name(heldout)
    if split == "now":
        notes.append(
            f"no held-out data was named: {len(held)} of {len(held) + len(train)} real records were set apart now; if the "
            "generator was trained on them too, the audit cannot see copies of them"
        )
    if split == "none":
        families = tuple(family for family in families if family != "audit")
        notes.append(
            f"all of {own.says.noun} was learnt from, nothing held out: samples are compared with what was learnt itself; to "
            "ask what they say of unseen parts, train with --heldout 0.2"
        )
    source = str(dataset.source)
    phantom = source if is_phantom(source) else ""
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
        checkpoint={} if run is None else {"which": run.which, **{key: run.manifest.get(key) for key in ("round", "samples")}},
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
        if sets.originals is not None and sets.originals.values.dtype != np.uint16:
            sets.originals = replace(sets.originals, values=sets.originals.values.astype(np.uint16) * 257)
    return sets


def _open(source: Any, what: str, **settings: Any) -> Dataset:
    from ..data.dataset import open_data

    try:
        return open_data(source, **settings)
    except DataError as error:
        raise DataError(f"{what}: {error}" if isinstance(source, np.ndarray) else str(error)) from error


def _data_of(run: Run, real: Any, size: Any, progress: bool) -> Dataset:
    from ..run.opening import open_record_data

    settings = run.record.settings
    if size is not None:
        raise GanvasError("--size does not go with a run: its samples are judged at the size it was trained at")
    if real is None and settings.data == "array":
        raise GanvasError(f"{run.record.path} was trained on an array in memory: name the real data with --real")
    dataset: Dataset = open_record_data(run.record, source=real, progress=progress)
    theirs, ours = dataset.spec, run.spec
    if theirs.kind != ours.kind or theirs.shape != ours.shape:
        raise GanvasError(
            f"{run.record.path} makes {describe(ours)}, {dataset.source} holds {describe(theirs)}: name its own data"
        )
    return dataset


def _both(
    fake: Any, real: Any, size: Any, kind: str | None, all_train: bool, seed: int, progress: bool, notes: list[str]
) -> tuple[Dataset, Dataset]:  # fmt: skip
    """Samples and real data, opened at one size (the samples' own, if none is named) and at the real data's rate."""
    share = 0.0 if all_train else 0.2
    sure = kind if kind is not None or not isinstance(fake, str | Path) or not Path(fake).exists() else claimed(fake)
    wanted = () if sure is None else (sure,)

    def samples(**settings: Any) -> Dataset:
        # Another seed than that of the real side: one phantom on both sides must not give the same records.
        return _open(
            fake, "the samples", heldout=0.0, seed=seed + 1_000_003, progress=progress, **{"kinds": wanted, **settings}
        )

    def truth(**settings: Any) -> Dataset:
        return _open(real, "the real data", heldout=share, seed=seed, progress=progress, **settings)

    made = samples(size=size)
    if kind is not None and made.spec.kind != kind:
        raise GanvasError(f"{_name(fake)} holds {describe(made.spec)}, not {kind_of(kind).says.noun}")
    own = kind_of(made.spec.kind)
    if isinstance(own, Seen):
        return made, _real_pictures(made, truth, notes)
    same: dict[str, Any] = {"kinds": (own.name,), "frames": getattr(made.spec, "frames", None)}
    dataset = truth(size=size if own.says.ended or isinstance(own, Whole) else _size_of(made.spec), **same)
    if dataset.spec.kind != own.name:
        raise _differ(made.spec, dataset.spec)
    rates = [getattr(side.spec, "rate", None) for side in (made, dataset)]
    if None not in rates and rates[0] != rates[1]:
        made = samples(size=size, rate=rates[1], **same)
    if not isinstance(own, Whole) and _size_of(made.spec) != _size_of(dataset.spec):
        both = (made.spec, dataset.spec)
        # What ends is not cut at the length of the other side: it would seem to end there.
        longest = max(_size_of(spec) for spec in both) if own.says.ended and size is None else _size_of(made.spec)
        made = made if _size_of(made.spec) == longest else samples(size=longest, rate=rates[1], **same)
        dataset = dataset if _size_of(dataset.spec) == longest else truth(size=longest, rate=rates[1], **same)
    return made, dataset


def _size_of(spec: Any) -> Any:
    """What `--size` would have to be for records of this spec; None where there is no such option."""
    told = getattr(spec, "size", None)
    if told is None:
        return None
    sides = tuple(int(side) for side in str(told).split("x"))
    return sides[0] if len(sides) == 1 else sides


def _real_pictures(made: Dataset, truth: Any, notes: list[str]) -> Dataset:
    """Real records for samples that are looked at: of their size, grey or in colour as they are."""
    height, width, channels = made.values.shape[1:]
    dataset: Dataset = truth(size=(height, width))
    if dataset.spec.kind != made.spec.kind:
        raise _differ(made.spec, dataset.spec)
    theirs = dataset.values.shape[3]
    if theirs != channels:
        if {theirs, channels} - {1, 3}:
            raise GanvasError(f"the samples have {channels} channels, the real data {theirs}: bring them to one number first")
        dataset = truth(size=(height, width), channels=channels)
        notes.append(f"the real data was turned from {theirs} to {channels} channels, as the samples have")
    return dataset


def _differ(made: Any, real: Any) -> GanvasError:
    return GanvasError(f"the samples are {describe(made)}, the real data {describe(real)}: they do not compare")


def _parts(
    dataset: Dataset, heldout: Any, run: Run | None, seed: int, progress: bool, shared: Any, notes: list[str]
) -> tuple[Part, Part, str]:  # fmt: skip
    """(training part, held-out part, how the split came about). shared: the spec that both sides go by."""
    own = kind_of(dataset.spec.kind)
    values = np.asarray(dataset.values)
    everything, _ = _part(values, dataset.spec, shared, [], labels=dataset.labels, groups=dataset.groups)
    everything = replace(everything, names=tuple(dataset.names()))
    if heldout is not None and isinstance(own, Whole):
        raise GanvasError(
            f"--heldout does not go with {kind_of(dataset.spec.kind).says.noun}: a part of the real one is held out"
        )
    if heldout is None:
        kept, rest = dataset.heldout_indices(), dataset.train_indices()
        if isinstance(own, Whole) and not len(kept):
            whole, _ = _part(values, dataset.spec, dataset.spec, [])
            return whole, whole, "none"
        if not len(kept) or not len(rest):
            raise GanvasError(
                f"{dataset.source} has no held-out part to compare with: name one with --heldout, or train with --heldout 0.2"
            )
        known = run is not None and dataset.fingerprint == run.record.data["fingerprint"]
        how = "run" if known else "declared" if dataset.declared_split else "now"
        if isinstance(own, Whole):  # what is held out is described within what was learnt from
            train, _ = _part(values[rest], dataset.spec, dataset.spec, [])
            beside = own.vectors_beside(values[kept], values[rest], dataset.spec)
            return train, replace(everything.take(kept), values=beside), how
        return everything.take(rest), everything.take(kept), how
    settings: dict[str, Any] = {"heldout": 0.0, "seed": seed, "progress": progress}
    if isinstance(own, Seen):
        settings |= own.alike(dataset.values)
        if run is not None and run.record.settings.fit in ("patches", "crops"):  # cut as what was learnt from
            settings["fit"] = run.record.settings.fit
    else:
        rate = getattr(dataset.spec, "rate", None)
        settings |= {"size": _size_of(dataset.spec), "kinds": (own.name,), "rate": rate}
        settings["frames"] = getattr(dataset.spec, "frames", None)
    other = _open(heldout, "the held-out data", **settings)
    if other.spec.kind != dataset.spec.kind or other.values.shape[1:] != dataset.values.shape[1:]:
        raise GanvasError(
            f"the held-out data is {describe(other.spec)}, the real data {describe(dataset.spec)}: they do not compare"
        )
    told: list[str] = []
    try:
        held, _ = _part(
            np.asarray(other.values),
            other.spec,
            shared,
            told,
            labels=_labels_like(other, dataset),
            groups=other.groups + 1_000_000_000,
        )
    except GanvasError as error:
        raise GanvasError(str(error).replace("the samples", "the held-out records")) from error
    notes += [note.replace("the samples", "the held-out records") for note in told]
    return everything.take(dataset.train_indices()), replace(held, names=tuple(other.names())), "given"


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


class _Shared(NamedTuple):
    """A part, and the spec that its records go by."""

    part: Part
    spec: Any


def _part(
    values: np.ndarray, spec: Any, common: Any, notes: list[str], *, labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> _Shared:  # fmt: skip
    """Values of `spec` in the form of both sides: pictures as such (`facets.Seen`), features of anything else.

    common: the spec of the other side; records go by it, or by one that says more (`facets.Aligned`). notes: gets what differs.
    """
    kind = kind_of(common.kind)
    values, own, told = aligned(values, spec, common)
    notes += [note for note in told if note not in notes]
    places = np.arange(len(values)) if groups is None else np.asarray(groups)
    if isinstance(kind, Seen):
        return _Shared(Part(kind.common(values, spec, common), labels, places), common)
    return _Shared(Part(kind.vectors(values, own), labels, places, (values, own)), common if isinstance(kind, Whole) else own)


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
