"""DTN, the domain transfer network. Taigman, Polyak, Wolf, 2017, "Unsupervised Cross-Domain Image Generation" (ICLR,
arXiv 1611.02200).

Images of a source domain are drawn as a target domain has them, without pairs. What must stay is said by f, which is learnt
on the classes of the source and then left alone; G = g(f(x)), and g is trained on images x of source S and target T:
    D tells three apart:  L_D = -E_S log D_1(G(x)) - E_T log D_2(G(x)) - E_T log D_3(x)
    G passes as the third: L_GANG = -E_S log D_3(G(x)) - E_T log D_3(G(x))
    f-constancy:  L_CONST = E_S |f(x) - f(G(x))|^2;    identity on the target:  L_TID = E_T |x - G(x)|^2
    L_G = L_GANG + alpha L_CONST + beta L_TID + gamma L_TV;  alpha = beta = 15 for digits, 100, 1 and gamma = 0.05 for faces.
Constancy alone is met by any code that f reads back; the identity ties codes to the looks of the target.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError, did_you_mean
from ganvas.game import Average, Clock, Feed, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.blocks import convolution, leaky_relu
from ganvas.networks.convolutional import ConvolutionalEncoder, ConvolutionalGenerator, stages_and_base
from ganvas.objectives.schedules import until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Unsupervised Cross-Domain Image Generation (DTN)",
    "authors": "Taigman, Polyak, Wolf",
    "year": 2017,
    "paper": "arXiv 1611.02200",
    "summary": "draws images of classes as another domain has them, without pairs, by features learnt on these classes",
    "data": ["image"],
    "aliases": ["domain-transfer-network"],
}

TARGET = "target"
FROM_SOURCE, FROM_TARGET, REAL_TARGET = range(3)
"""What D tells apart."""


@dataclass(frozen=True)
class Config:
    target: str = knob("", "class that is the target domain; empty: the one called `target`")
    source: tuple[str, ...] = knob((), "classes that are the source, which f learns to tell apart; empty: all others")
    width: int = knob(64, "channels of all networks at half resolution; at most eight times as many inside", low=1, high=1024)
    code_size: int = knob(128, "numbers of f(x)", low=1)
    f_share: float = knob(0.2, "share of the budget for f, before the game", low=0.001, high=0.9)
    f_learning_rate: float = knob(1e-3, "learning rate of f (Adam)", low=0.0)
    constancy_weight: float = knob(15.0, "weight of f being the same of what is drawn (alpha)", low=0.0)
    identity_weight: float = knob(15.0, "weight of leaving images of the target as they are (beta)", low=0.0)
    smoothness_weight: float = knob(0.0, "weight of the total variation of what is drawn (gamma)", low=0.0)
    learning_rate: float = knob(3e-4, "learning rate of both players of the game (Adam)", low=0.0)
    beta1: float = knob(0.9, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(0.0, "half-life in samples of the g that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(128, "images of source and of target in a batch", low=1)


WORK_PER_PAIR = 0.3 / 16**2  # GFLOP of one round for an image of each domain at 32x32, by the square of the width
PAIRS_WANTED = {16: 0.0, 24: 150_000.0, 32: 400_000.0, 64: 2_000_000.0}  # width -> images of each it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Smaller batches and an average, so that minutes give many rounds; the width is the largest that the budget pays for."""
    pixels = situation.spec.height * situation.spec.width / 32**2
    width = widest(situation, PAIRS_WANTED, lambda width: WORK_PER_PAIR * width**2 * pixels)
    return {
        "width": width,
        "batch_size": 32,
        "learning_rate": 1e-3 if width <= 32 else 3e-4,
        "beta1": 0.5,
        "ema_half_life": 2_000.0,
    }


FACES = {"constancy_weight": 100.0, "identity_weight": 1.0, "smoothness_weight": 0.05}
PRESETS: dict[str, Any] = {"auto": auto, "paper": {}, "paper-faces": FACES}


def find_domains(classes: tuple[str, ...], target: str, source: tuple[str, ...]) -> tuple[int, tuple[int, ...]]:
    """The indices of the target and of the source's classes. Raises GanvasError where it is not clear which they are."""
    known = ", ".join(classes) or "none"
    name = target or TARGET
    if name not in classes:
        close = did_you_mean(name, list(classes))
        raise GanvasError(
            f"dtn: no class of the data is called '{name}'{close}: say which one is the target domain with --set target=NAME; "
            f"classes: {known}"
        )
    for one in source:
        if one not in classes or one == name:
            why = "is the target" if one == name else f"is no class of the data{did_you_mean(one, list(classes))}"
            raise GanvasError(f"dtn: source: '{one}' {why}; classes: {known}")
    chosen = tuple(k for k, own in enumerate(classes) if (own in source if source else own != name))
    if len(chosen) < 2:
        raise GanvasError(
            f"dtn: f learns from the classes of the source, and beside the target there {'is' if len(chosen) == 1 else 'are'} "
            f"{len(chosen)}: put images of the source into two folders or more, one a class; classes: {known}"
        )
    return classes.index(name), chosen


