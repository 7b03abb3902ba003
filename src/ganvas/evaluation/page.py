"""The files of an evaluation: `evaluation.json`, `spectrum.png`, and `audit.html` with real records beside synthetic ones.

`audit.html` is for the eyes of those who may see the real data. It says so on top, needs no network, and is the only file
here that holds a real record; the other two can be mailed.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..kinds import kind_of
from ..kinds.facets import Seen
from .sets import Sets
from .table import AUDIT, interval, number

SIDE = 128  # pixels a picture is shown at, at least


def write_evaluation(
    out: Path, result: Mapping[str, Any], sets: Sets, audit: Any, anchors: Mapping[str, np.ndarray]
) -> dict[str, str]:
    """Write the files into `out`; returns what was written by name. Raises RunError when that cannot be done."""
    from ..files import disk_errors, write_atomically, write_json
    from ..metrics import draw_spectrum

    files = {"json": out / "evaluation.json"}
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    if "spectrum" in result:
        files["spectrum"] = out / "spectrum.png"
        shown = {name: anchors[name] for name in ("linear", "untrained") if name in anchors}
        draw_spectrum(files["spectrum"], sets.generated.values, sets.heldout.values, shown)
    if audit is not None:
        files["audit"] = out / "audit.html"
        write_atomically(files["audit"], audit_page(result, sets, audit).encode("utf-8", "backslashreplace"))
    write_json(files["json"], {**result, "files": {name: path.name for name, path in files.items()}})
    return {name: str(path) for name, path in files.items()}


def audit_page(result: Mapping[str, Any], sets: Sets, audit: Any) -> str:
    """The page as one string."""
    found = result["memorisation"]
    rows = []
    for key, name in AUDIT.items():
        if key in found:
            null = found[key].get("null", found[key].get("expected"))
            band = f" [{number(found[key]['null_low'])}, {number(found[key]['null_high'])}]" if "null_low" in found[key] else ""
            rows.append(f"<tr><td>{name}<td>{interval(found[key])}<td>{number(null)}{band}<td>{found[key]['protocol']}")
    pairs = (
        "\n".join(_pair(sets, pair, place) for place, pair in enumerate(audit.pairs, 1))
        if isinstance(kind_of(sets.kind), Seen)
        else ""
    )
    words = {
        "verdict": found["verdict"],
        "reason": html.escape(found["reason"]),
        "overlooked": html.escape("; ".join(found.get("could_not_see", ()))),
        "fake": html.escape(result["fake"]["source"]),
        "count": result["fake"]["n"],
        "real": html.escape(result["real"]["source"]),
        "train": result["real"]["train"],
        "heldout": result["real"]["heldout"],
        "rows": "\n".join(rows),
        "plots": "\n".join(_ratios(space) for space in audit.spaces),
        "pairs": pairs or f"<p>These records are {kind_of(sets.kind).says.noun}: there is nothing to look at.</p>",
        "notes": "".join(f"<li>{html.escape(note)}" for note in (*found["notes"], *result["notes"])),
    }
    return _PAGE.format(**words)


def _pair(sets: Sets, pair: Any, place: int) -> str:
    sides = (
        ("synthetic", sets.generated.values[pair.sample]),
        ("nearest training record", sets.train.values[pair.record]),
        ("nearest held-out record", sets.heldout.values[pair.heldout]),
    )
    pictures = "".join(
        f'<figure><img alt="{name}" src="{_picture(pixels)}"><figcaption>{name}</figcaption></figure>' for name, pixels in sides
    )
    mark = ' <b class="near">near copy</b>' if pair.near_copy else ""
    told = f"{place}. distance ratio {number(pair.ratio)} ({pair.space}){mark}"
    return f'<section class="pair"><h3>{told}</h3><div class="three">{pictures}</div></section>'


def _picture(pixels: np.ndarray) -> str:
    """Pixels (H, W, C) uint8 or uint16 as a PNG in a data URI; other channels than 1 and 3 are averaged."""
    from PIL import Image

    eight = pixels if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8)
    flat = eight if eight.shape[2] == 3 else eight.mean(axis=2).round().astype(np.uint8)
    picture = Image.fromarray(flat)
    scale = max(1, -(-SIDE // min(picture.size)))
    picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    return _uri(picture)


def _uri(picture: Any) -> str:
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _ratios(space: Any) -> str:
    """A histogram of the distance ratios of samples and of real records, as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    bins = np.linspace(0, 1, 41).tolist()
    for values, name, colour in ((space.null, "unseen real records", "#888888"), (space.ratio, "samples", "#c2410c")):
        weights = np.full(len(values), 100 / len(values))
        axes.hist(values, bins=bins, weights=weights, label=name, color=colour, alpha=0.6)
    axes.set_xlabel(f"distance to the nearest training record / to the next ({space.name}); copies lie at the left")
    axes.set_ylabel("% of records")
    axes.legend(frameon=False, loc="upper left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    uri = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    return f'<img class="plot" alt="distance ratios on {space.name}" src="{uri}">'


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Memorisation audit</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1180px; padding: 0 20px 60px; color: #1c1917; }}
.warning {{ background: #7f1d1d; color: #fff; padding: 12px 18px; border-radius: 6px; margin: 18px 0; font-weight: 600; }}
.verdict {{ font-size: 20px; padding: 12px 18px; border-radius: 6px; }}
.clear {{ background: #dcfce7; }} .suspect {{ background: #fef3c7; }} .copies {{ background: #fee2e2; }}
table {{ border-collapse: collapse; margin: 12px 0; }} td, th {{ text-align: left; padding: 4px 14px 4px 0; }}
tr {{ border-bottom: 1px solid #e7e5e4; }} td:last-child {{ color: #78716c; font-size: 12px; }}
.pairs {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(440px, 1fr)); gap: 20px; }}
.pair h3 {{ font-size: 13px; font-weight: 500; margin: 0 0 4px; }} .near {{ color: #b91c1c; }}
.three {{ display: flex; gap: 6px; }} figure {{ margin: 0; }}
figure img {{ width: 138px; display: block; }}
figcaption {{ font-size: 11px; color: #78716c; }} .plot {{ max-width: 560px; width: 100%; }}
</style>
<p class="warning">This page shows real records beside synthetic ones.
It must not leave the place where the real data may be seen.</p>
<h1>Memorisation audit</h1>
<p>{count} samples of <code>{fake}</code> against {train} training and {heldout} held-out records of <code>{real}</code>.</p>
<p class="verdict {verdict}"><b>{verdict}</b>: {reason}.</p>
<p>This audit could not have seen: {overlooked}.</p>
<table><tr><th>test<th>samples [95 %]<th>unseen real data<th>protocol
{rows}
</table>
<div>{plots}</div>
<h2>The nearest pairs</h2>
<p>Ordered by how much nearer the nearest training record is than the next one; a training record appears once. A copy
resembles its training record in every detail and its nearest held-out record only in kind. Shifted, mirrored and brightened
copies are found too, and shown as they are.</p>
<div class="pairs">
{pairs}
</div>
<ul>{notes}</ul>
</html>
"""
