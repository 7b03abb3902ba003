"""SpecGAN's generator, and what its players are told and read of the numbers of a clip. Not for the game:
`systems/sound/specgan.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ..specs import PROPERTIES, REAL
from .columns import KEPT

if TYPE_CHECKING:
    from ..batches import Noise
    from .spectrogram import Spectrogram

POLISH = 16  # channels of two convolutions at every place, which take away the stripes of large steps and sharpen onsets
UNMEASURED = ("shift",)  # changes of sound (`spectrogram`) after which a clip has the properties that are told of it
LEVEL = ("loudness", "dB")  # the property that a gain sets: the root mean square of the mean of all channels
SILENT = 1e-10
FARTHEST = 4.0  # standard deviations; one record far out must not outweigh all others


def spec_of(spec: Any) -> tuple[Any, Any | None]:
    """(the spec of the clips, that of their properties or None)."""
    return (spec[REAL], spec.get(PROPERTIES)) if isinstance(spec, dict) else (spec, None)


class Drawn(nn.Module):
    """Latents (B, latent) and what is told (B, K) or None -> (B, C + 1, bands, columns): pictures, and a plane of the level.

    What the network draws is polished by a residual block at full resolution, which starts as the identity.
    """

    def __init__(self, network: nn.Module, transform: Spectrogram, planes: int) -> None:
        super().__init__()
        self.network, self.transform = network, transform
        last = nn.Conv2d(POLISH, planes, 3, padding=1)
        for own in last.parameters():
            nn.init.zeros_(own)
        self.polish = nn.Sequential(nn.Conv2d(planes, POLISH, 3, padding=1), nn.LeakyReLU(0.2), last)

    def forward(self, latents: Tensor, told: Tensor | None) -> Tensor:
        raw = self.network(latents) if told is None else self.network(latents, told)
        raw = raw + self.polish(raw)
        level = raw[:, -1:].mean((2, 3), keepdim=True)
        return torch.cat([self.transform.bounded(raw[:, :-1]), level.expand_as(raw[:, -1:])], 1)


class Told:
    """What both players are told of a clip: its class, its properties, and a 1, by which D's answer has a part that depends on
    nothing told. classes: how many; 0: none. properties: the spec of a table of numbers, or None."""

    def __init__(self, classes: int, properties: Any | None) -> None:
        self.classes = classes
        parts = () if properties is None else properties.parts
        self.numbers = [part.start for part in parts if part.type != "missing"]
        gaps = {part.name: part.start for part in parts if part.type == "missing"}
        self.gaps = [gaps.get(part.name) for part in parts if part.type != "missing"]
        self.width = 0 if properties is None else properties.shape[0]
        self.count = classes + (self.width + 1 if self.width else 0)

        self.level: tuple[int, int | None, float, float] | None = None  # place, gap, mean and deviation of LEVEL
        if properties is not None and LEVEL in zip(properties.names, properties.units, strict=False):
            k = properties.names.index(LEVEL[0])
            self.level = self.numbers[k], self.gaps[k], properties.centre[k], properties.scale[k]

    def codes(self, labels: Tensor | None, properties: Tensor | None) -> Tensor | None:
        """Classes (B,) and rows of the table in the form of the game (B, D) -> (B, count); None where nothing is told."""
        parts = [] if labels is None or not self.classes else [one_hot(labels, self.classes).float()]
        if self.width and properties is not None:
            parts += [properties.clamp(-FARTHEST, FARTHEST), torch.ones_like(properties[:, :1])]
        return torch.cat([part.to(parts[-1].dtype) for part in parts], 1) if parts else None

    def levelled(self, clips: Tensor, properties: Tensor | None) -> Tensor:
        """Clips (B, C, T) in [-1, 1] at the level that is told of them, which is a matter of gain; as near to it as a peak of 1
        allows. Silence stays."""
        if self.level is None or properties is None:
            return clips
        place, gap, centre, scale = self.level
        told = properties[:, place] * scale + centre
        power = clips.mean(1).square().mean(1)
        gains = (10 ** (told / 20) / power.clamp(min=SILENT).sqrt()).clamp(max=1e3)
        known = power > SILENT if gap is None else (power > SILENT) & (properties[:, gap] < 0.5)
        gains = torch.minimum(gains, 1 / clips.abs().amax((1, 2)).clamp(min=1e-5))
        return clips * torch.where(known, gains, torch.ones_like(gains))[:, None, None]

    def misread(self, read: Tensor, properties: Tensor) -> Tensor:
        """(), the mean squared error of numbers read (B, numbers), in variances, where they are known."""
        wanted = properties[:, self.numbers].clamp(-FARTHEST, FARTHEST)
        known = torch.stack([torch.ones_like(wanted[:, 0]) if gap is None else 1 - properties[:, gap] for gap in self.gaps], 1)
        return ((read - wanted).square() * known).mean()


# The latest rows that were learnt from, in two buffers of a system: rows (KEPT, D + 1), the class last, and seen ()


def remember_rows(rows: Tensor, seen: Tensor, properties: Tensor, labels: Tensor | None) -> None:
    """Write rows of properties (B, D) over the oldest ones, without waiting for the device."""
    own = properties.new_full((len(properties), 1), -1) if labels is None else labels[:, None].to(properties)
    latest = torch.cat([properties, own], 1)[-KEPT:].to(rows)
    rows[(seen + torch.arange(len(latest), device=latest.device)) % KEPT] = latest
    seen += len(latest)


def drawn_properties(rows: Tensor, seen: Tensor, count: int, noise: Noise) -> Tensor:
    """(count, D) of those that are there, drawn at random; zeros, what is usual, before there are any."""
    return rows[noise.integers(KEPT, count) % seen.clamp(1, KEPT)][:, :-1]
