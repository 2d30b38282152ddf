"""A real gateway whose SQLite database is locked, gone or full: 503 soon, nothing free, and it goes on."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx
import pytest
import pytest_asyncio
from chat_client import Connect, ask, post, request_bytes
from database_trouble import locked, moved_away
from gateway_process import GatewayProcess, eventually
from hostile import Hostile
from in_time import PAUSE, tries

Gateways = Callable[..., GatewayProcess]
Trouble = Callable[[GatewayProcess], AbstractContextManager[object]]
PROMISED = 2.0
"""Seconds within which a request hears that the database does not answer."""


@pytest.fixture(scope="module")
def gateway(make_gateway: Gateways) -> Iterator[GatewayProcess]:
    gateway = make_gateway()
    gateway.start()
    yield gateway
    assert gateway.stop() == 0


@pytest_asyncio.fixture
async def client(gateway: GatewayProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=50, verify=False) as client:
        yield client


@contextmanager
def full(gateway: GatewayProcess) -> Iterator[None]:
    """No file of the process may grow beyond what the database's log has already."""
    assert gateway.process is not None
    log = gateway.database.with_name(gateway.database.name + "-wal").stat().st_size
    assert log > gateway.log_path.stat().st_size + 50_000, "what it says of it still finds room"
    pid = gateway.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (log, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


TROUBLES: dict[str, Trouble] = {
    "locked": lambda gateway: locked(f"sqlite:///{gateway.database}"),
    "gone": lambda gateway: moved_away(f"sqlite:///{gateway.database}"),
    "full": full,
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_requests_are_refused_soon_and_what_was_under_way_is_charged_afterwards(
    gateway: GatewayProcess, client: httpx.AsyncClient, hostile: Hostile, connect: Connect, trouble: str
) -> None:
    licence = gateway.licence()
    assert (await post(client, licence, ask("plain", licence))).status_code == 200
    under_way = await connect(gateway)
    await under_way.send(request_bytes(licence, ask("pauses-until-told", licence, stream=True)))
    await under_way.until(b'"role"')
    with TROUBLES[trouble](gateway):
        for attempt in tries(PROMISED):
            with attempt.timing():
                refused = await asyncio.gather(
                    *(post(client, licence, ask("plain", licence)) for _ in range(8))
                )
            assert [answer.status_code for answer in refused] == [503] * 8
            assert {answer.json()["error"]["message"] for answer in refused} == {
                "Service temporarily unavailable"
            }
        hostile.go_on(licence.marker)
        # Its charge cannot be written now, so that nobody is told that it has been.
        assert b"[DONE]" not in await under_way.until(b'"error"')
        assert (await client.get("/health")).status_code == 200

    async def served() -> bool:
        return (await post(client, licence, ask("plain", licence))).status_code == 200

    until = time.monotonic() + 25
    while not await served():
        assert time.monotonic() < until, "it serves again by itself"
        await asyncio.sleep(PAUSE)
    books = await asyncio.to_thread(
        eventually, lambda: (books := gateway.books(licence)).open_holds == 0 and books, "every hold ended"
    )
    books.audit()
    # Each that reached the upstream is charged: the first, the stream, and those after the trouble.
    reached = len(hostile.seen(licence.marker))
    assert reached >= 3
    assert len(books.usage) == reached
    assert books.licence["used"] == reached * 114
