"""Pictures of the studio's pages for docs/studio.md, each at two widths and in both themes.

ganvas studio --no-browser --port 8765 ...        then, with the address that it printed:
python docs/pictures/draw_studio_pages.py ADDRESS NAME[:HEIGHT]=PAGE[@FILE ...] ...         such as  run="run?name=demo"

Of a page that takes files, FILE is given first; where it is painted on, strokes are painted. A NAME that begins with `walk`
walks along a property.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parent / "studio"
WIDTHS, SCALE = (1280, 820), 0.5
HEIGHT = 900  # pixels of a page that are seen, where nobody says
GAP = 12
NARROW = 900  # pixels, from which columns lie under each other


def main() -> int:
    address, *wanted = sys.argv[1:]
    base = address.split("/?")[0]
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        path = next(path for path in map(shutil.which, ("chromium", "chromium-browser")) if path)
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_context().new_page()
        page.set_default_timeout(240_000)
        page.goto(address)
        page.wait_for_selector("[data-ready]")
        for one in wanted:
            name, _, place = one.partition("=")
            name, _, height = name.partition(":")
            place, *files = place.split("@")
            sizes = [(width, int(height or HEIGHT)) for width in WIDTHS]
            parts = [_part(page, base, name, place, files, size, theme) for size in sizes for theme in ("light", "dark")]
            _beside(parts).save(FOLDER / f"{name}.webp", quality=72, method=6)
            print(FOLDER / f"{name}.webp", (FOLDER / f"{name}.webp").stat().st_size)
        browser.close()
    return 0


def _part(page: Any, base: str, name: str, place: str, files: list[str], size: tuple[int, int], theme: str) -> Image.Image:
    kind = place.split("?")[0]
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=theme)
    page.goto(f"{base}/#/{'settings' if kind != 'settings' else 'lessons'}")
    page.wait_for_timeout(300)
    page.reload()  # all of the page in the theme of now
    page.goto(f"{base}/#/{place}")
    page.wait_for_selector(f"[data-page={kind}][data-ready]")
    if kind == "lesson":
        page.wait_for_selector("canvas.wave[data-ready]")
        page.click("#play")
        page.wait_for_timeout(20_000)
    painted = _use(page, name, files) if kind == "use" else False
    seen = ".paint" if painted and size[0] <= NARROW else "body"
    page.evaluate("(seen) => window.scrollTo(0, document.querySelector(seen).getBoundingClientRect().top + scrollY - 60)", seen)
    page.wait_for_timeout(1500)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return image.resize((round(image.width * SCALE), round(image.height * SCALE)), Image.Resampling.LANCZOS)


def _use(page: Any, name: str, files: list[str]) -> bool:
    """What a person does first, so that the picture shows what the page is for. Whether something was painted."""
    if name.startswith("walk"):
        page.click("button:text-is('Walk')")
        page.wait_for_selector("h2:has-text('A walk')")
        button = page.query_selector("button:text-is('Stop')")
        if button is not None:
            button.click()  # the same step in each picture
            page.locator("[aria-label='Step of the walk']").fill("7")
        return False
    if files:
        page.set_input_files("input[type=file]", files)
        page.wait_for_selector(f".thumb >> nth={len(files) - 1}")
    button = page.query_selector("button.main[data-verb]")
    painted = page.query_selector(".paint canvas") is not None
    if painted:
        _paint(page)
    if button is not None:
        button.click()
        page.wait_for_selector("a:has-text('Download all')")
        page.wait_for_timeout(800)
        for slide in page.query_selector_all(".compare + input[type=range]"):
            slide.fill("30")  # more of what was made than of what was given
    return painted


# Strokes by what is painted: (words on the colour or "", [(x, y) as shares of the sides, ...]).
MASK = [("", [(0.42, 0.62), (0.62, 0.62), (0.42, 0.68), (0.6, 0.7)]), ("", [(0.15, 0.2), (0.3, 0.32)])]
DABS = [("red", [(0.36, 0.16), (0.62, 0.14)]), ("green", [(0.3, 0.94), (0.7, 0.94)]), ("sky", [(0.1, 0.3), (0.1, 0.5)])]
ROWS = [0.14 + 0.05 * k for k in range(13)]


def _lung(side: int) -> list[tuple[float, float]]:
    """From row to row, there and back: wider further down. side: -1 left, 1 right."""
    ends = [(0.5 + 0.11 * side, 0.5 + side * (0.16 + 0.24 * ((y - 0.14) / 0.6) ** 0.5)) for y in ROWS]
    return [(x, y) for k, (y, pair) in enumerate(zip(ROWS, ends, strict=True)) for x in (pair if k % 2 else pair[::-1])]


HEART = [(0.5, 0.52), (0.6, 0.54), (0.46, 0.57), (0.63, 0.59), (0.44, 0.62), (0.66, 0.64), (0.45, 0.67), (0.5, 0.72)]
CHEST = [("lung", _lung(-1)), ("lung", _lung(1)), ("heart", HEART), ("effusion", [(0.76, 0.75), (0.88, 0.68), (0.88, 0.75)])]


def _paint(page: Any) -> None:
    over = page.query_selector(".stage.over canvas") is not None
    area = page.query_selector(".stage.area canvas") is not None
    canvas = page.locator(".paint canvas")
    for words, places in MASK if area else DABS if over else CHEST:
        if words:
            page.click(f".palette button:has-text('{words}')")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        (first, *others) = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
        page.mouse.move(*first)
        page.mouse.down()
        for place in others:
            page.mouse.move(*place, steps=8)
        page.mouse.up()


def _beside(parts: list[Image.Image]) -> Image.Image:
    width = max(parts[0].width + GAP + parts[2].width, parts[1].width + GAP + parts[3].width)
    whole = Image.new("RGB", (width, 2 * parts[0].height + GAP), (128, 132, 140))
    for part, at in zip((parts[0], parts[2], parts[1], parts[3]), ((0, 0), (1, 0), (0, 1), (1, 1)), strict=True):
        whole.paste(part, (at[0] * (parts[0].width + GAP), at[1] * (parts[0].height + GAP)))
    return whole


if __name__ == "__main__":
    raise SystemExit(main())
