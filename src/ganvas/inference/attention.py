"""What a discriminator looks at: how its answer changes with every pixel, and which records are alike to it.

The gradient of the answer by the record (Simonyan, Vedaldi, Zisserman, 2013, arXiv 1312.6034), smoothed over a few noisy copies
(Smilkov et al., 2017, arXiv 1706.03825). Not an explanation: it says where a small change would change its mind, not why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import GanvasError

if TYPE_CHECKING:
    from torch import Tensor

COPIES, NOISE = 8, 0.1  # noisy copies of a record, and the deviation of the noise in the game's units
PIECE = 64  # records that are shown to it together
JUDGES = ("discriminator", "critic")


def looked_at(system: Any, records: Tensor) -> Tensor:
    """Where the answer of the system's discriminator depends on records (B, C, ...): (B, ...), not negative, 1 at most.

    Raises GanvasError for a system whose discriminator cannot be asked about records alone.
    """
    import torch

    judge = _judge(system, records[:1])
    generator = torch.Generator(device=records.device).manual_seed(0)
    total = torch.zeros_like(records)
    for _ in range(COPIES):
        noise = torch.randn(records.shape, generator=generator, device=records.device, dtype=records.dtype)
        asked = (records + NOISE * noise).detach().requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(judge(asked).sum(), asked)
        total += gradient
    found = total.abs().sum(1)
    flat = found.flatten(1)
    return (found / flat.quantile(0.99, dim=1).clamp(min=1e-12).reshape(-1, *[1] * (found.dim() - 1))).clamp(0, 1)


def alike_to_it(system: Any, records: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Of each of records (B, C, ...) the nearest of others (N, C, ...) as the discriminator sees them: places, likeness, (B,).

    Seen is what its last layer gets: means over places, each number by its spread over the others. likeness: cosine, -1 to 1.
    Raises GanvasError as `looked_at` does, and where it has no layers.
    """
    import torch

    given = _last_given(system, others), _last_given(system, records)
    middle, spread = given[0].mean(0), given[0].std(0, unbiased=False).clamp(min=1e-6)
    near, far = (torch.nn.functional.normalize((own - middle) / spread, dim=1) for own in given)
    likeness, places = (far @ near.T).max(1)
    return places, likeness


def _last_given(system: Any, records: Tensor) -> Tensor:
    """(B, F) float32: what the last layer of the discriminator gets of each record."""
    import torch

    judge, found, seen = _judge(system, records[:1]), [], {}

    def keep(layer: Any, inputs: Any) -> None:
        seen["last"] = inputs[0]

    layers = [
        layer
        for layer in system.modules()
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Conv3d)
    ]
    hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        with torch.no_grad():
            for part in records.split(PIECE):
                judge(part)
                if "last" not in seen:
                    raise GanvasError("its discriminator has no layers whose input could be compared")
                last = seen.pop("last").float()
                found.append(last.flatten(2).mean(2) if last.dim() > 2 else last)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(found)


def _judge(system: Any, one: Tensor) -> Any:
    """record -> answer, of the first network of a player that judges. Raises GanvasError."""
    import torch

    for player in system.players():
        if not any(word in player.name for word in JUDGES):
            continue
        network = system.get_submodule(player.networks[0])
        for more in ((), (None,)):  # some take a condition, which may be left out
            try:
                with torch.no_grad():
                    _number(network(one, *more))
            except (TypeError, ValueError, RuntimeError, AttributeError):
                continue
            return lambda records, network=network, more=more: _number(network(records, *more))
    raise GanvasError("its discriminator cannot be asked about records alone")


def _number(answer: Any) -> Tensor:
    """The answer as one tensor: of several, the first; a map of answers stays one."""
    import torch

    while isinstance(answer, list | tuple):
        answer = answer[0]
    if not isinstance(answer, torch.Tensor):
        raise TypeError("no tensor")
    return answer
