"""The proof of `netgan`: its graphs are like the one it learnt from without being that one, and it knows links it never saw."""

from __future__ import annotations

import shutil
import statistics as means
from collections.abc import Sequence
from typing import Any

import numpy as np

from ganvas.kinds.graph.spec import GraphSpec
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task

HELDOUT = 0.15  # of the edges: the paper's 10 % for validation and 5 % for testing
STOP = 0.45  # edge overlap at which training ends ("EO" in the paper); looked for on training edges alone
LEAST, MOST = 0.3, 0.6  # edge overlap of what is judged
LINKS = 0.85  # area under the ROC curve of held-out links
LOOKS = 12  # in a training
EFFORT = 0.25  # of a look
GRAPHS = 5  # assembled from one trained system; statistics are means over them
REWIRED = "rewired at random"


def opened(task: Task) -> tuple[np.ndarray, np.ndarray, int]:
    """(edges to learn from, edges held out, nodes): the split that a run of the same seed has."""
    from ganvas.data import open_data
    from ganvas.data.phantoms import catalogue

    count = (catalogue()[task.data].count if task.phantom else None) or 1
    dataset = open_data(
        task.data, heldout=HELDOUT, seed=task.seed, progress=False, kinds=("graph",), phantom_count=count
    )  # fmt: skip
    assert isinstance(dataset.spec, GraphSpec)
    learnt, held = (np.asarray(dataset.values[rows]) for rows in (dataset.train_indices(), dataset.heldout_indices()))
    return learnt, held, dataset.spec.nodes


def system(task: Task) -> Outcome:
    """`ganvas train netgan --heldout 0.15`, stopped by edge overlap or at the end of the budget."""
    import torch

    from ganvas.batches import Noise
    from ganvas.metrics.graphs import adamic_adar, edge_overlap, link_prediction, without_edge
    from ganvas.run.load import Run
    from ganvas.run.settings import FILE
    from ganvas.run.train import train

    folder = task.folder / "run"
    if not (folder / FILE).exists():
        shutil.rmtree(folder, ignore_errors=True)  # killed while it was being prepared
    learnt, held, nodes = opened(task)
    truth = len(held)
    pairs = np.concatenate([held, without_edge(np.concatenate([learnt, held]), nodes, truth, seed=task.seed)])
    rounds = int(task.budget.removesuffix("r"))
    trace: list[dict[str, Any]] = []
    for until in sorted({max(1, round(rounds * k / LOOKS)) for k in range(1, LOOKS + 1)}):
        if (folder / FILE).exists():
            result = train(resume=folder, budget=f"{until}r", quiet=True)
        else:
            settings: dict[str, Any] = {"heldout": HELDOUT, "sample_every": 0.0, "threads": 1}
            result = train("netgan", task.data, out=folder, budget=f"{until}r", seed=task.seed, quiet=True, **settings)
        if result["stopped"] == "signal":
            raise KeyboardInterrupt
        run = Run(folder, which="last")
        look = _look(run, learnt, pairs, truth, task.seed)
        trace.append({"round": result["rounds"], "seconds": result["seconds"], **look})
        task.say(f"round {result['rounds']}: edge overlap {look['edge_overlap']:.3f}, held-out links {look['auroc']:.3f}")
        if look["edge_overlap"] >= STOP:
            break
    with torch.no_grad():
        scores = run.system.scores(Noise(torch.Generator().manual_seed(30_000 + task.seed)))
    graphs = _assembled(scores, len(learnt), GRAPHS, task.seed)
    on_pairs = scores[pairs[:, 0], pairs[:, 1]].numpy()
    simple = adamic_adar(learnt, nodes, pairs)
    more = {
        "edge_overlap": means.fmean(edge_overlap(graph, learnt, nodes) for graph in graphs),
        "heldout_overlap": means.fmean(edge_overlap(graph, held, nodes) for graph in graphs),
        "links": link_prediction(on_pairs[:truth], on_pairs[truth:]),
        "adamic_adar": link_prediction(simple[:truth], simple[truth:]),
        "trace": trace,
        **{key: result[key] for key in ("rounds", "samples", "seconds")},
    }
    return judged(task, graphs, learnt, nodes, more)


