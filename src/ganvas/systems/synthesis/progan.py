"""Progressive growing of GANs. Karras, Aila, Laine, Lehtinen, 2018, "Progressive Growing of GANs for Improved Quality,
Stability, and Variation" (ICLR, arXiv 1710.10196).

Generator and critic begin at 4x4 pixels. At each further size a block is added to both and fades in (figure 2): with alpha
rising from 0 to 1, G draws (1 - alpha) x the doubled image of the size before + alpha x its new one, the critic reads images
by both ways, and real images are blended alike. The game is WGAN-GP with one move of each, and a drift term (appendix A.1):
    min_f  E[f(G(z))] - E[f(x)] + lambda E[(||grad f(x^)||_2 - 1)^2] + epsilon E[f(x)^2],   lambda = 10, epsilon = 0.001.
Weights start at N(0, 1) and are scaled when used (4.1); each pixel's vector of channels in G is brought to length
sqrt(channels) (4.2); the critic sees how much the records of a batch differ (3). Samples come from a moving average of G.

Baur, Albarqouni, Navab, 2018 (arXiv 1804.04338, 1809.01410) drew skin lesions with it. Networks: `ganvas.networks.progressive`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.progressive import ProgressiveCritic, ProgressiveGenerator, blended, doubled, halved
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.penalties import interpolation_penalty
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Progressive Growing of GANs for Improved Quality, Stability, and Variation",
    "authors": "Karras, Aila, Laine, Lehtinen",
    "year": 2018,
    "paper": "arXiv 1710.10196",
    "summary": "learns small images first and grows to full size: most images are seen where they are cheap",
    "data": ["image"],
    "aliases": ["pggan", "progressive-gan", "progressive-growing"],
}

OPEN_STAGE = 600_000  # images of a fade, and as many after it, where no budget says how long all of them may take


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(512, "size of the latent vector", low=1)
    width: int = knob(16, "channels at full size; doubles inwards", low=1, high=1024)
    max_width: int = knob(512, "most channels of a layer", low=1, high=4096)
    grow: bool = knob(True, "learn small sizes first; off: the same networks at full size from the start")
    stage_growth: float = knob(2.0, "share of the budget of each size, in that of the size before", low=0.1, high=10.0)
    fade_share: float = knob(0.4, "share of a size's time in which it fades in", low=0.05, high=0.95)
    stage_samples: int = knob(0, "images of a fade, and as many after it; 0: shares of the budget", low=0)
    pixel_norm: bool = knob(True, "bring each pixel's channels to one length in G")
    deviation_group: int = knob(4, "records whose spread the critic sees (minibatch standard deviation); 0: none", low=0)
    penalty_weight: float = knob(10.0, "weight of the gradient penalty (lambda)", low=0.0)
    drift_weight: float = knob(1e-3, "weight of the critic's squared value (epsilon)", low=0.0)
    generator_learning_rate: float = knob(1e-3, "learning rate of G (Adam)", low=0.0)
    critic_learning_rate: float = knob(1e-3, "learning rate of the critic (Adam)", low=0.0)
    coarse_rates: float = knob(1.0, "rates at a size, in those at the next larger one", low=0.1, high=10.0)
    rate_ramp: int = knob(40_000, "images over which rates rise from 0 whenever a size comes in", low=0)
    beta1: float = knob(0.0, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.99, "second beta of Adam", low=0.0, high=0.99999)
    augment: tuple[str, ...] = knob((), "changes that the critic sees on real and fake alike", choices=POLICIES)
    ema_half_life: float = knob(10_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(16, "images in a batch", low=1)


WORK_PER_IMAGE = 1.2 / 8**2 / 128**2  # GFLOP of a round at full size for one image, by the square of the width and by pixels
IMAGES_WANTED = {8: 0, 16: 150_000, 32: 1_000_000, 64: 5_000_000}  # width -> images at full size; beyond 8 not tried
NARROW = 16


def auto(situation: Situation) -> dict[str, Any]:
    """The largest width that sees enough images at full size within the budget.

    Narrow networks are for minutes, and take larger steps where images are small: at one rate for all sizes the small ones
    learn too slowly or the large ones become unstable (skin lesions, 64 pixels, 30 s of a core: kernel distance 0.89 with
    4e-3 and 1.4 times that at each halving, 1.03 with 7e-3 and 1.2 times).
    """
    pixels = situation.spec.height * situation.spec.width
    width = widest(situation, IMAGES_WANTED, lambda width: WORK_PER_IMAGE * width**2 * pixels)
    own: dict[str, Any] = {"width": width, "augment": ("color", "translation") if situation.records < 20_000 else ()}
    if width > NARROW:
        return own
    rates = {"generator_learning_rate": 4e-3, "critic_learning_rate": 4e-3, "coarse_rates": 1.4, "rate_ramp": 500}
    return {**own, **rates, "latent_size": 64, "max_width": 4 * width, "ema_half_life": 1_000.0}


def paper(situation: Situation) -> dict[str, Any]:
    """Channels by resolution, 16 at 1024 pixels and 512 from 32 pixels inwards; 800,000 images a fade and a stage."""
    side = max(situation.spec.height, situation.spec.width)
    return {"width": max(1, min(512, 16_384 // side)), "stage_samples": 800_000}


PRESETS: dict[str, Any] = {"auto": auto, "paper": paper}


class ProGan(System):
    Config = Config
    couples_batch = "minibatch standard deviation in the critic: over the records at hand"
    grown: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        size = (spec.shape, config.width, config.max_width)
        self.generator = ProgressiveGenerator(config.latent_size, *size, norm=config.pixel_norm)
        self.critic = ProgressiveCritic(*size, group=config.deviation_group)
        self.average = copy.deepcopy(self.generator)
        self.last = len(self.generator.sizes) - 1
        # 1.3: the second size, and 0.3 of the third. It never falls, whatever becomes of the budget.
        self.register_buffer("grown", torch.full((), 0.0 if config.grow else float(self.last)))
        self.plan = self._planned()

    # When: the sizes

    def _planned(self) -> dict[str, tuple[int, bool, float, float]]:
        """Phase -> (level, whether it fades in, share of the budget at its start and at its end)."""
        names = ["x".join(map(str, size)) for size in self.generator.sizes]
        if not self.config.grow:
            return {names[-1]: (self.last, False, 0.0, 1.0)}
        weights = [self.config.stage_growth**level for level in range(self.last + 1)]
        ends = list(accumulate(weight / sum(weights) for weight in weights))
        plan = {names[0]: (0, False, 0.0, ends[0])}
        for level, name in enumerate(names[1:], start=1):
            start, end = ends[level - 1], ends[level]
            middle = start + self.config.fade_share * (end - start)
            plan[f"to {name}"], plan[name] = (level, True, start, middle), (level, False, middle, end)
        return plan

    def phases(self) -> tuple[Phase, ...]:
        turns = (Turn("critic", self.estimate), Turn("generator", self.approach))
        *before, final = self.plan
        return (*(Phase(name, turns, until=self._until(name)) for name in before), Phase(final, turns))

    def _until(self, name: str) -> Callable[[Clock], bool]:
        return lambda clock: self._done(clock, name) >= 1.0

    def _done(self, clock: Clock, name: str) -> float:
        """How much of a phase is over, 0 to 1 and beyond: by the budget, or by images where that is wanted or it is open."""
        if self.config.stage_samples or not clock.progress:
            return clock.phase_samples / (self.config.stage_samples or OPEN_STAGE)
        _, _, start, end = self.plan[name]
        return (clock.progress - start) / (end - start)

    def pace(self, clock: Clock) -> float:
        """The factor on the rates: that of the size, to which they rise anew when it comes in."""
        level, fading, _, _ = self.plan[clock.phase]
        factor, ramp = self.config.coarse_rates ** (self.last - level), self.config.rate_ramp
        begins = fading or clock.phase == next(iter(self.plan))
        return factor * min(1.0, clock.phase_samples / ramp) if ramp and begins else factor

    def _stage(self, clock: Clock) -> tuple[int, Tensor | None]:
        """The level in play, and how far it has faded in (), None: wholly."""
        level, fading, _, _ = self.plan[clock.phase]
        share = min(1.0, max(0.0, self._done(clock, clock.phase))) if fading else 1.0
        self.grown.copy_(torch.maximum(self.grown, torch.full_like(self.grown, level - 1 + share)))
        return level, (self.grown - (level - 1)).clamp(0, 1) if fading else None

    # The game

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1, beta2=self.config.beta2)

        return (
            Player("critic", ("critic",), rule(self.config.critic_learning_rate), self.pace),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate), self.pace),
        )

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.half_life),)

    def half_life(self, clock: Clock) -> float:
        """At most a fifth of the images of the phase: what a block was before it began to learn is soon forgotten."""
        return min(self.config.ema_half_life, clock.phase_samples / 5)

    def estimate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        level, alpha = self._stage(clock)
        shared["fake"] = self._fake(batch, level, alpha)  # with its graph: the generator's turn goes on from here
        real = self._seen(self.brought_to(batch.real, level, alpha), batch)
        fake = self._seen(shared["fake"].detach(), batch)

        def critic(images: Tensor) -> Tensor:
            return self.critic(images, level, alpha)

        said = critic(real)
        penalty = interpolation_penalty(critic, real, fake, batch.noise.uniform(len(batch)))
        return {
            "distance": critic(fake).mean() - said.mean(),  # minus the Wasserstein estimate
            "penalty": self.config.penalty_weight * penalty,
            "drift": self.config.drift_weight * said.square().mean(),
        }

    def approach(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        level, alpha = self._stage(clock)
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch, level, alpha)
        return {"approach": -self.critic(self._seen(fake, batch), level, alpha).mean()}

    def brought_to(self, images: Tensor, level: int, alpha: Tensor | None) -> Tensor:
        """Real images (B, C, H, W) at the size of a level; while it fades in they are as coarse as what G draws."""
        for _ in range(self.last - level):
            images = halved(images)
        if alpha is None or not level:
            return images
        return blended(doubled(halved(images), self.generator.sizes[level]), images, alpha)

    def _fake(self, batch: Batch, level: int, alpha: Tensor | None) -> Tensor:
        made: Tensor = self.generator(batch.noise.normal(len(batch), self.config.latent_size), level, alpha)
        return made

    def _seen(self, images: Tensor, batch: Batch) -> Tensor:
        return augment(images, batch.noise, self.config.augment)

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """Images (count, *spec.shape); before full size is reached, those of the size it has come to, doubled."""
        return self.average.grown(noise.normal(count, self.config.latent_size), self.grown).clamp(-1, 1)
