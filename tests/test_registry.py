"""Finding systems: by name, alias, path and entry point, without running them."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import toys
from ganvas import kinds, registry
from ganvas.errors import GanvasError
from ganvas.registry import CARD_KEYS, catalogue, find, load_system, read_card

OWN = '''"""My GAN. Me, 2024.

A smaller one.
"""
from ganvas.systems.synthesis.gan import PRESETS as THEIRS, Config, Gan

CARD = {"title": "My GAN", "authors": "Me", "year": 2024, "paper": "none", "data": ["points"], "summary": "mine", "odd": 1}
PRESETS = {"auto": {"width": 4, "layers": 1, "batch_size": 8}, "wide": {"width": 6}}


class Mine(Gan):
    data = ("points",)
'''


def test_the_catalogue_is_complete_and_literal() -> None:
    cards = catalogue()
    assert {"gan", "dcgan", "lsgan", "wgan-gp", "cgan"} <= cards.keys()
    names = [*cards, *(alias for card in cards.values() for alias in card.aliases)]
    assert len(names) == len(set(names)), "no two systems answer to one name"
    for card in cards.values():
        assert card.title
        assert card.authors
        assert card.paper
        assert card.summary
        assert 1990 < card.year < 2100
        assert card.doc.strip(), f"{card.name}: the module docstring is the paper in ten lines"
        assert set(card.data) <= {"points", "image", *kinds.kind_names()}
        assert not card.extra, f"{card.name}: unknown keys; known are {sorted(CARD_KEYS)}"


def test_the_catalogue_imports_no_torch() -> None:
    code = (
        "import sys; from ganvas.registry import catalogue; catalogue()['gan']\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=toys.environment())
    assert done.stdout.split() == ["False", "False"]


def test_names_are_forgiving_and_wrong_ones_are_answered() -> None:
    assert find("DCGAN").name == "dcgan"
    assert find("wgan_gp").name == "wgan-gp"
    for name in catalogue():
        for alias in catalogue()[name].aliases:
            assert find(alias).name == name
    with pytest.raises(GanvasError, match=r"unknown system 'dcgam' \(did you mean 'dcgan'\?\); see  ganvas systems"):
        find("dcgam")
    with pytest.raises(GanvasError, match=r"^unknown system 'zebra'; see  ganvas systems$"):
        find("zebra")


def test_a_third_party_system_by_path_trains_resumes_and_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ganvas

    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "my_gan.py"
    path.write_text(OWN)
    card, module, system = load_system(str(path))
    assert (card.name, card.task, card.title, card.extra) == ("my-gan", "elsewhere", "My GAN", {"odd": 1})
    assert (system.__name__, module.PRESETS["wide"]) == ("Mine", {"width": 6})
    data = toys.points_file(tmp_path / "points.csv")
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = ganvas.train("my_gan.py", data, out=tmp_path / "run", budget="3r", quiet=True)
    assert (result["system"], result["rounds"]) == ("my-gan", 3)
    monkeypatch.chdir(tmp_path)  # the run must know the way by itself
    assert ganvas.train(resume=tmp_path / "run", budget="5r", quiet=True)["rounds"] == 5
    assert ganvas.load(tmp_path / "run").sample(4).shape == (4, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def broken(:", "not a readable Python file"),
        ("x = 1", r"has no CARD = \{...\}; see CONTRIBUTING.md"),
        ("CARD = dict(title='x')", "CARD must be a literal dictionary"),
        ('CARD = {"title": "x"}\nimport ganvas', "defines no System"),
        ('CARD = {"title": "x"}\nfrom ganvas.systems.synthesis.gan import Gan', "defines no System"),
        (
            'CARD = {"title": "x"}\nimport no_such_package_anywhere',
            "cannot be imported .ModuleNotFoundError: .*no_such_package_anywhere",
        ),
        ('CARD = {"title": "x"}\n1 / 0', "cannot be imported .ZeroDivisionError"),
        ('CARD = ["title"]', "CARD must be a literal dictionary"),
    ],
)
def test_a_file_that_is_no_system_is_told_why(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "other.py"
    path.write_text(content)
    with pytest.raises(GanvasError, match=f"other.py: {message}") as failure:
        load_system(str(path))
    assert "\n" not in str(failure.value)
    with pytest.raises(GanvasError, match="absent.py: no such system file"):
        load_system(str(tmp_path / "absent.py"))


def test_an_installed_package_adds_systems_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "guest_gan.py").write_text(OWN)
    (tmp_path / "guest_broken.py").write_text("CARD = nonsense(")
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [EntryPoint(n, n, "ganvas.systems") for n in ("guest_gan", "guest_broken", "guest_absent")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries)
    registry.catalogue.cache_clear()
    try:
        card, _, system = load_system("guest-gan")
        assert (card.module, system.__name__) == ("guest_gan", "Mine")
        assert "dcgan" in catalogue(), "a broken guest does not take the others down"
        assert "guest-broken" not in catalogue()
        with pytest.raises(GanvasError, match=r"guest_broken\.py: not a readable Python file"):
            find("guest-broken")
        with pytest.raises(GanvasError, match="its module guest_absent is not there"):
            find("guest_absent")
    finally:
        registry.catalogue.cache_clear()
        sys.modules.pop("guest_gan", None)


def test_reading_a_card_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "trap.py"
    path.write_text(f'CARD = {{"title": "x"}}\nopen({str(tmp_path / "mark")!r}, "w")')
    assert read_card(path).title == "x"
    assert not (tmp_path / "mark").exists()


def test_a_run_cannot_bring_code_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run folder from someone else, whose settings name a file, must not have that file executed."""
    import numpy as np
    import yaml

    from ganvas.run.draw import draw
    from ganvas.run.train import train

    example = Path(__file__).parents[1] / "docs" / "examples" / "my_gan.py"
    monkeypatch.setattr(registry, "_brought", {})
    run, points = tmp_path / "run", np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    train(str(example), points, out=run, budget="2r", quiet=True, config={"batch_size": 8}, sample_every=0)
    assert draw(run, count=2, device="cpu", out=tmp_path / "a")["count"] == 2  # named in this process already
    registry._brought.clear()
    with pytest.raises(GanvasError, match="my_gan.py, which is not part of ganvas: name it again"):
        draw(run, count=2, device="cpu")
    assert draw(run, count=2, device="cpu", out=tmp_path / "b", system=example)["count"] == 2
    registry._brought.clear()
    settings = yaml.safe_load((run / "config.yaml").read_text())
    (tmp_path / "evil.py").write_text(example.read_text() + f"\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    (run / "config.yaml").write_text(yaml.safe_dump({**settings, "system": str(tmp_path / "evil.py")}))
    with pytest.raises(GanvasError, match="is a file; a run names a system"):
        draw(run, count=2, device="cpu")
    assert not (tmp_path / "ran").exists()
