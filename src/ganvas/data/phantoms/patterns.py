"""The five 1-D patterns of the teaching lesson, as points (x, y), and the user's own pattern from a formula in x.

x runs over [-1, 1] (the circle has radius 1); y is the pattern's height there. The patterns are those of Erickson and Cai,
"Magician's Corner: 5. Generative Adversarial Networks" (Radiology: Artificial Intelligence 2020).
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import DataError, did_you_mean
from . import PhantomData

NAMES = ("sine", "square", "parabola", "sawtooth", "circle")
PERIODS = 2  # of sine, square and sawtooth over the range of x


def _sine(u: np.ndarray) -> np.ndarray:
    x = 2 * u - 1
    return np.stack([x, np.sin(math.pi * PERIODS * x)], 1)


def _square(u: np.ndarray) -> np.ndarray:
    x = 2 * u - 1
    return np.stack([x, np.where((x * PERIODS / 2) % 1.0 < 0.5, 1.0, -1.0)], 1)


def _parabola(u: np.ndarray) -> np.ndarray:
    x = 2 * u - 1
    return np.stack([x, 2 * x**2 - 1], 1)


def _sawtooth(u: np.ndarray) -> np.ndarray:
    x = 2 * u - 1
    return np.stack([x, 2 * ((x * PERIODS / 2) % 1.0) - 1], 1)


def _circle(u: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(2 * math.pi * u), np.sin(2 * math.pi * u)], 1)


_CURVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sine": _sine,
    "square": _square,
    "parabola": _parabola,
    "sawtooth": _sawtooth,
    "circle": _circle,
}


def pattern_points(name: str, n: int, seed: int = 0) -> np.ndarray:
    """(n, 2) float32 true points of one pattern, uniform in x (in angle, for the circle). Raises DataError."""
    if name not in _CURVES:
        raise DataError(f"unknown pattern '{name}'{did_you_mean(name, list(NAMES))}; patterns: {', '.join(NAMES)}")
    return _CURVES[name](np.random.default_rng([seed, NAMES.index(name)]).uniform(size=n)).astype(np.float32)


def diagonal(name: str) -> float:
    """Length of the diagonal of the pattern's bounding box: the unit in which distances are told."""
    curve = _CURVES[name](np.linspace(0, 1, 20001)[:-1])
    return float(np.linalg.norm(curve.max(0) - curve.min(0)))


def make(variant: str, n: int, seed: int) -> PhantomData:
    """`n` points of one pattern, or, with no variant, of all five in equal shares with one class each."""
    if variant:
        return PhantomData(pattern_points(variant, n, seed))
    labels = np.arange(n, dtype=np.int64) % len(NAMES)
    values = np.empty((n, 2), dtype=np.float32)
    for index, name in enumerate(NAMES):
        values[labels == index] = pattern_points(name, int((labels == index).sum()), seed)
    return PhantomData(values, labels, NAMES)


# The user's own pattern

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in ("sin", "cos", "tan", "exp", "log", "sqrt", "abs", "sign", "floor", "ceil", "tanh", "sinh", "cosh", "arctan")
}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_OPERATIONS: dict[type, Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.Mod: np.mod,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
}
_LONGEST = 200


def make_formula(text: str, n: int, seed: int) -> PhantomData:
    """`n` points (x, y) of y = formula, x uniform in -1..1 or in the range given: `x**2;x=-1..2`.

    The formula may use x, numbers, + - * / % **, parentheses, pi, e and sin, cos, tan, exp, log, sqrt, abs, sign, floor, ceil,
    tanh, sinh, cosh, arctan. It is parsed, never evaluated as Python. Raises DataError in one line.
    """
    formula, _, domain = text.partition(";")
    low, high = _domain(domain) if domain.strip() else (-1.0, 1.0)
    evaluate = parse_formula(formula)
    x = np.random.default_rng(seed).uniform(low, high, size=n)
    with np.errstate(all="ignore"):
        y = np.broadcast_to(np.asarray(evaluate(x), dtype=np.float64), x.shape)
    if not np.isfinite(y).all():
        where = float(x[~np.isfinite(y)][0])
        raise DataError(f"formula '{formula}' is not finite at x = {where:.3g}: choose another range, as in  {formula};x=0.1..1")
    return PhantomData(np.stack([x, y], 1).astype(np.float32))


def _domain(text: str) -> tuple[float, float]:
    number = r"([-+]?[0-9]*\.?[0-9]+)"
    match = re.fullmatch(rf"\s*x\s*=\s*{number}\s*\.\.\s*{number}\s*", text)
    if match is None or not float(match[1]) < float(match[2]):
        raise DataError(f"range '{text.strip()}' is not understood: write it as  x=-2..2, the smaller number first")
    return float(match[1]), float(match[2])


def parse_formula(text: str) -> Callable[[np.ndarray], Any]:
    """A function of x from its text. Raises DataError naming what is not allowed."""
    if len(text) > _LONGEST:
        raise DataError(f"formula of {len(text)} characters: the most is {_LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise DataError(f"formula '{text}' cannot be read: write it in x, as in  sin(3*x)*x") from error
    _check(tree, text)
    return lambda x: _evaluate(tree, x)


def _check(node: ast.AST, text: str) -> None:
    allowed = ""
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        _check(node.left, text)
        _check(node.right, text)
    elif isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATIONS:
        _check(node.operand, text)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords and len(node.args) == 1:
        if node.func.id not in _FUNCTIONS:
            close = did_you_mean(node.func.id, list(_FUNCTIONS))
            raise DataError(f"formula '{text}': unknown function '{node.func.id}'{close}; known: {', '.join(_FUNCTIONS)}")
        _check(node.args[0], text)
    elif isinstance(node, ast.Name):
        if node.id != "x" and node.id not in _CONSTANTS:
            raise DataError(f"formula '{text}': unknown name '{node.id}'; it may use x, pi and e")
    elif not (isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)):
        allowed = "x, numbers, + - * / % **, parentheses and functions such as sin(x)"
    if allowed:
        raise DataError(f"formula '{text}' has a part that is not allowed: it may use {allowed}")


def _evaluate(node: ast.AST, x: np.ndarray) -> Any:
    if isinstance(node, ast.BinOp):
        return _OPERATIONS[type(node.op)](_evaluate(node.left, x), _evaluate(node.right, x))
    if isinstance(node, ast.UnaryOp):
        return _OPERATIONS[type(node.op)](_evaluate(node.operand, x))
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)  # _check has seen to it
        return _FUNCTIONS[node.func.id](_evaluate(node.args[0], x))
    if isinstance(node, ast.Name):
        return x if node.id == "x" else _CONSTANTS[node.id]
    assert isinstance(node, ast.Constant)
    return float(node.value)  # type: ignore[arg-type]
