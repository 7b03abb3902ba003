"""Memory of DCGAN by its width: figures 7 and 8 of Belmekki et al. 2022, the growth law, and what BatchNorm costs.

Feature sizes 32 to 320 at 64x64 and 128x128, generator and discriminator, with and without BatchNorm: by the study's accounting
for one image, and by ganvas's prediction for a whole batch in training; a few configurations are measured as well. The study's
feature size 64 is a network of 1024-512-256-128 channels, which is ganvas's width 128: the width is twice the feature size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GanvasError
from ..files import disk_errors, write_json

FEATURES = tuple(range(32, 321, 32))
SIDES = (64, 128)
BATCH = 64
PAPER: dict[str, Any] = {"feature": 64, "generator": 53.96, "discriminator": 46.72, "batch": 6443.52, "norm": (0.012, 0.07)}
MEASURED: tuple[tuple[int, int, int], ...] = ((16, 64, 32), (32, 64, 8), (16, 128, 8))  # (feature size, side, batch)
Say = Callable[[str], None]


def memory_study(
    out: Path,
    *,
    features: Sequence[int] = FEATURES,
    sides: Sequence[int] = SIDES,
    batch: int = BATCH,
    measured: bool = True,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Write `memory.json`, `memory.md`, `figure-7` and `figure-8` (PNG and SVG) into `out`; returns what the JSON holds.

    features: feature sizes, at least four. sides: of the images in pixels. batch: for which training is predicted. measured:
    whether three small configurations are measured beside their prediction. Raises GanvasError, RunError.
    """
    from ._memory_page import write_page

    if len(set(features)) < 4 or min(features) < 1:
        raise GanvasError("the growth law needs at least four feature sizes of 1 or more: leave --features out, or give more")
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    rows = []
    for side in sides:
        for feature in sorted(set(features)):
            rows += [_row(feature, side, norm, batch) for norm in (True, False)]
            say(f"{side}x{side}, feature size {feature}: {rows[-2]['generator']:,.1f} + {rows[-2]['discriminator']:,.1f} MB")
    result = {
        "unit": "MB of 2^20 bytes",
        "batch": batch,
        "paper": PAPER,
        "rows": rows,
        "laws": [_law(rows, side, name) for side in sides for name in ("generator", "discriminator", "batch_predicted")],
        "norm": [_norm(rows, side, name) for side in sides for name in ("generator", "discriminator", "batch_predicted")],
        "small": small_images(),
        "measured": [_measured(*row, say) for row in MEASURED] if measured else [],
    }
    result["claims"] = claims(result)
    write_json(out / "memory.json", result)
    result["page"] = str(write_page(out, result))
    return result


def _case(feature: int, side: int, norm: bool, batch: int) -> Any:
    from ..memory.board import describe

    config = {
        "width": 2 * feature, "generator_batch_norm": norm, "discriminator_batch_norm": norm, "batch_size": batch,
    }  # fmt: skip
    # Stated, and not what is fastest here: figures of two machines are to be the same.
    return describe(
        "dcgan",
        preset="xray-memory",
        size=str(side),
        config=config,
        device="cpu",
        threads=1,
        precision="32",
        channels_last="off",
    )


def _row(feature: int, side: int, norm: bool, batch: int) -> dict[str, Any]:
    from ..memory.answer import PROCESS_BASE, foretell
    from ..memory.counting import MIB

    found = foretell(_case(feature, side, norm, batch))
    one = {name: call.mib for name, call in found.calls.items()}
    peak = (found.peak + PROCESS_BASE) / MIB
    return {"feature": feature, "side": side, "norm": norm, **one, "batch_predicted": peak}


def small_images() -> dict[str, Any]:
    """The claim that 32x32 runs within 4 GB: the widest plausible form of it, 128 images and the paper's width 128."""
    from ..memory.answer import PROCESS_BASE, foretell
    from ..memory.counting import MIB

    found = foretell(_case(64, 32, True, 128))
    return {"feature": 64, "side": 32, "batch": 128, "predicted": (found.peak + PROCESS_BASE) / MIB}


