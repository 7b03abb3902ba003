"""Training: from a system's name and a data path to a run folder, and on from there after an interruption.

`train` prepares everything in one process (settings, data, folder); `_play` is the loop around the Engine, in each process.
Not for rounds: those are the Engine's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..config import Situation, build_config, knobs
from ..errors import GanvasError, RunError, did_you_mean
from ..registry import Card, find, load_system
from ..specs import ImageSpec, spec_to_dict
from . import checkpoint
from .budget import describe_seconds, parse_budget
from .files import held, told, write_json
from .load import RunRecord, build_system, put_weights, read_run
from .settings import ANY_TIME, FILE, Settings, build_settings, parse_size, read_yaml, write_yaml

BEGINNINGS = ("checkpoints", "samples", "environment.json", "split.json", "start.safetensors")  # of a run not yet complete
PICTURE_COUNT = {"image": 64, "points": 2000}
NATIVE_SIDE = 96  # images up to this size are trained as they are; larger ones are first shrunk to SMALL_SIDE
SMALL_SIDE = 64


def suitable_size(height: int, width: int) -> tuple[int, int]:
    """The size a run trains at when none is asked for: the own one up to 96 pixels, else 64 on the short side."""
    if max(height, width) <= NATIVE_SIDE:
        return height, width
    scale = SMALL_SIDE / min(height, width)
    return round(height * scale / 4) * 4, round(width * scale / 4) * 4


def train(
    system: str | None = None,
    data: Any = None,
    *,
    out: str | Path | None = None,
    config: Mapping[str, Any] | str | Path | None = None,
    resume: str | Path | None = None,
    init_from: str | Path | None = None,
    which: str = "last",
    quiet: bool = False,
    say: Callable[[str], None] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train a system, or continue a run. Returns a summary: run, rounds, samples, seconds, stopped, picture.

    system: a name from the catalogue. data: a path, the name of a phantom, an array (N, H, W[, C]) or a Dataset.
    config: settings of the system, as a mapping or a YAML file. settings: fields of `Settings` (budget="10m", size=64 ...).
    resume: continue this run; only budget, save_every and sample_every may differ. init_from: start from a run's weights.
    Raises GanvasError (bad input) or RunError (a failed run), each one line.
    """
    with contextlib.ExitStack() as holding:
        return _train(holding, system, data, out, config, resume, init_from, which, quiet, say or (lambda text: None), settings)


def _train(
    holding: contextlib.ExitStack,
    system: str | None,
    data: Any,
    out: str | Path | None,
    config: Mapping[str, Any] | str | Path | None,
    resume: str | Path | None,
    init_from: str | Path | None,
    which: str,
    quiet: bool,
    say: Callable[[str], None],
    settings: dict[str, Any],
) -> dict[str, Any]:
    given = {k: v for k, v in settings.items() if v is not None}
    overrides = dict(config) if isinstance(config, Mapping) else {}
    if isinstance(config, str | Path):
        system, data, given, overrides = _from_file(Path(config), system, data, given)
    if system is not None:
        find(system)
    if resume is not None:
        if init_from is not None:
            raise GanvasError("--init-from cannot be combined with --resume: a resumed run has its own weights")
        folder = read_run(resume).path
        holding.enter_context(held(folder))
        _resume(folder, system, data, given, overrides, out, which)
        keep = None if data is None or isinstance(data, str | Path) else _same_data(read_run(folder), data)
    else:
        if system is None:
            raise GanvasError("which system? For example:  ganvas train dcgan --data photos/   (see: ganvas systems)")
        folder, keep = _prepare(system, data, given, overrides, out, init_from, quiet, say)
        holding.enter_context(held(folder))
    record = read_run(folder)
    from ..parallel import Gone, launch

    system_file = None if record.card.module else str(record.card.path.resolve())
    arguments = (str(folder), which, quiet, keep if record.settings.processes == 1 else None, system_file)
    count, device = record.settings.processes, record.settings.device
    try:
        result: dict[str, Any] = launch(_play, arguments, processes=count, device=device)
    except Gone as error:
        raise RunError(f"{error}; what was saved is intact, go on with  ganvas train --resume {folder}") from error
    except KeyboardInterrupt as interrupt:
        raise type(interrupt)(f"go on with  ganvas train --resume {folder}") from None
    return result


