"""Records to the terminal: a table where a person looks, aligned text where a pipe does, JSON for programs.

A record is a mapping of names to JSON values. Names say their unit: what has `_micro_credits` in its name is
shown in credits, `…_at` is a time.
"""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import click

from quantized.cli.shell import print_json

Record = Mapping[str, object]
_MICRO_CREDITS = "_micro_credits"
# A spreadsheet takes what begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def iso_time(unix_ms: int | None) -> str | None:
    """Unix milliseconds as RFC 3339 in UTC."""
    if unix_ms is None:
        return None
    seconds, milliseconds = divmod(unix_ms, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03}Z"


def credits_text(micro_credits: int) -> str:
    """Exact, without zeros at the end: 1500000 is 1.5."""
    sign = "-" if micro_credits < 0 else ""
    whole, rest = divmod(abs(micro_credits), 1_000_000)
    return f"{sign}{whole}.{rest:06}".rstrip("0").rstrip(".")


def show(record: Record, *, as_json: bool) -> None:
    """One record, a line for each field."""
    if as_json:
        print_json(record)
        return
    width = max(len(_header(name)) for name in record)
    for name, value in record.items():
        click.echo(f"{_header(name):<{width}}  {_cell(name, value)}")


def show_all(records: Sequence[Record], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """A list: these columns of each record, or `empty` where there is none; whole records as JSON."""
    if as_json:
        print_json(records)
    elif not records:
        click.echo(empty, err=True)
    else:
        headers = [_header(name) for name in columns]
        right = [any(type(record[name]) is int for record in records) for name in columns]
        cells = [[_cell(name, record[name]) for name in columns] for record in records]
        if sys.stdout.isatty():
            _print_table(headers, cells, right)
        else:
            _print_aligned(headers, cells, right)


def print_csv(fields: Sequence[str], records: Iterable[Record]) -> None:
    """Rows leave as they are read: years of requests need no memory."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(fields)
    for record in records:
        writer.writerow([_csv_cell(record[field]) for field in fields])


def printable(text: str) -> str:
    """Names come from people and tokens; an escape sequence in one must not reach the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _csv_cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


def _header(name: str) -> str:
    return name.replace(_MICRO_CREDITS, "").removesuffix("_at").replace("_", " ")


def _cell(name: str, value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int() if _MICRO_CREDITS in name:
            return credits_text(value)
        case list():
            return _cell(name, ", ".join(map(str, value)) or None)
        case str() if name.endswith("_at"):
            return value[:19].replace("T", " ")
        case _:
            return printable(str(value))


def _print_aligned(headers: list[str], cells: list[list[str]], right: list[bool]) -> None:
    rows = [headers, *cells]
    widths = [max(len(row[column]) for row in rows) for column in range(len(headers))]
    for row in rows:
        line = "  ".join(
            cell.rjust(width) if to_the_right else cell.ljust(width)
            for cell, width, to_the_right in zip(row, widths, right, strict=True)
        )
        click.echo(line.rstrip())


def _print_table(headers: list[str], cells: list[list[str]], right: list[bool]) -> None:
    # A tenth of a second of import time, which a pipe need not wait for.
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD)
    for header, to_the_right in zip(headers, right, strict=True):
        table.add_column(Text(header), justify="right" if to_the_right else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)
