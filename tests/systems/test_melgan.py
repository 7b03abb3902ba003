"""MelGAN: sound of spectrograms in pieces without seams, of any length, rate and level; spectrogram files of other settings are
refused by name; features that are matched make it sound right, and without them it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import DataError, GanvasError
from ganvas.game import Clock
from ganvas.inference import vocoding
from ganvas.inference.vocoding import spectrogram, vocoded
from ganvas.kinds.sound.spec import SoundSpec
from ganvas.networks.mel import Mel, MelSettings, griffin_lim, random_phase, slaney_filters, unmixed
from ganvas.networks.melgan import Generator, Judges, steps_of
from ganvas.objectives.spectra import stft_distances
from ganvas.proofs import Row
from ganvas.proofs.melgan import met
from ganvas.run.apply import apply
from ganvas.run.train import train
from ganvas.store.records import Dataset, Field
from ganvas.systems.sound.melgan import PRESETS, Config, MelGan
from ganvas.uses import Work
from ganvas.uses.vocode import distances, unlearnt

RATE = 4000
FAST: dict[str, Any] = {"quiet": True, "sample_every": 0.0, "device": "cpu", "threads": 1, "watch": "off"}
SMALL: dict[str, Any] = {
    "width": 8,
    "max_width": 32,
    "discriminator_width": 4,
    "discriminator_max_width": 16,
    "segment": 512,
    "batch_size": 4,
}


def built(spec: Any = None, **settings: Any) -> MelGan:
    torch.manual_seed(0)
    return MelGan(spec or SoundSpec(2048, RATE), build_config(Config, SMALL | settings)).eval()


def voices(count: int = 48, length: int = 2048) -> np.ndarray:
    """Harmonic tones of gliding pitch under two formants, that fade, (count, length, 1)."""
    rng, t = np.random.default_rng(0), np.arange(length) / RATE
    made = []
    for _ in range(count):
        pitch = rng.uniform(90, 200) * (1 + 0.15 * np.sin(2 * np.pi * rng.uniform(1, 3) * t))
        formants = rng.uniform(300, 700), rng.uniform(900, 1600)
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        wave = np.zeros(length)
        for k in range(1, 12):
            own = k * pitch
            loud = sum(np.exp(-(((own - f) / 150) ** 2)) for f in formants) + 0.02
            wave += loud * (own < 1900) * np.sin(k * phase)
        wave = wave * np.exp(-rng.uniform(1, 6) * t) + 0.003 * rng.standard_normal(length)
        made.append(0.8 * wave / np.abs(wave).max())
    return np.stack(made)[..., None].astype(np.float32)


def data(count: int = 48) -> Dataset:
    spec = SoundSpec(2048, RATE)
    return Dataset({"real": Field(spec, voices(count))}, None, np.arange(count), np.arange(count) >= 40, "voices", "")


# Spectrograms


def test_bands_are_those_of_slaney_and_log10_of_magnitudes() -> None:
    """Centre of the first and of a high band of 80 to 11025 Hz, areas of 1, by the definition."""
    settings = MelSettings(22050, 256, 1024, 80, 0.0, 11025.0)
    filters = slaney_filters(settings)
    assert filters.shape == (80, 513)
    areas = filters.sum(1) * 22050 / 1024
    assert torch.allclose(areas[40:], torch.ones(40, dtype=areas.dtype), atol=0.02)
    places = torch.arange(513, dtype=torch.float64) * 22050 / 1024
    step = (15 + 27 / np.log(6.4) * np.log(11.025)) / 81
    highest = 1000 * np.exp((80 * step - 15) * np.log(6.4) / 27)
    assert float(places[filters[79].argmax()]) == pytest.approx(highest, abs=22)
    tone = torch.sin(2 * np.pi * 1000 * torch.arange(8192) / 22050)[None]
    mels = Mel(settings)(tone)
    assert mels.shape == (1, 80, 32)
    band = filters[:, round(1000 * 1024 / 22050)].argmax()
    assert int(mels[0, :, 16].argmax()) == int(band)
    louder = Mel(settings)(10 * tone)
    assert float((louder - mels)[0, band, 16]) == pytest.approx(1.0, abs=1e-4), "log10 of magnitudes, not natural, not of power"
    assert float(Mel(settings)(torch.zeros(1, 8192)).max()) == pytest.approx(-5)


@pytest.mark.parametrize("length", [1, 5, 31, 32, 33, 100, 2048])
def test_any_length_gives_a_column_for_each_hop_begun_and_the_lines_give_the_sound_back(length: int) -> None:
    transform = Mel(MelSettings(RATE, 32, 128, 20, 0.0, 2000.0))
    sounds = torch.randn(2, length)
    assert transform(sounds).shape == (2, 20, -(-length // 32))
    back = transform.sounds(transform.lines(transform.continued(sounds)))[:, 48 : 48 + length]
    assert torch.allclose(back, sounds, atol=1e-4)


def test_griffin_lim_betters_phases() -> None:
    transform = Mel(MelSettings(RATE, 32, 128, 40, 0.0, 2000.0))
    true = torch.from_numpy(voices(4)[..., 0])
    mels = transform(true)
    lines = unmixed(transform, mels)
    far = [
        float(
            stft_distances(griffin_lim(transform, lines, random_phase(4, lines, Noise.seeded(0)), rounds), true, (64, 256))[0]
        )
        for rounds in (0, 60)
    ]
    assert far[1] < 0.7 * far[0]


# Networks


@pytest.mark.parametrize(
    ("hop", "steps"), [(256, (8, 8, 2, 2)), (128, (8, 8, 2)), (300, (6, 5, 5, 2)), (441, (7, 7, 3, 3)), (1, ())]
)
def test_steps_are_found_by_the_hop(hop: int, steps: tuple[int, ...]) -> None:
    assert steps_of(hop) == steps
    made = Generator(8, 2, 8, steps)(torch.zeros(1, 8, 3))
    assert made.shape == (1, 3 * hop)


def test_the_paper_s_networks_have_its_sizes() -> None:
    with torch.device("meta"):
        generator, judges = Generator(80, 32, 512, (8, 8, 2, 2)), Judges(3, 16, 1024)
    weights = sum(own.numel() for own in generator.parameters())
    assert weights == pytest.approx(4.26e6, rel=0.02)
    features = judges(torch.zeros(1, 8192, device="meta"))
    assert [len(own) for own in features] == [7, 7, 7]
    assert [own.shape[1] for own in features[0]] == [16, 64, 256, 1024, 1024, 1024, 1]
    assert features[1][-1].shape[2] == 16, "half the rate: 4096 samples, a score for every 256"


def test_a_sample_depends_on_no_more_columns_than_reach() -> None:
    for steps in ((8, 8, 2), (4,), (8, 8, 2, 2)):
        torch.manual_seed(0)
        generator = Generator(8, 4, 16, steps)
        mels = torch.randn(1, 8, 60)
        moved = mels.clone()
        moved[:, :, 30] += 5
        with torch.no_grad():
            changed = (generator(mels) - generator(moved))[0].abs().view(60, -1).amax(1) > 0
        assert not changed[: 30 - generator.reach].any()
        assert not changed[31 + generator.reach :].any()
        assert changed[30]


# Any length, level, rate and number of channels


@pytest.mark.parametrize("rounds", [0, 4])
def test_pieces_fit_together_without_seams(monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    system = built(griffin_lim_rounds=rounds)
    sounds = torch.from_numpy(voices(2, 4 * RATE).transpose(0, 2, 1).copy())
    with torch.no_grad():
        whole = vocoded(system, spectrogram(system, sounds), Noise.seeded(0))
        monkeypatch.setattr(vocoding, "PIECE", 64 * system.config.hop)
        mels = spectrogram(system, sounds)
        pieces = vocoded(system, mels, Noise.seeded(0))
        monkeypatch.setattr(system, "reach", 0)
        broken = vocoded(system, mels, Noise.seeded(0))
    assert whole.shape == sounds.shape
    assert float(whole.abs().max()) > 1e-4
    apart = (pieces - whole).abs().max() / whole.abs().max()
    assert float(apart) < 1e-3
    assert float((broken - whole).abs().max() / whole.abs().max()) > 20 * float(apart) + 1e-3, "without context they do not"


def test_soft_sounds_are_made_as_loud_ones_and_silence_stays_silent() -> None:
    system = built()
    sounds = torch.from_numpy(voices(1).transpose(0, 2, 1).copy())
    with torch.no_grad():
        loud, soft = (vocoded(system, spectrogram(system, gain * sounds), Noise.seeded(0)) for gain in (1.0, 0.5))
        silent = vocoded(system, spectrogram(system, 0 * sounds), Noise.seeded(0))
    assert torch.allclose(0.5 * loud, soft, atol=2e-3 * float(loud.abs().max()))
    assert float(silent.abs().max()) < 1e-2


@pytest.mark.parametrize(("length", "rate", "channels"), [(64, 8000, 1), (100, 4000, 2), (8192, 44100, 2), (8192, 48000, 2)])
def test_any_clip_rate_and_stereo(length: int, rate: int, channels: int) -> None:
    system = built(SoundSpec(length, rate, channels))
    batch = Batch(Noise.seeded(0), {"real": 0.1 * torch.randn(4, channels, length)})
    for phase in system.phases():
        shared: dict[str, Any] = {}
        for turn in phase.turns:
            assert all(bool(torch.isfinite(value)) for value in turn.objective(batch, Clock(), shared).values())
    made = vocoded(system, spectrogram(system, batch.real), Noise.seeded(0))
    assert made.shape[:2] == (4, channels)
    assert length <= made.shape[2] < length + system.config.hop


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(GanvasError, match="clips of 63 samples are too short to learn: the least is 64"):
        built(SoundSpec(63, RATE))
    with pytest.raises(GanvasError, match="a hop of 4096 samples is too long for clips of 2048"):
        built(hop=4096)
    with pytest.raises(GanvasError, match="end at most at its half"):
        built(highest=3000.0)
    with pytest.raises(GanvasError, match="factors of 8x2 with 4 samples at once make 64 samples of a column, the hop is 32"):
        built(hop=32, factors=(8, 2))
    with pytest.raises(GanvasError, match="a hop has the large prime factor 17: choose one such as 256 or 300"):
        built(hop=34 * 4)
    assert built(SoundSpec(16384, 22050), samples_at_once=1, griffin_lim_rounds=0).config.factors == (8, 8, 2, 2)


# Learning


def after(rounds: int, **settings: Any) -> tuple[float, float]:
    """(distance of magnitudes, error of spectrograms) on held-out voices."""
    known = data()
    config = {"width": 8, "max_width": 32, "batch_size": 8, "segment": 1024, "ema_half_life": 100.0, "discriminator_width": 8}
    torch.manual_seed(0)
    system = MelGan(known.spec, build_config(Config, config | settings))
    engine = Engine(system, {"data": open_stream(known, system.feeds()["data"], 8, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    true = np.asarray(known.values[known.heldout_indices()])
    with engine.watching() as board, torch.no_grad():
        sounds = torch.from_numpy(true.transpose(0, 2, 1).copy())
        made = vocoded(board, spectrogram(board, sounds), Noise.seeded(0)).numpy().transpose(0, 2, 1)
    found = distances(system, made, true)
    return float(found["logarithms"].mean()), float(found["log_mel"].mean())


def test_magnitudes_teach_what_the_discriminators_alone_do_not_in_that_time() -> None:
    """From nothing, as the paper's generator; and from waves of Griffin-Lim, which are bettered."""
    nothing: dict[str, Any] = {"griffin_lim_rounds": 0, "generator_learning_rate": 3e-3}
    _, start = after(0, **nothing)
    _, learnt = after(60, discriminators_from=1.0, **nothing)
    assert learnt < 0.45 * start
    game = {"discriminators_from": 0.0, "discriminators": 2, "discriminator_width": 4, "discriminator_max_width": 32}
    _, alone = after(60, spectral_weight=0.0, matching_weight=0.0, **game, **nothing)
    assert alone > 1.25 * learnt


