"""The model card of a run, `MODEL_CARD.md`: what it learnt from, how to repeat it, what it is for and what it is not for.

Everything in it comes from the run folder; the licence of the data comes from the user. Free of torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..evaluation.table import AUDIT, ROWS, interval, names, number
from ..kinds import kind_of
from ..kinds.facets import Seen
from ..run.budget import parse_budget
from ..run.privacy import NOT_COVERED, sentence_of, without_key
from ..run.settings import FILE, read_yaml
from ..uses import Use, uses_of
from ..version import __version__
from .facts import Facts, read_facts

NAME = "MODEL_CARD.md"
NOT_STATED = "not stated"
STALE = "These numbers are of other weights: the run went on after it was evaluated, or another checkpoint was."
MEDICAL = (
    "Not for diagnosis or treatment, and not to train or test a diagnostic tool without a test on real patients: a sample may "
    "show findings that nobody asked for, and may lack those it was asked for."
)
MEDICAL_IF = "If the images are medical: " + MEDICAL[0].lower() + MEDICAL[1:]


def commands(facts: Facts) -> list[str]:
    """The lines that repeat a run from its `config.yaml`."""
    record = facts.record
    name = record.card.name if record.card.module else f"{record.card.path.name}"
    data = facts.data_name if facts.phantom else "PATH-TO-THE-DATA"
    known = facts.environment
    versions = ", ".join(f"{package} {known[package]}" for package in ("ganvas", "torch") if package in known)
    lines = [f"# with {versions}"] if versions else []
    lines.append(f"ganvas train {name} --config {FILE} --data {data} --budget {max(1, facts.round)}r --out repeated")
    if facts.evaluation is not None:
        lines.append(f"ganvas evaluate repeated -n {facts.evaluation['fake']['n']}")
    return lines


def conditions(facts: Facts) -> str:
    """When repeating gives the same bits, in a sentence or two."""
    settings = facts.record.settings
    if facts.privacy:
        return (
            f"`{FILE}` is below and in the run folder. The weights come out otherwise each time: who was sampled and the noise "
            "that hides it are drawn from a secret, which is not told."
        )
    text = (
        f"`{FILE}` is below and in the run folder. The weights come out equal to the bit with the same versions, the same "
        f"device, {settings.threads or 'as many'} CPU thread{'' if settings.threads == 1 else 's'} and {settings.processes} "
        f"process{'' if settings.processes == 1 else 'es'}"
    )
    if (facts.path / "start.safetensors").exists():
        text += "; it began from another run's weights: add `--init-from` with that run, or with this one to go on from here"
    budget = parse_budget(settings.budget)
    if budget.samples is None and budget.rounds is None:
        text += (
            f"; the budget was {'a time' if budget.seconds else 'open'}, which ends at another round on another machine, so "
            f"the command names the {facts.round:,} rounds that were played (a system whose rates follow the share of the "
            "budget then plays a game that is alike, not equal)"
        )
    return text + "."


def config_text(facts: Facts) -> str:
    """`config.yaml` of the run, with the last part of the data's path only."""
    import yaml

    values = read_yaml(facts.path / FILE)
    told = ("fingerprint",) if facts.privacy else ()
    for name in ("place", "notes", *told):  # names of folders and files, which say more about a machine than about the data
        values.get("data", {}).pop(name, None)
    values["run"]["data"] = facts.data_name
    if facts.privacy:
        values["run"]["privacy"] = without_key(values["run"]["privacy"])
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def bibtex(facts: Facts) -> str:
    """The system's paper and ganvas itself."""
    card = facts.record.card
    authors = [name.strip() for name in card.authors.replace(" and ", ",").split(",") if name.strip()]
    if authors and authors[-1].endswith("et al."):
        authors[-1:] = [authors[-1].removesuffix("et al.").strip(), "others"]
    first = re.sub(r"\W", "", authors[0].split()[-1]).lower() if authors else "unknown"
    word = re.sub(r"\W", "", (card.title.split() or [""])[0]).lower()
    entry = [f"@misc{{{first}{card.year or ''}{word},"]
    entry += [f"  author = {{{' and '.join(authors)}}},"] if authors else []
    entry += [f"  title = {{{{{card.title}}}}},"]
    entry += [f"  year = {{{card.year}}},"] if card.year else []
    number_of = re.search(r"\b\d{4}\.\d{4,5}\b", card.paper)
    if number_of:
        entry += [f"  eprint = {{{number_of[0]}}},", "  archivePrefix = {arXiv},"]
    elif card.paper:
        entry += [f"  howpublished = {{{card.paper}}},"]
    made = facts.environment.get("ganvas", __version__)
    own = [
        "@software{ganvas,",
        "  author = {{The ganvas developers}},",
        "  title = {ganvas: a workbench for generative adversarial networks},",
        f"  version = {{{made}}},",
        "  license = {Apache-2.0},",
        "}",
    ]
    return "\n".join([*entry, "}", "", *own])


