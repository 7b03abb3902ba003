"""Does ganvas' MS-SSIM give what others give? The same pairs go through pytorch-msssim, and one scale through scikit-image.

Sizes are multiples of 16: at odd sizes the libraries halve images in different ways. Needs pytorch-msssim and scikit-image.

    python benchmarks/msssim_agreement.py --out benchmarks/results/msssim_agreement.json
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytorch_msssim
import torch
from skimage.metrics import structural_similarity

from ganvas.metrics.pixels import _WEIGHTS, ms_ssim, scales_for


def pairs(height: int, width: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Six pairs (6, C, H, W) in [0, 1], from nearly alike to unrelated."""
    rng = np.random.default_rng(height + channels)
    y, x = np.ogrid[:height, :width]
    base = 0.5 + 0.3 * np.sin(x / 9 + rng.random((6, channels, 1, 1)) * 6) * np.cos(y / 13)
    noise = np.array([0.01, 0.03, 0.1, 0.2, 0.3, 1.0]).reshape(6, 1, 1, 1) * rng.normal(size=base.shape)
    return base.clip(0, 1).astype(np.float32), (base + noise).clip(0, 1).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows = []
    for height, width, channels in ((192, 176, 1), (192, 256, 3), (64, 64, 1), (128, 96, 3), (32, 48, 1)):
        a, b = pairs(height, width, channels)
        left, right = torch.from_numpy(a), torch.from_numpy(b)
        scales = scales_for(height, width)
        weights = np.array(_WEIGHTS[:scales]) / sum(_WEIGHTS[:scales])
        mine = ms_ssim(left, right).numpy()
        if scales == 5:
            theirs = pytorch_msssim.ms_ssim(left, right, data_range=1, size_average=False).numpy()
        else:  # that library refuses images under 161 pixels, so its parts are put together here
            theirs = _by_parts(left, right, weights)
        one = ms_ssim(left, right, scales=1).numpy()
        given = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0, "full": True}
        whole = [structural_similarity(x, y, channel_axis=0, **given)[1] for x, y in zip(a, b, strict=True)]
        # scikit-image pads the borders; without them the means are over the same windows.
        single = [np.maximum(m[:, 5:-5, 5:-5].mean(axis=(1, 2)), 0).mean() for m in whole]
        rows.append({
            "size": f"{channels}x{height}x{width}", "scales": scales,
            "values": [round(float(v), 6) for v in mine],
            "largest_difference_to_pytorch_msssim": float(np.abs(mine - theirs).max()),
            "largest_difference_of_one_scale_to_scikit_image": float(np.abs(one - np.array(single)).max()),
        })  # fmt: skip
    largest = max(value for row in rows for key, value in row.items() if key.startswith("largest"))
    result = {
        "pytorch_msssim": version("pytorch-msssim"), "scikit_image": version("scikit-image"), "rows": rows,
        "agrees": largest < 1e-4, "command": "python benchmarks/msssim_agreement.py",
    }  # fmt: skip
    text = json.dumps(result, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")
    raise SystemExit(0 if result["agrees"] else 1)


def _by_parts(a: torch.Tensor, b: torch.Tensor, weights: np.ndarray) -> np.ndarray:
    """MS-SSIM of fewer scales from pytorch-msssim's own single-scale terms."""
    from pytorch_msssim.ssim import _fspecial_gauss_1d, _ssim

    window = _fspecial_gauss_1d(11, 1.5).repeat(a.shape[1], 1, 1, 1)
    made = torch.ones(a.shape[:2])
    for scale, weight in enumerate(weights):
        whole, contrast = _ssim(a, b, data_range=1, win=window, size_average=False)
        made = made * torch.relu(whole if scale == len(weights) - 1 else contrast) ** float(weight)
        a, b = torch.nn.functional.avg_pool2d(a, 2), torch.nn.functional.avg_pool2d(b, 2)
    return made.mean(dim=1).numpy()


if __name__ == "__main__":
    main()
