"""Training: from a system's name and a data path to a run folder, and on from there after an interruption.

Settings, data, preset and folder are settled here, in one process; `loop.py` plays.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import launchers
from ..config import build_config
from ..errors import GanvasError, RunError
from ..files import disk_errors, held, sign, write_json
from ..presets import Situation
from ..registry import Card, find, load_system
from ..specs import spec_to_dict
from ..store.listing import some
from ..version import __version__
from . import checkpoint, published
from .budget import parse_budget
from .choosing import choose
from .load import RunRecord, given_spec, place_of, read_run
from .loop import play
from .opening import SPLIT, check_kind, open_run_data, same_data, same_records, with_options
from .privacy import prepared, settle
from .rehearsal import Plan, rehearse
from .resolving import check_sharing, check_size, choose_preset, resolve_numbers, suit_layout, too_few_to_audit
from .settings import ANY_TIME, FILE, Settings, build_settings, parse_size, read_yaml, write_yaml

NOTES = 10  # on the data, that are told before a run; all of them stand in its folder
BEGINNINGS = ("checkpoints", "samples", "environment.json", SPLIT, "start.safetensors")  # of a run not yet complete


def train(
    system: str | None = None,
    data: Any = None,
    *,
    out: str | Path | None = None,
    config: Mapping[str, Any] | str | Path | None = None,
    resume: str | Path | None = None,
    init_from: str | Path | None = None,
    which: str = "last",
    dry_run: bool = False,
    quiet: bool = False,
    say: Callable[[str], None] | None = None,
    after: Sequence[Callable[[Path, str | None], Any]] = (),
    check: Callable[..., Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train a system, or continue a run. Returns a summary: run, rounds, samples, seconds, stopped, picture.

    system: a name from the catalogue. data: a path, the name of a phantom, an array (N, H, W[, C]) or a Dataset.
    config: settings of the system, as a mapping or a YAML file. settings: fields of `Settings` (budget="10m", size=64 ...).
    resume: continue this run; only what does not change the game may differ (`settings.ANY_TIME`). init_from: start from a
    run's weights. dry_run: write nothing but the cache of decoded data, and return what would happen (`rehearsal.rehearse`).
    The summary also has `alarms` (texts), `t0`, `best` (the look that `checkpoints/best` is of), `can` (what the run can be put
    to) and `uses` (a command of each).
    after: called with the run folder, and the system's file if it is not one of ganvas's own, when training is over. check:
    what a run needs of memory, asked before it begins (`memory.guarding.check`); without it that is not asked.
    Started by torchrun, SLURM or the like (`launchers`), all processes play one run; the summary of process 0 is whole, that of
    the others tells what they know, and is empty of a dry run.
    Raises GanvasError (bad input) or RunError (a failed run), each one line.
    """
    tell = say or (lambda text: None)
    place, ranks = launchers.found(), None
    with contextlib.ExitStack() as holding:
        if place is not None and place.world > 1:
            launchers.hush()
            from ..ranks import Ranks

            asked = {"system": system, "--data": data, "--out": out, "--resume": resume, "--init-from": init_from}
            asked |= {"--checkpoint": which, "--set": config, "--dry-run": dry_run, **settings}
            words = {key: repr(v) for key, v in asked.items() if isinstance(v, str | Path | int | float | Mapping | None)}
            ranks = holding.enter_context(Ranks(place, words))
            if not ranks.leads:
                return ranks.follow(play) or {}
        return _train(
            holding, ranks, system, data, out, config, resume, init_from, which, dry_run, quiet, tell, after, check, settings
        )


