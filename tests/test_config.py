"""Frozen dataclasses with help and limits, and the typed way into them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from typing import Any

import pytest

from ganvas.config import build_config, knob, knobs
from ganvas.errors import GanvasError


@dataclass(frozen=True)
class Config:
    width: int = knob(64, "channels", low=1, high=1024)
    rate: float = knob(2e-4, "learning rate", low=0.0)
    norm: bool = knob(True, "whether")
    mode: str = knob("fast", "how", choices=("fast", "slow"))
    steps: tuple[str, ...] = knob((), "what", choices=("flip", "crop"))
    sizes: tuple[int, ...] = knob((8, 16), "where", low=2)
    top: float | None = knob(None, "cap", low=0.0)
    name: str | None = knob(None, "name")


def test_knobs_tell_everything() -> None:
    table = {k.name: k for k in knobs(Config)}
    assert [k.type for k in table.values()] == [
        "whole number",
        "number",
        "true or false",
        "text",
        "list of text",
        "list of whole number",
        "number or none",
        "text or none",
    ]
    assert (table["width"].low, table["width"].high, table["width"].default, table["width"].help) == (1, 1024, 64, "channels")
    assert table["mode"].choices == ("fast", "slow")


@pytest.mark.parametrize(
    ("name", "given", "made"),
    [
        ("width", "32", 32),
        ("width", 32.0, 32),
        ("width", " 7 ", 7),
        ("width", "1e2", 100),
        ("rate", "1e-3", 1e-3),
        ("rate", 1, 1.0),
        ("rate", "0", 0.0),
        ("norm", "off", False),
        ("norm", "TRUE", True),
        ("norm", False, False),
        ("norm", "0", False),
        ("mode", "slow", "slow"),
        ("steps", "flip,crop", ("flip", "crop")),
        ("steps", "", ()),
        ("steps", ["flip"], ("flip",)),
        ("sizes", "2, 4", (2, 4)),
        ("sizes", (3,), (3,)),
        ("top", "none", None),
        ("top", "0.5", 0.5),
        ("top", None, None),
        ("name", "none", None),
        ("name", "anna", "anna"),
    ],
)
def test_values_become_typed(name: str, given: Any, made: Any) -> None:
    value = getattr(build_config(Config, {name: given}), name)
    assert value == made
    assert type(value) is type(made)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 3}, "unknown setting 'widht' .did you mean 'width'..; known: width, rate"),
        ({"zzz": 3}, "unknown setting 'zzz'; known"),
        ({"width": "many"}, "width: expected whole number, got 'many'"),
        ({"width": "2.5"}, "width: expected whole number, got '2.5'"),
        ({"width": True}, "width: expected whole number, got True"),
        ({"width": "inf"}, "width: expected whole number, got 'inf'"),
        ({"width": 0}, "width: 0 is too small, the least is 1"),
        ({"width": 2000}, "width: 2000 is too large, the most is 1024"),
        ({"rate": "nan"}, "rate: expected number, got 'nan'"),
        ({"rate": [1]}, "rate: expected number"),
        ({"norm": "maybe"}, "norm: expected true or false, got 'maybe'"),
        ({"norm": 1}, "norm: expected true or false, got 1"),
        ({"mode": "fats"}, "mode: 'fats' is not one of fast, slow .did you mean 'fast'"),
        ({"mode": 3}, "mode: expected text, got 3"),
        ({"steps": "flip,spin"}, "steps: 'spin' is not one of flip, crop"),
        ({"steps": 3}, "steps: expected list of text, got 3"),
        ({"sizes": "4,1"}, "sizes: 1 is too small, the least is 2"),
        ({"sizes": "4,x"}, "sizes: expected whole number, got 'x'"),
        ({"top": "high"}, "top: expected number or none, got 'high'"),
        ({"top": -1}, "top: -1.0 is too small"),
    ],
)
def test_what_is_wrong_is_named_with_the_fix(values: dict[str, Any], message: str) -> None:
    with pytest.raises(GanvasError, match=f"here: .*{message}") as failure:
        build_config(Config, values, where="here")
    assert "\n" not in str(failure.value)


def test_dashes_are_underscores_and_a_config_is_frozen() -> None:
    made = build_config(Config, {"top": 1})
    with pytest.raises(FrozenInstanceError):
        made.top = 2.0  # type: ignore[misc]

    @dataclass(frozen=True)
    class Long:
        batch_size: int = knob(1, "n")

    assert build_config(Long, {"batch-size": "4"}).batch_size == 4
