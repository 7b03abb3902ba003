"""Which code shapes the records of an entry: its hash is part of the entry's name, so what other code made is made anew.

Found by reading, nothing is imported: from the functions that fill an entry, through what these use, to whole modules and the
modules that those import. A change of how a kind is drawn or written, or of another kind, leaves the entries alone. Not for
libraries outside: another version of these decodes alike.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

PACKAGE = __name__.partition(".")[0]
ROOT = Path(__file__).parents[1]
FILLING = ("fill", "fill_array", "fill_texts", "settle", "beside", "prints", "likeness")
"""Methods of a kind that decide on its records, and on which are twins; others, and what only these use, are not looked at."""
ALWAYS = tuple(f"{PACKAGE}.store.{name}" for name in ("cache", "entry", "listing", "splits"))
"""What lists files with their labels and groups, and writes entries, whatever the kind."""
IS_KIND = re.compile(r"^KIND\b.*=", re.MULTILINE)
IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+[\w.]+[ \t]+import[ \t]+(?:\([^)]*\)|[^\n(]*)|import[ \t]+[^\n]*)", re.MULTILINE)
FOR_TYPES = re.compile(r"^if TYPE_CHECKING:\n(?:[ \t]+[^\n]*\n|\n)*", re.MULTILINE)
SHAPELESS = frozenset(
    (PACKAGE, *(f"{PACKAGE}.{name}" for name in ("errors", "version", "files", "drawing", "kinds", "kinds.facets")))
)
"""Errors, places on disk, letters and colours, and the declarations of kinds: no record depends on them."""


def code_digest(*starts: tuple[str, tuple[str, ...]]) -> str:
    """A hash, 40 hexadecimal digits, of the modules in `shaping`; found once in a process for code that does not change in it:
    a file of one's own may be written anew and loaded again."""
    files = {module: _file(module) for module, _ in starts if module.partition(".")[0] != PACKAGE}
    return _digest(starts, tuple((name, file.read_bytes()) for name, file in files.items() if file is not None))


@cache
def _digest(starts: tuple[tuple[str, tuple[str, ...]], ...], own: tuple[tuple[str, bytes], ...]) -> str:
    total = hashlib.sha256()
    for name in shaping(*starts):
        file = _file(name)
        total.update(name.encode() + b"\0" + (file.read_bytes() if file is not None else b""))
    return total.hexdigest()[:40]


def shaping(*starts: tuple[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The names, sorted, of the modules that shape records: those that are started from, and all that they lead to.

    starts: modules, each with the functions or methods that are looked at in it; none means the whole module. Followed are
    modules of ganvas and of the packages that are started from, for third parties' kinds.
    """
    packages = {PACKAGE, *(module.partition(".")[0] for module, _ in starts)}
    found: set[str] = set()
    waiting = [*starts, *((name, ()) for name in ALWAYS)]
    while waiting:
        module, entries = waiting.pop()
        if module in found or module in SHAPELESS or module.partition(".")[0] not in packages:
            continue
        if (file := _file(module)) is None:
            continue
        found.add(module)
        text = file.read_text(encoding="utf-8")
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        if not entries and IS_KIND.search(text):
            entries = FILLING  # label maps are read as pictures are
        others = _used(text, package, entries) if entries else _all_imported(text, package)
        waiting += [(other, ()) for other in others]
    return tuple(sorted(found))


def _all_imported(text: str, package: str) -> Iterator[str]:
    """The modules that a module imports anywhere but for the type checker. Its imports alone are parsed: ten times as fast."""
    told = (".", package.partition(".")[0], PACKAGE)
    for found in IMPORT.finditer(FOR_TYPES.sub("", text)):
        if not found[0].split(None, 2)[1].startswith(told):
            continue  # a library
        try:
            (node,) = ast.parse(found[0].strip()).body
        except SyntaxError:  # words of a docstring that look like an import
            continue
        yield from _imported(node, package).values()


def _used(text: str, package: str, entries: tuple[str, ...]) -> Iterator[str]:
    """The modules that those functions of a module import, or use the imports of."""
    tree = ast.parse(text)
    above: dict[str, str] = {}  # name -> module that it comes from
    defined: dict[str, list[ast.AST]] = {}  # name -> functions, methods and constants of that name
    waiting = list(entries)
    for node in tree.body:
        above |= _imported(node, package)
        if isinstance(node, ast.ClassDef):
            waiting += [base.id for base in node.bases if isinstance(base, ast.Name)]  # methods may be inherited
            for own in node.body:
                if isinstance(own, ast.FunctionDef):
                    defined.setdefault(own.name, []).append(own)
        elif isinstance(node, ast.FunctionDef):
            defined.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    defined.setdefault(target.id, []).append(node)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in above:
            yield above[name]
        for part in defined.get(name, ()):
            for one in _walk(part):
                if isinstance(one, ast.Name):
                    waiting.append(one.id)
                elif isinstance(one, ast.Attribute):
                    waiting.append(one.attr)  # a method of `self`, or of an object of this module
                else:
                    yield from _imported(one, package).values()


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """As `ast.walk`, without what is imported for the type checker alone and without annotations."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, ast.If) and isinstance(one.test, ast.Name) and one.test.id == "TYPE_CHECKING":
            continue
        for name, value in ast.iter_fields(one):
            if name in ("annotation", "returns"):
                continue
            if isinstance(value, ast.AST):
                waiting.append(value)
            elif isinstance(value, list):
                waiting += [part for part in value if isinstance(part, ast.AST)]


def _imported(node: ast.AST, package: str) -> dict[str, str]:
    """Name -> module, of an import: the module itself, or the one that holds the name."""
    if isinstance(node, ast.Import):
        return {(alias.asname or alias.name): alias.name for alias in node.names}
    if not isinstance(node, ast.ImportFrom):
        return {}
    base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
    names = {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
    return {name: full if _file(full) is not None else base for name, full in names.items()}


def _file(module: str) -> Path | None:
    """Where a module of ganvas, or one that is imported, is written; None for what is no module."""
    if module.partition(".")[0] == PACKAGE:
        return _own_file(module)
    source = getattr(sys.modules.get(module), "__file__", None)
    return Path(source) if source and source.endswith(".py") else None


@cache
def _own_file(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split(".")[1:])
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return file if file.is_file() else None
