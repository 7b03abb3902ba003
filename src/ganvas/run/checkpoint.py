"""Checkpoints: `checkpoints/last`, beside it `checkpoints/previous`, and `checkpoints/best`, where a run judges its samples.

Each is a folder of `weights.safetensors` (every weight and buffer), `state.pt` (plain tensors and numbers, loaded with
`weights_only=True`: nothing in a run can execute code) and `manifest.json` (sizes and sha256 of both). A new one is written
aside and renamed into place, so at every moment one complete checkpoint exists.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

from ..errors import GanvasError, RunError
from ..files import disk_errors, sync_folder, write_atomically
from ..health.alarms import BETTER_BEFORE
from . import published

FORMAT = 1
FILES = ("weights.safetensors", "state.pt")
BETWEEN = {"last": (".incoming", "previous"), "best": (".incoming-best", ".outgoing-best")}  # while it is being replaced


def save(folder: Path, weights: dict[str, Any], state: dict[str, Any], summary: dict[str, Any]) -> None:
    """Write a checkpoint below `folder` (`checkpoints/`) and make it `last`; the old `last` becomes `previous`.

    Raises RunError in one line when it cannot be written; the old ones are intact then.
    """
    import safetensors.torch
    import torch

    incoming = folder / ".incoming"
    with disk_errors(incoming):
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    contents = {
        FILES[0]: safetensors.torch.save(apart(weights)),
        FILES[1]: buffer.getvalue(),
    }
    manifest: dict[str, Any] = {"format": FORMAT, **summary, "files": {}}
    for name, content in contents.items():
        write_atomically(incoming / name, content)
        manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    # The manifest comes last: a folder with a true manifest is complete.
    write_atomically(incoming / "manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())
    with disk_errors(incoming):
        sync_folder(incoming)
        _promote(folder)


def keep_best(folder: Path, facts: dict[str, Any]) -> None:
    """Make a copy of `last` below `folder` (`checkpoints/`) the checkpoint `best`; its manifest gets `facts` as well.

    A copy and not a link: damage to one is none to the other. Raises RunError in one line when it cannot be written; the old
    one is intact then.
    """
    incoming, best, outgoing = (folder / n for n in (".incoming-best", "best", ".outgoing-best"))
    with disk_errors(incoming):
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir()
        manifest = json.loads((folder / "last" / "manifest.json").read_text())
        for name in FILES:
            write_atomically(incoming / name, (folder / "last" / name).read_bytes())
        write_atomically(incoming / "manifest.json", (json.dumps({**manifest, **facts}, indent=2) + "\n").encode())
        sync_folder(incoming)
        shutil.rmtree(outgoing, ignore_errors=True)
        if best.exists():
            os.rename(best, outgoing)
        os.rename(incoming, best)
        sync_folder(folder)
        shutil.rmtree(outgoing, ignore_errors=True)


def facts_of(run: Path, which: str) -> dict[str, Any] | None:
    """The manifest of a checkpoint; None when there is none, or none that can be read."""
    try:
        found = json.loads((run / "checkpoints" / which / "manifest.json").read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def preferred(run: Path) -> tuple[str, str]:
    """The checkpoint to use where nobody names one, and a line that says why where it is not `last`.

    It is `best` when the run's own alarms say that the weights became no better after it (`health.alarms.BETTER_BEFORE`).
    """
    best, last = facts_of(run, "best"), facts_of(run, "last")
    try:
        alarms = json.loads((run / "health.json").read_text(encoding="utf-8"))["alarms"]
        said = [kind for alarm in alarms if (kind := alarm["kind"]) in BETTER_BEFORE]
    except (OSError, ValueError, KeyError, TypeError):  # no watch, or no file of one
        said = []
    if not said or best is None or last is None or best.get("round") == last.get("round"):
        return "last", ""
    told = " and ".join(dict.fromkeys(f"'{kind}'" for kind in said))
    line = f"weights of checkpoints/best, round {best.get('round', 0):,}: the run's alarm says {told}"
    return "best", f"{line}; --checkpoint last takes those of round {last.get('round', 0):,}"


def apart(weights: dict[str, Any]) -> dict[str, Any]:
    """The tensors on the CPU, none sharing memory with another (safetensors refuses a network that has two names)."""
    found: dict[str, Any] = {}
    places: set[int] = set()
    for name, tensor in weights.items():
        plain = tensor.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        found[name] = plain.clone() if place in places else plain
        places.add(place)
    return found


def _promote(folder: Path) -> None:
    incoming, last, previous, outgoing = (folder / n for n in (".incoming", "last", "previous", ".outgoing"))
    shutil.rmtree(outgoing, ignore_errors=True)
    if last.exists():
        if previous.exists():
            os.rename(previous, outgoing)
        os.rename(last, previous)
    os.rename(incoming, last)
    sync_folder(folder)
    shutil.rmtree(outgoing, ignore_errors=True)


def recover(run: Path) -> None:
    """Finish what a killed process left between two renames. Only for who holds the run (`files.held`)."""
    folder = run / "checkpoints"
    last, incoming, previous, outgoing = (folder / n for n in ("last", ".incoming", "previous", ".outgoing"))
    with disk_errors(folder):
        if not last.exists() and incoming.exists() and _fault(incoming) is None:
            _promote(folder)
        if not previous.exists() and outgoing.exists():
            os.rename(outgoing, previous)
        if not last.exists() and previous.exists():
            os.rename(previous, last)
        best = folder / "best"
        for other in (folder / ".incoming-best", folder / ".outgoing-best"):
            if not best.exists() and other.exists() and _fault(other) is None:
                os.rename(other, best)
            shutil.rmtree(other, ignore_errors=True)


def _fault(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint folder, or None."""
    try:
        manifest = json.loads((checkpoint / "manifest.json").read_text())
        if manifest["format"] != FORMAT:
            return f"has format {manifest['format']}, this version reads {FORMAT}"
        for name in FILES:
            content = (checkpoint / name).read_bytes()
            facts = manifest["files"][name]
            if len(content) != facts["bytes"]:
                return f"{name} is truncated ({len(content)} of {facts['bytes']} bytes)"
            if hashlib.sha256(content).hexdigest() != facts["sha256"]:
                return f"{name} was changed since it was saved"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, UnicodeDecodeError):
        return "manifest.json is damaged"
    return None


