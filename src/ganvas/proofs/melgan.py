"""The proof of `melgan`: of the same spectrograms it makes sound nearer to a speaker it never heard than Griffin-Lim does.

Recordings of spoken digits by five speakers, of whom one is held out, another with each seed. Both arms are given the same mel
spectrograms of that speaker's recordings and nothing else. What is made is measured recording by recording, without the silence
that fills clips up: magnitudes at four resolutions, none of which is a window that melgan trains with.
"""

from __future__ import annotations

import csv
import io
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import DataError
from ganvas.files import write_atomically
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained
from ganvas.proofs.wavegan import tiles
from ganvas.uses.vocode import ROUNDS, distances

if TYPE_CHECKING:
    from torch import Tensor

    from ganvas.data.dataset import Dataset

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "yweweler")
DIGITS = tuple("0123456789")
MOST = 120  # recordings of the held-out speaker that are judged
AUTO: dict[str, Any] = {"discriminators_from": 0.8}
"""What the preset chooses, but for when the discriminators begin, for a budget of two minutes in rounds."""
LARGE: dict[str, Any] = {
    "width": 32, "max_width": 512, "griffin_lim_rounds": 0, "samples_at_once": 1, "discriminator_width": 16,
    "discriminator_max_width": 1024, "segment": 8192, "batch_size": 32, "generator_learning_rate": 3e-4,
}  # fmt: skip
SHARE = 0.95
PLAIN, ALONE, NOTHING = "griffin-lim without momentum", "without discriminators", "from nothing"

Maker = Callable[["Tensor"], "Tensor"]
"""Spectrograms (N, bands, columns) -> waves (N, columns * hop)."""


def source_of(task: Task) -> str:
    """A folder of the recordings that says which speaker is held out; the phantom as it is."""
    if task.phantom:
        return task.data
    held = SPEAKERS[(task.seed + task.seed // len(SPEAKERS)) % len(SPEAKERS)]
    folder = task.folder.parent / f"without-{held}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for digit in DIGITS:
        real = (Path(task.data) / digit).resolve()
        if not real.is_dir():
            raise DataError(f"{task.data} has no folder '{digit}': give the spoken digits, a folder for each")
        if not (folder / digit).exists():
            (folder / digit).symlink_to(real, target_is_directory=True)
        for file in sorted(real.glob("*.wav")):
            speaker = file.stem.split("_")[1]
            rows.append((f"{digit}/{file.name}", f"{speaker}-{file.stem}", "heldout" if speaker == held else "train"))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("file", "group", "split"), *rows])
    write_atomically(folder / "groups.csv", text.getvalue().encode())  # the other arm may be reading it
    return str(folder)


def learnt(task: Task, config: dict[str, Any]) -> Outcome:
    """Train, and make sound of the held-out speaker's spectrograms."""
    import torch

    from ganvas.batches import Noise
    from ganvas.inference.vocoding import vocoded

    run, facts = trained(
        task, "melgan", {**config, **(LARGE if task.large else {})}, data=source_of(task), threads=1, precision="32"
    )
    return judged(run, lambda mels: vocoded(run.system, mels[:, None], Noise.seeded(0))[:, 0], facts, torch.float32)


def unlearnt(task: Task, momentum: float) -> Outcome:
    """Griffin-Lim, by the spectrograms of a run that has not learnt anything."""
    import torch

    from ganvas.batches import Noise
    from ganvas.networks.mel import griffin_lim, random_phase, unmixed

    run, _ = trained(replace(task, budget="1r"), "melgan", AUTO, data=source_of(task), threads=1, precision="32")

    def maker(mels: Tensor) -> Tensor:
        lines = unmixed(run.system.mel, mels)
        phase = random_phase(len(lines), lines, Noise.seeded(1000 + task.seed))
        return griffin_lim(run.system.mel, lines, phase, ROUNDS, momentum)

    return judged(run, maker, {}, torch.float32)


