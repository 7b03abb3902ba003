"""dose-gan: the discriminator asks for texture that squared error takes out; noise as of a sinogram; Hounsfield units kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import DataError, GanvasError
from ganvas.game import Clock
from ganvas.health.losses import cross_entropies
from ganvas.kinds.image.readers import read
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.image.writers import write_dicom
from ganvas.networks.projections import WATER_PER_MM, dose_noise, line_integrals
from ganvas.run.apply import apply
from ganvas.run.load import Run, read_run
from ganvas.run.train import train
from ganvas.store.records import Dataset, Field
from ganvas.systems.restoration.dose_gan import PRESETS, Config, DoseGan

SPEC = ImageSpec(1, 24, 24)
FAST: dict[str, Any] = {"budget": "1r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}
SMALL: dict[str, Any] = {
    "width": 4, "layers": 3, "discriminator_width": 4, "norm": "none", "batch_size": 8, "learning_rate": 2e-3,
}  # fmt: skip


def build(spec: Any = SPEC, **settings: Any) -> DoseGan:
    torch.manual_seed(0)
    return DoseGan(spec, build_config(Config, {**SMALL, **settings}))


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def grain(count: int = 96) -> Dataset:
    """Grey with the noise of full dose, and with as much more as a quarter of the dose has."""
    rng = np.random.default_rng(0)
    full = 128 + rng.normal(0, 10, (count, 24, 24, 1))
    low = full + rng.normal(0, 10 * 3**0.5, full.shape)
    fields = {name: Field(SPEC, np.rint(values).astype(np.uint8)) for name, values in (("full", full), ("low", low))}
    return Dataset(fields, None, np.arange(count), np.arange(count) >= 64, "grain", "")


def played(data: Dataset, rounds: int, **settings: Any) -> tuple[Tensor, Tensor, Tensor]:
    """(low, made, full) of held-out records after so many rounds."""
    spec = {name: field.spec for name, field in data.fields.items()}
    system = build(spec, **settings)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], system.config.batch_size, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    held = data.heldout_indices()
    low, full = (
        torch.from_numpy(data.fields[name].values[held].astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
        for name in ("low", "full")
    )
    with engine.watching() as board, torch.no_grad():
        made: Tensor = board.denoise(low, noise())  # type: ignore[operator]
    return low, made, full


SCALE = {"black": -127.5, "white": 127.5, "noise": 10.0}  # grey values for Hounsfield units


def test_the_discriminator_leaves_the_noise_of_full_dose_and_squared_error_takes_it_out() -> None:
    found = {}
    for weight in (1.0, 0.0):
        _, made, full = played(grain(), 120, adversarial_weight=weight, **SCALE)
        found[weight] = float(made.diff(dim=3).std() / full.diff(dim=3).std())
    assert found[0.0] < 0.75 and found[1.0] > 1.3 * found[0.0], found
    assert 0.7 < found[1.0] < 1.4, found


def test_squared_error_comes_nearer_to_full_dose_and_nothing_learnt_does_not() -> None:
    def gain(rounds: int, **settings: Any) -> float:
        low, made, full = played(grain(), rounds, adversarial_weight=0.0, **SCALE, **settings)
        return float(10 * torch.log10((low - full).square().mean() / (made - full).square().mean()))

    assert gain(60) > 3
    assert abs(gain(5, learning_rate=0.0)) < 0.1


def enhanced(count: int = 96) -> Dataset:
    """Two channels, after and before a contrast agent: spots light up, a tenth as much in `low`, where bright tissue hides
    them."""
    rng = np.random.default_rng(0)
    before = rng.integers(60, 140, (count, 6, 6, 1)).repeat(4, 1).repeat(4, 2).astype(float)
    spot = np.zeros((count, 24, 24, 1))
    for own, (row, column) in zip(spot, rng.integers(2, 18, (count, 2)), strict=True):
        own[row : row + 4, column : column + 4] = 100
    low = np.concatenate([before + 0.1 * spot + rng.normal(0, 1.5, before.shape), before], 3)
    full = np.concatenate([before + spot, before], 3)
    spec = ImageSpec(2, 24, 24)
    fields = {
        name: Field(spec, np.rint(values).clip(0, 255).astype(np.uint8)) for name, values in (("full", full), ("low", low))
    }
    return Dataset(fields, None, np.arange(count), np.arange(count) >= 64, "enhanced", "")


def test_a_reduced_contrast_agent_is_read_from_both_pictures() -> None:
    """Of the picture after it alone, a spot cannot be told from tissue; with that of before exchanged, it gets worse."""
    data = enhanced()
    settings = {"adversarial_weight": 0.0, "black": 0.0, "white": 255.0, "noise": 20.0, "width": 8, "learning_rate": 5e-3}
    spec = {name: field.spec for name, field in data.fields.items()}
    system = build(spec, **settings)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 8, seed=0)}, seed=0)
    for _ in range(150):
        engine.play_round()
    held = data.heldout_indices()
    low, full = (
        torch.from_numpy(data.fields[name].values[held].astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
        for name in ("low", "full")
    )
    with engine.watching() as board, torch.no_grad():
        errors = []
        for before in (low[:, 1:], low[:, 1:].flip(0)):
            made = board.denoise(torch.cat([low[:, :1], before], 1), noise())  # type: ignore[operator]
            errors.append(float((made - full)[:, 0].square().mean()))
    untouched = float((low - full)[:, 0].square().mean())
    assert errors[0] < 0.4 * untouched and errors[1] > 1.5 * errors[0], (errors, untouched)


# The simulator


def water(side: int, millimetres: float, radius: float = 100.0, count: int = 24) -> Tensor:
    axis = (torch.arange(side) - (side - 1) / 2) * millimetres
    disc = (axis[:, None] ** 2 + axis**2 <= radius**2).float()
    return disc.expand(count, side, side).contiguous()


def added(density: Tensor, millimetres: float, **more: Any) -> Tensor:
    """In HU."""
    given = {"size": 0.01, "dose": 0.25, "electronic": 0.0, "millimetres": millimetres, **more}
    corner = torch.zeros(len(density), dtype=torch.long)
    return 1000 * dose_noise(noise(), density, corner, corner, *density.shape[1:], **given)


def test_noise_is_what_the_setting_says_in_the_middle_of_water_at_every_resolution() -> None:
    for side, millimetres in ((64, 4.0), (96, 2.5)):
        middle = slice(side // 2 - 4, side // 2 + 4)
        made = added(water(side, millimetres), millimetres)[:, middle, middle]
        assert abs(float(made.std()) / (10 * math.sqrt(3)) - 1) < 0.12
        assert abs(float(made.mean())) < 1.5


def test_noise_follows_dose_body_and_electronics() -> None:
    """A tenth of the dose adds nine parts of variance, a quarter three; a larger body lets fewer photons through."""
    disc = water(48, 5.0)
    middle = (slice(None), slice(20, 28), slice(20, 28))
    size = {dose: float(added(disc, 5.0, dose=dose)[middle].std()) for dose in (0.25, 0.1)}
    assert abs(size[0.1] / size[0.25] / math.sqrt(3) - 1) < 0.05
    assert float(added(water(48, 5.0, 115.0), 5.0)[middle].std()) > 1.2 * size[0.25]
    assert float(added(disc, 5.0, electronic=0.1)[middle].std()) > 1.05 * size[0.25]
    emitted = added(disc, 5.0, emitted=True)
    assert abs(float(emitted[middle].std()) / (10 * math.sqrt(3)) - 1) < 0.15
    assert float(emitted[:, :6, :6].std()) < 0.8 * float(emitted[middle].std()), "PET is quiet where there is nothing"


def test_noise_has_hardly_any_low_frequencies() -> None:
    """The ramp of reconstruction: white noise has as much of each."""
    power = torch.fft.rfft2(added(water(64, 4.0), 4.0)[:, 16:48, 16:48]).abs().square().mean(0)
    assert float(power[0, 1].mean()) < 0.3 * float(power[0, 7:11].mean())


def test_a_piece_is_cut_out_of_the_noise_of_the_whole() -> None:
    disc = water(32, 7.0, 80.0, count=2)
    given: dict[str, Any] = {"size": 0.01, "dose": 0.25, "electronic": 0.005, "millimetres": 7.0}
    corner = torch.zeros(2, dtype=torch.long)
    whole = dose_noise(noise(1), disc, corner, corner, 32, 32, **given)
    part = dose_noise(noise(1), disc, torch.tensor([3, 20]), torch.tensor([11, 0]), 12, 8, **given)
    assert torch.allclose(part[0], whole[0, 3:15, 11:19], atol=1e-5)
    assert torch.allclose(part[1], whole[1, 20:32, :8], atol=1e-5)
    assert not torch.allclose(whole[0], whole[1]), "each record has its own"
    oblong = dose_noise(noise(1), disc[:, :, 4:28], corner, corner, 32, 24, **given)
    assert torch.allclose(oblong, whole[:, :, 4:28], atol=1e-4), "what is not square lies in the middle of air"


def test_line_integrals_and_noise_are_those_of_scikit_image() -> None:
    """The proof's simulator: `radon`, counts drawn as whole numbers, `iradon`."""
    transform = pytest.importorskip("skimage.transform")
    from ganvas.proofs.dose_gan import FIELD, scanned

    side = 48
    body = water(side, FIELD / side, 80.0, 1)
    body[:, 20:24, 10:14] = 2.0
    ours = line_integrals(body * WATER_PER_MM * FIELD / side, 24)[0]
    theirs = transform.radon(body[0].numpy() * WATER_PER_MM * FIELD / side, (np.arange(24) + 0.5) * 7.5, circle=False)
    assert abs(float(ours.amax()) / theirs.max() - 1) < 0.08
    assert abs(float(ours.sum(1).mean()) * side / 32 / theirs.sum(0).mean() - 1) < 0.02
    units = np.broadcast_to((body[0].numpy() - 1) * 1000, (12, side, side))
    counted = scanned(units, 0.25, np.random.default_rng(0), noise=10.0) - units
    drawn = added(body.expand(12, -1, -1).contiguous(), FIELD / side, electronic=0.005).numpy()
    for part in ((slice(None), slice(18, 30), slice(18, 30)), (slice(None), slice(0, 10), slice(0, 10))):
        assert abs(counted[part].std() / drawn[part].std() - 1) < 0.15


