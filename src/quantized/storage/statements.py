"""Accounts' statements, and what nobody could settle. Statements that only read, a page at a time.

A licence's entries are found by their number; at which number a moment lies is found by halving, because
their times rise with their numbers, but for what the clocks of several gateways differ by.
"""

# ruff: noqa: S608  what stands in these statements are names of ours, never values

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from msgspec import Struct
from sqlalchemy import Connection, text

from quantized.storage.engine import open_engine, reading
from quantized.storage.faults import database_errors

Role = Literal["institution", "revenue", "overrun"]
"""An account that all licences, or those of one institution, share."""

_PAGE = 1_000
_SKEW_MS = 60_000
"""What the times of two entries in a row may be out of order by."""

_KINDS: dict[Role, tuple[str, ...]] = {
    "institution": ("grant", "adjustment"),
    "revenue": ("charge", "overrun", "refund"),
    "overrun": ("overrun",),
}


class Period(Struct, frozen=True):
    """Unix milliseconds; `since` included, `until` not. None: from the beginning, to the end."""

    since: int | None = None
    until: int | None = None


class LicenseLine(Struct, frozen=True):
    """An entry that moved a licence's balance; `amount` is what it added to it."""

    created_at: int
    seq: int
    kind: str
    amount: int
    id: str | None
    request_id: str | None
    hold_id: str | None
    reason: str | None
    actor: str | None


class RoleLine(Struct, frozen=True):
    """What the entries of one kind of one licence added to a shared account."""

    license_id: str
    unique_id: str | None
    kind: str
    entries: int
    amount: int


class UnsettledHold(Struct, frozen=True):
    """A request that had been let upstream and whose end nobody told the books. The process is what is still
    known of the one that took the hold."""

    hold_id: str
    license_id: str
    amount: int
    reason: str
    taken_at: int
    ended_at: int
    request_id: str
    key_id: str
    provider: str
    model: str
    process_id: str | None
    host: str | None
    pid: int | None


_OLDER = (
    "(SELECT created_at FROM ledger_entry WHERE license_id = :id AND seq >= (low + high) / 2"
    " ORDER BY seq LIMIT 1) < :moment"
)
# The halving is one statement, because asking for each half would take far longer than looking it up.
_SEQ_AT = text(
    "WITH RECURSIVE half (low, high) AS ("
    "SELECT CAST(1 AS BIGINT), COALESCE(MAX(seq), 0) + 1 FROM ledger_entry WHERE license_id = :id"
    f" UNION ALL SELECT CASE WHEN {_OLDER} THEN (low + high) / 2 + 1 ELSE low END,"
    f" CASE WHEN {_OLDER} THEN high ELSE (low + high) / 2 END FROM half WHERE low < high"
    ") SELECT low FROM half WHERE low = high"
)
_BALANCE_BEFORE = text(
    "SELECT balance_after FROM ledger_entry WHERE license_id = :id AND seq < :seq ORDER BY seq DESC LIMIT 1"
)
_SIGNED = "CASE WHEN credit = 'license' THEN amount WHEN debit = 'license' THEN -amount ELSE 0 END"
_MOVED_BETWEEN = text(
    f"SELECT COALESCE(SUM({_SIGNED}), 0) FROM ledger_entry"
    " WHERE license_id = :id AND seq >= :first AND seq < :end AND created_at < :moment"
)
_LINES = text(
    f"SELECT created_at, seq, kind, {_SIGNED}, id, request_id, hold_id, reason, actor FROM ledger_entry"
    " WHERE license_id = :id AND seq >= :first AND seq < :end AND created_at >= :since"
    f" AND created_at < :until AND kind <> 'overrun' ORDER BY seq LIMIT {_PAGE}"
)
_END_OF_TIME = 2**62


