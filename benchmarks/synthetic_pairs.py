"""Synthetic pairs for a segmenter: maps are drawn, photographs are made of them; does a U-Net learn from these?

    python benchmarks/synthetic_pairs.py retina --data datasets/ --seeds 3
    python benchmarks/synthetic_pairs.py nuclei --data datasets/
    python benchmarks/synthetic_pairs.py skin --data datasets/

- `retina`: vessel trees of training eyes are learnt by a system without conditions (`--maps`) and drawn anew, photographs by
  `pix2pix`: the pipeline of Guibas, Virdi and Li 2017 (arXiv 1709.01872), with the second stage of Costa et al. 2017.
- `nuclei`: the same with masks of nuclei in stained tissue, after Hou et al. 2017 (arXiv 1712.05021).
  Both are learnt as distances to the edge (`distances`): of maps of black and white, most of them black, D knows a made one
  by any grey in it, and `dcgan`, `wgan-gp` and `r3gan` collapse on vessels within minutes.
- `skin`: maps that say where the lesion is, of which class it is and how light the skin is, after Ghorbani et al. 2019
  (DermGAN, arXiv 1911.08716): masks of training pictures with the class and the skin of others. Here also: how far the
  lightness of made skin follows what was asked for, and how often a classifier of real pictures reads the class as asked.

All learn from the training part alone. One U-Net, with as many steps in every arm, learns the maps from

- `real`: the real pairs,
- `synthetic`: drawn maps and photographs made of them, no real pair,
- `made`: real maps and photographs made of them, which tells what drawing maps costs,
- `both`: real pairs and synthetic ones, half of each batch,

and is tested on whole held-out photographs: Dice at one half, mean of photographs. In all arms photographs are turned,
mirrored, and changed in brightness, contrast, colour and noise, as segmenters in medicine are trained (nnU-Net, Isensee et
al. 2021). Where a second observer marked the same, the Dice of the two stands beside. Results:
benchmarks/results/synthetic_pairs_SET.json, with a picture of pairs of seed 0.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, max_pool2d

RESULTS = Path(__file__).parent / "results"
SIDE = 64
STEPS, BATCH = 1000, 8
DRAWN = 512
# What the presets choose for some minutes; a budget in rounds does not tell them how long it lasts.
WIDTH = ("--set", "width=16")
NARROW = (*WIDTH, "--set", "dropout=0", "--set", "learning_rate=1e-3")


def block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class Segmenter(nn.Module):
    """U-Net (Ronneberger et al. 2015), three levels: photographs (B, 3, H, W) in [0, 1] -> logits (B, 1, H, W)."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        self.down = nn.ModuleList([block(3, widths[0]), block(widths[0], widths[1]), block(widths[1], widths[2])])
        self.enlarge = nn.ModuleList([nn.ConvTranspose2d(widths[k + 1], widths[k], 2, 2) for k in (1, 0)])
        self.up = nn.ModuleList([block(2 * widths[k], widths[k]) for k in (1, 0)])
        self.decide = nn.Conv2d(width, 1, 1)

    def forward(self, photos: Tensor) -> Tensor:
        kept, x = [], photos
        for k, down in enumerate(self.down):
            x = down(max_pool2d(x, 2) if k else x)
            kept.append(x)
        for enlarge, up, past in zip(self.enlarge, self.up, (kept[1], kept[0]), strict=True):
            x = up(torch.cat([enlarge(x), past], 1))
        decision: Tensor = self.decide(x)
        return decision


def learnt(sets: list[tuple[np.ndarray, np.ndarray]], seed: int, steps: int) -> Segmenter:
    """A segmenter of photographs (N, H, W, 3) and maps (N, H, W), uint8; batches of all sets, turned, mirrored, changed."""
    torch.manual_seed(seed)
    rng, net = np.random.default_rng(seed), Segmenter()
    adam = torch.optim.Adam(net.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.02, steps)
    for _ in range(steps):
        photos, maps = [], []
        for all_photos, all_maps in sets:
            for k in rng.integers(0, len(all_photos), BATCH // len(sets)):
                turns, mirror = int(rng.integers(4)), 1 - 2 * int(rng.integers(2))
                photos.append(np.rot90(all_photos[k], turns)[:, ::mirror])
                maps.append(np.rot90(all_maps[k], turns)[:, ::mirror])
        x = changed(torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float() / 255, rng)
        y = torch.from_numpy(np.stack(maps) >= 128).float()[:, None]
        decision = net(x)
        share = decision.sigmoid()
        overlap = (2 * (share * y).sum() + 1) / (share.sum() + y.sum() + 1)
        loss = binary_cross_entropy_with_logits(decision, y) + 1 - overlap
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    return net.eval()


def changed(photos: Tensor, rng: np.random.Generator) -> Tensor:
    """Photographs (B, 3, H, W), each with another brightness, colour, contrast and noise."""

    def between(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (len(photos), channels, 1, 1)).astype(np.float32))

    photos = photos * between(0.6, 1.4) * between(0.8, 1.25, 3)
    mean = photos.mean((2, 3), keepdim=True)
    photos = (photos - mean) * between(0.6, 1.4) + mean + between(-0.1, 0.1)
    return photos + torch.from_numpy(rng.normal(size=photos.shape).astype(np.float32)) * between(0, 0.06)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


