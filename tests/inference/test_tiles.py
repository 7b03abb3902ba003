"""Tiles: they cover everything, share what they should, and their weights sum to one."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganvas.inference.tiles import starts, tiled, weights


@given(length=st.integers(1, 700), tile=st.integers(8, 256), share=st.floats(0, 0.5))
@settings(max_examples=200, deadline=None)
def test_tiles_cover_the_side_share_the_overlap_and_weigh_one(length: int, tile: int, share: float) -> None:
    overlap = int(tile * share)
    side = min(tile, length)
    places = starts(length, tile, overlap)
    assert places[0] == 0
    assert places[-1] + side == length
    assert all(a + tile - b >= overlap for a, b in itertools.pairwise(places)), "neighbours share enough"
    total = torch.zeros(length)
    for place, own in zip(places, weights(length, side, places), strict=True):
        assert (own > 0).all()
        total[place : place + side] += own
    assert torch.allclose(total, torch.ones(length), atol=1e-5)


def test_a_local_filter_gives_the_same_in_tiles_as_whole() -> None:
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 1, 5, padding=2, padding_mode="reflect").requires_grad_(False)
    image = torch.randn(1, 1, 90, 131)
    whole = network(image)
    made = tiled(network, image, tile=48, overlap=16)
    # Seen from within a tile its border is reflected, so only what lies two pixels inside of the blend is equal.
    assert (made - whole).abs().mean() < 0.05 * whole.abs().mean()
    seams = tiled(network, image, tile=48, overlap=0)
    assert (made - whole).abs().max() < (seams - whole).abs().max()


def test_sides_are_continued_to_a_multiple_and_progress_sums_up() -> None:
    seen: list[torch.Size] = []
    done: list[int] = []

    def double(piece: torch.Tensor) -> torch.Tensor:
        seen.append(piece.shape)
        return piece.repeat_interleave(2, 2).repeat_interleave(2, 3)

    image = torch.arange(3 * 50 * 61.0).view(1, 3, 50, 61)
    made = tiled(double, image, tile=40, overlap=8, multiple=8, scale=2, advance=done.append)
    assert torch.allclose(made, image.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert all(shape[2] % 8 == 0 and shape[3] % 8 == 0 for shape in seen)
    assert 0.99 * 50 * 61 < sum(done) <= 50 * 61
    assert torch.equal(tiled(double, image[:, :, :1, :2], multiple=4, scale=2), double(image[:, :, :1, :2]))
