"""The networks of SeqGAN: a policy that writes sequences symbol by symbol, and a convolutional discriminator of whole ones.

Yu et al. 2017, "SeqGAN: Sequence Generative Adversarial Nets with Policy Gradient" (arXiv 1609.05473), section 3 and appendix.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .forms import FREE, Forms
from .passing import passing

WINDOWS = {1: 100, 2: 200, 3: 200, 4: 200, 5: 200, 6: 100, 7: 100, 8: 100, 9: 100, 10: 100, 15: 160, 20: 160}
"""Symbols that a filter of D sees -> number of such filters, at `filters` 100."""
AT_ONCE = 1 << 20  # numbers of a table of probabilities: they stay in the processor's cache

Memory = tuple[Tensor, Tensor]


class Policy(nn.Module):
    """An LSTM over symbols, which is given what forms have at a place, and chooses the rest.

    What comes before the first symbol has a number of its own, from `symbols` on, one a form. ends: whether 0 is the end.
    """

    def __init__(self, symbols: int, length: int, embedding: int, width: int, forms: Forms, *, ends: bool) -> None:
        super().__init__()
        self.symbols, self.length, self.ends, self.forms = symbols, length, ends, forms
        self.embedding = nn.Embedding(symbols + max(1, forms.count), embedding)
        self.cell = nn.LSTMCell(embedding, width)
        self.output = nn.Linear(width, symbols)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1)

    @property
    def chances(self) -> int:
        """Numbers that it takes to write a sequence."""
        return self.length + self.forms.chances

    def start(self, forms: Tensor) -> Memory:
        """Memories (B, width) after the symbol before the first, for forms (B,)."""
        return self.cell(self.embedding(self.symbols + forms.clamp(min=0)))

    def states(self, tokens: Tensor) -> list[Memory]:
        """For tokens (B, T): the memory at each place, from which the symbol there is drawn."""
        states = [self.start(self.forms.of(tokens))]
        for before in self.embedding(tokens[:, :-1]).unbind(1):
            states.append(self.cell(before, states[-1]))
        return states

    def log_probabilities(self, tokens: Tensor) -> Tensor:
        """(B, T): log G(y_t | y_1..t-1) of tokens (B, T); 0 where a symbol is given, and behind the end."""
        hidden = torch.stack([h for h, _ in self.states(tokens)], 1)
        logits = self.output(hidden)
        if self.forms.count:
            logits = logits.masked_fill(self.forms.barred(self.forms.of(tokens))[:, None], -math.inf)
        losses = cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").view_as(tokens)
        return -losses.masked_fill(~self.written(tokens), 0.0)

    def written(self, tokens: Tensor) -> Tensor:
        """(B, T) bool: places whose symbol was chosen, up to the first end, which is chosen too."""
        inside = torch.ones_like(tokens, dtype=torch.bool)
        if self.ends:
            inside[:, 1:] = (tokens[:, :-1] == 0).cumsum(1) == 0
        return inside & self.forms.chosen(self.forms.of(tokens)) if self.forms.count else inside

    @torch.no_grad()
    def choose(self, hidden: Tensor, chances: Tensor, temperature: float = 1.0) -> Tensor:
        """(N,) symbols for memories (N, width): where the summed probabilities pass `chances` (N,), uniform in [0, 1)."""
        rows = max(1, AT_ONCE // self.symbols)
        pieces = zip(hidden.split(rows), chances.split(rows), strict=True)
        # Whatever is written has one of the forms, so that the same symbols are barred everywhere.
        return torch.cat([drawn(self._open(self.output(h)) / temperature, u) for h, u in pieces])

    def _open(self, logits: Tensor) -> Tensor:
        return logits.masked_fill(self.forms.apart, -math.inf) if self.forms.count else logits

    @torch.no_grad()
    def write(self, chances: Tensor, temperature: float = 1.0) -> Tensor:
        """(B, T) new sequences for chances (B, `chances`)."""
        forms = self.forms.drawn(chances[:, self.length :])
        tokens = torch.zeros(len(chances), self.length, dtype=torch.int64, device=chances.device)
        memory = self.start(forms)
        for place in range(self.length):
            chosen = self.choose(memory[0], chances[:, place], temperature)
            tokens[:, place] = self._kept(tokens[:, place - 1], chosen, place, forms)
            memory = self.cell(self.embedding(tokens[:, place]), memory)
        return tokens

    @torch.no_grad()
    def continued(self, tokens: Tensor, chances: Tensor) -> Tensor:
        """(T - 1, B, R, T): for every beginning of tokens (B, T), of 1 .. T - 1 symbols, R ways to go on in its form.

        chances: (B, T - 1, R, T), uniform in [0, 1); those of places that are given are not used. Beginnings of all lengths
        go on side by side, each from the memory at its place.
        """
        count, length = tokens.shape
        ways = chances.shape[2]
        states = self.states(tokens)
        forms = self.forms.of(tokens)[None, :, None].expand(length - 1, -1, ways)
        made = tokens[None, :, None].repeat(length - 1, 1, ways, 1)
        hidden, cell = (x.new_empty(0, count, ways, x.shape[1]) for x in states[0])
        for place in range(1, length):
            # The beginning that ends here joins those that are under way.
            joining = (own[None, :, None].expand(1, -1, ways, -1) for own in states[place])
            hidden, cell = (torch.cat([x, own]) for x, own in zip((hidden, cell), joining, strict=True))
            memory = hidden.flatten(0, 2), cell.flatten(0, 2)
            chosen = self.choose(memory[0], chances[:, :place, :, place].transpose(0, 1).flatten())
            chosen = self._kept(made[:place, :, :, place - 1].flatten(), chosen, place, forms[:place].flatten())
            made[:place, :, :, place] = chosen.view(place, count, ways)
            if place + 1 < length:
                hidden, cell = (x.view_as(hidden) for x in self.cell(self.embedding(chosen), memory))
        return made

    def _kept(self, before: Tensor, chosen: Tensor, place: int, forms: Tensor) -> Tensor:
        """What forms give at the place, in the stead of what was chosen; behind an end there are ends."""
        if self.forms.count:
            given = self.forms.at(forms, place)
            chosen = torch.where(given == FREE, chosen, given)
        return chosen.masked_fill(before == 0, 0) if self.ends and place > 0 else chosen


def drawn(logits: Tensor, chances: Tensor) -> Tensor:
    """(N,): the first index at which the summed softmax of logits (N, K) passes chances (N,).

    Sums of blocks first, then within one block: summing up K numbers in a row is what would take the time.
    """
    count, symbols = logits.shape
    weights = (logits - logits.amax(1, keepdim=True)).exp_()
    side = math.isqrt(symbols - 1) + 1
    if symbols <= 64:
        summed = weights.cumsum(1)
        return passing(summed, chances[:, None] * summed[:, -1:])[:, 0].clamp_(max=symbols - 1)
    weights = nn.functional.pad(weights, (0, -symbols % side)).view(count, -1, side)
    blocks = weights.sum(2).cumsum(1)
    wanted = chances[:, None] * blocks[:, -1:]
    block = passing(blocks, wanted).clamp_(max=blocks.shape[1] - 1)
    passed = torch.where(block > 0, blocks.gather(1, (block - 1).clamp(min=0)), torch.zeros_like(wanted))
    within = weights.gather(1, block[..., None].expand(-1, 1, side))[:, 0].cumsum(1)
    place = passing(within, wanted - passed).clamp_(max=side - 1)
    return (block * side + place)[:, 0].clamp_(max=symbols - 1)


class Discriminator(nn.Module):
    """Sequences (B, T) -> logits (B, 2) of generated and real: filters of many lengths, the most of each, a highway.

    kept: (B, features), by what features are multiplied (dropout); None leaves them.
    """

    def __init__(self, symbols: int, length: int, embedding: int, percent: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, embedding)
        numbers = {window: max(1, number * percent // 100) for window, number in WINDOWS.items() if window <= length}
        self.filters = nn.ModuleList(nn.Conv1d(embedding, number, window) for window, number in numbers.items())
        self.features = sum(numbers.values())
        self.gate, self.change = (nn.Linear(self.features, self.features) for _ in range(2))
        self.output = nn.Linear(self.features, 2)
        nn.init.uniform_(self.embedding.weight, -1, 1)
        for layer in (*self.filters, self.gate, self.change, self.output):
            nn.init.trunc_normal_(layer.weight, std=0.1, a=-0.2, b=0.2)
            nn.init.constant_(layer.bias, 0.1)
        nn.init.constant_(self.gate.bias, -2.0)  # begins by carrying features through
        nn.init.normal_(self.output.weight, std=0.01)  # and without an opinion, to which it would need hundreds of steps

    def forward(self, tokens: Tensor, kept: Tensor | None = None) -> Tensor:
        symbols = self.embedding(tokens).transpose(1, 2)
        features = torch.cat([f(symbols).amax(2) for f in self.filters], 1).relu()
        share = self.gate(features).sigmoid()
        features = share * self.change(features).relu() + (1 - share) * features
        return self.output(features if kept is None else features * kept)
