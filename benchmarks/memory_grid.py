"""Predicted and measured peaks of memory, side by side: writes benchmarks/results/memory_grid.json.

    python benchmarks/memory_grid.py               the grid: a fresh process for each configuration, on the CPU, one thread
    python benchmarks/memory_grid.py --calibrate   other configurations, from which the two constants of ganvas.memory come
    python benchmarks/memory_grid.py --operations  working space of single convolutions, measured beside what is expected

The grid is a test: none of its configurations is among those of the calibration. A grid that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import gc
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganvas.config import build_config
from ganvas.doctor import machine
from ganvas.memory.board import Case, make_spec
from ganvas.memory.measuring import measure
from ganvas.memory.predicting import ALLOCATOR_SHARE, ALLOCATOR_STEADY, predict, quiet
from ganvas.memory.workspace import spaces
from ganvas.registry import load_system
from ganvas.specs import REAL

RESULT = Path(__file__).parent / "results" / "memory_grid.json"
MIB = 2**20
BF16 = {"precision": "bf16-mixed", "channels_last": True}
LAST = {"channels_last": True}

# (system, size, classes, settings of the system, settings of the run)
Row = tuple[str, int, int, dict[str, Any], dict[str, Any]]
GRID: list[Row] = [
    ("dcgan", 32, 0, {"width": 16, "batch_size": 256}, {}),
    ("dcgan", 32, 0, {"width": 32, "batch_size": 256}, BF16),
    ("dcgan", 32, 0, {"width": 64, "batch_size": 128}, {}),
    ("dcgan", 32, 0, {"width": 128, "batch_size": 32}, {}),
    ("dcgan", 64, 0, {"width": 16, "batch_size": 256}, {}),
    ("dcgan", 64, 0, {"width": 32, "batch_size": 128}, LAST),
    ("dcgan", 64, 0, {"width": 64, "batch_size": 32}, BF16),
    ("dcgan", 64, 0, {"width": 128, "batch_size": 16}, {}),
    ("dcgan", 128, 0, {"width": 16, "batch_size": 64}, {}),
    ("dcgan", 128, 0, {"width": 32, "batch_size": 32}, BF16),
    ("dcgan", 128, 0, {"width": 128, "batch_size": 4}, {}),
    ("dcgan", 64, 0, {"width": 32, "batch_size": 128, "optimiser": "rmsprop", "generator_batch_norm": False}, {}),
    ("dcgan", 64, 0, {"width": 32, "batch_size": 128, "optimiser": "sgd"}, {"micro_batches": 4}),
    ("dcgan", 64, 0, {"width": 96, "batch_size": 8, "optimiser": "adamw", "ema_half_life": 5000.0}, {}),
    ("wgan-gp", 64, 0, {"width": 16, "batch_size": 64}, {}),
    ("wgan-gp", 64, 0, {"width": 32, "batch_size": 32}, {}),
    ("wgan-gp", 32, 0, {"width": 32, "batch_size": 128}, LAST),
    ("stylegan2", 32, 0, {"width": 8, "latent_size": 128, "batch_size": 16}, {}),
    ("stylegan2", 64, 0, {"width": 16, "latent_size": 256, "batch_size": 8}, {}),
    ("srgan", 96, 0, {"width": 32, "blocks": 4, "discriminator_width": 16, "batch_size": 4}, {}),
    ("srgan", 64, 0, {"width": 64, "blocks": 8, "discriminator_width": 32, "batch_size": 4, "perceptual_weight": 0.0}, {}),
    ("cyclegan", 64, 2, {"width": 16, "batch_size": 2}, {}),
    ("cyclegan", 128, 2, {"width": 16, "batch_size": 1}, BF16),
    ("wavegan", 4096, 0, {"width": 16, "batch_size": 64}, {}),
    ("wavegan", 16384, 0, {"width": 32, "batch_size": 8}, {}),
    ("gan-3d", 32, 0, {"width": 16, "batch_size": 32}, {}),
    ("gan-3d", 64, 0, {"width": 16, "batch_size": 4}, {}),
    ("cgan", 64, 2, {"batch_size": 64}, {}),
    ("lsgan", 64, 0, {"batch_size": 64}, {}),
    ("dcgan", 64, 0, {"width": 128, "batch_size": 64}, {}),
    ("dcgan", 128, 0, {"width": 16, "batch_size": 320}, {}),
    ("dcgan", 128, 0, {"width": 64, "batch_size": 16}, {}),
]
CALIBRATION: list[Row] = [
    ("dcgan", 48, 0, {"width": 24, "batch_size": 200}, {}),
    ("dcgan", 48, 0, {"width": 48, "batch_size": 96}, {"micro_batches": 4}),
    ("dcgan", 48, 0, {"width": 48, "batch_size": 96}, BF16),
    ("dcgan", 48, 0, {"width": 96, "batch_size": 8}, {}),
    ("dcgan", 96, 0, {"width": 40, "batch_size": 24}, {}),
    ("wgan-gp", 48, 0, {"width": 24, "batch_size": 64}, {}),
    ("stylegan2", 48, 0, {"width": 12, "latent_size": 200, "batch_size": 6}, {}),
    ("srgan", 72, 0, {"width": 24, "blocks": 3, "discriminator_width": 24, "batch_size": 6}, {}),
    ("cyclegan", 48, 2, {"width": 24, "batch_size": 2}, {}),
    ("wavegan", 8192, 0, {"width": 24, "batch_size": 24}, {}),
    ("gan-3d", 16, 0, {"width": 40, "batch_size": 48}, {}),
]


def case_of(row: Row) -> Case:
    """The configuration, with every other setting at its default, on one thread of the CPU."""
    system, size, classes, given, run = row
    card, _, system_class = load_system(system)
    config = build_config(system_class.Config, given)  # type: ignore[attr-defined]
    values = {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(config).items()}
    return Case(system, values, {REAL: make_spec(card.data[0], size, None, classes)}, threads=1, **run)


def weigh(row: Row, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Prediction and measurement of one configuration, in MiB. known: an earlier result, whose measurement is kept."""
    case = case_of(row)
    with quiet():
        foretold = predict(case)
    if known is None:
        found = measure(case)
        base, measured = found["base"] / MIB, found["peak"] / MIB
    else:
        base, measured = known["base"], known["measured"]
    predicted = foretold.peak / MIB + base
    return {
        "system": row[0], "size": row[1], "classes": row[2], "config": row[3], "run": row[4],
        "base": round(base, 1), "tensors": round(sum(foretold.live.values()) / MIB, 1), "heap": round(foretold.heap / MIB, 1),
        "predicted": round(predicted, 1), "measured": round(measured, 1), "error": round(predicted / measured - 1, 4),
    }  # fmt: skip


