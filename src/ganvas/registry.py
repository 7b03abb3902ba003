"""Finds systems by file name: `systems/<task>/<name>.py`. Being there is being registered.

The catalogue is read from the source text (docstring and the literal `CARD`), so listing costs no torch import. Third-party
systems come by path (`ganvas train ./my_system.py`) or by the entry point group `ganvas.systems` (name -> module path).
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import GanvasError, did_you_mean

if TYPE_CHECKING:
    from .game import System

BROUGHT = ("CARD", "KIND", "KINDS", "USE", "USES")
"""Names at the top of a file by which it brings a system, kinds of data, uses."""
CARD_KEYS = {
    "title",
    "authors",
    "year",
    "paper",
    "data",
    "summary",
    "aliases",
    "example",
    "options",
    "suits",
    "pairs",
    "properties",
}

SUITS = {
    "anything": "all data of that kind",
    "classes": "two classes or more",
    "normal class": "a class among others that is called normal, healthy, good ...",
    "two classes": "two classes",
    "unlabelled": "two classes or more, and records without a label in one called unlabelled",
    "choices": "tables with a column of words or of few whole numbers",
    "ages": "tables with a column called age, after what suits any table",
    "large records": "pictures of which most have 192 pixels or more on their shorter side",
}
"""What data may be, as a card says for what it is to be proposed; in the order of proposals."""


@dataclass(frozen=True)
class Card:
    """What is known of a system without running it.

    name: as typed on the command line. task: its folder. data: kinds of data it learns (`image`, `points`, `sound` ...), one of
    which its records are. fields: of systems that learn from records of several fields, name -> kinds that it may be of, the
    main one, which they make, first; then `data` are the kinds of that one. properties: whether it can be told numbers of each
    record beside (`data.properties`). options: of the data, when the user does not say
    (`size`, `fit`, `rate`).
    suits: kind (of any of its fields) -> one of `SUITS`, for what data of that kind it is proposed (`ganvas data check`).
    example: data to try it with, where the usual phantom of its kind will not do.
    doc: the module docstring, the paper in ten lines. module: its name, empty for a file that a user named. brings: those
    names of `BROUGHT` that its file defines.
    extra: what else the card says.
    """

    name: str
    task: str
    path: Path
    title: str = ""
    authors: str = ""
    year: int = 0
    paper: str = ""
    summary: str = ""
    data: tuple[str, ...] = ("image",)
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pairs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    properties: bool = False
    options: dict[str, str] = field(default_factory=dict)
    suits: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    example: str = ""
    doc: str = ""
    module: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    brings: tuple[str, ...] = ()


@functools.cache
def catalogue() -> dict[str, Card]:
    """Every system of ganvas and of installed third parties, by name."""
    cards: dict[str, Card] = {}
    root = Path(__file__).parent / "systems"
    for path in sorted(root.glob("*/*.py")):
        if not path.name.startswith("_"):
            card = read_card(path, module=f"ganvas.systems.{path.parent.name}.{path.stem}")
            cards[card.name] = card
    for entry in _guests():
        try:
            card = _guest_card(entry)
        except GanvasError:  # asked for by name it will say why
            continue
        cards.setdefault(card.name, card)
    return cards


def suited(kind: str, found: Collection[str]) -> list[Card]:
    """The systems to propose for data of a kind, of which `found` holds (keys of `SUITS`); all that learn it, where no
    card says that it suits that kind."""
    able = [card for card in catalogue().values() if kind in card.data and not card.fields]
    saying = [card for card in able if kind in card.suits]
    order = list(SUITS)
    meant = [card for card in saying if card.suits[kind] in found]
    return sorted(meant, key=lambda card: order.index(card.suits[kind])) if saying else able


def _guests() -> list[Any]:
    from importlib.metadata import entry_points

    return list(entry_points(group="ganvas.systems"))


def _guest_card(entry: Any) -> Card:
    try:
        spec = importlib.util.find_spec(entry.value)
    except (ImportError, ValueError):  # a parent package that does not exist or does not load
        spec = None
    if spec is None or spec.origin is None:
        raise GanvasError(
            f"system '{entry.name}' of an installed package: its module {entry.value} is not there; install it again"
        )
    return read_card(Path(spec.origin), module=entry.value)


def read_card(path: Path, module: str = "") -> Card:
    """The card of one system file, by parsing it. Raises GanvasError when it has no literal `CARD`.

    module: of an installed one, which is read as far as its card: what follows is the longer part, and was parsed by its tests.
    """
    tree = _parsed(path, to_card=bool(module))
    values: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["CARD"]:
            try:
                values = ast.literal_eval(node.value)
            except ValueError as error:
                raise GanvasError(f"{path}: CARD must be a literal dictionary") from error
    if not isinstance(values, dict):
        raise GanvasError(f"{path}: CARD must be a literal dictionary")
    if not values:
        raise GanvasError(f"{path}: has no CARD = {{...}}; see CONTRIBUTING.md, 'Adding a system'")
    known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in CARD_KEYS}
    if isinstance(known.get("data"), dict):
        fields = _kinds_of(known["data"])
        known |= {"fields": fields, "data": next(iter(fields.values()))}
    known["pairs"] = _kinds_of(known.get("pairs", {}))
    extra = {k: v for k, v in values.items() if k not in CARD_KEYS}
    name = path.stem.replace("_", "-")
    doc, brings = ast.get_docstring(tree) or "", _brings(tree)
    return Card(name, path.parent.name, path, doc=doc, module=module, extra=extra, brings=brings, **known)


def _kinds_of(fields: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {name: (kinds,) if isinstance(kinds, str) else tuple(kinds) for name, kinds in fields.items()}


def _parsed(path: Path, to_card: bool = False) -> ast.Module:
    """The source of a file; to_card: up to the end of its card, if nothing of `BROUGHT` follows. Raises GanvasError when it is
    none."""
    try:
        text = path.read_text(encoding="utf-8")
        card = re.search(r"^CARD\b.*?^\}$", text, re.M | re.S) if to_card else None
        if card and not re.search(rf"^({'|'.join(BROUGHT)})\b", text[card.end() :], re.M):
            text = text[: card.end()]
        return ast.parse(text)
    except (OSError, SyntaxError, ValueError) as error:  # ValueError: no text, or text with a null in it
        raise GanvasError(f"{path}: not a readable Python file ({str(error).splitlines()[0]})") from error


def _brings(tree: ast.Module) -> tuple[str, ...]:
    assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    assigned += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    return tuple(name for name in BROUGHT if name in {getattr(target, "id", "") for target in assigned})


def brings(path: Path) -> tuple[str, ...]:
    """Those names of `BROUGHT` that a file defines, by parsing it. Raises GanvasError for what is no Python file."""
    if not path.is_file():
        raise GanvasError(f"{path}: no such file")
    return _brings(_parsed(path))


_brought: dict[str, Card] = {}
"""Systems that were named by path in this process. A run folder only ever names a system: it cannot bring code along."""


def brought() -> tuple[Card, ...]:
    """The cards of systems that were named by path in this process."""
    return tuple(_brought.values())


def find(name: str) -> Card:
    """The card of a system by name, alias or path; one named by path is known by its name from then on.

    Raises GanvasError with the nearest name.
    """
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise GanvasError(f"{name}: no such system file")
        card = read_card(Path(name))
        _brought[card.name] = card
        return card
    cards = {**catalogue(), **_brought}
    key = name.lower().replace("_", "-")
    by_alias = {alias: card for card in cards.values() for alias in card.aliases}
    known: Card | None = cards.get(key) or by_alias.get(key)
    if known is None:
        for entry in _guests():
            if entry.name.lower().replace("_", "-") == key:
                return _guest_card(entry)
        close = did_you_mean(key, [*cards, *by_alias])
        raise GanvasError(f"unknown system '{name}'{close}; see  ganvas systems")
    return known


def load_module(card: Card) -> Any:
    """Import the system's module (this imports torch). Raises GanvasError when a third party's does not load."""
    if card.module.startswith("ganvas."):
        return importlib.import_module(card.module)
    return _loaded(card.path, lambda: importlib.import_module(card.module)) if card.module else load_file(card.path)


_files: dict[Path, tuple[str, Any]] = {}
"""Files that were loaded in this process: their text, and the module."""


def load_file(path: Path) -> Any:
    """The module of a file, loaded once for each text that it has. Raises GanvasError in one line when it does not load."""
    place = path.resolve()
    if not place.is_file():
        raise GanvasError(f"{path}: no such file")
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise GanvasError(f"{path}: not a readable Python file ({str(error).splitlines()[0]})") from error
    if place in _files and _files[place][0] == text:
        module = _files[place][1]
        sys.modules[module.__name__] = module  # a file of the same name elsewhere may have taken its place
        return module
    module = _loaded(path, lambda: _run_file(place))
    _files[place] = text, module
    return module


def _loaded(path: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except GanvasError:
        raise
    except Exception as error:  # it may raise whatever its code runs into
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise GanvasError(f"{path}: cannot be imported ({reason}): mend it, or install what it needs") from error


def _run_file(path: Path) -> Any:
    module_name = f"ganvas_external_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise GanvasError(f"{path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


def load_system(name: str) -> tuple[Card, Any, type[System]]:
    """(card, module, System class) of a system. Raises GanvasError when the file defines none."""
    from .game import System

    card = find(name)
    module = load_module(card)
    own = [x for x in vars(module).values() if isinstance(x, type) and issubclass(x, System)]
    own = [x for x in own if x.__module__ == module.__name__]
    if not own:
        raise GanvasError(f"{card.path}: defines no System")
    return card, module, own[-1]
