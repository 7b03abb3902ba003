"""Shared by all tests: a private cache, one torch thread, and the real data when it is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything loads torch. Workers share the cores: one thread each, and threads that wait for others sleep.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded data goes to a folder of the session, also in child processes; a user's cache is never touched."""
    os.environ["GANVAS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def own_tables() -> Iterator[None]:
    """Kinds and systems that a test adds to this process are gone after it: other tests go through all that there are."""
    before = [(table, dict(table)) for table in _tables_of_this_process()]
    yield
    for table in _tables_of_this_process():
        kept = next((entries for known, entries in before if known is table), {})
        if table != kept:
            table.clear()
            table.update(kept)


def _tables_of_this_process() -> list[dict[object, object]]:
    names = {"ganvas.kinds": ("_added", "_looked"), "ganvas.registry": ("_brought",)}
    return [getattr(sys.modules[name], table) for name, tables in names.items() if name in sys.modules for table in tables]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets ($GANVAS_DATA, or shared/data beside the checkout); skips without it."""
    named = os.environ.get("GANVAS_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data here: set GANVAS_DATA")
    return folder
