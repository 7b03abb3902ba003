"""The table of uses, uses of one's own, further fields, and kinds of files that are put to use, with systems whose right result
is known."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

import ganvas.uses
import toys
from ganvas._commands import _after_training
from ganvas.cli import main
from ganvas.errors import DataError, GanvasError
from ganvas.evaluation.judge import evaluate
from ganvas.run.apply import apply
from ganvas.run.draw import draw
from ganvas.run.load import Run
from ganvas.run.train import train
from ganvas.testing import check_use
from ganvas.uses import MADE, NoOptions, Use, UseSays, build_options, table, uses_of, verbs_of

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "my_use.py"
FAST: dict[str, Any] = {"budget": "1r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}

SYSTEM = '''
"""A system whose uses are easily checked."""
from dataclasses import dataclass
import torch
from torch import nn
from ganvas.config import knob
from ganvas.game import Phase, Player, System, Turn
from ganvas.optim import optimiser

CARD = {"title": "t", "authors": "a", "year": 2020, "paper": "p", "summary": "s", "data": DATA}

@dataclass(frozen=True)
class Config:
    batch_size: int = knob(4, "records", low=1)

class Toy(System):
    Config = Config
    multiple = 4
    scale = 2
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.weight = nn.Linear(1, 1)
    def players(self):
        return (Player("one", ("weight",), optimiser("adam", 1e-3)),)
    def phases(self):
        return (Phase("play", (Turn("one", self.play),)),)
    def play(self, batch, clock, shared):
        return {"loss": self.weight(torch.ones(1, 1)).square().sum()}
USES
PRESETS = {"auto": {}}
'''


def toy(folder: Path, name: str, data: Any, uses: str, source: Any, **settings: Any) -> Path:
    """A run of the toy, trained for a round on `source`. uses: its methods. data: of its card."""
    file = folder / f"{name}.py"
    file.write_text(SYSTEM.replace("DATA", repr(data)).replace("USES", uses.replace("\n", "\n    ")))
    train(str(file), source, out=folder / name, **FAST, **settings)
    return folder / name


def picture(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def pixels_of(path: str | Path) -> np.ndarray:
    return np.asarray(Image.open(path))


# The table


def test_the_table_is_the_folder_and_needs_no_torch() -> None:
    files = {path.stem for path in Path(ganvas.uses.__file__).parent.glob("*.py")}
    verbs = [use.verb for use in table()]
    assert set(verbs) <= files
    assert {"sample", "translate", "restore", "score", "classify", "project", "mix", "assemble", "link"} <= set(verbs)
    for use in table():
        check_use(use)
    code = "import sys; from ganvas.uses import table; table(); print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=toys.environment())
    assert done.stdout.split() == ["False", "False"]


def test_options_of_another_use_are_refused_by_what_they_are_for() -> None:
    uses = {use.verb: use for use in table()}
    with pytest.raises(
        GanvasError, match="--tile is for translating, remastering, restoring, deblurring and denoising; this run scores"
    ):
        build_options(uses["score"], {"tile": 3})
    with pytest.raises(GanvasError, match="--set-attribute is for drawing; this run edits, which takes --change$"):
        build_options(uses["edit"], {"set_attribute": ("glasses=on",)})
    with pytest.raises(GanvasError, match="unknown option '--tils' .did you mean 'tile'"):
        build_options(uses["restore"], {"tils": 3})
    with pytest.raises(GanvasError, match="expected whole number"):
        build_options(uses["restore"], {"tile": "wide"})
    assert build_options(uses["restore"], {"tile": None, "to": None}).tile == 256, "what is None was not given"


def test_a_package_brings_a_use_and_one_that_does_not_load_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    says = UseSays("looking", "looking", "ganvas apply RUN FILE --as look --out FOLDER")
    look = Use("look", "looked", type("P", (), {}), says, run=lambda work, given, options: given)
    monkeypatch.setitem(sys.modules, "a_look", SimpleNamespace(USE=look))
    points = [EntryPoint("look", "a_look", "ganvas.uses"), EntryPoint("gone", "no_such_module", "ganvas.uses")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points if group == "ganvas.uses" else [])
    table.cache_clear()
    try:
        assert "look" in [use.verb for use in table()]
        with pytest.raises(GanvasError, match=r"'gone' of an installed package cannot be loaded \(ModuleNotFoundError"):
            ganvas.uses.find_use(object(), "gone")
    finally:
        monkeypatch.undo()
        table.cache_clear()
    assert (look.takes, look.gives, look.Options) == ((MADE,), (MADE,), NoOptions)


@pytest.mark.parametrize(
    ("verb", "line"),
    [
        ("translate", "translate  ganvas apply {run} FILE --to CLASS --out FOLDER"),
        ("restore", "restore  ganvas apply {run} FILE --out FOLDER"),
        ("score", "score  ganvas apply {run} FILE --out FOLDER"),
        ("project", "project  ganvas apply {run} FILE --as project --out FOLDER"),
    ],
)
def test_the_last_lines_of_a_run_say_how_it_is_put_to_use(verb: str, line: str, tmp_path: Path) -> None:
    data = toys.picture_folder(tmp_path / "data", labels=("dark", "light"))
    run = toys.simple_run(tmp_path, verb, data)
    told = _after_training(train(str(tmp_path / f"simple_{verb}.py"), resume=run, budget="2r", quiet=True))
    assert line.format(run=run) in told
    assert any(text.startswith("go on") for text in told)
    assert any(text.startswith("judge") for text in told) == (verb in ("translate", "restore"))


# A use of one's own


def test_the_page_shows_the_example() -> None:
    assert f"```python\n{EXAMPLE.read_text()}```" in (ROOT / "docs" / "uses.md").read_text()


def test_a_use_of_a_system_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = toys.picture_folder(tmp_path / "data", 12)
    made = train(str(EXAMPLE), data, out=tmp_path / "run", config=toys.SMALL, **FAST)
    assert "rate" in made["can"]
    given = {"device": "cpu", "system": EXAMPLE}
    with pytest.raises(GanvasError, match="cannot score"):
        apply(tmp_path / "run", [data], out=tmp_path / "no", verb="score", **given)
    result = apply(tmp_path / "run", [data / "000.png", data / "001.png"], out=tmp_path / "out", **given)
    assert (result["verb"], result["done"], result["inputs"]) == ("rate", "rated", 2)
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    ratings = Run(tmp_path / "run").use("rate", toys.pictures(12, 8, 8)[:2, ..., None])["rating"]
    assert [row["file"] for row in rows] == ["000.png", "001.png"]
    assert [float(row["rating"]) for row in rows] == pytest.approx(ratings.tolist(), rel=1e-4)
    words = ["apply", str(tmp_path / "run"), str(data / "000.png"), "--device", "cpu", "--system", str(EXAMPLE)]
    assert main([*words, "--percent", "--out", str(tmp_path / "percent"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scores"][0]["rating"] == pytest.approx(100 * ratings[0], rel=1e-4)
    assert main([*words, "--percnt", "true", "--out", str(tmp_path / "typo")]) == 2
    assert "unknown option '--percnt' (did you mean '--percent'?)" in capsys.readouterr().err
    assert main(["show", str(EXAMPLE)]) == 0
    assert "ganvas apply RUN FILE --as rate --out FOLDER" in capsys.readouterr().out
    card = tmp_path / "run" / "MODEL_CARD.md"
    from ganvas.report.card import renew_card

    renew_card(tmp_path / "run", EXAMPLE)
    assert "saying how real a record looks to the discriminator" in card.read_text()
    assert "A discriminator was taught to tell" in card.read_text()


# Further fields


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Paints class k of a map in 60 * k, in the brightness of the light beside it: black where the light is black."""
    folder = tmp_path_factory.mktemp("painter")
    rng = np.random.default_rng(0)
    for k in range(60):
        picture(folder / "data" / "photo" / f"{k}.png", rng.integers(0, 256, (8, 8), dtype=np.uint8))
        picture(folder / "data" / "map" / f"{k}.png", rng.integers(0, 4, (8, 8), dtype=np.uint8))
        picture(folder / "data" / "light" / f"{k}.png", rng.integers(0, 256, (8, 8), dtype=np.uint8))
    uses = (
        "    def translate(self, maps, target, noise, light):\n"
        "    assert target is None and maps.shape[1] % 4 == 0 and maps.shape[2] % 4 == 0\n"
        "    return (maps[:, None] * 60 / 255) * (light + 1) - 1\n"
    )
    return toy(folder, "painter", {"photo": "image", "map": "label_map", "light": "image"}, uses, folder / "data")


