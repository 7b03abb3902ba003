"""What a generator of ternary weights takes, on disk and in memory, beside the same one in float32: measured, not reckoned.

    python benchmarks/ternary_memory.py      writes benchmarks/results/ternary_memory.json

Of each network both files are written, with weights as they begin. A fresh process for each then opens its file: resident
memory before and after (garbage collected, and what the heap keeps given back), and the highest while one image is drawn, over
what was there before. A tiny generator is packed, opened and drawn from first, so that what torch loads does not count.
"""

from __future__ import annotations

import ctypes
import gc
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ganvas.batches import Noise
from ganvas.config import build_config
from ganvas.doctor import machine
from ganvas.files import write_json
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.convolutional import ConvolutionalGenerator
from ganvas.run.pace import resident
from ganvas.systems.synthesis.ternary_gan import Config, TernaryGan, open_packed

RESULT = Path(__file__).parent / "results" / "ternary_memory.json"
LATENT = 100
NETWORKS = {"28x28, width 16": (28, 16), "64x64, width 64": (64, 64), "64x64, width 128": (64, 128)}


def write_both(folder: Path, side: int, width: int) -> dict[str, int]:
    """`full.safetensors` and `packed.gz` of one generator: numbers, and sizes of files in bytes."""
    torch.manual_seed(0)
    system = TernaryGan(ImageSpec(1, side, side), build_config(Config, {"width": width, "latent_size": LATENT})).eval()
    full = ConvolutionalGenerator(LATENT, (1, side, side), width)
    save_file(full.state_dict(), folder / "full.safetensors")
    content = (folder / "full.safetensors").read_bytes()
    return {
        "parameters": sum(p.numel() for p in full.parameters()),
        "full_file": len(content),
        "full_file_gzip": len(gzip.compress(content)),
        "packed_file": system.pack(folder / "packed.gz"),
        "packed_tensors": sum(t.numel() * t.itemsize for t in system.packed().network.state_dict().values()),
    }


def opened(folder: Path, which: str, side: int, width: int) -> Any:
    if which == "packed":
        return open_packed(folder / "packed.gz").network
    with torch.device("meta"):
        network = ConvolutionalGenerator(LATENT, (1, side, side), width)
    # Mapped files count as resident only as far as they were touched: the tensors are copied, as weights of a run are.
    network.load_state_dict({k: v.clone() for k, v in load_file(folder / "full.safetensors").items()}, assign=True)
    return network.eval()


def settled() -> int:
    """Bytes of resident memory, after giving back what is free."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return resident("VmRSS")


def child(folder: Path, which: str, side: int, width: int) -> None:
    tiny = folder / "tiny"
    tiny.mkdir()
    write_both(tiny, 16, 8)
    latent = Noise.seeded(0).normal(1, LATENT)
    with torch.no_grad():
        opened(tiny, which, 16, 8)(latent)
        before = settled()
        network = opened(folder, which, side, width)
        held = settled() - before
        Path("/proc/self/clear_refs").write_text("5")  # the highest from here on
        network(latent)
    print(json.dumps({"held": held, "drawing": resident("VmHWM") - before}))


def main() -> None:
    rows = []
    for name, (side, width) in NETWORKS.items():
        row: dict[str, Any] = {"network": name}
        for which in ("full", "packed"):
            with tempfile.TemporaryDirectory() as folder:
                row |= write_both(Path(folder), side, width)
                words = [sys.executable, __file__, folder, which, str(side), str(width)]
                done = subprocess.run(words, capture_output=True, text=True, check=True)
                row |= {f"{which}_{key}": value for key, value in json.loads(done.stdout).items()}
        rows.append(row)
        print(row, flush=True)
    write_json(RESULT, {"unit": "bytes", "rows": rows, "machine": machine(), "command": "python benchmarks/ternary_memory.py"})


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        child(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
