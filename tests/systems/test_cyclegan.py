"""CycleGAN: both ways at any size, the pool, the terms, and a colour change that is learnt without pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import toys
from ganvas.batches import Batch, Noise
from ganvas.data.streams import dealt_classes, open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds import decode, encode
from ganvas.kinds.image.colours import likened
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.colours import ColourMap
from ganvas.systems.translation.cyclegan import PRESETS, SKIPS, Config, CycleGan, Generator

SPEC = ImageSpec(channels=1, height=16, width=16, classes=("dark", "light"))


def small(spec: ImageSpec = SPEC, **settings: Any) -> CycleGan:
    torch.manual_seed(0)
    return CycleGan(spec, Config(**{"width": 4, "blocks": 1, "pool_size": 4, "batch_size": 2, **settings}))


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def batch_of(a: torch.Tensor, b: torch.Tensor, seed: int = 0) -> Batch:
    return Batch(noise(seed), {"a": a, "b": b})


def test_classes_are_chosen_by_name_or_by_being_two() -> None:
    three = ImageSpec(channels=1, height=16, width=16, classes=("x", "y", "z"))
    assert dealt_classes(small()) == (0, 1)
    assert dealt_classes(small(three, first="z", second="x")) == (2, 0)
    wrong = {
        "three classes and no choice": (three, {}, "needs two classes"),
        "no classes": (ImageSpec(channels=1, height=16, width=16), {}, "has 0 (none)"),
        "misspelt": (SPEC, {"first": "dark", "second": "lihgt"}, "did you mean 'light'"),
        "half a choice": (three, {"first": "x"}, "second='' is no class"),
        "twice the same": (three, {"first": "x", "second": "x"}, "both 'x'"),
        "tiny": (ImageSpec(channels=1, height=4, width=9, classes=("x", "y")), {}, "too small"),
    }
    for spec, settings, said in wrong.values():
        with pytest.raises(GanvasError) as caught:
            small(spec, **settings)
        assert said.lower() in str(caught.value).lower()
        assert "\n" not in str(caught.value)


def test_target_decides_the_direction_and_any_size_is_translated() -> None:
    system = small(ImageSpec(channels=3, height=16, width=12, classes=("x", "y", "z")), first="z", second="x").eval()
    images = torch.rand(2, 3, 40, 24) * 2 - 1
    with torch.no_grad():
        assert torch.equal(system.translate(images, 2, noise()), system.to_a(images))
        assert torch.equal(system.translate(images, 0, noise()), system.to_b(images))
        for height, width in ((8, 8), (33, 17), (9, 64)):
            result = system.translate(torch.zeros(1, 3, height, width), 0, noise())
            assert result.shape == (1, 3, height, width)
    with pytest.raises(ValueError, match="class 1"):
        system.translate(images, 1, noise())


@pytest.mark.parametrize(("side", "depth"), [(8, 1), (31, 1), (32, 2), (64, 2), (128, 3)])
def test_discriminators_are_as_deep_as_the_size_allows(side: int, depth: int) -> None:
    system = small(ImageSpec(channels=1, height=side, width=2 * side, classes=("x", "y")))
    strided = [m for m in system.discriminator_a.layers if isinstance(m, torch.nn.Conv2d) and m.stride == (2, 2)]
    assert len(strided) == depth
    square = ImageSpec(channels=1, height=side, width=side, classes=("x", "y"))
    assert small(square, patch_depth=5).discriminator_b(torch.zeros(1, 1, side, side)).numel() > 0


def test_terms_are_those_of_the_paper() -> None:
    system = small(identity_weight=0.25, cycle_weight=8.0)
    a, b = torch.rand(2, 1, 16, 16) * 2 - 1, torch.rand(2, 1, 16, 16) * 2 - 1
    shared: dict[str, Any] = {}
    terms = system.translate_both(batch_of(a, b), Clock(), shared)
    with torch.no_grad():
        made_b = system.to_b(a)
        expected = {
            "fool b": ((system.discriminator_b(made_b) - 1) ** 2).mean(),
            "cycle a": 8 * (system.to_a(made_b) - a).abs().mean(),
            "identity b": 2 * (system.to_b(b) - b).abs().mean(),
        }
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-5)
    assert not shared["a"].requires_grad and torch.allclose(shared["b"], made_b, atol=1e-6)
    judged = system.tell_apart(batch_of(a, b), Clock(), shared)
    with torch.no_grad():
        torch.testing.assert_close(judged["real b"], 0.5 * ((system.discriminator_b(b) - 1) ** 2).mean(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(judged["made b"], 0.5 * (system.discriminator_b(made_b) ** 2).mean(), rtol=1e-4, atol=1e-5)
    alone = small(cycle_weight=0.0).translate_both(batch_of(a, b), Clock(), {})
    assert set(alone) == {"fool a", "fool b"}


def test_both_discriminators_have_a_pool_of_their_own_and_each_process_its_own() -> None:
    system = small(pool_size=6)
    made = {"a": torch.full((2, 1, 16, 16), 0.25), "b": torch.full((2, 1, 16, 16), -0.5)}
    system.tell_apart(batch_of(torch.zeros(2, 1, 16, 16), torch.zeros(2, 1, 16, 16)), Clock(), made)
    assert not made, "what was handed over is taken"
    assert system.pool_a.past[:2].unique().tolist() == [0.25]
    assert system.pool_b.past[:2].unique().tolist() == [-0.5]
    ends = [name for name in dict(system.named_buffers()) if name.startswith("pool_")]
    assert len(ends) == 4
    assert all(system.reductions()[name.split(".")[-1]] == "rank" for name in ends)


def test_rates_are_constant_and_then_fall_to_nothing() -> None:
    for player in small(decay_start=0.25).players():
        assert [player.rate(Clock(progress=p)) for p in (0.0, 0.25, 0.625, 1.0)] == pytest.approx([1, 1, 0.5, 0])


def test_skip_takes_features_or_the_input_past_the_middle() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    for skip in SKIPS:
        generator = Generator(3, 4, 1, skip)
        assert generator(images).shape == images.shape
        with torch.no_grad():
            for parameter in generator.middle.parameters():
                parameter.zero_()
        past = bool((generator(images).std((2, 3)) > 1e-3).all())
        assert past == (skip != "none")
    with torch.no_grad():
        generator = Generator(3, 4, 1, "input")
        for parameter in generator.leave.parameters():
            parameter.zero_()
        torch.testing.assert_close(generator(images), 0.98 * images, rtol=1e-4, atol=1e-5)


def test_a_change_begins_as_nothing_and_is_learnt_from_there() -> None:
    """Black and white included, at any size; a step of the optimiser reaches all layers after the last has moved."""
    torch.manual_seed(0)
    generator = Generator(3, 4, 1, "change")
    images = torch.rand(2, 3, 18, 21) * 2 - 1
    images[:, :, :4] = 1.0
    torch.testing.assert_close(generator(images), images)
    optimiser = torch.optim.Adam(generator.parameters(), 1e-2)
    errors = []
    for _ in range(40):
        error = (generator(images) + images).abs().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.7 * errors[0], "white is left too, towards black"


class Shades(toys.OneField):
    """Discs on a ground, dark on light in the one class and light on dark in the other."""

    source = "shades"
    spec = SPEC

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        y, x = np.mgrid[:16, :16]
        centres, radii = rng.uniform(4, 12, (200, 2, 1, 1)), rng.uniform(2, 4, (200, 1, 1))
        self.discs = (y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2 < radii**2
        self.labels = np.arange(200) % 2
        shades = np.where(self.discs, 220, 40)
        shades[self.labels == 1] = 255 - shades[self.labels == 1]
        self.values = shades.astype(np.uint8)[..., None]


def test_it_learns_to_exchange_light_and_dark_without_pairs() -> None:
    data = Shades()
    system = small(width=8, pool_size=20, batch_size=4, learning_rate=1e-3, ema_half_life=50.0, skip="features")
    stream = open_stream(data, system.feeds()["data"], 4, seed=0)  # type: ignore[arg-type]
    engine = Engine(system, {"data": stream}, seed=0, check_every=16)
    rounds = 60
    for i in range(rounds):
        engine.progress = i / rounds
        engine.play_round()
    dark = torch.from_numpy(data.values[data.labels == 0][:32]).permute(0, 3, 1, 2).float() / 127.5 - 1
    with engine.watching():
        made = system.translate(dark, 1, noise())
    wrong, untouched = (made + dark).abs().mean(), (2 * dark).abs().mean()
    print(float(wrong / untouched))
    assert float(wrong) < 0.35 * float(untouched)


def test_presets_build() -> None:
    from ganvas.config import build_config
    from ganvas.presets import Situation

    for side, records in ((32, 500), (128, 2000), (256, 5000)):
        spec = ImageSpec(channels=3, height=side, width=side, classes=("x", "y"))
        for seconds in (60.0, 600.0, 36_000.0, None):
            chosen = PRESETS["auto"](Situation(spec, records, seconds, 50.0, "cpu"))
            build_config(Config, dict(chosen))
    assert Config().width == 64 and Config().batch_size == 1 and Config().pool_size == 50


def test_translations_begin_in_the_colours_of_the_target_and_these_undo_each_other() -> None:
    """The map of the network is that of the trivial method; a game that stands still returns what it was given."""
    rng = np.random.default_rng(0)
    spec = ImageSpec(channels=3, height=16, width=16, classes=("day", "dusk"))
    mixing = np.array([[0.3, 0.1, 0.0], [0.0, 0.2, 0.1], [0.1, 0.0, 0.3]])
    day = rng.normal(size=(40, 16, 16, 3)) @ mixing * 0.5 + 0.1
    dusk = rng.normal(size=(40, 16, 16, 3)) @ mixing.T * 0.3 - 0.4
    heaps = [np.clip(np.round(127.5 * (x + 1)), 0, 255).astype(np.uint8) for x in (day, dusk)]
    a, b = (encode(x, spec) for x in heaps)
    system = small(spec, skip="change", colours=True, identity_weight=0.0, batch_size=8)
    for part in range(0, 40, 8):
        system.translate_both(batch_of(a[part : part + 8], b[part : part + 8]), Clock(), {})
    made = system.eval().translate(a, 1, noise())
    assert not torch.equal(made, a)
    torch.testing.assert_close(made.mean((0, 2, 3)), b.mean((0, 2, 3)), atol=0.01, rtol=0)
    moved = [torch.cov(x.movedim(1, 0).flatten(1)) for x in (made, b)]
    torch.testing.assert_close(moved[0], moved[1], atol=2e-3, rtol=0.05)
    expected = likened(heaps[0], heaps[0], heaps[1], spec)
    assert np.abs(decode(made.detach(), spec).astype(int) - expected).max() <= 1
    torch.testing.assert_close(system.translate(made, 0, noise()), a, atol=0.02, rtol=0)


def test_grey_pictures_get_no_colours_from_their_noise() -> None:
    colours = ColourMap(3)
    grey = (torch.rand(64, 1, 8, 8) - 0.5).expand(-1, 3, -1, -1) + 0.004 * torch.randn(64, 3, 8, 8)
    colours.learn(grey, 0.3 * torch.randn(64, 3, 8, 8))
    assert float(torch.linalg.matrix_norm(colours.matrix[1], 2)) < 11
    assert torch.isfinite(colours.matrix).all()
    same = torch.zeros(4, 3, 8, 8)
    flat = ColourMap(3)
    flat.learn(same, same + 0.5)
    torch.testing.assert_close(flat(same, 1), same + 0.5)


def test_slopes_of_discriminators_are_those_at_what_they_saw() -> None:
    system = small(r1_weight=4.0, r2_weight=2.0, discriminator_norm=False, pool_size=0)
    assert not [m for m in system.discriminator_a.modules() if isinstance(m, torch.nn.InstanceNorm2d)]
    a, b = torch.rand(2, 1, 16, 16) * 2 - 1, torch.rand(2, 1, 16, 16) * 2 - 1
    terms = system.tell_apart(batch_of(a, b), Clock(), {"a": a.flip(0), "b": b * 0.5})
    for name, images, gamma in (("r1 b", b, 4.0), ("r2 b", b * 0.5, 2.0)):
        images = images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(system.discriminator_b(images).mean((1, 2, 3)).sum(), images)
        torch.testing.assert_close(terms[name], gamma / 2 * slope.square().sum((1, 2, 3)).mean())
        assert float(terms[name].detach()) > 0
    assert "r1 a" not in small().tell_apart(batch_of(a, b), Clock(), {"a": a, "b": b})
