"""What several processes exchange and how long that takes: counted, measured on a link of known speed, and expected on many.

    python benchmarks/scaling.py --forms count,link,scaling --rounds 20 --out benchmarks/results/scaling.json

count: bytes of each all-reduce, by the formula (four for each trained parameter of the player that moves) and as they pass
through the code and over the wire. link: two processes in two network namespaces (Linux, root, `ip` and `tc`) on links made
slow, against what the model says of each. scaling: 1 and 2 processes on this machine, the batch shared (strong) and as large
for each (weak). model: the table for 8 to 64 GPUs, from the formula alone. Processes find each other by the variables that
launchers set. Not for how good anything is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.doctor import machine

SIDE = 32
NAMES = ("ganvasbench0", "ganvasbench1")
CABLE = "veth0"
LINKS: dict[str, dict[str, float]] = {  # rate in Mbit/s, delay in ms one way
    "as it is": {},
    "4 Mbit/s": {"rate": 4.0},
    "2 Mbit/s": {"rate": 2.0},
    "100 ms": {"delay": 100.0},
    "4 Mbit/s and 100 ms": {"rate": 4.0, "delay": 100.0},
}
PAIRS = 5  # of two processes that share a game and two that do not
DECISION = 2  # broadcasts in which a run agrees on what comes next, every round
# What the table assumes of machines: bytes a second that a ring of all-reduce gets, and seconds of each of its steps.
MACHINES = {
    "8 GPUs in one machine (NVLink)": (8, 200e9, 10e-6),
    "16 GPUs, 400 Gbit/s a machine": (16, 40e9, 20e-6),
    "64 GPUs, 400 Gbit/s a machine": (64, 40e9, 20e-6),
    "16 GPUs, 100 Gbit/s a machine": (16, 10e9, 20e-6),
    "64 GPUs, 100 Gbit/s a machine": (64, 10e9, 20e-6),
    "64 GPUs, 10 Gbit/s a machine": (64, 1e9, 50e-6),
}


# The model


def all_reduce_seconds(bytes_: float, world: int, bandwidth: float, latency: float) -> float:
    """A ring: every process sends its share on 2 (W - 1) times, W shares to the whole."""
    return 2 * (world - 1) / world * bytes_ / bandwidth + 2 * (world - 1) * latency


def exchange_seconds(turns: list[int], world: int, bandwidth: float, latency: float) -> float:
    """All that is exchanged in a round: the gradients of each turn (bytes), and the decision."""
    tree = max(1, (world - 1).bit_length())
    return sum(all_reduce_seconds(b, world, bandwidth, latency) for b in turns) + DECISION * tree * latency


def formula(engine: Any) -> list[int]:
    """Bytes of the all-reduce of each turn of a round of the first phase: numbers that its player owns times their size."""
    found: list[int] = []
    for turn in engine.phases[0].turns:
        times = 1 if callable(turn.times) else turn.times
        found += [sum(p.numel() * p.element_size() for p in engine.seats[turn.player].owned)] * times
    return found


def table(cases: dict[str, tuple[list[int], float]]) -> list[dict[str, Any]]:
    """Efficiency on each set of machines: weak (each GPU keeps the batch) and strong (the batch is shared)."""
    rows = []
    for name, (turns, seconds) in cases.items():
        for label, (world, bandwidth, latency) in MACHINES.items():
            spent = exchange_seconds(turns, world, bandwidth, latency)
            rows.append(
                {
                    "case": name, "machines": label, "world": world, "exchange_ms": round(1e3 * spent, 3),
                    "weak": round(seconds / (seconds + spent), 3),
                    "strong": round((seconds / world) / (seconds / world + spent), 3),
                }
            )  # fmt: skip
    return rows


# One process of one or two


def board(processes: Any, batch: int, width: int) -> Any:
    """An Engine of dcgan on random pictures."""
    import torch

    from ganvas.config import build_config
    from ganvas.data.dataset import Dataset, Field
    from ganvas.data.streams import DatasetStream
    from ganvas.engine import Engine
    from ganvas.kinds.image.spec import ImageSpec
    from ganvas.registry import load_system
    from ganvas.specs import REAL

    spec = ImageSpec(channels=1, height=SIDE, width=SIDE)
    values = np.random.default_rng(0).integers(0, 256, (256, SIDE, SIDE, 1), dtype=np.uint8)
    data = Dataset({REAL: Field(spec, values)}, None, np.arange(256), np.zeros(256, bool), "noise", "")
    _, _, system = load_system("dcgan")
    torch.manual_seed(0)
    game: Any = system(spec, build_config(system.Config, {"width": width, "batch_size": batch}))  # type: ignore[attr-defined]
    stream = DatasetStream(data, batch, world=processes.world)
    return Engine(game.to(processes.device), {"data": stream}, processes=processes, check_every=10_000)


def sent() -> int | None:
    """Bytes that this namespace has sent over the cable; None without one."""
    with contextlib.suppress(OSError):
        return int(Path(f"/sys/class/net/{CABLE}/statistics/tx_bytes").read_text())
    with contextlib.suppress(OSError, StopIteration):
        line = next(row for row in Path("/proc/net/dev").read_text().splitlines() if row.strip().startswith(f"{CABLE}:"))
        return int(line.split(":")[1].split()[8])
    return None


def play(processes: Any, batch: int, width: int, rounds: int) -> dict[str, Any]:
    """Seconds of rounds as a run plays them, what was exchanged in each, and the seconds of a smallest exchange."""
    import torch

    torch.set_num_threads(1)
    engine = board(processes, batch, width)
    for _ in range(2):  # optimisers, buffers of torch
        engine.play_round()
        processes.agree(("", False, ""))
    passed: list[int] = []
    whole = None if processes.group is None else processes.group.all_reduce
    if whole is not None:

        def counted(tensor: Any, reduce_op: str) -> Any:
            passed.append(tensor.numel() * tensor.element_size())
            return whole(tensor, reduce_op)

        processes.group.all_reduce = counted
    processes.wait()
    before, seconds, worked = sent(), [], time.process_time()
    for _ in range(rounds):
        begin = time.perf_counter()
        engine.play_round()
        processes.agree(("", False, ""))
        seconds.append(time.perf_counter() - begin)
    after, worked = sent(), time.process_time() - worked
    processes.wait()
    tiny = []
    if whole is not None:
        for _ in range(10):
            begin = time.perf_counter()
            whole(torch.zeros(1), "sum")
            tiny.append(time.perf_counter() - begin)
    turns = formula(engine)
    return {
        "world": processes.world, "batch": batch, "width": width, "rounds": rounds, "turn_bytes": turns,
        "passed_bytes_a_round": sum(passed) / rounds, "exchanges_a_round": len(passed) / rounds,
        "wire_bytes_a_round": None if before is None or after is None else (after - before) / rounds,
        "seconds": statistics.median(seconds), "seconds_mean": statistics.mean(seconds),
        "processor_seconds_a_round": worked / rounds, "tiny_seconds": statistics.median(tiny) if tiny else None,
    }  # fmt: skip


def slow_down(rate: float | None = None, delay: float | None = None) -> str:
    """Make this end of the cable slow; the command that did it."""
    subprocess.run(["tc", "qdisc", "del", "dev", CABLE, "root"], check=False, capture_output=True)
    words = ["tc", "qdisc", "add", "dev", CABLE, "root"]
    if delay is not None:
        words += ["netem", "delay", f"{delay:g}ms", *(["rate", f"{rate:g}mbit"] if rate is not None else []), "limit", "10000"]
    elif rate is not None:
        words += ["tbf", "rate", f"{rate:g}mbit", "burst", "16kb", "latency", "2s"]
    else:
        return ""
    subprocess.run(words, check=True)
    return " ".join(words)


def play_links(processes: Any, batch: int, width: int, rounds: int) -> list[dict[str, Any]]:
    """Each link: what a round took beyond one on the link as it is, and what the model says that it would."""
    found: list[dict[str, Any]] = []
    for name, link in LINKS.items():
        processes.wait()
        try:
            row: dict[str, Any] = {"link": name, "tc": slow_down(**link)}
        except subprocess.CalledProcessError as error:  # netem is a module that not every kernel has
            found.append({"link": name, "skipped": f"{' '.join(error.cmd)}: not on this machine"})
            continue
        row |= play(processes, batch, width, rounds)
        if found:
            bandwidth = link["rate"] * 1e6 / 8 if "rate" in link else float("inf")
            row["expected_slower_by"] = exchange_seconds(row["turn_bytes"], 2, bandwidth, link.get("delay", 0.0) / 1e3)
            row["slower_by"] = row["seconds"] - found[0]["seconds"]
            row["ratio"] = row["slower_by"] / row["expected_slower_by"]
        found.append(row)
        if processes.leads:
            print(json.dumps(row), file=sys.stderr, flush=True)
    return found


def member(form: str, batch: int, width: int, rounds: int) -> None:
    """A process that was started by `together`: process 0 prints what it found."""
    from ganvas import launchers

    launchers.hush()
    place, work = launchers.found(), play_links if form == "link" else play
    if place is None or place.world == 1:
        import torch

        from ganvas.parallel import Processes

        print(json.dumps(work(Processes(torch.device("cpu")), batch, width, rounds)))
        return
    from ganvas.ranks import Ranks

    with Ranks(place, {}) as ranks:
        if not ranks.leads:
            ranks.follow(work)
            return
        print(json.dumps(ranks.launch(work, (batch, width, rounds), processes=place.world, device="cpu")))


# Starting them


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def together(world: int, batch: int, width: int, rounds: int, *, apart: bool = False) -> Any:
    """What process 0 of `world` found; apart: each in its own namespace, on several links."""
    return started_as([(rank, world) for rank in range(world)], batch, width, rounds, apart=apart)[0]


def beside(count: int, batch: int, width: int, rounds: int) -> list[Any]:
    """What each of `count` processes found that were started at once and know nothing of one another."""
    return started_as([(0, 1)] * count, batch, width, rounds)


def started_as(ranks: list[tuple[int, int]], batch: int, width: int, rounds: int, *, apart: bool = False) -> list[Any]:
    """What processes said, each started as (rank, of how many); None of one that says nothing."""
    port, address = (29_500, "10.83.2.1") if apart else (free_port(), "127.0.0.1")
    words = [sys.executable, __file__, "--member", f"{'link' if apart else ''},{batch},{width},{rounds}"]
    started = []
    for rank, world in ranks:
        places = {
            "RANK": rank,
            "WORLD_SIZE": world,
            "LOCAL_RANK": 0 if apart else rank,
            "LOCAL_WORLD_SIZE": 1 if apart else world,
        }
        places |= {"MASTER_ADDR": address, "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        places |= {"GLOO_SOCKET_IFNAME": CABLE} if apart else {}
        prefix = ["ip", "netns", "exec", NAMES[rank]] if apart else []
        environment = {**os.environ, **{name: str(value) for name, value in places.items()}}
        started.append(subprocess.Popen([*prefix, *words], env=environment, stdout=subprocess.PIPE, text=True))
    said = [process.communicate(timeout=1800)[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("a process failed: what it said stands above")
    return [json.loads(own) if own.strip() else None for own in said]


@contextlib.contextmanager
def cable() -> Iterator[None]:
    """Two network namespaces and a cable between them."""

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", CABLE, "netns", NAMES[0], "type", "veth", "peer", "name", CABLE, "netns", NAMES[1])
        for number, name in enumerate(NAMES, start=1):
            ip("-n", name, "address", "add", f"10.83.2.{number}/24", "dev", CABLE)
            ip("-n", name, "link", "set", CABLE, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "delete", name], check=False)


def scaling(batch: int, width: int, rounds: int) -> dict[str, Any]:
    """Strong: two processes share the batch of one. Weak: each has as much as one. Efficiency is against one process, and, for
    a processor whose cores slow one another down, against two that play alone beside each other, in turns (`of_uncoupled`)."""
    one = together(1, batch, width, rounds)
    strong = together(2, batch, width, rounds)
    pairs = []
    for _ in range(PAIRS):
        weak, alone = together(2, 2 * batch, width, rounds), beside(2, batch, width, rounds)
        pairs.append((2 * batch / weak["seconds"], sum(batch / own["seconds"] for own in alone)))
    return {
        "one": one, "strong": strong, "weak": weak, "strong_efficiency": one["seconds"] / (2 * strong["seconds"]),
        "weak_efficiency": one["seconds"] / weak["seconds"],
        "images_a_second": [{"coupled": coupled, "uncoupled": apart} for coupled, apart in pairs],
        "of_uncoupled": statistics.median(coupled / apart for coupled, apart in pairs),
    }  # fmt: skip


def cases() -> dict[str, tuple[list[int], float]]:
    """Games of the table: bytes of their turns, and seconds of a round on one GPU, which are assumed and not measured here."""
    import torch

    from ganvas.parallel import Processes

    turns = {width: formula(board(Processes(torch.device("cpu")), 64, width)) for width in (64, 256)}
    return {
        "small: dcgan, width 64, a round of 5 ms": (turns[64], 0.005),
        "large: dcgan, width 256, a round of 50 ms": (turns[256], 0.05),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--forms", default="count,model", help="of count, link, scaling, model, with commas (default count,model)"
    )
    parser.add_argument("--rounds", type=int, default=20, help="that are measured (default 20)")
    parser.add_argument("--batch", type=int, default=16, help="records, of all processes (default 16)")
    parser.add_argument("--width", type=int, default=16, help="of dcgan (default 16)")
    parser.add_argument("--note", default="", help="said in the file, as of a machine that was busy")
    parser.add_argument("--out", type=Path, help="a JSON file; what other forms wrote into it stays")
    parser.add_argument("--member", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.member:
        form, *numbers = options.member.split(",")
        member(form, *map(int, numbers))
        return
    result = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    size = (options.batch, options.width, options.rounds)
    for form in options.forms.split(","):
        facts = {
            "command": " ".join(["python", "benchmarks/scaling.py", *sys.argv[1:]]),
            "machine": machine(),
            "note": options.note,
        }
        facts["load_average"] = os.getloadavg()[0]
        if form == "count":
            facts["found"] = together(2, *size)
        elif form == "link":
            with cable():
                facts["found"] = together(2, *size, apart=True)
        elif form == "scaling":
            facts["found"] = scaling(*size)
        elif form == "model":
            known = cases()
            facts["found"] = {
                "cases": {n: {"turn_bytes": t, "seconds": s} for n, (t, s) in known.items()},
                "rows": table(known),
            }
        else:
            raise SystemExit(f"unknown form '{form}': count, link, scaling or model")
        result[form] = facts
        if options.out:
            options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
