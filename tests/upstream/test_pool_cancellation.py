"""Leaving at every stage: the server notices, nothing is left behind, the pool goes on."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from scripted_server import HELLO, PATIENT, Peer, Server, eventually

from quantized.upstream.call import UpstreamFailure
from quantized.upstream.pool import Pool

STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"


class Watched:
    """A server's script that says when a request has come and when the client has gone."""

    def __init__(self, answer: bytes) -> None:
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()
        self._answer = answer

    async def __call__(self, peer: Peer) -> None:
        await peer.answer(self._answer)
        self.asked.set()
        await peer.gone()
        self.gone.set()

    async def was_left(self) -> None:
        async with asyncio.timeout(50):
            await self.gone.wait()


async def cancelled(task: asyncio.Future[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_while_waiting_for_the_head(server: Server, pool: Pool) -> None:
    script = Watched(b"")
    server.serve(script)
    task = asyncio.ensure_future(pool.send(server.call(), PATIENT))
    await script.asked.wait()
    await cancelled(task)
    await script.was_left()


async def test_while_waiting_for_body(server: Server, pool: Pool) -> None:
    script = Watched(STREAM)
    server.serve(script)
    response = await pool.send(server.call(), PATIENT)
    assert await response.next() == b"hello"
    task = asyncio.ensure_future(response.next())
    await asyncio.sleep(0)
    await cancelled(task)
    await script.was_left()
    with pytest.raises(UpstreamFailure) as failure:
        await response.next()
    assert failure.value.aborted


async def test_while_sending(server: Server, pool: Pool) -> None:
    reading = asyncio.Event()
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        reading.set()
        await peer.gone()
        gone.set()

    server.serve(script)
    task = asyncio.ensure_future(pool.send(server.call(bytes(20_000_000)), PATIENT))
    await reading.wait()
    await cancelled(task)
    async with asyncio.timeout(50):
        await gone.wait()


@pytest.mark.parametrize("turns", range(10))
async def test_after_any_number_of_turns(server: Server, pool: Pool, turns: int) -> None:
    """Before, while and after the connection is made, the request sent, the head and the body received."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.answer()

    async def whole() -> bytes:
        response = await pool.send(server.call(), PATIENT)
        return await response.read(100)

    server.serve(script)
    task = asyncio.ensure_future(whole())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        assert await task == b"hello"
    assert await whole() == b"hello"


async def test_a_response_and_a_cancellation_in_the_same_turn(server: Server, pool: Pool) -> None:
    script = Watched(b"")
    server.serve(script)
    task = asyncio.ensure_future(pool.send(server.call(), PATIENT))
    await script.asked.wait()
    # The connection is the only one that could wake the task: it does, and the cancellation comes on top.
    (connection,) = pool._connections
    connection.data_received(STREAM)
    await cancelled(task)
    await script.was_left()


async def test_abort_closes_at_once_and_wakes_the_reader(server: Server, pool: Pool) -> None:
    script = Watched(STREAM)
    server.serve(script)
    response = await pool.send(server.call(), PATIENT)
    assert await response.next() == b"hello"
    task = asyncio.ensure_future(response.next())
    await asyncio.sleep(0)
    response.abort()
    response.abort()
    with pytest.raises(UpstreamFailure) as failure:
        await task
    assert (failure.value.aborted, failure.value.timeout, failure.value.phase) == (True, False, "body")
    await script.was_left()


async def test_abort_drops_what_was_not_read(server: Server, pool: Pool) -> None:
    script = Watched(STREAM)
    server.serve(script)
    response = await pool.send(server.call(), PATIENT)
    response.abort()
    with pytest.raises(UpstreamFailure) as failure:
        await response.next()
    assert failure.value.aborted
    await script.was_left()


async def test_abort_after_the_end_disturbs_nobody(server: Server, pool: Pool) -> None:
    """The connection already belongs to the next exchange."""
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.request()
        await go_on.wait()
        peer.write(HELLO)
        await peer.gone()

    server.serve(script)
    first = await pool.send(server.call(), PATIENT)
    second = asyncio.ensure_future(pool.send(server.call(), PATIENT))
    await asyncio.sleep(0.01)
    first.abort()
    go_on.set()
    assert await (await second).read(100) == b"hello"
    assert server.accepted == 1


async def test_two_readers_at_once_are_refused(server: Server, pool: Pool) -> None:
    server.serve(Watched(STREAM))
    response = await pool.send(server.call(), PATIENT)
    assert await response.next() == b"hello"
    task = asyncio.ensure_future(response.next())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="somebody else"):
        await response.next()
    await cancelled(task)


@pytest.mark.parametrize(
    "leave", [lambda task, response: task.cancel(), lambda task, response: response.abort()]
)
async def test_leaving_while_reading_is_paused(server: Server, leave: Callable[..., object]) -> None:
    gone = asyncio.Event()

    async def fast(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                peer.write(b"x" * 100_000)
                await peer.writer.drain()
        except ConnectionError:
            gone.set()

    async def read_once() -> None:
        await response.next()
        await asyncio.Event().wait()

    server.serve(fast)
    pool = Pool(buffer_bytes=1000)
    response = await pool.send(server.call(), PATIENT)
    task = asyncio.ensure_future(read_once())
    await asyncio.sleep(0.05)
    leave(task, response)
    response.abort()
    task.cancel()
    async with asyncio.timeout(50):
        await gone.wait()
    await pool.close()


async def test_no_timer_remains_when_no_connection_does(server: Server, pool: Pool) -> None:
    server.serve(Watched(STREAM))
    response = await pool.send(server.call(), PATIENT)
    assert pool._sweeper.wakes_at < float("inf")
    response.abort()
    await eventually(lambda: pool._sweeper.wakes_at == float("inf"))
