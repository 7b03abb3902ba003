"""Cells of a study: the same game under named conditions, each with several seeds, as independent jobs that can be resumed.

A study says what its cells are (`Plan`), `run_cells` plays them: in a pool of processes on this machine, or on a cluster
through submitit. Every cell gets the same number of rounds, which is what a study of conditions compares; a budget of time is
turned into that number before the first job, by timing each cell for a moment. Whatever is finished is kept, so a study that
was killed goes on where it was. Not for what a job does (`_cell_job`) nor for what is concluded (the study's own file).
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..data.dataset import RULE
from ..data.phantoms import is_phantom
from ..errors import DataError, GanvasError, RunError
from ..files import disk_errors, held, write_json
from ..run.budget import describe_seconds
from ._cell_job import FAILED, JOB, PACE, RESULT, read_plain, stretch_ends
from ._cell_pool import LAUNCHERS, Pool, Stopped, need_submitit

__all__ = ["Cell", "Plan", "Stopped", "affordable_rounds", "expected_seconds", "job_folder", "read_results", "run_cells"]

STUDY = "study.json"
MARGIN = 0.85  # of the budget that is planned for: a machine does not keep its pace, and the page takes a moment
ROUNDS = 1500  # where neither rounds nor a budget were asked for


@dataclass(frozen=True)
class Cell:
    """One condition. name: for files and tables, of letters, digits and hyphens. says: one line for people.

    config: settings of the system. settings: of the run (`ganvas.run.settings`), beyond those of the whole study.
    """

    name: str
    system: str
    says: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a study is to do.

    data: as `ganvas train` takes it. settings: of all runs. seeds: how many, from 0. looks: how often samples are drawn in a
    run, evenly spread; samples: how many at a look. judge: `module:function` that gets (folder of the job, its description)
    and returns plain values for its result. judge_settings: handed to it.
    """

    study: str
    cells: tuple[Cell, ...]
    data: str
    seeds: int = 2
    settings: Mapping[str, Any] = field(default_factory=dict)
    looks: int = 6
    samples: int = 256
    judge: str = "ganvas.studies._cell_judge:judge_images"
    judge_settings: Mapping[str, Any] = field(default_factory=dict)


