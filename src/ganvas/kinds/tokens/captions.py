"""Captions as words. Not for files of sequences, whose symbols are taken as they are."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError, did_you_mean
from ...store.entry import conclude
from ...store.listing import counted, some
from .spec import LEAST, VOCABULARY, WHOLE, TokensSpec, symbol_order

if TYPE_CHECKING:
    from ...store.cache import Writer

WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


def words_of(text: str) -> list[str]:
    """Words in lower case, each mark of punctuation one of its own; apostrophes and hyphens within a word belong to it.

    `A frog's pond.` -> a, frog's, pond, . (composed Unicode, so that equal words are equal).
    """
    return [word.replace("’", "'") for word in WORD.findall(unicodedata.normalize("NFC", text).lower())]


def fill(writer: Writer, columns: Mapping[str, list[str]]) -> None:
    """See `TokensKind.fill_texts`."""
    if len(columns) != 1:
        raise DataError(f"a caption is one column of a table, not {len(columns)} ({some(list(columns))}): name the one")
    ((name, cells),) = columns.items()
    captions = [words_of(cell) for cell in cells]
    found = Counter(word for caption in captions for word in caption)
    if len(found) < 2:
        raise DataError(f"column '{name}' has {counted(len(found), 'word')} in all: nothing to learn")
    if len(found) > VOCABULARY:
        raise DataError(f"column '{name}' has {len(found)} words, more than {VOCABULARY}")
    longest = max(len(caption) for caption in captions)
    length = max(LEAST, min(longest, WHOLE))
    notes = ["words in lower case, punctuation apart"]
    over = sum(len(caption) > length for caption in captions)
    if over:
        notes.append(f"{over} of {len(captions)} captions are longer than {length} words and were cut there")
    blank = sum(not caption for caption in captions)
    if blank:
        notes.append(f"{blank} of {len(captions)} captions are empty")
    rare = sum(count == 1 for count in found.values())
    if rare > len(found) / 4:
        notes.append(f"{rare} of {len(found)} words occur once: little can be learnt of them")
    symbols = ("", *sorted(found, key=symbol_order))
    index = {symbol: k for k, symbol in enumerate(symbols)}
    for caption in captions:
        row = np.zeros(length, np.int32)
        row[: len(caption)] = [index[word] for word in caption[:length]]
        writer.row(row)
    groups = np.unique(writer.rows(), axis=0, return_inverse=True)[1].reshape(-1)
    conclude(writer, TokensSpec(length, symbols), None, groups, None, notes)


def encode(text: str, spec: TokensSpec) -> tuple[np.ndarray, list[str]]:
    """See `TokensKind.encode_text`."""
    index = {symbol: k for k, symbol in enumerate(spec.symbols)}
    words = words_of(text)
    known = [word for word in words if word in index]
    unknown = list(dict.fromkeys(word for word in words if word not in index))
    if not known:
        told = f"none of its words ({some(unknown, 5)}) is known" if unknown else "it has no word"
        raise DataError(f"caption '{text}': {told}; words that are, for example: {some(list(spec.symbols[1:]), 8)}")
    notes = []
    if unknown:
        near = [did_you_mean(word, list(spec.symbols[1:])) for word in unknown[:8]]
        shown = ", ".join(f"'{word}'{hint}" for word, hint in zip(unknown[:8], near, strict=True))
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        notes.append(f"left out of the caption, as the run never saw them: {shown}{more}")
    if len(known) > spec.length:
        notes.append(f"the caption has {len(known)} words and was cut at {spec.length}")
    row = np.zeros((1, spec.length), np.int32)
    row[0, : len(known)] = [index[word] for word in known[: spec.length]]
    if not spec.ends and len(known) < spec.length:
        raise DataError(f"caption '{text}': {len(known)} words, and these sequences have {spec.length} always: give as many")
    return row, notes
