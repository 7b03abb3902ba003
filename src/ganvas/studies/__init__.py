"""Studies: questions larger than one number, asked of data and runs by a fixed procedure. One file a study, named for it.

The catalogue is read from the files without importing them. Not for metrics, which are `ganvas.metrics`.
"""

from __future__ import annotations

import ast
from pathlib import Path


def catalogue() -> dict[str, str]:
    """The studies by name, each with the first line of what its file says of itself. Imports nothing."""
    files = sorted(p for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_") and p.stem != "cells")
    return {p.stem.replace("_", "-"): _summary(p) for p in files}


def _summary(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")
