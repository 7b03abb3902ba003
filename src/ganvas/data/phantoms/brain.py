"""Simulated slices of heads: MR of three contrasts, CT and PET of the same anatomy, some with a lesion and its mask.

For demonstrations, for translation between contrasts and for methods that need a truth. Not for teaching or testing
anything about patients: the lesions are geometry, not disease.

How it is made. A head in three dimensions is a set of implicit surfaces (ellipsoids, chains of capsules, a cortex
folded by the zero level of band-limited noise); a slice of any orientation asks each of its points which tissue it lies
in. Tissues give the signal of a spin echo, S = PD (1 - exp(-TR/T1)) exp(-TE/T2), with published relaxation times at
1.5 and 3 T. A receive coil shades the picture and the magnitude of complex noise makes it Rician.

Millimetres; x to the left of the patient (right of the picture), y forward, z up, origin between the commissures.
Sizes follow the adult averages of Talairach and Tournoux (1988) where they have one; cortex 2.5 mm thick (Fischl and
Dale 2000, PNAS 97:11050); skull 6 to 7 mm.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ganvas.data.phantoms import PhantomData, Progress
from ganvas.data.phantoms._scanners import SCALES, SCANNERS, UNITS, scanned, shrunk, softened

Array = np.ndarray

CONTRASTS = ("t1", "t2")
EVERY = (*CONTRASTS, "pd", *SCANNERS)  # the order of their streams of random numbers
CLASSES = ("normal", "lesion")

TISSUES = ("air", "fluid", "grey", "white", "fat", "muscle", "bone", "marrow", "deep", "pallidum", "lesion", "oedema", "core")
INDEX = {name: index for index, name in enumerate(TISSUES)}
# T1, T2 in ms and proton density. 1.5 T: the BrainWeb table (Kwan, Evans and Pike 1999, IEEE Trans. Med. Imaging 18:1085).
# 3 T: Stanisz et al. 2005 (Magn. Reson. Med. 54:507) for grey, white and muscle; fat T1 from de Bazelaire et al. 2004
# (Radiology 230:652); fluid near free water. The deep nuclei lie between grey and white; iron shortens T2 of pallidum.
_RELAXATION = {
    1.5: {
        "fluid": (2569, 329, 1.0),
        "grey": (833, 83, 0.86),
        "white": (500, 70, 0.77),
        "fat": (350, 70, 1.0),
        "muscle": (900, 47, 1.0),
        "marrow": (400, 60, 0.45),
        "deep": (690, 76, 0.83),
        "pallidum": (600, 60, 0.78),
    },
    3.0: {
        "fluid": (4000, 500, 1.0),
        "grey": (1820, 99, 0.86),
        "white": (1084, 69, 0.77),
        "fat": (382, 68, 1.0),
        "muscle": (1412, 50, 1.0),
        "marrow": (450, 60, 0.45),
        "deep": (1450, 82, 0.83),
        "pallidum": (1250, 58, 0.78),
    },
}
_ECHO = {  # TR, TE in ms
    ("t1", 1.5): (500, 14), ("t1", 3.0): (650, 11), ("t2", 1.5): (4000, 95), ("t2", 3.0): (4500, 90),
    ("pd", 1.5): (4000, 15), ("pd", 3.0): (4500, 11),
}  # fmt: skip

_CHUNK = 16  # heads drawn together
_PIXELS = 2**17  # of one rendering step


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """Slices (N, H, W, 1). `t1`, `t2`, `pd`, `ct`, `pet`: that alone, labels normal and lesion (seen in the slice), sample i is
    head i in the same slice in all of them.

    Without a variant: labels t1 and t2, samples 2i and 2i + 1 are the two contrasts of head i.
    """
    height, width = size
    per_head = 2 if variant is None else 1
    values = np.empty((n, height, width, 1), np.uint16 if depth == 16 else np.uint8)
    mask = np.zeros((n, height, width), np.uint8)
    labels = np.empty(n, np.int64)
    facts: list[dict[str, Any]] = []
    heads = -(-n // per_head)
    factor = 2 if min(size) < 160 else 1
    rows = max(1, _PIXELS // (height * width * factor**2))
    for start in range(0, heads, _CHUNK):
        # Anatomy, slice and the two scans have streams of their own: the same head at every size and contrast.
        body = np.random.default_rng([seed, start // _CHUNK, 0])
        noise = {contrast: np.random.default_rng([seed, start // _CHUNK, 1 + i]) for i, contrast in enumerate(EVERY)}
        head, told = drawn_heads(body, _CHUNK)
        for first in range(0, min(_CHUNK, heads - start), rows):
            part = slice(first, first + rows)
            some = {key: value[part] for key, value in head.items()}
            tissue, radius, lesion = slices_of(some, size, factor)
            for place, contrast in enumerate(CONTRASTS if variant is None else (variant,)):
                if contrast in SCANNERS:
                    pixel = some["field"].reshape(-1, 1, 1) / min(size)
                    grey = scanned(contrast, TISSUES, tissue, pixel, factor, noise[contrast])
                else:
                    grey = _scan(some, tissue, radius, contrast, factor, noise[contrast])
                for i in range(len(grey)):
                    index = (start + first + i) * per_head + (place if variant is None else 0)
                    if index >= n:
                        break
                    values[index, ..., 0] = np.rint(grey[i] * (2**depth - 1))
                    mask[index] = lesion[i] * np.uint8(255)
                    fact = told[first + i]
                    labels[index] = place if variant is None else int(lesion[i].any())
                    facts.append(
                        {
                            "subject": start + first + i,
                            **fact,
                            "contrast": contrast,
                            **({"unit": UNITS[contrast]} if contrast in UNITS else {}),
                            "visible_lesion_pixels": int(lesion[i].sum()),
                            "_": index,
                        }
                    )
        if progress is not None:
            progress(min((start + _CHUNK) * per_head, n), n)
    facts.sort(key=lambda fact: fact["_"])
    for fact in facts:
        del fact["_"]
    classes = CONTRASTS if variant is None else CLASSES
    return PhantomData(values, labels, classes, {"lesion": mask}, facts, scale=SCALES.get(variant or ""))


def drawn_heads(rng: np.random.Generator, count: int) -> tuple[dict[str, Array], list[dict[str, Any]]]:
    """Draw heads, slice positions and scanner settings: arrays (B, ...) float32 and the facts told of them."""

    def uniform(low: float, high: float) -> Array:
        return rng.uniform(low, high, count)

    def normal(mean: float, sigma: float, low: float, high: float) -> Array:
        return np.clip(rng.normal(mean, sigma, count), low, high)

    head: dict[str, Array] = {
        # Brain about 134 mm wide, 170 long, 115 high (Talairach and Tournoux 1988), +- 5 %.
        "wide": normal(66, 3, 58, 74),
        "long": normal(84, 4, 74, 95),
        "high": normal(66, 3.5, 58, 75),
        "egg": normal(0.10, 0.04, 0.0, 0.2),
        "skull": normal(6.5, 1.2, 4, 9.5),
        "scalp": normal(6.0, 1.8, 3, 11),
        "atrophy": np.clip(rng.gamma(3.0, 0.35, count), 0.35, 3.2),  # mm of fluid on the cortex and in its folds
        "ventricle": np.clip(rng.lognormal(0.0, 0.28, count), 0.6, 2.2),
        "asymmetry": normal(0, 0.06, -0.15, 0.15),
        "fold": normal(23, 2.0, 19, 28),
        "cortex": normal(2.7, 0.25, 2.1, 3.4),
        "sulcus": normal(17, 3, 11, 24),
        "eye": normal(12.2, 0.5, 11, 13.5),
        "neck": normal(56, 6, 44, 70),
        "chin": normal(0, 6, -12, 12),
        "field": normal(218, 18, 188, 280),  # mm across the shorter side of the picture
        "shift": rng.normal(0, 5, (count, 2)),
        "tilt": rng.normal(0, 0.06, (count, 3)),  # radians about x, y, z
    }
    plane = rng.choice(3, count, p=(0.62, 0.19, 0.19))  # axial, coronal, sagittal
    head["plane"] = plane
    rare, often = rng.random(count) < 0.2, rng.random(count) < 0.5
    axial = np.where(rare, uniform(-42, -8), uniform(-8, 50))
    sagittal = np.where(often, uniform(-8, 8), uniform(-45, 45))
    position = np.choose(plane, (axial, uniform(-40, 35), sagittal))
    head["position"] = position
    # Directions and phases of the noise that folds the cortex and of the one that bends everything else.
    direction = rng.normal(size=(count, _WAVES, 3))
    direction /= np.linalg.norm(direction, axis=2, keepdims=True)
    head["wave"] = direction * rng.uniform(0.8, 1.2, (count, _WAVES, 1)) * (2 * np.pi / head["fold"])[:, None, None]
    head["phase"] = rng.uniform(0, 2 * np.pi, (count, _WAVES))
    bend = rng.normal(size=(count, 3, 3))
    head["bend"] = bend / np.linalg.norm(bend, axis=2, keepdims=True) * (2 * np.pi / 120)
    head["bend_phase"] = rng.uniform(0, 2 * np.pi, (count, 3))
    # Scanner.
    tesla = np.where(rng.random(count) < 0.6, 1.5, 3.0)
    head["tesla"] = tesla
    head["coil"] = rng.normal(0, 0.16, (count, 2))
    head["surface"] = uniform(0.05, 0.45)
    head["noise"] = 10 ** uniform(-2.5, -1.55)
    head["window"] = uniform(0.86, 1.05)
    head["gamma"] = normal(1.18, 0.15, 0.85, 1.6)
    head["fat_saturated"] = rng.random(count) < 0.12
    head["blur"] = uniform(0.35, 0.6)
    # Lesion: in the cerebrum, within reach of the slice, so that most are seen.
    has = rng.random(count) < 0.55
    size = np.where(has, np.clip(rng.lognormal(2.5, 0.4, count), 5, 30), 0.0)  # radius in mm
    along, around, out = uniform(-1, 1), uniform(0, 2 * np.pi), uniform(0.25, 0.8)
    centre = np.stack([out * head["wide"] * np.cos(around), out * head["long"] * np.sin(around), out * 40 * along + 6], 1)
    axis = np.choose(plane, (2, 1, 0))
    reach = position + uniform(-0.5, 0.5) * size
    for i in range(count):
        centre[i, axis[i]] = reach[i]
    # Kept inside the brain: a centre too far out is drawn in within its slice; the outermost slices have no lesion.
    squared = (centre / np.stack([head["wide"], head["long"], np.full(count, 60.0)], 1)) ** 2
    fixed = squared[np.arange(count), axis]
    has &= fixed < 0.5
    size[~has] = 0
    factor = np.sqrt(np.minimum(1, (0.64 - np.minimum(fixed, 0.5)) / np.maximum(squared.sum(1) - fixed, 1e-6)))
    for i in range(count):
        centre[i, np.arange(3) != axis[i]] *= factor[i]
    head["lesion_centre"], head["lesion_radius"] = centre, size
    head["enhancing"] = rng.random(count) < 0.45
    head["oedema"] = np.where(rng.random(count) < 0.6, uniform(2, 12), 0.0)
    head["necrosis"] = np.where(rng.random(count) < 0.4, uniform(0.4, 0.7), 0.0)
    told = []
    for i in range(count):
        lesion = None
        if has[i]:
            lesion = {
                "centre_mm": [round(float(v), 1) for v in centre[i]],
                "radius_mm": round(float(size[i]), 1),
                "enhancing": bool(head["enhancing"][i]),
                "oedema_mm": round(float(head["oedema"][i]), 1),
            }
        told.append(
            {
                "plane": ("axial", "coronal", "sagittal")[plane[i]],
                "position_mm": round(float(position[i]), 1),
                "tesla": float(tesla[i]),
                "lesion": lesion,
                "ventricle_scale": round(float(head["ventricle"][i]), 2),
                "sulcal_fluid_mm": round(float(head["atrophy"][i]), 2),
                "brain_mm": [round(2 * float(head["wide"][i])), round(2 * float(head["long"][i]))],
                "field_mm": round(float(head["field"][i])),
            }
        )
    return {key: np.asarray(value, np.float32) for key, value in head.items()}, told


_WAVES = 12


# Nodes (x, y, 0.55 z, radius) from the frontal horn over the body and the atrium to the occipital horn; and downwards.
_VENTRICLE = (
    (13.0, 38.0, 3.0, 2.4),
    (8.0, 16.0, 6.5, 4.2),
    (9.0, -12.0, 9.5, 4.4),
    (22.0, -36.0, 6.0, 5.6),
    (22.0, -62.0, 2.0, 2.0),
)
_TEMPORAL_HORN = ((22.0, -36.0, 6.0, 4.4), (34.0, -18.0, -7.0, 2.2), (30.0, 2.0, -11.0, 2.0))


def slices_of(head: dict[str, Array], size: tuple[int, int], factor: int) -> tuple[Array, Array, Array]:
    """Tissue index (B, H, W) uint8 on the oversampled grid, distance from the head's middle, and the lesion mask."""
    height, width = size[0] * factor, size[1] * factor
    p = {key: value.reshape(-1, 1, 1) for key, value in head.items() if value.ndim == 1}
    pixel = p["field"] / (min(size) * factor)
    # Faces hang below the brain: coronal and sagittal pictures look lower, sagittal ones a little forward.
    plane = p["plane"]
    right = (np.arange(width, dtype=np.float32) - (width - 1) / 2) * pixel + head["shift"][:, 0, None, None]
    up = ((height - 1) / 2 - np.arange(height, dtype=np.float32))[:, None] * pixel + head["shift"][:, 1, None, None]
    up = up - np.where(plane == 0, np.float32(0), np.float32(26))
    right, up = np.broadcast_arrays(right, up)
    still = np.broadcast_to(p["position"], right.shape)
    x = np.where(plane == 2, still, right)
    y = np.where(plane == 0, up, np.where(plane == 1, still, 12 - right))
    z = np.where(plane == 0, still, up)
    tx, ty, tz = (head["tilt"][:, i, None, None] for i in range(3))
    x, y, z = x - tz * y + ty * z, y + tz * x - tx * z, z - ty * x + tx * y
    # Nobody is an ellipsoid: bend space by a few millimetres.
    b, phase = head["bend"][..., None, None], head["bend_phase"][..., None, None]
    shift = [2.2 * np.sin(b[:, i, 0] * x + b[:, i, 1] * y + b[:, i, 2] * z + phase[:, i]) for i in range(3)]
    x, y, z = x + shift[0], y + shift[1], z + shift[2]

    tissue = np.zeros(x.shape, np.uint8)

    def paint(name: str, where: Array) -> None:
        tissue[where] = INDEX[name]

    w = head["wave"][:, :, :, None, None]
    folds = sum(
        np.cos(w[:, k, 0] * x + w[:, k, 1] * y + w[:, k, 2] * z + head["phase"][:, k, None, None]) for k in range(_WAVES)
    ) * np.float32(np.sqrt(2 / _WAVES))

    away = np.abs(x)
    # Cerebrum, cerebellum, brain stem: millimetres outside each surface, along the ray from its centre.
    narrow = 1 - p["egg"] * np.clip(y / 85, -0.4, 1.2)
    floor = np.where(z > 0, p["high"], np.where(y > 8, np.float32(36), np.float32(46)))
    cerebrum = _outside(x / narrow, y, z, p["wide"], p["long"], floor)
    # The tentorium bounds the occipital lobes from below, the middle fossa the temporal ones from the middle.
    tent = -14 + 0.22 * (y + 50) - 0.16 * away
    cerebrum = np.maximum(cerebrum, np.where(y < -18, tent - z, np.float32(-99)))
    roof = -19 - 7 * np.exp(-((away / 13) ** 2)) + 2 * folds  # of the orbits; the straight gyri hang between them
    pole = y - 25 + 9 * ((away - 38) / 18) ** 2 + 99 * (z > -14)  # of the temporal lobes
    uncus = 16 + 0.22 * np.abs(y + 4) - 2.5 * folds
    hollow = np.where(y < 14, np.minimum(uncus - away, -14 - z), np.minimum(roof - z, pole))
    cerebrum = np.maximum(cerebrum, hollow)
    cerebellum = np.maximum(_outside(x, y + 48, z + 40, 50.0, 33.0, 27.0), z - tent + 3)
    lean = y + 20 - 0.25 * (z + 30)
    stem = np.maximum(np.hypot(x / 1.1, lean) - np.where(z > -45, np.float32(15), np.float32(8.5)), z + 8)
    outside = np.minimum(np.minimum(cerebrum, cerebellum), stem)
    vault = np.minimum(cerebrum, np.minimum(cerebellum, _outside(x, y, z, p["wide"], p["long"], np.float32(46))))

    # Face and neck: muscle and fat in layers, air in the nose, the sinuses and the throat.
    face = _outside(x, y - 40, z + 64 + p["chin"], 66.0, 60.0, 72.0)
    nose = _outside(x, y - 98, z + 52, 13.0, 18.0, 26.0)
    neck = np.where(z < -50, np.hypot(x, y + 22) - p["neck"], np.float32(99))
    ears = np.hypot(np.hypot(away - p["wide"] - 10, (y + 8) * 0.6), (z + 34) * 0.45) - 7
    soft = np.minimum(np.minimum(face, nose), np.minimum(neck, ears))
    paint("fat", soft < 0)
    streak = np.sin(0.13 * z + 1.2 * folds + 0.05 * y) + 0.6 * np.cos(0.3 * away + folds)
    paint("muscle", (soft < -6) & (streak > -0.85))
    paint("muscle", (soft < 0) & (soft > -1.6))
    paint("muscle", _outside(x, y - 45, z + 92, 24.0, 28.0, 20.0) < 0)  # tongue
    jaw = np.abs(np.hypot(x, (y - 30) * 0.8) - 44)
    paint("bone", (np.hypot(jaw / 6, (z + 100) / 17) < 1) & (y > 4))
    paint("marrow", (np.hypot(jaw / 6, (z + 100) / 17) < 0.6) & (y > 6))
    spine = np.hypot(x, y + 12)
    paint("bone", (spine < 13) & (z < -52))
    paint("marrow", (spine < 11) & (z < -54) & (np.sin(z * 0.35) > -0.8))

    # Layers of the head around the brain: fluid, inner table, marrow, outer table, scalp, skin.
    dura = 1.2 + 0.7 * p["atrophy"]
    table = dura + p["skull"]
    skin = table + p["scalp"] + 2 * np.exp(-(((z + 20) / 20) ** 2))
    paint("fat", vault < skin)
    paint("muscle", (vault < skin) & (vault > skin - 1.5))
    paint("muscle", (vault > table) & (vault < skin - 3) & (away > 40) & (z < 22) & (np.abs(y - 18) < 34))  # temporalis
    paint("bone", vault < table)
    paint("marrow", (vault > dura + 1.8) & (vault < table - 1.6))
    # Under the brain lies the base of the skull: thick bone with marrow, muscle below.
    near = np.minimum(outside, _outside(x, y - 4, z + 14, 17.0, 14.0, 9.0))
    paint("bone", vault < dura)
    paint("marrow", (vault < dura) & (near > dura + 2.5) & (folds > -0.5))
    paint("muscle", (vault < dura) & (near > dura + 8) & (folds > 0.3) & (z < -30))
    paint("fluid", (vault < dura) & (near < 1.6))
    paint("fluid", (stem < 3.5) & (z < -8))
    paint("bone", (np.hypot(x, y + 56) < 9) & (z < -76))

    # Orbits and sinuses.
    orbit = np.hypot(np.hypot(away - 31 - 0.12 * (y - 62), (y - 58) * 0.62), (z + 36) * 1.05) - 17.5
    paint("fat", orbit < 0)
    paint("muscle", (orbit < -2.0) & (orbit > -4.8) & (y < 66))
    eye = np.sqrt((away - 32) ** 2 + (y - 72) ** 2 + (z + 36) ** 2)
    nerve = np.hypot(away - 32 + 0.45 * (72 - y), z + 36 - 0.05 * (72 - y))
    paint("white", (nerve < 2.4) & (y < 62) & (y > 30))
    paint("muscle", eye < p["eye"] + 1.0)
    paint("fluid", eye < p["eye"])
    lens = ((away - 32) / 4.6) ** 2 + ((y - 67 - p["eye"]) / 2.2) ** 2 + ((z + 36) / 4.6) ** 2
    paint("muscle", lens < 1)
    paint("air", (_outside(x, y - 70, z + 50, 11.0, 25.0, 21.0) < 2 * folds) & (np.abs(away - 5) > 1.3))
    paint("air", _outside(x, y - 26, z + 38, 12.0, 11.0, 9.0) < 0)  # sphenoid sinus
    paint("air", _outside(away - 28, y - 66, z + 66, 12.0, 13.0, 14.0) < 0)  # maxillary sinuses
    paint("air", _outside(away - 12, y - 86, z + 12, 9.0, 3.5, 10.0) < 0)  # frontal sinuses
    paint("air", (np.hypot(x / 1.6, y - 14 - 0.1 * (z + 60)) < 5.5) & (z < -58))  # throat
    paint("air", (np.hypot(away - 52, y + 22) < 8) & (np.abs(z + 40) < 12) & (folds > 0.1) & (cerebellum > 4))  # mastoid

    # Cortex: the distance to the nearest fluid surface is that to the hull, to a fold or to a fissure.
    inside = -cerebrum
    fold = np.abs(folds) * (p["fold"] / (2 * np.pi) * 0.95)
    deeper = np.maximum(inside - p["sulcus"] * (0.8 + 0.3 * np.sin(0.11 * y + 0.09 * z + 0.1 * x)), 0)
    surface = np.minimum(inside, np.hypot(fold, deeper))
    callosum = np.hypot(y * 0.86 + 4, (z - 6) * 1.45)
    between = np.hypot(np.abs(x + 1.1 * folds) + 0.3, np.maximum(41 - callosum, 0))  # the hemispheres
    surface = np.minimum(surface, between)
    lobe = np.maximum(np.abs(y - 2) - 24, 0)
    crook = 2.2 * folds  # fissures wander
    insula = np.hypot(np.hypot(np.abs(away - 39 + crook), lobe), np.maximum(np.abs(z - 3) - 13, 0))
    sylvian = np.hypot(np.hypot(z - 2 + 0.3 * (y - 5) + crook, np.maximum(np.abs(y - 3) - 28, 0)), np.maximum(39 - away, 0))
    surface = np.minimum(surface, np.minimum(insula, sylvian))
    wet = 0.45 * p["atrophy"] + 0.35
    brain = cerebrum < 0
    paint("white", brain)
    paint("grey", brain & (surface < wet + p["cortex"]))
    paint("fluid", brain & (surface < wet))

    # Cerebellum: leaves some 4 mm apart, turning about a white middle; brain stem.
    leaf = np.sin(1.5 * np.hypot(y + 30, (z + 30) * 1.2) + 0.6 * folds)
    small = cerebellum < 0
    paint("white", small)
    paint("grey", small & ((cerebellum > -13 - 4 * folds) & (leaf > -0.2)))
    paint("fluid", small & (cerebellum > -8) & (leaf > 0.94))
    paint("white", stem < 0)
    paint("deep", (stem < -3) & (z < -12) & (lean < 2))

    # Deep nuclei.
    def blob(cx: float, cy: float, cz: float, sx: float, sy: float, sz: float) -> Array:
        squared: Array = ((away - cx) / sx) ** 2 + ((y - cy) / sy) ** 2 + ((z - cz) / sz) ** 2
        return squared

    grown = np.sqrt(p["ventricle"])
    paint("deep", blob(10.5, -14, 6, 9, 14, 9.5) < 1)  # thalamus
    paint("deep", blob(12 + 2.5 * grown, 22, 7, 5.2, 11, 10) < 1)  # head of the caudate
    paint("deep", blob(25.5, 4, 3, 5.6, 17, 10.5) < 1)  # putamen
    paint("pallidum", blob(19, 1, 1, 4.2, 10, 7) < 1)

    # Ventricles: a chain of capsules on each side, the third and the fourth in the middle.
    scale = p["ventricle"] * (1 + p["asymmetry"] * np.sign(x))
    # They are taller than wide: the chain is followed in a space flattened from above.
    lateral = np.minimum(_chain(away, y, 0.55 * z, _VENTRICLE), _chain(away, y, 0.55 * z, _TEMPORAL_HORN))
    paint("fluid", (lateral < 2.8 * (scale - 1)) & (away > 0.8))
    third = np.hypot(np.maximum(np.abs(y + 6) - 11, 0), np.maximum(np.abs(z + 1) - 8, 0))
    paint("fluid", np.hypot(away, third) < 1.5 + 1.3 * scale)
    paint("fluid", np.sqrt((x / 8) ** 2 + ((y + 37) / 4.5) ** 2 + ((z + 30) / 9) ** 2) < 0.7 + 0.3 * scale)
    paint("fluid", (np.hypot(x / 1.6, y + 36) < 6) & (np.abs(z) < 4))  # quadrigeminal cistern
    paint("fluid", (np.hypot(x / 1.2, y - 4) < 11 - np.abs(z + 19)) & (z < -10))  # cisterns above the sella
    paint("grey", np.sqrt((x / 7) ** 2 + ((y - 8) / 5) ** 2 + ((z + 27) / 3.5) ** 2) < 1)  # pituitary
    # Flowing blood leaves no signal: the large sinus behind, the carotids below.
    paint("air", (np.hypot(away - 14, y - 10) < 2.6) & (z < -22) & (z > -60))
    paint("muscle", (np.hypot(x, np.maximum(np.abs(vault - 1) - 2, 0)) < 3.0) & (y < -30) & (z > -12) & (vault < dura))

    # Lesion: a ball with a crumpled surface; it grows in brain alone, oedema spreads along white matter.
    c = head["lesion_centre"]
    distance = np.sqrt(sum((v - c[:, i, None, None]) ** 2 for i, v in enumerate((x, y, z)))) + 1.6 * folds
    here = p["lesion_radius"] > 0
    solid = brain | small | (stem < 0)
    paint("oedema", here & (distance < p["lesion_radius"] + p["oedema"]) & (tissue == INDEX["white"]))
    mass = here & (distance < p["lesion_radius"]) & solid
    paint("lesion", mass)
    paint("core", mass & (distance < p["lesion_radius"] * p["necrosis"]))
    radius = np.sqrt((x / p["wide"]) ** 2 + (y / p["long"]) ** 2 + (z / p["high"]) ** 2)
    return tissue, radius, (shrunk(mass.astype(np.float32), factor) >= 0.5).astype(np.uint8)


