"""What is found of a conversation beside its course: items by id, reasoning by tool call, a turn whole."""

from collections.abc import AsyncIterator, Mapping

import pytest
from conversation_world import NOW, USAGE, World, called, thoughts_of, turn, world_on
from msgspec import Raw
from msgspec.structs import replace
from plain_sql import plainly, rows

from quantized.conversations.rules import Limits
from quantized.core.errors import ConversationTooLong, LedgerUnavailable, ResponseNotFound
from quantized.core.parts import Reasoning, ToolCall
from quantized.core.request import Message
from quantized.core.turns import KeptTurn, MadeCall, Needs, fingerprint
from quantized.core.usage import Bill


@pytest.fixture
async def world(url: str) -> AsyncIterator[World]:
    async with world_on(url) as world:
        yield world


async def items(world: World, *item_ids: str, license_id: str = "mine") -> Mapping[str, tuple[Message, ...]]:
    return (await world.store.find(license_id, Needs(items=item_ids))).items


async def reasoning(
    world: World, *calls: ToolCall, license_id: str = "mine"
) -> Mapping[ToolCall, tuple[Reasoning, ...]]:
    return (await world.store.find(license_id, Needs(calls=calls))).reasoning


async def test_items_are_found_by_their_ids_in_and_beside_the_chain(world: World) -> None:
    for name, previous in (("a", None), ("b", "a"), ("c", None)):
        await world.say(turn(name, previous))
    needs = Needs(
        "resp-b", items=("msg-a-0", "in-c-0", "msg-c-0", "msg-c-1", "msg-x-0", "msg-\0-0", "other", "in-x")
    )
    found = await world.store.find("mine", needs)
    assert found.history == turn("a").messages + turn("b").messages
    assert found.items == {
        "msg-a-0": turn("a").output[0].messages,
        "in-c-0": turn("c").input[0].messages,
        "msg-c-0": turn("c").output[0].messages,
    }
    assert found.shown == {
        "msg-a-0": Raw(b'{"n" : 1.50}'),
        "in-c-0": Raw(b'{"text":""}'),
        "msg-c-0": Raw(b'{"n" : 1.50}'),
    }


async def test_items_of_another_licence_are_not_there(world: World) -> None:
    await world.say(turn("a"))
    assert await items(world, "msg-a-0", "in-a-0", license_id="theirs") == {}


async def test_items_of_many_responses_are_found_at_once(world: World) -> None:
    ids = [f"msg-n{number}-0" for number in range(150)]
    for number in range(150):
        await world.say(turn(f"n{number}"))
    assert (await items(world, *ids)).keys() == set(ids)


async def test_items_are_read_only_up_to_a_size(url: str) -> None:
    async with world_on(url, Limits(turns=200, bytes=1_000)) as world:
        await world.say(turn("a", size=2_000))
        assert len(await items(world, "msg-a-0")) == 1
        with pytest.raises(ConversationTooLong, match="1000 bytes of stored items") as caught:
            await items(world, "msg-a-0", "in-a-0")
        assert caught.value.param == "input"
        for number in range(20):
            await world.say(turn(f"n{number}", call_id=f"call-{number}"))
        with pytest.raises(ConversationTooLong):
            await items(world, *(f"msg-n{number}-0" for number in range(20)))
        calls = tuple(called(f"call-{number}") for number in range(20))
        assert len((await world.store.find("mine", Needs(calls=calls[:5]))).reasoning) == 5
        with pytest.raises(ConversationTooLong):
            await world.store.find("mine", Needs(calls=calls))


async def test_reasoning_is_found_by_its_tool_call(world: World) -> None:
    await world.say(turn("a", call_id="call-1"))
    await world.say(turn("b", call_id="call-2"))
    first, second = called("call-1"), called("call-2")
    assert await reasoning(world, first, second, called("call-3")) == {
        first: thoughts_of("a"),
        second: thoughts_of("b"),
    }
    assert await reasoning(world, first, license_id="theirs") == {}
    await world.store.delete("mine", "resp-a")
    assert await reasoning(world, first) == {}


async def test_every_call_of_an_answer_knows_what_preceded_it_and_all_is_stored_once(
    url: str, world: World
) -> None:
    thoughts = tuple(Reasoning(f"thought {n}") for n in range(3))
    calls = {f"call-{n}": MadeCall(fingerprint(called(f"call-{n}")), n) for n in range(4)}
    await world.say(replace(turn("a"), thoughts=thoughts, calls=calls))
    assert await reasoning(world, *map(called, calls)) == {
        called(f"call-{n}"): thoughts[:n] for n in (1, 2, 3)
    }
    assert rows(url, "SELECT count(*) FROM response_call") == [(4,)]
    assert rows(url, "SELECT count(*) FROM response_reasoning") == [(1,)]
    await world.store.delete("mine", "resp-a")
    assert rows(url, "SELECT count(*) FROM response_reasoning") == [(0,)]


