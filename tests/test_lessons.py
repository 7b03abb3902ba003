"""The lessons that are notebooks run from the first cell to the last, at small size, and are clean: no outputs, known keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BOOKS = sorted((Path(__file__).parents[1] / "docs" / "lessons").glob("*.ipynb"))
RUN = """
import json, sys
book = json.load(open(sys.argv[1], encoding="utf-8"))
names = {"__name__": "__main__"}
for cell in book["cells"]:
    text = "".join(cell["source"])
    if cell["cell_type"] == "code" and not text.startswith("%pip"):
        exec(compile(text, cell["id"], "exec"), names)
"""


@pytest.mark.parametrize("book", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_clean_and_begins_with_its_installation(book: Path) -> None:
    read = json.loads(book.read_text(encoding="utf-8"))
    assert (read["nbformat"], read["nbformat_minor"]) == (4, 5)
    code = [cell for cell in read["cells"] if cell["cell_type"] == "code"]
    assert "".join(code[0]["source"]).startswith("%pip install")
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in read["cells"]}) == len(read["cells"])
    for cell in code[1:]:
        compile("".join(cell["source"]), cell["id"], "exec")


@pytest.mark.slow
@pytest.mark.parametrize("book", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end(book: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", RUN, str(book)]
    environment = {**os.environ, "GANVAS_LESSONS": "small", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert list((tmp_path / "runs").glob("*/samples/*.png"))
