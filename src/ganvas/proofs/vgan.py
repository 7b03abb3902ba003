"""The proof of `vgan`: with a stream for the background, what does not move stands still, and clips are nearer to real ones."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.batches import Noise
from ganvas.errors import GanvasError
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained

SIDE, LARGE_SIDE, FRAMES = 16, 64, 16
CLIPS, HELDOUT, CHARACTERS, UNSEEN = 1_600, 400, 160, 64
SHEET = 64  # pixels of a frame in a sheet
JUDGED = 400
COMMON: dict[str, Any] = {
    "width": 32, "latent_size": 64, "generator_learning_rate": 5e-4, "discriminator_learning_rate": 5e-4, "initial_mask": 0.2,
    "ema_half_life": 5_000.0, "batch_size": 16,
}  # fmt: skip
ONE = {"streams": "one"}  # with as many parameters
FRAME: dict[str, Any] = {
    "width": 32, "latent_size": 64, "generator_learning_rate": 5e-4, "discriminator_learning_rate": 5e-4,
    "ema_half_life": 5_000.0, "batch_size": 64, "augment": (),
}  # fmt: skip
LARGE: dict[str, Any] = {"width": 64, "batch_size": 64, "ema_half_life": 10_000.0, "initial_mask": 0.2}
STILL, MOVES = 0.5, 0.5


def arm(task: Task, config: dict[str, Any]) -> Outcome:
    """Train on clips, and judge as many new ones."""
    run, facts = _clips_learnt(task, config)
    count = min(JUDGED, len(data_of(run).heldout_indices()))
    made = run.sample(count, seed=10_000 + task.seed)
    mask = run.system.masks(64, Noise.seeded(task.seed)).mean().item()
    return _judged(data_of(run), made, facts | {"mean_mask": mask})


def frame_by_frame(task: Task) -> Outcome:
    """`dcgan` on the single frames; a clip is sixteen of its pictures."""
    dataset = _dataset(task)
    rows = dataset.train_indices()
    frames = np.asarray(dataset.values[rows]).reshape(-1, *dataset.values.shape[2:])
    chosen = np.random.default_rng(0).permutation(len(frames))[:20_000]
    np.savez(task.folder / "frames.npz", images=frames[np.sort(chosen)])
    config = FRAME | ({"width": 64, "ema_half_life": 10_000.0} if task.large else {})
    run, facts = trained(task, "dcgan", config, data=str(task.folder / "frames.npz"), heldout=0.0)
    count = min(JUDGED, len(dataset.heldout_indices()))
    made = run.sample(count * FRAMES, seed=10_000 + task.seed)
    return _judged(dataset, made.reshape(count, FRAMES, *made.shape[1:]), facts)


def _clips_learnt(task: Task, config: dict[str, Any]) -> Any:
    common = LARGE if task.large else COMMON
    size = str(LARGE_SIDE if task.large else SIDE)
    return trained(task, "vgan", common | config, data=_source(task), size=size, threads=1, precision="32")


def _dataset(task: Task) -> Any:
    from ganvas.data import open_data
    from ganvas.kinds import kind_of

    side = LARGE_SIDE if task.large else SIDE
    count = kind_of("video").says.phantom_count
    return open_data(_source(task), size=side, seed=task.seed, phantom_count=count, progress=False, kinds=("video",))


def _source(task: Task) -> str:
    if task.phantom:
        return task.data
    folder = task.folder / "clips"
    if not (folder / "test" / "clips.npz").exists():
        walk_characters(Path(task.data), folder, LARGE_SIDE if task.large else SIDE)
    return str(folder)


def _judged(dataset: Any, made: np.ndarray, facts: dict[str, Any]) -> Outcome:
    from ganvas.kinds.video import features
    from ganvas.metrics import kernel_distance

    held = np.asarray(dataset.values[np.sort(np.random.default_rng(0).permutation(dataset.heldout_indices())[: len(made)])])
    spec = dataset.spec
    far = kernel_distance(
        features.vectors(made, spec), features.vectors(held, spec), features=features.TYPE, reference="heldout", intervals=False
    )
    more = {
        "clips_distance": 1000 * far.value,
        "moving": float(features.moving_share(made, spec.white).mean()),
        "real_moving": float(features.moving_share(held, spec.white).mean()),
        "real_restlessness": restlessness(held),
    }
    places = np.linspace(0, FRAMES - 1, 6).round().astype(int)
    strips = np.concatenate(list(made[:12, places].transpose(1, 0, 2, 3, 4)), axis=2)
    protocol = f"deviation over time of the stillest half of pixels/levels of 255/n={len(made)}"
    return Outcome(restlessness(made), protocol, more | facts, strips)


def restlessness(clips: np.ndarray) -> float:
    """The deviation over time, in levels, of the half of a clip's pixels that deviate least; mean of clips (N, T, H, W, C)."""
    deviations = clips.astype(np.float32).std(axis=1).mean(axis=-1).reshape(len(clips), -1)
    return float(np.sort(deviations, axis=1)[:, : deviations.shape[1] // 2].mean())


def walk_characters(data: Path, folder: Path, side: int, clips: int = CLIPS, heldout: int = HELDOUT) -> Path:
    """Clips out of `game-characters`, which walk, cast and slash before a part of a photograph (`natural-photos`, beside them).

    Those that walk to the left or right cross half of the picture. train: characters of the split `train` and four fifths of
    the photographs; test: others of both. Returns the folder.
    """
    from PIL import Image

    photos = sorted((data.parent / "natural-photos").glob("*.*g"))
    if len(photos) < 10:
        raise GanvasError(f"{data.parent}: this proof needs photographs in natural-photos beside game-characters")
    behind = [np.asarray(Image.open(path).convert("RGB").reduce(2), np.float32) for path in photos]
    rows = list(csv.DictReader((data / "characters.csv").open(newline="")))
    cells: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in csv.DictReader((data / "frames.csv").open(newline="")):
        if row["action"] != "hurt":
            cells.setdefault((row["action"], row["direction"]), []).append((int(row["row"]), int(row["column"])))
    for part, split, pictures, most, count in (
        ("train", "train", behind[: 4 * len(behind) // 5], CHARACTERS, clips),
        ("test", "development-heldout", behind[4 * len(behind) // 5 :], UNSEEN, heldout),
    ):
        names = [row["id"] for row in rows if row["split"] == split][:most]
        sheets = [np.asarray(Image.open(data / "sheets" / f"{name}.png").convert("RGBA"), np.float32) for name in names]
        rng = np.random.default_rng([0, len(names)])
        made = np.stack([_walk(rng, sheets, pictures, cells, side) for _ in range(count)])
        (folder / part).mkdir(parents=True, exist_ok=True)
        np.savez(folder / part / "clips.npz", videos=made, rate=10)
    return folder


def _walk(rng: np.random.Generator, sheets: list[np.ndarray], pictures: list[np.ndarray], cells: Any, side: int) -> np.ndarray:
    """A clip (FRAMES, side, side, 3) uint8."""
    sheet, picture = sheets[rng.integers(len(sheets))], pictures[rng.integers(len(pictures))]
    top, left = (int(rng.integers(0, extent - SHEET + 1)) for extent in picture.shape[:2])
    still = picture[top : top + SHEET, left : left + SHEET]
    action, way = list(cells)[rng.integers(len(cells))]
    frames, first = cells[action, way], int(rng.integers(16))
    pace = {"left": -2, "right": 2}.get(way, 0) if action == "walk" else 0
    start = int(rng.integers(-8, 9)) - pace * FRAMES // 2
    clip = np.empty((FRAMES, SHEET, SHEET, 3), np.float32)
    for number in range(FRAMES):
        row, column = frames[(first + number) % len(frames)]
        own = np.zeros((SHEET, 3 * SHEET, 4), np.float32)
        at = SHEET + start + pace * number
        own[:, at : at + SHEET] = sheet[row * SHEET : (row + 1) * SHEET, column * SHEET : (column + 1) * SHEET]
        own = own[:, SHEET : 2 * SHEET]
        cover = own[..., 3:] / 255
        clip[number] = own[..., :3] * cover + still * (1 - cover)
    step = SHEET // side
    small = clip.reshape(FRAMES, side, step, side, step, 3).mean(axis=(2, 4))
    return np.rint(small).astype(np.uint8)


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself: a still background, nearer clips, and not one picture all along."""
    return all(
        row.values["system"] <= STILL * row.values["baseline"]
        and row.more["system"]["clips_distance"] < row.more["baseline"]["clips_distance"]
        and row.more["system"]["clips_distance"] < row.more["frame by frame"]["clips_distance"]
        and row.more["system"]["moving"] >= MOVES * row.more["system"]["real_moving"]
        for row in rows
    )


PROOF = Proof(
    claim="with a stream for the background, what does not move stands still, and clips are nearer to real ones",
    baseline="one stream of as many parameters, at equal rounds; and dcgan on single frames, at equal rounds",
    metric="deviation over time of the stillest half of each clip's pixels, in levels of 255, mean",
    direction=LOWER,
    mark=(
        f"with every seed at most {STILL} times that of one stream, a lower kernel distance of clips than one stream and than "
        f"single frames, and at least {MOVES} times as many pixels that move as in real clips"
    ),
    met=met,
    arms={
        "system": lambda task: arm(task, {}),
        "baseline": lambda task: arm(task, ONE),
        "frame by frame": frame_by_frame,
    },
    budget="1500r",  # 24,000 clips: about a minute and a half of one idle core
    quick_budget="100r",
    real="game-characters",
    phantom="clips",
    large_budget="30000r",
)
