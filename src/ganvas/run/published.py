"""A run that was exported for others: `model.safetensors` and `config.json` in a folder, as model hubs have it. Read without
executing any code of it. Not for writing it (`export.hub`), nor for going on with training, for which it holds too little."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ..errors import GanvasError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT = 1


def is_published(folder: Path) -> bool:
    """Whether it is the folder of an exported run, by its `config.json`."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("library_name") == "ganvas"


def values_of(folder: Path) -> dict[str, Any]:
    """What stands in its `config.json`: the values of a run's `config.yaml`, and of which weights. Raises GanvasError."""
    values: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if values.get("format") != FORMAT:
        raise GanvasError(f"{folder / CONFIG}: it has format {values.get('format')}, this version of ganvas reads {FORMAT}")
    return values


def load(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(weights, manifest as of a checkpoint), on the CPU. Raises GanvasError for a file that is damaged or was changed."""
    import safetensors.torch

    told, path = values_of(folder)["weights"], folder / WEIGHTS
    try:
        content = path.read_bytes()
    except OSError:
        raise GanvasError(f"{path} is missing: fetch the folder again, with its large files (git lfs pull)") from None
    if content.startswith(b"version https://git-lfs"):
        raise GanvasError(f"{path} is a pointer to a large file, not the file: fetch it, with  git lfs pull")
    if hashlib.sha256(content).hexdigest() != told["sha256"]:
        raise GanvasError(f"{path} is not the file that was exported ({len(content)} of {told['bytes']} bytes): fetch it again")
    try:
        weights = safetensors.torch.load(content)
    except Exception as error:  # its sum was forged as well
        raise GanvasError(f"{path} cannot be read ({type(error).__name__}): fetch it again") from error
    manifest = {"round": values_of(folder)["round"], "files": {"weights.safetensors": told}}
    return weights, manifest


def refuse_training(folder: Path) -> None:
    """Raises GanvasError for the folder of an exported run, which cannot be resumed."""
    if is_published(folder):
        raise GanvasError(
            f"{folder} is an exported run: it holds weights without the state of training. Start a new run from them, with  "
            f"--init-from {folder}"
        )
