"""pix2pix and CycleGAN as their authors' PyTorch programs have them (pytorch-CycleGAN-and-pix2pix), stated in own words.

That repository is no package. What is taken from it are facts: the networks at 128 pixels (`unet_128` with BatchNorm and
dropout, `resnet_6blocks` with InstanceNorm, the discriminator of 70-pixel patches, activations in place), the order of updates,
which networks are frozen when, the losses and their weights, the pool of 50 images, batches of one, Adam as it comes. Each
function plays without end and calls `tick` after every round.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import torch
from boards import Board, tensors
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

Tick = Callable[[], None]
Norm = Callable[[int], nn.Module]


class Skip(nn.Module):
    """What goes past the middle of a U-Net: the input beside what its layers make of it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, self.layers(features)], 1)


def u_net(channels: int, width: int, downs: int) -> nn.Module:
    """Each level: leaky ReLU, convolution, BatchNorm; the level within; ReLU, transposed convolution, BatchNorm, dropout."""
    widths = [width * min(8, 2**place) for place in range(downs)]
    inner: list[nn.Module] = []
    for place in range(downs - 1, 0, -1):
        outside, inside = widths[place - 1], widths[place]
        deepest = place == downs - 1
        down: list[nn.Module] = [nn.LeakyReLU(0.2, True), nn.Conv2d(outside, inside, 4, 2, 1, bias=False)]
        down += [] if deepest else [nn.BatchNorm2d(inside)]
        larger = nn.ConvTranspose2d(inside * (1 if deepest else 2), outside, 4, 2, 1, bias=False)
        up = [nn.ReLU(True), larger, nn.BatchNorm2d(outside)]
        up += [nn.Dropout(0.5)] if 3 < place < downs - 1 else []
        inner = [Skip(*down, *inner, *up)]
    end = nn.ConvTranspose2d(2 * width, channels, 4, 2, 1)
    return nn.Sequential(nn.Conv2d(channels, width, 4, 2, 1, bias=False), *inner, nn.ReLU(True), end, nn.Tanh())


def residual_network(channels: int, width: int, blocks: int) -> nn.Module:
    """Two downsamplings, residual blocks, two upsamplings, with InstanceNorm and reflected borders."""

    class Block(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            layers: list[nn.Module] = []
            for place in range(2):
                layers += [nn.ReflectionPad2d(1), nn.Conv2d(size, size, 3), nn.InstanceNorm2d(size)]
                layers += [] if place else [nn.ReLU(True)]
            self.layers = nn.Sequential(*layers)

        def forward(self, features: Tensor) -> Tensor:
            return features + self.layers(features)

    def rest(size: int) -> list[nn.Module]:
        return [nn.InstanceNorm2d(size), nn.ReLU(True)]

    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7), *rest(width)]
    for size in (width, 2 * width):
        layers += [nn.Conv2d(size, 2 * size, 3, 2, 1), *rest(2 * size)]
    layers += [Block(4 * width) for _ in range(blocks)]
    for size in (4 * width, 2 * width):
        layers += [nn.ConvTranspose2d(size, size // 2, 3, 2, 1, output_padding=1), *rest(size // 2)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh())


def patch_judge(channels: int, width: int, norm: Norm, bias: bool) -> nn.Module:
    """The discriminator of patches of 70 pixels."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for before, after, step in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
        layers += [
            nn.Conv2d(before * width, after * width, 4, step, 1, bias=bias),
            norm(after * width),
            nn.LeakyReLU(0.2, True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))


def started(network: nn.Module) -> nn.Module:
    """Weights from N(0, 0.02)."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, 0.02)
    return network


def adam(*networks: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(itertools.chain(*(network.parameters() for network in networks)), lr=2e-4, betas=(0.5, 0.999))


def freeze(frozen: bool, *networks: nn.Module) -> None:
    for network in networks:
        for parameter in network.parameters():
            parameter.requires_grad = not frozen


def told(loss: nn.Module, logits: Tensor, real: bool) -> Tensor:
    """The loss of logits that should say real, or made."""
    found: Tensor = loss(logits, torch.tensor(float(real)).expand_as(logits))
    return found


class Pool:
    """Of 50 past images: half of the time one of them is handed out in the place of a new one."""

    def __init__(self) -> None:
        self.held: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        found = []
        for image in images.data:
            image = image[None]
            if len(self.held) < 50:
                self.held.append(image)
            elif random.random() > 0.5:
                place = random.randrange(50)
                image, self.held[place] = self.held[place].clone(), image
            found.append(image)
        return torch.cat(found)


def pairs(board: Board, first: Tensor, second: Tensor) -> DataLoader[Any]:
    return DataLoader(TensorDataset(first, second), board.settings.get("batch_size", 1), shuffle=True)


def pix2pix(board: Board, tick: Tick, **options: Any) -> None:
    data, width = tensors(board, **options), board.settings.get("width", 64)
    channels, size = board.first.channels, board.first.height
    net_g = started(u_net(channels, width, size.bit_length() - 1))
    net_d = started(patch_judge(2 * channels, width, nn.BatchNorm2d, False))
    adam_g, adam_d = adam(net_g), adam(net_d)
    judge, far = nn.BCEWithLogitsLoss(), nn.L1Loss()
    while True:
        for seen, true in pairs(board, data["map"], data["photo"]):
            if random.random() < 0.5:
                seen, true = seen.flip(3), true.flip(3)
            made = net_g(seen)
            freeze(False, net_d)
            adam_d.zero_grad()
            on_made = told(judge, net_d(torch.cat([seen, made], 1).detach()), False)
            on_true = told(judge, net_d(torch.cat([seen, true], 1)), True)
            (0.5 * (on_made + on_true)).backward()
            adam_d.step()
            freeze(True, net_d)
            adam_g.zero_grad()
            (told(judge, net_d(torch.cat([seen, made], 1)), True) + 100 * far(made, true)).backward()
            adam_g.step()
            tick()


def cyclegan(board: Board, tick: Tick, **options: Any) -> None:
    data, width = tensors(board, **options)["real"], board.settings.get("width", 64)
    channels = board.first.channels
    blocks = board.settings.get("blocks", 6)
    to_a, to_b = (started(residual_network(channels, width, blocks)) for _ in range(2))
    judge_a, judge_b = (started(patch_judge(channels, width, nn.InstanceNorm2d, True)) for _ in range(2))
    adam_g, adam_d = adam(to_a, to_b), adam(judge_a, judge_b)
    judge, far, pool_a, pool_b = nn.MSELoss(), nn.L1Loss(), Pool(), Pool()
    while True:
        for a, b in pairs(board, data[0::2], data[1::2]):
            made_b = to_b(a)
            back_a = to_a(made_b)
            made_a = to_a(b)
            back_b = to_b(made_a)
            freeze(True, judge_a, judge_b)
            adam_g.zero_grad()
            same = 5 * far(to_b(b), b) + 5 * far(to_a(a), a)
            fooled = told(judge, judge_b(made_b), True) + told(judge, judge_a(made_a), True)
            (fooled + 10 * far(back_a, a) + 10 * far(back_b, b) + same).backward()
            adam_g.step()
            freeze(False, judge_a, judge_b)
            adam_d.zero_grad()
            for network, real, made in ((judge_b, b, pool_b(made_b)), (judge_a, a, pool_a(made_a))):
                loss = 0.5 * (told(judge, network(real), True) + told(judge, network(made.detach()), False))
                loss.backward()
            adam_d.step()
            tick()
