"""Score: how unlike the training data a record is, and where; what is an alarm, by the scores of records it never saw."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import ScoresAnomaly, ScoresParts
from ..config import knob
from ..errors import GanvasError
from ..kinds import decode, kind_of
from ..kinds.facets import Mapped, MapsBack, Normal, ScoredFiles, ScoredStates, Scores
from . import Fields, Use, UseSays, Work, first_of
from .judging import LEAST, area_interval, at_most, in_pieces

if TYPE_CHECKING:
    from ..metrics.measure import Measure
    from ..store.records import Dataset
    from .desk import Desk

PICTURED = 500  # maps drawn as pictures, those of the highest scores; all are kept as numbers
ALARMS = "alarms.csv"
COMPONENTS, MOST = 32, 2000  # of the trivial method, and normal records that it is fitted to
PLAIN = f"what {COMPONENTS} principal components of normal training records miss, levels matched"
USUAL, IN_A_ROW = 400, 20  # records whose scores the threshold comes from, and how many of them stand in a row at least


@dataclass(frozen=True)
class Options:
    false_alarms: float = knob(
        0.05,
        "SHARE: of the normal places (steps of a series, images) that may lie above the threshold of alarms",
        low=0.0,
        high=0.5,
    )


def run(work: Work, given: Fields, options: Any) -> Fields:
    """With `parts`, of systems that tell the quantities of a record apart."""
    records, more = first_of(given)
    if isinstance(work.system, ScoresParts):
        scores, maps, parts = work.system.anomaly_by_part(records, work.noise, **more)
        return {"score": scores, "map": maps, "parts": parts}
    scores, maps = work.system.anomaly(records, work.noise, **more)
    return {"score": scores, "map": maps}


def file(work: Work, desk: Desk, path: Path, name: str, options: Options) -> bool:
    """Of kinds that are scored file by file, such as long series of which a record is a window."""
    kind = kind_of(work.spec.kind)
    if not isinstance(kind, ScoredFiles):
        return False
    limit = threshold(work, desk, options)
    given = (path, name, work.spec, lambda records: scored(work, records), desk.out, limit)
    found = kind.score_state(*given, _normal(work)) if isinstance(kind, ScoredStates) else kind.score(*given)
    numbers = {key: np.array([value]) for key, value in found.numbers.items()}
    desk.take([name], {"score": np.array([found.score]), **numbers})
    desk.written += found.files
    for note in found.notes:
        desk.note(note)
    known = desk.rows[-1]["file"]
    desk.facts.setdefault("alarms", []).extend({"file": known, **alarm} for alarm in found.alarms)
    return True


def scored(work: Work, records: np.ndarray) -> Scores:
    """Of records (N, ...) in file units; noise begins anew."""
    import torch

    work.renew()
    with torch.no_grad():
        made = run(work, {work.main: work.encode(records, work.spec)}, None)
    scores, maps, parts = (made[key].float().cpu().numpy() if key in made else None for key in ("score", "map", "parts"))
    assert scores is not None and maps is not None
    return Scores(scores, maps, parts)


def _normal(work: Work) -> Normal | None:
    """What a later state is set against; None where the data is not at hand, which the note on the threshold says."""
    if work.data is None or work.kept is None:
        return None
    try:
        dataset = work.data()
    except GanvasError:
        return None
    return Normal(np.asarray(dataset.values), np.asarray(dataset.heldout, bool), _usual_scores(work, lambda: dataset)["scores"])


def threshold(work: Work, desk: Desk, options: Options) -> float | None:
    """Above which a score is an alarm: the one that the wished share of what is normal, and was never learnt from, passes.

    None where nothing is known of that: a note says why. Found once a call, and kept in the run.
    """
    if "threshold" not in desk.facts:
        desk.facts["threshold"], note = _threshold(work, options)
        desk.note(note)
    limit: float | None = desk.facts["threshold"]
    return limit


def _threshold(work: Work, options: Options) -> tuple[float | None, str]:
    """(threshold, a note on it)."""
    from ..store.listing import counted

    if work.data is None or work.kept is None:
        return None, "no threshold of alarms: the data that was learnt from is not at hand"
    try:
        usual = _usual_scores(work, work.data)
    except GanvasError as error:
        return None, f"no threshold of alarms: {error}"
    scores, records, groups = usual["scores"], int(usual["records"]), int(usual["groups"])
    noun = kind_of(work.spec.kind).says.noun
    share = options.false_alarms
    if records < LEAST or 0 < len(scores) * share < 1:
        return None, (
            f"no threshold of alarms: {records} normal records were held out ({noun}), too few for one that {share:.3g} of "
            "what is normal lies above"
        )
    limit = float(np.quantile(scores, 1 - share, method="higher"))
    return limit, (
        f"threshold of alarms {limit:.6g}: {share:.3g} of what is normal lies above it, by {len(scores)} scores of {records} "
        f"held-out records in {counted(groups, 'group')} ({noun})"
    )


def _usual_scores(work: Work, opened: Callable[[], Dataset]) -> Mapping[str, np.ndarray]:
    """Scores of held-out records, how many these are and in how many groups; found once and kept in the run."""
    assert work.kept is not None

    def find() -> dict[str, np.ndarray]:
        records, groups = _usual_records(work, opened())
        kind = kind_of(work.spec.kind)
        if isinstance(kind, ScoredFiles):
            scores = kind.usual(records, work.spec, lambda values: scored(work, values)) if len(records) else np.zeros(0)
        else:
            pieces = in_pieces(work, {work.main: records}, lambda given: run(work, given, None)["score"].double().cpu().numpy())
            scores = np.concatenate(pieces) if pieces else np.zeros(0)
        return {"scores": scores, "records": np.array(len(records)), "groups": np.array(groups)}

    return work.kept("usual-scores", [work.seed, USUAL], find)


def _usual_records(work: Work, dataset: Dataset) -> tuple[np.ndarray, int]:
    """(held-out records of what the system learns, at most so many, those in a row together; groups they are of)."""
    from ..data.streams import dealt_classes

    rows, dealt = dataset.heldout_indices(), dealt_classes(work.system)
    if dealt and dataset.labels is not None:
        rows = rows[np.isin(dataset.labels[rows], dealt)]
    if len(rows) > USUAL:
        starts = np.linspace(0, len(rows) - IN_A_ROW, USUAL // IN_A_ROW).astype(int)
        rows = rows[np.unique(np.concatenate([np.arange(start, start + IN_A_ROW) for start in starts]))]
    return np.asarray(dataset.values[rows]), len(np.unique(dataset.groups[rows]))


def keep(work: Work, desk: Desk, names: list[str], given: Fields, made: Fields) -> None:
    """`maps/NAME.npz` of each record: what it is, its map and its score."""
    kind = kind_of(work.spec.kind)
    maps = made.pop("map").float().cpu().numpy()
    made.pop("parts", None)
    scores = made["score"].tolist()
    spec = kind.screen(work.spec) if isinstance(kind, Mapped) else work.spec
    seen = decode(first_of(given)[0].float().cpu(), spec)
    for name, score, record, found in zip(names, scores, seen, maps, strict=True):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, image=record, map=found.astype(np.float32), score=np.float32(score))
        desk.save(f"maps/{name}.npz", buffer.getvalue())


def finish(work: Work, desk: Desk, options: Options) -> None:
    """Which records are alarms; pictures of the most abnormal ones, on one scale: else the eye would take a quiet map for a
    loud one."""
    from ..drawing import save_picture

    kind = kind_of(work.spec.kind)
    if isinstance(kind, ScoredFiles):
        _list_alarms(desk)
        return
    limit = threshold(work, desk, options)
    if limit is not None:
        for row in desk.rows:
            row["alarm"] = int(row["score"] > limit)
        told = ("file", "record", "score")
        desk.facts["alarms"] = [{key: row[key] for key in told if key in row} for row in desk.rows if row["alarm"]]
    if isinstance(kind, MapsBack):
        _lay_back(work, desk, kind)
    if not isinstance(kind, Mapped):
        return
    scores = [row["score"] for row in desk.rows]
    order = sorted(range(len(scores)), key=lambda place: -scores[place])[:PICTURED]
    held = []
    for path in (desk.out / "maps" / f"{desk.stems[place]}.npz" for place in order):
        with np.load(path, allow_pickle=False) as kept:
            held.append((path.with_suffix(".png"), kept["image"], kept["map"]))
    most = float(np.quantile(np.concatenate([found.ravel() for _, _, found in held]), 0.999)) or 1.0
    for path, record, found in held:
        save_picture(path, kind.mapped(record, found / most))
        desk.written.append(path)


def _lay_back(work: Work, desk: Desk, kind: MapsBack) -> None:
    """Maps of records that lie side by side in one file (slices of a volume), as one file in its space."""
    for path, name, records, settings in desk.several:
        maps = []
        for record in records:
            with np.load(desk.out / "maps" / f"{record}.npz", allow_pickle=False) as kept:
                maps.append(kept["map"])
        note = {"what": "anomaly map: how unlike the training data", "system": work.name}
        desk.written += kind.map_back(maps, path, desk.path(f"maps/{name}"), work.spec, settings, note)


def _list_alarms(desk: Desk) -> None:
    """`alarms.csv`: a row a stretch above the threshold."""
    from ..store.listing import counted

    alarms = desk.facts.get("alarms", [])
    if desk.facts.get("threshold") is None:
        return
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    columns = list(dict.fromkeys(key for alarm in alarms for key in alarm)) or ["file"]
    table.writerow(columns)
    for alarm in alarms:
        table.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in (alarm.get(key, "") for key in columns)])
    desk.save(ALARMS, text.getvalue().encode())
    desk.note(f"{counted(len(alarms), 'alarm')} in {ALARMS}")


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """How well the scores of held-out records tell the normal class from the others (nothing when none are held out)."""
    from sklearn.metrics import roc_auc_score

    from ..data.streams import dealt_classes
    from ..metrics.measure import Measure

    dealt = dealt_classes(work.system)
    held = at_most(dataset.heldout_indices(), count, work.seed)
    every = np.zeros(len(dataset)) if dataset.labels is None or len(dealt) != 1 else dataset.labels
    labels = every[held]
    odd = labels != (dealt[0] if dealt else -1)
    if len(dealt) != 1 or odd.sum() < LEAST or (~odd).sum() < LEAST:
        return {}
    found = in_pieces(work, {work.main: dataset.values[held]}, lambda given: run(work, given, None)["score"].double().cpu())
    scores = np.concatenate([piece.numpy() for piece in found])

    def area(wanted: np.ndarray) -> float:
        chosen = wanted | ~odd
        return float(roc_auc_score(odd[chosen], scores[chosen]))

    train = dataset.train_indices()
    train = at_most(train[every[train] == dealt[0]], MOST, work.seed)
    plain = components_miss(np.asarray(dataset.values[train]), np.asarray(dataset.values[held]))
    beside = {"components": {"value": float(roc_auc_score(odd, plain)), "words": PLAIN}}
    value = area(odd)
    m, n = int(odd.sum()), int((~odd).sum())
    classes = dataset.spec.classes
    by_class = {
        classes[k]: round(area(labels == k), 4) for k in np.unique(labels[odd]) if (labels == k).sum() >= LEAST
    }  # fmt: skip
    protocol = f"auroc/normal={classes[dealt[0]]}/n={n}/m={m}/held out"
    return {"anomaly_auroc": Measure(value, protocol, *area_interval(value, m, n), {"by_class": by_class, "beside": beside})}


def components_miss(train: np.ndarray, records: np.ndarray) -> np.ndarray:
    """(N,) what principal components of normal records (M, ...) miss of others: the mean squared error, levels matched."""
    from sklearn.decomposition import PCA

    def levelled(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(len(values), -1).astype(np.float32)
        spread = flat.std(axis=1, keepdims=True)
        return np.asarray((flat - flat.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1))

    known, others = levelled(train), levelled(records)
    fitted = PCA(min(COMPONENTS, len(known) - 1, known.shape[1]), svd_solver="randomized", random_state=0).fit(known)
    missed: np.ndarray = ((others - fitted.inverse_transform(fitted.transform(others))) ** 2).mean(axis=1)
    return missed


USE = Use(
    verb="score",
    done="scored",
    promise=ScoresAnomaly,
    method="anomaly",
    gives=("score", "map"),
    Options=Options,
    order=40,
    fitted=True,
    run=run,
    file=file,
    keep=keep,
    finish=finish,
    measure=measure,
    says=UseSays(
        purpose="saying how unlike the training data a record is, and where",
        doing="scoring",
        example="ganvas apply RUN FILE --out FOLDER",
        caution="A high score says 'unlike the training data', not what is wrong; a low one does not say that nothing is.",
    ),
)
