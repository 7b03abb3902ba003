"""The proof of `vae-gan-3d`: solids of one picture each, against looking the picture up and against regression alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained

if TYPE_CHECKING:
    from torch import Tensor

    from ganvas.data.dataset import Dataset

VIEWS = 4  # pictures of each held-out solid, each from a side of its own
COUNT = 300  # solids drawn from noise
SHOWN = 12  # held-out solids, of seed 0
REGRESSION: dict[str, Any] = {"kl_weight": 0.0, "adversarial_weight": 0.0}
LARGE_SIDE = "64"
QUICK_SHAPES = 400
NEARER, BEHIND, DRAWN = 0.05, 0.02, 0.02


def opened(task: Task) -> Dataset:
    from ganvas.data.dataset import open_data

    options: dict[str, Any] = {"phantom_count": QUICK_SHAPES if task.quick else 1000} if task.phantom else {}
    side = int(LARGE_SIDE) if task.large else 32
    dataset: Dataset = open_data(task.data, seed=task.seed, size=side, kinds=("solid",), progress=False, **options)
    return dataset


def bench(task: Task, dataset: Dataset, system: Any) -> tuple[np.ndarray, list[Tensor]]:
    """(held-out solids, VIEWS pictures of each, (n, 1, H, W)): the same for every arm of a seed."""
    import torch

    from ganvas.batches import Noise

    true = np.asarray(dataset.values[dataset.heldout_indices()])
    noise = Noise.seeded(10_000 + task.seed)
    solids = torch.from_numpy(true).float()[:, None]
    with torch.no_grad():
        return true, [torch.cat([system.depict(part, noise) for part in solids.split(32)]) for _ in range(VIEWS)]


def outcome(task: Task, made: list[np.ndarray], true: np.ndarray, pictures: list[Tensor], more: dict[str, Any]) -> Outcome:
    """Mean overlap of pairs; of each shown solid its picture, what was made of it, and itself."""
    from ganvas.kinds.solid.kind import PIXELS, render
    from ganvas.kinds.solid.measures import pieces
    from ganvas.uses.reconstruct import overlap

    shares = np.stack([overlap(own, true) for own in made])
    more |= {
        "by_view": shares.mean(1).tolist(),
        "one_piece": float((pieces(made[0]) == 1).mean()),
        "spread": float(shares.std(0).mean()),  # between pictures of one solid
    }
    shown = []
    for place in np.linspace(0, len(true) - 1, 0 if task.seed else SHOWN).astype(int):
        seen = ((pictures[0][place, 0].numpy() + 1) * 127.5).round().astype(np.uint8)
        scale = max(1, PIXELS // len(seen))
        large = np.full((PIXELS, PIXELS), 255, np.uint8)
        seen = seen.repeat(scale, 0).repeat(scale, 1)
        edge = (PIXELS - len(seen)) // 2
        large[edge : edge + len(seen), edge : edge + len(seen)] = seen
        shown += [large[..., None].repeat(3, 2), render(made[0][place]), render(true[place])]
    protocol = f"iou/{true.shape[1]}^3/one picture/n={len(true)}x{VIEWS}"
    return Outcome(float(shares.mean()), protocol, more, np.stack(shown) if shown else None)


def both_ways(drawn: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Of solids of random codes: overlap with the nearest held-out one and the other way, mean; the share in one piece."""
    from ganvas.kinds.solid.measures import overlaps, pieces

    table = overlaps(drawn, true)
    overlap = float(table.max(1).mean() + table.max(0).mean()) / 2
    return {"overlap": overlap, "one_piece": float((pieces(drawn) == 1).mean()), "filled": float(drawn.mean())}


def learnt(task: Task, config: dict[str, Any]) -> Outcome:
    """Train, and make a solid of every picture. drawn: solids of random codes, from a normal distribution that has the mean and
    the spread of the codes of training pictures, which is kind to a regression: its codes were never asked to be normal."""
    import torch

    from ganvas.batches import Noise

    dataset = opened(task)
    settings: dict[str, Any] = {"phantom_count": len(dataset)} if task.phantom else {}
    run, facts = trained(
        task, "vae-gan-3d", config, threads=1, precision="32", size=LARGE_SIDE if task.large else "32", **settings
    )
    dataset, system = data_of(run), run.system
    true, pictures = bench(task, dataset, system)
    noise = Noise.seeded(20_000 + task.seed)
    with torch.no_grad():
        made = [np.concatenate([_inside(system.build(part, noise)) for part in view.split(32)]) for view in pictures]
        train = torch.from_numpy(np.asarray(dataset.values[dataset.train_indices()])).float()[:, None]
        codes = torch.cat([system.reader(system.depict(part, noise))[0] for part in train.split(32)])
        random = noise.normal(COUNT, codes.shape[1])
        fitted = codes.mean(0) + codes.std(0) * random
        drawn = _inside(torch.cat([system.average(part).sigmoid() for part in fitted.split(50)]))
        normal = _inside(torch.cat([system.average(part).sigmoid() for part in random.split(50)]))
    facts |= {"drawn": both_ways(drawn, true), "normal": both_ways(normal, true)}
    return outcome(task, made, true, pictures, facts)


def looked_up(task: Task) -> Outcome:
    """For every picture the training solid that has the picture most like it, of 8 from random sides of each."""
    from ganvas.config import build_config
    from ganvas.systems.solids.vae_gan_3d import Config, VaeGan3d
    from ganvas.uses import Work
    from ganvas.uses.reconstruct import nearest

    dataset = opened(task)
    system = VaeGan3d(dataset.spec, build_config(Config, {})).eval()  # for its pictures alone
    work = Work(system, {"real": dataset.spec}, seed=task.seed)
    true, pictures = bench(task, dataset, system)
    found = nearest(work, dataset, np.concatenate([view.numpy() for view in pictures]))
    return outcome(task, list(found.reshape(VIEWS, *true.shape)), true, pictures, {})


def _inside(solids: Tensor) -> np.ndarray:
    found: np.ndarray = (solids[:, 0] > 0.5).numpy().astype(np.uint8)
    return found


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] >= row.values["baseline"] + NEARER
        and row.values["system"] >= row.values["regression"] - BEHIND
        and row.more["system"]["drawn"]["overlap"] >= row.more["regression"]["drawn"]["overlap"] + DRAWN
        for row in rows
    )


PROOF = Proof(
    claim="of one picture it makes a solid nearer to the true one than looking the picture up, and draws solids from noise too",
    baseline="the training solid whose picture is nearest, of 8 from random sides of each",
    metric="overlap (intersection over union) with the true solid of held-out ones, of one picture from a random side, mean",
    direction=HIGHER,
    mark=(
        f"with every seed at least {NEARER} above the baseline, at most {BEHIND} below the same networks trained by regression "
        f"alone, and solids of random codes overlap with held-out ones, both ways, by {DRAWN} more than the regression's"
    ),
    met=met,
    arms={"system": lambda task: learnt(task, {}), "baseline": looked_up, "regression": lambda task: learnt(task, REGRESSION)},
    budget="600r",
    quick_budget="60r",
    real="voxel-shapes/chair.npz",
    phantom="solids",
    seeds=3,
    large_budget="20000r",
)
