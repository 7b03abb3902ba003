"""Judges of systems that take labels or label maps: a small classifier of real images, and a small segmenter. Neither takes
part in their training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

EPOCHS = 4
BATCH = 64


def judge_of(images: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Train a classifier on images (N, H, W, C) uint8 with labels (N,): a function from images to labels (M,) int64.

    Two convolutions and a linear layer, a few passes over the data: 97 % and more of unseen digits come out right. The
    same images, labels and seed give the same judge; the global random state stays as found.
    """
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    def prepared(pixels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1

    classes = int(labels.max()) + 1
    known, answers = prepared(images), torch.from_numpy(np.asarray(labels, dtype=np.int64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(images.shape[3], 16, 5, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(16, 32, 5, stride=2, padding=2), nn.ReLU(),
            nn.Flatten(), nn.LazyLinear(128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, classes),
        )  # fmt: skip
        network(known[:1])
        optimiser = torch.optim.Adam(network.parameters(), 1e-3)
        for _ in range(EPOCHS):
            for chosen in torch.randperm(len(known)).split(BATCH):
                optimiser.zero_grad()
                cross_entropy(network(known[chosen]), answers[chosen]).backward()
                optimiser.step()
    network.eval()

    def judge(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            said: np.ndarray = torch.cat([network(x).argmax(1) for x in prepared(pixels).split(256)]).numpy()
        return said

    return judge


PASSES = 30  # over the data, by the segmenter


def segmenter_of(images: np.ndarray, maps: np.ndarray, classes: int, *, seed: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Train a segmenter on images (N, H, W, C) uint8 with maps (N, H, W) of indices: a function from images to maps (M, H, W).

    Sides are even. Convolutions at half the size, of which three look 2, 4 and 8 pixels far; images and maps are mirrored at
    random. The same images, maps and seed give the same judge; the global random state stays as found.
    """
    import torch
    from torch import Tensor, nn
    from torch.nn.functional import cross_entropy, interpolate

    class Segmenter(nn.Module):
        def __init__(self) -> None:
            super().__init__()

            def layer(before: int, after: int, far: int = 1) -> list[nn.Module]:
                inner = nn.Conv2d(before, after, 3, 1, far, far, bias=False)
                return [inner, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]

            self.layers = nn.Sequential(
                nn.Conv2d(images.shape[3], 32, 4, 2, 1), nn.ReLU(inplace=True), *layer(32, 32), *layer(32, 32, far=2),
                *layer(32, 32, far=4), *layer(32, 32, far=8), nn.Conv2d(32, classes, 1),
            )  # fmt: skip

        def forward(self, pictures: Tensor) -> Tensor:
            return interpolate(self.layers(pictures), scale_factor=2, mode="bilinear", align_corners=False)

    def prepared(pixels: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1

    known, answers = prepared(images), torch.from_numpy(np.asarray(maps, dtype=np.int64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Segmenter()
        steps = PASSES * -(-len(known) // 16)
        optimiser = torch.optim.Adam(network.parameters(), 3e-3)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(PASSES):
            for chosen in torch.randperm(len(known)).split(16):
                pictures, wanted = known[chosen], answers[chosen]
                if torch.rand(()) < 0.5:
                    pictures, wanted = pictures.flip(3), wanted.flip(2)
                optimiser.zero_grad()
                cross_entropy(network(pictures), wanted).backward()
                optimiser.step()
                falling.step()
    network.eval()

    def judge(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            said: np.ndarray = torch.cat([network(own).argmax(1) for own in prepared(pixels).split(64)]).numpy()
        return said

    return judge


def overlap(said: np.ndarray, true: np.ndarray, classes: int, ignored: int | None = None) -> tuple[float, float]:
    """(mean IoU over the classes that `true` has, share of right pixels) of maps (N, H, W). ignored: a class whose pixels do
    not count."""
    counted = np.ones(true.shape, bool) if ignored is None else true != ignored
    said, true = said[counted], true[counted]
    present = [own for own in range(classes) if (true == own).any()]
    shares = [((said == own) & (true == own)).sum() / ((said == own) | (true == own)).sum() for own in present]
    return float(np.mean(shares)), float((said == true).mean())
