"""Sound to mel spectrograms and back through a vocoder, of any length in pieces: each is given as many columns beside its own
as its samples depend on, so that the whole is what one pass over all of it would make, and no seam is heard.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Noise

PIECE = 2**18  # samples that are worked on together


def spectrogram(system: Any, sounds: Tensor) -> Tensor:
    """Sounds (B, C, T) -> (B, C, bands, columns), on the CPU."""
    transform, hop = system.mel, system.mel.settings.hop
    flat = transform.continued(sounds.flatten(0, 1).float().cpu())
    columns = (flat.shape[1] - transform.beyond) // hop
    made = torch.empty(len(flat), transform.settings.bands, columns)
    for rows, start, end in pieces_of(len(flat), columns, hop):
        part = flat[rows, start * hop : end * hop + transform.beyond]
        made[rows, :, start:end] = transform.columns(part.to(system.usual)).float().cpu()
    return made.unflatten(0, sounds.shape[:2])


def vocoded(system: Any, mels: Tensor, noise: Noise) -> Tensor:
    """Spectrograms (B, C, bands, columns) -> sounds (B, C, columns * hop), on the CPU.

    They are brought to the level that the system is used to, and what is made of them back: soft sounds are made as loud ones
    are. Channels are made one by one.
    """
    floor, hop, reach = math.log10(system.mel.settings.floor), system.mel.settings.hop, system.reach
    mels = mels.float().cpu()
    shift = system.usual.float().cpu() - mels.amax((1, 2, 3), keepdim=True)
    level = torch.where(mels <= floor, mels, (mels + shift).clamp(min=floor)).flatten(0, 1)  # silence stays silent
    columns = level.shape[2]
    made = torch.empty(len(level), columns * hop)
    for rows, start, end in pieces_of(len(level), columns, hop, 4 * reach):  # what is made twice is a half at most
        first, last = max(0, start - reach), min(columns, end + reach)
        wave = system.vocode(level[rows, :, first:last].to(system.usual), noise, first).float().cpu()
        made[rows, start * hop : end * hop] = wave[:, (start - first) * hop : (end - first) * hop]
    return made.unflatten(0, mels.shape[:2]) * 10 ** -shift[..., 0]


def pieces_of(rows: int, columns: int, hop: int, least: int = 16) -> list[tuple[slice, int, int]]:
    """(rows, first column, last) of pieces of about as many samples as are worked on together, of so many columns at least."""
    wide = max(least, PIECE // hop, 1)
    many = max(1, wide // max(1, columns))
    return [
        (slice(row, min(rows, row + many)), start, min(columns, start + wide))
        for row in range(0, rows, many)
        for start in range(0, columns, wide)
    ]
