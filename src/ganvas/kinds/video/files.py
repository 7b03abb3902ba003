"""Clips of files: folders of numbered pictures, animated GIF, MP4, AVI, WebM and MKV (through PyAV), and arrays.

A `Reel` is what a file or folder says of a clip before it is decoded; `frames_of` decodes it, frame by frame, so that a long
film is never in memory at its own size. Not for cutting clips into records (`kind`) nor for writing (`writing`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import MissingExtra
from ...store.guard import failure, guard
from ...store.units import array_of
from ..image.picture import check_size, oblong, without_alpha
from ..image.readers import read

PICTURES = (".png", ".jpg", ".jpeg")
MOVIES = (".mp4", ".m4v", ".mov", ".avi", ".webm", ".mkv")
ARRAYS = (".npz", ".npy")
KEYS = ("videos", "clips", "x")
LABEL_KEYS = ("labels", "label", "y")
STILL = "has a single frame: it is a picture"
NO_RATE = 0.1  # seconds that a GIF's frame stays which gives none, as browsers show it
UNEVEN = 0.25  # of the usual time between two frames: what a frame may come earlier or later in a clip of one rate
GRAIN = 0.011  # seconds: a GIF counts hundredths


@dataclass
class Reel:
    """A clip that is not decoded yet. files: its one file, or its pictures in order. index: of an array file, its number.

    times: (T,) seconds at which frames are shown, None where nothing says them; ends: when the last one goes, where that is
    said: writers of GIF leave out frames that are like the one before, which then stays longer. begins: when a film shows its
    first frame, by its own clock, which its sound goes by too. channels: 1 or 3. grey: it is in colour by its form and grey by
    what it shows. notes: what a user should know of it.
    """

    files: list[Path]
    frames: int
    height: int
    width: int
    channels: int
    depth: int = 8
    times: np.ndarray | None = None
    index: int = 0
    label: str | None = None
    grey: bool = False
    notes: list[str] = field(default_factory=list)
    ends: float | None = None
    begins: float = 0.0

    @property
    def rate(self) -> float | None:
        """Frames a second: on average, or of most frames where these stay for unlike times."""
        if self.times is None or len(self.times) < 2:
            return None
        if self.ends is not None and self.uneven:
            return float(1 / np.median(self._steps()))
        return float((len(self.times) - 1) / (self.times[-1] - self.times[0]))

    @property
    def uneven(self) -> bool:
        """Whether frames come at several rates."""
        if self.times is None or len(self.times) < 3:
            return False
        steps = self._steps()
        return bool(np.ptp(steps) > max(UNEVEN * float(np.median(steps)), GRAIN))

    def _steps(self) -> np.ndarray:
        """Seconds that frames stay, the last one too where it is known."""
        assert self.times is not None
        return np.diff(self.times if self.ends is None else np.append(self.times, self.ends))


def bundles(names: Sequence[str]) -> list[str]:
    """Of which clip each file is: pictures of a folder are its frames, in the order of their numbers; where they are of several
    names before the number (`walk_001.png`, `run_001.png`), each name is a clip. Other files are clips of their own."""
    heads: dict[str, dict[str, int]] = {}
    for name in names:
        if name.lower().endswith(PICTURES):
            folder, _, base = name.rpartition("/")
            own = heads.setdefault(folder, {})
            head = _head(base)
            own[head] = own.get(head, 0) + 1
    found = []
    for name in names:
        if not name.lower().endswith(PICTURES):
            found.append(name)
            continue
        folder, _, base = name.rpartition("/")
        alone = len(heads[folder]) == 1 or 1 in heads[folder].values()
        found.append(folder or _head(base) or "frames" if alone else f"{folder}/{_head(base)}".lstrip("/"))
    return found


def _head(base: str) -> str:
    """What stands before the number of a frame's file."""
    return re.sub(r"[\s_.-]*\d*$", "", base.rpartition(".")[0])


def av_module() -> Any:
    """The package `av`. Raises MissingExtra without it."""
    try:
        import av
    except ImportError as error:
        raise MissingExtra("av", "video") from error
    return av


# What a file says


