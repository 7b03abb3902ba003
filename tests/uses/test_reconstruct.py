"""Solids of pictures: several for each where wanted, measured against the truth and against looking the picture up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ganvas.batches import Noise
from ganvas.data.dataset import Dataset, Field
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.solid.spec import SolidSpec
from ganvas.uses import Work, build_options, fields_taken, spec_given, verbs_of
from ganvas.uses.reconstruct import USE, measure, nearest, overlap, picture_spec

SIDE = 8


class Mirror(torch.nn.Module):
    """A picture of a solid is its first layers; what it makes of one is these layers, twice."""

    def __init__(self, spec: Any) -> None:
        super().__init__()
        self.spec = spec
        self.anything = torch.nn.Parameter(torch.zeros(()))

    def depict(self, solids: torch.Tensor, noise: Noise) -> torch.Tensor:
        return 2 * solids[:, :, 0] - 1

    def build(self, pictures: torch.Tensor, noise: Noise, drawn: bool = False) -> torch.Tensor:
        made = ((pictures + 1) / 2)[:, :, None].repeat(1, 1, SIDE, 1, 1)
        return 1 - made if drawn else made


def dataset(count: int = 40) -> Dataset:
    """Solids of equal layers, the last ten held out, each like one of the others."""
    layers = np.random.default_rng(0).integers(0, 2, (count, SIDE, SIDE), dtype=np.uint8)
    layers[-10:] = layers[:10]
    layers[-10:, 0, 0] ^= 1
    values = np.repeat(layers[:, None], SIDE, 1)
    fields = {"real": Field(SolidSpec(SIDE), values)}
    return Dataset(fields, None, np.arange(count), np.arange(count) >= count - 10, "tiny", "tiny")


def work() -> Work:
    return Work(Mirror(SolidSpec(SIDE)), {"real": SolidSpec(SIDE)})


def test_it_takes_pictures_that_records_need_not_have() -> None:
    own = work()
    assert verbs_of(own.system) == ["reconstruct"]
    assert fields_taken(USE, own.system, own.fields) == ("picture", {})
    assert spec_given(USE, own, "picture") == picture_spec(SolidSpec(SIDE)) == ImageSpec(1, 16, 16)
    paired = {"solid": SolidSpec(SIDE), "picture": ImageSpec(3, 20, 30)}
    assert fields_taken(USE, own.system, paired) == ("picture", {})
    assert spec_given(USE, Work(own.system, paired), "picture").channels == 3


def test_several_solids_of_one_picture_the_likeliest_first() -> None:
    pictures = torch.tensor([1.0, -1.0])[:, None, None, None].repeat(1, 1, SIDE, SIDE)
    made = USE.run(work(), {"picture": pictures}, build_options(USE, {"codes": 2}))["real"]
    assert made.shape == (4, 1, SIDE, SIDE, SIDE)
    assert made.flatten(1).mean(1).tolist() == [1.0, 0.0, 0.0, 1.0], "those of a picture one after the other"


def test_the_training_solid_with_the_nearest_picture_is_found() -> None:
    own, data = work(), dataset()
    pictures = own.system.depict(torch.from_numpy(data.values[-10:]).float()[:, None], own.noise).numpy()
    assert np.array_equal(nearest(own, data, pictures), data.values[:10])


def test_what_is_made_is_measured_beside_what_is_looked_up() -> None:
    found = measure(work(), dataset(), 10)
    assert found["overlap"].value == 1.0
    assert 0.9 < found["overlap_of_nearest_picture"].value < 1.0, "one row of voxels is another"


def test_overlap_is_that_of_pairs() -> None:
    one, other = np.zeros((2, 2, 2, 2)), np.zeros((2, 2, 2, 2))
    one[0, 0], other[0, 0, 0] = 1, 1  # 4 voxels, of which the other has 2
    assert overlap(one, other) == pytest.approx([0.5, 0.0])
