"""What a name or a file brings: systems, kinds of data, uses, and the checks of all of it. Not for the checks themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GanvasError, did_you_mean
from ..kinds import kind_names
from ..registry import brings, catalogue, find, load_file, load_system
from ..uses import Use, table, uses_of
from .boards import Case, Subject, subject_of
from .kinds import kind_checks
from .outcomes import FAILED, PASSED, SKIPPED, Check, Outcome, check_of, examine
from .systems import of_subject
from .used import a_use_keeps_its_promise, its_options_have_help, its_promise_can_be_asked_for, its_words_are_there


@dataclass
class Examined:
    """What was found out about one thing. name: as it was called; what: `system`, `kind of data` or `use`."""

    name: str
    what: str
    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, result: str) -> int:
        return sum(outcome.result == result for outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        counts = {result: self.count(result) for result in (PASSED, FAILED, SKIPPED)}
        return {"name": self.name, "what": self.what, **counts, "checks": [asdict(outcome) for outcome in self.outcomes]}

    def lines(self) -> list[str]:
        """A line a check, one that was run on several things once where it came out the same."""
        joined: dict[tuple[str, str, str], list[str]] = {}
        for outcome in self.outcomes:
            name, _, on = outcome.name.partition("[")
            joined.setdefault((outcome.result, name.replace("_", " "), outcome.line), []).append(on.rstrip("]"))
        shown = {PASSED: "passed ", FAILED: "FAILED ", SKIPPED: "skipped"}
        told = [f"{self.what} {self.name}" if self.what else self.name]
        for (result, name, line), places in joined.items():
            where = ", ".join(dict.fromkeys(own for own in places if own and own != self.name))
            told.append(f"  {shown[result]}  {name}{f' ({where})' if where else ''}{f': {line}' if line else ''}")
        return told


def use_checks(use: Any, settings: Mapping[str, Any] | None = None) -> Iterator[Check]:
    """The checks of a use: its words, and what it does to each system that offers it. See `ganvas.testing.use_checks`."""
    if isinstance(use, Use):
        yield from _of_use(use, [])
        return
    if str(use).endswith(".py"):
        path = Path(use)
        subjects = [subject_of(str(path), settings)] if "CARD" in brings(path) else []
        for own in _uses_in(path):
            yield from _of_use(own, subjects)
        return
    known = {own.verb: own for own in table()}
    if use not in known:
        raise GanvasError(f"unknown use '{use}'{did_you_mean(str(use), list(known))}; known: {', '.join(known)}")
    subjects = [subject for subject in map(_subject, catalogue()) if known[use] in uses_of(subject.system_class)]
    yield from _of_use(known[use], subjects)


def _subject(name: str) -> Subject:
    return Subject(*load_system(name))


def _uses_in(path: Path) -> list[Use]:
    module = load_file(path)
    found = [*([module.USE] if hasattr(module, "USE") else []), *getattr(module, "USES", ())]
    odd = next((use for use in found if not isinstance(use, Use)), None)
    if odd is not None:
        raise GanvasError(f"{path}: USES holds {odd!r}, not an object of ganvas.uses.Use: write  USES = [Use(...)]")
    return found


def _of_use(use: Use, subjects: Sequence[Subject]) -> Iterator[Check]:
    for check in (its_words_are_there, its_promise_can_be_asked_for, its_options_have_help):
        yield check_of(check, use, use.verb)
    for subject in subjects:
        for kind in [kind for kind in subject.card.data if kind in kind_names()]:
            if use.verb in [own.verb for own in uses_of(subject.system_class)]:
                yield check_of(a_use_keeps_its_promise, Case(subject, kind), f"{subject.card.name} {kind}", use.verb)


def check(
    target: str,
    settings: Mapping[str, Any] | None = None,
    began: Callable[[str], None] = lambda name: None,
    device: str = "cpu",
) -> list[Examined]:
    """Check whatever a name or a path FILE.py stands for: each system, kind and use that it brings.

    settings: that make a system small. began: called with each check's name. device: where systems play.
    A file that cannot be opened has failed; raises GanvasError for a name that nothing has.
    """
    if target.endswith(".py"):
        return _check_file(Path(target), settings, began, device)
    parts: list[tuple[str, str, Callable[[], Iterator[Check]]]] = []
    names = [*catalogue(), *kind_names(), *(use.verb for use in table())]
    if target in kind_names():
        parts.append((target, "kind of data", lambda: kind_checks(target)))
    if target in [use.verb for use in table()]:
        parts.append((target, "use", lambda: use_checks(target)))
    if not parts:
        try:
            card = find(target)
        except GanvasError:
            close = did_you_mean(target, names)
            raise GanvasError(f"'{target}' is no system, kind of data or use{close}; a file of your own ends in .py") from None
        parts.append((card.name, "system", lambda: of_subject(subject_of(card.name, settings, device))))
    return [_examined(name, what, checks, [], began) for name, what, checks in parts]


def _check_file(
    path: Path, settings: Mapping[str, Any] | None, began: Callable[[str], None], device: str
) -> list[Examined]:  # fmt: skip
    try:
        found = brings(path)
        if not found:
            raise GanvasError(
                f"{path}: brings nothing that can be checked: neither CARD = {{...}} (a system), nor KIND = ... (a kind of "
                "data), nor USES = [...] (uses); see docs/own.md"
            )
        names = [find(str(path)).name] if "CARD" in found else []
        load_file(path)
        uses = _uses_in(path)
    except GanvasError as error:
        return [Examined(path.name, "", [Outcome("it_can_be_opened", "", FAILED, " ".join(str(error).split()))])]
    examined = []
    if {"KIND", "KINDS"} & set(found):
        examined.append(_examined(path.name, "kinds of data in", lambda: kind_checks(path), [path], began))
    for use in uses:
        examined.append(_examined(use.verb, "use", lambda use=use: _of_use(use, []), [path], began))  # type: ignore[misc]
    for name in names:
        examined.append(_examined(name, "system", lambda: of_subject(subject_of(str(path), settings, device)), [path], began))
    return examined


def _examined(
    name: str, what: str, checks: Callable[[], Iterator[Check]], files: list[Path], began: Callable[[str], None]
) -> Examined:  # fmt: skip
    try:
        every = list(checks())
    except GanvasError as error:
        return Examined(name, what, [Outcome("it_can_be_opened", "", FAILED, " ".join(str(error).split()))])
    return Examined(name, what, examine(every, files, began))
