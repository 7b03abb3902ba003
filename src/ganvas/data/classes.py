"""Which class of the data a system is to be fed with (`game.Feed.of`), where the user need not say. Not for dealing it."""

from __future__ import annotations

from ..errors import GanvasError, did_you_mean

USUAL_NAMES = ("normal", "healthy", "notumor", "no-tumor", "no-finding", "anomaly-free", "good", "ok")


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
    found = [k for k, name in enumerate(classes) if name.lower().replace("_", "-").replace(" ", "-") in USUAL_NAMES]
    if len(found) != 1:
        raise GanvasError(f"{system}: which class is normal? Say it with --set normal=NAME, one of {', '.join(classes)}")
    return (found[0],)
