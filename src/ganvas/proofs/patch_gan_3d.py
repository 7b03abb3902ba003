"""The proof of `patch-gan-3d`: what patches add to small whole volumes is real detail, without seams, in memory that does not
grow.

Rounds are counted, so that a busy machine gives what an idle one gives; how many the baseline has in the time of the system was
measured on one core. Settings were tried with a seed of none of the runs. Memory is measured in processes of its own, of
networks of the same form at larger sides: it does not depend on what they have learnt.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained

SIDE, COUNT, LARGE_COUNT, HELDOUT = 64, 160, 1_000, 0.25
JUDGED, QUICK_JUDGED = 64, 8
SIDES, QUICK_SIDES = (64, 128, 256), (64, 128)
BORDERS = 16  # voxels a side of the patches that samples are made of, so that borders lie at 16, 32 and 48
PACE = 0.31  # rounds of the baseline in the time of one of the system, measured on one core
BOUND = {"gradient_clip": 1.0}  # of both: without it a run of 1,500 rounds blew up
RATES = {"generator_learning_rate": 5e-4, "discriminator_learning_rate": 5e-4}  # of both, as the preset has them
COMMON: dict[str, Any] = {"width": 16, "batch_size": 8, "patches": 1, "whole_share": 0.7, "patch_side": 32} | BOUND | RATES
FEWER: dict[str, Any] = {"batch_size": 2}  # of the baseline: four times as many moves in its time
LARGE: dict[str, Any] = {"width": 64, "batch_size": 16, "patches": 1} | BOUND | RATES
NEARER, SEAM, GROWTH = 0.5, 1.05, 1.5
FULL_SIZE = Path(__file__).with_name("_full_size_3d.py")

MEMORY = """
import json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from ganvas.batches import Noise
from ganvas.config import build_config
from ganvas.kinds.volume.spec import VolumeSpec
from ganvas.registry import load_system
def peak():  # of this process alone: what getrusage says is handed down by the one that started it
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])
name, side, config = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
module = load_system(name)[2]
system = module(VolumeSpec(side), build_config(module.Config, config)).eval()
with torch.no_grad():
    before = peak()
    made = system.sample(1, Noise.seeded(0))
