"""Later states of a graph that `netgan` learnt: planted edges are found, and what cannot be judged is said in a line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ganvas.capabilities import ScoresAnomaly
from ganvas.errors import DataError
from ganvas.kinds.graph.oddity import node_scores, usual_shares, whole_chance
from ganvas.run.apply import apply
from ganvas.run.load import Run
from ganvas.run.train import train
from learning import most_seeds

CLIQUES, SIZE = 6, 8
NODES = CLIQUES * SIZE
SMALL = {
    "width": 16, "critic_width": 16, "walk_length": 6, "embedding_size": 16, "critic_embedding_size": 16, "batch_size": 64,
    "generator_learning_rate": 1e-2, "critic_learning_rate": 1e-2, "walks": 2000, "latent_size": 8, "gumbel_temperature": 1.0,
    "ema_half_life": 0, "edge_overlap": 0.0,
}  # fmt: skip


def ring_of_groups() -> np.ndarray:
    """Groups of eight, nearly whole, in a ring: what joins two groups elsewhere is odd."""
    inside = np.array([(g * SIZE + a, g * SIZE + b) for g in range(CLIQUES) for a in range(SIZE) for b in range(a)])
    drawn = inside[np.random.default_rng(0).random(len(inside)) < 0.85]
    return np.concatenate([drawn, [(g * SIZE, (g * SIZE + SIZE) % NODES) for g in range(CLIQUES)]])


def write(path: Path, edges: np.ndarray, names: str = "n{}") -> Path:
    path.write_text("".join(f"{names.format(a)} {names.format(b)}\n" for a, b in edges))
    return path


def learnt(folder: Path, rounds: int, seed: int = 0) -> Path:
    train("netgan", write(folder / "before.edges", ring_of_groups()), out=folder / "run", config=SMALL, budget=f"{rounds}r",
          quiet=True, sample_every=0, heldout=0.2, seed=seed)  # fmt: skip
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt(tmp_path_factory.mktemp("graph"), 2)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@most_seeds
def test_planted_edges_and_their_node_are_found(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """A star from node 3 into other groups, beside normal edges that are new."""
    folder = tmp_path_factory.mktemp("star")
    place = learnt(folder, 200, seed)
    before = {frozenset(edge) for edge in ring_of_groups().tolist()}
    free = [(g * SIZE + a, g * SIZE + b) for g in range(CLIQUES) for a in range(SIZE) for b in range(a)]
    normal = [edge for edge in free if frozenset(edge) not in before][:12]
    star = [(3, k) for k in range(SIZE + 1, NODES, 4)]
    state = write(folder / "later.edges", np.concatenate([ring_of_groups(), normal, star]))
    told = apply(place, [state], out=folder / "out", verb="score", device="cpu")
    edges = rows(folder / "out" / "later-edges.csv")
    new = {frozenset((row["first"], row["second"])): float(row["score"]) for row in edges if row["state"] == "new"}
    assert len(new) == len(normal) + len(star)
    odd, usual = ([new[frozenset(f"n{k}" for k in edge)] for edge in part] for part in (star, normal))
    assert np.mean(np.array(odd)[:, None] > np.array(usual)) > 0.9
    nodes = rows(folder / "out" / "later-nodes.csv")
    assert nodes[0]["node"] == "n3"
    assert told["scores"][0]["chance"] < 0.01
    assert any("unlike" in note and "above the threshold" in note for note in told["notes"])
    assert sum(float(row["score"]) > told["threshold"] for row in edges if row["state"] == "new") == len(told["alarms"])
    assert (folder / "out" / "later.png").exists()
    assert (folder / "out" / "alarms.csv").exists()


def test_the_same_graph_has_nothing_new(run: Path, tmp_path: Path) -> None:
    told = apply(run, [run.parent / "before.edges"], out=tmp_path / "out", verb="score", device="cpu")
    row = told["scores"][0]
    assert (row["new edges"], row["gone edges"], row["alarms"], row["chance"], row["score"]) == (0, 0, 0, 1, 0)
    assert {row["state"] for row in rows(tmp_path / "out" / "before-edges.csv")} == {"kept"}
    assert isinstance(Run(run).system, ScoresAnomaly)


def test_gone_edges_loops_weights_and_one_edge_are_told(run: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.edges"
    one.write_text("n0 n20 3.5\nn4 n4\n")
    told = apply(run, [one], out=tmp_path / "out", verb="score", device="cpu")
    row = told["scores"][0]
    assert (row["new edges"], row["gone edges"]) == (1, len(ring_of_groups()))
    assert any("1 edges from a node to itself were left out" in note for note in told["notes"])
    assert any("weights" in note for note in told["notes"])
    assert any("only 0% of the edges that were learnt" in note for note in told["notes"])
    table = rows(tmp_path / "out" / "one-nodes.csv")
    assert len(table) == NODES
    assert sum(int(row["new"]) for row in table) == 2


@pytest.mark.parametrize(
    ("text", "error"),
    [("n0 n1\nstranger n2\n", "'stranger' is no node of the graph"), ("", "is empty"), ("n3 n3\n", "nothing to score")],
)
def test_what_cannot_be_judged_is_refused_in_a_line(run: Path, tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "later.edges"
    path.write_text(text)
    with pytest.raises(DataError, match=error) as raised:
        apply(run, [path], out=tmp_path / "out", verb="score", device="cpu")
    assert "\n" not in str(raised.value)


def test_without_held_out_edges_there_are_scores_and_no_alarms(tmp_path: Path) -> None:
    before = write(tmp_path / "before.edges", ring_of_groups())
    train("netgan", before, out=tmp_path / "run", config=SMALL, budget="2r", quiet=True, sample_every=0)
    later = write(tmp_path / "later.edges", np.concatenate([ring_of_groups(), [(1, 20)]]))
    told = apply(tmp_path / "run", [later], out=tmp_path / "out", verb="score", device="cpu")
    assert told["threshold"] is None
    assert any("no threshold of alarms: 0 normal records were held out" in note for note in told["notes"])
    assert "alarms" not in told["scores"][0]
    assert rows(tmp_path / "out" / "later-edges.csv")[0]["alarm"] == ""


def test_shares_nodes_and_the_whole_are_what_they_say() -> None:
    usual = np.arange(99.0)
    assert usual_shares(np.array([-1.0, 98.0, 200.0]), usual).tolist() == [1.0, 0.02, 0.01]
    found = node_scores(np.array([[0, 1], [0, 2]]), np.array([0.01, 1.0]), 4)
    assert found[1] == pytest.approx(2)  # one edge: its share is the chance
    assert found[2] == found[3] == 0
    assert found[0] == pytest.approx(-np.log10(0.01 * (1 - np.log(0.01))))  # two: p (1 - ln p)
    rng = np.random.default_rng(0)
    chances = np.array([whole_chance(rng.normal(size=20), rng.normal(size=4000)) for _ in range(40)])
    assert 0.2 < chances.mean() < 0.8
    assert whole_chance(np.full(20, 3.0), usual / 50) == pytest.approx(1e-4)
