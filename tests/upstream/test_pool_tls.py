"""The same over TLS, and whom we refuse to talk to."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import trustme
from msgspec.structs import replace
from scripted_server import HELLO, PATIENT, Peer, Server, answering, eventually, leaked_since, open_sockets

from quantized.upstream.call import UpstreamFailure
from quantized.upstream.pool import Pool
from quantized.upstream.tls import default_context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest_asyncio.fixture
async def server(authority: trustme.CA) -> AsyncIterator[Server]:
    async with Server(tls=serving(authority, "127.0.0.1", "localhost")) as running:
        yield running


@pytest_asyncio.fixture
async def pool(server: Server, authority: trustme.CA) -> AsyncIterator[Pool]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    authority.configure_trust(context)
    before = open_sockets()
    pool = Pool(ssl_context=context)
    yield pool
    await pool.close()
    await server.close()
    await eventually(lambda: not leaked_since(before))


async def test_a_connection_is_used_again(server: Server, pool: Pool) -> None:
    server.serve(answering)
    for size in (2, 3_000_000, 2):
        response = await pool.send(server.call(b"x" * size), PATIENT)
        assert await response.read(100) == b"hello"
    assert server.accepted == 1


async def test_the_name_is_told_and_the_protocol_agreed(
    server: Server, pool: Pool, authority: trustme.CA
) -> None:
    told: list[str | None] = []
    agreed: list[str | None] = []
    context = serving(authority, "localhost")
    context.sni_callback = lambda _, name, __: told.append(name)

    async def script(peer: Peer) -> None:
        agreed.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await peer.answer()

    async with Server(tls=context) as named:
        named.serve(script)
        url = named.url.replace("127.0.0.1", "localhost")
        assert await (await pool.send(named.call(url=url), PATIENT)).read(100) == b"hello"
    assert told == ["localhost"]
    assert agreed == ["http/1.1"]


async def test_a_certificate_nobody_vouches_for(server: Server) -> None:
    server.serve(answering)
    pool = Pool()
    with pytest.raises(UpstreamFailure, match="CERTIFICATE_VERIFY_FAILED") as failure:
        await pool.send(server.call(), PATIENT)
    assert (failure.value.phase, failure.value.timeout) == ("connect", False)
    await pool.close()


async def test_a_certificate_for_somebody_else(pool: Pool, authority: trustme.CA) -> None:
    async with Server(tls=serving(authority, "elsewhere.example")) as other:
        other.serve(answering)
        with pytest.raises(UpstreamFailure, match="not valid for") as failure:
            await pool.send(other.call(), PATIENT)
        assert failure.value.phase == "connect"


async def test_a_server_that_speaks_no_tls(pool: Pool) -> None:
    async def plain(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.write(HELLO)
        await peer.gone()

    async with Server() as other:
        other.serve(plain)
        with pytest.raises(UpstreamFailure) as failure:
            await pool.send(other.call(url=other.url.replace("http:", "https:")), PATIENT)
        assert failure.value.phase == "connect"


@pytest.mark.parametrize("cancel", [False, True])
async def test_a_handshake_that_never_ends(pool: Pool, cancel: bool) -> None:
    gone = asyncio.Event()

    async def mute(peer: Peer) -> None:
        await peer.gone()
        gone.set()

    async with Server() as other:
        other.serve(mute)
        call = other.call(url=other.url.replace("http:", "https:"))
        task = asyncio.ensure_future(pool.send(call, PATIENT if cancel else replace(PATIENT, connect=0.15)))
        await eventually(lambda: other.accepted == 1)
        if cancel:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            with pytest.raises(UpstreamFailure) as failure:
                await task
            assert (failure.value.phase, failure.value.timeout) == ("connect", True)
        async with asyncio.timeout(50):
            await gone.wait()


async def test_the_end_of_a_body_must_be_told_under_tls(server: Server, pool: Pool) -> None:
    """Without TLS's own end, somebody on the way may have cut a body that ends with the connection."""
    read = asyncio.Event()

    async def told(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\n\r\nhello")
        peer.close()
        await peer.gone()

    async def cut(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await read.wait()

    server.serve(told, cut)
    assert await (await pool.send(server.call(), PATIENT)).read(100) == b"hello"
    response = await pool.send(server.call(), PATIENT)
    assert await response.next() == b"hello"
    read.set()
    with pytest.raises(UpstreamFailure) as failure:
        await response.next()
    assert failure.value.phase == "body"


async def test_a_lost_connection_is_replaced(server: Server, pool: Pool) -> None:
    async def losing(peer: Peer) -> None:
        await peer.answer()
        await peer.request()

    server.serve(losing, answering)
    for _ in range(2):
        assert await (await pool.send(server.call(), PATIENT)).read(100) == b"hello"
    assert server.accepted == 2


async def test_nobody_reads_and_the_sender_blocks(server: Server, authority: trustme.CA) -> None:
    size = 32_000_000
    sent = 0

    async def fast(peer: Peer) -> None:
        nonlocal sent
        await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while sent < size:
            peer.write(b"x" * 100_000)
            await peer.writer.drain()
            sent += 100_000
        await peer.gone()

    async def stalled() -> bool:
        before = sent
        await asyncio.sleep(0.05)
        return sent == before

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    server.serve(fast)
    pool = Pool(ssl_context=context, buffer_bytes=100_000)
    response = await pool.send(server.call(), PATIENT)
    async with asyncio.timeout(50):
        while not (sent and await stalled()):
            pass
    assert sent < size
    assert len(await response.read(size)) == size
    await pool.close()


async def test_abort_reaches_the_server(server: Server, pool: Pool) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await peer.gone()
        gone.set()

    server.serve(script)
    response = await pool.send(server.call(), PATIENT)
    response.abort()
    async with asyncio.timeout(50):
        await gone.wait()


def test_whom_we_trust_by_default() -> None:
    context = default_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
