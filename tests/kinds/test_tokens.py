"""Sequences of symbols: what is read of text, tables, arrays and MIDI, what is refused, what is written, how it is judged."""

from __future__ import annotations

import builtins
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganvas.data.dataset import Dataset, open_data
from ganvas.data.phantoms import make_phantom
from ganvas.data.phantoms.melodies import SYMBOLS, chord_at
from ganvas.errors import DataError, GanvasError, MissingExtra
from ganvas.evaluation import evaluate
from ganvas.kinds import decode, encode, kind_of, spec_from_dict
from ganvas.kinds.tokens.files import encode_melody, melody_symbols, read_held
from ganvas.kinds.tokens.spec import TokensSpec, texts
from ganvas.metrics.bleu import bleu, self_bleu
from ganvas.specs import spec_to_dict
from ganvas.store.midi import Note, grid_of, steps_of

mido = pytest.importorskip("mido")

TOKENS = kind_of("tokens")
POEMS = ["床前明月光 疑是地上霜 舉頭望明月 低頭思故鄉", "白日依山盡 黃河入海流 欲窮千里目 更上一層樓"]


def opened(source: Path, **more: Any) -> Dataset:
    return open_data(source, progress=False, kinds=("tokens",), **more)


def told(data: Dataset) -> list[list[str]]:
    return [texts(row, data.spec) for row in data.values]  # type: ignore[arg-type]


def noted(data: Dataset, text: str) -> bool:
    return any(text in note for note in data.notes)


