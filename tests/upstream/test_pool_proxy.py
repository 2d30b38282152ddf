"""Through an HTTP proxy, and past it."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
import trustme
from msgspec.structs import replace
from scripted_server import PATIENT, Peer, Server, answering, eventually, leaked_since, open_sockets

from quantized.upstream.call import UpstreamFailure
from quantized.upstream.pool import Pool
from quantized.upstream.proxy import parse_proxy
from quantized.upstream.request import Origin


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@pytest_asyncio.fixture
async def server(authority: trustme.CA) -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with Server(tls=context) as running:
        running.serve(answering)
        yield running


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[Server]:
    async with Server() as running:
        yield running


@pytest_asyncio.fixture
async def through(
    server: Server, proxy: Server, trusting: ssl.SSLContext
) -> AsyncIterator[Callable[..., Pool]]:
    """Makes pools that go through `proxy` as `user` with the password `p@ss`."""
    before = open_sockets()
    pools = []

    def make(*direct: str) -> Pool:
        pools.append(
            Pool(ssl_context=trusting, proxy=f"http://user:p%40ss@127.0.0.1:{proxy.port}", no_proxy=direct)
        )
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()
    await proxy.close()
    await server.close()
    await eventually(lambda: not leaked_since(before))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def tunnelling(seen: list[tuple[str, str | None]]) -> Callable[[Peer], object]:
    async def script(peer: Peer) -> None:
        asked = await peer.head()
        seen.append((asked.line, asked.header("proxy-authorization")))
        host, port = asked.line.split()[1].rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        peer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(pump(reader, peer.writer), pump(peer.reader, writer))
        finally:
            writer.transport.abort()

    return script


async def test_https_through_a_tunnel(server: Server, proxy: Server, through: Callable[..., Pool]) -> None:
    seen: list[tuple[str, str | None]] = []
    proxy.serve(tunnelling(seen))
    pool = through()
    for size in (2, 1_000_000, 2):
        assert await (await pool.send(server.call(bytes(size)), PATIENT)).read(100) == b"hello"
    expected = f"Basic {b64encode(b'user:p@ss').decode()}"
    assert seen == [(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1", expected)]
    assert server.accepted == 1


async def test_plain_http_by_the_whole_url(proxy: Server, through: Callable[..., Pool]) -> None:
    seen = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append(await peer.answer())

    proxy.serve(script)
    pool = through()
    for _ in range(2):
        call = proxy.call(b"", ("authorization", "Bearer k"), url="http://nowhere.example:81/a?b")
        assert await (await pool.send(call, PATIENT)).read(100) == b"hello"
    assert proxy.accepted == 1
    assert seen[0].line == "POST http://nowhere.example:81/a?b HTTP/1.1"
    assert seen[0].header("host") == "nowhere.example:81"
    assert seen[0].header("proxy-authorization") == f"Basic {b64encode(b'user:p@ss').decode()}"


async def test_past_the_proxy(server: Server, proxy: Server, through: Callable[..., Pool]) -> None:
    pool = through("127.0.0.1")
    assert await (await pool.send(server.call(), PATIENT)).read(100) == b"hello"
    assert proxy.accepted == 0


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
            "the proxy answered 407",
        ),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\nsorry", "the proxy answered 502"),
        (b"SSH-2.0-x\r\n", "not a proper HTTP response"),
        (b"", "the proxy closed the connection"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "ConnectionResetError"),
    ],
    ids=["407", "502", "garbage", "closed", "closed in the handshake"],
)
async def test_a_proxy_that_does_not_help(
    server: Server, proxy: Server, through: Callable[..., Pool], answer: bytes, cause: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        peer.write(answer)
        peer.close()

    proxy.serve(script)
    with pytest.raises(UpstreamFailure, match=cause) as failure:
        await through().send(server.call(), PATIENT)
    assert failure.value.phase == "connect"
    assert not failure.value.timeout
    assert "p@ss" not in str(failure.value)
    assert server.accepted == 0


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["no answer", "no handshake"])
@pytest.mark.parametrize("leave", ["time", "cancel"])
async def test_a_proxy_that_hangs(
    server: Server, proxy: Server, through: Callable[..., Pool], answer: bytes, leave: str
) -> None:
    asked = asyncio.Event()
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.write(answer)
        asked.set()
        await peer.gone()
        gone.set()

    proxy.serve(script)
    pool = through()
    if leave == "time":
        with pytest.raises(UpstreamFailure) as failure:
            await pool.send(server.call(), replace(PATIENT, connect=0.15))
        assert (failure.value.phase, failure.value.timeout) == ("connect", True)
    else:
        task = asyncio.ensure_future(pool.send(server.call(), PATIENT))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(50):
        await gone.wait()


def test_which_hosts_are_reached_directly() -> None:
    proxy = parse_proxy("http://proxy:3128", [" Example.org", ".intern", "10.0.0.1", ""])
    assert (proxy.host, proxy.port, proxy.headers) == ("proxy", 3128, ())
    for host in ("example.org", "a.example.org", "intern", "x.intern", "10.0.0.1"):
        assert not proxy.serves(Origin("https", host, 443))
    for host in ("badexample.org", "example.org.evil", "110.0.0.1", "other"):
        assert proxy.serves(Origin("https", host, 443))
    assert not parse_proxy("http://proxy", ["*"]).serves(Origin("http", "any", 80))


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret@proxy",
        "proxy:3128",
        "http://user:secret@",
        "http://pro xy",
        "http://user:secret/s@proxy",
    ],
)
def test_proxies_refused(url: str) -> None:
    with pytest.raises(ValueError) as refusal:
        parse_proxy(url)
    assert "secret" not in str(refusal.value)
