"""The reader of attributes: right of real pictures it never saw, the same when trained again, and without a trace."""

from __future__ import annotations

import numpy as np
import torch

from ganvas.metrics.attributes import attribute_reader


def squares(count: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Pictures of a square, dark or light, at the left or the right of grey noise."""
    rng = np.random.default_rng(seed)
    side, tone = rng.integers(0, 2, count), rng.integers(0, 2, count)
    pixels = rng.integers(90, 170, (count, 16, 16, 1)).astype(np.uint8)
    for own, left, light in zip(pixels, side, tone, strict=True):
        own[5:11, 1 + 8 * left : 7 + 8 * left] = 235 if light else 15
    return pixels, {"side": side, "tone": tone}


def test_what_real_pictures_show_is_read_again_and_again_the_same() -> None:
    pictures, answers = squares(160, 0)
    unknown = {name: np.where(np.arange(160) % 4 == 0, -1, own) for name, own in answers.items()}
    before = torch.get_rng_state()
    reader = attribute_reader(pictures, unknown)
    assert torch.equal(torch.get_rng_state(), before)
    others, truth = squares(60, 1)
    read = reader(others)
    for name, own in truth.items():
        assert (read[name] == own).mean() > 0.9, name
    again = attribute_reader(pictures, unknown)(others)
    assert all((again[name] == read[name]).all() for name in read)
    deep = reader(others.astype(np.uint16) * 257)
    assert all((deep[name] == read[name]).all() for name in read), "16 bits show the same"


def test_wrong_answers_are_not_read_as_right() -> None:
    pictures, answers = squares(160, 0)
    swapped = answers | {"tone": 1 - answers["tone"]}
    others, truth = squares(60, 1)
    assert (attribute_reader(pictures, swapped)(others)["tone"] == truth["tone"]).mean() < 0.1
