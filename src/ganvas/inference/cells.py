"""Fields of noise for images of any size, and the images, made of them in windows.

For generators without borders: what a place shows depends on cells near it alone (`networks.psgan`). Not for networks that see
whole images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..batches import Noise

WINDOW = 512  # pixels of a side that are made at once


@dataclass
class Field:
    """Noise of rows x columns cells, and `halo` more at each end; any window of it is told.

    local: (B, L, rows + 2 halo, columns + 2 halo), or, where it is endless, (B, L, rows, columns). styles: (B, K, S), K of them
    side by side, each going over into the next; where the field is endless, the last into the first. numbers: (B, K, W, 2)
    wave numbers, radians a cell down and across, or None; phases: (B, W).
    """

    local: Tensor
    styles: Tensor
    numbers: Tensor | None
    phases: Tensor | None
    rows: int
    columns: int
    halo: int
    endless: bool

    @classmethod
    def drawn(
        cls, noise: Noise, rows: int, columns: int, local: int, styles: Tensor, numbers: Tensor | None, *, halo: int,
        endless: bool = False,
    ) -> Field:  # fmt: skip
        """Local noise and phases from `noise`. An endless field wraps around: its wave numbers are the nearest ones of which a
        whole number of periods fills it."""
        count, beyond = len(styles), 0 if endless else 2 * halo
        drawn = noise.uniform(count, local, rows + beyond, columns + beyond) * 2 - 1
        phases = None
        if numbers is not None:
            phases = noise.uniform(count, numbers.shape[2]) * (2 * math.pi)
            if endless:
                turn = 2 * math.pi / torch.tensor([rows, columns], device=numbers.device, dtype=numbers.dtype)
                numbers = (numbers / turn).round() * turn
        return cls(drawn, styles, numbers, phases, rows, columns, halo, endless)

    def window(self, top: int, left: int, rows: int, columns: int) -> Tensor:
        """(B, L + S + W, rows + 2 halo, columns + 2 halo): the cells from (top, left) on, and those around them."""
        device, kind = self.local.device, self.local.dtype
        down = torch.arange(top - self.halo, top + rows + self.halo, device=device)
        across = torch.arange(left - self.halo, left + columns + self.halo, device=device)
        if self.endless:
            local = self.local[:, :, down % self.rows][:, :, :, across % self.columns]
        else:
            local = self.local[:, :, top : top + rows + 2 * self.halo, left : left + columns + 2 * self.halo]
        shares = self._shares(across.to(kind))  # (columns, K)
        parts = [local, torch.einsum("xk,bks->bsx", shares, self.styles)[:, :, None].expand(-1, -1, len(down), -1)]
        if self.numbers is not None and self.phases is not None:
            # Waves of each style, and then their mean: numbers that change along the way would bend waves far from the start.
            angle = self.numbers[..., 0, None, None] * down.to(kind)[:, None] + self.numbers[..., 1, None, None] * across.to(
                kind
            )
            waves = (angle + self.phases[:, None, :, None, None]).sin()  # (B, K, W, rows, columns)
            parts.append(torch.einsum("xk,bkwyx->bwyx", shares, waves))
        return torch.cat(parts, 1)

    def _shares(self, across: Tensor) -> Tensor:
        """(columns, K) from 0 to 1: which styles columns of cells are of."""
        count = self.styles.shape[1]
        if count == 1:
            return torch.ones(len(across), 1, device=across.device, dtype=across.dtype)
        spots = torch.arange(count, device=across.device, dtype=across.dtype)
        if self.endless:
            gap = (across[:, None] * (count / self.columns) - spots) % count
            gap = torch.minimum(gap, count - gap)
        else:
            gap = (across[:, None].clamp(0, self.columns - 1) * ((count - 1) / max(1, self.columns - 1)) - spots).abs()
        share = (1 - gap).clamp(0, 1)
        return share * share * (3 - 2 * share)  # still at the styles themselves; the shares of a column sum to 1


def painted(field: Field, generator: Callable[[Tensor], Tensor], grain: int, channels: int, window: int = WINDOW) -> Tensor:
    """The image (B, channels, rows * grain, columns * grain) of a field, on the CPU, window by window.

    generator: cells of `Field.window` -> (B, channels, rows * grain, columns * grain) of the same window, without its halo.
    """
    made = torch.empty(len(field.local), channels, field.rows * grain, field.columns * grain)
    step = max(1, window // grain)
    for top in range(0, field.rows, step):
        for left in range(0, field.columns, step):
            rows, columns = min(step, field.rows - top), min(step, field.columns - left)
            part = generator(field.window(top, left, rows, columns)).float().cpu()
            made[:, :, top * grain : (top + rows) * grain, left * grain : (left + columns) * grain] = part
    return made
