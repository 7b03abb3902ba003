"""Fields that a use takes besides what it works on, as a user gives them: a file, a folder whose files have the names of the
inputs, or words. Not for the inputs themselves (`apply`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..config import knobs
from ..errors import DataError, GanvasError, did_you_mean
from ..kinds import kind_of
from ..kinds.facets import Piece, Reads, Worded
from ..uses import Use, Work, fields_taken, spec_given


def stem(name: str) -> str:
    """The name without its suffix; a number behind a dot is part of the name (DICOM files are often called by their UID)."""
    if name.lower().endswith(".nii.gz"):
        return name[: -len(".nii.gz")]
    return name if Path(name).suffix[1:].isdigit() else str(Path(name).with_suffix(""))


class GivenField:
    """A further field. text: as the user gave it; a path, or words where the kind makes a record of them. own: suffix -> reads
    a file that the kind does not read (`Use.reads`). together: all files belong to each input (`Use.together`)."""

    def __init__(
        self, name: str, text: str, spec: Any, settings: Mapping[str, Any], own: Mapping[str, Callable[[Path, Any], Piece]],
        together: bool = False,
    ) -> None:  # fmt: skip
        from ..data.finding import files_of, wholes_of

        self.name, self.text, self.spec, self.settings, self.own, self.together = name, text, spec, settings, own, together
        self.kind = kind_of(spec.kind)
        self.files: dict[str, Path] = {}
        self.words: list[Piece] | None = None
        path = Path(text).expanduser()
        there = path.exists() if len(text) < 1000 and "\n" not in text else False
        if there and not isinstance(self.kind, Reads):
            raise GanvasError(f"--{name}: there is no way yet to read files of {self.kind.says.noun} here")
        listed = [path] if path.is_file() else sorted(path.iterdir()) if there and own else []
        mine = [file for file in listed if file.suffix.lower() in own]
        if mine:
            self.files = {stem(file.name): file for file in mine}
        elif there:
            self.files = {stem(found): file for file, found in wholes_of(files_of(path, self.kind), self.kind)}
        elif isinstance(self.kind, Worded):
            record, notes = self.kind.encode_text(text, spec)
            self.words = [Piece(record, spec, tuple(notes))]
        else:
            raise GanvasError(f"--{name} {text}: no such file or folder")

    @property
    def told(self) -> str:
        """What was given, without a place on this machine."""
        return self.text if self.words is not None else Path(self.text).name

    def all(self) -> list[Piece]:
        """Everything that was given, in order. Raises DataError for a file that cannot be read."""
        if self.words is not None:
            return self.words
        return [piece for path in self.files.values() for piece in self._read(path)]

    def _read(self, path: Path) -> list[Piece]:
        assert isinstance(self.kind, Reads)
        own = self.own.get(path.suffix.lower())
        return list(self.kind.read(path, self.spec, self.settings)) if own is None else [own(path, self.spec)]

    def of(self, name: str) -> list[Piece]:
        """What belongs to the input of that name (without suffix): the file of that name, or the only one there is.

        Raises DataError when there is none, or it cannot be read.
        """
        if self.words is not None or self.together:
            return self.all()
        if len(self.files) == 1:
            (path,) = self.files.values()
        else:
            near = [path for found, path in self.files.items() if Path(found).name == Path(name).name]
            found = self.files.get(name) or (near[0] if len(near) == 1 else None)
            if found is None:
                raise DataError(f"{name}: no {self.name} of that name in {self.text}")
            path = found
        return self._read(path)


def given_fields(use: Use, work: Work, given: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, GivenField]:
    """The further fields of a use, opened. given: name -> file, folder or words. settings: as kinds read with.

    Raises GanvasError for a field that it does not take, and for one that it needs and was not given.
    """
    _, more = fields_taken(use, work.system, work.fields)
    for name in given:
        if name not in more:
            known = f"takes {', '.join(more)}" if more else "takes no further field"
            raise GanvasError(f"--{name}: {work.name} {known} to {use.verb}{did_you_mean(name, list(more))}")
    found = set(use.brings) if use.complete is not None else set()  # in the files themselves, perhaps
    lacking = [name for name, must in more.items() if must and name not in given and name not in found]
    if lacking:
        raise GanvasError(f"{work.name} needs a {lacking[0]} to {use.verb}: add  --with {lacking[0]}=FILE")
    first, _ = fields_taken(use, work.system, work.fields)
    flowing = None if first is None else spec_given(use, work, first).kind
    found_fields = {}
    for name, text in given.items():
        spec, together = spec_given(use, work, name), name in use.together
        # Beside something else, a film is taken whole; beside a film, window by window. Of pictures that go together nothing
        # is cut off.
        own = {**settings, "whole": spec.kind != flowing, **({"fit": settings.get("fit") or "stretch"} if together else {})}
        reads = use.reads if name in use.brings else {}
        found_fields[name] = GivenField(name, str(text), spec, own, reads, together)
    return found_fields


def sorted_out(use: Use, work: Work, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """(options, fields) of what a user gave by name. A name that is both is an option, where the use takes no such field."""
    needed = fields_taken(use, work.system, work.fields)[1]
    own = {knob.name for knob in knobs(use.Options)} - set(needed)
    taken = {*list(work.fields)[1:], *needed} - own
    fields = {name: value for name, value in given.items() if name in taken}
    return {name: value for name, value in given.items() if name not in fields}, fields
