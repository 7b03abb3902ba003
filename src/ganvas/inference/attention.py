"""What a discriminator looks at: how its answer changes with every pixel, of real and of made records.

The gradient of the answer by the record (Simonyan, Vedaldi, Zisserman, 2013, arXiv 1312.6034), smoothed over a few noisy copies
(Smilkov et al., 2017, arXiv 1706.03825). Not an explanation: it says where a small change would change its mind, not why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import GanvasError

if TYPE_CHECKING:
    from torch import Tensor

COPIES, NOISE = 8, 0.1  # noisy copies of a record, and the deviation of the noise in the game's units
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
