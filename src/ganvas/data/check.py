"""`ganvas data check`: what a source holds and what may go wrong with it, before anything is trained.

Works on folders that `open_data` would refuse (mixed sizes, nothing but damaged files) and changes nothing. Values of
patient tags are never read into the report, only the names of tags that are filled in. Burned-in text is known from the
tags alone: a page of pixels is not searched for letters. Not for the quality of samples.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, GanvasError, MissingExtra
from ..kinds import kind_names, kind_of
from ..kinds.image.resize import LUMINANCE, thumbnail
from ..registry import catalogue, suited
from ..store import cache as caching
from ..store.listing import Listing, counted, natural, some
from ..store.progress import busy
from ..store.splits import MOST, TWIN, twin_pairs
from .classes import suits_of
from .finding import claimed, files_of, possible, recognise

if TYPE_CHECKING:
    from ..kinds.image.readers import Picture

LISTED = 50
"""At most this many pairs or files of a kind are listed; the counts are always complete."""

PATIENT_TAGS = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientAddress", "PatientComments",
    "PatientTelephoneNumbers", "OtherPatientIDs", "OtherPatientNames", "EthnicGroup", "Occupation",
    "InstitutionName", "InstitutionAddress", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName",
    "PhysiciansOfRecord", "RequestingPhysician", "AccessionNumber", "StudyID", "StudyDate", "StationName",
    "DeviceSerialNumber",
)  # fmt: skip
"""Tags that name or help to find a patient (from the Basic Profile of DICOM PS3.15 Annex E)."""

HELDOUT = 0.2  # share that is held out when nobody says
LARGE = 192  # pixels of a shorter side from which pictures can be cut at their own scale, and shown smaller
SAMPLED = 400  # pixels remembered of each picture, for the histogram

LEAST_PAIRS, ALIKE = 10, 0.9  # files of equal names in two sub-folders, and their share, that may be pairs
PICTURES = ("image", "points")
"""Kinds that are looked through file by file, not opened."""


@dataclass
class CheckReport:
    """What `check` found. Pairs are names of records; lists are cut at `LISTED`, counts are not; a count of -1 was not taken.

    sizes, depths, channels, labels: how many records of each. groups, group_source: how many groups a table or the
    PatientID names (0 and "" if neither does). split: records per side of a `split` column. least, most: the extreme
    values; percentiles: 0.1, 50 and 99.9; histogram: shares of 16 equal bins from least to most; saturated: shares of
    pixels at or beyond the black and the white end of the range the files declare. train: lines to run next.
    fields: of records of several, name -> what they are; lonely: rows and files without their partner; sheet: the picture of
    rows that was written. alone: the kind, where all files of the source are those of one field.
    """

    source: str
    kind: str
    files: int = 0
    records: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    groups: int = 0
    group_source: str = ""
    split: dict[str, int] = field(default_factory=dict)
    least: float = 0.0
    most: float = 0.0
    percentiles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    histogram: list[float] = field(default_factory=list)
    saturated: tuple[float, float] = (0.0, 0.0)
    exact_count: int = 0
    exact: list[tuple[str, str]] = field(default_factory=list)
    near_count: int = 0
    near: list[tuple[str, str]] = field(default_factory=list)
    leak_count: int = 0
    leaks: list[tuple[str, str]] = field(default_factory=list)
    burned_in: list[str] = field(default_factory=list)
    burned_in_unknown: int = 0
    patient_tags: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    train: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    lonely: list[str] = field(default_factory=list)
    lonely_count: int = 0
    sheet: str = ""
    alone: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The report as text, most important last."""
        out = [f"{self.source}: {self.records} {self.kind} in {counted(self.files, 'file')}"]

        def row(name: str, text: str) -> None:
            out.append(f"  {name:<12} {text}")

        def listed(counts: dict[str, int], most: int = 8) -> str:
            shown = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:most])
            return shown + (f" and {len(counts) - most} more" if len(counts) > most else "")

        for name, told in self.fields.items():
            row("field", f"{name}: {told}")
        for name, counts in (("size", self.sizes), ("depth", self.depths), ("channels", self.channels)):
            if counts:
                row(name, listed(counts))
        if self.labels:
            row("labels", listed(self.labels, 20))
        if self.groups:
            row("groups", f"{self.groups}, from {self.group_source}")
        if self.split:
            row("split", listed(self.split))
        if self.histogram:
            low, middle, high = self.percentiles
            row("values", f"{self.least:g} to {self.most:g}; percentiles 0.1: {low:g}, 50: {middle:g}, 99.9: {high:g}")
            tallest = max(self.histogram) or 1.0
            row("histogram", "".join(" ▁▂▃▄▅▆▇█"[round(8 * share / tallest)] for share in self.histogram))
            row("saturated", f"{self.saturated[0]:.1%} black, {self.saturated[1]:.1%} white")
        if self.exact_count >= 0:
            row("duplicates", f"{self.exact_count} exact, {self.near_count} near")
        for title, pairs in (("same as", self.exact), ("twin of", self.near)):
            out += [f"    {a}  {title}  {b}" for a, b in pairs[:5]]
        out += [f"  note: {note}" for note in self.notes]
        out += [f"  note: {warning} ({some(names)})" for warning, names in self.warnings.items()]
        if self.patient_tags:
            out.append(f"  patient tags filled in: {listed(self.patient_tags, 30)}; none reaches a sample")
        out += [f"  cannot be read: {name}: {reason}" for name, reason in self.unreadable[:LISTED]]
        out += [f"  no partner: {line}" for line in self.lonely]
        if self.lonely_count > len(self.lonely):
            out.append(f"  no partner: and {self.lonely_count - len(self.lonely)} more")
        if self.sheet:
            row("sheet", self.sheet)
        out += [f"  problem: {problem}" for problem in self.problems]
        return out + [f"  next: {line}" for line in self.train]


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


