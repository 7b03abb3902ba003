"""Which system is trained where none is named: by what the data holds, and by the table of what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import toys
from ganvas.cli import main
from ganvas.errors import DataError, GanvasError
from ganvas.registry import find
from ganvas.run import choosing, nearness, stages
from ganvas.run.budget import Budget
from ganvas.run.choosing import choose

TEN_MINUTES = Budget(seconds=600.0)


def pictures(folder: Path, count: int = 4, size: int = 16) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, (size, size, 3), dtype=np.uint8)).save(folder / f"{number:03d}.png")
    return folder


def chosen(data: Any, fields: str | None = None) -> str:
    return choose(data, fields, TEN_MINUTES).card.name


def test_pictures_with_and_without_classes(tmp_path: Path) -> None:
    pictures(tmp_path / "plain")
    plain = choose(tmp_path / "plain", None, TEN_MINUTES)
    assert plain.told.startswith(f"{plain.card.name}, images; nearest to unseen records of ")
    pictures(tmp_path / "two" / "day")
    pictures(tmp_path / "two" / "dusk")
    found = choose(tmp_path / "two", None, TEN_MINUTES)
    assert "images in 2 classes" in found.told
    assert found.card.task == plain.card.task, "other work, as translation, is told and not chosen"
    assert "cyclegan" in found.told.split("also: ")[1]


def test_pairs_go_to_a_system_of_pairs(tmp_path: Path) -> None:
    pictures(tmp_path / "photos")
    (tmp_path / "maps").mkdir()
    for number in range(4):
        Image.fromarray(np.eye(16, dtype=np.uint8) * (1 + number % 2)).save(tmp_path / "maps" / f"{number:03d}.png")
    card = find(chosen(tmp_path))
    assert set(card.fields) == {"photo", "map"}
    assert chosen(tmp_path, "photo=photos,map=maps") == card.name


def test_a_table_beside_pairs_does_not_lead_away_from_them(tmp_path: Path) -> None:
    """Street scenes have a column with the drive: systems that learn attributes are told, those of pairs come first."""
    pictures(tmp_path / "photos", 40)
    (tmp_path / "maps").mkdir()
    for number in range(40):
        Image.fromarray(np.eye(16, dtype=np.uint8) * (1 + number % 2)).save(tmp_path / "maps" / f"{number:03d}.png")
    rows = "\n".join(f"photos/{k:03d}.png,maps/{k:03d}.png,{'ab'[k % 2]}" for k in range(40))
    (tmp_path / "pairs.csv").write_text(f"photo,map,drive\n{rows}\n")
    found = choose(tmp_path, None, TEN_MINUTES)
    assert set(found.card.fields) == {"photo", "map"}, found.told
    assert "attributes" in found.told


def test_captions_beside_pictures_are_told_and_the_pictures_learnt(tmp_path: Path) -> None:
    pictures(tmp_path / "images", count=6)
    rows = "\n".join(f"images/{k:03d}.png,a picture of noise number {k}" for k in range(6))
    (tmp_path / "metadata.csv").write_text(f"file_name,caption\n{rows}\n")
    found = choose(tmp_path, None, TEN_MINUTES)
    assert not found.card.fields
    assert "gan-cls" in found.told


def test_suffixes_that_mean_several_kinds_are_tried(tmp_path: Path) -> None:
    (tmp_path / "verses.txt").write_text("".join(f"{chr(97 + k % 26)} line of verse\n" for k in range(80)))
    assert "tokens" in find(chosen(tmp_path / "verses.txt")).data
    solids = np.zeros((60, 16, 16, 16), bool)
    solids[:, 4:12, 4:12, 4:12] = True
    solids[np.arange(60), np.arange(60) % 4, 8, 8] = True
    np.savez(tmp_path / "shapes.npz", packed=np.packbits(solids.reshape(60, -1), axis=1))
    assert "solid" in find(chosen(tmp_path / "shapes.npz")).data


def test_phantoms_and_arrays() -> None:
    assert "series" in find(chosen("sensors")).data
    assert "graph" in find(chosen("communities")).data
    assert "image" in find(chosen(np.zeros((30, 16, 16), np.uint8))).data
    with pytest.raises(DataError, match="did you mean 'chest'"):
        choose("chst", None, TEN_MINUTES)
    with pytest.raises(DataError, match="no such file"):
        choose("nowhere/at/all", None, TEN_MINUTES)


def test_the_measured_table_decides_between_systems_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(**reached: dict[str, tuple[int, float]]) -> None:
        asked = ("outlines", "good")
        names = {name.replace("_", "-"): stage for name, stage in reached.items()}
        found = {name: stages.Row(name, "solid", "solids", 1000, 900.0, own, asked, "") for name, own in names.items()}
        monkeypatch.setattr(choosing, "rows_of", lambda system, kind: [found[system]] if system in found else [])

    measured(gan_3d={"outlines": (10, 100.0)}, latent_gan_3d={"outlines": (10, 200.0)})
    first = choose("solids", None, TEN_MINUTES)
    assert first.card.name == "gan-3d", "sooner"
    assert "to outlines in 100 s of one core; also: latent-gan-3d" in first.told
    measured(gan_3d={"outlines": (10, 100.0)}, latent_gan_3d={"outlines": (10, 200.0), "good": (90, 500.0)})
    assert chosen("solids") == "latent-gan-3d", "farther"
    assert choose("solids", None, Budget(seconds=300.0)).card.name == "gan-3d", "not within this budget"
    measured()
    assert "none was measured to come far" in choose("solids", None, TEN_MINUTES).told


def test_the_one_that_came_nearest_on_such_pictures_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def near(system: str, data: str, channels: int, records: int, distance: float) -> nearness.Near:
        return nearness.Near(system, "image", data, channels, records, 60.0, (distance, distance))

    found = (
        near("dcgan", "slices", 1, 40, 0.1), near("r3gan", "slices", 1, 40, 0.2),
        near("dcgan", "stamps", 3, 40, 0.2), near("r3gan", "stamps", 3, 40, 0.1),
        near("dcgan", "radiographs", 1, 4000, 0.2), near("r3gan", "radiographs", 1, 4000, 0.1),
    )  # fmt: skip
    monkeypatch.setattr(nearness, "rows", lambda: found)
    colour = choose(pictures(tmp_path / "colour", 12), None, TEN_MINUTES)
    assert colour.told.startswith(
        "r3gan, images; nearest to unseen records of stamps, the set most like it, in 60 s of one core; also: dcgan"
    )
    grey = choose("chest", None, TEN_MINUTES)
    assert grey.told.startswith("r3gan, images in 5 classes; nearest to unseen records of radiographs")
    assert chosen(np.zeros((30, 16, 16), np.uint8)) == "dcgan"
    assert chosen(np.zeros((30, 16, 16, 3), np.uint8)) == "r3gan"
    np.savez(tmp_path / "digits.npz", images=np.zeros((50, 16, 16), np.uint8))
    assert chosen(tmp_path / "digits.npz") == "dcgan"
    assert "unseen" not in choose("chest", None, Budget(seconds=30.0)).told, "nothing was compared in so short a time"
    mixed = pictures(tmp_path / "mixed", 4)
    Image.fromarray(np.zeros((9, 30), np.uint8)).save(mixed / "other.png")
    assert chosen(mixed) == "dcgan", "grey and colour: told when they are opened; the first set of as many"


def test_train_without_a_system(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--set", "width=4", "--budget", "2r", "--watch", "off", "--phantom-count", "40", "--size", "16"]
    assert main(["train", "--data", "chest", "--out", str(tmp_path / "run"), *small]) == 0
    assert "system: " in capsys.readouterr().err
    assert "\nsystem: " in (tmp_path / "run" / "config.yaml").read_text()


def test_data_that_no_system_learns_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "suited", lambda kind, found: [])
    with pytest.raises(GanvasError, match="no system was found for images in 5 classes.*ganvas systems"):
        choose("chest", None, TEN_MINUTES)


def test_pictures_that_move_are_clips_also_with_a_table_beside(tmp_path: Path) -> None:
    for folder in ("bare", "told"):
        toys.moving_pictures(tmp_path / folder, 6, 3)
    rows = "".join(f'{{"file": "{number}.gif", "speed": {number}.5}}\n' for number in range(6))
    (tmp_path / "told" / "facts.jsonl").write_text(rows)
    for folder in ("bare", "told"):
        found = choose(tmp_path / folder, None, TEN_MINUTES)
        assert "clips" in found.told and "video" in found.card.data, folder
