"""The head phantom: the same anatomy in two contrasts, tissue signals in the right order, lesions where the mask says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ganvas.data.phantoms import PhantomData, make_phantom
from ganvas.data.phantoms._scanners import LOWEST_HU, SPAN_HU, SPAN_SUV
from ganvas.data.phantoms.brain import INDEX, drawn_heads, signals_of


@pytest.fixture(scope="module")
def both() -> tuple[PhantomData, PhantomData]:
    return make_phantom("brain:t1", 48, 5, size=96), make_phantom("brain:t2", 48, 5, size=96)


def test_contrasts_share_anatomy_and_truth(both: tuple[PhantomData, PhantomData]) -> None:
    one, two = both
    assert np.array_equal(one.masks["lesion"], two.masks["lesion"])
    assert np.array_equal(one.labels, two.labels)
    assert not np.array_equal(one.values, two.values)
    for a, b in zip(one.facts, two.facts, strict=True):
        assert (a["contrast"], b["contrast"]) == ("t1", "t2")
        assert {**a, "contrast": ""} == {**b, "contrast": ""}
    # What is head in one is head in the other, though the grey values differ.
    head = [made.values[..., 0] > 25 for made in both]
    overlap = (head[0] & head[1]).sum() / (head[0] | head[1]).sum()
    assert overlap > 0.6


def test_without_a_variant_the_contrasts_alternate(both: tuple[PhantomData, PhantomData]) -> None:
    pairs = make_phantom("brain", 21, 5, size=96)
    assert pairs.classes == ("t1", "t2")
    assert pairs.labels.tolist() == [i % 2 for i in range(21)]
    assert np.array_equal(pairs.values[0::2], both[0].values[:11])
    assert np.array_equal(pairs.values[1::2], both[1].values[:10])


def test_lesion_label_mask_and_facts_agree(both: tuple[PhantomData, PhantomData]) -> None:
    made = both[0]
    assert 0.25 < made.labels.mean() < 0.75
    for label, mask, fact in zip(made.labels, made.masks["lesion"], made.facts, strict=True):
        assert bool(label) == bool(mask.any())
        assert fact["visible_lesion_pixels"] == int((mask > 0).sum())
        if mask.any():
            area = (mask > 0).sum() * (fact["field_mm"] / 96) ** 2
            assert area < 2.0 * np.pi * fact["lesion"]["radius_mm"] ** 2 + 60
    seen = sum(bool(mask.any()) for mask, fact in zip(made.masks["lesion"], made.facts, strict=True) if fact["lesion"])
    assert seen >= 0.85 * sum(fact["lesion"] is not None for fact in made.facts)


def test_enhancing_lesions_shine_on_t1_and_watery_ones_on_t2(both: tuple[PhantomData, PhantomData]) -> None:
    one, two = both
    shining, checked = 0, 0
    for i, fact in enumerate(one.facts):
        mask = one.masks["lesion"][i] > 0
        if mask.sum() < 40 or not fact["lesion"]["enhancing"]:
            continue
        ring = np.zeros_like(mask)
        rows, columns = np.where(mask)
        ring[max(rows.min() - 5, 0) : rows.max() + 6, max(columns.min() - 5, 0) : columns.max() + 6] = True
        around = one.values[i, ..., 0][ring & ~mask]
        checked += 1
        shining += float(np.percentile(one.values[i, ..., 0][mask], 90)) > float(np.median(around))
    assert checked >= 3
    assert shining >= 0.8 * checked


def test_tissues_stand_in_the_order_of_the_textbooks() -> None:
    head, _ = drawn_heads(np.random.default_rng(0), 64)
    for tesla in (1.5, 3.0):
        plain = (head["tesla"] == tesla) & (head["fat_saturated"] == 0)
        t1, t2 = (signals_of(head, contrast)[plain].mean(0) for contrast in ("t1", "t2"))
        order = ["fat", "white", "grey", "fluid", "air"]
        assert np.all(np.diff([t1[INDEX[name]] for name in order]) < 0)
        order = ["fluid", "grey", "white", "muscle", "air"]
        assert np.all(np.diff([t2[INDEX[name]] for name in order]) < 0)
        # S = PD (1 - exp(-TR/T1)) exp(-TE/T2), worked by hand for white matter at 1.5 T.
        if tesla == 1.5:
            assert t1[INDEX["white"]] == pytest.approx(0.77 * (1 - np.exp(-1)) * np.exp(-0.2), rel=1e-4)


def test_background_is_rician() -> None:
    """The magnitude of pure noise is Rayleigh: mean / standard deviation = sqrt(pi / (4 - pi)) = 1.913."""
    made = make_phantom("brain:t2", 64, 1, size=64, depth=16)
    ratios = []
    for picture, fact in zip(made.values[..., 0].astype(np.float64), made.facts, strict=True):
        corner = picture[:7, :7] if fact["plane"] == "axial" else picture[:5, :5]
        if corner.mean() > 60:
            # Undo the display's gamma as far as ranks allow: Rayleigh and its powers are all skewed to the right.
            ratios.append(np.mean((corner - corner.mean()) ** 3) / corner.std() ** 3)
    assert len(ratios) > 20
    assert np.median(ratios) > 0.2


def test_planes_positions_and_fields_vary(both: tuple[PhantomData, PhantomData]) -> None:
    facts = both[0].facts
    assert {fact["plane"] for fact in facts} == {"axial", "coronal", "sagittal"}
    assert {fact["tesla"] for fact in facts} == {1.5, 3.0}
    assert np.std([fact["position_mm"] for fact in facts]) > 10


def test_ct_and_pet_are_of_the_same_heads_in_units_of_their_own() -> None:
    """Bone is dark in MR and brightest in CT; PET sees the cortex; lesions lie where they lie in MR."""
    given = {name: make_phantom(f"brain:{name}", 24, 5, size=64, depth=16) for name in ("t1", "pd", "ct", "pet")}
    ct = given["ct"].values[..., 0].astype(float) / 65535 * SPAN_HU + LOWEST_HU
    suv = given["pet"].values[..., 0].astype(float) / 65535 * SPAN_SUV
    t1 = given["t1"].values[..., 0].astype(float) / 65535
    for own in given.values():
        assert np.array_equal(own.masks["lesion"], given["t1"].masks["lesion"])
        assert [fact["subject"] for fact in own.facts] == list(range(24))
    bone, soft, air = ct > 800, (ct > 0) & (ct < 80), ct < -800
    assert 0.02 < bone.mean() < 0.3 and soft.mean() > 0.1 and air.mean() > 0.2
    assert t1[bone].mean() < 0.6 * t1[soft].mean()
    assert suv[bone].mean() < 0.5 * suv[soft].mean()
    assert abs(np.median(ct[air]) + 1000) < 15
    assert given["ct"].facts[0]["unit"].startswith("HU = 3000") and "unit" not in given["t1"].facts[0]
    assert not np.array_equal(given["pd"].values, given["t1"].values)


def test_files_that_say_what_their_values_mean_hold_hounsfield_units(tmp_path: Path) -> None:
    from ganvas.data.phantoms import make_phantom
    from ganvas.data.phantoms._files import write_phantom
    from ganvas.kinds.image.readers import read

    drawn = make_phantom("brain:ct", 3, 0, size=32, depth=16).values.astype(np.float64)
    expected = np.rint(3000 * drawn / 65535 - 1024)
    for format in ("dicom", "nifti"):
        out = tmp_path / format
        write_phantom("brain:ct", 3, out, size=32, depth=16, format=format)
        found = [p.pixels for file in sorted(out.glob("*/*.dcm")) + sorted(out.glob("*/*.nii.gz")) for p in read(file)]
        order = sorted(range(3), key=lambda k: str(found[k].mean()))
        own = sorted(range(3), key=lambda k: str(expected[k].astype(np.float32).mean()))
        for one, other in zip(order, own, strict=True):
            assert np.array_equal(np.asarray(found[one], np.float64).reshape(32, 32), expected[other].reshape(32, 32))
    write_phantom("brain:ct", 1, tmp_path / "png", size=32, depth=16)
    assert next(iter(read(next((tmp_path / "png").glob("*/*.png"))))).pixels.max() > 2000  # as stored
