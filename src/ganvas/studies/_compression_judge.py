"""What the compression study measures of a job: its samples as other studies do, their squares, and what its networks cost.

Not for what is concluded from that: `_compression_claims`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..specs import REAL
from ._cell_job import drawn_file
from ._cell_judge import _eight_bit, judge_images

REPLICATES = 200


def judge_compression(place: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """`judge_images`, with `squares` at every look and of real training images, and `cost` of the networks.

    squares: `ganvas.metrics.block_edges` against the held-out images.
    """
    from ..metrics import block_edges
    from ..run.load import read_run
    from ..run.opening import open_record_data

    found = judge_images(place, job)
    record = read_run(place / "run")
    dataset = open_record_data(record)
    heldout, train = dataset.heldout_indices(), dataset.train_indices()
    some = np.sort(np.random.default_rng(0).permutation(train)[: len(heldout)])
    real, others = (_eight_bit(dataset.values[part], dataset.spec) for part in (heldout, some))
    for look in found["looks"]:
        with np.load(drawn_file(place, look["round"]), allow_pickle=False) as drawn:
            samples = drawn["samples"]
        measured = block_edges(samples, real, replicates=REPLICATES, seed=job["seed"], reference="heldout")
        look["squares"] = measured.to_dict()
    found["real"]["squares"] = block_edges(others, real, intervals=False, reference="heldout").to_dict()
    return {**found, "cost": cost(record.card.name, record.config, record.spec)}


def cost(system: str, config: Mapping[str, Any], spec: Any) -> dict[str, dict[str, float]]:
    """What the networks of `dcgan` cost, by the name of each.

    parameters; mib: the study's accounting for one image, see `ganvas.memory.counting`; multiply_adds: of convolutions and
    fully connected layers, for one image forward; layers: how many of these there are.
    """
    import torch

    from ..memory.board import Case, build_board
    from ..memory.counting import Calls

    made = build_board(Case(system, dict(config), {REAL: spec}), "meta").eval()
    networks = {"generator": made.generator, "discriminator": made.discriminator}
    work = {name: _Work(network) for name, network in networks.items()}
    with torch.no_grad(), Calls(made) as calls:
        images = made.generator(torch.empty(1, made.config.latent_size, device="meta"))
        made.discriminator(images)
    found = calls.found()
    return {
        name: {
            "parameters": found[name].parameters,
            "mib": found[name].mib,
            "multiply_adds": work[name].total,
            "layers": work[name].layers,
        }
        for name in networks
    }


class _Work:
    """Counts the multiply-adds of a network's next call, while nothing else is computed."""

    def __init__(self, network: nn.Module) -> None:
        self.total, self.layers = 0, 0
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                self.layers += 1
                module.register_forward_hook(self._count)

    def _count(self, module: nn.Module, arguments: tuple[Tensor, ...], result: Tensor) -> None:
        """A convolution works through its kernel for every number it writes, a transposed one for every number it reads."""
        weight = module.weight
        assert isinstance(weight, Tensor)
        if isinstance(module, nn.Linear):
            self.total += weight.numel() * (result.numel() // module.out_features)
        else:
            side = arguments[0] if isinstance(module, nn.ConvTranspose2d) else result
            self.total += weight.numel() * side.shape[-2] * side.shape[-1] * len(side)