def _look(run: Any, learnt: np.ndarray, pairs: np.ndarray, truth: int, seed: int) -> dict[str, float]:
    """Edge overlap of one graph and area of held-out links, from fewer walks; held-out edges decide nothing."""
    import torch

    from ganvas.batches import Noise
    from ganvas.metrics.graphs import edge_overlap, link_prediction

    with torch.no_grad():
        scores = run.system.scores(Noise(torch.Generator().manual_seed(20_000 + seed)), EFFORT)
    (graph,) = _assembled(scores, len(learnt), 1, seed)
    on_pairs = scores[pairs[:, 0], pairs[:, 1]].numpy()
    overlap = edge_overlap(graph, learnt, run.spec.nodes)
    return {"edge_overlap": overlap, **link_prediction(on_pairs[:truth], on_pairs[truth:])}


def _assembled(scores: Any, edges: int, count: int, seed: int) -> list[np.ndarray]:
    import torch

    from ganvas.batches import Noise
    from ganvas.systems.graphs.netgan import assembled

    noise = Noise(torch.Generator().manual_seed(40_000 + seed))
    return [np.sort(assembled(scores, edges, noise).numpy(), axis=1) for _ in range(count)]


def swapped(task: Task, overlap: float) -> Outcome:
    """The graph with its edges swapped at random, degrees kept, down to an edge overlap."""
    from ganvas.metrics.graphs import edge_overlap, rewired

    learnt, _, nodes = opened(task)
    graphs = [rewired(learnt, nodes, overlap=overlap, seed=GRAPHS * task.seed + k) for k in range(GRAPHS)]
    found = means.fmean(edge_overlap(graph, learnt, nodes) for graph in graphs)
    return judged(task, graphs, learnt, nodes, {"edge_overlap": found})


def judged(task: Task, graphs: Sequence[np.ndarray], learnt: np.ndarray, nodes: int, more: dict[str, Any]) -> Outcome:
    """Statistics of the graphs, means, beside those of the one that was learnt from."""
    from ganvas.drawing import save_picture
    from ganvas.kinds.graph.pictures import draw_graphs
    from ganvas.metrics.graphs import statistics

    true = statistics(learnt, nodes)
    each = [statistics(graph, nodes) for graph in graphs]
    mean = {key: means.fmean(found[key] for found in each) for key in true}
    off = {key: abs(mean[key] - true[key]) / abs(true[key]) for key in ("triangles", "assortativity")}
    picture = draw_graphs([("learnt from", learnt), ("graph", graphs[0])], nodes)
    save_picture(task.folder / "graphs.png", picture)
    protocol = f"relative distance/triangles, assortativity/n={nodes}/e={len(learnt)}/{len(graphs)} graphs"
    more = {"statistics": mean, "learnt_from": true, "off": off, **more}
    return Outcome(means.fmean(off.values()), protocol, more, picture[None])


def met(rows: Sequence[Row]) -> bool:
    """Nearer in both statistics with every seed, at an edge overlap that is no copy, and links found on average."""
    nearer = all(
        row.more["system"]["off"][key] < row.more[other]["off"][key]
        for row in rows
        for other in ("baseline", REWIRED)
        for key in ("triangles", "assortativity")
    )
    apart = all(LEAST <= row.more["system"]["edge_overlap"] <= MOST for row in rows)
    links, simple = (means.fmean(row.more["system"][key]["auroc"] for row in rows) for key in ("links", "adamic_adar"))
    return nearer and apart and links >= LINKS and links > simple


PROOF = Proof(
    claim="its graphs have the triangles and the assortativity of the one it learnt from, without being a copy of it, and its "
    "scores tell which links were held out",
    baseline=f"the graph with its edges swapped at random, every degree kept, until {STOP:.0%} of them are left (the "
    "configuration model at the edge overlap at which training ends)",
    metric="mean of the relative distances of triangles and assortativity from those of the graph learnt from",
    direction=LOWER,
    mark="triangles and assortativity nearer than those of the baseline and of edges swapped wholly at random with every seed, "
    f"at an edge overlap of {LEAST} to {MOST}; and on average over seeds, the area under the ROC curve of held-out links "
    f"against pairs without one at least {LINKS} and above that of Adamic-Adar's index",
    met=met,
    arms={
        "system": system,
        "baseline": lambda task: swapped(task, STOP),
        REWIRED: lambda task: swapped(task, 0.0),
    },
    budget="12000r",
    quick_budget="240r",
    real="graphs/cora_ml.npz",
    phantom="communities",
)
