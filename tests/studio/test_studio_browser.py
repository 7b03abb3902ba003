"""The pages in a real browser: what four people would do, from the first click to a file they keep.

Headless Chromium driven by Playwright; skipped, with the reason, where there is none. Nothing outside 127.0.0.1 is asked for,
no message appears in the console, and axe finds nothing serious on any page.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import time
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
if CHROMIUM is None:
    pytest.skip("there is no Chromium on this machine", allow_module_level=True)
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
SCRIPT = "<img src=x onerror=alert(1)>"
"""As the name of a run and of a class."""
PATIENCE = 90_000  # milliseconds that a page may take on a busy machine


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:
    """Runs that draw points, enlarge images, translate painted maps; and one whose name looks like a script."""
    from ganvas.run.train import train

    folder = tmp_path_factory.mktemp("studio") / "runs"
    shutil.copytree(trained, folder / "sine")
    shutil.copytree(trained, folder / SCRIPT)
    train(
        "srgan", "chest", out=folder / "larger", budget="2r", size=32, phantom_count=30, quiet=True, evaluations=0,
        config={"width": 4, "blocks": 1, "batch_size": 2},
    )  # fmt: skip
    data = folder.parent / "data" / "streets"
    _pairs(data)
    train(
        "spade", str(data), out=folder / "streets", budget="2r", size="32x32", quiet=True, evaluations=0,
        config={"width": 4, "batch_size": 2},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def holes(runs: Path) -> str:
    """A run that fills what a mask leaves out; those below are made by the tests that need them, so that none waits for all."""
    from ganvas.run.train import train

    train(
        "context-encoder", str(runs.parent / "data" / "streets" / "photo"), out=runs / "holes", budget="2r", size="32x32",
        quiet=True, evaluations=0,
        config={"width": 4, "batch_size": 2},
    )  # fmt: skip
    return "holes"


@pytest.fixture(scope="module")
def strokes(runs: Path) -> str:
    """A run that follows strokes."""
    from ganvas.run.train import train

    train(
        "ian", str(runs.parent / "data" / "streets" / "photo"), out=runs / "strokes", budget="2r", size="32x32",
        quiet=True, evaluations=0,
        config={"width": 4, "latent_size": 8, "head_units": 8, "batch_size": 4, "paint_steps": 2},
    )  # fmt: skip
    return "strokes"


@pytest.fixture(scope="module")
def voices(runs: Path) -> str:
    """A run that works on sounds."""
    from ganvas.run.train import train

    train(
        "gan-postfilter", "words", out=runs / "voices", budget="2r", phantom_count=20, quiet=True, evaluations=0,
        config={"width": 4, "batch_size": 2},
    )  # fmt: skip
    return "voices"


@pytest.fixture(scope="module")
def beats(runs: Path) -> str:
    """A run that draws sounds of a brightness that is asked for."""
    from ganvas.run.train import train

    train(
        "specgan", "words", out=runs / "beats", budget="2r", phantom_count=40, quiet=True, evaluations=0,
        properties="brightness", config={"width": 4, "max_width": 8, "batch_size": 4, "griffin_lim_rounds": 2},
    )  # fmt: skip
    return "beats"


def _pairs(folder: Path) -> None:
    """Photographs and maps of three classes."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for part in ("photo", "map"):
        (folder / part).mkdir(parents=True)
    colours = [70, 130, 180, 128, 64, 128, 107, 142, 35]
    for number in range(12):
        labels = np.zeros((32, 32), np.uint8)
        labels[rng.integers(8, 24) :] = 1
        labels[:, : rng.integers(2, 12)] = 2
        image = Image.fromarray(labels, "P")
        image.putpalette(colours)
        image.save(folder / "map" / f"{number}.png")
        photo = np.array(colours, np.uint8).reshape(3, 3)[labels].astype(int) + rng.integers(-20, 20, (32, 32, 3))
        Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(folder / "photo" / f"{number}.png")
    (folder / "map" / "classes.csv").write_text(f"value,class\n0,sky\n1,road\n2,{SCRIPT}\n")


