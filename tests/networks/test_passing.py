"""Where summed chances pass a number: what a graph counts is what ordinary use looks up, bit for bit."""

from __future__ import annotations

import pytest
import torch

from ganvas.networks.passing import counted, passing


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_counting_is_looking_up(right: bool, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(200, 70, generator=generator, dtype=dtype)
    weights[:, ::3] = 0.0  # of values that nobody draws: sums stand still, and the number may be one of them
    summed = weights.cumsum(1)
    numbers = torch.rand(200, 9, generator=generator, dtype=dtype) * summed[:, -1:]
    numbers[:, :3] = summed[:, [0, 7, -1]]  # exactly a sum
    numbers[:, 3], numbers[:, 4] = 0.0, summed[:, -1] * 2
    numbers[:, 5] = torch.nextafter(summed[:, 7], torch.zeros(200, dtype=dtype))
    assert torch.equal(counted(summed, numbers, right), torch.searchsorted(summed, numbers, right=right))
    row = summed[0]
    assert torch.equal(counted(row, numbers, right), torch.searchsorted(row, numbers, right=right))
    assert torch.equal(counted(row, numbers[:, 1], right), torch.searchsorted(row, numbers[:, 1].contiguous(), right=right))
    assert torch.equal(passing(summed, numbers, right), torch.searchsorted(summed, numbers, right=right))


def test_which_side_of_an_equal_number() -> None:
    summed = torch.tensor([0.25, 0.5, 1.0])
    assert passing(summed, torch.tensor([0.5])).tolist() == [2]
    assert passing(summed, torch.tensor([0.5]), right=False).tolist() == [1]
