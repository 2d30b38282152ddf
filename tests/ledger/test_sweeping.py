import asyncio
from collections.abc import AsyncIterator

import pytest
from database_trouble import moved_away
from ledger_world import NOW, SetClock, add_license, audit, charge, ledger_on, order, until

from quantized.clock import SystemClock
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.sweeper import Sweeper
from quantized.storage.leases import Leases
from quantized.storage.stores import ledger_store


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def ledger(url: str, clock: SetClock) -> AsyncIterator[GroupCommitLedger]:
    add_license(url, "l", 100)
    async with ledger_on(url, clock) as ledger:
        yield ledger


@pytest.fixture
async def sweeper(url: str, clock: SetClock, ledger: GroupCommitLedger) -> AsyncIterator[Sweeper]:
    leases = Leases(url)
    yield Sweeper(ledger, leases, None, clock)
    leases.close()


async def test_only_what_is_over_is_released_and_each_is_told_with_all_that_is_known(
    url: str, clock: SetClock, ledger: GroupCommitLedger, sweeper: Sweeper, caplog: pytest.LogCaptureFixture
) -> None:
    over = await ledger.hold(order("l", 10, expires_at=NOW + 5))
    await ledger.hold(order("l", 20, expires_at=NOW + 6))
    settled = await ledger.hold(order("l", 30, expires_at=NOW + 5))
    await ledger.settle(charge(settled.id, "l", 30))
    clock.now = NOW + 4
    assert await sweeper.sweep() == 0
    clock.now = NOW + 5
    assert await sweeper.sweep() == 1
    assert await sweeper.sweep() == 0
    assert audit(url) == {"l": (100, 30, 20)}
    (line,) = [record.__dict__ for record in caplog.records if "expired" in record.getMessage()]
    known = {"hold_id": over.id, "license_id": "l", "amount": 10, "key_id": "key-1", "provider": "demo"}
    assert {**line, **known} == line
    assert line["model"] == "quantized/demo"
    assert line["request_id"].startswith("req-")


async def test_by_a_wrong_clock_nobody_elses_hold_is_over(
    url: str, clock: SetClock, ledger: GroupCommitLedger
) -> None:
    """Neither by a sweeper's that is ahead, nor by one that is behind, of whoever took the hold."""
    add_license(url, "theirs", 100)
    now = SystemClock().now_ms()
    ahead = SetClock(now + 35 * 60_000)
    leases = Leases(url)
    await leases.renew("other", "there", None, 1)
    store = ledger_store(url, owner="other")
    other = GroupCommitLedger(store, clock)
    await other.hold(order("theirs", 10, expires_at=now + 60_000))
    await other.hold(order("theirs", 20, expires_at=now - 60_000))
    mine = Sweeper(ledger, leases, None, ahead)
    assert await mine.sweep() == 0
    # Whoever is not even among the processes any more has nobody else to end its holds.
    (row,) = await leases.renew("other", "there", None, 1)
    await leases.forget(row)
    assert await mine.sweep() == 1
    assert audit(url)["theirs"] == (100, 0, 10)
    # One's own is over by both clocks: by the one that dated it, and by the one that nobody here can set.
    await ledger.hold(order("l", 30, expires_at=now + 60_000))
    assert await mine.sweep() == 0
    assert await Sweeper(ledger, leases, None, clock).sweep() == 0
    await other.close()
    leases.close()


async def test_more_than_a_page_of_them_is_swept_at_once(
    url: str, clock: SetClock, ledger: GroupCommitLedger, sweeper: Sweeper
) -> None:
    await asyncio.gather(*(ledger.hold(order("l", 0, 0, expires_at=NOW)) for _ in range(501)))
    assert await sweeper.sweep() == 501


async def test_it_goes_on_sweeping_after_the_database_was_away(
    url: str, clock: SetClock, ledger: GroupCommitLedger, sweeper: Sweeper, caplog: pytest.LogCaptureFixture
) -> None:
    await ledger.hold(order("l", 10, expires_at=NOW))
    with moved_away(url):
        running = asyncio.create_task(sweeper.run(0.01))
        await until(lambda: any("could not be released" in record.getMessage() for record in caplog.records))
    await until(lambda: audit(url) == {"l": (100, 0, 0)})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
