"""stargan: asked for by name, an attribute changes and the others stay; without D's reading nothing changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.kinds import decode, encode
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.table.spec import BINARY, CLASS, NUMBER, TableSpec
from ganvas.store.records import Dataset, Field
from ganvas.systems.translation.stargan import Config, StarGan
from ganvas.uses import Work, build_options, find_use
from learning import most_seeds

PICTURE = ImageSpec(3, 16, 16)
COLOURS = {"blue": (60, 80, 200), "green": (60, 180, 80), "red": (210, 60, 60)}
TABLE = TableSpec(
    ("ground", "mark"), (CLASS, BINARY), (tuple(COLOURS), ("no", "yes")), (0.0, 0.0), (1.0, 1.0), (False, False), (-1, -1)
)
SPECS = {"picture": PICTURE, "attributes": TABLE}


def build(specs: Any = None, seed: int = 0, **settings: Any) -> StarGan:
    torch.manual_seed(seed)
    given = {
        "width": 8, "discriminator_width": 16, "blocks": 1, "skip": "mask", "labels_enter": "norms", "critic_turns": 2,
        "batch_size": 16, "learning_rate": 2e-3, "decay_start": 0.5, **settings,
    }  # fmt: skip
    return StarGan(specs or SPECS, build_config(Config, given))


def noise() -> Noise:
    return Noise.seeded(3)


def drawn(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pictures of grounds of a colour, with a dark bar no attribute tells, and a white mark in a corner or none."""
    pixels = np.empty((len(rows), 16, 16, 3), np.uint8)
    for own, (ground, mark) in zip(pixels, rows.astype(int), strict=True):
        own[:] = list(COLOURS.values())[ground]
        own[:, (bar := rng.integers(8, 14)) : bar + 2] = 20
        if mark:
            own[2:7, 2:7] = 255
    return pixels


def pictures(count: int = 200) -> Dataset:
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, 3, count), rng.integers(0, 2, count)], 1).astype(np.float32)
    fields = {"picture": Field(PICTURE, drawn(rows, rng)), "attributes": Field(TABLE, rows)}
    return Dataset(fields, None, np.arange(count), np.arange(count) >= count - 40, "pictures", "")


def seen(pixels: np.ndarray) -> np.ndarray:
    """(N, 2): the nearest ground colour, and whether the mark is there."""
    ground = pixels[:, 9:, :7].astype(float).mean((1, 2))
    near = np.abs(ground[:, None] - np.array(list(COLOURS.values()), float)).sum(2).argmin(1)
    return np.stack([near, pixels[:, 3:6, 3:6].astype(float).mean((1, 2, 3)) > 190], 1)


def learnt(rounds: int, seed: int = 0, **settings: Any) -> tuple[float, float]:
    """(shares of edits of held-out pictures that are right, and of the other attribute that are kept)."""
    data, system = pictures(), build(seed=seed, **settings)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=seed)}, seed=seed)
    for _ in range(rounds):
        engine.play_round()
    rows = data.heldout_indices()
    given, true = encode(data.fields["picture"].values[rows], PICTURE), np.asarray(data.fields["attributes"].values[rows])
    right, kept = [], []
    with engine.watching() as board:
        for place, (name, values) in enumerate(system.attributes().items()):
            for value, word in enumerate(values):
                found = seen(decode(board.edit(given, {name: word}, noise()), PICTURE))
                other = true[:, place] != value
                right.append((found[:, place] == value)[other])
                kept.append((found[:, 1 - place] == true[:, 1 - place])[other])
    return float(np.concatenate(right).mean()), float(np.concatenate(kept).mean())


@pytest.mark.slow
def test_what_is_asked_for_changes_and_the_rest_stays_and_without_reading_nothing_changes() -> None:
    right, kept = learnt(50)
    assert right > 0.8 and kept > 0.8, (right, kept)
    right, _ = learnt(25, class_weight=0.0)
    assert right < 0.5, right


