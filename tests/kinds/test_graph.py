"""Graphs: what is read from lists and arrays, what is refused, how edges are held out, walks, and what is written."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganvas.batches import Noise
from ganvas.data.check import check
from ganvas.data.dataset import Dataset, open_data
from ganvas.data.phantoms import make_phantom
from ganvas.data.phantoms._files import write_phantom
from ganvas.data.streams import open_stream
from ganvas.errors import DataError, GanvasError, RunError
from ganvas.evaluation import evaluate
from ganvas.evaluation.table import lines
from ganvas.game import Feed
from ganvas.kinds import kind_of
from ganvas.kinds.graph.files import read_links, simple, spanning_tree
from ganvas.kinds.graph.spec import GraphSpec
from ganvas.kinds.graph.walks import Paths
from ganvas.metrics.graphs import keys_of, rewired

KIND = kind_of("graph")
RING = [(k, (k + 1) % 14) for k in range(14)] + [(0, 5), (3, 9)]


def opened(path: Path | str, **settings: Any) -> Dataset:
    return open_data(path, kinds=("graph",), progress=False, **settings)


def put(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def named(edges: Any = RING, sep: str = " ") -> str:
    return "".join(f"n{a}{sep}n{b}\n" for a, b in edges)


def pairs_of(data: Dataset) -> set[tuple[str, str]]:
    names = data.spec.names or tuple(map(str, range(data.spec.nodes)))  # type: ignore[union-attr]
    return {tuple(sorted((names[a], names[b]))) for a, b in np.asarray(data.values).tolist()}  # type: ignore[misc]


TRUE = {tuple(sorted((f"n{a}", f"n{b}"))) for a, b in RING}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("g.edges", named()),
        ("g.edgelist", "# a comment\n% another\n" + "".join(f"n{a} n{b} {{}}\n" for a, b in RING)),
        ("g.csv", "source,target\n" + named(sep=",")),
        ("g.tsv", named(sep="\t")),
        ("g.txt", "﻿" + named(sep=" ; ")),
        ("g.edges", "".join(f"n{a} n{b} {{'weight': 0.5}}\n" for a, b in RING)),
    ],
)
def test_edge_lists_of_every_kind(name: str, text: str, tmp_path: Path) -> None:
    data = opened(put(tmp_path / name, text))
    assert pairs_of(data) == TRUE
    assert data.spec.nodes == 14  # type: ignore[union-attr]
    assert data.values.dtype == np.int32
    assert (data.values[:, 0] < data.values[:, 1]).all()


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    text = named() + "n0 n0\nn1 n0\nn0 n5\n" + "far away\n" + "".join(f"n{a} n{b} 2.5\n" for a, b in RING[:1])
    data = opened(put(tmp_path / "g.edges", text))
    assert pairs_of(data) == TRUE
    told = "\n".join(data.notes)
    assert "1 edges from a node to itself" in told
    assert "2 repeated edges were merged" in told
    assert "weights are not learnt: 1 of" in told
    assert "2 parts: only the largest is taken, 14 of 16 nodes" in told
    header = opened(put(tmp_path / "h.csv", "first,second\n" + "".join(f"{a},{b}\n" for a, b in RING)))
    assert any("taken as a header" in note for note in header.notes)
    assert header.spec.names == ()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("g.edges", "", "empty"),
        ("g.edges", "# nothing\n", "no edges"),
        ("g.edges", "a b\nc\n", "line 2"),
        ("g.csv", "a,b\nc,d,e,f\n", "line 2 has more than two nodes"),
        ("g.csv", "a,b\nc,d,heavy\n", "line 2"),
        ("g.edges", "a b\nb c\n", "at least 10"),
        ("g.edges", "\0\0 \0", "not a text file"),
        ("g.graphml", "<graphml><broken", "not a graph that can be read"),
        ("g.gml", "graph [ node [ id", "not a graph that can be read"),
        ("g.npz", "this is no archive", "damaged"),
        ("g.gpickle", "x", "pickle runs code"),
    ],
)
def test_refusals_teach_in_one_line(name: str, text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says) as caught:
        opened(put(tmp_path / name, text))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_graphs_are_not_one(tmp_path: Path) -> None:
    for name in ("a.edges", "b.edges"):
        put(tmp_path / name, named())
    with pytest.raises(DataError, match="one graph is the data"):
        opened(tmp_path)
    with pytest.raises(GanvasError, match="--size"):
        opened(tmp_path / "a.edges", size=4)


def test_graphml_and_gml_of_networkx(tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    graph = networkx.DiGraph([(f"n{a}", f"n{b}") for a, b in RING])
    networkx.write_graphml(graph, tmp_path / "g.graphml")
    networkx.write_gml(graph, tmp_path / "g.gml")
    for name in ("g.graphml", "g.gml"):
        data = opened(tmp_path / name)
        assert pairs_of(data) == TRUE
        assert any("directions are not learnt" in note for note in data.notes)


def test_arrays_in_every_form(tmp_path: Path) -> None:
    from scipy.sparse import coo_matrix, save_npz

    edges = np.array(RING)
    square = np.zeros((14, 14))
    square[edges[:, 0], edges[:, 1]] = 1
    square += square.T
    matrix = coo_matrix(square).tocsr()
    names = np.array([f"n{k}" for k in range(14)])
    csr = {f"adj_{k}": v for k, v in {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}.items()}
    csr["adj_shape"] = np.array(matrix.shape)
    save_npz(tmp_path / "scipy.npz", matrix)
    np.savez(tmp_path / "parts.npz", **csr, names=names)
    np.savez(tmp_path / "dictionary.npz", csr)  # one object: a pickle of arrays
    np.savez(tmp_path / "edges.npz", edges=edges, names=names)
    np.savez(tmp_path / "adjacency.npz", adjacency=square)
    np.save(tmp_path / "pairs.npy", edges)
    plain = {(str(min(a, b)), str(max(a, b))) for a, b in RING}
    for path in sorted(tmp_path.iterdir()):
        found = {tuple(sorted(p)) for p in pairs_of(opened(path))}
        assert found == (TRUE if path.stem in ("parts", "edges") else {tuple(sorted(p)) for p in plain}), path.name


def test_an_object_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    np.savez(tmp_path / "g.npz", np.array({"adj_data": Evil()}, dtype=object))
    with pytest.raises(DataError, match="not opened"):
        opened(tmp_path / "g.npz")
    (tmp_path / "g.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match="pickle"):
        opened(tmp_path / "g.pkl")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"edges": np.zeros((4, 3), int)}, "whole numbers"),
        ({"edges": np.zeros((4, 2))}, "whole numbers"),
        ({"edges": -np.ones((4, 2), int)}, "names node -1"),
        ({"edges": np.array(RING), "names": np.array(["a"] * 14)}, "1 different names"),
        ({"adjacency": np.zeros((4, 5))}, "square"),
        ({"adjacency": np.full((4, 4), np.nan)}, "NaN"),
        ({"adj_indptr": np.array([0, 5]), "adj_indices": np.array([0]), "adj_shape": np.array([1, 1])}, "fit together"),
        ({"something": np.zeros(3), "other": np.zeros(3)}, "no graph among"),
    ],
)
def test_damaged_arrays_are_refused(parts: dict[str, np.ndarray], says: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", **parts)
    with pytest.raises(DataError, match=says):
        opened(tmp_path / "g.npz")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", ["g.edges", "g.csv", "g.graphml", "g.gml", "g.npz", "d.npz"])
def test_damaged_files_are_read_or_refused_and_never_crash(name: str, data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "d.npz":
        np.savez(path, {"edges": np.array(RING), "note": "x"})
    elif name == "g.gml":
        body = "".join(f'node [ id {k} label "n{k}" ]\n' for k in range(14))
        path.write_text(f"graph [\n{body}" + "".join(f"edge [ source {a} target {b} ]\n" for a, b in RING) + "]\n")
    else:
        from ganvas.kinds.graph.writing import written

        format = name.rpartition(".")[2]
        path.write_bytes(written(np.array(RING), [f"n{k}" for k in range(14)], 14, format, {}))
    body = bytearray(path.read_bytes())
    how = data.draw(st.sampled_from(("cut", "flip", "insert")))
    place = data.draw(st.integers(0, len(body) - 1))
    if how == "cut":
        body = body[:place]
    elif how == "flip":
        body[place] ^= data.draw(st.integers(1, 255))
    else:
        body[place:place] = data.draw(st.binary(min_size=1, max_size=8))
    path.write_bytes(bytes(body))
    refused = ""
    try:
        found = simple(read_links(path), path)
    except DataError as error:
        refused = str(error)
    if refused:
        assert name in refused
        assert "\n" not in refused
        return
    assert (found.edges[:, 0] < found.edges[:, 1]).all()
    assert found.edges.max() < found.nodes


# Holding out, walking


def test_held_out_edges_leave_a_connected_graph(tmp_path: Path) -> None:
    for seed in range(3):
        data = opened("communities", seed=seed, heldout=0.2, phantom_count=600, cache=tmp_path)
        learnt = np.asarray(data.values[data.train_indices()])
        assert len(data.heldout_indices()) == 120
        assert spanning_tree(learnt, 150).sum() == 149
        kept = KIND.kept(data.values, data.spec)
        assert kept is not None
        assert not data.heldout[kept].any()
        other = np.random.default_rng(0).permutation(600)
        again = KIND.kept(np.asarray(data.values)[other][:, ::-1], data.spec)
        assert again is not None
        assert np.array_equal(again, kept[other]), "the tree belongs to the graph, not to the order of its edges"


def test_a_tree_cannot_be_held_out_of(tmp_path: Path) -> None:
    tree = [(k // 2, k) for k in range(1, 40)]
    data = opened(put(tmp_path / "g.edges", named([*tree, (38, 39)])), heldout=0.3)
    assert data.heldout.sum() <= 2
    assert any("may be held out" in note for note in data.notes)


def test_walks_follow_edges_and_visit_nodes_by_degree() -> None:
    edges = np.array([*RING, (0, 7), (0, 9), (0, 3)])
    paths = Paths(edges, 14)
    rng = np.random.default_rng(0)
    walks = paths.walks(rng.integers(14, size=4000), rng.random((4000, 30)))
    assert paths.joined(walks[:, :-1].ravel(), walks[:, 1:].ravel()).all()
    visits = np.bincount(walks[:, 20:].ravel(), minlength=14) / walks[:, 20:].size
    assert visits == pytest.approx(paths.degrees / paths.degrees.sum(), abs=0.01)
    first, count = np.unique(walks[walks[:, 0] == 0, 1], return_counts=True)
    assert len(first) == paths.degrees[0]
    assert count.min() > 0.6 * count.mean()


def test_walks_of_second_order_weigh_their_steps() -> None:
    edges = np.array([(0, 1), (0, 2), (1, 2), (1, 3), (3, 4)])
    paths = Paths(edges, 5)
    rng = np.random.default_rng(0)
    made = paths.second_order(np.zeros(60_000, np.int64), 3, 4.0, 2.0, rng)
    over_one = made[made[:, 1] == 1, 2]  # from 0 over 1: back to 0 (1/4), to 2, a neighbour of 0 (1), to 3 (1/2)
    shares = np.bincount(over_one, minlength=5) / len(over_one)
    assert shares == pytest.approx([1 / 7, 0, 4 / 7, 2 / 7, 0], abs=0.01)


def test_the_stream_draws_walks_and_goes_on_where_it_was(tmp_path: Path) -> None:
    data = opened("communities", heldout=0.2, phantom_count=600, cache=tmp_path)
    stream = open_stream(data, Feed(), 32)
    stream.configure(length=6)
    noise = Noise(torch.Generator().manual_seed(0))
    batch = stream.draw(noise)
    assert batch.real.shape == (32, 6)
    paths = Paths(np.asarray(data.values[data.train_indices()]), 150)
    walks = batch.real.numpy()
    assert paths.joined(walks[:, :-1].ravel(), walks[:, 1:].ravel()).all(), "held-out edges are not walked"
    halves = [Noise(torch.Generator().manual_seed(0), rank, 2) for rank in range(2)]
    shared = [open_stream(data, Feed(), 32, world=2) for _ in halves]
    for own in shared:
        own.configure(length=6)
    assert torch.equal(torch.cat([s.draw(n).real for s, n in zip(shared, halves, strict=True)]), batch.real)
    stream.configure(length=6, returning=0.5, roaming=2.0)
    assert paths.joined(*stream.draw(noise).real[:, 2:4].numpy().T).all()
    with pytest.raises(RunError, match="another|was trained on"):
        stream.restore({"position": 0, "records": 3})
    with pytest.raises(ValueError, match="no override 'size'"):
        stream.configure(size=3)


# Writing, judging


@pytest.mark.parametrize("format", KIND.formats)
def test_what_is_written_is_read_again_and_says_that_it_is_synthetic(format: str, tmp_path: Path) -> None:
    spec = GraphSpec(14, tuple(f"a & <{k}>, b" for k in range(14)))
    edges = np.sort(np.array(RING, np.int32), axis=1)
    files = KIND.write(np.stack([edges, edges]), spec, tmp_path, format=format, depth=None, note={"system": "netgan"})
    assert len(files) == 2
    if format == "npz":
        with np.load(files[0]) as held:
            assert "SYNTHETIC" in str(held["note"])
    else:
        assert "SYNTHETIC" in files[0].read_text()
    data = opened(files[0], heldout=0.0)
    assert set(data.spec.names) == set(spec.names)  # type: ignore[union-attr]
    index = {name: k for k, name in enumerate(spec.names)}
    back = np.array([[index[data.spec.names[a]], index[data.spec.names[b]]] for a, b in data.values])  # type: ignore[union-attr]
    assert set(keys_of(back, 14).tolist()) == set(keys_of(edges, 14).tolist())


def test_gml_is_written_as_it_is_read(tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    names = [f'Zoë & "{"αβγδ"[k % 4]}{k}" 木' for k in range(14)]
    networkx.write_gml(networkx.Graph([(names[a], names[b]) for a, b in RING]), tmp_path / "g.gml")
    data = opened(tmp_path / "g.gml", heldout=0.0)
    assert set(data.spec.names) == set(names)  # type: ignore[union-attr]
    (tmp_path / "out").mkdir()
    edges = np.asarray(data.values)
    (file,) = KIND.write(edges[None], data.spec, tmp_path / "out", format=data.spec.format, depth=None, note={})
    assert file.suffix == ".gml" and "SYNTHETIC" in file.read_text()
    back = opened(file, heldout=0.0)
    assert back.spec.names == data.spec.names and pairs_of(back) == pairs_of(data)  # type: ignore[union-attr]
    assert set(networkx.read_gml(file).nodes) == set(names), "others read the same names"


def test_the_phantom_is_one_connected_graph_of_communities(tmp_path: Path) -> None:
    made = make_phantom("communities", 600, 3)
    assert spanning_tree(made.values, 150).sum() == 149
    assert len(np.unique(keys_of(made.values, 150))) == 600
    within = np.mean([a == b for a, b in (fact["communities"] for fact in made.facts)])
    assert within > 0.7
    with pytest.raises(DataError, match="no 200 pairs"):
        make_phantom("communities", 200, size=16)
    files = write_phantom("communities", 400, tmp_path / "made")
    assert files[0].name == "sample-0001.edges"
    assert len(opened(files[0], heldout=0.0).values) == 400


def test_data_check_speaks_of_graphs(tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", edges=np.array(RING))
    report = check(tmp_path / "g.npz", progress=False)
    assert "edges of a graph of 14 nodes" in report.lines()[0]
    assert "edges of a graph of 14 nodes" in check(put(tmp_path / "t.txt", named()), progress=False).lines()[0]


def test_a_copy_is_called_one_and_a_rewired_graph_is_clear(tmp_path: Path) -> None:
    data = opened("communities", seed=0, heldout=0.2, phantom_count=600)
    learnt = np.asarray(data.values[data.train_indices()])
    real = tmp_path / "real.npz"
    np.savez(real, edges=np.asarray(data.values))
    split = opened(real, heldout=0.2)
    learnt = np.asarray(split.values[split.train_indices()])
    verdicts = {}
    for name, edges in {"copy": learnt, "part": rewired(learnt, 150, overlap=0.5), "rewired": rewired(learnt, 150)}.items():
        folder = tmp_path / name
        folder.mkdir()
        KIND.write(edges, GraphSpec(150), folder, format="edges", depth=None, note={})
        result = evaluate(folder, real, kind="graph")
        verdicts[name] = result["memorisation"]["verdict"]
        if name == "copy":
            text = "\n".join(lines(result))
            assert "COPIES" in text
            assert "triangles" in text
            assert result["edge_overlap"]["value"] == 1
            assert result["triangles"]["value"] == result["anchors"]["real"]["triangles"]["value"]
            assert result["anchors"]["rewired"]["triangles"]["value"] < result["triangles"]["value"]
    assert verdicts == {"copy": "copies", "part": "suspect", "rewired": "clear"}


def test_nodes_must_be_named_alike(tmp_path: Path) -> None:
    put(tmp_path / "a.edges", named())
    put(tmp_path / "b.edges", named().replace("n", "m"))
    with pytest.raises(GanvasError, match="node 'm0'"):
        evaluate(tmp_path / "b.edges", tmp_path / "a.edges", kind="graph", audit=False)


def test_the_picture_shows_both_graphs() -> None:
    data = opened("communities", phantom_count=600)
    alone = KIND.picture(np.asarray(data.values), data.spec)
    beside = KIND.picture_beside(np.asarray(data.values)[None], data)
    assert beside.shape[1] > alone.shape[1]
    assert alone.std() > 5


def test_cora_is_the_graph_of_the_paper(real_data: Path) -> None:
    data = opened(real_data / "graphs" / "cora_ml.npz", heldout=0.15)
    assert (data.spec.nodes, len(data.values)) == (2810, 7981)  # type: ignore[union-attr]
    assert len(data.heldout_indices()) == 1197