def test_guessed_magnitudes_better_what_griffin_lim_starts_from() -> None:
    """Also than its many rounds without a guess, and in all figures; without the term nothing is gained."""
    known = data()
    true = np.asarray(known.values[known.heldout_indices()])
    work = Work(built(known.spec), {"real": known.spec})
    with torch.no_grad():
        many = unlearnt(work, {"real": work.encode(true, known.spec)}).numpy().transpose(0, 2, 1)
    baseline = {key: float(value.mean()) for key, value in distances(work.system, many, true).items()}
    begun = after(0)
    bettered = after(400, discriminators_from=1.0, guess_width=64, generator_learning_rate=3e-3)
    same = after(20, discriminators_from=1.0, guess_weight=0.0)
    assert bettered[0] < 0.95 * baseline["logarithms"]
    assert bettered[1] < baseline["log_mel"]
    assert bettered[0] < 0.93 * begun[0]
    assert same[0] > 0.98 * begun[0]


def test_the_match_sends_no_gradient_to_the_discriminators_and_each_turn_counts_all_layers() -> None:
    system = built()
    batch = Batch(Noise.seeded(0), {"real": 0.1 * torch.randn(4, 1, 2048)})
    terms = system.fool(batch, Clock(), {})
    assert set(terms) == {"fool", "features", "guess", "convergence", "logarithms"}
    terms["features"].backward()  # it is on, and reaches the generator
    network = system.generator.generator
    assert all(own.grad is not None for own in network.parameters())
    assert max(float(own.grad.abs().max()) for own in network.parameters() if own.grad is not None) > 0
    kept = {**terms, **system.discriminate(batch, Clock(), shared := {})}
    assert shared["fake"].requires_grad
    system.zero_grad()
    (kept["real"] + kept["fake"]).backward()
    assert all(own.grad is None for own in system.generator.parameters()), "what is made is detached for the discriminators"
    mels, true = system._piece(batch, {})
    assert mels.shape[2] * system.config.hop == true.shape[1] == 512
    start = system.generator.start(system.mel, mels)
    assert start is not None
    assert not start.requires_grad
    pooled = [own[0].shape[2] for own in system.discriminators(true)]
    assert pooled == [512, 256], "each scale half the one before"


