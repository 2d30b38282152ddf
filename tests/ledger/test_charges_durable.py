"""A charge that was told is on the disk, whatever the disk does meanwhile."""

import asyncio
import os
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from ledger_world import (
    NOW,
    PATIENT,
    SetClock,
    add_license,
    audit,
    charge,
    order,
    query,
    storing,
    until,
    url_of,
)

from quantized.clock import SystemClock
from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Clock, Hold, HoldOrder, Receipt
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.line import BATCH_BYTES
from quantized.ledger.verbs import Verb
from quantized.ledger.writer import Flushed, HeldUp, flush
from quantized.storage.records import LedgerStore
from quantized.storage.sqlite import connect, sqlite_path
from quantized.storage.sqlite_ledger import SqliteLedgerStore
from quantized.storage.sqlite_log import Sync, datasync


@pytest.fixture
def url(template: Path, tmp_path: Path) -> str:
    shutil.copy(template, tmp_path / "test.db")
    return url_of(tmp_path / "test.db")


@asynccontextmanager
async def ledger_on(
    url: str,
    sync: Sync = datasync,
    *,
    clock: Clock | None = None,
    busy_seconds: float = PATIENT,
    patience: float = PATIENT,
) -> AsyncIterator[GroupCommitLedger]:
    store = SqliteLedgerStore(url, busy_seconds=busy_seconds, sync=sync)
    ledger = GroupCommitLedger(store, clock or SetClock(), patience=patience)
    try:
        yield ledger
    finally:
        await ledger.close()


class PowerCuts:
    """Syncs, and keeps what a machine that lost its power right then would find: both files as they are, the
    log perhaps torn by a commit of that instant."""

    def __init__(self, url: str, folder: Path) -> None:
        self._path = sqlite_path(url)
        self._folder = folder
        self.syncs = 0
        self.charged: set[str] = set()

    def __call__(self, descriptor: int) -> None:
        datasync(descriptor)
        self.syncs += 1
        found = self._folder / f"{self.syncs}.db"
        for suffix in ("", "-wal"):
            shutil.copy(f"{self._path}{suffix}", f"{found}{suffix}")
        with closing(connect(url_of(found))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            self.charged = {row[0] for row in connection.execute("SELECT hold_id FROM usage_record")}
        audit(url_of(found))
        found.unlink()


async def spend(ledger: GroupCommitLedger, number: int, cuts: PowerCuts) -> None:
    for turn in range(6):
        await asyncio.sleep(0.001 * (number % 5))
        hold = await ledger.hold(order("l", 10, hold_id=f"hold-{number}-{turn}"))
        await ledger.settle(charge(hold.id, "l", 3))
        assert hold.id in cuts.charged


async def test_a_charge_is_told_when_a_power_cut_would_not_lose_it(url: str, tmp_path: Path) -> None:
    add_license(url, "l", 10_000)
    cuts = PowerCuts(url, tmp_path)
    async with ledger_on(url, cuts) as ledger:
        await asyncio.gather(*(spend(ledger, number, cuts) for number in range(25)))
    assert audit(url) == {"l": (10_000, 450, 0)}
    assert 6 <= cuts.syncs <= 150


async def test_a_hold_waits_for_no_sync(url: str) -> None:
    add_license(url, "l", 100)
    syncs: list[int] = []
    async with ledger_on(url, syncs.append) as ledger:
        holds = [await ledger.hold(order("l", 10)) for _ in range(3)]
        await ledger.release(holds[0].id, "changed its mind")
        assert syncs == []
        await ledger.settle(charge(holds[1].id, "l", 5))
        assert len(syncs) == 1


async def written_beside_a_sync(ledger: GroupCommitLedger, sync: "Hanging", url: str, name: str) -> bool:
    """Whether a hold was there while the disk had not yet taken the charge of another."""
    first = await ledger.hold(order("l", 10))
    charged = asyncio.ensure_future(ledger.settle(charge(first.id, "l", 1)))
    while not sync.hangs.is_set():  # noqa: ASYNC110  as fast as the loop can: only a young batch has company
        await asyncio.sleep(0)
    waiting = asyncio.ensure_future(ledger.hold(order("l", 10, hold_id=name)))
    await asyncio.sleep(0)
    beside = query(url, "SELECT amount FROM hold WHERE id = ?", name)
    sync.goes_on.set()
    assert (await waiting).amount == 10
    assert (await charged).charged == 1
    await ledger.release(name, "done")
    sync.hangs.clear()
    sync.goes_on.clear()
    return beside == [{"amount": 10}]


async def test_a_hold_does_not_wait_for_the_sync_of_a_charge(url: str) -> None:
    add_license(url, "l", 1_000)
    sync = Hanging()
    async with ledger_on(url, sync) as ledger:
        # On a busy machine a batch is seldom young.
        tries = [await written_beside_a_sync(ledger, sync, url, f"{number}") for number in range(20)]
    assert any(tries)
    assert audit(url) == {"l": (1_000, 20, 0)}


class FailingOnce:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, descriptor: int) -> None:
        self.calls += 1
        if self.calls == 1:
            raise OSError(5, "the disk lost something")


