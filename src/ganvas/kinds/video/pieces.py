"""Clips that a trained run is put to use on, window by window, so that a long film is never in memory; and what was made of
them, as a film with the times and the sound of the given one. Not for data sets (`filling`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, GanvasError
from ...files import disk_errors
from ...store.guard import failure
from ...store.listing import natural
from ..facets import Piece
from ..image.picture import PIXEL_LIMIT
from ..image.resize import convert_channels, resize
from .files import ARRAYS, MOVIES, PICTURES, Reel, bundles, frames_of, reels_of, shown_at
from .spec import VideoSpec
from .writing import Film, write_archive, write_clip

SHARED = 4  # of a window's frames, one in so many lies in the window before it too
MOST_VALUES = 4 * PIXEL_LIMIT  # of a clip that is read whole


# Reading


def files_in(path: Path) -> list[Path]:
    """A film; of a folder its pictures, in the order of their numbers. Raises DataError for a folder of several clips."""
    if not path.is_dir():
        return [path]
    names = sorted((own.name for own in path.iterdir() if own.suffix.lower() in PICTURES and own.name[0] != "."), key=natural)
    if not names:
        raise failure(path, "holds no frames", "give a film, or a folder of numbered PNG or JPEG")
    if len(heads := dict.fromkeys(bundles(names))) > 1:
        raise failure(path, f"holds frames of {len(heads)} clips", "put the frames of each into a folder of its own")
    return [path / name for name in names]


def pieces_in(path: Path, spec: VideoSpec, settings: Mapping[str, Any]) -> int:
    """How many pieces `read_pieces` gives of a file."""
    reels = reels_of(files_in(path))
    return sum(1 if _is_whole(reels, settings) else len(_windows(_length(reel, spec, settings), spec.frames)) for reel in reels)


def read_pieces(path: Path, spec: VideoSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
    """Windows of the spec's frames of a clip, at its own size, neighbours with frames in common; of the clips of an array file,
    each whole. With `fit` in the size and at the rate of the spec. See `facets.Reads`, `facets.Flows`; `whole` in the settings:
    a clip is one piece. Raises DataError."""
    reels = reels_of(files_in(path))
    for reel in reels:
        notes = [f"{path.name}: {note}" for note in reel.notes]
        if reel.channels != spec.channels and not (reel.grey and spec.channels == 1):
            notes.append(f"{path.name}: turned into {'grey' if spec.channels == 1 else 'colour'}, which the run works on")
        fit, length = settings.get("fit"), _length(reel, spec, settings)
        rate = max(1, round(reel.rate)) if reel.rate else spec.rate
        if fit is not None and not settings.get("whole"):
            if length < spec.frames:
                raise failure(path, f"has {length} frames at {spec.rate} a second", f"the run takes {spec.frames} or more")
            rate = spec.rate
        whole = _is_whole(reels, settings)
        size = (reel.height, reel.width) if fit is None else (spec.height, spec.width)
        if whole and length * size[0] * size[1] * spec.channels > MOST_VALUES:
            raise failure(path, f"is taken whole, and has {length} frames of {size[0]}x{size[1]}", "cut it, or make it smaller")
        if path.suffix.lower() in MOVIES and (size[0] % 2 or size[1] % 2):
            become = f"{size[1]}x{size[0]} becomes {size[1] + size[1] % 2}x{size[0] + size[0] % 2}"
            notes.append(f"{path.name}: films have even sides: {become} by repeating an edge (not with --format png)")
        windows = [(0, length)] if whole else _windows(length, spec.frames)
        own = VideoSpec(windows[0][1], *size, spec.channels, rate, reel.depth)
        yield from _cut(_frames(reel, path, spec, fit, rate if length != reel.frames else None), windows, own, tuple(notes))


def _is_whole(reels: list[Reel], settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("whole")) or (len(reels) > 1 and settings.get("fit") is None)


def _length(reel: Reel, spec: VideoSpec, settings: Mapping[str, Any]) -> int:
    """Frames that are worked on: all, or those shown at the rate of the spec where all must be of one form."""
    if settings.get("fit") is None or settings.get("whole"):
        return reel.frames
    return len(shown_at(reel, spec.rate))


def _windows(length: int, frames: int) -> list[tuple[int, int]]:
    """(first, end) of each window; the last one ends with the clip."""
    if length <= frames:
        return [(0, length)]
    step = frames - max(1, frames // SHARED)
    starts = [*range(0, length - frames, step), length - frames]
    return [(start, start + frames) for start in starts]


def _frames(reel: Reel, path: Path, spec: VideoSpec, fit: str | None, rate: int | None) -> Iterator[np.ndarray]:
    """Frames (H, W, C) one by one, with the channels of the spec, of its size where `fit` says how. rate: sampled anew."""
    places = None if rate is None else shown_at(reel, rate)
    for number, pixels in enumerate(frames_of(reel)):
        often = 1 if places is None else int((places == number).sum())
        if often:
            try:
                pixels = convert_channels(pixels, spec.channels)
                pixels = pixels if fit is None else resize(pixels, (spec.height, spec.width), fit)[0]
            except GanvasError as error:
                raise DataError(f"{path}: {error}") from error
        for _ in range(often):
            yield pixels


def _cut(
    frames: Iterator[np.ndarray], windows: list[tuple[int, int]], spec: VideoSpec, notes: tuple[str, ...]
) -> Iterator[Piece]:
    """One piece a window. No more than one window is held."""
    held: list[np.ndarray] = []
    first = end = 0
    for place, (start, stop) in enumerate(windows):
        held = held[start - first :]
        first, shared = start, max(0, end - start)
        while len(held) < stop - start:
            held.append(next(frames))
        end = stop
        clip = np.stack(held)[None]
        yield Piece(clip, replace(spec, frames=stop - start), notes if not place else (), follows=shared if place else None)
    for _ in frames:  # a film that is cut short says so at its end
        pass


# Writing


def format_like(path: Path) -> str:
    """GIF for GIF, frames for frames, arrays for arrays, MP4 for films."""
    suffix = path.suffix.lower()
    if suffix in MOVIES:
        return "mp4"
    return "npz" if suffix in ARRAYS else "gif" if suffix == ".gif" else "png"


def joined(pieces: Iterable[Piece]) -> Iterator[tuple[Iterator[np.ndarray], VideoSpec]]:
    """Each clip of the pieces as its frames (H, W, C), which must be taken before the next one; its spec is of a window.

    Frames that two windows have in common go over from one to the other.
    """
    queue = iter(pieces)
    waiting: list[Piece] = [first] if (first := next(queue, None)) is not None else []

    def frames() -> Iterator[np.ndarray]:
        held = waiting.pop().records[0]
        for piece in queue:
            if piece.follows is None:
                waiting.append(piece)
                break
            shared, new = piece.follows, piece.records[0]
            yield from held[: len(held) - shared]
            if shared:
                share = ((np.arange(shared) + 0.5) / shared).reshape(-1, 1, 1, 1).astype(np.float32)
                mixed = held[len(held) - shared :] * (1 - share) + new[:shared] * share
                held = np.concatenate([np.rint(mixed).astype(new.dtype), new[shared:]])
            else:
                held = new
        yield from held

    while waiting:
        yield frames(), waiting[0].spec


def write_like(
    pieces: Iterable[Piece], stem: Path, source: Path | None, *, format: str, note: Mapping[str, str]
) -> list[Path]:  # fmt: skip
    """See `facets.WritesLike`: frames are written as they come. source: of whose film the times, the names of frames and the
    sound are kept."""
    with disk_errors(stem):
        stem.parent.mkdir(parents=True, exist_ok=True)
    files = [] if source is None else files_in(source)
    reels = reels_of(files) if files else []
    if format == "npz":
        return [_archive(pieces, stem, note)]
    written: list[Path] = []
    clips = joined(pieces)
    first = next(clips)
    for number, (frames, spec) in enumerate(chain([first], clips), start=1):
        lone = len(reels) <= 1
        name = stem.name if lone and number == 1 else f"{stem.name}-{number:04d}"
        path = stem.with_name(name if format == "png" else f"{name}.{format}")
        reel = reels[0] if lone and reels else None
        if format == "mp4":
            sounds = reel is not None and reel.files[0].suffix.lower() in MOVIES
            with Film(path, spec, note, reel, sound=files[0] if sounds else None) as film:
                for pixels in frames:
                    film.add(pixels)
            written.append(path)
        else:
            names = [own.stem for own in files] if format == "png" and source is not None and source.is_dir() else []
            written += write_clip(path, frames, spec, note, times=None if reel is None else reel, names=names)
    return written


def _archive(pieces: Iterable[Piece], stem: Path, note: Mapping[str, str]) -> Path:
    path = stem.with_name(f"{stem.name}.npz")
    clips, spec = [], None
    for frames, own in joined(pieces):
        clips.append(np.stack(list(frames)))
        spec = spec or own
    assert spec is not None
    if len({clip.shape for clip in clips}) > 1:
        raise GanvasError("clips of several lengths or sizes do not go into one array: add --format gif or png")
    write_archive(path, np.stack(clips), spec, note)
    return path
