"""The errors a user can meet, each one line that says what was wrong, where, and what to do about it.

Not for programming mistakes: those stay ordinary exceptions with a traceback. The command line prints the message of a
`GanvasError` alone and ends with its `exit_code`.
"""

from __future__ import annotations


class GanvasError(Exception):
    """A usage error: an option, a name or a value that cannot be served. The command line exits with 2.

    aloud: to be told by this process although another one of the run speaks for all (`launchers.leads`), because that is gone.
    """

    exit_code = 2
    aloud = False


class DataError(GanvasError):
    """Data that cannot be read or used: names the file and the fix. The command line exits with 2."""


class MixedData(DataError):
    """Records that differ in what one option would make equal. option: its name, such as `size`; value: one that would do."""

    def __init__(self, message: str, option: str, value: int) -> None:
        super().__init__(message)
        self.option, self.value = option, value

    def __reduce__(self) -> tuple[type, tuple[str, str, int]]:
        return type(self), (str(self), self.option, self.value)


class SwappedFields(DataError):
    """Two fields of records hold each other's. fields: name -> column or folder, with which they are as they should be."""

    def __init__(self, message: str, fields: dict[str, str]) -> None:
        super().__init__(message)
        self.fields = fields

    def __reduce__(self) -> tuple[type, tuple[str, dict[str, str]]]:
        return type(self), (str(self), self.fields)


class MissingExtra(GanvasError):
    """An optional package is not installed; the message is the `pip install` line that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs the package '{package}': run  pip install 'ganvas[{extra}]'")
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.package, self.extra)  # its line alone would not rebuild it in another process


class RunError(GanvasError):
    """A run that failed although it was asked for properly (disk full, folder gone, training diverged): exit code 1."""

    exit_code = 1


def did_you_mean(word: str, known: list[str] | tuple[str, ...]) -> str:
    """`" (did you mean 'dcgan'?)"` when a known word is close to `word`, else an empty string."""
    import difflib

    begun = [name for name in known if len(word) > 2 and name.startswith(word)]
    close = begun or difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""
