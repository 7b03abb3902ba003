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
    held: int = 1,
) -> Iterator[Tensor]:
    """Records in the game's units, on the CPU, in pieces of at most 64: `count` in all.

    Full batches are drawn and cut, so the first 10 of 1000 are the same records as 10 alone. labels: (count,) int64 or
    None. fields: (count, ...) each, by which records are asked for (captions), in the form that the system takes. move: (D,) by
    which every latent is moved (`directions.move_along`). held: so many records in
    a row, 64 at most, are made of one noise. The system must be in evaluation mode (`Engine.watching`). Raises
    GanvasError when it cannot sample.
    """
    from ..capabilities import Samples

    if not isinstance(system, Samples):
        raise GanvasError(f"{type(system).__name__} does not make samples")
    parameter = next(system.parameters())
    generator = torch.Generator(device=parameter.device).manual_seed(seed)
    noise = Noise(generator, dtype=parameter.dtype) if held == 1 else Held(generator, parameter.dtype, held)
    batch = BATCH // held * held
    for start in range(0, count, batch):
        wanted = min(batch, count - start)
        given = None if labels is None else _filled(labels[start : start + wanted].to(parameter.device), batch)
        more = {k: _filled(value[start : start + wanted].to(parameter.device), batch) for k, value in (fields or {}).items()}
        with torch.no_grad():
            own = noise if move is None else Moved(noise, move)
            yield system.sample(batch, own, given, **more)[:wanted].float().cpu()


class Held(Noise):
    """Numbers of which `times` records in a row have the same."""

    def __init__(self, generator: torch.Generator, dtype: torch.dtype, times: int) -> None:
        super().__init__(generator, dtype=dtype)
        self.times = times

    def normal(self, count: int, *shape: int) -> Tensor:
        return super().normal(count // self.times, *shape).repeat_interleave(self.times, 0)

    def uniform(self, count: int, *shape: int) -> Tensor:
        return super().uniform(count // self.times, *shape).repeat_interleave(self.times, 0)

    def integers(self, high: int, count: int, *shape: int) -> Tensor:
        return super().integers(high, count // self.times, *shape).repeat_interleave(self.times, 0)


def _filled(values: Tensor, count: int) -> Tensor:
    """A full batch: the last one over and over."""
    return torch.cat([values, values[-1:].expand(count - len(values), *values.shape[1:])])
