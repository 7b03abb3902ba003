"""Where a discriminator looks is found where it looks, and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from ganvas.errors import GanvasError
from ganvas.inference.attention import looked_at


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
