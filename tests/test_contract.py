"""The contract, run over every registered system: being registered is being tested.

The checks are those of `ganvas.testing`, by which anybody checks a system of his own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ganvas.registry import catalogue
from ganvas.testing import Check, system_checks

CHECKS = [pytest.param(check, id=f"{name}-{check.name}") for name in catalogue() for check in system_checks(name)]


@pytest.mark.parametrize("check", CHECKS)
def test_a_system_keeps_the_contract(check: Check) -> None:
    check.run()


@pytest.mark.parametrize("name", list(catalogue()))
def test_docs_page_exists_and_says_what_differs_from_the_paper(name: str) -> None:
    page = Path(__file__).parents[1] / "docs" / "systems" / f"{name}.md"
    assert page.is_file(), f"docs/systems/{name}.md is missing"
    assert "## Differs from the paper" in page.read_text()
