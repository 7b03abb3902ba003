"""Ternary GAN: what convolves is -1, 0 or 1 times a scale, is learnt so, and is packed without losing a bit."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ganvas
from ganvas.batches import Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.convolutional import ConvolutionalGenerator
from ganvas.networks.ternary import (
    PackedConvolution,
    Ternary,
    _StraightThrough,
    convolutions,
    is_ternary,
    pack,
    packed,
    ternarise,
    unpack,
)  # fmt: skip
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis import dcgan
from ganvas.systems.synthesis.ternary_gan import Config, TernaryGan, open_packed

SPEC = ImageSpec(1, 16, 16)
SMALL = {"width": 8, "latent_size": 8, "batch_size": 32, "generator_learning_rate": 2e-3, "discriminator_learning_rate": 2e-3}
ALL = {"ternary": "both", "full_image_layer": False}


def build(**settings: Any) -> TernaryGan:
    """With both players ternary throughout, if not said otherwise."""
    torch.manual_seed(0)
    return TernaryGan(SPEC, build_config(Config, {**SMALL, **ALL, **settings}))


def halves(count: int = 256) -> Dataset:
    """Bright above and dark below, or the other way round, with a little noise."""
    rng = np.random.default_rng(0)
    images = np.full((count, 16, 16, 1), 60.0)
    images[::2, :8], images[1::2, 8:] = 195.0, 195.0
    images = (images + rng.normal(0, 8, images.shape)).clip(0, 255).astype(np.uint8)
    return Dataset({"real": Field(SPEC, images)}, None, np.arange(count), np.zeros(count, bool), "halves", "")


def played(system: Any, rounds: int) -> Any:
    engine = Engine(system, {"data": open_stream(halves(), system.feeds()["data"], 32, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    return engine


def away(images: Tensor) -> float:
    """How far images are from the nearer of the two things there are: mean absolute difference in [-1, 1]."""
    upper = torch.full((1, 1, 16, 16), 60 / 127.5 - 1)
    upper[:, :, :8] = 195 / 127.5 - 1
    both = torch.cat([upper, upper.flip(2)])
    return float((images[:, None] - both).abs().mean((2, 3, 4)).amin(1).mean())


def drawn(engine: Any) -> Tensor:
    with engine.watching() as board:
        made: Tensor = board.sample(128, Noise(torch.Generator().manual_seed(5)))
        return made


def test_it_learns_while_gradients_pass_and_not_without(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"generator_learning_rate": 1e-3, "discriminator_learning_rate": 1e-3}
    settings = {"width": 16, "beta1": 0.0, "ema_half_life": 1000.0, "ternary": "generator", **rates}
    learnt = away(drawn(played(build(**settings), 80)))
    nothing = staticmethod(lambda context, gradient: (torch.zeros_like(gradient), None, None))
    monkeypatch.setattr(_StraightThrough, "backward", nothing)
    stuck = away(drawn(played(build(**settings), 80)))
    assert learnt < 0.38
    assert stuck > 0.45, "the derivative of the rounding itself is 0: norms alone do not learn it"


def test_learnt_ternary_weights_do_what_rounded_ones_do_not() -> None:
    """The generator's network, fitted to pictures without an adversary, so that one number tells."""

    def fitted(ternary_from_the_beginning: bool) -> float:
        torch.manual_seed(0)
        network = ConvolutionalGenerator(8, SPEC.shape, 16)
        if ternary_from_the_beginning:
            ternarise(network)
        latents = torch.randn(32, 8)
        pictures = torch.from_numpy(np.asarray(halves(32).fields["real"].values)).permute(0, 3, 1, 2) / 127.5 - 1
        rule = torch.optim.Adam(network.parameters(), 1e-3)
        for _ in range(100):
            rule.zero_grad()
            (network(latents) - pictures).square().mean().backward()
            rule.step()
        if not ternary_from_the_beginning:
            ternarise(network)
        with torch.no_grad():
            return float((network(latents) - pictures).square().mean())

    assert fitted(True) < 0.5 * fitted(False)


def test_with_full_weights_it_is_dcgan() -> None:
    torch.manual_seed(0)
    settings = {**SMALL, "ema_half_life": 5_000.0}
    other = dcgan.DcGan(SPEC, build_config(dcgan.Config, settings))
    assert torch.equal(drawn(played(build(ternary="none"), 3)), drawn(played(other, 3)))


