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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.data.phantoms import WORDS, make_phantom
from ganvas.errors import DataError
from ganvas.files import write_atomically
from ganvas.kinds.sound.files import encode_sound, read_recording
from ganvas.kinds.tokens.phones import FIGURES
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.proofs.wavegan import Probabilities, judge_of, tiles

if TYPE_CHECKING:
    from ganvas.run.load import Run

RATE, LENGTH = 8000, 4096
LEARNT, JUDGING = 20, 20  # takes of each speaker and digit; the rest is held out
EACH = 20  # clips of each digit that are judged
ROUNDS, WAVEGAN_ROUNDS = 1000, 300
LEAST, AHEAD = 0.5, 0.2
WHOLE, ALONE, REAL = "one full-window discriminator", "without discriminators", "real"
SYSTEM: dict[str, Any] = {"discriminators_from": 0.8}
"""What the preset chooses, but for when the discriminators begin, for a budget of a minute in rounds."""
ONE: dict[str, Any] = {"windows": (0,), "unconditional": False, "discriminator_width": 60}
"""One discriminator, told the features, of the whole piece, with about as many weights as the ten together."""
BASELINE: dict[str, Any] = {
    "width": 16, "batch_size": 16, "generator_learning_rate": 4e-4, "critic_learning_rate": 4e-4, "ema_half_life": 2_000.0,
    "critic_turns": 2,
}  # fmt: skip
"""As in the proof of wavegan."""
WAVEGAN = str(Path(__file__).with_name("_wavegan_told.py"))


# The data


def words_of(task: Task) -> tuple[str, ...]:
    """What is said: the names of digits, or the words of the phantom."""
    return WORDS if task.phantom else FIGURES


