"""Do synthetic records help a classifier? Real records alone, with classic augmentation, with records of a GAN, with both.

The first promise of generative networks in medicine, asked of your data (Frid-Adar et al. 2018, doi
10.1016/j.neucom.2018.09.013, for liver lesions). For each fraction of the training part a generator learns that fraction and
nothing else; classifiers of every arm take equally many steps and are tested on the held-out part, which no one else sees.
`_augmentation_job` does the work, `_augmentation_judge` holds the rules, `_augmentation_page` draws. Not for judging samples:
that is `ganvas evaluate`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GanvasError, RunError
from ..files import disk_errors, held, write_json
from ._cell_job import FAILED, JOB, RESULT, read_plain
from ._cell_pool import LAUNCHERS, Pool, need_submitit

if TYPE_CHECKING:
    from ._augmentation_kinds import Images

NAME = "augmentation"
STUDY = "study.json"
FRACTIONS = (5.0, 10.0, 25.0, 100.0)
PHANTOM, PHANTOM_COUNT = "chest", 2000


def augmentation(
    data: str | None,
    out: str | Path,
    *,
    system: str | None = None,
    config: Mapping[str, Any] | None = None,
    fractions: Sequence[float] = FRACTIONS,
    generators: int = 2,
    classifiers: int = 5,
    seconds: float = 600.0,
    size: int | str | None = None,
    channels: int | None = None,
    rate: int | None = None,
    hold_out: Sequence[str] = (),
    steps: int = 400,
    samples: int = 250,
    flip: bool = False,
    phantom_count: int = PHANTOM_COUNT,
    jobs: int | None = None,
    launcher: str = "local",
    cluster: Mapping[str, Any] | None = None,
    command: str = "",
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Play the study, or go on with it, and write `augmentation.json`, `study.md`, `study.html` and `figures/` into `out`.

    data: labelled images or sounds as `ganvas train` takes them; None is the chest phantom, and the page says so. system: of
    the generators, None: `dcgan` of images, `specgan` of sounds; one that takes labels learns all classes at once, of another
    there is one for each class. config: its settings.
    fractions: of the training part, in per cent. generators: how many of each fraction, each with a part of its own;
    classifiers: how many of every arm, for each generator. seconds: of training for a generator (shared by its classes where
    there is one of each). size: of images, None: 48; samples of a sound, None: what the files suit. channels: 1 or 3 of images,
    1 or 2 of sounds. rate: of sounds, in Hz. hold_out: words in the names of files or folders (a speaker's name): these records
    are held out, and no others. steps: of a classifier, in batches of 64. samples: of each class. flip: whether classic
    augmentation also mirrors images left to right. Other arguments as of `xray.ablation`.

    Returns what `augmentation.json` holds, with `page`. Raises Stopped after a signal, RunError when a job failed, and
    GanvasError for what cannot be served.
    """
    from ._augmentation_job import kind_studied
    from ._augmentation_kinds import STUDIED
    from ._augmentation_page import write_page

    begun, say = time.monotonic(), say or (lambda text: None)
    out = Path(out)
    shares = _shares(fractions)
    numbers = {"generators": generators, "classifiers": classifiers, "jobs": jobs, "steps": steps, "samples": samples}
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise GanvasError(f"--{name} {number} is too small, the least is 1")
    if launcher not in LAUNCHERS:
        raise GanvasError(f"--launcher '{launcher}' is not known: choose one of {', '.join(LAUNCHERS)}")
    if launcher != "local":
        need_submitit()
    data = PHANTOM if data is None else str(data)
    studied = STUDIED[kind_studied(data)]
    size = studied.size if size is None else str(size)
    options: dict[str, Any] = {"channels": channels, "phantom_count": phantom_count}
    options |= _asked(studied, channels, {"rate": rate, "hold_out": list(hold_out), "flip": flip})
    common: dict[str, Any] = {
        "study": NAME, "data": data, "size": size, "system": system or studied.system,
        "config": dict(config or {}), "seconds": seconds, "steps": steps, "samples": samples, "flip": flip,
        "options": options, **studied.mark,
    }  # fmt: skip
    facts = _survey(common)
    for note in facts.pop("notes"):
        say(f"note: {note}")
    common["conditional"] = facts.pop("conditional")
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with held(out):
        earlier = _same_study(out, common, facts)
        record = {**common, "facts": facts, "seconds_spent": earlier}
        write_json(out / STUDY, record)
        count = len(shares) * generators
        with Pool(out, launcher, _width(jobs, launcher, count), dict(cluster or {})) as pool:
            say(_expected(shares, generators, classifiers, seconds, pool, facts, common))
            try:
                made = _generators(out, common, shares, generators, pool)
                _play(pool, made, say, "generator")
                judged = _classifiers(out, common, shares, generators, classifiers, pool)
                _play(pool, judged, say, "classifiers")
            finally:
                record["seconds_spent"] = round(earlier + time.monotonic() - begun, 1)
                write_json(out / STUDY, record)
            machine = {"jobs": pool.width, "threads": pool.threads, "seconds": record["seconds_spent"]}
    result = summarised(out, common, facts, shares, generators, classifiers, machine, command.replace(str(out), out.name))
    write_page(out, result)
    return result


