"""SeqGAN: how symbols are drawn, that roll-outs go on from where they stand, what is rewarded, and whether it learns at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.phantoms import make_phantom
from ganvas.data.phantoms.oracle import SYMBOLS, WEIGHTS, WIDTH, Oracle
from ganvas.game import Clock
from ganvas.kinds.tokens.spec import TokensSpec
from ganvas.networks.seqgan import Discriminator, drawn
from ganvas.presets import Situation
from ganvas.proofs import Row, Task
from ganvas.proofs.seqgan import ARMS, BATCH, BUDGET, MOVES, SETTINGS, WARM_UP, met
from ganvas.run.draw import draw
from ganvas.run.train import train
from ganvas.systems.text.seqgan import PRESETS, Config, SeqGan

SMALL: dict[str, Any] = {"width": 8, "embedding_size": 6, "discriminator_embedding_size": 8, "filters": 4,
    "generated_size": 32, "batch_size": 8,
                         "rollouts": 3}  # fmt: skip
ENDING = TokensSpec(6, ("", "a", "b", "c"))
WHOLE = TokensSpec(6, ("a", "b", "c", "d"))


def built(spec: TokensSpec = ENDING, **config: Any) -> SeqGan:
    torch.manual_seed(0)
    return SeqGan(spec, build_config(Config, {**SMALL, **config}))


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def strengthened(system: SeqGan) -> SeqGan:
    """Weights large enough for memories to matter."""
    with torch.no_grad():
        for network in (system.generator, system.rollout):
            for parameter, seed in zip(network.parameters(), range(20), strict=False):
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
    return system


def one_by_one(system: SeqGan, tokens: torch.Tensor, chances: torch.Tensor) -> torch.Tensor:
    """Roll-outs as they are defined: each beginning is read anew for every way to go on."""
    policy = system.rollout
    count, length = tokens.shape
    made = torch.zeros(length - 1, count, chances.shape[2], length, dtype=torch.int64)
    with torch.no_grad():
        for given in range(1, length):
            for way in range(chances.shape[2]):
                own = tokens.clone()
                for place in range(given, length):
                    own[:, place] = drawn(policy.output(policy.states(own)[place][0]), chances[:, given - 1, way, place])
                    if policy.ends:
                        own[:, place] = own[:, place].masked_fill(own[:, place - 1] == 0, 0)
                made[given - 1, :, way] = own
    return made


@pytest.mark.parametrize("symbols", [2, 7, 64, 65, 100, 5000])
def test_symbols_are_drawn_with_their_probabilities(symbols: int) -> None:
    logits = torch.randn(1, symbols, generator=torch.Generator().manual_seed(0)) * 2
    wanted = logits[0].double().softmax(0)
    chances = (torch.arange(20_000) + 0.5) / 20_000
    counts = torch.cat([drawn(logits.expand(1000, -1), part) for part in chances.split(1000)]).bincount(minlength=symbols)
    assert counts.shape == (symbols,)
    assert (counts / 20_000 - wanted).abs().max() < 2e-4  # one chance in 20,000 on either side of each border


def test_the_ends_of_the_chances_are_served() -> None:
    for symbols in (3, 65, 200):
        logits = torch.full((2, symbols), -200.0)
        logits[:, symbols // 2] = 0.0
        assert drawn(logits, torch.tensor([0.0, 1 - 2**-24])).tolist() == [symbols // 2] * 2


@pytest.mark.parametrize("spec", [ENDING, WHOLE, TokensSpec(5, tuple(str(k) for k in range(80)))])
def test_roll_outs_go_on_as_if_each_beginning_were_read_anew(spec: TokensSpec) -> None:
    system = strengthened(built(spec))
    source = noise(1)
    tokens = system.generator.write(source.uniform(4, spec.length))
    chances = source.uniform(4, spec.length - 1, 3, spec.length)
    made = system.rollout.continued(tokens, chances)
    assert made.shape == (spec.length - 1, 4, 3, spec.length)
    assert torch.equal(made, one_by_one(system, tokens, chances))
    for given in range(1, spec.length):
        assert (made[given - 1, :, :, :given] == tokens[:, None, :given]).all()
    assert len(made[0].flatten(0, 1).unique(dim=0)) > 4, "the ways differ"


def test_what_is_written_has_the_probabilities_it_is_told_to_have() -> None:
    spec = TokensSpec(2, ("", "a", "b"))
    system = strengthened(built(spec))
    made = system.generator.write(noise().uniform(20_000, 2))
    every = torch.tensor([[0, 0], [1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]])
    told = system.generator.log_probabilities(every).sum(1).exp()
    assert told.sum().item() == pytest.approx(1, abs=1e-5)
    shares = torch.stack([(made == own).all(1).float().mean() for own in every])
    assert torch.allclose(shares, told, atol=0.012)


def test_behind_the_end_is_nothing_learnt_or_rewarded() -> None:
    system = strengthened(built())
    tokens = torch.tensor([[1, 2, 0, 0, 0, 0], [1, 2, 3, 1, 2, 3]])
    assert system.generator.written(tokens).tolist() == [[True] * 3 + [False] * 3, [True] * 6]
    assert (system.generator.log_probabilities(tokens)[0, 3:] == 0).all()
    assert (system.generator.log_probabilities(tokens)[0, :3] < 0).all()
    batch = Batch(noise(), {"real": tokens})
    for centred in (False, True):
        object.__setattr__(system.config, "reward_baseline", centred)
        rewards = torch.tensor([[0.5] * 3 + [1e6] * 3, [0.5] * 6])
        system.rewards = lambda tokens, noise, given=rewards: given  # type: ignore[method-assign, misc]
        loss = system.reinforce(batch, Clock(), {})["policy"]
        assert loss.abs() < 100, "a reward behind the end changes nothing"


def test_the_last_symbol_and_an_end_are_worth_what_d_says() -> None:
    system = strengthened(built())
    tokens = torch.tensor([[1, 2, 0, 0, 0, 0], [1, 2, 3, 1, 2, 3]])
    whole = system.realness(tokens)
    rewards = system.rewards(tokens, noise())
    assert torch.equal(rewards[:, -1], whole)
    assert torch.allclose(rewards[0, 2:], whole[0].expand(4)), "an ended sequence goes on in one way only"
    assert not rewards.requires_grad
    assert ((rewards > 0) & (rewards < 1)).all()


def test_rewards_move_g_and_leave_d_and_the_copy_alone() -> None:
    system = built()
    batch = system._written(Clock(), noise())
    system.reinforce(batch, Clock(), {})["policy"].backward()
    assert all(p.grad is not None for p in system.generator.parameters())
    assert all(p.grad is None for p in [*system.discriminator.parameters(), *system.rollout.parameters()])


def test_the_gradient_is_that_of_rewarded_log_probabilities() -> None:
    """Twice the reward at one place, twice its share of the gradient."""
    system = built(WHOLE)
    batch = Batch(noise(), {"real": torch.tensor([[0, 1, 2, 3, 0, 1]])})

    def gradient(rewards: torch.Tensor) -> torch.Tensor:
        system.rewards = lambda tokens, noise: rewards  # type: ignore[method-assign]
        return torch.autograd.grad(system.reinforce(batch, Clock(), {})["policy"], system.generator.output.bias)[0]

    one = torch.zeros(1, 6)
    one[0, 3] = 1.0
    assert torch.allclose(gradient(2 * one), 2 * gradient(one))
    assert torch.allclose(gradient(torch.ones(1, 6)), sum(gradient(torch.eye(6)[k : k + 1]) for k in range(6)), atol=1e-6)


def test_a_generated_set_is_gone_through_and_then_written_anew() -> None:
    system = strengthened(built(WHOLE, generated_size=20, discriminator_epochs=2))
    source = noise()
    first = [system._negatives(8, source) for _ in range(2)]
    kept = system.generated.clone()
    again = [system._negatives(8, source) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)), "the second pass"
    assert torch.equal(system.generated, kept)
    system._negatives(8, source)
    assert not torch.equal(system.generated, kept), "a new set"


def test_the_schedule_is_the_paper_s() -> None:
    system = built(pretraining_samples=100, warm_up=2, generated_size=32, discriminator_epochs=3, discriminator_steps=5)
    learn, warm, play = system.phases()
    assert [phase.name for phase in (learn, warm, play)] == ["likelihood", "warm-up", "play"]
    assert learn.until is not None and warm.until is not None
    assert not learn.until(Clock(phase_samples=99))
    assert learn.until(Clock(phase_samples=100))
    assert learn.until(Clock(progress=0.4))
    assert not warm.until(Clock(phase_samples=191, progress=0.4))
    assert warm.until(Clock(phase_samples=2 * 3 * 32))
    reinforce, judge = play.turns
    assert (reinforce.every, judge.every, reinforce.source) == (5 * 3 * 4, 1, "written")
    assert [p.name for p in built(pretraining_samples=0, warm_up=0).phases()] == ["play"]


def test_the_copy_keeps_four_fifths_of_itself_from_move_to_move() -> None:
    system = built(rollout_momentum=0.8, generated_size=32, discriminator_epochs=1, discriminator_steps=1)
    half_life = system._half_life(Clock(phase="play"))
    assert 0.5 ** (system._moves() * 8 / half_life) == pytest.approx(0.8)
    assert system._half_life(Clock(phase="likelihood")) == 0.0
    assert built(rollout_momentum=0.0)._half_life(Clock(phase="play")) == 0.0


def test_the_paper_s_discriminator() -> None:
    with torch.device("meta"):
        network = Discriminator(5000, 20, 64, 100)
    assert network.features == 1720
    assert [f.kernel_size[0] for f in network.filters] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20]  # type: ignore[union-attr, index]
    assert len(Discriminator(10, 6, 4, 25).filters) == 6, "no filter is longer than the sequence"
    assert PRESETS["paper"](Situation(WHOLE, 10_000, None, 0.0, "cpu"))["pretraining_samples"] == 1_200_000


def test_low_temperatures_take_what_is_likely() -> None:
    system = strengthened(built(WHOLE))
    chances = noise().uniform(500, 6)

    def likelihood(temperature: float) -> float:
        with torch.no_grad():
            return float(system.generator.log_probabilities(system.generator.write(chances, temperature)).sum(1).mean())

    assert likelihood(0.3) > likelihood(1.0) > likelihood(3.0)
    frozen = system.generator.write(chances, 0.01)
    assert len(frozen.unique(dim=0)) <= 3


def test_d_learns_and_g_follows_its_reward() -> None:
    """A game in small: D knows real ones, G is moved until D believes it more."""
    spec = TokensSpec(6, tuple("abcdefgh"))
    system = built(
        spec, filters=10, rollouts=8, batch_size=32, generated_size=128, reward_baseline=True, generator_learning_rate=0.02
    )
    generator = torch.Generator().manual_seed(0)
    source = noise()
    judge = torch.optim.Adam(system.discriminator.parameters(), 3e-3)
    for _ in range(60):
        real = (torch.randint(0, 8, (32, 1), generator=generator) + torch.arange(6)) % 8  # each follows the one before
        judge.zero_grad()
        sum(system.judge(Batch(source, {"real": real}), Clock(), {}).values()).backward()  # type: ignore[union-attr]
        judge.step()

    @torch.no_grad()
    def believed() -> float:
        return float(system.realness(system.generator.write(noise(9).uniform(256, 6))).mean())

    before = believed()
    assert before < 0.03
    move = torch.optim.Adam(system.generator.parameters(), 0.02)
    for _ in range(40):
        move.zero_grad()
        system.reinforce(system._written(Clock(), source), Clock(), {})["policy"].backward()
        move.step()
        system.rollout.load_state_dict(system.generator.state_dict())
    assert believed() > 8 * before


@pytest.mark.slow
def test_likelihood_learns_the_oracle_through_the_whole_of_ganvas(tmp_path: Path) -> None:
    config = {**SMALL, "width": 16, "embedding_size": 16, "batch_size": 32, "pretraining_until": 1.0}
    run = tmp_path / "run"
    settings: dict[str, Any] = {"config": config, "quiet": True, "device": "cpu", "threads": 1, "seed": 0}
    result = train("seqgan", "oracle", out=run, budget="6k", **settings)
    assert result["incidents"] == []
    oracle = Oracle.random(SYMBOLS, WIDTH, WEIGHTS)
    made = ganvas.load(run).sample(300, seed=1)
    uniform = np.random.default_rng(0).integers(0, SYMBOLS, made.shape)
    assert oracle.surprise(made).mean() < oracle.surprise(uniform).mean() - 1.5
    written = draw(run, count=5, seed=1, out=tmp_path / "made")
    assert written["format"] == "npz"
    bold, safe = (ganvas.load(run, config={"temperature": t}).sample(300, seed=1) for t in (1.0, 0.5))
    assert np.array_equal(bold, made)
    assert oracle.surprise(safe).mean() < oracle.surprise(made).mean()


# The oracle, and the proof's own measures


def test_the_proof_leaves_no_setting_to_a_preset_and_its_budget_holds_the_moves_of_its_control() -> None:
    presets = {
        **PRESETS["auto"](Situation(WHOLE, 10_000, None, 0.0, "cpu")),
        **PRESETS["paper"](Situation(WHOLE, 10_000, None, 0.0, "cpu")),
    }
    assert set(presets) - {"pretraining_samples"} <= set(SETTINGS)  # the arms set `pretraining_samples` themselves
    system = SeqGan(WHOLE, build_config(Config, {**SETTINGS, "pretraining_samples": 0}))
    assert int(BUDGET.removesuffix("r")) == system._moves(WARM_UP) + MOVES * system._moves()
    assert system.config.batch_size == BATCH


def test_the_oracle_s_samples_have_the_probabilities_it_tells() -> None:
    oracle = Oracle.random(3, 4, 1)
    made = oracle.sample(np.random.default_rng(0).random((20_000, 2)))
    every = np.array([[a, b] for a in range(3) for b in range(3)])
    told = np.exp(-2 * oracle.surprise(every))
    assert told.sum() == pytest.approx(1, abs=1e-5)
    shares = [(made == own).all(1).mean() for own in every]
    assert np.allclose(shares, told, atol=0.012)


def test_the_oracle_is_read_from_the_paper_s_parameters() -> None:
    """In the order of the paper's file: embedding, W, U, b of input, forget, output gate and candidate, output and bias."""
    made = Oracle.random(7, 3, 0)
    gates = [x for g in range(4) for x in (made.inputs[g], made.memories[g], made.biases[g])]
    held = {f"p{k:02d}": x for k, x in enumerate([made.embedding, *gates, made.output, made.bias])}
    tokens = np.random.default_rng(0).integers(0, 7, (10, 5))
    assert np.array_equal(Oracle.of_parameters(held).surprise(tokens), made.surprise(tokens))
    del held["p07"]
    with pytest.raises(ValueError, match="p07"):
        Oracle.of_parameters(held)


