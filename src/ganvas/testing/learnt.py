"""What kinds keep to that learn entries of their spec from records (`facets.Learns`). case: a `testing.kinds.KindCase`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from ..kinds.facets import Learns
from .outcomes import expect


def what_is_learnt_comes_from_the_records_given(case: Any) -> None:
    """learn() looks at the records that are trained on and at no others, changes nothing of the spec but what `learnt` names,
    and has a line for the user, or none."""
    kind, (values, spec), file = case.kind, case.records, case.file
    assert isinstance(kind, Learns)
    rows = np.arange(0, len(values), 2)
    found, told = kind.learn(spec, values, rows)
    expect(isinstance(told, str) and "\n" not in told, f"{file}: learn() tells {told!r}: say what was learnt in one line")
    expect(type(found) is type(spec), f"{file}: learn() gives {type(found).__name__}, not (a spec, a line)")
    changed = [own.name for own in fields(spec) if getattr(found, own.name) != getattr(spec, own.name)]
    unnamed = [name for name in changed if name not in kind.learnt]
    expect(not unnamed, f"{file}: learn() changes {', '.join(unnamed)} of the spec: name it in `learnt`")
    others = np.array(values)
    others[1::2] = others[0]
    again, _ = kind.learn(spec, others, rows)
    expect(
        again == found,
        f"{file}: learn() gives another spec when records that are not trained on change: look at values[rows] alone",
    )
