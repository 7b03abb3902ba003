"""Whether `--until plateau` keeps about the best checkpoint there was, and what time it saves.

`dcgan` is trained on real radiographs and on MR slices without a budget, so until the kernel distance has stopped improving,
and then goes on to a fixed long budget. Along the way its checkpoint is copied every `--every` seconds. Afterwards every copy,
and the one that was kept at the plateau, is judged in one way: the kernel distance of 1000 samples to the held-out records,
more than the run's own looks have. The best of all copies was chosen by its value, which flatters it, so it is judged again
with other samples. Met where the value of the kept checkpoint lies within the interval of that (`within`; `within_flattered`:
of its first value). D sees no augmented images: with them quality became better for as long as was tried (half an hour on
radiographs, 43 minutes on MR slices), and the rule rightly saw no plateau.

A second call goes on with what is missing. With the defaults it takes about an hour on one processor core.
The width is fixed: `auto` takes as wide a network as the budget can pay for, whose plateau then lies near the budget's end.

    python benchmarks/plateau.py --data ROOT --out benchmarks/results/plateau.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import ganvas
from ganvas.doctor import machine
from ganvas.errors import GanvasError
from ganvas.run.checkpoint import facts_of, sound

SETS = ("chest-xray", "brain-mr")
SAMPLES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds chest-xray and brain-mr")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/plateau.json"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "ganvas-plateau", help="where runs are kept")
    parser.add_argument("--long", type=float, default=1440.0, help="seconds of the fixed long budget")
    parser.add_argument("--every", type=float, default=45.0, help="seconds between two copies")
    parser.add_argument("--size", default="32")
    parser.add_argument("--width", type=int, default=16, help="of the networks: `auto` would go by the budget")
    parser.add_argument("--averaging", type=float, help="half-life in samples of the averaged generator; else as `auto` has it")
    parser.add_argument("--augment", action="store_true", help="show D augmented images, with which learning goes on for long")
    parser.add_argument("--only", choices=SETS, help="one of the sets, which is not written to --out")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    sets = {name: one_set(name, options) for name in SETS if options.only in (None, name)}
    result = {
        "sets": sets,
        "met": all(x["within"] for x in sets.values()),
        "command": "python benchmarks/plateau.py --data ROOT",
        "machine": machine(),
    }
    print(json.dumps(result, indent=1))
    if not options.only:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n")


def one_set(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train to the plateau and beyond, judge every copy."""
    run, state = options.work / name, options.work / f"{name}.json"
    known: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
    copies = options.work / f"{name}-copies"
    copies.mkdir(exist_ok=True)
    long = options.long

    def remember() -> None:
        state.write_text(json.dumps(known, indent=1))

    def copying(over: threading.Event) -> None:
        """A copy of the last checkpoint every so often, while the run goes on."""
        while not over.wait(options.every):
            name = copies / f"at-{seconds_of(run):07.1f}"
            if name.name != "at-00000.0" and not name.exists():
                with contextlib.suppress(OSError, GanvasError):  # replaced while it was copied: the next one comes
                    keep(run, name, "last")

    while "plateau" not in known or seconds_of(run) < long:
        beyond: dict[str, Any] = {"budget": f"{long:g}s", "until": "budget"} if "plateau" in known else {}
        over = threading.Event()
        copier = threading.Thread(target=copying, args=(over,), daemon=True)
        copier.start()
        if (run / "config.yaml").exists():
            result = ganvas.train(resume=run, quiet=True, **beyond)
        else:
            config: dict[str, Any] = {"width": options.width} | ({} if options.augment else {"augment": ()})
            config |= {} if options.averaging is None else {"ema_half_life": options.averaging}
            steady: dict[str, Any] = {"size": options.size, "sample_every": 60.0, "threads": 1, "quiet": True}
            result = ganvas.train("dcgan", options.data / name, out=run, config=config, **steady)  # without a budget
        over.set()
        copier.join()
        if result["stopped"] == "signal":
            raise KeyboardInterrupt
        if result["stopped"] == "plateau":
            known["plateau"] = {"seconds": result["seconds"], "round": result["rounds"], "best": result["best"]}
            keep(run, copies / "kept", "best")
            remember()
    if not (copies / "at-the-end").exists():
        keep(run, copies / "at-the-end", "last")
    values = known.setdefault("values", {})
    for copy in sorted(copies.glob("[!.]*")):
        if copy.name not in values:
            values[copy.name] = judged(copy, 0)
            remember()
    best = min(values, key=lambda key: float(values[key]["value"]))
    if best not in known.setdefault("again", {}):
        known["again"][best] = judged(copies / best, 1)
        remember()
    again, kept = known["again"][best], values.get("kept")
    return {
        "plateau": known.get("plateau"),
        "kept": kept,
        "best": {"copy": best, "first": values[best], "again": again},
        "within": kept is not None and kept["value"] <= again["high"],
        "within_flattered": kept is not None and kept["value"] <= values[best]["high"],
        "saved": round(1 - known["plateau"]["seconds"] / long, 3) if kept is not None else 0.0,
        "long_budget": long,
        "size": options.size,
        "width": options.width,
        "augment": options.augment,
        "ema_half_life": options.averaging,
        "copies": values,
    }


def judged(copy: Path, seed: int) -> dict[str, Any]:
    """Kernel distance of 1000 samples to the held-out records."""
    found = ganvas.evaluate(copy, count=SAMPLES, seed=seed, audit=False, anchors=False)
    return {key: found["kid"][key] for key in ("value", "low", "high", "protocol")}


def seconds_of(run: Path) -> float:
    """Trained seconds of the last checkpoint."""
    facts = facts_of(run, "last")
    return float(facts["seconds"]) if facts else 0.0


def keep(run: Path, copy: Path, which: str) -> None:
    """A run folder with one checkpoint, as `last`."""
    making = copy.with_name(".making")
    shutil.rmtree(making, ignore_errors=True)
    (making / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "split.json", "environment.json"):
        shutil.copyfile(run / name, making / name)
    shutil.copytree(run / "checkpoints" / which, making / "checkpoints" / "last")
    sound(making)  # raises when the copy is of two checkpoints
    making.rename(copy)


if __name__ == "__main__":
    main()
