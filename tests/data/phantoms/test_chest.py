"""The chest phantom: repeatable, true to its facts, masks and rules, at every size and depth."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ganvas.data.phantoms._thorax import vessel_bank
from ganvas.data.phantoms.chest import CLASSES, RULES, make, possible


def test_record_k_depends_on_seed_and_k_alone() -> None:
    many, few = make("", 21, 5), make("", 4, 5)
    assert np.array_equal(many.values[:4], few.values)
    assert many.facts[:4] == few.facts
    for name, masks in few.masks.items():
        assert np.array_equal(many.masks[name][:4], masks)
    assert not np.array_equal(make("", 4, 6).values, few.values)
    assert not np.array_equal(few.values[0], few.values[1])


@pytest.mark.parametrize(("size", "depth"), [((64, 64), 8), ((96, 64), 16), ((16, 16), 8), ((40, 300), 8), ((256, 128), 16)])
def test_any_size_and_depth(size: tuple[int, int], depth: int) -> None:
    made = make(None, 6, 1, size, depth)
    assert made.values.shape == (6, *size, 1)
    assert made.values.dtype == (np.uint8 if depth == 8 else np.uint16)
    assert all(m.shape == (6, *size) and m.dtype == np.uint8 and set(np.unique(m)) <= {0, 255} for m in made.masks.values())
    assert made.values.std(axis=(1, 2, 3)).min() > 0.03 * np.iinfo(made.values.dtype).max  # a picture, not a grey card


def test_sixteen_bits_are_used_and_show_the_same_picture() -> None:
    deep, flat = make("", 3, 2, (64, 64), 16).values, make("", 3, 2, (64, 64), 8).values
    assert len(np.unique(deep)) > 2000
    assert len(np.unique(deep & 0xFF)) == 256
    assert np.abs(deep / 65535 - flat / 255).max() < 1 / 255


def test_same_body_at_two_sizes() -> None:
    small, large = make("nodule", 6, 3, (64, 64)), make("nodule", 6, 3, (128, 128))
    halved = large.values.reshape(6, 64, 2, 64, 2).mean(axis=(2, 4))
    for k in range(6):
        assert np.corrcoef(halved[k].ravel(), small.values[k].ravel())[0, 1] > 0.97
        assert small.facts[k]["nodule"] == large.facts[k]["nodule"]


def test_classes_and_their_shares() -> None:
    made = make("", 600, 0, (16, 16))
    assert made.labels is not None
    assert made.classes == CLASSES
    shares = np.bincount(made.labels, minlength=5) / 600
    assert 0.42 < shares[0] < 0.58
    assert shares[1:].min() > 0.07
    for label, facts in zip(made.labels, made.facts, strict=True):
        assert possible(facts["findings"])
        assert (facts["findings"] == []) == (label == 0)
        assert label == 0 or CLASSES[label] in facts["findings"]


@pytest.mark.parametrize("name", CLASSES[1:])
def test_a_finding_changes_the_picture_inside_its_mask(name: str) -> None:
    """The same bodies without the finding differ, in the expected direction, in the mask and hardly elsewhere."""
    ill, well = make(name, 24, 4), make("normal", 24, 4)
    change = ill.values[..., 0].astype(int) - well.values[..., 0]
    inside = ill.masks[name] > 0
    assert inside.any(axis=(1, 2)).all()
    assert not any(well.masks[other].any() for other in CLASSES[1:])
    within = np.array([change[k][inside[k]].mean() for k in range(24)])
    sign = -1 if name == "pneumothorax" else 1
    assert (sign * within > 1).mean() > 0.95
    outside = np.array([np.abs(change[k][~inside[k]]).mean() for k in range(24)])
    assert np.median(np.abs(within)) > 2 * np.median(outside)


def test_masks_keep_to_the_anatomy() -> None:
    made = make("", 80, 8, (64, 64))
    lungs = made.masks["lungs"] > 0
    grey = made.values[..., 0].astype(float)
    assert (lungs.mean(axis=(1, 2)) > 0.08).all()
    assert not (lungs & (made.masks["heart"] > 0)).any()
    assert not (lungs & (made.masks["effusion"] > 0)).any()
    assert not (lungs & (made.masks["pneumothorax"] > 0)).any()
    nodules = made.masks["nodule"] > 0
    assert (nodules & lungs).sum() > 0.9 * nodules.sum()
    # lung is darker than heart on every radiograph
    heart = made.masks["heart"] > 0
    assert all(grey[k][lungs[k]].mean() < grey[k][heart[k]].mean() for k in range(80))
    # the heart lies more to the patient's left, the image's right
    columns = np.arange(64)
    middle = [(m.sum(0) * columns).sum() / m.sum() for m in heart]
    assert np.mean(middle) > 33


def test_cardiothoracic_ratio_is_what_the_mask_shows() -> None:
    for variant, low, high in (("normal", 0.39, 0.52), ("cardiomegaly", 0.56, 0.68)):
        made = make(variant, 30, 9, (256, 256))
        for k, facts in enumerate(made.facts):
            assert low <= facts["ctr"] <= high
            columns = np.flatnonzero(made.masks["heart"][k].any(0))
            shown = (columns[-1] - columns[0] + 1) * facts["pixel_cm"] / facts["thorax_cm"]
            assert shown == pytest.approx(facts["ctr"], abs=0.02)


@pytest.mark.parametrize("name", ["effusion", "pneumothorax", "nodule"])
def test_sides_are_the_patients(name: str) -> None:
    made = make(name, 30, 11, (128, 128))
    well = make("normal", 30, 11, (128, 128)).masks["lungs"]
    seen = set()
    for k, facts in enumerate(made.facts):
        lungs = np.flatnonzero(well[k].any(0))
        middle = (lungs.min() + lungs.max()) / 2
        columns = np.flatnonzero(made.masks[name][k].any(0))
        side = facts[name]["side"]
        seen.add(side)
        assert (columns.min() < middle - 4) == (side in ("right", "both"))  # the patient's right is the image's left
        assert (columns.max() > middle + 4) == (side in ("left", "both"))
        if name == "effusion" and "cardiomegaly" in facts["findings"]:
            assert side != "left"
    assert seen >= {"left", "right"}


def test_nodules_measure_what_the_facts_say() -> None:
    made = make("nodule", 30, 12, (256, 256))
    for k, facts in enumerate(made.facts):
        area = (made.masks["nodule"][k] > 0).sum() * facts["pixel_cm"] ** 2
        assert facts["nodule"]["diameter_cm"] <= 3.0
        assert 2 * np.sqrt(area / np.pi) == pytest.approx(facts["nodule"]["diameter_cm"], rel=0.1)


def test_rules() -> None:
    assert possible([])
    assert possible(["normal"])
    assert possible(["effusion", "cardiomegaly"])
    assert not possible(["normal", "nodule"])
    assert not possible(["broken rib"])
    for pair, why in RULES.items():
        assert why
        assert not possible(pair)


def test_facts_are_json_and_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    made = make("", 20, 0, (64, 64), 8, lambda done, of: told.append((done, of)))
    assert json.loads(json.dumps(made.facts)) == made.facts
    assert told[-1] == (20, 20)
    assert len(told) > 1


def test_vessels_are_grown_once_for_every_number_of_pixels() -> None:
    """They were grown anew for each blur, and thrown away after four: four seconds for three pictures of another size."""
    banks = [vessel_bank(blur) for blur in range(7)]
    assert all(vessel_bank(blur) is bank for blur, bank in enumerate(banks))
    assert all(bank.shape == banks[0].shape and bank.sum() == pytest.approx(banks[0].sum(), rel=0.05) for bank in banks)
    steepest = [np.abs(np.diff(bank, axis=2)).max() for bank in banks]
    assert steepest == sorted(set(steepest), reverse=True), "the blurrier, the flatter"
    with pytest.raises(ValueError, match="read-only"):
        banks[0][0] = 0  # all others come of it
