"""What Belmekki et al. 2022 claim of compressed networks (section III.F, Table III), and when it counts as holding: the rules,
written before any result.

As in `_xray_claims`, a claim says on which side of a threshold a figure lies: it HOLDS when the whole 95 % interval of the
figure lies there, DOES NOT HOLD when all of it lies on the other side, else nothing can be told. Intervals are those of
Student's t over seeds, of contrasts between runs that share the seed. A claim on several cells holds when it holds of each, and
does not hold when it does not hold of one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ._xray_claims import FAILS, HOLDS, OPEN, Runs, _conclusion, decide, final, log_ratio, mean_interval, paired

HELP = 0.9  # distance over that of the network it is compared with: less would be a help
FAILURE = 1.1  # more would be a failure
BASE, SMALL = "baseline", "stride-4"
STRIDES = ("stride-4-d", "stride-4-g", "stride-4", "stride-4-overlap", "stride-8")
CONNECTED = ("connected-d", "connected-g", "connected", "fcc")
LATENTS, WIDTHS = ("latent-20", "latent-500"), ("width-half", "width-double")
DEPTHS = ("stride-8", "stride-4", "stride-4-d", "stride-4-g", "stride-4-deeper", "baseline", "baseline-deeper")


def of_small(parts: Sequence[str]) -> list[str]:
    """The names of the cells that vary the compressed network in this way."""
    return [f"{SMALL}-{part}" for part in parts]


def reference(name: str) -> str:
    """The cell that another one varies in one thing: of strides the baseline, of all else the network of these strides."""
    if name in STRIDES:
        return BASE
    return SMALL if name.startswith(SMALL) else BASE


def squares(run: Mapping[str, Any]) -> float:
    """How many times the real share of edges lies on a grid, at the end."""
    return float(run["looks"][-1]["squares"]["value"])


def excess(run: Mapping[str, Any]) -> float:
    """How far that lies above what real training images have."""
    return squares(run) - float(run["real"]["squares"]["value"])


def conclusions(runs: Runs) -> list[dict[str, Any]]:
    """Every claim with its rule, its verdict and a sentence; the first is the one that Table I's study asks for."""
    connected = [*of_small(CONNECTED), *(f"{BASE}-{part}" for part in CONNECTED)]
    strides = _no_help(runs, "strides-do-not-help", "larger strides do not help", STRIDES)
    layers = _no_help(runs, "connected-do-not-help", "fully connected layers do not help", connected)
    return [
        _both(strides, layers),
        strides,
        layers,
        _out_of_reach(runs),
        _appear(runs),
        _kept(runs, "connected-keep-squares", "fully connected layers do not remove the squares", of_small(CONNECTED)),
        _kept(runs, "latent-keeps-squares", "the latent size does not remove the squares", of_small(LATENTS)),
        _kept(runs, "width-keeps-squares", "the feature map size does not remove the squares", of_small(WIDTHS)),
        _deeper(runs),
        _deeper_alike(runs),
        _overlap(runs),
    ]


def together(verdicts: Sequence[str]) -> str:
    """The verdict on all of several."""
    if not verdicts:
        return OPEN
    return FAILS if FAILS in verdicts else HOLDS if set(verdicts) == {HOLDS} else OPEN


def _played(runs: Runs, names: Sequence[str]) -> list[str]:
    return [name for name in names if runs.get(name) and runs.get(reference(name))]


def _told(name: str, values: Sequence[float], exponential: bool = False) -> str:
    """A mean with its interval: `stride-4 1.32 [1.1, 1.6]`."""
    low, high = mean_interval(values)
    figures = [statistics.fmean(values), *([] if low is None or high is None else [low, high])]
    words = [f"{min(math.exp(v), 1e6) if exponential else v:.2f}" for v in figures]
    return f"{name} {words[0]}" + (f" [{words[1]}, {words[2]}]" if len(words) > 1 else "")


