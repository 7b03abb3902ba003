"""The proof of `midinet`: over the chords of unseen tunes its melodies are nearer to what these tunes do than those of an LSTM
of equal size and of a Markov chain.

All arms know the same: tunes moved into C by their chords, the chord at each step, the place in the bar. The LSTM and the chain
read step by step (the network as many bars as midinet, and of as many weights as its generator), midinet bar by bar. Each
writes a melody over the chords of every held-out piece, and what is counted of these is set beside the held-out melodies.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.kinds.tune.measures import SHARES, differences
from ganvas.kinds.tune.pictures import draw_tunes
from ganvas.kinds.tune.spec import CHORDS, FIRST, MELODY
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained

if TYPE_CHECKING:
    from torch import Tensor

    from ganvas.data.dataset import Dataset
    from ganvas.systems.sound.midinet import MidiNet

MIDINET: dict[str, Any] = {"leaps": True}
"""What the preset chooses."""
ORDER = 3  # steps that the chain looks back
LARGE: dict[str, Any] = {"width": 256, "judge_width": 256, "before_width": 128, "batch_size": 256}
LSTM_RATE = 3e-3
EMBEDDED = 64  # numbers by which the LSTM knows a row
PIECE = 64  # tunes that are written together


def arm(task: Task, changed: dict[str, Any] | None = None) -> Outcome:
    """Train, write over the chords of all held-out pieces, and measure."""
    config = {**MIDINET, **(LARGE if task.large else {}), **(changed or {})}
    run, facts = trained(task, "midinet", config, threads=1, precision="32")
    dataset = data_of(run)
    made = written(run.system, dataset, task.seed)
    more = judged(made, dataset) | facts | {"weights": sum(own.numel() for own in run.system.generator.parameters())}
    return outcome(made, dataset, more)


def written(system: MidiNet, dataset: Dataset, seed: int, chords: np.ndarray | None = None) -> np.ndarray:
    """Melodies (N, 2, T) over the chords of held-out pieces, or over others (N, T)."""
    import torch

    from ganvas.batches import Noise

    tunes = held_out(dataset)
    if chords is not None:
        tunes[:, CHORDS] = chords
    noise = Noise.seeded(10_000 + seed, next(system.parameters()).device)
    system.eval()
    with torch.no_grad():
        made = [system.accompany(part.to(noise.generator.device), noise).cpu() for part in torch.from_numpy(tunes).split(PIECE)]
    found: np.ndarray = torch.cat(made).numpy().astype(np.int32)
    return found


def held_out(dataset: Dataset) -> np.ndarray:
    """(N, 2, T) int64."""
    return np.asarray(dataset.values[dataset.heldout_indices()]).astype(np.int64)


def judged(made: np.ndarray, dataset: Dataset) -> dict[str, Any]:
    """The differences, the shares themselves, and the share of bars that stand so in a training tune, moved or not."""
    spec: Any = dataset.spec
    real, train = held_out(dataset), np.asarray(dataset.values[dataset.train_indices()])
    shares = {name: round(float(np.nanmean(share(made, spec.steps))), 4) for name, share in SHARES.items()}
    truth = {name: round(float(np.nanmean(share(real, spec.steps))), 4) for name, share in SHARES.items()}
    known = {bar.tobytes() for bar in shapes(train, spec.steps)}
    copies = {"made": shapes(made, spec.steps), "heldout": shapes(real, spec.steps)}
    found = {f"known_bars_{key}": float(np.mean([bar.tobytes() in known for bar in own])) for key, own in copies.items()}
    swapped = made.copy()
    swapped[:, CHORDS] = np.roll(made[:, CHORDS], 1, 0)
    found["in_chord_of_another"] = float(np.nanmean(SHARES["in_chord"](swapped, spec.steps)))
    return {"differences": differences(made, real, spec.steps), "shares": shares, "shares_of_heldout": truth, **found}


def shapes(records: np.ndarray, steps: int) -> np.ndarray:
    """(bars, S) int16 of records (N, 2, T): codes, pitches from the first note of the bar on."""
    bars = np.asarray(records)[:, MELODY].reshape(-1, steps).astype(np.int16)
    notes = bars >= FIRST
    first = np.take_along_axis(bars, notes.argmax(1)[:, None], 1)
    return np.ascontiguousarray(np.where(notes, bars - first + 1000, bars))


def outcome(made: np.ndarray, dataset: Dataset, more: dict[str, Any]) -> Outcome:
    value = statistics.fmean(more["differences"].values())
    spec: Any = dataset.spec
    return Outcome(
        value, f"mean of {len(more['differences'])} differences/n={len(made)}", more, draw_tunes(made[:6], spec)[None]
    )


# The baselines


def rows_of(system: MidiNet, tunes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (N, T) of melodies moved into C, planes of chords (N, T, C), and the moves (N,), as midinet has them."""
    import torch

    common, shift = system.bars.common(tunes)
    melody = common[:, MELODY]
    rows = torch.where(melody >= FIRST, (melody - system.bars.lowest).clamp(FIRST, system.bars.rows - 1), melody)
    return rows, system.bars.chord_planes(common[:, CHORDS]).transpose(1, 2), shift


