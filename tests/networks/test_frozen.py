"""A frozen network: used by the game, and in nothing that is saved, trained or counted."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ganvas.networks.frozen import Frozen


def test_it_is_used_and_follows_but_is_no_part_of_the_system() -> None:
    board = nn.Module()
    board.extractor = Frozen(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.5)))
    assert not list(board.parameters())
    assert not board.state_dict()
    assert not list(board.buffers())
    board.train()
    values = torch.randn(4, 3, requires_grad=True)
    first, second = board.extractor(values), board.extractor(values)
    assert torch.equal(first, second), "training mode does not reach it: no dropout, no batch statistics"
    first.sum().backward()
    assert values.grad is not None
    assert all(p.grad is None for p in board.extractor.network.parameters())
    board.double()
    assert board.extractor(values.detach().double()).dtype == torch.float64
    twin = copy.deepcopy(board)
    assert twin.extractor.network is not board.extractor.network
    board.load_state_dict({})
