"""VGAN: with a background of its own, what does not move stands still; masks neither vanish nor fill the clip."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds import kind_of
from ganvas.kinds.video.spec import VideoSpec
from ganvas.proofs import Task
from ganvas.proofs import vgan as proof
from ganvas.store.records import Dataset, Field
from ganvas.systems.video.vgan import PRESETS, ClipGenerator, Config, Vgan, plan

SPEC = VideoSpec(8, 8, 8, 1)


def build(spec: VideoSpec = SPEC, **settings: Any) -> Vgan:
    torch.manual_seed(0)
    given = {
        "width": 16, "latent_size": 8, "batch_size": 16, "generator_learning_rate": 2e-3, "discriminator_learning_rate": 1e-3,
        "initial_mask": 0.2, **settings,
    }  # fmt: skip
    return Vgan(spec, build_config(Config, given))


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def blocks(count: int = 256) -> np.ndarray:
    """A bright block that crosses a background of stripes, still and of a shade of its own."""
    rng = np.random.default_rng(0)
    clips = np.zeros((count, 8, 8, 8, 1), np.uint8)
    for clip in clips:
        clip[:] = rng.integers(40, 110)
        clip[:, :: 2 if rng.random() < 0.5 else 3] += 40
        row = rng.integers(0, 6)
        for frame in range(8):
            clip[frame, row : row + 3, max(0, frame - 2) : frame + 1] = 240
    return clips


@cache
def learnt(streams: str, rounds: int = 400) -> tuple[float, float]:
    """(restlessness of the stillest half, in levels; deviation of the rest) of clips after some rounds."""
    clips = blocks()
    data = Dataset({"real": Field(SPEC, clips)}, None, np.arange(len(clips)), np.zeros(len(clips), bool), "blocks", "")
    system = build(streams=streams)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    with engine.watching() as board, torch.no_grad():
        made = kind_of("video").decode(board.sample(64, noise(5)), SPEC)
    deviations = np.sort(made.astype(float).std(axis=1).reshape(64, -1), axis=1)
    return proof.restlessness(made), float(deviations[:, -8:].mean())


def test_with_a_stream_for_it_the_background_stands_still_and_something_moves() -> None:
    (still, moves), (restless, _) = learnt("two"), learnt("one")
    assert still < 0.6 * restless
    assert moves > 15, "it is no still picture"
    assert proof.restlessness(blocks(32)) < 1e-6


def test_where_the_mask_is_nothing_a_clip_is_its_background() -> None:
    system = build().eval()
    with torch.no_grad():
        system.average.mask.bias.fill_(-30.0)
        clips = system.sample(3, noise())
        assert float(clips.std(dim=2).max()) < 1e-5
        system.average.mask.bias.fill_(30.0)
        latents = noise().normal(3, 8)
        moving = system.average.moving(latents[:, :, None, None, None])
        assert torch.allclose(system.sample(3, noise()), torch.tanh(system.average.foreground(moving)), atol=1e-5)


def test_masks_are_of_the_samples_of_the_same_noise() -> None:
    system = build().eval()
    masks = system.masks(3, noise(1))
    assert masks.shape == (3, 1, 8, 8, 8)
    assert 0 <= float(masks.detach().min()) <= float(masks.detach().max()) <= 1
    assert bool((build(streams="one").eval().masks(2, noise()) == 1).all())


def test_the_mask_is_penalised_by_its_mean_and_only_then() -> None:
    batch = Batch(noise(), {"real": torch.zeros(8, 1, 8, 8, 8)})
    for weight, streams in ((0.3, "two"), (0.0, "two"), (0.3, "one")):
        system = build(mask_weight=weight, streams=streams)
        shared: dict[str, Any] = {}
        system.discriminate(batch, Clock(), shared)
        clips, mask = shared["fake"]
        terms = system.fool(batch, Clock(), shared)
        assert ("mask" in terms) == (weight > 0 and streams == "two")
        if "mask" in terms:
            assert float(terms["mask"].detach()) == pytest.approx(weight * float(mask.detach().mean()), rel=1e-5)
        assert "fake" not in shared, "the fakes that were just judged are those that G learns from"


@pytest.mark.parametrize("initial", [0.1, 0.5])
def test_a_mask_begins_where_it_is_told(initial: float) -> None:
    assert float(build(initial_mask=initial).masks(8, noise()).detach().mean()) == pytest.approx(initial, abs=0.05)


@pytest.mark.parametrize("shape", [(16, 32, 32), (2, 8, 8), (5, 9, 23), (7, 20, 12), (32, 16, 16), (3, 40, 33)])
def test_clips_of_any_length_and_aspect_are_made_and_judged_and_a_batch_of_one_stays_one(shape: Any) -> None:
    for channels, streams in ((1, "two"), (3, "one")):
        system = build(VideoSpec(*shape, channels), width=2, streams=streams).eval()
        clips = system.sample(1, noise())
        assert clips.shape == (1, channels, *shape)
        assert system.discriminator(clips).shape == (1,)


def test_one_stream_has_as_many_weights_as_two() -> None:
    def weights(system: Vgan) -> int:
        return sum(own.numel() for own in system.generator.parameters())

    one, two = (build(VideoSpec(16, 16, 16), width=32, streams=name, latent_size=64) for name in ("one", "two"))
    assert 0.95 < weights(one) / weights(two) < 1.1
    assert sum(own.numel() for own in one.discriminator.parameters()) == sum(
        own.numel() for own in two.discriminator.parameters()
    )


def test_the_papers_form_starts_from_two_frames_of_four_by_four() -> None:
    assert plan(32, 64, 64) == ((2, 4, 4), [2, 2, 2, 2])
    config = build_config(Config, PRESETS["paper"])
    network = ClipGenerator(config.latent_size, (3, 32, 64, 64), config.width, True, config.initial_mask)
    kinds = [own.weight.shape[:2] for own in network.moving if isinstance(own, torch.nn.ConvTranspose3d)]
    assert [tuple(own) for own in kinds] == [(100, 512), (512, 256), (256, 128), (128, 64)]
    system = Vgan(VideoSpec(4, 8, 8), config)
    clips = np.random.default_rng(0).integers(0, 256, (64, 4, 8, 8, 3), dtype=np.uint8)
    data = Dataset({"real": Field(VideoSpec(4, 8, 8), clips)}, None, np.arange(64), np.zeros(64, bool), "noise", "")
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 64, seed=0)}, seed=0)
    engine.play_round()


def test_too_few_frames_and_too_small_sides_are_one_line() -> None:
    with pytest.raises(GanvasError, match="2 frames or more: add --frames 16"):
        build(VideoSpec(1, 16, 16))
    with pytest.raises(GanvasError, match="too small to learn"):
        build(VideoSpec(4, 6, 16))


def test_from_gifs_to_gifs(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    kind_of("video").write(blocks(24), SPEC, tmp_path / "data", format="gif", depth=None, note={})
    small = {"width": 2, "latent_size": 4, "batch_size": 8}
    ganvas.train(
        "vgan", tmp_path / "data", out=tmp_path / "run", budget="2r", size=8, frames=4, config=small, quiet=True, precision="32"
    )
    run = ganvas.load(tmp_path / "run")
    assert run.spec.frames == 4
    assert run.sample(3, seed=1).shape == (3, 4, 8, 8, 1)
    from ganvas.cli import main

    assert main(["sample", str(tmp_path / "run"), "-n", "3", "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").glob("*.gif"))) == 3
    assert (tmp_path / "out" / "grid.png").exists()
    assert main(["sample", str(tmp_path / "run"), "-n", "2", "--format", "png", "--out", str(tmp_path / "frames")]) == 0
    assert len(list((tmp_path / "frames" / "sample-0001").glob("*.png"))) == 4


# The proof


@pytest.mark.parametrize(("name", "large"), [*((name, False) for name in proof.PROOF.arms), ("system", True)])
def test_the_arms_of_the_proof_run(name: str, large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for own in ("COMMON", "LARGE", "FRAME"):
        monkeypatch.setattr(proof, own, {**getattr(proof, own), "width": 2, "batch_size": 8})
    monkeypatch.setattr(proof, "LARGE_SIDE", 32)
    monkeypatch.setattr(proof, "JUDGED", 8)
    monkeypatch.setattr(kind_of("video"), "says", replace(kind_of("video").says, phantom_count=48))
    task = Task(3, "clips", True, tmp_path, "2r", not large, lambda text: None, large=large)
    found = proof.PROOF.arms[name](task)
    assert found.value >= 0
    assert found.more["clips_distance"] > 0
    assert found.samples is not None and found.samples.ndim == 4
