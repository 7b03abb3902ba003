"""The five curves and formulas: points lie on the curve, fill it, and nothing of a formula is ever executed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganvas.data.phantoms import PATTERNS, make_phantom
from ganvas.data.phantoms.patterns import Formula, diagonal, pattern_points
from ganvas.errors import DataError


@pytest.mark.parametrize("name", PATTERNS)
def test_points_lie_on_the_curve_and_fill_it(name: str) -> None:
    x, y = pattern_points(name, 4000, 1).T.astype(np.float64)
    if name == "circle":
        assert np.hypot(x, y) == pytest.approx(np.ones(4000), abs=1e-6)
        assert np.histogram(np.arctan2(y, x), 12, (-np.pi, np.pi))[0].min() > 200
        return
    assert np.histogram(x, 20, (-1, 1))[0].min() > 130
    expected = {
        "sine": np.sin(2 * np.pi * x),
        "square": np.where((x % 1) < 0.5, 1.0, -1.0),
        "parabola": x * x,
        "sawtooth": 2 * (x % 1) - 1,
    }[name]
    # float32 x near a jump may fall on its other side
    assert np.quantile(np.abs(y - expected), 0.99) < 1e-5


@pytest.mark.parametrize("name", PATTERNS)
def test_diagonal_is_that_of_the_box_of_the_points(name: str) -> None:
    points = pattern_points(name, 20000)
    assert diagonal(name) == pytest.approx(float(np.hypot(*np.ptp(points, axis=0))), rel=1e-3)
    assert diagonal(f"patterns:{name}") == diagonal(name)


def test_all_five_are_balanced_and_labelled() -> None:
    made = make_phantom("patterns", 103)
    assert made.classes == PATTERNS
    assert np.bincount(made.labels).tolist() == [21, 21, 21, 20, 20]
    circle = made.values[made.labels == PATTERNS.index("circle")]
    assert np.hypot(*circle.T) == pytest.approx(np.ones(len(circle)), abs=1e-6)


def test_unknown_pattern_is_refused() -> None:
    with pytest.raises(DataError, match="did you mean 'circle'"):
        pattern_points("circel", 3)


@pytest.mark.parametrize(
    ("text", "at", "value"),
    [
        ("x", 0.25, 0.25),
        ("sin(3*x)*x;x=-3..3", 2.0, math.sin(6.0) * 2),
        ("-x**2 + 3*x - 1/2", 0.5, 0.75),
        ("2**-x", 1.0, 0.5),
        ("max(x, 0) + min(x, 0.5) ; x = -1 .. 2", 2.0, 2.5),
        ("7", 0.0, 7.0),
        ("e**x + pi - tau", 0.0, 1 + math.pi - math.tau),
        ("x // 0.3 + x % 0.3;x=0..1", 0.7, 2 + 0.1),
        ("tanh(x) + abs(x) + sign(x) + floor(x);x=-pi..pi", -0.5, math.tanh(-0.5) + 0.5 - 1 - 1),
        ("log(x);x=0.1..2*pi", 1.0, 0.0),
    ],
)
def test_formulas_are_computed(text: str, at: float, value: float) -> None:
    assert Formula(text)(np.array([at]))[0] == pytest.approx(value, abs=1e-9)


def test_range_is_honoured() -> None:
    values = make_phantom("formula:x**2;x=-3..2", 3000).values
    assert values[:, 0].min() == pytest.approx(-3, abs=0.01)
    assert values[:, 0].max() == pytest.approx(2, abs=0.01)
    assert values[:, 1] == pytest.approx(values[:, 0] ** 2, abs=1e-5)
    assert diagonal("formula:x**2;x=-3..2") == pytest.approx(math.hypot(5, 9), rel=1e-4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sin(", "cannot read"),
        ("", "cannot read"),
        ("y", "unknown name 'y'"),
        ("sin", "needs brackets"),
        ("sine(x)", "did you mean 'sin'"),
        ("sin(x, 2)", "takes 1 value, not 2"),
        ("max(x)", "takes 2 values, not 1"),
        ("x^2", "x**2"),
        ("1/x", "not finite at x = 0"),
        ("log(x)", "not finite at x = -1"),
        ("9**9**9**9", "not finite"),
        ("1e200", "not finite"),
        ("1" + "0" * 190, "not finite"),
        ("x if x else 1", "not allowed"),
        ("x.real", "not allowed"),
        ("x < 1", "not allowed"),
        ("'a'", "not allowed"),
        ("True", "not allowed"),
        ("2j", "not allowed"),
        ("[x]", "not allowed"),
        ("lambda: x", "not allowed"),
        ("(y := 3)", "not allowed"),
        ("__import__('os').system('true')", "not allowed"),
        ("exec('1')", "unknown function 'exec'"),
        ("sin(x=1)", "not allowed"),
        ("max(*x, 1)", "not allowed"),
        ("x\n+\ny", "cannot read"),
        ("x;x=3..-3", "smaller to a larger"),
        ("x;x=0..1/0", "smaller to a larger"),
        ("x;x=1", "write it as ;x=-3..3"),
        ("x;y=0..1", "write it as ;x=-3..3"),
        ("x;x=0..x", "unknown name 'x'"),
        ("x" + "+x" * 100, "longer than 200"),
        ("x\0", "cannot read"),
        ("import os", "cannot read"),
    ],
)
def test_bad_formulas_are_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        Formula(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_deeply_nested_formulas_do_not_overflow() -> None:
    assert Formula("(" * 99 + "x" + ")" * 99)(np.array([0.5]))[0] == 0.5
    assert Formula("-" * 190 + "x")(np.array([0.5]))[0] == 0.5


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="x0123456789.+-*/%() sincoexplgqrtabmae,;=_'[]{}:", max_size=40))
def test_any_text_gives_finite_points_or_one_line(text: str) -> None:
    try:
        values, said = make_phantom(f"formula:{text}", 8).values, ""
    except DataError as error:
        values, said = np.zeros((8, 2)), str(error)
    assert values.shape == (8, 2)
    assert np.isfinite(values).all()
    assert "\n" not in said
