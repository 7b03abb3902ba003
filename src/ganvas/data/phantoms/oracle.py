"""Sequences drawn from a fixed random LSTM, the oracle: what it would say of any other sequence is known exactly.

For measuring generators of sequences against a truth, as the SeqGAN paper does (Yu et al. 2017, section 5): the mean of
-log p(sequence) over samples is low when the oracle finds them likely. It says nothing of variety: one likely sequence,
repeated, scores best of all. The weights are standard normal numbers with a seed of their own; `Oracle` takes any others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ganvas.data.phantoms import PhantomData, Progress
from ganvas.kinds.tokens.spec import TokensSpec

SYMBOLS, WIDTH = 50, 16
WEIGHTS = 20_170  # the seed of the weights: one oracle for all draws
PIECE = 256  # sequences at once


@dataclass(frozen=True)
class Oracle:
    """An LSTM over symbols 0 .. K - 1 that starts from symbol 0 with an empty memory.

    embedding: (K, E). inputs: (4, E, H), memories: (4, H, H), biases: (4, H) of the input, forget and output gate and the
    candidate. output: (H, K), bias: (K,).
    """

    embedding: np.ndarray
    inputs: np.ndarray
    memories: np.ndarray
    biases: np.ndarray
    output: np.ndarray
    bias: np.ndarray

    @staticmethod
    def random(symbols: int, width: int, seed: int) -> Oracle:
        """Standard normal weights."""
        rng = np.random.default_rng(seed)
        shapes = ((symbols, width), (4, width, width), (4, width, width), (4, width), (width, symbols), (symbols,))
        return Oracle(*(rng.standard_normal(shape) for shape in shapes))

    @staticmethod
    def of_parameters(held: Mapping[str, np.ndarray]) -> Oracle:
        """From the 15 arrays p00 .. p14 of the paper's own oracle: embedding, W, U and b of each gate, output and its bias.

        Raises ValueError when they are not those.
        """
        try:
            parts = [np.asarray(held[f"p{k:02d}"], np.float64) for k in range(15)]
            inputs, memories, biases = (np.stack(parts[k:13:3]) for k in (1, 2, 3))
        except KeyError as error:
            raise ValueError(f"no array {error}") from error
        return Oracle(parts[0], inputs, memories, biases, parts[13], parts[14])

    @property
    def symbols(self) -> int:
        """How many there are."""
        return len(self.embedding)

    def sample(self, chances: np.ndarray) -> np.ndarray:
        """(N, T) int64 sequences for chances (N, T), uniform in [0, 1)."""
        made = np.zeros(chances.shape, np.int64)
        for start in range(0, len(chances), PIECE):
            own = slice(start, start + PIECE)
            count = len(chances[own])
            memory = self._step(np.zeros(count, np.int64), *np.zeros((2, count, self.memories.shape[1])))
            for place in range(chances.shape[1]):
                summed = np.exp(self._logs(memory[0])).cumsum(1)
                made[own, place] = (summed < chances[own, place, None] * summed[:, -1:]).sum(1)
                memory = self._step(made[own, place], *memory)
        return made

    def surprise(self, tokens: np.ndarray) -> np.ndarray:
        """(N,) for sequences (N, T): the mean over their places of -log p(symbol | those before), in nats."""
        found = []
        for start in range(0, len(tokens), PIECE):
            own = tokens[start : start + PIECE]
            before, rows = np.zeros(len(own), np.int64), np.arange(len(own))
            memory = np.zeros((2, len(own), self.memories.shape[1]))
            total = np.zeros(len(own))
            for symbol in own.T:
                memory = self._step(before, *memory)
                total -= self._logs(memory[0])[rows, symbol]
                before = symbol
            found.append(total / tokens.shape[1])
        return np.concatenate(found)

    def _step(self, symbols: np.ndarray, hidden: np.ndarray, cell: np.ndarray) -> np.ndarray:
        sums = np.einsum("ne,geh->gnh", self.embedding[symbols], self.inputs, optimize=True) + hidden @ self.memories
        sums += self.biases[:, None]
        take, keep, give = 1 / (1 + np.exp(-sums[:3]))
        cell = keep * cell + take * np.tanh(sums[3])
        return np.stack([give * np.tanh(cell), cell])

    def _logs(self, hidden: np.ndarray) -> np.ndarray:
        logits = (hidden.astype(np.float32) @ self.output.astype(np.float32)) + self.bias.astype(np.float32)
        logits -= logits.max(1, keepdims=True)
        logs: np.ndarray = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        return logs


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """(N, size) int32."""
    chances = np.stack([np.random.default_rng([seed, k]).random(size[0]) for k in range(n)])
    values = Oracle.random(SYMBOLS, WIDTH, WEIGHTS).sample(chances).astype(np.int32)
    if progress is not None:
        progress(n, n)
    return PhantomData(values, None, (), spec=TokensSpec(size[0], tuple(str(k) for k in range(SYMBOLS)), format="npz"))
