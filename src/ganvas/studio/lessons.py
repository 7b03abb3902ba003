"""Lessons: sessions of the live game, one process each, and the demonstrations of what can go wrong, which are runs.

A session ends some time after its page went away. Not for the game itself: `lesson_game`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from ..errors import GanvasError
from . import lines
from .asking import as_json, events, given

MOST = 3  # sessions at once
PATIENCE = 60.0  # seconds that a session is kept without a page
LARGEST = 65_536

WRONG: tuple[dict[str, Any], ...] = (
    {
        "id": "vanishing", "title": "Vanishing gradients", "alarm": "discriminator too strong",
        "words": "The discriminator is right nearly always, and the loss of the theory (minimax) is flat there: the generator "
        "gets no gradient, whatever it draws. Watch how sure it is: the curve leaves the band and stays at 1.",
        "task": "synthesis", "kind": "points", "data": "chest",
        "run": {"budget": "500r", "size": "32", "sample_every": 3, "evaluations": 0, "phantom_count": 1000},
        "config": {"generator_learning_rate": 0.005, "discriminator_learning_rate": 0.005, "loss": "minimax"},
    },
    {
        "id": "collapse", "title": "Mode collapse", "alarm": "repeated samples",
        "words": "A generator with two numbers of noise and an opponent that learns slowly: it finds one picture that passes "
        "and draws it whatever the noise says. No loss tells; that every sample has a twin does. Watch the variety fall.",
        "task": "synthesis", "kind": "points", "data": "chest",
        "run": {"budget": "400r", "size": "32", "sample_every": 3, "evaluations": 0, "phantom_count": 1000},
        "config": {
            "generator_learning_rate": 0.003, "discriminator_learning_rate": 0.00003, "ema_half_life": 500, "latent_size": 2,
            "linear_decay": False,
        },
    },
    {
        "id": "weak", "title": "The discriminator does not keep up", "alarm": "quality fell",
        "words": "The generator has found a place where a discriminator that hardly learns errs, and all of its points run "
        "there: modes are lost, though it wins by its own loss. The distance to real records tells.",
        "task": "synthesis", "kind": "points", "data": "gaussians:ring", "run": {"budget": "800r", "sample_every": 2},
        "config": {
            "generator_learning_rate": 0.01, "discriminator_learning_rate": 0.00001, "batch_size": 64, "linear_decay": False,
            "ema_half_life": 500,
        },
    },
    {
        "id": "fooled", "title": "A metric that is fooled", "alarm": "class collapse",
        "words": "One number of noise: each class is drawn at its middle, with a quarter of its spread. Judge it: precision "
        "and density come out better than those of real records, for every sample is where they are densest. What is better "
        "than real is not better; that samples of a class differ too little tells.",
        "task": "synthesis", "kind": "points", "data": "gaussians:ring", "run": {"budget": "1500r", "sample_every": 2},
        "config": {
            "generator_learning_rate": 0.001, "discriminator_learning_rate": 0.001, "batch_size": 64, "latent_size": 1,
        },
    },
    {
        "id": "copies", "title": "Learnt by heart", "alarm": "the audit (Can I trust it?)",
        "words": "With thirty records to learn from, sitting on them is the easiest way to be real. Points lie on the curve, "
        "and nearer to training records than to any that were held out. Open Can I trust it?, judge it, and read the verdict.",
        "task": "synthesis", "kind": "points", "data": "patterns:circle",
        "run": {"budget": "2000r", "phantom_count": 60, "sample_every": 3, "heldout": 0.5}, "config": {"batch_size": 64},
    },
    {
        "id": "unintended", "title": "Findings that nobody asked for", "alarm": "the audit (Can I trust it?)",
        "words": "Asked for a healthy chest, for a nodule, for a large heart. It has heard the names too briefly, and draws a "
        "finding where none was asked for: shown to a student, such a picture teaches what is wrong. The losses are calm and "
        "nothing is copied. Open Can I trust it? and look for such findings: a detector counts them, less its own errors.",
        "task": "synthesis", "kind": "image", "suits": "classes", "data": "chest",
        "run": {"budget": "600r", "size": "32", "sample_every": 3, "evaluations": 0, "phantom_count": 1000}, "config": {},
    },
    {
        "id": "still", "title": "A player that does not move", "alarm": "player does not move",
        "words": "A learning rate of nothing: the losses look alive, because the opponent moves. The watch compares weights.",
        "task": "synthesis", "kind": "image", "data": "chest", "run": {"budget": "40s", "size": "32", "sample_every": 3},
        "config": {"generator_learning_rate": 0},
    },
    {
        "id": "hasty", "title": "Both lose the thread", "alarm": "discriminator gave up",
        "words": "Learning rates a hundred times too high: every step leaps over what it aimed at. The discriminator ends up "
        "guessing, though samples and records differ, and a guess teaches the generator nothing.",
        "task": "synthesis", "kind": "image", "data": "chest",
        "run": {"budget": "500r", "size": "32", "sample_every": 3, "evaluations": 0, "phantom_count": 1000},
        "config": {"generator_learning_rate": 0.02, "discriminator_learning_rate": 0.02, "width": 16},
    },
)  # fmt: skip
"""Runs that go wrong on purpose, and the alarm that catches each."""


class Session:
    """One live game."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.id = secrets.token_hex(8)
        self.readers = 0
        self.left = time.monotonic()

    def tell(self, order: dict[str, Any]) -> None:
        """Send an order. Raises GanvasError when the game has ended."""
        if self.process.returncode is not None or self.process.stdin is None:
            raise GanvasError("the game has ended: reload the page")
        self.process.stdin.write((json.dumps(order) + "\n").encode())

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


