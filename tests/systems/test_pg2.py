"""pg2: dots go to where they are asked for in the colour that they were given; without the pose, or without the second stage,
something lacks. Pairs are of one person, the mask is that of the wanted pose, the first stage rests while the second learns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.phantoms.figures import NAMES, angles, draw, in_pixels, joints, persons
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.health.losses import Balance, cross_entropies
from ganvas.kinds import encode
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.pose.spec import PoseSpec
from ganvas.metrics.masked import masked_ssim
from ganvas.networks.pg2 import PoseNetwork, body_mask, point_maps
from ganvas.store.records import Dataset, Field
from ganvas.systems.translation.pg2 import PRESETS, Config, Pg2

SPECS = {"picture": ImageSpec(3, 16, 16), "pose": PoseSpec(16, 16, ("low", "high"), ((0, 1),))}
SMALL: dict[str, Any] = {
    "width": 8, "code_size": 16, "discriminator_width": 8, "batch_size": 16, "point_radius": 0.12, "mask_radius": 0.15,
    "coarse_learning_rate": 3e-3, "generator_learning_rate": 1e-3, "discriminator_learning_rate": 5e-4, "coarse_share": 0.6,
}  # fmt: skip


def build(specs: Any = None, **settings: Any) -> Pg2:
    torch.manual_seed(0)
    return Pg2(specs or SPECS, build_config(Config, SMALL | settings))


def sticks(count: int = 240) -> Dataset:
    """Four pictures each of sticks, in a colour of their own, from one point to another, on grounds that no pose tells."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16].astype(np.float32)
    points = np.full((count, 2, 3), 2, np.float32)
    points[..., 0] = rng.uniform(3, 12, (count, 2))
    points[..., 1] = rng.uniform((9, 2), (13, 6), (count, 2))
    pixels = np.empty((count, 16, 16, 3), np.uint8)
    colours = rng.choice((40, 230), (count // 4, 3))
    for k, (own, (a, b)) in enumerate(zip(pixels, points[..., :2], strict=True)):
        share = ((columns - a[0]) * (b - a)[0] + (rows - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum()
        share = share.clip(0, 1)
        apart = np.hypot(columns - a[0] - share * (b - a)[0], rows - a[1] - share * (b - a)[1])
        own[:] = rng.integers(100, 160)
        own[apart < 1.5] = colours[k // 4]
    groups = np.arange(count) // 4
    held = groups % 5 == 0
    fields = {"picture": Field(SPECS["picture"], pixels), "pose": Field(SPECS["pose"], points)}
    return Dataset(fields, None, groups, held, "sticks", "sticks")


def played(system: Pg2, rounds: int, data: Dataset | None = None) -> Engine:
    """Rounds of the first stage and as many of the second, as a budget would share them."""
    engine = Engine(system, {"data": open_stream(data or sticks(), system.feeds()["data"], 16, seed=0)}, seed=0)
    for k in range(rounds):
        engine.progress = k / rounds
        engine.play_round()
    return engine


def judged(engine: Engine, data: Dataset, pose: bool = True) -> tuple[float, float]:
    """(SSIM on the body, error of its mean colour) of held-out sticks in the pose of another of their pictures."""
    held = np.flatnonzero(data.heldout)
    others = np.where(held % 4 == 3, held - 3, held + 1)
    given, true = (data.fields["picture"].values[rows] for rows in (held, others))
    told = encode(data.fields["pose"].values[others if pose else held], SPECS["pose"])
    right = encode(data.fields["pose"].values[others], SPECS["pose"])
    with engine.watching() as board:
        made = board.repose(encode(given, SPECS["picture"]), Noise.seeded(0), pose=told)
        thin = body_mask(right, SPECS["pose"].links, 16, 16, 0.08).numpy()[:, 0]
        masks = board.body(right).numpy()[:, 0]
    images = (made.permute(0, 2, 3, 1).numpy() + 1) * 127.5
    colour = [(own * thin[..., None]).sum((1, 2)) / thin.sum((1, 2))[:, None] for own in (images, true)]
    return float(masked_ssim(images, true, masks).mean()), float(np.abs(colour[0] - colour[1]).mean() / 255)


def test_it_learns_to_repose_and_not_without_the_pose() -> None:
    data = sticks()
    flat = {"discriminator_batch_norm": False, "r1_weight": 1.0, "adversarial_weight": 0.3}
    engine = played(build(**flat), 360, data)
    found, colour = judged(engine, data)
    left, _ = judged(engine, data, pose=False)
    assert found > 0.42, "the stick lies as it was asked to"
    assert colour < 0.18, "and has the colour of the given one"
    assert left < found - 0.2, "told the pose of the given picture, it makes that"
    empty = replace(data, fields={**data.fields, "pose": Field(SPECS["pose"], np.full_like(data.fields["pose"].values, 2))})
    blind, _ = judged(played(build(**flat), 120, empty), data)
    assert blind < found - 0.2, "taught with one pose for all, it cannot know where"


def test_pairs_are_two_records_of_one_group() -> None:
    data = sticks()
    stream = open_stream(data, build().feeds()["data"], 16, seed=0)
    known = {own.tobytes(): k for k, own in enumerate(data.fields["picture"].values)}
    batch = stream.draw(Noise.seeded(0))

    def rows(images: torch.Tensor) -> list[int]:
        pixels = ((images.permute(0, 2, 3, 1) + 1) * 127.5).round().numpy().astype(np.uint8)
        return [known[np.ascontiguousarray(own).tobytes()] for own in pixels]

    for one, other, pose in zip(rows(batch["picture"]), rows(batch["wanted"]), batch["pose"], strict=True):
        assert one != other and one // 4 == other // 4
        wanted = encode(data.fields["pose"].values[other : other + 1], SPECS["pose"])[0]
        assert torch.allclose(pose, wanted), "the pose is that of the wanted picture"
    alone = replace(data, groups=np.arange(len(data.groups)))
    with pytest.raises(GanvasError, match="no group has two records, as pairs need: name groups in groups.csv"):
        open_stream(alone, build().feeds()["data"], 16, seed=0)


def _batch(count: int = 4) -> Batch:
    data = sticks(40)
    pictures = encode(data.fields["picture"].values[: 2 * count], SPECS["picture"])
    pose = encode(data.fields["pose"].values[count : 2 * count], SPECS["pose"])
    return Batch(Noise.seeded(0), {"picture": pictures[:count], "wanted": pictures[count:], "pose": pose})


def test_an_error_on_the_body_of_the_wanted_pose_counts_twice() -> None:
    system, batch = build(), _batch()
    mask = system.body(batch["pose"])
    off = batch["wanted"] + 0.1
    assert torch.isclose(system._error(off, batch), 0.1 * (1 + mask.mean()), atol=1e-5)
    assert torch.isclose(build(mask_weight=0.0)._error(off, batch), torch.tensor(0.1), atol=1e-5)


def test_the_mask_is_the_bones_made_thick_and_knows_what_is_not_there() -> None:
    spec = PoseSpec(32, 32, ("a", "b", "c"), ((0, 1), (1, 2)))
    points = np.array([[[4, 16, 2], [28, 16, 1], [28, 4, 0]]], np.float32)
    told = encode(points, spec)
    mask = body_mask(told, spec.links, 32, 32, 0.1)[0, 0]
    assert mask[16, 4:29].min() == 1 and mask[16 + 3, 16] == 1 and mask[16 + 4, 16] == 0
    assert mask[4:10].sum() == 0, "a bone to a point that is not there is none"
    maps = point_maps(told, 32, 32, 0.1)[0]
    assert maps.min() == 0 and maps.max() == 1, "maps go from 0 to 1"
    assert maps[0, 16, 4] == 1 and maps[1, 16, 28] == 1 and maps[2].sum() == 0
    assert maps[0].sum() == pytest.approx(np.pi * 3.2**2, rel=0.1)


def test_the_first_stage_rests_in_the_second_and_gets_no_gradient() -> None:
    system = build()
    assert [phase.name for phase in system.phases()] == ["coarse", "refine"]
    assert {turn.player for turn in system.phases()[1].turns} == {"discriminator", "refiner"}
    terms = system.refine(_batch(), Clock(), {})
    sum(terms.values()).backward()
    assert all(own.grad is None for own in system.coarse.parameters())
    assert any(own.grad is not None for own in system.refiner.parameters())
    batch = _batch()
    shared: dict[str, Any] = {}
    system.discriminate(batch, Clock(), shared)
    rough, made = shared["made"]
    with torch.no_grad():
        difference = system.refiner(torch.cat([batch["picture"], rough], 1))
    assert torch.allclose(made, rough + difference, atol=1e-6), "the second stage adds to the first one's picture"
    alone = build(coarse_share=1.0)
    assert [phase.name for phase in alone.phases()] == ["coarse"] and not hasattr(alone, "refiner")


def test_the_discriminator_sees_pairs() -> None:
    system, batch = build().eval(), _batch()
    one = system.discriminator(torch.cat([batch["picture"], batch["wanted"]], 1))
    other = system.discriminator(torch.cat([batch["picture"].flip(0), batch["wanted"]], 1))
    assert not torch.allclose(one, other), "whose picture it was matters"


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (40, 24), (8, 64)])
def test_networks_take_any_sides(size: tuple[int, int]) -> None:
    network = PoseNetwork(5, 3, size, 4, 2, 8)
    assert network(torch.zeros(2, 5, *size)).shape == (2, 3, *size)


def test_grey_pictures_and_a_paper_step() -> None:
    specs = {"picture": ImageSpec(1, 24, 16), "pose": PoseSpec(24, 16, ("a", "b", "c"))}
    torch.manual_seed(0)
    system = Pg2(specs, build_config(Config, {**PRESETS["paper"], "batch_size": 2}))
    assert system.config.width == 128 and system.config.generator_learning_rate == 2e-5
    noise = Noise.seeded(0)
    fields = {name: noise.uniform(2, 1, 24, 16) for name in ("picture", "wanted")} | {"pose": noise.uniform(2, 3, 3)}
    batch = Batch(noise, fields)
    for turn in (*system.phases()[0].turns, *system.phases()[1].turns):
        assert all(torch.isfinite(term) for term in turn.objective(batch, Clock(), {}).values())
    assert system.repose(fields["picture"], noise, pose=fields["pose"]).shape == (2, 1, 24, 16)
    with pytest.raises(GanvasError, match="pictures of 6x20 are too small for a pose"):
        Pg2({**specs, "picture": ImageSpec(1, 6, 20)}, build_config(Config, {}))


def test_a_sure_discriminator_is_told() -> None:
    system = build()
    assert cross_entropies(system) == ("discriminator",)
    balance = Balance("discriminator", system.undecided)
    told = {kind for n in range(400) for kind, _, _ in balance.take(0.02, n, 0.1 + n / 1000)}
    assert "discriminator too strong" in told


def test_figures_are_drawn_in_any_pose_and_nothing_else_changes() -> None:
    people, turned = persons(np.array([3]), 0), angles(2, 5)
    one, other = draw(people * 2, turned, 64)
    assert (one != other).any()
    at = in_pixels(joints(turned), (64, 64)).round().astype(int)
    hands = [
        tuple(own[at[k, NAMES.index("left_hand")][1], at[k, NAMES.index("left_hand")][0]]) for k, own in enumerate((one, other))
    ]
    assert np.abs(np.subtract(*np.array(hands, int))).max() <= 2, "a hand has the same skin in both"
    assert np.array_equal(draw(people, turned[:1], 64)[0], one)


def test_from_files_to_a_new_pose(tmp_path: Path) -> None:
    """Trained on the phantom, put to use on a picture with a pose of a file, and judged."""
    run = tmp_path / "run"
    config = {"width": 4, "discriminator_width": 4, "code_size": 8}
    ganvas.train("pg2", "figures", out=run, budget="4r", config=config, size="32", phantom_count=160, quiet=True, device="cpu")
    turned = angles(1, 9)
    picture = draw(persons(np.array([0]), 1), turned, (40, 60))[0]
    Image.fromarray(picture).save(tmp_path / "somebody.png")
    points = np.concatenate([in_pixels(joints(turned), (40, 60))[0], np.full((len(NAMES), 1), 2)], 1)
    content = {
        "images": [{"id": 1, "file_name": "somebody.png", "height": 40, "width": 60}],
        "categories": [{"id": 1, "keypoints": list(NAMES), "skeleton": []}],
        "annotations": [{"image_id": 1, "category_id": 1, "keypoints": points.ravel().tolist()}],
    }
    (tmp_path / "pose.json").write_text(json.dumps(content))
    given = {"pose": str(tmp_path / "pose.json")}
    made = ganvas.apply(run, [tmp_path / "somebody.png"], verb="repose", fields=given, out=tmp_path / "out")
    (file,) = made["files"]
    assert Image.open(file).size == (32, 32) and made["done"] == "reposed"
    with pytest.raises(GanvasError, match="needs a pose to repose: add  --with pose=FILE"):
        ganvas.apply(run, [tmp_path / "somebody.png"], out=tmp_path / "none")
    content["categories"][0]["keypoints"][0] = "hat"
    (tmp_path / "pose.json").write_text(json.dumps(content))
    with pytest.raises(GanvasError, match="has a point 'hat'"):
        ganvas.apply(run, [tmp_path / "somebody.png"], fields=given, out=tmp_path / "none")
