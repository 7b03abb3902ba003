"""What a turn receives: the fields of its records by name, and the noise that belongs to them.

Not for reading files (`ganvas.data`), nor for what a field of some kind looks like as a tensor (`ganvas.kinds`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from .specs import REAL


class Noise:
    """Random numbers that belong to records, the same whether one process plays or many.

    Every process holds the same generator state, draws for the whole batch and keeps its own slice: the price is a few
    more random numbers, the gain is that W processes with B/W records play exactly the game of one process with B.
    """

    def __init__(self, generator: torch.Generator, rank: int = 0, world: int = 1, dtype: torch.dtype = torch.float32) -> None:
        self.generator = generator
        self.rank = rank
        self.world = world
        self.dtype = dtype

    @classmethod
    def seeded(cls, seed: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Noise:
        """Numbers of one process from a seed. dtype: that of the system, or floats of another would reach it."""
        return cls(torch.Generator(device=device).manual_seed(seed), dtype=dtype)

    def _own(self, full: Tensor, count: int) -> Tensor:
        return full if self.world == 1 else full[self.rank * count : (self.rank + 1) * count]

    def normal(self, count: int, *shape: int) -> Tensor:
        """(count, *shape) standard normal numbers."""
        device = self.generator.device
        full = torch.randn(count * self.world, *shape, generator=self.generator, device=device, dtype=self.dtype)
        return self._own(full, count)

    def uniform(self, count: int, *shape: int) -> Tensor:
        """(count, *shape) numbers, uniform in [0, 1)."""
        device = self.generator.device
        full = torch.rand(count * self.world, *shape, generator=self.generator, device=device, dtype=self.dtype)
        return self._own(full, count)

    def integers(self, high: int, count: int, *shape: int) -> Tensor:
        """(count, *shape) integers, uniform in 0 .. high - 1."""
        device = self.generator.device
        full = torch.randint(high, (count * self.world, *shape), generator=self.generator, device=device)
        return self._own(full, count)

    def shared(self, *shape: int) -> Tensor:
        """Uniform numbers that are the same on every process: for decisions about the whole batch."""
        return torch.rand(*shape, generator=self.generator, device=self.generator.device)


def layout_of(value: Tensor, channels_last: bool) -> torch.memory_format:
    """How maps and weights of two (4-D) or three (5-D) dimensions of space and time lie in memory; others stay as they are."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    if value.dim() not in layouts:
        return torch.preserve_format
    return layouts[value.dim()] if channels_last else torch.contiguous_format


def lay_out(module: nn.Module, channels_last: bool) -> None:
    """Put the weights of a module into that layout, where they are."""
    for weight in module.parameters():
        weight.data = weight.data.to(memory_format=layout_of(weight.data, channels_last))


def constant(values: tuple[Any, ...], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers that never change, as a tensor on that device. values: a number, or tuples of tuples of them.

    They are copied there once in a process: `torch.tensor(values, device=...)` in an objective would wait for a GPU in every
    round. Not to be changed in place.
    """
    key = values, device, dtype
    recording = torch.compiler.is_compiling() or torch.jit.is_tracing()  # what a graph is made with belongs to that graph
    found = None if recording else _CONSTANTS.get(key)
    if found is None:
        found = torch.tensor(values, device=device, dtype=dtype)
        if type(found) is Tensor and not recording:
            _CONSTANTS[key] = found
    return found


_CONSTANTS: dict[Any, Tensor] = {}


@dataclass
class Batch:
    """Records of named fields, and the noise that belongs to them.

    fields: name -> tensor (B, ...), in the form that the field's kind gives it (`Kind.encode`): images (B, C, H, W) in [-1, 1],
    points (B, D), sounds (B, channels, length), sequences (B, length) int64 ... labels: (B,) int64, or None when the data has
    none.
    """

    noise: Noise
    fields: dict[str, Tensor] = field(default_factory=dict)
    labels: Tensor | None = None

    def __getitem__(self, name: str) -> Tensor:
        """The field of that name. Raises KeyError, with the names there are, for any other."""
        try:
            return self.fields[name]
        except KeyError:
            raise KeyError(f"the batch has no field '{name}', it has {', '.join(self.fields) or 'none'}") from None

    @property
    def real(self) -> Tensor:
        """The one field of records that have one."""
        return self[REAL]

    def __len__(self) -> int:
        return len(next(iter(self.fields.values())))

    def split(self, parts: int) -> list[Batch]:
        """`parts` micro-batches of equal size, in order. Raises ValueError when the size is not divisible."""
        if parts == 1:
            return [self]
        if len(self) % parts:
            raise ValueError(f"a batch of {len(self)} cannot be cut into {parts} micro-batches")
        cut = {name: value.chunk(parts) for name, value in self.fields.items()}
        labels = [None] * parts if self.labels is None else self.labels.chunk(parts)
        return [replace(self, fields={name: chunks[i] for name, chunks in cut.items()}, labels=labels[i]) for i in range(parts)]

    def to(self, dtype: torch.dtype, channels_last: bool) -> Batch:
        """Floating-point fields in `dtype`; 4-D and 5-D ones with their channels last in memory, or first."""

        def moved(value: Tensor) -> Tensor:
            if not value.is_floating_point():
                return value
            return value.to(dtype=dtype, memory_format=layout_of(value, channels_last))

        return replace(self, fields={name: moved(value) for name, value in self.fields.items()})
