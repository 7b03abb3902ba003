"""The proof of `dose-gan`: what it makes of low dose has the texture of full dose, which squared error takes out.

Heads of the phantom `brain` in CT, in Hounsfield units with the phantom's own noise, which is the full dose. The low dose of
heads that no arm has seen is made by scikit-image: `radon`, counts drawn as Poisson numbers with the noise of electronics, and
`iradon`; training makes its own noise in another way (`networks/projections.py`), so nobody is judged by the simulator that
taught him. Non-local means are those of scikit-image, told how strong the noise is. BM3D is left out: the package `bm3d` may
not be used commercially.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ganvas.data.phantoms import make_phantom
from ganvas.errors import MissingExtra
from ganvas.networks.projections import KEPT, REFERENCE_MM, WATER_PER_MM
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained

BLACK, SPAN, WHITE = -1024.0, 3000.0, 65535  # HU of the phantom's values
SIDE, LARGE_SIDE = 64, 128
HEADS, UNSEEN = 320, 80
FIELD, NOISE, DOSE, ELECTRONIC, VIEWS = 218.0, 9.0, 0.25, 0.005, 120
COMMON: dict[str, Any] = {
    "width": 12, "discriminator_width": 12, "norm": "none", "crop_size": 40, "batch_size": 8, "learning_rate": 1e-3,
    "ema_half_life": 500.0, "dose": DOSE, "noise": NOISE, "electronic": ELECTRONIC, "field": FIELD,
}  # fmt: skip
LARGE = COMMON | {"width": 32, "discriminator_width": 32, "crop_size": 64, "batch_size": 16, "learning_rate": 2e-4}
ADVERSARIAL = 0.5
AS_IT_IS, MEANS = "low dose", "non-local means"
STRENGTH = 1.0  # of non-local means, times the noise: the best PSNR of 0.3 to 1.0 with seed 7
REGION, STEP, SOFT = 16, 4, (-60.0, 140.0)  # pixels of a region for the spectrum; HU that all of it has
LEAST, SEEN = 12, 4.0  # pixels of a lesion that is counted, and HU by which full dose shows it
FALSE_HU = 8.0  # by which 5 x 5 pixels differ from full dose in a spot that is not there
WITHIN_DB, LOST = 1.0, 0.05

Repair = Callable[[np.ndarray], np.ndarray]
"""Values (N, H, W, 1) uint16 -> the same."""


def hounsfield(values: np.ndarray) -> np.ndarray:
    """(N, H, W, 1) uint16 -> (N, H, W) HU."""
    return np.asarray(values[..., 0].astype(np.float64) * (SPAN / WHITE) + BLACK)


def stored(units: np.ndarray) -> np.ndarray:
    """The inverse of `hounsfield`, rounded."""
    return np.rint((np.clip(units, BLACK, BLACK + SPAN) - BLACK) * (WHITE / SPAN)).astype(np.uint16)[..., None]


def scanned(units: np.ndarray, dose: float, rng: np.random.Generator, noise: float = NOISE) -> np.ndarray:
    """Slices (N, S, S) in HU as a scan with that share of the dose shows them, by scikit-image. Raises MissingExtra."""
    try:
        from skimage.transform import iradon, radon
    except ImportError:
        raise MissingExtra("scikit-image", "proofs") from None
    side = units.shape[1]
    per_pixel = WATER_PER_MM * FIELD / side
    turns = np.arange(VIEWS) * (180 / VIEWS)
    variance = (noise / 1000 * per_pixel) ** 2 * 12 * VIEWS / (math.pi**2 * KEPT)
    made = []
    for picture in units:
        path = radon(np.maximum(1 + picture / 1000, 0) * per_pixel, turns, circle=False)
        counts = dose / variance * np.exp(WATER_PER_MM * REFERENCE_MM - path)
        counted = rng.poisson(counts) + rng.normal(0, math.sqrt(ELECTRONIC / variance), counts.shape)
        apart = -np.log(np.maximum(counted, 1) * variance / dose) + WATER_PER_MM * REFERENCE_MM - path
        # Full dose has its own noise already: what is added has the rest of the variance.
        added = iradon(math.sqrt(1 - dose) * apart, turns, output_size=side, circle=False)
        made.append(picture + added / per_pixel * 1000)
    return np.stack(made)


@lru_cache(maxsize=2)
def heads(seed: int, side: int, count: int, unseen: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(values to learn from, unseen ones, these at low dose, where their lesions are)."""
    made = make_phantom("brain:ct", count + unseen, seed, size=side, depth=16)
    values = np.asarray(made.values)
    low = stored(scanned(hounsfield(values[count:]), DOSE, np.random.default_rng([seed, 0xD05E])))
    return values[:count], values[count:], low, made.masks["lesion"][count:] > 0


