"""Twins of every kind that says what they are stay on one side of the split: a waveform at several gains, a tune in another
key, a turned solid, a series that begins later, a mirrored map, a clip that is mirrored and begins later, a mirrored volume of
less contrast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.data.dataset import open_data
from ganvas.data.phantoms import make_phantom
from ganvas.data.twins import join_twins
from ganvas.kinds import kind_names, kind_of
from ganvas.kinds.facets import Recognises
from ganvas.kinds.label_map.kind import KIND as LABEL_MAPS
from ganvas.kinds.solid.recognition import turned, turns
from ganvas.metrics import recognition

COUNT = 40


def sounds() -> tuple[np.ndarray, np.ndarray, Any]:
    made = make_phantom("words", COUNT, 1)
    values, gains = np.asarray(made.values, np.float32), 10 ** (np.linspace(-30, -6, COUNT) / 20)
    return values, (np.round(values * gains[:, None, None] * 32767) / 32767).astype(np.float32), made.spec


def series() -> tuple[np.ndarray, np.ndarray, Any]:
    rng = np.random.default_rng(3)
    long = rng.standard_normal((COUNT, 90, 4)).cumsum(axis=1) + rng.standard_normal((COUNT, 90, 4))
    spec = kind_of("series").example(60, 4)
    return long[:, 10:70].astype(np.float32), long[:, 4:64].astype(np.float32), spec


def solids() -> tuple[np.ndarray, np.ndarray, Any]:
    made = make_phantom("solids", 90, 1, size=16)
    spec, values = made.spec, np.asarray(made.values)
    groups, _ = join_twins(kind_of("solid"), values, spec, np.arange(len(values)))
    values = values[np.unique(groups, return_index=True)[1]][:COUNT]  # the phantom itself has some that are nearly the same
    assert len(values) == COUNT
    others = [np.roll(turned(record, turns()[1 + k % 23]), 1, axis=k % 3) for k, record in enumerate(values)]
    return values, np.stack(others), spec


def tunes() -> tuple[np.ndarray, np.ndarray, Any]:
    made = make_phantom("melodies", 400, 1)
    index = {symbol: k for k, symbol in enumerate(made.spec.symbols)}
    kept, others = [], []
    for record in np.asarray(made.values):
        moved = [str(int(s) + 3) if s.isdigit() else s for s in (made.spec.symbols[k] for k in record)]
        if all(symbol in index for symbol in moved):
            kept.append(record)
            others.append([index[symbol] for symbol in moved])
    assert len(kept) >= COUNT
    return np.stack(kept[:COUNT]), np.array(others[:COUNT], np.int32), made.spec


def maps() -> tuple[np.ndarray, np.ndarray, Any]:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    fields = gaussian_filter(rng.standard_normal((COUNT, 3, 48, 40)), (0, 0, 5, 5))
    values = fields.argmax(axis=1).astype(np.uint8)
    return values, values[:, :, ::-1].copy(), LABEL_MAPS.example((48, 40), 3)


def clips() -> tuple[np.ndarray, np.ndarray, Any]:
    made = make_phantom("clips", COUNT, 1, size=16)
    values = np.asarray(made.values)
    later = np.concatenate([values[:, 2:], values[:, -1:], values[:, -1:]], 1)
    return values, later[:, :, :, ::-1].copy(), made.spec


def volumes() -> tuple[np.ndarray, np.ndarray, Any]:
    made = make_phantom("brain-volumes", COUNT, 1, size=24)
    values = np.asarray(made.values)
    return values, np.rint(0.7 * values[:, :, :, ::-1] + 20).astype(np.uint8), made.spec


CASES: dict[str, Callable[[], tuple[np.ndarray, np.ndarray, Any]]] = {
    "sound": sounds, "series": series, "solid": solids, "tokens": tunes, "label_map": maps, "video": clips,
    "volume": volumes,
}  # fmt: skip


def test_each_kind_that_knows_records_again_is_tried_here() -> None:
    assert set(CASES) == {name for name in kind_names() if isinstance(kind_of(name), Recognises)}


@pytest.mark.parametrize("name", CASES)
def test_twins_are_joined_and_nothing_else(name: str) -> None:
    values, others, spec = CASES[name]()
    kind = kind_of(name)
    alone, said = join_twins(kind, values, spec, np.arange(COUNT))
    assert len(np.unique(alone)) == COUNT and not said, "records of their own stay alone"
    groups, notes = join_twins(kind, np.concatenate([values, others]), spec, np.arange(2 * COUNT))
    assert (groups[:COUNT] == groups[COUNT:]).mean() >= 0.95
    assert len(np.unique(groups)) >= COUNT
    (note,) = notes
    assert kind.changes in note and note.endswith("twins stay on one side of the split")


@pytest.mark.parametrize("name", CASES)
def test_twins_in_files_are_held_out_together(name: str, tmp_path: Path) -> None:
    pytest.importorskip("soundfile" if name == "sound" else "mido" if name == "tokens" else "numpy")
    values, others, spec = CASES[name]()
    kind = kind_of(name)
    (tmp_path / "data").mkdir()
    format = "mid" if name == "tokens" else "npz" if name in ("solid", "video") else kind.formats[0]
    kind.write(np.concatenate([values, others]), spec, tmp_path / "data", format=format, depth=None, note={})
    size = int(str(spec.size)) if name not in ("label_map", "video") else None
    data = open_data(tmp_path / "data", kinds=(name,), size=size, cache=tmp_path / "cache", progress=False)
    assert len(data) == 2 * COUNT and 0.1 < data.heldout.mean() < 0.3
    divided = data.heldout[:COUNT] != data.heldout[COUNT:]
    assert not divided.any(), f"{divided.sum()} twins are divided by the split"
    assert any("have twins" in note for note in data.notes)


def test_a_split_of_the_datas_own_is_kept_and_its_divided_twins_are_told(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    values, others, spec = sounds()
    for side, records in (("train", values), ("test", others[:5])):
        (tmp_path / "data" / side).mkdir(parents=True)
        kind_of("sound").write(records, spec, tmp_path / "data" / side, format="wav", depth=16, note={})
    data = open_data(tmp_path / "data", cache=tmp_path / "cache", progress=False)
    assert data.declared_split and data.heldout.sum() == 5
    assert any("5 held-out records have twins among the training records" in note for note in data.notes)


def test_silence_and_standstill_are_no_twins() -> None:
    spec = kind_of("sound").example(512, 1)
    quiet = np.zeros((6, 512, 1), np.float32)
    assert len(np.unique(join_twins(kind_of("sound"), quiet, spec, np.arange(6))[0])) == 6
    still = np.full((6, 40, 3), 2.0, np.float32)
    series_spec = kind_of("series").example(40, 3)
    assert len(np.unique(join_twins(kind_of("series"), still, series_spec, np.arange(6))[0])) == 6
    plain = np.zeros((6, 16, 12), np.uint8)
    assert len(np.unique(join_twins(LABEL_MAPS, plain, LABEL_MAPS.example((16, 12), 3), np.arange(6))[0])) == 6


def test_a_chain_of_everything_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows that lie by small steps further and further apart: each is like the next, the first and the last are not."""
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 40, 3))
    turn = np.linspace(0, 1.5, 60)[:, None, None]
    chain = (np.cos(turn) * first + np.sin(turn) * second).astype(np.float32)
    kind, spec = kind_of("series"), kind_of("series").example(40, 3)
    groups, notes = join_twins(kind, chain, spec, np.arange(60))
    assert np.bincount(groups).max() <= 12 and (not notes or "nearly all hang together" in notes[0])
    few = np.concatenate([chain[::30], chain[::30] + np.float32(1)])  # far apart, each there twice, at another level
    groups, notes = join_twins(kind, few, spec, np.arange(4))
    assert groups.tolist() == [0, 1, 0, 1] and "nearly all" not in notes[0]
    monkeypatch.setattr(recognition, "MOST", 50)
    groups, notes = join_twins(kind, chain, spec, np.arange(60))
    assert len(np.unique(groups)) == 60
    assert notes == ["twins were not looked for among 60 series (at most 50): give groups.csv"]
