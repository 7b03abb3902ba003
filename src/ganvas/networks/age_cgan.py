"""What Age-cGAN is told and how: ordered groups of a column of ages, and a discriminator that is told codes as in IcGAN.

Not for the game: `systems/translation/age_cgan.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ..batches import constant
from ..errors import GanvasError, did_you_mean
from ..kinds.table.spec import NUMBER
from .columns import codes_of, columns_of
from .convolutional import ConvolutionalDiscriminator, initialise

MARGIN = 0.999  # 18.9 years are still 18; a little less than 1, for ages are rounded on their way through float32


class Groups:
    """Ordered groups of a column: of numbers those up to each bound (18: 0-18) and what is above the last, of words its values.

    name: of the column. values: names of the groups, in order. spec: of the table. wanted: the column; empty: `age`, else its
    first number. bounds: whole years that end a group; those that leave a group empty do not count.
    Raises GanvasError, in one line, for a column that is not there and for bounds that do not rise.
    """

    def __init__(self, spec: Any, wanted: str, bounds: Sequence[int], system: str) -> None:
        known = {name.lower(): name for name in spec.names}
        numbers = [name for name, type_ in zip(spec.names, spec.types, strict=True) if type_ == NUMBER]
        self.name = wanted or known.get("age") or next(iter(numbers), "")
        if not self.name:
            raise GanvasError(
                f"{system}: no column 'age', and none of numbers: say which is ordered, as in  --set age={spec.names[0]}"
            )
        if self.name not in spec.names:
            close = did_you_mean(self.name, list(spec.names))
            raise GanvasError(f"{system}: no column '{self.name}'{close}: the table has {', '.join(spec.names)}")
        if list(bounds) != sorted(set(bounds)) or not bounds:
            given = ",".join(map(str, bounds))
            raise GanvasError(f"{system}: ages={given} are no years that rise: write  --set ages=18,29,39,49,59")
        self._column = None if self.name in numbers else columns_of(spec, (self.name,), system)[0]
        self._bounds: list[float] = []
        if self._column is not None:
            self.values = self._column.values
            return
        place = spec.names.index(self.name)
        least, most = spec.bounds[place] if spec.bounds else (-math.inf, math.inf)
        ends = [own for own in bounds if least < own + MARGIN <= most]
        if not ends:
            raise GanvasError(f"{system}: all of '{self.name}' are in one group: {least:g} to {most:g}, cut at {list(bounds)}")
        self._bounds = [own + MARGIN for own in ends]
        first = next((own + 1 for own in reversed(bounds) if own < ends[0]), 0)
        starts = [min(first, ends[0]), *(own + 1 for own in ends[:-1])]
        last = next((own for own in bounds if own > ends[-1]), None)
        oldest = f"{ends[-1] + 1}+" if last is None else f"{ends[-1] + 1}-{last}"
        self.values = (*(f"{start}-{end}" for start, end in zip(starts, ends, strict=True)), oldest)
        part = next(own for own in spec.parts if own.name == self.name)
        gap = next((own.start for own in spec.parts if own.name == self.name and own.type == "missing"), None)
        self._place, self._gap = part.start, gap
        self._scaled = [(own - spec.centre[place]) / spec.scale[place] for own in self._bounds]

    def codes(self, table: Tensor) -> Tensor:
        """Rows of the table (B, D) in the form of the game -> codes (B, groups): 1 at the group, 0 throughout where the age is
        not known."""
        if self._column is not None:
            return codes_of([self._column], table)
        found = torch.bucketize(
            table[:, self._place].contiguous(), constant(tuple(self._scaled), table.device, table.dtype), right=True
        )
        codes = one_hot(found, len(self.values)).to(table)
        return codes if self._gap is None else codes * (1 - table[:, self._gap, None])

    def of(self, text: str) -> str | None:
        """The group of a cell (`42`), or the group that is named (`40-49`); None for what is neither."""
        if text in self.values or self._column is not None:
            return text if text in self.values else None
        try:
            years = float(text)
        except ValueError:
            return None
        return self.values[sum(years >= own for own in self._bounds)] if 0 <= years < math.inf else None


class ToldDiscriminator(nn.Module):
    """Images (B, C, H, W) and codes (B, K) -> logits (B,): codes join as planes behind the first layer."""

    def __init__(self, shape: tuple[int, int, int], codes: int, width: int) -> None:
        super().__init__()
        layers: Any = ConvolutionalDiscriminator(shape, width).layers
        old = layers[2]
        told = nn.Conv2d(
            old.in_channels + codes, old.out_channels, old.kernel_size, old.stride, old.padding, bias=old.bias is not None
        )
        self.first, self.rest = layers[:2], nn.Sequential(told.apply(initialise), *layers[3:])

    def forward(self, images: Tensor, codes: Tensor) -> Tensor:
        maps = self.first(images)
        planes = codes[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        logits: Tensor = self.rest(torch.cat([maps, planes], 1)).flatten()
        return logits
