"""What Belmekki et al. 2022 claim of training, and when it counts as holding: the rules, written before any result.

A claim says on which side of a threshold a figure lies. It HOLDS when the whole 95 % interval of the figure lies there, it
DOES NOT HOLD when the whole interval lies on the other side, else nothing can be told. Contrasts between cells are means over
pairs of runs that differ in one thing and share the seed, as ratios on a logarithmic scale; their intervals are those of
Student's t over the pairs. Where there is no figure (no pair, a single one, no collapse), nothing can be told either.
"""

from __future__ import annotations

import json
import math
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HOLDS, FAILS, OPEN, ELSEWHERE = "holds", "does not hold", "cannot tell", "not tested here"
Runs = Mapping[str, Mapping[int, Mapping[str, Any]]]

HALVED = 0.75  # T0 with AdaS over T0 with AdaM: nearer to a half than to one
HIGHLY = -0.5  # a rank correlation below this is a high inverse one
AWAKE = 0.25  # share of rounds with D nearly certain, below which its gradients are not said to vanish
COLLAPSES = ("collapse", "repeated samples")
FLOOR = 50  # T0 is a median over 50 rounds, so nothing earlier can be seen
RUNS = 8  # below which a correlation between runs is not judged
RESAMPLES = 500
COLUMNS = {
    "Frechet distance": lambda look, loss: look["frechet"]["value"],
    "mean of D's loss": lambda look, loss: loss["mean"],
    "its variance": lambda look, loss: loss["variance"],
    "its sd": lambda look, loss: loss["sd"],
    "kernel distance": lambda look, loss: look["kernel"]["value"],
}


