"""LSGAN with a use of its own: `rate`, how real given records look to the discriminator (Mao et al. 2017, arXiv 1611.04076).

This is the worked example of docs/uses.md. The use is below the system; `USES` makes it known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from ganvas.batches import Noise
from ganvas.config import knob
from ganvas.systems.synthesis.lsgan import PRESETS, Config, LsGan
from ganvas.uses import Fields, Use, UseSays, Work, first_of

__all__ = ["CARD", "PRESETS", "USES", "Config", "RatingGan"]

CARD = {
    "title": "Least Squares GAN whose discriminator may be asked",
    "authors": "Mao et al.",
    "year": 2017,
    "paper": "arXiv 1611.04076",
    "summary": "least-squares losses; says of given records how real they look to it",
    "data": ["image", "points"],
}


class RatingGan(LsGan):
    def rate(self, records: Tensor, noise: Noise) -> Tensor:
        """Records of the spec's size -> (B,), about 1 for real ones and 0 for made ones."""
        return self.discriminator(records).flatten()


@runtime_checkable
class Rates(Protocol):
    """What a system promises that offers the use: its method, by name."""

    def rate(self, records: Tensor, noise: Noise) -> Tensor: ...


@dataclass(frozen=True)
class Options:
    percent: bool = knob(False, "in percent, 100 for what looks real")


def run(work: Work, given: Fields, options: Options) -> Fields:
    records, _ = first_of(given)
    ratings = work.system.rate(records, work.noise)
    return {"rating": 100 * ratings if options.percent else ratings}


def tell(work: Work, options: Any) -> str:
    return f"rated by the discriminator of {work.name}"


RATE = Use(
    verb="rate",
    done="rated",
    promise=Rates,
    gives=("rating",),
    Options=Options,
    fitted=True,
    run=run,
    tell=tell,
    says=UseSays(
        purpose="saying how real a record looks to the discriminator",
        doing="rating",
        example="ganvas apply RUN FILE --as rate --out FOLDER",
        caution="A discriminator was taught to tell its own generator's records from real ones, and nothing else.",
    ),
)

USES = [RATE]
