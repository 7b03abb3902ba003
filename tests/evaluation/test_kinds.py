"""Sounds, series and solids are judged as images are: by features with a name, and copies among the samples are found."""

from __future__ import annotations

import io
import json
import re
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toys
from ganvas.data.dataset import open_data
from ganvas.errors import GanvasError
from ganvas.evaluation.judge import evaluate
from ganvas.evaluation.page import _figure
from ganvas.evaluation.sets import Part, _both
from ganvas.kinds import kind_names, kind_of
from ganvas.kinds.facets import Heard, Seen
from ganvas.kinds.sound.spec import SoundSpec

KINDS: dict[str, tuple[str, str, str]] = {  # phantom, format of the files, features
    "sound": ("words", "wav", "log-mel"),
    "series": ("sensors:normal", "csv", "course"),
    "solid": ("solids", "npz", "voxels"),
}


def slightly_changed(kind: str, records: np.ndarray, spec: Any) -> np.ndarray:
    rng = np.random.default_rng(0)
    if kind == "solid":
        return np.where(rng.random(records.shape) < 0.004, 1 - records, records).astype(np.uint8)
    scale = np.asarray(spec.scale) if kind == "series" else np.sqrt(np.square(records).mean())
    changed: np.ndarray = (records + 0.02 * scale * rng.standard_normal(records.shape)).astype(np.float32)
    return changed


