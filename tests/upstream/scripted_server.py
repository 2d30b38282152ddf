"""A server on a real socket that does byte by byte what a test tells it, and helpers around it."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from quantized.providers.provider import UpstreamCall
from quantized.upstream.call import Patience

PATIENT = Patience(connect=20, first_byte=20, idle=20, total=40)
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


class Received(NamedTuple):
    """A request as the server saw it; header names in lower case, in order."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> Received:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.removesuffix("\r\n\r\n").split("\r\n")
        pairs = [field.split(": ", 1) for field in fields]
        return Received(line, [(name.lower(), value) for name, value in pairs], b"")

    async def request(self) -> Received:
        received = await self.head()
        size = int(received.header("content-length") or 0)
        return received._replace(body=await self.reader.readexactly(size))

    def write(self, data: bytes) -> None:
        if not self.writer.is_closing():  # uvloop raises an error of its own kind
            self.writer.write(data)

    async def answer(self, data: bytes = HELLO) -> Received:
        """Reads a request and writes `data`."""
        received = await self.request()
        self.write(data)
        await self.writer.drain()
        return received

    async def gone(self) -> None:
        """Returns when the client has closed the connection."""
        try:
            while await self.reader.read(65536):
                pass
        except (ConnectionError, ssl.SSLError):
            pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[object]]


class Server:
    """Runs one script a connection, in the order in which they were given; the last one again and again.

    What a script raises, except for the client going away, fails the test.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._tls = tls
        self._host = host
        self._scripts: list[Script] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.accepted = 0
        self.port = 0

    def serve(self, *scripts: Script) -> None:
        self._scripts = list(scripts)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._tls, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for _ in range(5):  # a connection that was just accepted becomes a peer within these turns
            await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(
                result, asyncio.CancelledError | ConnectionError | asyncio.IncompleteReadError | ssl.SSLError
            ):
                raise result

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
        self.accepted += 1
        self._writers.append(writer)
        self._tasks.append(asyncio.ensure_future(self._run(script, Peer(reader, writer))))

    async def _run(self, script: Script, peer: Peer) -> None:
        try:
            await script(peer)
        finally:
            peer.writer.transport.abort()

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self.port}/v1/chat"

    def call(
        self, body: bytes = b"{}", *headers: tuple[str, str], method: str = "POST", url: str | None = None
    ) -> UpstreamCall:
        return UpstreamCall(url or self.url, headers, body, method)


async def answering(peer: Peer) -> None:
    """Answers every request with HELLO until the client leaves."""
    while True:
        await peer.answer()


def after(answer: bytes) -> Script:
    """One request, `answer`, then close."""

    async def script(peer: Peer) -> None:
        await peer.answer(answer)
        peer.close()

    return script


def holding(answer: bytes) -> Script:
    """One request, `answer`, then nothing until the client leaves."""

    async def script(peer: Peer) -> None:
        await peer.answer(answer)
        await peer.gone()

    return script


def open_sockets() -> set[str]:
    """The sockets of this process, by inode."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            target = str(entry.readlink())
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    return found


def leaked_since(before: set[str]) -> set[str]:
    """The TCP sockets opened and not closed since. (Loops open others of their own as they like.)"""
    new = open_sockets() - before
    if new:
        rows = "".join(Path("/proc/self/net", table).read_text() for table in ("tcp", "tcp6")).splitlines()
        new &= {row.split()[9] for row in rows}
    return new


async def eventually(condition: Callable[[], bool], seconds: float = 25) -> None:
    """Returns when the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.002)
