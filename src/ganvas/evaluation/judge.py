"""Measuring samples against real data: every metric with its protocol and interval, three anchors, and the audit.

The anchors say what a number is worth. `real`: training records in place of the samples, the best that can be expected.
`linear`: draws from a Gaussian over 64 principal components of the training data, which knows the mean and the coarsest
variation and nothing else. `untrained`: the system's own networks with fresh weights (runs only). Where records are changed and
not drawn, others stand beside: the records as they were given, and what the trivial method makes of them. All are measured in
the same way and at the same number as the samples. Not for comparing runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GanvasError
from ..kinds import kind_of
from ..kinds.facets import Anchored, Audited, Compared, Measured, Paired, Seen, Whole
from ..metrics.measure import Measure
from ..run.outputs import check_free, moved, results
from .anchors import misleading
from .sets import Part, Sets, open_sets
from .stages import Stages, usual_work

FEATURES = ("effnet", "classifier", "inception", "pixels")
ANCHORS = {
    "real": "training records in place of samples",
    "linear": "draws from a Gaussian over components of the training data",
    "untrained": "the same system with fresh weights",
    "noise": "random values",
}
QUICK = 100  # records of each side that a first table is made of
PATIENCE = 60.0  # seconds that an evaluation usually takes, from which on a first table is worth its time
LINEAR = 64  # principal components of the trivial anchor
LOOK, VARIETY = ("intensity", "spectrum", "checkerboard"), ("ms_ssim", "diversity")  # of images, by family


def evaluate(
    fake: Any,
    real: Any = None,
    heldout: Any = None,
    *,
    count: int | None = None,
    size: Any = None,
    features: str | None = None,
    inception: str | Path | None = None,
    seed: int = 0,
    audit: bool = True,
    anchors: bool = True,
    unintended: bool = False,
    out: str | Path | None = None,
    overwrite: bool = False,
    which: str | None = None,
    device: str = "cpu",
    system: Any = None,
    to: str | None = None,
    kind: str | None = None,
    quick: bool = False,
    progress: bool = False,
    say: Callable[[str], None] | None = None,
    first: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Judge samples against real data; returns what `ganvas evaluate --json` prints.

    fake: a run folder, a folder or file of samples, or an array. real: real data (a run's own by default). heldout: real data
    the generator never saw; without it the run's held-out part, that of `groups.csv`, or a fifth split off now. count: samples
    drawn from a run (1000), or at most taken. size: the resolution of both sides (the samples' own). features: `effnet`
    (images), `pixels` (points), `classifier` (trained on the labels of the real data) or `inception` (weights: `inception`).
    to: for a run that translates, to which class. kind: `sound`, `series`, `graph` ..., where files may be several things.
    audit, anchors: whether to run them. unintended: with the `chest` phantom as real data and samples of asked classes, look
    for findings that nobody asked for and for impossible combinations; the detector takes some minutes at first. out: folder
    for `evaluation.json`, `spectrum.png` and `audit.html`, absent or empty; None writes nothing. overwrite: replace what an
    earlier evaluation wrote there. quick: a first table alone, of at most 100 records of each side: distances, fidelity and
    pixels beside the anchor `real`, without classes, diversity and audit. first: told that table, as a result, before an
    evaluation that takes long goes on.

    Keys: `protocol`, `fd`, `kid`, `precision`, `recall`, `density`, `coverage`, `spectrum`, ... (each a dictionary with
    `value`, `protocol`, and `low` and `high` where there is an interval), `memorisation` (`verdict`, `reason`, `near_copies`,
    `dcr_share`, `mia_auc`, ...; with too few records the verdict is None), `anchors`, `notes`. Distances refer to the
    held-out part.

    Raises GanvasError or DataError when the sides do not fit, are too few, or an extractor judges what was trained on it.
    """
    stages = Stages(say or (lambda text: None))
    started = time.perf_counter()
    if out is not None:
        check_free(Path(out), overwrite)
    sets = open_sets(
        fake,
        real,
        heldout,
        count=min(count or QUICK, QUICK) if quick else count,
        size=size,
        seed=seed,
        which=which,
        device=device,
        system=system,
        to=to,
        kind=kind,
        progress=progress,
        say=stages.say,
    )
    image = isinstance(kind_of(sets.kind), Seen)
    name = features or ("effnet" if image and "effnet" not in sets.extractors else "pixels")
    if image and features is None and name == "pixels":
        sets.notes.append("features are components of pixels: the default extractor was used in training and must not judge")
    if name not in FEATURES or (not image and name != "pixels"):
        raise GanvasError(
            f"features '{name}' cannot be taken of {_noun(sets.kind)}: choose one of "
            f"{', '.join(FEATURES if image else ('pixels',))}"
        )
    if name in sets.extractors:
        raise GanvasError(f"the generator was trained with '{name}', which must not judge it: choose another with --features")
    if min(len(sets.generated), len(sets.heldout)) < 10:
        raise GanvasError(
            f"{len(sets.generated)} samples and {len(sets.heldout)} held-out records: a judgement needs 10 of each, better 500"
        )
    if unintended and quick:
        raise GanvasError("--unintended needs all samples: leave out --quick")
    if unintended and (sets.phantom.partition(":")[0] != "chest" or not sets.asked or sets.generated.labels is None):
        raise GanvasError(
            "--unintended needs the phantom 'chest' as real data and samples whose class was asked for: a run of cgan on it, "
            "or samples in class folders"
        )
    sides = [len(part) for part in (sets.generated, sets.train, sets.heldout)]
    labelled = image and name != "classifier" and sets.train.labels is not None and len(sets.classes) > 1
    labelled, audit = labelled and "classes" in sets.families, audit and "audit" in sets.families
    beside = [anchor for anchor in ANCHORS if anchors and (anchor != "untrained" or sets.untrained is not None)]
    beside = [anchor for anchor in beside if anchor != "linear" or kind_of(sets.kind).says.plain]
    beside = [anchor for anchor in beside if anchor != "noise" or noisy(sets)]
    beside += sets.beside if anchors else []
    work = usual_work(*sides, seen=image, classes=labelled, findings=unintended, audit=audit, anchors=beside)
    if quick or (first is not None and sum(work.values()) > PATIENCE and not isinstance(kind_of(sets.kind), Whole)):
        if not quick:
            stages.say(f"a first table, of {QUICK} records of each side")
        table = _first_table(sets, name, inception, seed, device, stages if quick else Stages(lambda text: None))
        if quick:
            return _finished(table, sets, None, {}, started, out, overwrite)
        assert first is not None
        first(plain(table))
    stages.plan(work)
    bench = _Bench(sets, name, inception, seed, device, stages)
    found: Any = None
    result = bench.head()
    stages.begin("measures", "distances, fidelity, variety and their intervals")
    measures = bench.measure(sets.generated.values, sets.generated.labels, intervals=True)
    result |= {key: measure.to_dict() for key, measure in measures.items()}
    result |= {key: measure.to_dict() for key, measure in sets.measures.items()}
    paired = {} if sets.originals is None else bench.against_originals(sets.generated)
    result |= {key: measure.to_dict() for key, measure in paired.items()}
    if unintended:
        from .findings.unintended import chest_unintended

        stages.begin("findings", "findings: training a detector on the phantom, or taking it from before")
        made = sets.generated
        flagged = chest_unintended(made.values, made.labels, classes=sets.classes, notes=bench.notes, device=device)
        result |= {key: measure.to_dict() for key, measure in flagged.items()}
    if audit:
        stages.begin("audit", "audit: looking for copies of training records")
        try:
            found = bench.audit()
            suspects = [
                {
                    "sample": sets.generated.name(pair.sample),
                    "record": sets.train.name(pair.record),
                    "distance_ratio": pair.ratio,
                    "space": pair.space,
                }
                for pair in found.pairs
                if pair.near_copy
            ]
            result["memorisation"] = {**found.to_dict(), "suspects": suspects}
        except GanvasError as error:  # too few records: no null, no verdict; the other numbers stand
            result["memorisation"] = {"verdict": None, "reason": str(error), "notes": []}
        if np.array_equal(sets.generated.values, sets.heldout.values):
            sets.notes.append("the samples are the held-out records themselves: distances to the held-out part mean nothing")
    if "audit" not in sets.families:
        sets.notes.append("copies of training records were not looked for: each record stands for a held-out one")
    if anchors:
        result["anchors"] = bench.anchors()
        result["misleading"] = misleading(result)
        if sets.words:
            result["beside"] = sets.words
            bench.notes += nothing_gained(result, ("kid", *paired, *sets.measures))
    result["notes"] = [*sets.notes, *bench.notes]
    return _finished(result, sets, found, bench.sources, started, out, overwrite)


