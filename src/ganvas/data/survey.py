"""A first look at data, before it is decoded: which size most of its pictures have. Reads a few files, caches nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError

LOOKED_AT = 24


def native_size(source: Any) -> tuple[int, int] | None:
    """(height, width) of most pictures among a few spread over the data; None for points and phantoms (they have none).

    Raises DataError when no file can be read.
    """
    if isinstance(source, np.ndarray):
        return _array_size(source.shape)
    from .phantoms import is_phantom

    if is_phantom(str(source)):
        return None
    from .listing import list_files
    from .readers import read

    path = Path(source)
    if path.suffix.lower() == ".csv" and path.is_file():
        return None
    files = [path] if path.is_file() else list(list_files(path).files)
    step = max(1, len(files) // LOOKED_AT)
    sizes: Counter[tuple[int, int]] = Counter()
    failure: DataError | None = None
    for file in files[::step]:
        try:
            picture = next(iter(read(file)))
        except DataError as error:
            failure = error
        except StopIteration:
            continue
        else:
            sizes[picture.pixels.shape[0], picture.pixels.shape[1]] += 1
    if not sizes and failure is not None and len(files) <= LOOKED_AT:
        raise failure
    return sizes.most_common(1)[0][0] if sizes else None


def _array_size(shape: tuple[int, ...]) -> tuple[int, int] | None:
    if len(shape) == 4 and shape[1] <= 8 < shape[3]:
        return shape[2], shape[3]
    return (shape[1], shape[2]) if len(shape) in (3, 4) else None
