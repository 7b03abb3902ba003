"""What is left of a picture whose colours were taken away (lines or grey values), and hints of colour: tensors in, tensors out.
Not for files.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, pad

from ..batches import Noise, constant

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
THIN, THICK = 0.6, 1.0  # standard deviations in pixels of the finer blur
LEAST, STEEP = 0.02, 12.5  # a step that is a line, of the 2 from black to white; and how soon it is all black
NEAR = 0.15  # channels that differ by less are of one colour
FINE = 4  # pixels that hints run at full size, before and after they run at half of it


def grey(images: Tensor) -> Tensor:
    """Luminance (B, 1, H, W) of images (B, C, H, W) of one or three channels."""
    if images.shape[1] == 1:
        return images
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def lines(images: Tensor, thickness: Tensor) -> Tensor:
    """Dark lines on white (B, 1, H, W) in [-1, 1], at the darker side of every edge of images (B, C, H, W) in [-1, 1].

    A difference of two blurs, made steep (Winnemoeller 2011, "XDoG"), of each channel by itself: colours of equal luminance
    have an edge too. thickness: (B,) in [0, 1], from thin lines to thick ones.
    """
    found = []
    for deviation in (THIN, THICK):
        step = _blurred(images, deviation) - _blurred(images, 1.6 * deviation)
        found.append((1 + 2 * torch.tanh(STEEP * (step + LEAST).clamp(max=0))).amin(1, keepdim=True))
    share = thickness.to(images.dtype)[:, None, None, None]
    return found[0] + share * (found[1] - found[0])


def _blurred(images: Tensor, deviation: float) -> Tensor:
    reach = max(1, round(3 * deviation))
    place = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weight = torch.exp(-(place**2) / (2 * deviation**2))
    weight = (weight / weight.sum()).expand(images.shape[1], 1, -1)
    wide = pad(images, (reach, reach, reach, reach), mode="replicate")
    wide = conv2d(wide, weight[:, :, None, :], groups=images.shape[1])
    return conv2d(wide, weight[:, :, :, None], groups=images.shape[1])


def hints_of(images: Tensor, noise: Noise, most: int, reach: int, sure: Tensor | None = None) -> Tensor:
    """Hints (B, C + 1, H, W) of colours of images (B, C, H, W): channels of colour, which are 0 where nobody gave one, and one
    that is 1 where somebody did, else -1.

    Each record has from 0 to `most` squares, as many as chance has it, of a side from 1 to 2 reach + 1 pixels, in the colour
    that the image has in the middle of the square. Half of the records have none or few: the number is `most` times u^2.
    """
    count, _, height, width = images.shape
    draw = noise.uniform(count, most, 3)
    number = ((most + 1) * noise.uniform(count) ** 2).floor()
    down, right = (draw[:, :, 0] * height).long(), (draw[:, :, 1] * width).long()
    half = (draw[:, :, 2] * (reach + 1)).floor()
    if sure is not None:
        must = sure[:, 0] >= 0
        number = torch.where(must, number.clamp(min=1), number)
        down[:, 0], right[:, 0] = (
            torch.where(must, own, place[:, 0]) for own, place in ((sure[:, 0], down), (sure[:, 1], right))
        )
    y = torch.arange(height, device=images.device)[None, :, None]
    x = torch.arange(width, device=images.device)[None, None, :]
    colour = images.new_zeros(images.shape)
    given = images.new_zeros(count, 1, height, width)
    record = torch.arange(count, device=images.device)
    for place in range(most):
        top, left, size = (own[:, place, None, None] for own in (down, right, half))
        inside = ((y - top).abs() <= size) & ((x - left).abs() <= size) & (number[:, None, None] > place)
        own = images[record, :, down[:, place], right[:, place]][:, :, None, None]
        colour = torch.where(inside[:, None], own, colour)
        given = torch.where(inside[:, None], 1.0, given)
    return torch.cat([colour, 2 * given - 1], 1)


def recoloured(images: Tensor, noise: Noise, share: float) -> tuple[Tensor, Tensor]:
    """A share of images (B, C, H, W), of each of which one colour is another by chance, wherever it is: (images, places (B, 2)
    in rows and columns where that colour is, -1 for images that stay as they are)."""
    count, _, height, width = images.shape
    draw, wanted = noise.uniform(count, 3), 2 * noise.uniform(count, images.shape[1]) - 1
    down, right = (draw[:, 0] * height).long(), (draw[:, 1] * width).long()
    chosen = draw[:, 2] < share
    own = images[torch.arange(count, device=images.device), :, down, right]
    near = (images - own[:, :, None, None]).abs().amax(1, keepdim=True) < NEAR
    moved = (images + (wanted.to(images.dtype) - own)[:, :, None, None]).clamp(-1, 1)
    made = torch.where(near & chosen[:, None, None, None], moved, images)
    return made, torch.where(chosen[:, None], torch.stack([down, right], 1), -1)


def spread(hints: Tensor, drawings: Tensor, reach: int) -> Tensor:
    """Hints (B, C + 1, H, W) that ran over drawings (B, 1, H, W), to the lines, some `reach` pixels at most -> the same form.

    Where two meet, each stays with what it came to first. The last channel falls from 1 at a hint towards -1, which is where
    none came. Most of the way is gone at half the size, which takes an eighth of the time.
    """
    passes = (drawings > 0).to(hints.dtype)
    known = (hints[:, -1:] > 0).to(hints.dtype)
    state = torch.cat([hints[:, :-1] * known, known, known], 1)  # colours, trust, and where there are any
    near = min(reach, FINE)
    state = _run_on(state, passes, near, 1 / (reach + 1))
    height, width = hints.shape[2:]
    if reach > near and height % 2 == 0 and width % 2 == 0:
        count = avg_pool2d(state[:, -1:], 2)
        coarse = torch.cat([avg_pool2d(state[:, :-1], 2) / count.clamp(min=1e-6), (count > 0).to(count.dtype)], 1)
        coarse = _run_on(coarse, -max_pool2d(-passes, 2), (reach - near) // 2, 2 / (reach + 1))
        large = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
        state = torch.where((state[:, -1:] == 0) & (passes > 0), large, state)
        state = _run_on(state, passes, near, 1 / (reach + 1))
    return torch.cat([state[:, :-2], 2 * state[:, -2:-1].clamp(min=0) - 1], 1)


def _run_on(state: Tensor, passes: Tensor, rounds: int, loss: float) -> Tensor:
    """States (B, C + 2, H, W), a pixel further in each round where `passes`; trust falls by `loss` a round."""
    channels = state.shape[1]
    cross = constant(((0, 1, 0), (1, 1, 1), (0, 1, 0)), state.device, state.dtype).expand(channels, 1, 3, 3)
    fall = constant((0.0,) * (channels - 2) + (loss, 0.0), state.device, state.dtype)[:, None, None]
    for _ in range(rounds):
        around = conv2d(state, cross, padding=1, groups=channels)
        count = around[:, -1:]
        new = (state[:, -1:] == 0) & (count > 0) & (passes > 0)
        state = torch.where(new, around / count.clamp(min=1) - fall, state)
    return state


def no_hints(images: Tensor) -> Tensor:
    """Hints (B, C + 1, H, W) for images (B, C, H, W) of which there are none."""
    hints = images.new_zeros(len(images), images.shape[1] + 1, *images.shape[2:])
    hints[:, -1] = -1
    return hints


def with_luminance(images: Tensor, luminance: Tensor) -> Tensor:
    """The hue of images (B, 3, H, W), and the luminance (B, 1, H, W) that was asked for; paler where it would leave [-1, 1]."""
    difference = images - grey(images)
    above, below = (1 - luminance).clamp(min=0), (1 + luminance).clamp(min=0)
    room = torch.where(difference > 0, above, below) / difference.abs().clamp(min=1e-6)
    return luminance + difference * room.amin(1, keepdim=True).clamp(max=1)


def chroma_of(images: Tensor) -> Tensor:
    """How blue and how red images (B, 3, H, W) in [-1, 1] are beside their luminance: (B, 2, H, W) in [-1, 1], 0 for greys
    (ITU-R BT.601)."""
    luminance = grey(images)
    return torch.cat([(images[:, 2:] - luminance) / (2 - 2 * LUMA[2]), (images[:, :1] - luminance) / (2 - 2 * LUMA[0])], 1)


def with_chroma(luminance: Tensor, chroma: Tensor) -> Tensor:
    """Images (B, 3, H, W) of a luminance (B, 1, H, W) and `chroma_of` (B, 2, H, W); paler where they would leave [-1, 1]."""
    blue, red = (2 - 2 * LUMA[2]) * chroma[:, :1], (2 - 2 * LUMA[0]) * chroma[:, 1:]
    green = -(LUMA[2] * blue + LUMA[0] * red) / LUMA[1]
    return with_luminance(luminance + torch.cat([red, green, blue], 1), luminance)


def framewise(function: Callable[..., Tensor], *clips: Tensor) -> Tensor:
    """A function of images (B, C, H, W) for the frames of clips (B, C, T, H, W)."""
    count, frames = clips[0].shape[0], clips[0].shape[2]
    made = function(*(own.transpose(1, 2).flatten(0, 1) for own in clips))
    return made.unflatten(0, (count, frames)).transpose(1, 2)
