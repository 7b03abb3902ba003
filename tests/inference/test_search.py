"""The search for latents: it finds what it is to find, record by record, and leaves nothing behind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ganvas.inference.search import pyramid_error, search


def network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 8)


def test_it_finds_the_latents_that_make_what_is_wanted() -> None:
    board = network()
    hidden = torch.randn(5, 3)
    with torch.no_grad():
        wanted = board(hidden)
    with torch.no_grad():  # as the Engine holds whatever is put to use
        found = search(torch.zeros(5, 3), lambda z, _: (board(z) - wanted).square().mean(1), 400, 0.05)
    torch.testing.assert_close(found, hidden, atol=1e-2, rtol=0)
    assert not found.requires_grad and found.grad is None
    assert all(p.grad is None for p in board.parameters())


def test_no_record_depends_on_its_neighbours() -> None:
    board, start = network(), torch.randn(4, 3, generator=torch.Generator().manual_seed(1))

    def loss(latents: Tensor, share: float) -> Tensor:
        return 1e-7 * board(latents).square().mean(1)  # so small that Adam's epsilon would tell a mean over records from a sum

    together = search(start, loss, 7, 0.1)
    alone = torch.cat([search(row, loss, 7, 0.1) for row in start.split(1)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_the_start_is_left_as_it_was_and_without_steps_it_is_the_answer() -> None:
    start = torch.ones(2, 3)
    kept = start.clone()
    assert not torch.equal(search(start, lambda z, _: z.square().sum(1), 3, 0.1), kept)
    assert torch.equal(start, kept)
    none = search(start, lambda z, _: z.square().sum(1), 0, 0.1)
    assert torch.equal(none, start) and none.data_ptr() != start.data_ptr()
    expanded = torch.ones(3).expand(2, 3)  # several records that share their memory
    assert search(expanded, lambda z, _: z.square().sum(1), 1, 0.1).shape == (2, 3)


def test_loss_and_rate_are_told_how_much_of_the_search_is_over() -> None:
    seen: list[tuple[str, float]] = []

    def loss(latents: Tensor, share: float) -> Tensor:
        seen.append(("loss", share))
        return latents.sum(1)  # a constant slope: Adam moves by the learning rate itself

    def rate(share: float) -> float:
        seen.append(("rate", share))
        return 1.0 if share < 0.5 else 0.25

    found = search(torch.zeros(1, 1), loss, 4, rate)
    assert seen == [(name, step / 4) for step in range(4) for name in ("rate", "loss")]
    assert float(found) == pytest.approx(-2.5, abs=1e-5)
    assert float(search(torch.zeros(1, 1), lambda z, _: z.sum(1), 4, 0.5)) == pytest.approx(-2.0, abs=1e-5)


def test_the_pyramid_sees_coarse_and_fine_differences_of_each_record() -> None:
    images = torch.zeros(3, 1, 16, 16)
    others = images.clone()
    others[1] += 0.5  # the same everywhere: seen at 16, 8 and 4 pixels
    others[2, :, ::2] += 0.5
    others[2, :, 1::2] -= 0.5  # stripes: seen at full size alone
    torch.testing.assert_close(pyramid_error(images, others), torch.tensor([0.0, 0.75, 0.25]))


def test_numbers_stay_within_the_box() -> None:
    found = search(torch.zeros(4, 3), lambda z, _: (z - 5).square().sum(1), 60, 0.5, within=1.5)
    assert torch.equal(found, torch.full((4, 3), 1.5))
    started = search(torch.full((1, 2), 9.0), lambda z, _: z.square().sum(1), 1, 0.1, within=1.0)
    assert torch.equal(started, torch.ones(1, 2))
