"""Training throughput of ganvas: against the machine's ceiling, and against what people would use in its place.

One run measures both, in the same minutes: `benchmarks/peers/compare.py` plays blocks of all programs in turn (what they are,
and what each computes, stands in `benchmarks/peers/boards.py`), and once in each pair, while nothing else plays, every layer of
a DCGAN round is timed alone (`ceiling.py` says what is in that sum; of pix2pix and CycleGAN once, so that the possible ratio is
told there too). Ratios are medians over pairs, with intervals. Seconds of the ceiling are those of the same pair.

Marks, written before the first run, float32 on all cores:

1. dcgan-64 (64 channels, batch 64): at least 90 % of the ceiling.
2. dcgan-64 against the plain script at least min(1.3, 0.95 x the plain script's seconds / the ceiling's seconds); against
   torchgan at least min(1.5, 0.95 x torchgan's seconds / the ceiling's).
3. pix2pix and CycleGAN at 128 pixels at least 1.2 times the standard recipe.
4. Peak memory of DCGAN at 128 pixels, 64 channels, batch 64, above the idle process: at most 0.7 times the plain script's, with
   the settings that save memory at equal batch (`--recompute-activations --micro-batches 8`; others told beside it).
5. `ganvas memory dcgan --fit 1GiB` at 128 pixels and batch 64: what it names first keeps to it, measured.

melgan and wgan-gp have no mark. bf16 (`--precision bf16-mixed`), which ganvas chooses unasked for dcgan where the
processor has it and convolves faster by it, is a block beside the float32 ones, with a ceiling of its own, and enters no mark.

    make bench-env                                     # one environment for all, torchgan included
    .bench/bin/python benchmarks/speed/throughput.py --seconds 12 --out benchmarks/speed/results/throughput.json

writes `throughput.json`, and beside it what each pair took, with the picture: `benchmarks/peers/results/peers.json` and `.png`
(`--peers-out`). In another environment torchgan is installed into a folder that is named: `compare.py` says how.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from ceiling import CLOCKS, ceiling, operations, product_rate, work

sys.path.append(str(Path(__file__).parents[1] / "peers"))

from boards import BOARDS, ROOT, engine
from compare import GANVAS, Program, add_options, block_of, environment, middle, play, write

MAIN, PLAIN, TORCHGAN, STANDARD = "dcgan-64", "plain PyTorch", "torchgan", "standard recipe"
MIXED = f"{GANVAS} bf16"
BOUNDED = (MAIN, "pix2pix-128", "cyclegan-128")  # boards of which the ceiling is measured
SHARE, PLAIN_MARK, TORCHGAN_MARK, REACHED, TRANSLATION_MARK, MEMORY_MARK = 0.9, 1.3, 1.5, 0.95, 1.2, 0.7
LIMIT, SIDE, PIECES = 2**30, 128, 8
SAVING = f"--recompute-activations --micro-batches {PIECES}"
MIB = 2**20


class Ceiling:
    """Of a round of a board, measured whenever it is called; of others than the main one only once. `games` by precision."""

    def __init__(self, board: str, precisions: tuple[str, ...], passes: int, clock: str) -> None:
        self.passes, self.clock, self.once = passes, CLOCKS[clock], board != MAIN
        self.games: dict[str, Any] = {}
        self.work = 0.0
        for precision in precisions:
            own = BOARDS[board]
            played = engine(own, precision=precision, count=max(16, 2 * int(own.settings.get("batch_size", 1))))
            played.play_round()
            self.games[precision] = operations(played)
            self.work = self.work or work(played)
        self.told: dict[str, list[dict[str, Any]]] = {precision: [] for precision in precisions}
        self.rates: list[float] = []

    def __call__(self) -> None:
        if self.once and self.rates:
            return
        for precision, found in self.games.items():
            self.told[precision].append(ceiling(found, self.passes, self.clock))
        self.rates.append(product_rate(clock=self.clock))

    def seconds(self, precision: str, pairs: int) -> list[float]:
        """Of each pair."""
        found = [own["seconds"] for own in self.told[precision]]
        return found * pairs if self.once else found

    def summary(self, precision: str) -> dict[str, Any]:
        own = sorted(self.told[precision], key=lambda one: one["seconds"])[len(self.told[precision]) // 2]
        return {
            "seconds": [round(one["seconds"], 5) for one in self.told[precision]],
            "kinds": {name: round(x, 5) for name, x in own["kinds"].items()},
            "layouts": {name: round(x, 5) for name, x in own["layouts"].items()},
            "weight_gradients": own["weight_gradients"],
        }


def over(upper: list[float], lower: list[float]) -> dict[str, Any]:
    """Median and interval of the ratio, pair by pair."""
    return middle([a / b for a, b in zip(upper, lower, strict=True)])


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 itself."""
    told = Path("/proc/cpuinfo")
    return told.exists() and any(word in told.read_text() for word in ("avx512_bf16", "amx_bf16"))


