"""A small detector around `perceptual-gan`: where in a photograph are signs, and which. The worked example of its page.

    python docs/examples/find_signs.py paste signs/ photos/ streets/
    ganvas train perceptual-gan --data streets/crops --budget 5m --out runs/streets
    python docs/examples/find_signs.py find runs/streets streets/pictures found/

`paste` makes pictures whose truth is known: signs (a folder a class) are laid on photographs, a fifth of either for
`pictures/` and the rest for `crops/`, where the photographs give a class `nothing`. `find` slides windows of several sizes
over pictures, lets the run name those that are not plain, and keeps the likeliest of those that overlap: what the regions of
the paper's detector do by a network of their own is done by brute force here. Beside the pictures with boxes it writes
`boxes.csv`, and where `boxes.csv` lies beside the pictures it says how many signs were found, and how many of them named
rightly, by size; `--plain` leaves features unmended.

Not for real streets: signs that are pasted have no pole, no shadow and no blur of their own.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

import ganvas
from ganvas.kinds.image.resize import resize

NOTHING = "nothing"
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
SMALL, LARGE = (12, 20), (28, 56)  # pixels a side of pasted signs
SIDES = (14, 20, 28, 40, 56)  # of windows
PLAIN = 12.0  # standard deviation of grey values below which a window is not looked at
STEP, OVERLAP, HIT = 1 / 3, 0.2, 0.4  # of a window's side; of two boxes: intersection over union
COLUMNS = ("picture", "left", "top", "side", "class", "probability")


@dataclass(frozen=True)
class Box:
    """A square of a picture, in pixels, and what it shows."""

    picture: str
    left: int
    top: int
    side: int
    name: str
    probability: float = 1.0

    def overlap(self, other: Box) -> float:
        """Intersection over union."""
        wide = min(self.left + self.side, other.left + other.side) - max(self.left, other.left)
        high = min(self.top + self.side, other.top + other.side) - max(self.top, other.top)
        both = max(0, wide) * max(0, high)
        return both / (self.side**2 + other.side**2 - both)


def pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def opened(path: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    return np.asarray(Image.open(path).convert("RGB"))


# Pictures whose truth is known


def paste(signs: Path, photos: Path, out: Path, *, pictures: int = 40, seed: int = 0) -> list[Box]:
    """Write `crops/CLASS/`, `pictures/` and `pictures/boxes.csv` below `out`. signs: a folder a class; files of one class whose
    names begin alike up to the first underscore are views of one sign, which stay together."""
    rng = np.random.default_rng(seed)
    of_sign: dict[tuple[str, str], list[Path]] = {}
    for path in pictures_in(signs):
        of_sign.setdefault((path.parent.name, path.stem.partition("_")[0]), []).append(path)
    places, scenes = list(of_sign), pictures_in(photos)
    held = {places[k] for k in rng.permutation(len(places))[: max(1, len(places) // 5)]}
    apart = set(rng.permutation(len(scenes))[: max(1, len(scenes) // 5)].tolist())
    rows = []
    for (name, sign), files in of_sign.items():
        if (name, sign) in held:
            continue
        (out / "crops" / name).mkdir(parents=True, exist_ok=True)
        for path in files:
            Image.fromarray(opened(path)).save(out / "crops" / name / f"{path.stem}.png")
            rows.append((f"{name}/{path.stem}.png", f"{name}-{sign}"))
    (out / "crops" / NOTHING).mkdir(parents=True, exist_ok=True)
    for k, path in enumerate(scene for number, scene in enumerate(scenes) if number not in apart):
        photo = opened(path)
        for number in range(24):
            side = int(rng.integers(SMALL[0], min(4 * LARGE[1], *photo.shape[:2])))
            left, top = rng.integers(photo.shape[1] - side + 1), rng.integers(photo.shape[0] - side + 1)
            file = f"{NOTHING}/{k:03d}_{number:02d}.png"
            Image.fromarray(photo[top : top + side, left : left + side]).save(out / "crops" / file)
            rows.append((file, f"photo-{k}"))
    with (out / "crops" / "groups.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("file", "group"), *rows])
    (out / "pictures").mkdir()
    boxes: list[Box] = []
    known, grounds = sorted(held), sorted(apart)
    for number in range(pictures):
        photo = opened(scenes[grounds[number % len(grounds)]]).copy()
        name, own = f"{number:03d}.png", []
        for bounds in (SMALL, SMALL, LARGE):
            label, sign = known[rng.integers(len(known))]
            files = of_sign[label, sign]
            side = int(rng.integers(bounds[0], bounds[1] + 1))
            box = Box(name, int(rng.integers(photo.shape[1] - side)), int(rng.integers(photo.shape[0] - side)), side, label)
            if any(box.overlap(other) > 0 for other in own):
                continue
            large = max(files, key=lambda path: Image.open(path).size)
            view = Image.fromarray(opened(large)).resize((side, side), Image.Resampling.BOX)
            photo[box.top : box.top + side, box.left : box.left + side] = np.asarray(view)
            own.append(box)
        Image.fromarray(photo).save(out / "pictures" / name)
        boxes += own
    write(out / "pictures" / "boxes.csv", boxes)
    return boxes


# Finding


def windows(photo: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """(left, top, side) of every window that is not plain."""
    high, wide = photo.shape[:2]
    grey = photo.mean(2)
    for side in (own for own in SIDES if own <= min(high, wide)):
        step = max(2, round(STEP * side))
        for top in range(0, high - side + 1, step):
            for left in range(0, wide - side + 1, step):
                if grey[top : top + side, left : left + side].std() >= PLAIN:
                    yield left, top, side


def named(run: ganvas.Run, crops: np.ndarray, plain: bool) -> np.ndarray:
    """(N, K) probabilities of the run's classes. crops: (N, H, W, 3) of the size it was trained at."""
    if not plain:
        found: np.ndarray = run.use("classify", crops)["probabilities"]
        return found
    import torch

    with torch.no_grad():
        tensors = run.work().encode(crops, run.spec)
        parts = [run.system.named(part, torch.zeros(len(part), dtype=torch.bool)).softmax(1) for part in tensors.split(256)]
    plainly: np.ndarray = torch.cat(parts).numpy()
    return plainly


