"""fomm: stills move as strangers do; without a field they do not. Motion near a keypoint is the equation's, keypoints go along
with known transforms, relative motion starts from the picture's own pose."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.phantoms.faces import draw, people
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import DataError, GanvasError
from ganvas.game import Clock
from ganvas.kinds import decode, encode
from ganvas.kinds.video.spec import VideoSpec
from ganvas.kinds.video.writing import write_clip
from ganvas.networks import fomm as networks
from ganvas.networks.fomm import Keypoints, Transforms, applied, candidates, grid, inverse, product, warped
from ganvas.store.records import Dataset, Field
from ganvas.systems.video import fomm
from ganvas.systems.video.fomm import PRESETS, Config, Fomm
from ganvas.uses import Work
from ganvas.uses.animate import error, judge, measure, show, still

SPEC = VideoSpec(4, 16, 16, 1)
SMALL: dict[str, Any] = {
    "width": 8, "generator_width": 8, "keypoints": 4, "blocks": 1, "halvings": 1, "motion_scale": 1, "compared_scales": 2,
    "copies": True, "batch_size": 16, "discriminator_width": 8, "equivariance_weight": 2.0, "map_weight": 2.0,
    "learning_rate": 2e-3, "heatmap_temperature": 0.5,
}  # fmt: skip


def build(spec: VideoSpec = SPEC, **settings: Any) -> Fomm:
    torch.manual_seed(0)
    return Fomm(spec, build_config(Config, SMALL | settings))


def noise(seed: int = 0) -> Noise:
    return Noise.seeded(seed)


def squares(count: int = 128, seed: int = 0, path: np.ndarray | None = None) -> np.ndarray:
    """(count, 4, 16, 16, 1): squares with a pattern of their own that go straight on; path: (count, 4, 2), their corners."""
    rng = np.random.default_rng(seed)
    clips = np.empty((count, 4, 16, 16, 1), np.uint8)
    own = paths(count, seed) if path is None else path
    for clip, corners in zip(clips, own, strict=True):
        clip[:] = rng.integers(30, 110)
        pattern = rng.choice((150, 250), (3, 3, 1)).repeat(2, 0).repeat(2, 1)
        for frame, (down, across) in zip(clip, corners, strict=True):
            frame[down : down + 6, across : across + 6] = pattern
    return clips


def paths(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, 1])
    start, end = rng.integers(0, 11, (2, count, 1, 2))
    return np.rint(start + (end - start) * np.arange(4)[:, None] / 3).astype(int)


@cache
def learnt(motion: str, rounds: int = 150) -> tuple[float, float]:
    """(error, that of a still) of held-out squares that move as others do."""
    data = Dataset({"real": Field(SPEC, squares())}, None, np.arange(128), np.zeros(128, bool), "squares", "")
    system = build(motion=motion)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    path = paths(48, 7)
    true, driving = squares(48, 8, path), squares(48, 9, path)
    with engine.watching() as board, torch.no_grad():
        given, other = encode(true, SPEC, torch.device("cpu")), encode(driving, SPEC, torch.device("cpu"))
        made = decode(board.animate(given[:, :, 0], noise(), other), SPEC)
    return error(made, true, 255), error(still(true), true, 255)


def test_strangers_move_as_they_are_shown_and_less_so_without_a_field() -> None:
    (field, rest), (told, _) = learnt("affine"), learnt("none")
    assert field < 0.6 * rest
    assert field < 0.8 * told


# Motion


def test_near_a_keypoint_the_motion_is_that_of_the_equation() -> None:
    rng = torch.Generator().manual_seed(0)
    places = [0.5 * torch.randn(2, 3, 2, generator=rng) for _ in range(2)]
    maps = [torch.eye(2) + 0.3 * torch.randn(2, 3, 2, 2, generator=rng) for _ in range(2)]
    source, driving = (Keypoints(*own) for own in zip(places, maps, strict=True))
    moves = candidates(source, driving, 5, 7)
    here = grid(5, 7, moves)
    assert moves.shape == (2, 4, 5, 7, 2)
    assert torch.allclose(moves[:, 0], here.expand(2, 5, 7, 2)), "before all of them, what stands still"
    for b in range(2):
        for k in range(3):
            known = maps[0][b, k] @ torch.linalg.inv(maps[1][b, k]) @ (here[2, 3] - places[1][b, k]) + places[0][b, k]
            assert torch.allclose(moves[b, k + 1, 2, 3], known, atol=1e-5)
    plain = candidates(Keypoints(places[0], None), Keypoints(places[1], None), 5, 7)
    assert torch.allclose(plain[0, 1, 2, 3], here[2, 3] - places[1][0, 0] + places[0][0, 0])


def test_a_map_that_nearly_vanishes_is_inverted_to_something_finite() -> None:
    flat = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[2.0, 1.0], [0.0, -3.0]]])
    found = inverse(flat)
    assert bool(torch.isfinite(found).all())
    assert float(found[0].abs().max()) <= 1 / networks.LEAST_DETERMINANT
    assert torch.allclose(product(found[1], flat[1]), torch.eye(2), atol=1e-6)


def test_what_is_moved_by_nothing_stays_as_it_is() -> None:
    frames = torch.rand(2, 3, 9, 14)
    assert torch.allclose(warped(frames, grid(9, 14, frames).expand(2, 9, 14, 2)), frames, atol=1e-5)


def test_a_transform_moves_pictures_and_places_alike_and_its_slopes_are_its_derivative() -> None:
    """Y(z) = X(T z): a dot that lies at p in Y lies at T(p) in X."""
    moved = Transforms(noise(3), 4)
    here = grid(64, 64, moved.shift)
    middle = torch.tensor([0.2, -0.3])
    dots = torch.exp(-(here - middle).square().sum(-1) / 0.01).expand(4, 1, 64, 64)
    seen = warped(dots, moved(here.expand(4, 64, 64, 2)))
    places = (seen[:, 0, ..., None] * here).sum((1, 2)) / seen[:, 0].sum((1, 2))[:, None]
    assert float((places - middle).abs().max()) > 0.02, "it does something"
    assert torch.allclose(moved(places[:, None])[:, 0], middle.expand(4, 2), atol=0.01)
    points = (torch.rand(4, 5, 2) - 0.5).requires_grad_()
    slopes = moved.slopes(points)
    for axis in (0, 1):
        (known,) = torch.autograd.grad(moved(points)[..., axis].sum(), points)
        assert torch.allclose(slopes[:, :, axis], known, atol=1e-4)


def test_keypoints_that_go_along_cost_nothing_and_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    system = build()
    frames = torch.rand(4, 1, 16, 16)
    moved = Transforms(noise(1), 4)
    there = Keypoints(0.5 * torch.rand(4, 4, 2) - 0.25, torch.eye(2) + 0.1 * torch.rand(4, 4, 2, 2))
    here = Keypoints(moved(there.places), product(moved.slopes(there.places), there.maps))
    monkeypatch.setattr(system.animator, "keypoints", lambda frames: there)
    terms = system._equivariance(here, noise(1), frames)
    assert float(terms["places"]) < 1e-5
    assert float(terms["maps"]) < 1e-4
    other = system._equivariance(there, noise(1), frames)
    assert float(other["places"]) > 0.01
    assert float(other["maps"]) > 0.01


def test_a_keypoint_is_the_mean_of_its_heatmap_and_begins_with_a_map_that_does_nothing() -> None:
    found = build().animator.keypoints(torch.rand(3, 1, 16, 16))
    assert found.places.shape == (3, 4, 2)
    assert float(found.places.detach().abs().max()) < 1
    assert torch.allclose(found.maps, torch.eye(2).expand(3, 4, 2, 2), atol=1e-5)
    assert build(motion="shift").animator.keypoints(torch.rand(3, 1, 16, 16)).maps is None


# The game


def test_a_pair_is_two_frames_of_one_clip() -> None:
    system = build()
    clips = torch.arange(8.0)[:, None, None, None, None] * 10 + torch.arange(4.0)[:, None, None]
    clips = clips.expand(8, 1, 4, 16, 16) / 100
    seen: list[torch.Tensor] = []
    plain = system.animator.keypoints
    system.animator.keypoints = lambda frames: (seen.append(frames), plain(frames))[1]  # type: ignore[method-assign]
    _, driving, _ = system._made(Batch(noise(), {"real": clips}), {})
    source = seen[0][:8]
    numbers = [(frames[:, 0, 0, 0] * 100).round().int() for frames in (source, driving)]
    assert [n // 10 for n in numbers[0].tolist()] == [n // 10 for n in numbers[1].tolist()] == list(range(8))
    assert all(a != b for a, b in zip(*(own.tolist() for own in numbers), strict=True))


def test_without_weights_nobody_judges_and_terms_are_weighted() -> None:
    system = build(adversarial_weight=0.0, feature_weight=0.0)
    assert [player.name for player in system.players()] == ["animator"]
    batch = Batch(noise(), {"real": torch.rand(4, 1, 4, 16, 16) * 2 - 1})
    terms = system.imitate(batch, Clock(), {})
    assert set(terms) == {"error", "places", "maps"}
    twice = build(adversarial_weight=0.0, feature_weight=0.0, reconstruction_weight=20.0)
    batch = Batch(noise(), {"real": batch.real})
    assert float(twice.imitate(batch, Clock(), {})["error"]) == pytest.approx(2 * float(terms["error"]), rel=1e-4)


@pytest.mark.parametrize("motion", ["affine", "shift", "none"])
@pytest.mark.parametrize("shape", [(2, 8, 8), (5, 17, 12), (3, 40, 33)])
def test_frames_of_any_size_are_animated_for_as_long_as_the_video_is(shape: Any, motion: str) -> None:
    system = build(VideoSpec(*shape, 3), motion=motion, motion_scale=2).eval()
    images, driving = torch.rand(2, 3, *shape[1:]), torch.rand(1, 3, 7, *shape[1:])
    with torch.no_grad():
        made = system.animate(images, noise(), driving)
    assert made.shape == (2, 3, 7, *shape[1:])
    assert float(made.abs().max()) <= 1


def test_relative_motion_starts_from_the_pictures_own_pose(monkeypatch: pytest.MonkeyPatch) -> None:
    system = build().eval()
    with torch.no_grad():
        images = torch.rand(2, 1, 16, 16) * 2 - 1
        rest = torch.rand(2, 1, 1, 16, 16).expand(2, 1, 5, 16, 16)
        made = system.animate(images, noise(), rest)
        own = system.animate(images, noise(), images[:, :, None], relative=False)
        assert torch.allclose(made, own.expand_as(made), atol=1e-5), "a video that stands still moves nothing"
        assert not torch.allclose(made, system.animate(images, noise(), rest, relative=False), atol=1e-3)
        clip = torch.rand(1, 1, 5, 16, 16)
        both = [system.animate(clip[:, :, 0], noise(), clip, relative=relative) for relative in (True, False)]
        assert torch.allclose(*both, atol=1e-4), "by its own video it makes no difference"
        monkeypatch.setattr(fomm, "AT_ONCE", 2)
        assert torch.allclose(system.animate(clip[:, :, 0], noise(), clip), both[0], atol=1e-5)


def test_moved_is_the_equation() -> None:
    rng = torch.Generator().manual_seed(0)
    own, start, now = (
        Keypoints(torch.randn(1, 2, 2, generator=rng), torch.eye(2) + 0.2 * torch.randn(1, 2, 2, 2, generator=rng))
        for _ in range(3)
    )
    made = fomm._moved(own, start, now)
    assert torch.allclose(made.places, own.places + now.places - start.places)
    assert torch.allclose(made.maps, now.maps @ torch.linalg.inv(start.maps) @ own.maps, atol=1e-5)
    assert torch.allclose(applied(made.maps, torch.ones(1, 2, 2)), made.maps.sum(-1), atol=1e-6)


def test_clips_of_one_frame_and_tiny_ones_are_refused_in_one_line() -> None:
    with pytest.raises(GanvasError, match="2 frames or more"):
        build(VideoSpec(1, 16, 16, 1))
    with pytest.raises(GanvasError, match="too small"):
        build(VideoSpec(4, 6, 16, 1))


def test_the_paper_can_be_built() -> None:
    system = Fomm(VideoSpec(2, 64, 64, 3), build_config(Config, PRESETS["paper"]))
    count = sum(parameter.numel() for parameter in system.animator.parameters())
    assert math.log10(count) > 6.5


# The use


def test_from_files_to_a_clip_that_moves_as_long_and_as_fast_as_the_driving_one(tmp_path: Path) -> None:
    """Trained on clips of 16 frames, put to use on a picture of another size by a longer GIF at another rate, and judged."""
    run, settings = tmp_path / "run", {"size": "16", "phantom_count": 60, "quiet": True, "device": "cpu"}
    config = {"width": 4, "generator_width": 4, "discriminator_width": 4, "batch_size": 4}
    ganvas.train("fomm", "turning-faces", out=run, budget="2r", config=config, **settings)
    Image.fromarray(draw(people(np.array([3])), (30, 24))[0]).save(tmp_path / "anna.png")
    frames = draw(people(np.zeros(20, int)), 24, yaw=np.linspace(-30, 30, 20))
    write_clip(tmp_path / "ben.gif", frames, VideoSpec(20, 24, 24, 3, 25), {})
    given = {"driving": str(tmp_path / "ben.gif")}
    made = ganvas.apply(run, [tmp_path / "anna.png"], verb="animate", fields=given, out=tmp_path / "out")
    (file,) = made["files"]
    with Image.open(file) as clip:
        assert (clip.size, clip.n_frames, clip.info["duration"]) == ((16, 16), 20, 40)
    assert made["done"] == "animated"
    absolute = ganvas.apply(run, [tmp_path / "anna.png"], fields=given, out=tmp_path / "posed", absolute=True)
    assert Path(absolute["files"][0]).read_bytes() != Path(file).read_bytes()
    with pytest.raises(GanvasError, match="needs a driving to animate: add  --with driving=FILE"):
        ganvas.apply(run, [tmp_path / "anna.png"], out=tmp_path / "none")
    with pytest.raises(DataError, match=r"ben\.png"):
        (tmp_path / "ben.png").write_bytes(b"no picture")
        ganvas.apply(run, [tmp_path / "anna.png"], fields={"driving": str(tmp_path / "ben.png")}, out=tmp_path / "none")


def test_held_out_clips_are_judged_beside_a_picture_that_stands_still() -> None:
    clips = squares(48)
    data = Dataset({"real": Field(SPEC, clips)}, None, np.arange(48), np.arange(48) < 24, "squares", "")
    system = build().eval()
    work = Work(system, {"real": SPEC})
    found = measure(work, data, 100)
    rest = clips[:24].astype(float)
    known = np.abs(rest[:, 1:] - rest[:, :1]).mean() / 255
    assert found["still_error"].value == pytest.approx(known, rel=1e-4)
    assert found["animated_error"].value != pytest.approx(known, rel=1e-2)
    judged = judge(work, build(), data, 100, None)
    assert judged.values.shape == judged.originals.shape == clips[:24].shape
    assert np.array_equal(judged.beside["input"].values, still(clips[:24]))
    panel = show(work, Batch(noise(), {"real": encode(clips[:3], SPEC, torch.device("cpu"))}))
    assert panel.records.shape == (3, 3, 1, 4, 16, 16)
