"""The GAN postfilter: averages lose what moves, the game gives it back and squared errors do not; sounds of any length without
seams; cepstra, files, and what cannot be worked on."""

from __future__ import annotations

from dataclasses import replace
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
from ganvas.inference import filtering
from ganvas.inference.filtering import changed, filtered
from ganvas.inference.vocoding import spectrogram
from ganvas.kinds.sound.spec import SoundSpec
from ganvas.metrics.cepstra import ORDER, cepstra, detail
from ganvas.networks.postfilter import Postfilter, Widening, cosine_transform, others
from ganvas.proofs import Row
from ganvas.proofs.gan_postfilter import LARGE, met
from ganvas.run.apply import apply
from ganvas.run.train import train
from ganvas.store.records import Dataset, Field
from ganvas.systems.sound.gan_postfilter import PRESETS, Config, GanPostfilter

RATE, LENGTH = 4000, 4096
FAST: dict[str, Any] = {"quiet": True, "sample_every": 0.0, "device": "cpu", "threads": 1, "watch": "off"}
SMALL: dict[str, Any] = {"width": 8, "layers": 3, "discriminator_width": 8, "acoustic_width": 16, "batch_size": 8, "order": 12}


def built(spec: Any = None, **settings: Any) -> GanPostfilter:
    torch.manual_seed(0)
    return GanPostfilter(spec or SoundSpec(LENGTH, RATE), build_config(Config, SMALL | settings)).eval()


