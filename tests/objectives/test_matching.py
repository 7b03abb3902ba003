"""Feature matching against its definition, and whom it teaches."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import mse_loss

from ganvas.objectives.matching import feature_matching


def layers(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 2, side, side, generator=generator, requires_grad=True) for side in (8, 4)]


def test_it_is_the_mean_over_layers_each_of_which_counts_alike() -> None:
    made, wanted = layers(0), layers(1)
    expected = ((made[0] - wanted[0]).abs().mean() + (made[1] - wanted[1]).abs().mean()) / 2
    torch.testing.assert_close(feature_matching(made, wanted), expected)
    squares = ((made[0] - wanted[0]).square().mean() + (made[1] - wanted[1]).square().mean()) / 2
    torch.testing.assert_close(feature_matching(made, wanted, mse_loss), squares)
    assert float(feature_matching(made, made).detach()) == 0.0


def test_what_is_wanted_learns_nothing() -> None:
    made, wanted = layers(0), layers(1)
    feature_matching(made, wanted).backward()
    assert all(layer.grad is not None and bool((layer.grad != 0).any()) for layer in made)
    assert all(layer.grad is None for layer in wanted)


def test_layers_must_have_partners() -> None:
    with pytest.raises(ValueError, match="shorter"):
        feature_matching(layers(0), layers(1)[:1])
