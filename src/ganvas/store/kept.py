"""Arrays that are kept in a file for what they were found from, and found anew for anything else. Not for data (`cache`)."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RunError
from ..files import write_atomically


def kept(path: Path, facts: Any, find: Callable[[], Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    """The arrays of an `.npz` that were found from these facts (plain values); found now, and kept, where it has none such.

    A folder that may only be read keeps nothing: they are found again the next time.
    """
    key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    # Kept by another version, of other weights or damaged: found anew.
    with contextlib.suppress(Exception), np.load(path, allow_pickle=False) as held:
        if str(held["key"]) == key:
            return {name: held[name] for name in held.files if name != "key"}
    found = find()
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"key": np.array(key), **found}
    np.savez(buffer, **arrays)
    with contextlib.suppress(RunError):
        write_atomically(path, buffer.getvalue())
    return found
