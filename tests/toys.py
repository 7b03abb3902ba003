"""Tiny data and short runs for the tests of the run, the command line and the processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import forked
from ganvas.metrics import Measure
from ganvas.specs import REAL
from ganvas.store.records import Field

SMALL = {"width": 4, "latent_size": 3, "layers": 1, "batch_size": 8}
"""Settings that make `gan` and `lsgan` as small as they get."""


class OneField:
    """What a stream asks of a data set, for classes with `spec`, `values` and `labels`; everything is trained on."""

    main = REAL
    labels: np.ndarray | None = None
    shards: np.ndarray | None = None

    @property
    def fields(self) -> dict[str, Field]:
        return {REAL: Field(self.spec, self.values)}  # type: ignore[attr-defined]

    @property
    def groups(self) -> np.ndarray:
        return np.arange(len(self))

    def __len__(self) -> int:
        return len(self.values)  # type: ignore[attr-defined]

    def train_indices(self) -> np.ndarray:
        return np.arange(len(self))


def pictures(count: int = 40, height: int = 10, width: int = 8, seed: int = 0) -> np.ndarray:
    """(count, height, width) uint8 noise: no two are near twins."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width), dtype=np.uint8)


def picture_folder(folder: Path, count: int = 24, labels: tuple[str, ...] = (), side: int = 8) -> Path:
    """A folder of PNG files, in one sub-folder a label if labels are given."""
    from PIL import Image

    for index, pixels in enumerate(pictures(count, side, side)):
        place = folder / labels[index % len(labels)] if labels else folder
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{index:03d}.png")
    return folder


def moving_pictures(folder: Path, count: int, frames: int) -> Path:
    """`count` animated GIF of 16x16 pixels."""
    from PIL import Image

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        shown = [Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(frames)]
        shown[0].save(folder / f"{number}.gif", save_all=True, append_images=shown[1:], duration=100)
    return folder


def points_file(path: Path, count: int = 100) -> Path:
    """A CSV of x,y points."""
    points = np.random.default_rng(0).normal(size=(count, 2))
    np.savetxt(path, points, delimiter=",", header="x,y", comments="")
    return path


def settings(**values: Any) -> list[str]:
    """`--set key=value` words."""
    return [word for key, value in {**SMALL, **values}.items() for word in ("--set", f"{key}={value}")]


