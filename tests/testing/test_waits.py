"""What would wait for a GPU, seen on a processor: each way of waiting, and what looks like one and is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from ganvas.batches import constant
from ganvas.networks.spectrogram import overlapped
from ganvas.testing.boards import Case, subject_of
from ganvas.testing.waits import waits

X = torch.arange(12.0).reshape(3, 4)
WAITS: dict[str, tuple[Callable[[], Any], str]] = {
    "item": (lambda: X.sum().item(), "reads a number back"),
    "if": (lambda: 1 if X.sum() > 2 else 2, "reads a number back"),
    "a slice up to a tensor": (lambda: X[: torch.ones((), dtype=torch.int64) * 2], "reads a number back"),
    "tolist": (lambda: X.tolist(), r"reads a tensor back \(tolist"),
    "numpy": (lambda: X.numpy(), r"reads a tensor back \(numpy"),
    "cpu": (lambda: X.cpu(), r"reads a tensor back \(cpu"),
    "a mask": (lambda: X[X > 3], "picks by a mask"),
    "nonzero": (lambda: torch.where(X > 3), "size depends on values"),
    "unique": (lambda: X.unique(), "size depends on values"),
    "equal": (lambda: torch.equal(X, X), "compares whole tensors"),
    "tensor": (lambda: torch.tensor([1.0, 2.0], device=X.device), "copies numbers to the device"),
    "new_tensor": (lambda: X.new_tensor([1.0]), "copies numbers to the device"),
    "to": (lambda: torch.tensor([1.0]).to(X.device), "without non_blocking"),
    "a list": (lambda: X[[0, 2]], "picks by a list"),
    "an array": (lambda: X[np.array([0, 2])], "picks by a list"),
    "classes uncounted": (lambda: one_hot(X.long()), "reads a number back"),
}
FREE: dict[str, Callable[[], Any]] = {
    "classes": lambda: one_hot(X.long(), 12),
    "filled by a mask": lambda: X.clone().__setitem__(X > 3, 1.0),
    "a choice": lambda: torch.where(X > 3, X, 0.0),
    "a table": lambda: constant((0.25, 0.5), X.device) * 2,
    "records on their way": lambda: torch.from_numpy(np.ones(3)).to(X.device, non_blocking=True),
    "picked by a tensor": lambda: X[torch.arange(2, device=X.device)],
    "repeated": lambda: X.repeat_interleave(2, 0),
}


@pytest.mark.parametrize("name", list(WAITS))
def test_what_waits_is_named_with_its_line(name: str) -> None:
    play, what = WAITS[name]
    with waits() as found:
        play()
    assert found, "nothing was noticed"
    assert all(re.search(what, wait.what) for wait in found), found
    assert all(wait.where.startswith("test_waits.py:") and not wait.dealing for wait in found), found


@pytest.mark.parametrize("name", list(FREE))
def test_what_only_looks_like_it_is_left_alone(name: str) -> None:
    with waits() as found:
        FREE[name]()
    assert found == {}


def test_what_a_game_decides_between_turns_and_the_engines_own_look_are_left_out() -> None:
    engine = Case(subject_of("gan-3d"), "solid").board()  # D moves while it is not too often right; looked at in round 2
    assert callable(engine.phases[0].turns[0].times)
    with waits() as found:
        reports = [engine.play_round() for _ in range(2)]
    assert reports[1] is not None
    assert found == {}


def test_a_table_is_copied_once() -> None:
    first = constant((1.0, (2.0)), torch.device("cpu"), torch.float64)
    assert constant((1.0, 2.0), torch.device("cpu"), torch.float64) is first
    assert first.dtype == torch.float64
    assert first.tolist() == [1.0, 2.0]


def test_overlapped_waves_are_those_of_torchs_inverse() -> None:
    waves, window = torch.randn(2, 512), torch.hann_window(64)
    lines = torch.stft(waves, 64, 16, window=window, return_complex=True)
    lines = lines * torch.rand(2, 33, 1)  # of no wave any more
    expected = torch.istft(lines, 64, 16, window=window, length=512)
    torch.testing.assert_close(overlapped(lines, window, 16, 512), expected, atol=1e-6, rtol=1e-5)


def test_seqgan_knows_its_place_also_where_something_else_set_it() -> None:
    engine = Case(subject_of("seqgan"), "tokens").board()
    system: Any = engine.system
    noise = engine.noise
    count = engine.system.config.batch_size
    system._negatives(count, noise)
    assert system._place() == int(system.taken) == count
    system.load_state_dict({**system.state_dict(), "taken": torch.tensor(3 * count)})
    assert system._place() == 3 * count
    system.taken.detach().copy_(torch.tensor(2 * count))  # as the Engine goes back
    assert system._place() == 2 * count
    with waits() as found:
        system._negatives(count, noise)
        assert system._place() == int(system.taken.clone())
    assert len(found) == 2, found  # its place was read once after it was changed, and here
