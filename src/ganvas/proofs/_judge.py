"""A small classifier of real images, the judge of systems that take labels. It never takes part in their training."""

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
