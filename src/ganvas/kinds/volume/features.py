"""What volumes are judged by: how bright each part is, and how much detail of which size it holds. Not for knowing copies again
(`recognition`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..facets import Side
from .resampling import shares
from .spec import VolumeSpec

BLOCKS, CELLS, OCTAVES = 8, 4, 2
WEIGHT = 3.0  # of details, which are small numbers beside brightness, so that both count
AT_ONCE = 2**21  # voxels that are looked at together
TYPE = "blocks+details"


def unit(values: np.ndarray, spec: VolumeSpec) -> np.ndarray:
    """In the range of the spec, 0 to 1 (values may lie beyond): float32."""
    scaled: np.ndarray = (np.asarray(values).astype(np.float32) - np.float32(spec.low)) / np.float32(spec.high - spec.low)
    return scaled


def parts(values: np.ndarray) -> Iterator[np.ndarray]:
    """A few records at a time."""
    values = np.asarray(values)
    step = max(1, AT_ONCE // max(1, int(np.prod(values.shape[1:]))))
    for start in range(0, len(values), step):
        yield values[start : start + step]


def coarse(values: np.ndarray, cells: int) -> np.ndarray:
    """Means over cells x cells x cells parts of (N, D, H, W) float32, whatever the sides."""
    for axis in (1, 2, 3):
        weights = shares(values.shape[axis], cells, float(values.shape[axis]))
        values = np.moveaxis(np.tensordot(values, weights, axes=(axis, 1)), -1, axis)
    return values


def octaves(values: np.ndarray, count: int) -> list[np.ndarray]:
    """What (N, D, H, W) lose each time they are halved by means and enlarged again by repetition: the finest first."""
    found = []
    for _ in range(count):
        if min(values.shape[1:]) < 4:
            break
        even = values[:, : values.shape[1] // 2 * 2, : values.shape[2] // 2 * 2, : values.shape[3] // 2 * 2]
        n, d, h, w = even.shape
        half = even.reshape(n, d // 2, 2, h // 2, 2, w // 2, 2).mean((2, 4, 6))
        found.append(even - half.repeat(2, 1).repeat(2, 2).repeat(2, 3))
        values = half
    return found


def vectors(values: np.ndarray, spec: VolumeSpec) -> np.ndarray:
    """(N, 8^3 + 2 x 4^3) float32 of volumes (N, D, H, W): the brightness of 8^3 parts, -1 to 1, and for each of 4^3 parts how
    much of it the finest and the next octave of detail are (root mean square)."""
    made = []
    for part in parts(values):
        own = 2 * unit(part, spec) - 1
        columns = [coarse(own, BLOCKS).reshape(len(own), -1)]
        for detail in octaves(own, OCTAVES):
            energy = np.sqrt(np.maximum(coarse(detail * detail, CELLS), 0))
            columns.append(WEIGHT * energy.reshape(len(own), -1))
        made.append(np.concatenate(columns, axis=1))
    return np.concatenate(made).astype(np.float32)


def radial_power(values: np.ndarray, spec: VolumeSpec) -> np.ndarray:
    """(N, side / 2) power of cubes (N, side, side, side) by spatial frequency, 1 to side / 2 cycles across the volume, means
    over shells; without the mean of each volume, under a Hann window, so that opposite faces need not agree."""
    side = values.shape[1]
    window = np.hanning(side + 2)[1:-1].astype(np.float32)
    cycles = np.fft.fftfreq(side) * side
    whole = np.sqrt(cycles[:, None, None] ** 2 + cycles[None, :, None] ** 2 + cycles[None, None, : side // 2 + 1] ** 2)
    shell = np.rint(whole).astype(int).reshape(-1)
    kept = (shell >= 1) & (shell <= side // 2)
    count = np.bincount(shell[kept], minlength=side // 2 + 1)[1:]
    found = []
    for part in parts(values):
        for own in unit(part, spec):
            own = (own - own.mean()) * window[:, None, None] * window[:, None] * window
            power = np.abs(np.fft.rfftn(own).reshape(-1)[kept]) ** 2
            found.append(np.bincount(shell[kept], power, minlength=side // 2 + 1)[1:] / count)
    return np.stack(found)


def spectrum_distance(made: np.ndarray, real: np.ndarray, octaves: int | None = None) -> float:
    """How far mean powers by frequency (`radial_power`) are apart: the mean of |log10| of their ratio over the upper octaves,
    or over all frequencies."""
    first = 0 if octaves is None else made.shape[1] // 2**octaves
    ratio = np.log10(made.mean(0)[first:] + 1e-12) - np.log10(real.mean(0)[first:] + 1e-12)
    return float(np.abs(ratio).mean())


def detail(values: np.ndarray, spec: VolumeSpec) -> np.ndarray:
    """(N,) root mean square of the finest octave, of the range of the spec."""
    found = []
    for part in parts(values):
        (finest,) = octaves(unit(part, spec), 1)
        found.append(np.sqrt((finest**2).mean((1, 2, 3))))
    return np.concatenate(found)


def measures(made: Side, train: Side, heldout: Side, seed: int) -> dict[str, object]:
    """The distance of spectra in the upper two octaves, and the share of detail; each with what training records have."""
    from ...metrics.measure import Measure

    sides = (made, train, heldout)
    if len({side[0].shape[1:] for side in sides}) > 1 or len(set(made[0].shape[1:])) > 1:
        return {}
    rng = np.random.default_rng(seed)
    few = [(side[0][np.sort(rng.permutation(len(side[0]))[:200])], side[1]) for side in sides]
    power = [radial_power(*side) for side in few]
    grain = [float(detail(*side).mean()) for side in few]
    told = f"n={len(few[0][0])}/m={len(few[2][0])}/ref=heldout"
    return {
        "detail_spectrum": Measure(
            spectrum_distance(power[0], power[2], 2), f"mean |log10 ratio of power|/upper 2 octaves/{told}",
            more={"real": spectrum_distance(power[1], power[2], 2)},
        ),
        "detail": Measure(grain[0] / max(grain[2], 1e-12), f"rms of the finest octave, of real ones/{told}",
                          more={"real": grain[1] / max(grain[2], 1e-12)}),
    }  # fmt: skip
