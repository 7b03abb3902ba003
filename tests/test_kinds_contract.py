"""What every kind of data keeps to, whatever it is of: the table is asked, nothing here names a kind but for what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.data import open_data
from ganvas.data.phantoms import make_phantom
from ganvas.errors import DataError, GanvasError
from ganvas.kinds import Kind, describe, kind_names, kind_of, spec_from_dict
from ganvas.kinds.facets import Gridded, Mapped, Named, Piece, Reads, Whole, WritesLike
from ganvas.specs import spec_to_dict

NEEDS = {"mid": "mido", "parquet": "pyarrow", "nifti": "nibabel", "dicom": "pydicom", "graphml": "networkx", "ogg": "soundfile"}
SIZES: dict[str, dict[str, Any]] = {
    "sound": {"size": 1024},
    "image": {"size": 12},
    "solid": {"size": 8},
    "series": {"size": 24},
}
OTHER_FORM = {"graph": "the one graph of all records", "tokens": "indices of another vocabulary when symbols are missing"}


def records(name: str, count: int = 12) -> tuple[np.ndarray, Any]:
    """Some records of a kind and their spec: of its phantom, or random ones."""
    kind = kind_of(name)
    if isinstance(kind, Whole) and kind.says.phantom:
        made = make_phantom(kind.says.phantom, 400, 0)
        return made.values, made.spec
    if kind.says.phantom:
        size = SIZES.get(name, {})
        try:
            made = make_phantom(kind.says.phantom, count, 0, **size)
        except (TypeError, GanvasError):
            made = make_phantom(kind.says.phantom, count, 0)
        if made.spec is not None:
            return made.values, made.spec
    spec = kind.example(min(kind.says.example_size, 12), min(kind.says.example_channels, 6))
    return kind.blank(spec, count, np.random.default_rng(0)), spec


def written(name: str, folder: Path, format: str | None = None) -> tuple[np.ndarray, Any, list[Path]]:
    kind = kind_of(name)
    values, spec = records(name)
    folder.mkdir()
    paths = kind.write(values, spec, folder, format=format or kind.formats[0], depth=None, note={"run": "r"})
    return values, spec, paths


def reopened(name: str, place: Path, cache: Path) -> Any:
    return open_data(place, kinds=(name,), cache=cache, progress=False, heldout=0)


@pytest.mark.parametrize("name", kind_names())
def test_tensors_and_records_are_the_same(name: str) -> None:
    kind = kind_of(name)
    values, spec = records(name)
    tensor = kind.encode(values, spec, "cpu")
    assert tuple(tensor.shape[1:]) == tuple(spec.shape) and bool(tensor.isfinite().all())
    again = kind.decode(tensor, spec)
    assert again.shape == values.shape
    np.testing.assert_allclose(again.astype(float), values.astype(float), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", kind_names())
def test_a_spec_is_plain_values(name: str) -> None:
    kind = kind_of(name)
    for spec in (records(name)[1], kind.example(kind.says.example_size, kind.says.example_channels)):
        assert spec.kind == name and isinstance(spec, kind.spec) and hash(spec) == hash(spec_from_dict(spec_to_dict(spec)))
        assert spec_from_dict(spec_to_dict(spec)) == spec
        import json

        assert spec_from_dict(json.loads(json.dumps(spec_to_dict(spec)))) == spec
        assert describe(spec) and "\n" not in describe(spec)


@pytest.mark.parametrize("name", kind_names())
@pytest.mark.parametrize("rng", [None, 0])
def test_blank_records_can_be_played_with(name: str, rng: int | None) -> None:
    kind = kind_of(name)
    spec = kind.example(kind.says.example_size, kind.says.example_channels)
    values = kind.blank(spec, 3, None if rng is None else np.random.default_rng(rng))
    assert len(values) == 3 and tuple(kind.encode(values, spec, "cpu").shape) == (3, *spec.shape)


WAYS = [
    pytest.param(name, format, id=f"{name}-{format}")
    for name in kind_names()
    for format in kind_of(name).formats
    if format not in ("jpg", "webp")
]


@pytest.mark.parametrize(("name", "format"), WAYS)
def test_what_is_written_is_read_again(name: str, format: str, tmp_path: Path) -> None:
    if format in NEEDS:
        pytest.importorskip(NEEDS[format])
    try:
        values, _, paths = written(name, tmp_path / "out", format)
    except GanvasError as error:
        pytest.skip(f"these records are not written so: {error}")
    assert paths and all(path.is_file() and path.stat().st_size for path in paths)
    if format in ("mp3", "ogg", "stl", "obj", "ply") or name in OTHER_FORM:
        return  # what changes the values, by its nature
    place = paths[0] if len(paths) == 1 else tmp_path / "out"
    again = reopened(name, place, tmp_path / "cache")
    assert again.spec.kind == name
    if again.values.shape == values.shape:
        kept = np.asarray(again.values).astype(float)
        wide = float(np.nanmax(np.abs(values.astype(float)))) or 1.0
        assert np.allclose(kept, values.astype(float), rtol=1e-3, atol=2e-3 * wide, equal_nan=True)
    else:
        assert len(again) >= 1 and not kind_exact(name), (again.values.shape, values.shape)


def kind_exact(name: str) -> bool:
    """Whether files hold each record as it is (windows of series and cut sounds are found anew)."""
    return name in ("image", "points", "table", "label_map")


@pytest.mark.parametrize("name", kind_names())
def test_the_second_open_comes_from_the_cache(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = kind_of(name)
    _, _, paths = written(name, tmp_path / "out")
    place = paths[0] if len(paths) == 1 else tmp_path / "out"
    try:
        first = reopened(name, place, tmp_path / "cache")
    except DataError as error:  # of few records no data set can be made
        pytest.fail(str(error))

    def never(*arguments: Any, **more: Any) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(type(kind), "fill", never)
    second = reopened(name, place, tmp_path / "cache")
    np.testing.assert_array_equal(first.values, second.values)
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("name", kind_names())
def test_pictures_and_features(name: str) -> None:
    kind = kind_of(name)
    values, spec = records(name)
    pictures = [kind.picture(values, spec)]
    if isinstance(kind, Gridded):
        pictures.append(kind.grid(values[:4], spec, columns=2))
    for picture in pictures:
        assert picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8
        assert len(np.unique(picture)) > 1
    vectors = kind.vectors(values, spec)
    assert vectors.ndim == 2 and vectors.dtype == np.float32 and np.isfinite(vectors).all()
    assert isinstance(kind, Whole) or len(vectors) == len(values)
    if isinstance(kind, Named) and not isinstance(kind, Whole):
        found = kind.properties(values, spec)
        assert found and all(own.shape == (len(values),) for own in found.values())


@pytest.mark.parametrize("name", kind_names())
@pytest.mark.parametrize("content", [b"", b"\x00\x01\xff\xfe" * 40, b"\x89PNG\r\n\x1a\n"], ids=["empty", "bytes", "cut"])
def test_bad_files_are_refused_in_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    for suffix in kind_of(name).suffixes:
        path = tmp_path / f"bad{suffix}"
        path.write_bytes(content)
        with pytest.raises(GanvasError) as caught:
            reopened(name, path, tmp_path / "cache")
        assert "\n" not in str(caught.value) and "bad" in str(caught.value), suffix


def test_a_kind_has_few_members() -> None:
    members = {name for name in (*vars(Kind), *Kind.__annotations__) if not name.startswith("_")}
    assert len(members) <= 14


@pytest.mark.parametrize("name", [name for name in kind_names() if isinstance(kind_of(name), WritesLike)])
def test_what_a_run_is_put_to_use_on_comes_back_in_its_form(name: str, tmp_path: Path) -> None:
    """Read for use, written like its file and read again: the same records under the same name, also in a folder below."""
    kind = kind_of(name)
    assert isinstance(kind, Reads) and isinstance(kind, WritesLike)
    values, spec, paths = written(name, tmp_path / "made")
    if kind.spread:
        assert kind.encode(values[:1], spec, "cpu").dim() > kind.spread
    settings = {"axis": None, "fit": None, "seed": 0}
    for record, path in list(zip(values, paths, strict=True))[:2]:
        (piece,) = kind.read(path, spec, settings)
        np.testing.assert_allclose(piece.records[0].astype(float), record.astype(float), rtol=1e-4, atol=1e-4)
        shape = tuple(kind.encode(piece.records, piece.spec, "cpu").shape[1:])
        assert kind.resized(piece.spec, shape, piece.spec, 1).shape == shape
        format = kind.format_like(path)
        assert format in kind.formats
        given: dict[str, Any] = {"depth": None, "settings": settings, "scale": 1, "note": {"run": "r"}}
        result = kind.write_like([piece], tmp_path / "out" / "deep" / path.stem, path, format=format, **given)
        assert [one.relative_to(tmp_path / "out") for one in result] == [Path("deep") / path.name]
        (again,) = kind.read(result[0], spec, settings)
        np.testing.assert_allclose(again.records.astype(float), piece.records.astype(float), rtol=1e-4, atol=1e-4)
        two = [piece, Piece(piece.records, piece.spec)]
        more = kind.write_like(two, tmp_path / "two" / path.stem, None, format=format, **given)
        assert len(set(more)) == len(more) == 2 or len(more) == 1
        (fitted,) = kind.read(path, spec, {**settings, "fit": "crop"})
        assert fitted.records.shape[1:] == values.shape[1:], "of the size of training"


@pytest.mark.parametrize("name", [name for name in kind_names() if isinstance(kind_of(name), Mapped)])
def test_maps_are_shown_over_what_they_are_of(name: str) -> None:
    kind = kind_of(name)
    assert isinstance(kind, Mapped)
    values, spec = records(name)
    seen = kind.decode(kind.encode(values[:1], spec, "cpu"), kind.screen(spec))[0]
    picture = kind.mapped(seen, np.linspace(0, 1, seen[..., 0].size).reshape(seen.shape[:2]))
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
