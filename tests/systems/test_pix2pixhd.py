"""pix2pixHD: from coarse to fine, and touching things of one class kept apart by the boundary map."""

from __future__ import annotations

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
from ganvas.data.dataset import open_data
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds import decode, encode
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.label_map.spec import LabelMapSpec
from ganvas.networks.patch import PatchPyramid
from ganvas.networks.pix2pixhd import CoarseToFine, GlobalGenerator, boundaries_of
from ganvas.proofs.pix2pixhd import contrast, crates
from ganvas.systems.translation.pix2pixhd import Config, Pix2PixHD

SIDE = 16
VALUES = (0, 100, 101, 102)
TINY = {"width": 4, "blocks": 1, "enhancer_blocks": 1, "discriminator_width": 8, "scales": 2, "batch_size": 8}
SPECS: dict[str, Any] = {
    "photo": ImageSpec(1, SIDE, SIDE),
    "map": LabelMapSpec(SIDE, SIDE, tuple(map(str, VALUES)), VALUES, ("#000000", "#ff0000", "#00ff00", "#00f0ff")),
}


def build(specs: Any = SPECS, **settings: Any) -> Pix2PixHD:
    torch.manual_seed(0)
    return Pix2PixHD(specs, build_config(Config, {**TINY, **settings}))


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def batch_of(system: Pix2PixHD, count: int = 4) -> Batch:
    height, width = system.spec["map"].shape
    maps = torch.randint(0, len(system.spec["map"].names), (count, height, width), generator=torch.Generator().manual_seed(1))
    photos = torch.rand(count, system.spec["photo"].channels, height, width, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return Batch(noise(), {"map": maps, "photo": photos})


def seam_contrast(folder: Path, rounds: int, **settings: Any) -> float:
    """Of crates that touch, in photographs made of held-out maps, as a share of the true contrast of their seams."""
    data = open_data(str(folder), fields={"photo": ("image",), "map": ("label_map",)}, cache=folder.parent / "cache")
    specs = {name: field.spec for name, field in data.fields.items()}
    system = build(specs, instance_base=100, learning_rate=2e-3, decay_start=1.0, coarse_share=0.4, **settings)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 8, seed=0)}, seed=0)
    for number in range(rounds):
        engine.progress = number / rounds
        engine.play_round()
    assert engine.clock.phase == "joint", "the enhancer has learnt too"
    held = data.heldout_indices()
    given, true = np.asarray(data.fields["map"].values[held]), np.asarray(data.fields["photo"].values[held])
    with engine.watching() as own:
        board: Any = own
        made = decode(board.translate(encode(given, specs["map"]), None, noise()), specs["photo"], 8)
    things = np.asarray(specs["map"].values)[given]
    return contrast(made, things) / contrast(true, things)


def test_touching_things_of_one_class_are_kept_apart_with_the_boundary_map_and_not_without(tmp_path: Path) -> None:
    folder = crates(tmp_path / "set", 96)
    told, untold = (seam_contrast(folder, 90, boundaries=own) for own in (True, False))
    assert told > 0.7
    assert untold < 0.4


