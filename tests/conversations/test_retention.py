"""How long a response is kept: by the rules, and by what still continues it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from conversation_world import GRACE, LONGEST_REQUEST, NOW, World, said, turn, until, world_on
from database_trouble import moved_away
from plain_sql import plainly, rows

from quantized.conversations.rules import expires_at
from quantized.core.errors import ResponseNotFound
from quantized.core.turns import Needs
from quantized.storage.turns import ExpiredLeaf

DAY = 86_400_000


@pytest.fixture
async def world(url: str) -> AsyncIterator[World]:
    async with world_on(url) as world:
        yield world


async def swept(world: World, at: int = NOW) -> int:
    """How many are removed of those that expired by then."""
    world.clock.now = at + GRACE
    removed = await world.sweeper.sweep()
    world.clock.now = at
    return removed


def left(url: str) -> list[str]:
    return [row[0].removeprefix("resp-") for row in rows(url, "SELECT id FROM response ORDER BY id")]


@pytest.mark.parametrize(
    ("setting", "license_days", "expected"),
    [(30, None, 30 * DAY), (30, 7, 7 * DAY), (0, None, None), (0, 7, 7 * DAY), (30, 0, None)],
)
def test_the_licence_type_goes_before_the_setting(
    setting: int, license_days: int | None, expected: int | None
) -> None:
    assert expires_at(NOW, setting, license_days) == (None if expected is None else NOW + expected)


async def test_what_is_over_goes_and_the_rest_stays(url: str, world: World) -> None:
    await world.say(turn("a", call_id="call-1"), expires_at=NOW + 5)
    await world.say(turn("b"), expires_at=NOW + 6)
    await world.say(turn("c"))
    assert await swept(world, NOW + 4) == 0
    assert await swept(world, NOW + 5) == 1
    assert left(url) == ["b", "c"]
    assert rows(url, "SELECT count(*) FROM response_call") == [(0,)]
    with pytest.raises(ResponseNotFound):
        await world.history("a")
    assert (await swept(world, NOW + 10**12), await swept(world, NOW + 10**12)) == (1, 0)
    assert left(url) == ["c"]


async def test_a_conversation_that_goes_on_keeps_its_beginning(url: str, world: World) -> None:
    await world.say(turn("a"), expires_at=NOW)
    await world.say(turn("b", "a"), expires_at=NOW)
    await world.say(turn("c", "b"), expires_at=NOW + 9)
    await world.say(turn("d", "a"), expires_at=NOW)
    assert await swept(world) == 1
    assert left(url) == ["a", "b", "c"]
    assert await world.history("c") == said("a") + said("b") + said("c")
    assert (await swept(world, NOW + 9), left(url)) == (3, [])


async def test_one_that_stays_for_ever_keeps_all_before_it(url: str, world: World) -> None:
    await world.say(turn("a"), expires_at=NOW)
    await world.say(turn("b", "a"))
    await world.say(turn("c", "b"), expires_at=NOW)
    assert (await swept(world), left(url)) == (1, ["a", "b"])


async def test_many_branches_of_many_conversations_go_in_one_sweep(url: str, world: World) -> None:
    """More of them than a page and a batch hold, and all over in the same millisecond."""
    for root in range(3):
        await world.say(turn(f"r{root}"), expires_at=NOW)
    names = [f"n{n}" for n in range(600)]
    await asyncio.gather(
        *(world.say(turn(name, f"r{at % 3}"), expires_at=NOW) for at, name in enumerate(names))
    )
    await world.say(turn("kept", "r1"))
    assert (await swept(world), left(url)) == (602, ["kept", "r1"])


async def test_what_was_deleted_in_the_middle_keeps_nobody(url: str, world: World) -> None:
    for name, previous in (("a", None), ("b", "a"), ("c", "b")):
        await world.say(turn(name, previous), expires_at=NOW)
    await world.store.delete("mine", "resp-b")
    assert (await swept(world), left(url)) == (2, [])


async def test_what_has_expired_is_found_no_more_but_in_what_continues_it(world: World) -> None:
    await world.say(turn("a"), expires_at=NOW + 5)
    await world.say(turn("b", "a"), expires_at=NOW + 9)
    items = Needs(items=("msg-a-0",))
    world.clock.now = NOW + 4
    assert await world.history("a") == said("a")
    assert (await world.store.find("mine", items)).items != {}
    assert (await world.store.get("mine", "resp-a")).expires_at == NOW + 5
    world.clock.now = NOW + 5
    with pytest.raises(ResponseNotFound):
        await world.history("a")
    with pytest.raises(ResponseNotFound):
        await world.store.get("mine", "resp-a")
    assert (await world.store.find("mine", items)).items == {}
    assert await world.history("b") == said("a") + said("b")


async def test_what_expires_while_a_request_continues_it_is_still_there_for_its_answer(world: World) -> None:
    await world.say(turn("a"), expires_at=NOW + 1)
    assert await world.history("a") == said("a")
    world.clock.now = NOW + int(LONGEST_REQUEST * 1000)
    assert await world.sweeper.sweep() == 0
    await world.say(turn("b", "a"))
    assert await world.history("b") == said("a") + said("b")


async def test_one_that_was_continued_meanwhile_is_not_removed(url: str, world: World) -> None:
    await world.say(turn("a"), expires_at=NOW)
    assert await world.turns.expired(NOW, None, 10) == [ExpiredLeaf(NOW, "resp-a", None)]
    await world.say(turn("b", "a"))
    assert await world.turns.remove_expired(NOW, ["resp-a"]) == 0
    assert left(url) == ["a", "b"]


async def test_it_goes_on_sweeping_after_the_database_was_away(
    url: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.say(turn("a"), expires_at=NOW)
    world.clock.now = NOW + GRACE
    with moved_away(url):
        running = asyncio.create_task(world.sweeper.run(0.01))
        await until(lambda: any("could not be removed" in record.getMessage() for record in caplog.records))
    with plainly(url) as sql:
        await until(lambda: sql("SELECT count(*) FROM response") == [(0,)])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
