"""How far long work is: a bar for a terminal, a line now and then for a file. Not for training, which has its live view."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized

FIRST_LINE, NEXT_LINE = 10.0, 30.0  # seconds, where no terminal shows a bar


def _lines(what: str, total: int | None) -> Callable[..., None]:
    """advance(amount=1.0) for output that no terminal shows: a line after some seconds, and one every half minute."""
    started = time.monotonic()
    due, done = started + FIRST_LINE, 0.0

    def advance(amount: float = 1.0) -> None:
        nonlocal due, done
        done += amount
        now = time.monotonic()
        if now < due or done <= 0:
            return
        due = now + NEXT_LINE
        left = "" if total is None else f" of {total:,}, about {(now - started) * (total - done) / done:.0f} s left"
        print(f"{what}: {done:,.0f}{left}", file=sys.stderr, flush=True)

    return advance


@contextlib.contextmanager
def bar(what: str, items: Iterable, progress: bool = True) -> Iterator[Callable[..., None]]:
    """A progress bar on stderr for a terminal, else a line now and then; nothing for work of under half a second.

    Yields advance(amount=1.0), in items.
    """
    total = len(items) if isinstance(items, Sized) else None
    if not progress:
        yield lambda amount=1.0: None
        return
    if not sys.stderr.isatty():
        yield _lines(what, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    shown = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    started = time.monotonic()
    done = 0.0

    def advance(amount: float = 1.0) -> None:
        nonlocal done
        done += amount
        if not shown.live.is_started and time.monotonic() - started > 0.5:
            shown.start()
        if shown.live.is_started:
            shown.update(task, completed=done)

    task = shown.add_task(what, total=total)
    try:
        yield advance
    finally:
        if shown.live.is_started:
            shown.stop()


@contextlib.contextmanager
def busy(what: str, progress: bool = True) -> Iterator[None]:
    """A sign of life on stderr, for work whose end cannot be foreseen; without a terminal a line, when it takes long."""
    if not progress:
        yield
        return
    if not sys.stderr.isatty():
        late = threading.Timer(FIRST_LINE, lambda: print(what, file=sys.stderr, flush=True))
        late.daemon = True
        late.start()
        try:
            yield
        finally:
            late.cancel()
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