_sessions: dict[str, Session] = {}


def close_all() -> None:
    """End every game."""
    for session in _sessions.values():
        session.close()
    _sessions.clear()


def _sweep() -> None:
    for key, session in list(_sessions.items()):
        idle = not session.readers and time.monotonic() - session.left > PATIENCE
        if idle or session.process.returncode is not None:
            session.close()
            del _sessions[key]


async def begin(studio: Any, request: Request) -> Any:
    """A new game; the oldest without a page makes room."""
    _sweep()
    if len(_sessions) >= MOST:
        spare = [one for one in _sessions.values() if not one.readers]
        if not spare:
            raise GanvasError(f"{MOST} lessons are open already: close one of their pages")
        spare[0].close()
        del _sessions[spare[0].id]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"{__package__}.lesson_game", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, limit=1 << 20, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    session = Session(process)
    _sessions[session.id] = session
    return {"id": session.id}


def _session(number: str) -> Session:
    if number not in _sessions:
        raise GanvasError("this lesson has ended: reload the page")
    return _sessions[number]


async def tell(studio: Any, request: Request) -> Any:
    values = await given(request)
    order: dict[str, Any] = {key: value for key, value in values.items() if key in ("set", "do")}
    if len(json.dumps(order)) > LARGEST:
        raise GanvasError("that drawing has too many points: draw it faster")
    _session(str(values.get("id"))).tell(order)
    return {}


async def states(studio: Any, request: Request) -> Any:
    """The states of a game as server-sent events."""
    session = _session(request.query_params.get("id", ""))
    session.tell({"do": "again"})

    async def told() -> AsyncIterator[str]:
        session.readers += 1
        try:
            while True:
                assert session.process.stdout is not None
                line = await session.process.stdout.readline()
                if not line:
                    yield json.dumps({"error": "the game has ended: reload the page"})
                    return
                yield line.decode().strip()
        finally:
            session.readers -= 1
            session.left = time.monotonic()
            if not session.readers:
                with contextlib.suppress(GanvasError):
                    session.tell({"do": "pause"})

    return events(told())


async def what_can_go_wrong(studio: Any, request: Request) -> Any:
    """The demonstrations, each with the system that suits it."""
    from ..registry import suited

    rows = []
    for one in WRONG:
        able = [card for card in suited(one["kind"], {one.get("suits", "anything")}) if card.task == one["task"]]
        system = able[0].name if able else ""
        words = lines.train(system, one["data"], f"runs/{one['id']}", one["run"], one["config"])
        rows.append({**one, "system": system, "line": lines.told(words)})
    return {"wrong": rows}


def routes() -> list[Route]:
    """Those of the lessons."""
    return [
        Route("/api/lesson", as_json(begin), methods=["POST"]),
        Route("/api/lesson-tell", as_json(tell), methods=["POST"]),
        Route("/api/lesson-states", as_json(states), methods=["GET"]),
        Route("/api/lesson-wrong", as_json(what_can_go_wrong), methods=["GET"]),
    ]
