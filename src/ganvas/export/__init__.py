"""Runs as files for other programs: graphs of their uses (ONNX, TorchScript), and weights with a page for model hubs.

Every graph is tried against ganvas before it is kept. `graphs` writes and tries them, `tracing` makes functions of tensors
of uses, `hub` writes what `ganvas.load` reads again. Not for going on with a training: that takes the run itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import GanvasError, did_you_mean
from ..files import disk_errors, write_json

FORMATS = {
    "onnx": "a graph of each use, for ONNX Runtime",
    "torchscript": "a graph of each use, for torch without ganvas",
    "safetensors": "weights and settings, which ganvas.load reads",
    "hub": "the same with a page and samples, as model hubs have it",
}
WHOLE = ("safetensors", "hub")
FACTS = "export.json"


def export(
    run: str | Path,
    out: str | Path,
    *,
    format: str = "onnx",
    verb: str | None = None,
    options: Mapping[str, Any] | None = None,
    which: str | None = None,
    system: Any = None,
    config: Mapping[str, Any] | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write a run into the empty or new folder `out`; returns what `export.json` there holds.

    format: `onnx` or `torchscript`, a graph VERB.onnx or VERB.pt of every use that can be one (or of `verb` alone), each
    compared with what ganvas makes of the same numbers; `safetensors`, weights and settings; `hub`, these with a page.
    options: of the use, fixed in its graph, such as {"to": "horse"}. which: `last` or `best`. system: file of a system that
    is not ganvas's own. config: settings that a trained run takes (`knob(later=True)`).

    Raises GanvasError when nothing of the run can be exported, with the reason of each use.
    """
    from ..run.load import Run
    from ..run.outputs import check_free

    if options and verb is None:
        raise GanvasError("an option belongs to a use: name it with  --as")
    if format not in FORMATS:
        raise GanvasError(
            f"--format '{format}' is not known: choose one of {', '.join(FORMATS)}{did_you_mean(format, list(FORMATS))}"
        )
    if verb is not None and format in WHOLE:
        raise GanvasError(f"--as is for graphs; {format} holds the whole run: leave it out")
    out, tell = Path(out), say or (lambda text: None)
    check_free(out, False)
    opened = Run(run, which=which, device="cpu", system=system, config=config)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    if format in WHOLE:
        return _whole(opened, out, format, tell)
    return _graphs(opened, out, format, verb, dict(options or {}), tell)


def _whole(run: Any, out: Path, format: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Weights and settings, and a page."""
    from .hub import write_page, write_weights

    told = write_weights(run, out)
    page = write_page(run, out, tell) if format == "hub" else []
    files = ["config.json", told["weights"]["file"], *page]
    return {
        "system": run.record.card.name, "format": format, "checkpoint": run.which, "files": files,
        "bytes": told["weights"]["bytes"], "uses": {}, "left_out": {}, "out": str(out),
    }  # fmt: skip


def _graphs(
    run: Any, out: Path, format: str, verb: str | None, options: dict[str, Any], tell: Callable[[str], None]
) -> dict[str, Any]:
    from ..uses import find_use, uses_of
    from .graphs import WRITERS
    from .tracing import Graph, Untraceable

    writer = WRITERS[format]()
    uses = uses_of(run.system) if verb is None else [find_use(run.system, verb, run.record.card.name)]
    run.system.eval()
    written, left = {}, {}
    for use in uses:
        try:
            graph = Graph(use, run.work(), options if verb is not None else _usual(use, run.work()))
            found = writer.write(graph, out / f"{use.verb}{writer.suffix}")
        except Untraceable as error:
            left[use.verb] = str(error)
            tell(f"left out: {use.verb} ({error})")
            continue
        inputs = {name: _told(graph, name, found.free.get(name)) for name in graph.inputs if name in found.free}
        written[use.verb] = {
            "file": f"{use.verb}{writer.suffix}", "purpose": use.says.purpose, "inputs": inputs, "outputs": graph.results,
            "options": dict(options if verb is not None else _usual(use, run.work())),
            "largest_difference": found.error, "tried": found.tried, "bytes": found.bytes,
            **({"before": graph.before} if graph.before else {}), **({"after": graph.after} if graph.after else {}),
            **({"fixed": graph.fixed} if graph.fixed else {}),
        }  # fmt: skip
        tell(f"wrote {out / use.verb}{writer.suffix}: differs from ganvas by at most {found.error:.1e} of the largest value")
    if not written:
        told = "; ".join(f"{name}: {why}" for name, why in left.items())
        raise GanvasError(f"{run.record.path}: nothing that it does can be a graph ({told})")
    facts = {
        "system": run.record.card.name, "format": format, "checkpoint": run.which, "uses": written, "left_out": left,
        "fields": {name: _of_field(spec) for name, spec in run.record.fields.items()},
    }  # fmt: skip
    write_json(out / FACTS, facts)
    return {**facts, "out": str(out)}


def _usual(use: Any, work: Any) -> Mapping[str, Any]:
    """The options that a use is tried with, where it needs some."""
    return next(iter(use.trials(work)), {}) if use.trials else {}


def _told(graph: Any, name: str, free: Mapping[int, str] | None) -> dict[str, Any]:
    """What an input is: shape, with names in the places that are free, type, and what its numbers are."""
    if name in graph.examples:
        example = graph.examples[name]
        shape, kind = list(example.shape), str(example.dtype)
        low, high = float(example.min()), float(example.max())
        made = "as `before` says" if name in graph.before else "as ganvas encodes the field"
        values = f"{made}, tried with {low:.3g} to {high:.3g}"
        classes = getattr(graph.work.spec, "classes", ())
        if name == "label" and classes:
            values = f"index of a class: {', '.join(f'{k} {word}' for k, word in enumerate(classes[:20]))}"
    else:
        asked = graph.asked[graph.inputs.index(name) - len(graph.examples)]
        shape = list(asked.shape)
        kind = "torch.int64" if asked.how == "integers" else "torch.float32"
        whole = f"whole numbers from 0 to {asked.high - 1}"
        values = {"normal": "standard normal", "uniform": "uniform in [0, 1)"}.get(asked.how, whole)
    told: list[Any] = [free[axis] if free and axis in free else side for axis, side in enumerate(shape)]
    multiple = {"multiple": graph.multiple} if free and "height" in free.values() and graph.multiple > 1 else {}
    return {"shape": told, "type": kind.removeprefix("torch."), "values": values, **multiple}


def _of_field(spec: Any) -> dict[str, Any]:
    from ..specs import spec_to_dict

    made: dict[str, Any] = json.loads(json.dumps(spec_to_dict(spec), default=str))
    return made
