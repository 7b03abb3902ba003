"""Sound files through libsndfile: what a header says, decoding to one rate and number of channels, and encoding of samples.

Not for deciding which rate, channels and length a data set has: that is `sound`.
"""

from __future__ import annotations

import functools
import io
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import GanvasError, MissingExtra
from ...store.guard import CLAIM_RATIO, FREE_CLAIM, failure, finite_float32, guard, printable

LOWEST_RATE, HIGHEST_RATE = 100, 768_000
MOST_VALUES = 500_000_000  # of one file: three hours in mono at 48 kHz
SYNTHETIC = "SYNTHETIC sound made by ganvas"
CLIPPED_RUN = 4  # samples in a row at the file's own peak

_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 32}  # all others: 16
_SUBTYPES = {16: "PCM_16", 24: "PCM_24", 32: "FLOAT"}
_CODECS = {"ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}  # formats without bits
_NO_LENGTH = 2**62  # frames: libsndfile's way to say that a header has none
_WAVE64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_WAVE64_TAIL = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_PIECE = 65_536  # frames written at once: libsndfile's Vorbis keeps a whole piece on the stack
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True)
class Header:
    """What a file says of itself. frames: samples of each channel. rate: Hz. depth: bits, 8 to 32. behind: bytes of the file
    that lie behind the sound and are no part of the format: more sound than the header counts."""

    frames: int
    rate: int
    channels: int
    depth: int
    behind: int = 0


@dataclass
class Recording:
    """A decoded file. samples: (frames, channels) float32 in [-1, 1]. peak: of the file before it was brought there.

    offset: the mean, which is 0 in a sound recording. clipped: whether its peaks are cut off flat.
    """

    samples: np.ndarray
    peak: float
    offset: float
    clipped: bool