@torch.no_grad()
def tested(net: Segmenter, photos: np.ndarray, maps: np.ndarray) -> float:
    found = []
    for photo, own in zip(photos, maps, strict=True):
        decision = net(torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255)[0, 0].numpy()
        found.append(dice(decision > 0, own >= 128))
    return float(np.mean(found))


@dataclass
class Set:
    """photos (N, H, W, 3), truth (N, H, W) with 255 where it is, maps as `pix2pix` sees them, held (N,); all uint8 but held."""

    photos: np.ndarray
    truth: np.ndarray
    maps: np.ndarray
    held: np.ndarray
    second: np.ndarray | None = None
    classes: np.ndarray | None = None
    fit: str = "patches"  # else whole pictures


def distances(truth: np.ndarray) -> np.ndarray:
    """Maps (N, H, W) of 0 and 255 as how far a pixel is from the edge: above 127 inside, 16 grey levels to the pixel."""
    found = []
    for mask in truth >= 128:
        signed = np.where(mask, distance_transform_edt(mask) - 0.5, 0.5 - distance_transform_edt(~mask))
        found.append((127.5 + 16 * signed).clip(0, 255).round())
    return np.stack(found).astype(np.uint8)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def stack(place: Path, names: list[str], mode: str, size: int | None = None) -> np.ndarray:
    found = []
    for name in names:
        image = Image.open(place / name).convert(mode)
        found.append(np.asarray(image if size is None else image.resize((size, size), Image.Resampling.BILINEAR)))
    return np.stack(found)


