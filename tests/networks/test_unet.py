"""The U-Net: sizes, the paper's layers, that detail goes past the middle, and dropout that comes from the noise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ganvas.batches import Noise
from ganvas.networks.unet import UNet


def noise(seed: int = 0, rank: int = 0, world: int = 1) -> Noise:
    return Noise(torch.Generator().manual_seed(seed), rank, world)


def network(depth: int = 4, **settings: Any) -> UNet:
    torch.manual_seed(0)
    return UNet(1, 2, 4, depth, **settings)


@pytest.mark.parametrize(
    ("height", "width", "depth"), [(16, 16, 4), (16, 48, 4), (32, 32, 3), (64, 64, 6), (256, 256, 8), (512, 512, 9), (2, 6, 1)]
)
@pytest.mark.parametrize("norm", [None, nn.BatchNorm2d])
def test_sizes_come_back_and_values_are_bounded(height: int, width: int, depth: int, norm: Any) -> None:
    with torch.no_grad():
        made = network(depth, norm=norm)(torch.randn(1, 1, height, width) * 10, noise())
    assert made.shape == (1, 2, height, width)
    assert torch.isfinite(made).all() and float(made.abs().max()) <= 1


def test_sides_that_do_not_fit_and_settings_without_sense_are_told() -> None:
    for size in ((16, 24), (24, 16), (8, 8)):
        with pytest.raises(ValueError, match="sides that 16 divides"):
            network(4)(torch.zeros(1, 1, *size))
    with pytest.raises(ValueError, match="depth >= 1"):
        UNet(1, 1, depth=0)
    with pytest.raises(ValueError, match="dropout < 1"):
        UNet(1, 1, dropout=1.0)


def test_the_defaults_are_the_paper_s() -> None:
    """Isola et al. 2017, appendix 6.1.1, with the BatchNorm of the innermost layer left out as in its errata."""
    paper = UNet(3, 3)
    down = [next(m for m in layer.modules() if isinstance(m, nn.Conv2d)) for layer in paper.down]
    up = [next(m for m in layer.modules() if isinstance(m, nn.ConvTranspose2d)) for layer in paper.up]
    assert [m.out_channels for m in down] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [m.out_channels for m in up] == [512, 512, 512, 512, 256, 128, 64, 3]
    assert [m.in_channels for m in up] == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    assert {(m.kernel_size, m.stride, m.padding) for m in (*down, *up)} == {((4, 4), (2, 2), (1, 1))}
    norms = [[any(isinstance(m, nn.BatchNorm2d) for m in layer.modules()) for layer in side] for side in (paper.down, paper.up)]
    assert norms == [[False, *[True] * 6, False], [*[True] * 7, False]]
    biases = [m.bias is not None for m in (*down, *up)]
    assert biases == [not normed for side in norms for normed in side]
    assert sum(p.numel() for p in paper.parameters()) == pytest.approx(54.4e6, rel=0.01), "that of the published network"


def test_detail_goes_past_the_middle() -> None:
    """A pixel of the input reaches the output though the innermost layers hand on nothing."""
    made = network(4, norm=None)
    with torch.no_grad():
        for parameter in (*made.down[1].parameters(), *made.up[0].parameters()):
            parameter.zero_()
    images = torch.randn(1, 1, 32, 32, requires_grad=True)
    made(images)[0, 0, 16, 16].backward()
    assert images.grad is not None
    reached = images.grad[0, 0].abs() > 0
    assert bool(reached[16, 16]) and int(reached.any(0).sum()) <= 8


def test_dropout_is_the_noise_that_is_handed_in_whatever_the_mode() -> None:
    made, images = network(4), torch.randn(2, 1, 32, 32)
    made(images)
    made.eval()
    with torch.no_grad():
        state = torch.get_rng_state()
        assert torch.equal(made(images, noise(1)), made(images, noise(1)))
        assert not torch.equal(made(images, noise(1)), made(images, noise(2)))
        assert torch.equal(made(images), made(images))
        assert torch.equal(torch.get_rng_state(), state), "nothing is drawn from elsewhere"
        calm = network(4, dropout=0.0).eval()
        assert torch.equal(calm(images, noise(1)), calm(images))


def test_many_processes_drop_what_one_drops() -> None:
    made, images = network(4).eval(), torch.randn(4, 1, 16, 16)
    with torch.no_grad():
        whole = made(images, noise())
        parts = [made(images[2 * rank : 2 * rank + 2], noise(rank=rank, world=2)) for rank in range(2)]
    torch.testing.assert_close(torch.cat(parts), whole)


@pytest.mark.parametrize(("depth", "dropped"), [(2, 1), (4, 3), (6, 3)])
def test_the_share_that_is_dropped_and_where(depth: int, dropped: int) -> None:
    made = network(depth, dropout=0.25, norm=None)
    seen = []
    original = made._dropped

    def watched(features: torch.Tensor, own: Noise | None) -> torch.Tensor:
        result = original(torch.ones_like(features), own)
        seen.append(result.detach())
        return result

    made._dropped = watched  # type: ignore[method-assign, assignment]
    made(torch.zeros(8, 1, 2 ** (depth + 2), 2 ** (depth + 2)), noise())
    assert len(seen) == dropped
    for features in seen:
        assert features.unique().tolist() == pytest.approx([0.0, 4 / 3])
        assert float((features == 0).float().mean()) == pytest.approx(0.25, abs=0.03)
        assert float(features.mean()) == pytest.approx(1.0, abs=0.05)


def test_it_learns_through_all_its_layers() -> None:
    made = network(3)
    made(torch.randn(4, 1, 16, 16), noise()).square().mean().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in made.parameters())