class _Unreadable(DataError):
    """A picture that cannot be read, with `strict`."""


def check(
    source: str | Path | np.ndarray,
    *,
    strict: bool = False,
    axis: int | None = None,
    kind: str | None = None,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    rate: int | None = None,
    fit: str | None = None,
    up: str | None = None,
    fields: str | None = None,
    sheet: Path | None = None,
    progress: bool = True,
) -> CheckReport:
    """Look through a folder, file, array or phantom and report. Reads every file once and writes nothing but the sheet.

    kind: sound, series, solid, graph or tokens, where the files leave open what they are. size, channels, rate, fit, up: as
    `open_data` takes them, of what is neither pictures nor points: of those the report tells every size and channel anyway.
    fields: where the fields of records of several lie, `photo=photos,map=labels`, when they are not found by themselves. sheet:
    a PNG to write, of some rows of such records, fields side by side.

    Raises DataError when there is nothing at all to look at, when a table does not fit the files, and with `strict` for
    the first unreadable file; GanvasError for settings that the data does not take.
    """
    settings = {"size": size, "channels": channels, "rate": rate, "fit": fit, "up": up}
    given = {name: value for name, value in settings.items() if value is not None}
    report = _checked(source, strict, axis, kind, given, fields, sheet, progress)
    from ..metrics.memorisation import too_few
    from .phantoms import is_phantom

    held = report.split.get("held out", 0) if report.split else round(HELDOUT * report.records)
    told = "" if report.split else f" (of {report.records:,}, with --heldout {HELDOUT})"
    if report.records and not is_phantom(str(source)) and (found := too_few(report.records - held, held, told)) is not None:
        report.notes.append(f"copies of training records could not be told of a system trained on this: {found}")
    return report


def _checked(
    source: str | Path | np.ndarray, strict: bool, axis: int | None, kind: str | None, given: dict[str, Any],
    fields: str | None, sheet: Path | None, progress: bool,
) -> CheckReport:  # fmt: skip
    """As `check`, but for the audit. given: settings of what is neither pictures nor points."""
    path = None if isinstance(source, np.ndarray) else Path(source).expanduser()
    if path is not None and path.exists() and kind is None and not given:
        several = _of_fields(path, str(source), fields, sheet)
        if several is not None and not several.alone:
            return several
        if several is not None:  # records of one field with captions or attributes beside
            again = _checked(source, strict, axis, several.alone, {}, None, None, progress)
            return _joined(several, again)
    if fields or sheet:
        which = "--fields" if fields else "--sheet"
        raise DataError(
            f"{source}: {which} is for records of several fields, which it does not hold, or not in a layout that is known"
        )
    if path is not None and (chosen := kind or claimed(path) or recognise(str(source))) not in PICTURES:
        return _of_kind(str(source), chosen, strict, progress, given)
    try:
        report = _of_pictures(source, strict, axis, progress)
    except _Unreadable:
        raise
    except DataError as refused:  # neither points nor pictures: perhaps what only some systems learn from
        other = None if path is None else _some_kind(str(source), strict, progress, given)
        if other is None:
            raise refused
        return other
    if not report.records and path is not None and (other := _some_kind(str(source), strict, progress, given)) is not None:
        return other
    if not report.records and path is not None and (kinds := [k for k in possible(path) if k not in PICTURES]):
        report.problems.append(f"they were read as pictures: if they are something else, say --kind {' or '.join(kinds)}")
    if given:
        raise GanvasError(
            f"--{next(iter(given))} is not for a check of pictures and points, which lists what there is: leave it out, or say "
            f"--kind ({', '.join(kind_names())}) if they are something else"
        )
    return report


