"""Are planted anomalies of a graph found by `netgan`, which learnt the graph as it was before, better than by simple scores?

    python benchmarks/graph_anomalies.py --data datasets/ --out benchmarks/results/graph_anomalies.json

A graph as it was is learnt from (15 % of its edges held out: by them the spectrum's rank is chosen, and what is usual of
every score). In its later state a tenth of those edges is gone, and normal edges that nobody saw have come; besides something
is planted: edges at random, a clique, a star, or a part rewired. Edges: planted ones against the normal ones that have come.
Nodes: those that something was planted at against the others. `--seeds` from 100 on are pilots, by which settings were chosen.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.doctor import machine
from ganvas.kinds.graph.files import spanning_tree
from ganvas.kinds.graph.oddity import node_scores, usual_shares
from ganvas.metrics.graphs import adamic_adar, adjacency, keys_of, link_prediction, without_edge

CLAIM = "edges and nodes at which something was planted are told from normal ones better than by degrees or by the spectrum"
MARK = (
    "with every seed and graph the mean area over the four kinds is at least 0.8, for edges and for nodes, and above that of "
    "each simple score"
)
HELDOUT, COME, GONE = 0.15, 0.15, 0.1
PLANTED, CLIQUE, PART, DRAWS = 28, 8, 12, 5
RANKS = (2, 4, 8, 16, 32, 64)
KINDS = ("random edges", "clique", "star", "rewired part")
Pairs = np.ndarray
Score = Callable[[Pairs], np.ndarray]


def graphs(data: Path | None, seed: int) -> dict[str, tuple[np.ndarray, int]]:
    """The phantom, and a part of the citations around a paper drawn by the seed: name -> (edges, nodes)."""
    from ganvas.data import open_data
    from ganvas.data.phantoms import make_phantom

    found = {"communities": (make_phantom("communities", 900, seed, size=150).values.astype(np.int64), 150)}
    if data is not None:
        whole = open_data(data / "graphs" / "cora_ml.npz", heldout=0.0, progress=False, kinds=("graph",))
        found["citations"] = around(np.asarray(whole.values).astype(np.int64), whole.spec.nodes, 250, seed)
    return found


def around(edges: np.ndarray, nodes: int, count: int, seed: int) -> tuple[np.ndarray, int]:
    """The first `count` nodes that a breadth-first walk from one drawn at random meets, and what joins them."""
    rng = np.random.default_rng([seed, 0x9A])
    matrix = adjacency(edges, nodes).tocsr()
    seen = [int(rng.integers(nodes))]
    known, place = set(seen), 0
    while len(seen) < count:
        near = matrix.indices[matrix.indptr[seen[place]] : matrix.indptr[seen[place] + 1]]
        fresh = [node for node in rng.permutation(near).tolist() if node not in known][: count - len(seen)]
        seen, known, place = [*seen, *fresh], known | set(fresh), place + 1
    number = np.full(nodes, -1)
    number[seen] = np.arange(count)
    inside = number[edges]
    return np.sort(inside[(inside >= 0).all(1)], axis=1), count


def divided(edges: np.ndarray, nodes: int, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(what stays, what is taken out): a share of the edges, none of a spanning tree."""
    free = np.flatnonzero(~spanning_tree(edges, nodes))
    out = rng.permutation(free)[: round(share * len(edges))]
    return np.delete(edges, out, 0), edges[out]


