"""The live game: it learns, by the measure of the proof; what is asked for while it plays is done; odd orders are one line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from ganvas.errors import GanvasError
from ganvas.studio.lesson_game import Game, Wanted, curve_of


def test_it_learns_and_a_frozen_player_does_not() -> None:
    wanted = Wanted(pattern="parabola", seed=3, width=32, batch=128, latent=2)
    game = Game(wanted)
    first = game.error(400, 48)
    game.play(500)
    assert game.error(400, 48) < 0.5 * first
    still = Game(Wanted(pattern="parabola", seed=3, width=32, batch=128, generator_rate=0.0))
    before = still.error(400, 48)
    still.play(60)
    assert still.error(400, 48) > 0.7 * before


def test_turns_and_rates_are_those_of_the_page() -> None:
    wanted = Wanted(width=8, batch=16)
    game = Game(wanted)

    def weights(name: str) -> Any:
        return [p.detach().clone() for p in getattr(game.system, name).parameters()]

    wanted.generator_turns = 0
    before = weights("generator")
    game.play(3)
    assert all((a == b).all() for a, b in zip(before, weights("generator"), strict=True))
    wanted.generator_turns, wanted.discriminator_rate = 2, 0.0
    before = weights("discriminator")
    game.play(3)
    assert all((a == b).all() for a, b in zip(before, weights("discriminator"), strict=True))


def test_the_same_seed_plays_the_same_game() -> None:
    made = []
    for _ in range(2):
        game = Game(Wanted(width=8, batch=16, seed=5))
        game.play(5)
        made.append(game.made(10, 1))
    assert (made[0] == made[1]).all()


def test_a_drawn_line_and_a_formula_are_learnt_from() -> None:
    rng = np.random.default_rng(0)
    drawn = curve_of(Wanted(pattern="drawn", drawn=[[x / 10, 0.0 if x < 0 else 0.5] for x in range(-10, 11)]))(500, rng)
    low, high = drawn[drawn[:, 0] < -0.1], drawn[drawn[:, 0] > 0]
    assert np.allclose(low[:, 1], 0) and np.allclose(high[:, 1], 0.5) and abs(len(low) - len(high)) < 100
    points = curve_of(Wanted(pattern="formula", formula="x**2;x=0..2"))(500, rng)
    assert np.allclose(points[:, 1], points[:, 0] ** 2, atol=1e-5) and points[:, 0].min() >= 0


def test_another_range_is_another_curve() -> None:
    points = curve_of(Wanted(pattern="sine", x_low=0, x_high=2, y_low=-0.5, y_high=0.5))(500, np.random.default_rng(0))
    assert points[:, 0].min() >= 0 and points[:, 0].max() > 1.9 and abs(points[:, 1]).max() <= 0.5


def test_all_five_come_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    from ganvas.studio import lesson_game

    monkeypatch.setattr(lesson_game, "CYCLE", 200)
    wanted = Wanted(cycle=True, width=8, batch=64)
    game = Game(wanted)
    seen = [wanted.pattern]
    for _ in range(12):
        game.play(1)
        seen += [wanted.pattern] if wanted.pattern != seen[-1] else []
    assert seen[:5] == ["sine", "square", "parabola", "sawtooth", "circle"]


@pytest.mark.parametrize(
    "values",
    [
        {"generator_rate": -1}, {"width": 10**9}, {"x_low": 2, "x_high": 1}, {"pattern": "spiral"}, {"noise": "much"},
        {"pattern": "formula", "formula": "__import__('os')"}, {"pattern": "drawn", "drawn": []},
    ],
)  # fmt: skip
def test_odd_wishes_are_refused_in_a_line(values: dict[str, Any]) -> None:
    wanted = Wanted()
    with pytest.raises(GanvasError):
        wanted.take(values)
        curve_of(wanted)


def test_orders_and_states_are_lines(tmp_path: Any) -> None:
    orders = [{"set": {"width": 8, "batch": 16}}, {"do": "step"}, {"set": {"pattern": "spiral"}}, {"do": "step"}]
    done = subprocess.run(
        [sys.executable, "-m", "ganvas.studio.lesson_game"], input="".join(json.dumps(order) + "\n" for order in orders),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    states = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert any("error" in state for state in states) and any("real" in state for state in states)
    assert [state["pattern"] for state in states if "pattern" in state][-1] == "sine"  # what was refused changed nothing


def test_a_lesson_is_a_session_of_its_own(studio) -> None:
    made = studio.post("lesson", {}).json()
    assert studio.post("lesson-tell", {"id": made["id"], "do": "step"}).status_code == 200
    assert studio.post("lesson-tell", {"id": "other", "do": "step"}).status_code == 400
    assert studio.post("lesson-tell", {"id": made["id"], "set": {"drawn": [[0, 0]] * 20_000}}).status_code == 400


def test_demonstrations_are_commands_that_can_be_run(studio) -> None:
    import shlex

    from ganvas.cli import _parse
    from ganvas.config import build_config
    from ganvas.registry import load_system

    for one in studio.client.get("/api/lesson-wrong").json()["wrong"]:
        options = _parse(shlex.split(one["line"])[1:])
        build_config(load_system(one["system"])[2].Config, one["config"])
        assert options.system == one["system"] and one["words"] and one["alarm"]


def test_findings_are_looked_for_where_they_are_known(studio, monkeypatch) -> None:
    """The page of a run says whether they can be counted; the button's order is the command with its switch."""
    from ganvas.data.phantoms import knows_findings
    from ganvas.studio.jobs import Job, Jobs
    from ganvas.studio.runs import Runs

    asked: list[list[str]] = []

    def add(self: Jobs, does: str, words: list[str], run: str) -> Job:
        asked.append(words)
        return Job("1", does, tuple(words), run)

    monkeypatch.setattr(Jobs, "add", add)
    studio.post("act", {"run": "sine", "what": "evaluate", "unintended": True})
    studio.post("act", {"run": "sine", "what": "evaluate"})
    assert asked[0][-1] == "--unintended" and "--unintended" not in asked[1]
    page = Runs(studio.places, Jobs(studio.places)).page("sine")
    assert page["findings"] is False

    assert knows_findings("chest") and not knows_findings("brain") and not knows_findings("photos")
    one = next(one for one in studio.client.get("/api/lesson-wrong").json()["wrong"] if one["id"] == "unintended")
    assert one["system"] == "cgan" and "--data chest" in one["line"]
