"""What was charged is given back by many at once, and never more than once."""

import asyncio

import pytest
from books_world import give_back, verify
from ledger_world import add_license, audit, charge, ledger_on, order

from quantized.core.errors import InsufficientCredits
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.verbs import LedgerMisuse


async def charged(ledger: GroupCommitLedger, hold_id: str, price: int) -> None:
    await ledger.hold(order("l", price, 0, hold_id=hold_id))
    await ledger.settle(charge(hold_id, "l", price))


async def test_many_at_once_give_back_no_more_than_was_paid(url: str) -> None:
    add_license(url, "l", 1_000)
    async with ledger_on(url) as ledger:
        await charged(ledger, "h", 100)
        given = await asyncio.gather(
            *(asyncio.to_thread(give_back, url, f"r{number}", "h", 30) for number in range(6)),
            *(charged(ledger, f"other{number}", 10) for number in range(10)),
            return_exceptions=True,
        )
    refunds = given[:6]
    assert sorted(str(type(one).__name__) for one in refunds) == ["LedgerMisuse"] * 3 + ["int"] * 3
    assert audit(url) == {"l": (1_000, 100 + 100 - 90, 0)}
    assert verify(url) == []


async def test_the_same_refund_said_by_many_counts_once(url: str) -> None:
    add_license(url, "l", 1_000)
    async with ledger_on(url) as ledger:
        await charged(ledger, "h", 100)
        given = await asyncio.gather(*(asyncio.to_thread(give_back, url, "r", "h", None) for _ in range(5)))
    assert given == [100] * 5
    assert audit(url) == {"l": (1_000, 0, 0)}


async def test_what_was_given_back_can_be_spent(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        await charged(ledger, "h", 100)
        with pytest.raises(InsufficientCredits):
            await ledger.hold(order("l", 40))
        assert give_back(url, "r", "h", 40) == 40
        await charged(ledger, "again", 40)
    assert audit(url) == {"l": (100, 100, 0)}


async def test_only_what_was_charged_is_given_back(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        await ledger.hold(order("l", 10, hold_id="open"))
        await charged(ledger, "free", 0)
    for hold_id, amount in (("open", None), ("nowhere", None), ("free", None), ("free", 1)):
        with pytest.raises(LedgerMisuse):
            give_back(url, f"r-{hold_id}", hold_id, amount)
    assert audit(url) == {"l": (100, 0, 10)}
