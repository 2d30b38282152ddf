"""Backpressure both ways, large requests, early answers."""

import asyncio

import pytest
from scripted_server import HELLO, PATIENT, Peer, Server, answering, eventually

from quantized.upstream.call import UpstreamFailure
from quantized.upstream.pool import Pool

MEGABYTE = 1_000_000
LARGE = bytes(12 * MEGABYTE)


async def test_nobody_reads_and_the_sender_blocks(server: Server) -> None:
    """What lies between the sender and the reader is bounded, and all of it arrives in the end."""
    size = 32 * MEGABYTE
    sent = 0

    async def fast(peer: Peer) -> None:
        nonlocal sent
        await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        piece = b"x" * 100_000
        while sent < size:
            peer.write(piece)
            await peer.writer.drain()
            sent += len(piece)
        await peer.gone()

    async def stalled() -> bool:
        before = sent
        await asyncio.sleep(0.05)
        return sent == before

    server.serve(fast)
    pool = Pool(buffer_bytes=100_000)
    response = await pool.send(server.call(), PATIENT)
    await eventually(lambda: sent > 0)
    async with asyncio.timeout(50):
        while not await stalled():
            pass
    assert sent < size  # the kernel's buffers hold some megabytes, never all
    piece = await response.next()
    assert len(piece) <= 100_000 + 256 * 1024
    received = len(piece)
    while piece := await response.next():
        assert len(piece) <= 100_000 + 256 * 1024
        received += len(piece)
    assert received == size
    await pool.close()


async def test_a_connection_is_usable_after_reading_was_paused(server: Server) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n" + b"x" * 3 * MEGABYTE)

    server.serve(script)
    pool = Pool(buffer_bytes=1000)
    for _ in range(3):
        response = await pool.send(server.call(), PATIENT)
        assert len(await response.read(4 * MEGABYTE)) == 3 * MEGABYTE
    assert server.accepted == 1
    await pool.close()


async def test_a_large_request_to_a_slow_server_arrives_whole(server: Server, pool: Pool) -> None:
    body = bytes(range(256)) * 40_000
    received = bytearray()

    async def slow(peer: Peer) -> None:
        size = int((await peer.head()).header("content-length") or 0)
        while len(received) < size:
            received.extend(await peer.reader.read(50_000))
            await asyncio.sleep(0)
        peer.write(HELLO)
        await peer.gone()

    server.serve(slow)
    response = await pool.send(server.call(body), PATIENT)
    assert await response.read(100) == b"hello"
    assert received == body


REFUSAL = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 9\r\n\r\ntoo large"


@pytest.mark.parametrize("ending", ["close", "reset", "stay"])
async def test_an_early_refusal_is_delivered(server: Server, pool: Pool, ending: str) -> None:
    """The server answers and closes without reading the body, which resets the connection under our pen."""

    async def refusing(peer: Peer) -> None:
        await peer.head()
        peer.writer.transport.pause_reading()
        peer.write(REFUSAL)
        match ending:
            case "close":
                peer.close()
            case "stay":
                await asyncio.Event().wait()

    server.serve(refusing)
    for _ in range(5):
        response = await pool.send(server.call(LARGE), PATIENT)
        assert response.status == 413
        assert await response.read(100) == b"too large"
    assert server.accepted == 5


async def test_an_early_refusal_that_goes_on(server: Server, pool: Pool) -> None:
    """No more is sent, and the rest of the refusal is read."""
    go_on = asyncio.Event()

    async def refusing(peer: Peer) -> None:
        await peer.head()
        peer.writer.transport.pause_reading()
        peer.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 9\r\n\r\ntoo")
        await go_on.wait()
        peer.write(b" large")
        await asyncio.Event().wait()

    server.serve(refusing)
    response = await pool.send(server.call(LARGE), PATIENT)
    assert response.status == 413
    go_on.set()
    assert await response.read(100) == b"too large"
    second = asyncio.ensure_future(pool.send(server.call(), PATIENT))
    await eventually(lambda: server.accepted == 2)
    second.cancel()


async def test_an_early_acceptance_does_not_cut_the_request(server: Server, pool: Pool) -> None:
    size = len(LARGE)
    received = 0

    async def accepting(peer: Peer) -> None:
        nonlocal received
        await peer.head()
        peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel")
        while received < size:
            received += len(await peer.reader.read(MEGABYTE))
        peer.write(b"lo")
        await peer.answer()

    server.serve(accepting)
    response = await pool.send(server.call(LARGE), PATIENT)
    assert await response.read(100) == b"hello"
    assert received == size
    await (await pool.send(server.call(), PATIENT)).read(100)
    assert server.accepted == 1


async def test_a_server_that_closes_while_we_send(server: Server, pool: Pool) -> None:
    async def closing(peer: Peer) -> None:
        await peer.head()

    server.serve(closing)
    with pytest.raises(UpstreamFailure) as failure:
        await pool.send(server.call(LARGE), PATIENT)
    assert failure.value.phase in ("send", "first_byte")
    assert not failure.value.timeout
    assert server.accepted == 1


async def test_large_requests_at_once(server: Server, pool: Pool) -> None:
    server.serve(answering)
    calls = [server.call(b"x" * MEGABYTE) for _ in range(10)]
    for response in await asyncio.gather(*(pool.send(call, PATIENT) for call in calls)):
        assert await response.read(100) == b"hello"
