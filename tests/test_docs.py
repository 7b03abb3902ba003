"""The documentation holds true: commands parse, settings exist with the defaults told, links lead somewhere, examples run."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import ganvas
from ganvas.cli import _parse
from ganvas.config import build_config, knobs
from ganvas.data.dataset import open_data
from ganvas.data.phantoms import catalogue as phantoms
from ganvas.data.phantoms import is_phantom
from ganvas.data.streams import DatasetStream
from ganvas.engine import Engine
from ganvas.game import Average, Clock, Phase, Player, System, Turn
from ganvas.objectives import adversarial, penalties
from ganvas.optim import optimiser
from ganvas.proofs import find_proof
from ganvas.registry import catalogue, load_system
from ganvas.run.budget import parse_budget
from ganvas.run.settings import parse_size

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")] + sorted((ROOT / "docs").rglob("*.md"))
EXAMPLE = ROOT / "docs" / "examples" / "my_gan.py"
HEADINGS = (
    "What it is", "When to choose it", "Try it", "Settings that matter", "Differs from the paper",
    "Known mistakes avoided", "Proof",
)  # fmt: skip


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str = "") -> list[str]:
    """The fenced blocks of a page in one language, without their fences."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [body for tongue, body in found if tongue == language]


def commands(page: Path) -> list[list[str]]:
    """The words of every `ganvas ...` command in the page's blocks, and of complete ones in its running text."""
    text = page.read_text()
    lines = [line for block in blocks(page) for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    lines += [found.replace("\n", " ") for found in re.findall(r"`([^`]+)`", prose)]
    lines = [line.removeprefix(".venv/bin/") for line in lines]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("ganvas ")]


COMMANDS = [(name_of(page), " ".join(words), words) for page in PAGES for words in commands(page)]


def test_there_are_pages_and_commands() -> None:
    assert len(PAGES) >= 12
    assert len(COMMANDS) >= 40


@pytest.mark.parametrize(("page", "line", "words"), COMMANDS, ids=[f"{page}: {line}" for page, line, _ in COMMANDS])
def test_commands_are_understood(page: str, line: str, words: list[str]) -> None:
    command = words[0]
    named = (
        ["check"],
        ["show"],
        ["sample"],
        ["apply"],
        ["train"],
        ["prove"],
        ["evaluate"],
        ["data", "check"],
        ["data", "make"],
    )
    if words in named:  # and not to be typed
        words = [*words, "--help"]
    if words[-1] == "--help":
        with pytest.raises(SystemExit):
            _parse(words)
        return
    options = _parse(words)  # raises GanvasError for what the command line would refuse
    if command in ("show", "train", "prove") and options.system not in ("SYSTEM", "NAME", None):
        name = str(ROOT / options.system) if "/" in options.system else options.system
        if name not in ("my_gan.py", "raman_gan.py"):  # stand for the reader's own file
            _, module, system = load_system(name)
            if command == "train":
                settings = dict(pair.split("=", 1) for pair in options.set)
                build_config(system.Config, settings)  # type: ignore[attr-defined]
                assert options.preset in (None, *module.PRESETS), f"{options.preset} is no preset of {name}"
    if command == "train":
        parse_budget(options.budget)
        parse_size(options.size)
    given = options.data if command == "train" else options.phantom if words[:2] == ["data", "make"] else None
    if given and not re.search(r"^[A-Z]+$|/|\.csv$|\.npz$", str(given).split(";")[0].split("(")[0]):
        assert is_phantom(str(given)), f"'{given}' is neither a phantom nor evidently a path"
        name, _, variant = str(given).partition(":")
        assert name == "formula" or variant in ("", *phantoms()[name].variants)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{name_of(page)} links to {target}, which does not exist"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{name_of(page)} links to {target}; headings there: {slugs}"


