"""`ganvas train --privacy epsilon=8`: what the words mean, how much noise they take, and what a run has spent.

The accounting is Opacus' own (`opacus.accountants`, Renyi differential privacy of the sampled Gaussian mechanism): for noise
sigma, sampling rate q and T steps it says for which epsilon the whole is (epsilon, delta)-private. Not for the gradients
(`optim.private`), nor for who is sampled (`data.poisson`). Free of torch until it counts.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import GanvasError, MissingExtra, did_you_mean
from .budget import Budget
from .settings import Settings

SPENT = "privacy.json"
PARTS = ("epsilon", "delta", "clip", "noise", "key")
CLIP, SHARE_OF_DELTA = 1.0, 10  # delta is at most 1 / (SHARE_OF_DELTA x persons) where nobody says
MOST_STEPS = 2**31
SMALLEST_NOISE, LARGEST_EPSILON = 0.05, 1e4
NOT_COVERED = (
    "held-out records, and what is measured on records afterwards (evaluate, audit): such figures tell of the records",
    "the number of records and of persons, the names of classes, and the settings",
)


@dataclass(frozen=True)
class Privacy:
    """What was asked for. epsilon, delta: the promise, None while delta is to be chosen. clip: bound on the norm of a record's
    gradient. noise: in units of it, None while it is to be found. key: hexadecimal digits, None for a secret one."""

    epsilon: float
    delta: float | None = None
    clip: float = CLIP
    noise: float | None = None
    key: str | None = None

    def __str__(self) -> str:
        values = {name: getattr(self, name) for name in PARTS}
        return ",".join(f"{k}={v if isinstance(v, str) else format(v, '.6g')}" for k, v in values.items() if v is not None)


def parse_privacy(text: str) -> Privacy:
    """`epsilon=8`, `epsilon=2,delta=1e-6,clip=0.5,noise=1.1`. Raises GanvasError in one line."""
    values: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise GanvasError(
                f"--privacy '{text}' is not understood: use for example  --privacy epsilon=8  (parts: {', '.join(PARTS)})"
            )
        if name not in PARTS:
            raise GanvasError(f"--privacy has no part '{name}'{did_you_mean(name, PARTS)}: its parts are {', '.join(PARTS)}")
        if name in values:
            raise GanvasError(f"--privacy: '{name}' stands twice: keep one")
        values[name] = _key(value) if name == "key" else _number(name, value)
    if "epsilon" not in values:
        raise GanvasError(f"--privacy '{text}' promises nothing without epsilon: use for example  --privacy epsilon=8,{text}")
    return Privacy(**values)


def _number(name: str, text: str) -> float:
    high = {"epsilon": LARGEST_EPSILON, "delta": 1.0}.get(name, math.inf)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < high:
        told = f"between 0 and {high:g}" if math.isfinite(high) else "above 0"
        more = ", or leave --privacy out" if name in ("epsilon", "noise") else ""
        raise GanvasError(f"--privacy {name}={text}: has to be a number {told}{more}")
    if name == "noise" and value < SMALLEST_NOISE:
        raise GanvasError(f"--privacy noise={text}: less than {SMALLEST_NOISE} protects nobody: use more, or leave it out")
    return value


def _key(text: str) -> str:
    try:
        return f"{int(text, 16):x}" if int(text, 16) >= 0 else _key("?")
    except ValueError:
        raise GanvasError(f"--privacy key={text}: has to be hexadecimal digits; leave it out for a secret one") from None


def without_key(text: str) -> str:
    """The words of a run without its key, for others to read."""
    return str(dataclasses.replace(parse_privacy(text), key=None))


# Accounting


@functools.cache
def _opacus() -> Any:
    try:
        from opacus import accountants
        from opacus.accountants import utils
    except ImportError as error:
        raise MissingExtra("opacus", "privacy") from error
    return accountants, utils


def epsilon_of(noise: float, rate: float, steps: int, delta: float) -> float:
    """The epsilon of `steps` with this noise and sampling rate, at this delta, by Opacus' RDP accountant; 0 for no step."""
    if steps == 0:
        return 0.0
    accountants, _ = _opacus()
    accountant = accountants.RDPAccountant()
    accountant.history = [(noise, rate, steps)]
    with warnings.catch_warnings():  # that a finer grid of orders might find a smaller epsilon: what it finds is true
        warnings.simplefilter("ignore")
        return float(accountant.get_epsilon(delta=delta))


