"""A body that is handed over piece by piece, without waking a task for each."""

import asyncio

import pytest
from scripted_server import PATIENT, Peer, Server, eventually

from quantized.upstream.call import Patience, UpstreamFailure
from quantized.upstream.pool import Pool

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Dripping:
    """A server that sends a piece whenever it is told to."""

    def __init__(self, server: Server) -> None:
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        server.serve(self._script)

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._pieces.put_nowait(piece)

    async def _script(self, peer: Peer) -> None:
        await peer.answer(HEAD)
        while piece := await self._pieces.get():
            peer.write(piece)
        peer.close()


async def test_each_piece_is_taken_when_it_arrives_and_the_end_is_told(server: Server, pool: Pool) -> None:
    upstream, taken = Dripping(server), list[bytes]()
    response = await pool.send(server.call(), PATIENT)

    def take(data: bytes) -> bool:
        taken.append(data)
        # The next is sent only now, so that no two arrive together.
        upstream.send(chunk(b"%d" % len(taken)) if len(taken) < 5 else b"0\r\n\r\n")
        return True

    upstream.send(chunk(b"0"))
    assert await response.pour(take) is True
    assert b"".join(taken) == b"01234"


async def test_who_wants_no_more_is_woken_and_later_gets_the_rest(server: Server, pool: Pool) -> None:
    upstream, taken = Dripping(server), list[bytes]()
    response = await pool.send(server.call(), PATIENT)

    def take_one(data: bytes) -> bool:
        taken.append(data)
        return False

    upstream.send(chunk(b"first"))
    assert await response.pour(take_one) is False
    assert taken == [b"first"]
    upstream.send(chunk(b"second"), b"0\r\n\r\n")
    assert await response.pour(take_one) is False
    assert await response.pour(take_one) is True
    assert taken == [b"first", b"second"]


async def test_what_taking_raises_reaches_who_waits_and_only_them(server: Server, pool: Pool) -> None:
    upstream = Dripping(server)
    response = await pool.send(server.call(), PATIENT)

    def take(_: bytes) -> bool:
        raise LookupError("a fault of the taker's")

    pouring = asyncio.ensure_future(response.pour(take))
    await asyncio.sleep(0)
    upstream.send(chunk(b"first"))
    with pytest.raises(LookupError):
        await pouring
    upstream.send(chunk(b"second"), b"0\r\n\r\n")
    assert await response.read(100) == b"second"


async def test_a_body_that_breaks_off_fails_after_its_last_piece(server: Server, pool: Pool) -> None:
    upstream, taken = Dripping(server), list[bytes]()
    response = await pool.send(server.call(), PATIENT)
    upstream.send(chunk(b"all there is"), b"")
    with pytest.raises(UpstreamFailure) as failed:
        await response.pour(lambda data: not taken.append(data))  # type: ignore[func-returns-value]
    assert failed.value.phase == "body"
    assert taken == [b"all there is"]


async def test_silence_between_two_pieces_ends_it(server: Server, pool: Pool) -> None:
    upstream = Dripping(server)
    response = await pool.send(server.call(), Patience(connect=20, first_byte=20, idle=0.1, total=40))
    upstream.send(chunk(b"first"))
    with pytest.raises(UpstreamFailure) as failed:
        await response.pour(lambda _: True)
    assert failed.value.timeout


async def test_who_is_cancelled_while_it_pours_closes_the_connection(server: Server, pool: Pool) -> None:
    upstream, taken = Dripping(server), list[bytes]()
    response = await pool.send(server.call(), PATIENT)
    pouring = asyncio.ensure_future(response.pour(lambda data: not taken.append(data)))  # type: ignore[func-returns-value]
    upstream.send(chunk(b"first"))
    await eventually(lambda: bool(taken))
    pouring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pouring
    upstream.send(chunk(b"nobody's"))
    with pytest.raises(UpstreamFailure) as failed:
        await response.next()
    assert failed.value.aborted
    assert taken == [b"first"]


async def test_what_is_let_go_is_dropped_and_its_connection_used_again(server: Server, pool: Pool) -> None:
    upstream = asyncio.Queue[bytes]()

    async def script(peer: Peer) -> None:
        await peer.answer(HEAD)
        while piece := await upstream.get():
            peer.write(piece)
        await peer.answer()
        await peer.gone()

    server.serve(script)
    response = await pool.send(server.call(), PATIENT)
    upstream.put_nowait(chunk(b"wanted"))
    assert await response.next() == b"wanted"
    response.let_go(5)
    response.let_go(5)
    for piece in (chunk(b"x" * 1_000_000), chunk(b"unwanted") + b"0\r\n\r\n", b""):
        upstream.put_nowait(piece)

    # What came with the end may still be there.
    assert len(await response.read(300_000)) < 300_000
    answer = await pool.send(server.call(), PATIENT)
    assert await answer.read(100) == b"hello"
    assert server.accepted == 1


async def test_what_is_let_go_is_not_waited_for_long(server: Server, pool: Pool) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(HEAD + chunk(b"wanted"))
        await peer.gone()
        gone.set()

    server.serve(script)
    response = await pool.send(server.call(), PATIENT)
    assert await response.next() == b"wanted"
    response.let_go(0.05)
    async with asyncio.timeout(50):
        await gone.wait()