def test_another_one_of_several_values_puts_the_first_off_and_what_is_unknown_is_left_out() -> None:
    gaps = replace(TABLE, missing=(True, True))
    system = build({"picture": PICTURE, "attributes": gaps})
    rows = np.array([[0, 1], [np.nan, 0], [2, np.nan]], np.float32)
    codes = system.codes(encode(rows, gaps))
    assert codes.tolist() == [[1, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0]]
    read = torch.randn(3, 5, requires_grad=True)
    system._misread(read, codes).mean().backward()
    assert read.grad is not None
    unknown = torch.tensor([[0, 0, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 1]], dtype=torch.bool)
    assert (read.grad[unknown] == 0).all() and (read.grad[~unknown] != 0).all()
    batch = Batch(noise(), {"picture": torch.zeros(3, 3, 16, 16), "attributes": encode(rows, gaps)})
    own, wanted = system._asked(batch, {})
    assert torch.equal(own, codes), "what is asked for takes nothing away from what is known"
    for values in (slice(0, 3), slice(3, 5)):
        assert (wanted[:, values].sum(1) >= own[:, values].sum(1)).all(), "an unknown target leaves the own value"


def test_of_columns_that_exclude_each_other_one_put_on_puts_the_others_off() -> None:
    names = ("Black_Hair", "Blond_Hair", "Glasses")
    hair = TableSpec(names, (BINARY,) * 3, (("no", "yes"),) * 3, (0.0,) * 3, (1.0,) * 3, (False,) * 3, (-1,) * 3)
    system = build({"picture": PICTURE, "attributes": hair}, exclusive="Black_Hair+Blond_Hair")

    def settled(changes: dict[str, str]) -> dict[str, int]:
        return {column.name: value for column, value in system._settled(changes).items()}

    assert settled({"Blond_Hair": "yes", "Glasses": "yes"}) == {"Blond_Hair": 1, "Glasses": 1, "Black_Hair": 0}
    assert settled({"Blond_Hair": "no"}) == {"Blond_Hair": 0}, "bald is no other colour"
    with pytest.raises(GanvasError, match="exclusive names 'Hat', which is no binary column that is learnt: Black_Hair"):
        build({"picture": PICTURE, "attributes": hair}, exclusive="Black_Hair+Hat")


def test_a_picture_of_another_size_keeps_its_size_and_what_is_left_alone() -> None:
    system = build()
    with torch.no_grad():
        system.generator.leave.bias[-1] = -50.0  # the mask: nothing of what is made
        large = torch.rand(2, 3, 40, 56) * 2 - 1
        assert torch.allclose(system.edit(large, {"mark": "yes"}, noise()), large, atol=1e-5)


def test_what_cannot_be_learnt_or_asked_for_is_told_in_one_line() -> None:
    numbers = TableSpec(("age",), (NUMBER,), ((),), (0.0,), (1.0,), (False,), (-1,))
    for specs, settings, told in (
        (SPECS, {"attributes": "grund"}, "no column 'grund' (did you mean 'ground'?)"),
        ({"picture": PICTURE, "attributes": numbers}, {}, "a column of words or of few whole numbers"),
        ({"picture": ImageSpec(3, 18, 16), "attributes": TABLE}, {}, "sides of 18x16: multiples of 4"),
    ):
        with pytest.raises(GanvasError) as error:
            build(specs, **settings)
        assert told in str(error.value) and "\n" not in str(error.value), str(error.value)
    system = build()
    use, work = find_use(system, "edit"), Work(system, SPECS)
    for words, told in (
        ((), "change what? Add  --change ground=red"),
        (("ground",), "is not NAME=VALUE"),
        (("grond=red",), "no attribute 'grond' (did you mean 'ground'?)"),
        (("ground=rad",), "ground is never 'rad'"),
        (("ground=red", "ground=blue"), "cannot be red and blue"),
    ):
        with pytest.raises(GanvasError) as error:
            use.tell(work, build_options(use, {"change": words}))  # type: ignore[misc]
        assert told in str(error.value) and "\n" not in str(error.value), str(error.value)


