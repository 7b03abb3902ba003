"""The proof of `perceptual-gan`: small traffic signs are named by mended features, against the same networks that
learn from large and small signs alike.

Small signs are held-out crops brought down to 12 to 20 pixels by means, kept as 8-bit files are, and enlarged as every file
that is smaller than the size of training. The signs that are judged are others than those that are learnt from, in all their
frames.
"""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ganvas.batches import Noise
from ganvas.data.dataset import open_data
from ganvas.data.streams import open_stream
from ganvas.game import Clock
from ganvas.kinds import encode
from ganvas.kinds.image.resize import resize
from ganvas.objectives.schedules import linear_decay
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.proofs._classes import images_of
from ganvas.systems.detection.perceptual_gan import Config, PerceptualGan

SIZE = 32
SIDES = (12, 14, 16, 18, 20)
FAR = 20  # pixels of the sign in its photograph, of crops that are small as they come
SETTINGS: dict[str, Any] = {
    "pretrained": True, "width": 8, "blocks": 2, "units": 128, "dropout": 0.3, "zoom": 0.15, "augment": (), "batch_size": 32,
    "small_side": 20, "least_side": 12, "reduced_share": 0.5, "learning_rate": 1e-3,
}  # fmt: skip
ADVERSARIAL = 0.3
TIMES = 1.3  # rounds of the baselines for one of the system: its game takes longer than learning a classifier
ALONE, LARGE = "no discriminator", "enlarged crops alone"
AHEAD, BEHIND = 0.02, 0.01


