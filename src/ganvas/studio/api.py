"""The names under `/api`: what may be looked at, and what may be ordered. Not for the answers, which stand in their modules."""

from __future__ import annotations

from starlette.routing import Route

from . import applying, lessons, looking, ordering
from .asking import as_json

LOOKS = {
    "about": looking.about,
    "home": looking.home,
    "runs": looking.runs,
    "run": looking.run,
    "systems": looking.systems,
    "system": looking.system,
    "folders": looking.folders,
    "doctor": looking.doctor,
    "run-file": looking.run_file,
    "made-file": looking.made_file,
    "picture": looking.picture,
    "zip": looking.zipped,
    "uses": applying.uses,
    "looks-at": applying.looks_at,
}
ORDERS = {
    "data": ordering.data,
    "train-line": ordering.train_line,
    "train": ordering.train,
    "estimate": ordering.estimate,
    "act": ordering.act,
    "cancel": ordering.cancel,
    "upload": applying.upload,
    "upload-shown": applying.upload_shown,
    "use": applying.use,
    "animation": applying.animation,
}


def routes() -> list[Route]:
    """Every address under `/api`."""
    return [
        *(Route(f"/api/{name}", as_json(answer), methods=["GET"]) for name, answer in LOOKS.items()),
        *(Route(f"/api/{name}", as_json(answer), methods=["POST"]) for name, answer in ORDERS.items()),
        *lessons.routes(),
    ]
