"""The life of a hold, without a database: rows and a verb to new rows and a result.

    hold ──► open ──settle──► settled
               └───release──► released ──settle──► released, and charged what was there

A licence has `granted - used` left, of which open holds keep `held` for themselves; no verb ever lets
used + held exceed granted, unless the licence is unlimited.
"""

from typing import Literal

from msgspec import Struct

from quantized.core.errors import Fault, InsufficientCredits, Unauthenticated
from quantized.core.ports import Charge, Hold, HoldOrder, Receipt
from quantized.storage.records import (
    Changes,
    EntryKind,
    EntryRow,
    HoldRow,
    HoldState,
    LicenseRow,
    Rows,
    Settlement,
)

LARGEST_AMOUNT = 2**60
"""Sums of a few such still fit a database's integer of 64 bits."""


class LedgerMisuse(Exception):
    """A verb that no correct program says; nothing happened."""


class UnknownHold(LedgerMisuse):
    def __init__(self, hold_id: str) -> None:
        super().__init__(f"there is no hold {hold_id!r}")


class HoldEnded(LedgerMisuse):
    def __init__(self, hold_id: str) -> None:
        super().__init__(f"the hold {hold_id!r} has ended and cannot be taken again")


class Release(Struct, frozen=True):
    hold_id: str
    reason: str


class Adjustment(Struct, frozen=True):
    """Credits given (`grant`) or corrected, up or down. `id` is minted by whoever says it; it counts once."""

    id: str
    license_id: str
    kind: Literal["grant", "adjustment"]
    amount: int
    reason: str
    actor: str