def _from_file(
    path: Path, system: str | None, data: Any, given: dict[str, Any]
) -> tuple[str | None, Any, dict[str, Any], dict[str, Any]]:
    """A configuration file: `system`, `run:` and `config:` as in config.yaml, or plain `key: value` of the system."""
    values = read_yaml(path)
    if "config" not in values and "run" not in values:
        return system, data, given, values
    run = dict(values.get("run") or {})
    return (
        values.get("system", system) if system is None else system,
        run.pop("data", None) if data is None else data,
        {
            **run,
            **given,
        },
        dict(values.get("config") or {}),
    )


def _resume(
    folder: Path,
    system: str | None,
    data: Any,
    given: dict[str, Any],
    overrides: dict[str, Any],
    out: str | Path | None,
    which: str,
) -> None:
    """Check that a run may continue as asked, and write down what may change."""
    record = read_run(folder)
    if out is not None:
        raise GanvasError("--out cannot be combined with --resume: the run goes on in its own folder")
    saved = dataclasses.asdict(record.settings)
    wanted = dataclasses.asdict(build_settings({**saved, **given}))
    if parse_size(wanted["size"]) in _same_size(saved["size"]):
        wanted["size"] = saved["size"]
    differences = [f"{k}: {saved[k]} -> {wanted[k]}" for k in saved if wanted[k] != saved[k] and k not in ANY_TIME]
    if system is not None and find(system).name != record.card.name:
        differences.insert(0, f"system: {record.card.name} -> {find(system).name}")
    if data is not None:
        name = str(data) if isinstance(data, str | Path) else "array"
        if name != saved["data"] and Path(name).resolve() != Path(saved["data"]).resolve():
            differences.insert(0, f"data: {saved['data']} -> {name}")
    if overrides:
        _, _, system_class = load_system(str(record.card.path) if not record.card.module else record.card.name)
        config_class = system_class.Config  # type: ignore[attr-defined]
        own, other = (vars(build_config(config_class, values)) for values in (record.config, {**record.config, **overrides}))
        differences += [f"{k}: {own[k]} -> {other[k]}" for k in own if own[k] != other[k]]
    if differences:
        raise GanvasError(
            f"{folder} cannot be resumed under changed settings ({'; '.join(differences)}): leave them, or start a new "
            f"run with  --init-from {folder}"
        )
    parse_budget(wanted["budget"])
    checkpoint.recover(folder)
    checkpoint.sound(folder, which)
    if wanted != saved:
        values = read_yaml(folder / FILE)
        values["run"].update({k: wanted[k] for k in ANY_TIME})
        write_yaml(folder / FILE, values)


def _same_size(text: str | None) -> tuple[Any, ...]:
    """Every way to say this size, parsed."""
    size = parse_size(text)
    return (size, size[0]) if isinstance(size, tuple) and size[0] == size[1] else (size,)


