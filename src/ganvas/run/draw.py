"""`ganvas sample`: records from a run, written as files of the data's own kind, with a grid to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import GanvasError, did_you_mean
from ..kinds import Kind, is_kind, kind_of
from ..specs import ImageSpec
from .files import told, write_atomically
from .load import Run
from .pictures import save_grid

FORMATS = ("png", "tiff", "webp", "jpg", "dicom", "nifti", "npz")
GRID_MOST = 100


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
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Draw `count` records (64, or one graph) and write them. Returns count, folder, files, grid, format, shape, dtype, notes.

    loudness: of sound, `peak:-1` or `rms:-20` in dB of full scale, or `lufs:-16`; None leaves it as it is made. moves: along
    directions with names, in standard deviations (`ganvas.inference.directions`).
    Raises GanvasError for an unknown label or direction, a format that cannot hold the records, or a folder that is no run.
    """
    from ..inference.directions import directions_of

    run = Run(folder, which=which, device=device, system=system, config=config)
    spec = run.spec
    if moves:
        directions_of(run, say)  # found now if need be, and told; from then on they are kept
    if count is None:
        count = kind_of(spec.kind).usual if is_kind(spec.kind) else 64
    if is_kind(spec.kind):
        return _draw_kind(run, kind_of(spec.kind), count, seed, label, out, depth, format, loudness, moves)
    if loudness is not None:
        raise GanvasError(f"--loudness is for sound; this run makes {spec.kind}{'s' if spec.kind == 'image' else ''}")
    is_image = isinstance(spec, ImageSpec)
    known = FORMATS if is_image else ("csv", "npz")
    chosen = format or (spec.format if isinstance(spec, ImageSpec) else "csv")
    chosen = {"tif": "tiff", "jpeg": "jpg", "dcm": "dicom", "nii": "nifti"}.get(chosen.lower(), chosen.lower())
    if chosen not in known:
        raise GanvasError(f"--format '{format}' is not served{did_you_mean(chosen, list(known))}; formats: {', '.join(known)}")
    if depth is not None and not is_image:
        raise GanvasError("--depth is for images; this run makes points")
    if depth not in (None, 8, 16):
        raise GanvasError(f"--depth {depth} is for sound; images have 8 or 16 bits")
    if depth is None and isinstance(spec, ImageSpec) and spec.depth == 32 and chosen not in ("tiff", "dicom", "nifti", "npz"):
        depth = 16  # float data cannot be kept in these formats
    if chosen in ("jpg", "webp") and isinstance(spec, ImageSpec) and (depth or spec.depth) == 16:
        raise GanvasError(f"{chosen} holds 8 bits: use --format png or tiff, or add --depth 8")
    records = run.sample(count, seed=seed, label=label, depth=depth, moves=moves)
    target, note = _target(run, out), _note(run, seed, moves)
    if isinstance(spec, ImageSpec):
        from dataclasses import replace

        from ..data.writers import write_samples

        kept = spec
        if depth is not None and depth != spec.depth:
            low, high = (0.0, 255.0) if depth == 8 else (0.0, 65535.0)
            kept = replace(spec, depth=depth, low=low, high=high)
        files = write_samples(records, kept, target, format=chosen, note=note, seed=seed)
        picture = run.sample(min(count, GRID_MOST), seed=seed, label=label, depth=8, moves=moves)
        grid_spec = replace(spec, depth=8, low=0.0, high=255.0)
    else:
        files = [_write_points(records, target, chosen)]
        picture, grid_spec = records, spec  # type: ignore[assignment]
    grid = target / "grid.png"
    save_grid(grid, picture[:GRID_MOST] if is_image else picture, grid_spec)
    return {
        "count": count,
        "folder": str(target),
        "files": [str(f) for f in files],
        "grid": str(grid),
        "format": chosen,
        "shape": list(records.shape[1:]),
        "dtype": str(records.dtype),
        "notes": [],
    }


def _target(run: Run, out: Path | None) -> Path:
    """The folder of the samples, made if need be."""
    target = Path(out) if out is not None else run.record.path / "generated"
    if target.exists() and not target.is_dir():
        raise GanvasError(f"--out {target} is a file: name a folder")
    with told(target):
        target.mkdir(parents=True, exist_ok=True)
    return target


def _note(run: Run, seed: int, moves: Mapping[str, float] | None) -> dict[str, str]:
    """What every sample says of its origin."""
    rounds = str(run.manifest.get("round", ""))
    note = {"system": run.record.card.name, "ganvas": __version__, "seed": str(seed), "round": rounds}
    return {**note, "moved": ", ".join(f"{name} {amount:+g}" for name, amount in moves.items())} if moves else note


def _draw_kind(
    run: Run, kind: Kind, count: int, seed: int, label: str | None, out: Path | None, depth: int | None, format: str | None,
    loudness: str | None, moves: Mapping[str, float] | None,
) -> dict[str, Any]:  # fmt: skip
    """Draw records of a kind that has a module of its own."""
    from ..capabilities import Assembles

    own: str = getattr(run.spec, "format", kind.formats[0])
    chosen = (format or own).lower()
    if chosen not in kind.formats:
        close = did_you_mean(chosen, list(kind.formats))
        raise GanvasError(f"--format '{chosen}' is not served for {kind.noun}{close}; formats: {', '.join(kind.formats)}")
    if isinstance(run.system, Assembles):
        if label is not None or moves:
            raise GanvasError(f"{run.record.card.name} takes neither --label nor --move: leave them out")
        records = run.assemble(count, seed=seed)
    else:
        records = run.sample(count, seed=seed, label=label, moves=moves)
    notes: list[str] = []
    if loudness is not None:
        records, notes = kind.loudness(records, run.spec, loudness)
    target = _target(run, out)
    files = kind.write(records, run.spec, target, format=chosen, depth=depth, note=_note(run, seed, moves))
    grid = target / "grid.png"
    kind.picture(grid, records[: kind.shown], run.spec)
    return {
        "count": count,
        "folder": str(target),
        "files": [str(file) for file in files],
        "grid": str(grid),
        "format": chosen,
        "shape": list(records.shape[1:]),
        "dtype": str(records.dtype),
        "notes": notes,
    }


def _write_points(records: Any, target: Path, format: str) -> Path:
    import io

    import numpy as np

    path = target / f"samples.{format}"
    buffer = io.BytesIO()
    if format == "npz":
        np.savez_compressed(buffer, x=records)
    else:
        names = ",".join("xyzuvw"[i] if i < 6 else f"x{i}" for i in range(records.shape[1]))
        np.savetxt(buffer, records, delimiter=",", header=names, comments="", fmt="%.6g")
    write_atomically(path, buffer.getvalue())
    return path
