"""WaveGAN: its shapes, what phase shuffle moves, what the penalty is about, and whether it learns at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.sound.spec import SoundSpec
from ganvas.presets import Situation
from ganvas.proofs import Row
from ganvas.proofs.wavegan import UNSHUFFLED, matched_noise, met, sensitivity
from ganvas.run.draw import draw
from ganvas.run.train import train
from ganvas.systems.sound.wavegan import PRESETS, Config, Critic, Generator, WaveGan, auto, layers_and_base, shifted

SMALL: dict[str, Any] = {"width": 4, "latent_size": 8, "batch_size": 8}


def built(spec: SoundSpec, **config: Any) -> WaveGan:
    torch.manual_seed(0)
    return WaveGan(spec, build_config(Config, {**SMALL, **config}))


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def batch_of(spec: SoundSpec, count: int = 8, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(noise(seed), {"real": torch.rand(count, *spec.shape, generator=generator) * 2 - 1})


@pytest.mark.parametrize("length", [64, 100, 256, 1000, 1024, 2048, 4096, 5000, 8192])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
def test_clips_of_any_length_mono_and_stereo(length: int, channels: int, upsampling: str) -> None:
    spec = SoundSpec(length, 8000, channels)
    system = built(spec, upsampling=upsampling, post_filter_size=6)
    made = system.sample(3, noise())
    assert made.shape == (3, channels, length)
    assert made.abs().max() <= 1
    assert system.critic(made).shape == (3,)


@pytest.mark.parametrize(
    ("length", "layers", "base"),
    [(64, 1, 16), (1024, 3, 16), (4096, 4, 16), (8192, 4, 32), (16384, 5, 16), (32768, 5, 32), (65536, 6, 16), (48000, 5, 47)],
)
def test_the_number_of_layers_follows_the_length(length: int, layers: int, base: int) -> None:
    assert layers_and_base(length) == (layers, base)
    assert 0 <= base * 4**layers - length < 4**layers


def test_clips_that_are_too_short_are_refused() -> None:
    with pytest.raises(GanvasError, match=r"clips of 63 samples are too short to learn: the least is 64"):
        layers_and_base(63)


def test_the_paper_s_networks_have_the_paper_s_size() -> None:
    with torch.device("meta"):
        generator = Generator(100, (1, 16384), 64, upsampling="transposed", post_filter=0)
        critic = Critic((1, 16384), 64)
    assert [m.out_channels for m in generator.layers if isinstance(m, torch.nn.ConvTranspose1d)] == [512, 256, 128, 64, 1]
    assert generator.first.out_features == 16 * 1024
    assert [layer.out_channels for layer in critic.layers] == [64, 128, 256, 512, 1024]  # type: ignore[union-attr]
    assert sum(p.numel() for p in generator.parameters()) == pytest.approx(19e6, rel=0.01)
    assert critic.last.in_features == 16 * 1024


def test_phase_shuffle_moves_each_record_by_its_own_and_reflects() -> None:
    features = torch.arange(12.0).view(2, 1, 6)
    moved = shifted(features, torch.tensor([2, -1]))
    assert moved[0, 0].tolist() == [2, 1, 0, 1, 2, 3]
    assert moved[1, 0].tolist() == [7, 8, 9, 10, 11, 10]
    for reach in (-2, 0, 2):
        padded = torch.nn.functional.pad(features, (2, 2), mode="reflect")
        assert torch.equal(shifted(features, torch.full((2,), reach)), padded[:, :, 2 - reach : 8 - reach])


def test_gradients_pass_the_shuffle_twice() -> None:
    features = torch.randn(2, 2, 7, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: shifted(x, torch.tensor([2, -2])).square(), features)


def test_shifts_are_drawn_for_each_record_and_layer_within_reach() -> None:
    spec = SoundSpec(4096, 8000)
    batch = batch_of(spec, 200)
    drawn = built(spec, phase_shuffle=2)._shifts(batch)
    assert drawn is not None
    assert drawn.shape == (200, 3)
    assert sorted(drawn.unique().tolist()) == [-2, -1, 0, 1, 2]
    assert (drawn[:, 0] != drawn[:, 1]).any()
    assert built(spec, phase_shuffle=0)._shifts(batch) is None
    assert built(SoundSpec(64, 8000))._shifts(batch) is None  # one layer: there is nothing between


def test_g_is_never_shuffled_and_d_only_in_play() -> None:
    spec = SoundSpec(1024, 8000)
    system, batch = built(spec), batch_of(spec)
    assert torch.equal(system.sample(2, noise()), system.sample(2, noise()))
    one, other = (system.approach(batch_of(spec, seed=s), Clock(), {})["approach"] for s in (0, 0))
    assert torch.equal(one, other), "the same noise, the same shifts"
    shifts = system._shifts(batch)
    assert shifts is not None
    assert not torch.equal(system.critic(batch.real), system.critic(batch.real, shifts))


def test_the_penalty_is_about_whole_records() -> None:
    """A critic of known slope: 3 times the mean over a record has a gradient of norm 3 / sqrt(length)."""
    spec = SoundSpec(64, 8000)
    system = built(spec, penalty_weight=10.0)

    class Slope(torch.nn.Module):
        layers = system.critic.layers

        def forward(self, sounds: torch.Tensor, shifts: Any = None) -> torch.Tensor:
            return 24.0 * sounds.mean((1, 2))

    system.critic = Slope()  # type: ignore[assignment]
    terms = system.estimate(batch_of(spec), Clock(), {})
    assert terms["penalty"].item() == pytest.approx(10 * (24 / 8 - 1) ** 2, rel=1e-4)


def test_the_critic_s_turn_leaves_g_alone() -> None:
    spec = SoundSpec(256, 8000)
    system = built(spec)
    sum(system.estimate(batch_of(spec), Clock(), {}).values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is None for p in system.generator.parameters())


def test_five_moves_of_the_critic_on_fresh_clips() -> None:
    critic, generator = built(SoundSpec(256, 8000)).phases()[0].turns
    assert (critic.times, critic.fresh) == (5, True)
    assert (generator.times, generator.fresh) == (1, False)


def test_wider_networks_for_longer_budgets() -> None:
    spec = SoundSpec(4096, 8000)
    widths = [auto(Situation(spec, 1000, seconds, 70.0, "cpu"))["width"] for seconds in (60, 3600, 10_000, 30_000, 1e6)]
    assert widths == sorted(widths)
    assert widths[0] == 16
    assert widths[-1] == 64
    assert PRESETS["paper"] == {"width": 64, "ema_half_life": 0.0}


def test_it_learns_a_loudness_course(tmp_path: Path) -> None:
    """A game in small: tones that are loud at the beginning and silent at the end."""
    soundfile = pytest.importorskip("soundfile")
    rng = np.random.default_rng(0)
    source = tmp_path / "tones"
    source.mkdir()
    fade = np.linspace(1, 0, 256) ** 2
    for k in range(64):
        wave = fade * np.sin(2 * np.pi * rng.uniform(0.05, 0.2) * np.arange(256) + rng.uniform(0, 6))
        soundfile.write(source / f"{k}.wav", 0.8 * wave, 4000)
    config = {**SMALL, "generator_learning_rate": 4e-3, "critic_learning_rate": 4e-3, "ema_half_life": 100.0, "critic_turns": 2}
    run = tmp_path / "run"
    result = train("wavegan", source, out=run, size="256", config=config, budget="60r", quiet=True, device="cpu", threads=1)
    assert result["incidents"] == []
    made = draw(run, count=64, seed=1, out=tmp_path / "made")
    assert made["format"] == "wav"
    sounds = np.stack([soundfile.read(file)[0] for file in made["files"]])
    assert sounds.shape == (64, 256)
    levels = np.sqrt((sounds**2).mean(0)).reshape(4, -1).mean(1)
    assert levels[0] > 3 * levels[3]
    assert levels[0] > 0.1
    resumed = train(resume=run, budget="62r", quiet=True)
    assert resumed["rounds"] == 62


@pytest.mark.parametrize(
    ("length", "channels", "rate", "depth", "format"), [(16384, 2, 48000, 24, "wav"), (65536, 1, 44100, 24, "flac")]
)
def test_long_clips_stereo_and_any_rate_from_files_to_files(
    tmp_path: Path, length: int, channels: int, rate: int, depth: int, format: str
) -> None:
    """The sizes and the forms that makers of sound ask for, with networks as narrow as they can be."""
    soundfile = pytest.importorskip("soundfile")
    source = tmp_path / "sounds"
    source.mkdir()
    for k in range(5):
        hiss = np.random.default_rng(k).uniform(-0.5, 0.5, (length // 2, channels))
        soundfile.write(source / f"{k}.wav", hiss, rate // 2)  # resampled to twice its rate, it fills the length
    config = {"width": 1, "latent_size": 4, "batch_size": 2, "critic_turns": 1, "ema_half_life": 0.0}
    run = tmp_path / "run"
    options: dict[str, Any] = {"size": str(length), "rate": rate, "quiet": True, "device": "cpu", "threads": 1}
    train("wavegan", source, out=run, config=config, budget="1r", sample_every=0.0, **options)
    made = draw(run, count=2, out=tmp_path / "made", depth=depth, format=format, loudness="lufs:-18")
    for file in made["files"]:
        head = soundfile.info(file)
        assert (head.samplerate, head.channels, head.frames) == (rate, channels, length)
        assert (head.subtype, head.format) == ("PCM_24", format.upper())


@pytest.mark.parametrize("length", [16384, 65536])
@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_presets_fit_the_paper_s_lengths(length: int, preset: str) -> None:
    spec = SoundSpec(length, 48000, 2)
    chosen = PRESETS[preset]
    values = chosen(Situation(spec, 1000, 3600.0, 70.0, "cpu")) if callable(chosen) else chosen
    with torch.device("meta"):
        system = WaveGan(spec, build_config(Config, values))
        latents = torch.empty(1, system.config.latent_size)
        made = system.generator(latents)
        assert made.shape == (1, 2, length)
        assert system.critic(made).shape == (1,)


# The proof's own measures


def test_matched_noise_has_the_clips_spectrum_course_and_levels() -> None:
    rng = np.random.default_rng(0)
    hiss = np.diff(rng.standard_normal((200, 1025)), axis=1)  # high tones
    fade = np.linspace(0.3, 0.01, 1024)
    clips = np.clip(0.5 * hiss * fade * rng.uniform(0.2, 1, (200, 1)), -1, 1).astype(np.float32)[..., None]
    noise_clips = matched_noise(clips, 300, 0)
    assert noise_clips.shape == (300, 1024, 1)

    def low_share(values: np.ndarray) -> float:
        power = (np.abs(np.fft.rfft(values[..., 0], axis=1)) ** 2).mean(0)
        return float(power[:128].sum() / power.sum())

    def course(values: np.ndarray) -> np.ndarray:
        return np.sqrt((values[..., 0] ** 2).reshape(len(values), 8, 128).mean((0, 2)))

    assert low_share(noise_clips) == pytest.approx(low_share(clips), abs=0.02)
    assert np.allclose(course(noise_clips), course(clips), rtol=0.2, atol=0.003)


def test_sensitivity_is_nothing_for_a_critic_that_hears_levels_alone() -> None:
    clips = np.random.default_rng(0).uniform(-1, 1, (20, 512, 1)).astype(np.float32) * np.linspace(0.1, 1, 20)[:, None, None]
    deaf = sensitivity(lambda x: x.square().mean((1, 2)), clips)
    keen = sensitivity(lambda x: x[:, 0, ::4].sum(1), clips)
    assert deaf["mean"] < 0.02
    assert keen["mean"] > 0.5


def test_the_mark_asks_for_scores_classes_and_sensitivity() -> None:
    def row(system: float = 3.0, share: float = 0.2, shuffled: float = 0.1, plain: float = 0.2) -> Row:
        more = {
            "system": {"shares": {"0": share, "1": 1 - share}, "shift_sensitivity": {"mean": shuffled}},
            UNSHUFFLED: {"shift_sensitivity": {"mean": plain}},
        }
        return Row(0, {"system": system, "baseline": 1.1, UNSHUFFLED: 2.0, "real": 3.8}, more)

    assert met([row(), row(), row()])
    assert not met([row(system=2.21)] * 3), "0.6 of real"
    assert not met([row(), row(share=0.09), row()])
    assert not met([row(plain=0.05)] * 3)


def test_the_preset_is_told_how_fast_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from ganvas import doctor
    from ganvas.run.resolving import resolve_numbers
    from ganvas.run.settings import build_settings

    monkeypatch.setattr(doctor, "fastest_numbers", lambda device, mixed, threads: ("32", False, 70.0))
    spec = SoundSpec(16_384, 16_000)
    speed = resolve_numbers(build_settings({"device": "cpu"}), WaveGan, spec, curious=True)[1]
    widths = [auto(Situation(spec, 2000, seconds, speed, "cpu"))["width"] for seconds in (60.0, 864_000.0)]
    assert widths[0] < widths[1], "more time pays for more channels"
