"""Records are spoiled as in training, or given so; repaired at any size beside the true ones; what was never shown stays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from ganvas.kinds.facets import Piece
from ganvas.kinds.image.spec import ImageSpec
from ganvas.uses import Given
from ganvas.uses.spoiling import Spoiling, told_beyond, unseen_kept

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


def test_what_a_run_was_never_shown_stays_and_whole_numbers_stay_whole() -> None:
    spec = ImageSpec(1, 1, 3, 32, -160.0, 240.0)
    before = Piece(np.array([[[[-1000.0], [50.0], [9000.0]]]], np.float32), spec)
    after = Piece(np.array([[[[-160.0], [61.4], [240.0]]]], np.float32), spec)
    assert unseen_kept(before, after, {}).records.ravel().tolist() == [-1000.0, 61.0, 9000.0]
    smaller = Piece(after.records[:, :, :2], spec)
    assert unseen_kept(before, smaller, {}) is smaller
    (told,) = told_beyond("a.dcm", Given([before], {})).pieces
    assert "a.dcm: values of -1000 to 9000 are beyond the 12 bits" in told.notes[-1]
    inside = Piece(before.records.clip(-1000, 3000), spec)
    assert told_beyond("a.dcm", Given([inside], {})).pieces[0].notes == ()
