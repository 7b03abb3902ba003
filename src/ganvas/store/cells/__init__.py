"""Tables, read by one rule: CSV, TSV, JSON lines and Parquet to named columns of text with line numbers.

`text` cuts a text file into rows, `values` says what a cell holds, `columns` makes rows to named columns. What is left out
(comments, row numbers) is told; what may mean two things is refused in one line. Not for what columns mean: a kind knows
which is time, which a node.
"""

from __future__ import annotations

from .columns import EITHER, NAMED, SUFFIXES, Cells, index_column, read_cells, read_matrix, told
from .text import MARKS, Sheet, decoded, read_sheet
from .values import MISSING, MISSING_AMONG_NUMBERS, NUMERAL, bad_number, is_missing, number, numbers, why_no_number

__all__ = [
    "EITHER", "MARKS", "MISSING", "MISSING_AMONG_NUMBERS", "NAMED", "NUMERAL", "SUFFIXES", "Cells", "Sheet",
    "bad_number", "decoded", "index_column", "is_missing", "number", "numbers", "read_cells", "read_matrix",
    "read_sheet", "told", "why_no_number",
]  # fmt: skip
