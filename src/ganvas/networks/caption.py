"""Networks that read captions: an encoder of words, and the pair of Reed et al. 2016 (arXiv 1605.05396, section 4) that is
conditioned on what it says.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, leaky_relu

from ..batches import Noise
from .convolutional import ConvolutionalDiscriminator, ConvolutionalGenerator, initialise


class CaptionEncoder(nn.Module):
    """Captions (B, length) int64 -> embeddings (B, size) of mean 0 and variance 1.

    Word vectors, two convolutions over three words each, and the mean and the largest value over places. ends: whether
    symbol 0 stands for the end and what lies behind it, and says nothing. Has no BatchNorm: a frozen one stays as it is.
    """

    def __init__(self, symbols: int, size: int, width: int, *, ends: bool) -> None:
        super().__init__()
        self.ends, self.size = ends, size
        self.words = nn.Embedding(symbols, width)
        self.first, self.second = (nn.Conv1d(width, width, 3, padding=1) for _ in range(2))
        self.out = nn.Linear(2 * width, size)

    def forward(self, captions: Tensor) -> Tensor:
        said = (captions != 0) if self.ends else torch.ones_like(captions, dtype=torch.bool)
        mask = said[:, None].to(self.out.weight.dtype)
        words = self.words(captions).transpose(1, 2) * mask
        features = torch.relu(words + self.first(words)) * mask
        features = torch.relu(features + self.second(features)) * mask
        mean = features.sum(2) / mask.sum(2).clamp(min=1)
        return layer_norm(self.out(torch.cat([mean, features.amax(2)], 1)), (self.size,))


class CaptionMemory(nn.Module):
    """The latest captions (most, length) that a game has met, for samples that are asked for without one."""

    captions: Tensor
    seen: Tensor

    def __init__(self, length: int, most: int = 256) -> None:
        super().__init__()
        self.register_buffer("captions", torch.zeros(most, length, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def remember(self, captions: Tensor) -> None:
        """Keep captions (B, length) in the place of the oldest."""
        latest = captions[-len(self.captions) :]
        places = (self.seen + torch.arange(len(latest), device=captions.device)) % len(self.captions)
        self.captions[places] = latest
        self.seen += len(latest)

    def drawn(self, count: int, noise: Noise) -> Tensor:
        """(count, length) int64, each of those kept as likely."""
        kept = len(self.captions)
        return self.captions[noise.integers(kept, count) % self.seen.clamp(1, kept)]


class CaptionGenerator(nn.Module):
    """Noise (B, latent) and embeddings (B, text) -> images (B, *shape): the embedding is compressed and joins the noise."""

    def __init__(self, latent: int, text: int, condition: int, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.compress = nn.Linear(text, condition)
        self.draw = ConvolutionalGenerator(latent + condition, shape, width)

    def forward(self, latents: Tensor, embeddings: Tensor) -> Tensor:
        images: Tensor = self.draw(torch.cat([latents, leaky_relu(self.compress(embeddings), 0.2)], 1))
        return images


class CaptionDiscriminator(nn.Module):
    """Images (B, *shape) and embeddings (B, text) -> logits (B,).

    The compressed embedding stands at every place of the last map, a 1x1 convolution mixes both, and one more convolution
    decides. `look` and `decide` are the two halves: an image that meets two captions is looked at once. norm: BatchNorm.
    """

    def __init__(self, text: int, condition: int, shape: tuple[int, int, int], width: int, norm: bool = True) -> None:
        super().__init__()
        *hidden, last = ConvolutionalDiscriminator(shape, width, batch_norm=norm).layers
        assert isinstance(last, nn.Conv2d)
        size = last.in_channels
        self.trunk = nn.Sequential(*hidden)
        self.compress = nn.Linear(text, condition)
        mix: list[nn.Module] = [nn.Conv2d(size + condition, size, 1, bias=not norm)]
        mix += [nn.BatchNorm2d(size)] if norm else []
        mix.append(nn.LeakyReLU(0.2, inplace=True))
        self.head = nn.Sequential(*mix, nn.Conv2d(size, 1, (last.kernel_size[0], last.kernel_size[1]))).apply(initialise)

    def look(self, images: Tensor) -> Tensor:
        features: Tensor = self.trunk(images)
        return features

    def decide(self, features: Tensor, embeddings: Tensor) -> Tensor:
        said = leaky_relu(self.compress(embeddings), 0.2)[:, :, None, None].expand(-1, -1, *features.shape[2:])
        logits: Tensor = self.head(torch.cat([features, said], 1)).flatten()
        return logits

    def forward(self, images: Tensor, embeddings: Tensor) -> Tensor:
        return self.decide(self.look(images), embeddings)
