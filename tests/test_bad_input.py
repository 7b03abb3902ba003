"""The table of bad input: every case exits with 2, or goes on with a listed skip; one line names the culprit and the fix."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import toys
from data import tiny_files
from ganvas.cli import main

FAST = ["--budget", "1r", "--precision", "32", "--channels-last", "off", "--sample-every", "0", *toys.settings()]


def images(folder: Path, count: int = 12) -> Path:
    return toys.picture_folder(folder, count)


def train(system: str, data: Any, *words: Any) -> list[str]:
    """The words of a short training in the current folder."""
    return ["train", system, "--data", str(data), "--out", "run", *FAST, *map(str, words)]


def bomb() -> bytes:
    """A PNG of a few hundred bytes that claims 60000 x 60000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def jpeg() -> bytes:
    return tiny_files.pillow(Image.fromarray(toys.pictures(1, 64, 64)[0]), "JPEG")


# One bad file among good ones: listed, skipped, and an error with --strict.

SPOILED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "truncated JPEG": ("cut.jpg", lambda: jpeg()[:400]),
    "zero-byte file": ("empty.png", lambda: b""),
    "text named .png": ("words.png", lambda: b"This is not a picture.\n" * 9),
    "decompression bomb": ("bomb.png", bomb),
    "random bytes named .tif": ("noise.tif", lambda: np.random.default_rng(0).bytes(500)),
    "PNG with a broken checksum": ("flip.png", lambda: flipped(tiny_files.pillow(Image.fromarray(toys.pictures(1)[0]), "PNG"))),
    "bad DICOM": ("bad.dcm", lambda: b"\0" * 128 + b"DICM" + b"\xff" * 200),
    "text named .dcm": ("letter.dcm", lambda: b"Dear colleague, " * 20),
    "DICOM without Rows": ("rowless.dcm", lambda: tiny_files.dicom(toys.pictures(1)[0], Rows=None)),
    "DICOM without pixels": ("report.dcm", lambda: without_pixels()),
    "NaN in NIfTI": ("nan.nii", lambda: tiny_files.nifti(np.full((4, 5, 6), np.nan, np.float32))),
    "truncated NIfTI": ("cut.nii.gz", lambda: tiny_files.nifti(toys.pictures(6), packed=True)[:200]),
    "pickled objects in .npy": ("objects.npy", lambda: npy(np.array([{"a": 1}], dtype=object))),
}


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def npy(array: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def without_pixels() -> bytes:
    import io

    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(tiny_files.dicom(toys.pictures(1)[0])))
    del dataset.PixelData
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset)
    return buffer.getvalue()