def sources_of(task: Task) -> dict[tuple[int, str], list[Path]]:
    """(word, speaker) -> files in order. Of the phantom they are written, fifty of each word."""
    found: dict[tuple[int, str], list[Path]] = {}
    for number, word in enumerate(words_of(task)):
        folder = task.folder.parent / "phantom" / word if task.phantom else Path(task.data) / str(number)
        if task.phantom and not folder.is_dir():
            folder.mkdir(parents=True)
            clips = make_phantom(f"{task.data}:{word}", 50, 0).values
            for place, clip in enumerate(clips):
                body = encode_sound(clip, RATE // 2, format="wav", depth=16, note={"phantom": word})
                write_atomically(folder / f"{word}_voice_{place:02d}.wav", body)
        if not folder.is_dir():
            raise DataError(f"{task.data} has no folder '{number}': give the spoken digits, a folder for each")
        for path in sorted(folder.glob("*.wav")):
            found.setdefault((number, path.stem.split("_")[1]), []).append(path.resolve())
    return found


def takes_of(task: Task) -> dict[str, list[tuple[Path, int, str]]]:
    """`learn`, `judge` and `held` -> (file, digit, speaker) of recordings."""
    found: dict[str, list[tuple[Path, int, str]]] = {"learn": [], "judge": [], "held": []}
    for (digit, speaker), paths in sorted(sources_of(task).items()):
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
        rows.append((path.name, words_of(task)[digit], speaker if by == "speaker" else str(digit)))
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
    more: dict[str, Any] = {
        "by_digit": {word: round(float((said[asked == k] == k).mean()), 3) for k, word in enumerate(words_of(task))},
        "judge_on_heldout": float((digit_judge(held).argmax(1) == digits).mean()),
        "log_mel_kid": float(kernel_distance(extractor.features(made), extractor.features(real), **names).value),
        "level": float(20 * np.log10(np.median(rms) / np.median(np.sqrt(np.square(held).mean((1, 2)))))),
        "silent_end": float(np.mean(np.sqrt(np.square(clips[:, -400:]).mean((1, 2))) < 0.1 * rms)),
        **({} if speakers is None else {"speaker_right": float((speaker_judge(clips).argmax(1) == speakers).mean())}),
    }
    protocol = f"share of digits heard as asked/log-mel-cnn of other real recordings/n={len(clips)}"
    return Outcome(float((said == asked).mean()), protocol, more | facts, tiles(clips, RATE))


# The arms


def spoken(run: Run, words: Sequence[str], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(clips, digits asked for, speakers asked for): each digit by each speaker equally often."""
    import torch

    from ganvas.inference.sampling import draw_samples

    told = run.record.fields["text"]
    digits = np.repeat(np.arange(len(words)), EACH)
    speakers = np.tile(np.arange(max(1, len(run.spec.classes))), len(digits))[: len(digits)]
    texts = torch.zeros(len(digits), told.length, dtype=torch.int64)
    texts[:, 0] = torch.tensor([told.symbols.index(words[int(k)]) for k in digits])
    drawn = draw_samples(run.system, len(digits), seed=10_000 + seed, labels=torch.from_numpy(speakers), fields={"text": texts})
    clips = torch.cat(list(drawn)).transpose(1, 2).numpy()
    return clips, digits, speakers


def learnt(task: Task, config: dict[str, Any]) -> Outcome:
    run, facts = trained(
        task,
        "gan-tts",
        SYSTEM | config,
        data=folder_of(task, "learn", "speaker"),
        size=str(LENGTH),
        rate=RATE,
        threads=1,
        watch="off",
    )
    facts |= {"weights_of_discriminators": sum(own.numel() for own in run.system.discriminators.parameters())}
    return judged(task, *spoken(run, words_of(task), task.seed), facts)


def wavegan(task: Task) -> Outcome:
    """WaveGAN that is told the digit. A stopped one begins anew: its file is not part of the catalogue."""
    from ganvas.run.load import Run
    from ganvas.run.train import train

    folder = task.folder / "run"
    shutil.rmtree(folder, ignore_errors=True)
    processor = time.process_time()
    common: dict[str, Any] = {"seed": task.seed, "sample_every": 0.0, "device": "cpu", "threads": 1, "watch": "off"}
    source, budget = folder_of(task, "learn", "digit"), task.budget if task.quick else f"{WAVEGAN_ROUNDS}r"
    result = train(
        WAVEGAN, source, out=folder, config=BASELINE, quiet=True, size=str(LENGTH), rate=RATE, budget=budget, **common
    )
    if result["stopped"] == "signal":
        raise KeyboardInterrupt
    facts = {key: result[key] for key in ("rounds", "samples", "seconds")}
    facts["processor_seconds"] = round(time.process_time() - processor, 1)
    run, count = Run(folder, which="last", system=WAVEGAN), len(words_of(task))
    clips = [run.sample(EACH, seed=10_000 + task.seed + k, label=str(k)) for k in range(count)]
    return judged(task, np.concatenate(clips), np.repeat(np.arange(count), EACH), None, facts)


def real(task: Task) -> Outcome:
    """Held-out recordings: what the judge makes of them bounds everything. No picture: they are people's."""
    clips, digits, speakers = recordings(task, "held")
    return replace(judged(task, clips, digits, speakers, {}), samples=None)


def met(rows: Sequence[Row]) -> bool:
    """Shares with every seed, and against one discriminator of the whole on average."""
    system, whole = (statistics.fmean(row.values[arm] for row in rows) for arm in ("system", WHOLE))
    every = all(row.values["system"] >= LEAST and row.values["system"] >= row.values["baseline"] + AHEAD for row in rows)
    return every and system > whole


PROOF = Proof(
    claim="it says the digit that is asked for, so that one who knows other recordings alone hears it, and learns that better "
    "from random windows than from the whole",
    baseline="wavegan that is told the digit, at about equal processor time",
    metric="share of 200 clips, each digit by each of five speakers equally often, in which a small network on spectrograms, "
    "taught on other real recordings, hears the digit that was asked for (higher is better)",
    direction=HIGHER,
    mark=f"with every seed at least {LEAST:g}, and at least {AHEAD:g} above the baseline; on average above the same system "
    "with one discriminator of the whole piece in the place of the random windows",
    met=met,
    arms={
        "system": lambda task: learnt(task, {}),
        "baseline": wavegan,
        WHOLE: lambda task: learnt(task, ONE),
        ALONE: lambda task: learnt(task, {"discriminators_from": 1.0}),
        REAL: real,
    },
    apart=(REAL,),
    budget=f"{ROUNDS}r",
    quick_budget="20r",
    large_budget="20000r",
    real="spoken-digits",
    phantom="words",
    note=f"Arms beside: '{ALONE}' never meets its discriminators; '{REAL}' are held-out recordings, which bound the share.",
)