class Book:
    """The rows that a batch of verbs needs. Each verb sees what those before it did; `changes` collects what
    there is to write. A verb that raises has changed nothing."""

    def __init__(self, rows: Rows, now_ms: int) -> None:
        self._rows = rows
        self._now = now_ms
        self.changes = Changes()

    def hold(self, order: HoldOrder) -> Hold:
        """Raises InsufficientCredits, Unauthenticated for a licence that may not be used, HoldEnded."""
        existing = self._rows.holds.get(order.id)
        if existing is not None:
            if existing.license_id != order.license_id:
                raise LedgerMisuse(f"the hold {order.id!r} belongs to another licence")
            if existing.state != "open":
                raise HoldEnded(order.id)
            return Hold(existing.id, existing.license_id, existing.amount)
        if not 0 <= order.minimum <= order.wanted <= LARGEST_AMOUNT:
            raise LedgerMisuse(f"cannot hold between {order.minimum} and {order.wanted}")
        account = self._rows.licenses.get(order.license_id)
        if account is None or not account.active:
            raise Unauthenticated(
                cause=f"licence {order.license_id} is {'inactive' if account else 'unknown'}"
            )
        amount = order.wanted if account.unlimited else min(order.wanted, _free(account))
        if amount < order.minimum:
            raise InsufficientCredits(
                cause=f"a hold of {order.wanted} was wanted, of {order.minimum} at least; "
                f"{_free(account)} free"
            )
        account.held += amount
        self._rows.holds[order.id] = HoldRow(order.id, order.license_id, amount, "open")
        self.changes.holds.append((order, amount))
        self._touch(account)
        return Hold(order.id, order.license_id, amount)

    def settle(self, charge: Charge) -> Receipt:
        """Raises UnknownHold."""
        hold = self._rows.holds.get(charge.hold_id)
        if hold is None:
            raise UnknownHold(charge.hold_id)
        if hold.charged is not None and hold.overrun is not None:
            return Receipt(hold.charged, hold.overrun, hold.remaining)
        if hold.license_id != charge.license_id:
            raise LedgerMisuse(f"the hold {hold.id!r} belongs to another licence")
        if not 0 <= charge.price <= LARGEST_AMOUNT:
            raise LedgerMisuse(f"cannot charge {charge.price}")
        account = self._rows.licenses[hold.license_id]
        if hold.state == "open":
            self._end(hold, account, "settled", None)
        # What the hold kept for this charge is free now, and nobody else's hold is touched.
        charged = charge.price if account.unlimited else min(charge.price, max(_free(account), 0))
        account.used += charged
        receipt = Receipt(charged, charge.price - charged, account.balance)
        hold.charged, hold.overrun, hold.remaining = receipt.charged, receipt.overrun, receipt.remaining
        self._enter_charge(account, charge, receipt)
        self.changes.settlements.append(Settlement(charge, receipt, self._now))
        return receipt

    def release(self, release: Release) -> bool:
        """Whether this ended the hold: one that has ended stays as it is. Raises UnknownHold."""
        hold = self._rows.holds.get(release.hold_id)
        if hold is None:
            raise UnknownHold(release.hold_id)
        if hold.state != "open":
            return False
        self._end(hold, self._rows.licenses[hold.license_id], "released", release.reason)
        return True

    def adjust(self, adjustment: Adjustment) -> int | None:
        """The balance afterwards, None for an unlimited licence.

        Raises InsufficientCredits where a negative amount would take what is used or held, LedgerMisuse for a
        licence that does not exist or an id that stands for something else.
        """
        known = self._rows.entries.get(adjustment.id)
        if known is not None:
            said = (adjustment.license_id, adjustment.kind, adjustment.amount)
            if (known.license_id, known.kind, known.amount) != said:
                raise LedgerMisuse(f"the entry {adjustment.id!r} exists already and says something else")
            return known.balance_after
        account = self._rows.licenses.get(adjustment.license_id)
        if account is None:
            raise LedgerMisuse(f"there is no licence {adjustment.license_id!r}")
        if adjustment.amount == 0 or (adjustment.kind == "grant" and adjustment.amount < 0):
            raise LedgerMisuse(f"cannot grant {adjustment.amount}")
        if abs(adjustment.amount) > LARGEST_AMOUNT or account.granted + adjustment.amount > LARGEST_AMOUNT:
            raise LedgerMisuse(f"a licence can be granted no more than {LARGEST_AMOUNT} micro-credits")
        if adjustment.amount < 0 and not account.unlimited and _free(account) + adjustment.amount < 0:
            raise InsufficientCredits(cause=f"{_free(account)} free, {-adjustment.amount} to take away")
        account.granted += adjustment.amount
        entry = self._enter(account, adjustment.kind, adjustment.amount, adjustment=adjustment)
        self._rows.entries[adjustment.id] = entry
        return account.balance

    def _end(self, hold: HoldRow, account: LicenseRow, state: HoldState, reason: str | None) -> None:
        hold.state = state
        account.held -= hold.amount
        self.changes.ended.setdefault((state, reason), []).append(hold.id)
        self._touch(account)

    def _enter_charge(self, account: LicenseRow, charge: Charge, receipt: Receipt) -> None:
        self._enter(account, "charge", -receipt.charged, charge=charge)
        if receipt.overrun:
            self._enter(account, "overrun", receipt.overrun, charge=charge)

    def _enter(
        self,
        account: LicenseRow,
        kind: EntryKind,
        amount: int,
        *,
        charge: Charge | None = None,
        adjustment: Adjustment | None = None,
    ) -> EntryRow:
        account.entries += 1
        entry = EntryRow(
            license_id=account.id,
            seq=account.entries,
            id=adjustment.id if adjustment else None,
            kind=kind,
            amount=amount,
            balance_after=account.balance,
            hold_id=charge.hold_id if charge else None,
            request_id=charge.request_id if charge else None,
            reason=adjustment.reason if adjustment else None,
            actor=adjustment.actor if adjustment else None,
            estimated=charge is not None and charge.estimated,
            created_at=self._now,
        )
        self.changes.entries.append(entry)
        self._touch(account)
        return entry

    def _touch(self, account: LicenseRow) -> None:
        self.changes.licenses[account.id] = account


def _free(account: LicenseRow) -> int:
    """What no hold keeps. Means nothing for an unlimited licence."""
    return account.granted - account.used - account.held


Verb = HoldOrder | Charge | Release
Result = Hold | Receipt | bool | Fault | LedgerMisuse
"""What a verb came to: its result, or why it was refused."""


def apply(book: Book, verb: Verb) -> Result:
    """One verb on the book, its refusal as a value: the others of the batch go on."""
    try:
        match verb:
            case HoldOrder():
                return book.hold(verb)
            case Charge():
                return book.settle(verb)
            case Release():
                return book.release(verb)
    except (Fault, LedgerMisuse) as refusal:
        return refusal
