"""How alike two pictures are inside a mask: SSIM of what counts, where the ground around it does not.

Wang, Bovik, Sheikh, Simoncelli, 2004, "Image Quality Assessment: From Error Visibility to Structural Similarity"; the mask as
in Ma et al. 2017 (arXiv 1705.09368), section 4. Not for sets of pictures.
"""

from __future__ import annotations

import numpy as np


def masked_ssim(made: np.ndarray, true: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(N,) mean of the SSIM map (Gaussian window of 1.5 pixels) of images (N, H, W, C), 0 to 255, over masks (N, H, W) from 0
    to 1; NaN where a mask is empty."""
    from scipy.ndimage import gaussian_filter

    a, b = np.asarray(made, np.float64), np.asarray(true, np.float64)

    def mean(x: np.ndarray) -> np.ndarray:
        found: np.ndarray = gaussian_filter(x, (0, 1.5, 1.5, 0), truncate=3.5)
        return found

    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    ssim = (2 * ma * mb + first) * (2 * both + second) / ((ma * ma + mb * mb + first) * (va + vb + second))
    weight = np.asarray(masks, np.float64)
    total = weight.sum((1, 2))
    found: np.ndarray = np.where(total > 0, (ssim.mean(3) * weight).sum((1, 2)) / np.where(total > 0, total, 1), np.nan)
    return found
