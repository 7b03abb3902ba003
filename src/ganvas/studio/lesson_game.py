"""The game of the 1-D lesson, live: a process that reads orders as lines of JSON and writes states, some twenty a second.

The networks are those of the system that suits points; the player's rates and turns, the curve, its range and the noise on it
may change while it plays. Not a run: nothing is written, and nothing is left when it ends.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from ..errors import GanvasError

WINDOW = 1.0  # the frame that networks see: the curves as they are lie in [-1, 1]
SHOWN, TRUE_SHOWN = 240, 400  # points of a state
STATES = 20.0  # a second, at most
PATIENCE = 0.04  # seconds that rounds of one state may take, so that states keep coming on a busy machine
JUDGED, DIRECTIONS, EVERY = 1000, 256, 1.0  # of the measure of the proof: points and directions, and how often in seconds
QUICK_JUDGED, QUICK_DIRECTIONS = 400, 48
CYCLE = 1_000_000  # samples on one pattern, where all come in turn
SETTLED = 0.2  # of the samples of a turn: over the last of them rates fall, so that points come to rest
LIMITS = {
    "generator_rate": (0.0, 0.1), "discriminator_rate": (0.0, 0.1), "generator_turns": (0, 20), "discriminator_turns": (0, 20),
    "noise": (0.0, 1.0), "width": (2, 512), "layers": (1, 6), "latent": (1, 64), "speed": (1, 50), "seed": (0, 2**31 - 1),
    "x_low": (-10.0, 10.0), "x_high": (-10.0, 10.0), "y_low": (-10.0, 10.0), "y_high": (-10.0, 10.0), "batch": (16, 4096),
}  # fmt: skip


@dataclass
class Wanted:
    """What the page asked for. pattern: a name, `formula` or `drawn`. anew: settings that only new networks can follow."""

    pattern: str = "sine"
    formula: str = "sin(3*x)*x;x=-1..1"
    drawn: list[list[float]] = field(default_factory=list)
    cycle: bool = False
    seed: int = 1
    generator_rate: float = 1e-3
    discriminator_rate: float = 2.5e-4
    generator_turns: int = 1
    discriminator_turns: int = 1
    noise: float = 0.0
    width: int = 128
    layers: int = 3
    latent: int = 2
    batch: int = 512
    speed: int = 5
    x_low: float = -1.0
    x_high: float = 1.0
    y_low: float = -1.0
    y_high: float = 1.0
    settle: bool = True

    def take(self, values: dict[str, Any]) -> bool:
        """Take settings over; whether networks have to be made anew. Raises GanvasError."""
        before = (self.seed, self.width, self.layers, self.latent, self.batch)
        for name, value in values.items():
            if name in LIMITS:
                low, high = LIMITS[name]
                if not isinstance(value, int | float) or not low <= value <= high:
                    raise GanvasError(f"{name.replace('_', ' ')} is a number from {low:g} to {high:g}")
                setattr(self, name, type(getattr(self, name))(value))
            elif name in ("cycle", "settle"):
                setattr(self, name, bool(value))
            elif name == "drawn":
                self.drawn = [[float(x), float(y)] for x, y in value][:2000]
            elif name in ("pattern", "formula"):
                setattr(self, name, str(value)[:300])
        if self.x_low >= self.x_high or self.y_low >= self.y_high:
            raise GanvasError("a range goes from a smaller to a larger number")
        return before != (self.seed, self.width, self.layers, self.latent, self.batch)


Curve = Callable[[int, np.random.Generator], np.ndarray]


def curve_of(wanted: Wanted) -> Curve:
    """Draws points (N, 2) of the curve, in its range. Raises GanvasError for a formula that cannot be read."""
    from ..data.phantoms import PATTERNS
    from ..data.phantoms.patterns import Formula, _points

    if wanted.pattern == "drawn":
        line = _even(np.array(wanted.drawn, float).reshape(-1, 2))
        if len(line) < 2:
            raise GanvasError("draw a line first: press and move over the plot")
        return lambda count, rng: line[rng.integers(len(line), size=count)].astype(np.float32)
    if wanted.pattern == "formula":
        formula = Formula(wanted.formula)

        def points(count: int, rng: np.random.Generator) -> np.ndarray:
            x = rng.uniform(formula.low, formula.high, count)
            return np.stack([x, formula(x)], 1).astype(np.float32)

        return points
    if wanted.pattern not in PATTERNS:
        raise GanvasError(f"there is no pattern '{wanted.pattern}'")
    low, high = np.array([wanted.x_low, wanted.y_low]), np.array([wanted.x_high, wanted.y_high])
    name = wanted.pattern
    return lambda count, rng: ((_points(name, count, rng) + 1) / 2 * (high - low) + low).astype(np.float32)


def _even(line: np.ndarray, count: int = 2000) -> np.ndarray:
    """A line (K, 2) at `count` places that are equally far apart along it."""
    if len(line) < 2:
        return line
    steps = np.hypot(*np.diff(line, axis=0).T)
    steps[steps > 0.3] = 0  # the mouse was lifted
    along = np.concatenate([[0], np.cumsum(steps)])
    if along[-1] <= 0:
        return line[:1]
    places = np.linspace(0, along[-1], count)
    return np.stack([np.interp(places, along, line[:, k]) for k in (0, 1)], 1)


class _Stream:
    """Fresh points of the curve of the moment."""

    def __init__(self, game: Game) -> None:
        self.game = game

    def draw(self, noise: Any) -> Any:
        import torch

        from ..batches import Batch
        from ..specs import REAL

        return Batch(noise, {REAL: torch.from_numpy(self.game.true_points(self.game.wanted.batch))}, None)

    def configure(self, **overrides: Any) -> None: ...

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Any) -> None: ...


class Game:
    """The networks and their engine, on the curve of the moment."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.anew()

    def anew(self) -> None:
        """Fresh networks."""
        import torch

        from ..data.phantoms import catalogue
        from ..engine import Engine
        from ..kinds import kind_of
        from ..registry import load_system, suited

        wanted = self.wanted
        self.rng = np.random.default_rng(wanted.seed)
        self.judge = np.random.default_rng(10_000 + wanted.seed)
        self.curve_anew()
        kind = kind_of(catalogue()["patterns"].kind)
        spec = kind.example(1, 2)
        _, _, base = load_system(suited(kind.name, {"anything"})[0].name)
        game = self

        class Live(base):  # type: ignore[misc, valid-type]
            """The same game, whose rates and turns are those of the page."""

            def players(self) -> Any:
                return tuple(replace(own, rate=lambda clock, name=own.name: game.rate(name)) for own in super().players())

            def phases(self) -> Any:
                return tuple(
                    replace(
                        phase, turns=tuple(replace(turn, times=self._times(turn.player), fresh=True) for turn in phase.turns)
                    )
                    for phase in super().phases()
                )

            def _times(self, player: str) -> Any:
                return lambda clock: int(getattr(game.wanted, f"{player}_turns"))

        config = base.Config(
            latent_size=wanted.latent, width=wanted.width, layers=wanted.layers, generator_learning_rate=1.0,
            discriminator_learning_rate=1.0, linear_decay=False, batch_size=wanted.batch,
        )  # fmt: skip
        torch.manual_seed(wanted.seed)
        self.system: Any = Live(spec, config)
        self.engine = Engine(self.system, {"data": _Stream(self)}, seed=wanted.seed, check_every=8)
        self.terms: dict[str, float] = {}
        self.begun = 0  # samples when the curve of the moment began

    def curve_anew(self) -> None:
        """The curve as it is wanted now. Raises GanvasError."""
        self.curve = curve_of(self.wanted)
        points = self.curve(TRUE_SHOWN * 4, np.random.default_rng(0))
        spread = np.ptp(points, axis=0)
        self.diagonal = float(math.hypot(*spread)) or 1.0
        self.shown = points[:TRUE_SHOWN]
        self.told = False
        if hasattr(self, "engine"):
            self.begun = self.engine.clock.samples

    def rate(self, player: str) -> float:
        """The learning rate of a player now; towards the end of a pattern's turn it falls, if that is wanted."""
        rate = float(getattr(self.wanted, f"{player}_rate"))
        return rate * self.ease()

    def ease(self) -> float:
        if not self.wanted.settle:
            return 1.0
        share = (self.engine.clock.samples - self.begun) / CYCLE
        if not self.wanted.cycle:  # one pattern: full rates at first, and a tenth for as long as it is looked at
            return float(min(1.0, max(0.05, (1.0 - share) / (1 - SETTLED))))
        return float(min(1.0, max(0.02, (1.0 - share) / (1 - SETTLED))))

    def true_points(self, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        """Points of the curve with the noise that is wanted."""
        rng = self.rng if rng is None else rng
        points = self.curve(count, rng)
        if self.wanted.noise:
            points = (points + rng.normal(0, self.wanted.noise, points.shape)).astype(np.float32)
        return points

    def play(self, rounds: int) -> None:
        """Some rounds; the next pattern when it is its turn."""
        for _ in range(rounds):
            report = self.engine.play_round()
            if report is not None and report.terms:
                self.terms = report.terms
        if self.wanted.cycle and self.engine.clock.samples - self.begun >= CYCLE:
            from ..data.phantoms import PATTERNS

            names = list(PATTERNS)
            place = names.index(self.wanted.pattern) if self.wanted.pattern in names else -1
            self.wanted.pattern = names[(place + 1) % len(names)]
            self.curve_anew()

    def made(self, count: int, seed: int) -> np.ndarray:
        """Points of the averaged generator; the same latents for the same seed."""
        import torch

        from ..batches import Noise

        with self.engine.watching(), torch.no_grad():
            found: np.ndarray = self.system.sample(count, Noise.seeded(seed, "cpu")).numpy()
        return found

    def accuracy(self) -> float:
        """How often D is right now, of fresh points of both sides."""
        import torch

        true = torch.from_numpy(self.true_points(256, self.judge))
        with self.engine.watching(), torch.no_grad():
            from ..batches import Noise

            noise = Noise.seeded(int(self.judge.integers(2**31)), "cpu")
            fake = self.system.generator(noise.normal(256, self.wanted.latent), None)
            said = self.system.discriminator(true, None), self.system.discriminator(fake, None)
            right = (said[0] > 0).float().mean() + (said[1] < 0).float().mean()
        return float(right / 2)

    def error(self, count: int, directions: int) -> float:
        """Distance of points made to true ones, over the diagonal of the curve's box: the measure of the proof."""
        from ..metrics.points import sliced_wasserstein

        fake = self.made(count, int(self.judge.integers(2**31)))
        if not np.isfinite(fake).all():
            return float("nan")
        return sliced_wasserstein(fake, self.curve(count, self.judge), directions=directions) / self.diagonal

    def state(self, full: bool) -> dict[str, Any]:
        """What the page draws. full: with the error as the proof measures it."""
        wanted, clock = self.wanted, self.engine.clock
        fake = self.made(SHOWN, wanted.seed)
        found: dict[str, Any] = {
            "round": clock.round, "samples": clock.samples, "pattern": wanted.pattern,
            "fake": _short(fake), "terms": {name: round(value, 5) for name, value in self.terms.items()},
            "accuracy": round(self.accuracy(), 4), "error_value": _plain(self.error(QUICK_JUDGED, QUICK_DIRECTIONS)),
            "rate": self.ease(),
        }  # fmt: skip
        if full:
            found["proof"] = _plain(self.error(JUDGED, DIRECTIONS))
        if not self.told:
            found["real"] = _short(self.shown)
            self.told = True
        return found


def _plain(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None


def _short(points: np.ndarray) -> list[list[float]]:
    return [[round(float(x), 3), round(float(y), 3)] for x, y in np.nan_to_num(points, nan=99, posinf=99, neginf=-99)]


def main() -> int:
    """Orders from standard input until it ends."""
    import torch

    torch.set_num_threads(1)
    orders: SimpleQueue[dict[str, Any] | None] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            try:
                orders.put(json.loads(line))
            except ValueError:
                continue
        orders.put(None)

    threading.Thread(target=read, daemon=True).start()
    wanted = Wanted()
    game = Game(wanted)
    playing, dirty, last_full = False, True, 0.0
    while True:
        began = time.monotonic()
        try:
            while True:
                order = (
                    orders.get(timeout=None if not (playing or dirty) else 0) if not (playing or dirty) else orders.get_nowait()
                )
                if order is None:
                    if dirty:
                        _tell({**game.state(False), "playing": False})
                    return 0
                playing = _obey(game, order, playing)
                dirty = True
        except Empty:
            pass
        except GanvasError as error:
            _tell({"error": " ".join(str(error).split())})
            continue
        if playing:
            try:
                for _ in range(wanted.speed):
                    game.play(1)
                    if time.monotonic() - began > PATIENCE:
                        break
            except GanvasError as error:  # NaN too often
                playing = False
                _tell({"error": f"{error}: press restart"})
                continue
        full = began - last_full >= EVERY
        last_full = began if full else last_full
        _tell({**game.state(full), "playing": playing})
        dirty = False
        if playing:
            time.sleep(max(0.0, 1 / STATES - (time.monotonic() - began)))


def _obey(game: Game, order: dict[str, Any], playing: bool) -> bool:
    wanted = game.wanted
    if values := order.get("set"):
        before = (wanted.pattern, wanted.formula, len(wanted.drawn), wanted.x_low, wanted.x_high, wanted.y_low, wanted.y_high)
        held = replace(wanted)
        try:
            anew = wanted.take(dict(values))
            after = (
                wanted.pattern,
                wanted.formula,
                len(wanted.drawn),
                wanted.x_low,
                wanted.x_high,
                wanted.y_low,
                wanted.y_high,
            )
            if before != after or "drawn" in values:
                game.curve_anew()
        except GanvasError:
            vars(wanted).update(vars(held))
            raise
        if anew:
            game.anew()
    what = order.get("do")
    if what == "restart":
        game.anew()
    if what == "step":
        game.play(1)
        return False
    if what == "again":
        game.told = False
    return {"play": True, "pause": False}.get(str(what), playing)


def _tell(state: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(state, separators=(",", ":")) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