class Features(nn.Module):
    """f: images (B, C, H, W) -> codes (B, code) in (-1, 1). Without normalisation, for it reads other images than it learns."""

    def __init__(self, shape: tuple[int, int, int], code: int, width: int) -> None:
        super().__init__()
        channels, height, columns = shape
        stages, _ = stages_and_base(height, columns)
        widths = [channels, *(width * min(8, 2**k) for k in range(stages))]
        layers = [own for k in range(stages) for own in convolution(widths[k], widths[k + 1], 4, 2, activation=leaky_relu)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(code), nn.Tanh())
        self.layers(torch.zeros(1, *shape))

    def forward(self, images: Tensor) -> Tensor:
        codes: Tensor = self.layers(images)
        return codes


class Dtn(System):
    Config = Config
    multiple = 0  # codes are of whole pictures
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"
    places: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        self._target, self._source = find_domains(tuple(spec.classes), config.target, config.source)
        names = tuple(spec.classes[k] for k in self._source)
        super().__init__(spec, replace(config, target=spec.classes[self._target], source=names))
        self.f = Features(spec.shape, config.code_size, config.width)
        self.classifier = nn.Linear(config.code_size, len(names))
        self.generator = ConvolutionalGenerator(config.code_size, spec.shape, config.width)
        self.discriminator = ConvolutionalEncoder(spec.shape, 3, config.width)
        if config.ema_half_life:
            self.average = copy.deepcopy(self.generator)
        places = torch.zeros(len(spec.classes), dtype=torch.int64)
        places[list(self._source)] = torch.arange(len(names))
        self.register_buffer("places", places, persistent=False)  # of the source's classes among the answers of the classifier

    @property
    def targets(self) -> tuple[int, ...]:
        return (self._target,)

    def feeds(self) -> Mapping[str, Feed]:
        return {"data": Feed(of={"source": self._source, "target": self._target}, told={"class": "source"})}

    # The game

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        return (
            Player("f", ("f", "classifier"), optimiser("adam", self.config.f_learning_rate)),
            Player("discriminator", ("discriminator",), rule),
            Player("generator", ("generator",), rule),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("f", (Turn("f", self.classify),), until=until_share(self.config.f_share)),
            Phase("transfer", (Turn("discriminator", self.tell_apart), Turn("generator", self.transfer))),
        )

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),) if self.config.ema_half_life else ()

    def classify(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The first phase: the classes of the source, from f alone."""
        answers = self.places[batch["class"]]
        return {"classes": cross_entropy(self.classifier(self.f(batch["source"])), answers)}

    def tell_apart(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D's turn: drawn of the source, drawn of the target, and the target itself."""
        of_source, of_target = (made.detach() for made in self._made(batch, shared))
        return {
            "from source": self._as(of_source, FROM_SOURCE),
            "from target": self._as(of_target, FROM_TARGET),
            "real": self._as(batch["target"], REAL_TARGET),
        }

    def transfer(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """g's turn: pass as the target, keep what f says of the source, leave the target as it is."""
        of_source, of_target = self._made(batch, shared)
        codes, weights = shared["codes"], self.config
        terms = {"fool source": self._as(of_source, REAL_TARGET), "fool target": self._as(of_target, REAL_TARGET)}
        if weights.constancy_weight:
            terms["constancy"] = weights.constancy_weight * (self.f(of_source) - codes[: len(of_source)]).square().mean()
        if weights.identity_weight:
            terms["identity"] = weights.identity_weight * (of_target - batch["target"]).square().mean()
        if weights.smoothness_weight:
            steps = [of_source.diff(dim=axis).square().mean() for axis in (2, 3)]
            terms["smoothness"] = weights.smoothness_weight * (steps[0] + steps[1])
        return terms

    def _made(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor]:
        """G(x) of source and target, once a round; both go through g together, so that its statistics are those in use."""
        if "made" not in shared:
            with torch.no_grad():
                shared["codes"] = self.f(torch.cat([batch["source"], batch["target"]]))
            shared["made"] = self.generator(shared["codes"])
        of_source, of_target = shared["made"].split(len(batch))
        return of_source, of_target

    def _as(self, images: Tensor, which: int) -> Tensor:
        """-log D_which, the mean over images."""
        logits = self.discriminator(images)
        return -logits.log_softmax(1)[:, which].mean()

    # What it can do

    def translate(self, images: Tensor, target: int, noise: Noise) -> Tensor:
        """Images (B, C, H, W) of either domain as the target has them; nothing is drawn from `noise`."""
        if target != self._target:
            raise ValueError(f"class {target} is not the target that was learnt, {self._target}")
        best = self.average if self.config.ema_half_life else self.generator
        drawn: Tensor = best(self.f(images))
        return drawn

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """Images of the source and what becomes of them; images of the target, which should stay."""
        cells = (batch["source"], batch["target"])
        made = [self.translate(images, self._target, noise) for images in cells]
        columns = ("source", f"as {self.config.target}", self.config.target, "drawn anew")
        return Panel(torch.stack([cells[0], made[0], cells[1], made[1]], 1), columns)
