"""Each class on its own while a run trains: one that collapses, one that is drawn as another, and no word of sound ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import ganvas
import toys
from ganvas.batches import Noise
from ganvas.config import build_config
from ganvas.data.dataset import open_data
from ganvas.health.alarms import ADVICE
from ganvas.health.classes import EACH, Classes, findings
from ganvas.health.quality import Quality
from ganvas.registry import load_system

NAMES = ("a", "b", "c", "rare")
MIDDLES = np.array([[0, 0, 0], [6, 0, 0], [0, 6, 0], [0, 0, 6]], np.float32)


def near(label: int, count: int, rng: np.random.Generator, scale: float = 1.0) -> np.ndarray:
    return (MIDDLES[label] + scale * rng.normal(size=(count, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def watched() -> Classes:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [100, 100, 100, 5])
    values = np.concatenate([near(c, int((labels == c).sum()), rng) for c in range(4)])
    train = np.arange(len(labels)) % 2 == 0
    return Classes(NAMES, labels, np.flatnonzero(train), np.flatnonzero(~train), lambda rows: values[rows], 0)


def told(watched: Classes, drawn: list[list[np.ndarray]], rounds: int = 100) -> list[tuple[str, str, int]]:
    """What looks at these samples of a, b and c say, one every so many rounds."""
    looks: list[dict[str, Any]] = []
    for number, sets in enumerate(drawn, 1):
        labels = np.repeat(np.arange(len(sets)), [len(own) for own in sets])
        looks.append({"round": rounds * number, "classes": watched.compare(np.concatenate(sets), labels)})
    return findings(looks)


def test_classes_that_are_drawn_well_are_left_alone(watched: Classes) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert told(watched, [[near(c, 30, rng) for c in range(3)] for _ in range(6)]) == []


def test_one_class_of_one_picture_is_named_while_the_others_are_fine(watched: Classes) -> None:
    rng = np.random.default_rng(1)

    def look(scale: float) -> list[np.ndarray]:
        return [near(0, 30, rng), near(1, 30, rng, scale), near(2, 30, rng)]

    ((kind, seen, since),) = told(watched, [look(1.0), look(0.02), look(0.02)])
    assert kind == "class collapse" and kind in ADVICE
    assert seen.startswith("samples of 'b' differ by 2% of what its real records do")
    assert since == 200
    assert told(watched, [look(0.02), look(1.0), look(0.02)]) == [], "it has not lasted"
    assert told(watched, [look(0.02), look(0.02)], rounds=40) == [], "a young generator draws one grey picture"
    prototypes = [look(0.4) for _ in range(4)]
    assert told(watched, prototypes[:3]) == []
    assert [kind for kind, _, _ in told(watched, prototypes)] == ["class collapse"], "less alike, and for longer"
    every = [[near(c, 30, rng, 0.02) for c in range(3)] for _ in range(2)]
    assert "3 of 3 classes" in told(watched, every)[0][1]


def test_one_class_drawn_as_another_is_named_and_a_run_that_follows_no_label_yet_is_not(watched: Classes) -> None:
    rng = np.random.default_rng(2)
    swapped = [[near(0, 30, rng), near(2, 30, rng), near(2, 30, rng)] for _ in range(2)]
    ((kind, seen, since),) = told(watched, swapped)
    assert kind == "class not drawn" and kind in ADVICE
    assert seen.startswith("0% of the samples of 'b' are nearest to real records of it, 98% of held-out ones")
    assert since == 100
    mixed = [near(c % 3, 1, rng) for c in range(90)]
    anything = [np.concatenate(mixed[c * 30 : c * 30 + 30]) for c in range(3)]
    assert told(watched, [anything, anything]) == []


def test_small_classes_get_samples_of_their_own_in_turn_and_tiny_ones_are_not_judged(watched: Classes) -> None:
    drawn = np.repeat([0, 1, 2], [40, 5, 10])
    assert watched.wanted(drawn, 100, 0).tolist() == [1] * (EACH - 5) + [2] * (EACH - 10)
    seen: set[int] = set()
    for number in range(8):
        wanted = watched.wanted(drawn[:0], EACH, number)
        assert len(wanted) == EACH
        seen |= set(wanted.tolist())
    assert seen == {0, 1, 2}, "the rare one has 3 records to compare with"
    few = watched.compare(near(0, EACH - 1, np.random.default_rng(0)), np.zeros(EACH - 1, np.int64))
    assert few == {}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("labelled") / "points.csv"
    rows = [f"{x:.4f},{y:.4f},{name}" for c, name in enumerate("uvw") for x, y, _ in near(c, 120, rng).tolist()]
    path.write_text("\n".join(["x,y,label", *rows]) + "\n")
    return path


def test_a_look_at_a_system_tells_of_the_class_it_has_collapsed_in(labelled: Path) -> None:
    dataset = open_data(labelled, heldout=0.4, seed=0, progress=False)
    assert dataset.labels is not None and dataset.spec.classes == ("u", "v", "w")
    system: Any = load_system("gan")[2]

    class Stuck(system):  # type: ignore[misc]
        """Draws two classes as they are, and the third always alike."""

        def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
            assert labels is not None, "samples are asked for by class"
            middles = torch.tensor(MIDDLES[:, :2])[labels]
            return (middles + noise.normal(count, 2) * torch.where(labels == 2, 0.01, 1.0)[:, None]) / scale

    from ganvas.kinds import encode

    values = np.asarray(dataset.values[:50])
    scale = float(np.abs(values).max() / np.abs(encode(values, dataset.spec).numpy()).max())
    quality = Quality(Stuck(dataset.spec, build_config(system.Config, toys.SMALL)).eval(), dataset, 0)
    quality.count = 100
    for round in (200, 300):
        entry, drawn = quality.look(round, 10 * round, 1.0)
        assert len(drawn) == 100, "what is drawn beside is not counted"
        assert set(entry["classes"]) == {"u", "v", "w"}
    collapsed = [seen for kind, seen, _ in quality.findings() if kind == "class collapse"]
    assert len(collapsed) == 1 and collapsed[0].startswith("samples of 'w' differ by ")


def test_a_run_keeps_the_numbers_of_each_class_and_goes_on_with_them(labelled: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"sample_every": 0, "evaluations": 4, "evaluation_share": 1000, "check_every": 2, "quiet": True}

    def looks(run: Path) -> list[Any]:
        return [look["classes"] for look in json.loads((run / "health.json").read_text())["looks"]]

    for name, more in (("straight", {}), ("pieces", {"save_every": 0})):
        ganvas.train("gan", labelled, out=tmp_path / name, budget="16r", heldout=0.4, config=toys.SMALL, **options, **more)
    ganvas.train(resume=tmp_path / "pieces", which="previous", quiet=True)
    assert looks(tmp_path / "pieces") == looks(tmp_path / "straight")
    assert all(set(look) == {"u", "v", "w"} for look in looks(tmp_path / "straight"))
