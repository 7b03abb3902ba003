"""What is foretold of runs and of uses, and what they then take: writes benchmarks/results/forecasts.json.

    python benchmarks/forecasts.py                              every system, a run of 60 s each, one after the other
    python benchmarks/forecasts.py --systems dcgan gan --jobs 2 --budget 2m
    python benchmarks/forecasts.py --table                      print what the file holds

Mark, written down before the first run: rounds and memory of every run, and memory of every use at both widths, within 1.5
times of what was foretold, either way (`MARK`).

A run: the system with its preset `auto` on a phantom, one thread. Foretold is what stands in the line before training; made and
taken is what the run tells at its end and what the system tells of the process (its largest resident memory). A use (`sample`,
and what else the system can be put to): memory that is foretold for one call, with what the process held before, beside its
largest resident memory in the call. Uses are tried at two widths, of runs of two rounds.

Rounds are compared by the clock and by the processor: on a machine that others use as well, a run gets more or less of a core
than the few rounds got from which it was foretold. `rounds` divides both by what each got; it is this ratio that is held to the
mark, and on an idle machine the two are the same. `busy` says how much of a core the run got.

What was measured is kept, and a benchmark that was interrupted goes on; --again measures anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.data.dataset import open_data
from ganvas.doctor import machine
from ganvas.proofs import dtn, gan_cls, gansynth, pix2pix, pixeldtgan, spade, stargan, tp_gan
from ganvas.registry import catalogue, find, load_system

RESULT = Path(__file__).parent / "results" / "forecasts.json"
MARK = 1.5
MB = 2**20
# Phantoms, and folders and files that proofs draw for themselves (`DRAWN`).
DATA = {
    "acgan": "chest", "age-cgan": "faces:front", "anime": "faces", "anogan": "brain:t1", "auto-painter": "drawings",
    "biggan": "chest", "cgan": "chest", "cogan": "brain", "context-encoder": "chest", "ctgan": "patients",
    "cyclegan": "brain", "dcgan": "chest", "deblurgan": "chest", "deepremaster": "clips", "discogan": "brain",
    "dose-gan": "brain:ct", "dtn": "digits", "fastgan": "chest", "fomm": "turning-faces", "gan": "patterns",
    "gan-3d": "solids", "gan-cls": "captions", "gan-postfilter": "words", "gan-tts": "words", "gansynth": "notes",
    "gon": "chest", "gp-gan": "chest", "ian": "chest", "icgan": "faces", "infogan": "chest", "latent-gan-3d": "solids",
    "lsgan": "chest", "mad-gan": "sensors", "melgan": "words", "mgan": "brain:t1", "midinet": "tunes",
    "mocogan": "clips", "netgan": "communities", "patch-gan-3d": "brain-volumes", "perceptual-gan": "chest",
    "pg2": "figures", "pix2pix": "walls", "pix2pixhd": "streets", "pixeldtgan": "worn", "progan": "chest",
    "projected-gan": "chest", "psgan": "chest", "semi-gan": "few labels", "seqgan": "melodies", "spade": "streets",
    "specgan": "words", "srgan": "chest", "stackgan": "captions", "stargan": "faces", "stylegan2": "chest",
    "ternary-gan": "chest", "tp-gan": "views", "vae-gan-3d": "solids", "vgan": "clips", "wavegan": "words",
    "wgan-gp": "chest",
}  # fmt: skip
MORE = {
    "anogan": {"heldout": "0.2"}, "cogan": {"size": "32"}, "cyclegan": {"size": "32"}, "srgan": {"size": "64"},
    "discogan": {"size": "32"}, "mgan": {"size": "32", "fit": "crop"},
    "context-encoder": {"size": "32"},
    "deblurgan": {"size": "64"},
    "deepremaster": {"size": "32"},
    "dose-gan": {"size": "64"},
}  # fmt: skip
WIDTHS = (8, 32)
WHOLE = 128  # pixels of a side of what is worked on at once by uses that take records of any size


def data_of(system: str, folder: Path) -> str:
    """Where its data is; drawn if need be."""
    name = DATA[system]
    return str(DRAWN[name](folder / f"{system}-data")) if name in DRAWN else name


def _digits(folder: Path) -> Path:
    folder.mkdir()
    clean, numbers = dtn.set_digits()
    dtn.write_domains(folder / "digits.npz", dtn.brought_to(clean, 32), numbers)
    return folder / "digits.npz"


def _few_labels(folder: Path) -> Path:
    """The phantom `chest`, of whose records a twentieth have their class."""
    folder.mkdir()
    chest = open_data("chest", size="32", heldout=0.0, progress=False)
    assert chest.labels is not None
    names = np.array(["unlabelled", *chest.spec.classes])
    chosen = np.where(np.arange(len(chest)) % 20 < 1, 1 + np.asarray(chest.labels), 0)
    np.savez(folder / "few.npz", images=np.asarray(chest.values), labels=names[chosen])
    return folder / "few.npz"


DRAWN: dict[str, Callable[[Path], Path]] = {
    "captions": gan_cls._shapes, "digits": _digits, "drawings": lambda folder: stargan.draw_faces(folder) / stargan.FACES,
    "faces": stargan.draw_faces, "few labels": _few_labels,
    "views": lambda folder: tp_gan.draw_people(folder, ("side", "front"), 32, 0), "notes": gansynth.draw_notes,
    "streets": spade.streets, "walls": pix2pix._walls, "worn": pixeldtgan.draw_figures,
}  # fmt: skip


def child(words: list[str]) -> tuple[dict[str, Any], str, Any]:
    """(the JSON of a process, its other lines, what it used). Raises RuntimeError with its last line."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen([sys.executable, *words], stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    if process.returncode:
        raise RuntimeError((texts[1].strip().splitlines() or ["it failed without a word"])[-1])
    return json.loads(texts[0]), texts[1], used


