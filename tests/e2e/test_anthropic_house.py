"""What the gateway itself does for Anthropic: who is sent there, under which names, and what is counted."""

import base64
import json
import re
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from anthropic_server import ANTHROPIC_KEY, AnthropicServer
from gateway_process import GatewayProcess, Licence
from plain_http import HTTP

HAIKU = "anthropic/claude-haiku-5.5"
PDF = f"data:application/pdf;base64,{base64.b64encode(b'%PDF-1.7 ...').decode()}"
LONG = " ".join(f"word{n}" for n in range(3_000))
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}


@pytest.fixture(scope="module")
def by_default(make_gateway: Any, running_messages_api: AnthropicServer) -> Iterator[GatewayProcess]:
    gateway = make_gateway(
        "",
        ANTHROPIC_API_KEY=ANTHROPIC_KEY,
        ANTHROPIC_BASE_URL=f"{running_messages_api.url}/v1/",
        QUANTIZED_DEFAULT_PROVIDER="anthropic",
    )
    gateway.start()
    yield gateway
    assert gateway.stop() in (0, -signal.SIGTERM)


def post(
    gateway: GatewayProcess, licence: Licence, path: str, body: dict[str, Any], forced: str | None = None
) -> httpx.Response:
    headers = licence.headers | ({} if forced is None else {"x-quantized-provider": forced})
    return HTTP.post(f"{gateway.url}{path}", json=body, headers=headers)


def asking(surface: str, model: str, text: str) -> dict[str, Any]:
    if surface == "chat":
        return {"model": model, "messages": [{"role": "user", "content": text}]}
    return {"model": model, "input": text}


