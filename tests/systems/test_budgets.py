"""Presets `auto` choose by the budget: networks that minutes can train, wider ones for days."""

from __future__ import annotations

from typing import Any

import pytest

from ganvas.config import build_config
from ganvas.kinds.image.spec import ImageSpec
from ganvas.presets import Situation
from ganvas.registry import catalogue, load_system

SPEED = 30.0  # GFLOP/s of one core
WHY = {
    "gan": "perceptrons, whose rounds take milliseconds at any width",
    "anogan": "width 16 on a processor for every budget: wider ones were not tried",
    "cgan": "one width at every budget: others were not tried",
    "srgan": "small networks or the paper's, between which rounds decide, at a budget of its own",
}
"""Systems of images whose preset has one width for minutes and days, and why."""
IMAGES = [name for name, card in catalogue().items() if "image" in card.data and not card.fields]


def chosen(name: str, seconds: float | None, records: int = 600, side: int = 64) -> Any:
    """The configuration that the preset `auto` makes for grey images of two classes."""
    _, module, system_class = load_system(name)
    spec = ImageSpec(1, side, side, classes=("a", "b"))
    auto = module.PRESETS["auto"]  # type: ignore[attr-defined]
    values = auto(Situation(spec, records, seconds, SPEED, "cpu")) if callable(auto) else auto
    return build_config(system_class.Config, values)


@pytest.mark.parametrize("name", sorted(set(IMAGES) - set(WHY)))
def test_wider_networks_for_longer_budgets(name: str) -> None:
    widths = [chosen(name, seconds).width for seconds in (300.0, 3_600.0, 86_400.0, 864_000.0)]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_exceptions_are_exceptions() -> None:
    for name in WHY:
        assert chosen(name, 300.0).width == chosen(name, 864_000.0).width or name == "srgan"


def test_five_minutes_of_wgan_gp_are_hundreds_of_moves() -> None:
    """With the paper's five moves of the critic, batches of 64 and width 32 they were 92 rounds, worse than none."""
    short, long = chosen("wgan-gp", 300.0), chosen("wgan-gp", 864_000.0)
    work = 0.223 / 20**2 * short.width**2 * 1.2  # GFLOP for an image that is drawn
    rounds = 0.7 * SPEED * 300 / work / (short.batch_size * short.critic_turns)
    assert rounds > 600
    assert (long.critic_turns, long.batch_size, long.generator_learning_rate) == (5, 64, 1e-4)


def test_points_keep_their_perceptrons() -> None:
    from ganvas.kinds.points.spec import PointsSpec

    _, module, _ = load_system("wgan-gp")
    spec = PointsSpec(dimensions=2, centre=(0.0, 0.0))
    first, second = (
        module.PRESETS["auto"](Situation(spec, 1_000, seconds, 0.0, "cpu"))  # type: ignore[attr-defined]
        for seconds in (60.0, 1e6)
    )
    assert first == second
    assert first["width"] == 128
