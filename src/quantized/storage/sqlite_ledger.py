"""The ledger's statements on SQLite: one transaction for a whole batch, in a handful of steps."""

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import astuple

from quantized.core.errors import LedgerUnavailable
from quantized.storage.bulk import chunks, insert_rows, insertion, marks, padded
from quantized.storage.database import DatabaseUnusable
from quantized.storage.records import (
    ENTRY_COLUMNS,
    USAGE_COLUMNS,
    Changes,
    EntryRow,
    HoldRow,
    LicenseRow,
    Needs,
    Rejected,
    Rows,
    Unreached,
    UserRow,
)
from quantized.storage.sqlite import connect, sqlite_path
from quantized.storage.sqlite_turns import insert_turns

T = TypeVar("T")

WRITER_BUSY_SECONDS = 1.0
"""Less than anybody waits for the ledger, so that whoever waits sees more than one try."""

_HOLD_COLUMNS = (
    "id", "license_id", "amount", "state", "taken_at", "expires_at", "request_id", "key_id", "provider",
    "model", "owner", "tokens", "user_id",
)  # fmt: skip
_insert_holds = insertion("hold", _HOLD_COLUMNS)
_insert_entries = insertion("ledger_entry", ENTRY_COLUMNS)
_insert_usage = insertion("usage_record", USAGE_COLUMNS)

_PAUSE_SECONDS, _LONG_PAUSE_SECONDS = 0.000_3, 0.005
"""Between two tries to begin while another process writes. SQLite's own pauses grow to 100 ms, so that of two
busy processes one waits hundreds of times as long as the other's transactions take. After _LONG_WAIT_SECONDS
it is somebody else's longer work that we wait for."""
_LONG_WAIT_SECONDS = 0.02

# Without the sync a commit takes 0.1 ms, with it 1 to 2. A later sync covers what was written before it.
_BEGIN = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE"
_BEGIN_DURABLE = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE"

_SELECT_LICENSES = (
    "SELECT json_group_array(json_array(id, unlimited, active, granted, used, held, entries, hex(head),"
    " open_holds, requests_owed, tokens_owed, metered_at))"
    " FROM license WHERE id IN "
)
_SELECT_HOLDS = (
    "SELECT json_group_array(json_array("
    "h.id, h.license_id, h.amount, h.state, u.charged, u.overrun, u.remaining, h.tokens, h.user_id))"
    " FROM hold AS h LEFT JOIN usage_record AS u ON u.hold_id = h.id WHERE h.id IN "
)
_SELECT_ENTRIES = f"SELECT {', '.join(ENTRY_COLUMNS)} FROM ledger_entry WHERE id IN "  # noqa: S608  names of ours
_SELECT_REFUNDS = (
    f"SELECT {', '.join(ENTRY_COLUMNS)} FROM ledger_entry"  # noqa: S608  names of ours
    " WHERE kind = 'refund' AND hold_id IN "
)
_END_HOLDS = "UPDATE hold SET state = ?, reason = ?, ended_at = ? WHERE state = 'open' AND id IN "
# Most batches are about one licence, and one is twice as fast without the join.
_UPDATE_LICENSE = (
    "UPDATE license SET granted = ?, used = ?, held = ?, entries = ?, head = ?, open_holds = ?,"
    " requests_owed = ?, tokens_owed = ?, metered_at = ? WHERE id = ?"
)
_UPDATE_LICENSES = (
    "UPDATE license SET granted = v.column1, used = v.column2, held = v.column3, entries = v.column4,"
    " head = v.column5, open_holds = v.column6, requests_owed = v.column7, tokens_owed = v.column8,"
    " metered_at = v.column9 FROM (VALUES (?)) AS v WHERE license.id = v.column10"
)
# Few requests count for somebody's allowance, and of one batch for few people's.
_SELECT_USER = (
    "SELECT license_id, user_id, cap, used, held FROM user_allowance WHERE license_id = ? AND user_id = ?"
)
_WRITE_USER = (
    "INSERT INTO user_allowance (license_id, user_id, used, held) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (license_id, user_id) DO UPDATE SET used = excluded.used, held = excluded.held"
)


