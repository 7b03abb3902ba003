"""The form of sequences: which places always hold the same symbol, learnt from the training part, and who is given it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.dataset import Dataset, open_data
from ganvas.evaluation import evaluate
from ganvas.kinds import kind_of, spec_from_dict
from ganvas.kinds.tokens.forms import in_form
from ganvas.kinds.tokens.spec import FREE, TokensSpec
from ganvas.networks.forms import Forms
from ganvas.run.load import Run
from ganvas.run.settings import FILE, read_yaml
from ganvas.run.train import train
from ganvas.specs import spec_to_dict
from ganvas.systems.text.seqgan import Config, SeqGan

SMALL: dict[str, Any] = {"width": 8, "embedding_size": 6, "discriminator_embedding_size": 8, "filters": 4, "generated_size": 32,
                         "batch_size": 8, "rollouts": 3}  # fmt: skip


def verse(count: int, lines: int, length: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join("".join(rng.choice(list("abcdefgh"), length)) for _ in range(lines)) for _ in range(count)]


def opened(tmp_path: Path, poems: list[str], name: str = "a.csv", **more: Any) -> Dataset:
    """A CSV, a symbol a cell."""
    (tmp_path / name).write_text("".join(",".join("/" if c == " " else c for c in poem) + "\n" for poem in poems))
    return open_data(tmp_path / name, progress=False, kinds=("tokens",), **more)


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def system_of(spec: TokensSpec, **config: Any) -> SeqGan:
    """With weights large enough for choices to differ."""
    torch.manual_seed(0)
    made = SeqGan(spec, build_config(Config, {**SMALL, **config}))
    with torch.no_grad():
        for network in (made.generator, made.rollout):
            for parameter, seed in zip(network.parameters(), range(20), strict=False):
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
    return made


# Learning it


def test_places_that_always_hold_the_same_symbol_are_found(tmp_path: Path) -> None:
    data = opened(tmp_path, verse(60, 4, 5))
    spec = data.spec
    bar = spec.symbols.index("/")
    assert spec.forms == (tuple(bar if place in (5, 11, 17) else FREE for place in range(23)),)
    assert spec.shares == (1.0,) and spec.apart == (bar,)
    assert "form, given to what writes sequences: '/' at 6, 12, 18 of 23 symbols" in data.notes
    assert in_form(np.asarray(data.values), spec).all()
    broken = np.asarray(data.values).copy()
    broken[0, 5], broken[1, 3] = (bar + 1) % len(spec.symbols), bar
    assert in_form(broken, spec).tolist() == [False, False] + [True] * (len(broken) - 2)
    assert spec_from_dict(spec_to_dict(spec)) == spec


def test_two_lengths_have_a_form_each(tmp_path: Path) -> None:
    data = opened(tmp_path, verse(60, 2, 5) + verse(30, 2, 3), heldout=0.0)
    spec = data.spec
    bar = spec.symbols.index("/")
    assert spec.forms == (
        (*[FREE] * 5, bar, *[FREE] * 5),
        (*[FREE] * 3, bar, *[FREE] * 3, *[0] * 4),
    )
    assert spec.shares == pytest.approx((2 / 3, 1 / 3))
    assert set(spec.apart) == {0, bar}


def test_a_symbol_that_stands_elsewhere_too_is_not_kept_from_it(tmp_path: Path) -> None:
    data = opened(tmp_path, [f"x{poem}" for poem in verse(40, 1, 4)] + ["xabxa"], heldout=0.0)
    assert data.spec.forms == ((data.spec.symbols.index("x"), *[FREE] * 4),)
    assert data.spec.apart == ()


def test_what_is_likely_or_happens_by_chance_is_no_form(tmp_path: Path) -> None:
    data = opened(tmp_path, [f"a{poem}b" for poem in verse(500, 1, 4)] + ["bbcdeb", "aabcda"], heldout=0.0)
    assert data.spec.forms == ()
    assert "all but 2 of 502 sequences have 'a' at 1, 'b' at 6: without them this would be kept as their form" in data.notes
    assert opened(tmp_path, verse(12, 2, 4), "few.csv", heldout=0.0).spec.forms == ()
    plain = opened(tmp_path, verse(60, 1, 6), "plain.csv")
    assert plain.spec.forms == () and not any("form" in note for note in plain.notes)
    assert opened(tmp_path, verse(60, 2, 4) + verse(60, 1, 6), "mixed.csv").spec.forms == ()


def test_one_line_in_a_hundred_without_its_separator_does_not_undo_the_form(tmp_path: Path) -> None:
    odd = ["abcdeabcd", "abc efgha", "ab d efgh", "abcd"]
    data = opened(tmp_path, [*verse(500, 2, 4), *odd], heldout=0.0)
    bar = data.spec.symbols.index("/")
    assert data.spec.forms == ((*[FREE] * 4, bar, *[FREE] * 4),)
    assert data.spec.apart == (bar,)
    assert (
        "form, given to what writes sequences: '/' at 5 of 9 symbols; 4 of 504 have another form, which is not written"
        in data.notes
    )
    assert int(in_form(np.asarray(data.values), data.spec).sum()) == 500
    assert opened(tmp_path, [*verse(500, 2, 4), *odd[:3] * 2], "more.csv", heldout=0.0).spec.forms == ()


def test_lengths_without_a_form_do_not_undo_that_of_nearly_all(tmp_path: Path) -> None:
    """Twenty are enough for a form, and these have none."""
    data = opened(tmp_path, verse(2000, 2, 4) + verse(25, 1, 8), heldout=0.0)
    assert len(data.spec.forms) == 1 and data.spec.shares == (1.0,)
    assert opened(tmp_path, verse(1000, 2, 4) + verse(25, 1, 8), "fewer.csv", heldout=0.0).spec.forms == ()


def test_it_is_learnt_from_the_training_part(tmp_path: Path) -> None:
    data = opened(tmp_path, [*verse(60, 2, 4), "abcdeabcd"])
    odd = len(data) - 1
    values = data.values
    kind = kind_of("tokens")
    everything, without = np.arange(len(data)), np.arange(odd)
    assert kind.learn(data.spec, values, everything)[0].forms == ()  # type: ignore[attr-defined]
    assert len(kind.learn(data.spec, values, without)[0].forms) == 1  # type: ignore[attr-defined]
    assert bool(data.spec.forms) == bool(data.heldout[odd])


def test_a_spec_without_form_is_written_as_before() -> None:
    assert set(spec_to_dict(TokensSpec(3, ("a", "b")))) == {
        "length", "symbols", "joined", "rate", "tempo", "classes", "format", "kind"
    }  # fmt: skip


# Giving it


SPEC = TokensSpec(7, ("", "/", "a", "b", "c"), forms=((FREE, FREE, 1, FREE, FREE, FREE, FREE), (FREE, 1, FREE, 0, 0, 0, 0)),
                  shares=(0.75, 0.25), apart=(0, 1))  # fmt: skip


def test_forms_are_drawn_as_often_as_the_data_has_them_and_recognised() -> None:
    forms = Forms(SPEC)
    assert forms.chances == 1
    drawn = forms.drawn((torch.arange(1000)[:, None] + 0.5) / 1000)
    assert drawn.bincount().tolist() == [750, 250]
    tokens = torch.tensor([[2, 3, 1, 2, 2, 2, 2], [2, 1, 4, 0, 0, 0, 0], [2, 1, 1, 2, 2, 2, 2], [2, 1, 4, 0, 2, 0, 0]])
    assert forms.of(tokens).tolist() == [0, 1, FREE, FREE]
    assert forms.at(torch.tensor([0, 1, FREE]), 2).tolist() == [1, FREE, FREE]
    assert forms.chosen(torch.tensor([1]))[0].tolist() == [True, False, True, False, False, False, False]
    none = Forms(TokensSpec(3, ("a", "b")))
    assert none.chances == 0 and none.of(torch.zeros(2, 3, dtype=torch.int64)).tolist() == [FREE, FREE]
    assert not none.state_dict()


def test_whatever_is_written_has_the_form() -> None:
    system = system_of(SPEC)
    made = system.sample(400, noise()).numpy()
    assert in_form(made, SPEC).all()
    assert 0.18 < (made[:, 3] == 0).mean() < 0.32
    assert {2, 3, 4} == set(made[:, 0].tolist())
    ways = system.rollout.continued(torch.from_numpy(made[:8]), noise(1).uniform(8, 6, 3, 7))
    assert in_form(ways.flatten(0, 2).numpy(), SPEC).all()
    assert (ways[0, :, :, 0] == torch.from_numpy(made[:8, None, 0])).all()
    own = ((ways[..., 3] == 0) == (torch.from_numpy(made[:8, 3]) == 0)[None, :, None]).all()
    assert own, "a beginning goes on in its own form"


def test_what_is_given_is_neither_learnt_nor_rewarded_and_the_rest_adds_up_to_one() -> None:
    spec = TokensSpec(3, ("/", "a", "b"), forms=((FREE, 0, FREE),), shares=(1.0,), apart=(0,))
    system = system_of(spec)
    every = torch.tensor([[a, 0, b] for a in (1, 2) for b in (1, 2)])
    told = system.generator.log_probabilities(every)
    assert (told[:, 1] == 0).all()
    assert told.sum(1).exp().sum().item() == pytest.approx(1, abs=1e-5)
    made = system.generator.write(noise().uniform(20_000, 3))
    shares = torch.stack([(made == own).all(1).float().mean() for own in every])
    assert torch.allclose(shares, told.sum(1).exp(), atol=0.012)
    assert system.generator.written(every)[0].tolist() == [True, False, True]


def test_sequences_of_no_form_are_learnt_whole_and_gradients_stay_finite() -> None:
    system = system_of(SPEC)
    tokens = torch.tensor([[2, 3, 1, 2, 2, 2, 2], [2, 1, 1, 2, 2, 2, 2], [2, 1, 4, 0, 0, 0, 0]])
    told = system.generator.log_probabilities(tokens)
    assert torch.isfinite(told).all() and (told[1] < 0).all()
    (-told.sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in system.generator.parameters() if p.grad is not None)
    batch = Batch(noise(), {"real": system.sample(8, noise())})
    terms = system.reinforce(batch, None, {})  # type: ignore[arg-type]
    assert torch.isfinite(terms["policy"])


def test_a_run_writes_in_form_from_its_first_round_and_keeps_the_form(tmp_path: Path) -> None:
    (tmp_path / "poems.csv").write_text("".join(",".join("/" if c == " " else c for c in p) + "\n" for p in verse(60, 4, 5)))
    train("seqgan", tmp_path / "poems.csv", out=tmp_path / "run", budget="3r", config=SMALL, quiet=True, threads=1)
    run = Run(tmp_path / "run")
    assert run.spec.forms and in_form(run.sample(50, seed=1), run.spec).all()
    assert read_yaml(tmp_path / "run" / FILE)["fields"]["real"]["apart"] == [run.spec.symbols.index("/")]
    train(resume=tmp_path / "run", budget="5r", quiet=True)
    assert in_form(Run(tmp_path / "run").sample(50, seed=1), run.spec).all()


def test_evaluate_says_how_many_samples_have_the_form(tmp_path: Path) -> None:
    """Whatever numbers their symbols have in a file of their own."""
    opened(tmp_path, verse(60, 2, 4), "real.csv")
    opened(
        tmp_path,
        [*verse(24, 2, 4, seed=1), *(f"z{poem[1:]}" for poem in verse(3, 2, 4, seed=2)), "abcdeabcd", "ab de abc"],
        "fake.csv",
    )
    found = evaluate(tmp_path / "fake.csv", tmp_path / "real.csv", kind="tokens", audit=False, anchors=False)
    assert found["in_form"]["value"] == pytest.approx(27 / 29)
    assert found["in_form"]["real"] == 1.0 and found["in_form"]["low"] < 27 / 29 < found["in_form"]["high"]
    opened(tmp_path, verse(60, 1, 9), "plain.csv")
    assert "in_form" not in evaluate(tmp_path / "fake.csv", tmp_path / "plain.csv", kind="tokens", audit=False, anchors=False)
