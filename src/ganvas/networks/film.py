"""What years do to a film: fading, flicker, blur, grain, dust and scratches, made on grey clips while training.

Every record wears differently; all numbers come from its noise. Sizes of specks and scratches are in pixels of the record. Not
for an unsteady picture, splices, or damage that hides most of a frame.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from ..batches import Noise

SPECKS = 4  # of dust on a frame of 64x64 pixels at most; larger frames have more, up to MOST
MOST = 24
SCRATCHES = 3  # on a record at most
REACH = 2  # pixels that blur reaches on each side


def aged(clips: Tensor, noise: Noise, wear: float = 1.0) -> Tensor:
    """Grey clips (B, 1, T, H, W) in [-1, 1] -> the same, worn. wear: 0 leaves them as they are, 1 is heavily worn."""
    count, _, frames, height, width = clips.shape
    own = noise.uniform(count, 6).to(clips.dtype) * wear  # how much of each kind of wear a record has

    def share(place: int) -> Tensor:
        return own[:, place, None, None, None, None]

    made = _soft(clips, 0.7 * own[:, 0])
    # A print that has faded: less contrast, blacks that are grey, or whites that are.
    middle = (noise.uniform(count).to(clips.dtype) - 0.5)[:, None, None, None, None]
    made = middle + (made - middle) * (1 - 0.3 * share(1))
    # The lamp, and how thick the emulsion is, differ from frame to frame.
    lamp = noise.normal(count, 2, frames).to(clips.dtype)[:, :, None, :, None, None]
    made = made * (1 + 0.12 * share(2) * lamp[:, 0]) + 0.12 * share(2) * lamp[:, 1]
    grain = noise.normal(count, 1, frames, height, width).to(clips.dtype)
    coarse = _soft(grain, torch.full_like(own[:, 0], 0.7)) * 2.2
    made = made + 0.15 * share(3) * (0.5 * grain + 0.5 * coarse)
    made = _dusty(made, noise, own[:, 4])
    return _scratched(made, noise, own[:, 5]).clamp(-1, 1)


def _soft(clips: Tensor, deviation: Tensor) -> Tensor:
    """Clips (B, 1, T, H, W), each blurred by a Gaussian of its own deviation (B,) in pixels; 0 leaves a record as it is."""
    count, _, frames, height, width = clips.shape
    place = torch.arange(-REACH, REACH + 1, device=clips.device, dtype=clips.dtype)
    weight = torch.exp(-place.square() / (2 * deviation[:, None].square()).clamp(min=1e-4))
    weight = (weight / weight.sum(1, keepdim=True)).repeat_interleave(frames, 0)[:, None]
    wide = pad(clips.reshape(1, count * frames, height, width), (REACH,) * 4, mode="replicate")
    wide = conv2d(wide, weight[:, :, :, None], groups=count * frames)
    return conv2d(wide, weight[:, :, None, :], groups=count * frames).view(clips.shape)


def _dusty(clips: Tensor, noise: Noise, share: Tensor) -> Tensor:
    """Specks and short hairs, black or white, each on one frame alone."""
    count, _, frames, height, width = clips.shape
    most = min(MOST, max(SPECKS, SPECKS * height * width // 64**2))
    draw = noise.uniform(count, most, frames, 7).to(clips.dtype)
    y = torch.arange(height, device=clips.device, dtype=clips.dtype)[:, None]
    x = torch.arange(width, device=clips.device, dtype=clips.dtype)
    for speck in range(most):
        down, across, size, long, angle, bright, there = (own[..., None, None] for own in draw[:, speck].unbind(-1))
        below, beside = y - down * height, x - across * width
        cosine, sine = (math.pi * angle).cos(), (math.pi * angle).sin()
        along, away = below * cosine + beside * sine, beside * cosine - below * sine
        radius = 0.5 + 1.5 * size.square()
        far = ((along / (1 + 4 * long**3)).square() + away.square()).sqrt()
        cover = (radius + 0.5 - far).clamp(0, 1) * (there < share[:, None, None, None])
        clips = clips + (cover * ((2 * (bright < 0.5).to(clips.dtype) - 1) * 0.95 - clips[:, 0]))[:, None]
    return clips


def _scratched(clips: Tensor, noise: Noise, share: Tensor) -> Tensor:
    """Lines from top to bottom, bright or dark, which stay for some frames and wander by little."""
    count, _, frames, height, width = clips.shape
    draw = noise.uniform(count, SCRATCHES, 6).to(clips.dtype)
    shake = noise.normal(count, SCRATCHES, frames).to(clips.dtype)
    x = torch.arange(width, device=clips.device, dtype=clips.dtype)
    time = torch.arange(frames, device=clips.device, dtype=clips.dtype) / max(1, frames)
    for number in range(SCRATCHES):
        across, wide, strong, bright, there, when = (own[:, None, None] for own in draw[:, number].unbind(-1))
        place = across * width + 0.4 * shake[:, number, :, None]
        cover = (0.9 + 0.8 * wide - (x - place).abs()).clamp(0, 1) * (0.4 + 0.6 * strong)
        lasts = ((time[:, None] - 1.5 * when + 0.25).abs() < 0.75).to(
            clips.dtype
        )  # of all frames, or from one on, or up to one
        cover = (cover * lasts * (there < share[:, None, None]))[:, None, :, None, :]
        clips = clips + cover * ((2 * (bright < 0.6).to(clips.dtype) - 1)[:, None, :, :, None] * 0.9 - clips)
    return clips
