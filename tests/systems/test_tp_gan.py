"""TP-GAN: where parts are and that they are drawn there, symmetry, an identity that stands still, and front views."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.data.dataset import Dataset, Field
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.tp_gan import PLACES, TwoPathways, detailed_places, fused, patch_size, patches, total_variation
from ganvas.presets import Situation
from ganvas.proofs import Row
from ganvas.proofs.tp_gan import draw_people, light, met
from ganvas.systems.translation.tp_gan import PRESETS, Config, TpGan

SIDE = 16
SPEC = {name: ImageSpec(channels=3, height=SIDE, width=SIDE) for name in ("front", "side")}
SMALL: dict[str, Any] = {
    "width": 8, "code_size": 16, "recogniser_width": 8, "embedding_size": 16, "batch_size": 16, "adversarial_weight": 0.01,
    "identity_weight": 0.1,
}  # fmt: skip


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def small(spec: Any = SPEC, **settings: Any) -> TpGan:
    torch.manual_seed(0)
    return TpGan(spec, Config(**{**SMALL, **settings}))


def heads(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(side views, front views), (N, SIDE, SIDE, 3) uint8 each: a head of a colour with two eyes of another; from the side it
    is moved, one eye is hidden, and half of it is in shadow."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    skins, eyes = rng.integers(60, 256, (2, count, 3))
    fronts, sides = np.full((2, count, SIDE, SIDE, 3), 200, np.uint8)
    for side, front, skin, eye in zip(sides, fronts, skins, eyes, strict=True):
        front[np.hypot(y - 7.5, x - 7.5) < 6] = skin
        front[(abs(y - 6) < 1.6) & (abs(abs(x - 7.5) - 2.5) < 1.1)] = eye
        moved = 2 if rng.random() < 0.5 else -2
        head = np.hypot(y - 7.5, x - 7.5 - moved) < 6
        side[head] = skin
        side[(abs(y - 6) < 1.6) & (abs(x - 7.5 - 2 * moved) < 1.1)] = eye
        dark = head & (np.sign(x - 7.5 - moved) == np.sign(moved))
        side[dark] = side[dark] // 2
    return sides, fronts


def batch(count: int = 6, seed: int = 0, side: tuple[int, int] = (SIDE, SIDE), channels: int = 3) -> Batch:
    made = torch.rand(2, count, channels, *side, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return Batch(noise(seed), {"side": made[0], "front": made[1]})


def test_parts_are_where_the_mean_of_front_views_has_edges() -> None:
    mean = torch.zeros(3, 32, 32)
    wanted = [(6, 6), (6, 18), (18, 5), (18, 18)]
    for top, left in wanted:
        mean[:, top + 1 : top + 7 : 2, left + 1 : left + 7] = 1.0
    mean[:, :3] = 1.0  # what lies at the border does not count
    size = (8, 8)
    found = detailed_places(mean, size)
    assert found.shape == (PLACES, 2)
    for top, left in wanted:
        assert (found - torch.tensor([top, left])).abs().max(1).values.min() <= 3, (top, left, found)
    blank = detailed_places(torch.zeros(1, 16, 12), patch_size(16, 12))
    assert len({tuple(own) for own in blank.tolist()}) == PLACES, "apart even where nothing is"


def test_parts_are_cut_and_laid_at_their_places() -> None:
    pictures = torch.rand(2, 3, 16, 16) * 2 - 1
    places = torch.tensor([[1, 2], [1, 9], [6, 5], [11, 5]])
    parts = [patches(pictures, place, (4, 6)) for place in places]
    whole = fused(parts, places, (16, 16))
    inside = fused([torch.ones_like(own) for own in parts], places, (16, 16)) > 0
    torch.testing.assert_close(whole[inside], pictures[inside], atol=1e-6, rtol=0)
    assert (whole[~inside] == 0).all() and not inside.all()
    over = fused([torch.full((1, 1, 4, 4), -0.5), torch.full((1, 1, 4, 4), 0.25)], torch.tensor([[0, 0], [2, 2]]), (8, 8))[0, 0]
    assert over[3, 3] == 0.25 and over[1, 1] == -0.5 and over[7, 7] == 0, "the larger where two meet, dark ones count too"


def test_each_path_draws_its_own_part_from_a_wider_window() -> None:
    torch.manual_seed(0)
    net = TwoPathways((3, 32, 32), 8, 16, 3, local=True).eval()
    places = torch.tensor([[4, 2], [4, 20], [12, 11], [22, 11]])
    views = torch.rand(1, 3, 32, 32)
    drawn, parts = net(views, places)
    assert [own.shape[-1] for own in drawn] == [8, 16, 32] and [tuple(own.shape[2:]) for own in parts] == [net.size] * PLACES
    changed = views.clone()
    changed[:, :, 4:12, :4] = 0.0  # within the window of the first place alone
    _, other = net(changed, places)
    assert not torch.allclose(parts[0], other[0]) and all(torch.equal(a, b) for a, b in zip(parts[2:], other[2:], strict=True))
    assert len({id(path) for path in net.local}) == PLACES
    ours = [net.get_parameter(f"local.{number}.halve.weight") for number in range(PLACES)]
    assert not torch.equal(ours[0], ours[1]), "the right eye has a path of its own"
    drawn, parts = TwoPathways((3, 32, 32), 8, 16, 3, local=False)(views.expand(2, -1, -1, -1), places)
    assert not parts and drawn[-1].shape == (2, 3, 32, 32)


def test_terms_are_what_they_say() -> None:
    system = small()
    system.recognise(batch(), Clock(), {})
    terms = system.turn_round(batch(), Clock(), {})
    assert set(terms) == {"pixels", "symmetry", "variation", "parts", "identity", "fool"}
    plain = small(adversarial_weight=0.0, identity_weight=0.0, local=False).turn_round(batch(), Clock(), {})
    assert set(plain) == {"pixels", "symmetry", "variation"}
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert total_variation(ramp).item() == 1.0 and total_variation(torch.ones(1, 1, 4, 4)).item() == 0.0

    def drawn(views: torch.Tensor, places: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        return [truth], []

    own = batch()
    truth = own["front"]
    system = small(flip=False)
    system.generator.forward = drawn  # type: ignore[method-assign]
    found = system.turn_round(own, Clock(), {})
    assert found["pixels"].item() == 0 and found["identity"].item() == 0
    torch.testing.assert_close(found["symmetry"], 0.3 * (truth - truth.flip(3)).abs().mean())


def test_who_is_on_a_picture_stands_still_in_the_game() -> None:
    system = small().train()
    system.recognise(batch(), Clock(), {})
    kept = {name: own.clone() for name, own in system.recogniser.state_dict().items()}
    sum(system.turn_round(batch(), Clock(), {}).values()).backward()  # type: ignore[union-attr]
    assert all(torch.equal(own, kept[name]) for name, own in system.recogniser.state_dict().items()), "no statistics move"
    assert next(player.networks for player in system.players()) == ("recogniser",)
    twice = Batch(noise(), {"side": torch.rand(2, 3, SIDE, SIDE), "front": torch.ones(2, 3, SIDE, SIDE)})
    assert all(term.item() < 1e-3 for term in system.recognise(twice, Clock(), {}).values()), "equal fronts are no mistake"


def test_pairs_are_mirrored_together() -> None:
    system = small()
    shared: dict[str, Any] = {}
    own = batch(64)
    sides, fronts = system._pairs(own, shared)
    turned = (sides != own["side"]).flatten(1).any(1)
    assert 10 < int(turned.sum()) < 54
    assert torch.equal((fronts != own["front"]).flatten(1).any(1), turned)
    assert torch.equal(fronts[turned], own["front"][turned].flip(3))
    assert system._pairs(own, shared)[0] is sides, "the same for both turns"


@pytest.mark.parametrize(("channels", "side"), [(1, (16, 24)), (3, (48, 32)), (3, (12, 12))])
def test_any_size(channels: int, side: tuple[int, int]) -> None:
    system = small({name: ImageSpec(channels, *side) for name in SPEC})
    own = batch(4, side=side, channels=channels)
    for turn in (system.recognise, system.discriminate, system.turn_round):
        assert all(torch.isfinite(term) for term in turn(own, Clock(), {}).values())
    assert system.eval().translate(own["side"], None, noise()).shape == (4, channels, *side)
    assert system.show(own, noise()).records.shape == (4, 3, channels, *side)


def test_unfit_sizes_are_refused_by_a_line_that_teaches() -> None:
    with pytest.raises(GanvasError, match="--size"):
        small({name: ImageSpec(3, 18, 16) for name in SPEC})
    with pytest.raises(GanvasError, match="one form"):
        small({"front": ImageSpec(3, 16, 16), "side": ImageSpec(1, 16, 16)})


def test_presets() -> None:
    spec = {name: ImageSpec(3, 32, 32) for name in SPEC}
    system = TpGan(spec, Config(**{**PRESETS["paper"], "batch_size": 2}))
    assert (system.config.symmetry_weight, system.config.adversarial_weight, system.config.identity_weight) == (0.3, 1e-3, 3e-3)
    own = batch(2, side=(32, 32))
    for turn in (system.recognise, system.discriminate, system.turn_round):
        sum(turn(own, Clock(), {}).values()).backward()  # type: ignore[union-attr]
    few, many = Situation(spec, 2_000, 300.0, 40.0, "cpu"), Situation(spec, 90_000, 36_000.0, 9_000.0, "cuda")
    assert PRESETS["auto"](few)["width"] < PRESETS["auto"](many)["width"]


def test_the_proof_measures_light_and_asks_for_all() -> None:
    lit = np.full((1, 8, 8, 3), 100, np.uint8)
    lit[:, :, :4] = 140
    assert light(lit).tolist() == [[40.0, 120.0]]

    def row(found: float, given: float, made: float) -> Row:
        more = {"given, far": given, "light of made": made, "light of given": 10.0}
        return Row(0, {"system": found, "baseline": 0.2}, {"system": more, "baseline": more})

    assert met([row(0.4, 0.1, 2.0)])
    assert not met([row(0.21, 0.1, 2.0)]) and not met([row(0.4, 0.5, 2.0)]) and not met([row(0.4, 0.1, 9.0)])


def test_files_end_to_end(tmp_path: Path) -> None:
    sides, fronts = heads(20, 0)
    for name, pictures in (("side", sides), ("front", fronts)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(tmp_path / "data" / name / f"{number:02d}.png")
    settings = {**SMALL, "batch_size": 4}
    ganvas.train("tp-gan", tmp_path / "data", out=tmp_path / "run", budget="6r", config=settings, quiet=True, precision="32")
    run = ganvas.load(tmp_path / "run")
    given = tmp_path / "data" / "side" / "03.png"
    made = ganvas.apply(run, [given], out=tmp_path / "made")
    assert made and len(list((tmp_path / "made").rglob("*.png"))) >= 1


def errors(rounds: int = 260, **settings: Any) -> tuple[float, float]:
    """(share of held-out heads whose made front view has the nearest colours to their own, error of light in grey values)."""
    sides, fronts = heads(300, 0)
    fields = {"side": Field(SPEC["side"], sides), "front": Field(SPEC["front"], fronts)}
    dataset = Dataset(fields, None, np.arange(300), np.zeros(300, bool), "heads", "heads")
    system = small(learning_rate=3e-3, recogniser_learning_rate=3e-3, ema_half_life=300.0, **settings)
    engine = Engine(system, {"data": open_stream(dataset, system.feeds()["data"], 16, seed=0)}, seed=0, check_every=50)
    for number in range(rounds):
        engine.progress = number / rounds
        engine.play_round()
    given, true = heads(60, 1)
    with engine.watching():
        made = system.translate(torch.from_numpy(given).permute(0, 3, 1, 2).float() / 127.5 - 1, None, noise())
    images = (made.permute(0, 2, 3, 1).numpy() + 1) * 127.5
    apart = np.abs(images[:, None].reshape(60, 1, -1) - true[None].reshape(1, 60, -1)).mean(2)
    return float((apart.argmin(1) == np.arange(60)).mean()), float(np.abs(light(images) - light(true)).mean())


def test_front_views_are_of_who_was_shown_and_of_anybody_by_d_alone() -> None:
    given, true = heads(60, 1)
    found, lit = errors()
    dark = float(np.abs(light(given) - light(true)).mean())
    blind, _ = errors(pixel_weight=0.0, part_weight=0.0, identity_weight=0.0, adversarial_weight=1.0)
    print(found, lit, dark, blind)
    assert found > 0.5, "whom a side view shows"
    assert lit < 0.4 * dark, "shadows are gone"
    assert blind < 0.4, "D and symmetry alone ask for a front view, of anybody"


def test_places_are_those_of_the_eyes_once_identity_is_learnt() -> None:
    sides, fronts = (torch.from_numpy(own).permute(0, 3, 1, 2).float() / 127.5 - 1 for own in heads(64, 0))
    system = small(flip=False)
    system.recognise(Batch(noise(), {"side": sides, "front": fronts}), Clock(), {})
    torch.testing.assert_close(system.mean, fronts.mean(0))
    assert float(system.seen) == 1


def test_people_are_drawn_as_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganvas.proofs import tp_gan

    monkeypatch.setattr(tp_gan, "PEOPLE", 6)
    monkeypatch.setattr(tp_gan, "EACH", 10)
    monkeypatch.setattr(tp_gan, "HELD", 2)
    with (draw_people(tmp_path / "pairs", ("side", "front"), 16, 0) / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60 and sum(row["split"] == "heldout" for row in rows) == 20
    assert {row["group"] for row in rows if row["split"] == "heldout"} == {"p4", "p5"}, "people are on one side of the split"
    one, other = (np.asarray(Image.open(tmp_path / "pairs" / rows[3][name])) for name in ("side", "front"))
    assert one.shape == (16, 16, 3) and (one != other).any()
