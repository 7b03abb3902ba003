"""What every kind writes at the end of filling a cache entry: spec, labels, groups, split and notes. Not for decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..specs import Spec, spec_to_dict

if TYPE_CHECKING:
    from .cache import Writer

NOTED = 20
"""At most this many skipped files are named in the notes; `ganvas data check` lists all."""


def conclude(
    writer: Writer, spec: Spec, labels: np.ndarray | None, groups: np.ndarray, held: np.ndarray | None,
    notes: list[str], files: Sequence[str] | None = None,
) -> None:  # fmt: skip
    """files: the name of the file of each record, where they are of several; else it is known without."""
    if files is not None:
        known = {name: k for k, name in enumerate(dict.fromkeys(files))}
        writer.array("files", np.array([known[name] for name in files], np.int32))
        writer.facts["files"] = list(known)
    if labels is not None:
        writer.array("labels", np.asarray(labels, np.int64))
    writer.array("groups", np.unique(groups, return_inverse=True)[1].reshape(-1).astype(np.int64))
    if held is not None:
        writer.array("split", held)
    writer.facts.update(spec=spec_to_dict(spec), notes=notes, labelled=labels is not None, split=held is not None)
    writer.facts.setdefault("skipped", [])
    writer.facts.setdefault("declared", False)  # see `records.Field`