def _distances(runs: Runs, names: Sequence[str], threshold: float) -> tuple[list[str], list[str], dict[str, list[float]]]:
    """(verdict of each cell on its distance lying above `threshold` times that of its reference, words, ratios)."""
    verdicts, words, ratios = [], [], {}
    for name in _played(runs, names):
        values = paired(runs, [(name, reference(name))], log_ratio(final("frechet")))
        if values:
            verdicts.append(decide(*mean_interval(values), math.log(threshold), "above"))
            words.append(_told(name, values, exponential=True))
            ratios[name] = [math.exp(v) for v in values]
    return verdicts, words, ratios


def _no_help(runs: Runs, key: str, claim: str, names: Sequence[str]) -> dict[str, Any]:
    rule = (
        "holds when, for each of these cells, the interval of the ratio of Frechet distances (to the network without the "
        f"change, at equal rounds) lies above {HELP:g}; does not hold when one lies below"
    )
    verdicts, words, ratios = _distances(runs, names, HELP)
    sentence = f"distance over that without: {', '.join(words)}" if words else "no such cells were played"
    return _conclusion(key, claim, rule, together(verdicts), sentence, values=ratios)


def _both(strides: Mapping[str, Any], layers: Mapping[str, Any]) -> dict[str, Any]:
    claim = "fully connected layers and larger strides do not help"
    rule = "holds when it holds of both, does not hold when it does not hold of one"
    verdict = together([strides["verdict"], layers["verdict"]])
    sentence = f"strides: {strides['verdict']}; fully connected layers: {layers['verdict']}. {strides['sentence']}"
    return _conclusion("compression", claim, rule, verdict, sentence)


def _out_of_reach(runs: Runs) -> dict[str, Any]:
    claim = "a compressed network that works is out of reach"
    rule = (
        "of the networks with larger strides in G and D: holds when the interval of each one's ratio of Frechet distances to "
        f"the baseline lies above {FAILURE:g}; does not hold when one lies below"
    )
    names = ("stride-4", "stride-4-overlap", "stride-8")
    verdicts, words, ratios = _distances(runs, names, FAILURE)
    if not words:
        return _conclusion("out-of-reach", claim, rule, OPEN, "no such cells were played")
    shares = [f"{name} {_share(runs, name):.0%}" for name in _played(runs, names)]
    sentence = f"distance over the baseline's: {', '.join(words)}; memory for one image: {', '.join(shares)} of the baseline's"
    return _conclusion("out-of-reach", claim, rule, together(verdicts), sentence, values=ratios)


def _share(runs: Runs, name: str) -> float:
    """Memory of both networks for one image over the baseline's."""
    sizes = [sum(part["mib"] for part in next(iter(runs[n].values()))["cost"].values()) for n in (name, BASE)]
    return sizes[0] / sizes[1]


def _appear(runs: Runs) -> dict[str, Any]:
    claim = "fewer layers by larger strides draw blurry squares"
    rule = "holds when the interval of the difference in squares, stride 4 in both networks less the baseline, lies above 0"
    values = paired(runs, [(SMALL, BASE)], lambda a, b: squares(a) - squares(b))
    if not values:
        return _conclusion("squares-appear", claim, rule, OPEN, "no such cells were played")
    means = [f"{name} {_mean(runs, name):.2f}" for name in (*STRIDES, BASE) if runs.get(name)]
    sentence = f"{_told('difference', values)}; squares (real images: {_real(runs):.2f}): {', '.join(means)}"
    return _conclusion("squares-appear", claim, rule, decide(*mean_interval(values), 0.0, "above"), sentence, values=values)


def _mean(runs: Runs, name: str) -> float:
    return statistics.fmean(squares(run) for run in runs[name].values())


def _real(runs: Runs) -> float:
    """The same of real training images."""
    some = next(iter(next(own for own in runs.values() if own).values()))
    return float(some["real"]["squares"]["value"])


