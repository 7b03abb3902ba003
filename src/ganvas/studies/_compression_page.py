"""The figures and the page of the compression study. Holds samples and numbers, no real image. Not for deciding anything."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import disk_errors, write_atomically, write_json
from ..report.plots import COLOURS, INK, SOFT, _figure, saved, styled
from ._study_page import OF_PHANTOM, Block, as_html, as_markdown, conclusion_blocks
from ._xray_page import ENOUGH, _along_rounds, _samples, _side_by_side, _spectra, interval, number
from .cells import Plan

TITLE = "Compressing DCGAN"
CAPTIONS = {
    "samples": "As Figure 9, for every cell: samples of the first seed, at the end.",
    "squares": "How much of the edges lies on a grid, over that of real held-out images: 1 is none beyond chance, 8 is nothing "
    "but flat squares. Bars: means over seeds with 95 % intervals; dots: seeds; dotted: real training images.",
    "cost": "What each cell costs and how good it is: lower left is better. Dots are means over seeds.",
    "frechet": "The distance to held-out images over the rounds: means of seeds, single seeds thin.",
    "spectra": "Power of the samples over that of held-out images, by frequency, at the end; mean over seeds.",
}
TABLE_III = (
    ("stride size", {"D": "stride-4-d", "G": "stride-4-g", "D and G": "stride-4"}, "squares-appear"),
    (
        "fully connected layers",
        {"D": "stride-4-connected-d", "G": "stride-4-connected-g", "D and G": "stride-4-connected"},
        "connected-keep-squares",
    ),
    ("latent size", {"20": "stride-4-latent-20", "500": "stride-4-latent-500"}, "latent-keeps-squares"),
    ("feature map size", {"half": "stride-4-width-half", "double": "stride-4-width-double"}, "width-keeps-squares"),
)
"""What Table III varies, the cells here, and the claim that speaks of it."""


def write_page(out: Path, plan: Plan, result: dict[str, Any]) -> None:
    """Write `figures/`, `study.md`, `study.html` and `compression.json`; adds `page` and `pictures` to the result."""
    drawn = figures(out, result)
    blocks = told_blocks(plan, result, drawn)
    result["page"] = str(out / "study.html")
    result["pictures"] = [str(out / "figures" / f"{name}.png") for name in drawn]
    write_atomically(out / "study.md", as_markdown(TITLE, blocks).encode())
    write_atomically(out / "study.html", as_html(TITLE, blocks, drawn).encode())
    pictures = [f"figures/{name}.png" for name in drawn]
    write_json(out / "compression.json", {**result, "page": "study.html", "pictures": pictures})


# Figures


def figures(out: Path, result: Mapping[str, Any]) -> dict[str, bytes]:
    """Every figure that the finished cells allow, by name; written as PNG and SVG."""
    folder = out / "figures"
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
    names = [name for name, cell in result["cells"].items() if cell["seeds"]]
    says = {name: result["cells"][name]["says"] for name in names}
    samples = {name: _samples(out, name, next(iter(result["runs"][name].values()))) for name in names}
    titles = {name: textwrap.fill(text, 28) for name, text in says.items()}
    few = {**result, "runs": {name: result["runs"][name] for name in names if not name.startswith("baseline-")}}
    made: dict[str, Any] = {
        "samples": _side_by_side(names, samples, titles),
        "squares": _bars(result, names),
        "cost": _costs(result, names),
        "frechet": _along_rounds(few, says),
        "spectra": _spectra(few, says),
    }
    return {name: saved(one, folder / name) for name, one in made.items() if one is not None}


@styled
def _bars(result: Mapping[str, Any], names: list[str]) -> Any:
    """The squares of every cell: mean, interval over seeds, single seeds."""
    shown = _figure(0.9 + 0.3 * len(names))
    axes = shown.subplots()
    real = float(result["real"]["squares"]["value"])
    for place, name in enumerate(names):
        found = result["cells"][name]["figures"]["squares"]
        own = [run["looks"][-1]["squares"]["value"] for run in result["runs"][name].values()]
        colour = COLOURS[0] if name.startswith("baseline") else COLOURS[1]
        axes.barh(place, found["value"], color=colour, alpha=0.75, height=0.62)
        axes.plot(own, [place] * len(own), "o", color=INK, markersize=3, zorder=3)
        if found.get("low") is not None:
            low, high = max(0.0, found["low"]), found["high"]
            axes.plot([low, high], [place, place], color=INK, linewidth=1.2, zorder=2)
    axes.axvline(real, color=SOFT, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(names)), [result["cells"][name]["says"] for name in names])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    highest = max(run["looks"][-1]["squares"]["value"] for own in result["runs"].values() for run in own.values())
    axes.set_xlim(0, max(2.0, 1.15 * highest))  # an interval of two seeds may reach far beyond
    axes.set_xlabel("squares (times the real share of edges on a grid of 8 pixels)")
    return shown


@styled
def _costs(result: Mapping[str, Any], names: list[str]) -> Any:
    """The Frechet distance against memory and multiply-adds of both networks for one image."""
    shown = _figure(4.2)
    panels = shown.subplots(1, 2, sharey=True)
    for axes, key, label, unit in (
        (panels[0], "mib", "memory for one image, the paper's accounting (MB)", 1.0),
        (panels[1], "multiply_adds", "multiply-adds for one image (millions)", 1e6),
    ):
        for place, name in enumerate(names):
            cell = result["cells"][name]
            colour = COLOURS[0] if name.startswith("baseline") else COLOURS[1]
            x = sum(part[key] for part in cell["cost"].values()) / unit
            axes.plot(x, cell["figures"]["frechet"]["value"], "o", color=colour, markersize=5)
            axes.annotate(
                str(place + 1), (x, cell["figures"]["frechet"]["value"]), xytext=(4, 3), textcoords="offset points", fontsize=8
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:g}".strip("0.")[:1] in "235" else "")
        axes.set_xlabel(label)
    panels[0].set_ylabel("FID" if result["fid"] else "Frechet distance (not FID)")
    panels[0].set_ylim(0, None)
    words = [f"{place + 1} {result['cells'][name]['says']}" for place, name in enumerate(names)]
    whole = "; ".join(word.replace(" ", "\N{NO-BREAK SPACE}") for word in words)
    shown.supxlabel(textwrap.fill(whole, 125), fontsize=7.5, color=SOFT)
    return shown


# Words


def cell_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The table of cells: (head, rows)."""
    name = "FID" if result["fid"] else "Frechet distance"
    head = ["cell", "runs", "squares", name, "kernel distance", "top third, times real", "memory for one image", "alarms"]
    rows = []
    for cell in result["cells"].values():
        if not cell["seeds"]:
            rows.append([cell["says"], "0", *["-"] * (len(head) - 2)])
            continue
        own = cell["figures"]
        alarms = sorted({text.partition(" (")[0] for each in cell["alarms"].values() for text in each})
        power = number(float(np.exp(own["top_third"]["value"])))
        memory = f"{sum(part['mib'] for part in cell['cost'].values()):.2f} MB"
        cells = [interval(own[key]) for key in ("squares", "frechet", "kernel")]
        rows.append([cell["says"], str(len(cell["seeds"])), *cells, power, memory, ", ".join(alarms) or "none"])
    return head, rows


