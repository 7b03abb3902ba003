"""StyleGAN2 with adaptive discriminator augmentation. Karras, Laine, Aittala, Hellsten, Lehtinen, Aila, 2020, "Analyzing and
Improving the Image Quality of StyleGAN" (CVPR, arXiv 1912.04958); Karras, Aittala, Hellsten, Laine, Lehtinen, Aila, 2020,
"Training Generative Adversarial Networks with Limited Data" (NeurIPS, arXiv 2006.06676).

A mapping network turns the latent z into a style w; the style sets the channel scales of each convolution of the synthesis
network, coarse layers first, and noise maps add what is random in detail. The loss is the non-saturating one with
    R1:           gamma / 2  E ||grad D(x)||^2                       on real images, every 16 rounds
    path length:  E (||J_w^T y||_2 - a)^2,  y ~ N(0, 1/(H W)) images  on half a batch, every 4 rounds; a: mean length so far.
Both are weighted by their interval, and Adam's rate and betas are corrected for the additional steps. D sees real and fake
images through random changes; their probability p rises while sign(D(x)) says that D knows its training images by heart.

Networks: `ganvas.networks.style`. A trained run also projects images into the style space, and mixes styles.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.search import pyramid_error, search
from ganvas.networks.style import Mapping, ResidualDiscriminator, Synthesis
from ganvas.objectives.adaptive_augmentation import AdaptiveAugmentation
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.penalties import zero_centred_penalty
from ganvas.objectives.second_order import slopes
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Analyzing and Improving the Image Quality of StyleGAN (StyleGAN2), with adaptive augmentation",
    "authors": "Karras, Laine, Aittala, Hellsten, Lehtinen, Aila",
    "year": 2020,
    "paper": "arXiv 1912.04958",
    "summary": "styles per layer, few images suffice; projects images into its latent space and mixes styles",
    "data": ["image"],
    "aliases": ["stylegan", "stylegan2-ada", "ada"],
}

R1_EVERY, PATH_EVERY, ADAPT_EVERY = 16, 4, 4  # rounds
MEAN_DECAY, PATH_DECAY = 0.995, 0.99


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(512, "size of the latent and of the style vector", low=1)
    width: int = knob(32, "channels at full resolution; doubles inwards", low=1, high=1024)
    max_width: int = knob(512, "most channels of a layer", low=1, high=4096)
    layers: int = knob(8, "layers of the mapping network", low=1, high=32)
    r1_weight: float = knob(1.0, "gamma of R1 in units of 0.0002 x pixels / batch size; 0: off", low=0.0)
    path_weight: float = knob(2.0, "weight of the path length penalty; 0: off", low=0.0)
    noise_inputs: bool = knob(True, "give G a map of noise per layer, for what is random in detail")
    style_mixing: float = knob(0.9, "share of fakes that take the styles of two latents", low=0.0, high=1.0)
    ada_target: float = knob(0.6, "mean sign of D(real) that the controller keeps; 0: no augmentation", low=0.0, high=1.0)
    ada_span: float = knob(500_000.0, "images in which the probability can go from 0 to 1", low=1.0)
    flip: bool = knob(False, "let the augmentation mirror left and right")
    rotate: bool = knob(False, "let the augmentation turn by 90 degrees")
    ema_half_life: float = knob(10_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    generator_learning_rate: float = knob(2.5e-3, "learning rate of G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(2.5e-3, "learning rate of D (Adam)", low=0.0)
    batch_size: int = knob(32, "images in a batch", low=1)
    truncation: float = knob(1.0, "psi: styles are drawn towards their mean; 1: as trained", low=-2.0, high=2.0, later=True)
    search_steps: int = knob(200, "steps of a projection", low=1, later=True)
    space: str = knob("w+", "where to project: one style for all layers, or one each", choices=("w", "w+"), later=True)


WORK_PER_IMAGE = 0.65 / 16**2 / 32**2  # GFLOP of a round for one image, by the square of the width and by pixels
IMAGES_WANTED = {8: 0, 16: 30_000, 24: 300_000, 32: 1_000_000}  # width -> images it takes to pay off
SEEN_OFTEN = 20  # times that each image is shown, above which the discriminator may learn it by heart


def auto(situation: Situation) -> dict[str, Any]:
    """A small network with a short mapping and a quick controller on a CPU; the largest width the budget can pay for."""
    spec = situation.spec
    pixels = spec.height * spec.width
    width = widest(situation, IMAGES_WANTED, lambda width: WORK_PER_IMAGE * width**2 * pixels)
    shown = situation.pays_for(WORK_PER_IMAGE * width**2 * pixels)
    return {
        "latent_size": 128,
        "width": width,
        "max_width": 8 * width,
        "layers": 2,
        "noise_inputs": False,
        "path_weight": 0.0,
        "ema_half_life": 5_000.0,
        "r1_weight": 80.0,
        # While images come round a few times only, D cannot learn them by heart, and augmentation would but slow it down.
        "ada_target": 0.3 if shown > SEEN_OFTEN * situation.records else 0.0,
        "ada_span": min(500_000.0, max(20_000.0, shown / 3)),
        "batch_size": 16 if situation.device == "cpu" else 32,
    }


def paper(situation: Situation) -> dict[str, Any]:
    """The sizes of the original: channels by resolution; the formula of R1, and the rate for 1024 pixels."""
    large = situation.spec.height * situation.spec.width >= 1024**2
    rate = 2e-3 if large else 2.5e-3
    return {"width": 32 if large else 64, "generator_learning_rate": rate, "discriminator_learning_rate": rate}


PRESETS: dict[str, Any] = {"auto": auto, "paper": paper}


class StyleGan2(System):
    Config = Config
    path_mean: Tensor
    couples_batch = "minibatch standard deviation in D, and the lengths' and signs' means: over the records at hand"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.mapping = Mapping(config.latent_size, config.layers)
        self.synthesis = Synthesis(config.latent_size, spec.shape, config.width, config.max_width)
        self.discriminator = ResidualDiscriminator(spec.shape, config.width, config.max_width)
        self.average_mapping, self.average_synthesis = copy.deepcopy(self.mapping), copy.deepcopy(self.synthesis)
        self.style_layers = self.synthesis.style_layers
        self.augmentation = AdaptiveAugmentation(config.ada_target, config.ada_span, mirror=config.flip, turns=config.rotate)
        self.register_buffer("path_mean", torch.zeros(()))
        self.gamma = config.r1_weight * 2e-4 * spec.height * spec.width / config.batch_size

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float, every: int, lazy: bool) -> Any:
            share = every / (every + 1) if lazy else 1.0
            return optimiser("adam", rate * share, beta1=0.0, beta2=0.99**share)

        config = self.config
        return (
            Player("discriminator", ("discriminator",), rule(config.discriminator_learning_rate, R1_EVERY, self.gamma > 0)),
            Player(
                "generator", ("mapping", "synthesis"), rule(config.generator_learning_rate, PATH_EVERY, config.path_weight > 0)
            ),
        )

    def phases(self) -> tuple[Phase, ...]:
        turns = [Turn("discriminator", self.discriminate)]
        if self.gamma > 0:
            turns.append(Turn("discriminator", self.flatten, every=R1_EVERY))
        turns.append(Turn("generator", self.fool))
        if self.config.path_weight > 0:
            turns.append(Turn("generator", self.path_length, every=PATH_EVERY))
        return (Phase("play", tuple(turns)),)

    def averages(self) -> tuple[Average, ...]:
        pairs = (("mapping", "average_mapping"), ("synthesis", "average_synthesis"))
        return tuple(Average(source, target, self.config.ema_half_life, ramp=0.05) for source, target in pairs)

    # The game

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        if clock.round % ADAPT_EVERY == 0:
            self.augmentation.adapt(batch.noise.world)
        shared["fake"] = self._fake(batch)  # with its graph: the generator's turn goes on from here
        real = self.discriminator(self.augmentation(batch.real, batch.noise))
        fake = self.discriminator(self.augmentation(shared["fake"].detach(), batch.noise))
        self.augmentation.count(real)
        return {"real": real_is_real(real), "fake": fake_is_fake(fake)}

    def flatten(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """R1 (Mescheder et al. 2018) at real images as D sees them, in full precision."""
        with torch.autocast(batch.real.device.type, enabled=False):
            images = self.augmentation(batch.real, batch.noise).detach().requires_grad_()
            return {"r1": self.gamma * R1_EVERY / 2 * zero_centred_penalty(images, self.discriminator(images))}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch)
        return {"fool": non_saturating(self.discriminator(self.augmentation(fake, batch.noise)))}

    def path_length(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Equation 4, on half a batch of latents of its own, in full precision."""
        count = max(1, len(batch) // 2)
        with torch.autocast(batch.real.device.type, enabled=False):
            styles = self._styles(batch.noise, count)
            images = self.synthesis(styles, self._maps(batch.noise, count))
            directions = batch.noise.normal(*images.shape) / math.sqrt(images.shape[2] * images.shape[3])
            slope = slopes(images * directions, styles)
            lengths = (slope.square().sum(2).mean(1) + 1e-12).sqrt()
            mean = lengths.detach().mean().lerp(self.path_mean, PATH_DECAY)
            self.path_mean.copy_(mean)
            return {"path": self.config.path_weight * PATH_EVERY * (lengths - mean).square().mean()}

    def _fake(self, batch: Batch) -> Tensor:
        maps = self._maps(batch.noise, len(batch))
        return self.synthesis(self._styles(batch.noise, len(batch)), maps)

    def _maps(self, noise: Noise, count: int) -> Tensor | None:
        return noise.normal(count, self.synthesis.noise_size) if self.config.noise_inputs else None

    def _styles(self, noise: Noise, count: int) -> Tensor:
        """(B, style_layers, latent) styles of fresh latents; in the share `style_mixing` a second takes over at some layer."""
        latents = noise.normal(count, 2, self.config.latent_size)
        styles = self.mapping(latents.flatten(0, 1)).unflatten(0, (count, 2))
        first, second = styles[:, :1], styles[:, 1:]
        self.mapping.mean.lerp_(first.detach().mean((0, 1)), 1 - MEAN_DECAY)
        takes_over = noise.integers(self.style_layers - 1, count)[:, None] + 1
        layer = torch.arange(self.style_layers, device=first.device)
        taken = (layer >= takes_over) & (noise.uniform(count, 1) < self.config.style_mixing)
        return torch.where(taken[:, :, None], second, first)

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self._drawn(self._truncated(noise.normal(count, self.config.latent_size)), noise)

    def mix(self, coarse: Tensor, fine: Tensor, layer: int, noise: Noise) -> Tensor:
        """Images with the styles of latents `coarse` before `layer` and those of `fine` from it on."""
        if not 1 <= layer < self.style_layers:
            raise ValueError(f"the layer of mixing must be 1 to {self.style_layers - 1}, not {layer}")
        before, after = self._truncated(coarse), self._truncated(fine)
        return self._drawn(torch.cat([before[:, :layer], after[:, layer:]], dim=1), noise)

    def project(self, images: Tensor, noise: Noise) -> Tensor:
        """Styles (B, style_layers, latent) whose image is near: gradient descent from the mean style (appendix D, simplified).

        The loss is the squared difference of pixels at full, half, quarter ... size, together; each record is for itself.
        """
        latents = noise.normal(1024, self.config.latent_size)
        spread = (self.average_mapping(latents) - self.average_mapping.mean).square().mean().sqrt()
        places = self.style_layers if self.config.space == "w+" else 1
        start = self.average_mapping.mean.expand(len(images), places, -1)

        def rate(share: float) -> float:
            return 0.1 * min(1.0, 20 * share + 0.05) * (0.5 + 0.5 * math.cos(math.pi * share))

        def loss(styles: Tensor, share: float) -> Tensor:
            shaken = styles + noise.normal(*styles.shape) * (0.05 * spread * max(0.0, 1 - share / 0.75) ** 2)
            return pyramid_error(self.average_synthesis(shaken.expand(-1, self.style_layers, -1), None), images)

        return search(start, loss, self.config.search_steps, rate).expand(-1, self.style_layers, -1)

    def reconstruct(self, latents: Tensor) -> Tensor:
        """Images (B, C, H, W) of styles (B, style_layers, latent), without noise."""
        return self.average_synthesis(latents, None).clamp(-1, 1)

    def _truncated(self, latents: Tensor) -> Tensor:
        """(B, style_layers, latent), drawn towards the mean style by the truncation."""
        mean = self.average_mapping.mean
        styles = mean + self.config.truncation * (self.average_mapping(latents) - mean)
        return styles[:, None].expand(-1, self.style_layers, -1)

    def _drawn(self, styles: Tensor, noise: Noise) -> Tensor:
        return self.average_synthesis(styles, self._maps(noise, len(styles))).clamp(-1, 1)
