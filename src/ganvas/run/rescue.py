"""What a run does about an alarm: go back to an older checkpoint, or make room for another attempt. Not for deciding so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..files import disk_errors
from . import checkpoint
from .load import put_weights
from .settings import FILE, read_yaml, write_yaml

MOVED = ("checkpoints", "metrics.jsonl", "health.json", "tensorboard", "samples")  # of a failed attempt, in this order


def way_back(run: Path, round: int) -> str | None:
    """The checkpoint to go back to: the best one, else the oldest of the others; None when none is older than this round."""
    for which in ("best", "previous", "last"):
        facts = checkpoint.facts_of(run, which)
        if facts is not None and int(facts.get("round", 0)) < round:
            return which
    return None


def go_back(engine: Any, run: Path, which: str) -> None:
    """Put weights, optimisers and clock of a checkpoint into the engine. Position in the data and noise stay where they are, so
    that the rounds that follow are others. Every process must call it."""
    loaded = checkpoint.load_alike(engine.processes, run, which)
    assert loaded is not None  # `way_back` has seen it
    weights, state, _ = loaded
    here, there = engine.state(), state["engine"]
    put_weights(engine.system, weights, run / "checkpoints" / which)
    pairs = zip(there["ranks"], here["ranks"], strict=True)
    ranks = [{**old, "torch": new["torch"], "cuda": new["cuda"]} for old, new in pairs]
    kept = {key: here[key] for key in ("streams", "noise", "played")}
    engine.restore({**there, **kept, "ranks": ranks, "incidents": []})


def set_aside(run: Path) -> None:
    """Move the record of a failed attempt to `failed-N/` in the run folder, and give the next attempt its number.

    Killed in between, the run begins again with the seed of the failed attempt, and fails again: nothing is mixed up.
    """
    values = read_yaml(run / FILE)
    number = 1
    while (folder := run / f"failed-{number}").exists():
        number += 1
    with disk_errors(folder):
        folder.mkdir()
        for name in MOVED:
            if (run / name).exists():
                os.rename(run / name, folder / name)
        for name in ("checkpoints", "samples"):
            (run / name).mkdir()
    write_yaml(run / FILE, {**values, "attempt": int(values.get("attempt", 0)) + 1})
