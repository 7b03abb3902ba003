"""The contract, run over every registered system: being registered is being tested. Real tiny networks, phantom data."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Samples, Shows
from ganvas.config import Situation, build_config, knobs
from ganvas.data.dataset import Dataset, Field
from ganvas.data.streams import dealt_classes, open_stream, shown_batch
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock, System
from ganvas.health.losses import cross_entropies
from ganvas.inference.sampling import draw_samples
from ganvas.inference.tiles import _continued
from ganvas.kinds import kind_of
from ganvas.kinds.graph.spec import GraphSpec
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.points.spec import PointsSpec
from ganvas.kinds.series.spec import SeriesSpec
from ganvas.kinds.solid.spec import SolidSpec
from ganvas.kinds.sound.spec import SoundSpec
from ganvas.kinds.tokens.spec import TokensSpec
from ganvas.objectives import adversarial
from ganvas.registry import catalogue, find, load_system
from ganvas.specs import REAL
from ganvas.uses import Use, Work, build_options, fields_given, fields_taken, pieces_of, uses_of, verbs_of

CASES = [(name, kind) for name, card in catalogue().items() for kind in card.data]
CLASSES = ("first", "second", "third")


def tiny_data(given: Any) -> Dataset:
    """A data set of a few random records. given: what the system is built from, a spec or one for each field."""
    fields = {}
    for name, spec in (given if isinstance(given, dict) else {REAL: given}).items():
        values = kind_of(spec.kind).blank(spec, 24, np.random.default_rng(0))
        if spec.kind == "graph":  # a ring and its chords
            values = np.array([(k % spec.nodes, (k + 1 + 2 * (k // spec.nodes)) % spec.nodes) for k in range(24)], np.int32)
        fields[name] = Field(spec, values)
    return Dataset(fields, np.arange(24) % len(CLASSES), np.arange(24), np.zeros(24, bool), "tiny", "tiny")


def tiny_given(name: str, kind: str, **image: Any) -> Any:
    """What a system is built from, its main field of that kind. image: other sizes of images."""
    card = find(name)
    if not card.fields:
        return replace(tiny_spec(kind), **image)
    main = next(iter(card.fields))
    kinds = {field: kind if field == main else able[0] for field, able in card.fields.items()}
    sizes = {"image": image, "label_map": {key: value for key, value in image.items() if key != "channels"}}
    return {field: replace(tiny_spec(own), **sizes.get(own, {})) for field, own in kinds.items()}


def main_spec(given: Any) -> Any:
    return next(iter(given.values())) if isinstance(given, dict) else given


def tiny_spec(kind: str) -> Any:
    specs: dict[str, Any] = {
        "image": ImageSpec(channels=1, height=16, width=12, classes=CLASSES),
        "points": PointsSpec(dimensions=2, centre=(0.0, 0.0), classes=CLASSES),
        "sound": SoundSpec(length=256, rate=1000, classes=CLASSES),
        "series": SeriesSpec(12, ("flow", "heat", "current"), (0.0, 1.0, 2.0), (1.0, 2.0, 3.0), classes=CLASSES),
        "solid": SolidSpec(side=16, classes=CLASSES),
        "graph": GraphSpec(nodes=12),
        "tokens": TokensSpec(8, ("", "a", "b", "c", "d"), classes=CLASSES),
    }
    return specs[kind] if kind in specs else replace(kind_of(kind).example(16, 3), height=16, width=12)


NAMED = {"first": "first", "second": "second", "normal": "first"}  # settings that name classes of the data
SMALL = {"width": 4, "latent": 3, "layers": 1, "batch_size": 8, "critic_turns": 2, "steps": 3, "pool": 4}


def tiny_config(system: Any, values: dict[str, Any] = NAMED | SMALL) -> Any:
    """Defaults, with every size that costs time made small."""
    return build_config(system.Config, {k.name: values[k.name] for k in knobs(system.Config) if k.name in values})


def tiny_batch(system: Any, spec: Any, noise: Noise) -> Batch:
    """Eight records in the form that the system asks for."""
    return open_stream(tiny_data(spec), system.feeds()["data"], 8).example(8, noise)


def board(name: str, kind: str, seed: int = 0, **engine: Any) -> Engine:
    _, _, system_class = load_system(name)
    torch.manual_seed(seed)
    given = tiny_given(name, kind)
    system: System = system_class(given, tiny_config(system_class))
    data = tiny_data(given)
    streams = {stream: open_stream(data, feed, 8, seed=seed) for stream, feed in system.feeds().items()}
    return Engine(system, streams, seed=seed, check_every=2, **engine)


def everything(engine: Engine) -> dict[str, torch.Tensor]:
    found = {name: t.clone() for name, t in engine.system.state_dict().items()}
    for player, facts in engine.state()["players"].items():
        for parameter, values in facts["optimiser"].items():
            found |= {f"{player}/{parameter}/{k}": torch.as_tensor(v).clone() for k, v in values.items()}
    found["noise"] = engine.noise.generator.get_state()
    return found


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_loss_of_a_discriminator_that_guesses_is_as_the_system_says(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = board(name, kind)
    watched = cross_entropies(engine.system)
    module = sys.modules[type(engine.system).__module__]
    for loss in ("real_is_real", "fake_is_fake") if watched else ():
        real = getattr(adversarial, loss)
        monkeypatch.setattr(module, loss, lambda logits, real=real: real(0 * logits))
    for turn in (turn for phase in engine.system.phases() for turn in phase.turns):
        method = getattr(turn.objective, "__func__", turn.objective)
        if turn.player in watched and "real" in method.__code__.co_consts + tuple(_keys(method)):
            batch = tiny_batch(engine.system, tiny_given(name, kind), Noise(torch.Generator().manual_seed(0)))
            terms = turn.objective(batch, engine.clock, {})
            assert float((terms["real"] + terms["fake"]).detach()) == pytest.approx(engine.system.undecided, rel=1e-5)


def _keys(method: Any) -> list[str]:
    return [one for constant in method.__code__.co_consts if isinstance(constant, tuple) for one in constant]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_builds_from_defaults_and_config_survives_yaml(name: str, kind: str) -> None:
    _, module, system_class = load_system(name)
    spec = tiny_given(name, kind)
    assert isinstance(system_class(spec, tiny_config(system_class, NAMED)), System)
    config = tiny_config(system_class)
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(config).items()}
    assert build_config(system_class.Config, yaml.safe_load(yaml.safe_dump(values))) == config  # type: ignore[attr-defined]
    assert all(k.help for k in knobs(system_class.Config)), "every setting says what it is"  # type: ignore[attr-defined]
    for preset in module.PRESETS.values():
        chosen = preset(Situation(spec, 100, 600.0, 50.0, "cpu")) if callable(preset) else preset
        build_config(system_class.Config, dict(chosen))  # type: ignore[attr-defined]
    assert "auto" in module.PRESETS


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_terms_are_finite_scalars(name: str, kind: str) -> None:
    engine = board(name, kind)
    batch = engine.streams["data"].draw(engine.noise)
    for phase in engine.phases:
        shared: dict[str, Any] = {}
        for turn in phase.turns:
            terms = turn.objective(batch, Clock(phase=phase.name), shared)
            assert terms, f"{turn.name} has no terms"
            for term, value in terms.items():
                assert value.dim() == 0, f"{turn.name}/{term} is not a scalar"
                assert torch.isfinite(value), f"{turn.name}/{term} is {value}"


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_each_turn_moves_its_player_alone_and_every_parameter_gets_a_gradient(name: str, kind: str) -> None:
    engine = board(name, kind)
    touched: dict[str, set[str]] = {player: set() for player in engine.seats}
    pieces, shared = engine._deal("data")
    for phase in engine.phases:
        for turn in phase.turns:
            seat = engine.seats[turn.player]
            seen: set[str] = set()
            hooks = [
                p.register_post_accumulate_grad_hook(lambda p, n=n, seen=seen: seen.add(n))
                for n, p in engine.system.named_parameters()
                if p.requires_grad
            ]
            before = {n: p.detach().clone() for n, p in engine.system.named_parameters()}
            engine._play(turn, pieces, shared)
            for hook in hooks:
                hook.remove()
            moved = {n for n, p in engine.system.named_parameters() if not torch.equal(before[n], p)}
            assert moved <= set(seat.names), f"{turn.name} moved parameters its player does not own"
            assert seen <= set(seat.names), f"{turn.name} left gradients on parameters its player does not own"
            assert moved, f"{turn.name} moves nothing"
            touched[turn.player] |= seen
            assert all(p.grad is None for p in engine.system.parameters()), "gradients are cleared after a turn"
    for player, seat in engine.seats.items():
        missing = set(seat.names) - touched[player]
        assert not missing, f"{player} owns parameters that never get a gradient: {sorted(missing)[:5]}"


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_network_is_owned_averaged_or_a_declared_bystander(name: str, kind: str) -> None:
    system = board(name, kind).system
    owners = [n for player in system.players() for n in player.networks]
    known = [*owners, *(a.target for a in system.averages()), *system.bystanders()]
    for parameter, _ in system.named_parameters():
        assert any(parameter == n or parameter.startswith(n + ".") for n in known), f"nobody answers for {parameter}"


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_saving_and_resuming_equals_the_straight_run_bit_for_bit(name: str, kind: str, tmp_path: Path) -> None:
    def play(engine: Engine, rounds: range) -> None:
        for number in rounds:
            engine.progress = number / 6  # so that phases that end at a share of the budget do end
            engine.play_round()

    straight = board(name, kind)
    play(straight, range(3))
    weights = copy.deepcopy(straight.system.state_dict())
    torch.save(straight.state(), tmp_path / "state.pt")
    play(straight, range(3, 6))
    expected = everything(straight)
    resumed = board(name, kind, seed=7)  # other weights, other noise: everything must come from the state
    resumed.streams["data"] = board(name, kind).streams["data"]  # the order of the data is a setting, its position is state
    resumed.system.load_state_dict(weights)
    resumed.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    play(resumed, range(3, 6))
    actual = everything(resumed)
    assert actual.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(actual[key], value), f"{key} differs after resuming"


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_sampling_is_reproducible_and_leaves_no_trace(name: str, kind: str) -> None:
    engine = board(name, kind)
    engine.play_round()
    if not isinstance(engine.system, Samples):
        assert verbs_of(engine.system), "a system that neither samples nor does anything else is of no use"
        pytest.skip("makes nothing from noise alone")
    modes = [m.training for m in engine.system.modules()]
    before, random_state = everything(engine), torch.get_rng_state()
    with engine.watching() as system:
        first = torch.cat(list(draw_samples(system, 70, seed=3)))
        again = torch.cat(list(draw_samples(system, 5, seed=3)))
        other = torch.cat(list(draw_samples(system, 5, seed=4)))
    assert first.shape == (70, *main_spec(engine.system.spec).shape)
    assert torch.equal(first[:5], again), "few samples are the first of many"
    assert not torch.equal(again, other), "another seed gives other samples"
    assert [m.training for m in engine.system.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random_state)
    after = everything(engine)
    assert all(torch.equal(after[k], v) for k, v in before.items())


@pytest.mark.parametrize(("name", "kind"), [c for c in CASES if c[1] == "image"])
@pytest.mark.parametrize("shape", [(3, 20, 20), (1, 33, 17), (2, 8, 40)])
def test_images_of_any_size_and_channels(name: str, kind: str, shape: tuple[int, int, int]) -> None:
    _, _, system_class = load_system(name)
    given = tiny_given(name, kind, channels=shape[0], height=shape[1], width=shape[2])
    refused = ""
    try:
        system = system_class(given, tiny_config(system_class))
    except GanvasError as error:
        refused = str(error)
    if refused:  # a size that its networks cannot halve is refused by name
        assert f"{shape[1]}x{shape[2]}" in refused
        return
    noise = Noise(torch.Generator().manual_seed(0))
    batch = tiny_batch(system, given, noise)
    for phase in system.phases():
        shared: dict[str, Any] = {}
        for turn in phase.turns:
            assert all(v.dim() == 0 for v in turn.objective(batch, Clock(phase=phase.name), shared).values())
    system.eval()
    if isinstance(system, Samples):
        assert system.sample(2, noise).shape == (2, *shape)


CHOSEN = {"count": 3, "effort": 0.01}  # options of uses, small where they cost time
LEARNT = 24


def of_use(use: Use, system: Any, seed: int = 0) -> dict[str, torch.Tensor]:
    """What a use makes of two records, once for each class that it may be asked for, after checking its form."""
    given = system.spec
    specs = given if isinstance(given, dict) else {REAL: given}
    work = Work(system, specs, seed, learnt=LEARNT)
    first, more = fields_taken(use, system, specs)
    needed = [name for name, must in more.items() if must]
    known = {knob.name for knob in knobs(use.Options)}
    chosen = {name: value for name, value in CHOSEN.items() if name in known}
    targets = [None]
    if "to" in known and len(specs) == 1:
        targets = [CLASSES[k] for k in dealt_classes(system) or range(len(CLASSES))]
    found: dict[str, torch.Tensor] = {}
    for names in dict.fromkeys([tuple(needed), tuple(more)]):  # without and with what need not be given
        for target in targets:
            work.renew()
            options = build_options(use, {**chosen, "to": target})
            if use.tell is not None:
                assert use.tell(work, options)
            tensors = {
                name: work.encode(kind_of(specs[name].kind).blank(specs[name], 2, np.random.default_rng(1)), specs[name])
                for name in ((first,) if first else ()) + names
            }
            made = use.run(work, _larger(tensors, system, first), options)
            assert set(fields_given(use, specs)) <= set(made), use.verb
            for name, value in made.items():
                whole = torch.cat(list(pieces_of(value)))
                assert len(whole) == (2 if first else chosen["count"]), f"{use.verb}: {name}"
                found[f"{use.verb} {name} {target} {names}"] = whole
            if not first:
                shape = whole_of(found, use, work.main).shape
                assert shape[1:] in (work.spec.shape, (LEARNT, *work.spec.shape)), use.verb
            elif work.main in made and not use.fitted:
                shape = whole_of(found, use, work.main).shape
                sides = _larger(tensors, system, first)[first].shape
                assert shape[1] == work.spec.shape[0], "as many channels as the field has"
                assert all(a == b * use.grows(system) for a, b in zip(shape[2:], sides[-len(shape[2:]) :], strict=True)), (
                    use.verb
                )
    return found


def whole_of(found: dict[str, torch.Tensor], use: Use, main: str) -> torch.Tensor:
    return next(value for key, value in found.items() if key.startswith(f"{use.verb} {main} "))


def _larger(tensors: dict[str, torch.Tensor], system: Any, first: str | None) -> dict[str, torch.Tensor]:
    """Fields that lie side by side, continued to sides that the system takes."""
    multiple = getattr(system, "multiple", 1)
    if first is None or multiple == 1 or tensors[first].dim() < 3:
        return tensors
    return {name: _continued(value, multiple, 2) if value.dim() > 2 else value for name, value in tensors.items()}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_uses_have_the_promised_form_and_leave_no_trace(name: str, kind: str) -> None:
    engine = board(name, kind)
    engine.play_round()
    before, random_state = everything(engine), torch.get_rng_state()
    modes = [m.training for m in engine.system.modules()]
    able = uses_of(engine.system)
    assert able, "a system that is of no use"
    assert {use.verb for use in able} <= set(verbs_of(type(engine.system))), "its class tells as much"
    with engine.watching(), torch.no_grad():
        for use in able:
            first, again = of_use(use, engine.system), of_use(use, engine.system)
            for key, value in first.items():
                assert torch.isfinite(value.double()).all(), key
                assert torch.equal(value, again[key]), f"{key} differs when asked again with the same noise"
            for key, value in first.items():
                assert " map " not in key or (value >= 0).all(), "maps are not negative"
        if isinstance(engine.system, Shows):
            noise = Noise(torch.Generator().manual_seed(0))
            batch = shown_batch(tiny_data(engine.system.spec), engine.system.feeds()["data"], 2, noise)
            panel = engine.system.show(batch, noise)
            assert panel.records.shape == (2, len(panel.columns), *main_spec(engine.system.spec).shape)
            assert len(panel.rows) in (0, 2), "a caption for each row, or none"
    assert [m.training for m in engine.system.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random_state)
    after = everything(engine)
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert all(p.grad is None for p in engine.system.parameters())


@pytest.mark.parametrize("name", list(catalogue()))
def test_docs_page_exists_and_says_what_differs_from_the_paper(name: str) -> None:
    page = Path(__file__).parents[1] / "docs" / "systems" / f"{name}.md"
    assert page.is_file(), f"docs/systems/{name}.md is missing"
    assert "## Differs from the paper" in page.read_text()