def _train(
    holding: contextlib.ExitStack,
    ranks: Any,
    system: str | None,
    data: Any,
    out: str | Path | None,
    config: Mapping[str, Any] | str | Path | None,
    resume: str | Path | None,
    init_from: str | Path | None,
    which: str,
    dry_run: bool,
    quiet: bool,
    say: Callable[[str], None],
    after: Sequence[Callable[[Path, str | None], Any]],
    check: Callable[..., Any] | None,
    settings: dict[str, Any],
) -> dict[str, Any]:
    given = {k: v for k, v in settings.items() if v is not None}
    overrides = dict(config) if isinstance(config, Mapping) else {}
    if isinstance(config, str | Path):
        system, data, given, overrides = _from_file(Path(config), system, data, given)
    given = launchers.agreed(given, launchers.found())
    if system is not None:
        find(system)
    if resume is not None:
        if dry_run:
            raise GanvasError(f"--dry-run is for a run that is still to begin: what {resume} does stands in its {FILE}")
        if init_from is not None:
            raise GanvasError("--init-from cannot be combined with --resume: a resumed run has its own weights")
        published.refuse_training(Path(resume))
        folder = read_run(resume).path
        holding.enter_context(held(folder))
        if ranks is not None:
            ranks.share(folder)
        _resume(folder, system, data, given, overrides, out, which, say, check)
        keep = None if data is None or isinstance(data, str | Path) else same_data(read_run(folder), data)
    else:
        if init_from is not None and system is not None:
            start_of(Path(init_from), find(system))  # refused before the data is read
        planned = plan(system, data, given, overrides, out, quiet, say, check)
        if dry_run:
            return rehearse(planned)
        if init_from is not None:
            for told in renamed(read_run(Path(init_from)).fields, planned):
                say(f"note: --init-from {init_from}: {told}")
            if planned.settings.privacy is not None:
                say(f"note: privacy does not cover what {init_from} learnt of its records: what it spent comes on top")
        if ranks is not None:
            ranks.share(planned.folder)
        _begin(planned, init_from)
        folder, keep = planned.folder, planned.dataset
        del planned  # its weights are not those of the run
        holding.enter_context(held(folder))
    sign(folder)
    record = read_run(folder)
    from ..parallel import Gone, launch

    system_file = None if record.card.module else str(record.card.path.resolve())
    arguments = (str(folder), which, quiet, keep if record.settings.processes == 1 else None, system_file)
    count, device = record.settings.processes, record.settings.device
    try:
        begin = launch if ranks is None else ranks.launch
        result: dict[str, Any] = begin(play, arguments, processes=count, device=device)
    except Gone as error:
        if ranks is not None:
            raise  # which of them is gone, it knows
        raise RunError(f"{error}; what was saved is intact, go on with  ganvas train --resume {folder}") from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"go on with  ganvas train --resume {folder}") from None
    for work in after:
        try:
            work(folder, system_file)
        except GanvasError as error:  # the run is whole without it
            say(f"note: {work.__name__} left out: {error}")
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
    say: Callable[[str], None],
    check: Callable[..., Any] | None,
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
    name = None if data is None else str(data) if isinstance(data, str | Path) else "array"
    moved = name is not None and name != saved["data"] and Path(name).resolve() != Path(saved["data"]).resolve()
    if moved and (name == "array" or saved["data"] == "array" or not same_records(record, data)):
        why = "" if "array" in (name, saved["data"]) else ", which holds other records"
        differences.insert(0, f"data: {saved['data']} -> {name}{why}")
    if overrides:
        _, _, system_class = load_system(str(record.card.path) if not record.card.module else record.card.name)
        config_class = system_class.Config
        own, other = (vars(build_config(config_class, values)) for values in (record.config, {**record.config, **overrides}))
        differences += [f"{k}: {own[k]} -> {other[k]}" for k in own if own[k] != other[k]]
    if saved["processes"] != wanted["processes"] and len(differences) == 1:
        raise GanvasError(
            f"{folder} was trained by {saved['processes']} process{'es' if saved['processes'] > 1 else ''}, and this would be "
            f"{wanted['processes']}: each has random numbers of its own, so only as many go on exactly; start "
            f"{saved['processes']}, or a new run with  --init-from {folder}"
        )
    if differences:
        raise GanvasError(
            f"{folder} cannot be resumed under changed settings ({'; '.join(differences)}): leave them, or start a new "
            f"run with  --init-from {folder}"
        )
    parse_budget(wanted["budget"])
    if check is not None:
        _recheck_memory(record, build_settings(wanted), say, check)
    checkpoint.recover(folder)
    checkpoint.sound(folder, which)
    if wanted != saved or moved:
        values = read_yaml(folder / FILE)
        values["run"].update({k: wanted[k] for k in ANY_TIME})
        if moved:
            values["run"]["data"], values["data"]["place"] = name, place_of(str(name))
            say(f"note: the data is at {name} now, with the same records: {folder / FILE} says so")
        write_yaml(folder / FILE, values)


def _recheck_memory(record: RunRecord, settings: Settings, say: Callable[[str], None], check: Callable[..., Any]) -> None:
    """The check of a run that goes on, perhaps on another machine."""
    from ..parallel import pick_device

    _, _, system_class = load_system(str(record.card.path) if not record.card.module else record.card.name)
    config = build_config(system_class.Config, record.config, where=str(record.path / FILE))
    device = str(pick_device(settings.device, settings.processes))
    named = {"batch_size": record.config["batch_size"]}
    check(record.card, config, record.fields, settings, device, named, say)