def held_out(dataset: Dataset) -> list[np.ndarray]:
    """Clips (length, 1) without the silence that fills them up."""
    rows = dataset.heldout_indices()
    chosen = rows[np.linspace(0, len(rows) - 1, min(MOST, len(rows))).astype(int)]
    clips = [np.asarray(dataset.values[row])[:, :1] for row in chosen]
    found = [clip[: int(np.flatnonzero(clip)[-1]) + 1] for clip in clips if np.abs(clip).max() > 1e-3]
    return [clip for clip in found if len(clip) >= 800]


def judged(run: Any, maker: Maker, facts: dict[str, Any], dtype: Any) -> Outcome:
    """Sound of the spectrogram of each recording, and how far it is from the recording."""
    import torch

    from ganvas.inference.vocoding import spectrogram
    from ganvas.kinds.sound.spectra import spectral_distance

    dataset = data_of(run)
    spec: Any = dataset.spec
    true, made = held_out(dataset), []
    spent = 0.0
    with torch.no_grad():
        for clip in true:
            mels = spectrogram(run.system, torch.from_numpy(clip.T[None].copy()))[0]
            started = time.process_time()
            wave = maker(mels)[0, : len(clip)]
            spent += time.process_time() - started
            made.append(wave.to(dtype).numpy()[:, None])
    parts: list[Any] = [distances(run.system, own[None], clip[None]) for own, clip in zip(made, true, strict=True)]
    figures = {key: float(np.mean([part[key] for part in parts])) for key in parts[0]}
    figures["log_spectral_distance"] = float(
        np.mean([spectral_distance(own[None], clip[None], spec.rate) for own, clip in zip(made, true, strict=True)])
    )
    figures["real_time_factor"] = spent / (sum(map(len, true)) / spec.rate)
    length = max(map(len, true))
    shown = np.stack([np.pad(own, ((0, length - len(own)), (0, 0))) for own in made[:: max(1, len(made) // 12)]])
    own = run.system.mel.settings
    protocol = f"stft convergence + log-magnitude/hop={own.hop}/bands={own.bands}/n={len(true)}"
    return Outcome(figures["convergence"] + figures["logarithms"], protocol, figures | facts, tiles(shown, spec.rate))


def met(rows: Sequence[Row]) -> bool:
    """The distance by the mean over seeds too; all else with every seed."""

    def better(row: Row) -> bool:
        own, other = row.more["system"], row.more["baseline"]
        return all(own[name] < other[name] for name in ("convergence", "logarithms", "log_mel"))

    system, baseline = (statistics.fmean(row.values[name] for row in rows) for name in ("system", "baseline"))
    return system <= SHARE * baseline and all(better(row) for row in rows)


PROOF = Proof(
    claim="of the same mel spectrograms it makes sound nearer to a speaker it never heard than Griffin-Lim of 60 rounds",
    baseline="Griffin-Lim of 60 rounds with momentum, of magnitudes by least squares that are not negative",
    metric="multi-resolution STFT distance: spectral convergence and mean difference of log magnitudes (nepers) added up, by "
    "windows of 12, 24, 48 and 96 ms (lower is better)",
    direction=LOWER,
    mark=f"mean over seeds at most {SHARE:g} of Griffin-Lim's; with every seed a lower convergence, a lower difference of log "
    "magnitudes and a lower error of the spectrograms themselves",
    met=met,
    arms={
        "system": lambda task: learnt(task, AUTO),
        "baseline": lambda task: unlearnt(task, 0.99),
        PLAIN: lambda task: unlearnt(task, 0.0),
        ALONE: lambda task: learnt(task, {**AUTO, "discriminators_from": 1.0}),
        NOTHING: lambda task: learnt(task, {**AUTO, "griffin_lim_rounds": 0}),
    },
    budget="1200r",
    quick_budget="20r",
    large_budget="100000r",
    real="spoken-digits",
    phantom="words",
    note=f"Arms beside: '{ALONE}' never meets its discriminators; '{NOTHING}' is the paper's generator in as many rounds.",
)
