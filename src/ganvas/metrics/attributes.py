"""How well pictures show what was asked for: a reader of named attributes, trained on real pictures and their table alone.

The reader has nothing in common with any system (no discriminator of one, no weights): it judges edits. Its own accuracy on
real pictures that it never saw stands beside what it says; without that, it says nothing. Not for features: `features`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Reader = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Pictures (N, H, W, C) in 8 or 16 bits -> attribute -> the index of the value it reads (N,)."""

BATCH, EPOCHS = 48, 12
FEWEST, MOST = 80, 300  # steps, whatever the number of pictures
LARGEST = 32  # pixels of a longer side; larger pictures are reduced first
WIDTHS = (32, 64, 96)
SHIFT = 2  # pixels up to which training pictures are moved


def attribute_reader(pictures: np.ndarray, answers: Mapping[str, np.ndarray], *, seed: int = 0) -> Reader:
    """Train a reader on pictures (N, H, W, C) in 8 or 16 bits and, of each attribute, indices (N,), -1 where it is not known.

    Three convolutions of stride 2 with BatchNorm, one linear layer for each attribute; pictures are shifted by up to two
    pixels. Equal arguments give equal readers; the global random state stays as found.
    """
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy, interpolate, pad

    def prepared(images: np.ndarray) -> torch.Tensor:
        full = np.iinfo(images.dtype).max
        found = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) * (2 / full) - 1
        share = LARGEST / max(found.shape[2:])
        return found if share >= 1 else interpolate(found, scale_factor=share, mode="bilinear", antialias=True)

    known = prepared(pictures)
    steps = min(MOST, max(FEWEST, EPOCHS * len(known) // BATCH))
    said = {name: torch.from_numpy(np.asarray(own, np.int64)) for name, own in answers.items()}
    counts = {name: int(own.max()) + 1 for name, own in said.items()}
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for before, after in zip((known.shape[1], *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(before, after, 5, 2, 2, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.LazyLinear(sum(counts.values())))
        network(known[:2])
        optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
        for _ in range(steps):
            rows = torch.from_numpy(rng.choice(len(known), min(BATCH, len(known)), replace=False))
            down, right = rng.integers(0, 2 * SHIFT + 1, 2)
            images = pad(known[rows], (SHIFT,) * 4, mode="replicate")[:, :, down : down + known.shape[2]]
            read = network(images[..., right : right + known.shape[3]]).split(list(counts.values()), 1)
            losses = [
                cross_entropy(own, said[name][rows], ignore_index=-1, reduction="sum") / len(rows)
                for name, own in zip(counts, read, strict=True)
            ]
            optimiser.zero_grad()
            torch.stack(losses).sum().backward()
            optimiser.step()
            schedule.step()
    network.eval()

    def reader(images: np.ndarray) -> dict[str, np.ndarray]:
        with torch.no_grad():
            read = torch.cat([network(piece) for piece in prepared(images).split(256)]).split(list(counts.values()), 1)
        return {name: own.argmax(1).numpy() for name, own in zip(counts, read, strict=True)}

    return reader
