"""The life of a hold, without a database: rows and a verb to new rows and a result.

    hold ──► open ──settle──► settled
               └───release──► released ──settle──► released, and charged what was there

A licence has `granted - used` left, of which open holds keep `held` for themselves; no verb ever lets
used + held exceed granted, unless the licence is unlimited. Likewise for a user and its allowance.

A request is let in by the limits before its credits are looked at: one that will do in a moment is told when,
and nobody learns by asking often what a licence still has. A refusal takes nothing.
"""

from quantized.core.errors import AllowanceExhausted, Fault, InsufficientCredits, RateLimited, Unauthenticated
from quantized.core.limits import Limits, Standing
from quantized.core.ports import Charge, Hold, HoldOrder, Receipt
from quantized.ledger.chain import GENESIS, entry_hash, record_hash
from quantized.ledger.meters import Meters, metered_at, meters, owing, standing, wait_ms
from quantized.ledger.verbs import (
    Adjustment,
    EntryExists,
    HoldEnded,
    LedgerMisuse,
    Refund,
    Refunded,
    Release,
    Result,
    UnknownHold,
    Verb,
)
from quantized.storage.records import (
    Account,
    Changes,
    EntryKind,
    EntryRow,
    HoldRow,
    HoldState,
    LicenseRow,
    Rows,
    Settlement,
    UserRow,
    settled,
)

LARGEST_AMOUNT = 2**60
"""Sums of a few such still fit a database's integer of 64 bits."""

_A_MOMENT = 1.0
"""Seconds after which one may ask again where nobody knows when a request under way will end."""


Sides = tuple[Account, Account]
"""The account that is debited and the one that is credited."""
Named = tuple[str | None, str | None, str | None, str | None, bool]
"""An entry's hold, request, reason and actor, and whether its counts were estimated."""


