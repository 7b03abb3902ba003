"""Convolutions with their norm and activation, and residual blocks: shapes, biases, borders."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from ganvas.networks.blocks import ResidualBlock, convolution, leaky_relu, relu


@pytest.mark.parametrize("norm", [None, nn.BatchNorm2d, nn.InstanceNorm2d])
def test_there_is_a_bias_where_no_norm_takes_it_away(norm: Any) -> None:
    made = convolution(2, 5, 3, norm=norm, activation=leaky_relu)
    assert isinstance(made[0], nn.Conv2d)
    assert (made[0].bias is None) == (norm is not None)
    assert [type(layer) for layer in made[1:]] == [*([norm] if norm else []), nn.LeakyReLU]
    assert len(convolution(2, 5, 3, norm=norm)) == (2 if norm else 1)


@pytest.mark.parametrize(("kernel", "stride", "side"), [(3, 1, 12), (7, 1, 12), (3, 2, 6), (4, 2, 6), (4, 1, 11), (1, 1, 12)])
def test_sizes_are_kept_or_divided_by_the_stride(kernel: int, stride: int, side: int) -> None:
    for mode in ("zeros", "reflect"):
        network = nn.Sequential(*convolution(2, 3, kernel, stride, padding_mode=mode))
        assert network(torch.zeros(1, 2, 12, 12)).shape == (1, 3, side, side)


def test_a_reflected_border_keeps_a_constant_and_zeros_do_not() -> None:
    spread = {}
    for mode in ("zeros", "reflect"):
        network = nn.Sequential(*convolution(1, 1, 3, padding_mode=mode))
        nn.init.ones_(network[0].weight)  # type: ignore[arg-type]
        spread[mode] = float((network(torch.ones(1, 1, 8, 8)).amax() - network(torch.ones(1, 1, 8, 8)).amin()).detach())
    assert spread["reflect"] == 0.0 < spread["zeros"]


def test_every_layer_has_an_activation_of_its_own() -> None:
    block = ResidualBlock(3, activation=nn.PReLU)
    other = ResidualBlock(3, activation=nn.PReLU)
    slopes = [m for b in (block, other) for m in b.modules() if isinstance(m, nn.PReLU)]
    assert len(slopes) == 2 and slopes[0] is not slopes[1]


@pytest.mark.parametrize("norm", [None, nn.BatchNorm2d, nn.InstanceNorm2d])
@pytest.mark.parametrize("activation", [relu, nn.PReLU])
def test_a_residual_block_adds_to_what_it_gets(norm: Any, activation: Any) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(4, norm, activation, padding_mode="reflect")
    features = torch.randn(2, 4, 6, 5, requires_grad=True)
    first, second = (m for m in block.layers if isinstance(m, nn.Conv2d))
    expected = block.layers[1](first(features)) if norm else first(features)
    expected = second(nn.functional.prelu(expected, torch.tensor(0.25)) if activation is nn.PReLU else expected.relu())
    expected = features + (block.layers[-1](expected) if norm else expected)
    torch.testing.assert_close(block(features), expected)
    with torch.no_grad():
        for parameter in itertools.chain(first.parameters(), second.parameters()):
            parameter.zero_()
    assert torch.equal(block(features), features)
