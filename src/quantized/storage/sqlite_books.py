"""The ledger's tables over one connection to SQLite: a batch's transaction, in a handful of statements."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import astuple

from quantized.storage.bulk import chunks, insert_rows, insertion, marks, padded
from quantized.storage.records import (
    ENTRY_COLUMNS,
    USAGE_COLUMNS,
    Changes,
    EntryRow,
    HoldRow,
    LicenseRow,
    Needs,
    Row,
    Rows,
    UserRow,
)
from quantized.storage.sqlite_turns import insert_turns

T = TypeVar("T")

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


_MOST_KNOWN = 10_000
"""Rows of a kind; then all are forgotten."""

_PAGES_A_COMMIT = 8
"""How many pages any commit writes, about; two entries, or so many bytes of turns, write another."""
_PAGE_BYTES = 4096

_LONG_LOG = 2_000
"""Pages, beyond which folding the log in is worth others' waiting."""
_FOLDING_TRIES = 200


class _Known:
    """The licences and open holds that the last transactions of this connection left behind: what is in the
    database for as long as no other connection commits. `version` is SQLite's `data_version` then."""

    def __init__(self) -> None:
        self.version = -1
        self.licenses: dict[str, LicenseRow] = {}
        self.holds: dict[str, HoldRow] = {}

    def forget(self) -> None:
        self.licenses.clear()
        self.holds.clear()

    def keep(self, rows: Rows) -> None:
        if len(self.licenses) > _MOST_KNOWN or len(self.holds) > _MOST_KNOWN:
            self.forget()
        self.licenses.update(rows.licenses)
        for id_, row in rows.holds.items():
            if row.state == "open":
                self.holds[id_] = row
            else:
                self.holds.pop(id_, None)


