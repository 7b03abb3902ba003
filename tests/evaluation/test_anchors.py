"""Numbers that a worthless anchor wins are not called better; random records are an anchor, and far from real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.evaluation.anchors import misleading
from ganvas.evaluation.judge import evaluate
from ganvas.evaluation.table import lines
from ganvas.kinds import kind_of
from ganvas.kinds.tokens.spec import TokensSpec


def measured(**values: float) -> dict[str, Any]:
    return {key: {"value": value} for key, value in values.items()}


def test_only_numbers_that_a_worthless_anchor_wins_or_ties_are_named() -> None:
    samples = measured(precision=1.0, recall=0.0, kid=5.0, checkerboard=0.2, diversity=0.5, density=0.4)
    anchors = {
        "real": measured(precision=0.95, recall=0.9, kid=0.01, checkerboard=-0.1, diversity=0.5, density=0.9),
        "linear": measured(precision=1.0, recall=1.0, kid=0.0, checkerboard=0.0, diversity=0.5, density=2.0),
        "untrained": measured(precision=1.0, recall=0.0, kid=6.0, checkerboard=0.05, diversity=0.5, density=0.9),
        "noise": measured(precision=0.0, recall=0.0, kid=7.0, checkerboard=2.0, density=0.1, coverage=1.0),
    }
    expected = {"precision": "untrained", "checkerboard": "untrained", "density": "untrained"}
    assert misleading({**samples, "anchors": anchors}) == expected, (
        "a good linear sampler proves nothing, nor what is not measured"
    )
    assert misleading(samples) == {}
    anchors["noise"] = {}
    anchors["untrained"]["precision"] = {"value": None}
    assert "precision" not in misleading({**samples, "anchors": anchors})


def test_random_sequences_score_worse_than_real_ones_by_precision(tmp_path: Path) -> None:
    """In components of the training records alone they lay near the mean, and seemed likelier than real ones."""
    rng = np.random.default_rng(0)
    symbols = tuple(f"w{k}" for k in range(60))
    spec = TokensSpec(16, symbols)
    steps = rng.integers(1, 4, (500, 16)).cumsum(axis=1) + rng.integers(0, 60, (500, 1))
    values = (steps % 60).astype(np.int64)
    kind = kind_of("tokens")
    for name, part in (("train", values[:300]), ("heldout", values[300:400]), ("unseen", values[400:])):
        (tmp_path / name).mkdir()
        kind.write(part, spec, tmp_path / name, format="txt", depth=None, note={})
    places = {name: next((tmp_path / name).iterdir()) for name in ("train", "heldout", "unseen")}
    found = evaluate(places["unseen"], places["train"], places["heldout"], kind="tokens", audit=False)
    assert "/random128-" in f"/{found['protocol'].split('/', 1)[1]}"
    for key in ("precision", "density"):
        assert found["anchors"]["noise"][key]["value"] < 0.6 * found["anchors"]["real"][key]["value"], key
    assert found["anchors"]["noise"]["kid"]["value"] > 4 * abs(found["anchors"]["real"]["kid"]["value"])
    assert "precision" not in found["misleading"]
    told = "\n".join(lines(found))
    assert "noise: random values" in told


def test_the_table_says_where_a_number_does_not_tell() -> None:
    result = {
        "fake": {"n": 10, "source": "a"},
        "real": {"train": 20, "heldout": 10, "source": "b", "split": "run"},
        "protocol": "p",
        "features": {"is_inception": False},
        "precision": {"value": 1.0, "low": 0.9, "high": 1.0},
        "recall": {"value": 0.1, "low": 0.0, "high": 0.2},
        "anchors": {"real": measured(precision=0.9, recall=0.9), "untrained": measured(precision=1.0, recall=0.0)},
        "notes": [],
    }
    result["misleading"] = misleading(result)
    rows = {line.split()[0]: line for line in lines(result) if line[:1].isalpha()}
    assert rows["precision"].endswith("no telling: `untrained` is no worse than `real`")
    assert rows["recall"].endswith("higher")


@pytest.mark.parametrize("better", ["lower", "higher", "near 0"])
def test_ties_are_no_proof(better: str) -> None:
    key = {"lower": "kid", "higher": "recall", "near 0": "checkerboard"}[better]
    same = {"anchors": {"real": measured(**{key: 0.5}), "noise": measured(**{key: 0.5})}, key: {"value": 0.5}}
    assert misleading(same) == {key: "noise"}
