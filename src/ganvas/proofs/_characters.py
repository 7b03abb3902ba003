"""Frames of `game-characters` with a pose each, for proofs: what the data set has no points of is found in its segments.

All characters share one animation, so a frame has one pose, whoever it shows: hands, feet, trunk and head are where most of the
training characters have them. Hands are skin below the neck of those with long sleeves. Not for other data.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

FRAME = 64
BODY, HAIR, TORSO, LEGS, FEET = 1, 2, 4, 5, 6
DIRECTIONS = ("up", "left", "down", "right")
ACTIONS = {"walk": (0, (1, 5)), "spellcast": (4, (4,)), "slash": (8, (4,))}
"""Action -> the row of its first direction, and the frames that are taken."""
NAMES = ("head", "nose", "neck", "hip", "left_hand", "right_hand", "left_foot", "right_foot")
LINKS = "head-neck; head-nose; neck-hip; neck-left_hand; neck-right_hand; hip-left_foot; hip-right_foot"
ENOUGH = 0.35  # of the characters: a pixel that so many have as a part is that part of the pose
WINDOW = (14, 8, 48)  # top, left and side of what holds every frame taken here


def frames() -> list[tuple[str, str, int, int]]:
    """(direction, name, row, column) of every frame taken."""
    return [
        (direction, f"{action}{column}-{direction}", first + place, column)
        for action, (first, columns) in ACTIONS.items()
        for place, direction in enumerate(DIRECTIONS)
        for column in columns
    ]


def characters_of(data: Path) -> list[dict[str, str]]:
    """The rows of `characters.csv`."""
    with (data / "characters.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _cell(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    return sheet[row * FRAME : (row + 1) * FRAME, column * FRAME : (column + 1) * FRAME]


def poses_of(data: Path, most: int = 150) -> dict[str, np.ndarray]:
    """Name of a frame -> points (8, 3) in its pixels: x, y and visibility, of at most so many training characters."""
    from PIL import Image
    from scipy.ndimage import label

    chosen = [
        own["id"]
        for own in characters_of(data)
        if own["split"] == "train" and "long" in own["torso"] and own["legs"] != "none" and own["feet"] != "none"
    ][:most]
    sheets = np.stack([np.asarray(Image.open(data / "segments" / f"{name}.png")) for name in chosen])
    found = {}
    for direction, name, row, column in frames():
        own = sheets[:, row * FRAME : (row + 1) * FRAME, column * FRAME : (column + 1) * FRAME]
        share = {part: (own == part).mean(0) >= ENOUGH for part in (BODY, TORSO, LEGS, FEET)}
        covered = (own != 0).mean(0) >= 0.5
        torso = np.argwhere(share[TORSO])
        neck = np.array([np.median(torso[:, 1]), torso[:, 0].min() + 1.0])
        hip = np.array([np.median(torso[:, 1]), np.quantile(torso[:, 0], 0.95)])
        above = np.argwhere(covered & (np.arange(FRAME)[:, None] < neck[1]))
        head = np.array([np.median(above[:, 1]), above[:, 0].mean()])
        skin, many = label(share[BODY] & (np.arange(FRAME)[:, None] > neck[1] + 1))
        blobs = sorted((np.argwhere(skin == k + 1) for k in range(many)), key=len, reverse=True)
        hands = [blob[:, ::-1].mean(0) for blob in blobs if len(blob) >= 4][:2]
        feet = np.argwhere(share[FEET])[:, ::-1].astype(float)
        split = feet[:, 0] > np.median(feet[:, 0])
        shoes = [feet[~split].mean(0), feet[split].mean(0)]
        turned = 1 if direction in ("down", "left") else -1  # the person's left is at the right of a picture from the front
        points = np.zeros((len(NAMES), 3))
        for place, at in ((0, head), (2, neck), (3, hip)):
            points[place] = *at, 2
        away = {"left": -6.0, "right": 6.0}.get(direction, 0.0)
        if direction != "up":
            points[1] = head[0] + away, head[1] + 5, 2
        ordered = sorted(hands, key=lambda at: -turned * at[0])
        if len(hands) == 1:  # the near one of a side view, else that of its side
            near = {"left": 0, "right": 1}.get(direction, int(turned * (hands[0][0] - neck[0]) < 0))
            points[4 + near] = *hands[0], 2
        else:
            for place, at in enumerate(ordered):
                points[4 + place] = *at, 2
        for place, at in enumerate(sorted(shoes, key=lambda at: -turned * at[0])):
            points[6 + place] = *at, 2
        found[name] = points
    return found


def cut_frames(data: Path, folder: Path, side: int = WINDOW[2], most: int | None = None) -> Path:
    """Every frame of every character on white, `folder`/image/*.png, and `metadata.csv` with the pose, the character as group
    and the split of the data. side: 48 for the window that holds all, 64 for whole frames. most: characters of either side of
    the split. Returns the folder."""
    from PIL import Image

    top, left = WINDOW[:2] if side == WINDOW[2] else (0, 0)
    poses = {name: points - np.array([left, top, 0]) * (points[:, 2:] > 0) for name, points in poses_of(data).items()}
    (folder / "image").mkdir(parents=True, exist_ok=True)
    columns = [f"{name}_{end}" for name in NAMES for end in ("x", "y", "v")]
    lines: list[list[Any]] = [["file_name", "group", "split", "links", *columns]]
    counts: dict[str, int] = {}
    for own in characters_of(data):
        counts[own["split"]] = counts.get(own["split"], 0) + 1
        if most is not None and counts[own["split"]] > most:
            continue
        with Image.open(data / "sheets" / f"{own['id']}.png") as opened:
            sheet = opened.convert("RGBA")
            white = Image.new("RGBA", sheet.size, "white")
            pixels = np.asarray(Image.alpha_composite(white, sheet).convert("RGB"))
        for _, name, row, column in frames():
            piece = _cell(pixels, row, column)[top : top + side, left : left + side]
            file = f"image/{own['id']}-{name}.png"
            Image.fromarray(np.ascontiguousarray(piece)).save(folder / file)
            held = "train" if own["split"] == "train" else "heldout"
            lines.append([file, own["id"], held, LINKS, *(f"{value:.2f}" for value in poses[name].ravel())])
    with (folder / "metadata.csv").open("w", newline="") as file_:
        csv.writer(file_, lineterminator="\n").writerows(lines)
    return folder


def parts_of(data: Path, names: list[str], side: int = WINDOW[2]) -> np.ndarray:
    """(N, side, side) uint8: the part of each pixel of frames by the names of their files."""
    from PIL import Image

    top, left = WINDOW[:2] if side == WINDOW[2] else (0, 0)
    places = {name: (row, column) for _, name, row, column in frames()}
    sheets: dict[str, np.ndarray] = {}
    found = []
    for file in names:
        who, _, frame = Path(file).stem.partition("-")
        if who not in sheets:
            sheets[who] = np.asarray(Image.open(data / "segments" / f"{who}.png"))
        found.append(_cell(sheets[who], *places[frame])[top : top + side, left : left + side])
    return np.stack(found)
