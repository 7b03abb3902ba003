"""Vocode: sound made anew of its mel spectrogram, or of a spectrogram that something else made (`.npy`, `.npz`)."""

from __future__ import annotations

import io
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..borders import brought
from ..capabilities import Panel, Vocodes
from ..config import knob
from ..errors import DataError
from ..kinds import decode
from ..kinds.facets import Piece
from . import Beside, Fields, Given, Judged, Use, UseSays, Work, first_of
from .judging import both, decoded, held_rows, in_pieces, told_pairs

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch
    from ..metrics.measure import Measure
    from ..store.records import Dataset
    from .desk import Desk

KEY = "mel"
ROUNDS = 60  # of Griffin-Lim, beside which it is judged
WINDOWS = (0.012, 0.024, 0.048, 0.096)  # seconds, by which magnitudes are compared
SILENT = 1e-5  # peak below which there is nothing to make sound of
LOUDEST = 3.0  # log10 of a magnitude: of full scale, a window of 1000 samples and more
MOST = 500_000_000  # values of a spectrogram
ALIKE = 1e-3  # share by which settings may differ that are no whole numbers


@dataclass(frozen=True)
class Options:
    mels: bool = knob(False, "write the mel spectrogram of each sound too, as NAME.npz")


def run(work: Work, given: Fields, options: Any) -> Fields:
    """Sounds (B, C, T) of any length, through their spectrograms."""
    from ..inference.vocoding import spectrogram, vocoded

    sounds, _ = first_of(given)
    made = vocoded(work.system, brought("mel", spectrogram, work.system, sounds), work.noise)
    return {work.main: made[..., : sounds.shape[2]].to(sounds)}


def tell(work: Work, options: Any) -> str:
    own = work.system.mel.settings
    return f"made of its mel spectrogram ({own.bands} bands, hop {own.hop}, window {own.window}, {own.rate} Hz)"


# Files


def audible(name: str, given: Given) -> Given:
    """Sounds of which a spectrogram says something. Raises DataError for silence."""
    for piece in given.pieces:
        if float(np.abs(piece.records).max(initial=0.0)) < SILENT:
            raise DataError(f"{name} is silent, below -100 dB throughout: there is nothing to make sound of, take it out")
        if piece.records.shape[1] < 2:
            raise DataError(f"{name} holds a single sample, which is no sound yet: take it out")
    return given


def file(work: Work, desk: Desk, path: Path, name: str, options: Any) -> bool | list[Piece]:
    """The sound of a spectrogram; of sounds the spectrogram, where it is wanted."""
    import torch

    from ..inference.vocoding import spectrogram, vocoded
    from ..kinds import kind_of
    from ..kinds.facets import Reads

    if path.suffix.lower() in USE.suffixes:
        mels = torch.from_numpy(read_mel(path, work, desk))
        with torch.no_grad():
            made = vocoded(work.system, mels[None], work.noise)
        spec = replace(work.spec, channels=made.shape[1], length=made.shape[2])
        return [Piece(decode(made, spec), spec)]
    if options.mels:
        kind = kind_of(work.spec.kind)
        assert isinstance(kind, Reads)
        for piece in audible(path.name, Given(list(kind.read(path, work.spec, {})), {})).pieces:
            with torch.no_grad():
                found = spectrogram(work.system, work.encode(piece.records, piece.spec))
            buffer = io.BytesIO()
            arrays: dict[str, Any] = {KEY: found[0].numpy(), **asdict(work.system.mel.settings)}
            np.savez_compressed(buffer, **arrays)
            desk.save(f"{name}.npz", buffer.getvalue())
    return False


def read_mel(path: Path, work: Work, desk: Desk) -> np.ndarray:
    """(channels, bands, columns) float32 of a file. Raises DataError, which names what is other than in the run."""
    from ..store.guard import failure, finite_float32, guard

    own = asdict(work.system.mel.settings)
    with guard(path, "a spectrogram"):
        held = np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
        arrays = {KEY: held} if isinstance(held, np.ndarray) else {key: held[key] for key in held.files if key in (KEY, *own)}
        if KEY not in arrays and not isinstance(held, np.ndarray) and len(held.files) == 1:
            arrays = {KEY: held[held.files[0]]}
    if KEY not in arrays:
        raise failure(path, f"has no array '{KEY}'", f"save the spectrogram under the key '{KEY}'")
    told = {key: float(value) for key, value in arrays.items() if key in own and np.ndim(value) == 0}
    other = {key: value for key, value in told.items() if abs(value - own[key]) > ALIKE * abs(own[key])}
    if other:
        had, has = (", ".join(f"{key} {values[key]:g}" for key in other) for values in (told, own))
        raise failure(path, f"is a spectrogram of {had}, the run makes sound of {has}", "compute it with the run's settings")
    mels = arrays[KEY]
    shape = "x".join(map(str, mels.shape))
    if mels.dtype.kind != "f" or mels.ndim not in (2, 3) or not 0 < mels.size <= MOST:
        raise failure(path, f"holds {mels.dtype} of shape {shape}", f"give floats ({own['bands']} bands, columns)")
    mels = finite_float32(path, np.asarray(mels), "log10 of magnitudes")
    mels = mels[None] if mels.ndim == 2 else mels
    if mels.shape[1] != own["bands"] and mels.shape[2] == own["bands"]:
        mels = mels.transpose(0, 2, 1)
        desk.note(f"{path.name}: read as {mels.shape[2]} columns of {own['bands']} bands, which stand the other way round")
    channels = work.spec.channels
    if mels.shape[1] != own["bands"]:
        raise failure(path, f"has {mels.shape[1]} bands (its shape is {shape}), the run has {own['bands']}", "compute as many")
    if len(mels) != channels:
        if len(mels) != 1:
            raise failure(path, f"has {len(mels)} channels, the run {channels}", "give one, or as many")
        mels = np.repeat(mels, channels, axis=0)
    low, high, floor = float(mels.min()), float(mels.max()), math.log10(own["floor"])
    if low < floor - 0.01 or high > LOUDEST or low > 0:
        told_range = f"holds values from {low:.3g} to {high:.3g}, log10 of magnitudes lies in {floor:g} to {LOUDEST:g}"
        raise failure(
            path, told_range, f"give log10(max(magnitude, {own['floor']:g})), not decibels, powers or natural logarithms"
        )
    if not told:
        settings = ", ".join(f"{key} {value:g}" for key, value in own.items())
        desk.note(f"{path.name} does not say its settings: taken to be the run's ({settings})")
    return np.ascontiguousarray(mels, np.float32)


