"""What loss terms and gradient norms tell, on synthetic traces with and without the fault."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from ganvas.config import build_config
from ganvas.health.losses import LEARNING, Balance, Losses, Rise, Slopes, cross_entropies
from ganvas.kinds.image.spec import ImageSpec
from ganvas.registry import load_system

CHANCE = 2 * math.log(2)


@dataclass
class Heard:
    """A report, as the Engine makes it."""

    round: int
    series: dict[str, list[float]]
    norms: dict[str, float] = field(default_factory=dict)


def trace(level: float, count: int, seed: int = 0) -> list[float]:
    """Losses about a level, as they scatter."""
    return list(level * np.exp(0.3 * np.random.default_rng(seed).standard_normal(count)))


def kinds(balance: Balance, values: list[float], total: int | None = None, start: int = 0) -> dict[str, int]:
    """Findings by kind, with the round in which they were made."""
    found: dict[str, int] = {}
    for number, value in enumerate(values, start + 1):
        for kind, _, _ in balance.take(value, number, number / total if total else 0.0):
            found.setdefault(kind, number)
    return found


def small(name: str) -> Any:
    system: Any = load_system(name)[2]
    spec = ImageSpec(channels=1, height=16, width=16, classes=("a", "b"))
    return system(spec, build_config(system.Config, {"width": 4}))


@pytest.mark.parametrize(
    ("name", "players"), [("dcgan", ("discriminator",)), ("cgan", ("discriminator",)), ("lsgan", ()), ("wgan-gp", ())]
)
def test_a_system_says_by_its_objective_whether_its_terms_are_cross_entropies(name: str, players: tuple[str, ...]) -> None:
    assert cross_entropies(small(name)) == players


def test_a_healthy_game_raises_nothing() -> None:
    for seed, level in enumerate((0.4, 0.7, 1.1, CHANCE)):
        balance = Balance("discriminator")
        assert kinds(balance, trace(level, 1000, seed), 1000) == {}
        assert balance.t0 == 50


def test_the_opening_ends_where_the_median_stays_above_a_quarter_of_chance() -> None:
    balance = Balance("discriminator")
    values = [0.1] * 120 + [0.6] * 30 + [0.1] * 100 + [0.6] * 200  # thirty rounds are not enough to stay
    kinds(balance, values)
    assert balance.t0 is not None
    assert 251 + 24 <= balance.t0 <= 251 + 26  # half of the window lies in the new level
    assert abs(LEARNING - 0.25 * 2 * 0.6931) < 1e-3


def test_weighted_terms_are_measured_by_the_loss_of_a_discriminator_that_guesses() -> None:
    """pix2pix halves D's objective: a healthy game of it lies near ln 2, not 2 ln 2."""
    values = trace(0.45 * CHANCE, 1000)
    halved = [value / 2 for value in values]
    right, plain = Balance("discriminator", CHANCE / 2), Balance("discriminator")
    assert kinds(right, halved, 1000) == kinds(plain, values, 1000) == {}
    assert right.t0 == plain.t0 is not None
    whole = plain.after_t0()
    assert right.after_t0() == pytest.approx(
        {**whole, "variance": whole["variance"] / 4} | {k: whole[k] / 2 for k in ("mean", "sd")}
    )
    assert "opening does not end" in kinds(Balance("discriminator"), [value / 4 for value in values], 1000)
    assert "opening does not end" in kinds(Balance("discriminator", CHANCE / 2), [value / 4 for value in halved], 1000)


def test_the_loss_after_t0_has_the_mean_and_variance_of_its_values() -> None:
    balance = Balance("discriminator")
    values = trace(0.8, 400)
    kinds(balance, values)
    after = balance.after_t0()
    assert after is not None
    told = values[-int(after["moves"]) :]
    assert after["mean"] == pytest.approx(np.mean(told))
    assert after["variance"] == pytest.approx(np.var(told, ddof=1))
    assert after["sd"] == pytest.approx(math.sqrt(after["variance"]))


