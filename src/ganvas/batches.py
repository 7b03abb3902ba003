"""Typed batches: what a turn receives. One class a modality; fields are tensors whose first axis is the record.

Files become arrays in `ganvas.data`; here arrays become tensors and samples become arrays again (`encode`, `decode`). Not
for reading files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from .kinds import is_kind, kind_of
from .specs import ImageSpec, PointsSpec, Spec

AnyBatch = TypeVar("AnyBatch", bound="Batch")


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


@dataclass
class Batch:
    """The common part: the records' noise and labels (int64, (B,); None when the data has none)."""

    noise: Noise
    labels: Tensor | None

    def _tensors(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def __len__(self) -> int:
        return next(len(t) for name, t in reversed(self._tensors().items()))

    def split(self: AnyBatch, parts: int) -> list[AnyBatch]:
        """`parts` micro-batches of equal size, in order. Raises ValueError when the size is not divisible."""
        if parts == 1:
            return [self]
        if len(self) % parts:
            raise ValueError(f"a batch of {len(self)} cannot be cut into {parts} micro-batches")
        cut = {name: value.chunk(parts) for name, value in self._tensors().items()}
        pieces: list[dict[str, Any]] = [{name: chunks[i] for name, chunks in cut.items()} for i in range(parts)]
        return [replace(self, **piece) for piece in pieces]

    def to(self: AnyBatch, dtype: torch.dtype, memory_format: torch.memory_format) -> AnyBatch:
        """Floating-point fields in `dtype`; 4-D ones in `memory_format`."""
        changed: dict[str, Any] = {}
        for name, value in self._tensors().items():
            if value.is_floating_point():
                layout = memory_format if value.dim() == 4 else torch.preserve_format
                moved = value.to(dtype=dtype, memory_format=layout)
                if moved is not value:
                    changed[name] = moved
        return replace(self, **changed) if changed else self


@dataclass
class Image(Batch):
    """images: (B, C, H, W) in [-1, 1]."""

    images: Tensor


@dataclass
class Domains(Batch):
    """Images of two domains, unpaired. a, b: (B, C, H, W) in [-1, 1]; labels are None."""

    a: Tensor
    b: Tensor


@dataclass
class Points(Batch):
    """points: (B, D), about [-1, 1]."""

    points: Tensor


@dataclass
class Sounds(Batch):
    """sounds: (B, channels, length) in [-1, 1]."""

    sounds: Tensor


@dataclass
class Series(Batch):
    """series: (B, length, quantities), about [-1, 1]."""

    series: Tensor


@dataclass
class Solids(Batch):
    """solids: (B, 1, D, H, W), 0 outside and 1 inside."""

    solids: Tensor


@dataclass
class Walks(Batch):
    """walks: (B, T) int64, nodes of a graph, each a neighbour of the one before."""

    walks: Tensor


@dataclass
class Tokens(Batch):
    """tokens: (B, length) int64, indices into the spec's symbols."""

    tokens: Tensor


def encode(values: np.ndarray, spec: Spec, device: torch.device | str = "cpu") -> Tensor:
    """Records in file units -> tensors of the game.

    Images: (N, H, W, C) uint8, uint16 or float32 -> (N, C, H, W) float32, `low` .. `high` mapped to -1 .. 1.
    Points: (N, D) -> (x - centre) / scale. Other kinds: `ganvas.kinds`.
    """
    if is_kind(spec.kind):
        return kind_of(spec.kind).encode(values, spec, device)
    if isinstance(spec, ImageSpec):
        if values.dtype == np.uint16:  # torch's uint16 supports few operations
            values = values.astype(np.int32)
        values = np.require(values, requirements=("C", "W"))  # copied where a reader hands out what must not be written to
        tensor = torch.from_numpy(values).to(device, non_blocking=True)
        factor = 2.0 / (spec.high - spec.low)
        tensor = tensor.permute(0, 3, 1, 2).to(torch.float32).mul_(factor).sub_(spec.low * factor + 1.0)
        # Values outside the declared range exist (a window, a robust range): they saturate as they do on a screen.
        return tensor.clamp_(-1.0, 1.0)
    assert isinstance(spec, PointsSpec)
    centre = np.asarray(spec.centre or (0.0,) * spec.dimensions, dtype=np.float32)
    return torch.from_numpy((np.asarray(values, dtype=np.float32) - centre) / np.float32(spec.scale)).to(device)


def decode(tensor: Tensor, spec: Spec, depth: int | None = None) -> np.ndarray:
    """Samples of the game -> records in file units; the inverse of `encode` up to rounding.

    Images come back as (N, H, W, C) in uint8, uint16 or float32 after `depth` (8, 16, 32; the spec's own by default). A
    depth other than the spec's stretches to the full range of that depth.
    """
    if is_kind(spec.kind):
        return kind_of(spec.kind).decode(tensor, spec)
    if isinstance(spec, PointsSpec):
        centre = np.asarray(spec.centre or (0.0,) * spec.dimensions, dtype=np.float32)
        points: np.ndarray = tensor.detach().float().cpu().numpy() * np.float32(spec.scale) + centre
        return points
    assert isinstance(spec, ImageSpec)
    unit = (tensor.detach().float().clamp(-1, 1).permute(0, 2, 3, 1) + 1) / 2
    low, high = spec.low, spec.high
    target = spec.depth if depth is None else depth
    if target != spec.depth:
        low, high = (0.0, 255.0) if target == 8 else (0.0, 65535.0) if target == 16 else (spec.low, spec.high)
    values = unit.double().mul_(high - low).add_(low)
    if target == 32:
        return np.ascontiguousarray(values.float().cpu().numpy())
    limit = 255 if target == 8 else 65535
    whole = values.round_().clamp_(0, limit).cpu().numpy()
    return np.ascontiguousarray(whole.astype(np.uint8 if target == 8 else np.uint16))


def make_batch(values: np.ndarray, labels: np.ndarray | None, spec: Spec, noise: Noise) -> Batch:
    """A batch of the spec's kind, on the noise's device."""
    device = noise.generator.device
    tensor = encode(values, spec, device)
    indices = None if labels is None else torch.from_numpy(np.asarray(labels, dtype=np.int64)).to(device)
    if is_kind(spec.kind):
        return kind_of(spec.kind).batch(noise, indices, tensor)
    return Image(noise, indices, tensor) if isinstance(spec, ImageSpec) else Points(noise, indices, tensor)
