"""The pool of past images: what it gives while it fills and afterwards, whatever the batch, and that it can be resumed."""

from __future__ import annotations

import copy

import pytest
import torch

from ganvas.batches import Noise
from ganvas.networks.pool import ImagePool

SHAPE = (1, 4, 3)


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def numbered(first: int, count: int) -> torch.Tensor:
    return torch.arange(first, first + count, dtype=torch.float32)[:, None, None, None].expand(-1, *SHAPE)


def test_it_gives_the_new_while_it_fills_and_half_of_the_past_afterwards() -> None:
    pool, own = ImagePool(6, SHAPE), noise(3)
    given, stored = [], []
    for start in range(0, 400, 2):
        given.append(pool(numbered(start + 1, 2), own)[:, 0, 0, 0].tolist())
        stored.append(sorted(pool.past[:, 0, 0, 0].tolist()))
        if start < 6:
            assert given[-1] == [start + 1, start + 2]
    assert stored[2] == [1, 2, 3, 4, 5, 6]
    late = [(value, 2 * i + k + 1) for i, row in enumerate(given) if i >= 3 for k, value in enumerate(row)]
    past = sum(value != now for value, now in late) / len(late)
    assert 0.42 < past < 0.58
    assert all(value <= now for value, now in late), "nothing is given before it was made"
    handed = [value for value, now in late if value != now]
    assert len(set(handed)) == len(handed), "what was given is no longer in the pool"
    assert int(pool.filled) == 6


def test_a_pool_smaller_than_a_batch_lets_the_rest_past() -> None:
    pool, own = ImagePool(3, SHAPE), noise()
    for start in (1, 9, 17):
        given = pool(numbered(start, 8), own)
        assert given[3:, 0, 0, 0].tolist() == list(range(start + 3, start + 8))


def test_a_batch_that_does_not_fill_it_evenly_fills_it_whole() -> None:
    pool, own = ImagePool(5, SHAPE), noise()
    for start in (1, 4):
        assert pool(numbered(start, 3), own)[:, 0, 0, 0].tolist() == [start, start + 1, start + 2]
    assert sorted(pool.past[:, 0, 0, 0].tolist()) == [1, 2, 3, 4, 5]


def test_no_pool_has_no_buffers_draws_no_numbers_and_does_nothing() -> None:
    pool, own, images = ImagePool(0, SHAPE), noise(), numbered(1, 2)
    before = own.generator.get_state()
    assert pool(images, own) is images
    assert not pool.state_dict()
    assert torch.equal(own.generator.get_state(), before)


def test_what_it_holds_is_saved_and_carries_no_graph() -> None:
    pool, own = ImagePool(4, SHAPE), noise()
    made = numbered(1, 3).clone().requires_grad_()
    assert not pool(made * 2, own).requires_grad
    for start in (4, 7):
        pool(numbered(start, 3), own)
    twin, state = ImagePool(4, SHAPE), own.generator.get_state()
    twin.load_state_dict(copy.deepcopy(pool.state_dict()))
    resumed = noise()
    resumed.generator.set_state(state)
    assert torch.equal(pool(numbered(50, 3), own), twin(numbered(50, 3), resumed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_come_back_in_the_pool_s_precision(dtype: torch.dtype) -> None:
    pool = ImagePool(4, SHAPE).to(dtype)
    assert pool.filled.dtype == torch.int64
    assert pool(numbered(1, 2).to(torch.bfloat16), noise()).dtype == dtype


def test_each_process_keeps_its_own() -> None:
    assert set(dict(ImagePool(2, SHAPE).named_buffers())) == set(ImagePool.REDUCTIONS)
    assert set(ImagePool.REDUCTIONS.values()) == {"rank"}