def test_boundaries_lie_on_both_sides_and_not_at_the_border() -> None:
    things = torch.tensor([[[3, 3, 4, 4], [3, 3, 4, 4], [3, 3, 3, 3]]])
    wanted = [[0, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]
    assert boundaries_of(things)[0, 0].int().tolist() == wanted


def test_numbers_of_things_are_one_class_and_the_boundary_map_alone_tells_them_apart() -> None:
    maps = torch.zeros(1, SIDE, SIDE, dtype=torch.int64)
    maps[:, :, 4:8], maps[:, :, 8:12] = 1, 2  # values 100 and 101 of the files
    split, plain = build(instance_base=100), build()
    assert (split.classes_of_map, plain.classes_of_map) == (2, 4)
    channels = split._channels(maps, torch.float32)
    assert channels.shape[1] == 3 and torch.equal(channels[0, 1, 0, 4:12], torch.ones(8)), "a class, never a number"
    assert channels[0, 2, 0].nonzero()[:, 0].tolist() == [3, 4, 7, 8, 11, 12]
    assert build(boundaries=False, instance_base=100)._channels(maps, torch.float32).shape[1] == 2
    loose = replace(SPECS["map"], names=tuple("abcd"), values=(7, 26, 26001, 26002))  # a group of cars, and two cars
    assert build({**SPECS, "map": loose}, instance_base=1000).class_of.tolist() == [0, 1, 1, 1]
    with pytest.raises(GanvasError, match="instance_base is 1000, but the largest value of the maps is 102"):
        build(instance_base=1000)


def test_the_coarse_phase_comes_first_at_half_the_size_and_its_features_go_on() -> None:
    system = build()
    assert [phase.name for phase in system.phases()] == ["coarse", "joint"]
    owned = {player.name: player.networks for player in system.players()}
    assert owned["coarse"] == ("generator.coarse",) and owned["coarse judges"] == ("judges.scales.1",)
    assert owned["generator"] == ("generator.coarse.features", "generator.enhancer")
    batch = batch_of(system)
    shared: dict[str, Any] = {}
    system.judge(batch, Clock(phase="coarse"), shared)
    assert [tuple(part.shape[2:]) for part in shared["seen"]] == [(SIDE // 2, SIDE // 2)] * 3
    draft = system.translate(batch["map"], None, noise())
    assert draft.shape == batch["photo"].shape
    system.judge(batch, Clock(), {})
    both = system.translate(batch["map"], None, noise())
    assert both.shape == draft.shape and not torch.equal(both, draft), "from the joint phase on it is the enhancer's"
    for settings, names in (({"coarse_share": 0.0}, ["joint"]), ({"enhancer": False}, ["joint"])):
        alone = build(**settings)
        assert [phase.name for phase in alone.phases()] == names
        assert alone.translate(batch["map"], None, noise()).shape == draft.shape


def test_features_are_added_before_the_enhancers_residual_blocks() -> None:
    torch.manual_seed(0)
    network = CoarseToFine(2, 1, 4, 1, 1, 1, torch.nn.InstanceNorm2d, False)
    maps = torch.randn(2, 2, SIDE, SIDE)
    assert network.enhancer is not None
    front = network.enhancer.front(maps)
    inner = network.coarse.features(torch.nn.functional.avg_pool2d(maps, 3, 2, 1, count_include_pad=False))
    torch.testing.assert_close(network(maps), network.enhancer.back(front + inner))


def test_feature_matching_pulls_at_what_is_made_alone_and_leaves_the_logits_out(monkeypatch: pytest.MonkeyPatch) -> None:
    system = build()
    seen: list[Any] = []

    def matching(made: Any, wanted: Any) -> torch.Tensor:
        seen.append((made, wanted))
        return made[0].mean()

    monkeypatch.setattr("ganvas.systems.translation.pix2pixhd.feature_matching", matching)
    terms = system.draw(batch_of(system), Clock(), {})
    assert set(terms) == {"fool", "features"} and len(seen) == 2
    scales: Any = system.judges.scales
    for (made, wanted), scale in zip(seen, scales, strict=True):
        assert len(made) == len(wanted) == sum(isinstance(layer, torch.nn.LeakyReLU) for layer in scale.layers)
        assert all(own.requires_grad for own in made) and not any(own.requires_grad for own in wanted)
    assert set(build(feature_weight=0.0).draw(batch_of(system), Clock(), {})) == {"fool"}


def test_features_of_a_pretrained_network_pull_in_the_joint_phase_alone_and_it_may_not_judge() -> None:
    system, plain = build(perceptual_weight=2.0, feature_weight=0.0), build(feature_weight=0.0)
    assert (system.extractors, plain.extractors) == (("effnet",), ())
    assert system.state_dict().keys() == plain.state_dict().keys(), "it is no part of what is saved"
    batch = batch_of(system)
    assert set(system.draw(batch, Clock(phase="coarse"), {})) == {"fool"}
    terms = system.draw(batch, Clock(phase="joint"), {})
    assert set(terms) == {"fool", "perceptual"}
    terms["perceptual"].backward()
    leave: Any = system.generator.enhancer
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in leave.back[-2].parameters())
    assert all(part.grad is None for part in system.judges.parameters())


def test_a_scale_sees_the_same_sizes_in_both_phases() -> None:
    pyramid = PatchPyramid(1, 4, 1, 32, 3, torch.nn.InstanceNorm2d)
    images = torch.randn(2, 1, 32, 32)
    from_half = pyramid(torch.nn.functional.avg_pool2d(images, 3, 2, 1, count_include_pad=False), 1)
    whole = pyramid(images)
    assert len(whole) == 3 and len(from_half) == 2
    torch.testing.assert_close(from_half[0][-1], whole[1][-1])


def test_the_papers_networks_have_the_papers_widths() -> None:
    specs = {"photo": ImageSpec(3, 512, 1024), "map": replace(SPECS["map"], height=512, width=1024)}
    with torch.device("meta"):
        system = Pix2PixHD(specs, Config())
    coarse, enhancer = system.generator.coarse, system.generator.enhancer
    assert isinstance(coarse, GlobalGenerator) and enhancer is not None
    widths = [layer.out_channels for layer in coarse.features if isinstance(layer, torch.nn.Conv2d)]
    assert widths == [64, 128, 256, 512, 1024] and system.multiple == 32
    front: Any = enhancer.front[0]
    judge: Any = system.judges.scales[0]
    assert front.weight.shape[0] == 32 and len(system.judges.scales) == 3
    assert len(judge.features(torch.zeros(1, 8, 64, 64, device="meta"))) == 5


def test_what_it_cannot_do_is_refused_in_one_line() -> None:
    def odd(height: int, width: int) -> dict[str, Any]:
        return {"photo": ImageSpec(3, height, width), "map": replace(SPECS["map"], height=height, width=width)}

    with pytest.raises(GanvasError, match="sides of 8x8 are too small to be halved first: add --set enhancer=off"):
        build(odd(8, 8))
    assert build(odd(8, 8), enhancer=False).translate(torch.zeros(1, 8, 8, dtype=torch.int64), None, noise()).shape[2] == 8
    with pytest.raises(GanvasError, match="sides of 33x33 cannot be halved 2 times: choose multiples of 16"):
        build(odd(33, 33))
    with pytest.raises(GanvasError, match="of one size are needed, not 16x16 and 32x32"):
        build({**SPECS, "photo": ImageSpec(1, 32, 32)})


@pytest.mark.parametrize(("size", "channels"), [((12, 20), 1), ((24, 16), 3), ((48, 20), 3)])
def test_any_aspect_plays_both_phases(size: tuple[int, int], channels: int) -> None:
    specs = {"photo": ImageSpec(channels, *size), "map": replace(SPECS["map"], height=size[0], width=size[1])}
    system = build(specs, ema_half_life=10.0)
    for phase in system.phases():
        shared: dict[str, Any] = {}
        for turn in phase.turns:
            terms = turn.objective(batch_of(system), Clock(phase=phase.name), shared)
            assert all(torch.isfinite(term) for term in terms.values())
    assert system.translate(batch_of(system)["map"], None, noise()).shape[2:] == size


def test_maps_with_numbers_of_things_become_photographs_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, run = crates(tmp_path / "set", 30), tmp_path / "run"
    small = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]
    common = ["--device", "cpu", "--watch", "off", "--sample-every", "0", "--set", "instance_base=100"]
    words = ["train", "pix2pixhd", "--data", str(folder), "--budget", "4r", "--out", str(run)]
    assert main([*words, *small, *common]) == 0
    assert main(["apply", str(run), str(folder / "map" / "003.png"), "--out", str(tmp_path / "made"), "--device", "cpu"]) == 0
    made = np.array(Image.open(tmp_path / "made" / "003.png"))
    assert made.shape == (32, 32) and made.dtype == np.uint8
    lone = np.array(Image.open(folder / "map" / "003.png"))
    lone[0, 0] = 177
    Image.fromarray(lone).save(tmp_path / "lone.png")
    capsys.readouterr()
    assert main(["apply", str(run), str(tmp_path / "lone.png"), "--out", str(tmp_path / "no"), "--device", "cpu"]) != 0
    assert "holds the value 177" in capsys.readouterr().err