class Book:
    """The rows that a batch of verbs needs. Each verb sees what those before it did; `changes` collects what
    there is to write. A verb that raises has changed nothing."""

    def __init__(self, rows: Rows, now_ms: int) -> None:
        self._rows = rows
        self._now = now_ms
        self.changes = Changes()

    def hold(self, order: HoldOrder) -> Hold:
        """Raises RateLimited, InsufficientCredits, Unauthenticated for a licence that may not be used,
        HoldEnded."""
        existing = self._rows.holds.get(order.id)
        if existing is not None:
            if existing.license_id != order.license_id:
                raise LedgerMisuse(f"the hold {order.id!r} belongs to another licence")
            if existing.state != "open":
                raise HoldEnded(order.id)
            return Hold(existing.id, existing.license_id, existing.amount, self._standing(order))
        if not 0 <= order.minimum <= order.wanted <= LARGEST_AMOUNT:
            raise LedgerMisuse(f"cannot hold between {order.minimum} and {order.wanted}")
        account = self._rows.licenses.get(order.license_id)
        if account is None or not account.active:
            raise Unauthenticated(
                cause=f"licence {order.license_id} is {'inactive' if account else 'unknown'}"
            )
        state = None if order.limits is None else _let_in(account, order, order.limits, self._now)
        user = None if order.user_id is None else self._user(order.license_id, order.user_id)
        amount = self._amount(account, user, order)
        account.held += amount
        account.open_holds += 1
        self._touch(account)
        if user is not None:
            user.held += amount
            self._touch_user(user)
        if state is not None:
            _pour(account, state, order.tokens, self._now)
        self._rows.holds[order.id] = HoldRow(
            order.id, order.license_id, amount, "open", tokens=order.tokens, user_id=order.user_id
        )
        self.changes.holds.append((order, amount))
        if state is None:
            return Hold(order.id, order.license_id, amount)
        return Hold(order.id, order.license_id, amount, self._standing(order))

    def _amount(self, account: LicenseRow, user: UserRow | None, order: HoldOrder) -> int:
        """How much the licence and the user have for it. Raises InsufficientCredits."""
        amount = order.wanted if account.unlimited else min(order.wanted, _free(account))
        if amount < order.minimum:
            cause = f"{_sought(order)}; {_free(account)} free"
            raise InsufficientCredits(cause=cause, standing=self._standing(order))
        free = None if user is None else _free_of(user, order.user_cap)
        if free is None:
            return amount
        amount = min(amount, free)
        if amount < order.minimum:
            cause = f"{_sought(order)}; {free} free of the allowance of user {order.user_id!a}"
            raise AllowanceExhausted(cause=cause, standing=self._standing(order))
        return amount

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
        user = None if hold.user_id is None else self._user(hold.license_id, hold.user_id)
        if hold.tokens:
            self._meter(account, hold, charge)
        kept = hold.amount if hold.state == "open" else 0
        if hold.state == "open":
            self._end(hold, account, "settled", None)
        # What the hold kept for this charge is free now, and nobody else's hold is touched.
        charged = charge.price if account.unlimited else min(charge.price, max(_free(account), 0))
        if user is not None:
            free = _free_of(user, charge.user_cap)
            if free is not None:
                # What was kept was the user's, whatever the allowance has become since.
                charged = min(charged, max(free, kept))
            self._use(user, charged)
        account.used += charged
        receipt = Receipt(charged, charge.price - charged, account.balance)
        hold.charged, hold.overrun, hold.remaining = receipt.charged, receipt.overrun, receipt.remaining
        settlement = settled(charge, receipt, self._now)
        self._enter_charge(account, settlement)
        self.changes.settlements.append(settlement)
        return receipt

    def release(self, release: Release) -> bool:
        """Whether this ended the hold: one that has ended stays as it is. Raises UnknownHold."""
        hold = self._rows.holds.get(release.hold_id)
        if hold is None:
            raise UnknownHold(release.hold_id)
        if hold.state != "open":
            return False
        account = self._rows.licenses[hold.license_id]
        account.tokens_owed = owing(account.tokens_owed, -hold.tokens)
        self._end(hold, account, "released", release.reason)
        return True

    def adjust(self, adjustment: Adjustment) -> int | None:
        """The balance afterwards, None for an unlimited licence.

        Raises InsufficientCredits where a negative amount would take what is used or held, LedgerMisuse for a
        licence that does not exist or an id that stands for something else.
        """
        account = self._rows.licenses.get(adjustment.license_id)
        if account is None:
            raise LedgerMisuse(f"there is no licence {adjustment.license_id!r}")
        known = self._rows.entries.get(adjustment.id)
        if known is not None:
            said = (adjustment.license_id, adjustment.kind, adjustment.amount)
            if (known.license_id, known.kind, known.moved) != said:
                raise EntryExists(adjustment.id)
            return None if account.unlimited else known.balance_after
        if adjustment.amount == 0 or (adjustment.kind == "grant" and adjustment.amount < 0):
            raise LedgerMisuse(f"cannot grant {adjustment.amount}")
        if abs(adjustment.amount) > LARGEST_AMOUNT or account.granted + adjustment.amount > LARGEST_AMOUNT:
            raise LedgerMisuse(f"a licence can be granted no more than {LARGEST_AMOUNT} micro-credits")
        if adjustment.amount < 0 and not account.unlimited and _free(account) + adjustment.amount < 0:
            raise InsufficientCredits(cause=f"{_free(account)} free, {-adjustment.amount} to take away")
        account.granted += adjustment.amount
        sides: Sides = ("institution", "license") if adjustment.amount > 0 else ("license", "institution")
        self._enter_said(account, adjustment.kind, sides, abs(adjustment.amount), adjustment)
        return account.balance

    def refund(self, refund: Refund) -> Refunded:
        """Gives back what the licence paid; what nobody paid (an overrun) cannot be given back.

        Raises UnknownHold, LedgerMisuse for more than is left of the charge or an id that stands for
        something else.
        """
        known = self._rows.entries.get(refund.id)
        hold = self._rows.holds.get(refund.hold_id)
        if hold is None:
            raise UnknownHold(refund.hold_id)
        account = self._rows.licenses[hold.license_id]
        if known is not None:
            if (known.kind, known.hold_id) != ("refund", hold.id) or refund.amount not in (
                None,
                known.amount,
            ):
                raise EntryExists(refund.id)
            return Refunded(account.id, known.amount, None if account.unlimited else known.balance_after)
        if hold.charged is None:
            raise LedgerMisuse(f"nothing was charged for the hold {hold.id!r}")
        left = hold.charged - sum(
            entry.amount
            for entry in self._rows.entries.values()
            if entry.kind == "refund" and entry.hold_id == hold.id
        )
        amount = left if refund.amount is None else refund.amount
        if not 0 < amount <= left:
            raise LedgerMisuse(
                f"cannot refund {amount} of the hold {hold.id!r}: {left} is left of its charge"
            )
        account.used -= amount
        if hold.user_id is not None:
            self._use(self._user(hold.license_id, hold.user_id), -amount)
        self._enter_said(account, "refund", ("revenue", "license"), amount, refund)
        return Refunded(account.id, amount, account.balance)

    def _end(self, hold: HoldRow, account: LicenseRow, state: HoldState, reason: str | None) -> None:
        hold.state = state
        account.held -= hold.amount
        account.open_holds -= 1
        if hold.user_id is not None:
            user = self._user(hold.license_id, hold.user_id)
            user.held -= hold.amount
            self._touch_user(user)
        self.changes.ended.setdefault((state, reason), []).append(hold.id)
        self._touch(account)

    def _enter_charge(self, account: LicenseRow, settlement: Settlement) -> None:
        charge, receipt = settlement.charge, settlement.receipt
        named = (charge.hold_id, charge.request_id, None, None, charge.estimated)
        sealed = record_hash(settlement.record)
        self._enter(account, None, "charge", ("license", "revenue"), receipt.charged, named, sealed)
        if receipt.overrun:
            self._enter(account, None, "overrun", ("overrun", "revenue"), receipt.overrun, named, None)

    def _enter_said(
        self, account: LicenseRow, kind: EntryKind, sides: Sides, amount: int, said: Adjustment | Refund
    ) -> None:
        hold_id, request_id = (said.hold_id, said.request_id) if isinstance(said, Refund) else (None, None)
        named = (hold_id, request_id, said.reason, said.actor, False)
        self._rows.entries[said.id] = self._enter(account, said.id, kind, sides, amount, named, None)

    def _enter(
        self,
        account: LicenseRow,
        entry_id: str | None,
        kind: EntryKind,
        sides: Sides,
        amount: int,
        named: Named,
        sealed: bytes | None,
    ) -> EntryRow:
        account.entries += 1
        columns = (
            account.id, account.entries, entry_id, kind, *sides, amount, account.granted - account.used,
            *named, self._now,
        )  # fmt: skip
        digest = entry_hash(bytes.fromhex(account.head) or GENESIS, columns, sealed)
        account.head = digest.hex()
        entry = EntryRow(*columns, sealed, digest)
        self.changes.entries.append(entry)
        self._touch(account)
        return entry

    def _meter(self, account: LicenseRow, hold: HoldRow, charge: Charge) -> None:
        """Puts what was really used in the place of what was taken for it. A hold that was released has given
        that back."""
        used = charge.usage.input_total + charge.usage.output_total
        taken = hold.tokens if hold.state == "open" else 0
        if charge.limits is not None and charge.limits.tokens_per_minute is not None:
            _drain(account, meters(account, charge.limits, self._now), self._now)
        account.tokens_owed = owing(account.tokens_owed, used - taken)

    def _standing(self, order: HoldOrder) -> Standing | None:
        limits = order.limits
        if limits is None:
            return None
        return standing(meters(self._rows.licenses[order.license_id], limits, self._now), limits)

    def _user(self, license_id: str, user_id: str) -> UserRow:
        """Whoever had no allowance so far begins one."""
        return self._rows.users.setdefault((license_id, user_id), UserRow(license_id, user_id, None))

    def _use(self, user: UserRow, amount: int) -> None:
        user.used += amount
        self._touch_user(user)

    def _touch(self, account: LicenseRow) -> None:
        self.changes.licenses[account.id] = account

    def _touch_user(self, user: UserRow) -> None:
        self.changes.users[user.license_id, user.user_id] = user


