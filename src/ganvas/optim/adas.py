"""AdaS, a gradient descent that learns its own step sizes (Yanai Eliyahu, 2020, "AdasOptimizer", a repository without a paper).

Not the AdaS of Hosseini and Plataniotis 2020 (arXiv 2006.06587), which schedules one rate per layer once an epoch.

Every input of a layer has a step size, shared by the outputs that the input feeds. A step size grows while the gradient keeps
the sign of the average of past updates, and shrinks when it turns. How fast it may do so is learned in the same way, one
number per tensor. `docs/optimisers.md` says what of the published code is kept and what is mended. Not for sparse or complex
gradients, and no scheduler of its own: any scheduler of torch may change the rates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import GanvasError

TURNED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Embedding, nn.EmbeddingBag)
"""Modules whose weight lies (inputs, outputs, ...), where others lie (outputs, inputs, ...)."""

PIECE = 1 << 18  # weights stepped together on a CPU: what is computed on the way need not be held for all of them at once

Entry = tuple[Tensor, Tensor, dict[str, Tensor]]  # parameter, gradient, state


class Adas(Optimizer):
    """Step sizes per input, learned while training.

    With g the gradient of a tensor of weights, N(x) = x / root of the mean square of x so far, and all means running ones that
    forget:

        n = N(g)            weights -= lr * growth * n             growth: one number per input, from 1
        h = sum over outputs of (mean of past n) * g
        p = N(h)            growth *= 1 + lr2 * pace * p           pace: one number per tensor, from 1
        q = sum of (mean of past p) * h
                            pace *= 1 + lr3 * N(q)

    params: as for any optimiser of torch; a group may set any option for itself.
    lr: first step size, >= 0. A schedule or a change of it scales all steps at once and leaves what was learned alone.
    lr2: first relative change of a step size per step, >= 0. lr3: relative change of `pace` per step, >= 0.
    betas: what is kept per step (each in [0, 1)) of the mean squares, of the mean of p, of the mean of n; 1 / (1 - the last)
    is the number of steps for which step sizes are judged. eps: added to the roots, >= 0.
    maximize: climb instead.
    output_axis: axis of the weights that counts outputs; `input_groups` sets it where it is not the first.
    as_published: do as the published code does: take the first axis for that of the outputs whatever the layer, and keep
    `pace` in 32 bits beside 64-bit weights.

    State (tensors, by parameter): `step` on the CPU, the rest on the parameter's device, in 32 bits where the parameter has
    fewer. Raises ValueError for an option out of its range, GanvasError for sparse or complex gradients.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        lr2: float = 5e-3,
        lr3: float = 5e-4,
        betas: tuple[float, float, float] = (0.999, 0.999, 0.9999),
        eps: float = 1e-8,
        *,
        maximize: bool = False,
        output_axis: int = 0,
        as_published: bool = False,
    ) -> None:
        options = {"lr": lr, "lr2": lr2, "lr3": lr3, "betas": betas, "eps": eps, "maximize": maximize}
        super().__init__(params, options | {"output_axis": output_axis, "as_published": as_published})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """A further group, with its own options where it names them. Raises ValueError for one out of its range."""
        _check(self.defaults | param_group)
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        small = [tuple(p.shape) for p in group["params"] if 0 < p.dim() <= _axis(group)]
        if small:
            self.param_groups.pop()
            raise ValueError(
                f"output_axis {_axis(group)} needs weights of more axes than {small[0]}: put these in another group"
            )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every parameter that has a gradient. closure: computes the loss anew; it is returned.

        Raises GanvasError for a sparse or complex gradient; no parameter has moved then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None and (gradient.layout != torch.strided or gradient.is_complex()):
                    kind = "complex" if gradient.is_complex() else "sparse"
                    raise GanvasError(
                        f"adas cannot use the {kind} gradient of a {tuple(parameter.shape)} parameter: use adam or sgd"
                    )
        for group in self.param_groups:
            for piece in self._pieces(group):
                _move(piece, group)
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict()`. Its tensors are copied."""
        super().load_state_dict(state_dict)
        # torch has cast what was learned to the type of the weights: take it again, in the type it needs.
        saved = [index for group in state_dict["param_groups"] for index in group["params"]]
        owned = [(parameter, group) for group in self.param_groups for parameter in group["params"]]
        for index, (parameter, group) in zip(saved, owned, strict=True):
            for key, value in state_dict["state"].get(index, {}).items():
                device, dtype = _place(key, parameter, group)
                self.state[parameter][key] = value.detach().to(device, dtype, copy=True)

    def _pieces(self, group: dict[str, Any]) -> Iterator[list[Entry]]:
        """The group's parameters with gradients, those of one device and type together; on a CPU in pieces."""
        gathered: dict[tuple[torch.device, torch.dtype], list[Entry]] = {}
        sizes: dict[tuple[torch.device, torch.dtype], int] = {}
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if not state:
                state.update(_fresh(parameter, group))
            key = (parameter.device, parameter.dtype)
            if parameter.is_cpu and sizes.get(key, 0) + parameter.numel() > PIECE and key in gathered:
                yield gathered.pop(key)
                sizes[key] = 0
            gathered.setdefault(key, []).append((parameter, parameter.grad, state))
            sizes[key] = sizes.get(key, 0) + parameter.numel()
        yield from gathered.values()


def input_groups(network: nn.Module) -> list[dict[str, Any]]:
    """The network's trainable parameters as groups for `Adas`, in which each weight knows the axis of its outputs.

    Transposed convolutions and embeddings lie the other way round than other layers; a bare list of parameters cannot say so.
    """
    turned = {
        parameter
        for module in network.modules()
        if isinstance(module, TURNED)
        for parameter in module.parameters()
        if parameter.dim() > 1
    }
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p not in turned], "output_axis": 0},
        {"params": [p for p in trained if p in turned], "output_axis": 1},
    ]
    return [group for group in groups if group["params"]]


def _check(options: Mapping[str, Any]) -> None:
    for name in ("lr", "lr2", "lr3", "eps"):
        if not 0.0 <= options[name] < math.inf:
            raise ValueError(f"{name} is {options[name]}: it must be 0 or more")
    if len(options["betas"]) != 3 or not all(0.0 <= beta < 1.0 for beta in options["betas"]):
        raise ValueError(f"betas are {options['betas']}: give three numbers, each from 0 to less than 1")
    if options["output_axis"] < 0:
        raise ValueError(f"output_axis is {options['output_axis']}: it must be 0 or more")


def _axis(group: Mapping[str, Any]) -> int:
    return 0 if group["as_published"] else int(group["output_axis"])


def _over_outputs(values: Tensor, axis: int) -> Tensor:
    """The sum over the outputs; the axis stays, with length 1. A single number is its own only input and output."""
    return values.sum(axis, keepdim=True) if values.dim() else values


def _place(key: str, parameter: Tensor, group: Mapping[str, Any]) -> tuple[torch.device, torch.dtype]:
    """Where a tensor of the state lives. Relative changes of a thousandth vanish in 16 bits, so learning goes on in 32."""
    if key == "step":  # on the CPU, where reading it waits for no other device
        return torch.device("cpu"), torch.float32
    half = torch.finfo(parameter.dtype).bits < 32
    single = half or (key == "pace" and group["as_published"])
    return parameter.device, torch.float32 if single else parameter.dtype


def _fresh(parameter: Tensor, group: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state before the first step."""

    def of(key: str, like: Tensor, value: float) -> Tensor:
        device, dtype = _place(key, parameter, group)
        return torch.full_like(like, value, device=device, dtype=dtype)

    weights = parameter.detach()
    inputs = _over_outputs(weights, _axis(group))
    number = weights.new_empty(())
    return {
        "step": of("step", number, 0.0),
        "square": of("square", weights, 0.0),
        "mean": of("mean", weights, 0.0),
        "growth": of("growth", inputs, 1.0),
        "growth_square": of("growth_square", inputs, 0.0),
        "growth_mean": of("growth_mean", inputs, 0.0),
        "pace": of("pace", number, 1.0),
        "pace_square": of("pace_square", number, 0.0),
    }


def _move(piece: Sequence[Entry], group: Mapping[str, Any]) -> None:
    """Step parameters of one device and type, and what was learned about their steps."""
    weights = [parameter for parameter, _, _ in piece]
    gradients = [gradient for _, gradient, _ in piece]
    states = [state for _, _, state in piece]
    means, growths, growth_means, paces = ([s[key] for s in states] for key in ("mean", "growth", "growth_mean", "pace"))
    if means[0].dtype != gradients[0].dtype:
        gradients = [gradient.to(means[0].dtype) for gradient in gradients]
    beta, pace_beta, growth_beta = group["betas"]
    axis = _axis(group)
    sharing = _Sharing([s["step"] for s in states], beta, group["eps"])

    updates = sharing.normalise(gradients, [s["square"] for s in states])
    agreements = [_over_outputs(product, axis) for product in torch._foreach_mul(means, gradients)]
    torch._foreach_lerp_(means, updates, 1.0 - growth_beta)
    torch._foreach_addcmul_(weights, growths, updates, value=group["lr"] if group["maximize"] else -group["lr"])

    changes = sharing.normalise(agreements, [s["growth_square"] for s in states])
    agreed = [product.sum() for product in torch._foreach_mul(growth_means, agreements)]
    torch._foreach_lerp_(growth_means, changes, 1.0 - pace_beta)
    torch._foreach_mul_(changes, paces)
    torch._foreach_addcmul_(growths, growths, changes, value=group["lr2"])

    turns = sharing.normalise(agreed, [s["pace_square"] for s in states])
    torch._foreach_addcmul_(paces, paces, turns, value=group["lr3"])


class _Sharing:
    """How the newest number and the past share in mean squares: after t steps, as (1 - beta) to (beta - beta^t).

    These means need no correction for their start at 0. They are the usual running mean divided by 1 - beta^t, and dividing
    `eps` by the root of that gives the usual ratio, at one pass over the weights less.
    """

    def __init__(self, steps: list[Tensor], beta: float, eps: float) -> None:
        torch._foreach_add_(steps, torch.ones(()), alpha=1.0)
        # At least the first step, also where tensors have no numbers: `ganvas memory` plays on symbols, which read as 0.
        seen = [1.0 - beta ** max(1.0, step.item()) for step in steps]
        self.new = [(1.0 - beta) / share for share in seen]
        self.past = [1.0 - new for new in self.new]
        self.floors = [eps / math.sqrt(share) for share in seen]

    def normalise(self, values: Iterable[Tensor], squares: list[Tensor]) -> list[Tensor]:
        """The values divided by the roots of their mean squares, into which they are taken first."""
        values = list(values)
        torch._foreach_mul_(squares, self.past)
        torch._foreach_addcmul_(squares, values, values, self.new)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, self.floors)
        return list(torch._foreach_div(values, roots))
