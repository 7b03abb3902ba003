"""Settings that fit into a given amount of memory, best first: the levers are activations computed again, batch size, width and
micro-batches.

Each is a prediction; the first is measured as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import GanvasError, RunError
from ..registry import load_system
from ..run import settings
from .answer import PROCESS_BASE, foretell
from .board import Case
from .counting import MIB
from .measuring import measure

SMALLEST_SHARE = 8  # the width goes down to an eighth, and no further: that would be another network


def parse_bytes(text: str) -> int:
    """`4GiB`, `4G`, `800MB`, `1.5gb` -> bytes. Raises GanvasError."""
    return settings.parse_bytes(text, "--fit")


@dataclass(frozen=True)
class Way:
    """One way to fit. said: the options that bring it. peak: predicted, in bytes, base included. keeps: what it changes."""

    case: Case
    said: str
    peak: int
    keeps: str


def fit(case: Case, limit: int, *, measured: bool = True) -> dict[str, Any]:
    """Ways to stay below `limit` bytes, best first, as plain values: `limit_mb`, `base_mb`, `asked_mb`, `ways`, `levers`.

    Each way: options, predicted_mb, batch, width, micro_batches, effect; the first also measured_mb and fits where it is
    measured. A first way that is measured to be too large makes room for the next. Raises GanvasError when nothing fits.
    """
    on_cpu = case.device.startswith("cpu")
    base = (measure()["base"] if measured else PROCESS_BASE) if on_cpu else 0
    asked = base + foretell(case).peak
    ways = _ways(case, limit, base, asked) if limit > base else []
    if not ways:
        least = _least(case, base)
        raise GanvasError(
            f"{case.system} does not fit into {limit / MIB:,.0f} MB: Python and torch alone take {base / MIB:,.0f} MB, and the "
            f"smallest form that was tried {least / MIB:,.0f} MB: give more, or take a smaller --size"
        )
    found = [_told(way) for way in ways]
    while measured and found:
        try:
            peak = measure(ways[0].case)["peak"]
        except RunError:
            if len(found) == 1:
                raise
            peak = limit + 1
        found[0] |= {"measured_mb": round(peak / MIB, 1), "fits": peak <= limit}
        if peak <= limit or len(found) == 1:
            break
        found.append(found.pop(0))  # said to fit and does not: last, with what was measured
        ways.append(ways.pop(0))
        if "measured_mb" in found[0]:
            break
    return {
        "limit_mb": round(limit / MIB, 1),
        "base_mb": round(base / MIB, 1),
        "asked_mb": round(asked / MIB, 1),
        "ways": found,
        "levers": _levers(case),
    }


def lines(found: dict[str, Any]) -> list[str]:
    """The result of `fit` in words."""
    asked, limit = found["asked_mb"], found["limit_mb"]
    verdict = "fits" if asked <= limit else "does not fit"
    out = [f"as asked: {asked:,.0f} MB predicted, which {verdict} into {limit:,.0f} MB", ""]
    for number, way in enumerate(found["ways"], 1):
        said = "as asked" if not way["options"] else way["options"]
        measured = ""
        if way.get("measured_mb") is not None:
            measured = f", measured {way['measured_mb']:,.0f} MB: {'it fits' if way['fits'] else 'it does not fit'}"
        out.append(f"{number}. {said}    predicted {way['predicted_mb']:,.0f} MB{measured}")
        out.append(f"   {way['effect']}")
    return [*out, "", f"levers: {'; '.join(found['levers'])}"]


def _levers(case: Case) -> list[str]:
    _, _, system_class = load_system(case.system)
    coupled = system_class.couples_batch
    return [
        "batch size" + (" and width" if "width" in case.config else ""),
        "micro-batches" + (f" (not the same game: {coupled})" if coupled else " (the same game)"),
        "precision bf16-mixed halves activations (--precision)",
        "activations computed again in the backward pass (--recompute-activations: the same bits)",
    ]


def _ways(case: Case, limit: int, base: int, asked: int) -> list[Way]:
    """What fits, best first: as asked; then what changes the game least."""
    found: list[Way] = []
    if asked <= limit:
        found.append(Way(case, "", asked, "nothing changes"))
        larger = _largest(case, limit, base)
        if larger is not None:
            found.append(larger)
        return found
    again = _first(_again(case), limit, base)
    micro = _first(_micro(case), limit, base)
    batch = _first(_batches(case), limit, base)
    width = _first(_widths(case), limit, base)
    both = _first(_micro(case.changed(recompute=True)), limit, base) if again is None and micro is None else None
    # Pieces of a batch before a batch of that size: BatchNorm sees as many records, and gradients are less noisy.
    found = [way for way in (again, micro, both, batch, width) if way is not None]
    if not found:  # one lever is not enough
        small = case.changed(batch_size=max(case.micro_batches, 1))
        both = _first(_widths(small), limit, base)
        found = [both] if both is not None else []
    return found


Candidate = tuple[Case, str, str]


def _first(candidates: list[Candidate], limit: int, base: int) -> Way | None:
    """The first that fits; the candidates come largest first."""
    for case, said, effect in candidates:
        try:
            peak = base + foretell(case).peak
        except GanvasError:  # BatchNorm refuses a batch of one, and so on
            continue
        if peak <= limit:
            return Way(case, said, peak, effect)
    return None


def _batches(case: Case) -> list[Candidate]:
    sizes, size = [], case.batch // 2
    while size >= 1:
        if size % case.micro_batches == 0:
            sizes.append(size)
        size //= 2
    effect = "another batch size: more rounds for as many records, and noisier gradients"
    return [(case.changed(batch_size=size), f"--batch {size}", effect) for size in sizes]


RECOMPUTED = "--recompute-activations"


def _again(case: Case) -> list[Candidate]:
    effect = "the same game, to the bit; a round takes longer, as networks are played twice"
    return [] if case.recompute_activations else [(case.changed(recompute=True), RECOMPUTED, effect)]


def _micro(case: Case) -> list[Candidate]:
    _, _, system_class = load_system(case.system)
    coupled = system_class.couples_batch
    effect = f"almost the same game ({coupled})" if coupled else "the same game, a little slower"
    pieces = [n for n in range(2, case.batch + 1) if case.batch % n == 0 and n > case.micro_batches and n & (n - 1) == 0]
    beside = f"{RECOMPUTED} " if case.recompute_activations else ""
    return [(case.changed(micro_batches=n), f"{beside}--micro-batches {n}", effect) for n in pieces]


def _widths(case: Case) -> list[Candidate]:
    if "width" not in case.config:
        return []
    full = int(case.config["width"])
    widths = sorted(
        {max(1, int(full * share)) for share in (0.75, 0.5, 0.375, 0.25, 1 / SMALLEST_SHARE)} - {full}, reverse=True
    )
    effect = "smaller networks: quicker, and less detail"
    batch = f" --batch {case.batch}"
    return [(case.changed(width=width), f"--set width={width}{batch}", effect) for width in widths]


def _largest(case: Case, limit: int, base: int) -> Way | None:
    """The largest batch, doubled step by step, that fits as well."""
    best = None
    for step in range(1, 8):
        larger = case.changed(batch_size=case.batch * 2**step)
        peak = base + foretell(larger).peak
        if peak > limit:
            break
        best = Way(
            larger, f"--batch {larger.batch}", peak, "there is room for a larger batch; larger is not better for small sets"
        )
    return best


def _least(case: Case, base: int) -> int:
    """Bytes of the smallest form that `_ways` looks at."""
    sizes = []
    small = case.changed(batch_size=max(case.micro_batches, 1))
    for tried, _, _ in [*_batches(case)[-2:], *_widths(small)[-1:]]:
        try:
            sizes.append(base + foretell(tried).peak)
        except GanvasError:
            continue
    return min(sizes, default=base + foretell(case).peak)


def _told(way: Way) -> dict[str, Any]:
    return {
        "options": way.said,
        "predicted_mb": round(way.peak / MIB, 1),
        "batch": way.case.batch,
        "width": way.case.config.get("width"),
        "micro_batches": way.case.micro_batches,
        "effect": way.keeps,
    }