def _of_fields(path: Path, text: str, fields: str | None, sheet: Path | None) -> CheckReport | None:
    """The report of records of several fields; None where there is one."""
    import tempfile

    from .columns import parse_fields
    from .fields import look_at_fields
    from .fields import sheet as drawn

    with tempfile.TemporaryDirectory() as folder:
        found = look_at_fields(path, text, parse_fields(fields), Path(folder))
    if found is None:
        return None
    rows = found.rows
    files = {file for column in rows.columns.values() for file in column.files}
    report = CheckReport(text, f"records of {len(rows.columns)} fields", len(files) or 1, len(rows.names), notes=found.notes)
    report.fields, report.problems, report.train = found.told, found.problems, found.train
    report.lonely, report.lonely_count = rows.lonely[:LISTED], len(rows.lonely)
    report.exact_count = report.near_count = -1
    report.alone = found.alone(path)
    report.split = found.split
    labels = Counter(label for label in rows.labels if label is not None)
    report.labels = {name: labels[name] for name in sorted(labels, key=natural)}
    groups = {group for group in rows.groups if group is not None}
    if groups:
        report.groups, report.group_source = len(groups), some([table.name for table in rows.tables]) or "the file"
    if sheet is not None:
        import io

        from PIL import Image

        from ..files import write_atomically

        buffer = io.BytesIO()  # not by `drawing.png`, which calls what it writes synthetic
        Image.fromarray(drawn(found)).save(buffer, format="PNG")
        write_atomically(sheet, buffer.getvalue())
        report.sheet = str(sheet)
    return report


def _joined(several: CheckReport, usual: CheckReport) -> CheckReport:
    """The report of the files, with what the table beside them holds."""
    for name in ("fields", "lonely", "lonely_count", "sheet", "alone"):
        setattr(usual, name, getattr(several, name))
    for name in ("labels", "split", "groups", "group_source"):
        setattr(usual, name, getattr(usual, name) or getattr(several, name))
    usual.notes += several.notes
    usual.problems += several.problems
    usual.train = list(dict.fromkeys([*several.train, *usual.train]))
    return usual


def _of_pictures(source: str | Path | np.ndarray, strict: bool, axis: int | None, progress: bool) -> CheckReport:
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
                raise _Unreadable(error[1])
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


def _some_kind(source: str, strict: bool, progress: bool, given: dict[str, Any]) -> CheckReport | None:
    """The report of the first kind that can make records of the files, where only their suffixes say what they may be."""
    for kind in possible(Path(source).expanduser()):
        if kind not in PICTURES:
            with contextlib.suppress(DataError):
                return _of_kind(source, kind, strict, progress, given)
    return None


def _of_kind(source: str, kind: str, strict: bool, progress: bool, given: dict[str, Any]) -> CheckReport:
    """What data of a kind with a module of its own becomes when it is opened; the cache is one for the moment."""
    import tempfile

    from .dataset import open_data

    own = kind_of(kind)
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {"kinds": (kind,), "strict": strict, "progress": progress, "phantom_count": 200, **given}
        data = open_data(source, cache=Path(folder), **settings)
        path = Path(source).expanduser()
        files = len(files_of(path, own).files) if path.exists() else 0
        report = CheckReport(source, f"records, {own.describe(data.spec)},", files, len(data), notes=list(data.notes))
        if data.labels is not None:
            report.labels = {name: int((data.labels == k).sum()) for k, name in enumerate(data.spec.classes)}
        report.exact_count = report.near_count = -1
        report.groups, report.group_source = len(np.unique(data.groups)), "what may be held out together"
        del data  # its file is mapped
    chosen = "".join(f" --{n} {'x'.join(map(str, v)) if isinstance(v, tuple) else v}" for n, v in given.items())
    report.train = [f"ganvas train {card.name} --data {quote(source)}{chosen}" for card in suited(kind, _found(report.labels))]
    return report


def _found(labels: dict[str, int], sizes: Sequence[tuple[int, int]] = ()) -> set[str]:
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
        report.groups, report.group_source = len(tabled), "groups.csv"
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
    from ..kinds.image.filling import FEW, axes_apart, crowded, few_values, scales_apart, white_of

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
        for card in suited("image", _found(report.labels, [s.size for s in seen])):
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
    report.train += [f"ganvas train {card.name} --data {quote(source)}" for card in suited("points", _found(report.labels))]
    return report
