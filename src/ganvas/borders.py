"""Where arithmetic on tensors begins and ends in what a use does, said where it does: a graph is of what lies between.

A phase that is searched for, crumbs that are taken off a solid, a spectrogram that is read from a file: around a network there
may be work of other means. Systems, uses and `inference` name it by the functions below, which in ordinary use do nothing but
call what they are given: nothing else is computed, and no number changes. While a graph is made (`ganvas.export`) a `Border`
listens: what is `brought` becomes an input of the graph, what is `left` its outputs, what is `settled` a constant of it.
So an exported graph is a part of the use and not a second telling of it. Not for making graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import GanvasError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


class Untraceable(GanvasError):
    """This use cannot be a graph: it searches, or does what there is no operator for. instead: settings of the system
    (`--set`) with which it can, if any."""

    def __init__(self, why: str, instead: Mapping[str, Any] | None = None) -> None:
        self.instead = dict(instead or {})
        words = " ".join(f"--set {key}={value}" for key, value in self.instead.items())
        super().__init__(why + (f"; with  {words}  it does not" if words else ""))


class Left(Exception):
    """The way out of a use whose rest is no arithmetic on tensors; nothing went wrong.

    parts: what a graph gives, by name. rest: who goes on from there, a function or words. more: what it takes besides.
    """

    def __init__(self, parts: Mapping[str, Tensor], rest: Callable[..., Any] | str, more: tuple[Any, ...] = ()) -> None:
        super().__init__("what follows is no arithmetic on tensors")
        self.parts, self.rest, self.more = dict(parts), rest, more


@dataclass
class Border:
    """What listens while a use is tried and traced. inputs: what was brought, by name; None, it is written down here, else it
    stands here in its place. constants: what was settled, in that order; complete: they are handed out again. makers: who
    made what was brought. fixed: constants that have a name. traced: whether the graph itself is done and not what it is
    compared with. room: by how much of the largest value the graph may differ, where rounding is magnified."""

    inputs: Mapping[str, Tensor] | None = None
    constants: list[Any] = field(default_factory=list)
    complete: bool = False
    brought: dict[str, Tensor] = field(default_factory=dict)
    makers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)
    handed: int = 0
    traced: bool = False
    room: float = 0.0


_LISTENING: ContextVar[Border | None] = ContextVar("border", default=None)


@contextmanager
def listening(border: Border) -> Iterator[Border]:
    token = _LISTENING.set(border)
    try:
        yield border
    finally:
        _LISTENING.reset(token)


def is_graph() -> bool:
    """Whether this is to become a graph, whose records must not decide what is done."""
    return _LISTENING.get() is not None


def is_traced() -> bool:
    """Whether this is the graph itself, and not the use that it is compared with."""
    border = _LISTENING.get()
    return border is not None and border.traced


def brought(name: str, make: Callable[..., Tensor], *given: Any) -> Tensor:
    """make(*given), by what is no arithmetic on tensors; a graph takes it as its input `name`, in the place of what it was made
    of."""
    border = _LISTENING.get()
    if border is None:
        return make(*given)
    border.makers[name] = make
    if border.inputs is not None:
        return border.inputs[name]
    border.brought[name] = make(*given)
    return border.brought[name]


def finished(make: Callable[..., T], parts: Mapping[str, Tensor], *more: Any) -> T:
    """make(*parts.values(), *more), by what is no arithmetic on tensors; a graph gives the parts, under their names."""
    if _LISTENING.get() is not None:
        raise Left(parts, make, more)
    return make(*parts.values(), *more)


def left(parts: Mapping[str, Tensor], rest: str) -> None:
    """Of a graph alone: it ends here and gives the parts. rest: in a line, who does the rest, and what."""
    if _LISTENING.get() is not None:
        raise Left(parts, rest)


def settled(read: Callable[[], T], name: str = "") -> T:
    """read(), of weights and buffers alone: a constant of a graph. name: of a number that records decide and a graph fixes,
    told beside it."""
    border = _LISTENING.get()
    if border is None:
        return read()
    if not border.complete:
        border.constants.append(read())
        if name:
            border.fixed[name] = border.constants[-1]
        return border.constants[-1]
    border.handed += 1
    return border.constants[border.handed - 1]


def magnified(share: float) -> None:
    """Says that what follows magnifies rounding, as a search in many rounds does: a graph may differ by such a share of the
    largest value."""
    border = _LISTENING.get()
    if border is not None:
        border.room = max(border.room, share)


def no_graph(why: str, instead: Mapping[str, Any] | None = None) -> None:
    """Says that what follows cannot be in a graph: raises Untraceable where one is made. instead: as there."""
    if _LISTENING.get() is not None:
        raise Untraceable(why, instead)
