"""Features kept on disk, so that the real data goes through an extractor once and not at every evaluation.

A file is named after the content of the images (SHA-256 of type, shape and every byte) and the name of the extractor,
which tells its weights and settings; so it cannot be taken for that of other data. It is written beside its place and
renamed when complete: of two processes that make the same features at once, either file is right. Each ends with a
checksum. Not for generated images, which are new every time, and not for decoded data (`ganvas.store.cache`), whose folder
it shares.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.metrics.measure import Measure
from ganvas.store.cache import cache_folder, digest

if TYPE_CHECKING:
    from ganvas.metrics.features import Extractor

KEPT_DAYS = 90
"""Files that nobody has read for so long are removed when the next is written."""

_BLOCK = 2**26  # bytes that are hashed at a time


def cached_features(
    images: Any, extractor: Extractor, *, key: str | None = None, cache: Path | None = None, notes: list[str] | None = None
) -> np.ndarray:
    """`extractor.features(images)`, (N, d) float32, from disk where they were made before.

    key: a name of the content that is known already (a data set's fingerprint together with which records were taken); by
    default `content_key(images)`, which reads every byte. cache: the cache folder; by default `$GANVAS_CACHE`, else the
    user's. notes: gets a line when a kept file was damaged (the features are then made anew) or cannot be written (they
    are then only returned); without it the line is a warning. Raises what the extractor raises.
    """
    said: list[str] = []
    name = digest("features", 1, content_key(images) if key is None else key, extractor.name)
    path = cache_folder(cache) / "features" / f"{name}.npy"
    features = _read(path, (len(images), extractor.dimensions), said)
    if features is None:
        features = np.ascontiguousarray(extractor.features(images), np.float32)
        stream = io.BytesIO()
        np.save(stream, features, allow_pickle=False)
        content = stream.getvalue()
        failed = write_kept(path, content + hashlib.sha256(content).digest())
        if failed:
            said.append(failed)
    pass_on(said, notes)
    return features


def pass_on(said: list[str], notes: list[str] | None) -> None:
    """Add what is worth knowing to `notes`; without them, warn."""
    for line in said:
        if notes is None:
            warnings.warn(line, stacklevel=3)
        else:
            notes.append(line)


def cached_measure(
    make: Callable[[], Measure], key: Sequence[Any], *, cache: Path | None = None, notes: list[str] | None = None
) -> Measure:
    """`make()`, from disk where it was made before: for a measure that takes seconds and whose inputs are known by content.

    key: everything the number depends on; arrays are read byte by byte. A file that does not read is made anew. notes: gets
    a line when it cannot be written.
    """
    parts = [content_key(part) if isinstance(part, np.ndarray) else part for part in key]
    path = cache_folder(cache) / "measures" / f"{digest('measure', 1, parts)}.json"
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return Measure(held["value"], held["protocol"], held["low"], held["high"], held["more"])
    except (OSError, ValueError, KeyError, TypeError):
        made = make()
    failed = write_kept(path, json.dumps(asdict(made)).encode())
    if failed and notes is not None and failed not in notes:
        notes.append(failed)
    return made


def content_key(images: Any) -> str:
    """SHA-256 of the type, shape and values of an array or tensor, 64 hexadecimal digits; read in blocks."""
    array = images.detach().cpu().numpy() if hasattr(images, "detach") else np.asanyarray(images)
    total = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    step = max(1, _BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        total.update(np.ascontiguousarray(array[start : start + step]).data)
    return total.hexdigest()


def write_kept(path: Path, content: bytes) -> str | None:
    """Write a file of the cache in one step, and remove those long unused. A note instead of an error when that fails."""
    temporary = path.with_name(f".{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        return (
            f"{path.parent}: could not be written ({error.strerror or error}), so this will be computed again next time: "
            "make room there, or set GANVAS_CACHE to a folder that you may write to"
        )
    with contextlib.suppress(OSError):
        for other in path.parent.iterdir():
            days = 1 if other.name.startswith(".") else KEPT_DAYS  # a dot: left by a process that was killed
            with contextlib.suppress(OSError):
                if other.stat().st_mtime < time.time() - days * 86400:
                    other.unlink()
    return None


def _read(path: Path, shape: tuple[int, int], said: list[str]) -> np.ndarray | None:
    """The features in a file, or None; adds a note when there is a file but it is not as it was written."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        said.append(f"{path}: kept features cannot be read ({error.strerror or error}) and have been made anew")
        return None
    body = content[:-32]
    if hashlib.sha256(body).digest() != content[-32:]:
        said.append(f"{path}: kept features were damaged and have been made anew")
        return None
    features: np.ndarray = np.load(io.BytesIO(body), allow_pickle=False)
    if features.shape != shape:
        said.append(
            f"{path}: kept features have shape {features.shape}, not {shape}, and have been made anew (was `key` right?)"
        )
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used now
    return features
