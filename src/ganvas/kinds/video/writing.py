"""Clips as files that say they are synthetic: frames as PNG, GIF, MP4, and all in one `.npz`. Not for reading (`files`)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from ...errors import GanvasError
from ...files import write_atomically
from ..image.spec import ImageSpec
from ..image.writers import write_image
from .files import av_module
from .spec import VideoSpec

SYNTHETIC = "SYNTHETIC clip made by ganvas"


def words_of(note: Mapping[str, str]) -> str:
    """What a file says of itself."""
    return "; ".join([SYNTHETIC, *(f"{key}: {value}" for key, value in note.items())])


def write_clip(path: Path, clip: np.ndarray, spec: VideoSpec, note: Mapping[str, str]) -> list[Path]:
    """Write frames (T, H, W, C) uint8 or uint16 as GIF or MP4 by the suffix of `path`, or as pictures in the folder `path`
    where it has none. Returns the files. Raises GanvasError for depths that the format cannot hold, MissingExtra."""
    if path.suffix == "":
        digits = max(4, len(str(len(clip))))
        height, width, channels = clip.shape[1:]
        own = ImageSpec(channels, height, width, spec.depth, 0.0, float(spec.white))
        path.mkdir(parents=True, exist_ok=True)
        files = [path / f"{number:0{digits}d}.png" for number in range(1, len(clip) + 1)]
        for file, pixels in zip(files, clip, strict=True):
            write_image(file, np.ascontiguousarray(pixels), own, note=note)
        return files
    if clip.dtype != np.uint8:
        raise GanvasError(f"{path.suffix[1:]} holds 8 bits: use --format png or npz, or add --depth 8")
    write_atomically(path, _gif(clip, spec.rate, note) if path.suffix == ".gif" else _mp4(clip, spec.rate, note))
    return [path]


def _gif(clip: np.ndarray, rate: float, note: Mapping[str, str]) -> bytes:
    """Each frame with a palette of its own, without dots in the place of colours: 256 colours and fewer are kept."""
    from PIL import Image

    frames = []
    for pixels in clip:
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        if image.mode == "RGB":
            image = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        frames.append(image)
    ends = np.rint(np.arange(len(clip) + 1) * 100 / rate)  # a GIF counts hundredths of a second
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], loop=0, optimize=False, disposal=1,
        duration=[int(step) * 10 for step in np.maximum(np.diff(ends), 2)], comment=words_of(note).encode(),
    )  # fmt: skip
    return buffer.getvalue()


def _mp4(clip: np.ndarray, rate: int, note: Mapping[str, str]) -> bytes:
    """H.264 that players of today show; sides are made even by repeating the last row or column."""
    av = av_module()
    high, wide = clip.shape[1:3]
    clip = np.pad(clip, ((0, 0), (0, high % 2), (0, wide % 2), (0, 0)), "edge")
    clip = np.repeat(clip, 3, axis=3) if clip.shape[3] == 1 else clip
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        container.metadata["title"] = SYNTHETIC
        container.metadata["comment"] = words_of(note)
        stream = container.add_stream("libx264", rate=Fraction(rate), options={"crf": "12"})
        stream.height, stream.width, stream.pix_fmt = clip.shape[1], clip.shape[2], "yuv420p"
        for pixels in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def write_archive(path: Path, records: np.ndarray, spec: VideoSpec, note: Mapping[str, str]) -> None:
    """All clips (N, T, H, W, C) as `videos`, with `rate` and `note`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, videos=records, rate=np.array(spec.rate), note=np.array([words_of(note)]))
    write_atomically(path, buffer.getvalue())
