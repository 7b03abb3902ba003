"""The memory study: growth laws on known curves, and a small study written and read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ganvas.errors import GanvasError
from ganvas.studies.memory import growth, memory_study

X = np.array([32.0, 64.0, 128.0, 192.0, 320.0])


@pytest.mark.parametrize(
    ("y", "nearest"), [(3 + 2 * X + 0.5 * X**2, "quadratic"), (2 * np.exp(0.02 * X), "exponential"), (0.1 * X**1.5, "power")]
)
def test_growth_knows_the_law(y: np.ndarray, nearest: str) -> None:
    found = growth(X, y)
    assert found["nearest"] == nearest
    assert found["laws"][nearest]["rms"] < 1e-6


@pytest.mark.slow
def test_a_small_study(tmp_path: Path) -> None:
    result = memory_study(tmp_path, features=(4, 8, 16, 64), sides=(64,), batch=4, measured=False)
    kept = json.loads((tmp_path / "memory.json").read_text())
    assert len(kept["rows"]) == 8
    verdicts = {claim["claim"]: claim["verdict"] for claim in kept["claims"]}
    assert verdicts["One 64x64 image at feature size 64 takes 53.96 MB in G and 46.72 MB in D."] == "holds"
    assert verdicts["Memory is exponentially proportional to the feature size."] == "does not hold"
    for name in ("figure-7.png", "figure-7.svg", "figure-8.png", "figure-8.svg"):
        assert (tmp_path / name).stat().st_size > 5_000
    page = Path(result["page"]).read_text()
    assert "53.96 MB" in page and "| G | 64x64 |" in page


def test_too_few_widths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GanvasError, match="four feature sizes"):
        memory_study(tmp_path, features=(32, 64), measured=False)
