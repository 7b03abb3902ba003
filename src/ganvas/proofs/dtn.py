"""The proof of `dtn`: digits in colours and noise are drawn as clean digits, and stay the digits that they were.

The clean digits that are learnt from are others than the coloured ones, and nobody says which they are. The judge is a
classifier of clean digits that takes no part in any training. Without the real data, digits are set in a font.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganvas.batches import Noise
from ganvas.kinds import decode, encode
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained
from ganvas.proofs._judge import judge_of

SIDE, LARGE_SIDE = 16, 32
RIGHT, AHEAD = 0.70, 0.15
SHARES = (0.45, 0.45, 0.10)  # of the digits: source, target, source that is held out
COMMON = {"width": 16, "batch_size": 32, "learning_rate": 1e-3, "beta1": 0.5, "ema_half_life": 2000.0, "f_share": 0.5}
LARGE = {"width": 64, "batch_size": 128, "learning_rate": 3e-4, "beta1": 0.9, "ema_half_life": 0.0}
"""The paper's networks and rate."""
NO_IDENTITY = "no identity on the target"
SHOWN = 8


def arm(task: Task, config: dict[str, Any]) -> Outcome:
    """Train, draw every held-out digit as a clean one, and let the judge read it."""
    clean, numbers = set_digits() if task.phantom else _mnist(Path(task.data))
    side = LARGE_SIDE if task.large else SIDE
    source, truth = write_domains(task.folder / "digits.npz", brought_to(clean, side), numbers)
    run, facts = trained(task, "dtn", (LARGE if task.large else COMMON) | config, data=str(source), threads=1, precision="32")
    dataset = data_of(run)
    held = dataset.heldout_indices()
    given = np.asarray(dataset.values[held])
    made = []
    target = run.system.targets[0]
    with torch.no_grad():
        for piece in np.array_split(given, max(1, len(given) // 64)):
            made.append(decode(run.system.translate(encode(piece, dataset.spec), target, Noise.seeded(0)), dataset.spec, 8))
    images = np.concatenate(made)
    judge = judge_of(truth["clean"], truth["numbers"])
    asked = np.array([int(dataset.spec.classes[k]) for k in np.asarray(dataset.labels)[held]])
    more = {
        "of_the_clean_digits": float((judge(truth["held_clean"]) == truth["held_numbers"]).mean()),
        "of_the_source_as_it_is": float((judge(given) == asked).mean()),
        "digits": len(held),
    }
    shown = np.concatenate([np.stack([given[asked == k][0], images[asked == k][0]]) for k in range(min(SHOWN, 10))])
    protocol = f"accuracy/judge=cnn of {len(truth['clean'])} clean digits/{side}x{side}/n={len(held)}"
    return Outcome(float((judge(images) == asked).mean()), protocol, more | facts, shown)


def write_domains(file: Path, clean: np.ndarray, numbers: np.ndarray) -> tuple[Path, dict[str, np.ndarray]]:
    """(an .npz of two domains, what is known of them). clean: (N, H, W) uint8 digits, white on black. numbers: (N,).

    Source: digits of any colour on grounds of any other, with noise, their classes told; a part is held out. Target: other
    digits, as they are, all of one class. Known are `clean` and `numbers` of the target, `held_clean` and `held_numbers` of the
    held-out part.
    """
    rng = np.random.default_rng(0)
    order = rng.permutation(len(clean))
    source, target, held = np.split(order, np.round(np.cumsum(SHARES[:2]) * len(clean)).astype(int))
    white = np.repeat(clean[..., None], 3, 3)
    coloured = np.concatenate([source, held])
    images = np.concatenate([in_colours(clean[coloured], rng), white[target]])
    labels = np.concatenate([numbers[coloured].astype(str), np.full(len(target), "target")])
    sides = np.repeat(["train", "heldout", "train"], [len(source), len(held), len(target)])
    np.savez(file, images=images, labels=labels, groups=np.arange(len(images)).astype(str), split=sides)
    truth = {"clean": white[target], "numbers": numbers[target], "held_clean": white[held], "held_numbers": numbers[held]}
    return file, truth


def in_colours(digits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Digits (N, H, W) uint8 -> (N, H, W, 3) uint8: two colours far from one another, a slope of brightness, noise."""
    count, height, width = digits.shape
    first = rng.uniform(0, 255, (count, 1, 1, 3))
    second = np.where(first < 128, first + rng.uniform(90, 127, first.shape), first - rng.uniform(90, 127, first.shape))
    ink = digits[..., None] / 255.0
    slope = rng.uniform(-30, 30, (count, 1, 1, 1)) * np.linspace(-1, 1, width)[None, None, :, None]
    noisy = first * (1 - ink) + second * ink + slope + rng.normal(0, 20, (count, height, width, 3))
    return np.asarray(noisy.clip(0, 255)).astype(np.uint8)


def brought_to(digits: np.ndarray, side: int) -> np.ndarray:
    """Digits (N, 32, 32) brought to a side that divides it, by means."""
    step = digits.shape[1] // side
    means = digits.reshape(len(digits), side, step, side, step).mean((2, 4))
    return np.asarray(means.round()).astype(np.uint8)


def _mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(folder / "mnist.npz", allow_pickle=False) as kept:
        return np.pad(kept["images"], ((0, 0), (2, 2), (2, 2))), np.asarray(kept["labels"], np.int64)


def set_digits(count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """(digits (N, 32, 32) uint8, white on black, turned, sheared and moved; their numbers (N,))."""
    from PIL import Image, ImageDraw, ImageFont

    rng = np.random.default_rng(0)
    numbers, digits = rng.integers(0, 10, count), np.empty((count, 32, 32), np.uint8)
    fonts = {size: ImageFont.load_default(size) for size in range(18, 27)}
    for place, number in enumerate(numbers):
        page = Image.new("L", (32, 32))
        where = (16 + float(rng.uniform(-3, 3)), 16 + float(rng.uniform(-3, 3)))
        ImageDraw.Draw(page).text(where, str(number), fill=255, font=fonts[int(rng.integers(18, 27))], anchor="mm")
        shear = float(rng.uniform(-0.3, 0.3))
        page = page.rotate(float(rng.uniform(-15, 15)), Image.Resampling.BILINEAR)
        page = page.transform((32, 32), Image.Transform.AFFINE, (1, shear, -16 * shear, 0, 1, 0), Image.Resampling.BILINEAR)
        digits[place] = np.asarray(page)
    return digits, numbers.astype(np.int64)


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] >= RIGHT and row.values["system"] >= AHEAD + max(row.values["baseline"], row.values[NO_IDENTITY])
        for row in rows
    )


PROOF = Proof(
    claim="f-constancy and identity on the target together draw an image as the target has it and keep what class it is of",
    baseline="the same game without f-constancy, at equal rounds",
    metric="share of held-out coloured digits that a classifier of clean digits reads rightly once they are transferred",
    direction=HIGHER,
    mark="with every seed at least 0.70, and 0.15 above both without f-constancy and without identity on the target",
    met=met,
    arms={
        "system": lambda task: arm(task, {}),
        "baseline": lambda task: arm(task, {"constancy_weight": 0.0}),
        NO_IDENTITY: lambda task: arm(task, {"identity_weight": 0.0}),
    },
    budget="2000r",
    quick_budget="100r",
    large_budget="8000r",
    phantom="brain",
    real="mnist",
    note="Without the real data, digits are set in a font, and the result says so.",
)