def _same_size(text: str | None) -> tuple[Any, ...]:
    """Every way to say this size, parsed."""
    size = parse_size(text)
    return (size, size[0]) if isinstance(size, tuple) and size[0] == size[1] else (size,)


def plan(
    name: str | None,
    data: Any,
    given: dict[str, Any],
    overrides: dict[str, Any],
    out: str | Path | None,
    quiet: bool,
    say: Callable[[str], None],
    check: Callable[..., Any] | None,
) -> Plan:
    """Settle everything once; nothing is written but the cache of decoded data. Raises GanvasError in one line."""
    if name is None and data is None:
        raise GanvasError("learn what? For example:  ganvas train --data photos/ , or a system by name (see: ganvas systems)")
    if name is not None and data is None:
        find(name)
        raise GanvasError(f"what shall it learn from? Add --data PATH, or a phantom:  ganvas train {name} --data chest")
    in_memory = not isinstance(data, str | Path)
    settings = build_settings({**given, "data": "array" if in_memory else str(data)})
    budget = parse_budget(settings.budget)
    if name is None:
        choice = choose(data, settings.fields, budget)
        say(f"system: {choice.told}")
        name = choice.card.name
    card = find(name)
    if in_memory and settings.processes > 1:
        raise GanvasError("arrays cannot be shared by several processes: save them with numpy.save and give the path")
    folder = _new_folder(card, settings.data, out)
    from ..data.learning import learn
    from ..data.streams import told_of_sharing, trained_rows
    from ..parallel import pick_device

    device = pick_device(settings.device, settings.processes)
    _, module, system_class = load_system(name)
    preset, where = choose_preset(module, settings.preset, overrides, system_class.Config), f"system {card.name}"
    settings = prepared(settings)
    build_config(system_class.Config, overrides, where=where)  # what is wrong is told before data is read
    check_size(settings, card, module, system_class, overrides)
    settings = with_options(settings, card)
    dataset = open_run_data(settings, source=data if in_memory else None, progress=not quiet, card=card)
    spec = dataset.spec
    check_kind(card, settings.data, spec.kind)
    for note in dataset.notes[:NOTES]:
        say(f"note: {note}")
    if more := dataset.notes[NOTES:]:
        say(f"note: {len(more)} more notes on the data stand in {FILE} of the run, and in  --dry-run")
    given_to_it = given_spec(card, {name: part.spec for name, part in dataset.fields.items()})
    count = len(dataset.train_indices())
    asked, (settings, speed) = settings.channels_last, resolve_numbers(settings, system_class, spec, callable(preset))
    if callable(preset):
        preset = preset(Situation(given_to_it, count, budget.seconds, speed, device.type, budget.shown))
    values = {**preset, **{k.replace("-", "_"): v for k, v in overrides.items()}}
    config = build_config(system_class.Config, values, where=where)
    check_sharing(settings, config)
    fields = {name: part.spec for name, part in dataset.fields.items()}
    need = None if check is None else check(card, config, fields, settings, str(device), overrides, say)
    made = system_class(given_to_it, config)  # says what it cannot serve, before a folder is made
    learnt = learn(dataset, trained_rows(dataset, made.feeds()))
    if learnt is not dataset:  # it is fed with one class of several
        for note in (note for note in learnt.notes if note not in dataset.notes):
            say(f"note: {note}")
        dataset, made = learnt, system_class(given_spec(card, {name: f.spec for name, f in learnt.fields.items()}), config)
    settings = suit_layout(settings, asked, made)
    settings, told = settle(settings, made, dataset, made.config.batch_size, budget)
    for note in told:
        say(f"note: {note}")
    _check_plateau(settings, made, dataset)
    if chosen := settled(config, made.config):
        say(f"note: chosen by {card.name}: {', '.join(chosen)}")
    for note in told_of_sharing(dataset, settings.processes):
        say(f"note: {note}")
    for note in too_few_to_audit(made, dataset):
        say(f"note: {note}")
    return Plan(card, folder, settings, dataset, made.config, made, need, overrides)


def settled(asked: Any, found: Any) -> list[str]:
    """The settings that a system settled itself, as `normal=healthy`: where one was left open, or the data allows no other."""
    told = []
    for name, value in dataclasses.asdict(found).items():
        before = getattr(asked, name)
        if value != before:
            told.append(f"{name}={value}" + (f" in place of {before}" if before else ""))
    return told


