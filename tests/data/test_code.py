"""Which code names an entry of the cache: what shapes a kind's records, wherever it lies, and nothing else."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from ganvas.data import phantoms
from ganvas.data.dataset import open_data
from ganvas.kinds import kind_names, kind_of
from ganvas.store import code


def shaping(name: str) -> set[str]:
    return set(code.shaping((type(kind_of(name)).__module__, code.FILLING)))


@pytest.mark.parametrize("name", kind_names())
def test_the_key_of_a_kind_names_what_shapes_its_records(name: str) -> None:
    found = shaping(name)
    assert {type(kind_of(name)).__module__, kind_of(name).spec.__module__, *code.ALWAYS} <= found
    drawing = {one for one in found if one.rpartition(".")[2] in ("pictures", "grid", "scatter", "drawing", "writers")}
    assert drawing == set(), "how records are shown and written does not shape them"
    assert not found & {"ganvas.errors", "ganvas.kinds", "ganvas.kinds.facets"}


def test_kinds_share_what_they_use_and_nothing_else() -> None:
    image = shaping("image")
    assert {"ganvas.kinds.image.tiff", "ganvas.kinds.image.dicom", "ganvas.store.guard"} <= image
    assert image < shaping("label_map"), "label maps are read and resized as pictures are"
    assert "ganvas.kinds.image.nifti" in shaping("solid"), "imported inside a function"
    assert not any(".image." in one for one in shaping("sound") | shaping("series") | shaping("tokens"))


def test_phantoms_are_named_by_their_own_module() -> None:
    assert phantoms.module_of("chest") == "ganvas.data.phantoms.chest"
    assert phantoms.module_of("formula:x;x=0..1") == "ganvas.data.phantoms.patterns"
    found = code.shaping((phantoms.module_of("chest"), ()))
    assert "ganvas.data.phantoms._thorax" in found and "ganvas.data.phantoms.brain" not in found


KIND = """
from typing import TYPE_CHECKING
from .reading import decoded
from .showing import drawn
from . import deep
if TYPE_CHECKING:
    from .types_only import Something
class Waves:
    def fill(self, writer):
        self._rows(writer)
    def _rows(self, writer):
        from .lazily import late
        writer.row(decoded(deep.values))
    def picture(self, records):
        return drawn(records)
KIND = Waves()
"""


@pytest.fixture
def waves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "wavespackage"
    (folder / "deep").mkdir(parents=True)
    texts = {
        "__init__": "", "kind": KIND, "reading": "from . import deeper\ndef decoded(x): ...", "deeper": "",
        "lazily": "late = 0", "showing": "def drawn(x): ...", "types_only": "class Something: ...",
        "deep/__init__": "values = 1",
    }  # fmt: skip
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("kind", "lazily", "types_only"):
        importlib.import_module(f"wavespackage.{name}")
    yield folder
    for name in [one for one in sys.modules if one.startswith("wavespackage")]:
        del sys.modules[name]
    code._digest.cache_clear()


def test_a_kind_of_another_package_is_followed_in_that_package(waves: Path) -> None:
    start = ("wavespackage.kind", code.FILLING)

    def now() -> str:
        code._digest.cache_clear()  # as another process finds it
        return code.code_digest(start)

    own = {name.partition(".")[2] for name in code.shaping(start) if name.startswith("wavespackage")}
    assert own == {"kind", "reading", "deeper", "lazily", "deep"}
    first = now()
    for name in ("showing", "types_only"):
        (waves / f"{name}.py").write_text("changed = 1")
        assert now() == first
    for name in ("deeper", "lazily", "deep/__init__"):
        (waves / f"{name}.py").write_text("changed = 1")
        assert now() != first, name
        first = now()


def test_another_code_makes_another_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganvas.data import entries

    for digest in ("a", "a", "b"):
        monkeypatch.setattr(entries, "code_digest", lambda *starts, digest=digest: digest)
        open_data("gaussians", phantom_count=10, cache=tmp_path, progress=False)
    assert len(list((tmp_path / "entries").iterdir())) == 2
