"""The audit of one licence: its entries in their order, each with its request record and its hold."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from quantized.ledger.chain import GENESIS, entry_hash, record_hash
from quantized.ledger.findings import Check, Finding
from quantized.storage.books import LICENSE_COLUMNS
from quantized.storage.records import ENTRY_COLUMNS, USAGE_COLUMNS, EntryRow

Charged = Callable[[str, bool, bool], None]
"""Told of each charge its hold, whether there is a request record, and whether the hold is settled."""

_SIDES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "grant": (("institution", "license"),),
    "adjustment": (("institution", "license"), ("license", "institution")),
    "charge": (("license", "revenue"),),
    "overrun": (("overrun", "revenue"),),
    "refund": (("revenue", "license"),),
}


_ENTRY_WIDTH = len(ENTRY_COLUMNS)
_RECORD_END = _ENTRY_WIDTH + len(USAGE_COLUMNS)
_ESTIMATED = USAGE_COLUMNS.index("estimated")
_COMPARED_COLUMNS = (
    "price", "charged", "overrun", "remaining", "license_id", "request_id", "estimated", "created_at",
)  # fmt: skip
_COMPARED = [USAGE_COLUMNS.index(name) for name in _COMPARED_COLUMNS]


class _Due(Struct, frozen=True):
    """The overrun that should follow a charge. Without an amount: one may follow, its record is missing."""

    hold_id: str | None
    amount: int | None


class LicenseAudit:
    """One licence, its entries in their order."""

    def __init__(
        self, row: tuple[Any, ...], held: tuple[int, int], accounts: dict[str, int], charged: Charged
    ) -> None:
        """`row` has LICENSE_COLUMNS; `held` is what the open holds add up to, and how many they are. Adds
        to `accounts`."""
        self._accounts = accounts
        self._charged = charged
        self._license = dict(zip(LICENSE_COLUMNS, row, strict=True))
        self._id: str = row[0]
        self._held, self._open_holds = held
        self._granted = 0
        self._used = 0
        self._used_by: dict[str, int] = {}
        self._seq = 0
        self._balance: int | None = 0
        self._head: bytes | None = GENESIS
        self._due: _Due | None = None

    def end(self) -> Iterator[Finding]:
        """What can be said after the last entry."""
        yield from self._overrun_missing()
        yield from self._caches()

    def users(self, users: Mapping[str, tuple[int, int]], held: Mapping[str, int]) -> Iterator[Finding]:
        """After the last entry: whether what users have of their allowances, (used, held), is what the holds
        that count for them were charged and refunded, and what their open ones add up to (`held`)."""
        for user_id in sorted(users.keys() | self._used_by.keys() | held.keys()):
            found = users.get(user_id, (0, 0))
            expected = (self._used_by.get(user_id, 0), held.get(user_id, 0))
            for name, cached, derived in zip(("used", "held"), found, expected, strict=True):
                if cached != derived:
                    message = f"what user {user_id!a} {name} of an allowance is not what its parts add up to"
                    yield self._finding("cache", message, None, name, cached, derived)

    def entry(self, row: tuple[Any, ...]) -> Iterator[Finding]:
        """The next row of `BooksReader.entries`."""
        seq = row[1]
        yield from self._number(seq)
        try:
            entry = msgspec.convert(row[:_ENTRY_WIDTH], EntryRow, strict=False)
        except msgspec.ValidationError as error:
            yield self._finding("entry", f"the entry cannot be read: {error}", seq)
            self._seq, self._balance, self._head = seq, None, None
            return
        yield from self._chain(entry)
        yield from self._amounts(entry)
        yield from self._overruns(entry)
        if entry.kind == "charge":
            yield from self._charge(entry, row[_ENTRY_WIDTH:_RECORD_END], row[_RECORD_END:-1])
        user_id = row[-1]
        if user_id is not None and entry.kind in ("charge", "refund"):
            amount = entry.amount if entry.kind == "charge" else -entry.amount
            self._used_by[user_id] = self._used_by.get(user_id, 0) + amount
        self._seq = seq

    def _number(self, seq: int) -> Iterator[Finding]:
        if seq == self._seq + 1:
            return
        missing = f"{self._seq + 1}" if seq == self._seq + 2 else f"{self._seq + 1} to {seq - 1}"
        yield self._finding("seq", f"entries are missing: {missing}", seq, "seq", seq, self._seq + 1)
        # Nothing is known of what stood there.
        self._balance, self._head = None, None

    def _chain(self, entry: EntryRow) -> Iterator[Finding]:
        columns = astuple(entry)
        if self._head is not None:
            expected = entry_hash(self._head, columns[:-2], entry.record_hash)
            if expected != entry.hash:
                message = "the entry, or the one before it, was altered"
                yield self._finding(
                    "hash", message, entry.seq, "hash", entry.hash.hex(), expected.hex(), entry.hold_id
                )
        self._head = entry.hash

    def _amounts(self, entry: EntryRow) -> Iterator[Finding]:
        if (entry.debit, entry.credit) not in _SIDES[entry.kind]:
            sides = f"{entry.debit} to {entry.credit}"
            yield self._finding("entry", f"a {entry.kind} between wrong accounts", entry.seq, "debit", sides)
        if entry.amount < 0 or (entry.amount == 0 and entry.kind != "charge"):
            message = "an amount has to be above 0"
            yield self._finding("entry", message, entry.seq, "amount", entry.amount)
        if entry.id is None and entry.kind not in ("charge", "overrun"):
            yield self._finding("entry", f"a {entry.kind} has no id", entry.seq, "id")
        self._accounts[entry.debit] -= entry.amount
        self._accounts[entry.credit] += entry.amount
        moved = entry.amount * ((entry.credit == "license") - (entry.debit == "license"))
        if entry.kind in ("grant", "adjustment"):
            self._granted += moved
        else:
            self._used -= moved
        if self._balance is not None and entry.balance_after != self._balance + moved:
            yield self._finding(
                "balance", "the balance does not follow from the one before", entry.seq, "balance_after",
                entry.balance_after, self._balance + moved, entry.hold_id,
            )  # fmt: skip
        self._balance = entry.balance_after

    def _overruns(self, entry: EntryRow) -> Iterator[Finding]:
        """An overrun stands right behind its charge."""
        if entry.kind != "overrun":
            yield from self._overrun_missing()
        elif self._due is None or self._due.hold_id != entry.hold_id:
            message = "an overrun does not follow a charge that has one"
            yield self._finding("overrun", message, entry.seq, "hold_id", entry.hold_id)
        elif self._due.amount not in (None, entry.amount):
            message = "an overrun differs from its request record"
            yield self._finding(
                "overrun", message, entry.seq, "amount", entry.amount, self._due.amount, entry.hold_id
            )
        self._due = None

    def _overrun_missing(self) -> Iterator[Finding]:
        if self._due is not None and self._due.amount is not None:
            message = "the overrun of a charge is missing"
            yield self._finding(
                "overrun", message, self._seq + 1, "amount", None, self._due.amount, self._due.hold_id
            )
        self._due = None

    def _charge(self, entry: EntryRow, record: tuple[Any, ...], hold: tuple[Any, ...]) -> Iterator[Finding]:
        hold_id, hold_license, hold_state = hold
        if entry.hold_id is None or hold_id is None:
            yield self._finding("hold", "a charge has no hold", entry.seq, hold_id=entry.hold_id)
        elif hold_state == "open":
            yield self._finding(
                "hold", "a hold was charged and is open", entry.seq, "state", "open", "settled", hold_id
            )
        if hold_id is not None and hold_license != self._id:
            yield self._finding(
                "hold", "a hold was charged to another licence", entry.seq, "license_id", hold_license,
                self._id, hold_id,
            )  # fmt: skip
        recorded = record[0] is not None
        if entry.hold_id is not None:
            self._charged(entry.hold_id, recorded, hold_state == "settled")
        if recorded:
            yield from self._record(entry, record)
        else:
            self._due = _Due(entry.hold_id, None)
            message = "the request record of a charge is missing"
            yield self._finding("record_missing", message, entry.seq, hold_id=entry.hold_id)

    def _record(self, entry: EntryRow, record: tuple[Any, ...]) -> Iterator[Finding]:
        compared = [record[index] for index in _COMPARED]
        price, charged, overrun, remaining, *others = compared
        agrees = (
            charged == entry.amount
            and type(price) is int
            and price - charged == overrun
            and remaining in (None, entry.balance_after)
            and others == [entry.license_id, entry.request_id, entry.estimated, entry.created_at]
        )
        sealed = record_hash((*record[:_ESTIMATED], entry.estimated, *record[_ESTIMATED + 1 :]))
        if not agrees:
            yield from self._record_differs(entry, compared)
        elif sealed != entry.record_hash:
            yield self._finding(
                "record", "the request record was altered", entry.seq, "record_hash", sealed.hex(),
                entry.record_hash.hex() if entry.record_hash else None, entry.hold_id,
            )  # fmt: skip
        if overrun:
            self._due = _Due(entry.hold_id, overrun)

    def _record_differs(self, entry: EntryRow, compared: list[Any]) -> Iterator[Finding]:
        """Where a record and its charge do, which one look cannot say of thousands that do not."""
        found = dict(zip(_COMPARED_COLUMNS, compared, strict=True))
        expected: dict[str, str | int | None] = {
            "charged": entry.amount,
            "license_id": entry.license_id,
            "request_id": entry.request_id,
            "estimated": entry.estimated,
            "created_at": entry.created_at,
        }
        if found["remaining"] is not None:
            expected["remaining"] = entry.balance_after
        parts = (found["charged"], found["overrun"])
        expected["price"] = sum(parts) if all(isinstance(part, int) for part in parts) else None
        for name, value in expected.items():
            if found[name] != value:
                message = f"the request record's {name} differs from its charge"
                yield self._finding("record", message, entry.seq, name, found[name], value, entry.hold_id)

    def _caches(self) -> Iterator[Finding]:
        row = self._license
        derived = {
            "granted": self._granted,
            "used": self._used,
            "held": self._held,
            "entries": self._seq,
            "open_holds": self._open_holds,
        }
        for name, value in derived.items():
            if row[name] != value:
                message = f"the licence's {name} is not what its parts add up to"
                yield self._finding("cache", message, None, name, row[name], value)
        head = row["head"] or GENESIS
        if self._head is not None and head != self._head:
            message = "the licence's newest entry is another than the one it remembers"
            yield self._finding("head", message, self._seq, "head", _hexadecimal(head), self._head.hex())
        if not row["unlimited"] and self._used + self._held > self._granted:
            message = "more is used and held than was granted"
            yield self._finding("cache", message, None, "used", self._used + self._held, self._granted)

    def _finding(
        self,
        check: Check,
        message: str,
        seq: int | None = None,
        column: str | None = None,
        found: str | int | None = None,
        expected: str | int | None = None,
        hold_id: str | None = None,
    ) -> Finding:
        return Finding(check, message, self._id, seq, hold_id, column, found, expected)


def _hexadecimal(digest: object) -> str:
    return digest.hex() if isinstance(digest, bytes) else str(digest)