@pytest.fixture(scope="module")
def server(runs: Path) -> Iterator[Any]:
    from studio_server import end, serve

    made = serve(runs, runs.parent / "data")
    yield made
    end(made)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser: Any, server: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    made = context.new_page()
    made.set_default_timeout(PATIENCE)
    said: list[str] = []
    made.on(
        "console",
        lambda message: said.append(f"{message.type}: {message.text}") if message.type in ("error", "warning") else None,
    )
    made.on("pageerror", lambda error: said.append(f"error: {error}"))
    made.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    made.on("request", lambda request: said.append(f"elsewhere: {request.url}") if _elsewhere(request.url, server) else None)
    made.goto(server.address)
    made.wait_for_selector("[data-page=home][data-ready]")
    made.said = said
    yield made
    context.close()
    # What the studio refuses is told on the page; the browser writes it down as well.
    assert [line for line in said if "status of 400" not in line] == []


def _elsewhere(url: str, server: Any) -> bool:
    return not url.startswith((server.base, "data:", "blob:", "about:"))


def go(page: Any, server: Any, address: str) -> None:
    page.goto(f"{server.base}/#/{address}")
    page.wait_for_selector(f"[data-page={address.split('?')[0]}][data-ready]")


def until(true: Any, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.2)


def test_a_run_is_started_watched_paused_resumed_and_forked(page: Any, server: Any) -> None:
    """Home to training in three clicks; samples change; a reload, and a studio that is killed, lose nothing."""
    page.click("article:has-text('New points') >> text=Try with built-in data")
    page.wait_for_selector("[data-page=make][data-ready]")
    page.wait_for_selector("code:has-text('--data patterns')")
    page.fill("#data", "patterns:sine") if page.is_visible("#data") else None
    page.click("#start")
    page.wait_for_selector("[data-page=run][data-ready]")
    page.wait_for_selector(".tag.running")
    page.wait_for_selector("img.sample[data-round]")
    first = page.get_attribute("img.sample", "data-round")
    page.wait_for_selector(".numbers b")
    until(lambda: int(page.inner_text(".numbers b").replace(",", "")) > 0)
    page.reload()
    page.wait_for_selector("[data-page=run][data-ready]")
    page.wait_for_selector("canvas")  # curves
    until(lambda: page.get_attribute("img.sample", "data-round") not in (None, first))
    page.click("text=Pause")
    page.wait_for_selector(".tag.paused")
    page.click("button:has-text('Resume')")
    page.wait_for_selector(".tag.running")
    name = page.inner_text("h1")
    page.click("text=Stop")
    page.wait_for_selector(".tag.stopped, .tag.paused")
    page.click("text=Fork with other settings")
    page.wait_for_selector("[data-page=make][data-ready]")
    page.wait_for_selector(f"h1:has-text('Fork of {name}')")
    page.click("text=start from its weights")
    page.wait_for_selector("code:has-text('--init-from')")
    page.click("#start")
    page.wait_for_selector("[data-page=run][data-ready]")
    assert page.inner_text("h1") != name
    page.wait_for_selector("img.sample[data-round]")
    page.click("text=Stop")
    page.wait_for_selector(".tag.stopped")


def test_a_studio_that_is_killed_is_opened_again(browser: Any, runs: Path, tmp_path: Path, trained: Path) -> None:
    from studio_server import end, serve

    from ganvas.files import holder

    first = serve(tmp_path / "runs", runs.parent / "data")
    second = None
    page = browser.new_context().new_page()
    page.set_default_timeout(PATIENCE)
    try:
        page.goto(first.address)
        page.wait_for_selector("[data-ready]")
        page.goto(f"{first.base}/#/make?data=patterns:sine&budget=90s&system=gan")
        page.wait_for_selector("code:has-text('train gan --data patterns:sine')")
        page.click("#start")
        page.wait_for_selector("img.sample[data-round]")
        (name,) = [path.name for path in (tmp_path / "runs").iterdir() if not path.name.startswith(".")]
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        assert holder(tmp_path / "runs" / name)
        second = serve(tmp_path / "runs", runs.parent / "data")
        page.goto(second.address)
        page.wait_for_selector("[data-ready]")
        page.goto(f"{second.base}/#/run?name={name}")
        page.wait_for_selector(".tag.running")
        before = int(page.inner_text(".numbers b").replace(",", ""))
        until(lambda: int(page.inner_text(".numbers b").replace(",", "")) > before)
    finally:
        page.context.close()
        end(first)
        if second is not None:
            end(second)


