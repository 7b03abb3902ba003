"""Folders of results: old and new never under one numbering, and nothing unfinished that looks whole.

Every command that writes a folder of results writes it through `results`. Not for run folders, which grow (`train`), nor for
single files (`files.write_atomically`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GanvasError
from ..files import disk_errors, write_json
from ..kinds import Kind
from ..kinds.facets import MayBeEmpty
from ..store.listing import RESULTS
from ..version import __version__

if TYPE_CHECKING:
    import numpy as np

RECORD = RESULTS  # --overwrite removes the files that it names and no others
LOCK = ".lock"


def check_free(target: Path, overwrite: bool = False) -> None:
    """Raise GanvasError unless results may go into the folder `target`.

    They may when it is absent or empty, and with `overwrite` when it holds nothing but results that ganvas wrote before.
    """
    if target.exists() and not target.is_dir():
        raise GanvasError(f"--out {target} is a file: name a folder")
    there = _visible(target)
    if not there:
        return
    if not overwrite:
        raise GanvasError(
            f"{target} is not empty, and results of two calls are not mixed: choose another --out, or add --overwrite to "
            "replace what ganvas wrote there"
        )
    foreign = [name for name in there if name not in _recorded(target)]
    if foreign:
        raise GanvasError(
            f"--overwrite replaces only what ganvas wrote, and {target} holds other files ({foreign[0]}"
            f"{f' and {len(foreign) - 1} more' if len(foreign) > 1 else ''}): choose another --out"
        )


def check_free_file(path: Path, overwrite: bool = False) -> None:
    """Raise GanvasError when there is already a file `path` and it may not be replaced."""
    if path.exists() and not path.is_dir() and not overwrite:
        raise GanvasError(f"{path} exists: choose another --out, or add --overwrite to replace it")


def filled(kind: Kind, records: np.ndarray, what: str) -> tuple[np.ndarray, list[str]]:
    """Which of records (N, ...) in file units have something in them, and are to be written: (N,) bool, and what to tell.

    what: what they came from, for messages. Raises GanvasError when none has.
    """
    import numpy as np

    if not isinstance(kind, MayBeEmpty):
        return np.ones(len(records), bool), []
    void = kind.empty(records)
    if void.all():
        raise GanvasError(f"{what}: all {len(void)} {kind.says.noun} are empty: train on before you write any")
    return ~void, [f"{void.sum()} of {len(void)} {kind.says.noun} are empty: not written"] if void.any() else []


def free_name(target: Path) -> Path:
    """`target`, or the first of `target`-2, `target`-3 ... that is absent or empty."""
    number, name = 1, target
    while name.exists() and (not name.is_dir() or _visible(name)):
        number += 1
        name = target.with_name(f"{target.name}-{number}")
    return name


@contextlib.contextmanager
def results(target: Path, command: str, *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write results into. What is in it stands in `target` once the block has ended well; else it is gone.

    command: recorded, with the names of the files. A folder that is absent appears whole in one step; an empty one, or one
    whose results are replaced, is filled by renaming. A process that is killed leaves a hidden folder, which no command reads
    and the next call clears. Raises GanvasError as `check_free`, and for a folder that another process is filling.
    """
    check_free(target, overwrite)
    inside = target.is_dir()  # it may be the working folder or a mounted one, which cannot be renamed
    place = target / ".unfinished" if inside else target.with_name(f".{target.name}.unfinished")
    missing = [folder for folder in place.parents if not folder.exists()]
    with disk_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    handle = _locked(place, target)
    try:
        for old in place.iterdir():  # of a call that was killed
            if old.name != LOCK:
                _remove(old)
        yield place
        check_free(target, overwrite)
        (place / LOCK).unlink(missing_ok=True)
        files = sorted(
            path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file() and path.name != RECORD
        )
        with disk_errors(target):
            write_json(place / RECORD, {"ganvas": __version__, "command": command, "files": files})
            if inside:
                _clear(target)
                for entry in sorted(place.iterdir()):  # the record comes first: names with a dot do
                    os.replace(entry, target / entry.name)
            else:
                os.replace(place, target)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    finally:
        if handle is not None:
            os.close(handle)
        if inside:
            shutil.rmtree(place, ignore_errors=True)


def moved(paths: Sequence[str | Path], place: Path, target: Path) -> list[str]:
    """Where files that were written into `place` are once `results` has ended."""
    return [str(target / Path(path).relative_to(place)) for path in paths]


def _visible(folder: Path) -> list[str]:
    """Files below a folder, relative and with forward slashes, and empty folders; hidden ones left out."""
    if not folder.is_dir():
        return []
    found = []
    with disk_errors(folder):
        for root, inner, files in os.walk(folder):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            own = [name for name in files if not name.startswith(".")]
            names = own if own or inner or Path(root) == folder else [""]
            found += [(Path(root) / name).relative_to(folder).as_posix() for name in names]
    return sorted(found)


def _recorded(target: Path) -> set[str]:
    """The files that ganvas wrote into a folder, by its record."""
    try:
        names = json.loads((target / RECORD).read_text(encoding="utf-8"))["files"]
        return {str(name) for name in names}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _clear(target: Path) -> None:
    """Remove what the record names, and folders that are empty then."""
    for name in _recorded(target):
        path = target / name
        if ".." not in Path(name).parts and not Path(name).is_absolute():
            path.unlink(missing_ok=True)
            for folder in list(path.parents)[: len(Path(name).parts) - 1]:
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _locked(place: Path, target: Path) -> int | None:
    """An open lock on the unfinished folder; None where the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    with disk_errors(place):
        handle = os.open(place / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise GanvasError(f"another process is writing into {target}: wait until it ends, or choose another --out") from None
    except OSError:  # a file system without locks
        pass
    return handle
