"""`ganvas sample`: records from a run, written as files of the data's own kind, with a grid to look at."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import knobs
from ..drawing import save_picture
from ..errors import GanvasError
from ..files import write_atomically
from ..kinds import decode, format_named, kind_of
from ..kinds.facets import Deep, Levelled
from ..specs import PROPERTIES
from ..uses import Use, Work, build_options, drawing, find_use, pieces_of, uses_of
from ..uses.properties import SERIES, asked_and_measured, known_properties, told_of_asked, told_of_sweep
from ..uses.sample import attributes_known, codes_known, moves_of
from ..version import __version__
from .given import GivenField, given_fields, sorted_out
from .load import Run
from .outputs import check_free, filled, free_name, moved, results


def draw(
    run: str | Path | Run,
    *,
    count: int | None = None,
    seed: int = 0,
    label: str | None = None,
    out: Path | None = None,
    depth: int | None = None,
    format: str | None = None,
    loudness: str | None = None,
    moves: Mapping[str, float] | None = None,
    fields: Mapping[str, str] | None = None,
    verb: str | None = None,
    which: str | None = None,
    device: str = "auto",
    system: Path | None = None,
    config: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Draw `count` records (64, or one graph) and write them. Returns count, folder, files, grid, format, shape, dtype, labels,
    codes, attributes, properties, notes.

    loudness: of sound, `peak:-1` or `rms:-20` in dB of full scale, or `lufs:-16`; None leaves it as it is made. moves: along
    directions with names, in standard deviations (`ganvas.inference.directions`). fields: by which records are asked for, as
    {"caption": "a red bird"}: words, or a file. verb: the use, where a system makes records from noise in several ways
    (`ganvas.uses`); options: further ones of that use.
    label: of all records; without it a system that takes labels makes the classes in turn. The class of each record then
    stands in its file's name and in `labels.csv` (in the file itself for .npz and CSV), and labels is the list of them, else
    None. The codes of systems that found some stand in `codes.csv` likewise, and what attributes samples were asked to show in
    `attributes.csv`, as do, of runs that learnt properties, those asked for and what was measured of what came out. sweep (an
    option of `sample`): count is then the number of series. out: a folder that is absent or empty; by default `generated` in
    the run, or `generated-2` ... when that is used. overwrite: replace what ganvas wrote into the folder before.
    Raises GanvasError for an unknown label, code, attribute or direction, a format that cannot hold the records, a used folder,
    or one that is no run.
    """
    import numpy as np

    if out is not None:
        check_free(Path(out), overwrite)
    if not isinstance(run, Run):
        run = Run(run, which=which, device=device, system=system, config=config)
    kind, spec, work = kind_of(run.spec.kind), run.spec, run.work(seed, say)
    name = run.record.card.name
    use = drawing(run.system) if verb is None else find_use(run.system, verb, name)
    if use is not None:  # one that does it better stands in its place
        use = next((other for other in uses_of(run.system) if use.verb in other.replaces), use)
    if use is None:
        raise GanvasError(
            f"{run.record.path}: {name} makes nothing from noise alone: give it files, with  ganvas apply {run.record.path} "
            "FILE ..."
        )
    more, named = sorted_out(use, work, options)
    beside = given_fields(use, work, {**named, **(fields or {})}, reading(run, fitted=True))
    if loudness is not None and not isinstance(kind, Levelled):
        raise GanvasError(f"--loudness is for sound; this run makes {kind.says.noun}")
    counts = [knob.default for knob in knobs(use.Options) if knob.name == "count"]
    if counts and count is None:
        count = SERIES if options.get("sweep") else kind.says.usual if use.verb == "sample" else min(counts[0], kind.says.usual)
    move = tuple(f"{key}={amount!r}" for key, amount in (moves or {}).items())
    more = {name: value for name, value in more.items() if value != []}
    asked = {"move": move, "label": None if label is None else str(label), **more, "count": count}
    chosen_options = build_options(use, asked, uses_of(run.system))
    chosen = format_named(kind, format or str(getattr(spec, "format", kind.formats[0])))
    if isinstance(kind, Deep):
        spec = kind.stored(spec, chosen, depth)
    records, labels, beside_each, notes = _made(use, work, chosen_options, beside, getattr(spec, "depth", None))
    rows = beside_each.pop(PROPERTIES, None)
    notes = [*run.notes, *notes]
    if loudness is not None and isinstance(kind, Levelled):
        records, told = kind.loudness(records, spec, loudness)
        notes += told
    kept, told = filled(kind, records, str(run.record.path))
    numbers: dict[str, dict[str, Any]] = {}
    if rows is not None:  # measured of what is written
        words, sweep = (*chosen_options.attributes, *chosen_options.set_attribute), chosen_options.sweep
        numbers = asked_and_measured(work, rows[""], records, spec)
        notes += [*told_of_asked(work, words, sweep), *told_of_sweep(work, sweep, numbers)]
        numbers = {name: {side: own[kept] for side, own in both.items()} for name, both in numbers.items()}
    records, notes = records[kept], notes + told
    labels = None if labels is None else [label for label, own in zip(labels, kept, strict=True) if own]
    beside_each = {key: {name: values[kept] for name, values in own.items()} for key, own in beside_each.items()}
    usual = run.record.path / "generated"
    target = Path(out) if out is not None else usual if overwrite else free_name(usual)
    with results(target, "sample", overwrite=overwrite) as place:
        note = {**_note(run, seed, chosen_options), **{key: field.told for key, field in beside.items()}}
        files = kind.write(records, spec, place, format=chosen, depth=depth, note=note)
        if labels is not None:
            files = _labelled(files, labels, place, chosen)
        for key, own in beside_each.items():
            _told(files, key, np.stack(list(own.values()), 1), _columns(key, own), place, chosen)
        if numbers:
            flat = _numbered(work, numbers)
            _told(files, "attributes", np.array(list(flat.values())).T, flat, place, chosen)
        save_picture(place / "grid.png", kind.picture(records[: kind.says.shown], spec))
    return {
        "count": len(records),
        "folder": str(target),
        "files": moved(files, place, target),
        "grid": str(target / "grid.png"),
        "format": chosen,
        "shape": list(records.shape[1:]),
        "dtype": str(records.dtype),
        "labels": labels,
        **{
            key: {name: values.tolist() for name, values in beside_each[key].items()} if key in beside_each else None
            for key in ("codes", "attributes")
        },
        "properties": {n: {side: own.tolist() for side, own in both.items()} for n, both in numbers.items()} or None,
        "notes": notes,
    }


