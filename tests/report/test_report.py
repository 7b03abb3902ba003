"""Reports: no real record, no network, small; true cards from which a run can be repeated; pictures that are what they say."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import ganvas
from ganvas.cli import main
from ganvas.errors import GanvasError
from ganvas.registry import load_system
from ganvas.report import report
from ganvas.report.card import audit_of, bibtex, card_text, limits
from ganvas.report.facts import read_facts, read_health
from ganvas.report.page import escaped
from ganvas.report.pictures import kept_pictures_are_samples, packed, walking_noise
from ganvas.run.opening import open_run_data
from ganvas.uses import Use, table


def uses_called(*verbs: str) -> list[Use]:
    return [use for use in table() if use.verb in verbs]


TINY = {"latent_size": 4, "width": 4, "batch_size": 8}


def train(out: Path, system: str = "dcgan", data: str = "chest", config: Any = TINY, **more: Any) -> Path:
    given = {"size": "16", "phantom_count": 60, "budget": "4r", "device": "cpu", "threads": 1, "precision": "32", "seed": 3}
    ganvas.train(system, data, config=config, out=out, quiet=True, **{**given, **more})
    return out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four rounds, evaluated on pixels; its log, of one row for so short a run, has one a round."""
    run = train(tmp_path_factory.mktemp("runs") / "chest", sample_every=1e-6)
    row = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    rows = [{**row, "round": k, "samples": 8 * k} for k in range(1, 5)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    ganvas.evaluate(str(run), count=30, features="pixels", out=run / "evaluation")
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(trained, tmp_path / "chest"))