def _prepare(
    name: str,
    data: Any,
    given: dict[str, Any],
    overrides: dict[str, Any],
    out: str | Path | None,
    init_from: str | Path | None,
    quiet: bool,
    say: Callable[[str], None],
) -> tuple[Path, Any]:
    """Resolve everything once, write it down in a new run folder, and return (folder, data set)."""
    card = find(name)
    if data is None:
        raise GanvasError(f"what shall it learn from? Add --data PATH, or a phantom:  ganvas train {name} --data chest")
    in_memory = not isinstance(data, str | Path)
    settings = build_settings({**given, "data": "array" if in_memory else str(data)})
    budget = parse_budget(settings.budget)
    if in_memory and settings.processes > 1:
        raise GanvasError("arrays cannot be shared by several processes: save them with numpy.save and give the path")
    folder = _new_folder(card, settings.data, out)
    from ..parallel import pick_device

    pick_device(settings.device, settings.processes)
    dataset = open_run_data(settings, source=data if in_memory else None, progress=not quiet)
    spec = dataset.spec
    if spec.kind not in card.data:
        raise GanvasError(f"{card.name} learns from {' or '.join(card.data)} data, but {settings.data} holds {spec.kind}")
    for note in dataset.notes[:10]:
        say(f"note: {note}")
    _, module, system_class = load_system(name)
    count = len(dataset.train_indices())
    preset = _choose_preset(module, settings.preset, overrides, system_class.Config)  # type: ignore[attr-defined]
    settings, speed = _resolve_numbers(settings, system_class, spec, callable(preset))
    if callable(preset):
        preset = preset(Situation(spec, count, budget.seconds, speed, pick_device(settings.device).type))
    values = {**preset, **{k.replace("-", "_"): v for k, v in overrides.items()}}
    config = build_config(system_class.Config, values, where=f"system {card.name}")  # type: ignore[attr-defined]
    _check_sharing(settings, config, count)
    system_class(spec, config)  # says what it cannot serve, before a folder is made
    resolved = dataclasses.asdict(settings)
    if isinstance(spec, ImageSpec):
        resolved["size"] = f"{spec.height}x{spec.width}"
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for part in ("checkpoints", "samples"):
            (folder / part).mkdir(exist_ok=True)
    if init_from is not None:
        _seed_from(Path(init_from), folder, card)
    from ..doctor import machine

    write_json(folder / "environment.json", machine())
    heldout = [int(i) for i in dataset.heldout_indices()]
    write_json(folder / "split.json", {"fingerprint": dataset.fingerprint, "records": len(dataset.values), "heldout": heldout})
    facts = {"fingerprint": dataset.fingerprint, "train": count, "heldout": len(heldout)}
    # config.yaml comes last: a folder that has it is a complete run folder.
    write_yaml(
        folder / FILE,
        {
            "ganvas": __version__,
            "system": card.name,
            **({} if card.module else {"system_file": card.path.name}),
            "run": resolved,
            "config": {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(config).items()},
            "spec": spec_to_dict(spec),
            "data": facts,
        },
    )
    return folder, dataset


def open_run_data(settings: Settings, *, source: Any = None, progress: bool = False) -> Any:
    """The data set of a run, from its settings (from the cache when it was opened before)."""
    from ..data.dataset import open_data
    from ..data.survey import native_size

    origin = settings.data if source is None else source
    size = parse_size(settings.size)
    if size is None:
        # What does not exist is left to open_data, which knows names that are near.
        missing = isinstance(origin, str | Path) and not Path(origin).expanduser().exists()
        native = None if missing else native_size(origin)
        size = suitable_size(*native) if native is not None else SMALL_SIDE
    return open_data(
        origin,
        size=size,
        channels=settings.channels,
        fit=settings.fit,
        axis=settings.axis,
        heldout=settings.heldout,
        seed=settings.seed,
        strict=settings.strict,
        phantom_count=settings.phantom_count,
        progress=progress,
    )


def _choose_preset(module: Any, name: str, overrides: dict[str, Any], config_class: type) -> Any:
    """The preset of that name. Raises GanvasError when there is none, or for overrides that are no settings."""
    presets = getattr(module, "PRESETS", {})
    if name not in presets and name != "auto":
        raise GanvasError(f"unknown preset '{name}'{did_you_mean(name, list(presets))}; presets: {', '.join(presets)}")
    known = {k.name for k in knobs(config_class)}
    unknown = [k for k in overrides if k.replace("-", "_") not in known]
    if unknown:  # before any time is spent on measuring
        build_config(config_class, {unknown[0]: None})
    return presets.get(name, {})


