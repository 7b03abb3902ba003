"""What every kind of data keeps to, whatever it is of: being in the table is being tested. The checks are those of
`ganvas.testing`."""

from __future__ import annotations

import pytest

from ganvas.kinds import Kind, kind_names
from ganvas.testing import Check, kind_checks

CHECKS = [pytest.param(check, id=f"{name}-{check.name}") for name in kind_names() for check in kind_checks(name)]


@pytest.mark.parametrize("check", CHECKS)
def test_a_kind_keeps_the_contract(check: Check) -> None:
    check.run()


def test_a_kind_has_few_members() -> None:
    members = {name for name in (*vars(Kind), *Kind.__annotations__) if not name.startswith("_")}
    assert len(members) <= 14