def test_a_pattern_is_drawn_and_learnt(page: Any, server: Any) -> None:
    """Ten states a second, or as many as a busy machine can; the error of a curve drawn with the mouse falls."""
    go(page, server, "lesson")
    page.wait_for_selector("canvas.wave[data-ready]")
    box = page.query_selector("canvas.wave").bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.mouse.move(*at(0.2, 0.7))
    page.mouse.down()
    for step in range(30):
        page.mouse.move(*at(0.2 + step * 0.02, 0.7 - 0.4 * np.sin(step / 10)))
    page.mouse.up()
    page.wait_for_selector("canvas.wave[data-pattern=drawn]")

    def error() -> float:
        return float(page.get_attribute("canvas.wave", "data-error") or 9)

    until(lambda: int(page.get_attribute("canvas.wave", "data-round") or 0) > 3)
    first = error()
    states = int(page.get_attribute("canvas.wave", "data-states"))
    began = time.monotonic()
    time.sleep(4)
    rate = (int(page.get_attribute("canvas.wave", "data-states")) - states) / (time.monotonic() - began)
    assert rate > 3, rate
    until(lambda: error() < 0.5 * first, 120)
    page.click("#play")
    page.wait_for_selector("#play:has-text('Play')")
    page.fill("[aria-label='Formula in x']", "x**3")
    page.click("text=Learn it")
    page.wait_for_selector("canvas.wave[data-pattern=formula]")


def test_a_map_is_painted_and_translated(page: Any, server: Any) -> None:
    go(page, server, "use?name=streets")
    page.wait_for_selector(".paint canvas")
    assert page.is_visible(f".palette button:text-is('{SCRIPT}')")  # the name of a class is text
    assert page.query_selector("img[src=x]") is None
    page.click(".palette button:has-text('road')")
    stroke(page, (0.05, 0.8), (0.95, 0.8))
    page.click("button.main[data-verb=translate]")
    page.wait_for_selector(".compare")
    page.keyboard.press("Tab")
    page.focus("input[aria-label^='Slide between']")
    page.keyboard.press("ArrowRight")
    with page.expect_download() as kept:
        page.click("text=Download all (zip)")
    names = zipfile.ZipFile(kept.value.path()).namelist()
    assert "painted.png" in names


