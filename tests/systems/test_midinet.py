"""MidiNet: bars and codes, keys, what both players see, that it answers chords and earlier bars, and files end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.phantoms import make_phantom
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import DataError
from ganvas.game import Clock
from ganvas.kinds.tune import chords
from ganvas.kinds.tune.files import read_sheet
from ganvas.kinds.tune.measures import share_in_chord, share_in_key
from ganvas.kinds.tune.spec import CHORDS, FIRST, HOLD, MELODY, REST, TuneSpec
from ganvas.networks.midinet import BESIDE, LEAP, following, levels_of
from ganvas.proofs import Row
from ganvas.proofs.midinet import LARGE, contexts, met, shapes
from ganvas.run.apply import apply
from ganvas.run.draw import draw
from ganvas.run.train import train
from ganvas.specs import REAL
from ganvas.store.midi import Note, encode_score
from ganvas.store.records import Dataset, Field
from ganvas.systems.sound.midinet import KEPT, PRESETS, Config, MidiNet

SMALL: dict[str, Any] = {"latent_size": 8, "width": 16, "judge_width": 16, "before_width": 8, "batch_size": 16}


def built(spec: TuneSpec, **settings: Any) -> MidiNet:
    torch.manual_seed(0)
    return MidiNet(spec, build_config(Config, SMALL | settings))


def tunes(count: int = 8, seed: int = 0) -> tuple[Tensor, TuneSpec]:
    made = make_phantom("tunes", count, seed)
    assert isinstance(made.spec, TuneSpec)
    return torch.from_numpy(made.values).long(), made.spec


def batch_of(values: Tensor, seed: int = 0) -> Batch:
    return Batch(Noise.seeded(seed), {REAL: values})


# Bars and codes


def rows_of(system: MidiNet, melody: Tensor) -> Tensor:
    return torch.where(melody >= FIRST, melody - system.bars.lowest, melody)


def test_pictures_of_codes_are_those_that_are_played() -> None:
    """What G's choices of rows become is what real melodies of these rows are, and codes come back from rows."""
    values, spec = tunes()
    values[0, MELODY, :9] = torch.tensor([HOLD, REST, HOLD, FIRST + 70, HOLD, REST, HOLD, FIRST + 70, FIRST + 70])
    bars = built(spec).bars
    common, shift = bars.common(values)
    pictures = bars.pictures(common[:, MELODY])
    rows = rows_of(built(spec), common[:, MELODY])
    chosen = torch.nn.functional.one_hot(rows, bars.rows).transpose(1, 2).float()
    assert torch.equal(pictures, bars.played(chosen, torch.zeros(8, bars.rows - FIRST)))
    assert (pictures[:, [0, *range(FIRST, bars.rows)]].sum(1) == 1).all()  # one voice, or silence
    assert torch.equal(bars.codes(rows, shift)[1:], values[1:, MELODY])
    assert bars.codes(rows, shift)[0, :3].tolist() == [REST] * 3
    assert torch.equal(bars.shifted(common[:, CHORDS], -shift), values[:, CHORDS])


def test_a_note_goes_on_into_the_next_bar() -> None:
    bars = built(TuneSpec(1, 1)).bars
    last = torch.zeros(1, bars.rows - FIRST)
    last[0, 5] = 1
    holds = torch.zeros(1, bars.rows, 4)
    holds[0, HOLD] = 1
    assert (bars.played(holds, last)[0, FIRST + 5] == 1).all()
    assert (bars.played(holds, torch.zeros_like(last))[0, REST] == 1).all()  # nothing was sounding


def test_tunes_come_into_one_key() -> None:
    """The phantom knows its keys; after the move all chords lie in C, and steps from note to note are as they were."""
    made = make_phantom("tunes", 60, 3)
    values = torch.from_numpy(made.values).long()
    common, shift = built(made.spec).bars.common(values)
    keys = torch.tensor([fact["key"] for fact in made.facts])
    assert torch.equal((keys + shift) % 12, torch.zeros(60, dtype=torch.int64))
    assert int(shift.min()) >= -6 and int(shift.max()) <= 5
    own, _ = built(made.spec, key="own").bars.common(values)
    assert torch.equal(own, values)


