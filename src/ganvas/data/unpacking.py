"""`ganvas data unpack`: pictures and sounds of Parquet and Arrow as files, with a `metadata.csv` of what stands beside them.

For what is not learnt from rows: sounds, pairs of pictures, crops and patches. Row by row, in bounded memory; bytes are written
as they are, nothing is decoded. Not for `.tar`, which unpacks itself.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import disk_errors
from ..store.arrow import INFO, ArrowTables
from ..store.listing import counted, some
from ..store.rows import batches, bytes_of, pictured, roles_of, schema_of, told_of_columns

TABLE = "metadata.csv"
BEGINNINGS = {
    b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"BM": ".bmp", b"II*\0": ".tif", b"MM\0*": ".tif",
    b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3", b"\xff\xf3": ".mp3", b"FORM": ".aiff",
}  # fmt: skip
RIFF = {b"WAVE": ".wav", b"WEBP": ".webp"}  # by its bytes 8 to 12


def suffix_of(data: bytes) -> str | None:
    """The suffix of a file of pictures or sounds by its first bytes; None of any other."""
    if data[:4] == b"RIFF":
        return RIFF.get(data[8:12])
    return next((suffix for begin, suffix in BEGINNINGS.items() if data.startswith(begin)), None)


def unpack(source: ArrowTables, out: Path) -> dict[str, Any]:
    """Write every file of every row, numbered, and the table. Of several columns each has a folder of its name.

    Returns how many rows and files there are, and notes, one line each. Raises DataError for a folder that is not empty, and
    where no row holds a file; RunError when the disk is full.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not an empty folder: choose a new one with --out")
    place = source.places[0]
    files = list(pictured(schema_of(place), Path(place).parent / INFO))
    if not files:
        columns = told_of_columns(schema_of(place))
        raise DataError(f"{source}: no column holds the bytes of pictures or sounds: its columns are {columns}")
    roles = roles_of(str(source), schema_of(place), Path(place).parent / INFO, {"image": files[0]} | dict(source.choice))
    several, sides = len(files) > 1, source.sides()
    named = {name: f"{name}_file_name" if several else "file_name" for name in files}
    split = ["split"] if True in sides else []
    lost: list[str] = []
    written: Counter[str] = Counter()
    rows = 0
    with disk_errors(out):
        for name in files if several else ["."]:
            (out / name).mkdir(parents=True, exist_ok=True)
        with open(out / TABLE, "w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream)
            table.writerow([*named.values(), *(_told_as(name, roles) for name in roles.beside), *split])
            for place, called, side in zip(source.places, source.names, sides, strict=True):
                number = 0
                for batch, _ in batches(place, [*files, *roles.beside]):
                    values = {name: bytes_of(batch.column(name)) for name in files}
                    for k, cells in enumerate(batch.select(roles.beside).to_pylist() or [{}] * len(batch)):
                        number, rows = number + 1, rows + 1
                        found = []
                        for name, own in values.items():
                            data = own.of(k) if own.present[k] else b""
                            if (suffix := suffix_of(data)) is None:
                                lost.append(f"{called}: row {number}")
                                found.append("")
                                continue
                            file = f"{name}/{rows:07d}{suffix}" if several else f"{rows:07d}{suffix}"
                            (out / file).write_bytes(data)
                            written[name] += 1
                            found.append(file)
                        told = [_cell(roles.value(name, cells[name], f"{called}: row {number}")) for name in roles.beside]
                        if any(found):
                            table.writerow([*found, *told, *(["test" if side else "train"] if split else [])])
    if not written:
        raise DataError(f"{source}: none of its {counted(rows, 'row')} holds a picture or a sound")
    notes = [f"without a picture or a sound: {counted(len(lost), 'cell')} ({some(lost)})"] if lost else []
    return {"rows": rows, "files": dict(written), "notes": notes}


def _told_as(name: str, roles: Any) -> str:
    """What a column is called in the table: the class `label`, another one of that name otherwise, all others as they are."""
    if name == roles.label:
        return "label"
    return "label (other)" if name.lower() == "label" else name


def _cell(value: Any) -> Any:
    """A value on one line."""
    return " ".join(value.split()) if isinstance(value, str) else value
