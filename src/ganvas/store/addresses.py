"""Places in an object store or on the web, through fsspec and only where a user named one: what lies there, and its state.

Not for keeping what was fetched (`store.reader`), nor for what a shard holds (`store.shards`).
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import DataError, GanvasError, MissingExtra
from .guard import printable
from .listing import natural

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
TELLING = ("size", "ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created", "md5Hash", "checksum")
"""What a store says of a file that tells one state of it from another."""


def is_address(text: str) -> bool:
    """Whether it names a place in an object store or on the web: `s3://`, `gs://`, `https://` ..."""
    return ADDRESS.match(text) is not None


def stored(address: str) -> list[str]:
    """Places at an address: itself, what a star stands for, or the .tar files of a folder."""
    if address.lower().partition("?")[0].endswith(".tar") and "*" not in address:
        return [address]
    files, path = system_of(address)
    with reaching(address):
        wanted = path if "*" in path else f"{path.rstrip('/')}/*.tar"
        return [files.unstrip_protocol(name) for name in sorted(files.glob(wanted), key=natural)]


def system_of(address: str) -> tuple[Any, str]:
    """(the file system of fsspec, the path in it). Raises MissingExtra, GanvasError."""
    try:
        import fsspec
    except ImportError:
        raise MissingExtra("fsspec", "remote") from None
    with reaching(address):
        system, path = fsspec.core.url_to_fs(address)
        return system, str(path)


def info_of(address: str) -> dict[str, Any]:
    """What the store says of a file."""
    files, path = system_of(address)
    with reaching(address):
        return dict(files.info(path))


class reaching:  # a word of `with`
    """Every failure of a store is a DataError of one line."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, GanvasError) or not isinstance(error, Exception):
            return
        words = printable(str(error))[:160] or type(error).__name__
        if isinstance(error, ImportError | ValueError):  # no package for it, or no such protocol
            raise GanvasError(f"{self.address}: cannot be read here ({words})") from None
        if isinstance(error, FileNotFoundError):
            raise DataError(f"{self.address}: is not there") from None
        raise DataError(f"{self.address}: cannot be reached ({words}): try again, or copy the shards to disk") from None
