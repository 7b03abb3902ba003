"""The proof of `wavegan`: spoken digits that a classifier tells apart, and what phase shuffle takes from the critic.

Half a second of sound at 8 kHz, the digits 0 to 3. The judge is a small network on spectrograms, trained on the real
training clips and nothing else; it judges samples, real clips that were held out, and noise with the digits' own spectrum,
loudness course and levels.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import DataError
from ganvas.kinds.sound.spec import SoundSpec
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained

if TYPE_CHECKING:
    from ganvas.data.dataset import Dataset

DIGITS = ("0", "1", "2", "3")
LENGTH = 4096
SETTINGS: dict[str, Any] = {
    "width": 16, "batch_size": 16, "generator_learning_rate": 4e-4, "critic_learning_rate": 4e-4, "ema_half_life": 5_000.0,
    "critic_turns": 2,
}  # fmt: skip
"""Two moves of the critic in the place of five: a round takes 0.4 of the time, and in about equal time the score was higher
(2.36 against 2.17 in some 16 minutes, of two seeds)."""
LARGE: dict[str, Any] = {"width": 32, "batch_size": 64, "generator_learning_rate": 2e-4, "critic_learning_rate": 2e-4,
                         "critic_turns": 3, "ema_half_life": 10_000.0}  # fmt: skip
"""What the large form changes of them."""
ROUNDS, LARGE_ROUNDS = 6000, 3000
SPLITS = 4  # of the classifier's score: about 50 clips each
TIMES_NOISE, OF_REAL, LEAST_SHARE = 2.0, 0.6, 0.10
SHIFTS = (1, 2, 3)
EPOCHS = 30
JUDGE = "log-mel-cnn"
UNSHUFFLED, REAL = "without phase shuffle", "real"

Probabilities = Callable[[np.ndarray], np.ndarray]


# The data


def source_of(task: Task) -> tuple[str, str | None]:
    """(what to train on, its --size): the folders of four digits, or the phantom as it is."""
    if task.phantom:
        return task.data, None
    folder = task.folder.parent / "digits"
    folder.mkdir(parents=True, exist_ok=True)
    for digit in DIGITS:
        real = (Path(task.data) / digit).resolve()
        if not real.is_dir():
            raise DataError(f"{task.data} has no folder '{digit}': give the spoken digits, a folder for each")
        if not (folder / digit).exists():
            (folder / digit).symlink_to(real, target_is_directory=True)
    return str(folder), str(LENGTH)


def data_of(task: Task) -> Dataset:
    """The same records and the same split that the run of this seed has."""
    from ganvas.data import open_data

    source, size = source_of(task)
    found: Dataset = open_data(source, size=size, seed=task.seed, progress=False)
    return found


def matched_noise(clips: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(count, length, 1): Gaussian noise with the mean spectrum and the mean loudness course of clips, at their levels."""
    rng = np.random.default_rng([seed, 0x501])
    waves = clips[..., 0].astype(np.float64)
    length = waves.shape[1]
    spectrum = np.sqrt(np.square(np.abs(np.fft.rfft(waves, axis=1))).mean(axis=0))
    white = np.fft.rfft(rng.standard_normal((count, length)), axis=1)
    coloured = np.fft.irfft(white * spectrum, length, axis=1)
    pieces = length // 64
    course = np.sqrt(np.square(waves[:, : pieces * 64]).reshape(len(waves), pieces, 64).mean(axis=(0, 2)))
    made = coloured * np.interp(np.arange(length), 64 * np.arange(pieces) + 32, course)
    levels = np.sqrt(np.square(waves).mean(axis=1))
    made *= (rng.choice(levels, count) / np.sqrt(np.square(made).mean(axis=1)))[:, None]
    return np.clip(made, -1, 1).astype(np.float32)[..., None]


# The judge


def spectrograms(clips: np.ndarray, rate: int) -> np.ndarray:
    """(N, 1, bands, frames) float32, about -1 to 1."""
    from ganvas.kinds.sound.spectra import log_mel

    levels = log_mel(clips[..., 0], rate).transpose(0, 2, 1)[:, None]
    return np.ascontiguousarray(levels / 35 + 1, np.float32)


