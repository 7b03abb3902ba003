"""StackGAN. Zhang, Xu, Li, Zhang, Wang, Huang, Metaxas, 2017, "StackGAN: Text to Photo-realistic Image Synthesis with Stacked
Generative Adversarial Networks" (ICCV, arXiv 1612.03242).

A picture of a caption in two stages. Stage one draws it small, from noise z and the caption's embedding h; then stage two,
without noise, reads the small picture and the caption once more and draws it large. In both, G is told of the caption by
conditioning augmentation (section 3.2): not h, but a sample c = mu(h) + sigma(h) eps, eps ~ N(0, 1), with a price on leaving
the normal distribution, which fills the gaps between the captions of the data (eq. 4, and eq. 6 with the small picture for z):
    L_D = -log D(x, h) - (log(1 - D(x, h')) + log(1 - D(G(z, c), h))) / 2,      h' a wrong caption,
    L_G = -log D(G(z, c), h) + lambda KL(N(mu(h), Sigma(h)) || N(0, I)),        lambda = 1.
While stage two learns stage one stands still. The text encoder is learnt first, from a joint embedding (see gan-cls).
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.kinds import spelled
from ganvas.networks.caption import CaptionDiscriminator, CaptionEncoder, CaptionMemory
from ganvas.networks.convolutional import SMALLEST_SIDE, ConvolutionalEncoder
from ganvas.networks.stackgan import Stage, StageOne, StageTwo, divergence
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.captions import joint_embedding, wrong_is_fake
from ganvas.objectives.schedules import until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "StackGAN: Text to Photo-realistic Image Synthesis with Stacked Generative Adversarial Networks",
    "authors": "Zhang, Xu, Li, Zhang, Wang, Huang, Metaxas",
    "year": 2017,
    "paper": "arXiv 1612.03242",
    "summary": "draws pictures of what a caption says, first small, then large; learnt from pictures with captions",
    "data": {"picture": "image", "caption": "tokens"},
    "aliases": ["stack-gan"],
}

TIMES = {1: 0, 2: 16, 4: 64}  # how often smaller stage one draws, of pictures from so many pixels on
SHOWN = 3  # pictures of one caption in `show`


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(100, "size of the noise z of stage one", low=1)
    text_size: int = knob(128, "size of a caption's embedding", low=2)
    condition_size: int = knob(64, "size of c, and of what each D makes of the embedding", low=1)
    width: int = knob(32, "channels of all image networks where their pictures are largest, a quarter of a word vector", low=1)
    blocks: int = knob(4, "residual blocks of stage two", low=0, high=32)
    reduction: int = knob(0, "how often smaller stage one draws; 0: 4 from 64 pixels on, 2 from 16", choices=(0, 1, 2, 4))
    keep_draft: bool = knob(True, "stage two adds to the enlarged small picture; off: it draws anew")
    conditioning_augmentation: bool = knob(True, "tell G of a caption by a sample around it; off: by its mean alone")
    kl_weight: float = knob(1.0, "weight of the divergence, a mean over the numbers of c (lambda)", low=0.0)
    matching_aware: bool = knob(True, "real pictures with wrong captions are fakes to D; off: a plain conditional GAN")
    embedding_share: float = knob(0.15, "share of the budget for the text encoder, before the game", low=0.0, high=0.8)
    stage_one_share: float = knob(0.4, "share of the budget for stage one", low=0.0, high=0.9)
    embedding_learning_rate: float = knob(7e-4, "learning rate of text and image encoder (Adam)", low=0.0)
    learning_rate: float = knob(2e-4, "learning rate of G and D of both stages (Adam)", low=0.0)
    decay_steps: int = knob(0, "how often the learning rate is halved, evenly over each stage", low=0, high=20)
    augment: tuple[str, ...] = knob((), "changes that each D sees on real and fake pictures alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of both G that pictures are drawn from", low=0.0)
    batch_size: int = knob(64, "records in a batch", low=2)


WORK_WANTED = {16: 0.0, 24: 200_000.0, 32: 600_000.0, 64: 4_000_000.0}  # width -> GFLOP by 64x64 pixels until it pays off


def auto(situation: Situation) -> dict[str, Any]:
    """Wider where the budget pays for it; of few pictures D sees shifted ones, so that it cannot learn them by heart."""
    picture = situation.spec["picture"]
    width = widest(situation, WORK_WANTED, lambda _: picture.height * picture.width / 64**2, share=1.0)
    blocks, seen = (4 if width >= 32 else 2), ("translation",) if situation.records < 10_000 else ()
    return {"width": width, "blocks": blocks, "kl_weight": 0.2, "learning_rate": 5e-4, "batch_size": 32, "augment": seen}


PAPER = {"width": 64, "text_size": 1024, "condition_size": 128, "reduction": 4, "keep_draft": False, "decay_steps": 5}
PRESETS: dict[str, Any] = {"auto": auto, "paper": {**PAPER, "stage_one_share": 0.42, "ema_half_life": 0.0}}


class StackGan(System):
    Config = Config
    couples_batch = "BatchNorm, wrong captions and the joint embedding: micro-batches and processes see their own share alone"
    stacked: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        picture, words = spec["picture"], spec["caption"]
        channels, height, columns = picture.shape
        times = config.reduction or max(own for own, least in TIMES.items() if min(height, columns) >= least)
        super().__init__(spec, replace(config, reduction=times))
        self.small = small = (math.ceil(height / times), math.ceil(columns / times))
        if min(small) < SMALLEST_SIDE:
            raise GanvasError(
                f"stackgan: stage one needs {SMALLEST_SIDE} pixels a side: choose a larger --size, or reduction=1"
            )
        text, condition, width = config.text_size, config.condition_size, config.width
        self.text_encoder = CaptionEncoder(len(words.symbols), text, 4 * width, ends=words.ends)
        self.image_encoder = ConvolutionalEncoder((channels, *small), text, width)
        told = functools.partial(Stage, text, condition)  # each stage samples around captions by itself
        self.stage_one = told(StageOne(config.latent_size, condition, (channels, *small), width))
        self.discriminator_one = CaptionDiscriminator(text, condition, (channels, *small), width)
        self.stage_two = told(StageTwo(condition, picture.shape, small, times, width, config.blocks, kept=config.keep_draft))
        self.discriminator_two = CaptionDiscriminator(text, condition, picture.shape, width)
        self.draft, self.drawing = copy.deepcopy(self.stage_one), copy.deepcopy(self.stage_two)
        self.share = 0.5 if config.matching_aware else 1.0  # the terms of fakes share one half
        self.undecided = (1 + self.share) * math.log(2)
        self.known = CaptionMemory(words.length)
        self.register_buffer("stacked", torch.zeros(()))  # whether stage two has begun to learn

    # The game

    def train(self, mode: bool = True) -> StackGan:
        """The kept stage one never leaves evaluation mode: stage two must not move the statistics of its BatchNorm."""
        super().train(mode)
        self.draft.eval()
        return self

    def players(self) -> tuple[Player, ...]:
        config, (one, two) = self.config, self._ends()

        def falling(begin: float, end: float) -> Any:
            steps, span = config.decay_steps, max(end - begin, 1e-9)
            return lambda clock: 0.5 ** min(steps, int(max(0.0, clock.progress - begin) / span * (steps + 1)))

        rule, first, second = optimiser("adam", config.learning_rate, beta1=0.5), falling(one, two), falling(two, 1.0)
        return (
            Player("encoders", ("text_encoder", "image_encoder"), optimiser("adam", config.embedding_learning_rate)),
            Player("discriminator one", ("discriminator_one",), rule, first),
            Player("stage one", ("stage_one",), rule, first),
            Player("discriminator two", ("discriminator_two",), rule, second),
            Player("stage two", ("stage_two",), rule, second),
        )

    def phases(self) -> tuple[Phase, ...]:
        one = (Turn("discriminator one", self.discriminate_drafts), Turn("stage one", self.sketch))
        two = (Turn("discriminator two", self.discriminate), Turn("stage two", self.finish))
        begin, end = (until_share(share) for share in self._ends())
        first = Phase("embedding", (Turn("encoders", self.embed),), until=begin)
        return first, Phase("stage one", one, until=end), Phase("stage two", two)

    def _ends(self) -> tuple[float, float]:
        """Shares of the budget at which the text encoder and stage one are done."""
        return self.config.embedding_share, min(0.95, self.config.embedding_share + self.config.stage_one_share)

    def averages(self) -> tuple[Average, ...]:
        """Each of the samples of its own stage; that of stage one stands still from then on."""

        def of(stage: str) -> Any:
            return lambda clock: min(self.config.ema_half_life, clock.phase_samples / 10) if clock.phase == stage else math.inf

        pairs = ("stage_one", "draft"), ("stage_two", "drawing")
        return tuple(Average(source, target, of(source.replace("_", " ")), ramp=math.inf) for source, target in pairs)

    def reductions(self) -> Mapping[str, str]:
        return {"captions": "lead", "seen": "lead", "stacked": "lead"}

    def embed(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The first phase: pictures and captions that belong together come near each other."""
        self.known.remember(batch["caption"])
        pictures, texts = (
            self.image_encoder(interpolate(batch["picture"], self.small, mode="area")),
            self.text_encoder(batch["caption"]),
        )
        of_pictures, of_texts = joint_embedding(pictures, texts, batch["caption"])
        return {"captions of a picture": of_pictures, "pictures of a caption": of_texts}

    def discriminate_drafts(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Eq. 3, at the size of stage one."""
        return self._judged(batch, shared, interpolate(batch["picture"], self.small, mode="area"), two=False)

    def sketch(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Eq. 4: stage one's turn."""
        return self._convinced(batch, shared, two=False)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Eq. 5: the same at full size."""
        self.stacked.fill_(1.0)
        return self._judged(batch, shared, batch["picture"], two=True)

    def finish(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Eq. 6: stage two's turn."""
        return self._convinced(batch, shared, two=True)

    def _judged(self, batch: Batch, shared: Shared, pictures: Tensor, *, two: bool) -> Terms:
        judge = self.discriminator_two if two else self.discriminator_one
        made, texts = self._made(batch, shared, two)
        self.known.remember(batch["caption"])
        real = judge.look(augment(pictures, batch.noise, self.config.augment))
        fake = judge(augment(made.detach(), batch.noise, self.config.augment), texts)
        terms = {"real": real_is_real(judge.decide(real, texts)), "fake": self.share * fake_is_fake(fake)}
        if self.config.matching_aware:
            terms["wrong caption"] = self.share * wrong_is_fake(judge.decide(real, texts.roll(1, 0)), batch["caption"])
        return terms

    def _convinced(self, batch: Batch, shared: Shared, *, two: bool) -> Terms:
        judge = self.discriminator_two if two else self.discriminator_one
        made, texts = self._made(batch, shared, two)
        terms = {"fool": non_saturating(judge(augment(made, batch.noise, self.config.augment), texts))}
        if self.config.conditioning_augmentation:
            terms["divergence"] = self.config.kl_weight * divergence(*shared["told"])
        return terms

    def _made(self, batch: Batch, shared: Shared, two: bool) -> tuple[Tensor, Tensor]:
        """What a stage makes, with its graph, and the embeddings of the captions, which nobody trains; the same for both turns
        of a round. `told` is what it knew of the captions. Stage two draws upon drafts that nobody trains any more."""
        if "made" not in shared:
            with torch.no_grad():
                shared["texts"] = texts = self.text_encoder(batch["caption"])
                latents = batch.noise.normal(len(batch), self.config.latent_size)
                given = self.draft(latents, texts, self._eps(texts, batch.noise))[0] if two else latents
            stage = self.stage_two if two else self.stage_one
            shared["made"], *shared["told"] = stage(given, texts, self._eps(texts, batch.noise))
        return shared["made"], shared["texts"]

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None, caption: Tensor | None = None) -> Tensor:
        """Pictures (count, C, H, W). caption: (count, length) int64, what each is to show; None draws from captions seen.
        While stage two has not begun to learn they are stage one's, enlarged."""
        return self._sampled(self.text_encoder(self.known.drawn(count, noise) if caption is None else caption), noise)[1]

    def _sampled(self, texts: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Stage one's pictures enlarged, and the pictures, (B, C, H, W) each."""
        eps = [self._eps(texts, noise) for _ in range(2)]
        drafts = self.draft(noise.normal(len(texts), self.config.latent_size), texts, eps[0])[0]
        enlarged = interpolate(drafts, self.spec["picture"].shape[1:], mode="bilinear", align_corners=False)
        return enlarged, torch.where(self.stacked > 0, self.drawing(drafts, texts, eps[1])[0], enlarged)

    def _eps(self, texts: Tensor, noise: Noise) -> Tensor:
        """(B, condition_size): how far from their means samples are drawn, in standard deviations."""
        return noise.normal(len(texts), self.config.condition_size) * self.config.conditioning_augmentation

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """The true picture of a caption, and several made of the caption alone, each after what stage one had made of it."""
        texts = self.text_encoder(batch["caption"])
        made = [picture for _ in range(SHOWN) for picture in self._sampled(texts, noise)]
        columns = ("true", *(f"{what} {k}" for k in range(1, SHOWN + 1) for what in ("stage one", "made")))
        return Panel(torch.stack([batch["picture"], *made], 1), columns, spelled(batch["caption"], self.spec["caption"]))
