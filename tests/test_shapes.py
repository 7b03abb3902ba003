"""Networks without numbers cost neither a compiler nor random numbers."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

import toys
from ganvas.shapes import shapes_only

INITIALISERS = {
    "normal": nn.init.normal_, "uniform": nn.init.uniform_, "he": nn.init.kaiming_normal_, "glorot": nn.init.xavier_uniform_,
    "orthogonal": nn.init.orthogonal_, "truncated": nn.init.trunc_normal_, "zeros": nn.init.zeros_,
}  # fmt: skip


def test_every_usual_initialisation_leaves_shapes_and_the_random_state() -> None:
    before = torch.get_rng_state()
    with shapes_only():
        for start in INITIALISERS.values():
            network = nn.Sequential(nn.Linear(3, 5), nn.Conv2d(2, 4, 3), nn.LSTM(3, 4))
            for parameter in network.parameters():
                if parameter.dim() > 1:
                    start(parameter)
            assert all(p.is_meta for p in network.parameters())
        assert [tuple(p.shape) for p in network[0].parameters()] == [(5, 3), (5,)]
    assert torch.equal(torch.get_rng_state(), before)


def test_outside_of_it_weights_are_drawn_as_ever() -> None:
    torch.manual_seed(0)
    plain = nn.Linear(3, 5).weight
    torch.manual_seed(0)
    with shapes_only():
        nn.Linear(3, 5)
    assert torch.equal(nn.Linear(3, 5).weight, plain)


def test_a_training_loads_neither_the_compiler_nor_a_computer_algebra_system() -> None:
    code = (
        "import sys, tempfile, ganvas\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    ganvas.train('gan', 'patterns', out=folder + '/run', budget='1r', phantom_count=200, sample_every=0, quiet=True)\n"
        "print([name for name in sys.modules if name.startswith(('torch._dynamo.', 'sympy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=toys.environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"
