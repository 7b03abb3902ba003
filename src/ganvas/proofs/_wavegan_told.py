"""WaveGAN that is told a class: the baseline of `gan-tts`. Donahue, McAuley, Puckette 2019 (arXiv 1802.04208), with the class
beside the noise and, as maps that are 1 or 0 throughout, beside the sound that the critic sees (Mirza and Osindero 2014, arXiv
1411.1784).

Not a system of the catalogue.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ganvas.batches import Batch, Noise
from ganvas.game import Clock, Shared, Terms
from ganvas.objectives.penalties import interpolation_penalty
from ganvas.systems.sound.wavegan import PRESETS, Config, Critic, Generator, WaveGan

__all__ = ["CARD", "PRESETS", "Config", "ToldWaveGan"]

CARD = {
    "title": "WaveGAN that is told a class",
    "authors": "Donahue, McAuley, Puckette",
    "year": 2019,
    "paper": "arXiv 1802.04208",
    "summary": "the baseline of the proof of gan-tts",
    "data": ["sound"],
}


class ToldWaveGan(WaveGan):
    Config = Config

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.classes = len(spec.classes)
        channels, length = spec.shape
        kinds = {"upsampling": config.upsampling, "post_filter": config.post_filter_size}
        self.generator = Generator(config.latent_size + self.classes, spec.shape, config.width, **kinds)
        self.critic = Critic((channels + self.classes, length), config.width)
        self.average = copy.deepcopy(self.generator)

    def estimate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake, share = self._fake(batch).detach(), batch.noise.uniform(len(batch))
        on_fake, on_real, between = (self._shifts(batch) for _ in range(3))
        penalty = interpolation_penalty(lambda x: self.critic(self._beside(x, batch), between), batch.real, fake, share)
        distance = self.critic(self._beside(fake, batch), on_fake) - self.critic(self._beside(batch.real, batch), on_real)
        return {"distance": distance.mean(), "penalty": self.config.penalty_weight * penalty}

    def approach(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        return {"approach": -self.critic(self._beside(self._fake(batch), batch), self._shifts(batch)).mean()}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        labels = noise.integers(self.classes, count) if labels is None else labels
        return self.average(self._told(self._latents(noise, count), labels))

    def _fake(self, batch: Batch) -> Tensor:
        assert batch.labels is not None
        return self.generator(self._told(self._latents(batch.noise, len(batch)), batch.labels))

    def _told(self, latents: Tensor, labels: Tensor) -> Tensor:
        return torch.cat([latents, one_hot(labels, self.classes).to(latents)], 1)

    def _beside(self, sounds: Tensor, batch: Batch) -> Tensor:
        assert batch.labels is not None
        maps = one_hot(batch.labels, self.classes).to(sounds)[:, :, None].expand(-1, -1, sounds.shape[2])
        return torch.cat([sounds, maps], 1)
