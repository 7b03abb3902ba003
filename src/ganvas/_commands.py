"""What each command does: from parsed options to a call of the library, and the lines or the JSON that are printed.

Not for words and options, which `cli` parses, nor for the work itself. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .config import key_values
from .errors import GanvasError, RunError
from .launchers import hush, leads


def drop_output() -> None:
    """What is still in the buffer goes nowhere, or Python would complain about it on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def emit(options: argparse.Namespace, value: Any, lines: Sequence[str]) -> None:
    """Print `value` as JSON with --json, else `lines`. Raises RunError when there is nowhere to print to."""
    text = json.dumps(value, indent=2, default=str) if options.json else "\n".join(lines)
    if not text:
        return
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise RunError(f"the output could not be written ({error.strerror})") from error


def show_help(parser: argparse.ArgumentParser) -> int:
    """Help for a command that has commands of its own."""
    parser.print_help()
    return 0


def run_train(options: argparse.Namespace) -> int:
    hush()
    from .config import knobs
    from .run.settings import Settings

    given = {k.name: getattr(options, k.name) for k in knobs(Settings) if getattr(options, k.name) is not None}
    data = given.pop("data", None)
    overrides = key_values(options.set)
    if options.config is not None and overrides:
        raise GanvasError("--set and --config cannot be combined: put the setting into the file")
    from .memory.guarding import check
    from .report.card import renew_card
    from .run.loop import how_to_resume
    from .run.train import train

    result = train(
        options.system,
        data,
        out=options.out,
        config=options.config if options.config is not None else overrides,
        resume=options.resume,
        init_from=options.init_from,
        which=options.checkpoint,
        dry_run=options.dry_run,
        quiet=options.quiet,
        say=lambda text: print(text, file=sys.stderr),
        after=(renew_card,),
        check=check,
        **given,
    )
    speaks = leads()
    if options.dry_run:
        from .run.rehearsal import lines

        if speaks:
            emit(options, result, lines(result))
        return 0
    if speaks:
        emit(options, result, _after_training(result))
    if result["stopped"] == "signal":
        if speaks:
            print(how_to_resume(result), file=sys.stderr)
        return 128 + int(result["signal"] or 2)
    if result["stopped"] == "alarm":
        if speaks:
            print(f"ganvas: stopped because of an alarm, everything is saved in {result['run']}", file=sys.stderr)
        return RunError.exit_code
    return 0


def _after_training(result: dict[str, Any]) -> list[str]:
    if result["stopped"] == "signal":
        return []
    from .run.budget import describe_seconds
    from .run.privacy import sentence_of
    from .uses import table

    run = result["run"]
    judged = {use.verb for use in table() if use.judge is not None} & set(result["can"])
    told = {"look": result["picture"], "best": _best_line(result) if result["best"] else None}
    told |= {verb: line.replace("RUN", run) for verb, line in result["uses"].items()}
    told |= {"judge": f"ganvas evaluate {run}"} if judged else {}
    if result["privacy"] is None:  # a private run has spent what its noise was chosen for
        told["go on"] = f"ganvas train --resume {run} --budget {max(10, -(-2 * result['seconds'] // 60)):.0f}m"
    width = max(len(word) for word, line in told.items() if line)
    return [
        f"trained {result['rounds']:,} rounds on {result['samples']:,} samples in {describe_seconds(result['seconds'])}",
        *([] if result["privacy"] is None else [f"privacy: {sentence_of(result['privacy'])}"]),
        *(["stopped because epsilon is spent: what follows would cost more"] if result["stopped"] == "privacy" else []),
        *result["alarms"],
        *(f"{word:<{width}}  {line}" for word, line in told.items() if line),
    ]


def _best_line(result: dict[str, Any]) -> str:
    from .run.checkpoint import preferred

    best = result["best"]
    told = best.get("again", best)  # by other samples than those that it was chosen by
    where = f"round {best['round']:,}, kernel distance {told['value']:.4g} [{told['low']:.4g}, {told['high']:.4g}]"
    if preferred(Path(result["run"]))[0] == "best":
        return f"{where}: after this alarm it is what is used, but with --checkpoint last"
    return f"{where}: ganvas sample {result['run']} --checkpoint best"