def saved(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# Text


def test_words_are_what_stands_between_spaces(tmp_path: Path) -> None:
    data = opened(saved(tmp_path / "a.txt", "\ufeffthe cat sat\n\nthe dog  ran off\r\na cat\n"))
    assert told(data) == [["the", "cat", "sat"], ["the", "dog", "ran", "off"], ["a", "cat"]]
    spec = data.spec
    assert isinstance(spec, TokensSpec)
    assert (spec.length, spec.joined, spec.format, spec.ends) == (4, " ", "txt", True)
    assert spec.symbols == ("", "a", "cat", "dog", "off", "ran", "sat", "the")
    assert data.values.dtype == np.int32
    assert noted(data, "1 empty line left out")
    assert noted(data, "2 of 3 sequences are shorter than 4 symbols")
    assert spec_from_dict(spec_to_dict(spec)) == spec


def test_verse_without_spaces_between_words_is_read_by_characters(tmp_path: Path) -> None:
    data = opened(saved(tmp_path / "a.txt", "\n".join(POEMS)))
    assert ["".join(own) for own in told(data)] == POEMS
    assert data.spec.length == 23  # type: ignore[union-attr]
    assert not data.spec.ends  # type: ignore[union-attr]
    assert noted(data, "a symbol is a character, a space is one too")


def test_lines_without_any_space_are_read_by_characters(tmp_path: Path) -> None:
    assert told(opened(saved(tmp_path / "a.txt", "abc\nabd\n"))) == [["a", "b", "c"], ["a", "b", "d"]]


def test_longer_lines_are_cut_or_give_pieces(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.txt", "a b c d e f g\na c\n")
    data = opened(file, size=3)
    assert told(data) == [["a", "b", "c"], ["a", "c"]]
    assert noted(data, "1 of 2 sequences are longer than 3 symbols and were cut there")
    data = opened(file, size=3, fit="patches")
    assert told(data) == [["a", "b", "c"], ["d", "e", "f"], ["a", "c"]], "the last piece fills less than half"
    assert data.groups[0] == data.groups[1] != data.groups[2]
    assert opened(saved(tmp_path / "b.txt", " ".join("ab" * 50) + "\na b\n")).spec.length == 64  # type: ignore[union-attr]


def test_equal_lines_are_on_one_side_of_the_split(tmp_path: Path) -> None:
    lines = [f"a b {k}" for k in range(30)]
    data = opened(saved(tmp_path / "a.txt", "\n".join(lines + lines)))
    for k in range(30):
        assert data.heldout[k] == data.heldout[30 + k]


def test_folders_give_labels_and_groups_csv_the_split(tmp_path: Path) -> None:
    for name in ("happy", "sad"):
        (tmp_path / "set" / name).mkdir(parents=True)
        saved(tmp_path / "set" / name / "1.txt", f"i am {name}\nwe are {name}\n")
    data = opened(tmp_path / "set")
    assert data.spec.classes == ("happy", "sad")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 1, 1]


# Tables and arrays


def test_tables_of_symbols(tmp_path: Path) -> None:
    data = opened(saved(tmp_path / "a.csv", '# a remark\nx,y,"a, b"\nx,y,\n'))
    assert told(data) == [["x", "y", "a, b"], ["x", "y"]]
    assert told(opened(saved(tmp_path / "a.tsv", "x\ty z\nz\tx\n"))) == [["x", "y z"], ["z", "x"]]
    assert told(opened(saved(tmp_path / "b.csv", "1;2\n2;10\n"))) == [["1", "2"], ["2", "10"]]
    assert opened(tmp_path / "b.csv").spec.symbols == ("1", "2", "10")  # type: ignore[union-attr]


def test_arrays_of_indices_keep_symbols_that_do_not_occur(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", tokens=np.array([[0, 2], [2, -1]]), symbols=np.array(["a", "b", "c"]))
    data = opened(tmp_path / "a.npz")
    assert told(data) == [["a", "c"], ["c"]]
    assert data.spec.symbols == ("", "a", "b", "c")  # type: ignore[union-attr]
    np.savez(tmp_path / "b.npz", tokens=np.array([[0, 11], [3, 3]], np.uint8))
    data = opened(tmp_path / "b.npz")
    assert data.spec.symbols == tuple(str(k) for k in range(12))  # type: ignore[union-attr]
    assert data.values.tolist() == [[0, 11], [3, 3]], "without an end the index is the number"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 2), int)}, "holds x: name the indices (N, T) 'tokens'"),
        ({"tokens": np.zeros((2, 2))}, "tokens are float64 (2, 2): give whole numbers"),
        ({"tokens": np.zeros(4, int)}, "tokens are int64 (4,)"),
        ({"tokens": np.array([[0, -2]])}, "tokens run from -2 to 0"),
        ({"tokens": np.array([[0, 3]]), "symbols": np.array(["a", "b"])}, "tokens run from 0 to 3: give 0 to 1"),
        ({"tokens": np.array([[0, 1]]), "symbols": np.array(["a", "a"])}, "equal or empty entries"),
        ({"tokens": np.array([[0, -1, 1]])}, "row 0 goes on behind its end"),
        ({"tokens": np.array([[-1, -1]])}, "no row has a symbol before its end"),
        ({"tokens": np.array([[0, 2**40]])}, "number the symbols from 0 without gaps"),
        ({"tokens": np.array([[0, 1]]), "rate": np.array(0)}, "'rate' 0 is not a number of steps a beat"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError) as caught:
        opened(tmp_path / "a.npz")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("a.txt", b"", "empty: write one sequence a line"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-8 text (byte 0)"),
        ("a.txt", b"a\x00b\n", "holds zero bytes"),
        ("a.txt", b"a a\na a a\n", "holds one symbol only ('a')"),
        ("a.csv", b"# only a remark\n", "empty: write one sequence a line"),
        ("a.csv", b"a,,b\n", "line 1 has an empty cell within"),
        ("a.csv", b'a,"b\n', "not a CSV table"),
        ("a.csv", b",,\n", "no line has a symbol"),
        ("a.npz", b"PK\x03\x04", "not a readable NumPy file"),
        ("a.mid", b"MThd", "cannot be read as MIDI"),
        ("a.mid", b"", "cannot be read as MIDI"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, name: str, body: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(DataError) as caught:
        opened(tmp_path / name)
    assert message in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"size": 1}, "--size 1: of sequences it is the number of symbols, 2 to 4096"),
        ({"size": (8, 8)}, "of sequences it is the number of symbols"),
        ({"channels": 1}, "--channels means nothing to sequences"),
        ({"rate": 4}, "--rate 4 is for MIDI files"),
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path: Path, given_settings: dict[str, Any], message: str) -> None:
    with pytest.raises(GanvasError, match=message):
        opened(saved(tmp_path / "a.txt", "a b\nb c\n"), **given_settings)


def test_ways_to_write_do_not_mix_and_bad_files_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    saved(tmp_path / "set" / "a.txt", "a b\nb c\n")
    (tmp_path / "set" / "b.txt").write_bytes(b"\xff")
    data = opened(tmp_path / "set")
    assert len(data) == 2
    assert noted(data, "skipped")
    with pytest.raises(DataError, match="not UTF-8"):
        opened(tmp_path / "set", strict=True)
    saved(tmp_path / "set" / "c.csv", "a,b\n")
    with pytest.raises(DataError, match=r"mixes ways to write sequences: text \(a.txt\), table \(c.csv\)"):
        opened(tmp_path / "set")


