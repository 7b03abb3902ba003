"""SpecGAN: pictures of sound and back, the changes D sees, and that classes are learnt where they are told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.sound.spec import SoundSpec
from ganvas.kinds.sound.spectra import properties
from ganvas.kinds.table.spec import NUMBER, TableSpec
from ganvas.networks.specgan import Told
from ganvas.networks.spectrogram import Spectrogram, changed_sound, fast_griffin_lim, integrated_phase
from ganvas.presets import Situation
from ganvas.proofs import Row
from ganvas.proofs._sounds import class_spread, compared, kolmogorov, nearest_draws, traits
from ganvas.proofs.specgan import LARGE, SPECGAN, WAVEGAN, met
from ganvas.registry import load_system
from ganvas.run.draw import draw
from ganvas.run.train import train
from ganvas.store.records import Dataset, Field
from ganvas.systems.sound.specgan import PRESETS, Config, SpecGan

RATE = 4000
SMALL: dict[str, Any] = {"width": 4, "max_width": 16, "latent_size": 8, "batch_size": 8, "bands": 16, "image_stride": 2}


def built(spec: SoundSpec, **settings: Any) -> SpecGan:
    torch.manual_seed(0)
    return SpecGan(spec, build_config(Config, SMALL | settings))


def transform_of(length: int = 4096, rate: int = 8000, **more: Any) -> Spectrogram:
    return Spectrogram(length, rate, **({"bands": 48, "scale": "mel", "step": 0.008, "floor": 80.0} | more))


def strokes(count: int = 12, length: int = 4096, rate: int = 8000) -> torch.Tensor:
    """Tones that glide and fade, with a hiss at their beginning, (count, 1, length)."""
    rng, t = np.random.default_rng(0), np.arange(length) / rate
    made = []
    for _ in range(count):
        pitch, decay, onset = rng.uniform(100, 900), rng.uniform(8, 40), rng.integers(0, length // 8)
        tone = np.sin(2 * np.pi * pitch * t * (1 + 0.2 * np.exp(-20 * t)))
        wave = (tone + 0.5 * rng.standard_normal(length) * np.exp(-200 * t)) * np.exp(-decay * t)
        made.append(np.concatenate([np.zeros(onset), wave])[:length] * 0.5 * rng.uniform(0.1, 1))
    return torch.from_numpy(np.stack(made)[:, None].astype(np.float32))


# Pictures and back


@pytest.mark.parametrize(
    ("length", "rate", "channels"), [(64, 8000, 1), (100, 4000, 2), (1000, 8000, 1), (16384, 16000, 1), (49152, 48000, 2)]
)
def test_the_same_padding_both_ways_gives_the_sound_back(length: int, rate: int, channels: int) -> None:
    transform = transform_of(length, rate)
    sounds = torch.randn(2, channels, length)
    assert torch.allclose(transform.sounds(transform.lines(sounds)), sounds, atol=1e-4)
    pictures, levels = transform.pictures(sounds)
    assert pictures.shape == (2, channels, *transform.shape)
    assert min(transform.shape) >= 8
    made = transform.inverse(pictures, levels, 2)
    assert made.shape == sounds.shape
    assert made.abs().max() <= 1


def test_clips_that_are_too_short_are_refused() -> None:
    with pytest.raises(GanvasError, match="clips of 63 samples are too short to learn: the least is 64"):
        built(SoundSpec(63, 8000))


def test_phases_from_slopes_fit_better_than_many_rounds_from_nothing() -> None:
    transform, sounds = transform_of(), strokes()
    magnitudes = transform.lines(sounds).abs()

    def misfit(phase: torch.Tensor) -> float:
        found = transform.lines(transform.sounds(torch.polar(magnitudes, phase))).abs()
        return float(((found - magnitudes).square().sum() / magnitudes.square().sum()).sqrt())

    own = integrated_phase(magnitudes, transform.hop, transform.size, transform.gamma)
    nothing = torch.zeros_like(own)
    assert misfit(own) < 0.6 * misfit(nothing)
    soon, late = fast_griffin_lim(transform, magnitudes, own, 16), fast_griffin_lim(transform, magnitudes, nothing, 60)
    assert misfit(soon) < misfit(late)


def test_pictures_and_levels_come_back_and_onsets_stay_sharp() -> None:
    transform, sounds = transform_of(), strokes()
    pictures, levels = transform.pictures(sounds)
    made = transform.inverse(pictures, levels, 16)
    again, louder = transform.pictures(made)
    assert float((again - pictures).abs().mean()) * 40 < 1.5, "dB"
    assert float((louder - levels).abs().max()) * 30 < 1.5, "dB"
    coarse = transform_of(step=0.032)
    heard = [traits(x.transpose(1, 2).numpy(), 8000) for x in (made, coarse.inverse(*coarse.pictures(sounds), 16), sounds)]
    sharp, blunt, real = (2 ** np.median(found["attack"]) for found in heard)
    assert real <= sharp < 0.004, "seconds"
    assert blunt > 1.5 * sharp, "long windows smear what begins"
    assert np.median(np.abs(heard[0]["decay"] - heard[2]["decay"])) < 0.2, "octaves"


def test_a_softer_clip_has_the_same_picture_and_a_lower_level_and_silence_is_the_floor() -> None:
    transform, sounds = transform_of(), strokes()
    (loud, high), (soft, low) = transform.pictures(sounds), transform.pictures(0.1 * sounds)
    assert torch.allclose(loud, soft, atol=1e-3)
    assert torch.allclose(high - low, torch.full_like(high, 20 / 30), atol=1e-3)
    pictures, levels = transform.pictures(torch.zeros(1, 1, 4096))
    assert float(pictures.max()) == -1
    assert float(transform.inverse(pictures, levels, 2).abs().max()) < 1e-2


def test_stereo_keeps_where_a_sound_stands() -> None:
    transform, mono = transform_of(), strokes()
    stereo = torch.cat([mono, 0.25 * mono], 1)
    made = transform.inverse(*transform.pictures(stereo), 8)
    ratio = made[:, 1].square().mean(1).sqrt() / made[:, 0].square().mean(1).sqrt()
    assert torch.allclose(ratio, torch.full_like(ratio, 0.25), rtol=0.1)


def test_what_a_generator_says_has_the_floor_added() -> None:
    transform = transform_of()
    raw = torch.tensor([-50.0, -1.0, -0.5, 1.0])
    seen = transform.bounded(raw)
    assert float(seen[0]) == pytest.approx(-1, abs=1e-4)
    assert torch.allclose(seen[2:], raw[2:], atol=1e-2)


def test_the_level_that_is_told_is_set_by_a_gain_where_it_is_known_and_a_peak_allows_it() -> None:
    table = TableSpec(
        ("brightness", "loudness"), (NUMBER,) * 2, ((), ()), (10.0, -30.0), (1.0, 10.0), (False, True), (-1, -1),
        units=("log2 Hz", "dB"),
    )  # fmt: skip
    told, sounds = Told(0, table), strokes(4)
    rows = torch.zeros(4, table.shape[0])
    place, gap, _, _ = told.level or (0, None, 0.0, 0.0)
    rows[:, place] = torch.tensor([-1.0, 0.0, 3.5, 1.0])
    assert gap is not None
    rows[3, gap] = 1.0
    made = told.levelled(torch.cat([sounds, torch.zeros(1, 1, 4096)]), torch.cat([rows, rows[:1]]))
    loud = properties(made.transpose(1, 2).numpy(), 8000)["loudness"]
    assert loud[:2] == pytest.approx([-40.0, -30.0], abs=0.01)
    assert float(made[2].abs().max()) == pytest.approx(1.0) and loud[2] < 5.0, "as loud as a peak of 1 allows"
    assert torch.equal(made[3], sounds[3]), "nobody knows how loud"
    assert float(made[4].abs().max()) == 0.0
    loudness = TableSpec(("loudness",), (NUMBER,), ((),), (0.0,), (1.0,), (False,), (-1,), units=("",))
    assert Told(0, loudness).level is None, "a column of that name in a unit of its own"


# The changes that D sees


def test_changes_move_later_colour_and_level_and_leave_the_rest() -> None:
    spec = SoundSpec(4096, 8000)
    batch = Batch(Noise.seeded(0), {"real": strokes(64)})
    system = built(spec, bands=32)
    seen, unit = system._real(batch, {}), system.transform.per_unit
    assert torch.equal(changed_sound(seen, Noise.seeded(1), (), unit), seen)
    shifted = changed_sound(seen, Noise.seeded(1), ("shift",), unit)
    moved = (shifted != seen).flatten(1).any(1)
    assert 10 < int(moved.sum()) < 54, "about half, less those moved by 0"
    for own, other in zip(seen[moved], shifted[moved], strict=True):
        later = next(k for k in range(1, 9) if torch.equal(other[:-1, :, k:], own[:-1, :, : own.shape[2] - k]))
        assert float(other[:-1, :, :later].max()) == -1, "silence comes in"
    louder = changed_sound(seen, Noise.seeded(1), ("gain",), unit)
    assert torch.equal(louder[:, :-1], seen[:, :-1])
    assert 0 < float((louder - seen)[:, -1].abs().max()) <= 0.1
    tilted = changed_sound(seen, Noise.seeded(1), ("equalisation",), unit)
    assert torch.equal(tilted[:, -1], seen[:, -1])
    assert 0.05 < float((tilted - seen).abs().max()) <= 6 / 40 + 1e-3, "6 dB at most"
    floor = seen[:, :-1] == -1
    assert torch.equal(tilted[:, :-1][floor], seen[:, :-1][floor]), "silence stays silence"


def test_slopes_of_slopes_pass_the_changes() -> None:
    system = built(SoundSpec(256, RATE), bands=8)
    batch = Batch(Noise.seeded(0), {"real": torch.randn(4, 1, 256)})
    shared: dict[str, Any] = {}
    system.discriminate(batch, Clock(), shared)
    found = system.flatten(batch, Clock(), shared)
    sum(found.values()).backward()  # type: ignore[union-attr]
    assert all(torch.isfinite(p.grad).all() for p in system.discriminator.parameters() if p.grad is not None)
    assert all(p.grad is None for p in system.generator.parameters())


# Learning


def drums(count: int = 192, length: int = 512) -> Dataset:
    """Two classes: low tones that fade, and short hisses."""
    rng, t = np.random.default_rng(0), np.arange(length) / RATE
    waves = []
    for k in range(count):
        if k % 2:
            own = rng.standard_normal(length) * np.exp(-t * rng.uniform(60, 200))
            own = np.diff(own, prepend=0)
        else:
            own = np.sin(2 * np.pi * rng.uniform(100, 250) * t) * np.exp(-t * rng.uniform(10, 30))
        waves.append(0.7 * own / np.abs(own).max())
    values = np.stack(waves)[..., None].astype(np.float32)
    spec = SoundSpec(length, RATE, classes=("hiss", "tone")[::-1])
    return Dataset({"real": Field(spec, values)}, np.arange(count) % 2, np.arange(count), np.zeros(count, bool), "drums", "")


def played(rounds: int, **settings: Any) -> dict[str, Any]:
    """What samples of both classes sound like after some rounds, and real ones."""
    data = drums()
    system = built(data.spec, learning_rate=5e-3, ema_half_life=500.0, penalties_every=2, batch_size=16, **settings)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    asked = torch.arange(64) % 2
    with engine.watching() as board, torch.no_grad():
        made = board.sample(64, Noise.seeded(5), asked if system.classes else None).transpose(1, 2).numpy()
    return {"made": traits(made, RATE), "real": traits(data.values[:], RATE), "asked": asked.numpy()}


def judged(found: dict[str, Any]) -> tuple[float, float]:
    """(share of samples on the right side of the middle brightness, Kolmogorov distance of brightness)."""
    real = found["real"]["centroid"]
    middle = (real[::2].mean() + real[1::2].mean()) / 2
    right = ((np.nan_to_num(found["made"]["centroid"], nan=0.0) > middle) == (found["asked"] == 1)).mean()
    return float(right), kolmogorov(found["made"]["centroid"], real)


def test_asked_for_classes_come_and_without_being_told_they_do_not() -> None:
    right, far = judged(played(120))
    assert right >= 0.9
    assert far < 0.35
    untold, _ = judged(played(120, use_labels=False))
    assert untold < 0.8


def moved_by_a_spike(gradient_clip: float) -> float:
    """How far the weights of D go (root mean square) in a round in which its loss is a thousand times as large as before."""
    data = drums(32)
    system = built(data.spec, learning_rate=1e-3, batch_size=16, learning_rate_fall=1.0, gradient_clip=gradient_clip)
    quiet, factor = system.discriminate, [1.0]

    def discriminate(*given: Any) -> Any:
        return {name: factor[0] * term for name, term in quiet(*given).items()}

    system.discriminate = discriminate  # type: ignore[method-assign]
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=0)}, seed=0)
    for _ in range(50):
        engine.play_round()
    before = [p.detach().clone() for p in system.discriminator.parameters()]
    factor[0] = 1000.0
    engine.play_round()
    moves = [(a - b.detach()).flatten() for a, b in zip(before, system.discriminator.parameters(), strict=True)]
    return float(torch.cat(moves).square().mean().sqrt())


def test_one_large_gradient_does_not_throw_the_weights_about() -> None:
    """Without a bound, Adam without momentum moves them by ten rates at once, and games of some hundred rounds blew up."""
    assert moved_by_a_spike(0.0) > 5e-3
    assert moved_by_a_spike(1.0) < 2e-3
    assert PRESETS["auto"](Situation(SoundSpec(16384, 16000), 400, 600.0, 50.0, "cpu"))["gradient_clip"] == 1.0
    assert Config().gradient_clip == 0, "runs of before it was there go on as they did"


def test_the_paper_s_preset_is_the_paper_s_and_plays() -> None:
    spec = SoundSpec(16384, 16000, classes=("a", "b"))
    with torch.device("meta"):
        whole = SpecGan(spec, build_config(Config, PRESETS["paper"]))
    assert whole.transform.shape == (128, 128)
    assert whole.config.critic_turns == 5
    small = SoundSpec(1024, 16000, classes=("a", "b"))
    torch.manual_seed(0)
    system = SpecGan(small, build_config(Config, PRESETS["paper"] | {"width": 2, "batch_size": 4}))
    batch = Batch(Noise.seeded(0), {"real": 0.1 * torch.randn(4, 1, 1024)}, torch.tensor([0, 1, 0, 1]))
    critic, generator = system.phases()[0].turns
    assert (critic.times, critic.fresh, generator.times) == (5, True, 1)
    assert set(critic.objective(batch, Clock(), {})) == {"distance", "penalty"}
    assert set(generator.objective(batch, Clock(), {})) == {"approach"}
    assert system.sample(2, Noise.seeded(0)).shape == (2, 1, 1024)
    data = drums(16)
    playing = SpecGan(data.spec, build_config(Config, PRESETS["paper"] | {"width": 2, "batch_size": 4}))
    before = [p.detach().clone() for p in playing.parameters()]
    Engine(playing, {"data": open_stream(data, playing.feeds()["data"], 4, seed=0)}, seed=0).play_round()
    assert any(not torch.equal(a, b) for a, b in zip(before, playing.parameters(), strict=True))


def test_the_large_form_of_the_proof_is_built() -> None:
    spec = SoundSpec(16384, 16000, classes=("a", "b"))
    for name, config in (("specgan", SPECGAN), ("wavegan", WAVEGAN)):
        _, module, system_class = load_system(name)
        with torch.device("meta"):
            system_class(spec, build_config(module.Config, config | LARGE[name]))


def test_auto_fits_any_budget_rate_and_stereo() -> None:
    for spec in (SoundSpec(16384, 16000), SoundSpec(49152, 48000, 2), SoundSpec(131072, 48000)):
        for seconds in (60.0, 600.0, 1e6):
            values = PRESETS["auto"](Situation(spec, 400, seconds, 50.0, "cpu"))
            with torch.device("meta"):
                SpecGan(spec, build_config(Config, values))


def test_stereo_at_48_khz_from_files_to_files(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    for name in ("left", "right"):
        (tmp_path / "sounds" / name).mkdir(parents=True)
        for k in range(4):
            wave = np.random.default_rng(k).uniform(-0.5, 0.5, (4096, 2)) * np.linspace(1, 0, 4096)[:, None] ** 3
            soundfile.write(tmp_path / "sounds" / name / f"{k}.wav", wave * ([1, 0.1] if name == "left" else [0.1, 1]), 48000)
    options: dict[str, Any] = {"quiet": True, "device": "cpu", "threads": 1, "sample_every": 0.0}
    config = SMALL | {"batch_size": 4}
    result = train("specgan", tmp_path / "sounds", out=tmp_path / "run", config=config, budget="2r", **options)
    assert result["incidents"] == []
    made = draw(tmp_path / "run", count=3, out=tmp_path / "made", label="left", depth=24, format="wav")
    for file in made["files"]:
        head = soundfile.info(file)
        assert (head.samplerate, head.channels, head.frames) == (48000, 2, 4096)
    resumed = train(resume=tmp_path / "run", budget="3r", quiet=True)
    assert resumed["rounds"] == 3


# The proof's measures


def test_traits_are_those_of_made_up_sounds() -> None:
    t = np.arange(8000) / 8000
    course = np.where(t < 0.05, t / 0.05, np.exp(-(t - 0.05) * math.log(10) / 0.2))
    found = traits(np.stack([course * np.sin(2 * np.pi * 1000 * t), 0 * t])[..., None], 8000)
    assert 2 ** found["centroid"][0] == pytest.approx(1000, rel=0.02)
    assert 2 ** found["attack"][0] == pytest.approx(0.04, rel=0.1)
    assert 2 ** found["decay"][0] == pytest.approx(0.2, rel=0.1)
    assert np.isnan(found["attack"][1])


def test_distances_and_spreads_tell_one_sound_from_many() -> None:
    rng = np.random.default_rng(0)
    many = {name: rng.standard_normal(200) for name in ("centroid", "attack", "decay")}
    one = {name: np.full(200, 0.3) for name in many}
    found = compared(one, many)
    assert found["spread"]["attack"] == pytest.approx(0)
    assert found["kolmogorov"]["decay"] > 0.5
    assert kolmogorov(many["attack"], many["decay"]) < 0.2
    vectors, labels = rng.standard_normal((200, 5)), np.arange(200) % 2
    assert class_spread(vectors, labels, vectors[::-1], labels) == pytest.approx(1, rel=0.1)
    assert class_spread(0.1 * vectors, labels, vectors, labels) == pytest.approx(0.1)
    assert nearest_draws(np.zeros((64, 5)), vectors)["made"] == 0


def test_the_mark_asks_for_all_of_it() -> None:
    def row(far: float = 0.2, **own: float) -> Row:
        good = {"score": 3.0, "log_mel_kid": 0.3, "spectrum_db": 3.0, "modulation_db": 2.0, "class_spread": 0.8}
        bad = {"score": 2.0, "log_mel_kid": 0.9, "spectrum_db": 9.0, "modulation_db": 5.0, "class_spread": 0.3}
        return Row(0, {"system": far, "baseline": 0.6}, {"system": good | own, "baseline": bad})

    assert met([row()] * 3)
    assert not met([row(far=0.4)] * 3)
    assert not met([row(), row(), row(score=1.9)])
    assert not met([row(), row(modulation_db=6.0), row()])
    assert not met([row(), row(class_spread=0.5), row()])
