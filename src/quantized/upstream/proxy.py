"""The way through an HTTP proxy: whole URLs for plain http, a tunnel for https."""

import asyncio
from base64 import b64encode
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from quantized.upstream.connection import Connection
from quantized.upstream.message import Message
from quantized.upstream.request import Origin, checked_host, checked_port


class Proxy(NamedTuple):
    """`headers` are what the proxy wants to see of us. `direct`: hosts that are reached without it."""

    host: str
    port: int
    headers: tuple[tuple[str, str], ...]
    direct: tuple[str, ...]

    def serves(self, origin: Origin) -> bool:
        """Whether the way to `origin` leads through this proxy. An entry of `direct` stands for a host and
        for all that ends in a dot and it; `*` for every host."""
        host = origin.host
        return not any(entry in ("*", host) or host.endswith(f".{entry}") for entry in self.direct)


def parse_proxy(url: str, direct: Iterable[str] = ()) -> Proxy:
    """`url` as in `http://user:password@host:port`. Raises ValueError, which never tells the password."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        raise ValueError("the proxy's URL must begin with http://")
    headers: tuple[tuple[str, str], ...] = ()
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = (("proxy-authorization", f"Basic {b64encode(credentials.encode()).decode()}"),)
    hosts = tuple(entry.strip().lower().removeprefix(".") for entry in direct)
    host = checked_host(parts.hostname or "")
    return Proxy(host, checked_port(parts, 80), headers, tuple(filter(None, hosts)))


async def open_tunnel(connection: Connection, proxy: Proxy, origin: Origin, header_bytes: int) -> None:
    """Asks the proxy at the other end of `connection` for a way to `origin`.

    Afterwards `connection` is as if it led there. Raises ConnectionError.
    """
    waiting = _Answer(Message(header_bytes, any_coding=True))
    connection.listener = waiting
    fields = (("host", origin.authority), *proxy.headers)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    connection.transport.write(f"CONNECT {origin.authority} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
    status = await waiting.status
    connection.listener = None
    if not 200 <= status < 300:
        raise ConnectionError(f"the proxy answered {status}")


class _Answer:
    """Waits for the head of the proxy's answer."""

    def __init__(self, message: Message) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._message = message

    def received(self, data: bytes) -> None:
        if self.status.done():
            return
        message = self._message
        message.feed(data)
        if message.fault is not None:
            self._fail(f"the proxy's answer: {message.fault}")
        elif message.chunks:
            self._fail(f"the proxy answered {message.status} and spoke on")
        elif message.has_head:
            self.status.set_result(message.status)

    def ended(self) -> None:
        self._fail("the proxy closed the connection")

    def lost(self, cause: str) -> None:
        self._fail(f"the proxy: {cause}")

    def writable(self) -> None:
        pass

    def expire(self) -> None:
        pass

    def abort(self) -> None:
        self._fail("aborted")

    def _fail(self, cause: str) -> None:
        if not self.status.done():
            self.status.set_exception(ConnectionError(cause))
