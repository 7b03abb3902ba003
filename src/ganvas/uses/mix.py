"""Mix: coarse features of one latent and fine ones of another, both drawn from noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..capabilities import MixesStyles
from ..config import knob
from ..errors import GanvasError
from . import Fields, Use, UseSays, Work

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 64


@dataclass(frozen=True)
class Options:
    count: int = knob(64, "how many", low=1)
    layer: int = knob(0, "the first layer that listens to the second latent; 0: the middle one", low=0)


def run(work: Work, given: Fields, options: Options) -> Fields:
    """Each record of two latents of its own, in pieces of at most 64."""
    return {work.main: mixed(work, options.count, layer_of(work, options))}


def layer_of(work: Work, options: Options) -> int:
    """Raises GanvasError for a layer that is not there."""
    last = int(work.system.style_layers) - 1
    if options.layer > last:
        raise GanvasError(f"--layer {options.layer} is out of range: 1 to {last}")
    return options.layer or max(1, (last + 1) // 2)


def mixed(work: Work, count: int, layer: int) -> Iterator[Tensor]:
    import torch

    config = work.system.config
    size = config.latent_size
    for start in range(0, count, BATCH):
        # Full batches are drawn and cut, so that few are the first of many.
        with torch.no_grad():
            coarse, fine = work.noise.normal(BATCH, size), work.noise.normal(BATCH, size)
            yield work.system.mix(coarse, fine, layer, work.noise)[: count - start]


USE = Use(
    verb="mix",
    done="mixed",
    promise=MixesStyles,
    takes=(),
    Options=Options,
    order=60,
    run=run,
    tell=lambda work, options: f"mixed from layer {layer_of(work, options)} on",
    says=UseSays(
        purpose="mixing coarse and fine features of two samples",
        doing="mixing",
        example="ganvas apply RUN --as mix -n 16 --out FOLDER",
    ),
)