def sound(run: Path, which: str = "last") -> Path | None:
    """The folder of a run's checkpoint, once its files have passed their checksums; None when the run has none yet.

    Changes nothing, so it may look into a run that is being trained. Raises GanvasError naming the damaged file, and
    offering the other checkpoint when that one is sound.
    """
    folder = run / "checkpoints"
    for patience in (0.1, 0.5, 0.0):
        checkpoint = folder / which
        if which in BETWEEN and not checkpoint.is_dir():  # between two renames, or killed there
            checkpoint = next((folder / n for n in BETWEEN[which] if _fault(folder / n) is None), checkpoint)
        if not checkpoint.is_dir():
            if which != "last":
                kept = ": runs keep it that judge samples while they train (--evaluations)" if which == "best" else ""
                raise GanvasError(f"{run} has no checkpoint '{which}'{kept}")
            if patience and any((folder / n).is_dir() for n in ("last", "previous", ".incoming")):
                continue  # the renames went on while we looked: look again
            return None
        fault = _fault(checkpoint)
        if fault is None:
            return checkpoint
        time.sleep(patience)  # it may have been replaced while it was read
    raise _refusal(checkpoint, str(fault))


def _refusal(checkpoint: Path, fault: str) -> GanvasError:
    folder = checkpoint.parent
    other = next((n for n in ("previous", "last") if n != checkpoint.name and (folder / n).is_dir()), None)
    if other is None or _fault(folder / other) is not None:
        return GanvasError(f"{checkpoint}: {fault}, and no other checkpoint is sound")
    where = json.loads((folder / other / "manifest.json").read_text()).get("round", "?")
    return GanvasError(f"{checkpoint}: {fault}. The one before it is sound (round {where}): add  --checkpoint {other}")


def load_alike(processes: Any, run: Path, which: str = "last") -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]] | None:
    """As `load`, in every process of a run at once. Raises RunError when they found different files under that name."""
    loaded = load(run, which)
    sums = processes.gather(None if loaded is None else loaded[2].get("files"))
    if any(other != sums[0] for other in sums):
        differing = [rank for rank, other in enumerate(sums) if other != sums[0]]
        raise RunError(
            f"process {differing[0]} read another {run / 'checkpoints' / which} than process 0: its machine still shows older "
            "files there; wait a minute and resume, and let the file system not remember folders for long (NFS: acdirmax)"
        )
    return loaded


def load(run: Path, which: str = "last") -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]] | None:
    """(weights, state, manifest) of a run's checkpoint, on the CPU; None when the run has none yet. Raises as `sound` does."""
    import safetensors.torch
    import torch

    if published.is_published(run):
        if which != "last":
            raise GanvasError(f"{run} is an exported run and holds one checkpoint: leave out --checkpoint")
        weights, manifest = published.load(run)
        return weights, {}, manifest
    checkpoint = sound(run, which)
    if checkpoint is None:
        return None
    try:
        weights = safetensors.torch.load((checkpoint / FILES[0]).read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch wonders about in a forged file
            state = torch.load(checkpoint / FILES[1], map_location="cpu", weights_only=True)
        return weights, state, json.loads((checkpoint / "manifest.json").read_text())
    except Exception as error:  # a file that passes its checksum but not its reader was made by someone else
        raise _refusal(checkpoint, f"cannot be read ({type(error).__name__})") from error
