"""Images: pictures, slices and frames of files become arrays of one size, depth and range; samples become files again.

Records are (N, H, W, C) uint8, uint16 or float32 in file units, tensors (N, C, H, W) in [-1, 1]: `low` .. `high` of the spec
map to -1 .. 1. Not for decoding (`readers`), bringing pictures together (`filling`) or encoding (`writers`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError
from ...store.entry import conclude
from ...store.listing import counted
from .. import Kind, KindSays
from . import pieces
from .filling import fill as fill_from
from .filling import robust_range
from .grid import grid
from .readers import SUFFIXES, readable
from .resize import FITS, PIECES, convert_channels, parse_size
from .spec import ImageSpec
from .survey import sides_of, suitable_size_of
from .tally import PLANES
from .writers import FORMATS, write_samples

if TYPE_CHECKING:
    from torch import Tensor

    from ...store.cache import Writer
    from ...store.listing import Listing
    from ..facets import Pairs, Piece
    from .picture import Picture

STRIP = 256  # rows of a large picture that are decoded together: else it would exist several times over in double precision
RANGES = {8: (0.0, 255.0), 16: (0.0, 65535.0)}


class ImageKind(Kind):
    name = "image"
    spec = ImageSpec
    suffixes = tuple(SUFFIXES)
    formats = tuple(FORMATS)
    format_aliases = {"tif": "tiff", "jpeg": "jpg", "dcm": "dicom", "nii": "nifti", "nii.gz": "nifti"}
    says = KindSays(
        noun="images",
        features="pixels",
        limit="Images of other sizes, devices, depths or subjects than those in the data were never seen.",
        phantom="chest",
        shown=64,
        measures_speed=True,
        plain=True,
        look=4.0,  # the extractor is loaded
        small=((16, 12), 1),
        others=(((20, 20), 3), ((33, 17), 1), ((8, 40), 2)),
        lossy=("jpg", "webp"),
        overlooks=(
            "parts of a picture, and copies that are rotated, zoomed, bent, or shifted by more than an eighth of the side"
        ),
        options={
            "size": "64, or 96x64 (height x width); default: what the data and budget suit",
            "channels": "1 (grey) or 3 (colour), where files mix them",
            "fit": "how another aspect is met: crop, pad, stretch, patches: cut at native scale into pieces of "
            "--size, crops: into many that overlap, or frames: the same of sheets that hold frames of --size side by side",
            "axis": "along which volumes are sliced: 0, 1, 2",
        },
    )

    # Reading

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """See `Kind.fill` and `filling.fill`."""
        fill_from(writer, listing, dict(settings), progress, strict)

    def settle(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Sizes as (height, width); crops where nothing is said."""
        settings = {**settings, "fit": settings["fit"] or "crop"}
        wanted = parse_size(settings["size"])
        if settings["fit"] not in FITS:
            raise GanvasError(f"fit '{settings['fit']}' is not known: choose one of {', '.join(FITS)}")
        if settings["fit"] in PIECES and wanted is None:
            raise GanvasError(f"{settings['fit']} of which size? Give one, as in --size 96")
        return {**settings, "size": wanted}

    def sniff(self, path: Path) -> bool:
        """DICOM files often have no suffix, or their UID for a name."""
        return readable(path)

    def takes(self, array: np.ndarray) -> bool:
        """(N, H, W) or (N, H, W, C)."""
        return array.ndim in (3, 4)

    def fill_array(
        self, writer: Writer, values: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...],
        groups: np.ndarray | None, settings: Mapping[str, Any], progress: bool,
    ) -> None:  # fmt: skip
        """(N, H, W) or (N, H, W, C) uint8, uint16 or float32."""
        images = values[..., None] if values.ndim == 3 else values
        if images.shape[3] > 8:
            raise DataError(f"the array has shape {values.shape}: channels come last, 1 to 8 of them")
        if groups is None:
            from ...store.listing import Listing

            listing = Listing(Path("the array"), [Path("array.npy")], ["the array"], [None], [None], [None])
            fill_from(writer, listing, dict(settings), progress, False, _rows(images))
            return
        for pixels in images:
            writer.row(pixels if settings.get("channels") is None else convert_channels(pixels, settings["channels"]))
        depth = images.dtype.itemsize * 8
        rows, columns, colours = writer.rows().shape[1:]
        spec = ImageSpec(colours, rows, columns, depth, 0.0, float(2**depth - 1), classes)
        writer.facts["declared"] = True
        conclude(writer, spec, labels, groups, None, [])

    learnt = ("low", "high")

    def learn(self, spec: ImageSpec, values: np.ndarray, rows: np.ndarray) -> tuple[ImageSpec, str]:
        """Black and white, where no file says them; see `facets.Learns`."""
        low, high, beyond = robust_range(values, rows)
        if not high > low:
            return spec, ""
        told = f"{low:.6g} is black and {high:.6g} is white, by {counted(len(rows), 'image')} to learn from"
        return replace(spec, low=low, high=high), f"{told}; {beyond:.2%} of their pixels saturate"

    def sides(self, path: Path) -> tuple[int, int] | None:
        """See `survey.sides_of`."""
        return sides_of(path)

    def suitable(self, source: Any) -> tuple[int, int] | int:
        """See `survey.suitable_size_of`."""
        return suitable_size_of(source)

    # To and from the game

    def encode(self, values: np.ndarray, spec: ImageSpec, device: Any) -> Tensor:
        """(N, H, W, C) uint8, uint16 or float32 -> (N, C, H, W) float32."""
        import torch

        if values.dtype == np.uint16:  # torch's uint16 supports few operations
            values = values.astype(np.int32)
        values = np.require(values, requirements=("C", "W"))  # copied where a reader hands out what must not be written to
        tensor = torch.from_numpy(values).to(device, non_blocking=True)
        factor = 2.0 / (spec.high - spec.low)
        tensor = tensor.permute(0, 3, 1, 2).to(torch.float32, copy=tensor.dtype == torch.float32)  # not in the caller's array
        tensor = tensor.mul_(factor).sub_(spec.low * factor + 1.0)
        # Values outside the declared range exist (a window, a robust range): they saturate as they do on a screen.
        return tensor.clamp_(-1.0, 1.0)

    def decode(self, tensor: Tensor, spec: ImageSpec) -> np.ndarray:
        """(N, C, H, W) -> (N, H, W, C) in the depth and range of the spec."""
        if len(tensor) == 1 and tensor.shape[2] > STRIP:
            strips = [self.decode(tensor[:, :, top : top + STRIP], spec) for top in range(0, tensor.shape[2], STRIP)]
            return np.concatenate(strips, axis=1)
        unit = (tensor.detach().float().clamp(-1, 1).permute(0, 2, 3, 1) + 1) / 2
        values = unit.double().mul_(spec.high - spec.low).add_(spec.low)
        if spec.depth == 32:
            return np.ascontiguousarray(values.float().cpu().numpy())
        whole = values.round_().clamp_(0, RANGES[spec.depth][1]).cpu().numpy()
        return np.ascontiguousarray(whole.astype(np.uint8 if spec.depth == 8 else np.uint16))

    def at_depth(self, spec: ImageSpec, depth: int) -> ImageSpec:
        """The spec in 8, 16 or 32 bits; another depth than its own stretches to the full range (32: keeps the range)."""
        if depth == spec.depth:
            return spec
        low, high = RANGES.get(depth, (spec.low, spec.high))
        return replace(spec, depth=depth, low=low, high=high)

    def stored(self, spec: ImageSpec, format: str, depth: int | None) -> ImageSpec:
        """See `facets.Deep`: 8 or 16 bits; floats only where the format keeps them."""
        if depth not in (None, 8, 16):
            raise GanvasError(f"--depth {depth} is for sound; images have 8 or 16 bits")
        if depth is None and spec.depth == 32 and format not in ("tiff", "dicom", "nifti", "npz"):
            depth = 16  # float data cannot be kept in these formats
        if format in ("jpg", "webp") and (depth or spec.depth) == 16:
            raise GanvasError(f"{format} holds 8 bits: use --format png or tiff, or add --depth 8")
        return spec if depth is None else self.at_depth(spec, depth)

    # Writing and showing

    def write(
        self, records: np.ndarray, spec: ImageSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """See `writers.write_samples`; the spec is in the depth of the files (`stored`)."""
        return write_samples(records, spec, folder, format=format, note=note, seed=int(note.get("seed", 0)))

    def picture(self, records: np.ndarray, spec: ImageSpec) -> np.ndarray:
        return grid(records, spec)

    def screen(self, spec: ImageSpec) -> ImageSpec:
        """In 8 bits over their full range."""
        return replace(spec, depth=8, low=0.0, high=255.0)

    def mapped(self, record: np.ndarray, found: np.ndarray) -> np.ndarray:
        """See `pieces.mapped`."""
        return pieces.mapped(record, found)

    def grid(
        self, records: np.ndarray, spec: ImageSpec, *, columns: int | None = None, labels: np.ndarray | None = None,
        captions: tuple[str, ...] = (),
        rows: tuple[str, ...] = (),
    ) -> np.ndarray:  # fmt: skip
        """See `grid.grid`."""
        return grid(records, spec, columns=columns, labels=labels, captions=captions, rows=rows)

    # Put to use

    spread = 2

    def read(self, path: Path, spec: ImageSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """See `pieces.read_pieces`."""
        return pieces.read_pieces(path, spec, settings)

    def format_like(self, path: Path) -> str:
        """That of the file; PNG for JPEG."""
        return pieces.format_like(path)

    def resized(self, spec: ImageSpec, shape: tuple[int, ...], like: ImageSpec | None, scale: int) -> ImageSpec:
        """With pixels as far apart as they were, or nearer."""
        return pieces.resized(spec, shape, like, scale)

    def write_like(
        self, made: Sequence[Piece], stem: Path, source: Path | None, *, format: str, depth: int | None,
        settings: Mapping[str, Any], scale: int, note: Mapping[str, str],
    ) -> list[Path]:  # fmt: skip
        """See `pieces.write_like`; the pieces are in the depth of the files."""
        return pieces.write_like(made, stem, source, format=format, settings=settings, scale=scale, note=note)

    def map_back(
        self, maps: Sequence[np.ndarray], path: Path, stem: Path, spec: ImageSpec, settings: Mapping[str, Any],
        note: Mapping[str, str],
    ) -> list[Path]:  # fmt: skip
        """See `pieces.map_back`."""
        return pieces.map_back(maps, path, stem, spec, settings, note)

    # Judging

    def common(self, values: np.ndarray, spec: ImageSpec, other: ImageSpec) -> np.ndarray:
        """8 bits where both are plain 8-bit images, else 16 bits over the range of `other`."""
        eight = all(s.depth == 8 and s.low == 0 and s.high == 255 for s in (spec, other))
        if eight and values.dtype == np.uint8:
            return np.ascontiguousarray(values)
        # Files of like depth share the real data's range (a window, a volume's own); others are stretched from theirs.
        low, high = (other.low, other.high) if spec.depth == other.depth else (spec.low, spec.high)
        unit = (values.astype(np.float64) - low) / max(high - low, 1e-12)
        return np.round(np.clip(unit, 0, 1) * 65535).astype(np.uint16)

    def aligned(self, values: np.ndarray, spec: ImageSpec, other: ImageSpec) -> tuple[np.ndarray, ImageSpec, list[str]]:
        """As they are, for `common`; a note where each side goes by its own black and white; see `facets.Aligned`."""
        if spec.depth == other.depth:
            return np.asarray(values), spec, []
        sides = [
            f"{own.low:.6g} to {own.high:.6g} ({'floats' if own.depth == 32 else f'{own.depth} bits'})" for own in (spec, other)
        ]
        told = (
            f"black to white is {sides[0]} of the samples and {sides[1]} of the real data: brightness and contrast are each in"
        )
        return np.asarray(values), spec, [f"{told} that unit (save both in one depth to compare them as they are)"]

    likening = "the given images with the target's colours, by one linear map"

    def likened(self, records: np.ndarray, source: np.ndarray, target: np.ndarray, spec: ImageSpec) -> np.ndarray:
        """See `colours.likened` and `facets.Likened`."""
        from .colours import likened

        return likened(records, source, target, spec)

    def alike(self, values: np.ndarray) -> dict[str, Any]:
        """The size, and grey or colour."""
        channels = int(values.shape[3])
        return {"size": values.shape[1:3], "channels": channels if channels in (1, 3) else None}

    def vectors(self, values: np.ndarray, spec: ImageSpec) -> np.ndarray:
        """(N, H * W * C) float32: the pixels in [-1, 1]. Extractors (`metrics.extractors`) say more of images."""
        unit = (values.astype(np.float32) - spec.low) / max(spec.high - spec.low, 1e-12)
        return np.asarray((np.clip(unit, 0, 1) * 2 - 1).reshape(len(values), -1), np.float32)

    def properties(self, records: np.ndarray, spec: ImageSpec) -> dict[str, np.ndarray]:
        """brightness and contrast: mean and standard deviation of the pixels, in file units."""
        pixels = records.reshape(len(records), -1).astype(np.float64)
        return {"brightness": pixels.mean(axis=1), "contrast": pixels.std(axis=1)}

    def describe(self, spec: ImageSpec) -> str:
        channels = {1: "grey", 3: "colour"}.get(spec.channels, f"{spec.channels} channels")
        what = "images" if spec.axis is None else f"{PLANES[spec.axis]} slices"
        return (
            f"{what} of {spec.height}x{spec.width} pixels, {channels}, {'float' if spec.depth == 32 else f'{spec.depth} bits'}"
        )

    pair_measure = "psnr"

    def paired(self, made: np.ndarray, true: np.ndarray, spec: ImageSpec, barred: tuple[str, ...]) -> Pairs:
        """PSNR, MS-SSIM where sides are large enough, and the LPIPS-like distance, of uint8 or uint16 (`common`)."""
        from .pairs import measures

        return measures(made, true, barred)

    def blank(self, spec: ImageSpec, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        shape = (count, spec.height, spec.width, spec.channels)
        kept = {8: np.uint8, 16: np.uint16}.get(spec.depth, np.float32)
        unit = np.zeros(shape) if rng is None else rng.random(shape)
        return (spec.low + unit * (spec.high - spec.low)).astype(kept)

    def example(self, size: int | tuple[int, int], channels: int, classes: tuple[str, ...] = ()) -> ImageSpec:
        height, width = size if isinstance(size, tuple) else (size, size)
        return ImageSpec(channels, height, width, classes=classes)


def _rows(images: np.ndarray) -> Iterator[Picture]:
    from .picture import Picture

    depth = images.dtype.itemsize * 8
    low, high = (np.nan, np.nan) if depth == 32 else (0.0, float(2**depth - 1))
    for index, pixels in enumerate(images):
        yield Picture(pixels=pixels, depth=depth, low=low, high=high, index=index)


KIND = ImageKind()
