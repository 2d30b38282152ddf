"""Conversations that are stored: continued, branched, read back, forgotten, and nobody else's."""

import asyncio
import signal
import sqlite3
from contextlib import closing
from typing import Any

import httpx
import pytest
from gateway_process import GatewayProcess, Licence, eventually
from hostile import Hostile, Seen
from hostile_behaviours import ANSWER
from hostile_thinking import DETAILS, SIGNED, THOUGHT
from plain_http import HTTP
from responses_client import (
    RESPONSES,
    WEATHER,
    Answered,
    input_items,
    post_raw,
    query,
    read_back,
    respond,
    stored,
)


def last_seen(hostile: Hostile, licence: Licence) -> Seen:
    return hostile.seen(licence.marker)[-1]


def sent(hostile: Hostile, licence: Licence) -> list[dict[str, Any]]:
    """The messages of the last request."""
    found: list[dict[str, Any]] = last_seen(hostile, licence).body["messages"]
    return found


def thinking(licence: Licence, **more: Any) -> dict[str, Any]:
    question = {"role": "user", "content": f"The weather in Paris? {licence.marker}"}
    return query("listed/thinks", licence) | {"input": [question], "tools": [WEATHER]} | more


def result_of(answered: Answered) -> dict[str, Any]:
    [call] = answered.items("function_call")
    return {"type": "function_call_output", "call_id": call["call_id"], "output": "18 degrees"}


def assert_replayed(seen: Seen, details: list[bytes]) -> None:
    """The blocks stand in the bytes that were sent as their maker wrote them, in order and together."""
    assert b'"reasoning_details":[' + b",".join(details) + b"]" in seen.raw
    assistant = next(m for m in seen.body["messages"] if m["role"] == "assistant")
    assert assistant["reasoning"] == THOUGHT
    assert assistant["content"] == "One moment."
    assert len(assistant["tool_calls"]) == 1


@pytest.mark.parametrize("streams", [False, True])
async def test_the_stream_the_answer_and_what_is_read_later_are_the_same(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, streams: bool
) -> None:
    first = await respond(client, licence, thinking(licence, stream=streams))
    kinds = [item["type"] for item in first.response["output"]]
    assert kinds == ["reasoning"] + ["reasoning"] * kinds[1:].count("reasoning") + [
        "message",
        "function_call",
    ]
    assert await read_back(client, licence, first.id) == first.response
    second = await respond(
        client,
        licence,
        thinking(licence, stream=streams, input=[result_of(first)], previous_response_id=first.id),
    )
    assert second.text == ANSWER
    assert second.response["previous_response_id"] == first.id
    assert await read_back(client, licence, second.id) == second.response
    [question] = await input_items(client, licence, first.id)
    assert question["content"] == [{"type": "input_text", "text": f"The weather in Paris? {licence.marker}"}]
    [result] = await input_items(client, licence, second.id)
    assert (result["type"], result["output"]) == ("function_call_output", "18 degrees")
    gateway.settled(licence, 2)


@pytest.mark.parametrize("streams", [False, True])
async def test_a_tool_loop_gives_the_maker_its_reasoning_byte_for_byte(
    client: httpx.AsyncClient, licence: Licence, hostile: Hostile, streams: bool
) -> None:
    first = await respond(client, licence, thinking(licence, stream=streams))
    body = thinking(licence, stream=streams, input=[result_of(first)], previous_response_id=first.id)
    await respond(client, licence, body)
    assert_replayed(last_seen(hostile, licence), DETAILS)


@pytest.mark.parametrize("streams", [False, True])
async def test_reasoning_that_is_not_shown_goes_back_all_the_same(
    client: httpx.AsyncClient, licence: Licence, hostile: Hostile, streams: bool
) -> None:
    hidden = {"stream": streams, "reasoning": {"effort": "high", "exclude": True}}
    first = await respond(client, licence, thinking(licence, **hidden))
    assert [item["type"] for item in first.response["output"]] == ["message", "function_call"]
    assert "Let me look" not in first.http.text
    # A provider that knew might keep to itself what has to go back to it.
    assert last_seen(hostile, licence).body["reasoning"] == {"effort": "high"}
    await respond(
        client, licence, thinking(licence, input=[result_of(first)], previous_response_id=first.id, **hidden)
    )
    assert_replayed(last_seen(hostile, licence), DETAILS)