@pytest.mark.parametrize("case", list(SPOILED))
def test_one_bad_file_among_good_ones(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name, content = SPOILED[case]
    (images(Path("photos")) / name).write_bytes(content())
    assert main(train("gan", "photos", "--strict")) == 2
    line = only_line(capsys)
    assert name in line
    assert not Path("run").exists()
    assert main(["data", "check", "photos", "--json"]) == 0
    report = capsys.readouterr().out
    assert name in report
    assert json.loads(report)
    if case == "zero-byte file":  # once is enough: training is the same after the skip
        assert main(train("gan", "photos")) == 0
        captured = capsys.readouterr()
        assert f"note: skipped photos/{name}" in captured.err
        assert captured.err.count("skipped") == 1


# Everything else: exit code 2 and one line.


def table(folder: Path) -> Path:
    """Twelve pictures with a table of labels that fits."""
    images(folder)
    lines = ["file,label", *(f"{p.name},{'ab'[i % 2]}" for i, p in enumerate(sorted(folder.glob("*.png"))))]
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def labels(change: Callable[[str], str], name: str = "labels.csv") -> Callable[[], list[str]]:
    def make() -> list[str]:
        folder = table(Path("photos"))
        text = change((folder / "labels.csv").read_text())
        (folder / "labels.csv").unlink()
        (folder / name).write_text(text)
        return train("cgan", "photos")

    return make


def file(name: str, content: bytes | str, system: str = "gan", *words: str) -> Callable[[], list[str]]:
    def make() -> list[str]:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        return train(system, name, *words)

    return make


def folder(pictures: dict[str, bytes], system: str = "gan", *words: str) -> Callable[[], list[str]]:
    def make() -> list[str]:
        Path("photos").mkdir()
        for name, content in pictures.items():
            Path("photos", name).write_bytes(content)
        return train(system, "photos", *words)

    return make


def good(*words: str, system: str = "gan") -> Callable[[], list[str]]:
    def make() -> list[str]:
        images(Path("photos"))
        return train(system, "photos", *words)

    return make


def png(pixels: np.ndarray) -> bytes:
    return tiny_files.pillow(Image.fromarray(pixels), "PNG")


def saved(text: str, name: str = "c.yaml") -> Callable[[], list[str]]:
    def make() -> list[str]:
        Path(name).write_text(text)
        images(Path("photos"))
        return ["train", "gan", "--data", "photos", "--out", "run", "--budget", "1r", "--config", name]

    return make


def made(path: str, words: list[str]) -> Callable[[], list[str]]:
    def make() -> list[str]:
        Path(path).mkdir(parents=True)
        return words

    return make


GREY, COLOUR = toys.pictures(9), np.random.default_rng(1).integers(0, 256, (9, 10, 8, 3), dtype=np.uint8)
MIXED = {f"g{i}.png": png(p) for i, p in enumerate(GREY)} | {f"c{i}.png": png(p) for i, p in enumerate(COLOUR)}
DEPTHS = {f"g{i}.png": png(p) for i, p in enumerate(GREY)} | {
    f"d{i}.tif": tiny_files.tiff(p.astype(np.uint16) * 257) for i, p in enumerate(GREY)
}
POINTS = "x,y\n" + "\n".join(f"{i},{i * i}" for i in range(20))

REFUSED: dict[str, tuple[Callable[[], list[str]], tuple[str, ...]]] = {
    # data
    "missing path": (lambda: train("gan", "photso"), ("photso", "no such file or folder|neither a file")),
    "missing path with a near name": (
        lambda: train("gan", images(Path("photos")).name[:-1] + "a"),
        ("photoa", "did you mean 'photos'"),
    ),
    "misspelt phantom": (lambda: train("gan", "patern"), ("patern", "did you mean 'patterns'")),
    "empty folder": (made("photos", train("gan", "photos")), ("photos: an empty folder", "put files of")),
    "folder without images": (folder({"a.txt": b"a", "b.doc": b"b"}), ("photos: only files of other kinds", "a.txt")),
    "only broken files": (folder({"a.png": b"no", "b.png": b""}), ("photos", "a.png|b.png")),
    "a text file as data": (file("notes.txt", "hello"), ("notes.txt", "convert it to one of")),
    "mixed channels": (folder(MIXED), ("mixes channels", "--channels 1")),
    "mixed depths": (folder(DEPTHS), ("mixes depths", "convert them to one depth")),
    "one value everywhere": (file("a.npy", npy(np.full((9, 8, 8), 0.5, np.float32))), ("nothing to learn",)),
    "NaN in NIfTI": (
        file("v.nii", tiny_files.nifti(np.full((4, 5, 6), np.nan, np.float32))),
        ("v.nii", "NaN", "replace or mask"),
    ),
    "DICOM without a tag": (
        file("a.dcm", tiny_files.dicom(GREY[0], BitsStored=None)),
        ("a.dcm", "BitsStored", "export it again"),
    ),
    "five dimensions": (file("a.npy", npy(np.zeros((2, 3, 4, 5, 6), np.uint8))), ("a.npy", "shape|dimensions|axes")),
    "CSV with text": (file("p.csv", POINTS + "\none,two"), ("p.csv", "line 22", "'?one")),
    "CSV with a hole": (file("p.csv", POINTS + "\n3,"), ("p.csv", "line 22")),
    "CSV with NaN": (file("p.csv", POINTS + "\nnan,1"), ("p.csv", "line 22|NaN|nan")),
    "empty CSV": (file("p.csv", ""), ("p.csv", "empty|no points|no rows")),
    "all points the same": (file("p.csv", "x,y\n" + "1,1\n" * 9), ("the same", "nothing to learn")),
    "image system on points": (file("p.csv", POINTS, "stylegan2"), ("stylegan2 learns from image data", "p.csv holds points")),
    "labels for a missing file": (labels(lambda t: t + "\nghost.png,a"), ("labels.csv", "ghost.png", "not in")),
    "labels that lack a file": (labels(lambda t: t.rsplit("\n", 1)[0]), ("labels.csv", "011.png", "add the lines")),
    "labels with a misspelt column": (
        labels(lambda t: t.replace("label", "lable", 1)),
        ("labels.csv", "'lable'", "did you mean 'label'"),
    ),
    "labels that are no table": (labels(lambda t: "\0\1\2"), ("labels.csv", "column|CSV")),
    "a group on both sides": (
        labels(
            lambda t: (
                "file,label,group,split\n"
                + "\n".join(f"{i:03d}.png,{'ab'[i % 2]},one,{'train' if i else 'heldout'}" for i in range(12))
            ),
            "groups.csv",
        ),
        ("groups.csv", "'one' is on both sides"),
    ),
    "cgan without labels": (good(system="cgan"), ("cgan needs labelled data", "labels.csv")),
    # systems and settings
    "no system and no data": (lambda: ["train"], ("learn what?", "ganvas systems")),
    "unknown system": (good(system="dcgann"), ("'dcgann'", "did you mean 'dcgan'")),
    "no data": (lambda: ["train", "gan"], ("what shall it learn from", "--data PATH")),
    "unknown preset": (good("--preset", "autoo"), ("'autoo'", "did you mean 'auto'")),
    "unknown setting": (good("--set", "widht=8"), ("'widht'", "did you mean 'width'")),
    "setting of a wrong type": (good("--set", "width=wide"), ("width", "expected whole number, got 'wide'")),
    "a half batch": (good("--set", "batch_size=7.5"), ("batch_size", "expected whole number")),
    "zero batch": (good("--set", "batch_size=0"), ("batch_size", "the least is 1")),
    "negative width": (good("--set", "width=-4"), ("width", "the least is 1")),
    "a choice that is none": (good("--set", "loss=hinge"), ("loss", "'hinge' is not one of")),
    "bad --set": (good("--set", "width"), ("--set 'width' is not KEY=VALUE", "--set width=32")),
    "negative size": (good("--size", "-64"), ("--size", "-64", "96x64|expected one argument")),
    "size zero": (good("--size", "0"), ("--size '0'", "use 64")),
    "size in words": (good("--size", "big"), ("--size 'big'", "use 64")),
    "bad budget": (good("--budget", "soon"), ("--budget 'soon'", "10m")),
    "negative budget": (good("--budget=-3m"), ("--budget '-3m'", "10m")),
    "unknown precision": (good("--precision", "8"), ("precision", "'8' is not one of", "bf16-mixed")),
    "missing device": (good("--device", "cuda:9"), ("cuda:9", "--device cpu")),
    "checks on a missing device": (lambda: ["check", "gan", "--device", "cuda:9"], ("cuda:9", "--device cpu")),
    "unknown device": (good("--device", "abacus"), ("abacus", "use auto, cpu")),
    "no processes": (good("--processes", "0"), ("processes", "the least is 1")),
    "processes that cannot share": (good("--processes", "3"), ("batch_size 8", "--set batch_size=9")),
    "all held out": (good("--heldout", "1"), ("heldout", "the most is 0.9")),
    "negative seed": (good("--seed", "-1"), ("seed", "-1")),
    "unknown fit": (good("--fit", "squeeze"), ("fit", "crop, pad, stretch")),
    "too many channels": (good("--channels", "9"), ("channels", "the most is 8")),
    "1x1 images": (lambda: dots()[: -2 * len(toys.SMALL)], ("images of 1x1 are too small", "--size")),
    # files of settings
    "bad YAML": (saved("a: [1"), ("c.yaml", "not valid YAML at line")),
    "YAML that is a list": (saved("- a\n- b"), ("c.yaml", "key: value")),
    "missing config": (lambda: ["train", "gan", "--data", "x", "--config", "c.yaml"], ("c.yaml", "no such file")),
    "config with an unknown key": (saved("widht: 3"), ("'widht'", "did you mean 'width'")),
    "config with an unknown run key": (saved("run: {budgt: 3r}\nconfig: {width: 4}"), ("'budgt'", "did you mean 'budget'")),
    "config with a wrong value": (saved("width: -1"), ("width", "the least is 1")),
    "config and --set": (lambda: [*saved("width: 4")(), "--set", "latent_size=3"], ("--set and --config cannot be combined",)),
    "a folder as config": (made("c.yaml", ["train", "gan", "--data", "x", "--config", "c.yaml"]), ("c.yaml", "cannot be read")),
    # where to
    "out is a file": (lambda: Path("run").touch() or good()(), ("run", "is a file")),
    "out is not empty": (lambda: Path("run").mkdir() or Path("run/thesis").touch() or good()(), ("run", "not empty", "choose")),  # type: ignore[func-returns-value]
    # other commands
    "unknown command": (lambda: ["tarin"], ("'tarin'", "did you mean 'train'")),
    "unknown option": (good("--buget", "3r"), ("'--buget'", "did you mean '--budget'")),
    "an option without its value": (lambda: ["train", "gan", "--data"], ("--data", "expected one argument")),
    "a word too many": (good("photos2"), ("photos2",)),
    "show nothing": (lambda: ["show"], ("SYSTEM", "ganvas show --help")),
    "show an unknown system": (lambda: ["show", "lsgna"], ("'lsgna'", "did you mean 'lsgan'")),
    "prove an unknown system": (lambda: ["prove", "lsgna", "--quick"], ("'lsgna'", "did you mean 'lsgan'")),
    "check a missing path": (lambda: ["data", "check", "nowhere"], ("nowhere",)),
    "check an empty folder": (made("photos", ["data", "check", "photos"]), ("photos", "empty")),
    "make an unknown phantom": (lambda: ["data", "make", "chets", "--out", "o"], ("'?chets", "did you mean 'chest'")),
    "make none": (lambda: ["data", "make", "chest", "-n", "0", "--out", "o"], ("-n", "'0' is not a whole number above 0")),
    "make of a bad size": (lambda: ["data", "make", "chest", "--size", "x", "--out", "o"], ("--size 'x'", "96x64")),
    "make in a bad format": (lambda: ["data", "make", "chest", "-n", "2", "--format", "gif", "--out", "o"], ("gif", "png")),
    "make points as pictures": (
        lambda: ["data", "make", "patterns", "-n", "2", "--format", "tiff", "--out", "o"],
        ("tiff", "csv, npz"),
    ),
    "an unsafe formula": (
        lambda: train("gan", "formula:__import__('os').system('true')"),
        ("formula", "__import__|not understood|unknown"),
    ),
    "a formula without sense": (lambda: train("gan", "formula:sin("), ("formula", r"sin\(|not")),
}


def dots() -> list[str]:
    Path("photos").mkdir()
    for index, picture in enumerate(GREY):
        Path("photos", f"{index}.png").write_bytes(png(picture[:1, :1]))
    return train("dcgan", "photos")


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr, without its `ganvas: `; nothing else was said."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ganvas: "), captured.err
    assert captured.err.count("\n") == 1, captured.err
    assert "Traceback" not in captured.err
    line = captured.err.removeprefix("ganvas: ").rstrip("\n")
    assert 10 < len(line) < 600, line
    return line


