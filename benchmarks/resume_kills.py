"""Kills a training run again and again with SIGKILL, resumes it each time, and compares it with the unkilled run.

    python benchmarks/resume_kills.py --kills 50 --out benchmarks/results/resume_kills.json
    python benchmarks/resume_kills.py --kills 9 --rounds 300 --shards --out benchmarks/results/resume_kills_shards.json
    python benchmarks/resume_kills.py --kills 9 --rounds 300 --parquet --out benchmarks/results/resume_kills_parquet.json

With `--shards` the data are 12,000 pictures in shards of WebDataset, more than the window that they are shuffled in; with
`--parquet` the same in Parquet as Hugging Face keeps it.
Every command is a real `ganvas train` process. A third of the kills falls at a random moment after the start of the process
(most of them before it trains), a third at a random moment of training, a third while a checkpoint is being written. After
each kill the checkpoint on the disk is read; at the end sha256 of weights, optimiser states and random numbers are compared.
Not a measure of speed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganvas.doctor import machine
from ganvas.errors import GanvasError
from ganvas.run import checkpoint
from ganvas.run.logs import read_metrics

KINDS = ("any moment", "training", "saving")
SETTINGS = {"width": 4, "latent_size": 8, "batch_size": 16, "ema_half_life": 500.0}


def digests(run: Path) -> dict[str, str]:
    """Round, and sha256 of weights, optimiser states and random numbers, of a run's last checkpoint."""
    loaded = checkpoint.load(run)
    if loaded is None:
        raise GanvasError(f"{run} has no checkpoint")
    weights, state, _ = loaded
    engine = state["engine"]
    parts = {
        "weights": weights,
        "optimiser": {player: facts["optimiser"] for player, facts in engine["players"].items()},
        "random": {name: engine[name] for name in ("noise", "ranks", "streams")},
    }
    found = {"round": str(engine["clock"]["round"])}
    for name, value in parts.items():
        hasher = hashlib.sha256()
        _feed(hasher, value)
        found[name] = hasher.hexdigest()
    return found


def _feed(hasher: Any, value: Any) -> None:
    if isinstance(value, dict):
        for key in sorted(value):
            hasher.update(repr(key).encode())
            _feed(hasher, value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            _feed(hasher, item)
    elif isinstance(value, torch.Tensor):
        hasher.update(repr((value.dtype, tuple(value.shape))).encode())
        hasher.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    else:
        hasher.update(repr(value).encode())


def command(run: Path, data: Path, rounds: int) -> list[str]:
    """What a user would type: resume when there is a run, else begin it."""
    words = [sys.executable, "-m", "ganvas", "train"]
    if (run / "config.yaml").exists():
        return [*words, "--resume", str(run), "--save-every", "0", "--sample-every", "0", "--quiet"]
    chosen = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    fixed = ["--precision", "32", "--channels-last", "off", "--check-every", "8"]
    rest = [
        "--data",
        str(data),
        "--out",
        str(run),
        "--budget",
        f"{rounds}r",
        "--save-every",
        "0",
        "--sample-every",
        "0",
        "--quiet",
    ]
    return [*words, "dcgan", *chosen, *fixed, *rest]


def manifest(run: Path) -> str:
    """The text of the last checkpoint's manifest; empty when there is none, or none at this moment."""
    try:
        return (run / "checkpoints" / "last" / "manifest.json").read_text()
    except OSError:
        return ""


def kill_once(run: Path, data: Path, rounds: int, kind: str, chance: random.Random, start_up: float) -> dict[str, Any] | None:
    """Run, kill, and tell what was left; None when the run came to its end before it was killed."""
    before, begin = manifest(run), time.monotonic()
    words = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command(run, data, rounds), **words)  # type: ignore[call-overload]
    try:
        if kind == "any moment":
            _sleep(process, chance.uniform(0.0, 1.5 * start_up))
        else:
            while manifest(run) in ("", before) and process.poll() is None:
                time.sleep(0.002)
            _sleep(process, chance.uniform(0.0, 1.0))
            incoming = run / "checkpoints" / ".incoming"
            while kind == "saving" and not incoming.exists() and process.poll() is None:
                time.sleep(0.0002)
            if kind == "saving":
                time.sleep(chance.uniform(0.0, 0.03))
    finally:
        ended = process.poll() is not None
        process.kill()
        _, errors = process.communicate()
    if ended:
        if process.returncode:
            raise GanvasError(f"a run ended by itself with exit code {process.returncode}: {errors.decode()[-300:]}")
        return None
    folder = run / "checkpoints"
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return {"kind": kind, "seconds": round(time.monotonic() - begin, 3), "left": names} | _readable(run)


