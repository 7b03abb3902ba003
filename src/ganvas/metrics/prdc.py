"""Precision, recall, density and coverage of generated features against real ones, from balls around the samples.

A ball goes around every sample, as wide as the distance to its k-th nearest neighbour in its own set. Precision: the share of
generated samples inside a real ball. Recall: the share of real samples inside a generated ball (Kynkaanniemi et al. 2019,
arXiv 1904.06991). Density: how many real balls hold a generated sample, over k. Coverage: the share of real balls that hold
one (Naeem et al. 2020, arXiv 2002.09797). "Inside" is strict; ties are decided in float64.

All four depend on the number of samples, so both sets are brought to the same one. Not for raw pixels, where Euclidean
distance says little, and not for judging copies: a generator that copies its training set scores best.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ganvas.errors import GanvasError
from ganvas.metrics.measure import Measure
from ganvas.metrics.neighbours import Pairs, nearest, radii
from ganvas.metrics.sets import NORMAL_95, drawn, feature_pair, share_interval

NAMES = ("precision", "recall", "density", "coverage")


def precision_recall_density_coverage(
    generated: Any,
    real: Any,
    *,
    k: int = 5,
    features: str = "given",
    reference: str = "given",
    intervals: bool = True,
    seed: int = 0,
    device: str = "cpu",
) -> dict[str, Measure]:
    """The four numbers, under the keys `precision`, `recall`, `density` and `coverage`.

    generated: (N, d). real: (M, d). The larger set is drawn down to the size of the smaller one at random (from `seed`).
    k: the neighbour that gives a ball its radius. Precision, recall and coverage lie in [0, 1]; density is 0 or above, 1
    expected for equal distributions.

    The 95 % intervals add two variances: of the share (or mean) over the samples that are judged, and the delete-one
    jackknife over the samples that judge them (for the shares with the other balls kept as they are); for the shares the
    sum becomes an effective number of samples in a Wilson interval. They treat samples as independent.

    The protocol reads `precision/<features>/k=5/n=N/m=M/ref=<reference>`, with `/drawn-from=N,M/seed=0` before the
    reference when one set was drawn down. more: n, m, k; `expected_same` of density (1) and coverage
    (1 - prod_{t=1..k} (N - t)/(2N - t), exact): the mean for two sets of the same distribution. None is known for the
    other two: compare with real against real.

    Raises GanvasError for unequal widths, NaN or infinity, k below 1, and sets of k + 1 samples or fewer.
    """
    if k < 1:
        raise GanvasError(f"k={k}: give a neighbour from 1 on")
    g, r = feature_pair(generated, real, least=k + 2, what=f"precision and recall with k={k}")
    sizes, size = (len(g), len(r)), min(len(g), len(r))
    g, r = (part if len(part) == size else part[drawn(len(part), size, seed)] for part in (g, r))
    balls = _Balls(g, r, k, device)

    same = float(1 - np.prod([(size - t) / (2 * size - t) for t in range(1, k + 1)]))
    drawing = "" if sizes[0] == sizes[1] else f"/drawn-from={sizes[0]},{sizes[1]}/seed={seed}"
    found = {}
    for name in NAMES:
        low = high = None
        if name == "density":
            value, variance = balls.density()
            if intervals:
                half = NORMAL_95 * float(np.sqrt(variance))
                low, high = max(0.0, value - half), value + half
        else:
            value, from_partners = getattr(balls, name)()
            if intervals:
                # The effective number takes a share that is never quite 0 or 1 (Agresti and Coull 1998).
                inner = (value * size + 2) / (size + 4)
                own = inner * (1 - inner)
                low, high = share_interval(value, own / (own / size + from_partners))
        more: dict[str, Any] = {"n": size, "m": size, "k": k}
        if name in ("density", "coverage"):
            more["expected_same"] = 1.0 if name == "density" else same
        protocol = f"{name}/{features}/k={k}/n={size}/m={size}{drawing}/ref={reference}"
        found[name] = Measure(value, protocol, low, high, more)
    return found


class _Inside:
    """Which judged samples lie in which balls, as counts a sample and a ball, and the only partner of those with one."""

    def __init__(self, judged: int, balls: int) -> None:
        # Columns: how many partners, and the sum of their numbers, which is the partner itself where there is one.
        self.of_judged, self.of_balls = np.zeros((judged, 2)), np.zeros((balls, 2))

    def add(self, judged: np.ndarray, balls: np.ndarray) -> None:
        for table, own, partner in ((self.of_judged, judged, balls), (self.of_balls, balls, judged)):
            np.add.at(table[:, 0], own, 1.0)
            np.add.at(table[:, 1], own, partner.astype(np.float64))


class _Balls:
    """Both sets of balls and who lies in them, from one pass over all pairs."""

    def __init__(self, g: np.ndarray, r: np.ndarray, k: int, device: str) -> None:
        import torch

        g_radius = radii(g, k, device=device)
        distances, neighbours = nearest(r, r, k + 1, exclude_self=True, device=device)
        r_radius, wider = distances[:, k - 1], distances[:, k]
        self.k, self.neighbours = k, neighbours[:, :k]
        self.in_wider = np.zeros(len(r))  # generated samples within the (k + 1)-th neighbour's distance
        pairs = Pairs(g, r, device=device)
        self.real, self.made = _Inside(len(g), len(r)), _Inside(len(r), len(g))
        for part in pairs.row_blocks():
            for start, block in pairs.squared(part):
                columns = np.arange(start, start + block.shape[1])
                # Half-width of doubt of every pair: beyond it float32 decides, within it the exact distance does.
                doubt = torch.from_numpy(pairs.squares[0][part] * pairs.error).to(block)[:, None]
                doubt = doubt + torch.from_numpy(pairs.squares[1][columns] * pairs.error).to(block)
                limit = torch.from_numpy((wider[columns] / pairs.scale) ** 2).to(block)
                self.in_wider[columns] += (block < limit).sum(dim=0).cpu().numpy()
                block += doubt  # a pair is inside for sure when even this is below the squared radius
                lowest = doubt.mul_(-2).add_(block)  # and outside for sure when this is not
                for inside, radius, across in (
                    (self.real, r_radius[columns][None], False),
                    (self.made, g_radius[part][:, None], True),
                ):
                    limit = torch.from_numpy((radius / pairs.scale) ** 2).to(block)
                    sure = block < limit
                    self._count(inside, sure.to(block.dtype), part, columns, across)
                    row, place = torch.nonzero((lowest < limit) ^ sure, as_tuple=True)
                    rows, places = part[row.cpu().numpy()], columns[place.cpu().numpy()]
                    kept = pairs.exact(rows, places) < (g_radius[rows] if across else r_radius[places])
                    judged, balls = (places, rows) if across else (rows, places)
                    inside.add(judged[kept], balls[kept])

    @staticmethod
    def _count(inside: _Inside, sure: Any, part: np.ndarray, columns: np.ndarray, across: bool) -> None:
        import torch

        of_rows, of_columns = (inside.of_balls, inside.of_judged) if across else (inside.of_judged, inside.of_balls)
        row_numbers, column_numbers = (torch.arange(len(p), dtype=sure.dtype, device=sure.device) for p in (part, columns))
        # Numbers within the block keep the sums of float32 exact; the sum of numbers counts only where it has one term.
        for table, own, partner, count, numbers in (
            (of_rows, part, columns, sure.sum(dim=1), sure @ column_numbers),
            (of_columns, columns, part, sure.sum(dim=0), row_numbers @ sure),
        ):
            counts = count.cpu().numpy().astype(np.float64)
            table[own, 0] += counts
            table[own, 1] += numbers.cpu().numpy() + partner[0] * counts

    def precision(self) -> tuple[float, float]:
        """Share of the generated inside a real ball, and its variance over the real samples."""
        return _share(self.real.of_judged, len(self.real.of_balls))

    def recall(self) -> tuple[float, float]:
        """Share of the real inside a generated ball, and its variance over the generated samples."""
        return _share(self.made.of_judged, len(self.made.of_balls))

    def coverage(self) -> tuple[float, float]:
        """Share of the real balls that hold a generated sample, and its variance over the generated samples."""
        return _share(self.real.of_balls, len(self.real.of_judged))

    def density(self) -> tuple[float, float]:
        """Mean number of real balls a generated sample lies in, over k, and its variance over both sets.

        A real sample that is left out takes its ball away, and the balls it bounded or lay in grow to their next neighbour.
        """
        of_made, of_real = self.real.of_judged[:, 0] / self.k, self.real.of_balls[:, 0] / self.k
        growth = np.repeat(self.in_wider / self.k - of_real, self.k)
        lost = of_real - np.bincount(self.neighbours.ravel(), weights=growth, minlength=len(of_real))
        variance = of_made.var(ddof=1) / len(of_made) + (len(lost) - 1) * (lost / len(of_made)).var()
        return float(of_made.mean()), float(variance)


def _share(table: np.ndarray, partners: int) -> tuple[float, float]:
    """The share of those judged that have a partner, and the delete-one jackknife variance over the partners."""
    alone = np.bincount(table[table[:, 0] == 1, 1].astype(np.int64), minlength=partners)  # have this partner and no other
    return float((table[:, 0] > 0).mean()), (partners - 1) * float((alone / len(table)).var())
