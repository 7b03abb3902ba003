"""The proof of `gansynth`: magnitudes and turns of phase give notes of the asked pitch whose waves are coherent; the same
networks on magnitudes and phases do not, nor does `specgan`, which finds phases afterwards, in equal time.

Pitch is read by an estimator that knows nothing of any system (YIN: de Cheveigne and Kawahara 2002), as the share of notes
within a quarter tone of what was asked. Coherence is how alike a wave is to itself some whole periods later, across two columns
of a picture.
"""

from __future__ import annotations

import csv
import os
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.kinds.sound.pitches import coherence, fundamental, semitones_off
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained
from ganvas.proofs.wavegan import tiles

if TYPE_CHECKING:
    from ganvas.data.dataset import Dataset

GANSYNTH: dict[str, Any] = {}
"""What the preset chooses for minutes of one core is what the settings have by themselves."""
SPECGAN: dict[str, Any] = {}
PACE = 1.2  # rounds of specgan in the time of one of gansynth: .33 and .27 s of processor time
LARGE: dict[str, dict[str, Any]] = {
    "gansynth": {"width": 32, "max_width": 256, "learning_rate": 1e-3, "batch_size": 32},
    "specgan": {"width": 32, "max_width": 512, "image_stride": 2, "learning_rate": 1e-3, "batch_size": 32},
}
QUARTER = 0.5  # semitones by which a pitch may be off
RIGHT, MORE_RIGHT, MORE_COHERENT = 0.5, 0.1, 0.1
RATE, LENGTH = 8000, 8192  # of the phantom


def heard(clips: np.ndarray, asked: np.ndarray, rate: int) -> dict[str, float]:
    """Of clips (N, T, channels) asked for as MIDI pitches (N,): shares and means."""
    waves = clips.mean(2)
    hertz = np.array([fundamental(wave, rate) for wave in waves])
    off = semitones_off(hertz, asked)
    return {
        "right": float((np.abs(off) <= QUARTER).mean()),
        "right_but_for_octaves": float((np.abs(off - 12 * np.round(off / 12)) <= QUARTER).mean()),
        "coherence": float(np.mean([coherence(wave, rate, own) for wave, own in zip(waves, hertz, strict=True)])),
    }


