"""Each timeout by itself: it says which it was, and comes when it was told to."""

import asyncio
import socket
from collections.abc import AsyncIterator
from math import inf

import pytest
import pytest_asyncio
from msgspec.structs import replace
from scripted_server import PATIENT, Peer, Server, eventually, holding

from quantized.providers.provider import UpstreamCall
from quantized.upstream.call import UpstreamFailure
from quantized.upstream.deadlines import Sweeper
from quantized.upstream.pool import Pool

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest_asyncio.fixture
async def deaf_port() -> AsyncIterator[int]:
    """A port whose queue of connections is full, so that one more is neither taken nor refused."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        yield address[1]
        for filler in fillers:
            filler.close()


def took(failure: UpstreamFailure, start: float, seconds: float) -> None:
    """Fails where a timeout of `seconds` came early, or so late that another must have been it: the other
    timeouts are longer by far than a busy machine is slow."""
    elapsed = asyncio.get_running_loop().time() - start
    assert failure.timeout
    assert seconds - 0.01 <= elapsed <= seconds + 15


async def test_connect(pool: Pool, deaf_port: int) -> None:
    start = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamFailure) as failure:
        await pool.send(
            UpstreamCall(f"http://127.0.0.1:{deaf_port}/", (), b""), replace(PATIENT, connect=0.15)
        )
    assert failure.value.phase == "connect"
    took(failure.value, start, 0.15)


async def test_total_while_connecting(pool: Pool, deaf_port: int) -> None:
    start = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamFailure) as failure:
        await pool.send(UpstreamCall(f"http://127.0.0.1:{deaf_port}/", (), b""), replace(PATIENT, total=0.15))
    assert failure.value.phase == "connect"
    took(failure.value, start, 0.15)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nx: y", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_first_byte(server: Server, pool: Pool, answer: bytes) -> None:
    server.serve(holding(answer))
    start = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamFailure) as failure:
        await pool.send(server.call(), replace(PATIENT, first_byte=0.15))
    assert failure.value.phase == "first_byte"
    took(failure.value, start, 0.15)


async def test_idle(server: Server, pool: Pool) -> None:
    server.serve(holding(CHUNKED + b"5\r\nhello\r\n"))
    start = asyncio.get_running_loop().time()
    response = await pool.send(server.call(), replace(PATIENT, idle=0.15))
    assert await response.next() == b"hello"
    with pytest.raises(UpstreamFailure) as failure:
        await response.next()
    assert failure.value.phase == "body"
    assert "0.15 s" in failure.value.cause
    took(failure.value, start, 0.15)


async def test_what_arrived_before_the_timeout_is_delivered_first(server: Server, pool: Pool) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + b"5\r\nhello\r\n")
        await peer.gone()
        gone.set()

    server.serve(script)
    response = await pool.send(server.call(), replace(PATIENT, idle=0.05))
    async with asyncio.timeout(50):
        await gone.wait()
    assert await response.next() == b"hello"
    with pytest.raises(UpstreamFailure) as failure:
        await response.next()
    assert failure.value.timeout


async def drip(peer: Peer) -> None:
    """One byte of body every 20 ms."""
    await peer.answer(CHUNKED)
    while True:
        peer.write(b"1\r\nx\r\n")
        await peer.writer.drain()
        await asyncio.sleep(0.02)


async def test_a_drip_is_not_idle_but_ends_with_the_total(server: Server, pool: Pool) -> None:
    server.serve(drip)
    for _ in range(5):
        start = asyncio.get_running_loop().time()
        response = await pool.send(server.call(), replace(PATIENT, idle=0.6, total=1.3))
        received = 0
        with pytest.raises(UpstreamFailure) as failure:
            while True:
                received += len(await response.next())
        if "0.6 s" not in failure.value.cause:
            break  # else the machine may have stood still for as long
    assert failure.value.phase == "body"
    assert "1.3 s" in failure.value.cause
    assert received > 0, "else it would have been idle"
    took(failure.value, start, 1.3)


async def test_total_before_the_head(server: Server, pool: Pool) -> None:
    server.serve(holding(b""))
    start = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamFailure) as failure:
        await pool.send(server.call(), replace(PATIENT, total=0.15))
    assert failure.value.phase == "first_byte"
    took(failure.value, start, 0.15)


async def test_a_server_that_does_not_read(server: Server, pool: Pool) -> None:
    async def deaf(peer: Peer) -> None:
        peer.writer.transport.pause_reading()
        await asyncio.Event().wait()

    server.serve(deaf)
    with pytest.raises(UpstreamFailure) as failure:
        await pool.send(server.call(b"x" * 16_000_000), replace(PATIENT, idle=0.15))
    assert (failure.value.phase, failure.value.timeout) == ("send", True)


async def test_a_reader_who_takes_his_time_is_not_an_idle_server(server: Server) -> None:
    """While reading is paused the server may be as silent as it likes: it cannot speak."""
    pool = Pool(buffer_bytes=10)
    server.serve(holding(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n" + b"x" * 19), drip)
    response = await pool.send(server.call(), replace(PATIENT, idle=0.1))
    other = await pool.send(server.call(), PATIENT)
    for _ in range(10):
        assert await other.next()
        await asyncio.sleep(0.02)
    assert await response.next() == b"x" * 19
    with pytest.raises(UpstreamFailure) as failure:
        await response.next()
    assert failure.value.timeout
    await pool.close()


async def test_many_timeouts_at_once(server: Server, pool: Pool) -> None:
    server.serve(holding(b""))
    start = asyncio.get_running_loop().time()
    patiences = [replace(PATIENT, first_byte=0.2 + number * 0.002) for number in range(50)]
    results = await asyncio.gather(
        *(pool.send(server.call(), patience) for patience in patiences), return_exceptions=True
    )
    for result in results:
        assert isinstance(result, UpstreamFailure)
        assert result.timeout
    assert asyncio.get_running_loop().time() - start < 15


async def test_a_timed_out_connection_is_closed(server: Server, pool: Pool) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.gone()
        gone.set()

    server.serve(script)
    with pytest.raises(UpstreamFailure):
        await pool.send(server.call(), replace(PATIENT, first_byte=0.05))
    async with asyncio.timeout(50):
        await gone.wait()


class Member:
    """Counts its expiries."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.expired_at: float | None = None

    def expire(self) -> None:
        self.deadline = inf
        self.expired_at = asyncio.get_running_loop().time()


