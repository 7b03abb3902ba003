"""The two jobs of the study of augmentation: a generator learns a fraction of the records; classifiers are trained with its
samples and without, and say what held-out records are.

Both open the data themselves and take the same fraction of it (`fraction_of`). Nothing here sees held-out records but the
classifiers, once, when they are trained. What is special about images and sounds stands in `_augmentation_kinds`. Not for which
jobs there are (`augmentation`) nor for what is concluded (`_augmentation_judge`).
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..errors import GanvasError, did_you_mean
from ..files import write_atomically
from ._augmentation_kinds import STUDIED, Images

if TYPE_CHECKING:
    from ..store.records import Dataset

SAMPLES, PREDICTIONS = "samples.npz", "predictions.npz"
BATCH = 64
ARMS: dict[str, str] = {
    "real": "real records as they come",
    "oversampled": "real records, every class equally often",
    "classic": "the same, {classic}",
    "synthetic": "synthetic records alone",
    "mixed": "half real (every class equally often), half synthetic",
    "both": "half real, half synthetic, all {classic}",
    "filtered": "the same with the synthetic records that the classifier of `classic` reads as what was asked for",
}
"""What the classifiers of each arm learn from, in equally many steps. classic: of the kind (`Images.classic`)."""


def fraction_of(dataset: Dataset, share: float, seed: int) -> np.ndarray:
    """Rows (ascending) of a share of the training part: whole groups, of every class in proportion, at least one group of
    each. With one seed smaller shares lie within larger ones."""
    rows = dataset.train_indices()
    if share >= 1:
        return rows
    assert dataset.labels is not None
    rng = np.random.default_rng([seed, 0xA06])
    first = {int(group): int(dataset.labels[row]) for row, group in reversed([*zip(rows, dataset.groups[rows], strict=True)])}
    order = rng.permutation(sorted(first))
    sizes = {group: int((dataset.groups[rows] == group).sum()) for group in first}
    chosen: list[int] = []
    for k in range(len(dataset.spec.classes)):
        own = [int(group) for group in order if first[int(group)] == k]
        wanted, there = share * sum(sizes[group] for group in own), 0
        for group in own:
            if there and there + sizes[group] / 2 > wanted:
                break
            chosen.append(group)
            there += sizes[group]
    return rows[np.isin(dataset.groups[rows], chosen)]


def kind_studied(data: str) -> str:
    """The kind of the data, one of `STUDIED`. Raises GanvasError."""
    from ..data.finding import recognise
    from ..kinds import kind_of

    kind = recognise(data, tuple(STUDIED))
    if kind not in STUDIED:
        nouns = " or ".join(own.noun for own in STUDIED.values())
        raise GanvasError(f"{data}: a study of augmentation is of labelled {nouns}, these are {kind_of(kind).says.noun}")
    return kind


def opened(job: Mapping[str, Any]) -> Dataset:
    """The data of a study's job: labelled records with a held-out part. Raises GanvasError for what cannot be studied."""
    from ..data.dataset import open_data
    from ..kinds import kind_of
    from ..registry import find
    from ..run.settings import parse_size

    kind = kind_studied(job["data"])
    options = {**job["options"], "size": parse_size(job["size"])}
    words, card = options.pop("hold_out", ()), find(job["system"])
    dataset = open_data(job["data"], progress=False, kinds=(kind,), seed=0, fields=card.fields or None, **options)
    if dataset.spec.kind != kind:
        raise GanvasError(f"--system {card.name}: makes {kind_of(dataset.spec.kind).says.noun}, not {STUDIED[kind].noun}")
    if dataset.labels is None or len(dataset.spec.classes) < 2:
        raise GanvasError(
            f"{job['data']}: a study of augmentation needs {STUDIED[kind].noun} of two classes or more: a folder each, or a "
            "labels.csv"
        )
    dataset = STUDIED[kind].settled(held_by_name(dataset, words) if words else dataset)
    assert dataset.labels is not None
    for k, name in enumerate(dataset.spec.classes):
        for part, rows in (("training", dataset.train_indices()), ("held-out", dataset.heldout_indices())):
            if not (dataset.labels[rows] == k).any():
                raise GanvasError(
                    f"{job['data']}: class {name} has no record in the {part} part: give more of it, or leave the class out"
                )
    return dataset


