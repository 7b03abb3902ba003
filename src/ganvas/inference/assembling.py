"""A graph drawn from scores of its pairs of nodes. Bojchevski et al. 2018 (arXiv 1803.00816), section 3.3."""

from __future__ import annotations

import torch
from torch import Tensor

from ..batches import Noise
from ..errors import GanvasError


def assembled(scores: Tensor, edges: int, noise: Noise) -> Tensor:
    """(edges, 2) int64 from symmetric scores (N, N): one for each node, the rest without replacement in proportion to them.

    Raises GanvasError when fewer pairs than that have a score.
    """
    count = len(scores)
    device = scores.device
    taken = torch.zeros(count, count, dtype=torch.bool, device=device)
    order = noise.shared(count).argsort()
    partners = torch.multinomial(scores + 1e-30 * (1 - torch.eye(count, device=device)), 1, generator=noise.generator)[:, 0]
    chosen = 0
    for node in order.tolist():
        other = int(partners[node])
        if chosen < edges and not taken[node, other]:
            taken[node, other] = taken[other, node] = True
            chosen += 1
    # The smallest of exponential times with these rates: in proportion, without replacement (Efraimidis, Spirakis 2006).
    rest = torch.triu(scores, 1).masked_fill_(taken, 0).flatten()
    times = -noise.shared(count * count).clamp_(min=1e-30).log_() / rest
    if (possible := int((rest > 0).sum())) < edges - chosen:
        raise GanvasError(f"netgan: only {possible + chosen} pairs of nodes have a score, {edges} edges are wanted")
    places = times.topk(edges - chosen, largest=False).indices
    more = torch.stack([places // count, places % count], 1)
    return torch.cat([torch.triu(taken, 1).nonzero(), more])
