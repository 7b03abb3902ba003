"""Video: clips of frames become records of so many frames, one size and rate; samples become GIF, frames, MP4 or an array.

Records are (N, T, H, W, C) uint8 or uint16, tensors (N, C, T, H, W) in [-1, 1]. Not for sound beside pictures, nor for decoding
(`files`) and encoding (`writing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import GanvasError
from .. import Kind, KindSays
from ..facets import Pairs, Piece, Side
from ..image.grid import grid as image_grid
from ..image.resize import parse_size
from ..image.spec import ImageSpec
from . import features, pieces, recognition
from .files import ARRAYS, KEYS, MOVIES, PICTURES, bundles, reels_of
from .spec import VideoSpec
from .writing import write_archive, write_clip

if TYPE_CHECKING:
    from torch import Tensor

    from ...store.cache import Writer
    from ...store.listing import Listing

FITS = ("crop", "pad", "stretch")
SHOWN = 8  # frames of a clip in a picture
GAP = 1  # pixels between them
EIGHT = ("gif", "mp4")


class VideoKind(Kind):
    name = "video"
    spec = VideoSpec
    suffixes = (*MOVIES, ".gif", *PICTURES, *ARRAYS)
    lent = (".gif", *PICTURES, *ARRAYS)
    formats = ("gif", "png", "mp4", "npz")
    format_aliases = {"frames": "png", "video": "mp4"}
    says = KindSays(
        noun="clips",
        features=features.TYPE,
        limit="Clips have one length and one rate; what happens before and after them, and sound, was not learnt.",
        phantom="clips",
        shown=8,
        usual=32,
        phantom_count=2_000,
        measures_speed=True,
        look=6.0,  # the extractor of pictures is loaded
        example_size=32,
        example_channels=3,
        small=(16, 1),
        lossy=("gif", "mp4"),
        overlooks=(
            "copies that are begun more than four frames (or a quarter of the clip) apart, played backwards or at another "
            "speed, rotated, zoomed, or moved within the picture"
        ),
        options={
            "size": "64, or 96x64 (height x width); default: the files' own",
            "channels": "1 (grey) or 3 (colour), where files mix them",
            "fit": "how another aspect is met: crop, pad or stretch",
            "rate": "frames a second; default: the most common of the files'",
            "frames": "frames of a record: longer clips are cut into several; default: 16, or fewer where most are shorter",
        },
    )

    # Reading

    def bundles(self, names: Sequence[str]) -> list[str]:
        """See `files.bundles`."""
        return bundles(names)

    def claims(self, files: Sequence[Path]) -> bool:
        """Films; GIF that move; arrays under the key `videos` or `clips`."""
        return bool(files) and all(_moves(path) for path in files[:8])

    def settle(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Sizes as (height, width); crops where nothing is said."""
        fit = settings.get("fit") or "crop"
        if fit not in FITS:
            raise GanvasError(f"--fit {fit} is not for clips: choose one of {', '.join(FITS)}")
        if (frames := settings.get("frames")) is not None and not 2 <= frames <= 1024:
            raise GanvasError(f"--frames {frames} is out of range: 2 to 1024 frames of a record")
        return {**settings, "fit": fit, "size": parse_size(settings.get("size"))}

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """See `filling.fill`."""
        from .filling import fill

        fill(writer, listing, settings, progress, strict)

    # To and from the game

    def encode(self, values: np.ndarray, spec: VideoSpec, device: Any) -> Tensor:
        """(N, T, H, W, C) -> (N, C, T, H, W) float32."""
        import torch

        array = np.ascontiguousarray(values.astype(np.int32) if values.dtype == np.uint16 else values)
        tensor = torch.from_numpy(np.require(array, requirements=("C", "W"))).to(device, non_blocking=True)
        return tensor.permute(0, 4, 1, 2, 3).to(torch.float32).mul_(2 / spec.white).sub_(1.0).contiguous()

    def decode(self, tensor: Tensor, spec: VideoSpec) -> np.ndarray:
        """(N, C, T, H, W) -> (N, T, H, W, C) in the depth of the spec."""
        count, channels, frames, height, width = tensor.shape
        made = np.empty((count, frames, height, width, channels), np.uint8 if spec.depth == 8 else np.uint16)
        for frame in range(frames):  # one after the other: in double precision, clips of large frames are larger than memory
            unit = (tensor[:, :, frame].detach().float().clamp(-1, 1).permute(0, 2, 3, 1) + 1) / 2
            made[:, frame] = unit.double().mul_(spec.white).round_().clamp_(0, spec.white).cpu().numpy()
        return made

    def at_depth(self, spec: VideoSpec, depth: int) -> VideoSpec:
        """8 or 16 bits."""
        return replace(spec, depth=16 if depth > 8 else 8)

    def stored(self, spec: VideoSpec, format: str, depth: int | None) -> VideoSpec:
        """As asked for, else as they are; see `facets.Deep`."""
        if depth not in (None, 8, 16):
            raise GanvasError(f"--depth {depth} is not for clips: choose 8 or 16")
        if depth == 16 and format in EIGHT:
            raise GanvasError(f"{format} holds 8 bits: use --format png or npz, or leave out --depth 16")
        return spec if depth is None else replace(spec, depth=depth)

    # Writing and showing

    def write(
        self, records: np.ndarray, spec: VideoSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """`sample-0001.gif` or `.mp4`; with `png` a folder `sample-0001` of frames; with `npz` all in `samples.npz`."""
        if depth not in (None, spec.depth):
            raise GanvasError(f"--depth {depth} does not fit clips of {spec.depth} bits: leave it out")
        folder = Path(folder)
        if format == "npz":
            write_archive(folder / "samples.npz", np.asarray(records), spec, note)
            return [folder / "samples.npz"]
        digits = max(4, len(str(len(records))))
        suffix = "" if format == "png" else f".{format}"
        paths = [folder / f"sample-{number:0{digits}d}{suffix}" for number in range(1, len(records) + 1)]
        return [file for path, clip in zip(paths, records, strict=True) for file in write_clip(path, clip, spec, note)]

    def picture(self, records: np.ndarray, spec: VideoSpec) -> np.ndarray:
        """Film strips: up to eight frames of each clip from left to right."""
        return image_grid(*_strips(records, spec), columns=1 if len(records) < 12 else 2)

    def grid(
        self, records: np.ndarray, spec: VideoSpec, *, columns: int | None = None, labels: np.ndarray | None = None,
        captions: tuple[str, ...] = (), rows: tuple[str, ...] = (),
    ) -> np.ndarray:  # fmt: skip
        """As `picture`; see `image.grid.grid`."""
        strips, own = _strips(records, spec)
        return image_grid(strips, own, columns=columns or 1, labels=labels, captions=captions, rows=rows)

    # Put to use

    spread = 2

    def read(self, path: Path, spec: VideoSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """See `pieces.read_pieces`."""
        return pieces.read_pieces(path, spec, settings)

    def pieces_in(self, path: Path, spec: VideoSpec, settings: Mapping[str, Any]) -> int:
        """See `facets.Flows`."""
        return pieces.pieces_in(path, spec, settings)

    def format_like(self, path: Path) -> str:
        """See `pieces.format_like`."""
        return pieces.format_like(path)

    def resized(self, spec: VideoSpec, shape: tuple[int, ...], like: VideoSpec | None, scale: int) -> VideoSpec:
        """Of that many frames and pixels; see `facets.WritesLike`."""
        return replace(spec, channels=shape[0], frames=shape[1], height=shape[2], width=shape[3])

    def write_like(
        self, made: Iterable[Piece], stem: Path, source: Path | None, *, format: str, depth: int | None,
        settings: Mapping[str, Any], scale: int, note: Mapping[str, str],
    ) -> list[Path]:  # fmt: skip
        """See `pieces.write_like`; the pieces are in the depth of the files."""
        return pieces.write_like(made, stem, source, format=format, note=note)

    # Judging

    def vectors(self, values: np.ndarray, spec: VideoSpec) -> np.ndarray:
        """See `features.vectors`."""
        return features.vectors(values, spec)

    def measures(self, made: Side, train: Side, heldout: Side, seed: int) -> dict[str, Any]:
        """Motion and the share of pixels that move, beside those of real clips (`features.measures`)."""
        return features.measures(made, train, heldout, seed)

    pair_measure = "psnr"

    def paired(self, made: np.ndarray, true: np.ndarray, spec: VideoSpec, barred: tuple[str, ...]) -> Pairs:
        """PSNR and flicker (`features.paired`); no extractor is asked."""
        return features.paired(np.asarray(made), np.asarray(true), spec.white)

    def aligned(self, values: np.ndarray, spec: VideoSpec, other: VideoSpec) -> tuple[np.ndarray, VideoSpec, list[str]]:
        """In the depth and with the channels of `other`; a note where rates differ; see `facets.Aligned`."""
        from ..image.resize import convert_channels

        values, notes = np.asarray(values), []
        if spec.depth != other.depth:
            scaled = np.rint(values.astype(np.float64) * other.white / spec.white)
            values = scaled.astype(np.uint8 if other.depth == 8 else np.uint16)
        if spec.channels != other.channels:
            flat = [convert_channels(frame, other.channels) for clip in values for frame in clip]
            values = np.stack(flat).reshape(*values.shape[:4], other.channels)
            notes.append(f"the samples were turned into {'grey' if other.channels == 1 else 'colour'}, as the real data is")
        if spec.rate != other.rate:
            notes.append(f"the samples have {spec.rate} frames a second, the real data {other.rate}: compared frame by frame")
        return values, other, notes

    changes = "a start up to four frames earlier or later (a quarter of a short clip), or left and right exchanged"
    twin, reach = 0.95, 0.7

    def prints(self, values: np.ndarray, spec: VideoSpec, changed: bool = False) -> np.ndarray:
        """See `recognition.marks`."""
        return recognition.marks(np.asarray(values), spec.white, changed)

    def likeness(self, first: np.ndarray, second: np.ndarray, spec: VideoSpec) -> np.ndarray:
        """See `recognition.likeness`."""
        return recognition.likeness(np.asarray(first), np.asarray(second), (spec.white, spec.white))

    def properties(self, records: np.ndarray, spec: VideoSpec) -> dict[str, np.ndarray]:
        """brightness: mean of the pixels; motion: mean change from frame to frame; both of black to white."""
        values = np.asarray(records)
        brightness = values.reshape(len(values), -1).mean(axis=1, dtype=np.float64) / spec.white
        return {"brightness": brightness, "motion": features.change_of(values, spec.white)}

    def describe(self, spec: VideoSpec) -> str:
        colour = "grey" if spec.channels == 1 else "colour"
        size = f"{spec.frames} frames of {spec.height}x{spec.width} pixels"
        return f"clips of {size} at {spec.rate} a second, {colour}, {spec.depth} bits"

    def blank(self, spec: VideoSpec, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        shape = (count, spec.frames, spec.height, spec.width, spec.channels)
        dtype = np.uint8 if spec.depth == 8 else np.uint16
        return np.zeros(shape, dtype) if rng is None else rng.integers(0, spec.white + 1, shape, dtype=dtype)

    def example(self, size: int | tuple[int, int], channels: int, classes: tuple[str, ...] = ()) -> VideoSpec:
        height, width = size if isinstance(size, tuple) else (size, size)
        return VideoSpec(16, height, width, channels, classes=classes)


def _moves(path: Path) -> bool:
    """Whether a file is surely a clip, or several."""
    suffix = path.suffix.lower()
    if suffix in MOVIES:
        return True
    try:
        if suffix == ".gif":
            return reels_of([path])[0].frames > 1
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return bool(set(KEYS[:2]) & set(archive.files))
    except Exception:  # whatever is wrong with it, the reader says
        return False
    return False


def _strips(records: np.ndarray, spec: VideoSpec) -> tuple[np.ndarray, ImageSpec]:
    """Clips as pictures (N, H, W', C), frames side by side."""
    records = np.asarray(records)
    count, frames, height, width, channels = records.shape
    chosen = np.unique(np.linspace(0, frames - 1, min(SHOWN, frames)).round().astype(int))
    wide = len(chosen) * (width + GAP) - GAP
    strips = np.zeros((count, height, wide, channels), records.dtype)
    for number, place in enumerate(chosen):
        strips[:, :, number * (width + GAP) : number * (width + GAP) + width] = records[:, place]
    return strips, ImageSpec(channels, height, wide, spec.depth, 0.0, float(spec.white), spec.classes)


KIND = VideoKind()
