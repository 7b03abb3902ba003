"""Training loads no compiler, and whoever wants one gets the real one."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMON = """
import inspect, sys
import torch
from ganvas.optim import optimiser

def stepped(seconds=3):
    torch.manual_seed(0)
    net = torch.nn.Linear(4, 3)
    rule = optimiser("adam", 0.1)(list(net.named_parameters()))
    for _ in range(seconds):
        rule.zero_grad()
        net(torch.ones(2, 4)).square().sum().backward()
        rule.step()
    rule.load_state_dict(rule.state_dict())
    return net.weight.detach().clone()
"""


def said(code: str) -> str:
    """What a process of its own prints: the compiler is loaded once a process."""
    done = subprocess.run([sys.executable, "-c", COMMON + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_steps_load_no_compiler_and_looking_through_modules_does_neither() -> None:
    code = """
stepped()
[inspect.getmodule(stepped), [hasattr(module, "__file__") for module in list(sys.modules.values())]]
print(type(sys.modules["torch._dynamo"]).__name__, any(name.startswith("torch._dynamo.") for name in sys.modules))
"""
    assert said(code) == "_Idle False"


@pytest.mark.slow
def test_steps_are_the_same_with_the_compiler_and_compiling_still_works() -> None:
    code = """
before = stepped()
doubled = torch.compile(lambda x: 2 * x, backend="eager")(torch.ones(3))
assert type(sys.modules["torch._dynamo"]).__name__ == "module" and torch._dynamo is sys.modules["torch._dynamo"]
import torch._dynamo.config
print(torch.equal(before, stepped()), doubled.tolist())
"""
    assert said(code) == "True [2.0, 2.0, 2.0]"


@pytest.mark.slow
def test_a_compiler_that_is_there_is_left_alone() -> None:
    code = """
import torch._dynamo
own = sys.modules["torch._dynamo"]
stepped()
print(sys.modules["torch._dynamo"] is own)
"""
    assert said(code) == "True"