after = peak()
print(json.dumps([before, after, made.numel() * made.element_size()]))
"""


def memory(system: str, side: int, config: dict[str, Any]) -> float:
    """Megabytes that drawing one volume takes beyond the volume itself: the growth of the peak of resident memory."""
    words = [sys.executable, "-c", MEMORY, system, str(side), json.dumps(config)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    before, after, result = json.loads(done.stdout.strip().splitlines()[-1])
    return float(after - before - result) / 1e6


def seam(volumes: np.ndarray, borders: int = BORDERS) -> float:
    """Mean step across the borders of patches of (N, D, H, W), by that between planes four before and four after: those lie
    between the same coarse voxels as borders of patches do, and steps between these are larger than others (`blocks`)."""
    at, beside = [], []
    for axis in (1, 2, 3):
        steps = np.abs(np.diff(volumes.astype(np.float32), axis=axis)).mean(axis=tuple(k for k in range(4) if k != axis))
        for place in range(borders - 1, len(steps), borders):
            at.append(steps[place])
            beside += [steps[place + k] for k in (-4, 4)]
    return float(np.mean(at) / np.mean(beside))


def blocks(volumes: np.ndarray) -> float:
    """Mean step between coarse voxels by that within them, of (N, D, H, W): 1 where doubling shows nowhere."""
    steps = [np.abs(np.diff(volumes.astype(np.float32), axis=axis)) for axis in (1, 2, 3)]
    means = [step.mean(axis=tuple(k for k in range(4) if k != axis)) for axis, step in zip((1, 2, 3), steps, strict=True)]
    return float(np.mean([mean[1::2].mean() / mean[::2].mean() for mean in means]))


def learnt(task: Task, system: str, pace: float) -> Any:
    """A run of the system, or the baseline in as much time."""
    rounds = max(6, round(pace * int(task.budget.removesuffix("r"))))
    common = (LARGE if task.large else COMMON) | ({} if system == "patch-gan-3d" else FEWER)
    count = 24 if task.quick else LARGE_COUNT if task.large else COUNT
    return trained(
        replace(task, budget=f"{rounds}r"), system, common, size=str(SIDE), phantom_count=count, heldout=HELDOUT, threads=1,
        precision="32",
    )  # fmt: skip


def arm(task: Task) -> Outcome:
    """Train, draw, and judge: beside it the same small volumes, smoothly enlarged, and the memory that drawing takes."""
    import torch
    from torch.nn.functional import interpolate

    from ganvas.batches import Noise
    from ganvas.kinds import decode

    run, facts = learnt(task, "patch-gan-3d", 1.0)
    system, count, seed = run.system.eval(), QUICK_JUDGED if task.quick else JUDGED, 10_000 + task.seed
    system.config = replace(system.config, patch_side=BORDERS)
    device = next(system.parameters()).device
    with torch.no_grad():
        small = system.average(Noise.seeded(seed, device).normal(count, system.config.latent_size)).cpu()
        smooth = decode(interpolate(small, (SIDE,) * 3, mode="trilinear", align_corners=False), data_of(run).spec)
        made = decode(system.sample(count, Noise.seeded(seed, device)), data_of(run).spec)
        system.config = replace(system.config, patch_side=SIDE)  # one patch is the whole volume
        whole = decode(system.sample(count, Noise.seeded(seed, device)), data_of(run).spec)
        fresh = (
            type(system)(system.spec, system.config).to(device).eval()
        )  # its stages keep the means of eight voxels, and know nothing
        fresh.average.load_state_dict(system.average.state_dict())
        raw = decode(fresh.sample(count, Noise.seeded(seed, device)), data_of(run).spec)
    plain, kept = judged(run, smooth, {}), judged(run, raw, {})
    held = np.asarray(data_of(run).values[data_of(run).heldout_indices()])
    sides = QUICK_SIDES if task.quick else SIDES
    facts |= {
        "smooth_spectrum": plain.value,
        "smooth_distance": plain.more["distance"],
        "untrained_spectrum": kept.value,
        "untrained_distance": kept.more["distance"],
        "seam": seam(made) / seam(held),
        "seam_whole": seam(whole) / seam(held),  # of the same volumes without any patches: what is left is no seam
        "blocks": blocks(made),
        "real_blocks": blocks(held),
        "patches_or_whole": float(np.abs(made.astype(float) - whole).max()),
        "memory": [round(memory("patch-gan-3d", side, {"width": 16}), 1) for side in sides],
        "memory_full_size": [round(memory(str(FULL_SIZE), side, {"width": 16}), 1) for side in sides[:2]],
    }
    return judged(run, made, facts)


def full_size(task: Task) -> Outcome:
    """The same networks, learnt together at full size, in as much time."""
    run, facts = learnt(task, str(FULL_SIZE), PACE)
    count = QUICK_JUDGED if task.quick else JUDGED
    return judged(run, run.sample(count, seed=10_000 + task.seed), facts)


def judged(run: Any, made: np.ndarray, facts: dict[str, Any]) -> Outcome:
    """The distance of spectra in the upper two octaves to held-out volumes, and the kernel distance of features."""
    from ganvas.kinds.volume import features
    from ganvas.metrics import kernel_distance

    dataset = data_of(run)
    spec = dataset.spec
    held, train = (np.asarray(dataset.values[rows]) for rows in (dataset.heldout_indices(), dataset.train_indices()))
    power = [features.radial_power(own, spec) for own in (made, held, train[: len(held)])]
    take = functools.partial(features.vectors, spec=spec)
    far = kernel_distance(take(made), take(held), features=features.TYPE, reference="heldout", intervals=False)
    floor = kernel_distance(take(train[: len(held)]), take(held), features=features.TYPE, reference="heldout", intervals=False)
    more = {
        "distance": 1000 * far.value,
        "real_distance": 1000 * floor.value,
        "real_spectrum": features.spectrum_distance(power[2], power[1], 2),
        "detail": float(features.detail(made, spec).mean() / features.detail(held, spec).mean()),
    }
    middle = made[:12, made.shape[1] // 2 - 4, ..., None]
    protocol = f"mean |log10 ratio of power|/upper 2 octaves/n={len(made)}/m={len(held)}/ref=heldout"
    return Outcome(features.spectrum_distance(power[0], power[1], 2), protocol, more | facts, middle)


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""

    def alone(row: Row) -> bool:
        own = row.more["system"]
        sharp = row.values["system"] <= NEARER * own["smooth_spectrum"] and row.values["system"] < row.values["baseline"]
        near = own["distance"] < own["smooth_distance"] and own["distance"] < row.more["baseline"]["distance"]
        return sharp and near and own["seam"] <= SEAM and own["memory"][-1] <= GROWTH * own["memory"][0]

    return all(alone(row) for row in rows)


PROOF = Proof(
    claim=(
        "patches give small whole volumes the detail of real ones, without seams, and drawing takes memory that does not grow "
        "with the side"
    ),
    baseline="the same networks as one full-size GAN of whole volumes, at equal time; and the small volumes, smoothly enlarged",
    metric="distance of the spectra of made and held-out volumes in the upper two octaves, mean |log10| of the ratio of powers",
    direction=LOWER,
    mark=(
        f"with every seed below the full-size GAN and at most {NEARER} times that of the small volumes enlarged by trilinear "
        "interpolation, a kernel distance below that of both, steps across borders of patches at most "
        f"{SEAM} times those beside them (by the same ratio of real volumes), and memory beyond the volume itself at side 256 "
        f"at most {GROWTH} times that at side 64"
    ),
    met=met,
    arms={"system": arm, "baseline": full_size},
    budget="1500r",
    quick_budget="12r",
    phantom="brain-volumes",
    large_budget="20000r",
)
