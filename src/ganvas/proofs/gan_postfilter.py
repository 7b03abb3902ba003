"""The proof of `gan-postfilter`: what was averaged out of speech it gives back better than variances that are set right.

Recordings of spoken digits by five speakers, of whom one is held out, another with each seed (`melgan`'s proof). Both arms are
given the same dull sounds of that speaker's recordings, filtered by the same acoustic model. The baseline makes coefficients
move as much as those of training recordings do: the usual cure. Where they are stretched about the mean of moments nearby, as
the system begins with, that is a better cure, and is reported too. What is measured is measured of the sounds that come out, by
cepstra of another kind than those that are learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained
from ganvas.proofs.melgan import held_out, source_of
from ganvas.proofs.wavegan import tiles

if TYPE_CHECKING:
    from torch import Tensor

    from ganvas.systems.sound.gan_postfilter import GanPostfilter

AUTO: dict[str, Any] = {
    "widening": True, "widening_share": 0.7, "centred": True, "detail": 0.7, "mean_detail": 0.2,
    "r1_weight": 1.0, "r2_weight": 1.0,
}  # fmt: skip
"""What the preset chooses."""
SHARE = 0.25  # of the budget, in which the acoustic model learns: the baseline has that of as many rounds
LARGE: dict[str, Any] = {"width": 64, "layers": 5, "discriminator_width": 64, "acoustic_width": 256, "batch_size": 64}
LEARNT = 200  # training recordings by which variances are known
ACTIVE = 2.0  # log10 below the loudest band and moment, down to which moments count
NEARER = 1.05

Change = Callable[["Tensor", "Tensor"], "Tensor"]


def learnt(task: Task) -> Outcome:
    """Train, and postfilter dull sounds of the held-out speaker."""
    config = {**AUTO, **(LARGE if task.large else {}), "acoustic_share": SHARE}
    run, facts = trained(task, "gan-postfilter", config, data=source_of(task), threads=1, precision="32")
    first = judged(run, stretched(run.system), {}).more  # of the same run, without what G adds
    alone = {f"stretched_{name}": first[name] for name in ("modulation", "variance", "distortion")}
    return judged(run, run.system.sharpening, facts | alone)


def stretched(system: GanPostfilter) -> Change:
    """What the system begins with: variances set right about the mean of moments nearby, and no game."""
    widening = system.widening
    assert widening is not None

    def change(mels: Tensor, drawn: Tensor) -> Tensor:
        cepstra = system.cepstra(mels)
        return system.difference(widening(cepstra) - cepstra)

    return change


def variances(task: Task) -> Outcome:
    """The acoustic model alone, and variances set right."""
    rounds = max(1, int(SHARE * int(task.budget.removesuffix("r"))))
    config = {**AUTO, **(LARGE if task.large else {}), "acoustic_share": 1.0}
    short = replace(task, budget=f"{rounds}r")
    run, facts = trained(short, "gan-postfilter", config, data=source_of(task), threads=1, precision="32")
    return judged(run, widening(run), facts)


def widening(run: Any) -> Change:
    """Each coefficient but the loudness of a sound times a factor about its mean: what training recordings have more of it."""
    import torch

    from ganvas.inference.filtering import changed
    from ganvas.inference.vocoding import spectrogram

    system, dataset, noise = run.system, data_of(run), noise_of()
    rows = dataset.train_indices()
    natural: list[Tensor] = []
    dull: list[Tensor] = []
    with torch.no_grad():
        for row in rows[np.linspace(0, len(rows) - 1, min(LEARNT, len(rows))).astype(int)]:
            sound = torch.from_numpy(np.array(dataset.values[row], np.float32).T[None, :1].copy())
            if float(sound.abs().max()) < 1e-3:
                continue
            for found, own in ((natural, sound), (dull, changed(system, sound, system.smoothing, noise))):
                mels = spectrogram(system, own)[:, 0]
                level = mels - mels.amax() + system.usual
                found.append(system.cepstra(level)[..., active(level)[0]].var(2))
        ratio = (torch.cat(natural).mean(0) / torch.cat(dull).mean(0).clamp(min=1e-9)).sqrt()[None, :, None]
        ratio[:, :1] = 1.0

    def change(mels: Tensor, drawn: Tensor) -> Tensor:
        made = system.cepstra(mels)
        counted = active(mels)[:, None].to(made.dtype)
        middle = (made * counted).sum(2, keepdim=True) / counted.sum(2, keepdim=True).clamp(min=1)
        found: Tensor = system.difference((ratio - 1) * (made - middle))
        return found

    return change


def active(mels: Tensor) -> Tensor:
    """(N, columns) of spectrograms (N, bands, columns): where they are not silent."""
    loud = mels.amax(1)
    return loud > loud.amax(1, keepdim=True) - ACTIVE


def noise_of(seed: int = 0) -> Any:
    from ganvas.batches import Noise

    return Noise.seeded(1000 + seed)


def judged(run: Any, change: Change, facts: dict[str, Any]) -> Outcome:
    """Dull sounds of the held-out recordings, changed, beside the recordings."""
    import torch

    from ganvas.inference.filtering import changed
    from ganvas.metrics.cepstra import detail

    system: GanPostfilter = run.system
    dataset = data_of(run)
    spec: Any = dataset.spec
    true, given, made = held_out(dataset), [], []
    with torch.no_grad():
        for number, clip in enumerate(true):
            sound = torch.from_numpy(clip.T[None].copy())
            dull = changed(system, sound, system.smoothing, noise_of())
            given.append(dull[0, 0].numpy())
            made.append(changed(system, dull, change, noise_of(number))[0, 0].numpy())
    natural = [clip[:, 0] for clip in true]
    figures = detail(made, natural, spec.rate)
    more = figures | {f"input_{key}": value for key, value in detail(given, natural, spec.rate).items()}
    length = max(map(len, made))
    shown = np.stack([np.pad(own, (0, length - len(own)))[:, None] for own in made[:: max(1, len(made) // 12)]])
    protocol = f"modulation spectra to 50 Hz/dB/24 mel-cepstral coefficients/n={len(true)}"
    return Outcome(figures["modulation"], protocol, more | facts, tiles(shown, spec.rate))


def met(rows: Sequence[Row]) -> bool:
    """With every seed."""

    def better(row: Row) -> bool:
        own, other = row.more["system"], row.more["baseline"]
        nearer = all(own[name] < other[name] for name in ("modulation", "variance"))
        return (
            nearer
            and own["modulation"] < own["stretched_modulation"]
            and bool(own["distortion"] <= NEARER * other["distortion"])
        )

    return all(better(row) for row in rows)


PROOF = Proof(
    claim=(
        "dull speech of a speaker it never heard comes nearer to natural speech, in how much and how fast its mel-cepstra "
        "move, than by setting variances right"
    ),
    baseline=(
        "global variance: each mel-cepstral coefficient of a sound stretched about its mean by what training recordings have "
        "more; of the same dull sounds"
    ),
    metric="mean difference of modulation spectra to those of the recordings, up to 50 Hz, in dB (lower is better)",
    direction=LOWER,
    mark=(
        "with every seed nearer in modulation spectra and in the variances within each sound, with a mel-cepstral distortion "
        f"of at most {NEARER:g} times the baseline's; and nearer in modulation spectra than what G adds to, alone"
    ),
    met=met,
    arms={"system": learnt, "baseline": variances},
    budget="600r",
    quick_budget="20r",
    large_budget="50000r",
    real="spoken-digits",
    phantom="words",
)
