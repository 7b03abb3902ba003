"""Clips as files that say they are synthetic: frames as PNG, GIF, MP4, and all in one `.npz`. Not for reading (`files`)."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ...errors import GanvasError, RunError
from ...files import disk_errors, write_atomically
from ..image.spec import ImageSpec
from ..image.writers import write_image
from .files import Reel, av_module
from .spec import VideoSpec

SYNTHETIC = "SYNTHETIC clip made by ganvas"
CLOCK = 90_000  # ticks a second of an MP4: 24, 25, 30 and 30000/1001 frames a second are whole numbers of them
SOUNDS = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")  # codecs of sound that MP4 holds as they are


def words_of(note: Mapping[str, str]) -> str:
    """What a file says of itself."""
    return "; ".join([SYNTHETIC, *(f"{key}: {value}" for key, value in note.items())])


def write_clip(
    path: Path, clip: Iterable[np.ndarray], spec: VideoSpec, note: Mapping[str, str], times: Reel | None = None,
    names: Sequence[str] = (),
) -> list[Path]:  # fmt: skip
    """Write frames (H, W, C) uint8 or uint16 as GIF or MP4 by the suffix of `path`, or as pictures in the folder `path` where
    it has none, called by `names` as far as these go. times: of a clip whose frames stay as long; else as many a second as
    the spec says. Returns the files. Raises GanvasError for depths that the format cannot hold, MissingExtra."""
    if path.suffix == "":
        path.mkdir(parents=True, exist_ok=True)
        frames = list(clip) if not isinstance(clip, Iterator) else clip
        digits = max(4, len(str(len(names) or (len(frames) if isinstance(frames, list) else 0))))
        files = []
        for number, pixels in enumerate(frames):
            height, width, channels = pixels.shape
            own = ImageSpec(channels, height, width, spec.depth, 0.0, float(spec.white))
            files.append(path / f"{names[number] if number < len(names) else f'{number + 1:0{digits}d}'}.png")
            write_image(files[-1], np.ascontiguousarray(pixels), own, note=note)
        return files
    if path.suffix == ".gif":
        write_atomically(path, _gif(clip, spec, times, note))
        return [path]
    with Film(path, spec, note, times) as film:
        for pixels in clip:
            film.add(pixels)
    return [path]


def _eight(pixels: np.ndarray, format: str) -> np.ndarray:
    """The frame, if a format of 8 bits holds it."""
    if pixels.dtype != np.uint8:
        raise GanvasError(f"{format} holds 8 bits: use --format png or npz, or add --depth 8")
    return pixels


def _gif(clip: Iterable[np.ndarray], spec: VideoSpec, times: Reel | None, note: Mapping[str, str]) -> bytes:
    """Each frame with a palette of its own, without dots in the place of colours: 256 colours and fewer are kept."""
    from PIL import Image

    frames = []
    for pixels in clip:
        image = Image.fromarray(_eight(pixels, "gif")[..., 0] if pixels.shape[2] == 1 else pixels)
        if image.mode == "RGB":
            image = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        frames.append(image)
    ends = np.rint(_ends(len(frames), spec, times) * 100)  # a GIF counts hundredths of a second
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], loop=0, optimize=False, disposal=1,
        duration=[int(step) * 10 for step in np.maximum(np.diff(ends), 2)], comment=words_of(note).encode(),
    )  # fmt: skip
    return buffer.getvalue()


def _ends(count: int, spec: VideoSpec, times: Reel | None) -> np.ndarray:
    """(count + 1,) seconds at which frames begin, and the last one ends."""
    if times is None or times.times is None or len(times.times) != count or times.rate is None:
        return np.arange(count + 1) / spec.rate
    return np.append(times.times, times.times[-1] + 1 / times.rate if times.ends is None else times.ends)


class Film:
    """An MP4 (H.264, which players of today show), frame by frame; sides are made even by repeating the last row or column.

    times: of a clip of as many frames, which keep their moments; further ones follow at the rate. sound: a film whose sound is
    taken over, as it is where MP4 holds it so, else as AAC. It is there whole once the block has ended well, or not at all.
    Raises MissingExtra, GanvasError for frames of more than 8 bits, RunError for a disk that is full.
    """

    def __init__(
        self, path: Path, spec: VideoSpec, note: Mapping[str, str], times: Reel | None = None, sound: Path | None = None
    ) -> None:
        self.av = av_module()
        self.path, self.spec, self.times = path, spec, times
        self.part = path.with_name(f".{path.name}.{os.getpid()}")
        self.count = 0
        with self._told():
            self.container = self.av.open(str(self.part), "w", format="mp4")
            self.container.metadata["title"] = SYNTHETIC
            self.container.metadata["comment"] = words_of(note)
            own = times.rate if times is not None else None
            rate = Fraction(own or spec.rate).limit_denominator(1001)
            self.stream = self.container.add_stream("libx264", rate=rate, options={"crf": "12"})
            self.stream.time_base = self.stream.codec_context.time_base = Fraction(1, CLOCK)
            self.stream.pix_fmt = "yuv420p"
            self.sound = None if sound is None else _Sound(self.av, sound, self.container)

    def add(self, pixels: np.ndarray) -> None:
        """The next frame, (H, W, C) uint8."""
        pixels = _eight(pixels, "mp4")
        high, wide = pixels.shape[:2]
        pixels = np.pad(pixels, ((0, high % 2), (0, wide % 2), (0, 0)), "edge")
        pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
        with self._told():
            if not self.count:
                self.stream.height, self.stream.width = pixels.shape[:2]
            frame = self.av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            moment = self._moment(self.count)
            frame.pts, frame.time_base = round(moment * CLOCK), Fraction(1, CLOCK)
            if self.sound is not None:
                self.sound.until(moment)
            self.container.mux(self.stream.encode(frame))
        self.count += 1

    def _moment(self, place: int) -> float:
        known = None if self.times is None else self.times.times
        if known is None or self.times is None:
            return place / self.spec.rate
        beyond = place - len(known) + 1
        rate = self.times.rate or self.spec.rate
        return float(max(0.0, self.times.begins) + (known[place] if beyond <= 0 else known[-1] + beyond / rate))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """The library's errors are the system's (a full disk) or its own."""
        try:
            with disk_errors(self.path):
                yield
        except self.av.error.FFmpegError as error:
            raise RunError(f"could not write {self.path}: {error}") from error

    def __enter__(self) -> Film:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                with self._told():
                    self.container.mux(self.stream.encode())
                    if self.sound is not None:
                        self.sound.until(float("inf"))
                    self.container.close()
                    os.replace(self.part, self.path)
        finally:
            with contextlib.suppress(Exception):
                self.container.close()
            if self.sound is not None:
                self.sound.close()
            self.part.unlink(missing_ok=True)


class _Sound:
    """The sound of a film, handed on in the order of time."""

    def __init__(self, av: Any, path: Path, container: Any) -> None:
        self.given, self.container = av.open(str(path)), container
        self.stream = next(iter(self.given.streams.audio), None)
        self.packets: Iterator[Any] = iter(())
        self.waiting: Any = None
        if self.stream is None:
            return
        self.same = self.stream.codec_context.name in SOUNDS
        if self.same:
            self.out = container.add_stream_from_template(self.stream)
            self.packets = (packet for packet in self.given.demux(self.stream) if packet.pts is not None)
        else:
            self.out = container.add_stream("aac", rate=self.stream.codec_context.sample_rate)
            self.out.layout = "mono" if self.stream.codec_context.channels == 1 else "stereo"
            self.packets = self.given.decode(self.stream)

    def until(self, seconds: float) -> None:
        """Hand on what is heard before that moment; at the end, what is left."""
        if self.stream is None:
            return
        while True:
            if self.waiting is None:
                self.waiting = next(self.packets, None)
            own = self.waiting
            if own is None or float(own.pts * own.time_base) > seconds:
                break
            self.waiting = None
            if self.same:
                own.stream = self.out
                self.container.mux(own)
            else:
                self.container.mux(self.out.encode(own))
        if self.waiting is None and seconds == float("inf") and not self.same:
            self.container.mux(self.out.encode())

    def close(self) -> None:
        self.given.close()


def write_archive(path: Path, records: np.ndarray, spec: VideoSpec, note: Mapping[str, str]) -> None:
    """All clips (N, T, H, W, C) as `videos`, with `rate` and `note`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, videos=records, rate=np.array(spec.rate), note=np.array([words_of(note)]))
    write_atomically(path, buffer.getvalue())
