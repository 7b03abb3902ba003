"""Scanners other than MR for the heads of the phantom `brain`: CT in Hounsfield units, and PET of a glucose tracer.

What a tissue shows here has nothing to do with what it shows in MR: bone is dark in MR and brightest in CT, and metabolism is
seen by PET alone. So a method that guesses one from the other is asked for anatomy, not for another grey scale.

Hounsfield units are usual ones at 120 kV (Bushberg et al., The Essential Physics of Medical Imaging, 3rd ed., ch. 10; white
matter 20 to 30, grey 35 to 45). Uptake is in standardised values as of a resting adult after fluorodeoxyglucose: grey matter
two to three times white; tumours above it, dead cores hardly any. Which values exactly is a choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray

SCANNERS = ("ct", "pet")
LOWEST_HU, SPAN_HU = -1024.0, 3000.0
"""Of CT: a value v of full scale f stands for 3000 v / f - 1024 HU, which holds from air to dense bone."""
SPAN_SUV = 15.0
"""Of PET: a value v of full scale f stands for a standardised uptake of 15 v / f."""

UNITS = {
    "ct": f"HU = {SPAN_HU:.0f} v / full scale - {-LOWEST_HU:.0f}",
    "pet": f"standardised uptake = {SPAN_SUV:.0f} v / full scale",
}

SCALES = {"ct": (LOWEST_HU, LOWEST_HU + SPAN_HU, "HU"), "pet": (0.0, SPAN_SUV, "standardised uptake")}
"""What 0 and full scale stand for, and in what."""

_HOUNSFIELD = {
    "air": -1000, "fluid": 8, "grey": 38, "white": 28, "fat": -95, "muscle": 55, "bone": 1150, "marrow": 320, "deep": 40,
    "pallidum": 46, "lesion": 44, "oedema": 18, "core": 14,
}  # fmt: skip
_UPTAKE = {
    "air": 0.0, "fluid": 0.4, "grey": 9.0, "white": 3.4, "fat": 0.4, "muscle": 1.2, "bone": 0.4, "marrow": 1.0, "deep": 9.5,
    "pallidum": 6.5, "lesion": 11.0, "oedema": 2.2, "core": 0.7,
}  # fmt: skip
_CT_NOISE_HU, _CT_BLUR_MM = 9.0, 0.5
_PET_BLUR_MM, _PET_COUNTS = 2.4, 60.0  # sigma of a resolution of 5.6 mm; counts a pixel at an uptake of 1


def scanned(contrast: str, names: Sequence[str], tissue: Array, pixel: Array, factor: int, rng: np.random.Generator) -> Array:
    """Grey values (B, H, W) in [0, 1] of tissue indices (B, factor H, factor W) into `names`. pixel: (B, 1, 1) its side in mm
    after shrinking."""
    table = np.array([(_HOUNSFIELD if contrast == "ct" else _UPTAKE)[name] for name in names], np.float32)
    picture = shrunk(table[tissue], factor)
    if contrast == "ct":
        above = softened(picture - np.float32(LOWEST_HU), _CT_BLUR_MM / pixel)
        noise = rng.standard_normal(picture.shape, np.float32) * np.float32(_CT_NOISE_HU)
        return np.asarray(np.clip((above + noise) / SPAN_HU, 0, 1))
    expected = softened(picture, _PET_BLUR_MM / pixel)
    # Poisson of many counts is nearly normal; blurred with the picture it is what a smoothed reconstruction shows.
    noise = rng.standard_normal(picture.shape, np.float32) * np.sqrt(np.maximum(expected, 0.05) / _PET_COUNTS)
    return np.asarray(np.clip((expected + noise) / SPAN_SUV, 0, 1))


def softened(images: Array, sigma: Array) -> Array:
    """Blur (B, H, W), none below 0, by a per-image Gaussian of `sigma` (B, 1, 1) pixels, in Fourier space."""
    height, width = images.shape[1:]
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    transfer = np.exp(-2 * (np.pi * sigma) ** 2 * (fy**2 + fx**2)).astype(np.float32)
    return np.maximum(np.fft.irfft2(np.fft.rfft2(images) * transfer, (height, width)), 0).astype(np.float32)


def shrunk(images: Array, factor: int) -> Array:
    """Mean over blocks of 1 or 2 x 2 pixels."""
    if factor == 1:
        return images
    corners = (images[:, i::2, j::2] for i in (0, 1) for j in (0, 1))
    return np.asarray(sum(corners) / 4)
