"""What a person sees while a run trains: a calm view in a terminal, or a plain line now and then anywhere else.

Everything goes to stderr: stdout belongs to results. Watching must never end a run, so a terminal that goes away only
silences the view. Not for keeping numbers: that is `logs`.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .budget import Budget

if TYPE_CHECKING:
    from rich.console import RenderableType

TREND_CELLS = 24
MAXIMUM_WIDTH = 100
OTHER_ROWS = 9  # rows of the view that are not loss terms
BLOCKS = "▁▂▃▄▅▆▇█"


class Live:
    """The view of one run. `start`, then `update` about once a second, `say` for lines that stay, `stop` at the end.

    title: what is trained on what. every: seconds between plain lines where stderr is no terminal. quiet: say nothing. end: of
    the run in words, where it is not the budget's.
    """

    def __init__(self, title: str, budget: Budget, *, every: float = 10.0, quiet: bool = False, end: str | None = None) -> None:
        self._title = title
        self._budget = budget
        self._end = end or str(budget)
        self._every = every
        self._silent = quiet or sys.stderr is None
        self._seen: _Seen | None = None
        self._trends: dict[str, Trend] = {}
        self._view: Any = None
        self._last_line = -math.inf
        self._alarms: list[str] = []
        self._told = True  # what was seen last has been printed as a line

    def start(self) -> None:
        """Open the view. In a terminal it stays at the bottom until `stop`."""
        if self._silent or self._view is not None or not _watched():
            return
        from rich.console import Console
        from rich.live import Live as View

        console = Console(file=sys.stderr)
        # No refresh thread: the view moves when the run does. stdout is left alone, it may be a pipe for --json.
        self._view = View(self._drawing(console), console=console, auto_refresh=False, redirect_stdout=False)
        self._carefully(lambda: self._view.start(refresh=True))

    def update(
        self,
        *,
        round: int,
        samples: int,
        seconds: float,
        progress: float,
        rate: float,
        terms: dict[str, float],
        norms: dict[str, float],
        memory: int,
        phase: str,
    ) -> None:
        """Show the state of the run.

        seconds: trained so far. progress: share of the budget, 0 when it is open. rate: samples per second. terms: by
        `player/term`; norms: last gradient norm by player. memory: bytes. phase: of the game.
        """
        if self._silent:
            return
        for name, value in terms.items():
            self._trends.setdefault(name, Trend()).add(value)
        kept = self._seen.terms if self._seen is not None and self._seen.phase == phase else {}
        shown = {**kept, **terms}  # a term that was not due keeps its last value, until another phase begins
        self._seen = _Seen(round, samples, seconds, min(1.0, max(0.0, progress)), rate, shown, dict(norms), memory, phase)
        self._told = False
        if self._view is not None:
            self._carefully(lambda: self._view.update(self._drawing(self._view.console), refresh=True))
        elif time.monotonic() - self._last_line >= self._every:
            self._line()

    def say(self, text: str) -> None:
        """Print a line that stays: a checkpoint, a roll-back."""
        if self._silent:
            return
        if self._view is None:
            self._carefully(lambda: print(text, file=sys.stderr, flush=True))
            return
        from rich.text import Text

        self._carefully(lambda: self._view.console.print(Text(text)))

    def alarm(self, text: str, kind: str) -> None:
        """Print an alarm, and keep its kind in view."""
        self._alarms.append(kind)
        self.say(text)

    def stop(self) -> None:
        """Close the view; its last state stays on the screen. A second call does nothing."""
        if self._view is not None:
            view, self._view = self._view, None
            self._carefully(view.stop)
        elif self._seen is not None and not self._told and not self._silent:
            self._line()
        self._seen = None

    def _carefully(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, ValueError):  # the terminal is gone, the log's disk is full, stderr is closed
            self._silent = True

    # Plain lines

    def _line(self) -> None:
        seen = self._seen
        assert seen is not None
        parts = [f"{seen.progress:.0%}"] if seen.progress > 0 else []
        parts += [f"round {seen.round:,}", f"{seen.samples:,} samples", f"{_rate(seen.rate)} samples/s"]
        parts += [f"{name} {_number(value)}" for name, value in seen.terms.items()]
        parts += [_bytes(seen.memory)] if seen.memory > 0 else []
        parts += [f"alarms: {'; '.join(self._alarms)}"] if self._alarms else []
        parts += [f"{clock(seen.seconds)} used"]
        left = self._left(seen)
        parts += [f"{clock(left)} left"] if left is not None else []
        self._last_line, self._told = time.monotonic(), True
        self._carefully(lambda: print(f"{self._title}: {', '.join(parts)}", file=sys.stderr, flush=True))

    def _left(self, seen: _Seen) -> float | None:
        """Seconds until the budget is used up; None when nobody can know."""
        if self._budget.seconds is not None:
            return max(0.0, self._budget.seconds - seen.seconds)
        return seen.seconds * (1.0 - seen.progress) / seen.progress if seen.progress > 0 else None

    # The drawing

    def _drawing(self, console: Any) -> RenderableType:
        from rich.console import Group
        from rich.padding import Padding

        width = min(MAXIMUM_WIDTH, console.width)
        plain = "utf" not in (console.encoding or "").lower()
        rows: list[RenderableType] = ["", self._heading()]
        if self._seen is None:
            from rich.text import Text

            rows += [Text("waiting for the first rounds", style="dim"), ""]
        else:
            rows += [*self._time(self._seen), "", self._table(self._seen, width - 4, console.height, plain), ""]
            rows += [self._counts(self._seen), *self._alarm_row(), ""]
        return _Bounded(Padding(Group(*rows), (0, 2)), width)

    def _heading(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(expand=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(no_wrap=True, justify="right")
        phase = f"  {self._seen.phase}" if self._seen is not None and self._seen.phase else ""
        table.add_row(Text.assemble((self._title, "bold"), (phase, "dim")), Text(self._end, style="dim"))
        return table

    def _time(self, seen: _Seen) -> list[RenderableType]:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        used = Text(f"{clock(seen.seconds)} used", style="dim")
        left = self._left(seen)
        if left is None:
            return [used]
        table = Table.grid(expand=True)
        table.add_column(ratio=1)
        table.add_column(no_wrap=True, justify="right")
        bar: RenderableType = ProgressBar(total=1.0, completed=seen.progress, complete_style="cyan", finished_style="green")
        table.add_row(bar, Text(f"  {seen.progress:4.0%}", style="cyan"))
        times = Table.grid(expand=True)
        times.add_column(no_wrap=True)
        times.add_column(no_wrap=True, justify="right")
        times.add_row(used, Text(f"{clock(left)} left", style="dim"))
        return [table, times]

    def _table(self, seen: _Seen, width: int, height: int, plain: bool) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for justify in ("left", "left", "right", "left", "left"):
            table.add_column(no_wrap=True, overflow="ellipsis", justify=justify)
        players: dict[str, list[str]] = {}
        for name in seen.terms:
            players.setdefault(name.rpartition("/")[0], []).append(name)
        room = max(3, height - OTHER_ROWS - 2 - bool(self._alarms))
        trends = width >= 60
        rows: list[tuple[Any, ...]] = []
        for player, names in players.items():
            for position, name in enumerate(names):
                value = seen.terms[name]
                norm = f"gradient {_number(seen.norms[player])}" if position == 0 and player in seen.norms else ""
                trend = "" if plain or not trends else self._trends[name].drawn()
                rows.append(
                    (
                        Text(player if position == 0 else "", style="dim"),
                        name.rpartition("/")[2],
                        Text(_number(value), style="bold" if math.isfinite(value) else "bold red"),
                        Text(trend.ljust(TREND_CELLS if trends and not plain else 0), style="cyan"),
                        Text(norm, style="dim"),
                    )
                )
        for row in rows[:room]:
            table.add_row(*row)
        if len(rows) > room:
            table.add_row("", Text(f"and {len(rows) - room} more", style="dim"))
        return table

    def _alarm_row(self) -> list[RenderableType]:
        from rich.text import Text

        said = f"alarms: {'; '.join(self._alarms)}"
        return [Text(said, style="bold red", no_wrap=True, overflow="ellipsis")] if self._alarms else []

    def _counts(self, seen: _Seen) -> RenderableType:
        from rich.columns import Columns
        from rich.text import Text

        facts = [(f"{seen.round:,}", "rounds"), (f"{seen.samples:,}", "samples"), (_rate(seen.rate), "samples/s")]
        facts += [(_bytes(seen.memory), "memory")] if seen.memory > 0 else []
        return Columns([Text.assemble((value, "bold"), (f" {name}", "dim")) for value, name in facts], padding=(0, 4))


@dataclass
class _Seen:
    round: int
    samples: int
    seconds: float
    progress: float
    rate: float
    terms: dict[str, float]
    norms: dict[str, float]
    memory: int
    phase: str


@dataclass
class _Bounded:
    """A drawing kept within a width, so that a wide terminal does not tear it apart."""

    drawing: Any
    width: int

    def __rich_console__(self, console: Any, options: Any) -> Any:
        yield from console.render(self.drawing, options.update(width=min(self.width, options.max_width)))


@dataclass
class Trend:
    """A number over the whole sitting in a few cells: neighbours are merged as it grows, nothing is forgotten."""

    cells: int = TREND_CELLS
    values: list[float] = field(default_factory=list)
    stride: int = 1  # updates in each value
    _open: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """Take one more value in; what is not finite has no place in a trend."""
        if not math.isfinite(value):
            return
        self._open.append(value)
        if len(self._open) < self.stride:
            return
        self.values.append(sum(self._open) / len(self._open))
        self._open.clear()
        if len(self.values) == 2 * self.cells:
            self.values = [(a + b) / 2 for a, b in zip(self.values[::2], self.values[1::2], strict=True)]
            self.stride *= 2

    def drawn(self) -> str:
        """At most `cells` block characters, oldest first, from the lowest to the highest value; steady is in the middle."""
        values = self.values + ([sum(self._open) / len(self._open)] if self._open else [])
        count = len(values)
        cells = min(count, self.cells)
        means = []
        for i in range(cells):
            piece = values[i * count // cells : (i + 1) * count // cells]
            means.append(sum(piece) / len(piece))
        if not means:
            return ""
        order = sorted(means)
        spare = cells // 12  # a single spike must not flatten the rest
        low, high = order[spare], order[-1 - spare]
        if high - low <= 1e-6 * max(abs(low), abs(high)):
            return BLOCKS[3] * cells
        top = len(BLOCKS) - 1
        return "".join(BLOCKS[round(top * min(1.0, max(0.0, (m - low) / (high - low))))] for m in means)


def _watched() -> bool:
    """Whether stderr is a terminal that can move its cursor."""
    try:
        terminal = sys.stderr.isatty()
    except ValueError:  # closed
        return False
    return terminal and os.environ.get("TERM", "") not in ("dumb", "unknown")


def clock(seconds: float) -> str:
    """`4:07` or `1:04:07`."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
