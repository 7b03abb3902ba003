"""Findings in samples that nobody asked for, findings asked for that are missing, and combinations that cannot be.

A detector with one yes or no a finding is trained on labelled images; on a part of them that it never saw, its own errors are
measured. A sample counts when the detector flags in it what was not asked for. Because the detector errs, the share of
flagged samples is not the share of samples with the finding: beside the raw share stand the detector's false alarms on real
images of the same label, its sensitivity, and the share corrected for both (Rogan and Gladen 1978, "Estimating prevalence
from the results of a screening test", Am J Epidemiol 107) with the interval of Lang and Reiczigel 2014 ("Confidence limits for
prevalence of disease adjusted for estimated sensitivity and specificity", Prev Vet Med 113), which carries the uncertainty of
all three.

The correction holds as far as the detector errs on samples as it does on real images. Of samples that look like no real image
it says only what the detector takes them for. Not for finding disease, and not for images of patients.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import GanvasError, did_you_mean
from ganvas.evaluation.findings.finding_detector import LEAST, SPECIFICITY, FindingDetector, kept_detector, shrunk_masks
from ganvas.metrics.extractors import LONGEST_SIDE, _own_size
from ganvas.metrics.features import Size, _height_width
from ganvas.metrics.measure import Measure
from ganvas.store.cache import digest

if TYPE_CHECKING:
    import torch

    Images = np.ndarray | torch.Tensor

CHEST_IMAGES = 8000
_CHEST_SEED = 2**41  # beyond any seed a person types, so that no sample was trained on the detector's images
_CHEST_SIDE = 128  # larger samples are shrunk to this before they are judged, and the detector's images are made so
_Z = 1.959963984540054  # 95 %


# Rates


def corrected_rate(
    rate: float, count: int, sensitivity: float, sensitivity_count: float, specificity: float, specificity_count: float
) -> tuple[float, float, float] | None:
    """(value, low, high) of a share of `count` samples, corrected for the errors of what flagged them; not cut to [0, 1].

    sensitivity, specificity: shares of sensitivity_count and specificity_count images whose truth is known. value: Rogan and
    Gladen 1978; low, high: 95 %, Lang and Reiczigel 2014, equations 4 and 6 to 17. None where no correction is possible:
    sensitivity + specificity is not above 1 by more than chance, so that a flag says nothing.
    """
    if min(count, sensitivity_count, specificity_count) <= 0:
        return None
    counted = count + _Z**2
    flagged = (count * rate + _Z**2 / 2) / counted
    n_sensitivity, n_specificity = sensitivity_count + 2, specificity_count + 2
    hit, spared = (sensitivity_count * sensitivity + 1) / n_sensitivity, (specificity_count * specificity + 1) / n_specificity
    spread_hit, spread_spared = hit * (1 - hit) / n_sensitivity, spared * (1 - spared) / n_specificity
    power = hit + spared - 1
    if sensitivity + specificity <= 1 or power <= _Z * math.sqrt(spread_hit + spread_spared):
        return None
    middle = (flagged + spared - 1) / power
    shift = 2 * _Z**2 * (middle * spread_hit - (1 - middle) * spread_spared)
    variance = flagged * (1 - flagged) / counted + middle**2 * spread_hit + (1 - middle) ** 2 * spread_spared
    half = _Z * math.sqrt(variance) / power
    return (rate + specificity - 1) / (sensitivity + specificity - 1), middle + shift - half, middle + shift + half


@dataclass(frozen=True)
class _Event:
    """Findings `columns` are all flagged (or, with present=False, none is) against what was asked."""

    name: str
    columns: tuple[int, ...]
    present: bool = True

    def applies(self, asked: np.ndarray, tolerated: np.ndarray) -> bool:
        columns = list(self.columns)
        if self.present:
            return not asked[columns].all() and not (len(columns) == 1 and bool(tolerated[columns[0]]))
        return bool(asked[columns].all())

    def seen(self, shown: np.ndarray) -> np.ndarray:
        """(N,) bool of (N, F) bool: the event is in what is shown."""
        happened: np.ndarray = (shown[:, list(self.columns)] == self.present).all(axis=1)
        return happened

    def planted(self, truth: np.ndarray, asked: np.ndarray, tolerated: np.ndarray) -> np.ndarray:
        """(M,) bool: images with the event that otherwise show what was asked; all with the event where these are few."""
        goal, free = asked.copy(), tolerated.copy()
        goal[list(self.columns)], free[list(self.columns)] = self.present, False
        exact = _shows(truth, goal, free)
        return exact if exact.sum() >= LEAST else self.seen(truth)


def _shows(truth: np.ndarray, asked: np.ndarray, tolerated: np.ndarray) -> np.ndarray:
    """(M,) bool: the images that show all that was asked, and nothing else than what is tolerated."""
    shown: np.ndarray = ((truth == asked) | (tolerated & ~asked)).all(axis=1)
    return shown


@dataclass(frozen=True)
class _Share:
    """A share of `count` images."""

    value: float
    count: float

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 1927, 95 %."""
        n, p = self.count, self.value
        middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n)) / (1 + _Z**2 / n)
        return max(middle - half, 0.0), min(middle + half, 1.0)


