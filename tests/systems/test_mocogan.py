"""MoCoGAN: what acts keeps its look when it does something else, does what it is asked, and goes on for as long as wanted."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.capabilities import ActsApart
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds import kind_of
from ganvas.kinds.video.spec import VideoSpec
from ganvas.proofs import Task
from ganvas.proofs import mocogan as proof
from ganvas.store.records import Dataset, Field
from ganvas.systems.video.mocogan import PRESETS, ClipDiscriminator, Config, MoCoGan
from ganvas.uses import Work, act, build_options, find_use, pieces_of
from learning import most_seeds

ACTIONS = ("right", "down")
SPEC = VideoSpec(6, 8, 8, 1, classes=ACTIONS)


def build(spec: VideoSpec = SPEC, seed: int = 0, **settings: Any) -> MoCoGan:
    torch.manual_seed(seed)
    given = {
        "width": 16, "clip_width": 8, "content_size": 6, "motion_size": 4, "batch_size": 16,
        "generator_learning_rate": 2e-3, "discriminator_learning_rate": 1e-3, **settings,
    }  # fmt: skip
    return MoCoGan(spec, build_config(Config, given))


def noise(seed: int = 0) -> Noise:
    return Noise.seeded(seed)


def work(system: MoCoGan) -> Work:
    return Work(system, {"real": system.spec}, seed=3)


def acted(system: MoCoGan, **options: Any) -> torch.Tensor:
    use = find_use(system, "act")
    return torch.cat(list(pieces_of(use.run(work(system), {}, build_options(use, options))["real"])))


def blocks(count: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """A white block that crosses a ground of a shade of its own to the right, or downwards."""
    rng = np.random.default_rng(0)
    clips, labels = np.zeros((count, 6, 8, 8, 1), np.uint8), np.arange(count) % 2
    for clip, label in zip(clips, labels, strict=True):
        lane = rng.integers(0, 6)
        clip[:] = rng.integers(0, 160)
        for frame in range(6):
            across = (slice(lane, lane + 3), slice(frame, frame + 3))
            clip[frame][across if label == 0 else across[::-1]] = 255
    return clips, labels


def way(clips: np.ndarray) -> np.ndarray:
    """(N,) 0 where what is bright moves to the right, 1 where it moves downwards."""
    mass = (clips[..., 0].astype(float) - shade(clips)[:, None, None, None]).clip(0) + 1e-6
    mass /= mass.sum(axis=(2, 3), keepdims=True)
    steps = np.arange(8)
    across, down = (mass.sum(axis=2) * steps).sum(2), (mass.sum(axis=3) * steps).sum(2)
    return ((down[:, -1] - down[:, 0]) > (across[:, -1] - across[:, 0])).astype(int)


def shade(clips: np.ndarray) -> np.ndarray:
    """(N,) the level of the ground: the middle one of a frame, mean of the frames."""
    return np.median(clips.reshape(*clips.shape[:2], -1), axis=2).mean(axis=1)


@cache
def learnt(codes: str, seed: int, rounds: int = 400) -> tuple[float, float]:
    """(how far the shades of looks that do something else agree, as a correlation; share of clips that do what was asked)."""
    clips, labels = blocks()
    data = Dataset({"real": Field(SPEC, clips)}, labels, np.arange(len(clips)), np.zeros(len(clips), bool), "blocks", "")
    system = build(seed=seed, codes=codes)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=seed)}, seed=seed)
    for _ in range(rounds):
        engine.play_round()
    with engine.watching() as watched, torch.no_grad():
        board: Any = watched
        content, asked = noise(5).normal(64, 6), [torch.zeros(64).long(), torch.ones(64).long()]
        made = [board.act(content, noise(6 + k).normal(64, 7, 4), own) for k, own in enumerate(asked)]
        first, second = (kind_of("video").decode(own, SPEC) for own in made)
    right = np.concatenate([way(first) == 0, way(second) == 1]).mean()
    return float(np.corrcoef(shade(first), shade(second))[0, 1]), float(right)


@most_seeds
def test_a_look_is_kept_when_it_does_something_else_and_it_does_what_is_asked(seed: int) -> None:
    kept, right = learnt("two", seed)
    assert right > 0.8
    assert kept > 0.8
    clips, labels = blocks(64)
    assert (way(clips) == labels).all(), "the judge knows the ways of real clips"


@partial(most_seeds, of=5)
def test_one_code_for_both_keeps_less_or_obeys_less(seed: int) -> None:
    (kept, right), (mixed, wrong) = learnt("two", seed), learnt("one", seed)
    assert min(mixed, wrong) < min(kept, right) - 0.1
    assert not (wrong > 0.8 and mixed > 0.8), "it would pass the test above"


@most_seeds
def test_content_is_read_off_any_frame_where_that_is_asked_for(seed: int) -> None:
    """The error of reading is that of knowing nothing (1) at first, and less when it was learnt; whatever the action."""
    clips, labels = blocks()
    data = Dataset({"real": Field(SPEC, clips)}, labels, np.arange(len(clips)), np.zeros(len(clips), bool), "blocks", "")
    system = build(seed=seed, information_weight=4.0)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=seed)}, seed=seed)

    def missed(action: int) -> float:
        content = noise(5).normal(64, 6)
        with torch.no_grad():
            made = system.generator(content, noise(6 + action).normal(64, 7, 4), torch.eye(2)[[action] * 64])
            return float((system.recogniser(made[:, :, 3 + action]) - content).square().mean())

    before = [missed(action) for action in (0, 1)]
    for _ in range(200):
        engine.play_round()
    after = [missed(action) for action in (0, 1)]
    assert min(before) > 0.9
    assert max(after) < 0.75
    assert not hasattr(build(), "recogniser"), "runs of before have none"


def test_content_is_in_every_frame_and_motion_is_not_the_look() -> None:
    """With a G that shows its codes: the content's share of them stands still, whatever the motion and the action."""
    system = build().eval()
    seen: list[torch.Tensor] = []
    system.average.frame.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    content = noise().normal(3, 6)
    for seed, action in ((1, 0), (2, 1)):
        system.act(content, noise(seed).normal(3, 7, 4), torch.full((3,), action))
    one, other = (codes.unflatten(0, (3, 6)) for codes in seen)
    assert torch.equal(one[:, :, :6], content[:, None].expand(-1, 6, -1))
    assert torch.equal(one[:, :, :6], other[:, :, :6])
    assert not torch.allclose(one[:, :, 6:], other[:, :, 6:])
    assert float(one[:, :, 6:].detach().std(1).min()) > 0.01, "motion changes from frame to frame"


