"""SPADE: a uniform map keeps its class, a given picture lends its style, a painted map becomes a photograph."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganvas.batches import Batch, Noise
from ganvas.cli import main
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds import encode
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.label_map.spec import LabelMapSpec
from ganvas.networks.spade import Encoder, Generator, Modulated
from ganvas.store.records import Dataset, Field
from ganvas.systems.translation.spade import NORMS, Config, Spade
from ganvas.uses import Work, find_use

SIDE = 16
SPECS = {
    "photo": ImageSpec(1, SIDE, SIDE),
    "map": LabelMapSpec(SIDE, SIDE, ("water", "grass", "sand"), (0, 1, 2), ("#0000ff", "#00ff00", "#ffff00")),
}
SHADES = np.array([40, 128, 215])
TINY = {"width": 4, "modulation_width": 8, "discriminator_width": 8, "latent_size": 4, "blocks": 2, "batch_size": 8}


def build(**settings: Any) -> Spade:
    torch.manual_seed(0)
    fast = {"generator_learning_rate": 2e-3, "discriminator_learning_rate": 2e-3, "decay_start": 1.0, "flip": False}
    return Spade(SPECS, build_config(Config, {**TINY, **fast, **settings}))


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def scenes(count: int = 64, styled: bool = False) -> Dataset:
    """Maps of one class, or of two; photographs in the shade of each class, with grain. styled: and each lighter or darker as a
    whole, which no map tells."""
    rng = np.random.default_rng(0)
    maps = np.zeros((count, SIDE, SIDE), np.uint8)
    for place, own in enumerate(maps):
        first, second = rng.permutation(3)[:2]
        own[:] = first
        if place % 2:
            own[rng.integers(4, SIDE - 4) :] = second
    light = rng.choice([-30, 30], (count, 1, 1)) if styled else 0
    photos = (SHADES[maps] + light + rng.integers(-8, 9, maps.shape)).clip(0, 255).astype(np.uint8)[..., None]
    fields = {"photo": Field(SPECS["photo"], photos), "map": Field(SPECS["map"], maps)}
    return Dataset(fields, None, np.arange(count), np.arange(count) >= count - 8, "scenes", "")


def played(system: Spade, data: Dataset, rounds: int) -> Engine:
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 8, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    return engine


@pytest.mark.slow
def test_a_uniform_map_keeps_its_class_and_does_not_where_the_map_is_read_at_the_entry() -> None:
    uniform = torch.arange(3)[:, None, None].expand(3, SIDE, SIDE)
    wrong = {}
    for generator in ("spade", "encoder-decoder"):
        with played(build(generator=generator), scenes(), 60).watching() as board:
            made: Any = board.translate(uniform, None, noise(3))
        shades = (made[:, 0].mean((1, 2)) + 1) * 127.5
        wrong[generator] = float((shades - torch.tensor(SHADES)).abs().mean())
    assert wrong["spade"] < 15, wrong
    assert wrong["encoder-decoder"] > 40, f"its normalisation leaves nothing of a uniform map: {wrong}"


@pytest.mark.slow
def test_a_given_picture_lends_its_style() -> None:
    data = scenes(styled=True)
    held = data.heldout_indices()
    maps, photos = (encode(data.fields[name].values[held], SPECS[name]) for name in ("map", "photo"))
    with played(build(), data, 100).watching() as board:
        own, lent = (
            (board.translate(maps, None, noise(), photo=style) - photos).abs().mean() for style in (photos, photos.flip(0))
        )
        one, other = (board.translate(maps[:1], None, noise(seed)) for seed in (1, 2))
    assert float(own) < 0.85 * float(lent), "a picture's own style is nearer to it than another's"
    assert float((one - other).abs().mean()) > 0.02, "one map has several styles"


def test_modulation_follows_equation_1_and_keeps_its_one() -> None:
    torch.manual_seed(0)
    layer = Modulated(3, 2, 4, NORMS["batch"])
    features, maps = torch.randn(2, 3, 4, 4), torch.zeros(2, 2, 8, 8)
    for own in (layer.gamma, layer.beta):
        torch.nn.init.zeros_(own.weight)
        torch.nn.init.constant_(own.bias, 0.5)
    flat = (features - features.mean((0, 2, 3), keepdim=True)) / (
        features.var((0, 2, 3), keepdim=True, correction=0) + 1e-5
    ).sqrt()
    torch.testing.assert_close(layer(features, maps), 1.5 * flat + 0.5)
    assert not [name for name, _ in layer.norm.named_parameters()], "what is normalised has no scales of its own"


def test_the_papers_networks_have_the_papers_widths() -> None:
    with torch.device("meta"):
        made = Generator(4, 3, (256, 512), 64, 5, 8, 8, NORMS["batch"])
    sizes = [tuple(block.two.weight.shape[:2]) for block in (made.head, made.middle, *made.blocks)]
    assert sizes == [(1024, 1024), (1024, 1024), (1024, 1024), (512, 512), (256, 256), (128, 128), (64, 64)]
    assert made.grid == (1024, 8, 16)
    encoder = Encoder(3, 8, (48, 64), 5)
    assert [x.shape for x in encoder(torch.randn(2, 3, 20, 90))] == [(2, 5), (2, 5)], "a style may have any size"


def test_maps_and_photographs_are_mirrored_together() -> None:
    system = build(flip=True)
    maps = torch.randint(0, 3, (6, SIDE, SIDE))
    photos = maps[:, None].float()
    channels, turned = system._pairs(Batch(noise(1), {"map": maps, "photo": photos}), {})
    assert torch.equal(channels.argmax(1)[:, None].float(), turned) and not torch.equal(turned, photos)


def test_the_terms_are_the_papers_and_the_encoder_is_the_generators() -> None:
    batch = Batch(noise(), {"map": torch.randint(0, 3, (4, SIDE, SIDE)), "photo": torch.rand(4, 1, SIDE, SIDE) * 2 - 1})
    for settings, terms in (
        ({}, {"fool", "features", "divergence"}),
        ({"encoder": False}, {"fool", "features"}),
        ({"feature_weight": 0.0, "generator": "encoder-decoder"}, {"fool"}),
    ):
        system, shared = build(**settings), {}
        assert set(system.discriminate(batch, Clock(), shared)) == {"real", "fake"}
        assert set(system.fool(batch, Clock(), shared)) == terms
        owned = dict(zip(("discriminator", "generator"), (player.networks for player in system.players()), strict=True))
        assert ("encoder" in owned["generator"]) == ("divergence" in terms)


def test_what_it_cannot_do_is_refused_in_one_line() -> None:
    odd = replace(SPECS["map"], height=9, width=9)
    with pytest.raises(GanvasError, match="sides of 9x9 cannot be halved: choose multiples of 16"):
        Spade({"photo": ImageSpec(1, 9, 9), "map": odd}, Config())
    with pytest.raises(GanvasError, match="of one size are needed, not 16x16 and 32x32"):
        Spade({**SPECS, "photo": ImageSpec(1, 32, 32)}, Config())
    with pytest.raises(GanvasError, match="learnt no encoder"):
        build(encoder=False).translate(
            torch.zeros(1, SIDE, SIDE, dtype=torch.int64), None, noise(), photo=torch.zeros(1, 1, 8, 8)
        )


def test_a_painted_map_becomes_a_photograph_in_the_style_of_a_given_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, colours = scenes(), np.array([[0, 0, 255], [0, 255, 0], [255, 255, 0]], np.uint8)
    for name in ("photo", "map"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k, own in enumerate(data.fields[name].values[:24]):
            image = Image.fromarray(own[..., 0]) if name == "photo" else Image.fromarray(own, mode="P")
            if name == "map":
                image.putpalette(colours.tobytes())
            image.save(tmp_path / "set" / name / f"{k:02d}.png")
    small = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]
    run, out = tmp_path / "run", tmp_path / "made"
    common = ["--device", "cpu", "--watch", "off", "--sample-every", "0"]
    assert main(["train", "spade", "--data", str(tmp_path / "set"), "--budget", "2r", "--out", str(run), *small, *common]) == 0
    soft = Image.fromarray(colours[np.asarray(data.fields["map"].values[1])]).resize((40, 40), Image.Resampling.NEAREST)
    soft = soft.resize((80, 80), Image.Resampling.BILINEAR)
    soft.save(tmp_path / "mine.png")
    style = tmp_path / "style.png"
    Image.fromarray(np.full((30, 50), 200, np.uint8)).save(style)
    made = {}
    for name, more in {
        "first": ["--seed", "1"], "again": ["--seed", "1"], "second": ["--seed", "2"], "styled": ["--photo", str(style)],
        "tiled": ["--seed", "1", "--tile", "48"], "fitted": ["--seed", "1", "--fitted"],
    }.items():  # fmt: skip
        capsys.readouterr()
        words = ["apply", str(run), str(tmp_path / "mine.png"), "--out", str(out / name), "--device", "cpu", "--json", *more]
        assert main(words) == 0, name
        notes = json.loads(capsys.readouterr().out)["notes"]
        assert any("pixels at edges have mixed colours" in note for note in notes), notes
        assert any("is of 80x80, the run learnt 16x16" in note for note in notes) == (name != "fitted")
        made[name] = np.array(Image.open(out / name / "mine.png"))
    assert made["first"].shape == (80, 80) and made["fitted"].shape == (16, 16)
    np.testing.assert_array_equal(made["first"], made["again"])
    assert (made["first"] != made["second"]).any() and (made["first"] != made["styled"]).any()

    def one_number(self: Spade, maps: torch.Tensor, target: None, noise: Noise, photo: None = None) -> torch.Tensor:
        return noise.normal(1, 1, 1, 1).tanh().expand(1, 1, *maps.shape[1:])

    monkeypatch.setattr(Spade, "translate", one_number)
    words = ["apply", str(run), str(tmp_path / "mine.png"), "--out", str(out / "flat"), "--device", "cpu", "--tile", "48"]
    assert main(words) == 0
    assert len(np.unique(np.array(Image.open(out / "flat" / "mine.png")))) == 1, "every tile has the style of the whole"


def test_what_is_judged_and_shown_is_not_told_the_true_photograph() -> None:
    system = build()
    given: list[object] = []
    system.translate = lambda maps, target, noise, photo=None: given.append(photo) or torch.zeros(len(maps), 1, SIDE, SIDE)  # type: ignore[method-assign, assignment, func-returns-value, misc]
    data = scenes()
    data = replace(data, heldout=np.arange(len(data)) >= 40)
    judge = find_use(system, "translate").judge
    assert judge is not None
    judged = judge(Work(system, SPECS), system, data, 20, find_use(system, "translate").Options())
    assert len(judged.values) == 20 and set(map(type, given)) == {type(None)}