def test_the_paper_s_preset_plays() -> None:
    spec = SoundSpec(16384, 22050)
    with torch.device("meta"):
        whole = MelGan(spec, build_config(Config, PRESETS["paper"] | {"griffin_lim_rounds": 0}))
    assert (whole.config.hop, whole.config.bands, whole.config.factors, whole.segment) == (256, 80, (8, 8, 2, 2), 8192)
    assert len(whole.phases()) == 1
    known = data(8)
    torch.manual_seed(0)
    system = MelGan(
        known.spec,
        build_config(Config, PRESETS["paper"] | {"max_width": 16, "width": 4, "discriminator_max_width": 64, "batch_size": 2}),
    )
    before = [own.detach().clone() for own in system.parameters()]
    Engine(system, {"data": open_stream(known, system.feeds()["data"], 2, seed=0)}, seed=0).play_round()
    assert any(not torch.equal(a, b) for a, b in zip(before, system.parameters(), strict=True))


# Files


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    soundfile = pytest.importorskip("soundfile")
    root = tmp_path_factory.mktemp("melgan")
    (root / "sounds").mkdir()
    for number, wave in enumerate(voices(12)):
        soundfile.write(root / "sounds" / f"{number}.wav", wave, RATE)
    train("melgan", root / "sounds", out=root / "run", config=SMALL, budget="2r", **FAST)
    return root / "run"


