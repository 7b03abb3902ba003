"""`ganvas compare`: runs side by side. Ranks only what was measured in one way on the same data, and says why it does not.

A rank is one more than the number of runs that are better beyond doubt: those whose 95 % intervals lie wholly on the better
side. Intervals that overlap share a rank. That is careful: two intervals may overlap a little and the runs still differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GanvasError
from ..evaluation.table import HIGHER, INCEPTION, LOWER, ROWS, ZERO, interval
from ..kinds import kind_of
from ..kinds.facets import Learns
from ..run.outputs import check_free_file, results
from .facts import Facts, name_of, read_facts
from .page import document, escaped, figure, side_by_side, table, uri

INTERVALS = "Evaluated metrics with 95 % intervals; dotted: training records in place of samples; grey: not comparable."
FEWEST = 4  # checkpoints or runs that a correlation needs
FIXES = {
    "n": "judge as many samples of each:  ganvas evaluate RUN -n N",
    "m": "judge against the same held-out records: train with the same data, --heldout and --split-seed, or name them "
    "with --heldout PATH",
    "ref": "name the same reference with --heldout PATH",
    "at": "train at the same --size",
    "features": "evaluate each with the same --features",
    "data": "train on the same data at the same --size, with the same --heldout and --split-seed",
}


def compare(
    runs: Sequence[str | Path], *, out: str | Path | None = None, overwrite: bool = False, system: str | Path | None = None
) -> dict[str, Any]:  # fmt: skip
    """Compare two runs or more by what is recorded of them; nothing is measured.

    out: an HTML file with the table and plots, which are written beside it as PNG and SVG. overwrite: replace these. system:
    the file of a system that is not ganvas's own.

    Keys: `runs` (name, system, data, rounds, samples, seconds, evaluated), `metrics` (each `key`, `name`, `better`, `values`,
    `alike`, `ranks` or None, `why`), `ranked` (whether any metric is), `correlations` (each `over`, `n`, `metrics`, `matrix`),
    `notes`, `page` and `plots` (None and empty without `out`).

    Raises GanvasError for fewer than two runs and for what is no run.
    """
    if len(runs) < 2:
        raise GanvasError("comparing takes two runs or more:  ganvas compare runs/a runs/b")
    if len({Path(run).resolve() for run in runs}) < len(runs):
        raise GanvasError("the same run is named twice: name each once")
    facts = [read_facts(run, system) for run in runs]
    names = _names(facts)
    rows = _rows(facts, names)
    pairs = list(zip(names, facts, strict=True))
    notes = [f"{name} has not been evaluated: run  ganvas evaluate {f.path}" for name, f in pairs if f.evaluation is None]
    notes += [f"{name} was evaluated with other weights than those to use: evaluate it again" for name, f in pairs if f.stale]
    notes += [f"{name}: {f.why}" for name, f in pairs if f.why]
    result: dict[str, Any] = {
        "runs": [
            {
                "name": name,
                "run": str(f.path),
                "system": f.record.card.name,
                "data": f.data_name,
                "rounds": f.round,
                "samples": f.samples,
                "seconds": f.seconds,
                "evaluated": f.evaluation is not None,
            }
            for name, f in pairs
        ],
        "metrics": rows,
        "ranked": any(row["ranks"] for row in rows),
        "correlations": _correlations(facts, names, rows),
        "notes": notes,
        "page": None,
        "plots": [],
    }
    if out is not None:
        check_free_file(Path(out), overwrite)
        _write(Path(out), result, dict(pairs), overwrite)
    return result


def _names(facts: Sequence[Facts]) -> list[str]:
    """Folder names, with as many parents as it takes to tell them apart."""
    parts = [f.path.resolve().parts for f in facts]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-depth:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return names


def _rows(facts: Sequence[Facts], names: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for key, (name, better) in ROWS.items():
        measures = [None if f.evaluation is None else f.evaluation.get(key) for f in facts]
        if not any(measures):
            continue
        inception = [bool((f.evaluation or {}).get("features", {}).get("is_inception")) for f in facts]
        called = INCEPTION.get(key, name) if all(inception) else name
        why = unlike(facts, names, measures)
        ranks = None
        if not why:
            ranks, why = _ranked(measures, better)
            alike = True
            blind = [f"{name} (`{own[key]}`)" for name, f in zip(names, facts, strict=True) if key in (own := _blind(f))]
            if blind:
                ranks, why = None, f"not ranked: an anchor is no worse than real records by it, for {', '.join(blind)}"
        else:
            alike = False
        real = None
        if alike:
            beside = (facts[0].evaluation or {}).get("anchors", {}).get("real", {}).get(key, {})
            real = beside.get("value")
        rows.append(
            {
                "key": key,
                "name": called,
                "better": better,
                "values": measures,
                "alike": alike,
                "ranks": ranks,
                "why": why,
                "real": real,
            }
        )
    return rows


def _blind(facts: Facts) -> Mapping[str, str]:
    """Metrics by which a worthless anchor of the run's evaluation is no worse than real records, and which one."""
    blind: Mapping[str, str] = (facts.evaluation or {}).get("misleading", {})
    return blind