def later(
    kind: str, before: np.ndarray, come: np.ndarray, nodes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """(edges that are gone, edges planted, nodes at which it was)."""
    gone = rng.random(len(before)) < GONE
    taken = set(keys_of(np.concatenate([before, come]), nodes).tolist())

    def new(pairs: np.ndarray) -> np.ndarray:
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        keys = np.unique(keys_of(pairs, nodes))
        keys = keys[~np.isin(keys, list(taken))]
        return np.stack([keys // nodes, keys % nodes], 1)

    if kind == "random edges":
        planted = without_edge(np.concatenate([before, come]), nodes, PLANTED, seed=int(rng.integers(2**31)))
        return before[gone], planted, np.unique(planted)
    if kind == "clique":
        members = rng.choice(nodes, CLIQUE, replace=False)
        first, second = np.triu_indices(CLIQUE, 1)
        return before[gone], new(np.stack([members[first], members[second]], 1)), members
    if kind == "star":
        hub, *others = rng.choice(nodes, 1 + PLANTED, replace=False)
        return before[gone], new(np.stack([np.full(PLANTED, hub), others], 1)), np.array([hub])
    kept = before[~gone]
    matrix = adjacency(kept, nodes).tocsr()
    members, place = [int(rng.integers(nodes))], 0
    while len(members) < PART and place < len(members):
        near = matrix.indices[matrix.indptr[members[place]] : matrix.indptr[members[place] + 1]]
        members += [node for node in rng.permutation(near).tolist() if node not in members][: min(4, PART - len(members))]
        place += 1
    # The ends that lie in the part keep their places: every degree there stays what it was, its neighbours are others.
    moved = np.isin(kept, members).any(1)
    inner = np.where(np.isin(kept[moved][:, 0], members), kept[moved][:, 0], kept[moved][:, 1])
    planted = new(np.stack([inner, rng.integers(nodes, size=len(inner))], 1))
    return np.concatenate([before[gone], kept[moved]]), planted, np.array(members)


def spectrum(learnt: np.ndarray, held: np.ndarray, nodes: int, seed: int) -> tuple[Score, str]:
    """What a low rank leaves of the adjacency, as it is or over the roots of degrees; both chosen by the held-out edges."""
    matrix = adjacency(learnt, nodes).toarray()
    degrees = np.maximum(matrix.sum(0), 1)
    others = without_edge(np.concatenate([learnt, held]), nodes, 4 * len(held), seed=seed)
    best: tuple[float, Any, str] = (-1.0, None, "")
    for words, own in (("as it is", matrix), ("normalised", matrix / np.sqrt(np.outer(degrees, degrees)))):
        values, vectors = np.linalg.eigh(own)
        order = np.argsort(-np.abs(values))
        for rank in RANKS:
            part = order[:rank]
            again = (vectors[:, part] * values[part]) @ vectors[:, part].T
            area = link_prediction(again[held[:, 0], held[:, 1]], again[others[:, 0], others[:, 1]])["auroc"]
            best = max(best, (area, again, f"{words}, rank {rank}"), key=lambda found: found[0])
    again = best[1]
    return lambda pairs: -again[pairs[:, 0], pairs[:, 1]], best[2]


def rivals(learnt: np.ndarray, held: np.ndarray, nodes: int, seed: int) -> tuple[dict[str, Score], str]:
    matrix = adjacency(learnt, nodes).tocsr()
    degrees = np.asarray(matrix.sum(0)).ravel()

    def jaccard(pairs: Pairs) -> np.ndarray:
        common = np.asarray(matrix[pairs[:, 0]].multiply(matrix[pairs[:, 1]]).sum(1)).ravel()
        return -common / np.maximum(degrees[pairs[:, 0]] + degrees[pairs[:, 1]] - common, 1)

    residual, rank = spectrum(learnt, held, nodes, seed)
    return {
        "preferential attachment": lambda pairs: -degrees[pairs[:, 0]] * degrees[pairs[:, 1]],
        "Adamic-Adar": lambda pairs: -adamic_adar(learnt, nodes, pairs),
        "Jaccard": jaccard,
        "spectrum": residual,
    }, rank


def area(odd: np.ndarray, scores: np.ndarray) -> float:
    return link_prediction(scores[odd], scores[~odd])["auroc"]


def learnt_scores(learnt_from: np.ndarray, nodes: int, rounds: int, seed: int, checks: int = 1) -> list[tuple[int, Any]]:
    """[(round, run)]: `ganvas train netgan --heldout 0.15` of a budget of rounds."""
    import torch

    from ganvas.run.load import Run
    from ganvas.run.train import train

    found = []
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "graph.npz", Path(folder) / "run"
        np.savez(source, edges=learnt_from, names=np.array([str(k) for k in range(nodes)]))
        for k in range(1, checks + 1):
            budget = f"{rounds * k // checks}r"
            if k == 1:
                train("netgan", source, out=out, budget=budget, seed=seed, quiet=True, heldout=HELDOUT, sample_every=0.0,
                      threads=1, config={"edge_overlap": 0.0}, watch="off")  # fmt: skip
            else:
                train(resume=out, budget=budget, quiet=True)
            run = Run(out)
            with torch.no_grad():
                from ganvas.batches import Noise

                steps = run.system.scores(Noise.seeded(seed)).double().numpy()
            from ganvas.run.opening import open_record_data

            data = open_record_data(run.record)
            parts = [np.asarray(data.values[rows]).astype(np.int64) for rows in (data.train_indices(), data.heldout_indices())]
            found.append((rounds * k // checks, (steps, *parts)))
    return found


def judged(edges: np.ndarray, nodes: int, rounds: int, seed: int, checks: int = 1) -> list[dict[str, Any]]:
    rng = np.random.default_rng([seed, 0x0DD])
    before, come = divided(edges, nodes, COME, rng)
    began = time.process_time()
    runs = learnt_scores(before, nodes, rounds, seed, checks)
    seconds = time.process_time() - began
    result = []
    for at, (steps, learnt, held) in runs:
        logs = -np.log(np.maximum(steps, 1e-30))
        simple, rank = rivals(learnt, held, nodes, seed)
        rows = np.log(steps.sum(1))
        even = logs + (rows[:, None] + rows[None]) / 2
        scores: dict[str, Score] = {"netgan": lambda pairs, even=even: even[pairs[:, 0], pairs[:, 1]], **simple}
        if checks > 1:
            scores["netgan, steps alone"] = lambda pairs, logs=logs: logs[pairs[:, 0], pairs[:, 1]]
        degrees = np.asarray(adjacency(before, nodes).sum(0)).ravel()
        table: dict[str, dict[str, dict[str, list[float]]]] = {}
        alarms: dict[str, list[float]] = {"normal": [], "planted": []}
        for kind in KINDS:
            for draw in range(DRAWS):
                gone, planted, members = later(
                    kind, before, come, nodes, np.random.default_rng([seed, draw, KINDS.index(kind)])
                )
                new = np.concatenate([come, planted])
                odd = np.arange(len(new)) >= len(come)
                at_node = np.isin(np.arange(nodes), members)
                for name, score in scores.items():
                    own, usual = score(new), score(held)
                    shares = usual_shares(own, usual)
                    places = table.setdefault(name, {}).setdefault(kind, {"edges": [], "nodes": []})
                    places["edges"].append(area(odd, own))
                    places["nodes"].append(area(at_node, node_scores(new, shares, nodes)))
                    if name == "netgan":
                        limit = np.quantile(usual, 0.95, method="higher")
                        alarms["normal"].append(float((own[~odd] > limit).mean()))
                        alarms["planted"].append(float((own[odd] > limit).mean()))
                change = np.bincount(new.ravel(), minlength=nodes) - np.bincount(gone.ravel(), minlength=nodes)
                means = degrees * change.sum() / degrees.sum()
                z = np.abs(change - means) / np.sqrt(np.maximum(degrees, 1))
                places = table.setdefault("degree change", {}).setdefault(kind, {"nodes": []})
                places["nodes"].append(area(at_node, z))
        mean = {
            name: {kind: {part: round(float(np.mean(v)), 3) for part, v in own.items()} for kind, own in kinds.items()}
            for name, kinds in table.items()
        }
        for own in mean.values():
            parts = {part for places in own.values() for part in places}
            for part in sorted(parts):
                own[f"mean of {part}"] = round(float(np.mean([own[kind][part] for kind in KINDS])), 4)  # type: ignore[assignment]
        result.append({
            "rounds": at, "seconds": round(seconds, 1), "nodes": nodes, "learnt": len(learnt), "heldout": len(held),
            "come": len(come), "spectrum": rank, "areas": mean,
            "above the 5 % threshold": {key: round(float(np.mean(v)), 3) for key, v in alarms.items()},
        })  # fmt: skip
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the real data sets; without it the phantom alone")
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--checks", type=int, default=1, help="looks in a training, for pilots")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {"claim": CLAIM, "mark": MARK, "rounds": options.rounds, "machine": machine(), "graphs": {}}
    if options.out and options.out.exists():
        result = json.loads(options.out.read_text())
    for seed in options.seeds:
        for name, (edges, nodes) in graphs(options.data, seed).items():
            kept = result["graphs"].setdefault(name, {})
            if str(seed) in kept:
                continue
            found = judged(edges, nodes, options.rounds, seed, options.checks)
            kept[str(seed)] = found[-1]
            for one in found:
                print(name, seed, one["rounds"], one["seconds"], one["spectrum"], one["above the 5 % threshold"], flush=True)
                for method, own in one["areas"].items():
                    print(
                        "   ",
                        method,
                        {key: list(v.values()) if isinstance(v, dict) else v for key, v in own.items()},
                        flush=True,
                    )
            if options.out:
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
