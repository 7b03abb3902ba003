"""The proof of `fomm`: a still of one person moves as another one's video does, nearer to what that would really look like than
the still itself, and than what the same networks draw that are told the keypoints and warp nothing.

What it would really look like is known of the phantom `turning-faces`: the same person is drawn in the other one's motion.
Where eyes, nose and mouth are is found in true and made frames alike by a network that took no part in any training (`finder`).
Settings were tried with a seed of none of the runs and with other people than those who are judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
import torch
from torch import nn

from ganvas.batches import Noise
from ganvas.data.phantoms import turning_faces as phantom
from ganvas.data.phantoms.faces import people
from ganvas.kinds import decode, encode
from ganvas.kinds.video.spec import VideoSpec
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.uses.animate import error, still

SIDE, LARGE_SIDE, CLIPS = 32, 64, 400
PAIRS, SHOWN = 48, 6
STRANGERS, PEOPLE_SEED = 10_000, 4242  # people who are judged have numbers from here on, of a seed of their own
COMMON: dict[str, Any] = {
    "width": 12, "generator_width": 12, "discriminator_width": 12, "blocks": 2, "halvings": 1, "motion_scale": 2,
    "compared_scales": 3, "copies": True, "heatmap_temperature": 0.5, "map_weight": 2.0, "feature_weight": 1.0,
    "adversarial_weight": 0.1, "learning_rate": 1e-3,
    "decay_start": 0.5, "ema_half_life": 500.0, "batch_size": 8,
}  # fmt: skip
LARGE: dict[str, Any] = COMMON | {
    "width": 32, "generator_width": 64, "discriminator_width": 32, "blocks": 4, "learning_rate": 5e-4, "batch_size": 32,
}  # fmt: skip
PACE = 1.18  # rounds of the baseline in the time of one of the system, measured on one core


def arm(task: Task, motion: str, pace: float = 1.0) -> Outcome:
    """Train on clips, then let stills of strangers move as other strangers do."""
    side = LARGE_SIDE if task.large else SIDE
    task = replace(task, budget=f"{round(pace * int(task.budget.removesuffix('r')))}r")
    config = (LARGE if task.large else COMMON) | {"motion": motion}
    given: dict[str, Any] = {
        "size": str(side),
        "phantom_count": CLIPS if not task.large else 2_000,
        "threads": 1,
        "precision": "32",
    }
    run, facts = trained(task, "fomm", config, **given)
    return judged(run.system, side, finder(task.folder.parent, side), facts)


def pairs(side: int, seed: int = PEOPLE_SEED) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(driving clips, true clips, places in the true ones): (PAIRS, T, side, side, 3) twice, two people in one motion, each in
    a scene of his own; (PAIRS, T, points, 2) from 0 to 1."""
    traits = people(np.arange(STRANGERS, STRANGERS + 2 * PAIRS), seed)
    driving, true, places = [], [], []
    for k in range(PAIRS):
        rng = np.random.default_rng([seed, k])
        (yaw, pitch), scene, own = phantom.motion(rng), phantom.scene(rng), phantom.scene(rng)
        driving.append(phantom.clip(traits[2 * k], scene, yaw, pitch, (side, side)))
        true.append(phantom.clip(traits[2 * k + 1], own, yaw, pitch, (side, side)))
        places.append(phantom.known(traits[2 * k + 1], own["age"], yaw, pitch, (side, side)))
    return np.stack(driving), np.stack(true), np.stack(places)


def judged(system: Any, side: int, find: Any, facts: dict[str, Any], seed: int = PEOPLE_SEED) -> Outcome:
    """Errors of clips of strangers, made of their first frames by the motion of others."""
    driving, true, known = pairs(side, seed)
    spec = VideoSpec(true.shape[1], side, side, 3, phantom.RATE)
    device = next(system.parameters()).device
    made = []
    with torch.no_grad():
        for start in range(0, len(true), 8):
            own, other = (encode(clips[start : start + 8], spec, device) for clips in (true, driving))
            made.append(decode(system.animate(own[:, :, 0], Noise.seeded(0, device), other), spec))
    clips = np.concatenate(made)
    rest = still(true)
    places, wanted, stood = (found(find, own[:, 1:]) for own in (clips, true, rest))
    more = {
        "error of the still": error(rest, true, 255),
        "keypoint error": apart(places, wanted), "keypoint error of the still": apart(stood, wanted),
        "error of the finder": apart(wanted, known[:, 1:]),
    }  # fmt: skip
    frames = np.linspace(0, true.shape[1] - 1, 6).round().astype(int)
    rows = [own[k, frames].transpose(1, 0, 2, 3).reshape(side, -1, 3) for k in range(SHOWN) for own in (driving, true, clips)]
    protocol = f"l1/of white/another's motion/n={len(true)}/at={side}x{side}"
    return Outcome(error(clips, true, 255), protocol, more | facts, np.stack(rows))


