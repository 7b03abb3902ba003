"""Roll-outs of seqgan that go on from where they stand, against the plain loop that begins anew for each place.

Both write the same sequences, symbol for symbol, from the same random numbers; that is checked first, on a few records. Then
both are timed in turn on the same batch. The plain loop has the order of work of the authors' code: for each way to go on and
each place, read the beginning and write the rest. With the same function to draw symbols by, the ratio is that of the order of
work alone; with `torch.multinomial` on a softmax, as one would write it first, it is that of all that was done for speed.

    python benchmarks/speed/seqgan.py --out benchmarks/results/seqgan_speed.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganvas.doctor import keep_memory, machine
from ganvas.kinds.tokens.spec import TokensSpec
from ganvas.networks.forms import Forms
from ganvas.networks.seqgan import Policy

SHAPES = {"paper": (5000, 20, 64, 16), "melodies": (40, 32, 64, 16)}
"""name -> (symbols, length, records, ways)."""


@torch.no_grad()
def plainly(policy: Policy, tokens: Tensor, chances: Tensor, ways: int, *, multinomial: bool = False) -> Tensor:
    """(T - 1, B, R, T), as `Policy.continued` gives them: each beginning is read anew for each way.

    multinomial: draw by torch's own function, and so other symbols.
    """
    count, length = tokens.shape
    made = torch.empty(length - 1, count, ways, length, dtype=torch.int64)
    for way in range(ways):
        for given in range(1, length):
            memory, own = policy.start(count), tokens.clone()
            for place in range(length):
                if place >= given and multinomial:
                    own[:, place] = torch.multinomial(policy.output(memory[0]).softmax(1), 1)[:, 0]
                elif place >= given:
                    own[:, place] = policy.choose(memory[0], chances[:, given - 1, way, place])
                memory = policy.cell(policy.embedding(own[:, place]), memory)
            made[given - 1, :, way] = own
    return made


def seconds(call: Callable[[], Any]) -> float:
    """Of the processor, not of the wall: other programs may run."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


def measured(symbols: int, length: int, records: int, ways: int, repeats: int) -> dict[str, Any]:
    """Times of both for one shape."""
    torch.manual_seed(0)
    forms = Forms(TokensSpec(length, tuple(str(k) for k in range(symbols))))
    policy = Policy(symbols, length, 32, 32, forms, ends=False)
    tokens = policy.write(torch.rand(records, length))
    chances = torch.rand(records, length - 1, ways, length)
    few = min(4, records)
    same = torch.equal(policy.continued(tokens[:few], chances[:few]), plainly(policy, tokens[:few], chances[:few], ways))
    if not same:
        raise SystemExit("the two ways do not write the same sequences: times of them do not compare")
    fast, slow = [], []
    for _ in range(repeats):
        fast.append(seconds(lambda: policy.continued(tokens, chances)))
        slow.append(seconds(lambda: plainly(policy, tokens, chances, ways)))
    first = seconds(lambda: plainly(policy, tokens, chances, ways, multinomial=True))
    return {
        "symbols": symbols, "length": length, "records": records, "ways": ways, "repeats": repeats, "same_sequences": same,
        "continued_seconds": round(statistics.median(fast), 4), "plain_seconds": round(statistics.median(slow), 4),
        "ratio": round(statistics.median(slow) / statistics.median(fast), 2),
        "plain_with_multinomial_seconds": round(first, 4),
        "ratio_with_multinomial": round(first / statistics.median(fast), 2),
    }  # fmt: skip


def main() -> None:
    """Measure every shape and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shape", choices=tuple(SHAPES), action="append", help="only these")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    found = {name: measured(*SHAPES[name], options.repeats) for name in options.shape or SHAPES}
    result = {"what": "processor seconds of all roll-outs of a batch, one thread", "shapes": found, "machine": machine()}
    for name, own in found.items():
        print(f"{name}: {own['plain_seconds']} s plainly, {own['continued_seconds']} s continued: {own['ratio']} times as fast")
        print(f"  {own['ratio_with_multinomial']} times as fast as a plain loop with torch.multinomial")
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