def noise_for(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """The least noise with which these steps stay within epsilon, by Opacus, rounded up. Raises GanvasError when none does."""
    _, utils = _opacus()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = utils.get_noise_multiplier(
                target_epsilon=epsilon, target_delta=delta, sample_rate=rate, steps=steps, accountant="rdp",
                epsilon_tolerance=min(0.01, epsilon / 1000),
            )  # fmt: skip
    except ValueError:
        raise GanvasError(
            f"--privacy epsilon={epsilon:g}: no noise is enough for {steps:,} steps at delta {delta:g}: use a larger epsilon, "
            "fewer rounds, or more records"
        ) from None
    digits = 10 ** (3 - math.floor(math.log10(found)))
    return max(SMALLEST_NOISE, math.ceil(found * digits) / digits)


def steps_within(epsilon: float, noise: float, rate: float, delta: float) -> int:
    """How many steps stay within epsilon."""
    low, high = 0, 1
    while high < MOST_STEPS and epsilon_of(noise, rate, high, delta) <= epsilon:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if epsilon_of(noise, rate, middle, delta) <= epsilon else (low, middle)
    return low


# A run


def prepared(settings: Settings) -> Settings:
    """The settings of a private run before its data is read: full numbers, and no watch, which looks at training records.

    Raises GanvasError for words or settings that cannot be served.
    """
    if settings.privacy is None:
        return settings
    parse_privacy(settings.privacy)
    _opacus()
    cannot = {
        "--processes": settings.processes > 1,
        "--micro-batches": settings.micro_batches > 1,
        "--compile": settings.compile,
        "--recompute-activations": settings.recompute_activations,
        f"--precision {settings.precision}": settings.precision not in ("auto", "32", "64"),
        "--until plateau": settings.until == "plateau",
        f"--on-alarm {settings.on_alarm}": settings.on_alarm in ("rollback", "restart"),
    }
    for option, given in cannot.items():
        if given:
            raise GanvasError(f"--privacy and {option} cannot be combined: leave one of them out")
    return dataclasses.replace(settings, watch="off", precision="64" if settings.precision == "64" else "32")


def settle(settings: Settings, system: Any, dataset: Any, batch_size: int, budget: Budget) -> tuple[Settings, list[str]]:
    """The settings of a private run with delta and noise found, and what to tell of it; as they were without `--privacy`.

    system: built, on the CPU. Raises GanvasError in one line for what cannot be made private.
    """
    if settings.privacy is None:
        return settings, []
    asked = parse_privacy(settings.privacy)
    from ..data.poisson import PoissonStream, new_key
    from ..optim.private import seen_in

    feeds = system.feeds()
    if len(feeds) != 1:
        raise GanvasError(
            f"--privacy: this system has streams of the data beside one another ({', '.join(feeds)}): take another"
        )
    stream = PoissonStream(dataset, feeds["data"], batch_size, key=asked.key or new_key())
    seen = seen_in(system, system.phases(), stream.blank, dict(system.sources()))
    if seen.times is None:
        raise GanvasError(
            f"--privacy: how often '{seen.turn}' moves is found out in the game, so no noise can be chosen: take another"
        )
    persons, rate = stream.persons, stream.rate
    delta = 10.0 ** -math.ceil(math.log10(SHARE_OF_DELTA * persons)) if asked.delta is None else asked.delta
    if delta > 1 / persons:
        raise GanvasError(
            f"--privacy delta={delta:g}: with {persons:,} persons it may give one of them away whole: use less than "
            f"{1 / persons:.1g}"
        )
    rounds = budget.rounds if budget.samples is None else math.ceil(budget.samples / batch_size)
    noise = asked.noise
    if noise is None:
        if rounds is None:
            raise GanvasError(
                f"--privacy epsilon={asked.epsilon:g}: how much noise that takes follows from the rounds: say how many, as  "
                "--budget 2000r , or how much noise, as  --privacy epsilon=8,noise=1.1"
            )
        noise = noise_for(asked.epsilon, delta, rate, max(1, math.ceil(rounds * seen.times)))
    settled = dataclasses.replace(asked, delta=delta, noise=noise)
    steps = steps_within(asked.epsilon, noise, rate, delta)
    if steps == 0:
        raise GanvasError(f"--privacy epsilon={asked.epsilon:g}: noise={noise:g} spends more in a single step: use more noise")
    told = [
        f"privacy: epsilon {asked.epsilon:g} at delta {delta:g} for each of {persons:,} persons"
        + (f" (up to {stream.largest} records each)" if stream.largest > 1 else " (a record each)")
        + f": noise {noise:g}, clip {asked.clip:g}, enough for {steps:,} private steps of '{seen.turn}', {batch_size} records "
        "each on average",
        "privacy: the watch is off, and nothing is measured while training, because that looks at training records",
    ]
    if learns := _learnt(dataset):
        entries = ", ".join(dict.fromkeys(entry for own in learns.values() for entry in own))
        told.append(
            f"privacy does not cover what is learnt of {' and '.join(learns)} before the game ({entries}): it is taken from "
            "the training records as it is"
        )
    if asked.key is not None:
        told.append(
            "privacy: the key was given, so whoever knows it can take the noise off again: leave key= out for a secret one"
        )
    return dataclasses.replace(settings, privacy=str(settled)), told


def _learnt(dataset: Any) -> dict[str, tuple[str, ...]]:
    """What specs learn of records before the game, by field."""
    from ..kinds import kind_of
    from ..kinds.facets import Learns

    kinds = {name: kind_of(part.spec.kind) for name, part in dataset.fields.items() if not part.declared}
    return {name: tuple(kind.learnt) for name, kind in kinds.items() if isinstance(kind, Learns)}


class Purse:
    """What a private run may spend, and has spent. stream: its `PoissonStream`. a_round: steps of a round, at most."""

    def __init__(self, asked: Privacy, stream: Any, a_round: int) -> None:
        assert asked.delta is not None and asked.noise is not None  # settled before the run began
        self.asked, self.stream, self.delta, self.noise = asked, stream, asked.delta, asked.noise
        self.a_round = a_round
        self.steps = steps_within(asked.epsilon, asked.noise, stream.rate, asked.delta)

    def spent(self) -> float:
        """The epsilon of all steps so far."""
        return epsilon_of(self.noise, self.stream.rate, self.stream.steps, self.delta)

    def empty(self) -> bool:
        """Whether another round would cost more than there is left."""
        return bool(self.stream.steps + self.a_round > self.steps)

    def told(self) -> dict[str, Any]:
        """Plain values: the promise, what was spent of it, and by what; `secret` is whether the key is one."""
        return {
            "epsilon": self.asked.epsilon, "delta": self.delta, "spent": round(self.spent(), 4), "steps": self.stream.steps,
            "most_steps": self.steps, "noise": self.noise, "clip": self.asked.clip, "rate": self.stream.rate,
            "persons": self.stream.persons, "records_a_person": self.stream.largest, "accountant": "rdp",
            "secret": self.asked.key is None,
        }  # fmt: skip


def purse_of(settings: Settings, engine: Any) -> Purse | None:
    """The purse of a run whose Engine was made private; None without `--privacy`."""
    if settings.privacy is None:
        return None
    times = [t for t in (_steps_in(phase) for phase in engine.phases) if t]
    return Purse(parse_privacy(settings.privacy), engine.streams["data"], max(times, default=1))


def _steps_in(phase: Any) -> int:
    """Private steps of one round of a phase, at most."""
    from ..optim.private import PrivateObjective

    return sum(int(turn.times) for turn in phase.turns if isinstance(turn.objective, PrivateObjective))


def read_spent(run: Path) -> dict[str, Any] | None:
    """What a run has spent, as it stood at its last checkpoint; None for a run without privacy."""
    try:
        found: dict[str, Any] = json.loads((run / SPENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def sentence_of(spent: dict[str, Any]) -> str:
    """The guarantee of a run, in words: for report and card."""
    each = "record" if spent["records_a_person"] == 1 else f"person (up to {spent['records_a_person']} records)"
    text = (
        f"epsilon {spent['spent']:.3g} of {spent['epsilon']:g} spent, at delta {spent['delta']:g}, for each {each} of "
        f"{spent['persons']:,}: {spent['steps']:,} steps with noise {spent['noise']:g} and clip {spent['clip']:g} (Renyi "
        "accountant of Opacus)"
    )
    return text if spent["secret"] else f"{text}; its key was given, and is no secret"
