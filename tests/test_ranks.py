"""Processes that a launcher started: one run between them, killed and resumed to the same bits, and a line when one is gone."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import toys
from ganvas import ranks
from ganvas.errors import DataError, GanvasError, RunError
from ganvas.launchers import Place
from ganvas.ranks import Ranks

SIGNS = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID",
    "SLURM_PROCID", "SLURM_STEP_NUM_TASKS",
)  # fmt: skip
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# Two in one process: what they say to each other


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"BEAT_SECONDS": 0.1, "GRACE_SECONDS": 1.0, "SHARE_SECONDS": 0.5, "JOIN_SECONDS": 20.0}.items():
        monkeypatch.setattr(ranks, name, seconds)


def pair(
    lead: Callable[[Ranks], Any], follow: Callable[[Ranks], Any], words: Sequence[Mapping[str, str]] = ({}, {})
) -> list[Any]:
    """What both processes, here threads, return or raise."""
    port, found = free_port(), [None, None]
    both = [Ranks(Place("srun", rank, 2, rank, 2, "127.0.0.1", port), words[rank]) for rank in range(2)]
    both[1]._prefix = both[0]._prefix

    def live(rank: int, work: Callable[[Ranks], Any]) -> None:
        try:
            with both[rank] as own:
                found[rank] = work(own)
        except (GanvasError, ZeroDivisionError, RuntimeError) as error:
            found[rank] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=live, args=(rank, work)) for rank, work in enumerate((lead, follow))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return found


def test_who_is_not_played_with_returns(quick: None) -> None:
    assert pair(lambda own: "rehearsed", lambda own: own.follow(print)) == ["rehearsed", None]


def test_another_command_is_refused_by_name(quick: None) -> None:
    led, followed = pair(lambda own: None, lambda own: own.follow(print), ({"--seed": "1"}, {"--seed": "2"}))
    assert isinstance(led, GanvasError)
    assert str(led).startswith(
        f"process 1 on {socket.gethostname()} was started with --seed 2, process 0 with 1: start all with"
    )
    assert isinstance(followed, RunError)
    assert not followed.aloud


def test_a_folder_that_is_not_shared_is_refused(quick: None, tmp_path: Path) -> None:
    """The second one's place of that name is another disk."""
    folder = tmp_path / "runs" / "one"

    def elsewhere(own: Ranks) -> None:
        look = own._look_for
        own._look_for = lambda name, token: look(str(tmp_path / "elsewhere"), token)  # type: ignore[method-assign]
        own.follow(print)

    led, followed = pair(lambda own: own.share(folder), elsewhere)
    assert isinstance(led, RunError)
    assert f"does not see what process 0 on {socket.gethostname()} writes into {folder}: --out must be in a folder that" in str(
        led
    )
    assert not folder.exists(), "nothing is left of a run that did not begin"
    assert isinstance(followed, RunError)
    pair(lambda own: own.share(folder), lambda own: own.follow(print))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("raised", "kind", "line"),
    [
        (DataError("a.png is damaged: take it out"), GanvasError, "^a.png is damaged: take it out$"),
        (RunError("the disk is full"), RunError, "^the disk is full$"),
        (ZeroDivisionError("a mistake"), RuntimeError, "(?s)process 1 of 2:.*ZeroDivisionError: a mistake"),
    ],
)
def test_process_0_tells_what_went_wrong_in_another(
    quick: None, raised: Exception, kind: type[Exception], line: str, tmp_path: Path
) -> None:
    def fail(own: Ranks) -> None:
        raise raised

    led, followed = pair(lambda own: own.share(tmp_path), fail)
    assert type(led) is kind
    with pytest.raises(kind, match=line):
        raise led
    assert not getattr(followed, "aloud", False)
    assert isinstance(followed, GanvasError), "which the command line of that process leaves to process 0"


def test_who_falls_silent_is_given_up(quick: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ranks, "SILENCE_SECONDS", 1.0)

    def freeze(own: Ranks) -> None:
        own._closed.set()  # no sign of life, and no answer
        time.sleep(4)

    begin = time.monotonic()
    led, _ = pair(lambda own: own.share(tmp_path), freeze)
    assert isinstance(led, RunError)
    assert str(led) == "process 1 of 2 ended without a word (killed, or its machine is gone)"
    assert time.monotonic() - begin < 15