def test_what_holds_nothing_is_written_as_silence() -> None:
    system = built(TuneSpec(1, 2))
    rows = torch.tensor([[HOLD, HOLD, FIRST + 3, HOLD, REST, HOLD, FIRST, HOLD]])
    codes = system.bars.codes(rows, torch.zeros(1, dtype=torch.int64))[0].tolist()
    low = system.bars.lowest
    assert codes == [REST, REST, FIRST + 3 + low, HOLD, REST, REST, FIRST + low, HOLD]


@pytest.mark.parametrize(("steps", "levels"), [(16, 3), (24, 3), (12, 2), (8, 2), (9, 0), (4, 1), (3, 0), (2, 0)])
def test_bars_of_any_number_of_steps(steps: int, levels: int) -> None:
    assert levels_of(steps) == levels
    spec = TuneSpec(2, 4, (steps, 16))
    assert spec.steps == steps
    made = built(spec).eval().sample(3, Noise.seeded(0))
    assert made.shape == (3, 2, 2 * steps)


# The game


def test_earlier_bars_are_those_of_the_same_tune() -> None:
    values, spec = tunes(32)
    system = built(spec, looks_back=(1, 2), key="own")
    bars, planes, before, last = system._dealt(batch_of(values), {})
    pictures = system.bars.pictures(values[:, MELODY]).unflatten(2, (8, spec.steps))
    for k in range(32):
        first, second = before[k].chunk(2)
        nothing = torch.zeros_like(first)
        fits = [
            torch.equal(pictures[k, :, bar], bars[k])
            and torch.equal(first, pictures[k, :, bar - 1] if bar >= 1 else nothing)
            and torch.equal(second, pictures[k, :, bar - 2] if bar >= 2 else nothing)
            for bar in range(8)
        ]
        assert any(fits)
        assert torch.equal(last[k], first[FIRST:, -1])
    assert planes.shape == (32, 24, spec.steps)


def test_a_drawn_bar_is_one_choice_a_step_and_passes_gradients_on() -> None:
    values, spec = tunes(16)
    system = built(spec)
    _, planes, before, last = system._dealt(batch_of(values), {})
    fake, rows = system._drawn(system.generator, Noise.seeded(1), planes, before, last)
    voices = fake[:, [0, *range(FIRST, system.bars.rows)]].sum(1)
    assert torch.allclose(voices, torch.ones(()), atol=1e-4) and rows.shape == (16, spec.steps)
    assert ((fake - fake.round()).abs() < 1e-4).all()
    fake.square().sum().backward()
    assert all(own.grad is not None and own.grad.abs().sum() > 0 for own in system.generator.kinds.parameters())
    soft = built(spec, choice="soft")
    shares, _ = soft._drawn(soft.generator, Noise.seeded(1), planes, before, last)
    assert ((shares - shares.round()).abs() > 0.05).any()  # shares, not choices


def test_a_leap_counts_from_the_note_before() -> None:
    """Against a plain loop; after silence, and for silence and going on, nothing is gained."""
    torch.manual_seed(0)
    leaps, last = torch.randn(3, 2 * LEAP + 1), torch.zeros(3, 30)
    last[0, 4] = last[1, 29] = 1.0
    gains = following(leaps[..., None].expand(-1, -1, 2), 30)
    assert torch.equal(gains[..., 0], gains[..., 1])
    found = pad((gains[..., 1] * last[:, None]).sum(2), (FIRST, 0))
    assert found.shape == (3, 32) and not found[2].any() and not found[:, :FIRST].any()
    for tune, before in ((0, 4), (1, 29)):
        for pitch in range(30):
            leap = pitch - before
            wanted = float(leaps[tune, leap + LEAP]) if abs(leap) <= LEAP else 0.0
            assert float(found[tune, FIRST + pitch]) == pytest.approx(wanted)


