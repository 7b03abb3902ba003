"""How long the clips of a set of recordings are, and whether each is cut into several. Not for the cutting."""

from __future__ import annotations

import math
from typing import Any

from ...errors import GanvasError

CLIP = 1.024  # seconds of a clip of recordings: 16384 samples at 16 kHz
ONE_SHOT = 4.0  # seconds up to which files count as one sound each, which stays whole
WHOLE = 0.95  # share of such files that a clip holds whole
STEPS = 16  # lengths to choose from in an octave, at least: networks that multiply by 2 or 4 reach each without a rest
SHORTEST, LONGEST = 64, 2**22
DEAR, CHEAPER = 32_768, 16_000  # samples of a clip from which a lower rate is proposed, and which


def clips_of(size: Any, spans: list[int], rate: int, fit: str | None) -> tuple[int, bool]:
    """(samples of a clip, whether files are cut into consecutive ones). spans: samples of each file at that rate.

    Files of up to four seconds are one sound each, and not cut into several, whatever the length that is asked for. If none is,
    a clip holds 95 % of them whole. Where most are longer, or there is one file alone, they are recordings: most being longer
    than two clips, which are about a second if nobody says, they are cut into consecutive ones.
    """
    recordings = len(spans) == 1 or _most(spans, ONE_SHOT * rate)
    if size is not None:
        length = _asked(size)
        return length, fit == "patches" or (fit is None and recordings and _most(spans, 2 * length))
    second = rounded(CLIP * rate)
    if recordings and _most(spans, 2 * second):
        return second, fit != "crop"
    whole = rounded(min(ONE_SHOT * rate, sorted(spans)[min(len(spans) - 1, int(WHOLE * len(spans)))]))
    return (min(second, whole), True) if fit == "patches" else (whole, False)


def _most(spans: list[int], samples: float) -> bool:
    """Whether most are longer."""
    return 2 * sum(span > samples for span in spans) > len(spans)


def dear(size: Any, length: int, spans: list[int], rate: int, fit: str | None) -> list[str]:
    """What a lower rate would make of clips that were found to be long."""
    if size is not None or length <= DEAR or rate <= CHEAPER:
        return []
    lower, _ = clips_of(None, [-(-span * CHEAPER // rate) for span in spans], CHEAPER, fit)
    told = f"with --rate {CHEAPER} they would have {lower}, without what is above {CHEAPER // 2000} kHz"
    return [f"clips of {length} samples are long to learn: {told}"]


def rounded(samples: float) -> int:
    """The least length that holds so many samples and has 16 to 31 steps of a power of two: 48,000 -> 49,152."""
    step = max(1, 2 ** (math.floor(math.log2(max(samples, SHORTEST))) - int(math.log2(STEPS))))
    return max(SHORTEST, math.ceil(samples / step) * step)


def _asked(size: Any) -> int:
    if isinstance(size, tuple | list) or not str(size).isdigit():
        text = "x".join(map(str, size)) if isinstance(size, tuple | list) else size
        raise GanvasError(f"--size {text} is not for sound: give the samples of a clip, as in --size 16384")
    if not SHORTEST <= int(size) <= LONGEST:
        raise GanvasError(f"--size {size} is out of range for sound: {SHORTEST} to {LONGEST} samples of a clip")
    return int(size)