def held_by_name(dataset: Dataset, words: Sequence[str]) -> Dataset:
    """The data set with those records held out, and no others, whose file or folder has one of the words in its name, as in
    `seven_anna_3.wav`. Raises GanvasError for a word that no name has, and where the data keeps together what it would tear."""
    from ..data.learning import learn
    from ..store.cache import digest

    parts = [set(re.split(r"[/\\_. -]+", name)) for name in dataset.names()] if dataset.origins is not None else []
    for word in words:
        if not any(word in own for own in parts):
            seen = sorted({one for own in parts for one in own if not one.isdigit()}, key=lambda one: (len(one), one))
            raise GanvasError(
                f"--hold-out {word}: no file of {dataset.source} has that word in its name{did_you_mean(word, seen)}; a "
                "word is what stands between _ - . and blanks"
            )
    heldout = np.array([bool(own & set(words)) for own in parts])
    persons = dataset.persons if dataset.persons is not None else dataset.groups
    if torn := np.intersect1d(persons[heldout], persons[~heldout]).size:
        raise GanvasError(
            f"--hold-out {','.join(words)} would tear {torn} groups of {dataset.source}: leave it out, and say in the column "
            "split of groups.csv which are held out"
        )
    changed = dataclasses.replace(
        dataset, heldout=heldout, declared_split=True, fingerprint=digest(dataset.fingerprint, sorted(words)), earlier=()
    )
    return learn(changed, changed.train_indices())


# The generator