# MIDI


def midi(
    path: Path, parts: list[list[tuple[float, float, int]]], names: tuple[str, ...] = (), channel: int = 0,
    tempos: tuple[tuple[float, float], ...] = (),
) -> Path:  # fmt: skip
    """A file with a track a part; notes are (start, end, pitch), in beats. tempos: (from which beat on, beats a minute)."""
    file = mido.MidiFile(ticks_per_beat=480)
    if tempos:
        track, passed = mido.MidiTrack(), 0
        for beat, tempo in tempos:
            track.append(mido.MetaMessage("set_tempo", tempo=round(6e7 / tempo), time=round(beat * 480) - passed))
            passed = round(beat * 480)
        file.tracks.append(track)
    for number, notes in enumerate(parts):
        track = mido.MidiTrack()
        if names:
            track.append(mido.MetaMessage("track_name", name=names[number]))
        events = [(a, 1, p) for a, _, p in notes] + [(b, 0, p) for _, b, p in notes]
        passed = 0
        for beat, on, pitch in sorted(events):
            tick = round(beat * 480)
            kind = "note_on" if on else "note_off"
            track.append(mido.Message(kind, note=pitch, velocity=64 * on, time=tick - passed, channel=channel))
            passed = tick
        file.tracks.append(track)
    file.save(path)
    return path


TUNE = [(0.0, 1.0, 60), (1.0, 1.5, 64), (1.5, 2.0, 64), (2.5, 4.0, 67)]


def test_a_melody_on_a_grid(tmp_path: Path) -> None:
    data = opened(midi(tmp_path / "a.mid", [TUNE * 1]))
    assert told(data) == [["60", "hold", "64", "64", "rest", "67", "hold", "hold"]]
    spec = data.spec
    assert isinstance(spec, TokensSpec)
    assert (spec.rate, spec.tempo, spec.format, spec.length) == (2, 120.0, "mid", 8)
    finer = opened(tmp_path / "a.mid", rate=4)
    assert told(finer)[0][:4] == ["60", "hold", "hold", "hold"]


@pytest.mark.parametrize(
    ("tempos", "lasting", "several"),
    [
        (((0, 60), (1, 150)), 150, True),  # a slow first bar
        (((0, 150), (12, 60)), 150, False),  # the end of the piece, where nothing follows
        (((0, 200), (2, 40)), 40, True),
        (((0, 100), (3, 120), (4, 100), (9, 120)), 100, True),  # what comes back counts together
        (((2, 90), (2.5, 60)), 60, True),  # before the first one, the usual 120
        (((0, 90),), 90, False),
        ((), 120, False),
    ],
)
def test_of_several_tempos_the_one_that_lasts_longest_counts(
    tempos: tuple[tuple[float, float], ...], lasting: float, several: bool, tmp_path: Path
) -> None:
    tune = [(k * 1.0, k + 1.0, 60 + k) for k in range(12)]
    data = opened(midi(tmp_path / "a.mid", [tune], tempos=tempos))
    assert data.spec.tempo == pytest.approx(lasting, rel=1e-4)  # type: ignore[union-attr]
    assert noted(data, "1 file with several tempos: the one that lasts longest counts") == several


def test_the_melody_is_the_named_or_the_highest_lasting_part(tmp_path: Path) -> None:
    chords = [(k * 1.0, k + 1.0, p) for k in range(4) for p in (40, 44, 47 + k)]
    high = [(0.0, 0.25, 100)]
    assert told(opened(midi(tmp_path / "a.mid", [chords, TUNE, high])))[0][0] == "60"
    assert told(opened(midi(tmp_path / "b.mid", [chords, TUNE], ("Melody", "x"))))[0][0] == "47", "of several notes the highest"
    with pytest.raises(DataError, match="no notes but drums"):
        opened(midi(tmp_path / "c.mid", [TUNE], channel=9))


def test_a_note_under_a_higher_one_comes_back() -> None:
    steps = steps_of([Note(0, 2, 60), Note(0.5, 1, 72)], 2)
    assert melody_symbols(steps) == ["60", "72", "60", "hold"]
    assert melody_symbols(steps[3:]) == ["60"], "what began before a piece begins anew in it"


