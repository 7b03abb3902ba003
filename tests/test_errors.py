"""Errors travel between processes: a worker's must arrive as the line that it is."""

from __future__ import annotations

import pickle

import pytest

from ganvas import errors
from ganvas.errors import GanvasError, MissingExtra, MixedData, SwappedFields

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GanvasError)]
OWN = [
    MissingExtra("soundfile", "sound"),
    MixedData("pictures of several sizes", "size", 64),
    SwappedFields("swapped", {"photo": "map"}),
]
PLAIN = [kind for kind in KINDS if kind not in map(type, OWN)]


@pytest.mark.parametrize("error", [*OWN, *(kind("a line") for kind in PLAIN)], ids=repr)
def test_an_error_is_the_same_in_another_process(error: GanvasError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.exit_code == error.exit_code