def test_who_does_not_come_is_named(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "JOIN_SECONDS", 1.0)
    with pytest.raises(RunError, match=r"^of 3 processes 1 came within 1 s, 1, 2 did not: start the command on each machine"):
        Ranks(Place("srun", 0, 3, 0, 3, "127.0.0.1", free_port()), {}).__enter__()
    with pytest.raises(RunError, match="did not answer within 1 s: MASTER_ADDR and MASTER_PORT must name") as error:
        Ranks(Place("srun", 1, 3, 1, 3, "127.0.0.1", free_port()), {}).__enter__()
    assert not error.value.aloud


# Real launchers


class Launched:
    """Processes of one run on `ganvas train` words, and what they print."""

    def __init__(self, commands: Sequence[Sequence[Any]], environments: Sequence[Mapping[str, str]], place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        clean = {key: value for key, value in toys.environment().items() if key not in SIGNS}
        self.place = place
        self.outputs = [(place / f"{k}.out").open("w+") for k in range(len(commands))]
        self.errors = [(place / f"{k}.err").open("w+") for k in range(len(commands))]
        streams = zip(commands, environments, self.outputs, self.errors, strict=True)
        quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "start_new_session": True}
        self.processes = [
            subprocess.Popen(list(map(str, command)), env={**clean, **more}, stdout=out, stderr=err, **quiet)
            for command, more, out, err in streams
        ]

    def text(self, which: str = "err") -> str:
        return "".join(path.read_text() for path in sorted(self.place.glob(f"*.{which}")))

    def lines(self) -> list[str]:
        """What ganvas itself says at the end, of all that launchers write."""
        return [line for line in self.text().splitlines() if line.startswith("ganvas: ")]

    def until_saved(self, run: Path, seconds: float = 600) -> None:
        """Return when a checkpoint was written after this call."""
        manifest = run / "checkpoints" / "last" / "manifest.json"

        def saved() -> str:
            try:
                return manifest.read_text()
            except OSError:
                return ""

        before, limit = saved(), time.monotonic() + seconds
        while saved() in ("", before):
            if time.monotonic() > limit or any(process.poll() is not None for process in self.processes):
                self.close()
                raise AssertionError(f"nothing was saved: {self.text()}")
            time.sleep(0.1)

    def end(self, seconds: float = 600) -> list[int]:
        limit = time.monotonic() + seconds
        try:
            return [process.wait(max(1.0, limit - time.monotonic())) for process in self.processes]
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {self.text()}") from None
        finally:
            self.close()

    def close(self) -> None:
        """Leave nothing behind."""
        left = [*self.ranks().values()] if Path("/proc/self/stat").exists() else []
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for number in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        for stream in (*self.outputs, *self.errors):
            stream.close()

    def ranks(self) -> dict[int, int]:
        """Process numbers of those that train, by rank."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                told = dict(pair.partition(b"=")[::2] for pair in (folder / "environ").read_bytes().split(b"\0"))
                rank = told.get(b"RANK") or told.get(b"SLURM_PROCID")
                if rank is not None and b"train" in words and str(self.place).encode() == told.get(b"GANVAS_TEST"):
                    found[int(rank)] = int(folder.name)
        return found


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone(processes: Sequence[int], seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while any(map(alive, processes)) and time.monotonic() < limit:
        time.sleep(0.1)
    return not any(map(alive, processes))


def begun(data: Path, run: Path) -> list[Any]:
    return ["train", "lsgan", "--data", data, "--out", run, *toys.settings(), *OFTEN]


OFTEN = ["--save-every", 0, "--sample-every", 0, "--watch", "off"]


def torchrun(words: Sequence[Any], place: Path, *options: Any) -> Launched:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2, "--master-port", free_port(), *options]
    return Launched([[*launcher, "-m", "ganvas", *words]], [{"GANVAS_TEST": str(place)}], place)


def srun(words: Sequence[Any], place: Path, port: int) -> Launched:
    """As `srun --ntasks 2` starts them on one machine."""
    common = {
        "SLURM_STEP_NUM_TASKS": "2", "SLURM_NODEID": "0", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NODELIST": "localhost",
        "SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0", "MASTER_PORT": str(port), "GANVAS_TEST": str(place),
    }  # fmt: skip
    own = [{**common, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in range(2)]
    return Launched([[sys.executable, "-m", "ganvas", *words]] * 2, own, place)


def round_of(run: Path) -> int:
    return int(toys.digests(run)["round"])


@linux
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_torchrun_killed_and_resumed_to_the_same_bits(tmp_path: Path) -> None:
    """One machine, two processes: a rank is killed, then the launcher, then it goes on to the end, as if nothing had been."""
    data, run = toys.points_file(tmp_path / "points.csv"), tmp_path / "run"
    first = torchrun(begun(data, run), tmp_path / "first")
    first.until_saved(run)
    training = first.ranks()
    assert sorted(training) == [0, 1]
    os.kill(training[1], signal.SIGKILL)
    assert first.end(90) != [0]
    assert first.lines() == [
        "ganvas: process 1 of 2 ended without a word (killed, or its machine is gone); what was saved is intact, start again "
        f"as before with  ganvas train --resume {run}"
    ]
    assert gone(list(training.values()), 30)

    second = torchrun(["train", "--resume", run, "--save-every", 0], tmp_path / "second")
    second.until_saved(run)
    training = second.ranks()
    assert sorted(training) == [0, 1]
    second.processes[0].kill()
    assert gone(list(training.values()), 60), "without what started it, and could stop it, a run does not go on"
    second.end(10)
    # Whichever notices it first, who waits for the other process or who waits for a round.
    parent = "ganvas: the process that started the training is gone"
    launcher = (
        "ganvas: the launcher (torchrun) is gone; what was saved is intact, start again as before with  "
        f"ganvas train --resume {run}"
    )
    assert second.lines() in ([parent], [launcher])
    assert "Exception" not in second.text(), "nor does torch tell its side of it"

    rounds = round_of(run) + 3
    third = torchrun(["train", "--resume", run, "--budget", f"{rounds}r"], tmp_path / "third")
    assert third.end() == [0], third.text()
    assert third.text("out").count("trained ") == 1, "one process speaks"
    straight = torchrun([*begun(data, tmp_path / "straight"), "--budget", f"{rounds}r"], tmp_path / "fourth")
    assert straight.end() == [0], straight.text()
    assert toys.digests(run) == toys.digests(tmp_path / "straight")
    assert round_of(run) == rounds


@linux
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_slurm_is_told_to_stop_and_another_way_of_starting_goes_on(tmp_path: Path) -> None:
    """SIGTERM to the second task alone stops both, saved; `--processes 2` goes on to the bits of an undisturbed run."""
    data, run = toys.points_file(tmp_path / "points.csv"), tmp_path / "run"
    first = srun(begun(data, run), tmp_path / "first", free_port())
    first.until_saved(run)
    os.kill(first.ranks()[1], signal.SIGTERM)
    assert first.end(90) == [143, 143]
    assert f"everything is saved; go on with  ganvas train --resume {run}" in first.text()
    assert first.text("out") == ""
    rounds = round_of(run) + 3

    refused = toys.ganvas("train", "--resume", run, "--processes", 1)
    assert refused.returncode == 2
    assert "was trained by 2 processes, and this would be 1: each has random numbers of its own" in refused.stderr

    done = toys.ganvas("train", "--resume", run, "--budget", f"{rounds}r")
    assert done.returncode == 0, done.stderr
    straight = srun([*begun(data, tmp_path / "straight"), "--budget", f"{rounds}r"], tmp_path / "second", free_port())
    assert straight.end() == [0, 0], straight.text()
    assert toys.digests(run) == toys.digests(tmp_path / "straight")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_contradicts_a_launcher_is_refused_by_process_0(tmp_path: Path) -> None:
    data = toys.points_file(tmp_path / "points.csv")
    refused = srun([*begun(data, tmp_path / "run"), "--processes", 3], tmp_path / "first", free_port())
    assert refused.end(120) == [2, 2]
    assert refused.lines() == [
        "ganvas: --processes 3, but srun started 2: leave --processes out, which starts processes itself, on one machine"
    ]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fabrics_launcher_starts_the_same_run(tmp_path: Path) -> None:
    pytest.importorskip("click")
    data = toys.points_file(tmp_path / "points.csv")
    script = tmp_path / "train.py"
    script.write_text("from ganvas.cli import main\n\nraise SystemExit(main())\n")
    command = [
        sys.executable,
        "-m",
        "lightning_fabric.cli",
        "run",
        "--accelerator",
        "cpu",
        "--devices",
        2,
        "--main-port",
        free_port(),
    ]
    words = [*begun(data, tmp_path / "run"), "--budget", "5r"]
    run = Launched([[*command, script, *words]], [{}], tmp_path / "first")
    assert run.end() == [0], run.text()
    straight = toys.ganvas(*begun(data, tmp_path / "straight"), "--budget", "5r", "--processes", 2)
    assert straight.returncode == 0, straight.stderr
    assert toys.digests(tmp_path / "run") == toys.digests(tmp_path / "straight")


# Two machines


@pytest.fixture
def machines() -> Iterator[list[str]]:
    """Two network namespaces joined by a cable: as far as the network goes, two machines."""
    if shutil.which("ip") is None:
        pytest.skip("no `ip` here: install iproute2")
    names = [f"ganvas{os.getpid()}{letter}" for letter in "ab"]

    def ip(*words: str) -> None:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no network namespaces here: ip {' '.join(words)}: {done.stderr.strip()}")

    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "veth0", "netns", names[0], "type", "veth", "peer", "name", "veth0", "netns", names[1])
        for number, name in enumerate(names, start=1):
            ip("-n", name, "address", "add", f"10.83.1.{number}/24", "dev", "veth0")
            ip("-n", name, "link", "set", "veth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def on_machines(names: Sequence[str], words: Sequence[Any], place: Path) -> Launched:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes", 2, "--nproc-per-node", 1]
    launcher += ["--master-addr", "10.83.1.1", "--master-port", 29417]
    commands = [
        ["ip", "netns", "exec", name, *launcher, "--node-rank", number, "-m", "ganvas", *words]
        for number, name in enumerate(names)
    ]  # fmt: skip
    return Launched(commands, [{"GLOO_SOCKET_IFNAME": "veth0", "GANVAS_TEST": str(place)}] * 2, place)


@linux
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_two_machines_killed_and_resumed_to_the_same_bits(machines: list[str], tmp_path: Path) -> None:
    data, run = toys.points_file(tmp_path / "points.csv"), tmp_path / "run"
    first = on_machines(machines, begun(data, run), tmp_path / "first")
    first.until_saved(run)
    training = first.ranks()
    assert sorted(training) == [0, 1]
    os.kill(first.processes[1].pid, signal.SIGKILL)  # the launcher of the second machine, and its process
    os.kill(training[1], signal.SIGKILL)
    assert 0 not in first.end(120)
    assert len(first.lines()) == 1, first.text()
    assert first.lines()[0].startswith("ganvas: process 1 of 2 ended without a word")
    assert gone(list(training.values()), 30)
    rounds = round_of(run) + 3
    second = on_machines(machines, ["train", "--resume", run, "--budget", f"{rounds}r"], tmp_path / "second")
    assert second.end() == [0, 0], second.text()
    straight = on_machines(machines, [*begun(data, tmp_path / "straight"), "--budget", f"{rounds}r"], tmp_path / "third")
    assert straight.end() == [0, 0], straight.text()
    assert toys.digests(run) == toys.digests(tmp_path / "straight")


@linux
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_cable_that_is_pulled_out(machines: list[str], tmp_path: Path) -> None:
    """No connection is closed and nobody says anything: each side gives the other up, and tells so in a line."""
    data, run = toys.points_file(tmp_path / "points.csv"), tmp_path / "run"
    first = on_machines(machines, begun(data, run), tmp_path / "first")
    first.until_saved(run)
    training = list(first.ranks().values())
    subprocess.run(["ip", "-n", machines[1], "link", "set", "veth0", "down"], check=True)
    try:
        assert gone(training, ranks.SILENCE_SECONDS + ranks.GRACE_SECONDS + 60), first.text()
    finally:
        first.close()
    assert 1 <= len(first.lines()) <= 2, first.text()
    assert any("process 1 of 2 has been silent for 60 s; what was saved is intact" in line for line in first.lines())