def _outside(x: Array, y: Array, z: Array, a: Any, b: Any, c: Any) -> Array:
    """Millimetres outside an ellipsoid at the origin, negative inside, measured along the ray from its centre."""
    ratio = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    length = np.sqrt(x * x + y * y + z * z)
    distance: Array = np.where(ratio > 1e-3, length - length / np.maximum(ratio, 1e-3), -np.minimum(np.minimum(a, b), c))
    return distance


def _chain(x: Array, y: Array, z: Array, nodes: tuple[tuple[float, float, float, float], ...]) -> Array:
    """Millimetres outside a chain of capsules whose radius runs from node to node; a node is (x, y, z, radius)."""
    best = np.full(x.shape, 1e3, np.float32)
    for (ax, ay, az, ar), (bx, by, bz, br) in pairwise(nodes):
        dx, dy, dz = bx - ax, by - ay, bz - az
        t = np.clip(((x - ax) * dx + (y - ay) * dy + (z - az) * dz) / (dx * dx + dy * dy + dz * dz), 0, 1)
        gap = (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2 + (z - az - t * dz) ** 2
        best = np.minimum(best, np.sqrt(gap) - ar - t * (br - ar))
    return best


def signals_of(head: dict[str, Array], contrast: str) -> Array:
    """Spin-echo signal of every tissue in every head: (B, tissues)."""
    table = np.zeros((len(head["tesla"]), len(TISSUES)), np.float32)
    for i, tesla in enumerate(head["tesla"].tolist()):
        repetition, echo = _ECHO[contrast, tesla]
        for name, (t1, t2, density) in _RELAXATION[tesla].items():
            table[i, INDEX[name]] = density * (1 - np.exp(-repetition / t1)) * np.exp(-echo / t2)
        grey, white, fluid = (table[i, INDEX[name]] for name in ("grey", "white", "fluid"))
        # Lesions hold more water than grey matter; a contrast agent shortens T1 where the barrier leaks.
        table[i, INDEX["lesion"]] = 0.55 * grey + 0.45 * fluid
        if contrast == "t1" and head["enhancing"][i]:
            table[i, INDEX["lesion"]] = 1.55 * white
        table[i, INDEX["oedema"]] = 0.6 * white + 0.4 * fluid if contrast == "t1" else 0.5 * grey + 0.5 * fluid
        table[i, INDEX["core"]] = 0.25 * grey + 0.75 * fluid
        table[i, INDEX["bone"]] = 0.02 * white
        if head["fat_saturated"][i]:
            table[i, [INDEX["fat"], INDEX["marrow"]]] *= 0.25
    return table


def _scan(head: dict[str, Array], tissue: Array, radius: Array, contrast: str, factor: int, rng: np.random.Generator) -> Array:
    """Grey values (B, H, W) in [0, 1] of one contrast: signal, coil, blur of the finite k-space, Rician noise, window."""
    p = {key: value.reshape(-1, 1, 1) for key, value in head.items() if value.ndim == 1}
    table = signals_of(head, contrast)
    signal = np.take_along_axis(table, tissue.reshape(len(tissue), -1), 1).reshape(tissue.shape)
    height, width = tissue.shape[1:]
    u = np.linspace(-1, 1, width, dtype=np.float32)
    v = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    coil = 1 + head["coil"][:, 0, None, None] * u + head["coil"][:, 1, None, None] * v + p["surface"] * (radius**2 - 0.6)
    picture = shrunk(signal * np.maximum(coil, 0.15), factor)
    side = max(picture.shape[1:])
    picture = softened(picture, p["blur"] * max(1.0, side / 128))
    top = np.percentile(picture.reshape(len(picture), -1), 99.5, axis=1).astype(np.float32)[:, None, None]
    real, imaginary = (rng.standard_normal(picture.shape, np.float32) * (p["noise"] * top) for _ in range(2))
    magnitude = np.hypot(picture + real, imaginary)
    grey: Array = np.clip(p["window"] * magnitude / top, 0, 1) ** p["gamma"]
    return grey
