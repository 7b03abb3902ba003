"""The networks of MidiNet (Yang et al. 2017, arXiv 1703.10847): bars as pictures of one line, steps of time by rows.

The paper's maps are one pitch wide between its first layer and its last, so that its convolutions run along time alone; here
they are written so. Chords are planes over the steps of a bar, and may change within it, else that is the paper's.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, one_hot, pad, softplus

from ganvas.kinds.tune.chords import COUNT, chroma, moved, roots
from ganvas.kinds.tune.spec import CHORDS, FIRST, HOLD, MELODY, REST

CHORD_PLANES = 24  # notes of the chord, and its root
SIZES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0)  # semitones, to which leaps are near or not
BESIDE = 15 + len(SIZES)  # planes beside a bar that D sees: 12 notes, in the chord, height, leap, its size
NEAR, QUICK = 150.0, 10.0  # how unlikely a pitch is an octave from the course, at the start; and how fast that is learnt
PACE = 3.0  # by which choices are made surer of the same weights: seldom ones are learnt in time
HELD = 1.5  # of going on, at the start, as likely as all that may begin near the course
AGAIN = 2.0  # how much noise has a say, at the start, in whether a whole bar is taken over
COPIED = 3.0  # by which a wide open gate puts an earlier choice before all others
LEAP = 12  # semitones, up and down, that are told apart
OUTSIDE = 6  # semitones beyond the data's range that a tune in another key may need
MAJOR = (1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0)


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
    """G and C. It draws a course through the bar, near which pitches lie, and may take over what earlier bars did.

    latents (B, latent), chords (B, CHORD_PLANES, S), earlier bars (B, ..., S) -> logits (B, rows, S) of a bar. lowest: pitch of
    the row behind the first two. A pitch is as likely as its note is in any octave, and as the course is near: it has no other
    choice than to go from note to note as the course does. With `leaps` it says besides, for each step, how likely every leap
    (B, 2 LEAP + 1, S) from the note before is, whichever that will be: `following`.
    """

    heights: Tensor
    places: Tensor

    def __init__(
        self, latent: int, rows: int, back: int, steps: int, maps: int, before_maps: int, lowest: int, leaps: bool = False
    ) -> None:  # fmt: skip
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
        self.last = nn.Sequential(nn.Conv1d(maps + told, maps, 3, padding=1), nn.ReLU())
        self.kinds = nn.Conv1d(maps, 2 + 12, 1)  # silence, going on, and the twelve notes without their octaves
        self.gates, self.whole = nn.Conv1d(maps, back, 1), nn.Linear(latent, back)
        self.course = nn.Conv1d(maps, 1, 3, padding=1)
        self.near = nn.Parameter(torch.tensor(math.log(NEAR) / QUICK))
        self.register_buffer("heights", heights_of(rows), persistent=False)
        self.register_buffer(
            "places", torch.cat([torch.arange(2), 2 + (torch.arange(rows - 2) + lowest) % 12]), persistent=False
        )
        with torch.no_grad():
            self.kinds.get_parameter("bias")[HOLD] = HELD / PACE
            self.whole.weight.normal_(std=AGAIN / math.sqrt(latent))
            self.whole.bias.fill_(-1.0)
        self.leaps = nn.Conv1d(maps, 2 * LEAP + 1, 1) if leaps else None
        if self.leaps is not None:
            with torch.no_grad():
                self.leaps.weight.mul_(0.1)  # none is likelier at the start
                self.leaps.get_parameter("bias").zero_()

    def forward(self, latents: Tensor, chords: Tensor, before: Tensor) -> tuple[Tensor, Tensor | None]:
        seen = self.conditioner(before)
        planes = pooled(chords, len(self.grow))
        made = self.begin(torch.cat([latents, planes[-1].flatten(1)], 1)).view(len(latents), -1, self.coarse)
        for layer in self.grow:
            made = layer(torch.cat([made, planes.pop(), seen.pop()], 1))
        made = self.last(torch.cat([made, planes.pop(), seen.pop()], 1))
        wide = softplus(self.gates(made) + self.whole(latents)[:, :, None])[:, :, None]
        taken = wide * choices(before.unflatten(1, (self.gates.out_channels, -1)))
        far = (QUICK * self.near).exp() * (self.heights[:, None] - (2 * self.course(made))).square()
        logits: Tensor = (PACE * self.kinds(made))[:, self.places] + COPIED * taken.sum(1) - pad(far, (0, 0, 2, 0))
        return logits, None if self.leaps is None else PACE * self.leaps(made)


def heights_of(rows: int) -> Tensor:
    """Octaves above the middle of each pitch's row."""
    return (torch.arange(rows - 2) - (rows - 3) / 2) / 12


