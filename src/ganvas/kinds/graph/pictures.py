"""A picture of graphs: how many nodes have which degree, and which nodes are joined. For people to look at."""

from __future__ import annotations

from typing import Any

import numpy as np

COMMUNITIES = 8  # looked for, to bring nodes into an order
NAMED = 12  # nodes that have their name in a picture of what is odd


def draw_graphs(graphs: list[tuple[str, np.ndarray]], nodes: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 with the degrees of all graphs in one panel, and the adjacency of each beside it.

    graphs: name and edges (E, 2). Nodes are in the order of the first graph's communities, the same for all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ...drawing import COLOURS
    from ...metrics.graphs import adjacency

    matrices = [adjacency(edges, nodes) for _, edges in graphs]
    place = np.empty(nodes, np.int64)
    place[_order(matrices[0])] = np.arange(nodes)
    figure = Figure(figsize=(4.2 * (1 + len(graphs)), 4.2), dpi=100, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(1, 1 + len(graphs), squeeze=False)[0]
    for number, ((name, _), matrix) in enumerate(zip(graphs, matrices, strict=True)):
        degrees, count = np.unique(np.asarray(matrix.sum(0)).ravel().astype(int), return_counts=True)
        there = degrees > 0
        panels[0].loglog(
            degrees[there], count[there], "o", markersize=4, alpha=0.7, color=COLOURS[number], label=name, markeredgewidth=0
        )
        both = matrix.tocoo()
        axes = panels[1 + number]
        size = min(6.0, max(0.4, 600 / nodes))
        axes.plot(place[both.col], place[both.row], "s", markersize=size, color=COLOURS[number], markeredgewidth=0)
        axes.set_xlim(-1, nodes)
        axes.set_ylim(nodes, -1)
        axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"{name}: {nodes} nodes, {matrix.nnz // 2} edges", fontsize=9)
    panels[0].set_xlabel("degree", fontsize=9)
    panels[0].set_ylabel("nodes", fontsize=9)
    panels[0].tick_params(labelsize=7)
    panels[0].spines[["top", "right"]].set_visible(False)
    if len(graphs) > 1:
        panels[0].legend(frameon=False, fontsize=8)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()


def _order(matrix: Any) -> np.ndarray:
    """Nodes by community, large ones first, and by degree within: spectral clustering (Ng, Jordan, Weiss 2001)."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import eigsh
    from sklearn.cluster import KMeans

    degrees = np.asarray(matrix.sum(0)).ravel()
    group = np.zeros(len(degrees), np.int64)
    if len(degrees) > 5 * COMMUNITIES:
        scale = diags(1 / np.sqrt(np.maximum(degrees, 1)))
        vectors = eigsh(scale @ matrix @ scale, k=COMMUNITIES, which="LA", tol=1e-3, v0=np.ones(len(degrees)))[1]
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        group = KMeans(COMMUNITIES, n_init=2, random_state=0).fit_predict(vectors)
    sizes = np.bincount(group)
    order: np.ndarray = np.lexsort((-degrees, group, -sizes[group]))
    return order


def draw_oddity(
    kept: np.ndarray, new: np.ndarray, gone: np.ndarray, alarm: np.ndarray, scores: np.ndarray, names: list[str], title: str
) -> np.ndarray:  # fmt: skip
    """A picture (H, W, 3) uint8 of a later state of a graph. Nodes lie on a circle, by the communities of what was before.

    kept, new, gone: edges (E, 2); alarm (E,) of the new ones. scores: (N,) of nodes, by which the oddest are named and large.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    from ...drawing import COLOURS
    from ...metrics.graphs import adjacency

    nodes = len(scores)
    before = np.concatenate([kept, gone])
    place = np.empty(nodes)
    place[_order(adjacency(before if len(before) else new, nodes))] = np.arange(nodes) * 2 * np.pi / nodes
    spots = np.stack([np.cos(place), np.sin(place)], 1)
    figure = Figure(figsize=(8, 8.4), dpi=100, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    thin = min(0.6, 400 / max(1, len(kept)))
    for edges, colour, width, alpha, label in (
        (kept, "#999999", thin, 0.35, "as before"),
        (new[~alarm], COLOURS[0], 0.9, 0.8, "new"),
        (new[alarm], COLOURS[1], 1.4, 0.9, "new, above the threshold"),
    ):
        axes.add_collection(LineCollection(list(spots[edges]), colors=colour, linewidths=width, alpha=alpha))
        axes.plot([], [], color=colour, linewidth=2, label=f"{label}: {len(edges)}")
    oddest = [k for k in np.argsort(-scores)[:NAMED].tolist() if scores[k] > 0]
    sizes = 4 + 90 * scores / max(float(scores.max(initial=0)), 1e-9)
    axes.scatter(spots[:, 0], spots[:, 1], s=sizes, color="#333333", zorder=3, linewidths=0)
    for k in oddest:
        turn = np.degrees(place[k])
        flip = 90 < turn < 270
        axes.text(
            float(spots[k, 0] * 1.04), float(spots[k, 1] * 1.04), names[k][:20], fontsize=8, rotation=turn + 180 * flip,
            rotation_mode="anchor", va="center", ha="right" if flip else "left", parse_math=False,
        )  # fmt: skip
    axes.set_xlim(-1.25, 1.25)
    axes.set_ylim(-1.25, 1.25)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.legend(frameon=False, fontsize=9, loc="lower left")
    axes.set_title(f"{title}: the larger a node, the odder its new edges; the {len(oddest)} oddest are named", fontsize=9)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()
