"""Differential privacy: who is sampled, what one record can do, how much noise there is, what it costs, and who may not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import ganvas
import toys
from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.poisson import PoissonStream
from ganvas.errors import GanvasError, MissingExtra
from ganvas.game import Clock, Feed
from ganvas.kinds import encode
from ganvas.kinds.points.spec import PointsSpec
from ganvas.optim.private import PrivateObjective, Seen, owned_by, record_gradients, seen_in
from ganvas.registry import load_system
from ganvas.run import privacy
from ganvas.run.privacy import epsilon_of, noise_for, parse_privacy, steps_within, without_key
from ganvas.run.settings import build_settings
from ganvas.specs import REAL
from ganvas.store.records import Dataset, Field

pytest.importorskip("opacus")

BATCH = 8
CONFIG = {**toys.SMALL, "discriminator_batch_norm": False, "augment": ()}


def people(count: int = 400, each: int = 1, labels: bool = False) -> Dataset:
    """Points of `count` persons, `each` records of every one."""
    rng = np.random.default_rng(0)
    spec = PointsSpec(2, classes=("a", "b") if labels else ())
    of = np.repeat(np.arange(count), each)
    points = rng.standard_normal((len(of), 2)).astype(np.float32)
    own = of % 2 if labels else None
    return Dataset({REAL: Field(spec, points)}, own, of, np.zeros(len(of), bool), "people", "people", persons=of)


def stream(data: Dataset | None = None, key: str = "7", batch: int = BATCH) -> PoissonStream:
    return PoissonStream(people() if data is None else data, Feed(), batch, key=key)


def lsgan() -> Any:
    torch.manual_seed(0)
    _, _, found = load_system("lsgan")
    return found(PointsSpec(2), build_config(found.Config, {"latent_size": 2, "width": 6, "layers": 1, "batch_size": BATCH}))


def private(system: Any, persons: Any, clip: float = 0.1, noise: float = 1.5) -> PrivateObjective:
    seen = Seen("discriminate", ("real",), ("discriminator",), 1.0)
    return PrivateObjective(system, system.discriminate, seen, persons, clip=clip, noise=noise)


def records(rows: np.ndarray) -> Batch:
    return Batch(Noise.seeded(0), {REAL: torch.from_numpy(rows.astype(np.float32))})


def flat(gradient: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([value.flatten() for value in gradient.values()])


def train(tmp_path: Path, name: str = "run", system: str = "lsgan", data: Any = None, **options: Any) -> dict[str, Any]:
    usual = {"config": CONFIG, "budget": "6r", "sample_every": 0, "threads": 1, "privacy": "epsilon=8,key=5", "quiet": True}
    return ganvas.train(system, toys.pictures() if data is None else data, out=tmp_path / name, **{**usual, **options})


# Who is sampled


def test_each_person_joins_by_a_coin_of_its_own() -> None:
    persons = stream(people(200), batch=20)
    noise, counts, sizes = Noise.seeded(0), np.zeros(200), []
    encoded = encode(persons.dataset.values, persons.dataset.spec)
    known = {tuple(row): k for k, row in enumerate(encoded.tolist())}
    for _ in range(400):
        rows = persons.sample(noise).real.numpy()
        sizes.append(len(rows))
        for row in rows.tolist():
            counts[known[tuple(row)]] += 1
    q = 0.1
    assert np.mean(sizes) == pytest.approx(200 * q, abs=4 * math.sqrt(200 * q * (1 - q) / 400))
    assert np.var(sizes) == pytest.approx(200 * q * (1 - q), rel=0.3)  # binomial: fixed batches have none
    expected, deviation = 400 * q, math.sqrt(400 * q * (1 - q))
    assert np.abs(counts - expected).max() < 5 * deviation
    assert np.var(counts) == pytest.approx(deviation**2, rel=0.4)  # an epoch order gives each the same number


def test_of_a_person_with_many_records_one_is_taken() -> None:
    persons = stream(people(20, each=30), batch=20)
    assert persons.persons == 20 and persons.largest == 30
    rows = [persons.sample(Noise.seeded(0)).real.numpy() for _ in range(30)]
    assert all(len(found) == 20 for found in rows)  # the rate is one: everybody joins, with one record each
    assert len(np.unique(np.concatenate(rows)[:, 0])) > 300  # not always the same one


def test_what_is_drawn_follows_from_the_key_and_the_step() -> None:
    first, again, other = stream(), stream(key="1"), stream(key="8")
    noise = Noise.seeded(0)
    for _ in range(3):
        first.sample(noise)
    again.restore(first.state())
    for key in ("sample", "shade"):
        given = (noise,) if key == "sample" else ({"w": torch.zeros(5)},)
        a, b, c = (getattr(own, key)(*given) for own in (first, again, other))
        a, b, c = (x.real if isinstance(x, Batch) else x["w"] for x in (a, b, c))
        assert torch.equal(a, b)
        assert a.shape != c.shape or not torch.equal(a, c)


def test_the_batch_that_turns_are_given_holds_nobody() -> None:
    """Its records are blank, as many as ever, whoever the data is of; classes are drawn evenly."""
    one, other = stream(people(labels=True)), stream(people(labels=True))
    other.dataset.values[:] = 99
    batches = [own.draw(Noise.seeded(3)) for own in (one, other)]
    assert torch.equal(batches[0].real, batches[1].real)
    assert len(batches[0]) == BATCH and batches[0].real.unique().numel() == 1
    labels = one.blank(4000, Noise.seeded(0)).labels
    assert labels is not None and labels.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert one.steps == 0  # nothing was spent


# What one record can do


@pytest.mark.parametrize("wild", [0.0, 3.0, 1e6, math.nan, math.inf])
def test_one_record_moves_the_sum_by_its_clip_at_most(wild: float) -> None:
    objective = private(lsgan(), stream(), clip=0.1)
    rows = np.random.default_rng(1).standard_normal((12, 2))
    changed, less = rows.copy(), rows[1:]
    changed[0] = wild
    whole, other, without = (flat(objective.clipped(records(own), Clock())) for own in (rows, changed, less))
    assert whole.isfinite().all() and other.isfinite().all()
    assert (whole - without).norm() <= 0.1 + 1e-6  # somebody joins
    assert (whole - other).norm() <= 0.2 + 1e-6  # somebody becomes somebody else
    assert (whole - without).norm() > 0.05  # and does have a say


def test_the_sum_is_that_of_the_gradients_where_nothing_is_clipped() -> None:
    system = lsgan()
    objective = private(system, stream(), clip=1e6)
    batch = records(np.random.default_rng(1).standard_normal((70, 2)))  # more than are taken at once
    found = flat(objective.clipped(batch, Clock()))
    term = system.discriminate(batch, Clock(), {})["real"]
    expected = torch.autograd.grad(term, list(system.discriminator.parameters()))
    assert torch.allclose(found / 70, torch.cat([value.flatten() for value in expected]), atol=1e-5)


def test_nobody_sampled_is_noise_alone() -> None:
    class Nobody(PoissonStream):
        def sample(self, noise: Noise) -> Batch:
            self.steps += 1
            return records(np.zeros((0, 2)))

    persons = Nobody(people(), Feed(), BATCH, key="7")
    objective = private(lsgan(), persons, clip=0.3, noise=2.0)
    found = torch.cat([flat(objective.gradient(persons.draw(Noise.seeded(k)), Clock())) for k in range(200)])
    assert found.mean().item() == pytest.approx(0.0, abs=0.003)
    assert found.std().item() == pytest.approx(2.0 * 0.3 / BATCH, rel=0.03)


@pytest.mark.parametrize("clip", [1e6, 0.01])
def test_the_engine_moves_by_the_private_gradient_and_by_that_of_fakes(clip: float) -> None:
    system, persons, other = lsgan(), stream(), stream()
    batch = persons.draw(Noise.seeded(1))
    terms = private(system, persons, clip=clip)(batch, Clock(), {})
    assert set(terms) == {"private", "fake"} and terms["private"].item() == 0.0
    owned = list(owned_by(system, ("discriminator",)).values())
    found = torch.cat([value.flatten() for value in torch.autograd.grad(sum(terms.values()), owned)])
    again = other.draw(Noise.seeded(1))
    fake = system.discriminate(again, Clock(), {})["fake"]
    free = torch.cat([value.flatten() for value in torch.autograd.grad(fake, owned)])
    free *= min(1.0, clip / free.norm().item())  # else fakes would outweigh what is clipped
    of_real = flat(private(system, other, clip=clip).gradient(again, Clock()))
    assert torch.allclose(found, of_real + free, rtol=1e-4, atol=1e-6 * clip)


def test_at_most_so_many_gradients_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from ganvas.optim import private as module

    seen: list[int] = []
    known = module.record_gradients

    def noted(*given: Any) -> dict[str, torch.Tensor]:
        seen.append(len(given[3]))
        return known(*given)

    system = lsgan()
    size = 4 * sum(value.numel() for value in owned_by(system, ("discriminator",)).values())
    monkeypatch.setattr(module, "record_gradients", noted)
    monkeypatch.setattr(module, "CHUNK_BYTES", 5 * size)
    private(system, stream()).clipped(records(np.ones((17, 2))), Clock())
    assert seen == [5, 5, 5, 2]


# What it costs


@pytest.mark.parametrize(
    ("noise", "rate", "steps", "delta"), [(1.1, 0.032, 1500, 1e-5), (0.6, 0.01, 60, 1e-5), (4.0, 0.2, 900, 1e-6)]
)
def test_epsilon_is_the_one_of_opacus(noise: float, rate: float, steps: int, delta: float) -> None:
    from opacus.accountants import PRVAccountant, RDPAccountant

    accountant = RDPAccountant()
    for _ in range(steps):
        accountant.step(noise_multiplier=noise, sample_rate=rate)
    found = epsilon_of(noise, rate, steps, delta)
    assert found == pytest.approx(accountant.get_epsilon(delta), rel=1e-9)
    tight = PRVAccountant()
    tight.history = [(noise, rate, steps)]
    assert tight.get_epsilon(delta) <= found * 1.01  # another accounting of the same finds no more


def test_the_noise_that_is_found_is_enough_and_hardly_more() -> None:
    noise = noise_for(8.0, 1e-5, 0.03, 1000)
    assert 7.9 < epsilon_of(noise, 0.03, 1000, 1e-5) <= 8.0
    assert 1000 <= steps_within(8.0, noise, 0.03, 1e-5) < 1030
    most = steps_within(3.0, 1.0, 0.05, 1e-5)
    assert epsilon_of(1.0, 0.05, most, 1e-5) <= 3.0 < epsilon_of(1.0, 0.05, most + 1, 1e-5)
    assert noise_for(2.0, 1e-5, 0.03, 1000) > noise


# A run


def test_a_private_run_says_what_it_spent(tmp_path: Path) -> None:
    told: list[str] = []
    found = train(tmp_path, say=told.append, privacy="epsilon=8,clip=0.5,key=5")
    spent = json.loads((tmp_path / "run/privacy.json").read_text())
    assert found["privacy"] == spent and spent["steps"] == 6 and spent["clip"] == 0.5
    assert 7.5 < spent["spent"] <= 8.0
    assert spent["delta"] <= 1 / (10 * spent["persons"])
    assert any("epsilon 8 at delta" in line for line in told) and any("watch is off" in line for line in told)
    card = (tmp_path / "run/MODEL_CARD.md").read_text()
    assert f"epsilon {spent['spent']:.3g} of 8 spent" in card and "Without a proof of privacy" not in card
    assert "key=" not in card and "fingerprint: withheld" in card
    from ganvas.report.making import report

    page = Path(report(tmp_path / "run")["page"]).read_text()
    assert "Differential privacy" in page and f"epsilon {spent['spent']:.3g}" in page
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert all(row.get("terms/discriminator/private", 0.0) == 0.0 for row in rows)
    assert not any("discriminator/real" in key for row in rows for key in row)  # a mean over real records is no secret


def test_stopping_and_resuming_gives_the_bits_of_the_straight_private_run(tmp_path: Path) -> None:
    given = {"privacy": "epsilon=8,noise=0.9,key=5", "check_every": 4}
    train(tmp_path, "straight", budget="9r", **given)
    train(tmp_path, "pieces", budget="4r", **given)
    ganvas.train(resume=tmp_path / "pieces", data=toys.pictures(), budget="9r", quiet=True)
    import safetensors.torch

    weights = [
        safetensors.torch.load_file(tmp_path / n / "checkpoints/last/weights.safetensors") for n in ("straight", "pieces")
    ]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert [json.loads((tmp_path / n / "privacy.json").read_text())["steps"] for n in ("straight", "pieces")] == [9, 9]


def test_without_a_key_no_two_runs_are_the_same_and_none_is_told(tmp_path: Path) -> None:
    import safetensors.torch

    for name in ("a", "b"):
        train(tmp_path, name, privacy="epsilon=8", budget="3r")
    one, other = (safetensors.torch.load_file(tmp_path / n / "checkpoints/last/weights.safetensors") for n in ("a", "b"))
    assert not all(torch.equal(value, other[name]) for name, value in one.items())
    assert "key" not in yaml.safe_load((tmp_path / "a/config.yaml").read_text())["run"]["privacy"]


def test_a_run_ends_when_epsilon_is_spent(tmp_path: Path) -> None:
    found = train(tmp_path, budget="100000r", privacy="epsilon=8,noise=0.9,key=5")  # a time would hang on the machine
    spent = found["privacy"]
    assert found["stopped"] == "privacy" and spent["steps"] == spent["most_steps"] and spent["spent"] <= 8.0
    again = ganvas.train(resume=tmp_path / "run", data=toys.pictures(), budget="200000r", quiet=True)
    assert again["stopped"] == "privacy" and again["rounds"] == found["rounds"]


def test_real_records_reach_nothing_but_the_private_gradient(tmp_path: Path) -> None:
    """With a clip of almost nothing, and noise in units of it, the data hardly matters; any other way in would show."""
    import safetensors.torch

    found = []
    for name, data in (("a", toys.pictures()), ("b", 255 - toys.pictures())):
        train(tmp_path, name, data=data, privacy="epsilon=8,noise=0.9,clip=1e-12,key=5", config={**CONFIG, "optimiser": "sgd"})
        found.append(safetensors.torch.load_file(tmp_path / name / "checkpoints/last/weights.safetensors"))
    assert all(torch.allclose(value, found[1][name], atol=1e-8) for name, value in found[0].items())


def test_an_exported_run_holds_neither_key_nor_sum_of_the_records(tmp_path: Path) -> None:
    from ganvas.export.hub import write_weights

    train(tmp_path)
    (tmp_path / "hub").mkdir()
    told = write_weights(ganvas.load(tmp_path / "run"), tmp_path / "hub")
    assert "key" not in told["run"]["privacy"] and told["data"]["fingerprint"] == "withheld"
    assert ganvas.load(tmp_path / "hub").sample(2).shape[0] == 2


# Who may not


def refused(text: str, tmp_path: Path, **options: Any) -> None:
    with pytest.raises(GanvasError, match=text) as error:
        train(tmp_path, **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("8", "'8' is not understood: use for example  --privacy epsilon=8"),
        ("epsilon=-1", "epsilon=-1: has to be a number between 0 and"),
        ("epsilon=0", "epsilon=0: has to be"),
        ("epsilon=many", "epsilon=many: has to be"),
        ("epsilon=8,delta=2", "delta=2: has to be a number between 0 and 1"),
        ("epsilon=8,delta=0.1", "may give one of them away whole"),
        ("epsilon=8,epsilom=2", "no part 'epsilom' .did you mean 'epsilon'"),
        ("epsilon=8,epsilon=2", "'epsilon' stands twice"),
        ("epsilon=8,noise=0.001", "protects nobody"),
        ("epsilon=8,key=xyz", "hexadecimal digits"),
        ("clip=1", "promises nothing without epsilon"),
        ("epsilon=0.01,noise=0.5", "spends more in a single step"),
    ],
)
def test_words_that_are_not_understood(words: str, said: str, tmp_path: Path) -> None:
    refused(said, tmp_path, privacy=words)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"budget": "1m"}, "say how many, as  --budget 2000r"),
        (
            {"data": toys.pictures(60, 16, 16), "config": {**CONFIG, "discriminator_batch_norm": True}},
            "BatchNorm.*--set discriminator_batch_norm=false",
        ),
        ({"config": {**CONFIG, "batch_size": 64}}, "use a smaller batch, or more data"),
        ({"micro_batches": 2}, "--micro-batches cannot be combined"),
        ({"precision": "bf16-mixed"}, "--precision bf16-mixed cannot be combined"),
        ({"on_alarm": "rollback"}, "--on-alarm rollback cannot be combined"),
        ({"until": "plateau"}, "--until plateau cannot be combined"),
        ({"system": "wgan-gp", "config": {**toys.SMALL}}, "has a gradient penalty"),
        (
            {"system": "r3gan", "config": {"batch_size": 8, "width": 8}},
            "one turn alone sees real records.*discriminate and fool",
        ),
        ({"system": "stylegan2", "config": {"batch_size": 8}}, "keeps something of real records|gradient penalty"),
    ],
)
def test_games_and_settings_that_may_not(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    refused(said, tmp_path, **options)


def test_several_processes_are_refused() -> None:
    with pytest.raises(GanvasError, match="--processes cannot be combined"):
        privacy.prepared(build_settings({"privacy": "epsilon=8", "processes": 2}))


def test_without_opacus_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent() -> Any:
        raise MissingExtra("opacus", "privacy")

    monkeypatch.setattr(privacy, "_opacus", absent)
    refused(r"pip install 'ganvas\[privacy\]'", tmp_path)


class _Coupled:
    """A board whose loss is the spread of a batch: it hangs on several records."""

    def discriminate(self, batch: Any, clock: Clock, shared: Any) -> dict[str, torch.Tensor]:
        return {"real": self.discriminator(batch.real).std(correction=0)}  # type: ignore[attr-defined]


def test_a_loss_that_hangs_on_several_records_is_refused() -> None:
    system = lsgan()
    board = type("Coupled", (_Coupled, type(system)), {})(system.spec, system.config)
    with pytest.raises(GanvasError, match="hangs on several records at once"):
        seen_in(board, board.phases(), stream().blank, {})


@pytest.mark.parametrize("name", ["gan", "cgan", "acgan"])
def test_games_by_class_are_taken_record_by_record(name: str) -> None:
    """The gradient of one record is that of a batch of it alone, with its class."""
    torch.manual_seed(0)
    _, _, found = load_system(name)
    known = {"latent_size": 2, "width": 6, "batch_size": BATCH}
    system = found(PointsSpec(2, classes=("a", "b")), build_config(found.Config, known))
    persons = stream(people(labels=True))
    seen = seen_in(system, system.phases(), persons.blank, {})
    real = persons.sample(Noise.seeded(0))
    owned = owned_by(system, seen.networks)
    each = record_gradients(system, system.discriminate, seen, real, Clock(), {n: p.detach() for n, p in owned.items()})
    assert real.labels is not None
    one = Batch(Noise.seeded(0), {REAL: real.real[:1]}, real.labels[:1])
    terms = system.discriminate(one, Clock(), {})
    expected = torch.autograd.grad(sum(terms[term] for term in seen.terms), list(owned.values()))
    for value, name in zip(expected, owned, strict=True):
        assert torch.allclose(each[name][0], value, atol=1e-6)


def test_a_game_is_tried_without_a_trace() -> None:
    system = lsgan()
    before = {name: value.clone() for name, value in system.state_dict().items()}
    state = torch.get_rng_state()
    seen = seen_in(system, system.phases(), stream().blank, {})
    assert seen == Seen("discriminate", ("real",), ("discriminator",), 1.0)
    assert torch.equal(state, torch.get_rng_state()) and system.training
    assert all(torch.equal(value, before[name]) for name, value in system.state_dict().items())


def test_words_come_back_as_they_were() -> None:
    asked = parse_privacy("epsilon=2, delta=1e-06,clip=0.5,noise=1.25,key=0f")
    assert (asked.epsilon, asked.delta, asked.clip, asked.noise, asked.key) == (2.0, 1e-6, 0.5, 1.25, "f")
    assert parse_privacy(str(asked)) == asked
    assert without_key(str(asked)) == "epsilon=2,delta=1e-06,clip=0.5,noise=1.25"
