"""The two networks of DeepRemaster (Iizuka and Simo-Serra 2019, figure 3): one cleans grey clips, one gives them colours.

Clips are (B, C, T, H, W). Time is never halved, so clips of any length pass.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, scaled_dot_product_attention

BEGINNING = 0.1  # of the usual size: weights of the last convolutions, so that an untrained network changes little
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
SHARPNESS = 10.0  # of attention by resemblance, before training: what the cosine is multiplied by
LEAST = 8  # channels of a map, however narrow a network is
NORMS = {"batch": nn.BatchNorm3d, "none": None}


class Layer(nn.Sequential):
    """Convolution of 3x3 pixels and `time` frames, norm, ELU: (B, before, T, H, W) -> (B, after, T, H / step, W / step)."""

    def __init__(self, before: int, after: int, time: int, norm: str, step: int = 1) -> None:
        kind = NORMS[norm]
        conv = nn.Conv3d(before, after, (time, 3, 3), (1, step, step), (time // 2, 1, 1), bias=kind is None)
        super().__init__(conv, *([] if kind is None else [kind(after)]), nn.ELU())
        if kind is None:  # keeps the size of maps from layer to layer
            nn.init.normal_(conv.weight, 0.0, 1.25 / conv.weight[0].numel() ** 0.5)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]


def doubled(maps: Tensor) -> Tensor:
    """Twice the height and width, by interpolation."""
    return interpolate(maps, scale_factor=(1.0, 2.0, 2.0), mode="trilinear", align_corners=False)


def last(before: int, after: int, time: int) -> nn.Conv3d:
    conv = nn.Conv3d(before, after, (time, 3, 3), padding=(time // 2, 1, 1))
    with torch.no_grad():
        conv.weight.mul_(BEGINNING)
        conv.bias.zero_()  # type: ignore[union-attr]
    return conv


class Restoration(nn.Module):
    """Grey clips (B, 1, T, H, W) in [-1, 1], H and W multiples of 4 -> clean ones in [-1, 1].

    Two halvings, four convolutions at a quarter of the size, two doublings, tanh: what is added to the clip. width: channels
    of the first map; four times as many inside. time: frames that each convolution sees, 3, or 1: frame by frame. skips: maps
    of half the size are added to those of that size behind, and the clip itself stands before the last convolutions; else all
    detail passes through the quarter.
    """

    def __init__(self, width: int, time: int, norm: str, skips: bool) -> None:
        super().__init__()
        narrow = max(LEAST, width // 4)
        self.first = nn.Sequential(
            Layer(1, width, time, norm, 2), Layer(width, 2 * width, time, norm), Layer(2 * width, 2 * width, time, norm)
        )
        inner = [Layer(4 * width, 4 * width, time, norm) for _ in range(4)]
        self.inner = nn.Sequential(Layer(2 * width, 4 * width, time, norm, 2), *inner)
        self.up = Layer(4 * width, 2 * width, time, norm)
        self.middle = nn.Sequential(Layer(2 * width, width, time, norm), Layer(width, width, time, norm))
        self.skips = skips
        self.whole = Layer(width + int(skips), narrow, time, norm)
        self.final = last(narrow, 1, time)

    def forward(self, clips: Tensor) -> Tensor:
        first = self.first(clips)
        maps = self.up(doubled(self.inner(first)))
        maps = doubled(self.middle(maps + first if self.skips else maps))
        maps = self.whole(torch.cat([maps, clips], 1) if self.skips else maps)
        made: Tensor = (clips + 2 * self.final(maps).tanh()).clamp(-1, 1)
        return made


class Attention(nn.Module):
    """Every place of a source looks at every place of references: source + gamma softmax(Q K^T) V, with Q of the source.

    source (B, C, T, H, W), references (B, C, K, h, w) -> (B, C, T, H, W). seen (B, K) bool: the references that count. A place
    may also look at none of them: a key that is learnt stands beside theirs, with 0 for its value. start: gamma before training.
    alike: K is made by the layer that makes Q, both of maps that a ladder made of grey values, `plain` of the source and `known`
    of the references (B, C, K, h, w), and both have one length: before anything is learnt, places look at what resembles them.
    """

    def __init__(self, channels: int, start: float, alike: bool = False) -> None:
        super().__init__()
        inner = max(LEAST, channels // (2 if alike else 8))
        self.query = nn.Conv3d(channels, inner, 1)
        self.key = None if alike else nn.Conv3d(channels, inner, 1)
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS)) if alike else None
        self.value = nn.Conv3d(channels, channels, 1)
        self.nothing = nn.Parameter(torch.zeros(1, 1, inner))
        self.gamma = nn.Parameter(torch.tensor(float(start)))

    def forward(
        self, source: Tensor, references: Tensor, seen: Tensor | None = None, plain: Tensor | None = None,
        known: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        count = len(source)
        asked = (self.query(source), self.key(references)) if self.key is not None else (self.query(plain), self.query(known))
        query, key, value = (maps.flatten(2).transpose(1, 2) for maps in (*asked, self.value(references)))  # (B, places, C)
        if self.sharpness is not None:
            query, key = normalize(query, dim=2) * self.sharpness, normalize(key, dim=2)
        key = torch.cat([key, self.nothing.expand(count, -1, -1)], 1)
        value = torch.cat([value, torch.zeros_like(value[:, :1])], 1)
        mask = None
        if seen is not None:
            mask = seen.repeat_interleave(references.shape[3] * references.shape[4], 1)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)[:, None, :].expand(-1, query.shape[1], -1)
        found = scaled_dot_product_attention(query, key, value, mask, scale=1.0)
        made: Tensor = source + self.gamma * found.transpose(1, 2).reshape(source.shape)
        return made


def descent(before: int, width: int, halvings: int, norm: str) -> nn.ModuleList:
    """Stages frame by frame, each of which halves the size and doubles the channels: width * 2, 4, ..."""
    stages = []
    for stage in range(halvings):
        after = width * 2 ** (stage + 1)
        entry = width if stage == 0 else after
        stages.append(
            nn.Sequential(
                Layer(before, entry, 1, norm, 2), Layer(entry, after, 1, norm), Layer(after, after, 1, norm)
            )
        )
        before = after
    return nn.ModuleList(stages)


class Colourisation(nn.Module):
    """Grey clips (B, 1, T, H, W) in [-1, 1] and pictures in colour (B, 3, K, h, w) -> chroma (B, 2, T, H, W) in [-1, 1].

    Sides are multiples of 2^(halvings + 1). Grey frames and pictures go down two ladders of convolutions; at 1 / 2^halvings of
    the size, and at half of that, the frames look at the pictures (`Attention`), and then at themselves, through all frames;
    convolutions through time (`time` frames) bring the chroma up again. K may be any number: `seen` (B, K) says which pictures
    count; None for pictures: none. skips: maps of the way down are added on the way up. start: gamma of every attention. alike:
    places are found by the grey values of pictures, on the frames' own ladder, and the pictures' ladder brings colours alone.
    """

    def __init__(
        self, width: int, halvings: int, time: int, norm: str, skips: bool, start: float, references: bool, alike: bool
    ) -> None:
        super().__init__()
        inner = width * 2**halvings
        self.down, self.skips, self.alike = descent(1, width, halvings, norm), skips, alike
        self.flat = nn.Sequential(Layer(inner, inner, 1, norm), Layer(inner, inner, 1, norm))
        self.deeper = nn.Sequential(Layer(inner, inner, 1, norm, 2), Layer(inner, inner, 1, norm))
        self.pictures = self.pictures_deeper = None
        if references:
            self.pictures = descent(3, width, halvings, norm)
            self.pictures_deeper = nn.Sequential(
                Layer(inner, inner, 1, norm, 2), Layer(inner, inner, 1, norm), Layer(inner, inner, 1, norm)
            )
            self.look, self.look_deeper = Attention(inner, start, alike), Attention(inner, start, alike)
        self.selves = nn.ModuleList(Attention(inner, start) for _ in range(2)) if time > 1 else None
        self.between = Layer(inner, inner, 1, norm)
        self.joined = Layer(2 * inner, inner, time, norm)
        self.up, self.across = nn.ModuleList(), nn.ModuleList()
        before = inner
        for stage in range(halvings - 1, -1, -1):
            after = max(LEAST, before // 4) if stage < halvings - 1 else max(LEAST, before // 2)
            self.up.append(Layer(before, after, time, norm))
            known = width * 2**stage if stage else 1
            self.across.append(nn.Conv3d(known, after, 1) if skips else nn.Identity())
            before = after
        self.final = last(before, 2, time)

    def forward(self, clips: Tensor, pictures: Tensor | None = None, seen: Tensor | None = None) -> Tensor:
        maps, kept = clips, []
        for stage in self.down:
            kept.append(maps)
            maps = stage(maps)
        given = pictures if self.pictures is not None else None
        known = None
        if given is not None:
            if self.alike:
                known = (given * given.new_tensor(LUMA)[:, None, None, None]).sum(1, keepdim=True)
                for stage in self.down:
                    known = stage(known)
            for stage in self.pictures:  # type: ignore[union-attr]
                given = stage(given)
        plain = maps
        maps = maps if given is None else self.look(maps, given, seen, plain, known)
        low = self.deeper(maps)
        if given is not None:
            if known is not None:  # what resembles what is asked without the colours that were brought so far
                plain, known = self.deeper(plain), self.deeper(known)
            low = self.look_deeper(low, self.pictures_deeper(given), seen, plain, known)  # type: ignore[misc]
        low = self.between(low)
        low = low if self.selves is None else self.selves[0](low, low)
        maps = self.joined(torch.cat([doubled(low), self.flat(maps)], 1))
        maps = maps if self.selves is None else self.selves[1](maps, maps)
        for up, across in zip(self.up, self.across, strict=True):
            maps = up(doubled(maps))
            known = kept.pop()
            maps = maps + across(known) if self.skips else maps
        made: Tensor = self.final(maps).tanh()
        return made
