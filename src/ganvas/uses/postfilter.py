"""Postfilter: natural detail for dull speech, as files of sound, or as mel spectrograms (`.npy`, `.npz`)."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Panel, Postfilters
from ..kinds.facets import Piece
from . import Fields, Judged, NoOptions, Use, UseSays, Work, first_of
from .judging import as_given, both, decoded, held_rows, in_pieces, told_pairs
from .vocode import KEY, audible, read_mel

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch
    from ..metrics.measure import Measure
    from ..store.records import Dataset
    from .desk import Desk


def run(work: Work, given: Fields, options: Any) -> Fields:
    """Sounds (B, C, T) of any length."""
    sounds, _ = first_of(given)
    return {work.main: sharpened(work, work.system, sounds)}


def sharpened(work: Work, system: Any, sounds: Tensor) -> Tensor:
    from ..inference.filtering import changed

    return changed(system, sounds, system.sharpening, work.noise).to(sounds)


def dulled(work: Work, sounds: Tensor) -> Tensor:
    from ..inference.filtering import changed

    return changed(work.system, sounds, work.system.smoothing, work.noise).to(sounds)


def tell(work: Work, options: Any) -> str:
    return "given natural detail by a postfilter"


def file(work: Work, desk: Desk, path: Path, name: str, options: Any) -> bool | list[Piece]:
    """A spectrogram to a spectrogram."""
    import torch

    from ..inference.filtering import differences

    if path.suffix.lower() not in USE.suffixes:
        return False
    mels = torch.from_numpy(read_mel(path, work, desk))[None]
    with torch.no_grad():
        made = mels + differences(work.system, mels, work.system.sharpening, work.noise)
    buffer = io.BytesIO()
    floor = np.log10(work.system.mel.settings.floor)
    arrays: dict[str, Any] = {KEY: np.maximum(made[0].numpy(), floor), **asdict(work.system.mel.settings)}
    np.savez_compressed(buffer, **arrays)
    desk.save(f"{name}.npz", buffer.getvalue())
    return True


# Judging


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out records, made dull as in training and postfiltered, with the true ones beside."""
    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    given = {work.main: np.asarray(dataset.values[rows])}
    made, untrained = both(
        work, fresh, given, lambda own, fields: sharpened(own, own.system, dulled(work, fields[work.main]))
    )  # fmt: skip
    dull = decoded(work, in_pieces(work, given, lambda fields: dulled(work, fields[work.main])))
    return Judged(
        made,
        untrained,
        dataset,
        originals=given[work.main],
        beside={"input": as_given(dull)},
        families=("distance", "look"),  # each stands for a held-out record: their spread and copies say nothing of the run
        notes=[f"judged: {len(rows)} held-out records, made dull as in training and postfiltered{told_pairs(work)}"],
    )


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """Modulation spectrum, global variance and distortion of mel-cepstra, of what was made and of what it was made of."""
    from ..metrics.cepstra import detail
    from ..metrics.measure import Measure

    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    true = np.asarray(dataset.values[rows])
    found = {}
    makers = {"": lambda dull: sharpened(work, work.system, dull), "input_": lambda dull: dull}
    for name, maker in makers.items():
        pieces = [maker(piece) for piece in in_pieces(work, {work.main: true}, lambda own: dulled(work, own[work.main]))]
        figures = detail(waves(decoded(work, pieces)), waves(true), work.spec.rate)
        for key in ("modulation", "variance", "distortion"):
            found[f"{name}{key}"] = Measure(figures[key], f"dB/24 mel-cepstral coefficients/n={len(rows)}")
    return found


def waves(records: np.ndarray) -> list[np.ndarray]:
    """Records (N, length, channels) -> (length,) each, mono."""
    return list(np.asarray(records, np.float32).mean(2))


def show(work: Work, batch: Batch) -> Panel:
    """Dull, postfiltered, and true."""
    import torch

    work.renew()
    true = batch[work.main]
    dull = dulled(work, true)
    return Panel(torch.stack([dull, sharpened(work, work.system, dull), true], 1), ("dull", "postfiltered", "true"))


USE = Use(
    verb="postfilter",
    done="postfiltered",
    promise=Postfilters,
    method="sharpening",
    aliases=("enliven",),
    Options=NoOptions,
    order=37,
    suffixes=(".npy", ".npz"),
    run=run,
    tell=tell,
    complete=audible,
    file=file,
    judge=judge,
    measure=measure,
    show=show,
    says=UseSays(
        purpose="giving dull, averaged speech the fine structure of natural speech",
        doing="postfiltering",
        example="ganvas apply RUN FILE --out FOLDER",
        caution="The detail is invented: it is no nearer to what somebody said. Not for recordings that are evidence.",
    ),
)
