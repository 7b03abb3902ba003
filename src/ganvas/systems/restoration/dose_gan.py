"""GAN for noise reduction in low-dose CT. Wolterink, Leiner, Viergever, Isgum, 2017, "Generative Adversarial Networks for Noise
Reduction in Low-Dose CT" (IEEE TMI 36(12), doi 10.1109/TMI.2017.2708987).

A generator G, convolutions without pooling, estimates the full dose y of a slice x at low dose; it adds what is missing to its
input. A discriminator D sees pieces and tells full dose from what G made. G lowers
    L = lambda_1 |y - G(x)|^2 + lambda_2 (-log D(G(x)));      D lowers  -log D(y) - log(1 - D(G(x)))
Squared error alone is answered best by the mean of all slices that fit, which has neither noise nor texture; D asks for those.
Low dose is made while training, as noise in the sinogram (`networks/projections.py`), or comes as pairs: of low dose, of a
reduced contrast agent (Gong et al. 2018, doi 10.1002/jmri.25970, whose method is no GAN), of fewer counts of PET.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.dose import Denoiser, DoseDiscriminator
from ganvas.networks.projections import dose_noise
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Generative Adversarial Networks for Noise Reduction in Low-Dose CT",
    "authors": "Wolterink, Leiner, Viergever, Isgum",
    "year": 2017,
    "paper": "doi 10.1109/TMI.2017.2708987",
    "summary": "makes slices of full dose out of slices of low dose, with the texture of full dose",
    "data": ["image"],
    "pairs": {"full": "image", "low": "image"},
    "aliases": ["low-dose"],
    "example": "brain:ct",
}

FULL, LOW = "full", "low"
NORMS = {"batch": nn.BatchNorm2d, "none": None}
AIR, SPAN = -1024.0, 3000.0  # HU of black, and from black to white, where a file does not say what its values are


@dataclass(frozen=True)
class Config:
    width: int = knob(32, "channels of the generator's first layers, four times as many in its last", low=1, high=1024)
    layers: int = knob(7, "convolutions of the generator", low=1, high=64)
    discriminator_width: int = knob(32, "channels of the discriminator's first layer; doubles inwards", low=1, high=1024)
    norm: str = knob("batch", "normalisation of both networks", choices=tuple(NORMS))
    scan: str = knob("ct", "what is scanned, for simulated noise: pet has counts of its own", choices=("ct", "pet"))
    dose: float = knob(0.25, "share of the full dose that is simulated; of pairs: about what they have", low=0.001, high=0.99)
    noise: float = knob(10.0, "noise of full dose behind 20 cm of water, HU (pet: thousandths of white)", low=0.01)
    electronic: float = knob(0.005, "noise of the electronics, a share of the photons that pass 20 cm of water", low=0.0)
    black: float = knob(0.0, "Hounsfield units of black; black = white: the file's, or -1024 where it says none")
    white: float = knob(0.0, "Hounsfield units of white; black = white: the file's, or 1976 where it says none")
    field: float = knob(250.0, "millimetres of a picture's longer side, where files have no spacing", low=1.0)
    crop_size: int = knob(0, "side of the random piece of each record that is trained on; 0: the whole", low=0)
    flip: bool = knob(True, "mirror half of the records left to right")
    pixel_weight: float = knob(1.0, "weight of the squared error (lambda_1), relative to that of the noise", low=0.0)
    adversarial_weight: float = knob(0.5, "weight of the discriminator's opinion (lambda_2); 0: squared error alone", low=0.0)
    learning_rate: float = knob(1e-4, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    decay_start: float = knob(0.5, "share of the budget before learning rates fall, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the average of G that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(16, "records in a batch", low=1)


WORK_PER_PIECE = 40.0  # GFLOP of one round for one piece of 64x64, at the paper's widths
ROUNDS_WANTED = 20_000  # with fewer, the small networks end up better


def auto(situation: Situation) -> dict[str, Any]:
    """The paper's networks if the budget pays for enough rounds; else small ones. No norm: its statistics need longer runs."""
    common = {"norm": "none", "ema_half_life": 500.0, "crop_size": 64, "learning_rate": 2e-4}
    if situation.pays_for(WORK_PER_PIECE * 8) >= ROUNDS_WANTED:
        return {**common, "batch_size": 8}
    return {**common, "width": 12, "discriminator_width": 12, "crop_size": 40, "batch_size": 8, "learning_rate": 1e-3}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"crop_size": 64}}


