"""The proof of `age-cgan`: a latent that is looked for by identity keeps the person through a change of age, where the encoder
alone loses it.

On drawn faces, of which person and age are known. Who an aged face shows is said by a judge that read the traits of other drawn
people, none of whom the system saw; the network that the latent is looked for with takes no part in that.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ganvas.batches import Noise
from ganvas.kinds import decode, encode
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained

VARIANT = "front"
SIDE, LARGE_SIDE = 32, 64
PEOPLE, PROBES, SHOWN = 4000, 240, 10
OTHERS = 977  # the seed of the people that the judge learns from
COMMON: dict[str, Any] = {
    "width": 24, "latent_size": 64, "recogniser_width": 16, "learning_rate": 5e-4, "batch_size": 32,
    "encoder_learning_rate": 3e-3, "generator_last": "bilinear",
}  # fmt: skip
LARGE: dict[str, Any] = COMMON | {"width": 64, "latent_size": 100, "recogniser_width": 32, "batch_size": 64}
SURER, LEAST, NEARER = 1.5, 0.125, 0.5

Judge = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Pictures (N, H, W, 3) uint8 -> (traits (N, T), each over the error with which it is read; age in years (N,))."""


@functools.cache
def judge_of(side: int) -> tuple[Judge, np.ndarray]:
    """(a judge that learnt from drawings of people it alone has seen, the errors (T,) with which it reads traits)."""
    from torch import nn

    from ganvas.data.phantoms.faces import draw, people, scenes

    scene = scenes(VARIANT, PEOPLE * 3, OTHERS)
    numbers = np.arange(PEOPLE * 3) % PEOPLE
    del scene["person"]
    traits = people(numbers, OTHERS)
    pictures = np.concatenate(
        [
            draw(traits[rows], side, 8, **{name: own[rows] for name, own in scene.items()})
            for rows in np.array_split(np.arange(len(traits)), 64)
        ]
    )
    wanted = torch.from_numpy(np.concatenate([traits, scene["age"][:, None] / 85], 1).astype(np.float32))
    known = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    own = numbers < PEOPLE * 9 // 10
    rng = np.random.default_rng(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for before, after in ((3, 24), (24, 48), (48, 96)):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(256), nn.ReLU(), nn.Linear(256, wanted.shape[1]))
        network(known[:2].float())
        optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.05)
        steps = 1500
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
        for _ in range(steps):
            rows = torch.from_numpy(rng.choice(np.flatnonzero(own), 64, replace=False))
            read = network(known[rows].float() / 127.5 - 1)
            optimiser.zero_grad()
            (read - wanted[rows]).square().mean().backward()
            optimiser.step()
            schedule.step()
    network.eval()

    def plain(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            pieces = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).split(256)
            found: np.ndarray = torch.cat([network(piece.float() / 127.5 - 1) for piece in pieces]).numpy()
        return found

    errors: np.ndarray = np.sqrt(np.square(plain(pictures[~own]) - wanted.numpy()[~own]).mean(0))[:-1]

    def judge(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        read = plain(images)
        return read[:, :-1] / errors, read[:, -1] * 85

    return judge, errors


def arm(task: Task, keep: str) -> Outcome:
    """Age held-out faces, each to one other group, and let the judge say who they are and how old."""
    from ganvas.data.phantoms.faces import draw

    run, facts = _trained_once(task)
    system, dataset = run.system, data_of(run)
    system.config = replace(system.config, keep=keep)
    probes, scene = probes_of(dataset, system, task.seed)
    given, spec = probes["pictures"], dataset.fields["picture"].spec
    made = np.empty_like(given)
    for place, group in enumerate(system.attributes()["age"]):
        rows = np.flatnonzero(probes["target"] == place)
        with torch.no_grad():
            edited = system.edit(encode(given[rows], spec), {"age": group}, Noise.seeded(task.seed))
        made[rows] = decode(edited, spec)
    true = draw(probes["traits"], given.shape[1], 8, **scene | {"age": probes["age"]})
    judge, errors = judge_of(given.shape[1])
    found = {name: judged(judge(images), probes, errors) for name, images in (("made", made), ("given", given), ("true", true))}
    few = np.linspace(0, len(given) - 1, SHOWN).astype(int)
    pictures = np.stack([given[few], made[few], true[few]], 1)
    many = len(np.unique(probes["person"]))
    protocol = f"top-1 of {many} held-out people/traits read by a cnn of drawn faces/{len(given)} edits/{given.shape[1]}px"
    return Outcome(found["made"]["top1"], protocol, {**found, **facts}, pictures.reshape(-1, *pictures.shape[2:]))


def judged(read: tuple[np.ndarray, np.ndarray], probes: dict[str, np.ndarray], errors: np.ndarray) -> dict[str, float]:
    """top1: share of pictures whose traits are nearest to those of the person that they are to show, among all people of the
    probes; years: mean distance of the age they look to the middle of the group they are to be of."""
    first, place = np.unique(probes["person"], return_index=True, return_inverse=True)[1:]
    people = probes["traits"][first] / errors
    near = np.square(read[0][:, None] - people).sum(2).argmin(1)
    return {"top1": float((near == place).mean()), "years": float(np.abs(read[1] - probes["age"]).mean())}


_runs: dict[tuple[Any, ...], tuple[Any, dict[str, Any]]] = {}


def _trained_once(task: Task) -> tuple[Any, dict[str, Any]]:
    """The run of a seed: the arms differ in how a trained run is used, and in nothing else."""
    key = (task.seed, task.budget, task.large, task.data)
    if key not in _runs:
        config, side = (LARGE, LARGE_SIDE) if task.large else (COMMON, SIDE)
        _runs.clear()
        _runs[key] = trained(task, "age-cgan", config, size=side, threads=1, phantom_count=4000)
    return _runs[key]


def probes_of(dataset: Any, system: Any, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(held-out pictures, who is on them with which traits, the group that each is aged to and the middle age of it; how they
    were drawn)."""
    from ganvas.data.phantoms.faces import people, scenes

    scene = scenes(VARIANT, len(dataset), seed)
    rng = np.random.default_rng([seed, 0xA6E])
    rows = np.sort(rng.permutation(dataset.heldout_indices())[:PROBES])
    groups = list(system.attributes()["age"])
    of = np.array([groups.index(system.value_of("age", str(age))) for age in scene["age"]])
    middle = np.array(
        [scene["age"][dataset.train_indices()][of[dataset.train_indices()] == k].mean() for k in range(len(groups))]
    )
    target = (of[rows] + rng.integers(1, len(groups), len(rows))) % len(groups)
    scene = {name: own[rows] for name, own in scene.items()}
    person = scene.pop("person")
    return {
        "pictures": np.asarray(dataset.values[rows]), "person": person, "traits": people(person, seed), "target": target,
        "age": middle[target],
    }, scene  # fmt: skip


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] >= SURER * row.values["baseline"]
        and row.values["system"] >= LEAST
        and row.more["system"]["made"]["years"] <= NEARER * row.more["system"]["given"]["years"]
        for row in rows
    )


PROOF = Proof(
    claim="a latent looked for by identity keeps the person of an aged face, where what the encoder says loses it",
    baseline="the same trained networks with the encoder's latent, without the search",
    metric="share of held-out faces, each aged to another group, whose traits are nearest to those of their own person",
    direction=HIGHER,
    mark=(
        f"with every seed at least {SURER} times the encoder's share and at least {LEAST}, and the age that faces seem to have "
        f"at most {NEARER} as far from the group asked for as that of the given ones"
    ),
    met=met,
    arms={
        "system": functools.partial(arm, keep="identity"),
        "baseline": functools.partial(arm, keep="encoder"),
        "pixels": functools.partial(arm, keep="pixels"),
    },
    budget="72k",
    quick_budget="6k",
    large_budget="2000k",
    phantom=f"faces:{VARIANT}",
    note="Nobody is on these faces; how well it works on photographs is not measured here.",
)
