"""Curves in the plane: five fixed patterns and the user's own formula in x.

For watching a small network learn a shape and for measuring how well it did. Points read from a file are not made
here; they are data like any other.

The five patterns lie in [-1, 1] x [-1, 1]; x (for the circle: the angle) is uniform:

    sine       y = sin(2 pi x)             two periods
    square     y = sign(sin(2 pi x))       two periods, the jumps hold no points
    parabola   y = x^2
    sawtooth   y = 2 (x - floor(x)) - 1    two teeth
    circle     (cos t, sin t)
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable

import numpy as np

from ganvas.data.phantoms import PATTERNS, PhantomData, Progress
from ganvas.errors import DataError, did_you_mean

Array = np.ndarray

_CURVES: dict[str, Callable[[Array], Array]] = {
    "sine": lambda x: np.sin(2 * np.pi * x),
    "square": lambda x: np.where(np.sin(2 * np.pi * x) >= 0, 1.0, -1.0),
    "parabola": lambda x: x**2,
    "sawtooth": lambda x: 2 * (x - np.floor(x)) - 1,
}


def pattern_points(name: str, n: int, seed: int = 0) -> Array:
    """`n` points (N, 2) float32 of one of the five patterns. Raises DataError for an unknown name."""
    return _points(name, n, np.random.default_rng([seed, _index(name)]))


def _index(name: str) -> int:
    if name not in PATTERNS:
        raise DataError(f"unknown pattern '{name}'{did_you_mean(name, PATTERNS)}; known are {', '.join(PATTERNS)}")
    return PATTERNS.index(name)


def _points(name: str, n: int, rng: np.random.Generator) -> Array:
    t = rng.uniform(-1, 1, n)
    if name == "circle":
        return np.stack([np.cos(np.pi * t), np.sin(np.pi * t)], axis=1).astype(np.float32)
    return np.stack([t, _CURVES[name](t)], axis=1).astype(np.float32)


def diagonal(name: str) -> float:
    """Length of the diagonal of the box that a pattern (`sine` or `patterns:sine`) or a `formula:...` fills.

    It is the unit of distances on the curve. Raises DataError for an unknown name or a formula that cannot be read.
    """
    if name.startswith("formula:"):
        curve = Formula(name.removeprefix("formula:"))
        y = curve(curve.grid())
        return math.hypot(curve.high - curve.low, float(y.max() - y.min()))
    name = name.removeprefix("patterns:")
    _index(name)
    return math.hypot(2.0, 1.0 if name == "parabola" else 2.0)


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """One pattern, or all five in turn (so that every run of five samples holds each once)."""
    if variant is None:
        streams = [pattern_points(name, -(-n // len(PATTERNS)), seed) for name in PATTERNS]
        values = np.stack(streams, axis=1).reshape(-1, 2)[:n]
        labels = np.arange(n, dtype=np.int64) % len(PATTERNS)
        classes = PATTERNS
    else:
        values = pattern_points(variant, n, seed)
        labels = np.zeros(n, dtype=np.int64)
        classes = (variant,)
    if progress is not None:
        progress(n, n)
    return PhantomData(values, labels, classes)


def make_formula(variant: str, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """Points (x, f(x)) of the user's formula, x uniform over its range."""
    curve = Formula(variant)
    x = np.random.default_rng([seed, len(PATTERNS)]).uniform(curve.low, curve.high, n)
    values = np.stack([x, curve(x)], axis=1).astype(np.float32)
    if progress is not None:
        progress(n, n)
    return PhantomData(values, None, ())


_FUNCTIONS: dict[str, tuple[int, Callable[..., Array]]] = {
    "sin": (1, np.sin),
    "cos": (1, np.cos),
    "tan": (1, np.tan),
    "asin": (1, np.arcsin),
    "acos": (1, np.arccos),
    "atan": (1, np.arctan),
    "sinh": (1, np.sinh),
    "cosh": (1, np.cosh),
    "tanh": (1, np.tanh),
    "exp": (1, np.exp),
    "log": (1, np.log),
    "sqrt": (1, np.sqrt),
    "abs": (1, np.abs),
    "sign": (1, np.sign),
    "floor": (1, np.floor),
    "ceil": (1, np.ceil),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}
