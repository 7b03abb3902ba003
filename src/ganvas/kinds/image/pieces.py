"""Images that a trained run is put to use on: read with their own size, depth and range, written in the form they came in.

A 16-bit TIFF gives a 16-bit TIFF, a NIfTI volume a volume at the same place in space. Not for data sets (`filling`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, GanvasError
from ...files import disk_errors, write_atomically
from ..facets import Piece
from .filling import file_kind, white_of
from .picture import Picture
from .readers import read
from .resize import carried, convert_channels, records_of
from .spec import ImageSpec
from .writers import FORMATS, write_dicom, write_image, write_nifti, write_nifti_like

KEPT = {".png": "png", ".tif": "tiff", ".tiff": "tiff", ".webp": "webp", ".npy": "npz", ".npz": "npz"}  # JPEG becomes PNG


def format_like(path: Path) -> str:
    """See `facets.WritesLike`."""
    kind = file_kind(path)
    return kind if kind in ("dicom", "nifti") else KEPT.get(path.suffix.lower(), "png")


def axis_of(spec: ImageSpec, settings: Mapping[str, Any]) -> int | None:
    """Along which volumes are cut: as in training, where all were cut along one."""
    chosen: int | None = settings.get("axis")
    return spec.axis if chosen is None else chosen


def read_pieces(path: Path, spec: ImageSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
    """A piece a picture, (1, H, W, C), or one a frame of a sheet; see `facets.Reads`."""
    pictures = list(read(path, axis=axis_of(spec, settings)))
    if not pictures:
        raise DataError(f"{path}: holds no picture")
    most = max(float(picture.pixels.max()) for picture in pictures)
    for picture in pictures:
        notes = [f"{path.name}: {warning}" for warning in picture.warnings]
        pixels, own = _fitting(picture, path, spec, most, notes)
        whole = settings.get("fit") is None
        try:
            parts = records_of(pixels, (spec.height, spec.width), settings.get("fit"))
        except GanvasError as error:
            raise DataError(f"{path}: {error}") from error
        own = replace(own, height=parts[0].shape[0], width=parts[0].shape[1], axis=axis_of(spec, settings))
        for number, part in enumerate(parts):
            clear = picture.clear[None] if whole and picture.clear is not None else None
            yield Piece(part[None], own, tuple(notes) if not number else (), clear)


def _fitting(
    picture: Picture, path: Path, spec: ImageSpec, most: float, notes: list[str]
) -> tuple[np.ndarray, ImageSpec]:  # fmt: skip
    """Pixels with the channels that the run works on, and which of their values are black and white."""
    try:
        pixels = convert_channels(picture.pixels, spec.channels)
    except GanvasError as error:
        raise DataError(f"{path}: {error}") from error
    if pixels.shape[2] != picture.pixels.shape[2]:
        notes.append(f"{path.name}: turned into {'grey' if spec.channels == 1 else 'colour'}, which the run works on")
    low, high = _range(picture, path, spec, most, notes)
    if not high > low:
        low, high = (float(q) for q in np.percentile(pixels, (0.1, 99.9)))
        high = high if high > low else low + 1.0
        notes.append(f"{path.name}: declares no range; its 0.1 % and 99.9 % quantiles are taken for black and white")
    height, width = pixels.shape[:2]
    return pixels, ImageSpec(spec.channels, height, width, picture.depth, low, high, spacing=picture.spacing)


def _range(picture: Picture, path: Path, spec: ImageSpec, most: float, notes: list[str]) -> tuple[float, float]:
    """(black, white) by the rules of training; not high > low where neither the file nor the run says them.

    A file of 8 or 16 bits that declares a range of its own (a window, the bits that are stored) is read by it. Else values
    mean what they meant in training, if the depth is that of training; if it is another, few bits used are known as such.
    most: the greatest value in the file.
    """
    low, high = picture.low, picture.high
    whole = {8: (0.0, 255.0), 16: (0.0, 65535.0)}.get(picture.depth)
    if whole is not None and high > low and (low, high) != whole:
        return low, high
    if picture.depth != spec.depth:
        if whole is not None and high > low:
            white = white_of(picture.depth, most)
            if white < high:
                used = f"{picture.depth}-bit file with values of at most {most:g}"
                notes.append(f"{path.name}: {used}: {white:g} counts as white")
            high = white
        return low, high
    beyond = float(((picture.pixels < spec.low) | (picture.pixels > spec.high)).mean())
    ends = f"{spec.low:g} to {spec.high:g}"
    if beyond > 0.1:
        notes.append(f"{path.name}: {beyond:.0%} of its values lie beyond {ends}, black and white in training")
    elif whole is not None and most < spec.low + (spec.high - spec.low) / 8:
        notes.append(f"{path.name}: nearly black: its values reach {most:g}, where {spec.high:g} was white in training")
    return spec.low, spec.high


def resized(spec: ImageSpec, shape: tuple[int, ...], like: ImageSpec | None, scale: int) -> ImageSpec:
    """See `facets.WritesLike`."""
    known = None if like is None else like.spacing
    spacing = None if known is None else (known[0] / scale, known[1] / scale)
    return replace(spec, channels=shape[0], height=shape[1], width=shape[2], spacing=spacing)


def write_like(
    pieces: Sequence[Piece], stem: Path, source: Path | None, *, format: str, settings: Mapping[str, Any], scale: int,
    note: Mapping[str, str],
) -> list[Path]:  # fmt: skip
    """One file, or one a picture where the format holds one; see `facets.WritesLike`."""
    results = [pixels for piece in pieces for pixels in piece.records]
    specs = [piece.spec for piece in pieces for _ in piece.records]
    path = stem.with_name(f"{stem.name}{FORMATS[format]}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if format == "npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=np.stack(results), note=np.array([f"{k}: {v}" for k, v in note.items()]))
        write_atomically(path, buffer.getvalue())
        return [path]
    if format == "nifti":
        if results[0].shape[2] != 1:
            raise GanvasError(f"NIfTI holds grey slices, not {results[0].shape[2]} channels: add --format tiff")
        stack = np.stack([picture[..., 0] for picture in results])
        if source is not None and source.name.lower().endswith((".nii", ".nii.gz")):
            write_nifti_like(path, stack, source, specs[0], axis=axis_of(specs[0], settings), scale=scale, note=note)
        else:
            write_nifti(path, stack, specs[0], note=note)
        return [path]
    written = []
    digits = max(4, len(str(len(results))))
    seed = int(settings.get("seed", 0))
    for number, (pixels, spec) in enumerate(zip(results, specs, strict=True), start=1):
        own = path if len(results) == 1 else path.with_name(f"{stem.name}-{number:0{digits}d}{path.suffix}")
        if format == "dicom":
            write_dicom(own, pixels, spec, note=note, seed=seed, index=number - 1)
        else:
            write_image(own, pixels, spec, note=note)
        written.append(own)
    return written


def map_back(
    maps: Sequence[np.ndarray], path: Path, stem: Path, spec: ImageSpec, settings: Mapping[str, Any], note: Mapping[str, str]
) -> list[Path]:
    """See `facets.MapsBack`: of a NIfTI volume, whose slices were brought to the size of the spec, a volume of its shape."""
    if file_kind(path) != "nifti":
        return []
    axis, fit = axis_of(spec, settings), settings.get("fit") or "crop"
    slices = [picture.pixels.shape[:2] for picture in read(path, axis=axis)]
    if len(slices) != len(maps):  # cut into several records each, which overlap
        return []
    stack = np.stack([_unplaced(found, sides, fit) for found, sides in zip(maps, slices, strict=True)])
    seen = np.isfinite(stack)
    least, most = float(stack[seen].min(initial=0.0)), float(stack[seen].max(initial=0.0))
    stack[~seen] = least - 1  # readers of NIfTI, ours among them, refuse NaN
    own = replace(spec, low=least, high=most)
    target = stem.with_name(f"{stem.name}{FORMATS['nifti']}")
    write_nifti_like(target, stack, path, own, axis=axis, note=note)
    return [target]


def _unplaced(found: np.ndarray, sides: tuple[int, int], fit: str) -> np.ndarray:
    """(H, W) float32 of `sides`: what `resize` took to the map (h, w), taken back; NaN where it shows nothing."""
    from scipy.ndimage import map_coordinates

    rows, columns = np.mgrid[: sides[0], : sides[1]]
    x, y = np.moveaxis(carried(np.stack([columns, rows], -1).astype(np.float64), sides, found.shape[:2], fit), -1, 0)
    inside = (x > -0.5) & (y > -0.5) & (x < found.shape[1] - 0.5) & (y < found.shape[0] - 0.5)
    taken = map_coordinates(found.astype(np.float32), [y, x], order=1, mode="nearest")
    return np.where(inside, taken, np.nan).astype(np.float32)


def mapped(pixels: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Image, image under its heat map, and map, side by side. pixels: (H, W, C) uint8. found: (H, W), 1 is the most."""
    from matplotlib import colormaps

    colour = pixels if pixels.shape[2] == 3 else np.repeat(pixels[..., :1], 3, axis=2)
    level = found.clip(0, 1)
    painted = colormaps["inferno"](level)[..., :3] * 255
    share = (0.75 * np.sqrt(level))[..., None]
    mixed = colour * (1 - share) + painted * share
    row = np.concatenate([colour, mixed.astype(np.uint8), painted.astype(np.uint8)], axis=1)
    factor = max(1, min(8, 256 // max(1, pixels.shape[0])))
    return np.ascontiguousarray(row.repeat(factor, axis=0).repeat(factor, axis=1))
