"""Whether the networks and what is made with them are still the same, to the bit, after the code was moved about.

Every registered system is trained for a few rounds on a phantom of each kind named in RUNS: small, seeded, on one thread of
the CPU, in 32 bits, with a preset and settings that no measured speed decides. Of each run are kept

- digests (SHA-256) of the weights and buffers of its last checkpoint: `named` covers the names too, `bits` is blind to them
  and so outlives a rename,
- a digest of every file that `ganvas sample` and `ganvas apply` write: of the decoded pixels and numbers, for a file's own
  metadata may hold a version or a date,
- for some, the numbers of `ganvas evaluate --json`.

Everything goes through the command line alone, so that this file keeps working while the insides move; names of settings
stand in RUNS, and nowhere else. All commands share one process, to import once. Digests compare only on one
machine with one build of torch: this is no test. A table is written or compared:

    python benchmarks/nets.py --out benchmarks/results/nets/before.json
    python benchmarks/nets.py --compare benchmarks/results/nets/before.json
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import platform
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

IMAGE = {"--data": "chest", "--size": "32", "--phantom-count": "64"}
POINTS = {"--data": "gaussians", "--phantom-count": "500"}
SMALL = {"width": 8, "batch_size": 8}
FLAT = {"width": 16, "batch_size": 64}
PREPARED = {
    "pretraining_samples": 64,
    "warm_up": 1,
    "generated_size": 32,
    "discriminator_epochs": 1,
    "discriminator_steps": 1,
    "rollouts": 2,
}
TURNED = {"first": "normal", "second": "effusion", "width": 8, "blocks": 1, "batch_size": 2, "pool_size": 4}

RUNS: list[tuple[str, str, dict[str, str], dict[str, Any], list[str]]] = [
    ("anogan", "image", IMAGE, {**SMALL, "latent_size": 8, "normal": "normal"}, ["apply"]),
    ("cgan", "image", IMAGE, SMALL, []),
    ("cgan", "points", {**POINTS, "--data": "patterns"}, FLAT, []),
    ("cyclegan", "image", IMAGE, TURNED, ["apply"]),
    ("dcgan", "image", IMAGE, SMALL, ["evaluate"]),
    ("gan", "image", IMAGE, FLAT, []),
    ("gan", "points", POINTS, FLAT, ["evaluate"]),
    ("gan-3d", "solid", {"--data": "solids", "--size": "16", "--phantom-count": "40"}, {**SMALL, "latent_size": 8}, []),
    ("lsgan", "image", IMAGE, SMALL, []),
    ("lsgan", "points", POINTS, FLAT, []),
    (
        "mad-gan",
        "series",
        {"--data": "sensors", "--phantom-count": "100"},
        {**SMALL, "normal": "normal", "search_steps": 3},
        ["apply"],
    ),
    ("netgan", "graph", {"--data": "communities"}, {"batch_size": 8, "walks": 500}, []),
    ("seqgan", "tokens", {"--data": "oracle", "--phantom-count": "100"}, {"batch_size": 8, **PREPARED}, []),
    ("srgan", "image", IMAGE, {**SMALL, "blocks": 1, "discriminator_width": 8, "crop_size": 0}, ["apply"]),
    ("stylegan2", "image", IMAGE, {**SMALL, "latent_size": 16, "layers": 2, "max_width": 16, "search_steps": 3}, ["apply"]),
    ("wavegan", "sound", {"--data": "words", "--phantom-count": "60"}, SMALL, ["evaluate"]),
    ("wgan-gp", "image", IMAGE, {**SMALL, "critic_turns": 2}, []),
    ("wgan-gp", "points", POINTS, FLAT, []),
]
"""System, kind, options of `train`, settings, and what else is done with the run besides sampling."""

PLAIN = "--preset paper --budget 6r --until budget --seed 7 --split-seed 7 --threads 1 --device cpu --precision 32"
PLAIN += " --channels-last off --watch off --evaluations 0 --sample-every 0 --quiet"
SAMPLES = {"graph": "1"}  # how many to draw of a kind, where it is not 4
EVALUATE = {"dcgan": ["--no-audit", "--no-anchors"]}  # which take most of a minute on images
APPLY = {"cyclegan": ["--to", "effusion"], "stylegan2": ["--as", "project"]}
TIMES = {"seconds", "wall_seconds", "path", "run", "out", "files"}  # keys of an evaluation that no two calls share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, help="write the table here")
    parser.add_argument("--compare", type=Path, help="an earlier table")
    parser.add_argument("--only", help="systems whose names contain this")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(Path(options.child[0]), options.child[1])
        return
    with tempfile.TemporaryDirectory(prefix="ganvas-nets-") as made:
        result = table(Path(made), options.only or "")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    if options.compare:
        sys.exit(compare(json.loads(options.compare.read_text()), result, options.only or ""))
    if not options.out:
        print(json.dumps(result, indent=1, sort_keys=True))


def table(work: Path, only: str) -> dict[str, Any]:
    """All runs, in a process with a cache and a thread of its own."""
    import torch

    inputs(work / "inputs")
    done = subprocess.run([sys.executable, __file__, "--child", str(work), only], env=surroundings(work))
    if done.returncode:
        raise SystemExit(done.returncode)
    runs = json.loads((work / "runs.json").read_text())
    return {"machine": processor(), "torch": torch.__version__, "numpy": np.__version__, "runs": runs}


def surroundings(work: Path) -> dict[str, str]:
    return {**os.environ, "GANVAS_CACHE": str(work / "cache"), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def inputs(folder: Path) -> None:
    """Two grey pictures of smooth waves, 32 by 32, for `ganvas apply`."""
    from PIL import Image

    folder.mkdir()
    rows, columns = np.mgrid[:32, :32]
    for k in (1, 2):
        wave = 127 + 60 * np.sin(rows * k / 5) + 60 * np.cos(columns * k / 7)
        Image.fromarray(wave.round().astype(np.uint8)).save(folder / f"wave-{k}.png")


def ganvas(*arguments: str) -> dict[str, Any]:
    """`python -m ganvas ARGUMENTS --json` in this process."""
    said, complained = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["ganvas", *arguments, "--json"]
    code: Any = 0
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            runpy.run_module("ganvas", run_name="__main__")
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv = before
    if code:
        raise RuntimeError(f"ganvas {' '.join(arguments)}: {code}\n{complained.getvalue()}{said.getvalue()}")
    return dict(json.loads(said.getvalue()))


def child(work: Path, only: str) -> None:
    """The runs of the systems asked for; one that fails is kept as its message."""
    found: dict[str, Any] = {}
    for run in RUNS:
        if only in run[0]:
            started = time.perf_counter()
            try:
                found[f"{run[0]} {run[1]}"] = one(work, *run)
            except Exception as error:
                found[f"{run[0]} {run[1]}"] = {"failed": str(error).replace(str(work), "")}
                print(f"{run[0]} {run[1]} failed: {error}", file=sys.stderr)
            print(f"{run[0]} {run[1]}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    (work / "runs.json").write_text(json.dumps(found))


def one(work: Path, name: str, kind: str, options: dict[str, str], settings: dict[str, Any], uses: list[str]) -> dict[str, Any]:
    run = work / f"{name}-{kind}"
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    trained = ganvas("train", name, *flat(options), *PLAIN.split(), *sets, "--out", str(run))
    found: dict[str, Any] = {"rounds": trained["rounds"], **weights(Path(trained["checkpoint"]))}
    drawn = work / f"{name}-{kind}-drawn"
    if "sample" in trained["can"]:
        ganvas("sample", str(run), "-n", SAMPLES.get(kind, "4"), "--seed", "3", "--device", "cpu", "--out", str(drawn))
        found["sample"] = contents(drawn)
    if "apply" in uses:
        given = drawn if kind == "series" else work / "inputs"
        made = work / f"{name}-{kind}-made"
        ganvas("apply", str(run), str(given), *APPLY.get(name, []), "--seed", "3", "--device", "cpu", "--out", str(made))
        found["apply"] = contents(made)
    if "evaluate" in uses:
        more = [*EVALUATE.get(name, []), "--out", str(work / f"{name}-{kind}-judged")]
        judged = ganvas("evaluate", str(run), "-n", "60", "--seed", "3", "--device", "cpu", *more)
        found["evaluate"] = numbers(judged)
    return found


def flat(options: dict[str, str]) -> list[str]:
    return [part for pair in options.items() for part in pair]


def weights(checkpoint: Path) -> dict[str, Any]:
    """Digests of all tensors of a checkpoint, with their names and without."""
    from safetensors.numpy import load_file

    tensors = {f"{file.stem}/{k}": v for file in checkpoint.rglob("*.safetensors") for k, v in load_file(file).items()}
    each = {key: digest(value) for key, value in tensors.items()}
    named = hashlib.sha256("".join(f"{k} {each[k]}\n" for k in sorted(each)).encode()).hexdigest()
    bits = hashlib.sha256("\n".join(sorted(each.values())).encode()).hexdigest()
    return {"tensors": len(each), "named": named, "bits": bits}


def digest(value: np.ndarray) -> str:
    """Of type, shape and bits."""
    head = f"{value.dtype.str} {value.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()


def contents(folder: Path) -> dict[str, str]:
    """A digest of each file below a folder: decoded, where the bytes say more than the content."""
    return {str(file.relative_to(folder)): content(file) for file in sorted(folder.rglob("*")) if file.is_file()}


def content(file: Path) -> str:
    if file.suffix in {".png", ".tif", ".tiff", ".jpg", ".webp"}:
        from PIL import Image

        with Image.open(file) as picture:
            return digest(np.asarray(picture))
    if file.suffix in {".npy", ".npz"}:
        loaded = np.load(file, allow_pickle=False)
        arrays = {"": loaded} if file.suffix == ".npy" else {key: loaded[key] for key in sorted(loaded)}
        return hashlib.sha256("".join(f"{k} {digest(v)}\n" for k, v in arrays.items()).encode()).hexdigest()
    if file.suffix == ".wav":
        import soundfile

        values, rate = soundfile.read(file, dtype="float64")
        return f"{rate} {digest(values)}"
    if file.suffix == ".json":
        return hashlib.sha256(json.dumps(numbers(json.loads(file.read_text())), sort_keys=True).encode()).hexdigest()
    return hashlib.sha256(file.read_bytes()).hexdigest()


def numbers(value: Any, path: str = "") -> dict[str, float]:
    """All numbers of nested JSON by their path, but times."""
    if isinstance(value, dict):
        parts = [(str(k), v) for k, v in value.items() if k not in TIMES and not str(k).endswith("seconds")]
    elif isinstance(value, list):
        parts = [(str(k), v) for k, v in enumerate(value)]
    elif isinstance(value, (int, float)):
        return {path: value}
    else:
        return {}
    return {key: number for k, v in parts for key, number in numbers(v, f"{path}/{k}" if path else k).items()}


def compare(before: dict[str, Any], after: dict[str, Any], only: str) -> int:
    """Print both, say what differs; 1 where anything but the names of weights does."""
    for key in ("machine", "torch", "numpy"):
        if before[key] != after[key]:
            print(f"Another {key}: {before[key]} before, {after[key]} after. Digests may differ for that alone.")
    print(f"{'run':18} {'bits before':14} {'bits after':14} {'equal':6} names equal")
    differing = 0
    told = []
    for name in sorted(key for key in before["runs"] | after["runs"] if only in key.split()[0]):
        old, new = before["runs"].get(name, {}), after["runs"].get(name, {})
        same = "bits" in old and old["bits"] == new.get("bits")
        shown = [str(one.get("bits", "-"))[:12] for one in (old, new)]
        named = "yes" if old.get("named") == new.get("named") else "no"
        print(f"{name:18} {shown[0]:14} {shown[1]:14} {'yes' if same else 'NO':6} {named}")
        differing += not same
        for part in ("failed", "rounds", "tensors", "sample", "apply", "evaluate"):
            one, other = old.get(part, {}), new.get(part, {})
            if not isinstance(one, dict) or not isinstance(other, dict):
                one, other = {"": one}, {"": other}
            for key in sorted(one.keys() | other.keys()):
                if key not in one or key not in other or not equal(one[key], other[key]):
                    told.append(f"{name}: {part} {key}: {one.get(key, 'none')} before, {other.get(key, 'none')} after")
    print("\n".join(told) if told else "All numbers and files are equal.")
    return int(bool(differing or told))


def equal(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))  # NaN is NaN


def processor() -> str:
    """The model of the CPU."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
