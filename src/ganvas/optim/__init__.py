"""Optimisers by name, as factories that a `Player` takes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

from .adas import Adas
from .idle import leave_compiler_idle
from .layout import Adam, AdamW

NAMES = ("adam", "adamw", "rmsprop", "sgd", "adas")

Factory = Callable[[list[tuple[str, nn.Parameter]]], Optimizer]


def optimiser(name: str, rate: float, *, beta1: float = 0.5, beta2: float = 0.999) -> Factory:
    """A factory of the named optimiser.

    rate: learning rate (of AdaS the first step size). beta1: momentum (Adam's first beta; RMSprop and SGD use it as momentum;
    AdaS and Adadelta have none). beta2: what Adam and AdaS keep of their mean squares per step. AdaS is the published one.
    Raises KeyError for an unknown name (configurations check names first).
    """

    def make(parameters: list[tuple[str, nn.Parameter]]) -> Optimizer:
        leave_compiler_idle()
        owned = [parameter for _, parameter in parameters]
        # One fused kernel per step: on CPU as well, where the loop over small tensors is what costs.
        fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in owned)
        makers: dict[str, Callable[[], Optimizer]] = {
            "adam": lambda: Adam(owned, rate, betas=(beta1, beta2), fused=fused),
            "adamw": lambda: AdamW(owned, rate, betas=(beta1, beta2), fused=fused),
            "rmsprop": lambda: torch.optim.RMSprop(owned, rate, momentum=beta1),
            "sgd": lambda: torch.optim.SGD(owned, rate, momentum=beta1, fused=fused),
            "adas": lambda: Adas(owned, rate, betas=(beta2, 0.999, 0.9999), as_published=True),
            "adadelta": lambda: torch.optim.Adadelta(owned, rate),
        }
        return makers[name]()

    return make