def judge_of(clips: np.ndarray, labels: np.ndarray, rate: int, seed: int) -> Probabilities:
    """A classifier of clips (N, length, 1): a function from clips to class probabilities (M, K).

    It sees every clip at other levels and a little earlier or later each time, so that it must go by the word.
    """
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    known, answers = torch.from_numpy(spectrograms(clips, rate)), torch.from_numpy(labels)
    classes = int(labels.max()) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 5, stride=2, padding=2), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Flatten(), nn.Dropout(0.5), nn.LazyLinear(classes),
        )  # fmt: skip
        network.eval()(known[:1])
        network.train()
        optimiser = torch.optim.Adam(network.parameters(), 1e-3)
        for _ in range(EPOCHS):
            for chosen in torch.randperm(len(known)).split(32):
                if len(chosen) < 2:  # BatchNorm
                    continue
                moved = torch.roll(known[chosen], int(torch.randint(-3, 4, ())), 3)
                heard = (moved + 0.3 * torch.randn(len(chosen), 1, 1, 1)).clamp(min=-1.0)
                optimiser.zero_grad()
                cross_entropy(network(heard), answers[chosen]).backward()
                optimiser.step()
    network.eval()

    def judge(sounds: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            parts = torch.from_numpy(spectrograms(sounds, rate)).split(256)
            said: np.ndarray = torch.cat([network(part).softmax(1) for part in parts]).double().numpy()
        return said

    return judge


_judges: dict[str, Probabilities] = {}  # one for all arms of a seed


def judged(task: Task, dataset: Dataset, clips: np.ndarray, facts: dict[str, Any]) -> Outcome:
    """The classifier's score of as many clips as are held out, and how often each class is heard in them."""
    from ganvas.metrics import class_coverage, classifier_score

    assert dataset.labels is not None and isinstance(dataset.spec, SoundSpec)
    if dataset.fingerprint not in _judges:
        train = dataset.train_indices()
        _judges[dataset.fingerprint] = judge_of(dataset.values[train], dataset.labels[train], dataset.spec.rate, task.seed)
    judge = _judges[dataset.fingerprint]
    held = dataset.heldout_indices()
    said = judge(clips)
    score = classifier_score(said, classifier=JUDGE, splits=SPLITS, seed=task.seed)
    shares = np.bincount(said.argmax(1), minlength=said.shape[1]) / len(said)
    covered = class_coverage(said, said.shape[1], real=judge(dataset.values[held]), classifier=JUDGE, intervals=False)
    more = {
        "low": score.low,
        "high": score.high,
        "shares": dict(zip(dataset.spec.classes, [round(float(s), 4) for s in shares], strict=True)),
        "class_kl": float(min(covered["kl"].more["observed"], 99.0)),  # infinity is no JSON
        "judge_on_heldout": float((judge(dataset.values[held]).argmax(1) == dataset.labels[held]).mean()),
        "log_mel_kid": log_mel_distance(dataset, clips),
    }
    return Outcome(score.value, score.protocol, more | facts, tiles(clips, dataset.spec.rate))


def log_mel_distance(dataset: Dataset, clips: np.ndarray) -> float:
    """Kernel distance to the held-out clips, of the features that `evaluate` takes."""
    from ganvas.kinds import kind_of
    from ganvas.metrics import kernel_distance
    from ganvas.metrics.extractors import find_extractor

    sound, spec = kind_of("sound"), dataset.spec
    parts = (dataset.values[dataset.train_indices()], clips, dataset.values[dataset.heldout_indices()])
    train, made, held = (sound.vectors(np.asarray(part), spec) for part in parts)
    extractor = find_extractor("pixels", real=train)
    name = f"{sound.says.features}/{extractor.name}"
    given: dict[str, Any] = {"features": name, "reference": "heldout", "intervals": False}
    return float(kernel_distance(extractor.features(made), extractor.features(held), **given).value)


def tiles(clips: np.ndarray, rate: int) -> np.ndarray:
    """For the picture: 36 spectrograms (N, H, W, 1) uint8, low tones below, from all over the clips: real ones lie by class."""
    chosen = clips[np.linspace(0, len(clips) - 1, min(36, len(clips))).astype(np.int64)]
    shades = np.clip((spectrograms(chosen, rate) + 1) * 127.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.pad(shades[:, 0, ::-1, :, None], ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=90))


# The arms


def learnt(task: Task, shuffle: int) -> Outcome:
    """Train, draw as many clips as are held out, judge them, and ask the critic about shifted clips."""
    source, size = source_of(task)
    dataset = data_of(task)
    assert isinstance(dataset.spec, SoundSpec)
    settings = SETTINGS | (LARGE if task.large else {}) | {"phase_shuffle": shuffle}
    run, facts = trained(task, "wavegan", settings, data=source, size=size, threads=1)
    held = dataset.values[dataset.heldout_indices()]
    clips = run.sample(len(held), seed=10_000 + task.seed)
    _to_listen(task, clips, dataset.spec.rate, f"shuffle-{shuffle}")
    facts |= {"shift_sensitivity": sensitivity(run.system.critic, np.concatenate([held, clips]))}
    return judged(task, dataset, clips, facts)


def sensitivity(critic: Any, clips: np.ndarray) -> dict[str, float]:
    """How much the critic's score changes when a clip starts 1, 2 or 3 samples later, over its spread between clips.

    `mean` is over the three; the critic listens without phase shuffle, whatever it was trained with.
    """
    import torch

    from ganvas.systems.sound.wavegan import shifted

    sounds = torch.from_numpy(np.ascontiguousarray(clips, np.float32)).transpose(1, 2).contiguous()
    found: dict[str, float] = {}
    with torch.no_grad():
        scores = torch.cat([critic(part) for part in sounds.split(64)])
        for shift in SHIFTS:
            moved = shifted(sounds, torch.full((len(sounds),), shift))
            other = torch.cat([critic(part) for part in moved.split(64)])
            found[str(shift)] = float((other - scores).abs().mean() / scores.std())
    return {**found, "mean": statistics.fmean(found.values())}


def noise(task: Task) -> Outcome:
    """Noise that has of the training clips what moments can tell."""
    dataset = data_of(task)
    train = dataset.values[dataset.train_indices()]
    return judged(task, dataset, matched_noise(train, len(dataset.heldout_indices()), task.seed), {})


def real(task: Task) -> Outcome:
    """The held-out clips themselves."""
    dataset = data_of(task)
    return judged(task, dataset, np.asarray(dataset.values[dataset.heldout_indices()]), {})


def _to_listen(task: Task, clips: np.ndarray, rate: int, name: str) -> None:
    """The first 20 samples one after the other, beside the kept values of the proof."""
    from ganvas.files import write_atomically
    from ganvas.kinds.sound.files import encode_sound

    body = encode_sound(np.concatenate(list(clips[:20])), rate, format="wav", depth=16, note={"system": "wavegan"})
    write_atomically(task.folder.parent / f"{name}-seed-{task.seed}.wav", body)


def met(rows: Sequence[Row]) -> bool:
    """Scores and sensitivities on average; every class with every seed."""
    system, baseline, held = (statistics.fmean(row.values[arm] for row in rows) for arm in ("system", "baseline", REAL))
    felt, plain = (
        statistics.fmean(row.more[arm]["shift_sensitivity"]["mean"] for row in rows) for arm in ("system", UNSHUFFLED)
    )
    least = min(min(row.more["system"]["shares"].values()) for row in rows)
    return system > TIMES_NOISE * baseline and system >= OF_REAL * held and least >= LEAST_SHARE and plain > felt


PROOF = Proof(
    claim="it learns to say digits that a classifier tells apart, all of them, and phase shuffle makes its critic deaf to "
    "phase",
    baseline="Gaussian noise with the digits' mean spectrum, mean loudness course and levels",
    metric="classifier score of as many clips as are held out, by a small network on spectrograms of the training clips",
    direction=HIGHER,
    mark=f"mean over seeds above {TIMES_NOISE:g} times that of the noise and at least {OF_REAL:g} of that of held-out clips; "
    f"every digit at least {LEAST_SHARE:.0%} of the samples with every seed; and on average the critic trained without phase "
    "shuffle changes its score more when clips start 1 to 3 samples later",
    met=met,
    arms={
        "system": lambda task: learnt(task, 2),
        "baseline": noise,
        UNSHUFFLED: lambda task: learnt(task, 0),
        REAL: real,
    },
    budget=f"{ROUNDS}r",
    quick_budget="10r",
    large_budget=f"{LARGE_ROUNDS}r",
    real="spoken-digits",
    phantom="words",
)
