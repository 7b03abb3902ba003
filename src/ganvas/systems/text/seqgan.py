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
from torch import Tensor
from torch.nn.functional import cross_entropy

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.forms import Forms
from ganvas.networks.seqgan import Discriminator, Policy
from ganvas.objectives.schedules import until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "SeqGAN: sequence generative adversarial nets with policy gradient",
    "authors": "Yu et al.",
    "year": 2017,
    "paper": "arXiv 1609.05473",
    "summary": "short texts, verse and melodies: symbols drawn one by one by a policy that a discriminator rewards",
    "data": ["tokens"],
    "example": "melodies",
}

JUDGED = 1024  # sequences that D looks at together


@dataclass(frozen=True)
class Config:
    width: int = knob(32, "units of the generator's LSTM", low=1, high=4096)
    embedding_size: int = knob(32, "numbers by which the generator knows a symbol", low=1, high=4096)
    discriminator_embedding_size: int = knob(64, "numbers by which the discriminator knows a symbol", low=1, high=4096)
    filters: int = knob(100, "per cent of the paper's number of filters in the discriminator", low=1, high=1000)
    dropout: float = knob(0.25, "share of the discriminator's features left out in its moves", low=0.0, high=0.95)
    weight_decay: float = knob(0.2, "weight of the squared weights of the discriminator's last layer", low=0.0)
    pretraining_samples: int = knob(1_200_000, "sequences from which G learns by likelihood before the game", low=0)
    pretraining_until: float = knob(0.4, "share of the budget at which that ends at the latest", low=0.0, high=1.0)
    warm_up: int = knob(50, "generated sets from which D learns before the game", low=0)
    warm_up_until: float = knob(0.5, "share of the budget at which that ends at the latest", low=0.0, high=1.0)
    generated_size: int = knob(10_000, "sequences of a generated set", low=1)
    discriminator_epochs: int = knob(3, "times that D goes through a generated set", low=1, high=100)
    discriminator_steps: int = knob(5, "generated sets from which D learns for one move of G", low=1, high=100)
    rollouts: int = knob(16, "ways in which every beginning is continued for its reward", low=1, high=1024)
    rollout_momentum: float = knob(0.8, "what the roll-out policy keeps of itself at one move of G", low=0.0, high=0.9999)
    reward_baseline: bool = knob(False, "whether the mean reward at a place is taken away from the rewards there: less noise")
    pretraining_learning_rate: float = knob(0.01, "learning rate of G (Adam) before the game", low=0.0)
    generator_learning_rate: float = knob(0.01, "learning rate of G (Adam) in the game", low=0.0)
    discriminator_learning_rate: float = knob(1e-4, "learning rate of D (Adam)", low=0.0)
    gradient_clip: float = knob(5.0, "most that the gradient of a batch's summed loss may have as norm, of G", low=1e-6)
    batch_size: int = knob(64, "sequences in a batch", low=1)
    temperature: float = knob(1.0, "of samples: below 1 safer and more alike, above 1 bolder", low=0.01, high=100.0, later=True)


def auto(situation: Situation) -> dict[str, Any]:
    """Wider networks that learn by smaller steps; of the paper's work for a move of G about a hundredth: small sets, gone
    through once, few roll-outs. Likelihood for at most 30 passes over the data: small sets are learnt by heart beyond."""
    return {
        "width": 128, "embedding_size": 64, "discriminator_embedding_size": 32, "filters": 10,
        "pretraining_samples": 30 * situation.records, "pretraining_learning_rate": 3e-3, "generator_learning_rate": 1e-3,
        "discriminator_learning_rate": 1e-3, "warm_up": 60, "generated_size": 512, "discriminator_epochs": 1,
        "discriminator_steps": 1, "rollouts": 4, "reward_baseline": True,
    }  # fmt: skip


def paper(situation: Situation) -> dict[str, Any]:
    """120 passes of likelihood, 50 sets of warm-up, then 15 passes of D a move, as long as they take."""
    return {"pretraining_samples": 120 * situation.records, "pretraining_until": 1.0, "warm_up_until": 1.0}


PRESETS: dict[str, Any] = {"auto": auto, "paper": paper}


