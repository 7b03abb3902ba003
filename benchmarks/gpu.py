"""What must be true on one CUDA machine, in ten minutes; each part with its own limit, going on after one that failed.

    make gpu-check                                     # every part, on the first GPU
    python benchmarks/gpu.py --parts resume,waits      # some of them
    python benchmarks/gpu.py --device cpu --small      # the same code on a processor, with next to nothing to do

Parts, each in a process of its own (what breaks the device ends with it):

    contract   `ganvas check` of every system on the device. Must hold.
    resume     runs that are killed and resumed equal undisturbed ones, bit for bit. Must hold.
    precision  float32, TF32, bfloat16 and float16 train without NaN, to losses near those of float32. Must hold.
    speed      images a second of games at 128 and 256 pixels, beside a loop without an Engine, and the share of what the
               card can do. Must hold: at most 15 % slower than the loop.
    waits      how often a round waits for the device, of every system: by name and line. Must hold: never.
    compile    what `--compile` gives. Told, not asked for.
    sampling   a run is sampled while another trains on the device: the same samples. Must hold.

Writes results/gpu-CARD.json; the exit code is 1 where a part that must hold does not. Not for how good anything is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch asks for it where algorithms must be deterministic
HERE = Path(__file__).parent
RESULTS = HERE / "results"
PUBLISHED: dict[str, Any] = {
    "what": "StyleGAN2-ADA in PyTorch, --cfg=auto --aug=ada: seconds for 1000 images, one NVIDIA Tesla V100",
    "source": "https://github.com/NVlabs/stylegan2-ada-pytorch (README, Expected training time)",
    "seconds_per_1000_images": {"128": [12.8, 13.7], "256": [21.6, 24.2]},
}
"""A reference of another card, not a mark."""


@dataclass(frozen=True)
class Where:
    """device: `cuda`, `cuda:1` or `cpu`. small: next to nothing to do. until: moment (`time.monotonic`) by which to end."""

    device: str
    small: bool
    until: float

    @property
    def cuda(self) -> bool:
        return self.device.startswith("cuda")

    @property
    def left(self) -> float:
        """Seconds."""
        return self.until - time.monotonic()

    def wait(self) -> None:
        """Until the device has done everything."""
        import torch

        if self.cuda:
            torch.cuda.synchronize()


Part = Callable[[Where, Callable[[dict[str, Any]], None]], dict[str, Any]]
"""A part takes where, and a function that keeps what is known so far; it returns `holds` (True, False, or None where nothing is
asked), `line`, and its figures."""


# The contract


def contract_of(name: str, device: str) -> tuple[str, int, list[str]]:
    """(system, checks that passed or had nothing to look at, lines of those that failed), in whatever process."""
    from ganvas.testing import examine, system_checks

    outcomes = examine(system_checks(name, device=device))
    failed = [f"{name} {own.name}: {own.line}" for own in outcomes if own.result == "failed"]
    return name, len(outcomes) - len(failed), failed


def contract(where: Where, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Systems are shared out to processes, for launching small kernels is the processor's work."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, TimeoutError, as_completed

    from ganvas.registry import catalogue

    names = ["gan"] if where.small else list(catalogue())
    passed, failed, done = 0, [], []  # type: ignore[var-annotated]

    def take(found: tuple[str, int, list[str]]) -> dict[str, Any]:
        nonlocal passed
        done.append(found[0])
        passed += found[1]
        failed.extend(found[2])
        missing = [name for name in names if name not in done]
        line = f"{passed} checks of {len(done)} systems hold, {len(failed)} fail"
        if missing:
            line += f"; not reached in time: {', '.join(missing)}"
        result = {"holds": not failed and not missing, "line": line, "passed": passed, "failed": failed, "not_reached": missing}
        keep(result)
        return result

    if where.small:
        return take(contract_of(names[0], where.device))
    jobs = min(8, max(1, (os.cpu_count() or 2) // 2))
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    futures = {pool.submit(contract_of, name, where.device): name for name in names}
    result: dict[str, Any] = {"holds": False, "line": "no system was reached in time"}
    try:
        for future in as_completed(futures, timeout=max(1.0, where.left - 5)):
            try:
                result = take(future.result())
            except Exception as error:  # a process that died: the system is named, the others go on where they can
                result = take((futures[future], 0, [f"{futures[future]}: {type(error).__name__}: {error}"[:300]]))
    except TimeoutError:
        pass
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)
    return result


# Resuming


def train_command(system: str, data: Path, run: Path, rounds: int, device: str, *more: str) -> list[str]:
    """What a user would type: resume where there is a run, else begin it."""
    words = [sys.executable, "-m", "ganvas", "train"]
    always = ["--save-every", "0", "--sample-every", "0", "--quiet"]
    if (run / "config.yaml").exists():
        return [*words, "--resume", str(run), *always]
    # The preset `paper`: `auto` is chosen by what this machine is measured to do, and two runs must be of one game.
    fixed = [
        "--preset", "paper", "--precision", "32", "--channels-last", "off", "--check-every", "8", "--deterministic", "on",
        "--watch", "off",
    ]  # fmt: skip
    place = ["--device", device, "--budget", f"{rounds}r", "--out", str(run)]
    return [*words, system, "--data", str(data), *place, *fixed, *always, *more]


def pictures(folder: Path, side: int, count: int = 60) -> tuple[Path, Path]:
    """Random soft pictures as an array, and pairs of a picture and its negative as files: what is trained on."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    soft = np.stack([np.asarray(Image.fromarray(own).resize((side, side), Image.Resampling.BICUBIC)) for own in coarse])
    alone, pairs = folder / f"pictures-{side}.npy", folder / f"pairs-{side}"
    np.save(alone, soft)
    for name, values in (("map", 255 - soft), ("photo", soft)):
        (pairs / name).mkdir(parents=True, exist_ok=True)
        for number, own in enumerate(values):
            Image.fromarray(own).save(pairs / name / f"{number:03d}.png")
    return alone, pairs


