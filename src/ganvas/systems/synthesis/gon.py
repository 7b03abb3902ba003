"""Gradient Origin Networks. Bond-Taylor and Willcocks, 2021 (ICLR, arXiv 2007.02798).

One network F from latents to images; no encoder, no discriminator. The latent of an image x is where one step of gradient
descent leads that begins in the origin, and F learns through that step:
    z0 = 0,    z = - grad_{z0} L(x, F(z0)),    min_F  L(x, F(z)),    L: the squared error
so the gradient of F is the encoder, at no parameter more. It takes the second derivative of F: activations must be smooth
(a rectifier's second derivative is 0). F is a stack of transposed convolutions, or an implicit one (sine activations, Sitzmann
et al. 2020) that is asked for each pixel by its place: F(z, place) -> value. New images are made of latents drawn from the
normal distribution fitted to the latents of the last batches.

In the terms of a game: one player, who plays alone. For images.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ganvas.batches import Batch, Noise
from ganvas.borders import is_graph, is_traced, settled
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.game import Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.convolutional import ConvolutionalEncoder, ConvolutionalGenerator
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Gradient Origin Networks",
    "authors": "Bond-Taylor, Willcocks",
    "year": 2021,
    "paper": "arXiv 2007.02798",
    "summary": "one small network that compresses images and draws new ones: no encoder, no discriminator",
    "data": ["image"],
    "aliases": ["gradient-origin-network"],
}

NETWORKS = ("convolutional", "implicit")
LATENTS = ("gradient", "encoder")
FREQUENCY = 30.0  # of the sine activations (Sitzmann et al. 2020, section 3.2)
KEPT = 0.99  # of the latents' moments from batch to batch: about the last hundred


@dataclass(frozen=True)
class Config:
    network: str = knob("convolutional", "kind of F", choices=NETWORKS)
    latent_size: int = knob(32, "size of the latent vector", low=1)
    width: int = knob(16, "channels at half the resolution (convolutional), or units of a layer (implicit)", low=1, high=4096)
    layers: int = knob(4, "hidden layers (implicit)", low=1, high=32)
    step: float = knob(0.05, "how far the latent goes along the gradient of the error summed over pixels", low=0.0)
    latents: str = knob("gradient", "where latents come from; encoder: an autoencoder, to compare with", choices=LATENTS)
    learning_rate: float = knob(3e-3, "learning rate (Adam)", low=0.0)
    batch_size: int = knob(64, "images in a batch", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """A wider F where the budget is more than half an hour."""
    return {"width": 16 if (situation.seconds or 3600.0) <= 1800.0 else 32}


PRESETS: dict[str, Any] = {
    "auto": auto,
    "paper": {"network": "implicit", "width": 256, "step": 1 / 64, "learning_rate": 1e-4},
}


def smooth(latent: int, shape: tuple[int, int, int], width: int) -> nn.Module:
    """Latents (B, latent) -> images (B, C, H, W) in [-1, 1]: dcgan's G with SiLU and no BatchNorm.

    At the origin all images of a batch are the same: its statistics would say nothing. Without it, layers must keep the size of
    what goes through them from the start.
    """
    network = ConvolutionalGenerator(latent, shape, width, nonlinearity="silu", batch_norm=False)
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            # Each value is a sum over all inputs and (kernel / stride)^2 pixels.
            pixels = math.prod(side // step for side, step in zip(layer.kernel_size, layer.stride, strict=True))
            first = layer.in_channels == latent and layer.stride == (1, 1)
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0 / (layer.in_channels * (1 if first else pixels))))
            assert layer.bias is not None
            nn.init.uniform_(layer.bias, -0.1, 0.1)  # at the origin nothing else tells the units apart
    return network


class Implicit(nn.Module):
    """Latents (B, latent) -> images (B, C, H, W): each pixel from its place, -1 to 1 along the longer side, and the latent."""

    places: Tensor

    def __init__(self, latent: int, shape: tuple[int, int, int], width: int, layers: int) -> None:
        super().__init__()
        channels, self.height, self.columns = shape
        longest = max(self.height, self.columns)
        rows = torch.arange(self.height) - (self.height - 1) / 2
        columns = torch.arange(self.columns) - (self.columns - 1) / 2
        places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2) * (2 / longest)
        self.register_buffer("places", places.float(), persistent=False)
        sizes = [2 + latent, *[width] * layers]
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in itertools.pairwise(sizes))
        self.last = nn.Linear(width, channels)
        with torch.no_grad():
            for place, layer in enumerate([*self.hidden, self.last]):
                assert isinstance(layer, nn.Linear)
                reach = 1 / layer.in_features if place == 0 else math.sqrt(6 / layer.in_features) / FREQUENCY
                layer.weight.uniform_(-reach, reach)

    def forward(self, latents: Tensor) -> Tensor:
        places = self.places.to(latents).expand(len(latents), -1, -1)
        values = torch.cat([places, latents[:, None].expand(-1, places.shape[1], -1)], 2)
        for layer in self.hidden:
            values = torch.sin(FREQUENCY * layer(values))
        return self.last(values).transpose(1, 2).unflatten(2, (self.height, self.columns))


class Gon(System):
    Config = Config
    latent_mean: Tensor
    latent_square: Tensor
    batches: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        size = config.latent_size
        if config.network == "implicit":
            self.network: nn.Module = Implicit(size, spec.shape, config.width, config.layers)
        else:
            self.network = smooth(size, spec.shape, config.width)
        self.encoder = ConvolutionalEncoder(spec.shape, size, config.width) if config.latents == "encoder" else None
        self.register_buffer("latent_mean", torch.zeros(size))
        self.register_buffer("latent_square", torch.zeros(size, size))  # mean of z z^T
        self.register_buffer("batches", torch.zeros(()))

    def players(self) -> tuple[Player, ...]:
        owned = ("network",) if self.encoder is None else ("network", "encoder")
        return (Player("network", owned, optimiser("adam", self.config.learning_rate)),)

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("learn", (Turn("network", self.reconstruct_batch),)),)

    def reconstruct_batch(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        latents = self._latents(batch.real, learning=True)
        self._remember(latents.detach())
        return {"error": mse_loss(self.network(latents), batch.real)}

    # What it can do

    def project(self, images: Tensor, noise: Noise) -> Tensor:
        """Images of the spec's size -> latents (B, latent): one step from the origin."""
        return self._latents(images, learning=False)

    def reconstruct(self, latents: Tensor) -> Tensor:
        return self.network(latents).clamp(-1, 1)

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """Of the normal distribution fitted to the latents of the last hundred batches or so."""
        drawn = noise.normal(count, self.config.latent_size)
        mean, spread, axes = settled(self._fitted)
        return self.reconstruct((mean + drawn.double() * spread @ axes.T).to(drawn.dtype))

    def _fitted(self) -> tuple[Tensor, Tensor, Tensor]:
        """Mean (latent,), deviations (latent,) along axes (latent, latent), float64, of the latents that were met."""
        seen = (1 - KEPT**self.batches).clamp(min=1e-6)  # the moments began at 0
        mean, square = (self.latent_mean / seen).double(), (self.latent_square / seen).double()
        values, vectors = torch.linalg.eigh(square - mean[:, None] * mean)
        return mean, values.clamp(min=0).sqrt(), vectors

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """Images, and what is left of them in their latents."""
        images = batch.real
        return Panel(torch.stack([images, self.reconstruct(self.project(images, noise))], 1), ("real", "reconstructed"))

    def _latents(self, images: Tensor, learning: bool) -> Tensor:
        if self.encoder is not None:
            return self.encoder(images)
        if is_graph():  # gradients at one point are linear in the image: a graph has no operator for them, and needs none
            drawn, slopes = settled(self._at_origin)
            if is_traced():
                return 2 * self.config.step * ((images - drawn).flatten(1) @ slopes)
        with torch.enable_grad():
            origin = images.new_zeros(len(images), self.config.latent_size, requires_grad=True)
            error = (self.network(origin) - images).square().sum()  # a sum: each image has a gradient of its own
            (slope,) = torch.autograd.grad(error, origin, create_graph=learning)
        return -self.config.step * slope

    def _at_origin(self) -> tuple[Tensor, Tensor]:
        """F(0) (1, C, H, W), and its derivatives by the latent (C * H * W, latent)."""
        origin = self.latent_mean.new_zeros(1, self.config.latent_size)
        slopes = torch.func.jacfwd(lambda latents: self.network(latents).flatten())(origin)
        return self.network(origin), slopes[:, 0]

    def _remember(self, latents: Tensor) -> None:
        with torch.no_grad():
            self.latent_mean.lerp_(latents.mean(0).to(self.latent_mean), 1 - KEPT)
            self.latent_square.lerp_((latents.T @ latents / len(latents)).to(self.latent_square), 1 - KEPT)
            self.batches += 1
