"""Rows on their way to PostgreSQL: a table's rows as one JSON text, ids and blobs as one array.

Of what was measured (a parameter for each value, an array for each column, objects, arrays of arrays) this
costs a gateway least, and the server no more.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

Value = bytes | None

encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode

_BYTEA = 17
_BOOLEANS = frozenset({"estimated"})
_BLOBS = frozenset({"record_hash", "hash"})
_NUMBERS = frozenset({
    "seq", "amount", "balance_after", "created_at", "taken_at", "expires_at", "ended_at", "input",
    "cached_read", "cache_write", "cache_write_1h", "input_audio", "output", "reasoning", "output_audio",
    "output_image", "web_searches", "price", "charged", "overrun", "remaining", "provider_cost", "started_at",
    "first_byte_ms", "duration_ms", "thoughts", "tokens", "used", "held",
})  # fmt: skip


def cells(columns: Sequence[str]) -> str:
    """What to select for these columns from `row`, a JSON array of their values. What is bytes is in there as
    msgspec writes it: base64."""
    return ", ".join(_cell(place, column) for place, column in enumerate(columns))


def insertion(table: str, columns: Sequence[str]) -> str:
    """An INSERT of all rows in the JSON array of arrays that is the one parameter (`{}`)."""
    return (
        f"INSERT INTO {table} ({', '.join(columns)})"  # noqa: S608  names of ours, no values
        f" SELECT {cells(columns)} FROM jsonb_array_elements({{}}::jsonb) AS row"
    )


def text_array(texts: Sequence[str]) -> bytes:
    """For a parameter of type text[]. Raises ValueError for text that UTF-8 does not know."""
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    return ('{"' + '","'.join(quoted) + '"}').encode() if quoted else b"{}"


def blob_array(blobs: Sequence[bytes]) -> bytes:
    """For a parameter of type bytea[] in the binary format."""
    head = struct.pack("!iiiii", 1, 0, _BYTEA, len(blobs), 1)
    return b"".join([head, *(part for blob in blobs for part in (struct.pack("!i", len(blob)), blob))])


def _cell(place: int, column: str) -> str:
    if column in _BLOBS:
        return f"decode(row ->> {place}, 'base64')"
    if column in _NUMBERS:
        return f"(row ->> {place})::bigint"
    if column in _BOOLEANS:
        return f"(row ->> {place})::boolean"
    return f"row ->> {place}"
