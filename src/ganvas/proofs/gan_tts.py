"""The proof of `gan-tts`: it says the digit that was asked for, so that one who knows real recordings alone hears it.

Spoken digits of five speakers, half a second at 8 kHz. Of the fifty takes that each speaker gave of each digit, drawn anew with
each seed, twenty teach the system and the baselines; twenty others teach the judge, a small network on spectrograms; the last
ten say how good the judge is, and what real recordings are like.
"""

from __future__ import annotations

import csv
import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import DataError
from ganvas.kinds.tokens.phones import FIGURES
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.proofs.wavegan import Probabilities, judge_of, tiles

if TYPE_CHECKING:
    from ganvas.data.dataset import Dataset
    from ganvas.run.load import Run

RATE, LENGTH = 8000, 4096
LEARNT, JUDGING = 20, 20  # takes of each speaker and digit; the rest is held out
EACH = 20  # clips of each digit that are judged
SYSTEM: dict[str, Any] = {}
BASELINE: dict[str, Any] = {
    "width": 16, "batch_size": 16, "generator_learning_rate": 4e-4, "critic_learning_rate": 4e-4, "ema_half_life": 2_000.0,
    "critic_turns": 2,
}  # fmt: skip
"""As in the proof of wavegan."""
WAVEGAN_ROUNDS = 300
WAVEGAN = str(Path(__file__).with_name("_wavegan_told.py"))


# The data


def takes_of(task: Task) -> dict[str, list[tuple[Path, int, str]]]:
    """`learn`, `judge` and `held` -> (file, digit, speaker) of recordings."""
    found: dict[str, list[tuple[Path, int, str]]] = {"learn": [], "judge": [], "held": []}
    for digit in range(10):
        folder = Path(task.data) / str(digit)
        if not folder.is_dir():
            raise DataError(f"{task.data} has no folder '{digit}': give the spoken digits, a folder for each")
        speakers: dict[str, list[Path]] = {}
        for path in sorted(folder.glob("*.wav")):
            speakers.setdefault(path.stem.split("_")[1], []).append(path.resolve())
        for speaker, paths in sorted(speakers.items()):
            order = np.random.default_rng([task.seed, digit, len(paths)]).permutation(len(paths))
            for place, number in enumerate(order):
                part = "learn" if place < LEARNT else "judge" if place < LEARNT + JUDGING else "held"
                found[part].append((paths[number], digit, speaker))
    return found


def folder_of(task: Task, part: str, by: str) -> str:
    """A folder of recordings with a metadata.csv: what is said, and as label who says it, or the digit."""
    folder = task.folder.parent / f"{part}-{task.seed}-{by}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for path, digit, speaker in takes_of(task)[part]:
        if not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
        rows.append((path.name, FIGURES[digit], speaker if by == "speaker" else str(digit)))
    plain = by == "digit"
    with (folder / ("labels.csv" if plain else "metadata.csv")).open("w", newline="", encoding="utf-8") as stream:
        chosen = (
            [("file", "label"), *((name, label) for name, _, label in rows)]
            if plain
            else [("file_name", "text", "label"), *rows]
        )
        csv.writer(stream).writerows(chosen)
    return str(folder)