async def test_the_sweeper_meets_each_deadline() -> None:
    start = asyncio.get_running_loop().time()
    members = [Member(start + 0.01 * number) for number in range(1, 30)]
    wanted = [member.deadline for member in members]
    sweeper = Sweeper(members)
    for deadline in reversed(wanted):
        sweeper.wake_by(deadline)
    await eventually(lambda: all(member.expired_at is not None for member in members))
    for member, deadline in zip(members, wanted, strict=True):
        assert member.expired_at is not None
        assert deadline - 0.002 <= member.expired_at <= deadline + 15


async def test_the_sweeper_sleeps_when_there_is_nothing_to_watch() -> None:
    member = Member(asyncio.get_running_loop().time() + 0.01)
    sweeper = Sweeper([member])
    sweeper.wake_by(member.deadline)
    await eventually(lambda: member.expired_at is not None)
    assert sweeper.wakes_at == inf


async def test_a_deadline_that_has_moved_is_met_where_it_is_now() -> None:
    start = asyncio.get_running_loop().time()
    member = Member(start + 0.01)
    sweeper = Sweeper([member])
    sweeper.wake_by(member.deadline)
    member.deadline = start + 0.15
    await eventually(lambda: member.expired_at is not None)
    assert member.expired_at is not None
    assert member.expired_at >= start + 0.148
