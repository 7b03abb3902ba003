"""Blinded reading: the page holds no truth, the numbers follow their closed forms, intervals cover, bad files are refused."""

from __future__ import annotations

import argparse
import base64
import json
import math
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.errors import DataError, GanvasError
from ganvas.studies import catalogue
from ganvas.studies._command import add_commands
from ganvas.studies.readers import d_prime_error, exact_interval, giveaways, lines, make_reading, score_reading

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")


def pictures(count: int, seed: int, side: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side), dtype=np.uint8)


def make(out: Path, count: int = 20, **more: Any) -> dict[str, Any]:
    return make_reading(pictures(30, 1), pictures(30, 2), out, count=count, **more)


def key_of(folder: Path) -> dict[str, Any]:
    key: dict[str, Any] = json.loads((folder / "key.json").read_text())
    return key


def plain_key(folder: Path, count: int) -> dict[str, Any]:
    """A key without a page: `count` real and as many synthetic images."""
    images = {f"{i:04d}": {"truth": "real" if i < count else "synthetic", "index": i} for i in range(2 * count)}
    key = {"format": "ganvas-reading-key/1", "study": "s", "title": "t", "images": images}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key.json").write_text(json.dumps(key))
    return key


def write_answers(
    folder: Path, key: dict[str, Any], reader: str, ratings: Any, again: Any = (), seconds: float = 2.0
) -> Path:  # fmt: skip
    """Answers of one reader: ratings 0 (surely real) to 5 (surely synthetic) in the order of the key; `again` of the first."""

    def entry(image: str, showing: int, rating: int) -> dict[str, Any]:
        synthetic = rating >= 3
        confidence = int(rating - 2 if synthetic else 3 - rating)
        answer = "synthetic" if synthetic else "real"
        return {"id": image, "showing": showing, "answer": answer, "confidence": confidence, "seconds": seconds}

    names = list(key["images"])
    answers = [entry(n, 1, r) for n, r in zip(names, ratings, strict=False)]
    answers += [entry(n, 2, r) for n, r in zip(names, again, strict=False)]
    held = {
        "format": "ganvas-reading-answers/1", "study": key["study"], "reader": reader, "experience": "student",
        "answers": answers,
    }  # fmt: skip
    path = folder / f"answers-{reader}.json"
    path.write_text(json.dumps(held))
    return path


def right(key: dict[str, Any], rng: np.random.Generator, chance: float) -> np.ndarray:
    """Ratings of a reader who is right with this chance, whatever the image."""
    truth = np.array([i["truth"] == "synthetic" for i in key["images"].values()])
    said = np.where(rng.random(len(truth)) < chance, truth, ~truth)
    return np.where(said, 3, 0) + rng.integers(0, 3, len(truth))


# ------------------------------------------------------------------------------------------------------------- making


def test_the_catalogue_names_the_study_without_importing_it() -> None:
    assert catalogue()["readers"] == "Blinded human reading: can people tell synthetic images from real ones?"
    assert not [name for name in catalogue() if name.startswith("_")]


