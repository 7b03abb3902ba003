"""The proof of `gan-cls`: pictures from which a reader of captions tells what was asked for."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 32
AMONG, TOP = 50, 5  # a caption's picture is looked for among those of so many captions, and found in the first so many
FIND = 4  # groups of captions
EACH = 4  # pictures of a caption
FOUND, AHEAD = 0.30, 0.10
STEPS, BATCH, WIDTH = 1200, 64, 128  # of the matcher
COMMON: dict[str, Any] = {
    "width": 24, "learning_rate": 5e-4, "batch_size": 32, "augment": ("translation",), "discriminator_batch_norm": False,
    "r1_weight": 1.0, "r2_weight": 1.0,
}  # fmt: skip
"""What `auto` chooses for minutes of one core, but that slopes are held down five times as firmly."""
LARGE_SIDE = 64
LARGE = COMMON | {"width": 64, "learning_rate": 2e-4, "batch_size": 64, "r1_weight": 4.0, "r2_weight": 4.0}
COLOURS = {
    "red": (220, 40, 40), "green": (40, 170, 60), "blue": (50, 70, 230), "yellow": (235, 210, 40), "black": (20, 20, 20),
    "grey": (140, 140, 140), "pink": (250, 150, 190), "brown": (120, 75, 35), "cyan": (60, 205, 220), "purple": (130, 50, 170),
}  # fmt: skip
SHAPES = ("circle", "square", "bar", "pole", "ring")

Match = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Captions (N, length), pictures (M, H, W, C) uint8 -> scores (N, M)."""


