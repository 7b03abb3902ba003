"""The Use page of every registered system, made from the table of uses alone; and that it does what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.registry import catalogue
from ganvas.specs import REAL
from ganvas.studio.using import page_of
from ganvas.testing.boards import RECORDS, Case, subject_of
from ganvas.uses import Work, uses_of

CASES = [(name, kind) for name, card in catalogue().items() for kind in card.data]


def described(name: str, kind: str) -> tuple[dict[str, Any], Any]:
    system = Case(subject_of(name), kind).system()
    system.eval()
    specs = system.spec if isinstance(system.spec, dict) else {REAL: system.spec}
    return page_of(system, specs, catalogue()[name], Work(system, specs, learnt=RECORDS)), system


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_system_has_its_page(name: str, kind: str) -> None:
    page, system = described(name, kind)
    json.dumps(page)
    assert page["uses"], "nothing to do"
    assert {use["verb"] for use in page["uses"]} <= {use.verb for use in uses_of(system)}
    for use in page["uses"]:
        assert use["purpose"] and use["example"].startswith("ganvas ")
        for given in [use["first"], *use["fields"]]:
            assert given is None or (given["ways"] or use["why"]), f"{use['verb']}: {given['name']} cannot be given"
        for option in use["options"]:
            assert option["help"]
            for one in option.get("named", []):
                assert one.get("values") or one["low"] < one["high"]


def test_labels_attributes_codes_and_palettes_are_offered() -> None:
    options = {option["name"]: option for option in described("cgan", "image")[0]["uses"][0]["options"]}
    assert options["label"]["choices"] == ["first", "second", "third"]
    assert [one["name"] for one in options["move"]["named"]] == ["brightness", "contrast"]
    assert options["code"].get("hidden")
    codes = {option["name"]: option for option in described("infogan", "image")[0]["uses"][0]["options"]}
    assert codes["code"]["named"][0]["high"] > codes["code"]["named"][0]["low"]
    attributes = {option["name"]: option for option in described("anime", "image")[0]["uses"][0]["options"]}
    assert attributes["attributes"]["named"][0]["values"]
    paint = described("spade", "image")[0]["uses"][0]["first"]
    assert paint["ways"][0] == "paint" and paint["palette"][0]["colour"].startswith("#")
    caption = described("gan-cls", "image")[0]["uses"][0]["fields"][0]
    assert caption["ways"][0] == "words"


def test_what_is_painted_over_a_picture_has_a_brush_and_files() -> None:
    """By the table of uses alone: no page knows a mask or a stroke by name."""
    from ganvas.uses import AREA, COLOURS, table

    for use in table():
        assert set(use.paints) <= set(use.brings) and set(use.paints.values()) <= {AREA, COLOURS}, use.verb
    mask = described("context-encoder", "image")[0]["uses"][0]["fields"][0]
    assert (mask["ways"], mask["over"], mask["channels"]) == (["over", "file"], AREA, 1)
    strokes = next(use for use in described("ian", "image")[0]["uses"] if use["verb"] == "paint")["fields"][0]
    assert strokes["over"] == COLOURS and ".json" in strokes["suffixes"]
    blend = {one["name"]: one for one in described("gp-gan", "image")[0]["uses"][0]["fields"]}
    assert "over" not in blend["source"] and not blend["source"]["aside"]
    played = next(use for use in described("gansynth", "sound")[0]["uses"] if use["verb"] == "play")
    assert ".mid" in played["first"]["suffixes"]
    films = described("deepremaster", "video")[0]["uses"][0]["fields"]
    assert any(one["several"] for one in films)


def test_a_use_of_ones_own_has_its_page_too(tmp_path: Path) -> None:
    """Options, choices and fields of a use that a third party brings are a form without a line of page code."""
    from dataclasses import dataclass, replace

    from ganvas.config import knob, knobs
    from ganvas.studio.using import _option
    from ganvas.uses import Span, Use, UseSays

    @dataclass(frozen=True)
    class Options:
        strength: float = knob(0.5, "how strong", low=0.0, high=1.0)
        change: tuple[str, ...] = knob((), "NAME=VALUE: what to change")

    use = replace(uses_of(described("cgan", "image")[1])[0], Options=Options)
    assert isinstance(use, Use) and UseSays
    shown = {item.name: _option(item, use, {"change": {"hue": Span(-1, 1), "hat": ("on", "off")}}) for item in knobs(Options)}
    assert shown["strength"]["high"] == 1.0
    assert shown["change"]["named"] == [
        {"name": "hue", "low": -1, "high": 1, "usual": 0.0, "whole": False},
        {"name": "hat", "values": ["on", "off"]},
    ]


# Doing it


def test_samples_are_made_shown_and_packed(studio) -> None:
    page = studio.client.get("/api/uses?name=sine").json()
    assert page["uses"][0]["verb"] == "sample" and page["noun"] == "points"
    made = studio.post("use", {"run": "sine", "verb": "sample", "options": {"count": 200}, "seed": 3}).json()
    assert made["count"] == 200 and made["shown"][0]["picture"]
    assert made["line"].startswith("ganvas sample ") and "--count 200" in made["line"] and "--seed 3" in made["line"]
    picture = studio.client.get("/api/made-file", params={"made": made["made"], "file": made["shown"][0]["picture"]})
    assert picture.headers["content-type"] == "image/png"
    import io
    import zipfile

    names = zipfile.ZipFile(io.BytesIO(studio.client.get("/api/zip", params={"made": made["made"]}).content)).namelist()
    assert "samples.csv" in names and not any("shown" in name for name in names)


def test_files_of_one_name_are_worked_on_under_names_of_their_own(studio) -> None:
    """A browser sends no folders: `a/scan.nii.gz` and `b/scan.nii.gz` both come as `scan.nii.gz`."""
    from types import SimpleNamespace

    from ganvas.studio.applying import _apart

    files = []
    for content, name in (
        (b"1", "scan.nii.gz"),
        (b"2", "scan.nii.gz"),
        (b"3", "scan.png"),
        (b"4", "scan.png"),
        (b"5", "scan-2.png"),
    ):
        files.append(studio.places.upload(name))
        files[-1].write_bytes(content)
    apart = [Path(path) for path in _apart(SimpleNamespace(places=studio.places), files)]
    assert [path.name for path in apart] == ["scan.nii.gz", "scan-2.nii.gz", "scan.png", "scan-2.png", "scan-2-2.png"]
    assert [path.read_bytes() for path in apart] == [b"1", b"2", b"3", b"4", b"5"]


def test_what_cannot_be_done_is_one_line(studio) -> None:
    for asked in (
        {"verb": "translate"},
        {"verb": "sample", "options": {"label": "square"}},
        {"verb": "sample", "options": {"odd": 1}},
        {"verb": "sample", "options": {"count": 10**6}},
        {"verb": "sample", "config": {"width": 9}},
    ):
        answer = studio.post("use", {"run": "sine", **asked})
        assert answer.status_code == 400 and "\n" not in answer.json()["error"], asked


def test_a_sixteen_bit_picture_a_dicom_and_a_broken_file_are_given(tmp_path: Path) -> None:
    """As the page gives them: uploaded, shown, put to use, before and after beside each other."""
    import tifffile

    from ganvas.run.train import train
    from ganvas.studio import work

    run = tmp_path / "small"
    train(
        "srgan", "chest", out=run, budget="2r", size=32, phantom_count=30, quiet=True, evaluations=0,
        config={"width": 4, "blocks": 1, "batch_size": 2},
    )  # fmt: skip
    rng = np.random.default_rng(0)
    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, rng.integers(0, 65535, (24, 40), dtype=np.uint16))
    shown = work.upload_shown(str(run), "restore", REAL, str(deep), str(tmp_path / "seen"))
    assert "16" in shown["of"] and (tmp_path / "seen" / shown["picture"]).is_file()
    made = work.put_to_use(str(run), "restore", str(tmp_path / "made"), [str(deep)], {}, {}, 0, None, {})
    before, after = made["before"][0], made["shown"][0]
    assert (tmp_path / "made" / before["picture"]).is_file() and (tmp_path / "made" / after["picture"]).is_file()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    from ganvas.errors import GanvasError

    with pytest.raises(GanvasError) as error:
        work.upload_shown(str(run), "restore", REAL, str(broken), str(tmp_path / "seen"))
    assert "\n" not in str(error.value)
    pydicom = pytest.importorskip("pydicom")
    from ganvas.data.phantoms._files import write_phantom

    write_phantom("chest", 1, tmp_path / "dicom", seed=1, size=32, depth=16, format="dicom")
    assert pydicom
    film = next((tmp_path / "dicom").rglob("*.dcm"))
    seen = work.upload_shown(str(run), "restore", REAL, str(film), str(tmp_path / "seen"))
    assert (tmp_path / "seen" / seen["picture"]).is_file() and seen["size"] == [32, 32]


def test_every_want_of_home_has_its_picture_and_a_system() -> None:
    from ganvas.studio import making

    static = Path(making.__file__).parent / "static" / "data"
    for want in making.wants():
        assert (static / f"{want['data'].split(':')[0]}.webp").is_file(), want["data"]
        assert want["systems"]
        # The first of those that learn clips repairs films: who wants new records is not sent to it.
        assert (want["system"] == "") == want["title"].startswith("New "), want["title"]
    assert {system for want in making.wants() for system in want["systems"]} == set(catalogue())


def test_a_form_has_the_help_and_limits_of_every_setting(studio) -> None:
    found = studio.client.get("/api/system?name=dcgan").json()
    assert all(setting["help"] for setting in found["settings"]) and "auto" in found["presets"]
    names = {setting["name"] for setting in studio.client.get("/api/systems").json()["run"]}
    assert {"budget", "size", "device", "until"} <= names and "data" not in names


def test_the_line_of_a_form_is_the_command_that_is_run(studio) -> None:
    asked = {
        "data": "patterns:sine", "system": "gan", "name": "mine", "run": {"budget": "10r", "compile": True, "size": ""},
        "config": {"width": 16},
    }  # fmt: skip
    line = studio.post("train-line", asked).json()["line"]
    assert line.startswith("ganvas train gan --data patterns:sine --budget 10r --compile --set width=16 --out ")
    import shlex

    from ganvas.cli import _parse

    options = _parse(shlex.split(line)[1:])
    assert options.system == "gan" and options.budget == "10r" and options.set == ["width=16"]


def test_the_pictures_of_a_walk_are_kept_as_an_animation(studio) -> None:
    import io

    from PIL import Image

    numbers = []
    for grey in (0, 100, 200):
        place = studio.places.made()
        place.mkdir()
        Image.new("RGB", (8, 6), (grey, grey, grey)).save(place / "grid.png")
        numbers.append(place.name)
    kept = studio.post("animation", {"made": numbers}).json()
    film = Image.open(io.BytesIO(studio.client.get("/api/made-file", params=kept).content))
    shown = []
    for frame in range(film.n_frames):
        film.seek(frame)
        shown.append(film.convert("L").getpixel((0, 0)))
    assert film.format == "GIF" and film.size == (8, 6) and shown == [0, 100, 200, 100], "there and back"
