"""Context encoder: the adversarial term draws one of what fits a hole, squared error alone the mean; D never sees a seam."""

from __future__ import annotations

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
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.context_encoder import holes_for
from ganvas.run.train import train
from ganvas.store.records import Dataset, Field
from ganvas.systems.restoration.context_encoder import PRESETS, Config, ContextEncoder

SPEC = ImageSpec(1, 16, 16)


def build(spec: ImageSpec = SPEC, **settings: Any) -> ContextEncoder:
    torch.manual_seed(0)
    given = {"width": 8, "code_size": 16, "batch_size": 16, "hole": "centre", "overlap": 1, "flip": False, **settings}
    return ContextEncoder(spec, build_config(Config, given))


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def batch(system: ContextEncoder, count: int = 4) -> Batch:
    images = torch.rand(count, *system.spec.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return Batch(noise(), {"real": images})


def hidden_stripes(count: int = 256) -> Dataset:
    """A frame of some grey, and in its middle two bright or two dark bars upright or lying: the frame does not tell which."""
    rng = np.random.default_rng(0)
    images = np.full((count, 16, 16, 1), 128, np.uint8)
    images += rng.integers(-20, 21, (count, 1, 1, 1)).astype(np.int8).astype(np.uint8)
    for image in images:
        bars = np.zeros((8, 8), np.int64)
        bars[:, 1:3] = bars[:, 5:7] = 1
        bars = bars if rng.random() < 0.5 else bars.T
        image[4:12, 4:12, 0] = np.where(bars == rng.integers(2), 230, 20)
    return Dataset({"real": Field(SPEC, images)}, None, np.arange(count), np.arange(count) >= 192, "stripes", "")


def drawn_after(rounds: int, **settings: Any) -> Tensor:
    """What is drawn in the holes of held-out images, (N, 1, 8, 8)."""
    data = hidden_stripes()
    rates = {"generator_learning_rate": 2e-3, "discriminator_learning_rate": 1e-3}
    system = build(ema_half_life=200.0, width=12, overlap_weight=1.0, **rates, **settings)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    held = data.heldout_indices()
    images = torch.from_numpy(data.fields["real"].values[held].astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
    with engine.watching() as board, torch.no_grad():
        made: Tensor = board.fill(images, board.hole(images, noise()), noise())  # type: ignore[operator]
    return made[:, :, 4:12, 4:12]


def test_one_of_what_fits_is_drawn_and_not_the_mean_of_all() -> None:
    contrast = {weight: float(drawn_after(300, adversarial_weight=weight).std((1, 2, 3)).mean()) for weight in (0.3, 0.0)}
    true = 105 / 127.5
    assert contrast[0.3] > 0.6 * true, contrast
    assert contrast[0.0] < 0.35 * true, contrast


def test_nothing_of_the_hole_reaches_the_network_and_nothing_but_the_hole_the_discriminator() -> None:
    """Off by one, and the encoder could copy; the seam, and D would know it."""
    for hole in ("centre", "blocks", "any"):
        system = build(hole=hole).eval()
        images = batch(system).real
        lack = system.hole(images, noise())
        other = torch.where(lack > 0, torch.rand_like(images), images)
        assert torch.equal(system.fill(images, lack, noise()), system.fill(other, lack, noise()))
        seen = torch.nn.functional.max_pool2d(lack, 3, 1, 1)
        around = torch.where(seen > 0, images, torch.rand_like(images))
        assert torch.equal(system._seen(images, seen), system._seen(around, seen)), hole


def test_the_border_counts_ten_times_and_the_rest_not_at_all() -> None:
    system = build(adversarial_weight=0.0, overlap=1, overlap_weight=10.0)
    images, lack = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    lack[:, :, 4:12, 4:12] = 1
    region = 100.0  # pixels of the hole and its border

    def error(row: int) -> float:
        made = torch.zeros(1, 1, 16, 16)
        made[0, 0, row, 8] = 1
        shared = {"filled": (images, lack, made)}
        return float(system.complete(Batch(noise(), {"real": images}), Clock(), shared)["reconstruction"])

    assert error(8) == pytest.approx(0.999 / region)
    assert error(3) == pytest.approx(9.99 / region)
    assert error(1) == 0


def test_squared_error_alone_leaves_the_discriminator_out() -> None:
    system = build(adversarial_weight=0.0)
    assert [turn.times for turn in system.phases()[0].turns] == [0, 1]
    assert system.complete(batch(system), Clock(), {}).keys() == {"reconstruction"}


def test_holes_are_of_the_sizes_that_are_asked_for() -> None:
    centre = holes_for(noise(), 2, 16, 24, "centre", 0.5)
    assert centre.shape == (2, 1, 16, 24) and centre[0, 0, 4:12, 6:18].all() and float(centre[0].sum()) == 8 * 12
    for kind in ("blocks", "any"):
        some = holes_for(noise(3), 200, 33, 40, kind, 0.5)
        share = some.mean((1, 2, 3))
        assert set(some.unique().tolist()) == {0.0, 1.0} and float(share.min()) > 0.005 and float(share.max()) < 0.6
        assert len(share.unique()) > 50 and float((some.mean(0) > 0).float().mean()) > 0.95, "anywhere"
        assert torch.equal(some, holes_for(noise(3), 200, 33, 40, kind, 0.5))


def test_preset_paper_is_the_papers_and_plays() -> None:
    system = ContextEncoder(ImageSpec(3, 128, 128), build_config(Config, PRESETS["paper"] | {"batch_size": 2}))
    config = system.config
    assert (config.code_size, config.width, config.generator_learning_rate, config.discriminator_learning_rate) == (
        4000, 64, 2e-3, 2e-4,
    )  # fmt: skip
    assert system.seen == (72, 72) and config.reconstruction_weight == 0.999
    shared: dict[str, Any] = {}
    data = batch(system, 2)
    for objective in (system.discriminate, system.complete):
        assert all(torch.isfinite(term) for term in objective(data, Clock(), shared).values())


def test_images_too_small_are_refused_in_a_line() -> None:
    with pytest.raises(GanvasError, match="--size"):
        build(ImageSpec(3, 6, 40))


@pytest.mark.slow
def test_a_folder_trains_and_is_judged_inside_its_holes(tmp_path: Path) -> None:
    from ganvas.evaluation.judge import evaluate

    np.savez(tmp_path / "data.npz", images=hidden_stripes(80).fields["real"].values)
    config = {"width": 4, "code_size": 8, "batch_size": 4}
    fast: dict[str, Any] = {"budget": "2r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}
    train("context-encoder", tmp_path / "data.npz", out=tmp_path / "run", config=config, size=16, **fast)
    found = evaluate(tmp_path / "run", features="pixels", audit=False)
    assert {"hole_error", "hole_psnr", "hole_seam"} <= found.keys()
    assert {"input", "smooth", "untrained"} <= found["anchors"].keys()


def test_the_mark_of_the_proof() -> None:
    from ganvas.proofs import Row
    from ganvas.proofs.context_encoder import STOKES, TELEA, met

    def row(system: float, baseline: float, telea: float, seam: float) -> Row:
        values = {"system": system, "baseline": baseline, TELEA: telea, STOKES: 0.6}
        return Row(0, values, {"system": {"seam": seam}, "baseline": {"seam": 1.0}})

    good = row(0.25, 0.33, 0.5, 1.1)
    assert met([good, good])
    assert not met([good, row(0.31, 0.33, 0.5, 1.1)]), "each seed for itself"
    assert (
        not met([row(0.25, 0.33, 0.2, 1.1)]) and not met([row(0.25, 0.33, 0.5, 1.4)]) and not met([row(0.25, 0.33, 0.5, 0.5)])
    )