def check(line: str, needles: tuple[str, ...]) -> None:
    import re

    for needle in needles:
        assert re.search(needle, line), f"{needle!r} is not in: {line}"


@pytest.mark.parametrize("case", list(REFUSED))
def test_refused_in_one_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make, needles = REFUSED[case]
    words = make()
    before = {p for p in Path().rglob("*") if p.is_file()}
    assert main(words) == 2, capsys.readouterr()
    check(only_line(capsys), needles)
    assert {p for p in Path().rglob("*") if p.is_file()} == before, "a refused command leaves nothing behind"


# Runs that are not what they are taken for.


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished runs `plain` (gan, 8-bit), `deep` (gan, 16-bit TIFF), `labelled` (cgan), `points` (gan)."""
    root = tmp_path_factory.mktemp("runs")
    images(root / "photos")
    (root / "deep-data").mkdir()
    for i, p in enumerate(GREY):
        (root / "deep-data" / f"{i}.tif").write_bytes(tiny_files.tiff(p.astype(np.uint16) * 257))
    toys.picture_folder(root / "classes", 12, labels=("normal", "nodule"))
    toys.points_file(root / "points.csv")
    data_of = {"plain": "photos", "deep": "deep-data", "labelled": "classes", "points": "points.csv"}
    for name, data in data_of.items():
        system = "cgan" if name == "labelled" else "gan"
        words = ["train", system, "--data", str(root / data), "--out", str(root / name), "--quiet", *FAST]
        assert main(words) == 0
    return root


def harmed(change: Callable[[Path], Any], words: list[str]) -> Callable[[Path], list[str]]:
    def make(root: Path) -> list[str]:
        shutil.copytree(root / "plain", "copy")
        change(Path("copy"))
        return words

    return make


def rewrite(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def act(run: Path) -> None:
        values = yaml.safe_load((run / "config.yaml").read_text())
        change(values)
        (run / "config.yaml").write_text(yaml.safe_dump(values))

    return act


def cut(run: Path) -> None:
    path = run / "checkpoints" / "last" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-50])


def tampered(run: Path) -> None:
    path = run / "checkpoints" / "last" / "state.pt"
    path.write_bytes(flipped(path.read_bytes()))


RESUME, SAMPLE = ["train", "--resume", "copy", "--budget", "3r"], ["sample", "copy", "-n", "2"]
RUNS: dict[str, tuple[Callable[[Path], list[str]], tuple[str, ...]]] = {
    "sample of nothing": (lambda r: ["sample", "nowhere"], ("nowhere", "no such run folder")),
    "sample of a folder that is no run": (lambda r: ["sample", str(r / "photos")], ("photos", "not a run folder")),
    "sample of a file": (lambda r: ["sample", str(r / "points.csv")], ("points.csv", "not a run folder")),
    "resume of a folder that is no run": (lambda r: ["train", "--resume", str(r / "photos")], ("photos", "not a run folder")),
    "resume of nothing": (lambda r: ["train", "--resume", "nowhere"], ("nowhere", "no such run folder")),
    "resume with another system": (lambda r: ["train", "lsgan", "--resume", str(r / "plain")], ("gan -> lsgan", "--init-from")),
    "resume with another seed": (
        lambda r: ["train", "--resume", str(r / "plain"), "--seed", "5"],
        ("seed: 0 -> 5", "--init-from"),
    ),
    "resume with another width": (
        lambda r: ["train", "--resume", str(r / "plain"), "--set", "width=9"],
        ("width: 4 -> 9", "--init-from"),
    ),
    "resume with other data": (
        lambda r: ["train", "--resume", str(r / "plain"), "--data", str(r / "deep-data")],
        ("data: .*photos -> .*deep-data", "--init-from"),
    ),
    "resume into another folder": (
        lambda r: ["train", "--resume", str(r / "plain"), "--out", "o"],
        ("--out cannot be combined",),
    ),
    "resume of an unknown checkpoint": (
        lambda r: ["train", "--resume", str(r / "plain"), "--checkpoint", "first"],
        ("'first'", "last.*previous"),
    ),
    "resume of an absent checkpoint": (
        lambda r: ["train", "--resume", str(r / "plain"), "--budget", "3r", "--checkpoint", "previous"],
        ("no checkpoint 'previous'",),
    ),
    "start from another system": (
        lambda r: ["train", "lsgan", "--data", str(r / "photos"), "--out", "o", "--init-from", str(r / "plain"), *FAST],
        ("it holds a gan, not a lsgan",),
    ),
    "out that holds a run": (
        lambda r: [*train("gan", r / "photos")[:4], "--out", str(r / "plain")],
        ("already holds a run", "--resume"),
    ),
    "run folder of another system": (
        harmed(rewrite(lambda v: v.update(system="lsgan", config={"width": 4})), SAMPLE),
        ("do not fit this system",),
    ),
    "run of an unknown system": (harmed(rewrite(lambda v: v.update(system="gann")), SAMPLE), ("'gann'", "did you mean 'gan'")),
    "config that lost a part": (
        harmed(rewrite(lambda v: v.pop("fields")), SAMPLE),
        ("config.yaml", "incomplete or changed by hand"),
    ),
    "config with a wrong setting": (
        harmed(rewrite(lambda v: v["config"].update(width="w")), SAMPLE),
        ("config.yaml", "width: expected whole number"),
    ),
    "config that is no YAML": (
        harmed(lambda run: (run / "config.yaml").write_text("{"), SAMPLE),
        ("config.yaml", "not valid YAML"),
    ),
    "truncated checkpoint": (harmed(cut, SAMPLE), ("weights.safetensors is truncated",)),
    "truncated checkpoint, resumed": (harmed(cut, RESUME), ("weights.safetensors is truncated",)),
    "tampered checkpoint": (harmed(tampered, RESUME), ("state.pt was changed since it was saved",)),
    "checkpoint without its manifest": (
        harmed(lambda run: (run / "checkpoints/last/manifest.json").unlink(), SAMPLE),
        ("manifest.json is missing",),
    ),
    "run without a checkpoint": (
        harmed(lambda run: shutil.rmtree(run / "checkpoints"), SAMPLE),
        ("no checkpoint yet", "--resume"),
    ),
    "label on data without labels": (lambda r: ["sample", str(r / "plain"), "--label", "a"], ("had no labels",)),
    "unknown label": (lambda r: ["sample", str(r / "labelled"), "--label", "noduel"], ("'noduel'", "did you mean 'nodule'")),
    "out-of-range label": (lambda r: ["sample", str(r / "labelled"), "--label", "7"], ("--label 7 is out of range", "0 to 1")),
    "negative label": (lambda r: ["sample", str(r / "labelled"), "--label=-1"], ("--label -1 is out of range",)),
    "unknown format": (lambda r: ["sample", str(r / "plain"), "--format", "pgn"], ("'pgn'", "did you mean 'png'")),
    "format of pictures for points": (lambda r: ["sample", str(r / "points"), "--format", "png"], ("'png'", "csv, npz")),
    "format that cannot hold the depth": (
        lambda r: ["sample", str(r / "deep"), "--format", "jpg"],
        ("jpg holds 8 bits", "--depth 8"),
    ),
    "depth that the format cannot hold": (
        lambda r: ["sample", str(r / "plain"), "--format", "webp", "--depth", "16"],
        ("webp holds 8 bits", "--depth 8"),
    ),
    "depth of points": (lambda r: ["sample", str(r / "points"), "--depth", "8"], ("--depth is for images",)),
    "odd depth": (lambda r: ["sample", str(r / "plain"), "--depth", "12"], ("--depth", "8, 16|8.*16")),
    "no samples": (lambda r: ["sample", str(r / "plain"), "-n", "0"], ("'0' is not a whole number above 0",)),
    "samples in words": (lambda r: ["sample", str(r / "plain"), "-n", "many"], ("'many' is not a whole number",)),
    "samples into a file": (
        lambda r: Path("o").touch() or ["sample", str(r / "plain"), "-n", "1", "--out", "o"],
        ("o is a file",),  # type: ignore[func-returns-value]
    ),
    "samples on a missing device": (lambda r: ["sample", str(r / "plain"), "--device", "cuda:3"], ("cuda:3", "--device cpu")),
    "negative sample seed": (
        lambda r: ["sample", str(r / "plain"), "--seed=-3"],
        ("--seed", "'-3' is not a whole number from 0 up"),
    ),
}


@pytest.mark.parametrize("case", list(RUNS))
def test_runs_refused_in_one_line(
    case: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make, needles = RUNS[case]
    words = make(runs)
    capsys.readouterr()
    before = {p: p.stat().st_mtime_ns for p in runs.rglob("*") if p.is_file()}
    assert main(words) == 2, capsys.readouterr()
    check(only_line(capsys), needles)
    assert {p: p.stat().st_mtime_ns for p in runs.rglob("*") if p.is_file()} == before, "the runs are as they were"


# Odd, but good: these work, and say what was done.

ODD: dict[str, tuple[Callable[[], list[str]], tuple[str, ...]]] = {
    "a single image": (folder({"a.png": png(GREY[0])}), ("nothing is held out",)),
    "16-bit RGB PNG": (lambda: rgb16_folder(), ()),
    "mixed sizes": (folder({f"{i}.png": png(p[: 6 + i % 2]) for i, p in enumerate(GREY)}), ("cropped|stretched|enlarged",)),
    "a path with spaces and quotes": (lambda: (images(Path("my 'photos' é")), train("gan", "my 'photos' é"))[1], ()),
}


def rgb16_folder() -> list[str]:
    import imagecodecs

    Path("photos").mkdir()
    for index in range(6):
        pixels = np.random.default_rng(index).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
        Path("photos", f"{index}.png").write_bytes(bytes(imagecodecs.png_encode(pixels)))
    return train("gan", "photos")


@pytest.mark.parametrize("case", list(ODD))
def test_odd_but_good(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    make, needles = ODD[case]
    assert main(make()) == 0, capsys.readouterr()
    captured = capsys.readouterr()
    check(captured.err, needles)
    if case == "16-bit RGB PNG":
        spec = yaml.safe_load(Path("run/config.yaml").read_text())["fields"]["real"]
        assert (spec["depth"], spec["channels"]) == (16, 3)


def test_the_table_is_long_enough() -> None:
    assert len(SPOILED) + len(REFUSED) + len(RUNS) >= 45


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (["train", "dcgan", "--data", "nowhere/at/all"], "nowhere/at/all: no such file or folder"),
        (["sample", "nowhere"], "nowhere: no such run folder"),
        (["train", "gan", "--data", "bad.csv", "--budget", "1r"], "bad.csv"),
    ],
)
def test_refused_through_a_real_process(words: list[str], needle: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("x,y\n1,2\na,b\n")
    done = toys.ganvas(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"ganvas: {needle}")
    assert done.stderr.count("\n") == 1
