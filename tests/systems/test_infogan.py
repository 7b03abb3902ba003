"""InfoGAN: a category finds the classes of unlabelled images and is obeyed, and only with the information term."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.capabilities import TakesCodes
from ganvas.cli import main
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.proofs.infogan import properties
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis.infogan import Config, InfoGan
from ganvas.uses import Work
from ganvas.uses.classify import matched, measure
from ganvas.uses.sample import codes_of
from learning import most_seeds

SPEC = ImageSpec(1, 8, 8)
SETTINGS = {
    "width": 8, "units": 32, "batch_size": 32, "latent_size": 8, "values": 4, "numbers": 1, "number_weight": 1.0,
    "discriminator_learning_rate": 1e-3, "ema_half_life": 500.0,
}  # fmt: skip
ROUNDS = 400


def build(seed: int = 0, **settings: Any) -> InfoGan:
    torch.manual_seed(seed)
    return InfoGan(SPEC, build_config(Config, SETTINGS | settings))


def quarters(count: int = 384, classes: tuple[str, ...] = ()) -> tuple[Dataset, np.ndarray]:
    """A quarter of each image is bright, one more and one less; and which."""
    rng = np.random.default_rng(0)
    kinds = np.arange(count) % 4
    images = rng.integers(20, 60, (count, 8, 8, 1)).astype(np.uint8)
    for own, kind in zip(images, kinds, strict=True):
        top, left = 4 * (kind // 2), 4 * (kind % 2)
        own[top : top + 4, left : left + 4] = rng.integers(150, 256)
    spec = ImageSpec(1, 8, 8, classes=classes)
    held = (np.arange(count) % 8 < 4) & bool(classes)
    labels = kinds if classes else None
    return Dataset({"real": Field(spec, images)}, labels, np.arange(count), held, "quarters", ""), kinds


def brightest(images: np.ndarray) -> np.ndarray:
    """(N,) the quarter of images (N, 8, 8) that is brightest."""
    return images.reshape(-1, 2, 4, 2, 4).mean((2, 4)).reshape(-1, 4).argmax(1)


@cache
def learnt(information_weight: float, seed: int) -> Engine:
    system = build(seed, information_weight=information_weight)
    dataset, _ = quarters()
    engine = Engine(system, {"data": open_stream(dataset, system.feeds()["data"], 32, seed=seed)}, seed=seed)
    for _ in range(ROUNDS):
        engine.play_round()
    return engine


def obeyed(engine: Engine) -> float:
    """Share of samples that show the quarter for which their category stands."""
    codes = torch.zeros(200, 2)
    codes[:, 0] = torch.arange(200) % 4
    with engine.watching() as system:
        images = system.sample(200, Noise.seeded(5), codes=codes)[:, 0].numpy()
    seen = brightest(images)
    return float((matched(codes[:, 0].long().numpy(), seen, 4, 4) == seen).mean())


@most_seeds
def test_samples_follow_the_category_with_the_information_term_and_not_without(seed: int) -> None:
    assert obeyed(learnt(1.0, seed)) > 0.95
    assert obeyed(learnt(0.0, seed)) < 0.8


@most_seeds
def test_real_records_are_put_into_the_classes_that_were_found(seed: int) -> None:
    dataset, kinds = quarters()
    images = torch.from_numpy(np.asarray(dataset.values)).permute(0, 3, 1, 2) / 127.5 - 1
    with learnt(1.0, seed).watching() as system:
        probabilities = system.classify(images, Noise.seeded(0))
    assert torch.allclose(probabilities.sum(1), torch.ones(len(images)), atol=1e-5)
    assert (matched(probabilities.argmax(1).numpy(), kinds, 4, 4) == kinds).mean() > 0.95


@most_seeds
def test_the_number_changes_one_thing_gradually(seed: int) -> None:
    steps = torch.linspace(-1, 1, 7)
    means = []
    with learnt(1.0, seed).watching() as system:
        for step in steps:
            images = system.sample(100, Noise.seeded(6), codes=torch.tensor([[0.0, float(step)]]).expand(100, 2))
            means.append(float(images.mean()))
    assert abs(spearmanr(steps.numpy(), means).statistic) > 0.9, "brightness is all that a quarter leaves open"


@most_seeds
def test_a_run_is_judged_by_the_classes_it_found(seed: int) -> None:
    dataset, _ = quarters(classes=("a", "b", "c", "d"))
    with learnt(1.0, seed).watching() as system:
        found = measure(Work(system, {"real": SPEC}), dataset, 200)["classified"]
    assert found.value > 0.95
    assert "matched one to one" in found.protocol


def test_found_values_stand_for_classes_one_to_one() -> None:
    found, truth = np.array([2, 2, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1, 1])
    assert matched(found, truth, 3, 2).tolist() in ([0, 0, 1, 1, -1, -1], [0, 0, -1, -1, 1, 1])


# The game


def terms_of(system: InfoGan, turn: str) -> dict[str, torch.Tensor]:
    batch = Batch(Noise.seeded(0), {"real": torch.zeros(32, 1, 8, 8)})
    terms: dict[str, torch.Tensor] = getattr(system, turn)(batch, Clock(), {})
    return terms


def test_real_records_say_nothing_about_codes_and_the_constant_entropy_is_left_out() -> None:
    system = build()
    terms = terms_of(system, "discriminate")
    assert set(terms) == {"real", "fake", "category", "number"}
    assert float(terms["category"].detach()) == pytest.approx(np.log(4), abs=0.5)
    gradient = torch.autograd.grad(terms["real"], list(system.recogniser.parameters()), allow_unused=True)
    assert all(own is None for own in gradient)


@pytest.mark.parametrize(("weight", "heard"), [(1.0, True), (0.0, False)])
def test_with_a_weight_of_0_only_q_hears_of_the_code(weight: float, heard: bool) -> None:
    system = build(information_weight=weight)
    for turn, network in (("discriminate", system.features), ("fool", system.generator)):
        terms = terms_of(system, turn)
        parameters = list(network.parameters())
        reached = torch.autograd.grad(terms["category"], parameters, allow_unused=True, retain_graph=True)
        assert any(own is not None for own in reached) == heard
        own = torch.autograd.grad(terms["category"], list(system.recogniser.parameters()))
        assert float(own[0].abs().sum()) > 0


def test_several_categories_and_none() -> None:
    several = build(categories=3, values=5, numbers=0)
    assert [code.values for code in several.known_codes()] == [5, 5, 5]
    assert several.eval().sample(4, Noise.seeded(0)).shape == (4, 1, 8, 8)
    assert set(terms_of(build(categories=3, numbers=0), "fool")) == {"fool", "category"}
    alone = build(categories=0, numbers=2).eval()
    assert set(terms_of(alone, "fool")) == {"fool", "number"}
    with pytest.raises(GanvasError, match="no category to read: train with categories=1"):
        alone.classify(torch.zeros(2, 1, 8, 8), Noise.seeded(0))
    with pytest.raises(GanvasError, match="without codes is dcgan: set categories or numbers"):
        build(categories=0, numbers=0)


def test_one_seed_gives_the_same_but_for_the_code() -> None:
    system = build().eval()
    assert isinstance(system, TakesCodes)
    codes = torch.tensor([[1.0, 0.5]] * 3)
    first, again = (system.sample(3, Noise.seeded(4), codes=codes) for _ in range(2))
    other = system.sample(3, Noise.seeded(4), codes=torch.tensor([[2.0, 0.5]] * 3))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# Asking for codes


def test_what_is_not_asked_for_comes_in_turn_and_at_random() -> None:
    work = Work(build(), {"real": SPEC}, seed=3)
    codes = codes_of(work, 9)
    assert codes is not None
    assert codes[:, 0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert (np.abs(codes[:, 1]) <= 1).all() and len(np.unique(codes[:, 1])) == 9
    few = codes_of(work, 4)
    assert few is not None and np.array_equal(few, codes[:4])
    asked = codes_of(work, 2, ["0=3,1=+2"])
    assert asked is not None and asked.tolist() == [[3, 2], [3, 2]]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["3"], "'3' is not NAME=VALUE, as in  --code 0=1; codes: 0: one of 0 to 3, 1: a number from -3 to 3"),
        (["7=1"], "no code '7'; codes: 0: one of 0 to 3, 1: a number from -3 to 3"),
        (["0=4"], "'4' is no value of code 0; codes: 0: one of 0 to 3"),
        (["0=1.5"], "'1.5' is no value of code 0"),
        (["1=much"], "'much' is no value of code 1"),
        (["1=nan"], "'nan' is no value of code 1"),
        (["0=1", "0=2"], "0 cannot be 1 and 2: give one of them"),
    ],
)
def test_a_wrong_code_is_refused_with_the_right_ones(words: list[str], match: str) -> None:
    with pytest.raises(GanvasError, match=match.replace("+", r"\+")):
        codes_of(Work(build(), {"real": SPEC}), 2, words)


def test_from_files_to_samples_by_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    for number, values in enumerate(np.asarray(quarters(48)[0].values)):
        Image.fromarray(values[..., 0]).save(tmp_path / "data" / f"{number:02d}.png")
    small = {"width": 4, "units": 8, "latent_size": 4, "batch_size": 8, "values": 3}
    ganvas.train("infogan", tmp_path / "data", out=tmp_path / "run", budget="2r", config=small, quiet=True, precision="32")
    run, out = tmp_path / "run", tmp_path / "out"
    assert main(["sample", str(run), "-n", "2", "--code", "0=2", "--code", "1=+2,2=-1", "--out", str(out)]) == 0
    with (out / "codes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["code 0"], row["code 1"], row["code 2"]) for row in rows] == [("2", "2", "-1")] * 2
    assert all((out / row["file"]).exists() for row in rows)
    assert main(["sample", str(run), "-n", "3", "--format", "npz", "--out", str(tmp_path / "one")]) == 0
    held = np.load(next((tmp_path / "one").glob("*.npz")))
    assert held["codes"][:, 0].tolist() == [0, 1, 2]
    capsys.readouterr()
    assert main(["sample", str(run), "--code", "colour=3"]) == 2
    assert "no code 'colour'" in capsys.readouterr().err
    loaded = ganvas.load(run)
    first, other = (loaded.sample(2, codes={"0": value}, depth=32) for value in (1, 2))
    assert not np.array_equal(first, other)
    assert main(["apply", str(run), str(tmp_path / "data"), "--as", "classify", "--out", str(tmp_path / "table")]) == 0
    assert "0=" in (tmp_path / "table" / "scores.csv").read_text()


def test_properties_are_what_they_are_called() -> None:
    images = np.zeros((3, 16, 16, 1), np.uint8)
    images[0, 2:14, 7:9] = 255  # upright
    images[1, 2:14, 4:12] = 255  # wide
    for row in range(2, 14):
        images[2, row, row : row + 2] = 255  # slanted
    found = properties(images)
    assert found["slant"][0] == pytest.approx(0, abs=1e-6)
    assert found["slant"][2] == pytest.approx(1, abs=0.01)
    assert found["width"][1] > 2 * found["width"][0]
    assert found["ink"][1] == pytest.approx(4 * found["ink"][0])
