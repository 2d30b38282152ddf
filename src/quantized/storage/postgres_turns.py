"""Stored turns on PostgreSQL: the statements that are PostgreSQL's own. The ledger writes them
(`storage.postgres_ledger`)."""

from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from quantized.storage.database import Value
from quantized.storage.turn_store import Query, TurnReader
from quantized.storage.turns import CallLink, call_key

T = TypeVar("T")

# One answer that made the call, and whether there is another: however many there are, two rows are looked at.
SELECT_OWN_CALLS = (
    "SELECT c.call_id, c.response_id, c.fingerprint, c.thoughts, length(t.reasoning)"
    " FROM unnest(%(ids)s::text[]) AS wanted (id) CROSS JOIN LATERAL ("
    "SELECT * FROM response_call WHERE license_id = %(license)s AND call_id = wanted.id"
    " ORDER BY response_id LIMIT 1) AS c"
    " JOIN response AS r ON r.id = c.response_id AND (r.expires_at IS NULL OR r.expires_at > %(now)s)"
    " JOIN response_reasoning AS t ON t.response_id = c.response_id"
    " WHERE c.thoughts > 0 AND NOT EXISTS (SELECT 1 FROM response_call AS other"
    " WHERE other.license_id = %(license)s AND other.call_id = c.call_id"
    " AND other.response_id > c.response_id)"
)


class PostgresTurnReader(TurnReader):
    """`storage.turn_store.TurnReader` on a `psycopg.Connection`."""

    def own_calls(self, call_ids: Sequence[str]) -> list[CallLink]:
        wanted = {call_key(call_id): call_id for call_id in call_ids}
        values = {"ids": [*wanted], "license": self._license_id, "now": self._now}
        rows = self._connection.execute(SELECT_OWN_CALLS, values).fetchall()
        return [replace(link, call_id=wanted[link.call_id]) for link in (CallLink(*row) for row in rows)]

    def _select(self, query: Query, values: Sequence[Value], of: type[T]) -> list[T]:
        statement = query.text.format(query.columns).replace("?", "%s")
        return [of(*row) for row in self._connection.execute(statement, values)]

    def _blobs(self, one: str, ids: Sequence[str]) -> list[bytes | None]:
        # Text would be twice as long. The order is that of the ids.
        wanted = one.replace("?", "wanted.id")
        statement = f"SELECT ({wanted}) FROM unnest(%s::text[]) AS wanted (id)"  # noqa: S608  text of ours
        rows: list[Any] = self._connection.execute(statement, ([*ids],), binary=True).fetchall()
        return [blob for (blob,) in rows]
