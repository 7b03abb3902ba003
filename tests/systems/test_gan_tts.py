"""GAN-TTS: words become phones, phones lie where a recording is loud, windows of those that are told begin with a frame; it
learns which sound is asked for, and says words that it never met; files of lines, voices, pace and pitch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import DataError, GanvasError
from ganvas.game import Clock
from ganvas.kinds.sound.spec import SoundSpec
from ganvas.kinds.tokens.phones import INDEX, PHONES, UNVOICED, phones_of
from ganvas.kinds.tokens.spec import TokensSpec
from ganvas.networks.gan_tts import (
    FEATURES,
    Generator,
    Judge,
    Judges,
    Voices,
    factors_of,
    features_of,
    fold_of,
    hum_of,
    loud_span,
    pitch_of,
)  # fmt: skip
from ganvas.proofs import Row
from ganvas.proofs.gan_tts import met
from ganvas.run.apply import apply
from ganvas.run.train import train
from ganvas.store.records import Dataset, Field
from ganvas.systems.sound.gan_tts import PRESETS, Config, GanTts

RATE, LENGTH, HOP = 4000, 2000, 20
FAST: dict[str, Any] = {"quiet": True, "sample_every": 0.0, "device": "cpu", "threads": 1, "watch": "off"}
SMALL: dict[str, Any] = {
    "width": 8,
    "max_width": 16,
    "discriminator_width": 4,
    "latent_size": 2,
    "windows": (2, 8),
    "segment": 40,
}
WORDS = ("", "ee", "oo")


def spec(classes: tuple[str, ...] = ("high", "low")) -> dict[str, Any]:
    return {"sound": SoundSpec(LENGTH, RATE, classes=classes), "text": TokensSpec(2, WORDS)}


def built(classes: tuple[str, ...] = ("high", "low"), **settings: Any) -> GanTts:
    torch.manual_seed(0)
    return GanTts(spec(classes), build_config(Config, SMALL | settings)).eval()


def said(word: str, pitch: float) -> np.ndarray:
    """`ee`: a buzz that is loud about 1400 Hz; `oo`: one of low tones; from 0.1 to 0.4 s, (LENGTH, 1)."""
    t, k = np.arange(1200) / RATE, np.arange(1, int(1900 / pitch) + 1)[:, None]
    loud = np.exp(-np.square((k * pitch - 1400) / 200)) if word == "ee" else 1 / k**2
    own = (loud * np.sin(2 * np.pi * k * pitch * t + k)).sum(0)
    made = np.zeros(LENGTH)
    made[400:1600] = 0.5 * own / np.abs(own).max() * np.sin(np.pi * (np.arange(1200) + 0.5) / 1200) ** 0.2
    return made[:, None].astype(np.float32)


def data(told: bool = True) -> Dataset:
    """told: whether texts say what is heard; else all say the same."""
    own = spec()
    words, voices = np.arange(32) % 2 + 1, np.arange(32) // 2 % 2
    sounds = np.stack([said(WORDS[w], 200.0 if v == 0 else 100.0) for w, v in zip(words, voices, strict=True)])
    texts = np.zeros((32, 2), np.int32)
    texts[:, 0] = words if told else 1
    fields = {"sound": Field(own["sound"], sounds), "text": Field(own["text"], texts)}
    return Dataset(fields, voices, np.arange(32), np.arange(32) >= 28, "said", "")


def asked(told: bool, rounds: int, count: int = 8, **settings: Any) -> tuple[Tensor, Tensor]:
    """Clips of `ee` and of `oo` in turn, by the first voice and then by the second, (count, 1, LENGTH) each."""
    system = built(ema_half_life=100.0, generator_learning_rate=1e-2, **settings)
    engine = Engine(system, {"data": open_stream(data(told), system.feeds()["data"], 8, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    texts = torch.tensor([[1, 0], [2, 0]] * (count // 2))
    with engine.watching() as board, torch.no_grad():
        first, second = (board.sample(count, Noise.seeded(0), torch.full((count,), voice), texts) for voice in (0, 1))
    return first, second


# Words


@pytest.mark.parametrize(
    ("text", "phones"),
    [("seven", "s eh v ah n"), ("7", "s eh v ah n"), ("42", "f ao r t uw"), ("Bridge", "b r ih jh"), ("cake", "k ey k"),
     ("knight", "n ay t"), ("nation", "n ae sh ah n"), ("six, two.", "s ih k s sil t uw"), ("frog's", "f r aa g s")],
)  # fmt: skip
def test_words_are_said_by_the_table(text: str, phones: str) -> None:
    assert phones_of(text) == (phones.split(), [])


def test_what_cannot_be_said_is_told() -> None:
    assert phones_of("two 漢字") == (["t", "uw"], ["漢字"])
    assert {"s", "sil"} <= UNVOICED < set(PHONES)


# What is told


def test_phones_lie_where_it_is_loud_each_by_its_length() -> None:
    waves = torch.zeros(1, LENGTH)
    waves[:, 400:1600] = torch.from_numpy(said("oo", 150)[400:1600, 0])
    first, last = loud_span(waves, HOP, RATE)
    assert abs(int(first) - 20) <= 2
    assert abs(int(last) - 80) <= 2
    phones = torch.tensor([[INDEX["s"], INDEX["ey"], INDEX["t"], -1]])  # lengths 1.3, 1.5, 0.9
    found = features_of(phones, torch.tensor([20]), torch.tensor([80]), HOP / RATE, torch.zeros(1, 100))
    own, before, behind = (found[0, k * len(PHONES) : (k + 1) * len(PHONES)].argmax(0) for k in range(3))
    assert found.shape == (1, FEATURES, 100)
    assert [int((own == INDEX[phone]).sum()) for phone in ("s", "ey", "t", "sil")] == [21, 24, 15, 40]
    assert (own[:20] == 0).all()
    assert (own[80:] == 0).all()
    assert (before[own == INDEX["ey"]] == INDEX["s"]).all()
    assert (behind[own == INDEX["ey"]] == INDEX["t"]).all()
    assert (before[own == INDEX["s"]] == 0).all()
    assert before[85] == INDEX["t"]
    voiced = found[0, -1]
    assert voiced[own == INDEX["ey"]].all()
    assert not voiced[own != INDEX["ey"]].any()
    share = found[0, 3 * len(PHONES)]
    assert (share[20:40].diff() > 0).all()


def test_a_text_without_a_phone_is_silence() -> None:
    found = features_of(torch.tensor([[-1, -1]]), torch.tensor([3]), torch.tensor([9]), 0.005, torch.zeros(1, 12))
    assert found.isfinite().all()
    assert found[0, 0].all()


@pytest.mark.parametrize("hertz", [90.0, 150.0, 310.0])
def test_pitch_is_that_of_the_wave_and_hiss_has_none(hertz: float) -> None:
    t = torch.arange(8000) / 8000
    tone = sum(torch.sin(2 * torch.pi * k * hertz * t) / k for k in range(1, 6)) * 0.2
    octaves, voiced = pitch_of(
        torch.stack([tone, 0.2 * torch.randn(8000, generator=torch.Generator().manual_seed(0))]), 40, 8000
    )
    assert octaves.shape == voiced.shape == (2, 200)
    assert (octaves[0, 20:-20] - np.log2(hertz / 150)).abs().median() < 0.03
    assert voiced[0, 20:-20].float().mean() > 0.95
    assert voiced[1, 20:-20].float().mean() < 0.1


def test_a_hum_is_the_sum_of_its_harmonics() -> None:
    octaves = torch.full((1, 50), float(np.log2(200 / 150)))
    made = hum_of(octaves, torch.ones(1, 50), 20, 4000)
    turns = 0.05 * torch.arange(1, 1001)
    true = sum((2 * torch.pi * k * turns).cos() for k in range(1, 10)) * (2 / 9) ** 0.5
    assert torch.allclose(made[0], true, atol=0.02)
    assert not hum_of(octaves, torch.zeros(1, 50), 20, 4000).any()


def test_voices_know_their_pace_and_pitch() -> None:
    voices = Voices(3, 0.005)
    phones = torch.full((2, 3), INDEX["ah"])
    octaves, voiced = torch.tensor([[0.5], [-0.5]]).expand(2, 60), torch.ones(2, 60)
    voices.hear(torch.tensor([0, 1]), phones, torch.tensor([6, 10]), torch.tensor([36, 58]), octaves, voiced)
    pace, onset, course = voices.usual(torch.tensor([0, 1, 2]))
    assert pace.tolist() == pytest.approx([0.05, 0.08, 0.065])
    assert onset.tolist() == pytest.approx([0.03, 0.05, 0.04])
    assert course[:2, 3].tolist() == pytest.approx([0.5, -0.5])
    assert abs(float(course[2, 3])) < 0.5, "of all, where nobody was heard"
    first, last, _ = voices.laid(torch.tensor([0, 0]), torch.tensor([[INDEX["ah"], INDEX["ah"]], [INDEX["ah"], -1]]))
    assert (last - first).tolist() == [20, 10]
    assert voices.laid(torch.tensor([0]), phones[:1], frames=20)[1] == 20, "longer texts are pressed into what there is"


# Networks


def test_the_paper_s_networks_have_its_sizes() -> None:
    assert [fold_of(window, 120) for window in (2, 4, 8, 16, 30)] == [1, 2, 4, 8, 15]
    with torch.device("meta"):
        paper = PRESETS["paper"]
        generator = Generator(128, paper["blocks"], factors_of(120, 5), paper["width"], paper["max_width"], 1, 0)
        made = generator(torch.zeros(2, FEATURES, 8, device="meta"), torch.zeros(2, 128, device="meta"))
    assert made.shape == (2, 8 * 120)
    widths = [block.shortcut.out_channels for block in generator.blocks]
    assert widths[:2] == [768, 768]
    assert widths[-1] == 96


@pytest.mark.parametrize("told", [True, False])
def test_windows_are_folded_to_the_rate_of_frames(told: bool) -> None:
    for window, hop in ((2, 40), (30, 40), (4, 21), (3, 7), (16, 80)):
        judge = Judge(window, hop, told, 4)
        scores = judge(torch.randn(3, window * hop), torch.randn(3, FEATURES, window) if told else None)
        assert scores.shape == (3,)


class Seen(nn.Module):
    """Keeps what it is shown."""

    frames = 4

    def forward(self, windows: Tensor, told: Tensor | None = None) -> Tensor:
        self.windows, self.told = windows, told
        return windows.mean(1)


def test_who_is_told_features_sees_those_of_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples and features that say the number of their frame; who is not told begins anywhere."""
    monkeypatch.setattr("ganvas.networks.gan_tts.Judge", Seen)
    judges = Judges((), HOP, 4)
    judges.told.append(Seen())
    judges.plain.append(Seen())
    numbers = torch.arange(30.0).expand(16, 30)
    waves = numbers.repeat_interleave(HOP, 1)
    starts = torch.rand(16, 2, generator=torch.Generator().manual_seed(0))
    assert judges(waves, numbers[:, None].expand(-1, FEATURES, -1), starts).shape == (16, 2)
    windows = judges.told[0].windows.unflatten(1, (4, HOP))
    assert torch.equal(windows, judges.told[0].told[:, 0, :, None].expand_as(windows))
    assert windows[:, 0, 0].unique().numel() > 4, "windows are drawn"
    assert (judges.plain[0].windows[:, 0] != judges.plain[0].windows[:, HOP - 1]).any(), "not only at frames"


