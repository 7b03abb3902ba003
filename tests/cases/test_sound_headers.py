"""Cases of sound files: what a header says of lengths and widths is honoured, or the file is refused by name.

Sources: RIFF/WAVE (Microsoft 1994), RF64 (EBU Tech 3306), Wave64 (Sonic Foundry), AU (Sun), AIFF (Apple 1989), Ogg (RFC 3533),
FLAC (RFC 9639). Each file is written here byte by byte; the sound is one tone.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ganvas.data.dataset import open_data
from ganvas.errors import DataError
from ganvas.kinds.sound.files import read_header, read_recording

COUNT = 1000
TONE = (np.sin(np.arange(COUNT) * 0.2) * 20000).astype("<i2")
BODY = TONE.tobytes()
DEEP = TONE.astype("<i4") << 16  # 32 bits, the lowest 16 empty
LIST = b"LIST" + struct.pack("<I", 20) + b"INFOINAM\x08\0\0\0data\0\0\0\0"


def form(
    tag: int = 1, bits: int = 16, width: int | None = None, channels: int = 1, more: bytes = b"", order: str = "<"
) -> bytes:
    width = channels * bits // 8 if width is None else width
    return b"fmt " + struct.pack(f"{order}IHHIIHH", 16 + len(more), tag, channels, 8000, 8000 * width, width, bits) + more


def extended(valid: int, kind: int = 1) -> bytes:
    return struct.pack("<HHIH14s", 22, valid, 4, kind, bytes.fromhex("000000001000800000aa00389b71"))


def wav(*chunks: bytes, name: bytes = b"RIFF", order: str = "<") -> bytes:
    body = b"".join(chunks)
    return name + struct.pack(order + "I", 4 + len(body)) + b"WAVE" + body


def data(body: bytes = BODY, length: int | None = None, order: str = "<") -> bytes:
    return b"data" + struct.pack(order + "I", len(body) if length is None else length) + body


def ds64(length: int) -> bytes:
    return b"ds64" + struct.pack("<IQQQI", 28, length + 72, length, length // 2, 0)


def written(format: str, **options: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, TONE, 8000, format=format, **options)
    return buffer.getvalue()


def without_length(flac: bytes) -> bytes:
    """STREAMINFO with 0 samples in all, which means unknown."""
    packed = int.from_bytes(flac[18:26], "big") >> 36 << 36
    return flac[:18] + packed.to_bytes(8, "big") + flac[26:]


BIG = TONE.astype(">i2").tobytes()
LONG = 0xFFFFFFFF
PCM24 = DEEP.view("u1").reshape(-1, 4)[:, 1:].tobytes()

RIGHT = {
    "24 bits": wav(form(bits=24), data(PCM24)),
    "24 of 32 bits": wav(form(0xFFFE, 32, more=extended(24)), data(DEEP.tobytes())),
    "12 of 16 bits, at the top": wav(form(bits=12, width=2), data((TONE & ~15).tobytes())),
    "64-bit floats": wav(form(3, 64), data((TONE / 32768).astype("<f8").tobytes())),
    "words behind": wav(form(), data(), LIST),
    "words before that say data": wav(form(), LIST, data()),
    "tag of another program behind": wav(form(), data()) + b"TAG" + bytes(125),
    "length unknown": wav(form(), data(length=LONG)),
    "more than 32 bits of length": wav(ds64(len(BODY)), form(), data(length=LONG), name=b"RF64"),
    "big-endian": wav(form(order=">"), data(BIG, order=">"), name=b"RIFX", order=">"),
    "AIFF, little-endian": written("AIFF", subtype="PCM_16", endian="LITTLE"),
    "Wave64": written("W64"),
    "AU": written("AU"),
    "tag before FLAC": b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + written("FLAC"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_the_sound_is_what_the_header_says(tmp_path: Path, name: str) -> None:
    path = tmp_path / ("a.flac" if "FLAC" in name else "a.wav")
    path.write_bytes(RIGHT[name])
    header = read_header(path)
    assert (header.frames, header.behind) == (COUNT, 0)
    samples = read_recording(path, 8000, 1).samples[:, 0]
    assert np.abs(samples - TONE / 32768).max() <= (15.5 / 32768 if "12" in name else 1e-6)


REFUSED = {
    "cut short: 700 of 2000": [
        wav(form(), data())[:-700],
        wav(ds64(len(BODY)), form(), data(length=LONG), name=b"RF64")[:-700],
        wav(form(order=">"), data(BIG, order=">"), name=b"RIFX", order=">")[:-700],
        written("AU")[:-700],
    ],
    "cut short": [written("W64")[:-700], written("AIFF")[:-700]],
    "2000 bytes of sound lie behind a length of 0": [
        wav(form(), data(length=0)),
        wav(ds64(0), form(), data(length=LONG), name=b"RF64"),
        wav(form(order=">"), data(BIG, 0, order=">"), name=b"RIFX", order=">"),
    ],
    "holds no sound": [wav(form(), data(b"")), wav(form(), data(b""), LIST), wav(form(), LIST, data(b""))],
    "1 x 24 bits take 4 bytes": [wav(form(bits=24, width=4), data(DEEP.tobytes()))],
    "2 x 16 bits take 2 bytes": [wav(form(channels=2, width=2), data())],
    "several recordings, one after another": [2 * written("OGG")],
    "does not say how long it is": [without_length(written("FLAC"))],
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_contradicts_itself_is_refused_by_name(tmp_path: Path, words: str) -> None:
    for body in REFUSED[words]:
        path = tmp_path / "a.wav"
        path.write_bytes(body)
        with pytest.raises(DataError, match=words) as caught:
            read_header(path)
        assert "\n" not in str(caught.value)


def test_sound_that_the_header_does_not_count_is_told(tmp_path: Path) -> None:
    """A recorder writes the length from time to time, and was cut off: 100 of 1000 samples are counted."""
    (tmp_path / "stale.wav").write_bytes(wav(form(), data(length=200)))
    (tmp_path / "whole.wav").write_bytes(wav(form(), data()))
    notes = open_data(tmp_path, size=1024, heldout=0.0, progress=False).notes
    assert any("more sound lies in the file than its header counts" in note and "(stale.wav)" in note for note in notes)


def test_loud_floats_are_not_said_to_lie_off_zero(tmp_path: Path) -> None:
    """Floats in the scale of 16 bits: their mean is small beside their peak."""
    (tmp_path / "a.wav").write_bytes(wav(form(3, 32), data(TONE.astype("<f4").tobytes())))
    found = read_recording(tmp_path / "a.wav", 8000, 1)
    assert found.peak > 19_000
    assert found.offset < 0.01
