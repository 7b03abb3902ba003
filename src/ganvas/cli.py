"""The command line: words, options and exit codes. What a command calls and prints is in `_commands`.

Exit codes: 0 success, 2 a usage error with one line that says the fix, 1 a failed run, 130 or 143 an interrupted run that was
saved.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ._commands import (
    drop_output,
    run_apply,
    run_check,
    run_compare,
    run_data_check,
    run_data_list,
    run_data_make,
    run_data_unpack,
    run_demo,
    run_doctor,
    run_evaluate,
    run_export,
    run_memory,
    run_prove,
    run_report,
    run_sample,
    run_show,
    run_studio,
    run_study,
    run_systems,
    run_train,
    show_help,
)
from .config import count_of, seed_of
from .errors import GanvasError, did_you_mean
from .export import FORMATS
from .launchers import leads
from .version import __version__

WITH = "a further field of records that have several: a file for all, a folder with one for each INPUT, or words; also --NAME"
KIND = "what the files are, where they leave it open; or FILE.py, which brings a kind of your own"
CHECKPOINT = "which weights (default last; best where the run's own alarms say that it became no better after it)"
LATER = "a setting that a trained run takes (marked 'later' in: ganvas show SYSTEM); also --KEY, as in --truncation 0.5"


class _Parser(argparse.ArgumentParser):
    """One line for a wrong option, with the nearest right one. `-5m` is a value, which the option before it refuses by what it
    takes."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self._negative_number_matcher = re.compile(r"-\.?\d")

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments"):
            words = [w for w in message.split(": ", 1)[1].split() if w.startswith("-")]
            if words:
                options = [o for a in self._actions for o in a.option_strings]
                word = words[0].split("=")[0]
                raise GanvasError(f"unknown option '{word}'{did_you_mean(word, options)}; see  {self.prog} --help")
            rest = message.split(": ", 1)[1].split()
            if all("=" in word for word in rest) and any("--set" in a.option_strings for a in self._actions):
                each = " ".join(f"--set {word}" for word in rest)
                raise GanvasError(f"'{rest[0]}' stands by itself, where each setting has a --set of its own: {each}")
            raise GanvasError(f"{message}; see  {self.prog} --help")
        if "invalid choice" in message:
            given = message.split("'")[1] if "'" in message else ""
            known = [c for a in self._actions if isinstance(a, argparse._SubParsersAction) for c in a.choices]
            if known:
                raise GanvasError(f"unknown command '{given}'{did_you_mean(given, known)}; commands: {', '.join(known)}")
        raise GanvasError(f"{message}; see  {self.prog} --help")


