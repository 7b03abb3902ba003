"""The peak of a fresh process that plays two real rounds: resident memory on the CPU, the allocator's own count on CUDA.

Not for prediction. Run as a module it is the child: it reads a case from its standard input and prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from ..errors import GanvasError, RunError
from ..specs import REAL

PATIENCE = 3600.0  # seconds


def measure(case: Any = None, *, patience: float = PATIENCE) -> dict[str, int]:
    """{base, peak} in bytes of a child process. base: after importing and warming up; peak: of the whole, base included.

    case: a `board.Case`; None for the base alone. Raises RunError when the child ran out of memory or failed.
    """
    words = json.dumps(None if case is None else case.to_dict())
    command = [sys.executable, "-W", "ignore", "-m", __name__]
    try:
        done = subprocess.run(command, input=words, capture_output=True, text=True, timeout=patience, env={**os.environ})
    except subprocess.TimeoutExpired:
        raise RunError(f"measuring took more than {patience:.0f} s: add --no-measure for the prediction alone") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["it was killed, most likely because memory ran out"])[-1]
        raise RunError(f"the process that was to be measured failed ({last}): add --no-measure for the prediction alone")
    found: dict[str, int] = json.loads(lines[-1])
    return found


def _warm_up(precision: str, channels_last: bool) -> None:
    """A tiny game, so that everything behind has been loaded, compiled and set up: this is not what a configuration needs."""
    from .board import Case, build_board, make_spec, play, seat

    tiny = Case(
        "dcgan", {"width": 4, "batch_size": 2, "latent_size": 4}, {REAL: make_spec("image", 16)}, precision, channels_last
    )
    play(seat(tiny, build_board(tiny, "cpu")))


def _child() -> None:
    from ..doctor import keep_memory, on_threads
    from ..run.pace import memory_peak, resident

    values = json.loads(sys.stdin.read())
    import torch

    from .board import Case, build_board, play, seat

    case = None if values is None else Case.from_dict(values)
    keep_memory()
    with on_threads(None if case is None else case.threads):
        _warm_up(*("32", False) if case is None else (case.precision, case.channels_last))
        if case is not None:
            build_board(case, "meta")  # its modules, and extractors that are kept for other users
        base = resident("VmRSS")
        if case is None:
            print(json.dumps({"base": base, "peak": base}))
            return
        device = torch.device(case.device)
        system = build_board(case, "cpu").to(device)
        play(seat(case, system))
    peak = memory_peak(device)
    print(json.dumps({"base": base if device.type != "cuda" else 0, "peak": peak}))


if __name__ == "__main__":
    try:
        _child()
    except GanvasError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
