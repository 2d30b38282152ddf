"""Limits, allowances and allowed providers of a running gateway, as callers and their libraries see them."""

import asyncio
import time
from uuid import uuid4

import httpx
import openai
from chat_client import Connect, ask, post, request_bytes
from gateway_process import Books, GatewayProcess, Licence, eventually
from hostile import Hostile
from plain_sql import rows

STORM = 300


def limited(
    gateway: GatewayProcess, *limits: str, balance: str = "10", user_id: str | None = None
) -> Licence:
    """A licence of a type of its own."""
    alias = f"type-{uuid4().hex}"
    gateway.cli("license-type", "create", "home", alias, *limits)
    return gateway.licence(balance, type_=f"home/{alias}", user_id=user_id)


def told(answer: httpx.Response) -> dict[str, str]:
    return {
        name.removeprefix("x-ratelimit-"): value
        for name, value in answer.headers.items()
        if name.startswith("x-ratelimit-")
    }


def gauges(gateway: GatewayProcess, licence: Licence) -> tuple[int, int, int]:
    row = gateway.books(licence).licence
    return row["held"], row["open_holds"], row["tokens_owed"]


async def test_every_answer_says_where_the_licence_stands(
    gateway: GatewayProcess, client: httpx.AsyncClient
) -> None:
    licence = limited(gateway, "--requests-per-minute", "5", "--tokens-per-minute", "100000")
    began = time.monotonic()
    whole = await post(client, licence, ask("plain", licence, max_tokens=500))
    assert whole.status_code == 200
    headers = told(whole)
    assert set(headers) == {
        f"{part}-{of}" for part in ("limit", "remaining", "reset") for of in ("requests", "tokens")
    }
    assert (headers["limit-requests"], headers["remaining-requests"]) == ("5", "4")
    assert headers["reset-requests"] == "12s"
    assert headers["limit-tokens"] == "100000"
    assert 98_000 < int(headers["remaining-tokens"]) < 99_500
    streamed = await post(client, licence, ask("plain", licence, stream=True))
    assert streamed.status_code == 200 and told(streamed)["remaining-requests"] == "3"
    broken = await post(client, licence, ask("status-500", licence))
    assert broken.status_code == 503 and told(broken)["remaining-requests"] == "2"
    responses = await client.post(
        "/v1/responses",
        json={"model": "hostile/plain", "input": licence.marker},
        headers=licence.headers,
    )
    assert responses.status_code == 200 and told(responses)["remaining-requests"] == "1"
    await post(client, licence, ask("plain", licence))
    refused = await post(client, licence, ask("plain", licence))
    assert refused.status_code == 429
    assert 12 - (time.monotonic() - began) <= int(refused.headers["retry-after"]) <= 12
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert "5 requests per minute" in error["message"]
    assert told(refused)["remaining-requests"] == "0"
    assert gauges(gateway, licence)[:2] == (0, 0)


async def test_a_licence_without_limits_is_told_of_none(
    client: httpx.AsyncClient, gateway: GatewayProcess
) -> None:
    licence = gateway.licence()
    assert told(await post(client, licence, ask("plain", licence))) == {}


async def test_openais_library_waits_as_it_is_told_and_comes_in(gateway: GatewayProcess) -> None:
    licence = limited(gateway, "--requests-per-minute", "60")
    base_url, messages = f"{gateway.url}/v1", ask("plain", licence)["messages"]
    async with openai.AsyncOpenAI(
        base_url=base_url,
        api_key=licence.key,
        max_retries=0,
        http_client=httpx.AsyncClient(verify=False, timeout=50),
    ) as impatient:

        async def say(client: openai.AsyncOpenAI) -> str | None:
            answer = await client.chat.completions.create(model="hostile/plain", messages=messages)
            return answer.choices[0].message.content

        for _ in range(5):  # one more comes in with each second that the others take
            answers = await asyncio.gather(*(say(impatient) for _ in range(64)), return_exceptions=True)
            refused = [answer for answer in answers if not isinstance(answer, str)]
            if refused:
                break
        assert refused and all(isinstance(error, openai.RateLimitError) for error in refused)
        assert await say(impatient.with_options(max_retries=2)) is not None