def generate(place: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """Learn the fraction, draw samples of every class, and let a classifier of all real training records read them."""
    dataset = opened(job)
    assert dataset.labels is not None
    kind = STUDIED[dataset.spec.kind](dataset.spec)
    rows = fraction_of(dataset, job["share"], job["seed"])
    names = dataset.spec.classes
    if not (place / SAMPLES).exists():
        parts = {"all": rows}
        if not job["conditional"]:
            parts = {f"class-{k}": rows[dataset.labels[rows] == k] for k in range(len(names))}
        made = []
        for name, own in parts.items():
            run = _learnt(place / "runs" / name, _only(dataset, own), job, len(parts))
            wanted: Sequence[int | None] = range(len(names)) if job["conditional"] else (None,)
            for label in wanted:
                asked = None if label is None else names[label]  # by name: a class may be called by another one's number
                told = _told(dataset, own, label)
                made.append(run.sample(job["samples"], seed=10_000 + job["seed"], label=asked, depth=kind.depth, **told))
        buffer = io.BytesIO()
        samples = kind.kept(np.concatenate(made))
        np.savez_compressed(buffer, samples=samples, labels=np.repeat(np.arange(len(names)), job["samples"]))
        write_atomically(place / SAMPLES, buffer.getvalue())
    samples, labels = samples_of(place)
    known, answers = _tensors(dataset, kind, dataset.train_indices())
    held, truth = _tensors(dataset, kind, dataset.heldout_indices())
    draw = _balanced(known, answers)
    reader = trained(draw, len(names), kind, job["steps"], 1000 + job["seed"], changed=True, flip=job["flip"])
    return {
        "records": {name: int((dataset.labels[rows] == k).sum()) for k, name in enumerate(names)},
        "read_as": confusion(labels, read(reader, kind.seen(kind.read(samples))).argmax(1), len(names)),
        "read_real": confusion(truth.numpy(), read(reader, kind.seen(held)).argmax(1), len(names)),
    }


def samples_of(place: Path) -> tuple[np.ndarray, np.ndarray]:
    """(samples (N, ...) as their kind keeps them, the class that each was asked for (N,))."""
    with np.load(place / SAMPLES, allow_pickle=False) as drawn:
        return drawn["samples"], drawn["labels"]


def _only(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """These records alone, all to learn from."""
    from ..store.cache import digest

    fields = {name: dataclasses.replace(field, values=np.asarray(field.values[rows])) for name, field in dataset.fields.items()}
    assert dataset.labels is not None
    return dataclasses.replace(
        dataset,
        fields=fields,
        labels=dataset.labels[rows],
        groups=dataset.groups[rows],
        heldout=np.zeros(len(rows), bool),
        fingerprint=digest(dataset.fingerprint, rows.tolist()),
        earlier=(),
        origins=None,
        notes=(),
    )


def _told(dataset: Dataset, rows: np.ndarray, label: int | None) -> dict[str, Any]:
    """What a system that is asked by further fields (a text) is told: those of the records that it learnt of that class."""
    assert dataset.labels is not None
    own = rows if label is None else rows[dataset.labels[rows] == label]
    fields = {name: np.asarray(field.values[own]) for name, field in [*dataset.fields.items()][1:]}
    return {"fields": fields} if fields else {}


def _learnt(folder: Path, dataset: Dataset, job: Mapping[str, Any], parts: int) -> Any:
    """The run of a generator, trained to the end of its budget; one that was stopped goes on."""
    from ..run.load import Run
    from ..run.settings import FILE
    from ..run.train import train

    seconds = job["seconds"] / parts
    common: dict[str, Any] = {"budget": f"{seconds:g}s", "quiet": True}
    if (folder / FILE).exists():
        result = train(None, dataset, resume=folder, **common)
    else:
        result = train(
            job["system"], dataset, out=folder, seed=job["seed"], threads=job["threads"], config=job["config"], evaluations=0,
            sample_every=0.0, until="budget", heldout=0.0, **common,
        )  # fmt: skip
    if result["stopped"] == "signal":
        raise KeyboardInterrupt
    return Run(folder, which="last")


# The classifiers

Draw = Callable[["torch.Generator", int], "tuple[Tensor, Tensor]"]
"""(generator, how many) -> (records (B, ...), as `Images.encoded` has them, classes (B,))."""


def classify(place: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """Train a classifier for every arm, from the same first weights, and write down what each says of held-out records.

    kept: the share of each class's synthetic records that the filter keeps. balanced_accuracy: of each arm.
    """
    dataset = opened(job)
    names, kind = dataset.spec.classes, STUDIED[dataset.spec.kind](dataset.spec)
    known, answers = _tensors(dataset, kind, fraction_of(dataset, job["share"], job["generator"]))
    held, truth = _tensors(dataset, kind, dataset.heldout_indices())
    samples, asked = samples_of(place.parent / generator_name(job["generator"]))
    made, labels, tested = kind.read(samples), torch.from_numpy(asked), kind.seen(held)
    real, drawn = _balanced(known, answers), _balanced(made, labels)
    said: dict[str, np.ndarray] = {}

    def of(arm: str, draw: Draw, changed: bool = False) -> nn.Module:
        network = trained(draw, len(names), kind, job["steps"], job["seed"], changed=changed, flip=job["flip"])
        said[arm] = read(network, tested)
        return network

    of("real", _as_they_come(known, answers))
    of("oversampled", real)
    filter = of("classic", real, True)
    of("synthetic", drawn)
    of("mixed", _halves(real, drawn))
    of("both", _halves(real, drawn), True)
    good = sieved(read(filter, kind.seen(made)), asked)
    of("filtered", _halves(real, _balanced(made[good], labels[good])), True)
    buffer = io.BytesIO()
    groups = dataset.groups[dataset.heldout_indices()]
    np.savez_compressed(buffer, truth=truth.numpy(), groups=groups, **said)  # type: ignore[arg-type]
    write_atomically(place / PREDICTIONS, buffer.getvalue())
    return {
        "kept": {name: float(good[asked == k].mean()) for k, name in enumerate(names)},
        "balanced_accuracy": {arm: balanced_accuracy(truth.numpy(), own.argmax(1)) for arm, own in said.items()},
    }


def fraction_folder(out: Path, name: str) -> Path:
    """Where the jobs of a fraction live. name: as in `10 %`."""
    return out / "fractions" / name.replace(" %", "-per-cent")


def generator_name(seed: int) -> str:
    """The folder of a generator's job, beside those of the classifiers of the same fraction."""
    return f"generator-{seed}"


def sieved(said: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Which synthetic records stay (N,) bool: those read as what was asked for, and of a class with less than a tenth of
    these the likeliest tenth, so that no class is lost. said: (N, K) shares; asked: (N,)."""
    good = said.argmax(1) == asked
    for k in np.unique(asked):
        own = np.flatnonzero(asked == k)
        least = max(1, len(own) // 10)
        if good[own].sum() < least:
            good[own[np.argsort(-said[own, k], kind="stable")[:least]]] = True
    return good


def balanced_accuracy(truth: np.ndarray, said: np.ndarray) -> float:
    """Mean over the classes of the share of their records that are said to be of them."""
    return float(np.mean([(said[truth == k] == k).mean() for k in np.unique(truth)]))


class Classifier(nn.Module):
    """Residual network (He et al. 2016) of four stages: images (B, C, H, W) -> logits (B, classes)."""

    def __init__(self, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width, 4 * width)
        begin = nn.Conv2d(channels, width, 3, 2, 1, bias=False)
        self.begin = nn.Sequential(begin, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.stages = nn.ModuleList(_Stage(a, b) for a, b in zip((width, *widths[:-1]), widths, strict=True))
        self.decide = nn.Sequential(nn.Dropout(0.2), nn.Linear(widths[-1], classes))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.begin(images)
        for stage in self.stages:
            maps = stage(maps)
        logits: Tensor = self.decide(maps.mean((2, 3)))
        return logits


class _Stage(nn.Module):
    """Two convolutions and a way past them; half the size, where the channels double."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        stride = 1 if before == after else 2
        self.inner = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.past = nn.Identity() if before == after else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(self.past(maps) + self.inner(maps))


def trained(
    draw: Draw, classes: int, kind: Images, steps: int, seed: int, *, changed: bool = False, flip: bool = False
) -> nn.Module:
    """A classifier after `steps` batches of 64; the last one, for nothing may be chosen by records that it is tested on.

    changed: each record is changed by classic augmentation each time (`Images.varied`). The same draw and seed give the same
    classifier; the global random state stays as found.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(kind.planes, classes)
        rng = torch.Generator().manual_seed(seed)
        adam = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        for _ in range(steps):
            records, answers = draw(rng, BATCH)
            images = kind.varied(records, rng, flip) if changed else kind.seen(records)
            adam.zero_grad()
            cross_entropy(network(images), answers).backward()
            adam.step()
            falling.step()
    return network.eval()


def read(network: nn.Module, images: Tensor) -> np.ndarray:
    """Shares of the classes (N, K) float32."""
    with torch.no_grad():
        shares: np.ndarray = torch.cat([network(part).softmax(1) for part in images.split(256)]).numpy()
    return shares


def _as_they_come(images: Tensor, answers: Tensor) -> Draw:
    def draw(rng: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(images), (count,), generator=rng)
        return images[chosen], answers[chosen]

    return draw


def _balanced(images: Tensor, answers: Tensor) -> Draw:
    """Every class equally often."""
    weights = 1 / torch.bincount(answers).float()[answers]

    def draw(rng: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        chosen = torch.multinomial(weights, count, replacement=True, generator=rng)
        return images[chosen], answers[chosen]

    return draw


def _halves(one: Draw, other: Draw) -> Draw:
    def draw(rng: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        parts = one(rng, count // 2), other(rng, count - count // 2)
        return torch.cat([own[0] for own in parts]), torch.cat([own[1] for own in parts])

    return draw


def _tensors(dataset: Dataset, kind: Images, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    assert dataset.labels is not None
    return kind.encoded(np.asarray(dataset.values[rows])), torch.from_numpy(dataset.labels[rows].astype(np.int64))


def confusion(true: np.ndarray, said: np.ndarray, classes: int) -> list[list[float]]:
    """Rows: what it is (or was asked for); columns: the share of it that is read as each class."""
    return [[float((said[true == k] == other).mean()) for other in range(classes)] for k in range(classes)]
