"""Two processes against one: the same game, the same weights on both, and a clear end when one is gone."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import toys
from ganvas.config import build_config
from ganvas.data.dataset import Dataset, Field
from ganvas.data.streams import DatasetStream
from ganvas.engine import Engine
from ganvas.errors import DataError, GanvasError, RunError
from ganvas.game import Clock, Phase, Player, System, Turn
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.points.spec import PointsSpec
from ganvas.optim import optimiser
from ganvas.parallel import Gone, Processes, launch, pick_device
from ganvas.registry import load_system
from ganvas.specs import REAL

IMAGES = ImageSpec(channels=1, height=12, width=8)
POINTS = PointsSpec(dimensions=2, centre=(0.0, 0.0))
NO_NORM = {"generator_batch_norm": False, "discriminator_batch_norm": False, "width": 4, "latent_size": 5, "batch_size": 8}
SGD = {"optimiser": "sgd", "generator_learning_rate": 0.05, "discriminator_learning_rate": 0.05}
GAMES: dict[str, tuple[str, Any, str, dict[str, Any]]] = {
    "dcgan in float64": ("dcgan", IMAGES, "64", NO_NORM | {"augment": ("translation", "cutout"), "ema_half_life": 500.0}),
    "gan in float64": ("gan", POINTS, "64", toys.SMALL),
    "dcgan in float32 with SGD": ("dcgan", IMAGES, "32", NO_NORM | SGD),
    "wgan-gp in float64": ("wgan-gp", POINTS, "64", toys.SMALL),
    "dcgan with BatchNorm": ("dcgan", IMAGES, "32", {"width": 4, "latent_size": 5, "batch_size": 8}),
}


def tiny(spec: Any) -> Dataset:
    """A data set of 50 random records."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 2)).astype(np.float32)
    if isinstance(spec, ImageSpec):
        values = rng.integers(0, 256, (50, spec.height, spec.width, 1), dtype=np.uint8)
    return Dataset({REAL: Field(spec, values)}, None, np.arange(50), np.zeros(50, bool), "tiny", "")


def game(name: str, processes: Processes) -> Engine:
    system_name, spec, precision, values = GAMES[name]
    _, _, system_class = load_system(system_name)
    known = system_class.Config.__dataclass_fields__  # type: ignore[attr-defined]
    torch.manual_seed(0)
    system = system_class(spec, build_config(system_class.Config, {k: v for k, v in values.items() if k in known}))  # type: ignore[attr-defined]
    stream = DatasetStream(tiny(spec), 8, world=processes.world)
    return Engine(system, {"data": stream}, processes=processes, precision=precision, check_every=6)


def play(processes: Processes, names: list[str]) -> dict[str, Any]:
    """20 rounds of each game: all tensors as numpy, and for every game whether the ranks agree."""
    found: dict[str, Any] = {}
    for name in names:
        engine = game(name, processes)
        for _ in range(20):
            engine.play_round()
        own = {k: t.numpy().copy() for k, t in engine.system.state_dict().items()}
        moments = [engine.state()["players"][p]["optimiser"] for p in engine.seats]
        parameters = {k for k, _ in engine.system.named_parameters()}
        plain = [own[k].tobytes() for k in sorted(parameters)]
        plain += [t.numpy().tobytes() for m in moments for s in m.values() for t in s.values() if isinstance(t, torch.Tensor)]
        ranks = processes.gather(plain)
        resumed = game(name, processes)
        resumed.system.load_state_dict(processes.agree(engine.system.state_dict()))  # rank 0's, as a checkpoint holds them
        resumed.restore(engine.state())
        for one in (engine, resumed):
            one.play_round()
        after = [[t.numpy().tobytes() for t in one.system.state_dict().values()] for one in (engine, resumed)]
        exact = processes.gather(after[0] == after[1])
        found[name] = {
            "tensors": own,
            "same": ranks[0] == ranks[-1],
            "world": len(ranks),
            "exact": exact,
            "rounds": engine.clock,
        }
    return found


@pytest.fixture(scope="module")
def both() -> tuple[dict[str, Any], dict[str, Any]]:
    names = list(GAMES)
    return launch(play, (names,), processes=1, device="cpu"), launch(play, (names,), processes=2, device="cpu")