def _kept(runs: Runs, key: str, claim: str, names: Sequence[str]) -> dict[str, Any]:
    rule = (
        "of the network with stride 4 in both: holds when, for each of these cells, the interval of its squares less those "
        "half-way from the unchanged network's to real images' lies above 0 (less than half is gone), does not hold when one "
        "lies below; cannot be told where the unchanged network has no squares"
    )
    there = [excess(run) for run in runs.get(SMALL, {}).values()]
    if decide(*mean_interval(there), 0.0, "above") != HOLDS:
        found = _told("excess over real images", there) if there else "it was not played"
        return _conclusion(key, claim, rule, OPEN, f"the unchanged network shows no squares beyond doubt: {found}")
    verdicts, words = [], []
    for name in _played(runs, names):
        left = paired(runs, [(name, SMALL)], lambda a, b: excess(a) - excess(b) / 2)
        if left:
            verdicts.append(decide(*mean_interval(left), 0.0, "above"))
            share = paired(runs, [(name, SMALL)], lambda a, b: excess(a))
            words.append(_told(name, share))
    sentence = f"excess of squares over real images: {', '.join([_told('unchanged', there), *words])}"
    return _conclusion(key, claim, rule, together(verdicts), sentence if words else "no such cells were played")


def _deeper(runs: Runs) -> dict[str, Any]:
    """The slope of squares on the number of layers, seed by seed, over cells that differ in strides and depth alone."""
    claim = "the deeper the network, the fewer squares"
    rule = "holds when the interval over seeds of the slope of squares on the number of layers (of both networks) lies below 0"
    slopes = []
    for seed in sorted({seed for name in DEPTHS for seed in runs.get(name, {})}):
        own = [runs[name][seed] for name in DEPTHS if seed in runs.get(name, {})]
        points = [(_layers(run), squares(run)) for run in own]
        if len({x for x, _ in points}) >= 3:
            slopes.append(statistics.linear_regression(*zip(*points, strict=True)).slope)
    low, high = mean_interval(slopes)
    if low is None or high is None:
        return _conclusion("deeper-fewer-squares", claim, rule, OPEN, "needs three depths and two seeds")
    layers = {name: _layers(next(iter(runs[name].values()))) for name in DEPTHS if runs.get(name)}
    cells = [f"{name} ({count} layers) {_mean(runs, name):.2f}" for name, count in layers.items()]
    sentence = f"{_told('for each layer', slopes)}; {', '.join(cells)}"
    return _conclusion("deeper-fewer-squares", claim, rule, decide(low, high, 0.0, "below"), sentence, values=slopes)


def _layers(run: Mapping[str, Any]) -> int:
    return int(sum(part["layers"] for part in run["cost"].values()))


def _deeper_alike(runs: Runs) -> dict[str, Any]:
    claim = "(not in the paper) at equal strides, a deeper network has fewer squares"
    rule = "holds when the interval of the difference in squares, with less without further layers at stride 4, lies below 0"
    values = paired(runs, [(f"{SMALL}-deeper", SMALL)], lambda a, b: squares(a) - squares(b))
    if not values:
        return _conclusion("deeper-at-equal-strides", claim, rule, OPEN, "no such cells were played")
    verdict = decide(*mean_interval(values), 0.0, "below")
    return _conclusion("deeper-at-equal-strides", claim, rule, verdict, _told("difference", values), values=values)


def _overlap(runs: Runs) -> dict[str, Any]:
    claim = "(not in the paper) kernels that overlap remove the squares"
    rule = (
        "holds when the interval of the squares of stride 4 with kernels of twice the stride, less those half-way from kernels "
        "of the stride to real images', lies below 0 (more than half is gone); cannot be told where there are no squares"
    )
    there = [excess(run) for run in runs.get(SMALL, {}).values()]
    left = paired(runs, [(f"{SMALL}-overlap", SMALL)], lambda a, b: excess(a) - excess(b) / 2)
    if not left:
        return _conclusion("overlap-removes-squares", claim, rule, OPEN, "no such cells were played")
    shown = decide(*mean_interval(there), 0.0, "above") == HOLDS
    verdict = decide(*mean_interval(left), 0.0, "below") if shown else OPEN
    after = [excess(run) for run in runs[f"{SMALL}-overlap"].values()]
    sentence = f"excess of squares over real images: {_told('without overlap', there)}, {_told('with', after)}"
    return _conclusion("overlap-removes-squares", claim, rule, verdict, sentence)
