"""What is changed at one place counts at every process soon: two workers, and the command line."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count

import httpx
import pytest
from chat_client import ask, post
from gateway_process import GatewayProcess, Licence
from hostile import UPSTREAM_KEY, Hostile
from in_time import PAUSE, tries

from quantized.storage.catalog_rows import CatalogRows

Gateways = Callable[..., GatewayProcess]
ROUNDS = 16
"""New connections at once: that all go to one of two workers happens once in 30,000 times."""
LIMIT = 2.0
"""Seconds that a change may take."""


@pytest.fixture(scope="module")
def two(make_gateway: Gateways, hostile: Hostile) -> Iterator[GatewayProcess]:
    gateway = make_gateway(
        "workers = 2",
        OPENROUTER_API_KEY=UPSTREAM_KEY,
        OPENROUTER_BASE_URL=f"http://127.0.0.1:{hostile.port}/openrouter/v1",
    )
    gateway.start()
    yield gateway
    assert gateway.stop() == 0


def new_connections(gateway: GatewayProcess) -> httpx.AsyncClient:
    """A client that makes one for each request."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=gateway.url, timeout=50, limits=limits, verify=False)


async def told(gateway: GatewayProcess, licence: Licence) -> Counter[object]:
    """What as many clients as there are rounds hear at once: credits used, or the status of a refusal."""

    async with new_connections(gateway) as client:
        answers = await asyncio.gather(*(post(client, licence, ask("plain", licence)) for _ in range(ROUNDS)))
    return Counter(
        answer.json()["usage"]["credits_used"] if answer.is_success else -answer.status_code
        for answer in answers
    )


async def all_hear(gateway: GatewayProcess, licence: Licence, wanted: object) -> None:
    """Whoever asks `LIMIT` seconds from now, and however many, hears it, however long the answers take."""
    began = asked = time.monotonic()
    while (heard := await told(gateway, licence)) != {wanted: ROUNDS}:
        assert asked < began + LIMIT, heard
        await asyncio.sleep(PAUSE)
        asked = time.monotonic()
    assert await told(gateway, licence) == {wanted: ROUNDS}


async def changed(gateway: GatewayProcess, *command: str) -> None:
    await asyncio.to_thread(gateway.cli, *command)


async def test_keys_and_licences(two: GatewayProcess) -> None:
    licence = two.licence()
    assert await told(two, licence) == {114: ROUNDS}
    await changed(two, "key", "deactivate", licence.key_id)
    await all_hear(two, licence, -401)
    await changed(two, "key", "activate", licence.key_id)
    await all_hear(two, licence, 114)
    await changed(two, "license", "deactivate", licence.id)
    await all_hear(two, licence, -401)
    await changed(two, "license", "activate", licence.id)
    await all_hear(two, licence, 114)


async def test_credits(two: GatewayProcess) -> None:
    licence = two.licence("0.000001")
    assert await told(two, licence) == {-402: ROUNDS}
    await changed(two, "license", "grant", licence.id, "10")
    assert await told(two, licence) == {114: ROUNDS}


async def test_rates_and_models_of_a_licence_type(two: GatewayProcess) -> None:
    await changed(two, "license-type", "create", "home", "fresh")
    licence = await asyncio.to_thread(lambda: two.licence(type_="home/fresh"))
    assert await told(two, licence) == {114: ROUNDS}
    await changed(two, "license-type", "update", "home/fresh", "--markup", "2")
    await all_hear(two, licence, 228)
    await changed(two, "license-type", "update", "home/fresh", "--models", "other/*")
    await all_hear(two, licence, -404)


async def test_a_providers_list_that_another_gateway_has_fetched(two: GatewayProcess) -> None:
    licence = two.licence()
    forced = licence.headers | {"x-quantized-provider": "openrouter"}

    async def prices() -> set[object]:
        async with new_connections(two) as client:
            lists = await asyncio.gather(*(client.get("/v1/models", headers=forced) for _ in range(ROUNDS)))
        return {
            entry["cost_per_million"]["input"]
            for listed in lists
            for entry in listed.json()["data"]
            or [{"id": "listed/model", "cost_per_million": {"input": None}}]
            if entry["id"] == "listed/model"
        }

    async def until(wanted: object) -> None:
        async with asyncio.timeout(50):
            while await prices() != {wanted}:  # noqa: ASYNC110  the answer is another process's
                await asyncio.sleep(PAUSE)

    await until(1_000_000)
    with closing(CatalogRows(f"sqlite:///{two.database}")) as rows:
        listed = [json.loads(row) for row in await rows.load("openrouter")]
        fresh = count(2)
        # Each process looks for what others have fetched at moments of its own.
        for attempt in tries(LIMIT):
            price = next(fresh)
            for row in listed:
                row["pricing"]["prompt"] = f"0.00000{price}"
            await rows.replace("openrouter", [(row["id"], json.dumps(row).encode()) for row in listed], price)
            with attempt.timing():
                await until(price * 1_000_000)
