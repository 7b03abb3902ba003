"""Statistics of graphs against networkx, and what two graphs have in common."""

from __future__ import annotations

import numpy as np
import pytest

from ganvas.errors import GanvasError
from ganvas.metrics.graphs import (
    STATISTICS,
    adamic_adar,
    edge_features,
    edge_overlap,
    keys_of,
    link_prediction,
    rewired,
    statistics,
    without_edge,
)

networkx = pytest.importorskip("networkx")


def some_graph(seed: int, nodes: int = 60, edges: int = 150) -> np.ndarray:
    graph = networkx.gnm_random_graph(nodes, edges, seed=seed)
    return np.array(graph.edges(), np.int32)


def as_networkx(edges: np.ndarray, nodes: int) -> networkx.Graph:
    graph = networkx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(edges.tolist())
    return graph


@pytest.mark.parametrize("seed", range(4))
def test_statistics_are_those_of_networkx(seed: int) -> None:
    edges = some_graph(seed, edges=90 + 30 * seed)
    graph = as_networkx(edges, 60)
    found = statistics(edges, 60)
    assert set(found) == set(STATISTICS)
    degrees = np.array([d for _, d in graph.degree()], float)
    assert found["max_degree"] == degrees.max()
    assert found["assortativity"] == pytest.approx(networkx.degree_assortativity_coefficient(graph), abs=1e-9)
    assert found["triangles"] == sum(networkx.triangles(graph).values()) / 3
    assert found["clustering"] == pytest.approx(networkx.transitivity(graph))
    largest = graph.subgraph(max(networkx.connected_components(graph), key=len))
    assert found["largest_part"] == len(largest)
    assert found["path_length"] == pytest.approx(networkx.average_shortest_path_length(largest))
    there = degrees[degrees > 0]
    assert found["power_law"] == pytest.approx(1 + len(there) / np.log(there / there.min()).sum())
    assert found["wedges"] == sum(d * (d - 1) / 2 for d in degrees)
    assert found["claws"] == sum(d * (d - 1) * (d - 2) / 6 for d in degrees)
    assert found["triangles_per_claw"] == pytest.approx(3 * found["triangles"] / found["claws"])


def test_a_star_and_a_ring_have_what_can_be_counted_by_hand() -> None:
    star = statistics(np.array([(0, k) for k in range(1, 6)]), 6)
    assert (star["max_degree"], star["wedges"], star["claws"], star["triangles"]) == (5, 10, 10, 0)
    assert star["path_length"] == pytest.approx((5 * 1 + 10 * 2) / 15)
    ring = statistics(np.array([(k, (k + 1) % 6) for k in range(6)]), 7)
    assert ring["assortativity"] == 0
    assert ring["power_law"] == float("inf")
    assert ring["largest_part"] == 6


def test_damaged_graphs_are_refused() -> None:
    with pytest.raises(GanvasError, match="outside"):
        statistics(np.array([(0, 9)]), 5)
    with pytest.raises(GanvasError, match="twice"):
        statistics(np.array([(0, 1), (1, 0)]), 5)
    with pytest.raises(GanvasError, match="itself"):
        statistics(np.array([(1, 1)]), 5)


def test_adamic_adar_is_that_of_networkx() -> None:
    edges = some_graph(5)
    pairs = np.random.default_rng(0).integers(60, size=(80, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    true = [p for _, _, p in networkx.adamic_adar_index(as_networkx(edges, 60), pairs.tolist())]
    assert adamic_adar(edges, 60, pairs) == pytest.approx(true)


def test_rewiring_keeps_degrees_and_stops_at_the_overlap() -> None:
    edges = some_graph(6, edges=200)
    for overlap in (0.0, 0.5, 0.8):
        made = rewired(edges, 60, overlap=overlap, seed=1)
        assert len(np.unique(keys_of(made, 60))) == len(edges)
        assert np.array_equal(np.bincount(made.ravel(), minlength=60), np.bincount(edges.ravel(), minlength=60))
        found = edge_overlap(made, edges, 60)
        assert overlap - 0.011 <= found <= max(overlap, 0.25)
        assert found == pytest.approx(np.isin(keys_of(edges, 60), keys_of(made, 60)).mean())
    assert edge_overlap(edges[:, ::-1], edges, 60) == 1
    assert not np.array_equal(rewired(edges, 60, seed=1), rewired(edges, 60, seed=2))


def test_pairs_without_an_edge_are_none_of_the_edges_and_all_different() -> None:
    edges = some_graph(7, nodes=20, edges=100)
    pairs = without_edge(edges, 20, 90, seed=0)
    assert len(np.unique(keys_of(pairs, 20))) == 90
    assert not np.isin(keys_of(pairs, 20), keys_of(edges, 20)).any()
    assert (pairs[:, 0] < pairs[:, 1]).all()
    with pytest.raises(GanvasError, match="no 91 pairs"):
        without_edge(edges, 20, 91)


def test_link_prediction_knows_perfect_and_reversed_scores() -> None:
    good, bad = np.array([3.0, 4.0]), np.array([1.0, 2.0])
    assert link_prediction(good, bad) == {"auroc": 1.0, "average_precision": 1.0}
    assert link_prediction(bad, good)["auroc"] == 0.0


def test_features_of_a_pair_do_not_know_whether_it_is_joined() -> None:
    edges = some_graph(8)
    for place in range(5):
        others = np.delete(edges, place, 0)
        pair = edges[place : place + 1]
        assert edge_features(edges, 60, pair) == pytest.approx(edge_features(others, 60, pair), abs=1e-6)
        assert edge_features(edges, 60, pair) == pytest.approx(edge_features(edges, 60, pair[:, ::-1]), abs=1e-6)
