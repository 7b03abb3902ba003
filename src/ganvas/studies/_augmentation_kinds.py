"""What the study of augmentation has to know of each kind of records: how they become pictures for a classifier, what classic
augmentation of them is, and what stands in the place of settings that nobody gave.

The one table of kinds that can be studied is `STUDIED`. Not for the jobs (`_augmentation_job`), nor for judging.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from ..errors import GanvasError
from ._study_page import OF_PHANTOM

if TYPE_CHECKING:
    from ..store.records import Dataset

FEW = 5  # held-out groups below which an interval is over recordings: of one speaker alone nothing could be drawn again


class Images:
    """Images are seen as they are.

    The other kinds have the same members. noun: what records are called. system, size: in the place of settings that nobody
    gave. channels: that can be asked for; takes: options that others do not. classic: what classic augmentation does, as the
    page tells it. depth: bits of the records that a generator draws. mark: what a study of this kind adds to its settings:
    nothing of images, whose studies are older than the other kinds.
    """

    noun = "images"
    system: str = "dcgan"
    size: str | None = "48"
    channels: tuple[int, ...] = (1, 3)
    takes: tuple[str, ...] = ("flip",)
    classic = "moved, turned and lit differently"
    of_phantom = OF_PHANTOM
    depth: int | None = 8
    mark: Mapping[str, str] = {}

    def __init__(self, spec: Any) -> None:
        self.spec = spec

    @property
    def planes(self) -> int:
        """Channels of what a classifier sees."""
        return int(self.spec.channels)

    @staticmethod
    def settled(dataset: Dataset) -> Dataset:
        """The data set with groups that are whole in a fraction and drawn again by the bootstrap."""
        return dataset

    def facts(self, dataset: Dataset) -> dict[str, Any]:
        """What the page tells of the records. Raises GanvasError for those that are too small."""
        if min(self.spec.height, self.spec.width) < 16:
            raise GanvasError(f"--size {self.spec.size} is too small for this study, the least is 16")
        return {"height": self.spec.height, "width": self.spec.width}

    @staticmethod
    def told(facts: Mapping[str, Any]) -> str:
        """How large records are, and how they are seen."""
        return f"{facts['height']}x{facts['width']} pixels"

    @staticmethod
    def warnings(facts: Mapping[str, Any]) -> list[str]:
        """What a reader of verdicts has to know of the held-out part."""
        return []

    def encoded(self, values: np.ndarray, depth: int | None = None) -> Tensor:
        """Records in file units -> what is drawn in batches, (N, ...) float32. depth: bits, where not the data's own."""
        from ..kinds import encode, kind_of
        from ..kinds.facets import Deep

        kind = kind_of(self.spec.kind)
        return encode(values, kind.at_depth(self.spec, depth) if depth and isinstance(kind, Deep) else self.spec).float()

    @staticmethod
    def kept(made: np.ndarray) -> np.ndarray:
        """Samples as they are kept in a file."""
        return made

    def read(self, kept: np.ndarray) -> Tensor:
        """The same for batches."""
        return self.encoded(kept, self.depth)

    def seen(self, drawn: Tensor) -> Tensor:
        """What a classifier sees of records (B, ...): pictures (B, C, H, W) about [-1, 1]."""
        return drawn

    def varied(self, drawn: Tensor, rng: torch.Generator, flip: bool) -> Tensor:
        """The same, each changed by classic augmentation."""
        return varied(drawn, rng, flip)

    @staticmethod
    def shown(kept: np.ndarray, facts: Mapping[str, Any]) -> np.ndarray:
        """Pictures (N, H, W, 1 or 3) uint8 of samples for the page."""
        return kept


