"""The auditor: makes everything again that the books can be made of, and says where they differ.

Knows nothing of the rules by which verbs become rows (`ledger.rules`), or it would prove nothing. Holds a
page of rows in memory and sums, never a list that grows with the books.
"""

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from itertools import chain
from typing import Any, Literal

import msgspec
from msgspec import Struct, field
from msgspec.structs import astuple

from quantized.ledger.chain import GENESIS, entry_hash, record_hash
from quantized.storage.books import (
    LICENSE_COLUMNS,
    PAIRED_HOLD_COLUMNS,
    PAIRED_RECORD_COLUMNS,
    BooksReader,
)
from quantized.storage.records import ENTRY_COLUMNS, USAGE_COLUMNS, EntryRow

Check = Literal[
    "seq", "hash", "head", "entry", "balance", "cache", "record", "record_missing", "charge", "overrun",
    "refund", "hold", "stray",
]  # fmt: skip

MOST_ALIKE = 100
"""Findings of one check about one licence that are told one by one."""

_SIDES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "grant": (("institution", "license"),),
    "adjustment": (("institution", "license"), ("license", "institution")),
    "charge": (("license", "revenue"),),
    "overrun": (("overrun", "revenue"),),
    "refund": (("revenue", "license"),),
}


class Finding(Struct, frozen=True, omit_defaults=True):
    """Something that is wrong, and where: as far as they apply the licence, the number of its entry, the
    hold, and the column with what it says and what it should say."""

    check: Check
    message: str
    license_id: str | None = None
    seq: int | None = None
    hold_id: str | None = None
    column: str | None = None
    found: str | int | None = None
    expected: str | int | None = None


class Tally(Struct):
    """What was looked at so far. `accounts` has the balance of each account, all licences in one; they sum to
    zero. Amounts are micro-credits."""

    licenses: int = 0
    entries: int = 0
    records: int = 0
    findings: int = 0
    accounts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("institution", "license", "revenue", "overrun"), 0)
    )


class _Record(Struct, array_like=True, frozen=True):
    """What is compared of a request record; the rest is in its hash."""

    license_id: str
    request_id: str
    price: int
    charged: int
    overrun: int
    remaining: int | None
    estimated: bool
    created_at: int


_ENTRY_WIDTH = len(ENTRY_COLUMNS)
_RECORD_END = _ENTRY_WIDTH + len(USAGE_COLUMNS)
_ESTIMATED = USAGE_COLUMNS.index("estimated")
_COMPARED = [USAGE_COLUMNS.index(name) for name in _Record.__struct_fields__]


class _Due(Struct, frozen=True):
    """The overrun that should follow a charge. Without an amount: one may follow, its record is missing."""

    hold_id: str | None
    amount: int | None


class _Pairs:
    """A multiset of hold ids, as far as telling whether two are the same needs: a count, a sum of hashes."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0

    def add(self, hold_id: str) -> None:
        self._count += 1
        self._sum += int.from_bytes(sha256(hold_id.encode()).digest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Pairs) and (self._count, self._sum) == (other._count, other._sum)

    __hash__ = None  # type: ignore[assignment]


class Auditor:
    """One audit of `books`. `tally` is true of everything that `findings` has gone through."""

    def __init__(self, books: BooksReader, progress: Callable[[int], None]) -> None:
        """`progress` is told how many more entries were looked at, a page at a time."""
        self._books = books
        self._progress = progress
        self._recorded = _Pairs()
        self._unrecorded = _Pairs()
        self.tally = Tally()

    def findings(self) -> Iterator[Finding]:
        alike: dict[tuple[str, str | None], int] = {}
        for finding in chain(self._licenses(), self._holds(), self._pairs(), self._refunds(), self._strays()):
            self.tally.findings += 1
            place = (finding.check, finding.license_id)
            alike[place] = alike.get(place, 0) + 1
            if alike[place] <= MOST_ALIKE:
                yield finding
        for (check, license_id), count in alike.items():
            if count > MOST_ALIKE:
                message = f"{count - MOST_ALIKE} more of these are not told one by one"
                yield Finding(check, message, license_id)  # type: ignore[arg-type]

    def _licenses(self) -> Iterator[Finding]:
        held = self._books.held()
        for row in self._books.licenses():
            license_id = row[0]
            self.tally.licenses += 1
            yield from _LicenseAudit(self, row, held.pop(license_id, 0)).findings()

    def _holds(self) -> Iterator[Finding]:
        """Each hold with itself and with its request's record."""
        for row in self._books.unpaired_holds():
            hold = dict(zip(PAIRED_HOLD_COLUMNS, row, strict=False))
            record = dict(zip(PAIRED_RECORD_COLUMNS, row[len(PAIRED_HOLD_COLUMNS) :], strict=True))
            yield from _judge_hold(hold, record)
        for hold_id, license_id in self._books.records_without_hold():
            yield Finding("hold", "a request record has no hold", license_id, hold_id=hold_id)

    def _pairs(self) -> Iterator[Finding]:
        """Whether what has a record or was settled are the holds that were charged, each once. Which are not
        is looked up only where the sums differ, because that takes a sort of all charges."""
        recorded, unrecorded = _Pairs(), _Pairs()
        for hold_id, _ in self._books.records():
            self.tally.records += 1
            recorded.add(hold_id)
        for hold_id, _ in self._books.unrecorded_holds():
            unrecorded.add(hold_id)
        if recorded == self._recorded and unrecorded == self._unrecorded:
            return
        for hold_id, license_id in self._books.uncharged_records():
            yield Finding("charge", "a request record has no charge", license_id, hold_id=hold_id)
        for hold_id, license_id in self._books.uncharged_holds():
            yield Finding("charge", "a settled hold has no charge", license_id, hold_id=hold_id)
        for hold_id, license_id, count, seq in self._books.charged_twice():
            yield Finding(
                "charge", "a hold is charged more than once", license_id, seq, hold_id, None, count, 1
            )

    def _refunds(self) -> Iterator[Finding]:
        for hold_id, license_id, other_license, refunded, charged, charged_license in self._books.refunds():
            if charged is None:
                # Said of the charge already, if there is one.
                continue
            if not license_id == other_license == charged_license:
                yield Finding(
                    "refund", "a refund went to another licence", license_id, None, hold_id, "license_id",
                    f"{license_id} {other_license}", charged_license,
                )  # fmt: skip
            if refunded > charged:
                yield Finding(
                    "refund", "more was refunded than charged", license_id, None, hold_id, "amount",
                    int(refunded), charged,
                )  # fmt: skip

    def _strays(self) -> Iterator[Finding]:
        for license_id, table in self._books.strays():
            yield Finding("stray", f"rows of {table} belong to a licence that is not there", license_id)

    def charged(self, hold_id: str, *, recorded: bool, settled: bool) -> None:
        """What one charge should have beside it."""
        if recorded:
            self._recorded.add(hold_id)
        elif settled:
            self._unrecorded.add(hold_id)

    def passed(self, entries: int) -> None:
        self.tally.entries += entries
        self._progress(entries)


