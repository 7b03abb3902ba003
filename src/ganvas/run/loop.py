"""The loop around the Engine, in each process: budget, signals, checkpoints, pictures, live view, logs, and the watch's wishes.

`train.py` prepares a run; here it is played until the budget, the game or the user says stop. Not for rounds: those are the
Engine's.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..doctor import keep_memory, on_threads
from ..errors import GanvasError, RunError
from ..files import write_json
from ..registry import find
from . import checkpoint
from .budget import describe_seconds, parse_budget
from .load import RunRecord, build_system, put_weights, read_run
from .opening import reopen, seated
from .pace import memory_in_use
from .privacy import SPENT, purse_of
from .rescue import go_back, set_aside, way_back
from .settings import FILE, Settings

if TYPE_CHECKING:
    from ..capabilities import Panel

SHOWN = 8  # records of a picture that shows each in several states


class _Stop:
    """SIGINT and SIGTERM end the run after the round in play; a second one ends it at once.

    With several processes the parent receives them and tells.
    """

    def __init__(self, processes: Any) -> None:
        self.processes = processes
        self._signal: int | None = None
        self._old: dict[int, Any] = {}

    @property
    def signal(self) -> int | None:
        """The number of the signal that came, or None."""
        return self._signal or self.processes.told()

    def __enter__(self) -> _Stop:
        for number in (signal.SIGINT, signal.SIGTERM) if self.processes.world == 1 else ():
            try:
                self._old[number] = signal.signal(number, self._note)
            except ValueError:  # not the main thread (a notebook's worker): the signals are someone else's then
                return self
        return self

    def _note(self, number: int, frame: Any) -> None:
        if self._signal is not None:
            raise KeyboardInterrupt
        self._signal = number

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)


def play(processes: Any, folder_name: str, which: str, quiet: bool, dataset: Any, system_file: str | None) -> dict[str, Any]:
    """Build the board, restore, play until the budget, the game or the user says stop."""
    if system_file is not None:
        find(system_file)  # a process of several knows only what it is told
    folder = Path(folder_name)
    record = read_run(folder)
    settings = record.settings
    if dataset is None:
        dataset = reopen(record, processes)
    keep_memory()
    with on_threads(settings.threads):
        while True:
            result = _played(_Loop(processes, folder, record, dataset, which, quiet))
            if result["stopped"] != "restart":
                return result
            if processes.leads:
                set_aside(folder)
            processes.wait()
            record, which = read_run(folder), "last"


def _played(loop: _Loop) -> dict[str, Any]:
    import torch

    settings = loop.settings
    try:
        with _Stop(loop.processes) as stop:
            return loop.run(stop)
    except torch.OutOfMemoryError as error:
        raise RunError(_memory_advice(settings)) from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error) or "not enough memory" in str(error):
            raise RunError(_memory_advice(settings)) from error
        raise
    except MemoryError as error:
        raise RunError(_memory_advice(settings)) from error
    finally:
        loop.close()


def _memory_advice(settings: Settings) -> str:
    return (
        f"out of memory: try --recompute-activations, --micro-batches {settings.micro_batches * 2}, a smaller --size, or --set "
        "batch_size=N; what was saved is intact"
    )


class _Loop:
    def __init__(self, processes: Any, folder: Path, record: RunRecord, dataset: Any, which: str, quiet: bool) -> None:
        import torch

        from ..parallel import exactly
        from .live import Live
        from .logs import Logs

        self.processes, self.folder, self.record, self.dataset, self.quiet = processes, folder, record, dataset, quiet
        settings = self.settings = record.settings
        self.budget = parse_budget(settings.budget)
        seed = record.seed
        exactly(processes.device, settings.deterministic == "on")
        torch.manual_seed(seed)  # the same weights in every process
        self.system: Any = build_system(record).to(processes.device)
        if (folder / "start.safetensors").exists():
            import safetensors.torch

            put_weights(self.system, safetensors.torch.load_file(folder / "start.safetensors"), folder)
        loaded = checkpoint.load_alike(processes, folder, which)
        torch.manual_seed(seed + 1_000_003 * (processes.rank + 1))
        self.seconds_before = 0.0
        size = record.config["batch_size"]
        self.engine = seated(self.system, dataset, settings, size, processes, seed=seed, compiled=settings.compile)
        self.purse = purse_of(settings, self.engine)
        self.watch: Any = None
        if processes.leads and settings.watch == "on" and self.purse is None:
            from ..health.watch import Watch

            self.watch = Watch(self.engine, dataset, settings, self.budget)
        if loaded is not None:
            weights, state, _ = loaded
            put_weights(self.system, weights, folder / "checkpoints" / which)
            try:
                self.engine.restore(state["engine"])
                self.seconds_before = float(state["seconds"])
                if self.watch and state.get("watch"):
                    self.watch.restore(state["watch"], self.seconds_before)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
                where = folder / "checkpoints" / which
                raise GanvasError(f"{where}: its state does not fit this system ({error!r:.80})") from error
        self.live: Any = None
        self.logs: Any = None
        self.expected: Any = None  # what was told of the run before it began
        if processes.leads:
            self.logs = Logs(folder, from_round=self.engine.clock.round)
            title = f"{record.card.name} on {Path(settings.data).name or settings.data}"
            end = "until no better" if self.watch and self.watch.until_plateau else None
            self.live = Live(title, self.budget, quiet=quiet, end=end)
        self.kept = self._kept_best()
        self.reports: list[Any] = []  # since the log was last written
        self.resumed = loaded is not None
        self.logged = self.engine.clock.round
        self.seen = (self.engine.clock.samples, time.perf_counter())  # records and moment of the last log
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Trained seconds, over all sittings."""
        return self.seconds_before + time.perf_counter() - self.started

    def run(self, stop: _Stop) -> dict[str, Any]:
        from ..engine import Diverged
        from ..uses import offered, verbs_of

        if self.live:
            self.live.start()
            self._announce()
        self.started, processor = time.perf_counter(), time.process_time()
        if self.watch:
            self.watch.begin()
            self._tell_alarms()
        if self.live and self.settings.sample_every and self.engine.clock.round == 0:
            self.picture()
        reason = ""
        while not reason:
            try:
                reason = self._play(stop)
            except Diverged as error:
                reason = self._try_again(self.processes.agree(self._wish(error)))
                if reason == "alarm":
                    raise
        if reason in ("budget", "game over") and self.processes.agree(
            self.watch is not None and self.watch.closing_due(self.seconds)
        ):
            self.look()
        if self.watch and not stop.signal:
            self.watch.judge_best_again(self._fill_best)
        self.save()
        picture = None
        if self.live:
            self._log()
            picture = self.picture()
        clock, health = self.engine.clock, self.watch.summary(self.seconds) if self.watch else {}
        return {
            "run": str(self.folder),
            "system": self.record.card.name,
            "rounds": clock.round,
            "samples": clock.samples,
            "seconds": round(self.seconds, 2),
            "processor_seconds": round(time.process_time() - processor, 2),  # of this sitting, in this process
            "stopped": reason,
            "signal": stop.signal,
            "resumed": self.resumed,
            "incidents": [text for _, text in self.engine.incidents],
            "alarms": [str(alarm) for alarm in self.watch.alarms] if self.watch else [],
            "t0": health.get("t0"),
            "best": health.get("best"),
            "restarts": self.record.attempt,
            "privacy": None if self.purse is None else self.purse.told(),
            "picture": str(picture) if picture else None,
            "can": verbs_of(self.system),
            "uses": {verb: line for verb, (line, _) in offered(self.system, self.record.fields).items()},
            "checkpoint": str(self.folder / "checkpoints" / "last"),
        }

    def _play(self, stop: _Stop) -> str:
        """Rounds until there is a reason to stop, which is returned. Raises Diverged when NaN comes back too often."""
        engine, settings = self.engine, self.settings
        last_save = last_look = last_log = time.perf_counter()
        save_cost = 0.0
        self.seen = (engine.clock.samples, time.perf_counter())
        reason, due, wish = self._decide(stop, False)
        while not reason:
            engine.progress = min(1.0, self.budget.progress(self.seconds, engine.clock.samples, engine.clock.round))
            report = engine.play_round()
            now = time.perf_counter()
            if report is not None:
                self._hear(report)
            if self.reports and self.live and now - last_log >= 1.0:
                self._log()
                last_log = now
            # Saving may take at most a twentieth of the time, however large the networks are.
            reason, due, wish = self._decide(stop, now - last_save >= max(settings.save_every, 20 * save_cost))
            if reason in ("budget", "privacy", "game over"):
                report = engine.settle()
                self._hear(report)
                if report.incident:  # the last rounds were taken back: they are still to be played
                    reason = ""
            if reason:
                continue
            if wish == "look":
                self.look()
            elif wish:
                reason = self._try_again(wish)
            if due and not reason:
                begin = time.perf_counter()
                self.save()
                save_cost, last_save = time.perf_counter() - begin, time.perf_counter()
            if self.live and settings.sample_every and now - last_look >= settings.sample_every:
                self.picture()
                last_look = time.perf_counter()
        return reason

    def _decide(self, stop: _Stop, due: bool) -> tuple[str, bool, str]:
        """(why to stop now, or an empty string; whether to save; what the watch wishes). The first process decides for all."""
        clock = self.engine.clock
        reason = ""
        if self.engine.over:
            reason = "game over"
        elif self.budget.progress(self.seconds, clock.samples, clock.round) >= 1.0:
            reason = "budget"
        elif self.purse is not None and self.purse.empty():
            reason = "privacy"
        elif stop.signal is not None:
            reason = "signal"
        wish = "" if reason else self._wish()
        if wish in ("alarm", "plateau"):
            reason = wish
        decision: tuple[str, bool, str] = self.processes.agree((reason, due, wish))
        return decision

    # The watch

    def _wish(self, failure: Exception | None = None) -> str:
        """What the watch wishes, as far as it is possible: "", look, plateau, alarm (stop), rollback to WHICH, restart."""
        watch = self.watch
        if not watch:
            return "alarm" if failure else ""
        wish = watch.failed(str(failure)) if failure else watch.wish() or watch.due(self.seconds)
        if wish == "peek":
            watch.peek(self.seconds)
            self._tell_alarms()
            wish = watch.wish()
        if wish == "restart":
            return "restart" if self.record.attempt < self.settings.retries else "alarm"
        if wish == "rollback":
            which = way_back(self.folder, self.engine.clock.round) if watch.tries < self.settings.retries else None
            return f"rollback to {which}" if which else "alarm"
        return "alarm" if failure else str(wish)

    def _try_again(self, wish: str) -> str:
        """Go back to a checkpoint, or give the wish back as a reason to stop."""
        if not wish.startswith("rollback to "):
            return wish
        go_back(self.engine, self.folder, wish.removeprefix("rollback to "))
        round = self.logged = self.engine.clock.round
        self.reports.clear()
        self.seen = (self.engine.clock.samples, time.perf_counter())
        if self.watch:
            self.watch.went_back(round)
        if self.live:
            self.live.say(f"went back to round {round:,} because of the alarm; other records and other noise from here")
        self.save()
        return ""

    def _hear(self, report: Any) -> None:
        self.reports.append(report)
        if report.incident and self.live:
            self.live.say(report.incident)
        if self.watch:
            self.watch.hear(report)
            self._tell_alarms()

    def _tell_alarms(self) -> None:
        clock = self.engine.clock
        for alarm in self.watch.fresh:
            self.live.alarm(str(alarm), alarm.kind)
            record = {"round": clock.round, "samples": clock.samples, "seconds": round(self.seconds, 3)}
            self.logs.write({**record, "alarm": alarm.kind, "said": str(alarm), "since_round": alarm.since_round})
        self.watch.fresh.clear()

    def look(self) -> None:
        """Measure the quality of samples; keep the checkpoint when it is the best so far."""
        report = self.engine.settle()
        self._hear(report)
        if report.incident:
            return
        entry: dict[str, Any] | None = None
        if self.watch:
            entry = self.watch.look(self.seconds)
            names = {"kernel_distance": "value", "low": "low", "high": "high", "nearer_to_train": "nearer"}
            names |= {"diversity": "diversity"}
            self.logs.write(
                {key: entry[key] for key in ("round", "samples", "seconds", "protocol")}
                | {f"health/{name}": entry[key] for name, key in names.items()}
            )
            self._tell_alarms()
        if self.processes.agree(entry is not None and entry["value"] < self.kept):
            self.save()
            if entry is not None:
                self.kept = entry["value"]
                checkpoint.keep_best(self.folder / "checkpoints", {"look": entry})

    def _kept_best(self) -> float:
        """The kernel distance of the best checkpoint on disk; infinite without one.

        A run killed after a better look was saved and before it was kept finds it in `last`: it is kept now.
        """
        kept = (checkpoint.facts_of(self.folder, "best") or {}).get("look", {}).get("value", math.inf)
        best = self.watch.best if self.watch else None
        last = checkpoint.facts_of(self.folder, "last")
        if best and last and best["value"] < kept and last.get("round") == best["round"]:
            checkpoint.keep_best(self.folder / "checkpoints", {"look": best})
            return float(best["value"])
        return float(kept)

    def _fill_best(self, system: Any) -> bool:
        """Put the weights of the best look into a system; False where they were not kept."""
        facts, best = checkpoint.facts_of(self.folder, "best") or {}, self.watch.best
        loaded = checkpoint.load(self.folder, "best") if best and facts.get("round") == best["round"] else None
        if loaded is not None:
            put_weights(system, loaded[0], self.folder / "checkpoints" / "best")
        return loaded is not None

    def save(self) -> None:
        """Settle, and write a checkpoint."""
        report = self.engine.settle()
        self._hear(report)
        state = {"engine": self.engine.state(), "seconds": self.seconds}
        if self.processes.leads:
            state["watch"] = self.watch.state() if self.watch else None
            if not (self.folder / FILE).exists():
                raise RunError(f"{self.folder} is gone (deleted or moved while training): nothing more can be saved there")
            clock = self.engine.clock
            summary = {"system": self.record.card.name, "round": clock.round, "samples": clock.samples, "seconds": self.seconds}
            checkpoint.save(self.folder / "checkpoints", self.system.state_dict(), state, summary)
            if self.purse is not None:
                write_json(self.folder / SPENT, self.purse.told())
            if self.watch:
                write_json(self.folder / "health.json", self.watch.summary(self.seconds))

    def picture(self) -> Path | None:
        """Write a grid of samples of the moment; always the same latents or records, so that pictures can be compared."""
        import numpy as np
        import torch

        from ..capabilities import Shows
        from ..config import knobs
        from ..kinds import decode, kind_of
        from ..kinds.facets import Gridded, Whole
        from ..uses import build_options, drawing, pieces_of

        spec = self.record.spec
        kind = kind_of(spec.kind)
        use = drawing(self.system, self.record.fields)
        if isinstance(self.system, Shows) or use is None:
            panel = self._shown()
            if panel is None:
                return None
            records = decode(panel.records.flatten(0, 1), spec)
            if isinstance(kind, Gridded):
                return self._kept(kind.grid(records, spec, captions=panel.columns, rows=panel.rows))
            return self._kept(kind.picture(records, spec))
        known = {knob.name for knob in knobs(use.Options)}
        given = {"count": kind.says.shown} if "count" in known else {}
        with self.engine.watching(), torch.no_grad():
            made = use.run(self._work(), {}, build_options(use, {**given, **use.quick}))
            records = np.concatenate([decode(x, spec) for x in pieces_of(made[next(iter(self.record.fields))])])
        if isinstance(kind, Whole):
            return self._kept(kind.picture_beside(records, self.dataset))
        if isinstance(kind, Gridded):
            return self._kept(kind.grid(records, spec, labels=made["label"].numpy() if "label" in made else None))
        return self._kept(kind.picture(records, spec))

    def _work(self) -> Any:
        """What uses work with: the system as it is, and always the same noise."""
        from ..uses import Work

        record = self.record
        return Work(self.system, record.fields, self.settings.seed, name=record.card.name, learnt=record.learnt)

    def _kept(self, picture: Any) -> Path:
        """Where the picture of the moment was written; the logs have it too."""
        from ..drawing import save_picture

        path = self.folder / "samples" / f"round-{self.engine.clock.round:07d}.png"
        save_picture(path, picture)
        self.logs.image("samples", picture, self.engine.clock.round)
        return path

    def _shown(self) -> Panel | None:
        """What a system says is to be looked at of SHOWN records, else what its uses say; None where neither is known."""
        import torch

        from ..batches import Noise
        from ..capabilities import Shows
        from ..data.streams import shown_batch
        from ..uses import fields_taken, uses_of

        engine, names = self.engine, list(self.record.fields)
        noise = Noise.seeded(self.settings.seed, self.processes.device, engine.dtype)
        batch = shown_batch(self.dataset, self.system.feeds()["data"], SHOWN, noise).to(engine.dtype, engine.channels_last)
        with engine.watching(), torch.no_grad():
            if isinstance(self.system, Shows):
                return self.system.show(batch, noise)
            able = [use for use in uses_of(self.system) if use.show is not None]
            able = [
                use for use in able
                if {fields_taken(use, self.system, names)[0], names[0]} - set(use.brings) <= set(batch.fields)
            ]  # fmt: skip
            return able[0].show(self._work(), batch) if able and able[0].show is not None else None

    def _announce(self) -> None:
        """Say what is about to happen, with the time, memory and disk it is expected to take."""
        from ..kinds import describe
        from .expect import Expectation

        record, live = self.record, self.live
        verb = f"resuming {self.folder} at round {self.engine.clock.round:,}" if self.resumed else f"run folder {self.folder}"
        live.say(f"{verb}; {record.learnt_text} to learn from, {record.data['heldout']:,} held out")
        parts = {name: describe(spec) for name, spec in record.fields.items()}
        live.say("records: " + "; ".join(f"{name}: {of}" if len(parts) > 1 else of for name, of in parts.items()))
        plateau = self.watch is not None and self.watch.until_plateau
        if self.quiet:
            return
        engine, size = self.engine, record.config["batch_size"]
        self.expected = Expectation(
            self.system, self.dataset, self.settings, size, self.processes.device, self.budget, seed=record.seed,
            looked=self.watch is not None and self.watch.quality is not None,
            clock=engine.clock if self.resumed else None, seconds=self.seconds_before,
        )  # fmt: skip
        live.say(self.expected.line(plateau=plateau))
        live.say(self.expected.outlook(record.card, record.spec))

    def _log(self) -> None:
        """Show and write what was reported since the last time."""
        clock, now = self.engine.clock, time.perf_counter()
        reports, self.reports = self.reports, []
        rate = (clock.samples - self.seen[0]) / max(now - self.seen[1], 1e-9)
        self.seen = (clock.samples, now)
        good = [r for r in reports if r.terms]
        names = {n for r in good for n in r.terms}
        terms = {n: sum(r.terms[n] for r in good if n in r.terms) / sum(n in r.terms for r in good) for n in sorted(names)}
        norms = good[-1].norms if good else {}
        memory = memory_in_use(self.processes.device)
        if self.expected is not None and (told := self.expected.corrected(clock, self.seconds)):
            self.live.say(told)
        progress = self.budget.progress(self.seconds, clock.samples, clock.round)
        self.live.update(
            round=clock.round,
            samples=clock.samples,
            seconds=self.seconds,
            progress=progress,
            rate=rate,
            terms=terms,
            norms=norms,
            memory=memory,
            phase=clock.phase,
        )
        record: dict[str, Any] = {"round": clock.round, "samples": clock.samples, "seconds": round(self.seconds, 3)}
        record |= {"phase": clock.phase, "rate": round(rate, 2), "memory": memory}
        record |= {f"terms/{n}": v for n, v in terms.items()} | {f"norms/{n}": v for n, v in norms.items()}
        record |= self.watch.numbers() if self.watch else {}
        incidents = [r.incident for r in reports if r.incident]
        if incidents:
            record["incident"] = "; ".join(incidents)
        if clock.round > self.logged or incidents:  # a sitting may end in the round it began or logged last
            self.logs.write(record)
        self.logged = clock.round

    def close(self) -> None:
        if self.live:
            self.live.stop()
        if self.logs:
            self.logs.close()


def how_to_resume(result: Mapping[str, Any]) -> str:
    """The line printed when a run was interrupted."""
    return (
        f"stopped at round {result['rounds']:,} after {describe_seconds(result['seconds'])}, everything is saved; go on with  "
        f"ganvas train --resume {result['run']}"
    )
