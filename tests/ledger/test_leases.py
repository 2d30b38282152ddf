"""What a process may conclude about another, and what becomes of the holds of one that is dead."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_world import NOW, PATIENT, SetClock, add_license, audit, charge, ledger_on, order, query, until
from plain_sql import plainly

from quantized.clock import SystemClock
from quantized.core.errors import LedgerUnavailable
from quantized.ledger.leases import Identity, Lease, LeaseKeeper, LeaseTimes
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.tenure import Tenure
from quantized.storage.leases import Leases, ProcessRow
from quantized.storage.stores import ledger_store

ME = Identity("me", "here", "boot-1/pid:[1]", 100)
QUICK = LeaseTimes(interval=20, term=1_200, gap=600)


def seen(at: int, *, id_: str = "other", machine: str | None = None, pid: int = 7) -> ProcessRow:
    return ProcessRow(id_, "there", machine, pid, at)


def watched(*times: int) -> Lease:
    lease = Lease(ME, LeaseTimes())
    for now in times:
        lease.renewed(now)
    return lease


def dead(lease: Lease, process: ProcessRow, runs: bool = True) -> bool:
    return lease.dead([process], lambda _: runs) != []


STEADY = tuple(range(0, 20_000, 2_000))
"""Signs of ours until 18,000."""


def test_who_has_not_been_seen_for_the_term_is_dead() -> None:
    assert not dead(watched(*STEADY), seen(8_000))
    assert dead(watched(*STEADY), seen(7_999))


def test_nobody_is_judged_by_one_whose_own_lease_is_young() -> None:
    assert not dead(watched(), seen(-1_000_000))
    assert not dead(watched(*STEADY[:5]), seen(-1_000_000))
    assert dead(watched(*STEADY[:6]), seen(-1_000_000))


@pytest.mark.parametrize("jump", [5_001, 3_600_000, -1, -3_600_000])
def test_a_gap_of_ours_and_a_clock_that_was_set_begin_it_anew(jump: int) -> None:
    """After an outage of the database, or in a machine that slept, everybody else looks dead."""
    again = [18_000 + jump + step for step in range(0, 10_000, 2_000)]
    assert not dead(watched(*STEADY, *again), seen(8_000))
    assert dead(watched(*STEADY, *again, again[-1] + 2_000), seen(-1_000_000))


def test_after_a_clock_was_set_back_who_was_last_seen_in_the_future_is_dead() -> None:
    assert dead(watched(*STEADY), seen(28_001))
    assert not dead(watched(*STEADY), seen(28_000))


def test_a_machine_knows_at_once_which_of_its_processes_are_gone() -> None:
    here = seen(0, machine=ME.machine)
    assert dead(watched(0), here, runs=False)
    assert not dead(watched(0), here, runs=True)
    # Whoever had our own number before us cannot have it any more.
    assert dead(watched(0), seen(0, machine=ME.machine, pid=ME.pid), runs=True)


@pytest.mark.parametrize("machine", [None, "boot-2/pid:[1]", "boot-1/pid:[2]"])
def test_of_another_machine_no_number_tells_anything(machine: str | None) -> None:
    assert not dead(watched(0), seen(0, machine=machine, pid=ME.pid), runs=False)
    nowhere = Lease(Identity("me", "here", None, 100), LeaseTimes())
    nowhere.renewed(0)
    assert not dead(nowhere, seen(0, machine=None), runs=False)


def test_one_never_takes_oneself_for_dead() -> None:
    lease = watched(*STEADY)
    assert not dead(lease, ProcessRow("me", "here", ME.machine, ME.pid, -1_000_000), runs=False)


@given(
    st.lists(st.integers(0, 4_000), min_size=1, max_size=60),
    st.integers(0, 60_000),
    st.integers(0, 60_000),
    st.integers(0, 2_000),
)
def test_whoever_renews_as_it_should_is_never_taken_for_dead(
    pauses: list[int], out_from: int, out_for: int, phase: int
) -> None:
    """Two processes, one database that is away for a while; whatever each of them waits for an answer."""
    lease = Lease(ME, LeaseTimes())
    now, theirs = 0, 0
    for pause in pauses:
        now += 2_000 + pause % 1_800
        if out_from <= now < out_from + out_for:
            now = out_from + out_for + pause % 3_800
        # The other's newest sign: an interval and an answer ago at most, but nobody signs in an outage.
        theirs = max(now - 3_800 + phase, 0)
        if out_from <= theirs < out_from + out_for:
            theirs = out_from
        lease.renewed(now)
        assert not dead(lease, seen(theirs))


class Gateway:
    """A ledger with its lease, as a process has them."""

    def __init__(self, url: str, me: Identity, resources: AsyncExitStack, runs: bool = True) -> None:
        self.me = me
        self.leases = Leases(url, patience=PATIENT)
        resources.callback(self.leases.close)
        self.tenure = Tenure(SystemClock(), QUICK.term)
        self.ledger = GroupCommitLedger(ledger_store(url, owner=me.id), self.tenure, patience=PATIENT)
        resources.push_async_callback(self.ledger.close)
        self.keeper = LeaseKeeper(me, self.tenure, self.ledger, self.leases, lambda _: runs, QUICK)


@pytest.fixture
async def resources() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as resources:
        yield resources


async def test_the_next_process_on_the_machine_releases_at_once_what_a_dead_one_held(
    url: str, resources: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    add_license(url, "l", 100)
    first = Gateway(url, Identity("first", "here", "m", 1), resources)
    await first.keeper.renew()
    left, ended = await first.ledger.hold(order("l", 10)), await first.ledger.hold(order("l", 20))
    await first.ledger.settle(charge(ended.id, "l", 5))
    second = Gateway(url, Identity("second", "here", "m", 2), resources, runs=False)
    mine = (await second.ledger.hold(order("l", 30))).id
    assert await second.keeper.tick() == 1
    assert await second.keeper.tick() == 0
    assert audit(url) == {"l": (100, 5, 30)}
    rows = query(url, "SELECT id, state, reason, owner FROM hold ORDER BY amount")
    assert [(row["id"], row["state"], row["reason"], row["owner"]) for row in rows] == [
        (left.id, "released", "process died", "first"),
        (ended.id, "settled", None, "first"),
        (mine, "open", None, "second"),
    ]
    told = [record.__dict__ for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.get("pid", line.get("hold_id")) for line in told] == [left.id, 1]
    # Should it have been alive all the same, it is charged what is there, and once.
    assert (await first.ledger.settle(charge(left.id, "l", 5))).charged == 5
    assert (await first.ledger.settle(charge(left.id, "l", 5))).charged == 5
    assert audit(url) == {"l": (100, 10, 30)}


async def test_on_another_machine_it_takes_the_term(url: str, resources: AsyncExitStack) -> None:
    add_license(url, "l", 100)
    first = Gateway(url, Identity("first", "there", "m", 1), resources)
    living = asyncio.create_task(first.keeper.run())
    await first.ledger.hold(order("l", 10))
    second = Gateway(url, Identity("second", "here", None, 1), resources)
    running = asyncio.create_task(second.keeper.run())
    began = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() - began > 2 * QUICK.term / 1000)
    assert audit(url) == {"l": (100, 0, 10)}
    living.cancel()
    died = asyncio.get_running_loop().time()
    await until(lambda: audit(url) == {"l": (100, 0, 0)})
    assert asyncio.get_running_loop().time() - died >= (QUICK.term - QUICK.gap) / 1000
    running.cancel()
    await asyncio.gather(living, running, return_exceptions=True)


async def test_more_than_a_page_is_released(url: str, resources: AsyncExitStack) -> None:
    add_license(url, "l", 2000)
    first = Gateway(url, Identity("first", "here", "m", 1), resources)
    await first.keeper.renew()
    await asyncio.gather(*(first.ledger.hold(order("l", 1)) for _ in range(1_001)))
    second = Gateway(url, Identity("second", "here", "m", 2), resources, runs=False)
    assert await second.keeper.tick() == 1_001
    assert audit(url) == {"l": (2000, 0, 0)}


async def test_all_the_dead_are_looked_through_and_each_is_told_of_once(
    url: str, resources: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    add_license(url, "l", 100)
    left = Gateway(url, Identity("zz", "there", "m", 1), resources)
    await left.keeper.renew()
    await left.ledger.hold(order("l", 10))
    with plainly(url) as sql:
        for number in range(600):
            sql(
                "INSERT INTO process SELECT ?, host, machine, 7, 0, seen_at FROM process WHERE id = 'zz'",
                f"d{number}",
            )
    for name, released in (("second", 1), ("third", 0)):
        survivor = Gateway(url, Identity(name, "here", "m", 2), resources, runs=False)
        assert await survivor.keeper.tick() == released
    assert audit(url) == {"l": (100, 0, 0)}
    told = [record.__dict__ for record in caplog.records if "process died" in record.getMessage()]
    assert [line["owner"] for line in told] == ["zz"]


async def test_a_sign_that_was_not_taken_is_given_again_soon(
    url: str, resources: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway(url, Identity("me", "here", "m", 1), resources)
    times = LeaseTimes(interval=300_000)
    keeper = LeaseKeeper(gateway.me, gateway.tenure, gateway.ledger, gateway.leases, lambda _: True, times)
    with plainly(url) as sql:
        sql("ALTER TABLE process RENAME TO away")
        running = asyncio.create_task(keeper.run())
        await until(lambda: any("lease was not renewed" in record.getMessage() for record in caplog.records))
        sql("ALTER TABLE away RENAME TO process")
    await until(lambda: query(url, "SELECT id FROM process") != [])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_without_a_lease_no_hold_is_taken_and_what_was_taken_is_settled(url: str) -> None:
    add_license(url, "l", 100)
    clock = SetClock()
    tenure = Tenure(clock, 10_000)
    async with ledger_on(url, clock, leased=tenure.lasts) as ledger:
        with pytest.raises(LedgerUnavailable):
            await ledger.hold(order("l", 10))
        tenure.renewed(tenure.moment(), clock.now)
        clock.now += 9_999
        hold = await ledger.hold(order("l", 10))
        clock.now += 1
        with pytest.raises(LedgerUnavailable):
            await ledger.hold(order("l", 10))
        await ledger.settle(charge(hold.id, "l", 5))
        tenure.renewed(tenure.moment(), clock.now)
        await ledger.hold(order("l", 10))
    assert audit(url) == {"l": (100, 5, 10)}


class Clocks:
    """A machine's two."""

    def __init__(self, wall: int) -> None:
        self.wall, self.passed = wall, 0.0

    def now_ms(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.passed


@pytest.mark.parametrize(("wall", "passed"), [(10_000, 0), (0, 10), (-1, 0)])
def test_either_clock_can_tell_that_a_lease_is_over(wall: int, passed: int) -> None:
    clocks = Clocks(NOW)
    tenure = Tenure(clocks, 10_000)
    assert not tenure.lasts()
    tenure.renewed(tenure.moment(), 0)
    assert tenure.lasts()
    clocks.wall += wall
    clocks.passed += passed
    assert not tenure.lasts()


def test_a_clock_that_is_off_is_put_right_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks(NOW)
    tenure = Tenure(clocks, 10_000)
    ahead = 35 * 60_000
    for passed in (0, 2_000, 4_000):
        clocks.wall = NOW + passed
        tenure.renewed(tenure.moment(), NOW + passed - ahead)
        assert tenure.now_ms() == NOW + passed - ahead
    assert [record.__dict__["machine_ahead_seconds"] for record in caplog.records] == [2100.0]
    tenure.renewed(tenure.moment(), clocks.wall + 1_999)
    assert tenure.now_ms() == clocks.wall
    # An answer that took its time explains as much.
    asked = tenure.moment()
    clocks.wall += 60_000
    tenure.renewed(asked, asked.wall_ms)
    assert tenure.now_ms() == clocks.wall


async def test_who_leaves_in_order_is_not_missed_and_who_leaves_holds_is(
    url: str, resources: AsyncExitStack
) -> None:
    add_license(url, "l", 100)
    first = Gateway(url, Identity("first", "here", "m", 1), resources)
    await first.keeper.renew()
    hold = await first.ledger.hold(order("l", 10))
    await first.leases.leave("first")
    assert [row["id"] for row in query(url, "SELECT id FROM process")] == ["first"]
    await first.ledger.release(hold.id, "")
    await first.leases.leave("first")
    assert query(url, "SELECT id FROM process") == []


async def test_a_process_is_forgotten_an_hour_after_its_last_sign(
    url: str, resources: AsyncExitStack
) -> None:
    gateway = Gateway(url, Identity("me", "here", "m", 1), resources, runs=False)
    await gateway.keeper.renew()
    for age in (3_500_000, 3_700_000):
        with plainly(url) as sql:
            sql(
                "INSERT INTO process SELECT ?, host, machine, pid, 0, seen_at - ? FROM process"
                " WHERE id = 'me'",
                f"dead-{age}",
                age,
            )
    await gateway.keeper.tick()
    assert {row["id"] for row in query(url, "SELECT id FROM process")} == {"me", "dead-3500000"}


async def test_a_lease_is_kept_through_an_outage(
    url: str, resources: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway(url, Identity("me", "here", "m", 1), resources)
    running = asyncio.create_task(gateway.keeper.run())
    await until(lambda: query(url, "SELECT id FROM process") != [])
    with plainly(url) as sql:
        sql("ALTER TABLE process RENAME TO away")
        await until(lambda: any("lease was not renewed" in record.getMessage() for record in caplog.records))
        sql("ALTER TABLE away RENAME TO process")
        sql("DELETE FROM process")
    await until(lambda: query(url, "SELECT id FROM process") != [])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
