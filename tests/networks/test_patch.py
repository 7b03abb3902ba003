"""PatchGAN: how much of an image one logit sees, how many layers, norms and channels there are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ganvas.networks.patch import PatchDiscriminator, PatchPyramid, halved, patch_depth


@pytest.mark.parametrize(("depth", "patch"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_a_logit_sees_one_patch(depth: int, patch: int) -> None:
    """The receptive field, measured: where the gradient of one logit is not zero."""
    network = PatchDiscriminator(1, 2, depth, norm=None)
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    images = torch.ones(1, 1, 208, 208, requires_grad=True)
    logits = network(images)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    assert images.grad is not None
    assert int((images.grad[0, 0].abs().sum(0) > 0).sum()) == patch


def test_the_defaults_are_the_paper_s_70x70_network() -> None:
    """Isola et al. 2017, appendix 6.1.2: C64-C128-C256-C512, the first without BatchNorm; a map of 30x30 for 256x256."""
    network = PatchDiscriminator(6)
    convolutions = [m for m in network.layers if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512, 1]
    assert [m.stride[0] for m in convolutions] == [2, 2, 2, 1, 1]
    assert [m.bias is not None for m in convolutions] == [True, False, False, False, True]
    assert [m.num_features for m in network.layers if isinstance(m, nn.BatchNorm2d)] == [128, 256, 512]
    with torch.no_grad():
        assert network(torch.zeros(1, 6, 256, 256)).shape == (1, 1, 30, 30)
    weights = torch.cat([m.weight.detach().flatten() for m in convolutions])
    assert float(weights.std()) == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("norm", [None, nn.BatchNorm2d, nn.InstanceNorm2d])
@pytest.mark.parametrize("channels", [1, 4, 9])
def test_any_norm_and_any_number_of_channels(norm: Any, channels: int) -> None:
    network = PatchDiscriminator(channels, 4, 2, norm)
    kinds = {type(m) for m in network.layers} - {nn.Conv2d, nn.LeakyReLU}
    assert kinds == ({norm} if norm else set())
    assert network(torch.randn(2, channels, 40, 24)).shape == (2, 1, 8, 4)


@pytest.mark.parametrize(("side", "depth"), [(8, 1), (31, 1), (32, 2), (127, 2), (128, 3), (512, 3)])
def test_the_depth_follows_the_size(side: int, depth: int) -> None:
    assert patch_depth(side) == depth


@pytest.mark.parametrize(("side", "wanted", "depth"), [(8, 5, 1), (16, 5, 2), (64, 5, 4), (256, 5, 5), (256, 1, 1)])
def test_a_depth_that_is_asked_for_is_bounded_by_what_instance_norm_bears(side: int, wanted: int, depth: int) -> None:
    assert patch_depth(side, wanted) == depth
    assert PatchDiscriminator(1, 2, depth, nn.InstanceNorm2d)(torch.randn(1, 1, side, side)).numel() > 0


def test_features_are_what_follows_each_activation_and_the_logits_last() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(3, 4, 2, nn.InstanceNorm2d)
    images = torch.randn(2, 3, 32, 32)
    *features, logits = network.features(images)
    assert torch.equal(logits, network(images)) and [own.shape[1:3] for own in features] == [(4, 16), (8, 8), (16, 7)]


def test_a_pyramid_looks_at_every_scale_that_leaves_patches_to_judge() -> None:
    torch.manual_seed(0)
    pyramid = PatchPyramid(3, 4, 3, 16, 3, nn.InstanceNorm2d, spectral=True)
    assert len(pyramid.scales) == 2, "at a third scale 4 pixels would be left"
    images = torch.randn(2, 3, 16, 16)
    whole, half = (own[-1] for own in pyramid.eval()(images))
    assert torch.equal(half, pyramid.scales[1](halved(images))) and torch.equal(whole, pyramid.scales[0](images))
    assert torch.allclose(halved(torch.ones(1, 1, 8, 8)), torch.ones(1, 1, 4, 4)), "the border is not darkened"
    weight = pyramid.train().scales[0].layers[0].weight  # type: ignore[index, union-attr]
    assert abs(float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2)) - 1) < 0.2