def following(leaps: Tensor, pitches: int) -> Tensor:
    """(B, to, from, S): what each pitch gains at each step from the one that sounded last, for all steps at once.

    leaps: (B, 2 LEAP + 1, S), how likely it is to go down by LEAP semitones, ..., to stay, ..., to go up by LEAP; what is
    farther gains nothing.
    """
    places = torch.arange(pitches, device=leaps.device)
    far = (places[:, None] - places).clamp(-LEAP - 1, LEAP + 1) + LEAP + 1
    return pad(leaps, (0, 0, 1, 1)).index_select(1, far.flatten()).unflatten(1, far.shape)


def choices(pictures: Tensor) -> Tensor:
    """What was done at each step of pictures (..., rows, S): silence, going on, and the pitches that begin."""
    silent, begins, heard = pictures[..., :1, :], pictures[..., 1:2, :], pictures[..., 2:, :]
    return torch.cat([silent, (heard.sum(-2, keepdim=True) - begins).clamp(min=0), heard * begins], -2)


class Judge(nn.Module):
    """Bars (B, rows, S), chords, earlier bars -> logits (B,), planes (B, ..., S), features (B, maps, S) of the first layer.

    lowest: pitch of the row behind the first two, which are silence and beginnings. What takes long to find out of rows stands
    beside them: notes without their octaves, which of them are in the chord, how high they are, how far from step to step,
    and where the bar does as an earlier one did.
    """

    notes: Tensor
    heights: Tensor
    sizes: Tensor

    def __init__(self, rows: int, back: int, steps: int, maps: int, lowest: int) -> None:
        super().__init__()
        levels = levels_of(steps)
        self.back = back
        self.register_buffer("notes", torch.eye(12).roll(lowest, 1).repeat(11, 1)[: rows - 2], persistent=False)
        self.register_buffer("heights", heights_of(rows), persistent=False)
        self.register_buffer("sizes", torch.tensor(SIZES), persistent=False)
        planes = rows * (1 + back) + CHORD_PLANES + BESIDE + 2 * back
        self.first = nn.Sequential(nn.Conv1d(planes, maps, 3, padding=1), nn.LeakyReLU(0.2))
        inner: list[nn.Module] = []
        for level in range(levels):
            own, more = (maps * 2 ** min(k, 2) for k in (level, level + 1))
            inner += [nn.Conv1d(own, more, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        flat = maps * 2 ** min(levels, 2) * (steps // 2**levels)
        self.rest = nn.Sequential(*inner, nn.Flatten(), nn.Linear(flat, 4 * maps), nn.LeakyReLU(0.2), nn.Linear(4 * maps, 1))

    def forward(self, bars: Tensor, chords: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        heard = bars[:, 2:]
        notes = torch.einsum("bps,pn->bns", heard, self.notes)
        inside = (notes * chords[:, :12]).sum(1, keepdim=True)
        height = torch.einsum("bps,p->bs", heard, self.heights)[:, None]
        sounds = heard.sum(1, keepdim=True)
        leap = 12 * pad(height[..., 1:] - height[..., :-1], (1, 0))
        near = (-(leap.abs() - self.sizes[:, None]).square()).exp() * bars[:, 1:2] * pad(sounds[..., :-1], (1, 0))
        given = [bars, notes, inside, height, leap / 4, near, chords]
        if before is not None and self.back:
            earlier = before.unflatten(1, (self.back, -1))
            given += [before, (earlier[:, :, 2:] * heard[:, None]).sum(2), earlier[:, :, 1] * bars[:, None, 1]]
        planes = torch.cat(given, 1)
        features = self.first(planes)
        return self.rest(features)[:, 0], planes, features


def pooled(planes: Tensor, levels: int) -> list[Tensor]:
    """Planes (B, C, S) at S, S / 2 ... steps."""
    found = [planes]
    for _ in range(levels):
        found.append(avg_pool1d(found[-1], 2))
    return found


class Bars(nn.Module):
    """Codes of tunes as pictures and back. low, high: pitches of the data. moves: whether tunes come into C by their chords.

    A picture has a row for silence, one for beginnings, and one a pitch from `lowest` on.
    """

    planes: Tensor
    higher: Tensor
    scales: Tensor

    def __init__(self, low: int, high: int, moves: bool) -> None:
        super().__init__()
        self.moves, self.lowest = moves, max(0, low - OUTSIDE)
        self.rows = FIRST + min(127, high + OUTSIDE) - self.lowest + 1
        planes = torch.cat([torch.from_numpy(chroma()), torch.from_numpy(roots())], 1)
        self.register_buffer("planes", planes, persistent=False)  # (chords, notes and root)
        higher = torch.stack([torch.from_numpy(moved(np.arange(COUNT), shift)) for shift in range(12)])
        self.register_buffer("higher", higher, persistent=False)  # (semitones, chords)
        scales = torch.stack([torch.tensor(MAJOR).roll(key) for key in range(12)], 1)
        self.register_buffer("scales", scales, persistent=False)  # (notes, keys)

    def common(self, tunes: Tensor) -> tuple[Tensor, Tensor]:
        """Tunes (B, 2, T) moved by shift (B,) semitones, -6 to 5, into C by their chords, or left as they are."""
        shift = torch.zeros(len(tunes), dtype=torch.int64, device=tunes.device)
        if self.moves:
            # the scale that holds the chords' notes, of several the one whose first and fifth degree are their roots
            notes, chords = self.planes[tunes[:, CHORDS]].sum(1).split(12, 1)
            likely = notes @ self.scales + 0.5 * (chords + 0.5 * chords.roll(-7, 1))
            shift = (6 - likely.argmax(1)) % 12 - 6
        melody = tunes[:, MELODY]
        higher = torch.where(melody >= FIRST, melody + shift[:, None], melody)
        return torch.stack([higher, self.shifted(tunes[:, CHORDS], shift)], 1), shift

    def shifted(self, chords: Tensor, shift: Tensor) -> Tensor:
        return self.higher[(shift % 12)[:, None], chords]

    def chord_planes(self, chords: Tensor) -> Tensor:
        """(B, CHORD_PLANES, T) of chords (B, T)."""
        return self.planes[chords].transpose(1, 2).to(self.planes.dtype)

    def pictures(self, melody: Tensor) -> Tensor:
        """(B, rows, T) of a melody's codes (B, T), as `_played` has them."""
        rows = torch.where(melody >= FIRST, (melody - self.lowest).clamp(FIRST, self.rows - 1), melody)
        steps = torch.arange(melody.shape[1], device=melody.device).expand_as(melody)
        since = torch.where(melody == HOLD, -1, steps).cummax(1).values
        heard = torch.where(since < 0, REST, rows.gather(1, since.clamp(min=0)))
        pictures = one_hot(heard, self.rows).transpose(1, 2).to(self.planes.dtype)
        pictures[:, HOLD] = (melody >= FIRST).to(pictures.dtype)
        return pictures

    def played(self, shares: Tensor, last: Tensor) -> Tensor:
        """Pictures of shares (B, rows, S) of what each step does: silence, a note begins, and the pitches that sound."""
        sounding = []
        for step in shares.unbind(2):
            last = step[:, FIRST:] + step[:, HOLD : HOLD + 1] * last
            sounding.append(last)
        heard = torch.stack(sounding, 2)
        begins = shares[:, FIRST:].sum(1, keepdim=True)
        return torch.cat([1 - heard.sum(1, keepdim=True), begins, heard], 1)

    def codes(self, rows: Tensor, shift: Tensor) -> Tensor:
        """Codes (B, T) of rows, as many semitones lower as they were moved up; what holds nothing is silence."""
        codes = torch.where(rows >= FIRST, (rows + self.lowest - shift[:, None]).clamp(FIRST, FIRST + 127), rows)
        silent = torch.ones(len(codes), dtype=torch.bool, device=codes.device)
        settled = []
        for own in codes.unbind(1):
            silent = (own == REST) | ((own == HOLD) & silent)
            settled.append(torch.where(silent, torch.full_like(own, REST), own))
        return torch.stack(settled, 1)