def _resolve_numbers(settings: Settings, system_class: Any, spec: Any, curious: bool) -> tuple[Settings, float]:
    """Settle `auto` of precision and memory layout by measuring; also returns the speed of convolutions, in GFLOP/s.

    curious: whether the speed will be looked at; it is not measured for nothing.
    """
    from ..doctor import fastest_numbers
    from ..parallel import pick_device

    if not isinstance(spec, ImageSpec) or not (curious or "auto" in (settings.precision, settings.channels_last)):
        chosen, layout, speed = "32", False, 0.0
    else:
        mixed = settings.precision == "bf16-mixed" or (settings.precision == "auto" and system_class.mixed_is_safe)
        chosen, layout, speed = fastest_numbers(pick_device(settings.device), mixed=mixed)
    precision = chosen if settings.precision == "auto" else settings.precision
    channels_last = ("on" if layout else "off") if settings.channels_last == "auto" else settings.channels_last
    return dataclasses.replace(settings, precision=precision, channels_last=channels_last), speed


def _check_sharing(settings: Settings, config: Any, records: int) -> None:
    pieces = settings.processes * settings.micro_batches
    if config.batch_size % pieces:
        raise GanvasError(
            f"batch_size {config.batch_size} cannot be cut into {settings.processes} processes x {settings.micro_batches} "
            f"micro-batches: use --set batch_size={-(-config.batch_size // pieces) * pieces}"
        )


def _new_folder(card: Card, data: str, out: str | Path | None) -> Path:
    if out is not None:
        folder = Path(out)
        if folder.exists() and not folder.is_dir():
            raise GanvasError(f"--out {folder} is a file: name a folder")
        if (folder / FILE).exists():
            raise GanvasError(
                f"{folder} already holds a run: go on with  ganvas train --resume {folder}  or choose another --out"
            )
        if folder.exists() and any(p.name not in BEGINNINGS and not p.name.startswith(".") for p in folder.iterdir()):
            raise GanvasError(f"--out {folder} is not empty: choose a new folder")
        return folder
    stem = "".join(c if c.isalnum() else "-" for c in Path(data).name or "data").strip("-").lower()[:40]
    number = 1
    while (folder := Path("runs") / f"{card.name}-{stem}-{number}").exists():
        number += 1
    return folder


def _seed_from(source: Path, folder: Path, card: Card) -> None:
    """Put another run's weights beside the new one, as the weights it starts from."""
    record = read_run(source)
    if record.card.name != card.name:
        raise GanvasError(f"--init-from {source}: it holds a {record.card.name}, not a {card.name}")
    start = checkpoint.sound(source)
    if start is None:
        raise GanvasError(f"--init-from {source}: it has no checkpoint yet")
    import shutil

    with told(folder):
        shutil.copyfile(start / "weights.safetensors", folder / "start.safetensors")


# The loop, in each process


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


def _play(processes: Any, folder_name: str, which: str, quiet: bool, dataset: Any, system_file: str | None) -> dict[str, Any]:
    """Build the board, restore, play until the budget, the game or the user says stop."""
    import torch

    if system_file is not None:
        find(system_file)  # a process of several knows only what it is told
    folder = Path(folder_name)
    record = read_run(folder)
    settings = record.settings
    if dataset is None:
        dataset = _reopen(record, processes)
    loop = _Loop(processes, folder, record, dataset, which, quiet)
    try:
        with _Stop(processes) as stop:
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
        f"out of memory: try --micro-batches {settings.micro_batches * 2}, a smaller --size, or --set batch_size=N; what was "
        "saved is intact"
    )


def _reopen(record: RunRecord, processes: Any) -> Any:
    if record.settings.data == "array":
        raise GanvasError(
            f"{record.path} was trained on an array in memory: resume it from Python,  ganvas.train(None, array, resume=...)"
        )
    if not processes.leads:  # the first process fills the cache, the others read it
        processes.wait()
    dataset = open_run_data(record.settings)
    if processes.leads:
        processes.wait()
    return _unchanged(record, dataset)


def _same_data(record: RunRecord, data: Any) -> Any:
    return _unchanged(record, open_run_data(record.settings, source=data))


