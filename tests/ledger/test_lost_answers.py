"""The database has taken a batch, and the ledger was told that it failed."""

from collections.abc import Callable

import pytest
from ledger_world import PATIENT, SetClock, add_license, audit, charge, order, query, until

from quantized.core.errors import LedgerUnavailable
from quantized.ledger.ledger import GroupCommitLedger
from quantized.storage.records import Changes, LedgerStore, Needs, Rows
from quantized.storage.stores import ledger_store


class Faltering(LedgerStore):
    """Takes the first batch without saying so, and none until it is `well`."""

    def __init__(self, url: str) -> None:
        self.store = ledger_store(url)
        self.well = False
        self.tries = 0

    def transact(
        self,
        needs: Needs,
        decide: Callable[[Rows], Changes],
        *,
        now_ms: int,
        durable: bool = True,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self.tries += 1
        if self.well or self.tries == 1:
            self.store.transact(needs, decide, now_ms=now_ms, durable=durable, committed=committed)
        if not self.well:
            raise LedgerUnavailable(cause="the connection is lost")

    def close(self) -> None:
        self.store.close()


async def test_a_hold_that_was_given_up_between_two_tries_is_given_back(url: str) -> None:
    add_license(url, "l", 100)
    store = Faltering(url)
    ledger = GroupCommitLedger(store, SetClock(), patience=1.0)
    with pytest.raises(LedgerUnavailable):
        await ledger.hold(order("l", 40))
    assert store.tries > 1
    assert audit(url) == {"l": (100, 0, 40)}
    store.well = True
    await until(lambda: audit(url) == {"l": (100, 0, 0)})
    await ledger.close()
    assert query(url, "SELECT reason FROM hold") == [{"reason": "taken too late"}]


async def test_a_charge_is_said_again_and_counts_once(url: str) -> None:
    add_license(url, "l", 100)
    taking = GroupCommitLedger(ledger_store(url), SetClock(), patience=PATIENT)
    hold = await taking.hold(order("l", 40))
    await taking.close()
    store = Faltering(url)
    ledger = GroupCommitLedger(store, SetClock(), patience=1.0)
    with pytest.raises(LedgerUnavailable):
        await ledger.settle(charge(hold.id, "l", 30))
    store.well = True
    assert (await ledger.settle(charge(hold.id, "l", 30))).remaining == 70
    await ledger.close()
    assert audit(url) == {"l": (100, 30, 0)}
