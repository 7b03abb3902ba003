"""What may be typed as a budget, and what it means."""

from __future__ import annotations

import pytest

from ganvas.errors import GanvasError
from ganvas.run.budget import Budget, describe_seconds, parse_budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("90s", Budget(seconds=90)),
        ("10m", Budget(seconds=600)),
        ("1.5h", Budget(seconds=5400)),
        ("1d", Budget(seconds=86400)),
        (" 10 m ", Budget(seconds=600)),
        (".5m", Budget(seconds=30)),
        ("800", Budget(samples=800)),
        ("50k", Budget(samples=50_000)),
        ("50K", Budget(samples=50_000)),
        ("2M", Budget(samples=2_000_000)),
        ("0.5k", Budget(samples=500)),
        ("1G", Budget(samples=10**9)),
        ("200r", Budget(rounds=200)),
        (None, Budget()),
        ("", Budget()),
        ("open", Budget()),
        ("None", Budget()),
    ],
)
def test_budgets(text: str | None, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["ten minutes", "5x", "1.5r", "0.1", "5 r r", "m", "1e3", "inf", "nan", "10mm"])
def test_nonsense_is_refused_with_examples(text: str) -> None:
    with pytest.raises(GanvasError, match=r"--budget '.*' is not understood: use 10m"):
        parse_budget(text)


@pytest.mark.parametrize("text", ["0", "0s", "-5m", "0.0h", "-1", "- 3k"])
def test_a_budget_is_above_0(text: str) -> None:
    with pytest.raises(GanvasError, match=r"--budget '.*' is not above 0: use 10m"):
        parse_budget(text)


def test_m_is_minutes_and_capital_m_is_millions() -> None:
    assert parse_budget("3m").seconds == 180
    assert parse_budget("3M").samples == 3_000_000


def test_progress_counts_what_the_budget_counts() -> None:
    assert Budget(seconds=10).progress(5, 999, 999) == 0.5
    assert Budget(samples=10).progress(999, 5, 999) == 0.5
    assert Budget(rounds=10).progress(999, 999, 15) == 1.5
    assert Budget().progress(999, 999, 999) == 0.0


def test_words() -> None:
    assert [str(b) for b in (Budget(seconds=600), Budget(samples=50_000), Budget(rounds=1200), Budget())] == [
        "10 min",
        "50,000 samples",
        "1,200 rounds",
        "until you stop it",
    ]
    assert [describe_seconds(s) for s in (45, 119.6, 3599, 3900, 7200)] == [
        "45 s",
        "120 s",
        "1 h 00 min",
        "1 h 05 min",
        "2 h 00 min",
    ]


@pytest.mark.parametrize(("text", "shown"), [("10m", None), (None, None), ("50k", 50_000), ("200r", 3200)])
def test_what_a_budget_shows_is_told_where_it_is_no_time(text: str | None, shown: float | None) -> None:
    """Presets choose by it: a thousand rounds are not an hour of the widest networks."""
    from ganvas.presets import Situation, widest

    budget = parse_budget(text)
    assert budget.shown == shown
    given = Situation(None, 100, budget.seconds, 50.0, "cpu", budget.shown)
    assert widest(given, {8: 0, 16: 10_000, 32: 1_000_000}, lambda width: 1e-5 * width**2) == {None: 32, 50_000: 16, 3200: 8}[
        shown
    ]  # fmt: skip
