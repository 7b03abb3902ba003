"""The fused step of Adam on weights with their channels last: right where torch's own pairs what does not belong together."""

import itertools

import pytest
import torch

from ganvas.optim import optimiser

LAYOUTS = (torch.contiguous_format, torch.channels_last)


def stepped(make, weight, gradient, means, layouts):
    own, of_gradient, of_means = layouts
    parameter = torch.nn.Parameter(weight.clone(memory_format=own))
    parameter.grad = gradient.clone(memory_format=of_gradient)
    made = make(parameter)
    first, second = (mean.clone(memory_format=of_means) for mean in means)
    made.state[parameter] = {"step": torch.tensor(1.0), "exp_avg": first, "exp_avg_sq": second}
    for _ in range(3):
        made.step()
    assert parameter.is_contiguous(memory_format=own)
    return parameter.detach().contiguous(), [made.state[parameter][name] for name in ("exp_avg", "exp_avg_sq")]


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("layouts", list(itertools.product(LAYOUTS, repeat=3)), ids=str)
def test_weights_gradients_and_means_may_lie_differently(name, layouts):
    generator = torch.Generator().manual_seed(0)
    weight, gradient = (torch.randn(8, 4, 3, 3, generator=generator) for _ in range(2))
    means = (0.3 * gradient, gradient.square() + 0.1)
    plain = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    true, _ = stepped(lambda p: plain([p], 1e-2, betas=(0.5, 0.999)), weight, gradient, means, LAYOUTS[:1] * 3)
    found, kept = stepped(lambda p: optimiser(name, 1e-2)([("w", p)]), weight, gradient, means, layouts)
    torch.testing.assert_close(found, true, rtol=0, atol=1e-7)
    assert all(mean.shape == weight.shape for mean in kept)


def test_nothing_is_copied_where_all_have_their_channels_last():
    weight = torch.nn.Parameter(torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last))
    made = optimiser("adam", 1e-2)([("w", weight)])
    for _ in range(2):
        weight.grad = torch.ones_like(weight)
        with torch.profiler.profile() as watched:
            made.step()
    assert "aten::clone" not in {event.key for event in watched.key_averages()}