def test_the_oracle_agrees_with_an_lstm_of_torch() -> None:
    oracle = Oracle.random(9, 5, 3)
    cell = torch.nn.LSTMCell(5, 5).double()
    order = (0, 1, 3, 2)  # torch has the candidate before the output gate
    with torch.no_grad():
        cell.weight_ih.copy_(torch.cat([torch.tensor(oracle.inputs[g].T) for g in order]))
        cell.weight_hh.copy_(torch.cat([torch.tensor(oracle.memories[g].T) for g in order]))
        cell.bias_ih.copy_(torch.cat([torch.tensor(oracle.biases[g]) for g in order]))
        cell.bias_hh.zero_()
        tokens = torch.randint(0, 9, (6, 4), generator=torch.Generator().manual_seed(0))
        memory = (torch.zeros(6, 5, dtype=torch.double),) * 2
        total, before = torch.zeros(6, dtype=torch.double), torch.zeros(6, dtype=torch.int64)
        for symbol in tokens.T:
            memory = cell(torch.tensor(oracle.embedding)[before], memory)
            logs = (memory[0] @ torch.tensor(oracle.output) + torch.tensor(oracle.bias)).log_softmax(1)
            total -= logs.gather(1, symbol[:, None])[:, 0]
            before = symbol
    assert np.allclose(oracle.surprise(tokens.numpy()), total.numpy() / 4, atol=1e-5)
    assert make_phantom("oracle", 3).values.shape == (3, 20)


