"""The Gauss-Poisson equation: its cosine transforms, its solution beside least squares, pyramids of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ganvas.inference.poisson import _cosines, blended, gauss_poisson, sizes


def drawn(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def nothing(pasted: Tensor, mask: Tensor) -> Tensor:
    return torch.zeros_like(pasted[:, :, :2, :2])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (7, 8), (64, 33)])
def test_cosines_are_those_of_scipy_and_back(height: int, width: int) -> None:
    from scipy.fft import dctn

    values = drawn(2, height, width)
    found = _cosines(values)
    np.testing.assert_allclose(found.numpy(), dctn(values.numpy(), axes=(1, 2)) / 4, atol=1e-10)
    assert torch.allclose(_cosines(found, back=True), values, atol=1e-12)


def gaussian(length: int, sigma: float) -> np.ndarray:
    """As a matrix, with the mirrored line beyond its ends."""
    reach = int(np.ceil(4 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    made = np.zeros((length, length))
    for row in range(length):
        for place, tap in zip(range(row - reach, row + reach + 1), taps / taps.sum(), strict=True):
            folded = place % (2 * length)
            made[row, 2 * length - 1 - folded if folded >= length else folded] += tap
    return made


@pytest.mark.parametrize(("sigma", "weight"), [(0.5, 1.0), (1.3, 0.2)])
def test_the_solution_is_that_of_least_squares(sigma: float, weight: float) -> None:
    height, width = 9, 13
    down, across, colour = drawn(1, 1, height - 1, width), drawn(1, 1, height, width - 1), drawn(1, 1, height, width)
    differences = [np.diff(np.eye(length), axis=0) for length in (height, width)]
    parts = [np.kron(differences[0], np.eye(width)), np.kron(np.eye(height), differences[1])]
    parts.append(weight**0.5 * np.kron(gaussian(height, sigma), gaussian(width, sigma)))
    wanted = np.concatenate([down.numpy().ravel(), across.numpy().ravel(), parts[-1] @ colour.numpy().ravel()])
    exact = np.linalg.lstsq(np.concatenate(parts), wanted, rcond=None)[0]
    found = gauss_poisson(down, across, colour, weight, sigma)
    np.testing.assert_allclose(found.numpy().ravel(), exact, atol=1e-9)
    single = gauss_poisson(down.float(), across.float(), colour.float(), weight, sigma)
    np.testing.assert_allclose(single.numpy().ravel(), exact, atol=1e-4)


def test_levels_halve_and_end_at_the_image() -> None:
    assert sizes(2000, 3000, 64) == [(31, 47), (62, 94), (125, 188), (250, 375), (500, 750), (1000, 1500), (2000, 3000)]
    assert sizes(40, 60, 64) == [(40, 60)]
    assert sizes(9, 2000, 64)[0] == (4, 1000), "no level is thinner than some pixels"


@pytest.mark.parametrize("size", [(64, 64), (37, 101), (130, 67), (9, 80)])
def test_a_part_of_the_image_itself_changes_nothing(size: tuple[int, int]) -> None:
    image, mask = drawn(1, 3, *size), torch.zeros(1, 1, *size, dtype=torch.float64)
    mask[:, :, 3:6, 10:30] = 1
    assert torch.allclose(blended(image, image, mask, nothing, 16, 1.0, 0.5), image, atol=1e-9)


def test_a_step_at_the_border_becomes_a_slope_and_far_away_nothing_changes() -> None:
    target, mask = drawn(1, 1, 150, 211) * 0.1, torch.zeros(1, 1, 150, 211, dtype=torch.float64)
    mask[:, :, 50:100, 60:120] = 1
    source = target + 0.5
    made = blended(target, source, mask, nothing, 32, 1.0, 0.5)
    pasted = source * mask + target * (1 - mask)

    def step(image: Tensor) -> float:
        return float((image - target)[:, :, 60:90].diff(dim=3)[..., 59].mean())

    assert step(pasted) == pytest.approx(0.5) and abs(step(made)) < 0.15
    assert float((made - target)[:, :, 75, 90]) > 0.4, "in the middle the source's colours are kept"
    assert float((made - target)[:, :, :, -20:].abs().max()) < 0.01
    told = blended(target, source, mask, lambda image, own: -0.5 * own, 32, 1.0, 0.5)
    assert float((told - target).abs().max()) < 0.02, "with the right change nothing is left of the seam"


def test_the_colours_may_weigh_less() -> None:
    target, mask = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    mask[:, :, 20:40, 20:40] = 1
    middle = [float(blended(target, target + 1, mask, nothing, 32, weight, 0.5)[0, 0, 30, 30]) for weight in (1.0, 0.01)]
    assert middle[1] < 0.7 * middle[0]
