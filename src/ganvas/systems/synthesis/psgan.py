"""Periodic Spatial GAN. Bergmann, Jetchev, Vollgraf, 2017, "Learning Texture Manifolds with the Periodic Spatial GAN" (ICML,
arXiv 1705.06566).

A texture looks alike everywhere, so networks without a fully connected layer make it at any size: of a field of noise Z with a
cell for each 2^layers pixels. The loss is the mean over all places (i, j) of D's map (Jetchev et al. 2016, SGAN):
    min_G max_D  E[ mean_ij log D_ij(x) ] + E[ mean_ij log(1 - D_ij(G(Z))) ]
Z has three parts: Z_l, drawn anew for every cell; Z_g, one vector for the whole field, which says what texture it is; and
    Z_p = sin(K1(Z_g) u + K2(Z_g) v + phi),   phi uniform for each image and wave,   (K1, K2) learnt
at cell (u, v), waves by which things that recur do so however far apart they are. Without Z_p and Z_g it is SGAN.

Crops of the pictures are the records: one picture is enough. Networks: `networks/psgan.py`; noise of large images:
`inference/cells.py`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.cells import Field, painted
from ganvas.kinds.image.resize import MOST_CROPS
from ganvas.networks.convolutional import middle
from ganvas.networks.psgan import HALO, STARTS, BorderlessGenerator, PlaceDiscriminator, Waves
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "options": {"fit": "crops", "size": "64", "heldout": "0"},
    "title": "Learning Texture Manifolds with the Periodic Spatial GAN (PSGAN)",
    "authors": "Bergmann, Jetchev, Vollgraf",
    "year": 2017,
    "paper": "arXiv 1705.06566",
    "summary": "textures of any size, seamless where wanted, from one picture or a few; what recurs keeps its period",
    "data": ["image"],
    "aliases": ["sgan-texture", "texture-gan"],
}


@dataclass(frozen=True)
class Config:
    local_size: int = knob(30, "numbers drawn for every cell", low=1)
    style_size: int = knob(60, "numbers of a whole image, which say what texture it is; 0: none", low=0)
    waves: int = knob(6, "plane waves in the noise, whose periods are learnt; 0: none", low=0)
    wave_start: str = knob("axes", "waves begin as going down and across, or spread over all directions", choices=STARTS)
    wave_units: int = knob(50, "units between style and wave numbers", low=1)
    layers: int = knob(5, "layers of each network; a cell of noise stands for 2^layers pixels", low=1, high=7)
    kernel: int = knob(5, "side of G's kernels; D's are of 5", choices=(4, 5))
    width: int = knob(64, "channels next to the image; doubles inwards, at most 8 times", low=1, high=1024)
    weight_decay: float = knob(1e-5, "weight of the squares of all weights, in both losses", low=0.0)
    generator_learning_rate: float = knob(5e-4, "learning rate of G and of the wave numbers (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(5e-4, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(0.0, "half-life in samples of the G that textures are made by; 0: none", low=0.0)
    batch_size: int = knob(64, "crops in a batch", low=2)


WORK_PER_CROP = 0.09 / 16**2  # GFLOP of one round for one crop of 64x64 with four layers, by the square of the width
CROPS_WANTED = {16: 0.0, 24: 60_000.0, 32: 150_000.0, 64: 1_000_000.0}  # width -> crops it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Cells of 16 pixels where the crops have four of them, waves in all directions, a slower D, width by the budget; styles
    where there are more crops than one picture gives: of one, they would vary what does not."""
    pixels = situation.spec.height * situation.spec.width / 64**2
    layers = 4 if min(situation.spec.height, situation.spec.width) >= 64 else 3
    width = widest(situation, CROPS_WANTED, lambda width: WORK_PER_CROP * width**2 * pixels)
    styles = 8 if situation.records > MOST_CROPS else 0
    noise = {"local_size": 20, "style_size": styles, "waves": 12, "wave_start": "spread", "wave_units": 32}
    learning = {"discriminator_learning_rate": 2e-4, "batch_size": 16, "ema_half_life": 2_000.0}
    return {**noise, **learning, "layers": layers, "kernel": 4, "width": width}