def recordings(task: Task, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(clips (N, LENGTH, 1), digits (N,), speakers (N,) in the order of their names)."""
    from ganvas.kinds.sound.files import read_recording

    own = takes_of(task)[part]
    clips = np.zeros((len(own), LENGTH, 1), np.float32)
    for place, (path, _, _) in enumerate(own):
        wave = read_recording(path, RATE, 1).samples[:LENGTH]
        clips[place, : len(wave)] = wave
    names = sorted({speaker for _, _, speaker in own})
    return clips, np.array([digit for _, digit, _ in own]), np.array([names.index(speaker) for _, _, speaker in own])


# The judge


_judges: dict[tuple[str, int], tuple[Probabilities, Probabilities]] = {}  # of all arms of a seed


def judges_of(task: Task) -> tuple[Probabilities, Probabilities]:
    """Who tells digits, and who tells speakers."""
    key = (task.data, task.seed)
    if key not in _judges:
        clips, digits, speakers = recordings(task, "judge")
        _judges[key] = judge_of(clips, digits, RATE, task.seed), judge_of(clips, speakers, RATE, task.seed)
    return _judges[key]


def judged(task: Task, clips: np.ndarray, asked: np.ndarray, speakers: np.ndarray | None, facts: dict[str, Any]) -> Outcome:
    """The share of clips in which the digit is heard that was asked for."""
    from ganvas.kinds import kind_of
    from ganvas.kinds.sound.spec import SoundSpec
    from ganvas.metrics import kernel_distance
    from ganvas.metrics.extractors import find_extractor

    digit_judge, speaker_judge = judges_of(task)
    held, digits, _ = recordings(task, "held")
    said = digit_judge(clips).argmax(1)
    sound, spec = kind_of("sound"), SoundSpec(LENGTH, RATE)
    real, made = (sound.vectors(own, spec) for own in (held, clips))
    extractor = find_extractor("pixels", real=sound.vectors(recordings(task, "learn")[0], spec))
    names: dict[str, Any] = {"features": f"{sound.says.features}/{extractor.name}", "reference": "heldout", "intervals": False}
    rms = np.sqrt(np.square(clips).mean((1, 2)))
    more = {
        "by_digit": {FIGURES[k]: round(float((said[asked == k] == k).mean()), 3) for k in range(10)},
        "judge_on_heldout": float((digit_judge(held).argmax(1) == digits).mean()),
        "log_mel_kid": float(kernel_distance(extractor.features(made), extractor.features(real), **names).value),
        "level": float(20 * np.log10(np.median(rms) / np.median(np.sqrt(np.square(held).mean((1, 2)))))),
        "silent_end": float(np.mean(np.sqrt(np.square(clips[:, -400:]).mean((1, 2))) < 0.1 * rms)),
        **({} if speakers is None else {"speaker_right": float((speaker_judge(clips).argmax(1) == speakers).mean())}),
    }
    protocol = f"share of digits heard as asked/log-mel-cnn of other real recordings/n={len(clips)}"
    return Outcome(float((said == asked).mean()), protocol, more | facts, tiles(clips, RATE))


# The arms


def spoken(run: Run, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(clips, digits asked for, speakers asked for): each digit by each speaker equally often."""
    import torch

    from ganvas.inference.sampling import draw_samples

    told = run.record.fields["text"]
    digits = np.repeat(np.arange(10), EACH)
    speakers = np.tile(np.arange(len(run.spec.classes)), len(digits))[: len(digits)]
    texts = torch.zeros(len(digits), told.length, dtype=torch.int64)
    texts[:, 0] = torch.tensor([told.symbols.index(FIGURES[k]) for k in digits])
    drawn = draw_samples(run.system, len(digits), seed=10_000 + seed, labels=torch.from_numpy(speakers), fields={"text": texts})
    clips = torch.cat(list(drawn)).transpose(1, 2).numpy()
    return clips, digits, speakers


def learnt(task: Task, config: dict[str, Any]) -> Outcome:
    run, facts = trained(
        task, "gan-tts", SYSTEM | config, data=folder_of(task, "learn", "speaker"), size=str(LENGTH), threads=1, watch="off"
    )
    facts |= {"weights_of_discriminators": sum(own.numel() for own in run.system.discriminators.parameters())}
    return judged(task, *spoken(run, task.seed), facts)


def wavegan(task: Task) -> Outcome:
    """WaveGAN that is told the digit. A stopped one begins anew: its file is not part of the catalogue."""
    from ganvas.run.load import Run
    from ganvas.run.train import train

    folder = task.folder / "run"
    shutil.rmtree(folder, ignore_errors=True)
    processor = time.process_time()
    common: dict[str, Any] = {"seed": task.seed, "sample_every": 0.0, "device": "cpu", "threads": 1, "watch": "off"}
    source, budget = folder_of(task, "learn", "digit"), task.budget if task.quick else f"{WAVEGAN_ROUNDS}r"
    result = train(WAVEGAN, source, out=folder, config=BASELINE, quiet=True, size=str(LENGTH), budget=budget, **common)
    if result["stopped"] == "signal":
        raise KeyboardInterrupt
    facts = {key: result[key] for key in ("rounds", "samples", "seconds")}
    facts["processor_seconds"] = round(time.process_time() - processor, 1)
    run = Run(folder, which="last", system=WAVEGAN)
    clips = [run.sample(EACH, seed=10_000 + task.seed + k, label=str(k)) for k in range(10)]
    return judged(task, np.concatenate(clips), np.repeat(np.arange(10), EACH), None, facts)


def real(task: Task) -> Outcome:
    """Held-out recordings: what the judge makes of them bounds everything."""
    clips, digits, speakers = recordings(task, "held")
    return judged(task, clips, digits, speakers, {})