def test_one_window_of_the_whole_piece() -> None:
    system = built(windows=(0,), unconditional=False)
    assert system.config.windows == (40,)
    assert system.discriminators.count == 1
    assert built().discriminators.count == 4


def test_clips_that_are_too_short_are_refused() -> None:
    with pytest.raises(GanvasError, match="two frames of 20"):
        GanTts(spec() | {"sound": SoundSpec(30, RATE)}, build_config(Config, SMALL))


# It learns


def high(sounds: Tensor) -> np.ndarray:
    """Share of the power above 1000 Hz, (B,)."""
    power = torch.fft.rfft(sounds[:, 0, 400:1600]).abs().square()
    return (power[:, 300:].sum(1) / power.sum(1)).numpy()


def hertz_of(sounds: Tensor) -> float:
    octaves, voiced = pitch_of(sounds[:, 0], HOP, RATE)
    return float(150 * 2 ** octaves[voiced].median())


def test_it_makes_the_sound_that_the_text_says_with_the_voice_that_is_asked_for() -> None:
    """Where all texts say the same, it cannot."""
    first, second = asked(True, 40)
    share = high(first)
    assert share[::2].min() > share[1::2].max() + 0.3, share
    assert hertz_of(first) == pytest.approx(200, rel=0.1)
    assert hertz_of(second) == pytest.approx(100, rel=0.1)
    blind = high(asked(False, 40)[0])
    assert abs(blind[::2].mean() - blind[1::2].mean()) < 0.3, blind


