"""How quickly sounds begin and die away. Not for pitches and spectra."""

from __future__ import annotations

import numpy as np

SMOOTH = 0.004  # seconds over which power is averaged
BEGUN, THERE = 0.01, 0.81  # of the greatest power, a tenth and nine tenths of the amplitude: between them lies the attack
LEFT = 0.01  # of the energy behind the loudest moment: when no more is left, a sound has died away, by 20 dB
SHORTEST = 0.001  # seconds; shorter ones cannot be told apart


def attacks_and_decays(waves: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """(attacks, decays) of waves (N, T), (N,) seconds each, a millisecond at least; of silence they mean nothing.

    attack: from a tenth to nine tenths of the greatest amplitude. decay: from the loudest moment until 1 % of the energy behind
    it is left (backward integration, Schroeder 1965), which noise and beats do not disturb as they do an envelope.
    """
    power = np.square(np.asarray(waves, np.float64))
    width = max(1, round(SMOOTH * rate))
    total = np.pad(power.cumsum(axis=1), ((0, 0), (width, 0)))
    smooth = (total[:, width:] - total[:, :-width])[:, : power.shape[1]]
    peak = smooth.max(axis=1, keepdims=True)
    loudest = smooth.argmax(axis=1)
    begun, there = ((smooth >= share * peak).argmax(axis=1) for share in (BEGUN, THERE))
    left = power[:, ::-1].cumsum(axis=1)[:, ::-1]  # energy from each sample on
    behind = np.take_along_axis(left, loudest[:, None], 1)
    places = np.arange(power.shape[1])
    gone = (left <= LEFT * behind) & (places >= loudest[:, None])
    end = np.where(gone.any(axis=1), gone.argmax(axis=1), power.shape[1])
    return np.maximum((there - begun) / rate, SHORTEST), np.maximum((end - loudest) / rate, SHORTEST)
