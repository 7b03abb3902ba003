"""The plots of reports and comparisons, in one style, as matplotlib figures; a file each as PNG and SVG. Holds no record."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..drawing import COLOURS
from ..errors import GanvasError
from ..files import write_atomically
from .facts import name_of

if TYPE_CHECKING:
    from .facts import Facts, Health

WIDTH = 8.0  # inches
MOST_POINTS = 500  # of a curve: neighbours are averaged beyond
REAL, MADE, TRAIN = "#0072B2", "#D55E00", "#BBBBBB"
INK, SOFT = "#222222", "#666666"
ALARM = "#B3261E"
STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": "#BBBBBB",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#EAEAEA",
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "text.color": INK,
    "text.parse_math": False,
    "svg.hashsalt": "ganvas",  # the same figure gives the same bytes
}


def _figure(height: float, width: float = WIDTH) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=130, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def saved(figure: Any, path: Path) -> bytes:
    """Write a figure as `path`.png and `path`.svg; returns the PNG. Raises RunError when that cannot be done."""
    from matplotlib import rc_context

    made = b""
    with rc_context(STYLE):
        for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": "ganvas"})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            made = buffer.getvalue()
            write_atomically(path.with_name(f"{path.name}.{kind}"), made)
    return made


def styled(function: Any) -> Any:
    """Draws under the common style."""
    from functools import wraps

    @wraps(function)
    def drawn(*arguments: Any, **named: Any) -> Any:
        try:
            from matplotlib import rc_context
        except ImportError as error:
            raise GanvasError("plots need the package 'matplotlib': run  pip install matplotlib") from error
        with rc_context(STYLE):
            return function(*arguments, **named)

    return drawn


def _thinned(x: Sequence[float], y: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Means of neighbours where there are more than a curve can show; gaps (NaN) are left out."""
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    there = np.isfinite(ys)
    xs, ys = xs[there], ys[there]
    if len(xs) <= MOST_POINTS:
        return xs, ys
    edges = np.linspace(0, len(xs), MOST_POINTS + 1).astype(int)[:-1]
    sizes = np.diff(np.append(edges, len(xs)))
    return np.add.reduceat(xs, edges) / sizes, np.add.reduceat(ys, edges) / sizes


def _smooth(y: np.ndarray) -> np.ndarray:
    """The running median over a twentieth of the curve."""
    reach = max(1, len(y) // 40)
    return np.array([np.median(y[max(0, i - reach) : i + reach + 1]) for i in range(len(y))])


def _numbers(value: float, _: Any = None) -> str:
    """12k, 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _along_samples(axes: Any, last: bool, most: float) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(_numbers))
    axes.set_xlim(0, max(1.02 * most, 1))
    if last:
        axes.set_xlabel("real records drawn")


@styled
def losses(facts: Facts) -> Any | None:
    """Every player's loss terms over the records drawn, with T0 and alarms marked; None where nothing was logged."""
    rows = _apart([row for row in facts.rows if "samples" in row])
    terms = sorted({key for row in rows for key in row if key.startswith("terms/")})
    if not terms or len(rows) < 2:
        return None
    players = list(dict.fromkeys(term.split("/")[1] for term in terms))
    figure = _figure(0.6 + 1.9 * len(players))
    panels = figure.subplots(len(players), 1, sharex=True, squeeze=False)[:, 0]
    most = max(float(row["samples"]) for row in rows)
    for place, (player, axes) in enumerate(zip(players, panels, strict=True)):
        own = [term for term in terms if term.split("/")[1] == player]
        for colour, term in zip(COLOURS * len(own), own, strict=False):
            values = [row.get(term) for row in rows]
            x, y = _thinned([row["samples"] for row in rows], [np.nan if v is None else v for v in values])
            if len(x):
                axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.3)
                axes.plot(x, _smooth(y), color=colour, linewidth=1.8, label=term.split("/", 2)[2])
        axes.set_title(player)
        axes.set_ylabel("loss")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.3)
        _along_samples(axes, place == len(players) - 1, most)
        _mark(axes, facts, named=place == 0)
    return figure


