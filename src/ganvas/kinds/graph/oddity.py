"""What is odd about a later state of the graph that was learnt: its new edges, the nodes these lie at, and the whole.

Scores of edges are a system's (`uses.score`); here they are set against those of held-out edges of the graph as it was. Not
for reading files, nor for the threshold of alarms.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...drawing import save_picture
from ...errors import DataError, did_you_mean
from ...files import disk_errors, write_atomically
from ..facets import Normal, ScoredFile, Scores
from .files import read_links
from .pictures import draw_oddity
from .spec import GraphSpec

DRAWS = 9_999  # of as many held-out edges as are new, for the chance of the whole
SURELY = 0.01  # the chance of the whole, below which it is called unlike
RANKS = (2, 4, 8, 16, 32)
SAME = 0.5  # share of the edges learnt that a later state of the same graph has at least


@dataclass
class State:
    """A later state. new, kept, gone: its edges (E, 2) against those that were learnt, each once. notes: for the user."""

    new: np.ndarray
    kept: np.ndarray
    gone: np.ndarray
    notes: list[str]


def read_state(path: Path, spec: GraphSpec, known: np.ndarray) -> State:
    """A file against the edges that were learnt (E, 2). Raises DataError where it is of other nodes, or has no edge."""
    from ...metrics.graphs import keys_of

    index = {name: k for k, name in enumerate(spec.names or map(str, range(spec.nodes)))}
    links = read_links(path)
    odd = next((links.names[k] for k in np.unique(links.pairs) if links.names[k] not in index), None)
    if odd is not None:
        raise DataError(
            f"{path}: '{odd}' is no node of the graph that the run learnt{did_you_mean(odd, list(index))}: a later state of "
            "that graph can be scored, with no other nodes"
        )
    places = np.array([index.get(name, -1) for name in links.names], np.int64)
    pairs = places[links.pairs].reshape(-1, 2)
    notes = [f"{path.name}: {note.replace('learnt', 'looked at')}" for note in links.notes]
    loops = pairs[:, 0] == pairs[:, 1]
    if loops.any():
        notes.append(f"{path.name}: {int(loops.sum())} edges from a node to itself were left out")
    keys = np.unique(keys_of(pairs[~loops], spec.nodes))
    if not len(keys):
        raise DataError(f"{path}: no edge between different nodes: there is nothing to score")
    before = np.unique(keys_of(known, spec.nodes))
    if len(before) and (share := float(np.isin(before, keys).mean())) < SAME:
        notes.append(
            f"{path.name}: only {share:.0%} of the edges that were learnt are in it: if it is another graph whose nodes are "
            "called alike, or a list of its new edges alone, nodes and whole mean little"
        )

    def edges(chosen: np.ndarray) -> np.ndarray:
        return np.stack([chosen // spec.nodes, chosen % spec.nodes], 1)

    there = np.isin(keys, before)
    return State(edges(keys[~there]), edges(keys[there]), edges(before[~np.isin(before, keys)]), notes)


def score_state(
    path: Path, name: str, spec: GraphSpec, scored: Callable[[np.ndarray], Scores], out: Path, threshold: float | None,
    normal: Normal | None,
) -> ScoredFile:  # fmt: skip
    """See `facets.ScoredStates`: tables of edges and of nodes, a picture, and a line on the whole."""
    known = np.zeros((0, 2), np.int64) if normal is None else np.asarray(normal.records)
    usual = np.zeros(0) if normal is None else normal.scores
    state = read_state(path, spec, known)
    every = np.concatenate([state.new, state.kept, state.gone])
    scores = scored(every.astype(np.int32)).scores.astype(np.float64)
    of_new = scores[: len(state.new)]
    # Without held-out edges a node goes by the mean rank of its new edges among all edges of the file.
    shares = usual_shares(of_new, usual if len(usual) else scores)
    alarm = np.zeros(len(of_new), bool) if threshold is None else of_new > threshold
    nodes = node_scores(state.new, shares, spec.nodes)
    called = list(spec.names) or [str(k) for k in range(spec.nodes)]
    made = ScoredFile(float(of_new.max()) if len(of_new) else 0.0, [], state.notes)
    told = ["new"] * len(state.new) + ["kept"] * len(state.kept) + ["gone"] * len(state.gone)
    flags = [*(str(int(flag)) if threshold is not None else "" for flag in alarm), *[""] * (len(every) - len(alarm))]
    order = np.lexsort((-scores, np.repeat([0, 1, 2], [len(state.new), len(state.kept), len(state.gone)])))
    rows = [[called[every[k, 0]], called[every[k, 1]], told[k], f"{scores[k]:.6g}", flags[k]] for k in order]
    made.files.append(_table(out / f"{name}-edges.csv", ["first", "second", "state", "score", "alarm"], rows))
    counts = [np.bincount(part.ravel(), minlength=spec.nodes) for part in (state.new, state.new[alarm], state.gone)]
    by_node = np.argsort(-nodes, kind="stable")
    rows = [[called[k], f"{nodes[k]:.6g}", *(str(int(own[k])) for own in counts)] for k in by_node]
    made.files.append(_table(out / f"{name}-nodes.csv", ["node", "score", "new", "alarms", "gone"], rows))
    made.numbers = {"new edges": len(state.new), "gone edges": len(state.gone)}
    if threshold is not None and len(usual):
        chance = whole_chance(of_new, usual)
        made.numbers |= {"alarms": int(alarm.sum()), "chance": chance}
        expected = float((usual > threshold).mean()) * len(of_new)
        verdict = "unlike" if chance < SURELY else "not surely unlike"
        made.notes.append(
            f"{path.name}: {int(alarm.sum())} of {len(of_new)} new edges lie above the threshold, {expected:.1f} would if all "
            f"were normal; as a whole they are {verdict} those held out (p = {chance:.2g})"
        )
        made.notes += _simpler(normal, spec.nodes, scored)
        made.alarms = [
            {"first": called[a], "second": called[b], "score": float(score)}
            for (a, b), score in sorted(zip(state.new[alarm].tolist(), of_new[alarm], strict=True), key=lambda one: -one[1])
        ]
    made.files.append(out / f"{name}.png")
    save_picture(made.files[-1], draw_oddity(state.kept, state.new, state.gone, alarm, nodes, called, Path(name).name))
    return made


def _simpler(normal: Normal | None, nodes: int, scored: Callable[[np.ndarray], Scores]) -> list[str]:
    """A note where a score that needs no training tells held-out edges better from pairs without an edge."""
    from ...metrics.graphs import adamic_adar, link_prediction, low_rank, without_edge

    if normal is None or not normal.heldout.any() or nodes <= max(RANKS):
        return []
    every = np.asarray(normal.records).astype(np.int64)
    held, learnt = every[normal.heldout], every[~normal.heldout]
    pairs = np.concatenate([held, without_edge(every, nodes, len(held))])

    def area(scores: np.ndarray) -> float:
        return link_prediction(scores[: len(held)], scores[len(held) :])["auroc"]

    own = area(-scored(pairs.astype(np.int32)).scores)
    others = {f"a spectrum of rank {rank}": area(low_rank(learnt, nodes, pairs, rank)) for rank in RANKS}
    others["Adamic-Adar's index"] = area(adamic_adar(learnt, nodes, pairs))
    best = max(others, key=lambda name: others[name])
    told = f"held-out edges against pairs without one: area {own:.2f} by these scores, {others[best]:.2f} by {best}"
    if own > others[best]:
        return [told]
    return [f"{told}, which needs no training and is the better choice on this graph; longer training may change that"]


def whole_chance(scores: np.ndarray, usual: np.ndarray, seed: int = 0) -> float:
    """How often the mean of as many held-out edges' scores, drawn with replacement, is as high as that of the new ones; 1
    without any."""
    if not len(scores):
        return 1.0
    rng = np.random.default_rng([seed, 0x0DD])
    means = np.array([rng.choice(usual, len(scores)).mean() for _ in range(DRAWS)])
    return float((1 + (means >= scores.mean()).sum()) / (1 + DRAWS))


def _table(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows(rows)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue().encode())
    return path


def usual_shares(scores: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """(E,) the share of normal edges, with scores (M,), that score as high as each or higher: (1 + count) / (1 + M)."""
    above = len(usual) - np.searchsorted(np.sort(usual), scores, side="left")
    shares: np.ndarray = (1 + above) / (1 + len(usual))
    return shares


def node_scores(edges: np.ndarray, shares: np.ndarray, nodes: int) -> np.ndarray:
    """(N,) how unlikely a node's new edges are together, were they normal: -log10 of Fisher's combined chance; 0 without any.

    edges: new ones (E, 2), shares (E,) as by `usual_shares`. Fisher 1925: -2 sum ln p is chi squared of twice as many degrees.
    """
    from scipy.stats import chi2

    ends, twice = edges.T.ravel(), np.concatenate([shares, shares])
    total = np.bincount(ends, -2 * np.log(twice), minlength=nodes)
    count = np.bincount(ends, minlength=nodes)
    found: np.ndarray = np.where(count > 0, -chi2.logsf(total, 2 * np.maximum(count, 1)) / np.log(10), 0.0)
    return found
