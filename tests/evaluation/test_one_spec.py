"""Samples of any kind, given as files, go by the spec of the real data: in other units they score badly, copies are found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.data.phantoms import make_phantom
from ganvas.data.twins import join_twins
from ganvas.errors import GanvasError
from ganvas.evaluation.judge import evaluate
from ganvas.kinds import kind_names, kind_of
from ganvas.kinds.facets import Whole
from ganvas.kinds.graph.kind import KIND as GRAPHS
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.label_map.kind import KIND as LABEL_MAPS
from ganvas.kinds.points.spec import PointsSpec
from ganvas.kinds.pose.spec import PoseSpec
from ganvas.kinds.table.spec import BINARY, CLASS, NUMBER, TableSpec
from ganvas.kinds.tune.spec import FIRST, MELODY

TRAIN, HELDOUT, UNSEEN = 80, 40, 40
COUNT = TRAIN + HELDOUT + UNSEEN


@dataclass
class Case:
    """Records (COUNT, ...), their spec, the format of files that keeps them, and a change that makes all of them wrong."""

    values: np.ndarray
    spec: Any
    format: str
    change: Callable[[np.ndarray], np.ndarray]


def images() -> Case:
    made = make_phantom("chest", COUNT, 0, size=32)
    values = np.asarray(made.values, np.uint8).reshape(COUNT, 32, 32, 1)
    return Case(values, ImageSpec(1, 32, 32), "png", lambda x: (x // 2 + 90).astype(np.uint8))


def points() -> Case:
    values = np.random.default_rng(0).standard_normal((COUNT, 3)).astype(np.float32)
    return Case(values, PointsSpec(3), "csv", lambda x: 10 * x + 1000)


def sounds() -> Case:
    made = make_phantom("words", COUNT, 0)
    return Case(np.asarray(made.values), made.spec, "wav", lambda x: 0.02 * x)


def series() -> Case:
    made = make_phantom("sensors:normal", COUNT, 0)
    return Case(np.asarray(made.values), made.spec, "csv", lambda x: 10 * x + 1000)


def solids() -> Case:
    made = make_phantom("solids", 2 * COUNT, 0, size=16)
    values = np.asarray(made.values)
    groups, _ = join_twins(kind_of("solid"), values, made.spec, np.arange(len(values)))  # the phantom draws some twice
    values = values[np.unique(groups, return_index=True)[1]][:COUNT]
    return Case(values, made.spec, "npz", lambda x: np.roll(x, 5, axis=1))


def tunes() -> Case:
    made = make_phantom("melodies", COUNT, 0)
    return Case(np.asarray(made.values), made.spec, "npz", lambda x: np.where(x > 2, len(made.spec.symbols) + 1 - x, x))


def rows() -> Case:
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 3, COUNT)
    values = np.stack([rng.normal(5, 2, COUNT) + kinds, rng.normal(size=COUNT), kinds, rng.integers(0, 2, COUNT)], 1)
    spec = TableSpec(
        ("height", "weight", "colour", "ripe"), (NUMBER, NUMBER, CLASS, BINARY),
        ((), (), ("blue", "green", "red"), ("no", "yes")),
        (0.0,) * 4, (1.0,) * 4, (False,) * 4, (-1,) * 4,
    )  # fmt: skip
    return Case(values.astype(np.float32), spec, "csv", lambda x: x * [10, 10, 1, 1] + [1000, 1000, 0, 0])


def maps() -> Case:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    fields = (
        gaussian_filter(rng.standard_normal((COUNT, 3, 24, 32)), (0, 0, 3, 3)) + np.array([0.1, 0, -0.1])[None, :, None, None]
    )
    return Case(fields.argmax(axis=1).astype(np.uint8), LABEL_MAPS.example((24, 32), 3), "png", lambda x: 2 - x)


def melodies() -> Case:
    made = make_phantom("tunes", COUNT, 0)

    def other(records: np.ndarray) -> np.ndarray:
        changed = records.copy()
        melody = changed[:, MELODY]
        melody[:] = np.where(melody >= FIRST, FIRST + 61, melody)  # one pitch, in no key; the chords stay
        return changed

    return Case(np.asarray(made.values), made.spec, "mid", other)


def poses() -> Case:
    from ganvas.data.phantoms.figures import JOINED, NAMES, angles, in_pixels, joints

    places = in_pixels(joints(angles(COUNT, 0)), (64, 64))
    values = np.concatenate([places, np.full((*places.shape[:2], 1), 2)], 2).astype(np.float32)
    links = tuple((NAMES.index(one), NAMES.index(other)) for one, other in JOINED)
    return Case(values, PoseSpec(64, 64, NAMES, links), "json", lambda x: np.concatenate([x[..., :2] * 0.5, x[..., 2:]], 2))


def clips() -> Case:
    made = make_phantom("clips", COUNT, 0, size=16)
    odd = np.arange(16)[None, :, None, None, None] % 2 == 1
    return Case(np.asarray(made.values), made.spec, "npz", lambda x: np.where(odd, 255 - x, x))  # every second frame negative


def volumes() -> Case:
    made = make_phantom("brain-volumes:ct", COUNT, 0, size=16)
    return Case(np.asarray(made.values), made.spec, "npz", lambda x: 0.5 * x + 200)  # no Hounsfield units any more


CASES: dict[str, Callable[[], Case]] = {
    "image": images, "points": points, "sound": sounds, "series": series, "solid": solids, "tokens": tunes, "table": rows,
    "label_map": maps, "pose": poses, "tune": melodies, "video": clips, "volume": volumes,
}  # fmt: skip


def test_every_kind_is_tried_here() -> None:
    assert set(CASES) == {name for name in kind_names() if not isinstance(kind_of(name), Whole)}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in ("solid", "image", "video") else ()) for name in CASES]
)
def test_other_units_score_badly_and_an_excerpt_is_found(name: str, tmp_path: Path) -> None:
    pytest.importorskip("soundfile" if name == "sound" else "numpy")
    case, kind = CASES[name](), kind_of(name)
    unseen = case.values[-UNSEEN:]
    sides = {
        "train": case.values[:TRAIN],
        "heldout": case.values[TRAIN:-UNSEEN],
        "unseen": unseen,
        "changed": np.asarray(case.change(unseen), unseen.dtype),
        "excerpt": np.concatenate([case.values[20:32], unseen[12:]]),
    }
    places = {}
    for side, records in sides.items():
        (tmp_path / side).mkdir()
        written = kind.write(records, case.spec, tmp_path / side, format=case.format, depth=None, note={})
        places[side] = written[0] if len(written) == 1 else tmp_path / side

    def judged(side: str, audit: bool = False) -> dict[str, Any]:
        features = "pixels" if name == "image" else None
        return evaluate(
            places[side], places["train"], places["heldout"], kind=name, anchors=False, audit=audit, features=features
        )

    honest, changed, excerpt = judged("unseen", audit=True), judged("changed"), judged("excerpt", audit=True)
    assert changed["fd"]["value"] > 3 * honest["fd"]["value"], "in other units they are other records"
    assert changed["kid"]["value"] > 5 * abs(honest["kid"]["value"])
    assert honest["memorisation"]["verdict"] == "clear", honest["memorisation"]["reason"]
    found = excerpt["memorisation"]
    assert found["verdict"] in ("suspect", "copies"), found["reason"]
    assert found["near_copies"]["exact"] + found["near_copies"]["changed"] >= 11
    assert found["could_not_see"][0].startswith("fewer than") and found["could_not_see"][1] == kind.says.overlooks


def test_a_graph_is_known_in_another_order_and_its_names_must_be_the_same(tmp_path: Path) -> None:
    made = make_phantom("communities", 400, 0)
    edges = np.asarray(made.values)
    for name, own in (("real", edges), ("same", np.random.default_rng(0).permutation(edges)[:, ::-1])):
        (tmp_path / name).mkdir()
        GRAPHS.write(own, made.spec, tmp_path / name, format="edges", depth=None, note={})
    real, same = (next((tmp_path / name).iterdir()) for name in ("real", "same"))
    found = evaluate(same, real, kind="graph", anchors=False)["memorisation"]
    assert found["could_not_see"] == [GRAPHS.says.overlooks]
    other = tmp_path / "other.edges"
    other.write_text("".join(f"n{a} n{b}\n" for a, b in edges.tolist()))
    with pytest.raises(GanvasError, match="the samples have a node 'n0' that the real graph has not"):
        evaluate(other, real, kind="graph", anchors=False)
