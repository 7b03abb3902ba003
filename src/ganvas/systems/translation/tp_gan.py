"""TP-GAN. Huang, Zhang, Li, He, 2017, "Beyond Face Rotation: Global and Local Perception GAN for Photorealistic and Identity
Preserving Frontal View Synthesis" (ICCV, arXiv 1704.04086).

G turns a side view I^P into the front view I^F, learnt from pairs. Two pathways: a global one with a code that keeps no place
draws the head, four local ones draw its parts (eyes, nose, mouth), and both are joined. What G lowers (eq. 2, 5 to 8):
    L_pixel = |G(I^P) - I^F|_1 at three sizes, and of each part;     L_sym = |G(I^P) - mirror(G(I^P))|_1,
    L_ip = |F(G(I^P)) - F(I^F)|_1 over the last two layers of F;      L_adv = -log D(G(I^P));      L_tv: total variation;
    L_syn = L_pixel + 0.3 L_sym + 1e-3 L_adv + 3e-3 L_ip + 1e-4 L_tv.
F knows who is on a picture; here it learns that first, from the pairs: of a batch, the two views of one belong together.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from ganvas.batches import Batch, Noise, constant
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.maps import mirrored_together
from ganvas.networks.patch import PatchDiscriminator, patch_depth
from ganvas.networks.tp_gan import Recogniser, TwoPathways, detailed_places, patch_size, patches, total_variation
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.schedules import linear_decay, until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Beyond Face Rotation: Global and Local Perception GAN (TP-GAN)",
    "authors": "Huang, Zhang, Li, He",
    "year": 2017,
    "paper": "arXiv 1704.04086",
    "summary": "turns side views into front views of the same person or thing, learnt from pairs",
    "data": {"front": "image", "side": "image"},
    "aliases": ["tpgan", "frontal-view"],
}

TEMPERATURE = 0.1  # of the cosine of two embeddings
SCALES = (1.0, 1.0, 1.5)  # weights of H / 4, H / 2 and H, of the authors' code


@dataclass(frozen=True)
class Config:
    width: int = knob(64, "channels at full resolution of G, and of D's first layer", low=1, high=1024)
    code_size: int = knob(256, "numbers of the code of the global path", low=1)
    local: bool = knob(True, "draw four parts by paths of their own; off: the global path alone")
    recogniser_width: int = knob(32, "channels of the first layer of F", low=1)
    embedding_size: int = knob(256, "numbers by which F knows who is on a picture", low=2)
    recogniser_share: float = knob(0.15, "share of the budget in which F learns, before the game", low=0.0, high=0.9)
    pixel_weight: float = knob(1.0, "weight of the distance to the true front view, at three sizes", low=0.0)
    part_weight: float = knob(1.0, "weight of the distance of the parts", low=0.0)
    symmetry_weight: float = knob(0.3, "weight of what is not the same on both sides (lambda 1)", low=0.0)
    adversarial_weight: float = knob(1e-3, "weight of the adversarial term (lambda 2)", low=0.0)
    identity_weight: float = knob(3e-3, "weight of the distance of what F finds (lambda 3)", low=0.0)
    variation_weight: float = knob(1e-4, "weight of the total variation (lambda 4)", low=0.0)
    flip: bool = knob(True, "mirror half of the pairs left to right, side and front view together")
    learning_rate: float = knob(1e-4, "learning rate of G and D (Adam)", low=0.0)
    recogniser_learning_rate: float = knob(1e-3, "learning rate of F (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    decay_start: float = knob(1.0, "share of the budget before the rates of G and D fall, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the average of G that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(10, "pairs in a batch", low=2)


WORK_PER_PAIR = 1.0 / 16**2  # GFLOP of one round for one pair of 64x64, by the square of the width
PAIRS_WANTED = {12: 0.0, 16: 60_000.0, 24: 200_000.0, 32: 600_000.0, 64: 3_000_000.0}  # width -> pairs until it pays off


def auto(situation: Situation) -> dict[str, Any]:
    """The largest width that the budget can pay for; steps and weights for minutes: what D and F say counts from the start."""
    front = situation.spec["front"]
    pixels = front.height * front.width / 64**2
    width = widest(situation, PAIRS_WANTED, lambda width: WORK_PER_PAIR * width**2 * pixels)
    quick = {"learning_rate": 1e-3, "code_size": 128, "recogniser_width": 16, "embedding_size": 64} if width <= 32 else {}
    own = {"adversarial_weight": 0.02, "identity_weight": 0.3, "symmetry_weight": 0.1, "decay_start": 0.6}
    return {"width": width, "batch_size": 16, "ema_half_life": 1_000.0, **own, **quick}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


class TpGan(System):
    Config = Config
    multiple = 0  # codes are of whole pictures
    couples_batch = "BatchNorm, and who is on a picture, which F learns from the others of a batch"
    mean: Tensor
    seen: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        front, side = spec["front"], spec["side"]
        if front.shape != side.shape:
            raise GanvasError(
                f"tp-gan: side views ({side.size}, {side.channels} channels) and front views ({front.size}, {front.channels}) "
                "of one form are needed: bring them to one with --size, or --channels"
            )
        sides = (front.height, front.width)
        most = min((own & -own).bit_length() - 1 for own in sides)  # how often 2 divides both
        if most < 2 or min(sides) < 8:
            raise GanvasError(f"tp-gan: sides of {front.size} cannot be halved twice: choose multiples of 8, as in --size 64")
        depth = min(most, max(2, int(math.log2(min(sides) / 4))))
        self.size = patch_size(*sides)
        self.generator = TwoPathways(front.shape, config.width, config.code_size, depth, local=config.local)
        self.discriminator = PatchDiscriminator(front.channels, config.width, patch_depth(min(sides)), None)
        self.recogniser = Recogniser(front.shape, config.embedding_size, config.recogniser_width)
        if config.ema_half_life:
            self.average = copy.deepcopy(self.generator)
        self.register_buffer("mean", torch.zeros(front.shape))  # of front views met so far, for where parts are
        self.register_buffer("seen", torch.zeros(()))

    # The game

    def players(self) -> tuple[Player, ...]:
        rule, share = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1), self.config.recogniser_share
        fall = linear_decay(self.config.decay_start)
        fast = optimiser("adam", self.config.recogniser_learning_rate)
        return (
            Player("recogniser", ("recogniser",), fast, linear_decay(0.5 * share, share)),
            Player("discriminator", ("discriminator",), rule, fall),
            Player("generator", ("generator",), rule, fall),
        )

    def phases(self) -> tuple[Phase, ...]:
        times = int(self.config.adversarial_weight > 0)
        game = (Turn("discriminator", self.discriminate, times=times), Turn("generator", self.turn_round))
        first = Phase("identity", (Turn("recogniser", self.recognise),), until=until_share(self.config.recogniser_share))
        return first, Phase("game", game)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),) if self.config.ema_half_life else ()

    def reductions(self) -> Mapping[str, str]:
        return {"mean": "lead", "seen": "lead"}

    def recognise(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The first phase: a side view knows its front view among those of the batch, and the other way round."""
        sides, fronts = self._pairs(batch, shared)
        with torch.no_grad():
            self.seen += 1
            self.mean.lerp_(fronts.mean(0).to(self.mean.dtype), 1 / self.seen)
        scores = self.recogniser(sides)[1] @ self.recogniser(fronts)[1].T / TEMPERATURE
        flat = fronts.flatten(1)
        same = (flat[:, None] == flat[None]).all(2) & ~torch.eye(len(flat), dtype=torch.bool, device=flat.device)
        scores, answers = scores.masked_fill(same, -1e4), torch.arange(len(flat), device=flat.device)
        return {"fronts of a side": cross_entropy(scores, answers), "sides of a front": cross_entropy(scores.T, answers)}

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D sees front views, true and made."""
        sides, fronts = self._pairs(batch, shared)
        shared["made"] = self.generator(sides, self.places())
        made = shared["made"][0][-1].detach()
        return {"real": real_is_real(self.discriminator(fronts)), "fake": fake_is_fake(self.discriminator(made))}

    def turn_round(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G's turn: eq. 2."""
        config, places, (sides, fronts) = self.config, self.places(), self._pairs(batch, shared)
        drawn, parts = shared.pop("made") if "made" in shared else self.generator(sides, places)
        made = drawn[-1]
        true = [fronts if own.shape == fronts.shape else interpolate(fronts, own.shape[2:], mode="area") for own in drawn]
        off = torch.stack([(own - wanted).abs().mean() for own, wanted in zip(drawn, true, strict=True)])
        terms = {
            "pixels": config.pixel_weight * (off * constant(SCALES[-len(drawn) :], off.device, off.dtype)).sum(),
            "symmetry": config.symmetry_weight * sum((own - own.flip(3)).abs().mean() for own in drawn) / len(drawn),
            "variation": config.variation_weight * total_variation(made),
        }
        if parts and config.part_weight:
            wanted = [patches(fronts, place, self.size) for place in places]
            each = [(own - part).abs().mean() for own, part in zip(parts, wanted, strict=True)]
            terms["parts"] = config.part_weight * torch.stack(each).mean()
        if config.identity_weight:
            with torch.no_grad():
                known = self.recogniser(fronts)
            found = self.recogniser(made)
            apart = sum((own - wanted).abs().mean() for own, wanted in zip(found, known, strict=True))
            terms["identity"] = config.identity_weight * apart
        if config.adversarial_weight:
            terms["fool"] = config.adversarial_weight * non_saturating(self.discriminator(made))
        return terms

    def _pairs(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor]:
        """Side and front views, mirrored together; the same for both turns of a round."""
        if "pairs" not in shared:
            pairs = batch["side"], batch["front"]
            shared["pairs"] = mirrored_together(batch.noise, *pairs) if self.config.flip else pairs
        sides, fronts = shared["pairs"]
        return sides, fronts

    def places(self) -> Tensor:
        """(PLACES, 2) int64: top left corners of the parts; they stand still once F has learnt."""
        return detailed_places(self.mean, self.size)

    # What it can do

    def translate(self, sides: Tensor, target: int | None, noise: Noise) -> Tensor:
        """Side views (B, C, H, W) of the size it learnt -> front views (B, C, H, W); nothing is drawn from `noise`."""
        best = self.average if self.config.ema_half_life else self.generator
        drawn: list[Tensor] = best(sides, self.places())[0]
        return drawn[-1]

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """The side view, the front view that is made of it, and the true one."""
        sides, fronts = batch["side"], batch["front"]
        return Panel(torch.stack([sides, self.translate(sides, None, noise), fronts], 1), ("side", "made", "true"))