def crops(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(images (N, 32, 32, 3) uint8, labels (N,), whether each is held out, whether each shows a sign of 20 pixels or less)."""
    if task.phantom:
        images, labels, held = images_of(task)
        return images, labels, held, np.zeros(len(images), bool)
    root = Path(task.data)
    with (root / "signs.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    from PIL import Image

    found = [resize(np.asarray(Image.open(root / row["file"]).convert("RGB")), (SIZE, SIZE))[0] for row in rows]
    held = np.array([row["split"] != "train" for row in rows])
    far = np.array([int(row["x2"]) - int(row["x1"]) <= FAR for row in rows])
    return np.stack(found), np.array([int(row["class"]) for row in rows]), held, far


def small(images: np.ndarray, side: int) -> np.ndarray:
    """Images (N, H, W, C) uint8 as files of `side` pixels, by means, that are enlarged again as they are read."""
    from PIL import Image

    shrunk = [Image.fromarray(own.squeeze()).resize((side, side), Image.Resampling.BOX) for own in images]
    return np.stack([resize(np.asarray(own).reshape(side, side, -1), images.shape[1:3])[0] for own in shrunk])


def judged(task: Task, classify: Callable[[np.ndarray], np.ndarray], more: dict[str, Any]) -> Outcome:
    """Let `classify` (images -> labels) name the held-out signs, small ones and as they are."""
    images, labels, held, far = crops(task)
    images, labels, far = images[held], labels[held], far[held]
    right = {side: classify(small(images, side)) == labels for side in SIDES}
    large = classify(images) == labels
    value = float(np.mean([own.mean() for own in right.values()]))
    own = {str(side): float(found.mean()) for side, found in right.items()}
    more = {"large": float(large.mean()), "far": float(large[far].mean()) if far.any() else None, "sides": own} | more
    shown = np.concatenate([np.stack([images[k], small(images[k : k + 1], SIDES[0])[0]]) for k in range(0, len(images), 12)])
    return Outcome(value, f"accuracy/small {SIDES[0]} to {SIDES[-1]} px/n={len(SIDES)}x{len(images)}", more, shown[:24])


def learnt_from(task: Task) -> Path:
    """The crops that are not held out, as an .npz; classes are called 00, 01 ..."""
    images, labels, held, _ = crops(task)
    file = task.folder / "crops.npz"
    np.savez(file, images=images[~held], labels=np.array([f"{k:02d}" for k in labels[~held]]))
    return file


def arm(task: Task, adversarial_weight: float) -> Outcome:
    """The system as it is used: nobody tells it which crops are small."""
    config = {**SETTINGS, "adversarial_weight": adversarial_weight}
    run, facts = trained(task, "perceptual-gan", config, data=str(learnt_from(task)), heldout=0.0, threads=1, precision="32")
    names = np.array([int(name) for name in run.system.class_names])
    images = crops(task)[0][crops(task)[2]]
    told = [run.system.is_small(encode(own, run.spec)).float().mean().item() for own in (small(images, SIDES[-1]), images)]
    facts |= {"taken for small": {"of 20 pixels": told[0], "as they are": told[1]}}
    return judged(task, lambda given: names[run.use("classify", given)["class"]], facts)


def alike(task: Task, share: float) -> Outcome:
    """The same networks, G added to the features of every record, learnt together from the classes. share: of small records."""
    dataset = open_data(str(learnt_from(task)), heldout=0.0, progress=False)
    torch.manual_seed(task.seed)
    config = Config(**{**SETTINGS, "adversarial_weight": 0.0, "reduced_share": share})
    system = PerceptualGan(dataset.spec, config)
    stream, noise = open_stream(dataset, system.feeds()["data"], config.batch_size, seed=task.seed), Noise.seeded(task.seed)
    own = [*system.perception.parameters(), *system.generator.parameters()]
    optimiser, falling = torch.optim.Adam(own, config.learning_rate), linear_decay(0.5)
    rounds, begun = round(TIMES * int(task.budget.removesuffix("r"))), time.process_time()
    for place in range(rounds):
        batch = stream.draw(noise)
        images = system._moved(batch)
        chosen = noise.uniform(len(images)) < share
        images = torch.where(chosen[:, None, None, None], system.reduced(images, noise), images)
        with torch.no_grad():
            low, features = system.backbone(images)
        logits = system.perception(features + system.generator(low), noise)
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * falling(Clock(progress=place / rounds))
        optimiser.zero_grad()
        cross_entropy(logits, system.place_of[batch.labels]).backward()
        optimiser.step()
    facts = {"rounds": rounds, "processor_seconds": round(time.process_time() - begun, 1)}
    system.eval()
    names = np.array([int(name) for name in system.class_names])

    def classify(given: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found: list[Tensor] = [
                system.named(piece, torch.ones(len(piece), dtype=torch.bool)).argmax(1)
                for piece in encode(given, dataset.spec).split(64)
            ]
        return names[torch.cat(found).numpy()]

    return judged(task, classify, facts)


def met(rows: Sequence[Row]) -> bool:
    """Means over the seeds."""

    def mean(name: str) -> float:
        return statistics.fmean(row.values[name] for row in rows)

    def large(name: str) -> float:
        return statistics.fmean(row.more[name]["large"] for row in rows)

    ahead = all(mean("system") >= mean(name) + AHEAD for name in ("baseline", LARGE))
    return ahead and large("system") >= large("baseline") - BEHIND


PROOF = Proof(
    claim="small signs are named better when their features are mended to look like those of large ones; large ones as well",
    baseline="the same networks, learnt together from large signs and ones made small alike, at equal processor time",
    metric="share of held-out signs of 12 to 20 pixels that are named rightly",
    direction=HIGHER,
    mark=f"in the mean of the seeds at least {AHEAD} above the baseline and above the same networks learnt from enlarged crops "
    f"alone, and large signs at most {BEHIND} behind the baseline",
    met=met,
    arms={
        "system": lambda task: arm(task, ADVERSARIAL),
        "baseline": lambda task: alike(task, 0.5),
        LARGE: lambda task: alike(task, 0.0),
        ALONE: lambda task: arm(task, 0.0),
    },
    budget="800r",
    quick_budget="40r",
    real="traffic-signs",
    phantom="chest",
    seeds=3,
    large_budget="8000r",
)
