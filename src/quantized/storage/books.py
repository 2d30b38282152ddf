"""The ledger's rows as an auditor reads them: raw, in pages, in one unchanging state of the database.

Nothing here judges. Rows come as tuples in the order of the columns that are named, as the driver gives them:
SQLite's booleans are 0 and 1.
"""

# ruff: noqa: S608  what stands in these statements are names of ours, never values

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, TextClause, text

from quantized.storage.engine import open_engine, reading
from quantized.storage.faults import database_errors
from quantized.storage.records import ENTRY_COLUMNS, USAGE_COLUMNS

Page = Sequence[tuple[Any, ...]]

PAGE = 1_000
"""Rows that are in memory at once."""

LICENSE_COLUMNS = ("id", "unlimited", "granted", "used", "held", "entries", "head", "open_holds")
HOLD_COLUMNS = ("id", "license_id", "state", "user_id")
PAIRED_RECORD_COLUMNS = ("hold_id", "created_at", "license_id", "request_id", "key_id", "provider", "model")
PAIRED_HOLD_COLUMNS = (
    "id", "ended_at", "license_id", "request_id", "key_id", "provider", "model", "state", "reason",
)  # fmt: skip


def _names(alias: str, columns: Sequence[str]) -> str:
    return ", ".join(f"{alias}.{column}" for column in columns)


def _only(alias: str) -> str:
    return f"(CAST(:only AS TEXT) IS NULL OR {alias}.license_id = :only)"


_LICENSES = text(
    f"SELECT {_names('l', LICENSE_COLUMNS)} FROM license AS l"
    f" WHERE l.id > :after AND (CAST(:only AS TEXT) IS NULL OR l.id = :only) ORDER BY l.id LIMIT {PAGE}"
)
_ENTRY_COUNT = text(
    "SELECT COALESCE(SUM(l.entries), 0) FROM license AS l WHERE CAST(:only AS TEXT) IS NULL OR l.id = :only"
)
_ENTRIES = text(
    f"SELECT {_names('e', ENTRY_COLUMNS)}, {_names('u', USAGE_COLUMNS)}, {_names('h', HOLD_COLUMNS)}"
    " FROM ledger_entry AS e"
    " LEFT JOIN usage_record AS u ON e.kind = 'charge' AND u.hold_id = e.hold_id"
    " LEFT JOIN hold AS h ON h.id = e.hold_id"
    f" WHERE e.license_id = :license_id AND e.seq > :after ORDER BY e.seq LIMIT {PAGE}"
)
_HELD = text(
    f"SELECT h.license_id, SUM(h.amount), COUNT(*) FROM hold AS h WHERE h.state = 'open' AND {_only('h')}"
    " GROUP BY h.license_id"
)
_HELD_BY_USER = text(
    "SELECT h.license_id, h.user_id, SUM(h.amount) FROM hold AS h"
    f" WHERE h.state = 'open' AND h.user_id IS NOT NULL AND {_only('h')} GROUP BY h.license_id, h.user_id"
)
_USERS = text("SELECT a.user_id, a.used, a.held FROM user_allowance AS a WHERE a.license_id = :license_id")
_RECORDS = text(
    "SELECT u.hold_id, u.license_id FROM usage_record AS u"
    f" WHERE u.hold_id > :after AND {_only('u')} ORDER BY u.hold_id LIMIT {10 * PAGE}"
)
_UNRECORDED = text(
    "SELECT h.id, h.license_id FROM hold AS h LEFT JOIN usage_record AS u ON u.hold_id = h.id"
    " WHERE h.id > :after AND h.state = 'settled' AND u.hold_id IS NULL"
    f" AND {_only('h')} ORDER BY h.id LIMIT {PAGE}"
)
_UNPAIRED = text(
    f"SELECT {_names('h', PAIRED_HOLD_COLUMNS)}, {_names('u', PAIRED_RECORD_COLUMNS)}"
    " FROM hold AS h LEFT JOIN usage_record AS u ON u.hold_id = h.id WHERE h.id > :after AND ("
    "(h.state = 'open' AND (u.hold_id IS NOT NULL OR h.ended_at IS NOT NULL OR h.reason IS NOT NULL))"
    " OR (h.state = 'settled' AND (h.reason IS NOT NULL OR h.ended_at IS NULL OR h.ended_at <> u.created_at))"
    " OR (h.state = 'released' AND (h.reason IS NULL OR h.ended_at IS NULL))"
    " OR h.state NOT IN ('open', 'settled', 'released')"
    " OR h.license_id <> u.license_id OR h.request_id <> u.request_id OR h.key_id <> u.key_id"
    " OR h.provider <> u.provider OR h.model <> u.model)"
    f" AND {_only('h')} ORDER BY h.id LIMIT {PAGE}"
)
_REFUNDS = text(
    "SELECT r.hold_id, MIN(r.license_id), MAX(r.license_id), SUM(r.amount), MIN(u.charged), MIN(u.license_id)"
    " FROM ledger_entry AS r LEFT JOIN usage_record AS u ON u.hold_id = r.hold_id"
    f" WHERE r.kind = 'refund' AND r.hold_id > :after AND {_only('r')}"
    f" GROUP BY r.hold_id ORDER BY r.hold_id LIMIT {PAGE}"
)
_STRAYS = text(
    " UNION ALL ".join(
        f"SELECT t.license_id, '{table}' FROM {table} AS t"
        " WHERE NOT EXISTS (SELECT 1 FROM license AS l WHERE l.id = t.license_id)"
        f" AND {_only('t')} GROUP BY t.license_id"
        for table in ("ledger_entry", "hold", "usage_record")
    )
)
_HOLDLESS = text(
    "SELECT u.hold_id, u.license_id FROM usage_record AS u LEFT JOIN hold AS h ON h.id = u.hold_id"
    f" WHERE h.id IS NULL AND {_only('u')}"
)
# For these the database sorts all charges by their holds, on disk where memory does not do.
_CHARGES = f"SELECT e.hold_id, e.license_id FROM ledger_entry AS e WHERE e.kind = 'charge' AND {_only('e')}"
_UNCHARGED_RECORDS = text(
    f"SELECT u.hold_id, u.license_id FROM usage_record AS u WHERE {_only('u')} EXCEPT {_CHARGES}"
)
_UNCHARGED_HOLDS = text(
    f"SELECT h.id, h.license_id FROM hold AS h WHERE h.state = 'settled' AND {_only('h')} EXCEPT {_CHARGES}"
)
_CHARGED_TWICE = text(
    "SELECT e.hold_id, MIN(e.license_id), COUNT(*), MAX(e.seq) FROM ledger_entry AS e"
    f" WHERE e.kind = 'charge' AND {_only('e')} GROUP BY e.hold_id HAVING COUNT(*) > 1"
)


