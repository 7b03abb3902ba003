"""The networks of MidiNet (Yang et al. 2017, arXiv 1703.10847): bars as pictures of one line, steps of time by rows.

The paper's maps are one pitch wide between its first layer and its last, so that its convolutions run along time alone; here
they are written so. Chords are planes over the steps of a bar, and may change within it, else that is the paper's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d

CHORD_PLANES = 24  # notes of the chord, and its root


def levels_of(steps: int) -> int:
    """How often a bar of so many steps is halved: three times at most, and to two steps at least."""
    count = 0
    while count < 3 and steps % 2 == 0 and steps > 3:
        steps, count = steps // 2, count + 1
    return count


class Conditioner(nn.Module):
    """Earlier bars (B, rows of all of them, S) -> features (B, maps, ...) at S, S / 2, S / 4 ... steps."""

    def __init__(self, rows: int, maps: int, levels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(rows, maps, 1), nn.BatchNorm1d(maps), nn.LeakyReLU(0.2))
        self.halve = nn.ModuleList(
            nn.Sequential(nn.Conv1d(maps, maps, 2, stride=2), nn.BatchNorm1d(maps), nn.LeakyReLU(0.2)) for _ in range(levels)
        )

    def forward(self, before: Tensor) -> list[Tensor]:
        found = [self.first(before)]
        for layer in self.halve:
            found.append(layer(found[-1]))
        return found


class Writer(nn.Module):
    """G and C: latents (B, latent), chords (B, CHORD_PLANES, S), earlier bars (B, ..., S) -> logits (B, rows, S) of a bar."""

    def __init__(self, latent: int, rows: int, back: int, steps: int, maps: int, before_maps: int) -> None:
        super().__init__()
        levels = levels_of(steps)
        self.coarse = steps // 2**levels
        self.conditioner = Conditioner(back * rows, before_maps, levels)
        told = CHORD_PLANES + before_maps
        self.begin = nn.Sequential(
            nn.Linear(latent + CHORD_PLANES * self.coarse, 4 * maps), nn.BatchNorm1d(4 * maps), nn.ReLU(),
            nn.Linear(4 * maps, maps * self.coarse), nn.ReLU(),
        )  # fmt: skip
        self.grow = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose1d(maps + told, maps, 2, stride=2), nn.BatchNorm1d(maps), nn.ReLU())
            for _ in range(levels)
        )
        self.last = nn.Sequential(nn.Conv1d(maps + told, maps, 3, padding=1), nn.ReLU(), nn.Conv1d(maps, rows, 1))

    def forward(self, latents: Tensor, chords: Tensor, before: Tensor) -> Tensor:
        seen = self.conditioner(before)
        planes = pooled(chords, len(self.grow))
        made = self.begin(torch.cat([latents, planes[-1].flatten(1)], 1)).view(len(latents), -1, self.coarse)
        for layer in self.grow:
            made = layer(torch.cat([made, planes.pop(), seen.pop()], 1))
        logits: Tensor = self.last(torch.cat([made, planes.pop(), seen.pop()], 1))
        return logits


class Judge(nn.Module):
    """Bars (B, rows, S), chords, earlier bars -> logits (B,) and features (B, maps, S) of the first layer."""

    def __init__(self, rows: int, back: int, steps: int, maps: int) -> None:
        super().__init__()
        levels = levels_of(steps)
        self.first = nn.Sequential(nn.Conv1d(rows * (1 + back) + CHORD_PLANES, maps, 3, padding=1), nn.LeakyReLU(0.2))
        inner: list[nn.Module] = []
        for level in range(levels):
            own, more = (maps * 2 ** min(k, 2) for k in (level, level + 1))
            inner += [nn.Conv1d(own, more, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        flat = maps * 2 ** min(levels, 2) * (steps // 2**levels)
        self.rest = nn.Sequential(*inner, nn.Flatten(), nn.Linear(flat, 4 * maps), nn.LeakyReLU(0.2), nn.Linear(4 * maps, 1))

    def forward(self, bars: Tensor, chords: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        features = self.first(torch.cat([bars, chords] if before is None else [bars, chords, before], 1))
        return self.rest(features)[:, 0], features


def pooled(planes: Tensor, levels: int) -> list[Tensor]:
    """Planes (B, C, S) at S, S / 2 ... steps."""
    found = [planes]
    for _ in range(levels):
        found.append(avg_pool1d(found[-1], 2))
    return found