def stroke(page: Any, *places: tuple[float, float]) -> None:
    """A stroke of the brush through places of the canvas, as shares of its sides."""
    canvas = page.locator(".paint canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    (first, *others) = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*first)
    page.mouse.down()
    for place in others:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def kept_picture(page: Any, name: str) -> np.ndarray:
    """A picture of the results, as it is downloaded."""
    from PIL import Image

    with page.expect_download() as kept:
        page.click("text=Download all (zip)")
    archive = zipfile.ZipFile(kept.value.path())
    return np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")).astype(int)


def test_a_mask_is_painted_on_a_picture_and_that_part_alone_is_filled(page: Any, server: Any, holes: str) -> None:
    from PIL import Image

    photo = server.data / "streets" / "photo" / "0.png"
    given = np.asarray(Image.open(photo)).astype(int)
    go(page, server, f"use?name={holes}")
    assert page.is_visible("text=Give a picture above")
    page.set_input_files("input[type=file]", str(photo))
    page.wait_for_selector(".stage.area canvas")
    stroke(page, (0.2, 0.2), (0.4, 0.2))
    page.click("button:text-is('Undo')")
    page.click("button.main[data-verb=inpaint]")
    page.wait_for_selector(".toast.bad:has-text('what is missing?')")  # nothing was painted: it says so
    stroke(page, (0.3, 0.5), (0.7, 0.5))
    page.click("button.main[data-verb=inpaint]")
    page.wait_for_selector(".compare")
    changed = np.abs(kept_picture(page, "0.png") - given).max(-1) > 0
    assert changed[15:17, 12:20].mean() > 0.9, "under the brush"
    assert not changed[:10].any() and not changed[22:].any(), "elsewhere bit by bit as it was"


def test_strokes_are_painted_on_a_picture_and_what_came_is_painted_on(page: Any, server: Any, strokes: str) -> None:
    photo = server.data / "streets" / "photo" / "1.png"
    go(page, server, f"use?name={strokes}&verb=paint")
    page.set_input_files("input[type=file][multiple]", str(photo))
    page.wait_for_selector(".stage.over canvas")
    page.click(".palette button:has-text('red')")
    stroke(page, (0.2, 0.3), (0.6, 0.3))
    page.click("button:text-is('Pick a colour')")
    stroke(page, (0.9, 0.9))
    assert page.query_selector(".palette [aria-pressed=true]") is None  # a colour of the picture itself
    stroke(page, (0.2, 0.6), (0.6, 0.6))
    page.click("button.main[data-verb=paint]")
    page.wait_for_selector(".compare")
    page.wait_for_selector(".note:has-text('strokes on')")
    assert page.query_selector(".note:has-text('alpha channel')") is None
    assert kept_picture(page, "1.png").shape == (32, 32, 3)
    page.click("text=Go on with this")
    page.wait_for_selector("select[aria-label='Picture to paint on'] option:has-text('1-on.png')", state="attached")
    page.click("button.main[data-verb=paint]")
    page.wait_for_selector(".toast.bad:has-text('paint what?')")  # the new picture has no strokes yet


def test_a_sound_is_given_heard_and_worked_on(page: Any, server: Any, voices: str, tmp_path: Path) -> None:
    sound = tmp_path / "word.wav"
    with wave.open(str(sound), "wb") as handle:
        handle.setparams((1, 2, 16000, 0, "NONE", ""))
        tone = 9000 * np.sin(np.arange(16000) * 440 * 2 * np.pi / 16000)
        handle.writeframes(tone.astype("<i2").tobytes())
    go(page, server, f"use?name={voices}")
    page.set_input_files("input[type=file][multiple]", str(sound))
    page.wait_for_selector(".thumb")  # its wave and spectrogram
    page.click("button.main[data-verb=postfilter]")
    page.wait_for_selector(".results audio")
    page.evaluate("() => { const one = document.querySelector('.results audio'); one.preload = 'auto'; one.load(); }")
    until(lambda: (page.evaluate("() => document.querySelector('.results audio').duration") or 0) > 0.5)
    assert page.locator(".results audio").count() == 2  # as it was given, and what came of it
    assert page.evaluate("() => [...document.querySelectorAll('.results img')].every((one) => one.naturalWidth > 50)")


def test_a_walk_of_sounds_has_a_player_for_each_step(page: Any, server: Any, beats: str) -> None:
    """Along what the run learnt with: that is asked for step by step, as the command shows, and can be kept as one zip."""
    go(page, server, f"use?name={beats}")
    page.select_option("select[aria-label='Property to walk along']", "brightness")
    page.click("button:text-is('Walk')")
    page.wait_for_selector("h2:has-text('A walk')")
    steps = [one.inner_text().strip() for one in page.query_selector_all(".results figcaption strong")]
    assert len(steps) == 9
    assert [steps[place] for place in (0, 4, 8)] == ["brightness -2 sd", "brightness 0 sd", "brightness +2 sd"]
    assert page.locator(".results audio").count() == 9
    assert "--sweep brightness=-2..2:9" in page.inner_text(".command code")
    page.evaluate("() => { const one = document.querySelector('.results audio'); one.preload = 'auto'; one.load(); }")
    until(lambda: (page.evaluate("() => document.querySelector('.results audio').duration") or 0) > 0.4)
    with page.expect_download() as kept:
        page.click("text=Download all (zip)")
    names = zipfile.ZipFile(kept.value.path()).namelist()
    assert sum(name.endswith(".wav") for name in names) == 9


def test_a_folder_of_pictures_is_looked_through_and_pairs_get_a_system_for_pairs(page: Any, server: Any) -> None:
    go(page, server, "home")
    page.click("article:has(h2:text-is('One look into another')) >> text=With my data")
    page.wait_for_selector("[data-page=make][data-ready]")
    page.click(f"button:has-text('{server.data}')")
    page.click("button:text-is('streets')")
    page.click("text=Take this folder")
    page.wait_for_selector(".note.good:has-text('is chosen below')")
    picked = page.input_value("#system")
    assert picked in page.inner_text(".note.good")
    page.wait_for_selector(f"code:has-text('train {picked} --data')")

    # A listing that takes its time: the folder shown before may not be taken in its place.
    page.evaluate(
        """() => {
          const ask = window.fetch;
          window.fetch = async (address, ...rest) => {
            if (String(address).includes('folders')) await new Promise((done) => setTimeout(done, 1000));
            return ask(address, ...rest);
          };
        }"""
    )
    page.click("button:text-is('photo')")
    page.click("text=Take this folder")
    page.wait_for_selector("pre.log:has-text('12 pictures')")
    assert page.query_selector(".note.bad") is None
    until(lambda: page.evaluate("() => document.querySelector('img[alt=\"Some of its records\"]').naturalWidth") > 50)


def test_files_are_given_deep_medical_and_broken(page: Any, server: Any, tmp_path: Path) -> None:
    import tifffile

    from ganvas.data.phantoms._files import write_phantom

    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, np.random.default_rng(0).integers(0, 65535, (24, 40), dtype=np.uint16))
    write_phantom("chest", 1, tmp_path / "dicom", seed=1, size=32, depth=16, format="dicom")
    film = next((tmp_path / "dicom").rglob("*.dcm"))
    broken, sound = tmp_path / "<b>broken<b>.png", tmp_path / "beep.wav"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    with wave.open(str(sound), "wb") as handle:
        handle.setparams((1, 2, 8000, 0, "NONE", ""))
        handle.writeframes(b"\0\1" * 4000)
    go(page, server, "use?name=larger")
    given = page.wait_for_selector("input[type=file]")
    given.set_input_files([str(deep)])
    page.wait_for_selector(".thumb")
    given.set_input_files([str(film)])
    page.wait_for_selector(".thumb >> nth=1")
    for odd in (broken, sound):
        given.set_input_files([str(odd)])
        page.wait_for_selector(f".toast.bad:has-text('{odd.name}')")
    page.click("button.main[data-verb=restore]")
    page.wait_for_selector(".compare >> nth=1")
    assert page.query_selector("b:has-text('broken')") is None  # a name is text


