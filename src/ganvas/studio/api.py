"""What pages ask for and what they order, as JSON under `/api`. Each answer is built by the module that knows; here stand the names.

Not for who may ask (`guard`) nor for which paths (`places`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ..errors import GanvasError
from ..version import __version__
from . import lines, making, work
from .desk import Desk
from .guard import LARGEST_BODY, STILL
from .jobs import Jobs
from .places import Places, Refused
from .runs import Runs, early_page
from .small import small_picture

LARGEST_UPLOAD = 200 << 20  # bytes of one file
MOST_PIXELS = 64_000_000  # of a picture from the browser
MOST_UPLOADS = 2 << 30  # bytes of all that lie there
SHOWN_AS = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif",
    ".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".flac": "audio/flac",
    ".html": "text/html; charset=utf-8", ".md": "text/plain; charset=utf-8", ".csv": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8", ".json": "text/plain; charset=utf-8", ".yaml": "text/plain; charset=utf-8",
}  # fmt: skip
"""What a browser may show; anything else is for saving."""


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


def _json(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
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


async def _given(request: Request) -> dict[str, Any]:
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


def _text(values: dict[str, Any], name: str, must: bool = True) -> str:
    value = values.get(name, "")
    if not isinstance(value, str) or (must and not value):
        raise GanvasError(f"the page sent no {name}: reload it")
    return value


def _mapping(values: dict[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name) or {}
    if not isinstance(found, dict):
        raise GanvasError(f"the page sent no {name}: reload it")
    return {str(key): value for key, value in found.items()}


# Looking


async def about(studio: Studio, request: Request) -> Any:
    """What the studio is and may touch."""
    return {
        "version": __version__,
        "runs": str(studio.places.given),
        "data": [str(folder) for folder in studio.places.data],
        "jobs": studio.jobs.at_once,
        "cores": os.cpu_count(),
        "largest_upload": LARGEST_UPLOAD,
    }


async def home(studio: Studio, request: Request) -> Any:
    return {"wants": making.wants(), "built_in": making.built_in()}


async def runs(studio: Studio, request: Request) -> Any:
    """All runs; `same` where nothing has changed since the page asked last."""
    rows = await asyncio.to_thread(studio.runs.list)
    mark = str(hash(json.dumps(rows, sort_keys=True, default=str)))
    if request.query_params.get("mark") == mark:
        return {"same": True, "mark": mark}
    waiting = [job.shown() for job in studio.jobs.all() if job.state in ("waiting", "running")]
    return {"runs": rows, "jobs": waiting, "mark": mark}


async def run(studio: Studio, request: Request) -> Any:
    """A run and its new numbers."""
    name, after = request.query_params.get("name", ""), _number(request.query_params.get("after", "0"))

    def read() -> Any:
        try:
            return {**studio.runs.page(name), "numbers": studio.runs.numbers(name, after)}
        except Refused:
            early = early_page(studio.jobs, name)
            if early is None:
                raise
            return {**early, "numbers": {"rows": [], "at": 0, "anew": False}}

    return await asyncio.to_thread(read)


def _number(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 16 else 0


async def systems(studio: Studio, request: Request) -> Any:
    return {"systems": making.systems(), "run": making.run_form()}


async def system(studio: Studio, request: Request) -> Any:
    return await studio.desk.call(work.system_form, _known(request.query_params.get("name", "-")))


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


def _data(studio: Studio, text: str) -> str:
    """Data by name: a phantom, or a path that may be read. Raises GanvasError."""
    from ..data.phantoms import is_phantom

    return text if is_phantom(text) and not Path(text).exists() else str(studio.places.data_path(text))


async def data(studio: Studio, request: Request) -> Any:
    """Look through data before anything is made of it."""
    values = await _given(request)
    source = _data(studio, _text(values, "data"))
    place = studio.places.made()
    place.mkdir()
    found = await studio.side.call(work.sheet, source, str(place / "sheet.png"), values.get("size") or None)
    return {**found, "made": place.name, "line": lines.told(["data", "check", source])}


# Making


async def _words(studio: Studio, values: dict[str, Any], name: str) -> list[str]:
    source = _data(studio, _text(values, "data"))
    start = values.get("from")
    init = studio.places.told(studio.places.run(start)) if isinstance(start, str) and start and values.get("weights") else None
    out = str(studio.places.given / name)
    asked = _mapping(values, "run")
    if odd := set(asked) - {item["name"] for item in making.run_form()}:
        raise GanvasError(f"'{sorted(odd)[0]}' is no setting of a run")
    run = {"preset": _text(values, "preset", False), "fields": _columns(studio, _text(values, "fields", False)), **asked}
    return lines.train(_known(_text(values, "system", False)) or None, source, out, run, _mapping(values, "config"), init)


def _known(system: str) -> str:
    """A system by its name; a file would be code. Raises GanvasError."""
    if system and system not in {item["name"] for item in making.systems()}:
        raise GanvasError(f"there is no system '{system}'; one of your own is for the command line")
    return system


def _columns(studio: Studio, text: str) -> str:
    """`photo=FOLDER,map=FOLDER`, every folder one that may be read. Raises GanvasError."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    return ",".join(f"{name.strip()}={studio.places.data_path(path.strip())}" for name, _, path in pairs)