def memory(peers: Path | None, threads: tuple[str, ...]) -> dict[str, Any]:
    """Peaks in MB above the idle process (libraries loaded, a tiny game played) after two rounds; and what --fit names."""
    from ganvas.memory.board import describe
    from ganvas.memory.fitting import fit

    settings = ("--size", str(SIDE), "--records", "64", *threads)
    asked: dict[str, tuple[str, tuple[str, ...]]] = {
        "plain": (PLAIN, ()),
        "as it comes": (GANVAS, ()),
        f"--micro-batches {PIECES}": (GANVAS, ("--micro-batches", str(PIECES))),
        "--recompute-activations": (GANVAS, ("--recompute",)),
        SAVING: (GANVAS, ("--recompute", "--micro-batches", str(PIECES))),
        "--precision bf16-mixed": (GANVAS, ("--precision", "bf16-mixed", "--layout", "on")),
        f"--precision bf16-mixed --micro-batches {PIECES}": (
            GANVAS, ("--precision", "bf16-mixed", "--layout", "on", "--micro-batches", str(PIECES))
        ),
    }  # fmt: skip
    peaks: dict[str, float] = {}
    for name, (program, more) in asked.items():
        child = Program(MAIN, program, *settings, *more, peers=peers)
        peaks[name] = round((child.first["peak"] - child.first["base"]) / MIB, 1)
        child.close()
    plain = peaks.pop("plain")
    case = describe("dcgan", size=str(SIDE), channels=1, preset="paper", config={"width": 64}, batch=64, precision="32")
    first = fit(case, LIMIT)["ways"][0]
    return {
        "what": f"DCGAN at {SIDE} pixels, 64 channels, batch 64: MB above the idle process",
        "plain_mb": plain,
        "ganvas_mb": peaks,
        "ratios": {name: round(peak / plain, 4) for name, peak in peaks.items()},
        "fit": {"limit_mb": LIMIT / MIB} | first,
        "command": "ganvas memory dcgan --preset paper --set width=64 --size 128 --channels 1 --batch 64 --fit 1GiB",
    }