@dataclass(frozen=True)
class _Part:
    """What is known of the samples that were asked for the same."""

    name: str
    raw: _Share
    alarms: _Share | None
    sensitivity: _Share | None
    corrected: tuple[float, float, float] | None


def _judged(name: str, rows: np.ndarray, asked: np.ndarray, tolerated: np.ndarray, events: list[_Event], d: Any) -> _Part:
    """One group of samples, asked for the same; rows: (n, F) bool flags of its samples; d: the detector."""
    raw = _Share(float(_any(events, rows).mean()), len(rows))
    quiet = ~_any(events, d.truth)
    same = quiet & _shows(d.truth, asked, tolerated)
    clean = same if same.sum() >= LEAST else quiet
    if not clean.any():
        return _Part(name, raw, None, None, None)
    alarms = _Share(float(_any(events, d.flagged[clean]).mean()), float(clean.sum()))
    hits, shares = [], []
    for event in events:
        planted = event.planted(d.truth, asked, tolerated)
        if not planted.any():
            continue
        hits.append(_Share(float(_any(events, d.flagged[planted]).mean()), float(planted.sum())))
        own = float(event.seen(d.flagged[planted]).mean())
        false = float(event.seen(d.flagged[clean]).mean())
        excess = (float(event.seen(rows).mean()) - false) / max(own - false, 1e-3)
        shares.append(min(max(excess, 0.0), 1.0))
    if len(hits) < len(events):
        return _Part(name, raw, alarms, None, None)  # of an event that no image shows nobody knows how often it is seen
    # Of several events each is found as often as it is; so they are weighted by how much there seems to be of each.
    weights = np.array(shares) / sum(shares) if sum(shares) > 0 else np.full(len(hits), 1 / len(hits))
    mean = float(sum(w * hit.value for w, hit in zip(weights, hits, strict=True)))
    effective = 1 / float(sum(w * w / hit.count for w, hit in zip(weights, hits, strict=True)))
    sensitivity = _Share(mean, effective)
    corrected = corrected_rate(raw.value, int(raw.count), mean, effective, 1 - alarms.value, alarms.count)
    return _Part(name, raw, alarms, sensitivity, corrected)


def _any(events: list[_Event], shown: np.ndarray) -> np.ndarray:
    happened: np.ndarray = np.logical_or.reduce([event.seen(shown) for event in events])
    return happened


def _together(parts: list[tuple[float, tuple[float, float, float]]]) -> tuple[float, float, float]:
    """A weighted sum of independent shares with intervals: the squares of their half-widths add up on either side (Zou and
    Donner 2008, "Construction of confidence limits about effect measures")."""
    value = sum(w * part[0] for w, part in parts)
    below = math.sqrt(sum((w * max(part[0] - part[1], 0.0)) ** 2 for w, part in parts))
    above = math.sqrt(sum((w * max(part[2] - part[0], 0.0)) ** 2 for w, part in parts))
    return value, value - below, value + above


