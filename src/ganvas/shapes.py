"""Networks that have shapes and no numbers, for counting what they need before anything is made.

Torch can build modules on its device `meta`, but drawing their first weights there goes through Python and loads the compiler
and a computer algebra system: three to four seconds for numbers that nobody reads. Here what is drawn in place is left out. Not
for networks that are trained from there, but for those that are counted, or whose weights are loaded (`assign=True`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

DRAWN = frozenset({"normal_", "uniform_", "bernoulli_", "random_", "exponential_"})
"""What draws a tensor's numbers in place: its methods, and functions of `torch.nn.init` of the same names."""


class _Undrawn(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        tensor = args[0] if args else given.get("tensor")  # torch.nn.init's own functions are called by keyword
        if getattr(func, "__name__", "") in DRAWN and getattr(tensor, "is_meta", False):
            return tensor
        return func(*args, **given)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Tensors that are made within it lie on `meta`; the global random state stays as found."""
    with torch.device("meta"), _Undrawn():
        yield
