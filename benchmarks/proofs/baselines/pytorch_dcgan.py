"""The baseline of the DCGAN proof: the settings of the standard PyTorch DCGAN example, written out plainly.

Settings (those of pytorch/examples, `dcgan`): latent size 100, width `--width` (64 there) for both networks,
batch 64, Adam 2e-4 with betas (0.5, 0.999) for both, binary cross-entropy, real and fake batches passed through the
discriminator separately, ONE fake batch used for both updates, weights N(0, 0.02), BatchNorm scale N(1, 0.02),
samples drawn in training mode as the example does. Images are resized to 64x64 with antialiasing and kept in memory, which
favours the baseline (no loader time). It does not import ganvas.

    python benchmarks/proofs/baselines/pytorch_dcgan.py --data ROOT/chest-xray --seconds 600 --seed 0 --out samples.npz

`--rounds` replaces `--seconds` where the machine is shared: measure the speed on an idle machine with `--calibrate`,
then give the rounds that the seconds would have bought.
"""

from __future__ import annotations

import argparse
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


def load_images(root: Path, size: int) -> torch.Tensor:
    """Training images as (N, 1, size, size) in [-1, 1]; rows of groups.csv marked development-heldout stay out."""
    heldout: set[str] = set()
    table = root / "groups.csv"
    if table.exists():
        with table.open(newline="") as handle:
            heldout = {row["file"] for row in csv.DictReader(handle) if "heldout" in row["split"]}
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in {".png", ".jpg", ".jpeg"})
    files = [p for p in files if p.relative_to(root).as_posix() not in heldout]
    images = [np.asarray(Image.open(p).convert("L").resize((size, size), Image.Resampling.BILINEAR)) for p in files]
    return torch.from_numpy(np.stack(images)).float()[:, None] / 127.5 - 1


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
    parser.add_argument("--calibrate", action="store_true", help="print rounds per second over 20 s and stop")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("samples.npz"))
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    images = load_images(args.data, 64)
    net_g, net_d = generator(args.width), discriminator(args.width)
    net_g.apply(initialise)
    net_d.apply(initialise)
    batch = 64
    rounds, limit = 0, (20.0 if args.calibrate else args.seconds)
    started, warm = time.perf_counter(), 0
    for _ in play(images, net_g, net_d, batch):
        rounds += 1
        if args.calibrate and rounds == 3:
            started, warm = time.perf_counter(), rounds
        elapsed = time.perf_counter() - started
        if (args.rounds and rounds >= args.rounds) or (not args.rounds and elapsed >= limit):
            break
    elapsed = time.perf_counter() - started
    report = {"width": args.width, "seed": args.seed, "rounds": rounds, "seconds": round(elapsed, 2)}
    report["rounds_per_second"] = round((rounds - warm) / elapsed, 4)
    print(json.dumps(report), flush=True)
    if args.calibrate:
        return
    made = []
    with torch.no_grad():
        for start in range(0, args.samples, batch):
            made.append(net_g(torch.randn(min(batch, args.samples - start), 100, 1, 1)))
    pixels = ((torch.cat(made) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)[:, 0].numpy()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.out, images=pixels, report=json.dumps(report))


if __name__ == "__main__":
    main()