def test_the_site_knows_every_page() -> None:
    def files(nav: Any) -> list[str]:
        if isinstance(nav, str):
            return [nav]
        return [file for item in (nav.values() if isinstance(nav, dict) else nav) for file in files(item)]

    named = files(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    there = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(named) == sorted(there)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_nothing_was_left_open(page: Path) -> None:
    text = page.read_text()
    assert "{{" not in text
    assert not re.search(r"\bTODO\b|\bTBD\b", text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_in_the_pages_is_python(page: Path) -> None:
    for block in blocks(page, "python"):
        ast.parse(block)


@pytest.mark.parametrize("name", list(catalogue()))
def test_system_pages_have_their_sections_and_true_defaults(name: str) -> None:
    text = (ROOT / "docs" / "systems" / f"{name}.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(HEADINGS)
    _, module, system = load_system(name)
    config = system.Config  # type: ignore[attr-defined]
    known = {item.name: item.default for item in knobs(config)}
    section = text.split("## Settings that matter")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE)
    assert rows, "the table of settings is there"
    for setting, default in rows:
        assert setting in known, f"{name} has no setting '{setting}'"
        empty = default.strip() == "none" and known[setting] != "none"
        told = getattr(build_config(config, {setting: "" if empty else default.strip()}), setting)
        assert told == known[setting], f"{name}: {setting} is {known[setting]}, not {default}"
    for preset in module.PRESETS:
        assert f"`{preset}`" in section, f"{name}: preset '{preset}' is not told"


@pytest.mark.parametrize("name", list(catalogue()))
def test_system_pages_tell_the_proof_as_it_is(name: str) -> None:
    _, proof = find_proof(name)
    told = " ".join((ROOT / "docs" / "systems" / f"{name}.md").read_text().split("\n## Proof\n")[1].split())
    for part in (proof.claim, proof.baseline, proof.metric, proof.mark):
        assert part in told, f"{name}: the page does not say '{part}'"
    recorded = (ROOT / "benchmarks" / "proofs" / "results" / f"{name}.json").exists()
    assert recorded != ("none is recorded yet" in told), f"{name}: the page's result is out of date"


def test_contributing_shows_the_example_as_it_is() -> None:
    assert EXAMPLE.read_text() in blocks(ROOT / "CONTRIBUTING.md", "python")


def test_the_page_of_ones_own_shows_the_examples_as_they_are() -> None:
    def bare(text: str) -> str:
        return "\n".join(line.strip() for line in text.splitlines())

    page = ROOT / "docs" / "own.md"
    examples = [bare(file.read_text()) for file in sorted((ROOT / "docs" / "examples").glob("*.py"))]
    shown = [block for block in blocks(page, "python") if "KINDS" not in block and "pytest" not in block]
    assert len(shown) >= 5
    for block in shown:
        assert any(bare(block) in example for example in examples), block
    from ganvas.kinds import facets

    known = {name for name, found in vars(facets).items() if getattr(found, "_is_protocol", False) and name != "Protocol"}
    table = page.read_text().split("### What a kind may offer besides")[1].split("\n## ")[0]
    assert set(re.findall(r"`([A-Z]\w+)`", table)) == known, "every facet is told of, and no other"


@pytest.mark.parametrize("kind", ["points", "image"])
def test_the_example_plays_two_rounds_and_goes_on(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data: Any = rng.normal(size=(300, 2)).astype(np.float32)
    if kind == "image":
        data = rng.integers(0, 256, (60, 16, 12), dtype=np.uint8)
    config = {"width": 4, "latent_size": 3, "layers": 1, "batch_size": 8}
    summary = ganvas.train(str(EXAMPLE), data, config=config, budget="2r", out=tmp_path / "run", device="cpu", quiet=True)
    assert summary["rounds"] == 2
    assert summary["incidents"] == []
    run = ganvas.load(tmp_path / "run")
    drawn = run.sample(5, seed=1)
    assert drawn.shape == (5, *data.shape[1:], *([1] if kind == "image" else []))
    assert np.array_equal(run.sample(2, seed=1), drawn[:2])


def test_the_example_keeps_to_the_contract(tmp_path: Path) -> None:
    _, _, system_class = load_system(str(EXAMPLE))
    data = open_data(np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32), cache=tmp_path)
    torch.manual_seed(0)
    system: Any = system_class(data.spec, build_config(system_class.Config, {"width": 4, "layers": 1}))  # type: ignore[attr-defined]
    engine = Engine(system, {"data": DatasetStream(data, 8)}, check_every=2)
    batch, shared = engine.streams["data"].draw(engine.noise), {}
    names = [list(turn.objective(batch, Clock(), shared)) for turn in engine.phases[0].turns]
    assert names == [["real", "fake"], ["fool"]]
    before = {name: value.clone() for name, value in system.state_dict().items()}
    engine.play_round()
    report = engine.play_round()
    assert report is not None
    assert report.incident is None
    assert set(report.terms) == {"discriminator/real", "discriminator/fake", "generator/fool"}
    still = [name for name, value in system.state_dict().items() if torch.equal(before[name], value)]
    # Within the margin the hinge pulls at D's last bias equally from both sides, so that one may rest.
    assert set(still) <= {"discriminator.layers.2.bias"}, "the weights of both players, and of the average, have moved"


# The sketches of docs/architecture.md


class _Sketch(System):
    """Takes the place of System: what a sketch leaves out is a method that nobody calls."""

    def __init__(self, spec: Any = None, config: Any = None) -> None:
        super().__init__(spec, config)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if "built" not in vars(self):
                raise

            def left_out(*arguments: Any) -> Any:
                raise NotImplementedError(name)

            left_out.__name__ = name
            return left_out


class _Stream:
    """A stream that is never drawn from; it takes the overrides that the real one takes."""

    def configure(self, batch_size: int | None = None) -> None:
        return None


def _adam(rate: float, beta1: float = 0.5, beta2: float = 0.999) -> Any:
    return optimiser("adam", rate, beta1=beta1, beta2=beta2)


def sketches() -> dict[str, type]:
    """Every system sketched on the page, by class name."""
    scope: dict[str, Any] = {
        "System": _Sketch, "Player": Player, "Turn": Turn, "Phase": Phase, "Average": Average, "adam": _adam, "torch": torch,
        "cross_entropy": nn.functional.cross_entropy, **vars(adversarial), **vars(penalties),
    }  # fmt: skip
    known = set(scope)
    for block in blocks(ROOT / "docs" / "architecture.md", "python"):
        exec(compile(block, "docs/architecture.md", "exec"), scope)
    return {name: found for name, found in scope.items() if name not in known and isinstance(found, type)}


def test_there_is_a_sketch_of_every_game() -> None:
    image = {"DcGan", "WganGp", "StyleGan2", "CycleGan", "SrGan", "ProGan", "InfoGan", "Pix2PixHd"}
    assert set(sketches()) == image | {"SeqGan", "Gan3d", "AnoGan", "Gon", "SemiSupervised"}


@pytest.mark.parametrize("name", list(sketches()))
def test_the_engine_accepts_every_sketch(name: str) -> None:
    """Players own networks that exist, turns belong to players and draw from streams, loader overrides are served."""
    board: Any = sketches()[name](None, SimpleNamespace())
    board.built = True  # from here on, what is left out may be named
    needed = [n for player in board.players() for n in player.networks]
    needed += [n for average in board.averages() for n in (average.source, average.target)] + list(board.bystanders())
    for network in dict.fromkeys(needed):
        setattr(board, network, nn.Linear(1, 1))
    engine = Engine(board, {"data": _Stream(), "labelled": _Stream()})  # type: ignore[dict-item]
    buffers = dict(board.named_buffers())
    for buffer, rule in board.reductions().items():
        assert buffer in buffers
        assert rule in ("mean", "sum", "rank")
    for phase in engine.phases:
        engine.streams["data"].configure(**phase.loader)
        clock = Clock(round=1, samples=100, phase=phase.name, phase_round=1, phase_samples=100, progress=0.5)
        for turn in phase.turns:
            times = turn.times(clock) if callable(turn.times) else turn.times
            assert times >= 0
        for player in board.players():
            assert player.rate(clock) > 0
        for average in board.averages():
            half_life = average.half_life(clock) if callable(average.half_life) else average.half_life
            assert half_life >= 0
    used = {turn.player for phase in engine.phases for turn in phase.turns}
    assert used == set(engine.seats), "every player has a turn"
