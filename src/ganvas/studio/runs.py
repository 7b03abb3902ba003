"""Runs as pages show them: read from their folders, without torch, again only where a file has changed.

A run in training is watched by its files alone, so a studio that was closed and opened again sees what it saw. Not for
changing anything: `jobs`.
"""

from __future__ import annotations

import json
import math
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.phantoms import knows_findings
from ..errors import GanvasError
from ..files import holder
from ..kinds import describe, kind_of
from ..registry import catalogue
from ..report.card import NAME as CARD
from ..report.facts import HEALTH
from ..report.making import PAGE
from ..run.budget import parse_budget
from ..run.live import clock
from ..run.load import RunRecord, read_run
from ..run.logs import METRICS
from ..run.settings import FILE
from .jobs import OPEN, Job, Jobs
from .places import Places

MOST_ROWS = 1500  # of numbers that go to a page at once
MOST_PICTURES = 120  # that a page can turn back to


@dataclass
class _Known:
    """What was read of a run, and the marks of the files that it was read from."""

    record: RunRecord | None = None
    wrong: str = ""
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    alarms: int = 0
    pictures: list[int] = field(default_factory=list)


class Runs:
    """All runs of a folder. jobs: whose states are those of runs."""

    def __init__(self, places: Places, jobs: Jobs) -> None:
        self.places, self.jobs = places, jobs
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def rows(self) -> list[dict[str, Any]]:
        """A row a run, and a row for each that waits, the newest first."""
        by_run: dict[str, list[Job]] = {}
        for job in self.jobs.all():
            by_run.setdefault(job.run, []).append(job)
        names = set(self.places.all_runs())
        rows = [self.row(name, by_run.get(name, [])) for name in names]
        rows += [_of_job(own[-1]) for name, own in by_run.items() if name not in names and own[-1].state != "cancelled"]
        return sorted(rows, key=lambda row: (row["state"] not in OPEN, -row["changed"], row["name"]))

    def row(self, name: str, jobs: list[Job] | None = None) -> dict[str, Any]:
        """What a list of runs tells of one."""
        path = self.places.run(name)
        known = self._read(name, path)
        jobs = self.jobs.of(name) if jobs is None else jobs
        state, said = _state(path, known, jobs)
        last = known.last
        row: dict[str, Any] = {
            "name": name, "state": state, "said": said, "wrong": known.wrong, "alarms": known.alarms,
            "round": last.get("round", 0), "samples": last.get("samples", 0), "seconds": last.get("seconds", 0.0),
            "picture": known.pictures[-1] if known.pictures else None, "changed": _changed(path),
            "verdict": known.verdict.get("verdict"), "training": state == "running",
        }  # fmt: skip
        if known.record is None:
            return {**row, "system": "?", "data": "", "noun": "", "progress": 0.0, "left": None}
        record = known.record
        budget = parse_budget(record.settings.budget)
        progress = min(1.0, budget.progress(row["seconds"], row["samples"], row["round"]))
        left = None
        if budget.seconds is not None:
            left = max(0.0, budget.seconds - row["seconds"])
        elif progress > 0:
            left = row["seconds"] * (1 - progress) / progress
        return {
            **row, "system": record.card.name, "task": record.card.task, "data": _named(record.settings.data),
            "noun": kind_of(record.spec.kind).says.noun, "progress": progress, "left": left,
            "budget": str(budget),
        }  # fmt: skip

    def page(self, name: str) -> dict[str, Any]:
        """What the page of a run tells, but for its numbers."""
        path = self.places.run(name)
        row, known = self.row(name), self._known[name]
        jobs = self.jobs.of(name)
        told = self.places.told(path)
        page: dict[str, Any] = {
            **row, "folder": told, "health": known.health, "evaluation": known.verdict, "pictures": _chosen(known.pictures),
            "jobs": [job.shown() for job in jobs][-6:], "log": self.jobs.log(jobs[-1].id) if jobs else "",
            "has": {"report": (path / PAGE).is_file(), "card": (path / CARD).is_file(),
                    "audit": (path / "evaluation" / "audit.html").is_file(),
                    "weights": (path / "checkpoints" / "last").is_dir()},
            "lines": {"resume": f"ganvas train --resume {told}", "look": f"ls {told}/samples"},
        }  # fmt: skip
        if known.record is not None:
            record = known.record
            page |= {
                "records": "; ".join(f"{key}: {describe(spec)}" for key, spec in record.fields.items())
                if len(record.fields) > 1
                else describe(record.spec),
                "learnt": record.learnt_text, "heldout": record.data.get("heldout"), "notes": record.data.get("notes", []),
                "settings": {key: value for key, value in vars(record.settings).items() if value is not None},
                "config": record.config,
                "findings": bool(getattr(record.spec, "classes", ())) and knows_findings(record.settings.data),
                "title": record.card.title, "paper": record.card.paper,
            }  # fmt: skip
            page["first"] = ["ganvas", "train", record.card.name, "--data", record.settings.data]
        return page

    def numbers(self, name: str, after: int) -> dict[str, Any]:
        """Rows of `metrics.jsonl` behind the byte `after`, thinned where they are many, and where to go on.

        A file that became shorter (the run went back) is read from the start: `anew` says so.
        """
        path = self.places.run(name) / METRICS
        try:
            size = path.stat().st_size
        except OSError:
            return {"rows": [], "at": 0, "anew": after > 0}
        anew = size < after
        start = 0 if anew else after
        with path.open("rb") as handle:
            handle.seek(start)
            content = handle.read()
        whole = content.rpartition(b"\n")[0]
        rows = []
        for line in whole.split(b"\n") if whole else ():
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
        return {"rows": thinned(rows), "at": start + len(whole) + bool(whole), "anew": anew}

    # Reading

    def _read(self, name: str, path: Path) -> _Known:
        with self._lock:
            known = self._known.setdefault(name, _Known())
            if _is_new(known, path / FILE):
                try:
                    known.record, known.wrong = read_run(path), ""
                except GanvasError as error:
                    known.record, known.wrong = None, str(error)
            if _is_new(known, path / HEALTH):
                known.health = _json(path / HEALTH)
                known.alarms = len(known.health.get("alarms") or [])
            if _is_new(known, path / METRICS):
                known.last, fresh = _last_row(path / METRICS)
                known.alarms = max(known.alarms, fresh)
            if _is_new(known, path / "evaluation" / "evaluation.json"):
                known.verdict = _verdict(_json(path / "evaluation" / "evaluation.json"))
            if _is_new(known, path / "samples"):
                known.pictures = _pictures(path / "samples")
            return known


