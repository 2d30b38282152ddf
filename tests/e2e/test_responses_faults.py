"""What fails on the way: what the caller of responses reads, what is charged, and what is stored of it."""

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import Any

import httpx
import pytest
from chat_client import Connect, ask, post, request_bytes
from gateway_process import INPUT, OUTPUT, Books, GatewayProcess, Licence, eventually
from hostile import Hostile, Seen
from hostile_behaviours import ANSWER, MARK
from in_time import tries
from responses_client import (
    RESPONSES,
    WEATHER,
    post_raw,
    provider_of,
    query,
    read_back,
    respond,
    stored,
    text_of,
)
from test_e2e_faults import BEFORE, DURING, ONLY_STREAM_BEFORE, ONLY_WHOLE_BEFORE, SERVICE_UNAVAILABLE

_MESSAGE = SERVICE_UNAVAILABLE["error"]["message"]
_REPORTED = {
    "finishes-then-hangs",
    "no-done",
    "no-finish",
    "broken-frame",
    "binary-frame",
    "error-after-usage",
}


@pytest.mark.parametrize("streams", [False, True])
async def test_a_failure_before_the_answer_is_a_503_that_leaves_nothing(
    hasty: GatewayProcess, hasty_client: httpx.AsyncClient, hasty_licence: Licence, streams: bool
) -> None:
    models = BEFORE + (ONLY_STREAM_BEFORE if streams else ONLY_WHOLE_BEFORE)

    async def asked(model: str) -> tuple[str, httpx.Response]:
        body = query(model, hasty_licence, stream=streams)
        return model, await post_raw(hasty_client, hasty_licence, body, provider_of(body["model"]))

    for model, answer in await asyncio.gather(*map(asked, models)):
        assert (answer.status_code, answer.json()) == (503, SERVICE_UNAVAILABLE), model
        assert answer.headers.get("retry-after") == ("17" if model == "status-429-later" else None)
        assert MARK not in answer.text
    books = hasty.settled(hasty_licence, len(models))
    assert {hold["state"] for hold in books.holds} == {"released"}
    assert (books.licence["used"], books.usage, books.responses) == (0, [], [])


@pytest.mark.parametrize("model", DURING)
async def test_a_stream_that_breaks_says_so_and_what_came_is_charged_and_stored(
    hasty: GatewayProcess, hasty_client: httpx.AsyncClient, hasty_licence: Licence, model: str
) -> None:
    answer = await respond(hasty_client, hasty_licence, query(model, hasty_licence, stream=True))
    error, end = answer.events[-2:]
    assert (error["type"], end["type"]) == ("error", "response.failed")
    assert (error["message"], error["code"], error["param"]) == (_MESSAGE, "service_unavailable", None)
    assert MARK not in answer.http.text
    assert answer.response["status"] == "failed"
    assert answer.response["error"] == {"code": "server_error", "message": _MESSAGE}

    books = hasty.settled(hasty_licence)
    line = hasty.line(answer.http.headers["x-request-id"])
    assert (line["status"], line["error"]) == (200, "ProviderUnavailable")
    if model in {"half-then-hangs", "unending-frame"}:
        # Nothing but the role came.
        assert (answer.response["output"], answer.response["usage"]) == ([], None)
        assert (books.usage, books.responses) == ([], [])
        return
    [usage] = books.usage
    assert answer.text == (ANSWER[:-1] if model == "chunk-cut" else ANSWER)
    assert answer.items("message")[0]["status"] == "incomplete"
    assert bool(usage["estimated"]) is (model not in _REPORTED)
    if model in _REPORTED:
        assert usage["price"] == 25 * INPUT + 8 * OUTPUT
    else:
        assert answer.usage["estimated"] is True
    assert usage["outcome"] == line["outcome"] == "cut"
    assert answer.usage["credits_used"] == usage["charged"] == books.licence["used"] > 0
    assert answer.usage["credits_remaining"] == books.licence["granted"] - books.licence["used"]
    assert await read_back(hasty_client, hasty_licence, answer.id) == answer.response


