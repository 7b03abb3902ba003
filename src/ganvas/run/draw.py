"""`ganvas sample`: records from a run, written as files of the data's own kind, with a grid to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..capabilities import Assembles
from ..drawing import save_picture
from ..errors import GanvasError, did_you_mean
from ..files import told
from ..kinds import kind_of
from ..kinds.facets import Deep, Levelled
from ..version import __version__
from .load import Run


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
    target = _target(run, out)
    files = kind.write(records, spec, target, format=chosen, depth=depth, note=_note(run, seed, moves))
    grid = target / "grid.png"
    save_picture(grid, kind.picture(records[: kind.says.shown], spec))
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