# Judging


def unlearnt(work: Work, given: Fields) -> Tensor:
    """The same by Griffin-Lim."""
    from ..inference.vocoding import spectrogram
    from ..networks.mel import griffin_lim, random_phase, unmixed

    sounds, _ = first_of(given)
    mels = spectrogram(work.system, sounds).to(sounds)
    lines = unmixed(work.system.mel, mels.flatten(0, 1))
    made = griffin_lim(work.system.mel, lines, random_phase(len(lines), lines, work.noise), ROUNDS)
    return made.unflatten(0, mels.shape[:2])[..., : sounds.shape[2]]


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out records made anew of their spectrograms, with the true ones beside."""
    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    given = {work.main: np.asarray(dataset.values[rows])}
    made, untrained = both(work, fresh, given, lambda own, fields: run(own, fields, options)[own.main])
    baseline = decoded(work, in_pieces(work, given, lambda fields: unlearnt(work, fields)))
    return Judged(
        made,
        untrained,
        dataset,
        originals=given[work.main],
        beside={"griffin_lim": Beside(baseline, f"Griffin-Lim of {ROUNDS} rounds on the same spectrograms")},
        families=("distance", "look"),  # each stands for a held-out record: their spread and copies say nothing of the run
        notes=[f"judged: {len(rows)} held-out records, made anew of their mel spectrograms{told_pairs(work)}"],
    )


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """Distances of magnitudes at four resolutions, and of spectrograms, beside Griffin-Lim's."""
    from ..metrics.measure import Measure

    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    true = np.asarray(dataset.values[rows])
    found = {}
    makers = {"": lambda fields: run(work, fields, None)[work.main], "griffin_lim_": lambda fields: unlearnt(work, fields)}
    for name, maker in makers.items():
        made = decoded(work, in_pieces(work, {work.main: true}, maker))
        figures = {key: float(np.mean(values)) for key, values in distances(work.system, made, true).items()}
        told = f"n={len(rows)}"
        resolutions = "+".join(f"{1000 * seconds:g}" for seconds in WINDOWS)
        found[f"{name}stft_distance"] = Measure(figures["logarithms"], f"neper/windows of {resolutions} ms/{told}")
        found[f"{name}log_mel_error"] = Measure(figures["log_mel"], f"log10/spectrograms of the run/{told}")
    return found


def distances(system: Any, made: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
    """Of clips (N, length, channels): `convergence` and `logarithms` of their magnitudes (`objectives.spectra`), and `log_mel`,
    the mean difference of spectrograms; (N,) each."""
    import torch

    from ..inference.vocoding import spectrogram
    from ..objectives.spectra import stft_distances

    windows = [max(8, round(seconds * system.mel.settings.rate)) for seconds in WINDOWS]
    found: dict[str, list[float]] = {"convergence": [], "logarithms": [], "log_mel": []}
    with torch.no_grad():
        for own, other in zip(made, true, strict=True):
            pair = [torch.from_numpy(np.array(clip.T, np.float32)) for clip in (own, other)]
            convergence, logarithms = stft_distances(pair[0], pair[1], windows)
            mels = [spectrogram(system, clip[None]) for clip in pair]
            figures = {"convergence": convergence, "logarithms": logarithms, "log_mel": (mels[0] - mels[1]).abs().mean()}
            for key, value in figures.items():
                found[key].append(float(value))
    return {key: np.array(values) for key, values in found.items()}


def show(work: Work, batch: Batch) -> Panel:
    """Made anew, by Griffin-Lim, and true."""
    import torch

    work.renew()
    given = {work.main: batch[work.main]}
    made, baseline = run(work, given, None)[work.main], unlearnt(work, given)
    return Panel(torch.stack([made, baseline, given[work.main]], 1), ("vocoded", "griffin-lim", "true"))


USE = Use(
    verb="vocode",
    done="vocoded",
    promise=Vocodes,
    Options=Options,
    order=34,
    suffixes=(".npy", ".npz"),
    run=run,
    tell=tell,
    complete=audible,
    file=file,
    judge=judge,
    measure=measure,
    show=show,
    says=UseSays(
        purpose="making sound of mel spectrograms, those of sounds or of files",
        doing="vocoding",
        example="ganvas apply RUN FILE --out FOLDER",
        caution="The course of the waves is invented: it sounds alike, and is not the recording, nor proof of who speaks.",
    ),
)
