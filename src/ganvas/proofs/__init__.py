"""Proofs: each system's own central claim, tested against a named baseline at equal budget over several seeds.

One file a system says what is claimed (`PROOF`); this one runs it. An arm (the system, its baseline, perhaps others) is run
once for each seed, under equal data, budget and seed; its value is kept as soon as it is there, so that a proof that was
stopped goes on where it was. Passed means both: the 95 % interval of the paired gap lies on the right side of zero, and the
mark, written down before the run, is met. A proof that fails is written down as failing.

Not for choosing settings: an arm has what a user gets who sets nothing, but for the settings that the proof's file names
(widths, sizes and schedules for a budget of minutes), the same for system and baseline.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GanvasError, RunError

if TYPE_CHECKING:
    import numpy as np

RESULTS = Path("benchmarks/proofs/results")
LOWER, HIGHER = "lower is better", "higher is better"


@dataclass(frozen=True)
class Task:
    """What an arm is told.

    seed: of everything in it. data: a path, or the name of a phantom. phantom: whether data is one. folder: the arm's
    own, empty at first; what is left there by a run that was killed may be continued. budget: as `--budget` takes it.
    quick, large: the form, see `Proof`. threads: of each arm where several run beside one another, else None.
    """

    seed: int
    data: str
    phantom: bool
    folder: Path
    budget: str
    quick: bool
    say: Callable[[str], None]
    large: bool = False
    threads: int | None = None


@dataclass
class Outcome:
    """What an arm finds.

    value: the metric. protocol: how it was measured; the arms of a proof must agree in it. more: further figures.
    samples: for the picture: images (N, H, W, C) uint8 or points (N, 2), with labels (N,) or None.
    """

    value: float
    protocol: str
    more: dict[str, Any] = field(default_factory=dict)
    samples: np.ndarray | None = None
    labels: np.ndarray | None = None


Arm = Callable[[Task], Outcome]


@dataclass(frozen=True)
class Row:
    """The arms of one seed: their values and what else they found, by the arm's name."""

    seed: int
    values: Mapping[str, float]
    more: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Proof:
    """What is claimed, and how it is tested.

    claim, baseline, metric, mark: one sentence each. direction: LOWER or HIGHER. met: whether the rows meet the mark.
    arms: `system` and `baseline`, and others that are reported beside them. budget: of each arm. seeds: at least 3.
    real: the folder of the data under the root of real data; None for a proof about a phantom. phantom: what to train on
    otherwise. large_budget: of each arm in the large form, at the sizes of a GPU, for claims that minutes of a core are too
    small for; its mark is the same. note: what a reader must know, or what was tried when the proof fails. apart: arms with a
    measure of their own, which are reported and not compared with `system` and `baseline`.
    """

    claim: str
    baseline: str
    metric: str
    direction: str
    mark: str
    met: Callable[[Sequence[Row]], bool]
    arms: Mapping[str, Arm]
    budget: str
    quick_budget: str
    phantom: str
    real: str | None = None
    seeds: int = 3
    large_budget: str | None = None
    note: str = ""
    apart: tuple[str, ...] = ()


