"""What the CPU needs beside the tensors themselves: re-laid copies that convolutions make.

oneDNN computes convolutions on maps whose channels lie in blocks of 16 (8 without AVX-512). Maps in the usual layout are copied
into blocks and back; maps in the layout `channels_last` are taken as they are. The sizes below were measured operation by
operation (`benchmarks/memory_grid.py --operations`), and hold to the megabyte. Not for CUDA, whose libraries choose their own.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten

# Longest side of a kernel for which oneDNN has code of its own, by block; above, it multiplies matrices in the usual layout.
# With AVX-512 (16) that was not tried: there, kernels of any length are taken for re-laid ones.
JIT_KERNEL = {8: 7, 16: 10_000}
# Area of the result x cube of the kernel's side from which that matrix is made all at once: 8 to 1 channels, sides 9 and 11.
# From 16 to 3 channels it was between 4.7e8 and 7.6e8: just above this constant, too much is foretold.
UNROLLED_FROM = 4.3e8


@dataclass(frozen=True)
class Space:
    """Working space around the birth of one result, in bytes of each block.

    before: all there at once, and gone when the result is born. beside: there from then until the result is complete.
    """

    before: tuple[int, ...] = ()
    beside: tuple[int, ...] = ()


NONE = Space()


def spaces(func: Any, arguments: Any, device: torch.device, result: Any) -> list[Space]:
    """The working space of each result of one operation; an empty list for all but convolutions on the CPU."""
    if device.type != "cpu":
        return []
    if func is aten.convolution.default:
        maps, weight = arguments[:2]
        return [_mapped(maps, weight, result, max(arguments[3]) > 1, arguments[6])]
    if func is aten.convolution_backward.default:
        gradient, maps, weight = arguments[:3]
        # The way back of a convolution is a transposed one, and the other way round.
        back = _mapped(gradient, weight, maps, max(arguments[4]) > 1, not arguments[7])
        return [back, _weighed(gradient, maps, weight), NONE]
    return []


def _mapped(maps: Tensor, weight: Tensor, result: Tensor, stretched: bool, transposed: bool) -> Space:
    """Of maps convolved with weights. stretched: the stride is more than one."""
    weights = _bytes(weight)
    if _last(maps) or _last(weight):
        return Space((weights,))
    if not transposed and maps.dim() == 4 and maps.dtype == torch.float32 and max(weight.shape[2:]) > JIT_KERNEL[_block()]:
        return Space((_bytes(result), _unrolled(maps, weight, result)), (_bytes(result),))
    # The result of a convolution lies in whole blocks even where it has few channels.
    taken, given = _blocked(maps), _blocked(result, 4 if transposed else 0)
    if transposed and stretched and result.shape[1] > 1:
        return Space((taken, weights, given), (given, given))
    if maps.dim() == 3 and not transposed:  # a row of places is not re-laid on its way in
        return Space((weights, given), (given,))
    return Space((taken, weights, given), (given,))


def _weighed(gradient: Tensor, maps: Tensor, weight: Tensor) -> Space:
    """Of the gradient of the weights."""
    weights = _bytes(weight)
    beside = (weights,) * (2 if maps.dtype == torch.bfloat16 or _last(maps) or _last(weight) else 1)
    if _last(maps) or _last(weight) or maps.dim() == 3:
        return Space((), beside)
    return Space((_blocked(gradient), _blocked(maps), *beside), beside)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _unrolled(maps: Tensor, weight: Tensor, result: Tensor) -> int:
    """Bytes of one channel unrolled into a matrix, as far as a convolution by matrix product makes it all at once.

    Small ones are cut into pieces; where that ends was found by trying (`UNROLLED_FROM`). Of one channel alone none is cut.
    """
    area, places = math.prod(result.shape[2:]), math.prod(weight.shape[2:])
    few = maps.shape[0] == 1 and maps.shape[1] == 1 and result.shape[1] > 4
    whole = few or area * places * max(weight.shape[2:]) >= UNROLLED_FROM
    return area * places * maps.element_size() if whole else 0


def _blocked(maps: Tensor, few: int = 4) -> int:
    """Bytes of maps whose channels are filled up to whole blocks; those of up to `few` channels (images) stay as they are."""
    channels, block = maps.shape[1], _block()
    whole = channels if channels <= few else math.ceil(channels / block) * block
    return _bytes(maps) // max(1, channels) * whole


@functools.cache
def _block() -> int:
    return 16 if "AVX512" in torch.backends.cpu.get_cpu_capability() else 8


def _last(tensor: Tensor) -> bool:
    """Whether it lies in channels_last and could not be taken for the usual layout as well."""
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensor.dim())
    return layout is not None and tensor.is_contiguous(memory_format=layout) and not tensor.is_contiguous()
