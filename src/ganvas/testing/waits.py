"""What makes the processor wait for a GPU while a round is played, told on any machine by the calls themselves.

A number that is read back (`.item()`, `float(...)`, `if tensor:`, `tensor.tolist()`), a result whose size depends on values
(`x[mask]`, `nonzero`, `unique`) and numbers of Python that are copied to the device (`torch.tensor(values, device=...)`) all
wait until the device has done everything it was told. On the processor they cost nothing, so they are looked for by name here;
a GPU's own account is torch's profiler (`benchmarks/gpu.py`). Not for how long anything takes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from .. import batches
from ..engine import Engine

ATEN: Any = torch.ops.aten
READ_BACK = {
    ATEN._local_scalar_dense: "reads a number back",
    ATEN.equal: "compares whole tensors",
    ATEN.allclose: "compares whole tensors",
    **dict.fromkeys(
        (ATEN.nonzero, ATEN.masked_select, ATEN.bincount, ATEN._unique2, ATEN.unique_dim, ATEN.unique_consecutive),
        "makes a tensor whose size depends on values",
    ),
    ATEN.multinomial: "has its shares checked",
    ATEN._linalg_check_errors: "has a factorisation checked",
    **dict.fromkeys(
        (ATEN._linalg_eigh, ATEN.linalg_eig, ATEN._linalg_svd, ATEN.linalg_lstsq), "factorises with a library that waits"
    ),
}
"""Operators for whose result a device is waited for, and why."""
PICKED = {ATEN.index, ATEN.index_put, ATEN.index_put_}
MADE = (torch.tensor, torch.as_tensor, torch.asarray)
TORCH = str(Path(torch.__file__).parent)
OWN = frozenset(
    function.__code__ for function in vars(Engine).values() if hasattr(function, "__code__")
)  # what the Engine calls itself by; else it asks a game for a decision
ASKING = frozenset({Engine.play_round.__code__, Engine._turn_page.__code__})
SETTLING = Engine.settle.__code__
DEALING = Engine._deal.__code__
ONCE = batches.constant.__code__


class Wait(NamedTuple):
    """What waits, and where: `reads a number back (aten._local_scalar_dense)`, `my_gan.py:57 in fool`.

    dealing: whether it happened while a stream dealt records, outside the objectives.
    """

    what: str
    where: str
    dealing: bool


class _Watch:
    def __init__(self, device: str) -> None:
        self.device = torch.device(device).type
        self.found: dict[Wait, int] = {}
        self.here = WeakIdKeyDictionary()  # tensors made of numbers of Python, which are not on the device
        self.quiet = 0

    def note(self, what: str) -> None:
        """Unless it is a decision that a game leaves to the processor, the Engine's own look, or once in a process."""
        frame: FrameType | None = sys._getframe(1)
        inner: CodeType | None = None
        where, dealing = "", False
        while frame is not None:
            code = frame.f_code
            if code in (SETTLING, ONCE) or (code in ASKING and inner is not None and inner not in OWN):
                return
            file = code.co_filename
            if not where and not file.startswith((TORCH, __file__, "<")):
                where = f"{Path(file).name}:{frame.f_lineno} in {code.co_name}"
            dealing |= code is DEALING
            if not file.startswith((TORCH, __file__, "<")):
                inner = code
            frame = frame.f_back
        wait = Wait(what, where, dealing)
        self.found[wait] = self.found.get(wait, 0) + 1

    def away(self, tensor: Any) -> bool:
        """Whether a tensor is where the game is played. On the processor every tensor is, but those just made of numbers."""
        return isinstance(tensor, Tensor) and tensor.device.type == self.device and tensor not in self.here


class _Operators(TorchDispatchMode):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        watch, packet = self.watch, func.overloadpacket
        if watch.quiet == 0 and args and watch.away(args[0]):
            why = READ_BACK.get(packet)
            if (
                why is None
                and packet in PICKED
                and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
            ):
                filled = packet is not ATEN.index and args[2].numel() == 1  # with one number: no sizes are needed
                why = None if filled else "picks by a mask"
            if why is None and packet is ATEN.repeat_interleave and not (kwargs or {}).get("output_size"):
                why = "repeats by counts without output_size" if isinstance(args[-1], Tensor) else None
            if why is not None:
                watch.note(f"{why} ({packet})")
        return func(*args, **(kwargs or {}))


class _Calls(TorchFunctionMode):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        watch, kwargs, name = self.watch, kwargs or {}, getattr(func, "__name__", "")
        # On the processor alone it looks whether the numbers are classes.
        quiet = name == "one_hot" and (len(args) > 1 or kwargs.get("num_classes", -1) >= 0)
        watch.quiet += quiet
        try:
            out = func(*args, **kwargs)
        finally:
            watch.quiet -= quiet
        if func in MADE and not isinstance(args[0], Tensor):
            if kwargs.get("device") is None:
                watch.here[out] = True
            elif torch.device(kwargs["device"]).type == watch.device:
                watch.note(f"copies numbers to the device (torch.{name})")
        elif name == "from_numpy":
            watch.here[out] = True
        elif name == "new_tensor" and watch.away(args[0]):
            watch.note("copies numbers to the device (new_tensor)")
        elif name in ("cpu", "tolist", "numpy", "__array__") and watch.away(args[0]):
            watch.note(f"reads a tensor back ({name})")
        elif name == "to" and args[0] in watch.here:
            moved = any(isinstance(own, str | torch.device | Tensor) for own in (*args[1:], kwargs.get("device")))
            if moved and not kwargs.get("non_blocking"):
                watch.note("copies a tensor to the device without non_blocking (to)")
            elif not moved and isinstance(out, Tensor):
                watch.here[out] = True
        elif name in ("__getitem__", "__setitem__") and watch.away(args[0]) and self._of_python(args[1]):
            watch.note(f"picks by a list or an array of Python ({name})")
        return out

    def _of_python(self, index: Any) -> bool:
        if isinstance(index, tuple):
            return any(self._of_python(own) for own in index)
        return isinstance(index, list | np.ndarray) or (isinstance(index, Tensor) and index in self.watch.here)


@contextmanager
def waits(device: str = "cpu") -> Iterator[dict[Wait, int]]:
    """What would wait for a GPU in here, and how often: filled while rounds are played. device: where they are.

    Left out: the Engine's look every `check_every` rounds, what a game decides between turns (`Turn.times`, `Phase.enough`,
    `Phase.until`), for which the processor has to know a number, and tables that are copied once (`batches.constant`).
    """
    watch = _Watch(device)
    with _Calls(watch), _Operators(watch):
        yield watch.found
