"""How pages ask: what every answer has at hand, requests as plain values, answers as JSON, an error as one line.

Not for what is answered: `looking`, `ordering`, `applying`, `lessons`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from ..errors import GanvasError
from .desk import Desk
from .guard import LARGEST_BODY
from .jobs import Jobs
from .places import Places, Refused
from .runs import Runs


@dataclass
class Studio:
    """What the server holds. One for each process."""

    places: Places
    jobs: Jobs
    runs: Runs
    desk: Desk = field(default_factory=Desk)  # for what a person waits for
    side: Desk = field(default_factory=Desk)  # for looking through data, which may take long
    small: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))


Answer = Callable[[Studio, Request], Awaitable[Any]]


def _studio(request: Request) -> Studio:
    found: Studio = request.app.state.studio
    return found


def as_json(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    """Plain values as JSON; an error of ganvas as one line."""

    async def endpoint(request: Request) -> Response:
        try:
            found = await answer(_studio(request), request)
        except Refused as error:
            return JSONResponse({"error": str(error)}, 404)
        except GanvasError as error:
            return JSONResponse({"error": " ".join(str(error).split())}, 400)
        return found if isinstance(found, Response) else JSONResponse(found)

    return endpoint


async def given(request: Request) -> dict[str, Any]:
    """The JSON mapping that a page sent. Raises GanvasError."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_BODY:
            raise GanvasError("that is more than a page sends")
    try:
        values = json.loads(content or b"{}")
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise GanvasError("the page sent something that is not understood: reload it")
    return values


def text(values: dict[str, Any], name: str, must: bool = True) -> str:
    value = values.get(name, "")
    if not isinstance(value, str) or (must and not value):
        raise GanvasError(f"the page sent no {name}: reload it")
    return value


def mapping(values: dict[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name) or {}
    if not isinstance(found, dict):
        raise GanvasError(f"the page sent no {name}: reload it")
    return {str(key): value for key, value in found.items()}


def number(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 16 else 0


async def finished(words: list[str], patience: float) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, said = await asyncio.wait_for(process.communicate(), patience)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    return process.returncode or 0, out.decode("utf-8", "replace"), said.decode("utf-8", "replace")


def events(source: AsyncIterator[str]) -> StreamingResponse:
    """Lines of JSON as server-sent events."""

    async def told() -> AsyncIterator[bytes]:
        async for line in source:
            yield f"data: {line}\n\n".encode()

    return StreamingResponse(told(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})
