"""The two networks of DeepRemaster (Iizuka and Simo-Serra 2019, figure 3): one cleans grey clips, one gives them colours.

Clips are (B, C, T, H, W). Time is never halved, so clips of any length pass.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, interpolate, normalize, scaled_dot_product_attention

BEGINNING = 0.1  # of the usual size: weights of the last convolutions, so that an untrained network changes little
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
BESIDE = 0.2  # of the weights of a convolution's middle frame, those of the frames beside it at first
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
            nn.init.normal_(conv.weight, 0.0, 1.25 / (9 * before) ** 0.5)
            if time > 1:
                with torch.no_grad():  # frames beside the middle one count for little at first
                    conv.weight[:, :, [0, 2]] *= BESIDE
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
        made: Tensor = clips + 2 * self.final(maps).tanh()
        return made if self.training else made.clamp(-1, 1)  # beyond black and white nothing would lead back while it learns


def looked(query: Tensor, key: Tensor, value: Tensor, nothing: Tensor, seen: Tensor | None) -> Tensor:
    """softmax(Q K^T) V of maps: query (B, D, T, H, W), key (B, D, K, h, w), value (B, C, K, h, w) -> (B, C, T, H, W).

    nothing (D): a key that stands beside the others, with 0 for its value: a place may look at none of them. seen (B, K) bool:
    which of K count; None: all.
    """
    count, frames, height, width = len(query), *query.shape[2:]
    # (B, 1, places, channels): with an axis of heads, all pairs of places are never held at once.
    asked, keys, values = (maps.flatten(2).transpose(1, 2)[:, None] for maps in (query, key, value))
    keys = torch.cat([keys, nothing.to(keys.dtype).expand(count, 1, 1, -1)], 2)
    values = torch.cat([values, torch.zeros_like(values[:, :, :1])], 2)
    mask = None
    if seen is not None:
        mask = seen.repeat_interleave(key.shape[3] * key.shape[4], 1)
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)[:, None, None]
    found: Tensor = scaled_dot_product_attention(asked, keys, values, mask, scale=1.0)
    return found[:, 0].transpose(1, 2).unflatten(2, (frames, height, width))


class Attention(nn.Module):
    """Source-reference attention, as in the paper: source + gamma softmax(Q K^T) V, with Q of the source, K, V of references.

    source (B, C, T, H, W), references (B, C, K, h, w) -> (B, C, T, H, W). start: gamma before training.
    """

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        inner = max(LEAST, channels // 8)
        self.query, self.key = nn.Conv3d(channels, inner, 1), nn.Conv3d(channels, inner, 1)
        self.value = nn.Conv3d(channels, channels, 1)
        self.nothing = nn.Parameter(torch.zeros(inner))
        self.gamma = nn.Parameter(torch.tensor(float(start)))

    def forward(self, source: Tensor, references: Tensor, seen: Tensor | None = None) -> Tensor:
        value = looked(self.query(source), self.key(references), self.value(references), self.nothing, seen)
        made: Tensor = source + self.gamma * value
        return made


class Resemblance(nn.Module):
    """Attention by the resemblance of grey values, which finds places before anything is learnt.

    source, known: maps (B, C, T, H, W), (B, C, K, h, w) that one ladder made of grey frames and of the grey values of pictures;
    what is compared is the cosine of how both differ from the mean of the source. Brings maps of the pictures (B, C, K, h, w)
    and their chroma (B, 2, K, h, w) -> (B, C, T, H, W) with the source, and the chroma alone (B, 2, T, H, W).
    """

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        inner = max(LEAST, channels // 2)
        self.compared = nn.Conv3d(channels, inner, 1, bias=False)
        self.value = nn.Conv3d(channels, channels, 1)
        self.nothing = nn.Parameter(torch.zeros(inner))
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))
        self.gamma = nn.Parameter(torch.tensor(float(start)))

    def forward(
        self, source: Tensor, known: Tensor, maps: Tensor, chroma: Tensor, seen: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        mean = source.mean((2, 3, 4), keepdim=True)
        query, key = (normalize(self.compared(own - mean), dim=1) for own in (source, known))
        found = looked(self.sharpness * query, key, torch.cat([self.value(maps), chroma], 1), self.nothing, seen)
        return source + self.gamma * found[:, :-2], found[:, -2:]


def descent(before: int, width: int, halvings: int, norm: str) -> nn.ModuleList:
    """Stages frame by frame, each of which halves the size and doubles the channels: width * 2, 4, ..."""
    stages = []
    for stage in range(halvings):
        after = width * 2 ** (stage + 1)
        entry = width if stage == 0 else after
        stages.append(
            nn.Sequential(Layer(before, entry, 1, norm, 2), Layer(entry, after, 1, norm), Layer(after, after, 1, norm))
        )
        before = after
    return nn.ModuleList(stages)


class Colourisation(nn.Module):
    """Grey clips (B, 1, T, H, W) in [-1, 1] and pictures in colour (B, 3, K, h, w) -> chroma (B, 2, T, H, W) in [-1, 1].

    Sides are multiples of 2^(halvings + 1). Grey frames and pictures go down two ladders of convolutions; at 1 / 2^halvings of
    the size, and at half of that, the frames look at the pictures (`Attention`), and then at themselves, through all frames;
    convolutions through time (`time` frames) bring the chroma up again. K may be any number: `seen` (B, K) says which pictures
    count; None for pictures: none. skips: maps of the way down are added on the way up. start: gamma of every attention.
    alike: frames look once, by `Resemblance`, and chroma begins as that which was found there.
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
            self.look: nn.Module = Resemblance(inner, start) if alike else Attention(inner, start)
            if not alike:
                again = (Layer(inner, inner, 1, norm) for _ in range(2))
                self.pictures_deeper = nn.Sequential(Layer(inner, inner, 1, norm, 2), *again)
                self.look_deeper = Attention(inner, start)
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
        brought = None
        if pictures is None or self.pictures is None:
            low = self.deeper(maps)
        else:
            given = pictures
            for stage in self.pictures:
                given = stage(given)
            if self.pictures_deeper is not None:
                maps = self.look(maps, given, seen)
                low = self.look_deeper(self.deeper(maps), self.pictures_deeper(given), seen)
            else:
                grey = (pictures * pictures.new_tensor(LUMA)[:, None, None, None]).sum(1, keepdim=True)
                chroma = torch.cat(
                    [(pictures[:, 2:] - grey) / (2 - 2 * LUMA[2]), (pictures[:, :1] - grey) / (2 - 2 * LUMA[0])], 1
                )
                for stage in self.down:
                    grey = stage(grey)
                maps, brought = self.look(
                    maps, grey, given, avg_pool3d(chroma, (1, 2 ** len(self.down), 2 ** len(self.down))), seen
                )
                low = self.deeper(maps)
        low = self.between(low)
        low = low if self.selves is None else self.selves[0](low, low)
        maps = self.joined(torch.cat([doubled(low), self.flat(maps)], 1))
        maps = maps if self.selves is None else self.selves[1](maps, maps)
        for up, across in zip(self.up, self.across, strict=True):
            maps = up(doubled(maps))
            known = kept.pop()
            maps = maps + across(known) if self.skips else maps
        made: Tensor = self.final(maps).tanh()
        if not self.alike:
            return made
        if brought is not None:  # what the pictures show there, made finer
            for _ in self.down:
                brought = doubled(brought)
            made = brought / 2 + made
        return 2 * made if self.training else (2 * made).clamp(-1, 1)
