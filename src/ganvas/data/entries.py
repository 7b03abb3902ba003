"""The entry of the cache for some content: found, or made by its kind and signed. Not for what the content is (`dataset`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kinds import Kind, spec_from_dict
from ..store import cache as caching
from ..store.code import FILLING, code_digest
from .twins import join_twins

TWINS = (join_twins.__module__, ())  # for `store.code`


def entry_of(
    store: caching.Cache, content_key: str, fill: Any, kind: Kind, *starts: tuple[str, tuple[str, ...]]
) -> caching.Entry:  # fmt: skip
    """The entry of this content, made if need be, by the code of the kind and what else is started from (`store.code`).

    Its facts carry a fingerprint of the records themselves: what was asked for and what was found by itself are the same.
    Twins are looked for behind it, so that another rule for them does not make the records others.
    """
    key = caching.digest(content_key, code_digest((type(kind).__module__, FILLING), TWINS, *starts))

    def fill_and_sign(writer: caching.Writer) -> None:
        fill(writer)
        writer.facts["fingerprint"] = writer.content()
        own = np.load(writer.folder / "groups.npy", allow_pickle=False)
        joined, notes = join_twins(kind, writer.rows(), spec_from_dict(writer.facts["spec"]), own)
        writer.array("joined", joined)
        writer.facts["notes"] = [*writer.facts["notes"], *notes]

    entry, note = store.open(key)
    if entry is None:
        entry = store.make(key, fill_and_sign)
    if note:
        entry.facts["notes"].insert(0, note)
    return entry
