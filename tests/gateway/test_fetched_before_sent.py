"""An image by its URL on its way through the gateway: paid for, then fetched, then sent as its bytes."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from bedrock_server import BedrockServer
from bedrock_server_credentials import BEDROCK_KEY
from bedrock_server_models import REGION

from quantized.catalog.catalog import Catalog
from quantized.catalog.prices import known_models, known_spelling
from quantized.clock import SystemClock
from quantized.core.errors import ImageNotFetched, InsufficientCredits, UnsupportedParameter
from quantized.core.ports import Caller, Charge, Hold, HoldOrder, Receipt, Terms
from quantized.gateway.generate import Gateway, Generation
from quantized.gateway.journal import Journal
from quantized.gateway.remote_images import RemoteImages
from quantized.gateway.retry import RetryPolicy
from quantized.providers.bedrock import catalogue
from quantized.providers.bedrock.provider import BedrockProvider
from quantized.providers.bedrock.signing import BearerToken
from quantized.providers.registry import Registered, Registry
from quantized.surfaces.chat.dialogue import ChatDialogue
from quantized.surfaces.chat.surface import ChatSurface
from quantized.upstream.call import Patience
from quantized.upstream.fetch import ImageFetcher
from quantized.upstream.pool import Pool

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 64
CALLER = Caller("institution", "type", "license", "key", Terms("terms"))


class Told:
    """A ledger, and the picture server beside it: what was said to them, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.pays = True
        self.status = "200 OK"
        self.port = 0
        self.asked = asyncio.Event()
        self.hangs = False

    async def hold(self, order: HoldOrder) -> Hold:
        if not self.pays:
            raise InsufficientCredits
        self.said.append("hold")
        return Hold(order.id, order.license_id, order.wanted)

    async def settle(self, charge: Charge) -> Receipt:
        self.said.append("settle")
        return Receipt(charge.price, 0, None)

    async def release(self, hold_id: str, reason: str) -> None:
        self.said.append("release")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.said.append("fetch")
        self.asked.set()
        if self.hangs:
            await reader.read()
        head = f"HTTP/1.1 {self.status}\r\ncontent-type: image/png\r\ncontent-length: {len(PNG)}\r\n\r\n"
        writer.write(head.encode() + PNG)
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def told() -> AsyncIterator[Told]:
    told = Told()
    server = await asyncio.start_server(told.serve, "127.0.0.1", 0)
    told.port = server.sockets[0].getsockname()[1]
    yield told
    server.close()


@pytest_asyncio.fixture
async def bedrock() -> AsyncIterator[BedrockServer]:
    server = BedrockServer()
    server.start()
    yield server
    server.stop()
    assert server.refused == []


@pytest_asyncio.fixture
async def gateway(told: Told, bedrock: BedrockServer) -> AsyncIterator[Gateway]:
    read = known_spelling(catalogue.PRICE_LIST)
    priced = known_models(catalogue.PRICE_LIST, 1_000_000, datetime.now(UTC))
    catalog = Catalog()
    catalog.replace("bedrock", catalogue.listed(priced, read, REGION), catalogue.spelling(read, REGION))
    provider = BedrockProvider(REGION, BearerToken(BEDROCK_KEY), endpoint=bedrock.url)
    pool = Pool()
    fetcher = ImageFetcher(judge=lambda _: True, ports=frozenset({told.port}))
    yield Gateway(
        Registry([Registered(provider, pool)], "bedrock"),
        catalog,
        told,
        SystemClock(),
        Patience(5, 5, 5, 20),
        RetryPolicy(0, 0),
        1_000_000,
        RemoteImages(fetcher),
    )
    await pool.close()


def generation(gateway: Gateway, told: Told, **more: Any) -> Generation:
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": f"http://127.0.0.1:{told.port}/a.png"}},
    ]
    body = {"model": "amazon/nova-lite", "messages": [{"role": "user", "content": parts}], **more}
    request = ChatSurface().parse(msgspec.json.encode(body))
    journal = Journal("req-1", gateway.clock.now_ms(), "chat")
    return Generation(gateway, CALLER, ChatDialogue(request), None, journal)


async def test_it_is_paid_for_then_fetched_then_sent(
    gateway: Gateway, told: Told, bedrock: BedrockServer
) -> None:
    answer = msgspec.json.decode(await generation(gateway, told).answer())
    assert answer["choices"][0]["message"]["content"]
    assert told.said == ["hold", "fetch", "settle"]
    [seen] = bedrock.seen("Look:")
    [_, image, *_] = seen.body["messages"][0]["content"]
    assert image == {"image": {"format": "png", "source": {"bytes": b64encode(PNG).decode()}}}


async def test_nothing_is_fetched_for_who_cannot_pay(gateway: Gateway, told: Told) -> None:
    told.pays = False
    with pytest.raises(InsufficientCredits):
        await generation(gateway, told).answer()
    assert told.said == []


async def test_what_cannot_be_fetched_costs_nothing(
    gateway: Gateway, told: Told, bedrock: BedrockServer
) -> None:
    told.status = "404 Not Found"
    with pytest.raises(ImageNotFetched, match="404"):
        await generation(gateway, told).answer()
    assert told.said == ["hold", "fetch", "release"]
    assert bedrock.seen("Look:") == []


async def test_who_leaves_meanwhile_pays_nothing(
    gateway: Gateway, told: Told, bedrock: BedrockServer
) -> None:
    told.hangs = True
    task = asyncio.create_task(generation(gateway, told).answer())
    await asyncio.wait_for(told.asked.wait(), 50)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert told.said == ["hold", "fetch", "release"]
    assert bedrock.seen("Look:") == []


async def test_where_nothing_is_fetched_it_is_refused(gateway: Gateway, told: Told) -> None:
    off = msgspec.structs.replace(gateway, images=None)
    with pytest.raises(UnsupportedParameter, match="data: URL"):
        await generation(off, told).answer()
    assert told.said == ["hold", "release"]


async def test_what_is_refused_anyway_is_refused_before_anything_is_fetched(
    gateway: Gateway, told: Told
) -> None:
    with pytest.raises(UnsupportedParameter, match="seed"):
        await generation(gateway, told, seed=1).answer()
    assert told.said == ["hold", "release"]