class _LicenseAudit:
    """One licence, its entries in their order."""

    def __init__(self, auditor: Auditor, row: tuple[Any, ...], held: int) -> None:
        self._auditor = auditor
        self._license = dict(zip(LICENSE_COLUMNS, row, strict=True))
        self._id: str = row[0]
        self._held = held
        self._granted = 0
        self._used = 0
        self._seq = 0
        self._balance: int | None = 0
        self._head: bytes | None = GENESIS
        self._due: _Due | None = None

    def findings(self) -> Iterator[Finding]:
        for page in self._auditor._books.entries(self._id):
            for row in page:
                yield from self._row(row)
            self._auditor.passed(len(page))
        yield from self._overrun_missing()
        yield from self._caches()

    def _row(self, row: tuple[Any, ...]) -> Iterator[Finding]:
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
            yield from self._charge(entry, row[_ENTRY_WIDTH:_RECORD_END], row[_RECORD_END:])
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
        accounts = self._auditor.tally.accounts
        accounts[entry.debit] -= entry.amount
        accounts[entry.credit] += entry.amount
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
            self._auditor.charged(entry.hold_id, recorded=recorded, settled=hold_state == "settled")
        if recorded:
            yield from self._record(entry, record)
        else:
            self._due = _Due(entry.hold_id, None)
            message = "the request record of a charge is missing"
            yield self._finding("record_missing", message, entry.seq, hold_id=entry.hold_id)

    def _record(self, entry: EntryRow, record: tuple[Any, ...]) -> Iterator[Finding]:
        try:
            said = msgspec.convert([record[index] for index in _COMPARED], _Record, strict=False)
        except msgspec.ValidationError as error:
            message = f"the request record cannot be read: {error}"
            yield self._finding("record", message, entry.seq, hold_id=entry.hold_id)
            return
        expected: dict[str, str | int | None] = {
            "license_id": entry.license_id,
            "request_id": entry.request_id,
            "charged": entry.amount,
            "price": said.charged + said.overrun,
            "estimated": entry.estimated,
            "created_at": entry.created_at,
        }
        if said.remaining is not None:
            expected["remaining"] = entry.balance_after
        wrong = [name for name, value in expected.items() if getattr(said, name) != value]
        for name in wrong:
            yield self._finding(
                "record", f"the request record's {name} differs from its charge", entry.seq, name,
                getattr(said, name), expected[name], entry.hold_id,
            )  # fmt: skip
        sealed = record_hash((*record[:_ESTIMATED], said.estimated, *record[_ESTIMATED + 1 :]))
        if sealed != entry.record_hash and not wrong:
            yield self._finding(
                "record", "the request record was altered", entry.seq, "record_hash", sealed.hex(),
                entry.record_hash.hex() if entry.record_hash else None, entry.hold_id,
            )  # fmt: skip
        if said.overrun:
            self._due = _Due(entry.hold_id, said.overrun)

    def _caches(self) -> Iterator[Finding]:
        row = self._license
        derived = {"granted": self._granted, "used": self._used, "held": self._held, "entries": self._seq}
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


def _judge_hold(hold: dict[str, Any], record: dict[str, Any]) -> Iterator[Finding]:
    license_id, hold_id, state = hold["license_id"], hold["id"], hold["state"]
    recorded = record["hold_id"] is not None

    def finding(message: str, column: str, expected: str | int | None = None) -> Finding:
        return Finding("hold", message, license_id, None, hold_id, column, hold[column], expected)

    if recorded:
        for column in ("license_id", "request_id", "key_id", "provider", "model"):
            if hold[column] != record[column]:
                yield finding(f"the hold's {column} differs from its request record", column, record[column])
    if state not in ("open", "settled", "released"):
        yield finding("a hold in no known state", "state")
    elif state == "open" and recorded:
        yield finding("a hold has a request record and is open", "state", "settled")
    if (hold["ended_at"] is None) != (state == "open"):
        yield finding(f"the hold is {state} and has {'no' if state != 'open' else 'an'} end", "ended_at")
    elif state == "settled" and recorded and hold["ended_at"] != record["created_at"]:
        yield finding("the hold did not end when it was charged", "ended_at", record["created_at"])
    if (hold["reason"] is None) == (state == "released"):
        yield finding(f"the hold is {state} and has {'no' if state == 'released' else 'a'} reason", "reason")


def _hexadecimal(digest: object) -> str:
    return digest.hex() if isinstance(digest, bytes) else str(digest)
