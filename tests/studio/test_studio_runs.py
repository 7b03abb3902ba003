"""Runs as the studio reads them, the queue of processes, and that a studio which is killed takes nothing with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.files import held, holder, sign
from ganvas.studio import jobs as queue
from ganvas.studio.jobs import Jobs
from ganvas.studio.places import Places
from ganvas.studio.runs import Runs, thinned

SLEEP = ("-c", "import time; time.sleep(60)")


@pytest.fixture
def places(tmp_path: Path, trained: Path) -> Places:
    shutil.copytree(trained, tmp_path / "runs" / "sine")
    return Places(tmp_path / "runs")


def until(true: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


# Reading


def test_a_run_is_read_from_its_files(places: Places) -> None:
    row = Runs(places, Jobs(places)).row("sine")
    assert row["system"] == "gan" and row["state"] == "done" and row["progress"] == 1.0
    assert row["round"] == 40 and row["picture"] == 40 and row["noun"] == "points"


def test_numbers_come_from_where_the_page_left_off(places: Places) -> None:
    runs = Runs(places, Jobs(places))
    path = places.runs / "sine" / "metrics.jsonl"
    first = runs.numbers("sine", 0)
    assert first["rows"] and first["at"] == path.stat().st_size
    with path.open("a") as handle:
        handle.write(json.dumps({"round": 50, "seconds": 9.0, "samples": 1}) + "\n" + '{"round": 51, "sec')  # cut off
    then = runs.numbers("sine", first["at"])
    assert [row["round"] for row in then["rows"]] == [50]
    with path.open("a") as handle:
        handle.write('onds": 9.5}\n')
    assert [row["round"] for row in runs.numbers("sine", then["at"])["rows"]] == [51]
    path.write_text(json.dumps({"round": 1, "seconds": 0.1}) + "\n")  # the run went back
    assert runs.numbers("sine", then["at"]) == {"rows": [{"round": 1, "seconds": 0.1}], "at": path.stat().st_size, "anew": True}


def test_a_damaged_run_is_a_row_that_says_so(places: Places) -> None:
    (places.runs / "sine" / "config.yaml").write_text("system: [")
    (places.runs / "sine" / "health.json").write_text("{")
    runs = Runs(places, Jobs(places))
    assert "not valid YAML" in runs.row("sine")["wrong"]
    assert runs.page("sine")["wrong"]


def test_many_rows_are_thinned_and_alarms_stay() -> None:
    rows: list[dict[str, Any]] = [{"round": n} for n in range(10_000)]
    rows[4321]["alarm"] = "collapse"
    kept = thinned(rows)
    assert len(kept) <= 1502 and kept[-1]["round"] == 9999 and any("alarm" in row for row in kept)


def test_two_hundred_runs_and_ten_thousand_pictures_are_quick(places: Places) -> None:
    for number in range(199):
        shutil.copytree(places.runs / "sine", places.runs / f"copy-{number}", ignore=shutil.ignore_patterns("checkpoints"))
    for number in range(10_000):
        (places.runs / "sine" / "samples" / f"round-{number:07d}.png").touch()
    runs = Runs(places, Jobs(places))
    runs.rows()
    began = time.process_time()
    assert len(runs.rows()) == 200
    again = time.process_time() - began
    page = runs.page("sine")
    assert len(page["pictures"]) <= 121 and page["pictures"][-1] == 9999
    assert again < 0.5, again


@pytest.mark.parametrize("side", [64, 320, 1000])
def test_a_small_picture_of_noise_is_small_as_well(tmp_path: Path, side: int) -> None:
    from PIL import Image

    from ganvas.studio.small import MOST, small_picture

    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)).save(tmp_path / "noise.png")
    for width in (112, 800):
        made = small_picture(tmp_path / "noise.png", tmp_path, width)
        assert made.stat().st_size <= MOST
        with Image.open(made) as image:
            assert 32 <= image.width <= width


def test_a_held_run_is_training_and_names_its_process(places: Places) -> None:
    run = places.runs / "sine"
    runs = Runs(places, Jobs(places))
    assert holder(run) is None
    with held(run):
        assert holder(run) is not None
        sign(run)
        assert holder(run) == os.getpid()
        assert runs.row("sine")["state"] == "running"
    assert holder(run) is None and runs.row("sine")["state"] == "done"


# The queue


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are small programs in place of ganvas."""
    import sys

    monkeypatch.setattr(queue.lines, "process", lambda words: [sys.executable, *[word for word in words if word != "--json"]])


