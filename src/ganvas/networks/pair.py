"""The default pair of networks for whatever the data is, for systems that change the game and not the networks."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from ..kinds import kind_of
from ..kinds.facets import Seen
from .convolutional import ConvolutionalDiscriminator, ConvolutionalGenerator
from .perceptron import Perceptron


def build_pair(spec: Any, config: Any, *, critic_norm: bool = True) -> tuple[nn.Module, nn.Module]:
    """(generator, discriminator) for `spec`: convolutional for what is looked at (`facets.Seen`), else perceptrons.

    config needs `latent_size` and `width`, and for perceptrons `layers`. critic_norm: BatchNorm in the image discriminator.
    """
    if isinstance(kind_of(spec.kind), Seen):
        generator = ConvolutionalGenerator(config.latent_size, spec.shape, config.width)
        return generator, ConvolutionalDiscriminator(spec.shape, config.width, batch_norm=critic_norm)
    size = math.prod(spec.shape)
    return (
        Perceptron(config.latent_size, size, width=config.width, layers=config.layers, shape=spec.shape),
        Perceptron(size, 1, width=config.width, layers=config.layers),
    )
