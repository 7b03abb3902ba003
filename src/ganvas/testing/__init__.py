"""The contract, to be called by anybody: checks of a system, a kind of data or a use of one's own, chosen by what it offers.

    from ganvas.testing import check_system
    check_system("my_gan.py")          # raises CheckFailed, in one line that says what to mend

    @pytest.mark.parametrize("check", [pytest.param(run, id=name) for name, run in system_checks("my_gan.py")])
    def test_my_gan(check):
        check()

Needs no test library; `ganvas check FILE.py` is the same on the command line. Free of torch until a check runs. Not for how
good samples are (`ganvas evaluate`) nor for a system's own claim (`ganvas prove`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .outcomes import Check, CheckFailed, Outcome, Skipped, examine, raised

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Check", "CheckFailed", "Outcome", "Skipped", "check_kind", "check_system", "check_use", "examine", "kind_checks",
    "system_checks", "use_checks",
]  # fmt: skip


def system_checks(system: Any, settings: Mapping[str, Any] | None = None, device: str = "cpu") -> Iterator[Check]:
    """The checks of a system as (name, callable): a name of the catalogue, a path FILE.py, or a class of `System`.

    settings: those that make it small, beside the usual ones (`boards.SMALL`); records have the classes `first`, `second` and
    `third`. device: where it plays, `cpu`, `cuda`, `cuda:1` or `mps`. Raises GanvasError in one line for what cannot be opened.
    """
    from .systems import system_checks

    return system_checks(system, settings, device)


def kind_checks(kind: Any) -> Iterator[Check]:
    """The checks of a kind of data as (name, callable): a name, a path FILE.py, a class or an object of `Kind`."""
    from .kinds import kind_checks

    return kind_checks(kind)


def use_checks(use: Any, settings: Mapping[str, Any] | None = None) -> Iterator[Check]:
    """The checks of a use as (name, callable): a verb, a path FILE.py, or a `Use`; it is put to the systems that offer it.

    settings: as for `system_checks`, where the file brings a system.
    """
    from .finding import use_checks

    return use_checks(use, settings)


def check_system(system: Any, settings: Mapping[str, Any] | None = None) -> list[Outcome]:
    """Run `system_checks`. Raises CheckFailed with the first line that failed."""
    return raised(examine(system_checks(system, settings)), _named(system))


def check_kind(kind: Any) -> list[Outcome]:
    """Run `kind_checks`. Raises CheckFailed with the first line that failed."""
    return raised(examine(kind_checks(kind)), _named(kind))


def check_use(use: Any, settings: Mapping[str, Any] | None = None) -> list[Outcome]:
    """Run `use_checks`. Raises CheckFailed with the first line that failed."""
    return raised(examine(use_checks(use, settings)), _named(use))


def _named(what: Any) -> str:
    return str(getattr(what, "__name__", None) or getattr(what, "name", None) or getattr(what, "verb", None) or what)
