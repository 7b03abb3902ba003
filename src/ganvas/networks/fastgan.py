"""The networks of FastGAN for any size, aspect and number of channels. Liu, Zhu, Song, Elgammal, 2021, "Towards Faster and
Stabilized GAN Training for High-fidelity Few-shot Image Synthesis" (ICLR, arXiv 2101.04775), section 3. The generator serves
other games as well. Not for the game: `systems/synthesis/fastgan.py`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..batches import Noise
from .blocks import leaky_relu
from .convolutional import middle, stages_and_base, surrounded
from .spectral import spectral

TIMES = (16, 8, 4, 2, 2, 1, 0.5, 0.25, 0.125)
"""Times `width`: channels of G at 4 to 7 pixels, 8 to 15, 16 to 31 ... on the short side."""
JUDGED = (16, 8, 4, 2, 1, 0.5, 0.25, 0.125, 0.125)
"""The same of D."""
SKIPPED = 4  # doublings that a skip-layer excitation reaches across
BLOCKS = 5  # most blocks of D; larger images are halved by plain convolutions first
SMALL = 5  # doublings from 4 to 7 pixels to the largest small image: 128 pixels of a power of two


def channels_of(times: tuple[float, ...], level: int, width: int) -> int:
    """Channels at that many doublings from the smallest maps; at least 2."""
    return max(2, round(times[min(level, len(times) - 1)] * width))


def small_level(stages: int) -> int:
    """Doublings from 4 to 7 pixels to the small image that D sees beside the whole one: half its size, and at most 128 pixels.
    0: none, since the whole one is small enough."""
    return min(stages - 1, SMALL)


class Gated(nn.Module):
    """Maps (B, before, H, W) -> (B, after, H, W): 3x3 convolution to twice as many, noise if wanted, BatchNorm, and a gated
    linear unit: the first half of the channels times the sigmoid of the second. The noise's strength is learnt from 0."""

    def __init__(self, before: int, after: int, *, noisy: bool) -> None:
        super().__init__()
        self.convolution = spectral(nn.Conv2d(before, 2 * after, 3, 1, 1, bias=False))
        self.norm = nn.BatchNorm2d(2 * after)
        self.strength = nn.Parameter(torch.zeros(())) if noisy else None

    def forward(self, maps: Tensor, noise: Noise) -> Tensor:
        maps = self.convolution(maps)
        if self.strength is not None:
            maps = maps + self.strength * noise.normal(len(maps), 1, *maps.shape[2:]).to(maps.dtype)
        return functional.glu(self.norm(maps), dim=1)


class Excitation(nn.Module):
    """Skip-layer excitation (eq. 2): channels of large maps are multiplied by what small ones say of them, between 0 and 1."""

    def __init__(self, small: int, large: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            spectral(nn.Conv2d(small, large, 4, bias=False)),
            nn.SiLU(),
            spectral(nn.Conv2d(large, large, 1, bias=False)),
            nn.Sigmoid(),
        )

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        return large * self.layers(small)


