"""What a call costs, what is left, and that neither is ever more or less than it should be."""

import asyncio
from typing import Any

import httpx
import pytest
from chat_client import ask, post, told
from gateway_process import INPUT, OUTPUT, GatewayProcess, Licence
from hostile import Hostile

PRICE = 25 * INPUT + 8 * OUTPUT


def recomputed(rates: dict[str, int], usage: dict[str, Any]) -> int:
    """A bill by hand: the published rates, which are integers per million, times the tokens of `usage`."""
    prompt, completion = usage["prompt_tokens_details"], usage["completion_tokens_details"]
    special = prompt["cached_tokens"] + prompt["cache_write_tokens"] + prompt["audio_tokens"]
    spoken = completion["reasoning_tokens"] + completion["audio_tokens"]
    total = (
        rates["input"] * (usage["prompt_tokens"] - special)
        + rates["cached_input"] * prompt["cached_tokens"]
        + rates["cache_write"] * prompt["cache_write_tokens"]
        + rates["input_audio"] * prompt["audio_tokens"]
        + rates["output"] * (usage["completion_tokens"] - spoken)
        + rates["reasoning"] * completion["reasoning_tokens"]
        + rates["output_audio"] * completion["audio_tokens"]
        + rates["request"]
    )
    return -(-total // 1_000_000)


async def usage_of(
    client: httpx.AsyncClient, licence: Licence, body: dict[str, Any], provider: str
) -> dict[str, Any]:
    answer = await post(client, licence, body, {"x-quantized-provider": provider})
    assert answer.status_code == 200, answer.text
    usage: dict[str, Any] = told(answer.content).usage if body.get("stream") else answer.json()["usage"]
    return usage


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("hostile", "hostile/plain"),
        ("hostile", "hostile/usage-detailed"),
        ("hostile", "hostile/usage-zero"),
        ("hostile", "hostile/usage-missing"),
        ("hostile", "hostile/usage-null"),
        ("other", "hostile/plain"),
        ("openrouter", "listed/model"),
        ("demo", "quantized/demo"),
    ],
)
async def test_the_published_rates_times_the_usage_are_the_credits_used(
    gateway: GatewayProcess,
    client: httpx.AsyncClient,
    licence: Licence,
    provider: str,
    model: str,
    streams: bool,
) -> None:
    headers = licence.headers | {"x-quantized-provider": provider}
    listed = (await client.get("/v1/models", headers=headers)).json()["data"]
    [entry] = [entry for entry in listed if entry["id"] == model]
    usage = await usage_of(client, licence, ask(model, licence, stream=streams), provider)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["credits_used"] == recomputed(entry["cost_per_million"], usage)
    books = gateway.settled(licence)
    assert books.licence["used"] == usage["credits_used"]
    assert usage["credits_remaining"] == 10_000_000 - usage["credits_used"]
    [row] = books.usage
    assert (
        bool(row["estimated"])
        == usage.get("estimated", False)
        == (model in {"hostile/usage-missing", "hostile/usage-null"})
    )
    if model == "hostile/usage-detailed":
        assert row["provider_cost"] == 123_450_000, "pico-dollars"
        assert usage["prompt_tokens_details"]["cached_tokens"] == 600


async def test_the_licence_reads_as_the_calls_left_it(
    client: httpx.AsyncClient, gateway: GatewayProcess, licence: Licence
) -> None:
    for calls in (1, 2, 3):
        answer = await post(client, licence, ask("plain", licence, stream=calls == 2))
        status = (await client.get("/v1/license", headers=licence.headers)).json()
        usage = told(answer.content).usage if calls == 2 else answer.json()["usage"]
        assert usage["credits_used"] == PRICE
        assert status["used_micro_credits"] == calls * PRICE
        assert status["available_micro_credits"] == usage["credits_remaining"] == 10_000_000 - calls * PRICE
        assert status["license_id"] == licence.id
        assert status["unique_id"] == licence.marker
    shown = gateway.cli("license", "show", licence.id)
    assert shown["used_micro_credits"] == 3 * PRICE


async def test_an_unlimited_licence_counts_and_never_ends(
    gateway: GatewayProcess, client: httpx.AsyncClient
) -> None:
    licence = gateway.licence(None)
    for streams in (False, True):
        answer = await post(client, licence, ask("plain", licence, stream=streams))
        usage = told(answer.content).usage if streams else answer.json()["usage"]
        assert (usage["credits_used"], usage["credits_remaining"]) == (PRICE, None)
    status = (await client.get("/v1/license", headers=licence.headers)).json()
    assert status["used_micro_credits"] == 2 * PRICE
    assert status["available_micro_credits"] is None
    gateway.settled(licence, 2)


@pytest.mark.parametrize("streams", [False, True])
async def test_a_small_balance_lowers_the_output_cap_and_says_so(
    gateway: GatewayProcess, client: httpx.AsyncClient, hostile: Hostile, streams: bool
) -> None:
    licence = gateway.licence("0.003")
    answer = await post(client, licence, ask("plain", licence, stream=streams))
    assert answer.status_code == 200
    cap = int(answer.headers["x-quantized-output-cap"])
    [seen] = hostile.seen(licence.marker)
    assert 1 <= seen.body["max_tokens"] == cap < 1_000
    [hold] = gateway.settled(licence).holds
    # What is held pays for the cap and the input, and one token more it would not.
    assert cap * OUTPUT < hold["amount"] <= 3_000
    assert hold["amount"] - cap * OUTPUT > 25 * INPUT


