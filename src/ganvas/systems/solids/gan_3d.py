"""3D-GAN. Wu, Zhang, Xue, Freeman, Tenenbaum, 2016, "Learning a Probabilistic Latent Space of Object Shapes via 3D
Generative-Adversarial Modeling" (NIPS, arXiv 1610.07584).

Shapes as occupancies of a cube of voxels. G doubles a 4^3 map by transposed 3-D convolutions (kernel 4, stride 2, BatchNorm,
ReLU) until it has the data's side, and ends in a sigmoid; D mirrors it with strided convolutions and leaky ReLU(0.2). The
latent is uniform in [0, 1]^200. The loss is binary cross-entropy, G's the non-saturating one. In three dimensions D learns
much faster than G, so it moves at a lower rate, and only when it was right on at most 80 % of the last batch:
    accuracy = (share of D(x) > 1/2 + share of D(G(z)) < 1/2) / 2.
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "options": {"size": "32"},
    "title": "Learning a Probabilistic Latent Space of Object Shapes via 3D Generative-Adversarial Modeling (3D-GAN)",
    "authors": "Wu et al.",
    "year": 2016,
    "paper": "arXiv 1610.07584",
    "summary": "solid shapes as voxels; meshes in, smooth meshes out",
    "data": ["solid"],
    "aliases": ["3d-gan", "3dgan"],
}

SIDES = (16, 32, 64)


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(200, "size of the latent vector", low=1)
    latent_distribution: str = knob(
        "uniform", "drawn uniformly in [0, 1], or from a normal distribution", choices=("uniform", "normal")
    )
    width: int = knob(64, "channels at half the side; doubles towards the latent", low=1, high=1024)
    generator_learning_rate: float = knob(2.5e-3, "learning rate of G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(1e-5, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    accuracy_gate: float = knob(0.8, "D sits out while its accuracy is above this; 1: never", low=0.0, high=1.0)
    initial_occupancy: float = knob(0.1, "share of voxels that an untrained G fills", low=0.001, high=0.999)
    instance_noise: float = knob(0.0, "standard deviation of the noise that D sees real and generated voxels through", low=0.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(100, "solids in a batch", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """A quarter of the paper's width on a CPU (half at 16 voxels), equal rates, normal latents, noise before D, an average."""
    small = situation.device == "cpu"
    width = 64 if not small else 32 if situation.spec.side == 16 else 16
    return {
        "latent_size": 64 if small else 200, "latent_distribution": "normal", "width": width,
        "generator_learning_rate": 5e-4, "discriminator_learning_rate": 5e-4, "instance_noise": 0.5, "ema_half_life": 5_000.0,
        "batch_size": 32 if small else 64,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


def initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm3d):
        nn.init.normal_(module.weight, 1.0, 0.02)


class VoxelGenerator(nn.Module):
    """Latents (B, latent) -> occupancies (B, 1, side, side, side) in [0, 1]."""

    def __init__(self, latent: int, side: int, width: int, occupancy: float) -> None:
        super().__init__()
        stages = int(math.log2(side // 4))
        widths = [width * 2 ** (stages - 1 - i) for i in range(stages)]
        layers: list[nn.Module] = [nn.ConvTranspose3d(latent, widths[0], 4, bias=False)]
        for before, after in itertools.pairwise(widths):
            layers += [nn.BatchNorm3d(before), nn.ReLU(inplace=True), nn.ConvTranspose3d(before, after, 4, 2, 1, bias=False)]
        final = nn.ConvTranspose3d(widths[-1], 1, 4, 2, 1)
        self.layers = nn.Sequential(*layers, nn.BatchNorm3d(widths[-1]), nn.ReLU(inplace=True), final, nn.Sigmoid())
        self.apply(initialise)
        # Solids fill little of their cube: from one half, the first thing G learns would be to switch everything off.
        assert final.bias is not None
        nn.init.constant_(final.bias, math.log(occupancy / (1 - occupancy)))

    def forward(self, latents: Tensor) -> Tensor:
        return self.layers(latents[:, :, None, None, None])


class VoxelDiscriminator(nn.Module):
    """Occupancies (B, 1, side, side, side) -> logits (B,), no sigmoid."""

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        stages = int(math.log2(side // 4))
        widths = [width * 2**i for i in range(stages)]
        layers: list[nn.Module] = [nn.Conv3d(1, widths[0], 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv3d(before, after, 4, 2, 1, bias=False), nn.BatchNorm3d(after), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv3d(widths[-1], 1, 4))
        self.apply(initialise)

    def forward(self, solids: Tensor) -> Tensor:
        return self.layers(solids).flatten()


class Gan3d(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"
    accuracy: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        if spec.side not in SIDES:
            raise GanvasError(f"gan-3d makes solids of 16, 32 or 64 voxels a side, not {spec.side}: add --size 32")
        self.generator = VoxelGenerator(config.latent_size, spec.side, config.width, config.initial_occupancy)
        self.discriminator = VoxelDiscriminator(spec.side, config.width)
        self.average = copy.deepcopy(self.generator)
        self.register_buffer("accuracy", torch.zeros(()))

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1)

        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate)),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate)),
        )

    def phases(self) -> tuple[Phase, ...]:
        gated = Turn("discriminator", self.discriminate, times=self.gate)
        return (Phase("play", (gated, Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def gate(self, clock: Clock) -> int:
        """1 while D may move. Of several processes the first one's buffer decides for all (the Engine sees to it)."""
        return int(self.accuracy.item() <= self.config.accuracy_gate)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._fake(batch)  # with its graph: the generator's turn goes on from here
        real = self.discriminator(self._seen(batch.real, batch))  # real and fake apart: BatchNorm must not mix them
        fake = self.discriminator(self._seen(shared["fake"].detach(), batch))
        self._measure(real, fake)
        return {"real": real_is_real(real), "fake": fake_is_fake(fake)}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        sat_out = "fake" not in shared
        fake = self.discriminator(self._seen(self._fake(batch) if sat_out else shared.pop("fake"), batch))
        if sat_out:  # or the gate would never open again
            with torch.no_grad():
                self._measure(self.discriminator(self._seen(batch.real, batch)), fake)
        return {"fool": non_saturating(fake)}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self.average(self._latents(count, noise))

    def _fake(self, batch: Batch) -> Tensor:
        return self.generator(self._latents(len(batch), batch.noise))

    def _latents(self, count: int, noise: Noise) -> Tensor:
        """(count, latent). Latents in [0, 1] have a mean that acts like a bias: a small G can learn to listen to it alone."""
        drawn = noise.normal if self.config.latent_distribution == "normal" else noise.uniform
        return drawn(count, self.config.latent_size)

    def _seen(self, solids: Tensor, batch: Batch) -> Tensor:
        """What D sees. Real voxels are exactly 0 or 1, which gives generated ones away whatever their shape; noise hides it."""
        if not self.config.instance_noise:
            return solids
        return solids + self.config.instance_noise * batch.noise.normal(len(solids), *solids.shape[1:])

    @torch.no_grad()
    def _measure(self, real: Tensor, fake: Tensor) -> None:
        self.accuracy.copy_(((real > 0).float().mean() + (fake < 0).float().mean()) / 2)
