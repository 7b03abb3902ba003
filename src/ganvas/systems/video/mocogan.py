"""MoCoGAN. Tulyakov, Liu, Yang, Kautz, 2018, "MoCoGAN: Decomposing Motion and Content for Video Generation" (CVPR,
arXiv 1707.04993).

A clip is a path through the latents of images. Every frame is G_I of two codes: content z_C ~ N(0, I), one for the whole clip,
and motion, which a recurrent network R_M makes frame by frame of fresh noise and of the action asked for (z_A, one-hot):
    h(t) = GRU(h(t-1); z_A, e(t)),  h(0), e(t) ~ N(0, I)          x(t) = G_I(z_C, h(t))
D_I judges single frames, drawn at random out of clips; D_V judges whole clips by 3-D convolutions, and reads the action (Q):
    min_{G_I,R_M} max_{D_I,D_V}  E[log D_I(x(t))] + E[log(1 - D_I(x~(t)))] + E[log D_V(x)] + E[log(1 - D_V(x~))] + lambda L_I
where L_I is the log-likelihood that Q gives the action: of real clips to D_V, of made ones to G. G's turn is the
non-saturating one. Ours: with an `information_weight`, z_C can be read off any frame by a network Q_C (as by InfoGAN's Q, arXiv
1606.03657), so that a look stays when the action changes. `codes=one` is what the decomposition is compared with: a recurrent
code alone, of as many numbers.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks import convolutional
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "options": {"size": "32"},
    "title": "MoCoGAN: Decomposing Motion and Content for Video Generation",
    "authors": "Tulyakov, Liu, Yang, Kautz",
    "year": 2018,
    "paper": "arXiv 1707.04993",
    "summary": "clips whose look and motion are asked for apart; actions by label, any length",
    "data": ["video"],
}


@dataclass(frozen=True)
class Config:
    content_size: int = knob(50, "numbers of z_C, which are the same in every frame", low=1)
    motion_size: int = knob(10, "numbers of the recurrent code, and of the fresh noise of each frame", low=1)
    codes: str = knob("two", "two: content stays, motion is recurrent; one: all of it is recurrent", choices=("two", "one"))
    width: int = knob(64, "channels of G_I and D_I at half the size; doubles towards the latent", low=1, high=1024)
    clip_width: int = knob(64, "channels of D_V at half the size", low=1, high=1024)
    frames_judged: int = knob(1, "frames of each clip that D_I sees", low=1)
    class_weight: float = knob(1.0, "lambda: weight of L_I, that actions are recognised; 0: D_V alone learns them", low=0.0)
    information_weight: float = knob(0.0, "weight of Q_C, by which z_C can be read off any frame, whatever is done", low=0.0)
    instance_noise: float = knob(0.0, "standard deviation of the noise that both D see everything through", low=0.0)
    generator_learning_rate: float = knob(2e-4, "learning rate of G_I and R_M (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(2e-4, "learning rate of D_I and D_V (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(0.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(32, "clips in a batch", low=1)


WORK = 7.0e-4  # GFLOP of a clip of 16 frames of 32x32 in a round, for each width^2
WANTED = {16: 0.0, 32: 12_000.0, 64: 1_000_000.0}  # clips after which a width pays off


def auto(situation: Situation) -> dict[str, Any]:
    """The widest networks whose learning the budget pays for; small batches, larger steps and an average on a CPU."""
    spec = situation.spec
    values = spec.frames * spec.height * spec.width / (16 * 32**2)
    width = widest(situation, WANTED, lambda width: WORK * values * width**2)
    shared = {"information_weight": 4.0, "ema_half_life": 5_000.0}
    if situation.device != "cpu":
        return {"width": max(32, width), "clip_width": max(32, width), **shared}
    rates = {"generator_learning_rate": 5e-4, "discriminator_learning_rate": 5e-4}
    return {"width": width, "clip_width": width // 2, "frames_judged": 2, "batch_size": 16, **rates, **shared}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"instance_noise": 0.1}}


class ClipGenerator(nn.Module):
    """R_M and G_I. content (B, content), motions (B, 1 + T, motion), actions (B, K) one-hot -> clips (B, C, T, H, W).

    motions: h(0), and the fresh noise of each frame; T is any number. With one code the recurrent one is of both sizes, begins
    with content and h(0), and is told content at every frame: G_I hears of it by way of the recurrence alone.
    """

    def __init__(self, config: Config, actions: int, shape: Sequence[int]) -> None:
        super().__init__()
        channels, _, height, width = shape
        self.two, both = config.codes == "two", config.content_size + config.motion_size
        size = config.motion_size if self.two else both
        self.recurrence = nn.GRUCell(size + actions, size)
        self.frame = convolutional.ConvolutionalGenerator(both, (channels, height, width), config.width)

    def forward(self, content: Tensor, motions: Tensor, actions: Tensor) -> Tensor:
        state = motions[:, 0] if self.two else torch.cat([content, motions[:, 0]], dim=1)
        codes = []
        told = actions if self.two else torch.cat([actions, content], dim=1)
        for fresh in motions[:, 1:].unbind(1):
            state = self.recurrence(torch.cat([fresh, told], dim=1), state)
            codes.append(torch.cat([content, state], dim=1) if self.two else state)
        frames: Tensor = self.frame(torch.stack(codes, dim=1).flatten(0, 1))
        return frames.unflatten(0, (len(content), len(codes))).transpose(1, 2)


class ClipDiscriminator(nn.Module):
    """D_V and Q: clips (B, C, T, H, W) -> logits (B,), and of the actions (B, K). No sigmoid, no softmax.

    Kernels of 4 halve space; in time they are of 4 frames, or fewer where clips are short, without stride and padding.
    """

    def __init__(self, shape: Sequence[int], width: int, actions: int) -> None:
        super().__init__()
        channels, frames, height, columns = shape
        stages, _ = convolutional.stages_and_base(height, columns)
        less = min(3, (frames - 1) // stages)  # frames that a layer takes away
        widths = [channels, *(width * 2 ** min(k, 3) for k in range(stages))]
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(itertools.pairwise(widths)):
            layers.append(nn.Conv3d(before, after, (less + 1, 4, 4), (1, 2, 2), (0, 1, 1), bias=not number))
            layers += [nn.BatchNorm3d(after)] if number else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        whole = (frames - stages * less, height // 2**stages, columns // 2**stages)
        self.layers = nn.Sequential(*layers, nn.Conv3d(widths[-1], 1 + actions, whole))
        for module in self.layers:
            if isinstance(module, nn.Conv3d):
                nn.init.normal_(module.weight, 0.0, 0.02)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        said = self.layers(clips).flatten(1)  # not squeezed: a batch of one stays a batch
        return said[:, 0], said[:, 1:]


class MoCoGan(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        if spec.frames < 2:
            raise GanvasError("mocogan makes clips of 2 frames or more: add --frames 16")
        self.classes = len(spec.classes) if len(spec.classes) > 1 else 0
        self.content_size, self.motion_size = config.content_size, config.motion_size
        channels, _, height, width = spec.shape
        self.generator = ClipGenerator(config, self.classes, spec.shape)
        self.image_discriminator = convolutional.ConvolutionalDiscriminator((channels, height, width), config.width)
        self.video_discriminator = ClipDiscriminator(spec.shape, config.clip_width, self.classes)
        if config.information_weight:
            self.recogniser = convolutional.ConvolutionalEncoder((channels, height, width), config.content_size, config.width)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        rates = self.config.discriminator_learning_rate, self.config.generator_learning_rate
        judge, play = (optimiser("adam", rate, beta1=self.config.beta1) for rate in rates)
        judges = (Player(name, (name,), judge) for name in ("image_discriminator", "video_discriminator"))
        return (*judges, Player("generator", ("generator", "recogniser")[: 2 if self.config.information_weight else 1], play))

    def phases(self) -> tuple[Phase, ...]:
        judges = Turn("image_discriminator", self.judge_frames), Turn("video_discriminator", self.judge_clips)
        return (Phase("play", (*judges, Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    # The game

    def judge_frames(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._fake(batch)  # with its graph: the other turns go on from here
        real, fake = (self._judged_frames(own, batch) for own in (batch.real, shared["fake"][0].detach()))
        return {"real": real_is_real(real), "fake": fake_is_fake(fake)}

    def judge_clips(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        clips, _, _ = shared["fake"] if "fake" in shared else self._fake(batch)
        real, read = self.video_discriminator(self._shaken(batch.real, batch))  # real and fake apart, for BatchNorm
        fake, _ = self.video_discriminator(self._shaken(clips.detach(), batch))
        return {"real": real_is_real(real), "fake": fake_is_fake(fake), **self._misread(read, batch.labels, 1.0)}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        clips, actions, content = shared.pop("fake") if "fake" in shared else self._fake(batch)
        said, read = self.video_discriminator(self._shaken(clips, batch))
        frames = non_saturating(self._judged_frames(clips, batch))
        terms = {"frames": frames, "clips": non_saturating(said), **self._misread(read, actions, self.config.class_weight)}
        if self.config.information_weight:
            missed = self.recogniser(self._frames(clips, 1, batch)) - content
            terms["information"] = self.config.information_weight * missed.square().mean()
        return terms

    def _fake(self, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor]:
        count = len(batch)
        actions = batch.noise.integers(self.classes, count) if self.classes else None
        content, motions = self._drawn(count, batch.noise)
        made: Tensor = self.generator(content, motions, self._told(actions, content))
        return made, actions, content

    def _judged_frames(self, clips: Tensor, batch: Batch) -> Tensor:
        """What D_I says of frames drawn out of clips, (B * frames_judged,)."""
        return self.image_discriminator(self._shaken(self._frames(clips, self.config.frames_judged, batch), batch))

    def _frames(self, clips: Tensor, many: int, batch: Batch) -> Tensor:
        """So many different frames of each clip, (B * many, C, H, W); all where there are fewer."""
        clips = clips.transpose(1, 2)
        places = batch.noise.uniform(len(clips), clips.shape[1]).argsort(1)[:, :many]
        return clips.take_along_dim(places[:, :, None, None, None], dim=1).flatten(0, 1)

    def _shaken(self, records: Tensor, batch: Batch) -> Tensor:
        if not self.config.instance_noise:
            return records
        return records + self.config.instance_noise * batch.noise.normal(len(records), *records.shape[1:])

    def _misread(self, read: Tensor, actions: Tensor | None, weight: float) -> Terms:
        """- lambda L_I, where there are actions."""
        return {"action": weight * cross_entropy(read, actions)} if self.classes and weight and actions is not None else {}

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        actions = noise.integers(self.classes, count) if labels is None and self.classes else labels
        return self.act(*self._drawn(count, noise), actions)

    def act(self, contents: Tensor, motions: Tensor, labels: Tensor | None = None) -> Tensor:
        """Clips (B, C, T, H, W) of contents (B, content_size) and motions (B, 1 + T, motion_size): any T."""
        clips: Tensor = self.average(contents, motions, self._told(labels, contents))
        return clips

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """A row of one content: each action, or three motions of its own where there are none."""
        count, columns = len(batch), self.classes or 3
        content, _ = self._drawn(count, noise)
        clips = [self.act(content, self._drawn(count, noise)[1], self._of(k, content)) for k in range(columns)]
        return Panel(torch.stack(clips, 1), tuple(self.spec.classes) if self.classes else ("motion 1", "motion 2", "motion 3"))

    def _of(self, action: int, like: Tensor) -> Tensor | None:
        return torch.full((len(like),), action, device=like.device) if self.classes else None

    def _drawn(self, count: int, noise: Noise) -> tuple[Tensor, Tensor]:
        """Content and motions of clips of the length that is learnt."""
        content = noise.normal(count, self.content_size)
        return content, noise.normal(count, 1 + self.spec.frames, self.motion_size)

    def _told(self, labels: Tensor | None, like: Tensor) -> Tensor:
        """Actions one-hot (B, K); (B, 0) where there are none."""
        if labels is None or not self.classes:
            return like.new_zeros(len(like), self.classes)
        return one_hot(labels, self.classes).to(like)
