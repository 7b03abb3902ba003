"""pix2pix: the discriminator brings back texture that L1 alone averages away; maps and photographs move together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.game import Clock
from ganvas.kinds import encode
from ganvas.kinds.image.spec import ImageSpec
from ganvas.store.records import Dataset, Field
from ganvas.systems.translation.pix2pix import Config, Pix2Pix, shifted

SPECS = {"photo": ImageSpec(1, 16, 16), "map": ImageSpec(1, 16, 16)}


def build(**settings: Any) -> Pix2Pix:
    torch.manual_seed(0)
    given = {"width": 8, "batch_size": 16, "learning_rate": 2e-3, "decay_start": 1.0, "dropout": 0.2, **settings}
    return Pix2Pix(SPECS, build_config(Config, given))


def pairs(count: int = 96) -> Dataset:
    """Maps of a block on a ground; on the ground lies noise of single pixels, which no map tells."""
    rng = np.random.default_rng(0)
    maps = np.zeros((count, 16, 16, 1), np.uint8)
    for own in maps:
        top, left = rng.integers(0, 9, 2)
        own[top : top + 7, left : left + 7] = 255
    photos = np.where(maps > 0, 40, rng.choice([90, 155, 155, 220], maps.shape)).astype(np.uint8)
    fields = {"photo": Field(SPECS["photo"], photos), "map": Field(SPECS["map"], maps)}
    return Dataset(fields, None, np.arange(count), np.arange(count) >= 80, "pairs", "")


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


@pytest.mark.slow
def test_texture_comes_back_with_the_discriminator_and_not_without() -> None:
    data = pairs()
    held = data.heldout_indices()
    maps = encode(data.fields["map"].values[held], SPECS["map"])
    ground = maps[:, 0] < 0
    spread = {}
    for weight in (1.0, 0.0):
        system = build(adversarial_weight=weight, l1_weight=10.0)
        engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=0)}, seed=0)
        for _ in range(150):
            engine.play_round()
        with engine.watching() as board:
            made: Any = board.translate(maps, None, noise(3))
        spread[weight] = float(made[:, 0][ground].std())
        assert float(made[:, 0][~ground].mean()) < float(made[:, 0][ground].mean()) - 0.4, "blocks are dark as the map says"
    true = float(encode(data.fields["photo"].values[held], SPECS["photo"])[:, 0][ground].std())
    assert spread[1.0] > 0.4 * true, spread
    assert spread[0.0] < 0.5 * spread[1.0], "L1 alone gives the middle"


def test_maps_and_photographs_are_moved_together() -> None:
    system = build(jitter=3, flip=True)
    images = torch.arange(4 * 256, dtype=torch.float32).view(4, 1, 16, 16)
    maps, photos = system._pairs(Batch(noise(1), {"photo": images, "map": images.clone()}), {})
    assert torch.equal(maps, photos)
    assert not torch.equal(maps, images)
    moved = shifted(images, torch.tensor([[2, 0], [0, -1], [0, 0], [1, 1]]))
    assert torch.equal(moved[0, 0, 2:], images[0, 0, :-2])
    assert torch.equal(moved[1, 0, :, :-1], images[1, 0, :, 1:])
    assert torch.equal(moved[2], images[2])


def test_label_maps_enter_as_one_channel_a_class() -> None:
    from ganvas.kinds import kind_of

    labels = kind_of("label_map").example(16, 3)
    system = Pix2Pix({"photo": SPECS["photo"], "map": labels}, build_config(Config, {"width": 4}))
    classes = torch.randint(0, len(labels.names), (2, 16, 16))
    channels = system._channels(classes, torch.float32)
    assert channels.shape == (2, len(labels.names), 16, 16)
    assert torch.equal(channels.argmax(1), classes)
    assert system.translate(classes, None, noise()).shape == (2, 1, 16, 16)


def test_the_discriminator_sees_map_and_photograph_changed_alike_and_its_slopes_are_paid_for() -> None:
    system = build(
        augment=("translation", "cutout"), r1_weight=1.0, r2_weight=0.5, discriminator_norm=False, upsampling="resized"
    )
    images = torch.rand(4, 1, 16, 16) * 2 - 1
    batch = Batch(noise(1), {"photo": images, "map": images.clone()})
    seen = system._seen(images, images, batch)
    assert torch.equal(seen[:, :1], seen[:, 1:]) and not torch.equal(seen[:, :1], images)
    shared: dict[str, Any] = {}
    terms = system.discriminate(batch, Clock(), shared)
    assert set(terms) == {"real", "fake", "r1", "r2"}
    torch.stack([terms["r1"], terms["r2"]]).sum().backward()
    slopes = [p.grad for p in system.discriminator.parameters() if p.grad is not None]
    assert slopes and sum(float(own.abs().sum()) for own in slopes) > 0
    assert not any(isinstance(own, torch.nn.BatchNorm2d) for own in system.discriminator.modules())
    assert not any(isinstance(own, torch.nn.ConvTranspose2d) for own in system.generator.modules())
    assert set(build().discriminate(batch, Clock(), {})) == {"real", "fake"}
