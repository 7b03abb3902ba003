"""One graph of three communities: a degree-corrected stochastic block model (Karrer and Newman 2011), whose truth is known.

Nodes 0 to size - 1 belong to the communities in turn. Each has a propensity, few have a large one; two nodes of one community
are joined fourteen times as readily as two of different ones. Edges are drawn one after the other in proportion to that,
without repetition, those first that join what was apart: with as many edges as nodes the graph is connected.
"""

from __future__ import annotations

import numpy as np

from ganvas.data.phantoms import PhantomData, Progress
from ganvas.errors import DataError
from ganvas.kinds.graph.spec import GraphSpec

COMMUNITIES = 3
OUTSIDE = 0.07  # readiness between communities, within them 1
TAIL = 2.2  # of the propensities (Pareto)
LARGEST = 12.0


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """n edges over size[0] nodes; what is true of each edge: whether it stays within a community."""
    nodes = size[0]
    if n > nodes * (nodes - 1) // 2:
        raise DataError(f"phantom 'communities': {nodes} nodes have no {n} pairs: ask for fewer, or more nodes with --size")
    rng = np.random.default_rng([seed, nodes])
    propensity = np.minimum(1 + rng.pareto(TAIL, nodes), LARGEST)
    group = np.arange(nodes) % COMMUNITIES
    first, second = np.triu_indices(nodes, 1)
    rate = propensity[first] * propensity[second] * np.where(group[first] == group[second], 1.0, OUTSIDE)
    # The order of exponential times is that of drawing one after the other, in proportion, without replacement.
    order = np.argsort(rng.exponential(size=len(rate)) / rate)
    parent = list(range(nodes))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    joins = np.zeros(len(order), bool)
    for place, pair in enumerate(order.tolist()):
        a, b = root(int(first[pair])), root(int(second[pair]))
        if a != b:
            parent[a] = b
            joins[place] = True
    chosen = np.concatenate([order[joins], order[~joins]])[:n]
    values = np.stack([first[chosen], second[chosen]], 1).astype(np.int32)
    facts = [{"communities": [int(group[a]), int(group[b])]} for a, b in values]
    if progress is not None:
        progress(n, n)
    return PhantomData(values, None, (), facts=facts, spec=GraphSpec(nodes))