# Where eyes, nose and mouth are


def finder(folder: Path, side: int, pictures: int = 4_800, rounds: int = 1_000) -> nn.Module:
    """A network that finds them, taught on people of another seed; kept in `folder`."""
    file = folder / f"finder-{side}.pt"
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for before, after in ((3, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (side // 8) ** 2, 64), nn.ReLU(), nn.Linear(64, 10))
    if file.exists():
        net.load_state_dict(torch.load(file, weights_only=True))
        return net.eval()
    images, places = _taught(side, pictures)
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    rng = np.random.default_rng(0)
    for number in range(rounds):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1 - number / rounds)
        rows = torch.from_numpy(rng.integers(0, len(images), 64))
        loss = (net(images[rows]) - places[rows]).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with NamedTemporaryFile(dir=folder, delete=False) as whole:  # arms beside one another make the same one
        torch.save(net.state_dict(), whole)
    Path(whole.name).replace(file)
    return net.eval()


def _taught(side: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(images (N, 3, side, side), places (N, 10)) of frames of people of another seed."""
    images, places = [], []
    for k in range(count // phantom.FRAMES):
        rng = np.random.default_rng([PEOPLE_SEED + 1, k])
        traits = people(np.array([k]), PEOPLE_SEED + 1)[0]
        (yaw, pitch), scene = phantom.motion(rng), phantom.scene(rng)
        images.append(phantom.clip(traits, scene, yaw, pitch, (side, side)))
        places.append(phantom.known(traits, scene["age"], yaw, pitch, (side, side)))
    return _tensor(np.concatenate(images)), torch.from_numpy(np.concatenate(places).astype(np.float32)).flatten(1)


def _tensor(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames.transpose(0, 3, 1, 2).astype(np.float32)) / 127.5 - 1


def found(find: nn.Module, clips: np.ndarray) -> np.ndarray:
    """Places in clips (N, T, H, W, 3) uint8: (N, T, points, 2), from 0 to 1."""
    with torch.no_grad():
        places = [find(_tensor(clip)).numpy() for clip in clips]
    return np.stack(places).reshape(*clips.shape[:2], -1, 2)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance of places, in hundredths of a side."""
    return float(100 * np.sqrt(np.square(one - other).sum(-1)).mean())


def met(rows: Sequence[Row]) -> bool:
    """See `PROOF.mark`."""
    return all(
        row.values["system"] <= OF_STILL * row.more["system"]["error of the still"]
        and row.values["system"] <= OF_BASELINE * row.values["baseline"]
        and row.more["system"]["keypoint error"] <= KEYPOINTS_OF_STILL * row.more["system"]["keypoint error of the still"]
        and row.more["system"]["keypoint error"] <= row.more["baseline"]["keypoint error"]
        for row in rows
    )


OF_STILL, OF_BASELINE, KEYPOINTS_OF_STILL = 0.8, 0.95, 0.7
PROOF = Proof(
    claim="a still picture of a stranger, animated by another stranger's video, is nearer to the true clip than the still, and "
    "than what the same networks draw without a motion field",
    baseline="the same networks, told of both frames' keypoints, which warp nothing (motion=none), in equal time; the still",
    metric="mean absolute error to the true clip, of black to white, behind the first frame",
    direction=LOWER,
    mark=(
        f"with every seed at most {OF_STILL} of the still's error and {OF_BASELINE} of the baseline's; the distance of eyes, "
        f"nose and mouth to their true places at most {KEYPOINTS_OF_STILL} of the still's, and no more than the baseline's"
    ),
    met=met,
    arms={"system": lambda task: arm(task, "affine"), "baseline": lambda task: arm(task, "none", PACE)},
    budget="3000r",  # 24,000 clips: about four and a half minutes of one idle core
    quick_budget="30r",
    phantom="turning-faces",
    large_budget="1500r",
    note="A first run of 900 rounds, with heatmaps of the paper's temperature and a D of the paper's weights, was stopped: "
    "half of seed 0's pairs showed 0.89 of the still's error and 0.91 of the baseline's. The settings were then changed "
    "on other people and another seed; the mark was not.",
)
