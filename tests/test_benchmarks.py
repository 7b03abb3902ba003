"""Benchmarks: every script and result stands in the table; peers play what they say; the ceiling counts what is needed."""

from __future__ import annotations

import dataclasses
import json
import re
import statistics
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1] / "benchmarks"
PARTS = (".", "peers", "speed", "proofs/baselines")


@pytest.fixture(scope="module", autouse=True)
def scripts():
    """Benchmarks import each other as scripts do."""
    added = [str(ROOT / part) for part in PARTS]
    sys.path.extend(added)
    yield
    for path in added:
        sys.path.remove(path)


def rows():
    return [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| [")]


def test_every_script_has_a_row_with_a_command():
    table = {re.match(r"\| \[([^\]]+)\]", line)[1]: line for line in rows()}
    found = [path.relative_to(ROOT).as_posix() for folder in ("", "speed") for path in sorted((ROOT / folder).glob("*.py"))]
    assert [name for name in found if name not in table] == []
    assert [name for name in found if not re.search(rf"`\S*python benchmarks/{re.escape(name)}\b.*`", table[name])] == []
    assert [name for name in table if name.endswith(".py") and not (ROOT / name).exists()] == []
    text = (ROOT / "README.md").read_text()
    parts = [path for part in ("peers", "proofs/baselines") for path in (ROOT / part).glob("*.py")]
    beside = [path.relative_to(ROOT).as_posix() for path in parts]
    assert [name for name in beside if f"]({name})" not in text] == []


def test_every_result_is_named_and_every_named_one_is_there():
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"\]\(([^)]+\.json)\)", text))
    found = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.json")}
    assert found - named == set()
    assert named - found == set()


def test_verdicts_of_proofs_are_those_of_their_results():
    for line in rows():
        if place := re.search(r"\]\((proofs/results/[^)]+\.json)\)", line):
            passed = json.loads((ROOT / place[1]).read_text())["passed"]
            assert line.endswith("| yes |" if passed else "| **no** |"), line


def tiny(name):
    """The board with networks of four channels and batches of two."""
    from boards import BOARDS
    from worker import resized

    return resized(BOARDS[name], 16 if name == "dcgan-64" else None, 4, 2)


@pytest.mark.parametrize(
    ("name", "program"),
    [("dcgan-64", "plain PyTorch"), ("dcgan-64", "PyTorch-GAN"), ("dcgan-64", "Fabric"), ("dcgan-64", "ganvas"),
     ("wgan-gp-64", "PyTorch-GAN"), ("pix2pix-128", "standard recipe"), ("cyclegan-128", "standard recipe")],
)  # fmt: skip
def test_programs_play_rounds(name, program):
    import worker

    board, played = tiny(name), []

    def tick():
        played.append(None)
        if len(played) == 3:
            raise worker.Ended

    with pytest.raises(worker.Ended):
        worker.program(board, program)(board, tick, count=4)
    assert len(played) == 3


def test_networks_of_a_board_are_equally_large():
    from boards import BOARDS, script
    from synthesis import networks

    from ganvas.networks.convolutional import ConvolutionalDiscriminator, ConvolutionalGenerator

    def weights(network):
        return sorted(tuple(p.shape) for p in network.parameters() if p.dim() == 4)

    board = BOARDS["dcgan-64"]
    ours = ConvolutionalGenerator(100, (1, 64, 64), 64), ConvolutionalDiscriminator((1, 64, 64), 64)
    assert [weights(own) for own in networks(board)] == [weights(own) for own in ours]
    assert script("pytorch_dcgan").multiples(128) == [1, 2, 4, 8, 8]


def test_the_ceiling_has_no_gradients_that_nobody_uses():
    from boards import engine
    from ceiling import ceiling, operations

    played = engine(dataclasses.replace(tiny("dcgan-64"), settings={"width": 4, "batch_size": 2}), layout="off", count=4)
    played.play_round()
    found = operations(played)
    told = ceiling(found, passes=1)

    def layers(name):
        modules = played.system.get_submodule(name).modules()
        return sum(isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d) for module in modules)

    # D's on real and on made images, never in G's turn.
    assert told["weight_gradients"] == layers("generator") + 2 * layers("discriminator")
    backward = sum(times for each, times in found.items() if each.name() == "convolution_backward")
    assert backward == told["weight_gradients"] + layers("discriminator")  # through D to G, inputs alone
    images = [each for each in found if each.name() == "convolution_backward" and each.arguments[1].shape[1] == 1]
    # None for the images that D is shown in its own turn.
    assert sum(found[each] for each in images if not each.arguments[-1][0]) == 2
    assert 0 < told["seconds"] <= min(told["layouts"].values())


def test_medians_and_marks():
    from compare import middle
    from throughput import marks

    found = middle([1.0, 1.2, 1.1, 1.3, 0.9])
    assert found["median"] == 1.1 and 0.9 <= found["low"] <= 1.1 <= found["high"] <= 1.3
    told = {"share_of_ceiling": 0.89, "ratio_plain_pytorch": 1.16, "possible_ratio_plain_pytorch": 1.2, "ratio_pix2pix": 1.2}
    told |= {"ratio_torchgan": 1.45, "possible_ratio_torchgan": 2.0}
    passed = {row["mark"]: (row["wanted"], row["passed"]) for row in marks(told)}
    assert passed == {
        "share of the ceiling, dcgan-64": (0.9, False),
        "dcgan-64 against plain_pytorch": (1.14, True),
        "dcgan-64 against torchgan": (1.5, False),
        "pix2pix at 128 pixels": (1.2, True),
    }


