"""NetGAN. Bojchevski, Shchur, Zuegner, Guennemann, 2018, "NetGAN: Generating Graphs via Random Walks" (ICML, arXiv 1803.00816).

One graph is learnt through its random walks of T steps over N nodes. G is an LSTM whose first state comes from the latent; at
each step it says how likely every node is to be next, o_t = h_t W_up + b, takes one, v_t ~ softmax(o_t), and reads its row of
W_down (N x d) before the next. So that gradients pass, v_t is a straight-through Gumbel sample: forward the one node
argmax(o_t + g), backward softmax((o_t + g) / temperature). D is an LSTM over rows of a W_down of its own. They play WGAN-GP,
    D:  min  E[D(fake)] - E[D(real)] + penalty E[(||grad_x D(x^)||_2 - 1)^2],      G:  min  -E[D(fake)],
with the gradient over the whole walk x in [0, 1]^(T x N), as in the paper. One-hot walks are never built: nodes are looked up
by number, and as x enters D through e = x W_down alone, grad_x D = (grad_e D) W_down^T: its norm is that of grad_e D under
the Gram matrix W_down^T W_down. The penalty is the paper's to rounding, at the cost of the embeddings.

A graph is assembled from S, the expected numbers of steps between each pair of nodes over many walks, made symmetric: each
node takes a neighbour, then pairs are drawn without replacement in proportion to S until there are as many as wanted.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Feed, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.assembling import assembled
from ganvas.networks.netgan import Critic, Generator, StraightThrough
from ganvas.networks.passing import passing
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "NetGAN: Generating Graphs via Random Walks",
    "authors": "Bojchevski et al.",
    "year": 2018,
    "paper": "arXiv 1803.00816",
    "summary": "learns one graph from its random walks; makes graphs like it, scores missing links, finds odd ones",
    "data": ["graph"],
    "options": {"heldout": "0"},  # graphs are made of as many edges as were learnt from; links are judged by what is held out
}

LEAST = 1e-30  # of scores: a step that no walk ever made
MOST_NODES = 12_000  # scores of all pairs are kept in one array
TOGETHER = 512  # walks made at once
LOOK_EVERY, LOOK_EFFORT = 100, 0.25  # rounds between looks at the overlap, and the share of the walks made for one


@dataclass(frozen=True)
class Config:
    walk_length: int = knob(16, "nodes of a walk", low=2, high=1000)
    return_parameter: float = knob(1.0, "node2vec's p: larger, fewer steps straight back", low=1e-3)
    in_out_parameter: float = knob(1.0, "node2vec's q: larger, walks stay nearer to where they were", low=1e-3)
    latent_size: int = knob(16, "size of the latent vector", low=1)
    width: int = knob(40, "units of G's LSTM", low=1, high=4096)
    critic_width: int = knob(30, "units of D's LSTM", low=1, high=4096)
    embedding_size: int = knob(128, "numbers by which G reads a node", low=1, high=4096)
    critic_embedding_size: int = knob(128, "numbers by which D reads a node", low=1, high=4096)
    critic_turns: int = knob(3, "moves of D for one of G", low=1, high=100)
    penalty_weight: float = knob(10.0, "weight of the gradient penalty", low=0.0)
    generator_weight_decay: float = knob(1e-7, "weight of half the sum of G's squared weights", low=0.0)
    critic_weight_decay: float = knob(5e-5, "weight of half the sum of D's squared weights", low=0.0)
    generator_learning_rate: float = knob(3e-4, "learning rate of G (Adam)", low=0.0)
    critic_learning_rate: float = knob(3e-4, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.9, "second beta of Adam", low=0.0, high=0.99999)
    gumbel_temperature: float = knob(5.0, "of the Gumbel softmax that G learns through, at first", low=0.01)
    minimum_temperature: float = knob(0.5, "the temperature does not fall below this", low=0.01)
    temperature_decay: float = knob(5e-5, "by which share the temperature falls each round", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in walks of the G that graphs are made with; 0: none", low=0.0)
    batch_size: int = knob(128, "walks in a batch", low=1)
    edge_overlap: float = knob(0.5, "training ends at this share of learnt edges in graphs made; 0: never", low=0.0, high=1.0)
    walks: int = knob(20_000, "walks from which the scores of a graph are made", low=1, later=True)


def auto(situation: Situation) -> dict[str, Any]:
    """Larger steps and a cooler softmax, the embedding of the released models for D, and an average of G."""
    return {
        "generator_learning_rate": 3e-3, "critic_learning_rate": 3e-3, "gumbel_temperature": 1.0, "critic_embedding_size": 32,
        "ema_half_life": 5_000.0,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


def half_squares(network: nn.Module) -> Tensor:
    return 0.5 * sum((p.square().sum() for p in network.parameters()), torch.zeros(()))


class NetGan(System):
    Config = Config
    met: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        if spec.nodes > MOST_NODES:
            raise GanvasError(f"netgan: {spec.nodes} nodes are too many (at most {MOST_NODES}): learn a part of the graph")
        self.generator = Generator(spec.nodes, config)
        self.critic = Critic(spec.nodes, config.critic_embedding_size, config.critic_width)
        self.average = copy.deepcopy(self.generator)
        self.register_buffer("met", torch.zeros(spec.nodes, spec.nodes, dtype=torch.bool))  # edges that real walks took

    # The game

    def players(self) -> tuple[Player, ...]:
        given, rates = self.config, (self.config.critic_learning_rate, self.config.generator_learning_rate)
        critic, generator = (optimiser("adam", rate, beta1=given.beta1, beta2=given.beta2) for rate in rates)
        return (Player("critic", ("critic",), critic), Player("generator", ("generator",), generator))

    def phases(self) -> tuple[Phase, ...]:
        critic = Turn("critic", self.estimate, times=self.config.critic_turns, fresh=True)
        return (Phase("play", (critic, Turn("generator", self.approach)), enough=self.near_enough),)

    def feeds(self) -> dict[str, Feed]:
        walking = {
            "length": self.config.walk_length,
            "returning": self.config.return_parameter,
            "roaming": self.config.in_out_parameter,
        }
        return {"data": Feed(options=walking)}

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def near_enough(self, clock: Clock) -> bool | None:
        """The paper's rule: training ends when a graph that is made shares so many edges with the one that is learnt."""
        if not self.config.edge_overlap or clock.round % LOOK_EVERY or not clock.round:
            return None
        noise = Noise(torch.Generator(self.met.device).manual_seed(clock.round))
        known = torch.triu(self.met | self.met.T, 1)
        made = assembled(self.scores(noise, LOOK_EFFORT), int(known.sum()), noise)
        return bool(known[made[:, 0], made[:, 1]].float().mean() >= self.config.edge_overlap)

    def estimate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        self.met[batch.real[:, :-1], batch.real[:, 1:]] = True
        with torch.no_grad():
            fake, _ = self._walk(self.generator, *self._chances(len(batch), batch.noise))
        down = self.critic.down
        # Of `down[...]` several threads add up the gradient in an order that differs from run to run.
        both = nn.functional.embedding(torch.cat([batch.real, fake]), down)
        on_real, on_fake = self.critic(both).chunk(2)
        share = batch.noise.uniform(len(batch))[:, None, None]
        real, made = both.chunk(2)
        between = real + share * (made - real)
        # `between` as it depends on `down`: the penalty moves the embedding both as the point and as the Gram matrix.
        (gradient,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        squared = ((gradient @ (down.T @ down)) * gradient).sum((1, 2))
        norm = (squared + 1e-12).sqrt()
        return {
            "distance": on_fake.mean() - on_real.mean(),
            "penalty": self.config.penalty_weight * (norm - 1).square().mean(),
            "decay": self.config.critic_weight_decay * half_squares(self.critic),
        }

    def approach(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        embedded = self._soft_walk(len(batch), batch.noise, self.temperature(clock))
        return {
            "approach": -self.critic(embedded).mean(),
            "decay": self.config.generator_weight_decay * half_squares(self.generator),
        }

    def temperature(self, clock: Clock) -> float:
        """Of the softmax that gradients pass through; which nodes are taken does not depend on it."""
        return max(
            self.config.gumbel_temperature * math.exp(-self.config.temperature_decay * clock.round),
            self.config.minimum_temperature,
        )

    def _soft_walk(self, count: int, noise: Noise, temperature: float) -> Tensor:
        """(count, T, critic_embedding): walks as D reads them, through which gradients reach G."""
        player, read = self.generator, []
        state, projected = player.start(noise.normal(count, self.config.latent_size))
        for _ in range(self.config.walk_length):
            state = player.cell(projected, state)
            exponential = noise.uniform(count, self.spec.nodes).clamp_(1e-7, 1 - 1e-7).log_().neg_().log_()
            perturbed = (player.up(state[0]) - exponential).div_(temperature)
            nodes, soft = perturbed.detach().argmax(1), perturbed.softmax(1)
            read.append(StraightThrough.apply(soft, self.critic.down, nodes))
            projected = player.cell.project(StraightThrough.apply(soft, player.down, nodes))
        return torch.stack(read, 1)

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """(count, 2) single steps of generated walks: edges as G makes them, with repetitions. For a graph: `assemble`."""
        walks, _ = self._walk(self.average, *self._chances(count, noise))
        place = noise.integers(self.config.walk_length - 1, count)[:, None]
        return torch.cat([walks.gather(1, place), walks.gather(1, place + 1)], 1)

    def assemble(self, count: int, noise: Noise, records: int, effort: float = 1.0) -> Tensor:
        """(count, records, 2): edges of `count` graphs, all from the same scores. effort: share of the walks to make."""
        scores = self.scores(noise, effort)
        return torch.stack([assembled(scores, records, noise) for _ in range(count)])

    def link_scores(self, pairs: Tensor, noise: Noise) -> Tensor:
        """Pairs of nodes (K, 2) -> scores (K,); larger is likelier. Of edges that were learnt from they are large as well."""
        return self.scores(noise)[pairs[:, 0], pairs[:, 1]]

    def anomaly(self, records: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Edges (B, 2) -> scores (B,), means of maps (B, 2): -ln of the share of steps of either node that it is."""
        scores, (first, second) = self.scores(noise).clamp_(min=LEAST), records.T
        own, total = scores[first, second], scores.sum(1)
        maps = torch.stack([total[first] / own, total[second] / own], 1).log()
        return maps.mean(1), maps

    def scores(self, noise: Noise, effort: float = 1.0) -> Tensor:
        """(N, N), symmetric, 0 on the diagonal: expected steps of G from one node to the other, either way."""
        total = torch.zeros(self.spec.nodes, self.spec.nodes, device=noise.generator.device)
        rounds = max(1, math.ceil(effort * self.config.walks / TOGETHER))
        chances: Iterable[Sequence[Tensor]] = (self._chances(TOGETHER, noise) for _ in range(rounds))
        if torch.compiler.is_exporting():  # all rounds at once: steps are unrolled in a graph, and rounds would be
            chances = [[torch.cat(own) for own in zip(*chances, strict=True)]]
        for latents, places in chances:
            self._walk(self.average, latents, places, total)
        total.masked_fill_(torch.eye(len(total), dtype=torch.bool, device=total.device), 0)
        return (total + total.T) / (rounds * TOGETHER * (self.config.walk_length - 1))

    def _chances(self, count: int, noise: Noise) -> tuple[Tensor, Tensor]:
        """What `_walk` goes by."""
        return noise.normal(count, self.config.latent_size), noise.uniform(count, self.config.walk_length)

    def _walk(
        self, player: Any, latents: Tensor, places: Tensor, total: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """Walks (count, T) int64 of latents (count, latent) and places (count, T), uniform in [0, 1), without gradients. total
        (N, N): to row v_t the probabilities of v_t+1 are added."""
        state, projected = player.start(latents)
        walk: list[Tensor] = []
        for step in range(self.config.walk_length):
            state = player.cell(projected, state)
            shares = player.up(state[0]).softmax(1)
            if total is not None and walk:
                total.index_add_(0, walk[-1], shares.to(total.dtype))
            running = shares.cumsum(1)
            nodes = passing(running, places[:, step : step + 1] * running[:, -1:])[:, 0]
            walk.append(nodes.clamp_(max=self.spec.nodes - 1))
            projected = player.cell.project(player.down[walk[-1]])
        return torch.stack(walk, 1), total
