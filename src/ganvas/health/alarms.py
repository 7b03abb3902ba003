"""Alarms: what was seen, since when, and what to try. Not for deciding when to raise one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

ADVICE: dict[str, str] = {
    "nan": "lower the learning rates, or use --precision 32",
    "discriminator too strong": "lower the discriminator's learning rate, give it fewer turns, or use wgan-gp",
    "opening does not end": "lower the discriminator's learning rate, or raise the generator's",
    "discriminator too weak": "raise the discriminator's learning rate, or lower the generator's",
    "discriminator gave up": "lower both learning rates",
    "losses explode": "lower both learning rates, or use --on-alarm rollback",
    "gradients vanish": "lower the learning rates, or use another loss (lsgan, wgan-gp)",
    "gradients explode": "lower the learning rates",
    "player does not move": "raise its learning rate, which is zero or too small to change any weight",
    "collapse": "lower the learning rates, give more varied data, use wgan-gp, or --on-alarm restart",
    "repeated samples": "lower the learning rates, give more varied data, use wgan-gp, or --on-alarm restart",
    "quality fell": "use checkpoints/best, the default from now on; train less long, or use --on-alarm rollback",
    "memorisation": "use checkpoints/best, the default from now on; give more data, use augmentation, or train less long",
    "plateau": "stop here, as --until plateau does, and use checkpoints/best, the default from now on; quality may still move "
    "on after standing still",
    "constant data": "check what was read, with: ganvas data check PATH",
    "repeated data": "remove the copies, or give more data: a generator learns few records by heart",
}
"""Every kind of alarm, and what to try."""

BETTER_BEFORE = ("quality fell", "memorisation", "plateau", "collapse", "repeated samples")
"""After one of these the newest weights are not the ones to use, where better ones were kept (`run.checkpoint.preferred`)."""

HINT = ("plateau", "nan")  # no failure: says something, and no action follows
FINAL = ("memorisation", "constant data", "repeated data")  # another try meets the same: the action is to stop


@dataclass(frozen=True)
class Alarm:
    """Something went wrong.

    kind: a key of `ADVICE`. seen: what was seen, in a few words with numbers. round, samples: when it was noticed.
    since_round, since_samples: since when it is so.
    """

    kind: str
    seen: str
    round: int
    samples: int
    since_round: int
    since_samples: int

    def __str__(self) -> str:
        when = f"since round {self.since_round:,}, {self.since_samples:,} samples"
        return f"alarm: {self.kind} ({when}): {self.seen}; try: {ADVICE[self.kind]}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the advice."""
        return {**asdict(self), "advice": ADVICE[self.kind]}
