"""What the field measures of sequences, and sequences of two sets by one vocabulary. Not for features: `kind`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...metrics.measure import Measure
from ...store.listing import some
from ..facets import Side
from .forms import measured
from .spec import TokensSpec, texts

COMPARED = 500  # sequences of which self-BLEU is taken


def measures(made: Side, train: Side, heldout: Side, seed: int) -> dict[str, Measure]:
    """BLEU-2 to 4 with the whole held-out part as references, and self-BLEU of up to 500 samples, each with what training
    records have in their place (`real`); `in_form`, see `forms.measured`."""
    from ...metrics.bleu import bleu, self_bleu
    from ...metrics.sets import mean_interval

    def some_of(side: Side, most: int) -> list[list[str]]:
        rows = np.asarray(side[0])
        chosen = np.random.default_rng([seed, 0xB1E0]).permutation(len(rows))[:most]
        return [texts(rows[k], side[1]) for k in np.sort(chosen)]

    references = some_of(heldout, len(heldout[0]))
    count = min(COMPARED, len(made[0]), len(train[0]))
    own, real = some_of(made, len(made[0])), some_of(train, len(made[0]))
    few, real_few = some_of(made, count), some_of(train, count)
    found = measured(made, train, heldout)
    for order in (2, 3, 4):
        scores = bleu(own, references, order)
        value, low, high = mean_interval(scores)
        protocol = f"bleu-{order}/mean of sequences/n={len(own)}/m={len(references)}/ref=heldout, all for each"
        more = {"real": float(bleu(real, references, order).mean())}
        found[f"bleu_{order}"] = Measure(value, protocol, low, high, more)
        more = {"real": float(self_bleu(real_few, order).mean())}
        value = float(self_bleu(few, order).mean())
        found[f"self_bleu_{order}"] = Measure(value, f"self-bleu-{order}/mean of sequences/n={count}", more=more)
    return found


def aligned(values: np.ndarray, spec: TokensSpec, other: TokensSpec) -> tuple[np.ndarray, TokensSpec, list[str]]:
    """Sequences (N, length) of `spec` by the symbols of `other`, those that it lacks behind its own; notes on what differs."""
    known = {symbol: k for k, symbol in enumerate(other.symbols)}
    present = [spec.symbols[k] for k in np.unique(values)]
    new = [symbol for symbol in present if symbol and symbol not in known]
    short = bool((np.asarray(values) == 0).any()) and spec.ends and not other.ends
    symbols = (*(("",) if short else ()), *other.symbols, *new)
    index = {symbol: k for k, symbol in enumerate(symbols)}
    lookup = np.array([index.get(symbol, 0) for symbol in spec.symbols], np.int32)
    notes = []
    if new:
        notes.append(f"{len(new)} of {len(present)} symbols of the samples are in no real sequence ({some(new, 5)})")
    if spec.joined != other.joined:
        ways = {"": "characters", " ": "what stands between spaces"}
        told = [ways.get(own.joined, f"what stands between '{own.joined}'") for own in (spec, other)]
        notes.append(f"a symbol of the samples is {told[0]}, one of the real data {told[1]}: write both sides alike")
    if spec.rate != other.rate:
        told = ["no melodies" if own.rate is None else f"melodies of {own.rate} steps a beat" for own in (spec, other)]
        notes.append(f"the samples are {told[0]}, the real data {told[1]}")
    bare = replace(other, length=spec.length, symbols=symbols, forms=(), shares=(), apart=())  # indices of other symbols
    return lookup[np.asarray(values)], bare, notes
