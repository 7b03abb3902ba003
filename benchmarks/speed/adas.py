"""What a step of AdaS costs beside a step of Adam without its fused kernel: `torch.optim.Adam(parameters, fused=False)`.

Two sets of parameters with gradients that stay as they are: both networks of DCGAN at 64x64 and width 64, and both of the
small pair on points. Adam leaves the rest to torch, which takes a loop over the tensors on a CPU and `foreach` on CUDA; the
loop written with `foreach` is measured as well. All step in turn in one process, in short blocks whose order changes; the
ratio is the median over pairs of blocks. Aim: at most 2.

    python benchmarks/speed/adas.py --threads 1 --out benchmarks/results/adas_speed.json
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
from torch import nn
from torch.optim import Adam, Optimizer

from ganvas.doctor import keep_memory, machine
from ganvas.networks.convolutional import ConvolutionalDiscriminator, ConvolutionalGenerator
from ganvas.networks.perceptron import Perceptron
from ganvas.optim.adas import Adas, input_groups

AIM = 2.0

Maker = Callable[[nn.Module], Optimizer]
MAKERS: dict[str, Maker] = {
    "adam": lambda network: Adam(network.parameters(), fused=False),
    "adam-foreach": lambda network: Adam(network.parameters(), foreach=True),
    "adas": lambda network: Adas(network.parameters()),
    "adas-output-axis": lambda network: Adas(input_groups(network)),
}


def dcgan() -> nn.Module:
    return nn.ModuleList([ConvolutionalGenerator(100, (1, 64, 64), 64), ConvolutionalDiscriminator((1, 64, 64), 64)])


def points() -> nn.Module:
    return nn.ModuleList([Perceptron(2, 2, width=64), Perceptron(2, 1, width=64)])


SETS: dict[str, tuple[Callable[[], nn.Module], int, int]] = {"dcgan-64": (dcgan, 3, 21), "mlp": (points, 200, 31)}
"""name -> (networks, steps in a block, blocks)."""


def prepare(networks: Callable[[], nn.Module], make: Maker) -> Optimizer:
    """The optimiser on networks of its own, with gradients."""
    torch.manual_seed(0)
    network = networks()
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    return make(network)


def block(optimiser: Optimizer, steps: int) -> float:
    """Seconds of one step."""
    begin = time.perf_counter()
    for _ in range(steps):
        optimiser.step()
    return (time.perf_counter() - begin) / steps


def measure(networks: Callable[[], nn.Module], steps: int, blocks: int) -> dict[str, Any]:
    optimisers = {name: prepare(networks, make) for name, make in MAKERS.items()}
    for optimiser in optimisers.values():
        block(optimiser, steps)
    times: dict[str, list[float]] = {name: [] for name in optimisers}
    for index in range(blocks):
        for name in list(optimisers)[:: -1 if index % 2 else 1]:
            times[name].append(block(optimisers[name], steps))

    def ratio(name: str) -> float:
        return round(statistics.median(a / b for a, b in zip(times[name], times["adam"], strict=True)), 3)

    parameters = [p for group in optimisers["adam"].param_groups for p in group["params"]]
    return {
        "tensors": len(parameters),
        "parameters": sum(p.numel() for p in parameters),
        "ms_per_step": {name: round(statistics.median(found) * 1e3, 4) for name, found in times.items()},
        "ratio": ratio("adas"),
        "ratio_output_axis": ratio("adas-output-axis"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()  # for all of them
    result: dict[str, Any] = {name: measure(*setting) for name, setting in SETS.items()}
    result["named_alternative"] = "torch.optim.Adam(parameters, fused=False)"
    result["aim"] = AIM
    result["reached"] = all(result[name]["ratio"] <= AIM for name in SETS)
    result |= {"machine": machine(), "threads": args.threads, "command": "python benchmarks/speed/adas.py --threads 1"}
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
