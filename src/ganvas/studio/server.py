"""The application and the server: pages, `/api`, and the queue's clock. Listens on 127.0.0.1 and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..errors import GanvasError
from . import lessons
from .api import routes
from .asking import Studio
from .guard import Guard
from .jobs import Jobs
from .places import Places
from .runs import Runs

STATIC = Path(__file__).parent / "static"
HOST = "127.0.0.1"
TICK = 0.5  # seconds between two looks at the queue


def application(places: Places, *, port: int, token: str, at_once: int = 1) -> Guard:
    """The guarded application."""
    jobs = Jobs(places, at_once)
    studio = Studio(places, jobs, Runs(places, jobs))

    @contextlib.asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        ticking = asyncio.create_task(_tick(jobs))
        try:
            yield
        finally:
            ticking.cancel()
            studio.desk.close()
            studio.side.close()
            lessons.close_all()

    app = Starlette(
        routes=[Route("/", _page), *routes(), Mount("/static", StaticFiles(directory=STATIC), name="static")],
        lifespan=life,
        exception_handlers={500: _failed},
    )
    app.state.studio = studio
    hosts = (f"{HOST}:{port}", f"localhost:{port}")
    return Guard(app, hosts=hosts, token=token, name=f"ganvas-{port}")


async def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8")


async def _failed(request: Request, error: Exception) -> Response:
    return PlainTextResponse("the studio made a mistake: its terminal says which", 500)


async def _tick(jobs: Jobs) -> None:
    while True:
        with contextlib.suppress(GanvasError, OSError):
            await asyncio.to_thread(jobs.turn)
        await asyncio.sleep(TICK)


def serve(
    runs: Path, data: list[Path], *, port: int = 0, at_once: int = 1, say: Callable[[str], None], show: Callable[[str], Any],
    first: tuple[list[str], str] | None = None,
) -> None:  # fmt: skip
    """Serve until Ctrl-C. port: 0 takes a free one. say: told the address; show: opens it. first: words of a training to begin
    with, and the name of its run, where the pages open.

    Raises GanvasError where the port is taken.
    """
    import uvicorn

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        raise GanvasError(f"port {port} is taken ({error.strerror}): choose another --port, or leave it out") from None
    listening.listen(128)  # from here on a browser may ask, and waits until the server answers
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(24)
    places = Places(runs, data)
    places.tidy()
    app = application(places, port=port, token=token, at_once=at_once)
    address = f"http://{HOST}:{port}/?token={token}"
    if first is not None:
        app.app.state.studio.jobs.add("train", *first)
        address += f"&open=run%3Fname%3D{quote(quote(first[1]))}"
    say(f"ganvas studio: {address}")
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=1, ws="none", lifespan="on"
    )
    server = uvicorn.Server(config)
    show(address)
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
