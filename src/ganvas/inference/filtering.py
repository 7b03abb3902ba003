"""Sound filtered by differences of spectrograms, of any length in pieces without seams: each band made louder or softer from
moment to moment, the course of the waves kept. Not for making sound of spectrograms (`vocoding`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from ..borders import brought, finished
from .vocoding import pieces_of, spectrogram

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Noise

Change = Callable[["Tensor", "Tensor"], "Tensor"]
"""Spectrograms (N, bands, columns) at the usual level, noise (N, latents, columns) -> differences (N, bands, columns)."""


def changed(system: Any, sounds: Tensor, change: Change, noise: Noise) -> Tensor:
    """Sounds (B, C, T), filtered by the differences that `change` makes of their spectrograms. On the CPU."""
    mels = brought("mel", spectrogram, system, sounds)
    return finished(filtered, {"change": differences(system, mels, change, noise)}, system.mel, sounds)


def differences(system: Any, mels: Tensor, change: Change, noise: Noise) -> Tensor:
    """Of spectrograms (B, C, bands, columns) of any level, of which each file (B) is brought to the one that is usual. Noise
    belongs to a column of the whole, and each piece is given as many columns beside its own as it depends on."""
    level = (mels - mels.amax((1, 2, 3), keepdim=True)).flatten(0, 1)
    drawn = noise.normal(len(level), system.latents, level.shape[2]).float().cpu()
    made = torch.empty_like(level)
    for rows, start, end in pieces_of(len(level), level.shape[2], system.mel.settings.hop, 4 * system.reach):
        first, last = max(0, start - system.reach), min(level.shape[2], end + system.reach)
        part, own = (whole[rows, :, first:last].to(system.usual) for whole in (level, drawn))
        made[rows, :, start:end] = change(part + system.usual, own).float().cpu()[:, :, start - first : end - first]
    return made.unflatten(0, mels.shape[:2])


def filtered(change: Tensor, transform: Any, sounds: Tensor) -> Tensor:
    """Sounds (B, C, T), filtered by differences (B, C, bands, columns) of log10 of magnitudes; lines between bands lie in
    between."""
    own, filters = transform.settings, transform.filters
    share = shares(filters)
    flat, level = transform.continued(sounds.flatten(0, 1).float().cpu()), change.flatten(0, 1)
    made = torch.empty(len(flat), level.shape[2] * own.hop)
    before, beside = transform.beyond // 2, -(-own.window // own.hop)
    for rows, start, end in pieces_of(len(flat), level.shape[2], own.hop):
        first, last = max(0, start - beside), min(level.shape[2], end + beside)
        lines = transform.lines(flat[rows, first * own.hop : last * own.hop + transform.beyond].to(filters))
        gains = 10 ** torch.matmul(share, level[rows, :, first:last].to(filters))
        wave = transform.sounds(lines * gains).float().cpu()[:, before + (start - first) * own.hop :]
        made[rows, start * own.hop : end * own.hop] = wave[:, : (end - start) * own.hop]
    return made.unflatten(0, sounds.shape[:2])[..., : sounds.shape[2]]


def shares(filters: Tensor) -> Tensor:
    """(lines, bands) of filters (bands, lines): what a line has of each band, 1 together; beyond the bands of the nearest."""
    whole = filters.sum(0)
    covered = (whole > 0).nonzero()[:, 0]
    nearest = torch.arange(len(whole), device=filters.device).clamp(int(covered[0]), int(covered[-1]))
    return (filters / whole.clamp(min=1e-12))[:, nearest].T
