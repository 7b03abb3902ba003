"""How long a run may last: seconds, samples or rounds, as typed on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import GanvasError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SAMPLES = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}

USUAL_BATCH = 16  # of presets on a processor


@dataclass(frozen=True)
class Budget:
    """One of three limits, or none. seconds: trained seconds; samples: real records drawn; rounds: rounds played."""

    seconds: float | None = None
    samples: int | None = None
    rounds: int | None = None

    def progress(self, seconds: float, samples: int, rounds: int) -> float:
        """Share used, 0 to 1 and beyond; 0 for an open budget."""
        if self.seconds is not None:
            return seconds / self.seconds
        if self.samples is not None:
            return samples / self.samples
        return rounds / self.rounds if self.rounds is not None else 0.0

    @property
    def shown(self) -> float | None:
        """About how many records are drawn, where no time limits them; of rounds by small batches."""
        return self.samples if self.rounds is None else self.rounds * USUAL_BATCH

    def __str__(self) -> str:
        if self.seconds is not None:
            return describe_seconds(self.seconds)
        if self.samples is not None:
            return f"{self.samples:,} samples"
        return f"{self.rounds:,} rounds" if self.rounds is not None else "until you stop it"


def parse_budget(text: str | None) -> Budget:
    """`10m`, `90s`, `1.5h` (time); `50k`, `2M`, `800` (samples); `200r` (rounds); None, empty or `open`: no limit.

    Raises GanvasError for anything else and for amounts that are not positive.
    """
    if text is None or text.strip().lower() in ("", "open", "none"):
        return Budget()
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([a-zA-Z]*)\s*", text)
    amount = float(match[1]) if match else 0.0
    unit = match[2] if match else "?"
    if amount > 0 and unit in _SECONDS:
        return Budget(seconds=amount * _SECONDS[unit])
    if amount > 0 and unit == "r" and amount == int(amount):
        return Budget(rounds=int(amount))
    unit = "k" if unit == "K" else unit
    if amount > 0 and unit in _SAMPLES and (amount * _SAMPLES[unit]) >= 1:
        return Budget(samples=int(amount * _SAMPLES[unit]))
    told = "is not above 0" if re.match(r"\s*(-|[0.]+\s*[a-zA-Z]*\s*$)", text) else "is not understood"
    raise GanvasError(f"--budget '{text}' {told}: use 10m, 90s or 2h (time), 50k (samples) or 200r (rounds)")


def describe_seconds(seconds: float) -> str:
    """`45 s`, `10 min`, `1 h 05 min`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
