"""What a configuration needs: the accounting, the ledger and the heap by hand; prediction beside measurement; what fits."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from ganvas.errors import GanvasError
from ganvas.memory import fitting
from ganvas.memory.answer import foretell, lines, weigh
from ganvas.memory.board import Case, describe, make_spec
from ganvas.memory.counting import MIB, Calls
from ganvas.memory.heap import GRAIN, OUTSIDE, Heap
from ganvas.memory.measuring import measure
from ganvas.memory.predicting import Ledger, predict, quiet
from ganvas.memory.workspace import Space, spaces
from ganvas.optim import NAMES

PLAIN: dict[str, Any] = {"device": "cpu", "threads": 1, "precision": "32", "channels_last": "off"}


def small(system: str = "dcgan", **config: Any) -> Case:
    return describe(system, preset="paper", size="32", config=config, **PLAIN)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ganvas", *words], capture_output=True, text=True)


# Counting


class Tiny(nn.Module):
    """One player that owns a network of known size."""

    def __init__(self) -> None:
        super().__init__()
        layers = (nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Conv2d(2, 1, 4))
        self.network = nn.Sequential(*layers)

    def players(self) -> tuple[Any, ...]:
        return (type("P", (), {"networks": ("network",)}),)


def test_accounting_by_hand() -> None:
    tiny = Tiny()
    with Calls(tiny) as calls:
        tiny.network(torch.zeros(3, 1, 4, 4))
        tiny.network(torch.zeros(5, 1, 4, 4))  # only the first call counts
    call = calls.found()["network"]
    assert call.parameters == 18 + 4 + 33
    assert call.inputs == 16
    assert call.outputs == 32 + 32 + 32 + 1  # convolution, BatchNorm, ReLU in place, last convolution
    assert call.mib == pytest.approx(4 * (55 + 16 + 2 * 97) / 2**20)
    assert call.share_of_norm == pytest.approx((4 + 2 * 32) / (55 + 16 + 2 * 97))


def test_the_study_s_figures() -> None:
    found = foretell(describe("dcgan", preset="xray-memory", size="64", channels=1, **PLAIN))
    assert found.calls["generator"].mib == pytest.approx(53.96, abs=0.05)
    assert found.calls["discriminator"].mib == pytest.approx(46.72, abs=0.05)
    weights = sum(call.parameters for call in found.calls.values()) * 4
    assert found.sizes["parameters"] == weights
    assert found.sizes["averages"] - found.calls["generator"].parameters * 4 < 0.1 * MIB  # with its statistics
    assert found.sizes["optimiser"] == pytest.approx(2 * weights, rel=1e-3)  # Adam


# Ledger, heap, working space


def test_ledger_knows_the_worst_moment() -> None:
    ledger = Ledger()
    kept = torch.empty(1000)
    ledger.note(kept, "parameters")
    gone = torch.empty(500)
    ledger.result(gone, Space(before=(8000,), beside=(400,)))
    del gone
    last = torch.empty(10)
    ledger.note(last)
    ledger.close()
    parts = ledger.peak()
    assert parts["parameters"] == 4000
    assert parts["workspace"] == 8000  # and the result was not there yet
    assert parts["temporary"] == 0
    assert [kind for kind, _ in ledger.events] == ["born", "space", "hold", "born", "drop", "died", "born"]


def test_heap_joins_what_is_freed_and_keeps_holes() -> None:
    heap = Heap()
    first, second, third = heap.take(1000), heap.take(1000), heap.take(1000)
    full = heap.resident
    heap.give(first)
    heap.give(second)
    assert heap.take(2000) == first  # both holes together
    heap.give(first)
    small_one = heap.take(500)
    assert small_one == first
    heap.take(2000)  # fits into no hole: the heap grows
    assert heap.resident == full + 2048 + GRAIN
    heap.give(third)
    before = heap.resident
    outside = heap.take(OUTSIDE)
    assert outside < 0 and heap.resident > before + OUTSIDE
    heap.give(outside)
    assert heap.resident == before


def test_convolutions_in_the_usual_layout_need_copies() -> None:
    convolution = torch.ops.aten.convolution.default
    maps, weight = torch.zeros(2, 32, 8, 8), torch.zeros(64, 32, 4, 4)
    result = torch.zeros(2, 64, 4, 4)
    arguments = (maps, weight, None, [2, 2], [1, 1], [1, 1], False, [0, 0], 1)
    (space,) = spaces(convolution, arguments, torch.device("cpu"), result)
    assert sum(space.before) == maps.nbytes + weight.nbytes + result.nbytes
    last = maps.to(memory_format=torch.channels_last)
    (space,) = spaces(convolution, (last, *arguments[1:]), torch.device("cpu"), result)
    assert sum(space.before) == weight.nbytes
    assert spaces(convolution, arguments, torch.device("cuda"), result) == []


# Predicting


@pytest.mark.parametrize(
    ("system", "size", "config"),
    [
        ("wgan-gp", 32, {"batch_size": 8}),
        ("cyclegan", 32, {"width": 8}),
        ("wavegan", 1024, {"width": 8, "batch_size": 4}),
        ("gan-3d", 16, {"width": 8, "batch_size": 4}),
        ("mad-gan", 12, {"batch_size": 4}),
        pytest.param("seqgan", 8, {"batch_size": 4, "generated_size": 8}, marks=pytest.mark.slow),
        ("netgan", 50, {"batch_size": 4, "walk_length": 4}),
        ("gan", None, {"batch_size": 4}),
    ],
)
def test_every_kind_of_data_can_be_weighed(system: str, size: int | None, config: dict[str, Any]) -> None:
    case = describe(system, preset="paper", size=None if size is None else str(size), config=config, **PLAIN)
    found = foretell(case)
    assert found.peak >= sum(found.live.values()) > 0
    assert {phase for phase, *_ in found.turns}
    assert found.sizes["parameters"] > 0 and found.sizes["optimiser"] > 0


def test_the_layout_of_clips_can_be_weighed() -> None:
    given = PLAIN | {"channels_last": "on"}
    case = describe("vgan", preset="paper", size="32", config={"width": 4, "batch_size": 2}, **given)
    assert foretell(case).peak > 0


def test_every_optimiser_plays_on_symbols() -> None:
    states = {name: foretell(small(optimiser=name)).sizes["optimiser"] for name in NAMES}
    assert states["adas"] > states["adam"] > states["sgd"] > 0


def test_micro_batches_and_bfloat16_need_less() -> None:
    whole = small(width=16, batch_size=64)
    kept = foretell(whole).sizes["activations"]
    pieces = foretell(whole.changed(micro_batches=4)).sizes["activations"]
    assert pieces < kept  # the graph of the fakes of every piece waits for the generator's turn
    mixed = describe(
        "dcgan", preset="paper", size="32", config={"width": 16, "batch_size": 64}, **{**PLAIN, "precision": "bf16-mixed"}
    )
    assert foretell(mixed).sizes["activations"] < 0.75 * kept


def test_predicting_leaves_the_session_alone() -> None:
    state = torch.get_rng_state()
    with quiet():
        predict(small(width=8, batch_size=4))
    assert torch.equal(state, torch.get_rng_state())
    assert type(torch.zeros(1)) is torch.Tensor


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [small(width=48, batch_size=128), small("wgan-gp", width=24, batch_size=64)], ids=["dcgan", "wgan"]
)
def test_prediction_is_near_what_is_measured(case: Case) -> None:
    found = measure(case)
    assert found["peak"] > found["base"] + 30 * MIB  # or the base alone would pass
    assert foretell(case).peak + found["base"] == pytest.approx(found["peak"], rel=0.15)


# Fitting


@pytest.mark.parametrize(("text", "size"), [("4GiB", 2**32), ("800MB", 8 * 10**8), ("1.5g", 1.5e9), ("2Ti", 2**41)])
def test_amounts(text: str, size: float) -> None:
    assert fitting.parse_bytes(text) == size


@pytest.mark.parametrize("text", ["4", "lots", "-1GB", "GiB"])
def test_no_amounts(text: str) -> None:
    with pytest.raises(GanvasError, match="4GiB"):
        fitting.parse_bytes(text)


@pytest.mark.slow
def test_what_is_proposed_fits_and_is_measured() -> None:
    case = small(width=48, batch_size=256)
    asked = fitting.fit(case, 2**40, measured=False)["asked_mb"]
    limit = int((asked - 45) * MIB)
    found = fitting.fit(case, limit)
    first = found["ways"][0]
    assert found["asked_mb"] > found["limit_mb"] >= first["predicted_mb"]
    assert first["fits"] and first["measured_mb"] <= found["limit_mb"]
    assert first["batch"] == 256 and first["options"] == "--recompute-activations"  # the same game, to the bit, comes first
    assert "it fits" in "\n".join(fitting.lines(found))


@pytest.mark.slow
def test_a_mean_over_records_is_cut_into_micro_batches_first() -> None:
    case = describe("gan", preset="paper", config={"batch_size": 65_536}, **PLAIN)
    asked = fitting.fit(case, 2**40, measured=False)["asked_mb"]
    found = fitting.fit(case, int((asked - 40) * MIB), measured=False)
    assert any(way["options"].startswith("--micro-batches") for way in found["ways"][:2])
    assert [way["batch"] for way in found["ways"]] == sorted((way["batch"] for way in found["ways"]), reverse=True)


def test_what_cannot_fit_is_said() -> None:
    with pytest.raises(GanvasError, match="does not fit into 10 MB"):
        fitting.fit(small(width=8, batch_size=4), 10 * MIB, measured=False)


# The command


def test_answer_adds_up() -> None:
    told = weigh(small(width=8, batch_size=8), measured=False)
    assert sum(told["peak_parts_mb"].values()) == pytest.approx(told["batch_peak_mb"]["predicted"], abs=0.2)
    assert told["study_batch_mb"] == pytest.approx(8 * sum(told["per_image_mb"].values()), abs=0.2)
    assert "It overstates: the parameters are there once" in " ".join(lines(told))


@pytest.mark.slow
def test_command_with_json() -> None:
    done = run("memory", "dcgan", "--preset", "paper", "--size", "16", "--set", "width=4", "--batch", "4", "--precision", "32",
               "--channels-last", "off", "--threads", "1", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["config"]["batch_size"] == 4
    assert abs(told["batch_peak_mb"]["error"]) < 0.15
    assert set(told["per_image_mb"]) == {"generator", "discriminator"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dcgam",), "did you mean 'dcgan'"),
        (("dcgan", "--size", "4"), "too small"),
        (("dcgan", "--fit", "lots"), "not an amount of memory"),
        (("wavegan", "--size", "64x64"), "is for images"),
        (("dcgan", "--channels", "0"), "not a whole number above 0"),
        (("dcgan", "--preset", "no"), "unknown preset"),
    ],
)
def test_mistakes_are_said_in_one_line(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    from ganvas.cli import main

    assert main(["memory", *words, "--no-measure", "--precision", "32", "--channels-last", "off"]) == 2
    shown = capsys.readouterr().err.strip()
    assert said in shown and "\n" not in shown


def test_spec_of_each_kind() -> None:
    assert make_spec("image", (48, 32), 3).shape == (3, 48, 32)
    assert make_spec("sound", 4096, 2).shape == (2, 4096)
    assert make_spec("series", 30, 5).shape == (30, 5)
    assert len(make_spec("tokens", 20, 8).symbols) == 8  # type: ignore[union-attr]
