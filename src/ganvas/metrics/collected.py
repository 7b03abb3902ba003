"""Features or images gathered a batch at a time, or by several processes, for the metrics that need every sample at once.

Not for a Frechet distance of very many samples: `ganvas.metrics.FeatureMoments` keeps d^2 numbers instead of N d.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np

from ganvas.errors import GanvasError
from ganvas.metrics.sets import feature_matrix

_CHUNK = 2**22  # numbers: 16 MB of float32


class Collected:
    """A growing set of features (N, d), float32 or float64, or of images (N, H, W) or (N, H, W, C), uint8 or uint16.

    They keep the type they come in, and are copied into chunks of 4 million numbers (or one update, if larger), so that many
    small updates cost no more than a few large ones.
    """

    def __init__(self) -> None:
        self._chunks: list[np.ndarray] = []
        self._used = 0  # rows of the last chunk
        self._shape: tuple[int, ...] = (0,)  # of one record

    def __len__(self) -> int:
        return sum(len(chunk) for chunk in self._chunks[:-1]) + self._used

    def update(self, features: Any) -> None:
        """Add features or images. Raises GanvasError for another shape or number type than before, NaN or infinity."""
        if isinstance(features, np.ndarray) and features.dtype in (np.uint8, np.uint16) and features.ndim in (3, 4):
            matrix, shape = features.reshape(len(features), -1), features.shape[1:]
        else:
            matrix = feature_matrix(features)
            shape = matrix.shape[1:]
        if self._chunks:
            last = self._chunks[-1]
            if shape != self._shape:
                ours, theirs = ("x".join(map(str, s)) for s in (shape, self._shape))
                raise GanvasError(f"records of {ours} numbers cannot join those of {theirs}; use one extractor or size")
            if matrix.dtype != last.dtype:
                raise GanvasError(f"features in {matrix.dtype} cannot join those in {last.dtype}; convert one of them")
            room = min(len(last) - self._used, len(matrix))
            last[self._used : self._used + room] = matrix[:room]
            self._used += room
            matrix = matrix[room:]
        self._shape = shape
        if len(matrix):
            chunk = np.empty((max(len(matrix), _CHUNK // matrix.shape[1]), matrix.shape[1]), matrix.dtype)
            chunk[: len(matrix)] = matrix
            self._chunks.append(chunk)
            self._used = len(matrix)

    def merge(self, other: Collected) -> None:
        """Add what another accumulator gathered."""
        for part in other._parts():
            self.update(part.reshape(len(part), *other._shape))

    def _parts(self) -> list[np.ndarray]:
        return [*self._chunks[:-1], self._chunks[-1][: self._used]] if self._chunks else []

    @property
    def features(self) -> np.ndarray:
        """All features (N, d) or images, in the order they came; (0, 0) before the first."""
        return np.concatenate(self._parts()).reshape(-1, *self._shape) if self._chunks else np.empty((0, 0), np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """Plain arrays for `from_state`, in another process say."""
        return {"features": self.features}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Collected:
        """The accumulator whose `state` this is."""
        made = cls()
        if len(state["features"]):
            made.update(state["features"])
        return made

    def compute(self, metric: Callable[..., Any], *others: Any, **options: Any) -> Any:
        """`metric(features, *others, **options)`: `compute(frechet_distance, reference, features="mine")`, say.

        Other accumulators among `others` give their features. Samples are put in an order of their own content first, so
        that metrics which draw samples give the same whatever the order of updates and merges.
        """
        sets = [other._ordered() if isinstance(other, Collected) else other for other in others]
        return metric(self._ordered(), *sets, **options)

    def _ordered(self) -> np.ndarray:
        features = self.features
        keys = [blake2b(row.tobytes(), digest_size=16).digest() for row in features]
        return features[np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)]