def test_the_mark_asks_for_likelihood_and_variety() -> None:
    def row(system: float = 8.8, alike: float = 0.3) -> Row:
        more = {"system": {"self_bleu_2": alike}, "baseline": {"self_bleu_2": 0.28}}
        return Row(0, {"system": system, "baseline": 9.0}, more)

    assert met([row(), row()])
    assert not met([row(), row(system=9.01)])
    assert not met([row(alike=0.34)])


@pytest.mark.slow
def test_both_arms_begin_with_one_model_and_have_equal_seconds(tmp_path: Path) -> None:
    found = {
        name: arm(Task(0, "oracle", True, tmp_path / f"{name}-0", "600", True, print)) for name, arm in ARMS.items()
    }  # fmt: skip
    system, baseline = (found[name].more for name in ("system", "baseline"))
    assert system["likelihood"] == baseline["likelihood"]
    assert baseline["seconds_of_more_likelihood"] >= system["seconds_of_the_game"] - 0.1
    assert baseline["validation"][baseline["best_pass"]] == min(baseline["validation"])
    assert found["system"].protocol == found["baseline"].protocol
    nll = [system["by_temperature"][t]["oracle_nll"] for t in ("0.6", "1", "1.2")]
    assert nll == sorted(nll)
    assert system["of_the_oracle_itself"]["oracle_nll"] < found["baseline"].value
