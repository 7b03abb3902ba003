"""Directions with names: what is recorded and moved, what is found, what is kept, and what a user is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganvas.batches import Noise
from ganvas.cli import main
from ganvas.errors import GanvasError
from ganvas.game import System
from ganvas.inference import directions
from ganvas.inference.directions import Moved, find_directions, move_along, properties_of
from ganvas.inference.sampling import draw_samples
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.points.spec import PointsSpec
from ganvas.kinds.series.spec import SeriesSpec
from ganvas.kinds.solid.spec import SolidSpec
from ganvas.kinds.sound.spec import SoundSpec
from ganvas.run.train import train

LATENT = 12
SPEC = ImageSpec(1, 8, 8)


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


class Lamp(System):
    """Grey images whose brightness is a known direction of its latents, under noise; their contrast is no matter of latents."""

    def __init__(self, latents: str) -> None:
        nn.Module.__init__(self)
        self.kind = latents
        self.scale = nn.Parameter(torch.ones(()))
        self.truth = torch.zeros(LATENT)
        self.truth[:3] = torch.tensor([2.0, -1.0, 2.0]) / 3

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        drawn = noise.normal(count, LATENT) if self.kind == "normal" else noise.uniform(count, LATENT)
        normal = drawn if self.kind == "normal" else torch.special.ndtri(drawn.clamp(1e-6, 1 - 1e-6))
        ripple = noise.uniform(count, 1, 1, 1) * torch.linspace(-1, 1, 8)[None, None, None]
        return (0.2 * (normal @ self.truth)[:, None, None, None] + 0.3 * ripple).expand(count, 1, 8, 8)


@pytest.mark.parametrize("latents", ["normal", "uniform"])
def test_the_direction_of_a_known_generator_is_found_and_moving_changes_its_property_alone(latents: str) -> None:
    lamp = Lamp(latents)
    found = find_directions(lamp, SPEC)
    assert list(found) == ["brightness", "contrast"]
    assert found["brightness"].agreement > 0.95
    assert found["brightness"].vector @ lamp.truth.numpy() > 0.99
    assert not found["contrast"].serves
    means = []
    for amount in (-2.0, -1.0, 0.0, 1.0, 2.0):
        move = move_along(found, {"brightness": amount})
        made = torch.cat(list(draw_samples(lamp, 256, seed=1, move=move)))
        means.append(float(made.mean()))
    assert np.allclose(np.diff(means), 0.2, atol=0.02), "a standard deviation of this generator's brightness is 0.2"


def test_only_the_first_numbers_are_moved_and_the_others_are_those_that_would_be_drawn_anyway() -> None:
    plain, moved = noise(3), Moved(noise(3), torch.full((4,), 50.0))
    first, second, third = plain.normal(5, 4), plain.normal(5, 4), plain.uniform(5, 2)
    assert torch.allclose(moved.normal(5, 4), first + 50)
    assert torch.equal(moved.normal(5, 4), second) and torch.equal(moved.uniform(5, 2), third)
    far = Moved(noise(), torch.tensor([50.0, -50.0, 0.0])).uniform(1000, 3)
    assert float(far.min()) >= 0 and float(far.max()) <= 1
    assert torch.allclose(far[:, 2], noise().uniform(1000, 3)[:, 2], atol=1e-5)
    recorded = Moved(noise(3))
    assert torch.equal(recorded.normal(5, 4), first), "without a move nothing changes"
    assert recorded.latents is not None and torch.equal(recorded.latents, first.double())


def test_a_system_that_draws_no_latents_has_no_directions() -> None:
    class Still(Lamp):
        def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
            return torch.zeros(count, 1, 8, 8)

    assert find_directions(Still("normal"), SPEC) == {}
    with pytest.raises(GanvasError, match="its directions: none"):
        move_along({}, {"brightness": 1.0})


def test_properties_are_what_their_names_say() -> None:
    rate = 8000
    time = np.arange(4096) / rate
    low, high = (np.sin(2 * np.pi * f * time) for f in (200.0, 1000.0))
    hiss = np.random.default_rng(0).standard_normal(4096)
    sounds = np.stack([0.5 * low, 0.05 * high, 0.1 * hiss, 0.5 * low * np.exp(-40 * time), 0 * low])[..., None]
    heard = properties_of(sounds.astype(np.float32), SoundSpec(4096, rate))
    assert np.allclose(heard["brightness"][:2], np.log2([200, 1000]), atol=0.1)
    assert heard["brightness"][2] > 10.5
    assert np.allclose(heard["loudness"][:2], [-9.03, -29.03], atol=0.05)
    assert np.allclose(heard["length"][[0, 3]], [0.486, 0.037], atol=0.01)
    assert np.allclose(heard["pitch"][[0, 1, 3]], np.log2([200, 1000, 200]), atol=0.05)
    assert np.isnan(heard["pitch"][2]) and all(np.isnan(values[4]) for values in heard.values())

    images = np.stack([np.full((4, 4, 1), 40), np.indices((4, 4)).sum(0)[..., None] % 2 * 200]).astype(np.uint8)
    seen = properties_of(images, ImageSpec(1, 4, 4))
    assert seen["brightness"].tolist() == [40, 100] and seen["contrast"].tolist() == [0, 100]

    solid = np.zeros((2, 8, 8, 8), np.uint8)
    solid[0, 1:3, 2:6, 0:8] = 1
    felt = properties_of(solid, SolidSpec(8))
    assert {name: values.tolist() for name, values in felt.items()} == {
        "volume": [0.125, 0], "width": [0.25, 0], "depth": [0.5, 0], "height": [1, 0],
    }  # fmt: skip

    windows = np.stack([np.full((10, 2), 3.0), np.tile([[0.0, 1.0], [4.0, 1.0]], (5, 1))])
    read = properties_of(windows, SeriesSpec(10, ("a", "b"), (0.0, 0.0), (2.0, 1.0)))
    assert {name: values.tolist() for name, values in read.items()} == {"spread": [0, 0.5], "a": [3, 2], "b": [3, 1]}
    assert properties_of(np.zeros((3, 2)), PointsSpec(2)) == {}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small wavegan that learnt for some seconds to make tones of all loudnesses and lengths."""
    soundfile = pytest.importorskip("soundfile")
    root = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    fade = np.linspace(1, 0, 256) ** 2
    (root / "tones").mkdir()
    for k in range(64):
        tone = np.sin(2 * np.pi * rng.uniform(0.02, 0.3) * np.arange(256) + rng.uniform(0, 6))
        soundfile.write(root / "tones" / f"{k}.wav", 0.8 * rng.uniform(0.2, 1) * fade ** rng.uniform(0.2, 3) * tone, 4000)
    config: dict[str, Any] = {
        "width": 4,
        "latent_size": 8,
        "batch_size": 8,
        "generator_learning_rate": 4e-3,
        "critic_learning_rate": 4e-3,
    }
    config |= {"ema_half_life": 100.0, "critic_turns": 2}
    options: dict[str, Any] = {"quiet": True, "device": "cpu", "threads": 1}
    train("wavegan", root / "tones", out=root / "run", size="256", config=config, budget="60r", **options)
    return root / "run"


