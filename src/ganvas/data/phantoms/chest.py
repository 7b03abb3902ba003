"""Simulated frontal chest radiographs with known truth: Beer-Lambert line integrals through a parametric thorax.

For trying systems without data, for tests, and for measuring against findings, masks and rules that are known. Not a model of
disease, and not for teaching anything about patients. The geometry is in `_thorax`; this module draws bodies, findings,
exposure and film.

Sources of numbers: attenuation from Hubbell and Seltzer 1995 (NIST tables, tissues of ICRU Report 44); the width of the chest
by sex after Bellemare et al. 2003 ("Sex Differences in Thoracic Dimensions and Configuration", females about a tenth smaller);
normal heart at most half the chest's width after Danzer 1919 ("The cardiothoracic ratio"); right dome of the diaphragm 1 to
2 cm above the left, left hilum above the right, and nodules of at most 3 cm after Hansell et al. 2008 ("Fleischner Society:
Glossary of Terms for Thoracic Imaging") and textbooks of chest radiology. Spreads where no source gives one were set by eye.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from . import PhantomData
from ._thorax import Array, Body, Paths, blur_matrix, edge, paths, rim_width, root

CLASSES = ("normal", "nodule", "effusion", "cardiomegaly", "pneumothorax")
FINDINGS = CLASSES[1:]

# What a record of a class may show beside its own finding.
COMPANIONS = {"effusion": ("cardiomegaly",)}

# Findings that are never drawn together, and why.
RULES = {
    frozenset({"effusion", "pneumothorax"}): "fluid under air has a flat level, not a meniscus: another finding, not drawn",
    frozenset(
        {"nodule", "pneumothorax"}
    ): "a collapsing lung is denser and smaller: the nodule's place and size would be unknown",
    frozenset({"nodule", "effusion"}): "fluid may hide the nodule: the truth could not be seen",
    frozenset({"nodule", "cardiomegaly"}): "the large heart may hide the nodule: the truth could not be seen",
}
# With cardiomegaly an effusion is on the right or on both sides, as in heart failure, never on the left alone.

# Linear attenuation per cm at 70 keV, the mean energy of a chest beam of about 120 kV: mass attenuation 0.193 cm2/g for soft
# tissue (1.06 g/cm3) and lung (0.26 g/cm3 inflated), 0.262 for cortical bone (1.92 g/cm3).
MU_TISSUE, MU_LUNG, MU_BONE = 0.204, 0.050, 0.503
_FIELD = 40.0  # cm across the usual image: sets blur, so that it does not depend on the record
_CHUNK_PIXELS = 32768  # pixels worked on at once: 40 arrays of them stay in the processor's cache


def possible(findings: list[str] | tuple[str, ...] | set[str]) -> bool:
    """Whether these findings may stand on one radiograph. `normal` stands alone; an unknown name is never possible."""
    given = set(findings)
    if not given <= set(CLASSES) or ("normal" in given and len(given) > 1):
        return False
    return not any(pair <= given for pair in RULES)


class _Draws:
    """Random numbers of a chunk of records, taken column by column, so that record k depends on seed and k alone."""

    def __init__(self, seed: int, records: range) -> None:
        self.generators = [np.random.default_rng([seed, k]) for k in records]
        self.flat = np.stack([g.random(160) for g in self.generators]).astype(np.float32)
        self.bell = np.stack([g.standard_normal(40, dtype=np.float32) for g in self.generators])
        self.used = [0, 0]

    def uniform(self, low: Any, high: Any) -> Array:
        self.used[0] += 1
        return (low + (high - low) * self.flat[:, self.used[0] - 1, None, None]).astype(np.float32)

    def normal(self, mean: Any, sd: Any, within: float = 2.0) -> Array:
        self.used[1] += 1
        return (mean + sd * np.clip(self.bell[:, self.used[1] - 1, None, None], -within, within)).astype(np.float32)

    def chance(self, p: float) -> Array:
        return (self.uniform(0, 1) < p).astype(np.float32)


def _bodies(r: _Draws, big: Array) -> Body:
    female = r.chance(0.48)
    b: Body = {"female": female}
    b["fat"] = fat = np.abs(r.normal(0, 1.3))
    size = r.normal(1 - 0.09 * female, 0.05)
    inspiration = r.uniform(0, 1)
    b["inspiration"] = inspiration
    b["half"] = half = 14.3 * size * (0.97 + 0.05 * inspiration)
    b["apex_x"] = 4.9 * size * r.normal(1, 0.06)
    b["widest"] = 21.0 * size * r.uniform(0.85, 1.1)
    b["lung_depth"] = 15.5 * size * r.normal(1, 0.06)
    b["depth"] = 20.0 * size + 1.6 * fat
    b["top_depth"] = r.uniform(0.45, 0.7)
    b["waist"] = r.uniform(0.0, 0.6)
    b["wall"] = half + 2.8 + 1.3 * fat + r.uniform(0, 0.8)
    b["dome"] = (19.0 + 5.5 * inspiration) * size
    b["dome_tilt"] = r.normal(0.7, 0.4)
    b["dome_drop"] = r.uniform(8, 15)
    b["recess"] = r.uniform(0.1, 0.35)
    b["inner"] = r.uniform(1.4, 2.1) * size
    b["retro"] = r.uniform(0.05, 0.3)
    b["rib_lean"] = r.normal(0, 0.35)
    b["shift"] = shift = r.normal(0, 0.35)
    b["spine_shift"] = -0.8 * shift
    b["behind"] = r.uniform(0.12, 0.3)
    # heart
    ctr = np.where(big > 0, r.uniform(0.56, 0.68), r.uniform(0.40, 0.50) + 0.02 * (1 - inspiration) - 0.0)
    ctr = np.minimum(ctr, np.where(big > 0, 1, 0.52)).astype(np.float32)
    b["ctr"] = ctr
    width = ctr * half  # half the heart's width
    angle = np.deg2rad(r.uniform(30, 55) - 8 * big).astype(np.float32)
    ratio = r.uniform(0.66, 0.84) - 0.08 * big
    b["heart_cos"], b["heart_sin"] = np.cos(angle), np.sin(angle)
    b["heart_a"] = 0.84 * width / np.sqrt(b["heart_cos"] ** 2 + (ratio * b["heart_sin"]) ** 2)
    b["heart_b"] = ratio * b["heart_a"]
    b["atrium_r"] = width * r.uniform(0.55, 0.7)
    b["heart_x"] = width * np.where(big > 0, r.uniform(0.15, 0.32), r.uniform(0.28, 0.45)).astype(np.float32)
    b["atrium_x"] = b["heart_x"] - width + b["atrium_r"]
    b["heart_x"] += 0.16 * width
    drop = np.sqrt((b["heart_a"] * b["heart_sin"]) ** 2 + (b["heart_b"] * b["heart_cos"]) ** 2)
    b["heart_y"] = b["dome"] + r.uniform(1.5, 3.5) + 1.5 * big - drop
    b["heart_depth"] = r.uniform(10.5, 14.5) * size
    b["trunk"] = r.uniform(2.0, 2.8) * size
    b["lean"] = r.uniform(0.1, 0.4)
    b["knob_r"] = r.uniform(1.3, 2.1)
    b["knob_x"] = r.uniform(1.5, 2.4)
    b["knob_y"] = r.uniform(5.6, 7.4) * size
    b["carina"] = b["knob_y"] + r.uniform(1.5, 2.6)
    b["trachea"] = r.uniform(0.75, 1.0)
    b["airway"] = r.uniform(0.6, 1.0)
    b["hilum_x"] = r.uniform(3.4, 4.6) * size
    b["hilum_y"] = b["carina"] + r.uniform(2.0, 3.4)
    b["hilum"] = r.uniform(1.0, 4.0)
    b["vessels"] = r.uniform(2.0, 4.5)  # above 1: with the walls of airways beside them
    b["vessel_scale"] = r.uniform(0.85, 1.15) / size
    b["tree_left"], b["tree_right"] = np.floor(r.uniform(0, 24)), np.floor(r.uniform(0, 24))
    # bones
    b["rib_step"] = r.normal(2.25, 0.12) * size * (0.97 + 0.06 * inspiration)
    b["rib_y"] = r.uniform(-2.2, -0.6)
    b["rib_fall"] = r.normal(1.6, 0.8) * (1.5 - inspiration)
    b["rib_turn"] = r.uniform(2.2, 4.0)
    b["rib_slope"] = r.uniform(0.55, 0.95)
    b["rib_cos"] = np.float32(0.95)
    b["rib_front_cos"] = 1 / np.sqrt(1 + b["rib_slope"] ** 2)
    b["rib_r"] = r.uniform(0.55, 0.72) * size
    b["cartilage"] = r.uniform(4.5, 6.5)
    b["front"] = r.uniform(0.35, 0.8)
    b["bone"] = r.uniform(0.9, 1.7)
    b["girdle"] = r.uniform(1.1, 2.1)  # thicker cortex than the ribs
    b["vertebra"] = r.normal(2.25, 0.1) * size
    b["spine"] = r.normal(1.75, 0.12) * size
    b["spine_bone"] = r.uniform(0.6, 1.5)
    b["clav_x"] = r.uniform(1.6, 2.4)
    b["clav_long"] = r.normal(14.0, 0.7) * size
    b["clav_y"] = r.uniform(1.6, 4.6)
    b["clav_rise"] = r.uniform(0.2, 3.6)
    b["clav_bend"] = r.uniform(1.0, 4.5)
    b["clav_cos"] = np.float32(0.96)
    b["clav_r"] = r.uniform(0.5, 0.68) * size
    b["roll"] = r.normal(0, 1)
    b["joint_x"] = r.normal(17.2, 0.7) * size + 0.3 * fat
    b["joint_y"] = b["clav_y"] - b["clav_rise"] + r.uniform(1.8, 3.0)
    b["blade"] = r.uniform(4.5, 7.0) * size
    b["blade_lean"] = r.uniform(0.25, 0.42)
    b["head"] = r.normal(2.4, 0.12) * size
    # skin
    b["neck"] = r.normal(5.9, 0.4) * size + 0.4 * fat
    b["neck_y"] = b["clav_y"] - r.uniform(6.0, 8.5)
    b["slope"] = (b["joint_y"] - 2.8 - b["neck_y"]) / (b["joint_x"] + 1 - b["neck"])
    b["round"] = r.uniform(4, 7)
    b["arm"] = r.uniform(0.05, 0.5)
    b["limb"] = r.normal(4.1, 0.3) * size + 0.45 * fat
    b["breast_x"] = r.uniform(7.5, 9.5) * size
    b["breast_y"] = r.uniform(14.5, 19.5) * size
    b["breast_r"] = (r.uniform(4.8, 6.2) + 0.7 * fat) * (0.8 + 0.2 * female)
    b["breast"] = np.where(female > 0, r.uniform(0.5, 3.0) + 0.8 * fat, r.uniform(0, 0.7)).astype(np.float32)
    b["gas"] = r.chance(0.65) * r.uniform(2, 6)
    b["gas_x"] = r.uniform(4.5, 8.5) * size
    b["gas_y"] = r.uniform(1.4, 2.6)
    b["gas_w"] = r.uniform(1.2, 3.4)
    b["gas_h"] = r.uniform(0.8, 2.0)
    return b


def _view(r: _Draws, b: Body, height: int, width: int) -> tuple[Array, Array, Array]:
    """x, y of the pixels and the pixel size, all in cm."""
    field = 2 * b["half"] / np.maximum(r.normal(0.74, 0.10), 0.58)
    pixel = (field / min(height, width)).astype(np.float32)
    across = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) * pixel + r.normal(0, 0.8)
    middle = field * r.normal(0.365, 0.035)
    down = (np.arange(height, dtype=np.float32)[:, None] + 0.5 - height / 2) * pixel + middle
    tilt = np.deg2rad(r.normal(0, 1.8)).astype(np.float32)
    x = across * np.cos(tilt) + (down - middle) * np.sin(tilt)
    y = down * np.cos(tilt) - across * np.sin(tilt)
    return x.astype(np.float32), y.astype(np.float32), pixel


def _clouds(r: _Draws, height: int, width: int) -> Array:
    """Unevenness of the soft tissue in cm: fat, muscle and airways too small to draw, as smooth noise of three sizes.

    The grid of random numbers does not depend on the number of pixels, so a body keeps its clouds at every size.
    """
    total = np.zeros((len(r.generators), height, width), np.float32)
    for cells, sd in ((7, r.uniform(0.4, 1.4)), (18, r.uniform(0.2, 0.9)), (44, r.uniform(0.0, 0.5))):
        grid = np.stack([g.standard_normal((cells, cells), dtype=np.float32) for g in r.generators])
        total += sd * (_spread(height, cells) @ grid @ _spread(width, cells).T)
    return total


@lru_cache(maxsize=32)
def _spread(size: int, cells: int) -> Array:
    """(size, cells) float32: smooth interpolation of `cells` random numbers to `size` pixels, keeping their variance."""
    at = (np.arange(size) + 0.5) / size * cells
    weights = np.exp(-((at[:, None] - np.arange(cells) - 0.5) ** 2) / (2 * 0.6**2))
    return (weights / np.sqrt((weights**2).sum(1, keepdims=True))).astype(np.float32)


def _expose(attenuation: Array, r: _Draws) -> Array:
    """Display values 0 to 1 from line integrals."""
    n, height, width = attenuation.shape
    pixel = _FIELD / min(height, width)

    def blurred(image: Array, sigma: float) -> Array:
        return blur_matrix(height, sigma) @ image @ blur_matrix(width, sigma).T

    primary = np.exp(-attenuation)
    fog = blurred(primary, 4.0 / pixel)
    primary += r.uniform(0.15, 0.6) * np.minimum(fog, 0.25)
    primary = blurred(primary, float(np.hypot(0.6, 0.06 / pixel)))
    noise = np.stack([g.standard_normal((height, width), dtype=np.float32) for g in r.generators])
    noise = blurred(noise, 0.35)
    noise *= np.sqrt(primary) * 10 ** -r.uniform(2.2, 3.0)
    primary += noise
    signal = -np.log(np.maximum(primary, 1e-4))
    local = blurred(signal, 3.0 / pixel)
    signal += r.uniform(-0.1, 0.6) * (signal - local)
    inner = signal[:, int(height * 0.15) : int(height * 0.85), int(width * 0.15) : int(width * 0.85)].reshape(n, -1)
    k = inner.shape[1]
    part = np.partition(inner, (k // 20, k - k // 12), axis=1)
    low, high = part[:, k // 20, None, None], part[:, k - k // 12, None, None]
    dark, bright = np.maximum(r.normal(0.37, 0.13), 0.08), r.normal(0.86, 0.07)
    signal -= low
    signal *= (bright - dark) / np.maximum(high - low, 0.2)
    signal += dark
    # unequal exposure across the film
    signal += r.normal(0, 0.05) * np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    signal += r.normal(0, 0.03) * np.linspace(-1, 1, width, dtype=np.float32)
    # the shoulder of the film's curve
    np.maximum(signal, 0, out=signal)
    over = np.maximum(signal - 0.75, 0)
    signal = np.minimum(signal, 0.75) + 0.25 * (1 - np.exp(-over / 0.3))
    return _film(np.minimum(signal, 1), r)


def _film(image: Array, r: _Draws) -> Array:
    """Margins outside the collimated field and side markers, as on real films."""
    n, height, width = image.shape
    down = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
    across = (np.arange(width, dtype=np.float32) + 0.5) / width
    soft = np.float32(1 / min(height, width))
    skew = r.normal(0, 0.012)
    shade = np.where(r.chance(0.12) > 0, r.uniform(0.7, 1), 0.0).astype(np.float32)
    for distance in (down + skew * across, 1 - down - skew * across, across - skew * down, 1 - across + skew * down):
        margin = r.chance(0.25) * r.uniform(0, 0.05)
        open_ = edge(distance - margin, soft)
        image = image * open_ + shade * (1 - open_)
    side = r.uniform(0.85, 0.98)
    u, v = across - side, down - r.uniform(0.02, 0.2)
    big = r.uniform(0.012, 0.03)
    letter = edge(big - np.maximum(np.abs(u) * 1.6, np.abs(v)), soft) * edge(
        np.maximum(0.45 * big - u - big * 0.9, v - 0.45 * big), soft
    )
    letter *= r.chance(0.6) * r.uniform(0.4, 1)
    image += letter * (1 - image)
    return image


def _devices(x: Array, y: Array, b: Body, r: _Draws, pixel: float) -> Array | float:
    """Attenuation of what lies on or in some patients: electrodes with their wires, and a breathing tube."""
    leads, tube = r.chance(0.08), r.chance(0.06)
    place = [(r.uniform(0.3, 0.9), r.uniform(2, 18)) for _ in range(3)]
    end = b["carina"] - r.uniform(2, 5)
    if not (leads.any() or tube.any()):
        return 0.0
    thin = np.float32(max(0.12, 0.6 * pixel))
    total = tube * (0.45 * 0.12 / thin) * edge(0.45 - np.abs(np.abs(x - 0.15) - 0.4), thin) * edge(end - y, thin)
    for k, (u, v) in enumerate(place):
        cx = u * b["half"] * (1, -1, 1)[k]
        d2 = (x - cx) ** 2 + (y - v) ** 2
        total = total + leads * (0.5 * edge(0.55 - np.sqrt(d2), thin))
        wire = np.abs(x - cx - 0.012 * (y - v) ** 2 * (-1, 1, 1)[k])
        total = total + leads * (0.25 * 0.12 / thin) * np.maximum(1 - wire / thin, 0) * edge(y - v, thin)
    return total


def _choose(variant: str | None, r: _Draws) -> dict[str, Array]:
    """Class of each record and which findings it has, as (B, 1, 1) 0 or 1."""
    n = len(r.generators)
    u = r.uniform(0, 1)
    drawn = np.where(u < 0.5, 0, 1 + np.minimum((u - 0.5) * 8, 3)).astype(np.int64)
    label = np.full((n, 1, 1), CLASSES.index(variant)) if variant else drawn
    has = {name: (label == k).astype(np.float32) for k, name in enumerate(CLASSES)}
    has["label"] = label
    has["cardiomegaly"] = np.maximum(has["cardiomegaly"], has["effusion"] * r.chance(0.3))
    return has


def _nodule(p: Paths, x: Array, y: Array, b: Body, r: _Draws, on: Array, soft: Array, pixel: float) -> dict[str, Array]:
    """A round opacity of at most 3 cm in an aerated part of the lung. Fills `blood` and returns mask and truth."""
    radius = r.uniform(0.7, 1.5)
    density = r.uniform(1.8, 3.5)  # 1 is soft tissue, 3 a calcified granuloma
    tries_x, tries_y = (np.concatenate([r.uniform(0, 1) for _ in range(8)], axis=2) for _ in range(2))
    here_y = 2.5 + tries_y * (b["dome"] - 3.5)
    here_x = (2 * tries_x - 1) * b["half"]
    spot = paths(here_x, here_y, b, np.full_like(soft, 2.0), pixel)
    fit = np.where(np.abs(here_x) < spot.rim - radius, spot.field, 0) * (spot.lung > 5)
    best = np.argmax(fit > 0.95, axis=2)[..., None]
    cx, cy = np.take_along_axis(here_x, best, 2), np.take_along_axis(here_y, best, 2)
    d = (x - cx) ** 2 + (y - cy) ** 2
    p.blood += (on * density) * 2 * root(radius * radius - d)
    mask = on * edge(radius - np.sqrt(d), soft)
    return {"mask": mask, "radius": radius, "x": cx, "y": cy}


def _effusion(p: Paths, y: Array, b: Body, r: _Draws, on: Array, big: Array, soft: Array) -> dict[str, Array]:
    """Free fluid in an upright chest: it blunts the angle first, then rises with a meniscus that is highest at the side."""
    u = r.uniform(0, 1)
    right_or_both = np.where(u < 0.5, -1.0, 0.0)  # what heart failure gives
    sides = np.where(big > 0, right_or_both, np.where(u < 0.45, -1.0, np.where(u < 0.9, 1.0, 0.0)))
    depth = r.uniform(0.0, 8.0)
    other = depth * r.uniform(0.3, 1.0)
    level = b["dome"] + 0.8 - np.where(p.side == np.where(sides == 0, -1, sides), depth, other)
    rise = r.uniform(1.5, 3.5)
    q = np.minimum(p.reach, 1)
    surface = level - rise * q * q * q
    there = on * np.where(sides == 0, 1.0, (p.side == sides))
    fluid = (edge(y - surface, soft + 0.5) * there).astype(np.float32)
    mask = fluid * p.field
    p.lung *= 1 - 0.93 * fluid
    p.blood *= 1 - fluid
    p.field *= 1 - fluid
    return {"mask": mask, "sides": sides, "depth": depth}


def _pneumothorax(p: Paths, x: Array, y: Array, b: Body, r: _Draws, on: Array, soft: Array) -> dict[str, Array]:
    """Air between the lung and the chest wall: a thin pleural line, and outside it no vessels. Wider at the apex."""
    sides = np.where(r.chance(0.5) > 0, 1.0, -1.0)
    gap = r.uniform(1.2, 5.0)
    drop = gap * r.uniform(0.8, 1.6)
    lateral = gap * (1 - 0.6 * np.maximum(y, 0) / b["dome"])
    line = rim_width(y - drop, b) - lateral
    steep = (rim_width(y - drop + 0.2, b) - line - lateral) * 5
    distance = (np.abs(x) - line) / np.sqrt(1 + steep * steep)
    distance = np.where(y < drop, np.maximum(distance, drop - y), distance)
    there = on * (p.side == sides) * p.field
    outside = (edge(distance, soft) * there).astype(np.float32)
    p.blood *= 1 - outside
    p.air += outside * p.lung * (MU_LUNG / MU_TISSUE)
    thin = np.maximum(0.12, 0.7 * soft)
    p.blood += (there * 0.55 * 0.12 / thin) * np.exp(-((distance / thin) ** 2))
    p.field *= 1 - outside
    return {"mask": outside, "sides": sides, "gap": gap}


_SIDE = {-1: "right", 0: "both", 1: "left"}


def make(
    variant: str | None,
    n: int,
    seed: int,
    size: tuple[int, int] = (64, 64),
    depth: int = 8,
    progress: Callable[[int, int], None] | None = None,
    *,
    findings: np.ndarray | None = None,
) -> PhantomData:
    """`n` radiographs of `size` (height, width) pixels in 8 or 16 bits; record k depends on `seed` and k alone.

    findings: (n, 4) bool, what record k shows of `FINDINGS`, in place of what is drawn for it and also against `RULES`: for
    planting errors that a metric must find. Body, view and exposure stay those of the record; its label becomes the first
    of its findings.
    """
    height, width = size
    top = 255 if depth == 8 else 65535
    values = np.empty((n, height, width, 1), np.uint8 if depth == 8 else np.uint16)
    masks = {name: np.zeros((n, height, width), np.uint8) for name in ("lungs", "heart", *CLASSES[1:])}
    labels = np.empty(n, np.int64)
    facts: list[dict[str, Any]] = []
    chunk = max(1, _CHUNK_PIXELS // (height * width))
    pixel = _FIELD / min(height, width)
    for start in range(0, n, chunk):
        rows = slice(start, min(start + chunk, n))
        r = _Draws(seed, range(rows.start, rows.stop))
        has = _choose(variant or None, r)
        if findings is not None:
            has |= {name: findings[rows, k, None, None].astype(np.float32) for k, name in enumerate(FINDINGS)}
            has["label"] = np.where(findings[rows].any(axis=1), 1 + findings[rows].argmax(axis=1), 0)[:, None, None]
        b = _bodies(r, has["cardiomegaly"])
        x, y, scale = _view(r, b, height, width)
        soft = np.maximum(scale, 0.06)
        p = paths(x, y, b, soft, pixel)
        found = {
            "nodule": _nodule(p, x, y, b, r, has["nodule"], soft, pixel),
            "effusion": _effusion(p, y, b, r, has["effusion"], has["cardiomegaly"], soft),
            "pneumothorax": _pneumothorax(p, x, y, b, r, has["pneumothorax"], soft),
            "cardiomegaly": {"mask": has["cardiomegaly"] * p.heart},
        }
        a = MU_TISSUE * (p.body - p.air)
        a -= (MU_TISSUE - MU_LUNG) * p.lung
        a += ((MU_BONE - MU_TISSUE) * b["bone"]) * p.bone
        a += (MU_TISSUE - MU_LUNG) * p.blood
        a += MU_TISSUE * _clouds(r, height, width) * edge(p.body - 4, np.float32(8))
        a += _devices(x, y, b, r, pixel)
        np.maximum(a, 0, out=a)
        image = _expose(a, r)
        image *= top
        values[rows, ..., 0] = image + 0.5
        labels[rows] = has["label"][:, 0, 0]
        masks["lungs"][rows] = np.where(p.field > 0.5, 255, 0)
        masks["heart"][rows] = np.where(p.heart > 0.5, 255, 0)
        for name, truth in found.items():
            masks[name][rows] = np.where(truth["mask"] > 0.5, 255, 0)
        facts += [_facts(k, b, has, found, scale) for k in range(rows.stop - rows.start)]
        if progress is not None:
            progress(rows.stop, n)
    return PhantomData(values, labels, CLASSES, masks, facts)


def _facts(k: int, b: Body, has: dict[str, Array], found: dict[str, dict[str, Array]], scale: Array) -> dict[str, Any]:
    def number(value: Array, digits: int = 2) -> float:
        return round(float(value[k, 0, 0]), digits)

    findings = [name for name in CLASSES[1:] if has[name][k, 0, 0] > 0]
    out: dict[str, Any] = {
        "findings": findings,
        "sex": "female" if number(b["female"]) else "male",
        "ctr": number(b["ctr"], 3),
        "inspiration": number(b["inspiration"]),
        "pixel_cm": number(scale, 5),
        "thorax_cm": number(2 * b["half"]),
    }
    if "nodule" in findings:
        truth = found["nodule"]
        out["nodule"] = {
            "diameter_cm": round(2 * number(truth["radius"], 3), 2),
            "side": "left" if number(truth["x"]) > 0 else "right",
        }
    if "effusion" in findings:
        truth = found["effusion"]
        out["effusion"] = {"side": _SIDE[int(number(truth["sides"]))]}
    if "pneumothorax" in findings:
        truth = found["pneumothorax"]
        out["pneumothorax"] = {"side": _SIDE[int(number(truth["sides"]))], "gap_cm": number(truth["gap"])}
    return out
