"""GAN of ternary weights. Rakin, Angizi, He, Fan, 2018, "PIM-TGAN: A Processing-in-Memory Accelerator for Ternary Generative
Adversarial Networks" (ICCD, doi 10.1109/ICCD.2018.00048).

Every weight of a convolution, in G and in D, is -1, 0 or 1 times a scale of its layer, so that a multiplication is a sum or a
difference, and a weight takes 2 bits. Of full-precision weights w, which stay behind and are what the optimiser moves,
    t = sign(w) where |w| > Delta, else 0        a = mean of |w| over |w| > Delta        the layer convolves with a t
Delta is 0.7 mean |w| (Li et al. 2016, "Ternary Weight Networks", arXiv 1605.04711) or 0.05 max |w| (He, Gong, Fan 2018, arXiv
1807.07948); t, a and Delta are made anew in each pass. The gradient of a t goes straight through to w. Norms and biases stay
full.

The game and the networks are those of `dcgan`. `pack` writes G with 2 bits a weight, and `open_packed` draws from that file.
"""

from __future__ import annotations

import copy
import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.files import write_atomically
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.sampling import draw_samples
from ganvas.kinds import decode, spec_from_dict
from ganvas.networks.convolutional import ConvolutionalDiscriminator, ConvolutionalGenerator
from ganvas.networks.pair import affordable_width
from ganvas.networks.ternary import RULES, convolutions, is_ternary, packed, ternarise
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.optim import optimiser
from ganvas.presets import Situation
from ganvas.specs import spec_to_dict

CARD = {
    "title": "PIM-TGAN: A Processing-in-Memory Accelerator for Ternary Generative Adversarial Networks",
    "authors": "Rakin, Angizi, He, Fan",
    "year": 2018,
    "paper": "doi 10.1109/ICCD.2018.00048",
    "summary": "images from weights of -1, 0 and 1: a generator of 2 bits a weight, in a file and in memory",
    "data": ["image"],
    "aliases": ["tgan", "pim-tgan"],
}

TERNARY = ("none", "generator", "both")


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(100, "size of the latent vector", low=1)
    width: int = knob(64, "channels of the widest feature maps at full resolution; doubles inwards", low=1, high=1024)
    ternary: str = knob("generator", "whose weights are ternary; none: the same game with full weights", choices=TERNARY)
    threshold: float = knob(0.7, "weights are 0 up to this share of their layer's", low=0.0, high=3.0)
    threshold_of: str = knob("mean", "mean size or largest size of weights, of which `threshold` is a share", choices=RULES)
    full_image_layer: bool = knob(True, "the layer next to the image keeps full weights, in G and in D")
    generator_learning_rate: float = knob(5e-4, "learning rate of G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(5e-4, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(32, "images in a batch", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """As `dcgan`: augmentation where there are few images; the width is the largest whose learning the budget can pay for."""
    return {
        "width": affordable_width(situation),
        "augment": ("color", "translation", "cutout") if situation.records < 20_000 else (),
    }


PRESETS: dict[str, Any] = {
    "auto": auto,
    "paper": {  # rule of the threshold by the group's own code; the rest by Radford et al. 2015, whom it builds on
        "width": 128,
        "ternary": "both",
        "full_image_layer": False,
        "threshold": 0.05,
        "threshold_of": "largest",
        "generator_learning_rate": 2e-4,
        "discriminator_learning_rate": 2e-4,
        "ema_half_life": 0.0,
        "batch_size": 128,
    },
}


class PackedGenerator(nn.Module):
    """A generator that holds 2 bits for each ternary weight. spec: of its images. latent, width: sizes of its network."""

    def __init__(self, network: nn.Module, spec: Any, latent: int, width: int, full: int | None) -> None:
        super().__init__()
        self.network, self.spec, self.latent = network, spec, latent
        self.facts = {"spec": spec_to_dict(spec), "latent": latent, "width": width, "full": full}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """Images (count, C, H, W) in [-1, 1]."""
        return self.network(noise.normal(count, self.latent))

    def images(self, count: int, *, seed: int = 0) -> np.ndarray:
        """(count, H, W, C) in file units: those of `Run.sample` with the same seed, threads and device, bit for bit."""
        return np.concatenate([decode(piece, self.spec) for piece in draw_samples(self, count, seed=seed)])  # type: ignore[arg-type]

    def write(self, path: Path | str) -> int:
        """Write it, and say how many bytes it took: gzip of the tensors, since three of four codes occur. Raises RunError."""
        tensors = {name: value.contiguous().cpu() for name, value in self.network.state_dict().items()}
        content = gzip.compress(save(tensors, {"generator": json.dumps(self.facts)}), mtime=0)
        write_atomically(Path(path), content)
        return len(content)


def open_packed(path: Path | str) -> PackedGenerator:
    """The generator of a file of `TernaryGan.pack`, on the CPU, in evaluation mode. Raises GanvasError for any other file."""
    try:
        content = gzip.decompress(Path(path).read_bytes())
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        facts = json.loads(header["__metadata__"]["generator"])
        spec = spec_from_dict(facts["spec"])
        with torch.device("meta"):
            network = ConvolutionalGenerator(facts["latent"], spec.shape, facts["width"])
            ternarise(network, full=facts["full"])
        small = packed(network)
        small.load_state_dict(tensors, assign=True)
    except (OSError, EOFError, zlib.error, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise GanvasError(f"{path}: no packed generator ({error}): write one with  run.system.pack(PATH)") from error
    return PackedGenerator(small, spec, facts["latent"], facts["width"], facts["full"]).eval()


class TernaryGan(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.generator = ConvolutionalGenerator(config.latent_size, spec.shape, config.width)
        self.discriminator = ConvolutionalDiscriminator(spec.shape, config.width)
        for network, place in ((self.generator, -1), (self.discriminator, 0))[: TERNARY.index(config.ternary)]:
            full = place if config.full_image_layer else None
            ternarise(network, config.threshold, config.threshold_of, full=full)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1)

        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate)),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate)),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._fake(batch)  # with its graph: the generator's turn goes on from here
        real = self.discriminator(self._seen(batch.real, batch))  # real and fake apart: BatchNorm must not mix them
        fake = self.discriminator(self._seen(shared["fake"].detach(), batch))
        return {"real": real_is_real(real), "fake": fake_is_fake(fake)}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch)
        return {"fool": non_saturating(self.discriminator(self._seen(fake, batch)))}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """Drawn by ternary weights, as G was trained: those of the averaged full-precision weights."""
        return self.average(noise.normal(count, self.config.latent_size))

    def packed(self) -> PackedGenerator:
        """The generator that samples are drawn from, with 2 bits a weight. Raises GanvasError where its weights are full."""
        if not any(is_ternary(layer) for layer in convolutions(self.average).values()):
            raise GanvasError("the weights of G are full and cannot be packed: train with  --set ternary=generator  or both")
        config = self.config
        full = -1 if config.full_image_layer else None
        return PackedGenerator(packed(self.average), self.spec, config.latent_size, config.width, full).eval()

    def pack(self, path: Path | str) -> int:
        """Write the generator that samples are drawn from with 2 bits a weight; the bytes of the file."""
        return self.packed().write(path)

    def _fake(self, batch: Batch) -> Tensor:
        return self.generator(batch.noise.normal(len(batch), self.config.latent_size))

    def _seen(self, images: Tensor, batch: Batch) -> Tensor:
        return augment(images, batch.noise, self.config.augment)