@pytest.mark.parametrize("streams", [False, True])
async def test_nonsense_about_the_usage_is_no_usage(
    hasty: GatewayProcess, hasty_client: httpx.AsyncClient, hasty_licence: Licence, streams: bool
) -> None:
    body = query("usage-trillions", hasty_licence, stream=streams)
    answer = await post_raw(hasty_client, hasty_licence, body)
    books = hasty.settled(hasty_licence, 1)
    (usage,) = books.usage
    assert (answer.status_code, usage["outcome"], usage["estimated"]) == (200, "completed", 1)
    assert usage["charged"] == books.licence["used"] > 0
    assert b'"estimated":true' in answer.content
    assert len(books.responses) == 1


async def test_a_failed_response_can_be_continued_with_what_came_of_it(
    hasty: GatewayProcess, hasty_client: httpx.AsyncClient, hasty_licence: Licence, hostile: Hostile
) -> None:
    failed = await respond(
        hasty_client, hasty_licence, query("closes-mid-stream", hasty_licence, stream=True)
    )
    body = query("plain", hasty_licence, previous_response_id=failed.id)
    assert (await respond(hasty_client, hasty_licence, body)).response["status"] == "completed"
    messages = hostile.seen(hasty_licence.marker)[-1].body["messages"]
    assert [message["content"] for message in messages[1:2]] == [ANSWER]


async def test_a_call_that_broke_off_is_shown_and_never_sent_back(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    """Nobody could answer it, and a provider refuses a conversation with a call that has no answer."""
    body = query("listed/breaks-calling", licence, stream=True, tools=[WEATHER])
    failed = await respond(client, licence, body)
    [call] = failed.items("function_call")
    assert (failed.response["status"], call["status"], call["arguments"]) == (
        "failed",
        "incomplete",
        '{"city',
    )
    assert await read_back(client, licence, failed.id) == failed.response
    await respond(client, licence, query("plain", licence, previous_response_id=failed.id))
    _, said, _ = hostile.seen(licence.marker)[-1].body["messages"]
    assert said == {"role": "assistant", "content": "One moment."}
    gateway.settled(licence, 2)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "code", "param"),
    [
        ("status-400", 400, "rejected_by_provider", None),
        ("status-422", 400, "rejected_by_provider", None),
        ("context-too-long", 400, "context_length_exceeded", "input"),
        ("model-unknown", 404, "model_not_found", "model"),
    ],
)
async def test_what_the_caller_can_mend_is_told_in_the_words_of_this_api(
    gateway: GatewayProcess,
    client: httpx.AsyncClient,
    licence: Licence,
    model: str,
    status: int,
    code: str,
    param: str | None,
    streams: bool,
) -> None:
    answer = await post_raw(client, licence, query(model, licence, stream=streams))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert "internal.example.com" not in error["message"]
    books = gateway.settled(licence)
    assert (books.usage, books.responses) == ([], [])


@pytest.mark.parametrize("streams", [False, True])
async def test_the_cap_that_was_asked_for_ends_an_answer_as_incomplete(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, hostile: Hostile, streams: bool
) -> None:
    body = query("listed/cut", licence, max_output_tokens=3, stream=streams)
    answer = await respond(client, licence, body)
    assert answer.text == "The capital of"
    assert answer.response["status"] == "incomplete"
    assert answer.response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert (answer.response["max_output_tokens"], answer.usage["output_tokens"]) == (3, 3)
    assert answer.items("message")[0]["status"] == "incomplete"
    if streams:
        assert answer.events[-1]["type"] == "response.incomplete"
    assert await read_back(client, licence, answer.id) == answer.response
    gateway.settled(licence)
    # What was said can be continued.
    await respond(client, licence, query("plain", licence, previous_response_id=answer.id))
    assert hostile.seen(licence.marker)[-1].body["messages"][1]["content"] == "The capital of"


