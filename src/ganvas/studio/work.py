"""What the process at the desk does: describe a run's uses, put it to them, look through data.

Everything here is called by name from the server and takes and gives plain values. Files go where `places` said. Not for
training.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import GanvasError

_held: dict[str, Any] = {}
"""The run in use, and what it was opened with: its folder, checkpoint and settings."""
SHOWN = 64  # records of a result that a page shows one by one
COMPARED = 500  # training records among which the one that is most alike is looked for
SHEET = 16  # records of data on its contact sheet


def system_form(name: str) -> dict[str, Any]:
    """See `making.system_form`."""
    from .making import system_form

    return system_form(name)


def opened(folder: str, which: str | None, config: Mapping[str, Any]) -> Any:
    """A run with its weights, the one before kept where nothing has changed."""
    from ..run.load import Run

    manifests = [Path(folder) / "checkpoints" / name / "manifest.json" for name in ("last", "best")]
    key = (folder, which, tuple(sorted(config.items())), tuple(_time(path) for path in manifests))
    if _held.get("key") != key:
        _held.clear()
        _held.update(run=Run(folder, which=which, device="cpu", config=dict(config)), key=key)
    return _held["run"]


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def describe_uses(folder: str, which: str | None) -> dict[str, Any]:
    """The Use page of a run."""
    from .using import page_of

    run = opened(folder, which, {})
    page = page_of(run.system, run.record.fields, run.record.card, run.work())
    return {**page, "notes": run.notes, "which": run.which, "checkpoints": _checkpoints(folder)}


def moves_of(folder: str, which: str | None) -> list[dict[str, Any]]:
    """Directions of the latents that have a name; they are found once for each weights, which takes some seconds."""
    from ..inference.directions import directions_of

    run = opened(folder, which, {})
    return [{"name": name, "serves": bool(own.serves)} for name, own in directions_of(run).items()]


def looks_at(folder: str, out: str, count: int = 6) -> dict[str, Any]:
    """What the discriminator of a run looks at: pictures of made and of held-out real records, each with its map beside it; and
    pairs of each and the training record that is most alike to it.

    Raises GanvasError where the run's records have no places, or its discriminator cannot be asked about them alone.
    """
    import numpy as np

    from ..drawing import png
    from ..inference.attention import alike_to_it, looked_at
    from ..kinds import decode, encode, kind_of
    from ..kinds.facets import Mapped
    from ..run.opening import data_again
    from ..uses.judging import at_most

    run = opened(folder, None, {})
    kind = kind_of(run.spec.kind)
    if not isinstance(kind, Mapped):
        raise GanvasError(f"{kind.says.noun} have no places that could be shown")
    sides: dict[str, np.ndarray] = {}
    learnt = None
    with contextlib.suppress(GanvasError):
        sides["made"] = run.sample(count)
    with contextlib.suppress(GanvasError):
        dataset = data_again(run.record)
        rows = dataset.heldout_indices() if len(dataset.heldout_indices()) else dataset.train_indices()
        sides["real"] = np.asarray(dataset.values[rows[:count]])
        learnt = np.asarray(dataset.values[at_most(dataset.train_indices(), COMPARED, 0)])
    if not sides:
        raise GanvasError("there is nothing to show it: the run draws nothing from noise, and its data is not there")
    found: dict[str, dict[str, Any]] = {"sides": {}, "pairs": {}}
    Path(out).mkdir()
    dtype = next(run.system.parameters()).dtype
    for side, records in sides.items():
        tensor = encode(records, run.spec).to(dtype)
        maps = looked_at(run.system, tensor).float().numpy()
        seen = decode(tensor.float(), kind.screen(run.spec))
        for place, (record, own) in enumerate(zip(seen, maps, strict=True)):
            (Path(out) / f"{side}-{place + 1}.png").write_bytes(png(kind.mapped(record, own)))
        found["sides"][side] = [f"{side}-{place + 1}.png" for place in range(len(records))]
        if learnt is None:
            continue
        others = encode(learnt, run.spec).to(dtype)
        places, likeness = alike_to_it(run.system, tensor, others)
        nearest = decode(others[places].float(), kind.screen(run.spec))
        pairs = found["pairs"][side] = []
        for place, (record, other, alike) in enumerate(zip(seen, nearest, likeness.tolist(), strict=True)):
            name = f"{side}-{place + 1}-alike.png"
            (Path(out) / name).write_bytes(png(kind.picture(np.stack([record, other]), kind.screen(run.spec))))
            pairs.append({"file": name, "alike": round(alike, 2)})
    return found


def _checkpoints(folder: str) -> list[str]:
    return [name for name in ("last", "best", "previous") if (Path(folder) / "checkpoints" / name).is_dir()]


def put_to_use(
    folder: str, verb: str, out: str, inputs: list[str], options: dict[str, Any], fields: dict[str, str], seed: int,
    which: str | None, config: dict[str, Any], bare: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Do what `ganvas sample` or `ganvas apply` does, and say what there is to see. out: a folder that does not exist. bare: of
    what is drawn the grid is enough."""
    from ..run.apply import apply
    from ..run.draw import draw
    from ..uses import find_use
    from .showing import inputs_shown, results_shown

    run = opened(folder, which, config)
    use = find_use(run.system, verb, run.record.card.name)
    if use.takes:
        made = apply(run, inputs, out=out, verb=use.verb, fields=fields, seed=seed, **options)
        shown = results_shown(run, use, made, Path(out))
        return {**made, "shown": shown, "before": inputs_shown(run, use, inputs, Path(out))}
    chosen = {key: value for key, value in options.items() if key not in ("format", "depth")}
    made = draw(run, verb=use.verb, seed=seed, out=Path(out), fields=fields, **_drawn(chosen), **_form(options))
    shown = [] if bare else results_shown(run, use, made, Path(out))
    return {**made, "verb": use.verb, "done": use.done, "shown": shown, "before": []}


