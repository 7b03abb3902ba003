"""Training speed of ganvas and of what people would use in its place: interleaved blocks, each program in a process of its own.

For each board (`boards`: data, networks' width, batch and size are equal) all programs are started and play two rounds that do
not count. Then they play in turn, one block each, in an order that turns round from pair to pair; nothing else plays meanwhile.
A ratio is seconds a round of the peer over those of ganvas in the same pair, so above 1 ganvas is faster; the figure is the
median over pairs, with the interval of the medians of 2000 resamplings of the pairs (95 %, wide for five pairs).

    pip install --no-deps --target .peers torchgan==0.1.0      # or: make bench-env, which has it
    python benchmarks/peers/compare.py --peers .peers --seconds 60 --pairs 5 --out benchmarks/peers/results/peers.json

`--clock processor` is for trying things out on a busy machine: processor time takes the place of time by the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from boards import BOARDS, ROOT

GANVAS = "ganvas"
OURS = "#c4572e"
RESAMPLINGS, SHARE = 2000, 0.95
PACKAGES = ("torch", "torchgan", "lightning-fabric", "numpy")


class Program:
    """A child that plays blocks. Raises RuntimeError, with its last line, when it fails."""

    def __init__(self, board: str, name: str, *options: str, peers: Path | None = None) -> None:
        path = [str(peers.resolve())] if peers else []
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), *path])}
        worker = ROOT / "peers" / "worker.py"
        self.name = name
        self.child = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(worker), board, name, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
        )  # fmt: skip
        self.first = self._heard()

    def _heard(self) -> dict[str, Any]:
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        if not line:
            assert self.child.stderr is not None
            last = (self.child.stderr.read().strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"{self.name} failed: {last}")
        found: dict[str, Any] = json.loads(line)
        return found

    def play(self, words: str) -> dict[str, Any]:
        """A block, such as `seconds 15`."""
        assert self.child.stdin is not None
        self.child.stdin.write(words + "\n")
        self.child.stdin.flush()
        return self._heard()

    def close(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.close()
        self.child.wait()


def middle(ratios: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """The median with its interval."""
    rng = np.random.default_rng(seed)
    values = np.asarray(ratios)
    medians = np.median(values[rng.integers(len(values), size=(RESAMPLINGS, len(values)))], axis=1)
    low, high = np.quantile(medians, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return {"median": round(float(np.median(values)), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def play(
    name: str,
    programs: Sequence[str],
    block: str,
    pairs: int,
    clock: str = "wall",
    *,
    options: Mapping[str, Sequence[str]] | None = None,
    peers: Path | None = None,
    between: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """One board. block: words for the children. options: program -> of its child. between: called once in each pair, alone.

    Keys: `programs` (name -> `rounds`, `seconds_a_round` of each pair, `median_seconds_a_round`, `peak_mb`), `ratios` (peer ->
    median, low, high, pairs), `differs`.
    """
    key = {"wall": "seconds", "processor": "processor"}[clock]
    children = [Program(name, own, *(options or {}).get(own, ()), peers=peers) for own in programs]
    took: dict[str, list[float]] = {own: [] for own in programs}
    rounds = dict.fromkeys(programs, 0)
    peaks = dict.fromkeys(programs, 0)
    try:
        for pair in range(pairs):
            between()
            for child in children if pair % 2 else children[::-1]:
                told = child.play(block)
                took[child.name].append(told[key] / told["rounds"])
                rounds[child.name] += told["rounds"]
                peaks[child.name] = told["peak"]
    finally:
        for child in children:
            child.close()
    board = BOARDS[name]
    ours = took[GANVAS]
    found: dict[str, Any] = {
        "system": board.system,
        "batch": int(board.settings.get("batch_size", 1)),
        "programs": {
            own: {
                "rounds": rounds[own],
                "median_seconds_a_round": round(statistics.median(took[own]), 5),
                "seconds_a_round": [round(x, 5) for x in took[own]],
                "peak_mb": round(peaks[own] / 2**20, 1),
            }
            for own in programs
        },
        "ratios": {},
        "differs": {own: text for own, text in board.differs.items() if own in programs},
    }
    for own in programs:
        if own != GANVAS:
            each = [theirs / mine for theirs, mine in zip(took[own], ours, strict=True)]
            found["ratios"][own] = middle(each) | {"pairs": [round(x, 4) for x in each]}
    return found


def environment(peers: Path | None) -> dict[str, Any]:
    """The one environment that all programs share."""
    from ganvas.doctor import machine

    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            held = sorted(peers.glob(f"{package}-*.dist-info")) if peers else []
            found[package] = held[0].name.split("-")[1].removesuffix(".dist") if held else None
    import torch

    return {"packages": found, "threads": torch.get_num_threads(), "machine": machine()}


def draw(boards: Mapping[str, Any], path: Path) -> None:
    """Ratios as bars with their intervals; the line at 1 is ganvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [(f"{peer}, {name}", ratio) for name, own in boards.items() for peer, ratio in own["ratios"].items()]
    figure = Figure(figsize=(8, 0.8 + 0.42 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = np.arange(len(rows))[::-1]
    medians = np.array([ratio["median"] for _, ratio in rows])
    sides = np.array([[ratio["median"] - ratio["low"], ratio["high"] - ratio["median"]] for _, ratio in rows]).T
    axes.barh(places, medians, 0.62, color="#8aa0b5", xerr=sides, error_kw={"ecolor": "#303840", "capsize": 3})
    for place, median, side in zip(places, medians, sides[1], strict=True):
        axes.text(median + side, place, f"  {median:.2f}", va="center", fontsize=9)
    axes.axvline(1, color=OURS, lw=1.5)
    axes.set_yticks(places, [label for label, _ in rows])
    axes.set_xlim(0, 1.12 * max(1.0, float((medians + sides[1]).max())))
    axes.set_xlabel("seconds a round, over those of ganvas (line): longer bars are slower")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=130)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--boards", nargs="*", choices=BOARDS, default=list(BOARDS))
    parser.add_argument("--seconds", type=float, default=60.0, help="of a block (default 60)")
    parser.add_argument("--rounds", type=int, help="of a block, in place of --seconds")
    parser.add_argument("--pairs", type=int, default=5, help="blocks of each program (default 5)")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--peers", type=Path, help="folder with torchgan, where the environment has none")
    parser.add_argument("--threads", type=int, help="of torch, of every program")


def block_of(args: argparse.Namespace) -> str:
    return f"rounds {args.rounds}" if args.rounds else f"seconds {args.seconds}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    threads = ("--threads", str(args.threads)) if args.threads else ()
    result: dict[str, Any] = {"block": block_of(args), "pairs": args.pairs, "clock": args.clock, "boards": {}}
    for name in args.boards:
        programs = [GANVAS, *BOARDS[name].peers]
        given = dict.fromkeys(programs, threads)
        found = play(name, programs, block_of(args), args.pairs, args.clock, options=given, peers=args.peers)
        result["boards"][name] = found
        print(name, json.dumps({own: ratio["median"] for own, ratio in found["ratios"].items()}), flush=True)
    result |= environment(args.peers) | {"command": "python benchmarks/peers/compare.py"}
    write(result, args.out)


def write(result: Mapping[str, Any], path: Path | None) -> None:
    """The result and its picture beside it; printed where no path is given."""
    text = json.dumps(result, indent=1)
    if path is None:
        print(text)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
    draw(result["boards"], path.with_suffix(".png"))


if __name__ == "__main__":
    main()
