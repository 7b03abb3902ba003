"""The proof of `ternary-gan`: taught with ternary weights, a generator keeps what it draws at a sixteenth of the bits."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, distance_to_heldout, trained

if TYPE_CHECKING:
    from ganvas.run.load import Run

COUNT = HELDOUT = 500
MOST, SHARE = 1.3, 1 / 16
SETTINGS: dict[str, Any] = {
    "width": 16, "latent_size": 100, "generator_learning_rate": 5e-4, "discriminator_learning_rate": 5e-4, "batch_size": 32,
    "ema_half_life": 5_000.0, "augment": (),
}  # fmt: skip


def learnt(task: Task, system: str) -> tuple[Run, dict[str, Any]]:
    """The same networks, rates, batches and rounds for both."""
    settings: dict[str, Any] = {"size": "32", "phantom_count": 2000} if task.phantom else {}
    return trained(task, system, SETTINGS, **settings)


def ternary(task: Task) -> Outcome:
    """Samples are drawn from the packed file, opened again. more: bytes of that file, and how many of its weights are not 0."""
    from ganvas.networks.ternary import convolutions, is_ternary
    from ganvas.systems.synthesis.ternary_gan import open_packed

    run, facts = learnt(task, "ternary-gan")
    size = run.system.pack(task.folder / "generator.packed")
    opened = open_packed(task.folder / "generator.packed")
    images = opened.images(COUNT, seed=10_000 + task.seed)
    value, protocol, more = distance_to_heldout(data_of(run), images, HELDOUT)
    weights = [layer.weight.detach() for layer in convolutions(run.system.average).values() if is_ternary(layer)]
    more["packed_bytes"] = size
    more["not_zero"] = float(sum(w.count_nonzero() for w in weights)) / sum(w.numel() for w in weights)
    more["same_bits_as_run"] = bool((images == run.sample(COUNT, seed=10_000 + task.seed)).all())
    return Outcome(value, protocol, more | facts, images[:64])


def afterwards(task: Task) -> Outcome:
    """dcgan, whose weights are made ternary when it has learnt, and the statistics of its norms measured anew.

    more: the distance with its full weights; bytes of these as they lie in a file, and the same packed by gzip.
    """
    import torch
    from safetensors.torch import save
    from torch import nn

    from ganvas.batches import Noise
    from ganvas.networks.ternary import ternarise

    run, facts = learnt(task, "dcgan")
    generator, dataset, seed = run.system.average, data_of(run), 10_000 + task.seed
    content = save({name: value.contiguous() for name, value in generator.state_dict().items()})
    full, _, _ = distance_to_heldout(dataset, run.sample(COUNT, seed=seed), HELDOUT)
    ternarise(generator, full=-1)
    rounded, _, _ = distance_to_heldout(dataset, run.sample(COUNT, seed=seed), HELDOUT)
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:  # without this it would fail for a reason that is easily mended
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        noise = Noise.seeded(seed)
        for _ in range(20):
            generator(noise.normal(64, SETTINGS["latent_size"]))
    generator.eval()
    images = run.sample(COUNT, seed=seed)
    value, protocol, more = distance_to_heldout(dataset, images, HELDOUT)
    more |= {"full_weights": full, "full_bytes": len(content), "full_bytes_gzip": len(gzip.compress(content))}
    return Outcome(value, protocol, more | {"statistics_of_full_weights": rounded} | facts, images[:64])


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] <= MOST * row.more["baseline"]["full_weights"]
        and row.more["system"]["packed_bytes"] <= SHARE * row.more["baseline"]["full_bytes_gzip"]
        and row.more["system"]["same_bits_as_run"]
        for row in rows
    )


PROOF = Proof(
    claim=("taught with ternary weights, a generator draws as well at a sixteenth of the bits; rounded afterwards it does not"),
    baseline="dcgan, whose weights are made ternary when it has learnt: the same networks, settings and rounds",
    metric="kernel distance of samples to the held-out part, at 28x28",
    direction=LOWER,
    mark=(
        f"with every seed at most {MOST} times the distance with full weights, drawn from a packed file of at most a sixteenth "
        "of theirs, both packed by gzip, to the same bits as from the run"
    ),
    met=met,
    arms={"system": ternary, "baseline": afterwards},
    budget="40k",
    quick_budget="5k",
    real="mnist",
    phantom="chest",
    seeds=3,
    large_budget="2000k",
)