def _shares(fractions: Sequence[float]) -> dict[str, float]:
    """Name of each fraction -> share, the smallest first."""
    if not fractions or any(not 0 < one <= 100 for one in fractions):
        raise GanvasError(
            f"--fractions {','.join(f'{one:g}' for one in fractions)}: give per cents above 0 up to 100, as in 5,25,100"
        )
    return {f"{one:g} %": one / 100 for one in sorted(set(fractions))}


def _asked(studied: type[Images], channels: int | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the data that were given, of those that only some kinds take. Raises GanvasError for those of another kind.
    What was not given is left out: studies of before there was such an option go on."""
    if channels is not None and channels not in studied.channels:
        able = " or ".join(map(str, studied.channels))
        raise GanvasError(f"--channels {channels} is not for {studied.noun}: give {able}")
    for name, value in given.items():
        if value and name not in (*studied.takes, "hold_out"):
            raise GanvasError(f"--{name} is not for {studied.noun}: leave it out")
    return {name: value for name, value in given.items() if value and name != "flip"}


def _survey(job: Mapping[str, Any]) -> dict[str, Any]:
    """Opens the data once, so that what is wrong is told before anything is trained; whether the system takes labels."""
    from ..data.phantoms import is_phantom
    from ..registry import find
    from ..run.train import plan
    from ..uses import verbs_of
    from ._augmentation_job import opened
    from ._augmentation_kinds import STUDIED

    card = find(job["system"])
    dataset = opened(job)
    assert dataset.labels is not None
    told = STUDIED[dataset.spec.kind](dataset.spec).facts(dataset)
    made = plan(
        card.name, dataset, {"budget": f"{job['seconds']:g}s"}, dict(job["config"]), None, True, lambda _: None, None
    ).made
    if "sample" not in verbs_of(made):
        raise GanvasError(
            f"--system {card.name}: makes nothing from noise alone; choose one that samples (see: ganvas systems)"
        )
    sides = dataset.train_indices(), dataset.heldout_indices()
    train, test = (np.bincount(dataset.labels[rows], minlength=len(dataset.spec.classes)) for rows in sides)
    return {
        "conditional": getattr(made, "classes", 0) > 0,
        "classes": list(dataset.spec.classes), "train": train.tolist(), "heldout": test.tolist(),
        "groups_heldout": len(np.unique(dataset.groups[dataset.heldout_indices()])), "fingerprint": dataset.fingerprint,
        "phantom": is_phantom(job["data"]), "notes": dataset.notes, **told,
    }  # fmt: skip


def _same_study(out: Path, common: Mapping[str, Any], facts: Mapping[str, Any]) -> float:
    """Seconds spent before. A study may grow (fractions, generators, classifiers); whatever else differs would mix unlike
    runs. Raises GanvasError."""
    if not (out / STUDY).exists():
        if any(p.name != ".lock" for p in out.iterdir()):
            raise GanvasError(f"--out {out} is not empty and holds no study: choose a new folder")
        return 0.0
    before = read_plain(out / STUDY)
    now = json.loads(json.dumps({**common, "facts": facts}))
    differences = [f"{key}: {before.get(key)} -> {now[key]}" for key in now if key != "facts" and before.get(key) != now[key]]
    if not differences and before["facts"]["fingerprint"] != facts["fingerprint"]:
        differences.append("the data has changed")
    if differences:
        raise GanvasError(
            f"{out} holds a study that cannot go on under changed settings ({'; '.join(differences)}): leave them, or choose "
            "another --out"
        )
    return float(before["seconds_spent"])


def _width(jobs: int | None, launcher: str, count: int) -> int:
    from ..doctor import machine

    if jobs is not None or launcher == "slurm":
        return min(jobs or count, count)
    found = machine()
    return max(1, min(count, len(found["gpus"]) or found["cores"]))


def _expected(
    shares: Mapping[str, float], generators: int, classifiers: int, seconds: float, pool: Pool, facts: Mapping[str, Any],
    common: Mapping[str, Any],
) -> str:  # fmt: skip
    from ..run.budget import describe_seconds

    each = "one for all classes" if common["conditional"] else "one of each class"
    waves = -(-len(shares) * generators // pool.width)
    return (
        f"{sum(facts['train']):,} records to learn from, {sum(facts['heldout']):,} held out, {len(facts['classes'])} classes; "
        f"{len(shares)} fractions x {generators} generators ({common['system']}, {each}), {pool.width} at a time: "
        f"{describe_seconds(waves * seconds)} of training, then {len(shares) * generators * classifiers} x 7 classifiers"
    )


def _generators(out: Path, common: Mapping[str, Any], shares: Mapping[str, float], generators: int, pool: Pool) -> list[Path]:
    from ._augmentation_job import fraction_folder, generator_name

    return [
        _describe(fraction_folder(out, name) / generator_name(seed), common, "generate", pool, share=share, seed=seed)
        for seed in range(generators)
        for name, share in shares.items()
    ]


def _classifiers(
    out: Path, common: Mapping[str, Any], shares: Mapping[str, float], generators: int, classifiers: int, pool: Pool
) -> list[Path]:
    return [
        _describe(_judged(out, name, own, seed), common, "classify", pool, share=share, seed=seed, generator=own)
        for seed in range(classifiers)
        for own in range(generators)
        for name, share in shares.items()
    ]


def _judged(out: Path, name: str, generator: int, seed: int) -> Path:
    from ._augmentation_job import fraction_folder

    return fraction_folder(out, name) / f"classifiers-{generator}-{seed}"


def _describe(place: Path, common: Mapping[str, Any], player: str, pool: Pool, **own: Any) -> Path:
    """Write down a job for the process that plays it; one that has begun keeps its number of threads."""
    if not (place / JOB).exists():
        with disk_errors(place):
            place.mkdir(parents=True, exist_ok=True)
        named = f"ganvas.studies._augmentation_job:{player}"
        write_json(place / JOB, {**common, "player": named, "threads": pool.threads, **own})
    return place


def _play(pool: Pool, places: Sequence[Path], say: Callable[[str], None], what: str) -> None:
    """Play those that have no result yet. Raises RunError with the first that failed."""
    waiting = [place for place in places if not (place / RESULT).exists()]
    done = len(places) - len(waiting)
    for place in waiting:
        (place / FAILED).unlink(missing_ok=True)

    def tell(place: Path, error: str | None) -> None:
        nonlocal done
        done += error is None
        name = f"{what} of {place.parent.name.replace('-per-cent', ' %')}, {place.name}"
        say(f"{done}/{len(places)} {name}" if error is None else f"FAILED {name}: {error}")

    failed = pool.play(waiting, RESULT, tell)
    if failed:
        place, error = next(iter(failed.items()))
        raise RunError(f"{place}: {error}; what is done is kept, go on with the same command")


def summarised(
    out: Path,
    common: Mapping[str, Any],
    facts: Mapping[str, Any],
    shares: Mapping[str, float],
    generators: int,
    classifiers: int,
    machine_used: Mapping[str, Any],
    command: str,
) -> dict[str, Any]:
    """Everything that is told of a study that was played, as plain values. Names no folder."""
    from ..doctor import machine
    from ._augmentation_job import ARMS, PREDICTIONS, fraction_folder, generator_name
    from ._augmentation_judge import RULE, Predictions, answers, sentence
    from ._augmentation_kinds import studied_of

    studied = studied_of(common)
    predictions, told = {}, {}
    for name in shares:
        said, truth, groups = {}, np.empty(0), np.empty(0)
        for own in range(generators):
            for seed in range(classifiers):
                with np.load(_judged(out, name, own, seed) / PREDICTIONS, allow_pickle=False) as file:
                    truth, groups = file["truth"], file["groups"]
                    said[own, seed] = {arm: file[arm] for arm in ARMS}
        predictions[name] = Predictions(truth, groups, said)
        made = [read_plain(fraction_folder(out, name) / generator_name(own) / RESULT) for own in range(generators)]
        kept = [read_plain(_judged(out, name, own, 0) / RESULT)["kept"] for own in range(generators)]
        told[name] = {
            "records": [one["records"] for one in made],
            "arms": {arm: predictions[name].scores(arm) for arm in ARMS},
            "read_as": np.mean([one["read_as"] for one in made], 0).tolist(),
            "read_real": np.mean([one["read_real"] for one in made], 0).tolist(),
            "kept": {own: float(np.mean([one[own] for one in kept])) for own in kept[0]},
        }
    found = answers(predictions)
    return {
        "study": NAME,
        "data": Path(common["data"]).name,
        **{key: common[key] for key in ("system", "config", "conditional", "seconds", "steps", "samples", "flip")},
        **studied.mark,
        **facts,
        "generators": generators,
        "classifiers": classifiers,
        "arms": {arm: words.format(classic=studied.classic) for arm, words in ARMS.items()},
        "fractions": told,
        "answers": found,
        "rule": RULE,
        "verdict": sentence(found),
        "warnings": _warnings(told, generators, len(facts["classes"])) + studied.warnings({**facts, **common["options"]}),
        "spent": dict(machine_used),
        "command": command.replace(common["data"], Path(common["data"]).name),
        "machine": machine(),
    }


def _warnings(told: Mapping[str, Any], generators: int, classes: int) -> list[str]:
    """What a reader of the verdicts has to know first."""
    found = []
    best = max(own["arms"]["classic"]["balanced_accuracy"] for own in told.values())
    if best < 1 / classes + 0.5 * (1 - 1 / classes):
        found.append(
            f"with real records and classic augmentation alone the classifiers reach {best:.2f}, where chance is "
            f"{1 / classes:.2f}: what they say of synthetic ones may change with more --steps"
        )
    if generators < 2:
        found.append(
            "one generator of each fraction: what another one would change is in no interval; take --generators 2 or more"
        )
    return found


def lines(result: Mapping[str, Any]) -> list[str]:
    """The study for a terminal."""
    from ._augmentation_page import arm_rows

    head, rows = arm_rows(result)
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    out = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]]
    out.append("")
    for one in result["answers"]:
        own = ", ".join(f"{name}: {found['verdict']} ({100 * found['value']:+.1f})" for name, found in one["fractions"].items())
        out.append(f"{one['question']}  {own}")
    out += ["", result["verdict"], *(f"warning: {told}" for told in result["warnings"])]
    return [*out, f"look  {result['page']}"]