@pytest.mark.slow
@pytest.mark.xdist_group("two processes")  # which start once, for all of them
@pytest.mark.parametrize("name", [n for n in GAMES if "BatchNorm" not in n])
def test_two_processes_play_the_game_of_one(both: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    one, two = both[0][name], both[1][name]
    assert (one["world"], two["world"]) == (1, 2)
    assert one["rounds"] == two["rounds"]
    for key, expected in one["tensors"].items():
        actual = two["tensors"][key]
        if "float64" in name:
            assert actual.dtype == np.float64
            assert np.abs(actual - expected).max() <= 1e-9, key
        else:
            assert np.linalg.norm(actual - expected) <= 1e-5 * np.linalg.norm(expected), key
    start = game(name, Processes(torch.device("cpu"))).system.state_dict()
    assert any(np.abs(two["tensors"][k] - start[k].numpy()).max() > 1e-3 for k in start), "the weights did move"


@pytest.mark.slow
@pytest.mark.xdist_group("two processes")  # which start once, for all of them
@pytest.mark.parametrize("name", list(GAMES))
def test_both_ranks_hold_the_same_weights_and_moments(both: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    assert both[1][name]["same"]


@pytest.mark.slow
@pytest.mark.xdist_group("two processes")  # which start once, for all of them
@pytest.mark.parametrize("name", list(GAMES))
def test_several_processes_resume_exactly_too(both: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    assert all(both[1][name]["exact"]), "also between two reductions of BatchNorm's statistics"


class Counted(System):
    """One weight, and a buffer of every rule that each rank fills with its own numbers."""

    @dataclass(frozen=True)
    class Config:
        pass

    def __init__(self) -> None:
        super().__init__(POINTS, self.Config())
        self.only = torch.nn.Linear(2, 1, bias=False)
        for rule in ("mean", "sum", "lead", "rank"):
            self.register_buffer(f"by_{rule}", torch.zeros(2))
        self.bad = False

    def players(self) -> tuple[Player, ...]:
        return (Player("one", ("only",), optimiser("sgd", 0.1)),)

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("one", self.pull),)),)

    def reductions(self) -> dict[str, str]:
        return {f"by_{rule}": rule for rule in ("sum", "lead", "rank")}

    def pull(self, batch: Any, clock: Clock, shared: Any) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            for buffer in self.buffers():
                buffer += 1.0 + batch.noise.rank
        return {"x": self.only(batch.real).mean() * (math.nan if self.bad else 1.0)}


def count(processes: Processes) -> list[Any]:
    """The buffers, by rank: after 2 agreements, one round later, from a checkpoint there, and after a roll-back from there."""

    def fresh() -> Engine:
        torch.manual_seed(0)
        stream = DatasetStream(tiny(POINTS), 8, world=processes.world)
        return Engine(Counted(), {"data": stream}, processes=processes, check_every=3)

    def buffers(engine: Engine) -> dict[str, float]:
        return {name: float(buffer[0]) for name, buffer in engine.system.named_buffers()}

    engine, seen = fresh(), []
    for _ in range(6):
        engine.play_round()
    seen.append(buffers(engine))
    engine.play_round()
    engine.settle()  # as saving does
    seen.append(buffers(engine))
    resumed = fresh()
    resumed.system.load_state_dict(processes.agree(engine.system.state_dict()))
    resumed.restore(engine.state())
    for one in (engine, resumed):
        one.play_round()
        one.play_round()
        seen.append(buffers(one))
    resumed.system.bad = True  # type: ignore[assignment]
    for _ in range(3):
        resumed.play_round()
    resumed.system.bad = False  # type: ignore[assignment]
    seen.append(buffers(resumed))
    for _ in range(3):
        resumed.play_round()
    seen.append(buffers(resumed))
    return processes.gather(seen)


@pytest.mark.slow
def test_buffers_agree_by_their_rules_also_after_resuming_and_rolling_back() -> None:
    first, second = launch(count, (), processes=2, device="cpu")
    # rank 0 adds 1 a round, rank 1 adds 2
    assert first[0] == {"by_mean": 9.0, "by_sum": 18.0, "by_lead": 6.0, "by_rank": 6.0}
    assert second[0] == {"by_mean": 9.0, "by_sum": 18.0, "by_lead": 6.0, "by_rank": 12.0}
    assert first[1] == {"by_mean": 10.0, "by_sum": 19.0, "by_lead": 7.0, "by_rank": 7.0}, "saving changes nothing"
    assert second[1] == {"by_mean": 11.0, "by_sum": 20.0, "by_lead": 8.0, "by_rank": 14.0}
    for seen, own in ((first, 9.0), (second, 18.0)):
        assert seen[2] == seen[3] == {"by_mean": 13.5, "by_sum": 27.0, "by_lead": 9.0, "by_rank": own}, "resumed or not"
        assert seen[4] == seen[3], "rolled back"
        assert seen[5] == {"by_mean": 18.0, "by_sum": 36.0, "by_lead": 12.0, "by_rank": own * 12 / 9}


# Ends