def unlike(facts: Sequence[Facts], names: Sequence[str], measures: Sequence[Mapping[str, Any] | None]) -> str:
    """Why these measures of one metric must not be compared, and how to make them alike; empty when they may be."""
    absent = [name for name, measure in zip(names, measures, strict=True) if not measure]
    if absent:
        return f"not measured for {', '.join(absent)}"
    protocols = [str(m["protocol"]) for m in measures if m]
    if len(set(protocols)) > 1:
        return _difference(names, protocols)
    references = [_reference(f) for f in facts]
    if len(set(references)) > 1:
        groups = _grouped(names, references)
        return f"other real records ({' | '.join(groups)}): {FIXES['data']}"
    return ""


def _difference(names: Sequence[str], protocols: Sequence[str]) -> str:
    """Which parts of protocols differ: `n=400 (a), n=300 (b): ...`."""
    parsed = [_parsed(text) for text in protocols]
    told = []
    for part in dict.fromkeys(key for own in parsed for key in own):
        values = [own.get(part, "none") for own in parsed]
        if len(set(values)) > 1:
            shown = ", ".join(f"{value} ({name})" for value, name in zip(values, names, strict=True))
            fix = FIXES.get(part, FIXES["features"])
            told.append(f"{part} differs: {shown}; {fix}")
    return "; ".join(told)


def _parsed(protocol: str) -> dict[str, str]:
    """`kid/effnet-lite0/160/n=400/m=200/ref=heldout` as parts by name; all that has no name is `features`."""
    found: dict[str, str] = {}
    free = []
    for part in protocol.split("/"):
        key, equals, value = part.partition("=")
        if equals:
            found[key] = value
        else:
            free.append(part)
    return {"features": "/".join(free), **found}


def _reference(facts: Facts) -> str:
    """What the samples were compared with: a hash of the data's fingerprint, the held-out records, and the scale on which a run
    learnt them, where features are taken on it."""
    evaluation = facts.evaluation or {}
    split = evaluation.get("real", {}).get("split")
    if split == "given":  # named for the evaluation: all that is known of it is its name and size
        return f"{evaluation['real']['source']}, {evaluation['real']['heldout']} records"
    path = facts.path / "split.json"
    held = json.loads(path.read_text())["heldout"] if path.is_file() else []
    spec, kind = facts.record.spec, kind_of(facts.record.spec.kind)
    learnt = [getattr(spec, name) for name in kind.learnt] if isinstance(kind, Learns) and not kind.says.plain else []
    text = json.dumps([facts.record.data["fingerprint"], held, evaluation.get("real", {}).get("source"), split, learnt])
    return f"{facts.data_name} {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _grouped(names: Sequence[str], keys: Sequence[str]) -> list[str]:
    return [
        f"{key}: {', '.join(n for n, k in zip(names, keys, strict=True) if k == key)}" for key in dict.fromkeys(keys)
    ]  # fmt: skip