def _new_name(studio: Studio, values: dict[str, Any]) -> str:
    asked = _text(values, "name", False)
    if asked:
        studio.places.new_run(asked)
        return asked
    source = Path(_text(values, "data")).name or "data"
    return studio.places.free_run(f"{_text(values, 'system', False) or 'run'}-{source}")


async def train_line(studio: Studio, request: Request) -> Any:
    """The command of a form, without running it."""
    values = await _given(request)
    return {"line": lines.told(await _words(studio, values, _new_name(studio, values)))}


async def train(studio: Studio, request: Request) -> Any:
    values = await _given(request)
    name = _new_name(studio, values)
    words = await _words(studio, values, name)
    job = await asyncio.to_thread(studio.jobs.add, "train", words, name)
    return {"run": name, "job": job.shown()}


async def estimate(studio: Studio, request: Request) -> Any:
    """What `ganvas train --dry-run` says of a form: data, memory, pace."""
    values = await _given(request)
    words = [*(await _words(studio, values, "estimate-only")), "--dry-run", "--json"]
    words[words.index("--out") + 1] = str(studio.places.given / ".studio" / "estimate")
    code, out, said = await _finished(lines.process(words), 240)
    try:
        found = json.loads(out)
    except ValueError:
        found = {"error": said.strip().splitlines()[-1] if said.strip() else "the estimate did not end"}
    if "error" in found:
        raise GanvasError(str(found["error"]))
    from ..run.rehearsal import lines as rehearsed

    return {"lines": rehearsed(found)[1:-1], "found": found}


async def _finished(words: list[str], patience: float) -> tuple[int, str, str]:
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


async def act(studio: Studio, request: Request) -> Any:
    """Pause, stop, resume, train on; evaluate, report."""
    values = await _given(request)
    name, what = _text(values, "run"), _text(values, "what")
    if what in ("pause", "stop"):
        await asyncio.to_thread(studio.jobs.ask, name, what)
        return {"asked": what}
    folder = studio.places.told(studio.places.run(name))
    if what == "resume":
        words = ["train", "--resume", folder, *lines.options({"budget": values.get("budget")})]
    elif what == "evaluate":
        words = ["evaluate", folder, *lines.options({"count": values.get("count")})]
    elif what == "report":
        words = ["report", folder]
    else:
        raise GanvasError("the page asked for something that is not known: reload it")
    does = {"resume": "train"}.get(what, what)
    job = await asyncio.to_thread(studio.jobs.add, does, words, name)
    return {"job": job.shown()}


async def cancel(studio: Studio, request: Request) -> Any:
    await asyncio.to_thread(studio.jobs.cancel, _text(await _given(request), "job"))
    return {}


# Putting to use


async def uses(studio: Studio, request: Request) -> Any:
    folder = studio.places.run(request.query_params.get("name", ""))
    found = await studio.desk.call(work.describe_uses, str(folder), request.query_params.get("checkpoint") or None)
    return {**found, "folder": studio.places.told(folder)}


async def upload(studio: Studio, request: Request) -> Any:
    """A file from the browser, its bytes as the body."""
    held = sum(path.stat().st_size for path in studio.places.own("uploads").rglob("*") if path.is_file())
    if held > MOST_UPLOADS:
        where = studio.places.told(studio.places.own("uploads"))
        raise GanvasError(f"the uploads take more than {MOST_UPLOADS >> 30} GB: empty {where}")
    place = studio.places.upload(request.query_params.get("name", "file"))
    size = 0
    try:
        with place.open("wb") as handle:
            async for chunk in request.stream():
                size += len(chunk)
                if size > LARGEST_UPLOAD:
                    raise GanvasError(f"the file is larger than {LARGEST_UPLOAD >> 20} MB: use the command line for it")
                handle.write(chunk)
        if not size:
            raise GanvasError("the file is empty")
        await asyncio.to_thread(_check_pixels, place)
    except BaseException:
        place.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            place.parent.rmdir()
        raise
    return {"id": place.parent.name, "name": place.name, "bytes": size}


def _check_pixels(path: Path) -> None:
    """A picture of few bytes may hold pixels that fill the memory; its head tells. Raises GanvasError."""
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                pixels = image.width * image.height * getattr(image, "n_frames", 1)
    except Exception:  # no picture, or a broken one: whoever reads it says so
        return
    if pixels > MOST_PIXELS:
        raise GanvasError(f"the picture has {pixels:,} pixels, and at most {MOST_PIXELS:,} are taken: cut or shrink it")


async def upload_shown(studio: Studio, request: Request) -> Any:
    """How a run sees a file that was uploaded."""
    values = await _given(request)
    path = studio.places.uploaded(_text(values, "upload"))
    folder = str(studio.places.run(_text(values, "run")))
    place = studio.places.made()
    place.mkdir()
    found = await studio.desk.call(work.upload_shown, folder, _text(values, "field"), str(path), str(place))
    return {**found, "made": place.name}