def _measure(parts: list[_Part], protocol: str) -> Measure:
    total = sum(part.raw.count for part in parts)
    weights = [part.raw.count / total for part in parts]
    raw = _Share(sum(w * part.raw.value for w, part in zip(weights, parts, strict=True)), total)
    more: dict[str, Any] = {"raw": _told(raw.value, raw.interval) | {"n": int(total)}}
    for key in ("alarms", "sensitivity"):
        shares = [getattr(part, key) for part in parts]
        if all(share is not None for share in shares):
            value, low, high = _together(
                [(w, (share.value, *share.interval)) for w, share in zip(weights, shares, strict=True)]
            )
            name = "false_alarms" if key == "alarms" else key
            more[name] = _told(value, (max(low, 0.0), min(high, 1.0)))
    more["by_asked"] = {
        part.name: {
            "n": int(part.raw.count),
            "raw": part.raw.value,
            "false_alarms": part.alarms and part.alarms.value,
            "sensitivity": part.sensitivity and part.sensitivity.value,
            **({} if part.corrected is None else _told(*_cut(part.corrected))),
        }
        for part in parts
    }
    for part in parts:
        if part.corrected is None:
            why = "sensitivity and specificity together are not above 1" if part.sensitivity else "no image of known truth"
            more["note"] = f"no correction: {why} (asked for: {part.name})"
            return Measure(math.nan, protocol, None, None, more)
    whole = _together([(w, part.corrected) for w, part in zip(weights, parts, strict=True) if part.corrected is not None])
    value, (low, high) = _cut(whole)
    more["uncut"] = whole[0]
    return Measure(value, protocol, low, high, more)


def _cut(found: tuple[float, float, float]) -> tuple[float, tuple[float, float]]:
    value, low, high = (min(max(number, 0.0), 1.0) for number in found)
    return value, (low, high)


def _told(value: float, ends: tuple[float, float]) -> dict[str, Any]:
    return {"value": value, "low": ends[0], "high": ends[1]}