def _ranked(measures: Sequence[Any], better: str) -> tuple[list[int] | None, str]:
    """(ranks, or None; what to know about them)."""
    if better not in (LOWER, HIGHER, ZERO):
        return None, f"not ranked: better is {better}, not lower or higher"
    if any(m.get("low") is None or m.get("high") is None for m in measures):
        return None, "not ranked: a number without an interval"
    ends = [(float(m["low"]), float(m["high"])) for m in measures]
    if better == HIGHER:
        ends = [(-high, -low) for low, high in ends]
    elif better == ZERO:
        ends = [(0.0 if low <= 0 <= high else min(abs(low), abs(high)), max(abs(low), abs(high))) for low, high in ends]
    ranks = [1 + sum(high < low for _, high in ends) for low, _ in ends]
    shared = len(set(ranks)) < len(ranks)
    if len(set(ranks)) == 1:
        return ranks, "cannot be told apart"
    return ranks, "equal ranks cannot be told apart" if shared else ""


def _correlations(facts: Sequence[Facts], names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Between metrics: over the checkpoints of each run with enough looks, and over runs where there are enough."""
    found = []
    for name, own in zip(names, facts, strict=True):
        looks = [look["metrics"] for look in own.health.looks]
        keys = list(dict.fromkeys(key for look in looks for key in look))
        keys = [key for key in keys if len({look[key].get("protocol") for look in looks if key in look}) == 1]
        values = {name_of(key): [look.get(key, {}).get("value") for look in looks] for key in keys}
        if made := _matrix(values, f"checkpoints of {name}"):
            found.append(made)
    alike = {row["name"]: [m["value"] for m in row["values"]] for row in rows if row["alike"]}
    if made := _matrix(alike, "runs"):
        found.append(made)
    return found


def _matrix(values: Mapping[str, Sequence[Any]], over: str) -> dict[str, Any] | None:
    """Spearman's rank correlations of columns, over the rows that have all of them; None for too few rows or columns.

    A column that never changes has none, and is left out.
    """
    if not values:
        return None
    table = np.array([[np.nan if v is None else v for v in column] for column in values.values()], float).T
    table = table[np.isfinite(table).all(axis=1)]
    changing = [k for k in range(table.shape[1]) if len(np.unique(table[:, k])) > 1]
    if len(table) < FEWEST or len(changing) < 2:
        return None
    from scipy.stats import rankdata

    matrix = np.corrcoef(rankdata(table[:, changing], axis=0).T)
    names = list(values)
    return {"over": over, "n": len(table), "metrics": [names[k] for k in changing], "matrix": matrix.round(4).tolist()}


def lines(result: Mapping[str, Any]) -> list[str]:
    """The comparison for a terminal."""
    head, rows = _table(result)
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    out = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]]
    out += ["", "(1), (2) ...: ranks; equal ranks cannot be told apart"] if result["ranked"] else ["", "nothing is ranked"]
    why = _reasons(result)
    out += [f"note: {text}" for text in (*why, *result["notes"])]
    for one in result["correlations"]:
        out += ["", f"rank correlations over {one['n']} {one['over']}:"]
        names = [f"({place}) {name}" for place, name in enumerate(one["metrics"], start=1)]
        width = max(map(len, names))
        out.append(f"  {'':<{width}}  " + "  ".join(f"{f'({place})':>5}" for place in range(1, len(names) + 1)))
        for name, row in zip(names, one["matrix"], strict=True):
            out.append(f"  {name:<{width}}  " + "  ".join(f"{v:5.2f}" for v in row))
    if not result["correlations"]:
        out.append(f"no correlations: they need {FEWEST} looks at two metrics within a run, or {FEWEST} runs measured alike")
    if result["page"]:
        out += ["", f"look  {result['page']}"]
    return out


def _reasons(result: Mapping[str, Any]) -> list[str]:
    """Why metrics are not ranked, each reason once with the metrics it stops."""
    of: dict[str, list[str]] = {}
    for row in result["metrics"]:
        if row["ranks"] is None:
            of.setdefault(row["why"], []).append(row["name"])
    every = len(result["metrics"])
    return [
        f"{'all metrics' if len(own) == every and every > 1 else ', '.join(own)}: "
        f"{'' if why.startswith('not ranked') else 'not ranked, '}{why}"
        for why, own in of.items()
    ]


def _table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    from ..run.budget import describe_seconds

    runs = result["runs"]
    rows = [[key, *(str(run[key]) for run in runs), ""] for key in ("system", "data")]
    rows += [[key, *(f"{run[key]:,}" for run in runs), ""] for key in ("rounds", "samples")]
    rows.append(["trained", *(describe_seconds(run["seconds"]) for run in runs), ""])
    for row in result["metrics"]:
        cells = ["-" if measure is None else interval(measure) for measure in row["values"]]
        if row["ranks"]:
            cells = [f"{cell} ({rank})" for cell, rank in zip(cells, row["ranks"], strict=True)]
        rows.append([row["name"], *cells, row["better"]])
    return ["", *(run["name"] for run in runs), "better"], rows


def _write(out: Path, result: dict[str, Any], facts: Mapping[str, Facts], overwrite: bool) -> None:
    """The page and its plots; adds `page` and `plots` to the result."""
    from ..files import write_atomically
    from . import plots

    if out.is_dir():
        raise GanvasError(f"--out {out} is a folder: name the HTML file, such as {out / 'comparison.html'}")
    folder = out.with_name(f"{out.stem}-plots")
    drawn: list[tuple[str, str, Any]] = [
        ("intervals", INTERVALS, plots.intervals(result["metrics"], list(facts))),
        ("metrics", "Measured while training, over the records drawn.", plots.metrics(facts)),
        ("metrics-seconds", "The same over trained time.", plots.metrics(facts, along="seconds")),
    ]
    if (why := _unlike_looks(facts)) is not None:
        drawn[1:] = []
        result["notes"].append(why)
    for place, one in enumerate(result["correlations"], 1):
        few = "; with so few, chance alone makes large ones" if one["n"] < 10 else ""
        text = f"Spearman's rank correlations of metrics over {one['n']} {one['over']}{few}."
        drawn.append((f"correlations-{place}", text, plots.correlations(one["metrics"], np.array(one["matrix"]))))
    parts = []
    with results(folder, "compare", overwrite=overwrite) as unfinished:
        for name, caption, made in drawn:
            if made is not None:
                parts.append(figure(uri(plots.saved(made, unfinished / name)), caption))
                result["plots"] += [str(folder / f"{name}.{kind}") for kind in ("png", "svg")]
    head, rows = _table(result)
    reasons = "".join(f"<li>{escaped(text)}" for text in (*_reasons(result), *result["notes"]))
    ranked = (
        "A rank is one more than the number of runs that are better beyond doubt: whose 95 % interval does not overlap. Runs "
        "of equal rank cannot be told apart by that number."
        if result["ranked"]
        else "Nothing is ranked; the reasons stand below the table."
    )
    body = f"<p>{escaped(ranked)}</p>{table(head[:-1], [row[:-1] for row in rows[: len(rows) - len(result['metrics'])]])}"
    body += side_by_side(head, result["metrics"]) if result["metrics"] else ""
    body += (f'<ul class="soft">{reasons}</ul>' if reasons else "") + "".join(parts)
    lead = '<p class="notice">This page holds numbers and no record, neither real nor synthetic.</p>'
    result["page"] = str(out)
    write_atomically(out, document(f"{len(facts)} runs compared", lead, body).encode("utf-8", "backslashreplace"))


def _unlike_looks(facts: Mapping[str, Facts]) -> str | None:
    """Why curves of metrics over training do not go into one plot; None when they do."""
    of: dict[str, dict[str, str]] = {}
    for name, own in facts.items():
        for look in own.health.looks:
            for key, measure in look["metrics"].items():
                of.setdefault(key, {})[name] = str(measure.get("protocol", ""))
    for key, protocols in of.items():
        if len(set(protocols.values())) > 1:
            return f"{key} while training is not drawn together: {_difference(list(protocols), list(protocols.values()))}"
    with_looks = [own for own in facts.values() if own.health.looks]
    if len({str(own.record.data["fingerprint"]) for own in with_looks}) > 1:
        return f"metrics while training are not drawn together: other real records; {FIXES['data']}"
    return None