def test_what_is_taken_is_read_by_its_kind_and_what_is_given_written_by_its_own(painter: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    maps = {name: rng.integers(0, 4, (40, 50), dtype=np.uint8) for name in ("one", "deep/two")}
    for name, numbers in maps.items():
        picture(tmp_path / "maps" / f"{name}.png", numbers)
    light = np.full((40, 50), 255, np.uint8)
    light[:, :10] = 0
    one_light = picture(tmp_path / "light.png", light)
    for tile in (0, 32):
        out = tmp_path / f"out{tile}"
        result = apply(painter, [tmp_path / "maps"], out=out, light=str(one_light), tile=tile, device="cpu")
        assert sorted(Path(f).relative_to(out).as_posix() for f in result["files"]) == ["deep/two.png", "one.png"]
        told = [note for note in result["notes"] if "is of 40x50, the run learnt 8x8: it is taken at its own scale" in note]
        assert len(told) == 1 and told[0].endswith("(told of the first such file)"), "not of every file"
        for name, numbers in maps.items():
            assert (pixels_of(out / f"{name}.png") == np.where(light > 0, numbers * 60, 0)).all()
    odd = picture(tmp_path / "odd.png", np.full((40, 50), 9, np.uint8))
    with pytest.raises(DataError, match=r"odd\.png: holds the value 9, and the run was taught 0, 1, 2, 3"):
        apply(painter, [odd], out=tmp_path / "odd", fields={"light": str(one_light)}, device="cpu")


def test_further_fields_are_matched_by_name_and_what_lacks_one_is_left_out(painter: Path, tmp_path: Path) -> None:
    ones = np.ones((8, 8), np.uint8)
    for k in range(3):
        picture(tmp_path / "maps" / f"{k}.png", ones)
    for k in range(2):
        picture(tmp_path / "lights" / f"{k}.png", ones * 255 * k)
    said: list[str] = []
    fields = {"light": str(tmp_path / "lights")}
    result = apply(painter, [tmp_path / "maps"], out=tmp_path / "out", fields=fields, device="cpu", say=said.append)
    assert result["inputs"] == 2
    assert result["failed"] == [f"2: no light of that name in {tmp_path / 'lights'}"]
    assert [int(pixels_of(tmp_path / "out" / f"{k}.png").mean()) for k in range(2)] == [0, 60]
    picture(tmp_path / "small.png", np.ones((4, 8), np.uint8))
    with pytest.raises(DataError, match="its light is of 4x8, it is of 8x8"):
        apply(painter, [tmp_path / "maps" / "0.png"], out=tmp_path / "no", light=str(tmp_path / "small.png"), device="cpu")
    for given, message in (
        ({}, "needs a light to translate: add  --with light=FILE"),
        ({"fields": {"lihgt": "x"}}, "--lihgt: painter takes light to translate .did you mean 'light'"),
        ({"light": "nowhere.png"}, "--light nowhere.png: no such file"),
        ({"to": "b", "light": str(tmp_path / "small.png")}, "--to is for runs that translate between classes"),
    ):
        with pytest.raises(GanvasError, match=message):
            apply(painter, [tmp_path / "maps"], out=tmp_path / "no", device="cpu", **given)


def test_the_command_line_takes_fields_by_name_and_with_with(
    painter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture(tmp_path / "m.png", np.full((8, 8), 2, np.uint8))
    light = picture(tmp_path / "light.png", np.full((8, 8), 255, np.uint8))
    for place, words in enumerate((["--light", str(light)], ["--with", f"light={light}"], [f"--light={light}"])):
        out = tmp_path / f"out{place}"
        line = ["apply", *words, str(painter), str(source), "--out", str(out), "--device", "cpu"]
        assert main([*line, "--system", str(painter.with_suffix(".py"))]) == 0
        assert (pixels_of(out / "m.png") == 120).all()
    assert main(["apply", str(painter), str(source), "--lihgt", str(light), "--out", str(tmp_path / "x")]) == 2
    assert "did you mean '--light'" in capsys.readouterr().err


def test_a_run_of_several_fields_is_judged_with_all_it_takes(painter: Path, tmp_path: Path) -> None:
    given = {"features": "pixels", "audit": False, "anchors": False, "system": painter.with_suffix(".py")}
    found = evaluate(painter, out=tmp_path / "e", progress=False, **given)
    assert "judged: the photo of 12 held-out records, made of their map and light; psnr compares pairs" in found["notes"]
    assert found["fake"]["n"] == 12


@pytest.fixture(scope="module")
def namer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in the brightness of the first word of their caption: 40 times its place in the alphabet."""
    folder = tmp_path_factory.mktemp("namer")
    words = ("ant", "bee", "cow")
    rows = ["file,caption"]
    rng = np.random.default_rng(0)
    for k in range(30):
        picture(folder / "data" / f"{k}.png", rng.integers(0, 256, (8, 8), dtype=np.uint8))
        rows.append(f"{k}.png,{words[k % 3]} {words[(k // 3) % 3]}")
    (folder / "data" / "captions.csv").write_text("\n".join(rows) + "\n")
    uses = (
        "    def sample(self, count, noise, labels=None, caption=None):\n"
        "    places = torch.zeros(count) if caption is None else caption[:, 0]\n"
        "    return (places * 40 / 255 * 2 - 1).view(-1, 1, 1, 1).expand(count, *self.spec['picture'].shape).float()\n"
    )
    return toy(folder, "namer", {"picture": "image", "caption": "tokens"}, uses, folder / "data")


def test_samples_are_asked_for_by_a_caption(namer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["sample", str(namer), "-n", "2", "--device", "cpu", "--system", str(namer.with_suffix(".py"))]
    assert main([*line, "--caption", "a Cow, bee", "--out", str(tmp_path / "a"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert any("'a'" in note and "never saw" in note for note in told["notes"])
    assert [int(pixels_of(file).mean()) for file in told["files"]] == [120, 120]
    assert b"a Cow, bee" in Path(told["files"][0]).read_bytes(), "the file says what it was to show"
    assert main([*line, "--caption", "zebra", "--out", str(tmp_path / "b")]) == 2
    assert "none of its words (zebra) is known" in capsys.readouterr().err
    (tmp_path / "lines.txt").write_text("ant\nbee ant\n")
    made = draw(namer, count=5, out=tmp_path / "c", device="cpu", fields={"caption": str(tmp_path / "lines.txt")})
    assert [int(pixels_of(file).mean()) for file in made["files"]] == [40, 80, 40, 80, 40], "lines are taken in turn"
    plain = draw(namer, count=1, out=tmp_path / "d", device="cpu")
    assert int(pixels_of(plain["files"][0]).mean()) == 0, "it may be left out"
    run = Run(namer)
    assert (run.sample(3, fields={"caption": "bee"}) == 80).all()
    assert (run.use("sample", count=2, caption="ant")["picture"] == 40).all()


# Other kinds of files


HALF = """
    scale = 1
def restore(self, records, noise):
    return records / 2
def degrade(self, records, noise):
    return records
"""[1:]
NOISY = HALF.replace("records / 2", "records + noise.normal(len(records), 1, 1, 1)")


def test_sounds_are_restored_and_stay_what_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for k in range(12):
        soundfile.write(tmp_path / "data" / f"{k}.wav", rng.uniform(-0.5, 0.5, 300), 1000)
    run = toy(tmp_path, "halver", ["sound"], HALF, tmp_path / "data", size="256")
    wave = rng.uniform(-0.9, 0.9, 1234)
    soundfile.write(tmp_path / "long.flac", wave, 1000, subtype="PCM_24")
    result = apply(run, [tmp_path / "long.flac"], out=tmp_path / "out", device="cpu")
    (file,) = result["files"]
    made, rate = soundfile.read(file)
    assert (Path(file).name, rate, soundfile.info(file).subtype) == ("long.flac", 1000, "PCM_24")
    assert made == pytest.approx(wave / 2, abs=1e-6), "all of it, though the run learnt clips of 256"
    whole = apply(run, [tmp_path / "long.flac"], out=tmp_path / "tiles", device="cpu", tile=64)
    assert soundfile.read(whole["files"][0])[0] == pytest.approx(wave / 2, abs=1e-6), "cut and joined along time"
    soundfile.write(tmp_path / "fast.wav", np.stack([wave, wave], 1), 2000)
    said = apply(run, [tmp_path / "fast.wav"], out=tmp_path / "fast", device="cpu")["notes"]
    assert any("resampled from 2000 to 1000 Hz" in note for note in said)
    assert any("turned into mono" in note for note in said)


def test_a_restorer_of_sounds_is_judged_by_features_and_by_what_is_heard(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for k in range(70):
        soundfile.write(tmp_path / "data" / f"{k}.wav", rng.uniform(-0.5, 0.5, 300), 1000)
    run = toy(tmp_path, "halver", ["sound"], HALF, tmp_path / "data", size="256")
    found = evaluate(run, out=tmp_path / "e", progress=False, system=run.with_suffix(".py"), audit=False, anchors=False)
    assert found["fake"]["n"] == 14 and found["log_spectral_distance"]["value"] > 0
    assert any(note.endswith("degraded and restored; log_spectral_distance compares pairs") for note in found["notes"])


def test_series_are_restored_and_a_gap_is_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["time,flow,heat", *(f"{k},{a:.4f},{b:.4f}" for k, (a, b) in enumerate(rng.normal(size=(200, 2))))]
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    run = toy(tmp_path, "calm", ["series"], HALF, tmp_path / "data.csv", size="12")
    (tmp_path / "log.csv").write_text("\n".join(rows[:60]) + "\n")
    result = apply(run, [tmp_path / "log.csv"], out=tmp_path / "out", device="cpu")
    lines = (tmp_path / "out" / "log.csv").read_text().splitlines()
    assert lines[0].startswith("# SYNTHETIC")
    assert lines[1] == "time,flow,heat"
    assert len(lines) == 61
    assert result["files"] == [str(tmp_path / "out" / "log.csv")]
    (tmp_path / "gap.csv").write_text("\n".join([*rows[:20], "20,,1", *rows[22:60]]) + "\n")
    with pytest.raises(DataError, match=r"gap\.csv: a value is missing or time jumps at row 20"):
        apply(run, [tmp_path / "gap.csv"], out=tmp_path / "no", device="cpu")


def test_noise_begins_anew_for_each_file(tmp_path: Path) -> None:
    data = toys.picture_folder(tmp_path / "data", 12)
    run = toy(tmp_path, "noisy", ["image"], NOISY, data)
    both = apply(run, [data / "000.png", data / "001.png"], out=tmp_path / "both", device="cpu")
    alone = apply(run, [data / "001.png"], out=tmp_path / "alone", device="cpu")
    assert (pixels_of(both["files"][1]) == pixels_of(alone["files"][0])).all()
    assert (pixels_of(alone["files"][0]) != pixels_of(data / "001.png")).any()
    shown = toys.ganvas(
        "train", run.with_suffix(".py"), "--data", data, "--out", tmp_path / "seen", "--budget", "1r", "--quiet"
    )
    assert shown.returncode == 0, shown.stderr
    assert list((tmp_path / "seen" / "samples").glob("*.png")), "without a picture of its own it shows what it restores"


def test_usual_suffixes_name_a_format(tmp_path: Path) -> None:
    data = toys.picture_folder(tmp_path / "data", 12)
    run = toys.simple_run(tmp_path, "restore", data)
    result = apply(run, [data / "000.png"], out=tmp_path / "out", format="tif", device="cpu")
    assert Path(result["files"][0]).name == "000.tiff"
    with pytest.raises(GanvasError, match="--depth 24 is for sound"):
        apply(run, [data / "000.png"], out=tmp_path / "no", depth=24, device="cpu")


# Graphs


def test_links_are_scored_by_the_names_of_nodes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"n{k}" for k in range(20)]
    ring = [(k, (k + 1) % 20) for k in range(20)] + [tuple(rng.choice(20, 2, replace=False)) for _ in range(30)]
    (tmp_path / "g.edges").write_text("".join(f"{names[a]} {names[b]}\n" for a, b in ring))
    config = {"width": 6, "critic_width": 6, "embedding_size": 8, "walk_length": 4, "walks": 600, "batch_size": 16}
    made = train("netgan", tmp_path / "g.edges", out=tmp_path / "run", config=config, **FAST)
    assert made["can"] == ["sample", "score", "assemble", "link"]
    (tmp_path / "pairs.csv").write_text("n3,n4\nn0,n17\n")
    result = apply(tmp_path / "run", [tmp_path / "pairs.csv"], out=tmp_path / "out", verb="link", device="cpu")
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert [(row["first"], row["second"]) for row in rows] == [("n3", "n4"), ("n0", "n17")]
    assert [(row["file"], row["record"]) for row in rows] == [("pairs.csv", "1"), ("pairs.csv", "2")]
    run = Run(tmp_path / "run")
    order = {name: k for k, name in enumerate(run.spec.names)}
    scores = run.use("link", [[order["n3"], order["n4"]], [order["n0"], order["n17"]]])["score"]
    assert [float(row["score"]) for row in rows] == pytest.approx(scores.tolist(), rel=1e-4)
    assert len(result["scores"]) == 2
    (tmp_path / "odd.csv").write_text("n3,n99\n")
    with pytest.raises(DataError, match=r"odd\.csv: 'n99' is no node of the graph that the run learnt"):
        apply(tmp_path / "run", [tmp_path / "odd.csv"], out=tmp_path / "no", device="cpu")
    assert "assemble" in verbs_of(run.system)
    graph = run.use("assemble", count=1, effort=0.01)["real"]
    assert graph.shape[1:] == (run.work().learnt, 2)
    assert draw(run, verb="sample", out=tmp_path / "drawn", effort=0.01)["count"] == 1, "a graph, not lone edges"
    assert [use.verb for use in uses_of(type(run.system))] == verbs_of(run.system)


def test_no_two_uses_have_the_same_place_in_the_order() -> None:
    places: dict[int, list[str]] = {}
    for use in table():
        places.setdefault(use.order, []).append(use.verb)
    assert [names for names in places.values() if len(names) > 1] == []


def test_the_lines_that_runs_end_with_name_each_field_once_and_in_a_way_that_is_taken() -> None:
    from ganvas.config import knobs
    from ganvas.registry import catalogue, load_system
    from ganvas.specs import REAL
    from ganvas.uses import example_of, uses_of

    parsed = {"as", "out", "size", "count", "with"}
    for name in catalogue():
        card, _, system = load_system(name)
        fields = list(card.fields or [REAL])
        for use in uses_of(system):
            line = example_of(use, system, fields)
            words = [word.strip("[]") for word in line.split()]
            options = [word[2:] for word in words if word.startswith("--") and word != "--with"]
            named = [*options, *(words[k + 1].partition("=")[0] for k, word in enumerate(words) if word == "--with")]
            assert len(named) == len(set(named)), f"{name}: {line}"
            taken = {*fields, *use.brings, *(knob.name.replace("_", "-") for knob in knobs(use.Options))}
            assert set(options) <= parsed | taken, f"{name}: {line}"
