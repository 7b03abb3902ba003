"""The U-Net of pix2pix: images to images of the same size, whose detail goes past the middle. Isola, Zhu, Zhou, Efros, 2017,
"Image-to-Image Translation with Conditional Adversarial Networks" (CVPR, arXiv 1611.07004), section 3.2.1 and appendix 6.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from ..batches import Noise
from .blocks import UPSAMPLINGS, Norm, enlarging
from .convolutional import initialise

DROPPED = 3  # layers of the decoder that have dropout, from the middle on


class UNet(nn.Module):
    """Images (B, inputs, H, W) -> (B, outputs, H, W) in [-1, 1]. H and W must be multiples of 2^depth (ValueError).

    Encoder: `depth` convolutions of 4x4 and stride 2, leaky ReLU(0.2) between them. Decoder: as many transposed ones with ReLU,
    each of which also gets the encoder's features of its size; the first three with dropout; tanh at the end. width: channels
    after the first convolution; doubles inwards, at most 8 times. 64 and depth 8 at 256x256 are the paper's.
    norm: a factory; not on the first convolution, and not on the innermost either: where that leaves a single pixel of a single
    image, BatchNorm would leave nothing (the paper's errata). None: nowhere.

    Dropout is the only noise that the paper's generator has, in use as in training. Here it is drawn from the `noise` that is
    handed in, a mask for each record, whatever mode the network is in: so one process and many play the same game, and what
    was made can be made again. `noise=None` drops nothing.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 64,
        depth: int = 8,
        norm: Norm | None = nn.BatchNorm2d,
        dropout: float = 0.5,
        upsampling: str = UPSAMPLINGS[0],
    ) -> None:
        super().__init__()
        if depth < 1 or not 0 <= dropout < 1:
            raise ValueError(f"a U-Net needs depth >= 1 and 0 <= dropout < 1, not {depth} and {dropout}")
        self.dropout = dropout
        widths = [width * min(8, 2**place) for place in range(depth)]

        def normalised(layer: nn.Module, channels: int, wanted: bool) -> nn.Module:
            return nn.Sequential(layer, norm(channels)) if wanted and norm is not None else layer

        down: list[nn.Module] = []
        for place, (before, after) in enumerate(zip([inputs, *widths], widths, strict=False)):
            wanted = 0 < place < depth - 1
            down.append(normalised(nn.Conv2d(before, after, 4, 2, 1, bias=not wanted or norm is None), after, wanted))
        up: list[nn.Module] = []
        for place in reversed(range(depth)):
            before = widths[place] * (1 if place == depth - 1 else 2)  # twice: the encoder's features beside its own
            after, wanted = (widths[place - 1], True) if place else (outputs, False)
            layer = enlarging(before, after, upsampling, bias=not wanted or norm is None)
            up.append(normalised(layer, after, wanted))
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.apply(initialise)

    def forward(self, images: Tensor, noise: Noise | None = None) -> Tensor:
        step = 2 ** len(self.down)
        if images.shape[2] % step or images.shape[3] % step:
            raise ValueError(
                f"a U-Net of depth {len(self.down)} takes sides that {step} divides, not {tuple(images.shape[2:])}"
            )
        passed: list[Tensor] = []
        features = images
        for place, layer in enumerate(self.down):
            features = layer(leaky_relu(features, 0.2) if place else features)
            passed.append(features)
        features = passed.pop()
        for place, layer in enumerate(self.up):
            features = layer(relu(features))
            if passed:
                if place < DROPPED:
                    features = self._dropped(features, noise)
                features = torch.cat([features, passed.pop()], 1)
        return torch.tanh(features)

    def _dropped(self, features: Tensor, noise: Noise | None) -> Tensor:
        """Each number 0 with the probability `dropout`, the others enlarged so that the mean stays."""
        if noise is None or not self.dropout:
            return features
        kept = noise.uniform(len(features), *features.shape[1:]) >= self.dropout
        return features * (kept.to(features.dtype) / (1 - self.dropout))
