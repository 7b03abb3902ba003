"""A first look at data, before it is decoded: which size most of its pictures have. Reads a few files, caches nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...store.listing import Source, list_files
from ...store.packed import PackedSource

LOOKED_AT = 24
NATIVE_SIDE = 96  # images up to this size are trained as they are; larger ones are first shrunk to SMALL_SIDE
SMALL_SIDE = 64
ORIENTATION = 0x0112  # of EXIF


def suitable_size(height: int, width: int) -> tuple[int, int]:
    """The size a run trains at when none is asked for: the own one up to 96 pixels, else 64 on the short side."""
    if max(height, width) <= NATIVE_SIDE:
        return height, width
    scale = SMALL_SIDE / min(height, width)
    return round(height * scale / 4) * 4, round(width * scale / 4) * 4


def suitable_size_of(source: Any) -> tuple[int, int] | int:
    """`suitable_size` of what `open_data` takes; 64 where nothing says a size (a phantom, a place that is not there)."""
    native = native_size(source)
    return SMALL_SIDE if native is None else suitable_size(*native)


def native_size(source: Any) -> tuple[int, int] | None:
    """(height, width) of most pictures among a few spread over the data; None for phantoms, which have none.

    Raises DataError when no file can be read.
    """
    if isinstance(source, np.ndarray):
        return _array_size(source.shape)
    from .readers import SUFFIXES, read, readable

    place = source if isinstance(source, Source) else Source(Path(source).expanduser())
    if isinstance(place, PackedSource):
        from .members import first_sizes

        return first_sizes(place, LOOKED_AT).most_common(1)[0][0]
    if not place.path.exists():  # a phantom, or left to `open_data`, which knows names that are near
        return None
    files = list_files(place, tuple(SUFFIXES), "images", readable).files
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


def sides_of(path: Path) -> tuple[int, int] | None:
    """(height, width) of a PNG, JPEG, BMP, GIF, WebP or TIFF file as it is shown, by its head; None for any other."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            turned = int(image.getexif().get(ORIENTATION, 1)) >= 5
            width, height = image.size
    except Exception:  # whatever is wrong with it is said where it is read
        return None
    return (width, height) if turned else (height, width)