def arm(task: Task, system: str, config: dict[str, Any], pace: float = 1.0) -> Outcome:
    """Train, draw some notes of each pitch that was learnt, and listen."""
    root = draw_notes(task.folder.parent / "notes") if task.phantom else Path(task.data)
    own = replace(task, budget=f"{max(2, round(pace * int(task.budget.removesuffix('r'))))}r")
    config = config | (LARGE[system] if task.large else {})
    given = by_pitch(root, task.folder / "by-pitch") if system == "specgan" else root
    run, facts = trained(own, system, config, data=str(given), threads=1, precision="32", channels_last="off")
    dataset = data_of(run)
    real, pitches, instruments = learnt(dataset)
    kinds = sorted(set(zip(pitches.tolist(), instruments.tolist(), strict=True)))
    asked = np.array([pitch for pitch, _ in kinds])
    clips = notes_of(run, kinds, task.seed)
    rate = run.spec.rate
    more = {**heard(clips, asked, rate), **facts, "log_mel_kid": far(dataset, clips)}
    more["real"] = heard(real[:: max(1, len(real) // 64)], pitches[:: max(1, len(real) // 64)], rate)
    few = np.random.default_rng(0).permutation(len(clips))[:16]
    return Outcome(more["right"], f"share within a quarter tone/yin/n={len(clips)}", more, tiles(clips[few], rate))


def notes_of(run: Any, kinds: Sequence[tuple[int, str]], seed: int) -> np.ndarray:
    """Notes (N, T, channels) of MIDI pitches and instruments."""
    import torch

    from ganvas.batches import Noise
    from ganvas.kinds import decode

    system, noise, made = run.system, Noise.seeded(10_000 + seed), []
    rows = system.learnt_rows().cpu() if hasattr(system, "learnt_rows") else None
    for start in range(0, len(kinds), 32):
        part = kinds[start : start + 32]
        with torch.no_grad():
            if rows is None:
                labels = torch.tensor([run.spec.classes.index(f"{instrument}-{pitch}") for pitch, instrument in part])
                clips = system.sample(len(part), noise, labels)
            else:  # what is not asked for, such as how hard a note is struck, as it was learnt
                shown = rows[noise.integers(len(rows), len(part))].clone()
                names = [column.name for column in system.told.columns]
                values = list(system.attributes()["instrument"])
                shown[:, 0] = torch.tensor([system.pitches().index(pitch) for pitch, _ in part])
                shown[:, names.index("instrument")] = torch.tensor([values.index(instrument) for _, instrument in part])
                clips = system.play(system.latents(len(part), noise), shown)
        made.append(decode(clips, run.spec))
    return np.concatenate(made)


def learnt(dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training notes (N, T, channels), their pitches (N,) and instruments (N,)."""
    rows = dataset.train_indices()
    values = np.asarray(dataset.values[rows])
    if dataset.labels is not None:
        names = [dataset.spec.classes[label].rpartition("-") for label in dataset.labels[rows]]
        return values, np.array([int(pitch) for _, _, pitch in names]), np.array([name for name, _, _ in names])
    table = dataset.fields["attributes"]
    cells = np.asarray(table.values[rows])
    pitch, instrument = (table.spec.names.index(name) for name in ("midi_pitch", "instrument"))
    named = np.array(table.spec.categories[instrument])[cells[:, instrument].astype(int)]
    return values, cells[:, pitch].round().astype(int), named


def far(dataset: Dataset, clips: np.ndarray) -> float:
    """Kernel distance of log-mel vectors to training notes, which are as many as were learnt from."""
    from ganvas.kinds import kind_of
    from ganvas.metrics import kernel_distance

    spec: Any = dataset.spec
    sound: Any = kind_of(spec.kind)
    real = sound.vectors(learnt(dataset)[0], spec)
    return kernel_distance(
        sound.vectors(clips, spec), real, intervals=False, features="log-mel", reference="train"
    ).value  # fmt: skip


def by_pitch(root: Path, folder: Path) -> Path:
    """Training notes in folders of their instrument and pitch, for a system that is told classes."""
    with (root / "notes.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    for row in rows:
        place = folder / f"{row['instrument']}-{row['midi_pitch']}" / Path(row["file"]).name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            os.symlink((root / row["file"]).resolve(), place)
    return folder


def draw_notes(folder: Path) -> Path:
    """The phantom: tones of three timbres and eight pitches, at two speeds of decay."""
    import soundfile

    if (folder / "notes.csv").exists():
        return folder
    rng, time = np.random.default_rng(0), np.arange(LENGTH) / RATE
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["file,instrument,midi_pitch,split"]
    for number in range(192):
        timbre, pitch = number % 3, 52 + 2 * (number // 3 % 8)
        hertz, decay = 440 * 2 ** ((pitch - 69) / 12), rng.uniform(1, 4)
        partials = np.arange(1, int(RATE / 2 / hertz))
        sizes = partials ** -(1.0 + timbre / 2) * (partials % 2 if timbre == 2 else 1)
        phases = rng.uniform(0, 2 * np.pi, len(partials))
        wave = (sizes[:, None] * np.sin(2 * np.pi * hertz * partials[:, None] * time + phases[:, None])).sum(0)
        wave *= np.exp(-decay * time) * np.minimum(1, time / 0.01)
        soundfile.write(folder / f"{number:03d}.wav", 0.5 * wave / np.abs(wave).max(), RATE)
        lines.append(
            f"{number:03d}.wav,{('bright', 'soft', 'hollow')[timbre]},{pitch},{'heldout' if number % 8 == 7 else 'train'}"
        )
    (folder / "notes.csv").write_text("\n".join(lines) + "\n")
    return folder


def met(rows: Sequence[Row]) -> bool:
    """Means over seeds."""

    def mean(name: str, key: str) -> float:
        return statistics.fmean(row.more[name][key] for row in rows)

    return (
        mean("system", "right") >= RIGHT
        and all(mean("system", "right") >= mean(name, "right") + MORE_RIGHT for name in ("baseline",))
        and all(mean("system", "coherence") >= mean(name, "coherence") + MORE_COHERENT for name in ("baseline",))
        and mean("system", "right") >= mean("specgan", "right")
        and mean("system", "coherence") >= mean("specgan", "coherence")
    )


PROOF = Proof(
    claim="turns of the phase beside magnitudes give notes of the asked pitch with coherent waves; phases do not",
    baseline="the same networks on magnitudes and phases (phase=phase), for as many rounds; beside it specgan, for as long",
    metric="share of notes whose fundamental, by YIN, is within a quarter tone of the asked pitch",
    direction=HIGHER,
    mark=(
        f"means over seeds: at least {RIGHT:g} right, and {MORE_RIGHT:g} more than the baseline; coherence at least "
        f"{MORE_COHERENT:g} higher than the baseline's; neither lower than specgan's"
    ),
    met=met,
    arms={
        "system": lambda task: arm(task, "gansynth", GANSYNTH),
        "baseline": lambda task: arm(task, "gansynth", GANSYNTH | {"phase": "phase"}),
        "specgan": lambda task: arm(task, "specgan", SPECGAN, PACE),
    },
    budget="200r",
    quick_budget="10r",
    large_budget="2000r",
    real="instrument-notes",
    phantom="notes",
    seeds=3,
)
