"""Compression of DCGAN: what larger strides, fully connected layers, latent size, width and depth do, asked of your images.

Belmekki et al. 2022, section III.F and Table III: every attempt to make the networks smaller drew "blurry squares with
homogeneous colours", which `ganvas.metrics.block_edges` measures here. Its cells are games of `dcgan`; `cells` plays them,
`_compression_judge` measures, `_compression_claims` holds the rules, `_compression_page` draws. Not for memory as a function
of the width, which is `memory`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import GanvasError, RunError
from ._compression_claims import conclusions, squares
from .cells import Cell, Plan, run_cells
from .xray import PHANTOM, PHANTOM_COUNT, _over_seeds, figure, steady

NAME = "compression"
SMALLEST = 32
PRESETS = ("xray-relu", "xray-table-ii")

FIGURES: dict[str, str] = {
    "squares": "squares, times the real share of edges",
    "frechet": "Frechet distance",
    "kernel": "kernel distance",
    "top_third": "power of the top third of frequencies, log of generated / real",
    "diversity": "diversity, generated / real",
    "mean": "mean of D's loss",
    "t0": "T0 (round)",
    "seconds": "seconds",
    "memory_mib": "memory of the process, MiB",
}
"""What is told of every cell, as a mean over seeds with a 95 % interval."""

Settings = dict[str, Any]
IN_G: Settings = {"generator_stride": 4, "generator_overlap": False}
STRIDE_4: Settings = {**IN_G, "discriminator_stride": 4}
"""Kernels of G as large as the stride: with them, and not with larger ones, there are the squares that Table III is about."""


def _variations(width: int) -> dict[str, tuple[str, Settings]]:
    """What Table III varies besides strides: name -> (words, settings)."""
    image = {"generator_connected": "image"}, {"discriminator_connected": "image"}
    deep: Settings = {"generator_connected": "deep", "discriminator_connected": "deep"}
    return {
        "connected-d": ("connected layers in D", image[1]),
        "connected-g": ("connected layers in G", image[0]),
        "connected": ("connected layers in both", {**image[0], **image[1]}),
        "fcc": ("connected layers as in FCC-GAN", deep),
        "latent-20": ("latent size 20", {"latent_size": 20}),
        "latent-500": ("latent size 500", {"latent_size": 500}),
        "width-half": (f"width {width // 2}", {"width": width // 2}),
        "width-double": (f"width {2 * width}", {"width": 2 * width}),
        "deeper": ("more layers", {"generator_extra": 1, "discriminator_extra": 1}),
    }


def cells(*, width: int, batch: int, preset: str = PRESETS[0], full: bool = False) -> tuple[Cell, ...]:
    """The baseline, larger strides, and the variations of the compressed network, which has stride 4 in both; with full also
    stride 8, and the same variations of the baseline."""
    variations = _variations(width)
    made: list[tuple[str, str, Settings]] = [
        ("baseline", "baseline, stride 2", {}),
        ("stride-4-d", "stride 4 in D", {"discriminator_stride": 4}),
        ("stride-4-g", "stride 4 in G", IN_G),
        ("stride-4", "stride 4", STRIDE_4),
        ("stride-4-overlap", "stride 4, kernels that overlap", {**STRIDE_4, "generator_overlap": True}),
    ]
    made += [(f"stride-4-{name}", f"stride 4, {words}", {**STRIDE_4, **own}) for name, (words, own) in variations.items()]
    if full:
        eight = {"generator_stride": 8, "generator_overlap": False, "discriminator_stride": 8}
        made.append(("stride-8", "stride 8", eight))
        made += [(f"baseline-{name}", f"baseline, {words}", own) for name, (words, own) in variations.items()]
    common = {"width": width, "batch_size": batch}
    return tuple(Cell(name, "dcgan", says, {**common, **own}, {"preset": preset}) for name, says, own in made)


def compression(
    data: str | None,
    out: str | Path,
    *,
    seeds: int = 2,
    rounds: int | None = None,
    budget: float | None = None,
    size: int = 64,
    width: int = 16,
    batch: int = 32,
    preset: str = PRESETS[0],
    full: bool = False,
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
    """Play the study, or go on with it, and write `compression.json`, `study.md`, `study.html` and `figures/` into `out`.

    data: as `ganvas train` takes it, images; None is the chest phantom, and the page says so. size: of the images, 32 or more.
    preset: of all cells, one of PRESETS. full: also stride 8, and the variations of the baseline. Other arguments as of
    `xray.ablation`.

    Returns what `compression.json` holds, with `page`. Raises Stopped after a signal, RunError when no cell could be played,
    and GanvasError for what cannot be served.
    """
    from ._compression_page import write_page

    out = Path(out)
    for name, number, least in (("size", size, SMALLEST), ("width", width, 2)):
        if number < least:
            raise GanvasError(f"--{name} {number} is too small for this study, the least is {least}")
    if preset not in PRESETS:
        raise GanvasError(f"--preset '{preset}' is not of this study: choose one of {', '.join(PRESETS)}")
    plan = Plan(
        study=NAME,
        cells=cells(width=width, batch=batch, preset=preset, full=full),
        data=PHANTOM if data is None else data,
        seeds=seeds,
        looks=looks,
        samples=samples,
        judge="ganvas.studies._compression_judge:judge_compression",
        **steady(size, phantom_count, inception),
    )
    played = run_cells(out, plan, rounds=rounds, budget=budget, jobs=jobs, launcher=launcher, cluster=cluster, say=say)
    result = summarised(plan, played, command=command.replace(str(out), out.name))
    write_page(out, plan, result)
    return result


def summarised(plan: Plan, played: Mapping[str, Any], *, command: str = "") -> dict[str, Any]:
    """Everything that is told of a study that was played: its cells and conclusions, as plain values. Names no folder."""
    from ..data.phantoms import is_phantom
    from ..doctor import machine

    runs: dict[str, dict[int, dict[str, Any]]] = played["results"]
    if not runs:
        raise RunError(f"no cell of the study could be played: {played['failed'][0]['error']}")
    told = {}
    for cell in plan.cells:
        own = runs.get(cell.name, {})
        told[cell.name] = {
            "says": cell.says,
            "config": dict(cell.config),
            "seeds": sorted(own),
            "cost": next(iter(own.values()))["cost"] if own else None,
            "figures": {key: _over_seeds([_figure_of(run, key) for run in own.values()]) for key in FIGURES},
            "t0": [run["losses"]["t0"] for run in own.values()],
            "alarms": {seed: [f"{a['kind']} (round {a['since_round']:,})" for a in run["alarms"]] for seed, run in own.items()},
        }
    some = next(iter(next(iter(runs.values())).values()))
    last = some["looks"][-1]
    return {
        "study": NAME,
        "data": Path(plan.data).name,
        "phantom": is_phantom(plan.data),
        "preset": plan.cells[0].settings["preset"],
        "rounds": played["rounds"],
        "seeds": plan.seeds,
        "size": plan.settings["size"],
        "protocols": {
            **{key: last[key]["protocol"] for key in ("squares", "frechet", "kernel", "top_third", "diversity")},
            "mib": "parameters, input and twice every module's output for one image, float32 (torchsummary)",
            "multiply_adds": "convolutions and fully connected layers, one image forward",
            "interval": "95 %, Student's t over seeds",
        },
        "fid": "inception" in last["frechet"]["protocol"],
        "real": some["real"],
        "cells": told,
        "claims": conclusions(runs),
        "failed": played["failed"],
        "runs": {name: {str(seed): run for seed, run in own.items()} for name, own in runs.items()},
        "jobs": played["jobs"],
        "threads": played["threads"],
        "seconds": played["seconds"],
        "command": command.replace(plan.data, Path(plan.data).name),
        "machine": machine(),
    }


def _figure_of(run: Mapping[str, Any], key: str) -> float | None:
    return squares(run) if key == "squares" else figure(run, key)


def lines(result: Mapping[str, Any]) -> list[str]:
    """The study for a terminal."""
    from ._compression_page import cell_rows
    from ._study_page import terminal_lines

    return terminal_lines(result, *cell_rows(result))
