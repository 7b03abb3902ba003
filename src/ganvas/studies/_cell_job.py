"""One job of a study: a cell with a seed is trained in stretches, sampled at looks, judged, and written down.

A job lives in a folder of its own, holds it, and may be killed at any moment: whoever plays it again goes on from there.
`python -m ganvas.studies._cell_job FOLDER` plays one. Not for choosing cells or seeds: that is `cells`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GanvasError, RunError
from ..files import disk_errors, held, write_atomically, write_json

if TYPE_CHECKING:
    import numpy as np

JOB, RESULT, FAILED, PACE, LOG = "job.json", "result.json", "failed.json", "pace.json", "log.txt"
LOSSES = "losses.npz"
STOPPED = 75  # exit code of a job that was asked to stop and can go on (EX_TEMPFAIL)
SOON = 500  # rounds after T0 in which D is asked to be awake, see `judged_losses`
PACE_SECONDS, PACE_SAMPLES = 5.0, 32
PATIENCE = 45.0  # seconds that a job waits for another process to let go of its folder
JUDGED_AGAIN = ("discriminator too strong", "discriminator too weak", "opening does not end", "losses explode")
"""Alarms that compare with the share of the budget: a stretch is a budget of its own, so they are raised again afterwards."""


def look_rounds(rounds: int, looks: int) -> list[int]:
    """The rounds at which samples are drawn: evenly spread, the last one at the end."""
    return sorted({max(1, round(rounds * (k + 1) / looks)) for k in range(looks)})


def stretch_ends(rounds: int, looks: int) -> list[int]:
    """Where the training is interrupted: at every look, and so often that the watch still has the losses of every round."""
    from ..health.losses import STRETCH

    ends, before = [], 0
    for look in look_rounds(rounds, looks):
        pieces = -(-(look - before) // STRETCH)
        ends += [before + round((look - before) * (k + 1) / pieces) for k in range(pieces)]
        before = look
    return ends


def play(folder: str | Path) -> dict[str, Any]:
    """Play a job to its end and return its result; at once when it has been played.

    Raises KeyboardInterrupt when it was told to stop (it can go on), GanvasError and RunError when it failed.
    """
    place = Path(folder)
    with _held(place):
        if (place / RESULT).exists():
            return read_plain(place / RESULT)
        job = read_plain(place / JOB)
        if "player" in job:  # a study whose jobs are no single training says itself what they do
            result = {"study": job["study"], **_named(job["player"])(place, job)}
            write_json(place / RESULT, result)
            return result
        _train(place, job)
        result = {
            **{key: job[key] for key in ("study", "cell", "seed", "rounds", "threads", "config")},
            **_of_run(place, job),
            **_named(job["judge"])(place, job),
        }
        write_json(place / RESULT, result)
        return result


def _named(text: str) -> Any:
    """The function that `module:function` names."""
    module, _, name = text.partition(":")
    return getattr(importlib.import_module(module), name)


class Played:
    """`play` as submitit wants it: where the cluster takes the node away, the job is queued again and goes on."""

    def __call__(self, folder: str) -> None:
        answer(Path(folder))

    def checkpoint(self, folder: str) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(Played(), folder)


@contextlib.contextmanager
def _held(place: Path) -> Iterator[None]:
    """Hold the folder. A job whose study was killed needs a moment to notice, and is waited for."""
    deadline = time.monotonic() + PATIENCE
    with contextlib.ExitStack() as holding:
        while True:
            try:
                holding.enter_context(held(place))
                break
            except GanvasError as error:
                if isinstance(error, RunError) or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        yield


def read_plain(path: Path) -> dict[str, Any]:
    """A file of the study. Raises RunError when it cannot be read."""
    try:
        found = json.loads(path.read_text())
        if isinstance(found, dict):
            return found
    except (OSError, ValueError):
        pass
    raise RunError(f"{path} is damaged: delete it, and run the same command again")


# Training


def _train(place: Path, job: Mapping[str, Any]) -> None:
    """Stretch by stretch; after each the losses of its rounds are kept, and samples where there is a look."""
    looks = look_rounds(job["rounds"], job["looks"])
    kept = len(next(iter(_losses(place).values()), ()))
    for end in stretch_ends(job["rounds"], job["looks"]):
        drawn = drawn_file(place, end) if end in looks else None
        if kept >= end and (drawn is None or drawn.exists()):
            continue
        _reach(place / "run", job, end)
        if kept < end:
            kept = _keep_losses(place, end)
        if drawn is not None and not drawn.exists():
            _draw(place, job, drawn)


def _reach(run: Path, job: Mapping[str, Any], end: int) -> None:
    """Train the run up to a round, from where it is."""
    from ..run import checkpoint
    from ..run.settings import FILE
    from ..run.train import train

    if (run / FILE).exists():
        facts = checkpoint.facts_of(run, "last") or {}
        if facts.get("round") == end:
            return
        result = train(resume=run, budget=f"{end}r", quiet=True)
    else:
        result = train(job["system"], job["data"], out=run, config=job["config"], **_settings(job), budget=f"{end}r")
    if result["stopped"] == "signal":
        raise KeyboardInterrupt


def _settings(job: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the run. Looks are the study's own: they take samples of every run at the same rounds."""
    fixed = {"seed": job["seed"], "threads": job["threads"], "evaluations": 0, "sample_every": 0.0, "until": "budget"}
    return {**fixed, **job["settings"], "quiet": True}


