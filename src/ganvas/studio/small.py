"""Small forms of pictures, for lists with many of them: made once, named after what they were made of. Not for results."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def small_picture(path: Path, folder: Path, width: int) -> Path:
    """The upper left part of a picture, a square of it, `width` pixels wide, as a WebP in `folder`."""
    found = path.stat()
    key = hashlib.sha256(f"{path}:{found.st_mtime_ns}:{found.st_size}:{width}".encode()).hexdigest()[:24]
    place = folder / f"{key}.webp"
    if not place.is_file():
        from PIL import Image

        with Image.open(path) as image:
            side = min(image.size)
            # Of a grid the first quarter: at that size one still sees what the samples are.
            part = side if side <= 2 * width else max(2 * width, side // 2)
            cut = image.convert("RGB").crop((0, 0, part, part))
        cut.thumbnail((width, width), Image.Resampling.LANCZOS)
        half = place.with_name(f".{place.name}.{os.getpid()}")
        cut.save(half, format="WEBP", quality=80)
        os.replace(half, place)
    return place