def limits(facts: Facts, able: list[Use]) -> list[str]:
    """What a user must not expect, for its kind of data and what it does. able: its uses."""
    spec: Any = facts.record.spec
    found = [
        f"It knows {facts.record.learnt:,} training records and nothing else: what is rare or absent there is rare or absent "
        "in what it makes, and what is unbalanced there stays so."
    ]
    found.append(kind_of(spec.kind).says.limit)
    if isinstance(kind_of(spec.kind), Seen):
        found.append(MEDICAL if spec.format in ("dicom", "nifti") else MEDICAL_IF)
    found += [use.says.caution for use in able if use.says.caution]
    if facts.phantom:
        found.append("The data is a phantom, a simulation: nothing here was learnt from, or tested on, the real thing.")
    if facts.privacy is None:
        found.append(
            "An audit that finds no copies does not make samples anonymous. Without a proof of privacy, samples are to be "
            "treated under the rules of the training data."
        )
    else:
        found += [f"Differential privacy: {sentence_of(facts.privacy)}.", f"It does not cover {'; nor '.join(NOT_COVERED)}."]
    return found


def audit_of(facts: Facts) -> tuple[str, str]:
    """(verdict, reason) of the memorisation audit; the verdict is `not evaluated` or `not tested` where there is none."""
    if facts.evaluation is None:
        return "not evaluated", f"run `ganvas evaluate {facts.name}`"
    found = facts.evaluation.get("memorisation")
    if found is None:
        return "not tested", "the evaluation was made without the audit"
    return found.get("verdict") or "not tested", facts.without_folders(str(found.get("reason", "")))