class Sounds(Images):
    """Sounds are seen as log-mel pictures of 40 bands, each from its loudest place down to 60 dB below it; stereo as its mean.

    Fractions are of recordings, whoever speaks: of five speakers a tenth cannot be whole ones. The bootstrap draws groups,
    where five or more are held out, else recordings.
    """

    noun = "sounds"
    system, size = "specgan", None
    channels = (1, 2)
    takes = ("rate",)
    classic = "moved by up to 5 % of a clip, played up to 10 % faster or slower, 6 dB louder or softer, with noise and masks"
    of_phantom = "A phantom shows how the study works. It says nothing of speech: give recordings with `--data`."
    depth = None
    mark: Mapping[str, str] = {"kind": "sound"}
    BANDS, STEP, FLOOR = 40, 0.010, 60.0  # rows; seconds of a column, to a power of two samples; dB

    def __init__(self, spec: Any) -> None:
        from ..networks.spectrogram import Spectrogram

        super().__init__(spec)
        self.transform = Spectrogram(spec.length, spec.rate, bands=self.BANDS, scale="mel", step=self.STEP, floor=self.FLOOR)

    @property
    def planes(self) -> int:
        return 1

    @staticmethod
    def settled(dataset: Dataset) -> Dataset:
        import dataclasses

        if dataset.origins is None:
            return dataset
        files, held = dataset.origins.of.astype(np.int64), dataset.heldout
        groups = np.where(held & (len(np.unique(dataset.groups[held])) >= FEW), dataset.groups + files.max() + 1, files)
        return dataclasses.replace(dataset, groups=groups)

    def facts(self, dataset: Dataset) -> dict[str, Any]:
        persons, origins, groups = dataset.persons, dataset.origins, 0
        if persons is not None and origins is not None and len(np.unique(persons)) < len(np.unique(origins.of)):
            groups = len(np.unique(persons[dataset.heldout]))
        return {"length": self.spec.length, "rate": self.spec.rate, "groups_named": groups}

    @staticmethod
    def told(facts: Mapping[str, Any]) -> str:
        return f"{facts['length'] / facts['rate']:.2g} s and {facts['rate']} Hz, seen as log-mel pictures"

    @staticmethod
    def warnings(facts: Mapping[str, Any]) -> list[str]:
        if facts["phantom"]:
            return []
        if 0 < len(facts.get("hold_out", ())) < FEW:
            return [_few(" and ".join(facts["hold_out"]))]
        if 0 < facts["groups_named"] < FEW:
            return [_few(f"{facts['groups_named']} of the groups")]
        if not facts["groups_named"] and not facts.get("hold_out"):
            return [
                "nobody says who speaks, so that the same voices are learnt from and tested on: hold one out with --hold-out "
                "NAME, or name them in a groups.csv"
            ]
        return []

    def encoded(self, values: np.ndarray, depth: int | None = None) -> Tensor:
        return super().encoded(values).mean(1)

    @staticmethod
    def kept(made: np.ndarray) -> np.ndarray:
        """16 bits, as sounds are written; what is beyond full scale is cut off."""
        return np.clip(np.round(made * 32767), -32767, 32767).astype(np.int16)

    def read(self, kept: np.ndarray) -> Tensor:
        return self.encoded(kept.astype(np.float32) / 32767)

    def seen(self, drawn: Tensor) -> Tensor:
        """Waves (B, length) -> (B, 1, bands, columns)."""
        return torch.cat([self.transform.pictures(part[:, None])[0] for part in drawn.split(256)])

    def varied(self, drawn: Tensor, rng: torch.Generator, flip: bool) -> Tensor:
        """Each clip moved by up to 5 % of its length, played up to 10 % faster or slower (pitch and all), with white noise 15
        to 40 dB under its root mean square; its picture up to 6 dB louder or softer, a stripe of up to an eighth of the bands
        and one of up to an eighth of the columns at its mean (Park et al. 2019, SpecAugment)."""
        count, length = drawn.shape
        later, faster, louder, quiet = (2 * torch.rand(4, count, generator=rng) - 1).unbind()
        waves = _played(drawn, 1 + 0.1 * faster, 0.05 * length * later)
        noise = torch.randn(count, length, generator=rng) * 10 ** (-(27.5 + 12.5 * quiet[:, None]) / 20)
        pictures = self.seen(waves + noise * waves.square().mean(1, keepdim=True).sqrt())
        pictures = (pictures + louder[:, None, None, None] * 6 / (self.FLOOR / 2)).clamp(min=-1)
        mean = pictures.mean((1, 2, 3), keepdim=True)
        rows, columns = (_stripe(count, side, rng) for side in pictures.shape[2:])
        return torch.where(rows[:, None, :, None] | columns[:, None, None, :], mean, pictures)

    @staticmethod
    def shown(kept: np.ndarray, facts: Mapping[str, Any]) -> np.ndarray:
        """Spectrograms, low tones below, -60 to 0 dB from dark to light, in a dark frame."""
        from matplotlib import colormaps

        from ..kinds.sound.spectra import log_mel

        levels = log_mel(kept.astype(np.float32).mean(2) / 32767, facts["rate"])
        levels = levels - levels.max((1, 2), keepdims=True)
        colours = (colormaps["magma"](np.clip(levels / 60 + 1, 0, 1))[..., :3] * 255).astype(np.uint8)
        return np.pad(colours.transpose(0, 2, 1, 3)[:, ::-1], ((0, 0), (1, 1), (1, 1), (0, 0)))


