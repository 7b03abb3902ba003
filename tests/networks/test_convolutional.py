"""The convolutional pair: the default is the paper's to the bit, and what can be varied fits and learns."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from ganvas.networks.convolutional import (
    CONNECTED,
    LASTS,
    STRIDES,
    ConvolutionalDiscriminator,
    ConvolutionalGenerator,
    OfRepeated,
    initialise,
    sizes_for,
    strides_for,
)


def by_hand(batch_norm: bool) -> tuple[nn.Sequential, nn.Sequential]:
    """The default pair for (1, 32, 32), width 8, latent 10, written out layer by layer."""

    def norm(size: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(size)] if batch_norm else []

    bias = not batch_norm
    generator = nn.Sequential(
        nn.ConvTranspose2d(10, 32, 4, bias=bias), *norm(32), nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=bias), *norm(16), nn.ReLU(),
        nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=bias), *norm(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    generator.apply(initialise)
    discriminator = nn.Sequential(
        nn.Conv2d(1, 8, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(8, 16, 4, 2, 1, bias=bias), *norm(16), nn.LeakyReLU(0.2),
        nn.Conv2d(16, 32, 4, 2, 1, bias=bias), *norm(32), nn.LeakyReLU(0.2),
        nn.Conv2d(32, 1, 4),
    )  # fmt: skip
    discriminator.apply(initialise)
    return generator, discriminator


@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_default_pair_starts_with_the_papers_weights_to_the_bit(batch_norm: bool) -> None:
    torch.manual_seed(3)
    expected = by_hand(batch_norm)
    torch.manual_seed(3)
    made = (
        ConvolutionalGenerator(10, (1, 32, 32), 8, batch_norm=batch_norm),
        ConvolutionalDiscriminator((1, 32, 32), 8, batch_norm=batch_norm),
    )
    for own, other in zip(made, expected, strict=True):
        weights = {name.removeprefix("layers."): value for name, value in own.state_dict().items()}
        assert list(weights) == list(other.state_dict())
        assert all(torch.equal(weights[name], value) for name, value in other.state_dict().items())
    latents, images = torch.randn(4, 10), torch.rand(4, 1, 32, 32)
    assert torch.equal(made[0](latents), expected[0](latents[:, :, None, None]))
    assert torch.equal(made[1](images), expected[1](images).flatten())


def test_strides_make_up_the_resolution_and_maps_keep_their_channels() -> None:
    assert [strides_for(4, stride) for stride in STRIDES] == [[2, 2, 2, 2], [4, 4], [8, 2]]
    assert [strides_for(3, stride) for stride in STRIDES] == [[2, 2, 2], [4, 2], [8]]
    assert [strides_for(1, stride) for stride in STRIDES] == [[2], [2], [2]]
    assert sizes_for(16, [2, 2, 2, 2, 2]) == [16, 32, 64, 128, 128]
    assert sizes_for(16, [4, 4]) == [32, 128]
    assert sizes_for(16, [8, 2]) == [64, 128]


@pytest.mark.parametrize("stride", STRIDES)
def test_layers_follow_equation_5(stride: int) -> None:
    """Dim_out = (Dim_in + 2 P - D (K - 1) - 1) / S + 1, with D = 1."""
    with torch.device("meta"):
        side, sizes = 64, []
        for layer in ConvolutionalDiscriminator((1, 64, 64), 4, stride=stride).layers:
            if isinstance(layer, nn.Conv2d):
                padding, kernel, step = int(layer.padding[0]), layer.kernel_size[0], layer.stride[0]
                out = (side + 2 * padding - (kernel - 1) - 1) / step + 1
                assert out == int(out)
                side = int(out)
                sizes.append(side)
    assert sizes == {2: [32, 16, 8, 4, 1], 4: [16, 4, 1], 8: [8, 4, 1]}[stride]


def test_every_variation_makes_and_judges_images_of_any_size() -> None:
    for shape, stride, connected in itertools.product(((3, 64, 48), (1, 33, 20), (1, 8, 8)), STRIDES, CONNECTED):
        given = {"stride": stride, "extra": 1, "connected": connected, "batch_norm": shape[0] == 1}
        with torch.device("meta"):
            for overlap in (True, False):
                images = ConvolutionalGenerator(10, shape, 4, overlap=overlap, **given)(torch.empty(3, 10))
                assert images.shape == (3, *shape)
            assert ConvolutionalDiscriminator(shape, 4, **given)(images).shape == (3,)


@pytest.mark.parametrize("connected", CONNECTED)
def test_every_weight_of_a_variation_learns(connected: str) -> None:
    torch.manual_seed(0)
    given = {"stride": 4, "extra": 1, "connected": connected}
    generator = ConvolutionalGenerator(10, (1, 16, 16), 4, **given)
    discriminator = ConvolutionalDiscriminator((1, 16, 16), 4, **given)
    discriminator(generator(torch.randn(8, 10))).square().sum().backward()
    for network in (generator, discriminator):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_fully_connected_layers_lie_where_they_are_said_to() -> None:
    def linear(network: nn.Module) -> list[tuple[int, int]]:
        return [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]

    shape = (1, 32, 32)
    with torch.device("meta"):
        assert linear(ConvolutionalGenerator(10, shape, 4)) == []
        generator = ConvolutionalGenerator(10, shape, 4, connected="image")
        assert linear(generator) == [(1024, 512), (512, 1024)]
        assert isinstance(generator.layers[-1], nn.ConvTranspose2d)  # tanh comes after them
        discriminator = ConvolutionalDiscriminator(shape, 4, connected="image")
        assert linear(discriminator.layers[0]) == [(1024, 512), (512, 1024)]
        deep = ConvolutionalGenerator(10, shape, 4, connected="deep")
        first = [(m.in_channels, m.out_channels) for m in deep.layers if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert first[:3] == [(10, 64), (64, 512), (512, 16)]
        last = [m for m in ConvolutionalDiscriminator(shape, 4, connected="deep").layers if isinstance(m, nn.Conv2d)]
        assert [(m.out_channels, m.kernel_size) for m in last[-4:]] == [(512, (4, 4)), (64, (1, 1)), (16, (1, 1)), (1, (1, 1))]


def test_without_overlap_every_square_comes_from_one_place() -> None:
    """A change at one place of the last hidden map changes one square of 4x4 pixels, and with overlap its neighbours too."""
    for overlap, side in ((False, 4), (True, 8)):
        last = ConvolutionalGenerator(10, (1, 32, 32), 4, stride=4, overlap=overlap, batch_norm=False).layers[-2]
        maps = torch.zeros(1, last.in_channels, 8, 8)
        still = last(maps)
        maps[0, 0, 4, 4] = 1.0
        assert math.isqrt(int((last(maps) != still).sum())) == side


@pytest.mark.parametrize("last", LASTS)
@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 50, 70), (2, 8, 8)])
def test_the_last_layer_can_enlarge_before_its_convolution(last: str, shape: tuple[int, int, int]) -> None:
    images = ConvolutionalGenerator(5, shape, 4, last=last)(torch.randn(2, 5))
    assert images.shape == (2, *shape)


def test_repeated_pixels_leave_no_chequers() -> None:
    """From the same maps of one value, a convolution after them draws one value, where a transposed one draws four."""
    variations = {}
    for last in LASTS[:2]:
        torch.manual_seed(0)
        network = ConvolutionalGenerator(5, (1, 32, 32), 4, last=last)
        layers = list(network.layers)
        enlarging = layers[-2:-1] if last == LASTS[0] else layers[-3:-1]
        maps = torch.ones(1, 4, 16, 16)
        for layer in enlarging:
            maps = layer(maps)
        variations[last] = float(maps[..., 8:-8, 8:-8].std())
    assert variations["nearest"] < 1e-6 < variations["transposed"]


@pytest.mark.parametrize("step", [2, 3, 4, 8])
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_of_repeated_pixels_is_one_but_for_rounding(step: int, bias: bool) -> None:
    torch.manual_seed(step)
    layer = OfRepeated(5, 3, step, bias=bias).double()
    maps = torch.randn(2, 5, 7, 6, dtype=torch.float64, requires_grad=True)
    repeated = maps.repeat_interleave(step, 2).repeat_interleave(step, 3)
    expected = torch.nn.functional.conv2d(repeated, layer.weight, layer.bias, padding=2)
    torch.testing.assert_close(layer(maps), expected)
    inputs = [maps, *layer.parameters()]
    pull = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad((made * pull).sum(), inputs) for made in (layer(maps), expected))
    torch.testing.assert_close(ours, theirs)
    assert set(layer.state_dict()) == set(nn.Conv2d(5, 3, 5, bias=bias).state_dict()), "weights of before fit"


def test_sums_of_weights_keep_their_precision_under_autocast() -> None:
    layer, maps = OfRepeated(4, 3, 2), torch.randn(2, 4, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = layer(maps)
    assert made.dtype == torch.bfloat16
    torch.testing.assert_close(made.float(), layer(maps), rtol=0.02, atol=0.02)
