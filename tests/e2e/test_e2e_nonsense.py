"""Nonsense from the upstream and from callers is nobody's undoing: no 500, no lost hold, no dead ledger."""

import json

import httpx
import pytest
from chat_client import CHAT, ask, post
from gateway_process import GatewayProcess, Licence

ODD = [
    *("usage-trillions", "usage-exponent", "usage-negative", "usage-words", "usage-list", "usage-word"),
    *("cost-absurd", "cost-word", "cost-negative", "created-absurd", "id-object", "surrogate"),
]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("model", ODD)
async def test_numbers_that_nobody_can_mean(
    hasty: GatewayProcess, hasty_client: httpx.AsyncClient, hasty_licence: Licence, model: str, streams: bool
) -> None:
    answer = await post(hasty_client, hasty_licence, ask(model, hasty_licence, stream=streams))
    line = hasty.line(answer.headers["x-request-id"])
    assert answer.status_code in {200, 503}, line
    assert line.get("outcome") != "completed" or answer.status_code == 200
    hasty.settled(hasty_licence)
    after = await post(hasty_client, hasty.licence(), ask("plain", hasty_licence))
    assert after.status_code == 200


@pytest.mark.parametrize(
    "more",
    [
        b'"user": "\\ud800"',
        b'"user": "\\u0000"',
        b'"metadata": {"a": "\\u0000"}',
        b'"max_tokens": 1000000000000000000000000000000',
        b'"max_tokens": 9223372036854775807',
        b'"max_tokens": 0',
        b'"max_tokens": -1',
        b'"seed": 1e400',
        b'"temperature": NaN',
        b'"temperature": 1e400',
        b'"stop": ["a", "b", "c", "d", "e", "f"]',
        b'"model": "hostile/\\u0000"',
        b'"model": "\\ud83d\\ude00"',
        b'"tools": [{"type": "function", "function": {"name": "\\ud800"}}]',
    ],
)
@pytest.mark.parametrize("streams", [b"true", b"false"])
async def test_fields_that_nobody_can_mean(
    hasty: GatewayProcess,
    hasty_client: httpx.AsyncClient,
    hasty_licence: Licence,
    more: bytes,
    streams: bytes,
) -> None:
    model = b"" if more.startswith(b'"model"') else b'"model": "hostile/plain", '
    body = b'{%s"messages": [{"role": "user", "content": "x"}], "stream": %s, %s}' % (model, streams, more)
    answer = await hasty_client.post(CHAT, headers=hasty_licence.headers, content=body)
    assert answer.status_code in {200, 400, 404}, answer.text
    books = hasty.books(hasty_licence)
    assert len(books.holds) == (answer.status_code == 200)


@pytest.mark.parametrize("content", ["\ud800", "a" * 900_000, "\u0000", "\u202e" * 100, "😀" * 1_000])
async def test_prompts_of_every_kind_arrive_or_are_refused(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, content: str
) -> None:
    body = ask("plain", licence)
    body["messages"].append({"role": "user", "content": content})
    answer = await client.post(CHAT, content=json.dumps(body), headers=licence.headers)
    assert answer.status_code == (400 if content == "\ud800" else 200), answer.text
    gateway.settled(licence, int(answer.status_code == 200))
