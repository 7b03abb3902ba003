"""The lesson in a terminal: what is drawn lies where it is, colours only on a screen, and Ctrl-C ends it in order."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ganvas.errors import GanvasError
from ganvas.studio.terminal import BLUE, BOTH, RED, canvas, play, run


def test_points_lie_where_they_are_and_what_is_both_is_told_apart() -> None:
    true, made = np.array([[-1.2, 1.2], [0.01, 0.01]]), np.array([[1.2, -1.2], [0.01, 0.01], [9.0, 0.0], [np.nan, 0.0]])
    lines = canvas(true, made, colour=False, columns=20, rows=10)
    assert [len(line) for line in lines] == [20] * 10
    assert lines[0][0] == "." and lines[9][19] == "o" and lines[4][10] == "8"
    assert sum(character != " " for line in lines for character in line) == 3, "what is off the frame is not drawn"
    coloured = "".join(canvas(true, made, colour=True, columns=20, rows=10))
    assert all(coloured.count(code) == 1 for code in (RED, BLUE, BOTH))
    assert sum(0x2800 < ord(character) < 0x2900 for character in coloured) == 3


def test_a_file_gets_frames_without_codes_of_a_terminal_and_the_distance_falls() -> None:
    out = io.StringIO()
    found = play(["circle"], 40_000, out=out)
    text = out.getvalue()
    assert "\x1b" not in text and "circle: 0 samples" not in text and "the discriminator is right" in text
    assert found["circle"] < 0.1, "a ring already"
    assert f"circle: {found['circle']:.3f} of its size" in text


@pytest.mark.parametrize(
    ("curves", "budget", "told"),
    [(["circel"], None, "did you mean 'circle'"), ([], "5m", "number of samples"), ([], "-5", "budget")],
)
def test_what_is_no_curve_or_no_number_of_samples_is_told(curves: list[str], budget: str | None, told: str) -> None:
    with pytest.raises(GanvasError, match=told) as caught:
        run(curves, budget, 1, False)
    assert "\n" not in str(caught.value)


def waiting(master: int) -> bytes:
    """What waits to be read on a pseudo terminal; nothing after some tenths of a second, or when the other end is closed."""
    with contextlib.suppress(OSError):
        if select.select([master], [], [], 0.2)[0]:
            return os.read(master, 65536)
    return b""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo terminal")
def test_on_a_screen_frames_overwrite_each_other_and_an_interrupt_ends_it_in_order() -> None:
    master, slave = os.openpty()
    words = [sys.executable, "-m", "ganvas", "demo", "1d", "--live", "--curve", "sine", "--json"]
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    )
    os.close(slave)
    seen, deadline = b"", time.monotonic() + 120
    while seen.count(b"\x1b[21A") < 3 and process.poll() is None and time.monotonic() < deadline:
        seen += waiting(master)
    frames = seen.count(b"\x1b[21A")
    process.send_signal(signal.SIGINT)
    while process.poll() is None and time.monotonic() < deadline:
        seen += waiting(master)  # so that it does not wait to be read
    process.kill()
    out = process.communicate()[0]
    assert frames >= 3 and RED.encode() in seen, seen[-500:]
    assert process.returncode == 130 and b"Traceback" not in seen
    assert json.loads(out) == {"curves": ["sine"], "distance": {}}
    os.close(master)
