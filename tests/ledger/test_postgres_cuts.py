"""The line to PostgreSQL is cut at any byte of a batch: whatever the database made of it, it counts once."""

import os
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from cutting_proxy import CuttingProxy, Direction
from database_copies import Templates
from ledger_world import NOW, add_license, audit, charge, order
from plain_sql import plainly

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Charge, Hold, HoldOrder, Receipt
from quantized.ledger.rules import Book, apply
from quantized.ledger.verbs import Release, Result, Verb
from quantized.storage.postgres_ledger import PostgresLedgerStore
from quantized.storage.records import Changes, LedgerStore, Needs, Rows

PATIENT = "?options=-c%20statement_timeout%3D20s"


@pytest.fixture
def url(templates: Templates) -> Iterator[str]:
    with templates.postgres() as url:
        yield url


@pytest.fixture
def proxy(url: str) -> Iterator[CuttingProxy]:
    place = urlsplit(url)
    with closing(CuttingProxy((place.hostname or "", place.port or 5432))) as proxy:
        yield proxy


@pytest.fixture
def store(url: str, proxy: CuttingProxy) -> Iterator[LedgerStore]:
    place = urlsplit(url)
    through = url.replace(f":{place.port}/", f":{proxy.port}/") + PATIENT
    with closing(PostgresLedgerStore(through, busy_seconds=20)) as store:
        yield store


def say(store: LedgerStore, *verbs: Verb) -> list[Result]:
    """One batch, as the ledger's thread says it."""
    results: list[Result] = []

    def decide(rows: Rows) -> Changes:
        book = Book(rows, NOW)
        results[:] = [apply(book, verb) for verb in verbs]
        return book.changes

    hold_ids = [verb.id if isinstance(verb, HoldOrder) else verb.hold_id for verb in verbs]
    license_ids = [verb.license_id for verb in verbs if isinstance(verb, HoldOrder)]
    store.transact(Needs(hold_ids, license_ids), decide, now_ms=NOW)
    return results


def until_taken(store: LedgerStore, *verbs: Verb) -> tuple[list[Result], int]:
    """What came of the batch in the end, and how often it failed before."""
    for failures in range(1_000):
        try:
            return say(store, *verbs), failures
        except LedgerUnavailable:
            continue
    raise AssertionError("the database did not come back")


def batch(number: int) -> tuple[Charge, Release, HoldOrder]:
    return (
        charge(f"a{number}", "l", 10),
        Release(f"b{number}", "cut"),
        order("m", 7, hold_id=f"c{number}"),
    )


def prepared(store: LedgerStore, number: int) -> tuple[Charge, Release, HoldOrder]:
    say(store, order("l", 20, hold_id=f"a{number}"), order("m", 5, hold_id=f"b{number}"))
    return batch(number)


def edges(pieces: list[bytes]) -> set[int]:
    """Where the messages of the protocol begin (a letter, and a length that does not count it), and a byte to
    either side."""
    stream, place, found = b"".join(pieces), 0, {0}
    while place < len(stream):
        place += 1 + int.from_bytes(stream[place + 1 : place + 5])
        found |= {place - 1, place, place + 1}
    return {place for place in found if place < len(stream)}


def test_a_batch_is_two_round_trips(store: LedgerStore, proxy: CuttingProxy, url: str) -> None:
    add_license(url, "l", 10**6)
    add_license(url, "m", 10**6)
    for number in range(2):
        verbs = prepared(store, number)
        with proxy.recording() as passed:
            say(store, *verbs)
    turns = [direction for direction, _ in passed]
    assert sum(1 for before, after in zip([None, *turns], turns, strict=False) if before != after) == 4


@pytest.mark.parametrize("direction", ["asked", "answered"])
def test_a_batch_counts_once_wherever_the_line_is_cut(
    store: LedgerStore, proxy: CuttingProxy, url: str, direction: Direction
) -> None:
    add_license(url, "l", 10**6)
    add_license(url, "m", 10**6)
    warm = prepared(store, 0)
    say(store, *warm)
    verbs = prepared(store, 1)
    with proxy.recording() as passed:
        say(store, *verbs)
    pieces = [piece for way, piece in passed if way == direction]
    size = sum(map(len, pieces))
    cuts = range(size) if os.environ.get("QUANTIZED_TEST_EVERY_BYTE") else sorted(edges(pieces))
    taken_unheard = 0
    for number, after in enumerate(cuts, 100):
        verbs = prepared(store, number)
        proxy.arm(direction, after)
        (receipt, released, hold), failures = until_taken(store, *verbs)
        assert failures, (after, size)
        assert not proxy.armed
        assert isinstance(receipt, Receipt)
        assert (receipt.charged, receipt.overrun) == (10, 0)
        assert hold == Hold(f"c{number}", "m", 7)
        taken_unheard += released is False
    batches = len(cuts) + 2
    assert audit(url) == {"l": (10**6, 10 * batches, 0), "m": (10**6, 0, 7 * batches)}
    # Otherwise no cut was late enough, or none early enough, to prove anything.
    assert 0 < taken_unheard < len(cuts) or direction == "asked"


def test_nothing_is_said_while_the_batch_before_may_still_be_committed(
    store: LedgerStore, proxy: CuttingProxy, url: str
) -> None:
    """A release that overtook its hold would find nothing to release, and the hold would stay."""
    add_license(url, "l", 100)
    with plainly(url) as sql:
        sql(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END $$"
        )
        sql(
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON hold DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION slow()"
        )
        say(store, order("l", 10, hold_id="one"))
        with proxy.recording() as passed:
            say(store, order("l", 10, hold_id="two"))
        sql("SELECT pg_advisory_lock(7)")
        # All is asked, and nothing more is answered.
        proxy.arm("asked", sum(len(piece) for way, piece in passed if way == "asked"))
        with pytest.raises(LedgerUnavailable):
            say(store, order("l", 10, hold_id="six"))
        for _ in range(3):
            with pytest.raises(LedgerUnavailable) as refusal:
                say(store, Release("six", "given up"))
            assert "still under way" in str(refusal.value.cause)
        sql("SELECT pg_advisory_unlock(7)")
    assert until_taken(store, Release("six", "given up"))[0] == [True]
    assert audit(url) == {"l": (100, 0, 20)}
