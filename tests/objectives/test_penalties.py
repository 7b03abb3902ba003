"""The zero-centred penalty where its value can be written down, record by record, and what it teaches."""

from __future__ import annotations

import torch
from torch import nn

from ganvas.objectives.penalties import zero_centred_penalty


def test_of_a_linear_critic_it_is_the_squared_norm_of_its_weights() -> None:
    weights = torch.tensor([[3.0, -4.0, 0.0, 1.0]])
    samples = torch.randn(5, 4, requires_grad=True)
    assert float(zero_centred_penalty(samples, samples @ weights.T)) == 26.0


def test_it_is_the_mean_over_records_whatever_their_shape() -> None:
    """D(x) = sum x^2 / 2 has the gradient x: the penalty is the mean squared norm of the records."""
    for shape in ((6, 3), (6, 2, 5), (6, 3, 4, 4), (6, 1, 2, 2, 2)):
        samples = torch.randn(shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
        penalty = zero_centred_penalty(samples, samples.square().flatten(1).sum(1) / 2)
        torch.testing.assert_close(penalty, samples.square().sum() / 6)


def test_lowering_it_flattens_the_critic() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
    descent = torch.optim.SGD(critic.parameters(), 0.05)
    real, found = torch.randn(64, 3), []
    for _ in range(50):
        samples = real.clone().requires_grad_()
        penalty = zero_centred_penalty(samples, critic(samples))
        descent.zero_grad()
        penalty.backward()
        descent.step()
        found.append(float(penalty.detach()))
    assert found[-1] < 0.5 * found[0]
