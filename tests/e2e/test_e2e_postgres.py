"""The gateway as a process on a PostgreSQL of its own: exact books, and a server that goes and comes back."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from chat_client import post, told
from database_copies import PostgresDatabases
from gateway_process import GatewayProcess, Licence, eventually
from in_time import tries
from postgres_server import PostgresServer, postgres_server

PROMISED = 2.0
"""Seconds within which a request hears that the database does not answer."""
DEMO = "quantized/demo"
SETTINGS = "port = 0\nkey_cache_seconds = 0\n"
BY_DEMO = {"x-quantized-provider": "demo"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with closing(PostgresDatabases(server.url)) as databases:
        url = databases.url_of(databases.create())
    gateway = GatewayProcess(tmp_path_factory.mktemp("gateway"), SETTINGS, {"QUANTIZED_DATABASE_URL": url})
    gateway.cli("init")
    gateway.start()
    yield gateway
    assert gateway.stop() == 0
    assert server.password not in gateway.log_path.read_text()


@pytest.fixture
async def client(gateway: GatewayProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=50, verify=False) as client:
        yield client


@pytest.fixture
def licence(gateway: GatewayProcess) -> Licence:
    return gateway.licence()


def question(text: str = "What is the capital of France?", *, stream: bool = False) -> dict[str, Any]:
    return {"model": DEMO, "messages": [{"role": "user", "content": text}], "stream": stream}


async def respond(client: httpx.AsyncClient, licence: Licence, **body: Any) -> httpx.Response:
    return await client.post("/v1/responses", json={"model": DEMO, **body}, headers=licence.headers | BY_DEMO)


async def test_every_answer_has_one_charge_of_what_it_said(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence
) -> None:
    streams = [number % 2 == 0 for number in range(20)]
    answers = await asyncio.gather(
        *(post(client, licence, question(stream=stream), BY_DEMO) for stream in streams),
    )
    usages = [
        told(answer.content).usage if stream else answer.json()["usage"]
        for answer, stream in zip(answers, streams, strict=True)
    ]
    books = gateway.settled(licence, 20)
    assert sorted(usage["credits_used"] for usage in usages) == sorted(row["charged"] for row in books.usage)
    assert min(usage["credits_remaining"] for usage in usages) == 10_000_000 - books.licence["used"]
    assert {row["request_id"] for row in books.usage} == {
        answer.headers["x-request-id"] for answer in answers
    }


async def test_a_conversation_is_kept_and_continued(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence
) -> None:
    first = (await respond(client, licence, input="My name is Ada.")).json()
    second = (await respond(client, licence, input="And now?", previous_response_id=first["id"])).json()
    assert second["previous_response_id"] == first["id"]
    read = await client.get(f"/v1/responses/{second['id']}", headers=licence.headers)
    assert read.json()["output"] == second["output"]
    gone = await client.delete(f"/v1/responses/{first['id']}", headers=licence.headers)
    assert gone.status_code == 200
    refused = await respond(client, licence, input="And now?", previous_response_id=first["id"])
    assert refused.status_code == 404
    books = gateway.settled(licence, 2)
    assert [row["id"] for row in books.responses] == [second["id"]]


@pytest.mark.parametrize("strange", ["resp_\x00", "\ud800", "resp_" + "a" * 5_000, "résp"])
async def test_a_name_that_the_database_could_not_keep_is_nobodys(
    client: httpx.AsyncClient, licence: Licence, strange: str
) -> None:
    body = {"model": DEMO, "input": "And now?", "previous_response_id": strange}
    answer = await client.post(
        "/v1/responses", content=json.dumps(body).encode(), headers=licence.headers | BY_DEMO
    )
    assert answer.status_code in (400, 404), answer.text
    path = "/v1/responses/" + quote(strange.encode(errors="surrogatepass"))
    assert (await client.get(path, headers=licence.headers)).status_code == 404
    assert (await client.delete(path, headers=licence.headers)).status_code == 404


async def test_a_small_balance_is_never_overspent(gateway: GatewayProcess, client: httpx.AsyncClient) -> None:
    licence = gateway.licence("0.01")
    answers = await asyncio.gather(
        *(post(client, licence, question(stream=number % 2 == 0), BY_DEMO) for number in range(60))
    )
    statuses = [answer.status_code for answer in answers]
    served = statuses.count(200)
    assert 1 <= served < 60, answers[0].text
    assert served + statuses.count(402) == 60
    assert gateway.settled(licence, served).licence["used"] <= 10_000


async def test_while_the_server_is_gone_requests_are_refused_in_time_and_then_served_again(
    gateway: GatewayProcess, server: PostgresServer, client: httpx.AsyncClient, licence: Licence
) -> None:
    assert (await post(client, licence, question(), BY_DEMO)).status_code == 200
    server.stop()
    await all_refused(client, licence)
    assert (await client.get("/ready")).status_code == 503
    server.start()
    await served_again(client, licence)
    assert (await client.get("/ready")).status_code == 200
    assert_nothing_was_free(gateway, licence)


async def test_while_the_server_says_nothing_requests_are_refused_in_time_and_then_served_again(
    gateway: GatewayProcess, server: PostgresServer, client: httpx.AsyncClient, licence: Licence
) -> None:
    assert (await post(client, licence, question(), BY_DEMO)).status_code == 200
    server.pause()
    try:
        await all_refused(client, licence)
    finally:
        server.resume()
    await served_again(client, licence)
    assert_nothing_was_free(gateway, licence)


async def test_a_restart_is_survived(
    gateway: GatewayProcess, server: PostgresServer, client: httpx.AsyncClient, licence: Licence
) -> None:
    assert (await post(client, licence, question(), BY_DEMO)).status_code == 200
    server.stop()
    server.start()
    await served_again(client, licence)
    assert_nothing_was_free(gateway, licence)


async def all_refused(client: httpx.AsyncClient, licence: Licence) -> None:
    """Several requests at once each get a 503, in time."""

    async def refused() -> None:
        answer = await post(client, licence, question(), BY_DEMO)
        assert answer.status_code == 503, answer.text
        assert "postgres" not in answer.text.lower()

    for attempt in (one for _ in range(2) for one in tries(PROMISED)):
        with attempt.timing():
            await asyncio.gather(*(refused() for _ in range(5)))


async def served_again(client: httpx.AsyncClient, licence: Licence) -> None:
    async with asyncio.timeout(50):
        while True:
            if (await post(client, licence, question(), BY_DEMO)).status_code == 200:
                return
            await asyncio.sleep(0.02)


def assert_nothing_was_free(gateway: GatewayProcess, licence: Licence) -> None:
    """All holds have ended, two of them in a charge: that of the request before and of the one after."""
    eventually(lambda: not gateway.books(licence).open_holds, "every hold ended")
    books = gateway.books(licence)
    books.audit()
    assert len(books.usage) == 2
