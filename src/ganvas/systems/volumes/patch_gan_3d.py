"""Multi-scale GAN of patches. Uzunova, Ehrhardt, Handels, 2020, "Memory-efficient GAN-based domain translation of high
resolution 3D medical images" (Computerized Medical Imaging and Graphics 86, arXiv 2010.03396); Uzunova, Ehrhardt, Jacob,
Frydrychowicz, Handels, 2019, "Multi-scale GANs for Memory-efficient Generation of High Resolution Medical Images" (MICCAI,
arXiv 1907.01376).

A volume is made whole at a low resolution, and then at doubled resolutions patch by patch, each patch of what the scale before
shows at its place and around it:
    x_0 = G_0(z),        x_k at a patch = G_k(x_(k-1) at the patch and around it, noise),
stage by stage, each with a discriminator of its own, by least squares (Mao et al. 2017):
    L_D = 1/2 E (D(x) - 1)^2 + 1/2 E D(G)^2 + gamma/2 E ||grad D(x)||^2,        L_G = 1/2 E (D(G) - 1)^2.
Stages of patches learn from random patches of real volumes and of these halved, so that memory depends on the patch and not on
the volume; made side by side, patches fit, because they are made of overlapping surroundings without padding.

Networks, and how volumes are put together: `networks/patch_gan_3d.py`.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.patch_gan_3d import (
    NOISE,
    DetailGenerator,
    PatchDiscriminator,
    WholeDiscriminator,
    WholeGenerator,
    detailed,
    halved,
    inner,
    windows,
)
from ganvas.objectives.adversarial import least_squares
from ganvas.objectives.penalties import with_range_for_slopes, zero_centred_penalty
from ganvas.objectives.schedules import until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "options": {"size": "64"},
    "title": "Memory-efficient GAN-based domain translation of high resolution 3D medical images (multi-scale patches)",
    "authors": "Uzunova, Ehrhardt, Handels",
    "year": 2020,
    "paper": "arXiv 2010.03396",
    "summary": "whole volumes (MR, CT) of high resolution in little memory: small ones first, then patches; enlarges, too",
    "data": ["volume"],
    "aliases": ["multi-scale-patch-gan", "patchgan-3d"],
}

LARGEST_WHOLE = 16  # voxels a side that are made at once where nobody says


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(64, "size of the latent vector of a small whole volume", low=1)
    whole_side: int = knob(0, "side of small whole volumes; 0: the data's, halved until it is at most 16", low=0, high=64)
    patch_side: int = knob(32, "voxels a side of the patches that are learnt from and made", low=16, high=256, later=True)
    width: int = knob(32, "channels of a patch's G, and of the others where their maps are largest", low=4, high=512)
    layers: int = knob(3, "convolutions of a patch's G before it doubles; each sees a coarse voxel more around", low=1, high=8)
    whole_share: float = knob(0.4, "share of the budget for small whole volumes; patches have the rest", low=0.05, high=0.95)
    patches: int = knob(2, "patches of every volume of a batch", low=1, high=64)
    reconstruction_weight: float = knob(0.5, "weight of the mean error of patches made of halved real volumes", low=0.0)
    penalty_weight: float = knob(1.0, "weight of the gradient penalty at real records (gamma)", low=0.0)
    gradient_clip: float = knob(0.0, "most that the norm of a player's gradient may be; 0: no bound", low=0.0)
    generator_learning_rate: float = knob(1e-3, "learning rate of every G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(1e-3, "learning rate of every D (Adam)", low=0.0)
    beta1: float = knob(0.0, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(500.0, "half-life in samples of the G that volumes are made by; 0: none", low=0.0)
    enlarge: int = knob(1, "of the last stages, how many `restore` works with; each doubles a side", low=1, high=6, later=True)
    batch_size: int = knob(8, "volumes in a batch", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """Fewer volumes in a batch where they are large, more of everything on a GPU; half the class's rates, which come nearer."""
    side, small = situation.spec.side, situation.device == "cpu"
    batch, width = 8 if side <= 64 else 4 if side <= 128 else 2, 32 if small else 64
    own = {"generator_learning_rate": 5e-4, "discriminator_learning_rate": 5e-4, "gradient_clip": 1.0}
    return {"batch_size": batch, "patches": max(1, width // 4 // batch), "width": width, **own}


PRESETS: dict[str, Any] = {
    "auto": auto,
    "paper": {
        "width": 64, "penalty_weight": 0.0, "generator_learning_rate": 2e-4, "discriminator_learning_rate": 2e-4, "beta1": 0.5,
        "ema_half_life": 0.0, "batch_size": 1, "patches": 8,
    },
}  # fmt: skip


def sides_of(side: int, whole: int) -> tuple[int, ...]:
    """The sides of all scales, the smallest first; () where doubling does not lead there."""
    found = [side]
    while found[0] % 2 == 0 and (found[0] > whole if whole else len(found) < 2 or found[0] > LARGEST_WHOLE):
        found.insert(0, found[0] // 2)
    return tuple(found) if found[0] % 4 == 0 and found[0] >= 8 and whole in (0, found[0]) else ()


class PatchGan3d(System):
    Config = Config
    undecided = 0.25  # of least squares, halved
    multiple = 1

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.sides = sides_of(spec.side, config.whole_side) if len(set(spec.shape[1:])) == 1 else ()
        if len(self.sides) < 2:
            shape = "x".join(map(str, spec.shape[1:]))
            raise GanvasError(
                f"patch-gan-3d doubles small cubes of 8, 12 or 16 voxels a side, which do not reach {shape}: add --size 64"
            )
        steps, width = len(self.sides) - 1, config.width
        self.generator = WholeGenerator(config.latent_size, self.sides[0], width)
        self.discriminator = WholeDiscriminator(self.sides[0], width)
        self.details = nn.ModuleList(DetailGenerator(width, config.layers) for _ in range(steps))
        self.judges = nn.ModuleList(PatchDiscriminator(width) for _ in range(steps))
        if config.ema_half_life:
            self.average, self.average_details = copy.deepcopy(self.generator), copy.deepcopy(self.details)

    # The game

    def players(self) -> tuple[Player, ...]:
        def pair(name: str, generator: str, discriminator: str) -> tuple[Player, Player]:
            rates = self.config.discriminator_learning_rate, self.config.generator_learning_rate
            first, second = (optimiser("adam", rate, beta1=self.config.beta1, beta2=0.99) for rate in rates)
            bound = functools.partial(Player, clip=self.config.gradient_clip or None)  # to Adam one large one is ten rates
            return bound(f"discriminator{name}", (discriminator,), first), bound(f"generator{name}", (generator,), second)

        found: tuple[Player, ...] = pair("", "generator", "discriminator")
        for k, side in enumerate(self.sides[1:]):
            found += pair(f"_{side}", f"details.{k}", f"judges.{k}")
        return found

    def phases(self) -> tuple[Phase, ...]:
        share, steps = self.config.whole_share, len(self.sides) - 1
        whole = (Turn("discriminator", self.discriminate), Turn("generator", self.fool))
        found = [Phase("whole", whole, until=until_share(share))]
        for k, side in enumerate(self.sides[1:]):
            turns = (Turn(f"discriminator_{side}", self.discriminate_patches), Turn(f"generator_{side}", self.fool_patches))
            until = None if k == steps - 1 else until_share(share + (1 - share) * (k + 1) / steps)
            found.append(Phase(f"details_{side}", turns, until=until))
        return tuple(found)

    def averages(self) -> tuple[Average, ...]:
        life = self.config.ema_half_life
        if not life:
            return ()
        made = [Average("generator", "average", life)]
        return (*made, *(Average(f"details.{k}", f"average_details.{k}", life) for k in range(len(self.details))))

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._small(batch)
        return self._judged(self.discriminator, self._at(batch.real, 0), shared["fake"].detach())

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._small(batch)
        return {"fool": least_squares(self.discriminator(fake), 1.0)}

    def _small(self, batch: Batch) -> Tensor:
        return self.generator(batch.noise.normal(len(batch), self.config.latent_size))

    def discriminate_patches(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D of patches, each beside what it was made of."""
        number = self._stage(clock)
        made, beside, real = shared["patches"] = self._made(*self._patches(batch, number), number)
        return self._judged(lambda patches: self.judges[number](patches, beside), real, made.detach())

    def fool_patches(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        number = self._stage(clock)
        fresh = "patches" not in shared
        made, beside, real = self._made(*self._patches(batch, number), number) if fresh else shared.pop("patches")
        like = self.config.reconstruction_weight * (made - real).abs().mean()
        return {"fool": least_squares(self.judges[number](made, beside), 1.0), "like": like}

    def _stage(self, clock: Clock) -> int:
        """Which stage of patches plays."""
        return next((k for k, side in enumerate(self.sides[1:]) if clock.phase == f"details_{side}"), 0)

    def _made(self, real: Tensor, coarse: Tensor, grain: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Patches, what they were made of, smoothly enlarged, and the real ones."""
        stage: Any = self.details[number]
        smooth = interpolate(inner(coarse, stage.margin - 1), scale_factor=2, mode="trilinear", align_corners=False)
        return stage(coarse, grain), inner(smooth, 2), real

    def _patches(self, batch: Batch, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Random real patches, the coarse cubes that lie there with their margins, and noise for these."""
        count, each, margin = len(batch), self.config.patches, int(self.details[number].margin)  # type: ignore[arg-type]
        side = min(self.config.patch_side // 2, self.sides[number])
        fine = self._at(batch.real, number + 1)
        starts = batch.noise.integers(self.sides[number] - side + 1, count, each, 3).flatten(0, 1)
        rows = torch.arange(count, device=starts.device).repeat_interleave(each)
        coarse = windows(halved(fine), rows, starts - margin, side + 2 * margin)
        grain = batch.noise.normal(count, each, NOISE, *coarse.shape[2:]).flatten(0, 1)
        return windows(fine, rows, 2 * starts, 2 * side), coarse, grain

    def _judged(self, judge: Any, real: Tensor, fake: Tensor) -> Terms:
        """D's terms, with the slope of D at real records (R1; Mescheder et al. 2018) by the number of voxels."""
        terms = {"fake": least_squares(judge(fake), 0.0)}
        if not self.config.penalty_weight:
            return {"real": least_squares(judge(real), 1.0), **terms}
        with with_range_for_slopes(real):
            points = real.detach().requires_grad_()
            logits = judge(points)
            slope = self.config.penalty_weight / 2 * zero_centred_penalty(points, logits.flatten(1).mean(1))
        return {"real": least_squares(logits, 1.0), **terms, "slope": slope}

    def _at(self, volumes: Tensor, scale: int) -> Tensor:
        """Real volumes at the side of that scale, 0 the smallest."""
        for _ in range(len(self.sides) - 1 - scale):
            volumes = halved(volumes)
        return volumes

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        averaged = bool(self.config.ema_half_life)
        volumes = (self.average if averaged else self.generator)(noise.normal(count, self.config.latent_size))
        return self._detailed(volumes, noise, len(self.details))

    @property
    def scale(self) -> int:
        """See `capabilities.Restores`."""
        return 2 ** min(self.config.enlarge, len(self.details))

    def degrade(self, images: Tensor, noise: Noise) -> Tensor:
        """Volumes at a lower resolution: means over cubes of voxels."""
        for _ in range(min(self.config.enlarge, len(self.details))):
            images = halved(images)
        return images

    def restore(self, images: Tensor, noise: Noise) -> Tensor:
        """Volumes of any size with details added, patch by patch; halved again they are what was given."""
        return self._detailed(images, noise, min(self.config.enlarge, len(self.details)))

    def _detailed(self, volumes: Tensor, noise: Noise, steps: int) -> Tensor:
        stages: Any = self.average_details if self.config.ema_half_life else self.details
        for stage in list(stages)[len(stages) - steps :]:
            seeds = noise.integers(2**62, len(volumes))
            volumes = detailed(stage, volumes, seeds, self.config.patch_side // 2, at_once=4)
        return volumes
