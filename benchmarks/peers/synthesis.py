"""Recipes that draw images, as others have them: a plain PyTorch loop, torchgan, PyTorch-GAN, Lightning Fabric.

torchgan 0.1.0 is run as it is. The others are no packages: what is stated here, in own words, are the order of their updates,
what goes backward when, their optimisers, and what they read in every round; the networks are those of the plain script, so
that recipes are compared and not networks. Each function plays without end and calls `tick` after every round.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from boards import Board, script, tensors
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

LATENT = 100
Tick = Callable[[], None]


def networks(board: Board, *, critic: bool = False) -> tuple[nn.Module, nn.Module]:
    """The plain script's pair at the board's size and width; a critic has neither BatchNorm nor a sigmoid."""
    plain, spec, width = script("pytorch_dcgan"), board.first, board.settings["width"]
    net_g = plain.generator(width, LATENT, spec.channels, spec.height)
    net_d = plain.discriminator(width, spec.channels, spec.height)
    if critic:
        net_d = nn.Sequential(*(layer for layer in net_d if not isinstance(layer, nn.BatchNorm2d | nn.Sigmoid)))
    return net_g.apply(plain.initialise), net_d.apply(plain.initialise)


def loader(board: Board, **options: Any) -> DataLoader[Any]:
    """Batches of the board's records from memory, shuffled, in this process."""
    return DataLoader(TensorDataset(tensors(board, **options)["real"]), board.settings["batch_size"], shuffle=True)


def without_end(batches: DataLoader[Any]) -> Iterator[Tensor]:
    while True:
        for (real,) in batches:
            yield real


def pair_of_adams(net_g: nn.Module, net_d: nn.Module) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    adam_g, adam_d = (torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (net_g, net_d))
    return adam_g, adam_d


def plain(board: Board, tick: Tick, **options: Any) -> None:
    """`benchmarks/proofs/baselines/pytorch_dcgan.py`: the settings of the standard PyTorch example."""
    net_g, net_d = networks(board)
    for _ in script("pytorch_dcgan").play(tensors(board, **options)["real"], net_g, net_d, board.settings["batch_size"]):
        tick()


def pytorch_gan(board: Board, tick: Tick, **options: Any) -> None:
    """DCGAN of PyTorch-GAN: G moves first, D then judges the same fakes; half the sum of D's losses goes backward at once."""
    net_g, net_d = networks(board)
    adam_g, adam_d = pair_of_adams(net_g, net_d)
    loss = nn.BCELoss()
    for real in without_end(loader(board, **options)):
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        adam_g.zero_grad()
        made = net_g(torch.randn(len(real), LATENT, 1, 1))
        loss_g = loss(net_d(made), ones)
        loss_g.backward()
        adam_g.step()
        adam_d.zero_grad()
        loss_d = (loss(net_d(real), ones) + loss(net_d(made.detach()), zeros)) / 2
        loss_d.backward()
        adam_d.step()
        loss_d.item(), loss_g.item()  # it prints both in every round
        tick()


def fabric(board: Board, tick: Tick, **options: Any) -> None:
    """The DCGAN example of Lightning Fabric: the plain loop, with networks, optimisers, loader and backward in its hands."""
    from lightning_fabric import Fabric

    hands = Fabric(accelerator="cpu", devices=1)
    net_g, net_d = networks(board)
    adam_g, adam_d = pair_of_adams(net_g, net_d)
    net_d, adam_d = hands.setup(net_d, adam_d)
    net_g, adam_g = hands.setup(net_g, adam_g)
    loss = nn.BCELoss()
    for real in without_end(hands.setup_dataloaders(loader(board, **options))):  # type: ignore[arg-type]
        net_d.zero_grad()
        on_real = net_d(real)
        loss_real = loss(on_real, torch.ones(len(real)))
        hands.backward(loss_real)
        made = net_g(torch.randn(len(real), LATENT, 1, 1))
        on_made = net_d(made.detach())
        loss_made = loss(on_made, torch.zeros(len(real)))
        hands.backward(loss_made)
        adam_d.step()
        net_g.zero_grad()
        again = net_d(made)
        loss_g = loss(again, torch.ones(len(real)))
        hands.backward(loss_g)
        adam_g.step()
        [value.mean().item() for value in (on_real, on_made, again, loss_real + loss_made, loss_g)]
        tick()


