"""Small forms of pictures, for lists with many of them: made once, named after what they were made of. Not for results."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

MOST = 16_000  # bytes: of noise a small picture is large, and the first page shows several


def small_picture(path: Path, folder: Path, width: int) -> Path:
    """The upper left part of a picture, a square of it, at most `width` pixels wide, as a WebP of `MOST` bytes in `folder`."""
    found = path.stat()
    key = hashlib.sha256(f"{path}:{found.st_mtime_ns}:{found.st_size}:{width}:{MOST}".encode()).hexdigest()[:24]
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
        half.write_bytes(_packed(cut))
        os.replace(half, place)
    return place


def _packed(picture: Any) -> bytes:
    """As well as `MOST` bytes allow."""
    while True:
        for quality in (80, 50, 20):
            held = io.BytesIO()
            picture.save(held, format="WEBP", quality=quality)
            if held.tell() <= MOST:
                return held.getvalue()
        picture = picture.reduce(2)
