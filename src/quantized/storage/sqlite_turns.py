"""Stored turns on SQLite: written with their charges, and the statements that are SQLite's own.

What is read comes as one row of JSON, or as one row of many blobs; `storage.bulk` says why.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import msgspec

from quantized.storage.bulk import Value, chunks, insert_rows, insertion, padded
from quantized.storage.records import Settlement
from quantized.storage.turn_store import Query, TurnReader
from quantized.storage.turns import (
    BLOB_COLUMNS,
    CALL_COLUMNS,
    REASONING_COLUMNS,
    RESPONSE_COLUMNS,
    CallLink,
    call_key,
    turn_rows,
)

T = TypeVar("T")

_insert_responses = insertion("response", (*RESPONSE_COLUMNS, *BLOB_COLUMNS))
_insert_calls = insertion("response_call", CALL_COLUMNS)
_insert_reasoning = insertion("response_reasoning", REASONING_COLUMNS)

# One answer that made the call, and whether there is another: however many there are, two rows are looked at.
SELECT_OWN_CALLS = (
    "WITH wanted (id) AS (VALUES {ids})"
    " SELECT json_group_array("
    "json_array(c.call_id, c.response_id, c.fingerprint, c.thoughts, length(t.reasoning)))"
    " FROM wanted CROSS JOIN response_call AS c ON c.license_id = ?1 AND c.call_id = wanted.id"
    " AND c.response_id = ("
    "SELECT min(response_id) FROM response_call WHERE license_id = ?1 AND call_id = wanted.id)"
    " CROSS JOIN response AS r ON r.id = c.response_id AND (r.expires_at IS NULL OR r.expires_at > ?2)"
    " CROSS JOIN response_reasoning AS t ON t.response_id = c.response_id"
    " WHERE c.thoughts > 0 AND NOT EXISTS (SELECT 1 FROM response_call AS other"
    " WHERE other.license_id = ?1 AND other.call_id = c.call_id AND other.response_id > c.response_id)"
)


def insert_turns(connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> int:
    """Inside the transaction that writes the charges, and after them. Returns the size of what was written,
    in bytes."""
    rows = turn_rows(settlements)
    if not rows.responses:
        return 0
    responses = [(*row, *blobs) for row, blobs in zip(rows.responses, rows.blobs, strict=True)]
    insert_rows(connection, _insert_responses, responses)
    insert_rows(connection, _insert_calls, rows.calls)
    insert_rows(connection, _insert_reasoning, rows.reasoning)
    return sum(len(blob) for blobs in rows.blobs for blob in blobs)


class SqliteTurnReader(TurnReader):
    """`storage.turn_store.TurnReader` on a `sqlite3.Connection`."""

    def own_calls(self, call_ids: Sequence[str]) -> list[CallLink]:
        wanted = {call_key(call_id): call_id for call_id in call_ids}
        found: list[CallLink] = []
        for group in padded([*wanted]):
            links = self._rows(_own_calls(len(group)), (self._license_id, self._now, *group), CallLink)
            # The last of a group may have been asked for, and found, more than once.
            found += {link.call_id: link for link in links}.values()
        return [msgspec.structs.replace(link, call_id=wanted[link.call_id]) for link in found]

    def _select(self, query: Query, values: Sequence[Value], of: type[T]) -> list[T]:
        return self._rows(query.text.format(f"json_group_array(json_array({query.columns}))"), values, of)

    def _rows(self, statement: str, values: Sequence[Value], of: type[T]) -> list[T]:
        (text,) = self._connection.execute(statement, values).fetchone()
        return msgspec.json.decode(text, type=list[of])  # type: ignore[valid-type]

    def _blobs(self, one: str, ids: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for count, values in chunks([(id_,) for id_ in ids]):
            found += self._connection.execute(_side_by_side(one, count), values).fetchone()
        return found


@cache
def _side_by_side(one: str, count: int) -> str:
    return f"SELECT {', '.join([f'({one})'] * count)}"


@cache
def _own_calls(count: int) -> str:
    return SELECT_OWN_CALLS.format(ids=", ".join(f"(?{number})" for number in range(3, 3 + count)))