def sounds(count: int = 40, length: int = LENGTH) -> np.ndarray:
    """Noise whose bands become louder and softer, slowly all together and quickly each by itself: (count, length, 1)."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        columns = length // 32 + 4
        slow = np.interp(np.arange(columns), np.arange(0, columns + 16, 16), rng.standard_normal(columns // 16 + 2))
        quick = rng.standard_normal((65, columns)) * 0.35
        quick = (quick + np.roll(quick, 1, 1) + np.roll(quick, 1, 0)) / 1.7
        level = 10 ** (0.3 * slow[None] * np.linspace(1, -1, 65)[:, None] + quick)
        wave = torch.from_numpy(rng.standard_normal(32 * columns)).float()
        window = torch.hann_window(128)
        lines = torch.stft(wave, 128, 32, window=window, return_complex=True)
        own = torch.from_numpy(level[:, np.minimum(np.arange(lines.shape[1]), columns - 1)]).float()
        made.append(torch.istft(lines * own, 128, 32, window=window)[:length].numpy())
    found = np.stack(made)
    return (0.8 * found / np.abs(found).max(1, keepdims=True))[..., None].astype(np.float32)


def data(count: int = 40) -> Dataset:
    values = sounds(count)
    return Dataset(
        {"real": Field(SoundSpec(LENGTH, RATE), values)}, None, np.arange(count), np.arange(count) >= 32, "noise", ""
    )


# Cepstra and filtering


def test_cosines_are_orthonormal_and_a_tilt_is_the_second_coefficient() -> None:
    cosines = cosine_transform(20)
    assert torch.allclose(cosines @ cosines.T, torch.eye(20), atol=1e-5)
    found = cosines @ torch.cos(torch.pi / 20 * (torch.arange(20) + 0.5))
    assert int(found.abs().argmax()) == 1


def test_a_filter_makes_bands_louder_and_keeps_waves() -> None:
    system = built()
    wave = torch.from_numpy(sounds(2).transpose(0, 2, 1).copy())
    nothing = filtered(torch.zeros_like(spectrogram(system, wave)), system.mel, wave)
    assert torch.allclose(nothing, wave, atol=1e-4)
    louder = filtered(torch.full_like(spectrogram(system, wave), np.log10(2.0)), system.mel, wave)
    middle = slice(200, -200)
    assert torch.allclose(louder[..., middle], 2 * wave[..., middle], atol=0.05 * float(wave.abs().max()))


def test_pieces_fit_together_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    system = built()
    wave = torch.from_numpy(sounds(1, 6 * RATE).transpose(0, 2, 1).copy())
    with torch.no_grad():
        whole = changed(system, wave, system.sharpening, Noise.seeded(0))
        monkeypatch.setattr(filtering, "pieces_of", lambda rows, columns, hop, least=16: [
            (slice(0, rows), start, min(columns, start + 64)) for start in range(0, columns, 64)
        ])  # fmt: skip
        pieces = changed(system, wave, system.sharpening, Noise.seeded(0))
        system.reach = 0
        broken = changed(system, wave, system.sharpening, Noise.seeded(0))
    assert whole.shape == wave.shape and float((whole - wave).abs().max()) > 1e-3
    assert torch.allclose(whole, pieces, atol=1e-4)
    assert float((broken - whole).abs().max()) > 1e-3, "without context they do not"


def test_loudness_does_not_matter_and_stays() -> None:
    system = built()
    wave = torch.from_numpy(sounds(1).transpose(0, 2, 1).copy())
    with torch.no_grad():
        loud, soft = (changed(system, gain * wave, system.sharpening, Noise.seeded(0)) for gain in (1.0, 0.25))
    assert torch.allclose(0.25 * loud, soft, atol=2e-3)


def test_low_coefficients_pass_and_noise_is_heard() -> None:
    torch.manual_seed(0)
    network = Postfilter(8, 3, 2)
    given, drawn = torch.randn(2, 12, 20), torch.randn(2, 12, 20)
    made = network(given, drawn)
    assert torch.equal(made[:, :2], given[:, :2]) and not torch.equal(made[:, 2:], given[:, 2:])
    assert not torch.equal(network(given, drawn.flip(0)), made)


def test_figures_of_what_was_lost() -> None:
    """Cepstra that move half as much, and true ones."""
    true = [clip[:, 0] for clip in sounds(6)]
    assert all(abs(value) < 1e-9 for value in detail(true, true, RATE).values())
    system = built()
    wave = torch.from_numpy(np.stack(true)[:, None].copy())
    mels = spectrogram(system, wave)
    flat = filtered(0.5 * (mels.mean(3, keepdim=True) - mels), system.mel, wave)
    figures = detail(list(flat[:, 0].numpy()), true, RATE)
    assert 1.2 < figures["variance_lost"] < 6.0  # a quarter of the variance is 6 dB, less what is noise within the window
    assert figures["modulation"] > 1.0 and figures["distortion"] > 1.0
    assert cepstra(true[0], RATE)[0].shape[1] == ORDER


# Variances set right


def test_what_is_stretched_moves_as_much_as_natural_ones_and_the_rest_stays() -> None:
    torch.manual_seed(0)
    stretch = Widening(6, 2)
    natural = torch.randn(8, 6, 200)
    dull = natural * torch.tensor([1, 1, 0.5, 0.25, 1, 2.0])[:, None]
    assert torch.allclose(stretch(dull), dull, atol=1e-6), "before anything was compared"
    made = stretch.learn(natural, dull)
    assert torch.allclose(made[:, :2], dull[:, :2], atol=1e-6)
    assert torch.allclose(made[:, 2:].std(2), natural[:, 2:].std(2), rtol=0.08)
    higher = torch.linspace(0, 9, 4)[:, None].expand(4, 200)
    moved = stretch(torch.cat([dull[:, :2], dull[:, 2:] + higher], 1))
    assert torch.allclose(moved[:, 2:], made[:, 2:] + higher, atol=1e-4), "about the mean of moments nearby"
    half = Widening(6, 2, 0.5)
    half.load_state_dict(stretch.state_dict())
    whole, partly = (own[:, 2:].std(2) / dull[:, 2:].std(2) for own in (made, half(dull)))
    assert torch.allclose(partly.square(), whole, rtol=0.08), "half of the way, by factors"
    short = stretch(dull[..., :5])
    assert short.shape == (8, 6, 5) and bool(short.isfinite().all())


def test_centred_what_is_added_has_no_mean_of_moments_nearby() -> None:
    torch.manual_seed(0)
    cepstra, noise = torch.randn(2, 6, 200), torch.randn(2, 6, 200)
    free, centred = Postfilter(8, 3, 1), Postfilter(8, 3, 1, centred=True)
    centred.load_state_dict(free.state_dict())
    for filter_ in (free, centred):
        torch.nn.init.constant_(filter_.layers[-1].bias, 3.0)  # a shift of every coefficient
    with torch.no_grad():
        shifted, moving = (own(cepstra, noise)[:, 1:] - cepstra[:, 1:] for own in (free, centred))
        short = centred(cepstra[..., :5], noise[..., :5])
    assert float(shifted.mean(2).abs().min()) > 2 and float(moving.mean(2).abs().max()) < 0.1
    assert torch.allclose(moving.std(2), shifted.std(2), rtol=0.2), "movements stay"
    assert bool(short.isfinite().all()) and torch.equal(short[:, :1], cepstra[:, :1, :5])
    assert centred.reach > free.reach


def test_detail_is_how_much_of_what_is_added_is_used() -> None:
    system = built(widening=True)
    wave = torch.from_numpy(sounds(1).transpose(0, 2, 1).copy())
    mels = spectrogram(system, wave)[:, 0]
    drawn = Noise.seeded(0).normal(1, system.latents, mels.shape[2])
    with torch.no_grad():
        made = []
        for share in (0.0, 0.5, 1.0):
            system.config = replace(system.config, detail=share)
            made.append(system.sharpening(mels, drawn))
    nothing, half, whole = made
    assert float(nothing.abs().max()) < 1e-4, "nothing was compared, so nothing is stretched"
    assert torch.allclose(half, whole / 2, atol=1e-5) and float(whole.abs().max()) > 1e-3


def test_of_the_mean_over_noises_another_share_may_be_used() -> None:
    torch.manual_seed(1)
    system = built(widening=True, centred=True)
    wave = torch.from_numpy(sounds(1).transpose(0, 2, 1).copy())
    mels = spectrogram(system, wave)[:, 0]
    drawn = Noise.seeded(0).normal(1, system.latents, mels.shape[2])

    def made(detail: float, of_mean: float) -> torch.Tensor:
        system.config = replace(system.config, detail=detail, mean_detail=of_mean)
        with torch.no_grad():
            return system.sharpening(mels, drawn)

    assert torch.equal(made(0.7, -1.0), made(0.7, 0.7)), "as much of both"
    cepstra = system.cepstra(mels)
    with torch.no_grad():
        wide = system.widening(cepstra)
        mean = sum(system.average(wide, own) for own in others(drawn)) / 7 - wide
        whole = system.average(wide, drawn) - wide
        wanted = system.difference(wide - cepstra + 0.2 * mean + 0.7 * (whole - mean))
    assert torch.allclose(made(0.7, 0.2), wanted, atol=1e-5)
    assert not torch.allclose(made(0.7, 0.2), made(0.7, 0.7), atol=1e-3)


def test_other_noises_of_one_are_columns_of_their_own() -> None:
    drawn = Noise.seeded(0).normal(1, 6, 4000)
    found = others(drawn)
    assert len(found) == 7
    for own in found:
        assert own.shape == drawn.shape and not torch.equal(own, drawn)
        assert torch.equal(own[..., :9].sort(1).values.abs().sort(1).values, drawn[..., :9].abs().sort(1).values), (
            "of its column"
        )


def test_both_slopes_are_held_down_where_asked_for() -> None:
    system = built(r1_weight=1.0, r2_weight=2.0)
    batch = Batch(Noise.seeded(0), {"real": 0.1 * torch.randn(4, 1, LENGTH)})
    shared: dict[str, Any] = {}
    terms = system.discriminate(batch, Clock(), shared)
    assert set(terms) == {"real", "fake", "r1", "r2"} and all(float(terms[name]) > 0 for name in ("r1", "r2"))


# The game


@pytest.mark.parametrize(("length", "rate", "channels"), [(256, 4000, 1), (300, 8000, 2), (8192, 44100, 2)])
def test_any_clip_rate_and_stereo(length: int, rate: int, channels: int) -> None:
    system = built(SoundSpec(length, rate, channels))
    batch = Batch(Noise.seeded(0), {"real": 0.1 * torch.randn(4, channels, length)})
    for phase in system.phases():
        shared: dict[str, Any] = {}
        for turn in phase.turns:
            assert all(bool(torch.isfinite(value)) for value in turn.objective(batch, Clock(), shared).values())
    with torch.no_grad():
        made = changed(system, batch.real, system.sharpening, Noise.seeded(0))
    assert made.shape == batch.real.shape and bool(made.isfinite().all())


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(GanvasError, match="clips of 255 samples are too short to learn: the least is 256"):
        built(SoundSpec(255, RATE))
    with pytest.raises(GanvasError, match="a hop of 1024 samples is too long for clips of 4096"):
        built(hop=1024)
    with pytest.raises(GanvasError, match="of 12 coefficients 12 would be kept"):
        built(kept=12)


def test_the_paper_is_built_and_plays() -> None:
    known = data(16)
    torch.manual_seed(0)
    system = GanPostfilter(known.spec, build_config(Config, PRESETS["paper"] | {"batch_size": 2}))
    build_config(Config, LARGE)
    engine = Engine(system, {"data": open_stream(known, system.feeds()["data"], 2, seed=0)}, seed=0)
    engine.play_round()
    assert all(own.isfinite().all() for own in system.parameters())
    assert len(system.generator.layers) == 5


def test_the_judge_is_told_what_it_was_made_of() -> None:
    system = built()
    first, second = torch.randn(2, 12, 24), torch.randn(2, 12, 24)
    assert not torch.equal(system.discriminator(first, second), system.discriminator(first, first))


# Learning


def lost(rounds: int, **settings: Any) -> tuple[float, float]:
    """Of held-out sounds the variance that dull ones lack, and postfiltered ones, in dB."""
    known = data()
    torch.manual_seed(0)
    system = GanPostfilter(known.spec, build_config(Config, SMALL | {"ema_half_life": 200.0} | settings))
    engine = Engine(system, {"data": open_stream(known, system.feeds()["data"], 8, seed=0)}, seed=0)
    begun, play = system.phases()
    system.phases = lambda: (type(begun)(begun.name, begun.turns, rounds=60), play)  # type: ignore[method-assign]
    engine = Engine(system, {"data": open_stream(known, system.feeds()["data"], 8, seed=0)}, seed=0)
    for _ in range(60 + rounds):
        engine.play_round()
    true = np.asarray(known.values[known.heldout_indices()])
    with engine.watching() as board, torch.no_grad():
        wave = torch.from_numpy(true.transpose(0, 2, 1).copy())
        dull = changed(board, wave, board.smoothing, Noise.seeded(0))
        made = changed(board, dull, board.sharpening, Noise.seeded(1))
    own, given = (detail(list(part[:, 0].numpy()), list(true[..., 0]), RATE)["variance_lost"] for part in (made, dull))
    return given, own


def test_the_game_gives_back_what_averages_lose_and_squared_errors_do_not() -> None:
    given, made = lost(120)
    assert given > 1.5, "the acoustic model says what is to be expected"
    assert abs(made) < 0.6 * given
    _, averaged = lost(120, error_weight=1000.0)
    assert averaged > 0.8 * given


# Files


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    soundfile = pytest.importorskip("soundfile")
    root = tmp_path_factory.mktemp("postfilter")
    (root / "sounds").mkdir()
    for number, wave in enumerate(sounds(12)):
        soundfile.write(root / "sounds" / f"{number}.wav", wave, RATE)
    train("gan-postfilter", root / "sounds", out=root / "run", config=SMALL, budget="4r", **FAST)
    return root / "run"


def test_sounds_and_spectrograms_keep_their_form(run: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    from ganvas.run.load import Run

    wave = np.concatenate(list(sounds(3)))[: 2 * LENGTH + 17]
    soundfile.write(tmp_path / "long.flac", wave, RATE, subtype="PCM_24")
    system = Run(run).system
    mels = spectrogram(system, torch.from_numpy(wave.T[None].copy()))[0].numpy()
    np.savez(tmp_path / "given.npz", mel=mels, hop=system.mel.settings.hop)
    found = apply(run, [tmp_path / "long.flac", tmp_path / "given.npz"], out=tmp_path / "made")
    assert sorted(Path(file).name for file in found["files"]) == ["given.npz", "long.flac"]
    made, rate = soundfile.read(tmp_path / "made" / "long.flac")
    assert (rate, len(made)) == (RATE, len(wave)) and not np.allclose(made, wave[:, 0], atol=1e-3)
    with np.load(tmp_path / "made" / "given.npz") as held:
        assert held["mel"].shape == mels.shape and not np.allclose(held["mel"], mels)
        assert int(held["rate"]) == RATE
    again = apply(run, [tmp_path / "long.flac"], out=tmp_path / "again")
    assert Path(again["files"][0]).read_bytes() == (tmp_path / "made" / "long.flac").read_bytes()


def test_what_cannot_be_worked_on_is_refused_in_one_line(run: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "silent.wav", np.zeros(LENGTH), RATE)
    with pytest.raises(DataError, match="is silent, below -100 dB throughout") as error:
        apply(run, [tmp_path / "silent.wav"], out=tmp_path / "out")
    assert "\n" not in str(error.value)
    np.savez(tmp_path / "other.npz", mel=np.zeros((20, 30), np.float32) - 1, hop=999)
    with pytest.raises(DataError, match="is a spectrogram of hop 999"):
        apply(run, [tmp_path / "other.npz"], out=tmp_path / "out")


# The proof


def test_the_mark_asks_for_all_of_it() -> None:
    def row(variance: float = 1.0, distortion: float = 6.0, stretched: float = 1.5) -> Row:
        own = {"modulation": 1.0, "variance": variance, "distortion": distortion, "stretched_modulation": stretched}
        other = {"modulation": 2.0, "variance": 2.0, "distortion": 6.0}
        return Row(0, {"system": 1.0, "baseline": 2.0}, {"system": own, "baseline": other})

    assert met([row()] * 3)
    assert not met([row(), row(variance=2.1), row()])
    assert not met([row(), row(), row(distortion=6.4)])
    assert not met([row(stretched=0.9), row(), row()])
