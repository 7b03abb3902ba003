"""Whole heads in three dimensions: MR (T1, T2) and CT of the anatomy of the phantom `brain`, some with a lesion, tissues known.

For trying and judging systems that learn volumes. Not for teaching or testing anything about patients: lesions are geometry,
not disease. Anatomy, sizes and signals are those of `brain`, which asks each point of a slice for its tissue; here slices from
the neck to the crown are stacked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ganvas.data.phantoms import PhantomData, Progress
from ganvas.data.phantoms._scanners import SCANNERS
from ganvas.data.phantoms.brain import CONTRASTS, INDEX, TISSUES, Array, drawn_heads, signals_of, slices_of
from ganvas.errors import DataError
from ganvas.kinds.volume.spec import VolumeSpec

LARGEST = 256
MIDDLE, WIDER = -20.0, 1.1  # millimetres: the height of the cube's middle; its side by a slice's: crown, jaw and nose are in it
HU = {"air": -1000, "fluid": 8, "grey": 38, "white": 28, "fat": -95, "muscle": 55, "bone": 1150, "marrow": 320, "deep": 40,
      "pallidum": 46, "lesion": 44, "oedema": 18, "core": 14}  # fmt: skip
HU_NOISE, HU_RANGE = 12.0, (-1024.0, 1976.0)
TOLD = ("fluid", "grey", "white", "lesion", "oedema")
VARIANTS = (*CONTRASTS, "ct")
_CHUNK, _SLAB = 16, 2**18  # heads drawn together; points asked at once


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """Volumes (N, side, side, side): `t1` (also without a variant) and `t2` uint8, `ct` float32 in Hounsfield units. Labels
    normal and lesion; sample i is head i in all of them. Masks: `lesion` (N, side, side, side)."""
    side = size[0]
    if size[0] != size[1] or side > LARGEST:
        raise DataError(f"phantom 'brain-volumes': size {size[0]}x{size[1]}: give one side, 16 to {LARGEST}")
    contrast = variant or "t1"
    ct = contrast in SCANNERS
    values = np.empty((n, side, side, side), np.float32 if ct else np.uint8)
    mask = np.zeros(values.shape, np.uint8)
    facts: list[dict[str, Any]] = []
    for number, (head, told, tissue, radius) in enumerate(heads(n, seed, side)):
        noise = np.random.default_rng([seed, number, 1 + VARIANTS.index(contrast)])
        values[number] = _ct(tissue, noise) if ct else _mr(head, tissue, radius, contrast, noise)
        inside = np.isin(tissue, [INDEX["lesion"], INDEX["core"]])
        mask[number] = inside * np.uint8(255)
        apart = float(head["field"][0]) / side
        volumes = {name: round(float((tissue == INDEX[name]).sum()) * apart**3 / 1000, 2) for name in TOLD}
        facts.append({
            "subject": number, **told, "contrast": contrast, "voxel_mm": round(apart, 3), "volumes_ml": volumes,
            "lesion_voxels": int(inside.sum()), **({"unit": "HU"} if ct else {}),
        })  # fmt: skip
        if progress is not None:
            progress(number + 1, n)
    labels = np.array([int(fact["lesion_voxels"] > 0) for fact in facts], np.int64)
    low, high = HU_RANGE if ct else (0.0, 255.0)
    gap = round(float(np.median([fact["voxel_mm"] for fact in facts])), 3)
    spec = VolumeSpec(side, 32 if ct else 8, low, high, (gap,) * 3, classes=("normal", "lesion"))
    return PhantomData(values, labels, spec.classes, {"lesion": mask}, facts, spec)


def heads(n: int, seed: int, side: int) -> Iterator[tuple[dict[str, Array], dict[str, Any], Array, Array]]:
    """Of each of n heads: its parameters (1, ...), the facts told of it, the tissue (side, side, side) uint8 of each voxel, an
    index into `brain.TISSUES`, along superior, posterior and left, and the distance from the middle of the brain."""
    for start in range(0, n, _CHUNK):
        drawn, told = drawn_heads(np.random.default_rng([seed, start // _CHUNK, 7]), _CHUNK)
        for place in range(min(_CHUNK, n - start)):
            one = {key: value[place : place + 1] for key, value in drawn.items()}
            one["field"] = one["field"] * WIDER
            apart = float(one["field"][0]) / side
            heights = ((np.arange(side) - (side - 1) / 2) * apart + MIDDLE).astype(np.float32)
            found = []
            step = max(1, _SLAB // side**2)
            for first in range(0, side, step):
                own = heights[first : first + step]
                slab = {key: np.repeat(value, len(own), axis=0) for key, value in one.items()}
                slab |= {"plane": np.zeros(len(own), np.float32), "position": own}
                found.append(slices_of(slab, (side, side), 1)[:2])
            kept = {key: told[place][key] for key in ("tesla", "lesion", "ventricle_scale", "sulcal_fluid_mm", "brain_mm")}
            yield one, kept, np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found])


def _soft(volume: Array, sigma: float) -> Array:
    from scipy.ndimage import gaussian_filter

    made: Array = gaussian_filter(volume.astype(np.float32), sigma, mode="nearest")
    return made


def _mr(head: dict[str, Array], tissue: Array, radius: Array, contrast: str, rng: np.random.Generator) -> Array:
    """(side, side, side) uint8: signal, coil, blur, Rician noise and window, as the slices of `brain` have them."""
    table = signals_of(head, contrast)[0]
    ramp = np.linspace(-1, 1, len(tissue), dtype=np.float32)
    coil = 1 + head["coil"][0, 0] * ramp + head["coil"][0, 1] * ramp[:, None] + head["surface"][0] * (radius**2 - 0.6)
    volume = _soft(table[tissue] * np.maximum(coil, 0.15), float(head["blur"][0]))
    top = np.float32(np.percentile(volume[::2, ::2, ::2], 99.5))
    real, imaginary = (rng.standard_normal(volume.shape, np.float32) * (head["noise"][0] * top) for _ in range(2))
    grey = np.clip(head["window"][0] * np.hypot(volume + real, imaginary) / top, 0, 1) ** head["gamma"][0]
    made: Array = np.rint(grey * 255).astype(np.uint8)
    return made


def _ct(tissue: Array, rng: np.random.Generator) -> Array:
    """(side, side, side) float32 in whole Hounsfield units."""
    table = np.array([HU[name] for name in TISSUES], np.float32)
    volume = _soft(table[tissue], 0.45) + rng.standard_normal(tissue.shape, np.float32) * np.float32(HU_NOISE)
    made: Array = np.rint(volume).clip(*HU_RANGE).astype(np.float32)
    return made
