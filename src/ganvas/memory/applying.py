"""What one call of a use takes of memory, foretold on tensors without numbers: whole large records need much (`--tile 0`).

The system is copied, and its tensors are replaced by ones that have shapes alone (`predicting`). Records that are drawn piece
by piece are asked for to the last one. Not for training.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from .predicting import ALLOCATOR_SHARE, ALLOCATOR_STEADY, Ledger, _imagine, _Watch, quiet

if TYPE_CHECKING:
    from torch import Tensor

    from ..uses import Use, Work


def foretell_use(use: Use, work: Work, given: Mapping[str, Tensor], options: Any) -> int | None:
    """Bytes that `use.run` takes of records like these beside what the process holds; None for what needs numbers to run.

    given: field -> tensor (N, ...), of which shape and type count.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    from ..uses import pieces_of

    mode, ledger, device = FakeTensorMode(), Ledger(), work.device
    try:
        with quiet():
            system = copy.deepcopy(work.system)
            weights = sum(_imagine(system, mode, ledger, device).values())
            with mode, _Watch(ledger, device), torch.no_grad():
                own = dataclasses.replace(work, system=system)
                records = {
                    name: torch.empty(tuple(record.shape), dtype=record.dtype, device=device) for name, record in given.items()
                }
                for made in use.run(own, records, options).values():
                    for _ in pieces_of(made):
                        pass
    except Exception:  # a third party's system may look at its numbers; what cannot be foretold is not told
        return None
    finally:
        ledger.close()
    if device.type != "cpu":
        return max(0, sum(ledger.peak().values()) - weights)
    heap = max(sum(ledger.peak().values()), ledger.resident())
    return ALLOCATOR_STEADY + round((1 + ALLOCATOR_SHARE) * max(0, heap - weights))
