"""`ganvas sample`: records from a run, written as files of the data's own kind, with a grid to look at."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..capabilities import Assembles
from ..drawing import save_picture
from ..errors import GanvasError, did_you_mean
from ..files import write_atomically
from ..kinds import kind_of
from ..kinds.facets import Deep, Levelled
from ..version import __version__
from .load import Run
from .outputs import check_free, free_name, moved, results


def draw(
    folder: Path,
    *,
    count: int | None = None,
    seed: int = 0,
    label: str | None = None,
    out: Path | None = None,
    depth: int | None = None,
    format: str | None = None,
    loudness: str | None = None,
    moves: Mapping[str, float] | None = None,
    which: str = "last",
    device: str = "auto",
    system: Path | None = None,
    config: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Draw `count` records (64, or one graph) and write them. Returns count, folder, files, grid, format, shape, dtype, labels,
    notes.

    loudness: of sound, `peak:-1` or `rms:-20` in dB of full scale, or `lufs:-16`; None leaves it as it is made. moves: along
    directions with names, in standard deviations (`ganvas.inference.directions`).
    label: of all records; without it a system that takes labels makes the classes in turn. The class of each record then
    stands in its file's name and in `labels.csv` (in the file itself for .npz and CSV), and labels is the list of them, else
    None. out: a folder that is absent or empty; by default `generated` in the run, or `generated-2` ... when that is used.
    overwrite: replace what ganvas wrote into the folder before.
    Raises GanvasError for an unknown label or direction, a format that cannot hold the records, a used folder, or a folder that
    is no run.
    """
    from ..inference.directions import directions_of

    if out is not None:
        check_free(Path(out), overwrite)
    run = Run(folder, which=which, device=device, system=system, config=config)
    kind, spec = kind_of(run.spec.kind), run.spec
    name = run.record.card.name
    if moves:
        directions_of(run, say)  # found now if need be, and told; from then on they are kept
    if loudness is not None and not isinstance(kind, Levelled):
        raise GanvasError(f"--loudness is for sound; this run makes {kind.says.noun}")
    count = kind.says.usual if count is None else count
    own: str = getattr(spec, "format", kind.formats[0])
    chosen = (format or own).lower()
    chosen = {"tif": "tiff", "jpeg": "jpg", "dcm": "dicom", "nii": "nifti"}.get(chosen, chosen)
    if chosen not in kind.formats:
        close = did_you_mean(chosen, list(kind.formats))
        raise GanvasError(f"--format '{chosen}' is not served for {kind.says.noun}{close}; formats: {', '.join(kind.formats)}")
    if isinstance(kind, Deep):
        spec = kind.stored(spec, chosen, depth)
    if isinstance(run.system, Assembles):
        if label is not None or moves:
            raise GanvasError(f"{name} takes neither --label nor --move: leave them out")
        records = run.assemble(count, seed=seed)
    else:
        records = run.sample(count, seed=seed, label=label, moves=moves, depth=getattr(spec, "depth", None))
    notes: list[str] = []
    if loudness is not None and isinstance(kind, Levelled):
        records, notes = kind.loudness(records, spec, loudness)
    labels = None if isinstance(run.system, Assembles) else _names(run, count, label)
    usual = run.record.path / "generated"
    target = Path(out) if out is not None else usual if overwrite else free_name(usual)
    with results(target, "sample", overwrite=overwrite) as place:
        files = kind.write(records, spec, place, format=chosen, depth=depth, note=_note(run, seed, moves))
        if labels is not None:
            files = _labelled(files, labels, place, chosen)
        save_picture(place / "grid.png", kind.picture(records[: kind.says.shown], spec))
    return {
        "count": count,
        "folder": str(target),
        "files": moved(files, place, target),
        "grid": str(target / "grid.png"),
        "format": chosen,
        "shape": list(records.shape[1:]),
        "dtype": str(records.dtype),
        "labels": labels,
        "notes": notes,
    }


def _names(run: Run, count: int, label: str | None) -> list[str] | None:
    """The class that is asked for of each record, by name; None for a system that takes no labels."""
    labels = run.labels_for(count, label)
    return None if labels is None else [str(run.spec.classes[index]) for index in labels]


def _stems(labels: Sequence[str]) -> list[str]:
    """Names of files, without suffix, that tell the class as far as a file name can: `sample-0001-dark`."""
    digits = max(4, len(str(len(labels))))
    words = ["".join(c if c.isalnum() or c in "-_" else "-" for c in label).strip("-")[:40] for label in labels]
    return [f"sample-{number:0{digits}d}" + (f"-{word}" if word else "") for number, word in enumerate(words, start=1)]


def _note(run: Run, seed: int, moves: Mapping[str, float] | None) -> dict[str, str]:
    """What every sample says of its origin."""
    rounds = str(run.manifest.get("round", ""))
    note = {"system": run.record.card.name, "ganvas": __version__, "seed": str(seed), "round": rounds}
    return {**note, "moved": ", ".join(f"{name} {amount:+g}" for name, amount in moves.items())} if moves else note


def _labelled(files: list[Path], labels: list[str], place: Path, format: str) -> list[Path]:
    """The classes put beside samples: in the names of files and `labels.csv`, or into the one file that holds all samples.

    Volumes of slices have `slices.csv`. Raises GanvasError for another single file, which has no place for them.
    """
    import numpy as np

    if len(files) == 1 and format == "npz":
        with np.load(files[0], allow_pickle=False) as held:
            arrays: dict[str, Any] = dict(held)
        buffer = io.BytesIO()
        arrays["labels"] = np.array(labels)
        np.savez_compressed(buffer, **arrays)
        write_atomically(files[0], buffer.getvalue())
        return files
    if len(files) == 1 and files[0].name == "samples.csv":
        head, *lines = files[0].read_text(encoding="utf-8").splitlines()
        if len(lines) == len(labels):  # a record a line
            cells = _table(["label"], ([label] for label in labels)).decode().split("\n")
            write_atomically(files[0], "".join(f"{a},{b}\n" for a, b in zip([head, *lines], cells, strict=False)).encode())
            return files
    if len(files) == 1 and format == "nifti":
        write_atomically(place / "slices.csv", _table(["slice", "label"], enumerate(labels)))
        return files
    if len(files) != len(labels):
        raise GanvasError(f"--format {format} has no place for the class of each sample: take npz")
    named = []
    for path, stem in zip(files, _stems(labels), strict=True):
        suffix = path.name[len("sample-") :].lstrip("0123456789")  # `.nii.gz` has two dots
        named.append(path.with_name(f"{stem}{suffix}"))
        os.replace(path, named[-1])
    write_atomically(place / "labels.csv", _table(["file", "label"], zip((path.name for path in named), labels, strict=True)))
    return named


def _table(header: Sequence[str], rows: Any) -> bytes:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return table.getvalue().encode()
