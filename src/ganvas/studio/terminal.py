"""The 1-D lesson in a terminal: a generator learns the five curves in turn, drawn with dots while it plays. Needs no server.

Not for the browser (`lessons`), and not a run: nothing is written.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

import numpy as np

from ..errors import GanvasError, did_you_mean

COLUMNS, ROWS = 64, 18  # of characters, of 2 x 4 dots each
FRAMES = 10.0  # a second, at most
QUIET_FRAMES = 5.0  # seconds between frames where the screen is not a terminal
REACH = 1.25  # the frame is as large as the curves times this
RED, BLUE, BOTH, PLAIN, DIM = "\x1b[31m", "\x1b[34m", "\x1b[35m", "\x1b[0m", "\x1b[2m"
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille character, by row and column
BAR = 20
SAMPLES = 1_000_000  # of a curve


def canvas(true: np.ndarray, made: np.ndarray, colour: bool, columns: int = COLUMNS, rows: int = ROWS) -> list[str]:
    """Lines of a picture of points (N, 2) in [-REACH, REACH]: true ones red, made ones blue; without colour `.`, `o`, `8`."""
    grids = []
    for points in (true, made):
        grid = np.zeros((rows * 4, columns * 2), bool)
        x, y = ((own / REACH + 1) / 2 for own in np.nan_to_num(points, nan=99.0).T)
        inside = (x >= 0) & (x < 1) & (y >= 0) & (y < 1)
        grid[((1 - y[inside]) * rows * 4).astype(int).clip(0, rows * 4 - 1), (x[inside] * columns * 2).astype(int)] = True
        grids.append(grid)
    found = []
    for row in range(rows):
        line, last = "", PLAIN
        for column in range(columns):
            parts = [grid[4 * row : 4 * row + 4, 2 * column : 2 * column + 2] for grid in grids]
            any_true, any_made = (bool(part.any()) for part in parts)
            if not colour:
                line += {(False, False): " ", (True, False): ".", (False, True): "o", (True, True): "8"}[any_true, any_made]
                continue
            both = parts[0] | parts[1]
            code = sum(DOTS[i][j] for i in range(4) for j in range(2) if both[i, j])
            wanted = BOTH if any_true and any_made else RED if any_true else BLUE if any_made else PLAIN
            line += ("" if wanted == last else wanted) + (chr(0x2800 + code) if code else " ")
            last = wanted
        found.append(line + (PLAIN if colour else ""))
    return found


def telling(state: dict[str, Any], colour: bool) -> list[str]:
    """What stands below the picture: who is ahead, and how far the points are from the curve."""
    accuracy = state["accuracy"]
    full = round(BAR * accuracy)
    legend = (
        f"{RED}the curve{PLAIN}, {BLUE}what is drawn{PLAIN}, {BOTH}both{PLAIN}" if colour else ". the curve, o drawn, 8 both"
    )
    losses = ", ".join(f"{name} {value:.3f}" for name, value in state["terms"].items())
    error = state["error_value"]
    return [
        f"{state['pattern']}: {state['samples']:,} samples; {legend}",
        f"the discriminator is right [{'#' * full}{'.' * (BAR - full)}] {accuracy:.0%} (50%: it guesses)",
        f"distance to the curve {'not a number' if error is None else f'{error:.3f} of its size'};  {losses}",
    ]


def play(
    patterns: Sequence[str], samples: int, *, seed: int = 1, out: TextIO | None = None, live: bool = True,
    frames: float = FRAMES, found: dict[str, float] | None = None,
) -> dict[str, float]:  # fmt: skip
    """Learn the curves in turn, `samples` each, and show it: name -> distance to it at the end of its turn, in `found`.

    live: draw while it plays; else a line a curve. Where `out` (standard error) is no terminal, frames come one below
    the other, some seconds apart.
    """
    from .lesson_game import DIRECTIONS, JUDGED, Game, Wanted

    out = sys.stderr if out is None else out
    screen = out.isatty()
    colour = screen and "NO_COLOR" not in os.environ
    apart = 1 / frames if screen else QUIET_FRAMES
    found = {} if found is None else found
    game = Game(Wanted(pattern=patterns[0], seed=seed))
    drawn = 0
    for name in patterns:
        game.wanted.pattern = name
        game.curve_anew()
        last = 0.0
        while game.engine.clock.samples - game.begun < samples:
            game.play(1)
            if live and time.monotonic() - last >= apart:
                last = time.monotonic()
                drawn = _show(out, game, colour, screen, drawn)
        if live:
            drawn = _show(out, game, colour, screen, drawn)
        found[name] = game.error(JUDGED, DIRECTIONS)
        if live and screen:
            drawn = 0  # the last frame of a curve stays
        out.write(f"{name}: {found[name]:.3f} of its size from the curve\n")
        out.flush()
    return found


def _show(out: TextIO, game: Any, colour: bool, screen: bool, drawn: int) -> int:
    state = game.state(False)
    lines = [*canvas(game.shown, np.array(state["fake"]), colour), *telling(state, colour)]
    up = f"\x1b[{drawn}A" if screen and drawn else ""
    end = "\x1b[K\n" if screen else "\n"
    out.write(up + end.join(lines) + end)
    out.flush()
    return len(lines)


def run(curves: Sequence[str], budget: str | None, seed: int, live: bool) -> tuple[list[str], dict[str, float]]:
    """`ganvas demo 1d`: (the curves, of those that had their turn the distance). Ctrl-C ends it. Raises GanvasError."""
    from ..data.phantoms import PATTERNS
    from ..run.budget import parse_budget

    for name in curves:
        if name not in PATTERNS:
            raise GanvasError(f"--curve {name}: there is no such curve{did_you_mean(name, PATTERNS)}: {', '.join(PATTERNS)}")
    samples = parse_budget(budget or f"{SAMPLES // 1000}k").samples
    if samples is None:
        raise GanvasError(f"--budget {budget}: of a curve it is a number of samples, such as 500k")
    wanted = list(curves) or list(PATTERNS)
    found: dict[str, float] = {}
    with contextlib.suppress(KeyboardInterrupt):
        play(wanted, samples, seed=seed, live=live, found=found)
    return wanted, found
