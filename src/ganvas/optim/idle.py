"""Keeps torch's compiler unloaded until something is compiled.

Every optimiser of torch loads `torch._dynamo` for the marks that keep a compiler out of it, although nothing is compiled: about
two seconds of each start, as much again as torch itself. A stand-in answers the two marks, and becomes the module itself when
anybody asks it for more (`torch.compile` does). Not for speed of training: eager steps are the same to the bit.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from typing import Any

NAME = "torch._dynamo"


class _Idle(types.ModuleType):
    """Stands for the module until an attribute other than the marks is read."""

    @staticmethod
    def graph_break(*_: Any, **__: Any) -> None:
        """Where a compiled graph would end; without a compiler there is none."""

    @staticmethod
    def disable(fn: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
        """The function as it is: nothing compiles it."""
        return fn if fn is not None else lambda given: given

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # whoever looks through all modules wants no compiler
            raise AttributeError(f"module '{NAME}' has no attribute '{name}'")
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME]
        return getattr(importlib.import_module(NAME), name)


def leave_compiler_idle() -> None:
    """To be called before the first optimiser is made; does nothing where the compiler is loaded already."""
    if NAME in sys.modules:
        return
    spec = importlib.util.find_spec(NAME)
    if spec is not None:
        stand_in = _Idle(NAME)
        stand_in.__spec__ = spec
        sys.modules[NAME] = stand_in