def _free(account: LicenseRow) -> int:
    """What no hold keeps. Means nothing for an unlimited licence."""
    return account.granted - account.used - account.held


def _sought(order: HoldOrder) -> str:
    return f"a hold of {order.wanted} was wanted, of {order.minimum} at least"


def _free_of(user: UserRow, cap: int | None) -> int | None:
    """What is left of a user's allowance, which is `cap` unless the user has its own. None: there is none."""
    cap = cap if user.cap is None else user.cap
    return None if cap is None else max(0, cap - user.used - user.held)


def _let_in(account: LicenseRow, order: HoldOrder, limits: Limits, now_ms: int) -> Meters:
    """The buckets before the request is poured into them. Raises RateLimited."""
    state = meters(account, limits, now_ms)

    def refuse(limit: str, wait: float) -> RateLimited:
        return RateLimited(
            f"Rate limit reached: this licence allows {limit}. Try again in {max(wait, 0.001):g} s.",
            retry_after=wait,
            standing=standing(state, limits),
            cause=f"{account.open_holds} requests are open; {limit}",
        )

    parallel = limits.parallel_requests
    if parallel is not None and account.open_holds >= parallel:
        raise refuse(f"{parallel} requests at a time", _A_MOMENT)
    for owed, limit, count, what in (
        (state.requests, limits.requests_per_minute, 1, "requests"),
        (state.tokens, limits.tokens_per_minute, order.tokens, "tokens"),
    ):
        if owed is not None and limit is not None and (wait := wait_ms(owed, limit, count)):
            raise refuse(f"{limit} {what} per minute", wait / 1000)
    return state


def _drain(account: LicenseRow, state: Meters, now_ms: int) -> None:
    account.requests_owed = state.requests or 0
    account.tokens_owed = state.tokens or 0
    account.metered_at = metered_at(account, now_ms)


def _pour(account: LicenseRow, state: Meters, tokens: int, now_ms: int) -> None:
    _drain(account, state, now_ms)
    if state.requests is not None:
        account.requests_owed = owing(account.requests_owed, 1)
    if state.tokens is not None:
        account.tokens_owed = owing(account.tokens_owed, tokens)


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
