"""`ganvas apply` on films: window by window, with the times, the frames' names and the sound of the given one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganvas.errors import DataError, GanvasError
from ganvas.kinds import kind_of
from ganvas.kinds.facets import Piece
from ganvas.kinds.image.readers import read
from ganvas.kinds.video.files import frames_of, reels_of
from ganvas.kinds.video.pieces import SHARED, joined
from ganvas.kinds.video.spec import VideoSpec
from ganvas.run.apply import apply
from ganvas.run.train import train
from toys import SIMPLE_SYSTEM

av = pytest.importorskip("av")
KIND = kind_of("video")
INVERTS = (
    "degrade(self, images, noise):\n        return images\n    def restore(self, images, noise):\n        return -images\n"
)


def frames(count: int, height: int = 16, width: int = 16, seed: int = 0) -> np.ndarray:
    """(T, H, W, 3), each frame of one colour, all of them different."""
    shades = np.random.default_rng(seed).permutation(np.linspace(20, 235, count).astype(np.uint8))
    return np.broadcast_to(shades[:, None, None, None], (count, height, width, 3)).copy()


def film(
    path: Path, clip: np.ndarray, times: Sequence[int], *, clock: Fraction = Fraction(1, 1000), sound: str | None = None
) -> Path:  # fmt: skip
    """A film whose frames are shown at `times`, in ticks of a clock; sound: its codec, for a tone as long as the film."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.time_base = stream.codec_context.time_base = clock
        stream.height, stream.width, stream.pix_fmt = clip.shape[1], clip.shape[2], "yuv420p"
        heard = None if sound is None else container.add_stream(sound, rate=8000)
        if heard is not None:
            heard.layout = "mono"
        for pixels, when in zip(clip, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = when, clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if heard is not None:
            seconds = float(times[-1] * clock)
            tone = (9000 * np.sin(np.arange(int(8000 * seconds)) * 2 * np.pi * 440 / 8000)).astype(np.int16)
            own = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
            own.sample_rate, own.pts = 8000, 0
            for packet in (*heard.encode(own), *heard.encode()):
                container.mux(packet)
    return path


@pytest.fixture(scope="module")
def inverter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that inverts clips, trained for one round on clips of 8 frames of 16x16."""
    folder = tmp_path_factory.mktemp("films")
    text = SIMPLE_SYSTEM.replace("Conv2d", "Conv3d").replace('"data": ["image"]', '"data": ["video"]')
    text = text.replace("scale = 2", "scale = 1").replace("CAPABILITIES\n", INVERTS).replace("DOMAINS", "()")
    (folder / "inverter.py").write_text(text)
    np.savez(folder / "clips.npz", videos=np.stack([frames(8, seed=seed) for seed in range(8)]))
    given: dict[str, Any] = {"budget": "1r", "quiet": True, "sample_every": 0.0, "device": "cpu"}
    train(str(folder / "inverter.py"), folder / "clips.npz", out=folder / "run", **given)
    return folder / "run"


def shades_of(path: Path) -> list[float]:
    (reel,) = reels_of([path] if path.is_file() else sorted(path.iterdir()))
    return [float(pixels.mean()) for pixels in frames_of(reel)]


def test_a_film_keeps_its_frames_its_size_its_times_and_its_sound(inverter: Path, tmp_path: Path) -> None:
    clip = frames(45, 30, 22)
    times = np.cumsum(np.random.default_rng(1).integers(20, 90, 45)).tolist()  # a rate that varies
    given = film(tmp_path / "old.mp4", clip, times, sound="aac")
    made = apply(inverter, [given], out=tmp_path / "out", device="cpu")
    (path,) = map(Path, made["files"])
    assert path.name == "old.mp4"
    (before,), (after,) = reels_of([given]), reels_of([path])
    assert after.frames == 45 and (after.height, after.width) == (30, 22)
    assert before.times is not None and after.times is not None
    assert np.abs(after.times - before.times).max() < 1e-3, "frames come when they came"
    assert np.abs(np.array(shades_of(path)) - (255 - clip.mean((1, 2, 3)))).max() < 4, "each frame is that of its place"
    with av.open(str(given)) as first, av.open(str(path)) as second:
        sounds = [sum(packet.size for packet in own.demux(audio=0)) for own in (first, second)]
        assert sounds[0] == sounds[1] > 0, "the sound is taken over as it was"
        assert "SYNTHETIC" in second.metadata["title"]
        begins = [own.streams.audio[0].start_time * own.streams.audio[0].time_base for own in (first, second)]
    assert abs(begins[0] - begins[1]) < 0.05


def test_sound_that_mp4_does_not_hold_becomes_aac(inverter: Path, tmp_path: Path) -> None:
    given = film(tmp_path / "old.mkv", frames(12), [k * 40 for k in range(12)], sound="pcm_s16le")
    (path,) = apply(inverter, [given], out=tmp_path / "out", device="cpu")["files"]
    with av.open(path) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 8000 * 0.44


def test_folders_of_frames_keep_the_names_and_the_depth_of_their_files(inverter: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scans" / "reel"
    folder.mkdir(parents=True)
    shades = np.linspace(0, 60_000, 11).astype(np.uint16)
    for number, shade in enumerate(shades):
        Image.fromarray(np.full((16, 16), shade, np.uint16)).save(folder / f"frame-{number * 10:03d}.png")
    made = apply(inverter, [tmp_path / "scans"], out=tmp_path / "out", device="cpu")
    names = sorted(Path(file).relative_to(tmp_path / "out").as_posix() for file in made["files"])
    assert names == [f"reel/frame-{number * 10:03d}.png" for number in range(11)]
    found = [int(next(iter(read(Path(file)))).pixels.flat[0]) for file in sorted(made["files"])]
    assert found == [65535 - int(shade) for shade in shades], "16 bits come out as exactly as they went in"
    again = apply(inverter, [folder], out=tmp_path / "again", format="gif", depth=8, device="cpu")
    assert [Path(file).name for file in again["files"]] == ["reel.gif"]


def test_frames_of_two_clips_in_a_folder_are_told(inverter: Path, tmp_path: Path) -> None:
    (tmp_path / "mixed").mkdir()
    for name in ("walk_1", "walk_2", "run_1", "run_2"):
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "mixed" / f"{name}.png")
    with pytest.raises(DataError, match="holds parts of several clips: put those of each into a folder of its own"):
        apply(inverter, [tmp_path / "mixed"], out=tmp_path / "out", device="cpu")
    with pytest.raises(DataError, match="has a single frame: it is a picture"):
        apply(inverter, [tmp_path / "mixed" / "run_1.png"], out=tmp_path / "out", device="cpu")


def test_gif_and_arrays_come_back_as_they_are(inverter: Path, tmp_path: Path) -> None:
    clip = frames(19)
    images = [Image.fromarray(pixels) for pixels in clip]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[50, 120] * 9 + [50], loop=0)
    np.savez(tmp_path / "b.npz", videos=np.stack([clip, clip[::-1]]), rate=np.array(12))
    made = apply(inverter, [tmp_path / "a.gif", tmp_path / "b.npz"], out=tmp_path / "out", device="cpu")
    assert sorted(Path(file).name for file in made["files"]) == ["a.gif", "b.npz"]
    (before,), (after,) = reels_of([tmp_path / "a.gif"]), reels_of([tmp_path / "out" / "a.gif"])
    assert before.times is not None and after.times is not None
    assert np.allclose(before.times, after.times) and before.ends == after.ends
    assert shades_of(tmp_path / "out" / "a.gif") == [float(255 - pixels.mean()) for pixels in clip]
    with np.load(tmp_path / "out" / "b.npz") as archive:
        assert (archive["videos"] == 255 - np.stack([clip, clip[::-1]])).all() and int(archive["rate"]) == 12


def test_a_film_that_is_cut_short_or_damaged_is_one_line_and_the_others_are_done(inverter: Path, tmp_path: Path) -> None:
    good = film(tmp_path / "good.mp4", frames(20), [k * 40 for k in range(20)])
    whole = good.read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "noise.mp4").write_bytes(bytes(500))
    inputs = [tmp_path / name for name in ("good.mp4", "half.mp4", "noise.mp4")]
    made = apply(inverter, inputs, out=tmp_path / "out", device="cpu")
    assert [Path(file).name for file in made["files"]] == ["good.mp4"] and len(made["failed"]) == 2
    assert all("\n" not in line for line in made["failed"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".ganvas.json", "good.mp4"], "nothing half is left"


def test_deeper_than_the_format_is_told(inverter: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    for number in range(9):
        Image.fromarray(np.full((16, 16), 900 * number, np.uint16)).save(folder / f"{number}.png")
    with pytest.raises(GanvasError, match="mp4 holds 8 bits: use --format png or npz, or add --depth 8"):
        apply(inverter, [folder], out=tmp_path / "out", format="mp4", device="cpu")
    with pytest.raises(GanvasError, match="holds 8 bits: use --format png or npz, or leave out --depth 16"):
        apply(inverter, [folder], out=tmp_path / "out", format="gif", depth=16, device="cpu")


def test_windows_share_frames_and_go_over_into_one_another(tmp_path: Path) -> None:
    spec = VideoSpec(8, 16, 16, 3)
    np.savez(tmp_path / "a.npz", videos=frames(21)[None])
    pieces = list(KIND.read(tmp_path / "a.npz", spec, {"axis": None, "fit": None, "seed": 0}))
    assert [piece.follows for piece in pieces] == [None, 8 // SHARED, 8 // SHARED, 7]
    assert KIND.pieces_in(tmp_path / "a.npz", spec, {"fit": None}) == len(pieces)
    ((back, _),) = ((list(clip), own) for clip, own in joined(iter(pieces)))
    assert (np.stack(back) == frames(21)).all()
    # What each window adds of its own is blended where two of them meet.
    shaded = [
        Piece(np.full((1, 8, 2, 2, 3), level, np.uint8), spec, follows=follows) for level, follows in ((0, None), (100, 4))
    ]
    ((mixed, _),) = ((list(clip), own) for clip, own in joined(iter(shaded)))
    assert [int(frame[0, 0, 0]) for frame in mixed] == [0, 0, 0, 0, 12, 38, 62, 88, 100, 100, 100, 100]


def test_records_of_the_size_of_training_are_brought_to_its_rate(tmp_path: Path) -> None:
    spec = VideoSpec(8, 16, 16, 3, rate=10)
    np.savez(tmp_path / "a.npz", videos=frames(40, 32, 48)[None], rate=np.array(20))
    pieces: list[Any] = list(KIND.read(tmp_path / "a.npz", spec, {"axis": None, "fit": "crop", "seed": 0}))
    assert {piece.records.shape for piece in pieces} == {(1, 8, 16, 16, 3)} and pieces[0].spec.rate == 10
    whole = list(KIND.read(tmp_path / "a.npz", spec, {"axis": None, "fit": "crop", "seed": 0, "whole": True}))
    assert [piece.records.shape for piece in whole] == [(1, 40, 16, 16, 3)] and whole[0].spec.rate == 20
    short = {"axis": None, "fit": "crop", "seed": 0}
    np.savez(tmp_path / "b.npz", videos=frames(10)[None], rate=np.array(20))
    with pytest.raises(DataError, match=r"b.npz has 5 frames at 10 a second: the run takes 8 or more"):
        list(KIND.read(tmp_path / "b.npz", spec, short))


def test_a_long_film_is_never_in_memory(inverter: Path, tmp_path: Path) -> None:
    clip = frames(160, 64, 64)
    given = film(tmp_path / "long.mp4", clip, [k * 40 for k in range(160)])
    tracemalloc.start()
    made = apply(inverter, [given], out=tmp_path / "out", device="cpu", tile=0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reels_of([Path(made["files"][0])])[0].frames == 160
    assert most < clip.nbytes, f"{most} bytes for a film of {clip.nbytes}"
