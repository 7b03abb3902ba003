"""A use of a run as an ONNX or TorchScript graph, compared with what ganvas itself makes of the same numbers before it is kept.

Not for choosing uses or for the folder (`ganvas.export`), nor for what a graph is of (`tracing`).
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import MissingExtra
from .tracing import Graph, Untraceable

RECORDS, OTHER = 2, 5  # of the example that is traced, and of the one that the graph is tried with
WORST = 1e-3  # largest difference that is let pass, relative to the largest value


@dataclass(frozen=True)
class Written:
    """A graph that was written and tried. free: which axes of which input are free, by name. error: the largest difference to
    what ganvas makes, relative to the largest value; tried: shapes that it was tried with."""

    free: dict[str, dict[int, str]]
    error: float
    tried: list[list[int]]
    bytes: int


class Writer(ABC):
    """Writes graphs of a format and runs them."""

    suffix: str

    @abstractmethod
    def trace(self, graph: Graph, path: Path, free: dict[str, dict[int, str]]) -> None:
        """Write `path`."""

    @abstractmethod
    def opened(self, path: Path, graph: Graph) -> tuple[Callable[[dict[str, Tensor]], list[np.ndarray]], set[str]]:
        """(what the written graph makes of its inputs by name, the names of those that it takes)."""

    def write(self, graph: Graph, path: Path) -> Written:
        """Trace, write and try it: with free sizes where the use takes any, else with a free number of records, else with as
        many as were traced. Raises Untraceable with the reason."""
        graph.settle(RECORDS)
        reason = ""
        for sizes, many in ((True, True), (False, True), (False, False)):
            if sizes and not graph.sizes:
                continue
            free = _free(graph, sizes, many)
            try:
                self.trace(graph, path, free)
                return self._tried(graph, path, free, sizes, many)
            except Exception as error:  # whatever the tracer runs into
                reason = _short(error)
                path.unlink(missing_ok=True)
        raise Untraceable(reason)

    def _tried(self, graph: Graph, path: Path, free: dict[str, dict[int, str]], sizes: bool, many: bool) -> Written:
        """Other records, as many others, of another size, where these are free."""
        run, taken = self.opened(path, graph)
        worst, tried = 0.0, []
        larger_ones = ((1 if many else RECORDS, 1),) if sizes else ()
        for records, larger in ((RECORDS, 0), (OTHER if many else RECORDS, 0), *larger_ones):
            given, expected = graph.case(records, records, larger)
            found = run({name: value for name, value in given.items() if name in taken})
            for own, true in zip(found, expected, strict=True):
                if own.shape != tuple(true.shape):
                    raise ValueError(f"it gives {own.shape} where ganvas gives {tuple(true.shape)}")
                if own.size:
                    worst = max(worst, float(np.abs(own - true.numpy()).max() / max(1e-12, float(true.abs().max()))))
            tried.append(list(expected[0].shape))
        if not worst <= max(WORST, graph.room):
            raise ValueError(f"it differs from what ganvas makes by {worst:.2g} of the largest value")
        return Written({name: axes for name, axes in free.items() if name in taken}, worst, tried, path.stat().st_size)


class Onnx(Writer):
    """For ONNX Runtime. Raises MissingExtra where it, or what writes graphs, is not installed."""

    suffix = ".onnx"

    def __init__(self) -> None:
        for name in ("onnx", "onnxscript", "onnxruntime"):
            if find_spec(name) is None:
                raise MissingExtra(name, "export")

    def trace(self, graph: Graph, path: Path, free: dict[str, dict[int, str]]) -> None:
        inputs = (*graph.examples.values(), *graph.numbers(RECORDS, 0))
        shapes = tuple(dict.fromkeys(free[name], torch.export.Dim.AUTO) for name in graph.inputs)
        with quiet(), torch.no_grad():
            made = torch.onnx.export(
                graph, inputs, input_names=list(graph.inputs), output_names=graph.results, dynamic_shapes=(shapes,),
                dynamo=True, verbose=False,
            )  # fmt: skip
            assert made is not None
            # What an operator calls its result may be what ours is called (`real`, of complex numbers).
            last = {id(value) for value in made.model.graph.outputs}
            for value in (value for node in made.model.graph for value in node.outputs):
                if value.name in graph.results and id(value) not in last:
                    value.name = f"{value.name}_within"
            made.save(str(path), external_data=False)

    def opened(self, path: Path, graph: Graph) -> tuple[Callable[[dict[str, Tensor]], list[np.ndarray]], set[str]]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        taken = {one.name for one in session.get_inputs()}
        return lambda given: list(session.run(None, {name: value.numpy() for name, value in given.items()})), taken


class TorchScript(Writer):
    """For torch without ganvas, in Python and C++: `torch.jit.load(FILE)(*inputs)` gives a tuple."""

    suffix = ".pt"

    def trace(self, graph: Graph, path: Path, free: dict[str, dict[int, str]]) -> None:
        inputs = (*graph.examples.values(), *graph.numbers(RECORDS, 0))
        with quiet(), torch.no_grad():
            made = torch.jit.trace(graph, inputs, check_trace=False)
            torch.jit.save(torch.jit.freeze(made.eval()), str(path))

    def opened(self, path: Path, graph: Graph) -> tuple[Callable[[dict[str, Tensor]], list[np.ndarray]], set[str]]:
        with quiet():
            made = torch.jit.load(str(path), map_location="cpu")

        def run(given: dict[str, Tensor]) -> list[np.ndarray]:
            with quiet(), torch.no_grad():
                return [own.numpy() for own in made(*(given[name] for name in graph.inputs))]

        return run, set(graph.inputs)


WRITERS: dict[str, type[Writer]] = {"onnx": Onnx, "torchscript": TorchScript}


def _short(error: BaseException) -> str:
    """What stopped the tracer, in a line: the innermost reason that it names."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}"[:160]


def _free(graph: Graph, sizes: bool, many: bool) -> dict[str, dict[int, str]]:
    free: dict[str, dict[int, str]] = {}
    for name, example in graph.examples.items():
        free[name] = {0: "records"} if many else {}
        if sizes and example.dim() == 4:
            free[name] |= {2: "height", 3: "width"}
    for name, asked in zip(graph.inputs[len(graph.examples) :], graph.asked, strict=True):
        free[name] = {0: "records"} if many and asked.each else {}
    return free


@contextlib.contextmanager
def quiet() -> Any:
    """The tracer's own words would drown ours."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
