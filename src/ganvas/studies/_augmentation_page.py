"""The figures and the page of the study of augmentation: samples and numbers, no real image. Not for deciding anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import disk_errors, write_atomically, write_json
from ..report.plots import COLOURS, INK, SOFT, _figure, saved, styled
from ._augmentation_kinds import studied_of
from ._study_page import Block, as_html, as_markdown

TITLE = "Do synthetic records help a classifier?"
CAPTIONS = {
    "accuracy": "Balanced accuracy on held-out records by the fraction of the real records that all arms had: means, and the "
    "least and most of single classifiers.",
    "differences": "What each way changes in balanced accuracy, with 95 % intervals: right of the line it helps.",
    "samples": "Synthetic records of the first generator of each fraction; a row is a class.",
    "read": "What a classifier of all real training records sees in synthetic ones (first row of panels) and in held-out real "
    "ones (second): rows are what was asked for, columns what is seen. Off the diagonal are findings that nobody asked for.",
}
SHOWN = ("oversampled", "classic", "synthetic", "mixed", "both", "filtered")
WORDS = {
    "real": "real", "oversampled": "real, classes equal", "classic": "classic augmentation", "synthetic": "synthetic alone",
    "mixed": "real + synthetic", "both": "classic + synthetic", "filtered": "classic + filtered synthetic",
}  # fmt: skip


def write_page(out: Path, result: dict[str, Any]) -> None:
    """Write `figures/`, `study.md`, `study.html` and `augmentation.json`; adds `page` and `pictures` to the result."""
    with disk_errors(out):
        (out / "figures").mkdir(exist_ok=True)
    made = {
        "accuracy": _accuracy(result), "differences": _differences(result), "samples": _samples(out, result),
        "read": _read(result),
    }  # fmt: skip
    drawn = {name: saved(one, out / "figures" / name) for name, one in made.items()}
    blocks = told_blocks(result)
    write_json(out / "augmentation.json", result)
    result["page"] = str(out / "study.html")
    result["pictures"] = [str(out / "figures" / f"{name}.png") for name in drawn]
    write_atomically(out / "study.md", as_markdown(TITLE, blocks).encode())
    write_atomically(out / "study.html", as_html(TITLE, blocks, drawn).encode())


@styled
def _accuracy(result: Mapping[str, Any]) -> Any:
    shown = _figure(3.9)
    axes = shown.subplots()
    names = list(result["fractions"])
    for place, arm in enumerate(SHOWN):
        own = [result["fractions"][name]["arms"][arm] for name in names]
        x = np.arange(len(names)) + (place - len(SHOWN) / 2) * 0.06
        middle = np.array([one["balanced_accuracy"] for one in own])
        spread = np.array([[one["balanced_accuracy"] - one["low"], one["high"] - one["balanced_accuracy"]] for one in own]).T
        axes.errorbar(
            x, middle, spread, color=COLOURS[place % len(COLOURS)], marker="o", markersize=4, linewidth=1.2, label=WORDS[arm]
        )
    axes.axhline(1 / len(result["classes"]), color=SOFT, linewidth=1, linestyle=":")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("of the real training records")
    axes.set_ylabel("balanced accuracy, held-out (dotted: by chance)")
    axes.legend(labelcolor=INK, fontsize=8)
    return shown


@styled
def _differences(result: Mapping[str, Any]) -> Any:
    names = list(result["fractions"])
    shown = _figure(1.2 + 0.28 * len(names) * len(result["answers"]))
    axes = shown.subplots()
    ticks, place = [], 0.0
    for one in result["answers"]:
        for index, name in enumerate(names):
            found = one["fractions"][name]
            axes.plot(
                [100 * found["low"], 100 * found["high"]], [place, place], color=COLOURS[index % len(COLOURS)], linewidth=2
            )
            axes.plot(100 * found["value"], place, "o", color=COLOURS[index % len(COLOURS)], markersize=5)
            ticks.append((place, f"{WORDS[one['arm']]} - {WORDS[one['against']]}, {name}"))
            place += 1
        place += 0.6
    axes.axvline(0, color=SOFT, linewidth=1)
    axes.set_yticks([own[0] for own in ticks], [own[1] for own in ticks], fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("difference in balanced accuracy, points")
    return shown


@styled
def _samples(out: Path, result: Mapping[str, Any]) -> Any:
    from ._augmentation_job import fraction_folder, generator_name, samples_of

    names, classes = list(result["fractions"]), result["classes"]
    shown = _figure(0.6 + 0.75 * len(classes) * (1 if len(names) > 2 else 1.3))
    panels = shown.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        kept, labels = samples_of(fraction_folder(out, name) / generator_name(0))
        first = [np.flatnonzero(labels == k)[:4] for k in range(len(classes))]
        images = studied_of(result).shown(kept[np.concatenate(first)], result)
        labels = np.repeat(range(len(classes)), [len(own) for own in first])
        rows = [np.concatenate([*images[labels == k][:4]], 1) for k in range(len(classes))]
        whole = np.concatenate(rows, 0)
        axes.imshow(whole[..., 0] if whole.shape[2] == 1 else whole, cmap="gray" if whole.shape[2] == 1 else None)
        axes.set_title(name)
        axes.set_xticks([])
        height = whole.shape[0] / len(classes)
        axes.set_yticks(
            [(k + 0.5) * height for k in range(len(classes))], classes if axes is panels[0] else [""] * len(classes)
        )
        axes.grid(visible=False)
    return shown


@styled
def _read(result: Mapping[str, Any]) -> Any:
    names, classes = list(result["fractions"]), result["classes"]
    shown = _figure(1.2 + 2 * (0.9 + 0.16 * len(classes)))
    panels = shown.subplots(2, len(names), squeeze=False)
    for column, name in enumerate(names):
        for row, key in enumerate(("read_as", "read_real")):
            axes, shares = panels[row, column], np.array(result["fractions"][name][key])
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            axes.grid(visible=False)
            axes.set_xticks(range(len(classes)), classes if row else [""] * len(classes), rotation=90, fontsize=7)
            axes.set_yticks(range(len(classes)), classes if column == 0 else [""] * len(classes), fontsize=7)
            if row == 0:
                axes.set_title(name)
            if len(classes) <= 6:
                for (i, j), share in np.ndenumerate(shares):
                    axes.text(
                        j, i, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color="white" if share > 0.6 else INK
                    )
    return shown


def arm_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The table of the arms: (head, rows), balanced accuracy and area under the curve by fraction."""
    names = list(result["fractions"])
    rows = []
    for arm in result["arms"]:
        cells = []
        for name in names:
            own = result["fractions"][name]["arms"][arm]
            cells.append(f"{own['balanced_accuracy']:.3f} ({own['low']:.2f}-{own['high']:.2f})  {own['auc']:.3f}")
        rows.append([WORDS[arm], *cells])
    return ["learnt from", *(f"{name}: accuracy, area" for name in names)], rows


