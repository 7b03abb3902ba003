"""anime: samples show what was asked for by name; without the tags' loss they do not. The penalty is DRAGAN's."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.cli import main
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds import decode, encode
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.table.spec import BINARY, CLASS, NUMBER, TableSpec
from ganvas.networks.anime import Generator, TaggingDiscriminator
from ganvas.networks.columns import remember
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis.anime import Anime, Config
from ganvas.systems.synthesis.dcgan import DcGan
from ganvas.uses import Work
from ganvas.uses.sample import Options, attributes_of, measure, run

PICTURE = ImageSpec(3, 16, 16)
COLOURS = {"blue": (60, 80, 200), "green": (60, 180, 80), "red": (210, 60, 60)}
TABLE = TableSpec(
    ("ground", "mark"), (CLASS, BINARY), (tuple(COLOURS), ("no", "yes")), (0.0, 0.0), (1.0, 1.0), (False, False), (-1, -1)
)
SPECS = {"picture": PICTURE, "attributes": TABLE}
SMALL: dict[str, Any] = {
    "latent_size": 8, "width": 12, "blocks": 1, "doublings": 2, "discriminator_width": 16, "discriminator_blocks": 1,
    "adversarial_weight": 2.0, "generator_learning_rate": 2e-3, "discriminator_learning_rate": 1.5e-3, "batch_size": 16,
    "ema_half_life": 200.0,
}  # fmt: skip


def build(specs: Any = None, **settings: Any) -> Anime:
    torch.manual_seed(0)
    return Anime(specs or SPECS, build_config(Config, SMALL | settings))


def pictures(count: int = 240) -> Dataset:
    """Grounds of a colour, with a dark bar no attribute tells, and a white mark in a corner or none. Red ones have a mark."""
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, 3, count), rng.integers(0, 2, count)], 1).astype(np.float32)
    rows[rows[:, 0] == 2, 1] = 1
    pixels = np.empty((count, 16, 16, 3), np.uint8)
    for own, (ground, mark) in zip(pixels, rows.astype(int), strict=True):
        own[:] = list(COLOURS.values())[ground]
        own[:, (bar := rng.integers(8, 14)) : bar + 2] = 20
        if mark:
            own[2:7, 2:7] = 255
    fields = {"picture": Field(PICTURE, pixels), "attributes": Field(TABLE, rows)}
    return Dataset(fields, None, np.arange(count), np.arange(count) >= count - 40, "pictures", "")


def seen(pixels: np.ndarray) -> np.ndarray:
    """(N, 2): the nearest ground colour, and whether the mark is there."""
    ground = pixels[:, 9:, :7].astype(float).mean((1, 2))
    near = np.abs(ground[:, None] - np.array(list(COLOURS.values()), float)).sum(2).argmin(1)
    return np.stack([near, pixels[:, 3:6, 3:6].astype(float).mean((1, 2, 3)) > 190], 1)


def trained(rounds: int, **settings: Any) -> Engine:
    system = build(**settings)
    engine = Engine(system, {"data": open_stream(pictures(), system.feeds()["data"], 16, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    return engine


def obeyed(engine: Engine) -> float:
    """Share of attributes that samples show as asked for, of combinations that the data have."""
    shown = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1], [2, 1]]).repeat(20, 1)
    with engine.watching() as board, torch.no_grad():
        images = decode(board.sample(100, Noise.seeded(5), shown=shown), PICTURE, 8)
    return float((seen(images) == shown.numpy()).mean())


def test_samples_show_what_is_asked_for_and_without_the_tags_loss_they_do_not() -> None:
    engine = trained(150)
    right = obeyed(engine)
    assert right > 0.85, right
    right = obeyed(trained(60, tag_weight=0.0))
    assert right < 0.65, right
    found = measure(Work(engine.system.eval(), SPECS), pictures(), 40)["attributes_as_asked"]
    assert found.value > 0.7 and set(found.more["by_attribute"]) == {"ground", "mark"}


# The game


def batch(rows: np.ndarray, table: TableSpec = TABLE) -> Batch:
    count = len(rows)
    return Batch(Noise.seeded(0), {"picture": torch.rand(count, 3, 16, 16) * 2 - 1, "attributes": encode(rows, table)})


def test_the_adversarial_weight_is_the_number_of_tags_and_the_run_keeps_it() -> None:
    system = build(adversarial_weight=0.0)
    assert system.config.adversarial_weight == 5.0
    assert system.config.attributes == ("ground", "mark")
    dealt = batch(np.zeros((8, 2), np.float32))
    terms, lighter = (own.judge_and_tag(dealt, Clock(), {}) for own in (system, build(adversarial_weight=1.0)))
    assert float(terms["tags"].detach()) == pytest.approx(5 * np.log(2), abs=1.5), "a sum over tags"
    assert float(terms["real"].detach()) > 2 * float(lighter["real"].detach())


def test_what_is_not_known_of_a_picture_counts_in_no_loss_and_is_told_as_nothing() -> None:
    gaps = replace(TABLE, missing=(True, True))
    system = build({"picture": PICTURE, "attributes": gaps})
    rows = np.array([[0, 1], [np.nan, 0], [2, np.nan]], np.float32)
    codes = system.codes(encode(rows, gaps))
    assert codes.tolist() == [[1, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0]]
    logits = torch.randn(3, 5, requires_grad=True)
    system._mistagged(logits, codes, "tags")["tags"].backward()
    unknown = torch.tensor([[0, 0, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 1]], dtype=torch.bool)
    assert logits.grad is not None
    assert (logits.grad[unknown] == 0).all() and (logits.grad[~unknown] != 0).all()
    remember(system.rows, system.seen, system._columns, codes)
    assert system.learnt_rows().tolist() == [[0, 1], [-1, 0], [2, -1]]


def test_the_penalty_looks_around_real_pictures_at_logits_and_over_whole_pictures() -> None:
    system = build(penalty_weight=1.0)
    real = torch.rand(64, 3, 16, 16) * 2 - 1
    moved = system._perturbed(real, Noise.seeded(0)) - real
    assert float(moved.abs().max()) <= 0.5 * float(real.std()) + 1e-6
    assert abs(float(moved.mean())) < 0.01, "to both sides: no brightness is preferred"
    slope = torch.full((3, 16, 16), 2 / np.sqrt(3 * 256))
    system._source = lambda pictures: (pictures * slope).flatten(1).sum(1)  # type: ignore[method-assign]
    terms = system.judge_and_tag(batch(np.zeros((8, 2), np.float32)), Clock(), {})
    assert float(terms["penalty"].detach()) == pytest.approx(1.0, abs=1e-4), "a slope of length 2 is one too steep"
    assert "penalty" not in build(penalty_weight=0.0).judge_and_tag(batch(np.zeros((8, 2), np.float32)), Clock(), {})


def test_d_has_no_batchnorm_and_judges_each_picture_for_itself() -> None:
    network = TaggingDiscriminator((3, 24, 24), 5, 4, 2)
    assert not [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    images = torch.randn(4, 3, 24, 24)
    source, tags = network(images)
    assert source.shape == (4,) and tags.shape == (4, 5)
    assert torch.allclose(network(images[:2])[0], source[:2], atol=1e-5)
    assert float(tags.detach().min()) < 0, "logits: no sigmoid is in the network"


@pytest.mark.parametrize("shape", [(3, 16, 24), (1, 9, 13), (3, 33, 20)])
def test_any_size_and_depth_of_colour(shape: tuple[int, int, int]) -> None:
    assert Generator(6, shape, 4, 1, 3)(torch.randn(2, 6)).shape == (2, *shape)
    system = build({"picture": ImageSpec(*shape), "attributes": TABLE})
    assert system.sample(2, Noise.seeded(0)).shape == (2, *shape)
    assert system.discriminator(torch.zeros(2, *shape))[0].shape == (2,)


def test_what_cannot_be_learnt_is_told_in_one_line() -> None:
    numbers = TableSpec(("age",), (NUMBER,), ((),), (0.0,), (1.0,), (False,), (-1,))
    for specs, settings, told in (
        (SPECS, {"attributes": "grund"}, "anime: no column 'grund' (did you mean 'ground'?)"),
        ({"picture": PICTURE, "attributes": numbers}, {}, "anime needs a column of words or of few whole numbers"),
        ({"picture": ImageSpec(3, 6, 16), "attributes": TABLE}, {}, "6x16 are too small"),
    ):
        with pytest.raises(GanvasError) as error:
            build(specs, **settings)
        assert told in str(error.value) and "\n" not in str(error.value), str(error.value)


# Asking for attributes


def remembering() -> Work:
    system = build()
    data = pictures()
    remember(
        system.rows, system.seen, system._columns, system.codes(encode(np.asarray(data.fields["attributes"].values), TABLE))
    )
    return Work(system, SPECS, seed=3)


def test_what_is_not_asked_for_is_as_in_records_that_show_the_rest() -> None:
    work = remembering()
    shown = attributes_of(work, 400)
    assert shown is not None and np.array_equal(attributes_of(work, 7), shown[:7]), "the same whatever the count"
    assert not ((shown[:, 0] == 2) & (shown[:, 1] == 0)).any(), "what never goes together is not drawn"
    assert set(shown[:, 0]) == {0, 1, 2}
    red = attributes_of(work, 50, ["ground=red"])
    assert red is not None and (red == [2, 1]).all()
    never = attributes_of(work, 5, ["ground=red,mark=no"])
    assert never is not None and (never == [2, 0]).all(), "asked for is asked for"
    fresh = attributes_of(Work(build(), SPECS), 50)
    assert fresh is not None and set(fresh[:, 0]) == {0, 1, 2}, "before training every value comes"


def test_with_one_seed_samples_differ_in_nothing_but_what_is_asked_for() -> None:
    work = remembering()
    work.system.eval()
    with torch.no_grad():
        red, again, blue = (
            torch.cat(list(run(work, {}, Options(count=3, attributes=(word,)))["picture"]))
            for word in ("ground=red,mark=yes", "mark=yes,ground=red", "ground=blue,mark=yes")
        )
    assert torch.equal(red, again) and not torch.equal(red, blue)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ground"], "'ground' is not NAME=VALUE, as in  --attributes ground=red: this run has ground: blue, green, red; mark"),
        (["grond=red"], "no attribute 'grond' (did you mean 'ground'?): this run has ground: blue, green, red; mark: no, yes"),
        (["mark=yes,ground=rad"], "ground is never 'rad' (did you mean 'red'?): it is one of blue, green, red"),
        (["ground=red", "ground=blue"], "--attributes: ground cannot be red and blue: give one of them"),
    ],
)
def test_a_wrong_attribute_or_value_is_refused_with_the_right_ones(words: list[str], told: str) -> None:
    with pytest.raises(GanvasError) as error:
        attributes_of(Work(build(), SPECS), 2, words)
    assert told in str(error.value) and "\n" not in str(error.value), str(error.value)


def test_from_a_table_to_samples_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = pictures(48)
    (tmp_path / "data" / "all").mkdir(parents=True)
    lines = ["file,ground,mark"]
    rows = np.asarray(data.fields["attributes"].values).astype(int)
    for number, (values, (ground, mark)) in enumerate(zip(np.asarray(data.values), rows, strict=True)):
        Image.fromarray(values).save(tmp_path / "data" / "all" / f"{number:02d}.png")
        lines.append(f"all/{number:02d}.png,{list(COLOURS)[ground]},{['no', 'yes'][mark]}")
    table, folder, out = tmp_path / "data" / "all.csv", tmp_path / "run", tmp_path / "out"
    table.write_text("\n".join(lines) + "\n")
    small = {"width": 4, "latent_size": 4, "batch_size": 8, "blocks": 1, "discriminator_width": 4}
    ganvas.train("anime", table, out=folder, budget="2r", config=small, quiet=True, precision="32")
    asked = ["--attributes", "ground=green", "--attributes", "mark=yes"]
    assert main(["sample", str(folder), "-n", "2", *asked, "--out", str(out)]) == 0
    with (out / "attributes.csv").open() as file:
        told = list(csv.DictReader(file))
    assert [(row["ground"], row["mark"]) for row in told] == [("green", "yes")] * 2
    assert all((out / row["file"]).exists() for row in told)
    assert main(["sample", str(folder), "-n", "9", "--format", "npz", "--out", str(tmp_path / "one")]) == 0
    held = np.load(next((tmp_path / "one").glob("*.npz")))
    assert held["attributes"].shape == (9, 2) and set(held["attributes"][:, 0]) <= set(COLOURS)
    capsys.readouterr()
    assert main(["sample", str(folder), "--attributes", "hat=on"]) == 2
    assert "no attribute 'hat': this run has ground: blue, green, red" in capsys.readouterr().err
    loaded = ganvas.load(folder)
    first, other = (
        loaded.sample(2, attributes={"ground": value, "mark": "no"}, depth=32) for value in COLOURS if value != "red"
    )
    assert not np.array_equal(first, other)


def test_a_run_without_attributes_says_so() -> None:
    work = Work(DcGan(PICTURE, build_config(DcGan.Config, {"width": 4})), {"real": PICTURE}, name="dcgan")
    assert attributes_of(work, 2) is None
    with pytest.raises(GanvasError, match="'dcgan' knows no attributes: leave --attributes out"):
        attributes_of(work, 1, ["hair=blue"])
