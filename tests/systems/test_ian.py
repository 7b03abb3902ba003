"""ian: held-out pictures are drawn again from the discriminator's own features; without the pixel and feature terms they
are not found. Three kinds in their order; what D sees of reconstructions and samples is constant in its turn."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.health.losses import Balance
from ganvas.health.samples import Variety
from ganvas.inference.strokes import borrowed, followed, laid_on
from ganvas.kinds import decode, encode
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.ian import orthogonal_penalty
from ganvas.presets import Situation
from ganvas.proofs import Row
from ganvas.proofs.ian import met
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis.ian import PRESETS, REAL, RECONSTRUCTED, SAMPLED, Config, Ian, auto

SPEC = ImageSpec(3, 16, 16)
COLOURS = np.array([(230, 60, 60), (40, 180, 80), (50, 70, 210), (240, 220, 60)], np.uint8)
SMALL: dict[str, Any] = {
    "latent_size": 8, "width": 8, "head_units": 32, "batch_size": 16, "norm": "layer", "learning_rate": 3e-3,
    "latent_weight": 0.02, "pixel_weight": 20.0, "orthogonal_weight": 1e-4, "ema_half_life": 200.0, "paint_steps": 20,
}  # fmt: skip


def build(spec: Any = SPEC, **settings: Any) -> Ian:
    torch.manual_seed(0)
    return Ian(spec, build_config(Config, SMALL | settings))


def noise() -> Noise:
    return Noise.seeded(3)


def pictures(count: int = 240) -> Dataset:
    """A ground and a plate on it, each of one of four colours."""
    rng = np.random.default_rng(0)
    pixels = np.empty((count, 16, 16, 3), np.uint8)
    for own in pixels:
        own[:] = COLOURS[rng.integers(0, 4)]
        own[4:12, 4:12] = COLOURS[rng.integers(0, 4)]
    return Dataset({"real": Field(SPEC, pixels)}, None, np.arange(count), np.arange(count) >= count - 40, "pictures", "")


def held_out() -> Tensor:
    data = pictures()
    return encode(np.asarray(data.values[data.heldout_indices()]), SPEC)


@cache
def learnt(**settings: Any) -> Any:
    data, system = pictures(), build(**settings)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=0)}, seed=0)
    for _ in range(250):
        engine.play_round()
    return system.eval()


def error(system: Any) -> float:
    given = held_out()
    with torch.no_grad():
        return float((system.reconstruct(system.project(given, noise())) - given).abs().mean())


def test_pictures_are_found_by_the_features_of_d_and_without_those_terms_they_are_not() -> None:
    blank = float((held_out() - held_out().mean(0)).abs().mean())
    found, without = error(learnt()), error(learnt(pixel_weight=0.0, feature_weight=0.0))
    assert found < 0.5 * blank, (found, blank)
    assert without > 1.3 * found, (found, without)


def test_strokes_are_followed_and_the_rest_stays() -> None:
    system, given = learnt(), held_out()
    colours, strength = borrowed(given, 1 / 6, 0)
    with torch.no_grad():
        made = laid_on(given, *system.repaint(given, colours, strength, noise()))
    asked, left, outside = (float(part.mean()) for part in followed(given, made, colours, strength))
    assert left < 0.7 * asked, (asked, left)
    assert outside < asked - left, (outside, asked - left)


# The game


def batch() -> Batch:
    return Batch(noise(), {"real": torch.rand(8, 3, 16, 16) * 2 - 1})


def test_three_kinds_in_their_order_each_in_a_batch_of_its_own() -> None:
    system = build()
    seen: list[int] = []
    system.features.register_forward_hook(lambda module, given, made: seen.append(len(given[0])))
    system.kinds.forward = lambda features: torch.tensor([[3.0, 2.0, 1.0]]).expand(len(features), 3)  # type: ignore[method-assign]
    terms = system.tell_apart(batch(), Clock(), {})
    for name, kind in (("real", REAL), ("reconstruction", RECONSTRUCTED), ("fake", SAMPLED)):
        assert float(terms[name]) == pytest.approx(float(cross_entropy(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([kind]))))
    assert seen == [8] * 4, "BatchNorm would mix them"
    assert system.undecided == pytest.approx(2 * math.log(3))
    fooled = system.redraw(batch(), Clock(), {})
    want = float(cross_entropy(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([REAL])))
    assert float(fooled["fool"]) == pytest.approx(want) == float(fooled["fool by reconstruction"])


def test_reconstructions_are_constant_in_the_turn_of_d_and_its_features_in_that_of_the_encoder() -> None:
    system, dealt = build(), batch()
    shared: dict[str, Any] = {}
    torch.stack(list(system.tell_apart(dealt, Clock(), shared).values())).sum().backward()
    assert all(p.grad is None for p in (*system.generator.parameters(), *system.latents.parameters()))
    system.zero_grad()
    system.redraw(dealt, Clock(), shared)["latents"].backward()
    assert all(p.grad is None for p in system.features.parameters()), "the encoder reads D's features as they are"
    assert all(p.grad is not None for p in system.latents.parameters())


def test_a_plain_vae_has_no_discriminator_and_an_encoder_of_its_own() -> None:
    system = build(encoder_features="own", adversarial_weight=0.0, feature_weight=0.0)
    assert [player.name for player in system.players()] == ["generator"]
    assert set(system.redraw(batch(), Clock(), {})) == {"pixels", "latents", "filters"}
    hybrid = build(encoder_features="own")
    torch.stack(list(hybrid.redraw(batch(), Clock(), {}).values())).sum().backward()
    assert hybrid.own is not None and all(p.grad is not None for p in hybrid.own.parameters())


def test_divergence_is_a_mean_over_numbers_and_filters_are_orthogonal_where_the_penalty_is_none() -> None:
    system = build(latent_weight=1.0)
    system.latents.forward = lambda features: (torch.full((8, 8), 2.0), torch.zeros(8, 8))  # type: ignore[method-assign]
    assert float(system.redraw(batch(), Clock(), {})["latents"]) == pytest.approx(2.0), "whatever their number"
    layer = nn.Conv2d(4, 6, 3)
    nn.init.orthogonal_(layer.weight)
    assert float(orthogonal_penalty(nn.Sequential(layer))) < 1e-4
    with torch.no_grad():
        layer.weight.zero_()
    assert float(orthogonal_penalty(nn.Sequential(layer))) == pytest.approx(6.0)


def test_a_planted_collapse_and_a_sure_discriminator_are_told() -> None:
    system = build().eval()
    balance = Balance("discriminator", system.undecided)
    assert "discriminator too strong" in {kind for n in range(400) for kind, _, _ in balance.take(0.02, n, 0.1 + n / 1000)}
    with torch.no_grad():
        first: Any = system.average.layers[0]
        first.weight.mul_(0)
        same = system.sample(64, noise()).numpy()
    variety = Variety(encode(np.asarray(pictures(64).values), SPEC).numpy(), False)
    assert "collapse" in {kind for n in range(3) for kind, _, _ in variety.compare(same, 300 + 20 * n, 0.3)}


# Networks, sizes, files


def test_the_papers_networks_have_the_papers_widths_and_play() -> None:
    paper = build_config(Config, PRESETS["paper"])
    assert (paper.latent_size, paper.width, paper.head_units, paper.batch_size) == (100, 128, 1000, 16)
    torch.manual_seed(0)
    system = Ian(ImageSpec(3, 64, 64), build_config(Config, {**PRESETS["paper"], "width": 16}))
    banks = [layer.out_channels for layer in system.features.modules() if isinstance(layer, nn.Conv2d)]
    assert banks == [16, 32, 64, 128]
    dealt = Batch(noise(), {"real": torch.rand(2, 3, 64, 64) * 2 - 1})
    shared: dict[str, Any] = {}
    for turn in system.phases()[0].turns:
        torch.stack(list(turn.objective(dealt, Clock(), shared).values())).sum().backward()
    assert auto(Situation(SPEC, 500, 600.0, 30.0, "cpu"))["width"] >= 16


@pytest.mark.parametrize("shape", [(3, 16, 24), (1, 9, 13), (3, 33, 20)])
def test_any_size_and_depth_of_colour(shape: tuple[int, int, int]) -> None:
    system = build(ImageSpec(*shape)).eval()
    images = torch.zeros(2, *shape)
    assert system.sample(2, noise()).shape == (2, *shape)
    with torch.no_grad():
        before, after = system.repaint(images, images, torch.ones(2, 1, *shape[1:]), noise())
    assert before.shape == after.shape == (2, *shape)
    with pytest.raises(GanvasError, match="too small to learn"):
        build(ImageSpec(3, 6, 16))


def test_a_run_paints_and_is_judged_by_it(tmp_path: Path) -> None:
    from ganvas import train
    from ganvas.run.load import Run
    from ganvas.uses import Work
    from ganvas.uses.paint import measure

    data = pictures(80)
    np.savez(tmp_path / "data.npz", images=np.asarray(data.values))
    small = {"width": 4, "head_units": 8, "latent_size": 4, "batch_size": 8}
    train("ian", tmp_path / "data.npz", out=tmp_path / "run", budget="3r", size=16, config=small, quiet=True, watch="off")
    run = Run(tmp_path / "run", which="last")
    found = measure(Work(run.system, {"real": run.spec}), data, 16)
    assert set(found) == {"strokes_followed", "changed_outside"}
    assert found["strokes_followed"].value < 1 and found["changed_outside"].value >= 0
    assert decode(run.system.sample(2, noise()).detach(), run.spec).shape == (2, 16, 16, 3)


@pytest.mark.parametrize(("system", "found"), [({}, True), ({"followed": 0.3}, False), ({"outside": 0.09}, False)])
def test_the_mark_is_met_by_all_its_parts(system: dict[str, float], found: bool) -> None:
    own = {"followed": 0.5, "outside": 0.05} | system
    row = Row(0, {"system": 0.06, "baseline": 0.08}, {"system": own, "baseline": {"outside": 0.1}})
    assert met([row]) is found
    assert not met([Row(0, {"system": 0.079, "baseline": 0.08}, row.more)])
