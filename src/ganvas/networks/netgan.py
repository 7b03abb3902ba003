"""The networks of NetGAN: LSTMs that write and judge random walks, step by step. Bojchevski et al. 2018 (arXiv 1803.00816)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class StraightThrough(torch.autograd.Function):
    """Rows `weight[nodes]` (B, d); the gradient of `weight` is that of a look-up, of `soft` (B, N) that of soft @ weight."""

    @staticmethod
    def forward(ctx: Any, soft: Tensor, weight: Tensor, nodes: Tensor) -> Tensor:
        ctx.save_for_backward(weight, nodes)
        return weight[nodes]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (gradient,) = gradients
        weight, nodes = ctx.saved_tensors
        to_weight = torch.zeros_like(weight).index_add_(0, nodes, gradient) if ctx.needs_input_grad[1] else None
        return gradient @ weight.T, to_weight, None


class Cell(nn.Module):
    """One LSTM layer, step by step: fused ones have no second derivative. Its input comes as `project(x)`."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, 4 * width)
        self.recur = nn.Linear(width, 4 * width, bias=False)
        nn.init.zeros_(self.project.bias)
        nn.init.ones_(self.project.bias.data[:width])  # forget gates begin open
        for layer in (self.project, self.recur):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, projected: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        hidden, cell = state
        gates = torch.addmm(projected, hidden, self.recur.weight.T)
        width = hidden.shape[1]
        forget, enter, leave = gates[:, : 3 * width].sigmoid().chunk(3, 1)
        cell = forget * cell + enter * gates[:, 3 * width :].tanh()
        return leave * cell.tanh(), cell


class Generator(nn.Module):
    """Latents (B, latent) -> walks, one node at a time."""

    def __init__(self, nodes: int, config: Any) -> None:
        super().__init__()
        self.first = nn.Linear(config.latent_size, config.width)
        self.begin = nn.Linear(config.width, 2 * config.width)
        self.cell = Cell(config.embedding_size, config.width)
        self.up = nn.Linear(config.width, nodes)
        self.down = nn.Parameter(torch.empty(nodes, config.embedding_size))
        for layer in (self.first, self.begin, self.up):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.xavier_uniform_(self.down)

    def start(self, latents: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """(the first state, the projected input of the first step, which is nothing)."""
        hidden, cell = self.begin(self.first(latents).tanh()).tanh().chunk(2, 1)
        return (hidden, cell), self.cell.project.bias.expand(latents.shape[0], -1)


class Critic(nn.Module):
    """Embedded walks (B, T, embedding) -> scores (B,)."""

    def __init__(self, nodes: int, embedding: int, width: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(nodes, embedding))
        self.cell = Cell(embedding, width)
        self.last = nn.Linear(width, 1)
        nn.init.xavier_uniform_(self.down)
        nn.init.xavier_uniform_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, embedded: Tensor) -> Tensor:
        projected = self.cell.project(embedded)
        state = (projected.new_zeros(len(projected), self.cell.recur.in_features),) * 2
        for step in projected.unbind(1):
            state = self.cell(step, state)
        return self.last(state[0]).flatten()
