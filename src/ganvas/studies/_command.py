"""The commands of `ganvas study`. Their handlers return (value for JSON, lines of text); printing is the command line's."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..config import count_of, seed_of

Answer = tuple[dict[str, Any], list[str]]


def add_commands(actions: Any) -> None:
    """Add the studies to the sub-parsers of `ganvas study`.

    A chosen command leaves its handler in `options.study`, options -> (value, lines), and its parser in `options.leaf`.
    """
    _add_xray(actions)
    _add_compression(actions)
    _add_memory(actions)
    summary = "do synthetic records help a classifier of your data: alone, beside classic augmentation, with few real records?"
    _add_augmentation(actions, "augmentation", summary, None, "the phantom chest", "5,10,25,100")
    summary = "the same of recordings: does synthetic speech help to tell words, said by somebody who is held out?"
    _add_augmentation(actions, "speech-augmentation", summary, "words", "the phantom words", "5,10,25")
    readers = actions.add_parser("readers", help="blinded human reading: can people tell synthetic images from real ones?")
    readers.set_defaults(leaf=readers)
    steps = readers.add_subparsers(title="commands", metavar="COMMAND")

    make = _command(steps, "make", "write the page for readers, and the key that stays with you", _make)
    make.add_argument("--real", required=True, metavar="REAL", help="real images: anything --data takes")
    make.add_argument("--fake", required=True, metavar="FAKE", help="synthetic images, or a run to sample")
    make.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the page and the key")
    make.add_argument("-n", "--count", type=count_of, default=50, help="images of each kind (default 50)")
    make.add_argument("--seed", type=seed_of, default=0, help="of the choice and the samples (default 0)")
    make.add_argument("--size", help="64, or HEIGHTxWIDTH such as 96x64 (default: the size both share, else the smaller)")
    make.add_argument("--channels", type=int, choices=(1, 3), help="1 (grey) or 3 (colour), when the data mixes them")
    make.add_argument("--title", default="", help="what the page is headed with")
    make.add_argument("--all", action="store_true", help="take any real image, not only held-out ones")
    make.add_argument("--back", action="store_true", help="let readers take back answers")

    score = _command(steps, "score", "put the key and the readers' answers together", _score)
    score.add_argument("folder", metavar="DIR", type=Path, help="folder of the key")
    score.add_argument("answers", metavar="ANSWERS", nargs="*", type=Path, help="files or folders (default: those in DIR)")


def _add_xray(actions: Any) -> None:
    summary = "the ablation of the chest X-ray study: optimiser, nonlinearity and TTUR, on your radiographs"
    made = _command(actions, "xray-ablation", summary, _xray)
    _add_cells(made, "xray-ablation")
    made.add_argument("--full", action="store_true", help="all eight cells of the design, not only the four of Table I")
    made.add_argument("--extras", action="store_true", help="also cells for the claims on batch sizes and learning rates")


def _add_compression(actions: Any) -> None:
    summary = "DCGAN made smaller: strides, fully connected layers, latent size, width, and the squares they draw"
    made = _command(actions, "compression", summary, _compression)
    _add_cells(made, "compression")
    made.add_argument("--full", action="store_true", help="also stride 8, and every change to the uncompressed network")
    made.add_argument("--preset", default="xray-relu", help="of dcgan, for all cells: xray-relu (default) or xray-table-ii")


def _add_cells(made: argparse.ArgumentParser, name: str) -> None:
    """The options of every study of cells."""
    made.add_argument("--data", help="radiographs: anything ganvas train takes (default: the phantom chest)")
    made.add_argument("--out", type=Path, default=Path("studies") / name, metavar="DIR", help="default %(default)s")
    made.add_argument("--seeds", type=count_of, default=2, help="runs of every cell (default 2)")
    made.add_argument("--rounds", type=count_of, help="of every run; with --budget at least so many (default 1500)")
    made.add_argument("--budget", help="time for the whole study, such as 60m: divided into equally many rounds for every cell")
    made.add_argument("--size", type=count_of, default=64, help="side of the images in pixels (default 64)")
    made.add_argument("--width", type=count_of, default=16, help="of the networks (default 16; the paper's is 64)")
    made.add_argument("--batch", type=count_of, default=32, help="images in a batch (default 32)")
    made.add_argument("--looks", type=count_of, default=6, help="how often samples of a run are judged (default 6)")
    made.add_argument("--samples", type=count_of, default=256, help="samples at each look (default 256)")
    made.add_argument("--inception", type=Path, metavar="FILE", help="weights of Inception, for a distance that is a FID")
    made.add_argument(
        "--phantom-count", type=count_of, default=800, help="images to make where the data is a phantom (default 800)"
    )
    _add_places(made)


def _add_places(made: argparse.ArgumentParser) -> None:
    """Where the jobs of a study run."""
    made.add_argument("--jobs", type=count_of, help="runs at a time (default: one a core, or one a GPU)")
    made.add_argument(
        "--launcher", default="local", choices=("local", "slurm", "submitit"),
        help="local: processes here; slurm: a cluster, through submitit; submitit: submitit's executor here, to try that",
    )  # fmt: skip
    made.add_argument(
        "--cluster", metavar="KEY=VALUE", action="append", default=[],
        help="parameter of submitit's executor, such as slurm_partition=gpu or timeout_min=600",
    )  # fmt: skip


def _add_augmentation(actions: Any, name: str, summary: str, data: str | None, without: str, fractions: str) -> None:
    """One study under two names, which differ in defaults alone: what data is of, its files say."""
    made = _command(actions, name, summary, _augmentation)
    made.add_argument(
        "--data", default=data, help=f"labelled images or sounds: anything ganvas train takes (default: {without})"
    )
    made.add_argument("--out", type=Path, default=Path("studies") / name, metavar="DIR", help="default %(default)s")
    made.add_argument(
        "--hold-out", metavar="NAME,...", help="test on files that have one of these words, such as a speaker's name, in theirs"
    )
    made.add_argument(
        "--system", help="of the generators (default: dcgan of images, specgan of sounds); without labels, one of each class"
    )
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the system")
    made.add_argument("--fractions", default=fractions, help="of the real records, in per cent (default %(default)s)")
    made.add_argument("--generators", type=count_of, default=2, help="of each fraction (default 2)")
    made.add_argument("--seeds", type=count_of, default=5, help="classifiers of every arm for each generator (default 5)")
    made.add_argument("--budget", default="10m", help="training of a generator, such as 10m (default %(default)s)")
    made.add_argument("--size", help="images: 48 (default) or HEIGHTxWIDTH; sounds: samples of a clip (default: as files suit)")
    made.add_argument("--channels", type=int, help="images: 1 (grey) or 3; sounds: 1 (mono) or 2; when the data mixes them")
    made.add_argument("--rate", type=count_of, help="sounds: samples a second (default: the files' own)")
    made.add_argument("--steps", type=count_of, default=400, help="of every classifier, in batches of 64 (default 400)")
    made.add_argument("--samples", type=count_of, default=250, help="synthetic records of each class (default 250)")
    made.add_argument("--flip", action="store_true", help="classic augmentation also mirrors images left to right")
    made.add_argument("--phantom-count", type=count_of, default=2000, help="records of a phantom (default 2000)")
    _add_places(made)


def _add_memory(actions: Any) -> None:
    made = _command(
        actions, "memory", "memory of DCGAN by its width, and what BatchNorm costs: predicted and measured", _memory
    )
    made.add_argument("--out", type=Path, default=Path("studies/memory"), metavar="DIR", help="default %(default)s")
    made.add_argument(
        "--batch", type=count_of, default=64, help="images of the batch that training is predicted for (default 64)"
    )
    made.add_argument("--features", help="feature sizes, such as 32,64,128,320 (default: 32 to 320 in steps of 32)")
    made.add_argument("--sizes", default="64,128", help="sides of the images in pixels (default %(default)s)")
    made.add_argument("--no-measure", action="store_true", help="predict alone; start no processes to measure")


def _command(steps: Any, name: str, summary: str, handler: Any) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = steps.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    made.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    made.set_defaults(study=handler, leaf=made)
    return made


def _make(options: argparse.Namespace) -> Answer:
    from ..errors import GanvasError
    from ..run.settings import parse_size
    from .readers import make_reading

    if options.seed < 0:
        raise GanvasError(f"--seed {options.seed} is not a whole number from 0 up")
    result = make_reading(
        options.real,
        options.fake,
        options.out,
        count=options.count,
        seed=options.seed,
        size=parse_size(options.size),
        channels=options.channels,
        title=options.title,
        everything=options.all,
        back=options.back,
    )
    height, width = result["size"]
    lines = [
        f"{result['count']} real and {result['count']} synthetic images at {height}x{width}, study {result['study']}",
        f"send   {result['page']}    to the readers: this one file ({result['page_bytes'] / 1e6:.1f} MB), nothing else",
        f"keep   {result['key']}    to yourself: it holds the truth",
        f"then   ganvas study readers score {options.out}    with the readers' answers-CODE.json files put there",
        *(f"note: {note}" for note in result["notes"]),
        *(f"warning: {warning}" for warning in result["warnings"]),
    ]
    return result, lines


def _score(options: argparse.Namespace) -> Answer:
    from .readers import lines, score_reading

    result = score_reading(options.folder, options.answers)
    return result, lines(result)


def _xray(options: argparse.Namespace) -> Answer:
    from .xray import ablation, lines

    result = _played(ablation, options, full=options.full, extras=options.extras)
    return result, lines(result)


def _compression(options: argparse.Namespace) -> Answer:
    from .compression import compression, lines

    result = _played(compression, options, full=options.full, preset=options.preset)
    return result, lines(result)


def _augmentation(options: argparse.Namespace) -> Answer:
    from ..config import key_values
    from ..errors import GanvasError
    from ..run.budget import parse_budget
    from .augmentation import augmentation, lines

    budget = parse_budget(options.budget)
    if budget.seconds is None:
        raise GanvasError(f"--budget {options.budget} is not a time: a generator takes 10m or 1h")
    try:
        fractions = [float(part.strip().removesuffix("%")) for part in options.fractions.split(",")]
    except ValueError:
        raise GanvasError(f"--fractions {options.fractions}: give per cents, as in 5,25,100") from None
    result = _stoppable(
        augmentation, options, system=options.system, config=key_values(options.set), fractions=fractions,
        generators=options.generators, classifiers=options.seeds, seconds=budget.seconds, size=options.size,
        channels=options.channels, rate=options.rate, hold_out=[word for word in (options.hold_out or "").split(",") if word],
        steps=options.steps, samples=options.samples, flip=options.flip,
    )  # fmt: skip
    return result, lines(result)


def _played(study: Callable[..., dict[str, Any]], options: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """Play a study of cells under the options of `_add_cells`."""
    from ..errors import GanvasError
    from ..run.budget import parse_budget

    budget = parse_budget(options.budget)
    if options.budget is not None and budget.seconds is None:
        raise GanvasError(f"--budget {options.budget} is not a time: a study takes 60m or 8h; rounds go to --rounds")
    return _stoppable(
        study,
        options,
        seeds=options.seeds,
        rounds=options.rounds,
        budget=budget.seconds,
        size=options.size,
        width=options.width,
        batch=options.batch,
        looks=options.looks,
        samples=options.samples,
        inception=options.inception,
        **more,
    )


def _stoppable(study: Callable[..., dict[str, Any]], options: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """Play a study under the options of `_add_places`; told to end, it says how to go on."""
    import shlex
    import signal
    import sys

    from ..errors import GanvasError
    from .cells import Stopped

    cluster: dict[str, Any] = {}
    for word in options.cluster:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise GanvasError(f"--cluster '{word}' is not KEY=VALUE, for example  --cluster slurm_partition=gpu")
        cluster[key] = int(value) if value.isdigit() else value
    try:
        return study(
            options.data,
            options.out,
            phantom_count=options.phantom_count,
            jobs=options.jobs,
            launcher=options.launcher,
            cluster=cluster,
            command=shlex.join(["ganvas", *sys.argv[1:]]),
            say=lambda text: print(text, file=sys.stderr, flush=True),
            **more,
        )
    except Stopped as stopped:
        if stopped.signal != signal.SIGTERM:
            raise
        print(f"ganvas: told to end; {stopped}", file=sys.stderr)
        raise SystemExit(128 + stopped.signal) from None


def _memory(options: argparse.Namespace) -> Answer:
    import sys

    from ..errors import GanvasError
    from .memory import FEATURES, lines, memory_study

    def numbers(name: str, text: str) -> list[int]:
        try:
            return [count_of(part) for part in text.split(",")]
        except argparse.ArgumentTypeError as error:
            raise GanvasError(f"{name}: {error}: give such as 32,64,128") from None

    if options.batch < 2:
        raise GanvasError(f"--batch {options.batch} is too small: the least is 2")
    result = memory_study(
        options.out,
        features=FEATURES if options.features is None else numbers("--features", options.features),
        sides=numbers("--sizes", options.sizes),
        batch=options.batch,
        measured=not options.no_measure,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    return result, lines(result)