def test_the_action_is_heard_by_the_motion_alone() -> None:
    system = build().eval()
    content, motions = noise().normal(4, 6), noise(1).normal(4, 7, 4)
    right, down = (system.act(content, motions, torch.full((4,), action)) for action in (0, 1))
    assert not torch.allclose(right, down)
    with torch.no_grad():
        system.average.recurrence.weight_ih[:, 4:] = 0
        right, down = (system.act(content, motions, torch.full((4,), action)) for action in (0, 1))
    assert torch.equal(right, down)


def test_both_forms_have_latents_of_one_size_and_one_has_no_part_that_stays() -> None:
    two, one = build(), build(codes="one").eval()
    weights = [sum(own.numel() for own in system.generator.frame.parameters()) for system in (two, one)]
    assert weights[0] == weights[1]
    seen: list[torch.Tensor] = []
    one.average.frame.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    one.act(noise().normal(3, 6), noise(1).normal(3, 7, 4), torch.zeros(3).long())
    assert float(seen[0].unflatten(0, (3, 6)).detach().std(1).min()) > 1e-3


def test_the_frames_that_are_judged_are_frames_of_the_clips_each_once() -> None:
    system = build(frames_judged=3)
    seen: list[torch.Tensor] = []
    system.image_discriminator.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    clips = torch.arange(8 * 6.0).reshape(8, 1, 6, 1, 1).expand(8, 1, 6, 8, 8)
    system._judged_frames(clips, Batch(noise(), {"real": clips}))
    found = seen[0][:, 0, 0, 0].reshape(8, 3).long()
    assert (found // 6 == torch.arange(8)[:, None]).all()
    assert all(len(set(row.tolist())) == 3 for row in found)
    assert len(set((found % 6).flatten().tolist())) == 6, "any frame may come"


def test_actions_are_read_of_real_clips_by_d_and_of_made_ones_by_g() -> None:
    real = torch.zeros(8, 1, 6, 8, 8)
    batch = Batch(noise(), {"real": real}, torch.arange(8) % 2)
    for weight in (1.0, 0.5, 0.0):
        system = build(class_weight=weight)
        shared: dict[str, Any] = {}
        assert set(system.judge_frames(batch, Clock(), shared)) == {"real", "fake"}
        assert "action" in system.judge_clips(batch, Clock(), shared)
        assert ("action" in system.fool(batch, Clock(), shared)) == (weight > 0)
        assert "fake" not in shared, "the fakes that were just judged are those that G learns from"
    without = build(VideoSpec(6, 8, 8, 1))
    assert without.classes == 0
    assert set(without.fool(Batch(noise(), {"real": real}), Clock(), {})) == {"frames", "clips"}
    assert without.eval().sample(2, noise()).shape == (2, 1, 6, 8, 8)


@pytest.mark.parametrize("shape", [(16, 32, 32), (2, 8, 8), (5, 9, 23), (7, 20, 12), (3, 40, 33)])
def test_clips_of_any_length_and_aspect_are_made_and_judged_and_a_batch_of_one_stays_one(shape: Any) -> None:
    for channels, codes in ((1, "two"), (3, "one")):
        frames, height, width = shape
        system = build(VideoSpec(frames, height, width, channels, classes=ACTIONS), width=2, clip_width=2, codes=codes).eval()
        clips = system.sample(1, noise(), torch.tensor([1]))
        assert clips.shape == (1, channels, *shape)
        said, read = system.video_discriminator(clips)
        assert (said.shape, read.shape) == ((1,), (1, 2))
        assert system._judged_frames(clips, Batch(noise(), {"real": clips})).shape == (1,)


def test_the_papers_form_looks_through_kernels_of_four_frames() -> None:
    config = build_config(Config, PRESETS["paper"])
    layers = [own for own in ClipDiscriminator((3, 16, 64, 64), config.clip_width, 6).layers if hasattr(own, "kernel_size")]
    assert [own.out_channels for own in layers] == [64, 128, 256, 512, 7]
    assert all(own.kernel_size == (4, 4, 4) for own in layers)
    assert (config.content_size, config.motion_size, config.instance_noise) == (50, 10, 0.1)
    small = build(width=4, clip_width=4, instance_noise=0.1)
    clips, labels = blocks(32)
    data = Dataset({"real": Field(SPEC, clips)}, labels, np.arange(32), np.zeros(32, bool), "blocks", "")
    Engine(small, {"data": open_stream(data, small.feeds()["data"], 16, seed=0)}, seed=0).play_round()


# The use


def test_a_look_a_motion_and_an_action_are_asked_for_by_number_and_name() -> None:
    system = build().eval()
    assert isinstance(system, ActsApart)
    every = acted(system, count=5)
    assert every.shape == (5, 1, 6, 8, 8)
    torch.testing.assert_close(acted(system, count=3), every[:3])
    torch.testing.assert_close(acted(system, count=1, content=4, motion=4)[0], every[3])
    one = acted(system, count=4, content=2, motion=3)
    torch.testing.assert_close(one, one[:1].expand_as(one))
    torch.testing.assert_close(acted(system, count=1, content=2, motion=3, label="right"), one[:1])
    down = acted(system, count=1, content=2, motion=3, label="down")
    assert torch.equal(down, acted(system, count=1, content=2, motion=3, label="1"))
    assert float((down - one[:1]).detach().abs().max()) > 1e-4
    labels = find_use(system, "act").run(work(system), {}, build_options(act.USE, {"count": 4, "motion": 2}))["label"]
    assert labels.tolist() == [1, 1, 1, 1], "a motion has its action"


def test_longer_clips_begin_as_short_ones_and_go_on() -> None:
    system = build().eval()
    short, long = acted(system, count=3), acted(system, count=3, frames=40)
    assert long.shape == (3, 1, 40, 8, 8)
    torch.testing.assert_close(long[:, :, :6], short, atol=1e-5, rtol=1e-4)
    assert float((long[:, :, -1] - long[:, :, -2]).detach().abs().max()) > 1e-4, "it still moves"


def test_what_cannot_be_asked_for_is_one_line() -> None:
    system = build().eval()
    for options, message in (
        ({"frames": 1}, "2 to 1024 frames"),
        ({"frames": 5000}, "2 to 1024 frames"),
        ({"content": 10_000}, "--content 10000 is out of range"),
        ({"motion": 10_000}, "--motion 10000 is out of range"),
        ({"label": "up"}, "unknown label 'up'"),
    ):
        with pytest.raises(GanvasError, match=message):
            acted(system, **options)
    with pytest.raises(GanvasError, match="had no labels"):
        acted(build(VideoSpec(6, 8, 8, 1)).eval(), label="right")
    with pytest.raises(GanvasError, match="2 frames or more: add --frames 16"):
        build(VideoSpec(1, 16, 16))
    with pytest.raises(GanvasError, match="too small to learn"):
        build(VideoSpec(4, 6, 16))


def test_the_measure_tells_a_look_that_stays_from_one_that_goes() -> None:
    """A stand-in for a trained run: frames of one shade, which the content says, or the motion."""
    system = build().eval()
    dataset: Any = None

    def shift(by_content: bool) -> float:
        def shown(contents: torch.Tensor, motions: torch.Tensor, labels: Any = None) -> torch.Tensor:
            level = (contents if by_content else motions[:, 0])[:, 0].tanh()
            return level[:, None, None, None, None].expand(-1, 1, motions.shape[1] - 1, 8, 8)

        system.act = shown  # type: ignore[method-assign]
        return act.measure(work(system), dataset, 32)["content_shift"].value

    assert shift(True) == 0
    assert shift(False) == pytest.approx(1, abs=0.35)


def test_from_folders_of_actions_to_long_clips(tmp_path: Path) -> None:
    clips, labels = blocks(24)
    for number, name in enumerate(ACTIONS):
        (tmp_path / "data" / name).mkdir(parents=True)
        plain = replace(SPEC, classes=())
        kind_of("video").write(clips[labels == number], plain, tmp_path / "data" / name, format="gif", depth=None, note={})
    small = {"width": 2, "clip_width": 2, "content_size": 4, "motion_size": 3, "batch_size": 8}
    ganvas.train(
        "mocogan", tmp_path / "data", out=tmp_path / "run", budget="2r", size=8, frames=4, config=small, quiet=True,
        precision="32",
    )  # fmt: skip
    run = ganvas.load(tmp_path / "run")
    assert set(run.spec.classes) == set(ACTIONS)
    assert run.sample(3, seed=1, label="down").shape == (3, 4, 8, 8, 1)
    from ganvas.cli import main

    assert main(["sample", str(tmp_path / "run"), "-n", "3", "--label", "down", "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").glob("*.gif"))) == 3
    long = ["--as", "act", "-n", "2", "--content", "3", "--frames", "20", "--format", "png", "--out", str(tmp_path / "long")]
    assert main(["apply", str(tmp_path / "run"), *long]) == 0
    assert len(list((tmp_path / "long" / "sample-0001").glob("*.png"))) == 20
    told = (tmp_path / "long" / "labels.csv").read_text().splitlines()
    assert told == ["file,label", f"sample-0001,{run.spec.classes[0]}", f"sample-0002,{run.spec.classes[1]}"]


