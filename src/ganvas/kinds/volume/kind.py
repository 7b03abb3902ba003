"""Volumes: scans and other cubes of intensities as whole records, from NIfTI, DICOM series and arrays, and back as NIfTI.

Records are (N, D, H, W) uint8, uint16 or float32 in the files' values, along superior, posterior and left; tensors are
(N, 1, D, H, W), -1 and 1 at the ends of the range, and values beyond keep their place. Not for slices, which are images, nor
for shapes that have an inside alone, which are solids.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError
from ...files import disk_errors, write_atomically
from .. import Kind, KindSays
from ..facets import Pairs, Piece, Side
from ..image.filling import robust_range
from ..image.grid import grid as image_grid
from ..image.spec import ImageSpec
from . import features, recognition
from .files import ARRAYS, DICOM, NIFTI, Scan, bundles, looks_like_dicom, scans_of
from .filling import WHOLE, fill, side_of
from .resampling import FITS, at_side
from .spec import VolumeSpec
from .writing import encoded, encoded_like, enlarged, write_archive

if TYPE_CHECKING:
    from torch import Tensor

    from ...store.cache import Writer
    from ...store.listing import Listing

GAP = 1  # pixels between the three slices of a volume
BEYOND = 0.1  # share of a file's values beyond the range of training from which that is told


class VolumeKind(Kind):
    name = "volume"
    spec = VolumeSpec
    suffixes = (*NIFTI, *DICOM, *ARRAYS)
    lent = suffixes
    formats = ("nifti", "npz")
    format_aliases = {"nii": "nifti", "nii.gz": "nifti"}
    says = KindSays(
        noun="volumes",
        features=features.TYPE,
        limit="Volumes are as coarse as their voxels; nothing was checked for what a physician would see in them.",
        phantom="brain-volumes",
        shown=8,
        usual=16,
        phantom_count=200,
        measures_speed=True,
        example_size=32,
        example_channels=1,
        small=(16, 1),
        overlooks="copies that are moved, turned, stretched or cut, and parts of volumes",
        options={
            "size": "voxels a side of the cube that each volume is brought to; default: the files' own, where they are cubes",
            "fit": "how a volume fills the cube: pad (all of it), crop (its middle) or stretch",
        },
    )

    # Reading

    def bundles(self, names: Sequence[str]) -> list[str]:
        """See `files.bundles`."""
        return bundles(names)

    def sniff(self, path: Path) -> bool:
        """DICOM without a suffix."""
        return looks_like_dicom(path)

    def settle(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Sides as a number; padded where nothing is said."""
        fit = settings.get("fit") or "pad"
        if fit not in FITS:
            raise GanvasError(f"--fit {fit} is not for volumes: choose one of {', '.join(FITS)}")
        return {**settings, "fit": fit, "size": side_of(settings.get("size"))}

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """See `filling.fill`."""
        fill(writer, listing, settings, progress, strict)

    learnt = ("low", "high")

    def learn(self, spec: VolumeSpec, values: np.ndarray, rows: np.ndarray) -> tuple[VolumeSpec, str]:
        """The values that mean -1 and 1, where no file says them; see `facets.Learns`."""
        low, high, beyond = robust_range(values, rows)
        if not high > low:
            return spec, ""
        told = f"{low:.6g} means -1 and {high:.6g} means 1, by {len(rows)} volumes to learn from"
        return replace(spec, low=low, high=high), f"{told}; {beyond:.2%} of their voxels lie beyond"

    # To and from the game

    def encode(self, values: np.ndarray, spec: VolumeSpec, device: Any) -> Tensor:
        """(N, D, H, W) -> (N, 1, D, H, W) float32."""
        import torch

        array = np.require(values.astype(np.int32) if values.dtype == np.uint16 else values, requirements=("C", "W"))
        tensor = torch.from_numpy(array).to(device, non_blocking=True)[:, None]
        tensor = tensor.to(torch.float32, copy=tensor.dtype == torch.float32)  # not in the caller's array
        factor = 2.0 / (spec.high - spec.low)
        return tensor.mul_(factor).sub_(spec.low * factor + 1.0)

    def decode(self, tensor: Tensor, spec: VolumeSpec) -> np.ndarray:
        """(N, 1, D, H, W) -> (N, D, H, W) in the depth and range of the spec; volume by volume, which saves memory."""
        dtype: Any = {8: np.uint8, 16: np.uint16}.get(spec.depth, np.float32)
        made = np.empty((len(tensor), *tensor.shape[2:]), dtype)
        for number, record in enumerate(tensor.detach()[:, 0]):
            for place, plane in enumerate(record):
                values = plane.double().add(1).mul_((spec.high - spec.low) / 2).add_(spec.low)
                if spec.depth != 32:
                    values = values.round_().clamp_(*WHOLE[spec.depth])
                made[number, place] = values.cpu().numpy()
        return made

    # Writing and showing

    def write(
        self, records: np.ndarray, spec: VolumeSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """`sample-0001.nii.gz` ...; with `npz` all in `samples.npz`."""
        if depth not in (None, spec.depth):
            raise GanvasError(f"--depth {depth} does not fit volumes of {spec.depth} bits: leave it out")
        folder = Path(folder)
        _checked(records)
        if format == "npz":
            write_archive(folder / "samples.npz", np.asarray(records), spec, note)
            return [folder / "samples.npz"]
        digits = max(4, len(str(len(records))))
        paths = [folder / f"sample-{number:0{digits}d}.nii.gz" for number in range(1, len(records) + 1)]
        for path, record in zip(paths, records, strict=True):
            write_atomically(path, encoded(record, spec, note))
        return paths

    def picture(self, records: np.ndarray, spec: VolumeSpec) -> np.ndarray:
        """The three slices through the middle of each: axial, coronal and sagittal."""
        return image_grid(*_slices(records, spec), columns=1 if len(records) < 4 else 2)

    def grid(
        self, records: np.ndarray, spec: VolumeSpec, *, columns: int | None = None, labels: np.ndarray | None = None,
        captions: tuple[str, ...] = (), rows: tuple[str, ...] = (),
    ) -> np.ndarray:  # fmt: skip
        """As `picture`; see `image.grid.grid`."""
        slices, own = _slices(records, spec)
        return image_grid(slices, own, columns=columns or 1, labels=labels, captions=captions, rows=rows)

    # Put to use

    spread = 3

    def read(self, path: Path, spec: VolumeSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """A piece a volume; of DICOM the series in whose folder a file lies is not looked for: one file is one volume."""
        for scan in scans_of([path]):
            own, notes = _spec_of(scan, path, spec)
            values = scan.values
            if settings.get("fit") is not None:
                values, gaps, _ = at_side(values, spec.side, scan.spacing or (1.0,) * 3, settings["fit"])
                values = (np.rint(values) if own.depth != 32 else values).astype(scan.values.dtype)
                own = replace(own, side=spec.side, sides=(), spacing=gaps if scan.spacing else (), affine=())
            yield Piece(values[None], own, tuple(f"{path.name}: {note}" for note in (*scan.notes, *notes)))

    def format_like(self, path: Path) -> str:
        """Arrays for arrays, else NIfTI."""
        return "npz" if path.name.lower().endswith(ARRAYS) else "nifti"

    def resized(self, spec: VolumeSpec, shape: tuple[int, ...], like: VolumeSpec | None, scale: int) -> VolumeSpec:
        """With voxels as far apart as they were, or nearer, at the same place in space."""
        if like is None:
            return enlarged(replace(spec, spacing=(), affine=()), shape, 1)
        return enlarged(replace(spec, spacing=like.spacing, affine=like.affine), shape, scale)

    def write_like(
        self, pieces: Sequence[Piece], stem: Path, source: Path | None, *, format: str, depth: int | None,
        settings: Mapping[str, Any], scale: int, note: Mapping[str, str],
    ) -> list[Path]:  # fmt: skip
        """A NIfTI file a volume, of a NIfTI file one along the same axes; or an archive of all."""
        records = [record for piece in pieces for record in piece.records]
        specs = [piece.spec for piece in pieces for _ in piece.records]
        for record in records:
            _checked(record)
        path = stem.with_name(f"{stem.name}{'.npz' if format == 'npz' else '.nii.gz'}")
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if format == "npz":
            write_archive(path, np.stack(records), specs[0], note)
            return [path]
        like = source is not None and source.name.lower().endswith(NIFTI) and settings.get("fit") is None
        digits, written = max(4, len(str(len(records)))), []
        for number, (record, spec) in enumerate(zip(records, specs, strict=True), start=1):
            own = path if len(records) == 1 else path.with_name(f"{stem.name}-{number:0{digits}d}.nii.gz")
            if like and source is not None and len(records) == 1:
                write_atomically(own, encoded_like(record, spec, source, scale, note))
            else:
                write_atomically(own, encoded(record, spec, note))
            written.append(own)
        return written

    # Judging

    def vectors(self, values: np.ndarray, spec: VolumeSpec) -> np.ndarray:
        """See `features.vectors`."""
        return features.vectors(np.asarray(values), spec)

    def measures(self, made: Side, train: Side, heldout: Side, seed: int) -> dict[str, Any]:
        """Spectra and detail beside those of real volumes (`features.measures`)."""
        return features.measures(made, train, heldout, seed)

    def aligned(self, values: np.ndarray, spec: VolumeSpec, other: VolumeSpec) -> tuple[np.ndarray, VolumeSpec, list[str]]:
        """In their own values, by the range of `other`; a note where voxels are of another size; see `facets.Aligned`."""
        notes = []
        if spec.spacing and other.spacing and not np.allclose(spec.spacing, other.spacing, rtol=0.02):
            told = ("x".join(f"{gap:.3g}" for gap in own.spacing) for own in (spec, other))
            notes.append(f"the samples have voxels of {next(told)} mm, the real data of {next(told)}: compared voxel by voxel")
        return np.asarray(values), other, notes

    changes = "another brightness or contrast, or left and right exchanged"
    twin, reach = 0.95, 0.8

    def prints(self, values: np.ndarray, spec: VolumeSpec, changed: bool = False) -> np.ndarray:
        """See `recognition.marks`."""
        return recognition.marks(np.asarray(values), changed)

    def likeness(self, first: np.ndarray, second: np.ndarray, spec: VolumeSpec) -> np.ndarray:
        """See `recognition.likeness`."""
        return recognition.likeness(np.asarray(first), np.asarray(second))

    def properties(self, records: np.ndarray, spec: VolumeSpec) -> dict[str, np.ndarray]:
        """brightness and contrast: mean and standard deviation of the voxels, in file units; detail: of the finest octave, of
        the range."""
        flat = np.asarray(records).reshape(len(records), -1)
        brightness, contrast = flat.mean(axis=1, dtype=np.float64), flat.std(axis=1, dtype=np.float64)
        return {"brightness": brightness, "contrast": contrast, "detail": features.detail(np.asarray(records), spec)}

    pair_measure = "psnr"

    def paired(self, made: np.ndarray, true: np.ndarray, spec: VolumeSpec, barred: tuple[str, ...]) -> Pairs:
        """PSNR over the range of the spec, and the mean error in file units."""
        own, other = (np.asarray(side).reshape(len(side), -1).astype(np.float64) for side in (made, true))
        square = ((own - other) ** 2).mean(axis=1) / (spec.high - spec.low) ** 2
        psnr = np.minimum(100.0, -10 * np.log10(np.maximum(square, 1e-30)))
        return {
            "psnr": (psnr, f"psnr/range {spec.low:g} to {spec.high:g}/at most 100"),
            "voxel_error": (np.abs(own - other).mean(axis=1), "mean absolute error/file units"),
        }

    def describe(self, spec: VolumeSpec) -> str:
        sides = "x".join(map(str, spec.shape[1:]))
        apart = f" of {'x'.join(f'{gap:.3g}' for gap in spec.spacing)} mm" if spec.spacing else ""
        return f"volumes of {sides} voxels{apart}, {'float' if spec.depth == 32 else f'{spec.depth} bits'}"

    def blank(self, spec: VolumeSpec, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        shape = (count, *spec.shape[1:])
        kept: Any = {8: np.uint8, 16: np.uint16}.get(spec.depth, np.float32)
        unit = np.zeros(shape) if rng is None else rng.random(shape)
        return (spec.low + unit * (spec.high - spec.low)).astype(kept)

    def example(self, size: int, channels: int, classes: tuple[str, ...] = ()) -> VolumeSpec:
        return VolumeSpec(size, classes=classes)


def _checked(records: np.ndarray) -> None:
    if records.dtype == np.float32 and not np.isfinite(records).all():
        raise GanvasError("the samples hold NaN or infinite values: the run has diverged, sample an earlier checkpoint")


def _spec_of(scan: Scan, path: Path, spec: VolumeSpec) -> tuple[VolumeSpec, list[str]]:
    """The spec of a volume that a run works on, by whose range its values are read, and notes: the run's, where the file has
    its number format or units of its own; else what the file declares, else its percentiles."""
    notes = []
    low, high = spec.low, spec.high
    if scan.depth == spec.depth or scan.absolute:
        beyond = float(((scan.values < low) | (scan.values > high)).mean())
        if beyond > BEYOND:
            notes.append(f"{beyond:.0%} of its values lie beyond {low:g} to {high:g}, the range in training")
    else:
        low, high = scan.low, scan.high
        if math.isnan(low) or (low, high) == WHOLE.get(scan.depth) or not high > low:
            low, high, _ = robust_range(scan.values[None])
            notes.append(f"is of another number format than the run's data: its own {low:g} to {high:g} are its range")
        if not high > low:
            raise DataError(f"{path}: all its voxels have the value {low:g}: there is nothing in it")
    shape = scan.values.shape
    cube = len(set(shape)) == 1
    sides = () if cube else tuple(shape)
    return replace(
        spec, side=max(shape), sides=sides, depth=scan.depth, low=low, high=high, spacing=scan.spacing, affine=scan.affine
    ), notes


def _slices(records: np.ndarray, spec: VolumeSpec) -> tuple[np.ndarray, ImageSpec]:
    """(N, H, 3 H + gaps, 1): from above (the front on top), from the front and from the side (nose to the left), head up."""
    records = np.asarray(records)
    count, *sides = records.shape
    most = max(sides)
    sheet = np.full((count, most, 3 * most + 2 * GAP, 1), spec.low, records.dtype)
    depth, height, width = sides
    views = (records[:, depth // 2], records[:, ::-1, height // 2], records[:, ::-1, :, width // 2])
    for place, view in enumerate(views):
        rows, columns = view.shape[1:]
        top, left = (most - rows) // 2, (most - columns) // 2 + place * (most + GAP)
        sheet[:, top : top + rows, left : left + columns, 0] = view
    return sheet, ImageSpec(1, most, 3 * most + 2 * GAP, spec.depth, spec.low, spec.high, classes=spec.classes)


KIND = VolumeKind()
