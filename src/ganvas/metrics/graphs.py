"""Statistics of a graph, as the field compares graphs by them, and what two graphs or scores of links have in common.

A graph is edges (E, 2) of whole numbers, each pair once and no loops, over `nodes` nodes. Definitions follow Bojchevski et al.
2018 (arXiv 1803.00816), table 2 and appendix, but for the clustering, which there divides by claws: both are given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ganvas.errors import GanvasError

MOST_SOURCES = 1000  # nodes from which paths are measured
SWAPS = 10  # tries of a rewiring, for each edge
REWIRED = "rewired"

STATISTICS = {
    "max_degree": "largest degree",
    "assortativity": "assortativity",
    "triangles": "triangles",
    "power_law": "power-law exponent",
    "wedges": "wedges",
    "claws": "claws",
    "clustering": "clustering (3 triangles / wedges)",
    "triangles_per_claw": "3 triangles / claws",
    "largest_part": "nodes of the largest part",
    "path_length": "mean path length",
}


def adjacency(edges: np.ndarray, nodes: int) -> Any:
    """The symmetric adjacency (N, N) of a graph, scipy CSR, float64. Raises GanvasError for edges that are none."""
    from scipy.sparse import csr_matrix

    pairs = np.asarray(edges).astype(np.int64).reshape(-1, 2)
    if len(pairs) and not (pairs.min() >= 0 and pairs.max() < nodes):
        raise GanvasError(f"an edge names a node outside 0 to {nodes - 1}")
    matrix = csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
    matrix = matrix + matrix.T
    if len(pairs) and (matrix.data > 1).any():
        raise GanvasError("an edge is there twice, or leads from a node to itself: give each pair once")
    return matrix


def statistics(edges: np.ndarray, nodes: int, *, seed: int = 0) -> dict[str, float]:
    """Every statistic of `STATISTICS`. seed: of the choice of 1000 nodes that paths are measured from, where there are more.

    power_law: 1 + n / sum ln(d / d_min), the continuous maximum likelihood from the smallest degree on (Clauset et al. 2009,
    eq. 3.1). path_length: the mean over pairs of the largest part.
    """
    from scipy.sparse.csgraph import connected_components, shortest_path

    matrix = adjacency(edges, nodes)
    degrees = np.asarray(matrix.sum(0)).ravel()
    wedges = float((degrees * (degrees - 1) / 2).sum())
    claws = float((degrees * (degrees - 1) * (degrees - 2) / 6).sum())
    triangles = float(round((matrix @ matrix).multiply(matrix).sum() / 6))
    there = degrees[degrees > 0]
    logs = float(np.log(there / there.min()).sum()) if len(there) else 0.0
    _, place = connected_components(matrix, directed=False)
    inside = np.flatnonzero(place == np.bincount(place).argmax())
    sources = inside
    if len(inside) > MOST_SOURCES:
        sources = np.sort(np.random.default_rng(seed).choice(inside, MOST_SOURCES, replace=False))
    apart = shortest_path(matrix, unweighted=True, directed=False, indices=sources)[:, inside]
    return {
        "max_degree": float(degrees.max(initial=0)),
        "assortativity": assortativity(edges, degrees),
        "triangles": triangles,
        "power_law": 1 + len(there) / logs if logs > 0 else float("inf"),
        "wedges": wedges,
        "claws": claws,
        "clustering": 3 * triangles / wedges if wedges else 0.0,
        "triangles_per_claw": 3 * triangles / claws if claws else 0.0,
        "largest_part": float(len(inside)),
        "path_length": float(apart.sum() / max(1, len(sources) * (len(inside) - 1))),
    }


def assortativity(edges: np.ndarray, degrees: np.ndarray) -> float:
    """Pearson's correlation of the degrees at both ends of edges (Newman 2003); 0 where all are the same."""
    pairs = np.asarray(edges).astype(np.int64)
    first, second = degrees[pairs[:, 0]], degrees[pairs[:, 1]]
    x, y = np.concatenate([first, second]), np.concatenate([second, first])
    spread = float(((x - x.mean()) ** 2).mean())
    return float(((x - x.mean()) * (y - y.mean())).mean() / spread) if spread > 0 else 0.0


def keys_of(edges: np.ndarray, nodes: int) -> np.ndarray:
    """One number for each pair, whichever way it is written, (E,) int64."""
    low, high = np.sort(np.asarray(edges).astype(np.int64).reshape(-1, 2), axis=1).T
    keys: np.ndarray = low * nodes + high
    return keys


def edge_overlap(edges: np.ndarray, reference: np.ndarray, nodes: int) -> float:
    """The share of the edges of `reference` that are among `edges`."""
    return float(np.isin(keys_of(reference, nodes), keys_of(edges, nodes)).mean())