def environment() -> dict[str, str]:
    """For child processes: the sources as they are here, one thread."""
    source = str(Path(__file__).resolve().parents[1] / "src")
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def start(*words: Any, **options: Any) -> subprocess.Popen[str]:
    """A real `ganvas` process with both outputs in pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "ganvas", *map(str, words)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), **options,
    )  # fmt: skip


def ganvas(*words: Any, timeout: float = 240.0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A `ganvas` process, run to its end; forked from one that has its modules loaded (see `forked`), where there is a fork."""
    texts = list(map(str, words))
    if hasattr(os, "fork"):
        code, out, err = forked.run(texts, environment(), cwd or Path.cwd(), timeout)
        return subprocess.CompletedProcess(["ganvas", *texts], code, out, err)
    process = start(*words, cwd=cwd)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def digests(run: Path, which: str = "last") -> dict[str, str]:
    """sha256 of a checkpoint's weights, optimiser states and random numbers; its round as a string."""
    import torch

    from ganvas.run import checkpoint

    loaded = checkpoint.load(Path(run), which)
    assert loaded is not None, f"{run} has no checkpoint"
    weights, state, _ = loaded
    engine = state["engine"]
    parts = {
        "weights": weights,
        "optimiser": {p: facts["optimiser"] for p, facts in engine["players"].items()},
        "random": {"noise": engine["noise"], "ranks": engine["ranks"], "streams": engine["streams"]},
    }

    def feed(hasher: Any, value: Any) -> None:
        if isinstance(value, dict):
            for key in sorted(value, key=str):
                hasher.update(str(key).encode())
                feed(hasher, value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                feed(hasher, item)
        elif isinstance(value, torch.Tensor):
            hasher.update(str((value.dtype, tuple(value.shape))).encode())
            hasher.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            hasher.update(repr(value).encode())

    found = {"round": str(engine["clock"]["round"])}
    for name, value in parts.items():
        hasher = hashlib.sha256()
        feed(hasher, value)
        found[name] = hasher.hexdigest()
    return found


SIMPLE_SYSTEM = '''
"""Does what is easily checked: inverts, doubles, and scores by brightness."""
from dataclasses import dataclass
import torch
from torch import nn
from ganvas.batches import Noise
from ganvas.config import knob
from ganvas.game import Phase, Player, System, Turn
from ganvas.optim import optimiser

CARD = {"title": "t", "authors": "a", "year": 2020, "paper": "p", "summary": "s", "data": ["image"]}

@dataclass(frozen=True)
class Config:
    batch_size: int = knob(4, "records", low=1)
    width: int = knob(4, "fixed by training", low=1)
    gain: float = knob(1.0, "factor on scores", low=0.0, later=True)

class Simple(System):
    Config = Config
    multiple = 4
    scale = 2
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.network = nn.Conv2d(spec.channels, spec.channels, 1)
    def domains(self):
        return DOMAINS
    def players(self):
        return (Player("one", ("network",), optimiser("adam", 1e-3)),)
    def phases(self):
        return (Phase("play", (Turn("one", self.play),)),)
    def play(self, batch, clock, shared):
        return {"loss": self.network(next(iter(batch.fields.values()))).square().mean()}
    def CAPABILITIES
PRESETS = {"auto": {}}
'''
SIMPLE_USES = {
    "translate": "translate(self, images, target, noise):\n        assert images.shape[2] % 4 == 0 and images.shape[3] % 4 == 0"
    "\n        return -images if target else images\n",
    "restore": "degrade(self, images, noise):\n        return images[:, :, ::2, ::2]\n"
    "    def restore(self, images, noise):\n        return images.repeat_interleave(2, 2).repeat_interleave(2, 3)\n",
    "score": "anomaly(self, images, noise):\n        maps = (images.mean(1) + 1) / 2 * self.config.gain"
    "\n        return maps.mean((1, 2)), maps\n",
    "project": "project(self, images, noise):\n        return images.mean((2, 3))\n"
    "    def reconstruct(self, latents):\n        return latents[:, :, None, None].expand(-1, -1, 8, 8)\n",
}


def simple_run(folder: Path, verb: str, data: Path, *, domains: tuple[int, ...] = (), **settings: Any) -> Path:
    """A run, trained for one round, of a system that can do one thing (`SIMPLE_USES`) in a way that is easily checked.

    It translates to class 1 by inverting, restores by repeating pixels what it degrades by leaving out every other one, scores
    by brightness, and projects to pictures (8x8) of the mean.
    """
    from ganvas.run.train import train

    file = folder / f"simple_{verb}.py"
    file.write_text(SIMPLE_SYSTEM.replace("CAPABILITIES\n", SIMPLE_USES[verb]).replace("DOMAINS", repr(domains)))
    train(str(file), data, out=folder / verb, budget="1r", quiet=True, sample_every=0.0, device="cpu", **settings)
    return folder / verb


def outside(told: Any, where: str = "") -> Iterator[str]:
    """Intervals that do not hold their value, in a measure or in what `evaluate` returns, at any depth."""
    if isinstance(told, Measure):
        told = told.to_dict()
    if isinstance(told, dict):
        for name, value in told.items():
            pair = ("low", "high") if name == "value" else (f"{name}_low", f"{name}_high")
            if value is not None and told.get(pair[0]) is not None and not told[pair[0]] <= value <= told[pair[1]]:
                yield f"{where}/{name}: {value} [{told[pair[0]]}, {told[pair[1]]}]"
            if name == "shares":
                yield from (f"{where}/shares: {share}" for share in value if not share[1] <= share[0] <= share[2])
            yield from outside(value, f"{where}/{name}")