def _answer_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    names = list(result["fractions"])
    rows = []
    for one in result["answers"]:
        cells = []
        for name in names:
            found = one["fractions"][name]
            cells.append(
                f"{found['verdict']}: {100 * found['value']:+.1f} ({100 * found['low']:+.1f} to {100 * found['high']:+.1f})"
            )
        rows.append([one["question"], f"{WORDS[one['arm']]} - {WORDS[one['against']]}", *cells])
    return ["question", "difference, points", *names], rows


def _count_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for k, name in enumerate(result["classes"]):
        counts = [str(round(np.mean([own[name] for own in one["records"]]))) for one in result["fractions"].values()]
        rows.append([name, *counts, str(result["heldout"][k])])
    return ["class", *(f"real records at {name}" for name in result["fractions"]), "held out"], rows


def _finding_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """How often another class is seen than was asked for, in synthetic and in held-out records, and what the filter keeps."""
    names = list(result["fractions"])
    rows = []
    for k, own in enumerate(result["classes"]):
        cells = []
        for name in names:
            one = result["fractions"][name]
            other = [f"{100 * (1 - one[key][k][k]):.0f} %" for key in ("read_as", "read_real")]
            cells.append(f"{other[0]} (real {other[1]}), kept {100 * one['kept'][own]:.0f} %")
        rows.append([own, *cells])
    return ["asked for", *names], rows


def told_blocks(result: Mapping[str, Any]) -> list[Block]:
    """The page as blocks."""
    each = "one for all classes" if result["conditional"] else "one of each class"
    about = (
        f"Learnt from `{result['data']}` at {studied_of(result).told(result)}: {sum(result['train']):,} records to "
        f"learn from, {sum(result['heldout']):,} in {result['groups_heldout']:,} groups held out, {len(result['classes'])} "
        "classes. "
        f"Of each fraction {result['generators']} generators ({result['system']}, {each}, {result['seconds'] / 60:g} minutes) "
        f"learnt that fraction and nothing else, and drew {result['samples']} records of every class. For each, "
        f"{result['classifiers']} classifiers of every arm took {result['steps']} steps of {64} records. The held-out part was "
        "seen by none but the finished classifiers."
    )
    blocks: list[Block] = [("text", about), ("text", result["verdict"])]
    blocks += [("text", f"Note: {told}.") for told in result["warnings"]]
    if result["phantom"]:
        blocks.append(("text", studied_of(result).of_phantom))
    spent, machine = result["spent"], result["machine"]
    how = [f"{WORDS[arm]}: {words}" for arm, words in result["arms"].items()]
    how += [
        f"verdicts: {result['rule']}",
        "area: under the ROC curve of one class against the rest, mean over classes",
        f"machine: {machine['cpu']}, {spent['jobs']} jobs of {spent['threads']} threads, {spent['seconds']:,.0f} s in all",
    ]
    how += [f"command: `{result['command']}`"] if result["command"] else []
    return [
        *blocks,
        ("heading", "What holds"),
        ("table", _answer_rows(result)),
        ("heading", "Every arm"),
        ("text", "Balanced accuracy (least and most of single classifiers) and mean area under the ROC curve."),
        ("table", arm_rows(result)),
        ("table", _count_rows(result)),
        ("heading", "Findings that nobody asked for"),
        (
            "text",
            "How often a classifier of all real training records sees another class than was asked for, and how "
            "much the filter keeps.",
        ),
        ("table", _finding_rows(result)),
        ("heading", "Figures"),
        *(("figure", (name, CAPTIONS[name])) for name in CAPTIONS),
        ("heading", "How it was measured"),
        ("list", how),
    ]
