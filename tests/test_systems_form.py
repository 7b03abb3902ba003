"""The form of a system's file: short enough to be read in one go, and everything in its place (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    *(path for path in sorted((ROOT / "src/ganvas/systems").glob("*/*.py")) if path.name != "__init__.py"),
    ROOT / "docs/examples/my_gan.py",
]
MOST_LINES = 250
ORDER = ["docstring", "imports", "CARD", "Config", "PRESETS", "system"]


def part(node: ast.stmt) -> str:
    """Which part of ORDER a top-level statement is; empty for helpers, which may stand between any two."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.col_offset == 0 and node.lineno == 1:
        return "docstring"
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "imports"
    if isinstance(node, ast.ClassDef):
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        return "system" if "System" in bases else "Config" if node.name == "Config" else ""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return names[0] if names and names[0] in ORDER else ""


def parts(text: str) -> list[str]:
    """The parts of a file from top to bottom, imports once, helpers as empty strings."""
    found = [part(node) for node in ast.parse(text).body]
    return [name for place, name in enumerate(found) if name != "imports" or found[place - 1] != "imports"]


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 14


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_has_at_most_250_lines(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= MOST_LINES, f"{path.name} has {lines}: networks that it alone has may live in ganvas/networks/{path.name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_read_from_top_to_bottom(path: Path) -> None:
    found = parts(path.read_text())
    assert [name for name in found if name] == ORDER
    assert found[-1] == ORDER[-1], "nothing follows: helpers stand before the system that uses them"


def test_what_is_out_of_order_is_seen() -> None:
    head = '"""Paper."""\nimport copy\n'
    card, config, presets = "CARD = {}\n", "class Config:\n    pass\n", "PRESETS: dict = {}\n"
    system, helper = "class Mine(System):\n    pass\n", "def helper():\n    pass\n"
    assert parts(head + card + config + presets + helper + system) == [*ORDER[:5], "", "system"]
    assert parts(head + card + config + system + presets)[-1] == "PRESETS"
    assert parts(head + card + config + presets + system + helper)[-1] == ""
    assert "docstring" not in parts("import copy\n" + card)
    assert parts(head + card + "import late\n").count("imports") == 2
