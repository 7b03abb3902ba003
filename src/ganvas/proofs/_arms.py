"""What the arms of several proofs share: training that goes on where it was stopped, and distances of images to real ones."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..run.load import Run
    from . import Task


def trained(
    task: Task, system: str, config: dict[str, Any] | None = None, *, data: str | None = None, **settings: Any
) -> tuple[Run, dict[str, Any]]:
    """Train `system` as the task says, or go on with what a stopped arm has left: (the run, facts of its training).

    On a GPU only in the large form: what a proof of minutes claims, it claims of a processor.

    facts: rounds, samples, seconds (trained), processor_seconds: of all threads, which a busy machine does not stretch;
    None when the run was continued, because the time of earlier sittings is not known.
    Raises KeyboardInterrupt when the user stops it; the run then waits in the task's folder.
    """
    from ..run.load import Run
    from ..run.settings import FILE
    from ..run.train import train

    folder = task.folder / "run"
    begun = (folder / FILE).exists()
    processor = time.process_time()
    if begun:
        result = train(resume=folder, quiet=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)  # killed while it was being prepared
        source = task.data if data is None else data
        device = "auto" if task.large else "cpu"
        common: dict[str, Any] = {"budget": task.budget, "seed": task.seed, "sample_every": 0.0, "device": device}
        common |= {"threads": task.threads, "deterministic": "off" if task.large else "on", **settings}
        result = train(system, source, out=folder, config=config or {}, quiet=True, **common)
    if result["stopped"] == "signal":
        raise KeyboardInterrupt
    facts = {key: result[key] for key in ("rounds", "samples", "seconds")}
    facts["processor_seconds"] = None if begun else round(time.process_time() - processor, 1)
    return Run(folder, which="last"), facts


def data_of(run: Run) -> Dataset:
    """The data set of a run, split as it was."""
    from ..run.opening import open_record_data

    dataset: Dataset = open_record_data(run.record)
    return dataset


_features: dict[tuple[str, int, str], tuple[np.ndarray, np.ndarray]] = {}  # of real images: all arms of a seed need them


def distance_to_heldout(
    dataset: Dataset, images: np.ndarray, most: int, judge: tuple[str, Callable[[np.ndarray], np.ndarray]] | None = None
) -> tuple[float, str, dict[str, Any]]:
    """Kernel distance of 8-bit images to the held-out part of their data: (value, protocol, interval and floor).

    Features are those of the default extractor at the data's resolution, or of `judge`: its name, and a function from images
    (N, H, W, C) to (N, F). At most `most` held-out images are taken. floor: the distance of as many training images to the
    same reference, about what a perfect generator would reach.
    """
    from ..metrics import feature_protocol, image_features, kernel_distance

    size = (dataset.values.shape[1], dataset.values.shape[2])
    name, features = judge or (feature_protocol(size), lambda pixels: image_features(pixels, size=size))
    key = (dataset.fingerprint, most, name)
    if key not in _features:
        rng = np.random.default_rng(0)
        heldout, train = rng.permutation(dataset.heldout_indices())[:most], rng.permutation(dataset.train_indices())
        first, second = (features(dataset.values[np.sort(part)]) for part in (heldout, train[: len(heldout)]))
        _features[key] = first, second
    reference, real = _features[key]
    found = kernel_distance(features(images), reference, features=name, reference="heldout")
    floor = kernel_distance(real, reference, intervals=False, features=name, reference="heldout")
    return found.value, found.protocol, {"low": found.low, "high": found.high, "floor": floor.value}
