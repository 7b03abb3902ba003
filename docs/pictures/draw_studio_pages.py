"""Pictures of the studio's pages for docs/studio.md, each at two widths and in both themes.

ganvas studio --no-browser --port 8765 ...        then, with the address that it printed:
python docs/pictures/draw_studio_pages.py ADDRESS NAME=PAGE ...         such as  run="run?name=demo"
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
WIDTHS, HEIGHT, SCALE = (1280, 820), 900, 0.5
GAP = 12


def main() -> int:
    address, *wanted = sys.argv[1:]
    base = address.split("/?")[0]
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        path = next(path for path in map(shutil.which, ("chromium", "chromium-browser")) if path)
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_context().new_page()
        page.set_default_timeout(90_000)
        page.goto(address)
        page.wait_for_selector("[data-ready]")
        for one in wanted:
            name, _, place = one.partition("=")
            parts = [_part(page, base, place, width, theme) for width in WIDTHS for theme in ("light", "dark")]
            _beside(parts).save(FOLDER / f"{name}.jpg", quality=82)
            print(FOLDER / f"{name}.jpg", (FOLDER / f"{name}.jpg").stat().st_size)
        browser.close()
    return 0


def _part(page: Any, base: str, place: str, width: int, theme: str) -> Image.Image:
    page.set_viewport_size({"width": width, "height": HEIGHT})
    page.emulate_media(color_scheme=theme)
    page.goto(f"{base}/#/settings" if not place.startswith("settings") else f"{base}/#/lessons")
    page.wait_for_timeout(300)
    page.goto(f"{base}/#/{place}")
    page.wait_for_selector(f"[data-page={place.split('?')[0]}][data-ready]")
    _act(page, place.split("?")[0])
    page.evaluate("() => window.scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return image.resize((round(image.width * SCALE), round(image.height * SCALE)), Image.Resampling.LANCZOS)


def _act(page: Any, name: str) -> None:
    """What a person does first, so that the picture shows what the page is for."""
    if name == "lesson":
        page.wait_for_selector("canvas.wave[data-ready]")
        page.click("#play")
        page.wait_for_timeout(12_000)
    button = page.query_selector("button.main[data-verb]") if name == "use" else None
    canvas = page.query_selector(".paint canvas")
    if canvas is not None:
        _paint(page, canvas)
    if button is not None:
        button.click()
        page.wait_for_selector("text=Download all")


def _paint(page: Any, canvas: Any) -> None:
    """The second colour fills the lower half, the fourth makes two blocks."""
    box = canvas.bounding_box()
    colours = page.query_selector_all(".palette button")
    page.evaluate("() => window.scrollTo(0, 0)")

    def stroke(colour: int, rows: list[float], left: float, right: float) -> None:
        colours[colour].click()
        page.evaluate("() => window.scrollTo(0, 0)")
        for row in rows:
            page.mouse.move(box["x"] + left * box["width"], box["y"] + row * box["height"])
            page.mouse.down()
            page.mouse.move(box["x"] + right * box["width"], box["y"] + row * box["height"], steps=12)
            page.mouse.up()

    stroke(3, [0.66 + 0.05 * k for k in range(7)], 0.02, 0.98)
    stroke(1, [0.2 + 0.05 * k for k in range(9)], 0.04, 0.3)
    stroke(5, [0.3 + 0.05 * k for k in range(7)], 0.7, 0.95)


def _beside(parts: list[Image.Image]) -> Image.Image:
    width = max(parts[0].width + GAP + parts[2].width, parts[1].width + GAP + parts[3].width)
    whole = Image.new("RGB", (width, 2 * parts[0].height + GAP), (128, 132, 140))
    for part, at in zip((parts[0], parts[2], parts[1], parts[3]), ((0, 0), (1, 0), (0, 1), (1, 1)), strict=True):
        whole.paste(part, (at[0] * (parts[0].width + GAP), at[1] * (parts[0].height + GAP)))
    return whole


if __name__ == "__main__":
    raise SystemExit(main())
