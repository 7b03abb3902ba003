"""The form of sequences, given to a network that writes them: what always stands at a place need not be learnt, nor got wrong.

For any system that writes sequences symbol by symbol. Which forms there are is learnt from the data (`kinds.tokens.forms`).
Without forms nothing is given, and nothing changes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .passing import passing

FREE = -1  # a place where several symbols may stand, and a sequence of no form


class Forms(nn.Module):
    """The forms of a spec (`TokensSpec`): F of them, over T places and K symbols.

    Its buffers follow from the spec and are not saved.
    """

    given: Tensor
    summed: Tensor
    apart: Tensor

    def __init__(self, spec: Any) -> None:
        super().__init__()
        self.count = len(spec.forms)
        given = torch.tensor(spec.forms, dtype=torch.int64).reshape(-1, spec.length)
        apart = torch.zeros(len(spec.symbols), dtype=torch.bool)
        apart[list(spec.apart)] = True
        summed = torch.tensor(spec.shares, dtype=torch.float64).cumsum(0).float()
        self.register_buffer("given", given, persistent=False)  # (F, T): a symbol, or FREE
        self.register_buffer("apart", apart, persistent=False)  # (K,): stands at given places alone
        self.register_buffer("summed", summed, persistent=False)  # (F,): shares of the forms, summed up

    @property
    def chances(self) -> int:
        """Numbers that it takes to draw a form: one, or none where there is no choice."""
        return int(self.count > 1)

    def drawn(self, chances: Tensor) -> Tensor:
        """(B,) forms for chances (B, `chances`), uniform in [0, 1), each as often as the data has it."""
        if not self.count:
            return torch.full((len(chances),), FREE, device=chances.device)
        if self.count == 1:
            return torch.zeros(len(chances), dtype=torch.int64, device=chances.device)
        return passing(self.summed, chances[:, 0].float().contiguous()).clamp_(max=self.count - 1)

    def of(self, tokens: Tensor) -> Tensor:
        """(B,) the form of sequences (B, T), FREE for those of none."""
        found = torch.full((len(tokens),), FREE, device=tokens.device)
        for number in range(self.count):
            given = self.given[number]
            elsewhere = self.apart[tokens] & (given == FREE)
            fits = ((given == FREE) | (tokens == given)).all(1) & ~elsewhere.any(1)
            found = torch.where(fits, number, found)
        return found

    def at(self, forms: Tensor, place: int) -> Tensor:
        """(B,) the symbol that forms (B,) give at a place, or FREE."""
        if not self.count:
            return torch.full_like(forms, FREE)
        return torch.where(forms == FREE, FREE, self.given[forms.clamp(min=0), place])

    def chosen(self, forms: Tensor) -> Tensor:
        """(B, T) bool: places whose symbol is chosen and not given."""
        return torch.stack([self.at(forms, place) == FREE for place in range(self.given.shape[1])], 1)

    def barred(self, forms: Tensor) -> Tensor:
        """(B, K) bool: symbols that must not be chosen in sequences of forms (B,), since they stand at given places alone."""
        return self.apart & (forms != FREE)[:, None]
