"""The machine's ceiling of a round: the time of its layers, each alone, in whichever layout is the faster one.

One round of the real game is recorded as torch dispatches it, and every operation of a LAYER is played again alone, at its own
shapes, on fresh tensors, in both memory layouts (contiguous and channels_last). The fastest of several passes in the faster
layout counts, and the ceiling is the sum over the round.

What is in the sum: forward and backward of convolutions and transposed convolutions, of BatchNorm and InstanceNorm, of
activations, of linear layers, reflected borders and enlarging. Of backward only what the round needs: gradients of the weights
that the player on turn owns, and of inputs where something it owns lies before them. So no gradients of D's weights in G's
turn, none of the images that D is shown in its own turn, none of latents; `weight_gradients` in the result says how many
convolutions gave gradients of weights, and a test holds it at one for each layer, turn and batch. What a round needs is what
ganvas plays (`boards.engine`): for DCGAN G once forward and once backward, D three times forward (real, made, made again) and
backward (weights twice, inputs in G's turn and between layers). What is not in the sum, though a round needs it too:
optimisers, the moving average, losses, sums of gradients of the same weights, drawing and converting records, and Python. It
is a bound that cannot be reached: layers alone find their tensors in the cache, change layouts for nothing, and the fastest
pass of several counts.

Beside it: the rate of a large product of matrices in the same minute, the operations of the round (counted by torch), and the
share of that rate which the ceiling reaches. bf16 is apart: `--precision bf16-mixed` records the round under that precision.

    python benchmarks/speed/ceiling.py --board dcgan-64

On a machine that is busy, `--clock processor` measures processor time in the place of time by the clock: for trying things out,
not for results.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

sys.path.append(str(Path(__file__).parents[1] / "peers"))

LAYERS = (
    "convolution", "convolution_backward", "native_batch_norm", "native_batch_norm_backward", "relu", "relu_",
    "threshold_backward", "leaky_relu", "leaky_relu_", "leaky_relu_backward", "tanh", "tanh_backward", "addmm", "mm",
    "reflection_pad1d", "reflection_pad2d", "reflection_pad1d_backward", "reflection_pad2d_backward", "upsample_nearest2d",
    "upsample_nearest2d_backward", "avg_pool2d", "avg_pool2d_backward",
)  # fmt: skip
GIGA = 1e9
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
Clock = Callable[[], float]


@dataclass(frozen=True)
class Piece:
    """A tensor, by what its speed depends on."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    def made(self, layout: torch.memory_format) -> Tensor:
        fresh = torch.rand(self.shape).to(self.dtype)
        return fresh.contiguous(memory_format=layout) if len(self.shape) == 4 else fresh


@dataclass(frozen=True)
class Operation:
    """An operation with its arguments, tensors as `Piece`."""

    call: Any
    arguments: tuple[Any, ...]

    def seconds(self, layout: torch.memory_format, passes: int, clock: Clock) -> float:
        """Of the fastest of so many passes, after one that does not count."""
        arguments = [x.made(layout) if isinstance(x, Piece) else x for x in self.arguments]
        self.call(*arguments)
        found = []
        for _ in range(passes):
            begin = clock()
            self.call(*arguments)
            found.append(clock() - begin)
        return min(found)

    def name(self) -> str:
        return str(self.call.overloadpacket).removeprefix("aten.")

    def makes_weight_gradients(self) -> bool:
        return self.name() == "convolution_backward" and bool(self.arguments[-1][1])


def described(value: Any) -> Any:
    if isinstance(value, Tensor):
        return Piece(tuple(value.shape), value.dtype)
    return tuple(described(x) for x in value) if isinstance(value, list | tuple) else value


