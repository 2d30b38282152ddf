import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio
import uvloop
from scripted_server import Server, eventually, leaked_since, open_sockets

from quantized.upstream.pool import Pool


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each test of this room runs on the loop of the standard library and on the one that serves."""
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as running:
        yield running


@pytest_asyncio.fixture
async def pool(server: Server) -> AsyncIterator[Pool]:
    """A pool that, once closed, must have left no socket open."""
    before = open_sockets()
    pool = Pool()
    yield pool
    await pool.close()
    await server.close()
    # Both ends live in this process, and the server's close a turn or two of the loop later.
    await eventually(lambda: not leaked_since(before))