_CONSTANTS = {"pi": math.pi, "e": math.e, "tau": math.tau}
_OPERATORS: dict[type[ast.operator], Callable[[Array, Array], Array]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Mod: np.mod,
    ast.FloorDiv: np.floor_divide,
    ast.Pow: np.power,
}
_LONGEST = 200  # characters; also bounds how deep the tree can be


class Formula:
    """A formula in x, as `sin(3*x)*x` or `sin(3*x)*x;x=-3..3` (without a range x runs over -1..1).

    Known are numbers, x, pi, e, tau, + - * / // % ** and brackets, and the functions in the error message of an unknown
    one. The text is parsed into a tree of which only these nodes are accepted, and the tree is computed with numpy on
    float64: no name, attribute or code of the text is ever evaluated. Calling it with x (N,) gives y (N,).

    Raises DataError, in one line, for anything else, and where the formula is not finite.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        body, semicolon, limits = self.text.partition(";")
        if len(self.text) > _LONGEST:
            raise DataError(f"formula {self.text[:30]!r}... is longer than {_LONGEST} characters; shorten it")
        self.tree = self._parse(body)
        self.low, self.high = -1.0, 1.0
        if semicolon:
            name, equals, span = limits.replace(" ", "").partition("=")
            low, dots, high = span.partition("..")
            if name != "x" or not equals or not dots or not low or not high:
                raise self._error(f"cannot read the range {limits.strip()!r}; write it as ;x=-3..3")
            with np.errstate(all="ignore"):
                self.low, self.high = (float(self._compute(self._parse(end), None)) for end in (low, high))
            if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
                raise self._error(f"the range {limits.strip()!r} must go from a smaller to a larger number")
        self(self.grid())

    def grid(self) -> Array:
        """2001 evenly spaced x over the range, its ends and middle among them."""
        return np.linspace(self.low, self.high, 2001)

    def __call__(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            y = np.broadcast_to(self._compute(self.tree, np.asarray(x, dtype=np.float64)), np.shape(x))
            # float32 is what the points are kept in, so that is where they must be finite.
            bad = ~np.isfinite(y.astype(np.float32))
        if bad.any():
            where = float(np.asarray(x)[bad][0])
            raise self._error(f"it is not finite at x = {where:.4g}; choose a range without that point, as in ;x=0.1..3")
        return y

    def _error(self, what: str) -> DataError:
        return DataError(f"formula {self.text!r}: {what}")

    def _parse(self, text: str) -> ast.expr:
        try:
            with warnings.catch_warnings():  # Python comments on spellings such as '1or'
                warnings.simplefilter("ignore")
                return ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            raise self._error(f"cannot read {text.strip()!r}; write it like sin(3*x)*x + x**2") from None

    def _compute(self, node: ast.expr, x: Array | None) -> Array:
        match node:
            case ast.Constant(value=bool()):
                pass
            case ast.Constant(value=int() | float() as number):
                try:
                    return np.asarray(float(number))
                except OverflowError:
                    raise self._error("a number in it is too large") from None
            case ast.Name(id="x") if x is not None:
                return x
            case ast.Name(id=name) if name in _CONSTANTS:
                return np.asarray(_CONSTANTS[name])
            case ast.Name(id=name):
                if name in _FUNCTIONS:
                    raise self._error(f"'{name}' needs brackets, as in {name}(x)")
                known = ["x"] if x is not None else []
                raise self._error(f"unknown name '{name}'; known are {', '.join([*known, *_CONSTANTS])}")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return np.negative(self._compute(operand, x))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._compute(operand, x)
            case ast.BinOp(op=ast.BitXor()):
                raise self._error("write powers as x**2, not x^2")
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                return _OPERATORS[type(operator)](self._compute(left, x), self._compute(right, x))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                if name not in _FUNCTIONS:
                    raise self._error(
                        f"unknown function '{name}'{did_you_mean(name, list(_FUNCTIONS))}; known are {', '.join(_FUNCTIONS)}"
                    )
                count, function = _FUNCTIONS[name]
                if len(args) != count:
                    raise self._error(f"'{name}' takes {count} value{'s' if count > 1 else ''}, not {len(args)}")
                return function(*(self._compute(argument, x) for argument in args))
        raise self._error(f"'{ast.unparse(node)}' is not allowed; use numbers, x, pi, e, tau, + - * / // % ** and functions")
