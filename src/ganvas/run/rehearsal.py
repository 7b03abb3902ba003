"""`ganvas train --dry-run`: what a run would do, told before it begins. Nothing is written but the cache of decoded data.

The pace is that of a few real rounds, played on weights that are thrown away. Not for the memory of other settings
(`ganvas memory`).
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..kinds import kind_of
from ..registry import Card
from .budget import describe_seconds, parse_budget
from .load import learnt_text
from .settings import Settings

PATIENCE, MOST_ROUNDS = 2.0, 20  # seconds and rounds that are tried, after the first, which sets everything up


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
    (`needed_mb` foretold where it comes near what there is, `in_use_mb` after the rounds that were tried, `limit_mb`), `pace`
    (`rounds` tried, `seconds` a round, `phase` they were of, `in_budget`: the rounds within a budget of time, else None; None
    with several processes).
    """
    dataset, spec = plan.dataset, plan.dataset.spec
    labels = None
    if dataset.labels is not None:
        counts = Counter(int(label) for label in dataset.labels)
        labels = {name: counts[index] for index, name in enumerate(spec.classes)}
    from ..data.streams import learnt_from

    pace, in_use = _paced(plan)
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
            "notes": list(dataset.notes),
        },
        "config": {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(plan.config).items()},
        "run": dataclasses.asdict(plan.settings),
        "parameters": _parameters(plan.made),
        "memory": {
            **({} if plan.need is None else plan.need.to_dict()),
            "in_use_mb": None if in_use is None else round(in_use / 2**20, 1),
        },
        "pace": pace,
    }


def _parameters(system: Any) -> dict[str, int]:
    """Trained networks first, in the order of the players, then what stands beside them."""
    owned = [name for player in system.players() for name in player.networks]
    names = list(dict.fromkeys([*owned, *(name for name, _ in system.named_children() if name not in owned)]))
    return {name: sum(p.numel() for p in system.get_submodule(name).parameters()) for name in names}


def _paced(plan: Plan) -> tuple[dict[str, Any] | None, int | None]:
    """A few rounds: (pace, bytes in use afterwards); (None, None) for several processes, which would have to be started."""
    import torch

    from ..data.streams import open_stream
    from ..doctor import keep_memory, on_threads
    from ..engine import Engine
    from ..parallel import Processes, pick_device
    from .loop import memory_in_use

    settings: Settings = plan.settings
    if settings.processes > 1:
        return None, None
    device = pick_device(settings.device)
    keep_memory()
    with on_threads(settings.threads), torch.random.fork_rng(devices=[]):
        system = plan.made.to(device)
        size = plan.config.batch_size
        feeds = system.feeds().items()
        streams = {name: open_stream(plan.dataset, feed, size, seed=settings.seed, world=1) for name, feed in feeds}
        engine = Engine(
            system,
            streams,
            processes=Processes(device),
            precision=settings.precision,
            micro_batches=settings.micro_batches,
            check_every=settings.check_every,
            channels_last=settings.channels_last == "on",
            seed=settings.seed,
        )
        engine.play_round()
        engine.settle()
        begin, rounds = time.perf_counter(), 0
        while rounds < MOST_ROUNDS and time.perf_counter() - begin < PATIENCE and not engine.over:
            engine.play_round()
            engine.settle()
            rounds += 1
        seconds = (time.perf_counter() - begin) / max(1, rounds)
        used = memory_in_use(device)
    phase = engine.clock.phase
    budget = parse_budget(settings.budget)
    within = None if budget.seconds is None or not rounds else max(1, int(budget.seconds / seconds))
    return {"rounds": rounds, "seconds": round(seconds, 6), "phase": phase, "in_budget": within}, used


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
    told += [] if memory["in_use_mb"] is None else [f"{memory['in_use_mb']:,.0f} MB in use after the rounds that were tried"]
    told += [] if memory.get("limit_mb") is None else [f"{memory['limit_mb']:,.0f} MB is what {_owner(memory['of'])}"]
    out.append(f"memory  {'; '.join(told) or 'not known before it runs'}")
    budget = parse_budget(found["run"]["budget"])
    if pace is None:
        out.append("time    not tried with several processes")
    else:
        size = found["config"]["batch_size"]
        of = f"phase '{pace['phase']}', {pace['rounds']} tried"
        line = f"time    {1000 * pace['seconds']:,.3g} ms a round of {size} records ({of})"
        if pace["in_budget"] is not None:
            line += f"; {budget}: about {pace['in_budget']:,} rounds, less what evaluations and pictures take"
        elif budget.rounds or budget.samples:
            many = budget.rounds or -(-(budget.samples or 0) // size)
            line += f"; {budget}: about {describe_seconds(many * pace['seconds'])}"
        else:
            line += "; no --budget: until the kernel distance stops improving, or Ctrl-C"
        out.append(line)
    return [*out, f"folder  {found['folder']} (not made); leave out --dry-run to begin"]


def _owner(where: str) -> str:
    return "--memory allows" if where == "--memory" else f"{where} has"