# The game


def test_low_dose_of_a_round_is_made_once_and_what_is_made_of_it_is_detached_for_the_discriminator() -> None:
    system = build()
    calls: list[int] = []
    system.generator.register_forward_hook(lambda *_: calls.append(1))
    batch = Batch(noise(), {"real": torch.rand(2, 1, 24, 24) * 2 - 1})
    shared: dict[str, Any] = {}
    sum(system.discriminate(batch, Clock(), shared).values()).backward()  # type: ignore[union-attr]
    low = shared["pair"][0]
    assert all(parameter.grad is None for parameter in system.generator.parameters())
    sum(system.restore_dose(batch, Clock(), shared).values()).backward()  # type: ignore[union-attr]
    assert len(calls) == 1 and "made" not in shared and shared["pair"][0] is low
    assert any(float(p.grad.abs().sum()) > 0 for p in system.generator.parameters() if p.grad is not None)


def test_both_of_a_pair_are_cut_and_mirrored_alike() -> None:
    spec = {"full": SPEC, "low": SPEC}
    full = torch.rand(16, 1, 24, 24) * 2 - 1
    low, own = build(spec, crop_size=10)._pair(Batch(noise(3), {"full": full, "low": -full}), {})
    assert low.shape == (16, 1, 10, 10) and torch.equal(low, -own)
    assert any(
        torch.equal(own[k], full[k, :, i : i + 10, j : j + 10].flip(2)) for k in range(16) for i in range(15) for j in range(15)
    )