def of_task(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    count, unseen = (40, 16) if task.quick else (HEADS * 4, UNSEEN) if task.large else (HEADS, UNSEEN)
    return heads(task.seed, LARGE_SIDE if task.large else SIDE, count, unseen)


def learnt(task: Task, weight: float) -> Outcome:
    known, *_ = of_task(task)
    np.savez(task.folder / "heads.npz", images=known)
    config = {**(LARGE if task.large else COMMON), "adversarial_weight": weight}
    settings: dict[str, Any] = {"threads": 1, "precision": "32", "channels_last": "off", "heldout": 0.0, "watch": "off"}
    run, facts = trained(task, "dose-gan", config, data=str(task.folder / "heads.npz"), **settings)
    return _judged(task, lambda values: run.use("denoise", values)["real"], facts)


def means(values: np.ndarray) -> np.ndarray:
    """scikit-image's non-local means, told the noise of low dose in the middle. Raises MissingExtra."""
    try:
        from skimage.restoration import denoise_nl_means
    except ImportError:
        raise MissingExtra("scikit-image", "proofs") from None
    size = NOISE / math.sqrt(DOSE)
    made = [
        denoise_nl_means(picture, patch_size=5, patch_distance=6, h=STRENGTH * size, sigma=size, fast_mode=False)
        for picture in hounsfield(values)
    ]
    return stored(np.stack(made))


def regions(full: np.ndarray) -> list[tuple[int, int, int]]:
    """(slice, row, column) of the regions of soft tissue alone, by full dose."""
    soft = (full > SOFT[0]) & (full < SOFT[1])
    places = range(0, full.shape[1] - REGION + 1, STEP)
    return [
        (k, i, j) for k in range(len(full)) for i in places for j in places if soft[k, i : i + REGION, j : j + REGION].all()
    ]


def noise_power(units: np.ndarray, chosen: list[tuple[int, int, int]]) -> np.ndarray:
    """(rings,) log of the mean power of regions without their plane, under a Hann window, by distance from frequency 0."""
    cut = np.stack([units[k, i : i + REGION, j : j + REGION] for k, i, j in chosen])
    slope = np.linspace(-1, 1, REGION)
    for axis in (1, 2):
        line = slope[:, None] if axis == 1 else slope
        cut = cut - cut.mean((1, 2), keepdims=True)
        cut = cut - (cut * line).mean((1, 2), keepdims=True) / (slope**2).mean() * line
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(REGION) / REGION)
    power = (np.abs(np.fft.fft2(cut * np.outer(hann, hann))) ** 2).mean(0)
    own = np.fft.fftfreq(REGION) * REGION
    ring = np.rint(np.hypot(own[:, None], own)).astype(int)
    return np.log([power[ring == k].mean() for k in range(1, REGION // 2 + 1)])


def contrasts(units: np.ndarray, masks: np.ndarray, full: np.ndarray) -> np.ndarray:
    """HU by which each lesion of `LEAST` pixels or more differs from the soft tissue around it; NaN for slices without."""
    from scipy import ndimage

    found = np.full(len(units), np.nan)
    for k, mask in enumerate(masks):
        around = ndimage.binary_dilation(mask, iterations=4) & ~mask & (full[k] > SOFT[0]) & (full[k] < SOFT[1])
        if mask.sum() >= LEAST and around.sum() >= LEAST:
            found[k] = units[k][mask].mean() - units[k][around].mean()
    return found


def spots(units: np.ndarray, full: np.ndarray, masks: np.ndarray) -> float:
    """Share of slices without a lesion in which soft tissue has a spot of `LEAST` pixels that full dose does not show."""
    from scipy import ndimage

    found = []
    for own, true in zip(units[~masks.any((1, 2))], full[~masks.any((1, 2))], strict=True):
        soft = ndimage.binary_erosion((true > SOFT[0]) & (true < SOFT[1]), iterations=2)
        odd = (np.abs(ndimage.uniform_filter(own - true, 5)) > FALSE_HU) & soft
        found.append((np.bincount(ndimage.label(odd)[0].ravel())[1:] >= LEAST).any())
    return float(np.mean(found))


def _judged(task: Task, repair: Repair, facts: dict[str, Any]) -> Outcome:
    _, true, low, masks = of_task(task)
    made = repair(low)
    full, own = hounsfield(true), hounsfield(made)
    chosen = regions(full)
    apart = noise_power(own, chosen) - noise_power(full, chosen)
    wanted, found = contrasts(full, masks, full), contrasts(own, masks, full)
    counted = np.abs(wanted) >= SEEN
    kept = np.abs(found[counted] / wanted[counted] - 1) <= 0.5
    soft = (full > SOFT[0]) & (full < SOFT[1])
    more = {
        "psnr": float(-10 * np.log10(((own - full) ** 2).mean() / SPAN**2)),
        "error_soft_hu": float(np.sqrt(((own - full)[soft] ** 2).mean())),
        "power_by_ring": [round(float(v), 3) for v in apart],
        "lesions": int(counted.sum()),
        "kept": int(kept.sum()),
        "invented": spots(own, full, masks),
        "regions": len(chosen),
        **facts,
    }
    places = np.argsort(-soft.mean((1, 2)))[:6]
    shown = np.stack(
        [(np.clip(hounsfield(v[places]) + 40, 0, 160) * (255 / 160)).astype(np.uint8) for v in (low, made, true)], 1
    )
    protocol = f"log power of {REGION}x{REGION} soft regions, mean of rings; low dose {DOSE:g} by skimage.transform.radon"
    return Outcome(float(np.abs(apart).mean()), protocol, more, shown.reshape(-1, *shown.shape[2:])[..., None])


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] < min(row.values["baseline"], row.values[MEANS])
        and abs(row.more["system"]["psnr"] - row.more["baseline"]["psnr"]) <= WITHIN_DB
        and row.more["system"]["kept"] >= row.more["baseline"]["kept"] - LOST * row.more["system"]["lesions"]
        for row in rows
    )


PROOF = Proof(
    claim="a discriminator leaves denoised slices the noise texture of full dose, which squared error takes out",
    baseline="the same generator trained on squared error alone, at equal rounds",
    metric="mean distance of log noise power from that of full dose, of heads kept out of training (lower is better)",
    direction=LOWER,
    mark="with every seed below squared error alone and non-local means; PSNR within 1 dB of squared error's; of the lesions "
    "that full dose shows, at most 5 % fewer kept than by squared error",
    met=met,
    arms={
        "system": lambda task: learnt(task, ADVERSARIAL),
        "baseline": lambda task: learnt(task, 0.0),
        AS_IT_IS: lambda task: _judged(task, lambda values: values, {}),
        MEANS: lambda task: _judged(task, means, {}),
    },
    budget="800r",
    quick_budget="20r",
    large_budget="30000r",
    phantom="brain:ct",
    note="Non-local means are told how strong the noise is. BM3D was not run: its package may not be used commercially.",
)
