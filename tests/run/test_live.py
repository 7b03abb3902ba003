"""The live view: what stands on a terminal at the end, plain lines elsewhere, silence when asked, never in the way."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from typing import Any

import pytest

from ganvas.run.budget import Budget
from ganvas.run.live import Live, Trend, clock

pty = pytest.importorskip("pty", reason="needs a system with pseudo terminals")


def feed(live: Live, number: int, **changes: Any) -> None:
    """The state after `number` rounds of a run of 100 that takes a second a round."""
    values: dict[str, Any] = {
        "round": number,
        "samples": number * 128,
        "seconds": float(number),
        "progress": number / 100,
        "rate": 128.0,
        "terms": {"discriminator/real": 1.0 / number, "discriminator/fake": 0.5, "generator/fool": 0.1 * number},
        "norms": {"discriminator": 1.25, "generator": 0.5},
        "memory": 1_200_000_000,
        "phase": "play",
    }
    live.update(**{**values, **changes})


class Terminal:
    """A pseudo terminal as stderr. `text` is all it received, `screen` what is left standing after cursor movements."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int = 80, rows: int = 30) -> None:
        self._leader, follower = pty.openpty()
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", str(rows))
        self._stream = os.fdopen(follower, "w", encoding="utf-8")
        monkeypatch.setattr(sys, "stderr", self._stream)
        self._pieces: list[bytes] = []
        self._reader = threading.Thread(target=self._drain)
        self._reader.start()

    def _drain(self) -> None:
        while True:
            try:
                piece = os.read(self._leader, 65536)
            except OSError:  # Linux says so when the other side has closed
                return
            if not piece:
                return
            self._pieces.append(piece)

    def close(self) -> None:
        self._stream.close()
        self._reader.join(timeout=10)
        os.close(self._leader)
        self.text = b"".join(self._pieces).decode()

    @property
    def screen(self) -> list[str]:
        rows, row, column = [""], 0, 0
        for piece in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", self.text):
            if piece == "\r":
                column = 0
            elif piece == "\n":
                row += 1
                rows += [""] * (row + 1 - len(rows))
            elif piece.startswith("\x1b["):
                amount = int(re.sub(r"\D", "", piece) or 1)
                if piece.endswith("A"):
                    row = max(0, row - amount)
                elif piece.endswith("K"):
                    rows[row] = ""
            else:
                rows[row] = rows[row][:column].ljust(column) + piece + rows[row][column + len(piece) :]
                column += len(piece)
        return [line.rstrip() for line in rows]


def test_a_terminal_keeps_said_lines_and_one_view_below(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal(monkeypatch)
    live = Live("dcgan on chest", Budget(seconds=100))
    live.start()
    live.say("run folder runs/one [bold]")
    for number in range(1, 63):
        feed(live, number)
        if number == 30:
            live.say("went back to round 28")
            print("a result")
    live.stop()
    live.stop()
    terminal.close()
    screen = terminal.screen
    assert screen[0] == "run folder runs/one [bold]"
    assert screen[1] == "went back to round 28"
    text = "\n".join(screen)
    assert text.count("dcgan on chest") == 1
    for part in ("100 s", " 62%", "1:02 used", "0:38 left", "62 rounds", "7,936 samples", "128 samples/s", "1.2 GB", "play"):
        assert part in text, part
    real = next(line for line in screen if " real " in line)
    assert real.split()[:3] == ["discriminator", "real", "0.0161"]
    assert "█" in real
    assert "gradient 1.2500" in real
    assert re.search(r"fake\s+0\.5000\s+▄{24}", text)  # steady: in the middle
    rising = re.search(r"fool\s+6\.2000\s+(\S+)", text)
    assert rising is not None
    assert list(rising[1]) == sorted(rising[1])
    assert max(map(len, screen)) <= 80
    assert terminal.text.count("\x1b[?25l") == terminal.text.count("\x1b[?25h")  # the cursor is given back
    assert capsys.readouterr().out == "a result\n"


def test_an_open_budget_has_no_bar_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    live = Live("gan on patterns", Budget())
    live.start()
    feed(live, 5, progress=0.0)
    live.stop()
    terminal.close()
    text = "\n".join(terminal.screen)
    assert "0:05 used" in text
    assert "until you stop it" in text
    assert "━" not in text
    assert "left" not in text
    assert "%" not in text


def test_a_narrow_and_low_terminal_shows_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch, columns=44, rows=16)
    live = Live("a system with quite a long name on a folder with a longer one", Budget(rounds=100))
    live.start()
    feed(live, 50, terms={f"player/term{i}": float(i) for i in range(20)})
    live.stop()
    terminal.close()
    screen = terminal.screen
    assert max(map(len, screen)) <= 44
    assert len(screen) <= 17
    assert any("term4" in line for line in screen)
    assert any("and 15 more" in line for line in screen)
    assert any("50 rounds" in line for line in screen)


