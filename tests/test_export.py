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
from ganvas.borders import Border, Left, brought, finished, left, listening, no_graph, settled  # noqa: E402
from ganvas.errors import GanvasError  # noqa: E402
from ganvas.export import export  # noqa: E402
from ganvas.export.graphs import Onnx  # noqa: E402
from ganvas.export.tracing import Graph, ToldNoise, Untraceable  # noqa: E402
from ganvas.inference.holes import filled  # noqa: E402
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


# Where a use is not arithmetic on tensors throughout


def ends_of(graph: Graph, seed: int, records: int = 2) -> tuple[Left, Any]:
    """(the way out of a use by whoever finishes it, and what the use gives in the end), of the same records and numbers."""
    fields, numbers = graph._fields(records, seed), graph.numbers(records, seed)
    with torch.no_grad():
        with pytest.raises(Left) as caught, listening(Border()):
            graph._done(dict(fields), ToldNoise(numbers), records)
        return caught.value, next(iter(graph._done(dict(fields), ToldNoise(numbers), records).values()))


@pytest.mark.parametrize(
    ("name", "kind", "verb", "rest"),
    [
        ("specgan", "sound", "sample", "run.system.transform.inverse(log_spectrogram, level, 16): Sounds"),
        ("gansynth", "sound", "sample", "run.system.transform.played(spectrogram, semitones, 0): "),
        ("latent-gan-3d", "solid", "sample", "ganvas.networks.voxels.without_crumbs(occupancy, 0.01): Occupancies"),
        ("vae-gan-3d", "solid", "reconstruct", "ganvas.networks.voxels.without_crumbs(occupancy, 0.01): Occupancies"),
        ("gan-postfilter", "sound", "postfilter", "ganvas.inference.filtering.filtered(change, run.system.mel, sounds)"),
    ],
)
def test_who_goes_on_with_what_a_graph_gives_is_told_and_makes_what_ganvas_makes(
    name: str, kind: str, verb: str, rest: str
) -> None:
    graph = graph_of(work_of(name, kind), verb)
    graph.settle(2)
    assert graph.after.startswith(rest) and "\n" not in graph.after
    out, whole = ends_of(graph, 3)
    assert tuple(out.parts) == graph.outputs and callable(out.rest)
    with torch.no_grad():
        assert torch.equal(out.rest(*out.parts.values(), *out.more), whole)


def test_a_graph_of_spectrograms_calls_them_what_they_are(tmp_path: Path) -> None:
    graph = graph_of(work_of("specgan", "sound"), "sample")
    told = Onnx().write(graph, tmp_path / "sample.onnx")
    assert graph.results == ["log_spectrogram", "level"] and told.error < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "sample.onnx"))
    assert [one.name for one in session.get_outputs()] == graph.results


def test_a_graph_that_fills_holes_draws_what_the_network_draws_in_a_window(tmp_path: Path) -> None:
    work = work_of("context-encoder")
    graph = graph_of(work, "inpaint")
    told = Onnx().write(graph, tmp_path / "inpaint.onnx")
    assert told.error < 1e-4 and told.free[REAL] == {0: "records"} and "holes.filled" in graph.after
    picture = torch.rand(1, *work.spec.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = torch.full((1, 1, *work.spec.shape[1:]), -1.0)
    mask[:, :, 4:10, 4:9] = 1.0
    session = onnxruntime.InferenceSession(str(tmp_path / "inpaint.onnx"))
    found = session.run(None, {REAL: picture.numpy(), "mask": mask.numpy()})[0]
    seen = []

    def window(images: torch.Tensor, holes: torch.Tensor) -> torch.Tensor:
        seen.append(work.system.fill(images, holes, work.noise))
        return seen[-1]

    with torch.no_grad():
        filled(window, picture, (mask + 1) / 2, (work.spec.height, work.spec.width))
    assert len(seen) == 1 and np.allclose(found, seen[0].numpy(), atol=1e-5)


def test_a_gradient_at_the_origin_is_a_graph(tmp_path: Path) -> None:
    told = Onnx().write(graph_of(work_of("gon"), "project"), tmp_path / "project.onnx")
    assert told.error < 1e-4 and told.free[REAL] == {0: "records"}


def test_what_searches_says_so_at_once_and_what_would_not() -> None:
    with pytest.raises(Untraceable, match="^it searches for latents by gradient descent$"):
        graph_of(work_of("mad-gan", "series"), "score").settle(2)
    work = work_of("age-cgan")
    with pytest.raises(Untraceable, match="with  --set keep=encoder  it does not") as caught:
        graph_of(work, "edit").settle(2)
    assert caught.value.instead == {"keep": "encoder"}
    subject = subject_of("age-cgan", {"keep": "encoder"})
    system = Case(subject, "image").system().eval()
    graph = graph_of(Work(system, system.spec), "edit")
    graph.settle(2)
    assert graph.results == ["picture_made"] and not graph.after


def test_a_number_that_records_decide_is_fixed_and_told() -> None:
    graph = graph_of(work_of("gan-tts", "sound"), "speak")
    graph.settle(2)
    frames = graph.fixed["frames"]
    assert graph.case(2, 5)[1][0].shape[2] == frames * graph.system.config.hop  # other texts are as long


def test_a_graph_that_begins_later_does_not_hear_of_what_came_before(tmp_path: Path) -> None:
    """What goes on with the records that its input was made of is found out by other records, and not kept."""
    work = work_of("cyclegan")

    def halved(images: torch.Tensor) -> torch.Tensor:
        """Half of them."""
        return images / 2

    def astray(images: torch.Tensor, target: int, noise: Noise) -> torch.Tensor:
        return brought("half", halved, images) + images.mean()

    work.system.translate = astray
    graph = graph_of(work, "translate", to="second")
    with pytest.raises(Untraceable, match="differs"):
        Onnx().write(graph, tmp_path / "translate.onnx")
    assert graph.inputs == ("half",) and graph.before["half"].endswith("halved: Half of them.")

    work.system.translate = lambda images, target, noise: 2 * brought("half", halved, images)
    graph = graph_of(work, "translate", to="second")
    assert Onnx().write(graph, tmp_path / "translate.onnx").error < 1e-6


def test_borders_do_nothing_in_ordinary_use() -> None:
    one = torch.ones(2)
    assert torch.equal(brought("two", torch.mul, one, 2), 2 * one)
    assert torch.equal(finished(torch.add, {"one": one}, 3), one + 3)
    assert settled(lambda: 7) == 7
    assert left({"one": one}, "nobody") is None and no_graph("it sings") is None  # type: ignore[func-returns-value]


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
