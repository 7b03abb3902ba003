"""One program of a board in a process of its own, which plays blocks of rounds when told to. Not for comparing (`compare`).

It is a child of `compare`. After two rounds that do not count it says `{"base": ..., "ready": true}`; then each line on its
standard input (`seconds 15` or `rounds 4`) is a block, and each block a line of JSON: `rounds`, `seconds`, `processor` (seconds
of the processor, over all threads) and `peak` (bytes the process ever held at most). It ends with its input.

    python benchmarks/peers/worker.py dcgan-64 ganvas
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from typing import Any, NoReturn

from boards import BOARDS, RECORDS, Board, engine, script

WARM = 2  # rounds before the first block: optimisers get their states, pools fill
GANVAS = "ganvas"


class Ended(Exception):
    """There are no more blocks."""


class Gate:
    """Called after every round. Between blocks it waits for the next one."""

    def __init__(self, base: int) -> None:
        self.base, self.rounds, self.limit, self.until = base, 0, WARM, float("inf")
        self.ready = False
        self.begin = self.processor = 0.0

    def __call__(self) -> None:
        self.rounds += 1
        if self.rounds < self.limit and time.perf_counter() < self.until:
            return
        self._tell()
        self._wait()

    def _tell(self) -> None:
        from ganvas.run.pace import resident

        told: dict[str, Any] = {"base": self.base, "ready": True, "peak": resident("VmHWM")}
        if self.ready:
            told |= {"rounds": self.rounds, "seconds": time.perf_counter() - self.begin}
            told["processor"] = time.process_time() - self.processor
        self.ready = True
        out.write(json.dumps(told) + "\n")
        out.flush()

    def _wait(self) -> None:
        words = sys.stdin.readline().split()
        if len(words) != 2:
            raise Ended
        self.rounds, self.processor, self.begin = 0, time.process_time(), time.perf_counter()
        self.limit = int(words[1]) if words[0] == "rounds" else sys.maxsize
        self.until = self.begin + float(words[1]) if words[0] == "seconds" else float("inf")


def ganvas(board: Board, tick: Any, **options: Any) -> NoReturn:
    """The Engine on the board, in a process that keeps memory as every `ganvas train` does."""
    from ganvas.doctor import keep_memory

    keep_memory()
    played = engine(board, **options)
    while True:
        played.play_round()
        tick()


def program(board: Board, name: str) -> Any:
    """The function that plays it."""
    if name.split()[0] == GANVAS:
        return ganvas
    module, _, function = board.peers[name].partition(":")
    return getattr(script(module), function)


def resized(board: Board, size: int | None, width: int | None, batch: int | None) -> Board:
    """The same board at another size of images, width or batch."""
    spec = board.spec
    if size:
        spec = (
            {name: dataclasses.replace(own, height=size, width=size) for name, own in spec.items()}
            if isinstance(spec, dict)
            else dataclasses.replace(spec, height=size, width=size)
        )
    asked = {"width": width, "batch_size": batch}
    return dataclasses.replace(board, spec=spec, settings={**board.settings, **{k: v for k, v in asked.items() if v}})


out = sys.stdout


def main() -> None:
    global out
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", choices=BOARDS)
    parser.add_argument("program")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--size", type=int, help="pixels of a side, in place of the board's")
    parser.add_argument("--width", type=int, help="of the networks, in place of the board's")
    parser.add_argument("--batch", type=int, help="records in a batch, in place of the board's")
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--layout", choices=("auto", "on", "off"), help="of ganvas: channels_last")
    parser.add_argument("--precision", help="of ganvas")
    parser.add_argument("--micro-batches", type=int, help="of ganvas")
    parser.add_argument("--recompute", action="store_const", const=True, help="of ganvas: activations are computed again")
    args = parser.parse_args()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what programs print is no answer

    import torch

    from ganvas.run.pace import resident

    if args.threads:
        torch.set_num_threads(args.threads)
    board = BOARDS[args.board]
    play = program(board, args.program)
    names = ("layout", "precision", "micro_batches", "recompute")
    own = {name: value for name in names if (value := getattr(args, name)) is not None} if play is ganvas else {}
    # A tiny game first, so that libraries are loaded and set up: what is held then is the idle process.
    tiny = resized(board, 16 if board.system == "dcgan" else None, 4, 2)
    with_end(play, tiny, 2, records=4, **own | ({"micro_batches": 1} if own else {}))
    board = resized(board, args.size, args.width, args.batch)
    gate = Gate(resident("VmRSS"))
    try:
        play(board, gate, count=args.records, **own)
    except Ended:
        os._exit(0)  # a trainer in the midst of an epoch has nothing to tidy up


def with_end(play: Any, board: Board, rounds: int, *, records: int, **options: Any) -> None:
    """Play so many rounds."""
    left = [rounds]

    def tick() -> None:
        left[0] -= 1
        if not left[0]:
            raise Ended

    try:
        play(board, tick, count=records, **options)
    except Ended:
        return


if __name__ == "__main__":
    main()
