"""The baseline of the DCGAN proof: the settings of the standard PyTorch DCGAN example, written out plainly.

Settings (those of pytorch/examples, `dcgan`): latent size 100, width `--width` (64 there) for both networks,
batch 64, Adam 2e-4 with betas (0.5, 0.999) for both, binary cross-entropy, real and fake batches passed through the
discriminator separately, ONE fake batch used for both updates, weights N(0, 0.02), BatchNorm scale N(1, 0.02),
samples drawn in training mode as the example does. Images are resized to 64x64 with antialiasing and kept in memory, which
favours the baseline (no loader time); a folder with a picture in colour is learnt in colour. It does not import ganvas.

    python benchmarks/proofs/baselines/pytorch_dcgan.py --data ROOT/chest-xray --seconds 600 --seed 0 --out samples.npz

`--rounds` replaces `--seconds` where the machine is shared: measure the speed on an idle machine with `--calibrate`,
then give the rounds that the seconds would have bought. `--looks` also writes samples on the way, as OUT-LOOK.npz.
"""

from __future__ import annotations

import argparse
import copy
import csv
import itertools
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn


def load_images(root: Path, size: int, left_out: frozenset[str] = frozenset()) -> torch.Tensor:
    """Training images as (N, C, size, size) in [-1, 1], C 3 where one is in colour, else 1; rows of groups.csv marked
    development-heldout stay out, and files in `left_out`."""
    heldout = set(left_out)
    table = root / "groups.csv"
    if table.exists():
        with table.open(newline="") as handle:
            heldout |= {row["file"] for row in csv.DictReader(handle) if "heldout" in row["split"]}
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in {".png", ".jpg", ".jpeg"})
    files = [p for p in files if p.relative_to(root).as_posix() not in heldout]
    mode = "L" if all(mode_of(path) in {"1", "L", "LA", "I", "I;16"} for path in files) else "RGB"
    small = [Image.open(p).convert(mode).resize((size, size), Image.Resampling.BILINEAR) for p in files]
    images = torch.from_numpy(np.stack([np.atleast_3d(np.asarray(image)) for image in small]))
    return images.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def mode_of(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


@torch.no_grad()
def draw(net_g: nn.Module, count: int, batch: int = 64) -> np.ndarray:
    """8-bit samples, (N, size, size) or (N, size, size, 3), in training mode as the example has it, which moves its statistics:
    of a copy, so that a look on the way changes nothing of the run."""
    copied = copy.deepcopy(net_g)
    made = torch.cat([copied(torch.randn(min(batch, count - start), 100, 1, 1)) for start in range(0, count, batch)])
    pixels = ((made + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def multiples(size: int) -> list[int]:
    """Channels between the layers in widths, from the image inwards: 1, 2, 4, 8 at the example's 64 pixels; 8 at most."""
    return [min(8, 2**place) for place in range(int(math.log2(size)) - 2)]


def generator(width: int, latent: int = 100, channels: int = 1, size: int = 64) -> nn.Sequential:
    inwards = multiples(size)
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(latent, width * inwards[-1], 4, 1, 0, bias=False),
        nn.BatchNorm2d(width * inwards[-1]),
        nn.ReLU(True),
    ]
    for source, target in itertools.pairwise(reversed(inwards)):
        layers += [
            nn.ConvTranspose2d(width * source, width * target, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * target),
            nn.ReLU(True),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(width: int, channels: int = 1, size: int = 64) -> nn.Sequential:
    inwards = multiples(size)
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for source, target in itertools.pairwise(inwards):
        layers += [
            nn.Conv2d(width * source, width * target, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * target),
            nn.LeakyReLU(0.2, True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(width * inwards[-1], 1, 4, 1, 0, bias=False), nn.Sigmoid(), nn.Flatten(0))


def initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def play(images: torch.Tensor, net_g: nn.Module, net_d: nn.Module, batch: int = 64) -> Iterator[None]:
    """The example's loop, without end; it comes back after each round."""
    adam_g = torch.optim.Adam(net_g.parameters(), lr=2e-4, betas=(0.5, 0.999))
    adam_d = torch.optim.Adam(net_d.parameters(), lr=2e-4, betas=(0.5, 0.999))
    loss = nn.BCELoss()
    while True:
        order = torch.randperm(len(images))
        for start in range(0, len(order), batch):  # the example keeps the last, smaller batch
            real = images[order[start : start + batch]]
            count = len(real)
            net_d.zero_grad()
            loss_real = loss(net_d(real), torch.ones(count))
            loss_real.backward()
            fake = net_g(torch.randn(count, 100, 1, 1))
            loss_fake = loss(net_d(fake.detach()), torch.zeros(count))
            loss_fake.backward()
            adam_d.step()
            net_g.zero_grad()
            loss_g = loss(net_d(fake), torch.ones(count))
            loss_g.backward()
            adam_g.step()
            yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rounds", type=int, help="stop after this many rounds instead of after --seconds")
    parser.add_argument("--looks", type=float, nargs="*", default=(), help="after so many seconds, or with --rounds rounds")
    parser.add_argument("--leave-out", type=Path, help="a text file of names below --data, a line each: not learnt from")
    parser.add_argument("--calibrate", action="store_true", help="print rounds per second over 20 s and stop")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("samples.npz"))
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    left_out = frozenset(args.leave_out.read_text(encoding="utf-8").splitlines()) if args.leave_out else frozenset[str]()
    images = load_images(args.data, 64, left_out)
    channels = images.shape[1]
    net_g, net_d = generator(args.width, channels=channels), discriminator(args.width, channels=channels)
    net_g.apply(initialise)
    net_d.apply(initialise)
    rounds, limit, aside = 0, (20.0 if args.calibrate else args.seconds), 0.0
    started, warm = time.perf_counter(), 0
    looks = sorted(args.looks)

    def report() -> dict[str, float]:
        made = {"width": args.width, "seed": args.seed, "rounds": rounds, "seconds": round(elapsed, 2)}
        return made | {"rounds_per_second": round((rounds - warm) / elapsed, 4)}

    def write(place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(place, images=draw(net_g, args.samples), report=json.dumps(report()))

    for _ in play(images, net_g, net_d):
        rounds += 1
        if args.calibrate and rounds == 3:
            started, warm = time.perf_counter(), rounds
        elapsed = time.perf_counter() - started - aside
        if looks and (rounds if args.rounds else elapsed) >= looks[0]:
            begun = time.perf_counter()
            state = torch.get_rng_state()
            write(args.out.with_name(f"{args.out.stem}-{looks.pop(0):g}.npz"))
            torch.set_rng_state(state)
            aside += time.perf_counter() - begun
        if (args.rounds and rounds >= args.rounds) or (not args.rounds and elapsed >= limit):
            break
    print(json.dumps(report()), flush=True)
    if not args.calibrate:
        write(args.out)


if __name__ == "__main__":
    main()
