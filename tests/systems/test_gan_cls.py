"""GAN-CLS: what the terms count, what a caption's end says, who moves when, and pictures that follow their captions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ganvas.batches import Batch, Noise
from ganvas.data.dataset import Dataset, Field
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.tokens.spec import TokensSpec
from ganvas.objectives.captions import differ, joint_embedding
from ganvas.systems.synthesis.gan_cls import KEPT, SHOWN, Config, GanCls

COLOURS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 70, 230)}
SHAPES = ("square", "bar", "pole")
WORDS = ("", "a", *COLOURS, *SHAPES)
SPEC = {"picture": ImageSpec(channels=3, height=16, width=16), "caption": TokensSpec(4, WORDS)}
SMALL = {"width": 8, "batch_size": 32, "text_size": 32, "condition_size": 16, "latent_size": 8, "embedding_share": 0.25}


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def small(**settings: Any) -> GanCls:
    torch.manual_seed(0)
    return GanCls(SPEC, Config(**{**SMALL, **settings}))


def said(colours: Any, shapes: Any) -> np.ndarray:
    """Captions (N, 4): `a red bar`, and the end."""
    found = np.zeros((len(colours), 4), np.int32)
    found[:, 0], found[:, 1], found[:, 2] = 1, 2 + np.asarray(colours), 2 + len(COLOURS) + np.asarray(shapes)
    return found


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pictures (N, 16, 16, 3) uint8, colours (N,), shapes (N,)): one shape each, somewhere and of some size, on white."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    colours, shapes = rng.integers(0, 3, (2, count))
    pictures = np.full((count, 16, 16, 3), 255, np.uint8)
    for picture, colour, shape in zip(pictures, colours, shapes, strict=True):
        (top, left), half = rng.uniform(6, 9, 2), rng.uniform(3.5, 5)
        tall, wide = ((half, half), (0.3 * half, 1.4 * half), (1.4 * half, 0.3 * half))[shape]
        picture[(abs(y - top) < tall) & (abs(x - left) < wide)] = list(COLOURS.values())[colour]
    return pictures, colours, shapes


def read(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(colours, shapes) that pictures (N, 16, 16, 3) in [0, 255] show, by measuring the ink: no network."""
    ink = 255 - pictures.astype(float)
    hue = ink.sum((1, 2))
    hue = hue / np.linalg.norm(hue, axis=1, keepdims=True).clip(1e-9)
    true = 255.0 - np.array(list(COLOURS.values()))
    colours = (hue @ (true / np.linalg.norm(true, axis=1, keepdims=True)).T).argmax(1)
    weight = ink.sum(3).clip(0)
    weight = np.where(weight > 150, weight, 0.0) + 1e-9
    y, x = np.mgrid[:16, :16]
    total = weight.sum((1, 2))

    def spread(place: np.ndarray) -> np.ndarray:
        mean = (weight * place).sum((1, 2)) / total
        found: np.ndarray = np.sqrt((weight * (place - mean[:, None, None]) ** 2).sum((1, 2)) / total)
        return found

    ratio = spread(x) / spread(y)
    shapes = np.where(ratio > 1.6, 1, np.where(ratio < 1 / 1.6, 2, 0))
    return colours, shapes


def test_slopes_are_held_down_where_asked_and_nothing_else_changes() -> None:
    pictures, colours, shapes = drawn(8, seed=0)
    given = {"picture": torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1}
    given["caption"] = torch.from_numpy(said(colours, shapes)).long()
    plain, flat = small(discriminator_batch_norm=False), small(discriminator_batch_norm=False, r1_weight=2.0, r2_weight=4.0)
    assert not any(isinstance(own, torch.nn.BatchNorm2d) for own in flat.discriminator.modules())
    told = [system.discriminate(Batch(noise(), given), Clock(), {}) for system in (plain, flat)]
    assert set(told[1]) - set(told[0]) == {"r1", "r2"}
    for name, term in told[0].items():
        torch.testing.assert_close(term, told[1][name])
    (told[1]["r1"] + told[1]["r2"]).backward()
    assert any(own.grad is not None and float(own.grad.abs().sum()) > 0 for own in flat.discriminator.parameters())
    assert all(own.grad is None for own in flat.generator.parameters())


def test_the_measure_reads_true_pictures() -> None:
    pictures, colours, shapes = drawn(300, 5)
    found = read(pictures)
    assert (found[0] == colours).all() and (found[1] == shapes).mean() > 0.98


def batch(captions: np.ndarray, seed: int = 0) -> Batch:
    pictures = torch.from_numpy(drawn(len(captions), seed)[0]).permute(0, 3, 1, 2).float() / 127.5 - 1
    return Batch(noise(seed), {"picture": pictures, "caption": torch.from_numpy(captions).long()})


def test_equal_captions_are_never_wrong_ones() -> None:
    captions = torch.from_numpy(said([0, 0, 1], [2, 2, 2]))
    assert differ(captions, captions.roll(1, 0)).tolist() == [True, False, True]
    system = small()
    alike, apart = said([0] * 6, [1] * 6), said([0, 1] * 3, [1] * 6)
    assert system.discriminate(batch(alike), Clock(), {})["wrong caption"].item() == 0
    assert system.discriminate(batch(apart), Clock(), {})["wrong caption"].item() > 0
    assert all(term.item() == 0 for term in system.embed(batch(alike), Clock(), {}).values())