class DoseGan(System):
    Config = Config
    couples_batch = "BatchNorm (norm=batch): micro-batches and processes normalise over their own share"
    multiple = 1

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.paired = isinstance(spec, dict)
        main = self.main = spec[FULL] if isinstance(spec, dict) else spec
        if isinstance(spec, dict) and spec[LOW].shape != main.shape:
            told = (f"{own.height}x{own.width} with {own.channels} channel(s)" for own in (spec[LOW], main))
            raise GanvasError(f"dose-gan: pairs of one size and colour are needed, not low {next(told)} and full {next(told)}")
        if min(main.height, main.width) < 8:
            raise GanvasError(f"dose-gan: records of {main.height}x{main.width} are too small: take --size 32 or more")
        if config.white < config.black:
            raise GanvasError(f"dose-gan: white={config.white:g} is below black={config.black:g}: give HU of both")
        self.black, self.span = self._units()
        size = self._share(config.noise * math.sqrt(1 / config.dose - 1))
        norm = NORMS[config.norm]
        self.size = min(size, 0.5)  # of the noise, in the units of the game
        self.generator = Denoiser(main.channels, config.width, config.layers, norm, self.size)
        self.discriminator = DoseDiscriminator(main.channels, config.discriminator_width, norm, self.size)
        self.average = copy.deepcopy(self.generator)

    def _units(self) -> tuple[float, float]:
        """(HU of black, HU from black to white): as set, or what a file says that holds Hounsfield units, or the usual."""
        config, main = self.config, self.main
        if config.white > config.black:
            return config.black, config.white - config.black
        if main.depth == 32 and main.low < 0:
            return main.low, main.high - main.low
        return AIR, SPAN

    def _share(self, noise: float) -> float:
        """HU, or thousandths of white, in the units of the game."""
        return 2 * noise / (self.span if self.config.scan == "ct" else 1000.0)

    # The game

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        rate = linear_decay(self.config.decay_start)
        return tuple(Player(name, (name,), rule, rate=rate) for name in ("discriminator", "generator"))

    def phases(self) -> tuple[Phase, ...]:
        times = 1 if self.config.adversarial_weight else 0
        return (Phase("play", (Turn("discriminator", self.discriminate, times=times), Turn("generator", self.restore_dose))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        _, full = self._pair(batch, shared)
        made = self._made(batch, shared).detach()
        return {"real": real_is_real(self.discriminator(full)), "fake": fake_is_fake(self.discriminator(made))}

    def restore_dose(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G's turn. The error is measured in the size of the noise, so that a weight means the same in every window."""
        _, full = self._pair(batch, shared)
        made = self._made(batch, shared)
        shared.pop("made")
        terms = {"pixel": self.config.pixel_weight * ((made - full) / self.size).square().mean()}
        if self.config.adversarial_weight:
            terms["adversarial"] = self.config.adversarial_weight * non_saturating(self.discriminator(made))
        return terms

    def _made(self, batch: Batch, shared: Shared) -> Tensor:
        """What G makes of the batch, once a round."""
        if "made" not in shared:
            shared["made"] = self.generator(self._pair(batch, shared)[0])
        made: Tensor = shared["made"]
        return made

    def _pair(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor]:
        """(low, full): one random piece of each record, mirrored together; the same for both turns of a round."""
        if "pair" not in shared:
            noise = batch.noise
            full = batch[FULL] if self.paired else batch.real
            sides = [min(self.config.crop_size or side, side) for side in full.shape[2:]]
            top, left = (noise.integers(all_ - own + 1, len(full)) for all_, own in zip(full.shape[2:], sides, strict=True))
            whole = torch.stack([full, batch[LOW]], 1) if self.paired else full[:, None]
            record = torch.arange(len(full), device=full.device)[:, None, None]
            down = (top[:, None] + torch.arange(sides[0], device=full.device))[:, :, None]
            across = (left[:, None] + torch.arange(sides[1], device=full.device))[:, None, :]
            cut = whole[record, :, :, down, across].permute(3, 0, 4, 1, 2)  # (1 or 2, B, C, h, w)
            low = cut[1] if self.paired else self._lowered(full, cut[0], top, left, noise)
            pair = torch.stack([low, cut[0]])
            if self.config.flip:
                pair = torch.where(noise.uniform(len(full), 1, 1, 1) < 0.5, pair, pair.flip(4))
            shared["pair"] = tuple(pair)
        low, full = shared["pair"]
        return low, full

    def _lowered(self, whole: Tensor, pieces: Tensor, top: Tensor, left: Tensor, noise: Noise) -> Tensor:
        """Pieces (B, C, h, w) of whole slices as they are at low dose, rounded as a file of their depth would be."""
        config, (_, channels, height, width) = self.config, pieces.shape
        unit = (whole.flatten(0, 1) + 1) / 2
        emitted = config.scan == "pet"
        density = unit if emitted else 1 + (self.black + unit * self.span) / 1000
        density = density.where(unit > 0, 0.0)  # what is black is air, also under a window of soft tissue
        spacing = sum(self.main.spacing) / 2 if self.main.spacing else config.field / max(whole.shape[2:])
        with torch.no_grad():
            added = dose_noise(
                noise, density, top.repeat_interleave(channels), left.repeat_interleave(channels), height, width,
                size=config.noise / 1000, dose=config.dose, electronic=config.electronic, millimetres=spacing, emitted=emitted,
            )  # fmt: skip
            low = (pieces + self._share(1000.0) * added.view_as(pieces)).clamp(-1, 1)
            if self.main.depth == 32:
                return low
            step = 2 / (self.main.high - self.main.low)
            return ((low + 1) / step).round() * step - 1

    # What it can do

    def add_noise(self, images: Tensor, noise: Noise) -> Tensor:
        """See `capabilities.Denoises`."""
        corner = torch.zeros(len(images), dtype=torch.long, device=images.device)
        return self._lowered(images, images, corner, corner, noise)

    def denoise(self, images: Tensor, noise: Noise) -> Tensor:
        """See `capabilities.Denoises`; nothing is drawn from `noise`."""
        made: Tensor = self.average(images)
        return made
