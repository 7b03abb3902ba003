"""Sound: what is read of files and what is refused, how recordings become clips, and files that are written."""

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

soundfile = pytest.importorskip("soundfile")

from ganvas.data.dataset import Dataset, open_data  # noqa: E402
from ganvas.errors import DataError, GanvasError, MissingExtra  # noqa: E402
from ganvas.kinds import (  # noqa: E402
    decode,
    encode,
    kind_of,
)
from ganvas.kinds.facets import Levelled  # noqa: E402
from ganvas.kinds.sound.files import encode_sound, read_header, read_recording, resample  # noqa: E402
from ganvas.kinds.sound.lengths import clips_of, rounded  # noqa: E402
from ganvas.kinds.sound.loudness import integrated_loudness  # noqa: E402
from ganvas.kinds.sound.spec import SoundSpec  # noqa: E402
from ganvas.kinds.sound.spectra import log_mel  # noqa: E402

RATE = 8000
SOUND = kind_of("sound")


def tone(frames: int, frequency: float = 440.0, rate: int = RATE, height: float = 0.5) -> np.ndarray:
    return (height * np.sin(2 * np.pi * frequency * np.arange(frames) / rate)).astype(np.float32)


def opened(source: Path, **more: Any) -> Dataset:
    return open_data(source, progress=False, **more)


def noted(data: Dataset, text: str) -> bool:
    return any(text in note for note in data.notes)


# Reading


@pytest.mark.parametrize(
    ("name", "subtype", "depth", "error"),
    [
        ("a.wav", "PCM_U8", 8, 1 / 128),
        ("a.wav", "PCM_16", 16, 1 / 32768),
        ("a.wav", "PCM_24", 24, 1e-6),
        ("a.wav", "PCM_32", 32, 1e-6),
        ("a.wav", "FLOAT", 32, 0),
        ("a.wav", "DOUBLE", 32, 0),
        ("a.wav", "ULAW", 16, 0.05),
        ("a.flac", "PCM_16", 16, 1 / 32768),
        ("a.flac", "PCM_24", 24, 1e-6),
        ("a.aiff", "PCM_16", 16, 1 / 32768),
        ("a.ogg", "VORBIS", 16, 0.1),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_files_of_every_kind_and_depth_are_read(
    tmp_path: Path, name: str, subtype: str, depth: int, error: float, channels: int
) -> None:
    wave = np.stack([tone(4000, 440 + 100 * c) for c in range(channels)], 1)
    soundfile.write(tmp_path / name, wave, RATE, subtype)
    header = read_header(tmp_path / name)
    assert (header.frames, header.rate, header.channels, header.depth) == (4000, RATE, channels, depth)
    found = read_recording(tmp_path / name, RATE, channels)
    assert found.samples.dtype == np.float32
    assert np.abs(found.samples - wave).max() <= error


def test_mp3_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", tone(16000, rate=16000), 16000, "MPEG_LAYER_III")
    found = read_recording(tmp_path / "a.mp3", 16000, 1)
    assert abs(len(found.samples) - 16000) < 3000  # the format pads
    spectrum = np.abs(np.fft.rfft(found.samples[2000:10000, 0]))
    assert spectrum.argmax() == 220  # 440 Hz in half a second


def test_channels_are_mixed_and_doubled(tmp_path: Path) -> None:
    left, right = tone(500, 300), tone(500, 700)
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], 1), RATE, "FLOAT")
    soundfile.write(tmp_path / "one.wav", left, RATE, "FLOAT")
    soundfile.write(tmp_path / "three.wav", np.stack([left] * 3, 1), RATE, "FLOAT")
    assert np.allclose(read_recording(tmp_path / "two.wav", RATE, 1).samples[:, 0], (left + right) / 2)
    assert np.array_equal(read_recording(tmp_path / "one.wav", RATE, 2).samples, np.stack([left, left], 1))
    with pytest.raises(DataError, match=r"three.wav has 3 channels: mix it to mono with --channels 1"):
        read_recording(tmp_path / "three.wav", RATE, 2)


