"""What the studio does, as commands of ganvas: the words that are run, and the line that is shown for copying. Runs nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from shlex import join
from typing import Any


def told(words: Sequence[str]) -> str:
    """`ganvas train ...` as it is typed in a shell."""
    return join(["ganvas", *(word for word in words if word != "--json")])


def process(words: Sequence[str]) -> list[str]:
    """The same as a process of this very Python."""
    return [sys.executable, "-m", "ganvas", *words]


def train(
    system: str | None, data: str, out: str, run: Mapping[str, Any], config: Mapping[str, Any], init_from: str | None = None
) -> list[str]:
    """run: settings of the run (`Settings`), config: of the system; None and empty texts are left out."""
    words = ["train", *([system] if system else []), "--data", data]
    words += options(run)
    words += [part for name, value in config.items() if given(value) for part in ("--set", f"{name}={plain(value)}")]
    words += ["--init-from", init_from] if init_from else []
    return [*words, "--out", out]


def options(values: Mapping[str, Any]) -> list[str]:
    """`--name value` of each that was given; True is a switch."""
    words: list[str] = []
    for name, value in values.items():
        if not given(value) or value is False:
            continue
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif isinstance(value, list | tuple):
            words += [part for item in value for part in (flag, plain(item))]
        else:
            words += [flag, plain(value)]
    return words


def given(value: Any) -> bool:
    """Whether a value of a form says anything."""
    return value is not None and value != "" and value != [] and value != ()


def plain(value: Any) -> str:
    """As it is typed."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
