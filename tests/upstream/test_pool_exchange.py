"""The way of a request and its response over real sockets."""

import asyncio

import pytest
from scripted_server import HELLO, PATIENT, Peer, Server, after, answering, eventually, holding

from quantized.upstream.call import UpstreamFailure
from quantized.upstream.pool import Pool


async def test_what_arrives_is_what_was_called(server: Server, pool: Pool) -> None:
    seen = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        seen.set_result(await peer.answer())
        await peer.gone()

    server.serve(script)
    call = server.call(b'{"a":1}', ("authorization", "Bearer k"), ("content-type", "application/json"))
    response = await pool.send(call, PATIENT)
    assert await response.read(100) == b"hello"
    request = await seen
    assert request.line == "POST /v1/chat HTTP/1.1"
    assert dict(request.headers) == {
        "host": f"127.0.0.1:{server.port}",
        "authorization": "Bearer k",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "content-length": "7",
    }
    assert request.body == b'{"a":1}'


async def test_status_and_headers(server: Server, pool: Pool) -> None:
    server.serve(
        holding(b"HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nX-A: 1\r\nx-a: 2\r\ncontent-length:0\r\n\r\n")
    )
    response = await pool.send(server.call(), PATIENT)
    assert response.status == 429
    assert response.headers == {"retry-after": "7", "x-a": "1, 2", "content-length": "0"}
    assert await response.next() == b""
    assert await response.next() == b""


async def test_a_connection_is_used_again(server: Server, pool: Pool) -> None:
    server.serve(answering)
    for _ in range(5):
        response = await pool.send(server.call(), PATIENT)
        assert await response.read(100) == b"hello"
    assert server.accepted == 1


async def test_a_connection_is_free_once_the_response_has_arrived_even_unread(
    server: Server, pool: Pool
) -> None:
    server.serve(answering)
    first = await pool.send(server.call(), PATIENT)
    second = await pool.send(server.call(), PATIENT)
    assert await second.read(100) == b"hello"
    assert await first.read(100) == b"hello"
    assert server.accepted == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello", id="asked to close"
        ),
        pytest.param(b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", id="HTTP/1.0"),
        pytest.param(HELLO + b"H", id="surplus byte"),
        pytest.param(HELLO + HELLO, id="surplus response"),
        pytest.param(HELLO + b"garbage\r\n\r\n", id="surplus garbage"),
    ],
)
async def test_a_connection_is_not_used_again(server: Server, pool: Pool, answer: bytes) -> None:
    server.serve(holding(answer))
    for _ in range(2):
        response = await pool.send(server.call(), PATIENT)
        assert await response.read(100) == b"hello"
    assert server.accepted == 2


async def test_bytes_on_an_idle_connection_close_it(server: Server, pool: Pool) -> None:
    more = asyncio.Event()
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer()
        await more.wait()
        peer.write(HELLO)
        await peer.gone()
        closed.set()

    server.serve(script, answering)
    await (await pool.send(server.call(), PATIENT)).read(100)
    more.set()
    async with asyncio.timeout(50):
        await closed.wait()
    assert await (await pool.send(server.call(), PATIENT)).read(100) == b"hello"
    assert server.accepted == 2


async def test_an_idle_connection_that_the_server_closed_is_forgotten(server: Server, pool: Pool) -> None:
    server.serve(after(HELLO), answering)
    for _ in range(2):
        response = await pool.send(server.call(), PATIENT)
        assert await response.read(100) == b"hello"
        await eventually(lambda: server.accepted > 0)
    assert server.accepted == 2


async def test_many_at_once_each_get_their_own(server: Server, pool: Pool) -> None:
    async def echo(peer: Peer) -> None:
        while True:
            request = await peer.request()
            peer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for byte in request.body:
                peer.write(b"1\r\n%c\r\n" % byte)
                await asyncio.sleep(0)
            peer.write(b"0\r\n\r\n")

    async def ask(text: bytes) -> bytes:
        response = await pool.send(server.call(text), PATIENT)
        return await response.read(100)

    server.serve(echo)
    texts = [b"text %d" % number for number in range(100)]
    assert await asyncio.gather(*map(ask, texts)) == texts
    assert await asyncio.gather(*map(ask, texts)) == texts
    assert server.accepted == 100


async def test_no_more_idle_connections_than_wanted_are_kept(server: Server) -> None:
    gone = 0

    async def script(peer: Peer) -> None:
        nonlocal gone
        await peer.answer()
        await peer.gone()
        gone += 1

    server.serve(script)
    pool = Pool(max_idle_per_origin=2)
    for response in await asyncio.gather(*(pool.send(server.call(), PATIENT) for _ in range(5))):
        await response.read(100)
    await eventually(lambda: gone == 3)
    await pool.close()
    await eventually(lambda: gone == 5)


async def test_idle_connections_are_closed_after_a_while(server: Server) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.gone()
        closed.set()

    server.serve(script)
    pool = Pool(idle_seconds=0.05)
    await (await pool.send(server.call(), PATIENT)).read(100)
    async with asyncio.timeout(50):
        await closed.wait()
    await pool.close()


