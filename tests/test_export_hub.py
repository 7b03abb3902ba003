"""Runs as folders for model hubs, and as TorchScript: they come back as they went, without code or places of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganvas
from ganvas.errors import GanvasError
from ganvas.export import export
from ganvas.export.graphs import TorchScript
from ganvas.export.tracing import Graph, ToldNoise
from ganvas.run.train import train
from ganvas.specs import REAL
from ganvas.testing.boards import Case, subject_of
from ganvas.uses import Work, find_use
from toys import ganvas as command
from toys import picture_folder, simple_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cgan of two classes, trained for some rounds on pictures of a folder with a name that nobody is to read."""
    folder = tmp_path_factory.mktemp("hub")
    data = picture_folder(folder / "secret-clinic" / "patients", labels=("dark", "light"))
    small: dict[str, Any] = {"width": 4, "latent_size": 8}
    ganvas.train("cgan", data, out=folder / "run", budget="5r", quiet=True, config=small, device="cpu")
    return folder / "run"


@pytest.fixture(scope="module")
def hub(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub-out") / "model"
    told = export(run, folder, format="hub")
    assert sorted(told["files"]) == sorted(path.name for path in folder.iterdir())
    return folder


def test_it_is_read_back_and_draws_the_same(run: Path, hub: Path) -> None:
    own, back = ganvas.load(run), ganvas.load(hub)
    assert (own.sample(6, seed=3) == back.sample(6, seed=3)).all()
    assert (back.sample(4, label="light") == own.sample(4, label="light")).all()
    assert back.spec == own.spec and back.record.config == own.record.config and back.record.learnt == own.record.learnt


def test_it_has_the_form_of_a_hub_and_no_place_of_this_machine(hub: Path) -> None:
    import safetensors.torch
    import yaml

    assert {path.name for path in hub.iterdir()} == {"README.md", "config.json", "model.safetensors", "samples.png"}
    page = (hub / "README.md").read_text()
    front = yaml.safe_load(page.split("---")[1])
    assert front["library_name"] == "ganvas" and {"gan", "cgan", "image"} <= set(front["tags"])
    assert "license" not in front, "the licence is not ours to state"
    assert "ganvas sample FOLDER" in page and "samples.png" in page and "Limits" in page
    for path in (hub / "README.md", hub / "config.json"):
        text = path.read_text()
        assert "secret-clinic" not in text and str(hub.parent) not in text and "/tmp" not in text, path
    assert safetensors.torch.load_file(hub / "model.safetensors")
    assert b"SYNTHETIC" in (hub / "samples.png").read_bytes()


def test_commands_take_it_like_a_run(hub: Path, tmp_path: Path) -> None:
    done = command("sample", hub, "-n", 3, "--label", "dark", "--out", tmp_path / "drawn")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "drawn").glob("sample-*.png"))) == 3
    refused = command("train", "--resume", hub)
    assert refused.returncode == 2 and "weights without the state of training" in refused.stderr
    refused = command("sample", hub, "--checkpoint", "best", "--out", tmp_path / "best")
    assert refused.returncode == 2 and "holds one checkpoint" in refused.stderr


def test_a_new_run_may_start_from_it(run: Path, hub: Path, tmp_path: Path) -> None:
    data = picture_folder(tmp_path / "more", labels=("dark", "light"))
    small: dict[str, Any] = {"width": 4, "latent_size": 8}
    train("cgan", data, out=tmp_path / "next", budget="1r", quiet=True, config=small, device="cpu", init_from=hub)
    start = (tmp_path / "next" / "start.safetensors").read_bytes()
    assert start == (hub / "model.safetensors").read_bytes()
    with pytest.raises(GanvasError, match="holds a cgan, not a gan"):
        train("gan", data, out=tmp_path / "other", budget="1r", quiet=True, init_from=hub)


def test_it_can_be_exported_again_and_without_a_page(hub: Path, tmp_path: Path) -> None:
    told = export(hub, tmp_path / "again", format="safetensors")
    assert told["files"] == ["config.json", "model.safetensors"]
    assert json.loads((tmp_path / "again" / "config.json").read_text()) == json.loads((hub / "config.json").read_text())
    assert (ganvas.load(tmp_path / "again").sample(2) == ganvas.load(hub).sample(2)).all()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 90), "is not the file that was exported"),
        (lambda folder: (folder / "model.safetensors").unlink(), "is missing: fetch the folder again"),
        (
            lambda folder: (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid x\n"),
            "is a pointer to a large file",
        ),
        (lambda folder: _changed(folder, "format", 99), "has format 99"),
        (lambda folder: _changed(folder, "fields", {"real": {"kind": "image"}}), "incomplete or changed by hand"),
        (lambda folder: _changed(folder, "system", "no-such-system"), "no-such-system"),
    ],
)
def test_what_is_damaged_is_a_line(hub: Path, tmp_path: Path, harm: Any, told: str) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(hub, folder)
    harm(folder)
    with pytest.raises(GanvasError, match=told) as caught:
        ganvas.load(folder)
    assert "\n" not in str(caught.value)


def _changed(folder: Path, key: str, value: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


def test_a_system_of_ones_own_asks_for_its_file(tmp_path: Path) -> None:
    data = picture_folder(tmp_path / "data", labels=("dark", "light"))
    made = simple_run(tmp_path, "translate", data)
    told = export(made, tmp_path / "model", format="hub", system=tmp_path / "simple_translate.py")
    assert "samples.png" not in told["files"], "it draws nothing from noise"
    page = (tmp_path / "model" / "README.md").read_text()
    assert "name its file `simple_translate.py`, with `--system`" in page and "ganvas apply FOLDER" in page
    done = command("apply", tmp_path / "model", data, "--out", tmp_path / "out")
    assert done.returncode == 2 and "was trained with the system file simple_translate.py" in done.stderr, done.stderr
    assert ganvas.load(tmp_path / "model", system=tmp_path / "simple_translate.py").spec


def work_of(name: str) -> Work:
    torch.manual_seed(0)
    system = Case(subject_of(name), "image").system().eval()
    fields = system.spec if isinstance(system.spec, dict) else {REAL: system.spec}
    return Work(system, fields, name=name)


@pytest.mark.parametrize(("name", "verb", "options"), [("cgan", "sample", {}), ("cyclegan", "translate", {"to": "second"})])
def test_torchscript_gives_what_ganvas_gives(name: str, verb: str, options: dict[str, Any], tmp_path: Path) -> None:
    work = work_of(name)
    graph = Graph(find_use(work.system, verb), work, options)
    told = TorchScript().write(graph, tmp_path / "use.pt")
    assert told.error < 1e-4 and "records" in {side for axes in told.free.values() for side in axes.values()}
    made = torch.jit.load(str(tmp_path / "use.pt"))
    if verb == "sample":
        noise, labels = torch.randn(7, work.system.config.latent_size), torch.arange(7) % 3
        (found,) = made(labels, noise)
        with torch.no_grad():
            true = work.system.sample(7, ToldNoise([noise]), labels)
        assert np.allclose(found.detach(), true, atol=1e-5)
    else:
        assert made(torch.zeros(1, work.spec.shape[0], 32, 40))[0].shape[-2:] == (32, 40)
