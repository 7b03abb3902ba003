"""What a data set of sequences of symbols is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...specs import ADDED

LEAST, MOST = 2, 4096  # symbols of a sequence
WHOLE = 64  # sequences up to here are taken whole, when no length is asked for; longer ones give so many symbols
VOCABULARY = 100_000
FREE = -1  # in a form: a place where several symbols may stand


@dataclass(frozen=True)
class TokensSpec:
    """Sequences of symbols of one length.

    length: places. symbols: the text of each, by index; the first is empty where sequences may end early: it means the end and
    fills what is behind. joined: what stands between symbols in a line of text. rate: of melodies, steps a beat; tempo: beats
    a minute; both None for anything else. format: of the files (`txt`, `csv`, `npz`, `mid`).

    forms: that sequences have, none where they have no common one: for each place the index of the symbol that always stands
    there, or FREE. shares: of the records, with each form. apart: symbols that stand nowhere but where a form has them.
    """

    length: int
    symbols: tuple[str, ...]
    joined: str = " "
    rate: int | None = None
    tempo: float | None = None
    classes: tuple[str, ...] = ()
    format: str = "txt"
    kind: str = "tokens"
    forms: tuple[tuple[int, ...], ...] = field(default=(), metadata=ADDED)
    shares: tuple[float, ...] = field(default=(), metadata=ADDED)
    apart: tuple[int, ...] = field(default=(), metadata=ADDED)

    def __post_init__(self) -> None:
        object.__setattr__(self, "forms", tuple(tuple(own) for own in self.forms))  # JSON has lists only

    @property
    def shape(self) -> tuple[int]:
        """(length,)."""
        return (self.length,)

    @property
    def ends(self) -> bool:
        """Whether sequences may be shorter than the length."""
        return self.symbols[0] == ""

    @property
    def size(self) -> str:
        """What `--size` would have to be."""
        return str(self.length)


def symbol_order(symbol: str) -> tuple[int, int, str]:
    """Numbers by size, then anything else by its text."""
    number = symbol.isascii() and symbol.isdigit() and len(symbol) < 10
    return (0, int(symbol), symbol) if number else (1, 0, symbol)


def texts(row: np.ndarray, spec: TokensSpec) -> list[str]:
    """The symbols of a record (length,) up to its end."""
    found = []
    for index in row.tolist():
        symbol = spec.symbols[index]
        if not symbol:
            break
        found.append(symbol)
    return found
