"""Numbers by which samples are asked for: `--set-attribute decay=0.2`, `--sweep brightness=-2..2:9`, and what of them came.

A number stands for itself, in the property's own unit, or for standard deviations of the training records from their mean
(`sd`). Not for attributes that are choices (`asking`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import TakesProperties
from ..errors import GanvasError, did_you_mean
from ..kinds import kind_of
from ..kinds.facets import Askable, Named
from ..specs import PROPERTIES
from . import Work
from .asking import asked_by_name

if TYPE_CHECKING:
    from torch import Tensor

NUMBER = re.compile(r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?)\s*([A-Za-z%]*)", re.IGNORECASE)
FARTHEST = 4.0  # standard deviations from the mean that may be asked for
STEPS, MOST_STEPS = 9, 64
SERIES = 4  # of a sweep, where nobody says how many
NEAREST = 8  # training records, at least, from which what is not asked for is drawn: those nearest to what is
SD, OWN = "sd", "own"


@dataclass(frozen=True)
class Property:
    """A number by which samples are asked for. unit: in which users speak of it, empty where nobody knows. logs: whether values
    in the data are binary logarithms. centre, scale: of training records, in the data's units. low, high: the range learnt
    from, in standard deviations. place, gap: in the rows of the game."""

    name: str
    unit: str
    logs: bool
    centre: float
    scale: float
    low: float
    high: float
    place: int
    gap: int | None

    def own(self, deviations: Any) -> Any:
        """Standard deviations -> the unit of users."""
        values = np.asarray(deviations, np.float64) * self.scale + self.centre
        return np.exp2(values) if self.logs else values

    def deviations(self, own: float) -> float:
        """The other way round; NaN for what has no logarithm."""
        if self.logs and own <= 0:
            return math.nan
        return ((math.log2(own) if self.logs else own) - self.centre) / self.scale

    @property
    def range(self) -> str:
        """`0.02 to 0.9 s`."""
        return f"{self.own(self.low):.3g} to {self.own(self.high):.3g}" + (f" {self.unit}" if self.unit else "")


def known_properties(work: Work) -> dict[str, Property]:
    """By name, in the order of the data; none where the run learnt none."""
    spec = work.fields.get(PROPERTIES)
    if spec is None or not isinstance(work.system, TakesProperties):
        return {}
    rows = work.system.learnt_properties().float().cpu().numpy()
    starts = {part.name: part.start for part in spec.parts if part.type != "missing"}
    gaps = {part.name: part.start for part in spec.parts if part.type == "missing"}
    found = {}
    for name, unit, centre, scale in zip(spec.names, spec.units, spec.centre, spec.scale, strict=True):
        own = rows[:, starts[name]] if name not in gaps else rows[rows[:, gaps[name]] == 0, starts[name]]
        low, high = (float(own.min()), float(own.max())) if len(own) else (-1.0, 1.0)
        logs = unit.startswith("log2 ")
        found[name] = Property(
            name, unit.removeprefix("log2 "), logs, centre, scale, low, high, starts[name], gaps.get(name)
        )  # fmt: skip
    return found


def told_properties(known: Mapping[str, Property]) -> str:
    """`decay: 0.02 to 0.9 s; loudness: -31 to -12 dB`."""
    return "; ".join(f"{own.name}: {own.range}" for own in known.values())


def _deviations(option: str, word: str, own: Property, text: str, usual: str) -> float:
    """A number as it was typed, in standard deviations. usual: the unit of a plain one. Raises GanvasError."""
    units = [unit for unit in (SD, OWN, own.unit) if unit]
    found = NUMBER.fullmatch(text.strip())
    unit = (found[2] if found else "") or usual
    if found is None or unit.lower() not in [known.lower() for known in units]:
        raise GanvasError(
            f"--{option} {word}: '{text}' is no number of {own.name}: write one, with {' or '.join(units)} behind it"
        )
    value = float(found[1]) if unit.lower() == SD else own.deviations(float(found[1]))
    if not abs(value) <= FARTHEST:
        far = f"{abs(value):.1f} standard deviations from what is usual" if math.isfinite(value) else "nothing that can be"
        raise GanvasError(f"--{option} {word}: {own.name} {text} is {far}; learnt were {own.range}")
    return value


def properties_wanted(work: Work, words: Sequence[str]) -> dict[str, float]:
    """`decay=0.2`, `brightness=+1sd` -> {"decay": -0.3, "brightness": 1.0} in standard deviations. Raises GanvasError."""
    known = known_properties(work)
    if words and not known:
        raise GanvasError(
            f"'{work.name}' knows no attributes: leave --attributes out, and --set-attribute (--move changes a property by its "
            "name; runs trained with --properties take numbers)"
        )
    first = next(iter(known.values()), None)
    example = "" if first is None else f"{first.name}={float(first.own(0)):.3g}"
    told = f"; this run has {told_properties(known)}"

    def read(word: str, name: str, text: str) -> float:
        return _deviations("set-attribute", word, known[name], text, OWN)

    return asked_by_name("set-attribute", words, list(known), "property", told, example, read)


@dataclass(frozen=True)
class Sweep:
    """name: of the property. values: of each step, in standard deviations."""

    name: str
    values: tuple[float, ...]


def sweep_wanted(work: Work, text: str | None) -> Sweep | None:
    """`brightness=-2..2:9`: nine steps between two and two standard deviations; `decay=0.05..0.5s:9` in seconds, equal steps of
    what is learnt (octaves). Raises GanvasError."""
    if text is None:
        return None
    known = known_properties(work)
    if not known:
        raise GanvasError(
            f"{work.place}: '{work.name}' learnt no properties: there is nothing to sweep (see  --properties of train)"
        )
    name, equals, rest = (part.strip() for part in text.partition("="))
    ends, _, steps = rest.partition(":")
    low, dots, high = ends.partition("..")
    if not equals or not dots or (steps and not steps.strip().isdigit()):
        raise GanvasError(f"--sweep '{text}' is not NAME=LOW..HIGH:STEPS, as in  --sweep {next(iter(known))}=-2..2:{STEPS}")
    if name not in known:
        raise GanvasError(
            f"--sweep {text}: no property '{name}'{did_you_mean(name, list(known))}; this run has {told_properties(known)}"
        )
    count = int(steps) if steps else STEPS
    if not 2 <= count <= MOST_STEPS:
        raise GanvasError(f"--sweep {text}: {count} steps are out of range: 2 to {MOST_STEPS}")
    unit = found[2] if (found := NUMBER.fullmatch(high.strip())) else ""
    if (first := NUMBER.fullmatch(low.strip())) and not first[2]:
        low = low.strip() + unit  # `0.05..0.5s`
    least, most = (_deviations("sweep", text, known[name], end, SD) for end in (low, high))
    return Sweep(name, tuple(np.linspace(least, most, count).tolist()))


@dataclass(frozen=True)
class Asked:
    """What is asked of samples. rows: (n, D) in the form of the game. labels: (n,) or None. steps: how many in a row differ in
    the swept property alone."""

    rows: Tensor
    labels: np.ndarray | None
    steps: int


def asked_properties(
    work: Work, count: int, labels: np.ndarray | None, words: Sequence[str], sweep: str | None
) -> Asked | None:  # fmt: skip
    """Of `count` samples, or series of a sweep; None where the run learnt no properties.

    What is not asked for is drawn as training records have it together: of the class, if that is told, and of those nearest to
    what is asked for, so that a decay comes with the brightness that goes with it. Along a sweep it is held. The first are the
    same whatever the count. What is beyond all training records is brought to the nearest of them (`told_of_asked`).
    """
    import torch

    known = known_properties(work)
    if not known:
        return None  # words are attributes then, or were refused
    wanted, swept = properties_wanted(work, words), sweep_wanted(work, sweep)
    if swept is not None and swept.name in wanted:
        raise GanvasError(f"--sweep {sweep}: {swept.name} is set as well: leave one of them out")
    learnt = work.system.learnt_properties().float().cpu().numpy()
    width = learnt.shape[1] - 1
    numbers = np.random.default_rng([work.seed, 0x5E7]).uniform(size=count)
    rows = np.zeros((count, width), np.float32)
    for k in range(count):
        pool = learnt
        if labels is not None and (learnt[:, -1] == labels[k]).any():
            pool = learnt[learnt[:, -1] == labels[k]]
        for name in (*wanted, *([] if swept is None else [swept.name])):
            gap = known[name].gap
            if gap is not None and (pool[:, gap] == 0).any():
                pool = pool[pool[:, gap] == 0]
        if wanted and len(pool) > NEAREST:
            far = sum(np.square(pool[:, known[name].place] - value) for name, value in wanted.items())
            pool = pool[np.argsort(far, kind="stable")[: max(NEAREST, len(pool) // 20)]]
        if len(pool):
            rows[k] = pool[int(numbers[k] * len(pool)), :width]
        for name, value in wanted.items():
            _put(rows[k], known[name], value)
    steps = 1 if swept is None else len(swept.values)
    rows = rows.repeat(steps, 0)
    if swept is not None:
        for k, row in enumerate(rows):
            _put(row, known[swept.name], swept.values[k % steps])
    return Asked(torch.from_numpy(rows).to(work.dtype), None if labels is None else labels.repeat(steps), steps)


def _put(row: np.ndarray, own: Property, value: float) -> None:
    """No farther than training records go: what nobody showed it, a generator makes up, as a click at the end of a sound that
    should last longer than its clip."""
    row[own.place] = min(max(value, own.low), own.high)
    if own.gap is not None:
        row[own.gap] = 0.0


def asked_and_measured(work: Work, rows: np.ndarray, records: np.ndarray, spec: Any) -> dict[str, dict[str, np.ndarray]]:
    """Property -> `asked` and `measured` (N,), in units of users; NaN where nothing was asked, and where it cannot be measured
    of what came out, as of columns of a table. rows: those of `Asked`; records: in file units."""
    kind = kind_of(spec.kind)
    measured = kind.properties(records, spec) if isinstance(kind, Named) and isinstance(kind, Askable) else {}
    found = {}
    for name, own in known_properties(work).items():
        asked = own.own(rows[:, own.place])
        if own.gap is not None:
            asked = np.where(rows[:, own.gap] > 0.5, np.nan, asked)
        values = np.full(len(rows), np.nan)
        if own.unit and name in measured:
            values = np.exp2(measured[name]) if own.logs else np.asarray(measured[name], np.float64)
        found[name] = {"asked": asked, "measured": values}
    return found


def told_of_asked(work: Work, words: Sequence[str], sweep: str | None) -> list[str]:
    """Notes on what was asked for beyond what was learnt."""
    known, swept = known_properties(work), sweep_wanted(work, sweep)
    asked: dict[str, tuple[float, ...]] = {name: (value,) for name, value in properties_wanted(work, words).items()}
    asked |= {} if swept is None else {swept.name: swept.values}
    beyond = [own for name, values in asked.items() if min(values) < (own := known[name]).low or max(values) > own.high]
    return [f"{own.name}: asked for beyond what was learnt, {own.range}; made is the nearest that was" for own in beyond]


def told_of_sweep(work: Work, sweep: str | None, found: Mapping[str, Mapping[str, np.ndarray]]) -> list[str]:
    """A note on a sweep: how well what was measured followed, and how far the others moved."""
    swept = sweep_wanted(work, sweep)
    if swept is None:
        return []
    known, scores = known_properties(work), judged_sweep(work, swept, found)
    if scores is None:
        return [f"{swept.name}: nobody measures it of what came out"]
    moved = ", ".join(f"{name} {value:.2f}" for name, value in scores["moved"].items() if math.isfinite(value))
    told = f"{swept.name}: asked and measured correlate {scores['correlation']:.2f}"
    return [told + (f"; along the sweep others moved, in standard deviations: {moved}" if moved and len(known) > 1 else "")]


def judged_sweep(work: Work, swept: Sweep, found: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any] | None:
    """`correlation` of asked and measured over all samples, `slope` of measured over asked, and `moved`: of each other property
    the standard deviation along a series, the root mean square over series; all in standard deviations of training records.
    None where the property cannot be measured."""
    known = known_properties(work)
    values = {
        name: (np.log2(own["measured"]) if known[name].logs else own["measured"]) for name, own in found.items()
    }  # fmt: skip
    scaled = {name: (own - known[name].centre) / known[name].scale for name, own in values.items()}
    steps = len(swept.values)
    asked = np.resize(np.asarray(swept.values), len(scaled[swept.name]))
    there = np.isfinite(scaled[swept.name])
    if there.sum() < 3:
        return None
    got = scaled[swept.name][there]
    correlation = float(np.corrcoef(asked[there], got)[0, 1]) if np.ptp(got) > 0 else 0.0
    moved = {}
    for name, own in scaled.items():
        series = own.reshape(-1, steps)
        whole = series[np.isfinite(series).all(1)]
        if name != swept.name:
            moved[name] = float(np.sqrt(whole.var(1).mean())) if len(whole) else math.nan
    return {"correlation": correlation, "slope": float(np.polyfit(asked[there], got, 1)[0]), "moved": moved}