def found_in(run: ganvas.Run, name: str, photo: np.ndarray, *, least: float, plain: bool = False) -> list[Box]:
    """The likeliest windows that are something, none of which overlap by more than OVERLAP."""
    classes, size = list(run.system.class_names), (run.spec.height, run.spec.width)
    empty = classes.index(NOTHING)
    places = list(windows(photo))
    boxes: list[Box] = []
    for first in range(0, len(places), 2048):
        part = places[first : first + 2048]
        crops = np.stack([resize(photo[top : top + side, left : left + side], size)[0] for left, top, side in part])
        shown = named(run, crops, plain)
        shown[:, empty] = 0
        for place, row in zip(part, shown, strict=True):
            if row.sum() >= least:  # all that is not nothing
                boxes.append(Box(name, *place, classes[int(row.argmax())], round(float(row.sum()), 4)))
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda own: -own.probability):
        if all(box.overlap(other) <= OVERLAP for other in kept):
            kept.append(box)
    return kept


def compared(found: list[Box], true: list[Box]) -> dict[str, Any]:
    """Of the true boxes, small and large: how many were found, and how many of these named rightly; and false alarms."""
    taken: set[int] = set()
    result: dict[str, Any] = {}
    for size, (low, high) in (("small", SMALL), ("large", LARGE)):
        own = [box for box in true if low <= box.side <= high]
        hits = right = 0
        for box in own:
            match = [k for k, other in enumerate(found) if other.picture == box.picture and box.overlap(other) >= HIT]
            taken.update(match)
            hits += bool(match)
            right += any(found[k].name == box.name for k in match)
        result[size] = {"signs": len(own), "found": hits, "named rightly": right}
    result["false alarms a picture"] = round((len(found) - len(taken)) / max(1, len({box.picture for box in true})), 2)
    return result


def write(path: Path, boxes: list[Box]) -> None:
    with path.open("w", newline="") as table:
        rows = [(box.picture, box.left, box.top, box.side, box.name, box.probability) for box in boxes]
        csv.writer(table).writerows([COLUMNS, *rows])


def read(path: Path) -> list[Box]:
    with path.open(newline="") as table:
        return [
            Box(row["picture"], int(row["left"]), int(row["top"]), int(row["side"]), row["class"], float(row["probability"]))
            for row in csv.DictReader(table)
        ]


def find(run_folder: Path, pictures: Path, out: Path, *, least: float, plain: bool = False) -> list[Box]:
    run = ganvas.load(run_folder)
    out.mkdir(parents=True, exist_ok=True)
    every: list[Box] = []
    for path in pictures_in(pictures):
        photo = opened(path)
        boxes = found_in(run, path.name, photo, least=least, plain=plain)
        drawn = Image.fromarray(photo)
        pen = ImageDraw.Draw(drawn)
        for box in boxes:
            pen.rectangle((box.left, box.top, box.left + box.side - 1, box.top + box.side - 1), outline=(255, 0, 255))
            pen.text((box.left, box.top + box.side), box.name, fill=(255, 0, 255))
        drawn.save(out / f"{path.stem}.png")
        every += boxes
    write(out / "boxes.csv", every)
    return every


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("paste", help="make pictures with pasted signs, and crops to learn from")
    for name in ("signs", "photos", "out"):
        one.add_argument(name, type=Path)
    one.add_argument("--pictures", type=int, default=40)
    one.add_argument("--seed", type=int, default=0)
    two = verbs.add_parser("find", help="find and name signs in pictures")
    for name in ("run", "pictures", "out"):
        two.add_argument(name, type=Path)
    two.add_argument("--least", type=float, default=0.9, help="probability of being anything from which a window counts")
    two.add_argument("--plain", action="store_true", help="leave features of small windows unmended")
    options = parser.parse_args()
    if options.verb == "paste":
        boxes = paste(options.signs, options.photos, options.out, pictures=options.pictures, seed=options.seed)
        print(
            f"{len(boxes)} signs on {options.pictures} pictures in {options.out / 'pictures'}, crops in {options.out / 'crops'}"
        )
        return 0
    found = find(options.run, options.pictures, options.out, least=options.least, plain=options.plain)
    print(f"{len(found)} boxes in {options.out / 'boxes.csv'}")
    truth = options.pictures / "boxes.csv"
    if truth.exists():
        for name, value in compared(found, read(truth)).items():
            print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
