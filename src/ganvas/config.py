"""Configurations: frozen dataclasses whose fields carry their own help and limits, and the typed way into them.

Used by systems (`Config`), by uses (`Options`) and by the run (`run.settings.Settings`). Not for files: `run/settings.py` reads
and writes those. Free of torch.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .errors import GanvasError, did_you_mean
from .glossary import here

AnyConfig = TypeVar("AnyConfig")


@dataclass(frozen=True)
class Knob:
    """What is known of one setting. type: as text. later: whether a trained run takes it."""

    name: str
    type: str
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    later: bool = False


def knob(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] = (),
    later: bool = False,
) -> Any:
    """A dataclass field with help, inclusive limits and choices: `width: int = knob(64, "channels ...", low=1)`.

    later: whether it may be changed when a trained run is put to use (truncation, search steps): it does not shape the
    networks or the game.
    """
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices, "later": later})


def knobs(config_class: type) -> list[Knob]:
    """Every setting of a configuration class, in order."""
    hints = typing.get_type_hints(config_class)
    return [
        Knob(
            f.name,
            _type_name(hints[f.name]),
            f.default,
            str(f.metadata.get("help", "")),
            f.metadata.get("low"),
            f.metadata.get("high"),
            tuple(f.metadata.get("choices") or ()),
            bool(f.metadata.get("later")),
        )
        for f in dataclasses.fields(config_class)
    ]


def build_config(config_class: type[AnyConfig], values: dict[str, Any], *, where: str = "") -> AnyConfig:
    """An instance of `config_class` from plain values; texts are read as the field's type.

    Raises GanvasError in one line for an unknown name (with the nearest known one), a wrong type, a value outside its
    limits or choices. `where` is put before the message.
    """
    hints = typing.get_type_hints(config_class)
    fields = {f.name: f for f in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    prefix = f"{where}: " if where else ""
    made: dict[str, Any] = {}
    for name, value in values.items():
        key = name.replace("-", "_")
        if key not in fields:
            known = ", ".join(fields)
            called = here(key, list(fields))
            hint = f" (here: {' or '.join(called)})" if called else did_you_mean(key, list(fields))
            raise GanvasError(f"{prefix}unknown setting '{name}'{hint}; known: {known}")
        made[key] = _convert(value, hints[key], f"{prefix}{name}")
        _check_limits(made[key], fields[key].metadata, f"{prefix}{name}")
    return config_class(**made)


def _type_name(hint: Any) -> str:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return " or ".join(_type_name(x) for x in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return "list of " + _type_name(typing.get_args(hint)[0])
    names = {int: "whole number", float: "number", bool: "true or false", str: "text", type(None): "none"}
    return names.get(hint, str(hint))


def _convert(value: Any, hint: Any, where: str) -> Any:
    failure = GanvasError(f"{where}: expected {_type_name(hint)}, got {value!r}")
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        for option in sorted(typing.get_args(hint), key=lambda x: x is str):  # text last: it accepts anything
            try:
                return _convert(value, option, where)
            except GanvasError:
                continue
        raise failure
    if typing.get_origin(hint) is tuple:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise failure
        inner = typing.get_args(hint)[0]
        return tuple(_convert(x.strip() if isinstance(x, str) else x, inner, where) for x in items if x != "")
    text = value.strip().lower() if isinstance(value, str) else value
    if hint is type(None):
        if text in (None, "none", "null"):
            return None
        raise failure
    if hint is bool:
        words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
        if isinstance(value, bool):
            return value
        if isinstance(text, str) and text in words:
            return words[text]
        raise failure
    if hint is str:
        if isinstance(value, str):
            return value
        raise failure
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise failure
    try:
        number = float(text)
    except ValueError:
        raise failure from None
    if hint is float:
        if math.isfinite(number):
            return number
        raise failure
    if hint is int and math.isfinite(number) and number == int(number):
        return int(number)
    raise failure


def _check_limits(value: Any, facts: Any, where: str) -> None:
    low, high, choices = facts.get("low"), facts.get("high"), facts.get("choices") or ()
    for item in value if isinstance(value, tuple) else (value,):
        if choices and item not in choices and item is not None:
            close = did_you_mean(str(item), [str(c) for c in choices])
            raise GanvasError(f"{where}: '{item}' is not one of {', '.join(map(str, choices))}{close}")
        if isinstance(item, int | float) and not isinstance(item, bool):
            if low is not None and item < low:
                raise GanvasError(f"{where}: {item} is too small, the least is {low:g}")
            if high is not None and item > high:
                raise GanvasError(f"{where}: {item} is too large, the most is {high:g}")


def count_of(text: str) -> int:
    """An option's whole number above 0. Raises argparse's error, which names the option."""
    return _whole(text, 1, "above 0")


def seed_of(text: str) -> int:
    """An option's whole number from 0 up. Raises argparse's error, which names the option."""
    return _whole(text, 0, "from 0 up")


def _whole(text: str, least: int, told: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number < 2**63:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number {told}")
    return number


def key_values(words: Sequence[str], option: str = "--set", example: str = "width=32") -> dict[str, str]:
    """`--set KEY=VALUE`, several times. Raises GanvasError for another form."""
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise GanvasError(f"{option} '{word}' is not KEY=VALUE, for example  {option} {example}")
        pairs[key.strip()] = value.strip()
    return pairs
