"""A page of a study from blocks: as Markdown with pictures beside it, and as one HTML file that needs nothing else.

Not for what stands on it: that is each study's own `_..._page.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..report.page import document, escaped, figure, table, uri

Block = tuple[str, Any]
"""("heading" | "text", words), ("list", lines), ("table", (head, rows)), ("figure", (name, caption))."""
NOTICE = "Every picture here was made by a network. The page holds no real image."
OF_PHANTOM = "A phantom shows how the study works. It says nothing of radiographs: give yours with `--data`."


def as_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The page as Markdown; figures are read from `figures/NAME.png`."""
    parts = [f"# {title}", NOTICE]
    for kind, content in blocks:
        if kind == "heading":
            parts.append(f"## {content}")
        elif kind == "text":
            parts.append(content)
        elif kind == "list":
            parts.append("\n".join(f"- {line}" for line in content))
        elif kind == "table":
            head, rows = content
            parts.append("\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]))
        else:
            name, caption = content
            parts.append(f"![{caption}](figures/{name}.png)\n\n*{caption}*")
    return "\n\n".join(parts) + "\n"


def as_html(title: str, blocks: Sequence[Block], drawn: Mapping[str, bytes]) -> str:
    """The page as HTML. drawn: the PNG of every figure by its name."""
    body = ""
    for kind, content in blocks:
        if kind == "heading":
            body += f"<h2>{escaped(content)}</h2>"
        elif kind == "text":
            body += f"<p>{escaped(content)}</p>"
        elif kind == "list":
            body += f"<ul>{''.join(f'<li>{escaped(line)}' for line in content)}</ul>"
        elif kind == "table":
            body += table(*content)
        else:
            name, caption = content
            body += figure(uri(drawn[name]), caption)
    return document(title, f'<p class="notice">{escaped(NOTICE)}</p>', body)


def conclusion_blocks(result: Mapping[str, Any]) -> list[Block]:
    """What failed, and every claim with its verdict."""
    failed = [f"FAILED: {one['cell']}, seed {one['seed']}: {one['error']}" for one in result["failed"]]
    claims = [[one[key] for key in ("claim", "verdict", "sentence", "rule")] for one in result["claims"]]
    return [
        *([("list", failed)] if failed else []),
        ("heading", "What holds"),
        ("text", "Each claim with the rule that was fixed before the study ran, and what was found."),
        ("table", (["claim", "verdict", "found", "rule"], claims)),
    ]


def terminal_lines(result: Mapping[str, Any], head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The table of the cells, the verdicts, what failed and where the page is, for a terminal."""
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    out = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]]
    out.append("")
    width = max(len(one["verdict"]) for one in result["claims"])
    out += [f"{one['verdict']:<{width}}  {one['claim']}: {one['sentence']}" for one in result["claims"]]
    out += [f"FAILED  {one['cell']}, seed {one['seed']}: {one['error']}" for one in result["failed"]]
    return [*out, "", f"look  {result['page']}"]