def test_steps_are_chosen_one_after_the_other() -> None:
    """A writer that wants nothing but to go up by two goes up by two, from the note before the bar on."""
    values, spec = tunes(16)
    system = built(spec, leaps=True)
    _, planes, before, last = system._dealt(batch_of(values), {})
    rows = system.bars.rows
    last = torch.zeros(16, rows - FIRST)
    last[:, 2] = 1.0
    leaps = torch.zeros(16, 2 * LEAP + 1, spec.steps)
    leaps[:, LEAP + 2] = 100.0

    def upwards(*given: Any) -> tuple[Tensor, Tensor]:
        return torch.zeros(16, rows, spec.steps), leaps

    fake, chosen = system._drawn(upwards, Noise.seeded(1), planes, before, last)
    able = min(spec.steps, (rows - FIRST - 3) // 2)
    assert torch.equal(chosen[:, :able], (FIRST + 4 + 2 * torch.arange(able)).expand(16, -1))
    voices = fake[:, [0, *range(FIRST, rows)]].sum(1)
    assert torch.allclose(voices, torch.ones(()), atol=1e-4)
    made, _ = system._drawn(system.generator, Noise.seeded(1), planes, before, last)
    made.square().sum().backward()
    weights = system.generator.leaps
    assert weights is not None and all(own.grad is not None and own.grad.abs().sum() > 0 for own in weights.parameters())


def test_octaves_follow_the_course_and_going_on_is_likely_at_the_start() -> None:
    """A note is as likely in any octave but for the course; and as many steps go on as begin a note, about."""
    values, spec = tunes(32)
    system = built(spec)
    _, planes, before, last = system._dealt(batch_of(values), {})
    logits, _ = system.generator(Noise.seeded(1).normal(32, 8), planes, torch.zeros_like(before))
    pitches = logits[:, FIRST:] - logits[:, FIRST + 12 : FIRST + 13]
    octave = pitches[:, 24] - 2 * pitches[:, 12] + pitches[:, 0]  # what is left of a course is a bow: the same of all notes
    other = pitches[:, 31] - 2 * pitches[:, 19] + pitches[:, 7]
    assert torch.allclose(octave, other, atol=1e-2)
    assert 0.2 < float(logits.detach().softmax(1)[:, HOLD].mean()) < 0.8


def test_one_answer_is_smoothed_and_matches_go_to_the_means() -> None:
    values, spec = tunes(16)
    system = built(spec, features_weight=1.0, bars_weight=1.0)
    batch, shared = batch_of(values), {}
    terms = system.discriminate(batch, Clock(), shared)
    assert set(terms) == {"real", "fake", "r1", "r2"} and all(float(terms[name]) > 0 for name in ("r1", "r2"))
    fooling = system.fool(batch, Clock(), shared)
    assert set(fooling) == {"fool", "features", "bars"} and all(value.ndim == 0 for value in fooling.values())
    assert int(system.heard) == 16 and torch.equal(system.progressions[:16].long(), values[:, CHORDS])
    bare = built(spec, features_weight=0.0, bars_weight=0.0, r1_weight=0.0, r2_weight=0.0)
    assert set(bare.discriminate(batch_of(values), Clock(), {})) == {"real", "fake"}
    fooling = bare.fool(batch_of(values), Clock(), {})
    assert fooling["features"].item() == fooling["bars"].item() == 0.0


def test_the_oldest_progressions_make_room() -> None:
    values, spec = tunes(16)
    system = built(spec)
    for _ in range(KEPT // 16 + 1):
        system._remember(values[:, CHORDS])
    assert torch.equal(system.progressions[:16].long(), values[:, CHORDS]) and int(system.heard) == KEPT + 16


def test_the_paper_is_built_and_plays() -> None:
    values, spec = tunes(16)
    torch.manual_seed(0)
    system = MidiNet(spec, build_config(Config, PRESETS["paper"] | {"batch_size": 16}))
    assert system.phases()[0].turns[1].times == 2
    assert system.discriminator.first[0].in_channels == system.bars.rows + 24 + BESIDE  # the chord alone
    engine = Engine(system, {"data": open_stream(data_of(values, spec), system.feeds()["data"], 16, seed=0)}, seed=0)
    engine.play_round()
    assert all(own.isfinite().all() for own in system.parameters())


# What it learns


def data_of(values: Tensor, spec: TuneSpec) -> Dataset:
    count = len(values)
    fields = {REAL: Field(spec, values.numpy().astype(np.int32))}
    return Dataset(fields, None, np.arange(count), np.zeros(count, bool), "phantom", "phantom")


def learnt(rounds: int = 150, deaf: bool = False, **settings: Any) -> MidiNet:
    """deaf: chords of other tunes in training."""
    values, spec = tunes(300)
    if deaf:
        values[:, CHORDS] = values[:, CHORDS].roll(1, 0)
    system = built(spec, **({"judge_width": 32, "batch_size": 32}
                            | {"looks_back": (1,)} | settings))  # fmt: skip
    data = data_of(values, spec)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 32, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    return system.eval()


def counted(system: MidiNet, values: Tensor) -> tuple[float, float, float]:
    """Over given chords: the share of notes in them, in the chords of another tune, and in one key."""
    with torch.no_grad():
        made = system.accompany(values, Noise.seeded(1)).numpy()
    other = made.copy()
    other[:, CHORDS] = np.roll(made[:, CHORDS], 1, 0)
    return (*(float(np.nanmean(share_in_chord(own))) for own in (made, other)), float(np.nanmean(share_in_key(made))))


def test_melodies_keep_to_the_chords_they_are_given() -> None:
    """The phantom's notes are in the chord for a known share; told the chords of another tune, the control is not."""
    values, _ = tunes(64, 9)
    truth = float(np.nanmean(share_in_chord(values.numpy())))
    own, other, key = counted(learnt(), values)
    deaf = learnt(deaf=True)
    untold, _, _ = counted(deaf, values)
    assert own > truth - 0.12 and own > other + 0.12, (own, other, truth)
    assert key > 0.9
    assert untold < own - 0.15, (untold, own)


# Files end to end


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "tunes"
    train("midinet", "tunes", out=folder, config=SMALL, budget="3r", phantom_count=64, quiet=True, sample_every=0.0)
    return folder


def test_a_melody_over_chords_as_text(run: Path, tmp_path: Path) -> None:
    (tmp_path / "chords.txt").write_text("C Am F/A G7 C\n")
    made = apply(run, [tmp_path / "chords.txt"], out=tmp_path / "out", verb="accompany")
    assert made["files"] == [str(tmp_path / "out" / "chords.mid")]
    assert made["notes"] == ["chords.txt: F/A is taken as F"]
    held = mido.MidiFile(made["files"][0])
    assert [track.name for track in held.tracks] == ["melody, SYNTHETIC", "chords, SYNTHETIC"]
    assert abs(held.length - 5 * 4 * 60 / 120) < 0.01  # five bars of four quarters, at the tempo of the data
    sheet = read_sheet(Path(made["files"][0]))
    assert [chords.name_of(number) for _, number in sheet.harmony[:4]] == ["C", "Am", "F", "G7"]
    again = apply(run, [tmp_path / "chords.txt"], out=tmp_path / "again")  # the first use, and the same seed
    assert Path(again["files"][0]).read_bytes() == Path(made["files"][0]).read_bytes()
    other = apply(run, [tmp_path / "chords.txt"], out=tmp_path / "other", seed=1)
    assert Path(other["files"][0]).read_bytes() != Path(made["files"][0]).read_bytes()


def test_a_melody_over_the_chords_of_a_midi_file(run: Path, tmp_path: Path) -> None:
    """Of the file the chords count, the tempo and the number of bars; what it had as a melody is not looked at."""
    harmony = [Note(k * 16, k * 16 + 16, pitch) for k in range(3) for pitch in (50, 54, 57)]
    files = []
    for name, melody in (("low", 72), ("high", 79)):
        notes = [("melody", 0, [Note(k, k + 2, melody) for k in range(0, 48, 4)]), ("chords", 1, harmony)]
        files.append(tmp_path / f"{name}.mid")
        files[-1].write_bytes(encode_score(notes, 48, 4, 90.0, "by hand", (4, 4)))
    made = apply(run, files, out=tmp_path / "out")
    sheets = [read_sheet(Path(own)) for own in made["files"]]
    assert [round(own.score.tempo[0]) for own in sheets] == [90, 90]
    assert [chords.name_of(own.harmony[0][1]) for own in sheets] == ["D", "D"]
    assert sheets[0].melody == sheets[1].melody
    assert abs(mido.MidiFile(made["files"][0]).length - 3 * 4 * 60 / 90) < 0.01


@pytest.mark.parametrize(
    ("name", "body", "wrong"),
    [
        ("a.txt", b"C Hm G", "line 1: 'Hm' is no chord; nearest: "),
        ("a.txt", b"", "holds no chord: write their names"),
        ("a.mid", encode_score([("melody", 0, [Note(k, k + 1, 60) for k in range(9)])], 16, 4, 90.0, ""), "a.mid: no chords"),
        ("a.mid", encode_score([("drums", 9, [Note(0, 1, 36)])], 16, 4, 90.0, ""), "no notes but drums: take it out"),
        ("a.mid", encode_score([("", 0, [])], 16, 4, 90.0, ""), "holds no notes: take it out"),
        ("a.mid", b"MThd", "a.mid"),
        (
            "a.mid",
            encode_score([("", 0, [Note(0, 12, 50 + k) for k in (0, 4, 7)])], 12, 4, 90.0, "", (3, 4)),
            "its bars are of 3/4, the run learnt 4/4",
        ),
    ],
)
def test_what_has_no_chords_is_refused_in_one_line(name: str, body: bytes, wrong: str, run: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(DataError) as error:
        apply(run, [tmp_path / name], out=tmp_path / "out")
    assert wrong in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_samples_are_tunes_over_chords_of_the_data(run: Path, tmp_path: Path) -> None:
    made = draw(run, count=4, out=tmp_path / "out")
    assert len(made["files"]) == 4
    for file in made["files"]:
        sheet = read_sheet(Path(file))
        assert len({number for _, number in sheet.harmony}) >= 3  # the phantom's loops, known after three rounds
        assert abs(mido.MidiFile(file).length - 16.0) < 0.01


# The proof


def test_the_mark_is_asked_of_every_seed() -> None:
    rows = [Row(seed, {"system": 0.1, "baseline": 0.2, "chain": 0.15}, {}) for seed in range(3)]
    assert met(rows)
    assert not met([*rows[:2], Row(2, {"system": 0.16, "baseline": 0.2, "chain": 0.15}, {})])


def test_contexts_and_shapes() -> None:
    tune = np.array([5, 1, 7, 1, 9])
    assert contexts(tune, 4, 3, 4) == [(4, 3, 1, 7, 1), (4, 3, 7, 1), (4, 3, 1), (4, 3), (4,)]
    assert contexts(tune, 0, 3, 0) == [(0, 3), (0,)]
    record = np.array([[[60, 1, 64, 0, 62, 1, 66, 0], [1] * 8]])
    first, second = shapes(record, 4)
    assert np.array_equal(first, second) and first.tolist() == [1000, 1, 1004, 0]
    build_config(Config, LARGE)
