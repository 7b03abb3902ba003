"""Act: clips in which one look does several things, or many looks do one; longer than those that were learnt where wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import ActsApart
from ..config import knob
from ..errors import GanvasError
from . import Fields, Use, UseSays, Work
from .sample import class_index

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Noise
    from ..metrics.measure import Measure
    from ..store.records import Dataset

BATCH = 16
NUMBERS = 9999  # contents and motions of a seed that can be asked for
LONGEST = 1024  # frames, as of clips that are read
STEP = 1_000_003  # between the seeds of contents and motions: a number means the same whatever is asked for beside it


@dataclass(frozen=True)
class Options:
    count: int = knob(16, "how many", low=1)
    content: int = knob(0, "which look of this seed all clips show: 3 is that of the third clip; 0: each its own", low=0)
    motion: int = knob(0, "which motion of this seed all clips show, with its action; 0: each its own", low=0)
    label: str | None = knob(None, "action, by name or number (runs with classes; default: the actions in turn)")
    frames: int = knob(0, "frames of a clip; 0: as many as were learnt", low=0)


def run(work: Work, given: Fields, options: Options) -> Fields:
    """Clips in pieces of at most 16, and `label` where the system takes labels. Raises GanvasError for what cannot be asked."""
    import torch

    labels = labels_of(work, options)
    beside: Fields = {} if labels is None else {"label": torch.from_numpy(labels)}
    return {work.main: drawn(work, options, labels), **beside}


def numbers_of(chosen: int, count: int, word: str) -> np.ndarray:
    """(count,) numbers from 1 on: the chosen one over and over, or one after the other."""
    if chosen > NUMBERS:
        raise GanvasError(f"--{word} {chosen} is out of range: 1 to {NUMBERS}, or leave it out")
    return np.full(count, chosen) if chosen else np.arange(1, count + 1)


def labels_of(work: Work, options: Options) -> np.ndarray | None:
    """The action of each clip (count,) int64: the one that is asked for, or that of its motion; None without classes."""
    if options.label is not None:
        return np.full(options.count, class_index(work, options.label), np.int64)
    classes = getattr(work.system, "classes", 0)
    return (numbers_of(options.motion, options.count, "motion") - 1).astype(np.int64) % classes if classes else None


def length_of(work: Work, options: Options) -> int:
    """Frames of a clip."""
    if options.frames == 1 or options.frames > LONGEST:
        raise GanvasError(f"--frames {options.frames} is out of range: 2 to {LONGEST} frames of a clip")
    return options.frames or int(work.spec.frames)


def drawn(work: Work, options: Options, labels: np.ndarray | None) -> Iterator[Tensor]:
    """Clips (B, C, T, H, W); the first are the same whatever the count, and begin alike whatever their length."""
    import torch

    from ..batches import Noise

    system, frames = work.system, length_of(work, options)

    def noise(number: int, part: int) -> Noise:
        return Noise.seeded(work.seed + STEP * (2 * int(number) + part), work.device, work.dtype)

    def moving(own: Noise) -> Tensor:  # frame by frame: drawn at once, numbers would depend on how many there are
        return torch.stack([own.normal(1, system.motion_size) for _ in range(1 + frames)], 1)

    contents = numbers_of(options.content, options.count, "content")
    motions = numbers_of(options.motion, options.count, "motion")
    for start in range(0, options.count, BATCH):
        own = slice(start, start + BATCH)
        look = torch.cat([noise(number, 0).normal(1, system.content_size) for number in contents[own]])
        moves = torch.cat([moving(noise(number, 1)) for number in motions[own]])
        told = None if labels is None else torch.from_numpy(labels[own]).to(work.device)
        with torch.no_grad():
            yield system.act(look, moves, told)


def tell(work: Work, options: Options) -> str:
    labels_of(work, options)
    asked = [f"{word} {chosen}" for word in ("content", "motion") if (chosen := getattr(options, word))]
    asked += [options.label] if options.label is not None else []
    return f"acted{' as ' + ', '.join(asked) if asked else ''}, {length_of(work, options)} frames"


def trials(work: Work) -> list[dict[str, Any]]:
    """Each its own, one look, one motion."""
    return [{}, {"content": 2}, {"motion": 2}]


def choices(work: Work) -> dict[str, Any]:
    """The actions, where the run knows some."""
    return {"label": tuple(work.spec.classes)} if getattr(work.system, "classes", 0) else {}


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """How much a look changes when it does something else, beside how much two looks differ: the distance of the mean colours
    of clips, as a share. 0: content is content alone; 1: motion says how things look."""
    from ..kinds import decode
    from ..metrics.measure import Measure

    many = min(count, 64)

    def colour(options: Options) -> np.ndarray:
        labels = labels_of(work, options)
        made = [decode(piece, work.spec) for piece in drawn(work, options, labels)]
        return np.concatenate(made).astype(np.float64).mean(axis=(1, 2, 3))

    plain = Options(count=many)
    first = colour(plain)
    second = np.concatenate([colour(replace(plain, count=1, content=k + 1, motion=many + k + 2)) for k in range(many)])
    apart = np.linalg.norm(first - np.roll(first, 1, axis=0), axis=1).mean()
    share = float(np.linalg.norm(first - second, axis=1).mean() / max(apart, 1e-9))
    return {"content_shift": Measure(share, f"mean colour of a look that acts anew, of that of another look/n={many}")}


USE = Use(
    verb="act",
    done="acted",
    promise=ActsApart,
    takes=(),
    Options=Options,
    order=14,
    run=run,
    tell=tell,
    trials=trials,
    choices=choices,
    measure=measure,
    says=UseSays(
        purpose="letting one look do several things, or many looks one thing, for as long as wanted",
        doing="acting",
        example="ganvas apply RUN --as act --content 3 --out FOLDER",
    ),
)