def _drawn(options: dict[str, Any]) -> dict[str, Any]:
    """Options of drawing as `draw` takes them: moves by name."""
    from ..uses.sample import moves_of as parsed

    moves = options.pop("move", None)
    return {**options, **({"moves": parsed(moves)} if moves else {})}


def _form(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("format", "depth") if options.get(key) not in (None, "")}


def animation(frames: list[str], out: str, milliseconds: int = 250) -> None:
    """Pictures of one size as a GIF that goes there and back."""
    from PIL import Image

    pictures = [Image.open(frame).convert("RGB") for frame in frames]
    first, *others = [picture.quantize(256) for picture in (*pictures, *pictures[-2:0:-1])]
    first.save(out, save_all=True, append_images=others, duration=milliseconds, loop=0)


def upload_shown(folder: str, verb: str, field: str, path: str, out: str) -> dict[str, Any]:
    """A file from the browser as a use of a run sees it: a picture, what it is, its size."""
    from ..uses import find_use
    from .showing import file_shown

    run = opened(folder, None, {})
    return file_shown(run, find_use(run.system, verb, run.record.card.name), field, Path(path), Path(out))


def _enough(data: str) -> int:
    """How many records of a phantom are looked at."""
    from ..data.phantoms import catalogue, is_phantom
    from ..kinds import kind_of
    from ..kinds.facets import Whole

    if not is_phantom(data):
        return SHEET
    phantom = catalogue()[data.partition(":")[0]]
    says = kind_of(phantom.kind).says
    if isinstance(kind_of(phantom.kind), Whole):
        return phantom.count or says.phantom_count
    return max(says.shown, SHEET)


def _checked(data: str, size: Any, sheet: Path) -> Any:
    """The report, with a sheet of records of several fields; of one field there is none yet."""
    from ..data.check import check

    try:
        return check(data, size=size, sheet=sheet)
    except GanvasError:
        return check(data, size=size)


def sheet(data: str, out: str, size: str | None) -> dict[str, Any]:
    """Look through data: what `ganvas data check` says, which system would be taken, and a contact sheet of records."""
    from ..data.dataset import open_data
    from ..drawing import save_picture
    from ..kinds import kind_of
    from ..kinds.facets import Whole
    from ..run.budget import Budget
    from ..run.choosing import choose
    from ..run.settings import parse_size

    found: dict[str, Any] = {"lines": [], "choice": None, "picture": None, "wrong": ""}
    try:
        if Path(data).exists():
            report = _checked(data, parse_size(size), Path(out))
            found["lines"] = report.lines()
            if report.fields and Path(out).is_file():
                found["picture"] = Path(out).name
        choice = choose(data, None, Budget())
        found["choice"] = {"system": choice.card.name, "task": choice.card.task, "told": choice.told}
    except GanvasError as error:
        found["wrong"] = str(error)
        return found
    if found["picture"]:
        return found
    with contextlib.suppress(GanvasError):
        dataset = open_data(data, progress=False, phantom_count=_enough(data), size=parse_size(size))
        spec = dataset.spec
        kind = kind_of(spec.kind)
        count = len(dataset.values) if isinstance(kind, Whole) else min(len(dataset.values), max(kind.says.shown, SHEET))
        rows = [int(place * len(dataset.values) / count) for place in range(count)]
        import numpy as np

        save_picture(Path(out), kind.picture(np.asarray(dataset.values[rows]), spec))
        found["picture"] = Path(out).name
    return found
