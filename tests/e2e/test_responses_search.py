"""Web searches: what reaches the provider, what is cited, what they cost, and who has none."""

from typing import Any

import httpx
import pytest
from chat_client import ask, post
from gateway_process import GatewayProcess, Licence
from hostile import Hostile
from hostile_behaviours import ANSWER
from responses_client import WEATHER, post_raw, query, read_back, respond

TOKENS = 25 * 1 + 8 * 4
SEARCH = 10_000
"""Micro-credits; the list says 0.01 dollars."""


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("name", ["web_search", "web_search_preview", "web_search_preview_2025_03_11"])
async def test_a_search_is_made_cited_priced_and_stored(
    gateway: GatewayProcess,
    client: httpx.AsyncClient,
    licence: Licence,
    hostile: Hostile,
    name: str,
    streams: bool,
) -> None:
    tool = {"type": name, "user_location": {"type": "approximate", "city": "Bern"}}
    answer = await respond(client, licence, query("listed/searches", licence, tools=[tool], stream=streams))
    [seen] = hostile.seen(licence.marker)
    assert seen.body["plugins"] == [{"id": "web", "user_location": {"type": "approximate", "city": "Bern"}}]
    assert "tools" not in seen.body

    [call] = answer.items("web_search_call")
    assert call["status"] == "completed"
    assert [source["url"] for source in call["action"]["sources"]] == [
        "https://example.com/1",
        "https://example.com/2",
    ]
    [message] = answer.items("message")
    assert message["content"][0]["text"] == ANSWER
    assert message["content"][0]["annotations"] == [
        {
            "type": "url_citation",
            "url": f"https://example.com/{n}",
            "title": f"Page {n}",
            "start_index": n,
            "end_index": 9,
        }
        for n in (1, 2)
    ]
    if streams:
        kinds = [event["type"] for event in answer.events]
        told = [kind for kind in kinds if "web_search" in kind]
        assert told == [
            f"response.web_search_call.{what}" for what in ("in_progress", "searching", "completed")
        ]
    assert answer.response["tools"][0]["type"] == name
    assert (answer.usage["web_searches"], answer.usage["credits_used"]) == (1, TOKENS + SEARCH)
    assert await read_back(client, licence, answer.id) == answer.response

    books = gateway.settled(licence)
    [hold] = books.holds
    assert hold["amount"] >= TOKENS + SEARCH
    assert books.licence["used"] == TOKENS + SEARCH
    # What was found goes back as text; the search is not made again.
    items = [{"role": "user", "content": licence.marker}, *answer.response["output"]]
    await respond(
        client,
        licence,
        query("listed/searches", licence, input=[*items, {"role": "user", "content": "And?"}]),
    )
    replayed = hostile.seen(licence.marker)[-1].body
    assert "plugins" not in replayed
    assert [m["content"] for m in replayed["messages"] if m["role"] == "assistant"] == [ANSWER]


async def test_the_price_of_a_search_is_part_of_the_hold(
    gateway: GatewayProcess, client: httpx.AsyncClient, hostile: Hostile
) -> None:
    poor = gateway.licence("0.005")
    searching = query("listed/searches", poor, tools=[{"type": "web_search"}])
    refused = await post_raw(client, poor, searching, {"x-quantized-provider": "openrouter"})
    assert refused.status_code == 402
    assert hostile.seen(poor.marker) == []
    assert (await respond(client, poor, query("listed/searches", poor))).text == ANSWER


async def test_no_search_where_the_caller_wants_none(
    client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    body = query("listed/searches", licence, tools=[{"type": "web_search"}, WEATHER], tool_choice="none")
    answer = await respond(client, licence, body)
    assert answer.items("web_search_call") == []
    assert "plugins" not in hostile.seen(licence.marker)[0].body


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("model", ["hostile/plain", "quantized/demo"])
async def test_a_provider_without_one_is_a_400_that_says_so_in_the_callers_words(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, model: str, streams: bool
) -> None:
    body = query(model, licence, tools=[{"type": "web_search_preview"}], stream=streams)
    answer = await post_raw(client, licence, body)
    error: dict[str, Any] = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, "tools", "unsupported_parameter")
    provider = "hostile" if model == "hostile/plain" else "demo"
    assert error["message"] == f"'web_search' in 'tools' is not supported by the provider '{provider}'"
    assert gateway.books(licence).responses == []
    assert gateway.books(licence).open_holds == 0


@pytest.mark.parametrize("model", ["hostile/plain", "quantized/demo"])
async def test_chat_completions_say_so_in_theirs(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, model: str
) -> None:
    answer = await post(client, licence, ask(model, licence, web_search_options={}))
    error: dict[str, Any] = answer.json()["error"]
    provider = "hostile" if model == "hostile/plain" else "demo"
    assert (answer.status_code, error["param"]) == (400, "web_search_options")
    assert error["message"] == f"'web_search_options' is not supported by the provider '{provider}'"
    assert gateway.books(licence).open_holds == 0
