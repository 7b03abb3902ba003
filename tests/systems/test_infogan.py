"""InfoGAN: classes found without labels because of the information term, codes that are set, and what is written of them."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.data.dataset import Dataset, Field
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.run.draw import draw
from ganvas.systems.synthesis.infogan import Config, InfoGan
from ganvas.uses import Work
from ganvas.uses.classify import matched
from ganvas.uses.sample import codes_of

SPEC = ImageSpec(channels=1, height=8, width=8)
SMALL = {"width": 8, "batch_size": 32, "latent_size": 2, "categories": 3, "numbers": 1}


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def small(**settings: Any) -> InfoGan:
    torch.manual_seed(0)
    return InfoGan(SPEC, Config(**{**SMALL, **settings}))


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(pictures (N, 8, 8, 1) uint8, what they show): a bright bar across, upright, or a frame; grey varies a little."""
    rng = np.random.default_rng(seed)
    shown = rng.integers(0, 3, count)
    pictures = rng.integers(20, 50, (count, 8, 8, 1)).astype(np.uint8)
    for picture, kind, light in zip(pictures, shown, rng.integers(180, 240, count), strict=True):
        if kind == 0:
            picture[3:5] = light
        elif kind == 1:
            picture[:, 3:5] = light
        else:
            picture[[0, -1]] = light
            picture[:, [0, -1]] = light
    return pictures, shown


def batch(count: int = 6) -> Batch:
    images = torch.from_numpy(drawn(count, 1)[0]).permute(0, 3, 1, 2).float() / 127.5 - 1
    return Batch(noise(1), {"real": images})


def test_an_undecided_recogniser_lacks_all_information_on_the_codes() -> None:
    system, shared = small(), {}
    torch.nn.init.zeros_(system.recogniser[-1].weight)
    torch.nn.init.zeros_(system.recogniser[-1].bias)
    terms = system.discriminate(batch(), Clock(), shared)
    assert terms["category"].item() == pytest.approx(math.log(3), rel=1e-5), "H(c) of three values"
    assert terms["numbers"].item() == pytest.approx(0.5 * shared["codes"][:, 1].square().mean().item() / 2, rel=1e-5)
    assert set(system.fool(batch(), Clock(), shared)) == {"fool", "category", "numbers"}
    assert set(small(numbers=0).discriminate(batch(), Clock(), {})) == {"real", "fake", "category"}
    assert set(small(categories=0).discriminate(batch(), Clock(), {})) == {"real", "fake", "numbers"}


def test_codes_are_uniform_and_those_that_are_set_are_kept() -> None:
    system = small(categories=5, numbers=2)
    codes = system._drawn(noise(), 4000)
    assert np.allclose(np.bincount(codes[:, 0].long().numpy()) / 4000, 0.2, atol=0.03)
    assert codes[:, 1:].amin() < -0.95 and codes[:, 1:].amax() > 0.95
    asked = torch.full((4000, 3), float("nan"))
    asked[:, 2] = 1.5
    kept = system._drawn(noise(), 4000, asked)
    assert (kept[:, 2] == 1.5).all() and torch.equal(kept[:, :2], codes[:, :2])
    with pytest.raises(GanvasError, match="infogan needs a code to find"):
        small(categories=0, numbers=0)


def test_codes_by_name_come_in_turn_and_wrong_ones_are_told() -> None:
    work = Work(small().eval(), {"real": SPEC}, name="infogan")
    assert codes_of(work, 5, ())["c1"].tolist() == [0, 1, 2, 0, 1], "categories in turn, as classes are"
    both = codes_of(work, 6, ("2=-2:+2",))
    assert list(zip(both["c1"], both["c2"], strict=True)) == [(0, -2), (0, 2), (1, -2), (1, 2), (2, -2), (2, 2)]
    assert set(codes_of(work, 3, ("c1=1",))["c1"]) == {1}
    for word, told in (
        ("c1=3", "c1 is a category: 0 to 2"),
        ("c3=1", r"there is no code 'c3' \(did you mean 'c1'.*codes: c1, c2|there is no code 'c3'"),
        ("c2=many", "is not NAME=VALUE with numbers"),
        ("c2=9", "is too far: c2 was taught -1 to 1, at most 5"),
    ):
        with pytest.raises(GanvasError, match=told):
            codes_of(work, 3, (word,))


