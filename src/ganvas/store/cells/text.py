"""Text files cut into rows of cells: encoding, comments, separator, quotes. Not for names of columns or what cells mean."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import DataError
from ..guard import printable
from .values import COMMA, is_missing, number

MARKS = ("#", "%", "//")
"""With one of these a comment begins, if a blank or nothing stands behind it; `#love` is a cell."""
SAMPLE = 400  # rows that decide the separator
MARKED = re.compile(r"^[^\S\n]*(?:#|%|//)", re.MULTILINE)
BLANK = re.compile(r"\A[^\S\n]*\n|\n[^\S\n]*(?:\n|\Z)")
SPACE = re.compile(r"[^\S\n]")
SPACE_BESIDE_TABS = re.compile(r"[^\S\n\t]")
BRACES = re.compile(r"^(.*?)[\s,;]+(\{.*\})\s*$")
ONE_COLUMN = "\x1f"  # a separator that no text has
CALLED = {"\t": "tab", ";": "semicolon", ",": "comma", " ": "blanks"}
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # in this order: the mark of UTF-32 begins as that of UTF-16 does


@dataclass
class Sheet:
    """A text file as rows of cells, without blanks around them; rows may differ in length.

    lines: the number of each row's line in the file. separator: tab, `;`, `,`, a blank for any number of blanks, or None where
    a line is one cell. counts: what was left out -> how often, to be told.
    """

    path: Path
    rows: list[list[str]]
    lines: Sequence[int]
    separator: str | None
    counts: dict[str, int] = field(default_factory=dict)
    quoted: bool = False

    def count(self, what: str, often: int) -> None:
        """Note that something was left out, or read in a way that is worth telling."""
        if often:
            self.counts[what] = self.counts.get(what, 0) + often

    def kept(self, keep: Sequence[bool]) -> None:
        """Leave out the rows that are not to be kept."""
        self.lines = [line for line, own in zip(self.lines, keep, strict=True) if own]
        self.rows = [row for row, own in zip(self.rows, keep, strict=True) if own]


def refusal(path: Path, what: str) -> DataError:
    """An error of one line about a file: what is wrong and what to do."""
    return DataError(printable(f"{path}: {what}"))


def decoded(path: Path) -> str:
    r"""The text of a file, with \n as the end of lines: UTF-8, or what its byte-order mark says. Raises DataError."""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise refusal(path, f"cannot be read ({error.strerror or error}): check the path and its permissions") from None
    encoding = next((name for mark, name in _ENCODINGS if body.startswith(mark)), "utf-8")
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        wide = "" if encoding.startswith("utf-8") else f", nor whole {encoding.upper()}"
        place = error.start if encoding.startswith("utf-8") else 0
        line = body.count(b"\n", 0, error.start) + 1
        where = f"byte {place}" if line == 1 else f"byte {place}, line {line}"
        raise refusal(path, f"not UTF-8 text ({where}){wide}: save it as UTF-8 (in spreadsheets: CSV UTF-8)") from None
    if "\0" in text:
        raise refusal(path, "holds zero bytes, so it is not a text file: save it as UTF-8 (in spreadsheets: CSV UTF-8)")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def read_sheet(path: Path, *, ragged: bool = False, braces: bool = False, blanks: bool = True) -> Sheet:
    """A text file as rows of cells. Raises DataError in one line.

    ragged: rows may differ in length, and none is taken for a comment by its length. braces: what stands in `{}` at the end of
    a line is one cell. blanks: they may separate cells, where nothing else does.
    """
    text = decoded(path)
    return cut(path, text, separator_of(path, text, ragged=ragged, braces=braces, blanks=blanks), braces=braces)


def is_comment(line: str) -> bool:
    """Whether a line is a comment whatever else the table holds: a mark, and behind it a blank or nothing."""
    line = line.strip()
    if not line.startswith(MARKS):
        return False
    rest = line.lstrip("#%/")
    return not rest or rest[0].isspace()


def separator_of(path: Path, text: str, *, ragged: bool = False, braces: bool = False, blanks: bool = True) -> str | None:
    """What separates the cells, as the first rows show. Raises DataError where two marks may.

    A `.tsv` has tabs. Else the mark that cuts most rows as it cuts the first one; tabs before all, for nobody writes them
    within cells. Of semicolon and comma, where both do, the one that leaves numbers. Blanks, where no mark is in the first row.
    """
    if path.name.lower().endswith((".tsv", ".tab")):
        return "\t"
    lines = _sample(text)
    if braces:
        lines = [found[1] if (found := BRACES.match(line)) else line for line in lines]
    if not lines:
        return None
    cut_by = {mark: _trial(lines, mark) for mark in "\t;,"}
    if ragged:
        totals = {mark: sum(len(row) - 1 for row in rows) for mark, rows in cut_by.items()}
        if 2 * sum(len(row) > 1 for row in cut_by["\t"]) >= len(lines):
            return "\t"
        if totals[";"] == totals[","] > 0:
            raise _doubtful(path)
        best = max(";,", key=lambda mark: totals[mark])
        if totals[best]:
            return best
        return " " if blanks and any(len(line.split()) > 1 for line in lines) else None
    shares = {mark: _agreement(rows) for mark, rows in cut_by.items()}
    usable = [mark for mark, share in shares.items() if share >= 0.5]
    if "\t" in usable:
        return "\t"
    if len(usable) == 2:
        numeric = [mark for mark in usable if _all_numbers(cut_by[mark], mark)]
        whole = [mark for mark in usable if shares[mark] == 1.0]
        usable = numeric if len(numeric) == 1 else whole
        if len(usable) != 1:
            raise _doubtful(path)
    if usable:
        return usable[0]
    in_first = [mark for mark, rows in cut_by.items() if len(ended(rows[0])) > 1]
    if in_first:  # every row is of another length: the first that is will be refused by its line
        return max(in_first, key=lambda mark: len(cut_by[mark][0]))
    return " " if blanks and _agreement([line.split() for line in lines]) >= 0.5 else None


def _doubtful(path: Path) -> DataError:
    return refusal(
        path, "semicolons and commas may both separate its cells: quote the cells that hold them, or save it as .tsv"
    )


def _sample(text: str) -> list[str]:
    """The first lines that are no comments and not empty."""
    found: list[str] = []
    marked: list[str] = []
    begin = 0
    while begin < len(text) and len(found) < SAMPLE:
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        line, begin = text[begin:end], end + 1
        if line.strip() and not is_comment(line):
            (marked if line.lstrip().startswith(MARKS) else found).append(line)
    return found or marked


def _trial(lines: list[str], mark: str) -> list[list[str]]:
    try:
        return [row for row in csv.reader(lines, delimiter=mark, skipinitialspace=True) if row]
    except csv.Error:
        return [[""]]


def ended(row: list[str]) -> list[str]:
    """The row without empty cells at its end."""
    last = next((k for k in range(len(row), 0, -1) if row[k - 1].strip()), 0)
    return row[:last]


def _agreement(rows: list[list[str]]) -> float:
    """The share of rows that are as long as the first, where that has two cells or more; there may be empty ones behind."""
    best = 0.0
    for width in {len(rows[0]), len(ended(rows[0]))}:
        if width > 1:
            # R writes no name over its row numbers, so that each further row has one cell more.
            for other in (width, width + 1):
                fits = sum(len(ended(row)) <= other <= len(row) for row in rows[1:])
                best = max(best, (fits + 1) / len(rows))
    return best


def _all_numbers(rows: list[list[str]], mark: str) -> bool:
    """Whether all cells below the first row are numbers, or none at all; with decimal commas, where no comma separates."""
    cells = {cell.strip() for row in rows[1:] or rows for cell in row}
    return all(is_missing(c) or number(c) is not None or (mark != "," and COMMA.fullmatch(c) is not None) for c in cells)


def cut(path: Path, text: str, separator: str | None, *, braces: bool = False) -> Sheet:
    """Text as rows of cells; empty lines and comments are left out and counted. Raises DataError in one line."""
    text = text.rstrip("\n")
    if not text.strip():
        return Sheet(path, [], [], separator)
    if '"' in text or (braces and "{" in text) or separator is None or MARKED.search(text):
        return _cut_slowly(path, text, separator, braces)
    lines = text.split("\n")
    numbers: Sequence[int] = range(1, len(lines) + 1)
    empty = 0
    if BLANK.search(text):
        places = [k for k, line in enumerate(lines) if line.strip()]
        empty = len(lines) - len(places)
        numbers = [k + 1 for k in places]
        lines = [lines[k] for k in places]
    if separator == " ":
        rows = [line.split() for line in lines]
    else:
        rows = [line.split(separator) for line in lines]
        if (SPACE_BESIDE_TABS if separator == "\t" else SPACE).search(text):
            rows = [[cell.strip() for cell in row] for row in rows]
    sheet = Sheet(path, rows, numbers, separator)
    sheet.count("empty lines left out", empty)
    return sheet


class _Lines:
    """Lines for a CSV reader; at the begin of a row, comments and empty lines are passed over."""

    def __init__(self, lines: list[str], separator: str, braces: bool) -> None:
        self.lines, self.separator, self.braces = lines, separator, braces
        self.at = 0
        self.begins = True
        self.first = 0
        self.comments: list[str] = []
        self.empty = 0
        self.tail: str | None = None

    def __iter__(self) -> Iterator[str]:
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            if self.begins:
                if not line.strip():
                    self.empty += 1
                    continue
                if is_comment(line):
                    self.comments.append(line.strip())
                    continue
                self.first, self.begins = self.at, False
                if self.braces and (found := BRACES.match(line)):
                    line, self.tail = found[1], found[2]
            yield (" ".join(line.split()) if self.separator == " " else line) + "\n"


def _cut_slowly(path: Path, text: str, separator: str | None, braces: bool) -> Sheet:
    lines = text.split("\n")
    feed = _Lines(lines, separator or ONE_COLUMN, braces)
    reader = csv.reader(iter(feed), delimiter=feed.separator, skipinitialspace=True, strict=True)
    rows: list[list[str]] = []
    numbers: list[int] = []
    while True:
        feed.begins, feed.tail = True, None
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise refusal(path, f"line {feed.first}: not a CSV table ({error}): mend the quotes of that line") from None
        if row is None:
            break
        cells = [cell.strip() for cell in row]
        rows.append(cells if feed.tail is None else [*cells, feed.tail])
        numbers.append(feed.first)
    sheet = Sheet(path, rows, numbers, separator, quoted='"' in text)
    sheet.count("empty lines left out", feed.empty)
    sheet.count("comment lines left out", len(feed.comments))
    return sheet
