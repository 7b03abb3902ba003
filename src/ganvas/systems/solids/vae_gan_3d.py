"""3D-VAE-GAN. Wu, Zhang, Xue, Freeman, Tenenbaum, 2016, "Learning a Probabilistic Latent Space of Object Shapes via 3D
Generative-Adversarial Modeling" (NIPS, arXiv 1610.07584), section 3.3: a solid from one picture of it.

An encoder E reads a picture y and says where the code of its solid lies, N(mu(y), sigma(y)); the generator G of a 3D-GAN makes
voxels of a code; D tells made solids from real ones, G(z) of z ~ N(0, 1):
    L = L_GAN + a1 KL(N(mu, sigma) || N(0, 1)) + a2 |G(E(y)) - x|;    L_GAN = log D(x) + log(1 - D(G(z))).
E lowers the last two, G the last and its part of the first, D its own part. So codes of pictures fill the space that G draws
solids from, and one decoder serves both. D moves only while it was right on at most `accuracy_gate` of the last batch.
Of data that are solids alone the pictures are drawn while training, each from a random side in random light.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from ganvas.batches import Batch, Noise
from ganvas.borders import finished
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.views import PIXELS, drawn_sides, views
from ganvas.networks.voxels import BOTTOM, VoxelDecoder, folded, stages_of, without_crumbs
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "options": {"size": "32"},
    "title": "Learning a Probabilistic Latent Space of Object Shapes via 3D Generative-Adversarial Modeling (3D-VAE-GAN)",
    "authors": "Wu, Zhang, Xue, Freeman, Tenenbaum",
    "year": 2016,
    "paper": "arXiv 1610.07584",
    "summary": "a solid from one picture of it: voxels, written as a mesh",
    "data": ["solid"],
    "pairs": {"solid": "solid", "picture": "image"},
    "aliases": ["3d-vae-gan", "3dvaegan", "vae-gan"],
}

SOLID, PICTURE = "solid", "picture"
SIDES = (16, 32, 64, 128)
LEAST = 16  # pixels of a picture
SURE = -4.0  # logarithm of the variance of codes that an untrained encoder says


@dataclass(frozen=True)
class Config:
    code_size: int = knob(64, "numbers of a code", low=1)
    width: int = knob(32, "channels of G where its maps are largest; doubles towards the code", low=1, high=1024)
    encoder_width: int = knob(24, "channels of E's first layer; doubles towards the code, at most eightfold", low=1, high=1024)
    discriminator_width: int = knob(32, "channels of D where its maps are largest", low=1, high=1024)
    patch: int = knob(4, "side of the blocks of voxels that are drawn at once, at most an eighth of all", choices=(2, 4, 8))
    voxel_error: str = knob("cross-entropy", "how voxels are compared", choices=("cross-entropy", "squared"))
    occupied_weight: float = knob(4.0, "of voxels inside, in the cross-entropy; those outside have 1", low=0.01)
    reconstruction_weight: float = knob(1.0, "weight of the error of a voxel (a2)", low=0.0)
    kl_weight: float = knob(3e-5, "weight of the divergence of codes (a1); 0: E says one code, nothing is drawn", low=0.0)
    adversarial_weight: float = knob(0.005, "weight of D's opinion; 0: no D", low=0.0)
    learning_rate: float = knob(3e-3, "learning rate of E and G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(5e-4, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    decay_start: float = knob(0.5, "share of the budget before learning rates fall, linearly, to 0", low=0.0, high=1.0)
    accuracy_gate: float = knob(0.8, "D sits out while its accuracy is above this; 1: never", low=0.0, high=1.0)
    instance_noise: float = knob(0.5, "standard deviation of the noise that D sees real and generated voxels through", low=0.0)
    ema_half_life: float = knob(2_000.0, "half-life in samples of the E and G that are used afterwards; 0: none", low=0.0)
    crumbs: float = knob(0.01, "parts smaller than this share of a made solid are left out", low=0.0, high=0.5, later=True)
    batch_size: int = knob(16, "solids in a batch", low=2)


def auto(situation: Situation) -> dict[str, Any]:
    """Wider on a GPU."""
    wide = {"code_size": 128, "width": 96, "encoder_width": 64, "discriminator_width": 64, "batch_size": 64}
    return {} if situation.device == "cpu" else wide


PRESETS: dict[str, Any] = {
    "auto": auto,
    "paper": {
        "code_size": 200, "width": 64, "encoder_width": 64, "discriminator_width": 64, "patch": 2, "voxel_error": "squared",
        "reconstruction_weight": 26.2,  # 1e-4 of the sum over the paper's 64^3 voxels
        "kl_weight": 5.0, "adversarial_weight": 1.0, "learning_rate": 2.5e-3, "discriminator_learning_rate": 1e-5,
        "decay_start": 1.0, "instance_noise": 0.0, "ema_half_life": 0.0, "crumbs": 0.0, "batch_size": 100,
    },
}  # fmt: skip


class PictureEncoder(nn.Module):
    """Pictures (B, C, H, W) -> means and logarithms of variances of their codes, (B, code) each."""

    def __init__(self, shape: tuple[int, int, int], code: int, width: int) -> None:
        super().__init__()
        channels, *sides = shape
        layers: list[nn.Module] = []
        before, after = channels, width
        while min(sides) > BOTTOM:
            layers += [nn.Conv2d(before, after, 5, 2, 2, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True)]
            sides = [-(-side // 2) for side in sides]
            before, after = after, min(2 * after, 8 * width)
        last = nn.Linear(before * sides[0] * sides[1], 2 * code)
        self.layers = nn.Sequential(*layers, nn.Flatten(), last)
        with torch.no_grad():  # sure from the start: with a variance of 1, G hears little of the picture for hundreds of rounds
            last.weight[code:] *= 0.1
            last.bias[code:] = SURE

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        means, spreads = self.layers(pictures).chunk(2, 1)
        return means, spreads.clamp(-12, 4)


class VoxelDiscriminator(nn.Module):
    """Occupancies (B, 1, side, side, side) -> logits (B,), no sigmoid."""

    def __init__(self, side: int, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        widths = [width * 2**k for k in range(stages_of(side, patch) + 1)]
        layers: list[nn.Module] = [nn.Conv3d(patch**3, width, 1), nn.LeakyReLU(0.2, inplace=True)]
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv3d(before, after, 4, 2, 1, bias=False), nn.BatchNorm3d(after), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * BOTTOM**3, 1))

    def forward(self, solids: Tensor) -> Tensor:
        return self.layers(folded(solids, self.patch)).flatten()


class VaeGan3d(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"
    accuracy: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.paired = isinstance(spec, dict)
        side = (spec[SOLID] if self.paired else spec).side
        if side not in SIDES:
            raise GanvasError(f"vae-gan-3d makes solids of 16, 32, 64 or 128 voxels a side, not {side}: add --size 32")
        shape = spec[PICTURE].shape if self.paired else (1, PIXELS * side, PIXELS * side)
        if min(shape[1:]) < LEAST:
            raise GanvasError(
                f"vae-gan-3d reads pictures of {LEAST} pixels and more, not {shape[1]}x{shape[2]}: give larger ones"
            )
        patch = min(config.patch, side // 8)
        self.encoder = PictureEncoder(shape, config.code_size, config.encoder_width)
        self.generator = VoxelDecoder(side, config.code_size, config.width, patch)
        self.discriminator = VoxelDiscriminator(side, config.discriminator_width, patch) if config.adversarial_weight else None
        self.reader, self.average = copy.deepcopy(self.encoder), copy.deepcopy(self.generator)
        self.register_buffer("accuracy", torch.zeros(()))

    # The game

    def players(self) -> tuple[Player, ...]:
        def player(name: str, networks: tuple[str, ...], rate: float) -> Player:
            rule = optimiser("adam", rate, beta1=self.config.beta1)
            return Player(name, networks, rule, linear_decay(self.config.decay_start))

        makers = player("makers", ("encoder", "generator"), self.config.learning_rate)
        if self.discriminator is None:
            return (makers,)
        return (player("discriminator", ("discriminator",), self.config.discriminator_learning_rate), makers)

    def phases(self) -> tuple[Phase, ...]:
        """E and G move together: D's opinion does not reach E, the divergence not G, so it is what each lowers by itself."""
        make = Turn("makers", self.make)
        gated = Turn("discriminator", self.discriminate, times=self.gate)
        return (Phase("play", (make,) if self.discriminator is None else (gated, make)),)

    def averages(self) -> tuple[Average, ...]:
        half_life = self.config.ema_half_life
        return (Average("encoder", "reader", half_life), Average("generator", "average", half_life))

    def gate(self, clock: Clock) -> int:
        """1 while D may move. Of several processes the first one's buffer decides for all (the Engine sees to it)."""
        return int(self.accuracy.item() <= self.config.accuracy_gate)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._fake(batch)  # with its graph: the turn of E and G goes on from here
        real, fake = self._said(self._solids(batch), batch), self._said(shared["fake"].detach(), batch)
        self._measure(real, fake)
        return {"real": real_is_real(real), "fake": fake_is_fake(fake)}

    def make(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        config, solids = self.config, self._solids(batch)
        means, spreads = self.encoder(batch[PICTURE] if self.paired else self.depict(solids, batch.noise))
        terms: Terms = {}
        codes = means
        if config.kl_weight:
            codes = means + (0.5 * spreads).exp() * batch.noise.normal(len(means), means.shape[1])
            terms["divergence"] = config.kl_weight * 0.5 * (means.square() + spreads.exp() - 1 - spreads).sum(1).mean()
        made = self.generator(codes)
        if config.voxel_error == "squared":
            error = mse_loss(made.sigmoid(), solids)
        else:
            error = binary_cross_entropy_with_logits(made, solids, pos_weight=made.new_full((), config.occupied_weight))
        terms["rebuild"] = config.reconstruction_weight * error
        if self.discriminator is not None:
            sat_out = "fake" not in shared
            fake = self._said(self._fake(batch) if sat_out else shared.pop("fake"), batch)
            if sat_out:  # or the gate would never open again
                with torch.no_grad():
                    self._measure(self._said(solids, batch), fake)
            terms["fool"] = config.adversarial_weight * non_saturating(fake)
        return terms

    def _solids(self, batch: Batch) -> Tensor:
        return batch[SOLID] if self.paired else batch.real

    def _fake(self, batch: Batch) -> Tensor:
        made: Tensor = self.generator(batch.noise.normal(len(batch), self.config.code_size)).sigmoid()
        return made

    def _said(self, solids: Tensor, batch: Batch) -> Tensor:
        """D's logits. Real voxels are exactly 0 or 1, which would give made ones away whatever their shape; noise hides it."""
        assert self.discriminator is not None
        if self.config.instance_noise:
            solids = solids + self.config.instance_noise * batch.noise.normal(len(solids), *solids.shape[1:])
        said: Tensor = self.discriminator(solids)
        return said

    @torch.no_grad()
    def _measure(self, real: Tensor, fake: Tensor) -> None:
        self.accuracy.copy_(((real > 0).float().mean() + (fake < 0).float().mean()) / 2)

    # What it can do

    def depict(self, solids: Tensor, noise: Noise) -> Tensor:
        return views(solids, *drawn_sides(noise.uniform(len(solids), 5)))

    def build(self, pictures: Tensor, noise: Noise, drawn: bool = False) -> Tensor:
        means, spreads = self.reader(pictures)
        return self._drawn(means + (0.5 * spreads).exp() * noise.normal(*means.shape) if drawn else means)

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """Occupancies (count, 1, side, side, side) of normal codes, without crumbs."""
        return self._drawn(noise.normal(count, self.config.code_size))

    def _drawn(self, codes: Tensor) -> Tensor:
        return finished(without_crumbs, {"occupancy": self.average(codes).sigmoid()}, self.config.crumbs)

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """Solids, and what is made of a picture of each."""
        solids = self._solids(batch)
        made = self.build(batch[PICTURE] if self.paired else self.depict(solids, noise), noise)
        return Panel(torch.stack([solids, made], 1), ("true", "from a picture"))
