"""GAN-CLS and GAN-INT. Reed, Akata, Yan, Logeswaran, Schiele, Lee, 2016, "Generative Adversarial Text to Image Synthesis"
(ICML, arXiv 1605.05396).

G draws a picture from noise z and the embedding h of a caption. A discriminator that sees real pictures with right captions
alone learns realism first, matching late; D is matching-aware (algorithm 1): real pictures with WRONG captions are fakes too,
    s_r = D(x, h), s_w = D(x, h'), s_f = D(G(z, h), h);   L_D = log s_r + (log(1 - s_w) + log(1 - s_f)) / 2;   L_G = log s_f,
and G is trained between captions as well (GAN-INT, eq. 5): E log(1 - D(G(z, b h1 + (1 - b) h2))), b = 0.5.
The text encoder comes first, from a structured joint embedding with an image encoder (eq. 2, Reed et al. 2016, CVPR): inner
products of a picture with its own caption exceed those with other captions, and the other way round, by 1. Then it is frozen.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.kinds import spelled
from ganvas.networks.caption import CaptionDiscriminator, CaptionEncoder, CaptionGenerator
from ganvas.networks.convolutional import ConvolutionalEncoder
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.captions import joint_embedding, wrong_is_fake
from ganvas.objectives.penalties import held_down, with_range_for_slopes
from ganvas.objectives.schedules import until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Generative Adversarial Text to Image Synthesis (GAN-CLS, GAN-INT)",
    "authors": "Reed, Akata, Yan, Logeswaran, Schiele, Lee",
    "year": 2016,
    "paper": "arXiv 1605.05396",
    "summary": "draws pictures of what a caption says; learnt from pictures with captions",
    "data": {"picture": "image", "caption": "tokens"},
    "aliases": ["gan-int-cls", "text-to-image"],
}

KEPT = 256  # captions that samples without a caption are drawn from
SHOWN = 4  # pictures of one caption in `show`


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(100, "size of the noise z", low=1)
    text_size: int = knob(128, "size of a caption's embedding", low=2)
    condition_size: int = knob(64, "numbers to which each player compresses the embedding", low=1)
    width: int = knob(32, "channels at full resolution of all image networks, a quarter of a word vector", low=1, high=1024)
    matching_aware: bool = knob(True, "real pictures with wrong captions are fakes to D; off: a plain conditional GAN")
    interpolation: float = knob(0.5, "G is trained between captions too, at this share of the first; 0: not", low=0.0, high=1.0)
    discriminator_batch_norm: bool = knob(True, "BatchNorm in D too; without it D sees colours as they are")
    r1_weight: float = knob(0.0, "gamma of R1, the slopes of D at real pictures; 0: off", low=0.0)
    r2_weight: float = knob(0.0, "gamma of R2, those at made ones; 0: off", low=0.0)
    embedding_share: float = knob(0.15, "share of the budget for the text encoder, before the game", low=0.001, high=0.9)
    embedding_learning_rate: float = knob(7e-4, "learning rate of text and image encoder (Adam)", low=0.0)
    learning_rate: float = knob(2e-4, "learning rate of G and D (Adam)", low=0.0)
    decay_steps: int = knob(0, "how often the learning rate is halved, evenly over the budget", low=0, high=20)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake pictures alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that pictures are drawn from", low=0.0)
    batch_size: int = knob(64, "records in a batch", low=2)


GAMMA = 0.2 / 32**2  # by pixels; with five times as much shapes are rounder than asked
LARGE = 64  # pixels a side from which BatchNorm shows more: 0.49 to 0.58 of captions found, with flat slopes 0.37 to 0.47
WORK_WANTED = {24: 0.0, 32: 60_000.0, 64: 400_000.0}  # width -> GFLOP for each 32x32 pixels that it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Wider where the budget pays for it; D has no norm and flat slopes where pictures are small, and of few pictures sees
    shifted ones, so that it cannot learn them by heart."""
    picture = situation.spec["picture"]
    width = widest(situation, WORK_WANTED, lambda _: picture.height * picture.width / 32**2, share=1.0)
    few = situation.records < 5_000
    gamma = GAMMA * picture.height * picture.width
    flat = {"discriminator_batch_norm": False, "r1_weight": gamma, "r2_weight": gamma} if gamma < GAMMA * LARGE**2 else {}
    return {"width": width, "learning_rate": 5e-4, "batch_size": 32, "augment": ("translation",) if few else (), **flat}


PRESETS: dict[str, Any] = {
    "auto": auto,
    "paper": {"width": 64, "text_size": 1024, "condition_size": 128, "decay_steps": 5, "ema_half_life": 0.0},
}


