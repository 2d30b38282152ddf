"""What the SQLite store remembers of its own last transactions, what it must not take for known, and the
holds that it writes without letting anybody wait."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from ledger_world import NOW, PATIENT, SetClock, add_license, audit, charge, order, query, url_of
from msgspec.structs import replace

from quantized.core.errors import InsufficientCredits, LedgerUnavailable, Unauthenticated
from quantized.core.ports import Hold, Receipt
from quantized.ledger.credits import grant
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.verbs import HoldEnded, Release, UnknownHold, Verb
from quantized.ledger.writer import commit_at_once, flush
from quantized.storage.records import Changes, LedgerStore, Needs, Rejected, Rows
from quantized.storage.sqlite import connect
from quantized.storage.sqlite_ledger import SqliteLedgerStore


@pytest.fixture
def url(template: Path, tmp_path: Path) -> str:
    """SQLite, whatever database the other tests of the ledger use besides."""
    copy(template, tmp_path / "test.db")
    return url_of(tmp_path / "test.db")


@pytest.fixture
def store(url: str) -> Iterator[SqliteLedgerStore]:
    with closing(SqliteLedgerStore(url, owner="me")) as opened:
        yield opened


def say(store: SqliteLedgerStore, *verbs: Verb) -> list[Any]:
    flushed = flush(store, [*verbs], NOW)
    assert flushed.failure is None
    return flushed.results


def test_what_others_commit_between_two_batches_is_seen(url: str, store: SqliteLedgerStore) -> None:
    add_license(url, "l", 100)
    say(store, order("l", 60, hold_id="a"))
    with closing(SqliteLedgerStore(url, owner="other")) as other:
        say(other, order("l", 30, hold_id="b"))
        assert say(store, order("l", 60, hold_id="c"))[0].amount == 10
        say(other, charge("b", "l", 1), Release("a", "by the other"))
    assert say(store, order("l", 90, hold_id="d"))[0].amount == 89
    grant(url, entry_id="more", license_id="l", amount=500, reason="", actor="", now_ms=NOW)
    assert say(store, order("l", 400, hold_id="e"))[0].amount == 400
    with closing(connect(url)) as connection:
        connection.execute("UPDATE license SET active = 0")
    assert isinstance(say(store, order("l", 1))[0], Unauthenticated)
    assert audit(url) == {"l": (600, 1, 10 + 89 + 400)}


def test_a_hold_said_again_is_the_one_that_was_taken(url: str, store: SqliteLedgerStore) -> None:
    """Whoever has forgotten it, or never knew it, finds it as soon as it would take it anew."""
    add_license(url, "l", 100)
    first = say(store, order("l", 70, hold_id="a"))
    assert say(store, order("l", 70, hold_id="a")) == first
    with closing(SqliteLedgerStore(url, owner="other")) as other:
        # There is enough for it to be taken twice; then there is not, and it would be refused.
        assert say(other, order("l", 20, hold_id="a"), order("l", 5, hold_id="b"))[0].amount == 70
        say(other, order("l", 25, hold_id="c"))
    with closing(SqliteLedgerStore(url, owner="third")) as third:
        again, refused = say(third, order("l", 70, minimum=70, hold_id="a"), order("l", 1, hold_id="d"))
        assert again.amount == 70
        assert isinstance(refused, InsufficientCredits)
    say(store, charge("a", "l", 50))
    with closing(SqliteLedgerStore(url, owner="fourth")) as fourth:
        assert isinstance(say(fourth, order("l", 1, hold_id="a"))[0], HoldEnded)
    assert audit(url) == {"l": (100, 50, 30)}


def test_a_hold_that_is_there_is_found_whatever_else_the_batch_takes(
    url: str, store: SqliteLedgerStore
) -> None:
    add_license(url, "l", 100)
    with closing(SqliteLedgerStore(url, owner="other")) as other:
        say(other, order("l", 90, hold_id="b"))
    nothing, taken, found = say(
        store, Release("a", "early"), order("l", 5, hold_id="a"), order("l", 90, minimum=90, hold_id="b")
    )
    assert isinstance(nothing, UnknownHold)
    assert (taken.amount, found.amount) == (5, 90)
    assert audit(url) == {"l": (100, 0, 95)}


def test_a_charge_said_again_has_its_first_receipt(url: str, store: SqliteLedgerStore) -> None:
    add_license(url, "l", 100)
    say(store, order("l", 70, hold_id="a"))
    (receipt,) = say(store, charge("a", "l", 50))
    assert receipt == Receipt(50, 0, 50)
    assert say(store, charge("a", "l", 60)) == [receipt]
    _, once, twice = say(store, order("l", 9, hold_id="b"), charge("b", "l", 1), charge("b", "l", 2))
    assert once == twice == Receipt(1, 0, 49)
    assert audit(url) == {"l": (100, 51, 0)}


def test_what_was_rolled_back_is_not_remembered(url: str, store: SqliteLedgerStore) -> None:
    add_license(url, "l", 100)
    say(store, order("l", 10, hold_id="a"), order("l", 10, hold_id="b"))
    never = replace(charge("b", "l", 1), surface=None)
    # Together they are refused, and then each is said by itself.
    receipt, refused = say(store, charge("a", "l", 9), never)
    assert receipt == Receipt(9, 0, 91)
    assert isinstance(refused, LedgerUnavailable)
    assert audit(url) == {"l": (100, 9, 10)}


def test_a_hold_at_once_waits_neither_for_others_nor_for_the_disk(url: str, store: SqliteLedgerStore) -> None:
    add_license(url, "l", 100)
    assert commit_at_once(store, order("l", 1), NOW) is None, "opening the database takes its time"
    say(store, order("l", 1, hold_id="a"))
    hold = commit_at_once(store, order("l", 2, hold_id="b"), NOW)
    assert isinstance(hold, Hold)
    assert hold.amount == 2
    say(store, charge("a", "l", 1))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert commit_at_once(store, order("l", 3), NOW) is None
        other.execute("ROLLBACK")
    assert commit_at_once(store, order("l", 4), NOW) is not None
    assert audit(url) == {"l": (100, 1, 6)}


async def test_a_hold_by_itself_is_there_before_anybody_waits_for_it(url: str) -> None:
    add_license(url, "l", 100)
    ledger = GroupCommitLedger(SqliteLedgerStore(url, owner="me"), SetClock(), patience=PATIENT)
    try:
        await ledger.hold(order("l", 1))  # opens the database
        waiting = ledger.hold(order("l", 2, hold_id="here"))
        assert query(url, "SELECT amount FROM hold WHERE id = 'here'") == [{"amount": 2}]
        assert (await waiting).amount == 2
    finally:
        await ledger.close()


class Held(LedgerStore):
    """Over a real one; a batch is let in when `goes_on` says so. The first that is refused withdraws that."""

    def __init__(self, url: str) -> None:
        self.store = SqliteLedgerStore(url, owner="me")
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.refused = threading.Event()

    def transact(
        self,
        needs: Needs,
        decide: Callable[[Rows], Changes],
        *,
        now_ms: int,
        durable: bool = True,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        assert self.goes_on.wait(50)
        try:
            self.store.transact(needs, decide, now_ms=now_ms, durable=durable, committed=committed)
        except Rejected:
            if not self.refused.is_set():
                self.goes_on.clear()
                self.refused.set()
            raise

    def transact_at_once(self, needs: Needs, decide: Callable[[Rows], Changes], *, now_ms: int) -> bool:
        return self.store.transact_at_once(needs, decide, now_ms=now_ms)

    def close(self) -> None:
        self.store.close()


async def test_a_hold_is_not_taken_before_what_was_said_before_it(url: str) -> None:
    add_license(url, "l", 100)
    store = Held(url)
    ledger = GroupCommitLedger(store, SetClock(), patience=PATIENT)
    try:
        await ledger.hold(order("l", 100, hold_id="all"))
        store.goes_on.clear()
        released = ledger.release("all", "left")
        await asyncio.sleep(0)  # now it is under way
        waiting = ledger.hold(order("l", 60))
        store.goes_on.set()
        assert (await waiting).amount == 60
        await released
    finally:
        store.goes_on.set()
        await ledger.close()


async def test_nor_before_what_is_said_one_by_one_after_a_refusal(url: str) -> None:
    add_license(url, "l", 100)
    store = Held(url)
    ledger = GroupCommitLedger(store, SetClock(), patience=PATIENT)
    try:
        for name in ("all", "bad"):
            await ledger.hold(order("l", 50, hold_id=name))
        never = asyncio.ensure_future(ledger.settle(replace(charge("bad", "l", 1), surface=None)))
        released = ledger.release("all", "left")
        assert await asyncio.to_thread(store.refused.wait, 50)
        waiting = ledger.hold(order("l", 40))
        store.goes_on.set()
        assert (await waiting).amount == 40
        await released
        with pytest.raises(LedgerUnavailable):
            await never
    finally:
        store.goes_on.set()
        await ledger.close()