def test_one_at_a_time_and_the_others_wait(places: Places, quick: None) -> None:
    jobs = Jobs(places)
    first, second = jobs.add("train", SLEEP, "a"), jobs.add("train", ("-c", 'print(\'{"stopped": "budget"}\')'), "b")
    assert (jobs.get(first.id).state, jobs.get(second.id).state) == ("running", "waiting")
    jobs.cancel(first.id)
    until(lambda: jobs.turn() or jobs.get(second.id).state == "done")
    assert jobs.get(first.id).state == "stopped"


def test_a_job_that_waits_can_be_taken_out(places: Places, quick: None) -> None:
    jobs = Jobs(places)
    first, second = jobs.add("train", SLEEP, "a"), jobs.add("train", SLEEP, "b")
    jobs.ask("b", "stop")
    assert jobs.get(second.id).state == "cancelled"
    jobs.cancel(first.id)


def test_jobs_outlive_the_queue_and_are_found_again(places: Places, quick: None) -> None:
    jobs = Jobs(places)
    first, second = jobs.add("train", SLEEP, "a"), jobs.add("train", ("-c", "print('{}')"), "b")
    pid = jobs.get(first.id).pid
    assert pid is not None and os.getsid(pid) == pid  # a session of its own: no signal of the terminal reaches it
    again = Jobs(places)  # as after a crash
    again.turn()
    assert again.get(first.id).state == "running" and again.get(second.id).state == "waiting"
    os.kill(pid, signal.SIGKILL)
    jobs._children[first.id].wait()
    until(lambda: again.turn() or again.get(second.id).state != "waiting")
    assert again.get(first.id).state == "failed" and "killed" in again.get(first.id).said


def test_a_later_process_of_the_same_number_is_another(places: Places, quick: None) -> None:
    jobs = Jobs(places)
    job = jobs.add("train", SLEEP, "a")
    path = places.own("jobs") / f"{job.id}.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "began": values["began"] - 1000}))
    again = Jobs(places)
    again.turn()
    assert again.get(job.id).state == "failed"
    jobs.cancel(job.id)


def test_what_a_failed_job_said_is_told(places: Places, quick: None) -> None:
    jobs = Jobs(places)
    job = jobs.add("train", ("-c", 'import sys; print(\'{"error": "no such data"}\'); sys.exit(2)'), "a")
    until(lambda: jobs.turn() or jobs.get(job.id).state == "failed")
    assert jobs.get(job.id).said == "no such data"


@pytest.mark.slow
def test_a_studio_that_is_killed_finds_its_training_again(tmp_path: Path) -> None:
    """SIGKILL of the studio while it trains: the run goes on, a new studio shows it, pauses it, and resumes it to the end."""
    from studio_server import end, serve

    httpx = pytest.importorskip("httpx")
    (tmp_path / "data").mkdir()
    first = serve(tmp_path / "runs", tmp_path / "data")
    second = None
    try:

        def client(server: Any) -> Any:
            made = httpx.Client(base_url=server.base, headers={"origin": server.base, "x-studio": "1"})
            made.get(server.address)
            return made

        page = client(first)
        asked = {
            "data": "patterns:sine",
            "system": "gan",
            "name": "live",
            "run": {"budget": "60s", "sample_every": 1},
            "config": {"width": 8},
        }
        assert page.post("/api/train", json=asked).json()["run"] == "live"

        def look(of: Any) -> Any:
            return of.get("/api/run", params={"name": "live"}).json()

        until(lambda: look(page)["numbers"]["rows"], 90)
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        assert holder(tmp_path / "runs" / "live")
        second = serve(tmp_path / "runs", tmp_path / "data")
        page = client(second)
        found = look(page)
        assert found["state"] == "running"
        before = found["round"]
        until(lambda: look(page)["round"] > before, 60)
        page.post("/api/act", json={"run": "live", "what": "pause"})
        until(lambda: look(page)["state"] == "paused", 60)
        paused = look(page)["round"]
        page.post("/api/act", json={"run": "live", "what": "resume", "budget": f"{paused + 200}r"})
        until(lambda: look(page)["state"] == "done", 120)
        assert look(page)["round"] == paused + 200
    finally:
        end(first)
        if second is not None:
            end(second)