@pytest.mark.parametrize("surface", PATHS)
def test_nobody_is_sent_to_anthropic_unasked(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer, surface: str
) -> None:
    licence = anthropic_gateway.licence()
    body = asking(surface, HAIKU, f"do:plain {licence.marker}")
    answer = post(anthropic_gateway, licence, PATHS[surface], body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert messages_api.seen(licence.marker) == []
    assert post(anthropic_gateway, licence, PATHS[surface], body, "anthropic").status_code == 200
    assert len(messages_api.seen(licence.marker)) == 1


@pytest.mark.parametrize("surface", PATHS)
def test_it_may_be_the_default_provider(
    by_default: GatewayProcess, messages_api: AnthropicServer, surface: str
) -> None:
    licence = by_default.licence()
    for model in (HAIKU, "claude-haiku-5-5"):
        answer = post(
            by_default, licence, PATHS[surface], asking(surface, model, f"do:plain {licence.marker}")
        )
        assert answer.status_code == 200, answer.text
    assert [seen.body["model"] for seen in messages_api.seen(licence.marker)] == ["claude-haiku-5-5"] * 2
    listed = HTTP.get(f"{by_default.url}/v1/models", headers=licence.headers).json()["data"]
    assert {"quantized/demo", HAIKU} <= {model["id"] for model in listed}


@pytest.mark.parametrize("wanted", ["search", "file"])
@pytest.mark.parametrize("surface", PATHS)
def test_what_may_fill_a_window_is_held_for_as_a_window(
    by_default: GatewayProcess, messages_api: AnthropicServer, surface: str, wanted: str
) -> None:
    """A million tokens at the dearest rate of the input are 6.25 credits, one search included or one file."""
    poor, rich = by_default.licence("5"), by_default.licence("6.5")
    answers = []
    for licence in (poor, rich):
        body = asking(surface, "claude-opus-4-8", f"do:search {licence.marker}")
        if wanted == "search":
            body |= (
                {"tools": [{"type": "web_search"}]} if surface == "responses" else {"web_search_options": {}}
            )
        elif surface == "responses":
            part = {"type": "input_file", "filename": "a.pdf", "file_data": PDF}
            body["input"] = [
                {"role": "user", "content": [part, {"type": "input_text", "text": body["input"]}]}
            ]
        else:
            part = {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}
            text = {"type": "text", "text": body["messages"][0]["content"]}
            body["messages"] = [{"role": "user", "content": [part, text]}]
        answers.append(post(by_default, licence, PATHS[surface], body))
    refused, given = answers
    assert (refused.status_code, given.status_code) == (402, 200), (refused.text, given.text)
    assert messages_api.seen(poor.marker) == []
    cause = by_default.line(refused.headers["x-request-id"])["cause"]
    found = re.fullmatch(r"a hold of (\d+) was wanted, of (\d+) at least; 5000000 free", cause)
    assert found is not None, cause
    assert 6_250_000 < int(found[2]) < 6_300_000 < int(found[1]) < 10_000_000
    (seen,) = messages_api.seen(rich.marker)
    if wanted == "search":
        assert [tool["max_uses"] for tool in seen.body["tools"]] == [1]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929"),
        ("anthropic/claude-3.5-haiku", "claude-3-5-haiku-latest"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-20250514"),
    ],
)
def test_every_name_of_a_model_finds_it_at_its_limit_and_its_price(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer, asked: str, sent: str
) -> None:
    licence = anthropic_gateway.licence()
    url = f"{anthropic_gateway.url}/v1/models/{asked}"
    model = HTTP.get(url, headers=licence.headers | {"x-quantized-provider": "anthropic"}).json()
    body = asking("chat", asked, f"do:plain {licence.marker}")
    usage = post(anthropic_gateway, licence, PATHS["chat"], body, "anthropic").json()["usage"]
    (seen,) = messages_api.seen(licence.marker)
    assert (seen.body["model"], seen.body["max_tokens"]) == (sent, model["max_output_tokens"])
    rates = model["cost_per_million"]
    total = rates["input"] * usage["prompt_tokens"] + rates["output"] * usage["completion_tokens"]
    assert usage["credits_used"] == -(-total // 1_000_000)


def test_both_lifetimes_of_a_cache_write_have_a_published_rate(anthropic_gateway: GatewayProcess) -> None:
    licence = anthropic_gateway.licence()
    headers = licence.headers | {"x-quantized-provider": "anthropic"}
    listed = HTTP.get(f"{anthropic_gateway.url}/v1/models", headers=headers).json()["data"]
    assert len(listed) >= 16
    for model in listed:
        for rates in (model["cost"], model["cost_per_million"]):
            assert rates["cached_input"] < rates["input"] < rates["cache_write"] < rates["cache_write_1h"]
        assert model["cost"]["web_search"] == 10_000
        assert model["model_author"] == "anthropic"


@pytest.mark.parametrize("surface", PATHS)
def test_what_was_counted_of_a_broken_answer_is_not_estimated_again(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer, surface: str
) -> None:
    """The input is told at a stream's beginning, and with it what came out of the cache at its own price."""
    licence = anthropic_gateway.licence()
    history = [
        {"role": "user", "content": f"{LONG} {licence.marker}"},
        {"role": "assistant", "content": "Go on."},
    ]
    field = "messages" if surface == "chat" else "input"

    def body(text: str) -> dict[str, Any]:
        return {"model": HAIKU, field: [*history, {"role": "user", "content": text}]}

    first = post(anthropic_gateway, licence, PATHS[surface], body("do:plain"), "anthropic")
    assert first.status_code == 200, first.text
    cut = post(anthropic_gateway, licence, PATHS[surface], body("do:cut") | {"stream": True}, "anthropic")
    assert cut.status_code == 200
    assert "[DONE]" not in cut.text or surface == "responses"
    books = anthropic_gateway.settled(licence, 2)
    whole, broken = sorted(books.usage, key=lambda row: row["started_at"])
    assert (whole["outcome"], whole["estimated"]) == ("completed", 0)
    assert (broken["outcome"], broken["estimated"]) == ("cut", 1)
    assert broken["cached_read"] > 3_000 > 200 > broken["input"]
    assert 0 < broken["output"] < 20
    assert broken["charged"] < whole["charged"] / 5


def test_tools_and_parts_may_be_cached_for_an_hour(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer
) -> None:
    licence = anthropic_gateway.licence()
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    function = {"name": "get_weather", "description": LONG, "parameters": {"type": "object"}}
    body = {
        "model": HAIKU,
        "tools": [{"type": "function", "function": function, **hour}],
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief.", **hour}]},
            {"role": "user", "content": f"do:plain {licence.marker}"},
        ],
    }
    usage = post(anthropic_gateway, licence, PATHS["chat"], body, "anthropic").json()["usage"]
    details = usage["prompt_tokens_details"]
    assert details["cache_write_tokens"] == details["cache_write_1h_tokens"] > 3_000
    (seen,) = messages_api.seen(licence.marker)
    assert seen.body["tools"][0]["cache_control"] == seen.body["system"][0]["cache_control"]
    assert json.dumps(seen.body).count('"ttl": "1h"') == 2
    again = post(anthropic_gateway, licence, PATHS["chat"], body, "anthropic").json()["usage"]
    assert again["prompt_tokens_details"]["cached_tokens"] == details["cache_write_tokens"]
    assert again["credits_used"] < usage["credits_used"] / 10
