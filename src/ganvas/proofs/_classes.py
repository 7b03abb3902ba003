"""What proofs of systems that take labels share: runs on labelled images, samples of every class, variety inside a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arms import data_of, trained
from ._judge import judge_of

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..run.load import Run
    from . import Outcome, Task

EACH = 100  # images of each class
PHANTOM: dict[str, Any] = {"size": "32", "phantom_count": 2000}


def learnt(task: Task, system: str, config: Mapping[str, Any], **settings: Any) -> tuple[Run, Dataset, dict[str, Any]]:
    """(run, its data, facts of the training); phantoms at 32 pixels."""
    settings |= PHANTOM if task.phantom and "data" not in settings else {}
    run, facts = trained(task, system, dict(config), **settings)
    return run, data_of(run), facts


def images_of(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(images (N, H, W, C) uint8, labels (N,), whether each is held out (N,)) of the real data, or of the phantom."""
    from ..data.dataset import open_data

    options: dict[str, Any] = PHANTOM if task.phantom else {}
    dataset = open_data(task.data, seed=task.seed, progress=False, **options)
    assert dataset.labels is not None
    held = np.isin(np.arange(len(dataset)), dataset.heldout_indices())
    return np.asarray(dataset.values), dataset.labels, held


def of_every_class(run: Run, seed: int, each: int = EACH) -> tuple[np.ndarray, np.ndarray]:
    """(images (K * each, H, W, C) uint8, the class that each was asked for), class after class."""
    count = len(run.spec.classes)
    images = [run.sample(each, seed=10_000 + seed, label=k, depth=8) for k in range(count)]
    return np.concatenate(images), np.repeat(np.arange(count), each)


def obeyed(
    task: Task, system: str, config: Mapping[str, Any], *, truth: np.ndarray | None = None, **settings: Any
) -> Outcome:  # fmt: skip
    """Train, ask for every class, and let a classifier of real images, which took no part in that, say what came.

    truth: the classes of the records, where the data that the run learnt from was given others.
    more: the same of each class, of held-out images, and the variety inside classes as a share of that of real ones.
    """
    from . import Outcome

    run, dataset, facts = learnt(task, system, config, **settings)
    labels = dataset.labels if truth is None else truth
    assert labels is not None
    held, train = dataset.heldout_indices(), dataset.train_indices()
    judge = judge_of(np.asarray(dataset.values[train]), labels[train], seed=0)
    images, asked = of_every_class(run, task.seed)
    said = judge(images)
    names = run.spec.classes
    more: dict[str, Any] = {
        "by_class": {name: float((said[asked == k] == k).mean()) for k, name in enumerate(names)},
        "judge_on_heldout": float((judge(np.asarray(dataset.values[held])) == labels[held]).mean()),
        "variety": variety(images, asked) / variety(np.asarray(dataset.values), labels),
    }
    shown = images.reshape(len(names), EACH, *images.shape[1:])[:6, :6].reshape(-1, *images.shape[1:])
    protocol = f"accuracy/judge=small-cnn/n={len(images)}"
    return Outcome(float((said == asked).mean()), protocol, more | facts, shown)


def variety(images: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance of two images of the same class, root mean square over pixels, mean over classes; EACH of a class."""
    from scipy.spatial.distance import pdist

    spread = []
    for k in np.unique(labels):
        flat = images[labels == k][:EACH].reshape(-1, int(np.prod(images.shape[1:]))).astype(np.float64)
        spread.append(float(pdist(flat).mean() / np.sqrt(flat.shape[1])))
    return float(np.mean(spread))
