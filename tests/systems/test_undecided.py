"""A discriminator that guesses has the loss that its system says: health is measured by it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from ganvas.batches import Noise
from ganvas.health.losses import cross_entropies
from ganvas.kinds import kind_names
from ganvas.objectives import adversarial
from ganvas.registry import catalogue
from ganvas.testing.boards import Case, subject_of, tiny_batch

CASES = [(name, kind) for name, card in catalogue().items() for kind in card.data if kind in kind_names()]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_loss_of_a_discriminator_that_guesses_is_as_the_system_says(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Case(subject_of(name), kind).board()
    watched = cross_entropies(engine.system)
    module = sys.modules[type(engine.system).__module__]
    for loss in ("real_is_real", "fake_is_fake") if watched else ():
        real = getattr(adversarial, loss)
        monkeypatch.setattr(module, loss, lambda logits, real=real: real(0 * logits))
    for turn in (turn for phase in engine.system.phases() for turn in phase.turns):
        method = getattr(turn.objective, "__func__", turn.objective)
        if turn.player in watched and "real" in method.__code__.co_consts + tuple(_keys(method)):
            batch = tiny_batch(engine.system, Noise(torch.Generator().manual_seed(0)))
            terms = turn.objective(batch, engine.clock, {})
            assert float((terms["real"] + terms["fake"]).detach()) == pytest.approx(engine.system.undecided, rel=1e-5)


def _keys(method: Any) -> list[str]:
    return [one for constant in method.__code__.co_consts if isinstance(constant, tuple) for one in constant]
