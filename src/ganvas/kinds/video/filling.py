"""From clips as they lie on disk to records: one rate, one size, windows of so many frames. Not for decoding (`files`)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError, MixedData
from ...store.entry import NOTED, conclude
from ...store.listing import Listing, class_indices, counted, some
from ...store.units import looked_through
from ..image.picture import PIXEL_LIMIT
from ..image.resize import convert_channels, resize
from .files import Reel, bundles, frames_of, reels_of, shown_at
from .spec import VideoSpec

if TYPE_CHECKING:
    from ...store.cache import Writer

FRAMES = 16  # of a record where nobody says and most clips have as many
RATE = 10  # frames a second of clips that say none, such as folders of pictures
STRETCHES = 10  # of a lone clip, so that one can be held out
MOST_VALUES = 4 * PIXEL_LIMIT  # of one clip at the size of the records


@dataclass
class _Unit:
    """A clip, or the file of several. place: of its first file in the listing."""

    name: str
    place: int
    reels: list[Reel]


def fill(writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
    """Windows of `--frames` frames of all clips, one behind the other; all of a clip are one group. What is left at the end
    of a clip, and clips that are shorter, are left out and told. Raises DataError, GanvasError in one line."""
    skipped: list[tuple[str, str]] = []
    units = _looked_at(listing, progress, strict, skipped)
    reels = [(unit, reel) for unit in units for reel in unit.reels]
    notes = list(listing.notes)
    rate = _rate(settings.get("rate"), [reel for _, reel in reels], notes)
    counts = [len(shown_at(reel, rate)) for _, reel in reels]
    frames = _frames(settings.get("frames"), counts, listing)
    channels, depth = _form(listing, settings.get("channels"), reels)
    size = _size(listing, settings.get("size"), reels)
    if max(counts) * size[0] * size[1] * channels > MOST_VALUES:
        raise GanvasError(f"{listing.source}: a clip of {max(counts)} frames of {size[0]}x{size[1]}: cut it into parts first")
    short = [unit.name for (unit, _), count in zip(reels, counts, strict=True) if count < frames]
    places, contents, labels, names = [], [], [], []
    for (unit, reel), clip, error in _clips(reels, rate, size, settings["fit"], channels, frames, progress):
        if error is not None:
            if strict or len(reels) == 1:
                raise DataError(error)
            skipped.append((unit.name, error))
            continue
        for start in range(0, len(clip) - frames + 1, frames):
            window = np.ascontiguousarray(clip[start : start + frames])
            writer.row(window)
            places.append((unit, reel))
            contents.append(hashlib.blake2b(window.data, digest_size=16).digest())
            own = listing.labels[unit.place]
            labels.append(reel.label if own is None else own)
            names.append(unit.name)
    if not places:
        raise DataError(skipped[0][1] if skipped else f"{listing.source}: no clip could be read")
    notes += _told(reels, counts, frames, rate, len(places), short, skipped, settings["fit"], size)
    numbers, classes = class_indices(labels, listing.source, "clips", notes)
    sides = np.array(
        [-1 if listing.heldout[u.place] is None else int(bool(listing.heldout[u.place])) for u, _ in places], np.int8
    )
    spec = VideoSpec(frames, *size, channels, rate, depth, classes)
    writer.facts["skipped"] = skipped
    groups = _groups(listing, places, contents, notes)
    conclude(writer, spec, numbers, groups, sides if (sides >= 0).any() else None, notes, names)


def _looked_at(listing: Listing, progress: bool, strict: bool, skipped: list[tuple[str, str]]) -> list[_Unit]:
    """What every clip says of itself; those that cannot be read go to `skipped`."""

    def look(name: str, places: list[int]) -> _Unit:
        return _Unit(name, places[0], reels_of([listing.files[place] for place in places]))

    parts = bundles(listing.names)
    return looked_through(listing, parts, look, "clip", progress=progress, strict=strict, skipped=skipped)


def _rate(asked: int | None, reels: list[Reel], notes: list[str]) -> int:
    """Frames a second that all clips are brought to."""
    known = [(reel, round(reel.rate)) for reel in reels if reel.rate]
    counted_rates = Counter(max(1, rate) for _, rate in known)
    rate = asked or (max(counted_rates, key=lambda r: (counted_rates[r], r)) if counted_rates else RATE)
    others = {r: n for r, n in counted_rates.items() if r != rate}
    if others:
        told = ", ".join(f"{n} of {r}" for r, n in sorted(others.items(), key=lambda item: -item[1])[:4])
        more = "" if asked else " (the most common; --rate chooses)"
        notes.append(f"{sum(others.values())} of {len(reels)} clips were brought to {rate} frames a second{more}: {told}")
    if any(r < rate for r in others):
        notes.append(f"clips of a lower rate than {rate} frames a second repeat frames")
    uneven = sum(reel.uneven for reel, _ in known)
    if uneven:
        notes.append(f"{counted(uneven, 'clip')} of a varying rate: frames were taken {rate} times a second")
    if not known and asked is None:
        notes.append(f"the files do not say how many frames a second there are: {RATE} are taken (--rate says)")
    return rate


def _frames(asked: int | None, counts: list[int], listing: Listing) -> int:
    """Frames of a record."""
    if asked is not None:
        if max(counts) < asked:
            raise GanvasError(f"{listing.source}: no clip has {asked} frames, the longest has {max(counts)}: lower --frames")
        return int(asked)
    if 2 * sum(count >= FRAMES for count in counts) >= len(counts):
        return FRAMES
    return max(2, min(FRAMES, sorted(counts)[len(counts) // 10]))


def _form(listing: Listing, asked: int | None, reels: list[tuple[_Unit, Reel]]) -> tuple[int, int]:
    """(channels, depth) of all. Raises DataError where clips mix them."""
    depths = Counter(reel.depth for _, reel in reels)
    if len(depths) > 1:
        told = ", ".join(f"{depth} bits ({n})" for depth, n in depths.most_common())
        raise DataError(f"{listing.source} mixes depths: {told}: convert them to one depth or keep them in separate folders")
    depth = next(iter(depths))
    if asked is not None:
        if asked not in (1, 3):
            raise GanvasError(f"--channels {asked} is not for clips: choose 1 (grey) or 3 (colour)")
        return asked, depth
    if all(reel.grey or reel.channels == 1 for _, reel in reels):
        return 1, depth
    found = Counter(reel.channels for _, reel in reels if not reel.grey)  # a GIF in grey goes with either
    if len(found) > 1:
        told = f"{listing.source} mixes channels: grey ({found[1]}) and colour ({found[3]}): --channels 1 or --channels 3"
        raise MixedData(told, "channels", 3)
    return 3, depth


def _size(listing: Listing, asked: tuple[int, int] | None, reels: list[tuple[_Unit, Reel]]) -> tuple[int, int]:
    """(height, width) of all. Raises MixedData where clips differ and nobody says."""
    if asked is not None:
        return asked
    sizes = Counter((reel.height, reel.width) for _, reel in reels)
    if len(sizes) > 1:
        told = ", ".join(f"{high}x{wide} ({n})" for (high, wide), n in sizes.most_common(4))
        raise MixedData(f"{listing.source} mixes sizes: {told}: choose one, as in --size 64", "size", 64)
    return next(iter(sizes))


def _clips(
    reels: list[tuple[_Unit, Reel]], rate: int, size: tuple[int, int], fit: str, channels: int, frames: int, progress: bool
) -> Iterator[tuple[tuple[_Unit, Reel], np.ndarray, str | None]]:
    """Each clip at its rate, size and channels, (T, H, W, C), or why it cannot be had; none of those too short for a record."""
    from ...store.cache import in_parallel

    def work(number: int) -> tuple[np.ndarray, str | None]:
        reel = reels[number][1]
        places = shown_at(reel, rate)
        wanted = set(places.tolist()) if len(places) >= frames else set()
        kept: dict[int, np.ndarray] = {}
        try:
            for place, pixels in enumerate(frames_of(reel)) if wanted else ():
                if place in wanted:
                    kept[place] = resize(convert_channels(pixels, channels), size, fit)[0]
        except DataError as error:
            return np.empty(0), str(error)
        return np.stack([kept[place] for place in places.tolist()]) if wanted else np.empty(0), None

    order = list(range(len(reels)))
    for number, (clip, error) in zip(order, in_parallel(work, order, what="decoding", progress=progress), strict=True):
        yield reels[number], clip, error


def _told(
    reels: list[tuple[_Unit, Reel]], counts: list[int], frames: int, rate: int, records: int, short: list[str],
    skipped: list[tuple[str, str]], fit: str, size: tuple[int, int],
) -> list[str]:  # fmt: skip
    """Notes on what was skipped, cut, left out and brought to size."""
    notes = [f"skipped {reason}" if name in reason else f"skipped {name}: {reason}" for name, reason in skipped[:NOTED]]
    if len(skipped) > NOTED:
        notes.append(f"skipped {len(skipped) - NOTED} more clips that could not be read")
    seen: dict[str, list[str]] = {}
    for unit, reel in reels:
        for note in reel.notes:
            seen.setdefault(note, []).append(unit.name)
    notes += [f"{note} ({some(list(dict.fromkeys(names)))})" for note, names in seen.items()]
    long = [count for count in counts if count > frames]
    if long:
        rest = sum(count % frames for count in long)
        left = f"; {counted(rest, 'frame')} at their ends left out" if rest else ""
        notes.append(
            f"{len(long)} of {counted(len(counts), 'clip')} are longer than {frames} frames ({frames / rate:.3g} s) and were "
            f"cut one behind the other into {records} in all{left} (--frames chooses)"
        )
    if short:
        notes.append(
            f"{counted(len(short), 'clip')} shorter than {frames} frames left out ({some(short)}): --frames takes fewer"
        )
    odd = Counter(
        (reel.height, reel.width) for _, reel in reels if abs(reel.height * size[1] / (reel.width * size[0]) - 1) > 0.02
    )
    if odd:
        verb = {"crop": "cropped", "pad": "padded", "stretch": "stretched"}[fit]
        (high, wide), many = odd.most_common(1)[0]
        told = f"{sum(odd.values())} of {counted(len(reels), 'clip')} were {verb} to {size[0]}x{size[1]}"
        notes.append(f"{told} ({many} are {high}x{wide})")
    return notes


def _groups(listing: Listing, places: list[tuple[_Unit, Reel]], contents: list[bytes], notes: list[str]) -> np.ndarray:
    """Group numbers (N,): `groups.csv`, else the clip; equal windows are joined always."""
    from ...store.splits import join

    count = len(places)
    whole: list[Any] = [(unit.name, reel.index) for unit, reel in places]
    keys = [
        own if listing.groups[unit.place] is None else ("group", listing.groups[unit.place])
        for own, (unit, _) in zip(whole, places, strict=True)
    ]
    if len(set(whole)) == 1 and count > 1:
        notes.append("one clip: the held-out part is a stretch of it, so it is not independent")
        keys = [k * min(STRETCHES, count) // count for k in range(count)]
    parent = np.arange(count, dtype=np.int64)
    for column in (keys, contents):
        first: dict[Any, int] = {}
        pairs = [(first.setdefault(key, i), i) for i, key in enumerate(column)]
        join(parent, *np.array(pairs, np.int64).T)
    return parent
