"""GANSynth: pictures with a phase and back, what notes are told by, pitches learnt where they are named, and playing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganvas.batches import Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import DataError, GanvasError
from ganvas.game import Clock
from ganvas.kinds.sound.pitches import coherence, fundamental, semitones_off
from ganvas.kinds.sound.spec import SoundSpec
from ganvas.kinds.table.spec import TableSpec
from ganvas.networks.gansynth import NoteColumns, PhasedSpectrogram, transposed
from ganvas.presets import Situation
from ganvas.proofs import Row, Task
from ganvas.proofs._arms import data_of
from ganvas.proofs.gansynth import GANSYNTH, LARGE, PROOF, met
from ganvas.registry import load_system
from ganvas.run.apply import apply
from ganvas.run.draw import draw
from ganvas.run.load import Run
from ganvas.run.train import train
from ganvas.store.records import Dataset, Field
from ganvas.systems.sound.gansynth import PRESETS, Config, GanSynth
from ganvas.uses.play import measure

RATE, LENGTH = 4000, 2048
PITCHES = (55, 59, 63, 67)
SMALL: dict[str, Any] = {"width": 4, "max_width": 8, "latent_size": 8, "batch_size": 8, "bands": 32}


def tone(pitch: float, length: int = LENGTH, rate: int = RATE, phase: float = 0.0, decay: float = 2.0) -> np.ndarray:
    """A note of some partials (length,)."""
    time, hertz = np.arange(length) / rate, 440 * 2 ** ((pitch - 69) / 12)
    parts = [np.sin(2 * np.pi * hertz * k * time + k * phase) / k for k in range(1, 6) if hertz * k < rate / 2]
    wave: np.ndarray = 0.3 * np.sum(parts, 0) * np.exp(-decay * time)
    return wave.astype(np.float32)


def table(**more: Any) -> TableSpec:
    """Columns: instrument (two words), pitch (a number)."""
    given: dict[str, Any] = {
        "names": ("instrument", "midi_pitch"), "types": ("binary", "number"), "categories": (("flute", "harp"), ()),
        "centre": (0.0, 61.0), "scale": (1.0, 4.0), "missing": (False, False), "decimals": (-1, 0),
        "bounds": ((0.0, 0.0), (55.0, 67.0)),
    }  # fmt: skip
    return TableSpec(**(given | more))


def built(**settings: Any) -> GanSynth:
    torch.manual_seed(0)
    return GanSynth({"note": SoundSpec(LENGTH, RATE), "attributes": table()}, build_config(Config, SMALL | settings))


def notes(count: int = 64) -> Dataset:
    """Two instruments, of which one has hardly any partials, at four pitches."""
    rng = np.random.default_rng(0)
    rows = np.array([[k % 2, PITCHES[k // 2 % 4]] for k in range(count)], np.float32)
    values = np.stack([tone(pitch, phase=rng.uniform(0, 6), decay=6.0 if kind else 1.0) for kind, pitch in rows])[..., None]
    fields = {"note": Field(SoundSpec(LENGTH, RATE), values), "attributes": Field(table(), rows)}
    return Dataset(fields, None, np.arange(count), np.zeros(count, bool), "notes", "")


# Pictures and back


def transform_of(phase: str = "frequency", length: int = LENGTH, rate: int = RATE, **form: Any) -> PhasedSpectrogram:
    return PhasedSpectrogram(length, rate, phase=phase, **({"bands": 64, "scale": "mel", "step": 0.016, "floor": 80.0} | form))


@pytest.mark.parametrize("phase", ["frequency", "phase"])
@pytest.mark.parametrize("scale", ["mel", "linear"])
def test_pictures_come_back_with_their_pitch_and_coherent(phase: str, scale: str) -> None:
    transform = transform_of(phase, scale=scale)
    sounds = torch.from_numpy(np.stack([tone(pitch) for pitch in PITCHES]))[:, None]
    whole = transform.whole(sounds)
    assert whole.shape == (4, 4, *transform.shape)
    assert whole[:, 1:3].abs().max() <= 1
    made = transform.heard(whole)[:, 0].numpy()
    hertz = np.array([fundamental(wave, RATE) for wave in made])
    assert np.abs(semitones_off(hertz, np.array(PITCHES))).max() < 0.2
    assert min(coherence(wave, RATE, own) for wave, own in zip(made, hertz, strict=True)) > 0.8


def test_turns_of_a_steady_tone_are_flat_and_phases_are_not() -> None:
    sounds = torch.from_numpy(tone(60, decay=0.0))[None, None]
    whole = [transform_of(phase, scale="linear").whole(sounds) for phase in ("frequency", "phase")]
    change = [own[0, 1:3, 5:20, 4:-4].diff(dim=2).abs().mean() for own in whole]
    assert change[0] < 0.1 * change[1]


def test_the_first_column_keeps_where_phases_begin() -> None:
    transform = transform_of()
    early, late = (transform.whole(torch.from_numpy(tone(60, phase=own))[None, None]) for own in (0.0, 1.5))
    assert (early - late)[0, 1:3, :, 0].abs().max() > 0.1
    assert (early - late)[0, 1:3, 4:20, 4:-4].abs().mean() < 0.05


def test_silence_stands_still_and_stereo_keeps_its_channels() -> None:
    transform = transform_of()
    assert float(transform.whole(torch.zeros(1, 1, LENGTH))[:, 1:3].abs().max()) == 0
    stereo = torch.from_numpy(np.stack([tone(60), 0.25 * tone(60)]))[None]
    whole = transform.whole(stereo)
    assert whole.shape[1] == 7
    made = transform.heard(whole)
    assert float(made[0, 1].square().mean().sqrt() / made[0, 0].square().mean().sqrt()) == pytest.approx(0.25, rel=0.1)
    with pytest.raises(GanvasError, match="clips of 63 samples are too short"):
        transform_of(length=63)


# What notes are told by


def test_pitches_are_numbers_or_names() -> None:
    told = NoteColumns(table(), "", True, "gansynth")
    assert told.pitches == list(range(55, 68))
    assert [column.name for column in told.columns] == ["midi_pitch", "instrument"]
    rows = torch.tensor([[1.0, (60 - 61) / 4], [0.0, (67 - 61) / 4]])
    codes = told.codes(rows)
    assert codes.shape == (2, 15)
    assert codes[:, :13].argmax(1).tolist() == [5, 12]
    assert codes[:, 13:].tolist() == [[0, 1], [1, 0]]
    assert told.value_of("midi_pitch", "C4") == told.value_of("midi_pitch", "B#3") == "60"
    assert told.value_of("midi_pitch", "C9") is None
    named = table(types=("binary", "class"), categories=(("flute", "harp"), ("A3", "C4", "E4")))
    assert NoteColumns(named, "", False, "gansynth").pitches == [57, 60, 64]


def test_tables_without_pitches_are_refused_in_one_line() -> None:
    words = table(names=("instrument", "colour"), types=("binary", "class"), categories=(("a", "b"), ("x", "y", "z")))
    for spec, pitch, told in (
        (words, "", "no column of pitches among instrument, colour"),
        (words, "colour", "'x' in 'colour' is no pitch"),
        (table(), "midi_pich", "did you mean 'midi_pitch'"),
        (table(bounds=((0, 0), (55.0, 440.0))), "", "pitches are MIDI numbers"),
    ):
        with pytest.raises(GanvasError, match=told) as caught:
            NoteColumns(spec, pitch, True, "gansynth")
        assert "\n" not in str(caught.value)


def test_pitches_that_were_never_learnt_are_those_of_neighbours() -> None:
    told = NoteColumns(table(), "", True, "gansynth")
    steps, shown = told.learnt_nearest(torch.tensor([[1, 0], [4, 1], [-1, 0]]), torch.tensor([[0, 0], [4, 1]]))
    assert steps.tolist() == [1, 0, 0]
    assert shown.tolist() == [[0, 0], [4, 1], [-1, 0]]
    sounds = torch.from_numpy(np.stack([tone(60, rate=8000, length=8192)] * 3))[:, None]
    made = transposed(sounds, [1, -2, 0])[:, 0].numpy()
    assert np.abs(semitones_off(np.array([fundamental(wave, 8000) for wave in made]), np.array([61, 58, 60]))).max() < 0.1


# Learning


def played(rounds: int, **settings: Any) -> float:
    """The share of notes that have the pitch they were asked for."""
    data = notes()
    common: dict[str, Any] = {"bands": 64, "naming_weight": 2.0, "learning_rate": 6e-3, "flatness_weight": 0.5}
    system = built(**common | {"ema_half_life": 200.0, "penalties_every": 4, "batch_size": 16} | settings)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    asked = np.arange(32) % 4
    shown = torch.from_numpy(np.stack([4 * asked, np.arange(32) // 4 % 2], 1))
    board: Any
    with engine.watching() as board, torch.no_grad():
        made = board.sample(32, Noise.seeded(5), shown=shown)[:, 0].numpy()
    hertz = np.array([fundamental(wave, RATE) for wave in made])
    return float((np.abs(semitones_off(hertz, np.array(PITCHES)[asked])) < 0.5).mean())


def test_pitches_are_learnt_where_they_are_named_and_not_where_they_are_not() -> None:
    assert played(60) >= 0.5
    assert played(60, naming_weight=0.0) <= 0.35


def test_the_discriminator_names_real_notes_alone() -> None:
    system = built()
    data = notes(8)
    stream = open_stream(data, system.feeds()["data"], 8, seed=0)
    batch = stream.example(8, Noise.seeded(0))
    shared: dict[str, Any] = {}
    terms = system.discriminate(batch, Clock(), shared)
    real = system.discriminator(shared["real"])[:, 1:]
    wanted = system.told.unlike(real, shared["codes"])
    assert float(terms["pitch and others"].detach()) == pytest.approx(float(wanted.detach()), rel=1e-4)
    terms = system.fool(batch, Clock(), shared)
    terms["pitch and others"].backward()
    assert all(parameter.grad is not None for parameter in system.generator.parameters())
    assert system.learnt_rows().shape == (8, 2)


def test_the_paper_s_preset_grows_and_plays() -> None:
    spec = {"note": SoundSpec(64_000, 16_000), "attributes": table()}
    with torch.device("meta"):
        whole = GanSynth(spec, build_config(Config, PRESETS["paper"]))
    assert whole.transform.shape == (1024, 125)
    assert len(whole.phases()) == whole.sizes > 3
    assert [column.name for column in whole.told.columns] == ["midi_pitch"]
    small = PRESETS["paper"] | {"width": 2, "max_width": 4, "bands": 16, "batch_size": 4, "stage_samples": 4, "latent_size": 4}
    system = built(**small)
    engine = Engine(system, {"data": open_stream(notes(16), system.feeds()["data"], 4, seed=0)}, seed=0)
    for _ in range(2 * system.sizes + 2):
        engine.play_round()
    assert float(system.grown) == system.sizes - 1
    board: Any
    with engine.watching() as board, torch.no_grad():
        assert board.sample(2, Noise.seeded(0)).shape == (2, 1, LENGTH)


def test_auto_fits_any_budget_and_the_large_form_is_built() -> None:
    for sound in (SoundSpec(16384, 16000), SoundSpec(49152, 48000, 2)):
        spec = {"note": sound, "attributes": table()}
        for seconds in (60.0, 600.0, 1e6):
            with torch.device("meta"):
                GanSynth(spec, build_config(Config, PRESETS["auto"](Situation(spec, 400, seconds, 50.0, "cpu"))))
        with torch.device("meta"):
            GanSynth(spec, build_config(Config, GANSYNTH | LARGE["gansynth"]))
    _, module, system_class = load_system("specgan")
    with torch.device("meta"):
        system_class(SoundSpec(16384, 16000), build_config(module.Config, LARGE["specgan"]))


# Files, and playing them


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    soundfile = pytest.importorskip("soundfile")
    folder = tmp_path_factory.mktemp("gansynth")
    lines = ["file,instrument,midi_pitch,split"]
    for k in range(24):
        (folder / "data" / "notes").mkdir(parents=True, exist_ok=True)
        pitch = 48 + k // 2
        soundfile.write(folder / "data" / "notes" / f"{k}.wav", tone(pitch), RATE)
        if pitch != 52:
            lines.append(f"notes/{k}.wav,{('flute', 'harp')[k % 2]},{pitch},{'heldout' if pitch == 55 else 'train'}")
    (folder / "data" / "notes.csv").write_text("\n".join(lines) + "\n")
    options: dict[str, Any] = {"quiet": True, "device": "cpu", "threads": 1, "sample_every": 0.0, "budget": "3r"}
    result = train("gansynth", folder / "data", out=folder / "run", config=SMALL, **options)
    assert result["incidents"] == []
    return folder / "run"


def test_samples_of_a_named_pitch(run: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    made = draw(run, count=2, out=tmp_path / "made", attributes=("midi_pitch=C3,instrument=harp",))
    assert soundfile.info(made["files"][0]).frames == LENGTH
    again = draw(run, count=2, out=tmp_path / "again", attributes=("midi_pitch=48,instrument=harp",))
    assert Path(made["files"][0]).read_bytes()[-2000:] == Path(again["files"][0]).read_bytes()[-2000:]
    with pytest.raises(GanvasError, match="midi_pitch is never 'C7'"):
        draw(run, count=2, out=tmp_path / "never", attributes=("midi_pitch=C7",))


def test_midi_and_text_are_played_and_notes_out_of_range_are_told(run: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    mido = pytest.importorskip("mido")
    track, other = mido.MidiTrack(), mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))
    for pitch, velocity in ((48, 127), (52, 32), (72, 127)):
        track += [
            mido.Message("note_on", note=pitch, velocity=velocity), mido.Message("note_off", note=pitch, time=480)
        ]  # fmt: skip
    other += [mido.Message("note_on", channel=1, note=50, velocity=64), mido.Message("note_off", channel=1, note=50, time=480)]
    mido.MidiFile(type=1, ticks_per_beat=480, tracks=[track, other]).save(tmp_path / "tune.mid")
    (tmp_path / "tune.txt").write_text("; a remark\ntempo=60 C3:0.5 - D3+F3:0.5\n")
    made = apply(run, [tmp_path / "tune.mid"], verb="play", out=tmp_path / "out")
    assert any("1 note out of range moved by octaves (C5)" in note for note in made["notes"])
    wave, rate = soundfile.read(made["files"][0])
    assert rate == RATE
    assert len(wave) == pytest.approx(3 * RATE, abs=0.05 * RATE)
    loud, soft = (np.abs(wave[int(start * RATE) : int((start + 0.5) * RATE)]).max() for start in (0.0, 1.0))
    assert loud > soft > 0
    with pytest.raises(DataError, match=r"C5 out of range, the run plays C3 to B3: leave --strict out"):
        apply(run, [tmp_path / "tune.mid"], verb="play", out=tmp_path / "strict", strict=True)
    with pytest.raises(GanvasError, match="midi_pitch is said by the notes"):
        apply(run, [tmp_path / "tune.txt"], verb="play", out=tmp_path / "odd", attributes=("midi_pitch=50",))
    plain = apply(run, [tmp_path / "tune.txt"], verb="play", out=tmp_path / "plain")
    wandering = apply(run, [tmp_path / "tune.txt"], verb="play", out=tmp_path / "wandering", wander=True)
    waves = [soundfile.read(own["files"][0])[0] for own in (plain, wandering)]
    assert len(waves[0]) == pytest.approx(2 * RATE, abs=0.05 * RATE)
    assert not np.array_equal(waves[0][-RATE:], waves[1][-RATE:])
    (tmp_path / "bad.txt").write_text("C3 H7\n")
    with pytest.raises(DataError, match="line 1: 'H7' is no note"):
        apply(run, [tmp_path / "bad.txt"], verb="play", out=tmp_path / "bad")


def test_a_sound_is_answered_by_its_pitch_and_evaluation_listens(run: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "given.wav", tone(50), RATE)
    soundfile.write(tmp_path / "silence.wav", np.zeros(LENGTH), RATE)
    made = apply(run, [tmp_path / "given.wav", tmp_path / "silence.wav"], verb="play", out=tmp_path / "out")
    loud = {Path(name).stem: float(np.abs(soundfile.read(name)[0]).max()) for name in made["files"]}
    assert loud["given"] > 0
    assert loud["silence"] == 0
    opened = Run(run, which="last")
    found = measure(opened.work(0), data_of(opened), 8)
    assert set(found) == {"pitch_right", "coherence"}
    assert found["pitch_right"].more["real"] == 1
    assert 0 <= found["pitch_right"].value <= 1


# The proof


def test_the_mark_asks_for_pitch_and_coherence() -> None:
    def row(**own: float) -> Row:
        good, bad = {"right": 0.8, "coherence": 0.7}, {"right": 0.5, "coherence": 0.4}
        return Row(0, {}, {"system": good | own, "baseline": bad, "specgan": bad})

    assert met([row()] * 3)
    for lower in ({"right": 0.45}, {"coherence": 0.45}):
        assert not met([row(**lower)] * 3)


def test_the_estimator_knows_pitches_and_coherence_knows_noise() -> None:
    for pitch in (48, 60, 71):
        wave = tone(pitch, 16384, 16000)
        hertz = fundamental(wave, 16000)
        assert abs(float(semitones_off(np.array([hertz]), np.array([pitch]))[0])) < 0.1
        assert coherence(wave, 16000, hertz) > 0.95
    assert np.isnan(fundamental(np.zeros(16384), 16000))
    noise = np.random.default_rng(0).standard_normal(16384)
    assert coherence(noise, 16000, 200.0) < 0.2


def test_specgan_plays_the_notes_of_the_proof_too(tmp_path: Path) -> None:
    """It is told classes, pitch and instrument in one, and has no rows of a table."""
    task = Task(0, "notes", True, tmp_path / "arm", "2r", True, lambda text: None)
    found = PROOF.arms["specgan"](task)
    assert 0 <= found.value <= 1
    assert found.more["rounds"] == 2
    assert found.more["real"]["right"] > 0.9
