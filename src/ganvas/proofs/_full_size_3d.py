"""The baseline of the proof of `patch-gan-3d`: the same networks as one full-size GAN of volumes, without patches.

All stages follow one another from the latents to the full side, are learnt together, and one discriminator sees whole volumes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ganvas.batches import Batch, Noise
from ganvas.game import Average, Clock, Phase, Player, Shared, Terms, Turn
from ganvas.networks.patch_gan_3d import NOISE
from ganvas.objectives.adversarial import least_squares
from ganvas.optim import optimiser
from ganvas.systems.volumes import patch_gan_3d
from ganvas.systems.volumes.patch_gan_3d import PatchGan3d

CARD = {
    "title": "A full-size GAN of volumes, of the networks of patch-gan-3d",
    "authors": "baseline",
    "year": 2020,
    "paper": "arXiv 2010.03396",
    "summary": "a baseline: whole volumes at once",
    "data": ["volume"],
    "options": {"size": "64"},
}


@dataclass(frozen=True)
class Config(patch_gan_3d.Config):
    """As patch-gan-3d."""


PRESETS: dict[str, Any] = {"auto": {}}


class FullSizeGan3d(PatchGan3d):
    Config = Config

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        width, layers = config.width, []
        depths = [1, *(min(width * 2**k, 4 * width) for k in range(len(self.sides) + 1))]
        for before, after in itertools.pairwise(depths):
            layers += [nn.Conv3d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
        left = spec.side // 2 ** (len(depths) - 1)
        self.discriminator = nn.Sequential(*layers, nn.Flatten(), nn.Linear(depths[-1] * left**3, 1))  # type: ignore[assignment]
        self.judges = nn.ModuleList()

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1, beta2=0.99)

        clip = self.config.gradient_clip or None
        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate), clip=clip),
            Player("generator", ("generator", "details"), rule(self.config.generator_learning_rate), clip=clip),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        life = self.config.ema_half_life
        return (Average("generator", "average", life), Average("details", "average_details", life)) if life else ()

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._whole(len(batch), batch.noise, self.generator, self.details)
        return self._judged(self.discriminator, batch.real, shared["fake"].detach())

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fresh = "fake" not in shared
        fake = self._whole(len(batch), batch.noise, self.generator, self.details) if fresh else shared.pop("fake")
        return {"fool": least_squares(self.discriminator(fake), 1.0)}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        averaged = bool(self.config.ema_half_life)
        nets = (self.average, self.average_details) if averaged else (self.generator, self.details)
        return torch.cat([self._whole(1, noise, *nets) for _ in range(count)])

    def _whole(self, count: int, noise: Noise, generator: Any, details: Any) -> Tensor:
        volumes = generator(noise.normal(count, self.config.latent_size))
        for stage in details:
            volumes = pad(volumes, (stage.margin,) * 6, mode="replicate")
            volumes = stage(volumes, noise.normal(count, NOISE, *volumes.shape[2:]))
        return volumes
