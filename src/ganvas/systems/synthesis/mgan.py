"""Markovian GAN. Li, Wand, 2016, "Precomputed Real-Time Texture Synthesis with Markovian Generative Adversarial Networks"
(ECCV, arXiv 1604.04382).

A generator G makes textures of noise, or lays the look of one picture, or of a painter's, over any photograph x. D judges
patches of what a frozen network phi finds in pictures, each by itself, so that what patches of the style t show is all that it
teaches; scores of patches count by the hinge:
    min_D  E[max(0, 1 - D(phi(t)))] + E[max(0, 1 + D(phi(G(x))))]
    min_G  E[max(0, 1 - D(phi(G(x))))] + alpha1 |phi_c(G(x)) - phi_c(x)|^2 + alpha2 TV(G(x))            (eq. 1, 3, 4)
One pass through G then gives what the optimisation of a picture against D took minutes for. Gram matrices of phi in the place
of D are Ulyanov et al. 2016, "Texture Networks" (`gram_weight`). phi is EfficientNet-lite0, not VGG-19.

Networks: `networks/mgan.py`; textures come of the generator of `networks/psgan.py`, which has no borders.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, relu

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.data.classes import find_style
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Feed, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.cells import Field, painted
from ganvas.networks.colours import ColourMap
from ganvas.networks.convolutional import middle
from ganvas.networks.features import DEPTHS
from ganvas.networks.mgan import COARSE, LEAST, NOISE, PATCH, Looks, Painter, PatchJudges, gram, levels, mean_of, tones
from ganvas.networks.psgan import HALO, BorderlessGenerator
from ganvas.objectives.matching import feature_matching, relative_error
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "options": {"fit": "patches", "size": "96"},
    "title": "Precomputed Real-Time Texture Synthesis with Markovian Generative Adversarial Networks (MGAN)",
    "authors": "Li, Wand",
    "year": 2016,
    "paper": "arXiv 1604.04382",
    "summary": "lays the brushwork or texture of one picture over any photograph of any size, or makes more of a texture",
    "data": ["image"],
    "aliases": ["markovian-gan", "style-transfer"],
}


@dataclass(frozen=True)
class Config:
    style: str = knob("", "class whose look is learnt; empty: the one called `style`; data without classes are a texture")
    content: tuple[str, ...] = knob((), "classes that are given it, the photographs; empty: all others")
    width: int = knob(64, "channels of G next to the image; more inwards", low=1, high=1024)
    blocks: int = knob(4, "residual blocks of G, which paints over photographs", low=0, high=32)
    underpainting: bool = knob(False, "G begins as the photograph, blurred over some pixels")
    colours: bool = knob(False, "photographs get the colours of the style first, by the one linear map that does")
    layers: int = knob(4, "layers of G, which makes textures; a cell of noise stands for 2^layers pixels", low=1, high=7)
    local_size: int = knob(32, "numbers drawn for every cell of noise, of textures", low=1)
    pretrained: bool = knob(True, "features of a pretrained network; false: of the same network with random weights")
    feature_depth: int = knob(3, "levels that D looks at, at 1, 1/2 ... of the size: pixels, then features", low=1, high=DEPTHS)
    discriminator_width: int = knob(64, "channels of the first layer of D, at each level", low=1, high=1024)
    crop_size: int = knob(64, "side of the random piece of each record that is trained on; 0: the whole", low=0)
    flip: bool = knob(True, "mirror half of the pieces left to right")
    adversarial_weight: float = knob(1.0, "weight of D's opinion in G's loss; 0: no D", low=0.0)
    gram_weight: float = knob(0.0, "weight of the error of Gram matrices of features, as in Texture Networks", low=0.0)
    content_weight: float = knob(1.0, "weight of the error of features of the coarsest level to the photograph's", low=0.0)
    pixel_weight: float = knob(0.0, "weight of the squared error of tones, means over 16 pixels, to the photograph's", low=0.0)
    smoothness_weight: float = knob(1e-4, "weight of the total variation of what is made", low=0.0)
    generator_learning_rate: float = knob(1e-3, "learning rate of G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(1e-3, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    decay_start: float = knob(0.5, "share of the budget before learning rates fall, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the G that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(64, "records in a batch, of photographs and of style each", low=2)


WORK_PER_PIECE = 1.0 / 16**2  # GFLOP of one round for one piece of 64x64, by the square of the width
PIECES_WANTED = {16: 0.0, 24: 100_000.0, 32: 300_000.0, 64: 2_000_000.0}  # width -> pieces it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Photographs begin as themselves, blurred, in the colours of the style; the width goes by the budget."""
    width = widest(situation, PIECES_WANTED, lambda width: WORK_PER_PIECE * width**2)
    return {
        "width": width, "discriminator_width": 32, "underpainting": True, "colours": True, "batch_size": 2,
        "blocks": 3, "content_weight": 0.1, "pixel_weight": 5.0, "ema_half_life": 300.0, "generator_learning_rate": 5e-4,
    }  # fmt: skip


