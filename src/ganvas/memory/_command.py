"""The command `ganvas memory`. Its handler returns (value for JSON, lines of text); printing is the command line's."""

from __future__ import annotations

import argparse
from typing import Any

from ..config import count_of

Answer = tuple[dict[str, Any], list[str]]

SUMMARY = "what a configuration needs of memory: counted, predicted and measured; --fit finds one that fits"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `ganvas memory`."""
    parser.add_argument("system", metavar="SYSTEM", help="see: ganvas systems")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="a setting of the system")
    parser.add_argument("--preset", default="auto", help="named group of settings of the system (default auto)")
    parser.add_argument("--data", metavar="PATH", help="read kind, size and classes from data: anything ganvas train takes")
    parser.add_argument(
        "--size",
        help="of a record: 64 or 96x64 pixels, samples of a sound, steps of a series, voxels of a side, symbols, nodes",
    )
    parser.add_argument(
        "--channels", type=count_of, help="of images and sound; quantities of series, symbols there are, dimensions"
    )
    parser.add_argument("--classes", type=count_of, help="how many, for systems that take labels")
    parser.add_argument("--batch", type=count_of, help="records in a batch (the same as --set batch_size=N)")
    parser.add_argument("--budget", help="as of ganvas train: the preset 'auto' looks at it")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--threads", type=count_of, help="CPU threads")
    parser.add_argument(
        "--precision", default="auto", help="auto (as ganvas train would choose), 32, bf16-mixed, 16-mixed or 64"
    )
    parser.add_argument("--channels-last", default="auto", help="memory layout of images: auto, on or off")
    parser.add_argument("--micro-batches", type=count_of, default=1, help="pieces each batch is cut into (default 1)")
    parser.add_argument("--recompute-activations", action="store_true", help="as of ganvas train: less memory, more time")
    parser.add_argument("--fit", metavar="SIZE", help="find settings that fit, such as --fit 4GiB")
    parser.add_argument("--no-measure", action="store_true", help="predict alone; start no process to measure")


def run(options: argparse.Namespace, settings: dict[str, Any]) -> Answer:
    """Answer one command. settings: those of --set. Raises GanvasError or RunError in one line."""
    from . import answer, fitting
    from .board import describe

    limit = None if options.fit is None else fitting.parse_bytes(options.fit)
    case = describe(
        options.system,
        data=options.data,
        size=options.size,
        channels=options.channels,
        classes=options.classes,
        preset=options.preset,
        config=settings,
        batch=options.batch,
        budget=options.budget,
        device=options.device,
        threads=options.threads,
        precision=options.precision,
        channels_last=options.channels_last,
        micro_batches=options.micro_batches,
        recompute_activations=options.recompute_activations,
    )
    if limit is not None:
        found = fitting.fit(case, limit, measured=not options.no_measure)
        return found, fitting.lines(found)
    told = answer.weigh(case, measured=not options.no_measure)
    return told, answer.lines(told)