def _made(
    use: Use, work: Work, options: Any, beside: Mapping[str, GivenField], depth: int | None
) -> tuple[Any, list[str] | None, dict[str, dict[str, Any]], list[str]]:  # fmt: skip
    """(records in file units, the class of each by name where it was asked for one, what else stands beside each: `codes` and
    `attributes`, values (N,) by name, notes)."""
    import numpy as np
    import torch

    given = {key: field.all() for key, field in beside.items()}
    tensors = {key: torch.cat([work.encode(p.records, p.spec) for p in pieces]) for key, pieces in given.items()}
    with torch.no_grad():
        made = use.run(work, tensors, options)
        records = np.concatenate([decode(piece, work.spec, depth) for piece in pieces_of(made[work.main])])
    labels = [str(work.spec.classes[index]) for index in made["label"].tolist()] if "label" in made else None
    beside_each: dict[str, dict[str, Any]] = {}
    if "codes" in made:
        beside_each["codes"] = dict(zip(codes_known(work), made["codes"].double().numpy().T, strict=True))
    if PROPERTIES in made:
        beside_each[PROPERTIES] = {"": made[PROPERTIES].float().cpu().numpy()}
    if "shown" in made:
        known = zip(attributes_known(work).items(), made["shown"].numpy().T, strict=True)
        beside_each["attributes"] = {name: np.array(values)[own] for (name, values), own in known}
    return records, labels, beside_each, [note for pieces in given.values() for piece in pieces for note in piece.notes]


def reading(run: Run, *, fitted: bool, seed: int = 0) -> dict[str, Any]:
    """How kinds read files for a run (`facets.Reads`)."""
    settings = run.record.settings
    return {"axis": settings.axis, "fit": (settings.fit or "crop") if fitted else None, "seed": seed}


def _stems(labels: Sequence[str]) -> list[str]:
    """Names of files, without suffix, that tell the class as far as a file name can: `sample-0001-dark`."""
    digits = max(4, len(str(len(labels))))
    words = ["".join(c if c.isalnum() or c in "-_" else "-" for c in label).strip("-")[:40] for label in labels]
    return [f"sample-{number:0{digits}d}" + (f"-{word}" if word else "") for number, word in enumerate(words, start=1)]


