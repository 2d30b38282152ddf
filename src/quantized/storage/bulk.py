"""Statements over many rows at once.

The sqlite3 module gives up the interpreter's lock for every row that a statement steps over, and in a busy
process may wait milliseconds to get it back. So a batch writes each table in a few statements of many rows,
and reads with one that returns a single row of JSON. There are only so many sizes, so that few shapes of a
statement exist and stay compiled.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache

Value = str | int | bytes | None
Row = Sequence[Value]

LARGEST = 64
"""Rows in one statement; times the columns of the widest table, well below SQLite's bound of variables."""

_SIZES = (LARGEST, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
_LARGEST_IN = [max(size for size in _SIZES if size <= max(count, 1)) for count in range(LARGEST + 1)]


def chunks(rows: Sequence[Row]) -> Iterator[tuple[int, Row]]:
    """The rows in groups of a few sizes, each as (count, its values one after another)."""
    if len(rows) == 1:
        yield 1, rows[0]
        return
    start = 0
    while start < len(rows):
        size = _LARGEST_IN[min(len(rows) - start, LARGEST)]
        yield size, [value for row in rows[start : start + size] for value in row]
        start += size


def padded(ids: Sequence[str]) -> Iterator[list[str]]:
    """The ids for an `IN (…)`, in groups whose size is a power of two; the last id may repeat."""
    for start in range(0, len(ids), LARGEST):
        group = list(ids[start : start + LARGEST])
        size = 1 << (len(group) - 1).bit_length()
        yield group + group[-1:] * (size - len(group))


@cache
def marks(count: int, width: int) -> str:
    """`(?, ?), (?, ?)`: `count` rows of `width` values."""
    row = "(" + ", ".join("?" * width) + ")"
    return ", ".join([row] * count)


def insertion(table: str, columns: Sequence[str]) -> Callable[[int], str]:
    """An INSERT of so many whole rows."""
    head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608  names of ours, no values
    width = len(columns)

    @cache
    def statement(count: int) -> str:
        return head + marks(count, width)

    return statement


def insert_rows(connection: sqlite3.Connection, statement: Callable[[int], str], rows: Sequence[Row]) -> None:
    """All the rows by an `insertion`; no statement at all where there are none."""
    for count, values in chunks(rows):
        connection.execute(statement(count), values)
