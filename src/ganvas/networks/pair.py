"""The default pair of networks for whatever the data is, for systems that change the game and not the networks."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from ..errors import GanvasError
from ..kinds import kind_of
from ..kinds.facets import Seen
from ..presets import Situation, widest
from .convolutional import LASTS, ConvolutionalDiscriminator, ConvolutionalGenerator
from .perceptron import Perceptron

WORK_PER_IMAGE = 0.223 / 20**2  # GFLOP of a round of `dcgan` for one 64x64 image, divided by the square of the width
IMAGES_WANTED = {
    16: 0,
    24: 200_000,
    32: 500_000,
    48: 1_500_000,
    64: 4_000_000,
}  # width -> images it takes to pay off, of `dcgan`


def affordable_width(situation: Situation, work: float = 1.0) -> int:
    """The largest width of the convolutional pair whose learning the budget can pay for.

    work: of a round for one image that is drawn, in rounds of `dcgan`. Measured with `dcgan`; the widths that pay off in other
    games on the same networks are taken to be the same.
    """
    pixels = situation.spec.height * situation.spec.width / 64**2
    return widest(situation, IMAGES_WANTED, lambda width: work * WORK_PER_IMAGE * width**2 * pixels, share=0.7)


def build_pair(spec: Any, config: Any, *, critic_norm: bool = True) -> tuple[nn.Module, nn.Module]:
    """(generator, discriminator) for `spec`: convolutional for what is looked at (`facets.Seen`), else perceptrons.

    config needs `latent_size` and `width`, for perceptrons `layers` too; it may have `generator_last` and `augment`.
    critic_norm: BatchNorm in the image discriminator.
    Raises GanvasError where `augment` asks for changes of images, and the data are none.
    """
    if isinstance(kind_of(spec.kind), Seen):
        last = getattr(config, "generator_last", LASTS[0])
        generator = ConvolutionalGenerator(config.latent_size, spec.shape, config.width, last=last)
        return generator, ConvolutionalDiscriminator(spec.shape, config.width, batch_norm=critic_norm)
    if getattr(config, "augment", ()):
        raise GanvasError(f"augment changes images, and the data are {spec.kind}: leave it out")
    size = math.prod(spec.shape)
    return (
        Perceptron(config.latent_size, size, width=config.width, layers=config.layers, shape=spec.shape),
        Perceptron(size, 1, width=config.width, layers=config.layers),
    )