def embedded(page: str) -> list[np.ndarray]:
    """Every picture of a page as (H, W, 3) uint8."""
    found = []
    for media, text in re.findall(r"data:(image/\w+);base64,([A-Za-z0-9+/=]+)", page):
        assert media == "image/png", "a search for records needs pictures without loss"
        found.append(np.array(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")))
    return found


def shows(picture: np.ndarray, records: np.ndarray) -> bool:
    """Whether a line of a record (N, H, W, 1) uint8 stands in the picture, at its own size or enlarged by a whole factor."""
    lines = [np.ascontiguousarray(line).tobytes() for line in picture[..., 0]]
    for factor in range(1, 9):
        wanted = [record[len(record) // 2, :, 0].repeat(factor).tobytes() for record in records]
        if any(pattern in line for line in lines for pattern in wanted):
            return True
    return False


# ------------------------------------------------------------------------------------------------------------ the page


def test_the_page_needs_no_network_no_script_and_is_small(run: Path) -> None:
    result = report(run)
    page = Path(result["page"]).read_text()
    assert result["page"] == str(run / "report.html")
    assert result["bytes"] == len(page.encode()) < 5_000_000
    assert not re.search(r"https?:|<script|<link|@import|url\(|<iframe|<object|\son\w+=", page)
    assert set(re.findall(r'src="(.{5})', page)) == {"data:"}
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', page))
    for title in (
        "Samples", "Samples over time", "Between latents", "Training", "Results", "Spectrum", "Feature map",
        "Memorisation audit",
        "Limits", "Data", "How to repeat this run", "Environment", "Citation",
    ):  # fmt: skip
        assert f"<h2>{title}</h2>" in page


@pytest.mark.slow
def test_plots_stand_beside_it_as_png_and_svg(run: Path) -> None:
    files = {Path(f).name for f in report(run)["runs"][str(run)]["plots"]}
    assert {"losses.png", "losses.svg", "spectrum.png", "spectrum.svg", "features.png", "features.svg"} <= files
    assert {"samples.png", "over-time.png", "between.png"} <= files
    assert files == {path.name for path in (run / "report").iterdir()}
    before = (run / "report" / "losses.svg").read_bytes()
    report(run)
    assert (run / "report" / "losses.svg").read_bytes() == before


def test_no_real_record_is_in_the_page(run: Path) -> None:
    page = Path(report(run)["page"]).read_text()
    records = np.asarray(open_run_data(read_facts(run).record.settings, card=read_facts(run).record.card).values)
    assert len(records) == 60
    pictures = embedded(page)
    assert len(pictures) >= 6
    assert not any(shows(picture, records) for picture in pictures)
    # The search finds what is there: a sample in the grid of samples.
    kept = ganvas.load(run).sample(64, seed=3)
    assert any(shows(picture, kept) for picture in pictures)


def test_pictures_that_show_real_records_stay_in_the_run(tmp_path: Path) -> None:
    folder = tmp_path / ("a folder of some length " * 3).strip() / "photos"
    rng = np.random.default_rng(0)
    for index in range(24):
        place = folder / "ab"[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(place / f"{index}.png")
    run = train(tmp_path / "translated", "cyclegan", str(folder), {"width": 4, "blocks": 1, "batch_size": 1}, budget="1r")
    records = np.asarray(open_run_data(read_facts(run).record.settings, card=read_facts(run).record.card).values)
    kept = [np.array(Image.open(path).convert("RGB")) for path in (run / "samples").glob("*.png")]
    assert any(shows(picture, records) for picture in kept), "its own pictures show real records"
    page = Path(report(run)["page"]).read_text()
    assert not any(shows(picture, records) for picture in embedded(page))
    assert "show real records beside" in page
    assert "of some length" not in page + (run / "MODEL_CARD.md").read_text()
    assert str(tmp_path) not in page, "where the data lies says more about a machine than about the data"


def test_which_pictures_may_be_taken_from_a_run() -> None:
    assert kept_pictures_are_samples(object(), "image")
    assert kept_pictures_are_samples(object(), "sound")
    assert not kept_pictures_are_samples(object(), "graph"), "the graph that was learnt from stands beside"
    assert not kept_pictures_are_samples(load_system("srgan")[2], "image")

    class Restorer(torch.nn.Module):
        """It says not itself what to show: what it restores is shown, beside the real record."""

        scale = multiple = 1

        def degrade(self, images: Any, noise: Any) -> Any: ...

        def restore(self, images: Any, noise: Any) -> Any: ...

    assert not kept_pictures_are_samples(Restorer(), "image")
    assert not kept_pictures_are_samples(Restorer, "image")
    assert not kept_pictures_are_samples(load_system("anogan")[2], "image")


def test_what_a_user_wrote_is_escaped(run: Path) -> None:
    page = Path(report(run, licence="<b>a & b</b>")["page"]).read_text()
    assert "&lt;b&gt;a &amp; b&lt;/b&gt;" in page
    assert "<b>a &" not in page
    assert escaped("run `a <b>` now") == "run <code>a &lt;b&gt;</code> now"
    assert escaped("a ` b") == "a ` b"


def test_a_run_without_evaluation_says_so_and_evaluates_when_asked(run: Path) -> None:
    evaluation = json.loads((run / "evaluation" / "evaluation.json").read_text())
    evaluation["notes"].append(f"{run} is far away")
    (run / "evaluation" / "evaluation.json").write_text(json.dumps(evaluation))
    page = Path(report(run)["page"]).read_text()
    assert "chest is far away" in page
    assert str(run) not in page
    shutil.rmtree(run / "evaluation")
    result = report(run)
    page = Path(result["page"]).read_text()
    assert not result["runs"][str(run)]["evaluated"]
    assert "has not been evaluated" in page
    assert "ganvas evaluate chest" in page
    assert "<b>not evaluated</b>" in page


def test_evaluate_runs_first_where_it_is_missing(tmp_path: Path) -> None:
    config = {"latent_size": 2, "width": 8, "layers": 1, "batch_size": 16}
    run = train(tmp_path / "points", "gan", "patterns", config, size=None, phantom_count=400)
    result = report(run, evaluate=True)["runs"][str(run)]
    assert result["evaluated"]
    assert (run / "evaluation" / "evaluation.json").is_file()
    page = (run / "report.html").read_text()
    assert "sliced Wasserstein" in page
    assert "<h2>Feature map</h2>" in page
    assert 'class="moments"' in page, "pictures of points stand side by side"


def test_an_old_evaluation_is_called_old(run: Path) -> None:
    import os

    assert not read_facts(run).stale
    manifest = run / "checkpoints" / "last" / "manifest.json"
    file = run / "evaluation" / "evaluation.json"
    values = json.loads(file.read_text())
    assert values["fake"]["checkpoint"] == {"which": "last", "round": read_facts(run).round, "samples": read_facts(run).samples}
    values["fake"]["checkpoint"]["round"] -= 1
    file.write_text(json.dumps(values))
    assert read_facts(run).stale
    assert "of other weights" in Path(report(run)["page"]).read_text()
    del values["fake"]["checkpoint"]  # as evaluations were before: then the age of the files tells
    file.write_text(json.dumps(values))
    assert not read_facts(run).stale
    later = file.stat().st_mtime + 3600
    os.utime(manifest, (later, later))
    assert read_facts(run).stale


def test_another_checkpoint_than_the_last(run: Path) -> None:
    with pytest.raises(GanvasError, match="has no checkpoint 'best'"):
        report(run, which="best")
    best = run / "checkpoints" / "best"
    shutil.copytree(run / "checkpoints" / "last", best)
    manifest = json.loads((best / "manifest.json").read_text())
    (best / "manifest.json").write_text(json.dumps({**manifest, "round": 2, "samples": 16}))
    facts = read_facts(run, which="best")
    assert (facts.round, facts.samples) == (2, 16)
    assert max(round for round, _ in facts.pictures) <= 2
    report(run, which="best")
    assert "--budget 2r" in (run / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_several_runs_share_a_page(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    result = report([run, other], out=tmp_path / "out" / "both.html")
    page = Path(result["page"]).read_text()
    assert page.count("<article") == 2
    assert (other / "MODEL_CARD.md").is_file()
    with pytest.raises(GanvasError, match="named twice"):
        report([run, run / "." / ""])


def test_what_is_no_run_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(GanvasError, match="name the HTML file"):
        report(tmp_path, out=tmp_path)


def test_the_command_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run), "--licence", "CC0 1.0", "--device", "cpu"]) == 0
    assert str(run / "report.html") in capsys.readouterr().out
    assert main(["report", str(run), "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][str(run)]["evaluated"] is True
    assert "- licence: CC0 1.0" in (run / "MODEL_CARD.md").read_text(), "it is kept for the next report"


# -------------------------------------------------------------------------------------------------------------- health


HEALTH = {
    "t0": 2,
    "alarms": [
        {
            "kind": "losses explode", "seen": "both <grew>", "round": 4, "samples": 32, "since_round": 3, "since_samples": 24,
            "advice": "lower both learning rates",
        }
    ],
    "looks": [
        {"round": k, "samples": 8 * k, "seconds": k / 10, "value": 1 / k, "low": 0.8 / k, "high": 1.2 / k,
         "protocol": "kd/x/n=9", "nearer": 0.5, "diversity": 0.1 * k}
        for k in range(1, 5)
    ],
}  # fmt: skip


def test_alarms_the_opening_and_looks_are_shown(run: Path) -> None:
    (run / "health.json").write_text(json.dumps(HEALTH))
    result = report(run)
    page = Path(result["page"]).read_text()
    assert "ended at round 2" in page
    assert "1 alarm<" in page
    assert "both &lt;grew&gt;; try: lower both learning rates" in page
    assert "kd/x/n=9" in page
    assert str(run / "report" / "metrics.svg") in result["runs"][str(run)]["plots"]
    assert "- alarms: 1" in (run / "MODEL_CARD.md").read_text()


def test_health_is_read_from_either_place_and_may_be_absent(tmp_path: Path) -> None:
    found = read_health(tmp_path, [{"round": 1, "terms/a/b": 1.0}])
    assert (found.t0, found.alarms, found.looks, found.watched) == (None, [], [], False)
    look = {"kid": {"value": 0.2, "low": 0.1, "high": 0.3, "protocol": "kd/x"}, "samples": 80}
    found = read_health(tmp_path, [{"round": 10, "samples": 80, "look": look}])
    assert found.looks[0]["metrics"] == {"kid": look["kid"]}
    assert (found.looks[0]["round"], found.looks[0]["samples"], found.watched) == (10, 80, True)
    (tmp_path / "health.json").write_text(json.dumps({**HEALTH, "looks": [{**HEALTH["looks"][0], "value": float("inf")}]}))  # type: ignore[index, dict-item]
    found = read_health(tmp_path, [])
    assert set(found.looks[0]["metrics"]) == {"nearer", "variety"}, "a number that is not finite is none"
    (tmp_path / "health.json").write_text("{")
    with pytest.raises(GanvasError, match=r"health\.json: cannot be read"):
        read_health(tmp_path, [])


# ------------------------------------------------------------------------------------------------------------ the card


def test_the_card_states_the_facts(run: Path) -> None:
    report(run, licence="for\n research only")
    text = (run / "MODEL_CARD.md").read_text()
    facts = read_facts(run)
    data = facts.record.data
    for line in (
        "# dcgan on chest", "- data: chest (a phantom: simulated)", f"- training records: {data['train']}",
        f"- held-out records: {data['heldout']}", f"- fingerprint: {data['fingerprint']}", "- licence: for research only",
        "- seed: 3", "- latent_size: 4", "4 rounds on 32 records drawn", f"- torch: {torch.__version__}", "not for diagnosis",
        "nothing here was learnt from, or tested on, the real thing", "1511.06434",
    ):  # fmt: skip
        assert line in text, line
    verdict, reason = audit_of(facts)
    assert f"**{verdict}**" in text
    evaluation = facts.evaluation or {}
    assert evaluation["kid"]["protocol"] in text
    assert f"{evaluation['fake']['n']} samples against {evaluation['real']['heldout']} held-out records" in text
    shutil.rmtree(run / "evaluation")
    (run / "card.json").unlink(missing_ok=True)
    bare = card_text(read_facts(run), uses_called("sample"))
    assert "**not evaluated**" in bare
    assert "- licence: not stated" in bare


@pytest.mark.slow
def test_a_run_can_be_repeated_from_its_card_alone(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report(run)
    card = (run / "MODEL_CARD.md").read_text()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    config = re.search(r"```yaml\n(.*?)```", card, re.DOTALL)
    command = re.search(r"^ganvas (train .*)$", card, re.MULTILINE)
    assert config and command
    (elsewhere / "config.yaml").write_text(config[1])
    monkeypatch.chdir(elsewhere)
    assert main([*command[1].split(), "--quiet"]) == 0
    first, second = (load_file(place / "checkpoints/last/weights.safetensors") for place in (run, elsewhere / "repeated"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_limits_are_those_of_the_kind_and_of_what_it_does(run: Path) -> None:
    facts = read_facts(run)
    told = " ".join(limits(facts, uses_called("translate", "restore")))
    assert "things may be added or taken" in told
    assert "detail is invented" in told
    told = " ".join(limits(facts, uses_called("sample")))
    assert "invented" not in told
    assert "If the images are medical: not for diagnosis" in told


def test_bibtex_of_papers_with_few_and_many_authors(run: Path) -> None:
    facts = read_facts(run)
    text = bibtex(facts)
    assert "@misc{radford2015unsupervised," in text
    assert "author = {Radford and Metz and Chintala}" in text
    assert text.count("{") == text.count("}")
    import dataclasses

    many = dataclasses.replace(facts.record.card, authors="Wu et al.", title="A", year=2016, paper="in a journal")
    text = bibtex(dataclasses.replace(facts, record=dataclasses.replace(facts.record, card=many)))
    assert "@misc{wu2016a," in text
    assert "author = {Wu and others}" in text
    assert "howpublished = {in a journal}" in text


# ------------------------------------------------------------------------------------------------------------ pictures


def test_a_walk_goes_from_end_to_end_on_the_sphere() -> None:
    noise = walking_noise(torch.nn.Linear(1, 1), 2, 5, seed=1)
    assert not noise.walked
    walk = noise.normal(10, 300).double().reshape(2, 5, 300)
    assert noise.walked
    lengths = walk.norm(dim=2)
    assert lengths.min() > 0.9 * 300**0.5, "a straight line would pass nearer to the middle"
    steps = (walk[:, 1:] - walk[:, :-1]).norm(dim=2)
    assert torch.allclose(steps, steps.mean(dim=1, keepdim=True), rtol=0.1)
    assert not torch.allclose(walk[0, 0], walk[0, -1])
    later = noise.normal(10, 7).reshape(2, 5, 7)
    assert torch.equal(later, later[:, :1].expand(2, 5, 7)), "everything else stays the same along a walk"
    uniform = walking_noise(torch.nn.Linear(1, 1), 2, 5).uniform(10, 6)
    assert 0 < uniform.min() < uniform.max() < 1


def test_large_pictures_are_packed_into_what_there_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    media, content = packed(noise, 200_000)
    assert media == "image/jpeg"
    assert len(content) <= 200_000
    flat = np.zeros((600, 600, 3), np.uint8)
    assert packed(flat, 200_000)[0] == "image/png"
