"""The training stream: endless shuffled batches from a data set, whose position is one number.

Record k of the stream is entry k mod n of the permutation of epoch k div n, so batches run across epochs, none is smaller
than the others, and any position can be returned to exactly. Several processes cut each batch into contiguous shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..batches import Batch, Domains, Image, Noise, make_batch
from ..errors import GanvasError, RunError
from ..kinds import is_kind, kind_of
from .dataset import Dataset


class DatasetStream:
    """Batches of a Dataset's training part, or of its records of one class.

    batch_size: over all processes. seed: of the order. only: the class, an index into the spec's classes.
    Raises GanvasError when the batch cannot be shared equally.
    """

    def __init__(self, dataset: Dataset, batch_size: int, *, seed: int = 0, world: int = 1, only: int | None = None) -> None:
        if batch_size % world:
            raise GanvasError(f"a batch of {batch_size} cannot be shared by {world} processes: use a multiple of {world}")
        self.dataset = dataset
        self.indices = dataset.train_indices()
        if only is not None:
            labels = np.full(len(dataset.values), -1) if dataset.labels is None else dataset.labels
            self.indices = self.indices[labels[self.indices] == only]
        if len(self.indices) == 0:
            of = "" if only is None else f" of class '{dataset.spec.classes[only]}'"
            raise GanvasError(f"{dataset.source}: no record{of} is left for training; lower --heldout")
        self.seed = seed
        self.position = 0
        self._own_batch_size = batch_size
        self.configure()
        self._orders: dict[int, np.ndarray] = {}

    def configure(self, **overrides: Any) -> None:
        """A phase's own `batch_size` and `size` ((height, width) to which images are averaged down), or the run's.

        Raises ValueError for any other override.
        """
        unknown = overrides.keys() - {"batch_size", "size"}
        if unknown:
            raise ValueError(f"the stream has no override '{sorted(unknown)[0]}'; known: batch_size, size")
        self.batch_size = overrides.get("batch_size", self._own_batch_size)
        self.size: tuple[int, int] | None = overrides.get("size")

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            order = self.indices[np.random.default_rng([self.seed, epoch]).permutation(len(self.indices))]
            self._orders = {k: v for k, v in self._orders.items() if k >= epoch - 1}
            self._orders[epoch] = order
        return self._orders[epoch]

    def draw(self, noise: Noise) -> Batch:
        """The next batch: this process's share, encoded on the noise's device.

        Raises RunError when the cached data has vanished.
        """
        count = len(self.indices)
        share = self.batch_size // noise.world
        start = self.position + noise.rank * share
        self.position += self.batch_size
        places, chosen = start, []
        while places < start + share:
            epoch, offset = divmod(places, count)
            take = min(count - offset, start + share - places)
            chosen.append(self._order(epoch)[offset : offset + take])
            places += take
        rows = np.concatenate(chosen) if len(chosen) > 1 else chosen[0]
        try:
            values = self.dataset.values[rows]
        except (OSError, ValueError, SystemError) as error:
            raise RunError(f"{self.dataset.source}: the data vanished during training ({error})") from error
        labels = None if self.dataset.labels is None else self.dataset.labels[rows]
        batch = make_batch(values, labels, self.dataset.spec, noise)
        if self.size is not None and isinstance(batch, Image):
            batch.images = torch.nn.functional.interpolate(batch.images, size=self.size, mode="area")
        return batch

    def state(self) -> dict[str, Any]:
        """The position; the order follows from the seed."""
        return {"position": self.position, "records": len(self.indices)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue at a saved position. Raises RunError when the data has another number of records."""
        if state["records"] != len(self.indices):
            raise RunError(
                f"{self.dataset.source}: the run was trained on {state['records']} records, now there are "
                f"{len(self.indices)}: put the data back, or start a new run with --init-from"
            )
        self.position = state["position"]


class DomainsStream:
    """Batches of two classes side by side, unpaired: each class has its own order and comes round in its own time."""

    def __init__(self, a: DatasetStream, b: DatasetStream) -> None:
        self.a, self.b = a, b

    @property
    def batch_size(self) -> int:
        """Records of each domain in a batch, over all processes."""
        return self.a.batch_size

    def configure(self, **overrides: Any) -> None:
        """As of `DatasetStream`, for both."""
        self.a.configure(**overrides)
        self.b.configure(**overrides)

    def draw(self, noise: Noise) -> Batch:
        """The next batch of both."""
        a, b = self.a.draw(noise), self.b.draw(noise)
        assert isinstance(a, Image) and isinstance(b, Image)
        return Domains(noise, None, a.images, b.images)

    def state(self) -> dict[str, Any]:
        """The positions of both."""
        return {"a": self.a.state(), "b": self.b.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue at saved positions. Raises RunError when the data has another number of records."""
        self.a.restore(state["a"])
        self.b.restore(state["b"])


def shown_batch(dataset: Dataset, domains: tuple[int, ...], count: int, noise: Noise) -> Batch:
    """A fixed batch for pictures during training: `count` records spread over the held-out part (over all, if none is)."""

    def spread(only: int | None) -> Batch:
        indices = dataset.heldout_indices()
        if not len(indices):
            indices = np.arange(len(dataset.values))
        if only is not None and dataset.labels is not None:
            of_class = indices[dataset.labels[indices] == only]
            indices = of_class if len(of_class) else np.flatnonzero(dataset.labels == only)
        rows = indices[np.linspace(0, len(indices) - 1, count).round().astype(np.int64)]
        labels = None if dataset.labels is None else dataset.labels[rows]
        return make_batch(dataset.values[rows], labels, dataset.spec, noise)

    if len(domains) < 2:
        return spread(domains[0] if domains else None)
    a, b = (spread(domain) for domain in domains)
    assert isinstance(a, Image) and isinstance(b, Image)
    return Domains(noise, None, a.images, b.images)


def open_stream(dataset: Dataset, domains: tuple[int, ...], batch_size: int, *, seed: int = 0, world: int = 1) -> Any:
    """The stream `data` of a system, from the classes it wants (`System.domains`), or that of the kind of data."""
    own = kind_of(dataset.spec.kind).stream(dataset, batch_size, seed, world) if is_kind(dataset.spec.kind) else None
    if own is not None:
        return own
    if len(domains) < 2:
        return DatasetStream(dataset, batch_size, seed=seed, world=world, only=domains[0] if domains else None)
    # Other orders for the second domain: where both have as many records, equal orders would pair them.
    a, b = (
        DatasetStream(dataset, batch_size, seed=seed + 7919 * i, world=world, only=domain) for i, domain in enumerate(domains)
    )
    return DomainsStream(a, b)
