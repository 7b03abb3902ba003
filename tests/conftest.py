"""Shared by all tests: a private cache, one torch thread, and the real data when it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded data goes to a folder of the session, also in child processes; a user's cache is never touched."""
    os.environ["GANVAS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets ($GANVAS_DATA, or shared/data beside the checkout); skips without it."""
    named = os.environ.get("GANVAS_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data here: set GANVAS_DATA")
    return folder
