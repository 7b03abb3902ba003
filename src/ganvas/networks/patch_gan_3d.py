"""Networks of patch-gan-3d: a generator and a discriminator of small whole volumes, and those of patches of doubled resolution.

Everything that makes a patch depends on voxels and noise near it alone, and pads nothing: convolutions are valid, no norm looks
at a whole patch, and noise is drawn by the place of a voxel. So a patch is the same whatever is made around it. Not for images.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, interpolate, leaky_relu

NOISE = 8  # channels of noise: one for each of the fine voxels of a coarse one
FAINT = 0.25  # of the noise that a stage begins with, so that what is seen outweighs it
_WORD = (1 << 32) - 1
_STEPS = (-7046029254386353131, -4417276706812531889, 3202034522624059733, 7109453100751455733)  # odd 64-bit numbers
_MIX = ((30, -4658895280553007687), (27, -7723592293110705685))  # of SplitMix64 (Steele, Lea, Flood 2014)


def halved(volumes: Tensor) -> Tensor:
    """(B, C, D, H, W) -> half of each side, by means."""
    return avg_pool3d(volumes, 2)


def repeated(volumes: Tensor) -> Tensor:
    """(B, C, D, H, W) -> twice each side, every voxel eight times."""
    return volumes.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)


def windows(volumes: Tensor, rows: Tensor, starts: Tensor, side: int) -> Tensor:
    """Cubes (T, 1, side, side, side) of volumes (B, 1, D, H, W) from `starts` (T, 3) on, of the records `rows` (T,). Places
    beyond a volume have the value of the nearest voxel. Waits for no device."""
    reach = torch.arange(side, device=volumes.device)
    places = []
    for axis in range(3):
        own = (starts[:, axis, None] + reach).clamp(0, volumes.shape[2 + axis] - 1)
        places.append(own.view(-1, *(side if k == axis else 1 for k in range(3))))
    return volumes[:, 0][(rows.view(-1, 1, 1, 1), *places)][:, None]


def lattice(seeds: Tensor, starts: Tensor, side: int) -> Tensor:
    """Standard normal noise (T, NOISE, side, side, side) of cubes from `starts` (T, 3) on, in the worlds `seeds` (T,) int64:
    the numbers of a voxel are a hash of its place, so that they need not be kept, and cubes that overlap agree."""
    device = seeds.device
    reach = torch.arange(side, device=device)
    word = seeds.view(-1, 1, 1, 1, 1) + _STEPS[0] * torch.arange(1, NOISE + 1, device=device).view(1, -1, 1, 1, 1)
    for axis in range(3):
        place = (starts[:, axis, None] + reach).view(-1, 1, *(side if k == axis else 1 for k in range(3)))
        word = word + _STEPS[1 + axis] * place
    for shift, factor in _MIX:
        word = (word ^ ((word >> shift) & ((1 << (64 - shift)) - 1))) * factor
    word = word ^ ((word >> 31) & ((1 << 33) - 1))
    first, second = (((half & _WORD).to(torch.float32) + 0.5) / 2**32 for half in (word, word >> 32))
    return (-2 * first.clamp(1e-10, 1.0).log()).sqrt() * (2 * math.pi * second).cos()  # Box and Muller


class Features(nn.Module):
    """A convolution, each voxel's features scaled to a mean square of 1, and a leaky ReLU of 0.2."""

    def __init__(self, before: int, after: int, kernel: int, padding: int = 0) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(before, after, kernel, padding=padding)
        nn.init.kaiming_normal_(self.convolution.weight, 0.2)
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        made = self.convolution(maps)
        return leaky_relu(made * (made.square().mean(1, keepdim=True) + 1e-6).rsqrt(), 0.2)


