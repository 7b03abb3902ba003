"""FOMM. Siarohin, Lathuiliere, Tulyakov, Ricci, Sebe, 2019, "First Order Motion Model for Image Animation" (NeurIPS,
arXiv 2003.00196).

A still picture S moves as another one's video D does. Nobody says what moves: a detector finds K keypoints p_k and the local
maps J_k (Jacobians) round them, from pairs of frames of one clip alone. Near a keypoint the driving frame's pixel z shows what
in the source is at
    T_k(z) = p_S,k + J_k (z - p_D,k),    J_k = J_S,k J_D,k^-1                                       (eq. 4)
A network chooses among these and z itself (dense motion), and says how much of a pixel the source shows (occlusion); features
of the source are warped, what is hidden is blotted out, and a decoder draws the frame. Losses: reconstruction, and for a known
transform T of the driving frame (X = T o Y) that keypoints go along (equivariance):
    |p_X - T(p_Y)|,    |1 - J_X^-1 T'(p_Y) J_Y|                                                     (eqs. 9 to 11)
and a least-squares D, whose features are matched. Animation is relative (eq. 12): S gets what changed since D's first frame,
    p_S + (p_D,t - p_D,1),    J_D,t J_D,1^-1 J_S
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, l1_loss

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.fomm import Animator, Keypoints, Transforms, grid, inverse, product, warped
from ganvas.networks.patch import SMALLEST, PatchDiscriminator, patch_depth
from ganvas.objectives.adversarial import least_squares
from ganvas.objectives.matching import feature_matching
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "options": {"size": "48"},
    "title": "First Order Motion Model for Image Animation (FOMM)",
    "authors": "Siarohin, Lathuiliere, Tulyakov, Ricci, Sebe",
    "year": 2019,
    "paper": "arXiv 2003.00196",
    "summary": "makes a still picture move as a video of another one does",
    "data": ["video"],
    "aliases": ["first-order-motion-model", "first-order-model"],
    "example": "turning-faces",
}


@dataclass(frozen=True)
class Config:
    keypoints: int = knob(10, "keypoints that are found", low=1, high=64)
    width: int = knob(32, "channels of what finds keypoints and motion; doubles with each halving", low=1, high=1024)
    generator_width: int = knob(64, "channels of G; doubles with each halving, up to 8 times", low=1, high=1024)
    blocks: int = knob(6, "residual blocks of the generator", low=0, high=32)
    halvings: int = knob(2, "halvings before features are warped", low=0, high=5)
    motion_scale: int = knob(4, "keypoints and motion are found on pictures this many times smaller", low=1, high=8)
    heatmap_temperature: float = knob(0.1, "of the softmax over heatmaps: higher, and they are wider", low=1e-3, high=100.0)
    motion: str = knob(
        "affine", "affine: keypoints with local maps; shift: keypoints alone; none: told of them, and nothing is warped",
        choices=("affine", "shift", "none"),
    )  # fmt: skip
    copies: bool = knob(False, "the warped picture itself stands where nothing is hidden")
    reconstruction_weight: float = knob(10.0, "weight of the error at each of the scales", low=0.0)
    compared_scales: int = knob(4, "scales at which frames are compared: 1, 1/2, 1/4 ...", low=1, high=8)
    equivariance_weight: float = knob(10.0, "weight of keypoints that go along with a known transform", low=0.0)
    map_weight: float = knob(10.0, "weight of local maps that do so", low=0.0)
    adversarial_weight: float = knob(1.0, "weight of D's say", low=0.0)
    feature_weight: float = knob(10.0, "weight of matching D's features; with both at 0 there is no D", low=0.0)
    discriminator_width: int = knob(32, "channels of D's first layer", low=1, high=1024)
    learning_rate: float = knob(2e-4, "learning rate of both players (Adam)", low=1e-9)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    decay_start: float = knob(1.0, "share of the budget before learning rates fall, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the networks that are put to use; 0: none", low=0.0)
    batch_size: int = knob(40, "clips in a batch, of each a pair of frames", low=2)


WORK = 4.0e-3  # GFLOP of a round for a clip of 48x48, for each width^2
WANTED = {12: 0.0, 16: 40_000.0, 32: 300_000.0}  # clips after which a width pays off


def auto(situation: Situation) -> dict[str, Any]:
    """The widest networks that the budget pays for; of small pictures motion is found at more of their size."""
    spec = situation.spec
    side = min(spec.height, spec.width)
    pixels = spec.height * spec.width / 48**2
    width = widest(situation, WANTED, lambda width: WORK * pixels * width**2)
    cpu = situation.device == "cpu"
    return {
        "width": width, "generator_width": width, "discriminator_width": width, "blocks": 2 if cpu else 4,
        "halvings": 1 if side < 128 else 2, "motion_scale": 2 if side < 128 else 4, "compared_scales": 3, "copies": True,
        "heatmap_temperature": 0.5, "map_weight": 2.0, "feature_weight": 1.0, "adversarial_weight": 0.1,
        "learning_rate": 1e-3 if cpu else 5e-4, "decay_start": 0.5, "ema_half_life": 500.0, "batch_size": 8 if cpu else 32,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}

AT_ONCE = 32  # frames that are drawn together
SMALLEST_SCALE = 8  # pixels of a side below which frames are not compared


def _at(frames: Tensor, level: int) -> Tensor:
    """Halved `level` times."""
    return frames if level == 0 else avg_pool2d(frames, 2**level)


def _repeated(points: Keypoints, times: int) -> Keypoints:
    maps = None if points.maps is None else points.maps.repeat_interleave(times, 0)
    return Keypoints(points.places.repeat_interleave(times, 0), maps)


def _moved(own: Keypoints, start: Keypoints, now: Keypoints) -> Keypoints:
    """The own keypoints, moved as those of `start` have by `now` (eq. 12)."""
    places = own.places + now.places - start.places
    if own.maps is None or start.maps is None or now.maps is None:
        return Keypoints(places, None)
    return Keypoints(places, product(product(now.maps, inverse(start.maps)), own.maps))


class Fomm(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"
    undecided = 0.25  # of 1/2 (D - 1)^2 + 1/2 D^2
    multiple = 0  # keypoints are found by what the size of training shows

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        channels, frames, height, width = spec.shape
        side = min(height, width)
        if frames < 2:
            raise GanvasError("fomm learns from clips of 2 frames or more: add --frames 16")
        if side < SMALLEST:
            raise GanvasError(f"fomm: frames of {spec.size} are too small: the least side is {SMALLEST} (see --size)")
        shape = (channels, height, width)
        scale = min(config.motion_scale, max(1, side // SMALLEST))
        self.animator = Animator(
            shape,
            config.keypoints,
            config.width,
            config.generator_width,
            config.blocks,
            config.halvings,
            scale,
            config.motion,
            config.copies,
            config.heatmap_temperature,
        )
        self.average = copy.deepcopy(self.animator)
        self.judged = config.adversarial_weight > 0 or config.feature_weight > 0
        if self.judged:
            depth = patch_depth(side)
            self.discriminator = PatchDiscriminator(channels, config.discriminator_width, depth, nn.InstanceNorm2d)
        self.levels = [k for k in range(config.compared_scales) if k == 0 or side >> k >= SMALLEST_SCALE]

    # The game

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        decay = linear_decay(self.config.decay_start)
        names = ("discriminator", "animator") if self.judged else ("animator",)
        return tuple(Player(name, (name,), rule, decay) for name in names)

    def phases(self) -> tuple[Phase, ...]:
        first = (Turn("discriminator", self.discriminate),) if self.judged else ()
        return (Phase("play", (*first, Turn("animator", self.imitate))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("animator", "average", self.config.ema_half_life),)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        made, driving, _ = self._made(batch, shared)
        real, fake = self.discriminator(driving), self.discriminator(made.detach())
        return {"real": least_squares(real, 1.0), "fake": least_squares(fake, 0.0)}

    def imitate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The turn of all that makes frames: the driving frame is made of another one of its clip."""
        config = self.config
        made, driving, found = self._made(batch, shared)
        shared.pop("made", None)
        error = sum((l1_loss(_at(made, k), _at(driving, k)) for k in self.levels), made.new_zeros(()))
        terms = {"error": config.reconstruction_weight * error, **self._equivariance(found, batch.noise, driving)}
        if self.judged:
            own, wanted = self.discriminator.features(made), self.discriminator.features(driving)
            terms["fool"] = config.adversarial_weight * least_squares(own[-1], 1.0)
            terms["matching"] = config.feature_weight * feature_matching(own[:-1], wanted[:-1])
        return terms

    def _made(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor, Keypoints]:
        """(made, driving frame, its keypoints): of each clip two frames, the same for both turns of a round."""
        if "made" not in shared:
            clips = batch.real
            chosen = batch.noise.uniform(len(clips), clips.shape[2]).argsort(1)
            rows = torch.arange(len(clips), device=clips.device)
            source, driving = (clips[rows, :, chosen[:, k]] for k in (0, 1))
            both = self.animator.keypoints(torch.cat([source, driving]))
            of_source, of_driving = both[: len(rows)], both[len(rows) :]
            shared["made"] = self.animator(source, of_source, of_driving), driving, of_driving
        found: tuple[Tensor, Tensor, Keypoints] = shared["made"]
        return found

    def _equivariance(self, found: Keypoints, noise: Noise, frames: Tensor) -> Terms:
        """Y(z) = X(T z): what is found at p in Y must have been found at T(p) in X, and its map must have gone along."""
        config = self.config
        if not config.equivariance_weight and not config.map_weight:
            return {}
        moved = Transforms(noise, len(frames))
        height, width = frames.shape[2:]
        places = grid(height, width, found.places).expand(len(frames), height, width, 2)
        there = self.animator.keypoints(warped(frames, moved(places)))
        terms = {"places": config.equivariance_weight * (found.places - moved(there.places)).abs().mean()}
        if found.maps is not None and there.maps is not None:
            back = product(inverse(found.maps), product(moved.slopes(there.places), there.maps))
            one = torch.eye(2, device=back.device, dtype=back.dtype)
            terms["maps"] = config.map_weight * (one - back).abs().mean()
        return terms

    # What it can do

    def animate(self, images: Tensor, noise: Noise, driving: Tensor, relative: bool = True) -> Tensor:
        """See `capabilities.Animates`; nothing is drawn from `noise`."""
        count, frames = len(images), driving.shape[2]
        driving = driving.expand(count, *driving.shape[1:])
        of_source, start = self.average.keypoints(images), self.average.keypoints(driving[:, :, 0])
        made = []
        step = max(1, AT_ONCE // count)
        for first in range(0, frames, step):
            part = driving[:, :, first : first + step].transpose(1, 2)
            now = self.average.keypoints(part.flatten(0, 1))
            own, begun = (_repeated(points, part.shape[1]) for points in (of_source, start))
            wanted = _moved(own, begun, now) if relative else now
            drawn = self.average(images.repeat_interleave(part.shape[1], 0), own, wanted)
            made.append(drawn.view(count, part.shape[1], *drawn.shape[1:]).transpose(1, 2))
        return torch.cat(made, 2).clamp(-1, 1)
