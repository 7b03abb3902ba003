"""Phantoms: synthetic worlds with known truth, drawn from a name, a number and a seed.

For trying a system without data, for tests, and for measuring against a truth that is known exactly. Not for teaching
anything about patients: the medical phantoms look like radiographs and MR slices, they are not a model of disease.

A phantom is asked for by text: `chest`, `brain:t2`, `patterns:sine`, `gaussians:grid`, `formula:sin(3*x)*x;x=-3..3`.
The same text, seed and number give the same samples; the first k of n samples are the same for every n.
Importing this package is cheap: numpy and the drawing code load when a phantom is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from ganvas.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from ganvas.specs import Spec

Progress = Callable[[int, int], None]
"""Called with (samples made so far, samples asked for)."""

LARGEST_SIDE = 4096


@dataclass(frozen=True)
class Phantom:
    """One entry of the catalogue.

    name: what stands before the colon. kind: `image`, `points` or one of `ganvas.kinds`. summary: one line. variants: what
    may stand behind the colon, empty for `formula`, whose rest is free text. make: `(variant or None, n, seed, size, depth,
    progress)` to `PhantomData`; it imports the drawing code when called. side: the size when none is asked for. count: of
    records to train on, where the usual number would not do. least: the smallest size. told: `(variant or None, n, seed)` to
    the columns of the truth (`PhantomData.columns`), without drawing, for systems that learn from records of several fields.
    """

    name: str
    kind: str
    summary: str
    variants: tuple[str, ...]
    make: Callable[..., PhantomData]
    side: int = 64
    count: int | None = None
    least: int = 16
    told: Callable[..., Any] | None = None


@dataclass
class PhantomData:
    """What a phantom made.

    values: images (N, H, W, C) uint8 or uint16, or points (N, D) float32. labels: (N,) int64 indices into `classes`,
    or None. masks: name to (N, H, W) uint8, 255 inside and 0 outside. facts: one JSON-able dictionary per sample with
    the truth it was drawn from, or an empty list. spec: what the values are, for kinds other than images and points, whose
    records then are those of the kind. columns: name to N cells, where the truth fits a table beside the records; `group` says
    which belong on one side of a split. scale: of images whose values mean something: what 0 stands for, what full scale stands
    for, and the unit; files of formats that can say so hold these values.
    """

    values: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    facts: list[dict[str, Any]] = field(default_factory=list)
    spec: Spec | None = None
    columns: dict[str, list[str]] = field(default_factory=dict)
    scale: tuple[float, float, str] | None = None


@dataclass(frozen=True)
class _Lazy:
    """A function of a module in this package that is imported when it is called."""

    module: str
    function: str = "make"

    def __call__(self, *args: Any) -> Any:
        return getattr(import_module(f"{__name__}.{self.module}"), self.function)(*args)


PATTERNS = ("sine", "square", "parabola", "sawtooth", "circle")
WORDS = ("ya", "ay", "wi", "uw")
CHEST_CLASSES = ("normal", "nodule", "effusion", "cardiomegaly", "pneumothorax")
SENSOR_CLASSES = ("normal", "spike", "drift", "stuck", "phase")
SOLID_CLASSES = ("chair", "table", "shelf", "bed")
MELODY_CLASSES = ("major", "minor")
CLIP_CLASSES = ("falling", "sliding", "swinging", "circling")

_CATALOGUE = {
    phantom.name: phantom
    for phantom in (
        Phantom(
            "patterns",
            "points",
            "five curves in the plane (sine, square, parabola, sawtooth, circle), labelled",
            PATTERNS,
            _Lazy("patterns"),
        ),
        Phantom(
            "formula",
            "points",
            "your own curve y = f(x), as in formula:sin(3*x)*x;x=-3..3",
            (),
            _Lazy("patterns", "make_formula"),
        ),
        Phantom(
            "gaussians",
            "points",
            "mixtures of Gaussians for counting modes: 8 on a ring (the default) or a 5x5 grid",
            ("ring", "grid"),
            _Lazy("gaussians"),
        ),
        Phantom(
            "chest",
            "image",
            "simulated frontal chest radiographs with findings, lung, heart and finding masks",
            CHEST_CLASSES,
            _Lazy("chest"),
        ),
        Phantom(
            "brain",
            "image",
            "simulated slices of heads: MR (T1, T2, PD), CT and PET of the same anatomy, some with a lesion and its mask",
            ("t1", "t2", "pd", "ct", "pet"),
            _Lazy("brain"),
        ),
        Phantom(
            "brain-volumes",
            "volume",
            "simulated whole heads in three dimensions: MR (T1, T2) or CT, some with a lesion, every tissue known",
            ("t1", "t2", "ct"),
            _Lazy("brain_volumes"),
            side=64,
            count=200,
        ),
        Phantom(
            "faces",
            "image",
            "heads of nobody in colour, with a table of person, age, pose, light, glasses, mouth and hair",
            ("front", "turned"),
            _Lazy("faces"),
            told=_Lazy("faces", "told"),
        ),
        Phantom(
            "figures",
            "image",
            "dressed people of sticks, eight poses of each, with a table of person, clothes and the points of the pose",
            (),
            _Lazy("figures"),
            told=_Lazy("figures", "told"),
        ),
        Phantom(
            "sensors",
            "series",
            "windows of five coupled sensors, normal or with a planted spike, drift, stuck sensor or phase change",
            SENSOR_CLASSES,
            _Lazy("sensors"),
        ),
        Phantom(
            "solids",
            "solid",
            "furniture in voxels (chairs, tables, shelves, beds) made of boxes and cylinders, with every part known",
            SOLID_CLASSES,
            _Lazy("solids"),
            side=32,
        ),
        Phantom(
            "melodies",
            "tokens",
            "melodies of 32 steps over four chords that come round, in any major or minor key",
            MELODY_CLASSES,
            _Lazy("melodies"),
            side=32,
        ),
        Phantom(
            "tunes",
            "tune",
            "tunes of 8 bars over four chords that come round, each second bar shaped like the one before it, in any major key",
            (),
            _Lazy("tunes"),
            side=8,
            least=2,
        ),
        Phantom(
            "oracle",
            "tokens",
            "sequences of 20 out of 50 symbols from a fixed random LSTM, which knows how likely any other is",
            (),
            _Lazy("oracle"),
            side=20,
        ),
        Phantom(
            "communities",
            "graph",
            "one graph of three communities (150 nodes, 600 edges unless asked for more), by a block model",
            (),
            _Lazy("communities"),
            side=150,
            count=600,
        ),
        Phantom(
            "patients",
            "table",
            "rows of a made-up clinic: numbers of several modes, a rare group, gaps, dates, an answer that two columns decide",
            (),
            _Lazy("patients"),
        ),
        Phantom(
            "clips",
            "video",
            "clips of a shape that falls, slides, swings or circles before a still background (16 frames, 10 a second)",
            CLIP_CLASSES,
            _Lazy("clips"),
            side=32,
        ),
        Phantom(
            "turning-faces",
            "video",
            "clips of heads of nobody that turn and nod, four of each person, with the places of eyes, nose and mouth",
            (),
            _Lazy("turning_faces"),
            side=48,
        ),
        Phantom(
            "words",
            "sound",
            "four made-up words (0.5 s at 4000 Hz), buzzing voices with gliding formants",
            WORDS,
            _Lazy("words"),
            side=2048,
            told=_Lazy("words", "told"),
        ),
    )
}


def module_of(text: str) -> str:
    """The module that makes the phantom asked for by `text`."""
    make = _find(text)[0].make
    return f"{__name__}.{make.module}" if isinstance(make, _Lazy) else make.__module__


def catalogue() -> dict[str, Phantom]:
    """Every phantom by name, in the order to show them. Imports nothing heavy."""
    return dict(_CATALOGUE)


def is_phantom(text: str) -> bool:
    """Whether `text` asks for a phantom: a catalogue name, alone or before a colon, that is not an existing path.

    A run or results of that name do not count: they are no data, and `ganvas train SYSTEM --data chest --out chest` makes one.
    """
    name = text.partition(":")[0]
    if name not in _CATALOGUE:
        return False
    try:
        if not Path(text).exists():
            return True
        from ganvas.store.listing import is_filled_by_ganvas

        return is_filled_by_ganvas(Path(text))
    except (OSError, ValueError):  # too long for a path, or characters no path can hold
        return True


def knows_findings(text: str) -> bool:
    """Whether `text` asks for a phantom of which is known what every image shows, and which of that cannot be together."""
    return is_phantom(text) and text.partition(":")[0] == "chest"


def _find(text: str) -> tuple[Phantom, str | None]:
    name, colon, variant = text.partition(":")
    if name not in _CATALOGUE:
        known = list(_CATALOGUE)
        raise DataError(f"unknown phantom {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}")
    phantom = _CATALOGUE[name]
    if name == "formula":
        if not variant.strip():
            raise DataError("formula: nothing behind the colon; write one such as formula:sin(3*x)*x;x=-3..3")
        return phantom, variant
    if not colon:
        return phantom, None
    if variant not in phantom.variants:
        raise DataError(
            f"phantom '{name}' has no variant {variant!r}{did_you_mean(variant, phantom.variants)}; "
            f"write '{name}' alone or with one of {', '.join(phantom.variants)}"
        )
    return phantom, variant


def _whole(value: Any) -> TypeGuard[int]:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def make_phantom(
    text: str,
    n: int,
    seed: int = 0,
    *,
    size: int | tuple[int, int] | None = None,
    depth: int = 8,
    progress: Progress | None = None,
) -> PhantomData:
    """Draw `n` samples of the phantom `text`.

    n: at least 1. seed: a whole number >= 0. size: pixels, one side or (height, width), 16 to 4096; of other kinds one number,
    the length or the side of a record; None: 64, for solids and clips 32.
    depth: 8 or 16 bits; images only. progress: called with (made, asked for).

    Raises DataError, in one line, for an unknown name or variant, a formula that cannot be read, and an `n`, `seed`,
    `size` or `depth` out of range.
    """
    phantom, variant = _find(text)
    if not _whole(n) or n < 1:
        raise DataError(f"phantom '{text}': the number of samples must be a whole number of at least 1, not {n!r}")
    if not _whole(seed) or seed < 0:
        raise DataError(f"phantom '{text}': the seed must be a whole number of at least 0, not {seed!r}")
    size = phantom.side if size is None else size
    sides = (size, size) if _whole(size) else size
    if (
        not isinstance(sides, (tuple, list))
        or len(sides) != 2
        or not all(_whole(side) and phantom.least <= side <= LARGEST_SIDE for side in sides)
    ):
        raise DataError(
            f"phantom '{text}': size must be one side or (height, width) of {phantom.least} to {LARGEST_SIDE} pixels, "
            f"not {size!r}"
        )
    if depth not in (8, 16):
        raise DataError(f"phantom '{text}': depth must be 8 or 16 bits, not {depth!r}")
    shape = (int(sides[0]), int(sides[1]))
    return phantom.make(variant, int(n), int(seed), shape, int(depth), progress)


def told(text: str, n: int, seed: int = 0) -> dict[str, list[str]]:
    """Column -> cells (n,) of what is true of `n` samples of a phantom, as `PhantomData.columns`; empty for one without such a
    table. Raises DataError as `make_phantom` does."""
    phantom, variant = _find(text)
    return {} if phantom.told is None else phantom.told(variant, n, seed)


def truth(text: str, n: int, seed: int = 0) -> np.ndarray:
    """`n` true points (N, D) float32 of a points phantom, for evaluation.

    Independent of what `make_phantom` draws with the same seed, so that nothing is judged by what it was trained on.
    Raises DataError as `make_phantom` does, and for an image phantom.
    """
    phantom, _ = _find(text)
    if phantom.kind != "points":
        raise DataError(f"phantom '{text}' makes images, it has no true points; use make_phantom")
    # An offset beyond any seed a person types keeps the two streams apart.
    return make_phantom(text, n, seed + 2**40).values


__all__ = [
    "CHEST_CLASSES",
    "CLIP_CLASSES",
    "LARGEST_SIDE",
    "MELODY_CLASSES",
    "PATTERNS",
    "SENSOR_CLASSES",
    "SOLID_CLASSES",
    "Phantom",
    "PhantomData",
    "catalogue",
    "is_phantom",
    "make_phantom",
    "told",
    "truth",
]
