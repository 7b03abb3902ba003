"""Frozen features: those of the pretrained network, at every size and for any number of channels."""

from __future__ import annotations

import pytest
import torch

from ganvas.networks.features import DEPTHS, SMALLEST_MAP, Features


def test_there_are_as_many_levels_as_asked_for_and_none_below_the_smallest_map() -> None:
    images = torch.rand(1, 3, 32, 24) * 2 - 1
    for depth in range(1, DEPTHS + 1):
        assert [tuple(m.shape[2:]) for m in Features(depth)(images)] == [(32, 24), (16, 12), (8, 6), (4, 3)][:depth]
    assert len(Features(DEPTHS)(images[:, :, : 2 * SMALLEST_MAP - 1])) == 2
    assert len(Features(DEPTHS)(images[:, :, :1])) == 1, "one level there is always"


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_features_see_any_number_of_channels(channels: int) -> None:
    features = Features(3)
    images = torch.rand(2, channels, 32, 32) * 2 - 1
    found = features(images)
    assert [m.shape[2] for m in found] == [32, 16, 8]
    if channels == 1:
        assert torch.allclose(found[0], features(images.expand(-1, 3, -1, -1))[0], atol=1e-5)
    if channels == 2:
        assert torch.allclose(found[1].unflatten(0, (2, 2))[:, 0], features(images[:, :1])[1], atol=1e-5)


def test_features_are_those_of_the_pretrained_network() -> None:
    from ganvas.metrics.features import extractor_network

    whole, images = extractor_network("cpu"), torch.rand(1, 3, 48, 48) * 2 - 1
    twice = torch.nn.functional.interpolate(images, scale_factor=2.0, mode="bilinear", align_corners=False)
    expected = whole._swish(whole._bn0(whole._conv_stem(twice)))
    with torch.no_grad():
        for block in whole._blocks[:11]:
            expected = block(expected)
        assert torch.allclose(Features(4).eval()(images)[3], expected, atol=1e-5)
