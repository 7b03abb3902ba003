"""A trained run put to use from a page: what it offers, files that are uploaded, results. The desk does the work (`work`)."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

from starlette.requests import Request

from ..errors import GanvasError
from . import lines, work
from .asking import Studio, given, mapping, text
from .places import inside

LARGEST_UPLOAD = 200 << 20  # bytes of one file
MOST_PIXELS = 64_000_000  # of a picture from the browser
MOST_UNPACKED = 1 << 30  # bytes of what an archive or a packed file holds
MOST_UPLOADS = 2 << 30  # bytes of all that lie there
MOST_TOGETHER = 100  # files of one field, frames of an animation
GRID, ANIMATION = "grid.png", "walk.gif"


async def uses(studio: Studio, request: Request) -> Any:
    folder = studio.places.run(request.query_params.get("name", ""))
    found = await studio.desk.call(work.describe_uses, str(folder), request.query_params.get("checkpoint") or None)
    return {**found, "folder": studio.places.told(folder)}


async def looks_at(studio: Studio, request: Request) -> Any:
    """What the discriminator of a run looks at."""
    folder, place = studio.places.run(request.query_params.get("name", "")), studio.places.made()
    found = await studio.desk.call(work.looks_at, str(folder), str(place))
    return {**found, "made": place.name}


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
        await asyncio.to_thread(_check_unpacked, place)
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


def _check_unpacked(path: Path) -> None:
    """What is packed small may be large: an archive tells, of anything else a stretch after the other is unpacked and counted.
    Raises GanvasError."""
    size = 0
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
        else:
            with path.open("rb") as handle:
                packed = handle.read(2) == b"\x1f\x8b"
            if packed:
                with gzip.open(path) as stream:
                    while size <= MOST_UNPACKED and (part := stream.read(1 << 20)):
                        size += len(part)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError):
        return  # broken: whoever reads it says so
    if size > MOST_UNPACKED:
        raise GanvasError(f"unpacked the file has more than {MOST_UNPACKED >> 20} MB: use the command line for it")


async def upload_shown(studio: Studio, request: Request) -> Any:
    """How a run sees a file that was uploaded."""
    values = await given(request)
    path = studio.places.uploaded(text(values, "upload"))
    folder = str(studio.places.run(text(values, "run")))
    place = studio.places.made()
    place.mkdir()
    found = await studio.desk.call(
        work.upload_shown, folder, text(values, "verb"), text(values, "field"), str(path), str(place)
    )
    return {**found, "made": place.name}


async def use(studio: Studio, request: Request) -> Any:
    """Put a run to use."""
    values = await given(request)
    name, verb = text(values, "run"), text(values, "verb")
    folder = studio.places.run(name)
    inputs = _apart(studio, [studio.places.uploaded(str(number)) for number in values.get("inputs") or []])
    fields: dict[str, str] = {}
    for key, one in mapping(values, "fields").items():
        if isinstance(one, dict) and isinstance(one.get("uploads"), list) and one["uploads"]:
            fields[key] = str(_together(studio, [str(number) for number in one["uploads"]]))
        elif isinstance(one, dict) and lines.given(one.get("words")):
            words = str(one["words"])
            if Path(words).expanduser().exists():  # words must not become a way to read files
                raise GanvasError(f"{key}: '{words}' is the name of a file; say it in other words")
            fields[key] = words
    options = {key: value for key, value in mapping(values, "options").items() if lines.given(value)}
    config = {key: value for key, value in mapping(values, "config").items() if lines.given(value)}
    if isinstance(options.get("count"), int | float) and options["count"] > 10_000:
        raise GanvasError("a page makes at most 10,000 at once: use the command that is shown")
    seed, which = int(values.get("seed") or 0), values.get("checkpoint") or None
    place = studio.places.made()
    made = await studio.desk.call(
        work.put_to_use, str(folder), verb, str(place), inputs, options, fields, seed, which, config,
        bool(values.get("bare")),
    )  # fmt: skip
    line = _use_line(studio, folder, made["verb"], inputs, options, fields, seed, which, config)
    keep = ("count", "inputs", "done", "verb", "notes", "failed", "shown", "before")
    return {**{key: made[key] for key in keep if key in made}, "made": place.name, "line": line}


async def animation(studio: Studio, request: Request) -> Any:
    """The grids of several results as one animation, to be kept."""
    values = await given(request)
    numbers = values.get("made")
    if not isinstance(numbers, list) or not 1 < len(numbers) <= MOST_TOGETHER:
        raise GanvasError("an animation has 2 to 100 frames: reload the page")
    frames = [str(inside(studio.places.made(str(number)), GRID)) for number in numbers]
    place = studio.places.made()
    place.mkdir()
    await studio.desk.call(work.animation, frames, str(place / ANIMATION))
    return {"made": place.name, "file": ANIMATION}


def _apart(studio: Studio, files: list[Path]) -> list[str]:
    """Files of one name from several folders, each under a name of its own: what comes of them lies in one folder."""
    taken: set[str] = set()
    found = []
    for file in files:
        head, dot, tail = file.name.partition(".")
        own, number = file, 2
        while own.stem in taken:
            own, number = file.with_name(f"{head}-{number}{dot}{tail}"), number + 1
        taken.add(own.stem)
        if own.name != file.name:
            own = studio.places.made() / own.name
            own.parent.mkdir()
            os.link(file, own)
        found.append(str(own))
    return found


def _together(studio: Studio, numbers: list[str]) -> Path:
    """A file that was uploaded, or a folder of several."""
    files = [studio.places.uploaded(number) for number in numbers[:MOST_TOGETHER]]
    if len(files) == 1:
        return files[0]
    folder = studio.places.made()
    folder.mkdir()
    for place, file in enumerate(files, start=1):
        os.link(file, folder / f"{place:03d}-{file.name}")
    return folder


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