def _note(run: Run, seed: int, options: Any) -> dict[str, str]:
    """What every sample says of its origin."""
    rounds = str(run.manifest.get("round", ""))
    note = {"system": run.record.card.name, "ganvas": __version__, "seed": str(seed), "round": rounds}
    moves = moves_of(getattr(options, "move", ()))
    asked = {"code": ", ".join(getattr(options, "code", ())), "attributes": ", ".join(getattr(options, "attributes", ()))}
    asked |= {"properties": ", ".join(getattr(options, "set_attribute", ())), "sweep": getattr(options, "sweep", None) or ""}
    note |= {"moved": ", ".join(f"{name} {amount:+g}" for name, amount in moves.items())} if moves else {}
    return {**note, **{key: words for key, words in asked.items() if words}}


def _labelled(files: list[Path], labels: list[str], place: Path, format: str) -> list[Path]:
    """The classes put beside samples: in the names of files and `labels.csv`, or as `_told`. Returns the files."""
    import numpy as np

    in_one = format in ("npz", "nifti") or files[0].name == "samples.csv"
    if len(files) == len(labels) and not (len(files) == 1 and in_one):
        named = []
        for path, stem in zip(files, _stems(labels), strict=True):
            suffix = path.name[len("sample-") :].lstrip("0123456789")  # `.nii.gz` has two dots
            named.append(path.with_name(f"{stem}{suffix}"))
            os.replace(path, named[-1])
        files = named
    _told(files, "labels", np.array(labels), {"label": labels}, place, format)
    return files


def _told(
    files: list[Path], name: str, array: Any, columns: Mapping[str, Sequence[str]], place: Path, format: str
) -> None:  # fmt: skip
    """What was asked for put beside samples, columns of N cells: in `NAME.csv`, or in the one file that holds all samples.

    Volumes of slices have `slices.csv`; a record that is a folder of files is named by it. array: the same (N, ...), for .npz.
    Raises GanvasError for another single file, which has no place for it.
    """
    import numpy as np

    rows = list(zip(*columns.values(), strict=True))
    if len(files) == 1 and format == "npz":
        with np.load(files[0], allow_pickle=False) as held:
            arrays: dict[str, Any] = dict(held)
        buffer = io.BytesIO()
        arrays[name] = array
        np.savez_compressed(buffer, **arrays)
        write_atomically(files[0], buffer.getvalue())
        return
    if len(files) == 1 and files[0].name == "samples.csv":
        head, *lines = files[0].read_text(encoding="utf-8").splitlines()
        if len(lines) == len(rows):  # a record a line
            cells = _table(list(columns), rows).decode().split("\n")
            write_atomically(files[0], "".join(f"{a},{b}\n" for a, b in zip([head, *lines], cells, strict=False)).encode())
            return
    if len(files) == 1 and format == "nifti":
        write_atomically(place / "slices.csv", _table(["slice", *columns], ((k, *row) for k, row in enumerate(rows))))
        return
    if len(files) != len(rows):
        files = list(dict.fromkeys(path.parent for path in files if path.parent != place))
    if len(files) != len(rows):
        raise GanvasError(f"--format {format} has no place for the {' and '.join(columns)} of each sample: take npz")
    write_atomically(
        place / f"{name}.csv", _table(["file", *columns], ((path.name, *row) for path, row in zip(files, rows, strict=True)))
    )


def _numbered(work: Work, numbers: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Columns `decay asked (s)`, `decay measured (s)`, empty where there is no number."""
    found, known = {}, known_properties(work)
    for name, both in numbers.items():
        unit = f" ({known[name].unit})" if known[name].unit else ""
        for side, values in both.items():
            found[f"{name} {side}{unit}"] = [f"{value:.6g}" if math.isfinite(value) else "" for value in values]
    return found


def _columns(key: str, values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Columns of a table of codes or attributes, as text."""
    if key == "codes":
        return {f"code {name}": [f"{value:.6g}" for value in own] for name, own in values.items()}
    return {name: own.tolist() for name, own in values.items()}


def _table(header: Sequence[str], rows: Any) -> bytes:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return table.getvalue().encode()
