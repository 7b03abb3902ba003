"""Sheets of frames that are put to use: each frame is a record of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.errors import DataError
from ganvas.kinds import kind_of
from ganvas.kinds.facets import Reads
from ganvas.kinds.image.resize import frames
from ganvas.kinds.image.spec import ImageSpec


def test_a_sheet_gives_a_piece_for_each_frame(tmp_path: Path) -> None:
    """Row by row, without the empty ones; a picture of the size of a frame is one; another is told what a frame is."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    pixels[:8, 8:16] = 7
    Image.fromarray(pixels).save(tmp_path / "sheet.png")
    Image.fromarray(pixels[:8, :8]).save(tmp_path / "one.png")
    Image.fromarray(pixels[:, :20]).save(tmp_path / "odd.png")
    kind, spec, settings = kind_of("image"), ImageSpec(3, 8, 8, 8, 0.0, 255.0), {"fit": "frames"}
    assert isinstance(kind, Reads)
    found = list(kind.read(tmp_path / "sheet.png", spec, settings))
    assert [piece.records.shape for piece in found] == [(1, 8, 8, 3)] * 5
    np.testing.assert_array_equal(found[1].records[0], pixels[:8, 16:])
    assert len(list(kind.read(tmp_path / "one.png", spec, settings))) == 1
    with pytest.raises(DataError, match=r"odd\.png: 16x20 pixels are no whole number of frames of 8x8"):
        list(kind.read(tmp_path / "odd.png", spec, settings))


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(Exception, match="every frame of it is of a single colour"):
        frames(np.zeros((16, 16, 1), np.uint8), (8, 8))