def _unchanged(record: RunRecord, dataset: Any) -> Any:
    if dataset.fingerprint != record.data["fingerprint"]:
        raise GanvasError(
            f"{record.settings.data} has changed since {record.path} began: put the data back, or start a new run with "
            f"--init-from {record.path}"
        )
    return dataset


class _Loop:
    def __init__(self, processes: Any, folder: Path, record: RunRecord, dataset: Any, which: str, quiet: bool) -> None:
        import torch

        from ..data.streams import DatasetStream
        from ..engine import Engine
        from .live import Live
        from .logs import Logs

        self.processes, self.folder, self.record = processes, folder, record
        settings = self.settings = record.settings
        self.budget = parse_budget(settings.budget)
        torch.manual_seed(settings.seed)  # the same weights in every process
        self.system = build_system(record).to(processes.device)
        if (folder / "start.safetensors").exists():
            import safetensors.torch

            put_weights(self.system, safetensors.torch.load_file(folder / "start.safetensors"), folder)
        loaded = checkpoint.load(folder, which)
        torch.manual_seed(settings.seed + 1_000_003 * (processes.rank + 1))
        self.seconds_before = 0.0
        channels_last = settings.channels_last == "on"
        self.engine = Engine(
            self.system,
            {"data": DatasetStream(dataset, record.config["batch_size"], seed=settings.seed, world=processes.world)},
            processes=processes,
            precision=settings.precision,
            micro_batches=settings.micro_batches,
            check_every=settings.check_every,
            channels_last=channels_last,
            compile_networks=settings.compile,
            seed=settings.seed,
        )
        if loaded is not None:
            weights, state, _ = loaded
            put_weights(self.system, weights, folder / "checkpoints" / which)
            try:
                self.engine.restore(state["engine"])
                self.seconds_before = float(state["seconds"])
            except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
                where = folder / "checkpoints" / which
                raise GanvasError(f"{where}: its state does not fit this system ({error!r:.80})") from error
        self.live: Any = None
        self.logs: Any = None
        if processes.leads:
            self.logs = Logs(folder, from_round=self.engine.clock.round)
            self.live = Live(f"{record.card.name} on {Path(settings.data).name or settings.data}", self.budget, quiet=quiet)
        self.resumed = loaded is not None
        self.logged = self.engine.clock.round
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Trained seconds, over all sittings."""
        return self.seconds_before + time.perf_counter() - self.started

    def run(self, stop: _Stop) -> dict[str, Any]:
        engine, settings = self.engine, self.settings
        if self.live:
            self.live.start()
            self._announce()
        self.started = time.perf_counter()
        last_save = last_look = last_log = time.perf_counter()
        save_cost = 0.0
        if self.live and settings.sample_every and engine.clock.round == 0:
            self.picture()
        reason, _ = self._decide(stop, False)
        seen = (engine.clock.samples, time.perf_counter())
        reports: list[Any] = []
        while not reason:
            engine.progress = min(1.0, self.budget.progress(self.seconds, engine.clock.samples, engine.clock.round))
            report = engine.play_round()
            now = time.perf_counter()
            if report is not None:
                reports.append(report)
                if report.incident and self.live:
                    self.live.say(report.incident)
            if reports and self.live and now - last_log >= 1.0:
                self._log(reports, (engine.clock.samples - seen[0]) / max(now - seen[1], 1e-9))
                seen, last_log, reports = (engine.clock.samples, now), now, []
            # Saving may take at most a twentieth of the time, however large the networks are.
            reason, due = self._decide(stop, now - last_save >= max(settings.save_every, 20 * save_cost))
            if reason in ("budget", "game over"):
                reports.append(engine.settle())
                if reports[-1].incident:  # the last rounds were taken back: they are still to be played
                    reason = ""
                    if self.live:
                        self.live.say(reports[-1].incident)
            if due and not reason:
                begin = time.perf_counter()
                reports.append(self.save())
                save_cost, last_save = time.perf_counter() - begin, time.perf_counter()
            if self.live and settings.sample_every and now - last_look >= settings.sample_every:
                self.picture()
                last_look = time.perf_counter()
        reports.append(self.save())
        picture = None
        if self.live:
            self._log(reports, (engine.clock.samples - seen[0]) / max(time.perf_counter() - seen[1], 1e-9))
            picture = self.picture()
        clock = engine.clock
        return {
            "run": str(self.folder),
            "system": self.record.card.name,
            "rounds": clock.round,
            "samples": clock.samples,
            "seconds": round(self.seconds, 2),
            "stopped": reason,
            "signal": stop.signal,
            "resumed": self.resumed,
            "incidents": [text for _, text in engine.incidents],
            "picture": str(picture) if picture else None,
            "checkpoint": str(self.folder / "checkpoints" / "last"),
        }

    def _decide(self, stop: _Stop, due: bool) -> tuple[str, bool]:
        """(why to stop now, or an empty string; whether to save). The first process decides for all."""
        clock = self.engine.clock
        reason = ""
        if self.engine.over:
            reason = "game over"
        elif self.budget.progress(self.seconds, clock.samples, clock.round) >= 1.0:
            reason = "budget"
        elif stop.signal is not None:
            reason = "signal"
        decision: tuple[str, bool] = self.processes.agree((reason, due))
        return decision

    def save(self) -> Any:
        """Settle, and write a checkpoint. Returns the settling's report."""
        report = self.engine.settle()
        state = {"engine": self.engine.state(), "seconds": self.seconds}
        if self.processes.leads:
            if not (self.folder / FILE).exists():
                raise RunError(f"{self.folder} is gone (deleted or moved while training): nothing more can be saved there")
            clock = self.engine.clock
            summary = {"system": self.record.card.name, "round": clock.round, "samples": clock.samples, "seconds": self.seconds}
            checkpoint.save(self.folder / "checkpoints", self.system.state_dict(), state, summary)
        return report

    def picture(self) -> Path:
        """Write a grid of samples of the moment; always the same latents, so that pictures can be compared."""
        import numpy as np

        from ..batches import decode
        from ..inference.sampling import draw_samples
        from .pictures import save_grid

        spec = self.record.spec
        count = PICTURE_COUNT[spec.kind]
        labels = None
        labelled = bool(getattr(self.system, "classes", 0))
        if spec.classes and labelled:
            import torch

            labels = torch.arange(count) % len(spec.classes)
        with self.engine.watching() as system:
            pieces = [decode(x, spec) for x in draw_samples(system, count, seed=self.settings.seed, labels=labels)]
        path = self.folder / "samples" / f"round-{self.engine.clock.round:07d}.png"
        grid = save_grid(path, np.concatenate(pieces), spec, labels=None if labels is None else labels.numpy())
        self.logs.image("samples", grid, self.engine.clock.round)
        return path

    def _announce(self) -> None:
        """Say what is about to happen, with the time, memory and disk it is expected to take."""
        from .expect import expectation

        record, live = self.record, self.live
        verb = f"resuming {self.folder} at round {self.engine.clock.round:,}" if self.resumed else f"run folder {self.folder}"
        facts = record.data
        live.say(f"{verb}; {facts['train']:,} records to learn from, {facts['heldout']:,} held out")
        live.say(expectation(self.engine, record.spec, self.budget))

    def _log(self, reports: list[Any], rate: float) -> None:
        clock = self.engine.clock
        good = [r for r in reports if r.terms]
        names = {n for r in good for n in r.terms}
        terms = {n: sum(r.terms[n] for r in good if n in r.terms) / sum(n in r.terms for r in good) for n in sorted(names)}
        norms = good[-1].norms if good else {}
        memory = memory_in_use(self.processes.device)
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


def memory_in_use(device: Any) -> int:
    """Bytes in use: the process's resident memory on the CPU, the allocator's peak on CUDA."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def how_to_resume(result: Mapping[str, Any]) -> str:
    """The line printed when a run was interrupted."""
    return (
        f"stopped at round {result['rounds']:,} after {describe_seconds(result['seconds'])}, everything is saved; go on with  "
        f"ganvas train --resume {result['run']}"
    )
