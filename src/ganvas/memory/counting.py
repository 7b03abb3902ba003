"""The study's accounting of a network: parameters, and twice every module's output for one record, in float32.

That is what `summary()` of the package torchsummary prints as "estimated total size" (Belmekki et al. 2022 quote it): input +
2 x outputs of all leaf modules + parameters, in MiB. It is a way of counting, not a need: see docs/memory.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

MIB = 2**20
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Call:
    """One call of a network, in numbers (not bytes) of one record: inputs, and the outputs of its leaf modules, summed.

    parameters: of the whole network. normalised: the part of outputs and parameters that is BatchNorm's.
    """

    parameters: int
    inputs: float
    outputs: float
    normalised: float = 0.0

    @property
    def mib(self) -> float:
        """Parameters, input and twice the outputs, in MiB of float32."""
        return (self.parameters + self.inputs + 2 * self.outputs) * FLOAT / MIB

    @property
    def share_of_norm(self) -> float:
        """The share of `mib` that would go with BatchNorm, 0 to 1."""
        return self.normalised / (self.parameters + self.inputs + 2 * self.outputs)


class Calls:
    """Listens to the first call of each network that a player owns, while a game is played.

    A context manager; `found` tells afterwards. A network that is never called as a whole is not in it.
    """

    def __init__(self, system: Any) -> None:
        self.networks: Mapping[str, nn.Module] = {
            name: system.get_submodule(name)
            for player in system.players()
            for name in player.networks
            if name in dict(system.named_modules())
        }
        self.calls: dict[str, Call] = {}
        self.handles: list[Any] = []

    def __enter__(self) -> Calls:
        for name, network in self.networks.items():
            self._listen(name, network)
        return self

    def __exit__(self, *exception: Any) -> None:
        for handle in self.handles:
            handle.remove()

    def found(self) -> dict[str, Call]:
        """By the name of the network."""
        return dict(self.calls)

    def _listen(self, name: str, network: nn.Module) -> None:
        heard: list[tuple[nn.Module, int]] = []

        def begin(module: nn.Module, arguments: Any) -> None:
            heard.clear()

        def leaf(module: nn.Module, arguments: Any, result: Any) -> None:
            heard.append((module, _elements(result)))

        def end(module: nn.Module, arguments: Any, result: Any) -> None:
            if name in self.calls:
                return
            records = max(1, next((len(x) for x in tree_leaves(arguments) if isinstance(x, Tensor) and x.dim()), 1))
            norms = [(m, n) for m, n in heard if isinstance(m, nn.modules.batchnorm._BatchNorm)]
            self.calls[name] = Call(
                sum(p.numel() for p in network.parameters()),
                _elements(arguments) / records,
                sum(count for _, count in heard) / records,
                2 * sum(count for _, count in norms) / records + sum(p.numel() for m, _ in norms for p in m.parameters()),
            )

        self.handles.append(network.register_forward_pre_hook(begin))
        for module in network.modules():
            if not list(module.children()):
                self.handles.append(module.register_forward_hook(leaf))
        self.handles.append(network.register_forward_hook(end))


def _elements(values: Any) -> int:
    return sum(x.numel() for x in tree_leaves(values) if isinstance(x, Tensor))
