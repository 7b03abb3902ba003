"""The page and the figures of the memory study. Not for finding anything out: that is `memory.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..files import write_atomically
from ..report.plots import COLOURS, INK, SOFT, _figure, saved, styled

NAMES = {"generator": "G", "discriminator": "D", "batch_predicted": "batch in training"}


def write_page(out: Path, result: dict[str, Any]) -> Path:
    """Write `figure-7`, `figure-8` and `memory.md` into `out`; returns the page."""
    saved(_growth(result), out / "figure-7")
    saved(_without_norm(result), out / "figure-8")
    page = out / "memory.md"
    write_atomically(page, "\n".join(_page(result)).encode())
    return page


def _sides(result: dict[str, Any]) -> list[int]:
    return sorted({row["side"] for row in result["rows"]})


def _series(result: dict[str, Any], side: int, name: str, norm: bool) -> tuple[list[int], list[float]]:
    rows = [row for row in result["rows"] if row["side"] == side and row["norm"] == norm]
    return [row["feature"] for row in rows], [row[name] for row in rows]


@styled
def _growth(result: dict[str, Any]) -> Any:
    """Figure 7: both networks at each size for one image; beside it a whole batch, by the study's product and as predicted."""
    figure = _figure(3.9)
    left, right = figure.subplots(1, 2)
    for place, side in enumerate(_sides(result)):
        style = ("-", "--")[place % 2]
        for index, name in enumerate(("generator", "discriminator")):
            x, y = _series(result, side, name, True)
            left.plot(x, y, style, color=COLOURS[index], marker="o", markersize=3, label=f"{NAMES[name]}, {side}x{side}")
        x, predicted = _series(result, side, "batch_predicted", True)
        product = [
            (g + d) * result["batch"] / 1024
            for g, d in zip(
                _series(result, side, "generator", True)[1], _series(result, side, "discriminator", True)[1], strict=True
            )
        ]
        right.plot(x, product, style, color=SOFT, marker="o", markersize=3, label=f"study's product, {side}x{side}")
        right.plot(
            x,
            [p / 1024 for p in predicted],
            style,
            color=COLOURS[2],
            marker="o",
            markersize=3,
            label=f"predicted, {side}x{side}",
        )
    left.set(title="One image, the study's accounting", xlabel="feature size", ylabel="MB", ylim=(0, None))
    right.set(title=f"Training, batch of {result['batch']}", xlabel="feature size", ylabel="GB (log scale)", yscale="log")
    right.set_yticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    right.minorticks_off()
    for axes in (left, right):
        axes.legend(labelcolor=INK)
    return figure


@styled
def _without_norm(result: dict[str, Any]) -> Any:
    """Figure 8: the generator with and without BatchNorm for one image, and the share that BatchNorm takes."""
    figure = _figure(3.9)
    left, right = figure.subplots(1, 2)
    for place, side in enumerate(_sides(result)):
        style = ("-", "--")[place % 2]
        for index, norm in enumerate((True, False)):
            x, y = _series(result, side, "generator", norm)
            word = "with" if norm else "without"
            left.plot(x, y, style, color=COLOURS[index], marker="o", markersize=3, label=f"{word} BatchNorm, {side}x{side}")
    for norm in result["norm"]:
        index = list(NAMES).index(norm["of"])
        style = ("-", "--")[_sides(result).index(norm["side"]) % 2]
        label = f"{NAMES[norm['of']].removesuffix(' in training')}, {norm['side']}x{norm['side']}"
        right.plot(
            norm["feature"],
            [100 * s for s in norm["share"]],
            style,
            color=COLOURS[index],
            marker="o",
            markersize=3,
            label=label,
        )
    low, high = (100 * share for share in result["paper"]["norm"])
    right.axhspan(low, high, color="#EEEEEE", zorder=0, label="paper, G: 1.2 to 7 %")
    left.set(title="Generator, one image", xlabel="feature size", ylabel="MB", ylim=(0, None))
    most = max(share for norm in result["norm"] for share in norm["share"])
    right.set(title="Saved by leaving out BatchNorm", xlabel="feature size", ylabel="%", ylim=(0, 160 * most))
    left.legend(labelcolor=INK)
    right.legend(labelcolor=INK, ncols=2, loc="upper right", fontsize=8)
    return figure


def _page(result: dict[str, Any]) -> list[str]:
    out = [
        "# Memory of DCGAN by its width",
        "",
        "The questions of section III.E of Belmekki et al. 2022. MB are 2^20 bytes. The study's feature size f is a network of",
        "16f-8f-4f-2f channels at 64x64 (ganvas's width is 2f). Predictions are for the CPU, float32, Adam.",
        "",
        "## Paper and here",
        "",
        "| The paper says | Here | Verdict |",
        "|---|---|---|",
    ]
    out += [f"| {c['claim']} | {c['here']} | **{c['verdict']}**. {c['why']} |" for c in result["claims"]]
    out += [
        "", "## Growth", "", "![One image by the study's accounting; a batch in training](figure-7.png)", "",
        "Root mean square of the relative residuals of three laws:", "",
        "| of | size | exponential | power (exponent) | quadratic |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for law in result["laws"]:
        fits = law["laws"]
        power = f"{fits['power']['rms']:.1%} ({fits['power']['exponent']:.2f})"
        side = f"{law['side']}x{law['side']}"
        out.append(
            f"| {NAMES[law['of']]} | {side} | {fits['exponential']['rms']:.1%} | {power} | {fits['quadratic']['rms']:.2%} |"
        )
    out += ["", "## BatchNorm", "", "![The generator with and without BatchNorm; the share that is saved](figure-8.png)", ""]
    out += ["| of | size | smallest feature size | largest |", "|---|---|---|---|"]
    for norm in result["norm"]:
        ends = f"{norm['share'][0]:.1%} | {norm['share'][-1]:.1%}"
        out.append(f"| {NAMES[norm['of']]} | {norm['side']}x{norm['side']} | {ends} |")
    if result["measured"]:
        out += [
            "",
            "## Predicted and measured",
            "",
            "| feature size | size | batch | predicted | measured | error | study's product |",
        ]
        out.append("|---|---|---|---|---|---|---|")
        for row in result["measured"]:
            out.append(
                f"| {row['feature']} | {row['side']}x{row['side']} | {row['batch']} | {row['predicted']:,.0f} MB | "
                f"{row['measured']:,.0f} MB | {row['error']:+.1%} | {row['by_study']:,.0f} MB |"
            )
    return [*out, ""]