RESUMED: dict[str, tuple[int, dict[str, Any]]] = {
    "dcgan": (600, {"width": 8, "latent_size": 8, "batch_size": 16}),
    "stylegan2": (160, {"width": 8, "latent_size": 16, "layers": 2, "batch_size": 8}),  # rounds of a tenth of a second
    "pix2pix": (600, {"width": 8, "batch_size": 4}),
}
"""Rounds and settings."""


def killed_and_resumed(system: str, data: Path, folder: Path, rounds: int, where: Where) -> dict[str, Any]:
    """One run to its end; another that is killed once it has saved, and goes on; what differs between them."""
    from resume_kills import digests, manifest

    more = [word for key, value in RESUMED[system][1].items() for word in ("--set", f"{key}={value}")]
    ways = {name: folder / f"{system}-{name}" for name in ("straight", "killed")}
    limit = {"capture_output": True, "text": True, "timeout": max(5.0, where.left)}
    straight = subprocess.run(train_command(system, data, ways["straight"], rounds, where.device, *more), **limit)
    if straight.returncode:
        return {"differences": [f"does not train: {(straight.stderr or straight.stdout)[-300:]}"]}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    process = subprocess.Popen(train_command(system, data, ways["killed"], rounds, where.device, *more), **quiet)
    while not manifest(ways["killed"]) and process.poll() is None and where.left > 5:
        time.sleep(0.002)
    time.sleep(0.1)
    ended = process.poll() is not None
    process.kill()
    process.wait()
    killed_at = json.loads(manifest(ways["killed"]) or "{}").get("round")
    resumed = subprocess.run(train_command(system, data, ways["killed"], rounds, where.device), **limit)
    if resumed.returncode:
        return {"differences": [f"does not resume: {(resumed.stderr or resumed.stdout)[-300:]}"]}
    wanted, found = digests(ways["straight"]), digests(ways["killed"])
    differences = [key for key in wanted if found[key] != wanted[key]]
    if ended:
        differences.append("nothing was tried: the run ended before it was killed")
    return {"differences": differences, "killed_at": killed_at, "rounds": rounds}


