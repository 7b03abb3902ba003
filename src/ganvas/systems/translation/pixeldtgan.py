"""PixelDTGAN. Yoo, Kim, Park, Paek, Kweon, 2016, "Pixel-Level Domain Transfer" (ECCV, arXiv 1603.07442).

A converter C draws the garment alone, as a catalogue shows it, from a photograph of somebody who wears it. The two look nothing
alike pixel by pixel, so no pixel is compared: two discriminators say what is wrong, both with binary cross-entropy.
    D_R looks at one garment:  1 for the one worn, 1 for another garment of the data, 0 for C(x);
    D_A looks at a photograph x and a garment together:  1 for the one worn, 0 for another garment, 0 for C(x);
each is the mean of its three terms, and C lowers  -1/2 log D_R(C(x)) - 1/2 log D_A(x, C(x)).
D_R asks for a garment as they are, D_A for this one. Without the unassociated garment, both zeros of D_A are one: it could tell
true from made by the looks alone, and never had to compare. All three are networks of DCGAN's form, C with a code in between.

A network that sees both pictures as channels of one has to find out by itself that they show one thing in two places. With
`domain_code_size` D_A reads each by a network of its own and compares what they say, as projection discriminators compare
an image and its class (Miyato, Koyama 2018, "cGANs with Projection Discriminator", equation 3):
    D_A(x, y) = e(x) . f(y) / sqrt(numbers) + a . f(y).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.convolutional import ConvolutionalDiscriminator, ConvolutionalEncoder, ConvolutionalGenerator
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Pixel-Level Domain Transfer (PixelDTGAN)",
    "authors": "Yoo, Kim, Park, Paek, Kweon",
    "year": 2016,
    "paper": "arXiv 1603.07442",
    "summary": "draws the garment alone from a picture of somebody who wears it, learnt from pairs without comparing pixels",
    "data": {"garment": "image", "photo": "image"},
    "aliases": ["pixel-dt-gan", "pldt"],
}

SURE = -30.0  # a logit that costs nothing
OBJECTIVES = ("adversarial", "squared-error")


@dataclass(frozen=True)
class Config:
    width: int = knob(
        96, "channels at half resolution of all three networks; at most eight times as many inside", low=1, high=1024
    )
    code_size: int = knob(64, "numbers of the code between the two halves of the converter", low=1)
    unassociated: bool = knob(True, "D_A gets another garment of the data as a negative; off: it may learn the looks alone")
    domain_code_size: int = knob(
        0,
        "size of the codes by which D_A compares photograph and garment; 0: it reads both at once, as in the paper",
        low=0,
    )
    objective: str = knob(
        "adversarial", "what the converter lowers; squared-error: no discriminators, the paper's baseline", choices=OBJECTIVES
    )
    learning_rate: float = knob(2e-4, "learning rate of all players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(0.0, "half-life in samples of the converter that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(128, "pairs in a batch", low=2)


CODES = 64
WORK_PER_PAIR = 0.42 / 16**2  # GFLOP of one round for one pair of 64x64, by the square of the width
PAIRS_WANTED = {
    12: 0.0,
    16: 40_000.0,
    24: 100_000.0,
    32: 300_000.0,
    64: 1_500_000.0,
    96: 4_000_000.0,
}  # width -> pairs it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Small batches and larger steps, so that minutes give many; the width is the largest that the budget can pay for."""
    garment = situation.spec["garment"]
    pixels = garment.height * garment.width / 64**2
    width = widest(situation, PAIRS_WANTED, lambda width: WORK_PER_PAIR * width**2 * pixels)
    quick = {"batch_size": 16, "learning_rate": 1e-3} if width <= 32 else {"batch_size": 64}
    return {"width": width, "ema_half_life": 1_000.0, "domain_code_size": CODES, **quick}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


class Converter(nn.Module):
    """Photographs (B, C, H, W) in [-1, 1] -> garments (B, C', H, W) in [-1, 1], through a code that keeps no place."""

    def __init__(self, photo: tuple[int, int, int], garment: tuple[int, int, int], code: int, width: int) -> None:
        super().__init__()
        self.encoder = ConvolutionalEncoder(photo, code, width)
        self.decoder = ConvolutionalGenerator(code, garment, width)

    def forward(self, photos: Tensor) -> Tensor:
        garments: Tensor = self.decoder(self.encoder(photos))
        return garments


class ByCodes(nn.Module):
    """D_A that compares codes: photographs and garments as channels of one picture (B, C + C', H, W) -> logits (B,)."""

    def __init__(self, photo: tuple[int, int, int], garment: tuple[int, int, int], codes: int, width: int) -> None:
        super().__init__()
        self.channels = (photo[0], garment[0])
        self.of_photo, self.of_garment = (ConvolutionalEncoder(shape, codes, width) for shape in (photo, garment))
        self.alone = nn.Linear(codes, 1)

    def forward(self, both: Tensor) -> Tensor:
        photos, garments = both.split(self.channels, 1)
        one, other = self.of_photo(photos), self.of_garment(garments)
        logits: Tensor = (one * other).sum(1) / math.sqrt(other.shape[1]) + self.alone(other)[:, 0]
        return logits