def of_run(system: str, data: str, budget: str, folder: Path) -> dict[str, Any]:
    """One run: what was told before it began, and what came."""
    words = ["-m", "ganvas", "train", system, "--data", data, "--budget", budget, "--threads", "1", "--device", "cpu", "--json"]
    words += [word for key, value in MORE.get(system, {}).items() for word in (f"--{key}", value)]
    dry, _, _ = child([*words, "--dry-run"])
    made, lines, used = child([*words, "--out", str(folder / f"{system}-run")])
    line = next(text for text in lines.splitlines() if "parameters; expects" in text)
    told = re.search(r"expects ([\d.]+) GB.*about ([\d,]+) rounds", line)
    assert told is not None, line
    rounds = int(told[2].replace(",", ""))
    busy = float(made["processor_seconds"]) / float(made["seconds"])
    pace = dry["pace"]["phases"]
    idle = sum(phase["processor_seconds"] for phase in pace) / sum(phase["seconds"] for phase in pace)
    return {
        "system": system, "data": DATA[system], "budget": budget, "config": dry["config"], "line": line,
        "rounds_told": rounds, "rounds_dry": dry["pace"]["in_budget"], "rounds_made": made["rounds"],
        "busy_dry": round(idle, 3), "busy": round(busy, 3),
        "rounds_by_clock": round(rounds / made["rounds"], 3),
        "rounds": round((dry["pace"]["in_budget"] / idle) / (made["rounds"] / busy), 3),
        "memory_told_mb": round(float(told[1]) * 1e9 / MB, 1), "memory_dry_mb": dry["memory"]["expected_mb"],
        "memory_made_mb": round(used.ru_maxrss / 1024, 1),
        "memory": round(float(told[1]) * 1e9 / (used.ru_maxrss * 1024), 3),
        "expect": dry["expect"],
    }  # fmt: skip


def of_uses(system: str, width: int, data: str, folder: Path) -> list[dict[str, Any]]:
    """Every use of a run of two rounds at a width, each in a process of its own."""
    run = folder / f"{system}-{width}"
    card, _, system_class = load_system(system)
    words = ["-m", "ganvas", "train", card.name, "--data", data, "--budget", "2r", "--threads", "1", "--device", "cpu"]
    words += ["--out", str(run), "--json", "--quiet", "--watch", "off", "--sample-every", "0", "--set", f"width={width}"]
    words += [word for key, value in MORE.get(system, {}).items() for word in (f"--{key}", value)]
    child(words)
    found = []
    for verb in child([__file__, "--child", str(run)])[0]["verbs"]:
        told, _, _ = child([__file__, "--child", str(run), "--verb", verb])
        found.append({"system": system, "width": width, "use": verb, **told})
    return found


def used(run: Path, verb: str | None) -> dict[str, Any]:
    """In a process of its own: the uses of a run; or what one is foretold to take, and takes."""
    import torch

    from ganvas.kinds import encode, kind_of
    from ganvas.memory.applying import foretell_use
    from ganvas.run.load import Run
    from ganvas.run.pace import memory_in_use, resident
    from ganvas.uses import build_options, fields_taken, pieces_of, uses_of
    from ganvas.uses.tiling import takes_one_size

    torch.set_num_threads(1)
    opened = Run(run, device="cpu")
    able = uses_of(opened.system)
    if verb is None:
        return {"verbs": [use.verb for use in able]}
    (use,) = [own for own in able if own.verb == verb]
    work = opened.work(0, lambda text: None)
    trial = use.trials(work)[0] if use.trials is not None else {}
    options = build_options(use, trial, able)
    given = {}
    first, more = fields_taken(use, opened.system, work.fields)
    for name in [first, *(own for own, needed in more.items() if needed)] if first is not None else ():
        spec = work.fields[name]
        one = encode(kind_of(spec.kind).blank(spec, 1 if hasattr(options, "tile") else 4), spec)
        if hasattr(options, "tile") and not takes_one_size(opened.system):
            one = one[..., :1, :1].expand(*one.shape[:-2], WHOLE, WHOLE).contiguous()
        given[name] = one
    shapes = {name: torch.empty_like(own, device="meta") for name, own in given.items()}
    need = foretell_use(use, work, shapes, options)
    before = memory_in_use(work.device)
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark begins anew
    with torch.no_grad():
        made = use.run(work, given, options)
        for own in made.values():
            for _ in pieces_of(own):
                pass
    most = resident("VmHWM")
    told = None if need is None else before + need
    return {
        "told_mb": None if told is None else round(told / MB, 1), "made_mb": round(most / MB, 1),
        "beside_told_mb": None if need is None else round(need / MB, 1), "beside_made_mb": round((most - before) / MB, 1),
        "memory": None if told is None else round(told / most, 3),
    }  # fmt: skip