def test_the_grid_is_the_coarsest_that_notes_keep_to() -> None:
    assert grid_of([[Note(k, k + 1, 60) for k in range(8)]])[0] == 1
    assert grid_of([[Note(k / 3, k / 3 + 0.3, 60) for k in range(24)]])[0] == 3
    assert grid_of([[Note(k / 4 + 0.01, k / 4 + 0.2, 60) for k in range(24)]])[0] == 4


def test_pieces_of_a_tune_stay_together_and_silence_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for k in range(6):
        notes = [(i / 2, i / 2 + 0.5, 60 + (i * (k + 1)) % 12) for i in range(40)] + [(60.0, 61.0, 60 + k)]
        midi(tmp_path / "set" / f"{k}.mid", [notes])
    data = opened(tmp_path / "set", size=16)
    assert noted(data, "without a note left out")
    assert len(np.unique(data.groups)) == 6
    alone = opened(midi(tmp_path / "one.mid", [[(i / 2, i / 2 + 0.5, 50 + i % 17) for i in range(400)]]), size=16)
    assert alone.heldout.any()
    assert noted(alone, "one melody")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["60", "61", "72", "hold", "rest"]), min_size=2, max_size=24), st.sampled_from([1, 2, 3, 12]))
def test_what_is_written_as_midi_is_read_again(tmp_path_factory: pytest.TempPathFactory, symbols: list[str], rate: int) -> None:
    path = tmp_path_factory.mktemp("midi") / "a.mid"
    path.write_bytes(encode_melody(symbols, rate, 96.0, "SYNTHETIC"))
    heard, before = [], "rest"
    for symbol in symbols:  # a hold of nothing is silence
        before = "rest" if symbol == "hold" and before == "rest" else symbol
        heard.append(before)
    if all(symbol == "rest" for symbol in heard):
        with pytest.raises(DataError, match="no notes"):
            read_held(path)
        return
    found = read_held(path)
    assert found.grid == (rate, len(symbols))
    assert found.tempo == pytest.approx(96, rel=1e-4)
    steps = steps_of(found.notes, rate)
    again = melody_symbols(np.pad(steps, ((0, len(symbols) - len(steps)), (0, 0)), constant_values=-1))
    assert again == heard


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["mid", "npz", "csv", "txt"]))
    if kind == "mid":
        body = bytearray(encode_melody(["60", "hold", "rest", "64"] * 4, 2, 120.0, "SYNTHETIC"))
    elif kind == "npz":
        buffer = io.BytesIO()
        np.savez(buffer, tokens=np.arange(12).reshape(3, 4), symbols=np.array(list("abcdefghijkl")))
        body = bytearray(buffer.getvalue())
    else:
        body = bytearray("a,b,c\nd,e,f\n春,天,a\n".encode())
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    path = tmp_path / f"a.{kind}"
    path.write_bytes(bytes(body[:cut] if data.draw(st.booleans()) else body))
    said = ""
    try:
        held = read_held(path)
    except DataError as error:
        said = str(error)
    if said:
        assert "\n" not in said
        assert f"a.{kind}" in said
    else:
        assert held.notes or held.rows or held.lines


def test_without_mido_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = midi(tmp_path / "a.mid", [TUNE])
    real = builtins.__import__

    def refuse(name: str, *more: Any) -> Any:
        if name == "mido":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.delitem(sys.modules, "mido", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtra, match="ganvas\\[tokens\\]"):
        read_held(path)


# Writing


SPEC = TokensSpec(4, ("", "a", "b", "c"))
RECORDS = np.array([[1, 2, 3, 3], [2, 0, 0, 0], [1, 1, 0, 2]], np.int32)
ROWS = [["a", "b", "c", "c"], ["b"], ["a", "a"]]


@pytest.mark.parametrize("format", ["txt", "csv", "npz"])
def test_what_is_written_is_read_again(tmp_path: Path, format: str) -> None:
    (path,) = TOKENS.write(RECORDS, SPEC, tmp_path, format=format, depth=None, note={"system": "seqgan"})
    assert told(opened(path)) == ROWS
    if format == "txt":
        assert path.name == "synthetic.txt"
        assert path.read_text() == "a b c c\nb\na a\n"
    else:
        content = path.read_text() if format == "csv" else str(np.load(path)["note"])
        assert "SYNTHETIC" in content
        assert "seqgan" in content