def test_a_minute_of_sound_and_its_spectrogram_give_the_same_sound(run: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    wave = np.concatenate(list(voices(30, 2 * RATE)))[: 60 * RATE - 17]
    soundfile.write(tmp_path / "long.flac", wave, RATE, subtype="PCM_24")
    found = apply(run, [tmp_path / "long.flac"], out=tmp_path / "made", mels=True)
    assert sorted(Path(file).name for file in found["files"]) == ["long.flac", "long.npz"]
    made, rate = soundfile.read(tmp_path / "made" / "long.flac")
    assert (rate, len(made)) == (RATE, len(wave))
    assert soundfile.info(tmp_path / "made" / "long.flac").subtype == "PCM_24"
    again = apply(run, [tmp_path / "made" / "long.npz"], out=tmp_path / "again", format="wav", depth=24)
    assert [Path(file).name for file in again["files"]] == ["long.wav"]
    assert again["notes"] == []
    other, _ = soundfile.read(tmp_path / "again" / "long.wav")
    assert np.allclose(other[: len(made)], made, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hop": 200}, "is a spectrogram of hop 200, the run makes sound of hop 64"),
        ({"rate": 22050, "window": 1024}, "of rate 22050, window 1024, the run makes sound of rate 4000, window 256"),
        ({"mel": np.zeros((24, 9), np.float32)}, "has 24 bands (its shape is 24x9), the run has"),
        ({"mel": np.full((0, 9), 0.0, np.float32)}, "holds float32 of shape 0x9"),
        ({"mel": "ln"}, "not decibels, powers or natural logarithms"),
        ({"mel": "nan"}, "NaN, infinite or too large"),
        ({"mel": np.array(["a"], object)}, "cannot be read"),
        ({"mel": None, "other": np.zeros(3), "third": np.zeros(3)}, "has no array 'mel'"),
    ],
)
def test_spectrograms_of_other_settings_are_refused_by_name(
    run: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    from ganvas.run.load import Run

    settings = Run(run).system.mel.settings
    good = np.random.default_rng(0).uniform(-4, 0, (settings.bands, 50)).astype(np.float32)
    odd = {"ln": good * 2.303, "nan": np.where(good < -3.9, np.nan, good)}
    held: dict[str, Any] = {"mel": good, "hop": settings.hop, "rate": settings.rate, "bands": settings.bands} | change
    held = {key: odd.get(value, value) if isinstance(value, str) else value for key, value in held.items() if value is not None}
    np.savez(tmp_path / "a.npz", **held)
    with pytest.raises(DataError) as caught:
        apply(run, [tmp_path / "a.npz"], out=tmp_path / "made")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bare_array_is_taken_either_way_round_and_told(run: Path, tmp_path: Path) -> None:
    from ganvas.run.load import Run

    bands = Run(run).system.mel.settings.bands
    good = np.random.default_rng(0).uniform(-4, 0, (bands, 50)).astype(np.float32)
    np.save(tmp_path / "a.npy", good)
    np.save(tmp_path / "b.npy", good.T)
    found = apply(run, [tmp_path], out=tmp_path / "made")
    assert sorted(Path(file).name for file in found["files"]) == ["a.wav", "b.wav"]
    assert any("does not say its settings" in note for note in found["notes"])
    assert any("the other way round" in note for note in found["notes"])
    assert (tmp_path / "made" / "a.wav").read_bytes()[44:] == (tmp_path / "made" / "b.wav").read_bytes()[44:]


def test_odd_sounds_get_one_line_each(run: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    wave = voices(1)[0]
    soundfile.write(tmp_path / "fast.wav", np.repeat(wave, 12, 0), 48000)
    soundfile.write(tmp_path / "low.wav", np.repeat(wave, 2, 0), 8000)
    soundfile.write(tmp_path / "silent.wav", 0 * wave, RATE)
    soundfile.write(tmp_path / "one.wav", wave[200:201] + 0.1, RATE)
    soundfile.write(tmp_path / "short.wav", wave[:20], RATE)
    soundfile.write(tmp_path / "stereo.wav", np.repeat(wave, 2, 1), RATE)
    soundfile.write(tmp_path / "nan.wav", np.where(wave > 0.5, np.nan, wave), RATE, subtype="FLOAT")
    found = apply(run, [tmp_path], out=tmp_path / "made")
    assert sorted(Path(file).name for file in found["files"]) == ["fast.wav", "low.wav", "short.wav", "stereo.wav"]
    assert len(found["failed"]) == 3
    for words in ("is silent, below -100 dB", "holds a single sample", "NaN"):
        assert any(words in line and "\n" not in line for line in found["failed"]), words
    for words in ("from 48000 to 4000 Hz", "from 8000 to 4000 Hz", "turned into mono"):
        assert any(words in note for note in found["notes"]), words


# The proof


def test_the_mark_asks_for_all_of_it() -> None:
    def row(far: float = 0.9, convergence: float = 0.3, log_mel: float = 0.03) -> Row:
        own = {"convergence": convergence, "logarithms": 0.6, "log_mel": log_mel}
        other = {"convergence": 0.4, "logarithms": 0.63, "log_mel": 0.04}
        return Row(0, {"system": far, "baseline": 1.0}, {"system": own, "baseline": other})

    assert met([row()] * 3)
    assert not met([row(far=0.97)] * 3)
    assert not met([row(), row(convergence=0.41), row()])
    assert not met([row(), row(), row(log_mel=0.05)])
