"""Label maps: images in which each pixel is of one class, such as road, sky and car, or the inside and outside of a mask.

Records are (N, H, W) uint8, indices into the classes of the spec; tensors are the same in int64. They are never interpolated:
resizing takes the nearest pixel, so no value appears that no file has. Not for instances (a number for each nucleus).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError, MixedData
from ...store.listing import Listing, class_indices, some
from .. import Kind, KindSays
from ..facets import Pairs, Piece
from ..image import grid as grids
from ..image.kind import KIND as IMAGES
from ..image.resize import PIECES, records_of, resize
from ..image.spec import ImageSpec
from . import files
from .recognition import marks, overlap
from .spec import LabelMapSpec

if TYPE_CHECKING:
    from torch import Tensor

    from ...store.cache import Writer

COARSE = 8  # cells of a side in which shares of classes are features


class LabelMapKind(Kind):
    name = "label_map"
    spec = LabelMapSpec
    suffixes = (*files.LOSSLESS, *files.LOSSY)  # the lossy ones are refused by name
    lent = suffixes
    formats = ("png", "npz")
    says = KindSays(
        noun="label maps",
        features="shares",
        limit="Maps show the classes of the data alone; a made map is no finding, and no measurement of a scene.",
        phantom="",
        shown=64,
        example_channels=4,
        small=((16, 12), 3),
        overlooks="parts of maps, and copies that are shifted, zoomed or rotated",
        options={name: words for name, words in IMAGES.says.options.items() if name != "channels"},
    )

    # Reading

    def looks_like(self, own: Sequence[Path]) -> bool:
        """See `files.look`."""
        return files.look(own)

    def beside(self, listing: Listing) -> list[Path]:
        """The `classes.csv` that names the values."""
        table = files.table_beside(listing)
        return [] if table is None else [table]

    def settle(self, settings: dict[str, Any]) -> dict[str, Any]:
        """As for images."""
        return IMAGES.settle(settings)

    def sides(self, path: Path) -> tuple[int, int] | None:
        """As for images."""
        return IMAGES.sides(path)

    def suitable(self, source: Any) -> Any:
        """As for images."""
        return IMAGES.suitable(source)

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """See `Kind.fill`. Equal maps are held out together, as are the slices of a volume and the patches of a map."""
        from ...store import cache as caching

        table = files.table_beside(listing)
        known = None if table is None else files.read_classes(table)
        shown = None if known is None else known.shown

        def work(place: int) -> tuple[int, list[files.Map], str | None]:
            try:
                return place, list(files.read_maps(listing.files[place], settings["axis"], shown)), None
            except DataError as error:
                return place, [], str(error)

        if known is not None and len(known.named) > files.MOST_CLASSES:
            raise DataError(f"{table}: {len(known.named)} classes, more than {files.MOST_CLASSES}")
        rows = _Rows(writer, settings, known)
        skipped: list[tuple[str, str]] = []
        order = list(range(len(listing.files)))
        for place, maps, wrong in caching.in_parallel(work, order, what="decoding", progress=progress):
            name = listing.names[place]
            if wrong is not None:
                if strict or len(listing.files) == 1 or name.lower().endswith(files.LOSSY):
                    raise DataError(wrong)
                skipped.append((name, wrong))
                continue
            for index, own in enumerate(maps):
                rows.add(own, place, name, index)
        if not rows.places:
            raise DataError(f"{listing.source}: none of {len(listing.files)} files could be read: {skipped[0][1]}")
        notes = [*listing.notes, *(f"skipped {reason}" for _, reason in skipped[:20])]
        if len(skipped) > 20:
            notes.append(f"skipped {len(skipped) - 20} more unreadable files")
        writer.facts["skipped"] = skipped
        labels = [
            own if listing.labels[p] is None else listing.labels[p] for own, p in zip(rows.labels, rows.places, strict=True)
        ]
        groups = [
            f"group {listing.groups[p]}" if listing.groups[p] is not None else own
            for own, p in zip(rows.groups, rows.places, strict=True)
        ]
        for warning, names in rows.warnings.items():
            notes.append(f"{warning} ({some(list(names))})")
        sides = [
            own if listing.heldout[p] is None else listing.heldout[p] for own, p in zip(rows.heldout, rows.places, strict=True)
        ]
        held = np.array([-1 if side is None else int(side) for side in sides], np.int8)
        split = held if (held >= 0).any() else None
        self._conclude(
            writer, rows, known, labels, groups, split, listing.source, notes, [listing.names[p] for p in rows.places]
        )

    def takes(self, array: np.ndarray) -> bool:
        """(N, H, W) whole numbers."""
        return array.ndim == 3 and array.dtype.kind in "ui"

    def fill_array(
        self, writer: Writer, values: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...],
        groups: np.ndarray | None, settings: Mapping[str, Any], progress: bool,
    ) -> None:  # fmt: skip
        """(N, H, W) whole numbers; see `facets.FromArrays`."""
        del progress
        rows = _Rows(writer, settings, None)
        for k, numbers in enumerate(values):
            rows.add(files.Map(numbers.astype(np.int64)), k, f"record {k}", 0)
        names = [None] * len(rows.places) if labels is None else [classes[labels[p]] for p in rows.places]
        own = rows.groups if groups is None else [f"group {groups[p]}" for p in rows.places]
        self._conclude(writer, rows, None, names, own, None, "the array", [])

    def _conclude(
        self, writer: Writer, rows: _Rows, known: files.Classes | None, labels: Any, groups: list[str],
        held: np.ndarray | None, source: object, notes: list[str], origins: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        from ...store.entry import conclude
        from ...store.splits import join

        values = sorted(rows.values if known is None else known.named)
        if len(values) > files.MOST_CLASSES:
            raise DataError(
                f"{source}: {len(values)} different values: more than {files.MOST_CLASSES} are no classes: "
                "these may be images, or have a number for each object"
            )
        if len(values) < 2:
            raise DataError(f"{source}: every pixel has the value {values[0]}: nothing to learn")
        lookup = np.zeros(max(values) + 1, np.uint16)
        lookup[values] = np.arange(len(values))
        writer.rewrite(lambda own, where: lookup[own])
        writer.as_type(np.uint8)
        if known is not None:
            notes.append(f"classes by {known.path.name}: {some(list(known.named.values()), 12)}")
            unseen = [known.named[value] for value in values if value not in rows.values]
            if unseen:
                notes.append(f"in no file: {some(unseen)}")
        else:
            notes.append(
                f"classes are the values of the files: {some([str(value) for value in values], 12)} ({files.TABLE} names them)"
            )
            if len(values) > files.MOST_VALUES:
                notes.append(
                    f"{len(values)} different values are many for classes: edges may have been softened, or objects counted; "
                    f"{files.TABLE} says which there are"
                )
        names = tuple(str(value) if known is None else known.named[value] for value in values)
        colours = files.palette_of(values, known, rows.palettes)
        if len(rows.sizes) > 1:
            notes.append(f"{len(rows.sizes)} sizes were brought to one, by the nearest pixel")
        numbers, classes = class_indices(labels, source, self.says.noun, notes)
        records = writer.rows()
        parent = np.arange(len(records), dtype=np.int64)
        several = np.bincount(rows.places)[rows.places] > 1
        # Slices or patches of one class alone are in nearly every file, and would tie all files into one group.
        contents = [
            None if part and (record == record.flat[0]).all() else record.tobytes()
            for part, record in zip(several, records, strict=True)
        ]
        for column in (groups, contents):
            first: dict[Any, int] = {}
            pairs = [(first.setdefault(key, i), i) for i, key in enumerate(column) if key is not None]
            join(parent, *np.array(pairs, np.int64).reshape(-1, 2).T)
        spec = LabelMapSpec(records.shape[1], records.shape[2], names, tuple(values), colours, classes)
        conclude(writer, spec, numbers, parent, held, notes, origins)

    # To and from the game

    def encode(self, values: np.ndarray, spec: LabelMapSpec, device: Any) -> Tensor:
        """(N, H, W) int64 indices."""
        import torch

        return torch.from_numpy(np.asarray(values).astype(np.int64)).to(device, non_blocking=True)

    def decode(self, tensor: Tensor, spec: LabelMapSpec) -> np.ndarray:
        """(N, H, W) indices, or (N, K, H, W) with a value for each class, of which the largest counts -> (N, H, W) uint8."""
        own = tensor.detach().cpu()
        own = own.argmax(1) if own.ndim == 4 else own.round().clamp(0, len(spec.names) - 1)
        found: np.ndarray = own.numpy().astype(np.uint8)
        return found

    # Writing and showing

    def write(
        self, records: np.ndarray, spec: LabelMapSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """One PNG a map, with the numbers and colours of the data, or all in `samples.npz`; beside them `classes.csv`, by which
        they are read again as they were."""
        from ...files import write_atomically

        if depth is not None:
            raise GanvasError("--depth means nothing to label maps: leave it out")
        write_atomically(folder / files.TABLE, files.encoded_table(spec))
        if format == "npz":
            import io

            buffer = io.BytesIO()
            mark = "; ".join([files.SYNTHETIC, *(f"{key} {value}" for key, value in note.items())])
            numbers = np.asarray(spec.values, np.uint16 if max(spec.values) > 255 else np.uint8)[records]
            np.savez_compressed(buffer, images=numbers, note=np.array(mark))
            write_atomically(folder / "samples.npz", buffer.getvalue())
            return [folder / "samples.npz"]
        digits = max(5, len(str(len(records))))
        paths = [folder / f"sample-{number:0{digits}d}.png" for number in range(1, len(records) + 1)]
        for path, record in zip(paths, records, strict=True):
            write_atomically(path, files.encoded_png(record, spec, dict(note)))
        return paths

    def picture(self, records: np.ndarray, spec: LabelMapSpec) -> np.ndarray:
        return self.grid(records, spec)

    def grid(
        self, records: np.ndarray, spec: LabelMapSpec, *, columns: int | None = None, labels: np.ndarray | None = None,
        captions: tuple[str, ...] = (), rows: tuple[str, ...] = (),
    ) -> np.ndarray:  # fmt: skip
        """In the colours of the spec; see `image.grid.grid`."""
        pixels = files.colours_of(spec)[np.asarray(records)]
        image = ImageSpec(3, spec.height, spec.width, classes=spec.classes)
        return grids.grid(pixels, image, columns=columns, labels=labels, captions=captions, rows=rows)

    # Put to use

    spread = 2

    def read(self, path: Path, spec: LabelMapSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """A piece a map, as indices into the classes of the spec; see `facets.Reads`. Raises DataError for other values,
        and for colours of no class."""
        index = {value: k for k, value in enumerate(spec.values)}
        for own in files.read_for(path, settings.get("axis"), spec):
            found = np.unique(own.numbers).tolist()
            odd = next((value for value in found if value not in index), None)
            if odd is not None:
                raise DataError(
                    f"{path}: holds the value {odd}, and the run was taught {some([str(value) for value in spec.values], 12)}"
                )
            lookup = np.zeros(max(found) + 1, np.uint8)
            lookup[found] = [index[value] for value in found]
            record = lookup[own.numbers]
            try:
                parts = records_of(record[..., None], (spec.height, spec.width), settings.get("fit"), nearest=True)
            except GanvasError as error:
                raise DataError(f"{path}: {error}") from error
            notes = tuple(f"{path.name}: {warning}" for warning in own.warnings)
            for part in parts:
                height, width = part.shape[:2]
                yield Piece(np.ascontiguousarray(part[None, ..., 0]), replace(spec, height=height, width=width), notes)
                notes = ()

    def format_like(self, path: Path) -> str:
        """PNG; .npz for arrays."""
        return "npz" if path.suffix.lower() in (".npz", ".npy") else "png"

    def resized(self, spec: LabelMapSpec, shape: tuple[int, ...], like: Any, scale: int) -> LabelMapSpec:
        return replace(spec, height=shape[-2], width=shape[-1])

    def write_like(
        self, pieces: Sequence[Piece], stem: Path, source: Path | None, *, format: str, depth: int | None,
        settings: Mapping[str, Any], scale: int, note: Mapping[str, str],
    ) -> list[Path]:  # fmt: skip
        """One PNG a map, numbered where there are several, or one .npz; `classes.csv` beside them."""
        import tempfile

        stem.parent.mkdir(parents=True, exist_ok=True)
        written = []
        with tempfile.TemporaryDirectory(dir=stem.parent, prefix=".") as place:
            records = np.concatenate([piece.records for piece in pieces])
            made = self.write(records, pieces[0].spec, Path(place), format=format, depth=depth, note=note)
            for number, path in enumerate(made, start=1):
                name = stem.name if len(made) == 1 else f"{stem.name}-{number:04d}"
                written.append(path.replace(stem.with_name(f"{name}{path.suffix}")))
            (Path(place) / files.TABLE).replace(stem.with_name(files.TABLE))
        return written

    # Judging

    def vectors(self, values: np.ndarray, spec: LabelMapSpec) -> np.ndarray:
        """(N, D) float32: the share of each class in each of 8 x 8 cells."""
        maps = np.asarray(values)
        made = np.zeros((len(maps), len(spec.names), COARSE, COARSE), np.float32)
        rows, columns = (np.linspace(0, side, min(COARSE, side) + 1).round().astype(int) for side in maps.shape[1:])
        for i in range(len(rows) - 1):
            for k in range(len(columns) - 1):
                cell = maps[:, rows[i] : rows[i + 1], columns[k] : columns[k + 1]].reshape(len(maps), -1)
                for index in range(len(spec.names)):
                    made[:, index, i, k] = (cell == index).mean(1)
        return made.reshape(len(maps), -1)

    def aligned(
        self, values: np.ndarray, spec: LabelMapSpec, other: LabelMapSpec
    ) -> tuple[np.ndarray, LabelMapSpec, list[str]]:
        """Indices into the classes of `other`: by their names where both sides name theirs, else by the values of the files;
        see `facets.Aligned`."""
        named = all(own.names != tuple(str(value) for value in own.values) for own in (spec, other))
        mine, theirs = (spec.names, other.names) if named else (spec.values, other.values)
        present = np.unique(values).tolist()
        odd = [str(mine[k]) for k in present if mine[k] not in theirs]
        if odd:
            raise GanvasError(
                f"the samples hold the class {some(odd, 6)}, the real maps {some([str(own) for own in theirs], 12)}: give both "
                f"sides the same numbers, or a {files.TABLE} that names them alike"
            )
        lookup = np.array([theirs.index(own) if own in theirs else 0 for own in mine], np.uint8)
        return lookup[np.asarray(values)], replace(other, height=spec.height, width=spec.width), []

    changes = "mirroring left to right or a few pixels"
    twin, reach = 0.95, 0.9

    def prints(self, values: np.ndarray, spec: LabelMapSpec, changed: bool = False) -> np.ndarray:
        """See `recognition.marks`: the shares of classes in cells, also mirrored."""
        return marks(self.vectors(values, spec).reshape(len(values), len(spec.names), COARSE, COARSE), changed)

    def likeness(self, first: np.ndarray, second: np.ndarray, spec: LabelMapSpec) -> np.ndarray:
        """The mean overlap (IoU) of the classes of both, plain or mirrored."""
        return overlap(np.asarray(first), np.asarray(second), len(spec.names))

    def properties(self, records: np.ndarray, spec: LabelMapSpec) -> dict[str, np.ndarray]:
        """The share of each class, by its name."""
        flat = np.asarray(records).reshape(len(records), -1)
        return {name: (flat == k).mean(axis=1) for k, name in enumerate(spec.names)}

    pair_measure = "same_labels"

    def paired(self, made: np.ndarray, true: np.ndarray, spec: LabelMapSpec, barred: tuple[str, ...]) -> Pairs:
        """The share of pixels of the right class, and the mean over the classes of a map of their overlap (IoU)."""
        overlaps = []
        for one, other in zip(np.asarray(made), np.asarray(true), strict=True):
            present = np.union1d(one, other)
            overlaps.append(np.mean([((one == k) & (other == k)).sum() / ((one == k) | (other == k)).sum() for k in present]))
        same = (np.asarray(made) == true).mean(axis=(1, 2))
        return {"same_labels": (same, "share of pixels"), "overlap": (np.array(overlaps), "iou/mean of the classes of a map")}

    def describe(self, spec: LabelMapSpec) -> str:
        return f"label maps of {spec.height}x{spec.width} pixels, {len(spec.names)} classes ({some(list(spec.names), 6)})"

    def example(self, size: int | tuple[int, int], channels: int, classes: tuple[str, ...] = ()) -> LabelMapSpec:
        """channels: classes of pixels, at least two."""
        height, width = size if isinstance(size, tuple) else (size, size)
        values = tuple(range(max(2, channels)))
        names, colours = tuple(str(value) for value in values), tuple(files.usual_colour(value) for value in values)
        return LabelMapSpec(height, width, names, values, colours, classes)

    def blank(self, spec: LabelMapSpec, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        shape = (count, *spec.shape)
        return np.zeros(shape, np.uint8) if rng is None else rng.integers(0, len(spec.names), shape).astype(np.uint8)


class _Rows:
    """Maps on their way into the cache: of one size, still with the numbers of their files."""

    def __init__(self, writer: Writer, settings: Mapping[str, Any], known: files.Classes | None) -> None:
        self.writer, self.settings, self.known = writer, settings, known
        self.places: list[int] = []
        self.groups: list[str] = []
        self.labels: list[str | None] = []
        self.values: set[int] = set()
        self.sizes: dict[tuple[int, int], str] = {}
        self.palettes: set[tuple[str, ...]] = set()
        self.colours: dict[int, tuple[str, str]] = {}
        self.heldout: list[bool | None] = []
        self.warnings: dict[str, dict[str, None]] = {}

    def add(self, own: files.Map, place: int, name: str, index: int) -> None:
        """Raises DataError for a number that has no name, and for another size than before when none is asked for."""
        found = np.unique(own.numbers)
        if found[0] < 0 or found[-1] > 65535:
            raise DataError(f"{name}: holds the value {found[0] if found[0] < 0 else found[-1]}: classes are 0 to 65535")
        if self.known is not None:
            odd = next((value for value in found.tolist() if value not in self.known.named), None)
            if odd is not None:
                raise DataError(
                    f"{name}: holds the value {odd}, which {self.known.path} does not name: add a line "
                    f"{odd},NAME or mend the file"
                )
        self.values.update(found.tolist())
        if len(self.values) > 16 * files.MOST_CLASSES:
            raise DataError(f"{name}: with it there are {len(self.values)} different values: these are images, not label maps")
        self.palettes.add(own.palette)
        for value in found.tolist() if self.known is None else ():
            colour = own.palette[value] if value < len(own.palette) else ""
            before, first = self.colours.setdefault(value, (colour, name))
            if colour and before and colour != before:
                raise DataError(
                    f"{name}: its palette shows the value {value} as {colour}, that of {first} as {before}: save them with one "
                    f"palette, or give {files.TABLE} if the values mean the same"
                )
        pixels = own.numbers.astype(np.uint16)[..., None]
        size: Any = self.settings.get("size")
        fit = self.settings.get("fit")
        pieces = [pixels]
        if fit in PIECES:
            try:
                pieces = PIECES[fit](pixels, size)
            except GanvasError as error:
                raise DataError(f"{name}: {error}") from error
        elif size is not None:
            pieces = [resize(pixels, size, fit or "crop", nearest=True)[0]]
        self.sizes.setdefault((pixels.shape[0], pixels.shape[1]), name)
        if size is None and len(self.sizes) > 1:
            (one, first), (other, second) = list(self.sizes.items())[:2]
            raise MixedData(
                f"label maps of several sizes: {one[0]}x{one[1]} ({first}), {other[0]}x{other[1]} ({second}): "
                "choose one, as in --size 64",
                "size",
                64,
            )
        for piece in pieces:
            self.writer.row(np.ascontiguousarray(piece[..., 0]))
            self.places.append(place)
            self.groups.append(f"file {place}" if own.group is None else f"id {own.group}")
            self.labels.append(own.label)
            self.heldout.append(own.heldout)
        for warning in own.warnings:
            self.warnings.setdefault(warning, {})[name] = None


KIND = LabelMapKind()
