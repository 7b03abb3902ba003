"""MidiNet: bars and codes, keys, what both players see, that it answers chords and earlier bars, and files end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import torch
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.phantoms import make_phantom
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import DataError
from ganvas.game import Clock
from ganvas.kinds.tune import chords
from ganvas.kinds.tune.measures import repeated, share_in_chord, share_in_key
from ganvas.kinds.tune.spec import CHORDS, FIRST, HOLD, MELODY, REST, TuneSpec
from ganvas.networks.midinet import levels_of
from ganvas.proofs import Row
from ganvas.proofs.midinet import LARGE, contexts, met, shapes
from ganvas.run.apply import apply
from ganvas.run.draw import draw
from ganvas.run.train import train
from ganvas.specs import REAL
from ganvas.store.records import Dataset, Field
from ganvas.systems.sound.midinet import KEPT, PRESETS, Config, MidiNet

SMALL: dict[str, Any] = {"latent_size": 8, "width": 16, "judge_width": 16, "before_width": 8, "batch_size": 16}


def built(spec: TuneSpec, **settings: Any) -> MidiNet:
    torch.manual_seed(0)
    return MidiNet(spec, build_config(Config, SMALL | settings))


def tunes(count: int = 8, seed: int = 0) -> tuple[Tensor, TuneSpec]:
    made = make_phantom("tunes", count, seed)
    assert isinstance(made.spec, TuneSpec)
    return torch.from_numpy(made.values).long(), made.spec


def batch_of(values: Tensor, seed: int = 0) -> Batch:
    return Batch(Noise.seeded(seed), {REAL: values})


# Bars and codes


def test_rows_and_codes_are_the_same_melody() -> None:
    values, spec = tunes()
    system = built(spec)
    common, shift = system._common(values)
    rolls = system._rolls(common[:, MELODY])
    assert rolls.shape == (8, system.rows, 64) and (rolls.sum(1) == 1).all()  # one voice
    assert torch.equal(system._codes(rolls.argmax(1), shift), values[:, MELODY])
    assert torch.equal(system._shifted(common[:, CHORDS], -shift), values[:, CHORDS])


def test_tunes_come_into_one_key() -> None:
    """The phantom knows its keys; after the move all chords lie in C, and steps from note to note are as they were."""
    made = make_phantom("tunes", 60, 3)
    values = torch.from_numpy(made.values).long()
    common, shift = built(made.spec)._common(values)
    keys = torch.tensor([fact["key"] for fact in made.facts])
    assert torch.equal((keys + shift) % 12, torch.zeros(60, dtype=torch.int64))
    assert int(shift.min()) >= -6 and int(shift.max()) <= 5
    own, _ = built(made.spec, key="own")._common(values)
    assert torch.equal(own, values)


def test_what_holds_nothing_is_written_as_silence() -> None:
    system = built(TuneSpec(1, 2))
    rows = torch.tensor([[HOLD, HOLD, FIRST + 3, HOLD, REST, HOLD, FIRST, HOLD]])
    codes = system._codes(rows, torch.zeros(1, dtype=torch.int64))[0].tolist()
    low = system.lowest
    assert codes == [REST, REST, FIRST + 3 + low, HOLD, REST, REST, FIRST + low, HOLD]


@pytest.mark.parametrize(("steps", "levels"), [(16, 3), (24, 3), (12, 2), (8, 2), (9, 0), (4, 1), (3, 0), (2, 0)])
def test_bars_of_any_number_of_steps(steps: int, levels: int) -> None:
    assert levels_of(steps) == levels
    spec = TuneSpec(2, 4, (steps, 16))
    assert spec.steps == steps
    made = built(spec).eval().sample(3, Noise.seeded(0))
    assert made.shape == (3, 2, 2 * steps)


# The game


def test_earlier_bars_are_those_of_the_same_tune() -> None:
    values, spec = tunes(32)
    system = built(spec, looks_back=(1, 2), key="own")
    bars, planes, before = system._dealt(batch_of(values), {})
    rolls = system._rolls(values[:, MELODY]).unflatten(2, (8, spec.steps))
    for k in range(32):
        place = next(bar for bar in range(8) if torch.equal(rolls[k, :, bar], bars[k]))
        candidates = [bar for bar in range(8) if torch.equal(rolls[k, :, bar], bars[k])]
        first, second = before[k].chunk(2)
        assert any(
            torch.equal(first, rolls[k, :, bar - 1] if bar >= 1 else torch.zeros_like(first))
            and torch.equal(second, rolls[k, :, bar - 2] if bar >= 2 else torch.zeros_like(second))
            for bar in candidates
        ), place
    assert planes.shape == (32, 24, spec.steps)


def test_a_drawn_bar_is_one_row_a_step_and_passes_gradients_on() -> None:
    values, spec = tunes(16)
    system = built(spec)
    _, planes, before = system._dealt(batch_of(values), {})
    fake = system._drawn(system.generator, Noise.seeded(1), planes, before)
    assert torch.allclose(fake.max(1).values, torch.ones(())) and torch.allclose(fake.sum(1), torch.ones(()), atol=1e-5)
    fake.square().sum().backward()
    assert all(own.grad is not None and own.grad.abs().sum() > 0 for own in system.generator.last.parameters())
    soft = built(spec, choice="soft")
    shares = soft._drawn(soft.generator, Noise.seeded(1), planes, before)
    assert float(shares.max()) < 0.9


def test_one_answer_is_smoothed_and_matches_go_to_the_means() -> None:
    values, spec = tunes(16)
    system = built(spec, features_weight=1.0, bars_weight=1.0)
    batch, shared = batch_of(values), {}
    terms = system.discriminate(batch, Clock(), shared)
    assert set(terms) == {"real", "fake"}
    fooling = system.fool(batch, Clock(), shared)
    assert set(fooling) == {"fool", "features", "bars"} and all(value.ndim == 0 for value in fooling.values())
    assert int(system.heard) == 16 and torch.equal(system.progressions[:16].long(), values[:, CHORDS])
    bare = built(spec, features_weight=0.0, bars_weight=0.0)
    fooling = bare.fool(batch_of(values), Clock(), {})
    assert float(fooling["features"]) == float(fooling["bars"]) == 0.0


def test_the_oldest_progressions_make_room() -> None:
    values, spec = tunes(16)
    system = built(spec)
    for _ in range(KEPT // 16 + 1):
        system._remember(values[:, CHORDS])
    assert torch.equal(system.progressions[:16].long(), values[:, CHORDS]) and int(system.heard) == KEPT + 16


def test_the_paper_is_built_and_plays() -> None:
    values, spec = tunes(16)
    torch.manual_seed(0)
    system = MidiNet(spec, build_config(Config, PRESETS["paper"] | {"batch_size": 16}))
    assert system.phases()[0].turns[1].times == 2
    assert system.discriminator.first[0].in_channels == system.rows + 24  # the chord alone
    engine = Engine(system, {"data": open_stream(data_of(values, spec), system.feeds()["data"], 16, seed=0)}, seed=0)
    engine.play_round()
    assert all(own.isfinite().all() for own in system.parameters())


# What it learns


def data_of(values: Tensor, spec: TuneSpec) -> Dataset:
    count = len(values)
    fields = {REAL: Field(spec, values.numpy().astype(np.int32))}
    return Dataset(fields, None, np.arange(count), np.zeros(count, bool), "phantom", "phantom")


def learnt(rounds: int = 220, **settings: Any) -> MidiNet:
    values, spec = tunes(300)
    system = built(spec, **({"width": 32, "judge_width": 32, "before_width": 16, "learning_rate": 2e-3, "batch_size": 32}
                            | {"looks_back": (1,)} | settings))  # fmt: skip
    data = data_of(values, spec)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 32, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    return system.eval()
