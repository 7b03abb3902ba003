"""The proof of `specgan`: pictures of sound give drums that are nearer to real ones than `wavegan`'s, in equal time.

Equal time is time of a processor, which a busy machine does not stretch: how many rounds of wavegan take as long as one of
specgan was measured before the run, and what each arm took is written down. Both arms draw as many clips as are held out; what
is asked of them is measured on the sound, never on the pictures that specgan learns. The judge of classes is wavegan's: a small
network on spectrograms of the training clips.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained
from ganvas.proofs._sounds import (
    TRAITS,
    bright_course,
    class_spread,
    compared,
    modulation_course,
    nearest_draws,
    traits,
)  # fmt: skip
from ganvas.proofs.wavegan import JUDGE, judge_of, log_mel_distance, tiles

if TYPE_CHECKING:
    from ganvas.data.dataset import Dataset

SPECGAN: dict[str, Any] = {"gradient_clip": 1.0}
"""Beside it the preset chooses for minutes of one core what the settings have by themselves."""
WAVEGAN: dict[str, Any] = {
    "width": 16, "batch_size": 16, "generator_learning_rate": 4e-4, "critic_learning_rate": 4e-4, "ema_half_life": 5_000.0,
    "critic_turns": 2,
}  # fmt: skip
"""Those of its own proof."""
PACE = 0.2  # rounds of wavegan in the time of one of specgan: .91 and .185 s
LARGE: dict[str, dict[str, Any]] = {
    "specgan": {"width": 32, "max_width": 512, "image_stride": 2, "learning_rate": 1e-3, "batch_size": 32},
    "wavegan": {"width": 32, "batch_size": 64, "generator_learning_rate": 2e-4, "critic_learning_rate": 2e-4},
}
SPLITS = 2  # of the classifier's score
SHARE, SPREAD = 0.6, 0.6

_judges: dict[str, Any] = {}


def arm(task: Task, system: str, config: dict[str, Any], pace: float = 1.0) -> Outcome:
    """Train, draw as many clips as are held out, and measure them beside those."""
    own = replace(task, budget=f"{max(2, round(pace * int(task.budget.removesuffix('r'))))}r")
    config = config | (LARGE[system] if task.large else {})
    run, facts = trained(own, system, config, threads=1, precision="32", channels_last="off")
    dataset = data_of(run)
    assert dataset.labels is not None
    asked = dataset.labels[dataset.heldout_indices()]  # in the data's own shares
    clips = drawn(run, asked, 10_000 + task.seed)
    return judged(dataset, clips, asked if run.system.classes else None, facts)


def drawn(run: Any, asked: np.ndarray, seed: int) -> np.ndarray:
    """Clips (N, length, channels), as many as classes are asked for (N,), of those classes where the system takes them."""
    if not run.system.classes:
        found: np.ndarray = run.sample(len(asked), seed=seed)
        return found
    made = np.empty((len(asked), run.spec.length, run.spec.channels), np.float32)
    for label in np.unique(asked):
        rows = np.flatnonzero(asked == label)
        made[rows] = run.sample(len(rows), seed=seed + int(label), label=int(label))
    return made


def judged(dataset: Dataset, clips: np.ndarray, asked: np.ndarray | None, facts: dict[str, Any]) -> Outcome:
    """The mean Kolmogorov distance of centroid, attack and decay to held-out clips, and all else that is reported."""
    from ganvas.kinds import kind_of
    from ganvas.metrics import classifier_score

    assert dataset.labels is not None
    spec: Any = dataset.spec
    rate, train, held = spec.rate, dataset.train_indices(), dataset.heldout_indices()
    if dataset.fingerprint not in _judges:
        _judges[dataset.fingerprint] = judge_of(np.asarray(dataset.values[train]), dataset.labels[train], rate, 0)
    judge = _judges[dataset.fingerprint]
    real = np.asarray(dataset.values[held])
    known, said = judge(real), judge(clips)
    found = compared(traits(clips, rate), traits(real, rate))
    score = classifier_score(said, classifier=JUDGE, splits=SPLITS, seed=0)
    sound = kind_of(spec.kind)
    vectors, real_vectors = sound.vectors(clips, spec), sound.vectors(real, spec)
    spread = class_spread(vectors, said.argmax(1), real_vectors, dataset.labels[held])
    more: dict[str, Any] = found | {
        "score": score.value, "score_of_heldout": classifier_score(known, classifier=JUDGE, splits=SPLITS, seed=0).value,
        "class_spread": spread,
        "log_mel_kid": log_mel_distance(dataset, clips),
        "spectrum_db": apart(bright_course(clips, rate), bright_course(real, rate)),
        "modulation_db": apart(modulation_course(clips, rate), modulation_course(real, rate)),
        "nearest": nearest_draws(vectors, sound.vectors(np.asarray(dataset.values[train]), spec)),
        "judge_on_heldout": float((known.argmax(1) == dataset.labels[held]).mean()),
    }  # fmt: skip
    if asked is not None:
        more["as_asked"] = float((said.argmax(1) == asked).mean())
    value = statistics.fmean(found["kolmogorov"][name] for name in TRAITS)
    return Outcome(value, f"kolmogorov/{'+'.join(TRAITS)}/n={len(clips)}", more | facts, tiles(clips, rate))


def apart(first: np.ndarray, second: np.ndarray) -> float:
    """Root of the mean square of the difference."""
    return float(np.sqrt(np.square(first - second).mean()))


def met(rows: Sequence[Row]) -> bool:
    """Distances by the means over seeds; all else with every seed."""
    system, baseline = (statistics.fmean(row.values[name] for row in rows) for name in ("system", "baseline"))

    def better(row: Row) -> bool:
        own, other = row.more["system"], row.more["baseline"]
        lower = ("log_mel_kid", "spectrum_db", "modulation_db")
        return (
            own["score"] > other["score"] and all(own[name] < other[name] for name in lower) and own["class_spread"] >= SPREAD
        )

    return system <= SHARE * baseline and all(better(row) for row in rows)


PROOF = Proof(
    claim="pictures of sound are the shorter way: nearer to real drums than waveforms by wavegan in equal time",
    baseline="wavegan with the settings of its own proof, for as long on one core",
    metric="mean Kolmogorov distance to held-out clips of centroid, attack and decay",
    direction=LOWER,
    mark=(
        f"mean over seeds at most {SHARE:g} of wavegan's; with every seed a higher classifier score, a lower log-mel kernel "
        "distance, smaller differences of mean spectra and of modulation spectra, and at least "
        f"{SPREAD:g} of the real spread within classes"
    ),
    met=met,
    arms={
        "system": lambda task: arm(task, "specgan", SPECGAN),
        "baseline": lambda task: arm(task, "wavegan", WAVEGAN, PACE),
    },
    budget="1500r",
    quick_budget="30r",
    large_budget="20000r",
    real="drums",
    phantom="words",
    seeds=5,
)
