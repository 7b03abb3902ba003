"""Progressive growing: a size that comes in changes nothing at first; clocks, buffers and resuming; what it learns."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.progressive import ProgressiveCritic, ProgressiveGenerator, doubled, halved, pixel_norm, sizes_of
from ganvas.presets import Situation
from ganvas.registry import find
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis.progan import OPEN_STAGE, PRESETS, Config, ProGan
from ganvas.testing.boards import everything
from learning import most_seeds

TINY = {"width": 4, "max_width": 8, "latent_size": 6, "batch_size": 8, "rate_ramp": 0, "stage_growth": 1.5, "fade_share": 0.5}


def noise_of(seed: int = 0) -> Noise:
    return Noise.seeded(seed)


def build(shape: tuple[int, int, int] = (1, 16, 16), seed: int = 0, **settings: Any) -> ProGan:
    torch.manual_seed(seed)
    return ProGan(ImageSpec(*shape), build_config(Config, TINY | settings))


def data_of(images: np.ndarray) -> Dataset:
    """Images (N, H, W, C) uint8 as data without labels or a held-out part."""
    spec = ImageSpec(images.shape[3], *images.shape[1:3])
    return Dataset({"real": Field(spec, images)}, None, np.arange(len(images)), np.zeros(len(images), bool), "drawn", "")


def seat(system: ProGan, images: np.ndarray, seed: int = 0) -> Engine:
    stream = open_stream(data_of(images), system.feeds()["data"], system.config.batch_size, seed=seed)
    return Engine(system, {"data": stream}, seed=seed)


def play(engine: Engine, rounds: range, of: int) -> None:
    for number in rounds:
        engine.progress = number / of
        engine.play_round()


def blobs(count: int = 256, side: int = 16) -> np.ndarray:
    """A bright disc at any of four corners on dark ground."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:side, :side]
    images = np.empty((count, side, side, 1), np.uint8)
    for number in range(count):
        y, x = side * (0.25 + 0.5 * rng.integers(0, 2, 2))
        images[number, ..., 0] = np.where((row - y) ** 2 + (column - x) ** 2 < (side / 5) ** 2, 220, 40)
    return images


# What it learns


def distance_to_discs(rounds: int, grow: bool, seed: int) -> float:
    """Mean squared difference of samples, 32 pixels a side, to the nearest of the four images that there are."""
    settings = {"width": 4, "max_width": 16, "latent_size": 8, "coarse_rates": 1.4, "stage_growth": 1.0, "fade_share": 0.4}
    rates = {"generator_learning_rate": 4e-3, "critic_learning_rate": 4e-3, "ema_half_life": 300.0}
    images = blobs(side=32)
    engine = seat(build((1, 32, 32), seed, grow=grow, **settings, **rates), images, seed)
    play(engine, range(rounds), rounds)
    with engine.watching() as board:
        made = board.sample(200, noise_of(5))[:, 0].numpy()
    kinds = np.unique(images[..., 0], axis=0) / 127.5 - 1
    return float(((made[:, None] - kinds[None]) ** 2).mean((2, 3)).min(1).mean())


@most_seeds
def test_grown_it_comes_nearer_than_at_full_size_from_the_start_in_the_same_time(seed: int) -> None:
    # A round at full size takes 2.4 times as long as one of the grown game.
    grown, at_once = distance_to_discs(480, True, seed), distance_to_discs(200, False, seed)
    assert grown < 0.16
    assert grown < 0.9 * at_once


# Sizes


@pytest.mark.parametrize("size", [(16, 16), (100, 60), (9, 40), (127, 33)])
def test_sizes_halve_whatever_the_image_is(size: tuple[int, int]) -> None:
    sizes = sizes_of(*size)
    assert sizes[-1] == size
    assert 4 <= min(sizes[0]) <= 8
    images = torch.rand(2, 1, *size)
    for own in reversed(sizes[:-1]):
        images = halved(images)
        assert tuple(images.shape[2:]) == own
    generator, critic = ProgressiveGenerator(5, (1, *size), 4, 8), ProgressiveCritic((1, *size), 4, 8)
    for level, own in enumerate(sizes):
        made = generator(torch.randn(2, 5), level, torch.tensor(0.3))
        assert tuple(made.shape[2:]) == own
        assert critic(made, level, torch.tensor(0.3)).shape == (2,)


