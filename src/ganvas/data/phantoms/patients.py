"""Rows of a made-up clinic: numbers with several modes, a rare group, gaps, dates, and columns that depend on each other.

For trying tables against a truth that is known. Not a model of any disease: a group decides the marker, and marker and side
together decide the answer, which no correlation of two columns shows.
"""

from __future__ import annotations

import numpy as np

from ganvas.data.phantoms import PhantomData, Progress

NAMES = ("age", "diastolic", "systolic", "group", "side", "marker", "visit", "centre", "answer")
GROUPS, SHARES = ("a", "b", "rare"), (0.6, 0.36, 0.04)
MARKERS = (10.0, 30.0, 80.0)  # usual marker of each group
CENTRES = ("north", "east", "south", "west", "island")
GAPS = (0.05, 0.3, 0.05)  # share of each group whose marker is missing
FIRST_DAY, DAYS = 18_262, 1_000  # 2020-01-01, and how many days visits spread over
FLIPPED = 0.05  # share of answers that are the other way round


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """n rows; `size` and `depth` mean nothing."""
    from ganvas.kinds.table.columns import scale_of
    from ganvas.kinds.table.spec import BINARY, CLASS, DATE, NUMBER, TableSpec

    del variant, size, depth
    values = np.empty((n, len(NAMES)), np.float32)
    for index in range(n):
        values[index] = _row(np.random.default_rng([seed, index]))  # of its own: a longer draw begins with the shorter one
        if progress is not None:
            progress(index + 1, n)
    types = (NUMBER, NUMBER, NUMBER, CLASS, BINARY, NUMBER, NUMBER, CLASS, BINARY)
    texts = ((), (), (), GROUPS, ("left", "right"), (), (), CENTRES, ("no", "yes"))
    spec = TableSpec(
        NAMES, types, texts, *scale_of(list(values.T), types), tuple(name == "marker" for name in NAMES),
        (0, 0, 0, -1, -1, 1, DATE, -1, -1),
    )  # fmt: skip
    return PhantomData(values, None, (), spec=spec)


def _row(rng: np.random.Generator) -> np.ndarray:
    group, right = rng.choice(3, p=SHARES), rng.integers(2)
    age = np.clip(rng.normal((45, 60, 30)[group], 10), 18, 95).round()
    lower = np.clip(rng.normal(65 + 0.3 * age, 8), 40, 120).round()
    upper = lower + max(5, rng.normal(30 + 0.3 * age, 10)).__round__()
    marker = max(0.0, round(rng.normal(MARKERS[group], 1.5), 1))
    centre = (2 * group + right) % 5 if rng.random() < 0.7 else rng.integers(5)
    answer = (group == 0) == bool(right)
    answer ^= rng.random() < FLIPPED
    gone = rng.random() < GAPS[group]
    visit = FIRST_DAY + rng.integers(DAYS)
    return np.array([age, lower, upper, group, right, np.nan if gone else marker, visit, centre, answer], np.float32)
