"""What a data set of tunes is: the spec that systems are built from, and what the numbers of a record mean. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

REST, HOLD, FIRST = 0, 1, 2
"""Codes of a melody's steps: silence; the note before goes on; from FIRST on the pitch 0 to 127 that begins."""
MELODY, CHORDS = 0, 1
"""The two rows of a record."""
LEAST, MOST = 1, 256  # bars of a record


@dataclass(frozen=True)
class TuneSpec:
    """Melodies over chords, in records of as many bars.

    bars: of a record. rate: steps a quarter note. meter: beats of a bar, and what a beat is there, (6, 8). tempo: quarter
    notes a minute. low, high: the pitches that occur, 60 is middle C. format: of the files.
    """

    bars: int
    rate: int = 4
    meter: tuple[int, int] = (4, 4)
    tempo: float = 120.0
    low: int = 55
    high: int = 84
    classes: tuple[str, ...] = ()
    format: str = "mid"
    kind: str = "tune"

    @property
    def steps(self) -> int:
        """Steps of a bar."""
        return steps_of_bar(self.meter, self.rate)

    @property
    def shape(self) -> tuple[int, int]:
        """(2, steps in all): the melody, and the chord at each step (`chords`)."""
        return (2, self.bars * self.steps)

    @property
    def size(self) -> str:
        """What `--size` would have to be."""
        return str(self.bars)


def steps_of_bar(meter: tuple[int, int], rate: int) -> int:
    """Steps of a bar at `rate` steps a quarter note. Raises ValueError where a bar ends between two steps."""
    steps, rest = divmod(4 * meter[0] * rate, meter[1])
    if rest or not steps:
        raise ValueError(f"a bar of {meter[0]}/{meter[1]} has no whole number of steps at {rate} a quarter note")
    return steps


def meter_told(meter: tuple[int, int]) -> str:
    """As musicians write it: `6/8`."""
    return f"{meter[0]}/{meter[1]}"