class GanCls(System):
    Config = Config
    couples_batch = "BatchNorm, wrong captions and the joint embedding: micro-batches and processes see their own share alone"
    captions: Tensor
    seen: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        shape, words = spec["picture"].shape, spec["caption"]
        text, condition = config.text_size, config.condition_size
        self.text_encoder = CaptionEncoder(len(words.symbols), text, 4 * config.width, ends=words.ends)
        self.image_encoder = ConvolutionalEncoder(shape, text, config.width)
        self.generator = CaptionGenerator(config.latent_size, text, condition, shape, config.width)
        self.discriminator = CaptionDiscriminator(text, condition, shape, config.width, config.discriminator_batch_norm)
        self.average = copy.deepcopy(self.generator)
        self.undecided = (1.5 if config.matching_aware else 2.0) * math.log(2)  # the terms of fakes share one half
        self.register_buffer("captions", torch.zeros(KEPT, words.length, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    # The game

    def players(self) -> tuple[Player, ...]:
        def rate(clock: Clock) -> float:
            steps = self.config.decay_steps + 1
            return float(0.5 ** min(self.config.decay_steps, int(clock.progress * steps)))

        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        return (
            Player("encoders", ("text_encoder", "image_encoder"), optimiser("adam", self.config.embedding_learning_rate)),
            Player("discriminator", ("discriminator",), rule, rate=rate),
            Player("generator", ("generator",), rule, rate=rate),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("embedding", (Turn("encoders", self.embed),), until=until_share(self.config.embedding_share)),
            Phase("game", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),
        )

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def reductions(self) -> Mapping[str, str]:
        return {"captions": "lead", "seen": "lead"}

    def embed(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The first phase: pictures and captions that belong together come near each other."""
        captions = batch["caption"]
        self._remember(captions)
        of_pictures, of_texts = joint_embedding(self.image_encoder(batch["picture"]), self.text_encoder(captions), captions)
        return {"captions of a picture": of_pictures, "pictures of a caption": of_texts}

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Algorithm 1, line 8: the wrong caption is the neighbour's, and does not count where it is the same."""
        captions, texts = batch["caption"], self._texts(batch, shared)
        self._remember(captions)
        shared["made"] = self._made(batch, texts)
        gammas = {"r1": self.config.r1_weight, "r2": self.config.r2_weight}
        with with_range_for_slopes(batch["picture"]) if any(gammas.values()) else nullcontext():
            pictures = batch["picture"], shared["made"].detach().to(batch["picture"].dtype)
            seen = [self._seen_by_d(own, batch.noise).detach().requires_grad_(any(gammas.values())) for own in pictures]
            looked, made = self.discriminator.look(seen[0]), self.discriminator(seen[1], texts)
            real = self.discriminator.decide(looked, texts)
        share = 0.5 if self.config.matching_aware else 1.0
        terms = {"real": real_is_real(real), "fake": share * fake_is_fake(made)}
        terms |= held_down(gammas, seen, (real, made))
        if self.config.matching_aware:
            wrong = self.discriminator.decide(looked, texts.roll(1, 0))
            terms["wrong caption"] = share * wrong_is_fake(wrong, captions)
        return terms

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G's turn: line 10 of algorithm 1, and eq. 5 between the captions of neighbours."""
        texts = self._texts(batch, shared)
        made = shared.pop("made") if "made" in shared else self._made(batch, texts)
        terms = {"fool": non_saturating(self.discriminator(self._seen_by_d(made, batch.noise), texts))}
        if self.config.interpolation:
            between = torch.lerp(texts.roll(1, 0), texts, self.config.interpolation)
            made = self._seen_by_d(self._made(batch, between), batch.noise)
            terms["fool between"] = non_saturating(self.discriminator(made, between))
        return terms

    def _texts(self, batch: Batch, shared: Shared) -> Tensor:
        """The embeddings of the batch's captions; in the game nobody trains them."""
        if "texts" not in shared:
            with torch.no_grad():
                shared["texts"] = self.text_encoder(batch["caption"])
        texts: Tensor = shared["texts"]
        return texts

    def _made(self, batch: Batch, texts: Tensor) -> Tensor:
        images: Tensor = self.generator(batch.noise.normal(len(batch), self.config.latent_size), texts)
        return images

    def _seen_by_d(self, images: Tensor, noise: Noise) -> Tensor:
        return augment(images, noise, self.config.augment)

    @torch.no_grad()
    def _remember(self, captions: Tensor) -> None:
        """Keep the latest captions, for samples that are asked for without one."""
        latest = captions[-KEPT:]
        places = (self.seen + torch.arange(len(latest), device=captions.device)) % KEPT
        self.captions[places] = latest
        self.seen += len(latest)

    # What it can do

    def sample(
        self, count: int, noise: Noise, labels: Tensor | None = None, caption: Tensor | None = None
    ) -> Tensor:  # fmt: skip
        """Pictures (count, C, H, W). caption: (count, length) int64, what each is to show; None draws from captions seen."""
        if caption is None:
            caption = self.captions[noise.integers(KEPT, count) % self.seen.clamp(1, KEPT)]
        latents = noise.normal(count, self.config.latent_size)
        images: Tensor = self.average(latents, self.text_encoder(caption))
        return images

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """The true picture of a caption, and several that are made of the caption alone, under the caption itself."""
        made = [self.sample(len(batch), noise, caption=batch["caption"]) for _ in range(SHOWN)]
        columns = ("true", *(f"made {k}" for k in range(1, SHOWN + 1)))
        return Panel(torch.stack([batch["picture"], *made], 1), columns, spelled(batch["caption"], self.spec["caption"]))