def _mark(axes: Any, facts: Facts, named: bool) -> None:
    """Vertical lines where the opening phase ended and where alarms were raised."""
    health = facts.health
    above = axes.get_xaxis_transform()
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8}
    text = {"transform": above, "fontsize": 8.5, "ha": "center", "va": "top", "bbox": behind, "zorder": 5}
    if health.t0 is not None:
        place = facts.samples_at(health.t0)
        axes.axvline(place, color=INK, linestyle="--", linewidth=1.1)
        if named:
            axes.text(place, 0.98, "T0", color=INK, **text)
    for number, alarm in enumerate(health.alarms, 1):
        place = facts.samples_at(alarm["round"]) if alarm["samples"] is None else float(alarm["samples"])
        axes.axvline(place, color=ALARM, linewidth=1.1)
        if named:
            axes.text(place, 0.98 if number % 2 else 0.84, str(number), color=ALARM, fontweight="bold", **text)


def _apart(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without those that follow the one before at once: a sitting ends with a mean over very few rounds."""
    if len(rows) < 3:
        return rows
    least = 0.1 * float(np.median(np.diff([row["samples"] for row in rows])))
    kept = rows[:1]
    for row in rows[1:]:
        if row["samples"] - kept[-1]["samples"] > least:
            kept.append(row)
    return kept


def _of_looks(health: Health) -> dict[str, list[tuple[dict[str, Any], dict[str, Any]]]]:
    """Metric -> (look, measure) in order."""
    found: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for look in health.looks:
        for key, measure in look["metrics"].items():
            found.setdefault(key, []).append((look, measure))
    return found


@styled
def metrics(runs: Mapping[str, Facts], along: str = "samples") -> Any | None:
    """A panel a metric that was measured twice or more while training, a curve a run with its 95 % interval; else None.

    along: `samples` (real records drawn) or `seconds` (trained).
    """
    of = {name: _of_looks(facts.health) for name, facts in runs.items()}
    keys = list(dict.fromkeys(key for own in of.values() for key, seen in own.items() if len(seen) > 1))
    if not keys:
        return None
    across = min(2, len(keys))
    down = -(-len(keys) // across)
    figure = _figure(0.4 + 2.5 * down, WIDTH if across > 1 else 6.4)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes in panels[len(keys) :]:
        axes.set_visible(False)
    for key, axes in zip(keys, panels, strict=False):
        for colour, (name, own) in zip(COLOURS * len(of), of.items(), strict=False):
            seen = [(look[along], m) for look, m in own.get(key, []) if look.get(along) is not None]
            if not seen:
                continue
            x = [place for place, _ in seen]
            axes.plot(x, [m["value"] for _, m in seen], "o-", color=colour, linewidth=1.6, markersize=3.5, label=name)
            bands = [(place, m["low"], m["high"]) for place, m in seen if None not in (m.get("low"), m.get("high"))]
            if bands:
                axes.fill_between(*zip(*bands, strict=True), color=colour, alpha=0.18, linewidth=0)
        axes.set_title(name_of(key))
        if along == "samples":
            most = max((float(look["samples"]) for own in of.values() for look, _ in own.get(key, [])), default=1.0)
            _along_samples(axes, True, most)
        else:
            axes.set_xlabel("trained seconds")
            axes.set_xlim(left=0)
    if len(runs) > 1:
        panels[0].legend(loc="best")
    if len(runs) == 1:
        for axes in panels[: len(keys)]:
            _mark(axes, next(iter(runs.values())), named=True)
    return figure


@styled
def spectrum(evaluation: Mapping[str, Any]) -> Any | None:
    """Radial power spectra of samples, held-out records and anchors, as means over sets; None where none were kept."""
    from matplotlib.ticker import FuncFormatter

    found = evaluation.get("spectrum") or {}
    if "frequencies" not in found:
        return None
    figure = _figure(4.6, 7.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    x, real = np.asarray(found["frequencies"]), np.asarray(found["real"])
    curves = [("samples", np.asarray(found["generated"]), MADE, "-", 2.0)]
    looks = (("linear", "#009E73", "--"), ("untrained", "#7A5195", ":"))
    for name, colour, line in looks:
        side = (evaluation.get("anchors") or {}).get(name, {}).get("spectrum", {})
        if len(side.get("generated", ())) == len(x):
            curves.append((name, np.asarray(side["generated"]), colour, line, 1.4))
    above.plot(x, np.exp(real), color=REAL, linewidth=2, label="real, held out")
    below.axhline(1, color=REAL, linewidth=1.4)
    for name, curve, colour, line, width in curves:
        above.plot(x, np.exp(curve), color=colour, linestyle=line, linewidth=width, label=name)
        below.plot(x, np.exp(curve - real), color=colour, linestyle=line, linewidth=width)
    for axes in (above, below):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.minorticks_off()
        axes.set_xlim(float(x[0]), 0.5)
    # The untrained network may have hardly any power: it must not press the others together.
    told = [np.abs(curve - real).max() for name, curve, *_ in curves if name != "untrained"]
    reach = max(1.5, float(np.exp(max(told))) ** 1.15)
    below.set_ylim(1 / reach, reach)
    above.set_ylabel("power")
    below.set_ylabel("times the real")
    below.set_xlabel("frequency (cycles per pixel)")
    above.legend(loc="upper right")
    return figure


@styled
def feature_map(points: Mapping[str, np.ndarray], shares: tuple[float, float], features: str) -> Any:
    """Points (N, 2) of each side on the first two principal components. points: `training`, `held-out`, `samples`."""
    figure = _figure(4.8, 6.6)
    axes = figure.subplots()
    looks = {
        "training": ("real, training", TRAIN, 9, 0.7),
        "held-out": ("real, held out", REAL, 13, 0.75),
        "samples": ("samples", MADE, 13, 0.75),
    }
    for key, (name, colour, size, alpha) in looks.items():
        if key in points:
            own = points[key]
            axes.scatter(*own.T, s=size, c=colour, alpha=alpha, linewidths=0, label=f"{name} (n = {len(own):,})")
    axes.set_xlabel(f"component 1 ({shares[0]:.0%} of the variance)")
    axes.set_ylabel(f"component 2 ({shares[1]:.0%})")
    axes.set_title(f"Principal components of {features}")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, markerscale=1.6, handletextpad=0.2)
    return figure


@styled
def intervals(rows: Sequence[Mapping[str, Any]], runs: Sequence[str]) -> Any | None:
    """A panel a metric with each run's value and 95 % interval. rows: of `comparison.compare`. None where there is nothing."""
    shown = [row for row in rows if any(cell is not None for cell in row["values"])]
    if not shown:
        return None
    across = min(3, len(shown))
    down = -(-len(shown) // across)
    figure = _figure(0.3 + down * (0.75 + 0.28 * len(runs)), 9.0)
    panels = figure.subplots(down, across, squeeze=False)
    for place, axes in enumerate(panels.ravel()):
        if place >= len(shown):
            axes.set_visible(False)
            continue
        row = shown[place]
        for k, measure in enumerate(row["values"]):
            if measure is None:
                continue
            colour = COLOURS[k % len(COLOURS)] if row["alike"] else "#AAAAAA"
            if measure.get("low") is not None:
                axes.plot([measure["low"], measure["high"]], [k, k], color=colour, linewidth=2.2, solid_capstyle="round")
            axes.plot(measure["value"], k, "o", color=colour, markersize=5)
        if row.get("real") is not None:
            axes.axvline(row["real"], color=INK, linestyle=":", linewidth=1)
        axes.set_ylim(len(runs) - 0.5, -0.5)
        axes.set_yticks(range(len(runs)), [_short(name, 18) for name in runs] if place % across == 0 else [""] * len(runs))
        axes.set_title(row["name"] + ("" if row["alike"] else " (not comparable)"), fontsize=9.5)
        axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="y", visible=False)
    return figure


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


@styled
def correlations(names: Sequence[str], matrix: np.ndarray) -> Any:
    """A matrix of rank correlations, -1 to 1, as coloured numbers."""
    side = 0.9 + 0.5 * len(names)
    figure = _figure(side + 0.8, side + 2.6)
    axes = figure.subplots()
    drawn = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    for (row, column), value in np.ndenumerate(matrix):
        text = f"{value:.2f}".replace("-0.00", "0.00")
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if abs(value) > 0.6 else INK)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(drawn, ax=axes, shrink=0.8)
    return figure