def held_out(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array(["heldout" in row["split"] for row in rows])


def retina(data: Path) -> Set:
    rows = table(data / "retina" / "pairs.csv")

    def of(field: str, mode: str) -> np.ndarray:
        return stack(data / "retina", [row[field] for row in rows], mode)

    truth = of("vessels", "L")
    return Set(of("photo", "RGB"), truth, truth, held_out(rows), of("second_observer", "L"))


def nuclei(data: Path) -> Set:
    rows = [row for row in table(data / "nuclei" / "nuclei.csv") if row["kind"] == "histology"]
    numbers = np.stack([np.asarray(Image.open(data / "nuclei" / row["mask"])) for row in rows])
    truth = np.where(numbers > 0, 255, 0).astype(np.uint8)
    return Set(stack(data / "nuclei", [row["image"] for row in rows], "RGB"), truth, truth, held_out(rows))


def skin(data: Path) -> Set:
    rows = table(data / "skin-lesions" / "lesions.csv")
    photos = stack(data / "skin-lesions", [row["image"] for row in rows], "RGB", SIDE)
    truth = np.where(stack(data / "skin-lesions", [row["mask"] for row in rows], "L", SIDE) >= 128, 255, 0).astype(np.uint8)
    classes = np.unique([row["class"] for row in rows], return_inverse=True)[1]
    return Set(photos, truth, asked(truth, lightness(photos, truth), classes), held_out(rows), None, classes, "crop")


def lightness(photos: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) mean grey value of the skin around lesions."""
    outside = truth < 128
    return (photos.mean(3) * outside).sum((1, 2)) / np.maximum(1, outside.sum((1, 2)))


def asked(truth: np.ndarray, tones: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Maps (N, H, W, 3): how light the skin is, where the lesion is, and there its class, 0, 1 or 2."""
    inside = truth >= 128
    tone = np.broadcast_to(tones.round()[:, None, None], truth.shape)
    return np.stack([tone, truth, inside * (85 * (1 + classes[:, None, None]))], 3).astype(np.uint8)


SETS = {"retina": retina, "nuclei": nuclei, "skin": skin}


def ganvas(*words: Any) -> None:
    print("$ ganvas", *words, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "ganvas", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise SystemExit(done.stderr)


def images(folder: Path) -> np.ndarray:
    """The PNG files of a folder in their order, without the sheet of all."""
    found = [np.asarray(Image.open(path)) for path in sorted(folder.rglob("*.png"))]
    usual = Counter(pixels.shape for pixels in found).most_common(1)[0][0]
    return np.stack([pixels for pixels in found if pixels.shape == usual])


def written(folder: Path, pictures: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for k, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / f"{k:05d}.png")
    return folder


def cut(pictures: np.ndarray) -> np.ndarray:
    """(N, H, W[, C]) -> patches of SIDE, as `--fit patches` cuts them."""
    n, high, wide = pictures.shape[:3]
    shape = (n, high // SIDE, SIDE, wide // SIDE, SIDE, *pictures.shape[3:])
    return pictures.reshape(shape).swapaxes(2, 3).reshape(-1, SIDE, SIDE, *pictures.shape[3:])


def judged(own: Set, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    known, held = ~own.held, own.held
    found: dict[str, Any] = {"seed": seed, "training": int(known.sum()), "held_out": int(held.sum())}
    if own.second is not None:
        pairs = zip(own.second[held], own.truth[held], strict=True)
        found["second_observer"] = round(float(np.mean([dice(a >= 128, b >= 128) for a, b in pairs])), 3)
    rng, drawn_classes = np.random.default_rng([seed, 1]), None
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        maps = written(folder / "pairs" / "map", own.maps[known])
        written(folder / "pairs" / "photo", own.photos[known])
        common = ("--fit", own.fit, "--size", SIDE, "--seed", seed, "--threads", 1, "--heldout", 0, "--quiet")
        ganvas(
            "train",
            "pix2pix",
            "--data",
            folder / "pairs",
            *common,
            *NARROW,
            "--budget",
            args.photo_budget,
            "--out",
            folder / "photos",
        )
        if own.classes is None:
            soft = written(folder / "soft", distances(own.truth[known]))
            ganvas("train", args.maps, "--data", soft, *common, *WIDTH, "--budget", args.maps_budget, "--out", folder / "maps")
            ganvas("sample", folder / "maps", "-n", DRAWN, "--seed", seed, "--out", folder / "distances")
            truth = np.where(images(folder / "distances") >= 128, 255, 0).astype(np.uint8)
            written(folder / "drawn", truth)
        else:
            truth, tones, drawn_classes = (
                values[known][rng.integers(0, known.sum(), DRAWN)]
                for values in (own.truth, lightness(own.photos, own.truth), own.classes)
            )
            written(folder / "drawn", asked(truth, tones, drawn_classes))
        ganvas("apply", folder / "photos", folder / "drawn", "--out", folder / "made")
        ganvas("apply", folder / "photos", maps, "--out", folder / "of-real")
        made, of_real = images(folder / "made"), images(folder / "of-real")
    real, synthetic = (cut(own.photos[known]), cut(own.truth[known])), (made, truth)
    arms = {"real": [real], "synthetic": [synthetic], "made": [(cut(of_real), real[1])], "both": [real, synthetic]}
    for name, sets in arms.items():
        found[name] = round(tested(learnt(sets, seed, args.steps), own.photos[held], own.truth[held]), 3)
        print(seed, name, found[name], flush=True)
    found["share"] = {"real": round(float((real[1] >= 128).mean()), 4), "drawn": round(float((truth >= 128).mean()), 4)}
    if own.classes is not None and drawn_classes is not None:
        found["lightness_as_asked"] = round(float(np.corrcoef(tones, lightness(made, truth))[0, 1]), 3)
        reader = classifier(own.photos[known], own.classes[known], seed)
        read = {"made": (made, drawn_classes), "held out": (own.photos[held], own.classes[held])}
        found["class_read_as_asked"] = {name: round(float((reader(x) == y).mean()), 3) for name, (x, y) in read.items()}
    if seed == 0:
        picture(real, synthetic, args.out.with_suffix(".png"))
    return found


def classifier(photos: np.ndarray, classes: np.ndarray, seed: int) -> Any:
    """A logistic regression of means and spreads of colours, and of a coarse picture: there are few real ones to learn from."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def features(x: np.ndarray) -> np.ndarray:
        coarse = x.reshape(len(x), 8, SIDE // 8, 8, SIDE // 8, 3).mean((2, 4)).reshape(len(x), -1)
        return np.concatenate([x.mean((1, 2)), x.std((1, 2)), coarse], 1)

    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=2000, random_state=seed))
    fitted.fit(features(photos.astype(np.float64)), classes)
    return lambda x: fitted.predict(features(x.astype(np.float64)))


def picture(real: tuple[np.ndarray, np.ndarray], synthetic: tuple[np.ndarray, np.ndarray], path: Path) -> None:
    """Two rows of real pairs, two of synthetic ones: the photograph above, the map below."""
    strips = []
    for photos, maps in (real, synthetic):
        chosen = np.random.default_rng(0).permutation(np.flatnonzero((maps >= 128).mean((1, 2)) > 0.04))[:12]
        strips.append(np.concatenate(list(photos[chosen]), 1))
        strips.append(np.concatenate(list(np.repeat(maps[chosen][..., None], 3, 3)), 1))
    whole = np.concatenate(strips)
    Image.fromarray(whole).resize((whole.shape[1] * 3 // 2, whole.shape[0] * 3 // 2)).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=tuple(SETS))
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the sets")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--maps", default="dcgan", help="the system that draws maps")
    parser.add_argument("--maps-budget", default="3000r")
    parser.add_argument("--photo-budget", default="2500r")
    parser.add_argument("--steps", type=int, default=STEPS, help="of every segmenter")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    args.out = args.out or RESULTS / f"synthetic_pairs_{args.set}.json"
    torch.set_num_threads(1)
    own, rows = SETS[args.set](args.data), []
    for seed in range(args.first, args.first + args.seeds):
        rows.append(judged(own, seed, args))
        settings = {key: str(value) for key, value in vars(args).items() if key not in ("data", "out")}
        args.out.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
