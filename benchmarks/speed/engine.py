"""What the Engine costs: the same networks, updates and data in a bare hand-written loop, and played by the Engine.

Two boards: DCGAN at 64x64 (width 16, batch 64) and a tiny MLP on points. The two loops alternate in short blocks within one
process; the figure is the median over pairs of blocks. Aims: at most 3 % on DCGAN-64, at most 150 microseconds a turn on
the MLP.

    python benchmarks/speed/engine.py --out benchmarks/results/engine_speed.json
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganvas.batches import Noise
from ganvas.data.dataset import Dataset, Field
from ganvas.data.streams import DatasetStream
from ganvas.doctor import keep_memory, machine
from ganvas.engine import Engine
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.points.spec import PointsSpec
from ganvas.registry import load_system
from ganvas.specs import REAL


def in_memory(spec: Any, values: np.ndarray) -> Dataset:
    """Random records in memory."""
    count = len(values)
    return Dataset({REAL: Field(spec, values)}, None, np.arange(count), np.zeros(count, bool), "random", "")


def boards() -> dict[str, tuple[str, Any, dict[str, Any], int, int]]:
    """name -> (system, spec, config, rounds in a block, pairs of blocks)."""
    return {
        "dcgan-64": ("dcgan", ImageSpec(1, 64, 64), {"width": 16, "batch_size": 64, "ema_half_life": 0.0}, 8, 15),
        "mlp": (
            "gan",
            PointsSpec(2),
            {"width": 32, "layers": 2, "batch_size": 64, "ema_half_life": 5000.0, "latent_size": 2},
            400,
            15,
        ),
    }


def build(system: str, spec: Any, config: dict[str, Any]) -> tuple[Any, Any, DatasetStream]:
    _, _, system_class = load_system(system)
    torch.manual_seed(0)
    made = system_class(spec, system_class.Config(**config))
    rng = np.random.default_rng(0)
    if spec.kind == "image":
        values: np.ndarray = rng.integers(0, 256, (2048, spec.height, spec.width, spec.channels), dtype=np.uint8)
    else:
        values = rng.normal(size=(20000, 2)).astype(np.float32)
    return made, system_class, DatasetStream(in_memory(spec, values), config["batch_size"])


def bare_loop(
    system: str,
    board: Any,
    stream: Any,
    *,
    device: str = "cpu",
    context: Callable[[], Any] = contextlib.nullcontext,
    channels_last: bool = False,
) -> Callable[[int], None]:
    """The loop one would write by hand for `dcgan` and `gan`: same forward passes, same losses, same fused optimisers.

    context: around forward passes, such as autocast.
    """
    generator, discriminator, average = board.generator, board.discriminator, board.average
    players = {p.name: p for p in board.players()}
    step_d = players["discriminator"].optimiser(list(discriminator.named_parameters()))
    step_g = players["generator"].optimiser(list(generator.named_parameters()))
    weights_d, weights_g = list(discriminator.parameters()), list(generator.parameters())
    source, target = averaged(generator, average)
    noise = Noise(torch.Generator(device).manual_seed(0))
    half_life, batch_size, latent = board.config.ema_half_life, board.config.batch_size, board.config.latent_size
    weight = 1 - 0.5 ** (batch_size / half_life) if half_life else 1.0

    def play(rounds: int) -> None:
        for _ in range(rounds):
            real: Tensor = stream.draw(noise).to(torch.float32, channels_last).real
            with context():
                fake = generator(torch.randn(batch_size, latent, device=device))
                loss = softplus(-discriminator(real)).mean() + softplus(discriminator(fake.detach())).mean()
            loss.backward(inputs=weights_d)
            step_d.step()
            step_d.zero_grad()
            with context():
                if system != "dcgan":  # this game draws fresh fakes for the generator's turn
                    fake = generator(torch.randn(batch_size, latent, device=device))
                loss = softplus(-discriminator(fake)).mean()
            loss.backward(inputs=weights_g)
            step_g.step()
            step_g.zero_grad()
            with torch.no_grad():
                torch._foreach_lerp_(target, source, weight)

    return play


def averaged(network: nn.Module, average: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """What a moving average follows, and what it is; its weights get no gradients."""
    for p in average.parameters():
        p.requires_grad_(False)
    source, target = (
        [*own.parameters(), *(b for b in own.buffers() if b.is_floating_point())] for own in (network, average)
    )  # fmt: skip
    return source, target


def plain_loop(
    board: Any,
    streams: dict[str, Any],
    *,
    device: str = "cpu",
    context: Callable[[], Any] = contextlib.nullcontext,
    channels_last: bool = False,
) -> Callable[[int], None]:
    """The loop for any game of one phase and fixed turns: its objectives, a backward pass and a step for each, its averages.

    Nothing else that an Engine does: no rates, no clipping, no account of terms, no watch for NaN, no snapshots.
    """
    (phase,) = board.phases()
    noise = Noise(torch.Generator(device).manual_seed(0))
    steps = {}
    for player in board.players():
        parameters = [(n, p) for n, p in board.named_parameters() if n.startswith(tuple(f"{x}." for x in player.networks))]
        steps[player.name] = player.optimiser(parameters), [p for _, p in parameters]
    averages = [
        (float(own.half_life), averaged(board.get_submodule(own.source), board.get_submodule(own.target)))
        for own in board.averages()
    ]
    clock = Clock(phase=phase.name)
    board.train()

    def play(rounds: int) -> None:
        nonlocal clock
        for _ in range(rounds):
            dealt: dict[str, tuple[Any, dict[str, Any]]] = {}
            for turn in phase.turns:
                if clock.phase_round % turn.every:
                    continue
                if turn.source not in dealt:
                    dealt[turn.source] = streams[turn.source].draw(noise).to(torch.float32, channels_last), {}
                step, owned = steps[turn.player]
                with context():
                    total = sum(turn.objective(dealt[turn.source][0], clock, dealt[turn.source][1]).values())
                total.backward(inputs=owned)
                step.step()
                step.zero_grad()
            count = len(dealt["data"][0])
            with torch.no_grad():
                for half_life, (source, target) in averages:
                    torch._foreach_lerp_(target, source, 1 - 0.5 ** (count / half_life) if half_life else 1.0)
            clock = dataclasses.replace(
                clock, round=clock.round + 1, phase_round=clock.phase_round + 1, samples=clock.samples + count
            )

    return play


def engine_loop(engine: Engine) -> Callable[[int], None]:
    def play(rounds: int) -> None:
        for _ in range(rounds):
            engine.play_round()

    return play


clock = time.perf_counter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()  # for both
    result: dict[str, Any] = {}
    for name, (system, spec, config, rounds, pairs) in boards().items():
        board_a, _, stream_a = build(system, spec, config)
        board_b, _, stream_b = build(system, spec, config)
        loops = {"bare": bare_loop(system, board_a, stream_a), "engine": engine_loop(Engine(board_b, {"data": stream_b}))}
        for loop in loops.values():
            loop(rounds)
        times: dict[str, list[float]] = {"bare": [], "engine": []}
        for pair in range(pairs):
            for key in ("bare", "engine") if pair % 2 else ("engine", "bare"):
                begin = clock()
                loops[key](rounds)
                times[key].append((clock() - begin) / rounds)
        bare, engine = statistics.median(times["bare"]), statistics.median(times["engine"])
        extra = statistics.median(e - b for e, b in zip(times["engine"], times["bare"], strict=True))
        result[name] = {
            "bare_ms_per_round": round(bare * 1e3, 4),
            "engine_ms_per_round": round(engine * 1e3, 4),
            "overhead_percent": round(100 * extra / bare, 2),
            "overhead_microseconds_per_turn": round(extra / 2 * 1e6, 1),
        }
    result |= {"machine": machine(), "threads": args.threads, "command": "python benchmarks/speed/engine.py"}
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