def reels_of(files: list[Path]) -> list[Reel]:
    """The clips of a file, or the one of a folder's pictures. Raises DataError in one line for what is damaged, cut short, no
    video or a single frame; MissingExtra for films without PyAV."""
    first = files[0]
    suffix = first.suffix.lower()
    if suffix in PICTURES:
        reels = [_of_pictures(files)]
    elif suffix == ".gif":
        reels = [_of_gif(first)]
    elif suffix in MOVIES:
        reels = [_of_movie(first)]
    else:
        reels = _of_array(first)
    if any(reel.frames < 2 for reel in reels):
        raise failure(
            first.parent if suffix in PICTURES and len(files) > 1 else first, STILL, "take it out, or train on images"
        )
    return reels


def _of_pictures(files: list[Path]) -> Reel:
    picture = next(iter(read(files[0])))
    height, width, channels = picture.pixels.shape
    if picture.depth == 32 or channels not in (1, 3):
        raise failure(files[0], f"has {channels} channels of {picture.depth} bits", "frames are grey or RGB of 8 or 16 bits")
    return Reel(files, len(files), height, width, channels, picture.depth, notes=list(picture.warnings))


def _of_gif(path: Path) -> Reel:
    times, grey, notes, shape, passed = [], True, [], (0, 0), 0.0
    for pixels, seconds, note in _gif_frames(path):
        times.append(passed)
        passed += seconds
        grey = grey and bool((pixels == pixels[..., :1]).all())
        shape = pixels.shape[:2]
        notes += [note] if note and note not in notes else []
    return Reel([path], len(times), *shape, 3, times=np.array(times), ends=passed, grey=grey, notes=notes)


def _gif_frames(path: Path) -> Iterator[tuple[np.ndarray, float, str]]:
    """(pixels (H, W, 3), seconds, note) of each frame, composed with those before it; what is transparent lies on white."""
    from PIL import Image

    with guard(path, "GIF"):
        data = path.read_bytes()
        image = Image.open(BytesIO(data), formats=["GIF"])
        check_size(path, image.height, image.width, 4, 1, len(data))
        count = int(getattr(image, "n_frames", 1))
    for number in range(count):
        with guard(path, "GIF"):
            image.seek(number)
            pixels = np.asarray(image.convert("RGBA"))
            seconds = image.info.get("duration", 0) / 1000 or NO_RATE
        note = ""
        if int(pixels[..., 3].min()) < 255:
            pixels, note = without_alpha(pixels)
        yield pixels[..., :3], seconds, note


def _of_movie(path: Path) -> Reel:
    """By its packets, which are counted and not decoded."""
    av = av_module()
    with guard(path, "a film"), av.open(str(path)) as container:
        if not container.streams.video and not container.streams.audio:
            raise failure(path, "names neither pictures nor sound: it is cut off or damaged", "copy or export it again")
        if not container.streams.video:
            raise failure(path, "holds no pictures", "give a film, not its sound alone")
        stream = container.streams.video[0]
        marks = [packet.pts for packet in container.demux(stream) if packet.size and packet.pts is not None]
        times = np.sort(np.array(marks, np.float64)) * float(stream.time_base)
        promised = stream.frames
        if not promised and container.duration and len(times) > 1:  # containers that do not count
            promised = round(container.duration / 1e6 * (len(times) - 1) / (times[-1] - times[0]))
            promised = promised if promised > 1.1 * len(times) + 1 else len(times)
        if len(times) < promised:
            raise failure(path, f"is cut short: it ends after {len(times)} of {promised} frames", "copy or export it again")
        if not len(times):
            raise failure(path, "holds no frame", "it is damaged; export it again")
        grey = str(stream.codec_context.pix_fmt or "").startswith("gray")
        height, width = stream.codec_context.height, stream.codec_context.width
        check_size(path, height, width, 3, 1, path.stat().st_size)
        container.seek(0)
        first = next(container.decode(video=0), None)
        if first is not None and _turns(first) % 2:
            height, width = width, height
        shape = stream.sample_aspect_ratio
        note = None if not shape else oblong(float(shape.denominator), float(shape.numerator))
    notes, begins = [note] if note else [], float(times[0])
    return Reel([path], len(times), height, width, 1 if grey else 3, times=times - begins, notes=notes, begins=begins)


