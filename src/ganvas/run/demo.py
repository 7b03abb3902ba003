"""`ganvas demo`: from nothing to a picture of simulated chest radiographs in under four minutes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .train import train

SYSTEM, DATA = "dcgan", "chest"


def free_folder() -> Path:
    """runs/demo, or the first of runs/demo-2 ... that does not exist."""
    number, folder = 1, Path("runs") / "demo"
    while folder.exists():
        number += 1
        folder = Path("runs") / f"demo-{number}"
    return folder


def demo(*, out: Path | None, budget: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Train dcgan on the `chest` phantom. Returns the run's summary and the closing `lines`."""
    folder = free_folder() if out is None else out
    say(
        "ganvas demo: two networks play against each other. One draws chest radiographs, the other tells them from simulated "
        "ones."
    )
    result = train(SYSTEM, DATA, out=folder, budget=budget, say=say)
    run, picture = result["run"], result["picture"]
    lines = [
        "",
        f"Done: {result['rounds']:,} rounds in {result['seconds']:.0f} s. A network drew every picture; none is of a person.",
        f"  look at the result    {picture}",
        f"  how it got there      {run}/samples/",
        f"  everything about it   {run}/config.yaml, {run}/metrics.jsonl",
        "",
        "Next:",
        f"  ganvas sample {run} -n 16 --seed 1            new images, as files",
        f"  ganvas evaluate {run}                         how good, how varied, copied from whom?",
        f"  ganvas train --resume {run} --budget 10m      train on: it gets better",
        "  ganvas data check FOLDER                         look through your own images",
        "  ganvas train dcgan --data FOLDER --budget 10m    learn from them",
        "  ganvas systems                                   what else there is",
        "  ganvas studio                                    all of this, and lessons, in your browser",
    ]
    return {**result, "lines": lines}
