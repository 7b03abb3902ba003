"""What pages order: look through data, start a training, say what it will take; pause, stop, resume, judge.

Each order becomes words of a command (`lines`), which the queue runs. Whatever comes from a page is checked here: systems by
name alone, data and fields below the folders that may be read, settings by their names.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from starlette.requests import Request

from ..errors import GanvasError
from . import lines, making, work
from .asking import Studio, finished, given, mapping, text


def _data(studio: Studio, text: str) -> str:
    """Data by name: a phantom, or a path that may be read. Raises GanvasError."""
    from ..data.phantoms import is_phantom

    return text if is_phantom(text) else str(studio.places.data_path(text))


async def data(studio: Studio, request: Request) -> Any:
    """Look through data before anything is made of it."""
    values = await given(request)
    source = _data(studio, text(values, "data"))
    place = studio.places.made()
    place.mkdir()
    found = await studio.side.call(work.sheet, source, str(place / "sheet.png"), values.get("size") or None)
    return {**found, "made": place.name, "line": lines.told(["data", "check", source])}


async def _words(studio: Studio, values: dict[str, Any], name: str) -> list[str]:
    source = _data(studio, text(values, "data"))
    start = values.get("from")
    init = studio.places.told(studio.places.run(start)) if isinstance(start, str) and start and values.get("weights") else None
    out = str(studio.places.given / name)
    asked = mapping(values, "run")
    if odd := set(asked) - {item["name"] for item in making.run_form()}:
        raise GanvasError(f"'{sorted(odd)[0]}' is no setting of a run")
    run = {"preset": text(values, "preset", False), "fields": _columns(studio, text(values, "fields", False)), **asked}
    return lines.train(known_system(text(values, "system", False)) or None, source, out, run, mapping(values, "config"), init)


def known_system(system: str) -> str:
    """A system by its name; a file would be code. Raises GanvasError."""
    if system and system not in {item["name"] for item in making.systems()}:
        raise GanvasError(f"there is no system '{system}'; one of your own is for the command line")
    return system


def _columns(studio: Studio, text: str) -> str:
    """`photo=FOLDER,map=FOLDER`, every folder one that may be read. Raises GanvasError."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    return ",".join(f"{name.strip()}={studio.places.data_path(path.strip())}" for name, _, path in pairs)


def _new_name(studio: Studio, values: dict[str, Any]) -> str:
    asked = text(values, "name", False)
    if asked:
        studio.places.new_run(asked)
        return asked
    source = Path(text(values, "data")).name or "data"
    return studio.places.free_run(f"{text(values, 'system', False) or 'run'}-{source}")


async def train_line(studio: Studio, request: Request) -> Any:
    """The command of a form, without running it."""
    values = await given(request)
    return {"line": lines.told(await _words(studio, values, _new_name(studio, values)))}


async def train(studio: Studio, request: Request) -> Any:
    values = await given(request)
    name = _new_name(studio, values)
    words = await _words(studio, values, name)
    job = await asyncio.to_thread(studio.jobs.add, "train", words, name)
    return {"run": name, "job": job.shown()}


async def estimate(studio: Studio, request: Request) -> Any:
    """What `ganvas train --dry-run` says of a form: data, memory, pace."""
    values = await given(request)
    words = [*(await _words(studio, values, "estimate-only")), "--dry-run", "--json"]
    words[words.index("--out") + 1] = str(studio.places.given / ".studio" / "estimate")
    code, out, said = await finished(lines.process(words), 240)
    try:
        found = json.loads(out)
    except ValueError:
        found = {"error": said.strip().splitlines()[-1] if said.strip() else "the estimate did not end"}
    if "error" in found:
        raise GanvasError(str(found["error"]))
    from ..run.rehearsal import lines as rehearsed

    return {"lines": rehearsed(found)[1:-1], "found": found}


async def act(studio: Studio, request: Request) -> Any:
    """Pause, stop, resume, train on; evaluate, report."""
    values = await given(request)
    name, what = text(values, "run"), text(values, "what")
    if what in ("pause", "stop"):
        await asyncio.to_thread(studio.jobs.ask, name, what)
        return {"asked": what}
    folder = studio.places.told(studio.places.run(name))
    if what == "resume":
        words = ["train", "--resume", folder, *lines.options({"budget": values.get("budget")})]
    elif what == "evaluate":
        words = ["evaluate", folder, *lines.options({key: values.get(key) for key in ("count", "unintended")})]
    elif what == "report":
        words = ["report", folder]
    else:
        raise GanvasError("the page asked for something that is not known: reload it")
    does = {"resume": "train"}.get(what, what)
    job = await asyncio.to_thread(studio.jobs.add, does, words, name)
    return {"job": job.shown()}


async def cancel(studio: Studio, request: Request) -> Any:
    await asyncio.to_thread(studio.jobs.cancel, text(await given(request), "job"))
    return {}
