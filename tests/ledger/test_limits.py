"""Limits in the ledger: what is let in, what is refused and until when, and that a refusal takes nothing."""

import asyncio

import pytest
from books_world import verify
from ledger_world import NOW, SetClock, add_license, audit, ledger_on, order, query
from limits_world import MINUTE, gauges, limited, used
from msgspec.structs import replace

from quantized.core.errors import InsufficientCredits, RateLimited
from quantized.core.limits import Gauge, Limits, Standing
from quantized.core.ports import Hold, HoldOrder
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.sweeper import Sweeper
from quantized.storage.leases import Leases


@pytest.fixture
def url(url: str) -> str:
    add_license(url, "l", 1_000_000)
    return url


async def refused(ledger: GroupCommitLedger, wish: HoldOrder) -> RateLimited:
    with pytest.raises(RateLimited) as refusal:
        await ledger.hold(wish)
    assert refusal.value.code == "rate_limit_exceeded"
    return refusal.value


async def taken(ledger: GroupCommitLedger, wishes: list[HoldOrder]) -> list[HoldOrder]:
    """Those of a crowd that were let in."""
    results = await asyncio.gather(*map(ledger.hold, wishes), return_exceptions=True)
    assert all(isinstance(result, Hold | RateLimited) for result in results)
    return [wish for wish, result in zip(wishes, results, strict=True) if isinstance(result, Hold)]


async def test_so_many_requests_at_a_time(url: str) -> None:
    limits = Limits(parallel_requests=3)
    async with ledger_on(url) as ledger:
        first, second, third = await taken(ledger, [limited(limits) for _ in range(200)])
        refusal = await refused(ledger, limited(limits))
        assert refusal.retry_after == 1 and refusal.standing is None
        assert "3 requests at a time" in refusal.message
        await ledger.settle(used(first))
        await ledger.hold(limited(limits))
        await refused(ledger, limited(limits))
        await ledger.release(second.id, "gone")
        await ledger.release(second.id, "gone")
        await ledger.hold(limited(limits))
        await refused(ledger, limited(limits))
        # Who was let in already is told so again.
        assert (await ledger.hold(third)).amount == 10
        assert gauges(url)["open_holds"] == 3
    assert verify(url) == []


async def test_so_many_requests_in_a_minute(url: str) -> None:
    limits, clock = Limits(requests_per_minute=6), SetClock()
    async with ledger_on(url, clock) as ledger:
        wishes = await taken(ledger, [limited(limits) for _ in range(50)])
        assert len(wishes) == 6
        refusal = await refused(ledger, limited(limits))
        assert (refusal.retry_after, refusal.standing) == (10, Standing(Gauge(6, 0, MINUTE), None))
        # That the first are over does not let others in, only time does.
        await asyncio.gather(*(ledger.release(wish.id, "gone") for wish in wishes))
        clock.now += 9_999
        assert (await refused(ledger, limited(limits))).retry_after == 0.001
        clock.now += 1
        hold = await ledger.hold(limited(limits))
        assert hold.standing == Standing(Gauge(6, 0, MINUTE), None)
        clock.now += 2 * MINUTE
        assert len(await taken(ledger, [limited(limits) for _ in range(50)])) == 6


async def test_tokens_are_taken_and_reconciled_with_what_was_used(url: str) -> None:
    limits = Limits(tokens_per_minute=1_000)
    clock = SetClock()
    async with ledger_on(url, clock) as ledger:
        wish = limited(limits, 900)
        assert (await ledger.hold(wish)).standing == Standing(None, Gauge(1_000, 100, 54_000))
        refusal = await refused(ledger, limited(limits, 200))
        assert refusal.retry_after == 6
        await ledger.settle(used(wish, read=30, written=20))
        assert gauges(url)["tokens_owed"] == 50 * MINUTE
        # More than was taken: nobody comes in until it has drained.
        greedy = limited(limits, 100)
        await ledger.hold(greedy)
        await ledger.settle(used(greedy, read=1_000, written=2_000))
        assert (await refused(ledger, limited(limits, 1))).retry_after == (3_050 - 999) * MINUTE / 1_000_000
        clock.now += 3_050 * 60
        cut = limited(limits, 1_000)
        await ledger.hold(cut)
        await ledger.release(cut.id, "gone")
        await ledger.release(cut.id, "gone")
        assert gauges(url)["tokens_owed"] == 0


async def test_what_has_drained_before_the_end_is_not_given_back_twice(url: str) -> None:
    limits, clock = Limits(tokens_per_minute=600), SetClock()
    async with ledger_on(url, clock) as ledger:
        wish = limited(limits, 500)
        await ledger.hold(wish)
        clock.now += 30_000  # drains 300 of them
        await ledger.settle(used(wish, read=400))
        assert gauges(url)["tokens_owed"] == 100 * MINUTE
        late = limited(limits, 100)
        await ledger.hold(late)
        await ledger.release(late.id, "gone")
        assert gauges(url)["tokens_owed"] == 100 * MINUTE
        # A charge that comes after the release owes all that it used.
        await ledger.settle(used(late, read=7, written=3))
        await ledger.settle(used(late, read=7, written=3))
        assert gauges(url)["tokens_owed"] == 110 * MINUTE
    assert verify(url) == []


async def test_limits_come_before_credits_and_a_refusal_takes_nothing(url: str) -> None:
    limits = Limits(requests_per_minute=1, tokens_per_minute=100, parallel_requests=1)
    async with ledger_on(url) as ledger:
        before = gauges(url)
        rich = replace(limited(limits, 10, wanted=2**50), minimum=2**50)
        with pytest.raises(InsufficientCredits) as poor:
            await ledger.hold(rich)
        assert poor.value.standing == Standing(Gauge(1, 1, 0), Gauge(100, 100, 0))
        assert gauges(url) == before
        await ledger.hold(limited(limits, 10))
        full = gauges(url)
        await refused(ledger, rich)
        assert gauges(url) == full
    assert len(query(url, "SELECT id FROM hold")) == 1


async def test_a_limit_that_is_set_later_counts_what_is_under_way(url: str) -> None:
    async with ledger_on(url) as ledger:
        await asyncio.gather(*(ledger.hold(order("l", 1)) for _ in range(3)))
        await refused(ledger, limited(Limits(parallel_requests=3)))
        await ledger.hold(limited(Limits(parallel_requests=4)))


async def test_what_a_dead_process_left_counts_until_it_is_swept(url: str) -> None:
    limits, clock = Limits(parallel_requests=2, tokens_per_minute=100), SetClock()
    async with ledger_on(url, clock) as ledger:
        assert len(await taken(ledger, [limited(limits, 50) for _ in range(5)])) == 2
    clock.now = NOW + 60_001
    async with ledger_on(url, clock) as ledger:
        await refused(ledger, limited(limits, 1))
        leases = Leases(url)
        assert await Sweeper(ledger, leases, None, clock).sweep() == 2
        leases.close()
        assert gauges(url) == {
            "held": 0, "open_holds": 0, "requests_owed": 0, "tokens_owed": 0, "metered_at": NOW
        }  # fmt: skip
        await ledger.hold(limited(limits, 100))
    audit(url)


async def test_a_licence_without_limits_is_metered_by_nothing(url: str) -> None:
    async with ledger_on(url) as ledger:
        wish = order("l", 5)
        assert (await ledger.hold(wish)).standing is None
        await ledger.settle(used(wish, read=10_000))
    assert gauges(url) == {
        "held": 0, "open_holds": 0, "requests_owed": 0, "tokens_owed": 0, "metered_at": 0
    }  # fmt: skip
