"""Brush strokes as files give them: a list in JSON, or a picture that is painted where strokes are. Not for following them
(`inference.strokes`).

    {"width": 400, "height": 300, "strokes": [{"x": 120, "y": 80, "radius": 15, "colour": "#c03020", "strength": 1}]}

x and y are in pixels of the picture from its upper left corner, later strokes lie on earlier ones; width and height, of the
picture that was painted on, and strength (above 0, at most 1) may be left out, and so may all but the list itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, did_you_mean
from ..kinds.facets import Piece

KEYS = ("x", "y", "radius", "colour", "strength")
EXAMPLE = '{"x": 30, "y": 20, "radius": 5, "colour": "#c03020"}'
UNLIKE = 0.1  # of the range: a pixel of a copy of the picture that differs by more was painted
MOST = 0.9  # of a picture: with more these are no strokes


@dataclass(frozen=True)
class Recorded:
    """In the place of a spec: strokes whose picture is not known yet. size: (height, width) of that which was painted on."""

    name: str
    size: tuple[int, int] | None


def read_strokes(path: Path, spec: Any) -> Piece:
    """A file of strokes -> records (1, strokes, 7): x, y, radius, red, green, blue (0 to 1), strength. Raises DataError."""
    name = path.name
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: cannot be read as text ({type(error).__name__}): strokes are a list in JSON") from error
    except ValueError as error:
        raise DataError(f"{name}: no JSON ({error}): write a list of strokes such as [{EXAMPLE}]") from error
    size = None
    if isinstance(found, dict):
        if "width" in found and "height" in found:
            size = (int(_number(name, "height", found["height"])), int(_number(name, "width", found["width"])))
        found = found.get("strokes")
    if not isinstance(found, list) or not found:
        raise DataError(f"{name}: holds no strokes: write a list of them such as [{EXAMPLE}]")
    rows = [_row(f"{name}, stroke {number}", stroke) for number, stroke in enumerate(found, start=1)]
    return Piece(np.array([rows], np.float32), Recorded(name, size))


def _row(where: str, stroke: Any) -> list[float]:
    if not isinstance(stroke, Mapping):
        raise DataError(f"{where}: is no stroke: write {EXAMPLE}")
    given = {"colour" if key == "color" else key: value for key, value in stroke.items()}
    for key in given:
        if key not in KEYS:
            raise DataError(f"{where}: unknown '{key}'{did_you_mean(str(key), list(KEYS))}: a stroke has {', '.join(KEYS)}")
    lacking = [key for key in KEYS[:4] if key not in given]
    if lacking:
        raise DataError(f"{where}: has no {lacking[0]}: write {EXAMPLE}")
    x, y, radius = (_number(where, key, given[key]) for key in KEYS[:3])
    strength = _number(where, "strength", given.get("strength", 1.0))
    if radius <= 0:
        raise DataError(f"{where}: radius {radius:g}: it is more than 0, in pixels of the picture")
    if not 0 < strength <= 1:
        raise DataError(f"{where}: strength {strength:g}: it is more than 0 and at most 1")
    return [x, y, radius, *_colour(where, given["colour"]), strength]


def _number(where: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise DataError(f"{where}: {key} is {json.dumps(value)}: write a number")
    return float(value)


def _colour(where: str, value: Any) -> list[float]:
    """Shares of red, green and blue: of a name, #rrggbb, or three numbers from 0 to 255."""
    from PIL import ImageColor

    if isinstance(value, str):
        try:
            return [part / 255 for part in ImageColor.getrgb(value)[:3]]
        except ValueError:
            pass
    elif isinstance(value, list) and len(value) == 3:
        parts = [_number(where, "colour", part) for part in value]
        if all(0 <= part <= 255 for part in parts):
            return [part / 255 for part in parts]
    raise DataError(f"{where}: unknown colour {json.dumps(value)}: write #rrggbb, a name such as red, or [r, g, b] up to 255")


def _shares(piece: Piece) -> np.ndarray:
    """Records as shares of their range, 0 to 1."""
    low, high = piece.spec.low, piece.spec.high
    return np.asarray(((piece.records.astype(np.float32) - low) / (high - low)).clip(0, 1))


def settled(name: str, strokes: Piece, picture: Piece, spec: Any) -> Piece:
    """Strokes as a picture of the size of `picture` (1, H, W, C + 1): colours, and how strong a stroke is there, 0 to 255.

    spec: of that picture, in 8 bits. Raises DataError for strokes outside it, of another size, none, or all over.
    """
    height, width, channels = picture.records.shape[1:]
    if isinstance(strokes.spec, Recorded):
        colours, strength = _drawn(name, strokes, height, width, channels)
    else:
        own = _shares(strokes)[:1]
        if own.shape[1:3] != (height, width):
            told = f"{own.shape[2]}x{own.shape[1]}, it is of {width}x{height}"
            raise DataError(f"{name}: its strokes are of {told}: paint them on a picture of the same size")
        colours = own[0]
        if strokes.clear is not None:
            strength = 1 - strokes.clear[0]
        else:
            strength = (np.abs(own - _shares(picture)[:1]) > UNLIKE).any(-1)[0].astype(np.float32)
    share = float((strength > 0).mean())
    if not share:
        raise DataError(
            f"{name}: no stroke is on it: paint on a transparent picture or on a copy of it, or give a list in JSON"
        )
    if share > MOST:
        raise DataError(f"{name}: its strokes cover {share:.0%} of it: leave transparent what is to stay")
    shown = np.where(strength[..., None] > 0, np.round(255 * colours), 127.5)
    records = np.concatenate([shown, 255 * strength[..., None]], -1).astype(np.float32)[None]
    note = f"{name}: strokes on {share:.1%} of it"
    return Piece(records, replace(spec, channels=channels + 1, depth=32), (note,))


def _drawn(name: str, strokes: Piece, height: int, width: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    where, size = strokes.spec.name, strokes.spec.size
    if size is not None and size != (height, width):
        told = f"{size[1]}x{size[0]}, {name} is of {width}x{height}"
        raise DataError(
            f"{where}: was painted on a picture of {told}: give the picture that it belongs to, or leave out the size"
        )
    colours, strength = np.zeros((height, width, channels), np.float32), np.zeros((height, width), np.float32)
    rows, columns = np.mgrid[:height, :width] + 0.5
    for number, (x, y, radius, *colour, strong) in enumerate(strokes.records[0].tolist(), start=1):
        there = np.hypot(columns - x, rows - y) <= max(radius, 0.71)  # half the diagonal of a pixel: a dot is never nothing
        if not there.any():
            raise DataError(
                f"{where}, stroke {number}: ({x:g}, {y:g}) with radius {radius:g} lies outside {name}, which is {width} wide "
                f"and {height} high: x and y are its pixels"
            )
        colours[there] = colour if channels == 3 else np.dot(colour, (0.299, 0.587, 0.114))
        strength[there] = strong
    return colours, strength
