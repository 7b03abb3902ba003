"""latent-gan-3d: blocks of voxels, codes that are kept, phases, and solids that come of codes and the game on them."""

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
from ganvas.networks.voxels import folded, unfolded, without_crumbs
from ganvas.registry import find
from ganvas.systems.solids.latent_gan_3d import KEPT, Config, LatentGan3d

TINY = {"width": 4, "code_size": 6, "latent_size": 5, "hidden_width": 8, "batch_size": 4}


def noise(seed: int = 0) -> Noise:
    return Noise.seeded(seed)


def build(side: int = 16, **changes: Any) -> LatentGan3d:
    torch.manual_seed(0)
    return LatentGan3d(SolidSpec(side), build_config(Config, TINY | changes))


def solids(count: int, side: int = 16, seed: int = 0) -> torch.Tensor:
    return (torch.rand(count, 1, side, side, side, generator=torch.Generator().manual_seed(seed)) < 0.2).float()


def test_it_is_found_by_its_alias() -> None:
    assert find("latent-gan").name == "latent-gan-3d"


@pytest.mark.parametrize("patch", [2, 4])
def test_blocks_of_voxels_are_the_channels_of_one_place(patch: int) -> None:
    voxels = torch.arange(2 * 8**3).view(2, 1, 8, 8, 8)
    blocks = folded(voxels, patch)
    assert blocks.shape == (2, patch**3, *(8 // patch,) * 3)
    assert torch.equal(blocks[1, :, 0, 1, 0], voxels[1, 0, :patch, patch : 2 * patch, :patch].flatten())
    assert torch.equal(unfolded(blocks, patch), voxels)


@pytest.mark.parametrize(("side", "patch"), [(16, 4), (32, 4), (64, 4), (64, 2)])
def test_every_side_has_networks_that_fit(side: int, patch: int) -> None:
    system = build(side, patch=patch).eval()
    with torch.no_grad():
        assert system.encoder(solids(2, side)).shape == (2, 6)
        made = system.sample(2, noise())
    assert made.shape == (2, 1, side, side, side)
    assert made.min() >= 0 and made.max() <= 1


@pytest.mark.parametrize("side", [24, 100])
def test_other_sides_are_refused(side: int) -> None:
    with pytest.raises(GanvasError, match="--size 32"):
        build(side)


def test_codes_have_one_scale_whatever_the_encoder_says() -> None:
    system = build()
    with torch.no_grad():
        system.encoder.layers[-2].weight *= 100
    codes = system.encoder(solids(64))
    torch.testing.assert_close(codes.mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(codes.var(0, unbiased=False), torch.ones(6), atol=1e-2, rtol=0)


def test_voxels_inside_weigh_more() -> None:
    batch = Batch(noise(), {"real": solids(4)})
    terms = [
        float(build(occupied_weight=weight, code_noise=0.0).rebuild(batch, Clock(), {})["rebuild"].detach())
        for weight in (1.0, 3.0, 5.0)
    ]
    assert terms[2] - terms[1] == pytest.approx(terms[1] - terms[0], rel=1e-4)
    inside = batch.real.mean()
    assert terms[1] > terms[0] + 0.5 * float(inside)


def test_the_game_draws_from_codes_that_are_kept_and_leaves_the_autoencoder_alone() -> None:
    system = build()
    before = {name: value.clone() for name, value in system.encoder.state_dict().items()}
    seen: list[torch.Tensor] = []
    system.critic.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    batch = Batch(noise(), {"real": solids(4)})
    shared: dict[str, Any] = {}
    for _ in range(3):  # moves on one batch
        system.estimate(batch, Clock(), shared)
    assert int(system.seen) == 4, "one batch is coded once"
    kept = {tuple(row) for row in system.codes[:4].tolist()}
    real = [values for values in seen if {tuple(row) for row in values.tolist()} <= kept]
    assert len(real) == 3 and {tuple(row) for row in real[0].tolist()} == kept
    assert all(torch.equal(value, before[name]) for name, value in system.encoder.state_dict().items()), "BatchNorm too"
    assert system.encoder.training
    for _ in range(KEPT // 4 + 1):
        system._keep(torch.ones(4, 6))
    assert (system.codes == 1).all(), "the buffer goes round"


def test_before_the_game_samples_are_normal_codes() -> None:
    system = build(crumbs=0.0).eval()
    with torch.no_grad():
        for network in (system.decoder, system.average):
            for parameter in network.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
        drawn = noise()
        latents, normal = drawn.normal(3, 5), drawn.normal(3, 6)
        assert torch.equal(system.sample(3, noise()), system.decoder(normal).sigmoid())
        system._keep(torch.zeros(1, 6))
        assert torch.equal(system.sample(3, noise()), system.decoder(system.average(latents)).sigmoid())


class Stream:
    """Deals random records of a fixed set."""

    def __init__(self, records: torch.Tensor, batch_size: int) -> None:
        self.records, self.batch_size = records, batch_size

    def draw(self, noise: Noise) -> Batch:
        return Batch(noise, {"real": self.records[noise.integers(len(self.records), self.batch_size)]})

    def configure(self, **overrides: Any) -> None:
        pass


@pytest.mark.parametrize(("share", "phases"), [(0.5, ["autoencoder"] * 5 + ["game"] * 5), (0.0, ["game"] * 10)])
def test_first_the_codes_then_the_game(share: float, phases: list[str]) -> None:
    system = build(autoencoder_share=share)
    engine = Engine(system, {"data": Stream(solids(16), 4)}, seed=0)  # type: ignore[dict-item]
    found = []
    for number in range(10):
        found.append(engine.clock.phase)
        engine.progress = (number + 1) / 10
        engine.play_round()
    assert found == phases
    assert int(system.seen) == 4 * phases.count("game")


def test_crumbs_are_left_out_and_the_largest_part_stays() -> None:
    solids = torch.zeros(3, 1, 16, 16, 16)
    solids[0, 0, 2:10, 2:10, 2:10] = 0.9  # 512 voxels
    solids[0, 0, 12, 12, 12:14] = 0.8  # 2 of them: a crumb
    solids[0, 0, 12:15, 2:5, 2:5] = 0.7  # 27: a leg that came off
    solids[1, 0, ::2, 0, 0] = 1.0  # nothing but dust: one of it stays
    made = without_crumbs(solids, 0.01)
    assert made[0, 0, 12, 12, 12:14].max() == 0
    assert torch.equal(made[0, 0, :12], solids[0, 0, :12])
    assert torch.equal(made[0, 0, 12:15, 2:5, 2:5], solids[0, 0, 12:15, 2:5, 2:5])
    assert (made[1] > 0).sum() == (solids[1] > 0).sum(), "of eight equal parts none is a crumb"
    assert (without_crumbs(solids, 0.5)[1] > 0).sum() == 1
    assert torch.equal(without_crumbs(solids, 0.0), solids)
    below = torch.full((1, 1, 16, 16, 16), 0.2)
    assert torch.equal(without_crumbs(below, 0.01), below), "what is outside stays as it is"
