"""DeepRemaster: what other frames show is not lost in one of them; colours come from references, as many as there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.inference.colouring import chroma_of, framewise, grey, with_chroma
from ganvas.inference.remastering import cleaned, coloured, coloured_size, followed
from ganvas.kinds.video.spec import VideoSpec
from ganvas.networks.deepremaster import Restoration
from ganvas.networks.film import aged
from ganvas.store.records import Dataset, Field
from ganvas.systems.video.deepremaster import MATCHING, PRESETS, Config, DeepRemaster
from ganvas.uses import Work
from ganvas.uses.remaster import USE, Options

SPEC = VideoSpec(6, 16, 16)
SMALL: dict[str, Any] = {
    "width": 8, "halvings": 2, "norm": "none", "skips": True, "initial_attention": 1.0, "references": 2, "optimiser": "adam",
    "learning_rate": 2e-3, "batch_size": 8, "chroma_weight": 3.0, "flip": False, "length": 4, "matching": "alike",
}  # fmt: skip


def build(spec: Any = SPEC, **settings: Any) -> DeepRemaster:
    torch.manual_seed(0)
    return DeepRemaster(spec, build_config(Config, {**SMALL, **settings}))


def films(count: int = 96) -> Dataset:
    """Still halves, left and right of a place by chance, each of a colour of its own that its grey value does not tell."""
    rng = np.random.default_rng(0)
    luminance, chroma = rng.uniform(-0.4, 0.4, (count, 2, 1)), rng.uniform(-0.35, 0.35, (count, 2, 2))
    colours = with_chroma(*(torch.from_numpy(own).flatten(0, 1)[:, :, None, None].float() for own in (luminance, chroma)))
    colours = ((colours.view(count, 2, 3).numpy() + 1) * 127.5).round()
    left = np.arange(16) < rng.integers(4, 13, (count, 1))
    values = np.where(left[:, None, None, :, None], colours[:, :1, None, None], colours[:, 1:, None, None])
    values = np.broadcast_to(values, (count, 6, 16, 16, 3)).astype(np.uint8)
    return Dataset({"real": Field(SPEC, values)}, None, np.arange(count), np.arange(count) >= 80, "films", "")


def tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32) / 127.5 - 1).permute(0, 4, 1, 2, 3)


def learnt(rounds: int, **settings: Any) -> tuple[DeepRemaster, Tensor]:
    """A system after some rounds, and held-out clips."""
    data = films()
    system = build(**settings)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 8, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    return system.eval(), tensor(data.values[data.heldout_indices()])


def errors(system: DeepRemaster, clips: Tensor, count: int) -> float:
    """Of chroma, in levels of 255, with so many frames as references."""
    noise = Noise.seeded(0)
    with torch.no_grad():
        made = system.tint(framewise(grey, clips), clips[:, :, :count] if count else None, noise)
    return float(127.5 * (framewise(chroma_of, made) - framewise(chroma_of, clips)).abs().mean())


def flicker(system: DeepRemaster, clips: Tensor) -> tuple[float, float]:
    """Of the worn clips and of those that were made clean: mean change of grey values that stand still in truth."""
    noise = Noise.seeded(5)
    worn = system.age(clips, noise)[:, :1]
    with torch.no_grad():
        made = system.clean(worn, noise)
    return tuple(float(127.5 * own.diff(dim=2).abs().mean()) for own in (worn, made))  # type: ignore[return-value]


def test_references_bring_colours_that_grey_values_do_not_tell() -> None:
    system, clips = learnt(60)
    alone, shown = errors(system, clips, 0), errors(system, clips, 1)
    assert shown < 0.6 * alone, (shown, alone)
    deaf, clips = learnt(40, references=0)
    assert errors(deaf, clips, 1) == errors(deaf, clips, 0)
    assert errors(deaf, clips, 1) > 1.3 * shown


def test_through_time_what_stands_still_flickers_less() -> None:
    found = {}
    for temporal in (True, False):
        system, clips = learnt(120, temporal=temporal, references=0, chroma_weight=0.0)
        worn, found[temporal] = flicker(system, clips)
        assert found[temporal] < 0.6 * worn
    assert found[True] < 0.85 * found[False], found


def test_references_count_as_a_set_and_those_that_are_not_seen_not_at_all() -> None:
    torch.manual_seed(0)
    clips, pictures = torch.rand(2, 1, 3, 16, 16) - 0.5, torch.rand(2, 3, 5, 16, 24) - 0.5
    for matching in MATCHING:
        network = build(matching=matching).colourisation
        assert network is not None
        with torch.no_grad():
            network.final.weight.mul_(20)
            whole = network(clips, pictures)
            torch.testing.assert_close(network(clips, pictures[:, :, [3, 1, 4, 0, 2]]), whole, atol=1e-5, rtol=0)
            first = torch.tensor([[True, True, False, False, False]] * 2)
            two = network(clips, pictures[:, :, :2])
            torch.testing.assert_close(network(clips, pictures, first), two, atol=1e-5, rtol=0)
            assert (two - whole).abs().mean() > 1e-3
            torch.testing.assert_close(network(clips, pictures, first & False), network(clips), atol=1e-5, rtol=0)


def test_frame_by_frame_no_frame_knows_of_another() -> None:
    clips = torch.rand(1, 1, 5, 16, 16) * 2 - 1
    other = clips.clone()
    other[:, :, 0] = 0
    for temporal in (True, False):
        system = build(temporal=temporal).eval()
        noise = Noise.seeded(0)
        with torch.no_grad():
            one, two = (system.tint(system.clean(own, noise), None, noise) for own in (clips, other))
        assert torch.allclose(one[:, :, 3:], two[:, :, 3:], atol=1e-6) is not temporal


@pytest.mark.parametrize(
    ("settings", "channels"),
    [({}, 3), ({"matching": "own"}, 3), ({"norm": "batch", "skips": False}, 3), ({"references": 0}, 3), ({}, 1)],
)
def test_every_weight_learns(settings: dict[str, Any], channels: int) -> None:
    system = build(VideoSpec(6, 20, 18, channels), **settings)
    clips = torch.rand(4, channels, 6, 20, 18) * 2 - 1
    terms = system.learn(Batch(Noise.seeded(0), {"real": clips}), Clock(), {})
    assert set(terms) == {"luminance", "chroma"} if channels == 3 else {"luminance"}
    sum(terms.values()).backward()  # type: ignore[union-attr]
    for name, parameter in system.named_parameters():
        if not name.startswith("average"):
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_what_is_too_small_is_told() -> None:
    with pytest.raises(GanvasError, match="cannot be halved 3 times: take --size 32"):
        build(VideoSpec(6, 16, 7))


def test_the_film_model_wears_every_record_in_its_own_way_and_leaves_no_wear_as_it_is() -> None:
    clips = torch.rand(3, 1, 5, 24, 32) - 0.5
    assert torch.equal(aged(clips, Noise.seeded(0), 0.0), clips) or torch.allclose(
        aged(clips, Noise.seeded(0), 0.0), clips, atol=1e-5
    )
    worn = aged(clips[:1].expand(3, -1, -1, -1, -1), Noise.seeded(0))
    assert worn.abs().max() <= 1
    assert (worn[0] - worn[1]).abs().mean() > 0.02 and (worn[1] - worn[2]).abs().mean() > 0.02
    still = torch.zeros(64, 1, 6, 32, 32)
    worn = aged(still, Noise.seeded(1))
    lamp = worn.median(dim=4).values.median(dim=3).values[:, 0]
    assert lamp.diff(dim=1).abs().mean() > 0.01, "the lamp flickers"
    standing = (worn - lamp[:, None, :, None, None]).abs().median(dim=2).values > 0.4
    assert standing.float().mean(dim=(1, 2)).gt(0.2 / 32).any(), "a scratch stays through the frames"


def test_chroma_and_luminance_are_the_image() -> None:
    images = torch.rand(4, 3, 5, 7) * 2 - 1
    torch.testing.assert_close(with_chroma(grey(images), chroma_of(images)), images, atol=1e-5, rtol=0)
    assert chroma_of(grey(images).expand(-1, 3, -1, -1)).abs().max() < 1e-6
    assert with_chroma(grey(images), 3 * chroma_of(images)).abs().max() <= 1 + 1e-6


# Films of any size


def test_a_large_film_is_cleaned_in_tiles_as_if_it_were_whole() -> None:
    """Tiles of columns 0 to 127 and 32 to 159: what one of them alone makes is far from its border."""
    system = build().eval()
    clips = torch.rand(1, 1, 5, 22, 160) * 2 - 1
    noise = Noise.seeded(0)
    with torch.no_grad():
        parts = cleaned(lambda x: system.clean(x, noise), clips, 128, system.multiple)
        whole = cleaned(lambda x: system.clean(x, noise), clips, 0, system.multiple)
    assert parts.shape == clips.shape
    for alone in (slice(0, 32), slice(128, 160)):
        torch.testing.assert_close(parts[..., alone], whole[..., alone], atol=1e-4, rtol=0)
    assert (parts - whole).abs().mean() < 0.05


def test_a_film_is_cleaned_with_fewer_lines_and_keeps_what_is_finer() -> None:
    seen: list[tuple[int, ...]] = []

    def darken(greys: Tensor) -> Tensor:
        seen.append(tuple(greys.shape[3:]))
        return greys - 0.2

    clips = torch.rand(1, 1, 3, 64, 96) - 0.5
    made = cleaned(darken, clips, 0, 4, lines=32)
    assert seen == [(32, 48)]
    torch.testing.assert_close(made, clips - 0.2, atol=1e-5, rtol=0)
    clips[..., 40:46] = 1.0  # a scratch six pixels wide

    def mend(greys: Tensor) -> Tensor:
        return torch.where(greys > 0.7, torch.zeros_like(greys), greys)

    made = cleaned(mend, clips, 0, 4, lines=32)
    assert float(made[..., 41:45].abs().mean()) < 0.25 and bool((made.abs() <= 1).all())
    assert torch.equal(made[..., :32], clips[..., :32]), "what lies apart is left as it is"
    for lines in (0, 64, 200):
        assert cleaned(darken, clips, 0, 4, lines=lines).shape == clips.shape and seen[-1] == (64, 96)


def test_lines_are_told_and_too_few_are_refused() -> None:
    work = Work(build(), {"real": SPEC})
    assert USE.tell(work, Options()) == "remastered, cleaned at 480 lines at most (--lines)"
    assert USE.tell(work, Options(lines=0)) == "remastered"
    with pytest.raises(GanvasError, match="at least 64") as caught:
        USE.tell(work, Options(lines=3))
    assert "\n" not in str(caught.value)


def test_large_frames_are_coloured_small_and_chroma_follows_their_edges() -> None:
    assert coloured_size(16, 20, (16, 16), 8) == (16, 24)
    assert coloured_size(1080, 1920, (64, 64), 8) == (64, 112)
    large = torch.full((1, 1, 120, 160), -0.5)
    large[..., 83:] = 0.5
    seen: list[tuple[int, ...]] = []

    def paint(greys: Tensor, pictures: Tensor | None) -> Tensor:
        """Blue where it is dark, red where it is bright."""
        seen.append(tuple(greys.shape))
        assert pictures is not None and pictures.shape[3:] == greys.shape[3:]
        chroma = torch.cat([-greys, greys], 1) * 0.6
        return framewise(with_chroma, greys, chroma)

    made = coloured(paint, large[:, :, None], torch.rand(1, 3, 2, 30, 40), (16, 16), 8)
    assert seen == [(1, 1, 1, 16, 24)] and made.shape == (1, 3, 1, 120, 160)
    found = chroma_of(made[:, :, 0])[0, 0]
    assert found[:, :82].mean() > 0.25 and found[:, 84:].mean() < -0.25
    assert (found[:, 82] - found[:, 83]).mean() > 0.4, "the edge is as sharp as that of the grey values"


def test_followed_chroma_of_the_same_size_stays() -> None:
    images = torch.rand(2, 3, 12, 12) * 0.2 + torch.linspace(-0.5, 0.5, 12)
    made = followed(chroma_of(images), grey(images), grey(images))
    assert (made - chroma_of(images)).abs().mean() < 0.03


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_the_use_takes_any_length_and_size_and_one_reference_or_several(frames: int) -> None:
    system = build().eval()
    work = Work(system, {"real": SPEC})
    clips = torch.rand(1, 3, frames, 21, 50) * 2 - 1
    with torch.no_grad():
        for more in ({}, {"reference": torch.rand(1, 3, 30, 20)}, {"reference": torch.rand(4, 3, 30, 20)}):
            made = USE.run(work, {"real": clips, **more}, Options(tile=32))["real"]
            assert made.shape == clips.shape and made.abs().max() <= 1 + 1e-6


def test_a_film_may_keep_its_colours_or_lose_them() -> None:
    system = build().eval()
    work = Work(system, {"real": SPEC})
    clips = torch.rand(1, 3, 3, 16, 16) - 0.5
    with torch.no_grad():
        own, none = (USE.run(work, {"real": clips}, Options(colours=colours))["real"] for colours in ("own", "none"))
    assert (framewise(chroma_of, own) - framewise(chroma_of, clips)).abs().mean() < 0.05
    assert (none[:, 0] - none[:, 2]).abs().max() < 1e-6


def test_presets_are_built(tmp_path: Path) -> None:
    from ganvas.presets import Situation

    situation = Situation(VideoSpec(16, 64, 64), 1000, 600.0, 50.0, "cpu")
    small = PRESETS["auto"](situation)
    assert small["width"] < 32 <= PRESETS["auto"](Situation(VideoSpec(16, 64, 64), 1000, 864_000.0, 5000.0, "cuda"))["width"]
    assert build_config(Config, PRESETS["paper"]).norm == "batch"


def test_a_network_that_went_beyond_white_finds_back() -> None:
    """While it learns, values beyond black and white still have a slope; what is put to use stays within."""
    torch.manual_seed(0)
    network = Restoration(8, 1, "none", True)
    final = [module for module in network.final.modules() if isinstance(module, torch.nn.Conv3d)][-1]
    assert final.bias is not None
    torch.nn.init.constant_(final.bias, 2.0)  # everything is white
    clips = torch.rand(1, 1, 2, 16, 16) - 0.5
    made = network.train()(clips)
    (made - clips).abs().mean().backward()
    assert final.bias.grad is not None and final.bias.grad.abs().max() > 1e-3
    assert network.eval()(clips).max() <= 1