def test_what_convolves_has_three_values_after_every_step() -> None:
    engine = played(build(), 3)
    for network in (engine.system.generator, engine.system.discriminator, engine.system.average):
        for name, layer in convolutions(network).items():
            weight = layer.weight.detach()
            assert set(weight.sign().flatten().tolist()) <= {-1.0, 0.0, 1.0}
            assert len(weight.abs().unique()) <= 2, f"{name}: 0 and one scale"
            hidden: Any = layer.parametrizations.weight.original  # type: ignore[union-attr]
            assert len(hidden.abs().unique()) > 100, f"{name}: what is moved stays of full precision"
            size = hidden.abs()
            above = size > 0.7 * size.mean()
            torch.testing.assert_close(weight.abs().max(), size[above].mean())
            assert torch.equal(weight != 0, above), "the threshold is that of today's weights"


def test_the_gradient_goes_straight_through_up_to_one() -> None:
    weight = torch.tensor([0.5, -0.5, 0.01, 1.5], requires_grad=True)
    Ternary(0.7, "mean")(weight).backward(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert weight.grad is not None
    assert weight.grad.tolist() == [1.0, 2.0, 3.0, 0.0]
    assert Ternary(0.05, "largest")(weight).ne(0).sum() == 3
    assert Ternary(0.7, "mean")(torch.zeros(3)).tolist() == [0.0] * 3, "no division by none"


def test_norms_and_biases_stay_full_and_the_image_layer_if_asked() -> None:
    def ternary(network: nn.Module) -> list[bool]:
        return [is_ternary(layer) for layer in convolutions(network).values()]

    assert all(ternary(build().generator) + ternary(build().discriminator))
    assert ternary(build(full_image_layer=True).generator) == [True, True, False]
    assert ternary(build(full_image_layer=True).discriminator) == [False, True, True]
    assert not any(ternary(build(ternary="generator").discriminator))
    left = {name for name, _ in build().generator.named_parameters() if "parametrizations" not in name}
    assert {name.rpartition(".")[2] for name in left} == {"weight", "bias"}
    assert len(left) == 2 * 2 + 1, "two norms, and the bias next to the image"


@pytest.mark.parametrize("count", [1, 4, 7, 64])
def test_packing_loses_nothing(count: int) -> None:
    signs = torch.randint(-1, 2, (count, 3), generator=torch.Generator().manual_seed(count)).float()
    joined = pack(signs)
    assert joined.dtype == torch.uint8
    assert len(joined) == -(-3 * count // 4)
    assert torch.equal(unpack(joined, (count, 3), torch.float32), signs)


@pytest.mark.parametrize("settings", [{}, {"full_image_layer": True}, {"threshold": 0.05, "threshold_of": "largest"}])
def test_a_packed_network_computes_the_same_bits(settings: dict[str, Any]) -> None:
    engine = played(build(**settings), 2)
    with engine.watching() as board, torch.no_grad():
        latents = torch.randn(5, 8)
        small = packed(board.average)
        assert torch.equal(small(latents), board.average(latents))
        ternary = sum(isinstance(module, PackedConvolution) for module in small.modules())
        assert ternary == (2 if settings.get("full_image_layer") else 3)
        assert torch.equal(packed(board.discriminator)(torch.ones(2, 1, 16, 16)), board.discriminator(torch.ones(2, 1, 16, 16)))


def test_from_files_to_a_packed_file(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 65535, (24, 12, 20), dtype=np.uint16)
    np.savez(tmp_path / "data.npz", images=images)
    small = {"width": 16, "latent_size": 32, "batch_size": 4}
    ganvas.train("ternary-gan", tmp_path / "data.npz", out=tmp_path / "run", budget="3r", config=small, quiet=True)
    run = ganvas.load(tmp_path / "run")
    size = run.system.pack(tmp_path / "small.ternary")
    assert size == (tmp_path / "small.ternary").stat().st_size
    numbers = sum(value.numel() for value in run.system.generator.parameters())
    assert size < numbers * 4 / 8, "even of a tiny network, whose norms and names are much of it"
    generator = open_packed(tmp_path / "small.ternary")
    ours, theirs = generator.images(70, seed=3), run.sample(70, seed=3)
    assert ours.dtype == theirs.dtype == np.uint16
    assert np.array_equal(ours, theirs)
    assert run.system.pack(tmp_path / "again.ternary") == size
    assert (tmp_path / "again.ternary").read_bytes() == (tmp_path / "small.ternary").read_bytes()


def test_what_cannot_be_packed_or_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(GanvasError, match="weights of G are full.*ternary=generator"):
        build(ternary="none").pack(tmp_path / "x")
    (tmp_path / "text").write_text("no")
    (tmp_path / "zipped").write_bytes(gzip.compress(b"no"))
    for name in ("text", "zipped", "absent"):
        with pytest.raises(GanvasError, match=r"no packed generator.*run.system.pack"):
            open_packed(tmp_path / name)
