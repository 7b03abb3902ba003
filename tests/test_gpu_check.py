"""`make gpu-check` on a processor: parts of it run, with next to nothing to do, and say what they found."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("gpu_check", BENCHMARKS / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_check", made)
    spec.loader.exec_module(made)
    return made


def played(check: Any, name: str) -> dict[str, Any]:
    result: dict[str, Any] = check.play(name, "cpu", True, 600.0, lambda found: json.dumps(found))
    assert json.loads(json.dumps(result)) == result
    return result


def test_precisions(check: Any) -> None:
    found = played(check, "precision")
    assert found["holds"], found["line"]
    assert set(found["precisions"]) == {*check.PRECISIONS, check.OTHER}
    assert found["precisions"]["tf32"]["gap"] == 0  # a processor knows no such numbers


def test_speed(check: Any) -> None:
    found = played(check, "speed")
    assert found["holds"] is None
    assert set(found["games"]) == {"dcgan-16", "stylegan2-16", "cyclegan-16", "r3gan-16"}
    for name, own in found["games"].items():
        assert "error" not in own, f"{name}: {own}"
        assert own["operations_a_second"] > 0
        assert min(own["images_a_second"].values()) > 0


def test_operations_are_those_of_the_products(check: Any) -> None:
    import torch

    class Game:
        layer = torch.nn.Linear(8, 4, bias=False)

        def play_round(self) -> None:
            self.layer(torch.ones(16, 8)).sum().backward(inputs=[self.layer.weight])

    assert check.operations(Game(), 3) == 2 * (2 * 16 * 8 * 4)  # there, and for the gradient of the weights


def test_waits_are_counted_and_a_system_that_waits_fails(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = played(check, "waits")
    assert found["holds"], found["line"]
    assert found["systems"]["gan-3d"]["asks"]
    from ganvas.systems.synthesis.dcgan import DcGan

    fool = DcGan.fool

    def waiting(self: Any, batch: Any, clock: Any, shared: Any) -> Any:
        terms = fool(self, batch, clock, shared)
        return terms if terms["fool"] < 1e9 else {}

    monkeypatch.setattr(DcGan, "fool", waiting)
    found = played(check, "waits")
    assert found["holds"] is False
    assert "dcgan (test_gpu_check.py:" in found["line"]
    assert found["systems"]["seqgan"]["calls"] == {}


def test_a_part_that_fails_is_told_and_the_next_one_is_played(
    check: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    told = {
        "resume": {"holds": False, "line": "nothing", "seconds": 1.0},
        "compile": {"holds": None, "line": "so", "seconds": 1.0},
    }
    monkeypatch.setattr(check, "apart", lambda name, *more: told[name])
    out = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--parts", "resume,compile", "--out", str(out)])
    assert check.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["resume", "FAILS"]
    assert lines[2].split()[:2] == ["compile", "told"]
    assert set(json.loads(out.read_text())["parts"]) == {"resume", "compile"}
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--parts", "compile"])
    assert check.main() == 0


def test_a_part_that_raises_does_not_hold(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(where: Any, keep: Any) -> Any:
        raise RuntimeError("no such kernel")

    monkeypatch.setitem(check.PARTS, "waits", (broken, 1.0))
    assert check.play("waits", "cpu", True, 1.0, print) | {"seconds": 0} == {
        "holds": False, "line": "RuntimeError: no such kernel", "seconds": 0
    }  # fmt: skip


def test_the_parts_take_ten_minutes_at_most(check: Any) -> None:
    assert sum(seconds for _, seconds in check.PARTS.values()) <= 600
