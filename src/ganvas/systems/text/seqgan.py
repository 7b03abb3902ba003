"""SeqGAN: sequences of symbols. Yu, Zhang, Wang, Yu, 2017, "SeqGAN: Sequence Generative Adversarial Nets with Policy
Gradient" (AAAI, arXiv 1609.05473).

A drawn symbol passes no gradient, so the generator is treated as a policy that is rewarded. It writes symbol by symbol; the
discriminator, a convolutional network over whole sequences, says how real a finished one is. What a symbol y_t is worth, when
the rest is not written yet, is found by writing the rest several times (roll-outs) with a lagging copy of the policy:
    Q(y_1..t-1, y_t) = mean over roll-outs of D(y_1..t, rest),  at the last place D(y) itself;
    G lowers  - sum_t Q(y_1..t-1, y_t) log G(y_t | y_1..t-1).
Before the game G learns by maximum likelihood, and D to tell its sequences from real ones.

Roll-outs of all records and all places are one batch, and each goes on from the memory (h, c) that the policy had at its place:
T steps in all. What lies behind the end of a sequence is neither learnt nor rewarded.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganvas.batches import Batch, Noise
from ganvas.config import Situation, knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.optim import optimiser

CARD = {
    "title": "SeqGAN: sequence generative adversarial nets with policy gradient",
    "authors": "Yu et al.",
    "year": 2017,
    "paper": "arXiv 1609.05473",
    "summary": "short texts, verse and melodies: symbols drawn one by one by a policy that a discriminator rewards",
    "data": ["tokens"],
    "example": "melodies",
}

WINDOWS = {1: 100, 2: 200, 3: 200, 4: 200, 5: 200, 6: 100, 7: 100, 8: 100, 9: 100, 10: 100, 15: 160, 20: 160}
"""Symbols that a filter of D sees -> number of such filters, at `filters` 100."""
AT_ONCE = 1 << 20  # numbers of a table of probabilities: they stay in the processor's cache
JUDGED = 1024  # sequences that D looks at together


@dataclass(frozen=True)
class Config:
    width: int = knob(32, "units of the generator's LSTM", low=1, high=4096)
    embedding: int = knob(32, "numbers by which the generator knows a symbol", low=1, high=4096)
    discriminator_embedding: int = knob(64, "numbers by which the discriminator knows a symbol", low=1, high=4096)
    filters: int = knob(100, "per cent of the paper's number of filters in the discriminator", low=1, high=1000)
    dropout: float = knob(0.25, "share of the discriminator's features left out in its moves", low=0.0, high=0.95)
    decay: float = knob(0.2, "weight of the squared weights of the discriminator's last layer", low=0.0)
    pretraining: int = knob(1_200_000, "sequences from which G learns by likelihood before the game", low=0)
    pretraining_until: float = knob(0.4, "share of the budget at which that ends at the latest", low=0.0, high=1.0)
    warm_up: int = knob(50, "generated sets from which D learns before the game", low=0)
    warm_up_until: float = knob(0.5, "share of the budget at which that ends at the latest", low=0.0, high=1.0)
    pool: int = knob(10_000, "sequences of a generated set", low=1)
    passes: int = knob(3, "times that D goes through a generated set", low=1, high=100)
    sets: int = knob(5, "generated sets from which D learns for one move of G", low=1, high=100)
    rollouts: int = knob(16, "ways in which every beginning is continued for its reward", low=1, high=1024)
    lag: float = knob(0.8, "what the roll-out policy keeps of itself at one move of G", low=0.0, high=0.9999)
    centred: bool = knob(False, "whether the mean reward at a place is taken away from the rewards there: less noise")
    pretraining_rate: float = knob(0.01, "learning rate of G (Adam) before the game", low=0.0)
    generator_rate: float = knob(0.01, "learning rate of G (Adam) in the game", low=0.0)
    discriminator_rate: float = knob(1e-4, "learning rate of D (Adam)", low=0.0)
    clip: float = knob(5.0, "most that the gradient of a batch's summed loss may have as norm, of G", low=1e-6)
    batch_size: int = knob(64, "sequences in a batch", low=1)
    temperature: float = knob(1.0, "of samples: below 1 safer and more alike, above 1 bolder", low=0.01, high=100.0, later=True)


def auto(situation: Situation) -> dict[str, Any]:
    """Wider networks that learn by smaller steps; of the paper's work for a move of G about a hundredth: small sets, gone
    through once, few roll-outs. Likelihood for at most 30 passes over the data: small sets are learnt by heart beyond."""
    return {
        "width": 128, "embedding": 64, "discriminator_embedding": 32, "filters": 10, "pretraining": 30 * situation.records,
        "pretraining_rate": 3e-3, "generator_rate": 1e-3, "discriminator_rate": 1e-3, "warm_up": 60, "pool": 512, "passes": 1,
        "sets": 1, "rollouts": 4, "centred": True,
    }  # fmt: skip


def paper(situation: Situation) -> dict[str, Any]:
    """120 passes of likelihood, 50 sets of warm-up, then 15 passes of D a move, as long as they take."""
    return {"pretraining": 120 * situation.records, "pretraining_until": 1.0, "warm_up_until": 1.0}


PRESETS: dict[str, Any] = {"auto": auto, "paper": paper}

Memory = tuple[Tensor, Tensor]


class Policy(nn.Module):
    """An LSTM over symbols. What comes before the first has a number of its own, `symbols`. ends: whether 0 is the end."""

    def __init__(self, symbols: int, length: int, embedding: int, width: int, *, ends: bool) -> None:
        super().__init__()
        self.symbols, self.length, self.ends = symbols, length, ends
        self.embedding = nn.Embedding(symbols + 1, embedding)
        self.cell = nn.LSTMCell(embedding, width)
        self.output = nn.Linear(width, symbols)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1)

    def start(self, count: int) -> Memory:
        """Memories (count, width) after the symbol before the first."""
        first = torch.full((count,), self.symbols, device=self.output.weight.device)
        return self.cell(self.embedding(first))

    def states(self, tokens: Tensor) -> list[Memory]:
        """For tokens (B, T): the memory at each place, from which the symbol there is drawn."""
        states = [self.start(len(tokens))]
        for before in self.embedding(tokens[:, :-1]).unbind(1):
            states.append(self.cell(before, states[-1]))
        return states

    def log_probabilities(self, tokens: Tensor) -> Tensor:
        """(B, T): log G(y_t | y_1..t-1) of tokens (B, T); 0 behind the end."""
        hidden = torch.stack([h for h, _ in self.states(tokens)], 1)
        losses = cross_entropy(self.output(hidden).flatten(0, 1), tokens.flatten(), reduction="none").view_as(tokens)
        return -losses * self.written(tokens)

    def written(self, tokens: Tensor) -> Tensor:
        """(B, T) bool: places up to the first end, which is written too."""
        inside = torch.ones_like(tokens, dtype=torch.bool)
        if self.ends:
            inside[:, 1:] = (tokens[:, :-1] == 0).cumsum(1) == 0
        return inside

    @torch.no_grad()
    def choose(self, hidden: Tensor, chances: Tensor, temperature: float = 1.0) -> Tensor:
        """(N,) symbols for memories (N, width): where the summed probabilities pass `chances` (N,), uniform in [0, 1)."""
        rows = max(1, AT_ONCE // self.symbols)
        pieces = zip(hidden.split(rows), chances.split(rows), strict=True)
        return torch.cat([drawn(self.output(h) / temperature, u) for h, u in pieces])

    @torch.no_grad()
    def write(self, chances: Tensor, temperature: float = 1.0) -> Tensor:
        """(B, T) new sequences for chances (B, T)."""
        tokens = torch.zeros(chances.shape, dtype=torch.int64, device=chances.device)
        memory = self.start(len(chances))
        for place in range(self.length):
            tokens[:, place] = self._kept(tokens[:, place - 1], self.choose(memory[0], chances[:, place], temperature), place)
            memory = self.cell(self.embedding(tokens[:, place]), memory)
        return tokens

    @torch.no_grad()
    def continued(self, tokens: Tensor, chances: Tensor) -> Tensor:
        """(T - 1, B, R, T): for every beginning of tokens (B, T), of 1 .. T - 1 symbols, R ways to go on.

        chances: (B, T - 1, R, T), uniform in [0, 1); those of places that are given are not used. Beginnings of all lengths
        go on side by side, each from the memory at its place.
        """
        count, length = tokens.shape
        ways = chances.shape[2]
        states = self.states(tokens)
        made = tokens[None, :, None].repeat(length - 1, 1, ways, 1)
        hidden, cell = (x.new_empty(0, count, ways, x.shape[1]) for x in states[0])
        for place in range(1, length):
            # The beginning that ends here joins those that are under way.
            joining = (own[None, :, None].expand(1, -1, ways, -1) for own in states[place])
            hidden, cell = (torch.cat([x, own]) for x, own in zip((hidden, cell), joining, strict=True))
            memory = hidden.flatten(0, 2), cell.flatten(0, 2)
            chosen = self.choose(memory[0], chances[:, :place, :, place].transpose(0, 1).flatten())
            chosen = self._kept(made[:place, :, :, place - 1].flatten(), chosen, place)
            made[:place, :, :, place] = chosen.view(place, count, ways)
            if place + 1 < length:
                hidden, cell = (x.view_as(hidden) for x in self.cell(self.embedding(chosen), memory))
        return made

    def _kept(self, before: Tensor, chosen: Tensor, place: int) -> Tensor:
        """Behind an end there are ends."""
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
        return torch.searchsorted(summed, chances[:, None] * summed[:, -1:], right=True)[:, 0].clamp_(max=symbols - 1)
    weights = nn.functional.pad(weights, (0, -symbols % side)).view(count, -1, side)
    blocks = weights.sum(2).cumsum(1)
    wanted = chances[:, None] * blocks[:, -1:]
    block = torch.searchsorted(blocks, wanted, right=True).clamp_(max=blocks.shape[1] - 1)
    passed = torch.where(block > 0, blocks.gather(1, (block - 1).clamp(min=0)), torch.zeros_like(wanted))
    within = weights.gather(1, block[..., None].expand(-1, 1, side))[:, 0].cumsum(1)
    place = torch.searchsorted(within, wanted - passed, right=True).clamp_(max=side - 1)
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


class SeqGan(System):
    Config = Config
    generated: Tensor
    taken: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        symbols = len(spec.symbols)
        self.generator = Policy(symbols, spec.length, config.embedding, config.width, ends=spec.ends)
        self.rollout = copy.deepcopy(self.generator)
        self.discriminator = Discriminator(symbols, spec.length, config.discriminator_embedding, config.filters)
        self.register_buffer("generated", torch.zeros(config.pool, spec.length, dtype=torch.int32))
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))  # of the set, over all passes

    def players(self) -> tuple[Player, ...]:
        config = self.config

        bound = config.clip / config.batch_size  # the paper's loss is a sum over the batch, here it is a mean
        adam = functools.partial(optimiser, "adam", beta1=0.9)
        return (
            Player("reader", ("generator",), adam(config.pretraining_rate), clip=config.clip),
            Player("generator", ("generator",), adam(config.generator_rate), clip=bound),
            Player("discriminator", ("discriminator",), adam(config.discriminator_rate)),
        )

    def phases(self) -> tuple[Phase, ...]:
        config = self.config
        judge = Turn("discriminator", self.judge)
        learn = Phase("likelihood", (Turn("reader", self.likelihood),), until=self._until(config.pretraining, "pretraining"))
        warm = self._moves(config.warm_up) * config.batch_size
        warm_up = Phase("warm-up", (judge,), until=self._until(warm, "warm_up"))
        # A round is one move of D, so that a run can stop, log and save between them.
        reinforce = Turn("generator", self.reinforce, every=self._moves(), source="written")
        game = Phase("play", (reinforce, judge))
        return (*([learn] if config.pretraining else []), *([warm_up] if warm else []), game)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "rollout", self._half_life),)

    def sources(self) -> dict[str, Callable[[Clock, Noise], Batch]]:
        return {"written": self._written}

    def reductions(self) -> dict[str, str]:
        return {"generated": "rank", "taken": "rank"}

    def likelihood(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Mean over symbols, as the paper's code has it."""
        return {"nll": -self.generator.log_probabilities(batch.real).sum() / self.generator.written(batch.real).sum()}

    def judge(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Cross-entropy on real and generated sequences, and the decay of the last layer."""
        count = len(batch)
        both = torch.cat([batch.real, self._negatives(count, batch.noise)])
        keep = 1 - self.config.dropout
        kept = (batch.noise.uniform(count, 2, self.discriminator.features) < keep) / keep
        logits = self.discriminator(both, kept.transpose(0, 1).flatten(0, 1).to(batch.noise.dtype))
        answers = torch.arange(2, device=both.device).flip(0).repeat_interleave(count)
        decay = sum(p.square().sum() for p in self.discriminator.output.parameters()) / 2
        return {"real or not": cross_entropy(logits, answers), "decay": self.config.decay * decay}

    def reinforce(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """On sequences of the generator's own."""
        rewards = self.rewards(batch.real, batch.noise)
        written = self.generator.written(batch.real)
        if self.config.centred:
            rewards = rewards - (rewards * written).sum(0) / written.sum(0).clamp(min=1)
        return {"policy": -(self.generator.log_probabilities(batch.real) * rewards).sum(1).mean()}

    @torch.no_grad()
    def rewards(self, tokens: Tensor, noise: Noise) -> Tensor:
        """(B, T) in 0 to 1: what each symbol of tokens (B, T) is worth; at the last place, and at an end, D itself."""
        count, length = tokens.shape
        whole = self.realness(tokens)
        if length == 1:
            return whole[:, None]
        chances = noise.uniform(count, length - 1, self.config.rollouts, length)
        ways = self.rollout.continued(tokens, chances)
        mean = self.realness(ways.flatten(0, 2)).view(length - 1, count, -1).mean(2)
        return torch.cat([mean.transpose(0, 1), whole[:, None]], 1)

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self.generator.write(noise.uniform(count, self.spec.length), self.config.temperature)

    def realness(self, tokens: Tensor) -> Tensor:
        """(N,) D's probability that sequences (N, T) are real."""
        return torch.cat([self.discriminator(part).softmax(1)[:, 1] for part in tokens.split(JUDGED)])

    def _written(self, clock: Clock, noise: Noise) -> Batch:
        count = self.config.batch_size // noise.world
        return Batch(noise, {"real": self.generator.write(noise.uniform(count, self.spec.length))})

    def _negatives(self, count: int, noise: Noise) -> Tensor:
        """(count, T) of the generated set; a new one is written when it was gone through often enough."""
        usable = max(1, self.config.pool // count) * count
        place = int(self.taken)
        if place == 0 or place >= usable * self.config.passes:
            place = 0
            self.generated.copy_(self.generator.write(noise.uniform(self.config.pool, self.spec.length)))
        self.taken.fill_(place + count)
        rows = (place % usable + torch.arange(count, device=self.generated.device)) % self.config.pool
        return self.generated[rows].long()

    def _moves(self, sets: int | None = None) -> int:
        """Moves of D on so many generated sets; without a number, on those that belong to one move of G."""
        sets = self.config.sets if sets is None else sets
        return sets * self.config.passes * max(1, self.config.pool // self.config.batch_size)

    def _half_life(self, clock: Clock) -> float:
        """In samples: outside the game the copy is the generator itself, in it `lag` of it is left from move to move of G."""
        if clock.phase != "play" or self.config.lag == 0:
            return 0.0
        return self._moves() * self.config.batch_size * math.log(0.5) / math.log(self.config.lag)

    def _until(self, samples: int, name: str) -> Callable[[Clock], bool]:
        share = getattr(self.config, f"{name}_until")
        return lambda clock: clock.phase_samples >= samples or clock.progress >= share
