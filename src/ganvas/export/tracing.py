"""A use of a trained system as a module from tensors to tensors, its random numbers among the inputs.

What a use does is traced as it is (`Use.run`, `System.sample`), so an exported graph is the use and not a second telling of
it; where some of that is no arithmetic on tensors, the graph is of what lies between (`ganvas.borders`). Not for file formats:
`graphs`, `hub`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..batches import Noise
from ..borders import Border, Left, Untraceable, listening
from ..capabilities import Samples
from ..kinds import kind_of
from ..uses import Use, Work, build_options, fields_taken, spec_given
from ..uses.tiling import takes_one_size


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
    multiples. before, after: who makes inputs that no field is, by name, and goes on with the outputs, empty: nobody, in a line
    each. fixed: numbers that records decide in ganvas, and the graph does not.
    """

    def __init__(self, use: Use, work: Work, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.system, self.use, self.work = work.system, use, work
        self.options = build_options(use, options)
        self.examples: dict[str, Tensor] = {}
        self.asked: tuple[Asked, ...] = ()
        self.outputs: tuple[str, ...] = ()
        self.before: dict[str, str] = {}
        self.after = ""
        self.records = 0
        self._given: dict[str, Tensor] = {}
        self._tried = Border()
        self.draws = not use.takes
        if self.draws and use.promise is not Samples:
            raise Untraceable("it draws in a way of its own, by options that no graph would hear")
        self.sizes = not self.draws and not use.fitted and not takes_one_size(work.system)
        self.multiple = max(1, int(getattr(work.system, "multiple", 1))) if self.sizes else 1

    @property
    def inputs(self) -> tuple[str, ...]:
        return (*self.examples, *(f"noise_{k}" if k else "noise" for k in range(len(self.asked))))

    @property
    def results(self) -> list[str]:
        """Names of what comes out; a field that goes in as well is told apart."""
        return [f"{name}_made" if name in self.inputs else name for name in self.outputs]

    @property
    def fixed(self) -> dict[str, Any]:
        return self._tried.fixed

    @property
    def room(self) -> float:
        """By how much of the largest value it may differ, where the use magnifies rounding."""
        return self._tried.room

    def settle(self, records: int = 2) -> None:
        """Find out, by doing it once, which fields and numbers are needed and what is given."""
        self.records, self._given = records, self._fields(records, 0)
        self._tried, noise = Border(), ToldNoise(records=records)
        made, rest = self._made(self._given, noise, records, self._tried)
        brought = self._tried.brought
        self.examples, self.asked, self.outputs = brought or self._given, self._told_apart(noise.asked, records), tuple(made)
        self.sizes = self.sizes and not brought and rest is None
        self.before = {name: _told(make, self.system) for name, make in self._tried.makers.items()}
        self.after = _rest(rest, self.system) if rest else ""

    def _told_apart(self, asked: Sequence[Asked], records: int) -> tuple[Asked, ...]:
        """Numbers of each record, and those of which there are as many for any records: by doing it with one record more, where
        a multiple of the records might be chance."""
        if not any(own.each and own.shape[0] != records for own in asked):
            return tuple(asked)
        again, border = ToldNoise(records=records + 1), Border(constants=self._tried.constants, complete=True)
        self._made(self._fields(records + 1, 0), again, records + 1, border)
        counts = [own.shape[0] for own in again.asked] + [0] * len(asked)
        return tuple(
            replace(own, each=own.each and count * records == own.shape[0] * (records + 1))
            for own, count in zip(asked, counts, strict=False)
        )

    def case(self, records: int, seed: int, larger: int = 0) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
        """(inputs by name, of values that lie anywhere; what ganvas makes of these records). larger: by how many multiples the
        sides are larger than those of training, where they are free."""
        fields, numbers = self._fields(records, seed, larger), self.numbers(records, seed)
        border = Border(constants=self._tried.constants, complete=True)
        with torch.no_grad():
            made, _ = self._made(fields, ToldNoise(numbers), records, border)
        given = border.brought or fields
        return dict(zip(self.inputs, (*given.values(), *numbers), strict=True)), tuple(made[name] for name in self.outputs)

    def numbers(self, records: int, seed: int) -> list[Tensor]:
        """Random numbers for so many records."""
        generator = torch.Generator().manual_seed(seed)
        return [asked.drawn(generator, records, self.records) for asked in self.asked]

    def _fields(self, records: int, seed: int, larger: int = 0) -> dict[str, Tensor]:
        """Records as the kinds encode them."""
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

    def _made(
        self, fields: Mapping[str, Tensor], noise: Noise, records: Any, border: Border
    ) -> tuple[dict[str, Tensor], Left | None]:  # fmt: skip
        """(what is made, by name; where the use goes on with that by other means, how)."""
        try:
            with listening(border):
                return self._done(fields, noise, records), None
        except Left as rest:
            return rest.parts, rest

    def _done(self, fields: Mapping[str, Tensor], noise: Noise, records: Any) -> dict[str, Tensor]:
        if self.draws:
            names = {"label": "labels"}
            given = {names.get(name, name): value for name, value in fields.items()}
            assert isinstance(self.system, Samples)
            return {self.work.main: self.system.sample(records, noise, given.pop("labels", None), **given)}
        self.work.noise = noise
        return dict(self.use.run(self.work, dict(fields), self.options))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.examples, inputs, strict=False))
        brought = given if self._tried.brought else None
        border = Border(inputs=brought, constants=self._tried.constants, complete=True, traced=True)
        leading = next(iter(inputs))
        made, _ = self._made(self._given if brought else given, ToldNoise(inputs[len(given) :]), leading.shape[0], border)
        return tuple(made[name] for name in self.outputs)


def _told(function: Callable[..., Any], system: nn.Module) -> str:
    """Where a function is to be found, and what it says of itself, in a line; `run` is what `ganvas.load` gives."""
    owner = getattr(function, "__self__", None)
    place = next((name for name, module in system.named_modules() if module is owner), None)
    here = f"{function.__module__}.{function.__qualname__}" if place is None else f"run.system.{place}.{function.__name__}"
    says = (inspect.getdoc(function) or "").partition("\n\n")[0]
    return f"{here.replace('..', '.')}: {' '.join(says.split())}" if says else here.replace("..", ".")


def _rest(left: Left, system: nn.Module) -> str:
    """Who goes on with the outputs, in a line."""
    if isinstance(left.rest, str):
        return left.rest
    here, _, says = _told(left.rest, system).partition(": ")
    names = list(inspect.signature(left.rest).parameters)[len(left.parts) :]
    places = {id(module): f"run.system.{name}" for name, module in system.named_modules()}
    more = [
        str(value) if isinstance(value, int | float | str) else places.get(id(value), name)
        for name, value in zip(names, left.more, strict=False)
    ]
    return f"{here}({', '.join([*left.parts, *more])}){': ' if says else ''}{says}"
