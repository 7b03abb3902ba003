"""Captions as words. Not for files of sequences, whose symbols are taken as they are."""

from __future__ import annotations

import re
import unicodedata

WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


def words_of(text: str) -> list[str]:
    """Words in lower case, each mark of punctuation one of its own; apostrophes and hyphens within a word belong to it.

    `A frog's pond.` -> a, frog's, pond, . (composed Unicode, so that equal words are equal).
    """
    return [word.replace("’", "'") for word in WORD.findall(unicodedata.normalize("NFC", text).lower())]
