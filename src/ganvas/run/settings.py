"""The settings of a run, apart from those of its system: what `ganvas train` takes and `config.yaml` keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import build_config, knob
from ..errors import GanvasError
from ..files import write_atomically
from ..store.listing import RUN

FILE = RUN
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)$")
UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


@dataclass(frozen=True)
class Settings:
    """Every field is an option of `ganvas train` (`--micro-batches` is `micro_batches`). What `size`, `channels`, `fit`,
    `rate`, `axis`, `frames` and `up` mean, each kind of data says itself (`KindSays.options`)."""

    data: str = knob(
        "", "folder of images, .npz/.npy, DICOM, NIfTI, CSV of points, shards, Parquet, or a phantom (see: ganvas data list)"
    )
    preset: str = knob("auto", "named group of settings of the system (see: ganvas show SYSTEM)")
    size: str | None = knob(None, "size of the records that are trained on")
    channels: int | None = knob(None, "channels of the records", low=1, high=8)
    fit: str | None = knob(
        None,
        "how another size is met; default: what the system suits",
        choices=("crop", "pad", "stretch", "patches", "crops", "frames"),
    )
    rate: int | None = knob(None, "steps of time", low=1, high=192_000)
    axis: int | None = knob(None, "an axis of the files", low=0, high=2)
    frames: int | None = knob(None, "frames of the records", low=2, high=1024)
    up: str | None = knob(None, "the axis that points up", choices=("y", "z"))
    heldout: float | None = knob(
        None,
        "share of the groups kept out of training, for judging (default 0.2, or what the system's page says)",
        low=0.0,
        high=0.9,
    )
    split_seed: int | None = knob(
        None,
        "which records are held out, and which a phantom has: one for all runs that are to be compared; default: --seed",
        low=0,
        high=2**31 - 1,
    )
    phantom_count: int | None = knob(
        None, "records to make when the data is a phantom; default: 4000 images or 20000 points", low=1, high=1_000_000
    )
    strict: bool = knob(False, "refuse the data when one file cannot be read")
    budget: str | None = knob(
        None, "10m, 90s, 2h (time); 50k (samples); 200r (rounds); open: until you stop it; default: see --until"
    )
    until: str | None = knob(
        None,
        "plateau: stop when the kernel distance has stopped improving, or at the budget; budget: at the budget alone; default: "
        "plateau where there is no --budget and samples can be judged",
        choices=("plateau", "budget"),
    )
    privacy: str | None = knob(
        None,
        "train with differential privacy: epsilon=8, and parts if wanted: delta=1e-5,clip=1,noise=1.1 (see docs/privacy.md)",
    )
    seed: int = knob(0, "of weights, order and noise", low=0, high=2**31 - 1)
    device: str = knob("auto", "auto, cpu, cuda, cuda:N or mps")
    threads: int | None = knob(None, "CPU threads of each process; default: as many as are measured to help", low=1, high=1024)
    memory: str | None = knob(
        None,
        "most that the run may be expected to need, as in 12GiB, or any; else it is refused; default: what the machine, its "
        "container or the GPU has",
    )
    processes: int = knob(
        1,
        "processes on this machine, which ganvas starts, that share each batch; not beside torchrun or srun, which start them "
        "themselves (see docs/scaling.md)",
        low=1,
        high=1024,
    )
    precision: str = knob(
        "auto",
        "number format; auto: bf16-mixed where it is measured to be faster and the system allows it, else 32",
        choices=("auto", "32", "bf16-mixed", "16-mixed", "64"),
    )
    fields: str | None = knob(
        None,
        "where fields of records lie: photo=FOLDER,map=FOLDER; of Parquet image=COLUMN,label=COLUMN (default: by their names)",
    )
    properties: str | None = knob(
        None,
        "numbers of each record that samples can then be asked for, as in brightness,decay: what is measured of records "
        "(sounds: brightness, attack, decay, loudness, pitch; all of these: measured), or columns of a table beside the files",
    )
    micro_batches: int = knob(1, "pieces each batch is cut into, to save memory", low=1)
    channels_last: str = knob(
        "auto", "memory layout of images, films and volumes; auto: what is measured to be faster", choices=("auto", "on", "off")
    )
    deterministic: str = knob(
        "on", "on a GPU, on: the same bits each time; off: may be faster, and is not resumed exactly", choices=("on", "off")
    )
    compile: bool = knob(False, "compile the networks with torch.compile (needs a C++ compiler)")
    recompute_activations: bool = knob(
        False,
        "keep no maps of the networks for the backward pass but compute them again: the same bits, less memory, more time",
    )
    check_every: int = knob(32, "rounds between checks for NaN and infinity", low=1)
    save_every: float = knob(30.0, "seconds between checkpoints", low=0.0)
    sample_every: float = knob(30.0, "seconds between sample pictures; 0: only at the end", low=0.0)
    watch: str = knob("on", "watch losses, gradients and a few samples for signs of failure", choices=("on", "off"))
    evaluations: int | None = knob(
        None,
        "how often the kernel distance is measured within the budget; default: 8, or none with --sample-every 0",
        low=0,
        high=10_000,
    )
    evaluation_share: float = knob(0.1, "share of the time that measuring it may take", low=0.0, high=1000.0)
    on_alarm: str = knob(
        "warn",
        "what to do: stop; rollback: go back to the best checkpoint, with other records and noise; restart: with another seed",
        choices=("warn", "stop", "rollback", "restart"),
    )
    retries: int = knob(2, "how often --on-alarm may roll back or restart, before it stops", low=0, high=1000)


ANY_TIME = (
    "memory", "budget", "until", "save_every", "sample_every", "watch", "evaluations",
    "evaluation_share", "on_alarm", "retries",
)  # fmt: skip
"""May differ when a run is resumed: they do not change the game."""


def parse_size(text: str | None) -> int | tuple[int, int] | None:
    """`64` -> 64, `96x64` -> (96, 64), None -> None. Raises GanvasError."""
    if text is None:
        return None
    parts = text.lower().replace(",", "x").split("x")
    try:
        numbers = [int(p) for p in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or any(n < 1 for n in numbers):
        raise GanvasError(f"--size '{text}' is not one or two whole numbers above 0: use 64, or HEIGHTxWIDTH such as 96x64")
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def parse_memory(text: str | None) -> int | None:
    """`4GiB`, `800MB`, `1.5g` -> bytes; None -> None; `any` -> 0. Raises GanvasError."""
    if text is None or text.strip().lower() == "any":
        return None if text is None else 0
    return parse_bytes(text, "--memory", ", or any")


def parse_bytes(text: str, option: str, more: str = "") -> int:
    """`4GiB`, `4G`, `800MB`, `1.5gb` -> bytes. Raises GanvasError that names the option, and what else it takes."""
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmgt]i?)b?\s*", text.lower())
    if found is None:
        raise GanvasError(f"{option} '{text}' is not an amount of memory above 0: use for example 4GiB or 800MB{more}")
    return int(float(found[1]) * UNITS[found[2]])


def build_settings(values: dict[str, Any], where: str = "") -> Settings:
    """Settings from plain values; raises GanvasError in one line. A size may be a number or (height, width) as well."""
    size = values.get("size")
    if isinstance(size, int | tuple | list) and not isinstance(size, bool):
        values = {**values, "size": str(size) if isinstance(size, int) else "x".join(map(str, size))}
    settings = build_config(Settings, values, where=where)
    parse_size(settings.size)
    parse_memory(settings.memory)
    return settings


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping. Raises GanvasError naming the file and line, also for a key that stands twice.

    Numbers are decimal: of YAML 1.1's octals (`010`) and sexagesimals (`1:30`) only the text is taken.
    """
    import yaml

    class Plain(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: dict[str, int] = {}
            for key, _ in node.value:
                line = key.start_mark.line + 1
                if key.value in seen:
                    told = f"'{key.value}' stands in lines {seen[key.value]} and {line}"
                    raise GanvasError(f"{path}: {told}: keep one")
                if isinstance(key.value, str):
                    seen[key.value] = line
            return super().construct_mapping(node, deep=deep)

    number = "tag:yaml.org,2002:int"
    Plain.yaml_implicit_resolvers = {
        first: [(tag, _DECIMAL if tag == number else rule) for tag, rule in rules]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Plain)
    except FileNotFoundError:
        raise GanvasError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise GanvasError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise GanvasError(f"{path}: not valid YAML{line}") from error
    if not isinstance(values, dict):
        raise GanvasError(f"{path}: expected 'key: value' lines")
    return values


def write_yaml(path: Path, values: dict[str, Any]) -> None:
    """A mapping as YAML, atomically."""
    import yaml

    write_atomically(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode())
