"""Runs as ONNX graphs: what the graphs give is what ganvas gives; what cannot be one is told; from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="graphs are an extra:  pip install 'ganvas[export]'")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from ganvas.batches import Noise  # noqa: E402
from ganvas.errors import GanvasError  # noqa: E402
from ganvas.export import export  # noqa: E402
from ganvas.export.graphs import Onnx  # noqa: E402
from ganvas.export.tracing import Graph, ToldNoise, Untraceable  # noqa: E402
from ganvas.run.load import Run  # noqa: E402
from ganvas.run.train import train  # noqa: E402
from ganvas.specs import REAL  # noqa: E402
from ganvas.testing.boards import Case, subject_of  # noqa: E402
from ganvas.uses import Work, find_use  # noqa: E402


def work_of(name: str, kind: str = "image") -> Work:
    """A system with fresh weights, small, ready to be put to use."""
    torch.manual_seed(0)
    system = Case(subject_of(name), kind).system().eval()
    fields = system.spec if isinstance(system.spec, dict) else {REAL: system.spec}
    return Work(system, fields, name=name)


def graph_of(work: Work, verb: str, **options: Any) -> Graph:
    return Graph(find_use(work.system, verb), work, options)


def test_a_graph_of_samples_takes_noise_and_labels_and_gives_the_same_pictures(tmp_path: Path) -> None:
    work = work_of("cgan")
    graph = graph_of(work, "sample")
    told = Onnx().write(graph, tmp_path / "sample.onnx")
    assert graph.inputs == ("label", "noise") and told.error < 1e-4
    assert told.free == {"label": {0: "records"}, "noise": {0: "records"}}
    session = onnxruntime.InferenceSession(str(tmp_path / "sample.onnx"))
    noise = torch.randn(7, work.system.config.latent_size)
    labels = torch.arange(7) % 3
    found = session.run(None, {"noise": noise.numpy(), "label": labels.numpy()})[0]
    with torch.no_grad():
        true = work.system.sample(7, ToldNoise([noise]), labels)
    assert found.shape == true.shape and np.allclose(found, true.numpy(), atol=1e-5)
    other = session.run(None, {"noise": noise.numpy(), "label": (labels.numpy() + 1) % 3})[0]
    assert not np.allclose(found, other, atol=1e-3)  # the label is heard


def test_a_translation_takes_other_sizes_and_its_class_is_fixed(tmp_path: Path) -> None:
    work = work_of("cyclegan")
    graph = graph_of(work, "translate", to="second")
    told = Onnx().write(graph, tmp_path / "translate.onnx")
    assert told.free[REAL] == {0: "records", 2: "height", 3: "width"} and told.error < 1e-4
    sizes = {tuple(shape[2:]) for shape in told.tried}
    assert len(sizes) == 2  # it was tried with another size than that of the trace
    one, two = (np.zeros((1, *work.spec.shape), np.float32), np.zeros((1, work.spec.shape[0], 32, 40), np.float32))
    session = onnxruntime.InferenceSession(str(tmp_path / "translate.onnx"))
    assert session.run(None, {REAL: one})[0].shape == one.shape and session.run(None, {REAL: two})[0].shape == two.shape


def test_what_is_enlarged_is_larger(tmp_path: Path) -> None:
    work = work_of("srgan")
    told = Onnx().write(graph_of(work, "restore"), tmp_path / "restore.onnx")
    assert told.tried[0][2] == work.system.scale * work.spec.height and told.error < 1e-4


def test_numbers_from_outside_are_those_that_ganvas_draws() -> None:
    """Fed with what a seeded noise would have drawn, a use gives what it gives with that noise."""
    work = work_of("dcgan")
    graph = graph_of(work, "sample")
    graph.settle(2)
    (asked,) = graph.asked
    drawn = Noise.seeded(5).normal(4, *asked.shape[1:])
    with torch.no_grad():
        assert torch.equal(graph(drawn)[0], work.system.sample(4, Noise.seeded(5)))


def test_what_searches_or_differs_is_told_and_not_kept(tmp_path: Path) -> None:
    work = work_of("dcgan")

    def astray(count: int, noise: Noise, labels: Any = None) -> torch.Tensor:
        drawn = noise.normal(count, 3, 16, 16)
        return drawn + (1.0 if bool(drawn.sum() > 1e9) else 0.0)  # decides by what it sees

    work.system.sample = astray
    with pytest.raises(Untraceable):
        Onnx().write(graph_of(work, "sample"), tmp_path / "sample.onnx")
    assert not (tmp_path / "sample.onnx").exists()

    def unlike(count: int, noise: Noise, labels: Any = None) -> torch.Tensor:
        return noise.normal(count, 3, 16, 16) + torch.rand(())  # random numbers of its own

    work.system.sample = unlike
    with pytest.raises(Untraceable, match="differs"):
        Onnx().write(graph_of(work, "sample"), tmp_path / "sample.onnx")
    assert not (tmp_path / "sample.onnx").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "run"
    points = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    train("gan", points, out=folder, budget="20r", quiet=True, config={"width": 8})
    return folder


def test_from_the_command_line(run: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "ganvas", "export", str(run), "--out", str(tmp_path / "graphs")]
    done = subprocess.run([*words, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "graphs" / "export.json").read_text())
    told = facts["uses"]["sample"]
    assert told["inputs"]["noise"]["values"] == "standard normal" and told["inputs"]["noise"]["shape"][0] == "records"
    session = onnxruntime.InferenceSession(str(tmp_path / "graphs" / told["file"]))
    drawn = np.random.default_rng(0).standard_normal((9, told["inputs"]["noise"]["shape"][1])).astype(np.float32)
    points = session.run(None, {"noise": drawn})[0]
    with torch.no_grad():
        true = Run(run).system.eval().sample(9, ToldNoise([torch.from_numpy(drawn)]))
    assert np.allclose(points, true.numpy(), atol=1e-5)
    assert str(tmp_path) not in (tmp_path / "graphs" / "export.json").read_text()

    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 2 and "not empty" in again.stderr


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"format": "tflite"}, "--format 'tflite'"),
        ({"verb": "fly"}, "cannot fly"),
        ({"options": {"to": "zebra"}}, "name it with  --as"),
        ({"verb": "sample", "options": {"to": "zebra"}}, "--to"),
    ],
)
def test_what_is_asked_wrongly_is_told_in_a_line(run: Path, tmp_path: Path, how: dict[str, Any], told: str) -> None:
    with pytest.raises(GanvasError, match=told):
        export(run, tmp_path / "out", **how)
