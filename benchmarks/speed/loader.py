"""How much faster the loader feeds than DCGAN-64 eats: images per second of the training stream alone, against training.

The stream draws from the memory-mapped cache and encodes to [-1, 1]; training is `dcgan` at 64x64 with its smallest usual
width (16), the hungriest case. Aim: at least 5 times.

    python benchmarks/speed/loader.py --data ROOT/chest-xray --out benchmarks/results/loader_speed.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from ganvas.batches import Noise
from ganvas.data.dataset import open_data
from ganvas.data.streams import DatasetStream
from ganvas.doctor import machine
from ganvas.engine import Engine
from ganvas.registry import load_system

BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    begin = time.perf_counter()
    dataset = open_data(args.data, size=64, progress=False)
    opened = time.perf_counter() - begin
    begin = time.perf_counter()
    open_data(args.data, size=64, progress=False)
    again = time.perf_counter() - begin

    stream = DatasetStream(dataset, BATCH)
    noise = Noise(torch.Generator().manual_seed(0))
    for _ in range(20):
        stream.draw(noise)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < 3:
        count += len(stream.draw(noise))
    loader = count / (time.perf_counter() - begin)

    _, _, system_class = load_system("dcgan")
    system = system_class(dataset.spec, system_class.Config(width=16, batch_size=BATCH))  # type: ignore[attr-defined]
    engine = Engine(system, {"data": stream})
    for _ in range(3):
        engine.play_round()
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < 10:
        engine.play_round()
        count += BATCH
    training = count / (time.perf_counter() - begin)
    result = {
        "first_open_seconds": round(opened, 3),
        "second_open_seconds": round(again, 3),
        "loader_images_per_second": round(loader),
        "training_images_per_second": round(training),
        "ratio": round(loader / training, 1),
        "machine": machine(),
        "command": "python benchmarks/speed/loader.py --data ROOT/chest-xray",
    }
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