class SqliteBooks:
    """What is read or written by several transactions in a row is read once: whoever holds the right to write
    asks whether anybody else has committed since, and most often nobody has."""

    def __init__(self, connection: sqlite3.Connection, owner: str | None) -> None:
        """A connection of this object's own, in autocommit mode. `owner`: the process that takes holds."""
        self._connection = connection
        self._owner = owner
        self._known = _Known()
        self.pages = 0
        """About how many were written since the log was folded in."""
        self._read_on = False
        """Whether somebody has been reading for longer than it took to give up folding in a long log."""
        # From here on it waits itself, and neither syncs the log nor folds it in: see `storage.sqlite_log`.
        for pragma in ("busy_timeout = 0", "synchronous = NORMAL", "wal_autocheckpoint = 0"):
            connection.execute(f"PRAGMA {pragma}")

    def fold(self) -> None:
        """Writes what the log holds to the database, as far as no reader still needs it, so that the next
        commit can begin the log anew. Takes milliseconds: it syncs both. Where others read or write meanwhile
        that is not all, or not for long; where the log has become long by it, they wait for once. (A reader
        that stays, an audit's, cannot be made to.) Where another folds it in, nothing is known of it, and it
        is for the next time."""
        _, found, folded = self._checkpoint("PASSIVE")
        if found < 0:
            return
        busy, tries = found > _LONG_LOG, 1 if self._read_on else _FOLDING_TRIES
        while busy and tries:
            # SQLite's own waiting seldom gets the right to write from those who ask as often as we do.
            threading.Event().wait(_PAUSE_SECONDS)
            busy, found, folded = self._checkpoint("RESTART")
            tries -= 1
        self._read_on = busy
        if 0 <= found == folded:
            self.pages = 0

    def _checkpoint(self, mode: str) -> tuple[bool, int, int]:
        """Whether somebody was in its way, how many pages are in the log, and how many of these are in the
        database now; -1 for both while another does the same."""
        busy, found, folded = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return bool(busy), int(found), int(folded)

    def transact(
        self,
        needs: Needs,
        decide: Callable[[Rows], Changes],
        *,
        now_ms: int,
        busy_seconds: float = 0.0,
    ) -> None:
        """`storage.records.LedgerStore.transact`, not durable, with SQLite's own exceptions. Waits
        `busy_seconds` for other processes' transactions."""
        try:
            self._attempt(needs, decide, now_ms, busy_seconds, trusting=True)
        except sqlite3.IntegrityError:
            if not needs.new_hold_ids:
                raise
            # One of the new holds may have been there already.
            self._attempt(needs, decide, now_ms, busy_seconds, trusting=False)

    def _attempt(
        self,
        needs: Needs,
        decide: Callable[[Rows], Changes],
        now_ms: int,
        busy_seconds: float,
        *,
        trusting: bool,
    ) -> None:
        connection = self._connection
        self._begin(busy_seconds)
        try:
            rows = self._read(needs, trusting=trusting)
            changes = decide(rows)
            if trusting and not {order.id for order, _ in changes.holds}.issuperset(needs.new_hold_ids):
                # What was not taken may have been taken before.
                rows = self._read(needs, trusting=False)
                changes = decide(rows)
            size = _write(connection, changes, now_ms, self._owner)
            connection.execute("COMMIT")
        except BaseException:
            self._known.forget()
            # Some failures (a full disk) have already rolled back.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._known.keep(rows)
        self.pages += _PAGES_A_COMMIT + len(changes.entries) // 2 + size // _PAGE_BYTES

    def _begin(self, busy_seconds: float) -> None:
        waited = 0.0
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or waited >= busy_seconds:
                    raise
            else:
                return
            pause = _PAUSE_SECONDS if waited < _LONG_WAIT_SECONDS else _LONG_PAUSE_SECONDS
            threading.Event().wait(pause)
            waited += pause

    def _read(self, needs: Needs, *, trusting: bool) -> Rows:
        connection, known = self._connection, self._known
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version != known.version or not trusting:
            known.forget()
            known.version = version
        new = {*needs.new_hold_ids} if trusting else ()
        holds = {id_: known.holds[id_] for id_ in needs.hold_ids if id_ in known.holds}
        unknown = [id_ for id_ in needs.hold_ids if id_ not in holds and id_ not in new]
        if unknown:
            holds |= {row.id: row for row in _select(connection, _SELECT_HOLDS, unknown, HoldRow)}
        entries: list[EntryRow] = []
        if needs.entry_ids or needs.refunds_of:
            entries = _select_entries(connection, _SELECT_ENTRIES, needs.entry_ids)
            entries += _select_entries(connection, _SELECT_REFUNDS, needs.refunds_of)
        wanted = {*needs.license_ids, *[row.license_id for row in holds.values()]}
        licenses = {id_: known.licenses[id_] for id_ in wanted if id_ in known.licenses}
        if missing := wanted - licenses.keys():
            licenses |= {row.id: row for row in _select(connection, _SELECT_LICENSES, [*missing], LicenseRow)}
        users = {*needs.users, *[(row.license_id, row.user_id) for row in holds.values() if row.user_id]}
        found = [connection.execute(_SELECT_USER, user).fetchone() for user in users]
        return Rows(
            licenses=licenses,
            holds=holds,
            entries={row.id: row for row in entries if row.id is not None},
            users={(row[0], row[1]): UserRow(*row) for row in found if row is not None},
        )


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


def _write(connection: sqlite3.Connection, changes: Changes, now_ms: int, owner: str | None) -> int:
    """Returns how many bytes of turns there were."""
    size = 0
    if changes.holds:
        insert_rows(connection, _insert_holds, [
            (
                o.id, o.license_id, amount, "open", o.taken_at, o.expires_at, o.request_id, o.key_id,
                o.provider, o.model, owner, o.tokens, o.user_id,
            )
            for o, amount in changes.holds
        ])  # fmt: skip
    for (state, reason), ids in changes.ended.items():
        for group in padded(ids):
            connection.execute(_END_HOLDS + marks(1, len(group)), (state, reason, now_ms, *group))
    if changes.entries:
        insert_rows(connection, _insert_entries, [astuple(entry) for entry in changes.entries])
    if changes.settlements:
        insert_rows(connection, _insert_usage, [settlement.record for settlement in changes.settlements])
        size = insert_turns(connection, changes.settlements)
    licenses: list[Row] = [
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
    return size
