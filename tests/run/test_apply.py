"""`ganvas apply` on every kind of file, with a system so simple that the right result is known pixel by pixel."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from tiny_files import dicom, nifti, ramp

from ganvas.cli import main
from ganvas.errors import DataError, GanvasError
from ganvas.kinds.image.readers import read
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.image.writers import write_dicom
from ganvas.run.apply import apply
from ganvas.run.train import train
from toys import SMALL, picture_folder, pictures, simple_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each capability, trained for one round on 8-bit grey pictures of 8x8 in two classes."""
    folder = tmp_path_factory.mktemp("apply")
    data = picture_folder(folder / "data", labels=("dark", "light"))
    return {verb: simple_run(folder, verb, data) for verb in ("translate", "restore", "score", "project")}


@pytest.fixture
def translator(runs: dict[str, Path]) -> Path:
    return runs["translate"]


def pixels_of(path: Path) -> np.ndarray:
    return np.stack([picture.pixels for picture in read(path)])


def test_pictures_keep_name_depth_and_kind(translator: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    eight, sixteen = ramp(np.uint8, height=9, width=13), ramp(np.uint16, height=10, width=7)
    Image.fromarray(eight[..., 0]).save(source / "a.png")
    Image.fromarray(eight[..., 0]).save(source / "photo.jpg", quality=100)
    tifffile.imwrite(source / "deep" / "b.tif", sixteen[..., 0])
    result = apply(translator, [source], out=out, to="light", device="cpu")
    assert sorted(str(Path(f).relative_to(out)) for f in result["files"]) == ["a.png", "deep/b.tiff", "photo.png"]
    assert (pixels_of(out / "a.png")[0] == 255 - eight).all()
    assert (pixels_of(out / "deep" / "b.tiff")[0] == 65535 - sixteen).all(), "16 bits come out as exactly as they went in"
    same = apply(translator, [source / "a.png"], out=tmp_path / "same", to="dark", device="cpu")
    assert (pixels_of(Path(same["files"][0]))[0] == eight).all()
    assert b"SYNTHETIC" in (out / "a.png").read_bytes()


def test_values_far_beyond_black_and_white_are_told_once(translator: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name, most in (("a", 12_000), ("b", 2000), ("c", 260)):  # of a window up to 240
        units = np.linspace(-160, most, 80, dtype=np.float32).reshape(8, 10, 1).round()
        write_dicom(source / f"{name}.dcm", units, ImageSpec(1, 8, 10, 32, -160.0, 240.0), note={}, seed=0)
    told = [
        note for note in apply(translator, [source], out=tmp_path / "o", to="light", device="cpu")["notes"] if "beyond" in note
    ]
    assert len(told) == 1 and "a.dcm: values beyond -160 to 240, which are black and white here, are taken as these" in told[0]
    result = apply(translator, [source / "c.dcm"], out=tmp_path / "p", to="light", device="cpu")
    assert not any("beyond" in note for note in result["notes"])


def test_tiles_and_the_whole_agree(translator: Path, tmp_path: Path) -> None:
    picture = ramp(np.uint8, height=150, width=203)
    Image.fromarray(picture[..., 0]).save(tmp_path / "large.png")
    for tile in (0, 32, 64, 200):
        result = apply(translator, [tmp_path / "large.png"], out=tmp_path / str(tile), to="light", tile=tile, device="cpu")
        assert (pixels_of(Path(result["files"][0]))[0] == 255 - picture).all(), tile


def test_what_does_not_fit_whole_is_told_and_worked_on_in_pieces(
    translator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = ramp(np.uint8, height=20, width=600)
    Image.fromarray(picture[..., 0]).save(tmp_path / "long.png")
    asked: list[tuple[int, ...]] = []
    said: list[str] = []

    def done(need: int | None, name: str, tile: int = 0) -> dict[str, Any]:
        def foresee(use: Any, work: Any, given: Any, options: Any) -> int | None:
            asked.append(tuple(given[work.main].shape))
            return need

        more: dict[str, Any] = {"out": tmp_path / name, "to": "light", "tile": tile, "device": "cpu", "say": said.append}
        result = apply(translator, [tmp_path / "long.png"], foresee=foresee, **more)
        assert (pixels_of(Path(result["files"][0]))[0] == 255 - picture).all()
        return result

    assert not any("at once" in note for note in done(10**6, "fits")["notes"])
    assert any(line.startswith("20x600 at once is expected to take 0.0 GB of memory; ") for line in said)
    (note,) = [note for note in done(10**15, "large")["notes"] if "at once" in note]
    assert note.startswith("20x600 at once is expected to take 1000000.0 GB of memory, and ")
    assert note.endswith(" GB are free: worked on in pieces of 512 instead of --tile 0")
    assert asked == [(1, 1, 20, 600)] * 2
    said.clear()
    done(None, "unknown")
    done(10**15, "pieces", tile=64)
    assert len(asked) == 3 and not any("at once" in line for line in said)
    words = [
        "apply",
        str(translator),
        str(tmp_path / "long.png"),
        "--to",
        "light",
        "--tile",
        "0",
        "--out",
        str(tmp_path / "cli"),
    ]
    assert main(words) == 0
    assert "20x600 at once is expected to take" in capsys.readouterr().err


def test_volumes_stay_where_they_are(runs: dict[str, Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 256, (6, 9, 5)).astype(np.uint8)
    # Stored back to front, axes swapped, oblique enough to notice: what a scanner may write.
    affine = np.array([[0, -2.0, 0, 30], [-1.5, 0, 0, 40], [0, 0, 4.0, -20], [0, 0, 0, 1]])
    (tmp_path / "head.nii.gz").write_bytes(nifti(volume, affine, packed=True))
    result = apply(runs["translate"], [tmp_path / "head.nii.gz"], out=tmp_path / "a", to="light", device="cpu")
    made = nibabel.load(result["files"][0])
    assert Path(result["files"][0]).name == "head.nii.gz"
    assert np.allclose(made.affine, affine)
    assert (np.asarray(made.dataobj) == 255 - volume).all()
    result = apply(runs["restore"], [tmp_path / "head.nii.gz"], out=tmp_path / "b", device="cpu")
    made = nibabel.load(result["files"][0])
    larger = np.asarray(made.dataobj)
    assert larger.shape == (12, 18, 5), "twice as large in the plane of the slices, as many slices"
    assert (larger[::2, ::2] == volume).all()
    # The centre of the volume is the same point in space as before.
    before, after = (a @ [*((np.array(s) - 1) / 2), 1] for a, s in ((affine, volume.shape), (made.affine, larger.shape)))
    assert np.allclose(before, after)


def test_dicom_gives_dicom_without_the_patient(translator: Path, tmp_path: Path) -> None:
    pixels = ramp(np.uint16, height=12, width=8)
    (tmp_path / "1.2.3.4").write_bytes(dicom(pixels[..., 0], PatientName="Doe^Jane", PatientID="4711"))
    result = apply(translator, [tmp_path / "1.2.3.4"], out=tmp_path / "out", to="light", device="cpu")
    (file,) = result["files"]
    assert Path(file).name == "1.2.3.4.dcm", "a UID is no suffix"
    assert b"Doe" not in Path(file).read_bytes()
    assert pydicom.dcmread(file).PatientName == "SYNTHETIC"
    assert (np.rint(pixels_of(Path(file))[0]) == 65535 - pixels).all()


def test_restoring_enlarges_colour_is_turned_grey_and_that_is_said(runs: dict[str, Path], tmp_path: Path) -> None:
    Image.fromarray(ramp(np.uint8, channels=3)).save(tmp_path / "colour.png")
    said: list[str] = []
    result = apply(runs["restore"], [tmp_path / "colour.png"], out=tmp_path / "out", device="cpu", say=said.append)
    assert pixels_of(Path(result["files"][0])).shape == (1, 18, 26, 1)
    assert any("turned into grey" in text for text in said)


def test_scores_maps_and_their_pictures(runs: dict[str, Path], tmp_path: Path) -> None:
    dark, light = np.full((8, 8), 51, np.uint8), np.full((8, 8), 204, np.uint8)
    for name, values in (("dark", dark), ("light", light)):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    files = [tmp_path / "dark.png", tmp_path / "light.png"]
    result = apply(runs["score"], files, out=tmp_path / "out", device="cpu")
    scores = {one["file"]: one["score"] for one in result["scores"]}
    assert scores == {"dark.png": pytest.approx(0.2), "light.png": pytest.approx(0.8)}
    assert (tmp_path / "out" / "scores.csv").read_text().splitlines() == ["file,score", "dark.png,0.2", "light.png,0.8"]
    with np.load(tmp_path / "out" / "maps" / "light.npz") as held:
        assert held["map"] == pytest.approx(np.full((8, 8), 0.8))
    assert (tmp_path / "out" / "maps" / "light.png").exists()
    doubled = apply(runs["score"], files, out=tmp_path / "more", device="cpu", config={"gain": 2.0})
    assert doubled["scores"][1]["score"] == pytest.approx(1.6), "a setting marked `later` may be changed"


def test_settings_that_a_trained_run_takes_are_options_by_their_own_names(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.full((8, 8), 51, np.uint8)).save(tmp_path / "dark.png")
    words = ["apply", str(runs["score"]), str(tmp_path / "dark.png"), "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main([*words, "--gain", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"][0]["score"] == pytest.approx(0.4)
    refused = {
        "--gane": "unknown option '--gane' (did you mean '--gain'?)",
        "--gain": "gain: expected number, got 'loud'",
        "--batch-size": "--set batch_size: it was fixed when",
        "--truncation": "has no truncation; ganvas show",
    }
    for option, told in refused.items():
        assert main([*words, "--overwrite", option, "8" if option == "--batch-size" else "loud"]) == 2
        assert told in capsys.readouterr().err


def test_results_name_their_inputs_so_that_tables_can_be_joined(runs: dict[str, Path], tmp_path: Path) -> None:
    """The suffix was dropped: a.png and a.jpg could not be told apart, and a join by file name found nothing."""
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    for name, value in (("a.png", 51), ("a.jpg", 204), ("deep/b.tif", 102)):
        Image.fromarray(np.full((8, 8), value, np.uint8)).save(source / name)
    np.savez(source / "two.npz", images=np.stack([np.full((8, 8), value, np.uint8) for value in (0, 255)]))
    result = apply(runs["score"], [source], out=tmp_path / "scored", device="cpu")
    with open(tmp_path / "scored" / "scores.csv", newline="") as stream:
        rows = {(row["file"], row["record"]): float(row["score"]) for row in csv.DictReader(stream)}
    assert rows == {
        ("a.jpg", ""): 0.8, ("a.png", ""): 0.2, ("deep/b.tif", ""): 0.4, ("two.npz", "1"): 0.0, ("two.npz", "2"): 1.0,
    }  # fmt: skip
    assert [(one["file"], one.get("record")) for one in result["scores"]] == [(name, int(k) if k else None) for name, k in rows]
    maps = sorted(str(path.relative_to(tmp_path / "scored" / "maps")) for path in (tmp_path / "scored").rglob("maps/**/*.npz"))
    assert maps == ["a.jpg.npz", "a.png.npz", "deep/b.npz", "two-0001.npz", "two-0002.npz"]
    apply(runs["project"], [source], out=tmp_path / "near", device="cpu")
    with np.load(tmp_path / "near" / "latents.npz") as held:
        assert list(zip(held["files"].tolist(), held["records"].tolist(), strict=True)) == [
            ("a.jpg", 1), ("a.png", 1), ("deep/b.tif", 1), ("two.npz", 1), ("two.npz", 2),
        ]  # fmt: skip
        assert held["latents"].ravel() == pytest.approx([0.6, -0.6, -0.2, -1.0, 1.0], abs=0.01)
    with pytest.raises(GanvasError, match="would both be written as"):
        apply(runs["score"], [source / "a.png", source / "deep" / ".." / "a.png"], out=tmp_path / "twice", device="cpu")


def test_projecting_writes_the_nearest_record_in_the_form_of_the_input_and_a_sheet_of_both(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    ramped = ramp(np.uint8, height=8, width=8)[..., 0]
    Image.fromarray(ramped).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", ramped)
    files = [tmp_path / "a.png", tmp_path / "b.tif"]
    result = apply(runs["project"], files, out=tmp_path / "out", device="cpu")
    made = sorted(str(Path(file).relative_to(tmp_path / "out")) for file in result["files"])
    assert made == ["a.png", "b.tiff", "latents.npz", "sheets/a.png", "sheets/b.png"]
    for name in ("a.png", "b.tiff"):
        (nearest,) = pixels_of(tmp_path / "out" / name)
        assert nearest.shape == (8, 8, 1)
        assert (nearest == round(float(ramped.mean()))).all()
    assert b"SYNTHETIC" in (tmp_path / "out" / "a.png").read_bytes()
    assert pixels_of(tmp_path / "out" / "sheets" / "a.png").shape[2] > 16, "both, side by side"
    wide = apply(runs["project"], files, out=tmp_path / "wide", device="cpu", format="tiff", depth=16)
    assert [Path(file).name for file in wide["files"] if file.endswith(".tiff")] == ["a.tiff", "b.tiff"]
    assert pixels_of(tmp_path / "wide" / "a.tiff").dtype == np.uint16


def test_a_broken_file_is_told_and_left_out(translator: Path, tmp_path: Path) -> None:
    source = picture_folder(tmp_path / "in", 3)
    (source / "broken.png").write_bytes((source / "000.png").read_bytes()[:40])
    said: list[str] = []
    result = apply(translator, [source], out=tmp_path / "out", to="dark", device="cpu", say=said.append)
    assert result["inputs"] == 3
    assert len(result["failed"]) == 1
    assert any("broken.png" in text for text in said)
    with pytest.raises(DataError, match="broken.png"):
        apply(translator, [source / "broken.png"], out=tmp_path / "none", to="dark", device="cpu")


CASES: list[tuple[str, dict[str, Any], str]] = [
    ("translate", {}, "--to dark or  --to light"),
    ("translate", {"to": "ligth"}, "did you mean 'light'"),
    ("translate", {"to": "dark", "verb": "restore"}, "cannot restore"),
    ("translate", {"to": "dark", "tile": 5}, "too small"),
    ("translate", {"to": "dark", "format": "pgn"}, "did you mean 'png'"),
    ("restore", {"to": "dark"}, "restores"),
    ("score", {"tile": 64}, "--tile is for translating"),
    ("score", {"config": {"width": 9}}, "may be changed now: gain"),
    ("score", {"config": {"gian": 9}}, "did you mean 'gain'"),
]


@pytest.mark.parametrize(("verb", "options", "message"), CASES)
def test_errors_teach_the_fix(runs: dict[str, Path], tmp_path: Path, verb: str, options: dict[str, Any], message: str) -> None:
    Image.fromarray(pictures(1)[0]).save(tmp_path / "a.png")
    with pytest.raises(GanvasError, match=message) as caught:
        apply(runs[verb], [tmp_path / "a.png"], **{"out": tmp_path / "out", "device": "cpu", **options})
    assert "\n" not in str(caught.value)


def test_inputs_must_have_names_of_their_own_and_samplers_are_told_what_to_use(translator: Path, tmp_path: Path) -> None:
    for place in ("x", "y"):
        picture_folder(tmp_path / place, 1)
    with pytest.raises(GanvasError, match="two folders"):
        apply(translator, [tmp_path / "x", tmp_path / "y"], out=tmp_path / "out", to="dark", device="cpu")
    with pytest.raises(GanvasError, match="on what"):
        apply(translator, [], out=tmp_path / "out", to="dark", device="cpu")
    data = picture_folder(tmp_path / "data")
    train("lsgan", data, out=tmp_path / "gan", budget="1r", quiet=True, sample_every=0.0, config=SMALL, device="cpu")
    with pytest.raises(GanvasError, match="ganvas sample"):
        apply(tmp_path / "gan", [data], out=tmp_path / "out", device="cpu")
    assert len(apply(tmp_path / "gan", [], out=tmp_path / "out", device="cpu", count=3)["files"]) == 3
    with pytest.raises(GanvasError, match="takes no input"):
        apply(tmp_path / "gan", [data], out=tmp_path / "none", device="cpu", verb="generate")


ONLY_DRAW = {
    "wavegan": ("words", "a.wav", {"width": 1, "latent_size": 4, "batch_size": 4, "critic_turns": 1}, {"size": "256"}),
    "gan-3d": ("solids", "a.obj", {"width": 1, "latent_size": 4, "batch_size": 4, "initial_occupancy": 0.9}, {"size": "16"}),
}


@pytest.mark.parametrize("name", ONLY_DRAW)
def test_sounds_and_solids_are_told_that_their_systems_only_draw(name: str, tmp_path: Path) -> None:
    data, file, config, more = ONLY_DRAW[name]
    run = tmp_path / "run"
    train(name, data, out=run, budget="1r", quiet=True, sample_every=0.0, config=config, device="cpu", phantom_count=20, **more)
    (tmp_path / file).write_bytes(b"anything: it is not looked at")
    out = {"out": tmp_path / "out", "device": "cpu"}
    with pytest.raises(GanvasError, match=rf"{name} draws from noise and takes no input: use  ganvas sample .*run$"):
        apply(run, [tmp_path / file], **out)
    with pytest.raises(GanvasError, match="draws from noise and takes no input"):
        apply(run, [tmp_path / file], verb="score", **out)
    assert not (tmp_path / "out").exists()
    assert len(apply(run, [], count=2, **out)["files"]) >= 1  # nothing to work on: it draws