def catalogue() -> list[str]:
    """The names of the systems that have a proof."""
    return sorted(p.stem.replace("_", "-") for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_"))


def find_proof(system: str) -> tuple[str, Proof]:
    """(the system's name, its proof). Raises GanvasError for an unknown system and for one without a proof."""
    from ..registry import find

    card = find(system)
    if card.name not in catalogue():
        raise GanvasError(f"there is no proof of {card.name} yet; proofs: {', '.join(catalogue())}")
    module = import_module(f"{__name__}.{card.name.replace('-', '_')}")
    proof: Proof = module.PROOF
    return card.name, proof


def prove(
    system: str,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    seeds: int | None = None,
    quick: bool = False,
    large: bool = False,
    jobs: int = 1,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run the proof of a system and write `SYSTEM.json` and `SYSTEM.png`; returns what the JSON holds, and `file`.

    data: the folder of the real data sets; without it a proof about real data runs on a phantom and says so. out: the
    folder of the result (`benchmarks/proofs/results`). seeds: how many (the proof's own number). quick: one seed in about
    a minute, no mark, written as `SYSTEM.quick.json`. large: the form of a GPU, written as `SYSTEM.large.json`; the others
    run on the processor, also where there is a GPU. jobs: arms that run beside one another, each in a process of its own,
    which share the cores. Finished arms are kept in `out/arms` and not run again.

    `passed` is True, False, or None for the quick form. Raises GanvasError when the system has no proof or the data is
    not there, RunError when an arm fails.
    """
    name, proof = find_proof(system)
    return run_proof(name, proof, data=data, out=out, seeds=seeds, quick=quick, large=large, jobs=jobs, say=say)


def run_proof(
    name: str,
    proof: Proof,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    seeds: int | None = None,
    quick: bool = False,
    large: bool = False,
    jobs: int = 1,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """`prove`, for a proof that is given and not looked up."""
    from ..doctor import machine
    from ..files import disk_errors, write_json
    from ._picture import draw

    say = say or (lambda text: None)
    source, phantom = _source(proof, data)
    if phantom and proof.real is not None:
        say(f"note: no real data was given (--data ROOT): this runs on the phantom '{source}', and the result says so")
    count = 1 if quick else seeds or proof.seeds
    form = "quick" if quick else "large" if large else "full"
    budget = {"quick": proof.quick_budget, "large": proof.large_budget, "full": proof.budget}[form]
    if budget is None:
        raise GanvasError(f"the proof of {name} has no large form: its claim is tested whole without --large")
    out = Path(out) if out is not None else RESULTS
    keeper = _Keeper(out / "arms" / f"{name}-{_key(name, proof, source, budget, form)}")
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        keeper.open()
    waiting: list[tuple[str, Task]] = []
    for seed in range(count):
        for arm in proof.arms:
            if (kept := keeper.arms.get(f"{arm}/{seed}")) is not None:
                say(f"{arm}, seed {seed}: {kept['value']:.4g} (kept from before in {keeper.folder})")
                continue
            folder = keeper.folder / f"{arm}-{seed}".replace(" ", "-")
            waiting.append((arm, Task(seed, source, phantom, folder, budget, quick, say, large)))
    for arm, task, outcome in _outcomes(name, proof, waiting, jobs, say):
        record = keeper.keep(arm, task, *outcome)
        say(f"{arm}, seed {task.seed}: {record['value']:.4g} in {record['seconds']:.0f} s")
    rows = [_row(keeper.arms, proof, seed) for seed in range(count)]
    gap = paired_gap([r.values["system"] for r in rows], [r.values["baseline"] for r in rows], proof.direction)
    met = proof.met(rows)
    stem = name if form == "full" else f"{name}.{form}"
    command = f"ganvas prove {name}{' --data ROOT' if proof.real and not phantom else ''}{' --large' if large else ''}"
    command += f" --seeds {count}" if not quick and count != proof.seeds else ""
    result = {
        "system": name,
        "claim": proof.claim,
        "baseline": proof.baseline,
        "metric": f"{proof.metric} [{_protocol(keeper.arms, proof, count)}]",
        "direction": proof.direction,
        "mark": proof.mark,
        "budget": budget,
        "seeds": [_seed_entry(keeper.arms, proof, seed) for seed in range(count)],
        "gap": {"of": "system over baseline, positive is better", **gap},
        "mark_met": None if quick else met,
        "passed": None if quick else met and gap["low"] is not None and gap["low"] > 0,
        "data": f"{source} (phantom)" if phantom else str(proof.real),
        "on_phantom_instead_of": proof.real if phantom else None,
        "note": proof.note,
        "command": command + (" --quick" if quick else ""),
        "machine": {**machine(), "threads": _threads(), "jobs": jobs},
    }
    draw(out / f"{stem}.png", result, rows, keeper.samples(tuple(proof.arms)))
    write_json(out / f"{stem}.json", result)
    say(verdict(result))
    return {**result, "file": str(out / f"{stem}.json")}


def paired_gap(system: Sequence[float], baseline: Sequence[float], direction: str) -> dict[str, float | None]:
    """By how much the system is better than the baseline at equal seeds: mean, and the ends of its 95 % interval.

    Positive is better, whatever the direction. The interval is that of Student's t over the paired differences; it is
    None for a single pair.
    """
    sign = -1.0 if direction == LOWER else 1.0
    gaps = [sign * (a - b) for a, b in zip(system, baseline, strict=True)]
    mean = statistics.fmean(gaps)
    if len(gaps) < 2:
        return {"mean": mean, "low": None, "high": None}
    half = student_975(len(gaps) - 1) * statistics.stdev(gaps) / math.sqrt(len(gaps))
    return {"mean": mean, "low": mean - half, "high": mean + half}


_STUDENT_975 = (12.7062, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691, 2.36462, 2.30600, 2.26216)


def student_975(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: from a table below 10 degrees of freedom, else by its expansion.

    The expansion in 1/freedom (Abramowitz and Stegun 26.7.5) is right to 1e-4 from 10 on.
    """
    if freedom <= len(_STUDENT_975):
        return _STUDENT_975[freedom - 1]
    z = statistics.NormalDist().inv_cdf(0.975)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def verdict(result: Mapping[str, Any]) -> str:
    """The result in one line."""
    gap = result["gap"]
    interval = "" if gap["low"] is None else f" [{gap['low']:.3g}, {gap['high']:.3g}]"
    text = f"better than the baseline by {gap['mean']:.3g}{interval} ({result['direction']})"
    if result["passed"] is None:
        return f"{text}; the quick form has no mark"
    mark = "met" if result["mark_met"] else "NOT met"
    return f"{'passed' if result['passed'] else 'NOT passed'}: {text}; mark {mark}: {result['mark']}"


def _source(proof: Proof, root: str | Path | None) -> tuple[str, bool]:
    """(what to train on, whether it is a phantom)."""
    if proof.real is None or root is None:
        return proof.phantom, True
    folder = Path(root) / proof.real
    if not folder.exists():
        raise GanvasError(f"--data {root} has no '{proof.real}': give the folder that holds the data sets, or leave it out")
    return str(folder), False


def _outcomes(
    name: str, proof: Proof, waiting: Sequence[tuple[str, Task]], jobs: int, say: Callable[[str], None]
) -> Iterator[tuple[str, Task, tuple[Outcome, float]]]:
    """Each arm's outcome and its seconds, as they come; with several jobs in any order, those of arms that failed last."""
    if jobs == 1:
        for arm, task in waiting:
            say(f"{arm}, seed {task.seed}: running, budget {task.budget}")
            yield arm, task, _timed(proof.arms[arm], task)
        return
    from ..doctor import machine

    say(f"{len(waiting)} arms, {jobs} beside one another, budget {waiting[0][1].budget if waiting else 'none'}")
    failed: list[BaseException] = []
    threads = max(1, machine()["cores"] // jobs)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        running = {
            pool.submit(_run_arm, name, arm, replace(task, say=_silent, threads=threads)): (arm, task) for arm, task in waiting
        }
        for done in as_completed(running):
            try:
                yield *running[done], done.result()
            except Exception as error:
                failed.append(error)
    if failed:
        raise failed[0]


def _silent(text: str) -> None:
    """What an arm among several says of itself goes nowhere: its lines would mix with the others'."""


def _run_arm(name: str, arm: str, task: Task) -> tuple[Outcome, float]:
    import torch

    torch.set_num_threads(task.threads or 1)
    return _timed(find_proof(name)[1].arms[arm], task)


def _timed(function: Arm, task: Task) -> tuple[Outcome, float]:
    from ..files import disk_errors

    with disk_errors(task.folder):
        task.folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    return function(task), time.perf_counter() - started


def _key(name: str, proof: Proof, source: str, budget: str, form: str) -> str:
    """Names what an arm's value depends on, so that values of another protocol or of changed code are not taken over."""
    from ..registry import find

    code = [Path(__file__).parent / f"{name.replace('-', '_')}.py", find(name).path]
    content = [hashlib.sha256(path.read_bytes()).hexdigest() for path in code if path.exists()]
    facts = [proof.metric, proof.baseline, sorted(proof.arms), source, budget, form, content]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]


class _Keeper:
    """What finished arms have found, on disk: `arms.json`, and the first seed's samples for the picture."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "arms.json"
        self.arms: dict[str, dict[str, Any]] = {}

    def open(self) -> None:
        """Make the folder, or read what is kept there. Raises RunError when that cannot be read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder.parent / ".gitignore").write_text("*\n")
        if self.file.exists():
            try:
                self.arms = json.loads(self.file.read_text())
            except ValueError as error:
                raise RunError(f"{self.file} is damaged: delete it to run its arms again") from error

    def keep(self, arm: str, task: Task, outcome: Outcome, seconds: float) -> dict[str, Any]:
        """Write down what an arm found. Raises RunError for a value that cannot be compared."""
        import numpy as np

        from ..files import disk_errors, write_json

        if not math.isfinite(outcome.value):
            raise RunError(f"arm '{arm}', seed {task.seed}: its value is {outcome.value}, which cannot be compared")
        record = {
            "value": float(outcome.value),
            "protocol": outcome.protocol,
            "seconds": round(seconds, 1),
            "more": outcome.more,
        }
        if task.seed == 0 and outcome.samples is not None:
            labels = np.empty(0, np.int64) if outcome.labels is None else outcome.labels
            with disk_errors(self.folder):
                np.savez_compressed(self._samples(arm), samples=outcome.samples, labels=labels)
        self.arms[f"{arm}/{task.seed}"] = record
        write_json(self.file, self.arms)
        shutil.rmtree(task.folder, ignore_errors=True)
        return record

    def samples(self, arms: Sequence[str]) -> dict[str, tuple[Any, Any]]:
        """(samples, labels or None) of the first seed, by arm."""
        import numpy as np

        found = {}
        for arm in arms:
            if self._samples(arm).exists():
                with np.load(self._samples(arm), allow_pickle=False) as held:
                    found[arm] = (held["samples"], held["labels"] if held["labels"].size else None)
        return found

    def _samples(self, arm: str) -> Path:
        return self.folder / f"{arm.replace(' ', '-')}.npz"


def _row(arms: Mapping[str, Mapping[str, Any]], proof: Proof, seed: int) -> Row:
    own = {arm: arms[f"{arm}/{seed}"] for arm in proof.arms}
    return Row(seed, {arm: own[arm]["value"] for arm in own}, {arm: own[arm]["more"] for arm in own})


def _seed_entry(arms: Mapping[str, Mapping[str, Any]], proof: Proof, seed: int) -> dict[str, Any]:
    row = _row(arms, proof, seed)
    seconds = sum(arms[f"{arm}/{seed}"]["seconds"] for arm in proof.arms)
    return {"seed": seed, **row.values, "seconds": round(seconds, 1), "more": dict(row.more)}


def _protocol(arms: Mapping[str, Mapping[str, Any]], proof: Proof, count: int) -> str:
    """The protocol all values share. Raises RunError when they do not: then they must not be compared."""
    compared = [arm for arm in proof.arms if arm not in proof.apart]
    protocols = sorted({str(arms[f"{arm}/{seed}"]["protocol"]) for arm in compared for seed in range(count)})
    if len(protocols) > 1:
        raise RunError(f"values of different protocols are not compared: {'; '.join(protocols)}")
    return protocols[0]


def _threads() -> int:
    import torch

    return torch.get_num_threads()