def _measured(feature: int, side: int, batch: int, say: Say) -> dict[str, Any]:
    from ..memory.answer import foretell
    from ..memory.counting import MIB
    from ..memory.measuring import measure

    say(f"measuring feature size {feature} at {side}x{side}, batch {batch}")
    case = _case(feature, side, True, batch)
    found = measure(case)
    predicted, peak = foretell(case).peak + found["base"], found["peak"]
    by_study = sum(call.mib for call in foretell(case).calls.values()) * batch
    return {
        "feature": feature, "side": side, "batch": batch, "predicted": predicted / MIB, "measured": peak / MIB,
        "error": predicted / peak - 1, "by_study": by_study,
    }  # fmt: skip


def _series(rows: Sequence[dict[str, Any]], side: int, name: str, norm: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """(feature sizes, MB)."""
    chosen = [row for row in rows if row["side"] == side and row["norm"] == norm]
    return np.array([r["feature"] for r in chosen], float), np.array([r[name] for r in chosen])


def _law(rows: Sequence[dict[str, Any]], side: int, name: str) -> dict[str, Any]:
    """How a size grows with the feature size: see `growth`."""
    return {"side": side, "of": name, **growth(*_series(rows, side, name))}


def growth(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Three laws fitted by least squares of relative residuals, and which is nearest.

    exponential: a e^(b x), fitted to log y. power: a x^b, likewise. quadratic: a + b x + c x^2. Each with `rms`, the root mean
    square of (fit - y) / y; a law that is right leaves next to nothing.
    """
    slope, height = np.polyfit(x, np.log(y), 1)
    exponent, factor = np.polyfit(np.log(x), np.log(y), 1)
    design = np.stack([np.ones_like(x), x, x**2], 1)
    coefficients, *_ = np.linalg.lstsq(design / y[:, None], np.ones_like(y), rcond=None)

    def rms(fit: np.ndarray) -> float:
        return float(np.sqrt(np.mean((fit / y - 1) ** 2)))

    laws: dict[str, dict[str, Any]] = {
        "exponential": {
            "rate": float(slope),
            "doubles_every": float(np.log(2) / slope),
            "rms": rms(np.exp(height + slope * x)),
        },
        "power": {"exponent": float(exponent), "rms": rms(np.exp(factor) * x**exponent)},
        "quadratic": {"coefficients": [float(c) for c in coefficients], "rms": rms(design @ coefficients)},
    }
    return {"laws": laws, "nearest": min(laws, key=lambda law: laws[law]["rms"])}


def _norm(rows: Sequence[dict[str, Any]], side: int, name: str) -> dict[str, Any]:
    """The share that goes when BatchNorm is left out, at the smallest and the largest feature size."""
    x, with_norm = _series(rows, side, name)
    _, without = _series(rows, side, name, norm=False)
    shares = 1 - without / with_norm
    return {"side": side, "of": name, "feature": [int(v) for v in x], "share": [float(s) for s in shares]}


def claims(result: dict[str, Any]) -> list[dict[str, str]]:
    """What the study says of memory, what was found here, and a verdict with its reason."""
    first = next(r for r in result["rows"] if r["norm"] and r["side"] == result["rows"][0]["side"])
    exact = [r for r in result["rows"] if r["norm"] and r["side"] == 64 and r["feature"] == PAPER["feature"]]
    found = []
    if exact:
        row, batch = exact[0], result["batch"]
        product = (row["generator"] + row["discriminator"]) * batch
        right = abs(row["generator"] - 53.96) < 0.05 and abs(row["discriminator"] - 46.72) < 0.05
        found.append(
            {
                "claim": "One 64x64 image at feature size 64 takes 53.96 MB in G and 46.72 MB in D.",
                "here": f"{row['generator']:.2f} MB and {row['discriminator']:.2f} MB",
                "verdict": "holds" if right else "does not hold",
                "why": "The figures are parameters plus input plus twice every module's output, of 1024-512-256-128 channels.",
            }
        )
        found.append(
            {
                "claim": "A batch of 64 needs 64 times as much, 6443.52 MB.",
                "here": f"{row['batch_predicted']:,.0f} MB predicted for training with a batch of {batch}, process included; "
                f"64 times by the accounting: {product:,.0f} MB",
                "verdict": "holds" if row["batch_predicted"] > 0.85 * product else "does not hold",
                "why": "Multiplying counts the parameters once an image instead of once, and a gradient for each output, "
                "though these are freed as backward goes.",
            }
        )
    laws = [law for law in result["laws"] if law["of"] in ("generator", "discriminator")]
    exponents = [law["laws"]["power"]["exponent"] for law in laws]
    worst = {name: max(law["laws"][name]["rms"] for law in laws) for name in ("exponential", "power", "quadratic")}
    found.append(
        {
            "claim": "Memory is exponentially proportional to the feature size.",
            "here": f"quadratic: {worst['quadratic']:.2%} off at most, an exponential law {worst['exponential']:.0%} "
            f"(root mean square); as a power, exponent {min(exponents):.2f} to {max(exponents):.2f}",
            "verdict": "holds" if all(law["nearest"] == "exponential" for law in laws) else "does not hold",
            "why": "Weights grow with the square of the width and outputs in proportion to it. Nothing grows exponentially.",
        }
    )
    shares = [s for norm in result["norm"] if norm["of"] == "generator" for s in norm["share"]]
    falling = all(norm["share"][0] > norm["share"][-1] for norm in result["norm"] if norm["of"] == "generator")
    low, high = PAPER["norm"]
    alike = abs(min(shares) - low) <= 0.01 and abs(max(shares) - high) <= 0.02
    whole = [s for norm in result["norm"] if norm["of"] == "batch_predicted" for s in norm["share"]]
    found.append(
        {
            "claim": "Removing BatchNorm from the generator saves 1.2 to 7 %, the less the wider the network.",
            "here": f"{min(shares):.1%} to {max(shares):.1%} by the accounting, {'falling' if falling else 'not falling'} with "
            f"the width; of the whole batch in training (both networks) {min(whole):.1%} to {max(whole):.1%}",
            "verdict": "holds" if falling and alike else "holds in kind" if falling else "does not hold",
            "why": "The accounting is dominated by weights, which BatchNorm hardly adds to. A batch is dominated by outputs, "
            "of which BatchNorm makes about a third.",
        }
    )
    small = result["small"]
    found.append(
        {
            "claim": "32x32 images train within 4 GB.",
            "here": f"{small['predicted']:,.0f} MB predicted at feature size {small['feature']}, batch {small['batch']}",
            "verdict": "holds" if small["predicted"] < 4096 else "does not hold",
            "why": "On the CPU; the libraries of a GPU take some hundred MB more.",
        }
    )
    if result["measured"]:
        errors = [row["error"] for row in result["measured"]]
        found.append(
            {
                "claim": "(Not in the paper) ganvas predicts what is measured.",
                "here": f"{min(errors):+.1%} to {max(errors):+.1%} for {len(errors)} configurations",
                "verdict": "holds" if max(map(abs, errors)) <= 0.15 else "does not hold",
                "why": f"Fresh processes, two rounds each; feature size {first['feature']} and above are predicted alone.",
            }
        )
    return found


def lines(result: dict[str, Any]) -> list[str]:
    """The verdicts in words, for the terminal."""
    out = []
    for claim in result["claims"]:
        out += [f"{claim['verdict']:<14} {claim['claim']}", f"{'':<14} here: {claim['here']}"]
    return [*out, "", f"page {result['page']}"]
