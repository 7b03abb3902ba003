"""Simulated frontal chest radiographs with known truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import PhantomData
from ._thorax import Body, Paths, blur_matrix, edge, paths, rim_width, root

CLASSES = ("normal", "nodule", "effusion", "cardiomegaly", "pneumothorax")

MU_TISSUE, MU_LUNG, MU_BONE = 0.205, 0.052, 0.52
_FIELD = 42.0
_CHUNK_PIXELS = 32768


class _Draws:
    """Random numbers of a chunk of records, taken column by column, so that record k depends on seed and k alone."""

    def __init__(self, seed: int, records: range) -> None:
        self.generators = [np.random.default_rng([seed, k]) for k in records]
        self.flat = np.stack([g.random(110) for g in self.generators]).astype(np.float32)
        self.bell = np.stack([g.standard_normal(40, dtype=np.float32) for g in self.generators])
        self.used = [0, 0]

    def uniform(self, low: Any, high: Any) -> np.ndarray:
        self.used[0] += 1
        return (low + (high - low) * self.flat[:, self.used[0] - 1, None, None]).astype(np.float32)

    def normal(self, mean: Any, sd: Any, within: float = 2.0) -> np.ndarray:
        self.used[1] += 1
        return (mean + sd * np.clip(self.bell[:, self.used[1] - 1, None, None], -within, within)).astype(np.float32)

    def chance(self, p: float) -> np.ndarray:
        return (self.uniform(0, 1) < p).astype(np.float32)


def _bodies(r: _Draws, big: np.ndarray) -> Body:
    female = r.chance(0.48)
    b: Body = {"female": female}
    b["fat"] = fat = np.abs(r.normal(0, 1.0))
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
    b["dome_drop"] = r.uniform(10, 19)
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
    angle = np.deg2rad(r.uniform(30, 58)).astype(np.float32)
    ratio = r.uniform(0.60, 0.78)
    b["heart_cos"], b["heart_sin"] = np.cos(angle), np.sin(angle)
    b["heart_a"] = width / np.sqrt(b["heart_cos"] ** 2 + (ratio * b["heart_sin"]) ** 2)
    b["heart_b"] = ratio * b["heart_a"]
    b["heart_x"] = width * r.uniform(0.28, 0.45)
    drop = np.sqrt((b["heart_a"] * b["heart_sin"]) ** 2 + (b["heart_b"] * b["heart_cos"]) ** 2)
    b["heart_y"] = b["dome"] + r.uniform(1.5, 3.5) - drop
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
    b["vessels"] = r.uniform(1.5, 3.5)
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
    b["bone"] = r.uniform(0.8, 1.5)
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


def _view(r: _Draws, b: Body, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y of the pixels and the pixel size, all in cm."""
    field = 2 * b["half"] / r.normal(0.69, 0.06)
    pixel = (field / min(height, width)).astype(np.float32)
    across = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) * pixel + r.normal(0, 0.8)
    middle = field * r.normal(0.345, 0.035)
    down = (np.arange(height, dtype=np.float32)[:, None] + 0.5 - height / 2) * pixel + middle
    tilt = np.deg2rad(r.normal(0, 1.8)).astype(np.float32)
    x = across * np.cos(tilt) + (down - middle) * np.sin(tilt)
    y = down * np.cos(tilt) - across * np.sin(tilt)
    return x.astype(np.float32), y.astype(np.float32), pixel


def _expose(attenuation: np.ndarray, r: _Draws, pixel: np.ndarray, b: Body) -> np.ndarray:
    """Display values 0 to 1 from line integrals."""
    n, height, width = attenuation.shape
    primary = np.exp(-attenuation)
    size = _FIELD / min(height, width)
    fog = blur_matrix(height, round(4.0 / size, 1)) @ primary @ blur_matrix(width, round(4.0 / size, 1)).T
    primary += r.uniform(0.15, 0.5) * np.minimum(fog, 0.25)
    noise = np.stack([g.standard_normal((height, width), dtype=np.float32) for g in r.generators])
    dose = r.uniform(3.8, 6.0)
    sharp = blur_matrix(height, 0.45) @ primary @ blur_matrix(width, 0.45).T
    noise *= np.sqrt(sharp) * (10 ** (-dose / 2))
    sharp += noise
    signal = -np.log(np.maximum(sharp, 1e-4))
    local = blur_matrix(height, round(3.0 / size, 1)) @ signal @ blur_matrix(width, round(3.0 / size, 1)).T
    signal += r.uniform(0.2, 1.2) * (signal - local)
    flat = signal.reshape(n, -1)
    inner = signal[:, int(height * 0.15) : int(height * 0.85), int(width * 0.15) : int(width * 0.85)].reshape(n, -1)
    k = inner.shape[1]
    part = np.partition(inner, (k // 20, k - k // 12), axis=1)
    low, high = part[:, k // 20, None, None], part[:, k - k // 12, None, None]
    dark, bright = r.uniform(0.12, 0.5), r.uniform(0.8, 1.0)
    signal -= low
    signal *= (bright - dark) / np.maximum(high - low, 0.2)
    signal += dark
    # the shoulder of the film's curve
    np.maximum(signal, 0, out=signal)
    over = np.maximum(signal - 0.75, 0)
    signal = np.minimum(signal, 0.75) + 0.25 * (1 - np.exp(-over / 0.3))
    return np.minimum(signal, 1)


def make(
    variant: str | None, n: int, seed: int, size: tuple[int, int] = (64, 64), depth: int = 8, progress: Any = None
) -> PhantomData:
    height, width = size
    top = 255 if depth == 8 else 65535
    values = np.empty((n, height, width, 1), np.uint8 if depth == 8 else np.uint16)
    chunk = max(1, _CHUNK_PIXELS // (height * width))
    for start in range(0, n, chunk):
        records = range(start, min(start + chunk, n))
        r = _Draws(seed, records)
        b = _bodies(r, np.zeros((len(records), 1, 1), np.float32))
        x, y, pixel = _view(r, b, height, width)
        soft = np.maximum(pixel, 0.06)
        p = paths(x, y, b, soft, _FIELD / min(height, width))
        a = MU_TISSUE * (p.body - p.air) - (MU_TISSUE - MU_LUNG) * p.lung + (MU_BONE - MU_TISSUE) * b["bone"] * p.bone + (MU_TISSUE - MU_LUNG) * p.blood
        np.maximum(a, 0, out=a)
        image = _expose(a, r, pixel, b)
        values[start : start + len(records), ..., 0] = image * top + 0.5
    return PhantomData(values, None, CLASSES)
