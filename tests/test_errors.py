"""Errors travel between processes: a worker's must arrive as the line that it is."""

from __future__ import annotations

import pickle

import pytest

from ganvas import errors
from ganvas.errors import GanvasError, MissingExtra

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GanvasError)]
PLAIN = [kind for kind in KINDS if kind is not MissingExtra]


@pytest.mark.parametrize("error", [MissingExtra("soundfile", "sound"), *(kind("a line") for kind in PLAIN)], ids=repr)
def test_an_error_is_the_same_in_another_process(error: GanvasError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.exit_code == error.exit_code
