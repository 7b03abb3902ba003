"""Which files the studio may touch: everything goes through here. It writes below the folder of runs alone, and reads data
below folders that were named.

A path from outside is text; what comes back is a path that exists where it is allowed to, links followed. Not for what is in
files.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import GanvasError
from ..files import disk_errors
from ..run.settings import FILE

OWN = ".studio"  # in the folder of runs: jobs, uploads, results, small pictures
DEEP = 3  # folders below the runs in which a run may lie
KEPT = 7 * 86400.0  # seconds that uploads and results are kept
NAME = re.compile(r"[\w][\w .+@()-]{0,99}")


class Refused(GanvasError):
    """A path that may not be touched, or does not exist: which of the two is not told."""


class Places:
    """runs: the folder of run folders, made if it is absent. data: folders below which data may be read."""

    def __init__(self, runs: Path, data: Sequence[Path] = ()) -> None:
        self.given = runs
        with disk_errors(runs):
            runs.mkdir(parents=True, exist_ok=True)
        self.runs = runs.resolve()
        self.data = tuple(folder.resolve() for folder in data)
        for name in ("jobs", "uploads", "made", "small"):
            with disk_errors(self.runs / OWN):
                (self.runs / OWN / name).mkdir(parents=True, exist_ok=True)

    def own(self, part: str) -> Path:
        """A folder of the studio's own: `jobs`, `uploads`, `made` or `small`."""
        return self.runs / OWN / part

    def tidy(self, seconds: float = KEPT) -> None:
        """Remove uploads, results and small pictures that nobody has touched for so long."""
        for part in ("uploads", "made", "small"):
            for path in self.own(part).iterdir():
                with contextlib.suppress(OSError):
                    if time.time() - path.lstat().st_mtime < seconds:
                        continue
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink()

    # Runs

    def run(self, name: str) -> Path:
        """The folder of a run by its name, relative to the folder of runs. Raises Refused."""
        path = inside(self.runs, name)
        if len(path.relative_to(self.runs).parts) > DEEP or not (path / FILE).is_file():
            raise Refused(f"there is no run '{name}'")
        return path

    def run_file(self, name: str, file: str) -> Path:
        """A file of a run. Raises Refused."""
        path = inside(self.run(name), file)
        if not path.is_file():
            raise Refused(f"the run has no file '{file}'")
        return path

    def all_runs(self) -> Iterator[str]:
        """The names of all runs, in no order."""
        yield from _runs_below(self.runs, "", DEEP)

    def new_run(self, name: str) -> Path:
        """A folder that a new run may have. Raises GanvasError for a name that is taken or is none."""
        if not NAME.fullmatch(name):
            raise GanvasError(f"'{name}' is no name for a run: use letters, digits, - and _")
        path = self.runs / name
        if path.exists():
            raise GanvasError(f"there is a run '{name}' already: choose another name")
        return path

    def free_run(self, stem: str) -> str:
        """`stem`-1, or the first number that is free."""
        plain = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:60] or "run"
        number = 1
        while (self.runs / f"{plain}-{number}").exists() or (self.own("jobs") / f"{plain}-{number}.json").exists():
            number += 1
        return f"{plain}-{number}"

    def told(self, path: Path) -> str:
        """A path below the folder of runs as the user would type it."""
        try:
            return str(self.given / path.relative_to(self.runs))
        except ValueError:
            return str(path)

    # Data

    def data_path(self, text: str) -> Path:
        """Data that may be read: below a folder that was named, or among the uploads. Raises Refused."""
        if "\0" in text:
            raise Refused("there is no such data")
        path = Path(text).expanduser()
        if not path.is_absolute():
            path = Path.cwd() / path
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError):
            raise Refused(f"{text}: there is no such data below the folders of the studio") from None
        if not any(real == root or root in real.parents for root in (*self.data, self.own("uploads"))):
            raise Refused(f"{text} lies outside the folders of data: start with  ganvas studio --data FOLDER")
        return real

    def folders(self, text: str) -> list[Path]:
        """The folders in a folder of data, by name; links that lead outside are left out. Raises Refused."""
        top = self.data_path(text)
        found = []
        for path in sorted(top.iterdir()) if top.is_dir() else ():
            if path.name.startswith(".") or not path.is_dir():
                continue
            try:
                found.append(self.data_path(str(path)))
            except Refused:
                continue
        return found

    # What comes from the browser, and what is made for it

    def upload(self, name: str) -> Path:
        """A new place for a file from the browser, which keeps the name that it has as far as that is one."""
        kept = re.sub(r"[^\w. +@()-]", "_", name.replace("\\", "/").rpartition("/")[2]).lstrip(". ")[-100:] or "file"
        folder = self.own("uploads") / secrets.token_hex(8)
        with disk_errors(folder):
            folder.mkdir()
        return folder / kept

    def uploaded(self, number: str) -> Path:
        """A file from the browser by the number of its folder. Raises Refused."""
        folder = self._numbered("uploads", number)
        files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
        if len(files) != 1:
            raise Refused("there is no such upload")
        return files[0]

    def made(self, number: str | None = None) -> Path:
        """The folder of results of that number, or a new one that does not exist yet. Raises Refused."""
        return self.own("made") / secrets.token_hex(8) if number is None else self._numbered("made", number)

    def _numbered(self, part: str, number: str) -> Path:
        folder = self.own(part) / number
        if not re.fullmatch(r"[0-9a-f]{16}", number) or not folder.is_dir():
            raise Refused("there is nothing of that number")
        return folder


def inside(root: Path, name: str) -> Path:
    """The path of `name` below `root`, which exists and lies there when links are followed; hidden parts are not served.

    Raises Refused for anything else: absolute names, `..`, other systems' separators, a null.
    """
    parts = name.split("/")
    odd = any(part in ("", ".", "..") or part.startswith(".") for part in parts)
    if odd or "\\" in name or "\0" in name or Path(name).is_absolute() or len(name) > 500:
        raise Refused(f"there is no '{name[:60]}' here")
    try:
        real = (root / name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise Refused(f"there is no '{name[:60]}' here") from None
    if root.resolve() not in real.parents:
        raise Refused(f"there is no '{name[:60]}' here")
    return real


def _runs_below(folder: Path, before: str, deep: int) -> Iterator[str]:
    import os

    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
            continue
        if os.path.isfile(os.path.join(entry.path, FILE)):
            yield before + entry.name
        elif deep > 1:
            yield from _runs_below(Path(entry.path), f"{before}{entry.name}/", deep - 1)
