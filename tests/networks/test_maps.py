"""Label maps as channels and as pictures; parts of a record mirrored together."""

from __future__ import annotations

import torch

from ganvas.batches import Noise
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.label_map.spec import LabelMapSpec
from ganvas.networks.maps import as_picture, classes_as_channels, mirrored_together

MAPS = torch.tensor([[[0, 1], [1, 1]]])
SPEC = LabelMapSpec(2, 2, ("a", "b"), (3, 9), ("#000000", "#ff0000"))


def test_a_class_is_a_channel() -> None:
    assert classes_as_channels(MAPS, 2, torch.float32).tolist() == [[[[1, 0], [0, 0]], [[0, 1], [1, 1]]]]


def test_maps_are_shown_in_the_colours_of_their_classes() -> None:
    seen = as_picture(MAPS, SPEC, 3)
    assert seen[0, :, 0, 0].tolist() == [-1, -1, -1] and seen[0, :, 1, 1].tolist() == [1, -1, -1]
    assert as_picture(MAPS, SPEC, 1).shape == (1, 1, 2, 2)
    image = torch.rand(1, 3, 2, 2)
    assert torch.equal(as_picture(image, ImageSpec(3, 2, 2), 3), image)
    assert as_picture(image, ImageSpec(3, 2, 2), 1).shape == (1, 1, 2, 2)


def test_parts_of_a_record_are_mirrored_together_and_records_each_for_itself() -> None:
    first = torch.arange(24.0).view(8, 1, 1, 3)
    turned, other = mirrored_together(Noise(torch.Generator().manual_seed(0)), first, first + 100)
    assert torch.equal(turned + 100, other)
    moved = [not torch.equal(own, before) for own, before in zip(turned, first, strict=True)]
    assert any(moved) and not all(moved)