async def test_reasoning_belongs_to_the_call_that_was_made_and_to_no_other_of_its_id(world: World) -> None:
    await world.say(turn("a", call_id="call-1"))
    anew = called("call-1", '{"for":[1],"in":"Par\\u0069s"}')
    others = [
        called("call-1", '{"in": "Rome", "for": [1]}'),
        called("call-1", "{"),
        called("call-1", "[" * 100_000),
        ToolCall("call-1", "hear", called("call-1").arguments),
    ]
    assert await reasoning(world, anew, *others) == {anew: thoughts_of("a")}


async def test_expired_reasoning_is_gone_and_its_call_is_still_not_anothers(world: World) -> None:
    await world.say(turn("a", call_id="call-1"), expires_at=NOW + 5)
    assert await reasoning(world, called("call-1")) == {called("call-1"): thoughts_of("a")}
    world.clock.now += 5
    assert await reasoning(world, called("call-1")) == {}
    await world.say(turn("b", call_id="call-1"))
    assert await reasoning(world, called("call-1")) == {}
    await world.store.delete("mine", "resp-a")
    assert await reasoning(world, called("call-1")) == {called("call-1"): thoughts_of("b")}


async def test_a_call_id_may_be_any_text(world: World) -> None:
    ids = ["a\0b", "a", "'", "é", '"', " " * 500, "x" * 100_000, "sha256:", "a\\b", "{a,b}"]
    for number, call_id in enumerate(ids):
        await world.say(turn(f"n{number}", call_id=call_id))
    assert await reasoning(world, *map(called, ids)) == {
        called(call_id): thoughts_of(f"n{number}") for number, call_id in enumerate(ids)
    }


async def test_reasoning_of_a_call_that_two_answers_made_is_nobodys(world: World) -> None:
    await world.say(turn("a", call_id="call_0"))
    await world.say(turn("b", call_id="call_0"))
    await world.say(turn("c", call_id="call_0"), "theirs")
    assert await reasoning(world, called("call_0")) == {}
    assert await reasoning(world, called("call_0"), license_id="theirs") == {
        called("call_0"): thoughts_of("c")
    }


@pytest.mark.parametrize("unthinking", ["a", "b"])
async def test_an_answer_without_reasoning_makes_a_call_too(world: World, unthinking: str) -> None:
    """Otherwise the reasoning of the one would belong to the call of the other."""
    for name in ("a", "b"):
        await world.say(turn(name, call_id="call_0", thoughts=() if name == unthinking else None))
    assert await reasoning(world, called("call_0")) == {}


async def test_a_turn_is_read_back_whole_with_what_was_paid(world: World) -> None:
    whole = turn("b", "a", call_id="call-1", size=10_000)
    receipt = await world.say(whole, expires_at=NOW + 5)
    await world.say(turn("c"))
    bill = Bill(USAGE, receipt.charged, receipt.remaining, estimated=False)
    assert await world.store.get("mine", "resp-b") == KeptTurn(whole, bill, NOW, NOW + 5)
    assert (await world.store.get("mine", "resp-c")).expires_at is None
    for license_id, response_id in (("theirs", "resp-b"), ("mine", "resp-a"), ("mine", ""), ("mine", "a\0")):
        with pytest.raises(ResponseNotFound):
            await world.store.get(license_id, response_id)
        with pytest.raises(ResponseNotFound):
            await world.store.delete(license_id, response_id)


async def test_a_deleted_turn_leaves_its_charge_and_nothing_else(url: str, world: World) -> None:
    await world.say(turn("a", call_id="call-1"))
    await world.store.delete("mine", "resp-a")
    with pytest.raises(ResponseNotFound):
        await world.store.get("mine", "resp-a")
    assert rows(url, "SELECT count(*) FROM response_call") == [(0,)]
    assert rows(url, "SELECT hold_id, charged FROM usage_record") == [("hold-resp-a", 7)]


@pytest.mark.parametrize("blob", [b"", b"\x02\x90", b"\x01", b"\x01\xc1", b"\x01\x81"])
async def test_a_row_that_this_version_cannot_read_is_said_to_be_so(
    url: str, world: World, blob: bytes
) -> None:
    await world.say(turn("a", call_id="call-1"))
    with plainly(url) as sql:
        sql("UPDATE response SET context = ?, answer = ?, input = ?", blob, blob, blob)
        sql("UPDATE response_reasoning SET reasoning = ?", blob)
    with pytest.raises(LedgerUnavailable):
        await world.history("a")
    with pytest.raises(LedgerUnavailable):
        await world.store.get("mine", "resp-a")
    for needs in (Needs(items=("msg-a-0",)), Needs(calls=(called("call-1"),))):
        with pytest.raises(LedgerUnavailable):
            await world.store.find("mine", needs)
