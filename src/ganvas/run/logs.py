"""The numbers of a run, kept: `metrics.jsonl` (one JSON object a line) and TensorBoard events in `tensorboard/`.

Each write opens its file, appends and closes it: there is no thread that could die or hang, a deleted folder is noticed at
once, and what was written is out of the process's hands. Not for showing numbers: that is `live`.
"""

from __future__ import annotations

import io
import json
import math
import os
import time
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..errors import GanvasError, RunError
from ..files import disk_errors, write_atomically

if TYPE_CHECKING:
    import numpy as np

METRICS = "metrics.jsonl"
EVENTS = "tensorboard"

Value = float | int | str | None


class Logs:
    """Writes the logs of a run.

    run: the run folder. from_round: the round the run continues from; what the logs hold of later rounds is dropped
    (from `metrics.jsonl` at once, by TensorBoard when it reads), as is a last line that was cut off.
    Raises RunError when the folder cannot be written or the metrics are damaged, GanvasError when TensorBoard is broken.
    """

    def __init__(self, run: Path, *, from_round: int = 0) -> None:
        self._metrics = run / METRICS
        self._begin_metrics(from_round)
        # Names sort by time: TensorBoard reads them in that order. No host name, unlike its own naming.
        self._events = run / EVENTS / f"events.out.tfevents.{time.time():017.6f}.{os.getpid()}"
        with disk_errors(self._events):
            self._events.parent.mkdir(exist_ok=True)
            self._events.touch(exist_ok=False)
        protos = _protos()
        self._event(protos.Event(file_version="brain.Event:2"))
        if from_round:
            start = protos.SessionLog(status=protos.SessionLog.START)
            self._event(protos.Event(step=from_round + 1, session_log=start))  # later steps are purged

    def _begin_metrics(self, from_round: int) -> None:
        if not self._metrics.exists():
            write_atomically(self._metrics, b"")
            return
        content = _read(self._metrics)
        kept = [line for line, record in _lines(self._metrics, content) if _round(record) <= from_round]
        if (wanted := b"".join(kept)) != content:
            write_atomically(self._metrics, wanted)

    def write(self, record: dict[str, Value]) -> None:
        """Append one record; it must have `round` and should have `samples`.

        Numbers whose key has a group (`terms/...`, `norms/...`) also go to TensorBoard, at step = round. NaN and infinity
        become null in the JSON, which has no word for them. Raises RunError when it cannot be written.
        """
        plain = {key: _plain(value) for key, value in record.items()}
        _append(self._metrics, (json.dumps(plain, ensure_ascii=False) + "\n").encode())
        numbers = {k: v for k, v in record.items() if "/" in k and v is not None and not isinstance(v, str)}
        if not numbers:
            return
        protos = _protos()
        values = [protos.Summary.Value(tag=key, simple_value=float(number)) for key, number in numbers.items()]
        self._event(protos.Event(step=_round(record), summary=protos.Summary(value=values)))

    def image(self, name: str, picture: np.ndarray, round: int) -> None:
        """Show `picture`, (H, W, 3), (H, W, 1) or (H, W) uint8, in TensorBoard. Raises RunError when it cannot be written."""
        from PIL import Image

        pixels = picture[:, :, 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG")
        protos = _protos()
        image = protos.Summary.Image(
            height=pixels.shape[0],
            width=pixels.shape[1],
            colorspace=1 if pixels.ndim == 2 else 3,
            encoded_image_string=buffer.getvalue(),
        )
        summary = protos.Summary(value=[protos.Summary.Value(tag=name, image=image)])
        self._event(protos.Event(step=round, summary=summary))

    def close(self) -> None:
        """Flush both files to the disk, so that a power failure after a finished run costs nothing."""
        for path in (self._metrics, self._events):
            try:
                handle = os.open(path, os.O_RDONLY)
            except OSError:  # the folder is gone: whoever wrote last was told
                continue
            try:
                os.fsync(handle)
            except OSError:
                pass
            finally:
                os.close(handle)

    def _event(self, event: Any) -> None:
        event.wall_time = time.time()
        framed = io.BytesIO()
        _protos().RecordWriter(framed).write(event.SerializeToString())
        _append(self._events, framed.getvalue())


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Every record of a run in order; a last line that was cut off is left out. An absent file has no records.

    Raises RunError when a line is damaged.
    """
    path = Path(run) / METRICS
    if not path.exists():
        return []
    return [record for _, record in _lines(path, _read(path))]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"could not read {path}: {error.strerror or error}") from error


def _lines(path: Path, content: bytes) -> list[tuple[bytes, dict[str, Any]]]:
    """(line with its end, record) for every whole line; what follows the last line end was cut off and is left out."""
    found = []
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            record = json.loads(line)
        except ValueError:  # not JSON, not UTF-8
            record = None
        if not isinstance(record, dict):
            raise RunError(f"{path} is damaged at line {number}: delete that line, or move the file away, and try again")
        found.append((line + b"\n", record))
    return found


def _round(record: dict[str, Any]) -> int:
    number = record.get("round", 0)
    return int(number) if isinstance(number, int | float) else 0


def _plain(value: Any) -> Value:
    if value is None or isinstance(value, str | int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def _append(path: Path, content: bytes) -> None:
    with disk_errors(path):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))  # never creates: a lost file is an error
        try:
            while content:
                content = content[os.write(handle, content) :]
        finally:
            os.close(handle)


@cache
def _protos() -> SimpleNamespace:
    """The parts of TensorBoard that writing needs; they load without TensorFlow and without torch."""
    try:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter
    except (ImportError, TypeError) as error:  # protobuf raises TypeError when the versions do not fit
        reason = str(error).splitlines()[0]
        raise GanvasError(f"tensorboard does not load ({reason}): run  pip install -U tensorboard protobuf") from error
    return SimpleNamespace(Event=Event, SessionLog=SessionLog, Summary=Summary, RecordWriter=RecordWriter)
