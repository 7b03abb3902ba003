"""StackGAN: samples around captions, a stage one that stands still, wrong captions, sizes, and what stage two draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.data.dataset import Dataset, Field
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.tokens.spec import TokensSpec
from ganvas.networks.stackgan import ConditioningAugmentation, StageTwo, divergence
from ganvas.presets import Situation
from ganvas.proofs import Row
from ganvas.proofs.stackgan import HALF, SLOPES, halved, met
from ganvas.systems.synthesis.stackgan import PRESETS, SHOWN, Config, StackGan

COLOURS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 70, 230)}
SHAPES = ("bar", "pole")
WORDS = ("", "a", *COLOURS, *SHAPES)
SIDE = 16
SPEC = {"picture": ImageSpec(channels=3, height=SIDE, width=SIDE), "caption": TokensSpec(4, WORDS)}
SMALL: dict[str, Any] = {
    "width": 8, "batch_size": 32, "text_size": 32, "condition_size": 16, "latent_size": 8, "blocks": 1,
}  # fmt: skip


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def small(spec: Any = SPEC, **settings: Any) -> StackGan:
    torch.manual_seed(0)
    return StackGan(spec, Config(**{**SMALL, **settings}))


def said(colours: Any, shapes: Any) -> np.ndarray:
    """Captions (N, 4): `a red bar`, and the end."""
    found = np.zeros((len(colours), 4), np.int32)
    found[:, 0], found[:, 1], found[:, 2] = 1, 2 + np.asarray(colours), 2 + len(COLOURS) + np.asarray(shapes)
    return found


def drawn(colours: np.ndarray, shapes: np.ndarray, seed: int) -> np.ndarray:
    """Pictures (N, SIDE, SIDE, 3) uint8: a bar or a pole of a colour on white, somewhere."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    pictures = np.full((len(colours), SIDE, SIDE, 3), 255, np.uint8)
    for picture, colour, shape in zip(pictures, colours, shapes, strict=True):
        top, left = rng.uniform(6, 9, 2)
        tall, wide = ((2, 6), (6, 2))[shape]
        picture[(abs(y - top) < tall) & (abs(x - left) < wide)] = list(COLOURS.values())[colour]
    return pictures