def result_rows(evaluation: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(names of the anchors, rows of name, value with interval, anchors' values, which way is better, protocol)."""
    anchors: Mapping[str, Any] = evaluation.get("anchors") or {}
    called = names(evaluation)
    rows = []
    for key, (_, better) in ROWS.items():
        if key in evaluation:
            beside = [number(side.get(key, {}).get("value")) for side in anchors.values()]
            rows.append([called[key], interval(evaluation[key]), *beside, better, str(evaluation[key]["protocol"])])
    return list(anchors), rows


def audit_rows(evaluation: Mapping[str, Any]) -> list[list[str]]:
    """Rows of test, value with interval, what unseen real data gives, protocol."""
    found = evaluation.get("memorisation") or {}
    rows = []
    for key, name in AUDIT.items():
        if key in found:
            measure = found[key]
            null = number(measure.get("null", measure.get("expected")))
            band = f" [{number(measure['null_low'])}, {number(measure['null_high'])}]" if "null_low" in measure else ""
            rows.append([name, interval(measure), null + band, str(measure["protocol"])])
    return rows


def environment_rows(facts: Facts) -> list[tuple[str, str]]:
    """What it was trained with, by name."""
    rows = []
    for key, value in facts.environment.items():
        text = f"{value / 2**30:.0f} GiB" if key == "memory" and isinstance(value, int | float) else value
        if isinstance(value, list):
            text = ", ".join(map(str, value)) or "none"
        rows.append((key, str(text)))
    settings = facts.record.settings
    used = [("precision", settings.precision), ("threads", settings.threads), ("processes", settings.processes)]
    return rows + [(key, str(value)) for key, value in used if value is not None]


def data_rows(facts: Facts) -> list[tuple[str, str]]:
    """What it learnt from, by name."""
    data, spec = facts.record.data, facts.record.spec
    split = "whole groups at a time, before training; the indices are in split.json"
    return [
        ("data", facts.data_name + (" (a phantom: simulated)" if facts.phantom else "")),
        ("records", facts.records),
        ("training records", facts.record.learnt_text.replace(" training records", "")),
        ("held-out records", f"{data['heldout']:,} ({split})" if data["heldout"] else "0"),
        ("classes", ", ".join(spec.classes) or "none"),
        ("fingerprint", "withheld: it is a sum of the records" if facts.privacy else str(data["fingerprint"])),
        ("licence", facts.licence or NOT_STATED),
    ]


def training_rows(facts: Facts) -> list[tuple[str, str]]:
    """What was played, by name."""
    from ..run.budget import describe_seconds

    health, settings = facts.health, facts.record.settings
    rows = [
        ("system", f"{facts.record.card.name}: {facts.record.card.title}"),
        ("played", f"{facts.round:,} rounds on {facts.samples:,} records drawn, in {describe_seconds(facts.seconds)}"),
        *([("weights", facts.without_folders(facts.why.partition("; ")[0].removeprefix("weights of ")))] if facts.why else []),
        ("budget", settings.budget or "none"),
        ("seed", str(settings.seed)),
        *([("privacy", sentence_of(facts.privacy))] if facts.privacy else []),
    ]
    if health.watched:
        opening = "not seen" if health.t0 is None else f"ended at round {health.t0:,} (T0)"
        rows.append(("opening phase", opening))
        rows.append(("alarms", str(len(health.alarms)) if health.alarms else "none"))
    if health.best is not None:
        rows.append(("best evaluation", f"at round {health.best:,}; checkpoints/best keeps it"))
    incidents = [facts.without_folders(str(row["incident"])) for row in facts.rows if row.get("incident")]
    if incidents:
        rows.append(("incidents", "; ".join(incidents[:5]) + (f"; {len(incidents) - 5} more" if len(incidents) > 5 else "")))
    return rows


def card_text(facts: Facts, able: list[Use]) -> str:
    """The card as Markdown."""
    record = facts.record
    verdict, reason = audit_of(facts)
    out = [f"# {record.card.name} on {facts.data_name}", ""]
    out += [f"{sentence(record.card.summary)} Trained with ganvas {facts.environment.get('ganvas', __version__)}.", ""]
    out += ["## Data", "", *_listed(data_rows(facts)), ""]
    out += ["## Training", "", *_listed(training_rows(facts)), ""]
    for number_of, alarm in enumerate(facts.health.alarms, 1):
        out += [f"- alarm {number_of} at round {alarm['round']:,}: {alarm.get('name', '')}: {alarm.get('text', '')}"]
    out += [""] if facts.health.alarms else []
    out += ["## Settings", "", *_listed([(k, _plain(v)) for k, v in record.config.items()]), ""]
    out += ["## Repeating it", "", "```", *commands(facts), "```", "", conditions(facts), ""]
    if not facts.phantom and not facts.privacy:
        out += ["It is the same data when `data.fingerprint` in the new `config.yaml` is the same as above.", ""]
    out += ["```yaml", config_text(facts).rstrip(), "```", ""]
    out += ["## Environment", "", *_listed(environment_rows(facts)), ""]
    uses = "; ".join(use.says.purpose for use in able) or "nothing that the command line knows"
    out += ["## Intended use", "", f"Research, teaching and the development of methods: {uses}.", ""]
    out += ["## Limits", "", *(f"- {line}" for line in limits(facts, able)), ""]
    out += ["## Results", ""]
    if facts.evaluation is None:
        out += [f"Not evaluated: run `ganvas evaluate {facts.name}`", ""]
    else:
        out += _results(facts)
    out += ["## Memorisation audit", "", f"**{verdict}**: {sentence(reason)}", ""]
    if facts.evaluation is not None and (rows := audit_rows(facts.evaluation)):
        out += _table(["test", "samples [95 %]", "unseen real data", "protocol"], rows)
    out += ["## Citation", "", "```bibtex", bibtex(facts), "```", ""]
    return "\n".join(out)


def _results(facts: Facts) -> list[str]:
    evaluation = facts.evaluation or {}
    anchors, rows = result_rows(evaluation)
    made, real = evaluation["fake"], evaluation["real"]
    out = [f"{made['n']:,} samples against {real['heldout']:,} held-out records; anchors: {', '.join(anchors) or 'none'}.", ""]
    if facts.stale:
        out += [STALE, ""]
    out += _table(["metric", "samples [95 %]", *anchors, "better", "protocol"], rows)
    notes = [f"- {facts.without_folders(note)}" for note in evaluation.get("notes", [])]
    return [*out, *notes, ""] if notes else out


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*lines, *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows), ""]


def _listed(rows: list[tuple[str, str]]) -> list[str]:
    return [f"- {name}: {value}" for name, value in rows]


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def sentence(text: str) -> str:
    """The text with a capital in front and a stop at the end; a command at the end stays as it is to be typed."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "`")) or not text else ".")


def write_card(facts: Facts, able: list[Use]) -> Path:
    """Write `MODEL_CARD.md` into the run folder. able: the uses of the run. Raises RunError."""
    from ..files import write_atomically

    path = facts.path / NAME
    write_atomically(path, card_text(facts, able).encode("utf-8", "backslashreplace"))
    return path


def able_to(facts: Facts, run: Any = None) -> list[Use]:
    """What the run can be put to. run: opened, where it is; else the class of its system says."""
    from ..registry import load_system

    if run is not None:
        return uses_of(run.system)
    card = facts.record.card
    return uses_of(load_system(card.name if card.module else str(card.path))[2])


def renew_card(run: Path, system: str | Path | None = None) -> Path:
    """Write the card of a run anew, from what its folder holds now. Raises GanvasError or RunError."""
    facts = read_facts(run, system)
    return write_card(facts, able_to(facts))
