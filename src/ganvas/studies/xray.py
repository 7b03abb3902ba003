"""The chest X-ray ablation: which optimiser, nonlinearity and time scales make the better DCGAN, asked of your radiographs.

Belmekki et al. 2022, "An Empirical Evaluation of Generative Adversarial Nets in Synthesizing X-ray Chest Images" (ICIIBMS,
doi 10.1109/ICIIBMS55689.2022.9971542), Table I, with seeds. Its cells are games of `dcgan`; `cells` plays them, `_xray_claims`
holds each claim against what was found, by rules that stand there, and `_xray_page` draws. What the study leaves open is
settled here and told in the page of the documentation. Not for memory or compression, which are studies of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import GanvasError
from ._xray_claims import conclusions, correlations, mean_interval
from ._xray_page import FIGURES
from .cells import Cell, Plan, run_cells

NAME = "xray-ablation"
RESULTS = "results.json"
PHANTOM, PHANTOM_COUNT = "chest", 800
RATE = 2e-4  # of both players without TTUR: DCGAN's
GENERATOR_RATE, DISCRIMINATOR_RATE = 1e-4, 4e-4  # with it: the generator moves slowly, so that it perturbs the other less
OPTIMISERS = {"adas": "AdaS", "adam": "AdaM"}
NONLINEARITIES = {"elu": "ELU", "relu": "ReLU, LReLU"}

TABLE_I: dict[str, dict[str, float]] = {
    "adas-elu": {"mean": 0.845, "variance": 0.637, "sd": 0.798, "fid": 104.552},
    "adam-elu": {"mean": 0.418, "variance": 0.209, "sd": 0.458, "fid": 238.254},
    "adas-elu-ttur": {"mean": 1.185, "variance": 4.066, "sd": 2.016, "fid": 100.581},
    "adas-relu": {"mean": 1.135, "variance": 0.970, "sd": 0.985, "fid": 111.882},
}
"""The printed figures of Table I: D's loss over the training, and FID (Inception features, another data set, other sizes of the
sets), which compares with nothing that is measured here but by rank."""


def a_cell(
    optimiser: str,
    nonlinearity: str,
    ttur: bool,
    *,
    width: int,
    batch: int,
    rate: float | None = None,
    other: int | None = None,
) -> Cell:
    """One configuration. rate: another learning rate than RATE. other: another batch size than the study's."""
    name = f"{optimiser}-{nonlinearity}" + ("-ttur" if ttur else "")
    says = f"{OPTIMISERS[optimiser]}, {NONLINEARITIES[nonlinearity]}" + (", TTUR" if ttur else "")
    config: dict[str, Any] = {"optimiser": optimiser, "width": width, "batch_size": batch}
    own = (GENERATOR_RATE, DISCRIMINATOR_RATE) if ttur else (RATE, RATE)
    if rate is not None:
        own, name, says = (rate, rate), f"{name}-rate-{rate:g}", f"{says}, rate {rate:g}"
    if other is not None:
        config["batch_size"], name, says = other, f"{name}-batch-{other}", f"{says}, batch {other}"
    config |= {"generator_learning_rate": own[0], "discriminator_learning_rate": own[1]}
    return Cell(name, "dcgan", says, config, {"preset": "xray-table-ii" if nonlinearity == "elu" else "xray-relu"})


def cells(*, width: int, batch: int, full: bool = False, extras: bool = False) -> tuple[Cell, ...]:
    """The four cells of Table I in its order; with full all eight; with extras those of the claims on batches and rates."""
    given: dict[str, Any] = {"width": width, "batch": batch}
    printed = [("adas", "elu", False), ("adam", "elu", False), ("adas", "elu", True), ("adas", "relu", False)]
    rest = [("adam", "elu", True), ("adam", "relu", False), ("adas", "relu", True), ("adam", "relu", True)]
    made = [a_cell(*one, **given) for one in printed + (rest if full else [])]
    if extras:
        made += [a_cell("adam", "elu", False, **given, other=size) for size in (16, 64, 128) if size != batch]
        made += [a_cell("adam", "elu", False, **given, rate=rate) for rate in (1e-4, 1e-3)]
    return tuple(made)


