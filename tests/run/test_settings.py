"""The settings of a run: what is accepted, refused, and kept in `config.yaml`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from ganvas.config import knobs
from ganvas.errors import GanvasError
from ganvas.run.settings import ANY_TIME, Settings, build_settings, parse_size, read_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "size"), [(None, None), ("64", 64), ("96x64", (96, 64)), ("96X64", (96, 64)), ("96,64", (96, 64))]
)
def test_sizes(text: str | None, size: int | tuple[int, int] | None) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["-64", "0", "64x", "64x0", "1x2x3", "large", "", "64.5"])
def test_wrong_sizes_say_what_a_size_is(text: str) -> None:
    with pytest.raises(GanvasError, match=r"--size '.*' is not one or two whole numbers above 0: use 64, or HEIGHTxWIDTH"):
        build_settings({"size": text})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"precision": "8"}, "precision: '8' is not one of auto, 32, bf16-mixed, 16-mixed, 64"),
        ({"fit": "crop "}, "fit: 'crop ' is not one of crop, pad, stretch, patches, crops, frames .did you mean 'crop'"),
        ({"heldout": "1.5"}, "heldout: 1.5 is too large, the most is 0.9"),
        ({"processes": "0"}, "processes: 0 is too small, the least is 1"),
        ({"seed": "-1"}, "seed: -1 is too small"),
        ({"micro_batches": "two"}, "micro_batches: expected whole number, got 'two'"),
        ({"save_every": "nan"}, "save_every: expected number"),
        ({"channel": 1}, "unknown setting 'channel' .did you mean 'channels'"),
    ],
)
def test_wrong_values_name_the_setting_and_the_limit(values: dict[str, str], message: str) -> None:
    with pytest.raises(GanvasError, match=message):
        build_settings(values)


def test_text_from_the_command_line_becomes_typed() -> None:
    made = build_settings({"seed": "7", "save-every": "1.5", "strict": "yes", "channels": "none", "precision": "64"})
    assert (made.seed, made.save_every, made.strict, made.channels, made.precision) == (7, 1.5, True, None, "64")


def test_every_setting_has_help_and_survives_yaml(tmp_path: Path) -> None:
    assert all(k.help for k in knobs(Settings))
    assert set(ANY_TIME) < {k.name for k in knobs(Settings)}
    made = build_settings({"data": "photos/Ä b", "size": "96x64", "budget": "10m", "heldout": 0.25})
    write_yaml(tmp_path / "c.yaml", dataclasses.asdict(made))
    assert build_settings(read_yaml(tmp_path / "c.yaml")) == made
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"], "no temporary file stays"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1, 2", "not valid YAML at line"),
        (b"just words", "expected 'key: value' lines"),
        (b"", "expected 'key: value' lines"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"a: !!python/object/apply:os.system ['true']", "not valid YAML at line 1"),
    ],
)
def test_bad_yaml_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(GanvasError, match=f"bad.yaml: {message}"):
        read_yaml(path)
    with pytest.raises(GanvasError, match="no such file"):
        read_yaml(tmp_path / "absent.yaml")


@pytest.mark.parametrize(("given", "text"), [(64, "64"), ((96, 64), "96x64"), ("96x64", "96x64"), (None, None)])
def test_in_python_a_size_may_be_numbers(given: Any, text: str | None) -> None:
    assert build_settings({"size": given}).size == text
