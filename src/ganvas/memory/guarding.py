"""Whether a run fits into the memory there is, asked before its first round: one line with what would fit, where it does not.

Not for finding the best settings that fit (`fitting`), and no substitute for measuring (`measuring`): it is a prediction.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..doctor import memory_of
from ..errors import GanvasError
from ..launchers import neighbours
from ..registry import Card
from ..run.settings import Settings, parse_memory
from .answer import PROCESS_BASE, foretell
from .board import Case, build_board

# A bound that costs nothing: bytes for each parameter (weights, gradients, two moments, averages, copies of these) and numbers
# that networks keep for each value of a record. It is meant to be too large; only what comes near the limit is foretold.
BYTES_A_PARAMETER, NUMBERS_A_VALUE, NUMBERS_A_RECORD = 48, 10_000, 1_000_000
MOST_PIECES = 8  # micro-batches that are foretold: each is played
NEAR = 0.5  # of the limit: where the bound ends and foretelling begins


@dataclass(frozen=True)
class Need:
    """What a run is expected to need, and what there is. Bytes; None where it is not known.

    needed: foretold. at_most: a bound, where that is enough to know that it fits. limit: of the machine, the GPU or the user.
    """

    needed: int | None
    at_most: int | None
    limit: int | None
    where: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in MB of 2^20 bytes."""
        sizes = {"needed_mb": self.needed, "at_most_mb": self.at_most, "limit_mb": self.limit}
        return {**{name: None if size is None else round(size / 2**20, 1) for name, size in sizes.items()}, "of": self.where}


def case_of(card: Card, config: Any, fields: Mapping[str, Any], settings: Settings, device: str) -> Case:
    """The configuration of one process of a run. config: the system's, built. fields: the spec of each."""
    values: dict[str, Any] = {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(config).items()}
    values["batch_size"] //= settings.processes
    return Case(
        card.name if card.module else str(card.path), values, dict(fields), settings.precision, settings.channels_last == "on",
        settings.micro_batches, settings.recompute_activations, device, settings.threads,
    )  # fmt: skip


def need(case: Case, settings: Settings) -> Need:
    """What the run is expected to need. Nothing is known of a game that cannot be built or played on symbols.

    Raises GanvasError for what the system cannot serve.
    """
    asked = parse_memory(settings.memory)
    limit = memory_of(case.device)[0] if asked is None else asked
    gpu = case.device.startswith("cuda")
    where = "--memory" if asked else f"GPU {case.device}" if gpu else "this machine"
    times = 1 if gpu else neighbours(settings.processes)
    try:
        parameters = sum(p.numel() for p in build_board(case, "meta").parameters())
    except GanvasError:
        raise
    except Exception:  # a third party's system, which looks at its numbers as it is built
        return Need(None, None, limit or None, where)
    values = sum(math.prod(spec.shape) for spec in case.fields.values())
    many = 50 * max(len(getattr(spec, "symbols", ())) for spec in case.fields.values())  # scores of every symbol at every place
    numbers = max(values * max(NUMBERS_A_VALUE, many), NUMBERS_A_RECORD)
    bound = times * (PROCESS_BASE + BYTES_A_PARAMETER * parameters + 4 * numbers * case.batch)
    if limit == 0 or bound < NEAR * limit:
        return Need(None, bound, limit or None, where)
    return Need(_foretold(case, times), bound, limit, where)


def _foretold(case: Case, times: int) -> int | None:
    try:
        base = PROCESS_BASE if case.device.startswith("cpu") else 0
        return times * (base + foretell(case).peak)
    except GanvasError:
        return None


def check(
    card: Card,
    config: Any,
    fields: Mapping[str, Any],
    settings: Settings,
    device: str,
    named: Mapping[str, Any],
    say: Callable[[str], None],
) -> Need:
    """`need` of a run that is to begin; raises GanvasError in one line, with what would fit, when that is more than there is.

    named: settings of the system that the user named, for the advice. say: told where less is free than is needed.
    """
    case = case_of(card, config, fields, settings, device)
    found = need(case, settings)
    free = memory_of(device)[1]
    if found.needed is not None and free and found.needed > free:
        say(f"note: {_gb(found.needed)} of memory are expected to be needed, and {_gb(free)} are free now")
    if found.needed is None or found.limit is None or found.needed <= found.limit:
        return found
    allowed = "--memory allows" if found.where == "--memory" else f"{found.where} has"
    shape = "x".join(map(str, case.spec.shape))
    words = [case.system]
    words += [] if settings.data == "array" else ["--data", settings.data]
    words += [] if settings.size is None else ["--size", settings.size]
    words += [] if settings.preset == "auto" else ["--preset", settings.preset]
    for key, value in named.items():
        words += ["--set", f"{key}={value}"]
    remedy = _remedy(case, settings, found.needed, found.limit)
    raise GanvasError(
        f"batches of {case.batch * settings.processes} records of {shape} are expected to need {_gb(found.needed)} of memory, "
        f"and {allowed} {_gb(found.limit)}: {remedy}; more ways:  ganvas memory {shlex.join(words)} --fit "
        f"{found.limit // 10**6}MB  (--memory any begins all the same)"
    )


def _remedy(case: Case, settings: Settings, needed: int, limit: int) -> str:
    """The largest batch that fits, halved as often as need be, and whether micro-batches of that size do.

    They need not: what one turn leaves to another is kept for all pieces at once.
    """
    times = 1 if case.device.startswith("cuda") else neighbours(settings.processes)
    pieces = 2 ** math.ceil(math.log2(max(2.0, needed / limit)))  # a batch's memory is about proportional to it
    ways: list[str] = []
    while case.batch % (pieces * case.micro_batches) == 0 and not ways:
        if _fits(case.changed(batch_size=case.batch // pieces), times, limit):
            if pieces <= MOST_PIECES and _fits(case.changed(micro_batches=pieces * case.micro_batches), times, limit):
                ways.append(f"--micro-batches {pieces * case.micro_batches}")
            ways.append(f"--set batch_size={case.batch // pieces * settings.processes}")
        pieces *= 2
    return (
        f"it would fit with  {'  or  '.join(ways)}" if ways else "no batch is small enough: take a smaller --size or networks"
    )


def _fits(case: Case, times: int, limit: int) -> bool:
    size = _foretold(case, times)
    return size is not None and size <= limit


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
