"""What a run will take: memory, disk and pace, said before it starts. An estimate, from one look at two records."""

from __future__ import annotations

import copy
import functools
import operator
import time
from dataclasses import replace
from typing import Any

import torch

from ..batches import Noise
from ..specs import Spec
from .budget import Budget

PROCESS_BYTES = 400_000_000  # Python, torch and readers, before any network


def expectation(engine: Any, spec: Spec, budget: Budget, *, plateau: bool = False) -> str:
    """One line for the user: parameters, expected memory, disk and time. plateau: whether the run ends by itself."""
    parameters = sum(p.numel() for p in engine.system.parameters())
    state = sum(t.numel() * t.element_size() for t in engine.system.state_dict().values())
    size = engine.streams["data"].batch_size // engine.processes.world
    activations, seconds = _measure(engine, spec)
    # weights, gradients, two moments, and a copy of weights and moments for roll-backs
    memory = PROCESS_BYTES + 7 * state + activations * size / engine.micro_batches
    disk = 3 * 3 * state + 20_000_000  # checkpoints: last, previous and best
    pace = f"about {max(1, budget.seconds / (seconds * size)):,.0f} rounds" if budget.seconds and seconds else ""
    end = "until the kernel distance stops improving" if plateau else "no end: stop with Ctrl-C"
    text = (
        f"{parameters / 1e6:.2f} M parameters; expects {memory / 1e9:.1f} GB of memory, {disk / 1e6:.0f} MB of disk, "
        f"{end if budget == Budget() else f'{budget}, or {end}' if plateau else budget}"
    )
    return f"{text} ({pace})" if pace and budget.seconds else text


def _measure(engine: Any, spec: Spec) -> tuple[float, float]:
    """(bytes kept for backward, seconds) per record of one round, on a copy of the system that is thrown away."""
    pieces = engine.processes.world * engine.micro_batches
    count = min(8, max(1, engine.streams["data"].batch_size // pieces))  # no more than the run itself has at once
    device = engine.processes.device
    system = copy.deepcopy(engine.system)
    noise = Noise(torch.Generator(device=device), dtype=engine.dtype)
    batch = engine.streams["data"].example(count, noise)
    batch = batch.to(engine.dtype, engine.memory_format)
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    most, spent = 0.0, 0.0
    phases = system.phases()
    weights = sum(p.numel() * p.element_size() for p in system.parameters())
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        for phase in phases:
            clock, shared = replace(engine.clock, phase=phase.name), {}  # type: ignore[var-annotated]
            for turn in phase.turns:
                if turn.source != "data":
                    continue
                owned = [p for p in system.parameters() if p.requires_grad]
                kept.clear()
                begin = time.perf_counter()
                with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), engine.processes.autocast(engine.precision):
                    total = functools.reduce(operator.add, turn.objective(batch, clock, shared).values())
                    torch.autograd.grad(total, owned, allow_unused=True, retain_graph=True)
                times = turn.times if isinstance(turn.times, int) else 1
                # The mean over phases: how long each lasts is not known here.
                spent += (time.perf_counter() - begin) * times / turn.every / len(phases)
                most = max(most, sum(kept.values()) - weights)
    return max(0.0, most) * 1.5 / count, spent / count