def _named(words: Sequence[str]) -> dict[str, str]:
    """`--with NAME=WHAT`, several times."""
    found = {}
    for word in words:
        name, equals, what = word.partition("=")
        if not equals or not name or not what:
            raise GanvasError(f"--with '{word}' is not NAME=WHAT, for example  --with mask=masks/")
        found[name.strip()] = what
    return found


def _column_of(name: str, columns: Sequence[str]) -> str | None:
    """The column that `--name` means: `--hair-colour`, or `--pitch` of a table that has but `midi_pitch`. None: no one."""
    word = name.replace("-", "_")
    if word in columns:
        return word
    ending = [column for column in columns if column.endswith(f"_{word}")]
    return ending[0] if len(ending) == 1 else None


def _use_options(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """(options of uses that were given, settings of the system), with those that the parser does not know: fields of the run's
    records or that its uses bring, options of uses that its system file brings, and attributes and settings by their own names,
    as in `--hair blue --truncation 0.5`. Raises GanvasError for any other, with the nearest."""
    from .config import knobs
    from .errors import did_you_mean
    from .glossary import ALSO, here
    from .uses import table

    names = {knob.name for use in table() for knob in knobs(use.Options)}
    found = {name: getattr(options, name) for name in names if getattr(options, name, None) not in (None, [])}
    if not options.further:
        return found, key_values(options.set)
    from .kinds import kind_of
    from .kinds.facets import Columned
    from .registry import find, load_system
    from .run.load import read_run
    from .uses import uses_of

    def columned(spec: Any) -> bool:
        return isinstance(kind_of(spec.kind), Columned)

    every = [option for action in options.leaf._actions for option in action.option_strings]

    def unknown(name: str, known: list[str]) -> GanvasError:
        close = did_you_mean(f"--{name}", [*every, *(f"--{one}" for one in known)])
        return GanvasError(f"unknown option '--{name}'{close}; see  {options.leaf.prog} --help")

    if options.system is not None:
        find(str(options.system))
    try:
        record = read_run(options.folder)
    except GanvasError:
        odd = next((name for name in options.further if did_you_mean(f"--{name}", every)), None)
        if odd is not None:  # a slip, whatever the run is
            raise unknown(odd, []) from None
        raise
    known, further, later = list(record.fields), dict(options.further), []
    drawn = "--attributes" in every and "--change" not in every  # of samples; what is worked on has other ways to say it
    columns = [name for spec in record.fields.values() if drawn and columned(spec) for name in spec.names]
    shown = {column: further.pop(name) for name in options.further if (column := _column_of(name, columns))}
    if shown:  # what a table says of records, by its own name
        found["attributes"] = [*found.get("attributes", ()), *(f"{column}={value}" for column, value in shown.items())]
    if set(further) - set(known):
        system = load_system(record.card.name if record.card.module else str(record.card.path))[2]
        for use in uses_of(system):
            known += [*use.brings, *(knob.name.replace("_", "-") for knob in knobs(use.Options))]
        settings = {knob.name.replace("_", "-"): knob for knob in knobs(system.Config)}
        later = [f"{knob.name}={further.pop(name)}" for name, knob in settings.items() if name in further and name not in known]
        known += [name for name, knob in settings.items() if knob.later]
    for name in further:
        if name in known:
            continue
        meant = here(name, [knob.replace("-", "_") for knob in known])
        if meant:
            raise GanvasError(f"unknown option '--{name}': ganvas calls it --{meant[0].replace('_', '-')}")
        if name.replace("-", "_") in ALSO:
            raise GanvasError(f"'{record.card.name}' has no {name}; ganvas show {record.card.name}  lists the settings it has")
        raise unknown(name, [*known, *(column.replace("_", "-") for column in columns)])
    return {**found, **further}, key_values([*options.set, *later])


def run_sample(options: argparse.Namespace) -> int:
    from .run.draw import draw

    given, config = _use_options(options)
    result = draw(
        options.folder,
        verb=options.verb,
        seed=options.seed,
        out=options.out,
        depth=options.depth,
        format=options.format,
        loudness=options.loudness,
        fields=_named(options.fields),
        which=options.checkpoint,
        device=options.device,
        system=options.system,
        config=config,
        overwrite=options.overwrite,
        say=lambda text: print(text, file=sys.stderr, flush=True),
        **given,
    )
    lines = [f"{result['count']} samples in {result['folder']}", f"look   {result['grid']}"]
    lines += [f"note: {note}" for note in result["notes"]]
    emit(options, result, lines)
    return 0


def run_apply(options: argparse.Namespace) -> int:
    from .memory.applying import foretell_use
    from .run.apply import apply
    from .uses.desk import TABLE

    given, config = _use_options(options)
    result = apply(
        options.folder,
        options.inputs,
        out=options.out,
        verb=options.verb,
        format=options.format,
        depth=options.depth,
        fields=_named(options.fields),
        seed=options.seed,
        which=options.checkpoint,
        device=options.device,
        system=options.system,
        config=config,
        overwrite=options.overwrite,
        progress=True,
        say=lambda text: print(text, file=sys.stderr, flush=True),
        foresee=foretell_use,
        **given,
    )
    if not result["inputs"]:
        lines = [f"{result['done']} {result['count']} records, in {result['folder']}"]
        emit(options, result, [*lines, *(f"note: {note}" for note in result["notes"])])
        return 0
    total = result["inputs"] + len(result["failed"])
    lines = [f"{result['done']} {result['inputs']} of {total} files, results in {result['folder']}"]
    for row in _highest(result["scores"])[:10]:
        name, (value, *_) = " ".join(str(v) for v in row.values() if not isinstance(v, float)), _numbers(row)
        lines.append(f"  {value:<12.6g} {name}")
    if len(result["scores"]) > 10:
        lines.append(f"  ... all {len(result['scores'])} in {Path(result['folder']) / TABLE}")
    emit(options, result, lines)
    return 1 if result["failed"] else 0


def _numbers(row: dict[str, Any]) -> list[float]:
    return [value for value in row.values() if isinstance(value, float)]


def _highest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By the first number of each, the highest first."""
    return sorted((row for row in rows if _numbers(row)), key=lambda row: -_numbers(row)[0])


def run_evaluate(options: argparse.Namespace) -> int:
    from .doctor import keep_memory
    from .evaluation.judge import evaluate
    from .evaluation.table import lines
    from .parallel import pick_device
    from .run.outputs import free_name
    from .run.settings import FILE, parse_size

    keep_memory()
    out, overwrite = options.out, options.overwrite
    if out is None and not options.quick and (Path(options.fake) / FILE).is_file():
        out, overwrite = Path(options.fake) / "evaluation", True  # the run's own, about what it is now
    elif out is None and not options.quick:
        out = Path("evaluations") / (re.sub(r"[^\w.-]+", "-", Path(options.fake).stem) or "samples")
        out = out if overwrite else free_name(out)
    result = evaluate(
        options.fake,
        options.real,
        options.heldout,
        count=options.count,
        size=None if options.size is None else parse_size(options.size),
        features="inception" if options.features is None and options.inception is not None else options.features,
        inception=options.inception,
        seed=options.seed,
        audit=not options.no_audit,
        anchors=not options.no_anchors,
        unintended=options.unintended,
        out=out,
        overwrite=overwrite,
        which=options.checkpoint,
        device=str(pick_device(options.device)),
        system=options.system,
        to=options.to,
        kind=options.kind,
        quick=options.quick,
        progress=True,
        say=lambda text: print(text, file=sys.stderr, flush=True),
        first=lambda table: print("\n".join(["", *lines(table), ""]), file=sys.stderr, flush=True),
    )
    if not options.quick and "checkpoint" in result["fake"] and options.checkpoint is None and options.out is None:
        from .report.card import renew_card

        renew_card(Path(options.fake), options.system)
    emit(options, result, lines(result))
    return 0


def run_report(options: argparse.Namespace) -> int:
    from .parallel import pick_device
    from .report.making import report

    result = report(
        options.folders,
        out=options.out,
        overwrite=options.overwrite,
        evaluate=options.evaluate,
        licence=options.licence,
        which=options.checkpoint,
        device=str(pick_device(options.device)),
        system=options.system,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    lines = [f"look   {result['page']} ({result['bytes'] / 1e6:.1f} MB, without a real record)"]
    for run, made in result["runs"].items():
        lines += [f"card   {made['card']}", f"plots  {Path(run) / 'report'}"]
        lines += [] if made["evaluated"] else [f"note: not evaluated: run  ganvas evaluate {run}  or add --evaluate"]
        lines += [f"note: {note}" for note in made["notes"]]
    emit(options, result, lines)
    return 0


def run_compare(options: argparse.Namespace) -> int:
    from .report.comparison import compare, lines

    result = compare(options.folders, out=options.out, overwrite=options.overwrite, system=options.system)
    emit(options, result, lines(result))
    return 0


def run_export(options: argparse.Namespace) -> int:
    from .export import export

    result = export(
        options.folder,
        options.out,
        format=options.format,
        verb=options.verb,
        options=key_values(options.option, "--option", "to=horse"),
        which=options.checkpoint,
        system=options.system,
        config=key_values(options.set),
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    lines = []
    for verb, found in result["uses"].items():
        free = sorted({side for told in found["inputs"].values() for side in told["shape"] if isinstance(side, str)})
        lines.append(
            f"{verb}: {result['out']}/{found['file']}  {found['bytes'] / 1e6:.1f} MB, free: {', '.join(free) or 'nothing'}"
        )
        lines += [f"  takes {name} {told['shape']} {told['type']}, {told['values']}" for name, told in found["inputs"].items()]
        lines.append(f"  gives {', '.join(found['outputs'])}; differs from ganvas by {found['largest_difference']:.1e} at most")
        lines += [f"  before it, {name}: {how}" for name, how in found.get("before", {}).items()]
        lines += [f"  fixed: {name} {value}" for name, value in found.get("fixed", {}).items()]
        lines += [f"  after it: {found['after']}"] if "after" in found else []
    lines += [f"left out: {verb} ({why})" for verb, why in result["left_out"].items()]
    if "files" in result:
        lines += [f"{name}  {result['out']}/{name}" for name in result["files"]]
        lines.append(f'read again by  ganvas sample, apply, evaluate {result["out"]}  and  ganvas.load("{result["out"]}")')
    else:
        lines.append(f"facts  {Path(result['out']) / 'export.json'}")
    emit(options, result, lines)
    return 0


def run_systems(options: argparse.Namespace) -> int:
    from .registry import catalogue

    cards = catalogue()
    value = [
        {
            "name": c.name,
            "task": c.task,
            "title": c.title,
            "year": c.year,
            "paper": c.paper,
            "data": list(c.data),
            "summary": c.summary,
        }
        for c in cards.values()
    ]
    width = max(len(n) for n in cards)
    lines = []
    for task in sorted({c.task for c in cards.values()}):
        lines.append(f"{task}:")
        lines += [
            f"  {c.name:<{width}}  {c.year}  {'+'.join(c.data):<12}  {c.summary}" for c in cards.values() if c.task == task
        ]
    emit(options, value, [*lines, "", "More about one:  ganvas show NAME"])
    return 0


def run_check(options: argparse.Namespace) -> int:
    from .testing.finding import check
    from .testing.outcomes import FAILED, PASSED, SKIPPED

    if options.device != "cpu":  # one that is not there is refused once, not by every check
        from .parallel import pick_device

        pick_device(options.device)
    watched = sys.stderr.isatty() and not options.json
    settings = key_values(options.set)

    def began(name: str) -> None:
        if watched:
            print(f"\r\033[K{name[:100]}", end="", file=sys.stderr, flush=True)

    started = time.monotonic()
    found = [examined for target in options.targets for examined in check(target, settings, began, options.device)]
    if watched:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    total = {result: sum(examined.count(result) for examined in found) for result in (PASSED, FAILED, SKIPPED)}
    told = ", ".join(f"{count} {result}" for result, count in total.items() if count or result == PASSED)
    lines = [line for examined in found for line in examined.lines()]
    value = {"checked": [examined.to_dict() for examined in found], **total}
    emit(options, value, [*lines, f"{told} in {time.monotonic() - started:.0f} s"])
    return 1 if total[FAILED] else 0


def run_show(options: argparse.Namespace) -> int:
    import dataclasses

    from .config import knobs
    from .registry import load_system

    card, module, system = load_system(options.system)
    settings = knobs(system.Config)
    presets = {n: (p if isinstance(p, dict) else (p.__doc__ or "").strip()) for n, p in getattr(module, "PRESETS", {}).items()}
    value = {
        **{k: v for k, v in dataclasses.asdict(card).items() if k not in ("path", "module", "extra")},
        "settings": [dataclasses.asdict(s) for s in settings],
        "presets": presets,
        "couples_batch": system.couples_batch,
    }
    lines = [
        f"{card.name}: {card.title} ({card.authors} {card.year}, {card.paper})",
        "",
        card.doc,
        "",
        "settings (--set KEY=VALUE):",
    ]
    width = max(len(s.name) for s in settings)
    for item in settings:
        limits = f" [{', '.join(map(str, item.choices))}]" if item.choices else ""
        default = ",".join(map(str, item.default)) if isinstance(item.default, tuple) else item.default
        later = ", later" if item.later else ""
        lines.append(f"  {item.name:<{width}}  {item.help}{limits} (default {default if default != '' else 'none'}{later})")
    if any(item.later for item in settings):
        lines.append("  later: may also be changed with a trained run, as in  ganvas sample RUN --set KEY=VALUE")
    lines += ["", "presets (--preset NAME):"]
    lines += [
        f"  {n:<{width}}  {p if isinstance(p, str) else ', '.join(f'{k}={v}' for k, v in p.items()) or 'the defaults'}"
        for n, p in presets.items()
    ]
    from .kinds import kind_of
    from .specs import REAL
    from .uses import offered, uses_of

    lines_of = {verb: line for verb, (line, _) in offered(system, card.fields or [REAL]).items()}
    able = [use for use in uses_of(system) if use.verb in lines_of]
    value["uses"] = [
        {"verb": use.verb, "purpose": use.says.purpose, "example": lines_of[use.verb], "caution": use.says.caution}
        for use in able
    ]
    example = card.example or kind_of(card.data[0]).says.phantom or "FOLDER"
    lines += [
        "",
        f"learns from: {' or '.join(card.data)} data;  try:  ganvas train {card.name} --data {example} --budget 2m",
    ]
    if able:
        wide = max(len(use.verb) for use in able)
        lines += ["", "what a trained run can be put to:"]
        lines += [f"  {use.verb:<{wide}}  {lines_of[use.verb]:<50}  {use.says.purpose}" for use in able]
    emit(options, value, lines)
    return 0


def run_data_check(options: argparse.Namespace) -> int:
    from .data.check import check
    from .run.settings import parse_size

    chosen = {
        name: getattr(options, name)
        for name in ("strict", "axis", "kind", "channels", "rate", "fit", "up", "frames", "fields", "sheet")
    }
    report = check(options.path, size=parse_size(options.size), **chosen)
    emit(options, report.to_dict(), report.lines())
    return 0


def run_data_make(options: argparse.Namespace) -> int:
    from .data.phantoms._files import write_phantom
    from .run.settings import parse_size

    size = parse_size(options.size)
    result = write_phantom(
        options.phantom,
        options.count,
        options.out,
        seed=options.seed,
        size=size,
        depth=options.depth,
        format=options.format,
    )
    value = {"phantom": options.phantom, "count": options.count, "folder": str(options.out), "files": len(result)}
    emit(options, value, [f"{options.count} records of '{options.phantom}' in {options.out} ({len(result)} files)"])
    return 0


def run_data_unpack(options: argparse.Namespace) -> int:
    from shlex import quote

    from .data.columns import parse_fields
    from .data.finding import existing
    from .data.unpacking import unpack
    from .store.arrow import ArrowTables

    source = existing(options.path)
    if not isinstance(source, ArrowTables):
        raise GanvasError(
            f"{source}: no Parquet or Arrow with pictures or sounds: of those files are made (tar -xf unpacks .tar)"
        )
    value = unpack(source.choosing(parse_fields(options.fields), None), options.out)
    files = ", ".join(f"{count} of {name}" for name, count in value["files"].items())
    lines = [f"{value['rows']} rows as files in {options.out} ({files})", *(f"  note: {note}" for note in value["notes"])]
    emit(options, value | {"folder": str(options.out)}, [*lines, f"  next: ganvas data check {quote(str(options.out))}"])
    return 0


def run_data_list(options: argparse.Namespace) -> int:
    from .data.phantoms import catalogue
    from .kinds import kind_names, kind_of

    phantoms = [
        {"name": p.name, "kind": p.kind, "summary": p.summary, "variants": list(p.variants)} for p in catalogue().values()
    ]
    formats = {
        "images": "PNG, JPEG, BMP, TIFF, WebP: 8 and 16 bit, 1 to 8 channels, any size",
        "arrays": ".npy, .npz (images or x; labels)",
        "medical": "DICOM (single and multi-frame), NIfTI (.nii, .nii.gz): pip install 'ganvas[medical]'",
        "shards": "pictures in .tar files laid out as WebDataset: shards/train-{000..099}.tar",
        "parquet": "pictures in Parquet or Arrow, as Hugging Face's `datasets` saves them: pip install 'ganvas[parquet]'",
        "points": "CSV of x,y(,z); formula:sin(3*x)*x;x=-3..3",
        "graphs": "edge lists (.edges, .csv ...), GraphML, GML, adjacency in .npz: pip install 'ganvas[graphs]'",
        "sound": "WAV, FLAC, OGG, MP3, AIFF of any rate, mono or stereo: pip install 'ganvas[sound]'",
        "video": "folders of frames, GIF, arrays; MP4, AVI, WebM, MKV: pip install 'ganvas[video]'",
        "volumes": "NIfTI, folders of DICOM slices, arrays (volumes), whole: --kind volume, or a system that learns them",
        "sequences": "text, CSV or arrays of tokens; MIDI (melodies): pip install 'ganvas[tokens]'",
        "labels": "class sub-folders, labels.csv (file,label), groups.csv (file,group,split), metadata.csv (file_name,label)",
    }
    lines = ["phantoms (worlds with known truth, --data NAME):"]
    for phantom in phantoms:
        lines.append(f"  {phantom['name']:<10} {phantom['summary']}")
        if phantom["variants"]:
            variants = ", ".join(f"{phantom['name']}:{v}" for v in phantom["variants"])
            lines.append(f"  {'':<10} variants: {variants}")
    lines += ["", "files (--data PATH):", *(f"  {k:<10} {v}" for k, v in formats.items())]
    kinds = [kind_of(name) for name in kind_names()]
    written = {kind.name: list(kind.formats) for kind in kinds}
    lines += ["", "formats of what is made (--format):"]
    lines += [f"  {kind.says.noun:<10} {', '.join(kind.formats)}" for kind in kinds]
    emit(options, {"phantoms": phantoms, "formats": formats, "written": written}, lines)
    return 0


def run_prove(options: argparse.Namespace) -> int:
    from .proofs import prove

    root = options.data or (Path(os.environ["GANVAS_DATA"]) if os.environ.get("GANVAS_DATA") else None)
    result = prove(
        options.system,
        data=root,
        out=options.out,
        seeds=options.seeds,
        quick=options.quick,
        large=options.large,
        jobs=options.jobs,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    verdict = "no mark (quick form)" if result["passed"] is None else "passed" if result["passed"] else "NOT passed"
    emit(options, result, [f"{options.system}: {verdict}", f"claim  {result['claim']}", f"result {result['file']}"])
    return 0 if result["passed"] is not False else 1


def run_study(options: argparse.Namespace) -> int:
    if not hasattr(options, "study"):
        return show_help(options.leaf)
    value, lines = options.study(options)
    emit(options, value, lines)
    return 0


def run_memory(options: argparse.Namespace) -> int:
    from .memory._command import run

    value, lines = run(options, key_values(options.set))
    emit(options, value, lines)
    return 0


def run_studio(options: argparse.Namespace) -> int:
    from .studio._command import run

    return run(options)


def run_demo(options: argparse.Namespace) -> int:
    from .run.demo import demo

    if options.what:
        from .studio.terminal import run as learn_curves

        curves, errors = learn_curves(options.curve or [], options.budget, options.seed, options.live)
        emit(
            options, {"curves": curves, "distance": errors}, ["in the browser, with all of its rules to change:  ganvas studio"]
        )
        return 0 if len(errors) == len(curves) else 130
    if options.live or options.curve:
        raise GanvasError("--live and --curve are for the curves: ganvas demo 1d --live")
    budget = options.budget or "150s"
    if options.studio:
        from .studio._command import watch_demo

        return watch_demo(options.out, budget, options.json)
    result = demo(out=options.out, budget=budget, say=lambda text: print(text, file=sys.stderr, flush=True))
    emit(options, result, result["lines"])
    return 0 if result["stopped"] != "signal" else 128 + int(result["signal"] or 2)


def run_doctor(options: argparse.Namespace) -> int:
    from .doctor import examine, lines

    report = examine()
    emit(options, report, lines(report))
    return 0
