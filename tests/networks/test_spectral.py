"""Spectral norm: torch's bits in training, and in use the singular value of the weights that are there, whatever was kept."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganvas.networks.spectral import spectral, two_sided


def layers() -> list[nn.Module]:
    torch.manual_seed(1)
    return [nn.Conv2d(6, 9, 3), nn.Linear(7, 4)]


def largest(layer: Any) -> float:
    """Largest singular value of the weight that the layer uses."""
    return float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2))


@pytest.mark.parametrize("place", [0, 1])
def test_two_sided_has_the_names_and_in_training_the_bits_of_torchs(place: int) -> None:
    made = []
    for kind in (spectral_norm, two_sided):
        layer = copy.deepcopy(layers()[place])
        torch.manual_seed(0)
        layer = kind(layer)
        rule = torch.optim.Adam(layer.parameters(), 1e-2)
        given = torch.rand(2, 6, 8, 8) if place == 0 else torch.rand(2, 7)
        for _ in range(5):
            rule.zero_grad()
            layer(given).square().sum().backward()
            rule.step()
        made.append(layer.state_dict())
    theirs, ours = made
    assert list(theirs) == list(ours)
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


@pytest.mark.parametrize("kind", [two_sided, spectral])
def test_what_was_averaged_is_divided_by_its_own_singular_value_and_stays_as_it_is(kind: Any) -> None:
    """Directions of two networks whose largest singular values lie elsewhere nearly cancel; torch's form is then far off."""
    torch.manual_seed(0)
    axes = torch.linalg.qr(torch.randn(8, 8))[0]
    spread = torch.tensor([3.0, 2.0, 1.0, 0.5, 0.3, 0.2, 0.1, 0.05])
    layer = kind(nn.Linear(8, 8))
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(axes @ spread.diag() @ axes.T)
        for kept in layer.parametrizations.weight[0].buffers():
            kept.copy_(0.1 * axes[:, 1] + 0.02 * axes[:, 0])
    layer.eval()
    before = copy.deepcopy(layer.state_dict())
    assert largest(layer) == pytest.approx(1, abs=0.05 if kind is two_sided else 0.5)
    assert all(torch.equal(before[name], own) for name, own in layer.state_dict().items()), "evaluation leaves no trace"


def test_torchs_own_is_far_off_where_directions_were_averaged() -> None:
    torch.manual_seed(0)
    axes = torch.linalg.qr(torch.randn(8, 8))[0]
    layer: Any = spectral_norm(nn.Linear(8, 8))
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(axes @ torch.linspace(3, 0.1, 8).diag() @ axes.T)
        for kept in layer.parametrizations.weight[0].buffers():
            kept.copy_(0.5 * (axes[:, 0] + axes[:, 1]))
    assert largest(layer.eval()) > 1.15


def test_mixed_precision_does_not_reach_the_singular_value() -> None:
    layer = two_sided(nn.Linear(16, 16)).eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.weight.dtype is torch.float32
    assert largest(layer) == pytest.approx(1, abs=0.05)
