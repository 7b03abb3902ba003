"""vae-gan-3d: pictures of solids, what each network is told, solids that come of one picture, from a picture to a mesh."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.solid.spec import SolidSpec
from ganvas.networks.views import drawn_sides, views
from ganvas.registry import find
from ganvas.systems.solids.vae_gan_3d import PRESETS, Config, VaeGan3d

TINY = {"width": 4, "encoder_width": 4, "discriminator_width": 4, "code_size": 6, "batch_size": 4, "crumbs": 0.0}
FRONT = torch.tensor([[0.0, 0.0, 1.0]])


def noise(seed: int = 0) -> Noise:
    return Noise.seeded(seed)


def build(spec: Any = None, **changes: Any) -> VaeGan3d:
    torch.manual_seed(0)
    return VaeGan3d(SolidSpec(16) if spec is None else spec, build_config(Config, TINY | changes))


def boxes(count: int, seed: int = 0, side: int = 16) -> torch.Tensor:
    """A table each: a plate as wide as it comes, at its height, on one thick leg."""
    rng = np.random.default_rng(seed)
    solids = np.zeros((count, 1, side, side, side), np.float32)
    for solid in solids[:, 0]:
        wide, deep, high = (int(n) for n in rng.integers(2, 7, 3))
        middle = side // 2
        solid[middle - 2 : middle + 2, middle - 2 : middle + 2, 1 : 2 * high] = 1
        solid[middle - wide : middle + wide, middle - deep : middle + deep, 2 * high - 2 : 2 * high + 1] = 1
    return torch.from_numpy(solids)


def overlap(made: torch.Tensor, true: torch.Tensor) -> float:
    one, other = made > 0.5, true > 0.5
    return float(((one & other).flatten(1).sum(1) / (one | other).flatten(1).sum(1)).mean())


def test_it_is_found_by_the_name_of_the_paper() -> None:
    assert find("3d-vae-gan").name == "vae-gan-3d"


# Pictures


def seen(solid: torch.Tensor, turn: float = 0.0, lift: float = 0.0, light: torch.Tensor = FRONT) -> torch.Tensor:
    """A picture (H, W)."""
    return views(solid[None, None], torch.tensor([turn]), torch.tensor([lift]), light)[0, 0]


def test_a_picture_shows_what_lies_right_and_up_where_it_is() -> None:
    solid = torch.zeros(16, 16, 16)
    solid[11:15, 6:10, 11:15] = 1  # right and up
    rows, columns = (seen(solid) < 0.9).nonzero().float().mean(0).tolist()
    assert rows < 12 and columns > 20, "of 32 pixels"
    behind = (seen(solid, math.pi) < 0.9).nonzero().float().mean(0)
    assert behind[0] < 12 and behind[1] < 12, "from behind it lies left, and still up"
    assert (seen(solid)[0] == 1).all() and (seen(solid)[:, 0] == 1).all(), "white around"
    assert (seen(torch.zeros(16, 16, 16)) == 1).all()


def test_turns_and_lifts_show_other_sides() -> None:
    beam = torch.zeros(16, 16, 16)
    beam[2:14, 7:9, 7:9] = 1  # along x
    size = {turn: (seen(beam, turn) < 0.9).sum().item() for turn in (0.0, math.pi / 2)}
    assert size[0.0] > 2.5 * size[math.pi / 2], "along its length it is small"
    plate = torch.zeros(16, 16, 16)
    plate[3:13, 3:13, 7:9] = 1
    assert (seen(plate, lift=0.7) < 0.9).sum() > 2 * (seen(plate) < 0.9).sum(), "from above a plate is large"


def test_what_is_nearer_hides_what_is_behind_it_and_light_falls_on_its_side() -> None:
    wall = torch.zeros(16, 16, 16)
    wall[3:13, 3:5, 3:13] = 1  # near: the camera looks along y
    both = wall.clone()
    both[6:10, 10:13, 6:10] = 1
    assert torch.equal(seen(wall), seen(both))
    assert not torch.equal(seen(wall, math.pi), seen(both, math.pi)), "from behind it is seen"
    bright, dark = (seen(wall, light=torch.tensor([[0.0, 0.0, side]]))[16, 16] for side in (1.0, -1.0))
    assert bright > 0.4 and dark < -0.5


def test_sides_are_drawn_from_the_numbers_alone() -> None:
    numbers = noise().uniform(50, 5)
    turns, lifts, lights = drawn_sides(numbers)
    assert turns.max() > 5 and turns.min() < 1.2 and lifts.min() >= 0
    torch.testing.assert_close(lights.norm(dim=1), torch.ones(50))
    system = build()
    assert torch.equal(system.depict(boxes(3), noise()), system.depict(boxes(3), noise()))
    assert not torch.equal(system.depict(boxes(3), noise()), system.depict(boxes(3), noise(1)))


# What each network is told


@pytest.mark.parametrize("side", [24, 100])
def test_other_sides_are_refused(side: int) -> None:
    with pytest.raises(GanvasError, match="--size 32"):
        build(SolidSpec(side))


def test_pictures_of_any_size_and_colour_are_read_and_tiny_ones_refused() -> None:
    for shape in [(3, 20, 45), (1, 64, 64)]:
        system = build({"solid": SolidSpec(16), "picture": ImageSpec(*shape)}).eval()
        assert system.build(torch.zeros(2, *shape), noise()).shape == (2, 1, 16, 16, 16)
    with pytest.raises(GanvasError, match="16 pixels and more"):
        build({"solid": SolidSpec(16), "picture": ImageSpec(1, 12, 30)})


def gradients(system: VaeGan3d, term: str) -> set[str]:
    """The networks that one term of the turn of E and G reaches."""
    system.zero_grad()
    system.make(Batch(noise(), {"real": boxes(4)}), Clock(), {})[term].backward()
    return {name.partition(".")[0] for name, own in system.named_parameters() if own.grad is not None and own.grad.any()}


def test_the_opinion_of_d_does_not_reach_e_nor_the_divergence_g() -> None:
    system = build()
    assert gradients(system, "divergence") == {"encoder"}
    assert gradients(system, "rebuild") == {"encoder", "generator"}
    assert gradients(system, "fool") == {"generator", "discriminator"}  # of which G alone is stepped


def test_without_divergence_nothing_is_drawn_and_without_d_there_is_none() -> None:
    system = build(kl_weight=0.0, adversarial_weight=0.0)
    assert system.discriminator is None and [player.name for player in system.players()] == ["makers"]
    codes: list[torch.Tensor] = []
    system.generator.register_forward_pre_hook(lambda _, given: codes.append(given[0]))
    pictures: list[torch.Tensor] = []
    system.encoder.register_forward_pre_hook(lambda _, given: pictures.append(given[0]))
    assert set(system.make(Batch(noise(), {"real": boxes(4)}), Clock(), {})) == {"rebuild"}
    torch.testing.assert_close(codes[0], system.encoder(pictures[0])[0])


def test_d_sits_out_while_it_is_too_good_and_comes_back() -> None:
    system = build()
    system.accuracy.fill_(0.9)
    assert system.gate(Clock()) == 0
    system.make(Batch(noise(), {"real": boxes(4)}), Clock(), {})  # an untrained one is at chance
    assert system.accuracy < 0.9


def test_the_paper_s_form_is_built_and_plays() -> None:
    system = VaeGan3d(SolidSpec(32), build_config(Config, {**PRESETS["paper"], "batch_size": 2}))
    engine = Engine(system, {"data": Stream(boxes(4, side=32), 2)}, seed=0)  # type: ignore[dict-item]
    engine.play_round()
    assert all(torch.isfinite(own).all() for own in system.parameters())


# That it learns


class Stream:
    """Deals random records of a fixed set."""

    def __init__(self, records: torch.Tensor, batch_size: int) -> None:
        self.records, self.batch_size = records, batch_size

    def draw(self, noise: Noise) -> Batch:
        return Batch(noise, {"real": self.records[noise.integers(len(self.records), self.batch_size)]})

    def configure(self, **overrides: Any) -> None:
        pass


def played(**changes: Any) -> tuple[float, float, VaeGan3d]:
    """(overlap with unseen tables of one picture each, that with the tables of other pictures, the system)."""
    small = {"width": 16, "encoder_width": 8, "batch_size": 16, "code_size": 12, "occupied_weight": 2.0}
    system = build(**small, ema_half_life=200.0, learning_rate=5e-3, **changes)
    engine = Engine(system, {"data": Stream(boxes(200), 16)}, seed=0)  # type: ignore[dict-item]
    for number in range(150):
        engine.progress = number / 150
        engine.play_round()
    system.eval()
    new = boxes(48, seed=1)
    with torch.no_grad():
        made = system.build(system.depict(new, noise(5)), noise())
    return overlap(made, new), overlap(made.roll(1, 0), new), system


def test_a_solid_comes_of_one_picture() -> None:
    own, others, system = played()
    assert own > 0.65 and own > others + 0.2
    with torch.no_grad():
        drawn = system.sample(24, noise(3)) > 0.5
        again = system.build(system.depict(boxes(1, seed=2), noise()).expand(8, -1, -1, -1), noise(), drawn=True)
    share = drawn.flatten(1).float().mean(1)
    assert 0.003 < float(share.mean()) < 0.4, "solids of random codes are no dust and no full cubes"
    assert float(again.std(0).max()) > 0.01, "a picture leaves something open"


def test_without_the_error_of_voxels_nothing_is_learnt_of_pictures() -> None:
    own, others, _ = played(reconstruction_weight=0.0)
    assert own < 0.45 and own < others + 0.05


# Files


def test_from_solids_to_a_mesh_of_a_picture(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    from PIL import Image

    import ganvas

    np.savez(tmp_path / "tables.npz", solids=boxes(60)[:, 0].numpy().astype(np.uint8))
    run = tmp_path / "run"
    config = {"width": 16, "encoder_width": 8, "discriminator_width": 8, "code_size": 8}
    ganvas.train("vae-gan-3d", tmp_path / "tables.npz", size="16", budget="30r", out=run, config=config, seed=0, quiet=True,
                 device="cpu", threads=1)  # fmt: skip
    picture = views(boxes(1, seed=3), torch.tensor([0.5]), torch.tensor([0.4]), FRONT)
    pixels = ((interpolate(picture, 100)[0, 0] + 1) * 127.5).byte().numpy()
    Image.fromarray(pixels).convert("RGB").save(tmp_path / "table.png")
    made = ganvas.apply(run, [tmp_path / "table.png"], out=tmp_path / "made", format="stl", codes=3, verb="reconstruct")
    assert [Path(file).relative_to(tmp_path / "made").as_posix() for file in made["files"]] == [
        f"table/sample-000{number}.stl" for number in (1, 2, 3)
    ]
    assert all(trimesh.load(file).is_watertight for file in made["files"])
    known = ganvas.load(run).use("reconstruct", pixels[None, :, :, None][:, 2:98:3, 2:98:3])["real"]
    assert known.shape == (1, 16, 16, 16), "arrays of the size of training too"


def test_pictures_beside_solids_are_learnt_by_their_names(tmp_path: Path) -> None:
    from PIL import Image

    import ganvas

    solids = boxes(40)
    pictures = views(solids, *drawn_sides(noise().uniform(40, 5)))
    for name in ("solid", "picture"):
        (tmp_path / "pairs" / name).mkdir(parents=True)
    for place, (solid, picture) in enumerate(zip(solids, pictures, strict=True)):
        np.save(tmp_path / "pairs" / "solid" / f"{place:03d}.npy", solid[0].numpy().astype(np.uint8))
        pixels = ((picture[0] + 1) * 127.5).byte().numpy()
        Image.fromarray(pixels).save(tmp_path / "pairs" / "picture" / f"{place:03d}.png")
    run = tmp_path / "run"
    config = {"width": 4, "encoder_width": 4, "discriminator_width": 4, "code_size": 4, "batch_size": 8}
    ganvas.train("vae-gan-3d", tmp_path / "pairs", size="16", budget="3r", out=run, config=config, seed=0, quiet=True,
                 device="cpu", threads=1)  # fmt: skip
    opened = ganvas.load(run)
    assert list(opened.record.fields) == ["solid", "picture"] and opened.system.paired
    made = ganvas.apply(run, [tmp_path / "pairs" / "picture" / "000.png"], out=tmp_path / "made", format="npz")
    assert made["verb"] == "reconstruct" and list((tmp_path / "made").rglob("*.np[yz]"))
    ganvas.apply(run, [tmp_path / "pairs" / "picture" / "000.png"], out=tmp_path / "mesh")
    assert [path.suffix for path in (tmp_path / "mesh").rglob("*.*") if path.suffix in (".stl", ".npy", ".npz")] == [".stl"]


def test_while_it_trains_solids_are_shown_beside_what_is_made_of_their_pictures() -> None:
    system, solids = build().eval(), boxes(3)
    with torch.no_grad():
        panels = [system.show(Batch(noise(), {"real": solids}), noise(1)) for _ in range(2)]
    assert panels[0].records.shape == (3, 2, 1, 16, 16, 16) and len(panels[0].columns) == 2
    assert torch.equal(panels[0].records[:, 0], solids) and torch.equal(panels[0].records, panels[1].records)
