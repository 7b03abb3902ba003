"""Clips: folders of frames, GIF, films and arrays become records; what is damaged, odd or short is one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganvas.cli import main
from ganvas.data import open_data
from ganvas.data.phantoms import make_phantom
from ganvas.errors import DataError, GanvasError
from ganvas.evaluation.judge import evaluate
from ganvas.kinds import kind_of
from ganvas.kinds.video.files import bundles
from ganvas.kinds.video.pieces import read_pieces
from ganvas.kinds.video.spec import VideoSpec

KIND = kind_of("video")
av = pytest.importorskip("av")


def clips(count: int, side: int = 32, seed: int = 0) -> tuple[np.ndarray, Any]:
    made = make_phantom("clips", count, seed, size=side)
    return made.values, made.spec


def opened(place: Path, **settings: Any) -> Any:
    options: dict[str, Any] = {"kinds": ("video",), "progress": False, "heldout": 0.0, "cache": place.parent / "cache"}
    return open_data(place, **{**options, **settings})


def written(folder: Path, clip: np.ndarray, spec: VideoSpec, format: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    KIND.write(clip, spec, folder, format=format, depth=None, note={"seed": "0"})


def told(data: Any, words: str) -> bool:
    return any(words in note for note in data.notes)


# What files become


def test_pictures_are_bundled_by_folder_or_by_the_name_before_their_number() -> None:
    assert bundles(["a/1.png", "a/2.png", "b/x_01.jpg", "b/x_02.jpg"]) == ["a", "a", "b", "b"]
    assert bundles(["walk_001.png", "walk_002.png", "run_1.png", "run_2.png"]) == ["walk", "walk", "run", "run"]
    assert bundles(["f1.png", "f2.png"]) == ["f", "f"]
    assert bundles(["1.png", "2.png", "c.gif"]) == ["frames", "frames", "c.gif"]
    assert bundles(["a/t0.33_1.png", "a/t0.66_2.png"]) == ["a", "a"], "a name a frame is no name of a clip"


@pytest.mark.parametrize("format", ["gif", "png", "mp4", "npz"])
def test_a_clip_comes_back_in_order_with_its_rate(format: str, tmp_path: Path) -> None:
    values, spec = clips(3)
    written(tmp_path / "out", values, spec, format)
    data = opened(tmp_path / "out")
    assert data.values.shape == values.shape
    assert (data.spec.frames, data.spec.rate, data.spec.channels, data.spec.size) == (16, 10, 3, "32x32")
    apart = np.abs(np.asarray(data.values, float) - values).mean()
    assert apart < {"png": 1e-9, "npz": 1e-9, "gif": 2.0, "mp4": 6.0}[format]


def test_classes_are_folders_of_clips_and_tables_name_clips(tmp_path: Path) -> None:
    values, spec = clips(4)
    for number, name in enumerate(("falling", "sliding")):
        written(tmp_path / "all" / name, values[number::2], spec, "png")
    data = opened(tmp_path / "all")
    assert data.spec.classes == ("falling", "sliding")
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert len(set(data.groups.tolist())) == 4

    written(tmp_path / "plain", values, spec, "png")
    rows = "\n".join(f"sample-000{k}.png".removesuffix(".png") + f",{'a' if k < 3 else 'b'}" for k in range(1, 5))
    (tmp_path / "plain" / "labels.csv").write_text(f"file,label\n{rows}\n")
    data = opened(tmp_path / "plain")
    assert data.spec.classes == ("a", "b")
    assert data.labels.tolist() == [0, 0, 1, 1]


def test_long_clips_are_cut_and_stay_one_group_and_short_ones_are_told(tmp_path: Path) -> None:
    values, spec = clips(3)
    long = np.concatenate([values[0], values[1], values[0][:5]])[None]
    written(tmp_path / "all" / "long", long, spec, "png")
    written(tmp_path / "all" / "fits", values[2:], spec, "png")
    written(tmp_path / "all" / "short", values[2:, :7], spec, "png")
    data = opened(tmp_path / "all")
    assert len(data) == 3
    assert len(set(data.groups.tolist())) == 2
    assert told(data, "cut one behind the other into 3")
    assert told(data, "5 frames at their ends left out")
    assert told(data, "1 clip shorter than 16 frames left out")
    fewer = opened(tmp_path / "all", frames=7)
    assert fewer.spec.frames == 7
    assert len(fewer) == 5 + 2 + 1
    with pytest.raises(GanvasError, match="no clip has 60 frames, the longest has 37: lower --frames"):
        opened(tmp_path / "all", frames=60)


def test_the_usual_number_of_frames_is_what_most_clips_have(tmp_path: Path) -> None:
    values, spec = clips(4)
    written(tmp_path / "short", values[:, :9], spec, "gif")
    assert opened(tmp_path / "short").spec.frames == 9


def test_size_fit_and_channels_are_those_of_images(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (3, 16, 21, 33, 3), dtype=np.uint8)
    written(tmp_path / "odd", values, VideoSpec(16, 21, 33), "png")
    data = opened(tmp_path / "odd", size=(16, 24), channels=1, fit="pad")
    assert data.values.shape == (3, 16, 16, 24, 1)
    assert told(data, "were padded to 16x24")
    assert opened(tmp_path / "odd").spec.size == "21x33"
    written(tmp_path / "films", values, VideoSpec(16, 21, 33), "mp4")
    assert opened(tmp_path / "films").values.shape[2:4] == (22, 34), "H.264 has even sides"


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (3, 16, 16, 16, 1), dtype=np.uint16)
    spec = VideoSpec(16, 16, 16, 1, depth=16)
    written(tmp_path / "deep", values, spec, "png")
    data = opened(tmp_path / "deep")
    assert data.spec.depth == 16
    assert (np.asarray(data.values) == values).all()
    tensor = KIND.encode(np.asarray(data.values), data.spec, "cpu")
    assert (KIND.decode(tensor, data.spec) == values).all()
    with pytest.raises(GanvasError, match="gif holds 8 bits"):
        KIND.write(values, spec, tmp_path, format="gif", depth=None, note={})


# Rates


def _gif(path: Path, clip: np.ndarray, durations: list[int], **more: Any) -> None:
    frames = [Image.fromarray(frame) for frame in clip]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, **more)


def test_a_varying_rate_is_resampled_by_time_and_told(tmp_path: Path) -> None:
    """The last of three frames stays four times as long: at an even rate it comes four times."""
    shades = np.repeat(np.arange(0, 240, 40, dtype=np.uint8), 1)[:, None, None, None] + np.zeros((6, 16, 16, 3), np.uint8)
    (tmp_path / "uneven").mkdir()
    _gif(tmp_path / "uneven" / "a.gif", shades, [100, 100, 100, 100, 100, 400])
    _gif(tmp_path / "uneven" / "b.gif", shades, [100, 100, 100, 400, 100, 100])
    data = opened(tmp_path / "uneven", rate=10, frames=6)
    assert told(data, "of a varying rate")
    second = np.asarray(data.values)[-1, :, 0, 0, 0]
    assert second.tolist() == [0, 40, 80, 120, 120, 120]


def test_another_rate_takes_every_second_frame(tmp_path: Path) -> None:
    values, spec = clips(2)
    written(tmp_path / "fast", values, VideoSpec(16, 32, 32, 3, 20), "npz")
    data = opened(tmp_path / "fast", rate=10, frames=8)
    assert (np.asarray(data.values) == values[:, ::2]).all()
    assert told(data, "brought to 10 frames a second")


def test_pictures_without_a_rate_say_so(tmp_path: Path) -> None:
    values, spec = clips(2)
    written(tmp_path / "frames", values, spec, "png")
    assert told(opened(tmp_path / "frames"), "do not say how many frames a second")
    assert opened(tmp_path / "frames", rate=25).spec.rate == 25


# What is odd, damaged or no clip


def test_a_transparent_gif_lies_on_white_and_a_grey_one_is_grey(tmp_path: Path) -> None:
    (tmp_path / "clear").mkdir()
    frames = []
    for k in range(4):
        pixels = np.zeros((16, 16, 4), np.uint8)
        pixels[4:8, k : k + 4] = (200, 0, 0, 255)
        frames.append(Image.fromarray(pixels, "RGBA"))
    frames[0].save(tmp_path / "clear" / "a.gif", save_all=True, append_images=frames[1:], duration=100, disposal=2)
    frames[0].save(tmp_path / "clear" / "b.gif", save_all=True, append_images=frames[1:], duration=100, disposal=2)
    data = opened(tmp_path / "clear")
    clip = np.asarray(data.values)[0]
    assert told(data, "transparent pixels laid on white")
    assert clip[0, 0, 0].tolist() == [255, 255, 255]
    assert clip[3, 5, 4].tolist() == [200, 0, 0]
    assert clip[3, 5, 0].tolist() == [255, 255, 255], "what was there before is gone"

    (tmp_path / "grey").mkdir()
    shades = np.repeat(np.arange(8, dtype=np.uint8)[:, None, None, None] * 30 + np.zeros((8, 16, 16, 1), np.uint8), 3, axis=3)
    for name in "ab":
        _gif(tmp_path / "grey" / f"{name}.gif", shades, [100] * 8)
    assert opened(tmp_path / "grey").spec.channels == 1
    assert opened(tmp_path / "grey", channels=3).spec.channels == 3


def test_a_film_cut_short_or_of_one_frame_is_one_line(tmp_path: Path) -> None:
    values, spec = clips(1, 64)
    written(tmp_path / "film", np.repeat(values, 2, axis=1), spec, "mp4")
    whole = (tmp_path / "film" / "sample-0001.mp4").read_bytes()
    for name, content in (("half", whole[: len(whole) // 2]), ("noise", b"\x00\x00\x00\x18ftypmp42" + bytes(200))):
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(content)
        with pytest.raises(DataError, match=name) as caught:
            opened(path)
        assert "\n" not in str(caught.value)
    written(tmp_path / "still", values[:, :1], spec, "mp4")
    with pytest.raises(DataError, match="has a single frame: it is a picture: take it out"):
        opened(tmp_path / "still" / "sample-0001.mp4")
    written(tmp_path / "one", values[:, :1], spec, "png")
    with pytest.raises(DataError, match="has a single frame"):
        opened(tmp_path / "one")
    # Beside others it is left out, and told.
    (tmp_path / "film" / "bad.mp4").write_bytes(whole[: len(whole) // 2])
    data = opened(tmp_path / "film")
    assert told(data, "skipped") and len(data) == 2


def test_a_film_whose_index_is_cut_off_is_damaged_and_not_one_of_sound_alone(tmp_path: Path) -> None:
    values, spec = clips(1, 64)
    written(tmp_path / "film", np.repeat(values, 12, axis=1), spec, "mp4")
    whole = (tmp_path / "film" / "sample-0001.mp4").read_bytes()
    begins = whole.index(b"moov")
    for share in (0.3, 0.6):
        path = tmp_path / "cut.mp4"
        path.write_bytes(whole[: begins + round(share * (len(whole) - begins))])
        with pytest.raises(DataError, match=r"cut\.mp4 (names neither|is cut short|cannot be read)"):
            opened(path)


def test_a_film_of_odd_sides_says_that_an_edge_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 63, 47, "yuv444p"
        for k in range(8):
            pixels = np.full((47, 63, 3), 20 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    notes = next(iter(read_pieces(path, VideoSpec(8, 48, 64), {}))).notes
    assert any("63x47 becomes 64x48 by repeating an edge" in note for note in notes)


def test_a_film_whose_end_is_missing_is_told_by_its_index(tmp_path: Path) -> None:
    """The index of this one stands at its beginning, as on the web, so that it opens and ends too soon."""
    values, _ = clips(1, 64)
    path = tmp_path / "web.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for pixels in np.repeat(values[0], 4, axis=0):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    assert len(opened(path)) == 4
    path.write_bytes(path.read_bytes()[: int(0.7 * path.stat().st_size)])
    with pytest.raises(DataError, match=r"web\.mp4 (is cut short|cannot be read)"):
        opened(path)


def test_frames_of_several_sizes_and_a_damaged_frame_are_told_by_name(tmp_path: Path) -> None:
    values, spec = clips(3)
    written(tmp_path / "mixed", values, spec, "png")
    Image.new("RGB", (20, 20)).save(tmp_path / "mixed" / "sample-0001" / "0003.png")
    (tmp_path / "mixed" / "sample-0002" / "0004.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    data = opened(tmp_path / "mixed")
    assert len(data) == 1
    assert told(data, "unlike the first frame of its clip")
    assert told(data, "0004.png")
    with pytest.raises(DataError, match="0003.png is 20x20"):
        opened(tmp_path / "mixed", strict=True)


def test_clips_of_several_sizes_ask_for_one(tmp_path: Path) -> None:
    for side in (16, 32):
        values, spec = clips(1, side)
        written(tmp_path / "all" / str(side), values, spec, "gif")
    with pytest.raises(DataError, match="mixes sizes: .*choose one, as in --size 64"):
        opened(tmp_path / "all")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 16, 16, 16, 3), np.float32), "holds float32: save frames as uint8 or uint16"),
        (np.zeros((3, 16, 16, 16, 4), np.uint8), r"has the shape .*: save clips as \(N, T, H, W, C\)"),
        (np.zeros((3, 1, 16, 16, 3), np.uint8), "has a single frame"),
    ],
)
def test_arrays_that_are_no_clips_are_refused(array: np.ndarray, words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", videos=array)
    with pytest.raises(DataError, match=words):
        opened(tmp_path / "a.npz")


def test_films_without_their_package_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(GanvasError, match=r"ganvas\[video\]"):
        opened(tmp_path / "a.mp4")


# What is written


def test_films_and_gifs_say_that_they_are_synthetic(tmp_path: Path) -> None:
    values, spec = clips(1)
    for format in ("mp4", "gif", "png"):
        KIND.write(values, spec, tmp_path, format=format, depth=None, note={"system": "x", "seed": "7"})
    with av.open(str(tmp_path / "sample-0001.mp4")) as container:
        assert "SYNTHETIC" in container.metadata["comment"]
        assert "seed: 7" in container.metadata["comment"]
        assert float(container.streams.video[0].average_rate) == 10
    with Image.open(tmp_path / "sample-0001.gif") as image:
        assert b"SYNTHETIC" in image.info["comment"]
    with Image.open(tmp_path / "sample-0001" / "0001.png") as image:
        assert any("SYNTHETIC" in str(text) for text in image.info.values())


# Judging


def test_noise_is_farther_than_a_still_grey_clip_and_both_farther_than_unseen_clips(tmp_path: Path) -> None:
    """Real before untrained before noise: an untrained generator makes nearly grey clips that hardly move."""
    values, spec = clips(120, 16)
    rng = np.random.default_rng(0)
    grey = (127 + rng.normal(0, 6, (40, 1, 16, 16, 3)) + rng.normal(0, 2, (40, 16, 16, 16, 3))).clip(0, 255).astype(np.uint8)
    sides = {
        "train": values[:40], "heldout": values[40:80], "unseen": values[80:], "untrained": grey,
        "noise": KIND.blank(spec, 40, rng),
    }  # fmt: skip
    for name, records in sides.items():
        written(tmp_path / name, records, spec, "npz")
    place = {name: tmp_path / name / "samples.npz" for name in sides}
    found = {
        name: evaluate(place[name], place["train"], place["heldout"], kind="video", anchors=False, audit=False)
        for name in ("unseen", "untrained", "noise")
    }
    assert 2 * found["unseen"]["fd"]["value"] < found["untrained"]["fd"]["value"] < found["noise"]["fd"]["value"]
    assert found["unseen"]["kid"]["value"] < found["untrained"]["kid"]["value"] < found["noise"]["kid"]["value"]
    assert found["noise"]["motion"]["value"] > 3 * found["noise"]["motion"]["real"]


def moved(clip: np.ndarray, by: int) -> np.ndarray:
    """Begun so many frames later: other frames come in at the end."""
    made = np.roll(clip, -by, axis=0)
    made[-by:] = clip[-1]
    return made


@pytest.mark.parametrize(
    ("change", "copied"),
    [(lambda clip: moved(clip, 2), True), (lambda clip: clip[:, :, ::-1], True),
     (lambda clip: moved(clip[:, :, ::-1], 3), True), (lambda clip: clip[::-1], False)],
)  # fmt: skip
def test_a_planted_training_clip_that_is_shifted_in_time_or_mirrored_is_found(change: Any, copied: bool) -> None:
    values, spec = clips(60)
    planted = np.stack([change(clip) for clip in values[:20]])
    alike = KIND.likeness(planted, values[:20], spec)
    others = KIND.likeness(values[20:40], values[40:60], spec)
    assert (others < KIND.twin).all()
    if copied:
        assert (alike >= KIND.twin).mean() > 0.9
        marks = (KIND.prints(planted, spec, True) * KIND.prints(values[:20], spec)).sum(axis=2).max(axis=1)
        assert (marks[alike >= KIND.twin] >= KIND.reach).all()
    else:
        assert (alike < KIND.twin).mean() > 0.5, "played backwards it is another clip"


def test_the_audit_names_planted_copies(tmp_path: Path) -> None:
    values, spec = clips(160, 16)
    planted = values[120:].copy()
    planted[:8] = [moved(clip[:, :, ::-1], 2) for clip in values[:8]]
    for name, records in {"train": values[:80], "heldout": values[80:120], "fake": planted, "clear": values[120:]}.items():
        written(tmp_path / name, records, spec, "npz")
    verdicts = {
        name: evaluate(*(tmp_path / part / "samples.npz" for part in (name, "train", "heldout")), kind="video", anchors=False)
        for name in ("fake", "clear")
    }
    assert verdicts["clear"]["memorisation"]["verdict"] == "clear"
    found = verdicts["fake"]["memorisation"]
    assert found["verdict"] in ("suspect", "copies")
    assert found["near_copies"]["exact"] + found["near_copies"]["changed"] >= 7


def test_twins_among_clips_are_held_out_together(tmp_path: Path) -> None:
    values, spec = clips(24)
    both = np.concatenate([values, np.stack([moved(clip, 2) for clip in values[:6]])])
    written(tmp_path / "all", both, spec, "npz")
    data = opened(tmp_path / "all")
    assert [data.groups[k] == data.groups[24 + k] for k in range(6)].count(True) >= 5
    assert len(set(data.groups[:24].tolist())) == 24


# The phantom, pictures, commands


def test_the_phantom_moves_before_a_still_background() -> None:
    from ganvas.data.phantoms.clips import drawn

    made = make_phantom("clips", 8, 3, size=32)
    assert (made.values == make_phantom("clips", 12, 3, size=32).values[:8]).all()
    assert [made.classes[k] for k in made.labels] == ["falling", "sliding", "swinging", "circling"] * 2
    for index, fact in enumerate(made.facts):
        clip, cover, known = drawn(fact["action"], np.random.default_rng([3, index, 0x71]), 32, 32)
        assert (clip == made.values[index]).all() and known == fact
        assert clip[:, cover.max(axis=0) == 0].std(axis=0).max() == 0
        assert cover.reshape(16, -1).sum(axis=1).min() > 20, "it never leaves the picture"
    y = np.array([fact["y"] for fact in made.facts if fact["action"] == "falling"])
    assert (np.diff(y, axis=1) >= 0).all()


def test_data_check_tells_clips_and_draws_a_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values, spec = clips(6)
    written(tmp_path / "films", values, spec, "gif")
    sheet = tmp_path / "sheet.png"
    assert main(["data", "check", str(tmp_path / "films"), "--sheet", str(sheet), "--frames", "8"]) == 0
    assert "clips of 8 frames of 32x32" in capsys.readouterr().out
    with Image.open(sheet) as image:
        assert image.width > 8 * 32
    written(tmp_path / "frames", values, spec, "png")
    assert main(["data", "check", str(tmp_path / "frames"), "--kind", "video"]) == 0
    assert "clips of 16 frames" in capsys.readouterr().out
    assert main(["data", "check", str(tmp_path / "frames")]) == 0
    assert "96" in capsys.readouterr().out, "nobody says video: pictures"


def test_frames_that_stand_still_come_back_from_a_gif(tmp_path: Path) -> None:
    """A GIF holds frames that are like the one before as one that stays longer: in the middle, and at the end."""
    values, spec = clips(3)
    still = values.copy()
    still[0, -3:], still[1, 5:8] = still[0, -4], still[1, 4]
    KIND.write(still, spec, tmp_path, format="gif", depth=None, note={})
    again = open_data(tmp_path, kinds=("video",), cache=tmp_path.parent / "cache", progress=False)
    assert again.values.shape == still.shape and again.spec.rate == spec.rate
    apart = np.abs(np.asarray(again.values).astype(int) - still).mean((1, 2, 3, 4))
    assert (apart < 4).all(), apart