def _losses(place: Path) -> dict[str, np.ndarray]:
    """Every loss term's value in every round so far, by `player.term`."""
    import numpy as np

    if not (place / LOSSES).exists():
        return {}
    with np.load(place / LOSSES, allow_pickle=False) as held_values:
        return {name: held_values[name] for name in held_values.files}


def _keep_losses(place: Path, end: int) -> int:
    """Add the rounds since the last time. The log has means over seconds; the watch's memory has the last rounds one by one."""
    import io

    import numpy as np

    from ..run import checkpoint

    loaded = checkpoint.load(place / "run")
    watch = loaded[1].get("watch") if loaded else None
    if not watch:
        raise RunError(f"{place}: its run has no memory of its losses, which a study needs: leave --watch on")
    before = _losses(place)
    found: dict[str, Any] = {}
    for term, values in watch["losses"]["rise"]["values"].items():
        name = term.replace("/", ".")  # a name of the archive
        old = before.get(name, np.empty(0, np.float64))
        missing = end - len(old)
        if missing > len(values):
            raise RunError(f"{place}: the losses of rounds {len(old)} to {end - len(values)} are lost: delete this folder")
        found[name] = np.concatenate([old, np.asarray(values[len(values) - missing :], np.float64)])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **found)
    write_atomically(place / LOSSES, buffer.getvalue())
    return end


def drawn_file(place: Path, round: int) -> Path:
    """Where the samples of a look are: (N, H, W, C) uint8 as `samples`."""
    return place / "looks" / f"round-{round:07d}.npz"


def _draw(place: Path, job: Mapping[str, Any], path: Path) -> None:
    """Samples of the moment, from the same latents in every cell and at every look."""
    import io

    import numpy as np

    from ..run.load import Run

    run = Run(place / "run", which="last", device=str(job["settings"].get("device", "auto")))
    with disk_errors(path):
        path.parent.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, samples=run.sample(job["samples"], seed=10_000 + job["seed"], depth=8))
    write_atomically(path, buffer.getvalue())


# What a run tells of itself


def series_of(place: Path) -> dict[str, np.ndarray]:
    """The losses of a job, (rounds,) each, by `player.term`; of a player with `real` and `fake` also their sum, by `player`."""
    found = _losses(place)
    for player in [name.removesuffix(".real") for name in found if name.endswith(".real")]:
        if f"{player}.fake" in found:
            found[player] = found[f"{player}.real"] + found[f"{player}.fake"]
    return found


