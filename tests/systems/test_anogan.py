"""AnoGAN: whom it takes for normal, what its phases leave alone, and whether it finds what is not normal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganvas
import toys
from ganvas.batches import Noise
from ganvas.capabilities import Projects, Samples, ScoresAnomaly
from ganvas.config import build_config
from ganvas.data.classes import find_normal
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.usual import Usual
from ganvas.systems.detection.anogan import AnoGan, Config, heat_map

SMALL: dict[str, Any] = {"width": 4, "latent_size": 4, "batch_size": 16}


class Slopes(toys.OneField):
    """Normal: a ramp of any direction. Others (class `odd`): the same with a bright square."""

    spec = ImageSpec(1, 16, 12, classes=("normal", "odd"))
    source = "slopes"

    def __init__(self, count: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        angle = rng.uniform(0, 2 * np.pi, (count, 1, 1))
        y, x = np.mgrid[-1:1:16j, -1:1:12j]
        images = 110 + 60 * (np.cos(angle) * x + np.sin(angle) * y) + rng.normal(0, 3, (count, 16, 12))
        self.masks = np.zeros(images.shape, bool)
        self.labels = np.arange(count) % 2
        for k in np.flatnonzero(self.labels):
            top, left = rng.integers(1, 11), rng.integers(1, 7)
            self.masks[k, top : top + 4, left : left + 4] = True
        self.values = np.clip(images + 90 * self.masks, 0, 255).astype(np.uint8)[..., None]

    def tensor(self) -> torch.Tensor:
        return torch.from_numpy(self.values).permute(0, 3, 1, 2).float() / 127.5 - 1


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def built(spec: Any = Slopes.spec, **config: Any) -> AnoGan:
    torch.manual_seed(0)
    return AnoGan(spec, build_config(Config, {**SMALL, **config}))


def engine_of(system: AnoGan, data: Any) -> Engine:
    stream = open_stream(data, system.feeds()["data"], system.config.batch_size)
    return Engine(system, {"data": stream}, check_every=16)


def play(engine: Engine, rounds: int) -> None:
    for done in range(rounds):
        engine.progress = done / rounds
        engine.play_round()


@pytest.mark.parametrize(
    ("classes", "wanted", "found"),
    [
        ((), "", ()),
        (("sick", "healthy"), "", (1,)),
        (("glioma", "No Tumor"), "", (1,)),
        (("cats", "dogs"), "dogs", (1,)),
        (("good", "normal"), "good", (0,)),
        (("whatever",), "", (0,)),
    ],
)
def test_the_normal_class_is_found_by_its_name(classes: tuple[str, ...], wanted: str, found: tuple[int, ...]) -> None:
    assert find_normal(classes, wanted, "anogan") == found


@pytest.mark.parametrize(
    ("classes", "wanted", "says"),
    [
        (("cats", "dogs"), "", "--set normal=NAME"),
        (("good", "normal", "bad"), "", "--set normal=NAME"),
        (("cats", "dogs"), "dog", "did you mean"),
        ((), "normal", "no labels"),
    ],
)
def test_an_unclear_normal_class_is_refused_in_one_line(classes: tuple[str, ...], wanted: str, says: str) -> None:
    with pytest.raises(GanvasError, match=says) as caught:
        find_normal(classes, wanted, "anogan")
    assert "\n" not in str(caught.value)


def test_it_learns_from_normal_records_alone() -> None:
    data = Slopes(64)
    engine = engine_of(built(), data)
    for _ in range(5):
        assert bool((engine.streams["data"].draw(engine.noise).labels == 0).all())


def test_the_encoder_phase_leaves_the_gan_and_its_statistics_alone() -> None:
    system = built(gan_share=0.5)
    engine = engine_of(system, Slopes(64))
    play(engine, 8)
    assert engine.clock.phase == "encoder"
    assert system.training
    before = {name: value.clone() for name, value in system.state_dict().items()}
    play(engine, 4)
    moved = {name.split(".")[0] for name, value in system.state_dict().items() if not torch.equal(before[name], value)}
    assert moved == {"encoder"}
    for average, last in zip(system.average.parameters(), system.generator.parameters(), strict=True):
        assert not torch.equal(average, last), "the average is kept, not the last weights"
    assert all(module.training for module in system.discriminator.modules()), "features are read without changing the mode"


@pytest.mark.parametrize(("share", "phases"), [(0.0, ["encoder"]), (0.6, ["adversarial", "encoder"]), (1.0, ["adversarial"])])
def test_either_phase_can_be_left_out(share: float, phases: list[str]) -> None:
    system = built(gan_share=share)
    assert [phase.name for phase in system.phases()] == phases
    engine = engine_of(system, Slopes(64))
    play(engine, 3)


def test_the_rate_of_the_encoder_falls_to_zero() -> None:
    from ganvas.game import Clock

    system = built(gan_share=0.6)
    encoder = system.players()[2]
    assert [round(encoder.rate(Clock(progress=p)), 6) for p in (0.6, 0.8, 1.0, 1.1)] == [1.0, 0.5, 0.0, 0.0]


def test_search_comes_closer_with_more_steps_and_each_image_is_searched_alone() -> None:
    system = built(method="search", gan_share=1.0).eval()
    images = system.sample(4, noise(5)).detach()
    with torch.no_grad():
        few, _ = AnoGan.anomaly(_with(system, search_steps=1), images, noise())
        many, maps = AnoGan.anomaly(_with(system, search_steps=150), images, noise())
        other = torch.cat([images[:1], -images[1:]])
        beside_others, _ = AnoGan.anomaly(_with(system, search_steps=150), other, noise())
    assert (many < 0.5 * few).all()
    assert maps.shape == (4, 16, 12)
    assert torch.allclose(many[0], beside_others[0], rtol=1e-3)
    assert all(p.grad is None for p in system.parameters())


def _with(system: AnoGan, **changes: Any) -> AnoGan:
    config = {**vars(system.config), **changes}
    system.config = build_config(Config, config)
    return system


def test_the_heat_map_keeps_the_mean_and_has_no_preferred_side() -> None:
    images, redrawn = torch.zeros(1, 2, 17, 14), torch.zeros(1, 2, 17, 14)
    images[0, :, 8, 7] = 1.0
    sharp, smooth = heat_map(images, redrawn, 0.0), heat_map(images, redrawn, 1.0)
    assert torch.equal(sharp[0], images[0].mean(0))
    assert torch.isclose(smooth.sum(), sharp.sum(), rtol=1e-3)
    assert smooth.argmax() == sharp.argmax()
    assert torch.allclose(smooth[0, 8, 5], smooth[0, 8, 9])


@pytest.mark.slow
def test_after_a_short_training_odd_images_score_higher_and_glow_where_they_are_odd() -> None:
    system = built(width=8, gan_share=0.6)
    engine = engine_of(system, Slopes(512))
    play(engine, 700)
    test = Slopes(120, seed=1)
    with engine.watching():
        assert isinstance(system, Samples) and isinstance(system, ScoresAnomaly) and isinstance(system, Projects)
        scores, maps = system.anomaly(test.tensor(), noise())
        latents = system.project(test.tensor(), noise())
        redrawn = system.reconstruct(latents)
        peaks, same = _with(system, score="peak").anomaly(test.tensor(), noise())
    assert torch.equal(same, maps)
    assert torch.equal(peaks, maps.flatten(1).amax(1))
    assert latents.shape == (120, 4)
    assert redrawn.shape == (120, 1, 16, 12)
    normal, odd = scores[test.labels == 0], scores[test.labels == 1]
    assert float((odd[:, None] > normal[None]).float().mean()) > 0.9
    heat, masks = maps.numpy(), test.masks
    inside = heat[masks].mean()
    assert inside > 2 * heat[test.labels == 1][~masks[test.labels == 1]].mean()


# Levels, and what is usual


def test_brightness_and_contrast_of_an_image_tell_nothing_where_levels_are_matched() -> None:
    system = built(intensity="matched", score="relative").eval()
    images = Slopes(8).tensor()
    system.usual.see(images)  # type: ignore[union-attr]
    scores, maps = system.anomaly(images, noise())
    darker, _ = system.anomaly(0.5 * images - 0.3, noise())
    torch.testing.assert_close(darker, scores, rtol=0.02, atol=1e-3)
    as_is = built(score="mean").eval()
    assert not torch.allclose(as_is.anomaly(0.5 * images - 0.3, noise())[0], as_is.anomaly(images, noise())[0], rtol=0.1)
    assert maps.shape == (8, 16, 12) and (maps >= 0).all()


def test_levels_are_the_mean_over_what_was_seen_and_what_is_usual_follows_the_heat() -> None:
    usual = Usual(16, 12)
    first, second = Slopes(8).tensor(), 0.2 * Slopes(8, 1).tensor()
    usual.see(first)
    usual.see(second)
    both = torch.stack([first, second]).flatten(2)
    assert usual.level.tolist() == pytest.approx([float(both.mean()), float(both.std(2).mean()), 2], rel=1e-4)
    matched = usual.matched(first).flatten(1)
    torch.testing.assert_close(matched.mean(1), usual.level[0].expand(8), atol=1e-3, rtol=0)
    torch.testing.assert_close(matched.std(1), usual.level[1].expand(8), atol=0.02, rtol=0)
    assert torch.isfinite(usual.matched(torch.zeros(2, 1, 16, 12))).all(), "an image of one grey"
    heat = torch.full((4, 16, 12), 0.1)
    heat[:, :8] = 0.5  # an edge that is never redrawn well
    noisy = torch.Generator().manual_seed(0)
    for _ in range(800):
        usual.leave(heat + 0.02 * torch.randn(heat.shape, generator=noisy))
    odd = heat.clone()
    odd[0, 12, 6] += 0.2  # less than the edge has, and more than there is here
    excess = usual.excess(odd)
    assert excess[0].argmax() == 12 * 12 + 6 and excess[0].max() > 4 > 1.5 > excess[1].max()


def test_relative_scores_need_what_they_are_relative_to() -> None:
    with pytest.raises(GanvasError, match="score=relative needs a run that was trained with --set intensity=matched"):
        built(score="relative")
    assert not any("usual" in key for key in built().state_dict()), "weights of runs of before load as they are"


@pytest.mark.slow
def test_an_evaluation_shows_components_beside_and_says_where_they_are_better(tmp_path: Path) -> None:
    data = Slopes(160)
    for name in ("normal", "odd"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for number, (values, label) in enumerate(zip(data.values, data.labels, strict=True)):
        Image.fromarray(values[..., 0]).save(tmp_path / "data" / ("normal", "odd")[label] / f"{number:03d}.png")
    quick: dict[str, Any] = {"quiet": True, "sample_every": 0.0, "watch": "off", "heldout": 0.4}
    ganvas.train("anogan", tmp_path / "data", out=tmp_path / "run", budget="2r", config=SMALL, **quick)
    found = ganvas.evaluate(tmp_path / "run", features="pixels", audit=False, count=40)
    value, plain = found["anomaly_auroc"]["value"], found["anchors"]["components"]["anomaly_auroc"]["value"]
    assert plain > 0.9 > value, "two rounds learn nothing, a square in a ramp is easily missed by components"
    assert "components of normal training records" in found["beside"]["components"]
    assert any("better than what the run makes, by normal from other, AUROC" in note for note in found["notes"])