def test_the_page_holds_no_truth_and_needs_no_network(tmp_path: Path) -> None:
    result = make(tmp_path, title='<b>"A" & B</b>')
    page, key = Path(result["page"]).read_text(), key_of(tmp_path)
    study = json.loads(re.search(r'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    assert [i["id"] for i in study["images"]] == list(key["images"]) == sorted(key["images"])
    assert all(set(image) == {"id", "src"} for image in study["images"])
    assert set(study) == {"study", "title", "format", "width", "height", "repeat", "back", "images"}
    assert not re.search(r"https?://|//[a-z]|src=\"[^d]|@import|url\(", page.split('id="study">')[0])
    assert "<b>" not in page and "&lt;b&gt;" in page
    names, orders = [], []
    for image in study["images"]:
        data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        kinds, place = [], 8
        while place < len(data):
            length = struct.unpack(">I", data[place : place + 4])[0]
            kinds.append(data[place + 4 : place + 8])
            place += 12 + length
        assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}  # no metadata
        assert struct.unpack(">IIBB", data[16:26]) == (16, 16, 8, 0)
        names.append(image["id"])
    orders = [key["images"][name]["truth"] for name in names]
    assert sorted(orders) == ["real"] * 20 + ["synthetic"] * 20
    assert orders not in (sorted(orders), sorted(orders, reverse=True))


def test_the_same_seed_makes_the_same_reading_and_another_does_not(tmp_path: Path) -> None:
    make(tmp_path / "a", seed=3), make(tmp_path / "b", seed=3), make(tmp_path / "c", seed=4)
    assert (tmp_path / "a/reading.html").read_bytes() == (tmp_path / "b/reading.html").read_bytes()
    assert key_of(tmp_path / "a") == key_of(tmp_path / "b")
    assert not set(key_of(tmp_path / "a")["images"]) & set(key_of(tmp_path / "c")["images"])
    # Names and order hang on the pictures: who knows the seed alone cannot find the truth.
    make_reading(pictures(30, 1), pictures(30, 5), tmp_path / "d", count=20, seed=3)
    assert not set(key_of(tmp_path / "a")["images"]) & set(key_of(tmp_path / "d")["images"])


def test_held_out_images_alone_are_real_ones_unless_all_are_asked_for(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "data"
    folder.mkdir()
    rows = ["file,group,split"]
    for i, image in enumerate(pictures(12, 3)):
        Image.fromarray(image).save(folder / f"{i:02d}.png")
        rows.append(f"{i:02d}.png,g{i},{'test' if i < 5 else 'train'}")
    (folder / "groups.csv").write_text("\n".join(rows) + "\n")
    result = make_reading(folder, pictures(12, 4), tmp_path / "a", count=5)
    assert result["real"]["records"] == "held-out"
    assert sorted(i["index"] for i in key_of(tmp_path / "a")["images"].values() if i["truth"] == "real") == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match=r"5 held-out images \(--all takes the others too\) are not enough for 6"):
        make_reading(folder, pictures(12, 4), tmp_path / "b", count=6)
    assert make_reading(folder, pictures(12, 4), tmp_path / "c", count=12, everything=True)["real"]["records"] == "all"


def test_sizes_depths_and_colours_are_made_alike_and_said(tmp_path: Path) -> None:
    deep = pictures(10, 1, side=24).astype(np.uint16) * 257
    colour = np.repeat(pictures(10, 2)[..., None], 3, axis=3)
    result = make_reading(deep, colour, tmp_path, count=4)
    assert result["size"] == [16, 16]
    told = "\n".join(result["warnings"])
    assert "real images from 24x24 were resized to 16x16; the others were not" in told
    assert "values are told differently" in told
    assert "one source is grey" in told


def test_a_run_is_sampled_and_its_own_held_out_part_is_shown(tmp_path: Path) -> None:
    from PIL import Image

    import ganvas

    folder = tmp_path / "data"
    folder.mkdir()
    for i, image in enumerate(pictures(30, 3)):
        Image.fromarray(image).save(folder / f"{i:02d}.png")
    ganvas.train(
        "gan", folder, out=tmp_path / "run", budget="1r", config={"batch_size": 8}, size="16", device="cpu", quiet=True
    )
    result = make_reading(folder, tmp_path / "run", tmp_path / "study", count=6, seed=2)
    assert (result["real"]["records"], result["fake"]["system"], result["size"]) == ("held-out", "gan", [16, 16])
    held_out = set(json.loads((tmp_path / "run" / "split.json").read_text())["heldout"])
    shown = {i["index"] for i in key_of(tmp_path / "study")["images"].values() if i["truth"] == "real"}
    assert len(shown) == 6 and shown <= held_out
    with pytest.raises(GanvasError, match="its own size, 16x16"):
        make_reading(folder, tmp_path / "run", tmp_path / "other", count=6, size=32)
    other = make_reading(pictures(20, 8, side=32), tmp_path / "run", tmp_path / "other", count=6)
    assert other["real"]["records"] == "all"
    assert "real images from 32x32 were resized to 16x16" in other["warnings"][0]


def test_a_key_is_never_overwritten_and_bad_sources_are_refused(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(GanvasError, match="already holds a reading"):
        make(tmp_path)
    with pytest.raises(DataError, match="points"):
        make_reading(pictures(9, 1), np.random.default_rng(0).normal(size=(30, 2)), tmp_path / "b", count=4)
    with pytest.raises(DataError, match=r"30 images are not enough for 31: .* -n 30"):
        make(tmp_path / "b", count=31)
    with pytest.raises(GanvasError, match="too small"):
        make(tmp_path / "b", count=1)


def test_giveaways_are_found_and_none_are_invented() -> None:
    real, fake = pictures(40, 1)[..., None], pictures(40, 2)[..., None]
    assert giveaways(real, fake) == []
    assert "synthetic images use only even grey levels" in giveaways(real, fake // 2 * 2)[0]
    assert "real images use only every 5th grey level" in giveaways(real // 5 * 5, fake)[0]
    framed = fake.copy()
    framed[:, :2] = 0
    assert any("constant lines at the border" in line for line in giveaways(real, framed))
    assert any("brightest value" in line for line in giveaways(real, np.minimum(fake, 200)))
    assert any(
        "file size" in line for line in giveaways(real, fake, [100 + i for i in range(40)] + [10 + i for i in range(40)])
    )


# ------------------------------------------------------------------------------------------------------------ scoring


def test_a_reader_by_hand(tmp_path: Path) -> None:
    key = plain_key(tmp_path, 10)
    # Real: 8 called real, 2 synthetic. Synthetic: 7 called so, 3 real.
    ratings = [0] * 8 + [3] * 2 + [5] * 7 + [2] * 3
    write_answers(tmp_path, key, "A", ratings, again=[0, 0, 5, 5], seconds=3.0)
    result = score_reading(tmp_path)
    reader = result["readers"][0]
    assert reader["accuracy"]["value"] == pytest.approx(0.75)
    assert reader["sensitivity"]["value"] == pytest.approx(0.7)
    assert reader["specificity"]["value"] == pytest.approx(0.8)
    # Log-linear: z(7.5 / 11) and z(2.5 / 11), from tables of the normal distribution.
    z_hit, z_alarm = 0.4727891, -0.7478586
    assert reader["d_prime"]["value"] == pytest.approx(z_hit - z_alarm, abs=1e-6)
    assert reader["criterion"]["value"] == pytest.approx(-(z_hit + z_alarm) / 2, abs=1e-6)
    phi = [math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) for z in (z_hit, z_alarm)]
    error = math.sqrt(sum(p * (1 - p) / (10 * f**2) for p, f in zip((7.5 / 11, 2.5 / 11), phi, strict=True)))
    assert d_prime_error(7, 10, 2, 10)[0] == pytest.approx(error, rel=1e-6)
    assert reader["d_prime"]["high"] - reader["d_prime"]["value"] == pytest.approx(1.959964 * error, rel=1e-5)
    from sklearn.metrics import roc_auc_score

    assert reader["auc"]["value"] == pytest.approx(roc_auc_score([0] * 10 + [1] * 10, ratings))
    assert reader["median_seconds"] == 3.0
    assert reader["consistency"]["repeats"] == 4
    assert reader["consistency"]["share"]["value"] == 0.5
    assert reader["consistency"]["kappa"] == pytest.approx(0.0)
    assert result["pooled"]["accuracy"] == reader["accuracy"]
    json.dumps(result)


def test_exact_intervals() -> None:
    from scipy.stats import binomtest

    for k, n in ((0, 20), (7, 20), (20, 20)):
        known = binomtest(k, n).proportion_ci(method="exact")
        assert exact_interval(k / n, n) == pytest.approx((known.low, known.high))


def test_agreement_by_hand(tmp_path: Path) -> None:
    """Three readers on four images say synthetic 3, 2, 0, 1 times: P = 2/3, P_e = 1/2, kappa = 1/3."""
    key = plain_key(tmp_path, 2)
    for name, ratings in (("A", [5, 5, 0, 0]), ("B", [5, 5, 0, 5]), ("C", [5, 0, 0, 0])):
        write_answers(tmp_path, key, name, ratings)
    agreement = score_reading(tmp_path, resamples=50)["agreement"]
    assert agreement["share"] == pytest.approx(2 / 3)
    assert agreement["fleiss_kappa"] == pytest.approx(1 / 3)


def test_perfect_guessing_and_reversed_readers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, chance in (("perfect", 1.0), ("guessing", 0.5), ("reversed", 0.2)):
        key = plain_key(tmp_path / name, 50)
        for reader in "ABC":
            write_answers(tmp_path / name, key, reader, right(key, rng, chance))
    perfect = score_reading(tmp_path / "perfect")
    assert perfect["verdict"] == "told apart"
    assert perfect["pooled"]["accuracy"]["value"] == 1
    assert 0.95 < perfect["pooled"]["accuracy"]["low"] < 0.97  # 100 images, not 300 answers, are what was seen
    assert "low" not in perfect["pooled"]["auc"]
    assert perfect["agreement"]["fleiss_kappa"] == pytest.approx(1.0)
    assert perfect["mistaken"] == []
    guessing = score_reading(tmp_path / "guessing")
    assert guessing["verdict"] == "not told from chance"
    assert "cannot be told from chance with these 300 answers" in guessing["meaning"]
    assert 0.55 < guessing["detectable"] < 0.65
    assert len(guessing["mistaken"]) == 10
    assert guessing["mistaken"][0]["wrong"] == 3
    reverse = score_reading(tmp_path / "reversed")
    assert reverse["verdict"] == "reversed"
    assert "wrong way round" in reverse["meaning"]
    for result in (perfect, guessing, reverse):
        assert result["meaning"] in "\n".join(lines(result))
    assert score_reading(tmp_path / "guessing") == guessing


def test_answers_that_hang_together_are_worth_less(tmp_path: Path) -> None:
    """Four readers who all say the same have seen what one has seen."""
    rng = np.random.default_rng(1)
    key = plain_key(tmp_path, 50)
    ratings = right(key, rng, 0.7)
    for reader in "ABCD":
        write_answers(tmp_path, key, reader, ratings)
    result = score_reading(tmp_path)
    one, all_ = result["readers"][0]["accuracy"], result["pooled"]["accuracy"]
    assert all_["value"] == pytest.approx(one["value"])
    assert all_["high"] - all_["low"] == pytest.approx(one["high"] - one["low"], rel=0.1)
    assert 80 < result["pooled"]["worth"] < 125


def test_what_two_readers_can_do_is_not_what_all_can(tmp_path: Path) -> None:
    """One reader at 95 % and one at 60 %: these two did better than chance, of other readers little is known."""
    rng = np.random.default_rng(3)
    key = plain_key(tmp_path, 50)
    for reader, chance in (("A", 0.95), ("B", 0.6)):
        write_answers(tmp_path, key, reader, right(key, rng, chance))
    result = score_reading(tmp_path)
    these, others = result["pooled"]["accuracy_these_readers"], result["pooled"]["accuracy"]
    assert result["verdict"] == "told apart"
    assert these["low"] > 0.65
    assert others["low"] < 0.5 < these["low"] < these["high"] < others["high"]
    assert "For readers in general" in result["meaning"] and "2 readers say little" in result["notes"][0]


def test_intervals_cover_the_truth(tmp_path: Path) -> None:
    """60 simulated readings of three readers, 75 % right: of 95 % intervals at least 52 cover (P < 0.01 otherwise)."""
    key = plain_key(tmp_path, 40)
    rng = np.random.default_rng(2)
    covered = dict.fromkeys(("accuracy", "accuracy_these_readers", "sensitivity", "d_prime"), 0)
    alone = dict.fromkeys(("accuracy", "sensitivity", "d_prime"), 0)
    truth = {"accuracy": 0.75, "accuracy_these_readers": 0.75, "sensitivity": 0.75, "d_prime": 2 * 0.6744898}
    for _ in range(60):
        for reader in "ABC":
            write_answers(tmp_path, key, reader, right(key, rng, 0.75))
        result = score_reading(tmp_path, resamples=200)
        for where, figures in ((covered, result["pooled"]), (alone, result["readers"][0])):
            for name in where:
                where[name] += figures[name]["low"] <= truth[name] <= figures[name]["high"]
    assert min(covered.values()) >= 52, covered
    assert min(alone.values()) >= 52, alone


def test_an_unfinished_reader_counts_and_is_told(tmp_path: Path) -> None:
    key = plain_key(tmp_path, 10)
    names = list(key["images"])
    mixed = {**key, "images": {n: key["images"][n] for pair in zip(names[:10], names[10:], strict=True) for n in pair}}
    write_answers(tmp_path, mixed, "A", [0, 5] * 6)
    write_answers(tmp_path, key, "B", [0] * 10 + [5] * 10)
    result = score_reading(tmp_path, resamples=50)
    assert result["pooled"]["answers"] == 32
    assert result["agreement"]["images"] == 12
    assert result["notes"][0] == "A answered 12 of 20 images"
    write_answers(tmp_path, key, "A", [0] * 10)
    with pytest.raises(DataError, match="fewer than 2 answers to synthetic images"):
        score_reading(tmp_path)


def damage(name: str, held: dict[str, Any]) -> str:
    first = held["answers"][0]
    if name == "cut":
        return json.dumps(held)[:-20]
    if name == "foreign":
        held["study"] = "other"
    elif name == "kind":
        held["format"] = "something"
    elif name == "nameless":
        held["reader"] = " "
    elif name == "unknown":
        first["id"] = "zzzz"
    elif name == "double":
        held["answers"].append(first)
    elif name == "again":
        held["answers"] = [{**first, "showing": 2}, *held["answers"][1:]]
    elif name == "confidence":
        first["confidence"] = 4
    elif name == "time":
        first["seconds"] = float("nan")
    elif name == "word":
        first["answer"] = "fake"
    elif name == "list":
        return "[1]"
    return json.dumps(held)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cut", "no complete JSON"),
        ("list", "not the answers of a reading"),
        ("kind", "not the answers of a reading"),
        ("foreign", r"another reading \(study other, this is s\)"),
        ("nameless", "names no reader"),
        ("unknown", "image 'zzzz', which is not of this reading"),
        ("double", "answered more than once"),
        ("again", "no first one"),
        ("confidence", "answer 1 is damaged"),
        ("time", "answer 1 is damaged"),
        ("word", "answer 1 is damaged"),
    ],
)
def test_bad_answers_are_refused_in_one_line(tmp_path: Path, name: str, message: str) -> None:
    key = plain_key(tmp_path, 4)
    path = write_answers(tmp_path, key, "A", [0] * 4 + [5] * 4)
    path.write_text(damage(name, json.loads(path.read_text())))
    with pytest.raises(DataError, match=message) as caught:
        score_reading(tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_one_reader_in_two_files_missing_answers_and_foreign_keys(tmp_path: Path) -> None:
    key = plain_key(tmp_path, 4)
    with pytest.raises(GanvasError, match="no answers in"):
        score_reading(tmp_path)
    path = write_answers(tmp_path, key, "Ann", [0] * 4 + [5] * 4)
    copy = tmp_path / "answers-2.json"
    copy.write_text(path.read_text().replace('"Ann"', '"ANN "'))
    with pytest.raises(DataError, match="already answered"):
        score_reading(tmp_path)
    assert score_reading(tmp_path, [path, path], resamples=10)["pooled"]["readers"] == 1  # one file named twice is one file
    with pytest.raises(DataError, match="cannot be read"):
        score_reading(tmp_path, [tmp_path / "none.json"])
    with pytest.raises(GanvasError, match="no such file"):
        score_reading(tmp_path / "nowhere")
    with pytest.raises(DataError, match="not the key"):
        score_reading(path)


def test_the_commands(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    np.save(tmp_path / "real.npy", pictures(12, 1))
    np.save(tmp_path / "fake.npy", pictures(12, 2))
    words = f"readers make --real {tmp_path}/real.npy --fake {tmp_path}/fake.npy --out {tmp_path}/study -n 6 --seed 1"
    options = parser.parse_args(words.split())
    value, told = options.study(options)
    assert value["count"] == 6 and (tmp_path / "study" / "reading.html").is_file()
    assert any("ganvas study readers score" in line for line in told)
    key = key_of(tmp_path / "study")
    write_answers(tmp_path / "study", key, "A", right(key, np.random.default_rng(0), 1.0))
    options = parser.parse_args(["readers", "score", str(tmp_path / "study"), "--json"])
    value, told = options.study(options)
    json.dumps(value)
    assert value["pooled"]["accuracy"]["value"] == 1 and told[-1].startswith(("The reader told", "note", "warning"))
    options = parser.parse_args([*words.split(), "--size", "big"])
    with pytest.raises(GanvasError, match="--size 'big'"):
        options.study(options)


# ------------------------------------------------------------------------------------------------------- in a browser

READ = """
<script>
  const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const at = (name) => document.getElementById(name);
  at("code").value = "CODE"; at("experience").value = "radiologist"; at("years").value = "7";
  at("enter").requestSubmit();
  press("1"); // too early to have seen anything: must not count
  let paused = false;
  const timer = setInterval(() => {
    if (!at("end").hidden) {
      clearInterval(timer);
      const result = document.createElement("pre");
      result.id = "result";
      result.textContent = at("text").value;
      document.body.append(result);
      return;
    }
    if (!at("pause").hidden) { at("resume").click(); return; }
    const step = parseInt(at("place").textContent); // a press that came too early is made again
    if (step === 4 && !paused) { paused = true; press("p"); return; }
    if (step === 6 && !sessionStorage.reloaded) { sessionStorage.reloaded = "yes"; location.reload(); return; }
    if (step % 3 === 0) { press("s"); press("2"); } // synthetic, probable
    else if (step % 3 === 1) document.querySelector("#real [data-confidence='3']").click(); // real, sure
    else press("4"); // synthetic, a guess
  }, 500);
</script>
"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


def read_in(browser: str, folder: Path, page: str, code: str) -> dict[str, Any]:
    """The answers that the page gives when a script presses its keys."""
    file = folder / f"driven-{code}.html"
    file.write_text(page.replace("</body>", READ.replace("CODE", code) + "</body>"))
    text, shown = None, ""
    for attempt, budget in enumerate((60_000, 240_000, 240_000)):  # on a busy machine the page may get too little of it
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options += [f"--user-data-dir={folder / code}-{attempt}", f"--virtual-time-budget={budget}", "--dump-dom"]
        command, environment = [browser, *options, file.as_uri()], {**os.environ, "HOME": str(folder)}
        shown = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment).stdout
        text = re.search(r'<pre id="result">(.*?)</pre>', shown, re.DOTALL)
        if text:
            break
    assert text, shown[-2000:]
    answers: dict[str, Any] = json.loads(text[1].replace("&amp;", "&"))
    return answers


def test_a_reading_in_a_browser(browser: str, tmp_path: Path) -> None:
    make(tmp_path, count=10)
    key, page = key_of(tmp_path), (tmp_path / "reading.html").read_text()
    first, second = (read_in(browser, tmp_path, page, code) for code in ("AB", "CD"))
    assert (first["reader"], first["experience"], first["asked"]) == ("AB", "radiologist, 7 years", 22)
    assert (first["study"], bool(first["finished"])) == (key["study"], True)
    shown = [(a["id"], a["showing"]) for a in first["answers"]]
    assert sorted(i for i, showing in shown if showing == 1) == list(key["images"])
    repeated = [i for i, showing in shown if showing == 2]
    assert len(set(repeated)) == 2
    for image in repeated:
        assert shown.index((image, 2)) - shown.index((image, 1)) >= 20 / 3
    told = [(a["answer"], a["confidence"]) for a in first["answers"]]
    assert told == [(("real", 3), ("synthetic", 1), ("synthetic", 2))[i % 3] for i in range(22)]
    assert all(0.2 < a["seconds"] < 10 for a in first["answers"]), [a["seconds"] for a in first["answers"]]
    assert [a["id"] for a in first["answers"]] != [a["id"] for a in second["answers"]]
    for answers in (first, second):
        (tmp_path / f"answers-{answers['reader']}.json").write_text(json.dumps(answers))
    result = score_reading(tmp_path, resamples=100)
    assert result["pooled"]["answers"] == 40
    assert result["pooled"]["consistency"]["repeats"] == 4
