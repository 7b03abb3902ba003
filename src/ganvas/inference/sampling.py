"""Drawing records from a system that offers `Samples`, in batches, reproducibly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ..batches import Noise
from ..errors import GanvasError
from ..game import System
from .directions import Moved

BATCH = 64


def draw_samples(
    system: System,
    count: int,
    *,
    seed: int,
    labels: Tensor | None = None,
    move: Tensor | None = None,
    fields: Mapping[str, Tensor] | None = None,
) -> Iterator[Tensor]:
    """Records in the game's units, on the CPU, in pieces of at most 64: `count` in all.

    Full batches are drawn and cut, so the first 10 of 1000 are the same records as 10 alone. labels: (count,) int64 or
    None. fields: (count, ...) each, by which records are asked for (captions), in the form that the system takes. move: (D,) by
    which every latent is moved (`directions.move_along`). The system must be in evaluation mode (`Engine.watching`). Raises
    GanvasError when it cannot sample.
    """
    from ..capabilities import Samples

    if not isinstance(system, Samples):
        raise GanvasError(f"{type(system).__name__} does not make samples")
    parameter = next(system.parameters())
    generator = torch.Generator(device=parameter.device).manual_seed(seed)
    noise = Noise(generator, dtype=parameter.dtype)
    for start in range(0, count, BATCH):
        wanted = min(BATCH, count - start)
        given = None if labels is None else _filled(labels[start : start + wanted].to(parameter.device))
        more = {k: _filled(value[start : start + wanted].to(parameter.device)) for k, value in (fields or {}).items()}
        with torch.no_grad():
            own = noise if move is None else Moved(noise, move)
            yield system.sample(BATCH, own, given, **more)[:wanted].float().cpu()


def _filled(values: Tensor) -> Tensor:
    """A full batch: the last one over and over."""
    return torch.cat([values, values[-1:].expand(BATCH - len(values), *values.shape[1:])])
