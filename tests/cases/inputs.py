"""Small inputs that were once read wrongly: each function writes one into a folder. What is right, the tests say."""

from __future__ import annotations

import itertools
import math
import os
import struct
import unicodedata
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from mido import Message, MetaMessage, MidiFile, MidiTrack
from PIL import Image


def class_called_mask(out: Path) -> None:
    """Faces with and without masks, in the class folders `mask` and `no_mask`: 12 pictures each, mean 200 and 50."""
    rng = np.random.default_rng(0)
    for name, level in (("mask", 200), ("no_mask", 50)):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for k in range(12):
            Image.fromarray((level + rng.integers(-40, 41, (32, 32))).astype(np.uint8)).save(folder / f"{name}-{k}.png")


def split_folder_words(out: Path) -> None:
    """Five layouts in which public data sets come with their own split. Every picture of the test part has the value 200,
    every one of the training part 50 (plus slight noise)."""
    LAYOUTS = {
        "capital": {"Training/ill": 50, "Training/well": 50, "Testing/ill": 200, "Testing/well": 200},
        "eval": {"train": 50, "eval": 200},
        "extra": {"train": 50, "test": 200, "extra": 50},
        "images-first": {"images/train": 50, "images/val": 200},
        "years": {"train2017": 50, "val2017": 200},
    }
    rng = np.random.default_rng(0)
    for layout, folders in LAYOUTS.items():
        for name, level in folders.items():
            folder = out / layout / name
            folder.mkdir(parents=True, exist_ok=True)
            for k in range(12):
                pixels = level + rng.integers(-9, 10, (16, 16))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k}.png")


def names_decomposed(out: Path) -> None:
    """File names with accents as macOS writes them (decomposed: e + accent), named in `labels.csv` as keyboards write them
    (composed)."""
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    table = ["file,label"]
    for k in range(12):
        name = f"caf\u00e9_\u00fc_{k}.png"
        Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(out / unicodedata.normalize("NFD", name))
        table.append(f"{unicodedata.normalize('NFC', name)},{'ab'[k % 2]}")
    (out / "labels.csv").write_text("\n".join(table) + "\n", encoding="utf-8")


def names_not_utf8(out: Path) -> None:
    """Twelve pictures whose names are Latin-1 bytes, as old archives unpack them (Linux)."""
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for k in range(12):
        Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(out / "new.png")
        os.rename(os.fsencode(out / "new.png"), os.fsencode(out) + b"/caf\xe9_%d.png" % k)


