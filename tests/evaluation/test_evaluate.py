"""`ganvas evaluate` as a user meets it: folders, arrays, points and runs; keys, files, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganvas
import toys
from ganvas.cli import main
from ganvas.data.phantoms import make_phantom
from ganvas.data.phantoms._files import write_phantom
from ganvas.errors import DataError, GanvasError
from ganvas.evaluation import judge
from ganvas.evaluation.beside import linear_samples
from ganvas.evaluation.judge import evaluate, plain
from ganvas.evaluation.sets import Part, open_sets
from ganvas.evaluation.table import lines, number

KEYS = {
    "protocol", "fd", "kid", "precision", "recall", "density", "coverage", "spectrum", "intensity", "checkerboard", "diversity",
    "ms_ssim", "memorisation", "anchors", "notes",
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Labelled phantom radiographs as training data, unseen ones, and samples of which a fifth are training copies."""
    root = tmp_path_factory.mktemp("phantoms")
    for name, count, seed in (("real", 90, 0), ("heldout", 45, 1), ("fresh", 45, 2)):
        write_phantom("chest", count, root / name, seed=seed, size=(32, 32))
    return {name: root / name for name in ("real", "heldout", "fresh")}


@pytest.fixture(scope="module")
def judged(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("evaluation")
    return evaluate(folders["fresh"], folders["real"], folders["heldout"], out=out), out


def test_every_interval_holds_its_value(judged: tuple[dict[str, Any], Path]) -> None:
    assert list(toys.outside(judged[0])) == []


def test_every_number_carries_its_protocol(judged: tuple[dict[str, Any], Path]) -> None:
    result, _ = judged
    assert result.keys() >= KEYS
    assert result["protocol"] == "effnet-lite0/160/at=32x32/n=45/m=45/ref=heldout"
    for key in KEYS - {"protocol", "memorisation", "anchors", "notes"}:
        assert isinstance(result[key]["value"], float) and "/" in result[key]["protocol"], key
        assert result[key]["low"] <= result[key]["value"] <= result[key]["high"], key
    audit = result["memorisation"]
    assert audit["verdict"] == "clear" and audit["near_copies"].keys() >= {"value", "protocol", "low", "high", "expected"}
    assert 0 <= audit["dcr_share"]["value"] <= 1 and 0 <= audit["mia_auc"]["value"] <= 1
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert "read the kernel distance" in result["fd"]["advice"]


def test_anchors_bracket_samples_of_the_same_kind(judged: tuple[dict[str, Any], Path]) -> None:
    result, _ = judged
    real, linear = result["anchors"]["real"], result["anchors"]["linear"]
    assert real["kid"]["protocol"] == result["kid"]["protocol"]
    assert linear["kid"]["value"] > 5 * abs(result["kid"]["value"])
    assert real["spectrum"]["value"] < linear["spectrum"]["value"]
    assert ("label_agreement" in result) != any("nothing is said of classes" in note for note in result["notes"])


def test_files_and_who_may_see_them(judged: tuple[dict[str, Any], Path]) -> None:
    result, out = judged
    assert {p.name for p in out.iterdir() if not p.name.startswith(".")} == {"evaluation.json", "spectrum.png", "audit.html"}
    page = (out / "audit.html").read_text()
    assert "must not leave" in page[: page.index("<h1>")]
    assert page.count("<figcaption>nearest training record: ") == page.count("<figcaption>synthetic: ") == 20
    assert "http" not in page.replace("http-equiv", "")
    kept = json.loads((out / "evaluation.json").read_text())
    assert kept["kid"] == result["kid"] and kept["files"]["audit"] == "audit.html"
    assert "base64" not in (out / "evaluation.json").read_text()


def test_the_table_tells_what_was_measured(judged: tuple[dict[str, Any], Path]) -> None:
    text = "\n".join(lines(judged[0]))
    assert "memorisation: CLEAR" in text and "kernel distance" in text and "FID" not in text
    assert judged[0]["protocol"] in text and "linear" in text
    assert "FID" in "\n".join(lines({**judged[0], "features": {"name": "inception-v3/2048", "is_inception": True}}))


def test_the_second_time_gives_the_same_numbers(folders: dict[str, Path], judged: tuple[dict[str, Any], Path]) -> None:
    again = evaluate(folders["fresh"], folders["real"], folders["heldout"])
    for key in KEYS - {"anchors", "notes"}:
        assert again[key] == judged[0][key], key


def test_copies_are_called_copies(folders: dict[str, Path]) -> None:
    train = np.asarray(ganvas.open_data(folders["real"], heldout=0.0, progress=False).values)
    fresh = np.asarray(ganvas.open_data(folders["fresh"], heldout=0.0, progress=False).values)
    made = np.concatenate([train[:20, :, ::-1], fresh[:25]])
    result = evaluate(made, folders["real"], folders["heldout"], anchors=False)
    assert result["memorisation"]["verdict"] == "copies"
    assert "anchors" not in result


def test_without_held_out_data_a_part_is_set_apart_and_said(folders: dict[str, Path]) -> None:
    sets = open_sets(folders["fresh"], folders["real"], progress=False)
    assert sets.split == "now" and len(sets.train) + len(sets.heldout) == 90
    assert any("no held-out data was named" in note for note in sets.notes)


@pytest.mark.slow
def test_both_sides_come_in_one_form(folders: dict[str, Path]) -> None:
    made = np.round(make_phantom("chest", 20, 3, size=(32, 32)).values[:, :, :, 0] * 257.0).astype(np.uint16)
    sets = open_sets(made, folders["real"], folders["heldout"], progress=False)
    assert sets.generated.values.dtype == sets.train.values.dtype == sets.heldout.values.dtype == np.uint16
    assert abs(int(sets.train.values.mean()) - int(sets.generated.values.mean())) < 8000
    colour = np.repeat(make_phantom("chest", 20, 3, size=(40, 40)).values, 3, axis=3)
    sets = open_sets(colour, folders["real"], folders["heldout"], progress=False)
    assert sets.train.values.shape[1:] == (40, 40, 3) and "channels" in " ".join(sets.notes)


def test_points_are_judged_by_distances_of_points(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savetxt(tmp_path / "real.csv", rng.normal(size=(400, 2)), delimiter=",", header="x,y", comments="")
    result = evaluate(rng.normal(size=(300, 2)).astype(np.float32), tmp_path / "real.csv")
    assert result["protocol"].startswith("raw-")
    assert result["sliced_wasserstein"]["value"] < 0.3 < result["coverage"]["value"]
    assert result["fd_infinity"]["value"] < 0.2 and result["memorisation"]["verdict"] == "clear"
    shifted = evaluate(rng.normal(size=(300, 2)).astype(np.float32) + 3, tmp_path / "real.csv", audit=False)
    assert shifted["kid"]["low"] > result["kid"]["high"]


@pytest.mark.slow
def test_a_run_is_judged_on_its_own_data_with_an_untrained_anchor(tmp_path: Path) -> None:
    run = tmp_path / "run"
    ganvas.train(
        "cgan", "chest", out=run, budget="64", quiet=True, sample_every=0.0, size="32", phantom_count=120, precision="32",
        channels_last="off", config={"width": 4, "latent_size": 4, "batch_size": 8},
    )  # fmt: skip
    before = sorted(p.name for p in run.iterdir())
    done = toys.ganvas("evaluate", run, "-n", 24, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["real"]["split"] == "run" and result["fake"]["n"] == 24
    assert result["anchors"].keys() == {"real", "linear", "untrained"}
    assert ("label_agreement" in result) != any("nothing is said of classes" in note for note in result["notes"])
    assert sorted(p.name for p in run.iterdir()) == sorted([*before, "evaluation"])
    assert {p.name for p in (run / "evaluation").glob("[!.]*")} == {"evaluation.json", "spectrum.png", "audit.html"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f: evaluate(f["fresh"]), "--real is missing"),
        (lambda f: evaluate(f["fresh"], f["real"], features="vgg"), "choose one of effnet"),
        (lambda f: evaluate(f["fresh"], f["real"], unintended=True), "needs the phantom 'chest'"),
        (lambda f: evaluate(f["fresh"], f["real"], f["heldout"], features="inception"), "inception|fid"),
        (lambda f: evaluate(f["fresh"] / "nothing", f["real"]), "nothing"),
        (lambda f: evaluate(f["fresh"], f["real"], count=3), "10 or more"),
        (lambda f: evaluate(np.zeros((30, 2), np.float32) + np.arange(30)[:, None], f["real"]), "do not compare"),
        (lambda f: evaluate(np.zeros((12, 32, 32, 2), np.uint8), f["real"]), "channels"),
        (lambda f: evaluate(toys.pictures(12, 32, 32), toys.pictures(100, 32, 32, seed=3), features="classifier"), "labelled"),
    ],
)
def test_refusals_teach_the_fix(folders: dict[str, Path], call: Any, words: str) -> None:
    with pytest.raises((GanvasError, DataError), match=words) as caught:
        call(folders)
    assert "\n" not in str(caught.value)


def test_what_trained_a_generator_does_not_judge_it(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from ganvas.evaluation import judge

    def trained_with(*given: Any, **named: Any) -> Any:
        sets = open_sets(*given, **named)
        sets.extractors = ("effnet",)
        return sets

    monkeypatch.setattr(judge, "open_sets", trained_with)
    with pytest.raises(GanvasError, match="must not judge it"):
        evaluate(folders["fresh"], folders["real"], folders["heldout"], features="effnet")
    result = evaluate(folders["fresh"], folders["real"], folders["heldout"], audit=False, anchors=False)
    assert result["features"]["name"].startswith("random128-")
    assert any("used in training" in note for note in result["notes"])


def test_classes_are_compared_by_name(tmp_path: Path) -> None:
    # As names 10 comes before 2, as numbers after it: the classifier and the data order them differently.
    from PIL import Image

    for side, count in (("real", 40), ("fake", 12)):
        for index in range(count):
            name, level = ("2", 60) if index % 2 else ("10", 190)
            (tmp_path / side / name).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([index, count]).integers(level - 30, level + 30, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / side / name / f"{index}.png")
    result = evaluate(tmp_path / "fake", tmp_path / "real", tmp_path / "fake", audit=False, anchors=False)
    assert result["label_agreement"]["value"] == 1.0


@pytest.mark.slow
def test_a_first_table_of_few_records_comes_alone_or_before_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    images, made = (rng.integers(0, 255, (count, 16, 16, 1), dtype=np.uint8) for count in (400, 250))
    np.savez(tmp_path / "real.npz", images=images)
    np.savez(tmp_path / "made.npz", images=made)
    given = (tmp_path / "made.npz", tmp_path / "real.npz")
    quick = evaluate(*given, features="pixels", quick=True)
    assert quick["quick"] is True and quick["fake"]["n"] == 100 and quick["real"]["heldout"] == 80
    assert quick["kid"]["protocol"].endswith("/n=100/m=80/ref=heldout")
    assert list(quick["anchors"]) == ["real"] and quick["anchors"]["real"].keys() >= {"kid", "precision", "spectrum"}
    assert not quick.keys() & {"memorisation", "ms_ssim", "diversity", "files"}
    assert any(note.startswith("quick: 100 samples, 100 training and 80 held-out records") for note in quick["notes"])
    assert lines(quick)

    told: list[tuple[dict[str, Any], int]] = []
    said: list[str] = []
    more: dict[str, Any] = {"features": "pixels", "say": said.append, "first": lambda table: told.append((table, len(said)))}
    monkeypatch.setattr(judge, "PATIENCE", 1e9)
    evaluate(*given, **more)
    assert told == [], "what is done soon needs no first table"
    monkeypatch.setattr(judge, "PATIENCE", 0.0)
    said.clear()
    whole = evaluate(*given, **more)
    ((table, place),) = told
    assert table["kid"] == quick["kid"] and json.loads(json.dumps(table, allow_nan=False)) == table
    assert "first table" in said[place - 1] and any("audit" in line for line in said[place:])
    assert "memorisation" in whole and whole["fake"]["n"] == 250 and "quick" not in whole

    monkeypatch.chdir(tmp_path)
    words = ["evaluate", "made.npz", "--real", "real.npz", "--features", "pixels", "--quick"]
    assert main(words) == 0
    assert "kernel distance" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"real.npz", "made.npz"}, "a first table leaves no files"
    assert main([*words, "--out", "kept"]) == 0
    assert json.loads((tmp_path / "kept" / "evaluation.json").read_text())["quick"] is True
    assert main([*words, "--unintended"]) == 2
    assert "leave out --quick" in capsys.readouterr().err


def test_linear_samples_have_the_mean_and_variance_of_the_data() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(500) % 2
    values = (rng.normal(3, 2, (500, 5)) + 20 * labels[:, None]).astype(np.float32)
    train = Part(values, labels, np.arange(500))
    made = linear_samples(train, 4000, seed=1)
    assert np.allclose(made.mean(axis=0), values.mean(axis=0), atol=0.6)
    assert np.allclose(made.std(axis=0), values.std(axis=0), rtol=0.05)
    by_class = linear_samples(train, 4000, seed=1, labels=np.repeat([0, 1], 2000))
    assert np.allclose(by_class[:2000].mean(axis=0), values[labels == 0].mean(axis=0), atol=0.2)
    assert np.allclose(by_class[2000:].std(axis=0), 2, atol=0.2)
    images = make_phantom("chest", 100, 0, size=(16, 16)).values
    drawn = linear_samples(Part(images, None, np.arange(100)), 50)
    assert drawn.dtype == np.uint8 and drawn.shape == (50, *images.shape[1:])


def test_what_cannot_be_measured_is_noted_and_the_rest_stands(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tiny, real = (rng.integers(0, 256, (count, 9, 9, 1), dtype=np.uint8) for count in (12, 60))
    np.save(tmp_path / "real.npy", real)
    result = evaluate(tiny, tmp_path / "real.npy")
    assert result["memorisation"]["verdict"] is None and "hold out more" in result["memorisation"]["reason"]
    assert "NOT TESTED" in "\n".join(lines(result))
    assert "ms_ssim" not in result and any(note.startswith("ms_ssim is left out") for note in result["notes"])
    assert "intensity" in result and result["precision"]["protocol"].count("k=5")


def test_numbers_are_written_plainly() -> None:
    assert [number(v) for v in (0.00012345, 12.0, 0.5, None, 123456.0)] == ["0.0001234", "12", "0.5", "-", "1.235e+05"]
    assert plain({"a": np.float32("nan"), "b": (np.int64(2), [float("inf")])}) == {"a": None, "b": [2, [None]]}


def test_runs_that_translate_are_judged_by_held_out_records_of_the_other_class(tmp_path: Path) -> None:
    data = toys.picture_folder(tmp_path / "data", 120, labels=("dark", "light"), side=16)
    run = toys.simple_run(tmp_path, "translate", data, domains=(0, 1))
    result = evaluate(run, audit=False, features="pixels")
    assert result["fake"]["n"] == result["real"]["heldout"] == 12
    expected = {"real", "linear", "untrained", "input", "colours"}
    assert set(result["anchors"]) == expected, "doing nothing and the trivial method stand beside it"
    assert result["beside"]["input"] == "the given records as they are" and "linear map" in result["beside"]["colours"]
    assert result["real"]["train"] == 48, "the real data is that of the target class alone"
    assert any("translated to light" in note for note in result["notes"])
    sets = open_sets(run, to="light")
    assert (sets.beside["input"].values == 255 - sets.generated.values).all()
    dark = ganvas.open_data(data, progress=False)
    held = dark.values[dark.heldout & (dark.labels == 0)]
    assert (sets.generated.values == 255 - held).all()
    with pytest.raises(GanvasError, match="did you mean 'light'"):
        evaluate(run, to="ligth")
    with pytest.raises(GanvasError, match="--to is for"):
        evaluate(data, data, to="light")


def test_runs_that_restore_are_judged_against_the_originals(tmp_path: Path) -> None:
    data = toys.picture_folder(tmp_path / "data", 60, side=16)
    run = toys.simple_run(tmp_path, "restore", data)
    result = evaluate(run, audit=False, features="pixels")
    held = ganvas.open_data(data, progress=False)
    true = held.values[held.heldout].astype(float)
    made = true[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2)
    wanted = (10 * np.log10(255**2 / ((made - true) ** 2).mean((1, 2, 3)))).mean()
    assert result["psnr"]["value"] == pytest.approx(wanted)
    assert result["psnr"]["low"] < wanted < result["psnr"]["high"]
    assert 0 < result["ms_ssim_to_original"]["value"] < 1
    small = torch.from_numpy(true[:, ::2, ::2]).permute(0, 3, 1, 2)
    grown = torch.nn.functional.interpolate(small, scale_factor=2, mode="bicubic").permute(0, 2, 3, 1).numpy()
    trivial = (10 * np.log10(255**2 / ((grown.clip(0, 255).round() - true) ** 2).mean((1, 2, 3)))).mean()
    assert result["anchors"]["bicubic"]["psnr"]["value"] == pytest.approx(trivial, abs=0.01)
    assert not {"precision", "diversity", "memorisation"} & set(result)
    assert "PSNR" in "\n".join(lines(result))
