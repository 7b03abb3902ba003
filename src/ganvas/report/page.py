"""HTML of reports and comparisons: one document that needs no network and no script, for screens and for paper.

Everything that comes from a run is escaped; pictures and plots are data URIs.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..run.privacy import sentence_of
from ..uses import Use
from . import card
from .facts import Facts, name_of

SPECTRUM = "Radial power spectra: means over sets, and how many times the real power they have."
ANCHORS = {
    "real": "real training records (`real`)",
    "linear": "draws from a linear model (`linear`)",
    "untrained": "the network before training (`untrained`)",
    "rewired": "the graph with its edges swapped (`rewired`)",
}
VERDICTS = {"clear": "good", "suspect": "doubt", "copies": "bad"}


@dataclass
class Article:
    """One run on the page. plots, pictures: data URIs by name. moments: (caption, data URI). notes: by section."""

    facts: Facts
    able: list[Use]
    plots: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    moments: list[tuple[str, str]] = field(default_factory=list)
    reading: str = ""
    notes: dict[str, list[str]] = field(default_factory=dict)


def uri(content: bytes, media: str = "image/png") -> str:
    """Content as a data URI."""
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def escaped(text: object) -> str:
    """Text for HTML; what stands between backquotes becomes code."""
    parts = html.escape(str(text)).split("`")
    if len(parts) % 2 == 0:
        return "`".join(parts)
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of texts."""
    top = f"<thead><tr>{''.join(f'<th>{escaped(cell)}' for cell in head)}</thead>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{escaped(cell)}' for cell in row)}" for row in rows)
    return f'<div class="wide"><table class="{kind}">{top}<tbody>{body}</table></div>'


