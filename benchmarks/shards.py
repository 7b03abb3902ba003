"""Training from WebDataset shards against training from the memory-mapped cache: speed in turns, and memory.

    python benchmarks/shards.py                       100,000 pictures of 32 pixels, made on the spot; some 25 minutes
    python benchmarks/shards.py --count 2000 --turns 2 --seconds 3 --out trial.json

The same pictures (colour, smooth noise as PNG, 1,000 a shard, seed 0) are packed into shards, and opened as an array, which
decodes them into the cache. Drawing: batches of 64 of each stream alone. Training: `dcgan` as `ganvas train dcgan` sets it up
by itself for ten minutes (preset `auto`) on each, both engines in one process, in turns that change places (A B B A ...), of
which the first of each is not counted; the ratio of a pair of turns is shards by cache. Memory: the greatest resident set of a
process of its own that opens the shards, draws one epoch and plays 50 rounds, for a tenth of the pictures and for all; and the
same from the cache, where pages of the map count as far as they were read.

Mark, written down before the first run: training from shards runs at 95 % or more of the speed from the cache, in the median
over pairs of turns; and the process on all shards takes at most 150 MB more than the one on a tenth of them. Thumbnails for the
search of twins, kept for at most 50,000 pictures while the index is made, are up to 100 MB of it; all pictures decoded would be
276 MB more. Writes benchmarks/results/shards.json.
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

BATCH, SIDE, PER = 64, 32, 1000
ROUNDS = 50


def picture(rng: np.random.Generator) -> np.ndarray:
    """(32, 32, 3) uint8: noise of 8 pixels a side enlarged, with a little of its own on each pixel."""
    from PIL import Image

    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(small).astype(np.int16) + rng.integers(-8, 9, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def make(folder: Path, count: int) -> None:
    """Shards in folder/shards, a tenth of them in folder/few, and all pictures in folder/all.npy."""
    from PIL import Image

    rng = np.random.default_rng(0)
    whole = np.lib.format.open_memmap(folder / "all.npy", "w+", np.uint8, (count, SIDE, SIDE, 3))
    (folder / "shards").mkdir()
    (folder / "few").mkdir()
    for start in range(0, count, PER):
        name = f"train-{start // PER:06d}.tar"
        with tarfile.open(folder / "shards" / name, "w") as tar:
            for k in range(start, min(count, start + PER)):
                whole[k] = picture(rng)
                buffer = io.BytesIO()
                Image.fromarray(whole[k]).save(buffer, "PNG")
                info = tarfile.TarInfo(f"{k:08d}.png")
                info.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(info, buffer)
        if start < max(PER, count // 10):
            (folder / "few" / name).hardlink_to(folder / "shards" / name)
    whole.flush()


def engine_of(data: Path, cache: Path) -> tuple[Any, int, Any]:
    """(an engine that plays dcgan on the data, its batch size, the data set)."""
    import os

    import torch

    os.environ["GANVAS_CACHE"] = str(cache)
    from ganvas.parallel import Processes
    from ganvas.run.opening import seated
    from ganvas.run.train import plan

    planned = plan("dcgan", str(data), {"budget": "10m", "device": "cpu", "size": SIDE}, {}, cache / "run", True, print, None)
    size, alone = planned.config.batch_size, Processes(torch.device("cpu"))
    return seated(planned.made, planned.dataset, planned.settings, size, alone, seed=0), size, planned.dataset


def draw_speed(dataset: Any, seconds: float) -> float:
    """Records a second of a stream alone."""
    from ganvas.batches import Noise
    from ganvas.data.streams import open_stream
    from ganvas.game import Feed

    stream, noise = open_stream(dataset, Feed(), BATCH), Noise.seeded(0)
    stream.draw(noise)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        count += len(stream.draw(noise))
    return count / (time.perf_counter() - begin)


def turn(engine: Any, size: int, seconds: float) -> float:
    """Records a second of training."""
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        engine.play_round()
        count += size
    engine.settle()
    return count / (time.perf_counter() - begin)


def peak(data: Path, cache: Path) -> None:
    """Prints megabytes: the greatest resident set of this process after an epoch of drawing and some rounds."""
    import resource

    engine, _, dataset = engine_of(data, cache)
    for _ in range(len(dataset.train_indices()) // BATCH):
        engine.streams["data"].draw(engine.noise)
    for _ in range(ROUNDS):
        engine.play_round()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=10, help="pairs of turns that are counted")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a turn")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "shards.json")
    parser.add_argument("--peak", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        peak(*args.peak)
        return
    from ganvas.doctor import machine

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.perf_counter()
        make(folder, args.count)
        print(f"made {args.count:,} pictures in {time.perf_counter() - begin:.0f} s", flush=True)
        memory = {}
        for what in ("few", "shards", "all.npy"):
            order = [sys.executable, __file__, "--peak", str(folder / what), str(folder / f"cache-{what}")]
            done = subprocess.run(order, capture_output=True, text=True, check=True)
            memory[what] = round(float(done.stdout.split()[-1]))
            print(f"memory {what}: {memory[what]} MB", flush=True)
        opened, engines, draws = {}, {}, {}
        for what in ("shards", "all.npy"):
            begin = time.perf_counter()
            engine, size, dataset = engine_of(folder / what, folder / "cache")
            opened[what] = round(time.perf_counter() - begin, 1)
            engines[what] = engine, size
            draws[what] = round(draw_speed(dataset, args.seconds))
        pairs = []
        for number in range(args.turns + 1):
            order = ("shards", "all.npy") if number % 2 else ("all.npy", "shards")
            speeds = {what: turn(*engines[what], args.seconds) for what in order}
            if number:  # the first sets everything up
                pairs.append(speeds)
                print(json.dumps({what: round(speed, 1) for what, speed in speeds.items()}), flush=True)
    ratios = [speeds["shards"] / speeds["all.npy"] for speeds in pairs]
    result = {
        "count": args.count,
        "opening_seconds": {"shards": opened["shards"], "cache": opened["all.npy"]},
        "drawn_per_second": {"shards": draws["shards"], "cache": draws["all.npy"]},
        "trained_per_second": {
            "shards": round(statistics.median(speeds["shards"] for speeds in pairs), 1),
            "cache": round(statistics.median(speeds["all.npy"] for speeds in pairs), 1),
        },
        "ratios": [round(ratio, 4) for ratio in ratios],
        "ratio": round(statistics.median(ratios), 4),
        "memory_mb": {"a_tenth": memory["few"], "shards": memory["shards"], "cache": memory["all.npy"]},
        "fast_enough": statistics.median(ratios) >= 0.95,
        "bounded": memory["shards"] - memory["few"] <= 150,
        "machine": machine(),
        "command": f"python benchmarks/shards.py --count {args.count} --turns {args.turns} --seconds {args.seconds:g}",
    }
    print(json.dumps(result, indent=2))
    args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
