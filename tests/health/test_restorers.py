"""Games that repair, colour and weave pictures are watched for who wins: a D that guesses costs what the watch takes for it.

A D whose weights are 0 says the same of everything. If its terms then did not add up to `System.undecided`, one that is too
sure would be told too late, or one that guesses would be taken for it.
Not for collapses, but that of psgan, the one among them that draws from noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ganvas.batches import Noise
from ganvas.config import build_config
from ganvas.data.dataset import Dataset, Field
from ganvas.data.streams import open_stream
from ganvas.game import Clock
from ganvas.health.losses import Balance, cross_entropies
from ganvas.health.samples import Variety
from ganvas.kinds import encode
from ganvas.kinds.image.spec import ImageSpec
from ganvas.registry import load_system
from ganvas.specs import REAL

SMALL: dict[str, Any] = {"width": 8, "batch_size": 8}
GAMES: dict[str, tuple[ImageSpec, dict[str, Any]]] = {
    "srgan": (
        ImageSpec(3, 32, 32),
        {**SMALL, "scale": 2, "blocks": 1, "discriminator_width": 4, "perceptual_weight": 0.0, "pixel_weight": 1.0},
    ),
    "context-encoder": (ImageSpec(3, 32, 32), {**SMALL, "code_size": 8}),
    "dose-gan": (ImageSpec(1, 32, 32), {**SMALL, "layers": 3, "discriminator_width": 4}),
    "auto-painter": (ImageSpec(3, 32, 32), SMALL),
    "psgan": (ImageSpec(3, 32, 32), {**SMALL, "layers": 2, "local_size": 4}),
}
"""name -> (data, settings of a small game)."""


def built(name: str) -> tuple[Any, dict[str, Any]]:
    """(the system, a batch by feed)."""
    spec, settings = GAMES[name]
    _, _, system_class = load_system(name)
    torch.manual_seed(0)
    system: Any = system_class(spec, build_config(system_class.Config, settings))  # type: ignore[attr-defined]
    pixels = np.random.default_rng(0).integers(0, 256, (32, *spec.shape[1:], spec.channels)).astype(np.uint8)
    data = Dataset({REAL: Field(spec, pixels)}, None, np.arange(32), np.zeros(32, bool), "random", "")
    noise = Noise.seeded(0)
    return system, {feed: open_stream(data, own, 8, seed=0).draw(noise) for feed, own in system.feeds().items()}


@pytest.mark.parametrize("name", GAMES)
def test_a_discriminator_that_guesses_costs_what_the_watch_takes_for_it_and_a_sure_one_is_told(name: str) -> None:
    system, batches = built(name)
    (player,) = cross_entropies(system)
    with torch.no_grad():
        for parameter in system.discriminator.parameters():
            parameter.zero_()
        turn = next(turn for phase in system.phases() for turn in phase.turns if turn.player == player)
        terms = turn.objective(batches[turn.source], Clock(), {})
    assert float(terms["real"] + terms["fake"]) == pytest.approx(system.undecided, rel=1e-5)
    sure, guessing = Balance(player, system.undecided), Balance(player, system.undecided)
    assert "discriminator too strong" in {own for n in range(400) for own, _, _ in sure.take(0.02, n, 0.1 + n / 1000)}
    told = [guessing.take(0.9 * system.undecided, n, 0.1 + n / 1000) for n in range(400)]
    assert "discriminator too strong" not in {own for found in told for own, _, _ in found}


def test_a_texture_that_collapses_is_told() -> None:
    system, _ = built("psgan")
    with torch.no_grad():
        for parameter in system.parameters():
            parameter.zero_()
        same = system.eval().sample(64, Noise.seeded(0)).numpy()
    spec = GAMES["psgan"][0]
    pixels = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3)).astype(np.uint8)
    variety = Variety(encode(pixels, spec).numpy(), False)
    assert "collapse" in {own for n in range(3) for own, _, _ in variety.compare(same, 300 + 20 * n, 0.3)}
