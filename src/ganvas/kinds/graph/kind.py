"""Graphs: one graph is the data set, its edges are the records, pairs of nodes (E, 2) int32.

Edges are held out of a spanning tree's rest, so that what is learnt from stays connected. Batches are random walks over the
training edges (`_graph_walks`). Not for reading files (`_graph_files`), and not for many small graphs, each a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError
from .. import Kind, KindSays
from ..facets import Normal, Piece, ScoredFile, Scores
from .files import read_links, simple, spanning_tree
from .oddity import score_state
from .pictures import draw_graphs
from .spec import GraphSpec
from .writing import FORMATS, written

if TYPE_CHECKING:
    from torch import Tensor

    from ...metrics.measure import Measure
    from ...store.cache import Writer
    from ...store.listing import Listing
    from ...store.records import Dataset
    from .walks import WalkStream

COPIED = 0.75  # share of the edges learnt from, from which a sample counts as the same graph
SUSPECT_BELOW, COPIES_BELOW = 3e-4, 1e-4  # p-values, as in the audit of other kinds


class GraphKind(Kind):
    name = "graph"
    spec = GraphSpec
    suffixes = (
        ".edges", ".edgelist", ".graphml", ".gml", ".txt", ".csv", ".tsv", ".npz", ".npy", ".gpickle", ".pickle", ".pkl",
        ".parquet", ".jsonl",
    )  # fmt: skip
    lent = (".parquet", ".jsonl")
    formats = FORMATS
    says = KindSays(
        noun="graphs",
        features="ego",
        limit="It learnt one graph, with its own nodes: sampled edges are about these nodes, and may tell of real ties.",
        phantom="communities",
        shown=1,
        threads=1,
        discrete=True,
        usual=1,
        example_size=1_000,
        example_channels=1,
        small=(12, 1),
        anew="the file holds the one graph that all records make, its nodes in another order",
        overlooks="the same graph under other names of its nodes, and parts of it in which few edges are held out",
    )

    # Reading

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """See `Kind.fill`. Raises DataError unless there is just one file."""
        from ...store.entry import conclude
        from ...store.listing import some

        if len(listing.files) != 1:
            raise DataError(
                f"{listing.source}: {len(listing.files)} graphs ({some(listing.names)}), one graph is the data: name its file"
            )
        (path,) = listing.files
        found = simple(read_links(path), path)
        for edge in found.edges:
            writer.row(edge)
        suffix = path.suffix.lower().lstrip(".")
        own = {"npy": "npz"}.get(suffix, suffix if suffix in FORMATS else "edges")
        conclude(
            writer, GraphSpec(found.nodes, found.names, own), None, np.arange(len(found.edges)), None,
            [*listing.notes, *found.notes],
        )  # fmt: skip

    def kept(self, values: np.ndarray, spec: GraphSpec) -> np.ndarray:
        """The edges of a spanning tree are never held out: without them walks could not reach every node."""
        return spanning_tree(np.asarray(values), spec.nodes)

    def read(self, path: Path, spec: GraphSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """The pairs of nodes of a file, as they are, one piece; see `facets.Reads`. Raises DataError for an unknown node."""
        from ...errors import did_you_mean

        index = {name: k for k, name in enumerate(spec.names or map(str, range(spec.nodes)))}
        links = read_links(path)
        odd = next((links.names[k] for k in np.unique(links.pairs) if links.names[k] not in index), None)
        if odd is not None:
            raise DataError(f"{path}: '{odd}' is no node of the graph that the run learnt{did_you_mean(odd, list(index))}")
        places = np.array([index.get(name, -1) for name in links.names], np.int32)
        notes = tuple(f"{path.name}: {note}" for note in links.notes if "not learnt" not in note)
        yield Piece(places[links.pairs], spec, notes)

    def score_state(
        self, path: Path, name: str, spec: GraphSpec, scored: Callable[[np.ndarray], Scores], out: Path,
        threshold: float | None, normal: Normal | None,
    ) -> ScoredFile:  # fmt: skip
        """A later state of the graph: see `oddity.score_state`. Raises DataError for other nodes, and without an edge."""
        return score_state(path, name, spec, scored, out, threshold, normal)

    def score(
        self, path: Path, name: str, spec: GraphSpec, scored: Callable[[np.ndarray], Scores], out: Path, threshold: float | None
    ) -> ScoredFile:  # fmt: skip
        """The same, where nothing is known of what the graph was: every edge counts as new."""
        return score_state(path, name, spec, scored, out, threshold, None)

    def usual(self, values: np.ndarray, spec: GraphSpec, scored: Callable[[np.ndarray], Scores]) -> np.ndarray:
        """(M,) scores of held-out edges (M, 2)."""
        return np.asarray(scored(values).scores)

    def encode(self, values: np.ndarray, spec: GraphSpec, device: Any) -> Tensor:
        import torch

        return torch.from_numpy(np.asarray(values, np.int64)).to(device, non_blocking=True)

    def decode(self, tensor: Tensor, spec: GraphSpec) -> np.ndarray:
        """(N, 2) int32, the smaller node first."""
        pairs: np.ndarray = np.sort(tensor.detach().cpu().numpy().astype(np.int32), axis=-1)
        return pairs

    def stream(self, dataset: Dataset, batch_size: int, seed: int, world: int, options: Mapping[str, Any]) -> WalkStream:
        """Random walks over the training edges."""
        from .walks import WalkStream

        return WalkStream(dataset, batch_size, world=world, options=options)

    # Writing

    def write(
        self, records: np.ndarray, spec: GraphSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """One file a graph. records: edges of several graphs (K, E, 2), or of one (E, 2)."""
        from ...files import write_atomically

        if depth is not None:
            raise GanvasError("--depth means nothing to graphs: leave it out")
        graphs = records if records.ndim == 3 else records[None]
        digits = max(4, len(str(len(graphs))))
        paths = [folder / f"sample-{number:0{digits}d}.{format}" for number in range(1, len(graphs) + 1)]
        for path, edges in zip(paths, graphs, strict=True):
            write_atomically(path, written(edges, spec.names, spec.nodes, format, note))
        return paths

    def picture(self, records: np.ndarray, spec: GraphSpec) -> np.ndarray:
        """Degrees, and the adjacency, of the first graph."""
        return draw_graphs([("sample", _first(records))], spec.nodes)

    def picture_beside(self, records: np.ndarray, dataset: Dataset) -> np.ndarray:
        """The same beside the graph that is learnt from, nodes in the same order."""
        real = np.asarray(dataset.values[dataset.train_indices()])
        return draw_graphs([("real", real), ("sample", _first(records))], dataset.spec.nodes)

    # Judging

    def vectors(self, values: np.ndarray, spec: GraphSpec) -> np.ndarray:
        """See `metrics.graphs.edge_features`: (E, 7), each edge within the graph of all of them."""
        from ...metrics.graphs import edge_features

        edges = _distinct(values, spec.nodes)
        return edge_features(edges, spec.nodes, np.asarray(values))

    def vectors_beside(self, values: np.ndarray, others: np.ndarray, spec: GraphSpec) -> np.ndarray:
        """The same of edges that are not in the graph of `others`, within that graph."""
        from ...metrics.graphs import edge_features

        return edge_features(_distinct(others, spec.nodes), spec.nodes, np.asarray(values))

    def aligned(self, values: np.ndarray, spec: GraphSpec, other: GraphSpec) -> tuple[np.ndarray, GraphSpec, list[str]]:
        """As they are: features are of the graph alone, and measures match nodes by name; see `facets.Aligned`."""
        return np.asarray(values), spec, []

    def measures(
        self, made: tuple[np.ndarray, Any], train: tuple[np.ndarray, Any], heldout: tuple[np.ndarray, Any], seed: int
    ) -> dict[str, Measure]:
        """Statistics of the sampled graph, and its overlaps with the edges learnt from and with those held out, if any."""
        from ...metrics.graphs import edge_overlap, statistics
        from ...metrics.measure import Measure

        edges, nodes = matched(made, train[1]), train[1].nodes
        end = f"n={nodes}/e={len(edges)}"
        found = {key: Measure(value, f"graph/{key}/{end}") for key, value in statistics(edges, nodes, seed=seed).items()}
        references = {"edge_overlap": train} | ({"heldout_overlap": heldout} if len(heldout[0]) else {})
        for key, reference in references.items():
            value = edge_overlap(edges, reference[0], nodes)
            found[key] = Measure(value, f"graph/{key}/{end}/m={len(reference[0])}")
        return found

    def anchors(self, train: tuple[np.ndarray, Any], heldout: tuple[np.ndarray, Any], seed: int) -> dict[str, Any]:
        """`rewired`: the graph learnt from with its edges rewired at random, every degree kept."""
        from ...metrics.graphs import REWIRED, rewired

        return {REWIRED: (rewired(np.asarray(train[0]), train[1].nodes, seed=seed), train[1])}

    def audit(
        self, made: tuple[np.ndarray, Any], train: tuple[np.ndarray, Any], heldout: tuple[np.ndarray, Any], seed: int
    ) -> Any:
        """Is the sample the graph that was learnt from? Edges learnt from against edges held out, by Fisher's exact test.

        Outside the spanning tree, which edges were held out was drawn by lot: a generator that knows what links are likely and
        none by heart makes as many of either. `copies`: it makes more of those it learnt from, and at least three quarters of
        all of them; `suspect`: it makes more of them.
        """
        from scipy.stats import fisher_exact

        from ...metrics.graphs import edge_overlap, keys_of, rewired
        from ...metrics.measure import Measure
        from ...metrics.memorisation import Audit

        if len(heldout[0]) < 20:
            raise GanvasError(f"{len(heldout[0])} held-out edges: the audit needs 20; hold out more")
        nodes = train[1].nodes
        edges = matched(made, train[1])
        learnt, unseen = np.asarray(train[0]), np.asarray(heldout[0])
        every = np.concatenate([learnt, unseen])
        tree = keys_of(every[spanning_tree(every, nodes)], nodes)
        drawn = learnt[~np.isin(keys_of(learnt, nodes), tree)]
        there = keys_of(edges, nodes)
        hits, of_unseen = (int(np.isin(keys_of(part, nodes), there).sum()) for part in (drawn, unseen))
        table = [[hits, len(drawn) - hits], [of_unseen, len(unseen) - of_unseen]]
        chance = float(fisher_exact(table, alternative="greater").pvalue) if len(drawn) else 1.0
        overlap = edge_overlap(edges, learnt, nodes)
        null = edge_overlap(rewired(learnt, nodes, seed=seed), learnt, nodes)
        verdict = "copies" if overlap >= COPIED and chance < COPIES_BELOW else "suspect" if chance < SUSPECT_BELOW else "clear"
        reason = (
            f"{overlap:.0%} of the edges learnt from are in the sample and {of_unseen / len(unseen):.0%} of those held out; "
            f"{null:.0%} would be after rewiring"
        )
        end = f"n={nodes}/e={len(edges)}/m={len(learnt)}"
        told = {
            "edge_overlap": Measure(overlap, f"edge-overlap/{end}", more={"null": null}),
            "edges_learnt": Measure(
                hits / max(1, len(drawn)), f"edge-overlap/outside the tree/{end}", more={"null": of_unseen / len(unseen)}
            ),
        }  # fmt: skip
        return Audit(verdict, reason, told, [], (), {"edges_learnt": chance}, overlooked=(self.says.overlooks,))

    def describe(self, spec: GraphSpec) -> str:
        return f"edges of a graph of {spec.nodes} nodes"

    def blank(self, spec: GraphSpec, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        """Random ones are a ring through all nodes and its chords, each once: a walk comes everywhere."""
        if rng is None:
            return np.zeros((count, 2), np.int32)
        order, place = rng.permutation(spec.nodes).astype(np.int32), np.arange(count)
        return order[np.stack([place, place + 1 + 2 * (place // spec.nodes)], 1) % spec.nodes]

    def example(self, size: int, channels: int, classes: tuple[str, ...] = ()) -> GraphSpec:
        return GraphSpec(size)


def _first(records: np.ndarray) -> np.ndarray:
    return records[0] if records.ndim == 3 else records


def _distinct(edges: np.ndarray, nodes: int) -> np.ndarray:
    """Edges (E, 2) without repetitions and loops."""
    from ...metrics.graphs import keys_of

    keys = np.unique(keys_of(edges, nodes))
    pairs = np.stack([keys // nodes, keys % nodes], 1)
    return pairs[pairs[:, 0] != pairs[:, 1]]


def matched(side: tuple[np.ndarray, Any], spec: GraphSpec) -> np.ndarray:
    """Distinct edges (E, 2) of a side over the nodes of `spec`, matched by name. Raises GanvasError for an unknown node."""
    edges, own = np.asarray(side[0]), side[1]
    if own.names != spec.names or own.nodes > spec.nodes:
        index = {name: k for k, name in enumerate(spec.names or map(str, range(spec.nodes)))}
        names = own.names or tuple(map(str, range(own.nodes)))
        unknown = next((name for name in names if name not in index), None)
        if unknown is not None:
            raise GanvasError(f"the samples have a node '{unknown}' that the real graph has not: both must name nodes alike")
        edges = np.array([index[name] for name in names], np.int64)[edges]
    return _distinct(edges, spec.nodes)


KIND = GraphKind()
