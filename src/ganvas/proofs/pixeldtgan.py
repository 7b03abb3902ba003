"""The proof of `pixeldtgan`: from what it draws, the right garment is found among a hundred.

Characters seen from four sides, and what they wear alone as the picture to be drawn; those held out are other characters. The
judge, EfficientNet-lite0's features, takes no part in any training. Without the real data, figures are drawn.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganvas.batches import Noise
from ganvas.kinds import decode, encode
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained

SIDE = 32
AMONG = 100
WINDOW = (30, 16)  # top and left of the part of a frame, SIDE pixels wide, in which clothes are but for those of the head
FRAME = 64
DIRECTIONS = ("up", "left", "down", "right")  # the order of rows in a sheet
COMMON = {"width": 16, "batch_size": 16, "learning_rate": 1e-3, "ema_half_life": 1000.0, "domain_code_size": 64}
LARGE = {"width": 96, "batch_size": 128, "learning_rate": 2e-4, "ema_half_life": 0.0, "domain_code_size": 64}
"""The paper's networks and rates, but that codes are compared."""
SQUARED = "squared error"
AHEAD = 0.10
SHOWN = 6


def arm(task: Task, config: dict[str, Any]) -> Outcome:
    """Train, draw the garment of every held-out photograph, and look for it among the true ones."""
    folder = task.folder / "pairs"
    source = draw_figures(folder) if task.phantom else cut_characters(Path(task.data), folder, FRAME if task.large else SIDE)
    common = LARGE if task.large else COMMON
    run, facts = trained(task, "pixeldtgan", common | config, data=str(source), threads=1, precision="32")
    dataset = data_of(run)
    photos, garments = dataset.fields["photo"], dataset.fields["garment"]
    wanted, rows = _wanted(np.asarray(garments.values), dataset.heldout_indices())
    made = []
    with torch.no_grad():
        for piece in np.array_split(rows, max(1, len(rows) // 64)):
            given = encode(np.asarray(photos.values[piece]), photos.spec)
            made.append(decode(run.system.translate(given, None, Noise.seeded(0)), garments.spec, 8))
    images, true = np.concatenate(made), np.asarray(garments.values[rows])
    same = (wanted[None] == true[:, None]).all((2, 3, 4))
    found, features = _found(images, wanted, same)
    more = {
        "by_pixels": float(
            _nearest_is(same, _distances(images.reshape(len(images), -1), wanted.reshape(len(wanted), -1))).mean()
        ),
        "sharpness": sharpness(images) / sharpness(true),
        "error": float(np.abs(images.astype(float) - true).mean() / 127.5),
        "photos": len(rows),
    }
    shown = np.stack([np.asarray(photos.values[rows[:SHOWN]]), images[:SHOWN], true[:SHOWN]], 1)
    protocol = f"top-1/{features}/among={len(wanted)}"
    return Outcome(found, protocol, more | facts, shown.reshape(-1, *shown.shape[2:]))


def _wanted(garments: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(AMONG different garments of the held-out part, or all there are; the held-out rows that show one of these)."""
    different, of = np.unique(garments[held], axis=0, return_inverse=True)
    chosen = np.sort(np.random.default_rng(0).permutation(len(different))[:AMONG])
    return different[chosen], held[np.isin(of.reshape(-1), chosen)]


def _found(images: np.ndarray, wanted: np.ndarray, same: np.ndarray) -> tuple[float, str]:
    """(share of images whose nearest garment is the right one, what the features are). same: (N, AMONG) which is right."""
    from ganvas.metrics import feature_protocol, image_features

    size = (wanted.shape[1], wanted.shape[2])
    one, other = image_features(images, size=size), image_features(wanted, size=size)
    return float(_nearest_is(same, _distances(one, other)).mean()), feature_protocol(size)


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import cdist

    found: np.ndarray = cdist(one.astype(np.float64), other.astype(np.float64))
    return found


def _nearest_is(same: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """(N,) whether the nearest of each row is one that is the same."""
    found: np.ndarray = same[np.arange(len(same)), distances.argmin(1)]
    return found


def sharpness(images: np.ndarray) -> float:
    """Mean difference between neighbours of images (N, H, W, C)."""
    pixels = images.astype(np.float64)
    return float((np.abs(np.diff(pixels, axis=1)).mean() + np.abs(np.diff(pixels, axis=2)).mean()) / 2)


def cut_characters(data: Path, folder: Path, side: int = SIDE) -> Path:
    """Pairs out of `game-characters`: each character standing in four directions, and its clothes alone. Returns the folder.

    side: SIDE for the window of the clothes, FRAME for whole frames; pixels stay as they are.
    """
    from PIL import Image

    top, left = WINDOW if side == SIDE else (0, 0)
    with (data / "characters.csv").open(newline="") as file:
        characters = list(csv.DictReader(file))
    lines = []
    for place in ("photo", "garment"):
        (folder / place).mkdir(parents=True, exist_ok=True)

    def cut(name: str, row: int) -> Any:
        with Image.open(data / name) as opened:
            whole = opened.convert("RGBA").crop((left, FRAME * row + top, left + side, FRAME * row + top + side))
        return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")

    for character in characters:
        name = character["id"]
        cut(f"outfits/{name}.png", 0).save(folder / "garment" / f"{name}.png")
        for row, direction in enumerate(DIRECTIONS):
            cut(f"sheets/{name}.png", row).save(folder / "photo" / f"{name}-{direction}.png")
            held = "train" if character["split"] == "train" else "heldout"
            lines.append((f"photo/{name}-{direction}.png", f"garment/{name}.png", name, held))
    _write(folder, lines)
    return folder


def _write(folder: Path, lines: Sequence[tuple[str, str, str, str]]) -> None:
    with (folder / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("photo", "garment", "group", "split"), *lines])


def draw_figures(folder: Path, count: int = 240, side: int = SIDE, seed: int = 0) -> Path:
    """`count` figures in four poses each on grounds of any colour, and what they wear alone on white. Returns the folder.

    A garment is a shirt, a dress or a vest of two colours, plain or with stripes, bars, checks or a band; a fifth is held out.
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    for place in ("photo", "garment"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(count):
        cloth, cut = _cloth(rng, side), _cut(int(rng.integers(3)), side)
        Image.fromarray(np.where(cut[..., None], cloth, 255).astype(np.uint8)).save(folder / "garment" / f"{number:03d}.png")
        for pose in range(4):
            name = f"{number:03d}-{pose}.png"
            Image.fromarray(_figure(rng, cloth, cut, side)).save(folder / "photo" / name)
            held = "heldout" if number >= 0.8 * count else "train"
            lines.append((f"photo/{name}", f"garment/{number:03d}.png", f"g{number}", held))
    _write(folder, lines)
    return folder


def _cloth(rng: np.random.Generator, side: int) -> np.ndarray:
    """A cloth (side, side, 3) uint8 of two colours."""
    row, column = np.mgrid[:side, :side] * 32 // side
    first, second = rng.integers(20, 236, (2, 3))
    patterns = (row * 0, row // 3 % 2, column // 3 % 2, (row // 4 + column // 4) % 2, (row > 15) & (row < 20))
    chosen = patterns[rng.integers(len(patterns))].astype(bool)
    return np.where(chosen[..., None], second, first).astype(np.uint8)


def _cut(form: int, side: int) -> np.ndarray:
    """(side, side) bool: where a shirt, a dress or a vest is, from the front and in the middle."""
    row, column = np.mgrid[:side, :side] * 32 / side
    across = np.abs(column - 15.5)
    body = (row >= 7) & (row < 23) & (across < 6)
    if form == 0:
        return body | ((row >= 7) & (row < 12) & (across < 11))
    if form == 1:
        return body | ((row >= 16) & (row < 28) & (across < 4 + (row - 10) / 3))
    return body & ~((row < 11) & (across < 2.5)) & (row < 20)


def _figure(rng: np.random.Generator, cloth: np.ndarray, cut: np.ndarray, side: int) -> np.ndarray:
    """Somebody who wears it: moved, leaning, with arms, legs and a head, on a ground of one colour. (side, side, 3) uint8."""
    row, column = np.mgrid[:side, :side] * 32 / side
    across = np.abs(column - 15.5)
    skin, hair, ground = rng.integers((150, 90, 60), (250, 190, 150)), rng.integers(10, 200, 3), rng.integers(0, 256, 3)
    picture = np.broadcast_to(ground, (side, side, 3)).copy()
    limbs = ((row >= 20) & (row < 31) & (across > 1) & (across < 5)) | ((row >= 7) & (row < 20) & (across >= 6) & (across < 9))
    picture[limbs] = skin
    picture[(row - 4) ** 2 + (column - 15.5) ** 2 < 14] = skin
    picture[((row - 3) ** 2 + (column - 15.5) ** 2 < 14) & (row < 3.5)] = hair
    picture[cut] = cloth[cut]
    lean, right, down = rng.uniform(-0.3, 0.3), rng.integers(-4, 5), rng.integers(-1, 3)
    place = np.arange(side)
    moved = np.empty_like(picture)
    for line in place:
        given = (line - down) % side if 0 <= line - down < side else 0
        shift = round(right * side / 32 + lean * (side / 2 - line))
        source = place - shift
        inside = (source >= 0) & (source < side)
        moved[line] = np.where(inside[:, None], picture[given, source.clip(0, side - 1)], ground)
    return moved.astype(np.uint8)


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(row.values["system"] >= row.values["baseline"] + AHEAD for row in rows)


PROOF = Proof(
    claim="garments that do not belong to the photograph teach which one does, so that the one worn is drawn",
    baseline="the same game without unassociated garments for the domain discriminator, at equal rounds",
    metric="share of held-out photographs from whose drawn garment the one worn is the nearest of 100",
    direction=HIGHER,
    mark="with every seed at least 0.10 more are found than without unassociated garments",
    met=met,
    arms={
        "system": lambda task: arm(task, {}),
        "baseline": lambda task: arm(task, {"unassociated": False}),
        SQUARED: lambda task: arm(task, {"objective": "squared-error"}),
    },
    budget="1200r",
    quick_budget="60r",
    large_budget="6000r",
    phantom="brain",
    real="game-characters",
    note=(
        "Squared error alone is reported beside: with a seed of none of the runs it found more than the game did (0.48 against "
        "0.27 after 1,000 rounds at width 16), for here every garment lies at one place of its picture, and pixels can be "
        "compared. Without the real data, figures are drawn."
    ),
)
