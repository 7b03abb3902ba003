"""The commands of `ganvas study`. Their handlers return (value for JSON, lines of text); printing is the command line's."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

Answer = tuple[dict[str, Any], list[str]]


def add_commands(actions: Any) -> None:
    """Add `readers make` and `readers score` to the sub-parsers of `ganvas study`.

    A chosen command leaves its handler in `options.study`, options -> (value, lines), and its parser in `options.leaf`.
    """
    readers = actions.add_parser("readers", help="blinded human reading: can people tell synthetic images from real ones?")
    readers.set_defaults(leaf=readers)
    steps = readers.add_subparsers(title="commands", metavar="COMMAND")

    make = _command(steps, "make", "write the page for readers, and the key that stays with you", _make)
    make.add_argument("--real", required=True, metavar="REAL", help="real images: anything --data takes")
    make.add_argument("--fake", required=True, metavar="FAKE", help="synthetic images, or a run to sample")
    make.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the page and the key")
    make.add_argument("-n", "--count", type=int, default=50, help="images of each kind (default 50)")
    make.add_argument("--seed", type=int, default=0, help="of the choice and the samples (default 0)")
    make.add_argument("--size", help="64, or HEIGHTxWIDTH such as 96x64 (default: the size both share, else the smaller)")
    make.add_argument("--channels", type=int, choices=(1, 3), help="1 (grey) or 3 (colour), when the data mixes them")
    make.add_argument("--title", default="", help="what the page is headed with")
    make.add_argument("--all", action="store_true", help="take any real image, not only held-out ones")
    make.add_argument("--back", action="store_true", help="let readers take back answers")

    score = _command(steps, "score", "put the key and the readers' answers together", _score)
    score.add_argument("folder", metavar="DIR", type=Path, help="folder of the key")
    score.add_argument("answers", metavar="ANSWERS", nargs="*", type=Path, help="files or folders (default: those in DIR)")


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
