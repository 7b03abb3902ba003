"""How much of a system's training time is network arithmetic; the rest is data, augmentation, pools, optimisers, averages, the
engine and Python itself.

For each system one real training loop is timed in blocks of rounds, alternating with blocks under torch's profiler, which says
how much processor time each operator took. Network arithmetic is what the networks and their gradients consist of:
convolutions, products, normalisation, activations, resizing, sums and products of tensors, and the making of the tensors that
hold their results. The share outside is

    1 - (time in such operators) / (time of the same rounds under the profiler, without the profiler's own cost per operator)

where that cost is measured as the difference to the plain rounds. Seconds are those of the processor: what other programs
took of the core between counts neither for operators nor against them. Aim: at most 20 % outside, for every system.

    python benchmarks/speed/systems.py --out benchmarks/results/systems_speed.json
    python benchmarks/speed/systems.py --boards ian-32 mgan-64 --out benchmarks/results/systems_speed.json

The second form measures some boards and keeps the rows of the others in the file, each with the machine that measured it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from ganvas.data.dataset import Dataset, Field
from ganvas.data.streams import open_stream
from ganvas.doctor import keep_memory, machine
from ganvas.engine import Engine
from ganvas.kinds import kind_of
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.pose.spec import PoseSpec
from ganvas.kinds.series.spec import SeriesSpec
from ganvas.kinds.solid.spec import SolidSpec
from ganvas.kinds.sound.spec import SoundSpec
from ganvas.kinds.table.spec import CLASS, NUMBER, TableSpec
from ganvas.kinds.tokens.spec import TokensSpec
from ganvas.kinds.tune.spec import TuneSpec
from ganvas.kinds.video.spec import VideoSpec
from ganvas.presets import Situation
from ganvas.registry import load_system
from ganvas.specs import REAL

AIM = 0.20
TAGS = TableSpec(
    ("a", "b"), (CLASS, CLASS), (("p", "q", "r"), ("x", "y", "z")), (0.0, 0.0), (1.0, 1.0), (False, False), (-1, -1)
)
CAPTIONS = TokensSpec(8, ("", *(f"word{number}" for number in range(200))))
AGES = TableSpec(("age",), (NUMBER,), ((),), (40.0,), (20.0,), (False,), (0,), bounds=((5.0, 84.0),))
NOTES = TableSpec(
    ("pitch", "instrument"), (NUMBER, CLASS), ((), ("p", "q", "r")), (60.0, 0.0), (7.0, 1.0), (False, False), (0, -1),
    bounds=((48.0, 71.0), (0.0, 0.0)),
)  # fmt: skip
BOARDS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "dcgan-64": ("dcgan", ImageSpec(1, 64, 64), {}),
    "acgan-32": ("acgan", ImageSpec(3, 32, 32, classes=("a", "b")), {}),
    "biggan-32": ("biggan", ImageSpec(3, 32, 32, classes=("a", "b")), {}),
    "r3gan-64": ("r3gan", ImageSpec(1, 64, 64), {}),
    "anime-32": ("anime", {"picture": ImageSpec(3, 32, 32), "attributes": TAGS}, {}),
    "age-cgan-32": ("age-cgan", {"picture": ImageSpec(3, 32, 32), "attributes": AGES}, {"recogniser_share": 0.0}),
    "icgan-32": ("icgan", {"picture": ImageSpec(3, 32, 32), "attributes": TAGS}, {}),
    "ian-32": ("ian", ImageSpec(3, 32, 32), {}),
    "infogan-32": ("infogan", ImageSpec(1, 32, 32), {}),
    "gon-32": ("gon", ImageSpec(1, 32, 32), {}),
    "ternary-gan-32": ("ternary-gan", ImageSpec(1, 32, 32), {}),
    "semi-gan-32": ("semi-gan", ImageSpec(1, 32, 32, classes=("a", "b", "unlabelled")), {}),
    "perceptual-gan-32": ("perceptual-gan", ImageSpec(3, 32, 32, classes=("a", "b", "c")), {}),
    "progan-32": ("progan", ImageSpec(1, 32, 32), {"grow": False}),
    "stylegan2-32": ("stylegan2", ImageSpec(1, 32, 32), {}),
    "stylegan2-64": ("stylegan2", ImageSpec(3, 64, 64), {}),
    "fastgan-64": ("fastgan", ImageSpec(3, 64, 64), {}),
    "projected-gan-64": ("projected-gan", ImageSpec(3, 64, 64), {}),
    "cyclegan-32": ("cyclegan", ImageSpec(3, 32, 32, classes=("a", "b")), {}),
    "cyclegan-64": ("cyclegan", ImageSpec(3, 64, 64, classes=("a", "b")), {}),
    "discogan-32": ("discogan", ImageSpec(3, 32, 32, classes=("a", "b")), {}),
    "pg2-64": ("pg2", {"picture": ImageSpec(3, 64, 64), "pose": PoseSpec(64, 64, tuple("abcdefgh"))}, {"coarse_share": 0.0}),
    "stackgan-64": (
        "stackgan",
        {"picture": ImageSpec(3, 64, 64), "caption": CAPTIONS},
        {"embedding_share": 0.0, "stage_one_share": 0.0},
    ),
    "tp-gan-32": ("tp-gan", {name: ImageSpec(3, 32, 32) for name in ("front", "side")}, {"recogniser_share": 0.0}),
    "pixeldtgan-32": ("pixeldtgan", {name: ImageSpec(3, 32, 32) for name in ("garment", "photo")}, {}),
    "srgan-96": ("srgan", ImageSpec(3, 96, 96), {"pretraining_share": 0.0}),
    "context-encoder-64": ("context-encoder", ImageSpec(3, 64, 64), {}),
    "auto-painter-64": ("auto-painter", ImageSpec(3, 64, 64), {}),
    "gp-gan-64": ("gp-gan", ImageSpec(3, 64, 64), {}),
    "mgan-64": ("mgan", ImageSpec(3, 64, 64, classes=("photo", "style")), {}),
    "psgan-64": ("psgan", ImageSpec(3, 64, 64), {}),
    "deblurgan-96": ("deblurgan", ImageSpec(3, 96, 96), {}),
    "vae-gan-3d-32": ("vae-gan-3d", SolidSpec(32), {}),
    "dose-gan-128": ("dose-gan", ImageSpec(1, 128, 128), {}),
    "anogan-64": ("anogan", ImageSpec(1, 64, 64, classes=("normal", "other")), {}),
    "specgan-16384": ("specgan", SoundSpec(16384, 16000, classes=("a", "b")), {}),
    "gansynth-16384": ("gansynth", {"note": SoundSpec(16384, 16000), "attributes": NOTES}, {}),
    "wavegan-4096": ("wavegan", SoundSpec(4096, 8000), {}),
    "wavegan-16384": ("wavegan", SoundSpec(16384, 16000), {}),
    "melgan-16384": ("melgan", SoundSpec(16384, 16000), {"discriminators_from": 0.0}),
    "gan-postfilter-16384": ("gan-postfilter", SoundSpec(16384, 16000), {"acoustic_share": 0.01}),
    "midinet-8": ("midinet", TuneSpec(8), {}),
    "mad-gan-60": ("mad-gan", SeriesSpec(60, tuple("abcdefgh"), (0.0,) * 8, (1.0,) * 8), {}),
    "gan-3d-32": ("gan-3d", SolidSpec(32), {}),
    "fomm-48": ("fomm", VideoSpec(16, 48, 48), {}),
    "deepremaster-32": ("deepremaster", VideoSpec(16, 32, 32), {}),
    "vgan-32": ("vgan", VideoSpec(16, 32, 32), {}),
    "mocogan-32": ("mocogan", VideoSpec(16, 32, 32), {}),
}
"""name -> (system, data or data by field, settings over those of the preset `auto` for ten minutes)."""

NETWORK = (
    "conv", "mkldnn", "thnn", "mm", "linear", "matmul", "norm", "relu", "elu", "sigmoid", "tanh", "softplus", "hardtanh",
    "upsample", "pool", "reflection_pad", "replication_pad", "constant_pad", "pixel_shuffle", "aten::add", "aten::sub",
    "aten::mul", "aten::div", "aten::sum", "aten::mean", "aten::pow", "aten::rsqrt", "aten::sqrt", "aten::abs",
    "aten::neg", "aten::cat", "aten::square", "threshold_backward", "pixel_unshuffle", "mse_loss", "aten::empty",
    "aten::view", "aten::slice", "aten::as_strided", "aten::expand", "aten::transpose", "aten::addcmul", "aten::maximum",
    "aten::clamp", "aten::where", "aten::copy_", "aten::fill_", "lstm", "rnn_layer",
)  # fmt: skip
OUTSIDE = ("foreach", "_fused", "optimizer", "lerp", "index", "grid_sampl", "rand", "normal_", "uniform_", "einsum")


def noise(spec: Any, rng: np.random.Generator) -> np.ndarray:
    """512 random records in file units: bytes, sounds and series in range, poses, solids a tenth full, rows of a table."""
    if spec.kind == "sound":
        return rng.uniform(-1, 1, (512, spec.length, spec.channels)).astype(np.float32)
    if spec.kind == "series":
        return rng.uniform(-1, 1, (512, *spec.shape)).astype(np.float32)
    if spec.kind == "table":
        return np.stack([rng.integers(0, len(own) or 80, 512) for own in spec.categories], 1).astype(np.float32)
    if spec.kind == "tokens":
        return rng.integers(0, len(spec.symbols), (512, spec.length), dtype=np.int32)
    if spec.kind in ("tune", "pose", "video"):
        return kind_of(spec.kind).blank(spec, 512, rng)
    if spec.kind == "solid":
        return (rng.random((512, *spec.shape[1:])) < 0.1).astype(np.uint8)
    return rng.integers(0, 256, (512, spec.height, spec.width, spec.channels), dtype=np.uint8)


def in_memory(given: Any) -> Dataset:
    """Random records in memory, of one field or several."""
    specs = given if isinstance(given, dict) else {REAL: given}
    fields = {name: Field(spec, noise(spec, np.random.default_rng(k))) for k, (name, spec) in enumerate(specs.items())}
    classes = next(iter(specs.values())).classes
    labels = np.arange(512) % len(classes) if classes else None
    return Dataset(fields, labels, np.arange(512) // 2, np.zeros(512, bool), "random", "")


def config_of(name: str, spec: Any, settings: dict[str, Any]) -> Any:
    """What the preset `auto` takes for ten minutes, with `settings` over it."""
    _, module, system_class = load_system(name)
    preset = module.PRESETS["auto"]
    situation = Situation(spec, 512, 600.0, 50.0, "cpu")
    return system_class.Config(**{**(preset(situation) if callable(preset) else preset), **settings})  # type: ignore[attr-defined]


def engine_of(name: str, spec: Any, settings: dict[str, Any]) -> Engine:
    """The system as `ganvas train NAME --budget 10m` would play it half-way, on one thread in full precision."""
    _, _, system_class = load_system(name)
    config = config_of(name, spec, settings)
    torch.manual_seed(0)
    system = system_class(spec, config)
    data = in_memory(spec)
    streams = {feed: open_stream(data, dealt, config.batch_size, seed=0) for feed, dealt in system.feeds().items()}
    engine = Engine(system, streams, seed=0)
    engine.progress = 0.5  # half of the budget is used: phases before the game, which some shares of a budget end, are over
    return engine


def network_time(events: Any) -> float:
    """Microseconds in operators that are network arithmetic."""
    total = 0.0
    for event in events:
        key = event.key.lower()
        if any(word in key for word in OUTSIDE):
            continue
        if any(word in key for word in NETWORK):
            total += event.self_cpu_time_total
    return total


def measure(name: str, rounds: int, pairs: int) -> dict[str, Any]:
    """Milliseconds a round, and the share outside network arithmetic (median over pairs of blocks)."""
    system, spec, settings = BOARDS[name]
    engine = engine_of(system, spec, settings)
    for _ in range(rounds):
        engine.play_round()
    shares, plain_times = [], []
    top: dict[str, float] = {}
    for _ in range(pairs):
        begin = time.process_time()
        for _ in range(rounds):
            engine.play_round()
        plain = time.process_time() - begin
        with profile(activities=[ProfilerActivity.CPU]) as watched:
            begin, begin_wall = time.process_time(), time.perf_counter()
            for _ in range(rounds):
                engine.play_round()
            had = min(1.0, (time.process_time() - begin) / (time.perf_counter() - begin_wall))  # of the core: others run too
        events = watched.key_averages()
        inside = had * network_time(events) / 1e6
        everything = had * sum(event.self_cpu_time_total for event in events) / 1e6
        # The profiler's cost lies in every operator alike: scaled back to the plain time, Python between operators included.
        shares.append(1 - inside / max(everything, plain))
        plain_times.append(plain / rounds)
        for event in events:
            key = event.key
            low = key.lower()
            if any(word in low for word in OUTSIDE) or not any(word in low for word in NETWORK):
                top[key] = top.get(key, 0.0) + had * event.self_cpu_time_total / 1e6
    worst = sorted(top.items(), key=lambda item: -item[1])[:5]
    total = sum(plain_times) * rounds
    return {
        "share_outside": round(statistics.median(shares), 4),
        "shares": [round(share, 4) for share in shares],
        "milliseconds_a_round": round(1e3 * statistics.median(plain_times), 2),
        "rounds": rounds,
        "most_outside": {key: round(seconds / total, 4) for key, seconds in worst},
        "meets_aim": statistics.median(shares) <= AIM,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="rows of boards that are not measured now stay as they are in it")
    parser.add_argument("--boards", nargs="*", default=list(BOARDS), choices=list(BOARDS), metavar="BOARD")
    parser.add_argument("--rounds", type=int, default=32, help="in a block; a multiple of every lazy turn's interval")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    here = machine()
    rows = kept(options.out)
    for name in options.boards:
        rows[name] = measure(name, options.rounds, options.pairs) | {"machine": here}
        print(name, json.dumps({key: value for key, value in rows[name].items() if key != "machine"}), flush=True)
        if options.out is not None:
            write(rows, options.out)  # after each, so that one that is stopped loses one


def kept(file: Path | None) -> dict[str, Any]:
    """The rows of a result, each with its machine; none where there is no such file."""
    if file is None or not file.exists():
        return {}
    result = json.loads(file.read_text())
    return {name: row if "machine" in row else row | {"machine": result["machine"]} for name, row in result["boards"].items()}


def write(rows: dict[str, Any], file: Path) -> None:
    """All rows, in the order of `BOARDS`."""
    result = {
        "what": "share of training time outside network arithmetic",
        "aim": AIM,
        "boards": {name: rows[name] for name in BOARDS if name in rows},
        "command": "python benchmarks/speed/systems.py --out benchmarks/results/systems_speed.json",
    }
    file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