def soundfile_module() -> Any:
    """The package `soundfile`. Raises MissingExtra without it."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is there, its library is not
        raise MissingExtra("soundfile", "sound") from error
    return soundfile


def read_header(path: Path) -> Header:
    """The header of a file. Raises DataError for what is no sound, is empty, cut short, or claims more than it can hold."""
    soundfile = soundfile_module()
    with guard(path, "sound"):
        found = soundfile.info(str(path))
        size = path.stat().st_size
        behind, whole = _complete(path, size)
    header = Header(
        int(found.frames), int(found.samplerate), int(found.channels), _BITS.get(found.subtype, 16), behind if whole else 0
    )
    values = header.frames * header.channels
    if header.frames < 1 and behind:
        told = f"says that it holds no sound, but {behind} bytes of sound lie behind a length of 0 (its recording was cut off)"
        raise failure(path, told, "mend its header, as with  sox --ignore-length in.wav out.wav")
    if header.frames < 1:
        raise failure(path, "holds no sound", "take it out")
    if header.frames >= _NO_LENGTH:
        raise failure(
            path, "does not say how long it is (it was written into a pipe)", "write it again, as with  sox in.flac out.flac"
        )
    if not LOWEST_RATE <= header.rate <= HIGHEST_RATE:
        raise failure(path, f"claims {header.rate} samples a second", "its header is damaged; copy it again")
    if values > MOST_VALUES:
        hours = header.frames / header.rate / 3600
        raise failure(path, f"is {hours:.1f} hours long", "cut it into parts of an hour first")
    if 4 * values > max(FREE_CLAIM, CLAIM_RATIO * size):
        raise failure(path, f"claims {values} values but has only {size} bytes", "it is damaged; take it out")
    return header


def read_recording(path: Path, rate: int, channels: int) -> Recording:
    """All of a file at `rate` with 1 or 2 `channels`; louder than full scale (floats can be), it is turned down as a whole.

    Mono is the mean of the channels; stereo of a mono file is the same twice. Raises DataError as `read_header` does, and
    for NaN, infinity, a file that ends before its header says, and more than two channels that are to be stereo.
    """
    header = read_header(path)
    if channels == 2 and header.channels > 2:
        raise failure(path, f"has {header.channels} channels", "mix it to mono with --channels 1")
    with guard(path, "sound"):
        values, _ = soundfile_module().read(str(path), dtype="float32", always_2d=True)
    if len(values) != header.frames:
        raise failure(path, f"is cut short: {len(values)} of {header.frames} samples are there", "copy it again")
    values = finite_float32(path, values, "sound samples")
    peak = float(np.abs(values).max())
    clipped = _clipped(values, peak)
    if channels == 1 and header.channels > 1:
        values = values.mean(axis=1, keepdims=True)
    elif channels == 2 and header.channels == 1:
        values = np.repeat(values, 2, axis=1)
    offset = float(np.abs(values.mean(axis=0, dtype=np.float64)).max()) / max(1.0, peak)
    values = resample(values, header.rate, rate)
    loudest = float(np.abs(values).max())
    if loudest > 1:  # of the file itself, or waves between its samples that resampling brings to light
        values /= np.float32(loudest)
    return Recording(np.ascontiguousarray(values, np.float32), peak, offset, clipped)


def resample(values: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """(frames, channels) at another rate, by scipy's polyphase filter.

    The low-pass is ours: 128 taps a phase under a Kaiser window, flat to 0.9 of the lower Nyquist frequency and 70 dB down
    beyond it, where scipy's default of 20 taps lets the last tenth alias.
    """
    if rate == wanted:
        return values
    from scipy.signal import resample_poly

    shared = math.gcd(rate, wanted)
    up, down = wanted // shared, rate // shared
    made: np.ndarray = resample_poly(values, up, down, axis=0, window=_low_pass(max(up, down)))
    return made[: max(1, round(len(values) * up / down))]


@functools.lru_cache(16)
def _low_pass(factor: int) -> np.ndarray:
    from scipy.signal import firwin

    taps: np.ndarray = firwin(128 * factor + 1, 0.955 / factor, window=("kaiser", 8.0))
    return taps.astype(np.float32)


def _clipped(values: np.ndarray, peak: float) -> bool:
    """Whether some samples in a row lie at the peak, near full scale."""
    if peak < 0.9 or len(values) < CLIPPED_RUN:
        return False
    top = np.abs(values) >= peak - 0.5 / 32768
    run = top[: 1 - CLIPPED_RUN].copy()
    for step in range(1, CLIPPED_RUN):
        run &= top[step : len(top) - CLIPPED_RUN + 1 + step]
    return bool(run.any())


def _complete(path: Path, size: int) -> tuple[int, bool]:
    """Bytes behind the sound of a WAV, AIFF, Wave64 or AU file that belong to nothing, 0 for any other file; and whether the
    header has a length at all (without one libsndfile reads to the end).

    Raises DataError when the sound ends after the file does (libsndfile would play what is left), and for an Ogg file of
    several pieces one after another, of which libsndfile plays the first.
    """
    with path.open("rb") as stream:
        if stream.read(4) == b"OggS":
            _one_piece(path, stream)
            return 0, True
        place = _sound_place(path, stream)
        if place is None:
            return 0, True
        start, length, open_ended = place
        if not open_ended and start + length > size:
            missing = start + length - size
            raise failure(path, f"is cut short: {missing} of {length} bytes of sound are missing", "copy it again")
        end = start + length
        stream.seek(end)
        head = stream.read(10)
        # A chunk may stand on an even place or, of careless writers, right behind; tags of other programs are no sound.
        known = any(_is_chunk_name(head[k : k + 4]) or head[k : k + 3] in (b"TAG", b"ID3") for k in (0, length % 2))
        return 0 if open_ended or known or not head else size - end, length > 0


def _is_chunk_name(name: bytes) -> bool:
    return len(name) == 4 and name[:3].isalnum() and all(32 <= byte < 127 for byte in name)


def _sound_place(path: Path, stream: IO[bytes]) -> tuple[int, int, bool] | None:
    """(start, length, whether it may be longer or shorter) of the sound in a file, as its header has them; None for formats
    that are not known here and for files without sound."""
    stream.seek(0)
    head = stream.read(16)
    form = head[:4], head[8:12]
    if head[:4] in (b".snd", b"dns."):  # AU
        start, length = struct.unpack((">" if head[:1] == b"." else "<") + "II", head[4:12])
        return start, length, length == 0xFFFFFFFF
    if head == _WAVE64_RIFF:
        stream.seek(40)
        while len(chunk := stream.read(24)) == 24:
            (length,) = struct.unpack("<Q", chunk[16:])
            if chunk[:16] == b"data" + _WAVE64_TAIL:
                return stream.tell(), max(0, length - 24), length < 24
            stream.seek(max(0, length - 24 + -length % 8), 1)
        return None
    forms = {
        (b"RIFF", b"WAVE"): ("<", b"data"), (b"RF64", b"WAVE"): ("<", b"data"), (b"RIFX", b"WAVE"): (">", b"data"),
        (b"FORM", b"AIFF"): (">", b"SSND"), (b"FORM", b"AIFC"): (">", b"SSND"),
    }  # fmt: skip
    if form not in forms:
        return None
    order, wanted = forms[form]
    stream.seek(12)
    long: int | None = None
    while len(chunk := stream.read(8)) == 8:
        (length,) = struct.unpack(order + "I", chunk[4:])
        if chunk[:4] == b"fmt " and length >= 16:
            _fitting(path, struct.unpack(order + "HHIIHH", stream.read(16)))
            stream.seek(-16, 1)
        if chunk[:4] == b"ds64":  # the lengths that need more than 32 bits (EBU Tech 3306)
            _, long = struct.unpack("<QQ", stream.read(16))
            stream.seek(-16, 1)
        if chunk[:4] == wanted:
            # Programs that write into a pipe cannot know the length and put 0 or nearly 2^32 or 2^31 there.
            unknown = length & 0x7FFFFFFF >= 0x7FFFF000
            if unknown and long is not None:
                length, unknown = long, False
            return stream.tell(), length, unknown
        stream.seek(length + length % 2, 1)
    return None


def _fitting(path: Path, form: tuple[int, ...]) -> None:
    """Raises DataError where a WAV header gives samples another width than their bits fill: they would be read as noise."""
    tag, channels, _, _, width, bits = form
    if tag in (1, 3, 0xFFFE) and bits and width != channels * -(-bits // 8):  # whole numbers, floats, either
        told = f"says that {channels} x {bits} bits take {width} bytes"
        raise failure(path, told, "save it again, as with  sox in.wav -b 24 out.wav")


def _one_piece(path: Path, stream: IO[bytes]) -> None:
    """Raises DataError for an Ogg file in which a stream begins behind pages of another (RFC 3533, 4: chained)."""
    stream.seek(0)
    under_way = False
    while len(page := stream.read(27)) == 27 and page[:4] == b"OggS":
        begins = bool(page[5] & 2)
        if begins and under_way:
            raise failure(path, "holds several recordings, one after another", "cut it into one file each")
        under_way |= not begins
        stream.seek(sum(stream.read(page[26])), 1)


def encode_sound(samples: np.ndarray, rate: int, *, format: str, depth: int | None, note: Mapping[str, str]) -> bytes:
    """A complete WAV, FLAC, OGG (Vorbis) or MP3 file of (frames, channels) float32 samples, whose comment says it is synthetic.

    depth: 16, 24, or 32 (floats, WAV alone); None for OGG and MP3, which have none. Whole numbers are those of the readers:
    reading 16-bit sound and writing it in 16 bits changes nothing. Louder than full scale, the sound is turned down as a
    whole and the comment says by how much. Raises GanvasError for what the format cannot hold, and for NaN.
    """
    soundfile = soundfile_module()
    _servable(format, rate, depth)
    if not np.isfinite(samples).all():
        raise GanvasError("the samples hold NaN or infinite values: the run has diverged, sample an earlier checkpoint")
    words = dict(note)
    loudest = float(np.abs(samples).max(initial=0.0))
    if loudest > 1 and depth != 32:
        samples = samples / np.float32(loudest)
        words["turned down"] = f"{20 * math.log10(loudest):.1f} dB"
    values = samples
    if depth in (16, 24):
        top = 2 ** (depth - 1)
        values = np.clip(np.rint(samples.astype(np.float64) * top), -top, top - 1).astype(np.int32)
        values = values.astype(np.int16) if depth == 16 else values << 8  # libsndfile takes the upper 24 of 32 bits
    buffer = io.BytesIO()
    subtype = _CODECS[format] if depth is None else _SUBTYPES[depth]
    with soundfile.SoundFile(buffer, "w", rate, samples.shape[1], subtype, format=format.upper()) as file:
        file.title = SYNTHETIC
        file.software = "ganvas"
        file.comment = printable("; ".join([SYNTHETIC, *(f"{key}: {value}" for key, value in words.items())]))
        for start in range(0, len(values), _PIECE):
            file.write(np.ascontiguousarray(values[start : start + _PIECE]))
    return buffer.getvalue()


def plain_wav(samples: np.ndarray, rate: int) -> bytes:
    """A 16-bit WAV file of (frames, channels) samples in [-1, 1], which says nothing of their origin."""
    import wave

    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.clip(np.rint(samples.astype(np.float64) * 32768), -32768, 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def _servable(format: str, rate: int, depth: int | None) -> None:
    """Raises GanvasError when the format has no such depth or rate."""
    if format in _CODECS:
        if depth is not None:
            raise GanvasError(f"{format.upper()} has no depth: leave --depth out, or choose --format wav or flac")
        if format == "mp3" and rate not in MP3_RATES:
            rates = ", ".join(map(str, MP3_RATES))
            raise GanvasError(f"MP3 does not know {rate} Hz (it has {rates}): choose --format ogg, flac or wav")
        return
    if depth not in _SUBTYPES:
        raise GanvasError(f"--depth {depth} is not for sound: choose 16, 24 or 32 (floats)")
    if format == "flac" and depth == 32:
        raise GanvasError("FLAC holds 16 or 24 bits, not 32: choose --depth 24, or --format wav")
