"""What is particular to gan-3d: its gate, its sides and its first samples. The contract is tested elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.solid.spec import SolidSpec
from ganvas.registry import find
from ganvas.systems.solids.gan_3d import Config, Gan3d

TINY = {"width": 4, "latent_size": 5, "batch_size": 4}


def build(side: int = 16, **changes: Any) -> Gan3d:
    torch.manual_seed(0)
    return Gan3d(SolidSpec(side), build_config(Config, TINY | changes))


class Boxes:
    """A stream of equal boxes."""

    batch_size = 4

    def draw(self, noise: Noise) -> Batch:
        solids = torch.zeros(4, 1, 16, 16, 16)
        solids[..., 3:12, 2:6, 4:10] = 1
        return Batch(noise, {"real": solids})

    def configure(self, **overrides: Any) -> None:
        pass


def test_it_is_found_by_its_alias() -> None:
    assert find("3d-gan").name == find("gan-3d").name == "gan-3d"


@pytest.mark.parametrize("side", [16, 32, 64])
def test_every_side_has_networks_that_fit(side: int) -> None:
    system = build(side).eval()
    noise = Noise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        samples = system.sample(2, noise)
        assert samples.shape == (2, 1, side, side, side)
        assert system.discriminator(samples).shape == (2,)
    assert samples.min() >= 0 and samples.max() <= 1
    assert samples.mean() == pytest.approx(0.1, abs=0.02), "an untrained G fills a tenth of the cube"


@pytest.mark.parametrize("side", [24, 128])
def test_other_sides_are_refused(side: int) -> None:
    with pytest.raises(GanvasError, match="--size 32"):
        build(side)


def test_paper_networks_have_the_paper_channels() -> None:
    with torch.device("meta"):
        system = Gan3d(SolidSpec(64), Config())
    channels = [m.in_channels for m in system.generator.layers if hasattr(m, "in_channels")]
    assert channels == [200, 512, 256, 128, 64]
    assert [m.out_channels for m in system.discriminator.layers if hasattr(m, "out_channels")] == [64, 128, 256, 512, 1]


def test_the_discriminator_sits_out_while_it_is_too_accurate_and_comes_back() -> None:
    system = build(discriminator_learning_rate=2e-2, generator_learning_rate=1e-3)
    engine = Engine(system, {"data": Boxes()}, seed=0)  # type: ignore[dict-item]
    moved, was = [], []
    for _ in range(60):
        was.append(float(system.accuracy))
        before = system.discriminator.layers[0].weight.detach().clone()
        engine.play_round()
        moved.append(not torch.equal(before, system.discriminator.layers[0].weight))
    assert moved == [accuracy <= 0.8 for accuracy in was]
    assert True in moved[1:] and False in moved
    assert moved[0]


def test_the_accuracy_is_that_of_real_and_generated_solids() -> None:
    system = build()
    system._measure(torch.tensor([1.0, 2.0, -1.0, 3.0]), torch.tensor([-1.0, 1.0, 1.0, -2.0]))
    assert float(system.accuracy) == pytest.approx((0.75 + 0.5) / 2)
    assert system.gate(Clock()) == 1
    system.accuracy.fill_(0.9)
    assert system.gate(Clock()) == 0
    assert build(accuracy_gate=1.0).gate(Clock()) == 1


def test_blur_hides_that_real_voxels_are_whole() -> None:
    batch = Boxes().draw(Noise(torch.Generator().manual_seed(0)))
    assert torch.equal(build()._seen(batch.real, batch), batch.real)
    seen = build(instance_noise=0.5)._seen(batch.real, batch)
    assert (seen - batch.real).std() == pytest.approx(0.5, abs=0.02)