def test_lines_elsewhere_one_each_while_and_a_final_one(capsys: pytest.CaptureFixture[str]) -> None:
    live = Live("dcgan on chest", Budget(rounds=100), every=0.2)
    live.start()
    feed(live, 1)
    feed(live, 2)  # too soon
    live.say("saved")
    time.sleep(0.25)
    feed(live, 25)
    feed(live, 26)
    live.stop()
    live.stop()
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r".*round (\d+),.*", r"\1", line) for line in lines] == ["1", "saved", "25", "26"]
    assert lines[2] == (
        "dcgan on chest: 25%, round 25, 3,200 samples, 128 samples/s, discriminator/real 0.0400, discriminator/fake 0.5000, "
        "generator/fool 2.5000, 1.2 GB, 0:25 used, 1:15 left"
    )


def test_a_state_already_printed_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    live = Live("dcgan on chest", Budget())
    live.start()
    feed(live, 1, progress=0.0)
    live.stop()
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "left" not in printed


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    live = Live("dcgan on chest", Budget())
    live.start()
    feed(live, 1)
    live.stop()
    terminal.close()
    assert "\x1b" not in terminal.text
    assert "round 1," in terminal.text


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    live = Live("dcgan on chest", Budget(), quiet=True)
    live.start()
    feed(live, 1)
    live.say("saved")
    live.stop()
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_a_reader_that_goes_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    monkeypatch.setattr(sys, "stderr", stream)
    live = Live("dcgan on chest", Budget(), every=0.0)
    live.start()
    feed(live, 1)
    assert b"round 1" in os.read(reading, 1000)
    os.close(reading)
    feed(live, 2)
    live.say("saved")
    live.stop()
    with pytest.raises(BrokenPipeError):  # the pipe was indeed broken
        stream.close()


def test_a_terminal_that_goes_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    stream = os.fdopen(follower, "w", encoding="utf-8")
    monkeypatch.setattr(sys, "stderr", stream)
    live = Live("dcgan on chest", Budget(), every=0.0)
    live.start()
    os.close(leader)
    feed(live, 1)
    feed(live, 2)
    live.say("saved")
    live.stop()
    assert sys.stderr is stream  # what the view had put in its place is gone
    with pytest.raises(OSError, match="Input/output"):  # the terminal was indeed gone
        os.write(stream.fileno(), b"x")
    with contextlib.suppress(OSError):
        stream.close()


def test_terms_that_are_not_due_keep_their_last_value(capsys: pytest.CaptureFixture[str]) -> None:
    live = Live("stylegan2", Budget(), every=0.0)
    live.start()
    feed(live, 1, terms={"d/r1": 0.25, "d/real": float("nan")})
    feed(live, 2, terms={"d/real": 123456.0})
    live.stop()
    first, second = capsys.readouterr().err.splitlines()
    assert "d/r1 0.2500, d/real nan" in first
    assert "d/r1 0.2500, d/real 1.23e+05" in second


def test_terms_of_a_phase_that_is_over_are_told_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    live = Live("stackgan on emoji", Budget(rounds=100), every=0.0)
    live.start()
    feed(live, 1, terms={"encoders/captions": 0.5}, phase="embedding")
    feed(live, 2, terms={"stage one/fool": 1.5}, phase="stage one")
    live.stop()
    first, second = capsys.readouterr().err.splitlines()[-2:]
    assert "encoders/captions" in first
    assert "encoders" not in second and "stage one/fool 1.5000" in second


def test_a_trend_covers_everything_in_few_cells() -> None:
    trend = Trend(cells=4)
    for i in range(1000):
        trend.add(float(i))
    trend.add(float("nan"))
    assert len(trend.values) < 8
    assert trend.drawn() == "▁▃▆█"
    for _ in range(3000):
        trend.add(0.0)
    assert trend.drawn()[-2:] == "▁▁"
    assert "█" in trend.drawn()[:2]  # the beginning is not forgotten
    assert Trend().drawn() == ""


def test_clock() -> None:
    assert [clock(s) for s in (0, 59.6, 247, 3847, -3)] == ["0:00", "1:00", "4:07", "1:04:07", "0:00"]
