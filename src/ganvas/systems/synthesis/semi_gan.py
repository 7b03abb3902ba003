"""Semi-supervised GAN. Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, 2016, "Improved Techniques for Training GANs"
(NeurIPS, arXiv 1606.03498), sections 3.1 and 5.

The discriminator is a classifier of K + 1 classes; the last is `generated`, whose logit is fixed at 0. With the logits l of the
K real classes and Z(x) = log sum_k exp l_k(x), D(x) = Z / (Z + 1) is the probability of being real, and
    labelled:    E[-l_y(x) + Z(x)]                                            the class of the few records that have one
    unlabelled:  1/2 E[-log D(x)] + 1/2 E[-log(1 - D(G(z)))]                  real is one of the K classes, whichever
    generator:   | E f(x) - E f(G(z)) |,  f: the last hidden layer of D       feature matching (section 3.1)
A boundary between classes may not lie where records are, so unlabelled records move it; the generator need not be good for that
(its pictures are not what this is for). The classifier in use is an average of D over the training.

Records without a label are of a class called `unlabelled`: a folder beside those of the classes, or the word in labels.csv.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss, leaky_relu
from torch.nn.utils.parametrizations import weight_norm

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.data.classes import is_unlabelled
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Feed, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.convolutional import ConvolutionalGenerator, sizes_for, stages_and_base
from ganvas.objectives.adversarial import fake_is_fake, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.matching import feature_matching
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Improved Techniques for Training GANs: semi-supervised learning",
    "authors": "Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen",
    "year": 2016,
    "paper": "arXiv 1606.03498",
    "summary": "a classifier from few labels and many records without one",
    "data": ["image"],
    "suits": {"image": "unlabelled"},
    "aliases": ["semi-supervised-gan", "improved-gan", "sgan"],
}

NETWORKS = ("convolutional", "perceptron")
REAL_WEIGHT = 0.5  # of each half of the unlabelled loss


@dataclass(frozen=True)
class Config:
    network: str = knob("convolutional", "kind of both networks", choices=NETWORKS)
    latent_size: int = knob(100, "size of the latent vector", low=1)
    centred_latents: bool = knob(False, "latents from -1 to 1 and not from 0 to 1: what all share is then nothing")
    width: int = knob(24, "channels at half the resolution, or units of D's last layers (perceptron)", low=1, high=1024)
    unlabelled_weight: float = knob(1.0, "weight of the unlabelled loss; 0: a classifier of the labels alone", low=0.0)
    input_noise: float = knob(0.3, "standard deviation of the noise on what D sees, in the range from -1 to 1", low=0.0)
    hidden_noise: float = knob(0.5, "standard deviation of the noise on D's hidden layers", low=0.0)
    learning_rate: float = knob(1e-3, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    augment: tuple[str, ...] = knob((), "changes that D sees on all images alike", choices=POLICIES)
    ema_half_life: float = knob(20_000.0, "half-life in samples of the classifier that is put to use; 0: none", low=0.0)
    batch_size: int = knob(64, "images in a batch, and labelled ones in a batch of their own", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """Convolutions; images move a little, as most things may. Latents from 0 to 1 have a middle in common, which BatchNorm
    over places leaves as it is: it drowned what differs, and samples were all alike within a minute."""
    return {"centred_latents": True, "width": 24 if (situation.seconds or 3600.0) < 1800.0 else 48, "augment": ("translation",)}


PRESETS: dict[str, Any] = {
    "auto": auto,
    "paper": {  # of the digits: 1000-500-250-250-250 units
        "network": "perceptron",
        "width": 250,
        "learning_rate": 3e-3,
        "batch_size": 100,
        "ema_half_life": 700_000.0,
    },
}


class Classifier(nn.Module):
    """Images (B, C, H, W) -> (logits (B, K), features (B, F) of the last hidden layer).

    Weight normalisation and no BatchNorm, whose statistics would mix real and generated images. Noise is added to the image and
    after each hidden layer, where it is given; without it the answer is that of evaluation.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, config: Config) -> None:
        super().__init__()
        self.input_noise, self.hidden_noise = config.input_noise, config.hidden_noise
        channels, height, columns = shape
        made: list[nn.Module] = []
        if config.network == "perceptron":
            sizes = [math.prod(shape), *(config.width * times for times in (4, 2, 1, 1, 1))]
            made = [nn.Linear(before, after) for before, after in itertools.pairwise(sizes)]
        else:
            stages, _ = stages_and_base(height, columns)
            sizes = [channels, *sizes_for(config.width, [2] * stages)]
            for before, after in itertools.pairwise(sizes):
                made.append(nn.Conv2d(before, after, 4, 2, 1))
            sizes.append(sizes[-1])
            made.append(nn.Conv2d(sizes[-1], sizes[-1], (height // 2**stages, columns // 2**stages)))
        self.flat = config.network == "perceptron"
        for layer in made:
            nn.init.kaiming_normal_(layer.weight, a=0.2)  # type: ignore[arg-type]
        self.hidden = nn.ModuleList(weight_norm(layer) for layer in made)
        self.last = nn.Linear(sizes[-1], classes)

    def forward(self, images: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        def shaken(values: Tensor, strength: float) -> Tensor:
            return values + strength * noise.normal(*values.shape) if noise is not None and strength > 0 else values

        values = shaken(images.flatten(1) if self.flat else images, self.input_noise)
        for layer in self.hidden:
            features = leaky_relu(layer(values), 0.2)
            values = shaken(features, self.hidden_noise)
        return self.last(values.flatten(1)), features.flatten(1)


class FullyConnectedGenerator(nn.Module):
    """Latent (B, latent) -> images (B, C, H, W) in [-1, 1]: two layers of 2 x width units with BatchNorm and softplus."""

    def __init__(self, latent: int, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before in (latent, 2 * width):
            layers += [nn.Linear(before, 2 * width, bias=False), nn.BatchNorm1d(2 * width), nn.Softplus()]
        self.layers = nn.Sequential(*layers, nn.Linear(2 * width, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape))

    def forward(self, latents: Tensor) -> Tensor:
        return self.layers(latents)


class SemiGan(System):
    Config = Config
    place_of: Tensor
    couples_batch = "BatchNorm in G and feature matching: means over the records at hand"
    undecided = REAL_WEIGHT * 2 * math.log(2)

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.class_names = tuple(name for name in spec.classes if not is_unlabelled(name))
        if len(self.class_names) < 2:
            raise GanvasError(
                "semi-gan needs some records of two classes or more: class sub-folders or labels.csv, and the others in a "
                "folder (or with the label) 'unlabelled'"
            )
        perceptron = config.network == "perceptron"
        kind: Any = FullyConnectedGenerator if perceptron else ConvolutionalGenerator
        self.generator = kind(config.latent_size, spec.shape, config.width)
        self.classifier = Classifier(spec.shape, len(self.class_names), config)
        self.average = copy.deepcopy(self.classifier)
        index = {name: place for place, name in enumerate(self.class_names)}
        place_of = torch.tensor([index.get(name, -1) for name in spec.classes])
        self.register_buffer("place_of", place_of, persistent=False)  # class of the data -> place among the named ones

    def feeds(self) -> Mapping[str, Feed]:
        return {"data": Feed(), "labelled": Feed(labelled=True)}

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        return (Player("classifier", ("classifier",), rule), Player("generator", ("generator",), rule))

    def phases(self) -> tuple[Phase, ...]:
        told = Turn("classifier", self.name_labelled, source="labelled")
        match = Turn("generator", self.match_features, fresh=True)  # other images than the classifier has just learnt from
        turns = (told, Turn("classifier", self.tell_apart), match) if self.config.unlabelled_weight > 0 else (told, match)
        return (Phase("play", turns),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("classifier", "average", self.config.ema_half_life),)

    # The game

    def name_labelled(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        logits, _ = self._seen(batch.real, batch)
        return {"class": cross_entropy(logits, self.place_of[batch.labels])}

    def tell_apart(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The unlabelled loss: Z, the logit of being real, is the log-sum-exp of the classes' logits."""
        weight = REAL_WEIGHT * self.config.unlabelled_weight
        real, _ = self._seen(batch.real, batch)
        fake, _ = self._seen(self._fake(batch).detach(), batch)
        return {"real": weight * real_is_real(real.logsumexp(1)), "fake": weight * fake_is_fake(fake.logsumexp(1))}

    def match_features(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        with torch.no_grad():
            _, real = self._seen(batch.real, batch)
        _, fake = self._seen(self._fake(batch), batch)
        return {"features": feature_matching([fake.mean(0)], [real.mean(0)], l1_loss)}

    # What it can do

    def classify(self, records: Tensor, noise: Noise) -> Tensor:
        """Probabilities (B, K) of `class_names`, by the averaged classifier, without noise."""
        logits, _ = self.average(records)
        return logits.softmax(1)

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        latents = noise.uniform(count, self.config.latent_size)
        return self.generator(2 * latents - 1 if self.config.centred_latents else latents)

    def _fake(self, batch: Batch) -> Tensor:
        return self.sample(len(batch), batch.noise)

    def _seen(self, images: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.classifier(augment(images, batch.noise, self.config.augment), batch.noise)