def unintended_components(
    images: Images,
    asked: np.ndarray,
    detector: FindingDetector,
    *,
    forbidden: Iterable[Iterable[str]] = (),
    tolerated: np.ndarray | None = None,
    reference: str = "validation",
) -> dict[str, Measure]:
    """How many samples show what they should not.

    images: N samples. asked: (N, F) bool, the findings each was made for, in the order of `detector.findings`. tolerated:
    (N, F) bool, findings that real images of the same label may show too: neither unintended nor missing. forbidden: sets of
    names that never stand together.

    `unintended`: samples with a finding that was not asked for; `unintended_<finding>`: with this one, among those not asked
    for it. `missing`, `missing_<finding>`: asked for, not there. `impossible`, `impossible_<a>+<b>`: a forbidden set, all of
    it. Each is the corrected share with its 95 % interval; its `more` holds `raw` and `false_alarms` (with intervals: the
    share flagged among the samples, and among real images of known truth that show what was asked and no more),
    `sensitivity`, `by_asked` (all of it per combination asked for), `uncut` (the value before it is cut to [0, 1]). Rates are
    corrected for each combination asked for and put together by their numbers. Where real images of the same label, or of the
    same label with the event, are fewer than 20, all without or with the event stand in. Where no correction is possible the
    value is NaN, without an interval, and `note` tells why; `raw` stands. Images count as independent: where groups hold many
    images of one patient, intervals are too narrow.

    Raises GanvasError for shapes that do not fit, no samples, unknown names, and a forbidden set that was asked for.
    """
    names = detector.findings
    asked = np.asarray(asked)
    tolerated = np.zeros_like(asked) if tolerated is None else np.asarray(tolerated)
    for what, given in (("asked", asked), ("tolerated", tolerated)):
        if given.shape != (len(images), len(names)) or given.dtype != bool:
            raise GanvasError(
                f"{what} is {given.dtype} {given.shape}: give bool ({len(images)}, {len(names)}), a column for each of "
                f"{', '.join(names)}"
            )
    if not len(images):
        raise GanvasError("no samples: there is no share of nothing")
    rules = _rules(forbidden, names)
    flagged = detector.flags(images)
    kinds, place = np.unique(np.concatenate([asked, tolerated], axis=1), axis=0, return_inverse=True)
    groups = [(kind[: len(names)], kind[len(names) :], flagged[place.ravel() == k]) for k, kind in enumerate(kinds)]
    for columns in rules:
        for wanted, _, rows in groups:
            if wanted[list(columns)].all():
                raise GanvasError(
                    f"{len(rows)} samples were asked for {' and '.join(names[c] for c in columns)}, which is forbidden: "
                    "leave the rule or these samples out"
                )
    families = {
        "unintended": [_Event(name, (k,)) for k, name in enumerate(names)],
        "missing": [_Event(name, (k,), present=False) for k, name in enumerate(names)],
        "impossible": [_Event("+".join(names[c] for c in columns), columns) for columns in rules],
    }
    found: dict[str, Measure] = {}
    for family, events in families.items():
        for key, chosen in [(family, events), *((f"{family}_{event.name}", [event]) for event in events)]:
            parts = []
            for wanted, free, rows in groups:
                here = [event for event in chosen if event.applies(wanted, free)]
                if here:
                    called = "+".join(name for name, is_asked in zip(names, wanted, strict=True) if is_asked) or "none"
                    parts.append(_judged(called, rows, wanted, free, here, detector))
            if parts:
                n = int(sum(part.raw.count for part in parts))
                found[key] = _measure(
                    parts,
                    f"{key.replace('_', '/', 1)}/{detector.name}/specificity={detector.facts['wanted_specificity']:g}/n={n}"
                    f"/m={len(detector.truth)}/ref={reference}",
                )
    return found


def _rules(forbidden: Iterable[Iterable[str]], names: tuple[str, ...]) -> list[tuple[int, ...]]:
    rules = []
    for given in forbidden:
        for name in given:
            if name not in names:
                raise GanvasError(f"the rules name '{name}'{did_you_mean(name, names)}: findings are {', '.join(names)}")
        rules.append(tuple(sorted(names.index(name) for name in given)))
        if not rules[-1]:
            raise GanvasError("an empty set among the forbidden combinations: name two findings or more")
    return sorted(set(rules))


# The chest phantom, whose truth is known


def chest_findings(count: int, seed: int) -> np.ndarray:
    """(count, 4) bool findings for records of the chest phantom: half as it makes them, half with one more, whatever it is.

    The extra one breaks the phantom's rules on purpose. A detector that never saw two findings together takes one for a sign
    that the other is absent, and forbidden combinations are what it must find.
    """
    from ganvas.data.phantoms.chest import FINDINGS, make

    facts = make(None, count, seed, (16, 16)).facts  # what is drawn does not depend on the size
    shown = np.array([[name in fact["findings"] for name in FINDINGS] for fact in facts], bool)
    rng = np.random.default_rng([seed, 0xF1D])
    more = rng.random(count) < 0.5
    shown[more, rng.integers(0, len(FINDINGS), int(more.sum()))] = True
    return shown


