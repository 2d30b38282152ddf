"""Credits given, corrected and given back, from whatever process an operator works in; the gateway may run on
the same database."""

from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from quantized.ledger.rules import Book
from quantized.ledger.verbs import Adjustment, LedgerMisuse, Refund, Refunded
from quantized.storage.charges import find_charge
from quantized.storage.records import Changes, Needs, Rows
from quantized.storage.stores import ledger_store

T = TypeVar("T")


def grant(
    url: str, *, entry_id: str, license_id: str, amount: int, reason: str, actor: str, now_ms: int
) -> int | None:
    """Gives `amount` micro-credits, above 0, and returns the balance right after (None: unlimited).

    Saying it again with the same `entry_id` changes nothing and returns the same. Raises LedgerMisuse (an
    unknown licence, an amount out of range, an id that stands for another entry), LedgerUnavailable,
    DatabaseUnusable.
    """
    return _adjust(url, Adjustment(entry_id, license_id, "grant", amount, reason, actor), now_ms)


def adjust(
    url: str, *, entry_id: str, license_id: str, amount: int, reason: str, actor: str, now_ms: int
) -> int | None:
    """Corrects a balance, up or down, otherwise as `grant`. Raises also InsufficientCredits where the licence
    has used or holds what would be taken away."""
    return _adjust(url, Adjustment(entry_id, license_id, "adjustment", amount, reason, actor), now_ms)


def refund(
    url: str, *, entry_id: str, request: str, amount: int | None, reason: str, actor: str, now_ms: int
) -> Refunded:
    """Gives back what a licence was charged for a request, named by its id or its hold's; all that is left of
    it where `amount` is None. An overrun was never paid and is not given back.

    Saying it again with the same `entry_id` changes nothing and returns the same. Raises LedgerMisuse (an
    unknown request, more than is left of its charge, an id that stands for another entry),
    LedgerUnavailable, DatabaseUnusable.
    """
    found = find_charge(url, request)
    if found is None:
        raise LedgerMisuse(f"nothing was charged for {request!r}")
    said = Refund(entry_id, found.hold_id, found.request_id, amount, reason, actor)
    needs = Needs(hold_ids=[said.hold_id], entry_ids=[said.id], refunds_of=[said.hold_id])
    return _decide(url, needs, lambda book: book.refund(said), now_ms)


def _adjust(url: str, adjustment: Adjustment, now_ms: int) -> int | None:
    needs = Needs(license_ids=[adjustment.license_id], entry_ids=[adjustment.id])
    return _decide(url, needs, lambda book: book.adjust(adjustment), now_ms)


def _decide(url: str, needs: Needs, say: Callable[[Book], T], now_ms: int) -> T:
    results: list[T] = []

    def decide(rows: Rows) -> Changes:
        book = Book(rows, now_ms)
        # A store may ask more than once; what it asked last is what it wrote.
        results[:] = [say(book)]
        return book.changes

    with closing(ledger_store(url)) as store:
        store.transact(needs, decide, now_ms=now_ms)
    return results[0]