class BooksReader:
    """One moment of the books, whole or as far as they are about one licence. Reads only as far as it is
    asked to; of lists that can be long, a page at a time."""

    def __init__(self, connection: Connection, only: str | None = None) -> None:
        """`only` is the id of a licence."""
        self._connection = connection
        self._only = only

    def entry_count(self) -> int:
        """How many entries the licences say they have, for telling how far one has come."""
        return int(self._connection.execute(_ENTRY_COUNT, {"only": self._only}).scalar_one())

    def licenses(self) -> Iterator[tuple[Any, ...]]:
        """LICENSE_COLUMNS, by id."""
        return self._pages(_LICENSES, PAGE)

    def entries(self, license_id: str) -> Iterator[Page]:
        """A licence's entries by their number, beside each the request's record of a charge, and the hold:
        ENTRY_COLUMNS, USAGE_COLUMNS, HOLD_COLUMNS, with None where there is no record or hold."""
        after = -(2**63)
        while True:
            rows = self._connection.execute(_ENTRIES, {"license_id": license_id, "after": after})
            page = [tuple(row) for row in rows]
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = page[-1][1]

    def held(self) -> dict[str, tuple[int, int]]:
        """What the open holds of each licence that has any add up to, and how many they are."""
        return {license_id: (int(amount), int(count)) for license_id, amount, count in self._all(_HELD)}

    def held_by_user(self) -> dict[str, dict[str, int]]:
        """By licence and user what the open holds that count for somebody's allowance add up to."""
        held: dict[str, dict[str, int]] = {}
        for license_id, user_id, amount in self._all(_HELD_BY_USER):
            held.setdefault(license_id, {})[user_id] = int(amount)
        return held

    def users(self, license_id: str) -> dict[str, tuple[int, int]]:
        """(used, held) of each user who has or had an allowance."""
        rows = self._connection.execute(_USERS, {"license_id": license_id})
        return {user_id: (used, held) for user_id, used, held in rows}

    def records(self) -> Iterator[tuple[Any, ...]]:
        """(hold id, licence) of the request records."""
        return self._pages(_RECORDS, 10 * PAGE)

    def unrecorded_holds(self) -> Iterator[tuple[Any, ...]]:
        """(hold id, licence) of settled holds that have no request record."""
        return self._pages(_UNRECORDED, PAGE)

    def unpaired_holds(self) -> Iterator[tuple[Any, ...]]:
        """Holds that contradict themselves or their record: PAIRED_HOLD_COLUMNS, PAIRED_RECORD_COLUMNS."""
        return self._pages(_UNPAIRED, PAGE)

    def refunds(self) -> Iterator[tuple[Any, ...]]:
        """(hold id, two of the licences that were refunded, amount in sum, charged or None, licence that was
        charged or None)."""
        return self._pages(_REFUNDS, PAGE)

    def strays(self) -> Iterator[tuple[Any, ...]]:
        """(licence, table) of rows whose licence does not exist."""
        return self._all(_STRAYS)

    def records_without_hold(self) -> Iterator[tuple[Any, ...]]:
        """(hold id, licence)."""
        return self._all(_HOLDLESS)

    def uncharged_records(self) -> Iterator[tuple[Any, ...]]:
        """(hold id, licence). Takes the database a sort of all charges, as do the next two."""
        return self._all(_UNCHARGED_RECORDS)

    def uncharged_holds(self) -> Iterator[tuple[Any, ...]]:
        """(hold id, licence) of settled holds."""
        return self._all(_UNCHARGED_HOLDS)

    def charged_twice(self) -> Iterator[tuple[Any, ...]]:
        """(hold id, licence, how often, newest entry's number)."""
        return self._all(_CHARGED_TWICE)

    def _all(self, statement: TextClause) -> Iterator[tuple[Any, ...]]:
        # Streamed, where the driver would otherwise fetch them all at once.
        rows = self._connection.execute(
            statement, {"only": self._only}, execution_options={"stream_results": True}
        )
        for row in rows:
            yield tuple(row)

    def _pages(self, statement: TextClause, size: int) -> Iterator[tuple[Any, ...]]:
        """Each row's first column is what the next page begins after."""
        after = ""
        while True:
            rows = self._connection.execute(statement, {"after": after, "only": self._only})
            page = [tuple(row) for row in rows]
            yield from page
            if len(page) < size:
                return
            after = page[-1][0]


@contextmanager
def read_books(url: str, only: str | None = None) -> Iterator[BooksReader]:
    """Raises DatabaseUnusable, here and wherever something is read within."""
    with database_errors(), reading(open_engine(url)) as connection:
        yield BooksReader(connection, only)
