"""Speak: texts made sound, a line each, with the voice that is asked for. Words may be others than those of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Speaks
from ..config import knob
from ..errors import DataError
from ..kinds import decode, kind_of
from ..kinds.facets import Piece
from ..store.listing import counted, some
from . import GIVEN, Fields, Use, UseSays, Work, first_of
from .judging import held_rows
from .sample import class_index

if TYPE_CHECKING:
    from torch import Tensor

    from ..metrics.measure import Measure
    from ..store.records import Dataset
    from .desk import Desk

MOST = 1000  # phones of a line, some 80 seconds
TEXTS = 100  # different texts up to which it is measured whether they are told apart
MEASURED, RIDGE = 200, 10.0  # sounds that are measured, and what keeps the reader of them flat


@dataclass(frozen=True)
class Options:
    label: str | None = knob(None, "whose voice, by name or number of the class (default: each line the next one)")
    pace: float = knob(1.0, "how much faster than usual", low=0.25, high=4.0)
    pitch: float = knob(0.0, "semitones higher than usual, negative: lower", low=-24.0, high=24.0)


def run(work: Work, given: Fields, options: Options) -> Fields:
    """Texts (B, words) of the run's own words -> sounds (B, C, T), silent behind their end."""
    texts, _ = first_of(given)
    return {work.main: spoken(work, work.system.spelling(texts), options)}


def spoken(work: Work, phones: Tensor, options: Options, first: int = 0, frames: int = 0) -> Tensor:
    """Phones (B, K) -> sounds (B, C, T); without a label each by the next voice, the first by that of number `first`."""
    import torch

    count, voices = len(phones), work.system.classes
    labels = None
    if options.label is not None:
        labels = torch.full((count,), class_index(work, options.label), device=phones.device)
    elif voices:
        labels = (torch.arange(count, device=phones.device) + first) % voices
    made: Tensor = work.system.utter(phones, work.noise, labels, frames=frames, pace=options.pace, higher=options.pitch / 12)
    return made


def tell(work: Work, options: Options) -> str:
    return "spoken" if options.label is None else f"spoken with the voice {work.spec.classes[class_index(work, options.label)]}"


def file(work: Work, desk: Desk, path: Path, name: str, options: Options) -> bool | list[Piece]:
    """Every line of a text, of whatever words."""
    import torch

    from ..kinds.tokens.phones import PHONES, indices, phones_of
    from ..store.cells import decoded

    lines = [(number, line) for number, line in enumerate(decoded(path).split("\n"), start=1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: holds no line of text: write what is to be said, a line for each sound")
    made: list[Piece] = []
    unsaid: dict[str, None] = {}
    unheard: dict[str, None] = {}
    heard = set(work.system.spelling.heard())
    for number, line in lines:
        phones, own = phones_of(line)
        unsaid |= dict.fromkeys(own)
        if not phones or len(phones) > MOST:
            told = (
                f"takes {len(phones)} phones, {MOST} at most" if phones else "has no word that can be said in English letters"
            )
            raise DataError(f"{path}: line {number} {told}: {'cut it into lines' if phones else 'mend it or take it out'}")
        unheard |= dict.fromkeys(phone for phone in phones if phone not in heard)
        places = torch.tensor([indices(phones)], device=work.device)
        with torch.no_grad():
            records = decode(spoken(work, places, options, first=len(made)), work.spec)
        made.append(Piece(records, replace(work.spec, length=records.shape[1])))
    if unsaid:
        desk.note(f"{path.name}: left out, as there is no way to say them: {some(list(unsaid), 6)}")
    if unheard:
        shown = some([phone for phone in PHONES if phone in unheard], 12)
        desk.note(
            f"{path.name}: {counted(len(unheard), 'phone')} ({shown}) never heard in training: what is made of them is a guess"
        )
    return made


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """Whether a reader that learnt from real training records alone tells what was said; its share on held-out ones beside."""
    import torch

    from ..metrics.measure import Measure

    field = list(work.fields)[1]
    said = np.asarray(dataset.fields[field].values)
    texts, numbers = np.unique(said, axis=0, return_inverse=True)
    numbers = numbers.reshape(-1)
    if not 2 <= len(texts) <= TEXTS:
        return {}
    kind, spec = kind_of(work.spec.kind), work.spec
    rows = np.resize(held_rows(dataset, count, work.seed, USE.says.doing), min(count, MEASURED))
    train = dataset.train_indices()
    learnt = kind.vectors(np.asarray(dataset.values[train]), spec).astype(np.float64)
    middle, spread = learnt.mean(0), learnt.std(0) + 1e-6

    def standard(values: np.ndarray) -> np.ndarray:
        found = (kind.vectors(values, spec) - middle) / spread
        return np.concatenate([found, np.ones((len(found), 1))], 1)

    own = (learnt - middle) / spread
    own = np.concatenate([own, np.ones((len(own), 1))], 1)
    weights = np.linalg.solve(own.T @ own + RIDGE * np.eye(own.shape[1]), own.T @ np.eye(len(texts))[numbers[train]])
    phones = work.system.spelling(work.encode(said[rows], work.fields[field]))
    voices = (
        torch.from_numpy(dataset.labels[rows]).to(work.device) if dataset.labels is not None and work.system.classes else None
    )
    made = np.concatenate([
        decode(work.system.utter(phones[k : k + 32], work.noise, None if voices is None else voices[k : k + 32],
                                 frames=-(-spec.length // work.system.config.hop))[..., : spec.length], spec)
        for k in range(0, len(rows), 32)
    ])  # fmt: skip
    right, real = ((standard(own) @ weights).argmax(1) == numbers[rows] for own in (made, np.asarray(dataset.values[rows])))
    protocol = f"share of {len(texts)} texts heard as asked/ridge on log-mel of training records/n={len(rows)}"
    return {"texts_right": Measure(float(right.mean()), protocol, more={"real": round(float(real.mean()), 4)})}


def choices(work: Work) -> dict[str, Any]:
    """The voices."""
    return {"label": tuple(work.spec.classes)} if work.system.classes else {}


USE = Use(
    verb="speak",
    done="spoken",
    promise=Speaks,
    method="utter",
    takes=(GIVEN,),
    Options=Options,
    order=33,
    run=run,
    tell=tell,
    file=file,
    measure=measure,
    choices=choices,
    says=UseSays(
        purpose="speaking texts, a line each, also of words that were not in the data",
        doing="speaking",
        example="ganvas apply RUN words.txt --as speak --out FOLDER",
        caution="Words are taken by English rules of spelling, and only phones that were in the recordings sound right. A "
        "voice is made up after real speakers: say so wherever it is heard, and ask them first.",
    ),
)
