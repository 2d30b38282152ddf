"""An upstream that fails in every way there is: what the caller reads, what the log says, what is charged."""

import asyncio

import httpx
import pytest
from chat_client import ask, post, told
from gateway_process import INPUT, OUTPUT, GatewayProcess, Licence, eventually
from hostile import Hostile
from hostile_behaviours import ANSWER, MARK

SERVICE_UNAVAILABLE = {
    "error": {
        "message": "Service temporarily unavailable",
        "type": "server_error",
        "code": "service_unavailable",
        "param": None,
    }
}

# Whether asked for a stream or for a whole answer: the upstream fails before there is anything of it.
BEFORE = [
    "hangs",
    "head-then-hangs",
    "closes-before-head",
    "resets-before-head",
    "closes-in-head",
    "resets-after-head",
    "closes-after-head",
    "html",
    "binary",
    "broken-json",
    "empty-body",
    "json-null",
    "no-choices",
    "error-in-200",
    "not-http",
    "huge-head",
    "compressed",
    "status-301",
    "status-401",
    "status-402",
    "status-403",
    "status-404",
    "status-408",
    "status-429",
    "status-429-later",
    "status-500",
    "status-502",
    "status-503",
    "status-524",
    "status-529",
    "refusing/model",
    "silent/model",
]
ONLY_STREAM_BEFORE = ["only-comments", "empty-stream", "only-done", "error-first-frame"]
ONLY_WHOLE_BEFORE = ["half-then-hangs", "resets-mid-frame", "chunk-cut", "closes-mid-stream", "huge"]

# The stream has begun, and breaks.
DURING = [
    "half-then-hangs",
    "speaks-then-hangs",
    "finishes-then-hangs",
    "resets-mid-frame",
    "chunk-cut",
    "closes-mid-stream",
    "no-done",
    "no-finish",
    "broken-frame",
    "binary-frame",
    "error-mid-stream",
    "error-after-usage",
    "unending-frame",
]


def provider_of(model: str) -> dict[str, str]:
    return {"x-quantized-provider": model.partition("/")[0]} if "/" in model else {}


@pytest.mark.parametrize("streams", [False, True])
async def test_a_failure_before_the_answer_is_a_503_that_costs_nothing(
    hasty: GatewayProcess,
    hasty_client: httpx.AsyncClient,
    hasty_licence: Licence,
    hostile: Hostile,
    streams: bool,
) -> None:
    models = BEFORE + (ONLY_STREAM_BEFORE if streams else ONLY_WHOLE_BEFORE)

    async def failed(model: str) -> tuple[str, httpx.Response]:
        body = ask(model, hasty_licence, stream=streams)
        return model, await post(hasty_client, hasty_licence, body, provider_of(model))

    for model, answer in await asyncio.gather(*map(failed, models)):
        assert (answer.status_code, answer.json()) == (503, SERVICE_UNAVAILABLE), model
        assert answer.headers["content-type"] == "application/json", model
        assert answer.headers.get("retry-after") == ("17" if model == "status-429-later" else None)

        line = hasty.line(answer.headers["x-request-id"])
        assert (line["status"], line["error"]) == (503, "ProviderUnavailable"), model
        assert line["cause"], model
        assert (line["level"] == "error") == (
            model in {"status-301", "status-401", "status-402", "status-403", "status-404"}
        ), model

    books = hasty.settled(hasty_licence, len(models))
    assert {hold["state"] for hold in books.holds} == {"released"}
    assert (books.licence["used"], books.usage) == (0, [])
    for seen in hostile.seen(hasty_licence.marker):
        # Whoever had not ended was hung up on.
        assert await asyncio.to_thread(seen.ended.wait, 25), seen.body["model"]