PAPER = {"discriminator_width": 256, "generator_learning_rate": 0.02, "discriminator_learning_rate": 0.02, "crop_size": 0}
PRESETS: dict[str, Any] = {"auto": auto, "paper": PAPER}


class Mgan(System):
    Config = Config
    undecided = 2.0  # of hinge losses
    couples_batch = "BatchNorm of textures, Gram matrices: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        found: Any = find_style(spec.classes, config.style, config.content, "mgan") or (None, ())
        self._style, self._content = found
        side = min(config.crop_size or spec.height, spec.height, spec.width)
        if side < LEAST:
            raise GanvasError(f"mgan: pieces of {spec.height}x{spec.width} are too small: the least is {LEAST} (see --size)")
        style = "" if self._style is None else spec.classes[self._style]
        content = tuple(spec.classes[k] for k in self._content)
        config = replace(config, style=style, content=content, feature_depth=levels(side, config.feature_depth))
        super().__init__(spec, config)
        if self._style is None:
            self.grain, self.styles = 2**config.layers, 0
            self.generator: Any = BorderlessGenerator(config.local_size, spec.channels, config.width, config.layers, 4)
        else:
            self.multiple, self.targets = 4, (self._style,)
            self.generator = Painter(spec.channels, config.width, config.blocks, config.underpainting)
        self.looks = Looks(spec.channels, config.feature_depth + 1, config.pretrained)
        self.extractors = ("effnet",) if config.pretrained else ()
        self.discriminator = PatchJudges(self.looks.sizes[: config.feature_depth], config.discriminator_width)
        if config.colours and self._style is not None:
            self.colours = ColourMap(spec.channels)
        if config.ema_half_life:
            self.average = copy.deepcopy(self.generator)

    def feeds(self) -> dict[str, Feed]:
        return {"data": Feed() if self._style is None else Feed(of={"content": self._content, "style": self._style})}

    # The game

    def players(self) -> tuple[Player, ...]:
        decay = linear_decay(self.config.decay_start)
        rates = (self.config.discriminator_learning_rate, self.config.generator_learning_rate)
        return tuple(
            Player(name, (name,), optimiser("adam", rate, beta1=self.config.beta1), decay)
            for name, rate in zip(("discriminator", "generator"), rates, strict=True)
        )

    def phases(self) -> tuple[Phase, ...]:
        times = 1 if self.config.adversarial_weight else 0
        return (Phase("play", (Turn("discriminator", self.tell_apart, times=times), Turn("generator", self.paint))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),) if self.config.ema_half_life else ()

    def tell_apart(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D's turn: patches of the style above 1, those of what G makes below -1."""
        made = self._maps("made", batch, clock, shared)  # with their graph: G's turn goes on from here
        real = self.discriminator(self._maps("style", batch, clock, shared))
        fake = self.discriminator([own.detach() for own in made])
        return {"real": mean_of([relu(1 - own) for own in real]), "fake": mean_of([relu(1 + own) for own in fake])}

    def paint(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G's turn: patches as of the style, content as of the photograph."""
        maps, weights, terms = self._maps("made", batch, clock, shared), self.config, {}
        made = shared.pop("made")
        if weights.adversarial_weight:
            terms["fool"] = weights.adversarial_weight * mean_of([relu(1 - own) for own in self.discriminator(maps)])
        if weights.gram_weight:
            wanted = [gram(own) for own in self._maps("style", batch, clock, shared)[: weights.feature_depth]]
            terms["gram"] = weights.gram_weight * feature_matching([gram(own) for own in maps[:-1]], wanted, relative_error)
        if weights.content_weight and self._style is not None:
            coarse = self._maps("content", batch, clock, shared)[-1]
            terms["content"] = weights.content_weight * relative_error(maps[-1], coarse)
        if weights.pixel_weight and self._style is not None:
            terms["pixel"] = weights.pixel_weight * mse_loss(tones(made), tones(shared["content"]))
        if weights.smoothness_weight:
            steps = made.diff(dim=2).square().mean() + made.diff(dim=3).square().mean()
            terms["smoothness"] = weights.smoothness_weight * steps
        return terms

    def _maps(self, name: str, batch: Batch, clock: Clock, shared: Shared) -> list[Tensor]:
        """What phi finds in pieces of that name, once a round, on a grid that moves: G would learn to please the pixels that
        its strides single out."""
        self._made(batch, shared)
        if f"{name} maps" not in shared:
            slack = min(4, 1 + min(shared[name].shape[2:]) - PATCH)
            down, right = clock.round % slack, clock.round // 4 % slack
            with torch.set_grad_enabled(name == "made"):
                shared[f"{name} maps"] = self.looks(shared[name][:, :, down:, right:])
        return shared[f"{name} maps"]

    def _made(self, batch: Batch, shared: Shared) -> Tensor:
        """What G makes of the batch, once a round; pieces of the style, and of photographs, lie beside it."""
        if "made" not in shared:
            shared["style"] = self._pieces(batch.real if self._style is None else batch["style"], batch.noise)
            if self._style is None:
                shared["made"] = self._textures(shared["style"], batch.noise)
            else:
                content = self._pieces(batch["content"], batch.noise)
                if self.config.colours:
                    self.colours.learn(batch["content"], batch["style"])
                    content = self.colours(content, 1)
                shared["content"], shared["made"] = content, self._painted(content, batch.noise, self.generator)
        return shared["made"]

    def _pieces(self, images: Tensor, noise: Noise) -> Tensor:
        """A random piece of each record, half of them mirrored."""
        places = []
        for side in images.shape[2:]:
            length = min(self.config.crop_size or side, side) // 4 * 4
            first = noise.integers(side - length + 1, len(images), 1)
            places.append(first + torch.arange(length, device=images.device))
        if self.config.flip:
            places[1] = torch.where(noise.uniform(len(images), 1) < 0.5, places[1], places[1].flip(1))
        record = torch.arange(len(images), device=images.device)[:, None, None]
        return images[record, :, places[0][:, :, None], places[1][:, None, :]].permute(0, 3, 1, 2).contiguous()

    def _painted(self, images: Tensor, noise: Noise, generator: Any) -> Tensor:
        height, width = (-(-side // COARSE) for side in images.shape[2:])
        return generator(images, noise.normal(len(images), NOISE, height, width))

    def _textures(self, like: Tensor, noise: Noise, generator: Any = None) -> Tensor:
        count, _, height, width = like.shape
        field = self._field(count, height, width, noise)
        return middle((generator or self.generator)(field.window(0, 0, field.rows, field.columns)), height, width)

    def _field(self, count: int, height: int, width: int, noise: Noise, seamless: bool = False) -> Field:
        rows, columns = -(-height // self.grain), -(-width // self.grain)
        styles = torch.zeros(count, 1, 0, device=noise.generator.device, dtype=noise.dtype)
        return Field.drawn(noise, rows, columns, self.config.local_size, styles, None, halo=HALO, endless=seamless)

    # What it can do

    def translate(self, images: Tensor, target: int, noise: Noise) -> Tensor:
        """Photographs in the manner of the style; what lies between things is drawn from `noise`."""
        if target != self._style:
            raise ValueError(f"class {target} is not the style that was learnt, {self._style}")
        return self._painted(self.colours(images, 1) if self.config.colours else images, noise, self._best())

    def drawn_styles(self, count: int, noise: Noise) -> Tensor:
        """See `capabilities.MakesTextures`."""
        return noise.uniform(count, 0)

    def texture(self, styles: Tensor, height: int, width: int, noise: Noise, seamless: bool = False) -> Tensor:
        """See `capabilities.MakesTextures`; in windows."""
        field = self._field(1, height, width, noise, seamless)
        return painted(field, self._best(), self.grain, self.spec.channels)[:, :, :height, :width]

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """Photographs and what becomes of them, beside the style; textures beside real pieces."""
        if self._style is None:
            return Panel(torch.stack([batch.real, self._textures(batch.real, noise, self._best())], 1), ("real", "made"))
        made = self.translate(batch["content"], self._style, noise)
        return Panel(torch.stack([batch["content"], made, batch["style"]], 1), ("photograph", "painted", self.config.style))

    def _best(self) -> Any:
        return self.average if self.config.ema_half_life else self.generator