def _of_array(path: Path) -> list[Reel]:
    values, labels, rate = _loaded(path)
    count, frames, height, width, channels = values.shape
    times = None if rate is None else np.arange(frames) / rate
    depth = values.dtype.itemsize * 8
    return [
        Reel([path], frames, height, width, channels, depth, times, index, None if labels is None else str(labels[index]))
        for index in range(count)
    ]


@lru_cache(maxsize=1)
def _remembered(path: Path, when: int) -> tuple[np.ndarray, np.ndarray | None, float | None]:
    with guard(path, "NumPy array"):
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False, mmap_mode="r"), None, None
        with np.load(path, allow_pickle=False) as archive:
            values, label = array_of(path, archive, KEYS, "videos", LABEL_KEYS, ("note", "rate"))
            rate = float(archive["rate"]) if "rate" in archive.files else None
            return values, label, rate


def _loaded(path: Path) -> tuple[np.ndarray, np.ndarray | None, float | None]:
    """(clips (N, T, H, W, C), labels, rate) of an array file."""
    try:
        values, labels, rate = _remembered(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        raise failure(path, "does not exist", "check the path") from None
    if values.ndim == 4 and values.shape[-1] not in (1, 3):  # (N, T, H, W): grey
        values = values[..., None]
    elif values.ndim == 4:
        values = values[None]
    if values.ndim != 5 or 0 in values.shape or values.shape[-1] not in (1, 3):
        raise failure(path, f"has the shape {values.shape}", "save clips as (N, T, H, W, C), C 1 or 3")
    if values.dtype not in (np.uint8, np.uint16):
        raise failure(path, f"holds {values.dtype}", "save frames as uint8 or uint16")
    if labels is not None and (labels.ndim != 1 or labels.dtype.kind not in "iubU" or len(labels) != len(values)):
        raise failure(path, f"has labels of {labels.dtype} {labels.shape}", "give one whole number or name a clip")
    return values, labels, rate


def shown_at(reel: Reel, rate: int) -> np.ndarray:
    """Which of its frames a clip shows at so many frames a second, in order."""
    if reel.times is None or reel.rate is None or (round(reel.rate) == rate and not reel.uneven):
        return np.arange(reel.frames)
    ends = reel.times[-1] + 1 / reel.rate if reel.ends is None else reel.ends
    moments = np.arange(max(1, int(ends * rate + 1e-6))) / rate
    return np.maximum(np.searchsorted(reel.times, moments + 1e-4, side="right") - 1, 0)


# Decoding


def frames_of(reel: Reel) -> Iterator[np.ndarray]:
    """The frames of a clip in order, (H, W, C) uint8 or uint16. Raises DataError for a frame that cannot be read."""
    first = reel.files[0]
    suffix = first.suffix.lower()
    if suffix in PICTURES:
        for path in reel.files:
            picture = next(iter(read(path)))
            if picture.pixels.shape != (reel.height, reel.width, reel.channels) or picture.depth != reel.depth:
                told = f"{picture.pixels.shape[0]}x{picture.pixels.shape[1]} with {picture.pixels.shape[2]} channels"
                raise failure(path, f"is {told}, unlike the first frame of its clip", "bring all frames of a clip to one form")
            yield picture.pixels
    elif suffix == ".gif":
        for pixels, _, _ in _gif_frames(first):
            yield pixels
    elif suffix in MOVIES:
        yield from _decoded(reel)
    else:
        yield from np.asarray(_loaded(first)[0][reel.index])


def _turns(frame: Any) -> int:
    """By how many right angles, against the clock, a frame is to be turned: of a telephone that was held upright."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


def _decoded(reel: Reel) -> Iterator[np.ndarray]:
    av = av_module()
    path = reel.files[0]
    with guard(path, "a film"):
        container = av.open(str(path))
    count = 0
    try:
        frames = container.decode(video=0)
        while True:
            with guard(path, "a film"):
                frame = next(frames, None)
                if frame is None:
                    break
                pixels = frame.to_ndarray(format="gray" if reel.channels == 1 else "rgb24")
                turns = _turns(frame)
            count += 1
            pixels = pixels[..., None] if pixels.ndim == 2 else pixels
            yield np.ascontiguousarray(np.rot90(pixels, turns))
    finally:
        container.close()
    if count < reel.frames:
        raise failure(path, f"is cut short: {count} of {reel.frames} frames can be decoded", "copy or export it again")