FORMAT_HELP = "png, tiff, dicom, wav, csv ... as  ganvas data list  names them, or a usual suffix (default: {})"


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
        if words[:1] == ["train"] and not (leads() or error.aloud):
            return error.exit_code  # process 0 tells it
        line = " ".join(str(error).split("\n"))
        if as_json:
            print(json.dumps({"error": line}))
        print(f"ganvas: {line}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        if words[:1] == ["train"] and not leads():
            return 130
        advice = f"; {interrupt}" if str(interrupt) else ""
        print(f"ganvas: interrupted{advice}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away (`| head`): not an error
        drop_output()
        return 0


def _parse(words: list[str]) -> argparse.Namespace:
    parser = _build_parser(words)
    words, further = _further(parser, words)
    options, rest = parser.parse_known_args(words)
    options.further = further
    if rest:
        leaf = getattr(options, "leaf", parser)
        leaf.error("unrecognized arguments: " + " ".join(rest))
    if not hasattr(options, "run"):
        parser.print_help()
        raise SystemExit(0)
    return options


def _further(parser: argparse.ArgumentParser, words: list[str]) -> tuple[list[str], dict[str, str]]:
    """(words without options that the parser does not know, these: name -> value), for commands that put a run to use: they may
    be fields of its records (`--caption TEXT`), or options of uses that its system brings."""
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    place = next((k for k, word in enumerate(words) if word in commands.choices), len(words))
    leaf = commands.choices[words[place]] if place < len(words) else None
    if leaf is None or leaf.get_default("run") not in (run_apply, run_sample):
        return words, {}
    known = {option for action in leaf._actions for option in action.option_strings}
    kept, found = words[: place + 1], {}
    later = words[place + 1 :]
    while later:
        word = later.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("--") or word == "--" or name in known:
            kept.append(word)
            continue
        if not equals and (not later or later[0].startswith("--")):
            value = "true"
        elif not equals:
            value = later.pop(0)
        found[name[2:]] = value
    return kept, found


def _use_options(parser: argparse.ArgumentParser, uses: Sequence[Any]) -> None:
    """The options of uses, one that several have once."""
    from .config import knobs

    found: dict[str, list[tuple[Any, Any]]] = {}
    for use in uses:
        for item in knobs(use.Options):
            found.setdefault(item.name, []).append((use, item))
    for name, owners in found.items():
        item = owners[0][1]
        defaults = {knob.default: use.verb for use, knob in reversed(owners) if knob.default not in (None, ())}
        told = "; ".join(f"{value} to {verb}" for value, verb in reversed(defaults.items()))
        verbs = ", ".join(use.verb for use, _ in owners)
        text = f"[{verbs}] {item.help}" + (f" (default {told})" if told and "default" not in item.help else "")
        label, colon, _ = item.help.partition(": ")
        label, text = (label, text.replace(f"{label}: ", "", 1)) if colon and label.isupper() else (name.upper(), text)
        flags = ["-n", "--count"] if name == "count" else [f"--{name.replace('_', '-')}"]
        given: dict[str, Any] = {"dest": name, "help": text.replace("%", "%%")}
        if item.type == "true or false":
            parser.add_argument(*flags, action="store_const", const=True, **given)
        elif item.type.startswith("list of"):
            parser.add_argument(*flags, action="append", default=[], metavar=label, **given)
        else:
            whole = item.type == "whole number" and item.low is not None and item.low >= 1
            parser.add_argument(*flags, type=count_of if whole else str, metavar=label, **given)


def _checkpoint_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", choices=("last", "previous", "best"), help=CHECKPOINT)


def _build_parser(words: Sequence[str] = ()) -> _Parser:
    """words: those that will be parsed. The table of uses is loaded where these show its options, or nobody knows."""
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

    uses: Sequence[Any] = ()
    if not words or words[0] in ("sample", "apply") or words[0].startswith("-"):
        from .uses import table

        uses = table()

    _train_options(command("train", "train a system on data, or continue a run", run_train), words)

    sample = command("sample", "draw samples from a run, as files and a grid", run_sample)
    sample.add_argument("folder", metavar="RUN", type=Path)
    sample.add_argument("--as", dest="verb", help="another way to make records from noise, as mix (default: as it samples)")
    _use_options(sample, [use for use in uses if not use.takes])
    sample.add_argument("--with", dest="fields", metavar="NAME=WHAT", action="append", default=[], help=WITH)
    sample.add_argument("--seed", type=seed_of, default=0, help="of the noise (default 0)")
    sample.add_argument("--out", type=Path, help="folder, new or empty (default: RUN/generated, then RUN/generated-2 ...)")
    sample.add_argument("--overwrite", action="store_true", help="replace what ganvas wrote into that folder before")
    sample.add_argument(
        "--depth", type=int, choices=(8, 16, 24, 32), help="bits per channel or sound sample (default: the data's)"
    )
    sample.add_argument("--format", help=FORMAT_HELP.format("the data's own"))
    sample.add_argument(
        "--loudness", help="of sound, each sample's: peak:-1 or rms:-20 (dB of full scale), or lufs:-16 (as it is heard)"
    )
    _checkpoint_option(sample)
    sample.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")

    sample.add_argument(
        "--system", metavar="FILE", type=Path, help="the system file, for a run of a system that is not ganvas's own"
    )

    sample.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help=LATER)

    verbs = [use.verb for use in uses]
    use = command("apply", f"put a run to use on files: {', '.join(u.verb for u in uses if u.takes)}", run_apply)
    use.add_argument("folder", metavar="RUN", type=Path)
    use.add_argument("inputs", metavar="INPUT", nargs="*", help="files or folders of the kind that the run works on")
    use.add_argument(
        "--out", type=Path, required=True, help="folder of the results, new or empty; they keep the names of the inputs"
    )
    use.add_argument("--overwrite", action="store_true", help="replace what ganvas wrote into that folder before")
    use.add_argument("--as", dest="verb", help=f"{', '.join(verbs)} (default: the first it can; without INPUT it draws)")
    _use_options(use, uses)
    use.add_argument("--with", dest="fields", metavar="NAME=WHAT", action="append", default=[], help=WITH)
    use.add_argument("--format", help=FORMAT_HELP.format("that of each input; PNG for JPEG"))
    use.add_argument("--depth", type=int, choices=(8, 16, 24, 32), help="bits of a value (default: those of each input)")
    use.add_argument("--seed", type=seed_of, default=0, help="of the noise, where the system has any (default 0)")
    use.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help=LATER)
    _checkpoint_option(use)
    use.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    use.add_argument("--system", metavar="FILE", type=Path, help="the system file, for a run of a system not ganvas's own")

    judge = command("evaluate", "judge samples: distances to real data, variety, copies of training records", run_evaluate)
    judge.add_argument("fake", metavar="FAKE", help="a run, or samples of any tool: a folder, a file or an array (.npz, .npy)")
    judge.add_argument("--real", help="real data: a folder, file or phantom (default: the run's own data)")
    judge.add_argument("--heldout", help="real data the generator never saw (default: the run's or groups.csv's held-out part)")
    judge.add_argument("--kind", type=_kind, help=KIND)
    judge.add_argument("--to", metavar="CLASS", help="judge a run that translates by what it makes for this class")
    judge.add_argument("-n", "--count", type=count_of, help="samples to draw from a run (1000), or at most to take")
    judge.add_argument("--size", help="resolution of both sides: 64 or HEIGHTxWIDTH (default: the samples' own)")
    judge.add_argument("--features", help="effnet (images), pixels (points), classifier (on the real labels) or inception")
    judge.add_argument("--inception", metavar="FILE", type=Path, help="weights of Inception-v3, for FID and KID by their names")
    judge.add_argument("--seed", type=seed_of, default=0, help="of samples, subsets and permutations (default 0)")
    judge.add_argument(
        "--quick", action="store_true", help="a first table alone, of at most 100 records a side; writes files with --out only"
    )
    judge.add_argument("--no-audit", action="store_true", help="leave out the memorisation audit")
    judge.add_argument("--no-anchors", action="store_true", help="leave out the anchors")
    judge.add_argument(
        "--unintended", action="store_true", help="chest phantom: findings nobody asked for (some minutes at first)"
    )
    judge.add_argument(
        "--out", type=Path, help="folder of the files, new or empty (default: RUN/evaluation, renewed, or evaluations/NAME)"
    )
    judge.add_argument("--overwrite", action="store_true", help="replace what ganvas wrote into that folder before")
    _checkpoint_option(judge)
    judge.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    judge.add_argument("--system", metavar="FILE", type=Path, help="the system file, for a run of a system not ganvas's own")

    tell = command("report", "one page about runs, to mail or to attach to a paper; model card and plots beside it", run_report)
    tell.add_argument("folders", metavar="RUN", type=Path, nargs="+")
    tell.add_argument("--out", metavar="FILE", type=Path, help="the page (default: RUN/report.html; of several: report.html)")
    tell.add_argument("--overwrite", action="store_true", help="replace what ganvas wrote under that name before")
    tell.add_argument("--evaluate", action="store_true", help="first judge runs that were not, or that went on since")
    tell.add_argument("--licence", metavar="TEXT", help="of the data, stated in the model card and kept for the next report")
    _checkpoint_option(tell)
    tell.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    tell.add_argument("--system", metavar="FILE", type=Path, help="the system file, for runs of a system not ganvas's own")

    beside = command("compare", "runs side by side: ranks what was measured alike, says why others are not", run_compare)
    beside.add_argument("folders", metavar="RUN", type=Path, nargs="+")
    beside.add_argument("--out", metavar="FILE", type=Path, help="an HTML page, with plots in a folder beside it")
    beside.add_argument("--overwrite", action="store_true", help="replace what ganvas wrote under that name before")
    beside.add_argument("--system", metavar="FILE", type=Path, help="the system file, for runs of a system not ganvas's own")

    out = command(
        "export", "a run for other programs: graphs compared with what ganvas makes, or weights with a page", run_export
    )
    out.add_argument("folder", metavar="RUN", type=Path)
    out.add_argument("--out", type=Path, required=True, help="folder of the files, new or empty")
    kinds = "; ".join(f"{name}: {what}" for name, what in FORMATS.items())
    out.add_argument("--format", default="onnx", help=f"{kinds} (default: onnx)")
    out.add_argument("--as", dest="verb", help="one use alone (default: every use of the run that can be a graph)")
    out.add_argument(
        "--option", metavar="NAME=VALUE", action="append", default=[], help="of that use, fixed in its graph, as in to=horse"
    )
    _checkpoint_option(out)
    out.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help=LATER)
    out.add_argument("--system", metavar="FILE", type=Path, help="the system file, for a run of a system not ganvas's own")

    command("systems", "list every system", run_systems)
    show = command("show", "tell all about one system: paper, settings, presets", run_show)
    show.add_argument("system", metavar="SYSTEM")

    examine = command("check", "check a system, a kind of data or a use of your own against the contract", run_check)
    examine.add_argument(
        "targets", metavar="FILE.py|NAME", nargs="+", help="a file and all that it brings, or a system, kind or use by name"
    )
    examine.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="a setting that makes the system small"
    )
    examine.add_argument("--device", default="cpu", help="where systems play: cpu, cuda, cuda:N or mps")

    data = commands.add_parser("data", help="check data, make phantoms, list what can be read", allow_abbrev=False)
    data.set_defaults(run=lambda options: show_help(data), leaf=data)
    actions = data.add_subparsers(title="commands", metavar="COMMAND")
    check = command("check", "look through data before training: what is there, what is wrong", run_data_check, actions)
    check.add_argument("path", metavar="PATH")
    check.add_argument("--strict", action="store_true", help="fail when a file cannot be read")
    check.add_argument("--kind", type=_kind, help=KIND)
    told = _meanings(words, "check")
    check.add_argument("--size", help=told("size"))
    check.add_argument("--channels", type=int, help=told("channels"))
    check.add_argument("--rate", type=count_of, help=told("rate"))
    check.add_argument("--fit", choices=("crop", "pad", "stretch", "patches", "crops", "frames"), help=told("fit"))
    check.add_argument("--axis", type=int, choices=(0, 1, 2), help=told("axis"))
    check.add_argument("--frames", type=count_of, help=told("frames"))
    check.add_argument("--up", choices=("y", "z"), help=told("up"))
    check.add_argument("--fields", metavar="NAME=PLACE,...", help="folders or columns in which the fields of records lie")
    check.add_argument("--sheet", type=Path, metavar="FILE.png", help="write a picture of some records, fields side by side")
    make = command("make", "write a phantom as files, with masks and facts beside the images", run_data_make, actions)
    make.add_argument("phantom", metavar="PHANTOM")
    make.add_argument("-n", "--count", type=count_of, default=100, help="how many (default 100)")
    make.add_argument("--out", type=Path, required=True, help="folder")
    make.add_argument("--seed", type=seed_of, default=0)
    make.add_argument("--size", help="64, or HEIGHTxWIDTH such as 96x64 (default 64, for solids and clips 32)")
    make.add_argument("--depth", type=int, choices=(8, 16), default=8)
    make.add_argument("--format", help=FORMAT_HELP.format("png for images, the first of the list for others"))
    part = command("unpack", "make files of pictures and sounds in Parquet or Arrow, and a table", run_data_unpack, actions)
    part.add_argument("path", metavar="PATH")
    part.add_argument("--out", type=Path, required=True, help="folder, a new or an empty one")
    part.add_argument("--fields", metavar="label=COLUMN", help="which column holds the class")
    command("list", "list the phantoms and the file formats", run_data_list, actions)

    prove = command("prove", "test a system's own claim against a baseline, on real data or a phantom", run_prove)
    prove.add_argument("system", metavar="SYSTEM")
    prove.add_argument("--data", type=Path, help="folder of data sets (default: $GANVAS_DATA; without it, phantoms)")
    prove.add_argument("--out", type=Path, help="folder of the result (default: benchmarks/proofs/results)")
    prove.add_argument("--seeds", type=count_of, help="how many seeds (default: the proof's own)")
    form = prove.add_mutually_exclusive_group()
    form.add_argument("--quick", action="store_true", help="a form of about a minute, without a mark")
    form.add_argument("--large", action="store_true", help="the form for a GPU, where a proof has one; hours without")
    prove.add_argument("--jobs", type=count_of, default=1, help="arms beside one another, in processes that share the cores")

    from .studies._command import add_commands

    study = commands.add_parser(
        "study",
        help="larger questions, by a fixed procedure: chest X-rays, augmentation, compression, memory, blinded reading",
        allow_abbrev=False,
    )
    study.set_defaults(run=run_study, leaf=study)
    add_commands(study.add_subparsers(title="studies", metavar="STUDY"))

    from .memory import _command as memory

    memory.add_options(command("memory", memory.SUMMARY, run_memory))

    demo = command("demo", "train on simulated chest radiographs for 150 s and show the result, or learn curves: 1d", run_demo)
    demo.add_argument("what", nargs="?", choices=("1d",), help="1d: five curves in turn, nothing is written")
    demo.add_argument("--live", action="store_true", help="1d: draw in this terminal while it learns")
    demo.add_argument(
        "--curve", action="append", help="1d: this curve alone, such as circle; again for more (default: all five)"
    )
    demo.add_argument("--seed", type=int, default=1, help="1d: of weights and noise (default 1)")
    demo.add_argument("--out", type=Path, help="run folder (default: runs/demo)")
    demo.add_argument("--budget", help="how long to train (default 150s); 1d: samples of each curve (default 1M)")
    demo.add_argument("--studio", action="store_true", help="watch it in the browser (ganvas studio)")

    from .studio import _command as studio

    studio.add_options(command("studio", studio.SUMMARY, run_studio))

    command("doctor", "what this machine has, what is missing, what speed to expect", run_doctor)
    return parser


