"""icgan: a picture is encoded, an attribute changed, and drawn again: the attribute is as asked, what none tells is kept.
Without E_z's turn it is not. E_z learns from made pictures, by the generator as it is used; attributes have one scale."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.health.losses import Balance, cross_entropies
from ganvas.health.samples import Variety
from ganvas.kinds import decode, encode
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.table.spec import BINARY, CLASS, NUMBER, TableSpec
from ganvas.networks.icgan import Encoder, TellingDiscriminator
from ganvas.store.records import Dataset, Field
from ganvas.systems.translation.icgan import PRESETS, Config, IcGan

PICTURE = ImageSpec(3, 16, 16)
COLOURS = {"blue": (60, 80, 200), "green": (60, 180, 80), "red": (210, 60, 60)}
TABLE = TableSpec(
    ("ground", "mark"), (CLASS, BINARY), (tuple(COLOURS), ("no", "yes")), (0.0, 0.0), (1.0, 1.0), (False, False), (-1, -1)
)
SPECS = {"picture": PICTURE, "attributes": TABLE}
SMALL: dict[str, Any] = {
    "latent_size": 2, "width": 12, "encoder_width": 16, "encoder_units": 64, "attribute_units": 64, "batch_size": 16,
    "generator_learning_rate": 1e-3, "discriminator_learning_rate": 1e-3, "encoder_learning_rate": 2e-3, "encoder_beta1": 0.5,
    "ema_half_life": 200.0, "game_share": 0.5,
}  # fmt: skip


def build(specs: Any = None, **settings: Any) -> IcGan:
    torch.manual_seed(0)
    return IcGan(specs or SPECS, build_config(Config, SMALL | settings))


def noise() -> Noise:
    return Noise.seeded(3)


def pictures(count: int = 240) -> Dataset:
    """Grounds of a colour, with a plate whose shade of grey no attribute tells, and a white mark in a corner or none."""
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, 3, count), rng.integers(0, 2, count)], 1).astype(np.float32)
    pixels = np.empty((count, 16, 16, 3), np.uint8)
    for own, (ground, mark) in zip(pixels, rows.astype(int), strict=True):
        own[:] = list(COLOURS.values())[ground]
        own[:, 9:] = rng.integers(0, 256)
        if mark:
            own[2:7, 2:7] = 255
    fields = {"picture": Field(PICTURE, pixels), "attributes": Field(TABLE, rows)}
    return Dataset(fields, None, np.arange(count), np.arange(count) >= count - 40, "pictures", "")


def seen(pixels: np.ndarray) -> np.ndarray:
    """(N, 2): the nearest ground colour, and whether the mark is there."""
    ground = pixels[:, 9:, :7].astype(float).mean((1, 2))
    near = np.abs(ground[:, None] - np.array(list(COLOURS.values()), float)).sum(2).argmin(1)
    return np.stack([near, pixels[:, 3:6, 3:6].astype(float).mean((1, 2, 3)) > 190], 1)


def shade(pixels: np.ndarray) -> np.ndarray:
    """(N,): of the plate."""
    return np.asarray(pixels[:, :, 10:].astype(float).mean((1, 2, 3)))


ROUNDS = 400


@cache
def learnt() -> Engine:
    data, system = pictures(), build()
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=0)}, seed=0)
    for number in range(ROUNDS):
        engine.progress = number / ROUNDS
        engine.play_round()
    return engine


def judged(system: Any) -> tuple[float, float]:
    """(shares of edits of held-out pictures that are right, and of the other attribute that are kept)."""
    data = pictures()
    rows = data.heldout_indices()
    values, true = np.asarray(data.fields["picture"].values[rows]), np.asarray(data.fields["attributes"].values[rows])
    given = encode(values, PICTURE)
    right, kept = [], []
    for place, (name, words) in enumerate(system.attributes().items()):
        for value, word in enumerate(words):
            found = seen(decode(system.edit(given, {name: word}, noise()), PICTURE))
            other = true[:, place] != value
            right.append((found[:, place] == value)[other])
            kept.append((found[:, 1 - place] == true[:, 1 - place])[other])
    return float(np.concatenate(right).mean()), float(np.concatenate(kept).mean())


def off(system: Any) -> float:
    """How far plates are from their shade when made pictures are drawn again."""
    given = system.sample(60, noise(), shown=torch.tensor([[ground, 1] for ground in range(3)] * 20))
    again = system.edit(given, {}, noise())
    return float(np.abs(shade(decode(again, PICTURE)) - shade(decode(given, PICTURE))).mean())


def test_an_attribute_changes_and_the_rest_is_found_again_and_without_e_z_it_is_not() -> None:
    engine = learnt()
    with engine.watching() as board, torch.no_grad():
        right, kept = judged(board)
        assert right > 0.85 and kept > 0.85, (right, kept)
        trained, found = board.latent_encoder, off(board)
        board.latent_encoder = build().latent_encoder.eval()
        try:
            without = off(board)
        finally:
            board.latent_encoder = trained
    assert found < 0.3 * without, (found, without)


def test_samples_show_what_is_asked_for() -> None:
    shown = torch.tensor([[ground, mark] for ground in range(3) for mark in range(2)]).repeat(10, 1)
    with learnt().watching() as watched, torch.no_grad():
        board: Any = watched
        made = decode(board.sample(60, noise(), shown=shown), PICTURE)
        assert float((seen(made) == shown.numpy()).mean()) > 0.85
        assert set(board.learnt_rows()[:, 0].tolist()) == {0, 1, 2}


# The game


def batch(rows: np.ndarray, table: TableSpec = TABLE) -> Batch:
    count = len(rows)
    return Batch(noise(), {"picture": torch.rand(count, 3, 16, 16) * 2 - 1, "attributes": encode(rows, table)})


def test_the_encoders_learn_when_the_game_is_over_and_what_they_turn_round_stays() -> None:
    system = build()
    game, encoders = system.phases()
    assert [turn.player for turn in game.turns] == ["discriminator", "generator"]
    assert [turn.player for turn in encoders.turns] == ["latent_encoder", "attribute_encoder"]
    assert not game.finished(Clock(progress=0.49)) and game.finished(Clock(progress=0.51))
    engine = Engine(system, {"data": open_stream(pictures(), system.feeds()["data"], 16, seed=0)}, seed=0)
    engine.play_round()
    engine.progress = 0.7
    engine.play_round()
    before = {name: value.clone() for name, value in system.average.state_dict().items()}
    for _ in range(2):
        engine.play_round()
    assert engine.clock.phase == "encoders"
    assert all(torch.equal(value, before[name]) for name, value in system.average.state_dict().items())


def test_e_z_learns_from_made_pictures_alone_in_evaluation_mode() -> None:
    system = build().train()
    asked = []
    system.latent_encoder.register_forward_hook(lambda module, given, made: asked.append(given[0]))
    dealt = batch(np.zeros((8, 2), np.float32))
    statistics = {name: value.clone() for name, value in system.average.named_buffers()}
    term = system.find_latents(dealt, Clock(), {})["latent"]
    told = system.told(system.codes(dealt["attributes"]))
    latents = noise().normal(8, 2)
    with torch.no_grad():
        wanted = system.average.eval()(torch.cat([latents, told], 1))
    assert torch.allclose(asked[0], wanted, atol=1e-6), "made by the generator as it is used"
    assert all(torch.equal(value, statistics[name]) for name, value in system.average.named_buffers())
    dealt.fields["picture"] = -dealt["picture"]
    again = system.find_latents(Batch(noise(), dealt.fields), Clock(), {})["latent"]
    assert torch.allclose(term, again, atol=1e-4), "real pictures have no z that is known"
    term.backward()
    assert all(p.grad is None for p in (*system.generator.parameters(), *system.average.parameters()))


def test_attributes_have_one_scale_and_what_is_not_known_counts_in_no_loss() -> None:
    gaps = replace(TABLE, missing=(True, True))
    system = build({"picture": PICTURE, "attributes": gaps})
    rows = np.array([[0, 1], [np.nan, 0], [2, np.nan]], np.float32)
    told = system.told(system.codes(encode(rows, gaps)))
    assert told.tolist() == [[1, -1, -1, -1, 1], [0, 0, 0, 1, -1], [-1, -1, 1, 0, 0]]
    found = torch.zeros(3, 5, requires_grad=True)
    system.attribute_encoder.forward = lambda pictures: found  # type: ignore[method-assign]
    system.find_attributes(batch(rows, gaps), Clock(), {})["attributes"].backward()
    assert found.grad is not None
    assert torch.equal(found.grad != 0, told != 0)


def test_what_e_y_says_is_brought_to_a_value_before_anything_is_changed() -> None:
    system = build().eval()
    system.attribute_encoder.forward = lambda pictures: torch.tensor([[0.2, 0.1, -0.9, -0.1, 0.3]])  # type: ignore[method-assign]
    given: list[torch.Tensor] = []
    system.average.register_forward_hook(lambda module, inputs, made: given.append(inputs[0]))
    with torch.no_grad():
        system.edit(torch.zeros(1, 3, 16, 16), {"ground": "red"}, noise())
    assert given[0][0, 2:].tolist() == [-1, -1, 1, -1, 1], "as pictures that were learnt from have them"


def test_wrong_attributes_are_of_another_picture_and_never_as_right_as_the_own() -> None:
    system = build()
    said: list[torch.Tensor] = []
    system.discriminator.forward = lambda pictures, told: said.append(told) or told[:, 0]  # type: ignore[method-assign, func-returns-value]
    rows = np.array([[0, 0]] * 5 + [[2, 0]] * 3, np.float32)
    terms = system.judge(batch(rows), Clock(), {})
    own, other = said[0], said[2]
    differ = (own != other).any(1)
    assert 0 < int(differ.sum()) < 8
    assert torch.allclose(terms["wrong"], 0.5 * softplus(other[differ, 0]).mean())
    assert torch.allclose(terms["fake"], 0.5 * softplus(own[:, 0]).mean()), (
        "wrong attributes and made pictures halve the weight"
    )
    assert "wrong" not in build(wrong_pairs=False).judge(batch(rows), Clock(), {})
    assert float(system.judge(batch(rows[:5]), Clock(), {})["wrong"]) == 0, "all alike: none is wrong"


def test_a_planted_collapse_and_a_sure_discriminator_are_told() -> None:
    system = build().eval()
    assert cross_entropies(system) == ("discriminator",)
    balance = Balance("discriminator", system.undecided)
    told = {kind for n in range(400) for kind, _, _ in balance.take(0.02, n, 0.1 + n / 1000)}
    assert "discriminator too strong" in told
    with torch.no_grad():
        first: Any = system.average.layers[0]
        first.weight.mul_(0)
        same = system.sample(64, noise()).numpy()
    variety = Variety(encode(np.asarray(pictures(64).values), PICTURE).numpy(), False)
    assert "collapse" in {kind for n in range(3) for kind, _, _ in variety.compare(same, 300 + 20 * n, 0.3)}


# Networks, sizes, messages


def test_the_papers_networks_have_the_papers_widths_and_play() -> None:
    paper = build_config(Config, PRESETS["paper"])
    assert (paper.latent_size, paper.width, paper.encoder_width, paper.batch_size) == (100, 64, 32, 64)
    encoder = Encoder((3, 64, 64), 100, 32, 0)
    convolutions = [layer for layer in encoder.layers if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [32, 64, 128, 256]
    assert [layer.out_features for layer in encoder.layers if isinstance(layer, torch.nn.Linear)] == [4096, 100]
    torch.manual_seed(0)
    system = IcGan(SPECS, replace(paper, width=16, encoder_width=8))
    engine = Engine(system, {"data": open_stream(pictures(64), system.feeds()["data"], 64, seed=0)}, seed=0)
    for progress in (0.0, 0.9, 0.9):
        engine.progress = progress
        engine.play_round()
    assert engine.clock.phase == "encoders"


@pytest.mark.parametrize("shape", [(3, 16, 24), (1, 9, 13), (3, 33, 20)])
def test_any_size_and_depth_of_colour(shape: tuple[int, int, int]) -> None:
    system = build({"picture": ImageSpec(*shape), "attributes": TABLE}).eval()
    assert system.sample(2, noise()).shape == (2, *shape)
    assert system.edit(torch.zeros(2, *shape), {"mark": "yes"}, noise()).shape == (2, *shape)
    assert TellingDiscriminator(shape, 5, 4)(torch.zeros(2, *shape), torch.zeros(2, 5)).shape == (2,)


def test_pictures_of_another_size_keep_it_and_as_a_difference_their_detail() -> None:
    system = build().eval()
    large = torch.rand(2, 3, 40, 56) * 2 - 1
    with torch.no_grad():
        assert system.edit(large, {"mark": "yes"}, noise()).shape == large.shape
        system.config = replace(system.config, edits="difference")
        assert torch.allclose(system.edit(large, {}, noise()), large, atol=1e-5), "no change: as it is"
        assert not torch.allclose(system.edit(large, {"mark": "yes"}, noise()), system.edit(large, {"mark": "no"}, noise()))


def test_what_cannot_be_learnt_is_told_in_one_line() -> None:
    numbers = TableSpec(("age",), (NUMBER,), ((),), (0.0,), (1.0,), (False,), (-1,))
    for specs, settings, told in (
        (SPECS, {"attributes": "grund"}, "icgan: no column 'grund' (did you mean 'ground'?)"),
        ({"picture": PICTURE, "attributes": numbers}, {}, "icgan needs a column of words or of few whole numbers"),
        ({"picture": ImageSpec(3, 6, 16), "attributes": TABLE}, {}, "6x16 are too small to learn: the least is 8"),
    ):
        with pytest.raises(GanvasError) as error:
            build(specs, **settings)
        assert told in str(error.value) and "\n" not in str(error.value), str(error.value)


def test_files_are_edited_and_samples_drawn_by_name(tmp_path: Path) -> None:
    from PIL import Image

    from ganvas import apply, train
    from ganvas.cli import main
    from ganvas.proofs.stargan import draw_faces

    root, run = draw_faces(tmp_path / "faces", 60, 5), tmp_path / "run"
    small = {"width": 4, "encoder_width": 4, "encoder_units": 8, "attribute_units": 8, "latent_size": 4, "batch_size": 8}
    train("icgan", root / "avataaars.csv", out=run, size=16, budget="4r", config=small, quiet=True)
    Image.open(root / "avataaars" / "0059.png").resize((48, 40)).save(tmp_path / "one.png")
    made = apply(run, [tmp_path / "one.png"], out=tmp_path / "made", change=("glasses=sun", "skin=dark"))
    assert made["verb"] == "edit" and Image.open(made["files"][0]).size == (48, 40)
    assert "edited: glasses=sun, skin=dark" in str(Image.open(made["files"][0]).info)
    assert main(["sample", str(run), "-n", "2", "--attributes", "skin=dark", "--out", str(tmp_path / "drawn")]) == 0
    assert (tmp_path / "drawn" / "attributes.csv").read_text().count("dark") == 2