class Generator(nn.Module):
    """Latents (B, latent) and noise -> images (B, *shape) in [-1, 1].

    width: see TIMES. excitation: whether small maps excite the channels of large ones, four doublings further or as many as
    there are. noisy: noise on every second size. With `small`, a second, smaller image is made beside, of `small_level`.
    """

    def __init__(
        self, latent: int, shape: tuple[int, int, int], width: int, *, excitation: bool, noisy: bool, small: bool = True
    ) -> None:
        super().__init__()
        channels, self.height, self.columns = shape
        stages, self.base = stages_and_base(self.height, self.columns)
        widths = [channels_of(TIMES, level, width) for level in range(stages + 1)]
        self.enter = spectral(nn.Linear(latent, 2 * widths[0] * self.base[0] * self.base[1], bias=False))
        self.norm = nn.BatchNorm2d(2 * widths[0])
        self.blocks = nn.ModuleList()
        for level, (before, after) in enumerate(pairwise(widths), start=1):
            twice = level % 2 == 1
            layers = [Gated(before, after, noisy=noisy and twice)]
            layers += [Gated(after, after, noisy=noisy)] if twice else []
            self.blocks.append(nn.ModuleList(layers))
        self.reach = min(SKIPPED, stages)
        levels = range(self.reach, stages + 1) if excitation else ()
        self.excitations = nn.ModuleDict(
            {str(level): Excitation(widths[level - self.reach], widths[level]) for level in levels}
        )
        self.leave = spectral(nn.Conv2d(widths[-1], channels, 3, 1, 1))
        self.small = small_level(stages) if small else 0
        self.leave_small = spectral(nn.Conv2d(widths[self.small], channels, 1)) if self.small else None

    def forward(self, latents: Tensor, noise: Noise) -> Tensor:
        return self.both(latents, noise)[0]

    def both(self, latents: Tensor, noise: Noise) -> tuple[Tensor, Tensor | None]:
        """(images, small images or None); the small ones have sides that are multiples of the smallest maps'."""
        maps = functional.glu(self.norm(self.enter(latents).view(len(latents), -1, *self.base)), dim=1)
        found = [maps]
        for level, block in enumerate(self.blocks, start=1):
            maps = functional.interpolate(maps, scale_factor=2, mode="nearest")
            for layer in cast(nn.ModuleList, block):
                maps = layer(maps, noise)
            if str(level) in self.excitations:
                maps = self.excitations[str(level)](found[level - self.reach], maps)
            found.append(maps)
        small = None if self.leave_small is None else torch.tanh(self.leave_small(found[self.small]))
        images = torch.tanh(self.leave(maps))
        return middle(images, self.height, self.columns), small