def resume(where: Where, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    from concurrent.futures import ThreadPoolExecutor

    names = ["dcgan"] if where.small else list(RESUMED)
    with tempfile.TemporaryDirectory() as place:
        os.environ["GANVAS_CACHE"] = str(Path(place) / "cache")
        alone, pairs = pictures(Path(place), 32)

        def one(name: str) -> dict[str, Any]:
            rounds = 100 if where.small else RESUMED[name][0]
            return killed_and_resumed(name, pairs if name == "pix2pix" else alone, Path(place), rounds, where)

        with ThreadPoolExecutor(len(names)) as pool:  # each is three processes, most of whose time is their start
            found = dict(zip(names, pool.map(one, names), strict=True))
    differing = {name: own["differences"] for name, own in found.items() if own["differences"]}
    told = "; ".join(f"{name}: {', '.join(own)}" for name, own in differing.items())
    line = told or f"{', '.join(names)}: killed and resumed, equal bit for bit"
    return {"holds": not differing, "line": line, "systems": found}


# Numbers


def float32_as(tensor_cores: bool) -> None:
    """Products and convolutions of float32 in full, or as TF32."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = tensor_cores
    torch.backends.cudnn.allow_tf32 = tensor_cores


def board_of(name: str, spec: Any, settings: dict[str, Any], device: str, count: int = 256) -> tuple[Any, dict[str, Any]]:
    """A system on the device, and its streams of soft random pictures."""
    import numpy as np
    import torch
    from torch.nn.functional import interpolate

    from ganvas.config import build_config
    from ganvas.data.dataset import Dataset, Field
    from ganvas.data.streams import open_stream
    from ganvas.registry import load_system
    from ganvas.specs import REAL

    _, _, system_class = load_system(name)
    config = build_config(system_class.Config, settings)
    torch.manual_seed(0)
    system = system_class(spec, config).to(device)
    coarse = torch.rand(count, spec.channels, 8, 8, generator=torch.Generator().manual_seed(1))
    soft = interpolate(coarse, (spec.height, spec.width), mode="bilinear").mul(255).to(torch.uint8).permute(0, 2, 3, 1)
    labels = np.arange(count) % len(spec.classes) if spec.classes else None
    data = Dataset({REAL: Field(spec, soft.numpy())}, labels, np.arange(count), np.zeros(count, bool), "soft", "")
    size = config.batch_size
    return system, {key: open_stream(data, feed, size, seed=0) for key, feed in system.feeds().items()}


OTHER = "float32, other noise"
PRECISIONS = {"float32": ("32", False), "tf32": ("32", True), "bfloat16": ("bf16-mixed", True), "float16": ("16-mixed", True)}
NEAR = 0.25
"""Nats that a term may lie from that of float32, beside what other noise changes: D's two sum to 1.39 where it cannot tell."""


def precision(where: Where, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """DCGAN, with the same seeds in each, and in float32 once with other noise: games drift apart by that alone.

    Compared is the mean of each term over early rounds; whether all is finite, over all of them.
    """
    import torch

    from ganvas.engine import Engine
    from ganvas.kinds.image.spec import ImageSpec
    from ganvas.parallel import Processes

    rounds, first, last, side, width = (8, 0, 8, 16, 4) if where.small else (300, 28, 60, 64, 32)
    found: dict[str, Any] = {}
    for name, (kind, tensor_cores) in {**PRECISIONS, OTHER: PRECISIONS["float32"]}.items():
        float32_as(tensor_cores)
        settings = {"width": width, "latent_size": 32, "batch_size": 8 if where.small else 64}
        system, streams = board_of("dcgan", ImageSpec(3, side, side), settings, where.device)
        processes, seed = Processes(torch.device(where.device)), int(name == OTHER)
        engine = Engine(system, streams, processes=processes, precision=kind, check_every=4, seed=seed)
        terms: dict[str, list[float]] = {}
        incident = None
        for number in range(rounds):
            report = engine.play_round()
            if report is not None:
                incident = incident or report.incident
                for term, value in report.terms.items() if first <= number < last else ():
                    terms.setdefault(term, []).append(value)
        found[name] = {"terms": {term: sum(own) / len(own) for term, own in terms.items()}, "incident": incident}
        keep({"holds": False, "line": f"ended after {name}", "precisions": found})
    exact = found["float32"]["terms"]
    for own in found.values():
        own["gap"] = max((abs(own["terms"].get(term, float("inf")) - value) for term, value in exact.items()), default=None)
    allowed = NEAR + (found[OTHER]["gap"] or 0.0)
    bad = [name for name, own in found.items() if own["incident"] or own["gap"] is None or not own["gap"] <= allowed]
    told = ", ".join(f"{name} {own['gap']:.3f}" for name, own in found.items() if own["gap"] is not None)
    line = f"largest gap of a term from float32: {told}" + (f"; FAR OR NOT FINITE: {', '.join(bad)}" if bad else "")
    return {"holds": not bad, "line": line, "allowed": allowed, "rounds": rounds, "precisions": found}


# Speed

SLOWER = 0.15  # what an Engine may cost, as a share of the loop without one


def games(small: bool) -> list[tuple[str, int, dict[str, Any]]]:
    """(system, pixels of a side, settings): the papers' sizes as far as one card holds them. StyleGAN2 as NVIDIA's --cfg=auto
    for one GPU has it: channels 16384 / side, two layers of the mapping, batches of 32 and 16."""
    if small:
        return [
            ("dcgan", 16, {"width": 4, "latent_size": 8, "batch_size": 4}),
            ("stylegan2", 16, {"width": 4, "max_width": 8, "latent_size": 8, "layers": 1, "batch_size": 4}),
            ("cyclegan", 16, {"width": 4, "blocks": 1, "batch_size": 2, "pool_size": 4}),
            ("r3gan", 16, {"width": 4, "max_width": 8, "batch_size": 4, "group": 4}),
        ]
    found = []
    for side in (128, 256):
        found += [
            ("dcgan", side, {"width": 64, "latent_size": 100, "batch_size": 64}),
            ("stylegan2", side, {"width": 16384 // side, "layers": 2, "batch_size": 4096 // side}),
            ("cyclegan", side, {"batch_size": 4}),
            ("r3gan", side, {"width": 96 * 256 // side, "max_width": 768, "blocks": 2, "batch_size": 32}),
        ]
    return found


def matrix_speed(where: Where, dtype: Any) -> float:
    """Operations a second of a large product in this number format, the best of several: what the card can do."""
    import torch

    size = 128 if where.small else 8192
    a, b = (torch.randn(size, size, device=where.device).to(dtype) for _ in range(2))
    best = 0.0
    for _ in range(3 if where.small else 8):
        where.wait()
        begin = time.perf_counter()
        a @ b
        where.wait()
        best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    return best


def operations(engine: Any, rounds: int) -> float:
    """Operations of a round (products and convolutions, forwards and backwards, by torch's formulas), the mean of so many.

    The mode itself, `FlopCounterMode`, hooks modules, which gradients within objectives do not bear.
    """
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counting(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            formula = flop_registry.get(func.overloadpacket)
            self.total += formula(*args, **(kwargs or {}), out_val=out) if formula else 0
            return out

    with Counting() as counted:
        for _ in range(rounds):
            engine.play_round()
    return counted.total / rounds


def timed(where: Where, system: str, side: int, settings: dict[str, Any], kind: str) -> dict[str, Any]:
    """One game played by the Engine and by a loop without it, in turns."""
    import contextlib
    import functools
    import statistics

    import torch

    from ganvas.batches import lay_out
    from ganvas.engine import Engine
    from ganvas.kinds.image.spec import ImageSpec
    from ganvas.parallel import Processes
    from speed.engine import bare_loop, engine_loop, plain_loop

    processes, last = Processes(torch.device(where.device)), where.cuda
    context = functools.partial(processes.autocast, kind) if kind != "32" else contextlib.nullcontext
    spec = ImageSpec(3, side, side, classes=("a", "b") if system == "cyclegan" else ())
    board, streams = board_of(system, spec, settings, where.device)
    engine = Engine(board, streams, processes=processes, precision=kind, channels_last=last)
    board, streams = board_of(system, spec, settings, where.device)
    if last:
        lay_out(board, True)
    form = {"device": where.device, "context": context, "channels_last": last}
    by_hand = system == "dcgan"
    bare = bare_loop(system, board.train(), streams["data"], **form) if by_hand else plain_loop(board, streams, **form)
    loops = {"engine": engine_loop(engine), "bare": bare}
    every = max(turn.every for phase in engine.phases for turn in phase.turns)
    every = min(2, every) if where.small else every
    each = operations(engine, every)

    def seconds(name: str, rounds: int) -> float:
        where.wait()
        begin = time.perf_counter()
        loops[name](rounds)
        where.wait()
        return (time.perf_counter() - begin) / rounds

    for name in loops:  # algorithms are chosen, workspaces made
        seconds(name, 1)
    # Blocks of whole periods of the lazy turns, half a second each.
    period = seconds("bare", every) * every
    periods = 1 if where.small else max(1, round(0.5 / max(1e-4, period)))
    times: dict[str, list[float]] = {"engine": [], "bare": []}
    for pair in range(1 if where.small or period > 4 else 2 if period > 1 else 4):
        for name in ("bare", "engine") if pair % 2 else ("engine", "bare"):
            times[name].append(seconds(name, every * periods))
    middle = {name: statistics.median(own) for name, own in times.items()}
    extra = statistics.median((e - b) / b for e, b in zip(times["engine"], times["bare"], strict=True))
    batch = settings["batch_size"]
    return {
        "images_a_second": {name: round(batch / own, 1) for name, own in middle.items()},
        "seconds_per_1000_images": round(1000 * middle["engine"] / batch, 3),
        "engine_slower": round(extra, 4),
        "teraflop_a_round": round(each / 1e12, 4),
        "operations_a_second": each / middle["engine"],
        "loop": "by hand" if by_hand else "objectives, backward, step",
        "precision": kind,
        "settings": settings,
        "memory": torch.cuda.max_memory_allocated() if where.cuda else None,
    }


def speed(where: Where, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    import torch

    float32_as(False)
    kinds = {"32": torch.float32, "bf16-mixed": torch.bfloat16}
    peaks = {name: matrix_speed(where, dtype) for name, dtype in kinds.items()}
    found: dict[str, Any] = {}
    late: list[str] = []

    def so_far() -> dict[str, Any]:
        slow = [name for name, own in found.items() if "error" in own or own["engine_slower"] > SLOWER]
        parts = []
        for name, own in found.items():
            if "error" in own:
                parts.append(f"{name}: {own['error']}")
                continue
            rates = own["images_a_second"]
            told = f"{own['seconds_per_1000_images']} s for 1000, loop {rates['bare']}, {own['share_of_peak']:.0%} of peak"
            parts.append(f"{name} {rates['engine']} img/s ({told})")
        line = "; ".join(parts) + (f"; not reached in time: {', '.join(late)}" if late else "")
        if not where.small:
            line += "; published of StyleGAN2-ADA on one V100: " + ", ".join(
                f"{low} to {high} s for 1000 at {side}" for side, (low, high) in PUBLISHED["seconds_per_1000_images"].items()
            )
        # On a processor with next to nothing to do, the Engine is most of a round: nothing is asked.
        holds = None if where.small else not slow and len(found) > 0  # a slow card reaches fewer
        return {
            "holds": holds, "line": line, "peak_operations_a_second": peaks, "allowed_slower": SLOWER, "games": found,
            "too_slow": slow, "not_reached": late, "reference": PUBLISHED,
        }  # fmt: skip

    for system, side, settings in games(where.small):
        kind = "bf16-mixed"
        name = f"{system}-{side}"
        if where.left < 12 and not where.small:
            late.append(name)
            continue
        size = settings["batch_size"]
        while True:
            try:
                found[name] = timed(where, system, side, {**settings, "batch_size": size}, kind)
                found[name]["share_of_peak"] = round(found[name]["operations_a_second"] / peaks[kind], 4)
            except torch.OutOfMemoryError as error:
                size //= 2  # a smaller card
                if size:
                    torch.cuda.empty_cache()
                    continue
                found[name] = {"error": str(error)[:200]}
            except Exception as error:  # one that cannot is a finding, not the end
                found[name] = {"error": f"{type(error).__name__}: {error}"[:300]}
            break
        if where.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        keep(so_far())
    return so_far()


# Waiting

SYNCHRONISING = ("Synchronize", "cudaMemcpy", "cuMemcpy")  # a copy that waits is one without Async, or one and a Synchronize
ROUNDS = 3


def asks(engine: Any, system: str) -> str:
    """Why rounds of this game must read something: empty where they need not."""
    from ganvas.kinds import kind_of
    from ganvas.kinds.facets import Streams
    from ganvas.registry import find

    if isinstance(kind_of(find(system).data[0]), Streams):
        return "its records are drawn by the processor"
    if any(callable(turn.times) for phase in engine.phases for turn in phase.turns):
        return "how often a player moves hangs on what was measured"
    return ""


def profiled(engine: Any) -> tuple[dict[str, int], list[str]]:
    """On a GPU: calls that wait, by name, in some rounds; and the lines of Python that torch's own watch warns of."""
    import warnings

    import torch
    from torch.profiler import ProfilerActivity, profile, record_function

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen, record_function("the rounds"):
        for _ in range(ROUNDS):
            engine.play_round()
    events = list(seen.events() or ())
    (span,) = [event.time_range for event in events if event.name == "the rounds" and event.device_type.name == "CPU"]
    counts: dict[str, int] = {}
    for event in events:
        within = span.start <= event.time_range.start <= span.end  # the profiler itself waits at its end
        if within and any(word in event.name for word in SYNCHRONISING) and "Async" not in event.name:
            counts[event.name] = counts.get(event.name, 0) + 1
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            engine.play_round()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    lines = {f"{Path(own.filename).name}:{own.lineno}" for own in caught if "called a synchronizing" in str(own.message)}
    return counts, sorted(lines)


def waits(where: Where, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The calls by name on any device (`ganvas.testing.waits`); on a GPU the profiler's account of the driver's calls too."""
    from ganvas.registry import catalogue, find
    from ganvas.testing.boards import Case, subject_of
    from ganvas.testing.waits import waits as watched

    found: dict[str, Any] = {}
    late: list[str] = []

    def told() -> dict[str, Any]:
        waiting = {name: own for name, own in found.items() if own["calls"] and not own["asks"]}
        broken = {name: own["error"] for name, own in found.items() if own["error"]}
        parts = [f"{name} ({', '.join(own['lines'] or own['calls'])})" for name, own in waiting.items()]
        parts += [f"{name}: {error}" for name, error in broken.items()]
        free = len(found) - len(waiting) - len(broken)
        line = f"{free} of {len(found)} systems never wait in a round, or only where they must"
        line += "".join(f"; {part}" for part in parts) + (f"; not reached in time: {', '.join(late)}" if late else "")
        return {"holds": not waiting and not broken and not late, "line": line, "rounds": ROUNDS, "systems": found}

    for name in ["dcgan", "seqgan", "gan-3d"] if where.small else catalogue():
        if where.left < 3 and not where.small:
            late.append(name)
            continue
        own: dict[str, Any] = {"calls": {}, "lines": [], "asks": "", "error": ""}
        try:
            engine = Case(subject_of(name, device=where.device), find(name).data[0]).board()
            engine.check_every = 1_000_000
            own["asks"] = asks(engine, name)
            for _ in range(3):  # states of the optimisers, workspaces, tables
                engine.play_round()
            with watched(where.device) as seen:
                for _ in range(ROUNDS):
                    engine.play_round()
            own["calls"] = {f"{wait.what} in {wait.where}": count for wait, count in seen.items()}
            own["lines"] = sorted({wait.where for wait in seen})
            if where.cuda:
                counts, lines = profiled(engine)
                own["calls"] |= counts
                own["lines"] = sorted({*own["lines"], *lines})
        except Exception as error:  # one that cannot is a finding, not the end
            own["error"] = f"{type(error).__name__}: {error}"[:300]
        found[name] = own
        keep(told())
    return told()


# Compiling


def compiled(where: Where, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Small networks, where launching kernels is what costs: rounds a second as they are, and with networks compiled."""
    import torch

    from ganvas.engine import Engine
    from ganvas.kinds.image.spec import ImageSpec
    from ganvas.parallel import Processes

    float32_as(True)
    side, width, rounds = (16, 4, 4) if where.small else (64, 32, 200)
    found: dict[str, Any] = {}
    for name, wanted in (("as it is", False), ("compiled", True)):
        settings = {"width": width, "latent_size": 32, "batch_size": 8 if where.small else 64}
        system, streams = board_of("dcgan", ImageSpec(3, side, side), settings, where.device)
        processes = Processes(torch.device(where.device))
        engine = Engine(system, streams, processes=processes, compile_networks=wanted)  # laid as `--compile` takes it
        begin = time.perf_counter()
        for _ in range(4):
            engine.play_round()
        where.wait()
        middle = time.perf_counter()
        for _ in range(rounds):
            engine.play_round()
        where.wait()
        found[name] = {"first_rounds_s": round(middle - begin, 2), "rounds_a_second": rounds / (time.perf_counter() - middle)}
        keep({"holds": None, "line": f"ended after '{name}'", "dcgan": found})
    gain = found["compiled"]["rounds_a_second"] / found["as it is"]["rounds_a_second"]
    first = found["compiled"]["first_rounds_s"]
    line = f"dcgan at {side} pixels, width {width}: {gain:.2f} times the rounds a second, after {first} s"
    return {
        "holds": None,
        "line": f"{line}; whole rounds as CUDA graphs: ganvas has no such setting",
        "gain": gain,
        "dcgan": found,
    }


# Sampling beside training


def sampling(where: Where, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """A run is trained; its samples, alone, and while another process trains on the same device, are compared bit for bit."""
    import numpy as np

    import ganvas

    count, times = (8, 2) if where.small else (256, 20)
    with tempfile.TemporaryDirectory() as place:
        os.environ["GANVAS_CACHE"] = str(Path(place) / "cache")
        data, _ = pictures(Path(place), 16 if where.small else 64)
        run, other = Path(place) / "run", Path(place) / "other"
        sizes = ["--set", "width=4", "--set", "batch_size=8"] if where.small else ["--set", "width=64"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        subprocess.run(train_command("dcgan", data, run, 20, where.device, *sizes), check=True, **quiet)
        loaded = ganvas.load(run, device=where.device)
        alone = [loaded.sample(count, seed=1) for _ in range(2)]
        process = subprocess.Popen(train_command("dcgan", data, other, 1_000_000, where.device, *sizes), **quiet)
        try:
            while not (other / "checkpoints" / "last").exists() and process.poll() is None and where.left > 5:
                time.sleep(0.02)
            beside = []
            while len(beside) < times and process.poll() is None:
                beside.append(loaded.sample(count, seed=1))
            trained = process.poll() is None and len(beside) == times
        finally:
            process.kill()
            process.wait()
    same = sum(bool(np.array_equal(own, alone[0])) for own in beside)
    steady = bool(np.array_equal(*alone))
    line = f"{same} of {len(beside)} times {count} samples beside a training run are those of a run alone"
    line += "" if steady else "; they differ even alone"
    line += "" if trained else "; the other run did not train throughout"
    return {"holds": steady and trained and same == times, "line": line, "times": times, "samples": count}


PARTS: dict[str, tuple[Part, float]] = {
    "contract": (contract, 80),
    "resume": (resume, 75),
    "precision": (precision, 35),
    "speed": (speed, 175),
    "waits": (waits, 155),
    "compile": (compiled, 45),
    "sampling": (sampling, 35),
}
"""name -> (part, seconds it may take): ten minutes together."""


# All of them


def card(device: str) -> dict[str, Any]:
    """The card and what drives it."""
    import torch

    found: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda, "name": "processor"}
    if not device.startswith("cuda"):
        return found
    own = torch.cuda.get_device_properties(device)
    found |= {"name": own.name, "memory": own.total_memory, "capability": f"{own.major}.{own.minor}"}
    found |= {"multiprocessors": own.multi_processor_count, "cudnn": torch.backends.cudnn.version()}
    wanted = ("driver_version", "power.limit", "power.max_limit", "clocks.max.sm")
    place = str(torch.device(device).index or 0)
    command = ["nvidia-smi", f"--id={place}", f"--query-gpu={','.join(wanted)}", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip().split(", ")
        found |= dict(zip(wanted, told, strict=True))
    except (OSError, subprocess.SubprocessError, ValueError):
        found |= dict.fromkeys(wanted)  # not known
    return found


def play(name: str, device: str, small: bool, seconds: float, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """A part in this process. An exception is a part that does not hold."""
    begin = time.monotonic()
    try:
        result = PARTS[name][0](Where(device, small, begin + seconds), keep)
    except Exception as error:
        result = {"holds": False, "line": f"{type(error).__name__}: {error}"[:500]}
    return result | {"seconds": round(time.monotonic() - begin, 1)}


def apart(name: str, device: str, small: bool, seconds: float) -> dict[str, Any]:
    """A part in a process of its own, which is ended where it takes too long; what it had found by then is kept."""
    with tempfile.TemporaryDirectory() as folder:
        file, errors = Path(folder) / "part.json", Path(folder) / "errors.txt"
        words = [sys.executable, __file__, "--device", device, "--only", name, "--out", str(file), "--limit", str(seconds)]
        begin = time.monotonic()
        with errors.open("w") as stream:
            words += ["--small"] if small else []
            process = subprocess.Popen(words, stdout=stream, stderr=stream, start_new_session=True)
            try:
                process.wait(seconds + 5)  # it looks at the clock itself; this is for one that hangs
                why = f"ended with exit code {process.returncode}"
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # with what it started
                process.wait()
                why = f"took longer than {seconds:.0f} s"
        result = json.loads(file.read_text()) if file.exists() else {"line": ""}
        if not result.pop("complete", False):
            tail = " ".join(errors.read_text().split())[-300:]
            result |= {"holds": False, "line": f"{why}; so far: {result['line'] or 'nothing'}; {tail}"}
        return result | {"seconds": round(time.monotonic() - begin, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="next to nothing to do: tries the code, says nothing of a card")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--out", type=Path, help="results/gpu-CARD.json where not given; of a processor none")
    parser.add_argument("--only", choices=PARTS, help=argparse.SUPPRESS)  # in a process of its own
    parser.add_argument("--limit", type=float, default=60.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:

        def write(result: dict[str, Any]) -> None:
            incoming = options.out.with_suffix(".new")
            incoming.write_text(json.dumps(result))
            incoming.replace(options.out)

        write({**play(options.only, options.device, options.small, options.limit, write), "complete": True})
        return 0
    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no GPU here, or a torch without CUDA; the code alone is tried by  python benchmarks/gpu.py --device cpu --small")
        return 1
    names = options.parts.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        parser.error(f"no part '{unknown[0]}': they are {', '.join(PARTS)}")
    from ganvas.doctor import machine

    begin = time.monotonic()
    about = card(options.device)
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)
    report: dict[str, Any] = {"card": about, "machine": machine(), "small": options.small, "parts": {}}
    out = options.out
    if out is None and options.device.startswith("cuda"):
        out = RESULTS / f"gpu-{re.sub(r'[^a-z0-9]+', '-', about['name'].lower()).strip('-')}.json"
    for name in names:
        # Small says nothing of time, so a busy machine may take long over it.
        result = apart(name, options.device, options.small, 900.0 if options.small else PARTS[name][1])
        report["parts"][name] = result
        word = {True: "holds", False: "FAILS", None: "told"}[result["holds"]]
        print(f"{name:10s} {word:6s} {result['seconds']:6.1f} s  {result['line']}", flush=True)
        report["seconds"] = round(time.monotonic() - begin)
        report["command"] = " ".join(["python benchmarks/gpu.py", *sys.argv[1:]])
        if out is not None:
            out.write_text(json.dumps(report, indent=1) + "\n")
    failed = [name for name, result in report["parts"].items() if result["holds"] is False]
    print(f"{len(names) - len(failed)} of {len(names)} parts hold, {time.monotonic() - begin:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
