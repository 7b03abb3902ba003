"""The command `ganvas studio`. Printing the address is its only output; what it serves is in `server`."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..config import count_of
from ..errors import GanvasError

SUMMARY = "ganvas as pages in your browser: make, watch, use and judge runs, and lessons to play with"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `ganvas studio`."""
    parser.add_argument("--port", type=count_of, help="of this machine (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open nothing")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of runs, the only one it writes to (default runs)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder below which data may be read; again for more",
    )
    parser.add_argument("--jobs", type=count_of, default=1, help="how many trainings at once (default 1; others wait)")


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C. Raises GanvasError in one line."""
    _needed()
    for folder in options.data:
        if not folder.is_dir():
            raise GanvasError(f"--data {folder}: there is no such folder")
    from .server import serve

    opens = not (options.no_browser or options.json)
    serve(options.runs, options.data, port=options.port or 0, at_once=options.jobs, say=_say, show=_opener(opens))
    return 0


def watch_demo(out: Path | None, budget: str, quiet: bool) -> int:
    """`ganvas demo --studio`: the same training, begun by a studio that opens at it."""
    _needed()
    from ..run.budget import parse_budget
    from ..run.demo import DATA, SYSTEM, free_folder
    from . import lines
    from .server import serve

    parse_budget(budget)
    folder = free_folder() if out is None else out
    if folder.exists():
        raise GanvasError(f"--out {folder} exists: choose another")
    words = lines.train(SYSTEM, DATA, str(folder), {"budget": budget, "sample_every": 3}, {})
    serve(folder.parent, [], say=_say, show=_opener(not quiet), first=(words, folder.name))
    return 0


def _needed() -> None:
    if any(find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise GanvasError("the studio needs a small web server:  pip install 'ganvas[studio]'")


def _say(line: str) -> None:
    print(line, flush=True)


def _opener(opens: bool) -> Any:
    """Opens an address in the user's browser, where there is one."""

    def show(address: str) -> None:
        if not opens:
            return
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            return  # a terminal browser would take the terminal
        import threading
        import webbrowser

        threading.Timer(0.5, webbrowser.open, [address]).start()

    return show
