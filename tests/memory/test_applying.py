"""What one call of a use takes of memory, foretold without numbers: by the size of records, and without touching the system."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ganvas.config import build_config
from ganvas.memory.applying import foretell_use
from ganvas.memory.board import make_spec
from ganvas.memory.predicting import ALLOCATOR_STEADY
from ganvas.memory.workspace import _block, spaces
from ganvas.registry import load_system
from ganvas.uses import Work, build_options, uses_of

MEASURED = """
import re, sys, torch
from pathlib import Path
sys.path.insert(0, {folder!r})
from test_applying import enlarging

def held(what):
    return int(re.search(what + r":\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

torch.set_num_threads(1)
use, work, options = enlarging()
with torch.no_grad():
    use.run(work, {{"real": torch.zeros(1, 3, 32, 32)}}, options)
    before = held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark begins anew
    use.run(work, {{"real": torch.zeros(1, 3, 96, 96)}}, options)
print(held("VmHWM") - before)
"""


def enlarging() -> tuple[Any, Work, Any]:
    """A small SRGAN put to restoring."""
    spec = make_spec("image", 64, 3)
    system: Any = load_system("srgan")[2]
    board = system(spec, build_config(system.Config, {"blocks": 1})).eval()
    able = uses_of(board)
    (use,) = [own for own in able if own.verb == "restore"]
    return use, Work(board, {"real": spec}), build_options(use, {}, able)


def test_memory_goes_with_the_size_of_the_record_and_the_system_stays_as_it_was() -> None:
    use, work, options = enlarging()
    before = {name: value.clone() for name, value in work.system.state_dict().items()}
    needs = []
    for side in (32, 64, 128):
        need = foretell_use(use, work, {"real": torch.empty(1, 3, side, side, device="meta")}, options)
        assert need is not None
        needs.append(need)
        assert need > 64 * 4 * (4 * side) ** 2, "64 channels of the enlarged picture at the least"
    assert 3 < (needs[2] - needs[1]) / (needs[1] - needs[0]) < 5
    after = work.system.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the highest mark of a process")
def test_what_is_foretold_is_what_a_fresh_process_takes() -> None:
    use, work, options = enlarging()
    need = foretell_use(use, work, {"real": torch.empty(1, 3, 96, 96, device="meta")}, options)
    text = MEASURED.format(folder=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    taken = int(done.stdout)
    assert need is not None and 0.75 * taken < need < 1.6 * taken, (need, taken)


def test_what_needs_numbers_is_not_foretold() -> None:
    use, work, options = enlarging()

    def looking(work: Work, given: Any, options: Any) -> Any:
        return {"real": given["real"][: int(given["real"].sum().numpy())]}

    asking = dataclasses.replace(use, run=looking)
    assert foretell_use(asking, work, {"real": torch.empty(1, 3, 32, 32, device="meta")}, options) is None


@pytest.mark.skipif(_block() != 8, reason="with AVX-512 there is code for longer kernels")
def test_long_kernels_are_matrices_and_few_channels_fill_a_block() -> None:
    """MiB beyond the result, as a single convolution took them on one thread (AVX2)."""
    took = {(8, 1, 9, 896): 248.1, (16, 3, 9, 1024): 323.8, (8, 1, 9, 512): 1.1, (16, 3, 7, 512): 20.9, (16, 1, 3, 512): 22.9}
    for (before, after, kernel, side), measured in took.items():
        maps = torch.empty(1, before, side, side, device="meta")
        weight = torch.empty(after, before, kernel, kernel, device="meta")
        rest: Any = ([1, 1], [kernel // 2] * 2, [1, 1], False, [0, 0], 1)
        result = torch.ops.aten.convolution(maps, weight, None, *rest)
        (space,) = spaces(torch.ops.aten.convolution.default, (maps, weight, None, *rest), torch.device("cpu"), result)
        expected = max(sum(space.before), sum(space.beside) + result.nbytes) - result.nbytes
        assert expected / 2**20 == pytest.approx(measured, rel=0.1, abs=0.2)


def test_samples_are_foretold_though_they_come_piece_by_piece() -> None:
    spec = make_spec("image", 32, 1)
    system: Any = load_system("dcgan")[2]
    needs = []
    for width in (8, 32):
        board = system(spec, build_config(system.Config, {"width": width})).eval()
        able = uses_of(board)
        (use,) = [own for own in able if own.verb == "sample"]
        need = foretell_use(use, Work(board, {"real": spec}), {}, build_options(use, {"count": 64}, able))
        assert need is not None
        needs.append(need - ALLOCATOR_STEADY)
    assert needs[0] > 64 * 4 * 8 * 16**2, "a batch of maps at the least"
    assert needs[1] > 2 * needs[0]
