"""Semi-supervised GAN: the loss of K + 1 classes, who is dealt what, that unlabelled records teach, the table of `classify`."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.data.check import check
from ganvas.data.dataset import Dataset, Field, open_data
from ganvas.data.streams import open_stream, trained_rows
from ganvas.engine import Engine
from ganvas.errors import DataError, GanvasError
from ganvas.game import Clock, Feed
from ganvas.kinds.image.spec import ImageSpec
from ganvas.presets import Situation
from ganvas.run.apply import apply
from ganvas.systems.synthesis.semi_gan import PRESETS, Config, SemiGan
from ganvas.uses import Work
from ganvas.uses.classify import measure
from ganvas.uses.sample import Options, judge

SPEC = ImageSpec(channels=1, height=8, width=8, classes=("across", "unlabelled", "upright"))
SMALL = {"network": "perceptron", "width": 16, "batch_size": 32, "latent_size": 8}


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def small(spec: Any = SPEC, **settings: Any) -> SemiGan:
    torch.manual_seed(0)
    return SemiGan(spec, Config(**{**SMALL, **settings}))


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(pictures (N, 8, 8, 1) uint8, 0 or 2): a faint bar across or upright in strong noise: one picture of each says little of
    which pixels matter, and many without a label lie in two heaps."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, count)
    bars = np.zeros((2, 8, 8))
    bars[0, 2:4], bars[1, :, 2:4] = 60, 60
    grey = 70 + bars[kinds] + 50 * rng.standard_normal((count, 8, 8))
    return grey.clip(0, 255)[..., None].astype(np.uint8), 2 * kinds


def few(count: int, labelled: int, seed: int = 0) -> Dataset:
    """`labelled` pictures of each class with their label, the others without."""
    pictures, kinds = drawn(count, seed)
    labels = np.ones(count, np.int64)
    for kind in (0, 2):
        chosen = np.flatnonzero(kinds == kind)[:labelled]
        labels[chosen] = kind
    return Dataset({"real": Field(SPEC, pictures)}, labels, np.arange(count), np.zeros(count, bool), "bars", "bars")


def test_the_second_stream_deals_records_with_a_label_alone() -> None:
    system, data = small(), few(100, 3)
    streams = {name: open_stream(data, feed, 16, seed=0) for name, feed in system.feeds().items()}
    assert set(streams["labelled"].draw(noise()).labels.tolist()) == {0, 2}
    assert len(np.unique(streams["labelled"].draw(noise()).real.flatten(1).numpy(), axis=0)) <= 6
    assert 1 in streams["data"].draw(noise()).labels.tolist(), "all records, labelled or not, are unlabelled ones there"
    assert system.class_names == ("across", "upright")


def test_being_real_is_being_of_any_class() -> None:
    """With all logits at 0, Z = log K: D(x) = K / (K + 1), and each class has 1 / K."""
    system = small(input_noise=0.0, hidden_noise=0.0)
    torch.nn.init.zeros_(system.classifier.last.weight)
    torch.nn.init.zeros_(system.classifier.last.bias)
    data = few(40, 10)
    batch = Batch(noise(), {"real": torch.from_numpy(data.values).permute(0, 3, 1, 2).float() / 127.5 - 1})
    terms = system.tell_apart(batch, Clock(), {})
    assert terms["real"].item() == pytest.approx(0.5 * -math.log(2 / 3), rel=1e-4)
    assert terms["fake"].item() == pytest.approx(0.5 * -math.log(1 / 3), rel=1e-4)
    batch = Batch(noise(), {"real": batch.real[:2]}, torch.tensor([0, 2]))
    assert system.name_labelled(batch, Clock(), {})["class"].item() == pytest.approx(math.log(2), rel=1e-4)
    once, twice = (
        small(unlabelled_weight=weight).tell_apart(Batch(noise(), {"real": batch.real}), Clock(), {}) for weight in (1.0, 2.0)
    )
    for name in ("real", "fake"):
        assert twice[name].item() == pytest.approx(2 * once[name].item(), rel=1e-5)


def test_matched_features_are_means_of_a_hidden_layer() -> None:
    system = small(input_noise=0.0, hidden_noise=0.0)
    real = system._fake(Batch(noise(3), {"real": torch.zeros(16, 1, 8, 8)})).detach()
    own = system.match_features(Batch(noise(3), {"real": real}), Clock(), {})["features"]
    assert own.item() == pytest.approx(0.0, abs=1e-5), "the same images have the same means"
    assert system.match_features(Batch(noise(4), {"real": -torch.ones(16, 1, 8, 8)}), Clock(), {})["features"].item() > 0.01


def test_latents_without_a_middle_in_common_make_samples_that_differ() -> None:
    def share(centred: bool) -> float:
        """Of what varies in new images, that which differs between them."""
        system = small(network="convolutional", latent_size=100, centred_latents=centred)
        with torch.no_grad():
            images = system.sample(256, noise())
        return float(images.var(0).mean() / images.var())

    assert share(True) > 0.9
    assert share(False) < 0.6, "the rest is the same in all"
    assert PRESETS["auto"](Situation(SPEC, 1000, 60.0, 50.0, "cpu"))["centred_latents"]


def test_noise_is_there_in_training_and_not_in_use() -> None:
    system = small()
    image = torch.zeros(2, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(system.classify(image, noise(0)), system.classify(image, noise(1)))
        assert not torch.equal(system.classifier(image, noise(0))[0], system.classifier(image, noise(1))[0])
    torch.testing.assert_close(system.classify(image, noise()).sum(1), torch.ones(2))


def test_data_without_two_classes_is_refused_with_the_layout_wanted() -> None:
    for classes in ((), ("cat", "unlabelled")):
        with pytest.raises(GanvasError, match="needs some records of two classes or more.*'unlabelled'"):
            small(ImageSpec(channels=1, height=8, width=8, classes=classes))


def learnt(unlabelled_weight: float, rounds: int = 200) -> float:
    """Share of pictures it never saw that are misnamed, after a short game with one label of each class."""
    data = few(600, 1)
    system = small(learning_rate=3e-3, ema_half_life=1000.0, unlabelled_weight=unlabelled_weight)
    streams = {name: open_stream(data, feed, 32, seed=0) for name, feed in system.feeds().items()}
    engine = Engine(system, streams, seed=0, check_every=50)
    for _ in range(rounds):
        engine.play_round()
    shown, kinds = drawn(400, 9)
    with engine.watching(), torch.no_grad():
        found = system.classify(torch.from_numpy(shown).permute(0, 3, 1, 2).float() / 127.5 - 1, noise()).argmax(1).numpy()
    return float((2 * found != kinds).mean())


def test_unlabelled_records_teach_what_two_labels_do_not() -> None:
    both, alone = learnt(1.0), learnt(0.0)
    assert both < 0.05 and alone > 0.08, (both, alone)


def written(folder: Path, pictures: np.ndarray, kinds: list[str]) -> None:
    from PIL import Image

    for place, (picture, kind) in enumerate(zip(pictures, kinds, strict=True)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(folder / kind / f"{place:03d}.png")


def test_a_folder_is_classified_into_a_table(tmp_path: Path) -> None:
    pictures, kinds = drawn(80, 0)
    written(
        tmp_path / "data",
        pictures,
        [("across", "unlabelled", "upright")[kind if k < 30 else 1] for k, kind in enumerate(kinds)],
    )
    written(tmp_path / "new", drawn(5, 1)[0], ["."] * 5)
    ganvas.train("semi-gan", tmp_path / "data", out=tmp_path / "run", config=SMALL, budget="3r", quiet=True, sample_every=0.0)
    told: list[str] = []
    found = apply(tmp_path / "run", [tmp_path / "new"], out=tmp_path / "table", verb="classify", say=told.append)
    with (tmp_path / "table" / "scores.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["file"] for row in rows] == [f"{k:03d}.png" for k in range(5)]
    for row in rows:
        shares = {name: float(row[f"p({name})"]) for name in ("across", "upright")}
        assert row["class"] == max(shares, key=lambda name: shares[name]) and sum(shares.values()) == pytest.approx(1, abs=1e-4)
        assert float(row["probability"]) == pytest.approx(max(shares.values()), abs=1e-5)
    assert sum(found["classes"].values()) == 5 and any("classes: " in line for line in told)


def test_the_measure_counts_held_out_records_with_a_label_alone() -> None:
    data = few(300, 60)
    held = np.arange(300) % 2 == 0
    half = Dataset(data.fields, data.labels, data.groups, held, "bars", "bars")
    found = measure(Work(small().eval(), {"real": SPEC}), half, 1000)["classified"]
    assert data.labels is not None
    counted = int((held & (data.labels != 1)).sum())
    assert f"classes=2/n={counted}/held out" in found.protocol
    assert set(found.more["by_class"]) == {"across", "upright"} and found.low is not None and found.low <= found.value
    assert found.more["beside"]["commonest"]["value"] < 0.7 and found.more["labelled"] == int(
        (~held & (data.labels != 1)).sum()
    )


def test_samples_are_not_judged_by_a_class_of_everything() -> None:
    data = few(60, 10)
    work = Work(small().eval(), {"real": SPEC})
    assert "classes" not in judge(work, small().eval(), data, 8, Options()).families
    fields = {"real": Field(replace(SPEC, classes=()), data.values)}
    named = Dataset(fields, None, data.groups, data.heldout, "bars", "bars")
    assert "classes" in judge(work, small().eval(), named, 8, Options()).families


def test_labels_for_some_are_told_what_to_do_and_that_is_enough(tmp_path: Path) -> None:
    pictures, _ = drawn(30, 0)
    written(tmp_path / "data", pictures, ["."] * 30)
    lines = [f"{k:03d}.png,{'ab'[k % 2]}\n" for k in range(10)]
    table = tmp_path / "data" / "labels.csv"
    table.write_text("file,label\n" + "".join(lines))
    with pytest.raises(DataError, match=r"20 of 30 files without a line .*add the lines \('unlabelled' where nobody knows"):
        open_data(tmp_path / "data", progress=False)
    table.write_text("file,label\n" + "".join([*lines, *(f"{k:03d}.png,Unlabelled\n" for k in range(10, 30))]))
    data = open_data(tmp_path / "data", progress=False, heldout=0.0)
    assert len(trained_rows(data, {"labelled": Feed(labelled=True)})) == 10 and data.spec.classes == ("Unlabelled", "a", "b")
    assert any("semi-gan" in line for line in check(tmp_path / "data").train)