def read(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(colours, shapes) that pictures (N, SIDE, SIDE, 3) in [0, 255] show, by measuring the ink: no network."""
    ink = (255 - pictures.astype(float)).clip(0)
    hue = ink.sum((1, 2))
    hue /= np.linalg.norm(hue, axis=1, keepdims=True).clip(1e-9)
    true = 255.0 - np.array(list(COLOURS.values()))
    weight = np.where(ink.sum(3) > 150, ink.sum(3), 0.0) + 1e-9
    y, x = np.mgrid[:SIDE, :SIDE]

    def spread(place: np.ndarray) -> np.ndarray:
        mean = (weight * place).sum((1, 2)) / weight.sum((1, 2))
        found: np.ndarray = (weight * np.square(place - mean[:, None, None])).sum((1, 2))
        return found

    return (hue @ (true / np.linalg.norm(true, axis=1, keepdims=True)).T).argmax(1), (spread(y) > spread(x)).astype(int)


def batch(captions: np.ndarray, seed: int = 0, side: tuple[int, int] = (SIDE, SIDE), channels: int = 3) -> Batch:
    pictures = torch.rand(len(captions), channels, *side, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return Batch(noise(seed), {"picture": pictures, "caption": torch.from_numpy(captions).long()})


def test_variances_may_be_below_and_means_below_zero() -> None:
    torch.manual_seed(0)
    tell = ConditioningAugmentation(32, 16)
    sample, mean, spread = tell(torch.randn(64, 32), torch.zeros(64, 16))
    assert (mean < 0).any() and (spread.exp() < 0.5).any(), "nothing bends the two outputs"
    torch.testing.assert_close(sample, mean)
    eps = torch.randn(64, 16)
    found, mean, spread = tell(torch.ones(64, 32), eps)
    torch.testing.assert_close(found, mean + (0.5 * spread).exp() * eps)


def test_divergence_is_that_of_two_normal_distributions() -> None:
    mean, spread = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.0, -2.0]])
    normal = torch.distributions.Normal
    wanted = torch.distributions.kl_divergence(normal(mean, (0.5 * spread).exp()), normal(0.0, 1.0)).mean()
    torch.testing.assert_close(divergence(mean, spread), wanted)
    assert divergence(torch.zeros(3, 4), torch.zeros(3, 4)).item() == 0


def test_g_is_told_by_a_sample_and_d_by_the_caption() -> None:
    captions = said([0, 1, 2, 0], [0, 1, 0, 1])
    system = small()
    one = system.sketch(batch(captions), Clock(), {})
    assert set(one) == {"fool", "divergence"}
    assert set(small(conditioning_augmentation=False).sketch(batch(captions), Clock(), {})) == {"fool"}
    texts = system.text_encoder(torch.from_numpy(captions).long())
    assert torch.equal(small(conditioning_augmentation=False)._eps(texts, noise()), torch.zeros(4, 16))
    asked: list[torch.Tensor] = []
    system.discriminator_one.compress.register_forward_pre_hook(lambda _, given: asked.append(given[0]))
    system.discriminate_drafts(batch(captions), Clock(), {})
    assert asked and all(not own.requires_grad for own in asked), "no gradient reaches what tells of captions through D"


def test_equal_captions_are_never_wrong_ones_and_fakes_share_one_half() -> None:
    alike, apart = said([0] * 6, [1] * 6), said([0, 1] * 3, [1] * 6)
    for judge in (small().discriminate_drafts, small().discriminate):
        assert judge(batch(alike), Clock(), {})["wrong caption"].item() == 0
        assert judge(batch(apart), Clock(), {})["wrong caption"].item() > 0
    both = small().discriminate(batch(apart), Clock(), {})
    alone = small(matching_aware=False).discriminate(batch(apart), Clock(), {})
    assert set(alone) == {"real", "fake"}
    torch.testing.assert_close(alone["fake"], 2 * both["fake"])


def test_stage_one_stands_still_while_stage_two_learns() -> None:
    system = small().train()
    kept = {name: value.clone() for name, value in system.draft.state_dict().items()}
    statistics = {name: value.clone() for name, value in system.drawing.state_dict().items()}
    terms = system.finish(batch(said([0, 1, 2, 0], [0, 1, 0, 1])), Clock(), {})
    sum(terms.values()).backward()  # type: ignore[union-attr]
    assert all(torch.equal(value, kept[name]) for name, value in system.draft.state_dict().items()), "nor its BatchNorm"
    assert all(own.grad is None for own in system.draft.parameters())
    assert all(own.grad is None for own in system.text_encoder.parameters())
    assert any(own.grad is not None and own.grad.abs().sum() > 0 for own in system.stage_two.parameters())
    first, second = system.averages()
    assert first.half_life(Clock(phase="stage two", phase_samples=500)) == float("inf")  # type: ignore[operator]
    assert first.half_life(Clock(phase="stage one", phase_samples=500)) == 50  # type: ignore[operator]
    assert second.half_life(Clock(phase="stage one", phase_samples=500)) == float("inf")  # type: ignore[operator]
    assert statistics.keys() == system.drawing.state_dict().keys()


def test_stage_two_reads_the_picture_and_the_caption() -> None:
    torch.manual_seed(0)
    two = StageTwo(16, (3, 32, 32), (16, 16), 2, 8, 1, kept=False).eval()
    pictures, conditions = torch.rand(2, 3, 16, 16), torch.randn(2, 16)
    made = two(pictures, conditions)
    assert made.shape == (2, 3, 32, 32)
    assert not torch.allclose(made, two(pictures, conditions.flip(0)), atol=1e-6)
    assert not torch.allclose(made, two(pictures.flip(0), conditions), atol=1e-6)
    kept = StageTwo(16, (3, 32, 32), (16, 16), 2, 8, 1, kept=True).eval()
    torch.nn.init.zeros_(kept.layers[-1].weight)  # type: ignore[arg-type]
    torch.testing.assert_close(kept(0.5 * pictures, conditions), kept.enlarged(0.5 * pictures)), "begins as the enlarged one"


@pytest.mark.parametrize(("channels", "side", "times"), [(1, (33, 17), 2), (3, (64, 80), 4), (3, (9, 12), 1)])
def test_any_size(channels: int, side: tuple[int, int], times: int) -> None:
    spec = {"picture": ImageSpec(channels, *side), "caption": SPEC["caption"]}
    system = small(spec)
    assert system.config.reduction == times
    captions = said([0, 1], [0, 1])
    shown = batch(captions, side=side, channels=channels)
    for turn in (system.embed, system.discriminate_drafts, system.sketch, system.discriminate, system.finish):
        assert all(torch.isfinite(term) for term in turn(shown, Clock(), {}).values())
    assert system.eval().sample(2, noise()).shape == (2, channels, *side)


def test_a_stage_one_that_is_too_small_is_refused() -> None:
    with pytest.raises(GanvasError, match=r"8 pixels a side.*--size"):
        small(reduction=4)


def test_before_stage_two_begins_pictures_are_those_of_stage_one() -> None:
    system = small().eval()
    captions = torch.from_numpy(said([0, 1], [1, 0])).long()
    texts = system.text_encoder(captions)
    enlarged, made = system._sampled(texts, noise())
    assert torch.equal(enlarged, made)
    system.discriminate(batch(said([0, 1], [1, 0])), Clock(), {})
    enlarged, made = system._sampled(texts, noise())
    assert not torch.equal(enlarged, made)
    panel = system.show(batch(said([0, 1], [1, 0])), noise())
    assert panel.records.shape == (2, 1 + 2 * SHOWN, 3, SIDE, SIDE) and panel.rows[0].split() == ["a", "red", "pole"]


def test_paper_is_built_and_plays() -> None:
    spec = {"picture": ImageSpec(3, 32, 32), "caption": SPEC["caption"]}
    system = StackGan(spec, Config(**{**PRESETS["paper"], "batch_size": 2}))
    shown = batch(said([0, 1], [0, 1]), side=(32, 32))
    for turn in (system.embed, system.discriminate_drafts, system.sketch, system.discriminate, system.finish):
        sum(turn(shown, Clock(), {}).values()).backward()  # type: ignore[union-attr]
    assert not system.stage_two.draw.kept and system.config.decay_steps == 5
    slow = system.players()[1].rate
    assert [slow(Clock(progress=share)) for share in (0.0, 0.15, 0.569, 0.9)] == [1.0, 1.0, 2.0**-5, 2.0**-5]


def test_auto_grows_with_the_budget() -> None:
    spec = {"picture": ImageSpec(3, 64, 64), "caption": SPEC["caption"]}
    few = Situation(spec, 4_000, 600.0, 40.0, "cpu")
    many = Situation(spec, 40_000, 36_000.0, 4_000.0, "cuda")
    assert PRESETS["auto"](few)["width"] < PRESETS["auto"](many)["width"]
    assert PRESETS["auto"](few)["augment"] and not PRESETS["auto"](many)["augment"]


def test_the_mark_asks_for_all_three() -> None:
    def row(found: float, distance: float, spread: float, slopes: float = 0.2) -> Row:
        other = {"distance": 1.0, "spread": 10.0}
        more = {"system": {"distance": distance, "spread": spread}, "baseline": other, SLOPES: other}
        return Row(0, {"system": found, "baseline": 0.3, SLOPES: slopes}, more)

    assert met([row(0.36, 0.85, 13.0)]) and not met([row(0.36, 0.85, 13.0, slopes=0.32)])
    assert not met([row(0.33, 0.85, 13.0)]) and not met([row(0.36, 0.95, 13.0)]) and not met([row(0.36, 0.85, 11.0)])
    pictures = np.zeros((1, 2 * HALF, 2 * HALF, 3), np.uint8)
    pictures[:, ::2] = 100
    assert halved(pictures).shape == (1, HALF, HALF, 3) and (halved(pictures) == 50).all()


def test_files_end_to_end(tmp_path: Path) -> None:
    colours, shapes = np.arange(24) % 3, np.arange(24) // 3 % 2
    (tmp_path / "data" / "images").mkdir(parents=True)
    lines = ["file,caption"]
    for number, picture in enumerate(drawn(colours, shapes, 0)):
        Image.fromarray(picture).save(tmp_path / "data" / "images" / f"{number}.png")
        lines.append(f"images/{number}.png,a {list(COLOURS)[colours[number]]} {SHAPES[shapes[number]]}")
    (tmp_path / "data" / "captions.csv").write_text("\n".join(lines) + "\n")
    settings = {**SMALL, "batch_size": 4}
    ganvas.train("stackgan", tmp_path / "data", out=tmp_path / "run", budget="9r", config=settings, quiet=True, precision="32")
    run = ganvas.load(tmp_path / "run")
    assert float(run.system.stacked) == 1.0
    made = run.sample(2, fields={"caption": "a blue pole"}, seed=1)
    assert made.shape == (2, SIDE, SIDE, 3) and made.dtype == np.uint8
    assert np.array_equal(made, run.sample(2, fields={"caption": "a blue pole"}, seed=1))


def edges(pictures: np.ndarray) -> float:
    """The largest difference of neighbours in pictures (N, SIDE, SIDE, 3), on average."""
    return float(np.abs(np.diff(pictures.astype(float), axis=2)).mean(3).max((1, 2)).mean())


def follows(rounds: int = 600) -> dict[str, tuple[float, float]]:
    """Of pictures of stage two, and of stage one's enlarged: (share of colour and shape as asked for, how sharp their edges are
    beside true ones), after a short game in which one of the six captions, a blue pole, never came."""
    colours, shapes = np.random.default_rng(0).integers(0, (3, 2), (600, 2)).T
    known = ~((colours == 2) & (shapes == 1))
    colours, shapes = colours[known], shapes[known]
    true = drawn(colours, shapes, 1)
    fields = {"picture": Field(SPEC["picture"], true), "caption": Field(SPEC["caption"], said(colours, shapes))}
    dataset = Dataset(fields, None, np.arange(len(colours)), np.zeros(len(colours), bool), "shapes", "shapes")
    rates = {"learning_rate": 2e-3, "embedding_learning_rate": 2e-3, "ema_half_life": 500.0}
    system = small(**rates, embedding_share=0.15, stage_one_share=0.4)
    engine = Engine(system, {"data": open_stream(dataset, system.feeds()["data"], 32, seed=0)}, seed=0, check_every=50)
    for number in range(rounds):
        engine.progress = number / rounds
        engine.play_round()
    asked = np.repeat(np.arange(3), 60), np.tile(np.arange(2), 90)
    with engine.watching():
        texts = system.text_encoder(torch.from_numpy(said(*asked)).long())
        both = [(own.permute(0, 2, 3, 1).numpy() + 1) * 127.5 for own in system._sampled(texts, noise())]
    found = {}
    for name, pictures in zip(("stage one", "stage two"), both, strict=True):
        colour, shape = read(pictures)
        found[name] = float(((colour == asked[0]) & (shape == asked[1])).mean()), edges(pictures) / edges(true)
    return found


def test_the_measure_reads_true_pictures() -> None:
    colours, shapes = np.random.default_rng(3).integers(0, (3, 2), (200, 2)).T
    found = read(drawn(colours, shapes, 4))
    assert (found[0] == colours).all() and (found[1] == shapes).all()


def test_stage_two_keeps_what_was_said_and_draws_the_edges_that_stage_one_lacks() -> None:
    found = follows()
    print(found)
    assert found["stage two"][0] > 0.7, "colour and shape as asked, also where both never came together"
    assert found["stage two"][1] > 0.6 > 0.5 > found["stage one"][1], "without stage two pictures stay blurred"