def marks(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Each mark with what was found; those of boards that were not played are left out."""
    rows: list[tuple[str, float | None, float, bool]] = [
        ("share of the ceiling, dcgan-64", result.get("share_of_ceiling"), SHARE, True)
    ]
    for name, most in (("plain_pytorch", PLAIN_MARK), ("torchgan", TORCHGAN_MARK)):
        possible = result.get(f"possible_ratio_{name}")
        mark = min(most, REACHED * possible) if possible else most
        rows.append((f"dcgan-64 against {name}", result.get(f"ratio_{name}"), round(mark, 4), True))
    rows += [(f"{name} at 128 pixels", result.get(f"ratio_{name}"), TRANSLATION_MARK, True) for name in ("pix2pix", "cyclegan")]
    if held := result.get("memory"):
        saved = held["ratios"][SAVING]
        rows.append(("memory at equal batch, over the plain script's", saved, MEMORY_MARK, False))
        fit = held["fit"]
        rows.append(("MB of what --fit 1GiB names first", fit.get("measured_mb"), fit["limit_mb"], False))
    return [
        {"mark": name, "found": found, "wanted": wanted, "passed": found >= wanted if more else found <= wanted}
        for name, found, wanted, more in rows
        if found is not None
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--passes", type=int, default=5, help="of each layer, of which the fastest counts")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--no-bf16", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--peers-out", type=Path, default=None, help="default: benchmarks/peers/results/peers.json with --out")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    from ganvas.doctor import keep_memory

    keep_memory()
    threads = ("--threads", str(args.threads)) if args.threads else ()
    mixed = has_bf16() and not args.no_bf16
    began = time.perf_counter()
    tops: dict[str, Ceiling] = {}
    played: dict[str, Any] = {}
    for name in args.boards:
        programs = [GANVAS, *BOARDS[name].peers]
        options = dict.fromkeys(programs, threads)
        if name == MAIN and mixed:
            programs.append(MIXED)
            options[MIXED] = (*threads, "--precision", "bf16-mixed", "--layout", "on")
        if name in BOUNDED:
            precisions = ("32", "bf16-mixed") if name == MAIN and mixed else ("32",)
            tops[name] = Ceiling(name, precisions, args.passes, args.clock)
        between = {"between": tops[name]} if name in tops else {}
        played[name] = play(
            name, programs, block_of(args), args.pairs, args.clock, options=options, peers=args.peers, **between
        )  # fmt: skip
        print(name, json.dumps({own: ratio["median"] for own, ratio in played[name]["ratios"].items()}), flush=True)
    result: dict[str, Any] = {"block": block_of(args), "pairs": args.pairs, "clock": args.clock, "intervals": {}}
    result["ceilings"] = {}
    for name, top in tops.items():
        seconds = {own: told["seconds_a_round"] for own, told in played[name]["programs"].items()}
        bound, rate = top.seconds("32", args.pairs), statistics.median(top.rates)
        end = "" if name == MAIN else f"_{BOARDS[name].system}"
        result["intervals"][f"share_of_ceiling{end}"] = over(bound, seconds[GANVAS])
        peers = {PLAIN: "_plain_pytorch", TORCHGAN: "_torchgan", STANDARD: end}
        for peer, word in peers.items():
            if peer in seconds:
                result["intervals"][f"ratio{word}"] = over(seconds[peer], seconds[GANVAS])
                result["intervals"][f"possible_ratio{word}"] = over(seconds[peer], bound)
        result["ceilings"][name] = {
            "32": top.summary("32"),
            "gflop_a_round": round(top.work, 2),
            "product_gflop_per_second": round(rate, 1),
            "share_of_product_rate": round(top.work / statistics.median(seconds[GANVAS]) / rate, 4),
        }
        if MIXED in seconds:
            result["ceilings"][name]["bf16-mixed"] = top.summary("bf16-mixed")
            mixed_bound = top.seconds("bf16-mixed", args.pairs)
            result["intervals"]["share_of_ceiling_bf16"] = over(mixed_bound, seconds[MIXED])
            result["intervals"]["ratio_plain_pytorch_bf16"] = over(seconds[PLAIN], seconds[MIXED])
            played[name]["ratios"].pop(MIXED)  # no peer
    for name, own in played.items():
        for peer, ratio in own["ratios"].items():
            if name in tops and peer in (PLAIN, TORCHGAN, STANDARD):
                continue
            key = "ratio_" + (own["system"] if peer == "ParallelWaveGAN" else f"{own['system']}_{peer}")
            result["intervals"][key.lower().replace("-", "_")] = {k: ratio[k] for k in ("median", "low", "high")}
    result |= {key: own["median"] for key, own in result["intervals"].items()}
    if not args.no_memory:
        result["memory"] = memory(args.peers, threads)
    result["marks"] = marks(result)
    shared = environment(args.peers)
    shared |= {"command": "python benchmarks/speed/throughput.py", "minutes": round((time.perf_counter() - began) / 60, 1)}
    result |= shared
    print(json.dumps(result, indent=1))
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")
        beside = {"block": block_of(args), "pairs": args.pairs, "clock": args.clock, "boards": played} | shared
        write(beside, args.peers_out or ROOT / "peers" / "results" / "peers.json")


if __name__ == "__main__":
    main()
