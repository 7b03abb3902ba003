"""The command line: parses, calls, prints. What a command does lives elsewhere; nothing heavy is imported before it runs.

Exit codes: 0 success, 2 a usage error with one line that says the fix, 1 a failed run, 130 or 143 an interrupted run that was
saved.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import __version__
from .errors import GanvasError, RunError, did_you_mean

LATER = "a setting that a trained run takes (marked 'later' in: ganvas show SYSTEM)"


class _Parser(argparse.ArgumentParser):
    """One line for a wrong option, with the nearest right one."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments"):
            words = [w for w in message.split(": ", 1)[1].split() if w.startswith("-")]
            if words:
                options = [o for a in self._actions for o in a.option_strings]
                word = words[0].split("=")[0]
                raise GanvasError(f"unknown option '{word}'{did_you_mean(word, options)}; see  {self.prog} --help")
            raise GanvasError(f"{message}; see  {self.prog} --help")
        if "invalid choice" in message:
            given = message.split("'")[1] if "'" in message else ""
            known = [c for a in self._actions if isinstance(a, argparse._SubParsersAction) for c in a.choices]
            if known:
                raise GanvasError(f"unknown command '{given}'{did_you_mean(given, known)}; commands: {', '.join(known)}")
        raise GanvasError(f"{message}; see  {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        options = _parse(words)
        code: int = options.run(options)
        if sys.stdout is not None:  # None: closed by the shell
            sys.stdout.flush()
        return code
    except GanvasError as error:
        line = " ".join(str(error).split("\n"))
        if as_json:
            print(json.dumps({"error": line}))
        print(f"ganvas: {line}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        advice = f"; {interrupt}" if str(interrupt) else ""
        print(f"ganvas: interrupted{advice}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away (`| head`): not an error
        _drop_output()
        return 0


def _drop_output() -> None:
    """What is still in the buffer goes nowhere, or Python would complain about it on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(words: list[str]) -> argparse.Namespace:
    parser = _build_parser()
    options, rest = parser.parse_known_args(words)
    if rest:
        leaf = getattr(options, "leaf", parser)
        leaf.error("unrecognized arguments: " + " ".join(rest))
    if not hasattr(options, "run"):
        parser.print_help()
        raise SystemExit(0)
    return options


def _build_parser() -> _Parser:
    parser = _Parser(
        prog="ganvas",
        description="A workbench for generative adversarial networks: train one on your own data, know whether to trust it, "
        "put it to use.",
        epilog="Start with:  ganvas demo     then:  ganvas train dcgan --data FOLDER --budget 10m",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ganvas {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, summary: str, run: Any, parent: Any = commands, **more: Any) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = parent.add_parser(name, help=summary, description=summary, allow_abbrev=False, **more)
        made.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
        made.set_defaults(run=run, leaf=made)
        return made

    _train_options(command("train", "train a system on data, or continue a run", _train))

    sample = command("sample", "draw samples from a run, as files and a grid", _sample)
    sample.add_argument("folder", metavar="RUN", type=Path)
    sample.add_argument("-n", "--count", type=_count, help="how many (default 64; of graphs 1)")
    sample.add_argument("--seed", type=_seed, default=0, help="of the noise (default 0)")
    sample.add_argument("--label", help="class, by name or number (systems that take labels)")
    sample.add_argument("--out", type=Path, help="folder (default: RUN/generated)")
    sample.add_argument(
        "--depth", type=int, choices=(8, 16, 24, 32), help="bits per channel or sound sample (default: the data's)"
    )
    sample.add_argument("--format", help="png, tiff, wav, csv, obj ... (default: the data's own kind)")
    sample.add_argument(
        "--loudness", help="of sound, each sample's: peak:-1 or rms:-20 (dB of full scale), or lufs:-16 (as it is heard)"
    )
    sample.add_argument(
        "--move",
        metavar="NAME=AMOUNT",
        action="append",
        default=[],
        help="change a property of all samples by so many standard deviations of the latents, as in brightness=+2 "
        "(sound: brightness, loudness, length, pitch; images: brightness, contrast; solids: volume, height, width, depth; "
        "series: spread, and each quantity by its name)",
    )
    sample.add_argument(
        "--checkpoint", default="last", choices=("last", "previous", "best"), help="which weights (default last)"
    )
    sample.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")

    sample.add_argument(
        "--system", metavar="FILE", type=Path, help="the system file, for a run of a system that is not ganvas's own"
    )

    sample.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help=LATER)

    use = command("apply", "put a run to use on files: translate, restore, score, project", _apply)
    use.add_argument("folder", metavar="RUN", type=Path)
    use.add_argument(
        "inputs", metavar="INPUT", nargs="*", help="files or folders: images, DICOM or NIfTI; tables of series for mad-gan"
    )
    use.add_argument("--out", type=Path, required=True, help="folder of the results, which keep the names of the inputs")
    use.add_argument("--as", dest="verb", help="translate, restore, score, project or generate (default: the first it can)")
    use.add_argument("-n", "--count", type=_count, default=64, help="how many to generate (default 64)")
    use.add_argument("--to", metavar="CLASS", help="the class to translate to")
    use.add_argument(
        "--tile", type=int, help="work on large images in pieces of this side; 0: whole (default 512; 256 for restoring)"
    )
    use.add_argument("--format", help="png, tiff, webp, jpg, dicom, nifti, npz (default: that of each input; PNG for JPEG)")
    use.add_argument("--depth", type=int, choices=(8, 16), help="bits per channel (default: those of each input)")
    use.add_argument("--seed", type=_seed, default=0, help="of the noise, where the system has any (default 0)")
    use.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help=LATER)
    use.add_argument("--checkpoint", default="last", choices=("last", "previous", "best"), help="which weights (default last)")
    use.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    use.add_argument("--system", metavar="FILE", type=Path, help="the system file, for a run of a system not ganvas's own")

    judge = command("evaluate", "judge samples against real data: distances, variety, copies of training records", _evaluate)
    judge.add_argument("fake", metavar="FAKE", help="a run, or samples of any tool: a folder, a file or an array (.npz, .npy)")
    judge.add_argument("--real", help="real data: a folder, file or phantom (default: the run's own data)")
    judge.add_argument("--heldout", help="real data the generator never saw (default: the run's or groups.csv's held-out part)")
    kinds = ("sound", "series", "solid", "graph", "tokens")
    judge.add_argument("--kind", choices=kinds, help="what the files are, where they leave it open")
    judge.add_argument("--to", metavar="CLASS", help="judge a run that translates by what it makes for this class")
    judge.add_argument("-n", "--count", type=_count, help="samples to draw from a run (1000), or at most to take")
    judge.add_argument("--size", help="resolution of both sides: 64 or HEIGHTxWIDTH (default: the samples' own)")
    judge.add_argument("--features", help="effnet (images), pixels (points), classifier (on the real labels) or inception")
    judge.add_argument("--inception", metavar="FILE", type=Path, help="weights of Inception-v3, for FID and KID by their names")
    judge.add_argument("--seed", type=_seed, default=0, help="of samples, subsets and permutations (default 0)")
    judge.add_argument("--no-audit", action="store_true", help="leave out the memorisation audit")
    judge.add_argument("--no-anchors", action="store_true", help="leave out the anchors")
    judge.add_argument(
        "--unintended", action="store_true", help="chest phantom: findings nobody asked for (some minutes at first)"
    )
    judge.add_argument("--out", type=Path, help="folder of the files (default: RUN/evaluation, or evaluations/NAME)")
    judge.add_argument(
        "--checkpoint", default="last", choices=("last", "previous", "best"), help="which weights (default last)"
    )
    judge.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    judge.add_argument("--system", metavar="FILE", type=Path, help="the system file, for a run of a system not ganvas's own")

    tell = command("report", "one page about runs, to mail or to attach to a paper; a model card and plots beside it", _report)
    tell.add_argument("folders", metavar="RUN", type=Path, nargs="+")
    tell.add_argument("--out", metavar="FILE", type=Path, help="the page (default: RUN/report.html; of several: report.html)")
    tell.add_argument("--evaluate", action="store_true", help="first judge runs that were not, or that went on since")
    tell.add_argument("--licence", metavar="TEXT", help="of the data, stated in the model card and kept for the next report")
    tell.add_argument("--checkpoint", default="last", choices=("last", "previous", "best"), help="which weights it is about")
    tell.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    tell.add_argument("--system", metavar="FILE", type=Path, help="the system file, for runs of a system not ganvas's own")

    beside = command("compare", "runs side by side: ranks what was measured alike, says why the rest is not ranked", _compare)
    beside.add_argument("folders", metavar="RUN", type=Path, nargs="+")
    beside.add_argument("--out", metavar="FILE", type=Path, help="an HTML page, with plots in a folder beside it")
    beside.add_argument("--system", metavar="FILE", type=Path, help="the system file, for runs of a system not ganvas's own")

    command("systems", "list every system", _systems)
    show = command("show", "tell all about one system: paper, settings, presets", _show)
    show.add_argument("system", metavar="SYSTEM")

    data = commands.add_parser("data", help="check data, make phantoms, list what can be read", allow_abbrev=False)
    data.set_defaults(run=lambda options: _show_help(data), leaf=data)
    actions = data.add_subparsers(title="commands", metavar="COMMAND")
    check = command("check", "look through data before training: what is there, what is wrong", _data_check, actions)
    check.add_argument("path", metavar="PATH")
    check.add_argument("--strict", action="store_true", help="fail when a file cannot be read")
    check.add_argument("--axis", type=int, choices=(0, 1, 2), help="axis along which volumes are sliced")
    check.add_argument("--kind", choices=kinds, help="what the files are, where they leave it open")
    check.add_argument("--size", help="length of sounds, series and sequences, side of solids; these four as in: ganvas train")
    check.add_argument("--channels", type=int, help="of sound: 1 (mono) or 2 (stereo)")
    check.add_argument("--rate", type=_count, help="of sound: samples a second; of melodies: steps a beat")
    check.add_argument("--fit", choices=("crop", "patches"), help="of sound: the start of each file, or all of it")
    make = command("make", "write a phantom as files, with masks and facts beside the images", _data_make, actions)
    make.add_argument("phantom", metavar="PHANTOM")
    make.add_argument("-n", "--count", type=_count, default=100, help="how many (default 100)")
    make.add_argument("--out", type=Path, required=True, help="folder")
    make.add_argument("--seed", type=_seed, default=0)
    make.add_argument("--size", help="64, or HEIGHTxWIDTH such as 96x64 (default 64, for solids 32)")
    make.add_argument("--depth", type=int, choices=(8, 16), default=8)
    make.add_argument("--format", help="png (default), tiff, dicom, nifti, npz; csv for points; obj, wav ... for others")
    command("list", "list the phantoms and the file formats", _data_list, actions)

    prove = command("prove", "test a system's own claim against a baseline, on real data or a phantom", _prove)
    prove.add_argument("system", metavar="SYSTEM")
    prove.add_argument("--data", type=Path, help="folder of data sets (default: $GANVAS_DATA; without it, phantoms)")
    prove.add_argument("--out", type=Path, help="folder of the result (default: benchmarks/proofs/results)")
    prove.add_argument("--seeds", type=_count, help="how many seeds (default: the proof's own)")
    prove.add_argument("--quick", action="store_true", help="a form of about a minute, without a mark")

    from .studies._command import add_commands

    study = commands.add_parser(
        "study",
        help="larger questions, by a fixed procedure: the chest X-ray study, compression, memory, blinded reading",
        allow_abbrev=False,
    )
    study.set_defaults(run=_study, leaf=study)
    add_commands(study.add_subparsers(title="studies", metavar="STUDY"))

    from .memory import _command as memory

    memory.add_options(command("memory", memory.SUMMARY, _memory))

    demo = command("demo", "train on simulated chest radiographs for 150 s and show the result", _demo)
    demo.add_argument("--out", type=Path, help="run folder (default: runs/demo)")
    demo.add_argument("--budget", default="150s", help="how long to train (default 150s)")

    command("doctor", "what this machine has, what is missing, what speed to expect", _doctor)
    return parser


def _train_options(parser: argparse.ArgumentParser) -> None:
    from .config import knobs
    from .run.settings import Settings

    parser.add_argument("system", metavar="SYSTEM", nargs="?", help="see: ganvas systems")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="a setting of the system (see: ganvas show)"
    )
    parser.add_argument("--config", type=Path, help="YAML file of settings (a run's config.yaml will do)")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/SYSTEM-DATA-N)")
    parser.add_argument("--resume", metavar="RUN", type=Path, help="continue this run")
    parser.add_argument(
        "--checkpoint", default="last", choices=("last", "previous", "best"), help="from which checkpoint to resume"
    )
    parser.add_argument("--init-from", metavar="RUN", type=Path, help="start from this run's weights (fine-tune)")
    parser.add_argument("--quiet", action="store_true", help="no live view")
    for item in knobs(Settings):
        name = "--" + item.name.replace("_", "-")
        default = "" if item.default in (None, "", False) else f" (default {item.default})"
        choices = f" [{', '.join(map(str, item.choices))}]" if item.choices else ""
        if item.type == "true or false":
            parser.add_argument(name, dest=item.name, action="store_const", const=True, help=item.help)
        else:
            label = item.name.upper() if item.type == "text" else "N"
            parser.add_argument(name, dest=item.name, metavar=label, help=f"{item.help}{choices}{default}".replace("%", "%%"))


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return number


def _seed(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number < 2**63:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0 up")
    return number


def _emit(options: argparse.Namespace, value: Any, lines: Sequence[str]) -> None:
    text = json.dumps(value, indent=2, default=str) if options.json else "\n".join(lines)
    if not text:
        return
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        raise RunError(f"the output could not be written ({error.strerror})") from error


def _show_help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 0


def _train(options: argparse.Namespace) -> int:
    from .config import knobs
    from .run.settings import Settings

    given = {k.name: getattr(options, k.name) for k in knobs(Settings) if getattr(options, k.name) is not None}
    data = given.pop("data", None)
    overrides = _key_values(options.set)
    if options.config is not None and overrides:
        raise GanvasError("--set and --config cannot be combined: put the setting into the file")
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
        quiet=options.quiet,
        say=lambda text: print(text, file=sys.stderr),
        **given,
    )
    _emit(options, result, _after_training(result))
    if result["stopped"] == "signal":
        print(how_to_resume(result), file=sys.stderr)
        return 128 + int(result["signal"] or 2)
    if result["stopped"] == "alarm":
        print(f"ganvas: stopped because of an alarm, everything is saved in {result['run']}", file=sys.stderr)
        return RunError.exit_code
    return 0


def _after_training(result: dict[str, Any]) -> list[str]:
    if result["stopped"] == "signal":
        return []
    from .run.budget import describe_seconds

    run = result["run"]
    uses = [f"draw   ganvas sample {run} -n 64", f"judge  ganvas evaluate {run}"] if "sample" in result["can"] else []
    if set(result["can"]) - {"sample", "mix"}:
        uses.append(f"use    ganvas apply {run} FILE ... --out FOLDER")
    return [
        f"trained {result['rounds']:,} rounds on {result['samples']:,} samples in {describe_seconds(result['seconds'])}",
        *result["alarms"],
        *([f"look   {result['picture']}"] if result["picture"] else []),
        *([f"best   {_best_line(result)}"] if result["best"] else []),
        *uses,
        f"go on  ganvas train --resume {run} --budget {max(10, -(-2 * result['seconds'] // 60)):.0f}m",
    ]


def _best_line(result: dict[str, Any]) -> str:
    best = result["best"]
    where = f"round {best['round']:,}, kernel distance {best['value']:.4g} [{best['low']:.4g}, {best['high']:.4g}]"
    return f"{where}: ganvas sample {result['run']} --checkpoint best"


def _key_values(words: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise GanvasError(f"--set '{word}' is not KEY=VALUE, for example  --set width=32")
        pairs[key.strip()] = value.strip()
    return pairs


def _moves(words: Sequence[str]) -> dict[str, float]:
    moves = {}
    for word in words:
        name, _, amount = word.rpartition("=")
        try:
            moves[name.strip()] = float(amount)
        except ValueError:
            name = ""
        if not name:
            raise GanvasError(f"--move '{word}' is not NAME=AMOUNT, for example  --move brightness=+2")
    return moves


def _sample(options: argparse.Namespace) -> int:
    from .run.draw import draw

    result = draw(
        options.folder,
        count=options.count,
        seed=options.seed,
        label=options.label,
        out=options.out,
        depth=options.depth,
        format=options.format,
        loudness=options.loudness,
        moves=_moves(options.move),
        which=options.checkpoint,
        device=options.device,
        system=options.system,
        config=_key_values(options.set),
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    lines = [f"{result['count']} samples in {result['folder']}", f"look   {result['grid']}"]
    lines += [f"note: {note}" for note in result["notes"]]
    _emit(options, result, lines)
    return 0


def _apply(options: argparse.Namespace) -> int:
    from .run.apply import apply

    result = apply(
        options.folder,
        options.inputs,
        out=options.out,
        verb=options.verb,
        to=options.to,
        tile=options.tile,
        format=options.format,
        depth=options.depth,
        seed=options.seed,
        which=options.checkpoint,
        device=options.device,
        system=options.system,
        config=_key_values(options.set),
        count=options.count,
        progress=True,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    if result["verb"] == "generate":
        _emit(options, result, [f"{options.count} samples in {result['folder']}"])
        return 0
    done = {"translate": "translated", "restore": "restored", "score": "scored", "project": "projected"}[result["verb"]]
    lines = [f"{done} {result['inputs']} of {result['inputs'] + len(result['failed'])} files, results in {result['folder']}"]
    for one in sorted(result["scores"], key=lambda one: -one["score"])[:10]:
        lines.append(f"  {one['score']:<12.6g} {one['file']}")
    if len(result["scores"]) > 10:
        lines.append(f"  ... all {len(result['scores'])} in {Path(result['folder']) / 'scores.csv'}")
    _emit(options, result, lines)
    return 1 if result["failed"] else 0


def _evaluate(options: argparse.Namespace) -> int:
    from .evaluation.judge import evaluate
    from .evaluation.table import lines
    from .parallel import pick_device
    from .run.settings import FILE, parse_size

    out = options.out
    if out is None:
        run = (Path(options.fake) / FILE).is_file()
        out = (
            Path(options.fake) / "evaluation"
            if run
            else Path("evaluations") / (re.sub(r"[^\w.-]+", "-", Path(options.fake).stem) or "samples")
        )
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
        which=options.checkpoint,
        device=str(pick_device(options.device)),
        system=options.system,
        to=options.to,
        kind=options.kind,
        progress=sys.stderr.isatty(),
        say=(lambda text: print(text, file=sys.stderr, flush=True)) if sys.stderr.isatty() else None,
    )
    if "checkpoint" in result["fake"] and options.checkpoint == "last" and options.out is None:
        from .report.card import renew_card

        renew_card(Path(options.fake), options.system)
    _emit(options, result, lines(result))
    return 0


def _report(options: argparse.Namespace) -> int:
    from .parallel import pick_device
    from .report.making import report

    result = report(
        options.folders,
        out=options.out,
        evaluate=options.evaluate,
        licence=options.licence,
        which=options.checkpoint,
        device=str(pick_device(options.device)),
        system=options.system,
        say=(lambda text: print(text, file=sys.stderr, flush=True)) if sys.stderr.isatty() else None,
    )
    lines = [f"look   {result['page']} ({result['bytes'] / 1e6:.1f} MB, without a real record)"]
    for run, made in result["runs"].items():
        lines += [f"card   {made['card']}", f"plots  {Path(run) / 'report'}"]
        lines += [] if made["evaluated"] else [f"note: not evaluated: run  ganvas evaluate {run}  or add --evaluate"]
        lines += [f"note: {note}" for note in made["notes"]]
    _emit(options, result, lines)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from .report.comparison import compare, lines

    result = compare(options.folders, out=options.out, system=options.system)
    _emit(options, result, lines(result))
    return 0


def _systems(options: argparse.Namespace) -> int:
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
    _emit(options, value, [*lines, "", "More about one:  ganvas show NAME"])
    return 0


def _show(options: argparse.Namespace) -> int:
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
    phantoms = {
        "image": "chest", "points": "patterns", "sound": "words", "series": "sensors", "solid": "solids",
        "graph": "communities",
    }  # fmt: skip
    example = card.example or phantoms[card.data[0]]
    lines += [
        "",
        f"learns from: {' or '.join(card.data)} data;  try:  ganvas train {card.name} --data {example} --budget 2m",
    ]
    _emit(options, value, lines)
    return 0


def _data_check(options: argparse.Namespace) -> int:
    from .data.check import check
    from .run.settings import parse_size

    chosen = {name: getattr(options, name) for name in ("strict", "axis", "kind", "channels", "rate", "fit")}
    report = check(options.path, size=parse_size(options.size), **chosen)
    _emit(options, report.to_dict(), report.lines())
    return 0


def _data_make(options: argparse.Namespace) -> int:
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
    _emit(options, value, [f"{options.count} records of '{options.phantom}' in {options.out} ({len(result)} files)"])
    return 0


def _data_list(options: argparse.Namespace) -> int:
    from .data.phantoms import catalogue

    phantoms = [
        {"name": p.name, "kind": p.kind, "summary": p.summary, "variants": list(p.variants)} for p in catalogue().values()
    ]
    formats = {
        "images": "PNG, JPEG, BMP, TIFF, WebP: 8 and 16 bit, 1 to 8 channels, any size",
        "arrays": ".npy, .npz (images or x; labels)",
        "medical": "DICOM (single and multi-frame), NIfTI (.nii, .nii.gz): pip install 'ganvas[medical]'",
        "points": "CSV of x,y(,z); formula:sin(3*x)*x;x=-3..3",
        "graphs": "edge lists (.edges, .csv ...), GraphML, GML, adjacency in .npz: pip install 'ganvas[graphs]'",
        "sound": "WAV, FLAC, OGG, MP3, AIFF of any rate, mono or stereo: pip install 'ganvas[sound]'",
        "sequences": "text, CSV or arrays of tokens; MIDI (melodies): pip install 'ganvas[tokens]'",
        "labels": "class sub-folders, labels.csv (file,label), groups.csv (file,group,split)",
    }
    lines = ["phantoms (worlds with known truth, --data NAME):"]
    for phantom in phantoms:
        lines.append(f"  {phantom['name']:<10} {phantom['summary']}")
        if phantom["variants"]:
            variants = ", ".join(f"{phantom['name']}:{v}" for v in phantom["variants"])
            lines.append(f"  {'':<10} variants: {variants}")
    lines += ["", "files (--data PATH):", *(f"  {k:<10} {v}" for k, v in formats.items())]
    _emit(options, {"phantoms": phantoms, "formats": formats}, lines)
    return 0


def _prove(options: argparse.Namespace) -> int:
    from .proofs import prove

    root = options.data or (Path(os.environ["GANVAS_DATA"]) if os.environ.get("GANVAS_DATA") else None)
    result = prove(
        options.system,
        data=root,
        out=options.out,
        seeds=options.seeds,
        quick=options.quick,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    verdict = "no mark (quick form)" if result["passed"] is None else "passed" if result["passed"] else "NOT passed"
    _emit(options, result, [f"{options.system}: {verdict}", f"claim  {result['claim']}", f"result {result['file']}"])
    return 0 if result["passed"] is not False else 1


def _study(options: argparse.Namespace) -> int:
    if not hasattr(options, "study"):
        return _show_help(options.leaf)
    value, lines = options.study(options)
    _emit(options, value, lines)
    return 0


def _memory(options: argparse.Namespace) -> int:
    from .memory._command import run

    value, lines = run(options, _key_values(options.set))
    _emit(options, value, lines)
    return 0


def _demo(options: argparse.Namespace) -> int:
    from .run.demo import demo

    result = demo(out=options.out, budget=options.budget, say=lambda text: print(text, file=sys.stderr, flush=True))
    _emit(options, result, result["lines"])
    return 0 if result["stopped"] != "signal" else 128 + int(result["signal"] or 2)


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import examine, lines

    report = examine()
    _emit(options, report, lines(report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