def _finished(
    result: dict[str, Any], sets: Sets, found: Any, sources: dict[str, np.ndarray], started: float, out: Any, overwrite: bool
) -> dict[str, Any]:  # fmt: skip
    """The result as plain values, and as files where a folder is given."""
    result["seconds"] = round(time.perf_counter() - started, 1)
    result = plain(result)
    if out is not None:
        from .page import write_evaluation

        with results(Path(out), "evaluate", overwrite=overwrite) as place:
            files = write_evaluation(place, result, sets, found, sources)
        result["files"] = dict(zip(files, moved(list(files.values()), place, Path(out)), strict=True))
    return result


def noisy(sets: Sets) -> bool:
    """Whether random values are an anchor: of what is no picture, and comes in more than one record."""
    return sets.train.records is not None and not isinstance(kind_of(sets.kind), Whole)


def _first_table(sets: Sets, name: str, inception: Any, seed: int, device: str, stages: Stages) -> dict[str, Any]:
    """What can be said soon: the measures of few records that go by features and pixels, beside those of training records."""
    small = sets.thinned(QUICK, seed)
    small.families = tuple(family for family in sets.families if family not in ("classes", "audit"))
    sides = [len(part) for part in (small.generated, small.train, small.heldout)]
    seen = isinstance(kind_of(sets.kind), Seen)
    anchors = ["real", *(["noise"] if noisy(small) else [])]
    stages.plan(usual_work(*sides, seen=seen, classes=False, findings=False, audit=False, anchors=anchors))
    bench = _Bench(small, name, inception, seed, device, stages)
    stages.begin("measures", "distances, fidelity and their intervals")
    measures = bench.measure(small.generated.values, small.generated.labels, intervals=True, dear=False)
    paired = {} if small.originals is None else bench.against_originals(small.generated)
    result = bench.head() | {key: own.to_dict() for key, own in (measures | sets.measures | paired).items()}
    result["anchors"] = bench.anchors(quick=True)
    result["misleading"] = misleading(result)
    note = (
        f"quick: {sides[0]} samples, {sides[1]} training and {sides[2]} held-out records were looked at; classes, diversity "
        "and copies of training records were not"
    )
    return result | {"quick": True, "notes": [*sets.notes, *bench.notes, note]}


