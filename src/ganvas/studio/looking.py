"""What pages look at: runs, systems, folders of data, files. Changes nothing. Not for orders: `ordering`, `applying`."""

from __future__ import annotations

import asyncio
import json
import os
import zipfile
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from ..version import __version__
from . import lines, making, work
from .asking import Studio, finished, number
from .guard import STILL
from .ordering import known_system
from .places import Refused, inside
from .runs import early_page
from .showing import FOLDER
from .small import small_picture

SHOWN_AS = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif",
    ".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".flac": "audio/flac",
    ".html": "text/html; charset=utf-8",
    **dict.fromkeys((".md", ".csv", ".txt", ".json", ".yaml", ".obj"), "text/plain; charset=utf-8"),
}  # fmt: skip
"""What a browser may show; anything else is for saving."""


async def about(studio: Studio, request: Request) -> Any:
    """What the studio is and may touch."""
    return {
        "version": __version__,
        "runs": str(studio.places.given),
        "data": [str(folder) for folder in studio.places.data],
        "jobs": studio.jobs.at_once,
        "cores": os.cpu_count(),
    }


async def home(studio: Studio, request: Request) -> Any:
    return {"wants": making.wants(), "built_in": making.built_in()}


async def runs(studio: Studio, request: Request) -> Any:
    """All runs; `same` where nothing has changed since the page asked last. few: so many of the latest that have a picture."""
    rows = await asyncio.to_thread(studio.runs.rows)
    mark = str(hash(json.dumps(rows, sort_keys=True, default=str)))
    if request.query_params.get("mark") == mark:
        return {"same": True, "mark": mark}
    few = request.query_params.get("few")
    if few is not None:  # Home and the navigation, which stay small however many runs there are
        shown = [row for row in rows if row["picture"] is not None][: number(few)]
        busy = sum(row["state"] == "running" for row in rows)
        return {"runs": shown, "count": len(rows), "busy": busy, "mark": mark}
    waiting = [job.shown() for job in studio.jobs.all() if job.state in ("waiting", "running")]
    return {"runs": rows, "jobs": waiting, "mark": mark}


async def run(studio: Studio, request: Request) -> Any:
    """A run and its new numbers."""
    name, after = request.query_params.get("name", ""), number(request.query_params.get("after", "0"))

    def read() -> Any:
        try:
            return {**studio.runs.page(name), "numbers": studio.runs.numbers(name, after)}
        except Refused:
            early = early_page(studio.jobs, name)
            if early is None:
                raise
            return {**early, "numbers": {"rows": [], "at": 0, "anew": False}}

    return await asyncio.to_thread(read)


async def systems(studio: Studio, request: Request) -> Any:
    return {"systems": making.systems(), "run": making.run_form()}


async def system(studio: Studio, request: Request) -> Any:
    return await studio.side.call(work.system_form, known_system(request.query_params.get("name", "-")))


async def folders(studio: Studio, request: Request) -> Any:
    """The folders of data, or those in one of them."""
    asked = request.query_params.get("path", "")
    if not asked:
        return {"path": "", "folders": [{"name": str(path), "path": str(path)} for path in studio.places.data]}
    top = studio.places.data_path(asked)
    files = sum(1 for path in top.iterdir() if path.is_file() and not path.name.startswith(".")) if top.is_dir() else 1
    parent = str(top.parent) if any(root in top.parents for root in studio.places.data) else ""
    return {
        "path": str(top), "parent": parent, "files": files,
        "folders": [{"name": path.name, "path": str(path)} for path in studio.places.folders(asked)],
    }  # fmt: skip


async def doctor(studio: Studio, request: Request) -> Any:
    """What `ganvas doctor` says."""
    code, out, said = await finished(lines.process(["doctor"]), 120)
    return {"lines": out.splitlines() or said.splitlines()}


async def run_file(studio: Studio, request: Request) -> Any:
    path = studio.places.run_file(request.query_params.get("name", ""), request.query_params.get("file", ""))
    return _sent(path)


async def made_file(studio: Studio, request: Request) -> Any:
    folder = studio.places.made(request.query_params.get("made", ""))
    path = inside(folder, request.query_params.get("file", ""))
    if not path.is_file():
        raise Refused("there is no such file")
    return _sent(path)


def _sent(path: Path) -> Response:
    """A file as a browser may take it: what could hold a script is shut in, what it cannot show is saved."""
    kind = SHOWN_AS.get(path.suffix.lower())
    headers = {"content-security-policy": STILL}
    if kind is None:
        return FileResponse(path, media_type="application/octet-stream", filename=path.name, headers=headers)
    return FileResponse(path, media_type=kind, headers=headers)


async def picture(studio: Studio, request: Request) -> Any:
    """A picture of a run made while it trained, as it is or small."""
    asked = request.query_params
    path = studio.places.run_file(asked.get("name", ""), f"samples/round-{number(asked.get('round', '0')):07d}.png")
    width = number(asked.get("width", "0"))
    if width:
        async with studio.small:
            path = await asyncio.to_thread(small_picture, path, studio.places.own("small"), min(800, max(32, width)))
    return FileResponse(path, media_type=SHOWN_AS[path.suffix], headers={"cache-control": "private, max-age=86400"})


async def zipped(studio: Studio, request: Request) -> Any:
    """All results of one call."""
    folder = studio.places.made(request.query_params.get("made", ""))

    def packed() -> Path:
        place = folder.parent / f"{folder.name}.zip"
        with zipfile.ZipFile(place, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(folder.rglob("*")):
                inner = path.relative_to(folder)
                if path.is_file() and not path.is_symlink() and FOLDER not in inner.parts and not inner.name.startswith("."):
                    archive.write(path, inner.as_posix())
        return place

    return FileResponse(await asyncio.to_thread(packed), media_type="application/zip", filename="ganvas-results.zip")