def test_melodies_are_written_as_midi_that_says_it_is_synthetic(tmp_path: Path) -> None:
    made = make_phantom("melodies", 3, 1)
    assert isinstance(made.spec, TokensSpec)
    paths = TOKENS.write(made.values, made.spec, tmp_path, format="mid", depth=None, note={"seed": "1"})
    assert [path.name for path in paths] == ["sample-0001.mid", "sample-0002.mid", "sample-0003.mid"]
    texts_of = [m.text for m in mido.MidiFile(paths[0]).tracks[0] if m.type == "text"]
    assert "SYNTHETIC" in texts_of[0]
    data = opened(tmp_path)
    assert (data.spec.length, data.spec.rate) == (32, 2)  # type: ignore[union-attr]
    for own, row in zip(told(data), made.values, strict=True):
        first = texts(row, made.spec)
        assert [s for s in own if s.isdigit()] == [s for s in first if s.isdigit()]


def test_formats_that_cannot_hold_them_are_refused(tmp_path: Path) -> None:
    common: dict[str, Any] = {"depth": None, "note": {}}
    with pytest.raises(GanvasError, match="--format mid is for melodies"):
        TOKENS.write(RECORDS, SPEC, tmp_path, format="mid", **common)
    with pytest.raises(GanvasError, match="symbols apart that hold spaces"):
        TOKENS.write(RECORDS, TokensSpec(4, ("", "a", "b b", "c")), tmp_path, format="txt", **common)
    with pytest.raises(GanvasError, match="--depth means nothing"):
        TOKENS.write(RECORDS, SPEC, tmp_path, format="txt", depth=8, note={})


def test_tensors_and_pictures(tmp_path: Path) -> None:
    tensor = encode(RECORDS, SPEC)
    assert tensor.tolist() == RECORDS.tolist()
    assert np.array_equal(decode(tensor.float(), SPEC), RECORDS)
    shown = TOKENS.picture(RECORDS, SPEC)
    assert shown.shape[2] == 3
    made = make_phantom("melodies", 5)
    rolls = TOKENS.picture(made.values, made.spec)
    ink = (rolls == (38, 70, 120)).all(2).sum()
    assert ink > 5 * 10 * 8 * 4, "a step is 8 by 4 pixels"
    verse = opened(saved(tmp_path / "p.txt", "\n".join(POEMS)))
    drawn = TOKENS.picture(verse.values, verse.spec)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 30, "a colour a sign, where no font knows it"


# Judging


def test_features_go_by_the_text_of_symbols_and_not_by_their_number() -> None:
    other = TokensSpec(4, ("", "c", "x", "a", "b"))
    mapped = np.array([[3, 4, 1, 1], [4, 0, 0, 0], [3, 3, 0, 0]], np.int32)
    assert np.array_equal(TOKENS.vectors(RECORDS, SPEC), TOKENS.vectors(mapped, other))
    first = TOKENS.vectors(np.array([[1, 2, 3, 0], [2, 1, 3, 0], [1, 2, 3, 3]], np.int32), SPEC)
    assert first.shape == (3, 512)
    assert np.array_equal(first[0, :256], first[1, :256]), "the same symbols"
    assert not np.array_equal(first[0, 256:], first[1, 256:]), "in another order"
    assert not np.array_equal(first[0], first[2])


def test_bleu_agrees_with_what_is_worked_out_by_hand() -> None:
    references = [["the", "cat", "is", "on", "the", "mat"], ["there", "is", "a", "cat", "on", "the", "mat"]]
    made = ["the", "the", "the", "cat", "mat"]
    # 1-grams: the 2 of 3, cat, mat: 4 of 5. 2-grams: `the cat` alone: 1 of 4. The nearest reference has 6: exp(1 - 6/5).
    wanted = np.exp(1 - 6 / 5) * np.sqrt(4 / 5 * 1 / 4)
    assert bleu([made], references, 2)[0] == pytest.approx(wanted)
    assert bleu([references[0]], references, 4)[0] == pytest.approx(1)
    assert bleu([[]], references, 2)[0] == 0
    assert bleu(["dog"], ["cat"], 1)[0] == pytest.approx(0.1 / 3)  # letters; no match counts as a tenth of one
    with pytest.raises(ValueError, match="references"):
        bleu([made], [], 2)


def test_self_bleu_leaves_each_sequence_out_of_its_references() -> None:
    made = ["abcd", "abce", "xyzw", "ab"]
    for order in (1, 2, 3):
        for k, value in enumerate(self_bleu(made, order)):
            assert value == pytest.approx(bleu([made[k]], made[:k] + made[k + 1 :], order)[0])
    assert self_bleu(["abcd", "abcd"], 3).tolist() == [1, 1]