class PixelDTGan(System):
    Config = Config
    multiple = 0  # codes are of whole pictures
    undecided = math.log(2)  # each discriminator's loss is a mean of its terms
    couples_batch = "BatchNorm and unassociated garments: micro-batches and processes see their own share alone"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        garment, photo = spec["garment"], spec["photo"]
        if garment.shape[-2:] != photo.shape[-2:]:
            raise GanvasError(
                f"pixeldtgan: garments of {garment.height}x{garment.width} and photographs of {photo.height}x{photo.width}: "
                "one discriminator sees both together, so bring them to one size with --size"
            )
        self.converter = Converter(photo.shape, garment.shape, config.code_size, config.width)
        if self.adversarial:
            both = (photo.channels + garment.channels, garment.height, garment.width)
            self.discriminator = ConvolutionalDiscriminator(garment.shape, config.width)
            self.domain_discriminator: nn.Module = (
                ByCodes(photo.shape, garment.shape, config.domain_code_size, config.width)
                if config.domain_code_size
                else ConvolutionalDiscriminator(both, config.width)
            )
        if config.ema_half_life:
            self.average = copy.deepcopy(self.converter)

    @property
    def adversarial(self) -> bool:
        return bool(self.config.objective == OBJECTIVES[0])

    # The game

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        names = ("discriminator", "domain_discriminator", "converter") if self.adversarial else ("converter",)
        return tuple(Player(name, (name,), rule) for name in names)

    def phases(self) -> tuple[Phase, ...]:
        if not self.adversarial:
            return (Phase("play", (Turn("converter", self.come_near),)),)
        turns = (
            Turn("discriminator", self.tell_real),
            Turn("domain_discriminator", self.tell_associated),
            Turn("converter", self.convert),
        )
        return (Phase("play", turns),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("converter", "average", self.config.ema_half_life),) if self.config.ema_half_life else ()

    def tell_real(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D_R's turn: the garment worn and another one are real, what C draws is not."""
        garments = batch["garment"]
        shared["made"] = self.converter(batch["photo"])
        real = real_is_real(self.discriminator(garments)) + real_is_real(self.discriminator(self._others(batch, shared)))
        return {"real": real / 3, "fake": fake_is_fake(self.discriminator(shared["made"].detach())) / 3}

    def tell_associated(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D_A's turn: one garment belongs to the photograph; another one does not, unless it is the same, nor what C draws."""
        photos, garments = batch["photo"], batch["garment"]
        made = shared["made"] if "made" in shared else self.converter(photos)
        real = real_is_real(self.domain_discriminator(torch.cat([photos, garments], 1)))
        fake = fake_is_fake(self.domain_discriminator(torch.cat([photos, made.detach()], 1)))
        if not self.config.unassociated:
            return {"real": real / 2, "fake": fake / 2}
        others = self._others(batch, shared)
        differ = (others != garments).flatten(1).any(1)
        judged = self.domain_discriminator(torch.cat([photos, others], 1))
        wrong = fake_is_fake(torch.where(differ, judged, SURE)) * (len(differ) / differ.sum().clamp(min=1))
        return {"real": real / 3, "fake": (fake + wrong) / 3}

    def convert(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """C's turn: pass for a garment, and for the one in the photograph."""
        photos = batch["photo"]
        made = shared.pop("made") if "made" in shared else self.converter(photos)
        return {
            "fool": non_saturating(self.discriminator(made)) / 2,
            "fool domain": non_saturating(self.domain_discriminator(torch.cat([photos, made], 1))) / 2,
        }

    def come_near(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The baseline's only turn."""
        return {"squared error": (self.converter(batch["photo"]) - batch["garment"]).square().mean()}

    def _others(self, batch: Batch, shared: Shared) -> Tensor:
        """Unassociated garments (B, C, H, W): each that of another pair of the batch, drawn once a round."""
        if "others" not in shared:
            count = len(batch)
            away = 1 + (batch.noise.shared(1) * (count - 1)).long()
            place = (torch.arange(count, device=away.device) + away) % count
            shared["others"] = batch["garment"][place]
        others: Tensor = shared["others"]
        return others

    # What it can do

    def translate(self, photos: Tensor, target: int | None, noise: Noise) -> Tensor:
        """Photographs (B, C, H, W) of the size it learnt -> garments (B, C, H, W); nothing is drawn from `noise`."""
        best = self.average if self.config.ema_half_life else self.converter
        garments: Tensor = best(photos)
        return garments

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """The photograph, what is drawn from it, and the true garment."""
        photos, garments = batch["photo"], batch["garment"]
        if photos.shape != garments.shape:
            photos = photos.mean(1, keepdim=True).expand_as(garments)
        return Panel(
            torch.stack([photos, self.translate(batch["photo"], None, noise), garments], 1), ("photo", "drawn", "true")
        )