def test_moving_a_trained_wavegan_raises_the_property_in_the_mean(run: Path) -> None:
    from ganvas.run.load import Run

    opened = Run(run)
    for name in ("brightness", "loudness", "length"):
        means = [
            float(np.nanmean(properties_of(opened.sample(128, moves={name: amount}), opened.spec)[name]))
            for amount in (-2.0, 0.0, 2.0)
        ]
        assert means == sorted(means) and means[2] > means[0], (name, means)
    assert np.array_equal(opened.sample(4, moves={"length": 0.0}).shape, opened.sample(4).shape)
    assert np.allclose(opened.sample(4, moves={"length": 0.0}), opened.sample(4), atol=1e-3)


def test_what_was_found_is_kept_for_these_weights_alone(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganvas.run.load import Run

    kept = run / "checkpoints" / "directions.npz"
    kept.unlink(missing_ok=True)
    said: list[str] = []
    first = directions.directions_of(Run(run), said.append)
    assert kept.is_file() and len(said) == 1
    calls = []
    found = directions.find_directions
    monkeypatch.setattr(directions, "find_directions", lambda *a, **k: calls.append(1) or found(*a, **k))
    again = directions.directions_of(Run(run), said.append)
    assert calls == [] and len(said) == 1
    assert again.keys() == first.keys() and all(np.array_equal(again[n].vector, first[n].vector) for n in first)
    other = Run(run)
    other.manifest["files"]["weights.safetensors"]["sha256"] = "0" * 64
    directions.directions_of(other)
    assert calls == [1], "other weights, other directions"
    kept.write_bytes(b"not an array")
    directions.directions_of(Run(run))
    assert calls == [1, 1], "a damaged file is replaced"


def test_the_command_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    soundfile = pytest.importorskip("soundfile")
    words = ["sample", str(run), "-n", "12", "--device", "cpu", "--json", "--depth", "24"]
    heights = []
    for amount in ("-3", "+3"):
        assert main([*words, "--move", f"loudness={amount}", "--out", str(tmp_path / amount)]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["notes"] == []
        heights.append(np.mean([np.square(soundfile.read(file)[0]).mean() for file in result["files"]]))
    assert heights[1] > heights[0]
    with soundfile.SoundFile(result["files"][0]) as file:
        assert "moved: loudness +3" in file.comment and file.subtype == "PCM_24"
    for given, told in {
        "loudnes=2": "has no such direction (did you mean 'loudness'?)",
        "warmth=2": "its directions: brightness, loudness, length",
        "loudness": "is not NAME=AMOUNT, for example  --move brightness=+2",
        "loudness=much": "is not NAME=AMOUNT",
        "loudness=60": "is too far: -6 to 6 standard deviations",
        "loudness=nan": "is too far",
    }.items():
        assert main([*words, "--move", given, "--out", str(tmp_path / "no")]) == 2
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1, (given, error)


def test_runs_without_noise_have_nothing_to_move() -> None:
    card = SimpleNamespace(name="srgan")
    opened: Any = SimpleNamespace(system=nn.Linear(1, 1), record=SimpleNamespace(path="runs/x", card=card))
    with pytest.raises(GanvasError, match="srgan makes nothing from noise alone"):
        directions.directions_of(opened)