def test_the_game_looks_at_made_and_true_pieces_and_remembers_texts() -> None:
    system = built(discriminators_from=0.0).train()
    sound, words = data().fields["sound"].values[:8], data().fields["text"].values[:8]
    fields = {"sound": torch.from_numpy(sound.transpose(0, 2, 1).copy()), "text": torch.from_numpy(words).long()}
    batch = Batch(Noise.seeded(0), fields, torch.arange(8) % 2)
    shared: dict[str, Any] = {}
    terms = system.discriminate(batch, Clock(), shared) | system.fool(batch, Clock(), shared)
    assert set(terms) == {"real", "fake", "fool", "convergence", "logarithms"}
    assert all(bool(term.isfinite()) for term in terms.values())
    assert int(system.memory.seen) == 8
    assert shared["piece"][0].shape == (8, 40 * HOP)
    assert (shared["piece"][0].abs().amax(1) > 0.1).all(), "a piece is about a moment that is spoken"


def test_samples_without_a_text_say_texts_of_the_data() -> None:
    system = built()
    system.memory.remember(torch.tensor([[2, 0]]))
    made = system.sample(2, Noise.seeded(0), torch.zeros(2, dtype=torch.int64))
    same = system.sample(2, Noise.seeded(0), torch.zeros(2, dtype=torch.int64))
    assert torch.equal(made, same)
    assert made.shape == (2, 1, LENGTH)