class SqliteLedgerStore:
    """`storage.records.LedgerStore` over one connection, opened when first needed and again after a failure.

    It never creates the file: an empty database in place of a lost one would serve nobody's money.
    """

    def __init__(
        self, url: str, *, owner: str | None = None, busy_seconds: float = WRITER_BUSY_SECONDS
    ) -> None:
        """`owner`: the process that takes holds here. Raises DatabaseUnusable for a URL that cannot work."""
        self._url = url
        self._owner = owner
        self._path = sqlite_path(url)
        self._busy_seconds = busy_seconds
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def transact(
        self, needs: Needs, decide: Callable[[Rows], Changes], *, now_ms: int, durable: bool = True
    ) -> None:
        self._attempt(
            lambda connection: transact(
                connection,
                needs,
                decide,
                now_ms=now_ms,
                durable=durable,
                owner=self._owner,
                busy_seconds=self._busy_seconds,
            )
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._open()
        except (sqlite3.Error, DatabaseUnusable, OSError) as error:
            self.close()
            raise Unreached(cause=f"{type(error).__name__}: {error}") from error
        try:
            return work(connection)
        except (
            sqlite3.IntegrityError,
            sqlite3.DataError,
            sqlite3.ProgrammingError,
            ValueError,
            OverflowError,
        ) as error:
            raise Rejected(str(error)) from error
        except (sqlite3.Error, OSError) as error:
            self.close()
            # Whoever has begun is not told so any more.
            busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            refusal = Unreached if busy else LedgerUnavailable
            raise refusal(cause=f"{type(error).__name__}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        # A file that was moved away takes writes as if nothing had happened, and nobody ever sees them again.
        found = os.stat(self._path)  # noqa: PTH116  half the cost of Path.stat, once in every batch
        file = (found.st_dev, found.st_ino)
        if self._connection is not None and file != self._file:
            self.close()
        if self._connection is None:
            self._connection = connect(self._url, busy_seconds=self._busy_seconds, create=False)
            # From here on it is ours to wait.
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._file = file
        return self._connection


def transact(
    connection: sqlite3.Connection,
    needs: Needs,
    decide: Callable[[Rows], Changes],
    *,
    now_ms: int,
    durable: bool,
    owner: str | None = None,
    busy_seconds: float = 0,
) -> None:
    """`storage.records.LedgerStore.transact`, with SQLite's own exceptions."""
    _begin(connection, _BEGIN_DURABLE if durable else _BEGIN, busy_seconds)
    try:
        _write(connection, decide(_read(connection, needs)), now_ms, owner)
        connection.execute("COMMIT")
    except BaseException:
        # Some failures (a full disk) have already rolled back.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _begin(connection: sqlite3.Connection, script: str, busy_seconds: float) -> None:
    """Waits about so long for other processes' transactions."""
    waited = 0.0
    while True:
        try:
            # A script, because the pragma acts when it is compiled, and a lone statement is compiled once.
            connection.executescript(script)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or waited >= busy_seconds:
                raise
        else:
            return
        pause = _PAUSE_SECONDS if waited < _LONG_WAIT_SECONDS else _LONG_PAUSE_SECONDS
        threading.Event().wait(pause)
        waited += pause


def _select(connection: sqlite3.Connection, statement: str, ids: Sequence[str], of: type[T]) -> list[T]:
    found: list[T] = []
    for group in padded(ids):
        (text,) = connection.execute(statement + marks(1, len(group)), group).fetchone()
        found += msgspec.json.decode(text, type=list[of], strict=False)  # type: ignore[valid-type]
    return found


def _select_entries(connection: sqlite3.Connection, statement: str, ids: Sequence[str]) -> list[EntryRow]:
    # Only operators ask for entries, so that the rows may come one by one; JSON has no bytes.
    rows = [
        row for group in padded(ids) for row in connection.execute(statement + marks(1, len(group)), group)
    ]
    return msgspec.convert(rows, list[EntryRow], strict=False)


def _read(connection: sqlite3.Connection, needs: Needs) -> Rows:
    holds = {row.id: row for row in _select(connection, _SELECT_HOLDS, needs.hold_ids, HoldRow)}
    entries = _select_entries(connection, _SELECT_ENTRIES, needs.entry_ids)
    entries += _select_entries(connection, _SELECT_REFUNDS, needs.refunds_of)
    license_ids = {*needs.license_ids, *(row.license_id for row in holds.values())}
    users = {*needs.users, *((row.license_id, row.user_id) for row in holds.values() if row.user_id)}
    found = [connection.execute(_SELECT_USER, user).fetchone() for user in users]
    return Rows(
        licenses={row.id: row for row in _select(connection, _SELECT_LICENSES, [*license_ids], LicenseRow)},
        holds=holds,
        entries={row.id: row for row in entries if row.id is not None},
        users={(row[0], row[1]): UserRow(*row) for row in found if row is not None},
    )


def _write(connection: sqlite3.Connection, changes: Changes, now_ms: int, owner: str | None) -> None:
    insert_rows(connection, _insert_holds, [
        (
            o.id, o.license_id, amount, "open", o.taken_at, o.expires_at, o.request_id, o.key_id, o.provider,
            o.model, owner, o.tokens, o.user_id,
        )
        for o, amount in changes.holds
    ])  # fmt: skip
    for (state, reason), ids in changes.ended.items():
        for group in padded(ids):
            connection.execute(_END_HOLDS + marks(1, len(group)), (state, reason, now_ms, *group))
    insert_rows(connection, _insert_entries, [astuple(entry) for entry in changes.entries])
    insert_rows(connection, _insert_usage, [settlement.record for settlement in changes.settlements])
    insert_turns(connection, changes.settlements)
    licenses = [
        (
            row.granted, row.used, row.held, row.entries, bytes.fromhex(row.head) or None, row.open_holds,
            row.requests_owed, row.tokens_owed, row.metered_at, row.id,
        )
        for row in changes.licenses.values()
    ]  # fmt: skip
    for count, values in chunks(licenses):
        statement = _UPDATE_LICENSE if count == 1 else _UPDATE_LICENSES.replace("(?)", marks(count, 10))
        connection.execute(statement, values)
    for user in changes.users.values():
        connection.execute(_WRITE_USER, (user.license_id, user.user_id, user.used, user.held))
