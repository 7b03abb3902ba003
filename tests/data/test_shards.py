"""Shards laid out as WebDataset: what is read, told and refused, the order of records, and going on to the same bits."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import shutil
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import toys
from ganvas.batches import Noise
from ganvas.data.check import check
from ganvas.data.dataset import open_data
from ganvas.data.shard_values import ShardValues, chosen_of, in_memory
from ganvas.data.shards import HELD_MOST, hold_out_by_hash
from ganvas.data.streams import DatasetStream, divided, open_stream, told_of_sharing, windowed
from ganvas.errors import DataError, GanvasError, MixedData, RunError
from ganvas.game import Feed
from ganvas.store import reader as store_reader
from ganvas.store.shards import Shards, expanded, names_shards

Members = Sequence[tuple[str, bytes]]


def png(seed: int, size: tuple[int, int] = (8, 8), colour: bool = True) -> bytes:
    shape = (*size, 3) if colour else size
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pack(path: Path, members: Members) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def record(number: int, **beside: Any) -> list[tuple[str, bytes]]:
    told = [(suffix, value if isinstance(value, bytes) else str(value).encode()) for suffix, value in beside.items()]
    return [(f"{number:04d}.{suffix}", data) for suffix, data in (("png", png(number)), *told)]


def folder_of(path: Path, count: int = 40, per: int = 10) -> Path:
    """`count` pictures of three classes in shards of `per`."""
    for start in range(0, count, per):
        rows = [member for k in range(start, min(count, start + per)) for member in record(k, cls=("a", "b", "c")[k % 3])]
        pack(path / f"train-{start // per:04d}.tar", rows)
    return path


def opened(source: Any, cache: Path, **more: Any) -> Any:
    return open_data(str(source), cache=cache, progress=False, **more)


def dealt(stream: Any, batches: int, rank: int = 0, world: int = 1, seed: int = 0) -> list[np.ndarray]:
    noise = Noise(Noise.seeded(seed).generator, rank, world)
    return [stream.draw(noise).real.numpy() for _ in range(batches)]


# Names


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a-{08..11}.tar", ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]),
        ("{train,val}-{0..1}.tar", ["train-0.tar", "train-1.tar", "val-0.tar", "val-1.tar"]),
        ("plain.tar", ["plain.tar"]),
    ],
)
def test_braces(text: str, found: list[str]) -> None:
    assert expanded(text) == found


@pytest.mark.parametrize("text", ["a-{3..1}.tar", "a-{x}.tar"])
def test_braces_that_say_nothing_are_refused(text: str) -> None:
    with pytest.raises(GanvasError, match="as in|smaller number first"):
        expanded(text)


def test_a_folder_of_pictures_with_a_tar_beside_is_no_folder_of_shards(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(0))
    pack(tmp_path / "backup.tar", record(1))
    assert not names_shards(str(tmp_path))
    assert names_shards(str(tmp_path / "backup.tar"))


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    folder_of(tmp_path / "s")
    with pytest.raises(DataError, match=r"2 of 6 shards are not there: train-0004.tar, train-0005.tar"):
        opened(f"{tmp_path}/s/train-{{0000..0005}}.tar", tmp_path / "c")


# Reading


def test_records_are_those_of_the_same_files_in_a_folder(tmp_path: Path) -> None:
    """Pictures of several encodings, to the last bit, in the order of the shards, with their classes."""
    rng = np.random.default_rng(0)
    members: list[tuple[str, bytes]] = []
    for k, kind in enumerate(("PNG", "JPEG", "BMP", "PNG", "GIF", "WEBP", "JPEG", "PNG")):
        buffer = io.BytesIO()
        image = Image.fromarray(rng.integers(0, 256, (12, 10, 3), np.uint8))
        extra: dict[str, Any] = {}
        if k == 3:  # an alpha that is not opaque
            image.putalpha(Image.fromarray(rng.integers(0, 256, (12, 10), np.uint8)))
        if k == 6:  # on its side
            image = image.transpose(Image.Transpose.ROTATE_90)
            exif = Image.Exif()
            exif[0x0112] = 6
            extra = {"exif": exif}
        image.save(buffer, kind, **extra)
        name = f"{k:03d}.{kind.lower().replace('jpeg', 'jpg')}"
        folder = tmp_path / "files" / "ab"[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(buffer.getvalue())
        members += [(name, buffer.getvalue()), (f"{k:03d}.cls", "ab"[k % 2].encode())]
    pack(tmp_path / "one.tar", members)
    mine = opened(tmp_path / "one.tar", tmp_path / "c")
    files = opened(tmp_path / "files", tmp_path / "c")
    order = np.argsort([name.split("/")[-1] for name in files.names()])
    assert mine.spec == files.spec
    np.testing.assert_array_equal(np.asarray(mine.values), np.asarray(files.values)[order])
    np.testing.assert_array_equal(mine.labels, files.labels[order])
    assert isinstance(mine.values, ShardValues)
    assert 0 < mine.values.place["plain"].sum() < 8  # both ways of decoding were gone
    small = opened(tmp_path / "one.tar", tmp_path / "c", size=(6, 5), channels=1)
    again = opened(tmp_path / "files", tmp_path / "c", size=(6, 5), channels=1)
    np.testing.assert_array_equal(np.asarray(small.values), np.asarray(again.values)[order])
    some = [note for note in again.notes if "grey" in note or "alpha" in note or "laid" in note]
    assert some
    assert all(any(note.split(" (")[0] == own.split(" (")[0] for own in small.notes) for note in some)


def test_labels_groups_and_sides_of_json(tmp_path: Path) -> None:
    rows = []
    for k in range(12):
        told = {"label": "cat" if k % 2 else "dog", "group": f"g{k // 4}", "split": "test" if k // 4 == 1 else "train"}
        rows += record(k, json=json.dumps(told), txt=f"picture {k}")
    data = opened(pack(tmp_path / "a.tar", rows), tmp_path / "c")
    assert data.spec.classes == ("cat", "dog")
    np.testing.assert_array_equal(data.labels, [(k + 1) % 2 for k in range(12)])
    np.testing.assert_array_equal(data.groups, np.arange(12) // 4)
    np.testing.assert_array_equal(data.heldout, np.arange(12) // 4 == 1)
    assert data.declared_split
    assert any("captions of 12 records are left alone" in note for note in data.notes)


def test_captions_and_attributes_are_fields_beside_the_picture(tmp_path: Path) -> None:
    """Of the same words as from a table beside files; in a stream each picture has its own."""
    words = ["a red cat", "a blue dog", "one red dog"]
    rows = []
    for k in range(12):
        rows += record(k, txt=words[k % 3], json=json.dumps({"red": k % 3 != 1, "size": k, "label": "x"}))
    path = pack(tmp_path / "a.tar", rows)
    wanted = {"picture": ("image",), "caption": ("tokens",)}
    data = opened(path, tmp_path / "c", fields=wanted)
    from ganvas.kinds import kind_of

    kind: Any = kind_of("tokens")
    spec = data.fields["caption"].spec
    lines = [kind.lines(own, spec)[0] for own in np.asarray(data.fields["caption"].values)]
    assert lines == [words[k % 3] for k in range(12)]
    assert not any("left alone" in note for note in data.notes)
    batch = open_stream(data, Feed(), 5).draw(Noise.seeded(0))
    values, captions = np.asarray(data.values), np.asarray(data.fields["caption"].values)
    for picture, caption in zip(batch["picture"].numpy(), batch["caption"].numpy(), strict=True):
        made = np.round((picture.transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8)
        row = next(k for k in range(12) if (values[k] == made).all())
        np.testing.assert_array_equal(caption, captions[row])
    table = opened(path, tmp_path / "c", fields={"picture": ("image",), "attributes": ("table",)})
    own: Any = kind_of("table")
    cells = own.cells(np.asarray(table.fields["attributes"].values), table.fields["attributes"].spec)
    assert list(cells) == ["red", "size"]
    assert cells["red"] == [str(int(k % 3 != 1)) for k in range(12)]
    assert table.fingerprint != data.fingerprint
    assert "gan-cls" in check(str(path), progress=False).train[0]


def test_members_of_a_key_need_not_lie_side_by_side(tmp_path: Path) -> None:
    rows = [member for k in range(6) for member in record(k, cls=k % 2)]
    data = opened(pack(tmp_path / "a.tar", sorted(rows, key=lambda own: own[0].split(".")[1])), tmp_path / "c")
    np.testing.assert_array_equal(data.labels, [0, 1, 0, 1, 0, 1])


def test_shards_named_after_sides_are_a_split(tmp_path: Path) -> None:
    pack(tmp_path / "s" / "set-train-0.tar", [m for k in range(6) for m in record(k)])
    pack(tmp_path / "s" / "set-val-0.tar", [m for k in range(6, 9) for m in record(k)])
    data = opened(tmp_path / "s", tmp_path / "c")
    np.testing.assert_array_equal(data.heldout, np.arange(9) >= 6)
    assert "split taken from the names of the shards" in data.notes


def test_an_index_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path / "s")
    for shard in (tmp_path / "s").iterdir():  # left alone for long
        import os

        os.utime(shard, (1e9, 1e9))
    monkeypatch.setattr("ganvas.store.cache.SETTLED", -1.0)
    first = opened(tmp_path / "s", tmp_path / "c")
    monkeypatch.setattr("ganvas.kinds.image.members.index", None)
    again = opened(tmp_path / "s", tmp_path / "c")
    assert again.fingerprint == first.fingerprint


def test_moved_shards_are_the_same_data(tmp_path: Path) -> None:
    first = opened(folder_of(tmp_path / "s"), tmp_path / "c")
    shutil.copytree(tmp_path / "s", tmp_path / "t")
    assert opened(tmp_path / "t", tmp_path / "c").fingerprint == first.fingerprint
    pack(tmp_path / "t" / "train-0001.tar", [m for k in range(90, 100) for m in record(k, cls="abc"[k % 3])])
    assert opened(tmp_path / "t", tmp_path / "c").fingerprint != first.fingerprint


# What is wrong is told


def test_a_broken_picture_is_skipped_and_named(tmp_path: Path) -> None:
    rows = [m for k in range(5) for m in record(k)]
    rows[2] = (rows[2][0], rows[2][1][:-20])
    path = pack(tmp_path / "a.tar", rows)
    data = opened(path, tmp_path / "c")
    assert len(data) == 4
    told = [note for note in data.notes if "0002.png" in note]
    assert len(told) == 1
    assert told[0].startswith("skipped a.tar: 0002.png ends before its picture does")
    with pytest.raises(DataError, match=r"a.tar: 0002.png ends before"):
        opened(path, tmp_path / "c", strict=True)
    report = check(str(path), progress=False)
    assert report.records == 4
    assert [name for name, _ in report.unreadable] == ["a.tar: 0002.png"]


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ([("0009.cls", b"a")], r"left out for want of a picture: 1 beside 4 whole records \(a.tar: 0009.cls\)"),
        ([("0009.png", png(9)), ("0009.json", b"{")], r"skipped a.tar: 0009.json: is no JSON"),
        ([("0009.png", png(9)), ("0009.json", b"[1]")], r"skipped a.tar: 0009.json: holds no entries with names"),
        ([("0009.png", png(9)), ("0009.cls", b"\xff\xfe\xfa")], r"skipped a.tar: 0009.cls: is no UTF-8 text"),
        ([("0009.png", png(9)), ("0009.jpg", png(8))], r"skipped a.tar: 0009: holds several pictures"),
        ([("0009.npy", b"x")], r"skipped a.tar: 0009.npy is no .png"),
        ([("0009.png", b"")], r"skipped a.tar: 0009.png is empty"),
        ([("0009.png", b"hello")], r"skipped a.tar: 0009.png is no picture"),
        ([("README", b"x")], r"a.tar: left alone without a key or a suffix: README"),
        ([("0001.png", png(1))], r"a.tar: holds twice, of which the first is used: 0001.png"),
        ([("0009.png", png(0))], r"1 of 5 pictures are copies of others, to the last pixel"),
        ([("0009.png", png(9)), ("0009.json", b'{"split": "left"}')], r"its split 'left' is neither train nor test"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, odd: Members, told: str) -> None:
    rows = [m for k in range(4) for m in record(k)]
    data = opened(pack(tmp_path / "a.tar", [*rows, *odd]), tmp_path / "c")
    assert len([note for note in data.notes if re.search(told, note)]) == 1, data.notes
    assert not any("\n" in note for note in data.notes)


def test_a_record_without_a_class_among_others_is_refused(tmp_path: Path) -> None:
    rows = [m for k in range(4) for m in record(k, cls="a")] + record(9)
    with pytest.raises(DataError, match=r"1 of 5 records have no class \(a.tar: 0009.png\): add their .cls"):
        opened(pack(tmp_path / "a.tar", rows), tmp_path / "c")


def test_a_shard_that_was_cut_off(tmp_path: Path) -> None:
    """Within a member, between two, and within a header: what is left is used, and it is said."""
    whole = pack(tmp_path / "whole.tar", [m for k in range(6) for m in record(k)]).read_bytes()
    for cut, told in (
        (1024 * 3 - 300, "ends within 0002.png"),
        (2048, "has no end mark after 2 records"),
        (2048 + 100, "2 rec"),
    ):
        path = tmp_path / f"{cut}.tar"
        path.write_bytes(whole[:cut])
        data = opened(path, tmp_path / "c")
        assert len(data) == 2
        assert any(told in note for note in data.notes), data.notes
        with pytest.raises(DataError, match=told):
            opened(path, tmp_path / "c", strict=True)


def test_a_shard_that_is_none_is_left_out_and_named(tmp_path: Path) -> None:
    folder_of(tmp_path / "s")
    (tmp_path / "s" / "train-0002.tar").write_bytes(b"not a tar at all" * 100)
    data = opened(tmp_path / "s", tmp_path / "c")
    assert len(data) == 30
    assert any(note.startswith("left out whole: train-0002.tar: is no tar file") for note in data.notes)
    packed = tmp_path / "packed.tar"
    packed.write_bytes(gzip.compress((tmp_path / "s" / "train-0000.tar").read_bytes()))
    with pytest.raises(DataError, match=r"packed.tar: is compressed.*gunzip"):
        opened(packed, tmp_path / "c")


def test_mixed_sizes_and_channels(tmp_path: Path) -> None:
    rows = [m for k in range(4) for m in record(k)]
    path = pack(tmp_path / "a.tar", [*rows, ("0009.png", png(9, (16, 16)))])
    with pytest.raises(MixedData, match=r"mixes sizes: 8x8 \(4: a.tar: 0000.png, a.tar: 0001.png and 2 more\), 16x16 \(1:"):
        opened(path, tmp_path / "c")
    assert opened(path, tmp_path / "c", size=8).values.shape == (5, 8, 8, 3)
    report = check(str(path), progress=False)
    assert any("mixes sizes" in problem for problem in report.problems)
    assert report.records == 5
    grey = pack(tmp_path / "b.tar", [*rows, ("0009.png", png(9, colour=False))])
    with pytest.raises(MixedData, match="mixes channels"):
        opened(grey, tmp_path / "c")


def test_what_shards_are_not_for(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", [m for k in range(4) for m in record(k)])
    with pytest.raises(GanvasError, match="cut them before packing"):
        opened(path, tmp_path / "c", fit="patches", size=4)
    with pytest.raises(DataError, match="of shards one picture a record is read, not photo and map"):
        opened(path, tmp_path / "c", fields={"photo": ("image",), "map": ("image",)})
    with pytest.raises(DataError, match=r"voice \(sound\) is not read from shards"):
        opened(path, tmp_path / "c", fields={"photo": ("image",), "voice": ("sound",)})
    with pytest.raises(DataError, match=r"4 of 4 records have no caption \(a.tar, record 1, .*\): add a .txt"):
        opened(path, tmp_path / "c", fields={"picture": ("image",), "caption": ("tokens",)})
    with pytest.raises(DataError, match="no .json of a record has entries"):
        opened(path, tmp_path / "c", fields={"picture": ("image",), "attributes": ("table",)})
    with pytest.raises(GanvasError, match="looked through as they are"):
        check(str(path), size=8, progress=False)


# The held-out part


def test_groups_are_held_out_whole_and_copies_too() -> None:
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 300, 1000)
    hashes = rng.integers(0, 2**63, 1000).astype(np.uint64)
    out = hold_out_by_hash(groups, hashes, 0.2, 0)
    assert 180 <= out.sum() <= 200
    assert not np.isin(groups[out], groups[~out]).any()
    assert (hold_out_by_hash(groups, hashes, 0.2, 1) != out).any()


def test_records_stay_on_their_side_when_others_come() -> None:
    hashes = np.random.default_rng(2).integers(0, 2**63, 2000).astype(np.uint64)
    before = hold_out_by_hash(np.arange(1000), hashes[:1000], 0.2, 0)
    order = np.random.default_rng(3).permutation(2000)
    after = np.empty(2000, bool)
    after[order] = hold_out_by_hash(np.arange(2000), hashes[order], 0.2, 0)
    assert (before != after[:1000]).mean() < 0.04  # those next to the threshold


def test_few_and_many_are_held_out() -> None:
    hashes = np.arange(3, dtype=np.uint64)
    assert hold_out_by_hash(np.arange(3), hashes, 0.2, 0).sum() == 1
    assert hold_out_by_hash(np.zeros(3, int), hashes, 0.2, 0).sum() == 0
    many = HELD_MOST * 10
    assert hold_out_by_hash(np.arange(many), np.arange(many, dtype=np.uint64), 0.2, 0).sum() == HELD_MOST


# The order of records


def test_a_window_bounds_how_far_records_move() -> None:
    shards, window = np.repeat(np.arange(50), 40), 200
    order = windowed(shards, window, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(order), np.arange(2000))
    start = {}
    place = np.empty(2000, int)
    sequence = []
    for row in order:  # shards come in the order of their first record, which may be off by a window
        start.setdefault(shards[row], len(sequence))
        sequence.append(row)
    turn = np.random.default_rng(0).permutation(50)
    for rank, shard in enumerate(np.argsort(turn)):
        place[shards == shard] = np.arange(rank * 40, rank * 40 + 40)
    moved = place[order] - np.arange(2000)
    assert np.abs(moved).max() < window
    assert np.abs(moved).mean() > window / 8  # and it is shuffled
    assert len(np.unique(shards[order[:64]])) >= 4


def test_epochs_have_orders_of_their_own_and_a_seed_has_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganvas.data.streams.WINDOW", 12)
    data = opened(folder_of(tmp_path / "s"), tmp_path / "c", heldout=0.0)
    first = np.concatenate(dealt(open_stream(data, Feed(), 8, seed=3), 10))
    again = np.concatenate(dealt(open_stream(data, Feed(), 8, seed=3), 10))
    other = np.concatenate(dealt(open_stream(data, Feed(), 8, seed=4), 5))
    np.testing.assert_array_equal(first, again)
    sums = [tuple(sorted(values.sum((1, 2, 3)).tolist())) for values in (first[:40], first[40:], other)]
    assert len(set(sums)) == 1  # each epoch is all of them, once
    assert (first[:40] != first[40:]).any()
    assert (first[:40] != other).any()


def test_a_stream_goes_on_to_the_same_bits_in_the_middle_of_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganvas.data.streams.WINDOW", 12)
    folder_of(tmp_path / "s")
    stream = open_stream(opened(tmp_path / "s", tmp_path / "c"), Feed(), 6, seed=1)
    dealt(stream, 7)
    state = pickle.loads(pickle.dumps(stream.state()))
    rest = dealt(stream, 9)
    later = open_stream(opened(tmp_path / "s", tmp_path / "other"), Feed(), 6, seed=1)
    dealt(later, 2)  # what was decoded ahead is of no consequence
    later.restore(state)
    for expected, found in zip(rest, dealt(later, 9), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_a_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    import ganvas

    data = str(folder_of(tmp_path / "s"))
    fixed: dict[str, Any] = {"precision": "32", "channels_last": "off", "threads": 1, "sample_every": 0, "quiet": True}
    ganvas.train("lsgan", data, out=tmp_path / "straight", budget="9r", config=toys.SMALL, **fixed)
    ganvas.train("lsgan", data, out=tmp_path / "pieces", budget="5r", config=toys.SMALL, **fixed)
    ganvas.train(None, None, resume=tmp_path / "pieces", budget="9r", quiet=True)
    assert toys.digests(tmp_path / "pieces") == toys.digests(tmp_path / "straight")


@pytest.mark.parametrize("window", [12, 10_000])
def test_two_processes_see_disjoint_records_that_are_all(tmp_path: Path, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganvas.data.streams.WINDOW", window)
    data = opened(folder_of(tmp_path / "s"), tmp_path / "c", heldout=0.0)
    seen: list[set[bytes]] = []
    for rank in range(2):
        stream = DatasetStream(data, 8, seed=0, world=2)
        mine = np.concatenate(dealt(stream, 5, rank, 2))  # 20 of 40 records each
        seen.append({own.tobytes() for own in mine})
    assert len(seen[0]) == len(seen[1]) == 20
    assert not seen[0] & seen[1]
    assert len(told_of_sharing(data, 2)) == 1


def test_shards_are_dealt_out_evenly_and_records_where_they_are_too_few() -> None:
    shards = np.repeat(np.arange(7), [10, 30, 5, 5, 20, 8, 2])
    owner = divided(shards, 3)
    assert all(len(np.unique(owner[shards == own])) == 1 for own in range(7))
    assert np.bincount(owner).max() <= 30
    np.testing.assert_array_equal(np.bincount(divided(np.zeros(9, int), 3)), [3, 3, 3])


def test_fewer_shards_than_processes_is_told(tmp_path: Path) -> None:
    data = opened(pack(tmp_path / "a.tar", [m for k in range(8) for m in record(k)]), tmp_path / "c")
    assert "each reads all of them, and has every 2th record" in told_of_sharing(data, 2)[0]
    assert told_of_sharing(data, 1) == []


def test_a_class_apart(tmp_path: Path) -> None:
    data = opened(folder_of(tmp_path / "s"), tmp_path / "c")
    stream = open_stream(data, Feed(of={"a": 0, "b": 1}), 6)
    batch = stream.draw(Noise.seeded(0))
    own = {values.tobytes() for values in np.asarray(data.values[np.flatnonzero(data.labels == 0)])}
    made = np.round((batch["a"].numpy().transpose(0, 2, 3, 1) + 1) * 127.5).astype(np.uint8)
    assert all(values.tobytes() in own for values in made)


# Values


def test_values_are_indexed_as_arrays_are(tmp_path: Path) -> None:
    data = opened(folder_of(tmp_path / "s"), tmp_path / "c")
    whole = np.asarray(data.values)
    for rows in (3, -1, slice(2, 30, 3), np.array([5, 1, 1, 30]), np.arange(40) % 3 == 0, [], np.int64(7)):
        np.testing.assert_array_equal(data.values[rows], whole[rows if not isinstance(rows, list) else np.array([], int)])
    assert len(data.values) == len(data) == 40
    again = pickle.loads(pickle.dumps(data.values))
    np.testing.assert_array_equal(again[np.arange(40)], whole)


def test_what_is_expected_is_decoded_before_and_bounded(tmp_path: Path) -> None:
    values = opened(folder_of(tmp_path / "s"), tmp_path / "c").values
    for start in range(10):
        values.expect(np.arange(start, start + 4))
    assert len(values._coming) == 4
    np.testing.assert_array_equal(values[np.arange(1, 5)], values[1:5])
    values.forget()
    assert not values._coming


def test_a_shard_that_changes_while_training_ends_the_run_in_one_line(tmp_path: Path) -> None:
    folder_of(tmp_path / "s")
    data = opened(tmp_path / "s", tmp_path / "c", heldout=0.0)
    for shard in (tmp_path / "s").iterdir():
        shard.write_bytes(shard.read_bytes()[:3000])
    with pytest.raises(RunError, match=r"is shorter than it was|has changed since"):
        dealt(open_stream(data, Feed(), 40), 1)


def test_records_to_compare_with_are_taken_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = opened(folder_of(tmp_path / "s"), tmp_path / "c")
    monkeypatch.setattr("ganvas.data.shard_values.COMPARED", 10)
    small, notes = in_memory(data, 0)
    assert len(small.train_indices()) == 10
    assert len(small.heldout_indices()) == len(data.heldout_indices())
    assert "10 were drawn at random" in notes[0]
    names = data.names()
    rows = [names.index(name) for name in small.names()]
    np.testing.assert_array_equal(small.values, data.values[np.array(rows)])
    np.testing.assert_array_equal(small.labels, data.labels[rows])
    assert chosen_of(data, np.arange(3)).shards is None


def test_all_at_once_is_refused_where_it_would_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = opened(folder_of(tmp_path / "s"), tmp_path / "c")
    monkeypatch.setattr("ganvas.data.shard_values.WHOLE_BYTES", 1000)
    with pytest.raises(GanvasError, match="of memory"):
        np.asarray(data.values)


# Object stores


@pytest.fixture
def stored(tmp_path: Path) -> Any:
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    folder_of(tmp_path / "s")
    for shard in sorted((tmp_path / "s").iterdir()):
        files.pipe_file(f"/bucket/{shard.name}", shard.read_bytes())
    yield files
    files.rm("/bucket", recursive=True)


def test_shards_at_an_address(tmp_path: Path, stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    local = opened(tmp_path / "s", tmp_path / "c")
    for text in ("memory://bucket/train-{0000..0003}.tar", "memory://bucket/", "memory://bucket/train-*.tar"):
        there = opened(text, tmp_path / "d")
        assert there.fingerprint == local.fingerprint
        np.testing.assert_array_equal(np.asarray(there.values), np.asarray(local.values))
    assert Shards("memory://bucket/").place == "memory://bucket/"
    kept = list((tmp_path / "d" / "shards").glob("*.tar"))
    assert len(kept) == 4
    monkeypatch.setenv("GANVAS_SHARDS_GB", "0.00002")  # room for one
    for shard in kept:
        shard.unlink()
    again = opened("memory://bucket/", tmp_path / "d")
    np.testing.assert_array_equal(np.concatenate(dealt(open_stream(again, Feed(), 8), 4)).shape, (32, 3, 8, 8))
    assert len(list((tmp_path / "d" / "shards").glob("*.tar"))) <= 3


def test_addresses_that_lead_nowhere_are_one_line(tmp_path: Path, stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_reader, "WAIT", 0.0)
    with pytest.raises(DataError, match="memory://bucket/none.tar: is not there"):
        opened("memory://bucket/none.tar", tmp_path / "c")
    with pytest.raises(DataError, match="no .tar file there"):
        opened("memory://nothing/", tmp_path / "c")
    with pytest.raises(GanvasError, match="nosuch://x/a.tar: cannot be read here"):
        opened("nosuch://x/a.tar", tmp_path / "c")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(GanvasError, match=r"pip install 'ganvas\[remote\]'"):
        opened("memory://bucket/train-0000.tar", tmp_path / "c")


def test_fetching_is_tried_again(tmp_path: Path, stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_reader, "WAIT", 0.0)
    fail = {"left": 2}
    opening = type(stored).open

    def unsteady(self: Any, *given: Any, **more: Any) -> Any:
        if fail["left"]:
            fail["left"] -= 1
            raise ConnectionError("reset by peer")
        return opening(self, *given, **more)

    monkeypatch.setattr(type(stored), "open", unsteady)
    assert len(opened("memory://bucket/train-0000.tar", tmp_path / "c")) == 10
    fail["left"] = 3
    with pytest.raises(DataError, match="cannot be reached"):
        opened("memory://bucket/train-0001.tar", tmp_path / "c")


# Size


@pytest.mark.slow
@pytest.mark.xfail(
    reason="measured: 15 kB a record more while the index is made, 275 MB of 20,000; dealing itself does not grow"
)
def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    """Opening and dealing 20,000 pictures of 64 pixels (240 MB decoded) takes little more memory than 2,000 of them."""
    import subprocess

    peak: Mapping[int, float] = {}
    for count in (2_000, 20_000):
        folder = folder_of_many(tmp_path / str(count), count)
        code = (
            "import resource, sys\n"
            "from pathlib import Path\n"
            "from ganvas.batches import Noise\n"
            "from ganvas.data.dataset import open_data\n"
            "from ganvas.data.streams import open_stream\n"
            "from ganvas.game import Feed\n"
            f"data = open_data({str(folder)!r}, cache=Path({str(tmp_path / 'cache')!r}), progress=False, heldout=0.05)\n"
            "stream, noise = open_stream(data, Feed(), 64), Noise.seeded(0)\n"
            "for _ in range(len(data) // 64): stream.draw(noise)\n"
            "print(len(data), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        assert int(done[0]) == count
        peak = {**peak, count: float(done[1])}
    # Thumbnails for the search of twins take 2 kB a record, up to 50,000 of them.
    assert peak[20_000] - peak[2_000] < 110, peak


def folder_of_many(path: Path, count: int) -> Path:
    rng = np.random.default_rng(0)
    for start in range(0, count, 1000):
        rows = []
        for k in range(start, start + 1000):
            buffer = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(buffer, "PNG", compress_level=0)
            rows.append((f"{k:06d}.png", buffer.getvalue()))
        pack(path / f"{start // 1000:03d}.tar", rows)
    return path


def test_room_is_made_while_another_reader_makes_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (tmp_path / f"{number}.tar").write_bytes(bytes(100))
    real = Path.stat

    def gone(self: Path, **options: Any) -> Any:
        if self.name == "1.tar":
            self.unlink(missing_ok=True)  # as another one does between the listing and the look
        return real(self, **options)

    monkeypatch.setattr(Path, "stat", gone)
    monkeypatch.setenv("GANVAS_SHARDS_GB", "0.0000001")
    store_reader._make_room(tmp_path, 50.0)
    assert len(list(tmp_path.iterdir())) == 1
