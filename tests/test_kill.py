"""A run killed with SIGKILL and resumed, through the real command line: the bits of the unkilled run. The short form."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import toys


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["", "shards", "parquet"], ids=["cache", "shards", "parquet"])
def test_a_killed_and_resumed_run_ends_like_the_unkilled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str
) -> None:  # fmt: skip
    path = Path(__file__).parents[1] / "benchmarks" / "resume_kills.py"
    spec = importlib.util.spec_from_file_location("resume_kills", path)
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    for key in ("PYTHONPATH", "OMP_NUM_THREADS"):
        monkeypatch.setenv(key, toys.environment()[key])
    result = bench.measure(tmp_path, kills=3, rounds=100, seed=1, packing=packing)  # one of each kind
    assert result["kills"] == 3
    assert result["unreadable_checkpoints"] == 0, result["each"]
    assert result["differences"] == []
    assert result["unkilled"]["round"] == "100"