async def use(studio: Studio, request: Request) -> Any:
    """Put a run to use."""
    values = await _given(request)
    name, verb = _text(values, "run"), _text(values, "verb")
    folder = studio.places.run(name)
    inputs = [str(studio.places.uploaded(str(number))) for number in values.get("inputs") or []]
    fields: dict[str, str] = {}
    for key, given in _mapping(values, "fields").items():
        if isinstance(given, dict) and given.get("upload"):
            fields[key] = str(studio.places.uploaded(str(given["upload"])))
        elif isinstance(given, dict) and lines.given(given.get("words")):
            text = str(given["words"])
            if Path(text).expanduser().exists():  # words must not become a way to read files
                raise GanvasError(f"{key}: '{text}' is the name of a file; say it in other words")
            fields[key] = text
    options = {key: value for key, value in _mapping(values, "options").items() if lines.given(value)}
    config = {key: value for key, value in _mapping(values, "config").items() if lines.given(value)}
    if isinstance(options.get("count"), int | float) and options["count"] > 10_000:
        raise GanvasError("a page makes at most 10,000 at once: use the command that is shown")
    seed, which = int(values.get("seed") or 0), values.get("checkpoint") or None
    place = studio.places.made()
    made = await studio.desk.call(
        work.put_to_use, str(folder), verb, str(place), inputs, options, fields, seed, which, config
    )  # fmt: skip
    line = _use_line(studio, folder, made["verb"], inputs, options, fields, seed, which, config)
    keep = ("count", "inputs", "done", "verb", "notes", "failed", "shown", "before")
    return {**{key: made[key] for key in keep if key in made}, "made": place.name, "line": line}


def _use_line(
    studio: Studio, folder: Path, verb: str, inputs: list[str], options: dict[str, Any], fields: dict[str, str], seed: int,
    which: str | None, config: dict[str, Any],
) -> str:  # fmt: skip
    words = ["apply", studio.places.told(folder), *(Path(path).name for path in inputs)]
    words = ["sample", *words[1:], "--as", verb] if not inputs else [*words, "--as", verb]
    words += [part for key, value in fields.items() for part in ("--with", f"{key}={Path(value).name}")]
    words += lines.options(options)
    words += ["--seed", str(seed)] if seed else []
    words += ["--checkpoint", which] if which else []
    words += [part for key, value in config.items() for part in ("--set", f"{key}={lines.plain(value)}")]
    return lines.told([*words, "--out", "FOLDER"])


async def doctor(studio: Studio, request: Request) -> Any:
    """What `ganvas doctor` says."""
    code, out, said = await _finished(lines.process(["doctor"]), 120)
    return {"lines": out.splitlines() or said.splitlines()}


# Files


async def run_file(studio: Studio, request: Request) -> Any:
    path = studio.places.run_file(request.query_params.get("name", ""), request.query_params.get("file", ""))
    return _sent(path)


async def made_file(studio: Studio, request: Request) -> Any:
    from .places import inside

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
    path = studio.places.run_file(asked.get("name", ""), f"samples/round-{_number(asked.get('round', '0')):07d}.png")
    width = _number(asked.get("width", "0"))
    if width:
        async with studio.small:
            path = await asyncio.to_thread(small_picture, path, studio.places.own("small"), min(800, max(32, width)))
    return FileResponse(path, media_type=SHOWN_AS[path.suffix], headers={"cache-control": "private, max-age=86400"})


async def zipped(studio: Studio, request: Request) -> Any:
    """All results of one call."""
    folder = studio.places.made(request.query_params.get("made", ""))
    from .showing import FOLDER

    def packed() -> Path:
        place = folder.parent / f"{folder.name}.zip"
        with zipfile.ZipFile(place, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(folder.rglob("*")):
                inner = path.relative_to(folder)
                if path.is_file() and not path.is_symlink() and FOLDER not in inner.parts and not inner.name.startswith("."):
                    archive.write(path, inner.as_posix())
        return place

    return FileResponse(await asyncio.to_thread(packed), media_type="application/zip", filename="ganvas-results.zip")


def routes() -> list[Route]:
    """Every address under `/api`."""
    looks = {
        "about": about, "home": home, "runs": runs, "run": run, "systems": systems, "system": system, "folders": folders,
        "uses": uses, "doctor": doctor, "run-file": run_file, "made-file": made_file, "picture": picture, "zip": zipped,
    }  # fmt: skip
    orders = {
        "data": data, "train-line": train_line, "train": train, "estimate": estimate, "act": act, "cancel": cancel,
        "upload": upload, "upload-shown": upload_shown, "use": use,
    }  # fmt: skip
    from . import lessons

    return [
        *(Route(f"/api/{name}", _json(answer), methods=["GET"]) for name, answer in looks.items()),
        *(Route(f"/api/{name}", _json(answer), methods=["POST"]) for name, answer in orders.items()),
        *lessons.routes(_json),
    ]


def events(source: AsyncIterator[str]) -> StreamingResponse:
    """Lines of JSON as server-sent events."""

    async def told() -> AsyncIterator[bytes]:
        async for line in source:
            yield f"data: {line}\n\n".encode()

    return StreamingResponse(told(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})
