"""The answer of `ganvas memory`, as plain values and as lines of text. Sizes are in MB of 2^20 bytes, as the study has them."""

from __future__ import annotations

from typing import Any

from ..errors import GanvasError
from .board import Case
from .counting import MIB
from .measuring import measure
from .predicting import ALLOCATOR_SHARE, PARTS, Prediction, predict, quiet

PROCESS_BASE = 320 * MIB  # Python, torch and its libraries after a tiny game, on the CPU: what was measured where nothing is
SAYS = {
    "parameters": "weights of every player",
    "frozen": "networks that nobody trains",
    "averages": "moving averages of weights",
    "buffers": "statistics, pools and constants",
    "optimiser": "states of the optimisers",
    "roll-back": "the copy of all of these that the run goes back to after NaN",
    "gradients": "of the player with the largest networks",
    "activations": "kept for backward, in the turn that keeps most",
}


def foretell(case: Case) -> Prediction:
    """`predict`, with what it cannot do said in one line. Raises GanvasError."""
    with quiet():
        try:
            return predict(case)
        except (GanvasError, MemoryError):
            raise
        except Exception as error:  # a game of any kind meets symbols here for the first time
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise GanvasError(f"{case.system} cannot be played on symbols ({reason:.160})") from error


def weigh(case: Case, *, measured: bool = True) -> dict[str, Any]:
    """Everything about one configuration, as plain values.

    Keys: system, spec, config, run (precision ...), `parts_mb` (each at its own worst), `peak_parts_mb` (what is there at the
    predicted peak; with `base` they add up to it), `turns`, `per_image_mb` (the study's accounting, by network),
    `study_batch_mb` (that times the batch), `batch_peak_mb` ({batch, predicted, measured, error}), `per_record_mb` (what one
    more record in the batch takes), notes. `measured` and `error` are None where nothing was measured. Raises GanvasError.
    """
    foretold = foretell(case)
    found = measure(case) if measured else None
    on_cpu = case.device.startswith("cpu")
    base = (PROCESS_BASE if found is None else found["base"]) if on_cpu else 0
    predicted = base + foretold.peak
    peak = None if found is None else found["peak"]
    per_image = {name: call.mib for name, call in foretold.calls.items()}
    peak_parts = {name: foretold.live[name] / MIB for name in (*PARTS, "workspace")}
    peak_parts["allocator"] = (foretold.peak - sum(foretold.live.values())) / MIB
    said = case.to_dict()
    return {
        "system": said["system"],
        "fields": said["fields"],
        "config": said["config"],
        "run": {
            key: said[key]
            for key in ("precision", "channels_last", "micro_batches", "recompute_activations", "device", "threads")
        },
        "parts_mb": {name: round(foretold.sizes[name] / MIB, 2) for name in SAYS},
        "peak_parts_mb": {name: round(size, 2) for name, size in {**peak_parts, "base": base / MIB}.items()},
        "turns": [
            {"phase": phase, "player": player, "objective": name, "activations_mb": round(size / MIB, 2)}
            for phase, player, name, size in foretold.turns
        ],
        "per_image_mb": {name: round(size, 2) for name, size in per_image.items()},
        "norm_share": {name: round(call.share_of_norm, 4) for name, call in foretold.calls.items()},
        "study_batch_mb": round(sum(per_image.values()) * case.batch, 2),
        "batch_peak_mb": {
            "batch": case.batch,
            "predicted": round(predicted / MIB, 1),
            "measured": None if peak is None else round(peak / MIB, 1),
            "error": None if peak is None else round(predicted / peak - 1, 4),
        },
        "per_record_mb": _per_record(case, foretold),
        "notes": list(case.notes),
    }


def _per_record(case: Case, whole: Prediction) -> float | None:
    """MB of the peak that one record of the batch takes; None where half a batch cannot be played."""
    half = case.batch // 2
    if half < 1 or half % case.micro_batches:
        return None
    try:
        less = foretell(case.changed(batch_size=half))
    except GanvasError:
        return None
    return round((whole.peak - less.peak) / (case.batch - half) / MIB, 3)


def lines(answer: dict[str, Any]) -> list[str]:
    """The answer of `weigh` in words."""
    run, peak = answer["run"], answer["batch_peak_mb"]
    main = next(iter(answer["fields"].values()))
    batch, base = peak["batch"], answer["peak_parts_mb"]["base"]
    pieces = f" in {run['micro_batches']} micro-batches" if run["micro_batches"] > 1 else ""
    layout = ", channels_last" if run["channels_last"] else ""
    layout += ", activations computed again" if run["recompute_activations"] else ""
    out = [
        f"{answer['system']} on {_data(main)}, batch {batch}{pieces}, {run['precision']}{layout}, {run['device']}",
        *(f"note: {note}" for note in answer["notes"]),
        "",
    ]
    for name, text in SAYS.items():
        size = answer["parts_mb"][name]
        if size >= 0.005 or name in ("parameters", "activations", "optimiser"):
            out.append(f"  {name:<12} {size:>10,.2f} MB  {text}")
    for turn in answer["turns"]:
        out.append(
            f"    {turn['activations_mb']:>19,.2f} MB  in {turn['player']}'s turn '{turn['objective']}' ({turn['phase']})"
        )
    parts = answer["peak_parts_mb"]
    out += [
        f"  {'workspace':<12} {parts['workspace']:>10,.2f} MB  copies inside convolutions, at the peak",
        f"  {'allocator':<12} {parts['allocator']:>10,.2f} MB  holes between freed pieces"
        + (f", {ALLOCATOR_SHARE:.0%} for small ones" if base else ""),
        f"  {'base':<12} {base:>10,.2f} MB  Python, torch and its libraries",
        "",
        f"peak of a batch of {batch}: predicted {peak['predicted']:,.0f} MB"
        + ("" if peak["measured"] is None else f", measured {peak['measured']:,.0f} MB ({peak['error']:+.1%})"),
    ]
    if answer["per_record_mb"] is not None:
        out.append(f"one more record in the batch takes {answer['per_record_mb']:,.3f} MB")
    if answer["per_image_mb"]:
        out += ["", *_study_lines(answer)]
    out += ["", "MB are 2^20 bytes. Not counted: pictures, looks at quality and checkpoints of a run, and data that is read."]
    return out


def _study_lines(answer: dict[str, Any]) -> list[str]:
    told = ", ".join(f"{name} {size:,.2f} MB" for name, size in answer["per_image_mb"].items())
    batch, product = answer["batch_peak_mb"]["batch"], answer["study_batch_mb"]
    return [
        f"by the study's accounting, for one record: {told}",
        f"  (parameters, input, and twice every module's output, in float32). Times {batch} that is {product:,.0f} MB, which",
        "  is not what a batch needs. It overstates: the parameters are there once, not once a record; 'twice' counts a",
        "  gradient for every output, although these are freed as backward goes; in-place activations share memory. It leaves",
        "  out: the optimiser's states, both networks in one turn, averages, roll-back copies, workspace, the process.",
    ]


def _data(spec: dict[str, Any]) -> str:
    """A few words on the kind and size of the data."""
    names = ("height", "width", "channels", "length", "rate", "side", "nodes", "dimensions")
    sizes = ", ".join(f"{name} {spec[name]}" for name in names if spec.get(name) is not None)
    many = ", ".join(f"{len(spec[name])} {name}" for name in ("classes", "symbols") if spec.get(name))
    if spec["kind"] == "series":
        sizes += f", {len(spec['names'])} quantities"
    return f"{spec['kind']} ({', '.join(x for x in (sizes, many) if x)})"
