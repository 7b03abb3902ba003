"""Spectra (Raman, infrared, mass): intensity over wavenumber, as a kind of data of one's own in one file.

This is the worked example of docs/own.md. Files are two columns of text (`.xy`, `.txt`) or JCAMP-DX (`.jdx`, `.dx`), the form
in which spectra are exchanged (McDonald and Wilks, 1988, Appl. Spectrosc. 42, 151). All spectra of a data set are brought to
one grid: the range that they share, in equal steps. Records are (N, points) float32 in the files' units, tensors the same, but
scaled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.errors import DataError, GanvasError
from ganvas.files import write_atomically
from ganvas.kinds import Kind, KindSays
from ganvas.kinds.facets import Piece
from ganvas.store.entry import conclude
from ganvas.store.guard import failure, finite_float32, guard
from ganvas.store.listing import class_indices

POINTS = 512  # when nobody says --size
SYNTHETIC = "SYNTHETIC: made by a generative model, not a measurement"
ROW = re.compile(r"[-+0-9.eE,;\s]+")


@dataclass(frozen=True)
class SpectrumSpec:
    """What a data set of spectra is. points: of each. first, last: wavenumbers of the ends, 1/cm. low, high: the intensities
    that become -1 and 1. classes: label names in index order, as in every spec."""

    points: int
    first: float = 200.0
    last: float = 3200.0
    low: float = 0.0
    high: float = 1.0
    classes: tuple[str, ...] = ()
    kind: str = "spectrum"

    @property
    def shape(self) -> tuple[int]:
        """(points,), of a record's tensor."""
        return (self.points,)

    @property
    def size(self) -> str:
        """What `--size` would have to be."""
        return str(self.points)

    @property
    def grid(self) -> np.ndarray:
        """(points,) wavenumbers."""
        return np.linspace(self.first, self.last, self.points)


# Files


