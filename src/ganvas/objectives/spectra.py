"""How far the magnitudes of two sounds are from each other, at several resolutions of time and frequency at once.

Yamamoto, Song, Kim 2020, "Parallel WaveGAN" (arXiv 1910.11480), eq. 4 to 6. Phases do not count.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LEAST = 1e-4  # of a magnitude: what is softer counts as that soft


def magnitudes(waves: Tensor, window: int) -> Tensor:
    """Waves (N, T) -> (N, window / 2 + 1, columns), Hann windows of so many samples, a quarter of one from column to column.
    T must be above half a window."""
    shape = torch.hann_window(window, device=waves.device, dtype=waves.dtype)
    lines = torch.stft(waves, window, max(1, window // 4), window=shape, return_complex=True)
    power = torch.view_as_real(lines).square().sum(-1)
    return power.clamp(min=LEAST**2).sqrt()  # before the root: its slope at 0 has no bound


def stft_distances(made: Tensor, true: Tensor, windows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Waves (N, T) each -> two scalars, means over windows: spectral convergence, the norm of the difference as a share of the
    true one's, and the mean absolute difference of natural logarithms. Windows that the waves are too short for do not count,
    but for the shortest, which is cut to them."""
    fitting = [window for window in windows if window // 2 < true.shape[1]] or [true.shape[1]]
    convergence, logarithms = [], []
    for window in fitting:
        own, other = magnitudes(made, window), magnitudes(true, window)
        convergence.append((own - other).norm() / other.norm())
        logarithms.append((own.log() - other.log()).abs().mean())
    return torch.stack(convergence).mean(), torch.stack(logarithms).mean()
