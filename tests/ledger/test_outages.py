"""The database is locked, gone, full or garbage: nobody waits long, nothing is served, nothing is lost."""

import asyncio
import logging
import shutil
from pathlib import Path

import pytest
import uvloop
from database_trouble import Trouble, full, locked, moved_away
from in_time import tries
from ledger_world import SetClock, add_license, audit, charge, ledger_on, order, query, until, url_of
from plain_sql import plainly

from quantized.core.errors import InsufficientCredits, LedgerUnavailable
from quantized.ledger.ledger import GroupCommitLedger
from quantized.storage.sqlite import sqlite_path
from quantized.storage.stores import ledger_store

QUICK = {"patience": 1.0, "busy_seconds": 0.02}


@pytest.mark.parametrize("trouble", [locked, moved_away, full])
async def test_requests_are_refused_and_charges_kept_until_the_database_is_back(
    url: str, trouble: Trouble
) -> None:
    add_license(url, "l", 100)
    with plainly(url):  # a second connection, so that the log is not folded in meanwhile
        async with ledger_on(url, **QUICK) as ledger:
            kept = await ledger.hold(order("l", 50))
            with trouble(url):
                with pytest.raises(LedgerUnavailable):
                    await ledger.hold(order("l", 10))
                with pytest.raises(LedgerUnavailable):
                    await ledger.settle(charge(kept.id, "l", 30))
            await until(lambda: audit(url) == {"l": (100, 30, 0)})
            assert (await ledger.settle(charge(kept.id, "l", 30))).remaining == 70
            assert (await ledger.hold(order("l", 10))).amount == 10
        assert audit(url) == {"l": (100, 30, 10)}


async def test_a_locked_database_is_waited_for_less_than_two_seconds_by_default(url: str) -> None:
    add_license(url, "l", 100)
    ledger = GroupCommitLedger(ledger_store(url), SetClock())
    with locked(url):
        for attempt in tries(2):
            with attempt.timing(), pytest.raises(LedgerUnavailable):
                await ledger.hold(order("l", 10))
    await ledger.close()


async def test_a_file_that_was_replaced_is_the_one_written_to(template: Path, tmp_path: Path) -> None:
    url = url_of(tmp_path / "ledger.db")
    shutil.copy(template, sqlite_path(url))
    add_license(url, "old", 100)
    async with ledger_on(url) as ledger:
        await ledger.hold(order("old", 10))
        with moved_away(url):
            shutil.copy(template, sqlite_path(url))
            add_license(url, "new", 50)
            hold = await ledger.hold(order("new", 10))
            await ledger.settle(charge(hold.id, "new", 10))
            assert audit(url) == {"new": (50, 10, 0)}


async def test_a_short_lock_is_ridden_out(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url, busy_seconds=0.02) as ledger:
        with locked(url):
            hold = asyncio.ensure_future(ledger.hold(order("l", 10)))
            done, _ = await asyncio.wait([hold], timeout=0.2)
            assert not done
        assert (await hold).amount == 10


async def test_a_hold_that_was_taken_too_late_is_given_back(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url, patience=0.1, busy_seconds=5) as ledger:
        with locked(url), pytest.raises(LedgerUnavailable):
            await ledger.hold(order("l", 10))
        await until(lambda: bool(query(url, "SELECT 1 FROM hold WHERE state = 'released'")))
    assert query(url, "SELECT reason FROM hold") == [{"reason": "taken too late"}]
    assert audit(url) == {"l": (100, 0, 0)}


async def test_beyond_its_capacity_the_ledger_takes_no_hold_but_every_end(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url, capacity=2) as ledger:
        kept = await ledger.hold(order("l", 50))
        with locked(url):
            under_way = asyncio.ensure_future(ledger.hold(order("l", 1)))
            await asyncio.sleep(0)
            waiting = [asyncio.ensure_future(ledger.hold(order("l", 1))) for _ in range(2)]
            with pytest.raises(LedgerUnavailable) as refusal:
                await ledger.hold(order("l", 1))
            assert "too many" in str(refusal.value.cause)
            end = asyncio.ensure_future(ledger.settle(charge(kept.id, "l", 50)))
            await asyncio.sleep(0)
        await asyncio.gather(under_way, *waiting, end)
    assert audit(url) == {"l": (100, 50, 3)}


async def test_a_charge_that_the_schema_never_takes_holds_up_no_other(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        bad, good = await asyncio.gather(ledger.hold(order("l", 10)), ledger.hold(order("l", 10)))
        results = await asyncio.gather(
            ledger.settle(charge(bad.id, "l", 5, user_id="\ud800")),
            ledger.settle(charge(good.id, "l", 5)),
            ledger.hold(order("l", 200, 200)),
            return_exceptions=True,
        )
    assert [type(result).__name__ for result in results] == [
        "LedgerUnavailable",
        "Receipt",
        "InsufficientCredits",
    ]
    assert isinstance(results[2], InsufficientCredits)
    assert audit(url) == {"l": (100, 5, 10)}
    assert any(record.levelno == logging.CRITICAL for record in caplog.records)


async def test_closing_writes_what_was_said_and_takes_no_more(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        hold = await ledger.hold(order("l", 10))
        said = ledger.settle(charge(hold.id, "l", 5))
        await ledger.close()
        assert (await said).charged == 5
        with pytest.raises(LedgerUnavailable):
            await ledger.hold(order("l", 10))
        await ledger.close()
    assert audit(url) == {"l": (100, 5, 0)}


async def test_closing_while_the_database_is_away_says_which_charges_are_unwritten(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url, **QUICK) as ledger:
        hold = await ledger.hold(order("l", 10))
        with locked(url):
            said = ledger.settle(charge(hold.id, "l", 5))
            await ledger.close()
            with pytest.raises(LedgerUnavailable):
                await said
    unwritten = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert [record.__dict__["charge"]["hold_id"] for record in unwritten] == [hold.id]


def test_many_whose_patience_ends_one_right_after_the_other_are_all_given_back(url: str) -> None:
    """In the server's own loop, which has no timers for less than a millisecond."""
    add_license(url, "l", 10_000)
    troubles: list[object] = []

    async def crowd() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
        async with ledger_on(url, patience=0.1, busy_seconds=5) as ledger:
            with locked(url):
                waiting = []
                for number in range(100):
                    waiting.append(ledger.hold(order("l", 10)))
                    # Some spread over a millisecond or two, in steps of which none is a timer's.
                    sum(range(number * 20))
                    await asyncio.sleep(0)
                found = await asyncio.gather(*waiting, return_exceptions=True)
                assert all(isinstance(refused, LedgerUnavailable) for refused in found)
            await until(lambda: audit(url) == {"l": (10_000, 0, 0)})

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for _ in range(3):
            runner.run(crowd())
    assert not troubles