@pytest.mark.parametrize("streams", [False, True])
async def test_a_small_balance_lowers_the_cap_says_so_and_the_answer_is_incomplete(
    gateway: GatewayProcess, client: httpx.AsyncClient, hostile: Hostile, streams: bool
) -> None:
    poor = gateway.licence("0.001")
    answer = await respond(client, poor, query("listed/cut", poor, stream=streams))
    cap = int(answer.http.headers["x-quantized-output-cap"])
    assert hostile.seen(poor.marker)[0].body["max_tokens"] == cap
    assert answer.response["max_output_tokens"] is None, "what was asked for"
    gateway.settled(poor)


@pytest.mark.parametrize("streams", [False, True])
async def test_a_model_that_does_not_reason_is_not_asked_to(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, hostile: Hostile, streams: bool
) -> None:
    model, header = "listed/unthinking", {"x-quantized-provider": "openrouter"}
    wish = {"reasoning": {"effort": "low"}, "stream": streams}
    for answer in (
        await post_raw(client, licence, query(model, licence, **wish), header),
        await post(client, licence, ask(model, licence, **wish), header),
    ):
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, "reasoning.effort")
        assert error["message"] == (
            "'reasoning.effort' is not supported: the model 'listed/unthinking' of the provider 'openrouter' "
            "does not reason"
        )
    assert gateway.settled(licence, 2).usage == []
    none = query(model, licence, reasoning={"effort": "none"}, stream=streams)
    assert (await respond(client, licence, none)).text == ANSWER
    [seen] = hostile.seen(licence.marker)
    assert "reasoning" not in seen.body


# Clients that leave.


async def arrived(hostile: Hostile, licence: Licence) -> Seen:
    seen: list[Seen] = await asyncio.to_thread(eventually, lambda: hostile.seen(licence.marker))
    return seen[0]


async def ended(gateway: GatewayProcess, licence: Licence) -> Books:
    """The books when the hold has ended; the loop goes on meanwhile, and with it the closing of sockets."""
    return await asyncio.to_thread(gateway.settled, licence)


def response_id_in(beginning: bytes) -> str:
    data = beginning.split(b"data: ")[1].split(b"\n")[0]
    found: str = json.loads(data)["response"]["id"]
    return found


@pytest.mark.parametrize("reset", [False, True])
async def test_of_a_stream_whose_client_leaves_the_truth_is_stored(
    gateway: GatewayProcess, client: httpx.AsyncClient, hostile: Hostile, connect: Connect, reset: bool
) -> None:
    for attempt in tries(1.0):
        licence = gateway.licence()
        leaver = await connect(gateway)
        body = query("speaks-then-hangs", licence, stream=True)
        await leaver.send(request_bytes(licence, body, RESPONSES))
        beginning = await leaver.until(b'"delta":" Paris"')
        seen = await arrived(hostile, licence)
        with attempt.timing():
            await leaver.leave(reset=reset)
            assert await asyncio.to_thread(seen.gone.wait, 25)
        [usage] = (await ended(gateway, licence)).usage
        assert (usage["outcome"], usage["estimated"]) == ("client_left", 1)
        found = await read_back(client, licence, response_id_in(beginning))
        assert (found["status"], found["error"]["code"]) == ("failed", "server_error")
        assert "closed" in found["error"]["message"]
        assert found["output"][0]["status"] == "incomplete"
        assert ANSWER.startswith(text_of(found))
        assert "Paris" in text_of(found)
        assert found["usage"]["credits_used"] == usage["charged"] > 0


async def test_a_client_that_leaves_before_the_end_mark_pays_what_the_provider_reported(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, hostile: Hostile, connect: Connect
) -> None:
    leaver = await connect(gateway)
    await leaver.send(request_bytes(licence, query("finishes-then-hangs", licence, stream=True), RESPONSES))
    beginning = await leaver.until(b'"delta":"."')
    seen = await arrived(hostile, licence)
    await asyncio.to_thread(eventually, lambda: seen.written > 2_000)
    # Once the gateway has answered this, it has read what had arrived before.
    await client.get("/health")
    await leaver.leave()
    [usage] = (await ended(gateway, licence)).usage
    assert (usage["outcome"], usage["estimated"]) == ("client_left", 0)
    found = await read_back(client, licence, response_id_in(beginning))
    assert (found["status"], text_of(found)) == ("failed", ANSWER)
    assert found["usage"]["credits_used"] == 25 * INPUT + 8 * OUTPUT


