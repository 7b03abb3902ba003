"""NetGAN: its penalty and its gradients against one-hot walks, its scores, its graphs, and that it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Assembles, Samples, ScoresLinks
from ganvas.config import build_config
from ganvas.errors import GanvasError
from ganvas.evaluation import evaluate
from ganvas.evaluation.table import lines
from ganvas.game import Clock
from ganvas.kinds.graph.spec import GraphSpec
from ganvas.metrics.graphs import keys_of, link_prediction, without_edge
from ganvas.networks.netgan import Cell, StraightThrough
from ganvas.run.draw import draw
from ganvas.run.load import Run
from ganvas.run.train import train
from ganvas.systems.graphs import netgan
from ganvas.systems.graphs.netgan import Config, NetGan, assembled

NODES = 11


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def system_of(nodes: int = NODES, **config: object) -> NetGan:
    torch.manual_seed(0)
    small = {"width": 6, "critic_width": 5, "embedding_size": 7, "critic_embedding_size": 4, "walk_length": 5, "walks": 600}
    return NetGan(GraphSpec(nodes), build_config(Config, {**small, **config}))


def test_it_has_its_capabilities() -> None:
    system = system_of()
    assert isinstance(system, Samples)
    assert isinstance(system, Assembles)
    assert isinstance(system, ScoresLinks)
    with pytest.raises(GanvasError, match="too many"):
        NetGan(GraphSpec(20_000), build_config(Config, {}))


def test_the_cell_is_the_one_of_torch() -> None:
    torch.manual_seed(0)
    cell, other = Cell(3, 4), torch.nn.LSTMCell(3, 4)
    order = torch.cat([torch.arange(4, 8), torch.arange(0, 4), torch.arange(12, 16), torch.arange(8, 12)])
    with torch.no_grad():  # torch: in, forget, cell, out; here: forget, in, out, cell
        cell.project.weight.copy_(other.weight_ih[order])
        cell.recur.weight.copy_(other.weight_hh[order])
        cell.project.bias.copy_((other.bias_ih + other.bias_hh)[order])
    x, state = torch.randn(2, 3), (torch.randn(2, 4), torch.randn(2, 4))
    for mine, theirs in zip(cell(cell.project(x), state), other(x, state), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)


def test_looking_nodes_up_has_the_gradients_of_one_hot_walks() -> None:
    torch.manual_seed(0)
    logits, weight = torch.randn(4, NODES, requires_grad=True), torch.randn(NODES, 3, requires_grad=True)
    soft = logits.softmax(1)
    nodes = soft.argmax(1)
    hard = torch.nn.functional.one_hot(nodes, NODES).float() + soft - soft.detach()
    use = torch.randn(4, 3)
    plain = torch.autograd.grad((hard @ weight * use).sum(), (logits, weight))
    made = StraightThrough.apply(logits.softmax(1), weight, nodes)
    assert torch.equal(made, weight[nodes])
    mine = torch.autograd.grad((made * use).sum(), (logits, weight))
    assert torch.allclose(mine[0], plain[0], atol=1e-6)
    assert torch.allclose(mine[1], plain[1], atol=1e-6)


def test_the_penalty_is_that_of_whole_one_hot_walks_and_so_are_its_gradients() -> None:
    system = system_of(critic_weight_decay=0.0)
    walks = torch.randint(NODES, (8, 5))
    terms = system.estimate(Batch(noise(3), {"real": walks}), Clock(), {})
    again = noise(3)
    with torch.no_grad():
        fake, _ = system._walk(system.generator, *system._chances(8, again))
    share = again.uniform(8)[:, None, None]
    real, made = (torch.nn.functional.one_hot(w, NODES).float() for w in (walks, fake))
    between = (real + share * (made - real)).requires_grad_()
    (gradient,) = torch.autograd.grad(system.critic(between @ system.critic.down).sum(), between, create_graph=True)
    plain = 10 * ((gradient.square().sum((1, 2)) + 1e-12).sqrt() - 1).square().mean()
    assert terms["penalty"].item() == pytest.approx(plain.item(), rel=1e-4)
    owned = list(system.critic.parameters())
    mine = torch.autograd.grad(terms["penalty"], owned, allow_unused=True)
    theirs = torch.autograd.grad(plain, owned, allow_unused=True)
    for a, b in zip(mine, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert torch.allclose(a, b, atol=2e-4)


def test_the_generator_takes_nodes_as_often_as_it_says() -> None:
    system = system_of()
    with torch.no_grad():
        system.generator.up.bias.copy_(torch.linspace(-2, 2, NODES))
        system.generator.up.weight.zero_()
    soft = system.generator.up.bias.softmax(0)
    with torch.no_grad():
        cheap = system._walk(system.generator, *system._chances(4000, noise()))[0]
        chosen: list[Tensor] = []
        old = StraightThrough.apply
        try:
            StraightThrough.apply = staticmethod(lambda s, w, n: chosen.append(n) or old(s, w, n))  # type: ignore[method-assign]
            system._soft_walk(4000, noise(1), 3.0)
        finally:
            StraightThrough.apply = old  # type: ignore[method-assign]
    for nodes in (cheap.flatten(), torch.cat(chosen)):
        assert torch.allclose(torch.bincount(nodes, minlength=NODES) / len(nodes), soft, atol=0.01)


def test_the_temperature_falls_to_its_floor() -> None:
    system = system_of(gumbel_temperature=4.0, minimum_temperature=1.0, temperature_decay=0.01)
    found = [system.temperature(Clock(round=r)) for r in (0, 100, 1000)]
    assert found == pytest.approx([4.0, 4 * np.exp(-1), 1.0])


def test_scores_are_the_shares_of_steps() -> None:
    system = system_of(walks=20_000).eval()
    with torch.no_grad():
        scores = system.scores(noise())
        walks, _ = system._walk(system.average, *system._chances(20_000, noise(1)))
    counts = torch.zeros(NODES, NODES)
    counts.index_put_((walks[:, :-1].flatten(), walks[:, 1:].flatten()), torch.ones(walks[:, 1:].numel()), accumulate=True)
    counts.fill_diagonal_(0)
    assert torch.equal(scores, scores.T)
    assert scores.diagonal().abs().max() == 0
    assert torch.allclose(scores, (counts + counts.T) / walks[:, 1:].numel(), atol=1.5e-3)


def test_graphs_are_assembled_in_proportion_to_scores_and_leave_no_node_out() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(30, 30, generator=generator) ** 4
    scores = torch.triu(scores, 1) + torch.triu(scores, 1).T
    scores[3] = scores[:, 3] = 0
    scores[3, 4] = scores[4, 3] = 1e-9
    seen = np.zeros(900)
    for seed in range(40):
        edges = assembled(scores, 60, noise(seed)).numpy()
        keys = keys_of(edges, 30)
        assert edges.shape == (60, 2)
        assert len(np.unique(keys)) == 60
        assert (edges[:, 0] != edges[:, 1]).all()
        assert len(np.unique(edges)) == 30
        seen[keys] += 1
    upper = np.triu(np.ones((30, 30)), 1).ravel() > 0
    assert np.corrcoef(seen[upper], scores.numpy().ravel()[upper])[0, 1] > 0.7
    sparse = torch.zeros(4, 4)
    sparse[0, 1] = sparse[1, 0] = 1
    with pytest.raises(GanvasError, match="pairs of nodes have a score"):
        assembled(sparse, 6, noise())


def test_samples_are_steps_of_walks() -> None:
    system = system_of().eval()
    with torch.no_grad():
        pairs = system.sample(50, noise())
    assert pairs.shape == (50, 2)
    assert pairs.min() >= 0
    assert pairs.max() < NODES


@pytest.mark.slow
def test_it_learns_which_links_are_likely(tmp_path: Path) -> None:
    """A ring of cliques: after some rounds pairs of one clique score higher than others."""
    edges = np.array([(c * 6 + a, c * 6 + b) for c in range(5) for a in range(6) for b in range(a)])
    edges = np.concatenate([edges, [(c * 6, (c * 6 + 6) % 30) for c in range(5)]])
    np.savez(tmp_path / "g.npz", edges=edges)
    config = {"width": 16, "critic_width": 16, "walk_length": 6, "embedding_size": 16, "batch_size": 64,
        "generator_learning_rate": 1e-2,
              "critic_learning_rate": 1e-2, "walks": 2000, "latent_size": 8, "gumbel_temperature": 1.0,
              "ema_half_life": 0}  # fmt: skip
    train("netgan", tmp_path / "g.npz", out=tmp_path / "run", config=config, budget="180r", quiet=True, sample_every=0)
    run = Run(tmp_path / "run")
    others = without_edge(edges, 30, 60)
    area = link_prediction(*(run.use("link", pairs)["score"] for pairs in (edges, others)))["auroc"]
    assert area > 0.8


def test_from_a_file_to_graphs_and_their_judgement(tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = {"width": 6, "critic_width": 6, "embedding_size": 8, "walk_length": 4, "walks": 600, "batch_size": 16}
    train("netgan", "communities", out=run, config=config, budget="2r", quiet=True, heldout=0.2)
    assert len(list((run / "samples").glob("*.png"))) == 2
    drawn = draw(run, out=tmp_path / "drawn", device="cpu", format="graphml")
    assert drawn["count"] == 1
    assert Path(drawn["files"][0]).name == "sample-0001.graphml"
    loaded = Run(run)
    graphs = loaded.use("assemble", count=2, seed=3)["real"]
    assert graphs.shape == (2, 480, 2)
    assert np.array_equal(graphs, loaded.use("assemble", count=2, seed=3)["real"])
    assert loaded.sample(5).shape == (5, 2)
    result = evaluate(run)
    assert 0 <= result["link_auroc"]["value"] <= 1
    assert "adamic_adar_auroc" in result["link_auroc"]
    assert result["memorisation"]["verdict"] == "clear"
    assert result["anchors"]["real"]["edge_overlap"]["value"] == 1
    assert result["fake"]["n"] == 480
    assert "heldout_overlap" in result
    with pytest.raises(GanvasError, match="--label"):
        draw(run, label="x", out=tmp_path / "no", device="cpu")


def test_all_edges_are_learnt_from_where_nobody_wants_links_judged(tmp_path: Path) -> None:
    """Graphs were a fifth smaller than the user's, because a fifth of the edges was held out unasked."""
    run = tmp_path / "run"
    config = {"width": 6, "critic_width": 6, "embedding_size": 8, "walk_length": 4, "walks": 600, "batch_size": 16}
    train("netgan", "communities", out=run, config=config, budget="2r", quiet=True)
    assert Run(run).use("assemble", count=1, seed=3)["real"].shape == (1, 600, 2)
    result = evaluate(run)
    assert (result["real"]["split"], result["real"]["train"]) == ("none", 600)
    assert 0 <= result["edge_overlap"]["value"] <= 1
    assert not {"link_auroc", "heldout_overlap", "memorisation"} & set(result)
    assert any("--heldout 0.2" in note for note in result["notes"])
    assert "nothing is held out" in "\n".join(lines(result))


def test_training_ends_at_the_overlap_that_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a graph that is made shares enough edges with the learnt one, and never where none are wanted."""
    edges = np.array([(a, b) for a in range(8) for b in range(a)])  # all pairs: any graph of as many edges is this one
    np.savez(tmp_path / "g.npz", edges=edges)
    config: dict[str, object] = {"width": 6, "critic_width": 6, "embedding_size": 8, "walk_length": 4, "walks": 600,
        "batch_size": 16}  # fmt: skip
    monkeypatch.setattr(netgan, "LOOK_EVERY", 4)
    rounds = {}
    for wanted in (0.9, 0.0):
        out = tmp_path / f"{wanted}"
        told = train("netgan", tmp_path / "g.npz", out=out, config={**config, "edge_overlap": wanted}, budget="6r", quiet=True)
        rounds[wanted] = told["rounds"]
    assert rounds == {0.9: 4, 0.0: 6}
