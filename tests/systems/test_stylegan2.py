"""StyleGAN2: its layers against plain definitions, its clocks, controller, truncation, mixing and projection. Tiny networks."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from ganvas.batches import Batch, Noise
from ganvas.capabilities import MixesStyles, Projects, Samples
from ganvas.config import build_config
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.style import Convolution, Mapping, ResidualDiscriminator, Styled, Synthesis, blur_taps, minibatch_deviation
from ganvas.objectives.adaptive_augmentation import MOST_PROBABLE, AdaptiveAugmentation, augment_adaptively
from ganvas.presets import Situation
from ganvas.systems.synthesis.stylegan2 import PRESETS, Config, StyleGan2

SMALL = {"latent_size": 6, "width": 4, "max_width": 8, "layers": 2, "batch_size": 8}


def noise_of(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def system_of(shape: tuple[int, int, int] = (1, 16, 12), **config: Any) -> StyleGan2:
    torch.manual_seed(0)
    return StyleGan2(ImageSpec(*shape), Config(**{**SMALL, **config}))


def batch_of(system: StyleGan2, count: int = 8, seed: int = 0) -> Batch:
    noise = noise_of(seed)
    return Batch(noise, {"real": noise.uniform(count, *system.spec.shape) * 2 - 1})


@pytest.mark.parametrize("up", [False, True])
def test_scaling_channels_equals_modulated_and_demodulated_weights_of_each_record(up: bool) -> None:
    torch.manual_seed(1)
    layer = Styled(5, 7, 6, up=up)
    with torch.no_grad():
        layer.strength.fill_(0.3)
        layer.bias.normal_()
    x, style = torch.randn(3, 5, 6, 4), torch.randn(3, 6)
    noise = torch.randn(3, 1, 12, 8) if up else torch.randn(3, 1, 6, 4)
    expected = []
    for record in range(3):  # the definition, record by record
        weight = layer.weight * layer.style(style[record : record + 1])[0][None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        one = x[record : record + 1]
        if up:
            one = functional.conv_transpose2d(one, weight.transpose(0, 1), stride=2)
            one = functional.conv2d(one, blur_taps(4.0).expand(7, 1, 4, 4), padding=1, groups=7)
        else:
            one = functional.conv2d(one, weight, padding=1)
        expected.append(functional.leaky_relu(one + 0.3 * noise[record] + layer.bias, 0.2) * math.sqrt(2))
    torch.testing.assert_close(layer(x, style, noise), torch.cat(expected), atol=1e-5, rtol=1e-4)


def test_activations_keep_their_size_through_both_networks() -> None:
    """Equalised learning rates: every layer passes on about the variance it gets, from N(0, 1) weights.

    A doubling blurs, which takes more than half of the variance of white noise and less of anything smooth.
    """
    torch.manual_seed(0)
    mapping, synthesis = Mapping(64, 8), Synthesis(64, (3, 32, 32), 16, 64)
    with torch.no_grad():
        styles = mapping(torch.randn(64, 64))
        assert 0.3 < float(styles.square().mean().sqrt()) < 3
        seen = []
        for layer in synthesis.layers:
            layer.register_forward_hook(lambda _, __, out: seen.append(float(out.square().mean().sqrt())))
        synthesis(styles[:, None].expand(-1, synthesis.style_layers, -1), None)
        assert all(0.2 < size < 2 for size in seen), seen
        judge, sizes = ResidualDiscriminator((3, 32, 32), 16, 64), []
        for block in judge.blocks:
            block.register_forward_hook(lambda _, __, out: sizes.append(float(out.square().mean().sqrt())))
        judge(torch.randn(16, 3, 32, 32))
        assert all(0.2 < size < 5 for size in sizes), sizes


def test_resampling_keeps_a_constant_and_halves_sizes() -> None:
    down = Convolution(1, 1, 1, gain=1.0, bias=False, down=True)
    with torch.no_grad():
        down.weight.fill_(1.0)
    out = down(torch.ones(1, 1, 8, 12))
    assert out.shape == (1, 1, 4, 6)
    torch.testing.assert_close(out[:, :, 1:-1, 1:-1], torch.ones(1, 1, 2, 4))
    assert float(blur_taps(4.0).sum()) == pytest.approx(4.0)


def test_minibatch_deviation_sees_records_that_are_alike() -> None:
    judge = ResidualDiscriminator((1, 8, 8), 4, 8)
    x = torch.randn(8, 3, 4, 4)
    assert minibatch_deviation(x, 4).shape == (8, 1, 4, 4)
    same = minibatch_deviation(x[:1].expand(8, -1, -1, -1), 4)
    torch.testing.assert_close(same, torch.full_like(same, 1e-4))
    expected = x[:4].var(0, correction=0).add(1e-8).sqrt().mean()
    torch.testing.assert_close(minibatch_deviation(x, 4)[0, 0, 0, 0], expected)
    assert judge(torch.randn(7, 1, 8, 8)).shape == (7,), "a batch that 4 does not divide"


def test_lazy_turns_are_weighted_and_the_optimiser_is_corrected() -> None:
    system = system_of()
    turns = {turn.name: turn for turn in system.phases()[0].turns}
    assert {name: turn.every for name, turn in turns.items()} == {"discriminate": 1, "flatten": 16, "fool": 1, "path_length": 4}
    discriminator, generator = (p.optimiser([("w", torch.nn.Parameter(torch.ones(1)))]) for p in system.players())
    assert discriminator.defaults["lr"] == pytest.approx(2.5e-3 * 16 / 17)
    assert discriminator.defaults["betas"] == pytest.approx((0.0, 0.99 ** (16 / 17)))
    assert generator.defaults["lr"] == pytest.approx(2.5e-3 * 4 / 5)
    off = system_of(r1_weight=0.0, path_weight=0.0)
    assert [turn.name for turn in off.phases()[0].turns] == ["discriminate", "fool"]
    assert off.players()[0].optimiser([("w", torch.nn.Parameter(torch.ones(1)))]).defaults["lr"] == pytest.approx(2.5e-3)
    assert system_of(batch_size=4, r1_weight=3.0).gamma == pytest.approx(3 * 2e-4 * 16 * 12 / 4)


def test_r1_is_the_squared_slope_of_the_logit() -> None:
    system = system_of(r1_weight=2.0, ada_target=0.0)
    batch = batch_of(system)
    term = system.flatten(batch, Clock(), {})["r1"].detach()
    images = batch.real.clone().requires_grad_()
    (slope,) = torch.autograd.grad(system.discriminator(images).sum(), images)
    assert float(term) == pytest.approx(system.gamma * 8 * float(slope.square().sum((1, 2, 3)).mean()), rel=1e-4)


def test_the_path_length_mean_follows_and_the_term_is_its_variance() -> None:
    system = system_of()
    first = float(system.path_length(batch_of(system), Clock(), {})["path"].detach())
    assert first > 0
    mean = float(system.path_mean)
    assert mean > 0
    for seed in range(60):
        system.path_length(batch_of(system, seed=seed), Clock(), {})
    assert float(system.path_mean) > 10 * mean, "the mean starts at 0 and moves a hundredth of the way each time"
    assert float(system.path_length(batch_of(system), Clock(), {})["path"].detach()) < first


def test_the_controller_moves_by_the_images_seen_and_within_its_bounds() -> None:
    controller = AdaptiveAugmentation(0.6, 100.0)
    controller.signs.copy_(torch.tensor([24.0, 32.0]))  # mean sign 0.75: D knows its images
    controller.adapt(world=1)
    assert float(controller.p) == pytest.approx(0.32)
    assert controller.signs.tolist() == [0, 0]
    controller.signs.copy_(torch.tensor([-10.0, 16.0]))
    controller.adapt(world=1)
    assert float(controller.p) == pytest.approx(0.16)
    for sign, end in ((1.0, MOST_PROBABLE), (-1.0, 0.0)):
        for _ in range(20):
            controller.signs.copy_(torch.tensor([sign * 32, 32.0]))
            controller.adapt(world=1)
        assert float(controller.p) == pytest.approx(end)
    controller.adapt(world=1)  # nothing seen: nothing moves
    assert float(controller.p) == 0.0


def test_the_controller_plays_every_fourth_round_on_what_it_counted() -> None:
    system = system_of(ada_span=1000.0)
    for round_ in range(4):
        system.discriminate(batch_of(system), Clock(round=round_), {})
    assert system.augmentation.signs[1] == 32
    assert float(system.augmentation.p) == 0.0
    system.augmentation.signs[0] = 32.0
    system.discriminate(batch_of(system), Clock(round=4), {})
    assert float(system.augmentation.p) == pytest.approx(0.032)
    assert system.augmentation.signs[1] == 8


@pytest.mark.parametrize("shape", [(1, 16, 12), (3, 20, 20), (2, 8, 40)])
def test_augmentation_at_zero_is_nothing_and_at_one_moves_every_record(shape: tuple[int, int, int]) -> None:
    images = noise_of().uniform(12, *shape) * 2 - 1
    same = augment_adaptively(images, noise_of(), torch.zeros(()), mirror=True, turns=True)
    torch.testing.assert_close(same, images, atol=1e-4, rtol=1e-4)
    changed = augment_adaptively(images, noise_of(), torch.ones(()), mirror=True, turns=True)
    assert changed.shape == images.shape
    assert torch.isfinite(changed).all()
    assert ((changed - images).abs().mean((1, 2, 3)) > 0.01).all()


def test_the_probability_is_that_of_each_change() -> None:
    images = torch.linspace(-1, 1, 64).view(1, 1, 8, 8).expand(4000, -1, -1, -1)
    changed = augment_adaptively(images, noise_of(), torch.tensor(0.1))
    untouched = ((changed - images).abs().amax((1, 2, 3)) < 1e-3).float().mean()
    # Two sizes, rotation, fraction, brightness, contrast; a whole-pixel shift is 0 with probability 1/2 here (at most 1 pixel).
    expected = 0.9**6 * (1 - 0.1 * (1 - 0.5 * 0.5))
    assert float(untouched) == pytest.approx(expected, abs=0.03)


def test_augmentation_never_mirrors_unasked_and_turns_only_when_asked() -> None:
    """A picture brighter at the left: with the moves that are on by default, rotation alone can bring that side elsewhere."""

    def handedness(**asked: bool) -> float:
        colours = torch.zeros(2000, 3, 16, 16)
        colours[:, :, :8, 8:] = 1.0  # a bright quarter at the top right ...
        colours[:, :, 8:, 8:] = 0.5  # ... and a grey one below it
        out = augment_adaptively(colours, noise_of(), torch.tensor(0.15), **asked).mean(1)
        return float((out[:, :8, :8].mean((1, 2)) > out[:, :8, 8:].mean((1, 2))).float().mean())

    assert handedness() < handedness(mirror=True) - 0.02
    assert handedness() < handedness(turns=True) - 0.02


def test_augmentation_passes_gradients_to_images_and_none_to_p() -> None:
    images = (noise_of().uniform(4, 3, 16, 16) * 2 - 1).requires_grad_()
    p = torch.tensor(0.7)
    augment_adaptively(images, noise_of(), p).square().sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
    assert (images.grad.abs().sum((1, 2, 3)) > 0).all()


def test_grey_stays_grey_under_hue_and_saturation() -> None:
    grey = (noise_of().uniform(50, 1, 8, 8) * 2 - 1).expand(-1, 3, -1, -1)
    out = augment_adaptively(grey, noise_of(), torch.ones(()))
    torch.testing.assert_close(out[:, 0], out[:, 2], atol=1e-4, rtol=1e-4)


def test_truncation_draws_towards_the_mean_style() -> None:
    system = system_of().eval()
    system.average_mapping.mean.normal_()
    with torch.no_grad():
        whole = system.sample(16, noise_of())
        system.config = dataclasses.replace(system.config, truncation=0.0)
        none = system.sample(16, noise_of())
    assert whole.std(0).mean() > 5 * none.std(0).mean(), "noise apart, all samples are alike"


def test_mixing_takes_each_side_from_the_right_latent() -> None:
    system = system_of((3, 16, 16)).eval()
    assert isinstance(system, Samples)
    assert isinstance(system, MixesStyles)
    assert system.style_layers == 6
    with torch.no_grad():
        for layer in system.average_synthesis.layers:
            layer.strength.zero_()
        a, b = noise_of(1).normal(4, 6), noise_of(2).normal(4, 6)
        mixed = system.mix(a, b, 3, noise_of())
        assert mixed.shape == (4, 3, 16, 16)
        assert not torch.allclose(mixed, system.mix(a, a, 3, noise_of()))
        assert not torch.allclose(mixed, system.mix(b, b, 3, noise_of()))
        torch.testing.assert_close(system.mix(a, a, 1, noise_of()), system.mix(a, a, 5, noise_of()))
        for layer in (0, 6):
            with pytest.raises(ValueError, match="1 to 5"):
                system.mix(a, b, layer, noise_of())


@pytest.mark.parametrize("space", ["w", "w+"])
def test_projection_finds_an_image_of_its_own_and_leaves_no_gradient(space: str) -> None:
    system = system_of((1, 16, 16), search_steps=60, space=space).eval()
    assert isinstance(system, Projects)
    with torch.no_grad():
        styles = system.average_mapping(noise_of(1).normal(3, 6))
        system.average_mapping.mean.copy_(system.average_mapping(noise_of(2).normal(500, 6)).mean(0))
        images = system.reconstruct(styles[:, None].expand(-1, system.style_layers, -1))
        found = system.project(images, noise_of())
        again = system.project(images, noise_of())
        back = system.reconstruct(found)
        middle = system.reconstruct(system.average_mapping.mean.expand(3, system.style_layers, -1))
    assert found.shape == (3, system.style_layers, 6)
    assert torch.equal(found, again)
    assert not found.requires_grad
    assert all(p.grad is None for p in system.parameters())
    assert (back - images).square().mean() < 0.5 * (middle - images).square().mean()
    if space == "w":
        torch.testing.assert_close(found[:, 0], found[:, -1])


def test_without_noise_inputs_a_latent_is_an_image() -> None:
    for asked, same in ((True, False), (False, True)):
        system = system_of(noise_inputs=asked).eval()
        with torch.no_grad():
            for layer in system.average_synthesis.layers:
                layer.strength.fill_(0.5)
            latents = noise_of(1).normal(2, 6)
            first, again = (system.mix(latents, latents, 1, noise_of(seed)) for seed in (2, 3))
        assert torch.equal(first, again) is same


def test_presets_follow_the_budget() -> None:
    spec = ImageSpec(1, 32, 32)
    small, large = (PRESETS["auto"](Situation(spec, 500, seconds, 80.0, "cpu")) for seconds in (60.0, 40_000.0))
    assert small["width"] < large["width"]
    for name in ("auto", "paper"):
        build_config(Config, PRESETS[name](Situation(spec, 500, None, 50.0, "cuda")))