def nothing_gained(result: dict[str, Any], keys: Iterable[str]) -> list[str]:
    """A sentence for each thing beside the run that is better than what the run made by one of the numbers named, beyond the
    interval of the run's own."""
    from .table import LOWER, ROWS, number

    found = []
    for key in keys:
        own = result.get(key)
        if own is None or own.get("low") is None or key not in ROWS:
            continue
        name, better = ROWS[key]
        for side, words in result["beside"].items():
            other = result["anchors"][side].get(key, {}).get("value")
            if other is not None and (other < own["low"] if better == LOWER else other > own["high"]):
                ends = f"{number(own['value'])} [{number(own['low'])}, {number(own['high'])}]"
                found.append(f"{words}: better than what the run makes, by {name}: {number(other)} against {ends}")
    return found


def plain(value: Any) -> Any:
    """The same for JSON: no NumPy types, and None for what is not a finite number."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


class _Bench:
    """One evaluation: the extractors, the features of the real parts, and what is measured with them."""

    def __init__(self, sets: Sets, name: str, inception: str | Path | None, seed: int, device: str, stages: Stages) -> None:
        from ..metrics.extractors import find_extractor

        self.sets, self.seed, self.device, self.stages = sets, seed, device, stages
        self.notes: list[str] = []
        self.image = isinstance(kind_of(sets.kind), Seen)
        self.size = sets.size if self.image else None
        train = sets.train
        labels = self._class_names(train)
        if name == "classifier" and labels is None:
            raise GanvasError("--features classifier needs labelled real data: class sub-folders or a labels.csv")
        common: dict[str, Any] = {
            "size": self.size,
            "groups": train.groups,
            "seed": seed,
            "notes": self.notes,
            "device": device,
        }
        self.extractor = find_extractor(name, real=train.values, labels=labels, inception=inception, **common)
        self.name = self.extractor.name
        if not kind_of(sets.kind).says.plain:
            self.name = f"{kind_of(sets.kind).says.features}/{self.name}"
        self.is_inception = self.extractor.is_inception
        self.classifier: Any = None
        if name in ("classifier", "inception"):
            self.classifier = self.extractor
        elif self.image and labels is not None and "classes" in sets.families:
            stages.begin("classifier", "classifier: trained on the labels of the real data, or taken from before")
            self.classifier = find_extractor("classifier", real=train.values, labels=labels, **common)
        if self.classifier is not None and name != "inception" and not self._learnt(self.classifier.facts):
            if name == "classifier":
                raise GanvasError(f"{self.notes[-1]}: choose another with --features")
            self.classifier = None
        self._judges_classes = self.classifier is not None and name != "inception"
        self.sources: dict[str, np.ndarray] = {}  # the anchors' images, for the spectrum's picture
        stages.begin("real", f"features of {len(train) + len(sets.heldout):,} real records ({self.name})")
        self.train, self.heldout = self.features(train.values), self.features(sets.heldout.values)
        stages.begin("samples", f"features of {len(sets.generated):,} samples")
        self.generated = self.features(sets.generated.values)

    def _learnt(self, facts: Any) -> bool:
        """Whether the classifier tells unseen classes apart twice as well as guessing; a note when it does not."""
        kinds = len(facts["classes"])
        right = facts.get("balanced_accuracy")
        if right is not None and right >= 2 / (kinds + 1):
            return True
        reached = (
            "was not tested, for lack of data"
            if right is None
            else f"finds {right:.0%} of each class, {1 / kinds:.0%} by guessing"
        )
        self.notes.append(f"nothing is said of classes: the classifier trained on the real labels {reached}")
        return False

    def _class_names(self, part: Part) -> np.ndarray | None:
        """Class names (N,) of the records; None where there is nothing to train a classifier on."""
        if part.labels is None or len(self.sets.classes) < 2:
            return None
        present = np.unique(part.labels, return_counts=True)[1]
        if len(present) < 2 or present.min() < 2:
            self.notes.append("no classifier was trained: it needs two classes or more, each of two records or more")
            return None
        return np.array(self.sets.classes)[part.labels]

    def features(self, values: np.ndarray) -> np.ndarray:
        from ..metrics.feature_cache import cached_features

        return cached_features(values, self.extractor, notes=self.notes)

    def head(self) -> dict[str, Any]:
        """What the result says of both sides and of how they are compared."""
        sets = self.sets
        checkpoint = {"checkpoint": sets.checkpoint} if sets.checkpoint else {}
        return {
            "fake": {"source": sets.names["fake"], "n": len(sets.generated), **checkpoint},
            "real": {"source": sets.names["real"], "train": len(sets.train), "heldout": len(sets.heldout), "split": sets.split},
            "features": {"name": self.name, "is_inception": self.is_inception},
            "protocol": f"{self.name}/n={len(sets.generated)}/m={len(sets.heldout)}/ref=heldout",
        }

    def measure(
        self, values: np.ndarray, labels: np.ndarray | None, *, intervals: bool, features: Any = None, dear: bool = True
    ) -> dict[str, Measure]:
        """Every metric of one set of samples against the held-out part, by the key it has in the result.

        dear: with those that look at pairs of pictures, which take long.
        """
        from .. import metrics as m

        held = self.sets.heldout
        made = self.generated if features is None else features
        few = min(len(made), len(self.heldout))
        given: dict[str, Any] = {"features": self.name, "reference": "heldout"}
        families = self.sets.families
        found: dict[str, Measure] = {}
        if "distance" in families:
            found["kid"] = m.kernel_distance(made, self.heldout, intervals=intervals, **given)
            found["fd"] = m.frechet_distance(made, self.heldout, intervals=intervals, **given)
            if few >= max(40, 4 * made.shape[1]):
                found["fd_infinity"] = m.frechet_extrapolated(made, self.heldout, intervals=intervals, seed=self.seed, **given)
        if "spread" in families:
            found |= m.precision_recall_density_coverage(
                made, self.heldout, k=min(5, few - 2), intervals=intervals, seed=self.seed, device=self.device, **given
            )
            if len(self.train) >= 100:
                found["different_bins"] = m.different_bins(
                    made, self.train, seed=self.seed, features=self.name, reference="train"
                )
        if not self.image:
            kind = kind_of(self.sets.kind)
            return found | (kind.compared(values, held.values) if isinstance(kind, Compared) else {})
        found |= self._on_pixels(values, labels, intervals, dear)
        if self.classifier is not None and "classes" in families:
            found |= self._of_classes(values, labels, intervals)
        return found

    def _on_pixels(
        self, values: np.ndarray, labels: np.ndarray | None, intervals: bool, dear: bool
    ) -> dict[str, Measure]:  # fmt: skip
        """What can be measured on the images themselves; what cannot (too small, too few of a class) becomes a note."""
        from .. import metrics as m

        held = self.sets.heldout
        given: dict[str, Any] = {"intervals": intervals, "seed": self.seed, "reference": "heldout"}
        within = {"labels": labels, "real_labels": held.labels} if labels is not None and held.labels is not None else {}
        # Anchors need no look at the real images. 200 images give the dearest of these metrics to about 2 %.
        alone = {key: within[key] for key in ("labels",) if key in within}
        real: dict[str, Any] = {"real": held.values, **within} if intervals else alone
        calls: dict[str, Callable[[], Measure]] = {
            "intensity": lambda: m.intensity_distance(values, held.values, **given),
            "spectrum": lambda: m.spectrum_distance(values, held.values, **given),
            "checkerboard": lambda: m.checkerboard_energy(values, held.values, **given),
            "ms_ssim": lambda: m.diversity_ms_ssim(values, **real, **given),
            "diversity": lambda: self._diversity(values, real, given),
        }
        families = self.sets.families
        wanted = {*(LOOK if "look" in families else ()), *(VARIETY if dear and "spread" in families else ())}
        found = {}
        for key, call in calls.items():
            if key not in wanted:
                continue
            try:
                found[key] = call()
            except GanvasError as error:
                if (note := f"{key} is left out: {error}") not in self.notes:
                    self.notes.append(note)
        return found

    def _diversity(self, values: np.ndarray, real: dict[str, Any], given: dict[str, Any]) -> Measure:
        from ..metrics import pairwise_diversity
        from ..metrics.feature_cache import cached_measure

        most = 200
        key = ["diversity", 1, values, most, list(self.size or ()), *(x for pair in {**real, **given}.items() for x in pair)]
        return cached_measure(
            lambda: pairwise_diversity(values, size=self.size, most=most, device=self.device, **real, **given),
            key,
            notes=self.notes,
        )

    def _of_classes(self, values: np.ndarray, labels: np.ndarray | None, intervals: bool) -> dict[str, Measure]:
        from scipy.stats import binomtest

        from .. import metrics as m

        found: dict[str, Measure] = {}
        made, name = self.classifier.probabilities(values), self.classifier.name
        kinds = made.shape[1]
        splits = min(10, len(made) // max(20, 5 * kinds))
        if splits >= 2:
            found["classifier_score"] = m.classifier_score(
                made, classifier=name, splits=splits, seed=self.seed, intervals=intervals
            )
        if not self._judges_classes:
            return found
        held = self.sets.heldout
        if held.labels is not None:
            # The classifier judges both sides: its mistakes are then on both.
            real = self.classifier.probabilities(held.values)
            covered = m.class_coverage(
                made, kinds, real=real, classifier=name, reference="heldout", seed=self.seed, intervals=intervals
            )
            found |= {f"classes_{key}": measure for key, measure in covered.items()}
        if labels is not None:
            # By name: the classifier has its own order of the classes.
            said, asked = np.array(self.classifier.classes)[made.argmax(axis=1)], np.array(self.sets.classes)[labels]
            hit = int((said == asked).sum())
            interval = binomtest(hit, len(labels)).proportion_ci(method="wilson")
            facts = getattr(self.classifier, "facts", {})
            found["label_agreement"] = Measure(
                hit / len(labels),
                f"label-agreement/{name}/n={len(labels)}",
                float(interval.low) if intervals else None,
                float(interval.high) if intervals else None,
                {"classifier_accuracy": facts.get("accuracy")},
            )
        return found

    def against_originals(self, made: Part) -> dict[str, Measure]:
        """How near records are to those they stand for: the mean over pairs, with its normal 95 % interval."""
        from ..metrics.sets import mean_interval

        kind = kind_of(self.sets.kind)
        assert isinstance(kind, Paired) and self.sets.originals is not None
        records, spec = (made.values, None) if made.records is None else made.records
        measures = {}
        for key, (values, protocol) in kind.paired(records, self.sets.originals, spec, self.sets.extractors).items():
            values = values[~np.isnan(values)]
            n = len(values)
            if n < 2:
                self.notes.append(f"{key} was left out: {n} of {len(records)} pairs have one")
                continue
            value, low, high = mean_interval(values)  # of decibels as well, which are negative where noise is louder
            measures[key] = Measure(value, f"{protocol}/n={n}", low, high)
        return measures

    def anchors(self, quick: bool = False) -> dict[str, dict[str, Any]]:
        """The same metrics of real training records, of a linear sampler and, for runs, of the untrained system.

        quick: the first alone, without those metrics that take long.
        """
        n = len(self.sets.generated)
        rng = np.random.default_rng([self.seed, 0xA2C4])
        chosen = np.sort(rng.permutation(len(self.sets.train))[:n])
        real = self.sets.train.take(chosen)
        # Every side with classes or none: numbers within classes do not compare with numbers over the whole set.
        asked = self.sets.generated.labels
        labelled = asked is not None and self.sets.train.labels is not None
        given: dict[str, tuple[np.ndarray, np.ndarray | None, Any]] = {
            "real": (real.values, real.labels if labelled else None, self.train[chosen]),
        }
        # Of other kinds the parts hold features: a Gaussian over features would be no trivial sampler of records.
        if kind_of(self.sets.kind).says.plain and not quick:
            linear = linear_samples(self.sets.train, n, seed=self.seed, labels=asked if labelled else None)
            given["linear"] = (linear, asked if labelled else None, None)
        if self.sets.untrained is not None:
            given["untrained"] = (self.sets.untrained, asked, None)
        if noisy(self.sets) and self.sets.train.records is not None:
            kind, spec = kind_of(self.sets.kind), self.sets.train.records[1]
            given["noise"] = (kind.vectors(kind.blank(spec, n, np.random.default_rng([self.seed, 0x401])), spec), None, None)
        if len(chosen) < n:
            self.notes.append(f"the anchor `real` has {len(chosen)} records, all there are for training, and not {n}")
        given |= {name: (part.values, None, None) for name, part in self.sets.beside.items()}
        found = {}
        for name, (values, labels, features) in given.items():
            self.stages.begin(f"anchor {name}", f"anchor {name}: {(ANCHORS | self.sets.words)[name]}")
            self.sources[name] = values
            made = self.measure(
                values,
                labels,
                intervals=False,
                features=self.features(values) if features is None else features,
                dear=not quick,
            )
            if name in self.sets.beside and self.sets.originals is not None:
                made |= self.against_originals(self.sets.beside[name])
            found[name] = {key: measure.to_dict() for key, measure in made.items()}
        kind, sides = kind_of(self.sets.kind), self._records()
        if sides is not None and isinstance(kind, Measured):
            _, train, held = sides
            trivial = kind.anchors(train, held, self.seed) if isinstance(kind, Anchored) else {}
            if isinstance(kind, Whole):
                trivial = {"real": train, **trivial}
            for name, side in trivial.items():
                self.stages.begin(f"own {name}", f"anchor {name}, by the measures of {kind.says.noun}")
                own = {key: measure.to_dict() for key, measure in kind.measures(side, train, held, self.seed).items()}
                found[name] = found.get(name, {}) | own
        for key, measure in self.sets.measures.items():
            if "real" in measure.more:  # a kind's own measures come with what real records have
                found["real"][key] = {"value": measure.more["real"], "protocol": measure.protocol}
            for name, plain_one in measure.more.get("beside", {}).items():  # a use's own comes with that of the trivial method
                found.setdefault(name, {})[key] = {"value": plain_one["value"], "protocol": measure.protocol}
                self.sets.words[name] = plain_one["words"]
        return found

    def _records(self) -> tuple[Any, Any, Any] | None:
        """What generated, training and held-out features were taken of; None where the parts hold records themselves."""
        made, train, held = (part.records for part in (self.sets.generated, self.sets.train, self.sets.heldout))
        return None if made is None or train is None or held is None else (made, train, held)

    def audit(self) -> Any:
        """The memorisation audit of the samples, on features (with mirrored real images) and on pixels."""
        from ..data.twins import recogniser_of
        from ..metrics.extractors import find_extractor
        from ..metrics.memorisation import audit

        sets = self.sets
        sides = self._records()
        kind = kind_of(sets.kind)
        if sides is not None and isinstance(kind, Audited) and (found := kind.audit(*sides, self.seed)) is not None:
            return found
        more: dict[str, Any] = {"overlooks": kind.says.overlooks}
        if sides is not None:
            more["records"] = tuple(np.asarray(records) for records, _ in sides)
            more["recogniser"] = recogniser_of(kind, sides[0][1])
        if self.image:
            more["train_flipped"] = self.features(np.ascontiguousarray(sets.train.values[:, :, ::-1]))
            more["heldout_flipped"] = self.features(np.ascontiguousarray(sets.heldout.values[:, :, ::-1]))
            more["pictures"] = (sets.generated.values, sets.train.values, sets.heldout.values)
        labels = sets.train.labels is not None and sets.heldout.labels is not None
        made, train, held, name = self.generated, self.train, self.heldout, self.name
        if not kind_of(sets.kind).says.plain:
            # Components fitted to the training part alone hold its records wider apart than unseen ones; the audit needs real
            # records that differ in nothing but what the generator saw.
            both = find_extractor("pixels", real=np.concatenate([sets.train.values, sets.heldout.values]))
            made, train, held = (both.features(part.values) for part in (sets.generated, sets.train, sets.heldout))
            name = f"{kind.says.features}/{both.name}"
        return audit(
            made,
            train,
            held,
            features=name,
            train_groups=sets.train.groups,
            heldout_groups=sets.heldout.groups,
            train_labels=sets.train.labels if labels else None,
            heldout_labels=sets.heldout.labels if labels else None,
            seed=self.seed,
            device=self.device,
            **more,
        )


def _noun(kind: str) -> str:
    return kind_of(kind).says.noun


def linear_samples(train: Part, count: int, *, seed: int = 0, labels: np.ndarray | None = None) -> np.ndarray:
    """`count` draws from a Gaussian over the first 64 principal components of training records, in their number format.

    labels (count,): classes to draw, each then from a Gaussian of its own where it has 20 training records or more. What
    such a sampler cannot do is what a generator is for.
    """
    rows = train.values.reshape(len(train), -1)
    rng = np.random.default_rng([seed, 0x11EB])
    made = np.empty((count, rows.shape[1]))
    kinds = np.zeros(count, np.int64) if labels is None else labels
    for kind in np.unique(kinds):
        of_kind = np.flatnonzero(train.labels == kind) if labels is not None else np.arange(len(rows))
        wanted = kinds == kind
        made[wanted] = _gaussian(rows[of_kind] if len(of_kind) >= 20 else rows, int(wanted.sum()), rng)
    made = made.reshape(count, *train.values.shape[1:])
    if train.values.dtype.kind == "f":
        return np.asarray(made, np.float32)
    limit = np.iinfo(train.values.dtype).max
    return np.asarray(np.clip(np.round(made), 0, limit)).astype(train.values.dtype)


def _gaussian(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    from sklearn.decomposition import PCA

    kept = rows[rng.permutation(len(rows))[:5000]].astype(np.float32)
    solver = "randomized" if min(kept.shape) > 2 * LINEAR else "full"
    basis = PCA(min(LINEAR, *kept.shape), svd_solver=solver, random_state=int(rng.integers(2**31))).fit(kept)
    drawn = rng.standard_normal((count, basis.n_components_)) * np.sqrt(basis.explained_variance_)
    return np.asarray(basis.inverse_transform(drawn))
