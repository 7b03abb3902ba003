"""Score: how unlike the training data a record is, and where."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import ScoresAnomaly
from ..kinds import decode, kind_of
from ..kinds.facets import Mapped, ScoredFiles
from . import Fields, Use, UseSays, Work, first_of
from .judging import LEAST, area_interval, at_most, in_pieces

if TYPE_CHECKING:
    from ..metrics.measure import Measure
    from ..store.records import Dataset
    from .desk import Desk

PICTURED = 500  # maps drawn as pictures, those of the highest scores; all are kept as numbers


def run(work: Work, given: Fields, options: Any) -> Fields:
    records, more = first_of(given)
    scores, maps = work.system.anomaly(records, work.noise, **more)
    return {"score": scores, "map": maps}


def file(work: Work, desk: Desk, path: Path, name: str) -> bool:
    """Of kinds that are scored file by file, such as long series of which a record is a window."""
    import torch

    kind = kind_of(work.spec.kind)
    if not isinstance(kind, ScoredFiles):
        return False

    def anomaly(records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        work.renew()
        with torch.no_grad():
            made = run(work, {work.main: work.encode(records, work.spec)}, None)
        return made["score"].float().cpu().numpy(), made["map"].float().cpu().numpy()

    score, files, notes = kind.score(path, name, work.spec, anomaly, desk.out)
    desk.take([name], {"score": np.array([score])})
    desk.written += files
    for note in notes:
        desk.note(note)
    return True


def keep(work: Work, desk: Desk, names: list[str], given: Fields, made: Fields) -> None:
    """`maps/NAME.npz` of each record: what it is, its map and its score."""
    kind = kind_of(work.spec.kind)
    maps = made.pop("map").float().cpu().numpy()
    scores = made["score"].tolist()
    spec = kind.screen(work.spec) if isinstance(kind, Mapped) else work.spec
    seen = decode(first_of(given)[0].float().cpu(), spec)
    for name, score, record, found in zip(names, scores, seen, maps, strict=True):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, image=record, map=found.astype(np.float32), score=np.float32(score))
        desk.save(f"maps/{name}.npz", buffer.getvalue())


def finish(work: Work, desk: Desk) -> None:
    """Pictures of the most abnormal records, on one scale: else the eye would take a quiet map for a loud one."""
    from ..drawing import save_picture

    kind = kind_of(work.spec.kind)
    if not isinstance(kind, Mapped) or isinstance(kind, ScoredFiles):
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


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """How well the scores of held-out records tell the normal class from the others (nothing when none are held out)."""
    from sklearn.metrics import roc_auc_score

    from ..data.streams import dealt_classes
    from ..metrics.measure import Measure

    dealt = dealt_classes(work.system)
    held = at_most(dataset.heldout_indices(), count, work.seed)
    labels = np.zeros(0) if dataset.labels is None or len(dealt) != 1 else dataset.labels[held]
    odd = labels != (dealt[0] if dealt else -1)
    if odd.sum() < LEAST or (~odd).sum() < LEAST:
        return {}
    found = in_pieces(work, {work.main: dataset.values[held]}, lambda given: run(work, given, None)["score"].double().cpu())
    scores = np.concatenate([piece.numpy() for piece in found])

    def area(wanted: np.ndarray) -> float:
        chosen = wanted | ~odd
        return float(roc_auc_score(odd[chosen], scores[chosen]))

    value = area(odd)
    m, n = int(odd.sum()), int((~odd).sum())
    classes = dataset.spec.classes
    by_class = {
        classes[k]: round(area(labels == k), 4) for k in np.unique(labels[odd]) if (labels == k).sum() >= LEAST
    }  # fmt: skip
    protocol = f"auroc/normal={classes[dealt[0]]}/n={n}/m={m}/held out"
    return {"anomaly_auroc": Measure(value, protocol, *area_interval(value, m, n), {"by_class": by_class})}


USE = Use(
    verb="score",
    done="scored",
    promise=ScoresAnomaly,
    method="anomaly",
    gives=("score", "map"),
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
