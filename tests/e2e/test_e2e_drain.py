"""A stop while much is under way: nothing is taken up any more, what ends in time is told, all is settled."""

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest
from chat_client import Connect, ask, post, request_bytes
from gateway_process import GatewayProcess, Licence, eventually
from hostile import Hostile

Gateways = Callable[..., GatewayProcess]


def begun(gateway: GatewayProcess) -> bool:
    return any(line["message"] == "stopping" for line in gateway.log())


async def at_the_upstream(hostile: Hostile, licence: Licence, count: int) -> None:
    def there() -> bool:
        return len(hostile.seen(licence.marker)) == count

    await asyncio.to_thread(eventually, there, f"{count} requests at the upstream")


def refused(gateway: GatewayProcess) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", gateway.port)) != 0


def processes(gateway: GatewayProcess) -> list[Any]:
    with closing(sqlite3.connect(gateway.database)) as database:
        return database.execute("SELECT id FROM process").fetchall()


@pytest.mark.parametrize("workers", [1, 2])
async def test_requests_of_all_lengths_streamed_and_not(
    make_gateway: Gateways, hostile: Hostile, workers: int
) -> None:
    gateway = make_gateway(f"workers = {workers}\nshutdown_seconds = 3.0")
    gateway.start()
    licence = gateway.licence("1000")
    async with httpx.AsyncClient(base_url=gateway.url, timeout=50, verify=False) as client:
        assert (await client.get("/health")).status_code == 200
        asked = [
            (model, stream, asyncio.create_task(post(client, licence, ask(model, licence, stream=stream))))
            for model in ("pauses-until-told", "ticks", "hangs")
            for stream in (True, False)
            for _ in range(3)
        ]
        await at_the_upstream(hostile, licence, len(asked))
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(eventually, lambda: begun(gateway), "it stops")
        await asyncio.to_thread(eventually, lambda: refused(gateway), "nobody listens")
        hostile.go_on(licence.marker)
        done = await asyncio.gather(*(task for *_, task in asked), return_exceptions=True)
    assert await asyncio.to_thread(gateway.process.wait, 50) == 0
    told = cut = 0
    for (model, stream, _), answer in zip(asked, done, strict=True):
        if model == "pauses-until-told" and stream:
            assert isinstance(answer, httpx.Response)
            assert answer.text.endswith("data: [DONE]\n\n")
            told += 1
            continue
        assert isinstance(answer, httpx.Response)
        if model == "ticks" and stream:
            # What had begun says how it ended, and what that cost.
            (error,) = [event for event in events(answer.text) if "error" in event]
            assert error["error"]["code"] == "service_unavailable"
            assert error["usage"]["credits_used"] > 0
            cut += error["usage"]["credits_used"]
        else:
            assert answer.status_code == 503, (model, answer.text)
    books = gateway.settled(licence, len(asked))
    outcomes = sorted(usage["outcome"] for usage in books.usage)
    assert outcomes == ["completed"] * told + ["cut"] * 3
    assert books.licence["used"] == told * 114 + cut
    assert [hold["state"] for hold in books.holds].count("released") == len(asked) - 6
    assert told == 3
    assert processes(gateway) == []


def events(text: str) -> list[Any]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


async def test_a_connection_that_is_kept_says_that_it_ends_and_takes_no_more(
    make_gateway: Gateways, hostile: Hostile, connect: Connect
) -> None:
    for _ in range(5):
        gateway = make_gateway()
        gateway.start()
        licence = gateway.licence()
        idle, busy = await connect(gateway), await connect(gateway)
        await idle.send(request_bytes(licence, ask("plain", licence)))
        head = await idle.until(b"\r\n\r\n")
        await idle.reader.readexactly(int(re.findall(rb"content-length: (\d+)", head.lower())[0]))
        await busy.send(request_bytes(licence, ask("pauses-until-told", licence, stream=True)))
        await busy.until(b'"role"')
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(eventually, lambda one=gateway: begun(one), "it stops")
        # One request that was on its way when the connection was about to be closed.
        try:
            await idle.send(request_bytes(licence, ask("plain", licence)))
            if last := await idle.rest():
                break
        except ConnectionError:
            pass
        # It came later than it would be waited for: once more.
        gateway.stop(signal.SIGKILL)
    head, _, body = last.rpartition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert json.loads(body)["usage"]["credits_used"] == 114
    hostile.go_on(licence.marker)
    assert b"data: [DONE]\n\n" in await busy.rest()
    assert await asyncio.to_thread(gateway.process.wait, 50) == 0
    assert gateway.settled(licence, 3).licence["used"] == 3 * 114


@pytest.mark.parametrize(("workers", "how"), [(1, signal.SIGTERM), (2, signal.SIGINT)])
async def test_a_second_signal_ends_requests_at_once_and_settles_them(
    make_gateway: Gateways,
    hostile: Hostile,
    connect: Connect,
    workers: int,
    how: signal.Signals,
) -> None:
    gateway = make_gateway(f"workers = {workers}\nshutdown_seconds = 60.0")
    gateway.start()
    licence = gateway.licence()
    for model in ("ticks", "hangs", "speaks-then-hangs", "endless"):
        client = await connect(gateway)
        await client.send(request_bytes(licence, ask(model, licence, stream=True)))
    await at_the_upstream(hostile, licence, 4)
    assert gateway.process is not None
    gateway.process.send_signal(how)
    await asyncio.to_thread(
        eventually, lambda: [line["message"] for line in gateway.log()].count("stopping") == workers
    )
    for worker in (
        {line["pid"] for line in gateway.log() if line["message"] == "serving"} if workers > 1 else ()
    ):
        # A service manager signals everybody, and the supervisor hands it on: that makes no second signal.
        os.kill(worker, how)
    assert gateway.process.poll() is None
    assert gateway.books(licence).open_holds == 4
    gateway.process.send_signal(how)
    assert await asyncio.to_thread(gateway.process.wait, 50) == 0
    books = gateway.settled(licence, 4)
    assert {usage["outcome"] for usage in books.usage} == {"cut"}
    assert processes(gateway) == []