def _train_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    from .config import knobs
    from .run.settings import Settings

    told = _meanings(words, "train")
    parser.add_argument("system", metavar="SYSTEM", nargs="?", help="see: ganvas systems; without one it is chosen by the data")
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
    parser.add_argument(
        "--dry-run", action="store_true", help="tell what would happen (data, settings, memory, time) and write no run folder"
    )
    parser.add_argument("--quiet", action="store_true", help="no live view")
    for item in knobs(Settings):
        name = "--" + item.name.replace("_", "-")
        default = "" if item.default in (None, "", False) else f" (default {item.default})"
        if item.type == "true or false":
            parser.add_argument(name, dest=item.name, action="store_const", const=True, help=item.help)
        else:
            label = "|".join(map(str, item.choices)) or (item.name.upper() if item.type == "text" else "N")
            text = told(item.name) or f"{item.help}{default}"
            parser.add_argument(name, dest=item.name, metavar=label, help=text.replace("%", "%%"))


def _meanings(words: Sequence[str], command: str) -> Callable[[str], str]:
    """What an option of data means to each kind, where help is asked for: kinds are not loaded for less."""
    if command not in words or not {"-h", "--help"} & set(words):
        return lambda name: ""
    from .data.options import meanings
    from .kinds import kind_names, kind_of

    kinds = [kind_of(name) for name in kind_names()]
    return lambda name: meanings(name, kinds)


def _kind(text: str) -> str:
    """The name of a kind; that of a file is in the table from then on. Raises GanvasError."""
    from .kinds import add_file, kind_of

    if not text.endswith(".py"):
        return kind_of(text).name
    if len(names := add_file(Path(text))) > 1:
        raise GanvasError(f"--kind {text}: brings {' and '.join(names)}: give a file with one kind")
    return names[0]


if __name__ == "__main__":
    raise SystemExit(main())