def read_spectrum(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Wavenumbers (K,), ascending, and intensities (K,) of a file. Raises DataError in one line."""
    with guard(path, "spectrum"):
        text = path.read_bytes().decode("utf-8", "replace")  # instruments write their own letters into the head
        x, y = _jcamp(path, text) if path.suffix.lower() in (".jdx", ".dx") else _columns(path, text)
        finite_float32(path, np.stack([x, y]), "spectrum")
    order = np.argsort(x, kind="stable")  # infrared files often begin at the highest
    if len(x) < 2 or x[order[0]] == x[order[-1]]:
        raise failure(path, "holds no two wavenumbers", "a spectrum is a line of two numbers for each")
    return x[order], y[order]


def _columns(path: Path, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Two columns, with any lines of words in front."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line.strip()[0] not in "#%"]
    rows: list[list[float]] = []
    for number, line in lines:
        cells = re.split(r"[,;\s]+", line.strip()) if ROW.fullmatch(line) else []
        if len(cells) == 2:
            rows.append([float(cell) for cell in cells])
        elif rows:
            raise failure(path, f"has '{line[:40]}' in line {number}", "give a wavenumber and an intensity in each line")
    if not rows:
        raise failure(path, "has no two columns of numbers", "give a wavenumber and an intensity in each line")
    return np.array(rows).T[0], np.array(rows).T[1]


def _jcamp(path: Path, text: str) -> tuple[np.ndarray, np.ndarray]:
    """JCAMP-DX 4.24 in equal steps, its numbers as they are (AFFN), not compressed."""
    head = {key.strip().upper(): value.strip() for key, value in re.findall(r"^##([^=]+)=([^\n$]*)", text, re.MULTILINE)}
    body = re.search(r"^##XYDATA=\s*\(X\+\+\(Y\.\.Y\)\)[^\n]*\n(.*?)^##", text, re.MULTILINE | re.DOTALL)
    if body is None or not {"FIRSTX", "LASTX", "NPOINTS"} <= head.keys():
        raise failure(path, "has no block XYDATA=(X++(Y..Y)) with FIRSTX, LASTX and NPOINTS", "export it as JCAMP-DX 4.24")
    if not ROW.fullmatch(body[1]):
        raise failure(path, "is compressed (SQZ, DIF or PAC)", "export it uncompressed (AFFN)")
    values = [float(cell) for line in body[1].splitlines() for cell in line.split()[1:]]  # the first is a wavenumber
    x = np.linspace(float(head["FIRSTX"]), float(head["LASTX"]), int(float(head["NPOINTS"])))
    if len(values) != len(x):
        raise failure(path, f"holds {len(values)} values, and says NPOINTS={len(x)}", "it is cut or damaged: export it again")
    return x * float(head.get("XFACTOR", 1)), np.array(values) * float(head.get("YFACTOR", 1))


# The kind


class SpectrumKind(Kind):
    name = "spectrum"
    spec = SpectrumSpec
    suffixes = (".xy", ".jdx", ".dx", ".txt")
    lent = (".txt",)  # text, to everybody who does not ask for spectra
    formats = ("xy", "jdx")
    says = KindSays(
        noun="spectra",
        features="bands",
        limit="Samples look like spectra of the data; they are of no substance, and their peaks are no measurement.",
        phantom="",
        shown=8,
        threads=1,
        example_size=POINTS,
        small=(24, 1),
        options={"size": "points of a spectrum"},
    )

    def fill(self, writer: Any, listing: Any, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """Read every file, bring all to the range that they share, and say what they are."""
        points = POINTS if settings.get("size") is None else settings["size"]
        if not isinstance(points, int) or points < 2:
            raise GanvasError(f"--size {points} does not fit spectra: give the points of one, as in 512")
        found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        skipped: list[tuple[str, str]] = []
        for place, path in enumerate(listing.files):
            try:
                found[place] = read_spectrum(path)
            except DataError as error:
                if strict or len(listing.files) == 1:
                    raise
                skipped.append((listing.names[place], str(error)))
        if not found:
            raise DataError(f"{listing.source}: none of {len(listing.files)} files could be read: {skipped[0][1]}")
        first, last = max(x[0] for x, _ in found.values()), min(x[-1] for x, _ in found.values())
        if not first < last:
            raise DataError(
                f"{listing.source}: no range of wavenumbers is in all spectra: take out those that begin at {first:g}"
            )
        grid = np.linspace(first, last, points)
        records = np.stack([np.interp(grid, x, y) for x, y in found.values()]).astype(np.float32)
        low, high = (float(value) for value in np.percentile(records, (0.1, 99.9)))
        if not low < high:
            raise DataError(f"{listing.source}: all intensities are the same: nothing to learn")
        for record in records:
            writer.row(record)
        notes = [*listing.notes, *(f"skipped {reason}" for _, reason in skipped)]
        labels, classes = class_indices([listing.labels[place] for place in found], listing.source, self.says.noun, notes)
        held = np.array([-1 if listing.heldout[place] is None else int(listing.heldout[place]) for place in found], np.int8)
        # Equal spectra, and those of one group (one sample, measured twice), stay on one side of the split.
        keys = [listing.groups[place] or record.tobytes() for place, record in zip(found, records, strict=True)]
        groups = np.array([keys.index(key) for key in keys])
        writer.facts["skipped"] = skipped
        spec = SpectrumSpec(points, float(first), float(last), low, high, classes)
        sides = held if (held >= 0).any() else None
        conclude(writer, spec, labels, groups, sides, notes, [listing.names[place] for place in found])

    learnt = ("low", "high")

    def learn(self, spec: SpectrumSpec, values: np.ndarray, rows: np.ndarray) -> tuple[SpectrumSpec, str]:
        """The range of the spectra that are trained on, and of no others: see `facets.Learns`."""
        low, high = (float(value) for value in np.percentile(values[rows], (0.1, 99.9)))
        return (replace(spec, low=low, high=high) if low < high else spec), f"intensities {low:.4g} to {high:.4g} are learnt"

    def read(self, path: Path, spec: SpectrumSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """The spectrum of a file on the grid of the run: `ganvas apply` can score it. See `facets.Reads`."""
        x, y = read_spectrum(path)
        if x[0] > spec.first or x[-1] < spec.last:
            raise DataError(f"{path}: reaches from {x[0]:g} to {x[-1]:g}, and the run learnt {spec.first:g} to {spec.last:g}")
        yield Piece(np.interp(spec.grid, x, y).astype(np.float32)[None], spec)

    def encode(self, values: np.ndarray, spec: SpectrumSpec, device: Any) -> Any:
        import torch

        scaled = 2 * (np.asarray(values, np.float32) - spec.low) / (spec.high - spec.low) - 1
        return torch.from_numpy(scaled.astype(np.float32)).to(device)

    def decode(self, tensor: Any, spec: SpectrumSpec) -> np.ndarray:
        scaled = tensor.detach().float().cpu().numpy()
        return ((scaled + 1) / 2 * (spec.high - spec.low) + spec.low).astype(np.float32)

    def write(
        self, records: np.ndarray, spec: SpectrumSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """One file a spectrum; each says that it is synthetic."""
        if depth is not None:
            raise GanvasError("--depth means nothing to spectra: leave it out")
        mark = "; ".join([SYNTHETIC, *(f"{key} {value}" for key, value in note.items())])
        paths = []
        for number, record in enumerate(records, start=1):
            rows = [f"{x:.9g} {y:.7g}" for x, y in zip(spec.grid, record, strict=True)]
            if format == "jdx":
                head = {
                    "TITLE": mark,
                    "JCAMP-DX": "4.24",
                    "DATA TYPE": "RAMAN SPECTRUM",
                    "XUNITS": "1/CM",
                    "YUNITS": "ARBITRARY UNITS",
                }
                head |= {"XFACTOR": 1, "YFACTOR": 1, "FIRSTX": spec.first, "LASTX": spec.last, "NPOINTS": spec.points}
                rows = [*(f"##{key}={value}" for key, value in head.items()), "##XYDATA=(X++(Y..Y))", *rows, "##END="]
            else:
                rows = [f"# {mark}", *rows]
            paths.append(Path(folder) / f"sample-{number:05d}.{format}")
            write_atomically(paths[-1], ("\n".join(rows) + "\n").encode())
        return paths

    def picture(self, records: np.ndarray, spec: SpectrumSpec) -> np.ndarray:
        """Spectra one above the other, over wavenumber."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 1 + 0.6 * len(records)), dpi=100, layout="constrained")
        canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
        for place, record in enumerate(records):
            axes.plot(spec.grid, (record - spec.low) / (spec.high - spec.low) - 1.1 * place, linewidth=1)
        axes.set(xlabel="wavenumber (1/cm)", yticks=[], xlim=(spec.first, spec.last))
        canvas.draw()
        return np.array(canvas.buffer_rgba())[..., :3].copy()

    def vectors(self, values: np.ndarray, spec: SpectrumSpec) -> np.ndarray:
        """Mean intensities of at most 64 bands, (N, bands) float32, 0 to 1 over the range of the data."""
        scaled = (np.asarray(values, np.float64) - spec.low) / (spec.high - spec.low)
        bands = np.array_split(scaled, min(64, spec.points), axis=1)
        return np.stack([band.mean(axis=1) for band in bands], axis=1).astype(np.float32)

    def properties(self, records: np.ndarray, spec: SpectrumSpec) -> dict[str, np.ndarray]:
        """peak: the wavenumber of the highest point. height: its intensity. By these names latent directions are found."""
        return {"peak": spec.grid[records.argmax(axis=1)], "height": records.max(axis=1).astype(np.float64)}

    def aligned(
        self, values: np.ndarray, spec: SpectrumSpec, other: SpectrumSpec
    ) -> tuple[np.ndarray, SpectrumSpec, list[str]]:
        """Samples on the grid of the real data, by whose range of intensities they are judged. See `facets.Aligned`."""
        if spec.first > other.first or spec.last < other.last:
            told = f"from {spec.first:g} to {spec.last:g}, the real data from {other.first:g} to {other.last:g}"
            raise GanvasError(f"the samples reach {told}: give samples of that range")
        return np.stack([np.interp(other.grid, spec.grid, record) for record in values]).astype(np.float32), other, []

    changes = "another intensity"
    twin, reach = 0.9999, 0.999

    def prints(self, values: np.ndarray, spec: SpectrumSpec, changed: bool = False) -> np.ndarray:
        """(N, 1, points): each spectrum about its mean, at length 1. What was measured twice as long is known again: it is held
        out with its twin, and found among samples as a copy. See `facets.Recognises`."""
        own = values - values.mean(axis=1, keepdims=True, dtype=np.float64)
        length = np.linalg.norm(own, axis=1, keepdims=True)
        return (own / np.where(length > 0, length, 1)).astype(np.float32)[:, None]

    def likeness(self, first: np.ndarray, second: np.ndarray, spec: SpectrumSpec) -> np.ndarray:
        """The correlation of pairs, at least 0."""
        return np.clip(np.einsum("ns,ns->n", self.prints(first, spec)[:, 0], self.prints(second, spec)[:, 0]), 0, 1)

    def describe(self, spec: SpectrumSpec) -> str:
        return f"spectra of {spec.points} points from {spec.first:g} to {spec.last:g} 1/cm"

    def example(self, size: int, channels: int, classes: tuple[str, ...] = ()) -> SpectrumSpec:
        return SpectrumSpec(size, classes=classes)


KIND = SpectrumKind()
