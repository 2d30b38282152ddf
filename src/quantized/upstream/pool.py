"""The outgoing HTTP/1.1 client: one pool a process, which keeps idle connections for the next request.

A server may close an idle connection at the very moment at which we send on it. A request that is lost on a
*reused* connection before any byte of a response is therefore sent once more, on a fresh one. That is safe
enough here: a server that closes an idle connection has not read the request; and should it have read it and
died, then what is done twice is the generation of a text that nobody received, at our cost and never at the
caller's, because the gateway charges for the one answer it sees. A request on a fresh connection, one with a
byte of response, or one that ran out of time is never repeated.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Iterable

from quantized.providers.provider import UpstreamCall
from quantized.upstream.call import Patience, Sent, UpstreamFailure, unheard
from quantized.upstream.connection import Connection, in_words
from quantized.upstream.deadlines import Sweeper
from quantized.upstream.exchange import Exchange, Unanswered
from quantized.upstream.message import Message
from quantized.upstream.proxy import open_tunnel, parse_proxy
from quantized.upstream.request import Origin, RequestHead, framed, locate, request_head
from quantized.upstream.tls import default_context


class Pool:
    """Implements `Upstream`. Serves one event loop."""

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        max_idle_per_origin: int = 256,
        idle_seconds: float = 30.0,
        header_bytes: int = 64 * 1024,
        buffer_bytes: int = 256 * 1024,
        proxy: str | None = None,
        no_proxy: Iterable[str] = (),
    ) -> None:
        """`ssl_context`: None for the system's trust. `idle_seconds`: how long an idle connection is kept.
        `header_bytes` bounds the head of a response. `buffer_bytes` bounds what is read ahead of whoever
        reads a response; up to 256 KiB more may come with the piece of data that crosses it. `proxy`: the
        http:// URL of one, with user and password where it wants them; `no_proxy`: hosts (and the domains
        below them) that are reached without it. Raises ValueError."""
        self._ssl_context = ssl_context
        self._max_idle = max_idle_per_origin
        self._idle_seconds = idle_seconds
        self._header_bytes = header_bytes
        self._buffer_bytes = buffer_bytes
        self._proxy = None if proxy is None else parse_proxy(proxy, no_proxy)
        self._connections: set[Connection] = set()
        self._idle: dict[Origin, dict[Connection, None]] = {}
        self._sweeper = Sweeper(self._connections)
        self._closed = False
        self._emptied: asyncio.Future[None] | None = None

    async def send(self, call: UpstreamCall, patience: Patience, sent: Sent = unheard) -> Exchange:
        """As `Upstream.send`. Raises ValueError for a call that cannot be sent as it stands."""
        origin = locate(call.url).origin
        proxy = self._proxy
        if origin.scheme == "http" and proxy is not None and proxy.serves(origin):
            head = request_head(call, proxy.headers, absolute=True)
        else:
            head = request_head(call)
        total_at = asyncio.get_running_loop().time() + patience.total
        connection = self._take_idle(origin)
        if connection is not None:
            try:
                return await self._attempt(connection, call, head, patience, total_at, sent)
            except Unanswered:
                sent(False)
        connection = await self._connect(origin, patience, total_at)
        return await self._attempt(connection, call, head, patience, total_at, sent)

    async def close(self) -> None:
        """Aborts what is under way and returns when every connection is closed."""
        self._closed = True
        self._sweeper.stop()
        for connection in tuple(self._connections):
            connection.close()
        if self._connections:
            if self._emptied is None:
                self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._emptied)

    def _take_idle(self, origin: Origin) -> Connection | None:
        """The idle connection that was used last: it is the least likely to have gone stale."""
        idle = self._idle.get(origin)
        while idle:
            connection, _ = idle.popitem()
            if not connection.transport.is_closing():
                return connection
        return None

    async def _connect(self, origin: Origin, patience: Patience, total_at: float) -> Connection:
        self._check_open()
        seconds = min(patience.connect, total_at - asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(seconds):
                connection = await self._open(origin, seconds)
        except TimeoutError as error:
            raise UpstreamFailure("connect", f"no connection within {seconds:.3g} s", timeout=True) from error
        except OSError as error:
            raise UpstreamFailure("connect", in_words(error)) from error
        if connection.is_lost:
            raise UpstreamFailure("connect", "the connection was closed as soon as it was made")
        if self._closed:
            connection.abort()
        self._check_open()
        # Only now: a loop may forget to tell of the loss of a connection whose making was cancelled.
        self._connections.add(connection)
        return connection

    def _check_open(self) -> None:
        if self._closed:
            raise UpstreamFailure("connect", "the pool is closed", aborted=True)

    async def _open(self, origin: Origin, seconds: float) -> Connection:
        """A connection ready for requests to `origin`. Raises OSError."""
        loop = asyncio.get_running_loop()
        connection = Connection(origin, self, self._sweeper)
        proxy = self._proxy if self._proxy is not None and self._proxy.serves(origin) else None
        if origin.scheme == "http":
            host, port = (origin.host, origin.port) if proxy is None else (proxy.host, proxy.port)
            await loop.create_connection(lambda: connection, host, port)
            return connection
        context = self._ssl_context
        if context is None:
            context = await asyncio.to_thread(default_context)
        name = origin.host.removesuffix(".")
        handshake = seconds + 1  # never before our own timeout, which says what it is
        if proxy is None:
            await loop.create_connection(
                lambda: connection,
                origin.host,
                origin.port,
                ssl=context,
                server_hostname=name,
                ssl_handshake_timeout=handshake,
            )
            return connection
        await loop.create_connection(lambda: connection, proxy.host, proxy.port)
        try:
            await open_tunnel(connection, proxy, origin, self._header_bytes)
            transport = await loop.start_tls(
                connection.transport,
                connection,
                context,
                server_hostname=name,
                ssl_handshake_timeout=handshake,
            )
            if transport is None:
                raise ConnectionError("the connection was closed within the handshake")
        except BaseException:
            connection.abort()
            raise
        connection.attach(transport)
        return connection

    def _attempt(
        self,
        connection: Connection,
        call: UpstreamCall,
        head: RequestHead,
        patience: Patience,
        total_at: float,
        sent: Sent,
    ) -> Awaitable[Exchange]:
        message = Message(self._header_bytes, any_coding=head.any_coding)
        exchange = Exchange(message, patience, total_at=total_at, buffer_bytes=self._buffer_bytes)
        return exchange.send(connection, framed(head, call.method, call.body), call.body, sent)

    # Called by the connections.

    def lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        idle = self._idle.get(connection.origin)
        if idle is not None:
            idle.pop(connection, None)
            if not idle:
                del self._idle[connection.origin]
        if not self._connections:
            self._sweeper.stop()
            if self._emptied is not None and not self._emptied.done():
                self._emptied.set_result(None)

    def free(self, connection: Connection) -> None:
        idle = self._idle.setdefault(connection.origin, {})
        if self._closed or len(idle) >= self._max_idle:
            connection.abort()
        else:
            idle[connection] = None
            connection.expect_within(self._idle_seconds)