def mean_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % interval of a mean, by Student's t; (None, None) for fewer than two values."""
    if len(values) < 2:
        return None, None
    from ..proofs import student_975

    half = student_975(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return mean - half, mean + half


def decide(low: float | None, high: float | None, threshold: float, side: str) -> str:
    """HOLDS, FAILS or OPEN for the claim that a figure lies `below` or `above` a threshold, from the figure's interval."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return OPEN
    if side == "above":
        low, high, threshold = -high, -low, -threshold
    return HOLDS if high < threshold else FAILS if low > threshold else OPEN


# Contrasts


def final(key: str) -> Callable[[Mapping[str, Any]], float | None]:
    """A measure of the last look."""
    return lambda run: float(run["looks"][-1][key]["value"])


def loss(key: str) -> Callable[[Mapping[str, Any]], float | None]:
    """A moment of D's loss over the whole training."""
    return lambda run: float(run["losses"]["whole"][key])


def t0_ratio(a: Mapping[str, Any], b: Mapping[str, Any]) -> float | None:
    """ln(T0 of a / T0 of b). None where both show no opening, where it ends in neither, or where T0 came before the opening.

    An opening that did not end lasted at least to the end of the training, which is put in its place.
    """
    if early_t0(a) or early_t0(b):
        return None
    ends = [run["losses"]["t0"] for run in (a, b)]
    if all(end is None for end in ends) or all(end is not None and end <= FLOOR for end in ends):
        return None
    first, second = (run["rounds"] if end is None else end for run, end in zip((a, b), ends, strict=True))
    return math.log(first / second)


def early_t0(run: Mapping[str, Any]) -> bool:
    """Whether T0 means nothing: D was nearly certain soon after it. A D that starts slowly has a high loss at first."""
    return (run["losses"]["asleep_soon"] or 0.0) > AWAKE


def log_ratio(of: Callable[[Mapping[str, Any]], float | None]) -> Callable[..., float | None]:
    """ln(of(a) / of(b)), where both are above 0."""

    def ratio(a: Mapping[str, Any], b: Mapping[str, Any]) -> float | None:
        first, second = of(a), of(b)
        usable = first is not None and second is not None and first > 0 and second > 0
        return math.log(first / second) if usable else None  # type: ignore[operator]

    return ratio


def paired(runs: Runs, names: Sequence[tuple[str, str]], contrast: Callable[..., float | None]) -> list[float]:
    """The contrast of every pair of cells at every seed that both have."""
    found = []
    for a, b in names:
        for seed in sorted(set(runs.get(a, {})) & set(runs.get(b, {}))):
            value = contrast(runs[a][seed], runs[b][seed])
            if value is not None:
                found.append(value)
    return found


def swapped(runs: Runs, one: str, other: str) -> list[tuple[str, str]]:
    """Pairs of cells (with `one`, with `other`) that are alike in everything else. An empty `other` takes the part away."""
    pairs = []
    for name in runs:
        parts = name.split("-")
        if one in parts and not {"rate", "batch"} & set(parts):
            partner = "-".join(p for p in (other if part == one else part for part in parts) if p)
            pairs.append((name, partner))
    return pairs


def _ratio_claim(
    key: str, claim: str, what: str, values: Sequence[float], threshold: float, side: str, why: str = ""
) -> dict[str, Any]:
    """The conclusion on a ratio, from its logarithms."""
    low, high = mean_interval(values)
    rule = f"holds when the interval of the ratio lies {side} {threshold:g}, does not hold when it lies on the other side"
    verdict = decide(low, high, math.log(threshold), side)
    if not values:
        sentence = why or "no two runs that differ in this alone were played"
    elif low is None or high is None:
        sentence = f"{what}: ratio {math.exp(values[0]):.2f} in the only pair, and one pair has no interval"
    else:
        mean = math.exp(statistics.fmean(values))
        sentence = f"{what}: ratio {mean:.2f} [{_exp(low)}, {_exp(high)}] over {len(values)} pairs"
    return _conclusion(key, claim, rule, verdict, sentence, values=[math.exp(v) for v in values])


def _exp(power: float) -> str:
    return f"{math.exp(power):.2f}" if abs(power) < 12 else ("0" if power < 0 else "large")


def _conclusion(key: str, claim: str, rule: str, verdict: str, sentence: str, **figures: Any) -> dict[str, Any]:
    return {"key": key, "claim": claim, "rule": rule, "verdict": verdict, "sentence": sentence, **figures}


# The claims


def conclusions(runs: Runs, rounds: int, beside: Path) -> list[dict[str, Any]]:
    """Every claim with its rule, its verdict and a sentence. beside: where results of other studies are looked for."""
    none = f"no pair of openings to compare: T0 at {FLOOR} rounds (the least), before the opening, or no end by {rounds:,}"
    adam = swapped(runs, "adas", "adam")
    elu = [(a, b) for a, b in swapped(runs, "relu", "elu") if "ttur" not in a]
    made = [
        _ratio_claim(
            "t0-halves", "T0 halves with AdaS", "T0, AdaS over AdaM",
            paired(runs, adam, t0_ratio), HALVED, "below", none,
        ),
        _ratio_claim(
            "ttur-shortens-t0", "TTUR shortens T0", "T0, with over without TTUR",
            paired(runs, swapped(runs, "ttur", ""), t0_ratio), 1.0, "below", none,
        ),
        _batches(runs),
        *_rates(runs),
        _ratio_claim(
            "relu-mean-loss", "without TTUR, ReLU has the higher mean loss of D than ELU", "mean loss, ReLU over ELU",
            paired(runs, elu, log_ratio(loss("mean"))), 1.0, "above",
        ),
        _ratio_claim(
            "relu-quality", "without TTUR, ReLU beats ELU (the paper's own FID says otherwise)",
            "Frechet distance, ReLU over ELU",
            paired(runs, elu, log_ratio(final("frechet"))), 1.0, "below",
        ),
        _ratio_claim(
            "adas-varies", "D's loss varies more with AdaS", "sd of D's loss, AdaS over AdaM",
            paired(runs, adam, log_ratio(loss("sd"))), 1.0, "above",
        ),
        _inverse(runs),
        _collapse(runs),
        _spectrum(runs),
        _top(runs),
    ]  # fmt: skip
    return made + _elsewhere(beside)


def _batches(runs: Runs) -> dict[str, Any]:
    """Larger batches lengthen T0: the slope of log2 T0 on log2 batch, seed by seed."""
    claim = "larger batches lengthen T0 (AdaM, ELU)"
    rule = "holds when the interval of the factor of T0 for each doubling of the batch lies above 1"
    family = {n: own for n, own in runs.items() if n == "adam-elu" or n.startswith("adam-elu-batch-")}
    slopes = []
    for seed in sorted({seed for own in family.values() for seed in own}):
        own = [run[seed] for run in family.values() if seed in run]
        points = [(math.log2(run["config"]["batch_size"]), math.log2(run["losses"]["t0"] or run["rounds"])) for run in own]
        ends = [run["losses"]["t0"] for run in own]
        if any(early_t0(run) for run in own):
            continue
        if len({x for x, _ in points}) >= 3 and not all(end is None or end <= FLOOR for end in ends):
            slopes.append(statistics.linear_regression(*zip(*points, strict=True)).slope)
    low, high = mean_interval(slopes)
    if low is None or high is None:
        sentence = "needs 3 batch sizes and 2 seeds: --extras"
        if len(family) >= 3 and all(len(own) >= 2 for own in family.values()):
            late = sum(run["losses"]["t0"] is None for own in family.values() for run in own.values())
            sentence = f"no openings to compare: it had not ended in {late} of {sum(map(len, family.values()))} runs"
        return _conclusion("batch-lengthens-t0", claim, rule, OPEN, sentence)
    mean = 2 ** statistics.fmean(slopes)
    sentence = f"T0 times {mean:.2f} [{2**low:.2f}, {2**high:.2f}] for each doubling, over {len(slopes)} seeds"
    return _conclusion("batch-lengthens-t0", claim, rule, decide(low, high, 0.0, "above"), sentence, slopes=slopes)


def _rates(runs: Runs) -> list[dict[str, Any]]:
    """The learning rates of AdaM with ELU: 1e-4 is stable but slow, 1e-3 makes gradients vanish."""
    base, slow, fast = "adam-elu", "adam-elu-rate-0.0001", "adam-elu-rate-0.001"
    made = [
        _ratio_claim(
            "slow-rate", "a rate of 1e-4 is slow (AdaM, ELU)", "Frechet distance at equal rounds, 1e-4 over 2e-4",
            paired(runs, [(slow, base)], log_ratio(final("frechet"))), 1.0, "above", "needs --extras",
        )
    ]  # fmt: skip
    for key, claim, name, side in (
        ("stable-rate", "a rate of 1e-4 shows no vanishing gradients", slow, "below"),
        ("vanishing-rate", "a rate of 1e-3 makes D too good, so that gradients vanish", fast, "above"),
    ):
        shares = [float(run["losses"]["asleep"]) for run in runs.get(name, {}).values()]
        low, high = mean_interval(shares)
        rule = f"holds when the interval of the share of rounds with D nearly certain lies {side} {AWAKE:g}"
        sentence = "needs --extras and 2 seeds"
        if low is not None and high is not None:
            sentence = f"D is nearly certain in {statistics.fmean(shares):.0%} of rounds [{low:.0%}, {high:.0%}]"
        made.append(_conclusion(key, claim, rule, decide(low, high, AWAKE, side), sentence, values=shares))
    return made


def _inverse(runs: Runs) -> dict[str, Any]:
    claim = "the mean loss of D predicts FID, highly and inversely"
    rule = (
        f"holds when the 95 % interval of Spearman's correlation between runs at equal rounds lies below {HIGHLY:g}, does not "
        "hold when it lies above: over checkpoints alone both change with time, which correlates anything"
    )
    found = correlations(runs)
    if found is None or found["runs"] < RUNS:
        return _conclusion("loss-predicts", claim, rule, OPEN, f"needs at least {RUNS} runs")
    pooled, equal = found["pairs"]["Frechet distance / mean of D's loss"], found["equal_rounds"]
    sentence = (
        f"correlation {equal['value']:.2f} [{equal['low']:.2f}, {equal['high']:.2f}] between {found['runs']} runs at equal "
        f"rounds; {pooled['value']:.2f} [{pooled['low']:.2f}, {pooled['high']:.2f}] over all {found['n']} checkpoints"
    )
    verdict = decide(equal["low"], equal["high"], HIGHLY, "below")
    return _conclusion("loss-predicts", claim, rule, verdict, sentence)


def _collapse(runs: Runs) -> dict[str, Any]:
    claim = "collapse shows as a sudden exponential rise of the losses"
    rule = "holds when the exact 95 % interval of the share of collapsed runs in which losses exploded lies above one half"
    kinds = [{alarm["kind"] for alarm in run["alarms"]} for own in runs.values() for run in own.values()]
    collapsed = [own for own in kinds if own & set(COLLAPSES)]
    loud = sum("losses explode" in own for own in collapsed)
    if not collapsed:
        quiet = sum("losses explode" in own for own in kinds)
        sentence = f"none of {len(kinds)} runs collapsed (losses exploded in {quiet})"
        return _conclusion("collapse-explodes", claim, rule, OPEN, sentence)
    from .readers import exact_interval

    low, high = exact_interval(loud / len(collapsed), len(collapsed))
    sentence = f"losses exploded in {loud} of {len(collapsed)} runs whose samples collapsed, of {len(kinds)} in all"
    return _conclusion("collapse-explodes", claim, rule, decide(low, high, 0.5, "above"), sentence)


def _spectrum(runs: Runs) -> dict[str, Any]:
    claim = "synthetic images lack high frequencies"
    rule = (
        "holds when the interval over runs of the log power of the top third, generated over real, lies below 0; of runs whose "
        "opening ended in the first half: before that, samples are noise"
    )
    every = [run for own in runs.values() for run in own.values()]
    learnt = [run for run in every if run["losses"]["t0"] is not None and run["losses"]["t0"] <= run["rounds"] / 2]
    values = [float(run["looks"][-1]["top_third"]["value"]) for run in learnt]
    low, high = mean_interval(values)
    if low is None or high is None:
        return _conclusion("lacks-detail", claim, rule, OPEN, f"needs 2 runs with such an opening, {len(learnt)} had one")
    times = [f"{math.exp(v):.2f}" for v in (statistics.fmean(values), low, high)]
    sentence = f"{times[0]} [{times[1]}, {times[2]}] times the real power above 1/3 cycle per pixel, over {len(values)} runs"
    return _conclusion("lacks-detail", claim, rule, decide(low, high, 0.0, "below"), sentence, values=values)


def _top(runs: Runs) -> dict[str, Any]:
    """ELU + TTUR + AdaS is the best: against every other cell, at equal seeds."""
    claim, best = "ELU + TTUR + AdaS is the top configuration", "adas-elu-ttur"
    rule = (
        "holds when, against every other cell of the design, the interval of the ratio of Frechet distances lies below 1; does "
        "not hold when it lies above 1 against one of them"
    )
    rivals = [name for name in runs if name != best and not {"rate", "batch"} & set(name.split("-"))]
    found = {name: paired(runs, [(best, name)], log_ratio(final("frechet"))) for name in rivals}
    verdicts = {name: decide(*mean_interval(values), 0.0, "below") for name, values in found.items()}
    if not verdicts:
        return _conclusion("top", claim, rule, OPEN, "it was not played beside another cell")
    worse = [name for name, verdict in verdicts.items() if verdict == FAILS]
    beaten = [name for name, verdict in verdicts.items() if verdict == HOLDS]
    verdict = FAILS if worse else HOLDS if len(beaten) == len(rivals) else OPEN
    ratios = ", ".join(f"{name} {math.exp(statistics.fmean(v)):.2f}" for name, v in found.items() if v)
    sentence = f"its Frechet distance over that of: {ratios or 'none'}; beyond doubt better than {len(beaten)} of {len(rivals)}"
    return _conclusion("top", claim, rule, verdict, sentence + (f", worse than {', '.join(worse)}" if worse else ""))


OTHERS = (
    ("batch-norm-memory", "BatchNorm costs 1.2 to 7 % of the memory", "memory", "removing batchnorm"),
    ("memory-growth", "memory grows exponentially with the width", "memory", "exponential"),
    ("compression", "fully connected layers and larger strides do not help", "compression", "stride"),
)
"""Key, claim, the study that tests it, and a word by which its own claim is known where that has no key."""


def _elsewhere(beside: Path) -> list[dict[str, Any]]:
    """Claims that other studies test: from their results (`memory.json`, `compression.json`), in this folder or beside it."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for study in sorted({study for _, _, study, _ in OTHERS}):
        for folder in (beside, beside.parent):
            for path in sorted({*folder.glob(f"{study}.json"), *folder.glob(f"*/{study}.json")}):
                try:
                    found.setdefault(study, []).extend(dict(one) for one in json.loads(path.read_text())["claims"])
                except (OSError, ValueError, KeyError, TypeError):
                    continue
    made = []
    for key, claim, study, word in OTHERS:
        own = found.get(study, [])
        told = [one for one in own if one.get("key") == key] or [one for one in own if word in str(one.get("claim")).lower()]
        if not told:
            sentence = f"run  ganvas study {study}  with an --out beside this study's"
            made.append(_conclusion(key, claim, f"that of  ganvas study {study}", ELSEWHERE, sentence))
            continue
        sentence = str(told[0].get("sentence") or told[0].get("here", ""))
        verdict = str(told[0].get("verdict", OPEN))
        made.append(_conclusion(key, claim, f"that of  ganvas study {study}", verdict, sentence))
    return made


# Correlations


def correlations(runs: Runs) -> dict[str, Any] | None:
    """Spearman's rank correlations over runs x checkpoints, as Figure 5 has them over four cells; None for fewer than 4 runs.

    The moments of D's loss at a checkpoint are over all rounds up to it. `pairs` has each with the 95 % interval of a
    bootstrap over runs (checkpoints of one run hang together). `equal_rounds`: the correlation of Frechet distance and mean
    loss between runs at the same checkpoint, averaged over checkpoints, where time cannot make both change.
    """
    import numpy as np
    from scipy.stats import rankdata

    every = [run for own in runs.values() for run in own.values()]
    if len(every) < 4:
        return None
    table = np.array(
        [
            [[of(look, moments) for of in COLUMNS.values()] for look, moments in zip(r["looks"], r["checkpoints"], strict=True)]
            for r in every
        ]
    )  # (runs, checkpoints, columns)

    def spearman(rows: Any) -> Any:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.corrcoef(rankdata(rows, axis=0).T)

    def alike(chosen: Any) -> float:
        each = [spearman(table[chosen, k][:, :2])[0, 1] for k in range(table.shape[1])]
        return float(np.nanmean(each)) if np.isfinite(each).any() else math.nan

    names = list(COLUMNS)
    matrix = spearman(table.reshape(-1, len(names)))
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(every), size=len(every)) for _ in range(RESAMPLES)]
    drawn = [chosen for chosen in drawn if len(set(chosen.tolist())) > 2]
    resampled = np.array([spearman(table[chosen].reshape(-1, len(names))) for chosen in drawn])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a column that never changes, which correlates with nothing
        low, high = np.nanpercentile(resampled, (2.5, 97.5), axis=0)
        ends = np.nanpercentile([alike(chosen) for chosen in drawn], (2.5, 97.5))
    pairs = {
        f"{a} / {b}": {"value": float(matrix[i, j]), "low": float(low[i, j]), "high": float(high[i, j])}
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if i < j
    }
    return {
        "names": names,
        "matrix": matrix.round(4).tolist(),
        "pairs": pairs,
        "n": int(table.shape[0] * table.shape[1]),
        "runs": len(every),
        "protocol": f"spearman/runs={len(every)}/checkpoints={table.shape[1]}/bootstrap-by-run={len(drawn)}",
        "equal_rounds": {"value": alike(np.arange(len(every))), "low": float(ends[0]), "high": float(ends[1])},
    }
