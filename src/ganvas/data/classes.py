"""Which class of the data a system is to be fed with (`game.Feed.of`), where the user need not say. Not for dealing it."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import GanvasError, did_you_mean

USUAL_NAMES = ("normal", "healthy", "notumor", "no-tumor", "no-finding", "anomaly-free", "good", "ok")

UNLABELLED_NAMES = ("unlabelled", "unlabeled", "no-label")
"""A class so called holds records of which nobody has said what they are."""


def is_unlabelled(name: str) -> bool:
    """Whether a class is no class: its records have no label."""
    return _plain(name) in UNLABELLED_NAMES


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(" ", "-")


def is_normal(name: str) -> bool:
    """Whether a class is called as normal ones are."""
    return _plain(name) in USUAL_NAMES


def suits_of(labels: Collection[str]) -> set[str]:
    """What data with these labels may be proposed for (`registry.SUITS`); `(none)` among them: records without one."""
    named = [name for name in labels if name != "(none)"]
    found = {"anything"}
    if len(named) > 1 and len(named) == len(labels):
        found |= {"classes"} | ({"two classes"} if len(named) == 2 else set())
        found |= {"unlabelled"} if len(named) > 2 and any(is_unlabelled(name) for name in named) else set()
        found |= {"normal class"} if sum(is_normal(name) for name in named) == 1 else set()
    return found


def find_normal(classes: tuple[str, ...], wanted: str, system: str) -> tuple[int, ...]:
    """The index of the normal class, or () for data without classes. wanted: its name, or "". system: for messages.

    Raises GanvasError when it is not clear which.
    """
    if not classes and not wanted:
        return ()
    if wanted:
        if wanted not in classes:
            known = ", ".join(classes) if classes else "none, it has no labels"
            close = did_you_mean(wanted, list(classes))
            raise GanvasError(f"{system}: the data has no class '{wanted}' to learn as normal{close}; its classes: {known}")
        return (classes.index(wanted),)
    if len(classes) == 1:
        return (0,)
    found = [k for k, name in enumerate(classes) if is_normal(name)]
    if len(found) != 1:
        raise GanvasError(f"{system}: which class is normal? Say it with --set normal=NAME, one of {', '.join(classes)}")
    return (found[0],)


def find_pair(classes: tuple[str, ...], first: str, second: str, system: str) -> tuple[int, int]:
    """The indices of the two classes between which is learnt. first, second: their names, both or none.

    Raises GanvasError when the data does not have them, or more than two where none are named.
    """
    known = ", ".join(classes) or "none"
    if not first and not second:
        if len(classes) != 2:
            raise GanvasError(
                f"{system} needs two classes and the data has {len(classes)} ({known}): put the records into two folders, "
                "or choose with  --set first=NAME --set second=NAME"
            )
        return 0, 1
    for setting, name in (("first", first), ("second", second)):
        if name not in classes:
            close = did_you_mean(name, list(classes))
            raise GanvasError(f"{setting}={name!r} is no class of the data{close}; classes: {known}")
    if first == second:
        raise GanvasError(f"first and second are both '{first}': choose two of the classes {known}")
    return classes.index(first), classes.index(second)


def find_style(
    classes: tuple[str, ...], style: str, content: tuple[str, ...], system: str
) -> tuple[int, tuple[int, ...]] | None:
    """(the index of the class whose look is put on others, those of the others); None for data without classes or of one, which
    is the look itself. style: its name, or "" for the one called `style`; content: names of the others, or () for all.

    Raises GanvasError when it is not clear which.
    """
    name, known = style or "style", ", ".join(classes) or "none"
    if name not in classes or len(classes) < 2:
        if style or content:
            close = did_you_mean(name, list(classes))
            raise GanvasError(f"style={name!r} is no class beside others{close}; classes of the data: {known}")
        if len(classes) > 1:
            raise GanvasError(
                f"{system}: which class is the style that the others shall be given? Call its folder `style`, or say it with "
                f"--set style=NAME, one of {known}"
            )
        return None
    for one in content:
        if one not in classes or one == name:
            why = "is the style" if one == name else f"is no class of the data{did_you_mean(one, list(classes))}"
            raise GanvasError(f"{system}: content: '{one}' {why}; classes: {known}")
    return classes.index(name), tuple(k for k, own in enumerate(classes) if (own in content if content else own != name))
