"""Example lines of the pages do what they say: those of restoring and editing are run, word for word, on runs of one round.

test_docs.py reads every command of every page as the command line would; here `ganvas apply` lines of docs/apply.md and
of the pages of systems that inpaint, deblur, denoise, blend, edit, paint, make textures and colour find their files and make
others. Not for how good these are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ganvas
from ganvas.cli import _parse, main
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.image.writers import write_dicom
from ganvas.proofs.stargan import draw_faces
from ganvas.uses import verbs_of
from test_docs import COMMANDS

FAST: dict[str, Any] = {"budget": "1r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}
HEIGHT, WIDTH = 40, 56


def noise(count: int, channels: int, side: int = 16) -> np.ndarray:
    made = np.random.default_rng(1).integers(0, 256, (count, side, side, channels)).astype(np.uint8)
    return made if channels > 1 else made[..., 0]


def array(channels: int = 3) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "data.npz", images=noise(24, channels))
        return folder / "data.npz"

    return write


def wall(folder: Path) -> Path:
    Image.fromarray(noise(1, 3, 48)[0]).save(folder / "wall.png")
    return folder / "wall.png"


def paintings(folder: Path) -> Path:
    for name in ("style", "photo"):
        (folder / "paintings" / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(noise(1, 3, 48)[0]).save(folder / "paintings" / name / f"{number}.png")
    return folder / "paintings"


def faces(folder: Path) -> Path:
    return draw_faces(folder / "faces", 60, 5) / "avataaars.csv"


SMALL = {"width": 4, "batch_size": 4}
STROKES = {"blocks": 1, "layers": 2, "local_size": 4, "discriminator_width": 4, "feature_depth": 2, "pretrained": False}
SHAKEN = {
    "blocks": 1,
    "discriminator_width": 4,
    "critic_turns": 1,
    "perceptual_weight": 0.0,
    "pixel_weight": 1.0,
    "blur_size": 5,
}
RUNS: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "context-encoder": (array(), {"size": 16, "config": {**SMALL, "code_size": 8}}),
    "deblurgan": (array(), {"size": 16, "config": {**SMALL, **SHAKEN}}),
    "dose-gan": (array(1), {"size": 16, "config": {**SMALL, "discriminator_width": 4, "layers": 3, "norm": "none"}}),
    "gp-gan": (array(), {"size": 16, "config": {**SMALL, "code_size": 8, "critic_turns": 1, "critic_burst": 0}}),
    "icgan": (faces, {"size": 16, "config": {**SMALL, "encoder_width": 4, "encoder_units": 8, "attribute_units": 8}}),
    "stargan": (faces, {"size": 16, "config": {**SMALL, "blocks": 1, "patch_depth": 2, "discriminator_width": 4}}),
    "ian": (array(), {"size": 16, "config": {**SMALL, "head_units": 8, "latent_size": 4, "paint_steps": 2}}),
    "psgan": (wall, {"size": 16, "config": {**SMALL, "layers": 2, "local_size": 4, "style_size": 2, "wave_units": 8}}),
    "mgan": (paintings, {"size": 32, "config": {**SMALL, **STROKES}}),
    "mgan, a texture": (wall, {"size": 32, "fit": "crops", "heldout": 0.0, "config": {**SMALL, **STROKES}}),
    "auto-painter": (array(), {"size": 16, "config": {**SMALL}}),
}  # fmt: skip
"""System -> its data, and what it is trained with. Two runs of mgan stand for the two things that it learns."""
USES = {"inpaint", "deblur", "denoise", "blend", "edit", "paint", "texture", "colourise"}
NAMED = {
    "runs/filled": "context-encoder", "runs/inpainted": "context-encoder", "runs/steady": "deblurgan", "runs/dose": "dose-gan",
    "runs/blended": "gp-gan", "runs/people": "stargan", "runs/painter": "auto-painter", "runs/faces": "ian",
    "runs/wall": "psgan",
}  # fmt: skip
"""Which system stands behind the runs of docs/apply.md, where no line trains one."""


def chosen() -> list[tuple[str, str, list[str]]]:
    """(system, line, its words) of each `ganvas apply` line that is run."""
    found = []
    for page, line, words in COMMANDS:
        if words[:1] != ["apply"] or not words[1:] or not words[1].startswith("runs/"):
            continue
        if "--as" in words and words[words.index("--as") + 1] not in USES:
            continue
        system = Path(page).stem
        if page.endswith("apply.md"):
            system = NAMED.get(words[1], "")
        elif system == "mgan" and "texture" in words:
            system = "mgan, a texture"
        if system in RUNS:
            found.append((system, line, words))
    return found


LINES = chosen()


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run of a system, trained when it is first asked for."""
    made: dict[str, Path] = {}

    def train(system: str) -> Path:
        if system not in made:
            folder = tmp_path_factory.mktemp("run")
            data, settings = RUNS[system]
            ganvas.train(system.partition(",")[0], data(folder), out=folder / "run", **settings, **FAST)
            made[system] = folder / "run"
        return made[system]

    return train


def write(name: str, folder: Path) -> None:
    """What a page calls `name`, as a reader would have it."""
    path, rng = folder / name, np.random.default_rng(len(name))
    photo = rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    hole = np.zeros((HEIGHT, WIDTH), np.uint8)
    hole[10:20, 15:30] = 255
    if name.endswith("/"):
        path.mkdir()
        if name == "series/":
            units = (rng.normal(0, 30, (HEIGHT, WIDTH, 1)).round()).astype(np.float32)
            for number in range(2):
                write_dicom(path / f"{number}.dcm", units, ImageSpec(1, HEIGHT, WIDTH, 32, -160.0, 240.0), note={}, seed=number)
        for number in range(0 if name == "series/" else 2):
            own = {"masks/": hole, "holes/": np.dstack([photo, 255 - hole])}.get(name, photo)
            Image.fromarray(own).save(path / f"{number}.png")
    elif name == "mask.png":
        Image.fromarray(hole).save(path)
    elif name == "dabs.png":
        Image.fromarray(np.dstack([photo, hole])).save(path)
    elif name == "strokes.json":
        path.write_text(json.dumps([{"x": 20, "y": 15, "radius": 5, "colour": "#5a3825"}]))
    elif name == "drawing.png":
        Image.fromarray(photo[..., 0]).save(path)
    else:
        Image.fromarray(photo).save(path)


@pytest.mark.parametrize(("system", "line", "words"), LINES, ids=[f"{system}: {line}" for system, line, _ in LINES])
def test_an_example_line_makes_what_it_says(
    system: str, line: str, words: list[str], run_of: Callable[[str], Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    options = _parse(words)
    for name in (*options.inputs, *(pair.partition("=")[2] for pair in options.fields)):
        write(name, tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / words[1]).symlink_to(run_of(system))
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main([*words, "--json"]) == 0, capsys.readouterr().err
    told = json.loads(capsys.readouterr().out)
    assert told["files"]
    pictures = [str(file) for file in told["files"] if not str(file).endswith(".dcm")]
    high, _, wide = (options.size or f"{HEIGHT}x{WIDTH}").partition("x")
    for file in pictures:
        with Image.open(file) as made:
            assert made.size == (int(wide or high), int(high)), file


def test_every_use_has_a_line_that_is_run(run_of: Callable[[str], Path]) -> None:
    """What a line without `--as` asks for is what its system does first."""
    found = {words[words.index("--as") + 1] for _, _, words in LINES if "--as" in words}
    for system, _, words in LINES:
        if "--as" not in words:
            found.add(verbs_of(ganvas.load(run_of(system)).system)[0])
    assert found >= USES
