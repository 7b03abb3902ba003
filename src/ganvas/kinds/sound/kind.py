"""Sound: recordings become clips of one length, rate and number of channels; samples become WAV, FLAC, OGG or MP3 files.

Records are (N, length, channels) float32 in [-1, 1], tensors (N, channels, length). Not for decoding and encoding of files
(`files`), lengths (`lengths`), nor for spectra (`spectra`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError, MixedData
from ...store.listing import Listing, class_indices, counted, natural, some
from .. import Kind, KindSays
from ..facets import Pairs, Piece
from .files import Header, encode_sound, plain_wav, read_header, read_recording
from .lengths import clips_of, dear
from .loudness import normalised
from .recognition import correlation, marks
from .spec import SoundSpec
from .spectra import BANDS, properties, sheet, si_sdr, spectral_distance, statistics

if TYPE_CHECKING:
    from torch import Tensor

    from ...store.cache import Writer

LOWEST_RATE = 100  # Hz
LARGE = 25_000_000  # values of a file from which on files are decoded one by one: memory
SILENT = 1e-3  # peak of a clip below which it counts as silent: -60 dB of full scale
OFFSET = 0.01
LITTLE = 0.01  # share of a clip below which a file holds nothing of one
HIDDEN = 0.1  # bytes behind the sound, for each of its samples, from which on they are told
STRETCHES = 10  # of a lone recording, so that one can be held out


@dataclass
class _Clips:
    """One file, decoded: its clips, or why there are none."""

    place: int
    clips: list[np.ndarray]
    remarks: tuple[str, ...] = ()
    error: str | None = None


class Sound(Kind):
    """Recordings, one-shots, samples."""

    name = "sound"
    spec = SoundSpec
    suffixes = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff", ".aifc")
    formats = ("wav", "flac", "ogg", "mp3")
    format_aliases = {"wave": "wav", "oga": "ogg"}
    says = KindSays(
        noun="sounds",
        features="log-mel",
        limit="Clips have one length and one rate; what lies beyond a clip, such as a melody's course, was not learnt.",
        phantom="words",
        shown=16,
        measures_speed=True,
        example_size=16_384,
        example_channels=1,
        small=(256, 1),
        lossy=("ogg", "mp3"),
        overlooks=(
            "copies at another pitch or speed, mixed with others, cut from the middle of a recording, or under "
            "hiss louder than 20 dB below them"
        ),
        options={
            "size": "samples of a clip; default: what the files and the rate suit",
            "channels": "1 (mono) or 2 (stereo)",
            "rate": "samples a second; default: the files' own",
            "fit": "crop: the start of each file; patches: all of it in pieces",
        },
    )

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """Clips of all files: each as one, where most last a few seconds at most, or its start alone with `--fit crop`; of
        longer ones, or with `--fit patches`, consecutive clips, all of a recording in one group. See `_clips`.

        What is left at a recording's end counts as a clip when it fills half of one. Silence is added where a clip is too
        short.
        """
        from ...store.entry import conclude

        skipped: list[tuple[str, str]] = []
        heads = _headers(listing, progress, strict, skipped)
        rate, channels, notes = _agreed(listing, heads, settings)
        spans = {place: -(-head.frames * rate // head.rate) for place, head in heads.items()}
        fit = settings.get("fit")
        if fit not in (None, "crop", "patches"):
            raise GanvasError(f"--fit {fit} is not for sound: crop takes the start of each file, patches all of it")
        length, consecutive = clips_of(settings.get("size"), list(spans.values()), rate, fit)
        places, contents, silent = [], [], []
        remarks: dict[str, list[str]] = {}
        for file in _decoded(listing, heads, rate, channels, length, consecutive, progress):
            name = listing.names[file.place]
            if file.error is not None:
                if strict:
                    raise DataError(file.error)
                skipped.append((name, file.error))
                continue
            for remark in file.remarks:
                remarks.setdefault(remark, []).append(name)
            for clip in file.clips:
                writer.row(clip)
                places.append(file.place)
                contents.append(hashlib.blake2b(clip.data, digest_size=16).digest())
                silent.append(float(np.abs(clip).max()) < SILENT)
        if not places:
            raise DataError(skipped[0][1] if skipped else f"{listing.source}: no sound could be read")
        groups = _groups(listing, places, contents, notes)
        sides = [listing.heldout[place] for place in places]
        held = np.array([-1 if side is None else int(side) for side in sides], np.int8)
        notes += _told({p: spans[p] for p in places}, len(places), length, rate, consecutive, skipped)
        notes += dear(settings.get("size"), length, list(spans.values()), rate, fit)
        notes += [f"{text} ({some(names)})" for text, names in remarks.items()]
        if any(silent):
            quiet = sorted({listing.names[p] for p, is_silent in zip(places, silent, strict=True) if is_silent}, key=natural)
            notes.append(f"{sum(silent)} of {len(places)} clips are silent, below -60 dB ({some(quiet)}): take them out")
        numbers, classes = class_indices([listing.labels[place] for place in places], listing.source, self.says.noun, notes)
        depth = max(heads[place].depth for place in places)
        spec = SoundSpec(length, rate, channels, depth, classes)
        writer.facts["skipped"] = skipped
        conclude(writer, spec, numbers, groups, held if (held >= 0).any() else None, notes, [listing.names[p] for p in places])

    def encode(self, values: np.ndarray, spec: Any, device: Any) -> Tensor:
        """(N, length, channels) -> (N, channels, length)."""
        import torch

        array = np.require(values, np.float32, requirements=("C", "W"))
        return torch.from_numpy(array).to(device, non_blocking=True).transpose(1, 2).contiguous()

    def decode(self, tensor: Tensor, spec: Any) -> np.ndarray:
        """(N, channels, length) -> (N, length, channels); what a network makes beyond full scale is kept as it is."""
        return np.ascontiguousarray(tensor.detach().float().cpu().transpose(1, 2).numpy())

    def write(
        self, records: np.ndarray, spec: Any, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """`sample-0001.wav` ...: 16, 24 or 32 bits (floats); by default those of the training files, 16 at least. OGG and MP3
        have no bits."""
        from ...files import write_atomically

        bits = _bits(spec, format) if depth is None else depth
        digits = max(4, len(str(len(records))))
        written = []
        for number, samples in enumerate(records, start=1):
            path = folder / f"sample-{number:0{digits}d}.{format}"
            write_atomically(path, encode_sound(samples, spec.rate, format=format, depth=bits, note=note))
            written.append(path)
        return written

    def picture(self, records: np.ndarray, spec: Any) -> np.ndarray:
        """Spectrograms, low tones below and -70 to 0 dB from black to white, with the waveform above each."""
        return sheet(records, spec.rate)

    # Put to use

    spread = 1

    def read(self, path: Path, spec: SoundSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """A recording at the rate of the spec, whole; or, to be of its length, cut into consecutive clips."""
        header = read_header(path)
        found = read_recording(path, spec.rate, spec.channels)
        notes = []
        if header.rate != spec.rate:
            notes.append(f"{path.name}: resampled from {header.rate} to {spec.rate} Hz, which the run works on")
        if header.channels != spec.channels:
            notes.append(f"{path.name}: turned into {'mono' if spec.channels == 1 else 'stereo'}, which the run works on")
        samples = found.samples
        records = samples[None] if settings.get("fit") is None else np.stack(_cut(samples, spec.length, True))
        yield Piece(records, replace(spec, length=records.shape[1], depth=header.depth), tuple(notes))

    def format_like(self, path: Path) -> str:
        """FLAC for FLAC, else WAV: what loses nothing more."""
        return "flac" if path.suffix.lower() == ".flac" else "wav"

    def resized(self, spec: SoundSpec, shape: tuple[int, ...], like: SoundSpec | None, scale: int) -> SoundSpec:
        """Of a higher rate, where it became longer."""
        return replace(spec, channels=shape[0], length=shape[1], rate=spec.rate * scale)

    def write_like(
        self, pieces: Sequence[Piece], stem: Path, source: Path | None, *, format: str, depth: int | None,
        settings: Mapping[str, Any], scale: int, note: Mapping[str, str],
    ) -> list[Path]:  # fmt: skip
        """One file, or one a clip; in the depth of the file it was made of unless the user names one."""
        from ...files import disk_errors, write_atomically

        clips = [(clip, piece.spec) for piece in pieces for clip in piece.records]
        with disk_errors(stem):
            stem.parent.mkdir(parents=True, exist_ok=True)
        written = []
        for number, (clip, spec) in enumerate(clips, start=1):
            path = stem.with_name(f"{stem.name}.{format}" if len(clips) == 1 else f"{stem.name}-{number:04d}.{format}")
            bits = _bits(spec, format) if depth is None else depth
            write_atomically(path, encode_sound(clip, spec.rate, format=format, depth=bits, note=note))
            written.append(path)
        return written

    def vectors(self, values: np.ndarray, spec: Any) -> np.ndarray:
        """(N, 192, with stereo 256): of the levels in 64 mel bands, in units of 20 dB, the mean over time, the standard
        deviation, the mean of 8 groups of bands in each of 8 pieces of time; of stereo also the mean of half the channels'
        difference. What lies more than 50 dB under a clip's loudest band and moment counts as lying there."""
        parts = [statistics(np.asarray(values[start : start + 64]), spec.rate) for start in range(0, len(values), 64)]
        return np.concatenate(parts)

    def aligned(self, values: np.ndarray, spec: SoundSpec, other: SoundSpec) -> tuple[np.ndarray, SoundSpec, list[str]]:
        """As they are: both sides are of one rate when they are opened, and full scale is 1; see `facets.Aligned`."""
        notes = [] if spec.rate == other.rate else [f"the samples have a rate of {spec.rate} Hz, the real data {other.rate} Hz"]
        return np.asarray(values), other, notes

    changes = "another loudness, a late start of some hundredths of a second or slight hiss"
    twin, reach = 0.999, 0.98

    def prints(self, values: np.ndarray, spec: SoundSpec, changed: bool = False) -> np.ndarray:
        """See `recognition.marks`: each clip at its own loudness, from its own beginning on."""
        return marks(values, spec.rate)

    def likeness(self, first: np.ndarray, second: np.ndarray, spec: SoundSpec) -> np.ndarray:
        """The correlation of waves at the best delay, whichever their loudness."""
        return correlation(first, second)

    def loudness(self, records: np.ndarray, spec: Any, level: str) -> tuple[np.ndarray, list[str]]:
        """`peak:-1`, `rms:-20` or `lufs:-16`: see `_sound_loudness.normalised`."""
        return normalised(records, spec.rate, level)

    askable = {"brightness": "log2 Hz", "attack": "log2 s", "decay": "log2 s", "loudness": "dB", "pitch": "log2 Hz"}

    def properties(self, records: np.ndarray, spec: Any) -> dict[str, np.ndarray]:
        """brightness (octaves), loudness (dB), length (s), pitch, attack and decay (octaves): see `spectra.properties`."""
        return properties(records, spec.rate)

    def heard(self, record: np.ndarray, spec: SoundSpec, most: int) -> tuple[bytes, str]:
        """16 bits; see `facets.Heard`."""
        length = max(spec.rate // 10, most // (2 * spec.channels))
        part = "" if length >= len(record) else f"the first {length / spec.rate:.3g} s"
        return plain_wav(record[:length], spec.rate), part

    pair_measure = "log_spectral_distance"

    def paired(self, made: np.ndarray, true: np.ndarray, spec: SoundSpec, barred: tuple[str, ...]) -> Pairs:
        """Log-spectral distance and SI-SDR: what is heard, and the wave itself, which a vocoder does not owe."""
        protocol = f"{BANDS} mel bands to {spec.rate / 2:g} Hz/dB"
        return {
            "log_spectral_distance": (spectral_distance(made, true, spec.rate), f"log-spectral distance/{protocol}"),
            "si_sdr": (si_sdr(made, true), "si-sdr/dB"),
        }

    def describe(self, spec: Any) -> str:
        width = {1: "mono", 2: "stereo"}.get(spec.channels, f"{spec.channels} channels")
        return f"sounds of {spec.length} samples at {spec.rate} Hz, {width}"

    def blank(self, spec: SoundSpec, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        shape = (count, spec.length, spec.channels)
        return np.zeros(shape, np.float32) if rng is None else rng.uniform(-1, 1, shape).astype(np.float32)

    def example(self, size: int, channels: int, classes: tuple[str, ...] = ()) -> SoundSpec:
        return SoundSpec(size, 16_000, channels, classes=classes)


def _bits(spec: SoundSpec, format: str) -> int | None:
    """Bits of a file when the user names none; None for formats that have none."""
    return min(max(16, spec.depth), 24 if format == "flac" else 32) if format in ("wav", "flac") else None


# What the files hold, together


def _headers(listing: Listing, progress: bool, strict: bool, skipped: list[tuple[str, str]]) -> dict[int, Header]:
    """Headers by place; unreadable files go to `skipped`."""
    from ...store.cache import in_parallel

    def look(place: int) -> Header | str:
        try:
            return read_header(listing.files[place])
        except DataError as error:
            return str(error)

    heads: dict[int, Header] = {}
    places = list(range(len(listing.files)))
    for place, found in zip(places, in_parallel(look, places, what="looking", progress=progress), strict=True):
        if isinstance(found, Header):
            heads[place] = found
        elif strict or len(places) == 1:
            raise DataError(found)
        else:
            skipped.append((listing.names[place], found))
    if not heads:
        raise DataError(f"{listing.source}: none of {counted(len(places), 'file')} could be read: {skipped[0][1]}")
    return heads


def _agreed(listing: Listing, heads: dict[int, Header], settings: Mapping[str, Any]) -> tuple[int, int, list[str]]:
    """(rate, channels, notes). Raises DataError for mono and stereo mixed, GanvasError for channels other than 1 or 2."""
    notes = list(listing.notes)
    rates = Counter(head.rate for head in heads.values())
    rate = settings.get("rate") or max(rates, key=lambda r: (rates[r], r))
    if rate < LOWEST_RATE:
        raise GanvasError(f"--rate {rate} is too low for sound: {LOWEST_RATE} samples a second at least")
    others = {r: n for r, n in rates.items() if r != rate}
    if others:
        kinds = ", ".join(f"{n} of {r} Hz" for r, n in sorted(others.items(), key=lambda item: -item[1])[:4])
        chosen = "" if settings.get("rate") else ", the most common rate (--rate chooses)"
        notes.append(f"{sum(others.values())} of {len(heads)} files were resampled to {rate} Hz{chosen}: {kinds}")
        lower = sum(n for r, n in others.items() if r < rate)
        if lower:
            notes.append(f"{counted(lower, 'file')} of a lower rate than {rate} Hz: resampling cannot give them high tones")
    channels = settings.get("channels")
    found = Counter(head.channels for head in heads.values())
    if channels not in (None, 1, 2):
        raise GanvasError(f"--channels {channels} is not for sound: choose 1 (mono) or 2 (stereo)")
    if channels is None:
        if len(found) > 1 or max(found) > 2:
            names = {1: "mono", 2: "stereo"}
            kinds = ", ".join(f"{names.get(c, f'{c} channels')} ({n})" for c, n in found.most_common())
            what = "mixes channels" if len(found) > 1 else "has too many channels"
            told = f"{listing.source} {what}: {kinds}: --channels 1 (all mono) or --channels 2 (all stereo)"
            raise MixedData(told, "channels", 2)
        return int(rate), next(iter(found)), notes
    changed = sum(n for c, n in found.items() if c != channels)
    if changed:
        notes.append(f"{changed} of {len(heads)} files were turned into {'mono' if channels == 1 else 'stereo'}")
    return int(rate), channels, notes


def _decoded(
    listing: Listing, heads: dict[int, Header], rate: int, channels: int, length: int, consecutive: bool, progress: bool
) -> Iterator[_Clips]:
    from ...store.cache import in_parallel

    def work(place: int) -> _Clips:
        try:
            found = read_recording(listing.files[place], rate, channels)
        except DataError as error:
            return _Clips(place, [], error=str(error))
        remarks = []
        if heads[place].behind > HIDDEN * found.samples.size:
            remarks.append("more sound lies in the file than its header counts, and was left out (its recording was cut off)")
        if found.clipped:
            remarks.append("peaks are cut off flat (the recording level was too high)")
        if found.peak > 1:
            remarks.append("louder than full scale and turned down")
        if len(found.samples) < LITTLE * length:
            remarks.append(f"less than {LITTLE:.0%} of a clip, and the rest silence: take them out")
        elif found.offset > OFFSET:
            remarks.append(f"the mean is more than {OFFSET:g} off zero (a high-pass filter mends it)")
        return _Clips(place, _cut(found.samples, length, consecutive), tuple(remarks))

    large = max(head.frames * head.channels for head in heads.values()) > LARGE
    yield from in_parallel(work, list(heads), what="decoding", progress=progress, threads=1 if large else None)


def _cut(samples: np.ndarray, length: int, consecutive: bool) -> list[np.ndarray]:
    """Clips (length, channels) of a recording (frames, channels), one at least."""
    clips = max(1, (2 * len(samples) + length) // (2 * length)) if consecutive else 1
    starts = range(0, clips * length, length)
    pieces = (samples[start : start + length] for start in starts)
    return [np.ascontiguousarray(np.pad(piece, ((0, length - len(piece)), (0, 0)))) for piece in pieces]


def _told(
    spans: dict[int, int], clips: int, length: int, rate: int, consecutive: bool, skipped: list[tuple[str, str]]
) -> list[str]:
    """Notes on what was skipped, cut and padded."""
    from ...store.entry import NOTED

    notes = [f"skipped {reason}" if name in reason else f"skipped {name}: {reason}" for name, reason in skipped[:NOTED]]
    if len(skipped) > NOTED:
        notes.append(f"skipped {len(skipped) - NOTED} more unreadable files")
    short, over = sum(span < length for span in spans.values()), sum(span > length for span in spans.values())
    clip = f"{length} samples ({length / rate:.3g} s)"
    if consecutive:
        more = "--fit crop takes the start of each alone"
        notes.append(f"{counted(len(spans), 'recording')} cut into {clips} consecutive clips of {clip} ({more})")
    elif over:
        more = "--size takes more, --fit patches all of it"
        notes.append(f"{over} of {len(spans)} files are longer than {clip} and were cut there ({more})")
    if short:
        notes.append(f"{short} of {len(spans)} files are shorter than {clip}: silence was added at their end")
    return notes


def _groups(listing: Listing, places: list[int], contents: list[bytes], notes: list[str]) -> np.ndarray:
    """Group numbers (N,): `groups.csv`, else the recording; equal clips are joined always."""
    from ...store.splits import join

    count = len(places)
    if len(listing.files) == 1 and count > 1:
        notes.append("one recording: the held-out part is a stretch of it, so it is not independent")
        keys: list[Any] = [k * min(STRETCHES, count) // count for k in range(count)]
    else:
        keys = [("file", place) if listing.groups[place] is None else ("group", listing.groups[place]) for place in places]
    parent = np.arange(count, dtype=np.int64)
    for column in (keys, contents):
        first: dict[Any, int] = {}
        pairs = [(first.setdefault(key, i), i) for i, key in enumerate(column)]
        join(parent, *np.array(pairs, np.int64).T)
    return parent


KIND = Sound()
