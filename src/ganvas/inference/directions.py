"""Directions in latent space that change a property with a name: `ganvas sample RUN --move brightness=+2`.

Every system draws its latents from `Noise`, so they are recorded and moved there, whatever the system: they are the first
normal or uniform numbers of a draw. Uniform ones are taken through the normal distribution, and never leave their range.
A direction is found by ridge regression of a property on the latents of some hundred samples; linear directions have been
found to serve well (Shen et al. 2020, arXiv 1907.10786; Haerkoenen et al. 2020, arXiv 2004.02546). The property is taken by its
rank, so that outliers and units do not matter. Moving by +2 moves every latent by two standard deviations along it.
Directions are not made independent of one another: what goes together in the data goes together here.

Not for systems that draw step by step from noise of their own, and not for labels (`--label`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..batches import Noise
from ..errors import GanvasError, did_you_mean
from ..kinds import decode, kind_of
from ..kinds.facets import Named

VERSION = 1  # of what is kept
BATCH = 64
FEWEST, MOST = 512, 2048  # samples to learn from; four for every latent within these
AGREEING = 0.2  # correlation on samples the regression did not see, from which a direction counts: 4 sigma at 512
FARTHEST = 6.0  # standard deviations
EDGE = 1e-6  # of uniform numbers, so that none lies at infinity


@dataclass(frozen=True)
class Direction:
    """vector: (D,) float64 of length 1. agreement: correlation of what it foretells with the property's rank, on samples it was
    not learnt from."""

    vector: np.ndarray
    agreement: float

    @property
    def serves(self) -> bool:
        return self.agreement >= AGREEING


class Moved(Noise):
    """The noise of one draw, whose first normal or uniform numbers, the latents, are recorded and moved.

    latents: (count, D) float64, as standard normal numbers, before they were moved; None until they were drawn.
    """

    def __init__(self, noise: Noise, move: Tensor | None = None) -> None:
        super().__init__(noise.generator, noise.rank, noise.world, noise.dtype)
        self.move = move
        self.latents: Tensor | None = None

    def normal(self, count: int, *shape: int) -> Tensor:
        drawn = super().normal(count, *shape)
        if self.latents is not None:
            return drawn
        self.latents = drawn.double().reshape(count, -1)
        return drawn if self.move is None else self._moved().reshape(drawn.shape).to(drawn.dtype)

    def uniform(self, count: int, *shape: int) -> Tensor:
        drawn = super().uniform(count, *shape)
        if self.latents is not None:
            return drawn
        self.latents = torch.special.ndtri(drawn.double().clamp(EDGE, 1 - EDGE)).reshape(count, -1)
        return drawn if self.move is None else torch.special.ndtr(self._moved()).reshape(drawn.shape).to(drawn.dtype)

    def _moved(self) -> Tensor:
        assert self.latents is not None and self.move is not None
        return self.latents + self.move.to(self.latents)


def properties_of(records: np.ndarray, spec: Any) -> dict[str, np.ndarray]:
    """Named properties (N,) of records in file units: see `facets.Named`."""
    kind = kind_of(spec.kind)
    return kind.properties(records, spec) if isinstance(kind, Named) else {}


def find_directions(system: Any, spec: Any, *, seed: int = 0) -> dict[str, Direction]:
    """Directions of a system that offers `Samples`, in evaluation mode, by the name of their property.

    Properties that hardly vary, or that fewer than half of the samples have, are left out; those that the latents do not
    foretell are there, but do not serve.
    """
    parameter = next(system.parameters())
    noise = Noise.seeded(seed, parameter.device, parameter.dtype)
    latents: list[np.ndarray] = []
    found: list[dict[str, np.ndarray]] = []
    wanted = FEWEST
    while len(latents) * BATCH < wanted:
        recorded = Moved(noise)
        with torch.no_grad():
            records = decode(system.sample(BATCH, recorded, None), spec)
        if recorded.latents is None:
            return {}
        latents.append(recorded.latents.cpu().numpy())
        found.append(properties_of(records, spec))
        if not found[0]:
            return {}
        wanted = min(max(FEWEST, 4 * recorded.latents.shape[1]), MOST)
    points = np.concatenate(latents)
    directions = {}
    for name in found[0]:
        values = np.concatenate([part[name] for part in found])
        there = np.isfinite(values)
        if 2 * there.sum() >= len(values) and len(np.unique(values[there])) > 2:
            directions[name] = _regressed(points[there], values[there])
    return directions


def _regressed(points: np.ndarray, values: np.ndarray) -> Direction:
    from scipy.stats import norm, rankdata
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict

    goal = norm.ppf((rankdata(values) - 0.5) / len(values))
    model = RidgeCV(alphas=np.logspace(-1, 4, 11))
    foretold = cross_val_predict(model, points, goal, cv=KFold(5))
    agreement = float(np.corrcoef(foretold, goal)[0, 1]) if foretold.std() > 0 else 0.0
    vector = model.fit(points, goal).coef_
    return Direction(vector / max(float(np.linalg.norm(vector)), 1e-12), agreement)


# Of a run, kept beside its checkpoints


def directions_of(run: Any, say: Callable[[str], None] | None = None) -> dict[str, Direction]:
    """The directions of a run (`run.load.Run`): kept in `checkpoints/directions.npz` for the same weights and settings.

    say: told when they have to be found. Raises GanvasError for a run that makes nothing from noise.
    """
    from ..capabilities import Samples

    system: Any = run.system
    if not isinstance(system, Samples):
        raise GanvasError(f"{run.record.path}: {run.record.card.name} makes nothing from noise alone: there is nothing to move")

    def find() -> dict[str, np.ndarray]:
        if say is not None:
            say(f"directions: found once for these weights, from {FEWEST} samples or more")
        found = find_directions(run.system, run.spec)
        return {
            "names": np.array(list(found), dtype=str),
            "vectors": np.array([one.vector for one in found.values()]),
            "agreements": np.array([one.agreement for one in found.values()]),
        }

    held = run.kept("directions", VERSION, find)
    names = [str(name) for name in held["names"]]
    return {name: Direction(held["vectors"][k], float(held["agreements"][k])) for k, name in enumerate(names)}


def move_along(directions: Mapping[str, Direction], moves: Mapping[str, float]) -> Tensor:
    """The sum of the moves, (D,). Raises GanvasError for unknown properties, directions that do not serve, moves too far."""
    serving = [name for name, direction in directions.items() if direction.serves]
    known = ", ".join(serving) if serving else "none"
    total = np.zeros(len(next(iter(directions.values())).vector) if directions else 1)
    for name, amount in moves.items():
        if name not in directions:
            close = did_you_mean(name, list(directions))
            raise GanvasError(f"--move {name}: this run has no such direction{close}; its directions: {known}")
        if name not in serving:
            raise GanvasError(
                f"--move {name}: the latents of this run hardly say anything of it (correlation "
                f"{directions[name].agreement:.2f} on unseen samples); its directions: {known}"
            )
        if not -FARTHEST <= amount <= FARTHEST:
            raise GanvasError(f"--move {name}={amount:g} is too far: -{FARTHEST:g} to {FARTHEST:g} standard deviations")
        total = total + amount * directions[name].vector
    return torch.from_numpy(total)
