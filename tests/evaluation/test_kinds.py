"""Sounds, series and solids are judged as images are: by features with a name, and copies among the samples are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.data.dataset import open_data
from ganvas.errors import GanvasError
from ganvas.evaluation.judge import evaluate
from ganvas.kinds import kind_of

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


@pytest.mark.parametrize("kind", KINDS)
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
        given = {"anchors": name == "unseen", "kind": kind}
        return evaluate(tmp_path / name, tmp_path / "train", tmp_path / "heldout", out=tmp_path / f"{name} judged", **given)

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
    assert (tmp_path / "planted judged" / "evaluation.json").is_file()
    with pytest.raises(
        GanvasError, match=f"features 'effnet' cannot be taken of {kind_of(kind).says.noun}: choose one of pixels"
    ):
        evaluate(tmp_path / "unseen", tmp_path / "train", tmp_path / "heldout", kind=kind, features="effnet")


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