def told(entry: dict[str, Any]) -> str:
    words = " ".join(f"{k}={v}" for k, v in {**entry["config"], **entry["run"]}.items())
    return (
        f"{entry['system']:<10} {entry['size']:>6}  predicted {entry['predicted']:8.1f}  measured {entry['measured']:8.1f}  "
        f"{entry['error']:+.1%}  {words}"
    )


def grid() -> int:
    """Every configuration that is not in the result yet; returns 1 when the prediction is not good enough."""
    known = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    rows = []
    for row in GRID:
        same = [e for e in known if (e["system"], e["size"], e["classes"], e["config"], e["run"]) == row]
        rows.append(weigh(row, same[0] if same else None))
        print(told(rows[-1]), flush=True)
        errors = [entry["error"] for entry in rows]
        result = {
            "machine": machine(), "threads": 1, "unit": "MiB", "constants": [ALLOCATOR_STEADY, ALLOCATOR_SHARE],
            "configurations": len(rows), "within_15_per_cent": sum(abs(e) <= 0.15 for e in errors),
            "most_under": min(errors), "most_over": max(errors), "rows": rows,
        }  # fmt: skip
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{result['within_15_per_cent']} of {len(rows)} within 15 %, {min(errors):+.1%} to {max(errors):+.1%}")
    return int(result["within_15_per_cent"] < len(rows) - 2 or min(errors) < -0.10)


