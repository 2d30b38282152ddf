"""A request that is lost on a connection that was used before, and when it is sent again."""

import asyncio

import pytest
from scripted_server import HELLO, PATIENT, Peer, Server, answering, eventually, holding

from quantized.upstream.call import Patience, UpstreamFailure
from quantized.upstream.pool import Pool


async def lost_on_the_second(peer: Peer) -> None:
    """Answers once, reads one more request and closes without a word."""
    await peer.answer()
    await peer.request()


async def reset_on_the_second(peer: Peer) -> None:
    await peer.answer()
    await peer.request()
    peer.reset()


@pytest.mark.parametrize("losing", [lost_on_the_second, reset_on_the_second])
@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_lost_on_a_used_connection_it_is_sent_once_more(
    server: Server, pool: Pool, losing: object, size: int
) -> None:
    seen = []

    async def second(peer: Peer) -> None:
        seen.append(await peer.answer())
        await peer.gone()

    server.serve(losing, second)
    await (await pool.send(server.call(), PATIENT)).read(100)
    sent: list[bool] = []
    response = await pool.send(server.call(b"x" * size), PATIENT, sent.append)
    assert await response.read(100) == b"hello"
    assert sent[-2:] == [False, True]
    assert server.accepted == 2
    assert len(seen[0].body) == size


async def test_lost_on_a_used_connection_and_on_a_fresh_one_it_fails(server: Server, pool: Pool) -> None:
    async def mute(peer: Peer) -> None:
        await peer.request()

    server.serve(lost_on_the_second, mute)
    await (await pool.send(server.call(), PATIENT)).read(100)
    with pytest.raises(UpstreamFailure) as failure:
        await pool.send(server.call(), PATIENT)
    assert (failure.value.phase, failure.value.timeout) == ("first_byte", False)
    assert server.accepted == 2


async def test_other_idle_connections_are_not_tried(server: Server, pool: Pool) -> None:
    server.serve(lost_on_the_second, lost_on_the_second, answering)
    for response in await asyncio.gather(*(pool.send(server.call(), PATIENT) for _ in range(2))):
        await response.read(100)
    assert await (await pool.send(server.call(), PATIENT)).read(100) == b"hello"
    assert server.accepted == 3


async def test_lost_on_a_fresh_connection_it_is_not_sent_again(server: Server, pool: Pool) -> None:
    async def mute(peer: Peer) -> None:
        await peer.request()

    server.serve(mute, answering)
    with pytest.raises(UpstreamFailure, match="without a response"):
        await pool.send(server.call(), PATIENT)
    assert server.accepted == 1


async def test_after_a_byte_of_response_it_is_not_sent_again(server: Server, pool: Pool) -> None:
    async def losing(peer: Peer) -> None:
        await peer.answer()
        await peer.answer(b"H")

    server.serve(losing, answering)
    await (await pool.send(server.call(), PATIENT)).read(100)
    with pytest.raises(UpstreamFailure, match="before the end of the response's head"):
        await pool.send(server.call(), PATIENT)
    assert server.accepted == 1


async def test_out_of_time_it_is_not_sent_again(server: Server, pool: Pool) -> None:
    async def mute(peer: Peer) -> None:
        await peer.answer()
        await peer.gone()

    server.serve(mute, answering)
    await (await pool.send(server.call(), PATIENT)).read(100)
    with pytest.raises(UpstreamFailure) as failure:
        await pool.send(server.call(), Patience(connect=20, first_byte=0.05, idle=20, total=40))
    assert failure.value.timeout
    assert server.accepted == 1


async def test_the_server_restarts_under_load(server: Server, pool: Pool) -> None:
    """Every connection serves two requests and is closed at the third; nobody notices."""

    async def twice(peer: Peer) -> None:
        await peer.answer()
        await peer.answer()
        await peer.request()

    server.serve(*[twice] * 8, answering)
    for _ in range(4):
        responses = await asyncio.gather(*(pool.send(server.call(), PATIENT) for _ in range(8)))
        assert [await response.read(100) for response in responses] == [b"hello"] * 8
    assert server.accepted == 16


async def test_a_response_is_not_taken_from_an_earlier_request(server: Server, pool: Pool) -> None:
    """What an aborted exchange still gets never reaches the next one."""
    late = asyncio.Event()

    async def slow(peer: Peer) -> None:
        await peer.request()
        await late.wait()
        peer.write(HELLO)
        await peer.gone()

    server.serve(slow, holding(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother"))
    task = asyncio.ensure_future(pool.send(server.call(), PATIENT))
    await eventually(lambda: server.accepted == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    late.set()
    assert await (await pool.send(server.call(), PATIENT)).read(100) == b"other"
