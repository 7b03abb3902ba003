"""`ganvas report` and `ganvas compare`: what became of a run, on one page that can be mailed, and how runs compare.

`facts` reads what a run left behind, `plots` and `pictures` draw, `card` writes the model card, `page` builds the HTML,
`making` puts a report together and `comparison` compares. Nothing here measures: numbers come from `ganvas evaluate` and from
training. No real record enters a page: pictures that hold some stay in the run folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .comparison import compare
    from .making import report

__all__ = ["compare", "report"]


def __getattr__(name: str) -> Any:
    if name == "report":
        from .making import report

        return report
    if name == "compare":
        from .comparison import compare

        return compare
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