def run_cells(
    folder: str | Path,
    plan: Plan,
    *,
    rounds: int | None = None,
    budget: float | None = None,
    jobs: int | None = None,
    launcher: str = "local",
    cluster: Mapping[str, Any] | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Play every cell with every seed, or what is left of them, and return what they found.

    rounds: of every cell; at least so many where a budget is given as well. budget: seconds for the whole study, from now.
    jobs: how many run at a time (default: as many as there are cores, or GPUs; on a cluster all). launcher: `local`, `slurm`,
    or `submitit` (submitit's executor on this machine). cluster: parameters of submitit's executor.

    Returns rounds, results ({cell: {seed: result}}), failed ([{cell, seed, error}]), paces, jobs, threads and seconds (over
    all sittings). Raises Stopped after SIGINT or SIGTERM, GanvasError when the folder holds another study or is in use.
    """
    begun, say = time.monotonic(), say or (lambda text: None)
    out = Path(folder)
    _check(plan, rounds, jobs, launcher)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with held(out):
        before = _known(out)
        if before is None and any(p.name != ".lock" for p in out.iterdir()):
            raise GanvasError(f"--out {out} is not empty and holds no study: choose a new folder")
        if before is not None:
            _same_study(out, before, plan, rounds)
            _same_rule(out, before, plan)
        places = _slots(jobs, launcher, len(plan.cells) * plan.seeds)
        with Pool(out, launcher, places, dict(cluster or {})) as pool:
            paces: dict[str, Any] = before["paces"] if before else {}
            if before is not None:
                count = int(before["rounds"])
            else:
                count, paces = _choose(out, plan, rounds, budget, pool, begun, say)
            earlier: float = before["seconds"] if before else 0.0
            rule = RULE if before is None else before.get("split_rule", 1)
            record = {**_plain(plan), "rounds": count, "split_rule": rule, "paces": paces, "seconds": earlier}

            def keep() -> None:
                record["seconds"] = round(earlier + time.monotonic() - begun, 1)
                write_json(out / STUDY, record)

            keep()
            try:
                failed = _play(out, plan, count, pool, paces, say, keep)
            finally:
                keep()
    facts = {"rounds": count, "paces": paces, "jobs": pool.width, "threads": pool.threads, "seconds": record["seconds"]}
    return {"results": read_results(out, plan), "failed": failed, **facts}


def job_folder(folder: Path, cell: str, seed: int) -> Path:
    """Where the job of a cell and a seed lives."""
    return folder / "cells" / cell / f"seed-{seed}"


def read_results(folder: Path, plan: Plan) -> dict[str, dict[int, dict[str, Any]]]:
    """The results that are there, by cell and seed."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for cell in plan.cells:
        for seed in range(plan.seeds):
            path = job_folder(folder, cell.name, seed) / RESULT
            if path.exists():
                found.setdefault(cell.name, {})[seed] = read_plain(path)
    return found


# What is to be done


def _check(plan: Plan, rounds: int | None, jobs: int | None, launcher: str) -> None:
    names = [cell.name for cell in plan.cells]
    if len(set(names)) < len(names) or not names:
        raise GanvasError("a study needs cells, each with a name of its own")
    for name, number, least in (("seeds", plan.seeds, 1), ("looks", plan.looks, 1), ("rounds", rounds, 2), ("jobs", jobs, 1)):
        if number is not None and number < least:
            raise GanvasError(f"--{name} {number} is too small, the least is {least}")
    if plan.samples < 4:
        raise GanvasError(f"--samples {plan.samples} are too few to be judged, the least is 4")
    if launcher not in LAUNCHERS:
        raise GanvasError(f"--launcher '{launcher}' is not known: choose one of {', '.join(LAUNCHERS)}")
    if not is_phantom(plan.data) and not Path(plan.data).exists():
        raise DataError(f"{plan.data}: no such file or folder")  # before every cell finds out for itself
    if launcher != "local":
        need_submitit()


def _plain(plan: Plan) -> dict[str, Any]:
    """A plan as it is read back from a file."""
    made: dict[str, Any] = json.loads(json.dumps(asdict(plan)))
    return made


def _known(out: Path) -> dict[str, Any] | None:
    return read_plain(out / STUDY) if (out / STUDY).exists() else None


def _same_study(out: Path, before: Mapping[str, Any], plan: Plan, rounds: int | None) -> None:
    """A study may grow (more cells, more seeds); whatever else differs would mix unlike runs."""
    now = _plain(plan)
    own, other = ({c["name"]: c for c in held_plan["cells"]} for held_plan in (before, now))
    differences = [f"{k}: {before[k]} -> {now[k]}" for k in now if k not in ("cells", "seeds") and before.get(k) != now[k]]
    differences += [f"cell {name} has other settings" for name in own if name in other and own[name] != other[name]]
    if rounds is not None and rounds != before["rounds"]:
        differences.append(f"rounds: {before['rounds']} -> {rounds}")
    if differences:
        raise GanvasError(
            f"{out} holds a study that cannot go on under changed settings ({'; '.join(differences)}): leave them, or choose "
            "another --out"
        )


def _same_rule(out: Path, before: Mapping[str, Any], plan: Plan) -> None:
    """What is left of a study must be judged on the records that the rest was judged on."""
    jobs = [job_folder(out, cell.name, seed) for seed in range(plan.seeds) for cell in plan.cells]
    left = sum(not (place / RESULT).exists() for place in jobs)
    if left and before.get("split_rule", 1) != RULE:
        raise GanvasError(
            f"{out} was begun under an earlier rule of holding records out, and {left} of {len(jobs)} jobs are left, which "
            "would be judged on other records than the rest: choose another --out"
        )


def _slots(jobs: int | None, launcher: str, count: int) -> int:
    """How many jobs run at a time."""
    if jobs is not None:
        return min(jobs, count)
    if launcher == "slurm":
        return count
    from ..doctor import machine

    facts = machine()
    return max(1, min(count, len(facts["gpus"]) or facts["cores"]))


def _choose(
    out: Path,
    plan: Plan,
    rounds: int | None,
    budget: float | None,
    pool: Pool,
    begun: float,
    say: Callable[[str], None],
) -> tuple[int, dict[str, Any]]:
    """(rounds of every cell, the pace of each): from the budget, where there is one."""
    if budget is None:
        return rounds or ROUNDS, {}
    say(f"timing {len(plan.cells)} cells for a moment, to turn {describe_seconds(budget)} into rounds")
    for cell in plan.cells:
        place = out / "pace" / cell.name
        if not (place / PACE).exists():
            _describe(place, plan, cell, 0, 0, pool.threads, pace=True)
    waiting = [out / "pace" / cell.name for cell in plan.cells]
    failed = pool.play([place for place in waiting if not (place / PACE).exists()], PACE, lambda place, error: None)
    if failed:
        place, error = next(iter(failed.items()))
        raise RunError(f"cell {place.name} failed when it was timed: {error}")
    paces = {place.name: read_plain(place / PACE) for place in waiting}
    shutil.rmtree(out / "pace", ignore_errors=True)
    left = budget - (time.monotonic() - begun)
    count = affordable_rounds(plan, paces, left * MARGIN, pool.width)
    least = rounds or 2
    if count < least:
        most = describe_seconds(expected_seconds(plan, paces, least, pool.width))
        say(f"warning: {least:,} rounds of every cell are expected to take {most}, which is more than the budget")
    return max(count, least), paces


def expected_seconds(plan: Plan, paces: Mapping[str, Mapping[str, float]], rounds: int, width: int) -> float:
    """How long all jobs take when each has so many rounds and `width` of them run at a time, in the order they are started."""
    free = [0.0] * max(1, width)
    for _ in range(plan.seeds):
        for cell in plan.cells:
            pace = paces[cell.name]
            stretches = len(stretch_ends(rounds, plan.looks))
            looked = min(plan.looks, rounds) * plan.samples * pace["sample"]
            place = free.index(min(free))
            free[place] += pace["start"] + stretches * pace["stretch"] + rounds * pace["round"] + looked
    return max(free)


def affordable_rounds(plan: Plan, paces: Mapping[str, Mapping[str, float]], seconds: float, width: int) -> int:
    """The most rounds, the same for every cell, with which the jobs end within `seconds`; 0 when not even two rounds do."""
    low, high = 0, 2
    while expected_seconds(plan, paces, high, width) <= seconds and high < 10**7:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if middle >= 2 and expected_seconds(plan, paces, middle, width) <= seconds:
            low = middle
        else:
            high = middle
    return low


def _describe(place: Path, plan: Plan, cell: Cell, seed: int, rounds: int, threads: int, **more: Any) -> None:
    """Write down a job, for the process that plays it."""
    with disk_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    job = {
        "study": plan.study,
        "cell": cell.name,
        "seed": seed,
        "system": cell.system,
        "data": plan.data,
        "config": dict(cell.config),
        "settings": {**plan.settings, **cell.settings},
        "rounds": rounds,
        "looks": plan.looks,
        "samples": plan.samples,
        "judge": plan.judge,
        "judge_settings": dict(plan.judge_settings),
        "threads": threads,
        **more,
    }
    write_json(place / JOB, job)


def _play(
    out: Path,
    plan: Plan,
    rounds: int,
    pool: Pool,
    paces: Mapping[str, Any],
    say: Callable[[str], None],
    keep: Callable[[], None],
) -> list[dict[str, Any]]:
    """Every job that has no result yet, seed by seed, so that a study that is stopped has whole seeds. Returns what failed.

    keep: called after every job, to write down how long the study has taken: a killed one has no other chance.
    """
    waiting = []
    for seed in range(plan.seeds):
        for cell in plan.cells:
            place = job_folder(out, cell.name, seed)
            if not (place / RESULT).exists():
                if not (place / JOB).exists():  # a job that has begun keeps its number of threads, and with it its bits
                    _describe(place, plan, cell, seed, rounds, pool.threads)
                (place / FAILED).unlink(missing_ok=True)
                waiting.append(place)
    total = len(plan.cells) * plan.seeds
    done = total - len(waiting)
    say(
        f"{len(plan.cells)} cells x {plan.seeds} seeds, {rounds:,} rounds each, {pool.width} at a time with "
        f"{pool.threads} thread{'s' if pool.threads > 1 else ''}" + (f"; {done} of {total} are done" if done else "")
    )
    if waiting and all(cell.name in paces for cell in plan.cells):
        say(f"expected to take {describe_seconds(expected_seconds(plan, paces, rounds, pool.width) * len(waiting) / total)}")

    def tell(place: Path, error: str | None) -> None:
        nonlocal done
        done += error is None
        keep()
        name = f"{place.parent.name}, {place.name.replace('-', ' ')}"
        say(f"{done}/{total} {name}" if error is None else f"FAILED {name}: {error}")

    failed = pool.play(waiting, RESULT, tell)
    return [
        {"cell": place.parent.name, "seed": int(place.name.removeprefix("seed-")), "error": error}
        for place, error in failed.items()
    ]