@pytest.mark.parametrize("model", DURING)
async def test_a_stream_that_breaks_ends_with_an_error_chunk_and_is_charged_for_what_came(
    hasty: GatewayProcess,
    hasty_client: httpx.AsyncClient,
    hasty_licence: Licence,
    hostile: Hostile,
    model: str,
) -> None:
    answer = await post(hasty_client, hasty_licence, ask(model, hasty_licence, stream=True))
    assert answer.status_code == 200
    stream = told(answer.content)
    assert not stream.done
    assert MARK not in answer.text
    *_, end = stream.chunks
    assert end["error"] == SERVICE_UNAVAILABLE["error"]
    assert all("error" not in chunk for chunk in stream.chunks[:-1])
    assert all(choice["finish_reason"] is None for chunk in stream.chunks[:-1] for choice in chunk["choices"])

    books = hasty.settled(hasty_licence)
    line = hasty.line(answer.headers["x-request-id"])
    assert (line["status"], line["error"]) == (200, "ProviderUnavailable")
    if model in {"half-then-hangs", "unending-frame"}:
        # Nothing but the role came.
        assert books.usage == []
        assert "usage" not in end
        return
    [usage] = books.usage
    assert stream.text == (ANSWER[:-1] if model == "chunk-cut" else ANSWER)
    assert usage["outcome"] == line["outcome"] == "cut"
    reported = model in {
        "finishes-then-hangs",
        "no-done",
        "no-finish",
        "broken-frame",
        "binary-frame",
        "error-after-usage",
    }
    assert bool(usage["estimated"]) is not reported
    if reported:
        assert usage["price"] == 25 * INPUT + 8 * OUTPUT
    else:
        # Four bytes a token.
        assert usage["output"] == -(-len(stream.text) // 4)
    assert end["usage"]["credits_used"] == usage["charged"] == books.licence["used"] > 0
    assert end["usage"]["credits_remaining"] == books.licence["granted"] - books.licence["used"]
    for seen in hostile.seen(hasty_licence.marker):
        assert await asyncio.to_thread(seen.ended.wait, 25)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "code", "param"),
    [
        ("status-400", 400, "rejected_by_provider", None),
        ("status-413", 400, "rejected_by_provider", None),
        ("status-422", 400, "rejected_by_provider", None),
        ("context-too-long", 400, "context_length_exceeded", "messages"),
        ("model-unknown", 404, "model_not_found", "model"),
    ],
)
async def test_what_the_caller_can_mend_is_told_without_the_providers_names(
    gateway: GatewayProcess,
    client: httpx.AsyncClient,
    licence: Licence,
    hostile: Hostile,
    model: str,
    status: int,
    code: str,
    param: str | None,
    streams: bool,
) -> None:
    answer = await post(client, licence, ask(model, licence, stream=streams))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["type"] == "invalid_request_error"
    assert "internal.example.com" not in error["message"]
    assert gateway.settled(licence).usage == []
    assert len(hostile.seen(licence.marker)) == 1, "another try could not have helped"


async def test_an_error_of_the_callers_in_the_first_frame_is_an_http_error(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence
) -> None:
    answer = await post(client, licence, ask("caller-error-first-frame", licence, stream=True))
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "This image cannot be read"
    assert gateway.settled(licence).usage == []


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    "model",
    ["once-status-503", "once-status-429", "once-closes-before-head", "once-error-in-200", "once-busy"],
)
async def test_another_try_helps_before_the_first_byte_and_is_paid_once(
    gateway: GatewayProcess,
    client: httpx.AsyncClient,
    licence: Licence,
    hostile: Hostile,
    model: str,
    streams: bool,
) -> None:
    answer = await post(client, licence, ask(model, licence, stream=streams))
    assert answer.status_code == 200
    assert ANSWER in (told(answer.content).text if streams else answer.text)
    books = gateway.settled(licence)
    assert books.licence["used"] == 25 * INPUT + 8 * OUTPUT
    # A kept connection that was closed is replaced without counting as a try.
    tries = {1, 2} if model == "once-closes-before-head" else {2}
    assert gateway.line(answer.headers["x-request-id"])["tries"] in tries
    assert len(hostile.seen(licence.marker)) == 2


async def test_tries_end(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    answer = await post(client, licence, ask("status-503", licence))
    assert answer.status_code == 503
    assert len(hostile.seen(licence.marker)) == 3
    assert gateway.settled(licence).usage == []


async def test_a_provider_that_asks_for_a_long_wait_is_not_waited_for(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    answer = await post(client, licence, ask("status-429-later", licence))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "17")
    assert len(hostile.seen(licence.marker)) == 1


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("model", ["drips", "no-chunking", "crlf-comments", "waits-then-answers", "lingers"])
async def test_an_odd_but_proper_answer_arrives_whole(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, model: str, streams: bool
) -> None:
    if model in {"crlf-comments", "waits-then-answers", "lingers"} and not streams:
        model = "plain"
    answer = await post(client, licence, ask(model, licence, stream=streams))
    assert answer.status_code == 200
    if streams:
        stream = told(answer.content)
        assert stream.done
        assert (stream.text, stream.usage["credits_used"]) == (ANSWER, 25 * INPUT + 8 * OUTPUT)
    else:
        assert answer.json()["choices"][0]["message"]["content"] == ANSWER
    assert gateway.settled(licence).licence["used"] == 25 * INPUT + 8 * OUTPUT


async def test_no_connection_to_the_upstream_is_left_after_failures(
    hasty: GatewayProcess, hasty_client: httpx.AsyncClient, hostile: Hostile
) -> None:
    """What failed is closed; a response that was whole leaves a connection for the next request."""
    before = hostile.connections
    licence = hasty.licence()
    failing = ["hangs", "speaks-then-hangs", "chunk-cut", "only-comments", "not-http", "status-503"] * 4
    answers = await asyncio.gather(
        *(post(hasty_client, licence, ask(model, licence, stream=True)) for model in failing)
    )
    assert {answer.status_code for answer in answers} == {200, 503}
    hasty.settled(licence, len(failing))
    eventually(lambda: all(seen.ended.is_set() for seen in hostile.seen(licence.marker)))
    eventually(lambda: hostile.connections <= before + 4, "all but the reusable ones are closed")