class Stillness:
    """Whether nothing is held, and has not been for some looks: what arrived last may not have begun yet."""

    def __init__(self, gateway: GatewayProcess, licence: Licence) -> None:
        self.gateway, self.licence = gateway, licence
        self.looks: list[int] = []

    def __call__(self) -> Books | None:
        books = self.gateway.books(self.licence)
        self.looks.append(len(books.holds))
        still = books.licence["open_holds"] == 0 and self.looks[-20:] == [len(books.holds)] * 20
        return books if still else None


async def test_a_storm_of_requests_that_are_aborted_leaves_nothing_behind(
    gateway: GatewayProcess, hostile: Hostile, connect: Connect, client: httpx.AsyncClient
) -> None:
    """At every stage: before the hold, while the upstream thinks, in the middle of a stream."""
    licence = limited(
        gateway, "--parallel-requests", "40", "--tokens-per-minute", "1000000", "--user-allowance", "5",
        user_id="ann",
    )  # fmt: skip
    slots = asyncio.Semaphore(60)
    models = ("hangs", "half-then-hangs", "only-comments")

    async def abort(number: int) -> None:
        async with slots:
            raw = await connect(gateway)
            body = ask(models[number % 3], licence, stream=number % 2 == 0, max_tokens=100)
            await raw.send(request_bytes(licence, body))
            await asyncio.sleep(0.001 * (number % 40))
            await raw.leave(reset=number % 5 == 0)

    await asyncio.gather(*map(abort, range(STORM)))
    books = await asyncio.to_thread(eventually, Stillness(gateway, licence), "the storm is over")
    books.audit()
    assert len(books.holds) > 20
    assert books.licence["held"] == 0
    used = sum(record["input"] + record["output"] for record in books.usage)
    assert gauges(gateway, licence)[2] <= used * 60_000
    said = "SELECT used, held FROM user_allowance WHERE license_id = ?"
    (share,) = rows(gateway.database_url, said, licence.id)
    assert share == (books.licence["used"], 0)
    answers = await asyncio.gather(*(post(client, licence, ask("plain", licence)) for _ in range(40)))
    assert [answer.status_code for answer in answers] == [200] * 40


async def test_so_many_at_a_time_and_no_more(
    gateway: GatewayProcess, client: httpx.AsyncClient, connect: Connect, hostile: Hostile
) -> None:
    licence = limited(gateway, "--parallel-requests", "1")
    raw = await connect(gateway)
    await raw.send(request_bytes(licence, ask("hangs", licence)))
    await asyncio.to_thread(eventually, lambda: hostile.seen(licence.marker), "the upstream is asked")
    refused = await post(client, licence, ask("plain", licence))
    assert (refused.status_code, refused.headers["retry-after"], told(refused)) == (429, "1", {})
    assert "1 requests at a time" in refused.json()["error"]["message"]
    await raw.leave()
    await asyncio.to_thread(eventually, lambda: gauges(gateway, licence)[1] == 0, "the hold has ended")
    assert (await post(client, licence, ask("plain", licence))).status_code == 200


async def test_an_output_that_is_too_long_is_refused_and_one_that_is_not_bounded_is_capped(
    gateway: GatewayProcess, client: httpx.AsyncClient, hostile: Hostile
) -> None:
    licence = limited(gateway, "--output-tokens-per-request", "200")
    refused = await post(client, licence, ask("plain", licence, max_tokens=201))
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "max_tokens")
    assert error["code"] == "output_tokens_above_limit" and "at most 200" in error["message"]
    other = await client.post(
        "/v1/responses",
        json={"model": "hostile/plain", "input": "?", "max_output_tokens": 201},
        headers=licence.headers,
    )
    assert (other.status_code, other.json()["error"]["param"]) == (400, "max_output_tokens")
    assert hostile.seen(licence.marker) == []
    exact = await post(client, licence, ask("plain", licence, max_tokens=200))
    assert exact.status_code == 200 and "x-quantized-output-cap" not in exact.headers
    capped = await post(client, licence, ask("plain", licence))
    assert capped.status_code == 200 and capped.headers["x-quantized-output-cap"] == "200"
    assert [seen.body["max_tokens"] for seen in hostile.seen(licence.marker)] == [200, 200]