def test_odd_sides_end_with_the_mean_of_what_there_is() -> None:
    row = torch.tensor([1.0, 3.0, 8.0])[None, None, None]
    assert halved(row.expand(1, 1, 2, 3)).flatten().tolist() == [2.0, 8.0]
    assert doubled(torch.tensor([[[[2.0, 8.0]]]]), (1, 3)).flatten().tolist() == [2.0, 2.0, 8.0]


def test_a_size_comes_in_without_a_jump_and_is_all_there_at_the_end() -> None:
    system = build((1, 15, 18))
    latents, real = torch.randn(4, 6), torch.rand(4, 1, 15, 18)
    with torch.no_grad():
        before, after = system.generator(latents, 0), system.generator(latents, 1)
        assert torch.equal(system.generator(latents, 1, torch.zeros(())), doubled(before, (15, 18)))
        torch.testing.assert_close(system.generator(latents, 1, torch.ones(())), after)
        images = system.brought_to(real, 1, torch.zeros(()))
        torch.testing.assert_close(images, doubled(system.brought_to(real, 0, None), (15, 18))), "real images are as coarse"
        torch.testing.assert_close(system.brought_to(real, 1, torch.ones(())), system.brought_to(real, 1, None))
        coarse = system.critic(system.brought_to(real, 0, None), 0)
        torch.testing.assert_close(system.critic(images, 1, torch.zeros(())), coarse)
        for grown, wanted in ((0.0, before), (1.0, after)):
            for size in system.generator.sizes[int(grown) + 1 :]:
                wanted = doubled(wanted, size)
            torch.testing.assert_close(system.generator.grown(latents, torch.tensor(grown)), wanted)


# Tricks


