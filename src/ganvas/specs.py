"""What a data set is, in a few frozen fields: the `spec` that every system is built from. Free of torch.

Each kind has a spec of its own (`ganvas.kinds`). A spec says nothing of where the data lies or how much of it there is; that is
`ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, Protocol

REAL = "real"
"""The name of the field of records that have one field."""


PROPERTIES = "properties"
"""The name of the field of numbers that each record is measured by, where samples are to be asked for by them."""


ADDED: dict[str, Any] = {"added": True}
"""Metadata of a field that a spec did not have at first: it is written only where it says something, so that data which was
opened before keeps its fingerprint."""


class Spec(Protocol):
    """What all specs have. kind: the name of the kind. classes: label names in index order. shape: of a record's tensor."""

    @property
    def kind(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


def spec_to_dict(spec: Any) -> dict[str, Any]:
    """Plain values, for YAML and JSON."""
    silent = {own.name for own in fields(spec) if own.metadata.get("added") and getattr(spec, own.name) == own.default}
    made = {key: value for key, value in asdict(spec).items() if key not in silent}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in made.items()}