class Told:
    """A child that plays nothing and tells times: a peer's rounds take 1.5 times those of ganvas."""

    def __init__(self, board, name, *options, peers=None):
        self.name, self.first = name, {"base": 2**20, "peak": 3 * 2**20}

    def play(self, words):
        seconds = 3.0 if self.name == "ganvas" else 4.5
        return {"rounds": 3, "seconds": seconds, "processor": seconds, "peak": 3 * 2**20}

    def close(self):
        pass


def test_the_result_has_every_ratio_and_the_picture_every_peer(tmp_path, monkeypatch):
    import compare
    import throughput
    from boards import BOARDS

    monkeypatch.setattr(compare, "Program", Told)
    for name in BOARDS:
        monkeypatch.setitem(BOARDS, name, tiny(name))
    words = ["--rounds", "1", "--pairs", "2", "--passes", "1", "--no-memory", "--threads", "1"]
    words += ["--out", str(tmp_path / "throughput.json"), "--peers-out", str(tmp_path / "peers.json")]
    monkeypatch.setattr(sys, "argv", ["throughput.py", *words])
    throughput.main()
    found = json.loads((tmp_path / "throughput.json").read_text())
    asked = "plain_pytorch torchgan pix2pix cyclegan melgan dcgan_fabric dcgan_pytorch_gan wgan_gp_torchgan wgan_gp_pytorch_gan"
    for key in asked.split():
        assert found[f"ratio_{key}"] == 1.5, key
    bound = statistics.median(found["ceilings"]["dcgan-64"]["32"]["seconds"])
    assert found["share_of_ceiling"] == pytest.approx(bound, abs=2e-4)  # its seconds a round are 1
    assert found["possible_ratio_plain_pytorch"] == pytest.approx(1.5 / bound, rel=0.2)
    assert found["machine"]["cores"] and found["command"]
    assert [row["passed"] for row in found["marks"]] == [False, True, True, True, True]
    boards = json.loads((tmp_path / "peers.json").read_text())["boards"]
    assert {name: set(own["ratios"]) for name, own in boards.items()} == {name: set(own.peers) for name, own in BOARDS.items()}
    assert (tmp_path / "peers.png").stat().st_size > 10_000


@pytest.mark.slow
def test_children_are_compared_block_by_block(tmp_path):
    from compare import environment, play, write

    options = dict.fromkeys(("ganvas", "plain PyTorch"), ("--width", "4", "--batch", "2", "--records", "4"))
    between = []
    found = play("dcgan-64", list(options), "rounds 2", 2, options=options, between=lambda: between.append(1))
    assert len(between) == 2
    assert {own: told["rounds"] for own, told in found["programs"].items()} == {"ganvas": 4, "plain PyTorch": 4}
    assert len(found["ratios"]["plain PyTorch"]["pairs"]) == 2
    write({"boards": {"dcgan-64": found}} | environment(None), tmp_path / "peers.json")
    assert (tmp_path / "peers.png").stat().st_size > 5000


def test_boards_of_the_speed_of_systems_are_settings_that_their_systems_have():
    from systems import BOARDS, config_of

    assert {name: config_of(*board) for name, board in BOARDS.items()}.keys() == BOARDS.keys()


def test_rows_of_boards_that_are_not_measured_stay_in_the_result_with_their_machine(tmp_path):
    from systems import BOARDS, kept, write

    first, second = list(BOARDS)[:2]
    old = {"boards": {second: {"share_outside": 0.1}}, "machine": {"cpu": "old"}}
    (tmp_path / "r.json").write_text(json.dumps(old))
    rows = kept(tmp_path / "r.json")
    assert rows == {second: {"share_outside": 0.1, "machine": {"cpu": "old"}}}
    rows[first] = {"share_outside": 0.2, "machine": {"cpu": "new"}}
    write(rows, tmp_path / "r.json")
    again = json.loads((tmp_path / "r.json").read_text())["boards"]
    assert list(again) == [first, second] and again[second]["machine"] == {"cpu": "old"}
    assert kept(tmp_path / "none.json") == {}


def test_the_example_learns_in_the_colours_of_the_folder_and_leaves_out_what_it_is_told(tmp_path):
    import numpy as np
    from PIL import Image
    from pytorch_dcgan import load_images

    for number in range(3):
        Image.fromarray(np.full((8, 8), 80 * number, np.uint8)).save(tmp_path / f"{number}.png")
    assert load_images(tmp_path, 64).shape == (3, 1, 64, 64)
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(tmp_path / "red.png")
    images = load_images(tmp_path, 64, frozenset({"0.png"}))
    assert images.shape == (3, 3, 64, 64)
    assert images[-1, :, 0, 0].tolist() == [1.0, -1.0, -1.0]


def test_a_look_at_the_example_changes_nothing_of_its_run():
    from pytorch_dcgan import draw, generator

    torch.manual_seed(0)
    net = generator(2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert draw(net, 3).shape == (3, 64, 64)
    assert draw(generator(2, channels=3), 3).shape == (3, 64, 64, 3)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_ten_minutes_are_compared_over_the_seeds_that_both_have():
    from ten_minutes import verdicts

    def row(arm, seed, value):
        return {"data": "emoji", "arm": arm, "seed": seed, "distance": value, "by_another": 2 * value}

    found = verdicts([
        row("picked", 0, 100.0), row("picked", 1, 140.0), row("script-64", 0, 400.0), row("script-16", 0, 150.0),
        row("picked-6m", 0, 150.0), row("script-64-30m", 0, 140.0),
    ])  # fmt: skip
    first = {(one["arm"], one["of"]): one for one in found if one["by"] == "distance"}
    assert first["picked", "script-64"] | {"ratio": 0.25, "met": True, "seeds": [0]} == first["picked", "script-64"]
    assert not first["picked", "script-16"]["met"]  # 0.67 of the best width
    assert not first["picked-6m", "script-64-30m"]["met"]
    assert ("picked", "before") not in first