def sgan(situation: Situation) -> dict[str, Any]:
    """Jetchev et al. 2016: noise of every cell alone; else as `auto`."""
    return {**auto(situation), "style_size": 0, "waves": 0, "local_size": 50}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}, "sgan": sgan}


class PsGan(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.grain = 2**config.layers
        if min(spec.height, spec.width) < 8:
            raise GanvasError(f"crops of {spec.height}x{spec.width} are too small for a texture: the least is 8 (see --size)")
        self.styles = config.style_size
        size = config.local_size + config.style_size + config.waves
        self.generator = BorderlessGenerator(size, spec.channels, config.width, config.layers, config.kernel)
        self.waves = Waves(config.waves, config.style_size, config.wave_units, config.wave_start) if config.waves else None
        self.discriminator = PlaceDiscriminator(spec.channels, config.width, config.layers)
        if config.ema_half_life:
            self.average, self.average_waves = copy.deepcopy(self.generator), copy.deepcopy(self.waves)

    # The game

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1)

        made = ("generator", "waves") if self.config.waves else ("generator",)
        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate)),
            Player("generator", made, rule(self.config.generator_learning_rate)),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        if not self.config.ema_half_life:
            return ()
        made = (Average("generator", "average", self.config.ema_half_life),)
        return (*made, Average("waves", "average_waves", self.config.ema_half_life)) if self.config.waves else made

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._fake(batch)  # with its graph: the generator's turn goes on from here
        real = self.discriminator(batch.real)  # real and fake apart: BatchNorm must not mix them
        fake = self.discriminator(shared["fake"].detach())
        return {"real": real_is_real(real), "fake": fake_is_fake(fake), **self._decay(self.discriminator)}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch)
        return {"fool": non_saturating(self.discriminator(fake)), **self._decay(self.generator)}

    def _fake(self, batch: Batch) -> Tensor:
        """As many crops as the batch has, each of its own style and phases."""
        return self._crops(len(batch), batch.noise, self.generator, self.waves)

    def _crops(self, count: int, noise: Noise, generator: Any, waves: Any) -> Tensor:
        height, width = self.spec.height, self.spec.width
        field = self._field(noise, self.drawn_styles(count, noise)[:, None], height, width, waves)
        return middle(generator(field.window(0, 0, field.rows, field.columns)), height, width)

    def _decay(self, network: Any) -> Terms:
        if not self.config.weight_decay:
            return {}
        squares = sum(parameter.square().sum() for parameter in network.parameters() if parameter.dim() > 1)
        return {"decay": self.config.weight_decay * squares}

    def _field(self, noise: Noise, styles: Tensor, height: int, width: int, waves: Any, endless: bool = False) -> Field:
        """Noise for images of height x width pixels, of styles (B, K, S) side by side."""
        rows, columns = -(-height // self.grain), -(-width // self.grain)
        numbers = None if waves is None else waves(styles.flatten(0, 1)).unflatten(0, styles.shape[:2])
        return Field.drawn(noise, rows, columns, self.config.local_size, styles, numbers, halo=HALO, endless=endless)

    # What it can do

    def drawn_styles(self, count: int, noise: Noise) -> Tensor:
        """See `capabilities.MakesTextures`."""
        return noise.uniform(count, self.styles) * 2 - 1

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self._crops(count, noise, *self._best())

    def texture(self, styles: Tensor, height: int, width: int, noise: Noise, seamless: bool = False) -> Tensor:
        """See `capabilities.MakesTextures`; in windows, so that memory beyond the result does not grow with it."""
        generator, waves = self._best()
        field = self._field(noise, styles[None], height, width, waves, endless=seamless)
        return painted(field, generator, self.grain, self.spec.channels)[:, :, :height, :width]

    def _best(self) -> tuple[Any, Any]:
        return (self.average, self.average_waves) if self.config.ema_half_life else (self.generator, self.waves)
