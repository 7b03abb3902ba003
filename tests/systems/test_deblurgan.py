"""DeblurGAN: the critic asks for texture where squared error is content with none; blur made as the paper draws it; pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.motion import blurred, kernels
from ganvas.run.apply import apply
from ganvas.run.load import Run
from ganvas.run.train import train
from ganvas.store.records import Dataset, Field
from ganvas.systems.restoration.deblurgan import PRESETS, Config, DeblurGan

SPEC = ImageSpec(1, 24, 24)
FAST: dict[str, Any] = {"budget": "1r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}
SMALL = {
    "width": 4, "blocks": 1, "discriminator_width": 4, "critic_turns": 2, "batch_size": 4, "perceptual_weight": 0.0,
    "pixel_weight": 1.0, "blur_size": 5,
}  # fmt: skip


def build(spec: Any = SPEC, **settings: Any) -> DeblurGan:
    torch.manual_seed(0)
    return DeblurGan(spec, build_config(Config, {**SMALL, **settings}))


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def checks(count: int = 128) -> Dataset:
    """Squares of two pixels, each black or white, and beside them what is left when all of it is blurred away: faint grain."""
    rng = np.random.default_rng(0)
    sharp = (rng.integers(0, 2, (count, 12, 12, 1)).repeat(2, 1).repeat(2, 2) * 200 + 25).astype(np.uint8)
    soft = (128 + rng.integers(-12, 13, sharp.shape)).astype(np.uint8)
    fields = {"sharp": Field(SPEC, sharp), "blurred": Field(SPEC, soft)}
    return Dataset(fields, None, np.arange(count), np.arange(count) >= 96, "checks", "")


def sharpness_after(rounds: int, **settings: Any) -> float:
    """Differences of neighbours in what is made of held-out images, as a share of those of the true ones."""
    data = checks()
    system = build(
        {"sharp": SPEC, "blurred": SPEC},
        **{"width": 8, "discriminator_width": 16, "batch_size": 8, "norm": "instance", "learning_rate": 1e-3, **settings},
    )
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 8, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    held = data.heldout_indices()
    soft, true = (
        torch.from_numpy(data.fields[name].values[held].astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
        for name in ("blurred", "sharp")
    )
    with engine.watching() as board, torch.no_grad():
        made: Tensor = board.deblur(soft, noise())  # type: ignore[operator]
    return float(made.diff(dim=3).abs().mean() / true.diff(dim=3).abs().mean())


def test_the_critic_asks_for_texture_and_squared_error_does_not() -> None:
    found = {weight: sharpness_after(120, adversarial_weight=weight, critic_turns=3) for weight in (1.0, 0.0)}
    assert found[1.0] > 0.9, found
    assert found[0.0] < 0.8 and found[1.0] > 1.4 * found[0.0], found


def edges(count: int = 160) -> Dataset:
    """Large squares, grey or bright, which `blur` makes soft."""
    rng = np.random.default_rng(0)
    values = (rng.integers(0, 2, (count, 6, 6, 1)).repeat(4, 1).repeat(4, 2) * 160 + 48).astype(np.uint8)
    return Dataset({"real": Field(SPEC, values)}, None, np.arange(count), np.arange(count) >= 128, "edges", "")


def gain_after(rounds: int, **settings: Any) -> float:
    """Decibels by which held-out images that were blurred come nearer to the sharp ones."""
    data = edges()
    squared = {"adversarial_weight": 0.0, "pixel_weight": 10.0, "width": 8, "batch_size": 8, "learning_rate": 2e-3}
    system = build(SPEC, **{**squared, **settings})
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 8, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    true = torch.from_numpy(data.values[data.heldout_indices()].astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
    with engine.watching() as board, torch.no_grad():
        soft: Tensor = board.blur(true, noise(5))  # type: ignore[operator]
        made: Tensor = board.deblur(soft, noise())  # type: ignore[operator]
    return float(10 * torch.log10((soft - true).square().mean() / (made - true).square().mean()))


@pytest.mark.parametrize("settings", [{"norm": "none"}, {"norm": "none", "skips": True}, {"norm": "instance"}])
def test_what_was_blurred_comes_nearer_to_the_sharp_one(settings: dict[str, Any]) -> None:
    assert gain_after(60, **settings) > 3


def test_without_learning_nothing_comes_nearer() -> None:
    assert abs(gain_after(20, norm="none", learning_rate=0.0)) < 0.2


def test_without_norms_maps_keep_their_size_and_no_unit_is_dead() -> None:
    """At a rate of 1e-3, where units that do not leak die and what they add to the input becomes nothing."""
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for skips in (False, True):
        network = build(ImageSpec(3, 32, 32), norm="none", width=16, blocks=4, skips=skips).generator
        seen: list[Tensor] = []
        for layer in network.modules():
            if isinstance(layer, torch.nn.LeakyReLU):
                layer.register_forward_hook(lambda _, given, made, seen=seen: seen.append(made.detach()))
        network(images)
        assert len(seen) == 9 and all(0.2 < float(maps.std()) < 1.5 for maps in seen)
    assert not any(isinstance(layer, torch.nn.ReLU) for layer in network.modules()), "a unit that leaks can come back"


def test_kernels_are_moves_of_a_camera() -> None:
    """Not negative, of sum 1, of many lengths and directions, connected, and none wider than asked for."""
    own = kernels(noise(1), 300, 15)
    assert own.shape == (300, 15, 15) and float(own.min()) >= 0
    assert torch.allclose(own.sum((1, 2)), torch.ones(300), atol=1e-5)
    seen = (own > 1e-4).sum((1, 2)).float()
    assert float(seen.min()) >= 3 and float(seen.max()) > 20 and float(seen.std()) > 5
    rows = torch.arange(15.0)
    spread = torch.stack([(own.sum(other) * (rows - 7) ** 2).sum(1) for other in (2, 1)])
    assert 0.6 < float(spread[0].mean() / spread[1].mean()) < 1.6, "no direction is preferred"
    assert torch.equal(own, kernels(noise(1), 300, 15)) and not torch.equal(own, kernels(noise(2), 300, 15))


def test_blur_is_each_records_own_and_keeps_the_mean() -> None:
    own = kernels(noise(1), 2, 5)
    images = torch.zeros(2, 3, 15, 17)
    images[:, :, 7, 8] = 1
    made = blurred(images, own)
    assert torch.allclose(made[0, 1, 5:10, 6:11], own[0].flip(0, 1), atol=1e-6)
    assert torch.allclose(made[1, 2, 5:10, 6:11], own[1].flip(0, 1), atol=1e-6)
    flat = torch.full((2, 1, 6, 6), 0.3)
    assert torch.allclose(blurred(flat, own), flat, atol=1e-6), "the border, too"


def test_the_fake_of_a_round_is_made_once_and_detached_for_the_critic() -> None:
    system = build()
    calls: list[int] = []
    system.generator.register_forward_hook(lambda *_: calls.append(1))
    batch = Batch(noise(), {"real": torch.rand(2, 1, 24, 24) * 2 - 1})
    shared: dict[str, Any] = {}
    for _ in range(3):
        sum(system.criticise(batch, Clock(), shared).values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is None for parameter in system.generator.parameters())
    sum(system.sharpen(batch, Clock(), shared).values()).backward()  # type: ignore[union-attr]
    assert len(calls) == 1 and "made" not in shared
    slopes = [parameter.grad for parameter in system.generator.parameters() if parameter.grad is not None]
    assert any(float(slope.abs().sum()) > 0 for slope in slopes)


def test_untrained_it_gives_nearly_back_what_it_was_given_and_stays_in_range() -> None:
    system = build(ImageSpec(3, 32, 32)).eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made = system.deblur(images, noise()).detach()
    assert float((made - images).abs().mean()) < 0.1 and float(made.abs().max()) <= 1


def test_preset_paper_is_the_papers_and_plays() -> None:
    system = DeblurGan(ImageSpec(3, 64, 64), build_config(Config, {**PRESETS["paper"], "critic_turns": 5}))
    config = system.config
    assert (config.width, config.blocks, config.batch_size, config.critic_turns) == (64, 9, 1, 5)
    assert (config.penalty_weight, config.perceptual_weight, config.learning_rate, config.norm) == (10, 100, 1e-4, "instance")
    assert [turn.times for turn in system.phases()[0].turns] == [5, 1]
    shared: dict[str, Any] = {}
    batch = Batch(noise(), {"real": torch.rand(1, 3, 64, 64) * 2 - 1})
    for objective in (system.criticise, system.sharpen):
        assert all(torch.isfinite(term) for term in objective(batch, Clock(), shared).values())
    assert "perceptual" in system.sharpen(batch, Clock(), {}) and system.extractors == ("effnet",)


def pairs(folder: Path, names: tuple[str, str] = ("sharp", "blur")) -> Path:
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
    for number in range(12):
        picture = rng.integers(0, 256, (24, 24, 3)).astype(np.uint8)
        Image.fromarray(picture).save(folder / names[0] / f"{number}.png")
        Image.fromarray(255 - picture).save(folder / names[1] / f"{number}.png")
    return folder


def test_a_folder_of_pairs_is_learnt_as_pairs_and_one_of_classes_is_not(tmp_path: Path) -> None:
    """The blurred half is the file's, not one that was made; deblurring takes a single file."""
    train("deblurgan", pairs(tmp_path / "pairs"), out=tmp_path / "run", config=SMALL, size=24, **FAST)
    run = Run(tmp_path / "run")
    assert list(run.record.fields) == ["sharp", "blurred"] and run.system.paired  # type: ignore[union-attr]
    batch = Batch(noise(), {"sharp": torch.ones(2, 3, 24, 24), "blurred": -torch.ones(2, 3, 24, 24)})
    soft, sharp = run.system._pair(batch, {})  # type: ignore[operator]
    assert float(soft.max()) == -1 and float(sharp.min()) == 1
    photo = np.random.default_rng(1).integers(0, 256, (30, 37, 3)).astype(np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    told = apply(tmp_path / "run", [tmp_path / "photo.png"], out=tmp_path / "o")
    assert told["verb"] == "deblur" and np.asarray(Image.open(tmp_path / "o" / "photo.png")).shape == photo.shape
    train("deblurgan", pairs(tmp_path / "pets", ("cats", "dogs")), out=tmp_path / "other", config=SMALL, size=24, **FAST)
    assert list(Run(tmp_path / "other").record.fields) == ["real"]


def test_pairs_of_two_sizes_are_refused_in_a_line() -> None:
    with pytest.raises(GanvasError, match="pairs of one size"):
        build({"sharp": ImageSpec(3, 32, 32), "blurred": ImageSpec(3, 16, 16)})


@pytest.mark.slow
def test_a_run_is_judged_beside_its_input(tmp_path: Path) -> None:
    from ganvas.evaluation.judge import evaluate

    np.savez(tmp_path / "data.npz", images=checks(80).fields["sharp"].values)
    train("deblurgan", tmp_path / "data.npz", out=tmp_path / "run", config=SMALL, size=24, **FAST)
    found = evaluate(tmp_path / "run", features="pixels", audit=False)
    assert {"input", "untrained"} <= found["anchors"].keys() and "psnr" in found


def test_the_mark_of_the_proof() -> None:
    from ganvas.proofs import Row
    from ganvas.proofs.deblurgan import AS_IT_IS, met

    def row(system: float, baseline: float, given: float, psnr: float) -> Row:
        more = {"system": {"psnr": psnr}, "baseline": {"psnr": 30.0}}
        return Row(0, {"system": system, "baseline": baseline, AS_IT_IS: given}, more)

    good = row(0.3, 0.4, 0.5, 29.5)
    assert met([good, good])
    assert not met([good, row(0.41, 0.4, 0.5, 29.5)]), "each seed for itself"
    assert not met([row(0.3, 0.4, 0.29, 29.5)]) and not met([row(0.3, 0.4, 0.5, 28.9)])


def test_methods_that_are_told_the_motion_undo_it() -> None:
    """The kernel is handed over the right way round: a point blurred by a hook comes back where it was."""
    restoration = pytest.importorskip("skimage.restoration")
    kernel = torch.zeros(1, 5, 5)
    kernel[0, 2, 2:] = kernel[0, 2:, 4] = 1
    kernel = kernel / kernel.sum()
    point = torch.zeros(1, 1, 21, 21)
    point[0, 0, 8, 11] = 1
    soft = blurred(point, kernel)[0, 0].double().numpy()
    found = restoration.richardson_lucy(soft, kernel[0].double().numpy()[::-1, ::-1], num_iter=30)
    assert np.unravel_index(found.argmax(), found.shape) == (8, 11) and found.max() > 0.5
