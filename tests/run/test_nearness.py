"""Which of some systems came nearest in equal time: on the set most like the data, where two were compared in the budget."""

from __future__ import annotations

import pytest

from ganvas.registry import catalogue
from ganvas.run import nearness
from ganvas.run.nearness import Likeness, Near, nearest


def measured(monkeypatch: pytest.MonkeyPatch, *rows: tuple[str, str, int, int, float, float]) -> None:
    found = tuple(Near(*row[:1], "image", *row[1:5], (row[5], row[5])) for row in rows)
    monkeypatch.setattr(nearness, "rows", lambda: found)


def test_the_set_most_like_the_data_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(
        monkeypatch, ("a", "slices", 1, 1000, 600.0, 100.0), ("b", "slices", 1, 1000, 600.0, 300.0),
        ("a", "drawings", 3, 1000, 600.0, 300.0), ("b", "drawings", 3, 1000, 600.0, 200.0),
        ("a", "lesions", 3, 100, 600.0, 100.0), ("b", "lesions", 3, 100, 600.0, 300.0),
    )  # fmt: skip

    def found(records: int, channels: int | None) -> tuple[str, str]:
        one = nearest(("a", "b"), "image", Likeness(records, channels), 600.0)
        assert one is not None
        return one[0], one[1].data

    assert found(1000, 1) == ("a", "slices")
    assert found(1000, 3) == ("b", "drawings")
    assert found(120, 3) == ("a", "lesions")
    assert found(120, 1) == ("a", "lesions"), "as few records, though in colour"
    assert found(1_000_000, 3) == ("b", "drawings")
    assert found(0, None)[1] == "lesions"


def test_only_what_was_compared_within_the_budget_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(
        monkeypatch, ("a", "drawings", 3, 900, 60.0, 100.0), ("b", "drawings", 3, 900, 60.0, 200.0),
        ("a", "drawings", 3, 900, 600.0, 90.0), ("b", "drawings", 3, 900, 600.0, 50.0), ("c", "drawings", 3, 900, 3600.0, 1.0),
        ("d", "stamps", 3, 500, 600.0, 1.0),
    )  # fmt: skip

    def name(systems: tuple[str, ...], seconds: float, records: int = 900) -> str | None:
        found = nearest(systems, "image", Likeness(records, 3), seconds)
        return found and found[0]

    assert name(("a", "b"), 600.0) == "b"
    assert name(("a", "b"), 599.0) == "a"
    assert name(("a", "b"), 59.0) is None
    assert name(("a", "b", "c"), 7200.0) == "b", "an hour of one system is no comparison"
    assert name(("a", "b", "d"), 600.0, records=500) == "b", "nobody was compared on the set most like it"
    assert name(("a",), 600.0) is None
    assert nearest(("a", "b"), "sound", Likeness(900, 3), 600.0) is None


def test_the_table_names_systems_that_there_are() -> None:
    assert nearness.rows()
    for row in nearness.rows():
        assert row.kind in catalogue()[row.system].data
        assert len(row.distances) == 2
        assert min(row.distances) > 0