@pytest.mark.parametrize("asked", [None, 7])
@pytest.mark.parametrize(
    ("provider", "field", "unasked"),
    # The second demands a cap of every request, and gets the model's own.
    [("hostile", "max_tokens", None), ("other", "max_completion_tokens", 1_000)],
)
async def test_a_balance_that_suffices_leaves_the_cap_to_the_caller(
    client: httpx.AsyncClient,
    licence: Licence,
    hostile: Hostile,
    asked: int | None,
    provider: str,
    field: str,
    unasked: int | None,
) -> None:
    more = {} if asked is None else {"max_tokens": asked}
    answer = await post(client, licence, ask("plain", licence, **more), {"x-quantized-provider": provider})
    assert answer.status_code == 200
    assert "x-quantized-output-cap" not in answer.headers
    [seen] = hostile.seen(licence.marker)
    assert seen.body.get(field) == (asked or unasked)
    assert {"max_tokens", "max_completion_tokens"} & seen.body.keys() <= {field}


@pytest.mark.parametrize("streams", [False, True])
async def test_an_exhausted_balance_is_a_402_and_nobody_is_asked(
    gateway: GatewayProcess, client: httpx.AsyncClient, hostile: Hostile, streams: bool
) -> None:
    licence = gateway.licence("0.0005")
    answer = await post(client, licence, ask("plain", licence, stream=streams))
    assert answer.status_code == 402
    assert answer.json()["error"] == {
        "message": "Insufficient credits",
        "type": "insufficient_quota",
        "code": "insufficient_credits",
        "param": None,
    }
    assert hostile.seen(licence.marker) == []
    books = gateway.books(licence)
    assert books.holds == []
    books.audit()


@pytest.mark.parametrize("streams", [False, True])
async def test_a_price_above_the_hold_takes_what_is_there_and_the_rest_is_an_overrun(
    gateway: GatewayProcess, client: httpx.AsyncClient, hostile: Hostile, streams: bool
) -> None:
    licence = gateway.licence("0.01")
    answer = await post(client, licence, ask("usage-huge", licence, stream=streams))
    assert answer.status_code == 200
    usage = told(answer.content).usage if streams else answer.json()["usage"]
    price = 25 * INPUT + 9_000_000 * OUTPUT
    assert (usage["credits_used"], usage["credits_remaining"]) == (10_000, 0)
    books = gateway.settled(licence)
    [row] = books.usage
    assert (row["price"], row["charged"], row["overrun"]) == (price, 10_000, price - 10_000)
    assert [entry["kind"] for entry in books.entries] == ["grant", "charge", "overrun"]
    line = gateway.line(answer.headers["x-request-id"])
    assert line["overrun"] == price - 10_000
    after = await post(client, licence, ask("plain", licence))
    assert after.status_code == 402
    assert len(hostile.seen(licence.marker)) == 1


async def test_a_model_without_a_price_is_refused_before_anyone_is_asked(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    answer = await post(client, licence, ask("unpriced", licence))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "model_not_priced", "model")
    assert hostile.seen(licence.marker) == []
    assert gateway.books(licence).holds == []


async def test_parallel_requests_on_a_small_balance_never_overspend(
    gateway: GatewayProcess, client: httpx.AsyncClient, hostile: Hostile
) -> None:
    licence = gateway.licence("0.02")
    answers = await asyncio.gather(
        *(post(client, licence, ask("plain", licence, stream=number % 2 == 0)) for number in range(60))
    )
    statuses = [answer.status_code for answer in answers]
    served = statuses.count(200)
    assert served + statuses.count(402) == 60
    assert 1 <= served == len(hostile.seen(licence.marker))
    books = gateway.settled(licence, served)
    assert books.licence["used"] == served * PRICE <= 20_000


async def test_what_is_left_is_told_in_the_order_of_the_charges(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence
) -> None:
    """Each of many calls at once is told another balance: the one right after its own charge."""
    answers = await asyncio.gather(*(post(client, licence, ask("plain", licence)) for _ in range(30)))
    told_left = sorted(answer.json()["usage"]["credits_remaining"] for answer in answers)
    assert told_left == [10_000_000 - calls * PRICE for calls in range(30, 0, -1)]
    balances = [entry["balance_after"] for entry in gateway.settled(licence, 30).entries]
    assert balances == [10_000_000, *reversed(told_left)]


async def test_rates_of_a_licence_type_are_shown_and_charged(
    gateway: GatewayProcess, client: httpx.AsyncClient
) -> None:
    kind = gateway.licence("1").marker
    gateway.cli("license-type", "create", "home", kind, "--markup", "1.5")
    row = gateway.cli("license", "create", f"home/{kind}", "--unique-id", f"{kind}-dear", "--credits", "1")
    key = gateway.cli("key", "create", row["license_id"])
    licence = Licence(row["license_id"], key["api_key"], key["key_id"], f"{kind}-dear")
    entry = (await client.get("/v1/models/hostile/plain", headers=licence.headers)).json()
    assert entry["cost_per_million"]["input"] == 3_000_000
    usage = (await post(client, licence, ask("plain", licence))).json()["usage"]
    assert usage["credits_used"] == recomputed(entry["cost_per_million"], usage) == 25 * 3 + 8 * 12


async def test_the_hold_covers_the_cap_that_is_sent(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    """Also beyond the limit that the catalogue knows of the model."""
    answer = await post(client, licence, ask("plain", licence, max_tokens=20_000))
    assert answer.status_code == 200
    [seen] = hostile.seen(licence.marker)
    assert seen.body["max_tokens"] == 20_000
    [hold] = gateway.settled(licence).holds
    assert hold["amount"] >= 20_000 * OUTPUT
