"""`ganvas report`: from run folders to one HTML file, with plots, a model card and the numbers beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import GanvasError
from . import plots
from .card import able_to, write_card
from .facts import Facts, read_facts, remember_licence
from .page import Article, report_page, uri

LARGEST = 5_000_000  # bytes of a page: what mail takes
FOLDER = "report"  # of the plots, in each run
PAGE = "report.html"


def report(
    runs: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    evaluate: bool = False,
    licence: str | None = None,
    which: str | None = None,
    device: str = "cpu",
    system: str | Path | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write one HTML file about runs, their plots as PNG and SVG (`RUN/report`) and their model cards.

    out: the file (default: `RUN/report.html`, for several runs `report.html` here). overwrite: replace a file of that name; a
    run's own `RUN/report.html` is renewed without. evaluate: judge runs first that were not, or that went on since. licence: of
    the data, kept with the run and stated in its card. which: the checkpoint (`last`, `previous`, `best`) the report is about;
    by default as for `ganvas.load`. system: the file of a system that is not ganvas's own.

    Returns `page`, `bytes` and `runs`: by run `plots`, `card`, `evaluated` and `notes`.

    The page holds no real record, no script and no address, and is smaller than 5 MB. Raises GanvasError for what is no run,
    and RunError when something cannot be written.
    """
    from ..files import disk_errors, write_atomically
    from ..run.outputs import check_free_file

    say = say or (lambda text: None)
    given = [runs] if isinstance(runs, str | Path) else list(runs)
    if not given:
        raise GanvasError("which run? For example:  ganvas report runs/chest")
    if len({Path(run).resolve() for run in given}) < len(given):
        raise GanvasError("the same run is named twice: name each once")
    page = Path(out) if out is not None else Path(given[0]) / PAGE if len(given) == 1 else Path(PAGE)
    if page.is_dir():
        raise GanvasError(f"--out {page} is a folder: name the HTML file, such as {page / PAGE}")
    if page != Path(given[0]) / PAGE:
        check_free_file(page, overwrite)
    checked = [read_facts(run, system, which) for run in given]  # all of them, before time is spent on one
    articles, results = [], {}
    for facts in checked:
        if licence is not None:
            remember_licence(facts.path, licence)
        if evaluate and (facts.evaluation is None or facts.stale):
            from ..evaluation.judge import evaluate as judge

            say(f"{facts.path}: evaluating")
            place = facts.path / "evaluation"
            judge(str(facts.path), out=place, overwrite=True, which=which, device=device, system=system, say=say)
        facts = read_facts(facts.path, which=which)
        say(f"{facts.path}: drawing")
        article, result = _article(facts, facts.which, device, system, LARGEST // (4 * len(checked)))
        articles.append(article)
        results[str(facts.path)] = result
    content = report_page(articles).encode("utf-8", "backslashreplace")
    if len(content) > LARGEST:
        raise GanvasError(f"a page of {len(checked)} runs would have {len(content) / 1e6:.1f} MB: report fewer runs at once")
    with disk_errors(page.parent):
        page.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(page, content)
    return {"page": str(page), "bytes": len(content), "runs": results}


def _article(facts: Facts, which: str, device: str, system: Any, most: int) -> tuple[Article, dict[str, Any]]:
    """A run's part of the page, and what was written beside it. most: bytes that one picture may take."""
    from ..files import disk_errors, write_atomically
    from .pictures import feature_points, gather, packed

    run = _opened(facts, which, device, system)
    able = able_to(facts, run)
    article = Article(facts, able)
    folder = facts.path / FOLDER
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
    drawn = {"losses": plots.losses(facts), "metrics": plots.metrics({facts.name: facts})}
    if facts.evaluation is not None:
        drawn["spectrum"] = plots.spectrum(facts.evaluation)
        try:
            if run is None:
                raise GanvasError("there is no checkpoint yet")
            drawn["features"] = plots.feature_map(*feature_points(facts, which, device, system))
        except GanvasError as error:
            article.notes["features"] = [f"No feature map: {error}."]
    else:
        article.notes["features"] = ["A feature map is drawn once the run has been evaluated."]
    files = []
    for name, figure in drawn.items():
        if figure is not None:
            article.plots[name] = uri(plots.saved(figure, folder / name))
            files += [str(folder / f"{name}.{kind}") for kind in ("png", "svg")]
    found = gather(facts, run)
    article.notes["samples"] = found.notes
    article.reading = found.reading
    for name, file in (("last", "samples"), ("over_time", "over-time"), ("between", "between")):
        picture = getattr(found, name)
        if picture is not None:
            media, content = packed(picture, most // 2)
            article.pictures[name] = uri(content, media)
            path = folder / f"{file}.{media.split('/')[1]}"
            write_atomically(path, content)
            files.append(str(path))
    for caption, picture in found.moments:
        media, content = packed(picture, most // 10)
        article.moments.append((caption, uri(content, media)))
    written = write_card(facts, able)
    notes = [note for own in article.notes.values() for note in own]
    return article, {"plots": files, "card": str(written), "evaluated": facts.evaluation is not None, "notes": notes}


def _opened(facts: Facts, which: str, device: str, system: Any) -> Any:
    """The run with its weights; None before its first checkpoint."""
    from ..run.load import Run

    if not facts.manifest:
        return None
    return Run(facts.path, which=which, device=device, system=system)
