"""`ganvas train --dry-run`: what a run would do, told before it begins. Nothing is written but the cache of decoded data.

The pace is that of a few real rounds, played on weights that are thrown away. Not for the memory of other settings
(`ganvas memory`).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..kinds import kind_of
from ..registry import Card
from .budget import describe_seconds, parse_budget
from .load import learnt_text
from .resolving import too_few_to_audit
from .settings import Settings


@dataclass
class Plan:
    """A run before it begins: everything settled, nothing written.

    settings: with sizes, threads, precision and layout as found. config: of the system, built. made: the system with fresh
    weights. need: of memory (`memory.guarding.Need`), None where it was not asked. folder: where it will lie. overrides:
    settings the user named.
    """

    card: Card
    folder: Path
    settings: Settings
    dataset: Any
    config: Any
    made: Any
    need: Any
    overrides: dict[str, Any]


def rehearse(plan: Plan) -> dict[str, Any]:
    """What would happen, as plain values.

    Keys: `dry_run` (True), `system`, `folder` (that would be made), `data` (`source`, `kind`, `records`, `train`, `heldout`,
    `learnt`: the records and classes that are learnt from, `of`: what a record is, `labels`: records by class, `notes`),
    `config` (of the system, after the preset), `run` (other settings), `parameters` (by network), `memory`
    (`needed_mb` foretold where it comes near what there is, `in_use_mb` after the rounds that were tried, `expected_mb` at most
    in the run, `limit_mb`), `pace` (of the first phase: its name as `phase`, `rounds` that were tried, `seconds` and
    `processor_seconds` a round; `phases`: the same of all; `in_budget`, `samples`: rounds and records within a budget of time,
    else None; `whole`: seconds that a budget of rounds or samples takes, else None; None with several processes or compiled
    networks), `expect` (what may be expected of the samples, in a line).
    """
    dataset, spec = plan.dataset, plan.dataset.spec
    labels = None
    if dataset.labels is not None:
        counts = Counter(int(label) for label in dataset.labels)
        labels = {name: counts[index] for index, name in enumerate(spec.classes)}
    from ..data.streams import learnt_from

    pace, memory, told = _paced(plan)
    return {
        "dry_run": True,
        "system": plan.card.name,
        "folder": str(plan.folder),
        "data": {
            "source": plan.settings.data,
            "kind": spec.kind,
            "of": kind_of(spec.kind).describe(spec),
            "records": len(dataset),
            "train": len(dataset.train_indices()),
            "heldout": len(dataset.heldout_indices()),
            "learnt": learnt_from(plan.made, dataset),
            "labels": labels,
            "notes": [*dataset.notes, *too_few_to_audit(plan.made, dataset)],
        },
        "config": {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(plan.config).items()},
        "run": dataclasses.asdict(plan.settings),
        "parameters": _parameters(plan.made),
        "memory": {**({} if plan.need is None else plan.need.to_dict()), **memory},
        "pace": pace,
        "expect": told,
    }


def _parameters(system: Any) -> dict[str, int]:
    """Trained networks first, in the order of the players, then what stands beside them."""
    owned = [name for player in system.players() for name in player.networks]
    names = list(dict.fromkeys([*owned, *(name for name, _ in system.named_children() if name not in owned)]))
    return {name: sum(p.numel() for p in system.get_submodule(name).parameters()) for name in names}


def _paced(plan: Plan) -> tuple[dict[str, Any] | None, dict[str, float | None], str]:
    """(pace, memory in MB of 2^20 bytes, what to expect); several processes would have to be started, and are not tried."""
    from ..doctor import keep_memory, on_threads
    from ..health.quality import Quality
    from ..health.watch import looks_planned
    from ..parallel import pick_device
    from .expect import Expectation
    from .pace import memory_in_use

    settings: Settings = plan.settings
    memory: dict[str, float | None] = {"in_use_mb": None, "expected_mb": None}
    if settings.processes > 1 or settings.compile:
        return None, memory, "expect: not known, for no rounds were tried"
    device = pick_device(settings.device)
    keep_memory()
    looked = looks_planned(settings) > 0 and Quality.able(plan.made, plan.dataset, settings.seed)
    with on_threads(settings.threads):
        expected = Expectation(
            plan.made.to(device), plan.dataset, settings, plan.config.batch_size, device, parse_budget(settings.budget),
            seed=settings.seed, looked=looked,
        )  # fmt: skip
        memory["in_use_mb"] = round(memory_in_use(device) / 2**20, 1)
    told, found = expected.told, expected.pace
    assert found is not None
    memory["expected_mb"] = None if told.memory is None else round(told.memory / 2**20, 1)
    phases = [
        {
            "phase": own.name,
            "rounds": own.rounds,
            "seconds": round(own.seconds, 6),
            "processor_seconds": round(own.processor, 6),
        }
        for own in found.phases
    ]
    timed = expected.budget.seconds is not None
    pace = {
        **phases[0],
        "phases": phases,
        "in_budget": told.rounds if timed else None,
        "samples": told.samples if timed else None,
        "whole": None if timed or told.seconds is None else round(told.seconds, 1),
    }
    return pace, memory, expected.outlook(plan.card, plan.dataset.spec)


def lines(found: dict[str, Any]) -> list[str]:
    """What `rehearse` found, in words."""
    data, pace, memory = found["data"], found["pace"], found["memory"]
    out = [
        "dry run: this is what would happen; nothing was written but the cache of decoded data",
        f"data    {data['source']}: {data['records']:,} {data['of']}; "
        f"{learnt_text(data['learnt']['records'], data['train'], data['learnt']['classes'])} to learn from, "
        f"{data['heldout']:,} held out",
    ]
    labels = data["labels"]
    shown = [] if labels is None else [f"{name} ({count:,})" for name, count in list(labels.items())[:12]]
    more = "" if labels is None or len(labels) <= 12 else f" and {len(labels) - 12} more"
    out.append(f"labels  {', '.join(shown) + more if shown else 'none'}")
    out += [f"note    {note}" for note in data["notes"]]
    config = ", ".join(f"{key}={','.join(map(str, v)) if isinstance(v, list) else v}" for key, v in found["config"].items())
    out.append(f"system  {found['system']}, preset {found['run']['preset']}: {config}")
    usual = dataclasses.asdict(Settings())
    changed = {key: value for key, value in found["run"].items() if value != usual[key] and key not in ("data", "preset")}
    out.append(f"run     {', '.join(f'{key}={value}' for key, value in changed.items()) or 'all settings as usual'}")
    parts = found["parameters"]
    out.append(f"weights {', '.join(f'{name} {count:,}' for name, count in parts.items())}; {sum(parts.values()):,} in all")
    told = [] if memory.get("needed_mb") is None else [f"{memory['needed_mb']:,.0f} MB expected"]
    told += [] if memory["expected_mb"] is None else [f"{memory['expected_mb']:,.0f} MB at most in the run"]
    told += [] if memory["in_use_mb"] is None else [f"{memory['in_use_mb']:,.0f} MB in use after the rounds that were tried"]
    told += [] if memory.get("limit_mb") is None else [f"{memory['limit_mb']:,.0f} MB is what {_owner(memory['of'])}"]
    out.append(f"memory  {'; '.join(told) or 'not known before it runs'}")
    budget = parse_budget(found["run"]["budget"])
    if pace is None:
        out.append("time    not tried with several processes, nor with compiled networks")
    else:
        size = found["config"]["batch_size"]
        tried = "; ".join(
            f"{1000 * own['seconds']:,.3g} ms a round of phase '{own['phase']}' ({own['rounds']} tried)"
            for own in pace["phases"]
        )
        line = f"time    batches of {size} records: {tried}"
        if pace["in_budget"] is not None:
            line += f"; {budget}: about {pace['in_budget']:,} rounds, {pace['samples']:,} samples"
        elif pace["whole"] is not None:
            line += f"; {budget}: about {describe_seconds(pace['whole'])}"
        else:
            line += "; no --budget: until the kernel distance stops improving, or Ctrl-C"
        out.append(line)
    out.append(f"expect  {found['expect'].removeprefix('expect').lstrip(': ')}")
    return [*out, f"folder  {found['folder']} (not made); leave out --dry-run to begin"]


def _owner(where: str) -> str:
    return "--memory allows" if where == "--memory" else f"{where} has"
