"""Records of one data set by the spec of another: what two sides of a comparison go through. Not for opening files.

A spec may hold what is found in the data: percentiles, categories, symbols. By a spec of its own, each side would be brought to
what it should be compared in.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from ..kinds import kind_of
from ..kinds.facets import Aligned


def aligned(values: np.ndarray, spec: Any, other: Any) -> tuple[np.ndarray, Any, list[str]]:
    """Records (N, ...) of `spec` beside those of `other`, a spec of its kind: (records, spec, notes), see `facets.Aligned`.

    Of a kind that does not say how, records are taken as they are, by the spec `other`, and notes name what differs.
    """
    kind = kind_of(other.kind)
    values = np.asarray(values)
    if spec == other:
        return values, other, []
    if isinstance(kind, Aligned):
        return kind.aligned(values, spec, other)
    names = [own.name for own in fields(spec) if own.name not in ("classes", "format", "kind")]
    apart = [name for name in names if getattr(spec, name) != getattr(other, name)]
    told = [f"{name} ({str(getattr(spec, name))[:40]} and {str(getattr(other, name))[:40]})" for name in apart[:4]]
    note = f"the samples and the real data differ in {', '.join(told)}: all records are taken as those of the real data"
    return values, other, [note] if told else []
