"""The networks of the GAN postfilter (Kaneko et al. 2017), on mel-cepstra as maps of coefficients by time; and the transform by
which cepstra are had of spectrograms."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, interpolate, pad

KERNEL = 5
NEARBY = 63  # columns of the mean about which coefficients are stretched, and movements added: half a second
TURNS = 4  # orders of the coefficients of a noise
STEADY = 1000  # batches of which variances are the mean


class AcousticModel(nn.Module):
    """Cepstra (N, order, T) as they are to be expected of few numbers for every stretch, which it finds: in the place of what a
    synthesiser knows of a text."""

    def __init__(self, order: int, numbers: int, stretch: int, width: int) -> None:
        super().__init__()
        self.stretch, self.reach = stretch, 4 * stretch + 3 * KERNEL
        self.tell = nn.Sequential(
            nn.Conv1d(order, width, KERNEL, padding=KERNEL // 2), nn.ReLU(), nn.Conv1d(width, numbers, stretch, stride=stretch)
        )
        self.expect = nn.Sequential(
            nn.Conv1d(numbers, width, KERNEL, padding=KERNEL // 2), nn.ReLU(),
            nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2), nn.ReLU(), nn.Conv1d(width, order, 1),
        )  # fmt: skip

    def forward(self, cepstra: Tensor) -> Tensor:
        length = cepstra.shape[2]
        told = self.tell(pad(cepstra, (0, -length % self.stretch), mode="replicate"))
        made: Tensor = self.expect(interpolate(told, scale_factor=self.stretch, mode="linear"))
        return made[:, :, :length]


class Widening(nn.Module):
    """Cepstra (N, order, T), stretched about their mean of the moments nearby until they move as much as natural ones do, or by
    the power `share` of that factor; loud moments count more. The first `kept` coefficients pass. Variances within pieces are
    learnt as means over batches."""

    moves: Tensor
    compared: Tensor

    def __init__(self, order: int, kept: int, share: float = 1.0) -> None:
        super().__init__()
        self.kept, self.share, self.reach = kept, share, NEARBY // 2
        self.register_buffer("moves", torch.ones(2, order, 1))  # of natural and of dull pieces
        self.register_buffer("compared", torch.zeros(()))  # batches that these are the means of

    def learn(self, natural: Tensor, dull: Tensor) -> Tensor:
        """Compare pieces with the dull ones in their place, and stretch these."""
        loud = loudness(natural)
        whole = loud.sum(2, keepdim=True)
        apart = [own - (own * loud).sum(2, keepdim=True) / whole for own in (natural, dull)]
        found = torch.stack([((own.square() * loud).sum(2, keepdim=True) / whole).mean(0) for own in apart])
        self.moves += (found - self.moves) / (self.compared + 1).clamp(max=STEADY)
        self.compared += 1
        stretched: Tensor = self(dull)
        return stretched

    def forward(self, cepstra: Tensor) -> Tensor:
        ratio = (self.moves[0] / self.moves[1].clamp(min=1e-6)).sqrt() ** self.share
        ratio = torch.cat([torch.ones_like(ratio[: self.kept]), ratio[self.kept :]])
        middle = slow(cepstra, loudness(cepstra))
        return middle + ratio * (cepstra - middle)


def loudness(cepstra: Tensor) -> Tensor:
    """(N, 1, T), from 0 to 1: how far each moment of cepstra (N, order, T) is from silence, by the first coefficient."""
    return (2 * cepstra[:, :1]).sigmoid()


def slow(values: Tensor, loud: Tensor) -> Tensor:
    """Means (N, C, T) over the moments nearby, fewer at the ends; loud ones, of (N, 1, T), count more."""
    total, whole = (avg_pool1d(own, NEARBY, 1, NEARBY // 2, count_include_pad=False) for own in (values * loud, loud))
    return total / whole


def others(noise: Tensor) -> list[Tensor]:
    """Further noises of one (N, order, T): its coefficients in another order and of the other sign, so that what is drawn for a
    column of a whole is all that a piece of it needs."""
    order = noise.shape[1]
    turned = [noise.roll(turn * order // TURNS, 1) for turn in range(TURNS)]
    return [*turned[1:], *(-own for own in turned)]


class Postfilter(nn.Module):
    """y + g(y, z): cepstra y and noise z (N, order, T) -> (N, order, T). Each convolution but the first is given y again.
    Where `centred`, g is without its mean of moments nearby."""

    def __init__(self, width: int, layers: int, kept: int, centred: bool = False) -> None:
        super().__init__()
        self.kept, self.centred = kept, centred
        self.reach = layers * (KERNEL // 2) + (NEARBY // 2 if centred else 0)
        self.layers = nn.ModuleList(
            nn.Conv2d(2 if k == 0 else width + 1, 1 if k == layers - 1 else width, KERNEL, padding=KERNEL // 2)
            for k in range(layers)
        )

    def forward(self, cepstra: Tensor, noise: Tensor) -> Tensor:
        given = cepstra[:, None]
        made = noise[:, None]
        for k, layer in enumerate(self.layers):
            made = layer(torch.cat([given, made], 1))
            made = made.relu() if k < len(self.layers) - 1 else made
        added = pad(made[:, 0, self.kept :], (0, 0, self.kept, 0))
        return cepstra + (added - slow(added, loudness(cepstra)) if self.centred else added)


class Judge(nn.Module):
    """Cepstra, and those they were made of (N, order, T) -> logits (N, places), one for each stretch of time."""

    def __init__(self, order: int, width: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        widths = [3, width, 2 * width, 4 * width]
        for before, after in pairwise(widths):
            parts += [nn.Conv2d(before, after, KERNEL, stride=2, padding=KERNEL // 2), nn.LeakyReLU(0.2)]
            order = (order + 1) // 2
        self.layers = nn.Sequential(*parts, nn.Conv2d(4 * width, 1, (order, 3), padding=(0, 1)))

    def forward(self, cepstra: Tensor, given: Tensor) -> Tensor:
        place = torch.linspace(-1, 1, cepstra.shape[1], device=cepstra.device, dtype=cepstra.dtype)[None, :, None]
        found: Tensor = self.layers(torch.stack([cepstra, given, place.expand_as(given)], 1))
        return found.flatten(1)


def cosine_transform(size: int) -> Tensor:
    """(size, size) orthonormal, the slowest cosine first (DCT-II)."""
    places = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(math.pi / size * places[:, None] * (places + 0.5)) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows.float()