def test_pixel_norm_is_over_channels_and_images_are_not_normalised() -> None:
    x = torch.randn(2, 3, 4, 5) * 7
    expected = x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()
    torch.testing.assert_close(pixel_norm(x), expected)
    generator = build().generator
    seen: list[torch.Tensor] = []
    generator.to_image[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        images = generator(torch.randn(3, 6), generator_last := len(generator.sizes) - 1)
    torch.testing.assert_close(seen[0].square().mean(1), torch.ones_like(seen[0][:, 0]), rtol=1e-4, atol=1e-4)
    layer = generator.to_image[generator_last]
    torch.testing.assert_close(images, functional.conv2d(seen[0], layer.weight * layer.scale, layer.bias)), "linear"


def test_weights_start_at_one_and_are_scaled_once() -> None:
    layer = build(width=64, max_width=64).critic.blocks[0].first
    assert 0.97 < float(layer.weight.detach().std()) < 1.03
    assert layer.scale == pytest.approx((2 / (64 * 9)) ** 0.5)


def test_the_critic_never_sees_real_and_fake_in_one_batch() -> None:
    system = build()
    seen: list[torch.Tensor] = []
    system.critic.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    batch = Batch(noise_of(), {"real": torch.ones(8, 1, 16, 16)})
    terms = system.estimate(batch, Clock(phase="16x16"), {})
    assert set(terms) == {"distance", "penalty", "drift"}
    assert [len(images) for images in seen] == [8, 8, 8]
    assert [bool((images == 1).all()) for images in seen] == [True, False, False]
    assert float(terms["drift"].detach()) == pytest.approx(
        1e-3 * float(system.critic(batch.real, 2).square().mean().detach()), rel=1e-4
    )


# Clocks


def test_phases_share_the_budget_and_fade() -> None:
    system = build((1, 32, 32), stage_growth=2.0, fade_share=0.25)
    names = [phase.name for phase in system.phases()]
    assert names == ["4x4", "to 8x8", "8x8", "to 16x16", "16x16", "to 32x32", "32x32"]
    assert system.plan["4x4"][3] == pytest.approx(1 / 15)
    assert system.plan["to 32x32"][2:] == pytest.approx((7 / 15, 7 / 15 + 8 / 60))
    until = {phase.name: phase.until for phase in system.phases()}
    assert until["32x32"] is None
    assert until["16x16"] is not None
    assert not until["16x16"](Clock(phase="16x16", progress=0.46))
    assert until["16x16"](Clock(phase="16x16", progress=0.47))
    level, alpha = system._stage(Clock(phase="to 8x8", progress=1 / 15 + 1 / 60))
    assert level == 1
    assert float(alpha) == pytest.approx(0.5, abs=1e-5)
    _, again = system._stage(Clock(phase="to 8x8", progress=1 / 15 + 1 / 120))
    assert float(again) == pytest.approx(0.5, abs=1e-5), "a longer budget does not take back what has faded in"


def test_an_open_budget_and_the_paper_go_by_images() -> None:
    for system, images in ((build(), OPEN_STAGE), (build(stage_samples=100), 100)):
        until = system.phases()[0].until
        assert until is not None
        assert not until(Clock(phase="4x4", phase_samples=images - 1))
        assert until(Clock(phase="4x4", phase_samples=images))
        assert float(system._stage(Clock(phase="to 8x8", phase_samples=images // 4))[1]) == pytest.approx(0.25)


def test_rates_rise_anew_with_each_size() -> None:
    system = build(rate_ramp=1000, coarse_rates=2.0)
    assert system.pace(Clock(phase="to 8x8", phase_samples=250)) == 0.5
    assert system.pace(Clock(phase="to 8x8", phase_samples=5000)) == 2.0
    assert system.pace(Clock(phase="16x16", phase_samples=8)) == 1.0


def test_growing_keeps_what_the_optimisers_know_of_layers_that_stay() -> None:
    engine = seat(build(), blobs(64))
    play(engine, range(12), 40)
    state = {name: copy.deepcopy(values) for name, values in engine.state()["players"]["generator"]["optimiser"].items()}
    assert not any(name.startswith("generator.blocks.1") for name in state), "layers to come have no state"
    while engine.clock.phase != "16x16":
        play(engine, range(engine.clock.round, engine.clock.round + 1), 40)
    later = engine.state()["players"]["generator"]["optimiser"]
    assert float(later["generator.start.weight"]["step"]) == engine.clock.round
    assert float(later["generator.to_image.0.weight"]["step"]) < engine.clock.round, "what was left behind rests"


def test_a_run_resumed_within_a_fade_is_the_straight_run() -> None:
    straight = seat(build(), blobs(64))
    play(straight, range(15), 40)
    assert straight.clock.phase == "to 8x8" and 0 < float(straight.system.grown) < 1
    weights, state = copy.deepcopy(straight.system.state_dict()), copy.deepcopy(straight.state())
    play(straight, range(15, 32), 40)
    torch.manual_seed(1)
    resumed = seat(build(), blobs(64))
    resumed.system.load_state_dict(weights)
    resumed.restore(state)
    play(resumed, range(15, 32), 40)
    expected, found = everything(straight), everything(resumed)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_without_growing_it_is_one_game_at_full_size() -> None:
    system = build(grow=False)
    assert [phase.name for phase in system.phases()] == ["16x16"]
    shared: dict[str, Any] = {}
    system.estimate(Batch(noise_of(), {"real": torch.rand(8, 1, 16, 16)}), Clock(phase="16x16"), shared)
    assert shared["fake"].shape == (8, 1, 16, 16)
    assert float(system.grown) == 2.0


def test_the_paper_s_networks_play_a_round() -> None:
    spec = ImageSpec(1, 8, 8)
    config = build_config(Config, PRESETS["paper"](Situation(spec, 100, None, 50.0, "cuda")))
    assert (config.width, config.max_width, config.stage_samples) == (512, 512, 800_000)
    large = PRESETS["paper"](Situation(ImageSpec(3, 1024, 1024), 100, None, 50.0, "cuda"))
    assert large["width"] == 16
    torch.manual_seed(0)
    engine = seat(ProGan(spec, config), np.zeros((16, 8, 8, 1), np.uint8))
    engine.play_round()
    assert np.isfinite(list(engine.settle().terms.values())).all()


def test_it_is_found_by_its_aliases() -> None:
    assert {find(name).name for name in ("pggan", "progressive-growing")} == {"progan"}


def test_from_files_to_samples(tmp_path: Path) -> None:
    for number, image in enumerate(blobs(24, 20)[:, :, :13, 0]):
        (tmp_path / "data").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "data" / f"{number:02d}.png")
    ganvas.train("progan", tmp_path / "data", out=tmp_path / "run", budget="9r", config=TINY, quiet=True, precision="32")
    made = ganvas.load(tmp_path / "run").sample(3, seed=1)
    assert made.shape == (3, 20, 13, 1)
