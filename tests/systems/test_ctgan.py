"""CTGAN: numbers stand in their modes, rare values are learnt, what is asked for is shown, and nothing leaves its bounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data import open_data
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import DataError
from ganvas.game import Feed
from ganvas.inference.sampling import draw_samples
from ganvas.kinds import decode, kind_of
from ganvas.kinds.table.spec import TableSpec
from ganvas.networks.tabular import Coding
from ganvas.store.records import Dataset
from ganvas.systems.synthesis.ctgan import PRESETS, Config, CtGan
from learning import most_seeds

QUICK = {
    "width": 48, "latent_size": 16, "batch_size": 100, "pack": 1, "generator_learning_rate": 2e-3,
    "critic_learning_rate": 2e-3, "dropout": 0.0,
}  # fmt: skip


def opened(folder: Path, text: list[str], name: str = "t.csv") -> Dataset:
    path = folder / name
    path.write_text("\n".join(text) + "\n")
    return open_data(path, kinds=("table",), cache=folder / "cache", progress=False)


def heaps(count: int = 1500) -> list[str]:
    """A number in three narrow heaps, one of them far away, and a class, one of whose values is rare."""
    rng = np.random.default_rng(0)
    rare = rng.random(count) < 0.04
    size = np.where(rare, 100.0, rng.choice([0.0, 10.0], count)) + rng.normal(0, 0.2, count)
    return ["size,kind", *(f"{x:.2f},{'rare' if own else 'usual'}" for x, own in zip(size, rare, strict=True))]


def learnt(data: Dataset, rounds: int, seed: int = 0, **settings: Any) -> CtGan:
    torch.manual_seed(seed)
    system = CtGan(data.spec, build_config(Config, QUICK | settings))
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 100, seed=seed)}, seed=seed)
    for _ in range(rounds):
        engine.play_round()
    return system.eval()


def rows_of(system: CtGan, count: int, **asked: int) -> np.ndarray:
    names = list(system.attributes())
    shown = None
    if asked:
        shown = torch.full((count, len(names)), -1)
        for name, value in asked.items():
            shown[:, names.index(name)] = value
    fields = {} if shown is None else {"shown": shown}
    return decode(torch.cat(list(draw_samples(system, count, seed=3, fields=fields))), system.spec)


def in_place(system: CtGan) -> tuple[float, float, float]:
    """Of rows that are asked for by their kind: (share in a heap of their kind, that of the rarer of the two usual heaps, share
    of rare rows in their heap)."""
    usual, rare = rows_of(system, 400, kind=1)[:, 0], rows_of(system, 200, kind=0)[:, 0]
    near = [np.abs(usual - middle) < 1 for middle in (0, 10)]
    return float(near[0].mean() + near[1].mean()), float(min(own.mean() for own in near)), float((abs(rare - 100) < 20).mean())


@most_seeds
def test_numbers_stand_in_their_heaps_as_their_class_says_and_between_them_without_modes(tmp_path: Path, seed: int) -> None:
    data = opened(tmp_path, heaps())
    system = learnt(data, 250, seed)
    usual, rarer, rare = in_place(system)
    assert usual > 0.85 and rarer > 0.05 and rare > 0.85
    assert float((rows_of(system, 1000)[:, 1] == 0).mean()) == pytest.approx(0.04, abs=0.03), "as often as in the data"
    assert in_place(learnt(data, 250, seed, by_modes=False))[0] < 0.7


# The coding


def mixed(count: int = 300) -> list[str]:
    rng = np.random.default_rng(1)
    lines = ["low,high,score,sex,town,day,still,one"]
    for k in range(count):
        low = rng.integers(60, 90)
        score = "" if k % 4 == 0 else f"{rng.choice([1.0, 50.0]) + rng.normal(0, 0.1):.3f}"
        sex = ("f", "m", "")[k % 3]
        lines.append(
            f"{low},{low + rng.integers(0, 60)},{score},{sex},{'abc'[k % 3]},20{10 + k % 9}-0{1 + k % 9}-1{k % 9},7.25,x"
        )
    return lines


def test_rows_are_coded_and_come_back_as_they_were(tmp_path: Path) -> None:
    data = opened(tmp_path, mixed())
    assert data.spec.types == ("number", "number", "number", "binary", "class", "number", "number", "class")
    coding = Coding(data.spec)
    rows = kind_of("table").encode(data.values[~data.heldout], data.spec, "cpu")
    noise = Noise(torch.Generator().manual_seed(0))
    codes = coding.encode(rows, noise.uniform(len(rows), *coding.means.shape))
    assert codes.shape[1] == coding.size and float(codes.abs().max()) <= 1
    for start, width in coding.choices:
        at = coding.first_value + start
        assert bool((codes[:, at : at + width].sum(1) == 1).all())
    back = decode(coding.decode(codes), data.spec)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(data.values[~data.heldout]))
    np.testing.assert_allclose(np.nan_to_num(back), np.nan_to_num(data.values[~data.heldout]), atol=0.011)
    gone = np.isnan(data.values[~data.heldout][:, 2])
    assert bool((codes[gone, 2] == 0).all()), "what a number is means nothing where it is missing"
    shown = coding.shown(rows)
    states = kind_of("table").states(data.values[~data.heldout], data.spec)
    assert shown.tolist() == states.tolist()


def test_modes_bounds_order_and_shares_are_learnt_from_training_rows_alone(tmp_path: Path) -> None:
    data = opened(tmp_path, mixed())
    spec = data.spec
    centres = sorted(mean * spec.scale[2] + spec.centre[2] for _, mean, _ in spec.modes[2])
    assert 2 <= len(centres) <= 10 and centres[0] == pytest.approx(1, abs=0.5) and centres[-1] == pytest.approx(50, abs=0.5)
    assert sum(weight for weight, _, _ in spec.modes[2]) == pytest.approx(1)
    assert (0, 1) in spec.order and (1, 0) not in spec.order
    changed = np.array(data.values)
    changed[data.heldout] = 1e6
    again, _ = kind_of("table").learn(spec, changed, data.train_indices())
    assert again == spec
    train = data.values[~data.heldout]
    assert spec.bounds[0] == (train[:, 0].min(), train[:, 0].max())


def test_whatever_the_networks_say_rows_keep_bounds_order_and_whole_numbers(tmp_path: Path) -> None:
    data = opened(tmp_path, mixed())
    coding, noise = Coding(data.spec), Noise(torch.Generator().manual_seed(0))
    said = 3 * noise.normal(500, coding.size)
    made = decode(coding.decode(coding.activated(said, noise.uniform(500, coding.size), 0.2)), data.spec)
    for k, (low, high) in enumerate(data.spec.bounds):
        if data.spec.types[k] == "number":
            there = made[~np.isnan(made[:, k]), k]
            assert low <= there.min() and there.max() <= high
    assert bool((made[:, 0] <= made[:, 1]).all()), "the lower pressure is never above the upper one"
    assert bool((made[:, :2] == made[:, :2].round()).all())
    assert bool((made[:, 5] == made[:, 5].round()).all()), "dates are whole days"
    assert bool((made[:, 6] == 7.25).all() and (made[:, 7] == 0).all()), "what never changes stays"


@most_seeds
def test_gaps_come_about_as_often_as_in_the_data(tmp_path: Path, seed: int) -> None:
    lines = [f"{own},{('note', *(('', 'x', 'y', 'z')[k % 4] for k in range(1500)))[n]}" for n, own in enumerate(heaps())]
    lines = [own if n % 5 else own.replace(own.split(",")[0], "", 1) for n, own in enumerate(lines, 4)]
    data = opened(tmp_path, lines)
    assert data.spec.missing == (True, False, True)
    rows = rows_of(learnt(data, 1000, seed), 1000)
    for k, share in ((0, 0.2), (2, 0.25)):
        assert 0.5 * share < np.isnan(rows[:, k]).mean() < 1.6 * share


# The game


def test_rows_are_drawn_by_value_with_the_logarithm_of_its_frequency(tmp_path: Path) -> None:
    data = opened(tmp_path, heaps())
    stream = open_stream(data, Feed(balanced=True), 2000, seed=0)
    batch = stream.draw(Noise(torch.Generator().manual_seed(0)))
    shown = Coding(data.spec).shown(batch.real)[:, 0]
    assert torch.equal(shown, batch["asked"]), "each row shows the value that it was drawn by"
    rare, usual = (int((data.values[~data.heldout][:, 1] == k).sum()) for k in (0, 1))
    wanted = np.log1p(rare) / (np.log1p(rare) + np.log1p(usual))
    assert float((batch["asked"] == 0).float().mean()) == pytest.approx(wanted, abs=0.04)
    again = open_stream(data, Feed(balanced=True), 2000, seed=0)
    assert torch.equal(again.draw(Noise(torch.Generator().manual_seed(9)))["asked"], batch["asked"])
    assert not torch.equal(again.draw(Noise(torch.Generator().manual_seed(9)))["asked"], batch["asked"])


def test_the_critic_sees_packs_with_what_was_asked(tmp_path: Path) -> None:
    data = opened(tmp_path, heaps(200))
    system = CtGan(data.spec, build_config(Config, QUICK | {"pack": 5}))
    codes, asked = torch.arange(12.0)[:, None].expand(12, system.coding.size), torch.zeros(12, dtype=torch.int64)
    packs = system._packed(codes, asked)
    width = system.coding.size + system.coding.values
    assert packs.shape == (3, 5 * width) and packs[0, 0] == 0 and packs[1, 0] == 5
    assert packs[2, 4 * width] == 2, "the first rows fill up the last pack"
    assert packs[0, system.coding.size] == 1


def test_the_paper_s_preset_plays(tmp_path: Path) -> None:
    data = opened(tmp_path, mixed())
    system = CtGan(data.spec, build_config(Config, PRESETS["paper"]))
    assert system.config.pack == 10 and system.config.batch_size == 500
    batch = open_stream(data, system.feeds()["data"], 500, seed=0).draw(Noise(torch.Generator().manual_seed(0)))
    assert isinstance(batch, Batch)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 500, seed=0)}, seed=0)
    engine.play_round()


def test_a_table_of_numbers_alone_has_nothing_to_ask_for() -> None:
    names = ("x", "y")
    spec = TableSpec(names, ("number",) * 2, ((), ()), (0.0, 0.0), (1.0, 1.0), (False, False), (-1, -1))
    system = CtGan(spec, build_config(Config, QUICK))
    assert not system.attributes()
    rows = next(iter(draw_samples(system.eval(), 5, seed=0)))
    assert rows.shape == (5, 2) and bool(rows.isfinite().all())


# What users bring


def test_ids_are_left_out_and_huge_columns_are_told(tmp_path: Path) -> None:
    lines = [f"{own},{('patient_id', *(f'P{k:05d}' for k in range(300)))[n]}" for n, own in enumerate(mixed())]
    data = opened(tmp_path, lines)
    assert "patient_id" not in data.spec.names and any("only tell rows apart" in n and "patient_id" in n for n in data.notes)
    many = ["x,zip", *(f"{k}.5,z{k % 400}" for k in range(900))]
    with pytest.raises(DataError, match="column 'zip' has 400 different texts.*group its values"):
        opened(tmp_path, many, "many.csv")
    with pytest.raises(DataError, match=r"seems to hold dates.*2024-03-31"):
        opened(
            tmp_path, ["x,when", *(f"{k}.5,{1 + k % 28}/{1 + k % 12}/20{k % 90 + 10} 10:{k % 60}" for k in range(300))], "d.csv"
        )


def test_from_a_file_to_files(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\n".join(mixed()) + "\n")
    small = {"width": 8, "latent_size": 4, "batch_size": 20}
    ganvas.train("ctgan", tmp_path / "t.csv", out=tmp_path / "run", budget="3r", config=small, quiet=True, precision="32")
    command = [sys.executable, "-m", "ganvas", "sample", str(tmp_path / "run"), "-n", "40", "--out", str(tmp_path / "out")]
    subprocess.run([*command, "--attributes", "sex=m,town=b"], check=True, capture_output=True)
    text = (tmp_path / "out" / "samples.csv").read_text().splitlines()
    assert "SYNTHETIC" in text[0] and text[1] == "low,high,score,sex,town,day,still,one"
    rows = [line.split(",") for line in text[2:]]
    assert len(rows) == 40 and {row[3] for row in rows} == {"m"} and {row[4] for row in rows} == {"b"}
    assert all(row[5][:2] == "20" and row[5].count("-") == 2 and row[6] == "7.25" and row[7] == "x" for row in rows)