def ablation(
    data: str | None,
    out: str | Path,
    *,
    seeds: int = 2,
    rounds: int | None = None,
    budget: float | None = None,
    size: int = 64,
    width: int = 16,
    batch: int = 32,
    full: bool = False,
    extras: bool = False,
    looks: int = 6,
    samples: int = 256,
    inception: str | Path | None = None,
    phantom_count: int = PHANTOM_COUNT,
    jobs: int | None = None,
    launcher: str = "local",
    cluster: Mapping[str, Any] | None = None,
    command: str = "",
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Play the study, or go on with it, and write `results.json`, `study.md`, `study.html` and `figures/` into `out`.

    data: as `ganvas train` takes it, images; None is the chest phantom, and the page says so. budget: seconds. size: of the
    images; width: of the networks (the paper's is 64). inception: file of Inception's weights, for a Frechet distance that is
    a FID. command: how it was called, for the page. The other arguments are those of `cells.run_cells` and `cells.Plan`.

    Returns what `results.json` holds, with `page`. Raises Stopped after a signal, RunError when no cell could be played, and
    GanvasError for what cannot be served.
    """
    from ._xray_page import write_page

    out = Path(out)
    if size < 16:
        raise GanvasError(f"--size {size} is too small for this study, the least is 16")
    source = PHANTOM if data is None else data
    plan = Plan(
        study=NAME,
        cells=cells(width=width, batch=batch, full=full, extras=extras),
        data=source,
        seeds=seeds,
        looks=looks,
        samples=samples,
        **steady(size, phantom_count, inception),
    )
    played = run_cells(out, plan, rounds=rounds, budget=budget, jobs=jobs, launcher=launcher, cluster=cluster, say=say)
    result = summarised(plan, played, beside=out, command=command.replace(str(out), out.name))
    write_page(out, plan, result)
    return result


def steady(size: int, phantom_count: int, inception: str | Path | None) -> dict[str, Any]:
    """`settings` and `judge_settings` of a `cells.Plan` whose cells are compared by numbers. Raises GanvasError."""
    if inception is not None and not Path(inception).is_file():
        raise GanvasError(f"--inception {inception}: no such file")
    return {
        "settings": {
            "size": str(size),
            "phantom_count": phantom_count,
            "precision": "32",  # what is measured to be faster may differ from cell to cell, and would change its numbers
            "channels_last": "off",
        },
        "judge_settings": {"inception": None if inception is None else str(Path(inception).resolve())},
    }


def summarised(plan: Plan, played: Mapping[str, Any], *, beside: Path, command: str = "") -> dict[str, Any]:
    """Everything that is told of a study that was played: its cells, correlations and conclusions, as plain values.

    beside: the folder of the study; results of `ganvas study memory` and `compression` are looked for there and around it. The
    result names no folder, neither of the study nor of the data, so that it may be passed on.
    """
    from ..data.phantoms import is_phantom
    from ..doctor import machine
    from ..errors import RunError

    runs: dict[str, dict[int, dict[str, Any]]] = played["results"]
    if not runs:
        raise RunError(f"no cell of the study could be played: {played['failed'][0]['error']}")
    told = {}
    for cell in plan.cells:
        own = runs.get(cell.name, {})
        told[cell.name] = {
            "says": cell.says,
            "paper": TABLE_I.get(cell.name),
            "config": dict(cell.config),
            "seeds": sorted(own),
            "figures": {key: _over_seeds([figure(run, key) for run in own.values()]) for key in FIGURES},
            "t0": [run["losses"]["t0"] for run in own.values()],
            "alarms": {seed: [f"{a['kind']} (round {a['since_round']:,})" for a in run["alarms"]] for seed, run in own.items()},
        }
    some = next(iter(next(iter(runs.values())).values()))
    last = some["looks"][-1]
    return {
        "study": NAME,
        "data": Path(plan.data).name,
        "phantom": is_phantom(plan.data),
        "rounds": played["rounds"],
        "seeds": plan.seeds,
        "size": plan.settings["size"],
        "protocols": {
            **{key: last[key]["protocol"] for key in ("frechet", "kernel", "top_third", "diversity")},
            "loss": "sum of both cross entropies of D, every round",
            "t0": "first round from which the 50-round median of that stays above 0.25 x 2 ln 2 for 50 rounds (ganvas.health)",
            "interval": "95 %, Student's t over seeds",
        },
        "fid": "inception" in last["frechet"]["protocol"],
        "real": some["real"],
        "cells": told,
        "correlations": correlations(runs),
        "claims": conclusions(runs, played["rounds"], beside),
        "failed": played["failed"],
        "runs": {name: {str(seed): run for seed, run in own.items()} for name, own in runs.items()},
        "jobs": played["jobs"],
        "threads": played["threads"],
        "seconds": played["seconds"],
        "command": command.replace(plan.data, Path(plan.data).name),
        "machine": machine(),
    }


def figure(run: Mapping[str, Any], key: str) -> float | None:
    """One figure of a run, at its end; None where there is none (T0 of a run whose opening never ended)."""
    losses = run["losses"]
    if key in ("frechet", "kernel", "top_third", "diversity"):
        return float(run["looks"][-1][key]["value"])
    if key in ("seconds", "memory_mib"):
        return float(run[key])
    if key in ("t0", "asleep"):
        return None if losses[key] is None else float(losses[key])
    name, _, after = key.partition("_after_t0")
    part = losses["after_t0"] if key.endswith("_after_t0") else losses["whole"]
    return None if part is None else float(part[name])


def _over_seeds(values: list[float | None]) -> dict[str, Any]:
    """Mean and interval over the seeds that have the figure; n says how many these are, of how many."""
    there = [v for v in values if v is not None]
    if not there:
        return {"value": None, "n": 0, "of": len(values)}
    low, high = mean_interval(there)
    return {"value": sum(there) / len(there), "low": low, "high": high, "n": len(there), "of": len(values)}


def lines(result: Mapping[str, Any]) -> list[str]:
    """The study for a terminal."""
    from ._study_page import terminal_lines
    from ._xray_page import cell_rows

    return terminal_lines(result, *cell_rows(result))


def read_result(path: Path) -> dict[str, Any] | None:
    """The results of a study in this folder, or None."""
    try:
        found = json.loads((path / RESULTS).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
