"""Windows of five sensors of a pump that depend on each other, normal or with one planted fault.

For trying anomaly detection against a truth that is known to the step. Not a model of any machine: a load that swings at two
rates drives speed, pressure, flow and current with fixed lags, and the temperature follows the current slowly.

    spike   one sensor reads far off for one to three steps
    drift   one sensor runs away in a straight line until the end
    stuck   one sensor repeats the value of its first bad step
    phase   one sensor follows the load as if it came at another time: each value is usual, their relation is not

In each window the bad steps are `first` to `last` (inclusive) of its facts.
"""

from __future__ import annotations

import numpy as np

from ganvas.data.phantoms import SENSOR_CLASSES, PhantomData, Progress

NAMES = ("speed", "pressure", "flow", "current", "temperature")
UNITS = np.array([(1450.0, 60.0), (4.0, 0.5), (32.0, 3.0), (6.5, 0.9), (61.0, 4.0)])
"""Of each sensor, in rpm, bar, l/min, A and degrees Celsius: usual value, and what a load of 1 adds."""
LAGS = np.array([0.0, 1.5, 3.0, 0.5, 0.0])  # steps behind the load
NOISE = 0.05  # standard deviation, in loads
STEP = 1.0  # seconds
SLOW = 12.0  # steps in which the temperature comes two thirds of the way


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """Windows of size[0] steps. Without a variant: half of them normal, the others in equal parts, labelled."""
    from ganvas.kinds.series.kind import measured

    length = size[0]
    values = np.empty((n, length, len(NAMES)), np.float32)
    labels = np.empty(n, np.int64)
    facts = []
    for index in range(n):
        rng = np.random.default_rng([seed, index])  # of its own, so that a longer draw begins with the shorter one
        drawn = int(rng.integers(2 * len(SENSOR_CLASSES) - 2)) - (len(SENSOR_CLASSES) - 2)
        label = max(0, drawn) if variant is None else SENSOR_CLASSES.index(variant)
        loads, fact = _window(rng, length, SENSOR_CLASSES[label])
        values[index] = UNITS[:, 0] + UNITS[:, 1] * loads
        labels[index] = label
        facts.append(fact)
        if progress is not None:
            progress(index + 1, n)
    classes = SENSOR_CLASSES if variant is None else ()
    return PhantomData(
        values, labels if classes else None, classes, facts=facts, spec=measured(values, NAMES, STEP, classes)
    )  # fmt: skip


def _load(times: np.ndarray, swings: np.ndarray) -> np.ndarray:
    """The load at any times, about -1.4 to 1.4. swings (2, 3): strength, period in steps and phase of each."""
    return (swings[:, :1] * np.sin(2 * np.pi * times / swings[:, 1:2] + swings[:, 2:3])).sum(0)


def _window(rng: np.random.Generator, length: int, fault: str) -> tuple[np.ndarray, dict]:
    """(length, 5) in loads, and what is true of it."""
    swings = np.stack([rng.uniform((0.7, 0.2), (1.0, 0.4)), rng.uniform((18, 6), (24, 8)), rng.uniform(0, 2 * np.pi, 2)], 1)
    begin = -int(5 * SLOW)  # the temperature has a past
    times = np.arange(begin, length, dtype=np.float64)
    loads = np.stack([_load(times - lag, swings) for lag in LAGS], 1)
    loads[:, 3] = loads[:, 3] ** 2 - 0.5  # current, whichever way the load swings
    heat = np.exp(-np.arange(len(times)) / SLOW) / SLOW
    loads[:, 4] = 2 * np.convolve(loads[:, 3], heat)[: len(times)]
    loads = loads[-length:] + NOISE * rng.standard_normal((length, len(NAMES)))
    fact: dict = {"fault": fault}
    if fault == "normal":
        return loads, fact
    first = int(rng.integers(length // 8, length // 2 + 1))
    last = length - 1
    which = int(rng.integers(4))  # of the four that swing with the load
    if fault == "spike":
        which = int(rng.integers(5))
        last = first + int(rng.integers(3))
        loads[first : last + 1, which] += rng.choice((-1, 1)) * rng.uniform(1.5, 3)
    elif fault == "drift":
        which = int(rng.integers(5))
        loads[first:, which] += rng.choice((-1, 1)) * rng.uniform(1.5, 3) * np.linspace(0, 1, length - first)
    elif fault == "stuck":
        loads[first:, which] = loads[first, which]
    else:
        late = _load(np.arange(first, length) - LAGS[which] - swings[0, 1] * rng.uniform(0.25, 0.5), swings)
        usual = late**2 - 0.5 if which == 3 else late
        loads[first:, which] = usual + NOISE * rng.standard_normal(length - first)
    return loads, fact | {"sensor": NAMES[which], "first": first, "last": last}
