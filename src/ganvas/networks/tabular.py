"""Rows of a table in the coding of CTGAN, and the way back to the tensors of the kind. No weights.

Xu et al. 2019 (arXiv 1907.00503), sections 4.1 and 4.2. A number is the mode that it belongs to, one-hot, and where it lies in
that mode; a choice (a class, a binary value, whether a number is missing) is one-hot.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot

REACH = 4.0  # standard deviations of a mode that -1 and 1 stand for


class Coding(nn.Module):
    """The coding of the tables of a spec.

    A code is (B, size): first `numbers` places in [-1, 1], then one-hot blocks: the modes of each number, then the choices of
    the table in the order of `spec.states` (`values` places, from `first_value` on). by_modes: False codes each number by its
    least and greatest alone, as if it had one mode. Where a number is missing, its place and its modes are 0.
    """

    log_weights: Tensor
    means: Tensor
    deviations: Tensor
    blocks: Tensor
    blanks: Tensor
    block: Tensor
    offset: Tensor
    mode_places: Tensor
    number_places: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, spec: Any, by_modes: bool = True) -> None:
        super().__init__()
        self.spec = spec
        columns = [k for k, type_ in enumerate(spec.types) if type_ == "number"]
        parts = {(part.name, part.type == "missing"): part.start for part in spec.parts}
        self.numbers = len(columns)
        modes = [self._modes_of(k, by_modes) for k in columns]
        most = max((len(own) for own in modes), default=1)
        filled = [own + [(0.0, 0.0, 1.0)] * (most - len(own)) for own in modes]
        table = torch.tensor(filled, dtype=torch.float32).reshape(self.numbers, most, 3)
        states = [(state, parts[(spec.names[state.column], False)]) for state in spec.states]
        widths = [len(own) for own in modes] + [state.width for state, _ in states]
        starts = [self.numbers + sum(widths[:k]) for k in range(len(widths) + 1)]
        self.size = starts[-1]
        self.first_value = starts[self.numbers]
        self.values = self.size - self.first_value
        self.choices = [(state.start, state.width) for state, _ in states]
        self._states = states
        self._parts = parts
        self._columns = columns
        self._gaps = [parts.get((spec.names[k], True)) for k in columns]
        widest = max(widths, default=1)
        blocks = torch.tensor([[starts[k] + min(i, w - 1) for i in range(widest)] for k, w in enumerate(widths)])
        blanks = torch.tensor([[i >= w for i in range(widest)] for w in widths])
        block = [k for k, w in enumerate(widths) for _ in range(w)]
        offset = [i for w in widths for i in range(w)]
        low, high = zip(*(self._bounds_of(k) for k in columns), strict=True) if columns else ((), ())

        def keep(name: str, value: Tensor) -> None:
            self.register_buffer(name, value, persistent=False)

        keep("log_weights", torch.where(table[..., 0] > 0, table[..., 0].clamp(min=1e-9).log(), -torch.inf))
        keep("means", table[..., 1].clone())
        keep("deviations", table[..., 2].clone())
        keep("blocks", blocks.reshape(len(widths), widest).long())
        keep("blanks", blanks.reshape(len(widths), widest).bool())
        keep("block", torch.tensor(block).long())
        keep("offset", torch.tensor(offset).long())
        keep("mode_places", torch.tensor([k * most + i for k, own in enumerate(modes) for i in range(len(own))]).long())
        keep("number_places", torch.tensor([parts[(spec.names[k], False)] for k in columns]).long())
        keep("low", torch.tensor(low, dtype=torch.float32))
        keep("high", torch.tensor(high, dtype=torch.float32))

    def _modes_of(self, column: int, by_modes: bool) -> list[tuple[float, float, float]]:
        own = self.spec.modes[column] if self.spec.modes else ()
        if by_modes and own:
            return list(own)
        low, high = self._bounds_of(column) if self.spec.bounds else (-REACH, REACH)
        return [(1.0, (low + high) / 2, max((high - low) / (2 * REACH), 1e-6))]

    def _bounds_of(self, column: int) -> tuple[float, float]:
        """In the units of a tensor, a hair within the least and the greatest, so that rounding leaves no number outside."""
        if not self.spec.bounds:
            return -torch.inf, torch.inf
        low, high = ((own - self.spec.centre[column]) / self.spec.scale[column] for own in self.spec.bounds[column])
        hair = min(1e-6, (high - low) / 4)
        return low + hair, high - hair

    # There

    def encode(self, rows: Tensor, chance: Tensor) -> Tensor:
        """Rows (B, D) in the form of the game -> codes (B, size). chance: (B, numbers, modes) uniform: a number that may be of
        several modes is of one of them by lot."""
        made = [rows.new_zeros(len(rows), 0)]
        if self.numbers:
            own = rows[:, self.number_places, None]
            away = (own - self.means) / self.deviations
            likely = self.log_weights - self.deviations.log() - away.square() / 2
            mode = (likely - (-(chance.clamp(1e-9, 1 - 1e-7)).log()).log()).argmax(2, keepdim=True)
            place = (away.gather(2, mode).squeeze(2) / REACH).clamp(-1, 1)
            modes = one_hot(mode.squeeze(2), self.means.shape[1]).to(rows.dtype).flatten(1)[:, self.mode_places]
            made += [place, modes]
        for state, start in self._states:
            made.append(self._choice(rows, state, start))
        return self._without_gaps(torch.cat(made, 1))

    def _choice(self, rows: Tensor, state: Any, start: int) -> Tensor:
        name, type_ = self.spec.names[state.column], self.spec.types[state.column]
        gap = self._parts.get((name, True))
        if type_ == "class":
            return rows[:, start : start + state.width]
        missing = None if gap is None else rows[:, gap, None]
        if type_ == "number":
            assert missing is not None
            return torch.cat([1 - missing, missing], 1)
        on = rows[:, start, None]
        if missing is None:
            return torch.cat([1 - on, on], 1)
        return torch.cat([(1 - on) * (1 - missing), on * (1 - missing), missing], 1)

    def _without_gaps(self, codes: Tensor) -> Tensor:
        """What a number is means nothing where it is missing."""
        if not any(gap is not None for gap in self._gaps):
            return codes
        there = codes.new_ones(len(codes), self.numbers)
        places = {state.column: state.start + self.first_value + 1 for state, _ in self._states}
        kept = [1 - codes[:, places[k]] if gap is not None else there[:, n] for n, (k, gap) in
                enumerate(zip(self._columns, self._gaps, strict=True))]  # fmt: skip
        there = torch.stack(kept, 1)
        spread = there[:, self.block[: self.first_value - self.numbers]]
        rest = codes.new_ones(len(codes), self.values)
        return codes * torch.cat([there, spread, rest], 1)

    # What networks say

    def activated(self, said: Tensor, chance: Tensor, temperature: float) -> Tensor:
        """What a generator says (B, size) as codes: tanh of numbers, Gumbel-softmax of blocks. chance: (B, size) uniform."""
        gumbel = -(-(chance[:, self.numbers :].clamp(1e-9, 1 - 1e-7)).log()).log()
        soft = self._padded(torch.cat([said[:, : self.numbers], (said[:, self.numbers :] + gumbel) / temperature], 1))
        blocks = soft.softmax(2)[:, self.block, self.offset] if len(self.blocks) else said[:, self.numbers :]
        return self._without_gaps(torch.cat([said[:, : self.numbers].tanh(), blocks], 1))

    def missed(self, said: Tensor, asked: Tensor) -> Tensor:
        """(B,): the cross entropy of what a generator says (B, size) at the choice that is to show the value `asked`."""
        place = asked + self.first_value - self.numbers
        logs = log_softmax(self._padded(said), 2)
        return -logs[torch.arange(len(said), device=said.device), self.block[place], self.offset[place]]

    def _padded(self, said: Tensor) -> Tensor:
        return said[:, self.blocks].masked_fill(self.blanks, -torch.inf)

    # What is asked for

    def shown(self, rows: Tensor) -> Tensor:
        """Rows (B, D) -> the number of the value that each shows of each choice (B, choices)."""
        return torch.stack([state.start + self._choice(rows, state, start).argmax(1) for state, start in self._states], 1)

    def wanted(self, attributes: Tensor) -> Tensor:
        """Indices of the values of the columns that have some (B, attributes), -1 for any -> (B, values): 1 at those."""
        made = torch.zeros(len(attributes), self.values, device=attributes.device)
        named = [state for state, _ in self._states if self.spec.types[state.column] != "number" and self._several(state)]
        for place, state in enumerate(named):
            own = attributes[:, place]
            values = one_hot(own.clamp(min=0), state.width) * (own >= 0)[:, None]
            made[:, state.start : state.start + state.width] = values.to(made.dtype)
        return made

    def _several(self, state: Any) -> bool:
        return len(self.spec.categories[state.column]) > 1

    def whole(self, codes: Tensor) -> Tensor:
        """Codes with the likeliest value of each choice and nothing of others."""
        made = codes.clone()
        for start, width in self.choices:
            at = self.first_value + start
            made[:, at : at + width] = one_hot(codes[:, at : at + width].argmax(1), width).to(codes.dtype)
        return made

    def insisted(self, codes: Tensor, wanted: Tensor) -> Tensor:
        """Codes with the values that are wanted (B, values) put in."""
        return torch.cat([codes[:, : self.first_value], codes[:, self.first_value :] + 2 * wanted.to(codes.dtype)], 1)

    # And back

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, size) -> rows (B, D) in the form of the game: whole choices, numbers in bounds and order."""
        rows = codes.new_zeros(len(codes), *self.spec.shape)
        if self.numbers:
            modes = codes.new_full((len(codes), self.means.numel()), -1.0)
            modes[:, self.mode_places] = codes[:, self.numbers : self.first_value]
            mode = modes.view(-1, *self.means.shape).argmax(2, keepdim=True)
            mean, deviation = (
                own.expand(len(codes), -1, -1).gather(2, mode).squeeze(2) for own in (self.means, self.deviations)
            )
            own = codes[:, : self.numbers].clamp(-1, 1) * REACH * deviation + mean
            rows[:, self.number_places] = self._ordered(own.clamp(self.low, self.high))
        for state, start in self._states:
            at = self.first_value + state.start
            best = codes[:, at : at + state.width].argmax(1)
            self._put(rows, state, start, best)
        for k, type_ in enumerate(self.spec.types):
            if type_ == "class" and not any(state.column == k for state, _ in self._states):  # one value alone
                rows[:, self._parts[(self.spec.names[k], False)]] = 1
        return rows

    def _put(self, rows: Tensor, state: Any, start: int, best: Tensor) -> None:
        type_, gap = self.spec.types[state.column], self._parts.get((self.spec.names[state.column], True))
        if type_ == "class":
            rows[:, start : start + state.width] = one_hot(best, state.width).to(rows.dtype)
            return
        gone = (best == state.width - 1).to(rows.dtype)
        if type_ == "number":
            rows[:, start] = rows[:, start] * (1 - gone)
            rows[:, gap] = gone
            return
        rows[:, start] = (best == 1).to(rows.dtype)
        if gap is not None:
            rows[:, start] = rows[:, start] * (1 - gone) + 0.5 * gone
            rows[:, gap] = gone

    def _ordered(self, numbers: Tensor) -> Tensor:
        """Numbers (B, numbers), none below one that never is above it: the greater follows. From the least up, so that chains
        come out right."""
        before: dict[int, list[int]] = {}
        for first, second in self.spec.order:
            before.setdefault(self._columns.index(second), []).append(self._columns.index(first))
        centre, scale = ([own[k] for k in self._columns] for own in (self.spec.centre, self.spec.scale))
        columns = list(numbers.double().unbind(1))
        for place in sorted(before, key=lambda own: len(before[own])):
            for other in before[place]:
                least = (columns[other] * scale[other] + centre[other] - centre[place]) / scale[place]
                columns[place] = torch.maximum(columns[place], least)
        return torch.stack(columns, 1).to(numbers.dtype)
