"""Names of images are resolved apart from all others, and only so many at once."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest

from quantized.core.errors import Unavailable
from quantized.upstream.resolver import Resolver


class Servers:
    """A name server that answers nothing before it may; names that begin with `no` do not exist."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = threading.Semaphore(0)
        self.count = 0

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.count += 1
        self.asked.release()
        assert self.go.wait(50)
        if host.startswith("no"):
            raise OSError(-2, "Name or service not known")
        return ["192.0.2.1"]

    async def begun(self, lookups: int) -> None:
        for _ in range(lookups):
            assert await asyncio.to_thread(self.asked.acquire, timeout=50)


@pytest.fixture
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.go.set()


async def test_the_system_resolves() -> None:
    assert "127.0.0.1" in await Resolver()("localhost", 80)


async def test_answers_and_refusals(servers: Servers) -> None:
    servers.go.set()
    resolve = Resolver(servers)
    assert await resolve("a.example", 80) == ["192.0.2.1"]
    with pytest.raises(OSError, match="not known"):
        await resolve("no.example", 80)


async def test_the_loops_own_lookups_do_not_wait_for_them(servers: Servers) -> None:
    """Of which the event loop has a handful of threads."""
    resolve = Resolver(servers, at_once=40)
    many = [asyncio.ensure_future(resolve(f"{n}.example", 80)) for n in range(40)]
    await servers.begun(40)
    async with asyncio.timeout(50):
        assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    servers.go.set()
    assert await asyncio.gather(*many) == [["192.0.2.1"]] * 40


async def test_a_lookup_that_is_given_up_keeps_its_thread(servers: Servers) -> None:
    resolve = Resolver(servers, at_once=1, seconds=0.1)
    given_up = asyncio.ensure_future(resolve("a.example", 80))
    await servers.begun(1)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    with pytest.raises(Unavailable):
        await resolve("b.example", 80)
    assert servers.count == 1
    servers.go.set()
    found: Sequence[str] = []
    while not found:
        with suppress(Unavailable):  # the thread may not have heard of it yet
            found = await resolve("c.example", 80)
    assert found == ["192.0.2.1"]
    assert servers.count == 2


async def test_only_so_many_wait(servers: Servers) -> None:
    resolve = Resolver(servers, at_once=1, waiting=1)
    first = asyncio.ensure_future(resolve("a.example", 80))
    await servers.begun(1)
    second = asyncio.ensure_future(resolve("b.example", 80))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await resolve("c.example", 80)
    servers.go.set()
    assert await asyncio.gather(first, second) == [["192.0.2.1"]] * 2