class SeqGan(System):
    Config = Config
    generated: Tensor
    taken: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        symbols = len(spec.symbols)
        self.generator = Policy(symbols, spec.length, config.embedding_size, config.width, Forms(spec), ends=spec.ends)
        self.rollout = copy.deepcopy(self.generator)
        self.discriminator = Discriminator(symbols, spec.length, config.discriminator_embedding_size, config.filters)
        self.register_buffer("generated", torch.zeros(config.generated_size, spec.length, dtype=torch.int32))
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))  # of the set, over all passes
        self._known = (self.taken._version, 0)  # what it says at which version of itself

    def players(self) -> tuple[Player, ...]:
        config = self.config

        bound = config.gradient_clip / config.batch_size  # the paper's loss is a sum over the batch, here it is a mean
        adam = functools.partial(optimiser, "adam", beta1=0.9)
        return (
            Player("reader", ("generator",), adam(config.pretraining_learning_rate), clip=config.gradient_clip),
            Player("generator", ("generator",), adam(config.generator_learning_rate), clip=bound),
            Player("discriminator", ("discriminator",), adam(config.discriminator_learning_rate)),
        )

    def phases(self) -> tuple[Phase, ...]:
        config = self.config
        judge = Turn("discriminator", self.judge)
        learn = Phase(
            "likelihood",
            (Turn("reader", self.likelihood),),
            until=self._until(config.pretraining_samples, config.pretraining_until),
        )
        warm = self._moves(config.warm_up) * config.batch_size
        warm_up = Phase("warm-up", (judge,), until=self._until(warm, config.warm_up_until))
        # A round is one move of D, so that a run can stop, log and save between them.
        reinforce = Turn("generator", self.reinforce, every=self._moves(), source="written")
        game = Phase("play", (reinforce, judge))
        return (*([learn] if config.pretraining_samples else []), *([warm_up] if warm else []), game)

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
        return {"real or not": cross_entropy(logits, answers), "decay": self.config.weight_decay * decay}

    def reinforce(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """On sequences of the generator's own."""
        rewards = self.rewards(batch.real, batch.noise)
        written = self.generator.written(batch.real)
        if self.config.reward_baseline:
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
        return self.generator.write(noise.uniform(count, self.generator.chances), self.config.temperature)

    def realness(self, tokens: Tensor) -> Tensor:
        """(N,) D's probability that sequences (N, T) are real."""
        return torch.cat([self.discriminator(part).softmax(1)[:, 1] for part in tokens.split(JUDGED)])

    def _written(self, clock: Clock, noise: Noise) -> Batch:
        count = self.config.batch_size // noise.world
        return Batch(noise, {"real": self.generator.write(noise.uniform(count, self.generator.chances))})

    def _place(self) -> int:
        """What `taken` says, read back from the device only where something else wrote it: a checkpoint, a way back."""
        version, place = self._known
        return place if version == self.taken._version else int(self.taken)

    def _negatives(self, count: int, noise: Noise) -> Tensor:
        """(count, T) of the generated set; a new one is written when it was gone through often enough."""
        usable = max(1, self.config.generated_size // count) * count
        place = self._place()
        if place == 0 or place >= usable * self.config.discriminator_epochs:
            place = 0
            self.generated.copy_(self.generator.write(noise.uniform(self.config.generated_size, self.generator.chances)))
        self.taken.fill_(place + count)
        self._known = (self.taken._version, place + count)
        rows = (place % usable + torch.arange(count, device=self.generated.device)) % self.config.generated_size
        return self.generated[rows].long()

    def _moves(self, sets: int | None = None) -> int:
        """Moves of D on so many generated sets; without a number, on those that belong to one move of G."""
        sets = self.config.discriminator_steps if sets is None else sets
        return sets * self.config.discriminator_epochs * max(1, self.config.generated_size // self.config.batch_size)

    def _half_life(self, clock: Clock) -> float:
        """In samples: outside the game the copy is the generator itself, in it `rollout_momentum` of it is left at a move."""
        if clock.phase != "play" or self.config.rollout_momentum == 0:
            return 0.0
        return self._moves() * self.config.batch_size * math.log(0.5) / math.log(self.config.rollout_momentum)

    def _until(self, samples: int, share: float) -> Callable[[Clock], bool]:
        ended = until_share(share)
        return lambda clock: clock.phase_samples >= samples or ended(clock)
