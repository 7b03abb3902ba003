"""Pictures looked through one by one, for `check`: sizes, depths, twins, tags, what cannot be read. Not for opening them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, MissingExtra
from ..kinds import kind_of
from ..kinds.image.resize import LUMINANCE, thumbnail
from ..registry import catalogue, suited
from ..store import cache as caching
from ..store.listing import Listing, counted, natural, some
from ..store.progress import busy
from ..store.splits import MOST, TWIN, twin_pairs
from .classes import suits_of
from .finding import files_of
from .report import LISTED, CheckReport

if TYPE_CHECKING:
    from ..kinds.image.readers import Picture

PATIENT_TAGS = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientAddress", "PatientComments",
    "PatientTelephoneNumbers", "OtherPatientIDs", "OtherPatientNames", "EthnicGroup", "Occupation",
    "InstitutionName", "InstitutionAddress", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName",
    "PhysiciansOfRecord", "RequestingPhysician", "AccessionNumber", "StudyID", "StudyDate", "StationName",
    "DeviceSerialNumber",
)  # fmt: skip
"""Tags that name or help to find a patient (from the Basic Profile of DICOM PS3.15 Annex E)."""

LARGE = 192  # pixels of a shorter side from which pictures can be cut at their own scale, and shown smaller
SAMPLED = 400  # pixels remembered of each picture, for the histogram
LEAST_PAIRS, ALIKE = 10, 0.9  # files of equal names in two sub-folders, and their share, that may be pairs


@dataclass
class _Seen:
    name: str
    place: int
    size: tuple[int, int]
    colours: int
    depth: int
    plain: bool  # the file declares no range of values
    least: float
    most: float
    black: float
    white: float
    sample: np.ndarray
    thumb: np.ndarray
    content: bytes
    group: str | None
    label: str | None
    warnings: tuple[str, ...]
    axis: int | None
    declared: tuple[float, float]  # black and white as the file declares them, NaN where it does not


class Unreadable(DataError):
    """A picture that cannot be read, with `strict`."""


def of_pictures(source: str | Path | np.ndarray, strict: bool, axis: int | None, progress: bool) -> CheckReport:
    """Of pictures or points."""
    if isinstance(source, np.ndarray):
        from ..kinds.image.kind import _rows

        images = source[..., None] if source.ndim == 3 else source
        if source.ndim == 2:
            return _points(source, None, (), "the array")
        if images.ndim != 4 or images.dtype not in (np.uint8, np.uint16, np.float32):
            raise DataError(f"the array is {source.dtype} {source.shape}: give uint8, uint16 or float32 (N, H, W, C)")
        listing = _alone(Path("the array"))
        return _report("the array", listing, [_see(p, "record", 0) for p in _rows(images)], [], [])
    path = Path(source).expanduser()
    if not path.exists():
        from . import phantoms

        if phantoms.is_phantom(str(source)):
            from ..kinds.image.kind import _rows

            with busy(f"making 200 records of {source}", progress):
                made = phantoms.make_phantom(str(source), 200)
            if made.values.ndim == 2:
                return _points(made.values, made.labels, made.classes, str(source))
            pictures = list(_rows(made.values))
            for picture, label in zip(pictures, [] if made.labels is None else made.labels, strict=False):
                picture.label = made.classes[label]
            return _report(str(source), _alone(path), [_see(p, "record", 0) for p in pictures], [], [])
    if path.suffix.lower() == ".csv" and path.is_file():
        from ..kinds.points.files import read_points_file

        found_points = read_points_file(path)
        report = _points(found_points.points, found_points.labels, found_points.classes, str(source))
        report.notes += found_points.notes
        return report
    listing = files_of(path, kind_of("image"))
    seen, unreadable, tags = [], [], []
    for found, error, tag in _look(listing, axis, progress):
        if error is not None:
            if strict:
                raise Unreadable(error[1])
            unreadable.append(error)
        seen += found
        tags.append(tag)
    report = _report(str(source), listing, seen, unreadable, [tag for tag in tags if tag is not None])
    _perhaps_pairs(report, listing)
    return report


def _perhaps_pairs(report: CheckReport, listing: Listing) -> None:
    """Says of two sub-folders with files of equal names that they may be pairs, and how these are learnt."""
    folders: dict[str, set[str]] = {}
    for name in listing.names:
        folder, slash, rest = name.partition("/")
        folders.setdefault(folder if slash else "", set()).add(rest.rpartition(".")[0] or rest)
    if len(folders) != 2 or "" in folders:
        return
    (first, own), (second, other) = sorted(folders.items(), key=lambda item: natural(item[0]))
    together = len(own & other)
    if together < LEAST_PAIRS or together < ALIKE * max(len(own), len(other)):
        return
    pairs = [card for card in catalogue().values() if len(card.fields) == 2]
    card = next(own for own in pairs if all("image" in kinds for kinds in own.fields.values()))
    made, given = card.fields
    report.notes.append(
        f"{first} and {second} hold {together:,} files of equal names: they are taken as two classes; if they belong together, "
        f"they are pairs:  ganvas train {card.name} --data {quote(report.source)} --fields {made}={first},{given}={second}"
    )


def found_in(labels: dict[str, int], sizes: Sequence[tuple[int, int]] = ()) -> set[str]:
    """What the data is, as cards ask for it (`registry.SUITS`). sizes: of pictures."""
    large = bool(sizes) and float(np.median([min(size) for size in sizes])) >= LARGE
    return suits_of(labels) | ({"large records"} if large else set())


def _alone(path: Path) -> Listing:
    return Listing(path, [path], [path.name], [None], [None], [None])


def _look(listing: Listing, axis: int | None, progress: bool) -> Any:
    """Yields (what was seen, (name, reason) or None, tags or None) for every file."""
    from ..kinds.image.readers import read

    def work(place: int) -> tuple[list[_Seen], tuple[str, str] | None, dict[str, Any] | None]:
        name, path = listing.names[place], listing.files[place]
        found = []
        try:
            for picture in read(path, axis=axis):
                found.append(_see(picture, name, place))
            return found, None, _tags(path, name)
        except MissingExtra:
            raise
        except DataError as error:
            return [], (name, str(error)), None

    yield from caching.in_parallel(work, list(range(len(listing.files))), what="checking", progress=progress)


def _see(picture: Picture, name: str, place: int) -> _Seen:
    import hashlib

    pixels = picture.pixels
    flat = pixels.reshape(-1)
    low, high = picture.low, picture.high
    plain = bool(np.isnan(low) or np.isnan(high))
    if plain:
        low, high = float(flat.min()), float(flat.max())
    step = max(1, flat.size // SAMPLED)
    body = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16)
    body.update(repr((pixels.shape, pixels.dtype.str)).encode())
    many = picture.index > 0 or name == "record"
    return _Seen(
        f"{name}[{picture.index}]" if many else name, place, (pixels.shape[0], pixels.shape[1]), pixels.shape[2],
        picture.depth, plain, float(flat.min()), float(flat.max()),
        float((flat <= low).mean()), float((flat >= high).mean()),
        flat[::step].astype(np.float32), thumbnail(pixels).astype(np.float16), body.digest(), picture.group,
        None if picture.label is None else str(picture.label), tuple(picture.warnings), picture.axis,
        (float(picture.low), float(picture.high)),
    )  # fmt: skip


def _tags(path: Path, name: str) -> dict[str, Any] | None:
    """Which patient tags of a DICOM or NIfTI file are filled in, and what it says of burned-in text."""
    from ..kinds.image.filling import file_kind

    kind = file_kind(path)
    if kind == "dicom":
        import pydicom

        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=[*PATIENT_TAGS, "BurnedInAnnotation"])
        filled = [tag for tag in PATIENT_TAGS if str(header.get(tag) or "").strip()]
        burned = str(header.get("BurnedInAnnotation") or "").strip().upper()
        return {"name": name, "tags": filled, "burned": burned}
    if kind == "nifti":
        import nibabel

        header = nibabel.load(path).header.structarr
        named = "db_name" in header.dtype.names and bool(header["db_name"].item().strip(b"\0 "))
        return {"name": name, "tags": ["db_name (NIfTI)"] if named else [], "burned": "NO"}
    return None


def _counts(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _report(
    source: str, listing: Listing, seen: list[_Seen], unreadable: list[tuple[str, str]], tags: list[dict[str, Any]]
) -> CheckReport:
    report = CheckReport(source, "pictures", len(listing.files), len(seen), unreadable, notes=list(listing.notes))
    for tag in tags:
        for name in tag["tags"]:
            report.patient_tags[name] = report.patient_tags.get(name, 0) + 1
    report.burned_in = [tag["name"] for tag in tags if tag["burned"] == "YES"]
    report.burned_in_unknown = sum(tag["burned"] not in ("YES", "NO") for tag in tags)
    for item in seen:
        for warning in item.warnings:
            names = report.warnings.setdefault(warning, [])
            if not names or names[-1] != listing.names[item.place]:
                names.append(listing.names[item.place])
    if not seen:
        report.problems.append(f"none of {counted(len(listing.files), 'file')} could be read: there is nothing to train on")
        return report
    report.sizes = _counts(f"{s.size[0]}x{s.size[1]}" for s in seen)
    report.depths = _counts("float" if s.depth == 32 else f"{s.depth}-bit" for s in seen)
    report.channels = _counts({1: "grey", 3: "colour"}.get(s.colours, f"{s.colours} channels") for s in seen)
    labels = [s.label if listing.labels[s.place] is None else listing.labels[s.place] for s in seen]
    if any(label is not None for label in labels):
        counts = Counter("(none)" if label is None else label for label in labels)
        report.labels = {name: counts[name] for name in sorted(counts, key=natural)}
    _count_groups(report, listing, seen)
    _values(report, seen)
    _scales(report, listing, seen, labels)
    _twins(report, listing, seen)
    _judge(report, listing, seen)
    return report


def _count_groups(report: CheckReport, listing: Listing, seen: list[_Seen]) -> None:
    tabled = {listing.groups[s.place] for s in seen} - {None}
    patients = {s.group for s in seen} - {None}
    if tabled:
        own = next((path.name for path in reversed(listing.tables) if path.stem.lower() in ("groups", "metadata")), "a table")
        report.groups, report.group_source = len(tabled), own
    elif patients:
        report.groups, report.group_source = len(patients), "PatientID (hashed)"
    sides = Counter({True: "held out", False: "train", None: "not given"}[listing.heldout[s.place]] for s in seen)
    if set(sides) != {"not given"}:
        report.split = dict(sides)


def _values(report: CheckReport, seen: list[_Seen]) -> None:
    report.least, report.most = min(s.least for s in seen), max(s.most for s in seen)
    # the same number from every picture, so that large ones do not outvote small ones
    sample = np.concatenate([s.sample for s in seen])
    low, middle, high = (float(v) for v in np.percentile(sample, (0.1, 50, 99.9)))
    report.percentiles = (low, middle, high)
    top = report.most if report.most > report.least else report.least + 1
    bins = np.histogram(sample, 16, (report.least, top))[0]
    report.histogram = [round(float(share), 5) for share in bins / bins.sum()]
    report.saturated = (float(np.mean([s.black for s in seen])), float(np.mean([s.white for s in seen])))


def _scales(report: CheckReport, listing: Listing, seen: list[_Seen], labels: list[str | None]) -> None:
    """Which values will mean black to white, where a network would see little of a class or of all; and planes that differ."""
    from ..kinds.image.filling import FEW, crowded, few_values, scales_apart, white_of
    from ..kinds.image.tally import axes_apart

    if (told := axes_apart([(s.axis, listing.names[s.place]) for s in seen])) is not None:
        report.problems.append(told)
    declared = {s.declared for s in seen if not s.plain}
    sample = np.concatenate([s.sample for s in seen]).astype(np.float64)
    low, _, high = report.percentiles
    if len(declared) == 1 and not any(s.plain for s in seen):
        ((low, high),) = declared
        few = few_values(sample)
        if (low, high) in ((0.0, 255.0), (0.0, 65535.0)):
            labels_alone = few is not None and 0 < report.most < FEW
            high = report.most if labels_alone else white_of(seen[0].depth, report.most)
            if high < FEW:
                told = f"the values are 0 to {high:g} alone, as of masks and maps of labels: {high:g} counts as white"
                report.notes.append(told)
        if high >= FEW and (told := crowded(few, low, high)) is not None:
            report.notes.append(told)
    elif declared and any(s.depth != 32 for s in seen):
        return  # each file is brought to its own range
    names = sorted({label for label in labels if label is not None})
    if high > low and 2 <= len(names) <= 50:
        ranges = {}
        for name in names:
            own = np.concatenate([s.sample for s, label in zip(seen, labels, strict=True) if label == name])
            ranges[name] = (float(np.percentile(own, 0.1)), float(np.percentile(own, 99.9)))
        if (told := scales_apart(ranges, low, high)) is not None:
            report.problems.append(told)


def _twins(report: CheckReport, listing: Listing, seen: list[_Seen]) -> None:
    same: dict[bytes, list[int]] = {}
    for i, item in enumerate(seen):
        same.setdefault(item.content, []).append(i)
    exact = [(first, other) for first, *others in same.values() for other in others]
    report.exact_count = len(exact)
    report.exact = [(seen[a].name, seen[b].name) for a, b in exact[:LISTED]]
    if len(seen) > MOST:
        report.notes.append(f"near duplicates were not looked for among {len(seen)} pictures (at most {MOST})")
        near = []
    else:
        pairs = twin_pairs(_one_length([s.thumb for s in seen]), TWIN, most=1_000_000)
        # neighbouring slices of one volume are alike and stay together anyway
        near = [
            (a, b)
            for a, b in pairs.tolist()
            if seen[a].content != seen[b].content and (seen[a].place != seen[b].place or len(listing.files) == 1)
        ]
    report.near_count = len(near)
    report.near = [(seen[a].name, seen[b].name) for a, b in near[:LISTED]]
    sides = listing.heldout
    leaks = [(a, b) for a, b in exact + near if {sides[seen[a].place], sides[seen[b].place]} == {True, False}]
    report.leak_count = len(leaks)
    report.leaks = [(seen[a].name, seen[b].name) for a, b in leaks[:LISTED]]


def _one_length(thumbs: list[np.ndarray]) -> np.ndarray:
    """Thumbnails (N, D); where channel counts differ, colour is reduced to grey so that they compare."""
    if len({thumb.size for thumb in thumbs}) == 1:
        return np.stack(thumbs)
    least = 32 * 32
    out = np.zeros((len(thumbs), least), np.float16)
    for i, thumb in enumerate(thumbs):
        planes = thumb.astype(np.float32).reshape(-1, least)
        grey = LUMINANCE @ planes if len(planes) == 3 else planes.mean(axis=0)
        grey -= grey.mean()
        length = float(np.linalg.norm(grey))
        out[i] = grey / length if length > 1e-6 else 0
    return out


def _judge(report: CheckReport, listing: Listing, seen: list[_Seen]) -> None:
    """Problems in words, and the command to run next."""
    problems = report.problems
    channels = size = ""
    if report.unreadable:
        problems.append(f"{len(report.unreadable)} of {counted(report.files, 'file')} cannot be read and will be skipped")
    one_depth = len(report.depths) == 1 or ({s.depth for s in seen} == {16, 32} and all(s.plain for s in seen))
    if not one_depth:
        problems.append(f"depths are mixed ({', '.join(report.depths)}): convert to one, or use separate folders")
    if len(report.channels) > 1:
        channels = " --channels 1"
        problems.append(f"channels are mixed ({', '.join(report.channels)}): --channels 1 or 3 makes them alike")
    smallest = min(min(s.size) for s in seen)
    if len(report.sizes) > 1:
        problems.append(f"{len(report.sizes)} sizes: --size brings them to one")
    if len(report.sizes) > 1 or smallest > 128:
        size = f" --size {64 if smallest < 128 else 128}"
    if report.records < 100:
        problems.append(
            f"only {counted(report.records, 'picture')}: a network will learn them by heart; 500 or more are wanted"
        )
    if report.labels and min(report.labels.values()) < 20:
        rare = [name for name, count in report.labels.items() if count < 20]
        problems.append(f"labels with fewer than 20 pictures: {some(rare)}")
    if "(none)" in report.labels:
        problems.append("some pictures have a label and some have none")
    if report.leak_count:
        a, b = report.leaks[0]
        problems.append(
            f"{report.leak_count} pairs of equal or nearly equal pictures are divided by the split "
            f"({a} and {b}): put them in one group"
        )
    if report.exact_count + report.near_count and not report.leak_count:
        report.notes.append("duplicates are kept on one side of the split")
    if report.most == report.least:
        problems.append(f"every pixel has the value {report.most:g}: there is nothing to learn")
    if report.burned_in:
        problems.append(
            f"burned-in text is declared in {counted(len(report.burned_in), 'file')} ({some(report.burned_in)}): "
            "a network can learn to write it; take them out or blank the text"
        )
    if report.burned_in_unknown:
        problems.append(
            f"{counted(report.burned_in_unknown, 'DICOM file')} without a word on whether text is burned into the "
            "pixels: look at some"
        )
    if one_depth:
        for card in suited("image", found_in(report.labels, [s.size for s in seen])):
            options = channels + ("" if "size" in card.options else size)
            report.train.append(f"ganvas train {card.name} --data {quote(report.source)}{options}")


def _points(points: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...], source: str) -> CheckReport:
    report = CheckReport(source, "points", 1, len(points))
    if labels is not None:
        counts = np.bincount(labels, minlength=len(classes)).tolist()
        report.labels = dict(zip(classes, counts, strict=True))
    report.sizes = {f"{points.shape[1]} dimensions": len(points)}
    report.least, report.most = float(points.min()), float(points.max())
    low, middle, high = (float(v) for v in np.percentile(points, (0.1, 50, 99.9)))
    report.percentiles = (low, middle, high)
    report.exact_count = len(points) - len(np.unique(points, axis=0))
    if len(points) < 100:
        report.problems.append(f"only {counted(len(points), 'point')}: 500 or more are wanted")
    report.train += [f"ganvas train {card.name} --data {quote(source)}" for card in suited("points", found_in(report.labels))]
    return report