class Recorder(TorchDispatchMode):
    """Counts the operations of layers while something is played."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[Operation] = Counter()

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if call.overloadpacket._qualified_op_name.removeprefix("aten::") in LAYERS and not kwargs:
            self.found[Operation(call, tuple(described(x) for x in args))] += 1
        return call(*args, **(kwargs or {}))


def operations(engine: Any) -> Counter[Operation]:
    """Of the layers of one round, with how often each is played. The engine has played a round before."""
    with Recorder() as recorder:
        engine.play_round()
    return recorder.found


def work(engine: Any) -> float:
    """GFLOP of one round, two for a multiplication with an addition."""
    with FlopCounterMode(display=False) as counter:
        engine.play_round()
    return counter.get_total_flops() / GIGA


LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def ceiling(found: Counter[Operation], passes: int = 3, clock: Clock = time.perf_counter) -> dict[str, Any]:
    """seconds: of a round. layouts: the same, were one layout taken for all of it. kinds: by operation. slowest: those that
    cost most, as (name, shapes of the first tensors, times, seconds together, the faster layout)."""
    sums = dict.fromkeys(LAYOUTS, 0.0)
    kinds: Counter[str] = Counter()
    rows = []
    with torch.no_grad():
        for operation, times in found.items():
            each = {name: times * operation.seconds(layout, passes, clock) for name, layout in LAYOUTS.items()}
            best = min(each, key=lambda name: each[name])
            for name in LAYOUTS:
                sums[name] += each[name]
            kinds[operation.name()] += each[best]  # type: ignore[assignment]
            shapes = [x.shape for x in operation.arguments if isinstance(x, Piece)]
            rows.append((operation.name(), shapes[:2], times, each[best], best))
    rows.sort(key=lambda row: -row[3])
    return {
        "seconds": sum(kinds.values()),
        "layouts": sums,
        "kinds": dict(kinds.most_common()),
        "weight_gradients": sum(times for own, times in found.items() if own.makes_weight_gradients()),
        "slowest": rows[:40],
    }


def product_rate(side: int = 2048, passes: int = 5, clock: Clock = time.perf_counter) -> float:
    """GFLOP/s of a product of two square matrices in float32: the fastest of so many passes of `mm` and of a 1x1 convolution,
    which is the same product by another library."""
    matrix = Piece((side, side), torch.float32)
    maps, kernel = Piece((1, side, 1, side), torch.float32), Piece((side, side, 1, 1), torch.float32)
    options = (None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
    calls = (
        Operation(torch.ops.aten.mm.default, (matrix, matrix)),
        Operation(torch.ops.aten.convolution.default, (maps, kernel, *options)),
    )
    return 2 * side**3 / min(call.seconds(layout, passes, clock) for call in calls for layout in LAYOUTS.values()) / GIGA


def main() -> None:
    from boards import BOARDS, engine

    from ganvas.doctor import keep_memory, machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", choices=BOARDS, default="dcgan-64")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--layout", choices=("auto", "on", "off"), default="auto", help="of the game beside it")
    parser.add_argument("--precision", default="32")
    parser.add_argument("--rounds", type=int, default=3, help="of the game beside it")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    clock = CLOCKS[args.clock]
    keep_memory()
    played = engine(BOARDS[args.board], layout=args.layout, precision=args.precision)
    played.play_round()
    found, needed = operations(played), work(played)
    told = ceiling(found, args.passes, clock)
    rounds = []
    for _ in range(args.rounds):
        begin = clock()
        played.play_round()
        rounds.append(clock() - begin)
    rate = product_rate(clock=clock)
    told |= {
        "board": args.board, "precision": args.precision, "channels_last": played.channels_last, "clock": args.clock,
        "round_seconds": min(rounds), "gflop_a_round": round(needed, 2), "product_gflop_per_second": round(rate, 1),
        "ceiling_share_of_product_rate": round(needed / told["seconds"] / rate, 4),
        "share_of_ceiling": round(told["seconds"] / min(rounds), 4),
        "threads": torch.get_num_threads(), "machine": machine(),
        "command": f"python benchmarks/speed/ceiling.py --board {args.board}",
    }  # fmt: skip
    for row in told["slowest"]:
        print(*row, file=sys.stderr)
    text = json.dumps({name: value for name, value in told.items() if name != "slowest"}, indent=1)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