@pytest.mark.parametrize(("rate", "wanted"), [(16000, 8000), (44100, 16000), (8000, 44100), (44100, 48000)])
def test_resampling_keeps_what_fits_and_removes_what_does_not(rate: int, wanted: int) -> None:
    lower = min(rate, wanted)
    low = tone(rate, 0.9 * lower / 2, rate)[:, None]
    made = resample(low, rate, wanted)
    assert len(made) == wanted
    middle = slice(wanted // 4, 3 * wanted // 4)
    assert np.sqrt(np.mean(made[middle] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    right = 0.5 * np.sin(2 * np.pi * 0.9 * lower / 2 * np.arange(wanted) / wanted)
    assert np.abs(made[middle, 0] - right[middle]).max() < 0.01
    if rate > wanted:
        high = resample(tone(rate, 1.01 * wanted / 2, rate)[:, None], rate, wanted)
        assert np.sqrt(np.mean(high[middle] ** 2)) < 1e-4


def test_louder_than_full_scale_is_turned_down_as_a_whole_and_told(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", tone(500, height=2.0), RATE, "FLOAT")
    soundfile.write(tmp_path / "other.wav", tone(500), RATE, "FLOAT")
    data = opened(tmp_path, size=500)
    assert np.abs(data.values[0]).max() == pytest.approx(1.0)
    assert np.allclose(data.values[0], tone(500, height=1.0)[:, None] / np.abs(tone(500, height=1.0)).max(), atol=1e-4)
    assert noted(data, "louder than full scale and turned down (loud.wav)")


def test_clipping_offset_and_silence_are_told(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "cut.wav", np.clip(tone(800, height=2.0), -1, 1), RATE)
    soundfile.write(tmp_path / "fine.wav", tone(800, 50.0, height=0.99), RATE)
    soundfile.write(tmp_path / "moved.wav", tone(800) + 0.1, RATE)
    soundfile.write(tmp_path / "quiet.wav", np.zeros(800), RATE)
    data = opened(tmp_path, size=800)
    assert noted(data, "peaks are cut off flat (the recording level was too high) (cut.wav)")
    assert noted(data, "off zero (a high-pass filter mends it) (moved.wav)")
    assert noted(data, "1 of 4 clips are silent, below -60 dB (quiet.wav)")


# Damaged files


def whole(format: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([tone(2000), tone(2000, 300)], 1), RATE, format=format)
    return buffer.getvalue()


WHOLE = {".wav": whole("WAV"), ".flac": whole("FLAC"), ".aiff": whole("AIFF"), ".ogg": whole("OGG"), ".mp3": whole("MP3")}


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".flac"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(WHOLE[suffix][: int(share * len(WHOLE[suffix]))])
    with pytest.raises(DataError) as caught:
        read_recording(path, RATE, 1)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_a_wav_from_a_pipe_has_no_length_and_is_read(tmp_path: Path) -> None:
    body = bytearray(WHOLE[".wav"])
    at = body.index(b"data") + 4
    body[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(body)
    assert len(read_recording(tmp_path / "a.wav", RATE, 1).samples) == 2000


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(sorted(WHOLE)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12),
    near=st.booleans(),
    kept=st.floats(0, 1),
)
def test_damaged_files_are_read_or_refused_in_one_line(
    tmp_path: Path, suffix: str, changes: list[tuple[float, int]], near: bool, kept: float
) -> None:
    body = bytearray(WHOLE[suffix])
    for where, value in changes:
        body[int(where * min(len(body) - 1, 80 if near else len(body) - 1))] = value
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(body[: int(kept * len(body)) if kept < 0.8 else len(body)])
    refused, samples = "", np.zeros((1, 1), np.float32)
    try:
        samples = read_recording(path, RATE, 1).samples
    except DataError as error:
        refused = str(error)
    assert not refused or ("\n" not in refused and path.name in refused)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1


def test_what_is_no_sound_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound at all")
    (tmp_path / "none.wav").write_bytes(b"")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), RATE, "FLOAT")
    soundfile.write(tmp_path / "good.wav", tone(300), RATE)
    data = opened(tmp_path, size=300)
    assert len(data) == 1
    assert noted(data, "text.wav cannot be read as sound")
    assert noted(data, "empty.wav holds no sound: take it out")
    assert noted(data, "nan.wav holds 100 values that are NaN, infinite or too large")
    with pytest.raises(DataError, match="empty.wav holds no sound|none.wav cannot be read"):
        opened(tmp_path, size=300, strict=True)
    with pytest.raises(DataError, match="text.wav cannot be read as sound"):
        opened(tmp_path / "text.wav")


def test_without_the_package_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.wav", tone(300), RATE)
    plain = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name == "soundfile":
            raise ImportError(name)
        return plain(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "soundfile")
    with pytest.raises(MissingExtra, match=r"pip install 'ganvas\[sound\]'"):
        opened(tmp_path)


# From files to records


def test_class_folders_rates_and_lengths(tmp_path: Path) -> None:
    for kind, frequency in (("low", 200), ("high", 2000)):
        (tmp_path / kind).mkdir()
        for k in range(5):
            soundfile.write(tmp_path / kind / f"{k}.wav", tone(3000 + 300 * k, frequency), RATE)
    soundfile.write(tmp_path / "high" / "odd.wav", tone(8000, 2000, 16000), 16000)
    data = opened(tmp_path)
    assert data.spec == SoundSpec(4352, RATE, 1, 16, ("high", "low"))
    assert data.values.shape == (11, 4352, 1)
    assert data.values.dtype == np.float32
    assert data.labels is not None
    spectra = np.abs(np.fft.rfft(data.values[:, :3000, 0], axis=1)).argmax(1) * RATE / 3000
    assert np.allclose(spectra, np.where(data.labels == 1, 200, 2000), atol=3)
    assert (data.values[:, 3000:, 0][data.labels == 1][0] == 0).all()
    assert noted(data, "1 of 11 files were resampled to 8000 Hz, the most common rate (--rate chooses): 1 of 16000 Hz")
    assert noted(data, "11 of 11 files are shorter than 4352 samples")
    assert len(np.unique(data.groups)) == 11


def test_a_file_of_one_sample_is_named(tmp_path: Path) -> None:
    for k in range(5):
        soundfile.write(tmp_path / f"{k}.wav", tone(4000, 200 + 10 * k), RATE)
    soundfile.write(tmp_path / "one.wav", np.full(1, 0.1), RATE)
    assert noted(opened(tmp_path), "less than 1% of a clip, and the rest silence: take them out (one.wav)")


def test_a_length_that_was_found_and_the_same_asked_for_are_one_data_set(tmp_path: Path) -> None:
    for k in range(4):
        soundfile.write(tmp_path / f"{k}.wav", tone(3000, 200 + 50 * k), RATE)
    found = opened(tmp_path)
    assert opened(tmp_path, size=3072, rate=RATE).fingerprint == found.fingerprint
    assert opened(tmp_path, size=2048).fingerprint != found.fingerprint


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_one_shots_stay_whole_at_any_rate(rate: int) -> None:
    for seconds in (0.2, 0.5, 1.0, 2.5):
        length, consecutive = clips_of(None, [round(seconds * rate)] * 50, rate, None)
        assert not consecutive
        assert seconds * rate <= length <= 1.07 * seconds * rate
        assert clips_of(None, [round(seconds * rate)] * 50, rate, "crop") == (length, False)
    assert clips_of(None, [rate] * 50, rate, "patches") == (min(rounded(1.024 * rate), rounded(rate)), True)


def test_the_length_holds_nearly_all_files_whole_and_recordings_give_clips_of_a_second() -> None:
    assert clips_of(None, [48_000] * 9, 48_000, None) == (49_152, False)
    assert clips_of(None, [16_384] * 9, 16_000, None) == (16_384, False)
    assert clips_of(None, [1000] * 19 + [9000], 8000, None) == (9216, False)
    assert clips_of(None, [1000] * 97 + [9000] * 3, 8000, None) == (1024, False)
    assert clips_of(None, [1000, 1000, 80_000], 8000, None) == (32_768, False), "four seconds at most"
    assert clips_of(None, [60 * 48_000] * 3, 48_000, None) == (49_152, True)
    assert clips_of(None, [60 * 16_000] * 3, 16_000, None) == (16_384, True)
    assert clips_of(None, [60 * 48_000] * 3, 48_000, "crop") == (49_152, False)
    assert clips_of("1000", [], 8000, None) == (1000, False)
    assert clips_of(1000, [3000] * 2, 8000, None) == (1000, False), "one-shots, whatever the length"
    assert clips_of(1000, [40_000] * 2, 8000, None) == (1000, True)
    assert clips_of(30_000, [40_000] * 2, 8000, None) == (30_000, False), "not more than two clips"
    assert clips_of(1000, [40_000] * 2, 8000, "crop") == (1000, False)
    assert clips_of(1000, [3000], 8000, None) == (1000, True), "a lone file is a recording"
    assert clips_of(None, [3 * 8000], 8000, None) == (rounded(1.024 * 8000), True)
    assert clips_of(None, [8000], 8000, None) == (8192, False)
    for wrong in ((64, 64), "a", 8):
        with pytest.raises(GanvasError, match="for sound"):
            clips_of(wrong, [], 8000, None)


def test_lengths_that_are_found_suit_networks_that_multiply_by_two_and_four() -> None:
    for samples in (1, 64, 100, 999, 5381, 44_100, 48_000, 150_000):
        length = rounded(samples)
        assert samples <= length <= max(64, 1.0625 * samples + 1)
        while length >= 64:
            assert length % 2 == 0
            length //= 2


def test_one_shots_at_48_khz_are_one_record_each_and_crop_takes_the_start(tmp_path: Path) -> None:
    rate = 48_000
    for k in range(4):
        soundfile.write(tmp_path / f"{k}.wav", tone(rate, 200 + 50 * k, rate), rate)
    data = opened(tmp_path)
    assert data.values.shape == (4, 49_152, 1)
    assert noted(
        data, "clips of 49152 samples are long to learn: with --rate 16000 they would have 16384, without what is above 8 kHz"
    )
    assert not noted(data, "recordings")
    assert np.abs(data.values[0, rate - 200 : rate]).max() > 0.4
    short = opened(tmp_path, size=16_384)
    assert short.values.shape == (4, 16_384, 1)
    assert np.array_equal(short.values[2], data.values[2, :16_384])
    assert noted(short, "4 of 4 files are longer than 16384 samples (0.341 s) and were cut there")
    assert np.array_equal(opened(tmp_path, size=16_384, fit="crop").values, short.values)
    assert opened(tmp_path, size=16_384, fit="patches").values.shape == (12, 16_384, 1)
    with pytest.raises(
        GanvasError, match="--fit stretch is not for sound: crop takes the start of each file, patches all of it"
    ):
        opened(tmp_path, fit="stretch")


def test_long_recordings_become_consecutive_clips_of_one_group(tmp_path: Path) -> None:
    for k in range(3):
        soundfile.write(tmp_path / f"{k}.wav", tone(32_300 + 400 * k, 100 + 7 * k), RATE, "FLOAT")
    data = opened(tmp_path, size=1000)
    # 32300: 32, the rest of 300 is less than half a clip; 32700: 33; 33100: 33
    assert len(data) == 98
    assert [int((data.groups == g).sum()) for g in np.unique(data.groups)] == [32, 33, 33]
    assert np.allclose(np.concatenate(list(data.values[:2, :, 0])), tone(2000, 100), atol=1e-6)
    assert noted(data, "3 recordings cut into 98 consecutive clips of 1000 samples (0.125 s)")


def test_one_shots_are_taken_from_their_start_even_if_one_is_long(tmp_path: Path) -> None:
    for k, frames in enumerate((900, 800, 5000)):
        soundfile.write(tmp_path / f"{k}.wav", tone(frames, 100 + 7 * k), RATE, "FLOAT")
    data = opened(tmp_path, size=1000)
    assert len(data) == 3
    assert noted(data, "1 of 3 files are longer than 1000 samples (0.125 s) and were cut there")
    assert len(opened(tmp_path, size=1000, fit="patches")) == 7


def test_one_recording_holds_out_a_stretch(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 40000), RATE)
    data = opened(tmp_path / "a.wav", size=1000)
    held = data.heldout_indices()
    assert len(data) == 40
    assert len(held) == 8
    assert noted(data, "the held-out part is a stretch of it")


def test_groups_csv_and_equal_files_stay_together(tmp_path: Path) -> None:
    for k in range(4):
        soundfile.write(tmp_path / f"{k}.wav", tone(500, 100 + 50 * (k // 2 * k)), RATE)  # 0 and 1 are equal
    assert len(np.unique(opened(tmp_path, size=500).groups)) == 3
    (tmp_path / "groups.csv").write_text("file,group,split\n0.wav,a,train\n1.wav,a,train\n2.wav,b,train\n3.wav,c,heldout\n")
    data = opened(tmp_path, size=500)
    assert data.heldout.tolist() == [False, False, False, True]


def test_mono_and_stereo_together_need_a_decision(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(500), RATE)
    soundfile.write(tmp_path / "b.wav", np.stack([tone(500)] * 2, 1), RATE)
    with pytest.raises(DataError, match=r"mixes channels: mono \(1\), stereo \(1\): --channels 1 \(all mono\) or --channels 2"):
        opened(tmp_path)
    assert opened(tmp_path, channels=2).values.shape == (2, 512, 2)
    with pytest.raises(GanvasError, match="--channels 3 is not for sound"):
        opened(tmp_path, channels=3)


def test_the_phantom_makes_sounds_that_tell_its_words_apart() -> None:
    data = opened(Path("words"), phantom_count=60)
    assert data.spec == SoundSpec(2048, 4000, classes=("ya", "ay", "wi", "uw"))
    assert np.abs(data.values).max() <= 1
    assert np.abs(data.values).max(axis=(1, 2)).min() > 0.2
    features = SOUND.vectors(data.values, data.spec)
    train, held = data.train_indices(), data.heldout_indices()
    near = ((features[held][:, None] - features[train]) ** 2).sum(2).argmin(1)
    assert data.labels is not None
    assert (data.labels[train][near] == data.labels[held]).mean() > 0.6
    with pytest.raises(DataError, match="its rate is 4000, not 8000"):
        opened(Path("words"), phantom_count=10, rate=8000)


# Tensors, files, features, pictures


def test_encode_and_decode_are_inverse() -> None:
    spec = SoundSpec(100, RATE, 2)
    values = np.random.default_rng(0).uniform(-1, 1, (3, 100, 2)).astype(np.float32)
    tensor = encode(values, spec)
    assert tensor.shape == (3, 2, 100)
    assert np.array_equal(decode(tensor, spec), values)


@pytest.mark.parametrize(
    ("format", "depth", "steps"), [("wav", 16, 2**15), ("wav", 24, 2**23), ("flac", 16, 2**15), ("flac", 24, 2**23)]
)
def test_written_files_keep_every_bit_and_say_what_they_are(tmp_path: Path, format: str, depth: int, steps: int) -> None:
    rng = np.random.default_rng(0)
    records = (rng.integers(-steps, steps, (2, 300, 2)) / steps).astype(np.float32)
    spec = SoundSpec(300, 44100, 2, 16)
    files = SOUND.write(records, spec, tmp_path, format=format, depth=depth, note={"system": "wavegan", "seed": "7"})
    assert [f.name for f in files] == [f"sample-0001.{format}", f"sample-0002.{format}"]
    for file, record in zip(files, records, strict=True):
        again, rate = soundfile.read(file, dtype="float32", always_2d=True)
        assert rate == 44100
        assert np.array_equal(again, record)
        with soundfile.SoundFile(file) as opened_file:
            assert opened_file.comment == "SYNTHETIC sound made by ganvas; system: wavegan; seed: 7"
            assert opened_file.software.startswith("ganvas")
            assert opened_file.subtype == f"PCM_{depth}"


def test_floats_are_kept_and_peaks_never_cut(tmp_path: Path) -> None:
    wave = tone(400, height=1.5)[:, None]
    kept, _ = soundfile.read(io.BytesIO(encode_sound(wave, RATE, format="wav", depth=32, note={})), dtype="float32")
    assert np.array_equal(kept, wave[:, 0])
    body = encode_sound(wave, RATE, format="wav", depth=16, note={})
    lower, _ = soundfile.read(io.BytesIO(body), dtype="float32")
    assert np.allclose(lower * 1.5, wave[:, 0], atol=1e-3)
    assert b"turned down: 3.5 dB" in body


@pytest.mark.parametrize("format", ["ogg", "mp3"])
def test_lossy_files_sound_alike_and_say_what_they_are(tmp_path: Path, format: str) -> None:
    courses = np.stack([tone(70_000, height=0.5), tone(70_000, height=0.2)], 1)[None]  # longer than a piece
    (path,) = SOUND.write(courses, SoundSpec(70_000, 8000, 2, 24), tmp_path, format=format, depth=None, note={"seed": "7"})
    header = read_header(path)
    assert (header.rate, header.channels) == (8000, 2)
    again = read_recording(path, 8000, 2).samples
    assert abs(len(again) - 70_000) < 4000
    assert np.allclose(np.sqrt((again**2).mean(0)), np.sqrt((courses[0] ** 2).mean(0)), rtol=0.1)
    if len(again) == 70_000:  # without an encoder's delay
        assert np.abs(again - courses[0]).mean() < 0.05
    with soundfile.SoundFile(path) as file:
        assert file.comment == "SYNTHETIC sound made by ganvas; seed: 7"


def test_what_a_format_cannot_hold_is_refused() -> None:
    wave = tone(100)[:, None]
    with pytest.raises(GanvasError, match="OGG has no depth: leave --depth out"):
        encode_sound(wave, RATE, format="ogg", depth=24, note={})
    with pytest.raises(GanvasError, match="MP3 does not know 4000 Hz .*choose --format ogg"):
        encode_sound(wave, 4000, format="mp3", depth=None, note={})
    with pytest.raises(GanvasError, match="--depth 8 is not for sound: choose 16, 24 or 32"):
        encode_sound(wave, RATE, format="wav", depth=8, note={})
    with pytest.raises(GanvasError, match="FLAC holds 16 or 24 bits, not 32"):
        encode_sound(wave, RATE, format="flac", depth=32, note={})
    with pytest.raises(GanvasError, match="NaN"):
        encode_sound(np.full((10, 1), np.nan, np.float32), RATE, format="wav", depth=16, note={})


def brought(records: np.ndarray, level: str, rate: int = RATE) -> tuple[np.ndarray, list[str]]:
    return SOUND.loudness(records, SoundSpec(records.shape[1], rate, records.shape[2]), level)


def test_peaks_and_root_mean_squares_are_brought_to_one_level() -> None:
    records = np.stack([tone(8000, height=0.1), tone(8000, height=0.4), np.zeros(8000, np.float32)])[..., None]
    made, notes = brought(records, "peak:-6")
    assert np.allclose(np.abs(made).max(axis=(1, 2)), [10**-0.3, 10**-0.3, 0], atol=1e-4) and notes == []
    made, notes = brought(records, "rms:-20")
    assert np.allclose(np.sqrt((made**2).mean(axis=(1, 2))), [0.1, 0.1, 0], atol=1e-4) and notes == []
    made, notes = brought(records, "rms:0")
    assert np.abs(made).max() == pytest.approx(1.0)
    assert notes == ["2 of 3 sounds stay softer than rms:0: full scale allows no more"]


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_loudness_in_lufs_is_that_of_the_standard(rate: int) -> None:
    """The signals of EBU Tech 3341, shortened: a stereo tone of -23 dBFS is at -23 LUFS, also between softer stretches."""
    plain = 10 ** (-23 / 20) * tone(3 * rate, 1000, rate, 1.0)
    assert integrated_loudness(np.stack([plain, plain], 1)[None], rate)[0] == pytest.approx(-23.0, abs=0.05)
    assert integrated_loudness(plain[None, :, None], rate)[0] == pytest.approx(-26.01, abs=0.05)
    soft = 10 ** (-36 / 20) * tone(rate, 1000, rate, 1.0)
    gated = np.concatenate([soft, plain, plain, soft])
    assert integrated_loudness(np.stack([gated, gated], 1)[None], rate)[0] == pytest.approx(-23.0, abs=0.25)
    silent = np.concatenate([plain, np.zeros(5 * rate, np.float32)])
    assert integrated_loudness(silent[None, :, None], rate)[0] == pytest.approx(-26.01, abs=0.6), "silence is gated"
    assert integrated_loudness(np.zeros((1, rate, 1), np.float32), rate)[0] == -np.inf


def test_low_tones_count_less_and_high_ones_more() -> None:
    low, middle, high = (integrated_loudness(tone(48000, f, 48000)[None, :, None], 48000)[0] for f in (40.0, 500.0, 5000.0))
    assert middle - low > 2
    assert high - middle == pytest.approx(4.0, abs=0.6)


@pytest.mark.parametrize("seconds", [0.1, 1.0])
def test_clips_are_brought_to_one_loudness_in_lufs(seconds: float) -> None:
    frames = int(seconds * RATE)
    clips = [tone(frames, 200, height=0.03), tone(frames, 3000, height=0.02), np.zeros(frames, np.float32)]
    records = np.stack(clips)[..., None]
    made, notes = brought(records, "lufs:-20")
    assert np.allclose(integrated_loudness(made[:2], RATE), -20, atol=0.02)
    assert not made[2].any()
    assert notes == (["clips of 0.1 s are too short for LUFS's gates of 0.4 s: measured as a whole"] if seconds < 0.4 else [])
    spike = np.zeros((1, frames, 1), np.float32)
    spike[0, frames // 2] = 0.5
    made, notes = brought(spike, "lufs:-10")
    assert np.abs(made).max() == pytest.approx(1.0)
    assert "1 of 1 sounds stay softer than lufs:-10: full scale allows no more" in notes


@pytest.mark.parametrize(("rate", "frequency"), [(8000, 500), (44100, 5000), (1000, 100)])
def test_a_full_scale_tone_stands_at_0_db_in_its_band(rate: int, frequency: float) -> None:
    levels = log_mel(tone(4 * rate, frequency, rate, 1.0)[None], rate)
    middle = levels[0, levels.shape[1] // 2]
    top = 2595 * np.log10(1 + rate / 2 / 700)
    band = 2595 * np.log10(1 + frequency / 700) / top * 65 - 1
    assert abs(middle.argmax() - band) <= 1.5
    assert -4 < middle.max() < 2
    assert middle.min() < -55


def test_features_see_what_is_heard_and_not_the_phase() -> None:
    spec = SoundSpec(4096, RATE)
    rng = np.random.default_rng(0)
    hiss, other = (rng.standard_normal((1, 4096, 1)).astype(np.float32) * 0.1 for _ in range(2))
    buzz = tone(4096, 300)[None, :, None]
    features = SOUND.vectors(np.concatenate([hiss, other, buzz, -buzz]), spec)
    assert features.shape == (4, 192)
    distance = np.linalg.norm(features[:, None] - features, axis=2)
    assert distance[0, 1] < 0.2 * distance[0, 2]
    assert distance[2, 3] < 1e-4
    stereo = SOUND.vectors(np.concatenate([buzz, -buzz], 2), SoundSpec(4096, RATE, 2))
    assert stereo.shape == (1, 256)


def test_the_picture_shows_tones_high_and_low() -> None:
    records = np.stack([tone(4096, 200), tone(4096, 3000), np.zeros(4096, np.float32)])[..., None]
    picture = SOUND.picture(records, SoundSpec(4096, RATE))
    assert picture.dtype == np.uint8
    light = picture[36 + 6 :, :].sum(axis=2).astype(float)
    cells = [light[:, 6 + k * 246 : 246 + k * 246].mean(1) for k in range(3)]
    assert cells[0].argmax() > 80  # low tones lie below
    assert cells[1].argmax() < 40
    assert cells[2][:-6].max() <= 3  # silence is black


@pytest.mark.parametrize("wrong", ["loud", "peak:", "peak:3", "rms:nan", "lufs", "lufs:-71", "lufs:1", "lkfs:-16"])
def test_loudness_is_asked_for_by_text(wrong: str) -> None:
    records = tone(8000, height=0.1)[None, :, None]
    with pytest.raises(GanvasError, match=r"--loudness .* or lufs:-16") as caught:
        brought(records, wrong)
    assert "\n" not in str(caught.value)
    assert not isinstance(kind_of("series"), Levelled)


def test_a_planted_copy_is_found_by_the_audit(tmp_path: Path) -> None:
    from ganvas.evaluation import evaluate

    made = opened(Path("words"), phantom_count=160)
    spec = made.spec
    parts = {"train": slice(0, 80), "heldout": slice(80, 120), "fake": slice(120, 160)}
    for name, part in parts.items():
        records = np.array(made.values[part])
        if name == "fake":
            records[5] = made.values[3]
        (tmp_path / name).mkdir()
        SOUND.write(records, spec, tmp_path / name, format="wav", depth=16, note={})
    found = evaluate(tmp_path / "fake", tmp_path / "train", tmp_path / "heldout", anchors=False)
    assert found["features"]["name"].startswith("log-mel/")
    assert found["memorisation"]["near_copies"]["exact"] == 1
    assert found["memorisation"]["verdict"] != "clear"