def test_samples_are_drawn_and_kept(page: Any, server: Any) -> None:
    go(page, server, "use?name=sine")
    page.click("button.main[data-verb=sample]")
    page.wait_for_selector("text=Download all (zip)")
    with page.expect_download() as kept:
        page.click("text=Download all (zip)")
    assert "samples.csv" in zipfile.ZipFile(io.BytesIO(Path(kept.value.path()).read_bytes())).namelist()


def test_names_that_look_like_scripts_are_names(page: Any, server: Any) -> None:
    name = SCRIPT
    go(page, server, "runs")
    page.wait_for_selector(f"a.name:text-is('{name}')")
    page.click(f"a.name:text-is('{name}')")
    page.wait_for_selector("[data-page=run][data-ready]")
    assert page.inner_text("h1") == name
    go(page, server, "home")
    assert page.query_selector("img[src=x]") is None


def test_the_use_page_of_every_system_opens(page: Any, server: Any) -> None:
    """Of each registered system, on each kind of data: from its description alone, without a run."""
    from test_studio_uses import CASES, described

    told: dict[str, Any] = {}
    page.route("**/api/uses?*", lambda route: route.fulfill(json=told))
    for name, kind in CASES:
        told = {**described(name, kind)[0], "notes": [], "folder": f"runs/{name}", "which": "last", "checkpoints": ["last"]}
        go(page, server, f"use?name={name}")
        offered = [use["verb"] for use in told["uses"]]
        assert page.inner_text("h1") == f"Use {name}"
        for verb in offered:
            if len(offered) > 1:
                page.click(f".segment button[data-verb={verb}]")
            assert page.is_enabled(f"button.main[data-verb={verb}]"), f"{name}: {verb}"
        go(page, server, "settings")