async def test_a_request_that_never_fits_is_refused_by_name(
    gateway: GatewayProcess, client: httpx.AsyncClient
) -> None:
    licence = limited(gateway, "--tokens-per-minute", "300")
    for more, param in (({"max_tokens": 300}, "max_tokens"), ({}, "messages")):
        body = ask("plain", licence, **more)
        if not more:
            body["messages"][0]["content"] += "x" * 2_000
        refused = await post(client, licence, body)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (400, "request_above_tokens_per_minute")
        assert error["param"] == param and "300 tokens per minute" in error["message"]
    assert (await post(client, licence, ask("plain", licence))).status_code == 200


async def test_a_provider_that_is_not_allowed_is_as_if_it_were_not_there(
    gateway: GatewayProcess, client: httpx.AsyncClient
) -> None:
    licence = limited(gateway, "--providers", "host*", "--providers", "silent")

    def forced(name: str) -> dict[str, str]:
        return {"x-quantized-provider": name}

    refused = await post(client, licence, ask("plain", licence), forced("other"))
    unknown = await post(client, licence, ask("plain", licence), forced("nobody"))
    assert refused.status_code == unknown.status_code == 400
    assert refused.json()["error"]["message"].endswith("possible values are hostile, silent")
    assert refused.json()["error"]["message"] == unknown.json()["error"]["message"].replace("nobody", "other")
    listing = await client.get("/v1/models", headers=licence.headers | forced("other"))
    assert listing.status_code == 400
    assert (await post(client, licence, ask("plain", licence), forced("hostile"))).status_code == 200
    elsewhere = limited(gateway, "--providers", "silent")
    assert (await post(client, elsewhere, ask("plain", elsewhere))).status_code == 404
    # Those that are allowed stand in for the default, which is not.
    listed = (await client.get("/v1/models", headers=elsewhere.headers)).json()["data"]
    assert [entry["id"] for entry in listed] == ["silent/model"]


async def test_a_model_that_is_not_allowed_is_not_found_and_not_listed(
    gateway: GatewayProcess, client: httpx.AsyncClient
) -> None:
    licence = limited(gateway, "--models", "hostile/pl*")
    assert (await post(client, licence, ask("rich", licence))).status_code == 404
    listed = (await client.get("/v1/models", headers=licence.headers)).json()["data"]
    assert {row["id"] for row in listed} == {"hostile/plain"}
    assert (await client.get("/v1/models/hostile/rich", headers=licence.headers)).status_code == 404


async def test_one_student_cannot_empty_the_course(
    gateway: GatewayProcess, client: httpx.AsyncClient
) -> None:
    ann = limited(gateway, "--user-allowance", "0.002", user_id="ann")
    bob = ann._replace(key=gateway.cli("key", "create", ann.id, "--user-id", "bob")["api_key"])
    free = ann._replace(key=gateway.cli("key", "create", ann.id)["api_key"])
    used = 0
    while (answer := await post(client, ann, ask("plain", ann))).status_code == 200:
        used += answer.json()["usage"]["credits_used"]
        assert used <= 2_000
        # What remains is the licence's.
        assert answer.json()["usage"]["credits_remaining"] == 10_000_000 - used
    assert answer.status_code == 402 and used > 0
    error = answer.json()["error"]
    assert error["code"] == "user_allowance_exhausted" and "your own allowance" in error["message"]
    assert (await client.get("/v1/license", headers=ann.headers)).json()["user_allowance"] == {
        "user_id": "ann",
        "allowance_micro_credits": 2_000,
        "used_micro_credits": used,
        "available_micro_credits": 2_000 - used,
    }
    assert "user_allowance" not in (await client.get("/v1/license", headers=free.headers)).json()
    for other in (bob, free):
        assert (await post(client, other, ask("plain", other))).status_code == 200
    gateway.cli("license", "allowance", "set", ann.id, "ann", "1")

    async def serves() -> bool:
        return (await post(client, ann, ask("plain", ann))).status_code == 200

    while not await serves():  # noqa: ASYNC110  the test's own timeout is the limit
        await asyncio.sleep(0.05)
    listed = gateway.cli("license", "allowance", "list", ann.id)
    assert [(row["user_id"], row["own_micro_credits"]) for row in listed] == [
        ("ann", 1_000_000),
        ("bob", None),
    ]
    gateway.cli("ledger", "verify")