def within(ratio: float | None) -> bool:
    return ratio is not None and 1 / MARK <= ratio <= MARK


def table(result: dict[str, Any]) -> int:
    """Print it; 1 when the mark is missed anywhere."""
    missed = 0
    heads = f"{'system':<14} {'rounds told':>11} {'made':>8} {'by clock':>8} {'ratio':>6}"
    print(f"{heads}   {'MB told':>7} {'taken':>6} {'ratio':>6}")
    for row in result["runs"].values():
        bad = [name for name in ("rounds", "memory") if not within(row[name])]
        missed += len(bad)
        print(
            f"{row['system']:<14} {row['rounds_told']:>11,} {row['rounds_made']:>8,} {row['rounds_by_clock']:>8.2f} "
            f"{row['rounds']:>6.2f}   {row['memory_told_mb']:>7,.0f} {row['memory_made_mb']:>6,.0f} {row['memory']:>6.2f}"
            f"{'   MISSED: ' + ', '.join(bad) if bad else ''}"
        )
    print(f"\n{'system':<14} {'use':<10} {'width':>5} {'MB told':>8} {'taken':>6} {'ratio':>6}   beside what was held before")
    for rows in result["uses"].values():
        for row in rows:
            bad = not within(row["memory"]) and row["memory"] is not None
            missed += bad
            told = "-" if row["told_mb"] is None else f"{row['told_mb']:,.0f}"
            ratio = "-" if row["memory"] is None else f"{row['memory']:.2f}"
            beside = (
                "not foretold" if row["told_mb"] is None else f"{row['beside_told_mb']:,.0f} told, {row['beside_made_mb']:,.0f}"
            )
            taken = f"{told:>8} {row['made_mb']:>6,.0f} {ratio:>6}"
            print(f"{row['system']:<14} {row['use']:<10} {row['width']:>5} {taken}   {beside}{'   MISSED' if bad else ''}")
    for name, text in result["failed"].items():
        print(f"{name}: FAILED: {text}")
    print(f"\n{'the mark is met' if not missed and not result['failed'] else f'{missed} missed'} (within {MARK} times)")
    return int(bool(missed or result["failed"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="*", default=sorted(catalogue()), help="default: all")
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--jobs", type=int, default=1, help="runs beside each other, of one thread each (default 1)")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--again", action="store_true", help="measure anew what the file holds")
    parser.add_argument("--no-uses", action="store_true", help="runs alone")
    parser.add_argument("--table", action="store_true", help="print what the file holds")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--verb", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(used(options.child, options.verb)))
        return 0
    os.environ["OMP_NUM_THREADS"] = "1"
    result: dict[str, Any] = {"machine": machine(), "mark": MARK, "runs": {}, "uses": {}, "failed": {}}
    if options.out.exists():
        kept = json.loads(options.out.read_text(encoding="utf-8"))
        result |= {key: kept[key] for key in ("runs", "uses")}
    if options.table:
        return table(result)

    def keep(part: str, name: str, work: Any) -> None:
        if name in result[part] and not options.again:
            return
        try:
            result[part][name] = work()
        except RuntimeError as error:
            result["failed"][f"{part}: {name}"] = str(error)
        result["load"] = os.getloadavg()[0]
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(name, json.dumps(result[part].get(name, result["failed"].get(f"{part}: {name}"))), flush=True)

    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(options.jobs) as pool:
        folder, work = Path(place), []
        names = [find(name).name for name in options.systems]
        sources = {name: data_of(name, folder) for name in names}
        for name in names:
            source = sources[name]
            work.append(pool.submit(keep, "runs", name, lambda n=name, s=source: of_run(n, s, options.budget, folder)))
            config: Any = load_system(name)[2].Config
            wide = any(field.name == "width" for field in dataclasses.fields(config))
            for width in WIDTHS if wide and not options.no_uses else ():
                work.append(
                    pool.submit(keep, "uses", f"{name} {width}", lambda n=name, w=width, s=source: of_uses(n, w, s, folder))
                )
        for own in work:
            own.result()
    return table(result)


if __name__ == "__main__":
    sys.exit(main())
