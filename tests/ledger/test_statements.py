"""Statements of a period: what was before it, what is in it, wherever it begins and ends."""

from contextlib import closing

from books_world import give_back, write_books
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_world import NOW, SetClock, add_license, charge, ledger_on, order

from quantized.ledger.rules import Book
from quantized.ledger.sweeper import Sweeper
from quantized.ledger.verbs import Adjustment
from quantized.storage.leases import Leases
from quantized.storage.records import Changes, Needs, Rows
from quantized.storage.statements import (
    LicenseStatement,
    Period,
    RoleStatement,
    reading_statements,
    unsettled_holds,
)
from quantized.storage.stores import ledger_store

MINUTE = 60_000


def test_every_period_joins_the_next_even_where_clocks_differ(database_url: str) -> None:
    add_license(database_url, "l")
    # Minutes apart, and out of order by what the clocks of gateways may differ by.
    times = [NOW + MINUTE * (step // 3) + (step * 37 % 5) * 9_000 for step in range(60)]

    def at(number: int, moment: int) -> None:
        adjustment = Adjustment(f"a{number}", "l", "grant", number + 1, "", "")

        def decide(rows: Rows) -> Changes:
            book = Book(rows, moment)
            book.adjust(adjustment)
            return book.changes

        store.transact(Needs(license_ids=["l"], entry_ids=[adjustment.id]), decide, now_ms=moment)

    with closing(ledger_store(database_url)) as store:
        for number, moment in enumerate(times):
            at(number, moment)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(since=st.sampled_from(times), length=st.integers(0, 30 * MINUTE))
    def agrees(since: int, length: int) -> None:
        period = Period(since, since + length)
        with reading_statements(database_url) as connection:
            of = LicenseStatement(connection, "l", period)
            shared = RoleStatement(connection, "institution", None, period)
            before = sum(number + 1 for number, moment in enumerate(times) if moment < since)
            within = [n + 1 for n, moment in enumerate(times) if since <= moment < since + length]
            assert (of.opening(), [line.amount for line in of.lines()]) == (before, within)
            assert (shared.opening(), -sum(line.amount for line in shared.lines())) == (-before, sum(within))

    agrees()


async def test_a_shared_account_can_be_one_institutions(url: str) -> None:
    await write_books(url)
    with reading_statements(url) as connection:
        for institution, some in ((None, True), ("i", True), ("another", False)):
            lines = list(RoleStatement(connection, "revenue", institution, Period()).lines())
            assert bool(lines) == some


async def test_more_than_a_page_of_entries_is_one_statement(url: str) -> None:
    add_license(url, "l", 10_000)
    async with ledger_on(url) as ledger:
        for number in range(3):
            wishes = [order("l", 1, hold_id=f"h{number}-{n}") for n in range(400)]
            for wish in wishes:
                hold = ledger.hold(wish)
            await hold
            for wish in wishes:
                receipt = ledger.settle(charge(wish.id, "l", 1))
            await receipt
    with reading_statements(url) as connection:
        of = LicenseStatement(connection, "l", Period())
        assert [line.seq for line in of.lines()] == list(range(1, 1_202))


async def test_what_was_released_for_a_process_and_never_charged_is_listed(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        for hold_id in ("lost", "came_back", "cut"):
            await ledger.hold(order("l", 10, hold_id=hold_id, expires_at=NOW))
        await ledger.release("cut", "cut")
        with closing(Leases(url)) as leases:
            assert await Sweeper(ledger, leases, None, SetClock()).sweep() == 2
        await ledger.settle(charge("came_back", "l", 3))
    with reading_statements(url) as connection:
        (hold,) = unsettled_holds(connection, 0, None)
        assert (hold.hold_id, hold.reason, hold.amount, hold.request_id) == (
            "lost",
            "expired",
            10,
            "req-of-lost",
        )
        assert list(unsettled_holds(connection, 0, "l")) == [hold]
        assert list(unsettled_holds(connection, NOW + 1, None)) == []
        assert list(unsettled_holds(connection, 0, "m")) == []
    assert give_back(url, "r", "came_back", None) == 3