def _of_run(place: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """Losses, T0, alarms, memory and time of the training."""
    from ..run import checkpoint
    from ..run.logs import read_metrics

    found = series_of(place)
    player = next((name for name in found if "." not in name), None)
    health = json.loads((place / "run" / "health.json").read_text())
    alarms = [alarm for alarm in health["alarms"] if alarm["kind"] not in JUDGED_AGAIN]
    losses = judged_losses({k: v for k, v in found.items() if "." in k}, found[player], player) if player else {}
    alarms += losses.pop("alarms", [])
    rows = read_metrics(place / "run")
    facts = checkpoint.facts_of(place / "run", "last") or {}
    return {
        "losses": losses,
        "checkpoints": _so_far(found[player], look_rounds(job["rounds"], job["looks"])) if player else [],
        "alarms": sorted(alarms, key=lambda alarm: float(alarm["since_round"])),
        "seconds": round(float(facts.get("seconds", math.nan)), 1),
        "memory_mib": round(max((row.get("memory") or 0 for row in rows), default=0) / 2**20, 1),
    }


def judged_losses(terms: Mapping[str, np.ndarray], total: np.ndarray, player: str) -> dict[str, Any]:
    """What the watch finds in the losses of a whole training: T0, moments, the share of rounds asleep, alarms.

    terms: every player's terms, `player.term`. total: (rounds,) the sum of both cross entropies of the discriminator. The
    definitions are those of `ganvas.health.losses`: T0 is the first round from which the 50-round median of `total` stays
    above 0.25 x 2 ln 2 for 50 rounds. asleep: the share of rounds whose 50-round median is not above it; asleep_soon: the
    same of the 500 rounds after T0, or twice T0 if that is more (much of it means that the loss was high at the very beginning,
    and the opening came then; a D that becomes too strong in a long training is another matter).
    """
    import numpy as np

    from ..health.losses import LEARNING, WINDOW, Balance, Rise

    balance, rise, rounds = Balance(player), Rise((player,)), len(total)
    seen: dict[str, dict[str, Any]] = {}
    for index, value in enumerate(total):
        found = balance.take(float(value), index + 1, (index + 1) / rounds)
        for name, values in terms.items():
            found += rise.take(name.replace(".", "/"), float(values[index]), index + 1)
        for kind, text, since in found:
            seen.setdefault(kind, {"kind": kind, "seen": text, "round": index + 1, "since_round": since})
    windows = (np.sort(total[max(0, k - WINDOW + 1) : k + 1]) for k in range(rounds))
    middles = [float(window[len(window) // 2]) for window in windows]
    after = total[balance.t0 :] if balance.t0 is not None else np.empty(0)
    soon = middles[balance.t0 : balance.t0 + max(SOON, 2 * balance.t0)] if balance.t0 is not None else []
    return {
        "t0": balance.t0,
        "whole": moments(total),
        "after_t0": moments(after) if len(after) > 1 else None,
        "asleep": float(np.mean(np.asarray(middles) <= LEARNING)),
        "asleep_soon": float(np.mean(np.asarray(soon) <= LEARNING)) if len(soon) else None,
        "largest": float(total.max()),
        "alarms": list(seen.values()),
    }


def moments(values: np.ndarray) -> dict[str, float]:
    """mean, variance (of the sample), sd, and how many rounds they are over."""
    import numpy as np

    variance = float(np.var(values, ddof=1)) if len(values) > 1 else math.nan
    return {"mean": float(np.mean(values)), "variance": variance, "sd": math.sqrt(variance), "rounds": len(values)}


def _so_far(total: np.ndarray, looks: list[int]) -> list[dict[str, Any]]:
    return [{"round": end, **moments(total[:end])} for end in looks]


# Pace


def measure_pace(folder: Path) -> dict[str, float]:
    """What a job of this cell costs here, in seconds: a start, a stretch, a round, a sample that is drawn and judged."""
    job = read_plain(folder / JOB)
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    from ..run.load import Run
    from ..run.train import train

    begun = time.perf_counter()
    first = train(job["system"], job["data"], out=run, config=job["config"], **_settings(job), budget=f"{PACE_SECONDS:g}s")
    if first["stopped"] == "signal":
        raise KeyboardInterrupt
    start = time.perf_counter() - begun - first["seconds"]
    begun = time.perf_counter()
    second = train(resume=run, budget=f"{first['rounds'] + 1}r", quiet=True)
    stretch = time.perf_counter() - begun - (second["seconds"] - first["seconds"])
    begun = time.perf_counter()
    samples = Run(run, which="last").sample(PACE_SAMPLES, depth=8)
    draw = (time.perf_counter() - begun) / PACE_SAMPLES
    from ..metrics import find_extractor

    extractor = find_extractor("effnet", size=samples.shape[1:3])
    begun = time.perf_counter()
    extractor.features(samples)
    judge = (time.perf_counter() - begun) / PACE_SAMPLES
    shutil.rmtree(run, ignore_errors=True)
    found = {"start": start, "stretch": stretch, "round": first["seconds"] / first["rounds"], "sample": draw + judge}
    write_json(folder / PACE, found)
    return found


# The process


def answer(place: Path) -> int:
    """Play a job (or measure a pace); what went wrong is written beside it. Returns an exit code."""
    try:
        job = read_plain(place / JOB)
        (measure_pace if job.get("pace") else play)(place)
        return 0
    except KeyboardInterrupt:
        return STOPPED
    except GanvasError as error:
        write_json(place / FAILED, {"error": " ".join(str(error).split("\n"))})
        return error.exit_code
    except Exception as error:
        traceback.print_exc()
        write_json(place / FAILED, {"error": f"{type(error).__name__}: {error}; see {place / LOG}"})
        return 1


def _end_with_parent() -> None:
    """Stop when the study that started this job is gone: its end of the pipe closes then, however it died."""

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin: its lock would be held when the interpreter ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE)
        os._exit(STOPPED)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    _end_with_parent()
    raise SystemExit(answer(Path(sys.argv[1])))
