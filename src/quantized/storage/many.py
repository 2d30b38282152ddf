"""Many rows of one table in few statements, for acts that write thousands while requests wait.

A server gets all of them as one JSON text: a statement for each row would be an answer for each. SQLite gets
some dozens at a time, for the reason that `storage.bulk` gives.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, LargeBinary, Table

from quantized.storage.bulk import chunks, insertion, marks

Values = Mapping[str, str | int | bytes | None]


def insert_many(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """All rows have the same columns."""
    if not rows:
        return
    names = list(rows[0])
    if _is_postgres(connection):
        columns = ", ".join(names)
        statement = f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {_rows_of(table)} AS row"  # noqa: S608  names of ours
        connection.exec_driver_sql(statement, (_json(table, rows),))
        return
    shape = insertion(table.name, names)
    for count, values in _chunks(rows):
        connection.exec_driver_sql(shape(count), tuple(values))


def update_many(
    connection: Connection, table: Table, by: Sequence[str], rows: Sequence[Values], *, where: str = "true"
) -> None:
    """All rows have the same columns: those in `by` say which rows they mean, the others what is set there.
    `where` is a condition on `{table}` beside."""
    if not rows:
        return
    names = list(rows[0])
    settings = ", ".join(f"{name} = row.{name}" for name in names if name not in by)
    meant = " AND ".join(f"{table.name}.{name} = row.{name}" for name in by)
    change = f"UPDATE {table.name} SET {settings} FROM {{}} WHERE {meant} AND {where}"  # noqa: S608  names of ours
    if _is_postgres(connection):
        connection.exec_driver_sql(change.format(f"{_rows_of(table)} AS row"), (_json(table, rows),))
        return
    for count, values in _chunks(rows):
        head = f"WITH row ({', '.join(names)}) AS (VALUES {marks(count, len(names))}) "
        connection.exec_driver_sql(head + change.format("row"), tuple(values))


def _is_postgres(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _rows_of(table: Table) -> str:
    """The rows in the one parameter, each value of its column's type."""
    return f"json_populate_recordset(NULL::{table.name}, %s::json)"


def _json(table: Table, rows: Sequence[Values]) -> str:
    blobs = [column.name for column in table.columns if column.name in rows[0] and _is_blob(column)]
    if blobs:
        rows = [{**row, **{name: _readable(row[name]) for name in blobs}} for row in rows]
    return msgspec.json.encode(rows).decode()


def _is_blob(column: Column[Any]) -> bool:
    return isinstance(column.type, LargeBinary)


def _readable(value: object) -> str | None:
    return f"\\x{value.hex()}" if isinstance(value, bytes) else None


def _chunks(rows: Sequence[Values]) -> Iterator[tuple[int, Sequence[object]]]:
    return chunks([tuple(row.values()) for row in rows])
