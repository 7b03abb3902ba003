"""The bench of one evaluation: its extractor, the features of both sides, every metric of a set of samples, and the audit.

What is measured in which order, and what it is set beside, is not settled here (`judge`, `beside`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GanvasError
from ..kinds import kind_of
from ..kinds.facets import Audited, Compared, Paired, Seen
from ..metrics.features import ClassifyingExtractor, Extractor
from ..metrics.measure import Measure
from .sets import Part, Sets
from .stages import Stages

TIMED = 8  # records by which the pace of an extractor is measured: a batch on a CPU
TRAINED = "classifier: trained on the labels of the real data, or taken from before"
LOOK, VARIETY = ("intensity", "spectrum", "checkerboard"), ("ms_ssim", "diversity")  # of images, by family


def extractor_of(
    name: str, sets: Sets, inception: str | Path | None, seed: int, device: str, notes: list[str]
) -> Extractor:  # fmt: skip
    """The extractor of that name for both sides; one that is fitted, or trained on labels, is so to the training part.

    Raises GanvasError where it cannot be had. notes: for the reader.
    """
    from ..metrics.extractors import find_extractor

    train = sets.train
    labels = class_names(sets, notes) if name == "classifier" else None
    if name == "classifier" and labels is None:
        raise GanvasError("--features classifier needs labelled real data: class sub-folders or a labels.csv")
    size = sets.size if isinstance(kind_of(sets.kind), Seen) else None
    return find_extractor(
        name, real=train.values, labels=labels, inception=inception, size=size,
        groups=train.groups, seed=seed, notes=notes, device=device,
    )  # fmt: skip


def class_names(sets: Sets, notes: list[str]) -> np.ndarray | None:
    """Class names (N,) of the training records; None where there is nothing to train a classifier on."""
    labels = sets.train.labels
    if labels is None or len(sets.classes) < 2:
        return None
    present = np.unique(labels, return_counts=True)[1]
    if len(present) < 2 or present.min() < 2:
        if (note := "no classifier was trained: it needs two classes or more, each of two records or more") not in notes:
            notes.append(note)
        return None
    return np.array(sets.classes)[labels]


def pace(extractor: Extractor, sets: Sets) -> float:
    """Seconds that the features of one record take here and now, by some of the samples."""
    some = sets.generated.values[:TIMED]
    extractor.features(some[:1])  # loads what is needed
    took = []
    for _ in range(2):  # another program may come between
        began = time.perf_counter()
        extractor.features(some)
        took.append(time.perf_counter() - began)
    return min(took) / len(some)


class Bench:
    """One evaluation: the extractors, the features of the real parts, and what is measured with them."""

    def __init__(self, sets: Sets, extractor: Extractor, seed: int, device: str, stages: Stages) -> None:
        """extractor: of the features, fitted or trained (`extractor_of`). stages: told what begins."""
        self.sets, self.seed, self.device, self.stages = sets, seed, device, stages
        self.notes: list[str] = []
        self.image = isinstance(kind_of(sets.kind), Seen)
        self.size = sets.size if self.image else None
        train = sets.train
        self.extractor = extractor
        self.name = self.extractor.name
        if not kind_of(sets.kind).says.plain:
            self.name = f"{kind_of(sets.kind).says.features}/{self.name}"
        self.is_inception = self.extractor.is_inception
        self.classifier: Any = extractor if isinstance(extractor, ClassifyingExtractor) else None
        own = self.classifier is not None
        if not own and self.image and "classes" in sets.families and class_names(sets, self.notes) is not None:
            stages.begin("classifier", TRAINED)
            self.classifier = extractor_of("classifier", sets, None, seed, device, self.notes)
        if self.classifier is not None and not self.is_inception and not self._learnt(self.classifier.facts):
            if own:
                raise GanvasError(f"{self.notes[-1]}: choose another with --features")
            self.classifier = None
        self._judges_classes = self.classifier is not None and not self.is_inception
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
        """How near records are to those they stand for: the mean over pairs, with its normal 95 % interval; and how often their
        own is the nearest."""
        from ..metrics.sets import mean_interval

        kind, true = kind_of(self.sets.kind), self.sets.originals
        assert true is not None
        records, spec = (made.values, None) if made.records is None else made.records
        originals = true.values if true.records is None else true.records[0]
        measures = self._retrieval(made, true, originals)
        if not isinstance(kind, Paired):
            return measures
        for key, (values, protocol) in kind.paired(records, originals, spec, self.sets.extractors).items():
            values = values[~np.isnan(values)]
            n = len(values)
            if n < 2:
                self.notes.append(f"{key} was left out: {n} of {len(records)} pairs have one")
                continue
            value, low, high = mean_interval(values)  # of decibels as well, which are negative where noise is louder
            measures[key] = Measure(value, f"{protocol}/n={n}", low, high)
        return measures

    def _retrieval(self, made: Part, true: Part, originals: np.ndarray) -> dict[str, Measure]:
        """The share of records that lead back to their own original; a note where there are too few to look among."""
        from ..metrics import retrieval

        seen: dict[bytes, int] = {}
        identity = np.array([seen.setdefault(np.ascontiguousarray(one).tobytes(), len(seen)) for one in originals])
        try:
            one, other = self.features(made.values), self.features(true.values)
            return {"retrieval": retrieval(one, other, identity, features=self.name, seed=self.seed)}
        except GanvasError as error:
            if (note := f"retrieval is left out: {error}") not in self.notes:
                self.notes.append(note)
            return {}

    def records(self) -> tuple[Any, Any, Any] | None:
        """What generated, training and held-out features were taken of; None where the parts hold records themselves."""
        made, train, held = (part.records for part in (self.sets.generated, self.sets.train, self.sets.heldout))
        return None if made is None or train is None or held is None else (made, train, held)

    def audit(self) -> Any:
        """The memorisation audit of the samples, on features (with mirrored real images) and on pixels."""
        from ..data.twins import recogniser_of
        from ..metrics.extractors import find_extractor
        from ..metrics.memorisation import audit

        sets = self.sets
        sides = self.records()
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
