"""The mean spectrum as a loss: what it measures, and that a generator can follow it."""

from __future__ import annotations

import math

import pytest
import torch

from ganvas.networks.rings import Rings


def noise(seed: int, sides: tuple[int, int] = (32, 24)) -> torch.Tensor:
    return torch.randn(64, 3, *sides, generator=torch.Generator().manual_seed(seed))


def test_white_noise_has_one_power_in_all_rings_and_a_wave_has_its_own() -> None:
    rings = Rings(32, 24)
    found = rings(2 * noise(0))
    assert found.shape == (12,) and (found - math.log(4)).abs().max() < 0.1
    wave = torch.cos(2 * math.pi * 0.25 * torch.arange(24))[None, None, None].expand(4, 1, 32, 24)
    assert int(Rings(32, 24)(wave).argmax()) == 5, "a quarter of a cycle per pixel is half of the way to the last ring"


def test_the_gap_is_zero_for_real_images_and_grows_as_detail_goes() -> None:
    rings, real = Rings(32, 24), noise(0)
    for _ in range(3):
        rings.learn(real)
    assert float(rings.gap(real)) == pytest.approx(0, abs=1e-6)
    blurred = torch.nn.functional.avg_pool2d(noise(1), 3, 1, 1)
    assert float(rings.gap(blurred)) > 10 * float(rings.gap(noise(1)))


def test_descent_brings_lost_detail_back() -> None:
    rings = Rings(16, 16)
    rings.learn(noise(0, (16, 16)))
    images = torch.nn.functional.avg_pool2d(noise(1, (16, 16)), 3, 1, 1).requires_grad_()
    optimiser, first = torch.optim.Adam([images], 0.05), float(rings.gap(images.detach()))
    for _ in range(30):
        optimiser.zero_grad()
        rings.gap(images).backward()
        optimiser.step()
    assert float(rings.gap(images.detach())) < 0.1 * first


def test_constant_images_have_a_finite_gap() -> None:
    rings = Rings(8, 8)
    rings.learn(noise(0, (8, 8)))
    images = torch.zeros(2, 1, 8, 8, requires_grad=True)
    rings.gap(images).backward()
    assert images.grad is not None and bool(images.grad.isfinite().all())