def bare(task: Task) -> tuple[MidiNet, Dataset]:
    """Midinet untrained, for its codes, and the data of the seed's run."""
    run, _ = trained(task, "midinet", {**MIDINET, **(LARGE if task.large else {})}, threads=1, precision="32")
    system: Any = run.system
    return system, data_of(run)


def lstm(task: Task) -> Outcome:
    """Likelihood of the next row, given all before it, the chord and the place in the bar."""
    from dataclasses import replace

    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy, one_hot

    system, dataset = bare(replace(task, budget="1r"))
    steps, wanted = system.steps, sum(own.numel() for own in system.generator.parameters())
    torch.manual_seed(task.seed)
    tunes = torch.from_numpy(np.asarray(dataset.values[dataset.train_indices()]).astype(np.int64))
    with torch.no_grad():
        rows, planes, _ = rows_of(system, tunes)
    told = EMBEDDED + planes.shape[2] + steps

    def weights(width: int) -> int:
        return 4 * width * (told + width + 2) + system.bars.rows * (width + 1 + EMBEDDED)

    width = max(8, next(width for width in range(4096) if weights(width) >= wanted))
    embedding, cell = nn.Embedding(system.bars.rows + 1, EMBEDDED), nn.LSTM(told, width, batch_first=True)
    output = nn.Linear(width, system.bars.rows)
    parameters = [*embedding.parameters(), *cell.parameters(), *output.parameters()]
    adam = torch.optim.Adam(parameters, LSTM_RATE)
    length = rows.shape[1]
    place = one_hot(torch.arange(length) % steps, steps).float()
    before = torch.cat([torch.full_like(rows[:, :1], system.bars.rows), rows[:, :-1]], 1)
    rounds = int(task.budget.removesuffix("r"))
    each = max(1, system.config.batch_size * steps // length)  # as many bars in a batch
    generator = torch.Generator().manual_seed(task.seed)
    started = time.process_time()
    for number in range(rounds):
        for group in adam.param_groups:
            group["lr"] = LSTM_RATE * (1 - 0.9 * number / rounds)
        own = torch.randint(len(rows), (each,), generator=generator)
        seen, _ = cell(torch.cat([embedding(before[own]), planes[own], place.expand(each, -1, -1)], 2))
        loss = cross_entropy(output(seen).flatten(0, 1), rows[own].flatten())
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
    seconds = round(time.process_time() - started, 1)

    def write(planes: Tensor, generator: torch.Generator) -> Tensor:
        count = len(planes)
        last, state = torch.full((count,), system.bars.rows), None
        found = []
        for step in range(planes.shape[1]):
            given = torch.cat([embedding(last), planes[:, step], place[step].expand(count, -1)], 1)
            seen, state = cell(given[:, None], state)
            last = torch.multinomial(output(seen[:, 0]).softmax(1), 1, generator=generator)[:, 0]
            found.append(last)
        return torch.stack(found, 1)

    with torch.no_grad():
        made = composed(system, dataset, task.seed, write)
    facts = {"processor_seconds": seconds, "weights": sum(own.numel() for own in parameters), "loss": float(loss.detach())}
    return outcome(made, dataset, judged(made, dataset) | facts)


def chain(task: Task) -> Outcome:
    """How often a row followed the three before it, over such a chord at such a place of the bar; fewer where it never was."""
    from dataclasses import replace

    import torch

    system, dataset = bare(replace(task, budget="1r"))
    tunes = torch.from_numpy(np.asarray(dataset.values[dataset.train_indices()]).astype(np.int64))
    with torch.no_grad():
        rows, planes, _ = rows_of(system, tunes)
    names: dict[bytes, int] = {}
    numbered = np.array([[names.setdefault(own.tobytes(), len(names)) for own in tune] for tune in planes.numpy()])
    followed: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for tune, chords in zip(rows.numpy(), numbered, strict=True):
        for step, row in enumerate(tune.tolist()):
            for context in contexts(tune, step, int(chords[step]), step % system.steps):
                followed[context].append(row)

    def write(planes: Tensor, generator: torch.Generator) -> Tensor:
        rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        found = np.zeros(planes.shape[:2], np.int64)
        for tune, own in zip(found, planes.numpy(), strict=True):
            for step in range(len(tune)):
                chord = names.get(own[step].tobytes(), -1)
                able = contexts(tune, step, chord, step % system.steps)
                seen = next((followed[context] for context in able if context in followed), [0])
                tune[step] = seen[rng.integers(len(seen))]
        return torch.from_numpy(found)

    made = composed(system, dataset, task.seed, write)
    return outcome(made, dataset, judged(made, dataset))


def contexts(tune: np.ndarray, step: int, chord: int, place: int) -> list[tuple[int, ...]]:
    """What the next row may depend on, the most first."""
    last = tuple(int(row) for row in tune[max(0, step - ORDER) : step])
    return [*((place, chord, *last[k:]) for k in range(len(last) + 1)), (place,)]


def composed(system: MidiNet, dataset: Dataset, seed: int, write: Callable[[Tensor, Any], Tensor]) -> np.ndarray:
    """Melodies over the chords of held-out pieces. write: of planes (N, T, C) -> rows (N, T)."""
    import torch

    tunes = torch.from_numpy(held_out(dataset))
    _, planes, shift = rows_of(system, tunes)
    made = system.bars.codes(write(planes, torch.Generator().manual_seed(10_000 + seed)), shift)
    return torch.stack([made, tunes[:, CHORDS]], 1).numpy().astype(np.int32)


def met(rows: Sequence[Row]) -> bool:
    """With every seed."""
    return all(row.values["system"] < min(row.values["baseline"], row.values["chain"]) for row in rows)


PROOF = Proof(
    claim="bar by bar, with earlier bars as conditions, melodies over given chords are nearer to real tunes than step by step",
    baseline="an LSTM with as many weights as the generator, which reads as many bars of the same tunes, chords and places",
    metric=(
        "mean of the differences to held-out tunes in: share of notes in the chord, share in one key, bars that come again, "
        "rhythms that come again, note lengths, leaps (the last two by total variation)"
    ),
    direction=LOWER,
    mark="with every seed below the LSTM and below a Markov chain of order 3 that knows chord and place in the bar",
    met=met,
    arms={"system": arm, "baseline": lstm, "chain": chain},
    budget="800r",
    quick_budget="30r",
    large_budget="20000r",
    real="nottingham-midi",
    phantom="tunes",
    seeds=3,
)
