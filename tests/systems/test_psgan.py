"""PSGAN: waves make what recurs recur far away; pictures of any size in windows, without seams; one picture is data enough."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data import open_data
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.inference.cells import Field, painted
from ganvas.kinds.image.resize import MOST_CROPS, crops
from ganvas.kinds.image.spec import ImageSpec
from ganvas.metrics.textures import recurrence, seam
from ganvas.networks.psgan import HALO, BorderlessGenerator, Waves
from ganvas.presets import Situation
from ganvas.run.apply import apply
from ganvas.run.train import train
from ganvas.store.records import Dataset
from ganvas.store.records import Field as Records
from ganvas.systems.synthesis.psgan import PRESETS, Config, PsGan
from ganvas.uses.texture import Options, picked, size_of

SPEC = ImageSpec(1, 16, 16)
SMALL = {
    "width": 8, "layers": 2, "kernel": 4, "local_size": 4, "style_size": 2, "waves": 4, "wave_units": 8, "batch_size": 8,
    "discriminator_learning_rate": 5e-4, "generator_learning_rate": 2e-3,
}  # fmt: skip
FAST: dict[str, Any] = {"budget": "1r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def build(spec: Any = SPEC, **settings: Any) -> PsGan:
    torch.manual_seed(0)
    return PsGan(spec, build_config(Config, {**SMALL, **settings}))


def stripes() -> Dataset:
    """Crops of one picture of stripes, 10 pixels a period, which is two cells and a half."""
    columns = np.arange(48)
    picture = np.clip(
        127 + 90 * np.sin(2 * math.pi * columns / 10)[None] + np.random.default_rng(0).normal(0, 8, (48, 48)), 0, 255
    )
    values = np.stack(crops(picture[..., None].astype(np.uint8), (16, 16)))[:256]
    return Dataset(
        {"real": Records(SPEC, values)}, None, np.zeros(len(values), int), np.zeros(len(values), bool), "stripes", ""
    )


def far_after(rounds: int, **settings: Any) -> float:
    """How the stripes recur 20 to 70 pixels away in a picture of 96 pixels: crops have 16."""
    data = stripes()
    system = build(**settings)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 8, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    with engine.watching() as board, torch.no_grad():
        made: Tensor = board.texture(board.drawn_styles(1, noise(1)), 96, 96, noise(2))  # type: ignore[operator]
    return recurrence(((made[0].permute(1, 2, 0) + 1) * 127.5).numpy(), (0, 10), 20, 70)


def test_waves_carry_a_period_farther_than_any_crop_reaches_and_without_them_it_is_lost() -> None:
    learning: dict[str, Any] = {"style_size": 0, "generator_learning_rate": 1e-3, "ema_half_life": 400.0}
    found = far_after(300, waves=8, wave_start="spread", **learning)
    control = far_after(300, waves=0, **learning)
    assert found > 0.3, found
    assert control < 0.5 * found, control


# The noise


def test_windows_make_the_picture_that_is_made_at_once() -> None:
    system = build(style_size=3).eval()
    with torch.no_grad():
        for seamless in (False, True):
            field = system._field(noise(), system.drawn_styles(2, noise(1))[None], 52, 36, system.waves, endless=seamless)
            whole, parts = (painted(field, system.generator, 4, 1, window=side) for side in (512, 12))
            assert whole.shape == (1, 1, 52, 36)
            assert torch.allclose(whole, parts, atol=1e-6)


def test_every_place_is_made_in_one_way_so_that_borders_look_like_the_middle() -> None:
    """The same cells give the same pixels, wherever the picture ends."""
    for kernel in (4, 5):
        torch.manual_seed(0)
        generator = BorderlessGenerator(3, 2, 4, 3, kernel).eval()
        cells = torch.rand(1, 3, 12, 11)
        with torch.no_grad():
            whole, part = generator(cells), generator(cells[:, :, 2:9, 3:10])
        assert whole.shape == (1, 2, 8 * 8, 7 * 8) and part.shape == (1, 2, 3 * 8, 3 * 8)
        assert torch.allclose(whole[:, :, 16:40, 24:48], part, atol=1e-6)


def test_seamless_pictures_go_on_at_their_other_end() -> None:
    system = build().eval()
    with torch.no_grad():
        field = system._field(noise(), system.drawn_styles(1, noise(1))[None], 32, 24, system.waves, endless=True)
        whole = system.generator(field.window(0, 0, 8, 6))
        across = system.generator(field.window(4, 3, 8, 6))
    assert torch.allclose(whole.roll((-16, -12), (2, 3)), across, atol=1e-5)
    assert field.numbers is not None
    periods = field.numbers * torch.tensor([8, 6]) / (2 * math.pi)
    assert torch.allclose(periods, periods.round(), atol=1e-5), "a whole number of periods fills it"


def test_waves_begin_anywhere_and_local_noise_is_one_of_each_cell() -> None:
    numbers = Waves(4, 0, 8)(torch.zeros(3, 0))[:, None]
    field = Field.drawn(noise(), 6, 5, 7, torch.zeros(3, 1, 0), numbers, halo=HALO)
    made = field.window(0, 0, 6, 5)
    assert made.shape == (3, 7 + 4, 6 + 2 * HALO, 5 + 2 * HALO)
    assert field.phases is not None and len(field.phases.flatten().unique()) == 12, "a phase for each image and wave"
    assert len(made[:, :7].flatten().unique()) == made[:, :7].numel() and float(made.detach().abs().max()) <= 1
    numbers = numbers.detach()
    assert torch.allclose(numbers[0, 0, :, 0], torch.tensor([0.75, 1.0, 0.0, 0.0]) * math.pi)
    assert torch.allclose(numbers[0, 0, :, 1], torch.tensor([0.0, 0.0, 0.75, 1.0]) * math.pi)


def test_styles_stand_side_by_side_and_go_over_into_each_other() -> None:
    styles = torch.tensor([[[-1.0], [1.0]]])
    between = Field.drawn(noise(), 2, 9, 1, styles, None, halo=0).window(0, 0, 2, 9)[0, 1, 0]
    assert between[0] == -1 and between[-1] == 1 and (between.diff() > 0).all()
    around = Field.drawn(noise(), 2, 8, 1, styles, None, halo=0, endless=True).window(0, 0, 2, 8)[0, 1, 0]
    assert around[0] == -1 and around[4] == 1 and torch.allclose(around[1:4], around[5:].flip(0))
    alone = Field.drawn(noise(), 2, 8, 1, styles[:, :1], None, halo=0).window(0, 0, 2, 8)[0, 1]
    assert (alone == -1).all()


def test_making_pictures_leaves_the_statistics_of_the_norms() -> None:
    system = build().eval()
    before = {name: value.clone() for name, value in system.state_dict().items()}
    with torch.no_grad():
        system.texture(system.drawn_styles(1, noise()), 64, 64, noise())
    assert all(torch.equal(before[name], value) for name, value in system.state_dict().items())


@pytest.mark.parametrize("shape", [(1, 24, 16), (3, 17, 30)])
def test_crops_of_any_size_and_pictures_of_any_size(shape: tuple[int, int, int]) -> None:
    system = build(ImageSpec(*shape)).eval()
    with torch.no_grad():
        assert system.sample(2, noise()).shape == (2, *shape)
        made = system.texture(system.drawn_styles(1, noise()), 41, 27, noise())
    assert made.shape == (1, shape[0], 41, 27) and float(made.detach().abs().max()) <= 1


def test_the_fake_of_a_round_is_made_once_and_detached_for_d() -> None:
    system = build()
    batch, shared = Batch(noise(), {"real": torch.rand(4, 1, 16, 16) * 2 - 1}), dict[str, Any]()
    sum(system.discriminate(batch, Clock(), shared).values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is None for parameter in system.generator.parameters())
    first = shared["fake"]
    assert set(system.fool(batch, Clock(), shared)) == {"fool", "decay"} and first.requires_grad and not shared


def test_presets_are_the_papers_and_what_a_budget_pays_for() -> None:
    config = build_config(Config, PRESETS["paper"])
    assert (config.layers, config.kernel, config.width, config.local_size, config.batch_size) == (5, 5, 64, 30, 64)
    assert (config.generator_learning_rate, config.beta1, config.weight_decay) == (5e-4, 0.5, 1e-5)
    torch.manual_seed(0)
    system = PsGan(ImageSpec(3, 64, 64), config)
    sizes = [layer.out_channels for layer in system.generator.layers if isinstance(layer, torch.nn.ConvTranspose2d)]
    assert sizes == [512, 256, 128, 64, 3]
    batch = Batch(noise(), {"real": torch.rand(2, 3, 64, 64) * 2 - 1})
    for objective in (system.discriminate, system.fool):
        assert all(torch.isfinite(term) for term in objective(batch, Clock(), {}).values())
    widths = [
        PRESETS["auto"](Situation(ImageSpec(3, 64, 64), 1000, seconds, speed, "cpu"))["width"]
        for seconds, speed in ((600.0, 30.0), (36_000.0, 10_000.0))
    ]
    assert widths == [16, 64]
    assert PRESETS["sgan"](Situation(SPEC, 1000, 600.0, 30.0, "cpu"))["waves"] == 0


# Files


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    made = np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return made if channels == 3 else made[..., 0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texture")
    saved(folder / "wall.png", picture(40, 48))
    train("psgan", folder / "wall.png", out=folder / "run", config=SMALL, size=16, **FAST)
    return folder / "run"


def test_one_picture_is_cut_into_many_crops_alike_for_a_photograph_and_its_map(tmp_path: Path) -> None:
    pixels = picture(40, 48)
    made = crops(pixels, (16, 16))
    assert len(made) == 25 * 33 and len({own.tobytes() for own in made}) == len(made)
    assert len(crops(picture(128, 128), (64, 64))) == MOST_CROPS
    assert all(np.array_equal(a, b[..., :1]) for a, b in zip(crops(pixels[..., :1], (16, 16)), made, strict=True))
    data = open_data(saved(tmp_path / "wall.png", pixels), size=16, fit="crops", progress=False)
    assert len(data.values) == len(made) and not len(data.heldout_indices()), "crops overlap: none can be held out"
    assert any("overlap" in note for note in data.notes)


def test_pictures_of_any_size_are_written_and_the_first_are_the_same_whatever_the_count(run: Path, tmp_path: Path) -> None:
    told = apply(run, [], verb="texture", out=tmp_path / "a", size="70x52", count=2)
    assert told["verb"] == "texture" and told["count"] == 2
    files = sorted((tmp_path / "a").glob("sample-*.png"))
    first, second = (np.asarray(Image.open(file)) for file in files)
    assert first.shape == (70, 52, 3) and not np.array_equal(first, second)
    apply(run, [], verb="texture", out=tmp_path / "b", size="70x52")
    assert np.array_equal(np.asarray(Image.open(next((tmp_path / "b").glob("sample-*.png")))), first)


def test_seamless_pictures_are_written_and_picked_ones_go_over(run: Path, tmp_path: Path) -> None:
    apply(run, [], verb="texture", out=tmp_path / "a", size="64", seamless=True, count=3, format="npz")
    with np.load(tmp_path / "a" / "samples.npz") as kept:
        made = kept["images"]
    assert made.shape == (3, 64, 64, 3) and max(seam(own) for own in made) < 1.2
    for name, pick in (("b", "2"), ("c", "2,3")):
        apply(run, [], verb="texture", out=tmp_path / name, size="64", pick=pick)
    second, over = (np.asarray(Image.open(next((tmp_path / name).glob("sample-*.png")))) for name in "bc")
    assert not np.array_equal(second, over)


def test_depth_and_grey_are_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "deep.npy", picture(40, 48, 1)[None].astype(np.uint16) * 257)
    saved(tmp_path / "deep.png", picture(40, 48, 1).astype(np.uint16) * 257)
    train("psgan", tmp_path / "deep.png", out=tmp_path / "run", config=SMALL, size=16, **FAST)
    apply(tmp_path / "run", [], verb="texture", out=tmp_path / "o", size="40x24")
    made = np.asarray(Image.open(next((tmp_path / "o").glob("sample-*.png"))))
    assert made.shape == (40, 24) and made.max() > 255


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"size": "50x48", "seamless": True}, "multiples of 4 pixels, a cell of the noise: take --size 48x48"),
        ({"size": "big"}, "--size big: give one number from 8 to 8192"),
        ({"size": "4"}, "give one number from 8 to 8192"),
        ({"pick": "0"}, "give numbers from 1 to 9999"),
        ({"pick": "a,b"}, "give numbers from 1 to 9999"),
    ],
)
def test_what_cannot_be_made_is_told_in_a_line(run: Path, tmp_path: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(GanvasError, match=told) as caught:
        apply(run, [], verb="texture", out=tmp_path / "o", **options)
    assert "\n" not in str(caught.value) and not (tmp_path / "o").exists()


def test_a_run_without_styles_has_none_to_pick() -> None:
    work: Any = SimpleNamespace(system=build(style_size=0), name="psgan")
    with pytest.raises(GanvasError, match="without styles"):
        picked(work, "2")
    assert size_of(work, Options(size="64x32")) == (64, 32)


def test_bad_textures_are_told_in_a_line(tmp_path: Path) -> None:
    def refused(told: str, source: Path, **settings: Any) -> None:
        with pytest.raises(GanvasError, match=told) as caught:
            train("psgan", source, out=tmp_path / "run", config=SMALL, **{"size": 16, **FAST, **settings})
        assert "\n" not in str(caught.value)

    refused("12x40 pixels are less than one crop of 16x16: lower --size", saved(tmp_path / "low.png", picture(12, 40)))
    (tmp_path / "two").mkdir()
    saved(tmp_path / "two" / "a.png", picture(40, 40))
    saved(tmp_path / "two" / "b.png", picture(40, 40, 1))
    refused("mixes channels", tmp_path / "two")
    spoilt = picture(40, 40, 1).astype(np.float32)
    spoilt[3, 4] = np.nan
    Image.fromarray(spoilt).save(tmp_path / "spoilt.tiff")
    refused("NaN", tmp_path / "spoilt.tiff")
    with pytest.raises(GanvasError, match="crops of 6x16 are too small for a texture"):
        build(ImageSpec(3, 6, 16), layers=3)


# The proof


def test_the_mark_of_the_proof() -> None:
    from ganvas.proofs import Row
    from ganvas.proofs.psgan import met

    def row(system: float, tiled: float = 0.4, sgan: float = 0.2, seams: tuple[float, float] = (1.0, 2.0)) -> Row:
        more = {"system": {"seam": seams[0]}, "baseline": {"seam": seams[1]}}
        return Row(0, {"system": system, "baseline": tiled, "sgan": sgan}, more)

    assert met([row(0.8)])
    assert not met([row(0.8), row(0.6)]), "each seed for itself"
    assert not met([row(0.8, tiled=0.5)]) and not met([row(0.8, sgan=0.45)])
    assert not met([row(0.8, seams=(1.2, 2.0))]) and not met([row(0.8, seams=(1.0, 1.2))])


def test_quilting_copies_blocks_and_keeps_what_recurs() -> None:
    from ganvas.proofs.psgan import copied, grain, quilted, wall

    bricks = wall(64)
    made = quilted(bricks, 96, 80, 24, 0)
    assert made.shape == (96, 80, 3) and copied([made], bricks) > 0.2
    assert recurrence(made, (22, 0), 22, 60) > 0.4
    assert copied([grain(96, seed=5)], grain(96)) == 0
    assert copied([bricks], bricks) == 1