def _cost_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Layers, parameters, memory and work of both networks, and what the runs took."""
    head = ["cell", "layers, G / D", "parameters, G / D", "memory for one image, G / D, MB", "million multiply-adds, G / D"]
    rows = []
    for cell in result["cells"].values():
        if not cell["seeds"]:
            continue
        g, d = cell["cost"]["generator"], cell["cost"]["discriminator"]
        rows.append(
            [
                cell["says"],
                f"{g['layers']} / {d['layers']}",
                f"{g['parameters']:,} / {d['parameters']:,}",
                f"{g['mib']:.2f} / {d['mib']:.2f}",
                f"{g['multiply_adds'] / 1e6:.2f} / {d['multiply_adds'] / 1e6:.2f}",
                interval(cell["figures"]["seconds"]),
                interval(cell["figures"]["memory_mib"]),
            ]
        )
    return [*head, "seconds", "memory of the process, MiB"], rows


def _more_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Whether the runs learnt at all."""
    rows = []
    for cell in result["cells"].values():
        if cell["seeds"]:
            ends = ", ".join("none" if end is None else f"{end:,}" for end in cell["t0"])
            rows.append([cell["says"], interval(cell["figures"]["mean"]), ends, interval(cell["figures"]["diversity"])])
    return ["cell", "mean loss of D", "T0", "diversity, generated / real"], rows


def _table_three(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Table III: the paper has F for failed everywhere; here the squares of each cell, and the claim's verdict."""
    rows = []
    verdicts = {one["key"]: one for one in result["claims"]}
    for what, own, key in TABLE_III:
        found = []
        for where, name in own.items():
            cell = result["cells"].get(name)
            found.append(f"{where}: {interval(cell['figures']['squares']) if cell and cell['seeds'] else '-'}")
        one = verdicts[key]
        rows.append([what, "failed in D, in G and in both", "; ".join(found), f"{one['claim']}: {one['verdict']}"])
    return ["varied", "paper", "squares here", "claim here"], rows


def told_blocks(plan: Plan, result: Mapping[str, Any], drawn: Mapping[str, bytes]) -> list[Block]:
    """The page as blocks."""
    what = f"the phantom `{result['data']}` (drawn by ganvas, no real radiograph)" if result["phantom"] else "your images"
    config = plan.cells[0].config
    seeds = f"{plan.seeds} seed{'s' if plan.seeds > 1 else ''}"
    about = (
        f"Learnt from {what} at {result['size']} pixels: {len(plan.cells)} cells, {seeds} each, {result['rounds']:,} rounds a "
        f"run, width {config['width']}, batches of {config['batch_size']}, preset `{result['preset']}` of dcgan. Every cell "
        "has the same number of rounds, no augmentation and no averaging of weights. With stride 4 a layer enlarges or reduces "
        "four times instead of twice, so that there are fewer. Numbers are means over seeds with 95 % intervals."
    )
    blocks: list[Block] = [("text", about)]
    if result["phantom"]:
        blocks.append(("text", OF_PHANTOM))
    if result["rounds"] < ENOUGH:
        words = f"These runs are short: below {ENOUGH:,} rounds networks have hardly begun, and their noise has squares too."
        blocks.append(("text", words))
    blocks += [
        *conclusion_blocks(result),
        ("heading", "Table III, paper and here"),
        ("table", _table_three(result)),
        ("heading", "Every cell"),
        ("table", cell_rows(result)),
        ("table", _cost_rows(result)),
        ("table", _more_rows(result)),
        ("heading", "Figures"),
        *(("figure", (name, CAPTIONS[name])) for name in drawn),
    ]
    how = [f"{key}: `{text}`" for key, text in result["protocols"].items()]
    real = [number(result["real"][key]["value"]) for key in ("squares", "frechet", "kernel")]
    how.append(
        f"real training images in place of samples: squares {real[0]}, Frechet distance {real[1]}, kernel distance {real[2]}"
    )
    machine = result["machine"]
    how += [
        f"machine: {machine['cpu']}, {result['jobs']} jobs of {result['threads']} threads, {result['seconds']:,.0f} s in all"
    ]
    how += [f"command: `{result['command']}`"] if result["command"] else []
    return [*blocks, ("heading", "How it was measured"), ("list", how)]
