"""ganvas: a workbench for generative adversarial networks.

`ganvas.train("dcgan", "photos/", budget="10m")` trains, `ganvas.load(run).sample(64)` draws,
`ganvas.apply(run, files, out="results")` puts to use, `ganvas.evaluate(run)` judges. Everything is imported when first used:
`import ganvas` itself is free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .data.dataset import open_data
    from .evaluation.judge import evaluate
    from .run.apply import apply
    from .run.load import Run

__all__ = ["Run", "__version__", "apply", "evaluate", "load", "open_data", "train"]

_HOMES = {
    "Run": "run.load",
    "apply": "run.apply",
    "open_data": "data.dataset",
    "evaluate": "evaluation.judge",
}
_PARTS = ("data", "metrics", "registry", "errors", "specs", "batches", "game", "engine", "systems", "run")


def train(system: str | None = None, data: Any = None, **options: Any) -> dict[str, Any]:
    """Train a system, or continue a run, and write its model card: see `ganvas.run.train.train` for options and result."""
    from .memory.guarding import check
    from .report.card import renew_card
    from .run.train import train as play

    return play(system, data, after=(renew_card,), check=check, **options)


def load(run: Any, *, which: str | None = None, device: str = "cpu", system: Any = None, config: Any = None) -> Run:
    """Open a trained run: `ganvas.load("runs/cxr").sample(64)`.

    which: `last`, `previous` or `best`; by default `last`, or `best` after an alarm that says so, told in `Run.notes`.
    system: its file, when it is not one of ganvas's own. config: settings that a trained run takes (truncation, steps ...).
    """
    from .run.load import Run

    return Run(run, which=which, device=device, system=system, config=config)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    if name in _PARTS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