def rewired(edges: np.ndarray, nodes: int, *, overlap: float = 0.0, seed: int = 0) -> np.ndarray:
    """The graph with its edges rewired at random, every degree kept: the configuration model without loops and double edges.

    Pairs of edges swap their ends until at most `overlap` of the edges is what it was, or ten tries an edge have been made.
    """
    rng = np.random.default_rng([seed, 0x3E1])
    pairs = [(int(a), int(b)) for a, b in np.asarray(edges)]
    count = len(pairs)

    def key(a: int, b: int) -> int:
        return a * nodes + b if a < b else b * nodes + a

    before = {key(a, b) for a, b in pairs}
    there = set(before)
    same = len(before)
    tries = (rng.integers(high, size=SWAPS * count).tolist() for high in (count, count, 2))
    for first, second, flip in zip(*tries, strict=True):
        if same <= overlap * count:
            break
        (a, b), (c, d) = pairs[first], pairs[second]
        if flip:
            c, d = d, c
        new = key(a, d), key(c, b)
        if a == d or c == b or new[0] == new[1] or new[0] in there or new[1] in there:
            continue
        old = key(a, b), key(c, d)
        there.difference_update(old)
        there.update(new)
        same += sum(k in before for k in new) - sum(k in before for k in old)
        pairs[first], pairs[second] = (a, d), (c, b)
    return np.array(pairs, np.asarray(edges).dtype)


def without_edge(edges: np.ndarray, nodes: int, count: int, *, seed: int = 0) -> np.ndarray:
    """`count` different pairs of nodes (count, 2) that are not among `edges`, drawn uniformly. GanvasError: too few."""
    rng = np.random.default_rng([seed, 0x40E])
    taken = np.unique(keys_of(edges, nodes))
    if nodes * (nodes - 1) // 2 - len(taken) < count:
        raise GanvasError(f"there are no {count} pairs of nodes without an edge")
    found = np.empty(0, np.int64)
    while len(found) < count:
        drawn = rng.integers(nodes, size=(2 * count + 16, 2))
        keys = keys_of(drawn[drawn[:, 0] != drawn[:, 1]], nodes)
        keys = keys[~np.isin(keys, taken)]
        both = np.concatenate([found, keys])
        _, first = np.unique(both, return_index=True)
        found = both[np.sort(first)]
    return np.stack([found[:count] // nodes, found[:count] % nodes], 1)


def adamic_adar(edges: np.ndarray, nodes: int, pairs: np.ndarray) -> np.ndarray:
    """(K,) sum of 1 / ln(degree) over the neighbours that both nodes of a pair have (Adamic and Adar 2003)."""
    from scipy.sparse import diags

    matrix = adjacency(edges, nodes)
    degrees = np.asarray(matrix.sum(0)).ravel()
    weights = np.zeros(nodes)
    weights[degrees > 1] = 1 / np.log(degrees[degrees > 1])
    common = (matrix @ diags(weights)).tocsr()[pairs[:, 0]].multiply(matrix[pairs[:, 1]])
    return np.asarray(common.sum(1)).ravel()


def low_rank(edges: np.ndarray, nodes: int, pairs: np.ndarray, rank: int) -> np.ndarray:
    """(K,) what the largest eigenvalues, `rank` of them, of the adjacency over the roots of degrees make of pairs; larger is
    likelier. rank: below `nodes`."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import eigsh

    matrix = adjacency(edges, nodes)
    scale = diags(1 / np.sqrt(np.maximum(np.asarray(matrix.sum(0)).ravel(), 1)))
    values, vectors = eigsh(scale @ matrix @ scale, k=rank, which="LM", v0=np.ones(nodes))
    found: np.ndarray = (vectors[pairs[:, 0]] * values * vectors[pairs[:, 1]]).sum(1)
    return found


def link_prediction(on_edges: np.ndarray, on_others: np.ndarray) -> dict[str, float]:
    """How well scores tell edges from other pairs: areas under the ROC and the precision-recall curve (average precision)."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth = np.concatenate([np.ones(len(on_edges)), np.zeros(len(on_others))])
    scores = np.concatenate([on_edges, on_others])
    return {"auroc": float(roc_auc_score(truth, scores)), "average_precision": float(average_precision_score(truth, scores))}


def edge_features(edges: np.ndarray, nodes: int, pairs: np.ndarray) -> np.ndarray:
    """(K, 7) float32: what a graph looks like around pairs of its nodes, the pair's own edge not counted.

    Logarithms (of 1 + x) of the smaller and larger degree, of the mean degree of the neighbours of either end (in the same
    order), of common neighbours and their Adamic-Adar sum, and the share of the smaller neighbourhood that is common.
    """
    matrix = adjacency(edges, nodes)
    first, second = np.asarray(pairs).astype(np.int64).T
    own = np.asarray(matrix[first, second]).ravel()
    degrees = np.asarray(matrix.sum(0)).ravel()
    around = np.asarray(matrix @ degrees).ravel()
    a, b = degrees[first] - own, degrees[second] - own
    near_a = (around[first] - own * degrees[second]) / np.maximum(a, 1)
    near_b = (around[second] - own * degrees[first]) / np.maximum(b, 1)
    swap = a > b
    common = np.asarray(matrix[first].multiply(matrix[second]).sum(1)).ravel()
    weighted = adamic_adar(edges, nodes, np.stack([first, second], 1))
    small, large = np.minimum(a, b), np.maximum(a, b)
    columns = [small, large, np.where(swap, near_b, near_a), np.where(swap, near_a, near_b), common, weighted]
    return np.stack([*(np.log1p(c) for c in columns), common / np.maximum(small, 1)], 1).astype(np.float32)
