"""Slopes of slopes: as torch has them, and by the other way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ganvas.objectives import second_order
from ganvas.objectives.second_order import as_torch_does, quicken, slopes

PLAIN = (functional.conv1d, functional.conv2d, functional.conv3d)
TRANSPOSED = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)


@pytest.fixture(autouse=True)
def _taken() -> Iterator[None]:
    yield
    quicken()


def second(function: Callable[..., Tensor], *given: Tensor) -> list[Tensor]:
    """Gradients, and gradients of what the gradients are, of everything that is given."""
    leaves = [own.clone().requires_grad_() for own in given]
    once = torch.autograd.grad(function(*leaves).sin().square().sum(), leaves, create_graph=True)
    return [*once, *torch.autograd.grad(sum(own.square().sum() for own in once), leaves)]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("groups", "stride", "dilation"), [(1, 1, 1), (1, 2, 1), (2, 2, 1), (4, 1, 2)])
def test_it_is_what_torch_finds(dimensions: int, transposed: bool, groups: int, stride: int, dilation: int) -> None:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, bias = normal(2, 4, *[7] * dimensions), normal(8)
    more = {"stride": stride, "padding": 1, "dilation": dilation, "groups": groups}
    if transposed:
        weight, convolve = normal(4, 8 // groups, *[3] * dimensions), TRANSPOSED[dimensions - 1]
        more["output_padding"] = stride - 1
    else:
        weight, convolve = normal(8, 4 // groups, *[3] * dimensions), PLAIN[dimensions - 1]
    as_torch_does()
    expected = second(lambda *own: convolve(*own, **more), x, 0.3 * weight, bias)
    assert quicken()
    found = second(lambda *own: convolve(*own, **more), x, 0.3 * weight, bias)
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-9)


def test_penalties_take_it_and_it_can_be_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    as_torch_does()
    seen: list[int] = []
    real = second_order.double_backward

    def counted(*given: object) -> object:
        seen.append(1)
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(second_order, "double_backward", counted)
    layer = torch.nn.Conv2d(3, 4, 3)
    points = torch.randn(2, 3, 6, 6, requires_grad=True)
    slopes(layer(points).sin(), points).square().sum().backward()
    assert seen
    as_torch_does()
    seen.clear()
    (gradient,) = torch.autograd.grad(layer(points).sin().sum(), points, create_graph=True)
    gradient.square().sum().backward()
    assert not seen


def test_a_torch_with_another_operator_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    as_torch_does()
    monkeypatch.setattr(second_order, "SCHEMA", "aten::another(Tensor x) -> Tensor")
    assert not quicken()