class LicenseStatement:
    """One licence's account over a period, in one unchanging state of the database."""

    def __init__(self, connection: Connection, license_id: str, period: Period) -> None:
        self._connection = connection
        self._id = license_id
        self._since = 0 if period.since is None else period.since
        self._until = _END_OF_TIME if period.until is None else period.until
        self._first = self._seq_at(self._since - _SKEW_MS)

    def opening(self) -> int:
        """The balance when the period begins; below 0 for what an unlimited licence has used."""
        values = {"id": self._id, "seq": self._first}
        before = self._connection.execute(_BALANCE_BEFORE, values).scalar_one_or_none() or 0
        return int(before) + self._moved(self._first, self._seq_at(self._since + _SKEW_MS), self._since)

    def lines(self) -> Iterator[LicenseLine]:
        first, end = self._first, self._seq_at(self._until + _SKEW_MS)
        while True:
            values = {"id": self._id, "first": first, "end": end, "since": self._since, "until": self._until}
            page = [LicenseLine(*row) for row in self._connection.execute(_LINES, values)]
            yield from page
            if len(page) < _PAGE:
                return
            first = page[-1].seq + 1

    def _moved(self, first: int, end: int, moment: int) -> int:
        values = {"id": self._id, "first": first, "end": end, "moment": moment}
        return int(self._connection.execute(_MOVED_BETWEEN, values).scalar_one())

    def _seq_at(self, moment: int) -> int:
        """A number before which all entries are older than `moment` and a minute, and from which on none is
        older than it and a minute less."""
        values = {"id": self._id, "moment": moment}
        return int(self._connection.execute(_SEQ_AT, values).scalar_one())


class RoleStatement:
    """A shared account over a period, a line for each licence and kind of entry. Reads all entries up to the
    period's end."""

    def __init__(
        self, connection: Connection, role: Role, institution_id: str | None, period: Period
    ) -> None:
        self._connection = connection
        self._role = role
        self._values = {
            "institution": institution_id,
            "since": 0 if period.since is None else period.since,
            "until": _END_OF_TIME if period.until is None else period.until,
        }
        self._signed = f"CASE WHEN e.credit = '{role}' THEN e.amount ELSE -e.amount END"
        self._from = (
            " FROM ledger_entry AS e JOIN license AS l ON l.id = e.license_id"
            " JOIN license_type AS t ON t.id = l.license_type_id"
            " WHERE (CAST(:institution AS TEXT) IS NULL OR t.institution_id = :institution)"
            f" AND (e.debit = '{role}' OR e.credit = '{role}')"
        )

    def opening(self) -> int:
        if self._values["since"] == 0:
            return 0
        statement = text(f"SELECT COALESCE(SUM({self._signed}), 0){self._from} AND e.created_at < :since")
        values = {name: self._values[name] for name in ("institution", "since")}
        return int(self._connection.execute(statement, values).scalar_one())

    def lines(self) -> Iterator[RoleLine]:
        kinds = _KINDS[self._role]
        # A column for each kind, so that the entries are read in their order and nothing is sorted.
        sums = "".join(
            f", COUNT(CASE WHEN e.kind = '{kind}' THEN 1 END)"
            f", SUM(CASE WHEN e.kind = '{kind}' THEN {self._signed} ELSE 0 END)"
            for kind in kinds
        )
        statement = text(
            f"SELECT e.license_id, MIN(l.unique_id){sums}{self._from}"
            " AND e.created_at >= :since AND e.created_at < :until AND e.license_id > :after"
            f" GROUP BY e.license_id ORDER BY e.license_id LIMIT {_PAGE}"
        )
        after = ""
        while True:
            page = self._connection.execute(statement, {**self._values, "after": after}).all()
            for license_id, unique_id, *of_kinds in page:
                for kind, count, amount in zip(kinds, of_kinds[::2], of_kinds[1::2], strict=True):
                    if count:
                        yield RoleLine(license_id, unique_id, kind, count, int(amount))
            if len(page) < _PAGE:
                return
            after = page[-1].license_id


_UNSETTLED = text(
    "SELECT h.id, h.license_id, h.amount, h.reason, h.taken_at, h.ended_at, h.request_id, h.key_id,"
    " h.provider, h.model, h.owner, p.host, p.pid"
    " FROM hold AS h LEFT JOIN usage_record AS u ON u.hold_id = h.id LEFT JOIN process AS p ON p.id = h.owner"
    " WHERE h.state = 'released' AND h.reason IN ('expired', 'process died') AND u.hold_id IS NULL"
    " AND h.ended_at >= :since AND (CAST(:license_id AS TEXT) IS NULL OR h.license_id = :license_id)"
    f" AND h.id > :after ORDER BY h.id LIMIT {_PAGE}"
)


@contextmanager
def reading_statements(url: str) -> Iterator[Connection]:
    """Raises DatabaseUnusable, here and wherever something is read within."""
    with database_errors(), reading(open_engine(url)) as connection:
        yield connection


def unsettled_holds(connection: Connection, since: int, license_id: str | None) -> Iterator[UnsettledHold]:
    """Those that ended at or after `since`, by their ids."""
    after = ""
    while True:
        values = {"since": since, "license_id": license_id, "after": after}
        page = [UnsettledHold(*row) for row in connection.execute(_UNSETTLED, values)]
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].hold_id
