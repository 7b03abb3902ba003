"""How near pictures are to those they stand for: PSNR, MS-SSIM, a perceptual distance. Not for sets of pictures."""

from __future__ import annotations

import numpy as np

from ..facets import Pairs

SMALLEST = 11  # pixels of a side that MS-SSIM needs


def measures(made: np.ndarray, true: np.ndarray, barred: tuple[str, ...]) -> Pairs:
    """Of pictures (N, H, W, C) uint8 or uint16, each with its own; barred: extractors that must not judge."""
    import torch

    from ... import metrics
    from ...metrics.pixels import ms_ssim

    top = float(np.iinfo(made.dtype).max)
    errors = ((made.astype(np.float64) - true) ** 2).mean(axis=(1, 2, 3)) / top**2
    found: Pairs = {"psnr": (10 * np.log10(1 / np.maximum(errors, 1e-10)), "psnr/all channels/dB")}
    if min(made.shape[1:3]) >= SMALLEST:
        first, second = (torch.from_numpy(x.astype(np.float32) / top).permute(0, 3, 1, 2) for x in (made, true))
        found["ms_ssim_to_original"] = (ms_ssim(first, second).double().numpy(), "ms-ssim of pairs")
    if "effnet" not in barred:
        size = (int(made.shape[1]), int(made.shape[2]))
        found["perceptual"] = (metrics.perceptual_distances(made, true, size=size), "lpips-like of pairs")
    return found
