"""Gradient penalties through convolutions: `ganvas.objectives.second_order` beside torch's own way, in turns in one process.

A layer: a critic of strided convolutions, its slopes, and the gradient of their squares. A system: whole rounds of the game, of
which the penalty is a part. Ratios are medians over pairs of torch's time to ours, of the processor's time (on a GPU: of the
clock). Marks: none of a system slower than 0.97; on a GPU twice as fast in the layers.

    python benchmarks/speed/second_order.py --out benchmarks/results/second_order_speed.json
    python benchmarks/speed/second_order.py --device cuda
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from ganvas.doctor import keep_memory, machine
from ganvas.objectives import second_order
from systems import BOARDS, engine_of

LAYERS: dict[str, tuple[int, int, int, int, int]] = {  # dimensions, width, side, batch, kernel
    "1-D, width 16, 4096 samples": (1, 16, 4096, 16, 25),
    "2-D, width 16, 32 pixels": (2, 16, 32, 32, 4),
    "2-D, width 32, 64 pixels": (2, 32, 64, 32, 4),
    "3-D, width 16, 32 voxels": (3, 16, 32, 8, 4),
}
SYSTEMS = ("r3gan-64", "progan-32", "stylegan2-64", "wavegan-4096")
ROUNDS = {"r3gan-64": 4, "progan-32": 8, "stylegan2-64": 16, "wavegan-4096": 4}  # of a block: whole periods of lazy turns


def penalty(device: str, dimensions: int, width: int, side: int, batch: int, kernel: int) -> Callable[[], None]:
    """The gradient of squared slopes of a critic of strided convolutions."""
    torch.manual_seed(0)
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[dimensions - 1]
    channels, stride = (1, 4) if dimensions == 1 else (3, 2)
    margin, left, weights = (kernel // 2 if dimensions == 1 else 1), side, []
    x = torch.randn(batch, channels, *[side] * dimensions, device=device, requires_grad=True)
    while left > 4:
        weight = torch.randn(width, channels, *[kernel] * dimensions, device=device) * 0.05
        weights.append(weight.requires_grad_())
        channels, width, left = width, 2 * width, left // stride

    def once() -> None:
        maps = x
        for weight in weights:
            maps = functional.leaky_relu(convolve(maps, weight, None, stride, margin), 0.2)
        (gradient,) = torch.autograd.grad(maps.sum(), x, create_graph=True)
        torch.autograd.grad(gradient.square().sum(), weights)

    return once


def compared(work: Callable[[], None], device: str, pairs: int) -> dict[str, Any]:
    """Seconds of both ways, in turns, and their ratio."""

    def seconds() -> float:
        clock = time.perf_counter if device.startswith("cuda") else time.process_time
        begin = clock()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return clock() - begin

    quicken = second_order.quicken

    def as_torch_does() -> None:
        second_order.as_torch_does()
        second_order.quicken = lambda: False  # which penalties would ask for

    def ours() -> None:
        second_order.quicken = quicken
        quicken()

    ways: dict[str, Callable[[], Any]] = {"torch": as_torch_does, "ours": ours}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for pair in range(pairs + 1):
        for name, way in ways.items() if pair % 2 else reversed(ways.items()):
            way()
            taken[name].append(seconds())
    first = {name: own[1:] for name, own in taken.items()}  # the first pair chooses algorithms and fills caches
    ratios = sorted(a / b for a, b in zip(first["torch"], first["ours"], strict=True))
    return {
        **{f"{name}_seconds": round(statistics.median(own), 5) for name, own in first.items()},
        "ratio": round(statistics.median(ratios), 3), "low": round(ratios[0], 3), "high": round(ratios[-1], 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    found: dict[str, Any] = {"layers": {}, "systems": {}}
    for name, sizes in LAYERS.items():
        found["layers"][name] = compared(penalty(options.device, *sizes), options.device, options.pairs)
        print(name, json.dumps(found["layers"][name]), flush=True)
    for name in SYSTEMS if options.device == "cpu" else ():
        engine = engine_of(*BOARDS[name])

        def rounds(engine: Any = engine, count: int = ROUNDS[name]) -> None:
            for _ in range(count):
                engine.play_round()

        found["systems"][name] = compared(rounds, options.device, max(3, options.pairs // 2))
        print(name, json.dumps(found["systems"][name]), flush=True)
    found |= {"machine": machine(), "command": "python benchmarks/speed/second_order.py --out FILE", "device": options.device}
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
