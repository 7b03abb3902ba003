"""Making a blinded reading: images of two sources made alike, the page for readers, the key for the owner. Not scoring."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, GanvasError
from ..version import __version__

KEY_FORMAT, ANSWERS_FORMAT = "ganvas-reading-key/1", "ganvas-reading-answers/1"
KEY_FILE, PAGE_FILE = "key.json", "reading.html"
TRUTHS = ("real", "synthetic")
REPEATED = 0.1
"""Share of the images that every reader sees twice."""


@dataclass
class _Drawn:
    """Images of one truth, ready to be shown: pixels (N, H, W, C) uint8, where each came from, and what to say of it."""

    pixels: np.ndarray
    indices: list[int]
    facts: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def make_reading(
    real: Any,
    fake: Any,
    out: str | Path,
    *,
    count: int = 50,
    seed: int = 0,
    size: int | tuple[int, int] | None = None,
    title: str = "",
    channels: int | None = None,
    everything: bool = False,
    back: bool = False,
) -> dict[str, Any]:
    """Write the page (`reading.html`) and the key (`key.json`) of a reading into the folder `out`.

    real, fake: anything `ganvas.data.open_data` reads; `fake` may be the folder of a run, which is then sampled and whose
    own held-out part the real images come from when `real` is the data it was trained on. Of real data with a held-out
    part (a `split` column, `train` and `test` folders, or a run's) only that part is used unless `everything`.
    count: images of each kind, at least 2. seed: of the choice and the samples. size: the side, or (height, width), that
    all are shown at; None takes the size both share, else the smaller one. channels: 1 or 3 for sources that mix grey and
    colour. back: readers may take back answers.

    Every image becomes 8-bit PNG without metadata, black to white being the range its source declares. Names, the order
    and the study's name are random numbers that hang on the images, so that nobody can derive them from `seed`.

    Returns study, page, key, count (of each kind), size, real, fake, warnings (what may give the answer away) and notes.
    Raises DataError when a source holds points, too few images or unusable channels; GanvasError for numbers out of range
    and when `out` already holds a reading; RunError when it cannot be written.
    """
    from ..files import disk_errors, write_atomically, write_json
    from ..kinds.image.resize import parse_size
    from ._reading_page import build_page

    if count < 2 or isinstance(count, bool):
        raise GanvasError(f"count {count} is too small: give 2 or more images of each kind (50 is usual)")
    out = Path(out)
    if (out / KEY_FILE).exists():
        raise GanvasError(f"{out} already holds a reading, whose key would be lost: choose another folder")
    shown, found = _draw(real, fake, count, seed, parse_size(size), channels, everything)
    pictures = [_png(pixels) for drawn in shown for pixels in drawn.pixels]
    truths = [truth for truth, drawn in zip(TRUTHS, shown, strict=True) for _ in drawn.indices]
    indices = [index for drawn in shown for index in drawn.indices]

    body = hashlib.sha256(b"".join([str(seed).encode(), *(hashlib.sha256(p).digest() for p in pictures)])).digest()
    rng = np.random.default_rng(int.from_bytes(body, "big"))
    study = rng.bytes(6).hex()
    names = [rng.bytes(5).hex() for _ in pictures]
    order = sorted(range(len(names)), key=names.__getitem__)

    height, width = shown[0].pixels.shape[1:3]
    facts = {
        "study": study,
        "title": title or "Real or synthetic?",
        "format": ANSWERS_FORMAT,
        "width": int(width),
        "height": int(height),
        "repeat": REPEATED,
        "back": bool(back),
    }
    warnings = [*found, *giveaways(shown[0].pixels, shown[1].pixels, [len(p) for p in pictures])]
    notes = [note for drawn in shown for note in drawn.notes]
    key = {
        "format": KEY_FORMAT,
        "study": study,
        "title": facts["title"],
        "ganvas": __version__,
        "count": count,
        "size": [int(height), int(width)],
        "seed": seed,
        "real": shown[0].facts,
        "fake": shown[1].facts,
        "warnings": warnings,
        "notes": notes,
        "images": {names[i]: {"truth": truths[i], "index": indices[i]} for i in order},
    }
    page = build_page(facts, [(names[i], pictures[i]) for i in order])
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    write_json(out / KEY_FILE, key)
    write_atomically(out / PAGE_FILE, page.encode())
    told_back = {name: key[name] for name in ("study", "title", "count", "size", "real", "fake", "warnings", "notes")}
    return {**told_back, "page": str(out / PAGE_FILE), "key": str(out / KEY_FILE), "page_bytes": len(page)}


def _draw(
    real: Any, fake: Any, count: int, seed: int, size: tuple[int, int] | None, channels: int | None, everything: bool
) -> tuple[tuple[_Drawn, _Drawn], list[str]]:
    """(real, fake) images of one shape, and warnings about what had to be changed for that."""
    from ..run.settings import FILE

    is_run = isinstance(fake, str | Path) and (Path(fake).expanduser() / FILE).is_file()
    if is_run:
        datasets, warnings = _open_with_run(real, Path(fake).expanduser(), size, channels)
    else:
        datasets, warnings = _open_both(real, fake, size, channels)
    rng = np.random.default_rng([seed, 0x5EAD])
    first = _choose(datasets[0], "real", count, rng, heldout=not everything)
    second = _sampled(Path(fake).expanduser(), count, seed) if is_run else _choose(datasets[1], "fake", count, rng)
    ranges = [drawn.facts["range"] for drawn in (first, second)]
    if ranges[0] != ranges[1]:
        told = [f"{r[0]:g} to {r[1]:g} in {r[2]} bits" for r in ranges]
        warnings.append(f"values are told differently (real {told[0]}, synthetic {told[1]}): each was stretched to 8 bits")
    grey = {drawn.pixels.shape[3] for drawn in (first, second)}
    if len(grey) > 1:
        from ..kinds.image.resize import convert_channels

        for drawn in (first, second):
            drawn.pixels = np.stack([convert_channels(pixels, 1) for pixels in drawn.pixels])
        warnings.append("one source is grey and the other in colour: all are shown in grey")
    return (first, second), warnings


def _open_both(real: Any, fake: Any, size: tuple[int, int] | None, channels: int | None) -> tuple[list[Any], list[str]]:
    from ..data.dataset import open_data
    from ..kinds.image.survey import native_size

    native = [None if isinstance(s, str | Path) and not Path(s).expanduser().exists() else native_size(s) for s in (real, fake)]
    known = [n for n in native if n is not None]
    wanted = size or (min(known, key=math.prod) if known else None)
    # A share of 0 leaves only what the source itself holds out.
    datasets = [
        open_data(s, size=wanted, channels=channels, kinds=("image",), heldout=0.0, progress=False) for s in (real, fake)
    ]
    return datasets, _resizing(native, wanted)


def _open_with_run(
    real: Any, run: Path, size: tuple[int, int] | None, channels: int | None
) -> tuple[list[Any], list[str]]:  # fmt: skip
    """The real data at the size of the run; with the split of the run when it is the data the run was trained on."""
    from ..data.dataset import open_data
    from ..kinds.image.spec import ImageSpec
    from ..kinds.image.survey import native_size
    from ..run.load import read_run
    from ..run.opening import open_record_data

    record = read_run(run)
    if not isinstance(record.spec, ImageSpec):
        raise DataError(f"{run} makes points: a reading is of images")
    own = (record.spec.height, record.spec.width)
    if size not in (None, own):
        raise GanvasError(f"a run is shown at its own size, {own[0]}x{own[1]}: leave the size out")
    dataset = open_record_data(record, source=real)
    if dataset.fingerprint == record.data["fingerprint"]:  # resized as the images that the generator learnt from
        return [dataset], []
    dataset = open_data(
        real,
        size=own,
        channels=channels or record.settings.channels,
        fit=record.settings.fit or "crop",
        heldout=0.0,
        progress=False,
    )
    exists = not isinstance(real, str | Path) or Path(real).expanduser().exists()
    return [dataset], _resizing([native_size(real) if exists else None, own], own)


def _resizing(native: Sequence[tuple[int, int] | None], wanted: tuple[int, int] | None) -> list[str]:
    changed = [
        f"{truth} images from {n[0]}x{n[1]}"
        for truth, n in zip(TRUTHS, native, strict=True)
        if n is not None and wanted is not None and n != wanted
    ]
    if not changed or wanted is None:
        return []
    alone = "; the others were not, and resizing can be seen" if len(changed) == 1 else ""
    return [f"{' and '.join(changed)} were resized to {wanted[0]}x{wanted[1]}{alone}"]


def _choose(dataset: Any, what: str, count: int, rng: np.random.Generator, *, heldout: bool = False) -> _Drawn:
    from ..kinds.image.spec import ImageSpec

    if not isinstance(dataset.spec, ImageSpec):
        raise DataError(f"{dataset.source} holds points: a reading is of images")
    pool = dataset.heldout_indices() if heldout and dataset.heldout.any() else np.arange(len(dataset))
    part = "held-out" if len(pool) < len(dataset) else "all"
    if len(pool) < count:
        which = "held-out images (--all takes the others too)" if part == "held-out" else "images"
        raise DataError(
            f"{dataset.source}: {len(pool)} {which} are not enough for {count}: ask for fewer, as in  -n {len(pool)}"
        )
    chosen = np.sort(rng.choice(pool, count, replace=False))
    facts = {"source": dataset.source, "fingerprint": dataset.fingerprint, "records": part, "of": len(pool)}
    notes = [f"{what}: {note}" for note in dataset.notes if "split column" not in note]
    if what == "real" and part == "all":
        notes.append("real: nothing is held out, so images that a generator was trained on may be among them")
    return _ready(np.asarray(dataset.values[chosen]), dataset.spec, chosen.tolist(), facts, notes)


def _sampled(run: Path, count: int, seed: int) -> _Drawn:
    from ..run.load import Run

    opened = Run(run)
    facts = {"source": str(run), "system": opened.record.card.name, "round": opened.manifest.get("round"), "seed": seed}
    notes = [f"fake: {note}" for note in opened.notes]
    return _ready(opened.sample(count, seed=seed), opened.spec, list(range(count)), facts, notes)


def _ready(values: np.ndarray, spec: Any, indices: list[int], facts: dict[str, Any], notes: list[str]) -> _Drawn:
    """Values in file units as a screen shows them: 8 bits, low to high being black to white."""
    if spec.channels not in (1, 3):
        raise DataError(f"{facts['source']}: {spec.channels} channels cannot be shown: a reading is of grey or colour images")
    pixels = values
    if (values.dtype, spec.low, spec.high) != (np.uint8, 0.0, 255.0):
        pixels = np.rint(((values.astype(np.float64) - spec.low) / (spec.high - spec.low)).clip(0, 1) * 255).astype(np.uint8)
    facts["range"] = [float(spec.low), float(spec.high), int(spec.depth)]
    return _Drawn(pixels, indices, facts, notes)


def _png(pixels: np.ndarray) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), level=9))


def giveaways(real: np.ndarray, fake: np.ndarray, sizes: Sequence[int] | None = None) -> list[str]:
    """Traces that tell two sets of images apart without looking at what they show, one line each; empty when none.

    real, fake: (N, H, W, C) uint8, as shown. sizes: bytes of the real and then of the synthetic files, if known. Looked
    at: grey levels that no image of a set uses though the other set does (even levels only, say), and, image by image, the
    number of distinct levels, the lowest and highest, the constant lines around the image, colour, and the file size. A
    property of images is told when it orders at least 75 of 100 pairs of a real and a synthetic image alike and chance is
    excluded (Mann and Whitney 1947, p < 0.001). What is not told may still be there: resampling, noise, compression.
    """
    from scipy.stats import mannwhitneyu

    lines = []
    steps = [_step(images) for images in (real, fake)]
    if steps[0] != steps[1]:
        truth, step = (TRUTHS[0], steps[0]) if steps[0] > steps[1] else (TRUTHS[1], steps[1])
        levels = "only even grey levels" if step == 2 else f"only every {step}th grey level"
        lines.append(f"{truth} images use {levels}: the sets differ in depth or in how they were rescaled")
    columns = [[_traces(image) for image in images] for images in (real, fake)]
    first, second = ([dict(t) for t in c] for c in columns)
    if sizes is not None:
        for trace, bytes_ in zip([*first, *second], sizes, strict=True):
            trace["file size in bytes"] = float(bytes_)
    for name in first[0]:
        a, b = np.array([t[name] for t in first]), np.array([t[name] for t in second])
        test = mannwhitneyu(b, a)
        share = float(test.statistic) / (len(a) * len(b))
        if max(share, 1 - share) < 0.75 or test.pvalue >= 1e-3:
            continue
        lines.append(
            f"{name} alone orders {100 * max(share, 1 - share):.0f} of 100 pairs alike: median {np.median(a):g} of real and "
            f"{np.median(b):g} of synthetic images (mean {a.mean():.4g} and {b.mean():.4g})"
        )
    return lines


def _step(images: np.ndarray) -> int:
    """The greatest step that all grey levels of a set are multiples of."""
    return max(1, int(np.gcd.reduce(np.unique(images).astype(np.int64))))


def _traces(image: np.ndarray) -> dict[str, float]:
    lines = 0
    for view in (image, image[::-1], image.transpose(1, 0, 2), image.transpose(1, 0, 2)[::-1]):
        flat = (view == view[:1, :1]).all(axis=(1, 2))
        lines += int(flat.argmin()) if not flat.all() else len(flat)
    return {
        "the number of grey levels": float(len(np.unique(image))),
        "the darkest value": float(image.min()),
        "the brightest value": float(image.max()),
        "the number of constant lines at the border": float(lines),
        "the strength of colour": float(np.ptp(image.astype(np.int16), axis=2).max()),
    }