class Rewritten:
    """What is written to a log by whoever is not SQLite."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._log = Path(f"{sqlite_path(url)}-wal")
        self._url = url
        self._bytes = bytearray()
        self.was_all = False
        self._write = os.pwrite
        monkeypatch.setattr(os, "pwrite", self)

    def __call__(self, descriptor: int, block: bytes, place: int) -> int:
        locked = pytest.raises(sqlite3.OperationalError, match="locked")
        with closing(connect(self._url, busy_seconds=0)) as other, locked:
            other.execute("BEGIN IMMEDIATE")
        self._bytes[place : place + len(block)] = block
        self.was_all = self._bytes == self._log.read_bytes()
        return self._write(descriptor, block, place)


async def test_after_a_failed_sync_a_charge_is_told_once_the_whole_log_has_been_written_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No second sync could tell what became of the first one's pages: the system takes them for written."""
    add_license(url, "l", 100)
    sync = FailingOnce()
    rewritten = Rewritten(url, monkeypatch)
    async with ledger_on(url, sync) as ledger:
        first = await ledger.hold(order("l", 10))
        second = await ledger.hold(order("l", 10))
        with closing(connect(url)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM hold").fetchone()  # so that it cannot be folded in either
            assert (await ledger.settle(charge(first.id, "l", 5))).remaining == 95
        assert (sync.calls, rewritten.was_all) == (2, True)
        rewritten.was_all = False
        await ledger.settle(charge(second.id, "l", 5))
        assert (sync.calls, rewritten.was_all) == (3, False)
    assert audit(url) == {"l": (100, 10, 0)}


def test_a_failed_sync_is_not_forgotten_with_the_connection(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_license(url, "l", 100)
    sync = FailingOnce()
    rewritten = Rewritten(url, monkeypatch)
    store = SqliteLedgerStore(url, sync=sync)
    # Somebody else has it open, so that closing does not fold the log in.
    with closing(connect(url)) as other, closing(store):
        other.execute("SELECT count(*) FROM hold").fetchone()
        assert flush(store, [order("l", 10, hold_id="a")], NOW).failure is None
        assert [type(result) for result in flush(store, [charge("a", "l", 5)], NOW).results] == [HeldUp]
        store.close()
        assert not rewritten.was_all
        assert [type(result) for result in flush(store, [charge("a", "l", 5)], NOW).results] == [Receipt]
        assert (sync.calls, rewritten.was_all) == (2, True)


def test_what_failed_before_a_process_began_it_does_not_take_for_synced(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_license(url, "l", 100)
    rewritten = Rewritten(url, monkeypatch)
    with closing(connect(url)) as other:
        other.execute("SELECT count(*) FROM hold").fetchone()
        with closing(SqliteLedgerStore(url, sync=FailingOnce())) as before:
            flush(before, [order("l", 10, hold_id="a")], NOW)
            assert [type(result) for result in flush(before, [charge("a", "l", 5)], NOW).results] == [HeldUp]
        with closing(SqliteLedgerStore(url)) as after:
            flush(after, [order("l", 10, hold_id="b")], NOW)
            assert not rewritten.was_all
            assert [type(result) for result in flush(after, [charge("b", "l", 5)], NOW).results] == [Receipt]
            assert rewritten.was_all


def test_a_response_that_can_never_be_stored_is_told_of_on_a_broken_disk_too(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_license(url, "l", 100)
    with closing(SqliteLedgerStore(url, sync=FailingOnce())) as store:
        flush(store, [order("l", 10, hold_id="a")], NOW)
        unstorable = storing(charge("a", "l", 5), text="\ud800")
        (result,) = flush(store, [unstorable], NOW).results
    assert isinstance(result, HeldUp)
    assert result.cause
    assert [record.getMessage() for record in caplog.records] == ["a response could not be stored"]
    assert audit(url) == {"l": (100, 5, 0)}


class ByHand:
    """A writer whose batches come home when the test says so, and as it says."""

    def __init__(self, store: LedgerStore, clock: Clock, flushed: Callable[[Flushed], None]) -> None:
        self.home = flushed
        self.batch: list[Verb] = []

    def write(self, verbs: list[Verb]) -> None:
        self.batch = verbs

    def write_at_once(self, order: HoldOrder) -> None:
        return None

    def stop(self) -> None: ...

    async def stopped(self) -> None: ...


async def test_a_charge_is_confirmed_also_by_a_batch_that_came_home_in_part(url: str) -> None:
    made: list[ByHand] = []

    def by_hand(*arguments: Any) -> ByHand:
        made.append(ByHand(*arguments))
        return made[0]

    ledger = GroupCommitLedger(SqliteLedgerStore(url), SetClock(), patience=PATIENT, writer=by_hand)
    (writer,) = made
    charged, held = ledger.settle(charge("a", "l", 5)), ledger.hold(order("l", 10, hold_id="b"))
    for results, failure in (
        ([HeldUp("the disk is ill"), HeldUp()], None),
        ([Receipt(5, 0, 95)], LedgerUnavailable(cause="not now")),
        ([Hold("b", "l", 10)], None),
    ):
        await until(lambda: bool(writer.batch))
        writer.batch = []
        writer.home(Flushed(results, failure))
    assert (await charged).charged == 5
    assert (await held).amount == 10
    assert ledger.behind == 0
    await ledger.close()


async def test_charges_with_large_responses_that_are_not_confirmed_hold_up_nobody(url: str) -> None:
    add_license(url, "l", 10_000)
    broken = True

    def sync(_: int) -> None:
        if broken:
            threading.Event().wait(0.05)  # The disk takes its time to say so.
            raise OSError(5, "the disk is gone")

    async with ledger_on(url, sync) as ledger:
        holds = [await ledger.hold(order("l", 10)) for _ in range(40)]
        charges = [storing(charge(hold.id, "l", 5), size=BATCH_BYTES) for hold in holds]
        waiting = [asyncio.ensure_future(ledger.settle(said)) for said in charges]
        await until(lambda: query(url, "SELECT count(*) AS n FROM usage_record") == [{"n": 40}])
        for _ in range(5):
            await ledger.hold(order("l", 1))
        broken = False
        await asyncio.gather(*(ledger.settle(said) for said in charges))
        await asyncio.gather(*waiting, return_exceptions=True)
        assert ledger.behind == 0
    assert audit(url) == {"l": (10_000, 200, 5)}


async def test_a_disk_that_confirms_no_charge_holds_up_no_hold(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_license(url, "l", 10_000)
    broken = True

    def sync(_: int) -> None:
        if broken:
            raise OSError(5, "the disk is gone")

    async with ledger_on(url, sync, patience=6.0) as ledger:
        holds = [await ledger.hold(order("l", 10)) for _ in range(120)]
        charges = [charge(hold.id, "l", 5) for hold in holds]
        waiting = [asyncio.ensure_future(ledger.settle(said)) for said in charges]
        await asyncio.gather(*(ledger.hold(order("l", 1)) for _ in range(20)))
        assert not any(answer.done() for answer in waiting)
        await until(lambda: ledger.behind > 0.1)
        await ledger.hold(order("l", 1))
        assert ledger.behind > 0.1, "who is asked whether all is well says no"
        broken = False
        receipts = await asyncio.gather(*(ledger.settle(said) for said in charges))
        assert [receipt.charged for receipt in receipts] == [5] * 120
        await asyncio.gather(*waiting)
        assert ledger.behind == 0
    told = [record for record in caplog.records if "not confirmed" in record.getMessage()]
    assert 1 <= len(told) <= 3
    assert audit(url) == {"l": (10_000, 600, 21)}


class Hanging:
    def __init__(self) -> None:
        self.hangs = threading.Event()
        self.goes_on = threading.Event()

    def __call__(self, descriptor: int) -> None:
        self.hangs.set()
        assert self.goes_on.wait(50)


async def test_while_the_disk_hangs_nobody_waits_long_and_nothing_is_lost(url: str) -> None:
    add_license(url, "l", 100)
    sync = Hanging()
    async with ledger_on(url, sync, clock=SystemClock(), patience=1.5) as ledger:
        holds = [await ledger.hold(order("l", 10)) for _ in range(3)]
        charged = asyncio.ensure_future(ledger.settle(charge(holds[0].id, "l", 5)))
        await until(sync.hangs.is_set)
        with pytest.raises(LedgerUnavailable):
            await charged
        # By now nothing is written in the loop, lest it hang as well.
        with pytest.raises(LedgerUnavailable):
            await ledger.hold(order("l", 10))
        assert audit(url) == {"l": (100, 5, 20)}
        sync.goes_on.set()
        assert (await ledger.settle(charge(holds[0].id, "l", 5))).charged == 5
        assert (await ledger.settle(charge(holds[1].id, "l", 5))).remaining == 90
        await until(lambda: audit(url) == {"l": (100, 10, 10)})


async def test_closing_says_which_charges_may_not_be_on_the_disk(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_license(url, "l", 100)

    def broken(_: int) -> None:
        raise OSError(5, "the disk is gone")

    async with ledger_on(url, broken, patience=1.0, busy_seconds=0.02) as ledger:
        hold = await ledger.hold(order("l", 10))
        said = ledger.settle(charge(hold.id, "l", 5))
        await ledger.close()
        with pytest.raises(LedgerUnavailable):
            await said
    unsure = [record for record in caplog.records if "could not be written" in record.getMessage()]
    assert [record.__dict__["charge"]["hold_id"] for record in unsure] == [hold.id]
    assert query(url, "SELECT charged FROM usage_record") == [{"charged": 5}]