# The use


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spoken")
    train("gan-tts", "words", out=folder / "run", config=SMALL, budget="4r", phantom_count=64, **FAST)
    return folder / "run"


def test_lines_are_spoken_of_whatever_words(run: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("ya\n\nwi ya wi ya\nzebra 漢字\n", encoding="utf-8")
    done = apply(run, [tmp_path / "words.txt"], verb="speak", out=tmp_path / "out")
    assert [Path(file).name for file in done["files"]] == [f"words-{k:04d}.wav" for k in (1, 2, 3)]
    told = " ".join(done["notes"])
    assert "left out, as there is no way to say them: 漢字" in told
    assert "never heard in training" in told
    assert "z" in told
    sizes = [Path(file).stat().st_size for file in done["files"]]
    assert sizes[1] > 2 * sizes[0], "as long as the text takes"
    quick = apply(run, [tmp_path / "words.txt"], verb="speak", out=tmp_path / "quick", pace=2.0)
    assert Path(quick["files"][1]).stat().st_size < 0.7 * sizes[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "holds no line of text"), ("ya\n漢字\n", "line 2 has no word that can be said"), ("ya " * 600, "1000 at most")],
)
def test_what_cannot_be_spoken_is_refused(run: Path, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "words.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=told):
        apply(run, [tmp_path / "words.txt"], verb="speak", out=tmp_path / "out")


def test_voices_are_asked_for_by_name_where_there_are_some(run: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("ya\n", encoding="utf-8")
    with pytest.raises(GanvasError, match="its data had no labels"):
        apply(run, [tmp_path / "words.txt"], verb="speak", out=tmp_path / "out", label="george")


def test_pitch_is_moved_in_semitones() -> None:
    system, phones = built(), torch.tensor([[INDEX["uw"]] * 4])
    kept: list[Tensor] = []
    system._made = lambda network, told, noise: kept.append(told[0]) or torch.zeros(1, told[0].shape[2] * HOP)  # type: ignore[method-assign, func-returns-value]
    for higher in (0.0, 1.0):
        system.utter(phones, Noise.seeded(0), higher=higher)
    assert (kept[1][:, -2] - kept[0][:, -2])[kept[0][:, -1] > 0].unique().tolist() == [1.0]


# The proof


def rows(system: float, wavegan: float, whole: float) -> list[Row]:
    return [Row(k, {"system": system, "baseline": wavegan, "one full-window discriminator": whole}, {}) for k in range(3)]


def test_the_mark_of_the_proof() -> None:
    assert met(rows(0.8, 0.2, 0.5))
    assert not met(rows(0.8, 0.2, 0.85))
    assert not met(rows(0.4, 0.1, 0.2))
