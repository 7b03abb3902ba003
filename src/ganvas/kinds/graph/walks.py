"""Random walks over one graph, many at once, and the stream that trains on them. Not for reading graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError, RunError

if TYPE_CHECKING:
    from ...batches import Batch, Noise
    from ...store.records import Dataset


PROPOSED = 6  # steps that are proposed at once, of which the first that is taken counts


class Paths:
    """Where one can go: neighbours of node v are `ends[begins[v] : begins[v + 1]]`, ascending. edges: (E, 2), undirected."""

    def __init__(self, edges: np.ndarray, nodes: int) -> None:
        both = np.concatenate([edges, edges[:, ::-1]]).astype(np.int64)
        self.keys = np.unique(both[:, 0] * nodes + both[:, 1])  # of all steps, ascending
        self.nodes = nodes
        self.ends = self.keys % nodes
        self.degrees = np.bincount(self.keys // nodes, minlength=nodes)
        self.begins = np.concatenate([[0], np.cumsum(self.degrees)])

    def joined(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Whether the pairs are edges, (K,) bool."""
        wanted = first * self.nodes + second
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found: np.ndarray = self.keys[places] == wanted
        return found

    def step(self, at: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """A neighbour of each node, every one as likely. uniform: (K,) in [0, 1)."""
        neighbours: np.ndarray = self.ends[self.begins[at] + (uniform * self.degrees[at]).astype(np.int64)]
        return neighbours

    def walks(self, starts: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """(K, T) int64: walks from `starts` (K,), each step to any neighbour alike. uniform: (K, T - 1) in [0, 1)."""
        made = np.empty((len(starts), uniform.shape[1] + 1), np.int64)
        made[:, 0] = starts
        for place in range(uniform.shape[1]):
            made[:, place + 1] = self.step(made[:, place], uniform[:, place])
        return made

    def second_order(
        self, starts: np.ndarray, length: int, returning: float, roaming: float, rng: np.random.Generator
    ) -> np.ndarray:  # fmt: skip
        """(K, length) int64: walks that remember one step (node2vec; Grover and Leskovec 2016, section 3.2).

        A step from t over v to x has weight 1/returning if x is t, 1 if x is a neighbour of t, else 1/roaming. By rejection:
        a uniform neighbour is proposed and taken with its weight over the largest one.
        """
        largest = max(1 / returning, 1.0, 1 / roaming)
        made = np.empty((len(starts), length), np.int64)
        made[:, 0] = starts
        made[:, 1] = self.step(starts, rng.random(len(starts)))
        for place in range(2, length):
            left = np.arange(len(starts))
            while len(left):
                before, at = made[left, place - 2, None], made[left, place - 1, None]
                proposed = self.step(at, rng.random((len(left), PROPOSED)))
                weight = np.where(self.joined(before, proposed), 1.0, 1 / roaming)
                weight[proposed == before] = 1 / returning
                taken = rng.random(proposed.shape) * largest < weight
                found, first = taken.any(1), taken.argmax(1)
                made[left[found], place] = proposed[found, first[found]]
                left = left[~found]
        return made


class WalkStream:
    """Batches of random walks over the training edges, each from a node drawn uniformly.

    batch_size: over all processes. options: `length` (nodes of a walk), `returning` and `roaming` (node2vec's p and q).
    Everything is drawn from the game's noise: there is no order to come back to. Raises GanvasError when the batch cannot be
    shared equally, DataError when a node has no edge to leave it by.
    """

    def __init__(
        self, dataset: Dataset, batch_size: int, *, world: int = 1, options: Mapping[str, Any] | None = None
    ) -> None:  # fmt: skip
        if batch_size % world:
            raise GanvasError(f"a batch of {batch_size} cannot be shared by {world} processes: use a multiple of {world}")
        rows = dataset.train_indices()
        self.source = dataset.source
        self.count = len(rows)
        self.paths = Paths(np.asarray(dataset.values[rows]), dataset.spec.nodes)
        lonely = int((self.paths.degrees == 0).sum())
        if lonely:
            raise DataError(f"{dataset.source}: {lonely} nodes have no edge to train on: take all of its edges")
        self.drawn = 0
        self._own_batch_size = batch_size
        self._options = dict(options or {})
        self.configure()

    def configure(self, **overrides: Any) -> None:
        """A phase's own `batch_size` or options, or the run's. Raises ValueError for any other override."""
        known = {"batch_size": self._own_batch_size, "length": 16, "returning": 1.0, "roaming": 1.0, **self._options}
        unknown = overrides.keys() - known.keys()
        if unknown:
            raise ValueError(f"the stream has no override '{sorted(unknown)[0]}'; known: {', '.join(known)}")
        settings = known | overrides
        self.batch_size, self.length = int(settings["batch_size"]), int(settings["length"])
        self.returning, self.roaming = float(settings["returning"]), float(settings["roaming"])

    def draw(self, noise: Noise) -> Batch:
        """The next batch: this process's share, on the noise's device."""
        self.drawn += self.batch_size
        return self.example(self.batch_size // noise.world, noise)

    def example(self, share: int, noise: Noise) -> Batch:
        """`share` walks, which are not counted."""
        import torch

        from ...batches import REAL, Batch

        starts = noise.integers(self.paths.nodes, share).cpu().numpy()
        if self.returning == self.roaming == 1:
            made = self.paths.walks(starts, noise.uniform(share, self.length - 1).double().cpu().numpy())
        else:
            rng = np.random.default_rng(noise.integers(2**62, 1, 2)[0].tolist())
            made = self.paths.second_order(starts, self.length, self.returning, self.roaming, rng)
        return Batch(noise, {REAL: torch.from_numpy(made).to(noise.generator.device, non_blocking=True)})

    def state(self) -> dict[str, Any]:
        """How many walks were drawn, and of how many edges."""
        return {"position": self.drawn, "records": self.count}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue. Raises RunError when the graph has another number of training edges."""
        if state["records"] != self.count:
            raise RunError(
                f"{self.source}: the run was trained on {state['records']} edges, now there are {self.count}: put the data "
                "back, or start a new run"
            )
        self.drawn = state["position"]