def _begin(plan: Plan, init_from: str | Path | None) -> None:
    """Write a plan down in a new run folder."""
    card, folder, settings, dataset = plan.card, plan.folder, plan.settings, plan.dataset
    spec = dataset.spec
    resolved = dataclasses.asdict(settings)
    resolved["size"] = getattr(spec, "size", None)
    resolved["frames"] = getattr(spec, "frames", None)
    resolved["rate"] = getattr(spec, "rate", None)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for part in ("checkpoints", "samples"):
            (folder / part).mkdir(exist_ok=True)
    if init_from is not None:
        _seed_from(Path(init_from), folder, card)
    from ..data.streams import learnt_from
    from ..doctor import machine

    write_json(folder / "environment.json", machine())
    heldout = [int(i) for i in dataset.heldout_indices()]
    write_json(folder / SPLIT, {"fingerprint": dataset.fingerprint, "records": len(dataset.values), "heldout": heldout})
    facts = {"fingerprint": dataset.fingerprint, "train": len(dataset.train_indices()), "heldout": len(heldout)}
    facts |= {"learnt": learnt_from(plan.made, dataset), "notes": list(dataset.notes)}
    if (place := None if settings.data == "array" else place_of(settings.data)) is not None:
        facts["place"] = place
    # config.yaml comes last: a folder that has it is a complete run folder.
    write_yaml(
        folder / FILE,
        {
            "ganvas": __version__,
            "system": card.name,
            **({} if card.module else {"system_file": card.path.name}),
            "run": resolved,
            "config": {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(plan.config).items()},
            "fields": {field: spec_to_dict(part.spec) for field, part in dataset.fields.items()},
            "data": facts,
        },
    )


def _check_plateau(settings: Settings, system: Any, dataset: Any) -> None:
    """Raise GanvasError when the run is to end at a plateau and cannot know of one."""
    if settings.until != "plateau":
        return
    if settings.watch == "off" or settings.evaluations == 0:
        raise GanvasError("--until plateau measures the kernel distance: leave --watch and --evaluations out")
    from ..health.quality import Quality

    Quality(system, dataset, settings.seed)


def _new_folder(card: Card, data: str, out: str | Path | None) -> Path:
    if out is not None:
        folder = Path(out)
        if folder.exists() and not folder.is_dir():
            raise GanvasError(f"--out {folder} is a file: name a folder")
        if (folder / FILE).exists():
            raise GanvasError(
                f"{folder} already holds a run: go on with  ganvas train --resume {folder}  or choose another --out"
            )
        if folder.exists() and not all(_begun(path) for path in folder.iterdir()):
            raise GanvasError(f"--out {folder} is not empty: choose a new folder")
        return folder
    stem = "".join(c if c.isalnum() else "-" for c in Path(data).name or "data").strip("-").lower()[:40]
    number = 1
    while (folder := Path("runs") / f"{card.name}-{stem}-{number}").exists():
        number += 1
    return folder


def _begun(path: Path) -> bool:
    """Whether this is of a run that was given up before it was complete, and holds nothing of anybody's."""
    if path.name.startswith("."):
        return True
    return path.name in BEGINNINGS and not (path.is_dir() and any(path.iterdir()))


def start_of(source: Path, card: Card) -> Path:
    """The weights of another run from which a new one may start, a file. Raises GanvasError when there is none."""
    record = read_run(source)
    if record.card.name != card.name:
        raise GanvasError(f"--init-from {source}: it holds a {record.card.name}, not a {card.name}")
    if published.is_published(source):
        published.load(source)  # its sum is checked
        return source / published.WEIGHTS
    start = checkpoint.sound(source)
    if start is None:
        raise GanvasError(f"--init-from {source}: it has no checkpoint yet")
    return start / "weights.safetensors"


def renamed(before: Mapping[str, Any], plan: Plan) -> list[str]:
    """What weights of another run mean otherwise now: names (of classes, symbols, columns) that go by their number."""
    found = []
    for field, part in plan.dataset.fields.items():
        for name, now in vars(part.spec).items():
            then = getattr(before.get(field), name, now)
            if isinstance(now, tuple) and now and all(isinstance(word, str) for word in now) and len(then) == len(now):
                pairs = [f"'{old}' is now '{new}'" for old, new in zip(then, now, strict=True) if old != new]
                if pairs:
                    found.append(f"its {name} were others, and weights go by their number: {some(pairs)}")
    return found


def _seed_from(source: Path, folder: Path, card: Card) -> None:
    """Put another run's weights beside the new one, as the weights it starts from."""
    start = start_of(source, card)
    import shutil

    with disk_errors(folder):
        shutil.copyfile(start, folder / "start.safetensors")
