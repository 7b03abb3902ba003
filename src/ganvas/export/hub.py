"""A run as a folder for model hubs: weights, settings, and, for `hub`, a page with samples. `ganvas.load` reads it back.

Nothing in it is code, and no place on this machine stands in it. Not for graphs (`graphs`), nor for reading (`run.published`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import GanvasError
from ..files import write_atomically
from ..kinds import kind_of
from ..run.privacy import without_key
from ..run.published import CONFIG, FORMAT, WEIGHTS, values_of
from ..run.settings import FILE, read_yaml
from ..uses import drawing, example_of, uses_of
from ..version import __version__

PAGE, SHOWN = "README.md", "samples.png"
MOST_SHOWN = 16


def write_weights(run: Any, out: Path) -> dict[str, Any]:
    """`model.safetensors` and `config.json`. run: a `Run`. Returns what the latter holds."""
    import safetensors.torch

    from ..run.checkpoint import apart

    source = Path(run.record.path)
    # One entry: several would come in another order each time, and the sum of the file with them.
    content = safetensors.torch.save(apart(run.system.state_dict()), metadata={"format": "pt"})
    values = read_yaml(source / FILE) if (source / FILE).is_file() else values_of(source)
    data, settings = dict(values["data"]), dict(values["run"])
    data.pop("place", None)
    if settings.get("privacy"):
        data["fingerprint"] = "withheld"  # a sum of the records, by which a guess at all of them could be checked
        settings["privacy"] = without_key(settings["privacy"])
    settings["data"] = str(Path(str(settings["data"])).name)
    told = {
        "library_name": "ganvas",
        "format": FORMAT,
        "ganvas": __version__,
        "system": values["system"],
        "system_file": Path(values["system_file"]).name if values.get("system_file") else None,
        "config": values["config"],
        "fields": values["fields"],
        "run": {key: value for key, value in settings.items() if key not in ("out", "cache")},
        "data": data,
        "checkpoint": run.which,
        "round": int(run.manifest.get("round", 0)),
        "weights": {"file": WEIGHTS, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()},
    }
    write_atomically(out / WEIGHTS, content)
    write_atomically(out / CONFIG, (json.dumps(told, indent=2) + "\n").encode())
    return told


def write_page(run: Any, out: Path, tell: Callable[[str], None]) -> list[str]:
    """`README.md` with the model card, and samples where the run draws from noise. Returns the names of the files."""
    from ..drawing import save_picture
    from ..report.card import NAME

    source, record, files = Path(run.record.path), run.record, [PAGE]
    picture = ""
    draws = drawing(run.system, record.fields)
    if draws is not None and draws.verb == "sample":
        try:
            kind = kind_of(run.spec.kind)
            save_picture(out / SHOWN, kind.picture(run.sample(min(MOST_SHOWN, kind.says.shown)), run.spec))
            picture = f"![Samples with seed 0; nobody and nothing in them is real]({SHOWN})\n\n"
            files.append(SHOWN)
        except GanvasError as error:
            tell(f"no picture of samples: {error}")
    card = (source / NAME).read_text(encoding="utf-8") if (source / NAME).is_file() else f"# {record.card.title}\n"
    if not (source / NAME).is_file():
        tell(f"{source} has no {NAME}: the page tells the settings alone (ganvas report {source} writes one)")
    head, _, rest = card.partition("\n")
    tags = ["gan", record.card.name, *dict.fromkeys(spec.kind.replace("_", "-") for spec in record.fields.values())]
    front = "\n".join(["---", "library_name: ganvas", "tags:", *(f"- {tag}" for tag in tags), "---"])
    page = f"{front}\n\n{head}\n\n{picture}{_how(run)}\n{_without_places(rest, source)}"
    write_atomically(out / PAGE, page.encode())
    return files


def _how(run: Any) -> str:
    """How to use it, in two languages."""
    record = run.record
    lines = ["ganvas sample FOLDER --out samples"] if drawing(run.system, record.fields) is not None else []
    for use in uses_of(run.system):
        if use.takes:
            lines.append(re.sub(r"\bRUN\b", "FOLDER", example_of(use, run.system, record.fields)))
    own = (
        ""
        if record.card.module
        else f"\n\nIts system is no part of ganvas: name its file `{record.card.path.name}`, with `--system`."
    )
    text = "\n".join(dict.fromkeys(lines))
    return (
        f"Made with ganvas {__version__}, system `{record.card.name}` ({record.card.paper}). FOLDER is this folder, downloaded "
        f"whole; nothing in it is code.{own}\n\n```\npip install ganvas\n{text}\n```\n\n```python\nimport ganvas\n\n"
        f'run = ganvas.load("FOLDER")\n```\n'
    )


def _without_places(text: str, run: Path) -> str:
    """The card without paths of this machine: of the run, and of what its settings name with a whole path."""
    text = text.replace(str(run.absolute()), "RUN")
    return re.sub(r"(?<![\w.:/])(?:/[\w.+-]+)+/([\w.+-]+)", r"\1", text)
