"""patch-gan-3d: patches that fit, noise by place, memory that does not grow, details that are those of real volumes."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.phantoms import make_phantom
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds import kind_of
from ganvas.kinds.volume import features
from ganvas.kinds.volume.spec import VolumeSpec
from ganvas.networks.patch_gan_3d import (
    NOISE,
    DetailGenerator,
    detailed,
    halved,
    inner,
    lattice,
    repeated,
    spread,
    tiles,
    windows,
)
from ganvas.proofs import patch_gan_3d as proof
from ganvas.registry import find, load_system
from ganvas.store.records import Dataset, Field
from ganvas.systems.volumes.patch_gan_3d import PRESETS, Config, PatchGan3d, sides_of

TINY = {"width": 4, "latent_size": 5, "batch_size": 2, "patch_side": 16, "patches": 1}


def noise(seed: int = 0) -> Noise:
    return Noise.seeded(seed)


def build(side: int = 32, **changes: Any) -> PatchGan3d:
    torch.manual_seed(0)
    system = PatchGan3d(VolumeSpec(side), build_config(Config, TINY | changes))
    with torch.no_grad():  # as if it had learnt: details as large as what they are added to
        for stage in (*system.details, *(system.average_details if system.config.ema_half_life else ())):
            stage.last.weight.normal_(0.0, 0.2)  # type: ignore[union-attr, operator]
    return system.eval()


# Patches


def test_windows_hold_what_lies_there_and_go_on_beyond_the_ends() -> None:
    volumes = torch.arange(2 * 4**3, dtype=torch.float32).view(2, 1, 4, 4, 4)
    found = windows(volumes, torch.tensor([1, 0]), torch.tensor([[0, 1, 2], [-1, 3, 0]]), 2)
    assert torch.equal(found[0, 0], volumes[1, 0, 0:2, 1:3, 2:4])
    assert torch.equal(found[1, 0, :, 0], volumes[0, 0, [0, 0], 3, :2])
    assert torch.equal(found[1, 0, :, 1], found[1, 0, :, 0]), "beyond the end"


def test_noise_belongs_to_places_and_is_normal() -> None:
    seeds = torch.tensor([7, 8])
    whole = lattice(seeds, torch.zeros(2, 3, dtype=torch.int64), 24)
    part = lattice(seeds[:1], torch.tensor([[5, 11, 3]]), 8)
    assert torch.equal(part[0], whole[0, :, 5:13, 11:19, 3:11])
    assert whole.shape == (2, NOISE, 24, 24, 24)
    assert abs(whole.mean()) < 0.01 and abs(whole.std() - 1) < 0.01
    assert 2.5 < (whole**4).mean() < 3.5
    flat = whole.transpose(0, 1).reshape(NOISE, -1)
    assert (torch.corrcoef(flat) - torch.eye(NOISE)).abs().max() < 0.03
    for axis in (2, 3, 4):
        near = torch.corrcoef(torch.stack([whole.narrow(axis, 0, 23).flatten(), whole.narrow(axis, 1, 23).flatten()]))
        assert abs(near[0, 1]) < 0.01
    assert abs(torch.corrcoef(whole.flatten(1))[0, 1]) < 0.01, "worlds differ"
    assert lattice(torch.tensor([2**61]), torch.tensor([[-4, -4, -4]]), 4).isfinite().all()


def test_eight_channels_are_the_eight_voxels_of_a_place() -> None:
    maps = torch.arange(16.0).view(1, 16, 1, 1, 1)
    assert torch.equal(spread(maps)[0, 1].flatten(), torch.arange(8.0, 16.0))
    assert torch.equal(halved(repeated(maps)), maps)


@pytest.mark.parametrize("sides", [(8, 8, 8), (9, 16, 5)])
def test_tiles_cover_every_voxel(sides: tuple[int, int, int]) -> None:
    seen = np.zeros(sides, int)
    for a, b, c in tiles(sides, 8):
        seen[a : a + 8, b : b + 8, c : c + 8] += 1
    assert seen.min() == 1


def test_details_leave_the_coarse_volume_as_it_was_and_are_not_nothing() -> None:
    system = build()
    coarse = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    made = system.restore(coarse, noise())
    assert made.shape == (2, 1, 32, 32, 32)
    assert (halved(made) - coarse).abs().max() < 1e-5
    smooth = interpolate(coarse, scale_factor=2, mode="trilinear", align_corners=False)
    assert (made - smooth).std() > 0.1
    other = system.restore(coarse, noise(1))
    assert (made - other).std() > 0.01, "noise says which details"


@pytest.mark.parametrize("sides", [(16, 16, 16), (17, 24, 9)])
def test_patches_are_the_same_whatever_is_made_around_them(sides: tuple[int, ...]) -> None:
    """The point of the system: made patch by patch, a volume is the one that is made at once."""
    stage = DetailGenerator(8, 3)
    torch.nn.init.normal_(stage.last.weight, 0.0, 0.3)
    coarse = torch.randn(1, 1, *sides, generator=torch.Generator().manual_seed(0))
    seed = torch.tensor([5])
    whole = detailed(stage, coarse, seed, 24, 1)
    for tile in (4, 8, 16):
        apart = (detailed(stage, coarse, seed, tile, 3) - whole).abs().max()
        assert apart < 1e-4 * whole.std(), (tile, apart)


def test_padding_each_patch_would_show() -> None:
    """The same network on windows without their surroundings: its patches do not fit."""
    stage = DetailGenerator(8, 3)
    torch.nn.init.normal_(stage.last.weight, 0.0, 0.3)
    coarse, seed = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([5])
    whole = detailed(stage, coarse, seed, 16, 1)
    for place in ((0, 0, 0), (8, 8, 0)):
        cut = coarse[(..., *(slice(a, a + 8) for a in place))]
        alone = detailed(stage, cut, seed, 8, 1)
        there = whole[(..., *(slice(2 * a, 2 * a + 16) for a in place))]
        assert (inner(alone, 1) - inner(there, 1)).abs().max() > 0.05 * whole.std()


def test_samples_do_not_depend_on_the_side_of_their_patches() -> None:
    first = build(64, patch_side=16).sample(2, noise(3))
    assert first.shape == (2, 1, 64, 64, 64)
    for side in (24, 128):
        assert (build(64, patch_side=side).sample(2, noise(3)) - first).abs().max() < 1e-4 * first.std()


# The game


@pytest.mark.parametrize(
    ("side", "whole", "sides"),
    [(16, 0, (8, 16)), (32, 0, (16, 32)), (64, 0, (16, 32, 64)), (48, 0, (12, 24, 48)), (256, 0, (16, 32, 64, 128, 256)),
     (64, 32, (32, 64)), (64, 24, ()), (20, 0, ()), (17, 0, ())],
)  # fmt: skip
def test_sides_are_doubled_from_a_small_one(side: int, whole: int, sides: tuple[int, ...]) -> None:
    assert sides_of(side, whole) == sides
    if not sides:
        with pytest.raises(GanvasError, match="add --size 64"):
            build(side, whole_side=whole)


def test_it_is_found_by_its_alias_and_presets_suit_the_side() -> None:
    from ganvas.presets import Situation

    assert find("patchgan-3d").name == "patch-gan-3d"
    large = PRESETS["auto"](Situation(VolumeSpec(256), 100, None, 20.0, "cpu"))
    small = PRESETS["auto"](Situation(VolumeSpec(64), 100, None, 20.0, "cpu"))
    assert large["batch_size"] < small["batch_size"]
    assert large["batch_size"] * large["patches"] == small["batch_size"] * small["patches"]


def test_patches_for_learning_are_real_beside_what_they_are_made_of() -> None:
    system = build()
    real = torch.randn(3, 1, 32, 32, 32, generator=torch.Generator().manual_seed(1))
    patches, coarse, grain = system._patches(Batch(noise(), {"real": real}), 0)
    margin = system.details[0].margin
    assert patches.shape == (3, 1, 16, 16, 16) and coarse.shape == (3, 1, *(8 + 2 * margin,) * 3)  # type: ignore[operator]
    assert grain.shape == (3, NOISE, *coarse.shape[2:])
    assert (halved(patches) - inner(coarse, margin)).abs().max() < 1e-6  # type: ignore[arg-type]


def test_each_stage_plays_in_its_phase_and_fresh_batches_are_as_good() -> None:
    system = build(64)
    assert [phase.name for phase in system.phases()] == ["whole", "details_32", "details_64"]
    batch = Batch(noise(), {"real": torch.randn(2, 1, 64, 64, 64)})
    shared: dict[str, Any] = {}
    clock = Clock(phase="details_64")
    terms = system.discriminate_patches(batch, clock, shared)
    sum(terms.values()).backward()  # type: ignore[union-attr]
    assert all(own.grad is not None for own in system.judges[1].parameters())
    assert all(own.grad is None for own in (*system.judges[0].parameters(), *system.discriminator.parameters()))
    assert system.fool_patches(batch, clock, shared).keys() == system.fool_patches(batch, clock, {}).keys() == {"fool", "like"}


@cache
def trained(rounds: int = 60) -> tuple[PatchGan3d, np.ndarray, Any]:
    """The stage of patches, learnt on small heads; and heads that it has not seen."""
    made = make_phantom("brain-volumes", 24, 3, size=32)
    torch.manual_seed(0)
    settings = TINY | {"width": 8, "batch_size": 4, "patches": 4, "whole_share": 0.05, "ema_half_life": 50.0}
    system = PatchGan3d(made.spec, build_config(Config, settings))
    data = Dataset({"real": Field(made.spec, made.values[:16])}, None, np.arange(16), np.zeros(16, bool), "heads", "heads")
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 4, seed=0)}, seed=0, check_every=50)
    for number in range(rounds):
        engine.progress = (number + 1) / rounds
        engine.play_round()
    return system.eval(), made.values[16:], made.spec


def test_it_learns_the_detail_of_real_volumes() -> None:
    system, held, spec = trained()
    kind = kind_of("volume")
    real = kind.encode(held, spec, "cpu")
    with torch.no_grad():
        small = system.degrade(real, noise())
        made = kind.decode(system.restore(small, noise()), spec)
        smooth = kind.decode(interpolate(small, scale_factor=2, mode="trilinear", align_corners=False), spec)
    power = [features.radial_power(own, spec) for own in (made, smooth, held)]
    apart = [features.spectrum_distance(own, power[2], 1) for own in power[:2]]
    assert apart[0] < 0.4 * apart[1], apart
    untrained = PatchGan3d(spec, system.config).eval()
    with torch.no_grad():
        raw = kind.decode(untrained.restore(small, noise()), spec)
    near = [float(kind.paired(own, held, spec, ())["psnr"][0].mean()) for own in (made, smooth, raw)]
    assert near[0] > near[1] + 0.3 and near[0] > near[2] + 1, near  # detail is not noise: it lies where the true one lies


def test_seams_are_measured() -> None:
    rng = np.random.default_rng(0)
    volumes = rng.normal(size=(4, 32, 32, 32))
    assert proof.seam(volumes) == pytest.approx(1, abs=0.03)
    assert proof.blocks(volumes) == pytest.approx(1, abs=0.03)
    patched = volumes.copy()
    patched[:, 16:] += 1.0
    assert proof.seam(patched) > 1.05
    doubled = volumes[:, :16, :16, :16].repeat(2, 1).repeat(2, 2).repeat(2, 3) + 0.1 * volumes
    assert proof.blocks(doubled) > 3
    coarse = volumes[:, :8, :8, :8].repeat(4, 1).repeat(4, 2).repeat(4, 3)
    blocks = coarse + 0.5 * doubled[:, :32, :32, :32]
    assert proof.seam(blocks) == pytest.approx(1, abs=0.1), "between coarse voxels steps are large everywhere"


def test_the_baseline_is_the_same_networks_as_one_gan_and_learns_together() -> None:
    card, module, found = load_system(str(proof.FULL_SIZE))
    system = found(VolumeSpec(32), build_config(module.Config, TINY))
    own = build(32)
    assert sum(p.numel() for p in system.details.parameters()) == sum(p.numel() for p in own.details.parameters())
    batch, shared = Batch(noise(), {"real": torch.randn(2, 1, 32, 32, 32)}), {}
    system.discriminate(batch, Clock(), shared)
    system.fool(batch, Clock(), shared)["fool"].backward()
    assert all(p.grad is not None for p in (*system.generator.parameters(), *system.details.parameters()))
    assert system.sample(2, noise()).shape == (2, 1, 32, 32, 32)
    assert card.name


@pytest.mark.slow
def test_memory_of_drawing_does_not_grow_with_the_side() -> None:
    taken = [proof.memory("patch-gan-3d", side, {"width": 8}) for side in (64, 128)]
    assert taken[1] < 1.5 * taken[0] + 10


def test_restoring_gives_a_nifti_file_at_the_same_place(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    import ganvas
    from ganvas.run.apply import apply

    ganvas.train(
        "patch-gan-3d", "brain-volumes", out=tmp_path / "run", budget="2r", size="16", phantom_count=8, quiet=True,
        config={**TINY, "whole_share": 0.3}, sample_every=0.0,
    )  # fmt: skip
    affine = np.array([[0, -3.0, 0, 40], [-3.0, 0, 0, 10], [0, 0, 4.0, -20], [0, 0, 0, 1.0]])
    volume = np.random.default_rng(0).integers(90, 150, (9, 10, 12)).astype(np.uint8)  # details stay within 8 bits
    nibabel.save(nibabel.Nifti1Image(volume, affine), tmp_path / "head.nii.gz")
    done = apply(tmp_path / "run", [tmp_path / "head.nii.gz"], verb="restore", out=tmp_path / "large")
    back = nibabel.load(done["files"][0])
    assert back.shape == (18, 20, 24)
    assert back.affine[:3, :3] == pytest.approx(affine[:3, :3] / 2)
    assert back.affine @ [-0.5, -0.5, -0.5, 1] == pytest.approx(affine @ [-0.5, -0.5, -0.5, 1])
    assert np.asarray(back.dataobj).reshape(9, 2, 10, 2, 12, 2).mean((1, 3, 5)) == pytest.approx(volume, abs=0.6)
    assert back.header["descrip"].item().startswith(b"SYNTHETIC")


def test_the_script_that_measures_memory_runs() -> None:
    words = [sys.executable, "-c", proof.MEMORY, "patch-gan-3d", "16", json.dumps({"width": 4})]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)) == 3
