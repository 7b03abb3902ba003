"""MelGAN trained as ParallelWaveGAN's trainer does it, stated in own words.

That package pins libraries of years ago. What is taken from it are facts: the order of its updates once discriminators play (G
first, by distances of magnitudes at three resolutions and four times the discriminators' squared error; sound made anew,
without gradients, for the discriminators), the bounds of gradients, the resolutions, losses read in every round. Both networks
are MelGAN's (512 channels, steps 8, 8, 2, 2; three discriminators of windows) as ganvas has them, so that recipes are compared
and not networks; spectrograms are made beforehand, as that package does. Plays without end and calls `tick` after every round.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from boards import Board, tensors
from torch import Tensor, nn

from ganvas.networks.mel import Mel, MelSettings
from ganvas.networks.melgan import Generator, Judges, steps_of

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # of a transform, from column to column, of a window


def distances(made: Tensor, true: Tensor) -> Tensor:
    """Waves (N, T) each: spectral convergence and distance of logarithms, means over the resolutions."""
    found = []
    for size, hop, length in RESOLUTIONS:
        window = torch.hann_window(length)
        own, other = (
            torch.stft(waves, size, hop, length, window, return_complex=True).abs().square().clamp(min=1e-7).sqrt()
            for waves in (made, true)
        )
        found.append((other - own).norm() / other.norm() + (other.log() - own.log()).abs().mean())
    return torch.stack(found).mean()


def parallel_wavegan(board: Board, tick: Callable[[], None], **options: Any) -> None:
    own, spec = board.settings, board.first
    sounds = tensors(board, **options)["real"][:, 0]
    hop, count = own["hop"], own["segment"] // own["hop"]
    mel = Mel(MelSettings(spec.rate, hop, 4 * hop, own["bands"], 0.0, spec.rate / 2))
    mels = mel(sounds)
    net_g = Generator(own["bands"], own["width"], own["max_width"], steps_of(hop))
    net_d = Judges(own["discriminators"], own["discriminator_width"], own["discriminator_max_width"])
    adam_g = torch.optim.Adam(net_g.parameters(), lr=1e-4, eps=1e-6)
    adam_d = torch.optim.Adam(net_d.parameters(), lr=5e-5, eps=1e-6)
    far = nn.MSELoss()
    while True:
        for rows in torch.randperm(len(sounds)).split(own["batch_size"]):
            starts = torch.randint(mels.shape[2] - count + 1, (len(rows),)).tolist()
            cut = list(zip(rows.tolist(), starts, strict=True))
            seen = torch.stack([mels[row, :, begin : begin + count] for row, begin in cut])
            true = torch.stack([sounds[row, begin * hop : (begin + count) * hop] for row, begin in cut])
            made = net_g(seen)
            told = [scores[-1] for scores in net_d(made)]
            loss_g = distances(made, true) + 4 * torch.stack([far(own, torch.ones_like(own)) for own in told]).mean()
            adam_g.zero_grad()
            loss_g.backward()
            torch.nn.utils.clip_grad_norm_(net_g.parameters(), 10)
            adam_g.step()
            with torch.no_grad():
                made = net_g(seen)
            on_true, on_made = ([scores[-1] for scores in net_d(waves)] for waves in (true, made))
            loss_d = torch.stack([far(own, torch.ones_like(own)) for own in on_true]).mean()
            loss_d = loss_d + torch.stack([far(own, torch.zeros_like(own)) for own in on_made]).mean()
            adam_d.zero_grad()
            loss_d.backward()
            torch.nn.utils.clip_grad_norm_(net_d.parameters(), 1)
            adam_d.step()
            loss_g.item(), loss_d.item()
            tick()