def test_planted_copies_of_poems_are_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    signs = [chr(0x4E00 + k) for k in range(300)]
    weights = 1 / np.arange(1, 301)

    def poems(count: int) -> list[str]:
        drawn = rng.choice(signs, (count, 20), p=weights / weights.sum())
        return [" ".join("".join(row[k : k + 5]) for k in range(0, 20, 5)) for row in drawn]

    real = poems(600)
    source = saved(tmp_path / "real.txt", "\n".join(real))
    data = opened(source)
    train = [real[k] for k in data.train_indices()]
    made = poems(200)
    clean = evaluate(saved(tmp_path / "clean.txt", "\n".join(made)), source, kind="tokens", anchors=False)
    copied = made[:190] + train[:10]
    caught = evaluate(saved(tmp_path / "copied.txt", "\n".join(copied)), source, kind="tokens", anchors=False)
    assert clean["memorisation"]["verdict"] != "copies"
    assert clean["memorisation"]["near_copies"]["value"] < caught["memorisation"]["near_copies"]["value"]
    assert caught["memorisation"]["verdict"] not in (None, clean["memorisation"]["verdict"])
    assert clean["features"]["name"].startswith("symbols+pairs/")
    assert 0 < clean["bleu_2"]["value"] < 1
    assert clean["bleu_2"]["low"] < clean["bleu_2"]["value"] < clean["bleu_2"]["high"]
    assert abs(clean["bleu_2"]["value"] - clean["bleu_2"]["real"]) < 0.05, "both are drawn alike"
    assert caught["self_bleu_2"]["protocol"] == "self-bleu-2/mean of sequences/n=200"


# The phantom


def test_melodies_keep_to_their_chords() -> None:
    made = make_phantom("melodies", 200, 0)
    on, steps = 0, 0
    for row, fact in zip(made.values, made.facts, strict=True):
        for step in range(0, 32, 4):
            pitch = SYMBOLS[row[step]]
            on += int(pitch) % 12 in chord_at(fact["mode"], fact["key"], step)
            steps += 1
    assert on == steps
    assert make_phantom("melodies:minor", 4).labels is None


def test_real_melodies_and_poems(real_data: Path) -> None:
    tunes = opened(real_data / "nottingham-midi", limit=60)
    assert (tunes.spec.rate, tunes.spec.length) == (2, 32)  # type: ignore[union-attr]
    assert len(tunes) == 60
    assert all(30 < int(s) < 100 for own in told(tunes) for s in own if s.isdigit())
    poems = opened(real_data / "tang-quatrains" / "5-char.txt")
    assert poems.spec.length == 23  # type: ignore[union-attr]
    assert all(own[5] == own[11] == own[17] == " " for own in told(poems)[:200])


def test_captions_become_words_with_an_end(tmp_path: Path) -> None:
    from ganvas.kinds import kind_of, spec_from_dict
    from ganvas.kinds.tokens.captions import words_of
    from ganvas.store.cache import Cache

    assert words_of("A frog's  well-fed, GREEN\nfriend!") == ["a", "frog's", "well-fed", ",", "green", "friend", "!"]
    kind = kind_of("tokens")
    cells = {"caption": ["A frog.", "A green frog.", "", "An owl."]}
    entry = Cache(tmp_path).make("k", lambda writer: kind.fill_texts(writer, cells, {"size": (64, 64)}))
    spec = spec_from_dict(entry.facts["spec"])
    assert (spec.length, spec.joined, spec.ends) == (4, " ", True)
    assert set(spec.symbols) == {"", "a", "an", "frog", "green", "owl", "."}
    rows = [" ".join(spec.symbols[k] for k in row if k) for row in entry.values]
    assert rows == ["a frog .", "a green frog .", "", "an owl ."]
    assert any("1 of 4 captions are empty" in note for note in entry.facts["notes"])
    row, notes = kind.encode_text("A green frogg!", spec)
    assert [spec.symbols[k] for k in row[0]] == ["a", "green", "", ""] and row.shape == (1, 4)
    assert "'frogg'" in notes[0] and "frog" in notes[0].replace("'frogg'", "") and "'!'" in notes[0]
    assert kind.encode_text("a frog .", spec)[1] == []
    assert "cut at 4" in kind.encode_text("a a a a a", spec)[1][0]
    with pytest.raises(DataError, match="none of its words"):
        kind.encode_text("zebra", spec)
    with pytest.raises(DataError, match="one column"):
        kind.fill_texts(None, {"a": [], "b": []}, {})