@pytest.mark.parametrize("replayed", ["whole", "without ids", "without reasoning", "by reference"])
async def test_a_client_that_replays_items_gives_the_maker_its_reasoning(
    client: httpx.AsyncClient, licence: Licence, hostile: Hostile, replayed: str
) -> None:
    """No `previous_response_id`: the client keeps the conversation, the gateway what the client cannot."""
    body = thinking(licence)
    first = await respond(client, licence, body)
    items = first.response["output"]
    if replayed == "without reasoning":
        items = [item for item in items if item["type"] != "reasoning"]
    if replayed in {"without ids", "without reasoning"}:
        items = [{name: value for name, value in item.items() if name != "id"} for item in items]
    if replayed == "by reference":
        items = [{"type": "item_reference", "id": item["id"]} for item in items]
    second = await respond(
        client, licence, thinking(licence, input=[*body["input"], *items, result_of(first)])
    )
    assert second.text == ANSWER
    assert_replayed(last_seen(hostile, licence), DETAILS)
    listed = await input_items(client, licence, second.id)
    assert [item["type"] for item in listed[-2:]] == ["function_call", "function_call_output"]
    assert len({item["id"] for item in listed}) == len(listed)


async def test_another_provider_gets_nothing_of_what_the_first_one_sealed(
    client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    first = await respond(client, licence, thinking(licence))
    for provider, model in (("hostile", "hostile/plain"), ("demo", "quantized/demo")):
        body = thinking(licence, model=model, input=[result_of(first)], previous_response_id=first.id)
        second = await respond(client, licence, body, provider)
        assert second.response["status"] == "completed"
    told = last_seen(hostile, licence)
    assert told.body["model"] == "hostile/plain"
    assistant = next(m for m in told.body["messages"] if m["role"] == "assistant")
    assert assistant.keys() == {"role", "content", "tool_calls"}
    assert b"Let me look" not in told.raw


async def test_what_another_provider_thought_is_dropped_whole_even_in_a_language_that_takes_it(
    client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    first = await respond(client, licence, query("quantized/demo", licence, reasoning={"effort": "low"}))
    [thought] = first.items("reasoning")
    assert thought["content"][0]["text"]
    body = query("listed/model", licence, previous_response_id=first.id)
    await respond(client, licence, body)
    messages = sent(hostile, licence)
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1].keys() == {"role", "content"}
    # Its own it would have got.
    await respond(client, licence, query("quantized/demo", licence, previous_response_id=first.id))


async def test_a_restart_and_a_second_process_continue_the_conversation(
    make_gateway: Any, hostile: Hostile
) -> None:
    environ = {
        "OPENROUTER_API_KEY": "upstream-secret-5d41402abc4b2a76",
        "OPENROUTER_BASE_URL": f"http://127.0.0.1:{hostile.port}/openrouter/v1",
    }
    first_process: GatewayProcess = make_gateway("", **environ)
    settings = (first_process.room / "quantized.toml").read_text()
    beside = GatewayProcess(first_process.room, settings, environ)
    licence = first_process.licence()

    async def turn(process: GatewayProcess, body: dict[str, Any]) -> Answered:
        async with httpx.AsyncClient(base_url=process.url, timeout=50, verify=False) as client:
            return await respond(client, licence, body)

    def start(process: GatewayProcess) -> None:
        process.start()
        forced = licence.headers | {"x-quantized-provider": "openrouter"}
        eventually(lambda: HTTP.get(f"{process.url}/v1/models", headers=forced).json()["data"])

    start(first_process)
    start(beside)
    try:
        first = await turn(first_process, thinking(licence, stream=True))
        continuing = thinking(licence, input=[result_of(first)], previous_response_id=first.id)
        assert (await turn(beside, continuing)).text == ANSWER
        assert_replayed(last_seen(hostile, licence), DETAILS)
        first_process.stop(signal.SIGKILL)
        start(first_process)
        second = await turn(first_process, continuing | {"stream": True})
        assert_replayed(last_seen(hostile, licence), DETAILS)
        third = await turn(beside, query("listed/model", licence, previous_response_id=second.id))
        assert_replayed(last_seen(hostile, licence), DETAILS)
        assert third.text == ANSWER
    finally:
        beside.stop()
    first_process.settled(licence, 4)


async def test_two_children_of_one_parent_know_nothing_of_each_other(
    client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    parent = await respond(client, licence, query("plain", licence))
    for name in ("left", "right"):
        child = await respond(
            client, licence, query("plain", licence, input=name, previous_response_id=parent.id)
        )
        grandchild = query("plain", licence, input=f"after {name}", previous_response_id=child.id)
        await respond(client, licence, grandchild)
        said = [message["content"] for message in sent(hostile, licence)]
        assert said[1:] == [ANSWER, name, ANSWER, f"after {name}"]


async def test_instructions_and_tools_are_not_inherited(
    client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    first = await respond(
        client,
        licence,
        query("plain", licence, instructions="Be brief.", tools=[WEATHER], tool_choice="auto"),
    )
    assert sent(hostile, licence)[0] == {"role": "system", "content": "Be brief."}
    second = await respond(client, licence, query("plain", licence, previous_response_id=first.id))
    body = last_seen(hostile, licence).body
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert not {"tools", "tool_choice"} & body.keys()
    assert (second.response["instructions"], second.response["tools"]) == (None, [])
    third = query("plain", licence, previous_response_id=second.id, instructions="Be long.")
    await respond(client, licence, third)
    assert [m["content"] for m in sent(hostile, licence) if m["role"] == "system"] == ["Be long."]


@pytest.mark.parametrize("streams", [False, True])
async def test_a_response_can_be_continued_the_moment_its_end_was_told(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, streams: bool
) -> None:
    previous = None
    for _ in range(10):
        answer = await respond(
            client, licence, query("plain", licence, stream=streams, previous_response_id=previous)
        )
        previous = answer.id
    assert len(stored(gateway, licence)) == 10


async def test_ids_may_be_spelled_as_openai_does(
    client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    first = await respond(client, licence, query("plain", licence))
    spelled = first.id.replace("resp-", "resp_")
    second = await respond(client, licence, query("plain", licence, previous_response_id=spelled))
    assert second.response["previous_response_id"] == first.id
    assert len(sent(hostile, licence)) == 3
    assert (await read_back(client, licence, spelled))["id"] == first.id
    assert (await client.delete(f"{RESPONSES}/{spelled}", headers=licence.headers)).json() == {
        "id": first.id,
        "object": "response",
        "deleted": True,
    }


async def test_what_is_another_licences_unknown_or_deleted_is_not_there(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    other = gateway.licence()
    theirs = await respond(client, other, query("plain", other))
    gone = await respond(client, licence, query("plain", licence))
    child = await respond(client, licence, query("plain", licence, previous_response_id=gone.id))
    assert (await client.delete(f"{RESPONSES}/{gone.id}", headers=licence.headers)).status_code == 200

    for name, missing in ((theirs.id, theirs.id), ("resp-none", "resp-none"), (gone.id, gone.id)):
        for answer in (
            await post_raw(client, licence, query("plain", licence, previous_response_id=name)),
            await client.get(f"{RESPONSES}/{name}", headers=licence.headers),
            await client.get(f"{RESPONSES}/{name}/input_items", headers=licence.headers),
            await client.delete(f"{RESPONSES}/{name}", headers=licence.headers),
        ):
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (404, "response_not_found")
            assert missing in error["message"]
            posted = answer.request.method == "POST"
            assert error["param"] == ("previous_response_id" if posted else None)
    # What continued the deleted one can be read, and cannot be continued: its beginning is missing.
    await read_back(client, licence, child.id)
    broken = await post_raw(client, licence, query("plain", licence, previous_response_id=child.id))
    assert (broken.status_code, broken.json()["error"]["param"]) == (404, "previous_response_id")
    item = theirs.response["output"][0]["id"]
    referring = query("plain", licence, input=[{"type": "item_reference", "id": item}])
    foreign = await post_raw(client, licence, referring)
    assert foreign.status_code == 422
    assert foreign.json()["error"]["param"] == "input[0].id"
    assert len(hostile.seen(licence.marker)) == 2, "nobody was asked"
    assert gateway.settled(licence, 2).open_holds == 0
    await read_back(client, other, theirs.id)


async def test_a_tool_call_of_another_licence_brings_no_reasoning_of_theirs(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    other = gateway.licence()
    theirs = await respond(client, other, thinking(other))
    [call] = theirs.items("function_call")
    mine = [{"role": "user", "content": licence.marker}, call, result_of(theirs)]
    await respond(client, licence, thinking(licence, input=mine))
    assert b"reasoning_details" not in last_seen(hostile, licence).raw
    assert SIGNED not in last_seen(hostile, licence).raw


@pytest.mark.parametrize("again", ["listed/thinks", "listed/breaks-calling"])
async def test_a_tool_call_that_two_answers_made_brings_nobodys_reasoning(
    client: httpx.AsyncClient, licence: Licence, hostile: Hostile, again: str
) -> None:
    """Also where the other answer came without any, and broke off in the call."""
    body = thinking(licence, stream=True)
    first = await respond(client, licence, body)
    [call] = first.items("function_call")
    loop = thinking(licence, input=[*body["input"], call, result_of(first)])
    await respond(client, licence, loop)
    assert SIGNED in last_seen(hostile, licence).raw, "there is something to be had"
    other = await respond(client, licence, body | {"model": again})
    assert other.items("function_call")[0]["call_id"] == call["call_id"]
    await respond(client, licence, loop)
    assert b"reasoning_details" not in last_seen(hostile, licence).raw


async def test_an_item_is_referred_to_once(client: httpx.AsyncClient, licence: Licence) -> None:
    large = await respond(client, licence, query("plain", licence, input="x" * 200_000))
    [item] = await input_items(client, licence, large.id)
    fifty = [{"type": "item_reference", "id": item["id"]}] * 50
    answer = await post_raw(client, licence, query("plain", licence, input=fifty))
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "input[1].id")


async def test_the_output_of_a_call_that_nobody_made_is_refused(
    client: httpx.AsyncClient, licence: Licence
) -> None:
    lone = {"type": "function_call_output", "call_id": "call_0", "output": "18"}
    answer = await post_raw(client, licence, query("plain", licence, input=[lone]))
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "input[0].call_id")


async def test_a_licence_type_that_stores_nothing_says_so(
    gateway: GatewayProcess, client: httpx.AsyncClient
) -> None:
    gateway.cli("license-type", "create", "home", "forgetful", "--name", "Forgetful", "--no-store")
    licence = gateway.licence(type_="home/forgetful")
    for streams in (False, True):
        answer = await respond(client, licence, query("plain", licence, stream=streams))
        assert answer.response["store"] is False
        gone = await client.get(f"{RESPONSES}/{answer.id}", headers=licence.headers)
        assert gone.status_code == 404
        refused = await post_raw(client, licence, query("plain", licence, previous_response_id=answer.id))
        error = refused.json()["error"]
        assert (refused.status_code, error["param"], error["code"]) == (
            400,
            "previous_response_id",
            "responses_not_stored",
        )
        assert "'input'" in error["message"], "says what to do"
    assert stored(gateway, licence) == []
    with closing(sqlite3.connect(gateway.database)) as database:
        calls = database.execute("SELECT * FROM response_call WHERE license_id = ?", (licence.id,))
        assert calls.fetchall() == []
    gateway.settled(licence, 2)


async def test_a_conversation_that_is_too_long_says_so(make_gateway: Any, hostile: Hostile) -> None:
    process: GatewayProcess = make_gateway("[responses]\nchain_turns = 3\nchain_bytes = 4096")
    process.start()
    licence = process.licence()
    async with httpx.AsyncClient(base_url=process.url, timeout=50, verify=False) as client:

        async def chain(turns: int, **more: str) -> Any:
            previous = None
            for _ in range(turns):
                body = query("plain", licence, previous_response_id=previous, **more)
                previous = (await respond(client, licence, body)).id
            return await post_raw(client, licence, query("plain", licence, previous_response_id=previous))

        assert (await chain(3)).status_code == 200
        for answer, limit in ((await chain(4), "3 turns"), (await chain(1, input="x" * 5000), "4096 bytes")):
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (
                400,
                "conversation_too_long",
                "previous_response_id",
            )
            assert limit in error["message"]
            assert "new one" in error["message"]
    assert len(hostile.seen(licence.marker)) == 8
    process.settled(licence, 9)
    process.stop()


async def test_what_has_expired_is_gone_and_is_removed(make_gateway: Any) -> None:
    process: GatewayProcess = make_gateway("[responses]\nretention_days = 1\n[timeouts]\ntotal = 5.0")
    process.start()
    licence = process.licence()
    day = 86_400_000
    async with httpx.AsyncClient(base_url=process.url, timeout=50, verify=False) as client:
        old = await respond(client, licence, query("plain", licence))
        kept = await respond(client, licence, query("plain", licence))
        child = await respond(client, licence, query("plain", licence, previous_response_id=kept.id))
        for row in process.books(licence).responses:
            assert abs(row["expires_at"] - row["created_at"] - day) < 60_000
        # What passes now is time, by other means than waiting for it.
        with closing(sqlite3.connect(process.database)) as database, database:
            for gone in (old.id, kept.id):
                database.execute(
                    "UPDATE response SET expires_at = expires_at - ? WHERE id = ?", (2 * day, gone)
                )
        for gone in (old.id, kept.id):
            assert (await client.get(f"{RESPONSES}/{gone}", headers=licence.headers)).status_code == 404
            continued = query("plain", licence, previous_response_id=gone)
            assert (await post_raw(client, licence, continued)).status_code == 404
        # A conversation that goes on keeps its beginning.
        assert (
            await respond(client, licence, query("plain", licence, previous_response_id=child.id))
        ).text == ANSWER
    process.stop()
    process.start()
    left = await asyncio.to_thread(
        eventually,
        lambda: len(found := stored(process, licence)) == 3 and found,
        "the expired one is removed",
    )
    assert old.id not in left
    assert kept.id in left
    assert len(process.settled(licence, 4).usage) == 4, "the books keep every charge"
    process.stop()
