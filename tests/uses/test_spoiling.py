"""Records are spoiled as in training, or given so; repaired at any size beside the true ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from ganvas.uses.spoiling import Spoiling

HALVED = Spoiling(
    spoil=lambda system, images, noise: images / 2,
    repair=lambda system, images, noise: images * 2,
    doing="doubling",
    given="halved",
    made="halved as in training",
    repaired="doubled",
    titles=("half", "doubled"),
)


def work(*fields: str) -> Any:
    return SimpleNamespace(fields=dict.fromkeys(fields), main=fields[0], system=SimpleNamespace(multiple=4), noise=None)


def test_of_pairs_the_spoiled_record_is_the_one_given() -> None:
    full, low = torch.ones(2, 1, 8, 8), torch.rand(2, 1, 8, 8)
    assert torch.equal(HALVED.spoiled(work("full"), {"full": full}), full / 2)
    assert torch.equal(HALVED.spoiled(work("full", "low"), {"full": full, "low": low}), low)


def test_what_is_shown_fits_the_system_and_has_the_true_one_last() -> None:
    true = torch.rand(2, 1, 10, 13)
    panel = HALVED.show(work("full"), {"full": true})
    assert panel.columns == ("half", "doubled", "true")
    assert panel.records.shape == (2, 3, 1, 8, 12)
    torch.testing.assert_close(panel.records[:, 1], true[:, :, :8, :12])
    torch.testing.assert_close(panel.records[:, 2], true[:, :, :8, :12])
