"""PG2. Ma, Jia, Sun, Schiele, Tuytelaars, Van Gool, 2017, "Pose Guided Person Image Generation" (NeurIPS, arXiv 1705.09368).

From a picture A of a person and another pose p, drawn as a map for each of its points, the picture B of that person in that
pose is made in two stages. G1, a U-Net with a fully connected middle, moves the parts; its error counts twice on the body,
whose mask M is what the bones of the pose cover (eq. 1):
    B1 = G1(A, p),    L_G1 = || (B1 - B) (1 + M) ||_1
so that B1 has the pose, blurred. G1 then rests, and a second U-Net adds what is missing as a difference, with a D that judges
pairs of pictures of one person (eqs. 2 to 5):
    B2 = B1 + G2(A, B1),    L_D = bce(D(A, B), 1) + bce(D(A, B2), 0),    L_G2 = bce(D(A, B2), 1) + 10 L1 (1 + M)
Pairs of one person in two poses are dealt from groups; M is that of the pose that is asked for, never of the one given.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Clock, Feed, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.convolutional import ConvolutionalDiscriminator
from ganvas.networks.pg2 import LEAST, PoseNetwork, body_mask, depth_for, point_maps
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.penalties import with_range_for_slopes, zero_centred_penalty
from ganvas.objectives.schedules import linear_decay, until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Pose Guided Person Image Generation",
    "authors": "Ma, Jia, Sun, Schiele, Tuytelaars, Van Gool",
    "year": 2017,
    "paper": "arXiv 1705.09368",
    "summary": "draws a person of a picture in another pose: first roughly, then what was missing",
    "data": {"picture": "image", "pose": "pose"},
    "aliases": ["pose-guided"],
    "example": "figures",
}


@dataclass(frozen=True)
class Config:
    width: int = knob(128, "channels at full size of G1 and G2; each level below has as many more", low=1, high=1024)
    code_size: int = knob(64, "numbers of G1's fully connected middle; 0: no middle", low=0)
    fewer_levels: int = knob(2, "levels that G2 has less than G1", low=0, high=5)
    discriminator_width: int = knob(64, "channels of D's first layer", low=1, high=1024)
    coarse_share: float = knob(0.37, "share of the budget for the first stage; 1: no second one", low=0.0, high=1.0)
    mask_weight: float = knob(1.0, "how much more an error counts on the body; 0: alike everywhere", low=0.0)
    point_radius: float = knob(0.06, "of the disc of a point, in shorter sides of the picture", low=0.0, high=0.5)
    mask_radius: float = knob(0.1, "how far from a bone the body reaches, in shorter sides of the picture", low=0.0, high=0.5)
    reconstruction_weight: float = knob(10.0, "weight of G2's error, beside 1 of the adversarial term", low=0.0)
    adversarial_weight: float = knob(1.0, "weight of G2's adversarial term; 0: D has no say", low=0.0)
    discriminator_batch_norm: bool = knob(True, "BatchNorm in D")
    r1_weight: float = knob(0.0, "gamma of R1, the slopes of D at true pairs; 0: off", low=0.0)
    coarse_learning_rate: float = knob(2e-5, "learning rate of G1 (Adam)", low=1e-9)
    generator_learning_rate: float = knob(2e-5, "learning rate of G2 (Adam)", low=1e-9)
    discriminator_learning_rate: float = knob(2e-5, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    decay_start: float = knob(1.0, "share of a stage before its learning rates fall, linearly, to 0", low=0.0, high=1.0)
    batch_size: int = knob(16, "pairs in a batch", low=2)


WORK_PER_PAIR = 1.1 / 16**2  # GFLOP of one round of either stage for one pair of 64x64, by the square of the width
PAIRS_WANTED = {16: 0.0, 24: 100_000.0, 32: 250_000.0, 64: 1_000_000.0, 128: 3_000_000.0}  # width -> pairs it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """The largest width that the budget pays for, and rates for thousands of rounds, where the paper's are for tens of
    thousands; no BatchNorm in D and flat slopes, or what G2 adds in so short a time is noise."""
    picture = situation.spec["picture"]
    pixels = picture.height * picture.width / 64**2
    width = widest(situation, PAIRS_WANTED, lambda width: WORK_PER_PAIR * width**2 * pixels)
    coarse, fine = (3e-3, 2e-3) if width <= 32 else (5e-4, 5e-4)
    return {
        "width": width, "discriminator_width": min(64, width), "coarse_share": 0.7, "decay_start": 0.5, "batch_size": 8,
        "discriminator_batch_norm": False, "r1_weight": 1.0, "adversarial_weight": 0.3, "coarse_learning_rate": coarse,
        "generator_learning_rate": fine, "discriminator_learning_rate": 1e-3 if width <= 32 else 5e-4,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


class Pg2(System):
    Config = Config
    couples_batch = "BatchNorm of D: micro-batches and processes normalise over their own share"
    multiple = 0  # the middle of G1 is fully connected

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        picture, pose = spec["picture"], spec["pose"]
        self.size = (picture.height, picture.width)
        if min(self.size) < 2 * LEAST:
            raise GanvasError(f"pg2: pictures of {picture.size} are too small for a pose: the least side is 8 (see --size)")
        depth = depth_for(*self.size)
        self.coarse = PoseNetwork(
            picture.channels + len(pose.names), picture.channels, self.size, config.width, depth, config.code_size
        )
        self.refines = config.coarse_share < 1
        if self.refines:
            inner = depth_for(*self.size, config.fewer_levels)
            self.refiner = PoseNetwork(2 * picture.channels, picture.channels, self.size, config.width, inner)
            pairs = (2 * picture.channels, *self.size)
            self.discriminator = ConvolutionalDiscriminator(
                pairs, config.discriminator_width, batch_norm=config.discriminator_batch_norm
            )

    # The game

    def feeds(self) -> Mapping[str, Feed]:
        """A picture, and another one of the same person with its pose."""
        fields = {"picture": "picture", "wanted": "picture", "pose": "pose"}
        return {"data": Feed(fields=fields, second=("wanted", "pose"))}

    def players(self) -> tuple[Player, ...]:
        config = self.config

        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=config.beta1)

        share, start = config.coarse_share, config.decay_start
        early, late = linear_decay(start * share, share), linear_decay(share + start * (1 - share))
        found = (Player("coarse", ("coarse",), rule(config.coarse_learning_rate), early),)
        if not self.refines:
            return found
        return (
            *found,
            Player("discriminator", ("discriminator",), rule(config.discriminator_learning_rate), late),
            Player("refiner", ("refiner",), rule(config.generator_learning_rate), late),
        )

    def phases(self) -> tuple[Phase, ...]:
        first = (Turn("coarse", self.imitate),)
        if not self.refines:
            return (Phase("coarse", first),)
        second = (
            Turn("discriminator", self.discriminate, times=int(self.config.adversarial_weight > 0)),
            Turn("refiner", self.refine),
        )
        return (Phase("coarse", first, until=until_share(self.config.coarse_share)), Phase("refine", second))

    def imitate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G1's turn, eq. 1."""
        return {"error": self._error(self._coarse(batch["picture"], batch["pose"]), batch)}

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D's turn: pairs of the given picture with the true one, and with what is made of it."""
        _, made = self._made(batch, shared)
        flat = bool(self.config.r1_weight)
        pairs = torch.cat([batch["picture"], batch["wanted"]], 1).requires_grad_(flat)
        with with_range_for_slopes(pairs) if flat else nullcontext():
            real = self.discriminator(pairs)
            terms = {"real": real_is_real(real)}
            if flat:
                terms["r1"] = 0.5 * self.config.r1_weight * zero_centred_penalty(pairs, real)
        fake = self.discriminator(torch.cat([batch["picture"], made.detach()], 1))
        return {**terms, "fake": fake_is_fake(fake)}

    def refine(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G2's turn; G1 rests."""
        _, made = self._made(batch, shared)
        terms = {"error": self.config.reconstruction_weight * self._error(made, batch)}
        if self.config.adversarial_weight:
            logits = self.discriminator(torch.cat([batch["picture"], made], 1))
            terms["fool"] = self.config.adversarial_weight * non_saturating(logits)
        shared.pop("made", None)
        return terms

    def _coarse(self, pictures: Tensor, poses: Tensor) -> Tensor:
        maps = point_maps(poses, *self.size, self.config.point_radius)
        made: Tensor = self.coarse(torch.cat([pictures, maps.to(pictures.dtype)], 1))
        return made

    def _made(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor]:
        """What G1 makes of the batch, without its graph, and what G2 makes of that; the same for both turns of a round."""
        if "made" not in shared:
            with torch.no_grad():
                rough = self._coarse(batch["picture"], batch["pose"])
            shared["made"] = rough, rough + self.refiner(torch.cat([batch["picture"], rough], 1))
        found: tuple[Tensor, Tensor] = shared["made"]
        return found

    def _error(self, made: Tensor, batch: Batch) -> Tensor:
        """The mean absolute error, which counts more on the body of the wanted pose."""
        weight = 1 + self.config.mask_weight * self.body(batch["pose"]).to(made.dtype)
        return (weight * (made - batch["wanted"]).abs()).mean()

    # What it can do

    def body(self, poses: Tensor) -> Tensor:
        """See `capabilities.Reposes`."""
        return body_mask(poses, self.spec["pose"].links, *self.size, self.config.mask_radius)

    def repose(self, images: Tensor, noise: Noise, pose: Tensor) -> Tensor:
        """See `capabilities.Reposes`; nothing is drawn from `noise`."""
        rough = self._coarse(images, pose.expand(len(images), *pose.shape[1:]))
        return (rough + self.refiner(torch.cat([images, rough], 1)) if self.refines else rough).clamp(-1, 1)

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """The given picture, the wanted pose, both stages, and the true picture."""
        images, poses = batch["picture"], batch["pose"]
        points = point_maps(poses, *self.size, self.config.point_radius).amax(1, keepdim=True)
        drawn = (0.5 * self.body(poses) + 1.5 * points - 1).clamp(-1, 1).to(images.dtype).expand_as(images)
        rough = self._coarse(images, poses).clamp(-1, 1)
        cells = (images, drawn, rough, self.repose(images, noise, poses), batch["wanted"])
        return Panel(torch.stack(cells, 1), ("given", "pose", "first stage", "made", "true"))