def measured(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of measures; the last cell of each row is the protocol, which stands under the name."""
    top = "".join(f"<th>{escaped(cell)}" for cell in head)
    body = ""
    for name, *cells, protocol in rows:
        broken = escaped(protocol).replace("/", "/<wbr>")
        first = f'<td>{escaped(name)}<span class="protocol">{broken}</span>'
        body += f"<tr>{first}{''.join(f'<td>{escaped(cell)}' for cell in cells)}"
    return f'<div class="wide"><table class="measured"><thead><tr>{top}</thead><tbody>{body}</table></div>'


def side_by_side(head: Sequence[str], metrics: Iterable[Mapping[str, Any]]) -> str:
    """A table of metrics (`comparison.compare`), a column a run: value, rank and interval."""
    from ..evaluation.table import number

    top = "".join(f"<th>{escaped(cell)}" for cell in head)
    body = ""
    for row in metrics:
        cells = ""
        for place, measure in enumerate(row["values"]):
            if measure is None:
                cells += "<td>-"
                continue
            rank = f' <b class="rank">rank {row["ranks"][place]}</b>' if row["ranks"] else ""
            ends = f"[{number(measure['low'])}, {number(measure['high'])}]" if measure.get("low") is not None else ""
            cells += f'<td>{number(measure["value"])}{rank}<span class="protocol">{ends}</span>'
        body += f"<tr><td>{escaped(row['name'])}{cells}<td>{escaped(row['better'])}"
    return f'<div class="wide"><table class="runs"><thead><tr>{top}</thead><tbody>{body}</table></div>'


def figure(source: str, caption: str, kind: str = "plot") -> str:
    """A picture with its caption, which is also its description."""
    picture = f'<img src="{source}" alt="{html.escape(caption)}">'
    return f'<figure class="{kind}">{picture}<figcaption>{escaped(caption)}</figcaption></figure>'


def document(title: str, lead: str, body: str) -> str:
    """The whole document."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{html.escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>{escaped(title)}</h1>{lead}</header>
{body}
</body>
</html>
"""


def report_page(articles: Sequence[Article]) -> str:
    """The report of one run or several."""
    first = articles[0].facts
    title = f"{first.record.card.name} on {first.data_name}" if len(articles) == 1 else f"{len(articles)} runs"
    lead = (
        '<p class="notice">Synthetic: every picture on this page was made by a network. The page holds no real record; real '
        "data enters only as numbers and as points of features.</p>"
    )
    if len(articles) > 1:
        links = "".join(f'<li><a href="#run{n}">{escaped(one.facts.name)}</a>' for n, one in enumerate(articles))
        lead += f"<ul>{links}</ul>"
    return document(title, lead, "".join(_article(one, n, len(articles) > 1) for n, one in enumerate(articles)))


def _article(one: Article, number: int, several: bool) -> str:
    facts = one.facts
    heading = f'<h2 class="run">{escaped(facts.name)}: {escaped(facts.record.card.name)} on {escaped(facts.data_name)}</h2>'
    parts = [
        f'<article id="run{number}">',
        heading if several else "",
        f"<p>{escaped(_told(facts))}</p>",
        _verdicts(facts),
        _samples(one),
        _section("Training", _training(one)),
        _section("Metrics while training", _looks(one)),
        _section("Results", _results(one)),
        _section("Spectrum", _plot(one, "spectrum", SPECTRUM)),
        _section("Feature map", _map(one)),
        _section("Memorisation audit", _audit(facts)),
        _section("Limits", "<ul>" + "".join(f"<li>{escaped(line)}" for line in card.limits(facts, one.able)) + "</ul>"),
        _section("Data", table((), card.data_rows(facts), "facts")),
        _section("How to repeat this run", _repeat(facts)),
        _section("Environment", table((), card.environment_rows(facts), "facts")),
        _section("Citation", f"<pre>{html.escape(card.bibtex(facts))}</pre>"),
        "</article>",
    ]
    return "\n".join(part for part in parts if part)


def _told(facts: Facts) -> str:
    from ..run.budget import describe_seconds

    data, paper = facts.record.data, facts.record.card
    return (
        f"{paper.title} ({paper.authors} {paper.year}), trained on {facts.record.learnt:,} {facts.records}: {facts.round:,} "
        f"rounds in {describe_seconds(facts.seconds)}. {data['heldout']:,} records were held out."
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escaped(title)}</h2>{body}</section>" if body else ""


def _notes(one: Article, section: str) -> str:
    notes = [one.facts.without_folders(note) for note in one.notes.get(section, [])]
    return "".join(f'<p class="soft">{escaped(note)}</p>' for note in notes)


def _verdicts(facts: Facts) -> str:
    verdict, reason = card.audit_of(facts)
    tiles = [(VERDICTS.get(verdict, "none"), "Copies of training records", verdict, card.sentence(reason))]
    health = facts.health
    if health.watched or health.alarms:
        opening = "was not seen to end" if health.t0 is None else f"ended at round {health.t0:,}"
        said = "no alarm" if not health.alarms else f"{len(health.alarms)} alarm{'s' if len(health.alarms) > 1 else ''}"
        raised = [f"{alarm['name']} since round {alarm['round']:,}" for alarm in health.alarms]
        told = card.sentence("; ".join(raised)) + " " * bool(raised) + f"The opening phase {opening}."
        tiles.append(("doubt" if health.alarms else "good", "Training", said, told))
    if facts.privacy is not None:
        told = f"epsilon {facts.privacy['spent']:.3g}"
        tiles.append(("good", "Differential privacy", told, card.sentence(sentence_of(facts.privacy))))
    evaluation = facts.evaluation or {}
    if "kid" in evaluation:
        from ..evaluation.table import interval, names, number

        anchors = evaluation.get("anchors") or {}
        beside = ", ".join(f"{name} {number(side['kid']['value'])}" for name, side in anchors.items() if "kid" in side)
        name = names(evaluation)["kid"]
        name = f"{name[:1].upper()}{name[1:]} to held-out data"
        tiles.append(("none", name, interval(evaluation["kid"]), f"Anchors: {beside}." if beside else ""))
    boxes = "".join(
        f'<div class="tile {kind}"><span>{escaped(name)}</span><strong>{escaped(said)}</strong><p>{escaped(more)}</p></div>'
        for kind, name, said, more in tiles
    )
    return f'<div class="tiles">{boxes}</div>'


def _samples(one: Article) -> str:
    parts = []
    if "last" in one.pictures:
        caption = f"Samples after {one.facts.round:,} rounds; not selected."
        parts.append(_section("Samples", figure(one.pictures["last"], caption, "picture") + _notes(one, "samples")))
    elif one.notes.get("samples"):
        parts.append(_section("Samples", _notes(one, "samples")))
    if "over_time" in one.pictures:
        caption = "The same latents at several moments of training, a column each."
        parts.append(_section("Samples over time", figure(one.pictures["over_time"], caption, "picture")))
    elif one.moments:
        shown = "".join(figure(source, caption, "moment") for caption, source in one.moments)
        parts.append(_section("Samples over time", f'<div class="moments">{shown}</div>'))
    if "between" in one.pictures:
        parts.append(_section("Between latents", figure(one.pictures["between"], one.reading, "picture")))
    return "\n".join(parts)


def _training(one: Article) -> str:
    facts, health = one.facts, one.facts.health
    body = _plot(one, "losses", _loss_caption(facts))
    rows = [(str(n), f"{a['round']:,}", str(a.get("name", "")), str(a.get("text", ""))) for n, a in enumerate(health.alarms, 1)]
    if rows:
        body += table(("alarm", "since round", "name", "what was seen, and what to try"), rows)
    return body + table((), card.training_rows(facts), "facts")


def _loss_caption(facts: Facts) -> str:
    text = "The running median of each loss term, and pale its means over a second: who is ahead, not how good samples are."
    if facts.health.t0 is not None:
        text += " T0: the end of the opening phase, in which the generator learns nothing."
    if facts.health.alarms:
        text += " Red: alarms, by number."
    return text


def _looks(one: Article) -> str:
    from ..evaluation.table import interval

    if "metrics" in one.plots:
        protocols = {str(m.get("protocol", "")) for look in one.facts.health.looks for m in look["metrics"].values()} - {""}
        told = f" Protocol: {'; '.join(sorted(protocols))}." if 0 < len(protocols) <= 4 else ""
        return _plot(one, "metrics", f"Measured while training, with 95 % intervals.{told}")
    for look in one.facts.health.looks[-1:]:
        rows = [
            (name_of(key), interval({"low": None, **measure}), str(measure.get("protocol", "")))
            for key, measure in look["metrics"].items()
        ]
        told = f"There was one evaluation, at round {look['round']:,}."
        return f'<p class="soft">{told}</p>' + table(("metric", "samples [95 %]", "protocol"), rows)
    return '<p class="soft">Nothing was measured while this run trained.</p>'


def _plot(one: Article, name: str, caption: str) -> str:
    return figure(one.plots[name], caption) if name in one.plots else ""


def _results(one: Article) -> str:
    facts = one.facts
    if facts.evaluation is None:
        return (
            '<p class="notice doubt">This run has not been evaluated: there are no distances, no anchors, no spectrum, no '
            f"feature map and no audit. Run <code>ganvas evaluate {html.escape(facts.name)}</code>, or add "
            "<code>--evaluate</code> to <code>ganvas report</code>.</p>"
        )
    evaluation = facts.evaluation
    stale = ""
    if facts.stale:
        stale = f'<p class="notice doubt">{escaped(card.STALE)}</p>'
    anchors, rows = card.result_rows(evaluation)
    told = f"{evaluation['fake']['n']:,} samples against {evaluation['real']['heldout']:,} held-out records."
    if anchors:
        known = ", ".join(ANCHORS.get(name, name) for name in anchors)
        told += f" Beside them the same numbers for sets whose worth is known: {known}."
    notes = "".join(f"<li>{escaped(facts.without_folders(note))}" for note in evaluation.get("notes", []))
    made = measured(("metric", "samples [95 %]", *anchors, "better"), rows)
    return f"{stale}<p>{escaped(told)}</p>{made}" + (f'<ul class="soft">{notes}</ul>' if notes else "")


def _map(one: Article) -> str:
    caption = "A point is a record, by two components of its features: what lies apart is apart, what meets here may not meet."
    return _plot(one, "features", caption) + _notes(one, "features")


def _audit(facts: Facts) -> str:
    verdict, reason = card.audit_of(facts)
    body = f'<p class="notice {VERDICTS.get(verdict, "none")}"><b>{escaped(verdict)}</b>: {escaped(card.sentence(reason))}</p>'
    rows = card.audit_rows(facts.evaluation or {})
    if rows:
        body += measured(("test", "samples [95 %]", "unseen real data"), rows)
        body += '<p class="soft">The nearest pairs are in audit.html, which shows real records and stays inside.</p>'
    return body


def _repeat(facts: Facts) -> str:
    lines = "\n".join(card.commands(facts))
    more = "" if facts.phantom else "<p>It is the same data when the new config.yaml has the fingerprint above.</p>"
    return (
        f"<pre>{html.escape(lines)}</pre><p>{escaped(card.conditions(facts))}</p>{more}"
        f"<h3>config.yaml</h3><pre>{html.escape(card.config_text(facts))}</pre>"
    )


_STYLE = """
:root { color-scheme: light; --ink: #1d2327; --soft: #5c6670; --line: #e2e6ea; --accent: #0072b2; }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; color: var(--ink);
  background: #fff; margin: 0 auto; max-width: 62rem; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .5rem 0 .75rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h2.run { font-size: 1.6rem; border-bottom: 3px solid var(--accent); margin-top: 3.5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p, ul { max-width: 50rem; }
a { color: var(--accent); }
code, pre { font: .85em/1.5 ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace; }
pre { background: #f6f8fa; border: 1px solid var(--line); border-radius: 6px; padding: .75rem 1rem; overflow-x: auto; }
code { background: #f1f3f5; border-radius: 4px; padding: .1em .3em; }
.soft { color: var(--soft); font-size: .92rem; }
.notice { background: #f1f3f5; border-left: 4px solid #aab4be; border-radius: 0 6px 6px 0; padding: .6rem 1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .8rem; margin: 1.2rem 0; }
.tile { border: 1px solid var(--line); border-top: 4px solid #aab4be; border-radius: 6px; padding: .7rem 1rem; }
.tile span { color: var(--soft); font-size: .85rem; display: block; }
.tile strong { font-size: 1.25rem; display: block; margin: .1rem 0 .3rem; }
.tile p { margin: 0; font-size: .9rem; }
.good { border-color: #1b8a5a; } .doubt { border-color: #d08700; } .bad { border-color: #b3261e; }
.tile.good, .tile.doubt, .tile.bad { border-color: var(--line); }
.tile.good { border-top-color: #1b8a5a; } .tile.doubt { border-top-color: #d08700; } .tile.bad { border-top-color: #b3261e; }
.notice.good { background: #e9f6ef; } .notice.doubt { background: #fff6e0; } .notice.bad { background: #fdecea; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); }
table.facts td:first-child { color: var(--soft); white-space: nowrap; }
table.measured td { white-space: nowrap; }
table.measured td:first-child { white-space: normal; }
table.measured td:nth-child(2) { font-weight: 600; }
table.runs td { white-space: nowrap; } table.runs td:first-child { white-space: normal; }
.rank { background: #eaf3fa; color: var(--accent); border-radius: 4px; padding: .05em .4em; font-size: .75rem; }
.protocol { display: block; color: var(--soft); font-size: .74rem; line-height: 1.3; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; display: block; }
figure.picture img { max-height: 44rem; border-radius: 4px; }
figcaption { color: var(--soft); font-size: .88rem; margin-top: .35rem; max-width: 50rem; }
.moments { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .8rem; }
figure.moment { margin: 0; } figure.moment img { width: 100%; border: 1px solid var(--line); border-radius: 4px; }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; } figure, tr, .tile { break-inside: avoid; }
  h2 { break-after: avoid; } pre { white-space: pre-wrap; } }
"""
