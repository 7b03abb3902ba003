"""The training stream of a run with differential privacy: turns get blank records, one objective alone the real ones.

`draw` deals what the game is played on where no record may be seen: blank records, as many as a batch has, with classes drawn
evenly. `sample` draws the real ones that one private step is made of (Poisson sampling: each person joins by a coin of its own,
with probability batch / persons, which is what the accounting of `run.privacy` needs), and `shade` the numbers of its noise.
A person is a group of records that the data says belong together (a patient): of one who joins, one record chosen at random.
All of it follows from a key and the number of the step, so any step can be returned to exactly. Not for the gradients
(`optim.private`).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..batches import Batch, Noise
from ..errors import GanvasError, RunError
from ..game import Feed
from ..kinds import encode, kind_of
from ..kinds.facets import Streams, Whole
from .dataset import Dataset
from .streams import field_names, fields_of, labels_of

JOINING, SHADING = 0, 1  # what random numbers of a step are for
KEY_BITS = 128


def new_key() -> str:
    """A secret that nobody can guess, from the operating system, in hexadecimal digits."""
    return f"{secrets.randbits(KEY_BITS):x}"


class PoissonStream:
    """Blank batches, and the real records of private steps.

    batch_size: blank records in a batch, and real ones in a sample on average. key: what all random numbers follow from, in
    hexadecimal digits; who knows it can take the noise off again. Raises GanvasError for data or a feed that is not dealt so.
    """

    def __init__(self, dataset: Dataset, feed: Feed, batch_size: int, *, key: str) -> None:
        refuse(dataset, feed)
        self.dataset, self.batch_size, self.key = dataset, batch_size, key
        self.names = field_names(dataset, feed)
        rows = dataset.train_indices()
        # Not the groups that near twins were joined to: of these one record more can make one out of two.
        of = dataset.groups if dataset.persons is None else dataset.persons
        self._rows = rows[np.argsort(of[rows], kind="stable")]
        _, self._starts, self._sizes = np.unique(of[self._rows], return_index=True, return_counts=True)
        self.persons = len(self._starts)
        if batch_size > self.persons:
            raise GanvasError(
                f"--privacy: batches of {batch_size} are drawn from at least as many records that are not of one group, and "
                f"{dataset.source} has {self.persons} to learn from: use a smaller batch, or more data"
            )
        self.rate = batch_size / self.persons
        self.steps = 0

    def configure(self, **overrides: Any) -> None:
        """Raises ValueError for any override: a phase of its own batch size or image size is refused before."""
        if overrides:
            raise ValueError(f"the private stream has no override '{sorted(overrides)[0]}'")

    def draw(self, noise: Noise) -> Batch:
        """Blank records (`batch_size`) on the noise's device, with classes drawn evenly where the data has any."""
        return self.blank(self.batch_size, noise)

    def blank(self, count: int, noise: Noise, rng: np.random.Generator | None = None) -> Batch:
        """`count` blank records; with `rng` random ones, which are no more real."""
        fields = {}
        for name, own in self.names.items():
            spec = self.dataset.fields[own].spec
            fields[name] = encode(kind_of(spec.kind).blank(spec, count, rng), spec, noise.generator.device)
        classes = 0 if self.dataset.labels is None else len(self.dataset.spec.classes)
        return Batch(noise, fields, noise.integers(classes, count) if classes else None)

    def sample(self, noise: Noise) -> Batch:
        """The real records of the next step, none to all of them; counts the step."""
        rng = self._random(JOINING)
        joined = np.flatnonzero(rng.random(self.persons) < self.rate)
        rows = self._rows[self._starts[joined] + rng.integers(self._sizes[joined])] if len(joined) else self._rows[:0]
        self.steps += 1
        return Batch(
            noise,
            fields_of(self.dataset, self.names, dict.fromkeys(self.names, rows), noise),
            labels_of(self.dataset, rows, noise),
        )

    def shade(self, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Standard normal numbers of the shape and dtype of each tensor, for the step that was sampled last."""
        rng = self._random(SHADING, self.steps - 1)
        found = {}
        for name, tensor in like.items():
            numbers = torch.from_numpy(rng.standard_normal(tuple(tensor.shape)))
            found[name] = numbers.to(tensor.device, tensor.dtype)
        return found

    def _random(self, purpose: int, step: int | None = None) -> np.random.Generator:
        words = [int(self.key, 16), self.steps if step is None else step, purpose]
        return np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence(words)))

    @property
    def largest(self) -> int:
        """Records of the person who has most."""
        return int(self._sizes.max())

    def state(self) -> dict[str, Any]:
        """The key and the number of steps; what they lead to follows."""
        return {"key": self.key, "steps": self.steps, "persons": self.persons}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue at a saved step. Raises RunError when the data has another number of persons."""
        if state["persons"] != self.persons:
            raise RunError(
                f"{self.dataset.source}: the run was trained on {state['persons']} persons, now there are {self.persons}: put "
                "the data back, or start a new run with --init-from"
            )
        self.key, self.steps = str(state["key"]), int(state["steps"])


def refuse(dataset: Dataset, feed: Feed) -> None:
    """Raises GanvasError for data whose records are not dealt one by one, each by chance."""
    kind = kind_of(dataset.spec.kind)
    if isinstance(kind, Streams | Whole):
        raise GanvasError(f"--privacy: {kind.name} data is dealt in a way of its own, not record by record: train without it")
    if feed.of or feed.second or feed.labelled or feed.balanced:
        raise GanvasError(
            "--privacy: this system is dealt classes, pairs or chosen records apart: take one that learns from all"
        )
