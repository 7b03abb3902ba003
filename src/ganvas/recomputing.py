"""Activation checkpointing: a network forgets what it computed on its way, and computes it again when gradients ask for it.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost" (arXiv 1604.06174), with whole networks as segments: what a
game keeps from one turn for the next is then an output and no longer the maps of all layers. The same numbers come out, to the
bit: statistics, power iterations and dropout are put back to where they were. `torch.utils.checkpoint` does as much, but loads
torch's compiler, which alone takes the memory that small networks save. Not for choosing when: that is a setting.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from .batches import Noise


def forget_activations(network: nn.Module) -> None:
    """From now on `network(...)` keeps its arguments and its output alone for the backward pass, with gradients of any order.

    A network that has no forward of its own stays as it is.
    """
    if type(network).forward is not nn.Module.forward:
        network.forward = functools.partial(_forward, network)  # a partial is copied with its network


def _forward(network: nn.Module, *args: Any, **named: Any) -> Any:
    plain = functools.partial(type(network).forward, network)
    if not torch.is_grad_enabled():
        return plain(*args, **named)
    segment = _Segment(network, plain, args, named)
    with saved_tensors_hooks(segment.pack, segment.unpack):
        return plain(*args, **named)


class _Segment:
    """One call of a network: what it takes to do it again, and which of its tensors are still to be asked for."""

    def __init__(self, network: nn.Module, plain: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.plain, self.args, self.named = plain, args, named
        self.buffers = list(network.buffers())
        self.before = [own.detach().clone() for own in self.buffers]
        self.place = next((own.device for own in network.parameters()), torch.device("cpu"))
        given = {id(own): own for own in (*args, *named.values()) if isinstance(own, Noise)}
        self.sources = [torch.default_generator, *(own.generator for own in given.values())]
        if self.place.type == "cuda":
            self.sources.append(torch.cuda.default_generators[self.place.index or 0])
        self.chance = [own.get_state() for own in self.sources]
        self.autocast = torch.is_autocast_enabled(self.place.type), torch.get_autocast_dtype(self.place.type)
        self.count = 0
        self.again: dict[int, Tensor] = {}

    def pack(self, tensor: Tensor) -> int:
        self.count += 1
        return self.count - 1

    def unpack(self, number: int) -> Tensor:
        if number not in self.again:
            self._compute()
        return self.again.pop(number)

    def _compute(self) -> None:
        found: list[Tensor] = []

        def keep(tensor: Tensor) -> None:
            found.append(tensor.detach())

        enabled, dtype = self.autocast
        with ExitStack() as stack:
            stack.enter_context(_as_before(self.buffers, self.before))
            stack.enter_context(_drawing_as_before(self.sources, self.chance))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(torch.autocast(self.place.type, dtype, enabled=enabled))
            stack.enter_context(saved_tensors_hooks(keep, _nothing))
            self.plain(*self.args, **self.named)
        if len(found) != self.count:
            raise RuntimeError(
                f"{len(found)} tensors were computed again where {self.count} had been: a network must do the same twice"
            )
        self.again = dict(enumerate(found))


def _nothing(held: Any) -> Tensor:
    raise RuntimeError("what was computed again has no backward pass of its own")


@contextmanager
def _as_before(buffers: list[Tensor], before: list[Tensor]) -> Iterator[None]:
    """Buffers as they were, and afterwards as they are. Their versions stay: nobody in between sees another value."""
    now = [own.detach().clone() for own in buffers]
    for own, old in zip(buffers, before, strict=True):
        own.data.copy_(old)
    try:
        yield
    finally:
        for own, late in zip(buffers, now, strict=True):
            own.data.copy_(late)


@contextmanager
def _drawing_as_before(sources: list[torch.Generator], states: list[Tensor]) -> Iterator[None]:
    """Random numbers from where they were drawn, and afterwards from where they are."""
    now = [own.get_state() for own in sources]
    for own, old in zip(sources, states, strict=True):
        own.set_state(old)
    try:
        yield
    finally:
        for own, late in zip(sources, now, strict=True):
            own.set_state(late)
