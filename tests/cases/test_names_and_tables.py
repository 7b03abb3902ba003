"""Files of other kinds, and names of files and folders, that were once read wrongly in silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import inputs
import numpy as np
import pytest

from ganvas.data.dataset import Dataset, open_data
from ganvas.errors import DataError


def opened(path: Path, **options: object) -> Dataset:
    return open_data(path, progress=False, **options)  # type: ignore[arg-type]


def test_a_class_may_be_called_mask(tmp_path: Path) -> None:
    inputs.class_called_mask(tmp_path)
    data = opened(tmp_path)
    assert len(data) == 24 and data.spec.classes == ("mask", "no_mask")


def test_masks_beside_their_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    inputs.class_called_mask(tmp_path / "from")
    for number, path in enumerate(sorted((tmp_path / "from" / "no_mask").iterdir())):
        for folder in ("images", "masks"):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / folder / f"{number}.png").write_bytes(path.read_bytes())
    data = opened(tmp_path / "set")
    assert len(data) == 12
    assert any("12 mask files left out" in note and "rename" in note for note in data.notes)


@pytest.mark.parametrize("layout", ["capital", "eval", "extra", "images-first", "years"])
def test_parts_that_public_sets_hold_out_are_not_trained_on(tmp_path: Path, layout: str) -> None:
    inputs.split_folder_words(tmp_path)
    data = opened(tmp_path / layout)
    assert np.asarray(data.values[data.train_indices()]).mean((1, 2, 3)).max() < 100
    assert data.spec.classes == (("ill", "well") if layout == "capital" else ())


def test_accents_are_the_same_in_both_encodings(tmp_path: Path) -> None:
    inputs.names_decomposed(tmp_path)
    data = opened(tmp_path)
    assert data.spec.classes == ("a", "b") and data.labels is not None and data.labels.tolist() == [0, 1] * 6


def test_names_that_are_not_utf8_are_read_and_told(tmp_path: Path) -> None:
    inputs.names_not_utf8(tmp_path)
    assert len(opened(tmp_path, size=16, fit="patches")) == 48
    done = subprocess.run(
        [sys.executable, "-m", "ganvas", "data", "check", str(tmp_path), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert json.loads(done.stdout)["records"] == 12


@pytest.mark.parametrize("seed", ["0", "3"])
def test_the_order_of_classes_does_not_depend_on_hashing(tmp_path: Path, seed: str) -> None:
    inputs.label_order_leading_zeros(tmp_path / "set")
    code = (
        "import sys; from ganvas.data import open_data; data = open_data(sys.argv[1], progress=False)\n"
        "print(data.spec.classes, [round(float(data.values[data.labels == k].mean()) / 10) for k in range(3)])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "GANVAS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "set")], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "('01', '1', '2') [22, 3, 12]"


@pytest.mark.parametrize("name", ["tags.edges", "tags.csv", "tags.graphml"])
def test_nodes_may_begin_with_the_mark_of_a_comment(tmp_path: Path, name: str) -> None:
    pytest.importorskip("networkx")
    inputs.graph_names_with_hash(tmp_path)
    data = opened(tmp_path / name, kinds=("graph",))
    assert (data.spec.nodes, len(data)) == (11, 55)
    from ganvas.kinds import kind_of

    for format in ("edges", "csv"):
        out = tmp_path / format
        out.mkdir()
        (file,) = kind_of("graph").write(np.asarray(data.values), data.spec, out, format=format, depth=None, note={"seed": "0"})
        again = opened(file, kinds=("graph",))
        assert (again.spec.nodes, len(again)) == (11, 55), format


@pytest.mark.parametrize("name", ["index.csv", "quoted.csv"])
def test_a_column_without_a_name_is_no_dimension(tmp_path: Path, name: str) -> None:
    inputs.points_with_index(tmp_path)
    data = opened(tmp_path / name)
    assert data.spec.dimensions == 2 and np.abs(data.values).max() <= 1
    assert any("holds row numbers and is left out" in note for note in data.notes)


def test_stamps_of_whole_seconds_do_not_hide_a_pause(tmp_path: Path) -> None:
    inputs.series_stamps_of_whole_seconds(tmp_path)
    data = opened(tmp_path, kinds=("series",), size=60, heldout=0.0)
    flow = np.asarray(data.values)[..., 0]
    assert not ((flow.min(1) < 1000) & (flow.max(1) > 8000)).any()
    assert data.spec.step == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["u.obj", "u.ply", "u-triangles.obj"])
def test_the_notch_of_a_concave_face_stays_open(tmp_path: Path, name: str) -> None:
    pytest.importorskip("trimesh")
    inputs.mesh_concave_faces(tmp_path)
    solid = np.asarray(opened(tmp_path / name, size=32, heldout=0.0, kinds=("solid",)).values)[0]
    assert int(solid.sum()) == 21000


@pytest.mark.parametrize("name", ["closed", "last", "none"])
def test_notes_without_an_end_are_kept_and_told(tmp_path: Path, name: str) -> None:
    pytest.importorskip("mido")
    inputs.midi_notes_left_open(tmp_path)
    from ganvas.kinds.tokens.files import read_held

    held = read_held(tmp_path / f"{name}.mid")
    assert [(note.start, note.pitch) for note in held.notes] == list(enumerate([60, 62, 64, 65, 67, 65, 64, 62]))
    assert all(note.end - note.start == 1 for note in held.notes)
    assert held.unended == {"closed": 0, "last": 1, "none": 8}[name]


def test_sounds_whose_header_was_never_finished(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    inputs.wav_length_unknown(tmp_path)
    whole, most = (np.asarray(opened(tmp_path / f"{name}.wav", size=4000, heldout=0.0).values) for name in ("whole", "most"))
    assert np.array_equal(whole, most)
    with pytest.raises(DataError, match="8000 bytes of sound lie behind"):
        opened(tmp_path / "zero.wav", size=4000)
    with pytest.raises(DataError, match="holds no sound"):
        opened(tmp_path / "empty.wav", size=4000)