def _sleep(process: subprocess.Popen[bytes], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _readable(run: Path) -> dict[str, Any]:
    """Whether the checkpoint on the disk can be read; looked at in a copy, because reading also tidies up."""
    if not (run / "checkpoints").is_dir():
        return {"round": None, "unreadable": ""}
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(run / "checkpoints", Path(copy) / "checkpoints")
        try:
            loaded = checkpoint.load(Path(copy))
        except GanvasError as error:
            return {"round": None, "unreadable": str(error)}
        return {"round": None if loaded is None else loaded[2]["round"], "unreadable": ""}


def packed(folder: Path, images: np.ndarray, per: int = 1000) -> Path:
    """The images as PNG in shards."""
    from PIL import Image

    folder.mkdir()
    for start in range(0, len(images), per):
        with tarfile.open(folder / f"train-{start // per:03d}.tar", "w") as tar:
            for k, pixels in enumerate(images[start : start + per], start):
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "PNG")
                info = tarfile.TarInfo(f"{k:06d}.png")
                info.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(info, buffer)
    return folder


def tabled(folder: Path, images: np.ndarray, per: int = 1000) -> Path:
    """The images as PNG in Parquet, in row groups of 100, as the hub of Hugging Face has them."""
    import pyarrow
    from PIL import Image
    from pyarrow import parquet

    folder.mkdir()
    count = -(-len(images) // per)
    for part in range(count):
        rows = []
        for k, pixels in enumerate(images[part * per : (part + 1) * per], part * per):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            rows.append({"bytes": buffer.getvalue(), "path": f"{k:06d}.png"})
        path = folder / f"train-{part:05d}-of-{count:05d}.parquet"
        parquet.write_table(pyarrow.table({"image": rows}), path, row_group_size=100)
    return folder


PACKERS = {"shards": packed, "parquet": tabled}


def measure(
    folder: Path, *, kills: int, rounds: int, seed: int, say: Any = print, packing: str = ""
) -> dict[str, Any]:  # fmt: skip
    """Play an unkilled run, then killed ones until `kills` kills have happened, and compare. packing: one of PACKERS."""
    data = folder / "data.npy"
    images = np.random.default_rng(seed).integers(0, 256, (12_000 if packing else 300, 16, 12), dtype=np.uint8)
    np.save(data, images)
    if packing:
        data = PACKERS[packing](folder / packing, images)
    begin = time.monotonic()
    subprocess.run(command(folder / "straight", data, rounds), check=True, capture_output=True)
    wanted, whole = digests(folder / "straight"), time.monotonic() - begin
    trained = read_metrics(folder / "straight")[-1]["seconds"]
    say(f"unkilled: {rounds} rounds, {trained:.1f} s of training in a process of {whole:.1f} s")
    chance = random.Random(seed)
    struck: list[dict[str, Any]] = []
    differing: list[str] = []
    runs = 0
    while len(struck) < kills:
        runs += 1
        run = folder / f"killed-{runs}"
        order = list(KINDS) * (kills // 3 + 1)
        chance.shuffle(order)
        for kind in order:
            if len(struck) == kills:
                break
            fact = kill_once(run, data, rounds, kind, chance, whole - trained)
            if fact is None:
                break
            struck.append(fact)
            left = ", ".join(fact["left"])
            say(f"kill {len(struck)}: {fact['kind']}, round on disk {fact['round']}, left {left} {fact['unreadable']}")
        else:
            continue
        subprocess.run(command(run, data, rounds), check=True, capture_output=True)  # to the end
        found = digests(run)
        differing += [f"killed-{runs}: {key}" for key in wanted if found[key] != wanted[key]]
        logged = [record["round"] for record in read_metrics(run)]
        if logged != sorted(set(logged)):
            differing.append(f"killed-{runs}: metrics.jsonl has a round twice")
        say(f"killed-{runs} came to its end: {'equal' if found == wanted else 'DIFFERENT'}")
    return {
        "kills": len(struck),
        "by_kind": {kind: sum(fact["kind"] == kind for fact in struck) for kind in KINDS},
        "with_a_save_under_way": sum(bool(set(fact["left"]) - {"last", "previous"}) for fact in struck),
        "unreadable_checkpoints": sum(bool(fact["unreadable"]) for fact in struck),
        "runs": runs,
        "rounds": rounds,
        "differences": differing,
        "unkilled": wanted,
        "each": struck,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/resume_kills.json"))
    for name in PACKERS:
        parser.add_argument(
            f"--{name}", action="store_const", dest="packing", const=name, default="", help=f"of data in {name}"
        )
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GANVAS_CACHE"] = str(Path(folder) / "cache")
        chosen = {"kills": options.kills, "rounds": options.rounds, "seed": options.seed, "packing": options.packing}
        result = measure(Path(folder), **chosen)
    words = f"--kills {options.kills} --rounds {options.rounds} --seed {options.seed}" + f" --{options.packing}" * bool(
        options.packing
    )
    result |= {
        "passed": not result["differences"] and not result["unreadable_checkpoints"],
        "command": f"python benchmarks/resume_kills.py {words}",
        "seconds": round(time.monotonic() - begin),
        "machine": machine(),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    unreadable, differences = result["unreadable_checkpoints"], result["differences"] or "none"
    print(f"{result['kills']} kills, {unreadable} unreadable, differences: {differences}")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
