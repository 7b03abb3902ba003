"""A use of a trained system as a module from tensors to tensors, its random numbers among the inputs.

What a use does is traced as it is (`Use.run`, `System.sample`), so an exported graph is the use and not a second telling of
it. Not for file formats: `graphs`, `hub`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..batches import Noise
from ..capabilities import Samples
from ..errors import GanvasError
from ..kinds import kind_of
from ..uses import Use, Work, build_options, fields_taken, spec_given
from ..uses.tiling import takes_one_size


class Untraceable(GanvasError):
    """This use cannot be a graph: it searches, or does what there is no operator for."""


@dataclass(frozen=True)
class Asked:
    """Random numbers that a use asked for. how: `normal`, `uniform` or `integers`; high: of integers. shape: with the number of
    records first. each: whether there is one for every record."""

    how: str
    shape: tuple[int, ...]
    high: int = 0
    each: bool = True

    def drawn(self, generator: torch.Generator, count: int, records: int) -> Tensor:
        """Numbers for `count` records; records: of how many the shape was told."""
        shape = (self.shape[0] // records * count, *self.shape[1:]) if self.each else self.shape
        if self.how == "normal":
            return torch.randn(shape, generator=generator)
        if self.how == "uniform":
            return torch.rand(shape, generator=generator)
        return torch.randint(self.high, shape, generator=generator)


class ToldNoise(Noise):
    """Noise whose numbers come from outside, in the order in which they are asked for; without any, it writes down what is
    asked for and gives numbers of its own."""

    def __init__(self, numbers: Sequence[Tensor] | None = None, records: int = 1) -> None:
        super().__init__(torch.Generator().manual_seed(0))
        self.numbers, self.records = None if numbers is None else list(numbers), records
        self.asked: list[Asked] = []

    def _told(self, how: str, count: int, shape: tuple[int, ...], high: int = 0) -> Tensor:
        if self.numbers is not None:
            return self.numbers.pop(0)
        each = int(count) % self.records == 0
        self.asked.append(Asked(how, (int(count), *(int(side) for side in shape)), high, each))
        return self.asked[-1].drawn(self.generator, self.records, self.records)

    def normal(self, count: int, *shape: int) -> Tensor:
        return self._told("normal", count, shape)

    def uniform(self, count: int, *shape: int) -> Tensor:
        return self._told("uniform", count, shape)

    def integers(self, high: int, count: int, *shape: int) -> Tensor:
        return self._told("integers", count, shape, high)

    def shared(self, *shape: int) -> Tensor:
        raise Untraceable("it draws numbers for the whole batch")


class Graph(nn.Module):
    """forward(*inputs) -> a tuple of outputs, in the order of `inputs` and `outputs`.

    inputs: names, fields before noise. sizes: whether height and width of the fields are free. multiple: sides are its
    multiples.
    """

    def __init__(self, use: Use, work: Work, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.system, self.use, self.work = work.system, use, work
        self.options = build_options(use, options)
        self.examples: dict[str, Tensor] = {}
        self.asked: tuple[Asked, ...] = ()
        self.outputs: tuple[str, ...] = ()
        self.draws = not use.takes
        self.sizes = not self.draws and not use.fitted and not takes_one_size(work.system)
        self.multiple = max(1, int(getattr(work.system, "multiple", 1))) if self.sizes else 1

    @property
    def inputs(self) -> tuple[str, ...]:
        return (*self.examples, *(f"noise_{k}" if k else "noise" for k in range(len(self.asked))))

    @property
    def results(self) -> list[str]:
        """Names of what comes out; a field that goes in as well is told apart."""
        return [f"{name}_made" if name in self.inputs else name for name in self.outputs]

    def settle(self, records: int = 2) -> None:
        """Find out, by doing it once, which fields and numbers are needed and what is given."""
        self.examples = self.fields(records, 0)
        noise = ToldNoise(records=records)
        made = self._made(self.examples, noise, records)
        self.asked = tuple(noise.asked)
        self.outputs = tuple(made)

    def fields(self, records: int, seed: int, larger: int = 0) -> dict[str, Tensor]:
        """Records to try it with: as the kinds encode them, of values that lie anywhere. larger: by how many multiples the
        sides are larger than those of training, where they are free."""
        if self.draws:
            return self._asked_for(records, seed)
        first, more = fields_taken(self.use, self.system, self.work.fields)
        names = [name for name in (first, *more) if name is not None]
        return {name: self._blank(spec_given(self.use, self.work, name), records, seed, larger) for name in names}

    def _asked_for(self, records: int, seed: int) -> dict[str, Tensor]:
        """What samples are asked by: classes, codes, attributes, as the use chooses them for so many records."""
        more = fields_taken(self.use, self.system, self.work.fields)[1]
        given = {name: self._blank(self.work.fields[name], records, seed, 0) for name in more}
        made = self.use.run(self.work, given, replace(self.options, count=records))
        return given | {name: value for name, value in made.items() if name != self.work.main}

    def _blank(self, spec: Any, records: int, seed: int, larger: int) -> Tensor:
        rng = np.random.default_rng([seed, 0xB1])
        tensor = self.work.encode(kind_of(spec.kind).blank(spec, records, rng), spec)
        if larger and self.sizes and tensor.dim() == 4:
            height, width = (side + larger * self.multiple for side in tensor.shape[2:])
            tensor = torch.cat([torch.cat([tensor, tensor], 2)] * 2, 3)[:, :, :height, :width]
        return tensor

    def _made(self, fields: Mapping[str, Tensor], noise: Noise, records: Any) -> dict[str, Tensor]:
        if self.draws:
            names = {"label": "labels"}
            given = {names.get(name, name): value for name, value in fields.items()}
            assert isinstance(self.system, Samples)
            return {self.work.main: self.system.sample(records, noise, given.pop("labels", None), **given)}
        self.work.noise = noise
        return dict(self.use.run(self.work, dict(fields), self.options))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        fields = dict(zip(self.examples, inputs, strict=False))
        numbers = inputs[len(fields) :]
        leading = next(iter(inputs))
        made = self._made(fields, ToldNoise(numbers), leading.shape[0])
        return tuple(made[name] for name in self.outputs)
