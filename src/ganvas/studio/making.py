"""What can be made, and the forms to make it with: from the cards of systems, the table of phantoms and the help of settings.

Free of torch as far as it can be; what needs a system built is in `work`. Not for starting anything: `jobs`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from ..config import Knob, knobs
from ..data.phantoms import catalogue as phantoms
from ..kinds import kind_of
from ..registry import Card, catalogue, load_system
from ..run.settings import Settings

FIRST = ("budget", "size", "until", "heldout", "seed")
"""Settings of a run that most people care about; the others wait behind `more`."""
FIRST_OWN = (
    "batch_size", "learning_rate", "generator_learning_rate", "discriminator_learning_rate", "latent_size", "width", "normal",
)  # fmt: skip
"""The same of systems."""
GIVEN_ELSEWHERE = ("data", "preset", "fields")  # the form asks for these in its own way

WANTS: dict[str, tuple[str, str]] = {
    "synthesis": ("New {noun}", "Learn from a collection and make new {noun} like it."),
    "translation": ("One look into another", "Photographs from label maps, another contrast, another style."),
    "restoration": ("Repair and enlarge", "Give back what a picture has lost."),
    "detection": ("Find what is odd in {noun}", "Learn what is normal, and see where something else is not."),
}
"""What people want of the systems of a task, in their words; of other tasks it is new records of their kind."""
ORDER = ("synthesis", "translation", "restoration", "detection")


@cache
def wants() -> list[dict[str, Any]]:
    """The gallery of Home: what people want, which data shows it, and how many systems do it."""
    found: dict[tuple[str, str], list[Card]] = {}
    for card in catalogue().values():
        for kind in card.data:
            found.setdefault((card.task, kind), []).append(card)
    rows = []
    for (task, kind), cards in found.items():
        says = kind_of(kind).says
        title, words = WANTS.get(task, ("New {noun}", "Learn from a collection and make new {noun} like it."))
        alone = [card for card in cards if not card.fields] or cards
        lead = _suited(alone, kind)
        rows.append(
            {
                "id": f"{task}-{kind}", "task": task, "kind": kind,
                "title": title.format(noun=says.noun), "words": words.format(noun=says.noun),
                "systems": [card.name for card in cards], "data": lead.example or says.phantom,
                # Of what is new the choice is by the data, as where no system is named; of other tasks one is named.
                "system": lead.name if task in WANTS and task != "synthesis" else "",
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: (_place(row["task"]), row["title"]))


def _suited(cards: list[Card], kind: str) -> Card:
    """The first whose card says that it suits such data, else the first."""
    return next((card for card in cards if kind in card.suits), cards[0])


def _place(task: str) -> int:
    return ORDER.index(task) if task in ORDER else len(ORDER)


@cache
def systems() -> list[dict[str, Any]]:
    """Every system, in few words."""
    return [
        {
            "name": card.name, "title": card.title, "year": card.year, "summary": card.summary, "task": card.task,
            "data": list(card.data), "fields": {name: list(kinds) for name, kinds in card.fields.items()},
            "example": card.example or kind_of(card.data[0]).says.phantom,
        }
        for card in catalogue().values()
    ]  # fmt: skip


@cache
def built_in() -> list[dict[str, Any]]:
    """Phantoms, with their variants."""
    return [
        {"name": phantom.name, "kind": phantom.kind, "summary": phantom.summary, "variants": list(phantom.variants)}
        for phantom in phantoms().values()
    ]


@cache
def run_form() -> list[dict[str, Any]]:
    """The settings of every run."""
    return [field(item, item.name in FIRST) for item in knobs(Settings) if item.name not in GIVEN_ELSEWHERE]


def system_form(name: str) -> dict[str, Any]:
    """The settings and presets of a system; this loads it, and torch. Raises GanvasError."""
    card, module, system = load_system(name)
    presets = {
        key: (value.__doc__ or "").strip().split("\n")[0]
        if callable(value)
        else ", ".join(f"{k}={v}" for k, v in value.items())
        for key, value in getattr(module, "PRESETS", {}).items()
    }
    return {
        "name": card.name, "title": card.title, "authors": card.authors, "year": card.year, "paper": card.paper,
        "summary": card.summary, "doc": card.doc, "presets": presets, "data": list(card.data),
        "fields": {key: list(kinds) for key, kinds in card.fields.items()},
        "settings": [field(item, item.name in FIRST_OWN) for item in knobs(system.Config)],
    }  # fmt: skip


def field(item: Knob, first: bool) -> dict[str, Any]:
    """A setting as a field of a form."""
    default = list(item.default) if isinstance(item.default, tuple) else item.default
    return {
        "name": item.name, "type": item.type, "help": item.help, "default": default, "low": item.low, "high": item.high,
        "choices": list(item.choices), "first": first, "later": item.later,
    }  # fmt: skip