def calibrate() -> int:
    """Fit measured - base - heap = steady + share x heap by least squares of relative errors."""
    rows = []
    for row in CALIBRATION:
        rows.append(weigh(row))
        heap, real = rows[-1]["heap"], rows[-1]["measured"] - rows[-1]["base"]
        print(told(rows[-1]), f" heap {heap:.1f}, real {real:.1f}", flush=True)
    heaps = np.array([entry["heap"] for entry in rows])
    extra = np.array([entry["measured"] - entry["base"] for entry in rows]) - heaps
    weights = 1 / np.array([entry["measured"] for entry in rows])
    design = np.stack([np.ones_like(heaps), heaps], 1) * weights[:, None]
    (steady, share), *_ = np.linalg.lstsq(design, extra * weights, rcond=None)
    print(f"steady {steady:.1f} MiB, share {share:.3f}")
    return 0


def operations() -> int:
    """Peaks of single convolutions beyond their arguments and results, in MiB: measured, and as `workspace.spaces` has it."""
    library = ctypes.CDLL("libc.so.6")
    library.mallopt(-3, 65536)  # large pieces go back to the system at once, so that peaks are seen
    library.mallopt(-1, 65536)
    torch.set_num_threads(1)
    for transposed, last, dtype, count, before, after, side, kernel, stride, padding in [
        (t, last, dtype, 64, *sizes)
        for dtype in (torch.float32, torch.bfloat16)
        for last in (False, True)
        for t in (False, True)
        for sizes in ((32, 64, 32, 4, 2, 1), (64, 32, 32, 4, 2, 1), (64, 64, 32, 3, 1, 1), (64, 1, 32, 4, 2, 1))
    ]:
        layout = torch.channels_last if last else torch.contiguous_format
        maps = torch.randn(count, before, side, side).to(dtype=dtype, memory_format=layout)
        shape = (before, after) if transposed else (after, before)
        weight = torch.randn(*shape, kernel, kernel).to(dtype=dtype, memory_format=layout)
        rest: Any = ([stride] * 2, [padding] * 2, [1, 1], transposed, [0, 0], 1)
        forward, back = torch.ops.aten.convolution, torch.ops.aten.convolution_backward
        gradient = torch.randn_like(forward(maps, weight, None, *rest))
        calls: dict[str, tuple[Any, tuple[Any, ...], tuple[Any, ...]]] = {
            "forward": (forward, (maps, weight, None, *rest), (gradient,)),
            "to maps": (back, (gradient, maps, weight, None, *rest, [True, False, False]), (maps,)),
            "to weights": (back, (gradient, maps, weight, None, *rest, [False, True, False]), (weight,)),
        }
        words = [f"{'T' if transposed else 'C'} {before}->{after} k{kernel}s{stride} {str(dtype)[6:]}{' last' if last else ''}"]
        for place, (name, (call, arguments, results)) in enumerate(calls.items()):
            measured = _peak(call, arguments) - results[0].nbytes / MIB
            space = spaces(call.default, arguments, torch.device("cpu"), gradient)[max(0, place - 1)]
            own = results[0].nbytes
            expected = (max(sum(space.before), sum(space.beside) + own) - own) / MIB
            words.append(f"{name} {measured:.0f} ({expected:.0f})")
        print("  ".join(words), flush=True)
    return 0


def _peak(call: Any, arguments: tuple[Any, ...]) -> float:
    """MiB by which resident memory rises at most during a call."""
    call(*arguments)
    gc.collect()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    kept = call(*arguments)
    most = _status("VmHWM")
    del kept
    return most - before


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--operations", action="store_true")
    chosen = parser.parse_args()
    sys.exit(calibrate() if chosen.calibrate else operations() if chosen.operations else grid())
