"""Latent GAN. Achlioptas, Diamanti, Mitliagkas, Guibas, 2018, "Learning Representations and Generative Models for 3D Point
Clouds" (ICML, arXiv 1707.02392); here on voxels, as in Chen and Zhang 2019 (IM-NET, arXiv 1812.02822, the baseline CNN-GAN).

A GAN of whole solids has to learn at once what solids are made of and which of them there are. Here an autoencoder learns the
first, E(x) -> code, D(code) -> x, and is frozen. Then a small GAN learns which codes there are, a Wasserstein GAN with gradient
penalty (Gulrajani et al. 2017):
    min_f  E[f(G(z))] - E[f(E(x))] + lambda E[(||grad f(c^)||_2 - 1)^2],   c^ = c + u (G(z) - c),   u ~ U[0, 1] per code;
G raises E[f(G(z))]. A sample is D(G(z)). Both networks of the game are perceptrons on a few dozen numbers, so it plays
thousands of rounds in the time in which a GAN of voxels plays some hundred.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ganvas.batches import Batch, Noise
from ganvas.borders import finished
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.perceptron import Perceptron
from ganvas.networks.voxels import VoxelDecoder, VoxelEncoder, without_crumbs
from ganvas.objectives.penalties import interpolation_penalty
from ganvas.objectives.schedules import linear_decay, until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "options": {"size": "32"},
    "title": "Learning Representations and Generative Models for 3D Point Clouds (latent GAN), on voxels",
    "authors": "Achlioptas, Diamanti, Mitliagkas, Guibas",
    "year": 2018,
    "paper": "arXiv 1707.02392",
    "summary": "solid shapes in minutes: an autoencoder first, then a GAN on its codes",
    "data": ["solid"],
    "aliases": ["latent-gan", "l-gan", "l-wgan"],
}

SIDES = (16, 32, 64, 128)
KEPT = 4096  # codes that the game draws from
SEEN = 32  # codes in a batch of the game


@dataclass(frozen=True)
class Config:
    code_size: int = knob(64, "numbers of a code, the bottleneck of the autoencoder", low=1)
    latent_size: int = knob(64, "size of the latent vector", low=1)
    width: int = knob(32, "channels of the autoencoder where its maps are largest; doubles towards the code", low=1, high=1024)
    patch: int = knob(
        4, "side of the blocks of voxels that are read and drawn at once, at most an eighth of the solid's", choices=(2, 4, 8)
    )
    hidden_width: int = knob(128, "units of the two hidden layers of G and of the critic", low=1, high=8192)
    autoencoder_share: float = knob(0.7, "share of the budget for the autoencoder, before the game", low=0.0, high=0.95)
    occupied_weight: float = knob(3.0, "of voxels inside, in the autoencoder's loss; those outside have 1", low=0.01)
    code_noise: float = knob(1.0, "standard deviation of noise that the decoder learns codes with", low=0.0)
    pretraining_learning_rate: float = knob(6e-3, "learning rate of the autoencoder (Adam), falling to 0", low=0.0)
    generator_learning_rate: float = knob(2e-3, "learning rate of G (Adam)", low=0.0)
    critic_learning_rate: float = knob(2e-3, "learning rate of the critic (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam in the game", low=0.0, high=0.9999)
    beta2: float = knob(0.9, "second beta of Adam in the game", low=0.0, high=0.99999)
    critic_turns: int = knob(1, "moves of the critic for one of G", low=1, high=100)
    generator_turns: int = knob(24, "moves of G for each batch of solids", low=1, high=100)
    penalty_weight: float = knob(10.0, "weight of the gradient penalty (lambda)", low=0.0)
    ema_half_life: float = knob(2_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    crumbs: float = knob(0.01, "parts of a sample smaller than this share of it are left out", low=0.0, high=0.5, later=True)
    batch_size: int = knob(32, "solids in a batch", low=2)


def auto(situation: Situation) -> dict[str, Any]:
    """Twice as wide on a GPU."""
    return {} if situation.device == "cpu" else {"width": 64, "code_size": 128, "latent_size": 128, "batch_size": 64}


PRESETS: dict[str, Any] = {
    "auto": auto,
    "paper": {
        "code_size": 128, "latent_size": 128, "patch": 2, "hidden_width": 256, "occupied_weight": 1.0, "code_noise": 0.0,
        "pretraining_learning_rate": 5e-4, "generator_learning_rate": 1e-4, "critic_learning_rate": 1e-4, "beta2": 0.999,
        "critic_turns": 5, "generator_turns": 1, "ema_half_life": 0.0, "batch_size": 50,
    },
}  # fmt: skip


class LatentGan3d(System):
    Config = Config
    couples_batch = "BatchNorm in the autoencoder: micro-batches and processes normalise over their own share"
    codes: Tensor
    seen: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        if spec.side not in SIDES:
            raise GanvasError(f"latent-gan-3d makes solids of 16, 32, 64 or 128 voxels a side, not {spec.side}: add --size 32")
        patch = min(config.patch, spec.side // 8)
        code, hidden = config.code_size, config.hidden_width
        self.encoder = VoxelEncoder(spec.side, code, config.width, patch)
        self.decoder = VoxelDecoder(spec.side, code, config.width, patch)
        self.generator = Perceptron(config.latent_size, code, width=hidden, layers=2)
        self.critic = Perceptron(code, 1, width=hidden, layers=2, nonlinearity="leaky-relu")
        self.average = copy.deepcopy(self.generator)
        self.register_buffer("codes", torch.zeros(KEPT, code))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))  # codes kept so far

    # The game

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1, beta2=self.config.beta2)

        share = self.config.autoencoder_share
        decay = linear_decay((1 + share) / 2)  # over the second half of the game, so that it comes to rest
        return (
            Player(
                "autoencoder",
                ("encoder", "decoder"),
                optimiser("adam", self.config.pretraining_learning_rate),
                linear_decay(0.5 * share, share),
            ),
            Player("critic", ("critic",), rule(self.config.critic_learning_rate), decay),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate), decay),
        )

    def phases(self) -> tuple[Phase, ...]:
        """A round of the game has one batch of solids, whose codes join those that are kept, and several moves on codes."""
        moves = (Turn("critic", self.estimate, times=self.config.critic_turns), Turn("generator", self.approach))
        game, share = Phase("game", moves * self.config.generator_turns), self.config.autoencoder_share
        autoencoder = Phase("autoencoder", (Turn("autoencoder", self.rebuild),), until=until_share(share))
        return (autoencoder, game) if share else (game,)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def reductions(self) -> Mapping[str, str]:
        return {"codes": "rank", "seen": "rank"}  # each process draws from the codes of its own solids

    def rebuild(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The autoencoder's turn: solids through their codes. Voxels inside are few, and weigh more."""
        codes = self.encoder(batch.real)
        if self.config.code_noise:
            codes = codes + self.config.code_noise * batch.noise.normal(len(codes), codes.shape[1])
        weight = codes.new_full((), self.config.occupied_weight)
        return {"rebuild": binary_cross_entropy_with_logits(self.decoder(codes), batch.real, pos_weight=weight)}

    def estimate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The critic's turn, on codes of solids that were seen and on made ones."""
        if "kept" not in shared:
            shared["kept"] = True
            self._keep(self._code(batch.real))
        real = self.codes[batch.noise.integers(KEPT, SEEN) % self.seen.clamp(1, KEPT)]
        with torch.no_grad():
            fake = self._made(batch.noise)
        penalty = interpolation_penalty(self.critic, real, fake, batch.noise.uniform(SEEN))
        return {
            "distance": self.critic(fake).mean() - self.critic(real).mean(),  # minus the Wasserstein estimate
            "penalty": self.config.penalty_weight * penalty,
        }

    def approach(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        return {"approach": -self.critic(self._made(batch.noise)).mean()}

    def _made(self, noise: Noise) -> Tensor:
        made: Tensor = self.generator(noise.normal(SEEN, self.config.latent_size))
        return made

    @torch.no_grad()
    def _code(self, solids: Tensor) -> Tensor:
        """Codes (B, code) of the encoder as it was left: in evaluation mode, or its BatchNorm would go on moving."""
        training = self.encoder.training
        try:
            codes: Tensor = self.encoder.eval()(solids)
            return codes
        finally:
            self.encoder.train(training)

    @torch.no_grad()
    def _keep(self, codes: Tensor) -> None:
        latest = codes[-KEPT:].to(self.codes.dtype)
        self.codes[(self.seen + torch.arange(len(latest), device=codes.device)) % KEPT] = latest
        self.seen += len(latest)

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """Occupancies (count, 1, side, side, side), without crumbs. Before the game has begun, normal numbers are codes."""
        latents, normal = noise.normal(count, self.config.latent_size), noise.normal(count, self.config.code_size)
        codes = torch.where(self.seen > 0, self.average(latents), normal)
        return finished(without_crumbs, {"occupancy": self.decoder(codes).sigmoid()}, self.config.crumbs)
