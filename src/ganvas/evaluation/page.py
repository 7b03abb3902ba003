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
from ..kinds.facets import Heard, Sketched, Spelled, Whole
from .sets import Part, Sets
from .table import AUDIT, interval, number

SIDE = 128  # pixels a picture is shown at, at least
SOUNDS = 24_000_000  # bytes of all sounds of a page
FEW = 16  # numbers of a record that are told as such


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
    most = SOUNDS // (3 * max(1, len(audit.pairs)))
    pairs = "\n".join(_pair(sets, pair, place, most) for place, pair in enumerate(audit.pairs, 1))
    if isinstance(kind_of(sets.kind), Whole):
        pairs = _wholes(sets)
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
        "pairs": pairs,
        "notes": "".join(f"<li>{html.escape(note)}" for note in (*found["notes"], *result["notes"])),
    }
    return _PAGE.format(**words)


def _pair(sets: Sets, pair: Any, place: int, most: int) -> str:
    sides = (
        ("synthetic", sets.generated, pair.sample),
        ("nearest training record", sets.train, pair.record),
        ("nearest held-out record", sets.heldout, pair.heldout),
    )
    pictures = "".join(_figure(sets.kind, name, part, index, most) for name, part, index in sides)
    mark = ' <b class="near">near copy</b>' if pair.near_copy else ""
    told = f"{place}. distance ratio {number(pair.ratio)} ({pair.space}){mark}"
    return f'<section class="pair"><h3>{told}</h3><div class="three">{pictures}</div></section>'


def _figure(kind_name: str, side: str, part: Part, index: int, most: int) -> str:
    """A record as its kind is best known: seen, heard, read; a picture as it was judged. most: bytes of a sound."""
    kind, shown = kind_of(kind_name), ""
    called = f"{side}: {html.escape(part.name(index))}"
    if part.records is None:
        shown = f'<img alt="{side}" src="{_picture(part.values[index])}">'
    else:
        records, spec = part.records
        lines = kind.lines(records[index], spec) if isinstance(kind, Spelled) else []
        if any(line.strip() for line in lines):
            shown = _text(lines)
        elif records[index].size <= FEW and not isinstance(kind, Spelled):
            shown = _text([", ".join(f"{value:.5g}" for value in np.asarray(records[index]).ravel())])
        else:
            one = records[index : index + 1]
            picture = kind.sketch(one[0], spec) if isinstance(kind, Sketched) else kind.picture(one, spec)
            shown = f'<img class="record" alt="{side}" src="{_png(picture)}">'
        if isinstance(kind, Heard):
            content, cut = kind.heard(records[index], spec, most)
            sound = base64.b64encode(content).decode()
            shown += f'<audio controls preload="none" src="data:audio/wav;base64,{sound}"></audio>'
            called += f" ({cut})" if cut else ""
    return f"<figure>{shown}<figcaption>{called}</figcaption></figure>"


def _wholes(sets: Sets) -> str:
    """All records of a side together, where they are one thing: there are no pairs, but two of them."""
    kind = kind_of(sets.kind)
    figures = ""
    for name, part in (("synthetic", sets.generated), ("learnt from", sets.train)):
        assert part.records is not None
        uri = _png(kind.picture(np.asarray(part.records[0]), part.records[1]))
        figures += f'<figure><img class="record" alt="{name}" src="{uri}"><figcaption>{name}</figcaption></figure>'
    return f'<section class="pair"><div class="three">{figures}</div></section>'


def _text(lines: list[str]) -> str:
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def _png(picture: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 as a data URI."""
    from PIL import Image

    return _uri(Image.fromarray(picture))


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
figure img {{ width: 138px; display: block; }} figure img.record {{ width: auto; max-width: 100%; }}
figure audio {{ width: 220px; height: 32px; display: block; }}
figure pre {{ white-space: pre-wrap; margin: 0; font-size: 12px; }}
.three {{ flex-wrap: wrap; }} figcaption {{ overflow-wrap: anywhere; }}
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
