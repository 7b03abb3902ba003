"""`ganvas evaluate`: samples of a run, or of any other tool, judged against real data, with anchors and a memorisation audit.

`sets` brings both sides to one form, `judge` measures, `table` and `page` tell. The metrics themselves live in
`ganvas.metrics`; nothing here computes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .judge import evaluate

__all__ = ["evaluate"]


def __getattr__(name: str) -> Any:
    if name == "evaluate":
        from .judge import evaluate

        return evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