def test_a_discriminator_that_is_always_right_is_told_once_it_has_lasted() -> None:
    found = kinds(Balance("discriminator"), trace(0.02, 500), 1000)
    assert 150 <= found["discriminator too strong"] <= 300
    assert "opening does not end" not in kinds(Balance("discriminator"), trace(0.02, 390), 1000)
    assert kinds(Balance("discriminator"), trace(0.2, 1000), 1000)["opening does not end"] == 400
    assert "discriminator too strong" not in kinds(Balance("discriminator"), [*trace(0.02, 120), *trace(0.8, 880)], 1000)


def test_a_discriminator_that_is_wrong_is_told() -> None:
    assert "discriminator too weak" in kinds(Balance("discriminator"), trace(8.0, 400), 1000)


def test_guessing_is_borne_longer_from_one_that_never_could_do_better() -> None:
    lost = Balance("discriminator")
    kinds(lost, [*trace(0.7, 100), *([CHANCE] * 200)])
    assert lost.able
    assert lost.guesses_since() is not None
    for rounds, whole, told in ((180, 1000, False), (300, 1000, True), (300, 10_000, False), (300, None, False)):
        never = Balance("discriminator")
        kinds(never, [CHANCE] * rounds, whole)
        assert not never.able
        assert (never.guesses_since() is not None) == told, (rounds, whole)
    open_end = Balance("discriminator")
    kinds(open_end, [CHANCE] * 3100)
    assert open_end.guesses_since() is not None


def explosion(players: tuple[str, ...], factor: float, count: int = 400) -> list[str]:
    rise = Rise(("discriminator",))
    found = []
    for number in range(count):
        for player in ("discriminator", "generator"):
            grown = factor ** max(0, number - 200) if player in players else 1.0
            found += [kind for kind, _, _ in rise.take(f"{player}/loss", 0.7 * min(grown, 1e30), number)]
    return found


def test_losses_explode_when_both_rise_exponentially() -> None:
    assert "losses explode" in explosion(("discriminator", "generator"), 1.06)
    assert explosion(("discriminator",), 1.06) == []  # one losing is the game
    assert explosion(("discriminator", "generator"), 1.005) == []


def test_gradients_that_vanish_or_explode() -> None:
    def heard(norms: list[float]) -> set[str]:
        slopes = Slopes()
        return {kind for n, norm in enumerate(norms) for kind, _, _ in slopes.take("generator", norm, 32 * n, 32)}

    usual = trace(5.0, 40)
    assert heard(usual) == set()
    assert heard([*usual, *[1e-9] * 8]) == {"gradients vanish"}
    assert heard([*usual, *[1e-9] * 6, 5.0, 1e-9]) == set()
    assert heard([*usual, *[1e5] * 4]) == {"gradients explode"}


def test_how_reports_are_cut_changes_nothing_and_a_restored_watch_goes_on() -> None:
    real, fake = trace(0.01, 600, 1), trace(0.01, 600, 2)

    def played(cuts: list[int], through_state: bool = False) -> Any:
        losses, found, start = Losses(small("dcgan"), 32), [], 0
        for cut in cuts:
            series = {"discriminator/real": real[start:cut], "discriminator/fake": fake[start:cut]}
            found += [(kind, since) for kind, _, since in losses.hear(Heard(cut, series), cut / 600)]
            if through_state:
                fresh = Losses(small("dcgan"), 32)
                fresh.restore(losses.state())
                losses = fresh
            start = cut
        return losses.state()["balances"]["discriminator"]["last"], sorted(set(found))

    assert played([600])[0] == played([*range(32, 600, 32), 600])[0]
    assert played([7, 300, 600]) == played([7, 300, 600], through_state=True)
    assert ("opening does not end", 0) in played(list(range(10, 610, 10)))[1]
    assert "discriminator too strong" in {kind for kind, _ in played([300])[1]}, "one report tells it as well"