class Halving(nn.Module):
    """Maps (B, before, H, W) -> (B, after, H / 2, W / 2): the mean of two branches, one of convolutions, one of means."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            spectral(nn.Conv2d(before, after, 4, 2, 1, bias=False)), nn.BatchNorm2d(after), leaky_relu(),
            spectral(nn.Conv2d(after, after, 3, 1, 1, bias=False)), nn.BatchNorm2d(after), leaky_relu(),
        )  # fmt: skip
        self.direct = nn.Sequential(
            nn.AvgPool2d(2), spectral(nn.Conv2d(before, after, 1, bias=False)), nn.BatchNorm2d(after), leaky_relu()
        )

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = (self.main(maps) + self.direct(maps)) / 2
        return result


class Decoder(nn.Module):
    """Maps (B, before, H, W) of D -> images (B, channels, H * 2^doublings, W * 2^doublings) in [-1, 1]."""

    def __init__(self, before: int, channels: int, width: int, doublings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for level in range(doublings):
            after = max(2, round(width * (2, 1, 1, 0.5)[min(level, 3)]))
            layers += [
                nn.Upsample(scale_factor=2), spectral(nn.Conv2d(before, 2 * after, 3, 1, 1, bias=False)),
                nn.BatchNorm2d(2 * after), nn.GLU(1),
            ]  # fmt: skip
            before = after
        self.layers = nn.Sequential(*layers, spectral(nn.Conv2d(before, channels, 3, 1, 1)), nn.Tanh())

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.layers(maps)
        return result


def halved(before: int, after: int, *, norm: bool = True) -> list[nn.Module]:
    """Layers that halve maps: a 4x4 convolution with spectral norm, BatchNorm if wanted, leaky ReLU."""
    convolution = spectral(nn.Conv2d(before, after, 4, 2, 1, bias=False))
    return [convolution, *([nn.BatchNorm2d(after)] if norm else []), leaky_relu()]


class Discriminator(nn.Module):
    """Images (B, *shape) and small ones -> logits (B, K), a number for each of many places of both.

    As an encoder it has maps that its decoders turn into images again: the whole one from the last maps (8 to 15 pixels on the
    short side) and from those of the small image, and a quarter of it from that quarter of the maps before the last (eq. 4).
    decodes: whether it has them.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, *, decodes: bool = True) -> None:
        super().__init__()
        channels, height, columns = shape
        stages, base = stages_and_base(height, columns)
        self.size = (base[0] * 2**stages, base[1] * 2**stages)  # that halves to the smallest maps
        halvings = stages - 1
        plain = 1 if 2 <= halvings < BLOCKS else max(0, halvings - BLOCKS)
        widths = [channels_of(JUDGED, level, width) for level in range(stages, 0, -1)]
        last, earlier = widths[-1], widths[-min(2, len(widths))]
        self.enter = nn.Sequential(*self._entrance(channels, widths[: plain + 1]))
        self.blocks = nn.ModuleList(Halving(before, after) for before, after in pairwise(widths[plain:]))
        judge: list[nn.Module] = [spectral(nn.Conv2d(last, last, 1, bias=False)), nn.BatchNorm2d(last), leaky_relu()]
        self.judge = nn.Sequential(*judge, spectral(nn.Conv2d(last, 1, 4, bias=False)))
        decoders = {"whole": last, "quarter": earlier}
        self.small = small_level(stages)
        self.ratio = 2 ** (stages - self.small)
        if self.small:
            widths = [channels_of(JUDGED, level, width) for level in range(self.small, 0, -1)]
            layers = self._entrance(channels, widths[:2])
            layers += [layer for before, after in pairwise(widths[1:]) for layer in halved(before, after)]
            self.see_small = nn.Sequential(*layers)
            self.judge_small = spectral(nn.Conv2d(last, 1, 4, bias=False))
            decoders["small"] = last
        doublings = max(0, min(stages - 2, 4))  # half the size, and at most 128 pixels
        self.decoders = nn.ModuleDict(
            {name: Decoder(before, channels, width, doublings) for name, before in decoders.items() if decodes}
        )

    @staticmethod
    def _entrance(channels: int, widths: list[int]) -> list[nn.Module]:
        """From an image to maps of the same size, where one width is given, or halved with each further one."""
        if len(widths) == 1:
            return [spectral(nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False)), leaky_relu()]
        layers = halved(channels, widths[1], norm=False)
        return layers + [layer for before, after in pairwise(widths[1:]) for layer in halved(before, after)]

    def padded(self, images: Tensor) -> Tensor:
        """Images whose sides are a power of two times those of the smallest maps."""
        return surrounded(images, *self.size)

    def reduced(self, images: Tensor) -> Tensor | None:
        """Real images in the size of the small ones that the generator makes."""
        return functional.avg_pool2d(self.padded(images), self.ratio) if self.small else None

    def forward(self, images: Tensor, small: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """(logits (B, K), maps by the name of their decoder)."""
        maps = earlier = self.enter(self.padded(images))
        for block in self.blocks:
            earlier, maps = maps, block(maps)
        logits, found = [self.judge(maps).flatten(1)], {"whole": maps, "quarter": earlier}
        if small is not None:
            found["small"] = self.see_small(small)
            logits.append(self.judge_small(found["small"]).flatten(1))
        return torch.cat(logits, 1), found

    def rebuilt(self, found: dict[str, Tensor], images: Tensor, noise: Noise) -> list[tuple[Tensor, Tensor]]:
        """(decoded, what it should be) of each decoder, for the images (B, C, H, W) whose maps are given. The quarter is drawn
        for each record."""
        images = self.padded(images)
        which = noise.integers(4, len(images))
        pairs = []
        for name, decoder in self.decoders.items():
            maps, wanted = (found[name], images) if name != "quarter" else (quarter(found[name], which), quarter(images, which))
            made = decoder(maps)
            pairs.append((made, functional.adaptive_avg_pool2d(wanted, made.shape[2:])))
        return pairs


def quarter(maps: Tensor, which: Tensor) -> Tensor:
    """Maps (B, C, 2H, 2W) -> (B, C, H, W): of each record the quarter 0 to 3, row by row."""
    height, width = maps.shape[2] // 2, maps.shape[3] // 2
    parts = maps.unflatten(3, (2, width)).unflatten(2, (2, height)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    return parts[torch.arange(len(maps), device=maps.device), which]