def thinned(rows: list[dict[str, Any]], most: int = MOST_ROWS) -> list[dict[str, Any]]:
    """At most so many rows, evenly; those that say something (alarms, looks, incidents) and the last are kept."""
    if len(rows) <= most:
        return rows
    step = math.ceil(len(rows) / most)
    telling = ("alarm", "incident", "health/kernel_distance")
    return [
        row for place, row in enumerate(rows)
        if place % step == 0 or place == len(rows) - 1 or any(word in row for word in telling)
    ]  # fmt: skip


def _state(path: Path, known: _Known, jobs: list[Job]) -> tuple[str, str]:
    """(waiting, running, paused, stopped, failed or done; what was said)."""
    training = [job for job in jobs if job.does == "train"]
    if holder(path) is not None:
        return "running", ""
    if training and training[-1].state in OPEN:
        return training[-1].state, ""
    if training and training[-1].state in ("paused", "stopped", "failed"):
        return training[-1].state, training[-1].said
    if known.record is not None and known.last:
        budget = parse_budget(known.record.settings.budget)
        over = budget.progress(known.last.get("seconds", 0), known.last.get("samples", 0), known.last.get("round", 0)) >= 0.995
        plateau = any(alarm.get("kind") == "plateau" for alarm in known.health.get("alarms") or [])
        if not over and not plateau and not (training and training[-1].state == "done"):
            return "stopped", ""
    return "done", training[-1].said if training else ""


