"""What is compared with what: the data, the settings of ganvas, and the peers, board by board. Not for playing it (`worker`).

Every board has one set of records in memory, the same for all of its programs: simulated radiographs, or sums of sines. Peers
get them as float tensors made beforehand, ganvas as the bytes that its cache holds, so reading costs the peers nothing.
Batches, widths, sizes and depths are equal within a board; ganvas plays the settings below as `ganvas train` would with
`--precision 32` (the layout it chooses by measuring, its streams, its moving average, its look for NaN), without pictures and
checkpoints, which no peer makes within an epoch either.

Equal update semantics: in every board each program makes, for one round, the same moves on the same number of records; where a
recipe computes more than that for them (a second forward pass of G, weight gradients of D in G's turn, steps of D apart for
loss and penalty) that is the recipe, and `Board.differs` says it.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.sound.spec import SoundSpec

ROOT = Path(__file__).parents[1]
RECORDS = 512
RATE, LENGTH, HOP = 22050, 16384, 256


def script(name: str) -> Any:
    """A module of this folder, of `speed`, or a baseline of the proofs: benchmarks are scripts and no package."""
    for folder in ("peers", "speed", "proofs/baselines"):
        if str(ROOT / folder) not in sys.path:
            sys.path.append(str(ROOT / folder))
    return importlib.import_module(name)


@dataclass(frozen=True)
class Board:
    """system, settings: of ganvas. spec: of the data, or specs by field. peers: program -> `module:function`. differs: program
    -> what its recipe computes beside what the moves need."""

    system: str
    spec: Any
    settings: dict[str, Any]
    peers: dict[str, str]
    differs: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> Any:
        """The spec of the main field."""
        return next(iter(self.spec.values())) if isinstance(self.spec, dict) else self.spec


D_IN_G = "weight gradients of D in G's turn, which nobody uses"
TWO_BACKWARDS = "D's two losses go backward one after the other"
BOARDS: dict[str, Board] = {
    "dcgan-64": Board(
        "dcgan",
        ImageSpec(1, 64, 64),
        {"width": 64, "batch_size": 64},
        {
            "plain PyTorch": "synthesis:plain",
            "torchgan": "synthesis:torchgan_dcgan",
            "PyTorch-GAN": "synthesis:pytorch_gan",
            "Fabric": "synthesis:fabric",
        },
        {
            "plain PyTorch": f"{D_IN_G}; {TWO_BACKWARDS}",
            "torchgan": f"{D_IN_G}; fakes drawn anew for D; losses and norms of gradients read in every round",
            "PyTorch-GAN": f"{D_IN_G}; losses read in every round",
            "Fabric": f"{D_IN_G}; {TWO_BACKWARDS}; losses read in every round",
        },
    ),
    "wgan-gp-64": Board(
        "wgan-gp",
        ImageSpec(1, 64, 64),
        {"width": 64, "batch_size": 64},
        {"torchgan": "synthesis:torchgan_wgan_gp", "PyTorch-GAN": "synthesis:pytorch_gan_wgan_gp"},
        {
            "torchgan": f"{D_IN_G}; the critic steps for the distance and again for the penalty, each with fakes of its own",
            "PyTorch-GAN": f"{D_IN_G}; gradients of G in the critic's turns, which nobody uses",
        },
    ),
    "pix2pix-128": Board(
        "pix2pix",
        {"photo": ImageSpec(3, 128, 128), "map": ImageSpec(3, 128, 128)},
        {},
        {"standard recipe": "translation:pix2pix"},
    ),
    "cyclegan-128": Board(
        "cyclegan",
        ImageSpec(3, 128, 128, classes=("first", "second")),
        {},
        {"standard recipe": "translation:cyclegan"},
        {"standard recipe": "a pass of its own for each image that shall stay as it is"},
    ),
    "melgan-8192": Board(
        "melgan",
        SoundSpec(LENGTH, RATE),
        {
            "bands": 80, "hop": HOP, "width": 32, "discriminators": 3, "max_width": 512, "samples_at_once": 1,
            "griffin_lim_rounds": 0, "discriminator_width": 16, "discriminator_max_width": 1024, "segment": 8192, "places": 1,
            "spectral_weight": 1.0, "matching_weight": 0.0, "discriminators_from": 0.0, "batch_size": 4,
        },
        {"ParallelWaveGAN": "sound:parallel_wavegan"},
        {"ParallelWaveGAN": f"{D_IN_G}; sound made anew, without gradients, for D; norms of gradients cut off at bounds"},
    ),
}  # fmt: skip


def records(board: Board, count: int = RECORDS, seed: int = 0) -> dict[str, np.ndarray]:
    """Field -> records in the units of files: bytes (N, H, W, C), or sound (N, T, 1) in [-1, 1]."""
    spec = board.first
    if isinstance(spec, SoundSpec):
        rng = np.random.default_rng(seed)
        time = np.arange(spec.length) / spec.rate
        pitch, loud = rng.uniform(80, 4000, (count, 8, 1)), rng.uniform(0, 0.1, (count, 8, 1))
        return {"real": sum((loud * np.sin(2 * np.pi * pitch * time)).transpose(1, 0, 2))[..., None].astype(np.float32)}
    from ganvas.data.phantoms import make_phantom

    drawn = np.asarray(make_phantom("chest", min(count, 64), seed, size=max(16, spec.height)).values)
    drawn = drawn.reshape(len(drawn), *drawn.shape[1:3], -1)[:, : spec.height, : spec.width, :1]
    drawn = np.tile(drawn, (-(-count // len(drawn)), 1, 1, spec.channels))[:count]
    return {"photo": drawn, "map": 255 - drawn[:, ::-1]} if isinstance(board.spec, dict) else {"real": drawn}


def tensors(board: Board, **options: Any) -> dict[str, Any]:
    """The same as float tensors in [-1, 1] as peers take them: images (N, C, H, W), sound (N, 1, T)."""
    import torch

    found = {}
    for name, values in records(board, **options).items():
        made = torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 1))).float()
        found[name] = made if board.first.kind == "sound" else made / 127.5 - 1
    return found


def engine(
    board: Board,
    *,
    layout: str = "auto",
    precision: str = "32",
    micro_batches: int = 1,
    recompute: bool = False,
    **options: Any,
) -> Any:
    """ganvas on the board's records, as `ganvas train` would seat it. layout: on, off or auto (`channels_last`, measured)."""
    import torch

    from ganvas.data.dataset import Dataset, Field
    from ganvas.data.streams import open_stream
    from ganvas.doctor import fastest_numbers
    from ganvas.engine import Engine
    from ganvas.registry import load_system
    from ganvas.run.resolving import suit_layout
    from ganvas.run.settings import Settings

    _, _, system_class = load_system(board.system)
    torch.manual_seed(0)
    system = system_class(board.spec, system_class.Config(**board.settings))
    made = records(board, **options)
    specs = board.spec if isinstance(board.spec, dict) else {"real": board.spec}
    count = len(next(iter(made.values())))
    labels = np.arange(count) % len(board.first.classes) if board.first.classes else None
    data = Dataset(
        {name: Field(specs[name], made[name]) for name in specs}, labels, np.arange(count), np.zeros(count, bool), "drawn", ""
    )
    size = system.config.batch_size
    streams = {name: open_stream(data, feed, size, seed=0) for name, feed in system.feeds().items()}
    if layout == "auto":
        chosen = board.first.kind == "image" and fastest_numbers("cpu", mixed=False)[1]
        settings = Settings(data="drawn", device="cpu", channels_last="on" if chosen else "off")
        layout = suit_layout(settings, "auto", system).channels_last
    last = layout == "on"
    return Engine(
        system, streams, precision=precision, channels_last=last, micro_batches=micro_batches, recompute=recompute, seed=0
    )
