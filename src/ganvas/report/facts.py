"""What a run left behind, read without opening its weights or its data. What is absent is None or empty, never an error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GanvasError
from ..evaluation.table import ROWS
from ..kinds import describe
from ..run.checkpoint import preferred
from ..run.load import RunRecord, read_run
from ..run.logs import read_metrics
from ..run.privacy import read_spent

HEALTH = "health.json"
LOOKS = {"nearer": "nearer to training (share)", "variety": "variety of samples"}
CARD = "card.json"  # what only the user knows, kept for the next report


def name_of(metric: str) -> str:
    """What a metric is called that was evaluated, or measured while training."""
    return LOOKS.get(metric) or (ROWS[metric][0] if metric in ROWS else metric)


@dataclass
class Health:
    """What watched the training.

    t0: the first round after the opening phase in which the generator learns nothing; None where it is not known. alarms:
    dictionaries with `name`, `round`, `samples` and `text`. looks: metrics measured while it trained, each with `round`,
    `samples`, `seconds` and `metrics` (by key: `value`, `low`, `high`, `protocol`). best: the round of the look with the
    smallest kernel distance, which `checkpoints/best` keeps. watched: whether anything did.
    """

    t0: int | None = None
    alarms: list[dict[str, Any]] = field(default_factory=list)
    looks: list[dict[str, Any]] = field(default_factory=list)
    best: int | None = None
    watched: bool = False


@dataclass
class Facts:
    """A run as its folder tells it.

    which: the checkpoint it is about; why: a line, where the run's own alarms chose it. rows: of `metrics.jsonl`. manifest: of
    the checkpoint, with `round`, `samples` and `seconds`. pictures: (round, file) in order, up to it.
    evaluation: `RUN/evaluation/evaluation.json`. stale: whether other weights than these were evaluated, as when the run went
    on. privacy: what a private run has spent (`run.privacy.read_spent`), None for others.
    """

    path: Path
    record: RunRecord
    which: str
    why: str
    environment: dict[str, Any]
    rows: list[dict[str, Any]]
    manifest: dict[str, Any]
    pictures: list[tuple[int, Path]]
    evaluation: dict[str, Any] | None
    stale: bool
    health: Health
    licence: str
    privacy: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.path.resolve().name

    @property
    def data_name(self) -> str:
        """The data without its folders, which say more about a machine than about the data."""
        from ..data.phantoms import is_phantom

        given = self.record.settings.data
        return given if is_phantom(given) else Path(given).name or given

    def without_folders(self, text: str) -> str:
        """A text with the places of the data and of the run shortened to their names: a page is read elsewhere."""
        for place, name in ((self.record.settings.data, self.data_name), (str(self.path), self.name)):
            if place != name and len(place) > 1:
                text = text.replace(place, name)
        return text

    @property
    def phantom(self) -> bool:
        """Whether it learnt from a phantom."""
        from ..data.phantoms import is_phantom

        return is_phantom(self.record.settings.data)

    @property
    def records(self) -> str:
        """What a record is, in a few words."""
        return describe(self.record.spec)

    @property
    def round(self) -> int:
        """Rounds played."""
        return int(self.manifest.get("round") or (self.rows[-1]["round"] if self.rows else 0))

    @property
    def samples(self) -> int:
        """Real records drawn, repetitions included."""
        return int(self.manifest.get("samples") or (self.rows[-1].get("samples", 0) if self.rows else 0))

    @property
    def seconds(self) -> float:
        """Trained seconds."""
        return float(self.manifest.get("seconds") or (self.rows[-1].get("seconds", 0.0) if self.rows else 0.0))

    def samples_at(self, round: int) -> float:
        """Records drawn by the end of a round, between the rows of the log by interpolation."""
        import numpy as np

        known = [(0, 0), *((row["round"], row["samples"]) for row in self.rows if "samples" in row)]
        known.append((max(self.round, known[-1][0]), max(self.samples, known[-1][1])))
        rounds, samples = zip(*known, strict=True)
        return float(np.interp(round, rounds, samples))


def read_facts(run: str | Path, system: str | Path | None = None, which: str | None = None) -> Facts:
    """The facts of a run, up to one of its checkpoints (`run.checkpoint.preferred` by default).

    system: its file, where it is not one of ganvas's own.
    Raises GanvasError when it is no run, or has no such checkpoint although it has others.
    """
    from ..registry import find

    if system is not None:
        find(str(system))
    record = read_run(run)
    path = record.path
    rows = read_metrics(path)
    which, why = preferred(path) if which is None else (which, "")
    checkpoint = path / "checkpoints" / which / "manifest.json"
    if which != "last" and not checkpoint.exists():
        raise GanvasError(f"{path} has no checkpoint '{which}': leave out --checkpoint for the last one")
    evaluation, stale = _evaluation(path, checkpoint)
    manifest = _json(checkpoint)
    last = manifest.get("round", math.inf)
    return Facts(
        path=path,
        record=record,
        which=which,
        why=why,
        environment=_json(path / "environment.json"),
        rows=[row for row in rows if isinstance(row.get("round"), int)],
        manifest=manifest,
        pictures=[(round, picture) for round, picture in _pictures(path / "samples") if round <= last],
        evaluation=evaluation,
        stale=stale,
        health=read_health(path, rows),
        licence=str(_json(path / CARD).get("licence") or ""),
        privacy=read_spent(path),
    )


def remember_licence(run: Path, text: str) -> None:
    """Keep the licence of the data, as the user states it, for this report and the next ones. Raises RunError."""
    from ..files import write_json

    write_json(run / CARD, {**_json(run / CARD), "licence": " ".join(text.split())})


def read_health(run: Path, rows: list[dict[str, Any]]) -> Health:
    """What watched a training left behind: `health.json`, and looks among the rows of `metrics.jsonl` where that has none."""
    values = _json(run / HEALTH)
    alarms = [_alarm(alarm) for alarm in values.get("alarms") or [] if isinstance(alarm, dict) and "round" in alarm]
    given = values.get("looks") or [{**row, **row["look"]} for row in rows if isinstance(row.get("look"), dict)]
    looks = [look for look in map(_look, given) if look["metrics"] and look["samples"] is not None]
    t0, best = values.get("t0"), (values.get("best") or {}).get("round")
    return Health(
        t0 if isinstance(t0, int) else None,
        alarms,
        looks,
        best if isinstance(best, int) else None,
        watched=bool(values) or bool(looks),
    )


def _alarm(given: Mapping[str, Any]) -> dict[str, Any]:
    """`name`, `round` and `samples` (since when), `text`: what was seen, and what to try."""
    text = str(given.get("text") or given.get("seen") or "")
    if given.get("advice"):
        text += f"; try: {given['advice']}"
    return {
        "name": str(given.get("name") or given.get("kind") or ""),
        "round": int(given.get("since_round", given["round"])),
        "samples": given.get("since_samples", given.get("samples")),
        "text": text,
    }


def _look(given: Mapping[str, Any]) -> dict[str, Any]:
    """A look with its metrics by key; a number that is not finite is none."""
    metrics = {key: dict(m) for key, m in given.items() if isinstance(m, Mapping) and _finite(m.get("value"))}
    if _finite(given.get("value")):
        metrics["kid"] = {key: given.get(key) for key in ("value", "low", "high", "protocol")}
    protocol = str(given.get("protocol", "")).split("/", 1)[-1]
    if _finite(given.get("nearer")):
        metrics["nearer"] = {"value": given["nearer"], "protocol": f"nearer/{protocol}"}
    if _finite(given.get("diversity")):
        metrics["variety"] = {"value": given["diversity"], "protocol": "variety/while training"}
    return {**{key: given.get(key) for key in ("round", "samples", "seconds")}, "metrics": metrics}


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _evaluation(run: Path, checkpoint: Path) -> tuple[dict[str, Any] | None, bool]:
    path = run / "evaluation" / "evaluation.json"
    values = _json(path)
    if "fake" not in values or "real" not in values:
        return None, False
    judged = (values["fake"].get("checkpoint") or {}).get("round")
    if judged is not None and checkpoint.exists():
        return values, judged != _json(checkpoint).get("round")
    # Written before evaluations said which weights they judged. Half a minute: what copying a folder file by file may take.
    return values, checkpoint.exists() and checkpoint.stat().st_mtime > path.stat().st_mtime + 30


def _pictures(folder: Path) -> list[tuple[int, Path]]:
    found = []
    for path in folder.glob("round-*.png"):
        number = path.stem.removeprefix("round-")
        if number.isdigit():
            found.append((int(number), path))
    return sorted(found)


def _json(path: Path) -> dict[str, Any]:
    """A mapping from a JSON file; empty when there is none. Raises GanvasError when it is damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise GanvasError(f"{path}: cannot be read ({' '.join(str(error).split())}): move it away, or make it again") from error
    return values if isinstance(values, dict) else {}
