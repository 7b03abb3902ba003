"""The logs of a run: what is written is read back, resuming forgets later rounds, a refusing disk is told in one line."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.errors import RunError
from ganvas.run.logs import EVENTS, METRICS, Logs, read_metrics


def record(number: int, value: float = 0.5) -> dict[str, float | int | str | None]:
    return {"round": number, "samples": number * 8, "phase": "play", "terms/d/real": value, "norms/d": 2.0}


def accumulated(run: Path):  # type: ignore[no-untyped-def]
    """What TensorBoard itself reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(run / EVENTS), size_guidance={"scalars": 0, "images": 0})
    return reader.Reload()


def test_records_come_back_in_both_logs(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    assert read_metrics(tmp_path) == []
    logs.write(record(10, 0.25))
    logs.write({**record(20, np.float32(0.75)), "incident": "größer"})  # type: ignore[dict-item]
    logs.close()
    first, second = read_metrics(tmp_path)
    assert first == record(10, 0.25)
    assert second["terms/d/real"] == 0.75
    assert second["incident"] == "größer"
    reader = accumulated(tmp_path)
    assert sorted(reader.Tags()["scalars"]) == ["norms/d", "terms/d/real"]
    assert [(e.step, e.value) for e in reader.Scalars("terms/d/real")] == [(10, 0.25), (20, 0.75)]


def test_nan_and_infinity_stay_json(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.write({"round": 1, "samples": 8, "terms/a": math.nan, "terms/b": -math.inf, "memory": None})

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    line = json.loads((tmp_path / METRICS).read_text(), parse_constant=refuse)
    assert line == {"round": 1, "samples": 8, "terms/a": None, "terms/b": None, "memory": None}
    assert math.isnan(accumulated(tmp_path).Scalars("terms/a")[0].value)


def test_each_line_is_there_at_once(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.write(record(1))
    assert read_metrics(tmp_path) == [record(1)]  # before close: a kill would not lose it
    assert len(accumulated(tmp_path).Scalars("norms/d")) == 1
    logs.close()


def test_images_reach_tensorboard(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    colour = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    logs.image("samples", colour, 3)
    logs.image("grey", colour[..., :1], 4)
    reader = accumulated(tmp_path)
    (event,) = reader.Images("samples")
    assert (event.step, event.width, event.height) == (3, 20, 12)
    assert (np.asarray(Image.open(io.BytesIO(event.encoded_image_string))) == colour).all()
    grey = Image.open(io.BytesIO(reader.Images("grey")[0].encoded_image_string))
    assert grey.mode == "L"
    assert (np.asarray(grey) == colour[..., 0]).all()


def test_resuming_forgets_later_rounds_in_both(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    for number in (10, 20, 30, 40):
        logs.write(record(number, 0.1))
    with (tmp_path / METRICS).open("ab") as handle:  # killed while writing
        handle.write(b'{"round": 15, "sam')
    again = Logs(tmp_path, from_round=20)
    assert [r["round"] for r in read_metrics(tmp_path)] == [10, 20]
    again.write(record(25, 0.9))
    assert [r["round"] for r in read_metrics(tmp_path)] == [10, 20, 25]
    assert [(e.step, round(e.value, 3)) for e in accumulated(tmp_path).Scalars("terms/d/real")] == [
        (10, 0.1),
        (20, 0.1),
        (25, 0.9),
    ]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_starting_over_forgets_everything(tmp_path: Path) -> None:
    Logs(tmp_path).write(record(10))
    Logs(tmp_path)
    assert read_metrics(tmp_path) == []


def test_a_line_cut_off_is_left_out_and_a_damaged_one_named(tmp_path: Path) -> None:
    path = tmp_path / METRICS
    whole = json.dumps(record(1)) + "\n"
    path.write_text(whole + whole[:-5])
    assert read_metrics(tmp_path) == [record(1)]
    for wrong in ("nonsense\n", "[1]\n", "\n"):
        path.write_text(whole + wrong + whole)
        with pytest.raises(RunError, match=r"metrics\.jsonl is damaged at line 2") as caught:
            read_metrics(tmp_path)
        assert "\n" not in str(caught.value)
        with pytest.raises(RunError, match="line 2"):
            Logs(tmp_path, from_round=1)
        assert path.read_text() == whole + wrong + whole  # nothing is repaired behind the user's back
    assert read_metrics(tmp_path / "absent") == []


def test_a_deleted_folder_is_told(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    logs = Logs(run)
    logs.write(record(1))
    shutil.rmtree(run)
    with pytest.raises(RunError, match="is gone"):
        logs.write(record(2))
    with pytest.raises(RunError, match="is gone"):
        logs.image("samples", np.zeros((2, 2, 3), np.uint8), 2)
    logs.close()
    assert not run.exists()
    with pytest.raises(RunError, match="is gone"):
        Logs(run)


def test_a_deleted_file_is_told_and_not_begun_anew(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.write(record(1))
    (tmp_path / METRICS).unlink()
    with pytest.raises(RunError, match="is gone"):
        logs.write(record(2))
    assert not (tmp_path / METRICS).exists()


def test_a_deleted_events_folder_is_told(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    shutil.rmtree(tmp_path / EVENTS)
    with pytest.raises(RunError, match="is gone"):
        logs.write(record(1))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("victim", [METRICS, EVENTS])
def test_a_full_disk_is_told_in_one_line(tmp_path: Path, victim: str) -> None:
    logs = Logs(tmp_path)
    path = tmp_path / METRICS if victim == METRICS else next((tmp_path / EVENTS).iterdir())
    path.unlink()
    path.symlink_to("/dev/full")
    with pytest.raises(RunError, match="the disk is full") as caught:
        logs.write(record(1))
    assert "\n" not in str(caught.value)
    logs.close()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="a superuser may write anywhere")
def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    (tmp_path / METRICS).chmod(0o400)
    with pytest.raises(RunError, match="no permission"):
        logs.write(record(1))


def test_no_host_name_no_thread_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, threading, pathlib; from ganvas.run.logs import Logs; logs = Logs(pathlib.Path(sys.argv[1]))\n"
        "logs.write({'round': 1, 'samples': 1, 'terms/a': 1.0})\n"
        "print(threading.active_count(), 'torch' in sys.modules, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False", "False"]
    assert done.stderr == ""
    name = next((tmp_path / EVENTS).iterdir()).name
    assert "tfevents" in name
    assert socket.gethostname() not in name
