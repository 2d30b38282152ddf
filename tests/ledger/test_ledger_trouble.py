"""One thing that does not get written, and everything else that does."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from database_copies import Templates
from database_trouble import locked
from in_time import tries
from ledger_world import (
    PATIENT,
    SetClock,
    add_license,
    audit,
    charge,
    ledger_on,
    order,
    query,
    storing,
    until,
)
from plain_sql import plainly

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Receipt
from quantized.ledger.ledger import GroupCommitLedger
from quantized.storage.records import Changes, LedgerStore, Needs, Rows
from quantized.storage.stores import ledger_store

STORED = "SELECT id FROM response"


@pytest.fixture
def server_url(templates: Templates) -> Iterator[str]:
    with templates.postgres() as url:
        yield url


def on_storing(url: str, statement: str) -> None:
    """What the database does before it takes a response."""
    with plainly(url) as sql:
        sql(
            "CREATE FUNCTION meanwhile() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {statement}; RETURN NEW; END $$"
        )
        sql("CREATE TRIGGER meanwhile BEFORE INSERT ON response FOR EACH ROW EXECUTE FUNCTION meanwhile()")


async def test_a_large_response_is_given_the_time_that_it_takes(server_url: str) -> None:
    add_license(server_url, "l", 100)
    on_storing(server_url, "PERFORM pg_sleep(1.6)")
    async with ledger_on(server_url) as ledger:
        hold = await ledger.hold(order("l", 10))
        assert await ledger.settle(storing(charge(hold.id, "l", 5), size=1_500_000)) == Receipt(5, 0, 95)
    assert query(server_url, STORED) == [{"id": f"resp-{hold.id}"}]


async def test_a_response_that_does_not_get_written_holds_up_nobody_and_its_charge_is_made(
    server_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_license(server_url, "l", 1_000)
    on_storing(server_url, "RAISE EXCEPTION 'too slow' USING ERRCODE = 'query_canceled'")
    async with ledger_on(server_url, patience=4) as ledger:
        holds = await asyncio.gather(*(ledger.hold(order("l", 10)) for _ in range(20)))
        charges = [charge(hold.id, "l", 5) for hold in holds]
        charges[7] = storing(charges[7])
        answers = await asyncio.gather(*map(ledger.settle, charges), return_exceptions=True)
        assert [n for n, answer in enumerate(answers) if not isinstance(answer, Receipt)] == [7]
        assert isinstance(answers[7], LedgerUnavailable)
        assert (await ledger.hold(order("l", 10))).amount == 10
        await until(lambda: audit(server_url) == {"l": (1_000, 100, 10)})
    assert query(server_url, STORED) == []
    assert [r.getMessage() for r in caplog.records].count("a response could not be stored") == 1


async def test_a_response_that_can_never_be_stored_costs_its_charge_nothing(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        hold = await ledger.hold(order("l", 10))
        with pytest.raises(LedgerUnavailable) as refusal:
            await ledger.settle(storing(charge(hold.id, "l", 5), text="\ud800"))
        assert "rejected" in str(refusal.value.cause)
    assert audit(url) == {"l": (100, 5, 0)}
    assert query(url, STORED) == []


async def test_what_has_to_be_written_is_divided_by_its_bytes_too(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        holds = await asyncio.gather(*(ledger.hold(order("l", 10)) for _ in range(5)))
        said = [storing(charge(hold.id, "l", 5), size=200_000) for hold in holds]
        counting = CountingStore(url)
        other = GroupCommitLedger(counting, SetClock(), patience=PATIENT)
        await asyncio.gather(*map(other.settle, said))
        await other.close()
    assert counting.batches == [1, 1, 1, 1, 1]
    assert len(query(url, STORED)) == 5


class CountingStore(LedgerStore):
    """Over a real one; `failing` is raised so many times before anything is asked of that."""

    def __init__(self, url: str, failing: Exception | None = None, times: int = 0) -> None:
        self.store = ledger_store(url)
        self.failing = failing
        self.times = times
        self.batches: list[int] = []

    def transact(
        self,
        needs: Needs,
        decide: Callable[[Rows], Changes],
        *,
        now_ms: int,
        durable: bool = True,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self.batches.append(len(needs.hold_ids))
        if self.failing is not None and self.times:
            self.times -= 1
            raise self.failing
        self.store.transact(needs, decide, now_ms=now_ms, durable=durable, committed=committed)

    def close(self) -> None:
        self.store.close()


@pytest.mark.parametrize("error", [MemoryError(), KeyError("licence")])
async def test_an_error_of_our_own_is_told_and_the_ledger_goes_on(
    url: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    add_license(url, "l", 100)
    ledger = GroupCommitLedger(CountingStore(url, error, times=2), SetClock(), patience=PATIENT)
    hold = await ledger.hold(order("l", 10))
    assert (await ledger.settle(charge(hold.id, "l", 5))).charged == 5
    await ledger.close()
    critical = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert len(critical) == 2
    assert all(record.exc_info and record.exc_info[1] is error for record in critical)


async def test_a_failing_batch_is_tried_again_in_halves_which_grow_again(url: str) -> None:
    add_license(url, "l", 1_000)
    store = CountingStore(url, LedgerUnavailable(cause="too much"), times=3)
    ledger = GroupCommitLedger(store, SetClock(), patience=PATIENT)
    await asyncio.gather(*(ledger.hold(order("l", 1)) for _ in range(32)))
    await ledger.close()
    assert store.batches == [32, 16, 8, 4, 8, 16, 4]
    assert audit(url) == {"l": (1_000, 0, 32)}


class PickyStore(CountingStore):
    """Never takes a batch that one of these holds is in."""

    refused: frozenset[str] = frozenset()
    failures = 0

    def transact(self, needs: Needs, decide: Callable[[Rows], Changes], **options: Any) -> None:
        self.times = int(not self.refused.isdisjoint(needs.hold_ids))
        self.failures += self.times
        super().transact(needs, decide, **options)


@pytest.mark.parametrize(("count", "seconds"), [(1, 0.5), (40, 2.0)])
async def test_what_is_not_taken_is_found_before_the_others_have_waited(
    url: str, count: int, seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    add_license(url, "l", 10_000)
    store = PickyStore(url, LedgerUnavailable(cause="will not"))
    ledger = GroupCommitLedger(store, SetClock(), patience=PATIENT)
    for attempt in tries(seconds):
        orders = [order("l", 1) for _ in range(200)]
        store.refused = frozenset(said.id for said in orders[70 : 70 + count])
        answers = [asyncio.ensure_future(ledger.hold(said)) for said in orders]
        refused = answers[70 : 70 + count]
        del answers[70 : 70 + count]
        with attempt.timing():
            await asyncio.gather(*answers)
        assert not any(answer.done() for answer in refused)
        store.refused = frozenset()
        await asyncio.gather(*refused)
    lines = [record.getMessage() for record in caplog.records]
    assert 1 <= lines.count("the database did not take a batch") < store.failures / 2
    await ledger.close()


async def test_a_licence_that_others_have_locked_holds_up_no_other(server_url: str) -> None:
    for name in ("locked", "free"):
        add_license(server_url, name, 1_000)
    async with ledger_on(server_url, patience=20, busy_seconds=0.3) as ledger:
        kept = await ledger.hold(order("locked", 10))
        left = await ledger.hold(order("locked", 10))
        with plainly(server_url) as sql:
            sql("BEGIN")
            sql("SELECT 1 FROM license WHERE id = 'locked' FOR UPDATE")
            late = asyncio.ensure_future(ledger.settle(charge(kept.id, "locked", 5)))
            end = asyncio.ensure_future(ledger.release(left.id, "over"))
            rounds = 0
            for attempt in tries(3):
                with attempt.timing():
                    # In one transaction with the others, and while those are tried again.
                    for _ in range(30):
                        rounds += 1
                        hold, _ = await asyncio.gather(
                            ledger.hold(order("free", 1)), asyncio.wait([late, end], timeout=0.01)
                        )
                        await ledger.settle(charge(hold.id, "free", 1))
            assert not late.done()
            assert ledger.behind == 0
            sql("ROLLBACK")
        assert (await late).charged == 5
        await end
    assert audit(server_url) == {"locked": (1_000, 5, 0), "free": (1_000, rounds, 0)}


async def test_what_is_said_of_one_hold_while_its_licence_is_locked_keeps_its_order(server_url: str) -> None:
    add_license(server_url, "l", 100)
    async with ledger_on(server_url, busy_seconds=0.05) as ledger:
        with plainly(server_url) as sql:
            sql("BEGIN")
            sql("SELECT 1 FROM license WHERE id = 'l' FOR UPDATE")
            taken = asyncio.ensure_future(ledger.hold(order("l", 10, hold_id="h")))
            await asyncio.wait([taken], timeout=0.2)
            over = ledger.release("h", "cut")
            other = asyncio.ensure_future(ledger.hold(order("l", 10, hold_id="i")))
            given_back = ledger.release("i", "cut")
            await asyncio.wait([other], timeout=0.2)
            sql("ROLLBACK")
        await asyncio.gather(taken, over, other, given_back)
    assert {row["id"]: row["state"] for row in query(server_url, "SELECT id, state FROM hold")} == {
        "h": "released",
        "i": "released",
    }


async def test_who_has_to_have_all_rows_is_told_that_they_are_locked(server_url: str) -> None:
    add_license(server_url, "l", 100)
    store = ledger_store(server_url, busy_seconds=0.05)
    with plainly(server_url) as sql:
        sql("BEGIN")
        sql("SELECT 1 FROM license WHERE id = 'l' FOR UPDATE")
        for _ in range(2):
            with pytest.raises(LedgerUnavailable):
                store.transact(Needs(license_ids=["l"]), lambda _: pytest.fail("asked"), now_ms=0)
        sql("ROLLBACK")
    store.close()


async def test_the_ledger_tells_for_how_long_it_got_nothing_written(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url, patience=1.0, busy_seconds=0.02) as ledger:
        hold = await ledger.hold(order("l", 10))
        assert ledger.behind == 0
        with locked(url):
            late = ledger.settle(charge(hold.id, "l", 5))
            await until(lambda: ledger.behind > 1.1)
            with pytest.raises(LedgerUnavailable):
                await late
        await until(lambda: ledger.behind == 0)
    assert audit(url) == {"l": (100, 5, 0)}


async def test_a_stop_has_the_time_that_is_left_for_charges(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url, patience=1.0, busy_seconds=0.02) as ledger:
        hold = await ledger.hold(order("l", 10))
        with locked(url):
            said = ledger.settle(charge(hold.id, "l", 5))
            with pytest.raises(LedgerUnavailable):
                await said
            until_then = asyncio.get_running_loop().time() + 40
            closing = asyncio.ensure_future(ledger.close(lambda: until_then))
            done, _ = await asyncio.wait([closing], timeout=1.2)
            assert not done
        await closing
        assert audit(url) == {"l": (100, 5, 0)}
