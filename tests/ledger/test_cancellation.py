"""A caller that stops waiting has still said what it said."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ledger_world import add_license, audit, charge, ledger_on, order


async def cancelled_after(turns: int, verb: Callable[[], Awaitable[Any]]) -> None:
    """Says the verb in a task, lets the loop turn so often, and cancels."""

    async def saying() -> None:
        await verb()

    task = asyncio.create_task(saying())
    await asyncio.sleep(0)  # the task begins, and the verb is said
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("turns", range(6))
async def test_a_hold_that_nobody_waits_for_ends_by_the_release_that_follows(url: str, turns: int) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        wish = order("l", 40)
        await cancelled_after(turns, lambda: ledger.hold(wish))
        await ledger.release(wish.id, "client_left")
    assert audit(url) == {"l": (100, 0, 0)}


@pytest.mark.parametrize("turns", range(6))
async def test_a_settlement_that_nobody_waits_for_is_written_once(url: str, turns: int) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        hold = await ledger.hold(order("l", 40))
        await cancelled_after(turns, lambda: ledger.settle(charge(hold.id, "l", 30)))
        await cancelled_after(turns, lambda: ledger.release(hold.id, "too late"))
        assert (await ledger.settle(charge(hold.id, "l", 1))).charged == 30
    assert audit(url) == {"l": (100, 30, 0)}


async def test_verbs_count_in_the_order_in_which_they_are_said_not_awaited(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        first, second = order("l", 100), order("l", 100)
        first_hold = ledger.hold(first)
        release = ledger.release(first.id, "changed its mind")
        second_hold = ledger.hold(second)
        assert (await second_hold).amount == 100
        await release
        assert (await first_hold).amount == 100
    assert audit(url) == {"l": (100, 0, 100)}
