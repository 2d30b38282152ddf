"""Records as CSV, for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence

from quantized.administration.records import Record

# A spreadsheet takes what begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_cell(value: object) -> object:
    """Text that a spreadsheet would reckon with is kept from it by an apostrophe."""
    match value:
        case str() if value.startswith(_FORMULA):
            return f"'{value}"
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return value


def csv_lines(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([map(csv_cell, row) for row in rows])
    return text.getvalue().encode()


def csv_records(records: Iterable[Record]) -> bytes:
    """Each a line, its fields in their order."""
    return csv_lines([[getattr(record, name) for name in record.__struct_fields__] for record in records])