@pytest.mark.parametrize("kind", [pytest.param(name, marks=pytest.mark.slow if name == "solid" else ()) for name in KINDS])
def test_copies_are_found_and_unseen_records_are_clear(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("soundfile" if kind == "sound" else "numpy")
    phantom, format, features = KINDS[kind]
    data = open_data(phantom, phantom_count=200, heldout=0.0, progress=False)
    values = np.asarray(data.values)
    planted = values[150:].copy()
    planted[5:15] = slightly_changed(kind, values[20:30], data.spec)
    sides = {"train": values[:100], "heldout": values[100:150], "unseen": values[150:], "planted": planted}
    for name, records in sides.items():
        (tmp_path / name).mkdir()
        kind_of(kind).write(records, data.spec, tmp_path / name, format=format, depth=None, note={})

    def judged(name: str) -> dict[str, Any]:
        # Files, with every record drawn, are looked at once; anchors as well.
        given = {"anchors": name == "unseen", "kind": kind, "out": tmp_path / "planted judged" if name == "planted" else None}
        return evaluate(tmp_path / name, tmp_path / "train", tmp_path / "heldout", **given)

    clear, found = judged("unseen"), judged("planted")
    assert clear["features"]["name"].startswith(f"{features}/")
    assert clear["protocol"].startswith(f"{features}/")
    assert clear["memorisation"]["verdict"] == "clear", clear["memorisation"]["reason"]
    assert found["memorisation"]["verdict"] == "copies", found["memorisation"]["reason"]
    assert 8 <= found["memorisation"]["near_copies"]["value"] <= 14
    assert "near copies of a training record (" in found["memorisation"]["reason"]
    assert found["memorisation"]["tests"]["near_copies_features"] < 1e-4
    for judgement in (clear, found):
        assert judgement["memorisation"]["could_not_see"][1] == kind_of(kind).says.overlooks
    assert f"/{features}/" in clear["anchors"]["real"]["kid"]["protocol"]
    kept = json.loads((tmp_path / "planted judged" / "evaluation.json").read_text())
    suspects = kept["memorisation"]["suspects"]
    assert suspects == found["memorisation"]["suspects"]
    pairs = {(place_of(one["sample"]), place_of(one["record"])) for one in suspects}
    assert len(pairs & {(k + 6, k + 21) for k in range(10)}) >= 8, "the copies and their originals, by the names of their files"
    assert len(clear["memorisation"]["suspects"]) < len(suspects) / 2, "unseen shapes may be alike by chance, few of them"
    page = (tmp_path / "planted judged" / "audit.html").read_text()
    assert page.count(f"<figcaption>nearest training record: {suspects[0]['record']}") >= 1
    assert page.count('<img class="record"') == 60
    assert page.count('<audio controls preload="none" src="data:audio/wav;base64,UklGR') == (60 if kind == "sound" else 0)
    with pytest.raises(
        GanvasError, match=f"features 'effnet' cannot be taken of {kind_of(kind).says.noun}: choose one of pixels"
    ):
        evaluate(tmp_path / "unseen", tmp_path / "train", tmp_path / "heldout", kind=kind, features="effnet")


def place_of(name: str) -> int:
    """The number in `sample-0021.wav`, or in `samples.npz, record 21`."""
    return int(re.findall(r"\d+", name)[-1])


@pytest.mark.parametrize("name", kind_names())
def test_a_record_of_every_kind_is_shown_by_its_name(name: str) -> None:
    """There was "nothing to look at" but for images."""
    kind: Any = kind_of(name)
    spec = kind.example(*(kind.says.small or (kind.says.example_size, kind.says.example_channels)), ("a", "b"))
    values = kind.blank(spec, 3, np.random.default_rng(0))
    if isinstance(kind, Seen):
        part = Part(kind.common(values, spec, spec), None, np.arange(3), None, ("x.png", "<y>.png", "z.png"))
    else:
        part = Part(np.zeros((3, 1)), None, np.arange(3), (values, spec), ("x.png", "<y>.png", "z.png"))
    shown = _figure(name, "synthetic", part, 1, 2000)
    assert "<figcaption>synthetic: &lt;y&gt;.png" in shown
    assert 'src="data:image/png;base64,' in shown or re.search(r"<pre>[^<]+</pre>", shown)
    assert ("<audio" in shown) == isinstance(kind, Heard)


def test_a_sound_is_played_as_it_is_and_long_ones_in_part() -> None:
    spec = SoundSpec(800, 8000, 2)
    record = np.random.default_rng(0).uniform(-1, 1, (800, 2)).astype(np.float32)
    for most in (10**6, 3200):
        content, cut = kind_of("sound").heard(record, spec, most)  # type: ignore[attr-defined]
        with wave.open(io.BytesIO(content)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, 2, 800)
            heard = np.frombuffer(file.readframes(800), "<i2").reshape(-1, 2) / 32768
        assert np.abs(heard - record).max() < 1e-4
        assert cut == ""
    long = np.zeros((80_000, 1), np.float32)
    content, cut = kind_of("sound").heard(long, SoundSpec(80_000, 8000), 32_000)  # type: ignore[attr-defined]
    assert cut == "the first 2 s"
    assert len(content) == 32_044


def test_a_graph_is_drawn_beside_what_it_was_learnt_from(tmp_path: Path) -> None:
    pytest.importorskip("networkx")
    rng = np.random.default_rng(0)
    for name, extra in (("real", 200), ("made", 200)):
        pairs = [(k, (k + 1) % 60) for k in range(60)] + [tuple(rng.choice(60, 2, replace=False)) for _ in range(extra)]
        (tmp_path / f"{name}.edges").write_text("".join(f"n{a} n{b}\n" for a, b in pairs))
    evaluate(tmp_path / "made.edges", tmp_path / "real.edges", kind="graph", anchors=False, out=tmp_path / "judged")
    page = (tmp_path / "judged" / "audit.html").read_text()
    assert "<figcaption>synthetic</figcaption>" in page
    assert "<figcaption>learnt from</figcaption>" in page
    assert page.count('<img class="record"') == 2


def test_names_follow_records_through_the_cache_and_a_limit(tmp_path: Path) -> None:
    folder = toys.picture_folder(tmp_path / "pictures", 6)
    np.savez(folder / "two.npz", images=toys.pictures(2, 8, 8, seed=4))
    names = open_data(folder, progress=False).names()
    assert names == [f"00{k}.png" for k in range(6)] + ["two.npz, record 1", "two.npz, record 2"]
    assert open_data(folder, progress=False).names() == names, "from the cache"
    few = open_data(toys.picture_folder(tmp_path / "many", 12), progress=False, limit=4, heldout=0.0)
    assert len(few.names()) == 4
    assert set(few.names()) <= {f"{k:03d}.png" for k in range(12)}
    assert open_data(toys.pictures(3), progress=False, heldout=0.0).names() == [f"the array, record {k}" for k in (1, 2, 3)]


@pytest.mark.parametrize("kind", KINDS)
def test_features_hear_and_see_a_record_through_slight_noise(kind: str) -> None:
    """Each noisy record lies far nearer to itself than to any other one."""
    phantom, _, _ = KINDS[kind]
    data = open_data(phantom, phantom_count=40, heldout=0.0, progress=False)
    values = np.asarray(data.values)
    first = kind_of(kind).vectors(values, data.spec)
    second = kind_of(kind).vectors(slightly_changed(kind, values, data.spec), data.spec)
    distances = np.linalg.norm(first[:, None] - second[None], axis=2)
    others = distances + np.where(np.eye(len(distances)), np.inf, 0)
    assert np.mean(np.diag(distances) < 0.7 * others.min(axis=1)) > 0.9


def test_animated_pictures_are_judged_as_the_clips_that_they_are(tmp_path: Path) -> None:
    sides = [str(toys.moving_pictures(tmp_path / side, 10, 4)) for side in ("made", "real")]
    made, real = _both(*sides, None, None, True, 0, False, [])
    assert made.spec.kind == real.spec.kind == "video" and made.values.shape[1] == real.values.shape[1] == 4
