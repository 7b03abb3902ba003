"""Where a discriminator looks is found where it looks, and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from ganvas.errors import GanvasError
from ganvas.inference.attention import alike_to_it, looked_at


class _Corner(nn.Module):
    """Asks for the upper left corner alone."""

    def forward(self, images: Any, condition: Any) -> Any:
        return images[:, :, :4, :4].pow(2).mean((1, 2, 3))


class _System(nn.Module):
    def __init__(self, name: str = "discriminator") -> None:
        super().__init__()
        self.judge, self.name = _Corner(), name

    def players(self) -> Any:
        return (SimpleNamespace(name=self.name, networks=("judge",)),)


def test_it_is_found_where_it_looks() -> None:
    images = torch.rand(3, 1, 16, 16) + 0.5
    found = looked_at(_System(), images)
    assert found.shape == (3, 16, 16) and found.min() >= 0 and found.max() <= 1
    assert (found[:, :4, :4] > 0.2).float().mean() > 0.9
    assert found[:, 4:].abs().max() == 0 and found[:, :, 4:].abs().max() == 0
    assert torch.equal(found, looked_at(_System(), images))  # it leaves no trace and asks no chance


def test_a_system_without_one_says_so() -> None:
    with pytest.raises(GanvasError, match="cannot be asked"):
        looked_at(_System("generator"), torch.rand(1, 1, 8, 8))


class _Bright(nn.Module):
    """Sees how bright a record is, and whether its left half is darker; nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(2, 1)

    def forward(self, images: Any) -> Any:
        halves = images.flatten(1, 2).unflatten(2, (2, -1)).mean((1, 3))
        return self.last(torch.stack([halves.mean(1), halves[:, 0] - halves[:, 1]], 1))


def test_the_most_alike_record_is_so_by_what_the_last_layer_gets() -> None:
    system = _System()
    system.judge = _Bright()
    texture = torch.rand(40, 1, 8, 8) - 0.5
    texture = texture - texture.mean((2, 3), keepdim=True)
    halves = torch.linspace(-1, 1, 40)[:, None, None, None] * torch.ones(1, 1, 8, 8)
    halves[::2, :, :, 4:] += 0.5
    others = halves + 0.1 * texture
    places, likeness = alike_to_it(system, (halves + 0.1 * texture.flip(2))[[3, 10, 33]], others)
    assert places.tolist() == [3, 10, 33]  # the texture is another one
    assert likeness.min() > 0.98 and likeness.max() <= 1.001
    assert not any(layer._forward_pre_hooks for layer in system.modules())
    with pytest.raises(GanvasError, match="no layers"):
        alike_to_it(_System(), others[:2], others)