async def test_interim_responses_are_skipped(server: Server, pool: Pool) -> None:
    server.serve(
        holding(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\nx-a: 1\r\n\r\n" + HELLO
        )
    )
    response = await pool.send(server.call(), PATIENT)
    assert response.status == 200
    assert response.headers == {"content-length": "5"}
    assert await response.read(100) == b"hello"


async def test_a_body_that_ends_with_the_connection(server: Server, pool: Pool) -> None:
    server.serve(after(b"HTTP/1.1 200 OK\r\n\r\nall of it"))
    response = await pool.send(server.call(), PATIENT)
    assert await response.read(100) == b"all of it"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", id="length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhello", id="inside a chunk"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", id="between chunks"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            id="before the last line",
        ),
    ],
)
async def test_a_truncated_body_is_delivered_and_then_fails(
    server: Server, pool: Pool, answer: bytes
) -> None:
    server.serve(after(answer))
    response = await pool.send(server.call(), PATIENT)
    assert await response.next() == b"hello"
    for _ in range(2):
        with pytest.raises(UpstreamFailure, match="before the end of the body") as failure:
            await response.next()
        assert (failure.value.phase, failure.value.timeout, failure.value.aborted) == ("body", False, False)


async def test_a_reset_within_the_body(server: Server, pool: Pool) -> None:
    read = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await read.wait()
        peer.reset()

    server.serve(script)
    response = await pool.send(server.call(), PATIENT)
    assert await response.next() == b"hello"
    read.set()
    with pytest.raises(UpstreamFailure, match="lost") as failure:
        await response.next()
    assert failure.value.phase == "body"


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not a proper HTTP response"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            "switched protocols",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 17 + HELLO, "more than 16 interim"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello",
            "compressed response (gzip)",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "not a proper HTTP",
        ),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, "longer than 65536 bytes"),
    ],
    ids=["no HTTP", "101", "1xx without end", "compressed", "two framings", "endless head"],
)
async def test_no_acceptable_head(server: Server, pool: Pool, answer: bytes, cause: str) -> None:
    server.serve(holding(answer))
    with pytest.raises(UpstreamFailure) as failure:
        await pool.send(server.call(), PATIENT)
    assert failure.value.phase == "first_byte"
    assert cause in failure.value.cause
    assert not failure.value.timeout


async def test_a_coding_that_was_asked_for_is_passed_on(server: Server, pool: Pool) -> None:
    server.serve(holding(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello"))
    response = await pool.send(server.call(b"", ("accept-encoding", "gzip")), PATIENT)
    assert response.headers["content-encoding"] == "gzip"
    assert await response.read(100) == b"hello"


async def test_a_body_beyond_the_limit(server: Server, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world")

    server.serve(script)
    response = await pool.send(server.call(), PATIENT)
    with pytest.raises(UpstreamFailure, match="longer than 10 bytes") as failure:
        await response.read(10)
    assert failure.value.phase == "body"
    response = await pool.send(server.call(), PATIENT)
    assert await response.read(11) == b"hello world"


async def test_next_gives_all_that_has_arrived(server: Server, pool: Pool) -> None:
    server.serve(
        holding(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"2\r\nab\r\n" * 50 + b"0\r\n\r\n")
    )
    response = await pool.send(server.call(), PATIENT)
    assert await response.next() == b"ab" * 50
    assert await response.next() == b""


async def test_a_get_has_no_body_and_no_length(server: Server, pool: Pool) -> None:
    seen = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        seen.set_result(await peer.answer())
        await peer.gone()

    server.serve(script)
    await (await pool.send(server.call(b"", method="GET"), PATIENT)).read(100)
    request = await seen
    assert request.line == "GET /v1/chat HTTP/1.1"
    assert request.header("content-length") is None


async def test_a_host_that_refuses(server: Server, pool: Pool) -> None:
    server.serve(answering)
    await server.close()
    with pytest.raises(UpstreamFailure) as failure:
        await pool.send(server.call(), PATIENT)
    assert (failure.value.phase, failure.value.timeout) == ("connect", False)


async def test_over_ipv6(pool: Pool) -> None:
    seen = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.answer())

    async with Server(host="::1") as server:
        server.serve(script)
        assert await (await pool.send(server.call(), PATIENT)).read(100) == b"hello"
        assert seen[0].header("host") == f"[::1]:{server.port}"


async def test_a_closed_pool_sends_nothing(server: Server) -> None:
    server.serve(answering)
    pool = Pool()
    await pool.close()
    await pool.close()
    with pytest.raises(UpstreamFailure) as failure:
        await pool.send(server.call(), PATIENT)
    assert failure.value.aborted
    assert server.accepted == 0


async def test_closing_the_pool_aborts_what_is_under_way(server: Server, pool: Pool) -> None:
    server.serve(holding(b"HTTP/1.1 200 OK\r\n\r\nhello"), holding(b""))
    response = await pool.send(server.call(), PATIENT)
    assert await response.next() == b"hello"
    body = asyncio.ensure_future(response.next())
    head = asyncio.ensure_future(pool.send(server.call(), PATIENT))
    await eventually(lambda: server.accepted == 2)
    await pool.close()
    for pending in (body, head):
        with pytest.raises(UpstreamFailure) as failure:
            await pending
        assert failure.value.aborted