def test_joint_embedding_is_the_hinge_of_both_ways() -> None:
    texts = torch.eye(4)[:3] * 4  # inner products divided by 2
    captions = torch.tensor([[1], [2], [3]])
    right = joint_embedding(torch.eye(4)[:3], texts, captions)
    assert [float(term) for term in right] == [0.0, 0.0], "own pairs exceed the others by 2"
    swapped = joint_embedding(torch.eye(4)[[1, 0, 2]], texts, captions)
    # Of the six pairs that differ: pictures 0 and 1 are at 3 with each other's caption and at 1 with the third.
    assert [round(float(term), 4) for term in swapped] == [round(8 / 6, 4)] * 2


def test_the_two_fake_terms_weigh_a_half_each() -> None:
    captions = said([0, 1, 2, 0], [0, 1, 2, 1])
    both = small().discriminate(batch(captions), Clock(), {})
    alone = small(matching_aware=False).discriminate(batch(captions), Clock(), {})
    assert set(both) == {"real", "fake", "wrong caption"} and set(alone) == {"real", "fake"}
    torch.testing.assert_close(alone["fake"], 2 * both["fake"])
    torch.testing.assert_close(alone["real"], both["real"])
    assert set(small().fool(batch(captions), Clock(), {})) == {"fool", "fool between"}
    assert set(small(interpolation=0.0).fool(batch(captions), Clock(), {})) == {"fool"}


def test_what_stands_behind_the_end_says_nothing() -> None:
    system = small()
    short = torch.from_numpy(said([2], [1])).long()
    long = torch.cat([short, torch.zeros(1, 7, dtype=torch.int64)], 1)
    torch.testing.assert_close(system.text_encoder(short), system.text_encoder(long))
    assert not torch.allclose(system.text_encoder(short), system.text_encoder(torch.from_numpy(said([1], [1])).long()))
    assert torch.isfinite(system.text_encoder(torch.zeros(2, 4, dtype=torch.int64))).all(), "an empty caption"


def test_captions_seen_are_what_is_drawn_from() -> None:
    system = small().eval()
    captions = said([0, 1, 2], [0, 0, 0])
    system.embed(batch(captions), Clock(), {})
    assert int(system.seen) == 3 and system.captions[:3].tolist() == captions.tolist()
    asked: list[torch.Tensor] = []
    system.text_encoder.register_forward_pre_hook(lambda _, given: asked.append(given[0]))
    system.sample(40, noise())
    assert {tuple(row) for row in asked[0].tolist()} == {tuple(row) for row in captions.tolist()}
    for _ in range(KEPT // 3 + 1):
        system.embed(batch(captions), Clock(), {})
    assert (system.captions.sum(1) > 0).all(), "the buffer goes round"


def test_show_has_several_pictures_of_one_caption() -> None:
    system = small().eval()
    shown = batch(said([0, 1], [1, 2]))
    with torch.no_grad():
        panel = system.show(shown, noise())
    pictures, words = panel.records, SPEC["caption"]
    assert pictures.shape == (2, 1 + SHOWN, 3, 16, 16) and len(panel.columns) == 1 + SHOWN
    said_of = [[words.symbols[k] for k in row if words.symbols[k]] for row in shown["caption"].tolist()]
    assert [row.split() for row in panel.rows] == said_of, "each row has its own sentence"
    assert torch.equal(pictures[:, 0], shown["picture"]) and not torch.equal(pictures[:, 1], pictures[:, 2])


def toy() -> Dataset:
    pictures, colours, shapes = drawn(600, 0)
    fields = {"picture": Field(SPEC["picture"], pictures), "caption": Field(SPEC["caption"], said(colours, shapes))}
    return Dataset(fields, None, np.arange(600), np.zeros(600, bool), "shapes", "shapes")


def follows(rounds: int = 450, seed: int = 0, **settings: Any) -> tuple[float, float, float]:
    """Shares of pictures of the colour, of the shape, and of both, that were asked for, after a short game."""
    system = small(learning_rate=2e-3, embedding_learning_rate=2e-3, ema_half_life=500.0, interpolation=0.0, **settings)
    engine = Engine(system, {"data": open_stream(toy(), system.feeds()["data"], 32, seed=seed)}, seed=seed, check_every=50)
    frozen: dict[str, torch.Tensor] = {}
    for number in range(rounds):
        engine.progress = number / rounds
        engine.play_round()
        if engine.clock.phase == "game" and not frozen:
            frozen = {name: value.clone() for name, value in system.text_encoder.state_dict().items()}
    assert frozen and all(torch.equal(value, frozen[name]) for name, value in system.text_encoder.state_dict().items())
    colours, shapes = np.repeat(np.arange(3), 90), np.tile(np.arange(3), 90)
    with engine.watching():
        made = system.sample(270, noise(), caption=torch.from_numpy(said(colours, shapes)).long())
    found = read((made.permute(0, 2, 3, 1).numpy() + 1) * 127.5)
    right = found[0] == colours, found[1] == shapes
    return float(right[0].mean()), float(right[1].mean()), float((right[0] & right[1]).mean())


@pytest.mark.slow
def test_pictures_follow_their_captions_and_do_not_without_wrong_ones() -> None:
    colour, shape, both = follows()
    plain = follows(matching_aware=False)
    print(colour, shape, both, plain)
    assert colour > 0.9 and shape > 0.8 and both > 0.8
    assert plain[2] < both - 0.3, "without wrong captions D learns to read too late"