def pytorch_gan_wgan_gp(board: Board, tick: Tick, **options: Any) -> None:
    """WGAN-GP of PyTorch-GAN: five moves of the critic, whose loss goes backward into G as well; one of G. Ticks after G's."""
    net_g, critic = networks(board, critic=True)
    adam_g, adam_d = pair_of_adams(net_g, critic)
    for place, real in enumerate(without_end(loader(board, **options)), 1):
        adam_d.zero_grad()
        made = net_g(torch.randn(len(real), LATENT, 1, 1))
        share = torch.rand(len(real), 1, 1, 1)
        between = (share * real + (1 - share) * made.data).requires_grad_()
        on_real, on_made, judged = critic(real), critic(made), critic(between)
        (slopes,) = torch.autograd.grad(judged, between, torch.ones_like(judged), create_graph=True, retain_graph=True)
        penalty = ((slopes.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
        loss = -on_real.mean() + on_made.mean() + 10 * penalty
        loss.backward()
        adam_d.step()
        adam_g.zero_grad()
        if place % 5 == 0:
            loss_g = -critic(net_g(torch.randn(len(real), LATENT, 1, 1))).mean()
            loss_g.backward()
            adam_g.step()
            loss.item(), loss_g.item()
            tick()


def stand_in() -> None:
    """torchgan imports torchvision, of which it needs two functions that draw pictures at the end of an epoch, where no block
    ends up. Where no torchvision fits the torch that is installed, an empty module takes its place."""
    try:
        found = importlib.util.find_spec("torchvision") is not None and __import__("torchvision") is not None
    except (ImportError, RuntimeError, ValueError):
        found = False
    if not found:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules["torchvision"] = types.ModuleType("torchvision")


class Batches:
    """What torchgan's trainer takes for a loader: one epoch without end. A round is over when it asks for the next batch
    (with `every`, for each so many)."""

    def __init__(self, board: Board, tick: Tick, every: int = 1, **options: Any) -> None:
        self.batch_size, self.tick, self.every = board.settings["batch_size"], tick, every
        self.source = loader(board, **options)

    def __iter__(self) -> Iterator[Tensor]:
        for place, real in enumerate(without_end(self.source)):
            if place and place % self.every == 0:
                self.tick()
            if len(real) == self.batch_size:
                yield real


def _torchgan(board: Board, tick: Tick, losses: list[str], *, norm: bool, moves: int, **options: Any) -> None:
    stand_in()
    with contextlib.redirect_stdout(io.StringIO()):
        from torchgan import losses as offered
        from torchgan import models
        from torchgan.trainer import Trainer

    spec, width = board.first, board.settings["width"]
    adam = {"name": torch.optim.Adam, "args": {"lr": 2e-4, "betas": (0.5, 0.999)}}
    known: dict[str, Any] = {
        "generator": {
            "name": models.DCGANGenerator,
            "args": {"out_size": spec.height, "out_channels": spec.channels, "step_channels": width, "nonlinearity": nn.ReLU()},
            "optimizer": adam,
        },
        "discriminator": {
            "name": models.DCGANDiscriminator,
            "args": {
                "in_size": spec.height, "in_channels": spec.channels, "step_channels": width, "batchnorm": norm,
                "last_nonlinearity": nn.Identity(),
            },
            "optimizer": adam,
        },
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        places = {"checkpoints": str(Path(folder, "model", "gan")), "recon": str(Path(folder, "images"))}
        made = [getattr(offered, name)() for name in losses]
        trainer = Trainer(known, made, device=torch.device("cpu"), ncritic=moves, epochs=1, log_dir=folder, **places)
        trainer(Batches(board, tick, moves, **options))


def torchgan_dcgan(board: Board, tick: Tick, **options: Any) -> None:
    """torchgan's trainer on its DCGAN and its minimax losses."""
    _torchgan(board, tick, ["MinimaxGeneratorLoss", "MinimaxDiscriminatorLoss"], norm=True, moves=1, **options)


def torchgan_wgan_gp(board: Board, tick: Tick, **options: Any) -> None:
    """torchgan's trainer on its Wasserstein losses and its penalty; five batches for each move of G."""
    names = ["WassersteinGeneratorLoss", "WassersteinDiscriminatorLoss", "WassersteinGradientPenalty"]
    _torchgan(board, tick, names, norm=False, moves=5, **options)
