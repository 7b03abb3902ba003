"""Measuring samples against real data: every metric with its protocol and interval, what stands beside it, and the audit.

Here it is settled what is measured, in which order, and what becomes of it. The metrics themselves are called in `bench`, the
anchors in `beside`, a first table of few records in `first`. Not for comparing runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..data.phantoms import knows_findings
from ..errors import GanvasError
from ..kinds import kind_of
from ..kinds.facets import Seen, Whole
from ..run.outputs import check_free, moved, results
from .anchors import misleading
from .bench import TRAINED, Bench, extractor_of, pace
from .beside import ANCHORS, noisy, nothing_gained
from .beside import anchors as anchors_of
from .first import QUICK, few, first_table
from .sets import Sets, open_sets
from .stages import Stages, usual_work

FEATURES = ("effnet", "classifier", "inception", "pixels")
PATIENCE = 60.0  # seconds that an evaluation usually takes, from which on a first table is worth its time


def evaluate(
    fake: Any,
    real: Any = None,
    heldout: Any = None,
    *,
    count: int | None = None,
    size: Any = None,
    features: str | None = None,
    inception: str | Path | None = None,
    seed: int = 0,
    audit: bool = True,
    anchors: bool = True,
    unintended: bool = False,
    out: str | Path | None = None,
    overwrite: bool = False,
    which: str | None = None,
    device: str = "cpu",
    system: Any = None,
    to: str | None = None,
    kind: str | None = None,
    quick: bool = False,
    progress: bool = False,
    say: Callable[[str], None] | None = None,
    first: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Judge samples against real data; returns what `ganvas evaluate --json` prints.

    fake: a run folder, a folder or file of samples, or an array. real: real data (a run's own by default). heldout: real data
    the generator never saw; without it the run's held-out part, that of `groups.csv`, or a fifth split off now. count: samples
    drawn from a run (1000), or at most taken. size: the resolution of both sides (the samples' own). features: `effnet`
    (images), `pixels` (points), `classifier` (trained on the labels of the real data) or `inception` (weights: `inception`).
    to: for a run that translates, to which class. kind: `sound`, `series`, `graph` ..., where files may be several things.
    audit, anchors: whether to run them. unintended: with the `chest` phantom as real data and samples of asked classes, look
    for findings that nobody asked for and for impossible combinations; the detector takes some minutes at first. out: folder
    for `evaluation.json`, `spectrum.png` and `audit.html`, absent or empty; None writes nothing. overwrite: replace what an
    earlier evaluation wrote there. quick: a first table alone, of at most 100 records of each side: distances, fidelity and
    pixels beside the anchor `real`, without classes, diversity and audit. first: told that table, as a result, before an
    evaluation that takes long goes on.

    Keys: `protocol`, `fd`, `kid`, `precision`, `recall`, `density`, `coverage`, `spectrum`, ... (each a dictionary with
    `value`, `protocol`, and `low` and `high` where there is an interval), `memorisation` (`verdict`, `reason`, `near_copies`,
    `dcr_share`, `mia_auc`, ...; with too few records the verdict is None), `anchors`, `notes`. Distances refer to the
    held-out part.

    Raises GanvasError or DataError when the sides do not fit, are too few, or an extractor judges what was trained on it.
    """
    stages = Stages(say or (lambda text: None))
    started = time.perf_counter()
    if out is not None:
        check_free(Path(out), overwrite)
    sets = open_sets(
        fake,
        real,
        heldout,
        count=min(count or QUICK, QUICK) if quick else count,
        size=size,
        seed=seed,
        which=which,
        device=device,
        system=system,
        to=to,
        kind=kind,
        progress=progress,
        say=stages.say,
    )
    image = isinstance(kind_of(sets.kind), Seen)
    name = features or ("effnet" if image and "effnet" not in sets.extractors else "pixels")
    if image and features is None and name == "pixels":
        sets.notes.append("features are components of pixels: the default extractor was used in training and must not judge")
    if name not in FEATURES or (not image and name != "pixels"):
        raise GanvasError(
            f"features '{name}' cannot be taken of {_noun(sets.kind)}: choose one of "
            f"{', '.join(FEATURES if image else ('pixels',))}"
        )
    if name in sets.extractors:
        raise GanvasError(f"the generator was trained with '{name}', which must not judge it: choose another with --features")
    if min(len(sets.generated), len(sets.heldout)) < 10:
        raise GanvasError(
            f"{len(sets.generated)} samples and {len(sets.heldout)} held-out records: a judgement needs 10 of each, better 500"
        )
    if unintended and quick:
        raise GanvasError("--unintended needs all samples: leave out --quick")
    if unintended and (not knows_findings(sets.phantom) or not sets.asked or sets.generated.labels is None):
        raise GanvasError(
            "--unintended needs the phantom 'chest' as real data and samples whose class was asked for: a run of cgan on it, "
            "or samples in class folders"
        )
    told = say is not None or first is not None
    if quick:
        small = few(sets, seed)
        small.notes = sets.notes
        extractor = extractor_of(name, small, inception, seed, device, small.notes)
        look = pace(extractor, small) if told else 0.0
        return _finished(first_table(small, extractor, seed, device, stages, look), sets, None, {}, started, out, overwrite)
    if name == "classifier":
        stages.begin("extractor", TRAINED)
    extractor = extractor_of(name, sets, inception, seed, device, sets.notes)
    sides = [len(part) for part in (sets.generated, sets.train, sets.heldout)]
    labelled = image and name != "classifier" and sets.train.labels is not None and len(sets.classes) > 1
    labelled, audit = labelled and "classes" in sets.families, audit and "audit" in sets.families
    beside = [anchor for anchor in ANCHORS if anchors and (anchor != "untrained" or sets.untrained is not None)]
    beside = [anchor for anchor in beside if anchor != "linear" or kind_of(sets.kind).says.plain]
    beside = [anchor for anchor in beside if anchor != "noise" or noisy(sets)]
    beside += sets.beside if anchors else []
    look = network = pace(extractor, sets) if told else 0.0
    if told and (labelled or unintended) and name != "effnet":  # what is trained goes by the machine, not by this extractor
        network = pace(extractor_of("effnet", sets, None, seed, device, []), sets)
    work = usual_work(
        *sides, look=look, network=network, seen=image, classes=labelled, findings=unintended, audit=audit, anchors=beside
    )
    if first is not None and sum(work.values()) > PATIENCE and not isinstance(kind_of(sets.kind), Whole):
        stages.say(f"a first table, of {QUICK} records of each side")
        small = few(sets, seed)
        small.notes = [*sets.notes]
        fitted = extractor_of(name, small, inception, seed, device, small.notes)
        first(plain(first_table(small, fitted, seed, device, Stages(lambda text: None))))
    stages.plan(work)
    bench = Bench(sets, extractor, seed, device, stages)
    found: Any = None
    result = bench.head()
    stages.begin("measures", "distances, fidelity, variety and their intervals")
    measures = bench.measure(sets.generated.values, sets.generated.labels, intervals=True)
    result |= {key: measure.to_dict() for key, measure in measures.items()}
    result |= {key: measure.to_dict() for key, measure in sets.measures.items()}
    paired = {} if sets.originals is None else bench.against_originals(sets.generated)
    result |= {key: measure.to_dict() for key, measure in paired.items()}
    if unintended:
        from .findings.unintended import chest_unintended

        stages.begin("findings", "findings: training a detector on the phantom, or taking it from before")
        made = sets.generated
        flagged = chest_unintended(made.values, made.labels, classes=sets.classes, notes=bench.notes, device=device)
        result |= {key: measure.to_dict() for key, measure in flagged.items()}
    if audit:
        stages.begin("audit", "audit: looking for copies of training records")
        try:
            found = bench.audit()
            suspects = [
                {
                    "sample": sets.generated.name(pair.sample),
                    "record": sets.train.name(pair.record),
                    "distance_ratio": pair.ratio,
                    "space": pair.space,
                }
                for pair in found.pairs
                if pair.near_copy
            ]
            result["memorisation"] = {**found.to_dict(), "suspects": suspects}
        except GanvasError as error:  # too few records: no null, no verdict; the other numbers stand
            result["memorisation"] = {"verdict": None, "reason": str(error), "notes": []}
        if np.array_equal(sets.generated.values, sets.heldout.values):
            sets.notes.append("the samples are the held-out records themselves: distances to the held-out part mean nothing")
    if "audit" not in sets.families and sets.split != "none":
        sets.notes.append("copies of training records were not looked for: each record stands for a held-out one")
    if anchors:
        result["anchors"] = anchors_of(bench)
        result["misleading"] = misleading(result)
        if sets.words:
            result["beside"] = sets.words
            bench.notes += nothing_gained(result, ("kid", *paired, *sets.measures))
    result["notes"] = [*sets.notes, *bench.notes]
    return _finished(result, sets, found, bench.sources, started, out, overwrite)


def _finished(
    result: dict[str, Any], sets: Sets, found: Any, sources: dict[str, np.ndarray], started: float, out: Any, overwrite: bool
) -> dict[str, Any]:  # fmt: skip
    """The result as plain values, and as files where a folder is given."""
    result["seconds"] = round(time.perf_counter() - started, 1)
    result = plain(result)
    if out is not None:
        from .page import write_evaluation

        with results(Path(out), "evaluate", overwrite=overwrite) as place:
            files = write_evaluation(place, result, sets, found, sources)
        result["files"] = dict(zip(files, moved(list(files.values()), place, Path(out)), strict=True))
    return result


def plain(value: Any) -> Any:
    """The same for JSON: no NumPy types, and None for what is not a finite number."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _noun(kind: str) -> str:
    return kind_of(kind).says.noun
