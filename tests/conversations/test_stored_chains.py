"""Conversations that go on: from turn to turn, in branches, across restarts, and within their limits."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from conversation_world import LIMITS, World, said, turn, world_on
from database_trouble import locked
from msgspec.structs import replace
from plain_sql import plainly, rows

from quantized.conversations.rules import Limits
from quantized.core.errors import ConversationTooLong, LedgerUnavailable, ResponseNotFound
from quantized.core.turns import Found, Needs, StoredTurn


@pytest.fixture
async def world(url: str) -> AsyncIterator[World]:
    async with world_on(url) as world:
        yield world


async def test_a_chain_is_what_was_said_in_its_order(world: World) -> None:
    await world.say(turn("a"))
    await world.say(turn("b", "a"))
    await world.say(turn("c", "b", call_id="call-1"))
    assert await world.history("c") == said("a") + said("b") + turn("c", call_id="call-1").messages
    assert await world.history("a") == said("a")


async def test_two_children_of_one_parent_know_nothing_of_each_other(world: World) -> None:
    await world.say(turn("a"))
    await asyncio.gather(world.say(turn("b", "a")), world.say(turn("c", "a")))
    assert await world.history("b") == said("a") + said("b")
    assert await world.history("c") == said("a") + said("c")


async def test_another_licence_finds_nothing(world: World) -> None:
    await world.say(turn("a"))
    with pytest.raises(ResponseNotFound) as caught:
        await world.history("a", "theirs")
    assert (caught.value.message, caught.value.param) == (
        "Response 'resp-a' not found",
        "previous_response_id",
    )
    await world.say(turn("b", "a"), "theirs")
    with pytest.raises(ResponseNotFound):
        await world.history("b", "theirs")


async def test_unknown_ids_are_found_nowhere(world: World) -> None:
    for name in ("", "a", "'; DROP TABLE response; --", "a\0b", "%"):
        with pytest.raises(ResponseNotFound):
            await world.history(name)


async def test_ids_are_the_same_with_either_prefix(world: World) -> None:
    await world.say(turn("a"))
    await world.say(replace(turn("b"), previous="resp_a"))
    history = (await world.store.find("mine", Needs(previous="resp_b"))).history
    assert history == said("a") + said("b")
    assert (await world.store.get("mine", "resp_b")).turn.previous == "resp-a"
    await world.store.delete("mine", "resp_b")
    with pytest.raises(ResponseNotFound):
        await world.store.get("mine", "resp-b")


async def test_after_a_deletion_in_the_middle_the_rest_cannot_be_continued(world: World) -> None:
    for name, previous in (("a", None), ("b", "a"), ("c", "b")):
        await world.say(turn(name, previous))
    await world.store.delete("mine", "resp-b")
    with pytest.raises(ResponseNotFound, match="resp-b"):
        await world.history("c")
    assert await world.history("a") == said("a")
    assert (await world.store.get("mine", "resp-c")).turn == turn("c", "b")
    with pytest.raises(ResponseNotFound):
        await world.store.delete("mine", "resp-b")


async def test_nobody_deletes_what_is_not_theirs(world: World) -> None:
    await world.say(turn("a"))
    with pytest.raises(ResponseNotFound):
        await world.store.delete("theirs", "resp-a")
    assert await world.history("a") == said("a")


async def test_a_chain_may_have_so_many_turns(url: str) -> None:
    async with world_on(url, Limits(turns=70, bytes=LIMITS.bytes)) as world:
        names = [f"t{number}" for number in range(71)]
        for previous, name in zip([None, *names], names, strict=False):
            await world.say(turn(name, previous))
        assert await world.history("t69") == tuple(m for name in names[:70] for m in said(name))
        with pytest.raises(ConversationTooLong, match="more than 70 turns") as caught:
            await world.history("t70")
        assert (caught.value.param, caught.value.code) == ("previous_response_id", "conversation_too_long")


async def test_a_chain_may_have_so_many_bytes(url: str) -> None:
    async with world_on(url) as world:
        for name, previous in (("a", None), ("b", "a"), ("c", "b")):
            await world.say(turn(name, previous))
    ((of_two,),) = rows(url, "SELECT sum(length(context)) FROM response WHERE id != 'resp-c'")
    async with world_on(url, Limits(turns=200, bytes=of_two)) as world:
        assert await world.history("b") == said("a") + said("b")
        with pytest.raises(ConversationTooLong, match=f"larger than {of_two} bytes"):
            await world.history("c")


async def test_what_a_turn_was_asked_does_not_count_where_it_is_not_read(url: str) -> None:
    async with world_on(url, Limits(turns=200, bytes=1_000)) as world:
        await world.say(turn("a", size=50_000))
        assert await world.history("a") == said("a")


async def test_a_circle_of_rows_ends_at_the_limit(url: str, world: World) -> None:
    await world.say(turn("a"))
    await world.say(turn("b", "a"))
    with plainly(url) as sql:
        sql("UPDATE response SET previous_id = 'resp-b' WHERE id = 'resp-a'")
    with pytest.raises(ConversationTooLong):
        await world.history("b")


async def test_a_conversation_outlives_the_process(url: str) -> None:
    async with world_on(url) as world:
        await world.say(turn("a"))
    async with world_on(url) as world:
        await world.say(turn("b", "a"))
        assert await world.history("b") == said("a") + said("b")


async def test_others_read_a_turn_the_instant_its_charge_is_settled(url: str, world: World) -> None:
    async with world_on(url) as other:
        previous = None
        for number in range(30):
            await world.say(turn(f"n{number}", previous))
            assert len(await other.history(f"n{number}")) == 2 * (number + 1)
            previous = f"n{number}"


async def test_a_settlement_said_again_changes_nothing(url: str, world: World) -> None:
    charge = await world.hold(turn("a", call_id="call-1"))
    receipt = await world.ledger.settle(charge)
    other = replace(charge, turn=StoredTurn(turn("b"), None))
    for again in (charge, other, replace(charge, turn=None)):
        assert await world.ledger.settle(again) == receipt
    assert rows(url, "SELECT id FROM response") == [("resp-a",)]


async def test_a_hold_that_was_released_still_stores_what_it_is_charged_for(world: World) -> None:
    charge = await world.hold(turn("a"))
    await world.ledger.release(charge.hold_id, "expired")
    await world.ledger.settle(charge)
    assert await world.history("a") == said("a")


async def test_a_whole_batch_of_turns_is_stored(url: str, world: World) -> None:
    await asyncio.gather(*(world.say(turn(f"n{n}", call_id=f"call-{n}")) for n in range(150)))
    assert rows(url, "SELECT count(*) FROM response") == rows(url, "SELECT count(*) FROM usage_record")
    assert rows(url, "SELECT count(*) FROM response_call") == [(150,)]
    assert await world.history("n149") == turn("n149", call_id="call-149").messages


async def test_a_turn_that_cannot_be_written_takes_nothing_with_it_and_is_told_to_no_log(
    url: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    asked = replace(said("secret")[0], name="\ud800")
    bad = replace(turn("bad"), messages=(asked,))
    results = await asyncio.gather(world.say(turn("a")), world.say(bad), return_exceptions=True)
    assert isinstance(results[1], LedgerUnavailable)
    assert rows(url, "SELECT id FROM response") == [("resp-a",)]
    assert sorted(rows(url, "SELECT hold_id FROM usage_record")) == [("hold-resp-a",), ("hold-resp-bad",)]
    (told,) = [record for record in caplog.records if "could not be stored" in record.getMessage()]
    assert "hold-resp-bad" in str(told.__dict__)
    assert "secret" not in str(told.__dict__)


async def test_who_needs_nothing_asks_nobody() -> None:
    async with world_on("sqlite:////nowhere/at/all.db") as world:
        assert await world.store.find("mine", Needs()) == Found()


async def test_reading_waits_for_no_writer_and_deleting_not_for_ever(url: str) -> None:
    async with world_on(url, patience=1.5) as world:
        await world.say(turn("a"))
        with locked(url) as sql:
            sql("DELETE FROM response")
            assert await world.history("a") == said("a")
            with pytest.raises(LedgerUnavailable):
                await world.store.delete("mine", "resp-a")
            assert await world.history("a") == said("a")