def test_the_queue_is_that_of_now_while_nothing_fits_the_search(page: Any, server: Any) -> None:
    job = {"id": "1", "state": "waiting", "does": "train", "line": "ganvas train gan --data patterns", "run": "later"}
    told: dict[str, Any] = {"runs": [], "jobs": [job], "mark": "one"}
    page.route("**/api/runs*", lambda route: route.fulfill(json=told))
    go(page, server, "runs")
    page.wait_for_selector("h2:text-is('Queue')")
    page.fill("input[type=search]", "nothing of that name")
    page.wait_for_selector(".empty")
    told = {"runs": [], "jobs": [], "mark": "two"}
    page.wait_for_selector("h2:text-is('Queue')", state="detached")


def test_the_first_page_is_small_and_all_of_it_comes_from_here(browser: Any, server: Any) -> None:
    """Bytes as the browser counts them, pictures of data and of the latest runs included: below 300 kB."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    other = context.new_page()
    asked: list[Any] = []

    def note(request: Any) -> None:
        asked.append(request)

    other.on("requestfinished", note)
    other.goto(server.address)
    other.wait_for_selector("[data-page=home][data-ready]")
    other.mouse.wheel(0, 20_000)  # pictures further down come when they are looked at
    other.wait_for_load_state("networkidle")
    there = "[...document.querySelectorAll('main img')].every((one) => one.complete && one.naturalWidth)"
    until(lambda: other.evaluate(f"() => {there}"))
    took = sum(request.sizes()["responseBodySize"] for request in asked)
    context.close()
    assert len(asked) > 20
    assert [request.url for request in asked if not request.url.startswith(server.base)] == []
    assert took < 300_000, took


def _best_of_three(page: Any, server: Any, name: str) -> float:
    """Seconds until a page is there, of three openings the quickest: other work on the machine is not the page's."""
    took = []
    for _ in range(3):
        go(page, server, "compare?names=sine|larger")
        began = time.monotonic()
        go(page, server, name)
        took.append(time.monotonic() - began)
    return min(took)


def test_every_page_is_quick_and_axe_finds_nothing_serious(
    page: Any, server: Any, strokes: str, voices: str, beats: str
) -> None:
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    axe = axe_module.Axe()
    page.context.close()
    context = page.context.browser.new_context(
        viewport={"width": 1280, "height": 900}, bypass_csp=True
    )  # axe is put into the page
    other = context.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(server.address)
    other.wait_for_selector("[data-ready]")
    slow = {name: took for name in ("home", "make", "runs", "run?name=sine", "trust?name=sine", "lessons", "settings")
            if (took := _best_of_three(other, server, name)) >= 1}  # fmt: skip
    found: dict[str, list[str]] = {}
    addresses = [
        "home",
        "make?data=chest",
        "runs",
        "run?name=sine",
        "use?name=sine",
        "use?name=streets",
        f"use?name={strokes}&verb=paint",
        f"use?name={voices}",
        f"use?name={beats}",
        "trust?name=sine",
        "compare?names=sine|larger",
        "lessons",
        "lesson",
        "settings",
    ]
    for scheme in ("light", "dark"):
        other.emulate_media(color_scheme=scheme)
        for address in addresses:
            go(other, server, address)
            time.sleep(0.5)
            told = axe.run(other).response["violations"]
            serious = [
                f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in told if one["impact"] in ("serious", "critical")
            ]
            if serious:
                found[f"{scheme} {address}"] = serious
    context.close()
    assert found == {}
    assert slow == {}, "seconds until a page is there"


def test_it_works_by_keyboard(page: Any, server: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    go(page, server, "runs")
    page.focus("nav a[data-page=lessons]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-page=lessons][data-ready]")