def test_files_are_edited_by_name_and_judged_by_what_they_show(tmp_path: Path) -> None:
    from PIL import Image

    from ganvas import apply, load, train
    from ganvas.proofs.stargan import draw_faces
    from ganvas.run.load import build_system
    from ganvas.run.opening import open_record_data

    root = draw_faces(tmp_path / "faces", 120, 10)
    run = tmp_path / "run"
    small = {"width": 4, "blocks": 1, "patch_depth": 2, "discriminator_width": 4, "batch_size": 8}
    train("stargan", root / "avataaars.csv", out=run, size=16, budget="2r", config=small, quiet=True)
    large = Image.open(root / "avataaars" / "0119.png").resize((48, 40))
    large.save(tmp_path / "one.png")
    made = apply(run, [tmp_path / "one.png"], out=tmp_path / "made", change=("glasses=sun", "skin=dark"))
    assert made["verb"] == "edit" and Image.open(made["files"][0]).size == (48, 40)
    assert "edited: glasses=sun, skin=dark" in str(Image.open(made["files"][0]).info)
    opened = load(run)
    work, data, use = opened.work(0), open_record_data(opened.record), find_use(opened.system, "edit")
    judged = use.judge(work, build_system(opened.record).eval(), data, 20, build_options(use, {}))  # type: ignore[misc]
    given = judged.beside["input"].values
    assert judged.values.shape == judged.untrained.shape == given.shape == (20, 16, 16, 3)
    assert not np.array_equal(judged.values, given)
    found = use.measure(work, data, 20)  # type: ignore[misc]
    asked, kept = found["attributes_as_asked"], found["attributes_kept"]
    assert 0 <= asked.value <= 1 and set(asked.more["by_attribute"]) <= {"glasses", "hair_colour", "skin"}
    assert kept.more["beside"]["input"]["value"] == 1, "what nobody changed is kept"
    assert asked.more["real"] > 0.6, "the reader reads real pictures"


@pytest.mark.slow
def test_told_the_difference_a_change_that_begins_as_nothing_comes_within_few_rounds() -> None:
    quick = {"skip": "change", "told": "difference", "changed_share": 0.5, "r1_weight": 0.1, "critic_turns": 1}
    right, kept = learnt(80, **quick, upsampling="resized", fold=2)
    assert right > 0.8 and kept > 0.8, (right, kept)


@most_seeds
def test_held_real_as_one_that_shows_it_a_change_comes_without_any_reading(seed: int) -> None:
    """The branch of each value teaches it: nothing else does, where D reads nothing."""
    quick = {"skip": "change", "told": "difference", "changed_share": 0.5, "r1_weight": 0.1, "critic_turns": 1}
    own = {**quick, "upsampling": "resized", "fold": 2, "class_weight": 0.0}
    right, kept = learnt(100, seed, **own, judged="asked")
    assert right > 0.25 and kept > 0.8, (right, kept)
    right, _ = learnt(40, seed, **own)
    assert right < 0.05, right


def test_a_branch_for_each_value_adds_what_it_says_where_the_value_is_asked_for() -> None:
    system = build(judged="asked")
    pictures, codes = torch.rand(2, 3, 16, 16) * 2 - 1, torch.eye(5)[[1, 4]]
    plain, _ = system.discriminator(pictures)
    asked, _ = system.discriminator(pictures, codes)
    with torch.no_grad():
        system.discriminator.fits.weight[1] = 0
    without, _ = system.discriminator(pictures, codes)
    assert torch.equal(without[0], plain[0])
    assert not torch.equal(asked[0], plain[0])
    assert torch.equal(without[1], asked[1]), "the branches of what is not asked for have no say"
    assert build().discriminator.fits is None, "runs of before have none"


def test_a_change_is_nothing_at_first_and_only_a_share_is_asked_for() -> None:
    system = build(skip="change", told="difference", changed_share=0.5, fold=2)
    pictures = torch.rand(32, 3, 16, 16) * 2 - 1
    assert torch.equal(system.edit(pictures, {"mark": "yes"}, noise()), pictures)
    rows = torch.cat([torch.eye(3)[torch.arange(32) % 3], (torch.arange(32) % 2)[:, None].float()], 1)
    own, wanted = system._asked(Batch(noise(), {"picture": pictures, "attributes": rows}), {})
    assert torch.equal(own, system.codes(rows))
    told = system._told(own, wanted)
    assert torch.equal(own + told, wanted)
    still = (told[:, :3] == 0).all(1).float().mean()
    assert 0.3 < float(still) < 1.0, "half are asked for, and some of these are of the same ground already"


def test_sides_that_cannot_be_folded_are_told() -> None:
    specs = SPECS | {"picture": ImageSpec(3, 20, 20)}
    with pytest.raises(GanvasError, match="multiples of 8"):
        build(specs, fold=2)