def label_order_leading_zeros(out: Path) -> None:
    """Class folders `1`, `01`, `2` (two people numbered them differently): which index belongs to which class?"""
    rng = np.random.default_rng(0)
    for name, level in (("1", 30), ("01", 220), ("2", 120)):
        (out / name).mkdir(parents=True, exist_ok=True)
        for k in range(60):
            pixels = np.clip(level + rng.integers(-20, 21, (16, 16)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(out / name / f"{k}.png")


def graph_names_with_hash(out: Path) -> None:
    """All 55 edges among 11 tags, three of which begin with `#`, as words of social networks do; and one that begins with
    `%`."""
    out.mkdir(parents=True, exist_ok=True)
    tags = ["#love", "#sun", "#sea", "%off", "cat", "dog", "fish", "bird", "tree", "rock", "moon"]
    pairs = list(itertools.combinations(tags, 2))
    (out / "tags.edges").write_text("".join(f"{a} {b}\n" for a, b in pairs))
    (out / "tags.csv").write_text("source,target\n" + "".join(f"{a},{b}\n" for a, b in pairs))
    nodes = "".join(f'<node id="{t}"/>' for t in tags)
    edges = "".join(f'<edge source="{a}" target="{b}"/>' for a, b in pairs)
    head = '<?xml version="1.0"?><graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="undirected">'
    (out / "tags.graphml").write_text(f"{head}{nodes}{edges}</graph></graphml>\n")


def points_with_index(out: Path) -> None:
    """A circle of radius 1 as CSV of points, written by a table library with its row numbers in a first column without a
    name."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [(k, math.cos(k * 2.399), math.sin(k * 2.399)) for k in range(1000)]
    (out / "index.csv").write_text(",x,y\n" + "".join(f"{k},{x:.6f},{y:.6f}\n" for k, x, y in rows))
    (out / "quoted.csv").write_text('"","x","y"\n' + "".join(f'"{k + 1}",{x:.6f},{y:.6f}\n' for k, x, y in rows))


def series_stamps_of_whole_seconds(out: Path) -> None:
    """Two logs with ten readings a second, whose times are cut to whole seconds, each with a pause of five hours in its
    middle (row 300)."""
    out.mkdir(parents=True, exist_ok=True)
    for name, day in (("a", 1), ("b", 9)):
        lines = ["time,flow"]
        for pause, first in ((timedelta(0), 0), (timedelta(hours=5), 9000)):
            for k in range(300):
                stamp = datetime(2024, 1, day) + pause + timedelta(seconds=k // 10)
                lines.append(f"{stamp:%Y-%m-%d %H:%M:%S},{first + k}")
        (out / f"{name}.csv").write_text("\n".join(lines) + "\n")


def mesh_concave_faces(out: Path) -> None:
    """A U-shaped bar (a 30 x 30 square with a notch of 10 x 20), 30 long, as OBJ and PLY; its two ends are single faces of 8
    corners."""
    out.mkdir(parents=True, exist_ok=True)
    U = [(0, 0), (30, 0), (30, 30), (20, 30), (20, 10), (10, 10), (10, 30), (0, 30)]
    HAND = [(0, 1, 5), (1, 4, 5), (1, 3, 4), (1, 2, 3), (0, 5, 7), (5, 6, 7)]  # triangles of the end, as places in U
    n = len(U)
    points = [(x, y, z) for z in (0, 30) for x, y in U]
    sides = [(i, (i + 1) % n, n + (i + 1) % n, n + i) for i in range(n)]
    ends = [tuple(reversed(range(n))), tuple(range(n, 2 * n))]
    cut = [tuple(reversed(t)) for t in HAND] + [tuple(n + i for i in t) for t in HAND]

    def obj(faces):
        lines = ["v {} {} {}".format(*p) for p in points] + ["f " + " ".join(str(i + 1) for i in f) for f in faces]
        return "\n".join(lines) + "\n"

    (out / "u.obj").write_text(obj(ends + sides))
    (out / "u-triangles.obj").write_text(obj(cut + sides))
    head = ["ply", "format ascii 1.0", f"element vertex {2 * n}", "property float x", "property float y", "property float z"]
    head += [f"element face {n + 2}", "property list uchar int vertex_indices", "end_header"]
    body = [f"{x} {-z} {y}" for x, y, z in points] + [f"{len(f)} " + " ".join(map(str, f)) for f in ends + sides]
    (out / "u.ply").write_text("\n".join(head + body) + "\n")


def midi_notes_left_open(out: Path) -> None:
    """Tunes of eight crotchets C D E F G F E D. `closed.mid` ends every note; `last.mid` lacks the end of the last one (the
    track ends four beats later); `none.mid` ends none of them (each note stops where the next begins, as simple writers
    and arpeggiators do)."""
    out.mkdir(parents=True, exist_ok=True)
    TUNE = (60, 62, 64, 65, 67, 65, 64, 62)
    for name, ended in (("closed", 8), ("last", 7), ("none", 0)):
        track, passed = MidiTrack(), 0
        for place, pitch in enumerate(TUNE):
            track.append(Message("note_on", note=pitch, velocity=90, time=passed))
            passed = 480
            if place < ended:
                track.append(Message("note_off", note=pitch, velocity=0, time=480))
                passed = 0
        track.append(MetaMessage("end_of_track", time=passed and 4 * 480))
        MidiFile(type=0, ticks_per_beat=480, tracks=[track]).save(out / f"{name}.mid")


def wav_length_unknown(out: Path) -> None:
    """Half a second of a tone whose WAV header was never finished: the length of `data` is 0 (`zero.wav`, a recorder that
    was cut off), or 0xFFFFFFFF (`most.wav`, a program that wrote into a pipe). `whole.wav` is the same sound with its
    length; `empty.wav` holds none."""
    out.mkdir(parents=True, exist_ok=True)
    sound = (np.sin(np.arange(4000) * 0.2) * 20000).astype("<i2").tobytes()
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    for name, length, body in (("whole", 8000, sound), ("zero", 0, sound), ("most", 0xFFFFFFFF, sound), ("empty", 0, b"")):
        whole = 0xFFFFFFFF if name == "most" else 0 if name == "zero" else 36 + len(body)
        (out / f"{name}.wav").write_bytes(
            b"RIFF" + struct.pack("<I", whole) + b"WAVE" + form + b"data" + struct.pack("<I", length) + body
        )