STUDIED: dict[str, type[Images]] = {"image": Images, "sound": Sounds}
"""By the kind of data."""


def studied_of(common: Mapping[str, Any]) -> type[Images]:
    """What a study's settings or result are of; those without a mark are of images."""
    return next(own for own in STUDIED.values() if own.mark.get("kind") == common.get("kind"))


def _few(who: str) -> str:
    return (
        f"with {who} alone held out, intervals are over recordings, and hold nothing of what another voice would change: hold "
        "out others in turn, each with its own --out"
    )


def varied(images: Tensor, rng: torch.Generator, flip: bool) -> Tensor:
    """Each image turned by up to 10 degrees, scaled by up to a tenth, moved by up to a sixteenth, its brightness and contrast
    changed by up to a tenth and a fifth; with `flip` mirrored left to right at random. What comes in is the border's value."""
    count = len(images)
    turn, scale, right, down, light, contrast, mirror = (2 * torch.rand(7, count, generator=rng) - 1).unbind()
    angle, size = turn * (torch.pi / 18), 1 + 0.1 * scale
    side = torch.where(mirror < 0, -1.0, 1.0) if flip else torch.ones(count)
    rows = [side * size * angle.cos(), -size * angle.sin(), right / 8, side * size * angle.sin(), size * angle.cos(), down / 8]
    grid = affine_grid(torch.stack(rows, 1).view(count, 2, 3), list(images.shape), align_corners=False)
    moved = grid_sample(images, grid, padding_mode="border", align_corners=False)
    mean = moved.mean((1, 2, 3), keepdim=True)
    bright, steep = 0.1 * light[:, None, None, None], 1 + 0.2 * contrast[:, None, None, None]
    return (moved - mean) * steep + mean + bright


def _played(waves: Tensor, speed: Tensor, later: Tensor) -> Tensor:
    """Waves (B, length) at other speeds (B,), beginning `later` (B,) samples later: cubic interpolation (Catmull and Rom),
    silence where nothing was."""
    length = waves.shape[1]
    place = (torch.arange(length) - later[:, None]) * speed[:, None]
    first = place.floor()
    part, first = place - first, first.long()
    padded = torch.nn.functional.pad(waves, (2, 2))
    own = [padded.gather(1, (first + k + 2).clamp(0, length + 3)) for k in (-1, 0, 1, 2)]
    before, left, right, after = own
    bent = 2 * before - 5 * left + 4 * right - after + part * (3 * (left - right) + after - before)
    return left + 0.5 * part * (right - before + part * bent)


def _stripe(count: int, side: int, rng: torch.Generator) -> Tensor:
    """(count, side) bool: of each a stretch of up to an eighth of the side."""
    wide, begin = torch.rand(2, count, 1, generator=rng).unbind()
    wide = (wide * (side / 8 + 1)).floor()
    begin = begin * (side - wide)
    place = torch.arange(side)
    return (place >= begin) & (place < begin + wide)