class WholeGenerator(nn.Module):
    """Latents (B, latent) -> whole volumes (B, 1, side, side, side); side a multiple of 4."""

    def __init__(self, latent: int, side: int, width: int) -> None:
        super().__init__()
        self.start = side // 4
        self.first = nn.Linear(latent, 4 * width * self.start**3)
        self.blocks = nn.ModuleList(
            [Features(4 * width, 4 * width, 3, 1), Features(4 * width, 2 * width, 3, 1), Features(2 * width, width, 3, 1)]
        )
        self.last = nn.Conv3d(width, 1, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        maps = leaky_relu(self.first(latents), 0.2).unflatten(1, (-1, *(self.start,) * 3))
        maps = self.blocks[0](maps)
        for block in list(self.blocks)[1:]:
            maps = block(interpolate(maps, scale_factor=2, mode="trilinear", align_corners=False))
        return self.last(maps)


class WholeDiscriminator(nn.Module):
    """Whole volumes (B, 1, side, side, side) -> logits (B, 1)."""

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        layers: list[nn.Module] = [nn.Conv3d(1, width, 3, padding=1), nn.LeakyReLU(0.2)]
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv3d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * width * (side // 4) ** 3, 1))

    def forward(self, volumes: Tensor) -> Tensor:
        return self.layers(volumes)


class DetailGenerator(nn.Module):
    """Coarse cubes with a margin, and noise of the same places -> cubes of twice the resolution, without the margin.

    coarse: (T, 1, n + 2 m, ...), noise: (T, NOISE, n + 2 m, ...) -> (T, 1, 2 n, 2 n, 2 n), m = `margin`. The details that are
    added have a mean of 0 over the eight voxels of every coarse one, so the result halved by means is the coarse cube again.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.margin = layers + 1
        fine = max(4, width // 4)
        self.coarse = nn.Sequential(
            *(Features(1 + NOISE if layer == 0 else width, width, 3) for layer in range(layers)), Features(width, 8 * fine, 1)
        )
        self.fine = Features(fine + 1, fine, 3)
        self.last = nn.Conv3d(fine, 1, 3)
        nn.init.normal_(self.last.weight, 0.0, 0.02)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, coarse: Tensor, noise: Tensor) -> Tensor:
        noise = FAINT * noise
        maps = spread(self.coarse(torch.cat([coarse, noise], 1)))
        near = self.margin - 1
        grain = spread(inner(noise, near))  # each fine voxel has a number of its own
        details = self.last(self.fine(torch.cat([maps, grain], 1)))
        smooth = interpolate(inner(coarse, near), scale_factor=2, mode="trilinear", align_corners=False)
        made = inner(smooth, 2) + details
        return made + repeated(inner(coarse, self.margin) - halved(made))


def inner(volumes: Tensor, margin: int) -> Tensor:
    """Without so many voxels at each end."""
    depth, height, width = (slice(margin, side - margin) for side in volumes.shape[2:])
    return volumes[..., depth, height, width]


def spread(maps: Tensor) -> Tensor:
    """(B, 8 C, D, H, W) -> (B, C, 2 D, 2 H, 2 W): eight channels are the eight fine voxels of a place."""
    count, channels, *sides = maps.shape
    parts = maps.view(count, channels // 8, 2, 2, 2, *sides).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return parts.reshape(count, channels // 8, *(2 * side for side in sides))


class PatchDiscriminator(nn.Module):
    """Patches and, beside them, what they were made of, smoothly enlarged, (T, 1, n, n, n) each -> logits (T, places)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(2, width, 4, 2), nn.LeakyReLU(0.2),
            nn.Conv3d(width, 2 * width, 4, 2), nn.LeakyReLU(0.2),
            nn.Conv3d(2 * width, 2 * width, 2), nn.LeakyReLU(0.2),
            nn.Conv3d(2 * width, 1, 1),
        )  # fmt: skip

    def forward(self, patches: Tensor, coarse: Tensor) -> Tensor:
        return self.layers(torch.cat([patches - coarse, coarse], 1)).flatten(1)


def tiles(sides: tuple[int, ...], tile: int) -> Iterator[tuple[int, int, int]]:
    """Where cubes of `tile` begin that cover a volume of these sides, the last of each row flush with its end."""
    own = [[*range(0, max(1, side - tile), tile), max(0, side - tile)] for side in sides]
    yield from itertools.product(*(sorted(set(places)) for places in own))


@torch.no_grad()
def detailed(generator: DetailGenerator, coarse: Tensor, seed: Tensor, tile: int, at_once: int) -> Tensor:
    """Volumes (B, 1, D, H, W) with every side doubled, made cube by cube of `tile` coarse voxels. seed: (B,) int64, the world
    of noise of each. Memory beyond the result is that of `at_once` cubes, however large the volumes are."""
    sides = tuple(coarse.shape[2:])
    made = coarse.new_empty(len(coarse), 1, *(2 * side for side in sides))
    places = list(tiles(sides, tile))
    for row in range(len(coarse)):
        for first in range(0, len(places), at_once):
            some = places[first : first + at_once]
            starts = torch.tensor(some, device=coarse.device) - generator.margin
            rows = torch.full((len(some),), row, device=coarse.device)
            side = tile + 2 * generator.margin
            grain = lattice(seed[rows], starts, side).to(coarse.dtype)
            parts = generator(windows(coarse, rows, starts, side), grain)
            for part, place in zip(parts, some, strict=True):
                where = tuple(slice(2 * a, 2 * min(a + tile, side)) for a, side in zip(place, sides, strict=True))
                a, b, c = (own.stop - own.start for own in where)
                made[row, 0][where] = part[0, :a, :b, :c]
    return made