def test_samples_are_written_with_the_codes_that_were_asked_for(tmp_path: Path) -> None:
    ganvas.train("infogan", drawn(40, 0)[0], out=tmp_path / "run", config=SMALL, budget="2r", quiet=True, sample_every=0.0)
    made = draw(tmp_path / "run", count=4, code=("c2=1.5",), out=tmp_path / "made")
    with (tmp_path / "made" / "codes.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["file"] for row in rows] == [Path(file).name for file in made["files"]]
    assert [row["c1"] for row in rows] == ["0", "1", "2", "0"] and {row["c2"] for row in rows} == {"1.5"}
    draw(tmp_path / "run", count=4, format="npz", out=tmp_path / "one")
    assert (tmp_path / "one" / "codes.csv").read_text().splitlines()[:2] == ["record,c1", "1,0"]
    ganvas.train("gan", drawn(40, 0)[0], out=tmp_path / "gan", budget="1r", quiet=True, sample_every=0.0)
    with pytest.raises(GanvasError, match="'gan' takes no codes"):
        draw(tmp_path / "gan", count=4, code=("c2=1.5",))


def test_the_picture_holds_z_along_a_row_and_moves_one_code() -> None:
    system = small().eval()
    with torch.no_grad():
        panel = system.show(batch(), noise())
        still = small(numbers=0).eval().show(batch(), noise())
    assert panel.records.shape == (3, 7, 1, 8, 8) and panel.columns[0] == "c2=-2" and panel.rows == ("c1=0", "c1=1", "c1=2")
    assert panel.records.shape == still.records.shape and set(still.columns) == {""}


def test_groups_get_one_class_each_and_left_over_ones_their_commonest() -> None:
    groups = np.array([0] * 10 + [1] * 6 + [2] * 4 + [1] * 3)
    labels = np.array([0] * 10 + [0] * 6 + [1] * 4 + [1] * 3)
    # By majority both groups 0 and 1 would be class 0; one each is best as 0 -> 0, 2 -> 1, and 1 is left over.
    assert matched(groups, labels, 3, 2).tolist() == [0, 0, 1]
    assert matched(groups[:16], labels[:16], 2, 2).tolist() == [0, 1]


def read(pictures: np.ndarray) -> np.ndarray:
    """What pictures (N, 8, 8) in [-1, 1] show, by the nearest of the three outlines. No network."""
    outlines = np.full((3, 8, 8), -1.0)
    outlines[0, 3:5], outlines[1, :, 3:5] = 1, 1
    outlines[2, [0, -1]], outlines[2, :, [0, -1]] = 1, 1
    flat, known = (values.reshape(len(values), -1) - values.reshape(len(values), -1).mean(1, keepdims=True)
                   for values in (pictures, outlines))  # fmt: skip
    return (flat @ known.T / np.linalg.norm(known, axis=1)).argmax(1)


def finds(rounds: int = 300, seed: int = 0, **settings: Any) -> tuple[float, float]:
    """(share of samples that show what their category stands for; share of pictures it never saw that are put into the category
    of what they show), after a short game without labels."""
    pictures, truth = drawn(600, 0)
    data = Dataset({"real": Field(SPEC, pictures)}, None, np.arange(600), np.zeros(600, bool), "bars", "bars")
    settings = {"numbers": 0, "generator_learning_rate": 2e-3, "discriminator_learning_rate": 1e-3, **settings}
    system = small(ema_half_life=500.0, **settings)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 32, seed=seed)}, seed=seed, check_every=50)
    for _ in range(rounds):
        engine.play_round()
    shown, truth = drawn(300, 9)
    asked = np.arange(300) % 3
    with engine.watching(), torch.no_grad():
        made = read(system.sample(300, noise(), codes=torch.from_numpy(asked[:, None]).float())[:, 0].numpy())
        found = system.classify(torch.from_numpy(shown).permute(0, 3, 1, 2).float() / 127.5 - 1, noise()).argmax(1).numpy()
    return float((matched(asked, made, 3, 3)[asked] == made).mean()), float(
        (matched(found, truth, 3, 3)[found] == truth).mean()
    )


def test_classes_are_found_because_of_the_information_term() -> None:
    found, plain = finds(), finds(information_weight=0.0)
    assert found[0] > 0.9 and found[1] > 0.9, found
    assert plain[0] < 0.6, "a generator that need not tell its category makes anything for any"


def test_reading_the_pictures_is_right() -> None:
    pictures, shown = drawn(100, 5)
    assert (read(pictures[..., 0] / 127.5 - 1) == shown).all()