# The proof


def test_looks_are_told_by_their_colours_and_not_by_where_they_are() -> None:
    rng = np.random.default_rng(0)
    frames = np.full((12, 16, 16, 3), 255, np.uint8)
    moved = frames.copy()
    for one, other in zip(frames, moved, strict=True):
        colour = rng.integers(0, 200, (2, 3))
        one[2:6, 3:6], one[6:10, 3:6] = colour
        other[8:12, 9:12], other[4:8, 9:12] = colour
    assert proof.found_again(frames, moved) == 1
    assert proof.found_again(frames, moved[rng.permutation(12)]) < 0.5
    assert proof.colours(np.full((2, 4, 4, 3), 255, np.uint8)).max() == 0


@pytest.mark.parametrize(("name", "large"), [*((name, False) for name in proof.PROOF.arms), ("system", True)])
def test_the_arms_of_the_proof_run(name: str, large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for own in ("COMMON", "LARGE"):
        monkeypatch.setattr(proof, own, {**getattr(proof, own), "width": 2, "clip_width": 2, "batch_size": 8})
    monkeypatch.setattr(proof, "LARGE_SIDE", 16)
    monkeypatch.setattr(proof, "AMONG", 12)
    monkeypatch.setattr(kind_of("video"), "says", replace(kind_of("video").says, phantom_count=48))
    task = Task(3, "clips", True, tmp_path, "2r", not large, lambda text: None, large=large)
    found = proof.PROOF.arms[name](task)
    assert 0 <= found.value <= 1
    assert 0 <= found.more["right"] <= 1
    assert set(found.more["right_by_action"]) == {"falling", "sliding", "swinging", "circling"}
