"""Giving credits, from whatever process an operator works in; the gateway may run on the same database."""

from contextlib import closing

from quantized.ledger.rules import Adjustment, Book
from quantized.storage.records import Changes, Needs, Rows
from quantized.storage.sqlite_ledger import SqliteLedgerStore


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


def _adjust(url: str, adjustment: Adjustment, now_ms: int) -> int | None:
    balances: list[int | None] = []

    def decide(rows: Rows) -> Changes:
        book = Book(rows, now_ms)
        balances.append(book.adjust(adjustment))
        return book.changes

    needs = Needs(license_ids=[adjustment.license_id], entry_ids=[adjustment.id])
    with closing(SqliteLedgerStore(url)) as store:
        store.transact(needs, decide, now_ms=now_ms)
    return balances[0]
