"""What games with captions share (Reed et al. 2016, arXiv 1605.05396 and CVPR): which captions differ, the joint embedding of
pictures and texts, and the verdict on real pictures with wrong captions.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def differ(captions: Tensor, others: Tensor) -> Tensor:
    """(...,) bool: which of captions (..., length) are not the same as the others, word by word."""
    return (captions != others).any(-1)


def joint_embedding(pictures: Tensor, texts: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
    """The two hinge terms of the symmetric joint embedding, means over all pairs whose captions (B, length) differ.

    pictures, texts: (B, D). First: of each picture among captions; second: of each caption among pictures.
    """
    scores = pictures @ texts.T / texts.shape[1] ** 0.5
    own, other = scores.diagonal(), differ(captions[:, None], captions[None]).to(scores.dtype)
    count = other.sum().clamp(min=1)
    of_pictures = ((1 + scores - own[:, None]).relu() * other).sum() / count
    of_texts = ((1 + scores - own[None]).relu() * other).sum() / count
    return of_pictures, of_texts


def wrong_is_fake(logits: Tensor, captions: Tensor) -> Tensor:
    """-log(1 - D(x, h')), the mean over the records whose neighbour's caption is another one; 0 where none is.

    logits (B,): of real pictures, each with the caption of the record before it, `captions.roll(1, 0)`; captions (B, length).
    """
    wrong = differ(captions, captions.roll(1, 0)).to(logits.dtype)
    return (softplus(logits) * wrong).sum() / wrong.sum().clamp(min=1)
