"""pix2pixHD: the edge map tells touching objects of one class apart; coarse comes before fine, each in its own phase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganvas.batches import Batch, Noise
from ganvas.cli import main
from ganvas.config import build_config
from ganvas.data import open_data
from ganvas.data.streams import open_stream
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.maps import edges_of
from ganvas.networks.patch import halved
from ganvas.networks.pix2pixhd import Generator
from ganvas.proofs.pix2pixhd import PHANTOM as SPECS
from ganvas.proofs.pix2pixhd import SIDE, seam_depth, touching
from ganvas.registry import find
from ganvas.systems.translation.pix2pixhd import Config, Pix2PixHd

TINY = {"width": 8, "discriminator_width": 8, "blocks": 1, "local_blocks": 1, "batch_size": 8}


def build(specs: Any = SPECS, **settings: Any) -> Pix2PixHd:
    torch.manual_seed(0)
    fast = {"learning_rate": 2e-3, "decay_start": 1.0, "flip": False}
    return Pix2PixHd(specs, build_config(Config, {**TINY, **fast, **settings}))


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


@pytest.mark.slow
def test_the_edge_map_parts_touching_objects_of_one_class_and_nothing_does_without() -> None:
    assert seam_depth(edges=True, rounds=60) > 0.3, "of the range of brightness; 0.75 in the true pictures"
    assert seam_depth(edges=False, rounds=60) < 0.15


def test_edges_are_where_a_neighbour_has_another_number() -> None:
    numbers = torch.tensor([[[1, 1, 2], [1, 1, 2], [3, 3, 3]]])
    assert edges_of(numbers)[0, 0].int().tolist() == [[0, 1, 1], [1, 1, 1], [1, 1, 1]]
    assert not edges_of(torch.full((2, 4, 4), 7)).any()


def test_edges_are_between_instances_and_without_them_between_classes() -> None:
    maps, numbers = torch.ones(1, SIDE, SIDE, dtype=torch.int64), torch.zeros(1, SIDE, SIDE, dtype=torch.int64)
    numbers[..., 8:] = 1
    system = build()
    assert system._channels(maps, numbers, torch.float32)[0, 2].sum() == 2 * SIDE
    assert system._channels(maps, None, torch.float32)[0, 2].sum() == 0, "one class, no edges"
    assert system._channels(1 - numbers, None, torch.float32)[0, 2].sum() == 2 * SIDE
    assert build(edges=False)._channels(maps, numbers, torch.float32).shape[1] == 2
    assert build({name: SPECS[name] for name in ("photo", "map")}).translate(maps, None, noise()).shape == (1, 1, SIDE, SIDE)


def test_the_enhancer_adds_to_the_last_features_of_the_global_generator_at_half_the_size() -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        made = Generator(3, 3, 64, 4, 9, 3)
    assert sum(own.numel() for own in made.coarse.parameters()) > 180e6, "the global generator of the paper"
    small = Generator(3, 1, 8, 2, 1, 1)
    maps = torch.randn(2, 3, 32, 48)
    features = small.coarse.features(halved(maps))
    assert features.shape == (2, 8, 16, 24) == small.enhancer["front"](maps).shape
    wanted = torch.tanh(small.enhancer["back"](features + small.enhancer["front"](maps)))
    torch.testing.assert_close(small(maps), wanted)
    torch.testing.assert_close(small.coarse(halved(maps)), torch.tanh(small.coarse.leave(features)))


def test_phases_follow_the_budget_and_each_moves_its_own_player() -> None:
    system = build(global_share=0.4, enhancer_share=0.2)
    first, second, last = system.phases()
    assert [phase.name for phase in (first, second, last)] == ["global", "enhancer", "joint"]
    assert [[turn.player for turn in phase.turns][1] for phase in (first, second, last)] == ["coarse", "enhancer", "generator"]
    assert not first.finished(Clock(progress=0.39)) and first.finished(Clock(progress=0.4))
    assert not second.finished(Clock(progress=0.59)) and second.finished(Clock(progress=0.61))
    assert not last.finished(Clock(progress=0.99))


def test_before_the_enhancer_is_taught_the_result_is_the_global_generators() -> None:
    data, system = touching(), build()
    batch = open_stream(data, system.feeds()["data"], 8, seed=0).example(8, noise())
    shared: dict[str, Any] = {}
    terms = {"real", "fake"}, {"fool", "features"}
    assert set(system.discriminate_half(batch, Clock(), shared)) == terms[0]
    assert set(system.draw_half(batch, Clock(), shared)) == terms[1]
    system.eval()
    coarse = system.translate(batch["map"], None, noise(), instances=batch["instances"])
    half = system.generator.coarse(halved(system._channels(batch["map"], batch["instances"], torch.float32)))
    torch.testing.assert_close(coarse, torch.nn.functional.interpolate(half, scale_factor=2, mode="bilinear"))
    system.discriminate(Batch(noise(), batch.fields), Clock(), {})
    assert not torch.equal(system.translate(batch["map"], None, noise(), instances=batch["instances"]), coarse)


def test_it_trains_through_its_phases_with_instances_in_a_folder_and_without(tmp_path: Path) -> None:
    data = touching()
    for name in ("photo", "map", "instances"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k, own in enumerate(data.fields[name].values[:24]):
            Image.fromarray(own[..., 0] if name == "photo" else own).save(tmp_path / "set" / name / f"{k:02d}.png")
    small = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]
    common = [*small, "--device", "cpu", "--watch", "off", "--sample-every", "0"]
    folder = ["--data", str(tmp_path / "set")]
    assert main(["train", "pix2pixhd", *folder, "--budget", "6r", "--out", str(tmp_path / "run"), *common]) == 0
    made = {}
    source, numbers = str(tmp_path / "set" / "map" / "03.png"), str(tmp_path / "set" / "instances" / "03.png")
    for name, more in {"with": ["--instances", numbers], "without": []}.items():
        assert main(["apply", str(tmp_path / "run"), source, "--out", str(tmp_path / name), "--device", "cpu", *more]) == 0
        made[name] = np.array(Image.open(tmp_path / name / "03.png"))
    assert made["with"].shape == (SIDE, SIDE) and (made["with"] != made["without"]).any()
    for path in (tmp_path / "set" / "instances").iterdir():
        path.unlink()
    (tmp_path / "set" / "instances").rmdir()
    fields = find("pix2pixhd").fields
    with pytest.raises(GanvasError, match="no instances"):
        open_data(tmp_path / "set", fields=fields, cache=tmp_path / "cache", progress=False)
    opened = open_data(tmp_path / "set", fields=fields, optional=("instances",), cache=tmp_path / "cache", progress=False)
    assert list(opened.fields) == ["photo", "map"]
    assert main(["train", "pix2pixhd", *folder, "--budget", "2r", "--out", str(tmp_path / "plain"), *common]) == 0


def test_other_sizes_are_refused_in_one_line() -> None:
    with pytest.raises(GanvasError, match="of one size are needed, not 32x32 and 16x16"):
        build({**SPECS, "photo": ImageSpec(1, 32, 32)})
