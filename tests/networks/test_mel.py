"""Griffin-Lim without complex numbers, as graphs have it, is Griffin-Lim."""

from __future__ import annotations

import math

import pytest
import torch

from ganvas.borders import Border, listening
from ganvas.networks.mel import Mel, MelSettings, fourier_tables, griffin_lim, real_griffin_lim


def a_sound() -> tuple[Mel, torch.Tensor, torch.Tensor]:
    """(the transform, magnitudes of two tones in hiss, random phases)."""
    transform = Mel(MelSettings(8000, 32, 128, 20, 0.0, 4000.0))
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(2048) / 8000
    waves = torch.stack([(2 * math.pi * hertz * times).sin() for hertz in (300.0, 710.0)])
    waves = waves + 0.05 * torch.randn(waves.shape, generator=generator)
    magnitudes = transform.lines(transform.continued(waves)).abs()
    return transform, magnitudes, 2 * math.pi * torch.rand(magnitudes.shape, generator=generator)


def test_it_is_the_same_without_complex_numbers() -> None:
    transform, magnitudes, phase = a_sound()
    tables = fourier_tables(transform)
    for rounds in (0, 1, 4):
        own = real_griffin_lim(transform, tables, magnitudes, phase, rounds, 0.99)
        true = griffin_lim(transform, magnitudes, phase, rounds)
        assert own.shape == true.shape == (2, 2048)
        assert (own - true).abs().max() < 1e-5 * true.abs().max(), rounds
    assert (real_griffin_lim(transform, tables, magnitudes, phase, 3, 0.99) - true).abs().max() > 0.1  # rounds count
    # Each round makes more of what rounding did before, here and there.
    own, true = real_griffin_lim(transform, tables, magnitudes, phase, 48, 0.99), griffin_lim(transform, magnitudes, phase, 48)
    assert (own - true).abs().mean() < 1e-3 * true.abs().mean()


def test_where_nothing_is_the_phase_is_nothing() -> None:
    transform, magnitudes, phase = a_sound()
    made = real_griffin_lim(transform, fourier_tables(transform), torch.zeros_like(magnitudes), phase, 3, 0.99)
    assert torch.equal(made, torch.zeros_like(made))


@pytest.mark.parametrize(("rounds", "room"), [(2, 0.0), (48, 0.01)])
def test_many_rounds_say_that_they_magnify_rounding(rounds: int, room: float) -> None:
    """The graph of a trained vocoder was refused for a difference of 0.0012."""
    transform = Mel(MelSettings(8000, 64, 256, 20, 0.0, 4000.0))
    with listening(Border()) as border:
        griffin_lim(transform, torch.rand(1, 129, 12), torch.rand(1, 129, 12), rounds)
    assert border.room == room
