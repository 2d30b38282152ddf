"""The auditor: makes everything again that the books can be made of, and says where they differ.

Knows nothing of the rules by which verbs become rows (`ledger.rules`), or it would prove nothing. Holds a
page of rows in memory and sums, never a list that grows with the books.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import chain
from typing import Any

from quantized.ledger.findings import Finding, Tally
from quantized.ledger.verify_license import LicenseAudit
from quantized.storage.books import PAIRED_HOLD_COLUMNS, PAIRED_RECORD_COLUMNS, BooksReader

MOST_ALIKE = 100
"""Findings of one check about one licence that are told one by one."""


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
        held_by_user = self._books.held_by_user()
        for row in self._books.licenses():
            license_id = row[0]
            self.tally.licenses += 1
            audit = LicenseAudit(row, held.get(license_id, (0, 0)), self.tally.accounts, self._charged)
            for page in self._books.entries(license_id):
                for entry in page:
                    yield from audit.entry(entry)
                self.tally.entries += len(page)
                self._progress(len(page))
            yield from audit.end()
            yield from audit.users(self._books.users(license_id), held_by_user.get(license_id, {}))

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

    def _charged(self, hold_id: str, recorded: bool, settled: bool) -> None:
        if recorded:
            self._recorded.add(hold_id)
        elif settled:
            self._unrecorded.add(hold_id)


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
