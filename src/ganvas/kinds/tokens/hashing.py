"""Well-mixed numbers for symbols and their pairs: features that do not depend on the order of a vocabulary."""

from __future__ import annotations

import numpy as np


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Well-mixed uint64 of uint64 (splitmix64)."""
    with np.errstate(over="ignore"):
        mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        found: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return found


def hashes(symbols: tuple[str, ...], salt: int) -> np.ndarray:
    """A uint64 for each symbol, by its text."""
    import hashlib

    digests = (hashlib.blake2b(symbol.encode("utf-8", "surrogatepass"), digest_size=8, key=bytes([salt])) for symbol in symbols)
    return np.frombuffer(b"".join(d.digest() for d in digests), "<u8").astype(np.uint64)