def chest_detector(
    size: Size = 64,
    *,
    count: int = CHEST_IMAGES,
    specificity: float = SPECIFICITY,
    seed: int = 0,
    cache: Path | None = None,
    notes: list[str] | None = None,
    device: str = "cpu",
) -> FindingDetector:
    """The detector of the chest phantom's findings for samples of `size` (height, width), trained now or from the cache.

    count: phantom images with known truth, drawn for this alone (`chest_findings`). Samples of more than 128 pixels are shrunk
    to this first.
    """
    from ganvas.data.phantoms import _thorax, chest
    from ganvas.data.phantoms.chest import FINDINGS, make
    from ganvas.store.cache import file_digest

    height, width = _height_width(size)
    shrunk = min(1.0, _CHEST_SIDE / max(height, width))
    entry = (max(16, round(height * shrunk)), max(16, round(width * shrunk)))
    least = min(1.0, LONGEST_SIDE / max(entry))
    network = (round(entry[0] * least), round(entry[1] * least))

    def images() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = []
        for k in range(0, count, 1000):  # the masks of a thousand at a time: all of them are large
            n, own = min(1000, count - k), _CHEST_SEED + 10**6 * seed + k
            shown = chest_findings(n, own)
            made = make(None, n, own, entry, findings=shown)
            where = [shrunk_masks(made.masks[name][..., None], network).numpy()[:, 0] for name in FINDINGS]
            parts.append((made.values, shown, np.stack(where, axis=3)))
        values, findings, masks = (np.concatenate(part) for part in zip(*parts, strict=True))
        return values, findings, masks

    code = [file_digest(Path(str(module.__file__))) for module in (chest, _thorax)]
    key = digest("chest", code, entry, count, specificity, seed)
    return kept_detector(key, images, FINDINGS, np.arange(count), entry, specificity, seed, cache, notes, device)


def chest_unintended(
    samples: Any,
    asked: Any = None,
    *,
    classes: Sequence[str] | None = None,
    count: int = 1000,
    images: int = CHEST_IMAGES,
    specificity: float = SPECIFICITY,
    seed: int = 0,
    cache: Path | None = None,
    notes: list[str] | None = None,
    device: str = "cpu",
) -> dict[str, Measure]:
    """`unintended_components` of a generator that was trained on the chest phantom, by the phantom's own truth and rules.

    samples: images (N, H, W, 1), or a trained run (`ganvas.load`), of which `count` are drawn, equally many of each class.
    asked: (N,) what each was asked for, names of classes or indices into `classes`; not with a run. classes: the class names
    of the data, the phantom's by default. images, specificity, cache, notes: of the detector. seed: of the detector and of the
    samples that are drawn.

    Raises GanvasError for other classes than the phantom's, for numbers that do not fit, and as `unintended_components` does.
    """
    from ganvas.data.phantoms.chest import CLASSES, COMPANIONS, FINDINGS, RULES

    if hasattr(samples, "sample"):
        if asked is not None:
            raise GanvasError("a run is asked for every class in turn: leave asked= out, or give its samples as an array")
        classes = tuple(samples.spec.classes)
        each = max(1, count // max(1, len(classes)))
        drawn = [samples.sample(each, seed=seed + k, label=name) for k, name in enumerate(classes)]
        samples, asked = np.concatenate(drawn), np.repeat(np.arange(len(classes)), each)
    elif asked is None:
        raise GanvasError("asked= is missing: say for every sample which class was asked for")
    known = tuple(CLASSES if classes is None else classes)
    wanted = (
        [str(known[k]) if 0 <= k < len(known) else str(k) for k in asked]
        if np.asarray(asked).dtype.kind in "iu"
        else list(asked)
    )
    unlike = sorted({str(name) for name in wanted} - set(CLASSES))
    if unlike:
        raise GanvasError(
            f"'{unlike[0]}' is no class of the chest phantom{did_you_mean(unlike[0], CLASSES)}: {', '.join(CLASSES)}"
        )
    if len(wanted) != len(samples):
        raise GanvasError(f"{len(wanted)} classes asked for, but {len(samples)} samples: give one for each")
    own = np.array([[name == finding for finding in FINDINGS] for name in wanted], bool)
    beside = np.array([[finding in COMPANIONS.get(name, ()) for finding in FINDINGS] for name in wanted], bool)
    detector = chest_detector(
        _own_size(samples), count=images, specificity=specificity, seed=seed, cache=cache, notes=notes, device=device
    )
    return unintended_components(samples, own, detector, forbidden=RULES, tolerated=beside, reference="chest-phantom")
