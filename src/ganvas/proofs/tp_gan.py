"""The proof of `tp-gan`: front views that it makes of side views are of the person who was shown, more often than those of a
pix2pix of equal size and time, and in the light of the front.

Faces are drawn, so person and light are known: people who were held out, turned up to 90 degrees and lit from anywhere, against
themselves from the front in plain light. Who a made face shows is said by the judge of the proof of age-cgan, which read the
traits of other drawn people. Beside them: characters of `game-characters`, from the left and from the front, whose judge,
EfficientNet-lite0's features, takes no part in any training. Settings were tried with a seed of none of the runs.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganvas.batches import Noise
from ganvas.kinds import decode, encode
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained
from ganvas.proofs.age_cgan import judge_of

SIDE, LARGE_SIDE = 32, 64
PEOPLE, EACH, HELD = 300, 8, 60  # people, pictures of each, and how many of them are held out
FRAME, LEFT, FRONT = 64, 1, 2  # of a character's sheet: side of a frame, and rows of two directions
WINDOW = (14, 16, 48, 32)  # top, left, height and width of the part of a frame that holds a character
AMONG = 100
FAR = 45  # degrees from which a view counts as turned far
SURER, EVENER = 1.1, 0.25
PACE = 1.25  # rounds of pix2pix in the time of one of tp-gan, measured on one core
COMMON: dict[str, Any] = {"batch_size": 16, "learning_rate": 1e-3, "decay_start": 0.6, "ema_half_life": 1000.0}
ARMS: dict[str, dict[str, Any]] = {
    "tp-gan": {
        "width": 12, "code_size": 128, "recogniser_width": 16, "embedding_size": 64, "adversarial_weight": 0.02,
        "identity_weight": 0.3, "symmetry_weight": 0.1,
    },
    "pix2pix": {
        "width": 17, "norm": "batch", "dropout": 0.0, "upsampling": "resized", "discriminator_norm": False, "r1_weight": 1.0,
        "r2_weight": 1.0, "augment": ("translation", "cutout"), "l1_weight": 20.0,
    },
}  # fmt: skip
FIELDS = {"tp-gan": ("side", "front"), "pix2pix": ("map", "photo")}
SHOWN = 10


def arm(task: Task, system: str, characters: bool = False) -> Outcome:
    """Train, turn every held-out view to the front, and see who is on it and how it is lit."""
    side = LARGE_SIDE if task.large else SIDE
    folder, fields = task.folder / "pairs", FIELDS[system]
    if characters and not task.phantom:
        source = cut_views(Path(task.data), folder, fields)
    else:
        source = draw_people(folder, fields, side, task.seed)
    config = COMMON | ARMS[system] | ({"width": 3 * ARMS[system]["width"], "learning_rate": 2e-4} if task.large else {})
    pace = PACE if system == "pix2pix" else 1.0
    own = replace(task, budget=f"{round(pace * int(task.budget.removesuffix('r')))}r")
    run, facts = trained(own, system, config, data=str(source), threads=1, precision="32")
    facts["weights of G"] = sum(part.numel() for part in run.system.generator.parameters())
    return judged(run, fields, task, facts, characters=characters and not task.phantom)


def judged(run: Any, fields: tuple[str, str], task: Task, facts: dict[str, Any], *, characters: bool) -> Outcome:
    """What is made of held-out views: who they show (faces: by traits; characters: by features), and the error of the light."""
    dataset = data_of(run)
    held = np.sort(dataset.heldout_indices())
    sides, fronts = dataset.fields[fields[0]], dataset.fields[fields[1]]
    if characters:
        held = np.sort(np.random.default_rng(0).permutation(held)[:AMONG])
    given, true = np.asarray(sides.values[held]), np.asarray(fronts.values[held])
    made = []
    with torch.no_grad():
        for piece in np.array_split(given, max(1, len(given) // 64)):
            drawn = run.system.translate(encode(piece, sides.spec), None, Noise.seeded(task.seed))
            made.append(decode(drawn, fronts.spec, 8))
    images = np.concatenate(made)
    pictures = {"made": images, "given": given, "true": true}
    if characters:
        value, protocol = _found(images, true)
        more: dict[str, Any] = {"given": _found(given, true)[0]}
    else:
        value, protocol, more = _people_found(pictures, held, given.shape[1], task.seed)
        more |= {f"light of {name}": float(np.abs(light(own) - light(true)).mean()) for name, own in pictures.items()}
    more["error"] = float(np.abs(images.astype(float) - true).mean() / 127.5)
    few = np.linspace(0, len(held) - 1, SHOWN).astype(int)
    shown = np.stack([given[few], images[few], true[few]], 1)
    return Outcome(value, protocol, more | facts, None if characters else shown.reshape(-1, *shown.shape[2:]))


def light(pictures: np.ndarray) -> np.ndarray:
    """(N, 2): how much brighter the left half of pictures (N, H, W, C) is than the right one, and how bright they are, in grey
    values of 255."""
    grey = pictures.astype(float).mean(3)
    half = grey.shape[2] // 2
    found: np.ndarray = np.stack([grey[:, :, :half].mean((1, 2)) - grey[:, :, half:].mean((1, 2)), grey.mean((1, 2))], 1)
    return found


def _people_found(pictures: dict[str, np.ndarray], rows: np.ndarray, side: int, seed: int) -> tuple[float, str, dict[str, Any]]:
    """Share of pictures whose traits are nearest to those of their own person, among all who were held out: (of what is made of
    views turned by FAR degrees and more, the protocol, of all kinds of pictures, turned so far and all)."""
    from ganvas.data.phantoms.faces import people, scenes

    judge, errors = judge_of(side)
    known = people(np.arange(PEOPLE - HELD, PEOPLE), seed) / errors
    own = rows // EACH - (PEOPLE - HELD)
    far = np.abs(scenes("turned", PEOPLE * EACH, seed)["yaw"][rows]) >= FAR
    found: dict[str, Any] = {}
    for name, images in pictures.items():
        right = np.square(judge(images)[0][:, None] - known).sum(2).argmin(1) == own
        found[f"{name}, far"], found[f"{name}, all"] = float(right[far].mean()), float(right.mean())
    protocol = f"top-1 of {HELD} held-out people/traits read by a cnn of drawn faces/{FAR} degrees and more/{side}px"
    return found["made, far"], protocol, found


def _found(images: np.ndarray, true: np.ndarray) -> tuple[float, str]:
    """Share of images (N, H, W, 3) whose nearest of the true ones is their own, by features."""
    from scipy.spatial.distance import cdist

    from ganvas.metrics import feature_protocol, image_features

    size = (true.shape[1], true.shape[2])
    one, other = (image_features(own, size=size).astype(np.float64) for own in (images, true))
    nearest = cdist(one, other).argmin(1)
    return float((nearest == np.arange(len(true))).mean()), f"top-1/{feature_protocol(size)}/among={len(true)}"


def draw_people(folder: Path, fields: tuple[str, str], side: int, seed: int) -> Path:
    """Side and front views of PEOPLE drawn people, EACH times each: turned and lit anyhow, and plain from the front."""
    from ganvas.data.phantoms.faces import draw, people, scenes

    count = PEOPLE * EACH
    numbers = np.arange(count) // EACH
    scene = scenes("turned", count, seed)
    del scene["person"]
    plain: dict[str, Any] = scene | {"yaw": 0.0, "pitch": 0.0, "light": 0.0, "strength": 0.5}
    traits = people(numbers, seed)
    views = {
        name: np.concatenate(
            [
                draw(traits[rows], side, 8, **{key: own if np.ndim(own) == 0 else own[rows] for key, own in asked.items()})
                for rows in np.array_split(np.arange(count), count // 60)
            ]
        )
        for name, asked in zip(fields, (scene, plain), strict=True)
    }
    splits = ["train" if number < PEOPLE - HELD else "heldout" for number in numbers]
    return write_pairs(folder, views, [f"p{number}" for number in numbers], splits)


def cut_views(data: Path, folder: Path, fields: tuple[str, str]) -> Path:
    """Characters of `game-characters` standing, from the left and from the front, on white."""
    from PIL import Image

    with (data / "characters.csv").open(newline="") as file:
        characters = list(csv.DictReader(file))
    top, left, height, width = WINDOW
    views: dict[str, Any] = {name: [] for name in fields}
    for character in characters:
        with Image.open(data / f"sheets/{character['id']}.png") as opened:
            sheet = opened.convert("RGBA")
        for name, row in zip(fields, (LEFT, FRONT), strict=True):
            upper = FRAME * row + top
            part = sheet.crop((left, upper, left + width, upper + height))
            views[name].append(Image.alpha_composite(Image.new("RGBA", part.size, "white"), part).convert("RGB"))
    splits = ["train" if character["split"] == "train" else "heldout" for character in characters]
    return write_pairs(folder, views, [character["id"] for character in characters], splits)


def write_pairs(folder: Path, views: dict[str, Any], groups: Sequence[str], splits: Sequence[str]) -> Path:
    """A folder of pairs with a table: views by field, (N, H, W, 3) uint8 or pictures; groups and splits (N,)."""
    from PIL import Image

    lines: list[tuple[str, ...]] = [(*views, "group", "split")]
    for name in views:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (group, split) in enumerate(zip(groups, splits, strict=True)):
        for name, own in views.items():
            picture = own[number]
            (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(folder / name / f"{number:05d}.png")
        lines.append((*(f"{name}/{number:05d}.png" for name in views), group, split))
    with (folder / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return folder


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""

    def alone(row: Row) -> bool:
        own = row.more["system"]
        sure = row.values["system"] >= SURER * row.values["baseline"] and row.values["system"] > own["given, far"]
        return sure and own["light of made"] <= EVENER * own["light of given"]

    return all(alone(row) for row in rows)


PROOF = Proof(
    claim=(
        "front views made of turned faces are of the person who was shown, more often than those of a pix2pix of equal size "
        "and time, and in the light of the front"
    ),
    baseline="pix2pix with as many weights in its generator, and equal time",
    metric=(
        f"share of held-out people whose face, turned by {FAR} degrees and more, is made into one whose traits are nearest to "
        f"their own among {HELD} (by chance {1 / HELD:.3f})"
    ),
    direction=HIGHER,
    mark=(
        f"with every seed at least {SURER} times the baseline's share and more than of the given pictures, and an error of the "
        f"light of at most {EVENER} of theirs"
    ),
    met=met,
    arms={
        "system": lambda task: arm(task, "tp-gan"),
        "baseline": lambda task: arm(task, "pix2pix"),
        "characters": lambda task: arm(task, "tp-gan", characters=True),
        "characters by pix2pix": lambda task: arm(task, "pix2pix", characters=True),
    },
    apart=("characters", "characters by pix2pix"),
    budget="900r",
    quick_budget="60r",
    large_budget="8000r",
    real="game-characters",
    phantom="faces",
    note=(
        "System and baseline are about drawn faces, of which person and light are known; nobody is on them. Without the real "
        "data the arms about characters are about faces as well."
    ),
)
