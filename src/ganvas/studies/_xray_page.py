"""The figures and the page of the chest X-ray ablation: as Markdown with pictures beside it, and as one HTML file that needs
nothing else. Holds samples and numbers, no real image. Not for deciding anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import disk_errors, write_atomically, write_json
from ..report.plots import COLOURS, INK, SOFT, _figure, saved, styled
from ._cell_job import drawn_file, series_of
from ._study_page import OF_PHANTOM, Block, as_html, as_markdown, conclusion_blocks
from .cells import Plan, job_folder

SHOWN = 16  # samples of a cell in a picture
ENOUGH = 1000  # rounds below which the page warns: the paper's openings took up to 480
GUESS = 2 * float(np.log(2))  # D's loss where it guesses

FIGURES: dict[str, str] = {
    "mean": "mean of D's loss",
    "variance": "variance",
    "sd": "sd",
    "mean_after_t0": "mean after T0",
    "variance_after_t0": "variance after T0",
    "sd_after_t0": "sd after T0",
    "t0": "T0 (round)",
    "asleep": "share of rounds with D nearly certain",
    "frechet": "Frechet distance",
    "kernel": "kernel distance",
    "top_third": "power of the top third of frequencies, log of generated / real",
    "diversity": "diversity, generated / real",
    "seconds": "seconds",
    "memory_mib": "memory of the process, MiB",
}
"""What is told of every cell, as a mean over seeds with a 95 % interval."""


def write_page(out: Path, plan: Plan, result: dict[str, Any]) -> None:
    """Write `figures/`, `study.md`, `study.html` and `results.json`; adds `page` and `pictures` to the result."""
    drawn = figures(out, plan, result)
    blocks = told_blocks(plan, result, drawn)
    result["page"] = str(out / "study.html")
    result["pictures"] = [str(out / "figures" / f"{name}.png") for name in drawn]
    write_atomically(out / "study.md", as_markdown(TITLE, blocks).encode())
    write_atomically(out / "study.html", as_html(TITLE, blocks, drawn).encode())
    write_json(out / "results.json", {**result, "page": "study.html", "pictures": [f"figures/{name}.png" for name in drawn]})


# Figures


def figures(out: Path, plan: Plan, result: Mapping[str, Any]) -> dict[str, bytes]:
    """Every figure that the finished cells allow, by name; written as PNG and SVG."""
    folder = out / "figures"
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
    runs = {name: [int(seed) for seed in cell["seeds"]] for name, cell in result["cells"].items() if cell["seeds"]}
    design = [name for name in runs if not {"rate", "batch"} & set(name.split("-"))]
    says = {cell.name: cell.says for cell in plan.cells}
    losses = {name: [series_of(job_folder(out, name, seed)) for seed in runs[name]] for name in design}
    samples = {name: _samples(out, name, result["runs"][name][str(runs[name][0])]) for name in design}
    t0 = {name: [result["runs"][name][str(seed)]["losses"]["t0"] for seed in runs[name]] for name in design}

    def both(*names: str) -> list[str]:
        return [name for name in names if name in runs]

    made: dict[str, Any] = {
        "figure-2": _side_by_side(both("adam-elu", "adas-elu"), samples, says),
        "figure-3": _loss_panels(both("adas-elu", "adam-elu"), losses, t0, says),
        "figure-4": _loss_together(both("adas-elu", "adas-elu-ttur"), losses, says),
        "figure-5": _matrix(result["correlations"]),
        "figure-6": _side_by_side(design, samples, says),
        "frechet": _along_rounds(result, says),
        "spectra": _spectra(result, says),
    }
    return {name: saved(one, folder / name) for name, one in made.items() if one is not None}


def _samples(out: Path, name: str, run: Mapping[str, Any]) -> np.ndarray:
    with np.load(drawn_file(job_folder(out, name, run["seed"]), run["rounds"]), allow_pickle=False) as held:
        return held["samples"][:SHOWN]


@styled
def _side_by_side(names: Sequence[str], samples: Mapping[str, np.ndarray], says: Mapping[str, str]) -> Any | None:
    """A square of samples for every cell, next to each other."""
    if not names:
        return None
    across = min(4, len(names))
    down = -(-len(names) // across)
    shown = _figure(2.35 * down, 2.1 * across if len(names) > 1 else 3.0)
    panels = shown.subplots(down, across, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for place, name in enumerate(names):
        panels[place].imshow(_mosaic(samples[name]), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        panels[place].set_title(f"({chr(97 + place)}) {says[name]}", fontsize=8.5)
    return shown


def _mosaic(images: np.ndarray) -> np.ndarray:
    """(N, H, W, C) as one picture, N a square number or cut to one, with a gap of a pixel."""
    side = int(len(images) ** 0.5)
    count, height, width, channels = images[: side * side].shape
    padded = np.full((count, height + 1, width + 1, channels), 255, np.uint8)
    padded[:, :height, :width] = images[:count]
    rows = padded.reshape(side, side, height + 1, width + 1, channels).transpose(0, 2, 1, 3, 4)
    picture = rows.reshape(side * (height + 1), side * (width + 1), channels)
    return picture[..., 0] if channels == 1 else picture[..., :3] if channels >= 3 else picture[..., :1].repeat(3, -1)


def _total(one: Mapping[str, np.ndarray]) -> np.ndarray:
    """The sum of both cross entropies of the discriminator."""
    return next(values for name, values in one.items() if "." not in name)


def _medians(values: np.ndarray) -> np.ndarray:
    """Over the last 50 rounds, as T0 has it."""
    from ..health.losses import WINDOW

    return np.array([np.median(values[max(0, k - WINDOW + 1) : k + 1]) for k in range(len(values))])


def _top(curves: Sequence[np.ndarray]) -> float:
    """How far up an axis has to reach: single spikes are cut off."""
    return max(1.15 * GUESS, *(1.15 * float(np.quantile(values, 0.995)) for values in curves))


@styled
def _loss_panels(names: Sequence[str], losses: Mapping[str, Any], t0: Mapping[str, Any], says: Mapping[str, str]) -> Any | None:
    """D's loss of each cell in a panel, with T0: every round of the first seed, medians of all."""
    if not names:
        return None
    shown = _figure(0.5 + 2.1 * len(names))
    panels = shown.subplots(len(names), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    panels[0].set_ylim(0, _top([_total(one) for name in names for one in losses[name]]))
    for place, (name, axes) in enumerate(zip(names, panels, strict=True)):
        rounds = np.arange(1, len(_total(losses[name][0])) + 1)
        axes.plot(rounds, _total(losses[name][0]), color=COLOURS[0], linewidth=0.5, alpha=0.35, label="every round, first seed")
        for number, (one, end) in enumerate(zip(losses[name], t0[name], strict=True)):
            label = "median of 50 rounds, each seed" if number == 0 else None
            axes.plot(rounds, _medians(_total(one)), color=INK, linewidth=1.5 if number == 0 else 0.8, label=label)
            if end is not None:
                axes.axvline(end, color=COLOURS[1], linewidth=1.6 if number == 0 else 0.8, linestyle="--")
        axes.axhline(GUESS, color=SOFT, linewidth=0.8, linestyle=":")
        ends = ", ".join("did not end" if end is None else f"{end:,}" for end in t0[name])
        axes.set_title(f"({chr(97 + place)}) {says[name]}: T0 {ends}")
        axes.set_ylabel("loss of D")
    panels[0].legend(loc="upper right", ncols=2)
    panels[-1].set_xlabel("round (dashed: T0; dotted: the loss of a D that guesses)")
    return shown


@styled
def _loss_together(names: Sequence[str], losses: Mapping[str, Any], says: Mapping[str, str]) -> Any | None:
    """D's loss without (blue) and with TTUR (red)."""
    if len(names) < 2:
        return None
    shown = _figure(3.2)
    axes = shown.subplots()
    for name, colour in zip(names, (COLOURS[0], "#B3261E"), strict=True):
        for number, one in enumerate(losses[name]):
            values = _total(one)
            rounds = np.arange(1, len(values) + 1)
            if number == 0:
                axes.plot(rounds, values, color=colour, linewidth=0.5, alpha=0.3)
            label = says[name] if number == 0 else None
            axes.plot(rounds, _medians(values), color=colour, linewidth=1.8 if number == 0 else 0.8, label=label)
    axes.axhline(GUESS, color=SOFT, linewidth=0.8, linestyle=":")
    axes.set_ylim(0, _top([_total(one) for name in names for one in losses[name]]))
    axes.set_xlabel("round")
    axes.set_ylabel("loss of D")
    axes.legend(loc="upper right")
    return shown


def _matrix(found: Mapping[str, Any] | None) -> Any | None:
    from ..report.plots import correlations

    return None if found is None else correlations(found["names"], np.array(found["matrix"]))


@styled
def _along_rounds(result: Mapping[str, Any], says: Mapping[str, str]) -> Any | None:
    """The Frechet distance at every look: mean over seeds, and each seed thinly."""
    from matplotlib.ticker import FuncFormatter

    shown = _figure(3.8)
    axes = shown.subplots()
    for place, (name, own) in enumerate(result["runs"].items()):
        colour, style = COLOURS[place % len(COLOURS)], "-" if place < len(COLOURS) else "--"
        curves = np.array([[look["frechet"]["value"] for look in run["looks"]] for run in own.values()])
        rounds = [look["round"] for look in next(iter(own.values()))["looks"]]
        for curve in curves:
            axes.plot(rounds, curve, color=colour, linewidth=0.7, alpha=0.5, linestyle=style)
        axes.plot(
            rounds, curves.mean(axis=0), color=colour, linewidth=2, marker="o", markersize=3, label=says[name], linestyle=style
        )
    axes.axhline(result["real"]["frechet"]["value"], color=INK, linewidth=1, linestyle=":", label="real training images")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if str(f"{value:g}")[0] in "235" else ""))
    axes.set_xlabel("round")
    axes.set_ylabel("FID" if result["fid"] else "Frechet distance (not FID)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    return shown


@styled
def _spectra(result: Mapping[str, Any], says: Mapping[str, str]) -> Any | None:
    """How many times the real power the samples have, by frequency, at the end."""
    from matplotlib.ticker import FuncFormatter

    shown = _figure(3.4)
    axes = shown.subplots()
    lowest = highest = 0.0
    for place, (name, own) in enumerate(result["runs"].items()):
        last = [run["looks"][-1]["top_third"] for run in own.values()]
        if any("generated" not in one for one in last):  # larger images keep no curves
            return None
        gap = np.mean([np.subtract(one["generated"], one["real"]) for one in last], axis=0)
        lowest, highest = min(lowest, gap.min()), max(highest, gap.max())
        style = "-" if place < len(COLOURS) else "--"
        axes.plot(last[0]["frequencies"], np.exp(gap), color=COLOURS[place % len(COLOURS)], label=says[name], linestyle=style)
    axes.axhline(1, color=INK, linewidth=1, linestyle=":", label="real held-out images")
    axes.axvspan(1 / 3, 0.5, color="#F3F3F3", zorder=0)
    axes.set_yscale("log")
    axes.set_ylim(np.exp(max(lowest, -7.0)) / 1.3, 1.3 * np.exp(min(highest, 7.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("frequency (cycles per pixel; grey: the top third)")
    axes.set_ylabel("times the real power")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    return shown


# Words


def number(value: float | None) -> str:
    """Three figures, without a power of ten where that can be read."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def interval(found: Mapping[str, Any]) -> str:
    """A mean over seeds, with its interval."""
    if found["value"] is None:
        return "none"
    ends = "" if found.get("low") is None else f" [{number(found['low'])}, {number(found['high'])}]"
    some = "" if found["n"] == found["of"] else f" ({found['n']} of {found['of']})"
    return f"{number(found['value'])}{ends}{some}"


def cell_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The table of cells: (head, rows)."""
    name = "FID" if result["fid"] else "Frechet distance"
    head = ["cell", "runs", "mean loss of D", "sd", "T0", name, "kernel distance", "top third, times real", "alarms"]
    rows = []
    for cell in result["cells"].values():
        if not cell["seeds"]:
            rows.append([cell["says"], "0", *["-"] * (len(head) - 2)])
            continue
        own = cell["figures"]
        ends = ", ".join("none" if end is None else f"{end:,}" for end in cell["t0"])
        alarms = sorted({text.partition(" (")[0] for each in cell["alarms"].values() for text in each})
        power = number(float(np.exp(own["top_third"]["value"])))
        cells = [interval(own["mean"]), interval(own["sd"]), ends, interval(own["frechet"]), interval(own["kernel"]), power]
        rows.append([cell["says"], str(len(cell["seeds"])), *cells, ", ".join(alarms) or "none"])
    return head, rows


def _more_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Further figures of every cell."""
    keys = ("mean_after_t0", "variance_after_t0", "sd_after_t0", "asleep", "diversity", "seconds", "memory_mib")
    told = [cell for cell in result["cells"].values() if cell["seeds"]]
    rows = [[cell["says"], *(interval(cell["figures"][key]) for key in keys)] for cell in told]
    return ["cell", *(FIGURES[key] for key in keys)], rows


def _table_one(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Table I: paper / here. Ranks compare, distances do not: the paper's are over other features and images."""
    name = "FID" if result["fid"] else "Frechet"
    head = [f"{what}, {where}" for what in ("mean", "variance", "sd") for where in ("paper", "here")]
    head = ["cell", *head, "FID, paper (rank)", f"{name}, here (rank)"]
    printed = {key: cell for key, cell in result["cells"].items() if cell["paper"]}
    there = {key: cell["figures"]["frechet"]["value"] for key, cell in printed.items() if cell["seeds"]}
    own = {key: 1 + sum(other < value for other in there.values()) for key, value in there.items()}
    papers = {key: cell["paper"]["fid"] for key, cell in printed.items()}
    rows = []
    for key, cell in printed.items():
        row = [cell["says"]]
        for figure_name in ("mean", "variance", "sd"):
            row += [f"{cell['paper'][figure_name]:.3f}", interval(cell["figures"][figure_name]) if cell["seeds"] else "-"]
        rank = 1 + sum(other < papers[key] for other in papers.values())
        row.append(f"{papers[key]:.1f} ({rank})")
        row.append(f"{interval(cell['figures']['frechet'])} ({own[key]})" if cell["seeds"] else "-")
        rows.append(row)
    return head, rows


CAPTIONS = {
    "figure-2": "As Figure 2: samples with AdaM and with AdaS (ELU, no TTUR), first seed, at the end.",
    "figure-3": "As Figure 3: the loss of D with AdaS and with AdaM, and where T0 ends.",
    "figure-4": "As Figure 4: the loss of D with AdaS, without (blue) and with TTUR (red); 50-round medians, first seed thick.",
    "figure-5": "As Figure 5, but Spearman's rank correlations, over runs and checkpoints and not over four cells.",
    "figure-6": "As Figure 6: samples of every configuration, first seed, at the end.",
    "frechet": "The distance to held-out images over the rounds: means of seeds, single seeds thin.",
    "spectra": "Power of the samples over that of held-out images, by frequency, at the end; mean over seeds.",
}


def told_blocks(plan: Plan, result: Mapping[str, Any], drawn: Mapping[str, bytes]) -> list[Block]:
    """The page as blocks."""
    what = f"the phantom `{result['data']}` (drawn by ganvas, no real radiograph)" if result["phantom"] else "your images"
    first = next(iter(plan.cells))
    seeds = f"{plan.seeds} seed{'s' if plan.seeds > 1 else ''}"
    about = (
        f"Learnt from {what} at {result['size']} pixels: {len(plan.cells)} cells, {seeds} each, "
        f"{result['rounds']:,} rounds a run, width {first.config['width']}, batches of {first.config['batch_size']}. Every "
        "cell has the same number of rounds. No augmentation and no averaging of weights in any cell: the paper had neither. "
        "Numbers are means over seeds with 95 % intervals."
    )
    blocks: list[Block] = [("text", about)]
    if result["phantom"]:
        blocks.append(("text", OF_PHANTOM))
    if result["rounds"] < ENOUGH:
        blocks.append(("text", f"These runs are short: below {ENOUGH:,} rounds most networks are still in their opening."))
    blocks += [
        *conclusion_blocks(result),
        ("heading", "Table I, paper and here"),
        ("table", _table_one(result)),
        (
            "text",
            "Read ranks, not sizes: the paper's images, features and set sizes are others. Its caption calls the configuration "
            "with the highest mean loss the one with the highest FID score; by its own numbers that one has the lowest FID, "
            "and lower is better.",
        ),
        ("heading", "Every cell"),
        ("table", cell_rows(result)),
        ("table", _more_rows(result)),
        ("heading", "Figures"),
        *(("figure", (name, CAPTIONS[name])) for name in drawn),
    ]
    if result["correlations"]:
        found = result["correlations"]
        pairs = {**found["pairs"], "Frechet distance / mean of D's loss, at equal rounds": found["equal_rounds"]}
        rows = [[pair, f"{v['value']:.2f}", f"[{v['low']:.2f}, {v['high']:.2f}]"] for pair, v in pairs.items()]
        blocks += [
            ("heading", "Correlations"),
            ("text", f"Over {found['n']} points: {found['runs']} runs at their checkpoints. Intervals: bootstrap over runs."),
            ("table", (["pair", "Spearman", "95 % interval"], rows)),
        ]
    how = [f"{key}: `{text}`" for key, text in result["protocols"].items()]
    real = [number(result["real"][key]["value"]) for key in ("frechet", "kernel")]
    how.append(f"real training images in place of samples: Frechet distance {real[0]}, kernel distance {real[1]}")
    machine = result["machine"]
    how += [
        f"machine: {machine['cpu']}, {result['jobs']} jobs of {result['threads']} threads, {result['seconds']:,.0f} s in all"
    ]
    how += [f"command: `{result['command']}`"] if result["command"] else []
    return [*blocks, ("heading", "How it was measured"), ("list", how)]


TITLE = "The chest X-ray ablation"