def _of_job(job: Job) -> dict[str, Any]:
    """A row for a run whose folder is not there yet."""
    words = list(job.words)
    data = words[words.index("--data") + 1] if "--data" in words else ""
    system = words[1] if len(words) > 1 and words[1] in catalogue() else "?"
    return {
        "name": job.run, "state": job.state, "said": job.said, "wrong": "", "alarms": 0, "round": 0, "samples": 0,
        "seconds": 0.0, "picture": None, "changed": job.created, "verdict": None, "training": False, "system": system,
        "data": _named(data), "noun": "", "progress": 0.0, "left": None, "job": job.id, "folder": "", "early": True,
    }  # fmt: skip


def early_page(jobs: Jobs, name: str) -> dict[str, Any] | None:
    """The page of a run whose folder is not there yet; None where nothing of that name was asked for."""
    own = [job for job in jobs.of(name) if job.does == "train"]
    if not own:
        return None
    shown = [job.shown() for job in own]
    return {
        **_of_job(own[-1]),
        "jobs": shown,
        "log": jobs.log(own[-1].id),
        "pictures": [],
        "health": {},
        "has": {},
        "lines": {},
    }


def time_left(seconds: float | None) -> str:
    """`4:07`, or nothing."""
    return "" if seconds is None else clock(seconds)


def _named(data: str) -> str:
    """Data as it is called, without the folders around it."""
    return data if ":" in data else Path(data).name or data


def _is_new(known: _Known, path: Path) -> bool:
    try:
        found = path.stat()
        mark = (found.st_mtime_ns, found.st_size)
    except OSError:
        mark = (0, 0)
    if known.marks.get(path.name) == mark:
        return False
    known.marks[path.name] = mark
    return True


def _changed(path: Path) -> float:
    for name in (METRICS, FILE):
        try:
            return (path / name).stat().st_mtime
        except OSError:
            continue
    return 0.0


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _last_row(path: Path) -> tuple[dict[str, Any], int]:
    """(the last whole record that tells the time, alarms near the end)."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - 16_384))
            lines = handle.read().split(b"\n")[:-1]
    except OSError:
        return {}, 0
    last: dict[str, Any] = {}
    alarms = 0
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            alarms += "alarm" in row
            last = row if "seconds" in row else last
    return last, alarms


def _verdict(found: dict[str, Any]) -> dict[str, Any]:
    """What an evaluation says in short: verdict of the audit, its reason, and the first measures as a table."""
    if not found:
        return {}
    from ..evaluation.table import AUDIT, ROWS, interval, number

    audit = found.get("memorisation") or {}
    anchors = found.get("anchors") or {}
    blind = found.get("misleading") or {}
    rows = [
        {"name": name, "value": interval(found[key]), "better": better, "blind": key in blind,
         "anchors": [number((side.get(key) or {}).get("value")) for side in anchors.values()]}
        for key, (name, better) in ROWS.items() if isinstance(found.get(key), dict) and "value" in found[key]
    ]  # fmt: skip
    copies = [
        {"name": name, "value": interval(audit[key]), "null": number(audit[key].get("null", audit[key].get("expected")))}
        for key, name in AUDIT.items() if isinstance(audit.get(key), dict) and "value" in audit[key]
    ]  # fmt: skip
    return {
        "verdict": audit.get("verdict"), "reason": audit.get("reason"), "unseen": audit.get("could_not_see") or [],
        "copies": copies, "rows": rows, "anchors": list(anchors), "protocol": found.get("protocol"),
        "notes": found.get("notes") or [], "round": ((found.get("fake") or {}).get("checkpoint") or {}).get("round"),
        "samples": (found.get("fake") or {}).get("n"), "heldout": (found.get("real") or {}).get("heldout"),
    }  # fmt: skip


def _pictures(folder: Path) -> list[int]:
    """The rounds of which there is a picture."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = (name[6:-4] for name in names if name.startswith("round-") and name.endswith(".png"))
    return sorted(int(number) for number in found if number.isdigit())


def _chosen(pictures: list[int]) -> list[int]:
    if len(pictures) <= MOST_PICTURES:
        return pictures
    step = len(pictures) / MOST_PICTURES
    return sorted({pictures[int(place * step)] for place in range(MOST_PICTURES)} | {pictures[-1]})