def arm(task: Task, config: dict[str, Any]) -> Outcome:
    """Train, draw pictures of captions of the training split, and let the matcher look for them."""
    import torch

    from ganvas.batches import Noise
    from ganvas.kinds import decode

    source = str(_shapes(task.folder / "shapes")) if task.phantom else task.data
    common, side = (LARGE, LARGE_SIDE) if task.large else (COMMON, SIDE)
    run, facts = trained(task, "gan-cls", common | config, data=source, size=side, threads=1, precision="32")
    dataset = data_of(run)
    pictures, captions = dataset.fields["picture"].values, dataset.fields["caption"].values
    train, held = dataset.train_indices(), dataset.heldout_indices()
    score = matcher(
        dataset.fingerprint, lambda: (pictures[train], captions[train]), len(dataset.fields["caption"].spec.symbols)
    )
    noise = Noise(torch.Generator().manual_seed(10_000 + task.seed))

    def made(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            given = torch.from_numpy(np.asarray(captions[rows], np.int64))
            drawn: Tensor = run.system.sample(len(rows), noise, caption=given)
        found: np.ndarray = decode(drawn, dataset.fields["picture"].spec, 8)
        return found

    asked, later = groups_of(captions, train), groups_of(captions, held)
    sheets = [[made(rows) for _ in range(EACH)] for rows in asked]
    value = float(np.mean([found(score(captions[r], s)) for r, own in zip(asked, sheets, strict=True) for s in own]))
    more: dict[str, Any] = {
        "among": len(asked[0]),
        "true_pictures": statistics.fmean(found(score(captions[r], pictures[r])) for r in asked),
        "true_pictures_heldout": statistics.fmean(found(score(captions[r], pictures[r])) for r in later),
        "heldout_captions": statistics.fmean(found(score(captions[r], made(r))) for r in later),
        "variety": float(np.mean([np.std(np.stack(own).astype(float), 0).mean() for own in sheets])),
    }
    shown = np.stack([pictures[asked[0][:6]], *(sheet[:6] for sheet in sheets[0])], 1)
    protocol = f"top-{TOP}/matcher=bag-of-words+cnn/{len(asked)}x{len(asked[0])}x{EACH}"
    return Outcome(value, protocol, more | facts, shown.reshape(-1, *shown.shape[2:]))


def groups_of(captions: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Rows of at most FIND groups of AMONG records (of all, if there are fewer); within a group no caption occurs twice."""
    _, first = np.unique(captions[rows], axis=0, return_index=True)
    single = np.random.default_rng(0).permutation(rows[np.sort(first)])
    whole = len(single) // AMONG
    return [single] if not whole else [single[k * AMONG : (k + 1) * AMONG] for k in range(min(FIND, whole))]


def found(scores: np.ndarray) -> float:
    """Share of captions whose own picture is among the TOP best of scores (N, N); ties count against it."""
    own = scores.diagonal()[:, None]
    return float(((scores >= own).sum(1) <= TOP).mean())


_matchers: dict[tuple[str, int], Match] = {}  # both arms of a seed need the same one


def matcher(key: str, records: Callable[[], tuple[np.ndarray, np.ndarray]], symbols: int) -> Match:
    """Trained on real pictures (N, H, W, C) uint8 and captions (N, length) of the training split alone; the same for the same.

    A bag of words and a convolutional network meet in one space, by the symmetric cross-entropy of which caption of the batch
    belongs to which picture. Pictures are shifted and their colours varied, so that it does not know them by heart. It has
    neither networks, words, nor loss in common with the system.
    """
    if (key, symbols) not in _matchers:
        _matchers[(key, symbols)] = _taught(*records(), symbols)
    return _matchers[(key, symbols)]


def _taught(pictures: np.ndarray, captions: np.ndarray, symbols: int) -> Match:
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy, normalize, pad

    def prepared(images: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1

    def bag(rows: np.ndarray) -> Tensor:
        said = torch.zeros(len(rows), symbols)
        said.scatter_(1, torch.from_numpy(np.asarray(rows, np.int64)), 1.0)
        said[:, 0] = 0  # the end
        return normalize(said)

    rng = np.random.default_rng(0)
    known, texts = prepared(pictures), bag(captions)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        words = nn.Linear(symbols, WIDTH)
        eye = nn.Sequential(
            nn.Conv2d(known.shape[1], 32, 5, stride=2, padding=2), nn.ReLU(), nn.GroupNorm(4, 32),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(), nn.GroupNorm(4, 64),
            nn.Conv2d(64, 128, 3, stride=2, padding=1), nn.ReLU(), nn.GroupNorm(4, 128),
            nn.Flatten(), nn.Dropout(0.3), nn.LazyLinear(WIDTH),
        )  # fmt: skip
        eye(known[:1])
        optimiser = torch.optim.AdamW([*words.parameters(), *eye.parameters()], 1e-3, weight_decay=0.05)
        for _ in range(STEPS):
            rows = rng.choice(len(known), min(BATCH, len(known)), replace=False)
            down, right = rng.integers(0, 5, 2)
            images = pad(known[rows], (2, 2, 2, 2), mode="replicate")[:, :, down : down + known.shape[2]]
            images = images[..., right : right + known.shape[3]]
            images = images * torch.empty(len(rows), known.shape[1], 1, 1).uniform_(0.85, 1.15)
            scores = 10 * normalize(words(texts[rows])) @ normalize(eye(images)).T
            alike = torch.from_numpy((captions[rows][:, None] == captions[rows][None]).all(2))
            scores = scores.masked_fill(alike & ~torch.eye(len(rows), dtype=torch.bool), -1e4)  # equal captions are no mistake
            answers = torch.arange(len(rows))
            optimiser.zero_grad()
            (cross_entropy(scores, answers) + cross_entropy(scores.T, answers)).backward()
            optimiser.step()
    eye.eval()

    def match(asked: np.ndarray, images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            scores: np.ndarray = (normalize(words(bag(asked))) @ normalize(eye(prepared(images))).T).numpy()
        return scores

    return match


def _shapes(folder: Path) -> Path:
    """A folder of coloured shapes with captions, for use without real data: 50 captions, 40 pictures of each."""
    from PIL import Image

    if (folder / "captions.csv").exists():
        return folder
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    lines = ["file,caption"]
    for number in range(40 * len(COLOURS) * len(SHAPES)):
        colour, shape = list(COLOURS)[number % len(COLOURS)], SHAPES[number // len(COLOURS) % len(SHAPES)]
        (top, left), half = rng.uniform(12, 20, 2), rng.uniform(7, 10)
        down, across = abs(y - top), abs(x - left)
        far = np.hypot(down, across)
        inside = {
            "circle": far < half, "square": np.maximum(down, across) < 0.9 * half, "ring": abs(far - 0.8 * half) < 0.25 * half,
            "bar": (down < 0.3 * half) & (across < 1.2 * half), "pole": (across < 0.3 * half) & (down < 1.2 * half),
        }[shape]  # fmt: skip
        pixels = np.full((SIDE, SIDE, 3), 255, np.uint8)
        pixels[inside] = COLOURS[colour]
        Image.fromarray(pixels).save(folder / "images" / f"{number:04d}.png")
        lines.append(f"images/{number:04d}.png,A {colour} {shape}.")
    (folder / "captions.csv").write_text("\n".join(lines) + "\n")
    return folder


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] >= FOUND and row.values["system"] >= row.values["baseline"] + AHEAD for row in rows
    )  # fmt: skip


PROOF = Proof(
    claim="a discriminator that meets wrong captions, and captions between captions, make pictures that show what was said",
    baseline="the same networks without wrong captions and without interpolation, at equal rounds",
    metric=(
        f"share of captions whose made picture is among the first {TOP} of {AMONG} made for other captions, as ranked by a "
        "matcher of captions and real pictures that took no part in training (by chance 0.10)"
    ),
    direction=HIGHER,
    mark=f"with every seed at least {FOUND:.2f}, and at least {AHEAD:.2f} above the baseline",
    met=met,
    arms={
        "system": functools.partial(arm, config={}),
        "baseline": functools.partial(arm, config={"matching_aware": False, "interpolation": 0.0}),
    },
    budget="2400r",
    quick_budget="200r",
    large_budget="8000r",
    real="captioned-stamps",
    phantom="patterns",
    note="Without real data it trains on coloured shapes with captions that it draws itself, in the place of the phantom.",
)
