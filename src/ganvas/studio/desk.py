"""The process that does what a person waits for: it holds torch and the run that is in use, so that the server stays small
and quick.

What goes wrong in it (memory, a crash of a library) ends that process and no page; the next call begins another. Not for
training: `jobs`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ..errors import GanvasError

PATIENCE = 600.0  # seconds for one call


class Desk:
    """One process, calls in order."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function, one of a module, gives in that process. Raises GanvasError in one line."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_calm)
        pool = self._pool
        try:
            return await asyncio.wait_for(asyncio.wrap_future(pool.submit(_plainly, function, arguments)), PATIENCE)
        except BrokenProcessPool:
            self._pool = None
            raise GanvasError("the process that did this was ended (out of memory?): try again with less at once") from None
        except TimeoutError:
            self.close()
            raise GanvasError(f"this took longer than {PATIENCE / 60:.0f} minutes: use the command line for it") from None

    def close(self) -> None:
        """End the process."""
        pool, self._pool = self._pool, None
        if pool is not None:
            for process in list((getattr(pool, "_processes", None) or {}).values()):
                process.terminate()  # what it works on is for nobody any more
            pool.shutdown(wait=True, cancel_futures=True)


def _calm() -> None:
    """Signals of the terminal are the server's; work gives way to nothing else on the machine that is waited for less."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(2)


def _plainly(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Errors of ganvas as they are; any other as one line."""
    try:
        return function(*arguments)
    except GanvasError as error:
        raise GanvasError(str(error)) from None
    except Exception as error:  # whatever a library runs into
        raise GanvasError(" ".join(f"{type(error).__name__}: {error}".split())[:400]) from None
