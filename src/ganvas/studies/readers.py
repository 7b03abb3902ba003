"""Blinded human reading: can people tell synthetic images from real ones?

`make_reading` writes a page for readers that works without a network and a key that stays with the owner; the page holds
no truth. `score_reading` puts key and answers together. `giveaways` looks for traces of handling that would tell the two
sets apart without looking at what they show. Not for diagnostic accuracy, and no proof of quality by itself: images that
pass for real may be copies of real ones, or miss what is rare.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, GanvasError
from ..metrics.measure import Measure
from ._reading_making import ANSWERS_FORMAT, KEY_FILE, KEY_FORMAT, TRUTHS, giveaways, make_reading

__all__ = ["d_prime_error", "exact_interval", "giveaways", "lines", "make_reading", "score_reading"]

_LEVELS = 6  # real 3, 2, 1, synthetic 1, 2, 3: the rating from surely real to surely synthetic
_Z95, _Z80 = 1.959963984540054, 0.8416212335729143


@dataclass
class _Reader:
    """One reader's answers. ratings: (images,) 0 surely real .. 5 surely synthetic, -1 not answered; in the key's order."""

    name: str
    experience: str
    complete: bool
    ratings: np.ndarray
    seconds: list[float]
    repeats: list[tuple[int, int]]
    """Ratings of the images seen twice: first and second time."""


def score_reading(
    key: str | Path,
    answers: Sequence[str | Path] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """What the readers' answers say. key: the study's folder or its `key.json`. answers: files or folders of `*.json`.

    Without answers, `answers*.json` beside the key are read. Second showings count for self-consistency alone.

    "Synthetic" is the signal: sensitivity is the share of synthetic images called so, specificity that of real ones.
    For a reader: accuracy, sensitivity and specificity with exact intervals (Clopper and Pearson 1934); d' = z(H) - z(F)
    and criterion c = -(z(H) + z(F)) / 2 (positive: inclined to say real) with the log-linear correction, half an answer
    added to each cell (Hautus 1995), and normal intervals from the variance of Gourevitch and Galanter 1967; the area
    under the ROC curve of the six-step rating, with a bootstrap over images. For all readers together: shares over all
    answers, and the readers' mean d', c and area. Since readers saw the same images, their intervals rest on the variance
    that readers and that images bring, from bootstraps over readers, over images (within each truth) and over both
    (Owen 2007), with the degrees of freedom of Hillis 2007: for d' and c as they are, for the area on the logit scale, for
    shares as the number of independent answers that all answers are worth, put into the exact interval (Korn and Graubard
    1998). All intervals are 95 %. An area whose bootstrap cannot vary (no image misrated) has none.

    These intervals speak of readers in general, and few readers say little of them. Whether the readers who answered did
    better than chance is judged by `accuracy_these_readers`, whose interval comes from the images alone.

    Returns plain values: study, title, readers, pooled, agreement, mistaken, verdict (`told apart`, `not told from
    chance`, `reversed`), detectable, meaning, notes, warnings, protocol. `detectable` is the true accuracy that a reading
    worth as many independent answers finds different from 0.5 in 8 of 10 cases (normal approximation).

    Raises DataError for a damaged or foreign file, unknown images, double answers, two files of one reader, and readers
    with fewer than 2 answers to real or to synthetic images; GanvasError when there is nothing to score.
    """
    folder, held = _read_key(Path(key).expanduser())
    images = list(held["images"])
    fake = np.array([held["images"][name]["truth"] == TRUTHS[1] for name in images])
    readers: list[_Reader] = []
    origin: dict[str, Path] = {}
    for path in _answer_files(folder, answers):
        reader = _read_answers(path, held["study"], images)
        same = reader.name.casefold()
        if same in origin:
            raise DataError(f"{path}: reader '{reader.name}' already answered in {origin[same]}: keep one of the two files")
        for truth, of_truth in zip(TRUTHS, (~fake, fake), strict=True):
            if (reader.ratings[of_truth] >= 0).sum() < 2:
                raise DataError(f"{path}: fewer than 2 answers to {truth} images: leave this reader out")
        origin[same] = path
        readers.append(reader)
    rng = np.random.default_rng([seed, 0x5C0E])
    alone = [_reader_figures(reader, fake, rng, resamples) for reader in readers]
    pooled, worth = _pooled_figures(readers, fake, alone, rng, resamples)
    accuracy = pooled["accuracy_these_readers"]
    detectable = min(1.0, 0.5 + (_Z95 + _Z80) * math.sqrt(0.25 / worth))
    verdict = "told apart" if accuracy["low"] > 0.5 else "reversed" if accuracy["high"] < 0.5 else "not told from chance"
    notes = [f"{r.name} answered {(r.ratings >= 0).sum()} of {len(images)} images" for r in readers if not r.complete]
    if 1 < len(readers) < 5:
        notes.append(f"{len(readers)} readers say little about readers in general: the intervals are those of few people")
    return {
        "study": held["study"],
        "title": held.get("title", ""),
        "protocol": f"reading/readers={len(readers)}/real={(~fake).sum()}/synthetic={fake.sum()}/bootstrap={resamples}",
        "readers": alone,
        "pooled": pooled,
        "agreement": _agreement(readers),
        "mistaken": _mistaken(readers, images, held["images"]),
        "verdict": verdict,
        "detectable": detectable,
        "meaning": _meaning(verdict, pooled, detectable),
        "notes": notes,
        "warnings": list(held.get("warnings", [])),
    }


def _read_json(path: Path, what: str) -> Any:
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({(error.strerror or 'no such file').lower()})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged, it is no complete JSON: ask for {what} again") from error


def _read_key(path: Path) -> tuple[Path, dict[str, Any]]:
    file = path / KEY_FILE if path.is_dir() else path
    if not file.is_file():
        raise GanvasError(f"{file}: no such file: name the folder that  ganvas study readers make  wrote")
    held = _read_json(file, "the study's key")
    try:
        sound = held["format"] == KEY_FORMAT and isinstance(held["study"], str)
        truths = [entry["truth"] for entry in held["images"].values()]
        sound = sound and set(truths) == set(TRUTHS) and min(truths.count(t) for t in TRUTHS) >= 2
    except (KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise DataError(f"{file}: not the key of a reading, or changed by hand")
    return file.parent, held


def _answer_files(folder: Path, answers: Sequence[str | Path] | None) -> list[Path]:
    """The files to read, each once, in order of name within a folder."""
    named = [folder] if not answers else [Path(a).expanduser() for a in answers]
    pattern = "answers*.json" if not answers else "*.json"
    files: list[Path] = []
    for path in named:
        found = sorted(p for p in path.glob(pattern) if p.name != KEY_FILE) if path.is_dir() else [path]
        files += [p for p in found if p.resolve() not in {f.resolve() for f in files}]
    if not files:
        raise GanvasError(f"no answers in {', '.join(map(str, named))}: put the readers' answers-CODE.json files there")
    return files


def _read_answers(path: Path, study: str, images: Sequence[str]) -> _Reader:
    held = _read_json(path, "the reader's answers")
    if not isinstance(held, dict) or held.get("format") != ANSWERS_FORMAT or not isinstance(held.get("answers"), list):
        raise DataError(f"{path}: not the answers of a reading: give the file that the page saved")
    if held.get("study") != study:
        raise DataError(f"{path}: answers to another reading (study {held.get('study')}, this is {study})")
    name = held.get("reader")
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{path}: it names no reader: ask for the answers again")
    place = {image: i for i, image in enumerate(images)}
    ratings: tuple[dict[str, int], dict[str, int]] = ({}, {})
    seconds = []
    for number, entry in enumerate(held["answers"], start=1):
        image, showing, rating, spent = _one_answer(entry, f"{path}: answer {number}")
        if image not in place:
            raise DataError(f"{path}: answer {number} is to image '{image}', which is not of this reading")
        if image in ratings[showing - 1]:
            raise DataError(f"{path}: image '{image}' is answered more than once (showing {showing}): was the file edited?")
        ratings[showing - 1][image] = rating
        if showing == 1:
            seconds.append(spent)
    astray = [image for image in ratings[1] if image not in ratings[0]]
    if astray:
        raise DataError(f"{path}: image '{astray[0]}' has a second answer but no first one: was the file edited?")
    row = np.full(len(images), -1)
    for image, rating in ratings[0].items():
        row[place[image]] = rating
    repeats = [(ratings[0][image], rating) for image, rating in ratings[1].items()]
    experience = held.get("experience")
    complete = bool((row >= 0).all())
    return _Reader(name.strip(), experience if isinstance(experience, str) else "", complete, row, seconds, repeats)


def _one_answer(entry: Any, where: str) -> tuple[str, int, int, float]:
    """(image, showing, rating, seconds) of one entry of an answers file."""
    try:
        image, showing, confidence = entry["id"], entry["showing"], entry["confidence"]
        synthetic = TRUTHS.index(entry["answer"]) == 1
        spent = float(entry["seconds"])
        sound = isinstance(image, str) and showing in (1, 2) and confidence in (1, 2, 3) and 0 <= spent < math.inf
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise DataError(f"{where} is damaged: it needs id, showing (1, 2), answer, confidence (1 to 3) and seconds")
    return image, int(showing), int(confidence + 2 if synthetic else 3 - confidence), spent


def _figures(real: np.ndarray, fake: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of answers counted by rating: real, fake (..., 6) counts; each figure has the leading shape."""
    from scipy.special import ndtri

    n, m = real.sum(axis=-1), fake.sum(axis=-1)
    alarms, hits = real[..., _LEVELS // 2 :].sum(axis=-1), fake[..., _LEVELS // 2 :].sum(axis=-1)
    z_hit, z_alarm = ndtri((hits + 0.5) / (m + 1)), ndtri((alarms + 0.5) / (n + 1))
    below = np.cumsum(real, axis=-1) - real / 2
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample without answers: left out by the percentiles
        return {
            "accuracy": (hits + n - alarms) / (n + m),
            "sensitivity": hits / m,
            "specificity": (n - alarms) / n,
            "d_prime": z_hit - z_alarm,
            "criterion": -(z_hit + z_alarm) / 2,
            "auc": (fake * below).sum(axis=-1) / (n * m),
        }


def exact_interval(share: float, answers: float) -> tuple[float, float]:
    """The 95 % interval of a share out of `answers` independent answers (Clopper and Pearson 1934), 0 to 1.

    answers need not be whole: then it is the effective number of a clustered sample (Korn and Graubard 1998).
    """
    from scipy.stats import beta

    right, wrong = share * answers, (1 - share) * answers
    low = 0.0 if right <= 0 else float(beta.ppf(0.025, right, wrong + 1))
    high = 1.0 if wrong <= 0 else float(beta.ppf(0.975, right + 1, wrong))
    return low, high


def d_prime_error(hits: float, synthetic: float, alarms: float, real: float) -> tuple[float, float]:
    """Standard errors of d' and of c: Gourevitch and Galanter 1967, with the log-linear correction.

    hits of `synthetic` images and alarms (real images called synthetic) of `real` ones. The variance of a z-transformed
    share p of n answers is p (1 - p) / (n phi(z)^2), phi being the normal density.
    """
    from scipy.special import ndtri

    variance = 0.0
    for said, n in ((hits, synthetic), (alarms, real)):
        p = (said + 0.5) / (n + 1)
        density = math.exp(-(float(ndtri(p)) ** 2) / 2) / math.sqrt(2 * math.pi)
        variance += p * (1 - p) / (n * density**2)
    return math.sqrt(variance), math.sqrt(variance) / 2


def _percentiles(values: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return (float(low), float(high)) if high > low else (None, None)


def _measure(name: str, value: float, interval: tuple[float | None, float | None], protocol: str) -> dict[str, Any]:
    return Measure(float(value), f"{name}/{protocol}", *interval).to_dict()


def _counts(ratings: np.ndarray) -> np.ndarray:
    return np.bincount(ratings[ratings >= 0], minlength=_LEVELS)


def _reader_figures(reader: _Reader, fake: np.ndarray, rng: np.random.Generator, resamples: int) -> dict[str, Any]:
    real_counts, fake_counts = _counts(reader.ratings[~fake]), _counts(reader.ratings[fake])
    n, m = int(real_counts.sum()), int(fake_counts.sum())
    values = {name: float(value) for name, value in _figures(real_counts, fake_counts).items()}
    errors = d_prime_error(values["sensitivity"] * m, m, (1 - values["specificity"]) * n, n)
    # Drawing images anew is drawing their ratings anew.
    drawn = _figures(rng.multinomial(n, real_counts / n, resamples), rng.multinomial(m, fake_counts / m, resamples))
    size = f"real={n}/synthetic={m}"
    of = {"accuracy": n + m, "sensitivity": m, "specificity": n}
    shares = {
        name: _measure(name, values[name], exact_interval(values[name], of[name]), f"reader/{size}/ci=exact") for name in of
    }
    normal = {
        name: _measure(name, values[name], (values[name] - _Z95 * se, values[name] + _Z95 * se), f"log-linear/{size}/ci=normal")
        for name, se in zip(("d_prime", "criterion"), errors, strict=True)
    }
    return {
        "reader": reader.name,
        "experience": reader.experience,
        "complete": reader.complete,
        "answers": n + m,
        **shares,
        **normal,
        "auc": _measure("auc", values["auc"], _percentiles(drawn["auc"]), f"rating6/{size}/ci=bootstrap"),
        "median_seconds": float(np.median(reader.seconds)),
        "consistency": _consistency([reader]),
    }


def _pooled_figures(
    readers: Sequence[_Reader], fake: np.ndarray, alone: Sequence[dict[str, Any]], rng: np.random.Generator, resamples: int
) -> tuple[dict[str, Any], float]:
    """The figures of all readers together, and how many independent answers all their answers are worth."""
    answers = sum(figures["answers"] for figures in alone)
    names = ("accuracy", "sensitivity", "specificity", "d_prime", "criterion", "auc")
    common = {
        "readers": len(readers),
        "answers": answers,
        "median_seconds": float(np.median([s for r in readers for s in r.seconds])),
        "consistency": _consistency(readers),
    }
    if len(readers) == 1:
        same = {**{name: alone[0][name] for name in names}, "accuracy_these_readers": alone[0]["accuracy"]}
        return {**same, **common, "worth": float(answers)}, float(answers)
    ratings = np.stack([r.ratings for r in readers])
    count = len(readers)
    point, drawn = [], []
    for of_truth in (~fake, fake):
        own = (ratings[:, of_truth, None] == np.arange(_LEVELS)).astype(np.float64)  # reader, image, rating
        n = int(of_truth.sum())
        times = rng.multinomial(n, np.full(n, 1 / n), resamples)
        point.append(own.sum(axis=1)[None])
        drawn.append(np.einsum("bi,ril->brl", times, own, optimize=True))
    weights, equal = rng.multinomial(count, np.full(count, 1 / count), resamples), np.ones((1, count))
    values = _together(equal, *point)
    by_readers, by_images, by_both = _together(weights, *point), _together(equal, *drawn), _together(weights, *drawn)

    size = f"readers={count}/real={(~fake).sum()}/synthetic={fake.sum()}"
    of = {"accuracy": answers, "sensitivity": int(point[1].sum()), "specificity": int(point[0].sum())}
    kinds = {"accuracy": len(fake), "sensitivity": int(fake.sum()), "specificity": int((~fake).sum())}
    figures: dict[str, Any] = {}

    def share(name: str, variance: float, quantile: float, ci: str) -> tuple[dict[str, Any], float]:
        """The measure of a share, and how many independent answers it is worth; if nothing varies, one an image."""
        value = float(values[name][0])
        independent = value * (1 - value) / variance * (_Z95 / quantile) ** 2 if variance > 0 else kinds[name]
        worth = min(float(of[name]), float(independent))
        return _measure(name, value, exact_interval(value, worth), f"answers/{size}/ci={ci}+exact"), worth

    for name in names:
        value = float(values[name][0])
        variance, quantile = _variance(*(float(np.nanvar(v[name])) for v in (by_readers, by_images, by_both)), count=count)
        half = quantile * math.sqrt(variance)
        if name in of:
            figures[name] = share(name, variance, quantile, "readers,images")[0]
        elif name == "auc":
            interval = _logit_interval(value, half) if half > 0 else (None, None)
            figures[name] = _measure(name, value, interval, f"mean-of-readers/{size}/ci=readers,images+logit")
        else:
            figures[name] = _measure(name, value, (value - half, value + half), f"mean-of-readers/{size}/ci=readers,images")
    of_images = float(np.nanvar(by_images["accuracy"]))
    figures["accuracy_these_readers"], worth = share("accuracy", of_images, _Z95, "images")
    return {**figures, **common, "worth": worth}, worth


def _together(weights: np.ndarray, real: np.ndarray, fake: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of all readers: shares over all answers, means of the readers otherwise.

    weights: (B, readers). real, fake: (B or 1, readers, 6) counts. Each figure is (B,).
    """
    each = _figures(real, fake)
    whole = _figures(*((weights[..., None] * counts).sum(axis=1) for counts in (real, fake)))
    means = {}
    for name in ("d_prime", "criterion", "auc"):
        known = weights * np.isfinite(each[name])  # a resample may leave an unfinished reader without answers of one kind
        with np.errstate(invalid="ignore"):
            means[name] = (np.nan_to_num(each[name]) * known).sum(axis=1) / known.sum(axis=1)
    return {**whole, **means}


def _variance(by_readers: float, by_images: float, by_both: float, *, count: int) -> tuple[float, float]:
    """The variance of a figure over other readers and other images, and the quantile of Student's t that belongs to it.

    From bootstrap variances of drawing readers, images and both. With s_r, s_i, s_e the variance that readers, images and
    their chance pairing bring to the mean of R readers, these are about (s_r + s_e)(R - 1) / R, s_i + s_e, and their sum
    plus s_e (R - 1) / R (Owen 2007); wanted is s_r + s_i + s_e. s_r is not let below 0. Degrees of freedom: Hillis 2007.
    """
    from scipy.stats import t

    unbiased = count / (count - 1)
    chance = max(0.0, (by_both - by_readers - by_images) * unbiased)
    variance = by_images + max(0.0, by_readers * unbiased - chance)
    if not variance > 0 or not by_readers > 0:
        return float(variance), _Z95
    freedom = variance**2 / ((by_readers * unbiased) ** 2 / (count - 1))
    return float(variance), float(t.ppf(0.975, max(freedom, count - 1)))


def _logit_interval(share: float, half: float) -> tuple[float, float]:
    """The interval share +- half taken on the logit scale, where it cannot leave 0 to 1."""
    centre, reach = math.log(share / (1 - share)), half / (share * (1 - share))
    low, high = (1 / (1 + math.exp(-(centre + sign * reach))) for sign in (-1, 1))
    return low, high


def _consistency(readers: Sequence[_Reader]) -> dict[str, Any]:
    """How often the same answer came when an image came again; Cohen's kappa 1960, None where it is not defined."""
    pairs = np.array([pair for r in readers for pair in r.repeats]).reshape(-1, 2) >= _LEVELS // 2
    if not len(pairs):
        return {"repeats": 0, "share": None, "kappa": None}
    equal = float((pairs[:, 0] == pairs[:, 1]).mean())
    says = pairs.mean(axis=0)
    chance = float(says[0] * says[1] + (1 - says[0]) * (1 - says[1]))
    kappa = (equal - chance) / (1 - chance) if chance < 1 else None
    share = _measure("self-consistency", equal, exact_interval(equal, len(pairs)), f"repeats={len(pairs)}/ci=exact")
    return {"repeats": len(pairs), "share": share, "kappa": kappa}


def _agreement(readers: Sequence[_Reader]) -> dict[str, Any] | None:
    """Agreement of readers on real or synthetic, over the images all answered: Fleiss 1971. None for a single reader."""
    if len(readers) < 2:
        return None
    ratings = np.stack([r.ratings for r in readers])
    ratings = ratings[:, (ratings >= 0).all(axis=0)]
    count, n = ratings.shape
    if n == 0:
        return {"images": 0, "share": None, "fleiss_kappa": None}
    said = (ratings >= _LEVELS // 2).sum(axis=0)
    share = float(((said**2 + (count - said) ** 2 - count) / (count * (count - 1))).mean())
    synthetic = said.sum() / (count * n)
    chance = float(synthetic**2 + (1 - synthetic) ** 2)
    return {"images": n, "share": share, "fleiss_kappa": (share - chance) / (1 - chance) if chance < 1 else None}


def _mistaken(readers: Sequence[_Reader], images: Sequence[str], truth: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The ten images most often taken wrongly, the surest mistakes first among equals."""
    found = []
    for place, name in enumerate(images):
        given = np.array([r.ratings[place] for r in readers if r.ratings[place] >= 0])
        synthetic = truth[name]["truth"] == TRUTHS[1]
        wrong = given[(given >= _LEVELS // 2) != synthetic]
        if len(wrong):
            sure = float((np.abs(wrong - 2.5) + 0.5).mean())
            found.append({"image": name, **truth[name], "wrong": len(wrong), "of": len(given), "confidence": sure})
    return sorted(found, key=lambda f: (-f["wrong"] / f["of"], -f["of"], -f["confidence"], f["image"]))[:10]


def _meaning(verdict: str, pooled: Mapping[str, Any], detectable: float) -> str:
    accuracy, area, answers, readers = (pooled[n] for n in ("accuracy_these_readers", "auc", "answers", "readers"))
    who = "The reader" if readers == 1 else f"The {readers} readers"
    share = f"{_percent(accuracy['value'])} of {answers} answers were right {_range(accuracy)}"
    others = "" if readers == 1 else f" For readers in general the interval is {_range(pooled['accuracy'])}."
    if verdict == "told apart":
        return f"{who} told real from synthetic: {share}, where guessing gives 50 %.{others}"
    if verdict == "reversed":
        return f"{who} saw a difference but named it the wrong way round: {share}, where guessing gives 50 %.{others}"
    text = (
        f"{share}: this cannot be told from chance with these {answers} answers. A true accuracy of {_percent(detectable)} or "
        f"more would have been found in 8 of 10 such readings; a smaller one may well be there.{others}"
    )
    if "low" in area and (area["low"] > 0.5 or area["high"] < 0.5):
        text += f" The confidence of the answers does tell them apart: area under the curve {_interval(area)}."
    return text


def _range(measure: Mapping[str, Any]) -> str:
    return f"[{_percent(measure['low'])}, {_percent(measure['high'])}]"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _interval(measure: Mapping[str, Any]) -> str:
    text = f"{measure['value']:.2f}"
    return f"{text} [{measure['low']:.2f}, {measure['high']:.2f}]" if measure.get("low") is not None else f"{text} [none]"


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result of `score_reading` as a table for people."""
    rows = [(r["reader"] + ("" if r["complete"] else " (unfinished)"), r) for r in result["readers"]]
    if len(rows) > 1:
        rows.append(("all readers", result["pooled"]))
    width = max(len("reader"), *(len(name) for name, _ in rows))
    heads = f"{'right':<19}  {'d' + chr(39):<20}  {'ROC area':<19}"
    text = [f"{result['title']} (study {result['study']}; {result['protocol']})", ""]
    text.append(f"{'reader':<{width}}  {heads}  seconds  same answer again")
    for name, figures in rows:
        again = figures["consistency"]
        kappa = "" if again["kappa"] is None else f" (kappa {again['kappa']:.2f})"
        equal = (
            "none came twice" if again["share"] is None else f"{_percent(again['share']['value'])} of {again['repeats']}{kappa}"
        )
        cells = f"{_interval(figures['accuracy']):<19}  {_interval(figures['d_prime']):<20}  {_interval(figures['auc']):<19}"
        text.append(f"{name:<{width}}  {cells}  {figures['median_seconds']:<7.1f}  {equal}")
    pooled = result["pooled"]
    text += [
        "",
        f"right, these readers alone                       {_interval(pooled['accuracy_these_readers'])}",
        f"synthetic images called synthetic (sensitivity)  {_interval(pooled['sensitivity'])}",
        f"real images called real (specificity)            {_interval(pooled['specificity'])}",
        f"inclined to say real if above 0 (criterion c)    {_interval(pooled['criterion'])}",
    ]
    agreement = result["agreement"]
    if agreement and agreement["share"] is not None:
        kappa = "" if agreement["fleiss_kappa"] is None else f" (Fleiss' kappa {agreement['fleiss_kappa']:.2f})"
        text.append(f"two readers agree on                             {_percent(agreement['share'])} of the images{kappa}")
    if result["mistaken"]:
        text += ["", "most often taken wrongly (image, truth, number in its source, wrong answers):"]
        text += [f"  {m['image']}  {m['truth']:<9}  {m['index']:>6}  {m['wrong']} of {m['of']}" for m in result["mistaken"][:5]]
    text += ["", result["meaning"], *(f"note: {note}" for note in result["notes"])]
    text += [f"warning: {warning}" for warning in result["warnings"]]
    return text