def fail(processes: Processes, kind: str) -> None:
    processes.wait()
    if processes.rank == 1:
        if kind == "data":
            raise DataError("a.png is damaged: take it out")
        if kind == "run":
            raise RunError("the disk is full")
        if kind == "bug":
            raise ZeroDivisionError("a mistake in the code")
        os.kill(os.getpid(), signal.SIGKILL)
    processes.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("data", GanvasError, "^a.png is damaged: take it out$"),
        ("kill", Gone, r"^process 1 of 2 died \(killed by SIGKILL\)$"),
        ("bug", RuntimeError, "(?s)process 1 of 2:.*ZeroDivisionError: a mistake in the code"),
    ],
)
def test_what_goes_wrong_in_one_process_is_what_the_parent_raises(
    kind: str, error: type[Exception], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    begin = time.monotonic()
    with pytest.raises(error, match=message) as failure:
        launch(fail, (kind,), processes=2, device="cpu")
    assert time.monotonic() - begin < 60
    assert getattr(failure.value, "exit_code", None) == {"data": 2, "kill": 1, "bug": None}[kind]
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    assert capfd.readouterr().err == "", "the processes themselves say nothing"


def test_devices_are_counted() -> None:
    assert pick_device("cpu", 64).type == "cpu"
    with pytest.raises(GanvasError, match="device 'cuda:99' is not on this machine"):
        pick_device("cuda:99")


def members(parent: int) -> list[int]:
    """The two training processes, children of `parent`, in order of rank."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            owner = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            words = (folder / "cmdline").read_bytes()
        except OSError:  # it ended just now
            continue
        if owner == parent and b"spawn_main" in words:
            found.append(int(folder.name))
    return sorted(found)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def begin(run: Path, *words: Any) -> subprocess.Popen[str]:
    """Start training on two processes and return when rounds are being played."""

    def saved() -> str:
        return "".join(p.read_text() for p in run.glob("checkpoints/last/manifest.json"))

    before = saved()
    process = toys.start("train", *words, "--save-every", 0, "--sample-every", 0, start_new_session=True)
    limit = time.monotonic() + 240
    while saved() == before:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.1)
    return process


def end(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, str, list[str]]:
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, out, err.splitlines()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_signals_and_death_on_the_command_line(tmp_path: Path) -> None:
    """One run on two processes: Ctrl-C, then SIGTERM, then a killed rank, then a killed parent, then to its end."""
    data = toys.points_file(tmp_path / "points.csv")
    run = tmp_path / "run"
    process = begin(run, "lsgan", "--data", data, "--out", run, "--processes", 2, "--precision", 64, *toys.settings())
    os.killpg(process.pid, signal.SIGINT)  # a Ctrl-C reaches every process of the group
    code, out, err = end(process)
    assert code == 130, err
    assert f"everything is saved; go on with  ganvas train --resume {run}" in err[-1]
    assert "Traceback" not in "\n".join(err)

    first = int(toys.digests(run)["round"])
    process = begin(run, "--resume", run)
    os.kill(process.pid, signal.SIGTERM)  # a scheduler tells the parent alone
    code, out, err = end(process)
    assert code == 143, err
    assert f"ganvas train --resume {run}" in err[-1]

    process = begin(run, "--resume", run)
    started = members(process.pid)
    assert len(started) == 2
    os.kill(started[0], signal.SIGKILL)
    killed = time.monotonic()
    code, out, err = end(process)
    assert time.monotonic() - killed < 70
    assert code == 1
    assert err[-1].startswith(
        "ganvas: process 0 of 2 died (killed by SIGKILL); what was saved is intact, go on with  ganvas train"
    )
    assert sum(line.startswith("ganvas: ") for line in err) == 1
    assert "Traceback" not in "\n".join(err)
    assert not any(alive(pid) for pid in started), "nobody is left behind"

    process = begin(run, "--resume", run)
    started = members(process.pid)
    process.kill()
    end(process)
    limit = time.monotonic() + 70
    while any(alive(pid) for pid in started):
        assert time.monotonic() < limit, "without its parent, whom a user could stop, a run must not go on"
        time.sleep(0.1)

    rounds = int(toys.digests(run)["round"])
    assert rounds >= first > 0
    done = toys.ganvas("train", "--resume", run, "--budget", f"{rounds + 5}r", "--sample-every", 0, timeout=240)
    assert done.returncode == 0, done.stderr
    assert toys.digests(run)["round"] == str(rounds + 5)


def test_refusals_before_anything_starts(tmp_path: Path) -> None:
    import ganvas

    data = toys.points_file(tmp_path / "points.csv")
    with pytest.raises(GanvasError, match="batch_size 8 cannot be cut into 3 processes .* --set batch_size=9"):
        ganvas.train("gan", data, processes=3, config=toys.SMALL, out=tmp_path / "run", budget="1r")
    assert not (tmp_path / "run").exists()
