"""PixelDTGAN: D_A, told of garments that do not belong, makes the converter draw the one that is worn; without, any will do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data import open_data
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.kinds import decode, encode
from ganvas.kinds.image.spec import ImageSpec
from ganvas.proofs.pixeldtgan import draw_figures
from ganvas.store.records import Dataset, Field
from ganvas.systems.translation.pixeldtgan import Config, PixelDTGan
from learning import most_seeds

SPECS = {"garment": ImageSpec(3, 8, 8), "photo": ImageSpec(3, 8, 8)}


def build(seed: int = 0, **settings: Any) -> PixelDTGan:
    torch.manual_seed(seed)
    given = {"width": 8, "code_size": 16, "batch_size": 16, "learning_rate": 2e-3, "ema_half_life": 300.0, **settings}
    return PixelDTGan(SPECS, build_config(Config, given))


def wearers(count: int = 240) -> Dataset:
    """A garment of one of two cuts and any colour; on the photograph it hangs somewhere on a ground of any colour."""
    rng = np.random.default_rng(0)
    garments, photos = np.full((count, 8, 8, 3), 255, np.uint8), np.empty((count, 8, 8, 3), np.uint8)
    for garment, photo in zip(garments, photos, strict=True):
        colour, tall = rng.integers(0, 256, 3), bool(rng.integers(2))
        height, width = (6, 3) if tall else (3, 6)
        top, left = rng.integers(0, 9 - height), rng.integers(0, 9 - width)
        photo[:] = rng.integers(0, 256)
        photo[top : top + height, left : left + width] = colour
        top, left = (8 - height) // 2, (8 - width) // 2
        garment[top : top + height, left : left + width] = colour
    fields = {"garment": Field(SPECS["garment"], garments), "photo": Field(SPECS["photo"], photos)}
    return Dataset(fields, None, np.arange(count), np.arange(count) >= 200, "wearers", "")


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def found_among_heldout(system: PixelDTGan, data: Dataset, rounds: int, seed: int) -> float:
    """Share of 40 held-out photographs whose own garment is among the five nearest to what is drawn after `rounds`."""
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=seed)}, seed=seed)
    for _ in range(rounds):
        engine.play_round()
    held = data.heldout_indices()
    with engine.watching() as board:
        drawn: Any = board.translate(encode(data.fields["photo"].values[held], SPECS["photo"]), None, noise())
    made = decode(drawn, SPECS["garment"]).reshape(len(held), -1).astype(float)
    true = data.fields["garment"].values[held].reshape(len(held), -1).astype(float)
    distances = ((made[:, None] - true[None]) ** 2).sum(2)
    return float(((distances < distances.diagonal()[:, None]).sum(1) < 5).mean())


@most_seeds
def test_garments_that_do_not_belong_teach_which_one_does(seed: int) -> None:
    data = wearers()
    found = {told: found_among_heldout(build(seed, unassociated=told), data, 400, seed) for told in (True, False)}
    assert found[True] >= 0.35, found
    assert found[False] <= 0.5 * found[True], found


@pytest.mark.parametrize("codes", [0, 8])
def test_the_domain_discriminator_reads_both_at_once_or_by_codes(codes: int) -> None:
    specs = {"garment": ImageSpec(3, 16, 24), "photo": ImageSpec(1, 16, 24)}
    torch.manual_seed(0)
    judge = PixelDTGan(specs, build_config(Config, {"width": 4, "domain_code_size": codes})).domain_discriminator.eval()
    photos, garments = torch.randn(5, 1, 16, 24), torch.randn(5, 3, 16, 24)

    def judged(*given: Tensor) -> Tensor:
        logits: Tensor = judge(torch.cat(given, 1))
        return logits

    said = judged(photos, garments)
    assert said.shape == (5,)
    for given in ((photos.flip(0), garments), (photos, garments.flip(0))):
        assert not torch.allclose(judged(*given)[:2], said[:2]), "it depends on both"
    if codes:
        alone = judged(torch.zeros_like(photos), garments) - judged(torch.zeros_like(photos), torch.zeros_like(garments))
        assert alone.abs().max() > 0
    else:
        assert "layers.0.weight" in judge.state_dict(), "runs of before are read"


@most_seeds
def test_codes_are_compared_because_of_garments_that_do_not_belong(seed: int) -> None:
    data = wearers()
    systems = {told: build(seed, domain_code_size=16, unassociated=told) for told in (True, False)}
    found = {told: found_among_heldout(system, data, 800, seed) for told, system in systems.items()}
    assert found[True] >= 0.3, found
    assert found[False] <= 0.5 * found[True], found


def test_a_garment_does_not_count_against_itself() -> None:
    system = build()
    same = torch.rand(1, 3, 8, 8).expand(6, -1, -1, -1)
    photos = torch.rand(6, 3, 8, 8)
    alike = system.tell_associated(Batch(noise(), {"garment": same, "photo": photos}), Any, {})  # type: ignore[arg-type]
    few = build(unassociated=False).tell_associated(Batch(noise(), {"garment": same, "photo": photos}), Any, {})  # type: ignore[arg-type]
    assert float(alike["fake"].detach()) == pytest.approx(2 / 3 * float(few["fake"].detach()), rel=1e-5), (
        "nothing is left of the third term"
    )


def test_others_are_never_the_own_one() -> None:
    system = build()
    numbers = torch.arange(7.0).view(7, 1, 1, 1)
    for seed in range(20):
        others = system._others(Batch(noise(seed), {"garment": numbers, "photo": numbers}), {})
        assert (others != numbers).all() and len(others.unique()) == 7
    shared: dict[str, Any] = {}
    batch = Batch(noise(), {"garment": numbers, "photo": numbers})
    assert torch.equal(system._others(batch, shared), system._others(batch, shared)), "one garment for both discriminators"


def test_the_domain_discriminator_moves_the_converter_through_the_garment_alone() -> None:
    system = build()
    photos = torch.rand(4, 3, 8, 8, requires_grad=True)
    made = system.converter(photos.detach())
    judged = system.convert(Batch(noise(), {"garment": made, "photo": photos}), Any, {"made": made})["fool domain"]  # type: ignore[arg-type]
    (moved,) = torch.autograd.grad(judged, made)
    assert float(moved.abs().sum()) > 0


def test_squared_error_alone_has_no_discriminators() -> None:
    system = build(objective="squared-error")
    assert [player.name for player in system.players()] == ["converter"]
    assert not any("discriminator" in name for name, _ in system.named_parameters())


def test_unlike_sizes_are_refused_in_a_line() -> None:
    spec = {"garment": ImageSpec(3, 16, 16), "photo": ImageSpec(3, 32, 32)}
    with pytest.raises(GanvasError, match=r"garments of 16x16 and photographs of 32x32.*--size"):
        PixelDTGan(spec, build_config(Config, {"width": 4}))


def test_folders_are_understood_by_the_words_of_the_trade(tmp_path: Path) -> None:
    source = draw_figures(tmp_path / "pairs", count=12, side=16)
    for photo in (source / "photo").iterdir():
        number, _, pose = photo.stem.partition("-")
        if pose == "0":
            photo.rename(photo.with_name(f"{number}.png"))
        else:
            photo.unlink()
    (source / "pairs.csv").unlink()
    for words in (("photos", "clothes"), ("pictures", "product"), ("img", "outfits")):
        (source / "photo").rename(source / words[0])
        (source / "garment").rename(source / words[1])
        data = open_data(source, fields={"garment": ("image",), "photo": ("image",)}, progress=False)
        assert len(data) == 12 and (data.fields["garment"].values[:, 0, 0] == 255).all(), words
        (source / words[0]).rename(source / "photo")
        (source / words[1]).rename(source / "garment")
    (source / "photo" / "003.png").unlink()
    told = open_data(source, fields={"garment": ("image",), "photo": ("image",)}, progress=False)
    assert len(told) == 11 and any("003" in note for note in told.notes), told.notes


@pytest.mark.slow
def test_a_folder_of_pairs_trains_and_is_applied_and_judged(tmp_path: Path) -> None:
    """Folders with the words that people use; results are pictures under the names of what was given."""
    import ganvas
    from ganvas.evaluation.judge import evaluate
    from ganvas.run.train import train

    source = draw_figures(tmp_path / "pairs", count=60, side=16)
    data = open_data(source, fields={"garment": ("image",), "photo": ("image",)}, progress=False)
    assert int(data.heldout.sum()) == 48 and len(data) == 240
    given: dict[str, Any] = {"quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}
    config = {"width": 4, "batch_size": 8, "code_size": 8}
    train("pixeldtgan", source, out=tmp_path / "run", budget="3r", config=config, **given)
    photo = sorted((source / "photo").iterdir())[0]
    ganvas.apply(tmp_path / "run", [str(photo)], out=tmp_path / "out")
    assert (tmp_path / "out" / photo.name).is_file()
    found = evaluate(tmp_path / "run", features="pixels", audit=False)
    assert found["retrieval"]["among"] == 12 and 0 <= found["retrieval"]["value"] <= 1
    assert {"input", "mean", "untrained"} <= found["anchors"].keys()
