"""The floors of the house: imports point downwards only, without circles; nothing outside the kinds knows a kind by name."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "ganvas"
FLOORS: tuple[str, ...] = (
    "errors version specs game glossary",
    "batches borders config files launchers presets shapes",
    "store optim parallel objectives registry capabilities recomputing",
    "drawing engine metrics ranks",
    "kinds",
    "data networks inference",
    "systems health uses",
    "doctor testing",
    "run",
    "evaluation memory proofs",
    "report",
    "studies studio export",
    "_commands",
    "cli",
    "ganvas __main__",
)
"""Rooms (folders and files of the package), the lowest floor first. Rooms of one floor may not import each other."""
LONG = {
    "engine.py": "the referee, whose own ceiling is tested in test_engine",
    "metrics/memorisation.py": "one audit, read top to bottom with its null and its verdict",
    "metrics/extractors.py": "one table of extractors",
    "metrics/pixels.py": "one measure a function",
    "doctor.py": "one check a function",
    "studies/readers.py": "one study, read top to bottom",
    "data/phantoms/brain.py": "one phantom: anatomy in numbers",
    "data/phantoms/chest.py": "one phantom: anatomy in numbers",
    "ranks.py": "the life of one process of several, from its first word to its last",
    "run/loop.py": "the run around the engine: budget, signals, saving, pictures, alarms",
    "kinds/image/filling.py": "pictures of any format to one array, each rule a function",
    "store/listing.py": "what folders and tables tell of files, a rule each",
    "data/dataset.py": "opening data of one field and of several",
    "cli.py": "the parser of each command, in the order of --help",
    "_commands.py": "what each command calls and prints, one a function",
    "evaluation/sets.py": "both sides of an evaluation",
    "kinds/facets.py": "one table of what kinds can offer, a protocol each",
    "capabilities.py": "one table of what systems can offer, a protocol each",
}
"""Files of more than 450 lines in src/, and why each is one idea."""


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "ganvas"


@cache
def imports() -> dict[str, set[str]]:
    """Module -> modules of ganvas that it imports anywhere, lazily or for types as well."""
    files = {}
    for path in ROOT.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        package = name.removesuffix(".__init__") if name.endswith(".__init__") else name.rpartition(".")[0]
        files[name.removesuffix(".__init__")] = (path, package)
    found: dict[str, set[str]] = {}
    for name, (path, package) in files.items():
        own = found.setdefault(name, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                parts = package.split(".")
                up = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
                base = ".".join(part for part in (up, node.module) if part)
                if base.split(".")[0] == "ganvas":
                    own |= {full if (full := f"{base}.{alias.name}") in files else base for alias in node.names}
            elif isinstance(node, ast.Import):
                own |= {alias.name for alias in node.names if alias.name.split(".")[0] == "ganvas"}
    return found


def test_every_room_has_a_floor() -> None:
    known = {name for floor in FLOORS for name in floor.split()}
    assert {room(module) for module in imports()} <= known


def test_imports_point_downwards() -> None:
    level = {name: number for number, floor in enumerate(FLOORS) for name in floor.split()}
    up = [
        f"{module} imports {other}"
        for module, others in imports().items()
        for other in sorted(others)
        if room(module) != room(other) and level[room(other)] >= level[room(module)]
    ]
    assert up == []


def test_no_circles() -> None:
    """Between modules; a part of a package may look at what its package declares (`from . import Proof`)."""
    graph = {m: {o for o in others if not m.startswith(f"{o}.")} for m, others in imports().items()}
    state: dict[str, int] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        if state.get(module) == 2:
            return
        assert state.get(module) != 1, " -> ".join((*path, module))
        state[module] = 1
        for other in graph.get(module, ()):
            if other != module:
                visit(other, (*path, module))
        state[module] = 2

    for module in graph:
        visit(module, ())


def test_ganvas_is_imported_without_torch() -> None:
    code = (
        "import sys, ganvas, ganvas.registry, ganvas.cli; from ganvas.kinds import kind_names, kind_of\n"
        "[kind_of(name) for name in kind_names()]; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_kind_has_few_members() -> None:
    from ganvas.kinds import Kind

    members = {name for name in (*vars(Kind), *Kind.__annotations__) if not name.startswith("_")}
    assert len(members) <= 14, sorted(members)


@pytest.mark.parametrize(("name", "most"), [("game.py", 220), ("engine.py", 520)])
def test_the_core_stays_small(name: str, most: int) -> None:
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= most


def test_long_files_have_a_reason() -> None:
    long = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > 450 and "systems" not in path.parts
    }
    assert long <= set(LONG), sorted(long - set(LONG))


@pytest.mark.parametrize("part", ["run", "evaluation", "report", "uses", "testing", "studio", "cli.py", "_commands.py"])
def test_kinds_are_not_known_by_name(part: str) -> None:
    """Neither as text that is compared with a kind, nor as a class of specs."""
    from ganvas.kinds import kind_names

    names = "|".join(kind_names())
    asks = re.compile(rf"""kind\s*(==|!=|in|not in)\s*[("']+({names})["']|isinstance\([^)]*Spec\)|kind_of\(["']""")
    files = [ROOT / part] if part.endswith(".py") else sorted((ROOT / part).rglob("*.py")) if (ROOT / part).exists() else []
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if asks.search(line)
    ]
    assert found == []