@pytest.mark.parametrize("streams", [False, True])
async def test_a_client_that_leaves_before_the_answer_leaves_nothing_stored(
    gateway: GatewayProcess, hostile: Hostile, connect: Connect, streams: bool
) -> None:
    for attempt in tries(1.0):
        licence = gateway.licence()
        leaver = await connect(gateway)
        await leaver.send(request_bytes(licence, query("hangs", licence, stream=streams), RESPONSES))
        seen = await arrived(hostile, licence)
        with attempt.timing():
            await leaver.leave()
            assert await asyncio.to_thread(seen.gone.wait, 25)
        books = await ended(gateway, licence)
        assert [row["outcome"] for row in books.usage] == ["client_left"]
        assert books.responses == []


@pytest.mark.parametrize("streams", [False, True])
async def test_an_answer_that_nobody_read_is_stored_whole(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, connect: Connect, streams: bool
) -> None:
    leaver = await connect(gateway)
    await leaver.send(request_bytes(licence, query("plain", licence, stream=streams), RESPONSES))
    await leaver.until(b"\r\n\r\n")
    await leaver.leave(reset=True)
    [usage] = (await ended(gateway, licence)).usage
    found = await read_back(client, licence, stored(gateway, licence)[0])
    expected = "completed" if usage["outcome"] == "completed" else "failed"
    assert found["status"] == expected
    assert found["usage"]["credits_used"] == usage["charged"]


# The database does not answer.


async def locked_while(process: GatewayProcess, act: Any) -> Any:
    """Runs `act` while another process's transaction keeps everybody from writing."""
    with closing(sqlite3.connect(process.database, isolation_level=None)) as owner:
        owner.execute("BEGIN IMMEDIATE")
        try:
            return await act()
        finally:
            owner.execute("ROLLBACK")


async def test_without_a_ledger_nothing_is_asked_and_a_stream_under_way_fails(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, hostile: Hostile, connect: Connect
) -> None:
    """The answer that could not be charged is charged, and can be read, once that is possible."""
    before = await respond(client, licence, query("plain", licence))
    streaming = await connect(gateway)
    body = query("pauses-until-told", licence, stream=True, previous_response_id=before.id)
    await streaming.send(request_bytes(licence, body, RESPONSES))
    begun = await streaming.until(b'"delta":"The"')

    async def without() -> tuple[httpx.Response, bytes]:
        hostile.go_on(licence.marker)
        refused, rest = await asyncio.gather(
            post_raw(client, licence, query("plain", licence)), streaming.until(b"[DONE]")
        )
        return refused, begun + rest

    refused, told = await locked_while(gateway, without)
    assert (refused.status_code, refused.json()) == (503, SERVICE_UNAVAILABLE)
    assert told.index(b"event: error") < told.index(b"event: response.failed")
    assert b"event: response.completed" not in told
    last = json.loads(told.rpartition(b"event: response.failed\ndata: ")[2].split(b"\n")[0])["response"]
    assert (last["status"], last["usage"], text_of(last)) == ("failed", None, ANSWER)
    assert len(hostile.seen(licence.marker)) == 2

    await asyncio.to_thread(eventually, lambda: len(gateway.books(licence).usage) == 2, "the charge is taken")
    books = gateway.books(licence)
    assert books.licence["used"] == 2 * (25 * INPUT + 8 * OUTPUT)
    found = await read_back(client, licence, last["id"])
    assert (found["status"], text_of(found)) == ("completed", ANSWER)
    assert found["usage"]["credits_used"] == 25 * INPUT + 8 * OUTPUT


async def test_a_conversation_is_read_while_somebody_else_writes(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence
) -> None:
    made = await respond(client, licence, query("plain", licence))

    async def reading() -> dict[str, Any]:
        return await read_back(client, licence, made.id)

    assert await locked_while(gateway, reading) == made.response
