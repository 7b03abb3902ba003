"""Writing that cannot leave half a file behind, and that speaks plainly when the disk says no."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import GanvasError, RunError


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError while writing `path` into one line that says what to do. Nothing saved before is touched."""
    try:
        yield
    except OSError as error:
        raise RunError(_explain(error, path)) from error


def _explain(error: OSError, path: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: could not write {path}; what was saved before is intact. Free some space and resume"
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"no permission to write {path}: make the folder writable, or choose another with --out"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"{path.parent} is gone (deleted or moved while in use): nothing more can be saved there"
    return f"could not write {path}: {error.strerror or error}"


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to a neighbour of `path`, flush it to the disk, then rename: either the old file or the new one.

    Raises RunError in one line.
    """
    with disk_errors(path):
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


@contextlib.contextmanager
def held(run: Path) -> Iterator[None]:
    """Hold a run folder, so that no other process trains in it; the system lets go when the process ends, however it ends.

    Raises GanvasError when another process holds it, RunError when the folder cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    with disk_errors(run / ".lock"):
        handle = os.open(run / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        for patience in (0.05, 0.05, None):  # whoever asks `holder` has the lock for some microseconds
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if patience is None:
                    told = f"{run} is being trained by another process: wait until it ends, or stop it first"
                    raise GanvasError(told) from None
                time.sleep(patience)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(handle)


def sign(run: Path) -> None:
    """Write into the lock file of a folder that this process holds which one it is (`holder`)."""
    with contextlib.suppress(OSError):
        (run / ".lock").write_text(str(os.getpid()))


def holder(run: Path) -> int | None:
    """The number of the process that trains in a run folder; None where none does, 0 where it is not known which."""
    try:
        import fcntl

        handle = os.open(run / ".lock", os.O_RDWR)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(handle, 32).strip()
        return int(text) if text.isdigit() else 0
    except OSError:
        return None
    finally:
        os.close(handle)
    return None


def write_json(path: Path, value: Any) -> None:
    """`value` as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def sync_folder(path: Path) -> None:
    """Flush a folder's entries (renames in it) to the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