def test_errors_are_in_the_size_of_the_noise_whatever_the_window() -> None:
    """Of a range of 3000 HU as of one of 400: the term is about 1 before anything was learnt."""
    for black, white in ((-1024.0, 1976.0), (-160.0, 240.0)):
        system = build(ImageSpec(1, 64, 64, depth=16, high=65535.0), black=black, white=white, adversarial_weight=0.0)
        axis = (torch.arange(64) - 31.5) * 250 / 64
        disc = (axis[:, None] ** 2 + axis**2 <= 100**2).float()
        units = (disc * 1000 - 1000).clamp(min=black)[None, None].expand(8, -1, -1, -1)  # air is black in both
        given = Batch(noise(), {"real": (units - black) / (white - black) * 2 - 1})
        assert 0.1 < float(system.restore_dose(given, Clock(), {})["pixel"].detach()) < 1.5


def test_untrained_it_gives_nearly_back_what_it_was_given_and_stays_in_range() -> None:
    system = build(ImageSpec(3, 32, 20)).eval()
    images = torch.rand(2, 3, 37, 21, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made = system.denoise(images, noise()).detach()
    assert made.shape == images.shape and float((made - images).abs().mean()) < 0.02 and float(made.abs().max()) <= 1


def test_preset_paper_is_the_papers_and_plays() -> None:
    system = DoseGan(ImageSpec(1, 64, 64), build_config(Config, {**PRESETS["paper"], "batch_size": 2}))
    convolutions = [layer for layer in system.generator.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 7 and all(layer.stride == (1, 1) for layer in convolutions)
    assert [layer.out_channels for layer in convolutions] == [32, 32, 64, 64, 128, 128, 1]
    judged = [layer for layer in system.discriminator.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.stride[0] for layer in judged] == [1, 2, 1, 2, 1, 2, 1, 2, 1]
    batch = Batch(noise(), {"real": torch.rand(2, 1, 64, 64) * 2 - 1})
    shared: dict[str, Any] = {}
    for objective in (system.discriminate, system.restore_dose):
        assert all(torch.isfinite(term) for term in objective(batch, Clock(), shared).values())


def test_a_discriminator_that_is_too_sure_is_watched_for() -> None:
    assert cross_entropies(build()) == ("discriminator",)


@pytest.mark.parametrize(
    ("spec", "settings", "told"),
    [
        ({"full": ImageSpec(1, 32, 32), "low": ImageSpec(3, 32, 32)}, {}, "32x32 with 3 .* and full 32x32 with 1"),
        ({"full": ImageSpec(1, 32, 32), "low": ImageSpec(1, 32, 24)}, {}, "pairs of one size"),
        (ImageSpec(1, 6, 32), {}, "too small"),
        (SPEC, {"black": 100.0, "white": -100.0}, "is below black"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(spec: Any, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(GanvasError, match=told) as error:
        build(spec, **settings)
    assert "\n" not in str(error.value)


# Files


def slices(folder: Path, count: int, side: int, metal: float = 0.0) -> Path:
    """CT slices in whole Hounsfield units as DICOM, under a window of soft tissue."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    axis = (np.arange(side) - (side - 1) / 2) / side
    body = (axis[:, None] ** 2 + axis**2)[..., None]
    for number in range(count):
        units = np.where(body < 0.16, 40, -1000) + np.where(abs(body - 0.15) < 0.01, 1000, 0)
        units = np.rint(units + rng.normal(0, 9, units.shape)).astype(np.float32)
        units[side // 2, side // 2] = metal or 40
        spec = ImageSpec(1, side, side, 32, -160.0, 240.0, spacing=(250 / side, 250 / side), format="dicom")
        write_dicom(folder / f"slice{number}.dcm", units, spec, note={}, seed=number)
    return folder


def test_a_series_comes_back_in_hounsfield_units(tmp_path: Path) -> None:
    """A slice of 512 x 512: what the run leaves alone comes back to 1 HU, what lies beyond its window exactly."""
    pytest.importorskip("pydicom")
    data = slices(tmp_path / "series", 12, 24)
    train("dose-gan", data, out=tmp_path / "run", config={**SMALL, "learning_rate": 0.0}, **FAST)
    run = Run(tmp_path / "run")
    assert run.system.span == pytest.approx(400, abs=2), "the file's own units"
    large = slices(tmp_path / "large", 1, 512, metal=9000.0)
    with torch.no_grad():
        for network in (run.system.average,):
            network.layers[-1].weight.zero_()
    told = apply(run, [large], out=tmp_path / "o")
    assert told["verb"] == "denoise" and [Path(f).name for f in told["files"]] == ["slice0.dcm"]
    (before,), (after,) = (list(read(path)) for path in (large / "slice0.dcm", tmp_path / "o" / "slice0.dcm"))
    assert after.pixels.shape == (512, 512, 1) and (after.low, after.high) == pytest.approx((before.low, before.high), abs=1.01)
    assert float(np.abs(after.pixels - before.pixels).max()) <= 1.0
    beyond = (before.pixels < before.low) | (before.pixels > before.high)
    assert beyond.any() and np.array_equal(after.pixels[beyond], before.pixels[beyond])
    (note,) = [note for note in told["notes"] if "12 bits" in note]
    assert "9000" in note and "\n" not in note


def test_a_volume_comes_back_as_a_volume(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    rng = np.random.default_rng(0)
    (tmp_path / "volumes").mkdir()
    for name in "ab":
        volume = np.rint(rng.normal(40, 30, (12, 14, 10))).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(volume, np.diag([2.0, 2.0, 3.0, 1.0])), tmp_path / "volumes" / f"{name}.nii.gz")
    train("dose-gan", tmp_path / "volumes", out=tmp_path / "run", config=SMALL, **FAST)
    apply(tmp_path / "run", [tmp_path / "volumes" / "a.nii.gz"], out=tmp_path / "o")
    made = nibabel.load(tmp_path / "o" / "a.nii.gz")
    assert made.shape == (12, 14, 10) and np.allclose(made.affine, np.diag([2.0, 2.0, 3.0, 1.0]))


def test_pairs_of_files_are_learnt_as_pairs_and_odd_ones_refused(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)

    def folder(name: str, low: tuple[int, ...]) -> Path:
        for own, shape in (("full", (24, 24)), ("low-dose", low)):
            (tmp_path / name / own).mkdir(parents=True)
            for number in range(12):
                picture = rng.integers(0, 256, shape).astype(np.uint8)
                Image.fromarray(picture).save(tmp_path / name / own / f"{number}.png")
        return tmp_path / name

    train("dose-gan", folder("good", (24, 24)), out=tmp_path / "run", config=SMALL, **FAST)
    run = Run(tmp_path / "run")
    assert list(run.record.fields) == ["full", "low"] and run.system.paired  # type: ignore[union-attr]
    told = apply(run, [tmp_path / "good" / "low-dose" / "0.png"], out=tmp_path / "o")
    assert np.asarray(Image.open(told["files"][0])).shape == (24, 24)
    for name, low in (("colour", (24, 24, 3)), ("size", (24, 20))):
        with pytest.raises((DataError, GanvasError)) as error:
            train("dose-gan", folder(name, low), out=tmp_path / f"{name}-run", config=SMALL, **FAST)
        assert "\n" not in str(error.value)


def test_an_npz_with_the_two_names_is_learnt_as_pairs(tmp_path: Path) -> None:
    """As the page says of a contrast agent: two channels, and no size is given."""
    values = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 24, 2)).astype(np.uint8)
    np.savez(tmp_path / "data.npz", full=values[0], low=values[1])
    train("dose-gan", tmp_path / "data.npz", out=tmp_path / "run", config=SMALL, **FAST)
    record = read_run(tmp_path / "run")
    assert list(record.fields) == ["full", "low"] and record.spec.shape == (2, 24, 24)


@pytest.mark.slow
def test_a_run_is_judged_beside_its_input(tmp_path: Path) -> None:
    from ganvas.evaluation.judge import evaluate

    np.savez(tmp_path / "data.npz", images=grain(96).fields["full"].values)
    train("dose-gan", tmp_path / "data.npz", out=tmp_path / "run", config=SMALL, size=24, **FAST)
    found = evaluate(tmp_path / "run", features="pixels", audit=False)
    assert {"input", "untrained"} <= found["anchors"].keys() and "psnr" in found


def test_the_mark_of_the_proof() -> None:
    from ganvas.proofs import Row
    from ganvas.proofs.dose_gan import MEANS, met

    def row(system: float, baseline: float, means: float, psnr: float, kept: int) -> Row:
        more = {"system": {"psnr": psnr, "kept": kept, "lesions": 40}, "baseline": {"psnr": 40.0, "kept": 30}}
        return Row(0, {"system": system, "baseline": baseline, MEANS: means}, more)

    good = row(0.3, 0.9, 1.5, 39.3, 28)
    assert met([good, good])
    assert not met([good, row(1.0, 0.9, 1.5, 39.3, 28)]), "each seed for itself"
    assert not met([row(0.3, 0.9, 0.2, 39.3, 28)]) and not met([row(0.3, 0.9, 1.5, 38.9, 28)])
    assert not met([row(0.3, 0.9, 1.5, 39.3, 27)])


def test_the_judge_of_the_proof_sees_noise_and_lesions() -> None:
    from ganvas.proofs.dose_gan import REGION, contrasts, hounsfield, noise_power, regions, spots, stored

    rng = np.random.default_rng(0)
    units = 35 + rng.normal(0, 9, (20, 40, 40))
    assert np.allclose(hounsfield(stored(units)), units, atol=0.03)
    chosen = regions(units)
    assert len(chosen) == 20 * 7 * 7
    apart = noise_power(35 + 0.5 * (units - 35), chosen) - noise_power(units, chosen)
    assert len(apart) == REGION // 2 and np.allclose(apart, math.log(0.25), atol=1e-6)
    masks = np.zeros(units.shape, bool)
    masks[0, 10:16, 10:16] = True
    shown = units + np.where(masks, 20, 0)
    assert abs(contrasts(shown, masks, shown)[0] - 20) < 5 and np.isnan(contrasts(shown, masks, shown)[1:]).all()
    wrong = units.copy()
    wrong[3, 20:28, 20:28] += 25
    assert spots(units, units, masks) == 0 and spots(wrong, units, masks) == pytest.approx(1 / 19)
