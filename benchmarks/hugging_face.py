"""Pictures in Parquet and Arrow, as Hugging Face keeps them, beside the same in WebDataset shards and in a folder of files.

    python benchmarks/hugging_face.py                     20,000 pictures of 64 pixels, made on the spot; some five minutes
    python benchmarks/hugging_face.py --count 4000 --turns 5 --out trial.json

The same PNG (colour, smooth noise, seed 0) lie in a folder, in `.tar` of 1,000, in Parquet of 1,000 rows in row groups of 100,
and in Arrow streams of 1,000 rows with a `state.json`, as `save_to_disk` writes them. Opening and memory: a process of its own
for each form, which opens the data for the first time (a folder is decoded into the cache, the others are gone through for an
index) and then reads every record that is trained on once, 64 at a time in random order. Taken are seconds of processor time,
and the greatest resident set after opening and at the end, in which pages of mapped files count. Drawing: batches of 64 of the
stream of each form, all in one process, in turns. Speeds are per second of processor time, of all threads together, so that
what else runs on the machine does not count. Not a measure of training, which `shards.py` is.

No mark: the figures are told. Writes benchmarks/results/hugging_face.json.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.doctor import machine

BATCH, SIDE, PER, GROUP = 64, 64, 1000, 100
FORMS = ("folder", "shards", "parquet", "arrow")


def encoded(rng: np.random.Generator) -> bytes:
    """A PNG of 64 by 64 pixels: noise of 8 pixels a side enlarged, with a little of its own on each pixel."""
    from PIL import Image

    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    pixels = np.clip(np.asarray(small).astype(np.int16) + rng.integers(-8, 9, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def make(folder: Path, count: int) -> None:
    """The four forms, each in a folder of its name."""
    import pyarrow
    from pyarrow import ipc, parquet

    rng = np.random.default_rng(0)
    for name in FORMS:
        (folder / name).mkdir()
    parts, kept = -(-count // PER), []
    for part in range(parts):
        rows = []
        with tarfile.open(folder / "shards" / f"{part:05d}.tar", "w") as tar:
            for k in range(part * PER, min(count, (part + 1) * PER)):
                data, name = encoded(rng), f"{k:08d}.png"
                (folder / "folder" / name).write_bytes(data)
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
                rows.append({"bytes": data, "path": name})
        table = pyarrow.table({"image": rows})
        parquet.write_table(table, folder / "parquet" / f"train-{part:05d}-of-{parts:05d}.parquet", row_group_size=GROUP)
        kept.append({"filename": f"data-{part:05d}-of-{parts:05d}.arrow"})
        with ipc.new_stream(str(folder / "arrow" / kept[-1]["filename"]), table.schema) as writer:
            writer.write_table(table, PER)
    (folder / "arrow" / "state.json").write_text(json.dumps({"_data_files": kept}))


def resident() -> float:
    """The greatest resident set of this process so far, in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def first_time(source: Path, cache: Path) -> None:
    """Prints what a process takes that opens the data for the first time and reads all that is trained on."""
    from ganvas.data.dataset import open_data

    begin = time.process_time()
    data = open_data(source, cache=cache, progress=False)
    opening, after = time.process_time() - begin, resident()
    order = np.random.default_rng(0).permutation(data.train_indices())
    for start in range(0, len(order), BATCH):
        np.asarray(data.values[order[start : start + BATCH]])
    print(json.dumps({"opening_s": round(opening, 1), "opened_mb": round(after), "read_mb": round(resident())}))


def drawing(folder: Path, turns: int) -> dict[str, float]:
    """Records a second of processor time of each stream, the median over turns of a tenth of an epoch."""
    from ganvas.batches import Noise
    from ganvas.data.dataset import open_data
    from ganvas.data.streams import open_stream
    from ganvas.game import Feed

    data = {name: open_data(folder / name, cache=folder / "cache", progress=False) for name in FORMS}
    streams: dict[str, Any] = {name: open_stream(own, Feed(), BATCH) for name, own in data.items()}
    noise, speeds = Noise.seeded(0), {name: list[float]() for name in FORMS}
    batches = max(1, len(data["folder"]) // BATCH // 10)
    for number in range(turns + 1):
        for name in FORMS if number % 2 else FORMS[::-1]:
            begin = time.process_time()
            for _ in range(batches):
                streams[name].draw(noise)
            if number:  # the first opens files
                speeds[name].append(batches * BATCH / (time.process_time() - begin))
    return {name: round(statistics.median(own)) for name, own in speeds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=10, help="of drawing, that are counted")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "hugging_face.json")
    parser.add_argument("--first", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.first:
        first_time(*args.first)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, args.count)
        result: dict[str, Any] = {"pictures": args.count, "pixels": SIDE}
        result["megabytes_of_files"] = {
            form: round(sum(file.stat().st_size for file in (folder / form).iterdir()) / 1e6, 1) for form in FORMS
        }
        for form in FORMS:
            words = [sys.executable, __file__, "--first", str(folder / form), str(folder / "cache")]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            result[form] = json.loads(done.stdout.splitlines()[-1])
            print(form, result[form], flush=True)
        cache = folder / "cache"
        result["megabytes_unpacked"] = round(sum(own.stat().st_size for own in cache.glob("shards/*.column")) / 1e6, 1)
        result["drawn_per_second_of_processor_time"] = drawing(folder, args.turns)
    result["machine"] = machine()
    result["command"] = f"python benchmarks/hugging_face.py --count {args.count} --turns {args.turns}"
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
